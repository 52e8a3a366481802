"""The studio where people may also open it: Notebook 7 and Voila. Where one is not installed the test says so."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_quickstart import DECODED, SCREENSHOTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext, Page

    from tests.browser.conftest import Lab

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
STUDIO = "from kiegen_nb import Session, Studio\nStudio(session=Session(), prompt_id={group!r})"
FULL_SIZE = "() => [...document.querySelectorAll('dialog img')].some(img => img.complete && img.naturalWidth > 600)"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def needs(package: str) -> None:
    """Skip the test where a front end is not installed."""
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package.upper()} IS NOT INSTALLED: the studio was not tried in it (pip install {package})")


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
    expect(page.get_by_role("dialog")).to_be_visible()
    page.wait_for_function(FULL_SIZE)


def shoot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_notebook_7_shows_the_studio(lab: Lab, page: Page) -> None:
    needs("notebook")
    write(lab, "classic.ipynb", STUDIO.format(group="classic"))
    page.goto(f"{lab.url}/notebooks/classic.ipynb?token={lab.token}")
    page.locator(".jp-Notebook .jp-Cell").first.click()
    expect(page.locator(".jp-NotebookKernelStatus, .jp-Notebook-ExecutionIndicator").first).to_be_visible()
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
