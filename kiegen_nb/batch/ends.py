"""Which items of a batch have ended, and who waits for the next one or for all of them. Any thread may ask."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from kiegen_nb.engine.loop import awaited, fail, fulfil, wait_for
from kiegen_nb.errors import WrongThread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kiegen_nb.engine.loop import LoopThread
    from kiegen_nb.errors import SessionClosed
    from kiegen_nb.tasks import GenerationTask


class Ends:
    """The finished tasks of a batch in the order of their ends, with its waiters."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._finished: list[GenerationTask] = []
        self._is_settled = False
        self._error: SessionClosed | None = None
        self._waiters: dict[Future[None], bool] = {}  # whether one more finished task is enough

    @property
    def is_settled(self) -> bool:
        """Whether nothing more happens by itself."""
        return self._is_settled

    def add(self, task: GenerationTask) -> None:
        """Take in a finished task."""
        with self._lock:
            self._finished.append(task)
        self._tell(lambda one_is_enough: one_is_enough)

    def settle(self, *, is_settled: bool) -> None:
        """Take in whether more will happen by itself."""
        self._is_settled = is_settled
        if is_settled:
            self._tell(lambda _: True)

    def close(self, error: SessionClosed) -> None:
        """Tell everybody who waits that nothing more comes."""
        with self._lock:
            self._error = error
        self._tell(lambda _: True)

    def get(self, place: int) -> GenerationTask | None:
        """Return a finished task by its place in the order of the ends; None if there are not so many yet."""
        with self._lock:
            return self._finished[place] if place < len(self._finished) else None

    def when(self, place: int | None = None) -> tuple[Future[None], Callable[[], None]]:
        """Return a future that ends with the batch, and what forgets it.

        Args:
            place: have it end, too, once there are more finished tasks than this.
        """
        future: Future[None] = Future()
        with self._lock:
            if not self._is_settled and self._error is None and (place is None or len(self._finished) <= place):
                self._waiters[future] = place is not None
            elif self._error is not None:
                fail(future, self._error)
            else:
                fulfil(future, None)

        def forget() -> None:
            with self._lock:
                self._waiters.pop(future, None)

        return future, forget

    def _tell(self, concerns: Callable[[bool], bool]) -> None:
        with self._lock:
            told = [future for future, one_is_enough in self._waiters.items() if concerns(one_is_enough)]
            for future in told:
                del self._waiters[future]
        for future in told:
            if self._error is not None:
                fail(future, self._error)
            else:
                fulfil(future, None)


class Completions:
    """A batch's tasks in the order in which they finish, for ``async for`` and for ``for``.

    Args:
        ends: of the batch.
        engine: the thread on which nobody may wait.
    """

    def __init__(self, ends: Ends, engine: LoopThread) -> None:
        self._ends = ends
        self._engine = engine

    def __iter__(self) -> Iterator[GenerationTask]:
        if self._engine.is_current:
            raise WrongThread("This loop waits, and on the engine's thread it would wait for itself. Use async for.")
        for place in itertools.count():
            if (task := self._ends.get(place)) is None:
                future, forget = self._ends.when(place)
                try:
                    wait_for(future)
                finally:
                    forget()
                if (task := self._ends.get(place)) is None:
                    return
            yield task

    async def __aiter__(self) -> AsyncIterator[GenerationTask]:
        for place in itertools.count():
            if (task := self._ends.get(place)) is None:
                future, forget = self._ends.when(place)
                try:
                    await awaited(future)
                finally:
                    forget()
                if (task := self._ends.get(place)) is None:
                    return
            yield task
