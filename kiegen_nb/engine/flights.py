"""Work that several callers want at once and that is done once; it ends when the last of them gives up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Tell = Callable[[int, int], object]

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    task: asyncio.Task[T]
    listeners: list[Tell] = field(default_factory=list)


class Flights(Generic[T]):
    """Work under way, by name; to be used on one loop."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._flights

    async def join(self, name: str, work: Callable[[Tell], Coroutine[Any, Any, T]], listener: Tell) -> T:
        """Return what work under a name gives, begun now unless it is under way.

        Args:
            name: equal names are the same work.
            work: begins it; it is given a function that tells every listener how far it is.
            listener: told so as long as this caller waits.
        """
        flight = self._flights.get(name)
        if flight is None:
            listeners: list[Tell] = []
            task = asyncio.get_running_loop().create_task(work(partial(_tell_all, listeners)))
            task.add_done_callback(lambda task: task.cancelled() or task.exception())  # heard by whoever waits
            flight = self._flights[name] = _Flight(task, listeners)
        flight.listeners.append(listener)
        try:
            await asyncio.wait({flight.task})
            return flight.task.result()
        finally:
            flight.listeners.remove(listener)
            if flight.task.done() or not flight.listeners:
                flight.task.cancel()
                if self._flights.get(name) is flight:
                    del self._flights[name]


def _tell_all(listeners: list[Tell], sent: int, total: int) -> None:
    for listener in listeners:
        listener(sent, total)
