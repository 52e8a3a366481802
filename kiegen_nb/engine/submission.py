"""Sends queued requests: each exactly once, after a slot is free, with the row written before and after."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.store import SLOT_WINDOW
from kiegen_nb.engine.transitions import Accepted, Noted, Refused, Requeued, Submitting, Unconfirmed
from kiegen_nb.errors import RateLimited, UnreadableAnswer
from kiegen_nb.service import Outcome, OutcomeKind
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.service import Request, Service
    from kiegen_nb.tasks import GenerationTask

MAX_BACK_OFF = 30.0


class Host(Protocol):
    """What sending needs of the engine."""

    clock: Clock
    store: Store

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""

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
        self._cancelled: dict[str, asyncio.Event] = {}

    @property
    def sending(self) -> frozenset[str]:
        """The ids of the tasks on their way."""
        return frozenset(self._cancelled)

    def cancel(self, task_id: str) -> None:
        """End the waiting of a task that is not sent yet."""
        if task_id in self._cancelled:
            self._cancelled[task_id].set()

    async def send(self, task: GenerationTask, request: Request) -> None:
        """See one queued task through to an answer; does nothing if it is on its way already."""
        if task.id in self._cancelled:
            return
        self._cancelled[task.id] = asyncio.Event()
        try:
            tries = 0
            while await self._try(task.id, request, tries) and not self._cancelled[task.id].is_set():
                tries += 1
        finally:
            del self._cancelled[task.id]
            self._host.answered(task.id)

    async def _try(self, task_id: str, request: Request, tries: int) -> bool:
        """Send once; return whether the request certainly did not arrive and is to be sent again."""
        host = self._host
        slot = uuid.uuid4().hex
        if not await self._take_slot(task_id, slot):
            return False
        used = False
        try:
            task = await host.dispatch(task_id, Submitting(as_datetime(host.clock.time())))
            if task.activity is not Activity.SUBMITTING:
                return False  # cancelled while it waited
            used = True
            outcome = await self._create(request)
        finally:
            await asyncio.wrap_future(host.store.end_slot(slot, used=used))
        await host.dispatch(task_id, self._event_of(outcome))
        if outcome.kind is not OutcomeKind.NOT_SENT:
            return False
        host.answered(task_id)
        await self._pause(task_id, self._delay(outcome, tries))
        return True

    async def _create(self, request: Request) -> Outcome:
        try:
            return await self._service.create(request)
        except Exception as error:  # noqa: BLE001 - a service must not raise; if it does, it may have sent
            return Outcome(OutcomeKind.UNCONFIRMED, error=UnreadableAnswer(f"Unexpected {type(error).__name__}"))

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
            return max(SLOT_WINDOW, outcome.retry_after or 0.0)
        return min(2.0**tries, MAX_BACK_OFF) * (1 + 0.25 * self._host.clock.jitter())

    async def _take_slot(self, task_id: str, slot: str) -> bool:
        """Wait for a slot; return whether the task still wants it."""
        async with self._turn:
            while (delay := await asyncio.wrap_future(self._host.store.take_slot(slot))) > 0:
                await self._host.dispatch(task_id, Noted(f"Waiting for a slot, about {delay:.0f} s."))
                await self._pause(task_id, delay)
                if self._cancelled[task_id].is_set():
                    return False
        return True

    async def _pause(self, task_id: str, seconds: float) -> None:
        await self._host.clock.wait(self._cancelled[task_id], seconds)
