"""Requests as rows: a list of dicts, a CSV file, or a table of pandas or polars."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.axes import MOST_ITEMS, plain
from kiegen_nb.batch.fields import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiegen_nb.batch.fields import Known

_SEPARATORS = ",;\t"
_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
_NONE = frozenset({"none", "null"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        name: what messages call it, such as ``row 37``; they are numbered from 0, as lists are.
        values: column -> value, without what is not given.
        is_text: whether the values are texts of a file, to be read by their fields' types.
    """

    name: str
    values: Mapping[str, Any]
    is_text: bool = False


def read_rows(rows: object) -> list[Row]:
    """Return rows from whatever holds them.

    Args:
        rows: a path of a CSV file, a table of pandas or polars, or any iterable of dicts.

    Raises:
        Wrong: naming the file or the row.
    """
    found = list(islice(_rows(rows), MOST_ITEMS + 1))
    if not found:
        raise Wrong("has no rows, so the plan would be empty.")
    if len(found) > MOST_ITEMS:
        raise Wrong(f"has more than {MOST_ITEMS:,} rows.")
    return found


def read_cell(text: str, known: Known) -> Any:
    """Return a cell's value by its field's type; what cannot be read stays the text it is, to be refused as such.

    Example:
        >>> from kiegen_nb.batch.fields import Known
        >>> read_cell("0,5", Known(types=frozenset({"number"})))
        0.5
    """
    short = text.strip()
    if short in map(str, known.choices):
        return next(choice for choice in known.choices if str(choice) == short)
    if known.is_text and not known.types & {"integer", "number"}:
        return text
    if short.lower() in _NONE:
        return None
    if "boolean" in known.types and short.lower() in _TRUE | _FALSE:
        return short.lower() in _TRUE
    if short[:1] in ("[", "{"):
        with suppress(ValueError):
            return json.loads(short)
    if known.types & {"integer", "number"}:
        return _number(short)
    return short if known.types else text


def _rows(rows: Any) -> Iterator[Row]:
    if isinstance(rows, str | os.PathLike):
        yield from _file_rows(Path(rows).expanduser())
        return
    if hasattr(rows, "columns") and hasattr(rows, "to_dicts"):  # polars
        rows, is_table = rows.to_dicts(), True
    elif hasattr(rows, "columns") and hasattr(rows, "to_dict"):
        rows, is_table = rows.to_dict("records"), True
    else:
        is_table = False
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise Wrong(f"{type(rows).__name__} is no list of rows; give a list of dicts, a CSV file or a DataFrame.")
    for number, row in enumerate(rows):
        name = f"row {number}"
        if not isinstance(row, Mapping):
            raise Wrong(f"{name} is {type(row).__name__}; each row must be a dict of field -> value.")
        values = {str(column): plain(value) for column, value in row.items()}
        yield Row(name, {key: value for key, value in values.items() if not _is_missing(value, is_table=is_table)})


def _is_missing(value: object, *, is_table: bool) -> bool:
    """Tell whether a table has nothing there: NaN and NaT are not equal to themselves. In a dict None is a value."""
    if value is None:
        return is_table
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN


def _file_rows(path: Path) -> Iterator[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise Wrong(f"there is no file {path} (looked in {Path.cwd()}).") from None
    except UnicodeDecodeError:
        raise Wrong(f'{path.name} is not UTF-8; save it as "CSV UTF-8".') from None
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror or error}.") from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(_SEPARATORS, key=first.count), strict=True)
    try:
        columns = [column.strip() for column in reader.fieldnames or ()]
        twice = sorted({column for column in columns if column and columns.count(column) > 1})
        if twice:
            raise Wrong(f"{path.name} has the column {twice[0]} twice.")
        reader.fieldnames = columns
        for number, cells in enumerate(reader):
            name = f"row {number} (line {reader.line_num} of {path.name})"
            if None in cells:
                raise Wrong(f"{name} has more cells than there are columns; put quotes around texts with commas.")
            # A column without a name is what a table's index is saved as.
            given = {column: cell for column, cell in cells.items() if column and cell is not None and cell.strip()}
            yield Row(name, given, is_text=True)
    except csv.Error as error:
        raise Wrong(f"{path.name}, after line {reader.line_num}: {error}.") from None


def _number(text: str) -> Any:
    for spelling in (text, text.replace(",", ".")):
        for kind in (int, float):
            try:
                return kind(spelling)
            except ValueError:
                continue
    return text
