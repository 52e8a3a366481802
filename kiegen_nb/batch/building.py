"""From axes and rows to requests: each is checked, and everything that is wrong is told at once."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.axes import label
from kiegen_nb.batch.fields import Wrong
from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import params_class
from kiegen_nb.kie.models.market import KieMarketParams

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kiegen_nb.batch.axes import Change
    from kiegen_nb.kie.models.base import KieParams

REPEAT = "repeat"
_SHOWN = 5  # problems of different kinds that are told


@dataclass(frozen=True, slots=True)
class Choice:
    """One place of an axis, or of several that go together.

    Attributes:
        axes: axis name -> its value.
        changes: what they do to the request.
        name: what messages call it, such as ``row 37``; empty if the item's number says enough.
    """

    axes: Mapping[str, Any]
    changes: tuple[Change, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """One request that was made.

    Attributes:
        name: what messages call it.
        params: the request.
        axes: axis name -> its value, ``repeat`` among them if it was asked for.
    """

    name: str
    params: KieParams
    axes: dict[str, Any]

    @property
    def repeat(self) -> int:
        """Which of several identical requests it is."""
        return int(self.axes.get(REPEAT, 0))


@dataclass(slots=True)
class Problems:
    """What is wrong with some of many requests; equal problems are told once."""

    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    items: set[str] = field(default_factory=set)
    cause: BaseException | None = None

    def add(self, name: str, wrong: Mapping[str, str]) -> None:
        """Note what is wrong with one request: field -> sentence."""
        self.items.add(name)
        for place, sentence in wrong.items():
            self.found.setdefault((place, sentence), []).append(name)

    def check(self, total: int) -> None:
        """Raise what was found.

        Raises:
            InvalidParams: naming items and fields; its ``fields`` are such as ``"row 37, aspect_ratio"``.
        """
        if not self.found:
            return
        fields: dict[str, str] = {}
        for (place, sentence), names in itertools.islice(self.found.items(), _SHOWN):
            more = len(names) - 1
            same = f" The same in {more:,} more {'items' if more > 1 else 'item'}." if more else ""
            fields[f"{names[0]}, {place}" if place else names[0]] = f"{sentence}{same}"
        rest = len(self.found) - len(fields)
        if rest:
            fields[""] = f"and {rest:,} more of other kinds."
        what = f"{len(self.items):,} of {total:,} {'requests' if total != 1 else 'request'}"
        raise InvalidParams(fields, what=what) from self.cause


class Template:
    """Makes requests that differ from one in some fields.

    Args:
        base: the request.
    """

    def __init__(self, base: KieParams) -> None:
        self._base = base
        self.fields = base.flat()

    def build(self, fields: dict[str, Any], changed: Collection[str]) -> KieParams:
        """Return a request of flat fields; None counts as not given.

        What the base was filled in with is left out where another model, or another field, does not go with it.

        Args:
            fields: everything, changes included.
            changed: the names of what was changed.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        family: type[KieParams] | None = type(self._base)
        if fields.get("api_model") != self._base.api_model:
            is_market = isinstance(self._base, KieMarketParams)
            family = KieMarketParams if is_market else params_class(self._base.model, fields.get("api_model"))
        if family is None:
            raise InvalidParams({"api_model": f"{fields.get('api_model')!r} is no model of {self._base.title}."})
        try:
            return family.build(**fields)
        except InvalidParams as error:
            last, loose = error, self._filled_in - set(changed)
            for left_out in (loose & set(error.fields), loose):
                fewer = {name: value for name, value in fields.items() if name not in left_out}
                try:
                    return family.build(**fewer)
                except InvalidParams as other:
                    last = other
            raise last from None

    @cached_property
    def _filled_in(self) -> set[str]:
        """The fields the base would have anyway, had nobody written them."""
        found: set[str] = set()
        for name in self.fields:
            if name == "api_model":
                continue
            rest = {other: value for other, value in self.fields.items() if other != name and other not in found}
            try:
                made = type(self._base).build(**rest)
            except InvalidParams:
                continue
            if made == self._base:
                found.add(name)
        return found


def combine(template: Template, groups: Sequence[Sequence[Choice]]) -> list[Made]:
    """Return the requests of every combination; the last group varies fastest.

    Raises:
        InvalidParams: naming every wrong item and field.
    """
    total = math.prod(map(len, groups))
    made: list[Made] = []
    problems = Problems()
    for number, choices in enumerate(itertools.product(*groups)):
        name = choices[0].name if choices else ""
        if not name or len(groups) > 1:
            name = f"{name}, item {number}".removeprefix(", ")
        axes = {axis: value for choice in choices for axis, value in choice.axes.items()}
        if REPEAT in axes:
            axes[REPEAT] = axes.pop(REPEAT)  # the last, wherever it came from
        try:
            made.append(Made(name, _made(template, choices, axes), axes))
        except InvalidParams as error:
            problems.add(name, error.fields)
            problems.cause = problems.cause or error.__cause__
    problems.check(total)
    return made


def check_twins(made: Iterable[Made]) -> None:
    """Refuse a plan in which one request stands twice: it would be made once.

    Raises:
        InvalidParams: naming both.
    """
    seen: dict[tuple[str, int], Made] = {}
    problems, total = Problems(), 0
    for one in made:
        total += 1
        first = seen.setdefault((one.params.identity(), one.repeat), one)
        if first is not one:
            problems.add(f"{first.name} and {one.name}", {"": _twins(first, one)})
    problems.check(total)


def _made(template: Template, choices: Iterable[Choice], axes: dict[str, Any]) -> KieParams:
    fields = dict(template.fields)
    changes = sorted((change for choice in choices for change in choice.changes), key=lambda change: change.turn)
    for change in changes:
        try:
            value = change.apply(fields)
        except Wrong as problem:
            raise InvalidParams({change.spot.field: str(problem)}) from problem.__cause__
        if change.shown_as:
            axes[change.shown_as] = value
    return template.build(fields, {change.spot.field for change in changes})


def _twins(first: Made, second: Made) -> str:
    equal = [f"{name}={label(value)}" for name, value in first.axes.items() if second.axes.get(name) == value]
    other = [
        f"{name} is {label(value)} and {label(second.axes.get(name))}"
        for name, value in first.axes.items()
        if second.axes.get(name) != value
    ]
    same = f" ({', '.join(equal)})" if equal else ""
    although = f", although {', '.join(other)}" if other else ""
    return f"are the same request{same}{although}. Leave one out; repeat= asks for several of each."
