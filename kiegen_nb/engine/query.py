"""Who watches which prompt group, and `TaskQuery`, the traitlets face of it."""

from __future__ import annotations

import asyncio
import contextvars
import weakref
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

import traitlets

from kiegen_nb.engine.loop import awaited, wait_for
from kiegen_nb.engine.state import QueryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.engine.loop import LoopThread, SerialThread
    from kiegen_nb.tasks import GenerationTask

Key = tuple[str, str]
_CROWD = 1000  # tasks of a group that take milliseconds to put together
_CROWD_PACE = 0.1  # seconds between two states of such a group


class query_keys:  # noqa: N801 - a namespace, spelled as in the web hooks
    """The keys of queries, for `Session.invalidate`.

    Example:
        >>> query_keys.by_prompt("kites")
        ('generation-tasks', 'kites')
    """

    ROOT = "generation-tasks"

    @staticmethod
    def by_prompt(prompt_id: str) -> Key:
        """Return ``("generation-tasks", prompt_id)``."""
        return (query_keys.ROOT, prompt_id)


class _Subscriber:
    """Delivers states to one callback on its thread: only the newest, no faster than its pace."""

    def __init__(self, callback: Callable[[QueryState], object], thread: SerialThread, pace: float) -> None:
        self._callback = callback
        self._thread = thread
        self._context = contextvars.copy_context()
        self._pace = pace
        self._latest: QueryState | None = None
        self._delivered: QueryState | None = None
        self._not_before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def offer(self, state: QueryState, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver a state soon; on the loop."""
        self._latest = state
        if self._timer is None:
            self._timer = loop.call_at(max(self._not_before, loop.time()), self._post, loop)

    def cancel(self) -> None:
        """Deliver no more."""
        self._latest = None
        if self._timer is not None:
            self._timer.cancel()

    def _post(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._not_before = loop.time() + self._pace
        if self._latest is not None and self._latest != self._delivered:
            self._delivered = self._latest
            self._thread.post(self._callback, self._latest, context=self._context)


class _Group:
    """One prompt group that somebody watches."""

    def __init__(self) -> None:
        self.tasks: dict[str, GenerationTask] = {}
        self.order: list[str] | None = None  # newest first; None while it has to be sorted anew
        self.state = QueryState()
        self.error: Exception | None = None
        self.subscribers: dict[object, _Subscriber] = {}
        self.loading: asyncio.Task[None] | None = None
        self.published: set[str] = set()  # since the read that is going on began: newer than what it reads
        self.gone: set[str] = set()  # the same, deleted


class QueryHub:
    """Keeps the watched groups up to date and tells their subscribers, several changes at a time.

    Args:
        thread: the engine's loop; everything but `subscribe` runs on it.
        read: reads a group from the store, in a worker thread.
        is_sandbox: whether the service calls itself a sandbox.
    """

    def __init__(
        self,
        thread: LoopThread,
        read: Callable[[str], list[GenerationTask]],
        is_sandbox: Callable[[], bool],
    ) -> None:
        self._thread = thread
        self._read = read
        self._is_sandbox = is_sandbox
        self._groups: dict[str, _Group] = {}
        self._look_errors: dict[str, Exception] = {}
        self._dirty: set[str] = set()
        self._not_before = 0.0  # the loop's time before which nothing is told
        self.credits: float | None = None

    def subscribe(
        self,
        prompt_id: str,
        callback: Callable[[QueryState], object],
        thread: SerialThread,
        *,
        pace: float = 0.0,
    ) -> Callable[[], None]:
        """Call back with the group's state, now and whenever it changes; return what ends it. Any thread.

        Args:
            prompt_id: the group.
            callback: gets each new state.
            thread: where it is called.
            pace: least seconds between two calls.
        """
        token, subscriber = object(), _Subscriber(callback, thread, pace)

        def add() -> None:
            group = self._groups.setdefault(prompt_id, _Group())
            group.subscribers[token] = subscriber
            if group.state.is_loading:
                self._thread.spawn(self.load(prompt_id))
            subscriber.offer(group.state, self._thread.loop)

        def remove() -> None:
            subscriber.cancel()
            group = self._groups.get(prompt_id)
            if group is not None:
                group.subscribers.pop(token, None)
                if not group.subscribers and group.loading is None:
                    del self._groups[prompt_id]

        self._on_loop(add)
        return lambda: self._on_loop(remove)

    @property
    def is_watched(self) -> bool:
        """Whether any group has a subscriber."""
        return any(group.subscribers for group in self._groups.values())

    def publish(self, task: GenerationTask) -> None:
        """Take in a changed task."""
        group = self._groups.get(task.prompt_id)
        if not task.is_pending:
            self._look_errors.pop(task.id, None)
        if group is not None and (known := group.tasks.get(task.id)) != task:
            group.tasks[task.id] = task
            if known is None:
                group.order = None
            group.published.add(task.id)
            group.gone.discard(task.id)
            self._touch(task.prompt_id)

    def forget(self, task: GenerationTask) -> None:
        """Take in that a task was deleted."""
        group = self._groups.get(task.prompt_id)
        self._look_errors.pop(task.id, None)
        if group is not None:
            group.tasks.pop(task.id, None)
            group.order = None
            group.published.discard(task.id)
            group.gone.add(task.id)
            self._touch(task.prompt_id)

    def look_failed(self, task: GenerationTask, error: Exception | None) -> None:
        """Take in that a look at a task failed, or works again."""
        if self._look_errors.get(task.id) is error:
            return
        if error is None:
            del self._look_errors[task.id]
        else:
            self._look_errors[task.id] = error
        self._touch(task.prompt_id)

    def invalidate(self, prompt_id: str | None) -> None:
        """Read a watched group again (None: all of them)."""
        for name in [prompt_id] if prompt_id is not None else list(self._groups):
            if name in self._groups:
                self._thread.spawn(self.load(name))

    def touch_all(self) -> None:
        """Tell every group's subscribers what changed beside the tasks."""
        for prompt_id in self._groups:
            self._touch(prompt_id)

    async def load(self, prompt_id: str) -> tuple[GenerationTask, ...]:
        """Read a group again; two loads at a time are one. An error keeps the old data."""
        group = self._groups.setdefault(prompt_id, _Group())
        if group.loading is None:
            group.loading = asyncio.get_running_loop().create_task(self._load(prompt_id, group))
        await asyncio.shield(group.loading)
        return self._compose(group).data

    async def _load(self, prompt_id: str, group: _Group) -> None:
        group.state = replace(group.state, is_fetching=True)
        group.published.clear()
        group.gone.clear()
        self._touch(prompt_id)
        try:
            found = await asyncio.to_thread(self._read, prompt_id)
        except Exception as error:  # noqa: BLE001 - shown as the query's error
            group.error = error
        else:
            group.error = None
            newer = {task_id: group.tasks[task_id] for task_id in group.published}
            group.tasks = {task.id: task for task in found if task.id not in group.gone} | newer
            group.order = None
            group.state = replace(group.state, is_loading=False)
        finally:
            group.loading = None
            group.state = replace(group.state, is_fetching=False)
            self._touch(prompt_id)

    def _touch(self, prompt_id: str) -> None:
        if not self._dirty:
            self._thread.loop.call_at(self._not_before, self._flush)
        self._dirty.add(prompt_id)

    def _flush(self) -> None:
        for prompt_id in self._dirty:
            group = self._groups.get(prompt_id)
            if group is None:
                continue
            group.state = self._compose(group)
            for subscriber in group.subscribers.values():
                subscriber.offer(group.state, self._thread.loop)
            if len(group.tasks) > _CROWD:
                self._not_before = self._thread.loop.time() + _CROWD_PACE
        self._dirty.clear()

    def _compose(self, group: _Group) -> QueryState:
        # A batch may bring ten thousand tasks, and each of their steps comes through here.
        if group.order is None:
            newest = sorted(group.tasks.values(), key=lambda task: (task.created_at, task.id), reverse=True)
            group.order = [task.id for task in newest]
        data = tuple(map(group.tasks.__getitem__, group.order))
        return replace(
            group.state,
            data=data,
            error=group.error or self._look_error(group),
            is_polling=any(task.external_task_id and task.is_pending for task in data),
            is_sandbox=self._is_sandbox(),
            credits=self.credits,
        )

    def _look_error(self, group: _Group) -> Exception | None:
        known = ((group.tasks.get(task_id), error) for task_id, error in self._look_errors.items())
        return next((error for task, error in known if task is not None and task.is_pending), None)

    def _on_loop(self, function: Callable[[], None]) -> None:
        if self._thread.is_current:
            function()
            return
        try:
            self._thread.loop.call_soon_threadsafe(function)
        except RuntimeError:
            return  # the loop has ended: there is nothing left to tell


class TaskQuery(traitlets.HasTraits):
    """A prompt group, kept up to date: looks every few seconds while a task is pending, stops when none is.

    Observers (``query.observe(handler, "data")``) run on the callback thread, one at a time.

    Attributes:
        data: the group's tasks, newest first; kept as they were when an error comes.
        is_loading: nothing was read yet.
        is_fetching: a read is going on.
        error: the last read or look failed with this, None while all is well.
        is_polling: a task of the group is pending at the service.
        is_sandbox: the service called itself a sandbox.
        credits: the account's balance, None while unknown.

    Example:
        >>> query = session.tasks("kites")  # doctest: +SKIP
        >>> query.observe(lambda change: print(len(change.new)), "data")  # doctest: +SKIP
    """

    data = traitlets.Tuple()
    is_loading = traitlets.Bool(default_value=True)
    is_fetching = traitlets.Bool(default_value=False)
    error: traitlets.TraitType[Exception | None, Exception | None] = traitlets.Any(None)
    is_polling = traitlets.Bool(default_value=False)
    is_sandbox = traitlets.Bool(default_value=False)
    credits: traitlets.TraitType[float | None, float | None] = traitlets.Any(None)

    def __init__(
        self,
        prompt_id: str,
        hub: QueryHub,
        thread: SerialThread,
        refetch: Callable[[str], Future[tuple[GenerationTask, ...]]],
    ) -> None:
        super().__init__()
        self.key: Key = query_keys.by_prompt(prompt_id)
        self._refetch = refetch
        self._callbacks = thread
        this = weakref.ref(self)

        def deliver(state: QueryState) -> None:
            query = this()
            if query is None:
                unsubscribe()
            else:
                query._receive(state)  # noqa: SLF001 - it is our own class, behind a weak reference

        unsubscribe = hub.subscribe(prompt_id, deliver, thread)
        weakref.finalize(self, unsubscribe).atexit = False

    def refetch(self) -> tuple[GenerationTask, ...]:
        """Read the group again, look at its pending tasks now, and return ``data``.

        A failure does not raise: it is in ``error``, and ``data`` keeps what was known.

        Example:
            >>> [task.state for task in query.refetch() if task.is_pending]  # doctest: +SKIP
        """
        data = wait_for(self._refetch(self.key[1]))
        self._catch_up()
        return data

    async def arefetch(self) -> tuple[GenerationTask, ...]:
        """Do the same as `refetch`, awaitable.

        Example:
            >>> newest, *older = await query.arefetch()  # doctest: +SKIP
        """
        data = await awaited(self._refetch(self.key[1]))
        await asyncio.to_thread(self._catch_up)
        return data

    def _catch_up(self) -> None:
        # The traits are set on the callback thread, in order: when it has come past here they are up to date.
        if not self._callbacks.is_current:
            passed: Future[None] = Future()
            self._callbacks.post(passed.set_result, None)
            wait_for(passed)

    def _receive(self, state: QueryState) -> None:
        with self.hold_trait_notifications():
            for name in ("data", "is_loading", "is_fetching", "error", "is_polling", "is_sandbox", "credits"):
                value = getattr(state, name)
                if getattr(self, name) is not value:
                    setattr(self, name, value)

    def __repr__(self) -> str:
        return f"TaskQuery({self.key[1]!r}, {len(self.data)} tasks)"
