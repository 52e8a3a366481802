"""What was asked of this sandbox: its newest requests, and how many came in its busiest moments."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

KEPT_REQUESTS = 100_000
NAME_MOST = 64
# So few moments are kept whole; of more, only those in the newest windows.
_KEPT_MOMENTS = 4096
_KEPT_WINDOWS = 4


@dataclass(slots=True, eq=False)
class Entry:
    """One request; never its key, its body or its prompt.

    Attributes:
        at: Unix seconds at which it had arrived.
        route: What it asked for, as in a fault rule.
        account: The short hash of its key, or of the key that made the file asked for; None without either.
        task: The task it names or made.
        code: The envelope's code, or the HTTP status of what is no envelope; None while, or if, none is sent.
        fault: Whether a fault rule or ``sandbox:lost`` hit it.
    """

    at: float
    route: str
    account: str | None
    task: str | None
    code: int | None = None
    fault: bool = False

    def shown(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "at": self.at,
            "route": self.route,
            "account": self.account,
            "task": self.task,
            "code": self.code,
            "fault": self.fault,
        }


class Busiest:
    """The most events in any window of time.

    Args:
        window: Its length in seconds; of two events exactly so far apart, only one is in it.
    """

    def __init__(self, window: float) -> None:
        self.most = 0
        self._window = window
        self._moments: list[float] = []

    def add(self, at: float) -> None:
        """Count an event at a moment (Unix seconds); late ones may come a little out of order."""
        moments, window = self._moments, self._window
        place = bisect_right(moments, at)
        moments.insert(place, at)
        # Only windows that end at this event or less than a window later have grown.
        for last in range(place, len(moments)):
            if moments[last] >= at + window:
                break
            self.most = max(self.most, last + 1 - bisect_right(moments, moments[last] - window))
        if len(moments) > _KEPT_MOMENTS:
            del moments[: bisect_left(moments, moments[-1] - _KEPT_WINDOWS * window)]


class Journal:
    """The newest requests of this process, in memory.

    Args:
        second: One second of the sandbox's time, in seconds.
        most: How many requests are kept.
    """

    def __init__(self, second: float, most: int = KEPT_REQUESTS) -> None:
        self._entries: deque[Entry] = deque(maxlen=most)
        self._looks = Busiest(second)
        self._looks_of: defaultdict[str, Busiest] = defaultdict(lambda: Busiest(second))

    def begin(self, at: float, route: str, account: str | None, task: str | None) -> Entry:
        """Remember a request that has arrived; returns the entry, whose ``code`` is filled in with the answer."""
        entry = Entry(at, route, account, task[:NAME_MOST] if task else None)
        self._entries.append(entry)
        if route == "look":
            self._looks.add(at)
            if account:
                self._looks_of[account].add(at)
        return entry

    def since(self, moment: float) -> list[dict[str, Any]]:
        """Return the requests that arrived after a moment (Unix seconds), oldest first."""
        newest = takewhile(lambda entry: entry.at > moment, reversed(self._entries))
        return [entry.shown() for entry in newest][::-1]

    def busiest_looks(self, account: str | None = None) -> int:
        """Return the most looks within any one second of the sandbox's time, of an account or of all."""
        if account is None:
            return self._looks.most
        return self._looks_of[account].most if account in self._looks_of else 0
