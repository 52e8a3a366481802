"""When a batch will be through: a pure function of what waits, what runs, the create limit, and durations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.engine.schedule import Expectation

ENOUGH = 5  # finished tasks of a batch before its own durations count instead of the model's history


@dataclass(frozen=True, slots=True)
class Durations:
    """How long tasks of one model take, from the request to the saved result.

    Attributes:
        points: (share of tasks, seconds by which that share is through), both growing.
    """

    points: tuple[tuple[float, float], ...]
    _known: dict[float, float] = field(default_factory=dict, compare=False, repr=False)

    def at(self, share: float) -> float:
        """Return the seconds by which a share of tasks is through."""
        if share not in self._known:
            self._known[share] = self._at(share)
        return self._known[share]

    def _at(self, share: float) -> float:
        low, high = self.points[0], self.points[-1]
        for before, after in zip(self.points, self.points[1:], strict=False):
            if share <= after[0] or after is high:
                low, high = before, after
                break
        if high[0] == low[0]:
            return high[1]
        slope = (high[1] - low[1]) / (high[0] - low[0])
        return max(low[1] + (share - low[0]) * slope, 0.0)

    @property
    def usual(self) -> float:
        """Half of the tasks are through by then."""
        return self.at(0.5)


def expected(history: Expectation, lag: float) -> Durations:
    """Return durations by a model's history.

    Args:
        history: how long the service takes.
        lag: seconds that pass beside: until a look sees the result, until its file is saved.
    """
    return Durations(((0.1, history.low + lag), (0.5, history.median + lag), (0.9, history.high + lag)))


def observed(seconds: Sequence[float]) -> Durations | None:
    """Return durations as a batch has seen them itself; None with too few of them."""
    if len(seconds) < ENOUGH:
        return None
    ordered = sorted(seconds)
    return Durations(tuple(((place + 1) / (len(ordered) + 1), value) for place, value in enumerate(ordered)))


@dataclass(frozen=True, slots=True)
class Pace:
    """What holds requests back.

    Attributes:
        limit: creates per window; None is no limit.
        window: seconds; a create counts until so long after its end.
        latency: seconds a create takes.
        ends: epoch seconds at which this batch's newest creates ended, oldest first.
        not_before: epoch seconds until which the service asked for silence.
        concurrency: how many may be in flight; None is no limit.
    """

    limit: int | None
    window: float
    latency: float = 0.0
    ends: tuple[float, ...] = ()
    not_before: float = 0.0
    concurrency: int | None = None


@dataclass(slots=True)
class _Line:
    """Hands out moments at which the next request may be sent."""

    pace: Pace
    now: float
    seats: list[float]
    slots: deque[float] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.slots = deque(self.pace.ends, maxlen=self.pace.limit)
        heapify(self.seats)

    def next(self, usual: float) -> float:
        pace = self.pace
        start = max(self.now, pace.not_before)
        if pace.limit is not None and len(self.slots) == pace.limit:
            start = max(start, self.slots[0] + pace.window)
        while pace.concurrency is not None and len(self.seats) >= pace.concurrency:
            start = max(start, heappop(self.seats))
        self.slots.append(start + pace.latency)
        heappush(self.seats, start + usual)
        return start


def expected_end(
    now: float,
    waiting: Sequence[Durations],
    running: Sequence[tuple[float, Durations]],
    pace: Pace,
) -> float:
    """Return the epoch second at which the last task is through.

    Args:
        now: epoch seconds.
        waiting: how long each request takes that is not sent yet, in order.
        running: when each of the others was sent, epoch seconds, and how long it takes.
        pace: what holds requests back.
    """
    begun = list(running)
    line = _Line(pace, now, [max(start + durations.usual, now) for start, durations in running])
    begun += [(line.next(durations.usual), durations) for durations in waiting]
    if not begun:
        return now
    latest = max(start + durations.at(0.9) for start, durations in begun)
    # The last one of several that end together is slower than most.
    last = [one for one in begun if one[0] + one[1].at(0.9) >= latest - (one[1].at(0.9) - one[1].at(0.1))]
    share = len(last) / (len(last) + 1)
    return max(now, *(start + durations.at(share) for start, durations in begun))
