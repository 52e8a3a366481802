"""The upload widget's JavaScript on a bare page: pieces, two views, silence, names full of markup."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.errors import UploadError
from kiegen_nb.widgets.upload import UploadWidget
from kiegen_nb.widgets.upload_receiving import PIECE
from tests.support import bench
from tests.support.bench import HOSTILE, Bench
from tests.support.uploads import png
from tests.widgets.test_upload import Uploading, left

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

BUFFERS = """send: (content, _, buffers = []) => {
      if (window.dead) throw new Error("no kernel");
      const text = (data) => btoa(Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte)).join(""));
      window.sent.push({ ...content, buffers_: buffers.map(text) });
    }"""


class UploadBench(Bench):
    """Hands buffers on in both directions."""

    def answer(self) -> list[str]:
        messages = self.page.evaluate("window.sent.splice(0)")
        for content in messages:
            self.widget._handle_custom_msg(content, [b64decode(text) for text in content.pop("buffers_")])
        return [content["type"] for content in messages]

    def choose(self, *files: tuple[str, bytes]) -> None:
        given: Any = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
        self.page.locator(".ku input").first.set_input_files(given)

    def serve(self, condition: Callable[[], bool]) -> None:
        """Answer the page until something is so."""
        for _ in range(200):
            self.answer()
            if condition():
                return
            self.page.evaluate("() => new Promise((resolve) => requestAnimationFrame(resolve))")
        raise AssertionError("it never came true")


@pytest.fixture
def opened(page: Page, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[UploadBench, Uploading]]:
    start = bench.START.replace("send: (content) => window.sent.push(content)", BUFFERS)
    start = start.replace("(_, listener) => listeners.add", "(n, listener) => n === 'msg:custom' && listeners.add")
    monkeypatch.setattr(bench, "START", start)

    def open_one(*, shadow: bool = False, **options: Any) -> tuple[UploadBench, Uploading]:
        session = Uploading()
        return UploadBench(page, UploadWidget(session, **options), shadow=shadow), session

    return open_one


@pytest.mark.parametrize("shadow", [False, True])
def test_a_file_comes_in_pieces_and_its_name_is_text(opened: Any, page: Page, *, shadow: bool) -> None:
    made, session = opened(shadow=shadow)
    data = png() + bytes(2 * PIECE)
    made.choose((HOSTILE, data), ("second.png", png("blue")))
    assert page.locator(".ku-item").count() == 2
    made.serve(lambda: len(session.started) == 2)
    assert session.started[0].data == data
    for number, upload in enumerate(session.started):
        upload.succeed(number, name=upload.options["name"])
    assert page.locator("[data-state=done]").count() == 2
    assert page.locator("canvas.ku-glance").count() == 2
    assert "onerror" in page.locator(".ku").inner_text() or "script" in page.locator(".ku").inner_text()
    assert page.locator(".ku script, .ku img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.get_by_role("status").inner_text() == "second.png is uploaded"
    assert made.errors == []


def test_files_that_come_before_the_kernel_has_answered_are_taken_then(opened: Any, page: Page) -> None:
    made, session = opened()
    page.evaluate("() => { window.open_view(); }")
    given: Any = [{"name": "early.png", "mimeType": "image/png", "buffer": png()}]
    page.locator(".ku input").last.set_input_files(given)
    note = page.get_by_text("The files are taken as soon as the kernel answers.")
    assert note.is_visible()
    assert page.locator(".ku-item").count() == 0
    made.serve(lambda: len(session.started) == 1)
    assert session.started[0].options["name"] == "early.png"
    assert not note.is_visible()
    assert made.errors == []


def test_a_file_the_browser_cannot_draw_is_drawn_by_the_kernel(opened: Any, page: Page) -> None:
    made, session = opened()
    # As browsers give files whose ending they do not know: without a type.
    given: Any = [{"name": "kite", "mimeType": "application/octet-stream", "buffer": png()}]
    page.locator(".ku input").set_input_files(given)
    made.serve(lambda: len(session.started) == 1)
    session.started[0].succeed(1)
    page.wait_for_function("() => window.sent.some((message) => message.type === 'glance')")
    assert page.locator("[data-state=done] .ku-glance").count() == 0


def test_a_second_view_shows_the_same_and_may_cancel(opened: Any, page: Page) -> None:
    made, _ = opened()
    page.evaluate("() => { window.open_view(); }")
    made.serve(lambda: bool(page.locator(".ku").count() == 2))
    made.choose(("kite.png", png() + bytes(3 * PIECE)))
    made.serve(lambda: bool(page.get_by_text("To the kernel").count() == 2))
    page.get_by_role("button", name="Cancel kite.png").last.click()
    made.serve(lambda: bool(page.locator("[data-state=failed]").count() == 2))
    # Only the view that has the file can send it again.
    assert page.get_by_role("button", name="Try kite.png again").count() == 1
    assert left() == []


def test_a_kernel_that_is_silent_is_asked_again_and_told_of(opened: Any, page: Page) -> None:
    made, session = opened()
    made.choose(("kite.png", png()))
    page.wait_for_function("window.sent.length > 0")
    page.evaluate("window.sent.splice(0)")  # lost on the way
    page.clock.run_for(12_000)
    assert "The kernel does not answer." in page.locator(".ku-note").inner_text()
    made.serve(lambda: len(session.started) == 1)
    assert page.locator(".ku-note").is_hidden()


def test_without_a_kernel_nothing_more_is_taken(opened: Any, page: Page) -> None:
    made, _ = opened()
    page.evaluate("window.dead = true")
    made.choose(("kite.png", png()))
    assert page.locator(".ku-note").inner_text() == "The kernel was restarted or has ended. Run the cell again."
    assert page.get_by_role("button", name="Choose files").is_disabled()


def test_the_keyboard_reaches_every_button_and_an_error_is_told(opened: Any, page: Page) -> None:
    made, session = opened()
    made.choose(("kite.png", b"no picture"))
    made.serve(lambda: len(session.started) == 1)
    session.started[0].fail(UploadError("kite.png holds no picture: save it as PNG."))
    assert page.get_by_role("status").inner_text() == "kite.png holds no picture: save it as PNG."
    names = []
    for _ in range(3):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.innerText")
        )
    assert names == ["Choose files", "Try kite.png again", "Remove kite.png"]
    page.keyboard.press("Enter")
    made.serve(lambda: bool(page.locator(".ku-item").count() == 0))
    assert page.evaluate("document.activeElement.innerText") == "Choose files"


def test_time_left_ticks_without_a_message(opened: Any, page: Page) -> None:
    made, session = opened()
    made.choose(("kite.png", png()))
    made.serve(lambda: len(session.started) == 1)
    session.started[0].succeed()
    before = page.locator(".ku-state").inner_text()
    made.answer()
    page.clock.run_for(180_000)
    assert page.locator(".ku-state").inner_text() != before
    assert made.answer() == []
