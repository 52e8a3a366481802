"""From a field to its control: one table of (predicate, control); adding a control is one entry."""

from __future__ import annotations

import html
import json
import types
from typing import TYPE_CHECKING, Any, get_args, get_origin

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.widgets.fields import Field

NOT_SET = "auto"
_SLIDER_STEPS = 200  # more positions than that cannot be hit with a mouse
_TOGGLE_CHOICES = 5
_TOGGLE_LETTERS = 18
_FULL = {
    "width": "auto",
    "flex_flow": "column",
}  # the label stands above its input, so that narrow cells work


class Control:
    """One field on the screen: its input, and a line right under it for its error.

    Attributes:
        field: what it is for.
        input: the widget that holds the value.
        box: what is displayed.
        message: the error line, hidden while it is empty.
    """

    def __init__(self, field: Field, **traits: Any) -> None:
        self.field = field
        self.message = W.HTML(layout=W.Layout(display="none", margin="0"))
        self.input = self.make(description=field.title, tooltip=field.help or field.title, **traits)
        self.input.add_class("kiegen-input")
        self.box = W.VBox(self.parts(), layout=W.Layout(width="auto", margin="0 0 6px"))
        self.box.add_class("kiegen-field")
        self.box.add_class(f"kiegen-field-{field.name}")
        self.clear()

    def make(self, **traits: Any) -> Any:
        """Return the input widget."""
        raise NotImplementedError

    def parts(self) -> list[Any]:
        """Return what the box shows, from top to bottom."""
        return [self.input, self.message]

    def get(self) -> Any:
        """Return the value, None for "not set"."""
        return self.input.value

    def set(self, value: Any) -> None:
        """Show a value."""
        self.input.value = value

    def clear(self) -> None:
        """Show what an untouched form shows."""
        if self.field.default is not None:
            self.set(self.field.default)

    def complain(self, sentence: str) -> None:
        """Show an error under the input; an empty one hides the line."""
        text = f"{self.field.title} {sentence}" if sentence[:1].islower() else sentence
        line = f'<div class="kiegen-error" role="alert">{html.escape(text)}</div>'
        self.message.value = line if sentence else ""
        self.message.layout.display = None if sentence else "none"
        (self.box.add_class if sentence else self.box.remove_class)("kiegen-invalid")


class TextControl(Control):
    """One line of text; also for numbers without bounds and for unions, whose reading is the model's own."""

    def make(self, **traits: Any) -> W.Text:
        field = self.field
        hint = (
            f"{field.low:g} to {field.high:g}"
            if field.low is not None and field.high is not None
            else field.help
        )
        if field.optional:
            hint = f"{NOT_SET}: {hint}" if hint else NOT_SET
        return W.Text(
            placeholder=hint, layout=W.Layout(**_FULL), style={"description_width": "max-content"}, **traits
        )

    def get(self) -> str | None:
        text = str(self.input.value)
        # A required text is handed on even when it is empty, so that the model's own sentence is shown.
        return text if text or self.is_required_text else None

    @property
    def is_required_text(self) -> bool:
        return str in self.field.kinds and not self.field.optional and self.field.default is None

    def set(self, value: Any) -> None:
        self.input.value = "" if value is None else str(value)

    def clear(self) -> None:
        self.set(self.field.default)


class TextareaControl(TextControl):
    """Several lines of text with a live count of its characters."""

    def make(self, **traits: Any) -> W.Textarea:
        rows = 2 if self.field.advanced else 4
        self.count = W.HTML(layout=W.Layout(margin="0", align_self="flex-end"))
        area = W.Textarea(
            rows=rows,
            placeholder=self.field.help,
            layout=W.Layout(**_FULL, height="auto"),
            style={"description_width": "max-content"},
            **traits,
        )
        return area

    def parts(self) -> list[Any]:
        return [self.input, self.count, self.message]

    def set(self, value: Any) -> None:
        super().set(value)
        self.recount()

    def recount(self) -> None:
        """Bring the count up to date."""
        length, limit = len(self.input.value), self.field.limit
        beyond = limit is not None and length > limit
        text = f"{length:,} / {limit:,}" if limit is not None else f"{length:,}"
        kind = "kiegen-count kiegen-beyond" if beyond else "kiegen-count"
        self.count.value = f'<span class="{kind}">{text}</span>'


