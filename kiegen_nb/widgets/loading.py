"""`CodeWidget`: an anywidget whose code is asked for when it is shown, and so is in no saved notebook.

Messages: ``{type: "code"}`` from a view that has no code yet; ``{type: "code", key, esm, css}`` as its answer. Every
widget of a page shares one copy per key. The code's module has the same default export as any anywidget's.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from kiegen_nb.widgets.routing import keep_browsers_order
from kiegen_nb.widgets.slim import slim

_HERE = Path(__file__).parent


class CodeWidget(anywidget.AnyWidget):
    """A widget with its JavaScript and its styles in files of this folder.

    A subclass names them: ``_code`` and ``_style`` are a file, or several that are joined in their order to one module
    (so only the first may have imports, and only the last the default export), and ``_shows`` says in a word what is
    seen. Whatever the browser sends arrives in ``on_msg`` as always.
    """

    _esm = slim("loading.js")
    _code: ClassVar[str | tuple[str, ...]]
    _style: ClassVar[str | tuple[str, ...]] = ()
    _shows: ClassVar[str] = "widget"
    code_key = traitlets.Unicode(read_only=True).tag(sync=True)
    shows = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        keep_browsers_order(self)

    @traitlets.default("code_key")
    def _default_code_key(self) -> str:
        return hashlib.sha256("\0".join((joined(self._code), joined(self._style))).encode()).hexdigest()[:16]

    @traitlets.default("shows")
    def _default_shows(self) -> str:
        return self._shows

    def _handle_custom_msg(self, content: Any, buffers: Any) -> None:
        # Answered here, on whatever thread it came: nothing can be shown before, and no trait is touched.
        if isinstance(content, dict) and content.get("type") == "code":
            self.send({"type": "code", "key": self.code_key, "esm": joined(self._code), "css": joined(self._style)})
        else:
            super()._handle_custom_msg(content, buffers)


@cache
def joined(names: str | tuple[str, ...]) -> str:
    """Return files of this folder, one after the other."""
    every = [names] if isinstance(names, str) else names
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in every)
