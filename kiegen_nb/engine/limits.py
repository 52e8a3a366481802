"""An account's limits, kept in the store and so shared by every kernel and thread on it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlalchemy import and_, func, or_, select, update

from kiegen_nb.engine import schema
from kiegen_nb.engine.budget import Budget, halved, reserve

if TYPE_CHECKING:
    from concurrent.futures import Future

    from sqlalchemy import ColumnElement, Connection

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.database import Database

_SLOT_LOST = 120.0  # seconds after which a create that never ended counts as ended: its process is dead
_TASK_DIGITS = 24  # how much of a slot's name says what task it is for
_c = schema.creates.c
_l = schema.looks.c


def slot_of(task_id: str) -> str:
    """Return a new name for a slot, which says what task it is for."""
    return f"{task_id[:_TASK_DIGITS]}{uuid.uuid4().hex[_TASK_DIGITS:]}"


def _slots_of(task_id: str) -> ColumnElement[bool]:
    return and_(_c.id.startswith(task_id[:_TASK_DIGITS]), _c.ended_at.is_(None))


class Limits:
    """How often an account may be asked: slots for creates, a budget for looks.

    Args:
        database: where they are kept.
        account: whose they are.
        clock: time.
        creates: creates allowed per window; None is no limit.
        window: seconds; a create counts until so long after its end.
        looks: looks allowed per second; None is no limit.
    """

    def __init__(
        self,
        database: Database,
        account: str,
        clock: Clock,
        *,
        creates: int | None = 20,
        window: float = 10.0,
        looks: float | None = 9.0,
    ) -> None:
        self._database = database
        self._account = account
        self._clock = clock
        self.creates = creates
        self.window = window
        self.looks = looks

    # Reading.

    def creates_in_window(self) -> int:
        """Return how many creates are going on or ended within the window, of every kernel."""
        with self._database.read() as connection:
            since = self._database.time(connection, self._clock) - self.window
            recent = or_(_c.ended_at.is_(None), _c.ended_at > since)
            query = select(func.count()).select_from(schema.creates).where(_c.account == self._account, recent)
            return connection.execute(query).scalar_one()

    def look_rate(self) -> float | None:
        """Return the looks per second allowed now, None without a limit."""
        if self.looks is None:
            return None
        with self._database.read() as connection:
            budget = self._budget(connection)
            now = self._database.time(connection, self._clock)
        return self.looks if budget is None else budget.rate_now(now, self.looks)

    # Writing: on the database's writer thread; the futures end after the commit.

    def take_slot(self, slot_id: str, task_id: str | None = None) -> Future[float]:
        """Take one of the account's slots for a create; return 0.0, or the seconds until one may be free.

        Args:
            slot_id: its name.
            task_id: what it is for, if it is called as `slot_of` says; a dead process may have left one for the same.
        """

        def work(connection: Connection) -> float:
            now = self._database.time(connection, self._clock)
            mine = _c.account == self._account
            over = or_(_c.ended_at < now - self.window, _c.started_at < now - _SLOT_LOST)
            if task_id is not None:
                over = or_(over, and_(_slots_of(task_id), _c.id != slot_id))
            connection.execute(schema.creates.delete().where(and_(mine, over)))
            others = and_(mine, _c.id != slot_id)  # it is here already where only the answer to a commit was lost
            busy = connection.execute(select(_c.ended_at).where(others)).scalars().all()
            if self.creates is None or len(busy) < self.creates:
                row = {"id": slot_id, "account": self._account, "started_at": now}
                connection.execute(self._database.insert_ignore(schema.creates).values(row))
                return 0.0
            ends = sorted(now if end is None else end for end in busy)
            return max(ends[len(busy) - self.creates] + self.window - now, 0.05)

        return self._database.write(work)

    def end_slot(self, slot_id: str, *, used: bool) -> Future[None]:
        """Say that a slot's create ended; an unused slot is free again at once."""

        def work(connection: Connection) -> None:
            mine = _c.id == slot_id
            if used:
                ended = self._database.time(connection, self._clock)
                connection.execute(update(schema.creates).where(mine).values(ended_at=ended))
            else:
                connection.execute(schema.creates.delete().where(mine))

        return self._database.write(work)

    def end_slots_of(self, task_id: str) -> Future[None]:
        """Say that the create of a task has ended with its process, now at the latest."""

        def work(connection: Connection) -> None:
            ended = self._database.time(connection, self._clock)
            mine = and_(_c.account == self._account, _slots_of(task_id))
            connection.execute(update(schema.creates).where(mine).values(ended_at=ended))

        return self._database.write(work)

    def reserve_looks(self, count: int) -> Future[tuple[float, ...]]:
        """Reserve the account's next looks; return their moments, epoch seconds by this machine's clock."""

        def work(connection: Connection) -> tuple[float, ...]:
            now = self._database.time(connection, self._clock)
            if self.looks is None:
                return (self._clock.time(),) * count
            after, moments = reserve(self._known(connection, now, self.looks), now, count, self.looks)
            self._keep(connection, after)
            ahead = self._clock.time() - now  # of the store's clock
            return tuple(moment + ahead for moment in moments)

        return self._database.write(work)

    def halve_looks(self) -> Future[float | None]:
        """Slow every kernel's looks down after a 429; return the new looks per second."""

        def work(connection: Connection) -> float | None:
            now = self._database.time(connection, self._clock)
            if self.looks is None:
                return None
            after = halved(self._known(connection, now, self.looks), now, self.looks)
            self._keep(connection, after)
            return after.rate

        return self._database.write(work)

    def _known(self, connection: Connection, now: float, limit: float) -> Budget:
        return self._budget(connection) or Budget(rate=limit, rate_at=now)

    def _budget(self, connection: Connection) -> Budget | None:
        query = select(_l.rate, _l.rate_at, _l.next_at).where(_l.account == self._account)
        row = connection.execute(query).one_or_none()
        return None if row is None else Budget(*row)

    def _keep(self, connection: Connection, budget: Budget) -> None:
        values = {"rate": budget.rate, "rate_at": budget.rate_at, "next_at": budget.next_at}
        if connection.execute(update(schema.looks).where(_l.account == self._account).values(values)).rowcount == 0:
            # Where another kernel was faster, its row stands: a look or two too many, once in a store's life.
            connection.execute(self._database.insert_ignore(schema.looks).values(account=self._account, **values))
