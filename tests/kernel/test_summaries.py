"""What a cell that shows a gallery leaves in its notebook, in real kernels and through real nbconvert."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

VIEW = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<img src=x onerror='window.hacked = true'><script>window.hacked = true</script>"
START = "from kiegen_nb import Gallery, Session, Studio, imagen4\nsession = Session()"
PICTURE = "data:image/webp;base64,"


def outputs(cell: Any) -> list[dict[str, Any]]:
    """Return the outputs of a cell as the notebook holds them, with what they are by now."""
    shown: list[dict[str, Any]] = []
    for message in cell.messages:
        data, named = message["content"].get("data"), message["content"].get("transient", {}).get("display_id")
        if message["msg_type"] in {"display_data", "execute_result"}:
            shown.append({"id": named, "data": data})
        elif message["msg_type"] == "update_display_data":
            next(output for output in shown if output["id"] == named)["data"] = data
    return shown


def summary_of(cell: Any) -> str:
    """Return the one summary a cell left."""
    [summary] = [output["data"]["text/html"] for output in outputs(cell) if VIEW not in output["data"]]
    return str(summary)


def settings(folder: Path, sandbox: Any) -> dict[str, str]:
    """Return the environment of a process on the sandbox and a store of its own."""
    own = {
        "KIEGEN_BASE_URL": sandbox.url,
        "KIEGEN_DATABASE_URL": str(folder / "store.sqlite3"),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    return dict(os.environ) | own


@pytest.mark.parametrize(
    "shown",
    [
        "Studio(session)",
        pytest.param("Gallery(session=session)", marks=pytest.mark.long),
        pytest.param("display(Gallery(session=session))", marks=pytest.mark.long),
    ],
)
def test_a_cell_leaves_the_widget_and_one_summary_with_the_pictures(kernel: Any, shown: str) -> None:
    kernel.run(f"{START}\nsession.submit(imagen4('a red kite')).result()")
    cell = kernel.start(shown).finish()
    assert (cell.error, cell.text) == ("", "")
    [live, summary] = outputs(cell)
    assert VIEW in live["data"]
    assert PICTURE not in live["data"]["text/html"]
    assert live["data"]["text/plain"] in {"Studio(default)", "Gallery(default)"}
    assert summary["data"]["text/html"].count(PICTURE) == 1
    assert 'data-kiegen-cell="2"' in summary["data"]["text/html"]


def test_what_ends_after_its_cell_joins_the_summary_and_the_page(kernel: Any, tmp_path: Path) -> None:
    kernel.run(f"{START}\nsession.submit(imagen4('a red kite')).result()")
    cell = kernel.start("Studio(session)").finish()
    kernel.start("handle = session.submit(imagen4('a lighthouse'))").finish()
    kernel.until(lambda: summary_of(cell).count(PICTURE) == 2)
    assert "pending" not in summary_of(cell)
    page = (tmp_path / "output" / "index.html").read_text()
    assert "a lighthouse" in page
    assert "2 done" in page


def test_a_cell_that_runs_twice_leaves_one_summary_that_follows(kernel: Any) -> None:
    kernel.run(START)
    kernel.start("Studio(session)").finish()
    second = kernel.start("Studio(session)").finish()
    kernel.run("session.submit(imagen4('a red kite')).result()")
    kernel.until(lambda: summary_of(second).count(PICTURE) == 1)
    assert kernel.run("from kiegen_nb.widgets import pages; print(len(pages._current))") == "1"


def test_a_gallery_of_given_tasks_leaves_them_and_follows_what_it_is_given(kernel: Any) -> None:
    kernel.run(f"{START}\ntask = session.submit(imagen4('a red kite')).result()")
    cell = kernel.start("gallery = Gallery(tasks=[task]); gallery").finish()
    assert summary_of(cell).count(PICTURE) == 1
    again = kernel.start("gallery.show([])").finish()
    [update] = [message for message in again.messages if message["msg_type"] == "update_display_data"]
    assert "Nothing here yet." in update["content"]["data"]["text/html"]
    assert 'data-kiegen-cell="2"' in update["content"]["data"]["text/html"]
    assert update["content"]["transient"]["display_id"] == outputs(cell)[1]["id"]


def test_a_closed_session_still_shows_its_gallery(kernel: Any) -> None:
    kernel.run(f"{START}\ngallery = Gallery(session=session)\nsession.close()")
    cell = kernel.start("gallery").finish()
    assert cell.error == ""
    assert [VIEW in output["data"] for output in outputs(cell)] == [True]


def test_a_gallery_in_a_plain_script_prints_what_it_always_did(tmp_path: Path, sandbox: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"{START}\nfrom IPython.display import display\n"
        "task = session.submit(imagen4('a red kite')).result()\n"
        "display(Studio(session), Gallery(tasks=[task]))\n"
        "print(Gallery(session=session).contact_sheet('sheet.png'))\nsession.close()"
    )
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings(tmp_path, sandbox))
    assert done.stdout == "Studio(default) Gallery(default)\nsheet.png\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"


@pytest.mark.long
def test_nbconvert_shows_the_pictures(tmp_path: Path, sandbox: Any) -> None:
    cells = [
        f"{START}\nsession.submit(imagen4('a red kite')).result()\nsession.submit(imagen4({HOSTILE!r})).result();",
        "Studio(session)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])  # type: ignore[no-untyped-call] # nbformat ships partial types
    nbformat.write(notebook, tmp_path / "show.ipynb")  # type: ignore[no-untyped-call] # as above
    convert = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "html", "show.ipynb"]
    subprocess.run(convert, capture_output=True, check=True, env=settings(tmp_path, sandbox))
    text = (tmp_path / "show.html").read_text()
    assert text.count(PICTURE) == 2
    _, _, summary = text.partition('class="kiegen-summary"')
    assert HOSTILE in html.unescape(summary)
    assert "<script>window.hacked" not in text
    assert "<img src=x" not in text
