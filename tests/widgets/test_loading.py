"""A widget's code travels when it is asked for, and is in no saved state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kiegen_nb.widgets.loading import CodeWidget, joined

if TYPE_CHECKING:
    import pytest


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
