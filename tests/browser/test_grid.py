"""A comparison grid in a real JupyterLab: it fills, opens, is rated and sorted, and stays without a kernel."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
DECODED = "selector => [...document.querySelectorAll(selector)].every((img) => img.complete && img.naturalWidth > 0)"
THEME = "t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${t}`})"
KINDS = "window.jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model.type)"
SETUP = """
from kiegen_nb import Gallery, Session, compare, imagen4, sweep
session = Session()
plan = sweep(
    imagen4("a red kite over the sea"),
    aspect_ratio=["16:9", "1:1", "9:16"],
    prompt=["a red kite over the sea", "a lighthouse at dusk{slow}", "a crowd, sandbox:fail"],
    api_model=["google/imagen4-fast", "google/imagen4"],
)
batch = session.batch(plan, {name!r})
grid = batch.grid(y="prompt")
grid
"""


def grid_of(page: Page) -> Locator:
    return page.get_by_role("region", name="Comparison grid")


def rate_here(page: Page, tile: Locator, key: str) -> None:
    """Have the pointer rest on a tile while the notebook is in command mode, and press a key."""
    page.keyboard.press("Escape")
    tile.locator(".kg-thumb").hover()
    page.keyboard.press(key)


def test_a_grid_fills_is_rated_and_opened(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("filling.ipynb", SETUP.format(name="filling", slow=", sandbox:slow=4"))
    page = notebook.page
    notebook.run_cell(0)
    grid = grid_of(page)
    expect(grid.get_by_role("table")).to_have_count(2)
    expect(grid.locator(".kg-tile")).to_have_count(18)
    expect(grid.locator(".kg-done").first).to_be_visible()
    page.wait_for_function(DECODED, arg=".kg-thumb")
    assert grid.locator("[aria-busy=true]").count() > 0, "some are there, some are not yet"
    notebook.screenshot("grid-filling")
    expect(grid.locator("[aria-busy=true]")).to_have_count(0)
    expect(grid.locator(".kg-done")).to_have_count(12)
    expect(grid.locator(".kg-failed")).to_have_count(6)

    first = grid.locator(".kg-done").first
    rate_here(page, first, "4")
    expect(first.get_by_role("slider")).to_have_attribute("aria-valuetext", "4 of 5")
    assert set(page.evaluate(KINDS)) == {"code"}, "no cell became a heading"

    first.get_by_role("button").click()
    page.wait_for_function("() => document.querySelector('dialog .kg-full:not(.kg-soft)')?.naturalWidth > 320")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("5")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("slider")).to_have_attribute("aria-valuetext", "5 of 5")
    dialog.get_by_role("textbox", name="Comment").fill("the best light of all")
    page.wait_for_function("() => document.querySelector('dialog .kg-full:not(.kg-soft)')?.naturalWidth > 320")
    notebook.screenshot("grid-lightbox")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(grid.locator(".kg-said")).to_have_text("the best light of all")


@pytest.mark.long
def test_ratings_sort_the_gallery_and_how_it_looks(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "looks-grid.ipynb",
        SETUP.format(name="looks-grid", slow=""),
        "batch.wait()\n"
        "for task, stars in zip(batch.results, (2, 5, 3)): session.rate(task, stars, comment=f'{stars} stars')\n"
        "compare(batch.results[0], batch.results[3])",
        "gallery = Gallery('looks-grid', session=session)\ngallery",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    grid = grid_of(page)
    expect(grid.locator(".kg-done")).to_have_count(12)
    notebook.show_cell(2)
    gallery = page.get_by_role("region", name="Gallery")
    gallery.get_by_role("combobox", name="Order").select_option("Best first")
    stars = [card.get_by_role("slider") for card in gallery.get_by_role("listitem").all()[:3]]
    for card, words in zip(stars, ("5 of 5", "3 of 5", "2 of 5"), strict=True):
        expect(card).to_have_attribute("aria-valuetext", words)
    gallery.get_by_role("combobox", name="Rating").select_option("3 stars or more")
    expect(gallery.get_by_role("listitem")).to_have_count(2)
    page.wait_for_function(DECODED, arg=".kg-thumb")
    notebook.screenshot("gallery-rated")
    for theme, light in (("Dark", "false"), ("Light", "true")):
        page.evaluate(THEME, theme)
        page.wait_for_function("is => document.body.dataset.jpThemeLight === is", arg=light)
        page.wait_for_selector("#jupyterlab-splash", state="detached")
        notebook.show_cell(1)
        notebook.screenshot(f"compare-{theme.lower()}")
        notebook.show_cell(0)
        grid.scroll_into_view_if_needed()
        page.wait_for_function(DECODED, arg=".kg-thumb")
        notebook.screenshot(f"grid-{theme.lower()}")
    notebook.command("application:toggle-left-area")
    page.set_viewport_size({"width": 440, "height": 900})
    page.wait_for_function("() => document.querySelector('.kg').clientWidth < 400")
    pane = grid.locator(".kg-sheets")
    assert pane.evaluate("pane => pane.scrollWidth > pane.clientWidth && pane.clientWidth < 400")
    notebook.screenshot("grid-narrow")
    page.set_viewport_size({"width": 1360, "height": 1000})
    notebook.command("application:toggle-left-area")


@pytest.mark.long
def test_a_saved_grid_is_seen_without_a_kernel(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "kept.ipynb",
        SETUP.format(name="kept", slow=""),
        "batch.wait()\nsession.rate(batch.results[0], 4, comment='the best light of all')\nNone",
        "import json; print(len(json.dumps(grid.get_state())), grid.png('grid.png').name)",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(grid_of(page).locator(".kg-said")).to_have_text("the best light of all")
    kept = page.locator(".kiegen-grid")
    expect(kept).to_have_count(1)
    expect(kept.locator("img")).to_have_count(12)
    expect(kept).to_contain_text("the best light of all")
    expect(kept).to_be_hidden()
    saved = notebook.saved()
    outputs = saved["cells"][0]["outputs"]
    [table] = [text for text in map(html_of, outputs) if "kiegen-grid" in text]
    assert len(re.findall("<img ", table)) == 12
    assert "★★★★" in table
    assert len(json.dumps(outputs)) < 400_000
    size, name = "".join(saved["cells"][2]["outputs"][0]["text"]).split()
    assert int(size) < 6 * 1024
    assert (notebook.lab.root / name).stat().st_size > 10_000

    notebook.command("notebook:shutdown-kernel")
    page.reload()
    page.wait_for_selector(".kiegen-grid", state="visible")
    page.wait_for_function(DECODED, arg=".kiegen-grid img")
    notebook.screenshot("grid-without-kernel")


def html_of(output: dict[str, Any]) -> str:
    return "".join(output.get("data", {}).get("text/html", ""))
