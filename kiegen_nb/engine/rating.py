"""What people say of a task: a rating and a comment, kept in the store and told to every gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine.loop import wait_for
from kiegen_nb.errors import KiegenError, WrongThread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.engine.loop import LoopThread
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.transitions import Event, Remark
    from kiegen_nb.tasks import GenerationTask


class Host(Protocol):
    """What rating needs of the engine."""

    store: Store
    thread: LoopThread

    async def transition(self, task_id: str, event: Event) -> tuple[GenerationTask, GenerationTask]:
        """Store an event and tell everybody; return the task before and after."""


class Rater:
    """Rates and comments, on any thread but the engine's.

    Args:
        host: the engine.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def remark(self, task_id: str, remarks: Sequence[Remark]) -> GenerationTask:
        """Store what is said of a task, whatever goes on with it; return the task after that.

        Raises:
            KiegenError: there is no such task, or it was deleted.
            StoreError: the store could not be read or written; it was not kept.
            WrongThread: on the engine's own thread.
        """
        if self._host.thread.is_current:
            raise WrongThread("rate() waits for the store; call it from a cell, a callback or a thread of your own.")
        found = self._host.store.get(task_id)
        if found is None:
            raise KiegenError(
                f"Task {task_id} cannot be rated: this account's store has no such task, or it was deleted. "
                "session.restore([task]) brings a deleted one back."
            )
        # Through the loop, in the order of all other changes: an older state must not follow a newer one.
        return wait_for(self._host.thread.submit(self._store(found, remarks)))

    async def _store(self, task: GenerationTask, remarks: Sequence[Remark]) -> GenerationTask:
        for remark in remarks:
            _, task = await self._host.transition(task.id, remark)
        return task
