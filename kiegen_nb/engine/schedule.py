"""When to look next, as pure functions; and the budget of looks."""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_BACK_OFF = 60.0
LOOKS_PER_SECOND = 9.0  # one under the strictest documented figure
_SLOWEST = 0.5


@dataclass(frozen=True, slots=True)
class Watch:
    """What the poller remembers about one task.

    Attributes:
        interval: seconds between two looks while all is well.
        looks: answered looks so far.
        errors: bad looks in a row.
        empty: answers "success" without a result in a row.
        running: seconds in which looks were answered "running".
        last_running: epoch seconds of the last such answer.
        retry_after: seconds the service asked for after the last bad look.
    """

    interval: float
    looks: int = 0
    errors: int = 0
    empty: int = 0
    running: float = 0.0
    last_running: float | None = None
    retry_after: float | None = None


def first_look(watch: Watch, now: float, *, submitted: float | None) -> float:
    """Return when to look first: at once for an old task, after one interval for a new one."""
    if submitted is None:
        return now
    return max(now, submitted + watch.interval)


def next_look(watch: Watch, now: float, jitter: float) -> float:
    """Return when to look again: after the interval, or after a back-off that doubles with each bad look.

    Args:
        watch: what is known.
        now: epoch seconds.
        jitter: in [0, 1), spreads the retries of many tasks.
    """
    if watch.errors == 0:
        return now + watch.interval
    back_off = min(watch.interval * 2.0 ** min(watch.errors - 1, 10), MAX_BACK_OFF) * (1 + 0.25 * jitter)
    return now + max(back_off, watch.retry_after or 0.0)


def saw_running(watch: Watch, now: float) -> Watch:
    """Return the watch after a look answered "running".

    A gap in which nobody looked (a sleeping laptop, an outage) counts as two intervals at most.
    """
    gap = 0.0 if watch.last_running is None else min(now - watch.last_running, 2 * watch.interval)
    return replace(
        watch,
        looks=watch.looks + 1,
        errors=0,
        empty=0,
        retry_after=None,
        running=watch.running + gap,
        last_running=now,
    )


def saw_nothing(watch: Watch, retry_after: float | None) -> Watch:
    """Return the watch after a bad look."""
    return replace(watch, looks=watch.looks + 1, errors=watch.errors + 1, retry_after=retry_after)


class Budget:
    """How many looks per second are allowed: a token bucket that halves on a 429 and recovers by itself.

    Args:
        rate: looks per second at most.
    """

    def __init__(self, rate: float = LOOKS_PER_SECOND) -> None:
        self._ceiling = rate
        self.rate = rate
        self._tokens = 1.0
        self._at: float | None = None

    def delay(self, now: float) -> float:
        """Return the seconds until a look is allowed; 0.0 takes it."""
        if self._at is not None:
            elapsed = max(now - self._at, 0.0)
            self.rate = min(self._ceiling, self.rate + elapsed * self._ceiling / 60)
            self._tokens = min(1.0, self._tokens + elapsed * self.rate)  # no burst: 9 a second and never 11
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.rate

    def halve(self) -> None:
        """Slow down after a 429."""
        self.rate = max(self.rate / 2, _SLOWEST)
        self._tokens = 0.0
