"""What the engine last saw of each task, and who waits for what becomes of it. Any thread may ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from kiegen_nb.engine.loop import fail, fulfil
from kiegen_nb.errors import SessionClosed
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from kiegen_nb.tasks import GenerationTask

_UNANSWERED = frozenset({Activity.QUEUED, Activity.SUBMITTING})


class Board:
    """The tasks as last seen, with their waiters.

    Args:
        post: calls back on the display thread.
    """

    def __init__(self, post: Callable[..., object]) -> None:
        self._post = post
        self._lock = threading.Lock()
        self._tasks: dict[str, GenerationTask] = {}
        self._waiters: dict[str, list[Future[GenerationTask]]] = {}
        self._answers: dict[str, list[Callable[[GenerationTask], object]]] = {}
        self._refreshing: set[str] = set()
        self._closed = False

    def current(self, task_id: str) -> GenerationTask | None:
        """Return the task as last seen."""
        with self._lock:
            return self._tasks.get(task_id)

    def put(self, task: GenerationTask) -> None:
        """Take in a task, and tell who waited for its end."""
        with self._lock:
            self._tasks[task.id] = task
            waiting = self._waiters.pop(task.id, []) if self._is_over(task) else []
        for future in waiting:
            fulfil(future, task)

    def hold(self, task_id: str) -> None:
        """Have new waiters of a finished task wait for a refresh too."""
        with self._lock:
            self._refreshing.add(task_id)

    def release(self, task_id: str) -> None:
        """End what `hold` began."""
        with self._lock:
            self._refreshing.discard(task_id)
            task = self._tasks.get(task_id)
        if task is not None:
            self.put(task)

    def when_finished(self, task_id: str, future: Future[GenerationTask]) -> Callable[[], None]:
        """Fill a future with the task once it is finished; return what forgets the future."""
        with self._lock:
            closed, task = self._closed, self._tasks.get(task_id)
            over = task is not None and self._is_over(task)
            if not closed and not over:
                self._waiters.setdefault(task_id, []).append(future)
        # Outside: what the future tells may ask this board for another task.
        if closed:
            fail(future, SessionClosed("The session is closed; the task is kept in the store."))
        elif task is not None and over:
            fulfil(future, task)

        def forget() -> None:
            with self._lock:
                waiting = self._waiters.get(task_id, [])
                if future in waiting:
                    waiting.remove(future)

        return forget

    def when_answered(self, task_id: str, callback: Callable[[GenerationTask], object]) -> None:
        """Call back once the create was answered, at once if it already is."""
        with self._lock:
            task = self._tasks.get(task_id)
            if task is None or task.activity in _UNANSWERED:
                self._answers.setdefault(task_id, []).append(callback)
                return
        self._post(callback, task)

    def answered(self, task_id: str) -> None:
        """Take in that a create was answered."""
        with self._lock:
            callbacks = self._answers.pop(task_id, [])
            task = self._tasks[task_id]
        for callback in callbacks:
            self._post(callback, task)

    def close(self) -> None:
        """Tell everybody who waits that nothing more comes."""
        with self._lock:
            self._closed = True
            waiting = [future for futures in self._waiters.values() for future in futures]
            self._waiters.clear()
        for future in waiting:
            fail(future, SessionClosed("The session was closed; the task is kept and goes on next time."))

    def _is_over(self, task: GenerationTask) -> bool:
        return task.is_finished and task.id not in self._refreshing
