"""One field on the screen: what all controls have in common."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.widgets.routing import keep_browsers_order

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kiegen_nb.widgets.fields import Field

COLUMN = {"width": "auto", "height": "auto", "flex_flow": "column"}  # the label above: narrow cells work
LABEL = {"description_width": "max-content"}  # any other width cuts or centres it in a column


class Control(ABC):
    """One field on the screen: its input, and a line right under it for its error.

    Attributes:
        field: what it is for.
        input: the widget that holds the value.
        count: the number of characters, where there is one.
        box: what is displayed.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self._lock: AbstractContextManager[Any] = nullcontext()
        self._connected = False
        self._edited: Callable[[], None] = _ignore
        self.count: Any = None
        self._message: Any = None
        self.input = self._make(description=field.title, tooltip=field.help or field.title)
        self.input.add_class("kiegen-input")
        shown = [part for part in (self.input, self.count) if part is not None]
        self.box = W.VBox(shown, layout=W.Layout(width="auto", margin="0 0 6px"))
        self.box.add_class("kiegen-field")
        self.box.add_class(f"kiegen-field-{field.name}")
        if field.choices or field.kinds == (bool,):
            self.box.add_class("kiegen-narrow")
        self.clear()

    @property
    def widgets(self) -> list[Any]:
        """The widgets a browser sends values of."""
        return [self.input]

    def connect(self, lock: AbstractContextManager[Any], edited: Callable[[], None]) -> None:
        """Take the browser's edits under a lock, in its order, and tell of each.

        Args:
            lock: held while an edit is taken.
            edited: called under the lock, after an edit and after `set`.
        """
        self._lock, self._edited, self._connected = lock, edited, True
        for widget in self.widgets:
            self._connect(widget)

    def _connect(self, widget: Any) -> None:
        if self._connected:
            widget.observe(self._on_edit, names="value")
            guard(widget, self._lock)

    def _on_edit(self, _: object = None) -> None:
        with self._lock:
            self.recount()
            self.complain("")
            self._edited()

    def refer(self, others: Callable[[str], Any]) -> None:  # noqa: B027 - most controls need no other field
        """Let the control ask for the values of other fields."""

    def get(self) -> Any:
        """Return the value, None for "not set"."""
        return self._read(self.input.value)

    def set(self, value: Any) -> None:
        """Show a value; None shows "not set"."""
        self.input.value = self._write(value)
        self.recount()

    def clear(self) -> None:
        """Show what an untouched form shows."""
        self.set(self.field.default)

    @property
    def message(self) -> Any:
        """The error line, hidden while it is empty."""
        # Made when it is first needed: a form has many fields, and few of them are ever wrong.
        if self._message is None:
            self._message = W.HTML(layout=W.Layout(display="none", margin="0 2px"))
            self.box.children = (*self.box.children, self._message)
        return self._message

    @property
    def is_wrong(self) -> bool:
        """Whether an error is shown."""
        return self._message is not None and bool(self._message.value)

    def complain(self, sentence: str) -> None:
        """Show an error under the input; an empty one hides the line."""
        if not sentence and not self.is_wrong:
            return
        text = f"{self.field.title} {sentence}" if sentence[:1].islower() else sentence
        line = f'<div class="kiegen-error" role="alert">{html.escape(text)}</div>'
        self.message.value = line if sentence else ""
        self.message.layout.display = None if sentence else "none"
        (self.box.add_class if sentence else self.box.remove_class)("kiegen-invalid")

    def recount(self) -> None:
        """Bring the count of characters up to date."""
        if self.count is None:
            return
        length, limit = len(self.input.value), self.field.limit
        beyond = limit is not None and length > limit
        text = f"{length:,} / {limit:,}" if limit is not None else f"{length:,}"
        kind = "kiegen-count kiegen-beyond" if beyond else "kiegen-count"
        self.count.value = f'<span class="{kind}">{text}</span>'

    @abstractmethod
    def _make(self, **traits: Any) -> Any:
        """Return the widget people edit."""

    def _read(self, shown: Any) -> Any:
        return shown

    def _write(self, value: Any) -> Any:
        return value


def guard(widget: Any, lock: AbstractContextManager[Any]) -> None:
    """Have a widget take what a browser sends under a lock, and in the browser's order.

    ipywidgets has no lock of its own: an edit on a subshell and a cell's ``set()`` break in its middle.
    """
    widget.set_state = partial(_take, lock, widget.set_state)
    keep_browsers_order(widget)


def _take(lock: AbstractContextManager[Any], set_state: Callable[[Any], None], sync_data: Any) -> None:
    with lock:
        set_state(sync_data)


def _ignore() -> None:
    """Nobody listens yet."""
