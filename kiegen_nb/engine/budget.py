"""How many looks a second an account may have, as pure functions: evenly spaced, halved by a 429, healed by time."""

from __future__ import annotations

from dataclasses import dataclass, replace

RECOVERY = 60.0  # seconds in which a rate of nothing would grow to the limit
_SLOWEST = 0.5
_CLOCK_JUMP = 600.0  # a moment further ahead was written by a clock that has since been set back


@dataclass(frozen=True, slots=True)
class Budget:
    """What every kernel on a store knows of an account's looks.

    Attributes:
        rate: looks per second allowed at ``rate_at``.
        rate_at: epoch seconds.
        next_at: epoch seconds of the first moment nobody has reserved yet.
    """

    rate: float
    rate_at: float
    next_at: float = 0.0

    def rate_now(self, now: float, limit: float) -> float:
        """Return the looks per second allowed now: what was left by the last 429, and what has healed since."""
        healed = max(now - self.rate_at, 0.0) * limit / RECOVERY
        return min(limit, self.rate + healed)


def reserve(budget: Budget, now: float, count: int, limit: float) -> tuple[Budget, tuple[float, ...]]:
    """Return the moments of the next looks, and the budget without them.

    Moments that went by unused are gone: there is no burst, so that no second ever holds more than the limit.

    Args:
        budget: what is known.
        now: epoch seconds.
        count: how many looks.
        limit: looks per second at most.
    """
    rate = budget.rate_now(now, limit)
    ahead = budget.next_at if budget.next_at <= now + _CLOCK_JUMP else now
    start = max(ahead, now)
    moments = tuple(start + number / rate for number in range(count))
    return Budget(rate=rate, rate_at=now, next_at=start + count / rate), moments


def halved(budget: Budget, now: float, limit: float) -> Budget:
    """Return the budget after a 429."""
    return replace(budget, rate=max(budget.rate_now(now, limit) / 2, min(_SLOWEST, limit)), rate_at=now)
