"""What the benchmarks share: a place to run in, a ticker that finds stalls, and the table."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import tempfile
import time
from collections import deque
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.session import Session
from tests.support.sandboxes import Sandbox

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Iterator, Sequence

KEY = "benchmark"
TICK = 0.005
PROMPT = "a kite, sandbox:seconds=4-6"  # even durations of 4 to 6 s, seldom the same


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table.

    Attributes:
        what: what was measured, with its unit.
        measured: the number found.
        most: the most it should be; None where no figure is to be reached.
        least: the least it should be.
        digits: digits after the point.
        note: what else has to be known.
    """

    what: str
    measured: float
    most: float | None = None
    least: float | None = None
    digits: int = 0
    note: str = ""

    @property
    def wanted(self) -> str:
        """The figure to reach, as text."""
        if self.least is not None:
            return f">= {self.least:g}"
        return "-" if self.most is None else f"<= {self.most:g}"

    @property
    def is_missed(self) -> bool:
        """Whether the figure to reach was not."""
        if math.isnan(self.measured):
            return self.wanted != "-"
        over = self.most is not None and round(self.measured, self.digits) > self.most
        return over or (self.least is not None and round(self.measured, self.digits) < self.least)

    def line(self) -> str:
        """Return the line."""
        mark = "MISSED" if self.is_missed else ""
        return f"  {self.what:60} {self.measured:10.{self.digits}f} {self.wanted:>10}  {mark:6}  {self.note}".rstrip()


class Ticker:
    """Ticks every 5 ms on a loop and remembers the longest delay; costs some 3 % of a core itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last = 0.0
        self._running = False
        self.worst = 0.0

    def _begin(self) -> None:
        self._last = time.perf_counter()
        self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.worst = max(self.worst, now - self._last - TICK)
        self._last = now
        if self._running:
            self._loop.call_later(TICK, self._tick)

    def __enter__(self) -> Self:
        self._running = True
        self._loop.call_soon_threadsafe(self._begin)
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False


class Counted(Sandbox):
    """A sandbox in a process of its own, asked for what it knows."""

    def finishes(self) -> dict[str, float]:
        """Return for every task id the epoch second at which its result was there."""
        return {task["taskId"]: task["finishes"] for task in self.get("/sandbox/tasks")}

    def rate_limited(self) -> int:
        """Return how many requests it refused as too many."""
        return int(self.get("/sandbox/stats")["rate_limited"])

    def requests(self) -> list[dict[str, Any]]:
        """Return every request of its API, oldest first."""
        found: list[dict[str, Any]] = self.get("/sandbox/requests")
        return found

    def look_times(self, since: float = 0.0) -> list[float]:
        """Return the epoch seconds of all looks after a moment, oldest first."""
        return [one["at"] for one in self.requests() if one["route"] == "look" and one["at"] > since]


@contextmanager
def place(*arguments: str, **settings: Any) -> Iterator[tuple[Counted, Session]]:
    """Give a sandbox and a session on a new store, both gone afterwards.

    Args:
        arguments: for the sandbox.
        settings: for the session.
    """
    with tempfile.TemporaryDirectory(prefix="kiegen-benchmark-") as folder, running_sandbox(*arguments) as sandbox:
        given: dict[str, Any] = {
            "base_url": sandbox.url,
            "database_url": Path(folder, "store.sqlite3"),
            "output_dir": Path(folder, "output"),
        }
        with Session(KEY, **(given | settings)) as session:
            yield sandbox, session


@contextmanager
def running_sandbox(*arguments: str) -> Iterator[Counted]:
    """Give a sandbox, ended afterwards."""
    sandbox = Counted(*arguments)
    try:
        yield sandbox
    finally:
        sandbox.stop()


@contextmanager
def downloads_off() -> Iterator[None]:
    """Have results stay at their addresses."""

    async def untouched(
        _saver: object, _task: object, assets: Iterable[Any], *_: object, **__: object
    ) -> tuple[Any, ...]:
        return tuple(assets)

    with mock.patch.object(MediaSaver, "save", untouched):
        yield


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that the share of all values does not exceed; NaN without values."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else math.nan


def busiest_second(times: Sequence[float]) -> int:
    """Return the most moments that lie within one second, wherever it begins."""
    window: deque[float] = deque()
    most = 0
    for moment in times:
        window.append(moment)
        while window[0] <= moment - 1.0:
            window.popleft()
        most = max(most, len(window))
    return most


@contextmanager
def isolated() -> Iterator[None]:
    """Forget the user's settings, and work in an empty folder."""
    for name in list(os.environ):
        if name.startswith(("KIE_", "KIEGEN_")) or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="kiegen-benchmark-") as folder, chdir(folder):
        yield


def machine() -> str:
    """Return one line about what this ran on."""
    libraries = ("aiohttp", "httpx", "sqlalchemy", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {versions}"
