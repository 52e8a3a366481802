"""Looks at accepted tasks until each has an outcome. No timer runs while nothing is pending."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine import schedule
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.schedule import Budget, Watch
from kiegen_nb.engine.transitions import Failed, Noted, Paused, Running, Succeeded, timed_out
from kiegen_nb.errors import RateLimited
from kiegen_nb.service import OutcomeKind
from kiegen_nb.tasks import Asset

if TYPE_CHECKING:
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.service import Outcome, Service
    from kiegen_nb.tasks import GenerationTask

CONCURRENT_LOOKS = 16
EMPTY_SUCCESSES = 5  # answers "success" without a result before that is believed
PAUSE = 60.0  # seconds between two tries with a key that was refused
NO_RESULT = "NO_RESULT"
NO_RESULT_TEXT = "Kie says success but names no file. It is paid for: session.refresh(task) asks again."


class Host(Protocol):
    """What the poller needs of the engine."""

    clock: Clock
    poll_interval: float

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""

    def look_failed(self, task_id: str, error: Exception | None) -> None:
        """Say that a look told nothing (or, with None, that looks work again)."""


class Poller:
    """One due-time heap for all tasks this process looks after.

    Args:
        host: the engine.
        service: what is asked.
    """

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service
        self._watches: dict[str, Watch] = {}
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._flying: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self.budget = Budget()

    @property
    def watching(self) -> frozenset[str]:
        """The ids of the tasks looked after."""
        return frozenset(self._watches)

    @property
    def next_due(self) -> float | None:
        """When the next look is due, epoch seconds; None while nothing is pending."""
        return min(self._due.values(), default=None)

    def add(self, task: GenerationTask, *, at_once: bool = False) -> None:
        """Look after a task from now on."""
        if task.id not in self._watches:
            interval = self._service.look_interval(task, self._host.poll_interval)
            self._watches[task.id] = Watch(interval=interval)
        now = self._host.clock.time()
        submitted = None if at_once or task.submitted_at is None else task.submitted_at.timestamp()
        self._plan(task.id, schedule.first_look(self._watches[task.id], now, submitted=submitted))

    def drop(self, task_id: str) -> None:
        """Look no more."""
        self._watches.pop(task_id, None)
        self._due.pop(task_id, None)

    async def run(self) -> None:
        """Look when looks are due, for ever."""
        while True:
            self._wake.clear()
            pause = self._start_due()
            await self._host.clock.wait(self._wake, pause)

    async def look_now(self, task: GenerationTask) -> None:
        """Look once, out of turn; what is found counts like any other look."""
        flying = self._flying.get(task.id)
        if flying is None:
            flying = self._fly(task.id)
        await asyncio.shield(flying)

    def _plan(self, task_id: str, due: float) -> None:
        self._due[task_id] = due
        heapq.heappush(self._heap, (due, task_id))
        self._wake.set()

    def _start_due(self) -> float | None:
        """Start the looks that are due; return the seconds until the next, None for none."""
        now = self._host.clock.time()
        while self._heap:
            due, task_id = self._heap[0]
            if self._due.get(task_id) != due:
                heapq.heappop(self._heap)  # planned anew or dropped since
                continue
            if due > now:
                return due - now
            if len(self._flying) >= CONCURRENT_LOOKS:
                return None  # the end of a look wakes us
            delay = self.budget.delay(now)
            if delay > 0:
                return delay
            heapq.heappop(self._heap)
            del self._due[task_id]
            if task_id not in self._flying:
                self._fly(task_id)
        return None

    def _fly(self, task_id: str) -> asyncio.Task[None]:
        flying = asyncio.get_running_loop().create_task(self._look(task_id))
        self._flying[task_id] = flying
        flying.add_done_callback(lambda _: self._landed(task_id))
        return flying

    def _landed(self, task_id: str) -> None:
        flying = self._flying.pop(task_id)
        self._wake.set()
        if flying.cancelled() or (error := flying.exception()) is None:
            return
        # One task's trouble, such as a full disk, is not the others': it is told, and looked at again later.
        self._host.look_failed(task_id, error if isinstance(error, Exception) else RuntimeError(str(error)))
        self._again(task_id, None)

    async def _look(self, task_id: str) -> None:
        task = self._host.current(task_id)
        if task is None or task.external_task_id is None:
            self.drop(task_id)
            return
        outcome = await self._service.look(task)
        await self._judge(task, outcome)

    async def _judge(self, task: GenerationTask, outcome: Outcome) -> None:
        clock, host = self._host.clock, self._host
        now = as_datetime(clock.time())
        match outcome.kind:
            case OutcomeKind.RUNNING:
                host.look_failed(task.id, None)
                await self._running(task, outcome)
            case OutcomeKind.SUCCEEDED if outcome.results:
                host.look_failed(task.id, None)
                assets = tuple(Asset(kind=result.kind, url=result.url) for result in outcome.results)
                await host.dispatch(task.id, Succeeded(outcome, assets, now))
                self.drop(task.id)  # only after the commit: a full disk must not lose a result
            case OutcomeKind.SUCCEEDED:
                await self._empty_success(task)
            case OutcomeKind.FAILED:
                host.look_failed(task.id, None)
                code, cost = outcome.code or "", outcome.credits_consumed
                await host.dispatch(task.id, Failed(code, outcome.message, now, outcome.state, cost))
                self.drop(task.id)
            case OutcomeKind.DENIED:
                host.look_failed(task.id, outcome.error)
                self._again(task.id, PAUSE)
                await host.dispatch(task.id, Paused(str(outcome.error)))
            case _:
                if isinstance(outcome.error, RateLimited):
                    self.budget.halve()
                host.look_failed(task.id, outcome.error)
                self._again(task.id, outcome.retry_after)
                watch = self._watches.get(task.id)
                # The first bad look of a new task is normal: the record appears a moment after the create.
                if watch is not None and watch.errors > 1:
                    await host.dispatch(task.id, Noted(f"{outcome.error} Looking again by itself."))

    async def _running(self, task: GenerationTask, outcome: Outcome) -> None:
        clock = self._host.clock
        watch = self._watches.get(task.id)
        if watch is not None:
            watch = self._watches[task.id] = schedule.saw_running(watch, clock.time())
            limit = self._service.time_limit(task)
            if watch.running >= limit:
                await self._host.dispatch(task.id, timed_out(limit, as_datetime(clock.time())))
                self.drop(task.id)
                return
            self._plan(task.id, schedule.next_look(watch, clock.time(), clock.jitter()))
        await self._host.dispatch(task.id, Running(outcome.state))

    async def _empty_success(self, task: GenerationTask) -> None:
        watch = self._watches.get(task.id)
        if watch is not None and watch.empty + 1 < EMPTY_SUCCESSES:
            self._watches[task.id] = replace(watch, empty=watch.empty + 1)
            now = self._host.clock.time()
            self._plan(task.id, schedule.next_look(watch, now, self._host.clock.jitter()))
            return
        moment = as_datetime(self._host.clock.time())
        await self._host.dispatch(task.id, Failed(NO_RESULT, NO_RESULT_TEXT, moment, gave_up=True))
        self.drop(task.id)

    def _again(self, task_id: str, retry_after: float | None) -> None:
        watch = self._watches.get(task_id)
        if watch is None:
            return
        watch = self._watches[task_id] = schedule.saw_nothing(watch, retry_after)
        clock = self._host.clock
        self._plan(task_id, schedule.next_look(watch, clock.time(), clock.jitter()))
