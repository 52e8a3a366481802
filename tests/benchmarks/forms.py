"""Prints how long forms and the market tab take to build: ``python tests/benchmarks/forms.py``.

Figures to reach: any form 50 ms, the market tab with a search 200 ms, ``import kiegen_nb`` 350 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import FAMILIES
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.market import MarketPanel

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 7


class NoSession:
    """Stands where a session would; nothing is sent here."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: lambda: None


def milliseconds(work: Callable[[], Any], runs: int = RUNS) -> list[float]:
    """Return the time of several runs; what was built is closed outside of it."""
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        built = work()
        found.append((time.perf_counter() - start) * 1000)
        if built is not None:
            built.close()
    return found


def row(name: str, times: list[float], wanted: float) -> None:
    """Print one line of the table."""
    median, most = statistics.median(times), max(times)
    print(f"{name:34} {median:8.1f} {most:8.1f} {wanted:8.0f}")  # noqa: T201 - the table is what this is for


def main() -> None:
    """Print the table."""
    session: Any = NoSession()
    print(f"{'ms':34} {'median':>8} {'most':>8} {'wanted':>8}")  # noqa: T201 - the table is what this is for
    command = [
        sys.executable,
        "-c",
        "import time; t=time.perf_counter(); import kiegen_nb; print(time.perf_counter()-t)",
    ]
    imports = [
        float(subprocess.run(command, capture_output=True, check=True, text=True).stdout) * 1000 for _ in range(5)
    ]
    row("import kiegen_nb", imports, 350)
    for name, family in FAMILIES.items():
        if name != "MARKET":
            row(f"form {name}", milliseconds(partial(Form, family, session=session)), 50)
    market = [time for slug in catalogue for time in milliseconds(partial(Form.market, slug, session=session), 1)]
    row(f"form of each of {len(catalogue)} market slugs", market, 50)

    def search_and_choose() -> MarketPanel:
        panel = MarketPanel(session)
        panel.search.value = "kling"
        panel.choose("kling-3.0/video")
        return panel

    row("market tab, search and form", milliseconds(search_and_choose), 200)


if __name__ == "__main__":
    main()
