"""Kie's own catalogue, as it answers today, laid over the shipped file.

The answers are undocumented in their details, so everything odd in them is left out and nothing here raises.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie.catalogue import shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEEP = 8  # references within references; more is a circle
_LIMITS = {
    "minimum": "min",
    "maximum": "max",
    "multipleOf": "step",
    "minLength": "minLength",
    "maxLength": "maxLength",
    "minItems": "minItems",
    "maxItems": "maxItems",
    "enum": "enum",
    "default": "default",
    "deprecated": "deprecated",
}
_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array"})
_DESCRIPTION = 200  # characters


def parse_models(answer: object) -> dict[str, dict[str, Any]]:
    """Read the answer to ``GET /api/v1/models``.

    Args:
        answer: the whole answer, its ``data``, or the list of models.

    Returns:
        What it says of each slug, in the file's words; empty if there is nothing to be read.
    """
    data = answer.get("data", answer) if isinstance(answer, dict) else answer
    listed = data.get("models") if isinstance(data, dict) else data
    found: dict[str, dict[str, Any]] = {}
    for item in listed if isinstance(listed, list) else []:
        slug = item.get("model") or item.get("slug") if isinstance(item, dict) else None
        if not isinstance(slug, str) or not slug.strip():
            continue
        entry: dict[str, Any] = {"status": "documented"}
        category = _category(item.get("taskType"))
        texts = {
            "category": category,
            "credits": item.get("pricingDesc"),
            "title": item.get("title"),
            "provider": item.get("provider"),
        }
        entry |= {name: text.strip() for name, text in texts.items() if isinstance(text, str) and text.strip()}
        if isinstance(item.get("description"), str) and item["description"].strip():
            entry["notes"] = [item["description"].strip()]
        found[slug.strip()] = entry
    return found


def parse_schema(answer: object) -> dict[str, Any]:
    """Read the answer to ``GET /api/v1/models/<slug>/schema``.

    Args:
        answer: the whole answer, its ``data``, or the OpenAPI document itself.

    Returns:
        ``{"params": {...}, "params_complete": True}`` in the file's words; empty if the document is missing or says
        nothing about ``input``.
    """
    data = answer.get("data", answer) if isinstance(answer, dict) else None
    document = data.get("openapi", data) if isinstance(data, dict) else None
    if not isinstance(document, dict):
        return {}
    try:
        schema, complete = _input_schema(document)
        params = {name: _param(document, value, name in schema["required"]) for name, value in schema["fields"].items()}
    except (RecursionError, TypeError, ValueError, AttributeError, KeyError):
        return {}
    return {"params": params, "params_complete": complete} if params else {}


def merge(
    models: Mapping[str, Mapping[str, Any]],
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    date: str = "",
    base: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Lay live answers over a catalogue.

    Args:
        models: what `parse_models` returned; where it is empty, nothing is taken to be removed.
        schemas: slug -> what `parse_schema` returned.
        date: the day of the answers, such as ``2026-11-24``.
        base: a catalogue's data; the shipped file if left out.

    Returns:
        Plain JSON data for `kiegen_nb.kie.catalogue.Catalogue.from_json`.
    """
    merged: dict[str, Any] = copy.deepcopy(dict(base if base is not None else shipped()))
    merged["_meta"] = {**(merged.get("_meta") or {}), "refreshed": date}
    for slug, said in models.items():
        known = merged.get(slug)
        entry = dict(known) if isinstance(known, dict) else {"params": {}, "params_complete": False, "source": "live"}
        if isinstance(known, dict) and known.get("notes"):
            said = {name: value for name, value in said.items() if name != "notes"}  # noqa: PLW2901 - ours say more
        merged[slug] = entry | dict(said)
    for slug, said in schemas.items():
        if isinstance(merged.get(slug), dict) and said.get("params"):
            merged[slug] = merged[slug] | dict(said) | ({"schema_date": date} if date else {})
    for slug, entry in merged.items():
        listed = slug in models or slug.startswith("_") or ":" in slug
        if models and not listed and isinstance(entry, dict) and entry.get("status") == "documented":
            last = entry.get("schema_date") or "an unknown day"
            gone = f"last documented {last}; not listed on {date}" if date else f"last documented {last}; not listed"
            merged[slug] = entry | {"status": "removed", "notes": [gone, *(entry.get("notes") or [])]}
    return merged


def _category(value: Any) -> str:
    words = value if isinstance(value, list) else [value]
    return "|".join("-".join(word.lower().replace("_", " ").split()) for word in words if isinstance(word, str))


def _input_schema(document: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the fields and required names of ``input``, and whether that is all of them."""
    for path in (document.get("paths") or {}).values():
        post = path.get("post") if isinstance(path, dict) else None
        body = _follow(document, (post or {}).get("requestBody"))
        for media in (body.get("content") or {}).values():
            root = _flat(document, media.get("schema"))
            if "input" in root["fields"]:
                inner = _flat(document, root["fields"]["input"])
                return inner, not inner["open"]
    return {"fields": {}, "required": set()}, False


def _flat(document: dict[str, Any], schema: Any, deep: int = 0) -> dict[str, Any]:
    """Return properties and required names of a schema; of alternatives everything, required where all agree."""
    node = _follow(document, schema)
    fields = dict(node.get("properties") or {})
    names = node.get("required")
    required = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    is_open = node.get("additionalProperties") is True
    if deep < _DEEP:
        for part in node.get("allOf") or ():
            other = _flat(document, part, deep + 1)
            fields, required = {**fields, **other["fields"]}, required | other["required"]
            is_open = is_open or other["open"]
        ways = [_flat(document, part, deep + 1) for key in ("oneOf", "anyOf") for part in node.get(key) or ()]
        for way in ways:
            fields = {**way["fields"], **fields}
        if ways:
            required |= set.intersection(*(way["required"] for way in ways))
    cleaned = {str(name).strip(): value for name, value in fields.items() if str(name).strip()}
    return {"fields": cleaned, "required": {name.strip() for name in required}, "open": is_open}


def _follow(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    for _ in range(_DEEP):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = document
        for step in reference.removeprefix("#/").split("/"):
            schema = schema.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(schema, dict) else None
    return {}


def _param(document: dict[str, Any], schema: Any, required: bool, deep: int = 0) -> dict[str, Any]:
    node = _follow(document, schema)
    kind = node.get("type")
    if isinstance(kind, list):  # "string or null" is an optional string
        kind = next((name for name in kind if name != "null"), None)
    param: dict[str, Any] = {"type": kind if kind in _TYPES else "any", "required": required}
    if kind == "array":
        inner = _follow(document, node.get("items"))
        item = inner.get("type")
        param["type"] = f"array<{item if item in _TYPES else 'any'}>"
        if isinstance(inner.get("properties"), dict) and deep == 0:
            required_inside = inner.get("required")
            names = required_inside if isinstance(required_inside, list) else []
            param["item_properties"] = {
                str(name): _param(document, value, name in names, 1) for name, value in inner["properties"].items()
            }
    param |= {ours: node[theirs] for theirs, ours in _LIMITS.items() if theirs in node}
    text = node.get("description")
    param["description_short"] = " ".join(text.split())[:_DESCRIPTION] if isinstance(text, str) else ""
    return param
