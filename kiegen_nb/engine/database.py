"""Opening the store's database: SQLite in WAL mode, or PostgreSQL, with one writer thread per process."""

from __future__ import annotations

import queue
import sys
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from kiegen_nb.engine import schema
from kiegen_nb.engine.loop import fail, fulfil
from kiegen_nb.errors import SessionClosed, StoreError, StoreOnNetworkFolder, StoreTooNew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL

T = TypeVar("T")
BUSY_TIMEOUT = 30.0  # seconds a writer waits for another kernel's transaction
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"},
)


_NEXT_REVISION = (
    update(schema.meta)
    .where(schema.meta.c.name == "revision")
    .values(value=schema.meta.c.value + 1)
    .returning(schema.meta.c.value)
)


class Database:
    """A store's database: short reads from any thread, writes on one thread, several to a transaction.

    Every write transaction has a number of its own, the revision: it is one more than the last one's, whoever wrote.

    Args:
        location: an SQLAlchemy URL, or the path of an SQLite file.
    """

    def __init__(self, location: str) -> None:
        self.url = store_url(location)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _check_folder(Path(self.url.database or ""))
        try:
            self._readers = self._engine(begin="BEGIN")
            self._writer = self._engine(begin="BEGIN IMMEDIATE")
            try:
                with self._writer.begin() as connection:
                    _migrate(connection)
            except BaseException:
                self._writer.dispose()
                raise
        except SQLAlchemyError as error:
            raise StoreError(
                f"The task store {self.name} cannot be opened: {_cause(error)}. "
                "Check KIEGEN_DATABASE_URL and that the folder is writable; nothing was sent.",
            ) from None
        self._queue: queue.SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="kiegen-store", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The database's address without a password."""
        return self.url.render_as_string(hide_password=True)

    def _engine(self, *, begin: str) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, pool_pre_ping=True)
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

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection for a short read, on any thread."""
        with self._readers.connect() as connection:
            try:
                yield connection
            finally:
                if self._closed.is_set():
                    connection.detach()  # back in a pool that is gone, it would never be closed

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Run a function inside a write transaction on the writer thread.

        The future ends after the commit. An error undoes this function's changes only: where several share a
        transaction, it is undone as a whole and each function runs again in one of its own.
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

    def insert_ignore(self, table: Any) -> Any:
        """Return an INSERT that does nothing where a unique key is taken."""
        insert = sqlite.insert if self.is_sqlite else postgresql.insert
        return insert(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Finish what is queued and release every connection."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._queue.put(None)
        self._thread.join()
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

    def _write_batch(self, batch: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        try:
            with self._writer.begin() as connection:
                # First of all, so that on PostgreSQL, too, one kernel writes at a time.
                connection.info["revision"] = connection.execute(_NEXT_REVISION).scalar_one()
                done = [(future, work(connection)) for work, future in batch]
        except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
            if len(batch) == 1:
                fail(batch[0][1], _friendly(error, self.name))
                return
            for one in batch:
                self._write_batch([one])
        else:
            for future, value in done:
                fulfil(future, value)


def store_url(location: str) -> URL:
    """Return an SQLAlchemy URL for a URL or a path.

    Raises:
        StoreError: if it is neither.
    """
    if "://" not in location:
        location = f"sqlite:///{Path(location).expanduser().absolute()}"
    try:
        url = make_url(location)
    except ArgumentError:
        raise StoreError(f"{location!r} is neither a path nor a database URL; nothing was sent.") from None
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(f"{url.get_backend_name()} is not supported; use SQLite or PostgreSQL. Nothing was sent.")
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise StoreError("A store in memory would forget paid tasks; give the path of a file.")
    return url


def _check_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store's folder {file.parent} cannot be made: {error.strerror}. Set KIEGEN_DATABASE_URL to a file in "
            "a folder that can be written; nothing was sent.",
        ) from None
    kind = _file_system(file.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreOnNetworkFolder(
            f"{file.parent} is on a network file system ({kind}), where SQLite can lose paid tasks. Set "
            "KIEGEN_DATABASE_URL to a local file, or to PostgreSQL (pip install 'kiegen_nb[postgres]').",
        )


def _file_system(folder: Path) -> str:
    # Only Linux says it in a file; elsewhere local disks are the rule.
    if not sys.platform.startswith("linux"):
        return ""
    best, kind = "", ""
    target = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, name, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = mount in {"/", target} or target.startswith(f"{mount}/")
        if inside and len(mount) >= len(best):
            best, kind = mount, name
    return kind


def _migrate(connection: Connection) -> None:
    version = schema.meta.c.name == "schema"
    schema.meta.create(connection, checkfirst=True)
    found = connection.execute(select(schema.meta.c.value).where(version)).scalar()
    if found is None:
        schema.metadata.create_all(connection)
        connection.execute(schema.meta.insert(), [{"name": "schema", "value": schema.SCHEMA_VERSION}])
        connection.execute(schema.meta.insert(), [{"name": "revision", "value": 0}])
    elif found < schema.SCHEMA_VERSION:
        schema.metadata.create_all(connection)  # tables that are new; those that grew are altered
        schema.upgrade(connection, found)
        connection.execute(update(schema.meta).where(version).values(value=schema.SCHEMA_VERSION))
    elif found > schema.SCHEMA_VERSION:
        raise StoreTooNew(
            f"This store has schema {found}, written by a newer kiegen_nb; this one knows {schema.SCHEMA_VERSION}. "
            "Upgrade with pip install -U kiegen_nb, or set KIEGEN_DATABASE_URL to another file; nothing was sent.",
        )


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)


def _friendly(error: Exception, name: str) -> Exception:
    if isinstance(error, OperationalError):
        return StoreError(
            f"The task store {name} could not be written: {_cause(error)}. "
            "Free disk space or stop what holds it, then run the cell again; nothing was sent without being stored.",
        )
    return error
