"""The part of the store that finds or inserts requests: one at a time, or many in one transaction."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, func, insert, select, update

from kiegen_nb.engine import schema
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.transitions import was_refused
from kiegen_nb.tasks import Activity, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from sqlalchemy import Connection, RowMapping

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.database import Database
    from kiegen_nb.service import Request

MOST_AT_ONCE = 500  # requests of one transaction: short enough that nobody waits for the store, few enough commits
_t = schema.tasks.c
_SAME = and_(
    _t.account == bindparam("account"),
    _t.prompt_id == bindparam("prompt_id"),
    _t.identity == bindparam("identity"),
)
_NEWEST_REPEAT = select(func.max(_t.repeat)).where(_SAME)
_NEWEST_ATTEMPT = (
    select(schema.tasks).where(_SAME, _t.repeat == bindparam("repeat")).order_by(_t.attempt.desc()).limit(1)
)
_THESE = select(schema.tasks).where(_t.id.in_(bindparam("task_ids", expanding=True)))
_EVERY_ATTEMPT = (
    select(schema.tasks)
    .where(
        _t.account == bindparam("account"),
        _t.prompt_id == bindparam("prompt_id"),
        _t.identity.in_(bindparam("identities", expanding=True)),
    )
    .order_by(_t.attempt)
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request among many.

    Attributes:
        request: what is asked.
        repeat: which of several identical requests.
        fresh: ask anew whatever there is; one that is queued and was never sent is as good as a new one.
    """

    request: Request
    repeat: int = 0
    fresh: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What it is found by in its group."""
        return self.request.identity, self.repeat


class StoreAsks(ABC):
    """Finding and inserting; the rest of the store is in `Store`."""

    _database: Database
    _account: str
    _clock: Clock

    owner: str

    @property
    @abstractmethod
    def _user(self) -> str: ...

    @abstractmethod
    def _lease(self, connection: Connection) -> dict[str, Any]: ...

    @abstractmethod
    def _lapsed(self, connection: Connection) -> float: ...

    @abstractmethod
    def _is_free(self, row: RowMapping, lapsed: float) -> bool: ...

    @abstractmethod
    def _mark_deleted(
        self, connection: Connection, task_ids: Sequence[str], moment: float | None, marked: set[str]
    ) -> set[str]: ...

    def find_same(self, prompt_id: str, keys: Sequence[tuple[str, int]]) -> list[GenerationTask | None]:
        """Return the newest identical request of each identity and repeat, None where there is none.

        One that was refused before it was accepted counts as none: it would be asked anew. A deleted one counts.
        """
        found: dict[tuple[str, int], RowMapping] = {}
        with self._database.read() as connection:
            for start in range(0, len(keys), MOST_AT_ONCE):
                found |= self._newest(connection, prompt_id, keys[start : start + MOST_AT_ONCE])
        tasks = {key: schema.task_of(row) for key, row in found.items()}
        return [None if (task := tasks.get(key)) is None or was_refused(task) else task for key in keys]

    def find_or_insert(
        self,
        request: Request,
        *,
        prompt_id: str,
        repeat: int | None,
        fresh: bool,
        parent_id: str | None = None,
    ) -> Future[tuple[GenerationTask, bool]]:
        """Return the newest identical request, or insert a queued one; and whether it is this process's to send.

        Args:
            request: what is asked.
            prompt_id: the group.
            repeat: which of several identical requests; None takes the next free number.
            fresh: insert a new attempt whatever there is.
            parent_id: the task this one follows up.
        """
        task_id = uuid.uuid4().hex
        runs, taken = count(), set[str]()

        def work(connection: Connection) -> tuple[GenerationTask, bool]:
            if next(runs) and (inserted := self._inserted(connection, [task_id])):
                return inserted[task_id], True
            same = {"account": self._account, "prompt_id": prompt_id, "identity": request.identity}
            number = repeat
            if number is None:
                newest = connection.execute(_NEWEST_REPEAT, same).scalar()
                number = 0 if newest is None else newest + 1
            row = connection.execute(_NEWEST_ATTEMPT, same | {"repeat": number}).mappings().first()
            attempt = 0
            if row is not None:
                found = schema.task_of(row)
                if not fresh and not was_refused(found):
                    if row["deleted_at"] is not None:
                        self._mark_deleted(connection, [found.id], None, set())
                    return found, found.id in self._take(connection, [row], taken)
                attempt = found.attempt + 1
            task = self._task(connection, task_id, Ask(request, number), prompt_id, attempt, parent_id)
            values = self._row(connection, task, request)
            if connection.execute(self._database.insert_ignore(schema.tasks), values).rowcount == 0:
                return work(connection)  # another kernel inserted the same request in between: look again
            return task, True

        return self._database.write(work)

    def find_or_insert_many(self, asks: Sequence[Ask], *, prompt_id: str) -> Future[list[tuple[GenerationTask, bool]]]:
        """Do the same for many requests in one transaction, in their order.

        Args:
            asks: no two of them with the same key; `MOST_AT_ONCE` at most, or others wait for the store.
            prompt_id: the group.
        """
        ids = {ask.key: uuid.uuid4().hex for ask in asks}
        runs, taken = count(), set[str]()

        def work(connection: Connection) -> list[tuple[GenerationTask, bool]]:
            inserted = self._inserted(connection, list(ids.values())) if next(runs) else {}
            rows = self._newest(connection, prompt_id, [ask.key for ask in asks])
            known = {key: schema.task_of(row) for key, row in rows.items()}
            reused = {ask.key for ask in asks if ask.key in known and _will_do(known[ask.key], fresh=ask.fresh)}
            deleted = [known[key].id for key in reused if rows[key]["deleted_at"] is not None]
            if deleted:
                self._mark_deleted(connection, deleted, None, set())
            ours = self._take(connection, [rows[key] for key in reused], taken) | set(inserted)
            found, values = [], []
            for ask in asks:
                if ids[ask.key] in inserted:
                    task = inserted[ids[ask.key]]
                elif ask.key in reused:
                    task = known[ask.key]
                else:
                    before = known.get(ask.key)
                    attempt = 0 if before is None else before.attempt + 1
                    task = self._task(connection, ids[ask.key], ask, prompt_id, attempt)
                    values.append(self._row(connection, task, ask.request))
                    ours.add(task.id)
                found.append((task, task.id in ours))
            if values:
                connection.execute(insert(schema.tasks), values)
            return found

        return self._database.write(work)

    def _newest(
        self, connection: Connection, prompt_id: str, keys: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], RowMapping]:
        wanted = set(keys)
        bound = {"account": self._account, "prompt_id": prompt_id, "identities": sorted({key[0] for key in keys})}
        rows = connection.execute(_EVERY_ATTEMPT, bound).mappings()
        # The last of a key is its newest attempt.
        return {key: row for row in rows if (key := (row["identity"], row["repeat"])) in wanted}

    @staticmethod
    def _inserted(connection: Connection, task_ids: Sequence[str]) -> dict[str, GenerationTask]:
        """Return what an earlier run of the same transaction inserted: only the answer to its commit was lost."""
        rows = connection.execute(_THESE, {"task_ids": task_ids}).mappings()
        return {row["id"]: schema.task_of(row) for row in rows}

    def _take(self, connection: Connection, rows: Sequence[RowMapping], taken: set[str]) -> set[str]:
        """Lease the queued ones among rows that nobody is about to send, and return their ids.

        A queued row of a dead process is sent when its cell runs again.

        Args:
            connection: of the transaction.
            rows: of tasks.
            taken: what an earlier run of the same transaction leased; what this one leases is added.
        """
        lapsed = self._lapsed(connection)
        queued = (
            row
            for row in rows
            if row["activity"] == Activity.QUEUED.value and row["status"] == TaskStatus.PENDING.value
        )
        free = {
            row["id"]
            for row in queued
            if self._is_free(row, lapsed) or (row["id"] in taken and row["lease_owner"] == self.owner)
        }
        if free:
            connection.execute(update(schema.tasks).where(_t.id.in_(free)).values(**self._lease(connection)))
        taken |= free
        return free

    def _task(
        self,
        connection: Connection,
        task_id: str,
        ask: Ask,
        prompt_id: str,
        attempt: int,
        parent_id: str | None = None,
    ) -> GenerationTask:
        return GenerationTask(
            id=task_id,
            prompt_id=prompt_id,
            user=self._user,
            service=ask.request.service,
            model=ask.request.model,
            api_model=ask.request.api_model,
            provider_params=ask.request.provider_params,
            created_at=as_datetime(self._database.time(connection, self._clock)),
            repeat=ask.repeat,
            attempt=attempt,
            parent_id=parent_id,
        )

    def _row(self, connection: Connection, task: GenerationTask, request: Request) -> dict[str, Any]:
        return schema.values_of(task) | {
            "account": self._account,
            "identity": request.identity,
            "revision": self._database.revision(connection),
            **self._lease(connection),
        }


def _will_do(task: GenerationTask, *, fresh: bool) -> bool:
    """Whether a request is answered by what is there."""
    if fresh:
        return task.is_pending and task.activity is Activity.QUEUED
    return not was_refused(task)
