"""The engine: joins store, sending, looking, saving and telling for one account on one store."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from functools import partial
from typing import TYPE_CHECKING

from kiegen_nb.engine.clock import Clock, SystemClock, as_datetime
from kiegen_nb.engine.handle import TaskHandle, call_back
from kiegen_nb.engine.health import Health, take_stock
from kiegen_nb.engine.held import Held, keep_back
from kiegen_nb.engine.history import History
from kiegen_nb.engine.journal import STEPS, EventStream, Journal, TaskEvent, note
from kiegen_nb.engine.keeper import Keeper
from kiegen_nb.engine.limits import Limits
from kiegen_nb.engine.loop import LoopThread, SerialThread, wait_for
from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.engine.poller import Poller
from kiegen_nb.engine.query import QueryHub, TaskQuery
from kiegen_nb.engine.rating import Rater
from kiegen_nb.engine.removal import Remover
from kiegen_nb.engine.store import Store
from kiegen_nb.engine.submission import Submitter, until_stored
from kiegen_nb.engine.transitions import Cancelled, Saved, Saving, apply
from kiegen_nb.engine.uploads import Uploader
from kiegen_nb.engine.waiting import Board
from kiegen_nb.errors import KiegenError, SessionClosed, TaskError, WrongThread
from kiegen_nb.tasks import CANCELLED, Activity, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from pathlib import Path

    from kiegen_nb.engine.database import Database
    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.service import Request, Service
    from kiegen_nb.tasks import GenerationTask

DISPLAY_PACE = 0.25  # least seconds between two updates of one gallery
CLOSE_PATIENCE = 0.8  # seconds a create in flight gets to be answered when the session closes


class Engine:
    """One account's work on one store; shared by every `Session` with the same two.

    Args:
        service: where tasks are made.
        database: where they are kept.
        poll_interval: seconds between two looks at a task.
        output_dir: where results are saved.
        user_agent: what result hosts are told.
        create_limit: requests per window that make a task; 0 is no limit.
        create_window: seconds.
        look_limit: looks per second; 0 is no limit.
        clock: time and chance.
    """

    def __init__(
        self,
        service: Service,
        database: Database,
        *,
        poll_interval: float,
        output_dir: Path,
        user_agent: str,
        create_limit: int = 20,
        create_window: float = 10.0,
        look_limit: float = 9.0,
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.service = service
        self.poll_interval = poll_interval
        self.output_dir = output_dir
        self.embed = False  # whether PNG files are saved with the text of how they were made
        self._database = database
        self.store = Store(database, service.account, self.clock)
        self.limits = Limits(database, service.account, self.clock)
        self.set_limits(create_limit, create_window, look_limit)
        self.history = History(self.store.durations, service.usual_time)
        self.journal = Journal()
        self.thread = LoopThread("kiegen-engine")
        self.callbacks = SerialThread("kiegen-callbacks")
        self.display = SerialThread("kiegen-display")
        self.hub = QueryHub(self.thread, self.store.by_prompt, lambda: service.is_sandbox)
        self.uploads = Uploader(service, database, self.clock, self.thread, self.callbacks)
        self.submitter = Submitter(self, service)
        self._poller = Poller(self, service)
        self._keeper = Keeper(self)
        self.remover = Remover(self)
        self.rater = Rater(self)
        self._media = MediaSaver(
            self.clock, user_agent=user_agent, allow_local=service.is_local, fresh_url=service.fresh_url
        )
        self.board = Board(self.display.post)
        self.current = self.board.current
        self.answered = self.board.answered
        self._lock = threading.Lock()  # guards _closed
        self._saving: set[str] = set()
        self.held = Held()
        self._closed = False
        wait_for(self.thread.submit(self._start()))

    async def _start(self) -> None:
        self.thread.spawn(self._poller.run())
        self.thread.spawn(self._keeper.run())

    def set_limits(self, create_limit: int, create_window: float, look_limit: float) -> None:
        """Set the account's limits for this process; 0 is no limit."""
        self.limits.creates = create_limit or None
        self.limits.window = create_window
        self.limits.looks = look_limit or None

    # What a session asks, on any thread.

    def submit(
        self,
        request: Request,
        *,
        prompt_id: str,
        repeat: int | None = 0,
        fresh: bool = False,
        parent_id: str | None = None,
        on_success: Callable[[GenerationTask], object] | None = None,
        on_error: Callable[[TaskError], object] | None = None,
    ) -> TaskHandle:
        """Find the newest identical request, or store a new one and send it."""
        self._check_open()
        note("submit.asked", None, request.api_model)
        if self.thread.is_current:
            raise WrongThread("submit() waits for the store; call it from a cell, a callback or a thread of your own.")
        found = self.store.find_or_insert(request, prompt_id=prompt_id, repeat=repeat, fresh=fresh, parent_id=parent_id)
        try:
            task, ours = wait_for(found)
        except BaseException:
            # Interrupted in these few milliseconds: the row is kept, and sent when the cell runs again.
            found.add_done_callback(partial(keep_back, self))
            raise
        if ours:
            note("submit.stored", task.id)
        ours = ours or self.held.ask_for(task.id)
        self.remover.bring_back(task)
        handle = TaskHandle(self, task)
        context = contextvars.copy_context()
        self.on_loop(self._adopt, task, request if ours else None, context.copy())
        if on_success is not None or on_error is not None:
            call_back(self.board, self.callbacks, task.id, on_success, on_error, context)
        return handle

    def resume(self) -> list[TaskHandle]:
        """Send the queued requests of processes that ended; return their handles."""
        self._check_open()
        handles = []
        loose = [self.current(task_id) for task_id in self.held.loose()]
        taken = [task for task in wait_for(self.store.take_queued()) if not self.held.is_held(task.id)]
        for task in [*filter(None, loose), *taken]:
            if (request := self._prepared(task)) is not None:
                self.on_loop(self._adopt, task, request, contextvars.copy_context())
                handles.append(TaskHandle(self, task))
        return handles

    def _prepared(self, task: GenerationTask) -> Request | None:
        try:
            return self.service.prepare(task.provider_params)
        except KiegenError as error:
            note("submit.impossible", task.id, str(error))
            return None

    def refresh(self, task_id: str) -> None:
        """Look at a task once more now, or fetch its missing files again."""
        self._check_open()
        self.board.hold(task_id)
        self.thread.submit(self._refresh(task_id))

    def handle(self, task: GenerationTask) -> TaskHandle:
        """Return a handle for a task of the store."""
        self.on_loop(self._adopt, task, None, contextvars.copy_context())
        return TaskHandle(self, task)

    def events(self, prompt_id: str | None) -> EventStream:
        """Return a stream of what happens from now on, in one group or in all."""
        self._check_open()
        stream = self.journal.open(prompt_id)
        self.on_loop(self._keeper.stir)
        return stream

    def health(self) -> Health:
        """Return what is going on, and what holds it back."""
        self._check_open()
        store, saving = self._database.name, len(self._saving)
        return take_stock(self.service, store, self.limits, self._poller, self.submitter, saving)

    def invalidate(self, prompt_id: str | None) -> None:
        """Have a watched group (None: all of them) read again."""
        self.on_loop(self.hub.invalidate, prompt_id)

    def cancel(self, task_id: str) -> Future[bool]:
        """Take a queued request back; the future says whether that was still possible."""
        return self.thread.submit(self._cancel(task_id))

    def query(self, prompt_id: str) -> TaskQuery:
        """Return a query on a prompt group."""
        self._check_open()
        query = TaskQuery(prompt_id, self.hub, self.callbacks, self.refetch)
        self.on_loop(self._begin_watching)
        return query

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], object]) -> Callable[[], None]:
        """Call back on the display thread with a group's states, a few times a second at most."""
        self._check_open()
        unsubscribe = self.hub.subscribe(prompt_id, callback, self.display, pace=DISPLAY_PACE)
        self.on_loop(self._begin_watching)
        return unsubscribe

    def refetch(self, prompt_id: str) -> Future[tuple[GenerationTask, ...]]:
        """Read a group again and look at its pending tasks now."""
        return self.thread.submit(self._refetch(prompt_id))

    def on_loop(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on the engine's loop soon."""
        try:
            self.thread.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            raise SessionClosed from None

    def close(self) -> None:
        """Let creates in flight be answered, give leases back, end the threads. At most about two seconds."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.board.close()
        self.journal.close()
        try:
            wait_for(self.thread.submit(self._finish()), CLOSE_PATIENCE + 1.0)
        except TimeoutError:
            note("engine.late", None, "the engine did not end in time")
        self.thread.stop(patience=1.0)
        self._database.close()
        self.display.stop(patience=0.2)
        self.callbacks.stop(patience=0.2)

    # What the rooms below ask, on the loop.

    async def dispatch(self, task_id: str, event: Event) -> GenerationTask:
        """Store an event and tell everybody; return the task after it."""
        known = self.current(task_id)
        if known is not None and apply(known, event) is known:
            return known  # nothing new: no write, no message
        return (await self.transition(task_id, event))[1]

    async def transition(self, task_id: str, event: Event) -> tuple[GenerationTask, GenerationTask]:
        """Do the same; return the task before and after, the same object if the event came too late."""
        before, after = await asyncio.wrap_future(self.store.apply(task_id, event))
        name = type(event).__name__.lower()
        if after is not before:
            self.remember(after, name)
            note(STEPS.get(name, f"task.{name}"), task_id, after.fail_msg or after.note or "", state=after.state)
        else:
            self.remember(after, "followed")
        if after.activity is Activity.SAVING and before.activity is not Activity.SAVING:
            self.save(after)
        return before, after

    def remember(self, task: GenerationTask, name: str) -> None:
        """Take in a task as it is in the store, and tell everybody who follows it.

        Args:
            task: the task.
            name: what happened, as in `TaskEvent.name`.
        """
        known = self.current(task.id)
        self.hub.publish(task)
        self.board.put(task)
        if task != known:
            self.journal.tell(TaskEvent(as_datetime(self.clock.time()), name, task))

    def forget(self, task: GenerationTask) -> None:
        """Take in that a task was deleted."""
        self.hub.forget(task)

    async def watch(self, task: GenerationTask) -> None:
        """Look after an accepted task of an earlier process, at once."""
        await self.history.load(task.api_model)
        self._poller.add(task)

    def save(self, task: GenerationTask) -> None:
        """Fetch the files of a task that has succeeded."""
        if task.id not in self._saving:
            self._saving.add(task.id)
            self.thread.spawn(self._save(task))

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is begun any more."""
        return self._closed

    @property
    def sending(self) -> frozenset[str]:
        """The ids of the tasks on their way to the service."""
        return self.submitter.sending

    @property
    def busy_with(self) -> frozenset[str]:
        """The ids of the tasks this process works on itself."""
        return self._poller.watching | self.submitter.sending | self._saving

    def look_failed(self, task_id: str, error: Exception | None) -> None:
        """Take in that a look at a task failed, or (None) works again."""
        task = self.current(task_id)
        if task is not None:
            self.hub.look_failed(task, error)

    # The engine's own work, on the loop.

    def adopt(self, task: GenerationTask, name: str) -> None:
        """Take in a task that somebody asked for, and what happened to it if it is new here; on the loop."""
        if self.current(task.id) is None:
            self.remember(task, name)
        self._keeper.stir()

    def _adopt(self, task: GenerationTask, request: Request | None, context: contextvars.Context) -> None:
        self.adopt(task, "queued" if request is not None else "followed")
        if request is not None:
            context.run(self.thread.spawn, self.send(task, request))

    def send_on(self, task: GenerationTask) -> None:
        """Send a queued task that a process which ended was to send, and this one waits for; on the loop."""
        if (owner := self.held.lay_down(task.id)) is not None:
            owner.returned(task.id, None)
        elif self.held.pick_up(task.id) and (request := self._prepared(task)) is not None:
            self.thread.spawn(self.send(task, request))

    async def send(self, task: GenerationTask, request: Request, *, patient: bool = False) -> None:
        """See a queued request through to its answer; a patient one stays queued where all are refused for now."""
        if task.id in self.sending:
            return
        error: KiegenError | None
        try:
            error = await self.submitter.send(task, request, patient=patient)
        except KiegenError as trouble:
            error = trouble
            note("store.trouble", task.id, str(error))
            self.look_failed(task.id, error)
        sent = self.current(task.id)
        if sent is not None and sent.activity is Activity.QUEUED:
            owner = self.held.lay_down(task.id)
            if owner is not None:
                owner.returned(task.id, error)
        if sent is not None and sent.activity is Activity.WATCHING:
            await self.history.load(task.api_model)
            self._poller.add(sent, accepted=self.clock.time())

    async def _save(self, task: GenerationTask) -> None:
        try:
            assets = await self._media.save(task, task.assets, self.output_dir, embed=self.embed)
            await until_stored(self, task.id, Saved(assets))
        finally:
            self._saving.discard(task.id)
        if not self._poller.watching:
            await self._probe()

    async def _refresh(self, task_id: str) -> None:
        try:
            task = self.current(task_id) or await asyncio.to_thread(self.store.get, task_id)
            if task is None:
                return
            self.remember(task, "followed")
            if task.status is TaskStatus.SUCCESS:
                if any(asset.path is None or not asset.path.exists() for asset in task.assets):
                    await self.dispatch(task_id, Saving())
            elif task.external_task_id is not None:
                await self._poller.look_now(task)
        finally:
            self.board.release(task_id)

    async def _cancel(self, task_id: str) -> bool:
        task = await self.dispatch(task_id, Cancelled(as_datetime(self.clock.time())))
        if task.fail_code == CANCELLED:
            self.submitter.cancel(task_id)
        return task.fail_code == CANCELLED

    async def _refetch(self, prompt_id: str) -> tuple[GenerationTask, ...]:
        found = await self.hub.load(prompt_id)
        await asyncio.gather(*(self._poller.look_now(task) for task in found if task.id in self._poller.watching))
        return await self.hub.load(prompt_id)

    def _begin_watching(self) -> None:
        self._keeper.stir()
        if self.hub.credits is None:
            self.thread.spawn(self._probe())

    async def _probe(self) -> None:
        """Ask for the balance; the answer also says whether this is a sandbox."""
        try:
            self.hub.credits = await self.service.credits()
        except KiegenError as error:
            note("credits.unknown", None, str(error))
        self.hub.touch_all()

    async def _finish(self) -> None:
        for task_id in self.submitter.sending:
            self.submitter.cancel(task_id)  # ends waits for a slot, not creates in flight
        await self.clock.wait(self.submitter.idle, CLOSE_PATIENCE)
        # Whatever still ran would take its lease again after it was given back.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.wrap_future(self.store.release())
        await asyncio.gather(self.service.close(), self._media.close(), self.uploads.close())

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosed
