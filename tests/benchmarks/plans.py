"""Prints how long plans of 10,000 requests take: ``python tests/benchmarks/plans.py``.

Figures to reach: planning 1 s; everything that is shown of a plan 1 s.
"""

from __future__ import annotations

import csv
import gc
import tempfile
import time
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiegen_nb import Plan, imagen4, market, midjourney, replace, sora2, sweep, veo3
from tests.benchmarks.measuring import Figure, machine

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 5
ITEMS = 10_000
MOST = 1.0  # seconds
KITE = imagen4("a red kite")
SEEDS = range(ITEMS // 2)
PROMPTS = [f"a kite, no. {number}" for number in range(ITEMS // 2)]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the quickest of some runs, and the processor's share of it; what else the machine does is left out."""
    found = []
    for _ in range(RUNS):
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(found)


def line(what: str, work: Callable[[], object]) -> None:
    """Print one line of the table."""
    wall, cpu = seconds(work)
    print(Figure(f"{what}, s", wall, most=MOST, digits=2, note=f"{cpu:.2f} s of CPU").line())  # noqa: T201


def unshown() -> Plan:
    """Return a plan nobody has asked for its price yet."""
    return PLAN[:]


PLAN = sweep(KITE, aspect_ratio=["1:1", "16:9"], seed=SEEDS)


def main() -> None:
    """Print the table."""
    print(f"{ITEMS:,} requests; {machine()}")  # noqa: T201
    sweeps: dict[str, tuple[Any, dict[str, Any]]] = {
        "Imagen 4": (KITE, {"aspect_ratio": ["1:1", "16:9"], "seed": SEEDS}),
        "Imagen 4, words and a function": (
            KITE,
            {
                "what": replace("kite", ["kite", "boat"]),
                "seed": SEEDS,
                "negative_prompt": itemgetter("prompt"),
            },
        ),
        "Veo 3.1": (veo3("a kite"), {"duration": [4, 8], "prompt": PROMPTS}),
        "Midjourney": (midjourney("a kite"), {"speed": ["fast", "turbo"], "prompt": PROMPTS}),
        "Sora 2": (sora2("a kite"), {"n_frames": [10, 15], "prompt": PROMPTS}),
        "market, z-image": (market("z-image", prompt="a kite"), {"aspect_ratio": ["1:1", "16:9"], "prompt": PROMPTS}),
    }
    for what, (base, axes) in sweeps.items():
        line(f"sweep: {what}", partial(sweep, base, axes))
    rows = [{"prompt": text, "aspect_ratio": ratio} for text in PROMPTS for ratio in ("1:1", "16:9")]
    line("sweep: rows of dicts", lambda: sweep(KITE, rows=rows))
    line("sweep: rows of a DataFrame", lambda: sweep(KITE, rows=PLAN.to_frame()[["aspect_ratio", "seed"]]))
    with tempfile.TemporaryDirectory(prefix="kiegen-benchmark-") as folder:
        path = Path(folder, "rows.csv")
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        line("sweep: rows of a CSV file", lambda: sweep(KITE, rows=path))
    line("price()", lambda: unshown().price())
    line("print(plan)", lambda: repr(unshown()))
    line("a cell's table", lambda: unshown()._repr_html_())
    line("to_frame()", lambda: unshown().to_frame())


if __name__ == "__main__":
    main()
