"""When to look next: pure functions of what is known about a task, its model's history, and the time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_BACK_OFF = 60.0
EXTRA_LOOKS = 4
EXTRA_STEP = 0.5  # seconds between two extra looks, at least
MIN_HISTORY = 5  # finished tasks before their durations are believed
_NEAR = 0.25  # seconds within which one look does for two
_FORGOTTEN = 10  # intervals after which even an unlikely task is looked at before the likely ones


@dataclass(frozen=True, slots=True)
class Expectation:
    """How long a model's tasks take, from the request to the result.

    Attributes:
        low: seconds; one in ten is done by then.
        median: seconds.
        high: seconds; nine in ten are done by then.
        count: how many finished tasks say so; 0 for a first guess.
    """

    low: float
    median: float
    high: float
    count: int = 0

    @property
    def is_known(self) -> bool:
        """Whether there is enough history to plan extra looks by it."""
        return self.count >= MIN_HISTORY


def expectation(durations: Sequence[float]) -> Expectation | None:
    """Return what finished tasks say about the next one; None with too few of them.

    Args:
        durations: seconds each took.
    """
    if len(durations) < MIN_HISTORY:
        return None
    tenths = quantiles(durations, n=10, method="inclusive")
    return Expectation(low=tenths[0], median=tenths[4], high=tenths[8], count=len(durations))


@dataclass(frozen=True, slots=True)
class Watch:
    """What the poller remembers about one task.

    Attributes:
        interval: seconds between two looks while all is well.
        accepted: epoch seconds at which the service took it; None for a task of an earlier process.
        regular: epoch seconds of the next look that is due whatever the history says.
        looks: answered looks so far.
        errors: bad looks in a row.
        empty: answers "success" without a result in a row.
        answered: seconds in which the service kept answering that there is no result yet.
        last_answer: epoch seconds of the last such answer.
        last_look: epoch seconds of the last look of any kind; 0 before the first.
        retry_after: seconds the service asked for after the last bad look.
    """

    interval: float
    accepted: float | None = None
    regular: float = 0.0
    looks: int = 0
    errors: int = 0
    empty: int = 0
    answered: float = 0.0
    last_answer: float | None = None
    last_look: float = 0.0
    retry_after: float | None = None


def first_look(watch: Watch, now: float, expected: Expectation | None) -> tuple[Watch, float]:
    """Return when to look first: at once for an old task, after one interval or by the history for a new one."""
    if watch.accepted is None:
        return replace(watch, regular=now), now
    watch = replace(watch, regular=max(now, watch.accepted + watch.interval))
    return watch, _earlier(watch, now, expected)


def next_look(watch: Watch, now: float, jitter: float, expected: Expectation | None) -> tuple[Watch, float]:
    """Return when to look again, and the watch that remembers it.

    After a good look that is the next regular one, or an extra one near the expected finish. After a bad look it is
    a back-off that doubles with each, up to a minute.

    Args:
        watch: what is known.
        now: epoch seconds.
        jitter: in [0, 1), spreads the retries of many tasks.
        expected: how long such tasks take.
    """
    watch = replace(watch, last_look=now)
    if watch.errors > 0:
        back_off = min(watch.interval * 2.0 ** min(watch.errors - 1, 10), MAX_BACK_OFF) * (1 + 0.25 * jitter)
        due = now + max(back_off, watch.retry_after or 0.0)
        return replace(watch, regular=due), due
    if watch.regular <= now + _NEAR:
        # A look that came late, because the budget is shared, does not pull the next one nearer.
        planned = watch.regular + watch.interval
        watch = replace(watch, regular=planned if planned >= now + watch.interval / 2 else now + watch.interval)
    return watch, _earlier(watch, now, expected)


def _earlier(watch: Watch, now: float, expected: Expectation | None) -> float:
    """Return the next regular look, or an extra one before it."""
    if watch.accepted is None or expected is None:
        return watch.regular
    moments = (watch.accepted + moment for moment in extra_looks(expected, watch.interval))
    return next((moment for moment in moments if now + _NEAR <= moment <= watch.regular - _NEAR), watch.regular)


def extra_looks(expected: Expectation, interval: float) -> tuple[float, ...]:
    """Return the seconds after the request at which extra looks are worth it: at most four, 0.5 s apart or more.

    They lie in the middles of equal parts of the time in which eight of ten finish. Where these parts are as long as
    the interval, regular looks do as well, and there are none.
    """
    step = max(EXTRA_STEP, (expected.high - expected.low) / EXTRA_LOOKS)
    if not expected.is_known or step >= interval:
        return ()
    moments = (expected.low + step * (number + 0.5) for number in range(EXTRA_LOOKS))
    return tuple(moment for moment in moments if moment <= expected.high + step / 2)


def urgency(watch: Watch | None, now: float, expected: Expectation | None) -> tuple[bool, float]:
    """Return a key by which due looks are ordered when not all are allowed: the smallest comes first.

    Likely finishers come before the others, and of each kind the one unseen the longest. A look somebody asked for
    at a task that is not watched comes first of all.
    """
    if watch is None:
        return False, 0.0
    unlikely = False
    if watch.accepted is not None and expected is not None and expected.is_known:
        age = now - watch.accepted
        overdue = expected.high + (expected.high - expected.low) + watch.interval
        forgotten = now - (watch.last_look or watch.accepted) > _FORGOTTEN * watch.interval
        unlikely = not (expected.low <= age <= overdue or forgotten)
    return unlikely, watch.last_look or watch.accepted or 0.0


def saw_running(watch: Watch, now: float) -> Watch:
    """Return the watch after a look answered "running".

    A gap in which nobody looked (a sleeping laptop, an outage) counts as two intervals at most.
    """
    return replace(_answered(watch, now, 2 * watch.interval), errors=0, empty=0, retry_after=None)


def saw_nothing(watch: Watch, now: float, retry_after: float | None, *, answered: bool = False) -> Watch:
    """Return the watch after a bad look.

    Args:
        watch: what is known.
        now: epoch seconds.
        retry_after: seconds the service asked for.
        answered: the service did answer, for instance that it knows no such task: such time counts.
    """
    watch = _answered(watch, now, 2 * MAX_BACK_OFF) if answered else replace(watch, looks=watch.looks + 1)
    return replace(watch, errors=watch.errors + 1, retry_after=retry_after)


def _answered(watch: Watch, now: float, most: float) -> Watch:
    gap = 0.0 if watch.last_answer is None else min(max(now - watch.last_answer, 0.0), most)
    return replace(watch, looks=watch.looks + 1, answered=watch.answered + gap, last_answer=now)
