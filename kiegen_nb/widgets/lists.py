"""Controls for files given by their addresses, and for the shots of a storyboard: rows that can be added."""

from __future__ import annotations

import html
from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.widgets.control import COLUMN, LABEL, Control, guard
from kiegen_nb.widgets.upload_fields import FileControl, name_tag

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from kiegen_nb.widgets.fields import Field

FILES = ("images", "image", "videos", "video", "audios", "audio", "files", "file")
"""The hints that ask for addresses of files."""
_ADDRESS = "https://…"
_SCENE, _SECONDS = "Scene", "duration"  # what a shot's fields are called where its type does not say
_PAIR = 2
_FIRST_SECONDS = 5.0
_TOTALS = ("n_frames", "duration", "seconds")  # the fields that may hold a storyboard's length


class AddressControl(FileControl):
    """The address of one file, also where the model wants a list of one."""

    _tag: Any = None

    def add(self, url: str) -> None:
        """Take the address of a file, such as an upload's."""
        self.set(url)

    def discard(self, url: str) -> None:
        """Give an address up, if it is held."""
        if url in self.addresses:
            self.set(None)

    def show_names(self) -> None:
        """Show the file's name instead of an address that is an upload."""
        url = next(iter(self.addresses), "")
        name = self.names.get(url)
        if name is not None and self._tag is None:
            remove = W.Button(icon="times", tooltip=f"Remove {self.field.title}", layout=W.Layout(width="28px"))
            remove.add_class("kiegen-small")
            remove.on_click(lambda _: self.set(None))
            label = W.HTML(f'<span class="kiegen-label">{html.escape(self.field.title)}</span>')
            line = W.HBox([W.HTML(layout=W.Layout(flex="1 1 auto")), remove], layout=W.Layout(align_items="center"))
            line.add_class("kiegen-row")
            self._tag = W.VBox([label, line], layout=W.Layout(width="auto"))
            self.box.children = (self._tag, *self.box.children)
            if self._connected:
                guard(remove, self._lock)
        if self._tag is not None:
            self._tag.children[1].children[0].value = "" if name is None else name_tag(name, url)
            self._tag.layout.display = "none" if name is None else None
            self.input.layout.display = None if name is None else "none"

    def _make(self, **traits: Any) -> Any:
        return W.Text(placeholder=self.field.help or _ADDRESS, layout=W.Layout(**COLUMN), style=LABEL, **traits)

    def _read(self, shown: str) -> Any:
        url = shown.strip()
        return ([url] if self.field.is_list else url) if url else None

    def _write(self, value: Any) -> str:
        if isinstance(value, list | tuple):
            if len(value) > 1:
                raise ValueError(f"{self.field.title} takes one address.")
            value = value[0] if value else None
        return "" if value is None else str(value)


@dataclass(slots=True)
class Row:
    """One entry: its widgets, the button that removes it, and the box of them all."""

    parts: tuple[Any, ...]
    remove: Any
    box: Any
    tag: Any = None


