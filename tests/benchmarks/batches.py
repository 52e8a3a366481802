"""Rows about batches: two hundred items under the documented limits, and ten thousand stored ones."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from kiegen_nb.batch.plan import Plan
from kiegen_nb.engine.store_asks import MOST_AT_ONCE
from kiegen_nb.kie.models.imagen4 import imagen4
from tests.benchmarks.measuring import PROMPT, Figure, Ticker, place

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST = 20  # finished items after which the expected end has to be right
STORED = 10_000


def kites(number: int) -> Plan:
    """Return a plan of so many kites."""
    return Plan.of(imagen4(f"{PROMPT} {count:05}") for count in range(number))


def batch_under_limits(tasks: int) -> Sequence[Figure]:
    """Measure a batch of tasks of 4 to 6 s under 20 creates per 10 s and 10 looks per s, in real time, no history."""

    async def measure() -> tuple[float, float, list[float]]:
        begun = time.time()
        making = time.perf_counter()
        batch = session.batch(kites(tasks), "kites")
        making = time.perf_counter() - making
        ends = [batch.progress.expected_end async for _ in batch.as_completed()]
        foretold = [end.timestamp() - begun for end in ends if end is not None]
        assert len(batch.results) == tasks, batch.progress
        return making, time.time() - begun, foretold

    with place() as (sandbox, session):
        with Ticker(session._engine.thread.loop) as ticker:
            making, wall, foretold = asyncio.run(measure())
        creates, refused = sandbox.creates, sandbox.rate_limited()
        again = time.perf_counter()
        session.batch(kites(tasks), "kites").wait()
        again = time.perf_counter() - again
        anew = sandbox.creates - creates
    off = [abs(moment - wall) / wall * 100 for moment in foretold]
    return [
        Figure("results", tasks, least=tasks),
        Figure("creates", creates, most=tasks),
        Figure("requests answered 429", refused, most=0),
        Figure("wall, s", wall, most=(tasks - 1) // 20 * 10 + 10, digits=1),
        Figure(
            f"expected end after {FIRST} results, off by %",
            off[FIRST - 1],
            most=10,
            digits=1,
            note=f"{foretold[FIRST - 1]:.1f} s foretold",
        ),
        Figure("the same after the first result", off[0], digits=1),
        Figure("the same, the worst after that", max(off[FIRST - 1 :]), digits=1),
        Figure("main thread in session.batch(), ms", making * 1000),
        Figure("the same batch again, with its wait, ms", again * 1000, digits=0),
        Figure("creates of that", anew, most=0),
        Figure("longest stall of the engine's loop, ms", ticker.worst * 1000, most=50),
    ]


def stored() -> Sequence[Figure]:
    """Measure ten thousand items that are stored and wait: making the batch, finding it again, its tables."""
    with place("--no-limits", create_limit=20, create_window=3600) as (_, session):
        plan = kites(STORED)
        with Ticker(session._engine.thread.loop) as ticker:
            making = time.perf_counter()
            batch = session.batch(plan, "kites")
            making = time.perf_counter() - making
            finding = time.perf_counter()
            session.existing(plan, "kites")
            finding = time.perf_counter() - finding
            time.sleep(2)
            progress = time.perf_counter()
            assert batch.progress.total == STORED
            progress = time.perf_counter() - progress
            session.to_frame()  # pandas itself takes its time to be imported
            table = time.perf_counter()
            assert len(session.to_frame()) == STORED
            table = time.perf_counter() - table
            own = time.perf_counter()
            assert len(batch.to_frame()) == STORED
            own = time.perf_counter() - own
            cancelling = time.perf_counter()
            cancelled = batch.cancel()
            cancelling = time.perf_counter() - cancelling
    return [
        Figure("session.batch() of 10,000 items, s", making, digits=2, note=f"{MOST_AT_ONCE} to a transaction"),
        Figure("session.existing(), s", finding, digits=2),
        Figure("session.to_frame(), s", table, most=1, digits=2),
        Figure("batch.to_frame(), s", own, digits=2),
        Figure("batch.progress, ms", progress * 1000),
        Figure("batch.cancel() of all that is not sent, s", cancelling, digits=2, note=f"{cancelled} of them"),
        Figure("longest stall of the engine's loop, ms", ticker.worst * 1000, most=50),
    ]
