"""Prints the gallery's figures in a real JupyterLab beside those to reach: ``python tests/benchmarks/gallery.py``.

``visible`` is the time from the command that runs the cell to the first frame in which every card on the screen has its
picture; the first time a page shows a gallery, its code is fetched, too. Bytes and frames are what the browser got over
the websocket until nothing more came. Some two minutes; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # `tests` is found there, as pytest finds it

import nbformat  # noqa: E402 - the line above comes first
from playwright.sync_api import expect, sync_playwright  # noqa: E402

from tests.benchmarks.measuring import Figure, machine  # noqa: E402
from tests.browser.conftest import CHROMIUM_ARGUMENTS, Lab, Notebook  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, WebSocket

FILM = 30_000_000
QUIET = 2.0  # seconds without a frame after which nothing more is expected
FILL = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from kiegen_nb import Gallery, Session, Studio
from tests.support.shelf import Shelf
session = Session()
shelf = Shelf(session, {{group!r}})
{{line}}
shelf.store()"""
SHOW = "Gallery({group!r}, session=session)"

# The pictures of before are gone as soon as the cell runs again.
VISIBLE = """() => new Promise((resolve) => {
    const app = window.jupyterapp;
    const before = document.querySelector('.kg');
    app.shell.currentWidget.content.activeCellIndex = 1;
    const begin = performance.now();
    app.commands.execute('notebook:run-cell');
    (function look() {
        const pane = document.querySelector('.kg-pane');
        if (pane && document.querySelector('.kg') !== before) {
            const box = pane.getBoundingClientRect();
            const cards = [...pane.querySelectorAll('.kg-card')].filter((card) => {
                const { top, bottom } = card.getBoundingClientRect();
                return bottom > Math.max(0, box.top) && top < Math.min(innerHeight, box.bottom);
            });
            const drawn = (card) => card.querySelector('.kg-thumb')?.naturalWidth > 0;
            if (cards.length && cards.every(drawn)) return resolve([performance.now() - begin, cards.length]);
        }
        requestAnimationFrame(look);
    })();
})"""

# As fast as a wheel is turned: through forty screens, a third of one every frame or so.
SCROLL = """() => new Promise((resolve) => {
    const pane = document.querySelector('.kg-pane');
    const frames = [];
    let last = null;
    (function step(now) {
        if (last !== null) frames.push(now - last);
        last = now;
        pane.scrollTop += 40;
        const isMore = pane.scrollTop + pane.clientHeight < pane.scrollHeight - 1;
        if (isMore && frames.length < 240) requestAnimationFrame(step);
        else resolve(frames);
    })(performance.now());
})"""


class Counter:
    """What the page got over its websockets."""

    def __init__(self) -> None:
        self.frames = self.bytes = 0
        self.last = time.monotonic()

    def watch(self, socket: WebSocket) -> None:
        """Count a websocket's frames."""
        socket.on("framereceived", self._on_frame)

    def _on_frame(self, payload: bytes | str) -> None:
        self.frames += 1
        self.bytes += len(payload)
        self.last = time.monotonic()

    def settle(self, notebook: Notebook) -> tuple[int, int]:
        """Wait until nothing more comes; return the frames and bytes since the last call."""
        while time.monotonic() - self.last < QUIET:
            notebook.page.wait_for_timeout(200)
        found = self.frames, self.bytes
        self.frames = self.bytes = 0
        return found


def opened(lab: Lab, context: BrowserContext, group: str, line: str) -> tuple[Notebook, Counter]:
    """Open a notebook whose group is filled."""
    texts = FILL.format(line=line, group=group), SHOW.format(group=group)
    cells = [nbformat.v4.new_code_cell(text) for text in texts]  # type: ignore[no-untyped-call] # nbformat ships partial types
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    made = nbformat.v4.new_notebook(cells=cells, metadata=kernel)  # type: ignore[no-untyped-call] # as above
    name = f"{group}.ipynb"
    nbformat.write(made, lab.root / name)  # type: ignore[no-untyped-call] # as above
    page, counter = context.new_page(), Counter()
    page.on("websocket", counter.watch)
    page.set_default_timeout(60_000)
    notebook = Notebook(lab, page, name)
    notebook.open()
    notebook.run_cell(0)
    counter.settle(notebook)
    return notebook, counter


