"""The entries of the market catalogue: a model and its fields, read from JSON of any condition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kiegen_nb.kie import finding
from kiegen_nb.tasks import AssetKind

HISTORICAL = frozenset({"removed", "removed-from-docs", "historical"})
"""Statuses of models that Kie does not list any more."""

_KINDS: dict[str, AssetKind] = {
    "background-removal": AssetKind.IMAGE,
    "character": AssetKind.DATA,
    "lip-sync": AssetKind.VIDEO,
    "motion-control": AssetKind.VIDEO,
    "speech-to-text": AssetKind.DATA,  # words and their times, as a resultObject
    "audio-isolation": AssetKind.AUDIO,
    "music": AssetKind.AUDIO,
    "sound-effects": AssetKind.AUDIO,
    "text-to-speech": AssetKind.AUDIO,
}
_RESULT_WORDS = (("video", AssetKind.VIDEO), ("image", AssetKind.IMAGE), ("audio", AssetKind.AUDIO))
# Some slugs answer with something else than their category says: the music family's result_hint tells which, and what
# is found in a picture comes as a resultObject, too.
_BY_SLUG: dict[str, AssetKind] = {
    "ai-music-api/cover-generate": AssetKind.IMAGE,
    "ai-music-api/create-music-video": AssetKind.VIDEO,
    **dict.fromkeys(
        (
            "ai-music-api/boost-music-style",
            "ai-music-api/check-voice",
            "ai-music-api/create-voice",
            "ai-music-api/generate-lyrics",
            "ai-music-api/generate-midi-from-audio",
            "ai-music-api/generate-persona",
            "ai-music-api/regenerate-phrase",
            "ai-music-api/timeStamped-lyrics",
            "ai-music-api/validation-phrase",
            "grok-imagine-image-2-0/segment-map",
            "omnihuman-1-5/human-identification",
            "omnihuman-1-5/subject-detection",
        ),
        AssetKind.DATA,
    ),
}
_LARGEST = 1e18  # a limit beyond that is none
_FAMILY = re.compile(r"[a-z]+(?:-[a-z]+(?![a-z0-9]))*")
_AUTOMATIC = re.compile(r"\bor (-\d+) for automatic\b")
_DATE = re.compile(r"\b20\d\d-\d\d(?:-\d\d)?\b")


@dataclass(frozen=True, slots=True)
class Param:
    """One field of a model's ``input``; a limit that is None is unknown.

    Attributes:
        name: its name on the wire.
        type: ``string``, ``integer``, ``number``, ``boolean``, ``object``, ``array<...>``, or ``any`` if unknown.
        required: the service refuses a request without it.
        enum: the values allowed, empty if they are not listed.
        default: what the service takes where nothing is sent, None if unknown.
        min: the lowest number; of a string, the lowest number it may spell.
        max: the highest number, likewise.
        step: numbers go in steps of this from ``min``.
        min_length: the fewest characters.
        max_length: the most characters.
        min_items: the fewest items of an array.
        max_items: the most items of an array.
        description: one sentence.
        deprecated: kept for old clients; never filled in.
        items: the fields of an array's objects, empty if they are not listed.
        also: numbers outside the range that are allowed too, such as -1 for "automatic".
    """

    name: str
    type: str = "any"
    required: bool = False
    enum: tuple[Any, ...] = ()
    default: Any = None
    min: float | None = None
    max: float | None = None
    step: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    description: str = ""
    deprecated: bool = False
    items: tuple[Param, ...] = ()
    also: tuple[float, ...] = ()

    @property
    def is_array(self) -> bool:
        """Whether it is a list."""
        return self.type.startswith("array")

    @property
    def item_type(self) -> str:
        """The type of a list's items, ``any`` if unknown."""
        return self.type[6:-1] if self.type.startswith("array<") and self.type.endswith(">") else "any"

    @classmethod
    def from_json(cls, name: str, data: Any) -> Param:
        """Read one field of the file; odd parts of it count as not given."""
        if not isinstance(data, dict):
            return cls(name)
        kind, enum, inner = data.get("type"), data.get("enum"), data.get("item_properties")
        text = data.get("description_short")
        description = text if isinstance(text, str) else ""
        default = data.get("default")
        return cls(
            name=name,
            type=kind if isinstance(kind, str) else "any",
            required=data.get("required") is True,
            enum=tuple(value for value in enum if _is_scalar(value)) if isinstance(enum, list) else (),
            default=default if _is_scalar(default) else None,
            min=_number(data.get("min")),
            max=_number(data.get("max")),
            step=_number(data.get("step")) or None,
            min_length=_count(data.get("minLength")),
            max_length=_count(data.get("maxLength")),
            min_items=_count(data.get("minItems")),
            max_items=_count(data.get("maxItems")),
            description=description,
            deprecated=data.get("deprecated") is True,
            items=tuple(cls.from_json(str(key), value) for key, value in inner.items())
            if isinstance(inner, dict)
            else (),
            also=tuple(float(found) for found in _AUTOMATIC.findall(description)),
        )


