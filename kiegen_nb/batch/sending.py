"""Sends a batch's requests in the order of its plan, as far as concurrency, credits and the account allow."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from kiegen_nb.batch.ends import Ends
from kiegen_nb.errors import (
    BudgetExceeded,
    KeyLimitReached,
    KeyRefused,
    KiegenError,
    Maintenance,
    OutOfCredits,
    ServiceError,
    SessionClosed,
)
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiegen_nb.batch.spending import Estimate, Spending
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.service import Request
    from kiegen_nb.tasks import GenerationTask

AHEAD = 2  # windows of the create limit that wait for their slots at once: others get in between, and none is idle
NO_LIMIT = 16  # what counts as one window where there is no limit
_BREATH = 100  # tasks that are taken in before the loop does something else


@dataclass(slots=True, eq=False)
class Place:
    """One item of a batch while it is worked on.

    Attributes:
        number: where it stands among the batch's items, from 0.
        request: what is sent.
        estimate: what it costs at most.
        task: its newest task, as it was when it was found or stored.
        is_sent: whether this batch has sent that.
    """

    number: int
    request: Request
    estimate: Estimate
    task: GenerationTask
    is_sent: bool = False


@dataclass(slots=True)
class Seen:
    """What a batch has learnt while it ran; it only grows, and any thread may read it.

    Attributes:
        answered: epoch seconds at which its creates were answered.
        latencies: seconds its creates took.
        durations: model -> seconds from a request to its saved result.
    """

    answered: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    durations: dict[str, list[float]] = field(default_factory=dict)


class Run:
    """The work on one batch; all of it happens on the engine's loop.

    It is settled when nothing more happens by itself: all is finished, or it is paused and nothing is under way.

    Args:
        engine: does the sending.
        places: the items, in order.
        spending: the credits.
        concurrency: how many may be in flight; None is no limit.
        on_change: called after every step.

    Attributes:
        reason: why it is paused, None while it is not.
        ends: who has finished, and who waits for that.
        seen: what it has learnt about durations.
        began: epoch seconds.
        ended: epoch seconds of its end, None before.
    """

    def __init__(
        self,
        engine: Engine,
        places: Sequence[Place],
        spending: Spending,
        concurrency: int | None,
        on_change: Callable[[], object],
    ) -> None:
        self.places = places
        self.spending = spending
        self.concurrency = concurrency
        self.reason: str | None = None
        self.ends = Ends()
        self.seen = Seen()
        self.began = engine.clock.time()
        self.ended: float | None = None
        self._engine = engine
        self._on_change = on_change
        # All below is touched on the loop only, but for what `begin` says.
        self._waiting: dict[int, Place] = {}  # ours to send, and not sent yet
        self._line: list[int] = []  # a heap of their numbers, and of some that are waiting no more
        self._by_task: dict[str, Place] = {}
        self._coming: set[object] = set()  # what `begin` was told of and is not through with
        self._arrived = asyncio.Event()
        self._is_cancelling = False
        self._flying: dict[int, Place] = {}  # not finished, and not in the line
        self._unanswered: dict[int, Place] = {}  # those among them that this batch is sending

    @property
    def waiting(self) -> tuple[Place, ...]:
        """The items that are not sent yet, in order."""
        return tuple(sorted(self._waiting.copy().values(), key=lambda place: place.number))

    def begin(self, places: Sequence[Place]) -> None:
        """Take in items whose tasks are stored, and send those that are this batch's to send; on any thread."""
        token = object()
        self._coming.add(token)
        self.ends.settle(is_settled=False)
        self._engine.held.claim([place.task.id for place in places if not place.task.is_finished], self)
        self._engine.thread.submit(self._begin(places, token))

    async def _begin(self, places: Sequence[Place], token: object) -> None:
        try:
            self.ended = None
            for place in places:
                self._by_task[place.task.id] = place
                self._flying[place.number] = place
            for count, place in enumerate(places, 1):
                self._engine.adopt(place.task, "queued" if self._engine.held.is_held(place.task.id) else "followed")
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
            for count, place in enumerate(places, 1):
                self._follow(place)
                if count % _BREATH == 0:
                    await asyncio.sleep(0)
        finally:
            self._coming.discard(token)
            self._arrived.set()
        self._go_on()

    def returned(self, task_id: str, error: KiegenError | None) -> None:
        """Take in that a request is queued still: it was taken back, or it could not be sent."""
        place = self._by_task.get(task_id)
        if place is None:
            return  # it has only just been asked for, and is put in line with the others
        place.is_sent = False
        self.spending.drop(task_id)
        self._put_in_line(place)
        if error is not None and self.reason is None:
            self._pause(_reason_of(error))
        self._engine.on_loop(self._go_on)

    def resume(self, cap: float | None) -> None:
        """Go on after a pause.

        Args:
            cap: the new limit of credits; None leaves it.

        Raises:
            BudgetExceeded: not even the next item fits; the batch stays as it was.
        """
        before = self.spending.cap
        self.spending.limit_to(before if cap is None else cap)
        first = self._first()
        if first is not None and not self._flying:
            try:
                self.spending.check([(first.number, first.estimate)])
            except BudgetExceeded:
                self.spending.limit_to(before)
                raise
        self.reason = None
        if first is not None:
            self.ends.settle(is_settled=False)
        self._go_on()

    async def cancel(self) -> int:
        """Take back what is not sent; return how many."""
        self._is_cancelling = True
        while self._coming:
            self._arrived.clear()
            await self._arrived.wait()
        self._flying |= self._waiting
        self._waiting, self._line, self.reason = {}, [], None
        queued = [place for place in self._flying.values() if self._is_queued(place)]
        taken = 0
        try:
            for start in range(0, len(queued), _BREATH):
                futures = [self._engine.cancel(place.task.id) for place in queued[start : start + _BREATH]]
                taken += sum(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        except KiegenError as error:
            self._pause(f"Not all could be cancelled: {error}")
            for place in queued:
                if self._is_queued(place) and self._engine.held.is_held(place.task.id):
                    self._put_in_line(place)
            raise
        finally:
            self._is_cancelling = False
            self._go_on()
        return taken

    def _follow(self, place: Place) -> None:
        future: Future[GenerationTask] = Future()
        future.add_done_callback(partial(self._finish, place, place.task.id))
        self._engine.board.when_finished(place.task.id, future)
        if place.number in self._flying and self._engine.held.is_held(place.task.id):
            self._put_in_line(place)

    def _put_in_line(self, place: Place) -> None:
        self._flying.pop(place.number, None)
        self._waiting[place.number] = place
        heappush(self._line, place.number)

    def _first(self) -> Place | None:
        """Return who is next in the line."""
        while self._line and self._line[0] not in self._waiting:
            heappop(self._line)
        return self._waiting[self._line[0]] if self._line else None

    def _go_on(self) -> None:
        """Send what may be sent."""
        while self._may_send() and (place := self._first()) is not None:
            if not self.spending.fits(place.estimate):
                if not self._flying:
                    self._pause(self._too_dear(place))
                break  # what is under way may cost less than it could, and leave room
            del self._waiting[place.number]
            self._flying[place.number] = place
            # Where that fails, somebody else sends it now.
            if self._engine.held.pick_up(place.task.id, self):
                self.spending.begin(place.task.id, place.estimate)
                self._unanswered[place.number] = place
                place.is_sent = True
                self._engine.thread.spawn(self._send(place))
        if not self._flying and not self._coming and (self.reason is not None or not self._waiting):
            if not self._waiting and self.ended is None:
                self.ended = self._engine.clock.time()
            self.ends.settle(is_settled=True)
        self._on_change()

    def _may_send(self) -> bool:
        if self.reason is not None or self._is_cancelling or self._engine.is_closed:
            return False
        if self.concurrency is not None and len(self._flying) >= self.concurrency:
            return False
        return len(self._unanswered) < AHEAD * (self._engine.limits.creates or NO_LIMIT)

    async def _send(self, place: Place) -> None:
        task = self._engine.current(place.task.id) or place.task
        try:
            await self._engine.send(task, place.request, patient=True)
        finally:
            self._unanswered.pop(place.number, None)
        sent = self._engine.current(place.task.id)
        if sent is not None and sent.external_task_id is not None and sent.submitted_at is not None:
            now = self._engine.clock.time()
            self.seen.answered.append(now)
            self.seen.latencies.append(max(now - sent.submitted_at.timestamp(), 0.0))
        self._go_on()

    def _finish(self, place: Place, task_id: str, future: Future[GenerationTask]) -> None:
        error = future.exception()
        if isinstance(error, SessionClosed):
            self.ends.close(error)
            return
        task = future.result()
        if self._by_task.pop(task_id, None) is None:
            return
        self._engine.held.forget(task_id)
        self._flying.pop(place.number, None)
        self._waiting.pop(place.number, None)
        self.spending.end(task)
        if place.is_sent and task.submitted_at is not None and not task.fail_code:
            seconds = max(self._engine.clock.time() - task.submitted_at.timestamp(), 0.0)
            self.seen.durations.setdefault(task.api_model, []).append(seconds)
        self.ends.add(task)
        self._go_on()

    def _is_queued(self, place: Place) -> bool:
        task = self._engine.current(place.task.id)
        return task is not None and task.is_pending and task.activity is Activity.QUEUED

    def _pause(self, reason: str) -> None:
        self.reason = reason
        for place in list(self._unanswered.values()):
            if self._is_queued(place):
                self._engine.submitter.cancel(place.task.id)

    def _too_dear(self, place: Place) -> str:
        spending = self.spending
        return (
            f"{spending.spent:g} credits are spent, and the next item may cost {spending.cost_of(place.estimate):g}: "
            f"that would pass max_credits={spending.cap:g}. batch.resume(max_credits=...) goes on with a higher limit."
        )


def _reason_of(error: KiegenError) -> str:
    if not isinstance(error, ServiceError):
        return f"{error} What is not sent is queued and costs nothing; batch.resume() goes on."
    advice = _ADVICE.get(type(error), "Mend what it names")
    return f"{error.said} What is not sent is queued and costs nothing. {advice}, then batch.resume() goes on."


_ADVICE = {
    KeyLimitReached: "Raise the key's cap at kie.ai",
    KeyRefused: "Make the key work again",
    Maintenance: "Wait until it is over",
    OutOfCredits: "Top up at kie.ai",
}
