"""A widget's code travels when it is asked for, and is in no saved state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.widgets.loading import CodeWidget, joined
from tests.support.bench import START

if TYPE_CHECKING:
    from playwright.sync_api import Page


class Copying(CodeWidget):
    """A widget whose code is a file that exists."""

    _code = ("copying.js", "loading.js")
    _style = "copying.css"
    _shows = "button"


def record(widget: CodeWidget) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    widget.send = sent.append
    return sent


def from_browser(widget: CodeWidget, content: object) -> None:
    widget._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_the_code_is_an_answer_with_its_files_in_their_order() -> None:
    widget = Copying()
    sent = record(widget)
    from_browser(widget, {"type": "code"})
    [answer] = sent
    assert (answer["type"], answer["key"]) == ("code", widget.code_key)
    assert answer["esm"] == joined("copying.js") + "\n" + joined("loading.js")
    assert answer["css"] == joined("copying.css")


def test_the_request_for_code_reaches_nobody_else() -> None:
    widget = Copying()
    record(widget)
    heard: list[Any] = []
    widget.on_msg(lambda _, content, __: heard.append(content))
    for content in ({"type": "code"}, {"type": "ready"}, None):
        from_browser(widget, content)
    assert heard == [{"type": "ready"}, None]


def test_the_state_holds_the_loader_but_no_code() -> None:
    state = json.dumps(Copying().get_state())
    assert "Copy as Python" not in state
    assert "Copy as Python" in joined("copying.js")
    assert len(state) < 4096
    assert Copying().get_state(["shows"]) == {"shows": "button"}


def test_other_code_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Copying().code_key
    assert Copying().code_key == before
    monkeypatch.setattr(Copying, "_style", "gallery.css")
    assert Copying().code_key != before


# In a browser


class Greeting(CodeWidget):
    """A widget whose code is given as text."""

    _code = "greeting.js"
    _shows = "greeting"
    text = "export default { render({ model, el }) { el.append('Hello'); return () => (window.ended = true); } };"


def shown(page: Page, monkeypatch: pytest.MonkeyPatch, text: str = Greeting.text) -> Greeting:
    monkeypatch.setattr("kiegen_nb.widgets.loading.joined", lambda names: text if names == "greeting.js" else "")
    widget = Greeting()
    widget.send = lambda content: page.evaluate("content => window.deliver(content, [])", content)
    page.evaluate(START, [widget._esm, widget.get_state(["code_key", "shows"]), False])
    return widget


def answer(page: Page, widget: Greeting) -> int:
    sent = page.evaluate("window.sent.splice(0)")
    for content in sent:
        from_browser(widget, content)
    return len(sent)


@pytest.mark.browser
def test_without_a_kernel_the_cell_to_run_is_named_until_one_answers(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = shown(page, monkeypatch)
    notice = page.locator(".kiegen-notice")
    assert notice.count() == 0
    page.clock.run_for(3_000)
    assert notice.inner_text().startswith("Run the cell that shows this greeting.")
    assert answer(page, widget) == 1
    page.get_by_text("Hello").wait_for()
    assert notice.count() == 0


@pytest.mark.browser
def test_a_second_view_on_the_page_needs_no_answer(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = shown(page, monkeypatch)
    answer(page, widget)
    page.get_by_text("Hello").wait_for()
    page.evaluate("() => { window.end_second = window.open_view(); }")
    page.wait_for_function("document.body.textContent.split('Hello').length === 3")
    assert answer(page, widget) == 0
    assert page.evaluate("window.ended") is None
    page.evaluate("window.end_second()")
    assert page.evaluate("window.ended") is True


@pytest.mark.browser
@pytest.mark.parametrize("text", ["this is no code", "export default { render() { throw new Error('no') } };"])
def test_code_that_fails_says_so(page: Page, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    widget = shown(page, monkeypatch, text)
    answer(page, widget)
    page.get_by_text("This greeting cannot be shown here").wait_for()


@pytest.mark.browser
def test_a_view_that_ended_before_its_code_came_stays_empty(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = shown(page, monkeypatch)
    page.evaluate("window.end()")
    answer(page, widget)
    page.clock.run_for(5_000)
    assert page.locator("body").inner_text() == ""
    assert page.evaluate("window.listeners.size") == 0


@pytest.mark.browser
def test_a_view_that_ends_while_its_code_is_read_stays_empty(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    widget = shown(page, monkeypatch)
    widget.send = lambda content: page.evaluate("content => { window.deliver(content, []); window.end(); }", content)
    answer(page, widget)
    page.evaluate(
        "() => { window.open_view(); }"
    )  # the same code, read once: when it is here, the first would show it, too
    page.get_by_text("Hello").wait_for()
    assert page.locator("body").inner_text() == "Hello"
