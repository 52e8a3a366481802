"""Keeps this process's leases, takes over what nobody looks after, and follows what other kernels do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.store_asks import MOST_AT_ONCE
from kiegen_nb.engine.transitions import Unconfirmed
from kiegen_nb.errors import KiegenError
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.held import Held
    from kiegen_nb.engine.journal import Journal
    from kiegen_nb.engine.limits import Limits
    from kiegen_nb.engine.query import QueryHub
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.tasks import GenerationTask

FOLLOW_SECONDS = 2.0  # between two looks at the store while any kernel works on it, or somebody watches
_BURST = 0.05  # seconds in which several submissions are one round, not one each
LOST_PROCESS = "The process that sent it ended before an answer came."


class Host(Protocol):
    """What keeping needs of the engine."""

    clock: Clock
    store: Store
    limits: Limits
    hub: QueryHub
    journal: Journal
    held: Held

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""

    @property
    def busy_with(self) -> frozenset[str]:
        """The ids of the tasks this process works on itself."""

    @property
    def sending(self) -> frozenset[str]:
        """The ids of those among them that are on their way to the service."""

    def remember(self, task: GenerationTask, name: str) -> None:
        """Take in a task as it is in the store."""

    async def watch(self, task: GenerationTask) -> None:
        """Look after an accepted task of an earlier process."""

    def forget(self, task: GenerationTask) -> None:
        """Take in that a task was deleted."""

    def save(self, task: GenerationTask) -> None:
        """Fetch the files of a task that has succeeded."""

    def send_on(self, task: GenerationTask) -> None:
        """Send a queued task that a process which ended was to send."""

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""


class Keeper:
    """One round every two seconds while any kernel has something to do; none while nothing is pending.

    While nothing is pending but somebody watches, one look at the store instead: another kernel may begin something.

    Args:
        host: the engine.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stirred = asyncio.Event()
        self._revision: int | None = None

    def stir(self) -> None:
        """Have a round soon."""
        self._stirred.set()

    async def run(self) -> None:
        """Keep, for ever."""
        busy = True
        while True:
            was_stirred = self._stirred.is_set()
            self._stirred.clear()
            try:
                if busy or was_stirred or await self._follow() or self._awaited():
                    busy = await self._round()
            except KiegenError as error:
                note("store.trouble", message=str(error))
                busy = True
            looks_again = busy or self._host.hub.is_watched or self._host.journal.is_open or self._awaited()
            await self._host.clock.wait(self._stirred, FOLLOW_SECONDS if looks_again else None)
            if self._stirred.is_set():
                await self._host.clock.sleep(_BURST)

    async def _round(self) -> bool:
        host = self._host
        if self._revision is None:
            self._revision = await asyncio.to_thread(host.store.revision)
        for task in await asyncio.wrap_future(host.store.take_over()):
            if task.id in host.sending:
                continue  # ours after all: this machine slept past its own lease
            note("lease.taken", task.id)
            host.remember(task, "followed")
            if task.activity is Activity.SUBMITTING:
                await asyncio.wrap_future(host.limits.end_slots_of(task.id))
                await host.dispatch(task.id, Unconfirmed(as_datetime(host.clock.time()), LOST_PROCESS))
            elif task.activity is Activity.SAVING:
                host.save(task)
            else:
                await host.watch(task)
        await self._take_awaited()
        # Asked first: whatever is committed after this is found by the next round, or by the reading below.
        busy = await asyncio.to_thread(host.store.is_busy)
        await self._follow()
        return busy

    def _awaited(self) -> set[str]:
        return self._host.held.awaited(self._host.current)

    async def _take_awaited(self) -> None:
        """Send what a cell of this kernel waits for, if the kernel that was to send it has ended."""
        host = self._host
        if awaited := self._awaited():
            free = sorted(awaited & await asyncio.to_thread(host.store.free_queued))[:MOST_AT_ONCE]
            if not free:
                return
            for task in await asyncio.wrap_future(host.store.take_queued(free)):
                note("lease.taken", task.id)
                host.send_on(task)

    async def _follow(self) -> bool:
        """Take in what other kernels changed; return whether there was anything."""
        host = self._host
        self._revision, changed, deleted = await asyncio.to_thread(host.store.changed_since, self._revision or 0)
        for task in deleted:
            host.forget(task)
        for task in changed:
            if task.id not in host.busy_with:
                host.remember(task, "followed")
        return bool(changed or deleted)
