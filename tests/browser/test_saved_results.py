"""What a notebook still shows when its kernel is gone, in a real JupyterLab."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

HOSTILE = "<img src=x onerror='window.hacked = true'><script>window.hacked = true</script>"
PICTURE = "data:image/webp"
SCREENSHOTS = Path(__file__).parent / "screenshots"
DECODED = "img => img.complete && img.naturalWidth > 0"
SHUT_DOWN = "() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()"


def cells(group: str, *prompts: str) -> tuple[str, str]:
    """Return a cell that asks for pictures and waits for all but the last, and one that shows the studio."""
    *first, last = prompts
    asked = [f"session.submit(imagen4({prompt!r}), prompt_id={group!r}).result()" for prompt in first]
    lines = ["from kiegen_nb import Session, Studio, imagen4", "session = Session()", *asked]
    if last:
        lines.append(f"late = session.submit(imagen4({last!r}), prompt_id={group!r})")
    return "\n".join([*lines, "1"]), f"Studio(session, prompt_id={group!r})"


def output(notebook: Any) -> str:
    """Return the one summary the saved notebook holds."""
    found = [
        "".join(output["data"]["text/html"])
        for cell in notebook.saved()["cells"]
        for output in cell["outputs"]
        if "kiegen-summary" in "".join(output.get("data", {}).get("text/html", ""))
    ]
    [html] = found
    return html


def see(page: Page, picture: Locator) -> None:
    """Wait until a picture is on the screen."""
    picture.scroll_into_view_if_needed()
    page.wait_for_function(DECODED, arg=picture.element_handle())
    expect(picture).to_be_visible()


def open_without_kernel(notebook: Any) -> Locator:
    """Open the saved notebook where its kernel is not installed; return its summary."""
    page = notebook.page
    page.evaluate(SHUT_DOWN)
    page.goto("about:blank")
    known = json.loads(notebook.path.read_text())
    known["metadata"] = {"kernelspec": {"display_name": "Gone", "language": "gone", "name": "gone"}}
    notebook.path.write_text(json.dumps(known))
    page.goto(f"{notebook.lab.url}/lab/tree/{notebook.path.name}?token={notebook.lab.token}&reset")
    page.locator(".jp-Dialog .jp-mod-reject").click()  # "No Kernel"
    notebook.show_cell(1)
    summary: Locator = page.locator(".kiegen-summary")
    expect(summary).to_be_visible()
    return summary


@pytest.mark.long
def test_a_form_a_click_and_save_leave_the_picture_for_everybody(
    open_notebook: Callable[..., Any], browser: Any
) -> None:
    notebook = open_notebook("kept.ipynb", *cells("kept", "a red kite", ""))
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(1)
    summary = page.locator(".kiegen-summary")
    expect(summary).to_be_hidden()
    gap = "node => node.closest('.jp-OutputArea-child').getBoundingClientRect().height"
    assert summary.evaluate(gap) == 0
    page.get_by_role("textbox", name="Prompt", exact=False).first.fill(HOSTILE)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator(".kg-thumb")).to_have_count(2)
    expect(summary.locator("img")).to_have_count(2)  # the output follows while it is hidden
    notebook.run_cell(1)
    expect(page.locator(".kg-thumb")).to_have_count(2)
    expect(summary).to_have_count(1)
    assert output(notebook).count(PICTURE) == 2

    seen = open_without_kernel(notebook)
    for picture in seen.locator("img").all():
        see(page, picture)
    expect(seen).to_contain_text(HOSTILE)
    notebook.screenshot("saved-without-kernel")
    seen.get_by_role("link").click()
    index = page.frame_locator("iframe.jp-zoom-target")
    expect(index.get_by_text(HOSTILE).first).to_be_visible()
    for picture in index.locator("img").all()[:2]:
        expect(picture).to_be_visible()
        assert picture.evaluate(DECODED)
    notebook.screenshot("index-in-lab")
    assert page.evaluate("window.hacked") is None

    # Viewers that are no Jupyter, and have no output folder.
    made = notebook.path.with_suffix(".html")
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", str(notebook.path)]
    subprocess.run(command, capture_output=True, check=True)
    viewer = browser.new_page()
    try:
        viewer.goto(made.as_uri(), wait_until="domcontentloaded")
        for picture in viewer.locator(".kiegen-summary img").all():
            see(viewer, picture)
        expect(viewer.locator(".kiegen-summary img")).to_have_count(2)
        expect(viewer.locator(".kiegen-summary")).to_contain_text(HOSTILE)
        assert viewer.evaluate("window.hacked") is None
        viewer.screenshot(path=SCREENSHOTS / "nbconvert.png")
        viewer.emulate_media(color_scheme="dark")
        viewer.goto((notebook.lab.root / "kiegen_output" / "index.html").as_uri())
        expect(viewer.get_by_text(HOSTILE).first).to_be_visible()
        assert viewer.evaluate("window.hacked") is None
        viewer.screenshot(path=SCREENSHOTS / "index-dark.png")
    finally:
        viewer.close()


@pytest.mark.long
def test_what_ends_after_its_cell_is_in_the_saved_notebook(open_notebook: Callable[..., Any]) -> None:
    slow = "a slow sunrise, sandbox:seconds=5"
    notebook = open_notebook("late.ipynb", *cells("late", "a red kite", slow))
    notebook.command("notebook:run-all-cells")
    summary = notebook.page.locator(".kiegen-summary")
    expect(summary).to_contain_text("1 pending when this was saved")
    assert output(notebook).count(PICTURE) == 1
    expect(summary.locator("img")).to_have_count(2)
    expect(summary).not_to_contain_text("pending")
    assert output(notebook).count(PICTURE) == 2


@pytest.mark.long
@pytest.mark.parametrize("way", ["reload", "closed tab"])
def test_what_ends_after_the_page_is_shown_from_the_output_folder_and_the_header_names_the_cell(
    open_notebook: Callable[..., Any], way: str
) -> None:
    group = f"after-{way}".replace(" ", "-")
    slow = f"a slow sunrise over a {group}, sandbox:seconds=20"
    notebook = open_notebook(f"{group}.ipynb", *cells(group, "a red kite", slow))
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kiegen-summary")).to_contain_text("1 pending when this was saved")
    output(notebook)
    if way == "reload":
        notebook.open()
    else:
        page.goto("about:blank")
    folder = notebook.lab.root / "kiegen_output"
    index, sheet = folder / "index.html", folder / group / "contact-sheet.webp"
    finished = re.compile(rf'<article><div class="media">(?:(?!<article>).)*{slow}', re.DOTALL)
    until(lambda: finished.search(index.read_text()) is not None, 60)
    until(lambda: sheet.exists() and sheet.stat().st_mtime_ns >= index.stat().st_mtime_ns, 60)
    if way != "reload":
        notebook.open()
    # JupyterLab drops what the kernel sends to an output it showed before the page was loaded.
    expect(page.locator(".kg-thumb")).to_have_count(2)
    expect(page.locator(".kg-stale")).to_contain_text("Run cell [2] again, then save.")
    notebook.screenshot(f"stale-{group}")
    assert output(notebook).count(PICTURE) == 1

    summary = open_without_kernel(notebook)
    picture = summary.locator("img").last
    see(page, picture)
    assert "contact-sheet.webp" in (picture.get_attribute("src") or "")
    notebook.screenshot(f"saved-after-{group}")
