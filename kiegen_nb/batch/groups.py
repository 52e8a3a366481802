"""From what people wrote to the groups a plan is the product of: rows, axes, and repeats."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kiegen_nb.batch.axes import MOST_ITEMS, Axis, Turn, change, check_files, labels_of, read_axis
from kiegen_nb.batch.building import REPEAT, Choice, Problems
from kiegen_nb.batch.fields import Fields, Wrong
from kiegen_nb.batch.rows import read_cell, read_rows
from kiegen_nb.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kiegen_nb.batch.axes import Change, Values
    from kiegen_nb.batch.fields import Spot
    from kiegen_nb.batch.rows import Row
    from kiegen_nb.kie.models.base import KieParams

How = Literal["product", "zip"]
WHAT = "This sweep"
_API_MODEL = "api_model"


@dataclass(frozen=True, slots=True)
class Sketch:
    """A plan before its requests are made.

    Attributes:
        groups: the plan is the product of these.
        axes: what varies; a name alone where the values are known only when the requests are made.
    """

    groups: list[list[Choice]]
    axes: list[Axis | str]


def read_sketch(base: KieParams, axes: Mapping[str, Any], *, rows: object, how: str, repeat: object) -> Sketch:
    """Return what a plan is made of.

    Raises:
        InvalidParams: naming every wrong axis, column and row.
    """
    if how not in ("product", "zip"):
        raise InvalidParams({"how": f"{how!r} is not one of the choices: 'product', 'zip'."}, what=WHAT)
    if isinstance(repeat, bool) or not isinstance(repeat, int) or not 1 <= repeat <= MOST_ITEMS:
        raise InvalidParams({REPEAT: f"must be a whole number from 1, not {repeat!r}."}, what=WHAT)
    table = _table(rows)
    axes = {name: _kept(value) if _is_model(name) else value for name, value in axes.items()}
    fields = Fields(base, _slugs(axes, table))
    columns = list(dict.fromkeys(column for row in table for column in row.values))
    if REPEAT in columns:
        columns.remove(REPEAT)
        if repeat > 1:
            raise InvalidParams({REPEAT: "is given twice, as a column and as repeat=; leave one out."}, what=WHAT)
    spots, read = _read(base, axes, columns, fields)
    groups: list[list[Choice]] = []
    found: list[Axis | str] = []
    if rows is not None:
        groups.append(_row_group(table, spots, fields, base))
        found += columns
    groups += _zipped(read) if how == "zip" else [_group([one]) for one in read]
    found += [one.axis.name if one.is_single and one.changes[0].turn is Turn.MADE else one.axis for one in read]
    if any(REPEAT in row.values for row in table):
        found.append(REPEAT)
    if repeat > 1:
        groups.append([Choice({REPEAT: number}) for number in range(repeat)])
        found.append(axis_of(REPEAT, range(repeat)))
    total = math.prod(map(len, groups))
    if total > MOST_ITEMS:
        sizes = " x ".join(f"{len(group):,}" for group in groups)
        raise InvalidParams({"": f"{sizes} = {total:,} requests; at most {MOST_ITEMS:,} are planned."}, what=WHAT)
    return Sketch(groups, found)


def axis_of(name: str, values: Iterable[Any]) -> Axis:
    """Return an axis of the values that occur, in the order they first do."""
    unique = list({repr(value): value for value in values}.values())
    return Axis(name, tuple(unique), labels_of(unique))


def _table(rows: object) -> list[Row]:
    if rows is None:
        return []
    try:
        return read_rows(rows)
    except Wrong as problem:
        raise InvalidParams({"rows": str(problem)}, what=WHAT) from None


def _read(
    base: KieParams, axes: Mapping[str, Any], columns: Sequence[str], fields: Fields
) -> tuple[dict[str, Spot], list[Values]]:
    """Return where each column leads, and the axes."""
    wrong: dict[str, str] = {}
    spots: dict[str, Spot] = {}
    read: list[Values] = []
    taken: dict[Spot, str] = {}

    def take(spot: Spot, name: str) -> None:
        if spot in taken:
            raise Wrong(f"sets the same field as {taken[spot]}; leave one out.")
        taken[spot] = name

    for column in columns:
        try:
            spots[column] = fields.find(column)
            take(spots[column], f"the column {column}")
        except Wrong as problem:
            wrong[f"column {column}"] = str(problem)
    for name, given in axes.items():
        try:
            values = read_axis(name, given, base, fields)
            # Several axes may replace words of one text.
            if values.changes[0].turn is not Turn.REPLACED:
                take(values.changes[0].spot, name)
            read.append(values)
        except Wrong as problem:
            wrong[name] = str(problem)
    if wrong:
        raise InvalidParams(wrong, what=WHAT)
    return spots, read


def _row_group(table: Sequence[Row], spots: Mapping[str, Spot], fields: Fields, base: KieParams) -> list[Choice]:
    now, choices, problems = base.flat(), [], Problems()
    counted = any(REPEAT in row.values for row in table)
    for row in table:
        shown: dict[str, Any] = {}
        changes: list[Change] = []
        for column, spot in spots.items():
            if column not in row.values:
                shown[column] = None if spot.inside else now.get(spot.field)
                continue
            value, known = row.values[column], fields.known(spot)
            shown[column] = value = read_cell(value, known) if row.is_text else value
            changes.append(change(spot, value, column))
            try:
                check_files(value, known)
            except Wrong as problem:
                problems.add(row.name, {column: str(problem)})
        if counted:
            shown[REPEAT] = _repeat(row, problems)
        choices.append(Choice(shown, tuple(changes), row.name))
    problems.check(len(table))
    return choices


def _repeat(row: Row, problems: Problems) -> int:
    value = row.values.get(REPEAT, 0)
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    # A column with gaps is a column of floats to pandas.
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        problems.add(row.name, {REPEAT: f"must be a whole number from 0, not {value!r}."})
        return 0
    return int(value)


def _group(read: Sequence[Values]) -> list[Choice]:
    """Return the places of axes that go together; they are of one length."""
    return [
        Choice(
            {one.axis.name: one.axis.values[place % len(one.changes)] for one in read},
            tuple(one.changes[place % len(one.changes)] for one in read),
        )
        for place in range(max(len(one.changes) for one in read))
    ]


def _zipped(read: Sequence[Values]) -> list[list[Choice]]:
    if not read:
        return []
    counts = {one.axis.name: len(one.changes) for one in read if not one.is_single}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {count:,}" for name, count in counts.items())
        sentence = f'how="zip" takes one value of each axis at a time, so all need as many: {told}.'
        raise InvalidParams({"": sentence}, what=WHAT)
    return [_group(read)]


def _is_model(name: str) -> bool:
    return name.removeprefix("input.") in (_API_MODEL, "apiModel", "model")


def _kept(given: Any) -> Any:
    """Return values that can be looked at twice."""
    return given if isinstance(given, str | dict) or callable(given) or not hasattr(given, "__iter__") else list(given)


def _slugs(axes: Mapping[str, Any], table: Iterable[Row]) -> list[object]:
    """Return the models that may be asked for."""
    found: list[object] = []
    for name, given in axes.items():
        if _is_model(name):
            found += given.values() if isinstance(given, dict) else given if isinstance(given, list) else [given]
    return found + [value for row in table for name, value in row.values.items() if _is_model(name)]
