"""From a field to its control: one table of (predicate, control); adding a control is one entry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args, get_origin

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.widgets.control import COLUMN, LABEL, Control
from kiegen_nb.widgets.lists import FILES, AddressControl, AddressesControl, ShotsControl, is_shots

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.widgets.fields import Field

NOT_SET = "auto"
_SLIDER_STEPS = 200  # more positions than that cannot be hit with a mouse
_TOGGLE_CHOICES = 5
_TOGGLE_LETTERS = 18


class TextControl(Control):
    """One line of text; also for numbers without bounds and for unions, whose reading is the model's own."""

    def _make(self, **traits: Any) -> Any:
        return W.Text(placeholder=self._hint(), layout=W.Layout(**COLUMN), style=LABEL, **traits)

    def _hint(self) -> str:
        field = self.field
        span = f"{field.low:g} to {field.high:g}" if field.low is not None and field.high is not None else ""
        unset = NOT_SET if field.optional and not field.help else ""
        return ", ".join(part for part in (unset, span, field.help) if part)

    def _read(self, shown: str) -> str | None:
        field = self.field
        # A required text is handed on even when it is empty, so that the model's own sentence is shown.
        required = str in field.kinds and not field.optional and field.default is None
        return shown if shown or required else None

    def _write(self, value: Any) -> str:
        return "" if value is None else str(_plain(value))


class TextareaControl(TextControl):
    """Several lines of text with a live count of its characters."""

    def _make(self, **traits: Any) -> Any:
        self.count = W.HTML(layout=W.Layout(margin="-2px 2px 0", align_self="flex-end"))
        rows = 2 if self.field.advanced else 4
        return _area(rows, self.field.help, **traits)


class LinesControl(Control):
    """A list of texts, one per line."""

    def _make(self, **traits: Any) -> Any:
        help_ = self.field.help
        return _area(3, f"{help_} (one per line)" if help_ else "One per line", **traits)

    def _read(self, shown: str) -> list[str] | None:
        lines = [line.strip() for line in shown.splitlines()]
        return [line for line in lines if line] or None

    def _write(self, value: Any) -> str:
        return "\n".join(str(line) for line in value or ())


class JsonControl(Control):
    """Anything else, written as JSON; what is no JSON is handed on as text for the model to judge."""

    def _make(self, **traits: Any) -> Any:
        return _area(3, f"{self.field.help} (JSON)".strip(), **traits)

    def _read(self, shown: str) -> Any:
        if not shown.strip():
            return None
        try:
            return json.loads(shown)
        except ValueError:
            return shown

    def _write(self, value: Any) -> str:
        if hasattr(value, "model_dump"):
            value = value.model_dump(mode="json")
        return "" if value is None else json.dumps(value, ensure_ascii=False, indent=1, default=str)


class CheckboxControl(Control):
    """Yes or no."""

    def _make(self, **traits: Any) -> Any:
        return W.Checkbox(indent=False, layout=W.Layout(width="auto"), **traits)

    def _write(self, value: Any) -> bool:
        return bool(value)


class ChoiceControl(Control):
    """One of several values; "auto" (or "default", where auto is itself a choice) stands for "not set"."""

    widget: Callable[..., Any] = W.Dropdown

    @staticmethod
    def options(field: Field) -> list[tuple[str, Any]]:
        """Return the labels and their values."""
        labels = [str(_plain(value)) for value in field.choices]
        stem = len(_common_stem(labels))
        pairs = [(label[stem:], value) for label, value in zip(labels, field.choices, strict=True)]
        if not field.optional:
            return pairs
        return [("default" if NOT_SET in labels else NOT_SET, None), *pairs]

    def _make(self, **traits: Any) -> Any:
        # value=None: a required choice without a default starts empty, not with whatever comes first.
        options = self.options(self.field)
        return type(self).widget(options=options, value=None, layout=W.Layout(**COLUMN), style=LABEL, **traits)

    def set(self, value: Any) -> None:
        """Show a value; None shows "not set"."""
        found = [str(_plain(known)) for _, known in self.options(self.field)]
        if value is not None and str(_plain(value)) not in found:
            raise ValueError(f"{value!r} is not among the choices")
        # By index: a value of None would show nothing at all, not the option that stands for it.
        self.input.index = found.index(str(_plain(value))) if str(_plain(value)) in found else None