class RowsControl(Control):
    """A list with one row of widgets per entry; rows are added and removed with buttons.

    Attributes:
        rows: the rows in front, at least one.
        more: the button that adds a row.
        tally: the count beside it.
    """

    noun = "row"

    def get(self) -> Any:
        """Return the entries that are filled in, None if there is none."""
        return [entry for entry in map(self._entry, self.rows) if entry is not None] or None

    def set(self, value: Any) -> None:
        """Show a list; None shows one empty row."""
        with self._lock:
            while self.rows:
                self._put_away(self.rows[-1])
            for entry in value or (None,):
                self._append(entry)
            self._arrange()

    @property
    def widgets(self) -> list[Any]:
        """The widgets a browser sends values of."""
        return [part for row in self.rows for part in row.parts]

    def connect(self, lock: AbstractContextManager[Any], edited: Callable[[], None]) -> None:
        """Take the browser's edits under a lock, in its order, and tell of each."""
        super().connect(lock, edited)
        for button in (self.more, *(row.remove for row in self.rows)):
            guard(button, lock)

    def _make(self, **traits: Any) -> Any:
        self.rows: list[Row] = []
        self._spare: list[Row] = []
        self.more = W.Button(description=f"Add {self.noun}", icon="plus", layout=W.Layout(width="auto"))
        self.more.add_class("kiegen-small")
        self.more.on_click(self._on_more)
        self.tally = W.HTML()
        self._list = W.VBox(layout=W.Layout(width="auto"))
        help_ = f'<span class="kiegen-hint">{html.escape(self.field.help)}</span>' if self.field.help else ""
        head = W.HTML(f'<span class="kiegen-label">{html.escape(str(traits["description"]))}</span>{help_}')
        across = W.Layout(align_items="center", justify_content="space-between")
        self._foot = W.HBox([self.more, self.tally], layout=across)
        box = W.VBox([head, self._list, self._foot], layout=W.Layout(width="auto"))
        box.add_class("kiegen-rows")
        return box

    def _append(self, entry: Any) -> None:
        row = self._spare.pop() if self._spare else self._new_row()
        self._fill(row.parts, entry)
        self.rows.append(row)

    def _new_row(self) -> Row:
        remove = W.Button(icon="times", layout=W.Layout(width="28px", flex="none"))
        remove.add_class("kiegen-small")
        parts = self._parts()
        row = Row(parts, remove, W.HBox([*parts, remove], layout=W.Layout(width="auto", align_items="center")))
        row.box.add_class("kiegen-row")
        remove.on_click(partial(self._on_remove, row))
        for part in parts:
            self._connect(part)
        if self._connected:
            guard(remove, self._lock)
        return row

    def _put_away(self, row: Row) -> None:
        # Kept for later: a widget that is closed while the browser writes to it is an error there.
        self.rows.remove(row)
        self._fill(row.parts, None)
        self._spare.append(row)

    def _on_more(self, _: object = None) -> None:
        with self._lock:
            if self.field.most is None or len(self.rows) < self.field.most:
                self._append(None)
                self._arrange()

    def _on_remove(self, row: Row, _: object = None) -> None:
        with self._lock:
            if row not in self.rows:
                return
            self._put_away(row)
            if not self.rows:
                self._append(None)
            self._arrange()
            self._on_edit()

    def _arrange(self) -> None:
        for number, row in enumerate(self.rows, 1):
            row.parts[0].description = f"{self.field.title} {number}"
            row.remove.tooltip = f"Remove {self.noun} {number}"
        self._list.children = [row.box for row in self.rows]
        self.more.disabled = self.field.most is not None and len(self.rows) >= self.field.most
        self.recount()

    @abstractmethod
    def _parts(self) -> tuple[Any, ...]:
        """Return the widgets of a new row."""

    @abstractmethod
    def _entry(self, row: Row) -> Any:
        """Return what a row says, None for an empty one."""

    @abstractmethod
    def _fill(self, parts: tuple[Any, ...], entry: Any) -> None:
        """Show an entry in a row's widgets."""


class AddressesControl(FileControl, RowsControl):
    """The addresses of several files, with their number beside the most that are taken."""

    noun = "address"

    @property
    def takes_one(self) -> bool:
        """Whether it holds one address only."""
        return False

    def add(self, url: str) -> None:
        """Take one more address, such as an upload's.

        Raises:
            ValueError: there are as many as are taken already.
        """
        with self._lock:
            known = self.get() or []
            if self.field.most is not None and len(known) >= self.field.most:
                raise ValueError(f"{self.field.title} takes {self.field.most} at most.")
            self.set([*known, url])

    def discard(self, url: str) -> None:
        """Give an address up, if it is held."""
        known = self.addresses
        if url in known:
            self.set([one for one in known if one != url])

    def show_names(self) -> None:
        """Show the file's name instead of an address that is an upload."""
        for row in self.rows:
            url = self._entry(row) or ""
            name = self.names.get(url)
            if name is not None and row.tag is None:
                row.tag = W.HTML(layout=W.Layout(flex="1 1 auto"))
            if name is not None:
                row.tag.value = name_tag(name, url)
            shown = row.parts if name is None else (row.tag,)
            if row.box.children[:-1] != shown:
                row.box.children = (*shown, row.remove)

    def recount(self) -> None:
        """Bring the number of addresses up to date."""
        number, most = len(self.get() or ()), self.field.most
        self.tally.value = _count(f"{number} / {most}" if most is not None else str(number), number > (most or number))

    def _parts(self) -> tuple[Any, ...]:
        return (W.Text(placeholder=_ADDRESS, layout=W.Layout(width="auto", flex="1 1 auto")),)

    def _entry(self, row: Row) -> str | None:
        return row.parts[0].value.strip() or None

    def _fill(self, parts: tuple[Any, ...], entry: Any) -> None:
        parts[0].value = "" if entry is None else str(entry)

    def _arrange(self) -> None:
        super()._arrange()
        self.show_names()

    def _on_remove(self, row: Row, _: object = None) -> None:
        super()._on_remove(row)
        self._forget(url for url in self._uploaded() if url not in self.addresses)

    def _place_button(self, button: Any) -> None:
        more, tally = self._foot.children
        self._foot.children = (W.HBox([more, button], layout=W.Layout(width="auto")), tally)


