"""Checking an input against the catalogue: one plain sentence per wrong field, and one spelling per request."""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie.rules import EMPTY_BY_DEFAULT, NOT_FILLED, ONLY_WITH, rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiegen_nb.kie.entries import Model, Param

_CHOICES_SHOWN = 16
_WHOLE = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


def check(model: Model, given: Mapping[str, Any]) -> dict[str, str]:
    """Return field -> one sentence about what is wrong with it; empty if the input can be sent."""
    return normalise(model, given)[1]


def normalise(model: Model, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the input as it is sent, defaults filled in and numbers in one spelling, and what is wrong with it."""
    fields: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    # A name with blanks around it is a slip of some pages; the wire knows it without.
    asked = {str(name).strip(): value for name, value in given.items() if value is not None}
    for param in model.params:
        if param.name not in asked or _may_be_empty(model, param.name, asked[param.name]):
            continue
        try:
            value = _value(param, asked[param.name])
        except _Wrong as problem:
            wrong[param.name] = str(problem)
            continue
        if value is not None:
            fields[param.name] = value
    for name, value in asked.items():
        if name not in model.by_name:
            if model.complete:
                wrong[name] = _not_a_field(name, model)
            else:
                fields[name] = value
    _fill_in(model, fields, wrong)
    for rule in () if wrong else rules_of(model.slug, model.one_of):
        if rule.is_broken(fields):
            wrong.setdefault(rule.fields[0], rule.sentence)
    return fields, wrong


def example(model: Model) -> dict[str, Any]:
    """Return the smallest input that can be sent; its addresses are placeholders."""
    bare = [param for param in model.params if param.required and default_of(model, param.name) is None]
    fields = {param.name: _sample(param) for param in bare}
    for _ in model.params:
        wrong = normalise(model, fields)[1]
        added = {name: _sample(model.by_name[name]) for name in wrong if name in model.by_name and name not in fields}
        if not added:
            break
        fields |= added
    return fields


def default_of(model: Model, name: str) -> Any:
    """Return what is sent for a field that is not given, None for nothing."""
    param = model.by_name.get(name)
    if _may_be_empty(model, name, []):
        return []
    if param is None or param.deprecated or param.default is None:
        return None
    try:
        return _value(param, param.default)
    except _Wrong:
        return None


class _Wrong(Exception):
    """What is wrong with one value, as a sentence."""


def _fill_in(model: Model, fields: dict[str, Any], wrong: dict[str, str]) -> None:
    left_out, filled_with = NOT_FILLED.get(model.slug, {}), ONLY_WITH.get(model.slug, {})
    for param in model.params:
        name = param.name
        if name in fields or name in wrong:
            continue
        # False is as good as not given here: it switches nothing on.
        blocked = bool(fields.get(left_out.get(name, ""))) or (name in filled_with and filled_with[name] not in fields)
        default = None if blocked else default_of(model, name)
        if default is not None:
            fields[name] = default
        elif param.required and not blocked:
            wrong[name] = "is required."


def _may_be_empty(model: Model, name: str, value: Any) -> bool:
    return value in ([], ()) and name in EMPTY_BY_DEFAULT.get(model.slug, ())


def _not_a_field(name: str, model: Model) -> str:
    close = difflib.get_close_matches(name, list(model.by_name), n=1)
    hint = f" Did you mean {close[0]}?" if close else f" It has {', '.join(model.by_name)}."
    return f"is not a field of {model.slug}; the service would ignore it and bill.{hint}"


def _value(param: Param, value: Any) -> Any:
    """Return a value as it is sent, None for "not given"."""
    if param.is_array:
        return _array(param, value)
    kind = param.type
    if kind == "string":
        return _string(param, value)
    if kind in ("integer", "number"):
        return _numeric(param, value)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise _Wrong(f"must be True or False, not {value!r}.")
        return value
    if kind == "object" and not isinstance(value, dict):
        raise _Wrong(f"must be a dict, not {value!r}.")
    return value


def _string(param: Param, value: Any) -> str | None:
    numeric = param.min is not None or param.max is not None
    if isinstance(value, int | float) and not isinstance(value, bool):
        # People write 5 where the wire says "5"; a prompt that is a number is a slip.
        if not (param.enum or numeric or param.name in ("seed", "index", "duration")):
            raise _Wrong(f"must be text, not {value!r}.")
        value = f"{value:.15g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str):
        raise _Wrong(f"must be text, not {value!r}.")
    if value == "" and not param.required and "" not in param.enum:
        return None
    if param.enum:
        _choose(param, value)
        return value
    if numeric:
        return _spelt(param, value)
    length = len(value)
    if not value.strip() and (param.required or param.name == "prompt"):
        raise _Wrong("is empty. Write what you would like to see." if param.name == "prompt" else "is empty.")
    if param.min_length is not None and length < param.min_length:
        raise _Wrong(f"has {length} characters; at least {param.min_length} are needed.")
    if param.max_length is not None and length > param.max_length:
        limit = param.max_length
        raise _Wrong(
            f"has {length:,} characters; at most {limit:,} are accepted. Shorten it by {length - limit:,}.",
        )
    return value


def _spelt(param: Param, value: str) -> str:
    text = value.strip()
    if not _DECIMAL.fullmatch(text):
        raise _Wrong(f"must be a number, not {value!r}.")
    number = _plain(float(text))
    _in_range(param, number)
    return str(number)


def _numeric(param: Param, value: Any) -> int | float | None:
    if isinstance(value, str):
        text = value.strip()
        if text == "" and not param.required:
            return None
        if _WHOLE.fullmatch(text) and len(text) < _LONGEST_NUMBER:
            value = int(text)
        elif _DECIMAL.fullmatch(text):
            value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"must be a {'whole ' if param.type == 'integer' else ''}number, not {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise _Wrong(f"must be a number, not {value!r}.")
    number = _plain(value)
    if param.type == "integer" and not isinstance(number, int):
        raise _Wrong(f"must be a whole number, not {value!r}.")
    if param.enum:
        _choose(param, number)
    _in_range(param, number)
    return number


_LONGEST_NUMBER = 400  # Python refuses to read much longer ones


def _plain(value: float) -> int | float:
    """5 and 5.0 are one request, so they have one spelling."""
    whole = int(value)
    return whole if whole == value else value


def _in_range(param: Param, number: float) -> None:
    if number in param.also:
        return
    other = f" (or {param.also[0]:g} for automatic)" if param.also else ""
    if param.min is not None and number < param.min:
        raise _Wrong(f"must be at least {param.min:g}{other}, not {number!r}.")
    if param.max is not None and number > param.max:
        raise _Wrong(f"must be at most {param.max:g}{other}, not {number!r}.")
    if param.step:
        steps = (number - (param.min or 0)) / param.step
        if abs(steps - round(steps)) > 1e-9:  # noqa: PLR2004 - what floats leave behind
            raise _Wrong(f"must go in steps of {param.step:g} from {param.min or 0:g}, not {number!r}.")


def _choose(param: Param, value: Any) -> None:
    if value in param.enum:
        return
    names = [str(choice) for choice in param.enum]
    same = [name for name in names if name.lower() == str(value).lower()]
    close = same or difflib.get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(repr(choice) for choice in param.enum[:_CHOICES_SHOWN])
    more = len(param.enum) - _CHOICES_SHOWN
    raise _Wrong(f"{value!r} is not one of the choices: {shown}{f' and {more} more' if more > 0 else ''}.{hint}")


def _array(param: Param, value: Any) -> list[Any] | None:
    if isinstance(value, str) and param.item_type == "string":
        value = [value] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise _Wrong(f"must be a list, not {value!r}.")
    count = len(value)
    if count == 0 and not param.required and param.min_items is None:
        return None
    least = param.min_items if param.min_items is not None else int(param.required)
    if count < least:
        raise _Wrong("is empty; at least 1 is needed." if least == 1 else f"has {count}; at least {least} are needed.")
    if param.max_items is not None and count > param.max_items:
        raise _Wrong(f"has {count}; at most {param.max_items} {'is' if param.max_items == 1 else 'are'} accepted.")
    return [_item(param, place, item) for place, item in enumerate(value, 1)]


def _item(param: Param, place: int, item: Any) -> Any:
    kind = param.item_type
    if kind == "string" and (not isinstance(item, str) or not item.strip()):
        raise _Wrong(f"item {place} must be text, not {item!r}.")
    if kind in ("integer", "number"):
        try:
            return _numeric(type(param)(param.name, kind, required=True), item)
        except _Wrong as problem:
            raise _Wrong(f"item {place} {problem}") from None
    if kind == "array" and not isinstance(item, list | tuple):
        raise _Wrong(f"item {place} must be a list, not {item!r}.")
    if kind == "object":
        if not isinstance(item, dict):
            raise _Wrong(f"item {place} must be a dict, not {item!r}.")
        return _object(param, place, item) if param.items else item
    return item


def _object(param: Param, place: int, item: dict[str, Any]) -> dict[str, Any]:
    known = {inner.name: inner for inner in param.items}
    for name in item:
        if name not in known:
            close = difflib.get_close_matches(str(name), list(known), n=1) or list(known)
            raise _Wrong(f"item {place} has no field {name!r}; use {', '.join(close)}.")
    filled: dict[str, Any] = {}
    for name, inner in known.items():
        given = item.get(name, inner.default)
        try:
            value = None if given is None else _value(inner, given)
        except _Wrong as problem:
            raise _Wrong(f"item {place}, {name}: {problem}") from None
        if value is not None:
            filled[name] = value
        elif inner.required:
            raise _Wrong(f"item {place}, {name}: is required.")
    return filled


def _sample(param: Param) -> Any:
    if param.is_array:
        inner = type(param)(param.name, param.item_type, required=True)
        one = {part.name: _sample(part) for part in param.items if part.required} if param.items else _sample(inner)
        return [one] * max(1, param.min_items or 0)
    if param.default is not None:
        return param.default
    if param.enum:
        return param.enum[0]
    if param.type == "boolean":
        return False
    if param.type in ("integer", "number"):
        return 1 if param.min is None else _plain(param.min)
    if param.type in ("object", "array"):
        return {"text": "a red kite"} if param.type == "object" else []
    return _sample_text(param)


def _sample_text(param: Param) -> str:
    if param.min is not None:
        return f"{param.min:g}"
    name = param.name.lower()
    if "url" in name or name in ("image", "reference_image", "reference_video", "first_frame"):
        ending = "mp4" if "video" in name or "clip" in name else "mp3" if "audio" in name or "voice" in name else "png"
        return f"https://example.com/kite.{ending}"
    if name == "timestamps":
        return "1,3"
    text = "a red kite"
    return text + "!" * max(0, (param.min_length or 0) - len(text))
