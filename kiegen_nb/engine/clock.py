"""The one door to time and chance, so that tests can move the first and fix the second."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time and chance as the engine sees them."""

    def time(self) -> float:
        """Return seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Return when the event is set or the time is over (None: only the event)."""

    def jitter(self) -> float:
        """Return a number in [0, 1)."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Return when the event is set or the time is over (None: only the event)."""
        if seconds is None:
            await event.wait()
            return
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await event.wait()
        except TimeoutError:
            pass

    def jitter(self) -> float:
        """Return a number in [0, 1)."""
        return random.random()  # noqa: S311 - spreads retries; nothing secret hangs on it


def as_datetime(seconds: float) -> datetime:
    """Return the UTC moment of an epoch time."""
    return datetime.fromtimestamp(seconds, UTC)
