"""The part of `Session` that tells what there is and what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiegen_nb.engine.query import query_keys
from kiegen_nb.session.checks import checked_group, checked_prompt_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.health import Health
    from kiegen_nb.engine.journal import EventStream
    from kiegen_nb.engine.query import TaskQuery
    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.tasks import GenerationTask


class SessionWatching:
    """Watching: tasks as they are and as they change, and what the engine is doing."""

    _engine: Engine

    if TYPE_CHECKING:

        def _check_open(self) -> None: ...

    def expected_time(self, task: GenerationTask) -> float:
        """Return the seconds such a task usually takes, by the store's history; else by a first guess.

        Example:
            >>> f"about {session.expected_time(handle.task):.0f} s"  # doctest: +SKIP
            'about 12 s'
        """
        return self._engine.history.expect(task).median

    def tasks(self, prompt_id: str = "default") -> TaskQuery:
        """Return a live query on a prompt group.

        Raises:
            InvalidParams: that is no name of a group.

        Example:
            >>> [task.prompt for task in session.tasks("kites").refetch()]  # doctest: +SKIP
        """
        self._check_open()
        return self._engine.query(checked_prompt_id(prompt_id))

    def history(self, prompt_id: str | None = None, *, user: str | None = None) -> tuple[GenerationTask, ...]:
        """Return this account's tasks as the store has them now, newest first, without asking the service.

        Args:
            prompt_id: only this group; None for all of them.
            user: only what this user asked for, such as ``session.user``; None for everybody on a shared store.

        Raises:
            InvalidParams: that is no name of a group.
            StoreError: the task store could not be read.

        Example:
            >>> best = [task for task in session.history("kites") if task.rating == 5]  # doctest: +SKIP
        """
        self._check_open()
        return tuple(self._engine.store.every(checked_group(prompt_id), user))

    def invalidate(self, key: tuple[str, ...]) -> None:
        """Have every query under a key read its tasks again.

        Args:
            key: `query_keys.by_prompt(prompt_id)`, or ``("generation-tasks",)`` for all of them.

        Raises:
            ValueError: that is no key of this package.

        Example:
            >>> session.invalidate(query_keys.by_prompt("kites"))  # doctest: +SKIP
        """
        self._check_open()
        if not key or key[0] != query_keys.ROOT:
            raise ValueError(f"{key!r} is not a key of this package; use query_keys.by_prompt(prompt_id).")
        self._engine.invalidate(key[1] if len(key) > 1 else None)

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], object]) -> Callable[[], None]:
        """Call back with a group's states, on the display thread, at most four times a second.

        Returns:
            A function that ends it.

        Raises:
            InvalidParams: that is no name of a group.

        Example:
            >>> end = session.subscribe("kites", lambda state: print(len(state.data), "tasks"))  # doctest: +SKIP
            >>> end()  # doctest: +SKIP
        """
        self._check_open()
        return self._engine.subscribe(checked_prompt_id(prompt_id), callback)

    def events(self, prompt_id: str | None = None) -> EventStream:
        """Return what happens from now on, as an async iterator, for logs and dashboards.

        It ends when the session is closed; a stream nobody holds any more costs nothing.

        Args:
            prompt_id: only this group; None for all of them.

        Raises:
            InvalidParams: that is no name of a group.

        Example:
            >>> async for event in session.events():  # doctest: +SKIP
            ...     print(event)
        """
        self._check_open()
        return self._engine.events(checked_group(prompt_id))

    def health(self) -> Health:
        """Return what the engine is doing right now and what holds it back: looks per second, budget, pauses.

        Raises:
            StoreError: the task store could not be read.

        Example:
            >>> print(session.health())  # doctest: +SKIP
            0 sending, 4 watching, 0 saving; 1.3 looks per second of 9.0; 4 creates in the last 10 s of 20; no pause
        """
        self._check_open()
        return self._engine.health()

    def on_display(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on the display thread, the one thread that writes to galleries."""
        self._engine.display.post(function, *args)
