"""What happened to whom: the structured log, and the streams behind ``session.events()``.

Every record of the logger ``kiegen_nb`` that is about the engine's work carries ``event``, ``task_id`` and ``data``.
No record ever holds a key, a header or an address of the network.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from kiegen_nb.engine.loop import awaited, fulfil

if TYPE_CHECKING:
    from datetime import datetime

    from kiegen_nb.tasks import GenerationTask

log = logging.getLogger("kiegen_nb")


class _OnlyErrors(logging.Handler):
    """Where nobody listens, Python would print warnings into the notebook; a mistake in a callback belongs there."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print an error, unless somebody else does."""
        if log.handlers == [self] and not logging.getLogger().handlers and logging.lastResort is not None:
            logging.lastResort.handle(record)


log.addHandler(_OnlyErrors(logging.ERROR))
KEPT_EVENTS = 10_000
STEPS = {
    "submitting": "submit.marked",
    "requeued": "submit.requeued",
    "accepted": "submit.accepted",
    "refused": "submit.refused",
    "unconfirmed": "submit.unconfirmed",
    "running": "look.running",
    "paused": "task.paused",
    "succeeded": "task.succeeded",
    "failed": "task.failed",
    "saved": "save.stored",
}
"""What a stored change is called in the log; the others are called ``task.`` and their own name."""
_NEWS = frozenset({"submit.accepted", "task.succeeded", "save.stored", "lease.taken"})
_TROUBLE = frozenset(
    {"submit.refused", "submit.requeued", "submit.unconfirmed", "submit.impossible"}
    | {"task.failed", "task.paused", "save.failed", "budget.halved", "store.trouble", "engine.late"},
)


def note(event: str, task_id: str | None = None, message: str = "", **data: Any) -> None:
    """Write one structured log record.

    Args:
        event: a dotted name such as ``"submit.accepted"``; it becomes ``record.event``.
        task_id: whom it is about; it becomes ``record.task_id``.
        message: a few words for people.
        data: more facts; they become ``record.data``.
    """
    level = logging.INFO if event in _NEWS else logging.WARNING if event in _TROUBLE else logging.DEBUG
    if log.isEnabledFor(level):
        whom = f" task {task_id[:8]}" if task_id else ""
        words = f": {message}" if message else ""
        log.log(level, "%s%s%s", event, whom, words, extra={"event": event, "task_id": task_id, "data": data})


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One change of one task, after it was stored.

    Attributes:
        at: when, UTC.
        name: ``queued``, ``submitting``, ``requeued``, ``accepted``, ``refused``, ``unconfirmed``, ``cancelled``,
            ``running``, ``noted``, ``paused``, ``succeeded``, ``failed``, ``saving``, ``saved``, ``rated`` or
            ``commented``; ``followed`` for a change another kernel made.
        task: the task after it.

    Example:
        >>> async for event in session.events("kites"):  # doctest: +SKIP
        ...     if event.name == "saved":
        ...         print(event.task.assets[0].path)
    """

    at: datetime
    name: str
    task: GenerationTask = field(repr=False)

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.name} {self.task!r}"


class EventStream:
    """An async iterator of `TaskEvent`, in the order they happened; it ends when the session closes.

    A consumer that falls behind by more than 10,000 events loses the oldest; ``missed`` counts them.

    Args:
        prompt_id: only this group; None for all.
    """

    def __init__(self, prompt_id: str | None) -> None:
        self._prompt_id = prompt_id
        self._lock = threading.Lock()
        self._events: deque[TaskEvent] = deque(maxlen=KEPT_EVENTS)
        self._waiting: list[Future[None]] = []
        self._closed = False
        self.missed = 0

    def put(self, event: TaskEvent) -> None:
        """Take in one event, on any thread."""
        if self._prompt_id is not None and event.task.prompt_id != self._prompt_id:
            return
        with self._lock:
            self.missed += len(self._events) == KEPT_EVENTS
            self._events.append(event)
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            fulfil(future, None)

    def close(self) -> None:
        """End the iteration, after what is still to be read."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = self._waiting, []
        for future in waiting:
            fulfil(future, None)

    async def aclose(self) -> None:
        """Do the same as `close`, for ``contextlib.aclosing``."""
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TaskEvent:
        while True:
            with self._lock:
                if self._events:
                    return self._events.popleft()
                if self._closed:
                    raise StopAsyncIteration
                future: Future[None] = Future()
                self._waiting.append(future)
            await awaited(future)


class Journal:
    """Tells the log and every open stream."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[EventStream] = weakref.WeakSet()
        self._closed = False

    def open(self, prompt_id: str | None) -> EventStream:
        """Return a stream of what happens from now on; dropping it ends it."""
        stream = EventStream(prompt_id)
        with self._lock:
            self._streams.add(stream)
            if self._closed:
                stream.close()
        return stream

    @property
    def is_open(self) -> bool:
        """Whether anybody holds a stream."""
        return bool(self._streams)

    def tell(self, event: TaskEvent) -> None:
        """Give every stream an event."""
        if not self._streams:
            return
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.put(event)

    def close(self) -> None:
        """End every stream."""
        with self._lock:
            self._closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()
