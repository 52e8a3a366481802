"""Runs the example notebooks against a seeded sandbox and writes them back with clean outputs.

Usage: ``python tests/tools/refresh_notebooks.py [NOTEBOOK ...]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LASTING = ('class="kiegen-summary"', 'class="kiegen-grid"')


def refresh(path: Path) -> None:
    """Run one notebook in place; outputs that need a kernel are left out, and the summaries beside them."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # nbformat ships partial types
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "KIEGEN_DATABASE_URL": str(Path(folder, "store.sqlite3")),
            "KIEGEN_OUTPUT_DIR": str(Path(folder, "output")),
        }
        NotebookClient(notebook, timeout=120, store_widget_state=False).execute(cwd=folder)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if is_kept(output.get("data", {}))]
            # What names a folder or a moment of this machine is not committed.
            cell.outputs = [] if "remove-output" in cell.metadata.get("tags", ()) else list(joined(shown))
    nbformat.validate(notebook)
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call] # as above


def is_kept(data: NotebookNode) -> bool:
    """Whether an output says the same after every run."""
    return WIDGET_VIEW not in data and not any(mark in data.get("text/html", "") for mark in LASTING)


def joined(outputs: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Join the pieces in which one cell's text arrived; how many there were is chance."""
    last: NotebookNode | None = None
    for output in outputs:
        if last is not None and output.output_type == "stream" and output.get("name") == last.get("name"):
            last.text += output.text
            continue
        last = output if output.output_type == "stream" else None
        yield output


def main() -> None:
    """Refresh the notebooks named on the command line, or all of them."""
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--with-parent", "--seed", "1", "--speed", "5"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sandbox:
        if sandbox.stdout is None or sandbox.stdin is None:
            raise SystemExit("the sandbox has no pipes")
        os.environ["KIEGEN_BASE_URL"] = sandbox.stdout.readline().split()[-1]
        os.environ["KIEGEN_POLL_INTERVAL"] = "0.5"
        os.environ.pop("KIE_API_KEY", None)
        for path in [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
            refresh(path)
        sandbox.stdin.close()


if __name__ == "__main__":
    main()
