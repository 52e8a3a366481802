"""The part of `Session` that carries out plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.asking import checked_concurrency, existing, plan_of
from kiegen_nb.batch.batch import Batch
from kiegen_nb.batch.records import ROW_COLUMNS, frame_of, record_of_row
from kiegen_nb.batch.spending import Spending
from kiegen_nb.session.checks import checked_group, checked_prompt_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kiegen_nb.batch.plan import Plan, PlanItem
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.errors import TaskError
    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import GenerationTask


class SessionBatches:
    """Batches: many requests at once, in order, and no more than they may cost."""

    _engine: Engine

    if TYPE_CHECKING:

        def _check_open(self) -> None: ...

    def batch(
        self,
        plan: Plan | Iterable[PlanItem | KieParams | Mapping[str, Any]],
        name: str = "default",
        *,
        max_credits: float | None = None,
        assume_credits: float | None = None,
        concurrency: int | None = None,
        fresh: bool = False,
        on_success: Callable[[GenerationTask], object] | None = None,
        on_error: Callable[[TaskError], object] | None = None,
    ) -> Batch:
        """Submit many requests; those that were asked for before are found instead of being paid for again.

        All of them are checked, then stored, and are in the gallery at once. They are sent in the order of the plan,
        as fast as the account's limit allows. The same call in a later kernel goes on where this one was.

        Args:
            plan: what `sweep` gives, or a list of params or of their JSON forms.
            name: the prompt group the tasks belong to, 1 to 200 characters.
            max_credits: what the requests that are really sent may cost, at most. If they may cost more, nothing is
                sent. What they turn out to cost corrects that, and the batch pauses before it would pass the limit.
            assume_credits: what an item of unknown price is taken to cost at most; without it, such items are
                refused where there is a limit.
            concurrency: how many of the batch's tasks may be in flight at once; None leaves it to the account's limit.
            fresh: ask all items anew; this pays again. For some of them, take ``plan.fresh([3, 4])``.
            on_success: called with each finished task, on the callback thread, in this call's context.
            on_error: called likewise with each failed one's error, which carries the task.

        Returns:
            The batch: ``await batch``, ``batch.wait()``, ``batch.progress``, ``batch.results`` and more.

        Raises:
            InvalidParams: an item is wrong, or stands twice; the message names it. Nothing was sent.
            BudgetExceeded: it may cost more than ``max_credits``, or a price is unknown. Nothing was sent.
            StoreError: the requests could not be stored, so they were not sent.
            SessionClosed: this session was closed.

        Example:
            >>> plan = sweep(imagen4("a red kite"), aspect_ratio=["1:1", "16:9"], seed="1-5")  # doctest: +SKIP
            >>> batch = session.batch(plan, "kites", max_credits=50)  # doctest: +SKIP
            >>> await batch  # doctest: +SKIP
        """
        self._check_open()
        return Batch(
            self._engine,
            plan_of(plan, fresh=fresh),
            checked_prompt_id(name, "name"),
            spending=Spending(max_credits, assume_credits),
            concurrency=checked_concurrency(concurrency),
            on_success=on_success,
            on_error=on_error,
            session=self,
        )

    def existing(
        self, plan: Plan | Iterable[PlanItem | KieParams | Mapping[str, Any]], name: str = "default"
    ) -> tuple[GenerationTask | None, ...]:
        """Return for each item of a plan the task that `batch` would find, None where it would ask anew and pay.

        A request that is stored and was never sent counts as found: its task is queued. Nothing is sent.

        Raises:
            InvalidParams: an item is wrong; the message names it.
            StoreError: the task store could not be read.

        Example:
            >>> sum(task is None for task in session.existing(plan, "kites"))  # doctest: +SKIP
            6
        """
        self._check_open()
        return existing(self._engine, plan_of(plan), checked_prompt_id(name, "name"))

    def to_frame(self, prompt_id: str | None = None) -> Any:
        """Return this account's stored tasks as a pandas table, newest first.

        Its columns are ``prompt_id``, ``repeat``, ``state`` (PENDING, SUCCESS or FAILED), ``task_id``, ``model``,
        ``prompt``, ``seed``, ``cost`` (credits), ``seconds``, ``file`` and ``url`` of the first result, ``error``,
        ``rating``, ``comment``, ``created_at``, ``submitted_at`` and ``completed_at`` (UTC).

        Args:
            prompt_id: only this group; None for all of them.

        Raises:
            InvalidParams: that is no name of a group.
            ConfigurationError: pandas is not installed.
            StoreError: the task store could not be read.

        Example:
            >>> session.to_frame("kites").groupby("model")["cost"].sum()  # doctest: +SKIP
        """
        self._check_open()
        return frame_of(map(record_of_row, self._engine.store.rows(checked_group(prompt_id))), ROW_COLUMNS)
