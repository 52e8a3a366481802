"""What varies in a sweep: an axis and its values, as people write them."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import mimetypes
import os
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.fields import Wrong
from kiegen_nb.batch.numbers import numbers_in
from kiegen_nb.service import addresses_in
from kiegen_nb.tasks import UploadResult

if TYPE_CHECKING:
    from kiegen_nb.batch.fields import Fields, Known, Spot
    from kiegen_nb.kie.models.base import KieParams

MOST_ITEMS = 100_000
"""More requests than that are a slip."""
NOT_SET = "not set"
_LABEL = 40  # characters of a label
_SEED_HIGH = 2**31 - 1
_PROMPT = "prompt"
_NUMBERS = "write a list, or 1-10, 1-10 (+3), 1-10 [5] or 0.5, 1-2 (+0.5)."


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies in a plan.

    Attributes:
        name: as it was written.
        values: in order; `PlanItem.axes` holds one of them.
        labels: a short text for each value, for headers.
    """

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replace:
    """Put words in the place of others, see `replace`."""

    searched: str
    words: Mapping[str, str]
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seeds that are the same in every run, see `fixed_seeds`."""

    count: int


class Turn(IntEnum):
    """Which changes of a request come first."""

    GIVEN = 0
    INSIDE = 1
    REPLACED = 2
    MADE = 3


@dataclass(frozen=True, slots=True)
class Change:
    """What one value does to the fields of a request.

    Attributes:
        turn: when it is done.
        spot: where.
        value: what is put there; the searched and the new words, or a function of the fields.
        shown_as: the axis that shows what a function made, empty if its name is shown.
    """

    turn: Turn
    spot: Spot
    value: Any
    shown_as: str = ""

    def apply(self, fields: dict[str, Any]) -> object:
        """Change the fields, and return the value that was put there.

        Raises:
            Wrong: with one sentence about what is missing.
        """
        value = self.value
        if self.turn is Turn.MADE:
            try:
                value = plain(self.value(MappingProxyType(fields)))
            except Exception as error:
                raise Wrong(f"its function failed with {type(error).__name__}: {error}") from error
        elif self.turn is Turn.REPLACED:
            searched, word = self.value
            text = fields.get(self.spot.field)
            if not isinstance(text, str) or searched not in text:
                raise Wrong(f"does not contain {searched!r}, so there is nothing to replace.")
            value = text.replace(searched, word)
        _put(fields, self.spot, value)
        return value


@dataclass(frozen=True, slots=True)
class Values:
    """An axis that was read: its values beside what each of them does.

    Attributes:
        axis: what is shown.
        changes: one for each value.
        is_single: whether it is one value for all items, written without a list.
    """

    axis: Axis
    changes: tuple[Change, ...]
    is_single: bool = False


def replace(searched: str, words: Iterable[str] | Mapping[str, str] | None = None, *, field: str | None = None) -> Any:
    """Vary some words of a text: the value of an axis is the prompt with other words in their place.

    Args:
        searched: what the text contains. Alone it is a list, as other programs write it: ``"kite, balloon, boat"``
            searches for the first and tries all of them.
        words: what is put in its place; label -> words gives readable headers. Name the searched words too if the
            text is also wanted as it is.
        field: the text that is changed; None is the axis' own field, or the prompt if the axis is named otherwise.

    Example:
        >>> kites = imagen4("a red kite over the sea")
        >>> plan = sweep(kites, colour=replace("red", ["red", "blue"]), prompt=replace("kite", ["kite", "balloon"]))
        >>> plan[3].params.input.prompt
        'a blue balloon over the sea'
    """
    if words is None:
        words = next(csv.reader([searched], skipinitialspace=True), [])
        words = [word.strip() for word in words]
        searched = words[0] if words else ""
    named = words if isinstance(words, Mapping) else {word: word for word in _several(words)}
    return Replace(searched, {str(label): word for label, word in named.items()}, field)


def fixed_seeds(count: int = 1) -> Any:
    """Vary the seed over values that are the same in every run of a notebook.

    They are made from the request itself; random ones would make every run a new experiment, and pay for it again.
    One seed over a whole grid shows what the other axes do.

    Args:
        count: how many.

    Example:
        >>> plan = sweep(imagen4("a red kite"), aspect_ratio=["1:1", "16:9"], seed=fixed_seeds())
        >>> plan[0].params.input.seed == plan[1].params.input.seed
        True
    """
    return Seeds(count)


def read_axis(name: str, given: object, base: KieParams, fields: Fields) -> Values:
    """Return an axis from whatever a person wrote for it.

    Raises:
        Wrong: with one sentence about the name or the values.
    """
    if isinstance(given, Replace):
        return _replacements(name, given, fields)
    spot = fields.find(name)
    known = fields.known(spot)
    if isinstance(given, Seeds):
        given = _seeds(given, spot, known, base)
    is_single = _is_single(given)
    labels: list[str] | None = None
    if isinstance(given, Mapping):
        labels, given = [str(label) for label in given], given.values()
    values = _texts(given, known) if isinstance(given, str) else [given] if is_single else _several(given)
    values = [plain(value) for value in values]
    if not values:
        raise Wrong("has no values, so the plan would be empty. Give at least one, or leave the axis out.")
    for value in values:
        check_files(value, known)
    is_single = is_single and len(values) == 1
    names = [_function_label(value, n) if callable(value) else value for n, value in enumerate(values)]
    labels = labels or list(labels_of(names))
    # What a function makes differs from item to item, so its place among several goes by its name.
    shown = [text if callable(value) else value for text, value in zip(labels, values, strict=True)]
    changes = [change(spot, value, name if is_single else "") for value in values]
    return Values(Axis(name, tuple(shown), tuple(labels)), tuple(changes), is_single)


def change(spot: Spot, value: Any, shown_as: str = "") -> Change:
    """Return what a value does at its place."""
    if callable(value):
        return Change(Turn.MADE, spot, value, shown_as)
    return Change(Turn.INSIDE if spot.inside else Turn.GIVEN, spot, value)


def check_files(value: object, known: Known) -> None:
    """Refuse files of this machine where an address is wanted; they have to be uploaded first.

    Raises:
        Wrong: with one sentence about the file.
    """
    several: Iterable[Any] = value if isinstance(value, list | tuple) else [value]
    for one in several:
        named = isinstance(one, str) and known.takes_files and "://" not in one
        kind = mimetypes.guess_type(one)[0] if named and isinstance(one, str) else None
        if not isinstance(one, os.PathLike) and (kind or "").partition("/")[0] not in ("image", "video", "audio"):
            continue
        path = Path(one)
        if not path.expanduser().exists():
            raise Wrong(f"there is no file {path} (looked in {Path.cwd()}).")
        raise Wrong(f"{path} is a file on this machine; upload it first: session.upload({str(path)!r}).")


def label(value: object) -> str:
    """Return a short text for a value."""
    return _cut(_text(value))


def labels_of(values: Iterable[object]) -> tuple[str, ...]:
    """Return a short text for each of several values; long texts that begin alike are cut where they differ."""
    texts = [_text(value) for value in values]
    found = [_cut(text) for text in texts]
    if len(set(found)) == len(set(texts)):
        return tuple(found)
    long = [text for text in texts if len(text) > _LABEL]
    # What the first and the last of them in their order share, all of them do.
    pairs = zip(min(long), max(long), strict=False)
    same = "".join(one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = same.rfind(" ") + 1
    return tuple(_cut(f"…{text[start:]}" if start and len(text) > _LABEL else text) for text in texts)


def plain(value: Any) -> Any:
    """Return a number of another library as Python's own; anything else as it is."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _text(value: object) -> str:
    if value is None:
        return NOT_SET
    if isinstance(value, UploadResult):
        text = value.name
    elif isinstance(value, str):
        text = value.rstrip("/").rpartition("/")[2] if addresses_in(value) else value
    elif isinstance(value, list | tuple):
        text = ", ".join(map(_text, value))
    else:
        text = json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, Mapping) else str(value)
    return " ".join(text.split())


