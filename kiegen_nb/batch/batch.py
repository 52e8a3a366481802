"""`Batch`: what `Session.batch` gives back."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.asking import asks_of, existing
from kiegen_nb.batch.ends import Completions
from kiegen_nb.batch.progress import Progress, progress_of
from kiegen_nb.batch.records import frame_of, record_of
from kiegen_nb.batch.saving import save_batch
from kiegen_nb.batch.sending import Place, Run
from kiegen_nb.batch.showing import LiveOutput, batch_html, batch_text
from kiegen_nb.batch.spending import Estimate, Spending, cost_of_task
from kiegen_nb.engine.handle import TaskHandle, call_back
from kiegen_nb.engine.held import store_all
from kiegen_nb.engine.loop import awaited, wait_for
from kiegen_nb.engine.store_asks import Ask
from kiegen_nb.engine.transitions import was_refused
from kiegen_nb.errors import BatchFailed, BatchTimeout, WrongThread
from kiegen_nb.settings import is_loopback
from kiegen_nb.tasks import TIMEOUT, UNCONFIRMED, Activity, GenerationTask, TaskStatus

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from kiegen_nb.batch.plan import Plan
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.errors import TaskError
    from kiegen_nb.tasks import Asset

_NAMED = 3  # failed items that a message names


class Batch:
    """A plan that is being carried out. It goes on by itself; waiting for it never owns it.

    An interrupt, a time-out or a cancelled ``await`` ends the waiting only. What was asked for before is found, not
    paid for again, so the same cell run again, in this kernel or the next, goes on where it was.

    A batch pauses before it would pass ``max_credits``, and where the service refuses every request: without credits,
    or with a key that it does not accept. Then `Progress.paused` says why, waiting for it ends, what is not sent stays
    queued, and `resume` goes on.

    Attributes:
        name: the prompt group its tasks belong to.
        plan: what was asked for.

    Example:
        >>> batch = session.batch(sweep(imagen4("a red kite"), seed="1-40"), "kites")  # doctest: +SKIP
        >>> await batch  # doctest: +SKIP
        >>> batch.to_frame()  # doctest: +SKIP
    """

    def __init__(
        self,
        engine: Engine,
        plan: Plan,
        name: str = "default",
        *,
        spending: Spending | None = None,
        concurrency: int | None = None,
        on_success: Callable[[GenerationTask], object] | None = None,
        on_error: Callable[[TaskError], object] | None = None,
        session: Any = None,
    ) -> None:
        self.name = name
        self._session = session  # for what is shown of it
        self.plan = plan
        self._engine = engine
        self._on_success, self._on_error = on_success, on_error
        self._context = contextvars.copy_context()
        asks = asks_of(plan, engine.service)
        spending = spending or Spending()
        estimates = [
            Estimate(item.params.api_model, None if price is None else price.high)
            for item, price in zip(plan, plan.prices(), strict=True)
        ]
        if spending.cap is not None:
            there = existing(engine, plan, name, asks)
            wanted = zip(plan, estimates, there, strict=True)
            spending.check([(item.number, estimate) for item, estimate, task in wanted if _is_to_be_sent(task)])
        tasks = store_all(engine, asks, name)
        self._places = [
            Place(number, ask.request, estimate, task)
            for number, (ask, estimate, task) in enumerate(zip(asks, estimates, tasks, strict=True))
        ]
        self._output = LiveOutput(self._bundle, engine.display)
        self._run = Run(engine, self._places, spending, concurrency, self._output.changed)
        self._start(self._places)

    def _start(self, places: Sequence[Place]) -> None:
        if self._on_success is not None or self._on_error is not None:
            for place in places:
                self._call_back(place.task.id)
        self._run.begin(places)

    def _call_back(self, task_id: str) -> None:
        engine = self._engine
        call_back(engine.board, engine.callbacks, task_id, self._on_success, self._on_error, self._context.copy())

    # Waiting.

    def __await__(self) -> Generator[object, None, Batch]:
        return self._wait().__await__()

    async def _wait(self) -> Batch:
        future, forget = self._run.ends.when()
        try:
            await awaited(future)
        finally:
            forget()
        return self

    def wait(self, timeout: float | None = None) -> Batch:
        """Wait until nothing more happens by itself: all is done, or it is paused. ``await batch`` does the same.

        Failed items raise nothing here; they are in `failed`, and `raise_for_failures` raises.

        Args:
            timeout: seconds to wait; None waits as long as it takes.

        Returns:
            The batch.

        Raises:
            WrongThread: on the engine's own thread, where it would wait for itself.
            BatchTimeout: it is not finished yet; it goes on.
            SessionClosed: the session was closed meanwhile.

        Example:
            >>> [task.took for task in batch.wait(timeout=600).results]  # doctest: +SKIP
        """
        self._refuse_engine_thread("wait()")
        future, forget = self._run.ends.when()
        try:
            wait_for(future, timeout)
        except TimeoutError:
            done = self.progress
            raise BatchTimeout(
                f"{done.done:,} of {done.total:,} done after {timeout:g} s. It goes on; wait again with .wait()."
            ) from None
        finally:
            forget()
        return self

    def as_completed(self) -> Completions:
        """Iterate over the tasks in the order in which they finish, with ``async for`` or ``for``.

        It yields those that failed, too, and ends when all are done or the batch is paused. Each iterator has a place
        of its own; one that begins late begins with those that finished first.

        Example:
            >>> async for task in batch.as_completed():  # doctest: +SKIP
            ...     print(task.status, task.prompt)
        """
        return Completions(self._run.ends, self._engine.thread)

    # Seeing.

    @property
    def handles(self) -> tuple[TaskHandle, ...]:
        """A handle for each item, in the order of the plan."""
        return tuple(TaskHandle(self._engine, place.task) for place in self._places)

    @property
    def tasks(self) -> tuple[GenerationTask, ...]:
        """The task of each item as last seen, in the order of the plan."""
        return tuple(self._engine.current(place.task.id) or place.task for place in self._places)

    @property
    def results(self) -> tuple[GenerationTask, ...]:
        """The tasks that have succeeded and whose files are saved, in the order of the plan."""
        return tuple(task for task in self.tasks if task.is_finished and task.status is TaskStatus.SUCCESS)

    succeeded = results

    @property
    def failed(self) -> tuple[GenerationTask, ...]:
        """The tasks that ended without a result, in the order of the plan."""
        return tuple(task for task in self.tasks if task.status is TaskStatus.FAILED)

    @property
    def assets(self) -> tuple[Asset, ...]:
        """The results' files, in the order of the plan."""
        return tuple(asset for task in self.results for asset in task.assets)

    @property
    def progress(self) -> Progress:
        """Counts, elapsed time, expected end, credits spent, and why it is paused if it is."""
        return progress_of(self._engine, self._run)

    def pairs(self) -> tuple[tuple[Mapping[str, Any], GenerationTask | None], ...]:
        """Return each item's axes with its task, in the order of the plan.

        Example:
            >>> by_seed = {axes["seed"]: task for axes, task in batch.pairs()}  # doctest: +SKIP
        """
        return tuple(zip((item.axes for item in self.plan), self.tasks, strict=True))

    def grid(self, *, x: str | None = None, y: str | None = None, z: str | None = None) -> Any:
        """Return a `Grid`: the results by what was varied, as columns, rows and sheets, live while they come in.

        Args:
            x: the axis of the columns; one that is not named goes where there is room.
            y: the axis of the rows.
            z: the axis of the sheets, one below the other.

        Raises:
            ValueError: there is no such axis, or one is named twice.

        Example:
            >>> batch.grid(x="seed", y="aspect_ratio")  # doctest: +SKIP
        """
        # A step upwards: showing is the widgets' room, and it is imported only when something is shown.
        from kiegen_nb.widgets.grid import Grid  # noqa: PLC0415

        return Grid(self.pairs, x=x, y=y, z=z, session=self._session, prompt_id=self.name)

    def records(self) -> list[dict[str, Any]]:
        """Return a dict for each item, in the order of the plan.

        Its keys are ``number``, the axes, ``state`` (PENDING, SUCCESS or FAILED), ``task_id``, ``model``, ``prompt``,
        ``seed``, ``cost`` (credits), ``seconds``, ``file`` and ``url`` of the first result, ``error``, ``rating`` and
        ``comment``. Beside an axis of such a name the other is called ``task_seed`` and so on.

        Example:
            >>> [record["file"] for record in batch.records() if record["state"] == "SUCCESS"]  # doctest: +SKIP
        """
        return [record_of(item, task) for item, task in zip(self.plan, self.tasks, strict=True)]

    def to_frame(self) -> Any:
        """Return `records` as a pandas table.

        Raises:
            ConfigurationError: pandas is not installed.

        Example:
            >>> batch.to_frame().sort_values("seconds").head()  # doctest: +SKIP
        """
        return frame_of(self.records())

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the result files to a folder, with a line for each item in its ``manifest.jsonl``; return the folder.

        Nothing there is written over: a file of the same name with other bytes is left alone, and ours gets a number.
        Saving again adds what is new.

        Raises:
            MediaError: the folder cannot be written, or its ``manifest.jsonl`` is not one of ours.

        Example:
            >>> batch.save("paper/figures")  # doctest: +SKIP
        """
        return save_batch(folder, self.name, list(zip(self.plan, self.tasks, strict=True)))

    def raise_for_failures(self) -> None:
        """Raise if an item has failed; what to do about it is in each task's ``fail_msg``.

        Raises:
            BatchFailed: naming the first of them; it carries their tasks.

        Example:
            >>> batch.wait().raise_for_failures()  # doctest: +SKIP
        """
        failed = [(item, task) for item, task in zip(self.plan, self.tasks, strict=True) if _has_failed(task)]
        if failed:
            told = [f"item {item.number}: {task.fail_msg or task.fail_code}" for item, task in failed[:_NAMED]]
            more = [f"and {len(failed) - _NAMED:,} more."] if len(failed) > _NAMED else []
            message = "\n  ".join([f"{len(failed):,} of {len(self.plan):,} items failed.", *told, *more])
            raise BatchFailed(message, [task for _, task in failed])

    # Acting.

    def resume(self, max_credits: float | None = None) -> None:
        """Go on after a pause.

        Args:
            max_credits: a new limit for the whole batch, what is spent included; None leaves the limit as it is.

        Raises:
            WrongThread: on the engine's own thread, where it would wait for itself.
            BudgetExceeded: not even the next item fits; the batch stays paused.

        Example:
            >>> batch.progress.paused  # doctest: +SKIP
            >>> batch.resume(max_credits=100)  # doctest: +SKIP
        """
        self._refuse_engine_thread("resume()")

        async def resume() -> None:
            self._run.resume(max_credits)

        wait_for(self._engine.thread.submit(resume()))

    def cancel(self) -> int:
        """Take back what is not submitted yet, at no charge, and return how many items that were.

        Kie cannot cancel what it has accepted: those run on and are paid for.

        Raises:
            WrongThread: on the engine's own thread, where it would wait for itself.
            StoreError: the task store could not be written; what is left is paused.

        Example:
            >>> f"{batch.cancel()} of {len(batch)} taken back"  # doctest: +SKIP
            '12 of 40 taken back'
        """
        self._refuse_engine_thread("cancel()")
        return wait_for(self._engine.thread.submit(self._run.cancel()))

    def retry_failed(self, *, even_if_charged: bool = False) -> int:
        """Ask anew what has failed without a charge, and return how many items that were; each costs its price again.

        These are requests that were refused or cancelled before they became tasks, and tasks that Kie failed without
        saying that they cost something. It does not ask anew by itself what was or may have been charged: UNCONFIRMED
        requests, tasks that ran past their time limit (`Session.refresh` may still bring those), and failures with a
        cost.

        Args:
            even_if_charged: ask those anew, too; they may then be paid for twice.

        Raises:
            WrongThread: on the engine's own thread, where it would wait for itself.
            BudgetExceeded: that would pass ``max_credits``; nothing is asked anew.
            StoreError: it could not be stored; nothing was sent.

        Example:
            >>> if batch.retry_failed():  # doctest: +SKIP
            ...     await batch
        """
        self._refuse_engine_thread("retry_failed()")
        tasks = dict(zip(self._places, self.tasks, strict=True))
        again = [place for place, task in tasks.items() if _may_retry(task, even_if_charged=even_if_charged)]
        if not again:
            return 0
        items = [self.plan[place.number] for place in again]
        spending, left = self._run.spending, self._run.waiting
        wanted = [*left, *again]
        spending.check([(self.plan[place.number].number, place.estimate) for place in wanted])
        keys = [(place.request.identity, item.repeat) for place, item in zip(again, items, strict=True)]
        newest = self._engine.store.find_same(self.name, keys)
        asks = []
        for place, item, there in zip(again, items, newest, strict=True):
            # If somebody has asked it anew already, that answer will do.
            is_newest = there is None or there.id == place.task.id
            asks.append(Ask(place.request, item.repeat, fresh=is_newest))
        for place, task in zip(again, store_all(self._engine, asks, self.name), strict=True):
            place.task, place.is_sent = task, False
        self._start(again)
        return len(again)

    # Showing.

    def __len__(self) -> int:
        return len(self.plan)

    def __repr__(self) -> str:
        return batch_text(self.name, self.progress)

    def _repr_html_(self) -> str:
        return self._html(self.progress, is_live=False)

    def _ipython_display_(self) -> None:
        self._output.display(is_done=self._run.ends.is_settled)

    def _bundle(self) -> tuple[dict[str, str], bool]:
        """Return how it looks now, and whether that will not change by itself."""
        settled, progress = self._run.ends.is_settled, self.progress
        html = self._html(progress, is_live=not settled)
        return {"text/html": html, "text/plain": batch_text(self.name, progress)}, settled

    def _html(self, progress: Progress, *, is_live: bool) -> str:
        tasks = self.tasks
        every = zip(self.plan, tasks, strict=True)
        failed = [(item.number, task.fail_msg or task.fail_code or "") for item, task in every if _has_failed(task)]
        urls = (asset.url for task in tasks for asset in task.assets)
        # Results of an earlier run tell it, too, where nothing was asked yet.
        is_sandbox = self._engine.service.is_sandbox or any(url is not None and is_loopback(url) for url in urls)
        return batch_html(self.name, progress, failed, is_live=is_live, is_sandbox=is_sandbox)

    def _refuse_engine_thread(self, call: str) -> None:
        if self._engine.thread.is_current:
            raise WrongThread(f"{call} waits, and on the engine's thread it would wait for itself.")


def _is_to_be_sent(task: GenerationTask | None) -> bool:
    return task is None or (task.is_pending and task.activity is Activity.QUEUED)


def _has_failed(task: GenerationTask) -> bool:
    return task.status is TaskStatus.FAILED


def _may_retry(task: GenerationTask, *, even_if_charged: bool) -> bool:
    if not _has_failed(task) or not task.is_finished:
        return False
    doubtful = task.fail_code in (UNCONFIRMED, TIMEOUT) or bool(cost_of_task(task))
    return even_if_charged or was_refused(task) or not doubtful
