"""The fields of a form together: which are shown, what they hold, and the lock under which they change."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.errors import InvalidParams
from kiegen_nb.widgets.control import guard
from kiegen_nb.widgets.controls import control_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from kiegen_nb.widgets.control import Control
    from kiegen_nb.widgets.fields import Field


class FieldSet:
    """The controls of a form, in order; those whose condition is not met are hidden, and keep what was typed.

    Args:
        fields: what to ask for.
        slug: the slug where none is asked for.
        fill_in: returns what a slug fills in where nothing is set.

    Attributes:
        controls: by their flat names.
        more: where advanced fields are folded away, None without any.
        boxes: what is displayed.
    """

    def __init__(
        self, fields: Iterable[Field], slug: str, fill_in: Callable[[str, dict[str, Any]], Mapping[str, Any]]
    ) -> None:
        self._slug = slug
        self._fill_in = fill_in
        self.controls: dict[str, Control] = {field.name: control_for(field) for field in fields}
        self._named = {name for control in self.controls.values() for name in control.field.when}
        self.more: Any = None
        plain = [control.box for control in self.controls.values() if not control.field.advanced]
        folded = [control.box for control in self.controls.values() if control.field.advanced]
        if folded:
            self.more = W.Accordion(children=[_flow(folded)], titles=("More",), selected_index=None)
            self.more.add_class("kiegen-more")
            self.more.layout.margin = "0 0 8px"
        self.boxes = [_flow(plain), *([self.more] if folded else [])]
        for control in self.controls.values():
            control.refer(self.read)
        self.arrange()

    @property
    def value(self) -> dict[str, Any]:
        """The fields that are shown and set, unchecked, by their flat names."""
        read = {name: control.get() for name, control in self.controls.items() if self.is_shown(name)}
        return {name: value for name, value in read.items() if value is not None}

    def read(self, name: str) -> Any:
        """Return what is asked for with a field, filled in where it is not set; None if it is hidden."""
        if not self.is_shown(name):
            return None
        value = self._held(name)
        return self._fill_in(str(self._held("api_model")), {}).get(name) if value is None else value

    def is_shown(self, name: str) -> bool:
        """Tell whether a field's condition is met; one that hangs on a hidden field is hidden, too."""
        return self._holds(name, ())

    def connect(self, lock: AbstractContextManager[Any], edited: Callable[[], None]) -> None:
        """Take the browser's edits under a lock and tell of each, after what it shows or hides."""
        for control in self.controls.values():
            control.connect(lock, partial(self._on_edit, control, edited))
        if self.more is not None:
            guard(self.more, lock)

    def fill(self, flat: Mapping[str, Any]) -> None:
        """Show these values; fields that are not named are as in an untouched form.

        Raises:
            InvalidParams: for a choice a field does not have.
        """
        for name, control in self.controls.items():
            if name in flat:
                _put(control, flat[name])
            else:
                control.clear()
        self.arrange()

    def arrange(self) -> None:
        """Show the fields whose conditions are met, hide the others."""
        for name, control in self.controls.items():
            control.box.layout.display = None if self.is_shown(name) else "none"
            if control.field.when or control.field.is_list:
                control.recount()
        if self.more is not None:
            folded = [name for name, control in self.controls.items() if control.field.advanced]
            self.more.layout.display = None if any(map(self.is_shown, folded)) else "none"

    def complain(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Show sentences at their fields, unfolding what is folded; return those of no field in sight."""
        left = dict(fields)
        for name, control in self.controls.items():
            control.complain(left.pop(name, "") if self.is_shown(name) else "")
            if self.more is not None and control.field.advanced and control.is_wrong:
                self.more.selected_index = 0
        return left

    def _on_edit(self, control: Control, edited: Callable[[], None]) -> None:
        if control.field.name in self._named:
            self.arrange()
        else:
            for other in self.controls.values():
                if other.field.is_list and other is not control:
                    other.recount()
        edited()

    def _holds(self, name: str, asking: tuple[str, ...]) -> bool:
        control = self.controls.get(name)
        if control is None or name in asking:
            return True
        return all(
            self._holds(other, (*asking, name)) and _is_among(self._held(other), wanted)
            for other, wanted in control.field.when.items()
        )

    def _held(self, name: str) -> Any:
        if name in self.controls:
            return self.controls[name].get()
        return self._slug if name == "api_model" else None


def _flow(boxes: list[Any]) -> Any:
    flow = W.Box(boxes, layout=W.Layout(width="auto"))
    flow.add_class("kiegen-fields")
    return flow


def _is_among(value: Any, wanted: Iterable[Any]) -> bool:
    plain = getattr(value, "value", value)
    # A condition may spell a number as text, as the wire often does; True is not "1".
    return any(plain is known or (known is not None and str(plain) == str(known)) for known in wanted)


def _put(control: Control, value: Any) -> None:
    try:
        control.set(value)
    except Exception as error:  # traitlets' own error would name the widget, not the field
        raise InvalidParams({control.field.name: f"{value!r} cannot be shown in this form."}) from error
