"""The engine: joins store, sending, looking, saving and telling for one account on one store."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from kiegen_nb.engine.clock import Clock, SystemClock, as_datetime
from kiegen_nb.engine.handle import TaskHandle, outcome
from kiegen_nb.engine.loop import LoopThread, SerialThread, wait_for
from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.engine.poller import Poller
from kiegen_nb.engine.query import QueryHub, TaskQuery
from kiegen_nb.engine.store import Store
from kiegen_nb.engine.submission import Submitter
from kiegen_nb.engine.transitions import Cancelled, Saved, Saving, Unconfirmed, apply
from kiegen_nb.engine.waiting import Board
from kiegen_nb.errors import KiegenError, SessionClosed, TaskError, WrongThread
from kiegen_nb.tasks import CANCELLED, Activity, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kiegen_nb.engine.database import Database
    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.service import Request, Service
    from kiegen_nb.tasks import GenerationTask

log = logging.getLogger("kiegen_nb")

FOLLOW_SECONDS = 2.0  # between two looks at the store while another kernel works on it, and two lease renewals
DISPLAY_PACE = 0.25  # least seconds between two updates of one gallery
CLOSE_PATIENCE = 0.8  # seconds a create in flight gets to be answered when the session closes
LOST_PROCESS = "The process that sent it ended before an answer came."


class Engine:
    """One account's work on one store; shared by every `Session` with the same two.

    Args:
        service: where tasks are made.
        database: where they are kept.
        poll_interval: seconds between two looks at a task.
        output_dir: where results are saved.
        user_agent: what result hosts are told.
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
        clock: Clock | None = None,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.service = service
        self.poll_interval = poll_interval
        self.output_dir = output_dir
        self._database = database
        self.store = Store(database, service.account, self.clock)
        self.thread = LoopThread("kiegen-engine")
        self.callbacks = SerialThread("kiegen-callbacks")
        self.display = SerialThread("kiegen-display")
        self.hub = QueryHub(self.thread, self.store.by_prompt, lambda: service.is_sandbox)
        self._submitter = Submitter(self, service)
        self._poller = Poller(self, service)
        self._media = MediaSaver(self.clock, user_agent=user_agent, allow_local=service.is_local)
        self.board = Board(self.display.post)
        self.current = self.board.current
        self.answered = self.board.answered
        self._lock = threading.Lock()  # guards _closed and _unsent
        self._saving: set[str] = set()
        self._unsent: set[str] = set()  # queued and ours, but a full disk or the like ended their sending
        self._stir = asyncio.Event()
        self._revision = 0
        self._closed = False
        wait_for(self.thread.submit(self._start()))

    async def _start(self) -> None:
        self._revision = await asyncio.to_thread(self.store.revision)
        self.thread.spawn(self._poller.run())
        self.thread.spawn(self._keep())

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
        if self.thread.is_current:
            raise WrongThread("submit() waits for the store; call it from a cell, a callback or a thread of your own.")
        found: Future[tuple[GenerationTask, bool]] = self.store.find_or_insert(
            request,
            prompt_id=prompt_id,
            repeat=repeat,
            fresh=fresh,
            parent_id=parent_id,
        )
        try:
            task, ours = wait_for(found)
        except BaseException:
            # Interrupted in these few milliseconds: the row is kept, and sent when the cell runs again.
            found.add_done_callback(self._keep_back)
            raise
        ours = ours or self._try_again(task.id)
        handle = TaskHandle(self, task)
        context = contextvars.copy_context()
        self.on_loop(self._adopt, task, request if ours else None, context.copy())
        if on_success is not None or on_error is not None:
            self._call_back(task.id, on_success, on_error, context)
        return handle

    def resume(self) -> list[TaskHandle]:
        """Send the queued requests of processes that ended; return their handles."""
        self._check_open()
        handles = []
        with self._lock:
            unsent = [self.current(task_id) for task_id in self._unsent]
            self._unsent.clear()
        for task in [*filter(None, unsent), *wait_for(self.store.take_queued())]:
            try:
                request = self.service.prepare(task.provider_params)
            except KiegenError as error:
                log.warning("task %s cannot be sent any more: %s", task.id, error)
                continue
            self.on_loop(self._adopt, task, request, contextvars.copy_context())
            handles.append(TaskHandle(self, task))
        return handles

    def refresh(self, task_id: str) -> None:
        """Look at a task once more now, or fetch its missing files again."""
        self._check_open()
        self.board.hold(task_id)
        self.thread.submit(self._refresh(task_id))

    def handle(self, task: GenerationTask) -> TaskHandle:
        """Return a handle for a task of the store."""
        self.on_loop(self._adopt, task, None, contextvars.copy_context())
        return TaskHandle(self, task)

    def invalidate(self, prompt_id: str | None) -> None:
        """Have a watched group (None: all of them) read again."""
        self.on_loop(self.hub.invalidate, prompt_id)

    def cancel(self, task_id: str) -> Future[bool]:
        """Take a queued request back; the future says whether that was still possible."""
        return self.thread.submit(self._cancel(task_id))

    def query(self, prompt_id: str) -> TaskQuery:
        """Return a query on a prompt group."""
        self._check_open()
        self.on_loop(self._probe_once)
        return TaskQuery(prompt_id, self.hub, self.callbacks, self.refetch)

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], object]) -> Callable[[], None]:
        """Call back on the display thread with a group's states, a few times a second at most."""
        self._check_open()
        self.on_loop(self._probe_once)
        return self.hub.subscribe(prompt_id, callback, self.display, pace=DISPLAY_PACE)

    def today(self) -> str:
        """Return the day, such as ``2026-11-22``, UTC."""
        return as_datetime(self.clock.time()).date().isoformat()

    def refetch(self, prompt_id: str) -> Future[tuple[GenerationTask, ...]]:
        """Read a group again and look at its pending tasks now."""
        return self.thread.submit(self._refetch(prompt_id))

    def on_loop(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on the engine's loop soon."""
        try:
            self.thread.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            raise SessionClosed("The session is closed. Make a new one with Session().") from None

    def close(self) -> None:
        """Let creates in flight be answered, give leases back, end the threads. At most about two seconds."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.board.close()
        try:
            wait_for(self.thread.submit(self._finish()), CLOSE_PATIENCE + 1.0)
        except TimeoutError:
            log.warning("the engine did not end in time")
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
        before, after = await asyncio.wrap_future(self.store.apply(task_id, event))
        self._remember(after)
        if after is not before:
            log.debug("task %s: %s", task_id, type(event).__name__)
        if after.activity is Activity.SAVING and before.activity is not Activity.SAVING:
            self._start_saving(after)
        return after

    def look_failed(self, task_id: str, error: Exception | None) -> None:
        """Take in that a look at a task failed, or (None) works again."""
        task = self.current(task_id)
        if task is not None:
            self.hub.look_failed(task, error)

    # The engine's own work, on the loop.

    def _adopt(self, task: GenerationTask, request: Request | None, context: contextvars.Context) -> None:
        if self.current(task.id) is None:
            self._remember(task)
        self._stir.set()
        if request is not None:
            context.run(self.thread.spawn, self._send(task, request))

    def _remember(self, task: GenerationTask) -> None:
        self.hub.publish(task)
        self.board.put(task)

    async def _send(self, task: GenerationTask, request: Request) -> None:
        try:
            await self._submitter.send(task, request)
        except KiegenError as error:
            log.warning("task %s was not sent: %s", task.id, error)
            self.look_failed(task.id, error)
            with self._lock:
                self._unsent.add(task.id)
        sent = self.current(task.id)
        if sent is not None and sent.activity is Activity.WATCHING:
            self._poller.add(sent)

    def _start_saving(self, task: GenerationTask) -> None:
        if task.id not in self._saving:
            self._saving.add(task.id)
            self.thread.spawn(self._save(task))

    async def _save(self, task: GenerationTask) -> None:
        try:
            assets = await self._media.save(task, task.assets, self.output_dir)
            await self.dispatch(task.id, Saved(assets))
        finally:
            self._saving.discard(task.id)
        if not self._poller.watching:
            await self._probe()

    async def _refresh(self, task_id: str) -> None:
        try:
            task = self.current(task_id) or await asyncio.to_thread(self.store.get, task_id)
            if task is None:
                return
            self._remember(task)
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
            self._submitter.cancel(task_id)
        return task.fail_code == CANCELLED

    async def _refetch(self, prompt_id: str) -> tuple[GenerationTask, ...]:
        found = await self.hub.load(prompt_id)
        looks = [self._poller.look_now(task) for task in found if task.id in self._poller.watching]
        await asyncio.gather(*looks)
        return await self.hub.load(prompt_id)

    async def _keep(self) -> None:
        """Keep leases, take over what nobody looks after, follow other kernels. Idle while nothing is pending."""
        while True:
            self._stir.clear()
            try:
                busy = await self._tend()
            except KiegenError as error:
                log.warning("the store could not be tended: %s", error)
                busy = True
            await self.clock.wait(self._stir, FOLLOW_SECONDS if busy else None)
            if self._stir.is_set():
                # A burst of submissions is one round, not one each.
                await self.clock.sleep(0.05)

    async def _tend(self) -> bool:
        for task in await asyncio.wrap_future(self.store.take_over()):
            if task.id in self._submitter.sending:
                continue  # ours after all: this machine slept past its own lease
            self._remember(task)
            if task.activity is Activity.SUBMITTING:
                now = as_datetime(self.clock.time())
                await self.dispatch(task.id, Unconfirmed(now, LOST_PROCESS))
            elif task.activity is Activity.SAVING:
                self._start_saving(task)
            else:
                self._poller.add(task, at_once=True)
        self._revision, changed = await asyncio.to_thread(self.store.changed_since, self._revision)
        ours = self._poller.watching | self._submitter.sending | self._saving
        for task in changed:
            if task.id not in ours:
                self._remember(task)
        return await asyncio.to_thread(self.store.is_busy)

    def _probe_once(self) -> None:
        if self.hub.credits is None:
            self.thread.spawn(self._probe())

    async def _probe(self) -> None:
        """Ask for the balance; the answer also says whether this is a sandbox."""
        try:
            self.hub.credits = await self.service.credits()
        except KiegenError as error:
            log.debug("the balance is not known: %s", error)
        self.hub.touch_all()

    async def _finish(self) -> None:
        deadline = self.clock.time() + CLOSE_PATIENCE
        for task_id in self._submitter.sending:
            self._submitter.cancel(task_id)  # ends waits for a slot, not creates in flight
        while self._submitter.sending and self.clock.time() < deadline:
            await self.clock.sleep(0.02)
        # Whatever still ran would take its lease again after it was given back.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.wrap_future(self.store.release())
        await self.service.close()
        await self._media.close()

    def _call_back(
        self,
        task_id: str,
        on_success: Callable[[GenerationTask], object] | None,
        on_error: Callable[[TaskError], object] | None,
        context: contextvars.Context,
    ) -> None:
        def finished(future: Future[GenerationTask]) -> None:
            if future.exception() is None:
                self.callbacks.post(tell, future.result(), context=context)

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
        self.board.when_finished(task_id, done)

    def _keep_back(self, found: Future[tuple[GenerationTask, bool]]) -> None:
        if found.cancelled() or found.exception() is not None:
            return
        task, ours = found.result()
        if ours:
            with self._lock:
                self._unsent.add(task.id)
            self.on_loop(self._remember, task)

    def _try_again(self, task_id: str) -> bool:
        with self._lock:
            if task_id not in self._unsent:
                return False
            self._unsent.discard(task_id)
            return True

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosed("The session is closed. Make a new one with Session().")
