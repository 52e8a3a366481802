"""Sends queued requests: each exactly once, after a slot is free, with the row written before and after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.limits import slot_of
from kiegen_nb.engine.transitions import Accepted, Noted, Refused, Requeued, Submitting, Unconfirmed
from kiegen_nb.engine.uploads import LEAST_LIFE
from kiegen_nb.errors import (
    ConfigurationError,
    KeyLimitReached,
    KeyRefused,
    KiegenError,
    Maintenance,
    OutOfCredits,
    RateLimited,
    ServiceError,
    UnreadableAnswer,
    UploadError,
)
from kiegen_nb.service import Outcome, OutcomeKind
from kiegen_nb.tasks import UPLOAD_LOST

if TYPE_CHECKING:
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.limits import Limits
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.engine.uploads import Uploader
    from kiegen_nb.service import Request, Service
    from kiegen_nb.tasks import GenerationTask

MAX_BACK_OFF = 30.0
CONCURRENT_CREATES = 16
NOTE_SECONDS = 2.0  # between two updates of what those who wait for a slot are told
_MINUTE = 60
FOR_EVERYBODY = (KeyRefused, KeyLimitReached, Maintenance, OutOfCredits)
"""Refusals that are not about one request: the next would meet the same."""


class Host(Protocol):
    """What sending needs of the engine."""

    clock: Clock
    limits: Limits
    uploads: Uploader

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""

    async def transition(self, task_id: str, event: Event) -> tuple[GenerationTask, GenerationTask]:
        """Do the same; return the task before and after, the same object if the event came too late."""

    def answered(self, task_id: str) -> None:
        """Say that the create was answered, whatever the answer."""


class Submitter:
    """Takes queued tasks in order and sends them.

    Args:
        host: the engine.
        service: where they are sent.
    """

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service
        self._turn = asyncio.Lock()  # first come, first served
        self._line: dict[str, None] = {}  # who waits for a slot, in order
        self._told_at = 0.0
        self._slot_at = 0.0  # epoch seconds at which the first in the line expects its slot
        self._not_before = 0.0  # epoch seconds; a 429 holds everybody back, not only who met it
        self._open = asyncio.Semaphore(CONCURRENT_CREATES)  # where nothing else holds creates back
        self._cancelled: dict[str, asyncio.Event] = {}
        self._patient: dict[str, KiegenError | None] = {}  # those that stay queued, and what they were told
        self.idle = asyncio.Event()  # set while nothing is on its way
        self.idle.set()

    @property
    def sending(self) -> frozenset[str]:
        """The ids of the tasks on their way."""
        return frozenset(self._cancelled)

    @property
    def held_back_for(self) -> float:
        """Seconds for which nothing is sent, because the service asked for it; 0.0 if it did not."""
        return max(self._not_before - self._host.clock.time(), 0.0)

    def cancel(self, task_id: str) -> None:
        """End the waiting of a task that is not sent yet."""
        if task_id in self._cancelled:
            self._cancelled[task_id].set()

    async def send(self, task: GenerationTask, request: Request, *, patient: bool = False) -> KiegenError | None:
        """See one queued task through to an answer; does nothing if it is on its way already.

        Args:
            task: what is sent.
            request: the same, ready to be sent.
            patient: leave it queued where the service refuses every request for now, such as without credits.

        Returns:
            Why it was left queued, None for any other end.
        """
        if task.id in self._cancelled:
            return None
        self._cancelled[task.id] = asyncio.Event()
        self.idle.clear()
        if patient:
            self._patient[task.id] = None
        try:
            tries = 0
            while await self._try(task.id, request, tries) and not self._cancelled[task.id].is_set():
                tries += 1
        finally:
            del self._cancelled[task.id]
            if not self._cancelled:
                self.idle.set()
            error = self._patient.pop(task.id, None)
            self._host.answered(task.id)
        return error

    async def _try(self, task_id: str, request: Request, tries: int) -> bool:
        """Send once; return whether the request certainly did not arrive and is to be sent again."""
        host = self._host
        try:
            request = await host.uploads.freshen(request, lambda said: host.dispatch(task_id, Noted(said)))
        except KiegenError as error:
            return await self._not_fresh(task_id, error, tries)
        fresh_until = host.clock.time() + LEAST_LIFE / 2
        slot = await self._take_slot(task_id)
        if slot is None:
            return False
        used = False
        async with self._open:
            try:
                if host.clock.time() > fresh_until:
                    return True  # it stood in the line so long that an upload may be gone by now
                before, after = await host.transition(task_id, Submitting(as_datetime(host.clock.time())))
                if after is before:
                    return False  # cancelled while it waited, or sent before: only its own mark lets it go out
                used = True
                outcome = await self._create(request)
                note("submit.answered", task_id, kind=outcome.kind.value)
                # First the id: whatever happens next, it must not be lost.
                await until_stored(host, task_id, self._kept_back(task_id, outcome) or self._event_of(outcome))
            finally:
                await self._end_slot(task_id, slot, used=used)
        if outcome.kind is not OutcomeKind.NOT_SENT:
            return False
        host.answered(task_id)
        await self._pause(task_id, self._delay(outcome, tries))
        return True

    async def _not_fresh(self, task_id: str, error: KiegenError, tries: int) -> bool:
        """Take in that a file the request needs could not be uploaded again; return whether to try it once more."""
        host = self._host
        if isinstance(error, ServiceError) and error.retryable:
            await host.dispatch(task_id, self._event_of(Outcome(OutcomeKind.NOT_SENT, error=error)))
            host.answered(task_id)
            await self._pause(task_id, self._back_off(tries))
            return True
        if not isinstance(error, ServiceError | UploadError | ConfigurationError):
            raise error
        code = str(error.code) if isinstance(error, ServiceError) else UPLOAD_LOST
        now = as_datetime(host.clock.time())
        await host.dispatch(task_id, Refused(code, f"{error} The request was not sent; nothing was charged.", now))
        return False

    async def _create(self, request: Request) -> Outcome:
        try:
            return await self._service.create(request)
        except Exception as error:  # noqa: BLE001 - a service must not raise; if it does, it may have sent
            return Outcome(OutcomeKind.UNCONFIRMED, error=UnreadableAnswer(f"Unexpected {type(error).__name__}"))

    def _kept_back(self, task_id: str, outcome: Outcome) -> Event | None:
        if outcome.kind is not OutcomeKind.REFUSED or task_id not in self._patient:
            return None
        if not isinstance(outcome.error, FOR_EVERYBODY):
            return None
        self._patient[task_id] = outcome.error
        return Requeued(f"Not sent, nothing was charged: {outcome.error.said}")

    def _event_of(self, outcome: Outcome) -> Event:
        now = as_datetime(self._host.clock.time())
        reason = str(outcome.error) if outcome.error is not None else ""
        match outcome.kind:
            case OutcomeKind.ACCEPTED if outcome.external_task_id:
                return Accepted(outcome.external_task_id)
            case OutcomeKind.REFUSED:
                return Refused(outcome.code or "", outcome.message or reason, now)
            case OutcomeKind.NOT_SENT:
                return Requeued(f"Not sent yet: {reason} It is sent by itself as soon as that works.")
            case _:
                return Unconfirmed(now, outcome.error.message + "." if outcome.error else "")

    def _delay(self, outcome: Outcome, tries: int) -> float:
        if isinstance(outcome.error, RateLimited):
            delay = max(self._host.limits.window, outcome.retry_after or 0.0)
            self._not_before = max(self._not_before, self._host.clock.time() + delay)
            return delay
        return self._back_off(tries)

    def _back_off(self, tries: int) -> float:
        return min(2.0**tries, MAX_BACK_OFF) * (1 + 0.25 * self._host.clock.jitter())

    async def _take_slot(self, task_id: str) -> str | None:
        """Wait for a slot and return its name; None if the task does not want it any more."""
        slot = slot_of(task_id)
        limits = self._host.limits
        if limits.creates is None and self.held_back_for <= 0:
            return slot
        self._line[task_id] = None
        try:
            if self._slot_at > self._host.clock.time():
                await self._tell([task_id])
            async with self._turn:
                while True:
                    delay = self.held_back_for
                    if delay <= 0:
                        delay = await asyncio.wrap_future(limits.take_slot(slot, task_id))
                    if self._cancelled[task_id].is_set():
                        if delay <= 0:
                            await self._end_slot(task_id, slot, used=False)
                        return None
                    if delay <= 0:
                        note("submit.slot", task_id)
                        return slot
                    now = self._host.clock.time()
                    self._slot_at = now + delay
                    if now - self._told_at >= NOTE_SECONDS:
                        self._told_at = now
                        await self._tell(list(self._line))
                    await self._pause(task_id, delay)
        finally:
            del self._line[task_id]

    async def _tell(self, task_ids: list[str]) -> None:
        """Say to some in the line how long it will be."""
        limit, window = self._host.limits.creates or 1, self._host.limits.window
        first = self._slot_at - self._host.clock.time()
        places = {task_id: place for place, task_id in enumerate(self._line)}
        waits = ((task_id, first + places[task_id] // limit * window) for task_id in task_ids)
        notes = ((task_id, Noted(f"Waiting for a slot, about {_roughly(wait)}.")) for task_id, wait in waits)
        await asyncio.gather(*(self._host.dispatch(task_id, note) for task_id, note in notes))

    async def _end_slot(self, task_id: str, slot: str, *, used: bool) -> None:
        if self._host.limits.creates is not None:
            await asyncio.wrap_future(self._host.limits.end_slot(slot, used=used))
            note("submit.slot_ended", task_id)

    async def _pause(self, task_id: str, seconds: float) -> None:
        await self._host.clock.wait(self._cancelled[task_id], seconds)


def _roughly(seconds: float) -> str:
    """Return a time as people say it, so that it need not be corrected every moment."""
    if seconds < 2 * _MINUTE:
        return f"{max(round(seconds / 5) * 5, 1)} s"
    return f"{round(seconds / _MINUTE)} min"


async def until_stored(host: Host, task_id: str, event: Event) -> None:
    """Store what the service said, however long the store refuses it: nobody could ask for it again."""
    tries = 0
    while True:
        try:
            await host.dispatch(task_id, event)
        except KiegenError as error:
            its_id = f"its id at the service is {event.external_task_id}. " if isinstance(event, Accepted) else ""
            note("store.trouble", task_id, f"{its_id}{error}")
            await host.clock.sleep(min(2.0**tries, MAX_BACK_OFF))
            tries += 1
        else:
            return
