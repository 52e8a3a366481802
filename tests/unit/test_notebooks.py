"""The example notebooks as they are committed: nothing of the machine they ran on, no widget without its kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
# Folders and addresses of a machine, ids of tasks, and moments.
OURS = re.compile(r"/(?:tmp|root|home)/|127\.0\.0\.1|localhost:\d|\b[0-9a-f]{32}\b|\b20\d\d-\d\d-\d\d\b")


def texts_of(output: dict[str, Any]) -> str:
    """Return what an output says, without the bytes of pictures."""
    if "text" in output:
        return "".join(output["text"])
    said = "".join("".join(text) for kind, text in output["data"].items() if kind.startswith("text/"))
    return re.sub(r"data:image/\w+;base64,[\w+/=]*", "", said)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_clean(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert all(output["output_type"] != "error" for output in outputs)
    assert all(WIDGET not in output.get("data", {}) for output in outputs)
    assert [found for output in outputs if (found := OURS.findall(texts_of(output)))] == []