def items(lab: Lab, context: BrowserContext, number: int, runs: int) -> Iterator[Figure]:
    """Show a gallery of so many pictures, some times."""
    notebook, counter = opened(lab, context, f"items-{number}", f"shelf.pictures({number})")
    times: list[float] = []
    frames = size = seen = 0
    for run in range(runs):
        took, seen = notebook.page.evaluate(VISIBLE)
        times.append(took)
        if run == 0:
            frames, size = counter.settle(notebook)
        else:
            counter.settle(notebook)
    wanted = 800 if number == 100 else None
    yield Figure(f"{seen} of {number:,} items visible, the first time, ms", times[0], most=wanted)
    if times[1:]:
        yield Figure("  again, median, ms", statistics.median(times[1:]), most=wanted)
    yield Figure("  frames over the websocket", frames)
    yield Figure("  KB over the websocket", size / 1000)
    scrolled = notebook.page.evaluate(SCROLL)
    yield Figure("  scrolling, frame of the median, ms", statistics.median(scrolled), digits=1)
    yield Figure("  scrolling, 95 % of the frames, ms", statistics.quantiles(scrolled, n=20)[-1], digits=1)
    yield Figure("  scrolling, longest frame, ms", max(scrolled), digits=1)
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    saved = notebook.saved()
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")  # it is a switch, for all notebooks
    yield Figure("  saved state, bytes", len(json.dumps(saved["metadata"]["widgets"])), most=20 * 1024)
    outputs = sum(len(json.dumps(output)) for output in saved["cells"][1]["outputs"])
    yield Figure("  saved pictures (the summary), KB", outputs / 1000, most=310)
    close(notebook)


def film(lab: Lab, context: BrowserContext) -> Iterator[Figure]:
    """Play a film of 30 MB."""
    notebook, counter = opened(lab, context, "film", f"shelf.film(size={FILM})")
    notebook.page.evaluate(VISIBLE)
    counter.settle(notebook)
    begin = time.monotonic()
    notebook.page.get_by_role("button", name="Play: a fox").click()
    notebook.page.wait_for_function("() => document.querySelector('dialog video')?.currentTime > 0")
    yield Figure("a film of 30 MB plays after a click, ms", (time.monotonic() - begin) * 1000)
    _, size = counter.settle(notebook)
    yield Figure("  KB over the websocket", size / 1000, most=1000)
    close(notebook)


def close(notebook: Notebook) -> None:
    """End its kernel and its page."""
    notebook.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    notebook.page.close()


def tell(figures: Iterator[Figure]) -> None:
    """Print figures as they come, under the machine's load."""
    print(f"load {os.getloadavg()[0]:.1f}")  # noqa: T201 - the table is what this is for
    for figure in figures:
        print(figure.line(), flush=True)  # noqa: T201 - as above


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--items", type=int, nargs="*", default=[100, 1000])
    asked: Any = parser.parse_args()
    expect.set_options(timeout=60_000)
    print(machine())  # noqa: T201 - as above
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        context = playwright.chromium.launch_persistent_context(
            str(Path(folder, "chromium")),
            executable_path=shutil.which("chromium"),
            args=CHROMIUM_ARGUMENTS,
            viewport={"width": 1360, "height": 1000},
        )
        try:
            while not lab.is_up():
                time.sleep(0.1)
            for number in asked.items:
                tell(items(lab, context, number, asked.runs))
            tell(film(lab, context))
        finally:
            context.close()
            lab.stop()


if __name__ == "__main__":
    main()
