"""From a catalogue entry to a pydantic class, so that the form mapper needs no second way of reading fields."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Optional

from pydantic import Field, create_model

from kiegen_nb.kie.models.base import KieInput
from kiegen_nb.kie.rules import NOT_FILLED, ONLY_WITH
from kiegen_nb.service import FileRule
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from kiegen_nb.kie.entries import Model, Param

_SIMPLE: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "object": dict[str, Any]}
_TEXTS = frozenset({"prompt", "negative_prompt", "text", "full_lyrics", "previous_text", "next_text", "content"})
_LONG_TEXT = 1000  # characters from which on one line is too small
_CHOICES = 60  # more whole numbers than that are not a list to choose from
# What people set often enough to see it unfolded; the rest is under "More" unless it is required.
_MAIN = frozenset(
    {
        "aspect_ratio",
        "audio",
        "duration",
        "generate_audio",
        "generation_type",
        "image_resolution",
        "image_size",
        "model",
        "mode",
        "n",
        "n_frames",
        "num_images",
        "prompt",
        "quality",
        "ratio",
        "rendering_speed",
        "resolution",
        "shots",
        "size",
        "sound",
        "text",
        "voice",
    },
)
_MEDIA = (
    ("video", "video"),
    ("clip", "video"),
    ("audio", "audio"),
    ("voice", "audio"),
    *((word, "image") for word in ("image", "frame_url", "mask_url", "input_url", "files_url")),
)
_MEDIA_NAMES = {
    "character_file_url": "video",
    "file_url": "image",
    "first_frame": "image",
    "input_image": "image",
    "upload_url": "audio",
    "upload_url_list": "audio",
    "verify_url": "audio",
}
_UPPER = {"url": "URL", "urls": "URLs", "id": "ID", "ids": "IDs", "cfg": "CFG", "nsfw": "NSFW", "midi": "MIDI"}
_MEGABYTES = re.compile(r"\b(\d+) MB\b")
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


def make_input_model(model: Model) -> type[KieInput]:
    """Return a class with one field per parameter: types, choices and limits for a form, not for checking."""
    fields: dict[str, Any] = {}
    # A default that depends on other fields is not shown as if it were set.
    loose = {*NOT_FILLED.get(model.slug, {}), *ONLY_WITH.get(model.slug, {})}
    # The kindest order for people: what is required first, as the catalogue lists it.
    for param in sorted(model.params, key=lambda param: not param.required):
        # A live schema may hold names that no class can have as a field; market() still takes them.
        if param.name.startswith(("_", "model_")) or not param.name.isidentifier() or hasattr(KieInput, param.name):
            continue
        fields[param.name] = _field(param, fixed=param.name not in loose)
    return create_model("MarketInput", __base__=KieInput, __doc__=f"What {model.slug} reads.", **fields)


def media_of(param: Param) -> str | None:
    """Return ``image``, ``video`` or ``audio`` for a field that takes addresses of such files, else None."""
    name, text = param.name.lower(), param.description.lower()
    inner = param.item_type if param.is_array else param.type
    if inner not in ("string", "any") or param.enum or "id" in name.split("_"):
        return None
    if name in _MEDIA_NAMES:
        return _MEDIA_NAMES[name]
    is_address = "url" in name or "url" in text or name.startswith(("reference_", "image", "video"))
    if not is_address or any(word in name for word in ("link", "reference_file", "size", "resolution")):
        return None
    return next((kind for word, kind in _MEDIA if word in name), None)


def file_rules_of(model: Model) -> tuple[FileRule, ...]:
    """Return what the catalogue says of the files a model takes, also inside its lists of objects."""
    found = []
    for param in (inner for outer in model.params for inner in (outer, *outer.items)):
        kind, limit = media_of(param), _MEGABYTES.search(param.description)
        if kind is not None:
            found.append(FileRule(AssetKind(kind), most_bytes=int(limit[1]) * 2**20 if limit else None))
    return tuple(dict.fromkeys(found))


def _field(param: Param, *, fixed: bool) -> tuple[Any, Any]:
    annotation, limits = _annotation(param)
    extra: dict[str, Any] = {}
    media = media_of(param)
    if media is not None:
        extra["control"] = f"{media}s" if param.is_array else media
    elif not param.is_array and param.type == "string" and not param.enum and _is_long(param):
        extra["control"] = "textarea"
    for name in ("min_items", "max_items"):
        if getattr(param, name) is not None:
            extra[name] = getattr(param, name)
    if param.items:
        extra["items"] = [part.name for part in param.items]
    if param.deprecated or not (param.required or media is not None or param.name in _MAIN):
        extra["advanced"] = True
    known = param.default if fixed and not param.deprecated else None
    # In a list made from the range the default is one of the list, whichever way the catalogue spells it.
    if known is not None and annotation is int and isinstance(known, float) and known.is_integer():
        known = int(known)
    options: dict[str, Any] = {
        "title": _title(param.name, is_file=media is not None),
        "description": param.description or None,
        "json_schema_extra": extra,
        **limits,
    }
    if known is None and not (param.required and fixed):
        return Optional[annotation], Field(default=None, **options)  # noqa: UP045 - annotation is a value here
    if known is None:
        return annotation, Field(**options)
    return annotation, Field(default=known, **options)


def _annotation(param: Param) -> tuple[Any, dict[str, Any]]:
    """Return the type a control is chosen by, and the limits it shows."""
    if param.is_array:
        return list[_SIMPLE.get(param.item_type, Any)], {}  # type: ignore[misc] # a type that is data
    if param.enum:
        return Literal[param.enum], {}
    choices = _whole_numbers(param)
    if choices:
        return Literal[choices], {}
    kind = _SIMPLE.get(param.type, Any)
    limits: dict[str, Any] = {}
    if param.type in ("integer", "number"):
        steps = param.step is not None and float(param.step).is_integer()
        kind = int if param.type == "integer" or (steps and float(param.min or 0).is_integer()) else float
        limits = {"ge": param.min, "le": param.max}
    elif param.type == "string":
        limits = {"max_length": param.max_length}
    return kind, {name: value for name, value in limits.items() if value is not None}


def _whole_numbers(param: Param) -> tuple[Any, ...]:
    """Return a short range as choices where a slider cannot say it: numbers spelt as text, or -1 for automatic."""
    if param.min is None or param.max is None or not (param.type == "string" or param.also):
        return ()
    if param.type not in ("string", "integer", "number") or param.max - param.min >= _CHOICES:
        return ()
    numbers = [*(int(value) for value in param.also), *range(int(param.min), int(param.max) + 1)]
    return tuple(str(number) for number in numbers) if param.type == "string" else tuple(numbers)


def _is_long(param: Param) -> bool:
    return param.name in _TEXTS or "prompt" in param.name or (param.max_length or 0) >= _LONG_TEXT


def _title(name: str, *, is_file: bool) -> str:
    words = [word.lower() for word in _PARTS.findall(name)] or [name]
    if is_file and len(words) > 1:
        # A control for files takes uploads too, so it is not about addresses.
        several = "urls" in words
        words = [word for word in words if word not in ("url", "urls")]
        words[-1] += "s" if several and not words[-1].endswith(("s", "audio")) else ""
    shown = [_UPPER.get(word, word) for word in words]
    return " ".join([shown[0][:1].upper() + shown[0][1:], *shown[1:]])
