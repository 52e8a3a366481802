"""Every widget in every state, as notebook 05 shows them, in both themes."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from playwright.sync_api import Locator

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SCREENSHOTS = Path(__file__).parent / "screenshots"
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
STALL = """() => {
    const slice = File.prototype.slice;
    File.prototype.slice = function (at, end) {
        return at < 4e6 ? slice.call(this, at, end) : { arrayBuffer: () => new Promise(() => {}) };
    };
}"""
WAITING = {
    "waits to be sent": "Waiting to be sent",
    "waits for a slot": "Waiting to be sent",
    "is being sent": "Sending",
    "was accepted": "Accepted",
    "waits at Kie": "Queuing",
    "is being made": "Generating",
    "had a bad look": "Generating",
    "is paused": "Paused",
    "is being saved": "Saving",
}
FAILED = {
    "a crowd": ("failed", "Failed"),
    "no reason": ("failed", "Failed"),
    "a bridge": ("unconfirmed", "May have been charged"),
    "a long one": ("failed", "Took too long"),
    "not wanted": ("failed", "Cancelled"),
    "a lost file": ("failed", "Failed"),
}


class States:
    """The open notebook, by the words above its cells."""

    def __init__(self, notebook: Any) -> None:
        self.notebook = notebook
        self.page = notebook.page
        cells = notebook.saved()["cells"]
        self._cells = ["".join(cell["source"]) for cell in cells]

    def below(self, words: str) -> Any:
        """Scroll to the cell below some words; return its output."""
        [number] = [n for n, source in enumerate(self._cells) if words in source]
        cell = number + 1
        self.notebook.show_cell(cell)
        output = self.page.locator(f'.jp-Cell[data-windowed-list-index="{cell}"] .jp-Cell-outputArea')
        expect(output).to_be_visible()
        return output


@pytest.fixture
def states(open_notebook: Callable[..., Any]) -> States:
    notebook = open_notebook("05_widget_states.ipynb")
    notebook.command("notebook:run-all-cells")
    return States(notebook)


def card(gallery: Any, prompt: str) -> Any:
    return gallery.locator(".kg-card").filter(has=gallery.page.get_by_text(prompt, exact=True))


def forms(states: States) -> None:
    empty = states.below("Empty, as it comes up")
    expect(empty.get_by_label("Prompt", exact=True)).to_have_value("")
    expect(empty.get_by_role("button", name="Generate", exact=True)).to_be_enabled()
    expect(empty.locator(".kiegen-status[role=status]")).to_have_text("Sends one request to Imagen 4.")
    filled = states.below("Filled in:")
    expect(filled.get_by_label("Prompt", exact=True)).to_have_value("a red kite over the sea")
    invalid = states.below("Invalid: every mistake")
    expect(invalid.get_by_role("alert").filter(has_text="Write what you would like to see")).to_be_visible()
    expect(invalid.get_by_role("alert").filter(has_text="Not sent: please correct")).to_be_visible()
    expect(states.below("Submitting: the button").get_by_role("button", name="Submitting…")).to_be_disabled()
    told = ".kiegen-status[role=status]"
    expect(states.below("Answered:").locator(told)).to_have_text("Sent. The result appears in the gallery.")
    expect(states.below("Refused by the service:").get_by_role("alert")).to_contain_text("Not sent: The account has")
    expect(states.below("Not sent yet, because").locator(told)).to_contain_text("Not sent yet:")


def uploads(states: States, large: Path) -> None:
    page = states.page
    place = states.below("Empty. Choose a large file")
    expect(place.get_by_role("button", name="Choose files")).to_be_enabled()
    page.evaluate(STALL)
    large.write_bytes(bytes(30_000_000))
    with page.expect_file_chooser() as chooser:
        place.get_by_role("button", name="Choose files").click()
    chooser.value.set_files(large)
    expect(place.get_by_text(re.compile(r"To the kernel, \d+ %"))).to_be_visible()
    expect(place.get_by_role("progressbar", name="large.mp4")).to_have_attribute("aria-valuenow", re.compile("[1-9]"))
    place.get_by_role("button", name="Cancel large.mp4").click()
    expect(place.locator("[data-state=failed]")).to_contain_text("was cancelled; nothing of it is kept")
    sending = states.below("On its way to Kie:")
    expect(sending.get_by_text("To Kie, 40 %")).to_be_visible()
    expect(sending.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "40")
    ended = states.below("Done, with and without an end")
    expect(ended.get_by_text(re.compile(r"Expires in \d+:\d\d h"))).to_have_count(2)
    expect(ended.get_by_text("Expired; uploaded again by itself when it is used")).to_be_visible()
    expect(ended.locator("[title^='Kie named no end']")).to_have_count(1)
    expect(ended.locator("[data-state=failed]")).to_contain_text("neither a picture nor a video nor a sound")
    expect(ended.locator("img.ku-glance")).to_have_count(3)
    expect(ended.get_by_role("button", name=re.compile("^Copy the address of"))).to_have_count(3)
    expect(ended.get_by_role("button", name=re.compile("^Remove"))).to_have_count(4)
    plain = states.below("The plain one")
    expect(plain.get_by_role("button", name="Upload")).to_be_visible()
    expect(plain.get_by_text("At most 10 MB in all at a time")).to_be_visible()


def galleries(states: States) -> None:
    expect(states.below("Loading:").get_by_text("Reading…")).to_be_visible()
    expect(states.below("Empty:").get_by_text("Nothing to show.")).to_be_visible()
    errors = states.below("An error with nothing to show")
    expect(errors.get_by_role("alert").filter(has_text="Kie could not be reached (502)")).to_have_count(2)
    expect(errors.locator(".kg-card[data-kind=done]")).to_have_count(1)
    pending = states.below("Pending, from the click")
    expect(pending.get_by_text("9 pending")).to_be_visible()
    expect(pending.locator(".kg-sandbox")).to_be_visible()
    expect(pending.get_by_text("9,876.5 credits left")).to_be_visible()
    expect(pending.get_by_role("progressbar", name="All pending tasks")).to_be_visible()
    for prompt, word in WAITING.items():
        waiting = card(pending, prompt)
        waiting.scroll_into_view_if_needed()
        expect(waiting).to_have_attribute("aria-busy", "true")
        expect(waiting.locator(".kg-word")).to_have_text(word)
        expect(waiting.get_by_role("progressbar", name=word)).to_be_visible()
    expect(card(pending, "waits for a slot").get_by_role("status")).to_have_text("Waiting for a slot, about 8 s.")


def finished(states: States) -> None:
    success = states.below("Success: a picture, several")
    expect(success.locator(".kg-card[data-kind=done]")).to_have_count(10)
    expect(success.get_by_role("button", name="Open: a red kite over the sea")).to_have_count(1)
    expect(success.get_by_role("button", name=re.compile(r"^Open \(\d of 3\): three of them"))).to_have_count(3)
    expect(success.get_by_role("button", name="Play: a fox runs through the snow")).to_be_visible()
    for words in ("Play: waves on a beach", "Open: a transcript", "Open: what was heard"):
        success.get_by_role("button", name=words).scroll_into_view_if_needed()
    expect(card(success, "a transcript")).to_contain_text("the wind takes it")
    expect(card(success, "one of four").get_by_role("status")).to_have_text("1 of 4 delivered; use repeat=4")
    missing = success.locator(".kg-card[data-kind=missing]")
    missing.scroll_into_view_if_needed()
    expect(missing).to_contain_text("The file is gone from the host.")
    expect(missing.get_by_role("button", name="Retry")).to_be_visible()
    failed = states.below("Failure: what it cost")
    for prompt, (kind, word) in FAILED.items():
        ended_badly = card(failed, prompt)
        ended_badly.scroll_into_view_if_needed()
        expect(ended_badly).to_have_attribute("data-kind", kind)
        expect(ended_badly.locator(".kg-word")).to_have_text(word)
    hostile = card(failed, "<b>bold</b><script>alert(1)</script>")
    expect(hostile).to_contain_text('<img src=x onerror="alert(2)"> is not allowed.')
    expect(hostile.locator("b, script, img")).to_have_count(0)
    expect(states.below("Without a session there are no buttons").locator(".kg-acts")).to_have_count(0)


def rated(states: States) -> None:
    shown = states.below("Rated and with a comment")
    for prompt, stars in (("a red kite over the sea", "5 of 5"), ("a lighthouse at dusk", "2 of 5")):
        expect(card(shown, prompt).get_by_role("slider")).to_have_attribute("aria-valuetext", stars)
    expect(card(shown, "a red kite over the sea").locator(".kg-said")).to_have_text("the best light of all")
    expect(card(shown, "a fox runs through the snow").get_by_role("slider")).to_have_attribute(
        "aria-valuetext", "not rated"
    )


def grids(states: States) -> None:
    filling = states.below("Filling: results, pending ones")
    expect(filling.get_by_role("table")).to_have_count(1)
    for kind, count in (("done", 2), ("pending", 2), ("failed", 1), ("waits", 1)):
        expect(filling.locator(f".kg-tile.kg-{kind}")).to_have_count(count)
    expect(filling.get_by_text("Not part of it")).to_have_count(2)
    expect(filling.get_by_role("columnheader")).to_have_text(["16:9", "1:1", "9:16", "4:3"])
    expect(filling.locator(".kg-said")).to_have_text("the best light of all")
    expect(filling.locator(".kg-failed")).to_contain_text("the credits were given back")
    sheets = states.below("Through, with a sheet for each model")
    expect(sheets.get_by_role("table")).to_have_count(2)
    expect(sheets.locator(".kg-sheet")).to_have_text(["model: google/imagen4-fast", "model: google/imagen4"])
    expect(sheets.locator(".kg-tile.kg-done")).to_have_count(12)
    repeats = states.below("Repeats share a tile")
    expect(repeats.locator(".kg-many")).to_have_count(4)
    expect(repeats.locator(".kg-inside").first).to_have_text("repeat 0")
    html = states.below("A grid as a piece of HTML")
    expect(html.locator("img")).to_have_count(2)
    expect(html.locator(".kg-empty")).to_have_text("Nothing here yet.")


def experiments(states: States) -> None:
    compared = states.below("Two tasks side by side; what differs")
    for name in ("prompt", "aspect_ratio", "seed", "Rating", "Comment"):
        expect(compared.get_by_role("rowheader", name=name, exact=True)).to_be_visible()
    compared.get_by_text(re.compile(r"parameters? the same")).click()
    expect(compared.get_by_role("rowheader", name="api_model")).to_be_visible()
    expect(states.below("A failed one beside a film")).to_contain_text("not set")
    batch = states.below("Running; then paused")
    expect(batch.get_by_role("img")).to_have_count(4)
    for words in ("SANDBOX", "118 succeeded, 60 running, 22 queued", "Paused.", "and 3 more failed", "200 succeeded"):
        expect(batch).to_contain_text(words)
    expect(batch).to_contain_text('<img src=x onerror="alert(2)"> is not allowed.')
    expect(batch.locator("img")).to_have_count(0)
    expect(states.below("What is asked for, and what it costs")).to_contain_text("Plan of 24 requests")
    expect(states.below("And what of it is there already")).to_contain_text("3 of 24 are there")


def together(states: States) -> None:
    studio = states.below("## Studio")
    expect(studio.get_by_role("tab", name="Market")).to_be_visible()
    expect(studio.locator(".kg-card[data-kind=done]")).to_have_count(5)
    html = states.below("Ordinary output, which stays")
    for words in ("a red kite over the sea", "Failed: Kie could not make it", "Generating", "fox.mp4 (video/mp4"):
        expect(html.get_by_text(words).first).to_be_visible()
    pieces = states.below("The summary as a piece of HTML")
    expect(pieces.get_by_text("Nothing here yet.")).to_be_visible()
    expect(pieces.get_by_text("and 3 more")).to_be_visible()
    expect(states.below("And kept up to date").locator(".kiegen-summary")).to_contain_text("SANDBOX")
    expect(states.below("The same states as data").locator("pre")).to_contain_text("FAILED None UPLOAD_LOST")


def test_every_state_is_there_with_its_words_and_roles(states: States, tmp_path: Path) -> None:
    forms(states)
    uploads(states, tmp_path / "large.mp4")
    galleries(states)
    finished(states)
    rated(states)
    grids(states)
    experiments(states)
    together(states)


def has_its_images(output: Locator) -> bool:
    return bool(
        output.locator("img").evaluate_all("images => images.every(image => image.complete && image.naturalWidth)")
    )


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_every_state_can_be_looked_at(states: States, theme: str) -> None:
    page = states.page
    SCREENSHOTS.mkdir(exist_ok=True)
    page.evaluate(THEME, f"JupyterLab {theme}")
    page.wait_for_function("dark => document.body.dataset.jpThemeLight === String(!dark)", arg=theme == "Dark")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.set_viewport_size({"width": 1360, "height": 7000})
    expect(states.below("And kept up to date").locator(".kiegen-summary")).to_be_visible()
    places = {
        "forms": (
            "Empty, as it comes up",
            "Invalid: every mistake",
            "Submitting: the button",
            "Refused by the service:",
        ),
        "uploads": (
            "Empty. Choose a large file",
            "On its way to Kie:",
            "Done, with and without an end",
            "The plain one",
        ),
        "gallery": ("Loading:", "Empty:", "An error with nothing to show"),
        "pending": ("Pending, from the click",),
        "success": ("Success: a picture, several",),
        "failure": ("Failure: what it cost",),
        "rated": ("Rated and with a comment",),
        "grid": (
            "Filling: results, pending ones",
            "Through, with a sheet for each model",
            "Repeats share a tile",
            "A grid as a piece of HTML",
        ),
        "compare": ("Two tasks side by side; what differs", "A failed one beside a film"),
        "batch": ("Running; then paused",),
        "plan": ("What is asked for, and what it costs", "And what of it is there already"),
        "studio": ("## Studio",),
        "html": ("Ordinary output, which stays", "And kept up to date"),
    }
    for name, cells in places.items():
        for n, words in enumerate(cells):
            output = states.below(words)
            until(partial(has_its_images, output))
            output.screenshot(path=SCREENSHOTS / f"states-{name}-{n}-{theme.lower()}.png")
    page.evaluate(THEME, "JupyterLab Light")
