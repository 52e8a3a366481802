"""How long it takes to stop: `Session.close()`, and a process that ends without it, both with work pending."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.measuring import KEY, Figure, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = 5
SCRIPT = """
import threading, time
from kiegen_nb import Session, imagen4
session = Session({key!r}, base_url={url!r}, database_url={store!r}, output_dir={output!r})
handles = [session.submit(imagen4(f"a kite {{number}}, sandbox:slow=600")) for number in range(20)]
answered = threading.Semaphore(0)
for handle in handles:
    handle.when_answered(lambda task: answered.release())
for _ in handles:
    answered.acquire()
started = time.perf_counter()
{closing}
print(time.perf_counter() - started, time.time(), flush=True)
"""


def endings() -> Sequence[Figure]:
    """Measure both, each in fresh processes with 20 tasks pending."""
    closed = statistics.median(_ended("session.close()")[0] for _ in range(RUNS))
    exited = statistics.median(_ended("pass")[1] for _ in range(RUNS))
    return [
        Figure(f"session.close() with 20 tasks pending, s, median of {RUNS}", closed, most=1.0, digits=2),
        Figure(f"the end of a process without it, s, median of {RUNS}", exited, most=1.0, digits=2),
    ]


def _ended(closing: str) -> tuple[float, float]:
    """Return the seconds of the closing line, and those from its end to that of the process."""
    with tempfile.TemporaryDirectory() as folder, running_sandbox() as sandbox:
        store, output = str(Path(folder, "store.sqlite3")), str(Path(folder, "output"))
        script = SCRIPT.format(key=KEY, url=sandbox.url, store=store, output=output, closing=closing)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
        over = time.time()
    spent, at = map(float, done.stdout.split())
    return spent, over - at