class ToggleControl(ChoiceControl):
    """A few short choices side by side."""

    widget = W.ToggleButtons

    def _make(self, **traits: Any) -> Any:
        toggles = super()._make(**traits)
        toggles.style.button_width = "auto"
        return toggles


class YesNoControl(ChoiceControl):
    """Yes, no, or not set."""

    @staticmethod
    def options(field: Field) -> list[tuple[str, Any]]:
        """Return the labels and their values."""
        del field
        return [(NOT_SET, None), ("yes", True), ("no", False)]


class SliderControl(Control):
    """A number between two bounds that can be hit with a mouse."""

    def _make(self, **traits: Any) -> Any:
        low, high = _bounds(self.field)
        whole = self.field.kinds == (int,)
        step = {} if whole else {"step": float(f"{(high - low) / 100:.1g}")}
        kind = W.IntSlider if whole else W.FloatSlider
        return kind(min=low, max=high, **step, layout=W.Layout(width="auto"), style=LABEL, **traits)

    def _write(self, value: Any) -> Any:
        return _bounds(self.field)[0] if value is None else value


class BoundedControl(SliderControl):
    """A number between two bounds that are far apart."""

    def _make(self, **traits: Any) -> Any:
        low, high = _bounds(self.field)
        kind = W.BoundedIntText if self.field.kinds == (int,) else W.BoundedFloatText
        return kind(min=low, max=high, layout=W.Layout(**COLUMN), style=LABEL, **traits)


def _area(rows: int, placeholder: str, **traits: Any) -> Any:
    return W.Textarea(rows=rows, placeholder=placeholder, layout=W.Layout(**COLUMN), style=LABEL, **traits)


def _bounds(field: Field) -> tuple[float, float]:
    return field.low or 0, field.high or 0


def _fits_toggles(field: Field) -> bool:
    labels = [label for label, _ in ChoiceControl.options(field)]
    return len(labels) <= _TOGGLE_CHOICES and sum(map(len, labels)) <= _TOGGLE_LETTERS


def _is_list_of_texts(field: Field) -> bool:
    return field.is_list and _items_are_text(field)


def _items_are_text(field: Field) -> bool:
    inner = get_args(field.kinds[0])
    return bool(inner) and not any(get_origin(kind) or hasattr(kind, "model_fields") for kind in inner[:1])


def _is_plain(field: Field) -> bool:
    """Tell whether every member is a class of one written value, such as int, str, a URL or a date."""
    return all(_is_plain_kind(kind) for kind in field.kinds)


def _is_plain_kind(kind: Any) -> bool:
    structured = (dict, list, tuple, set, frozenset)
    return isinstance(kind, type) and not issubclass(kind, structured) and not hasattr(kind, "model_fields")


CONTROLS: list[tuple[Callable[[Field], bool], type[Control]]] = [
    (is_shots, ShotsControl),
    (lambda field: field.hints.get("control") in FILES and field.is_list and field.most != 1, AddressesControl),
    (lambda field: field.hints.get("control") in FILES, AddressControl),
    (lambda field: field.hints.get("control") == "textarea", TextareaControl),
    (lambda field: field.kinds == (bool,) and field.optional, YesNoControl),
    (lambda field: field.kinds == (bool,), CheckboxControl),
    (lambda field: bool(field.choices) and _fits_toggles(field), ToggleControl),
    (lambda field: bool(field.choices), ChoiceControl),
    (lambda field: field.bounded and not field.optional and _steps(field) <= _SLIDER_STEPS, SliderControl),
    (lambda field: field.bounded and not field.optional, BoundedControl),
    (_is_list_of_texts, LinesControl),
    (_is_plain, TextControl),
    (lambda _: True, JsonControl),
]
"""The first predicate that is true decides."""


def control_for(field: Field) -> Control:
    """Return a control for a field."""
    return next(control for predicate, control in CONTROLS if predicate(field))(field)


def _steps(field: Field) -> float:
    low, high = _bounds(field)
    return high - low if field.kinds == (int,) else 0


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _common_stem(labels: list[str]) -> str:
    """Return what all slugs begin with up to a slash, so that ``google/imagen4`` reads ``imagen4``."""
    stems = {label.rpartition("/")[0] for label in labels}
    return f"{stems.pop()}/" if len(stems) == 1 and "/" in labels[0] else ""
