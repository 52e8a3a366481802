"""Queued requests of this process that nobody is sending right now, and which batch will."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from kiegen_nb.engine.loop import wait_for
from kiegen_nb.engine.store_asks import MOST_AT_ONCE
from kiegen_nb.errors import WrongThread
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from kiegen_nb.engine.loop import LoopThread
    from kiegen_nb.engine.removal import Remover
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.store_asks import Ask
    from kiegen_nb.errors import KiegenError
    from kiegen_nb.tasks import GenerationTask

UNSENT = (Activity.QUEUED, Activity.SUBMITTING)


class Owner(Protocol):
    """A batch, as far as it is told what became of its requests."""

    def returned(self, task_id: str, error: KiegenError | None) -> None:
        """Take in, on the loop, that a request is queued still: it was taken back, or it could not be sent."""


class Held:
    """Who sends what: each request is sent by the newest that asked for it. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, None] = {}  # queued and ours, and nobody sends it now
        self._owners: dict[str, Owner] = {}
        self._awaited: set[str] = set()  # another kernel was to send them when a cell of this one asked, too

    def claim(self, task_ids: Iterable[str], owner: Owner) -> None:
        """Have requests sent by a batch from now on, whoever was to send them before."""
        with self._lock:
            self._owners.update(dict.fromkeys(task_ids, owner))

    def lay_down(self, task_id: str) -> Owner | None:
        """Take in that a queued request is sent by nobody now; return who will send it."""
        with self._lock:
            self._idle[task_id] = None
            return self._owners.get(task_id)

    def pick_up(self, task_id: str, owner: Owner | None = None) -> bool:
        """Take a request to send it; return whether it was there.

        Args:
            task_id: the request.
            owner: take it only if it is this batch's; None takes it in any case.
        """
        with self._lock:
            mine = owner is None or self._owners.get(task_id) is owner
            if not mine or task_id not in self._idle:
                return False
            del self._idle[task_id]
            return True

    def is_held(self, task_id: str) -> bool:
        """Whether a batch will send it."""
        with self._lock:
            return task_id in self._idle and task_id in self._owners

    def loose(self) -> list[str]:
        """Take the requests that are no batch's, to send them."""
        with self._lock:
            found = [task_id for task_id in self._idle if task_id not in self._owners]
            for task_id in found:
                del self._idle[task_id]
            return found

    def ask_for(self, task_id: str) -> bool:
        """Take a request to send it; where somebody else is to, wait for that instead, and return False."""
        taken = self.pick_up(task_id)
        if not taken:
            with self._lock:
                self._awaited.add(task_id)
        return taken

    def awaited(self, current: Callable[[str], GenerationTask | None]) -> set[str]:
        """Return the requests that are waited for here, are not sent as far as is known, and may be somebody else's.

        What another kernel did last is seen a moment later: one that seems to be on its way may be queued again.

        Args:
            current: gives a task as last seen.
        """
        with self._lock:
            ids = self._awaited | {task_id for task_id in self._owners if task_id not in self._idle}
        known = {task_id: task for task_id in ids if (task := current(task_id)) is not None}
        unsent = {task_id for task_id, task in known.items() if task.activity in UNSENT}
        with self._lock:
            self._awaited -= known.keys() - unsent
        return unsent

    def forget(self, task_id: str) -> None:
        """Take in that a request is finished."""
        with self._lock:
            self._idle.pop(task_id, None)
            self._owners.pop(task_id, None)
            self._awaited.discard(task_id)


class Host(Protocol):
    """What storing many requests needs of the engine."""

    store: Store
    held: Held
    thread: LoopThread
    remover: Remover

    def adopt(self, task: GenerationTask, name: str) -> None:
        """Take in a task that somebody asked for; on the loop."""

    def on_loop(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on the engine's loop soon."""


def store_all(host: Host, asks: Sequence[Ask], prompt_id: str) -> list[GenerationTask]:
    """Find or insert requests in a few transactions; those that are ours to send are laid down.

    Args:
        host: the engine.
        asks: what is asked, in order.
        prompt_id: the group.

    Raises:
        StoreError: some could not be stored; those before them are kept and not sent.
        WrongThread: on the engine's own thread.
    """
    if host.thread.is_current:
        raise WrongThread("A batch waits for the store; make it in a cell, a callback or a thread of your own.")
    tasks: list[GenerationTask] = []
    stored: list[GenerationTask] = []
    for start in range(0, len(asks), MOST_AT_ONCE):
        # One after the other: what waits for the store together becomes one long transaction.
        found = host.store.find_or_insert_many(asks[start : start + MOST_AT_ONCE], prompt_id=prompt_id)
        try:
            several = wait_for(found)
        except BaseException:
            # Interrupted in these moments: the rows are kept, and sent when the cell runs again.
            found.add_done_callback(partial(keep_back, host))
            for task in stored:
                host.on_loop(host.adopt, task, "queued")
            raise
        for task, ours in several:
            host.remover.bring_back(task)
            if ours:
                host.held.lay_down(task.id)
                stored.append(task)
            tasks.append(task)
    return tasks


def keep_back(host: Host, found: Future[Any]) -> None:
    """Lay down what was stored for somebody who was interrupted: a task and whether it is ours, or many such pairs."""
    if found.cancelled() or found.exception() is not None:
        return
    pairs = found.result()
    for task, ours in pairs if isinstance(pairs, list) else [pairs]:
        if ours:
            host.held.lay_down(task.id)
            host.on_loop(host.adopt, task, "queued")
