"""The task store: what is asked, found and changed, in words of tasks. Every write is one short transaction."""

from __future__ import annotations

import getpass
import os
import platform
import sys
import uuid
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, or_, select, update

from kiegen_nb.engine import schema
from kiegen_nb.engine.store_asks import StoreAsks
from kiegen_nb.engine.transitions import Remark, apply
from kiegen_nb.tasks import Activity, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from sqlalchemy import ColumnElement, Connection, RowMapping, Update

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.database import Database
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.tasks import GenerationTask

LEASE_SECONDS = 15.0
RENEW_SECONDS = 10.0  # a lease with more than this left is not renewed yet
KEPT_DURATIONS = 200
_t = schema.tasks.c

# Building a statement costs ten times as much as running it, so those that run for every step of a task are built once.
_ROW = select(schema.tasks).where(_t.id == bindparam("task_id")).with_for_update()
_NEW = "new_"  # a bound value must not be called as its column is


@cache
def _update_of(names: tuple[str, ...]) -> Update:
    """Return the statement that changes these columns of one task."""
    return (
        update(schema.tasks)
        .where(_t.id == bindparam("task_id"))
        .values({name: bindparam(_NEW + name) for name in names})
    )


class Store(StoreAsks):
    """The tasks of one account, shared by every kernel on the same database.

    What is written with `Database.write` may run twice, the second time on its own changes, where a server's answer to
    a commit was lost; each of these functions then says what it would have said the first time.

    Args:
        database: where the rows are.
        account: the only account whose rows are seen.
        clock: for leases and slots.
    """

    def __init__(self, database: Database, account: str, clock: Clock) -> None:
        self._database = database
        self._account = account
        self._clock = clock
        self.owner = f"{_host()}|{os.getpid()}|{_process_start(os.getpid())}|{uuid.uuid4().hex[:8]}"

    # Reading: on any thread, short connections.

    def get(self, task_id: str) -> GenerationTask | None:
        """Return one task, None if there is no such id in this account."""
        found = self._select(_t.id == task_id)
        return found[0] if found else None

    def by_prompt(self, prompt_id: str) -> list[GenerationTask]:
        """Return a prompt group's tasks, newest first."""
        return self._select(_t.prompt_id == prompt_id)

    def every(self, prompt_id: str | None = None, user: str | None = None) -> list[GenerationTask]:
        """Return the tasks of all groups and users, or of one of them, newest first."""
        wanted = ((_t.prompt_id, prompt_id), (_t.user, user))
        return self._select(*(column == value for column, value in wanted if value is not None))

    def rows(self, prompt_id: str | None) -> Sequence[RowMapping]:
        """Return the rows of a group (None: of all), newest first, for tables: as tasks, thousands take seconds."""
        query = select(schema.tasks).where(_t.account == self._account, _t.deleted_at.is_(None))
        query = query if prompt_id is None else query.where(_t.prompt_id == prompt_id)
        with self._database.read() as connection:
            return connection.execute(query.order_by(_t.created_at.desc(), _t.id)).mappings().all()

    def deleted_before(self, moment: float) -> list[GenerationTask]:
        """Return the tasks that were deleted before a moment and are so still."""
        query = select(schema.tasks).where(_t.account == self._account, _t.deleted_at < moment)
        with self._database.read() as connection:
            return [schema.task_of(row) for row in connection.execute(query).mappings()]

    def is_busy(self) -> bool:
        """Whether any living process still has something to do for this account."""
        with self._database.read() as connection:
            now = self._database.time(connection, self._clock)
            leased = and_(_t.account == self._account, _t.activity.is_not(None), _t.lease_until >= now)
            return connection.execute(select(_t.id).where(leased).limit(1)).first() is not None

    def changed_since(self, revision: int) -> tuple[int, list[GenerationTask], list[GenerationTask]]:
        """Return the newest revision, and the tasks changed and those deleted after another one; one cheap query.

        What this process itself works on is left out: it knows it already, and newer.
        """
        others = or_(_t.lease_owner.is_(None), _t.lease_owner != self.owner)
        with self._database.read() as connection:
            query = select(schema.tasks).where(_t.account == self._account, _t.revision > revision, others)
            rows = connection.execute(query).mappings().all()
            newest = max((row["revision"] for row in rows), default=revision)
        found: tuple[list[GenerationTask], list[GenerationTask]] = ([], [])
        for row in rows:
            found[row["deleted_at"] is not None].append(schema.task_of(row))
        return newest, *found

    def revision(self) -> int:
        """Return the newest revision."""
        with self._database.read() as connection:
            return connection.execute(select(func.max(_t.revision)).where(_t.account == self._account)).scalar() or 0

    def durations(self, api_model: str) -> list[float]:
        """Return the seconds the newest finished tasks of a model took, oldest first."""
        done = and_(_t.account == self._account, _t.api_model == api_model, _t.took.is_not(None))
        with self._database.read() as connection:
            query = select(_t.took).where(done).order_by(_t.completed_at.desc()).limit(KEPT_DURATIONS)
            return [float(took) for took in connection.execute(query).scalars()][::-1]

    def _select(self, *conditions: ColumnElement[bool]) -> list[GenerationTask]:
        query = select(schema.tasks).where(_t.account == self._account, _t.deleted_at.is_(None), *conditions)
        query = query.order_by(_t.created_at.desc(), _t.id)
        with self._database.read() as connection:
            return [schema.task_of(row) for row in connection.execute(query).mappings()]

    # Writing: on the database's writer thread; the futures end after the commit.

    def apply(self, task_id: str, event: Event) -> Future[tuple[GenerationTask, GenerationTask]]:
        """Apply an event to the stored task; return the task before and after it."""
        earlier: list[tuple[GenerationTask, GenerationTask]] = []

        def work(connection: Connection) -> tuple[GenerationTask, GenerationTask]:
            row = connection.execute(_ROW, {"task_id": task_id}).mappings().one()
            before = schema.task_of(row)
            if earlier and row["lease_owner"] in {self.owner, None} and before == earlier[-1][1]:
                return earlier[-1]  # stored already; only the answer to the commit was lost
            after = apply(before, event)
            earlier.append((before, after))
            if after is not before:
                values = {name: value for name, value in schema.values_of(after).items() if value != row[name]}
                values["revision"] = self._database.revision(connection)
                if not isinstance(event, Remark):
                    values |= (
                        self._lease(connection) if not after.is_finished else {"lease_owner": None, "lease_until": None}
                    )
                bound = {_NEW + name: value for name, value in values.items()}
                connection.execute(_update_of(tuple(values)), {"task_id": task_id, **bound})
            return before, after

        return self._database.write(work)

    def take_over(self) -> Future[list[GenerationTask]]:
        """Keep this process's leases, and lease the account's tasks in work that no living process looks after.

        Queued ones are left alone: they are sent only when somebody asks (`take_queued`).
        """
        words = [Activity.SUBMITTING, Activity.WATCHING, Activity.PAUSED, Activity.SAVING]
        claimed: set[str] = set()

        def work(connection: Connection) -> list[GenerationTask]:
            mine = and_(_t.account == self._account, _t.lease_owner == self.owner)
            now = self._database.time(connection, self._clock)
            alive = and_(mine, _t.lease_until.between(now, now + RENEW_SECONDS))
            connection.execute(update(schema.tasks).where(alive).values(**self._lease(connection)))
            return self._claim(connection, words, claimed)

        return self._database.write(work)

    def free_queued(self) -> set[str]:
        """Return the ids of the account's queued tasks that no living process is about to send."""
        with self._database.read() as connection:
            queued = and_(_t.account == self._account, _t.activity == Activity.QUEUED.value)
            return set(connection.execute(select(_t.id).where(queued, self._free(connection))).scalars())

    def take_queued(self, task_ids: Sequence[str] | None = None) -> Future[list[GenerationTask]]:
        """Lease the account's queued tasks that no living process is about to send, and return them.

        Args:
            task_ids: only these; None takes all of them.
        """
        claimed: set[str] = set()
        among = () if task_ids is None else (_t.id.in_(task_ids),)
        return self._database.write(lambda connection: self._claim(connection, [Activity.QUEUED], claimed, *among))

    def _free(self, connection: Connection) -> ColumnElement[bool]:
        """Return the condition that nobody alive looks after a row."""
        owners = select(_t.lease_owner).where(_t.account == self._account, _t.lease_owner.is_not(None)).distinct()
        dead = [owner for owner in connection.execute(owners).scalars() if _is_dead(owner)]
        return or_(_t.lease_until.is_(None), _t.lease_until < self._lapsed(connection), _t.lease_owner.in_(dead))

    def _claim(
        self,
        connection: Connection,
        activities: list[Activity],
        claimed: set[str],
        *among: ColumnElement[bool],
    ) -> list[GenerationTask]:
        free = self._free(connection)
        if claimed:  # by a commit whose answer was lost
            free = or_(free, and_(_t.id.in_(claimed), _t.lease_owner == self.owner))
        words = [activity.value for activity in activities]
        query = (
            update(schema.tasks)
            .where(_t.account == self._account, _t.activity.in_(words), free, *among)
            .values(**self._lease(connection))
            .returning(*schema.tasks.columns)
        )
        found = [schema.task_of(row) for row in connection.execute(query).mappings()]
        claimed.update(task.id for task in found)
        return found

    def delete(self, task_ids: Sequence[str]) -> Future[set[str]]:
        """Take tasks out of every group, as far as nothing happens to them any more; return the ids of those."""
        marked: set[str] = set()
        moment = self._clock.time()
        return self._database.write(lambda connection: self._mark_deleted(connection, task_ids, moment, marked))

    def restore(self, task_ids: Sequence[str]) -> Future[set[str]]:
        """Put deleted tasks back; return the ids of those that were."""
        marked: set[str] = set()
        return self._database.write(lambda connection: self._mark_deleted(connection, task_ids, None, marked))

    def _mark_deleted(
        self, connection: Connection, task_ids: Sequence[str], moment: float | None, marked: set[str]
    ) -> set[str]:
        other = _t.deleted_at.is_not(None) if moment is None else _t.deleted_at.is_(None)
        over = and_(
            _t.status != TaskStatus.PENDING.value, or_(_t.activity.is_(None), _t.activity == Activity.GAVE_UP.value)
        )
        query = (
            update(schema.tasks)
            .where(_t.account == self._account, _t.id.in_(task_ids), over, other)
            .values(deleted_at=moment, revision=self._database.revision(connection))
            .returning(_t.id)
        )
        marked.update(connection.execute(query).scalars())  # to those of a commit whose answer was lost
        return marked

    def release(self) -> Future[None]:
        """Give all of this process's leases back."""

        def work(connection: Connection) -> None:
            mine = update(schema.tasks).where(_t.account == self._account, _t.lease_owner == self.owner)
            connection.execute(mine.values(lease_owner=None, lease_until=None))

        return self._database.write(work)

    def document(self, name: str) -> str | None:
        """Return a text kept beside the tasks."""
        documents = schema.documents
        with self._database.read() as connection:
            return connection.execute(select(documents.c.value).where(documents.c.name == name)).scalar()

    def keep_document(self, name: str, value: str) -> Future[None]:
        """Keep a text beside the tasks, instead of the one of that name."""

        def work(connection: Connection) -> None:
            documents = schema.documents
            connection.execute(documents.delete().where(documents.c.name == name))
            row = {"name": name, "value": value, "updated_at": self._clock.time()}
            connection.execute(documents.insert().values(row))

        return self._database.write(work)

    def _lease(self, connection: Connection) -> dict[str, Any]:
        now = self._database.time(connection, self._clock)
        return {"lease_owner": self.owner, "lease_until": now + LEASE_SECONDS}

    def _lapsed(self, connection: Connection) -> float:
        """Return the moment before which a lease must have ended for its owner to be given up."""
        now = self._database.time(connection, self._clock)
        # While a server was down nobody could renew: whoever lives gets the time for it.
        return now if now - self._database.up_since(connection) > LEASE_SECONDS else 0.0

    @property
    def _user(self) -> str:
        return user_name()

    def _is_free(self, row: RowMapping, lapsed: float) -> bool:
        until = row["lease_until"]
        return until is None or until < lapsed or _is_dead(row["lease_owner"])


@cache
def user_name() -> str:
    """Return the name rows of this process carry in their column ``user``: JupyterHub's, else the system's."""
    try:
        # In a hub's containers everybody's system user has the same name.
        return os.environ.get("JUPYTERHUB_USER") or getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry for this uid
        return "unknown"


@cache
def _host() -> str:
    # Two containers may share a host name, but not a process namespace; and two hosts even its number.
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{platform.node()}/{Path('/proc/self/ns/pid').readlink()}/{boot}"
    except OSError:
        return platform.node()


def _process_start(pid: int) -> str:
    # Process numbers are used again; together with the start time they are not.
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state in "ZX" else fields[18]  # a zombie is dead, only not yet buried


def _is_dead(owner: str | None) -> bool:
    """Whether a lease's owner certainly ended; without that certainty its lease runs out by itself."""
    if not owner or not sys.platform.startswith("linux"):
        return not owner
    host, pid, start, _ = owner.split("|")
    return host == _host() and _process_start(int(pid)) != start
