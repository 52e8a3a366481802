"""What a notebook still shows when its kernel is gone, in a real JupyterLab."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CELL = """from kiegen_nb import Session, imagen4
from kiegen_nb.widgets.pages import Summary
session = Session()
session.submit(imagen4("a red kite"), prompt_id={group!r}).result()
session.submit(imagen4("a slow sunrise, sandbox:seconds={seconds}"), prompt_id={group!r})
Summary(session, {group!r}).display()"""
DECODED = "img => img.complete && img.naturalWidth > 0"


def output(notebook: Any) -> str:
    """Return the HTML the saved notebook holds."""
    [cell] = notebook.saved()["cells"]
    [html] = ["".join(found["data"]["text/html"]) for found in cell["outputs"] if "data" in found]
    return html


def test_what_ends_after_its_cell_is_in_the_saved_notebook(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("late.ipynb", CELL.format(group="late", seconds=5))
    notebook.run_cell(0)
    summary = notebook.page.locator(".kiegen-summary")
    expect(summary).to_contain_text("1 pending when this was saved")
    assert output(notebook).count("data:image/webp") == 1
    expect(summary.locator("img")).to_have_count(2)
    expect(summary).not_to_contain_text("pending")
    assert output(notebook).count("data:image/webp") == 2

    # Viewers without a kernel, and without the output folder.
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--stdout", str(notebook.path)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.count("data:image/webp") == 2

    # In JupyterLab, the link leads to a page that shows its pictures, though it may load no file from there.
    summary.get_by_role("link").click()
    page = notebook.page.frame_locator("iframe.jp-zoom-target")
    # The folder is every notebook's, so that other tests' results stand below these two.
    expect(page.get_by_text(re.compile(r"\d done")).first).to_be_visible()
    for picture in page.locator("img").all()[:2]:
        expect(picture).to_be_visible()
        assert picture.evaluate(DECODED)
    notebook.screenshot("index-in-lab")


def test_what_ends_after_a_reload_is_shown_by_the_saved_notebook_from_the_output_folder(
    open_notebook: Callable[..., Any],
) -> None:
    notebook = open_notebook("reloaded.ipynb", CELL.format(group="reloaded", seconds=20))
    notebook.run_cell(0)
    expect(notebook.page.locator(".kiegen-summary")).to_contain_text("1 pending when this was saved")
    output(notebook)
    notebook.open()
    folder = notebook.lab.root / "kiegen_output"
    page, sheet = folder / "index.html", folder / "reloaded" / "contact-sheet.webp"
    until(lambda: "1 pending" not in page.read_text(), 60)
    until(lambda: sheet.exists() and sheet.stat().st_mtime_ns >= page.stat().st_mtime_ns, 60)
    # JupyterLab drops what the kernel sends to an output it showed before the reload.
    assert output(notebook).count("data:image/webp") == 1
    notebook.command("notebook:shutdown-kernel", wait=False)
    notebook.open()
    picture = notebook.page.locator(".kiegen-summary img").last
    picture.scroll_into_view_if_needed()
    notebook.page.wait_for_function(DECODED, arg=picture.element_handle())
    assert "contact-sheet.webp" in (picture.get_attribute("src") or "")
    notebook.screenshot("reloaded")
