"""`PythonCall`: a button that shows a form's request as Python and puts it on the clipboard.

Messages: ``{type: "copy", view}`` from a click; ``{type: "copy", view, text}`` as its answer. A kernel cannot reach
the clipboard; the browser may, for a moment after a click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from kiegen_nb.widgets.routing import keep_browsers_order
from kiegen_nb.widgets.slim import slim

if TYPE_CHECKING:
    from collections.abc import Callable


class PythonCall(anywidget.AnyWidget):
    """The button and the text.

    Args:
        make: returns the text, or None if there is none now.
    """

    _esm = slim("copying.js")
    _css = slim("copying.css")
    text = traitlets.Unicode("").tag(sync=True)

    def __init__(self, make: Callable[[], str | None]) -> None:
        self._make = make
        super().__init__()
        keep_browsers_order(self)
        self.on_msg(self._on_message)

    def __repr__(self) -> str:
        return "PythonCall()"

    def hide(self) -> None:
        """Take the text away; it is not what the form says any more."""
        self.text = ""

    def _on_message(self, _: object, content: Any, buffers: object) -> None:
        del buffers
        if isinstance(content, dict) and content.get("type") == "copy":
            text = self._make()
            if text is not None:
                self.text = text
                self.send({"type": "copy", "view": content.get("view"), "text": text})
