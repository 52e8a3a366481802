"""The engine's threads: one asyncio loop for the network, and serial threads for everything that calls back."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import queue
import threading
import weakref
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from kiegen_nb.errors import SessionClosed, WrongThread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

log = logging.getLogger("kiegen_nb")
T = TypeVar("T")
_PATIENCE = 0.2  # seconds between two chances for an interrupt, on systems whose lock waits do not notice one


class _LoopThread(threading.Thread):
    """A thread that must never wait for the engine: it is the engine."""


class LoopThread:
    """One daemon thread with one asyncio loop, on which all network input and output happens."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = _LoopThread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop, in the caller's context; the future may be dropped."""
        future: Future[T] = Future()
        context = contextvars.copy_context()

        def start() -> None:
            # A task in the caller's context prints into the caller's cell.
            task = self.loop.create_task(coroutine, context=context)
            self._tasks.add(task)
            task.add_done_callback(finish)

        def finish(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                fail(future, SessionClosed("The session was closed while this was going on."))
            elif (error := task.exception()) is not None:
                fail(future, error)
            else:
                fulfil(future, task.result())

        try:
            self.loop.call_soon_threadsafe(start)
        except RuntimeError:
            coroutine.close()
            raise SessionClosed from None
        return future

    def spawn(self, coroutine: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Start a coroutine from the loop itself; a strong reference is kept, an error is logged."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned)
        return task

    def _spawned(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        # While Python ends, its thread pools refuse work before our own end is announced; nobody can do anything then.
        if threading.main_thread().is_alive():
            log.error("unexpected error on the engine's loop", exc_info=error)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; an interrupt ends the waiting only.

        Raises:
            WrongThread: on the loop's own thread.
        """
        if self.is_current:
            coroutine.close()
            raise WrongThread("This call waits, and here it would wait for itself. Use its awaitable twin.")
        return wait_for(self.submit(coroutine))

    def stop(self, *, patience: float) -> None:
        """Cancel what runs, end the loop and join the thread, at most ``patience`` seconds."""

        async def drain() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        def finish() -> None:
            drained = self.loop.create_task(drain())
            drained.add_done_callback(lambda _: self.loop.stop())

        self.loop.call_soon_threadsafe(finish)
        self._thread.join(patience)


class SerialThread:
    """A daemon thread that runs functions one at a time, in order; it starts with the first of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def is_current(self) -> bool:
        """Whether the caller runs on this thread."""
        return threading.current_thread() is self._thread

    def post(
        self,
        function: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> None:
        """Run a function soon; its error is logged, never raised into another's work."""
        with self._lock:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        context = context or contextvars.copy_context()
        self._queue.put(lambda: context.run(function, *args))

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except Exception:
                log.exception("a callback raised")

    def stop(self, *, patience: float) -> None:
        """Finish what is queued and end the thread, at most ``patience`` seconds."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._queue.put(None)
        if thread is not None and not self.is_current:
            thread.join(patience)


def fulfil(future: Future[T], value: T) -> None:
    """Give a future its value; one whose waiter gave up is left alone."""
    with suppress(InvalidStateError):
        future.set_result(value)


def fail(future: Future[Any], error: BaseException) -> None:
    """Give a future its error; one whose waiter gave up is left alone."""
    with suppress(InvalidStateError):
        future.set_exception(error)


async def awaited(future: Future[T]) -> T:
    """Await a future of the engine in any loop; a cancelled wait, or an interrupted cell, ends the waiting only."""
    waiting = asyncio.wrap_future(future)
    with _kept_awake(asyncio.get_running_loop()):
        try:
            await asyncio.wait({waiting})
            return waiting.result()
        finally:
            waiting.cancel()


_awake: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()


@contextmanager
def _kept_awake(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Have a loop wake five times a second, once for all who wait in it.

    ipykernel's interrupt handler does not wake a loop that sleeps in its selector, so an interrupt would wait too.
    """

    def wake() -> None:
        if _awake.get(loop):
            loop.call_later(_PATIENCE, wake)
        else:
            _awake.pop(loop, None)

    is_first = loop not in _awake
    _awake[loop] = _awake.get(loop, 0) + 1
    if is_first:
        loop.call_later(_PATIENCE, wake)
    try:
        yield
    finally:
        _awake[loop] -= 1


def wait_for(future: Future[T], timeout: float | None = None) -> T:
    """Wait for a future so that an interrupt gets through on every system.

    Raises:
        TimeoutError: after ``timeout`` seconds; the work goes on.
        WrongThread: on an engine's own thread.
    """
    if isinstance(threading.current_thread(), _LoopThread) and not future.done():
        raise WrongThread("This call waits, and on the engine's thread it would wait for itself. Await its twin.")
    waited = 0.0
    while True:
        step = _PATIENCE if timeout is None else min(_PATIENCE, max(timeout - waited, 0.0))
        try:
            return future.result(step)
        except TimeoutError:
            if future.done():
                return future.result()
            waited += step
            if timeout is not None and waited >= timeout:
                raise
