"""Rows about waiting: many tasks at once, many under the service's limits, and very many pending."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kiegen_nb.errors import TaskError
from kiegen_nb.kie.models.imagen4 import imagen4
from tests.benchmarks.compare import bare_aiohttp
from tests.benchmarks.measuring import (
    KEY,
    PROMPT,
    Counted,
    Figure,
    Ticker,
    busiest_second,
    downloads_off,
    percentile,
    place,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.session import Session

WARM = 30  # tasks that go before, so that the store knows how long this model takes
PENDING = 1000
PENDING_SECONDS = 30.0
CPU_SECONDS = 10.0
PATIENCE = 300.0  # seconds after which a task that is not seen counts as lost


@dataclass(slots=True)
class Run:
    """What one run of many tasks showed.

    Attributes:
        wall: seconds from the first submit to the last task seen.
        cpu: CPU seconds of this process in that time.
        submitting: seconds of that in which the main thread submitted.
        looks: looks the sandbox counted.
        seen: the service's id of each finished task, and the epoch second its ``await`` returned.
        known: the same, and the epoch second of the look that found it finished; then its files are saved.
    """

    wall: float = 0.0
    cpu: float = 0.0
    submitting: float = 0.0
    looks: int = 0
    seen: dict[str, float] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)


def delays(moments: dict[str, float], finishes: dict[str, float]) -> list[float]:
    """Return for each task the milliseconds from its completion to another moment."""
    return [(at - finishes[task_id]) * 1000 for task_id, at in moments.items()]


async def run(sandbox: Counted, session: Session, tasks: int, name: str) -> Run:
    """Submit many tasks at once and await each in a coroutine of its own."""
    found = Run(looks=-sandbox.looks)
    start, cpu = time.perf_counter(), time.process_time()
    handles = [session.submit(imagen4(f"{PROMPT} {number}"), prompt_id=name) for number in range(tasks)]
    found.submitting = time.perf_counter() - start

    async def follow(handle: TaskHandle) -> None:
        with contextlib.suppress(TaskError):
            task = await handle
            now, task_id = time.time(), task.external_task_id or ""
            found.seen[task_id] = now
            found.known[task_id] = task.completed_at.timestamp() if task.completed_at else now

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*map(follow, handles))
    found.wall, found.cpu = time.perf_counter() - start, time.process_time() - cpu
    found.looks += sandbox.looks
    return found


def at_once(tasks: int, *, downloads: bool = False) -> Sequence[Figure]:
    """Measure tasks of 4 to 6 s at once, limits off, warm history; a pass without and one with a ticker."""

    async def measure(sandbox: Counted, session: Session) -> tuple[Run, float, float, float]:
        warm = await run(sandbox, session, WARM, "warm")
        assert len(warm.seen) == WARM, "not even the first tasks finished"
        first = await run(sandbox, session, tasks, "first")
        with Ticker(session._engine.thread.loop) as ticker:
            await run(sandbox, session, tasks, "second")
        looks = round(first.looks / tasks)
        cpu = await bare_loop(sandbox, tasks, looks)
        with Ticker(asyncio.get_running_loop()) as bare:
            await bare_loop(sandbox, tasks, looks)
        return first, ticker.worst * 1000, cpu, bare.worst * 1000

    with contextlib.ExitStack() as stack:
        if not downloads:
            stack.enter_context(downloads_off())
        sandbox, session = stack.enter_context(place("--no-limits", create_limit=0, look_limit=0))
        found, stall, bare_cpu, bare_stall = asyncio.run(measure(sandbox, session))
        finishes = sandbox.finishes()
    seen, known = delays(found.seen, finishes), delays(found.known, finishes)
    wanted = not downloads
    return [
        Figure("finished", len(seen), least=tasks),
        Figure("completion -> seen, p50, ms", percentile(seen, 0.5), most=300 if wanted else None),
        Figure("completion -> seen, p95, ms", percentile(seen, 0.95), most=600 if wanted else None),
        Figure("completion -> found by a look, p95, ms", percentile(known, 0.95)),
        Figure("looks per task", found.looks / tasks, most=4 if wanted else None, digits=2),
        Figure("client CPU, s", found.cpu, most=0.6 if wanted else None, digits=2),
        Figure("client CPU, times a bare aiohttp loop's", found.cpu / bare_cpu, digits=1, note=f"its {bare_cpu:.2f} s"),
        Figure("longest stall of the engine's loop, ms", stall, most=50, note="in a second pass, with a ticker"),
        Figure("longest stall of a bare aiohttp loop, ms", bare_stall),
        Figure("main thread in submit(), ms per task", found.submitting * 1000 / tasks, digits=1),
    ]


async def bare_loop(sandbox: Counted, tasks: int, looks: int) -> float:
    """Return the CPU seconds of aiohttp alone for as many requests over as long a time: a floor, no product."""
    async with bare_aiohttp(sandbox.url, f"{KEY}-bare", "", kept=True) as way:
        await asyncio.gather(*(way.create(number) for number in range(16)))
        cpu = time.process_time()

        async def one(number: int) -> None:
            await way.create(number)
            for _ in range(looks):
                await asyncio.sleep((5 + number / tasks) / looks)
                await way.look(number)

        await asyncio.gather(*map(one, range(tasks)))
        return time.process_time() - cpu


def under_limits(tasks: int, *, downloads: bool = False) -> Sequence[Figure]:
    """Measure tasks of 4 to 6 s under 20 creates per 10 s and 10 looks per s, in real time, with no history."""
    with contextlib.ExitStack() as stack:
        if not downloads:
            stack.enter_context(downloads_off())
        sandbox, session = stack.enter_context(place())
        found = asyncio.run(run(sandbox, session, tasks, "limits"))
        finishes = sandbox.finishes()
        busiest, refused = busiest_second(sandbox.look_times()), sandbox.rate_limited()
    seen, known = delays(found.seen, finishes), delays(found.known, finishes)
    floor = (tasks - 1) // 20 * 10 + 7
    return [
        Figure("finished", len(seen), least=tasks),
        Figure("requests answered 429", refused, most=0),
        Figure("wall, s", found.wall, most=floor + 3, digits=1, note=f"the floor is {floor}"),
        Figure("completion -> seen, p50, ms", percentile(seen, 0.5)),
        Figure("completion -> seen, p95, ms", percentile(seen, 0.95), most=None if downloads else 2100),
        Figure("completion -> found by a look, p95, ms", percentile(known, 0.95)),
        Figure("looks per task", found.looks / tasks, digits=2),
        Figure("looks in the busiest second", busiest, most=10),
        Figure("client CPU, s", found.cpu, digits=2),
    ]


def pending() -> Sequence[Figure]:
    """Measure 1,000 pending tasks, awaited and watched, under the budget of looks."""

    async def measure(sandbox: Counted, session: Session) -> tuple[float, float, list[float]]:
        query = session.tasks("pending")
        handles = []
        for number in range(PENDING):
            handles.append(session.submit(imagen4(f"a kite {number}, sandbox:seconds=3600"), prompt_id="pending"))
            await asyncio.sleep(0)
        waiting = asyncio.gather(*handles)
        while any(handle.task.external_task_id is None for handle in handles):  # noqa: ASYNC110 - they are no events
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)  # what the creates left behind
        since = time.time()
        cpu = time.process_time()
        await asyncio.sleep(CPU_SECONDS)
        cpu = (time.process_time() - cpu) / CPU_SECONDS
        with Ticker(asyncio.get_running_loop()) as ticker:
            await asyncio.sleep(PENDING_SECONDS)
        assert len(query.data) == PENDING
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        return ticker.worst * 1000, cpu, sandbox.look_times(since)

    with place("--no-limits", create_limit=0) as (sandbox, session):
        stall, cpu, looks = asyncio.run(measure(sandbox, session))
    seconds = CPU_SECONDS + PENDING_SECONDS
    return [
        Figure("looks per second, mean", len(looks) / seconds, most=9, digits=1, note="as the sandbox counted"),
        Figure("looks in the busiest second", busiest_second(looks), most=10),
        Figure("longest stall of the main thread, ms", stall, most=50, note=f"in {PENDING_SECONDS:.0f} s"),
        Figure("client CPU per second, s", cpu, digits=3, note="without the ticker"),
    ]
