"""Which result goes where in a comparison grid: columns, rows and sheets, without a word of drawing."""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

REPEAT = "repeat"
"""The axis of identical requests: they share a tile, unless it is named or there is room for it."""

PLACE = "item"
"""What the columns are called where nothing differs by name: the place in the plan, from 1."""

LONGEST_LABEL = 120


@dataclass(frozen=True, slots=True)
class Side:
    """One direction of a grid.

    Attributes:
        name: the axis, empty if there is none in this direction; then there is one value.
        labels: a short text for each of its values, in their order.
    """

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where everything is. Places are numbers into the sequence that was arranged, from 0.

    Attributes:
        x: the columns.
        y: the rows.
        z: the sheets, one below the other.
        cells: ``cells[z][y][x]`` are the places in that tile, in their order; empty where nothing was asked for.
        rest: the axes inside a tile.
        inside: for each place, what tells it from the others in its tile, such as ``seed 2``; empty if it is alone.
    """

    x: Side
    y: Side
    z: Side
    cells: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]
    rest: tuple[str, ...]
    inside: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int, int]:
        """How many columns, rows and sheets there are."""
        return len(self.x.labels), len(self.y.labels), len(self.z.labels)

    def where(self) -> dict[int, tuple[int, int, int]]:
        """Return each place's column, row and sheet."""
        return {
            place: (column, row, sheet)
            for sheet, rows in enumerate(self.cells)
            for row, columns in enumerate(rows)
            for column, places in enumerate(columns)
            for place in places
        }

    def names(self) -> list[str]:
        """Return what each place is called, such as ``seed 2 · ratio 16:9``."""
        found = list(self.inside)
        for place, spots in self.where().items():
            sides = zip((self.x, self.y, self.z), spots, strict=True)
            words = [f"{side.name} {side.labels[number]}" for side, number in sides if side.name]
            found[place] = " · ".join(filter(None, [*words, self.inside[place]]))
        return found

    def order(self) -> list[int]:
        """Return the places as they are read: sheet by sheet, row by row, from left to right."""
        return [place for rows in self.cells for columns in rows for places in columns for place in places]


def arrange(
    items: Sequence[Mapping[str, Any]], *, x: str | None = None, y: str | None = None, z: str | None = None
) -> Arrangement:
    """Arrange what was asked for by its axes.

    An axis that is not named goes where it reads best: the first one to the columns, the second to the rows, the third
    to sheets. ``repeat`` takes columns or rows only if they are free. Whatever is left shares a tile.

    Args:
        items: for each place the axes and their values there, as in `PlanItem.axes`; a value is anything.
        x: the axis whose values are the columns.
        y: the axis of the rows.
        z: the axis of the sheets.

    Raises:
        ValueError: there is no such axis, or one is named twice; the message lists those there are.

    Example:
        >>> arrange([{"seed": 1, "ratio": "1:1"}, {"seed": 2, "ratio": "1:1"}]).x.labels
        ('1', '2')
    """
    values = _values(items)
    if not values:
        items = [{PLACE: place} for place in range(1, len(items) + 1)]
        values = _values(items)
    chosen = _choose(list(values), {"x": x, "y": y, "z": z})
    sides = {letter: _side(name, values) for letter, name in chosen.items()}
    spots = {letter: {key: n for n, key in enumerate(values.get(name, {"": None}))} for letter, name in chosen.items()}
    cells: dict[tuple[int, int, int], list[int]] = {}
    for place, axes in enumerate(items):
        column, row, sheet = (spots[letter][_key(axes.get(name)) if name else ""] for letter, name in chosen.items())
        cells.setdefault((sheet, row, column), []).append(place)
    columns, rows, sheets = (range(len(sides[letter].labels)) for letter in "xyz")
    rest = tuple(name for name in values if name not in chosen.values())
    return Arrangement(
        **sides,
        cells=tuple(
            tuple(tuple(tuple(cells.get((sheet, row, column), ())) for column in columns) for row in rows)
            for sheet in sheets
        ),
        rest=rest,
        inside=_inside(items, rest, cells.values()),
    )


def label_of(value: object) -> str:
    """Return a value as a short text for people.

    Example:
        >>> label_of(["a", 2.50]), label_of(None)
        ('a, 2.5', 'none')
    """
    return " ".join(_text(value).split())[:LONGEST_LABEL] or "empty"


def _text(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case str():
            return value
        case bytes():
            return f"{len(value):,} bytes"
        case os.PathLike():
            return PurePath(os.fsdecode(value)).name
        case list() | tuple():
            return ", ".join(_text(one) for one in value)
        case dict():
            return ", ".join(f"{name} {_text(one)}" for name, one in value.items())
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else str(value)


def _values(items: Sequence[Mapping[str, Any]]) -> dict[str, dict[Hashable, Any]]:
    """Return every axis with its values, both in the order they first come in; where one is missing it is None."""
    names = dict.fromkeys(name for axes in items for name in axes)
    return {name: _in_order(axes.get(name) for axes in items) for name in names}


def _in_order(values: Iterable[Any]) -> dict[Hashable, Any]:
    found: dict[Hashable, Any] = {}
    for value in values:
        found.setdefault(_key(value), value)
    return found


def _key(value: object) -> Hashable:
    """Return what is the same for equal values of one type: 1, 1.0 and True are three values."""
    try:
        hash(value)
    except TypeError:
        return type(value), json.dumps(value, default=repr, sort_keys=True)
    return type(value), value


def _choose(names: list[str], wanted: dict[str, str | None]) -> dict[str, str]:
    """Return the axis of each direction, empty where there is none."""
    chosen: dict[str, str] = {}
    for letter, name in wanted.items():
        if name is None:
            continue
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            known = ", ".join(map(repr, names)) or "none"
            raise ValueError(f"{letter}={name!r} is no axis of this grid; there are: {known}.{hint}")
        taken = next((other for other, one in chosen.items() if one == name), None)
        if taken is not None:
            raise ValueError(f"{letter}={name!r} is {taken} already; each axis has one direction.")
        chosen[letter] = name
    free = [name for name in names if name not in chosen.values() and name != REPEAT]
    if REPEAT in names and REPEAT not in chosen.values() and len(free) + len(chosen) < 2:  # noqa: PLR2004 - x and y
        free.append(REPEAT)
    return {letter: chosen.get(letter) or (free.pop(0) if free else "") for letter in "xyz"}


def _inside(items: Sequence[Mapping[str, Any]], rest: Sequence[str], cells: Iterable[Sequence[int]]) -> tuple[str, ...]:
    found = [""] * len(items)
    for places in cells:
        differing = [name for name in rest if len({_key(items[place].get(name)) for place in places}) > 1]
        for place in places:
            found[place] = ", ".join(f"{name} {label_of(items[place].get(name))}" for name in differing)
    return tuple(found)


def _side(name: str, values: dict[str, dict[Hashable, Any]]) -> Side:
    return Side(name, tuple(map(label_of, values[name].values())) if name else ("",))
