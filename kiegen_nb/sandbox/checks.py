"""What a request may say: the catalogue's rules for every field, and the error texts of the contract.

One field is reported at a time, fields nobody knows are ignored, and lengths are counted in characters, all as
the service was seen to do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CATALOGUE = Path(__file__).parent.parent / "kie" / "catalogue.json"

UNKNOWN_MODEL = (
    "The model name you specified is not supported. Please verify your input and use one of the supported "
    "models provided by KIE."
)
PAUSED = "This interface is temporarily paused."
POLICY = "Your request was flagged by the content policy. Please change the prompt and try again."
TOO_OFTEN = "Your call frequency is too high. Please try again later."
NO_RECORD = "recordInfo is null"

# Models younger than mid-2026 answer a missing field with a bare 422; nothing in the catalogue tells their age.
_NEWER = (
    "ai-music-api/",
    "bytedance/seedance-2",
    "google/gemini-",
    "gpt-image-2-5",
    "grok-imagine-image-2-0/",
    "kling-3.0-omni/",
    "minimax-h3/",
    "nano-banana-2-",
    "pixverse-v6/",
    "qwen2-1/",
    "qwen3/",
    "seedream/5-",
    "veo",
    "wan/3-0",
)
# Pages disagree on these: a number in one copy and its digits as text in another, and both were seen to work.
_DIGITS_OR_NUMBER = {
    ("grok-imagine/text-to-video", "duration"),
    ("grok-imagine/image-to-video", "duration"),
    ("runway", "duration"),
    ("runway:generate", "duration"),
    ("veo/get-1080p-video", "index"),
}
# Copies of the pages name these fields differently, one of them with a space at its end.
_ALIASES = {
    "happyhorse/image-to-video": {"image_urls ": "image_urls"},
    "happyhorse/video-edit": {"reference_image ": "reference_image"},
    "happyhorse/reference-to-video": {"image_urls": "reference_image", "reference_image ": "reference_image"},
    "veo:generate": {"aspectRatio": "aspect_ratio"},
    "mj:generate": {"watermark": "waterMark"},
}


class RefusedError(Exception):
    """A request answered with an error envelope.

    Attributes:
        code: The envelope's ``code``.
        msg: Its text.
        data: Its ``data``; None for nearly every error.
    """

    def __init__(self, code: int, msg: str, data: object = None) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg
        self.data = data


def not_allowed(name: str) -> RefusedError:
    """Return the error for a value outside a field's choices, or one another field forbids."""
    return RefusedError(500, f"{name} is not within the range of allowed options")


def out_of_range(name: str) -> RefusedError:
    """Return the error for a number or a count outside its limits."""
    return RefusedError(500, f"Value must be within the specified range: {name}")


def missing(entry: Mapping[str, Any], name: str) -> RefusedError:
    """Return the error for a field that is not there, in the words of the model's age."""
    slug = str(entry.get("slug", ""))
    if slug.endswith("-tts") and name == "speakers":
        return RefusedError(422, "The speakers parameter cannot be empty")
    if slug.startswith(_NEWER):
        return RefusedError(422, "This field is required")
    return RefusedError(500, f"{name} is required")


STABLE = ("sora-2-text-to-video", "sora-2-image-to-video")
"""Models that had a ``-stable`` twin, which the catalogue's sources no longer list."""
NOT_IN_STABLE = frozenset({"remove_watermark", "character_id_list"})


def load_catalogue(path: Path = CATALOGUE) -> dict[str, dict[str, Any]]:
    """Read the models of ``createTask``; each entry also gets its own name as ``slug``."""
    found = {slug: entry for slug, entry in _entries(path).items() if ":" not in slug}
    for slug in STABLE:
        if slug in found:
            params = {name: rule for name, rule in found[slug]["params"].items() if name not in NOT_IN_STABLE}
            found[f"{slug}-stable"] = {**found[slug], "slug": f"{slug}-stable", "params": params}
    return found


def load_endpoints(path: Path = CATALOGUE) -> dict[str, dict[str, Any]]:
    """Read the dedicated endpoints: the catalogue's keys with a colon."""
    return {slug: entry for slug, entry in _entries(path).items() if ":" in slug}