class ShotsControl(RowsControl):
    """Scenes of a storyboard and their seconds, with the running sum beside the length that is asked for."""

    noun = "scene"
    _others: Callable[[str], Any]

    def refer(self, others: Callable[[str], Any]) -> None:
        """Ask another field for the length that is asked for."""
        self._others = others
        self.recount()

    def recount(self) -> None:
        """Bring the sum of the seconds up to date."""
        total = sum(float(entry[self._names[1]]) for entry in self.get() or ())
        wanted = self._wanted()
        text = f"{total:g} s" if wanted is None else f"{total:g} of {wanted:g} s"
        self.tally.value = _count(text, wanted is not None and total > wanted)

    def _wanted(self) -> float | None:
        name = self.field.hints.get("total")
        for known in (name,) if isinstance(name, str) else _TOTALS:
            with suppress(TypeError, ValueError):
                return float(self._others(known))
        return None

    def _make(self, **traits: Any) -> Any:
        self._others = _nothing
        self._names = _names_of(self.field)
        return super()._make(**traits)

    def _parts(self) -> tuple[Any, ...]:
        scene = W.Textarea(rows=2, placeholder="What happens", layout=W.Layout(width="auto", flex="1 1 auto"))
        seconds = W.BoundedFloatText(value=_FIRST_SECONDS, min=0.1, max=600, step=0.5, description="Seconds")
        seconds.layout = W.Layout(width="64px", flex="none")
        return scene, seconds

    def _entry(self, row: Row) -> dict[str, Any] | None:
        scene, seconds = row.parts
        if not scene.value.strip():
            return None
        # Some models take whole seconds only, and refuse 5.0.
        length = int(seconds.value) if seconds.value.is_integer() else seconds.value
        return {self._names[0]: scene.value, self._names[1]: length}

    def _fill(self, parts: tuple[Any, ...], entry: Any) -> None:
        scene, seconds = parts
        found = entry.model_dump(by_alias=True) if hasattr(entry, "model_dump") else entry or {}
        scene.value = str(found.get(self._names[0], ""))
        seconds.value = float(found.get(self._names[1], _FIRST_SECONDS))


def _nothing(_: str) -> None:
    """No other field is known yet."""


def is_shots(field: Field) -> bool:
    """Tell whether a list is one of scenes with seconds."""
    parts = field.hints.get("items", ())
    return field.is_list and (field.hints.get("control") == "shots" or (len(parts) == _PAIR and _SECONDS in parts))


def _names_of(field: Field) -> tuple[str, str]:
    """Return what a shot calls its text and its seconds, by their names on the wire."""
    parts = [str(name) for name in field.hints.get("items", ())]
    if parts:
        return next(name for name in parts if name != _SECONDS), _SECONDS
    inner = next(iter(get_args(field.kinds[0])), None)
    text, seconds = "", ""
    for name, info in getattr(inner, "model_fields", {}).items():
        if info.annotation is str:
            text = text or info.alias or name
        elif info.annotation in (int, float):
            seconds = seconds or info.alias or name
    return text or _SCENE, seconds or _SECONDS


def _count(text: str, beyond: bool) -> str:
    kind = "kiegen-count kiegen-beyond" if beyond else "kiegen-count"
    return f'<span class="{kind}">{text}</span>'
