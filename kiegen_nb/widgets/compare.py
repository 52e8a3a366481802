"""`compare`: two tasks side by side, with what differs in their parameters."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_snake

from kiegen_nb.tasks import GenerationTask
from kiegen_nb.widgets.cards import credits_text, kind, seed, took, word
from kiegen_nb.widgets.summary import BASE, GREY, THUMBNAIL_BYTES, picture_html, state_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiegen_nb.engine.handle import TaskHandle

_MARK = "background:color-mix(in srgb,var(--jp-warn-color1,#f57c00) 18%,transparent)"
_NAME = f"color:{GREY};font-weight:400;white-space:nowrap;width:1%"
_CELL = "padding:3px 8px;text-align:left;vertical-align:top;overflow-wrap:anywhere;border:0"


class Comparison:
    """Two tasks side by side; shown as a table at the end of a cell.

    Attributes:
        a: the first task.
        b: the second task.
        differences: parameter -> its two values, in the order of the parameters; None where one has no such parameter.
        same: the parameters that are equal in both, and their value.
    """

    def __init__(self, a: GenerationTask, b: GenerationTask) -> None:
        self.a, self.b = a, b
        first, second = dict(_flat(a.provider_params)), dict(_flat(b.provider_params))
        both = {name: (first.get(name), second.get(name)) for name in first | second}
        self.differences: dict[str, tuple[Any, Any]] = {name: pair for name, pair in both.items() if pair[0] != pair[1]}
        self.same: dict[str, Any] = {name: pair[0] for name, pair in both.items() if name not in self.differences}

    def __repr__(self) -> str:
        names = ", ".join(self.differences) or "nothing"
        return f"Comparison({names} differ{'' if len(self.differences) > 1 else 's'})"

    def _repr_html_(self) -> str:
        pictures = "".join(f'<td style="{_CELL};width:45%">{_picture(task)}</td>' for task in (self.a, self.b))
        rows = [_row(name, *pair, marked=True) for name, pair in self.differences.items()]
        rows += [_row(name, *pair) for name, pair in self._outcome().items() if pair != ("", "")]
        alike = "".join(_row(name, value, value) for name, value in self.same.items())
        kept = f"<details><summary>{_many(len(self.same), 'parameter')} the same</summary>{_table(alike)}</details>"
        nothing = "" if self.differences else f'<p style="color:{GREY};margin:4px 8px">The same parameters.</p>'
        table = _table(f'<tr style="background:none"><td style="{_CELL}"></td>{pictures}</tr>{"".join(rows)}')
        return f'<div style="{BASE};max-width:900px">{table}{nothing}{kept if self.same else ""}</div>'

    def _outcome(self) -> dict[str, tuple[str, str]]:
        """Return what became of them, however much alike it is."""
        found: dict[str, tuple[str, str]] = {}
        for name, tell in (("State", word), ("Cost", _cost), ("Time", _time), ("Seed", _seed), ("Rating", _rating)):
            found[name] = (tell(self.a), tell(self.b))
        found["Comment"] = (self.a.comment or "", self.b.comment or "")
        if "seed" in self.differences or "seeds" in self.differences:
            del found["Seed"]  # it stands above already
        return found


def compare(a: GenerationTask | TaskHandle, b: GenerationTask | TaskHandle) -> Comparison:
    """Show two tasks side by side: their results, cost and time, and the parameters that differ, marked.

    Args:
        a: a task, or a handle, of which the task is taken as it is now.
        b: another one.

    Returns:
        What a cell shows as a table; ``differences`` has the parameters that differ.

    Example:
        >>> compare(first, second).differences  # doctest: +SKIP
        {'aspect_ratio': ('1:1', '16:9')}
    """
    first, second = (one if isinstance(one, GenerationTask) else one.task for one in (a, b))
    return Comparison(first, second)


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every parameter by its name; those inside of others by a dotted one, and the input's as if it were none."""
    for name, value in params.items():
        if isinstance(value, dict):
            yield from _flat(value, prefix if not prefix and name == "input" else f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}" if prefix else to_snake(name), value


def _picture(task: GenerationTask) -> str:
    shown = "".join(picture_html(asset, task.prompt or asset.kind.value, THUMBNAIL_BYTES) for asset in task.assets)
    return shown or (state_html(task) if kind(task) != "done" else f'<div style="color:{GREY}">No picture</div>')


def _table(rows: str) -> str:
    return f'<table style="{BASE};border-collapse:collapse;table-layout:auto;width:100%;margin:0">{rows}</table>'


def _row(name: str, a: object, b: object, *, marked: bool = False) -> str:
    style = f"{_CELL};{_MARK}" if marked else _CELL
    values = "".join(f'<td style="{style}">{_value(value)}</td>' for value in (a, b))
    return f'<tr style="background:none"><th scope="row" style="{style};{_NAME}">{escape(name)}</th>{values}</tr>'


def _value(value: object) -> str:
    if value is None:
        return f'<span style="color:{GREY}">not set</span>'
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _cost(task: GenerationTask) -> str:
    return "" if task.credits_consumed is None else credits_text(task.credits_consumed)


def _time(task: GenerationTask) -> str:
    seconds = took(task)
    return "" if seconds is None else f"{seconds:.1f} s"


def _seed(task: GenerationTask) -> str:
    return seed(task) or ""


def _rating(task: GenerationTask) -> str:
    return "★" * (task.rating or 0)


def _many(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