def _entries(path: Path) -> dict[str, dict[str, Any]]:
    raw: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {slug: {**entry, "slug": slug} for slug, entry in raw.items() if not slug.startswith("_")}


def check_input(entry: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Hold an ``input`` object against the catalogue.

    Args:
        entry: The model's catalogue entry.
        given: The request's ``input``; unknown fields are ignored, as the service does.

    Returns:
        The known fields with documented defaults filled in.

    Raises:
        RefusedError: Code 500 (newer models: 422 for a missing field) with the documented text, about the first
            offending field.
    """
    aliases = _ALIASES.get(str(entry.get("slug")), {})
    if aliases:
        there = {name: value for name, value in given.items() if value is not None}
        given = {**{aliases.get(name, name): value for name, value in there.items()}, **there}
    known: dict[str, Any] = {}
    for name, rule in entry["params"].items():
        value = given.get(name)
        if value is None or value in ("", []):
            if value == [] and rule.get("minItems") and not rule["required"]:
                raise out_of_range(name)
            if "default" in rule:
                known[name] = rule["default"]
            elif rule["required"] and not _may_be_empty(name, value, given):
                raise missing(entry, name)
            continue
        # Entries marked incomplete have guessed types; holding a request against a guess would mislead.
        if entry.get("params_complete", True):
            lenient = name == "seed" or (entry.get("slug"), name) in _DIGITS_OR_NUMBER
            _check_value(name, value, rule, lenient=lenient)
        known[name] = value
    return known


def _may_be_empty(name: str, value: Any, given: Mapping[str, Any]) -> bool:
    # The list of shots is declared required, but means nothing unless the request asks for several shots.
    return name == "multi_prompt" and value == [] and not given.get("multi_shots")


def _check_value(name: str, value: Any, rule: Mapping[str, Any], *, lenient: bool = False) -> None:
    of_type = str(rule["type"])
    if lenient and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        # A seed is text for some models and a number for their siblings; strictness was never seen.
        value = str(value) if of_type == "string" else value
        if of_type != "string" and isinstance(value, str) and name != "seed":
            if not _is_number(value):
                raise not_allowed(name)
            value = float(value)
    elif not _has_type(value, of_type):
        raise not_allowed(name)
    if "enum" in rule and value not in rule["enum"]:
        raise not_allowed(name)
    if name == "duration" and isinstance(value, str) and not _is_number(value):
        # A length written as text, with no limits declared, is a number all the same.
        raise not_allowed(name)
    if isinstance(value, str) and len(value) > rule.get("maxLength", len(value)):
        raise RefusedError(500, f"The text length cannot exceed the maximum limit: {name}")
    if not _in_range(value, rule):
        raise out_of_range(name)
    if isinstance(value, list):
        _check_items(name, value, rule)


def _in_range(value: Any, rule: Mapping[str, Any]) -> bool:
    if isinstance(value, list):
        return bool(rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)))
    if isinstance(value, str):
        if len(value) < int(rule.get("minLength", 0)):
            return False
        if "min" not in rule and "max" not in rule:
            return True
        if not _is_number(value):
            return False
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value == -1 and "-1 for automatic" in str(rule.get("description_short")):
            return True
        if rule.get("step") == 1 and value != int(value):
            return False
        return bool(rule.get("min", value) <= value <= rule.get("max", value))
    return True


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d{1,18}(\.\d{1,9})?", text) is not None


def _check_items(name: str, items: list[Any], rule: Mapping[str, Any]) -> None:
    item_type = str(rule["type"]).removeprefix("array<").removesuffix(">")
    for item in items:
        if not _has_type(item, item_type):
            raise not_allowed(name)
        for part, part_rule in rule.get("item_properties", {}).items():
            if item.get(part) is not None:
                _check_value(f"{name}.{part}", item[part], part_rule)
            elif part_rule.get("required"):
                raise RefusedError(500, f"{name}.{part} is required")


def _has_type(value: Any, of_type: str) -> bool:
    if of_type == "string":
        return isinstance(value, str)
    if of_type == "boolean":
        return isinstance(value, bool)
    if of_type in ("integer", "number"):
        if isinstance(value, float):
            return of_type == "number" or value.is_integer()
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, dict if of_type == "object" else list)