def _cut(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _is_single(given: object) -> bool:
    return isinstance(given, str | bytes | UploadResult) or callable(given) or not isinstance(given, Iterable)


def _several(given: Any) -> list[Any]:
    if isinstance(given, AbstractSet):
        # Its order may differ from run to run, and then the numbers of items would, too.
        raise Wrong("is a set, which has no order; write a list.")
    if isinstance(given, str):
        return [given]
    values = list(itertools.islice(given, MOST_ITEMS + 1))
    if len(values) > MOST_ITEMS:
        raise Wrong(f"has more than {MOST_ITEMS:,} values.")
    return values


def _texts(text: str, known: Known) -> list[Any]:
    """Return the values one text stands for: several numbers or choices where those belong, else the text itself."""
    parts = [part.strip() for part in text.split(",")]
    if set(parts) <= set(known.choices):
        return list(parts)
    if not known.has_numbers:
        return [text]
    numbers = numbers_in(text, is_whole=known.is_whole, most=MOST_ITEMS)
    if numbers is None and not known.is_text:
        raise Wrong(f"{text!r} cannot be read as numbers; {_NUMBERS}")
    return [text] if numbers is None else list(numbers)


def _replacements(name: str, given: Replace, fields: Fields) -> Values:
    try:
        spot = fields.find(given.field or name)
    except Wrong:
        if given.field is not None:
            raise
        spot = fields.find(_PROMPT)
    if spot.inside or not fields.known(spot).is_text:
        raise Wrong(f"{spot.field} is no text; replace() changes words of a text.")
    if not given.searched:
        raise Wrong("searches for nothing; write replace('kite', ['kite', 'balloon']).")
    if not given.words:
        raise Wrong("has no words to put in; write replace('kite', ['kite', 'balloon']).")
    return Values(
        Axis(name, tuple(given.words), labels_of(given.words)),
        tuple(Change(Turn.REPLACED, spot, (given.searched, word)) for word in given.words.values()),
    )


def _seeds(given: Seeds, spot: Spot, known: Known, base: KieParams) -> list[Any]:
    is_number = known.has_numbers and not known.choices
    if not is_number and not (known.is_text and "seed" in spot.field):
        raise Wrong("is no seed: fixed_seeds() needs a field of whole numbers.")
    if given.count < 1:
        raise Wrong(f"fixed_seeds({given.count}) has no values; ask for at least 1.")
    low = max(1, int(known.low or 1))
    high = max(low, min(_SEED_HIGH, int(known.high or _SEED_HIGH)))
    rest = {name: value for name, value in base.flat().items() if name != spot.field}
    # An upload's address changes when it is renewed; the experiment is still the same.
    meanings = dict.fromkeys(addresses_in(base.wire()), "")
    start = type(base).build(**rest).identity(meanings)
    found: dict[int, None] = {}
    for number in itertools.count():
        if len(found) == min(given.count, high - low + 1):
            break
        digest = hashlib.sha256(f"{start} {number}".encode()).digest()
        found[low + int.from_bytes(digest[:8]) % (high - low + 1)] = None
    return list(found) if is_number else list(map(str, found))


def _function_label(function: Callable[..., object], number: int) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return f"function {number}" if name == "<lambda>" else str(name)


def _put(fields: dict[str, Any], spot: Spot, value: Any) -> None:
    """Set a value, however deep; lists and dicts on the way are copied, because other items share them."""
    path: tuple[Any, ...] = (spot.field, *spot.inside)
    holder: Any = fields
    for place, (key, inner) in enumerate(itertools.pairwise(path), 1):
        found = holder[key] if isinstance(holder, list) else holder.get(key)
        way = ".".join(map(str, path[:place]))
        if isinstance(found, list | tuple):
            found = list(found)
            if not (isinstance(inner, int) and inner < len(found)):
                raise Wrong(f"leads nowhere: {way} has {len(found)} entries, numbered from 0, and no {inner}.")
        elif isinstance(found, Mapping):
            found = dict(found)
        else:
            raise Wrong(f"leads nowhere: {way} of this request is {label(found)}, which holds nothing.")
        holder[key] = found
        holder = found
    holder[path[-1]] = value