class LinesControl(TextareaControl):
    """A list of texts, one per line."""

    def parts(self) -> list[Any]:
        return [self.input, self.message]

    def make(self, **traits: Any) -> W.Textarea:
        area = super().make(**traits)
        area.rows = 3
        area.placeholder = f"{self.field.help} (one per line)" if self.field.help else "One per line"
        return area

    def get(self) -> Any:
        lines = [line.strip() for line in self.input.value.splitlines()]
        return [line for line in lines if line] or None

    def set(self, value: Any) -> None:
        self.input.value = "\n".join(str(line) for line in value or ())


class JsonControl(TextareaControl):
    """Anything else, written as JSON; what is no JSON is handed on as text for the model to judge."""

    def parts(self) -> list[Any]:
        return [self.input, self.message]

    def get(self) -> Any:
        text = self.input.value.strip()
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def set(self, value: Any) -> None:
        self.input.value = (
            "" if value is None else json.dumps(value, ensure_ascii=False, indent=1, default=str)
        )


class CheckboxControl(Control):
    """Yes or no."""

    def make(self, **traits: Any) -> W.Checkbox:
        return W.Checkbox(indent=False, layout=W.Layout(width="auto"), **traits)

    def clear(self) -> None:
        self.set(bool(self.field.default))


class ChoiceControl(Control):
    """One of several values; "auto" (or "default", where auto is itself a choice) stands for "not set"."""

    widget: Callable[..., Any] = W.Dropdown

    @staticmethod
    def options(field: Field) -> list[tuple[str, Any]]:
        """Return the labels and their values."""
        labels = [_label(value) for value in field.choices]
        stem = _common_stem(labels)
        pairs = [(label[len(stem) :], value) for label, value in zip(labels, field.choices, strict=True)]
        if not field.optional:
            return pairs
        return [("default" if NOT_SET in labels else NOT_SET, None), *pairs]

    def make(self, **traits: Any) -> Any:
        # The first choice is taken by nobody: without a default, a required choice starts empty.
        style = {"description_width": "max-content"}
        layout = W.Layout(**_FULL)
        options = self.options(self.field)
        return type(self).widget(options=options, value=None, layout=layout, style=style, **traits)

    def set(self, value: Any) -> None:
        known = {str(_plain(choice)): choice for choice in self.field.choices}
        self.input.value = None if value is None else known.get(str(_plain(value)), value)

    def clear(self) -> None:
        self.set(self.field.default)


class ToggleControl(ChoiceControl):
    """A few short choices side by side."""

    widget = W.ToggleButtons

    def make(self, **traits: Any) -> Any:
        toggles = super().make(**traits)
        toggles.style.button_width = "auto"
        return toggles


class YesNoControl(ChoiceControl):
    """Yes, no, or not set."""

    @staticmethod
    def options(field: Field) -> list[tuple[str, Any]]:
        del field
        return [(NOT_SET, None), ("yes", True), ("no", False)]

    def set(self, value: Any) -> None:
        self.input.value = value


class SliderControl(Control):
    """A number between two bounds that can be hit with a mouse."""

    def make(self, **traits: Any) -> Any:
        field = self.field
        whole = field.kinds == (int,)
        low, high = field.low or 0, field.high or 0
        step = {} if whole else {"step": float(f"{(high - low) / 100:.1g}")}
        kind = W.IntSlider if whole else W.FloatSlider
        layout, style = W.Layout(width="auto"), {"description_width": "max-content"}
        return kind(min=low, max=high, **step, layout=layout, style=style, **traits)


class BoundedControl(Control):
    """A number between two bounds that are far apart."""

    def make(self, **traits: Any) -> Any:
        field = self.field
        kind = W.BoundedIntText if field.kinds == (int,) else W.BoundedFloatText
        style = {"description_width": "max-content"}
        return kind(min=field.low, max=field.high, layout=W.Layout(**_FULL), style=style, **traits)


def _fits_toggles(field: Field) -> bool:
    labels = [label for label, _ in ChoiceControl.options(field)]
    return len(labels) <= _TOGGLE_CHOICES and sum(map(len, labels)) <= _TOGGLE_LETTERS


def _is_list_of_texts(field: Field) -> bool:
    return (
        len(field.kinds) == 1 and get_origin(field.kinds[0]) in (list, tuple, set) and _items_are_text(field)
    )


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
    return (field.high or 0) - (field.low or 0) if field.kinds == (int,) else 0


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _label(value: Any) -> str:
    return str(_plain(value))


def _common_stem(labels: list[str]) -> str:
    """Return what all slugs begin with up to a slash, so that ``google/imagen4`` reads ``imagen4``."""
    stems = {label.rpartition("/")[0] for label in labels}
    return f"{stems.pop()}/" if len(stems) == 1 and "/" in labels[0] else ""
