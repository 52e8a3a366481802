"""`TaskHandle`: what `Session.submit` gives back."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from kiegen_nb.engine.loop import awaited, wait_for
from kiegen_nb.errors import TaskError, TaskFailed, TaskTimeout, TaskUnconfirmed, WrongThread
from kiegen_nb.tasks import TIMEOUT, UNCONFIRMED, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.loop import SerialThread
    from kiegen_nb.engine.waiting import Board


class TaskHandle:
    """A submitted task, to be awaited or waited for as often as you like.

    Waiting never owns the task: an interrupt, a time-out or a cancelled ``await`` ends the waiting only.

    Example:
        >>> handle = session.submit(imagen4("a red kite"))  # doctest: +SKIP
        >>> task = await handle  # doctest: +SKIP
        >>> task.assets[0].path  # doctest: +SKIP
    """

    def __init__(self, engine: Engine, task: GenerationTask) -> None:
        self._engine = engine
        self._first = task

    @property
    def id(self) -> str:
        """The task's own id."""
        return self._first.id

    @property
    def task(self) -> GenerationTask:
        """The task as last seen."""
        return self._engine.current(self.id) or self._first

    @property
    def status(self) -> TaskStatus:
        """PENDING, SUCCESS or FAILED."""
        return self.task.status

    def __await__(self) -> Generator[object, None, GenerationTask]:
        return self._wait().__await__()

    async def _wait(self) -> GenerationTask:
        future: Future[GenerationTask] = Future()
        remove = self._engine.board.when_finished(self.id, future)
        try:
            return outcome(await awaited(future))
        finally:
            remove()

    def result(self, timeout: float | None = None) -> GenerationTask:
        """Wait until the task is finished and its files are saved, and return it.

        Args:
            timeout: seconds to wait; None waits as long as it takes.

        Raises:
            WrongThread: on the engine's own thread, where it would wait for itself.
            TaskFailed: it ended without a result; the error carries the task.
            TaskTimeout: it is not finished yet, or ran past its own limit; the error carries the task.
            SessionClosed: the session was closed meanwhile.

        Example:
            >>> task = session.submit(imagen4("a red kite")).result(timeout=120)  # doctest: +SKIP
        """
        if self._engine.thread.is_current:
            raise WrongThread("result() waits, and on the engine's thread it would wait for itself; await the handle.")
        future: Future[GenerationTask] = Future()
        remove = self._engine.board.when_finished(self.id, future)
        try:
            return outcome(wait_for(future, timeout))
        except TimeoutError as error:
            if isinstance(error, TaskError):
                raise
            message = (
                f"Not finished after {timeout:g} s. It goes on and is not paid for again; wait again with .result()."
            )
            raise TaskTimeout(self.task, message) from None
        finally:
            remove()

    def cancel(self) -> bool:
        """Take the request back if it is not sent yet; return whether it was.

        Kie has no way to cancel a task it has accepted: such a task runs on and is paid for.

        Example:
            >>> if not handle.cancel():  # doctest: +SKIP
            ...     task = await handle
        """
        return wait_for(self._engine.cancel(self.id))

    def when_answered(self, callback: Callable[[GenerationTask], object]) -> None:
        """Call back once, on the display thread, as soon as the service has accepted or refused the request.

        A service that cannot be reached counts as an answer too: the task says so in its note.

        Example:
            >>> handle.when_answered(lambda task: print(task.status, task.fail_msg))  # doctest: +SKIP
        """
        self._engine.board.when_answered(self.id, callback)

    def __repr__(self) -> str:
        return f"TaskHandle({self.id[:8]}, {self.status})"

    def _repr_html_(self) -> str:
        return self.task._repr_html_()


def outcome(task: GenerationTask) -> GenerationTask:
    """Return a finished task, or raise what its failure is called."""
    if task.status is not TaskStatus.FAILED:
        return task
    message = f"{task.api_model}, task {task.id[:8]}: {task.fail_msg or task.fail_code or 'failed'}"
    kinds: dict[str | None, type[TaskError]] = {UNCONFIRMED: TaskUnconfirmed, TIMEOUT: TaskTimeout}
    raise kinds.get(task.fail_code, TaskFailed)(task, message)


def call_back(
    board: Board,
    thread: SerialThread,
    task_id: str,
    on_success: Callable[[GenerationTask], object] | None,
    on_error: Callable[[TaskError], object] | None,
    context: Context,
) -> None:
    """Call one of two functions on a thread, in a context, once a task is finished."""

    def finished(future: Future[GenerationTask]) -> None:
        if future.exception() is None:
            thread.post(tell, future.result(), context=context)

    def tell(task: GenerationTask) -> None:
        try:
            outcome(task)
        except TaskError as error:
            if on_error is not None:
                on_error(error)
        else:
            if on_success is not None:
                on_success(task)

    done: Future[GenerationTask] = Future()
    done.add_done_callback(finished)
    board.when_finished(task_id, done)
