"""Hostile and damaged files in a real browser: refused or shown as what they are, and nothing of them runs or stays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.support.hostile import NAMES, hostile_files
from tests.support.uploads import png

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ROOT = Path(__file__).parents[2]
UPLOADS = "from kiegen_nb import Session, UploadWidget\nsession = Session()\nwidget = UploadWidget(session)\nwidget"
DROP = """(target, files) => {
    const data = new DataTransfer();
    for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
    target.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
LEFT = """import json
from kiegen_nb.settings import data_folder
print(json.dumps(sorted(path.name for path in (data_folder() / "uploads").glob("*"))))"""
REFUSED = {
    "bomb.png": "cannot be uploaded, the picture claims to be too large to open safely",
    "words.png": "holds neither a picture nor a video nor a sound, whatever it is called",
    "cut.mp4": "cannot be uploaded, the end of the video is missing",
    "evil.svg": "is an SVG, which the models do not take",
    "evil.png": "is an SVG, which the models do not take",
    "page.mp4": "holds neither a picture nor a video nor a sound",
}
SHELF = f"""import sys; sys.path.insert(0, {str(ROOT)!r})
from kiegen_nb import Gallery, Session, imagen4, veo3
from kiegen_nb.tasks import AssetKind
from tests.support.hostile import hostile_files
from tests.support.shelf import Shelf
session = Session()
shelf = Shelf(session, "hostile-files")
for name, data in hostile_files().items():
    film = name.endswith("mp4")
    shelf.file(name, data, AssetKind.VIDEO if film else AssetKind.IMAGE, veo3(name) if film else imagen4(name))
shelf.store()
Gallery("hostile-files", session=session)"""

RESULTS = f"""import json, sys, urllib.request; sys.path.insert(0, {str(ROOT)!r})
from kiegen_nb import Gallery, Session, imagen4
from tests.support.hostile import hostile_files
session = Session()
bodies = [hostile_files()[name].decode() for name in ("words.png", "evil.svg", "page.mp4")]
rules = json.dumps([{{"route": "file", "body": body}} for body in bodies]).encode()
urllib.request.urlopen(session._engine.service._base_url + "/sandbox/faults", rules).close()
for n in range(3):
    session.submit(imagen4(f"a kite {{n}}, sandbox:seconds=0.5"), prompt_id="hostile-results").result()
Gallery("hostile-results", session=session)"""
SAVED = """folder = session.output_dir / "hostile-results"
print([path.name for path in folder.rglob("*") if path.is_file()])"""


def drop(place: Any, files: dict[str, bytes]) -> None:
    place.locator(".ku-zone").evaluate(DROP, [[name, list(data)] for name, data in files.items()])


def copies(notebook: Any) -> str:
    """Return what lies in the folder of uploads."""
    notebook.run_cell(1)
    return str(notebook.page.locator(".jp-OutputArea-output pre").last.text_content()).strip()


def test_hostile_uploads_are_refused_with_a_sentence_and_leave_nothing(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("hostile-uploads.ipynb", UPLOADS, LEFT)
    page = notebook.page
    notebook.run_cell(0)
    place = page.locator(".ku")
    expect(place).to_be_visible()
    before = copies(notebook)
    drop(place, hostile_files())
    expect(place.locator("[data-state=failed]")).to_have_count(len(REFUSED))
    for name, sentence in REFUSED.items():
        item = place.locator(".ku-item").filter(has=page.get_by_text(name, exact=True))
        expect(item.locator(".ku-text")).to_contain_text(f"{name} {sentence}")
    assert copies(notebook) == before
    page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    notebook.screenshot("hostile-uploads")
    assert page.evaluate("window.hacked") is None


def test_hostile_names_are_one_line_of_text(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("hostile-names.ipynb", UPLOADS, LEFT)
    page = notebook.page
    notebook.run_cell(0)
    place = page.locator(".ku")
    expect(place).to_be_visible()
    # Other pixels in each: the same bytes would be one upload, under the newest name.
    drop(place, {name: png(size=(8 + n, 8)) for n, name in enumerate(NAMES)})
    expect(place.locator("[data-state=done]")).to_have_count(len(NAMES))
    names = place.locator(".ku-name").all_text_contents()
    assert names[:3] == ["passwd.png", "boot.png", "a_b.png"]
    assert all(name.isprintable() and len(name) <= 120 and "/" not in name for name in names)
    assert place.locator(".ku-name *, script, img[src=x]").count() == 0
    assert "passwd" not in copies(notebook)
    page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    notebook.screenshot("hostile-names")
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize("way", ["route", "connection"])
def test_a_saved_file_that_is_not_what_it_was_is_said_to_be_unshowable(
    open_notebook: Callable[..., Any], way: str
) -> None:
    notebook = open_notebook(f"hostile-files-{way}.ipynb", SHELF.replace("hostile-files", f"hostile-{way}"))
    page = notebook.page
    if way == "connection":
        for address in ("**/kiegen_nb/media/**", "**/files/**"):
            page.route(address, lambda route: route.abort())
    notebook.run_cell(0)
    cards = page.locator(".kg-card")
    expect(cards).to_have_count(len(REFUSED))
    for name in REFUSED:
        page.get_by_role("button", name=f": {name}").click()
        box = page.get_by_role("dialog")
        if name == "evil.svg" and way == "route":  # a picture in a page runs no script
            expect(box.locator("img.kg-full")).to_be_visible()
        else:
            expect(box.get_by_role("alert")).to_contain_text("This browser cannot show the file.")
        if name == "bomb.png":
            notebook.screenshot(f"hostile-result-{way}")
        page.keyboard.press("Escape")
        expect(box).to_have_count(0)
    assert page.evaluate("window.hacked") is None


def test_hostile_results_are_no_results_and_their_cards_say_so(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("hostile-results.ipynb", RESULTS, SAVED)
    page = notebook.page
    notebook.run_cell(0)
    missing = page.locator(".kg-card[data-kind=missing]")
    expect(missing).to_have_count(3)
    for n in range(3):
        reason = missing.filter(has_text=f"a kite {n}").locator(".kg-reason")
        expect(reason).to_contain_text("is not a picture, or is damaged. session.refresh(task), or Retry on its card")
    notebook.run_cell(1)
    expect(page.locator(".jp-OutputArea-output pre").last).to_have_text("[]")
    notebook.screenshot("hostile-results")
    assert page.evaluate("window.hacked") is None
    # Retry brings the true pictures: the paid results are not lost.
    for n in range(3):
        page.locator(".kg-card").filter(has_text=f"a kite {n}").get_by_role("button", name="Retry").click()
    expect(page.locator(".kg-card[data-kind=done]")).to_have_count(3)
