"""What a batch has spent, has under way and may spend. Credits that nobody knows are never taken as none."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from kiegen_nb.engine.transitions import was_refused
from kiegen_nb.errors import BudgetExceeded, InvalidParams
from kiegen_nb.tasks import CANCELLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.tasks import GenerationTask

_NAMED = 5  # items of unknown price that a message names


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one request costs at most, as far as it is known before.

    Attributes:
        model: requests of one model and one price are expected to cost the same.
        high: credits, None if unknown.
    """

    model: str
    high: float | None


class Spending:
    """Keeps count of credits; on the engine's loop but for `check` before the start.

    Args:
        cap: credits that may be spent; None is no limit.
        assumed: credits for each item whose price is unknown; None refuses those while there is a limit.

    Attributes:
        spent: credits of what has ended, by the service's word, else by the estimate.
    """

    def __init__(self, cap: float | None = None, assumed: float | None = None) -> None:
        self.cap = _checked("max_credits", cap)
        self._assumed = _checked("assume_credits", assumed)
        self._under_way: dict[str, Estimate] = {}
        self._dearest: dict[Estimate, float] = {}
        self.spent = 0.0

    def limit_to(self, cap: float | None) -> None:
        """Set the limit anew."""
        self.cap = _checked("max_credits", cap)

    @property
    def under_way(self) -> float:
        """Credits that what is under way costs at most."""
        return sum(map(self.cost_of, self._under_way.values()))

    def cost_of(self, estimate: Estimate) -> float:
        """Return what a request costs at most, corrected by what its like have cost."""
        known = estimate.high if estimate.high is not None else self._assumed or 0.0
        return max(known, self._dearest.get(estimate, 0.0))

    def check(self, wanted: Sequence[tuple[int, Estimate]]) -> None:
        """See that what is to be sent fits in.

        Args:
            wanted: number of the item, and what it costs.

        Raises:
            BudgetExceeded: it does not, or nobody knows.
        """
        if self.cap is None:
            return
        unknown = [] if self._assumed is not None else [number for number, one in wanted if one.high is None]
        before = self.spent + self.under_way
        needed = sum(self.cost_of(one) for number, one in wanted)
        if unknown:
            names = ", ".join(map(str, unknown[:_NAMED])) + (", ..." if len(unknown) > _NAMED else "")
            models = ", ".join(sorted({one.model for _, one in wanted if one.high is None}))
            raise BudgetExceeded(
                f"The price of {len(unknown):,} of {_requests(len(wanted))} is unknown (items {names}; {models}), so "
                f"max_credits={self.cap:g} cannot be kept. Nothing was sent. Say with assume_credits=... what one of "
                "them costs at most, or leave max_credits out.",
                max_credits=self.cap,
                needed=needed,
                unknown=unknown,
            )
        if before + needed > self.cap + _DUST:
            spent = f", after {before:g} spent or under way" if before else ""
            sums = accumulate((self.cost_of(one) for _, one in wanted), initial=before)
            fitting = sum(total <= self.cap + _DUST for total in sums) - 1
            part = f", or take a part of the plan: {_requests(fitting)} would fit" if fitting > 0 else ""
            raise BudgetExceeded(
                f"{_requests(len(wanted))} may cost {needed:g} credits{spent}; that is more than "
                f"max_credits={self.cap:g}. Nothing of it was sent. Raise max_credits{part}.",
                max_credits=self.cap,
                needed=needed,
            )

    def fits(self, estimate: Estimate) -> bool:
        """Whether one more request does not pass the limit, whatever is under way."""
        return self.cap is None or self.spent + self.under_way + self.cost_of(estimate) <= self.cap + _DUST

    def begin(self, task_id: str, estimate: Estimate) -> None:
        """Count a request that is sent."""
        self._under_way[task_id] = estimate

    def drop(self, task_id: str) -> None:
        """Count a request no more: it was not sent after all."""
        self._under_way.pop(task_id, None)

    def end(self, task: GenerationTask) -> None:
        """Count what a finished task cost. Where the service does not say so, that is what it costs at most."""
        estimate = self._under_way.pop(task.id, None)
        if estimate is None:
            return
        cost = cost_of_task(task)
        if cost is None:
            cost = self.cost_of(estimate)
        elif cost > self._dearest.get(estimate, 0.0):
            self._dearest[estimate] = cost
        self.spent += cost


_DUST = 1e-6  # credits; sums of decimals are not exact


def cost_of_task(task: GenerationTask) -> float | None:
    """Return what a finished task cost; None if only the service knows."""
    if task.credits_consumed is not None:
        return task.credits_consumed
    return 0.0 if task.fail_code == CANCELLED or was_refused(task) else None


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number:,} requests"


def _checked(name: str, value: float | None) -> float | None:
    given: object = value
    if given is not None and (not isinstance(given, int | float) or isinstance(given, bool) or not given >= 0):
        raise InvalidParams({name: f"must be a number of credits, 0 or more, not {value!r}."}, what="This batch")
    return value
