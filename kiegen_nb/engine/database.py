"""The store's database: SQLite in WAL mode, or PostgreSQL, with one writer thread per process."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, Float, cast, create_engine, event, extract, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kiegen_nb.engine import schema
from kiegen_nb.engine.location import check_folder, shown, store_url
from kiegen_nb.engine.loop import fail, fulfil
from kiegen_nb.engine.trouble import NO_DRIVER, cannot_open, cannot_read, cannot_write, connection_lost
from kiegen_nb.errors import SessionClosed, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.engine.clock import Clock

T = TypeVar("T")
_Write = tuple["Callable[[Connection], Any]", Future[Any]]
BUSY_TIMEOUT = 30.0  # seconds a writer waits for another kernel's transaction
OPENING = (0.2, 0.4, 0.8)  # seconds between tries to reach a server that is perhaps just being started again
RECONNECTING = (0.1, 0.2, 0.4, 0.8, *[1.0] * 12)  # the same for one that was there before
_CONNECT_ARGUMENTS = {
    "connect_timeout": 5,
    # A server whose machine vanished is noticed within half a minute.
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "application_name": "kiegen_nb",
}
# A kernel that is stopped in the middle of a transaction must not stop all others.
_CONNECTION_SETTINGS = (
    f"SET lock_timeout = '{BUSY_TIMEOUT:.0f}s'",
    f"SET idle_in_transaction_session_timeout = '{BUSY_TIMEOUT:.0f}s'",
)
_TIME = cast(extract("epoch", func.clock_timestamp()), Float)
_UP_SINCE = cast(extract("epoch", func.pg_postmaster_start_time()), Float)
_ADVANCE = update(schema.meta).where(schema.meta.c.name == "revision").values(value=schema.meta.c.value + 1)
_NEXT_REVISION = _ADVANCE.returning(schema.meta.c.value)
_NEXT_REVISION_AND_TIME = _ADVANCE.returning(schema.meta.c.value, _TIME)


class Database:
    """A store's database: short reads from any thread, writes on one thread, several to a transaction.

    Every write transaction has a number of its own, the revision: it is one more than the last one's, whoever wrote.
    A server that goes away is waited for some seconds, by reads and writes alike.

    Args:
        location: an SQLAlchemy URL, or the path of an SQLite file.

    Raises:
        StoreError: it cannot be opened; the message says why and what to do, without a password.
        StoreTooNew: a newer version of this package wrote it.
    """

    def __init__(self, location: str) -> None:
        self.url = store_url(location)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._closed = threading.Event()
        self._is_down = False  # a server that was waited for in vain is not waited for again until it answers
        if self.is_sqlite:
            check_folder(Path(self.url.database or ""))
        try:
            self._readers = self._engine(begin="BEGIN") if self.is_sqlite else self._reading_engine()
            self._writer = self._engine(begin="BEGIN IMMEDIATE") if self.is_sqlite else self._writing_engine()
        except ImportError:
            raise StoreError(NO_DRIVER) from None
        try:
            self._open()
        except SQLAlchemyError as error:
            self._writer.dispose()
            raise cannot_open(error, self.url) from None
        except StoreError:
            self._writer.dispose()
            raise
        # The writer thread keeps its connection: taking one from the pool costs as much as a small transaction.
        self._held: Connection | None = None
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, name="kiegen-store", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The database's address without a password."""
        return shown(self.url)

    def _engine(self, *, begin: str) -> Engine:
        engine = create_engine(self.url, connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False})

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: object) -> None:
            connection.isolation_level = None  # transactions are begun by the listener below, not by the driver
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # an accepted task must outlive a power cut

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _reading_engine(self) -> Engine:
        # A server has a hundred connections for all kernels: each keeps one for reading and one for writing.
        return self._server_engine(isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=9)

    def _writing_engine(self) -> Engine:
        return self._server_engine(isolation_level="READ COMMITTED", pool_size=1, max_overflow=0)

    def _server_engine(self, **options: Any) -> Engine:
        arguments = {name: value for name, value in _CONNECT_ARGUMENTS.items() if name not in self.url.query}
        engine = create_engine(self.url, pool_pre_ping=True, connect_args=arguments, **options)

        @event.listens_for(engine, "connect")
        def _connect(connection: Any, _record: object) -> None:
            for setting in _CONNECTION_SETTINGS:
                connection.execute(setting)
            connection.commit()

        return engine

    def _open(self) -> None:
        for wait in (*OPENING, None):
            try:
                with self._writer.begin() as connection:
                    schema.migrate(connection)
            except DBAPIError as error:
                if wait is None or not connection_lost(error):
                    raise
                self._closed.wait(wait)
            else:
                return

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for a short read, on any thread.

        Raises:
            StoreError: the store could not be read.
        """
        try:
            with self._connect() as connection:
                try:
                    yield connection
                finally:
                    if self._closed.is_set():
                        connection.detach()  # back in a pool that is gone, it would never be closed
        except SQLAlchemyError as error:
            raise cannot_read(error, self.url) from None

    def _connect(self) -> Connection:
        for wait in self._waits():
            try:
                connection = self._readers.connect()
            except DBAPIError as error:
                if not self._goes_on(error, wait):
                    raise
            else:
                self._is_down = False
                return connection
        raise AssertionError  # the last wait ends it, one way or the other

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run a function inside a write transaction on the writer thread.

        The future ends after the commit. An error undoes this function's changes only: where several share a
        transaction, it is undone as a whole and each function runs again in one of its own. A function also runs
        again where a server's connection was lost; then its changes may be there already, as the answer to the commit
        may be all that was lost.
        """
        future: Future[T] = Future()
        if self._closed.is_set():
            future.set_exception(SessionClosed("The task store is closed. Make a new Session()."))
        else:
            self._queue.put((work, future))
        return future

    @staticmethod
    def revision(connection: Connection) -> int:
        """Return the revision of the write transaction a function runs in."""
        return int(connection.info["revision"])

    def time(self, connection: Connection, clock: Clock) -> float:
        """Return epoch seconds as every kernel on this store counts them: by the server's clock if there is a server.

        Args:
            connection: of a read, or of the write transaction a function runs in, which has one time for all of it.
            clock: this machine's, as good as the others' where they all are this machine's.
        """
        if self.is_sqlite:
            return clock.time()
        known: float | None = connection.info.get("time")
        return known if known is not None else float(connection.execute(select(_TIME)).scalar_one())

    def up_since(self, connection: Connection) -> float:
        """Return the epoch seconds since which leases could be renewed: a server's start, else always."""
        return 0.0 if self.is_sqlite else float(connection.execute(select(_UP_SINCE)).scalar_one())

    def insert_ignore(self, table: Any) -> Any:
        """Return an INSERT that does nothing where a unique key is taken."""
        insert = sqlite.insert if self.is_sqlite else postgresql.insert
        return insert(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Finish what is queued and release every connection; a server that is gone is not waited for."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._queue.put(None)
        self._thread.join()
        self._let_go()
        self._readers.dispose()
        self._writer.dispose()

    def _write_all(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            last = False
            while not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
            self._write_batch(batch)
            if last:
                break

    def _write_batch(self, batch: list[_Write]) -> None:
        for wait in self._waits():
            try:
                values = self._transact(batch)
            except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
                if self._goes_on(error, wait):
                    continue
                self._give_up(batch, error)
            else:
                self._is_down = False
                for (_, future), value in zip(batch, values, strict=True):
                    fulfil(future, value)
            return

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._held is None:
            self._held = self._writer.connect()
        try:
            with self._held.begin():
                yield self._held
        except BaseException:
            self._let_go()  # whatever was wrong with it, the next one is looked at before it is used
            raise

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _transact(self, batch: list[_Write]) -> list[Any]:
        with self._transaction() as connection:
            # First of all, so that on PostgreSQL, too, one kernel writes at a time.
            if self.is_sqlite:
                connection.info["revision"] = connection.execute(_NEXT_REVISION).scalar_one()
            else:
                revision, time = connection.execute(_NEXT_REVISION_AND_TIME).one()
                connection.info.update(revision=revision, time=time)
            return [work(connection) for work, _ in batch]

    def _give_up(self, batch: list[_Write], error: Exception) -> None:
        if len(batch) > 1 and not connection_lost(error):
            for one in batch:
                self._write_batch([one])
            return
        told = cannot_write(error, self.url) if isinstance(error, SQLAlchemyError) else error
        for _, future in batch:
            fail(future, told)

    def _waits(self) -> Iterator[float | None]:
        """Yield the seconds to wait after each try that finds no server; None after the last."""
        if not self._is_down:
            yield from RECONNECTING
        yield None

    def _goes_on(self, error: Exception, wait: float | None) -> bool:
        """Wait if a server was lost and is to be waited for; return whether to try again."""
        if not connection_lost(error):
            return False
        if wait is None:
            self._is_down = True
            return False
        return not self._closed.wait(wait)
