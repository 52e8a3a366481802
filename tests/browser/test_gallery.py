"""The gallery in a real JupyterLab: many results, the three ways of a film, keys, undo, zip, and how it looks."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page, WebSocket

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
ROOT = Path(__file__).parents[2]
HOSTILE = "<img src=x onerror='window.hacked = true'><script>window.hacked = true</script>"
DECODED = "img => img.complete && img.naturalWidth > 0"
PLAYS = "() => document.querySelector('dialog video')?.currentTime > 0"
SMALL = 1_000_000  # bytes over the websocket while a film plays that does not come that way
FILM = 30_000_000


def shelf(prompt_id: str, *lines: str, show: str = "gallery") -> str:
    """Return a cell that fills a group and shows its gallery."""
    return "\n".join(
        (
            f"import json, sys; sys.path.insert(0, {str(ROOT)!r})",
            "from kiegen_nb import Gallery, Session, Studio, imagen4, midjourney",
            "from tests.support.shelf import Shelf",
            "session = Session()",
            f"shelf = Shelf(session, {prompt_id!r})",
            *lines,
            "shelf.store()",
            f"gallery = Gallery({prompt_id!r}, session=session)",
            show,
        )
    )


def in_view(page: Page) -> int:
    """Return how many pictures are on the screen, whole or in part, and drawn."""
    script = """() => {
        const pane = document.querySelector('.kg-pane').getBoundingClientRect();
        return [...document.querySelectorAll('.kg-thumb')].filter((img) => {
            const box = img.getBoundingClientRect();
            const inside = box.bottom > Math.max(0, pane.top) && box.top < Math.min(innerHeight, pane.bottom);
            return inside && img.complete && img.naturalWidth > 0;
        }).length;
    }"""
    return int(page.evaluate(script))


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def test_a_hundred_results_are_seen_saved_small_and_restored(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "hundred.ipynb",
        shelf("hundred", "shelf.pictures(100)"),
        "print(len(json.dumps(gallery.get_state())))",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-card")).to_have_count(100)
    page.wait_for_function(DECODED, arg=page.locator(".kg-thumb").first.element_handle())
    assert in_view(page) >= 8
    assert page.locator(".kg-body").count() <= 60  # the others are built when they come near
    assert int(page.locator(".jp-OutputArea-output pre").last.inner_text()) <= 20 * 1024
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    saved = notebook.saved()["metadata"]["widgets"]
    assert len(json.dumps(saved)) <= 20 * 1024
    assert "kg-card" not in json.dumps(saved)
    notebook.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    notebook.saved()
    notebook.open()
    expect(page.locator(".kg-card")).to_have_count(100)
    page.wait_for_function(DECODED, arg=page.locator(".kg-thumb").first.element_handle())
    assert in_view(page) >= 8


@pytest.mark.long
def test_a_thousand_results_are_scrolled_filtered_and_walked_through(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("thousand.ipynb", shelf("thousand", "shelf.pictures(1000)", "shelf.failed('a crowd')"))
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-card")).to_have_count(1001)
    pane = page.locator(".kg-pane")
    for part in (0.5, 1.0):
        pane.evaluate("(pane, part) => pane.scrollTo(0, pane.scrollHeight * part)", part)
        page.wait_for_function("() => document.querySelectorAll('.kg-body').length < 100")
        page.wait_for_function(
            """() => {
                const pane = document.querySelector('.kg-pane').getBoundingClientRect();
                const seen = [...document.querySelectorAll('.kg-card')].filter((card) => {
                    const box = card.getBoundingClientRect();
                    return box.bottom > pane.top && box.top < pane.bottom;
                });
                return seen.length > 8 && seen.every((card) => card.querySelector('img')?.naturalWidth > 0);
            }"""
        )
    page.get_by_role("searchbox", name="Filter by text").fill("silk imagen4")
    expect(page.locator(".kg-found")).to_have_text("83 of 1,001")
    page.get_by_role("searchbox", name="Filter by text").fill("")
    page.get_by_role("combobox", name="State").select_option("failed")
    expect(page.locator(".kg-card")).to_have_count(1)
    page.get_by_role("combobox", name="State").select_option("")
    button(page, "By prompt").click()
    expect(page.get_by_role("heading", name="waves of silk")).to_have_count(1)
    expect(page.locator(".kg-heading")).to_have_count(13)
    notebook.screenshot("gallery-grouped")


@pytest.mark.long
@pytest.mark.parametrize("way", ["route", "files", "connection"])
def test_a_film_of_30_megabytes_plays_by_each_way(open_notebook: Callable[..., Any], way: str) -> None:
    notebook = open_notebook(f"film-{way}.ipynb", shelf(f"film-{way}", f"shelf.film(size={FILM})"))
    page = notebook.page
    received: list[int] = []

    def count(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: received.append(len(payload)))

    page.on("websocket", count)
    if way != "route":
        page.route("**/kiegen_nb/media/**", lambda route: route.abort())
    if way == "connection":
        page.route("**/files/**", lambda route: route.abort())
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(1)
    notebook.saved()
    notebook.open()  # now the counted websocket serves the page
    expect(page.locator(".kg-thumb")).to_have_count(1)
    before = sum(received)
    assert before > 0
    page.get_by_role("button", name="Play: a fox").click()
    page.wait_for_function(PLAYS)
    address = page.locator("dialog video").get_attribute("src") or ""
    over_it = sum(received) - before
    if way == "connection":
        assert address.startswith("blob:")
        assert over_it >= FILM
    else:
        assert ("/kiegen_nb/media/" if way == "route" else "/files/kiegen_output/") in address
        assert over_it < SMALL
    page.locator("dialog video").evaluate("film => { film.currentTime = 3; }")
    page.wait_for_function("() => !document.querySelector('dialog video').seeking")
    assert page.locator("dialog video").evaluate("film => film.currentTime") >= 2.9
    box = page.locator("dialog video").bounding_box()
    assert box is not None
    assert box["width"] / box["height"] == pytest.approx(16 / 9, rel=0.01)  # the controls lie on the film
    if way == "route":
        notebook.screenshot("lightbox-film")


@pytest.mark.long
def test_words_of_services_and_people_are_text_everywhere(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "hostile.ipynb",
        shelf(
            HOSTILE,
            f"words = {HOSTILE!r}",
            "shelf.failed(words, code=words, reason=words); shelf.text(words, words); shelf.pictures(2, prompt=words)",
        ),
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(2)
    expect(page.locator(".kg-reason")).to_have_text(HOSTILE)
    expect(page.locator(".kg-excerpt")).to_have_text(HOSTILE)
    page.locator(".kg-pic").last.click()
    expect(page.locator(".kg-caption")).to_have_text(HOSTILE)
    expect(page.locator("dd", has_text=HOSTILE).first).to_be_visible()
    page.keyboard.press("Escape")
    button(page, "By prompt").click()
    expect(page.get_by_role("heading", name=HOSTILE)).to_have_count(1)
    assert page.locator(".kg script, .kg b, .kg img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.long
def test_all_of_it_is_reached_with_the_keyboard(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("keys.ipynb", shelf("keys", "shelf.pictures(12)", "shelf.failed('a crowd')"), "1")
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(12)
    words = page.get_by_role("searchbox", name="Filter by text")
    words.focus()
    page.keyboard.type("dd aa")  # in command mode these would delete and insert cells
    expect(page.locator(".kg-card")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator(".kg-card")).to_have_count(13)
    walked = []
    for _ in range(9):
        page.keyboard.press("Tab")
        walked.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        )
    assert walked[:6] == ["State", "Model", "Order", "By prompt", "Select", "Ask for it anew"]
    assert walked[6].startswith("Open: ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    expect(page.locator(".kg-zoom .kg-place")).to_have_text("140 %")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert page.evaluate("document.activeElement.className") == "kg-pic"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    button(page, "Select").focus()
    page.keyboard.press("Enter")
    page.get_by_role("checkbox").first.focus()
    page.keyboard.press("Control+a")
    expect(page.locator(".kg-picked")).to_have_count(13)
    page.keyboard.press("Escape")
    expect(page.get_by_role("checkbox")).to_have_count(0)
    cells = page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
    assert cells == 2  # no key was JupyterLab's


@pytest.mark.long
def test_results_are_deleted_brought_back_and_packed(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("undo.ipynb", shelf("undo", "shelf.pictures(6)", "shelf.film()"))
    page = notebook.page
    output = notebook.lab.root / "kiegen_output"
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(7)
    button(page, "Select").click()
    page.get_by_role("checkbox", name="Select: a fox").click()
    page.get_by_role("checkbox").last.click(modifiers=["Shift"])
    expect(page.locator(".kg-picked")).to_have_count(7)
    page.get_by_role("checkbox").last.click()
    page.get_by_role("button", name="Delete; this can be undone").click()
    expect(page.locator(".kg-card")).to_have_count(1)
    assert len(list((output / ".deleted" / "undo").glob("*-0.*"))) == 6
    expect(page.locator(".kg-undo")).to_contain_text("6 deleted; the files are in kiegen_output/.deleted")
    notebook.screenshot("gallery-undo")
    button(page, "Undo").click()
    expect(page.locator(".kg-card")).to_have_count(7)
    assert list((output / ".deleted" / "undo").glob("*-0.*")) == []
    page.get_by_role("button", name="Select all that are shown").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the files as one zip").click()
    assert "/files/kiegen_output/undo-selected.zip" in download.value.url
    with zipfile.ZipFile(download.value.path()) as archive:
        assert len(archive.namelist()) == 7
        assert archive.testzip() is None


@pytest.mark.long
def test_how_it_looks(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "looks.ipynb",
        shelf(
            "looks",
            "shelf.pictures(18); shelf.film(); shelf.sound(); shelf.text('It was a bright cold day in April. ' * 20)",
            "shelf.failed(); shelf.unconfirmed()",
            "session.submit(midjourney('a fox in the snow'), prompt_id='looks').result()",
            "slow = session.submit(imagen4('a slow sunrise, sandbox:slow=600'), prompt_id='looks')",
        ),
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-card")).to_have_count(25)
    expect(page.locator(".kg-clock").first).to_contain_text("of about")
    notebook.show_cell(0)
    page.locator(".kg").scroll_into_view_if_needed()
    for picture in page.locator(".kg-thumb").all()[:12]:
        page.wait_for_function(DECODED, arg=picture.element_handle())
    notebook.screenshot("gallery-wide")
    page.get_by_role("button", name="Open: a paper boat").first.click()
    page.wait_for_function("() => document.querySelector('.kg-full')?.naturalWidth === 640")
    expect(page.locator("dt", has_text="Seed")).to_be_visible()
    notebook.screenshot("lightbox-details")
    page.keyboard.press("Escape")
    button(page, "Select").click()
    page.get_by_role("checkbox", name="Select: a planet").first.click()
    page.get_by_role("checkbox", name="Select: waves of silk").first.click()
    page.get_by_role("group", name="Filter and sort").scroll_into_view_if_needed()
    notebook.screenshot("gallery-select")
    page.get_by_role("button", name="Show the two side by side").click()
    expect(page.locator(".kg-full:not(.kg-soft)")).to_have_count(2)
    for picture in page.locator(".kg-full").all():
        page.wait_for_function(DECODED, arg=picture.element_handle())
    notebook.screenshot("lightbox-compare")
    page.keyboard.press("Escape")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    notebook.screenshot("gallery-wide-dark")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    notebook.command("application:toggle-left-area")
    page.set_viewport_size({"width": 400, "height": 900})
    page.get_by_role("group", name="Filter and sort").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('.kg').clientWidth < 340")
    wide = """() => {
        const edge = document.querySelector('.kg').getBoundingClientRect().right;
        const parts = document.querySelectorAll('.kg-head, .kg-tools > *, .kg-strip > *, .kg-card');
        return [...parts].every((part) => part.getBoundingClientRect().right <= edge);
    }"""
    assert page.evaluate(wide)
    notebook.screenshot("gallery-narrow")
    page.locator(".kg-strip").get_by_role("button", name="Leave select mode (Escape)").click()
    page.get_by_role("button", name="Open: a paper boat").first.click()
    page.wait_for_function("() => document.querySelector('.kg-full')?.naturalWidth === 640")
    notebook.screenshot("lightbox-narrow")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1360, "height": 1000})