@dataclass(frozen=True)
class Model:
    """One model of the catalogue.

    Attributes:
        slug: what ``model`` of a create call says.
        category: such as ``text-to-image``; several are joined by ``|``.
        family: who it belongs to, read from the slug, such as ``kling``.
        params: its fields.
        status: ``documented``, ``undocumented``, ``removed`` ...
        schema_date: when its fields were last confirmed.
        source: the page they were read from.
        credits_text: the price as it is listed, empty if there is none.
        note: what else is known.
        complete: every field is known; otherwise unknown ones are accepted.
        one_of: groups of fields of which exactly one must be given.
    """

    slug: str
    category: str = ""
    family: str = ""
    params: tuple[Param, ...] = ()
    status: str = "documented"
    schema_date: str = ""
    source: str = ""
    credits_text: str = ""
    note: str = ""
    complete: bool = True
    one_of: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Param]:
        """The fields by their names."""
        return {param.name: param for param in self.params}

    @cached_property
    def asset_kind(self) -> AssetKind:
        """What a result is where its address does not tell."""
        if self.slug in _BY_SLUG:
            return _BY_SLUG[self.slug]
        first = self.category.partition("|")[0]
        if first in _KINDS:
            return _KINDS[first]
        made = first.rpartition("-to-")[2]
        return next((kind for word, kind in _RESULT_WORDS if word in made), AssetKind.FILE)

    @property
    def status_note(self) -> str:
        """One sentence about a model that is not listed any more or was never documented; empty otherwise."""
        if self.status in HISTORICAL:
            dates = _DATE.findall(self.note)
            since = f" since {dates[1]} at the latest" if len(dates) > 1 else ""
            since = since or (f" since {dates[0]}" if dates else "")
            return f"not in Kie's current catalogue{since}; a live request may be refused."
        if self.status == "undocumented":
            return f"not in Kie's current documentation{f': {self.note}' if self.note else ''}."
        return ""

    @classmethod
    def from_json(cls, slug: str, data: Any) -> Model:
        """Read one entry of the file; odd parts of it count as not given."""
        entry = data if isinstance(data, dict) else {}
        params, notes, one_of = entry.get("params"), entry.get("notes"), entry.get("one_of")
        family = _FAMILY.match(slug)
        fields = params if isinstance(params, dict) else None
        return cls(
            slug=slug,
            category=_text(entry.get("category")),
            family=family[0] if family else slug.partition("/")[0],
            params=tuple(Param.from_json(str(name), value) for name, value in (fields or {}).items()),
            status=_text(entry.get("status")) or "documented",
            schema_date=_text(entry.get("schema_date")),
            source=_text(entry.get("source")),
            credits_text=_text(entry.get("credits")),
            note="; ".join(str(note) for note in notes) if isinstance(notes, list) else "",
            complete=fields is not None and entry.get("params_complete", True) is not False,
            one_of=tuple(tuple(map(str, group)) for group in one_of if isinstance(group, list) and group)
            if isinstance(one_of, list)
            else (),
        )

    def __repr__(self) -> str:
        return f"Model({self.slug}, {self.category}, {len(self.params)} fields)"

    def _repr_html_(self) -> str:
        return finding.model_html(self)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= _LARGEST else None  # also turns away what is no number at all


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)
