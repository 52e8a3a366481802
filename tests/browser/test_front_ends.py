"""Where people may also work: the studio in Notebook 7 and Voila, the gallery in marimo, where they are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_quickstart import DECODED, SCREENSHOTS
from tests.conftest import until
from tests.support.worlds import closed_port, listens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

    from tests.browser.conftest import Lab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
STUDIO = "from kiegen_nb import Session, Studio\nStudio(session=Session(), prompt_id={group!r})"
APP = """import marimo
app = marimo.App()

@app.cell
def _():
    import marimo as mo
    from kiegen_nb import Gallery, Session, imagen4
    session = Session()
    session.submit(imagen4("a red kite over the sea"), prompt_id="marimo")
    mo.ui.anywidget(Gallery("marimo", session=session))
    return
"""
FULL_SIZE = "pictures => pictures.some(img => img.complete && img.naturalWidth > 600)"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def needs(package: str) -> None:
    """Skip the test where a front end is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package.upper()} IS NOT INSTALLED: nothing was tried in it (pip install {package})")


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    opened = browser.new_page()
    opened.set_default_timeout(60_000)
    yield opened
    opened.close()


def write(lab: Lab, name: str, code: str) -> None:
    """Put a notebook of one cell into the server's folder."""
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "c0",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
        "source": code,
    }
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": KERNEL}, "cells": [cell]}
    (lab.root / name).write_text(json.dumps(notebook), encoding="utf-8")


def is_connected(lab: Lab, name: str) -> bool:
    """Whether a notebook's kernel is idle and its page talks to it."""
    with urllib.request.urlopen(f"{lab.url}/api/sessions?token={lab.token}", timeout=10) as answer:  # noqa: S310 - our own loopback
        kernels = [session["kernel"] for session in json.load(answer) if session["path"] == name]
    return any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels)


def make_a_picture(page: Page, prompt: str) -> None:
    """Do what a person does: write, press, see."""
    gallery = page.locator(".kg").first
    expect(gallery).to_be_visible()
    expect(gallery).to_contain_text("SANDBOX")
    page.get_by_role("textbox", name="Prompt", exact=False).first.fill(prompt)
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(gallery.locator(".kg-thumb")).to_have_count(1)
    page.wait_for_function(DECODED, arg=gallery.locator(".kg-thumb").first.element_handle())
    expect(gallery).to_contain_text(prompt)


def enlarge(page: Page) -> None:
    """Open the picture and see it at its full size, not the thumbnail."""
    page.locator(".kg-pic").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    until(lambda: bool(dialog.locator("img").evaluate_all(FULL_SIZE)), 60)


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_notebook_7_shows_the_studio(lab: Lab, page: Page) -> None:
    needs("notebook")
    write(lab, "classic.ipynb", STUDIO.format(group="classic"))
    page.goto(f"{lab.url}/notebooks/classic.ipynb?token={lab.token}")
    # A cell that is run before its page knows the kernel is silently not run.
    until(lambda: is_connected(lab, "classic.ipynb"), 60)
    expect(page.locator(".jp-Toolbar-kernelName").first).to_contain_text("Python 3")
    expect(page.locator(".jp-Notebook-ExecutionIndicator").first).to_have_attribute("data-status", "idle")
    page.locator(".jp-Notebook .jp-Cell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    make_a_picture(page, "a lighthouse at dusk")
    shoot(page, "notebook-7")
    enlarge(page)
    shoot(page, "notebook-7-enlarged")


def test_voila_shows_the_studio(lab: Lab, page: Page) -> None:
    needs("voila")
    write(lab, "app.ipynb", STUDIO.format(group="app"))
    page.goto(f"{lab.url}/voila/render/app.ipynb?token={lab.token}")
    make_a_picture(page, "a paper boat")
    shoot(page, "voila")
    enlarge(page)
    shoot(page, "voila-enlarged")


@pytest.fixture
def marimo(tmp_path: Path) -> Iterator[str]:
    """The address of an app in marimo."""
    needs("marimo")
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    port = closed_port()
    command = [sys.executable, "-m", "marimo", "run", "app.py", "--headless", "--no-token", "--port", str(port)]
    with (tmp_path / "marimo.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=dict(os.environ), stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 60)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


def test_marimo_shows_the_gallery(marimo: str, page: Page) -> None:
    page.goto(marimo)
    gallery = page.locator(".kg").first
    expect(gallery).to_contain_text("SANDBOX")
    expect(gallery.locator(".kg-thumb")).to_have_count(1)
    page.wait_for_function(DECODED, arg=gallery.locator(".kg-thumb").first.element_handle())
    shoot(page, "marimo")
    enlarge(page)
    shoot(page, "marimo-enlarged")
