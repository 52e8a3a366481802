"""Prints the engine's figures beside those to reach.

``python tests/benchmarks/engine.py [row ...] [--tasks N] [--compare]``; all rows take some ten minutes. Nothing else
should run meanwhile: the load is printed before each row, and what is far above 0.5 spoils times, CPU and stalls.
Only numbers of one run may be compared.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

sys.path[0] = str(Path(__file__).resolve().parents[2])  # `tests` is found there, as pytest finds it

from tests.benchmarks.batches import batch_under_limits, stored  # noqa: E402 - the line above comes first
from tests.benchmarks.compare import compare  # noqa: E402
from tests.benchmarks.endings import endings  # noqa: E402
from tests.benchmarks.measuring import Figure, isolated, machine  # noqa: E402
from tests.benchmarks.mishaps import download, faults, imports  # noqa: E402
from tests.benchmarks.waiting import at_once, pending, under_limits  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS: dict[str, tuple[str, Callable[[int], Sequence[Figure]]]] = {
    "at-once": (
        "{tasks} tasks of 4 to 6 s at once, limits off, warm history; downloads off: MediaSaver.save is replaced",
        at_once,
    ),
    "downloads": (
        "the same with downloads, so that a result counts as seen once it is saved",
        partial(at_once, downloads=True),
    ),
    "limits": (
        "{tasks} tasks of 4 to 6 s under 20 creates per 10 s and 10 looks per s, no history, downloads off",
        under_limits,
    ),
    "limits-downloads": ("the same with downloads", partial(under_limits, downloads=True)),
    "batch": (
        "a batch of {tasks} items of 4 to 6 s under 20 creates per 10 s and 10 looks per s, with downloads",
        batch_under_limits,
    ),
    "stored": ("10,000 items of a batch, stored and waiting", lambda _: stored()),
    "pending": ("1,000 pending tasks, awaited and watched", lambda _: pending()),
    "endings": ("session.close() and the end of a process", lambda _: endings()),
    "import": ("import kiegen_nb", lambda _: imports()),
    "download": ("a film of 100 MB", lambda _: download()),
    "faults": ("{tasks} tasks with bad answers, at 20 times life's speed with limits scaled alike", faults),
}


def say(text: str = "") -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - the table is what this is for


def error_log() -> logging.Handler:
    """Return what prints the errors of the engine itself, which would explain an odd figure."""
    handler = logging.StreamHandler()
    handler.setLevel(logging.ERROR)
    return handler


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Prints the engine's figures beside those to reach.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all without one")
    parser.add_argument("--tasks", type=int, default=200, help="how many tasks (the figures are for 200)")
    parser.add_argument(
        "--compare", action="store_true", help="below it, what one request costs with each HTTP library"
    )
    options = parser.parse_args()
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]!r}: choose from {', '.join(ROWS)}")
    logging.getLogger("kiegen_nb").addHandler(error_log())
    say(machine())
    with isolated():
        show(options.rows or list(ROWS), options.tasks)
        if options.compare:
            show_requests()


def show(rows: Sequence[str], tasks: int) -> None:
    """Print rows; one that breaks does not stop the others."""
    say(f"  {'':60} {'measured':>10} {'wanted':>10}")
    for name in rows:
        title, measure = ROWS[name]
        say(f"{name}: {title.format(tasks=tasks)} (load before: {os.getloadavg()[0]:.1f})")
        try:
            for figure in measure(tasks):
                say(figure.line())
        except Exception:  # noqa: BLE001 - whatever it was, the table says it
            say(f"  BROKEN\n{traceback.format_exc()}")


def show_requests() -> None:
    """Print what one request costs with each HTTP library."""
    say(f"CPU milliseconds of one request, 16 at once  {'create':>8} {'look':>8}")
    for way, create, look in compare():
        say(f"  {way:42} {create:8.2f} {look:8.2f}")


if __name__ == "__main__":
    main()
