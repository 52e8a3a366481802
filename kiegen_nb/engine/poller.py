"""Looks at accepted tasks until each has an outcome. No timer runs while nothing is pending."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine import schedule
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.schedule import Watch
from kiegen_nb.engine.transitions import Failed, Noted, Paused, Running, Succeeded, timed_out
from kiegen_nb.errors import RateLimited
from kiegen_nb.service import OutcomeKind
from kiegen_nb.tasks import Asset

if TYPE_CHECKING:
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.history import History
    from kiegen_nb.engine.limits import Limits
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.service import Outcome, Service
    from kiegen_nb.tasks import GenerationTask

CONCURRENT_LOOKS = 16
EMPTY_SUCCESSES = 5  # answers "success" without a result before that is believed
PAUSE = 60.0  # seconds between two tries with a key that was refused
RECENT = 10.0  # seconds over which looks are counted for `looks_per_second`
NO_RESULT = "NO_RESULT"
NO_RESULT_TEXT = "Kie says success but names no file. It is paid for: session.refresh(task) asks again."


class Host(Protocol):
    """What the poller needs of the engine."""

    clock: Clock
    limits: Limits
    history: History
    poll_interval: float

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""

    def look_failed(self, task_id: str, error: Exception | None) -> None:
        """Say that a look told nothing (or, with None, that looks work again)."""


class Poller:
    """One due-time heap for all tasks this process looks after, and the looks that are due but not allowed yet.

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
        self._ready: dict[str, None] = {}  # due now, in the order they became so
        self._asked: dict[str, asyncio.Future[None]] = {}  # somebody waits for the next look at it
        self._flying: set[str] = set()
        self._late: set[str] = set()  # due again while a look at them is still on its way
        self._looks: set[asyncio.Task[None]] = set()
        self._permits: deque[float] = deque()
        self._last_look = 0.0  # epoch seconds
        self._recent: deque[float] = deque()
        self._paused_until: float | None = None
        self.pause_reason: str | None = None
        self._wake = asyncio.Event()

    @property
    def watching(self) -> frozenset[str]:
        """The ids of the tasks looked after."""
        return frozenset(self._watches)

    @property
    def next_due(self) -> float | None:
        """When the next look is due, epoch seconds; None while nothing is pending."""
        # Another thread may ask: the copy is one step, the search is not.
        return min(list(self._due.values()), default=None)

    @property
    def next_look_in(self) -> float | None:
        """Seconds until the next look is due; None while nothing is pending."""
        due = self.next_due
        return None if due is None else max(due - self._host.clock.time(), 0.0)

    @property
    def looks_per_second(self) -> float:
        """How many looks were sent per second, in the last ten."""
        since = self._host.clock.time() - RECENT
        return sum(1 for moment in tuple(self._recent) if moment >= since) / RECENT

    def add(self, task: GenerationTask, *, accepted: float | None = None) -> None:
        """Look after a task from now on.

        Args:
            task: an accepted task.
            accepted: epoch seconds at which it was; None looks at once, as for a task of an earlier process.
        """
        if task.id not in self._watches:
            interval = self._service.look_interval(task, self._host.poll_interval)
            watch = Watch(interval=interval, accepted=accepted)
            expected = self._host.history.expect(task)
            self._watches[task.id], due = schedule.first_look(watch, self._host.clock.time(), expected)
            self._plan(task.id, due)

    def drop(self, task_id: str) -> None:
        """Look no more."""
        self._watches.pop(task_id, None)
        self._due.pop(task_id, None)
        self._ready.pop(task_id, None)
        self._late.discard(task_id)

    async def run(self) -> None:
        """Look when looks are due, for ever."""
        while True:
            self._wake.clear()
            try:
                pause = await self._start_due()
            except Exception as error:  # noqa: BLE001 - the store's trouble must not end all looking
                note("store.trouble", message=str(error))
                pause = self._host.poll_interval
            await self._host.clock.wait(self._wake, pause)

    async def look_now(self, task: GenerationTask) -> None:
        """Look once, out of turn but within the budget; what is found counts like any other look."""
        if task.id not in self._asked:
            self._asked[task.id] = asyncio.get_running_loop().create_future()
            if task.id not in self._flying:
                self._plan(task.id, self._host.clock.time())
        await asyncio.shield(self._asked[task.id])

    def _plan(self, task_id: str, due: float) -> None:
        self._ready.pop(task_id, None)
        self._due[task_id] = due
        heapq.heappush(self._heap, (due, task_id))
        self._wake.set()

    def _collect(self, now: float) -> float | None:
        """Take in what became due; return the seconds until the next, None for none."""
        while self._heap:
            due, task_id = self._heap[0]
            if self._due.get(task_id) == due:
                if due > now:
                    return due - now
                del self._due[task_id]
                if task_id in self._flying:
                    self._late.add(task_id)
                else:
                    self._ready[task_id] = None
            heapq.heappop(self._heap)  # it is due, or was planned anew or dropped since
        return None

    async def _start_due(self) -> float | None:
        """Start the looks that are due and allowed; return the seconds until there is more to do, None for never."""
        while True:
            now = self._host.clock.time()
            until_next = self._collect(now)
            if not self._ready:
                return until_next
            if len(self._looks) >= CONCURRENT_LOOKS:
                return None  # the end of a look wakes us
            if self._paused_until is not None and not self._asked.keys() & self._ready.keys():
                if self._looks:
                    return None
                if self._paused_until > now:
                    return self._paused_until - now
            wait = await self._permit(now)
            if wait > 0:
                return wait
            if self._ready:
                self._fly(self._most_urgent())

    async def _permit(self, now: float) -> float:
        """Take a look from the budget; return 0.0, or the seconds until there is one."""
        limit = self._host.limits.looks
        if limit is None:
            return 0.0
        while self._permits and self._permits[0] < now - 1.0 / limit:
            self._permits.popleft()  # used now, it would stand beside the next one
        if not self._permits:
            # A quarter of a second at a time: few writes, and no other kernel waits long.
            count = min(len(self._ready), max(1, round(limit / 4)))
            moments: tuple[float, ...] = await asyncio.wrap_future(self._host.limits.reserve_looks(count))
            self._permits.extend(moments)
        now = self._host.clock.time()
        # A busy machine is late for its moments; two of them used at once would stand in the same second.
        wait = max(self._permits[0], min(self._last_look + 1.0 / limit, now + 1.0 / limit)) - now
        if wait <= 0:
            self._permits.popleft()
            self._last_look = now
        return max(wait, 0.0)

    def _most_urgent(self) -> str:
        if asked := self._asked.keys() & self._ready.keys():
            return min(asked)
        if self._host.limits.looks is None:
            return next(iter(self._ready))
        now = self._host.clock.time()
        return min(self._ready, key=lambda task_id: self._urgency(task_id, now))

    def _urgency(self, task_id: str, now: float) -> tuple[bool, float]:
        task = self._host.current(task_id)
        expected = None if task is None else self._host.history.expect(task)
        return schedule.urgency(self._watches.get(task_id), now, expected)

    def _fly(self, task_id: str) -> None:
        now = self._host.clock.time()
        del self._ready[task_id]
        self._flying.add(task_id)
        self._recent.append(now)
        while self._recent[0] < now - RECENT:
            self._recent.popleft()
        flying = asyncio.get_running_loop().create_task(self._look(task_id))
        self._looks.add(flying)
        flying.add_done_callback(lambda _: self._landed(task_id, flying))

    def _landed(self, task_id: str, flying: asyncio.Task[None]) -> None:
        self._looks.discard(flying)
        self._flying.discard(task_id)
        self._wake.set()
        if not flying.cancelled() and (error := flying.exception()) is not None:
            # One task's trouble, such as a full disk, is not the others': it is told, and looked at again later.
            self._host.look_failed(task_id, error if isinstance(error, Exception) else RuntimeError(str(error)))
            self._again(task_id, None)
        if task_id in self._late:
            self._late.discard(task_id)
            self._ready[task_id] = None
        asked = self._asked.pop(task_id, None)
        if asked is not None and not asked.done():
            asked.set_result(None)

    async def _look(self, task_id: str) -> None:
        task = self._host.current(task_id)
        if task is None or task.external_task_id is None:
            self.drop(task_id)
            return
        note("look.sent", task_id)
        outcome = await self._service.look(task)
        note("look.answered", task_id, kind=outcome.kind.value, state=outcome.state)
        await self._judge(task, outcome)

    async def _judge(self, task: GenerationTask, outcome: Outcome) -> None:
        host = self._host
        now = as_datetime(host.clock.time())
        if outcome.kind is not OutcomeKind.DENIED:
            self._paused_until = self.pause_reason = None
        match outcome.kind:
            case OutcomeKind.RUNNING:
                host.look_failed(task.id, None)
                await self._running(task, outcome)
            case OutcomeKind.SUCCEEDED if outcome.results:
                host.look_failed(task.id, None)
                assets = tuple(Asset(kind=result.kind, url=result.url) for result in outcome.results)
                host.history.add(await host.dispatch(task.id, Succeeded(outcome, assets, now)))
                self.drop(task.id)  # only after the commit: a full disk must not lose a result
            case OutcomeKind.SUCCEEDED:
                await self._empty_success(task)
            case OutcomeKind.FAILED:
                host.look_failed(task.id, None)
                code, cost = outcome.code or "", outcome.credits_consumed
                await host.dispatch(task.id, Failed(code, outcome.message, now, outcome.state, cost))
                self.drop(task.id)
            case OutcomeKind.DENIED:
                await self._pause(task, outcome)
            case _:
                await self._unclear(task, outcome)

    async def _running(self, task: GenerationTask, outcome: Outcome) -> None:
        watch = self._watches.get(task.id)
        if watch is not None:
            watch = self._watches[task.id] = schedule.saw_running(watch, self._host.clock.time())
            if await self._is_over(task, watch, ""):
                return
            self._next(task, watch)
        await self._host.dispatch(task.id, Running(outcome.state))

    async def _pause(self, task: GenerationTask, outcome: Outcome) -> None:
        """Look at nothing for a while: what refused this look refuses them all."""
        host = self._host
        host.look_failed(task.id, outcome.error)
        self._paused_until = host.clock.time() + PAUSE
        self.pause_reason = str(outcome.error)
        self._again(task.id, None)
        for task_id, due in list(self._due.items()):
            self._plan(task_id, max(due, self._paused_until))
        paused = Paused(str(outcome.error))
        await asyncio.gather(*(host.dispatch(task_id, paused) for task_id in {*self._watches, task.id}))

    async def _unclear(self, task: GenerationTask, outcome: Outcome) -> None:
        note("look.bad", task.id, str(outcome.error), error=type(outcome.error).__name__)
        if isinstance(outcome.error, RateLimited):
            rate = await asyncio.wrap_future(self._host.limits.halve_looks())
            self._permits.clear()
            note("budget.halved", task.id, looks_per_second=rate)
        self._host.look_failed(task.id, outcome.error)
        watch = self._again(task.id, outcome.retry_after, answered=outcome.is_about_task)
        # The first bad look of a new task is normal: the record appears a moment after the create.
        said = outcome.error.said if outcome.error is not None else "No usable answer."
        if watch is None or watch.errors < 2 or await self._is_over(task, watch, said):  # noqa: PLR2004
            return
        await self._host.dispatch(task.id, Noted(f"{said} Looking again by itself."))

    async def _empty_success(self, task: GenerationTask) -> None:
        watch = self._watches.get(task.id)
        if watch is not None and watch.empty + 1 < EMPTY_SUCCESSES:
            self._next(task, replace(watch, empty=watch.empty + 1))
            return
        moment = as_datetime(self._host.clock.time())
        await self._host.dispatch(task.id, Failed(NO_RESULT, NO_RESULT_TEXT, moment, gave_up=True))
        self.drop(task.id)

    async def _is_over(self, task: GenerationTask, watch: Watch, answer: str) -> bool:
        """Give a task up after its time limit; return whether that is so."""
        limit = self._service.time_limit(task)
        if watch.answered < limit:
            return False
        await self._host.dispatch(task.id, timed_out(limit, as_datetime(self._host.clock.time()), answer))
        self.drop(task.id)
        return True

    def _again(self, task_id: str, retry_after: float | None, *, answered: bool = False) -> Watch | None:
        """Plan the look after a bad one; return the watch, None if the task is not watched."""
        watch, task = self._watches.get(task_id), self._host.current(task_id)
        if watch is None or task is None:
            return None
        now = self._host.clock.time()
        return self._next(task, schedule.saw_nothing(watch, now, retry_after, answered=answered))

    def _next(self, task: GenerationTask, watch: Watch) -> Watch:
        clock = self._host.clock
        expected = self._host.history.expect(task)
        watch, due = schedule.next_look(watch, clock.time(), clock.jitter(), expected)
        self._watches[task.id] = watch
        self._plan(task.id, due)
        return watch
