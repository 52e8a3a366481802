"""How long each model's tasks took, from the store, kept up while results come in."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from kiegen_nb.engine.journal import note
from kiegen_nb.engine.schedule import Expectation, expectation
from kiegen_nb.engine.store import KEPT_DURATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.tasks import GenerationTask


class History:
    """The durations of every model somebody asks about; on the engine's loop.

    Args:
        read: reads a model's durations from the store, in a worker thread.
        guess: the service's first guess for a task, two numbers of seconds.
    """

    def __init__(
        self,
        read: Callable[[str], list[float]],
        guess: Callable[[GenerationTask], tuple[float, float]],
    ) -> None:
        self._read = read
        self._guess = guess
        self._durations: dict[str, deque[float]] = {}
        self._expected: dict[str, Expectation | None] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}

    async def load(self, api_model: str) -> None:
        """Read a model's history, once."""
        if api_model in self._durations:
            return
        if api_model not in self._loading:
            self._loading[api_model] = asyncio.get_running_loop().create_task(self._load(api_model))
        await asyncio.shield(self._loading[api_model])

    async def _load(self, api_model: str) -> None:
        try:
            found = await asyncio.to_thread(self._read, api_model)
        except Exception as error:  # noqa: BLE001 - without a history there are fewer looks, and that is all
            note("store.trouble", None, f"no history of {api_model}: {error}")
            found = []
        finally:
            del self._loading[api_model]
        self._durations[api_model] = deque(found, KEPT_DURATIONS)
        self._expected.pop(api_model, None)

    def add(self, task: GenerationTask) -> None:
        """Take in a task that has succeeded."""
        known = self._durations.get(task.api_model)
        if known is not None and task.took is not None:
            known.append(task.took)
            self._expected.pop(task.api_model, None)

    def expect(self, task: GenerationTask) -> Expectation:
        """Return how long a task will take, by what is loaded; else by the service's first guess. On any thread."""
        name = task.api_model
        if name not in self._expected:
            self._expected[name] = expectation(tuple(self._durations.get(name, ())))
        low, high = self._guess(task)
        return self._expected.get(name) or Expectation(low, (low + high) / 2, high)
