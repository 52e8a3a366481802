"""Which fields a sweep can vary: their names, what each holds, and where a dotted name leads."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import params_class
from kiegen_nb.kie.models.market import KieMarketParams, params_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kiegen_nb.kie.models.base import KieParams

_INPUT = "input."
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_FILES = frozenset(f"{kind}{plural}" for kind in ("image", "video", "audio") for plural in ("", "s"))


class Wrong(Exception):
    """What is wrong with an axis, a row or an item, as one sentence without its subject."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a name leads: a field, and the keys and places inside its value."""

    field: str
    inside: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a field's values.

    Attributes:
        types: JSON schema's words, such as ``integer``; empty if nothing is known.
        choices: the values allowed, empty if they are not listed.
        low: the lowest number allowed, None if unbounded.
        high: the highest number allowed, None if unbounded.
        takes_files: whether its texts are addresses of files.
    """

    types: frozenset[str] = frozenset()
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    takes_files: bool = False

    @property
    def has_numbers(self) -> bool:
        """Whether numbers make sense in it, be they spelt as text."""
        if self.choices:
            return all(_is_number(choice) for choice in self.choices)
        return bool(self.types & {"integer", "number"})

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are whole ones."""
        return bool(self.choices) or "number" not in self.types

    @property
    def is_text(self) -> bool:
        """Whether any text may be a value of it."""
        return "string" in self.types and not self.choices


class Fields:
    """The fields of one request, or of several where the model itself is varied.

    Args:
        base: the request.
        slugs: further models its items may be of.
    """

    def __init__(self, base: KieParams, slugs: Iterable[object] = ()) -> None:
        self._title = base.api_model
        families = {type(base): None}
        for slug in slugs:
            family = params_class(base.model, slug)
            is_market = family is not None and issubclass(family, KieMarketParams)
            if family is not None and isinstance(slug, str):
                families[params_for(slug) if is_market else family] = None
        self._families = list(families)
        self.names = list(dict.fromkeys(name for family in families for name in family.field_names()))
        self._others = {"apiModel": "api_model"}
        for family in families:
            self._others |= dict.fromkeys(family.slug_names, "api_model") | dict(family.input_model().other_names)
        # Nobody knows which fields there are where nothing is checked, or the catalogue does not list all of them.
        self._is_open = isinstance(base, KieMarketParams) and (
            not base.validate_input or any(not _is_listed(family) for family in families)
        )
        self._given = base.flat()
        self._schemas: dict[str, Known] | None = None

    def find(self, name: str) -> Spot:
        """Return where an axis' name leads.

        Raises:
            Wrong: with one sentence about the name.
        """
        field = self._own_name(name)
        if field is not None:
            return Spot(field)
        short = name.removeprefix(_INPUT)
        head, _, rest = short.partition(".")
        own = self._own_name(head)
        if rest and own is not None:
            return Spot(own, tuple(int(part) if part.isdecimal() else part for part in rest.split(".")))
        if self._is_open and not rest and short:
            return Spot(short)
        wanted = head if rest else short
        close = difflib.get_close_matches(wanted, [*self.names, *self._others], n=3)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"Its fields are {', '.join(self.names)}."
        raise Wrong(f"is not a field of {self._title}. {hint}")

    def known(self, spot: Spot) -> Known:
        """Return what is known of the values at a place."""
        if spot.inside:
            return Known(types=_types_of(self._given.get(spot.field), spot.inside))
        if self._schemas is None:
            self._schemas = {}
            for family in self._families:
                self._schemas = _known_of(family) | self._schemas
        return self._schemas.get(spot.field, Known())

    def _own_name(self, name: str) -> str | None:
        for tried in (name, name.removeprefix(_INPUT)):
            if tried in self.names:
                return tried
            if tried in self._others:
                return self._others[tried]
        return None


def _is_listed(family: type[KieParams]) -> bool:
    model = catalogue.get(family.slug) if issubclass(family, KieMarketParams) else None
    return model is not None and model.complete


def _types_of(value: Any, inside: tuple[str | int, ...]) -> frozenset[str]:
    """Return what is at a place deep inside a value now, as far as there is something."""
    for key in inside:
        if isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            value = value.get(str(key)) if isinstance(value, dict) else None
    return frozenset({_TYPES[type(value)]}) if type(value) in _TYPES else frozenset()


def _known_of(family: type[KieParams]) -> dict[str, Known]:
    beside, inside = family.model_json_schema(), family.input_model().model_json_schema()
    found = {name: _known(schema, inside) for name, schema in inside["properties"].items()} if inside else {}
    for name in family.own_fields():
        alias = family.model_fields[name].alias or name
        found[name] = _known(beside["properties"].get(alias, {}), beside)
    found["api_model"] = Known(types=frozenset({"string"}), choices=family.slugs())
    return found


def _known(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Known:
    parts = [part for part in _parts(schema, whole) if part.get("type") != "null"]
    listed = [tuple(part.get("enum", (part["const"],) if "const" in part else ())) for part in parts]
    return Known(
        types=frozenset(part["type"] for part in parts if "type" in part),
        choices=tuple(value for values in listed for value in values) if all(listed) else (),
        low=next((part["minimum"] for part in parts if "minimum" in part), None),
        high=next((part["maximum"] for part in parts if "maximum" in part), None),
        takes_files=schema.get("control") in _FILES,
    )


def _parts(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the members of a union, however they are written."""
    if "$ref" in schema:
        yield from _parts(whole["$defs"][schema["$ref"].rpartition("/")[2]], whole)
        return
    members = [member for word in ("anyOf", "oneOf", "allOf") for member in schema.get(word, ())]
    if not members:
        yield schema
    for member in members:
        yield from _parts(member, whole)


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, bool) and float(str(value)) is not None
    except ValueError:
        return False
