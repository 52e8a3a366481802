"""What fields have in common: how they are read and checked, and one plain sentence for each that is wrong."""

from __future__ import annotations

import difflib
import reprlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from kiegen_nb.tasks import UploadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Address = str | UploadResult
"""What people give where an address is wanted."""
_RULE = "kiegen_rule"
_SHOWN = 80  # characters of a wrong value that a sentence repeats


def not_blank(value: str) -> str:
    """Return a text that says something.

    Raises:
        ValueError: with the sentence to show.
    """
    if not value.strip():
        raise ValueError("is empty. Write what you would like to see.")
    return value


def as_list(value: object) -> object:
    """Return one text or upload as a list of it, uploads as their addresses."""
    values = [value] if isinstance(value, str | UploadResult) else value
    return [as_address(one) for one in values] if isinstance(values, list | tuple) else values


def as_address(value: object) -> object:
    """Return an upload's address, anything else as it is."""
    return value.download_url if isinstance(value, UploadResult) else value


def as_text(value: object) -> object:
    """Return a number as the text the service wants, ``10`` as ``"10"``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return f"{value:g}"


def as_number(value: object) -> object:
    """Return a text of digits as the number the service wants, ``"8"`` as ``8``."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def address(value: str) -> str:
    """Return an http(s) address, checked for its shape only.

    Raises:
        ValueError: with the sentence to show.
    """
    if not _is_address(value):
        raise ValueError(f"{_short(value)} is no http(s) address. Upload the file first and give its address.")
    return value


def addresses(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return http(s) addresses, checked for their shape only.

    Raises:
        ValueError: with the sentence to show.
    """
    for value in values:
        address(value)
    return values


def python_text(value: object, call_of: Callable[[str], str | None] | None = None) -> str:
    """Return a value of JSON as Python writes it.

    Args:
        value: texts, numbers, lists, tuples and dicts.
        call_of: says which call makes a text again, None for a text that is written as it is.
    """
    if call_of is None:
        return repr(value)
    if isinstance(value, str):
        return call_of(value) or repr(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {python_text(inner, call_of)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(python_text(inner, call_of) for inner in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    return repr(value)


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and value.split() == [value]
    except ValueError:
        return False


def _short(value: object) -> str:
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = _SHOWN
    return shortener.repr(value)


def broken_rule(field: str, sentence: str) -> PydanticCustomError:
    """Return the error of a rule between fields, to be raised in a validator; it names the field to change."""
    return broken_rules({field: sentence})


def broken_rules(found: Mapping[str, str]) -> PydanticCustomError:
    """Return the error of several rules between fields at once: field -> sentence."""
    return PydanticCustomError(_RULE, "{sentence}", {"rules": dict(found), "sentence": " ".join(found.values())})


def explain(error: ValidationError, known: Iterable[str] = ()) -> dict[str, str]:
    """Turn pydantic's findings into one plain sentence per field, in order."""
    names = list(known)
    sentences: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        if problem["type"] == _RULE:
            for field, sentence in problem["ctx"]["rules"].items():
                sentences.setdefault(field, sentence)
            continue
        loc = problem["loc"][1:] if problem["loc"][:1] == ("input",) and len(problem["loc"]) > 1 else problem["loc"]
        name = "api_model" if loc[:1] == ("apiModel",) else str(loc[0] if loc else "")
        sentences.setdefault(name, _place(loc[1:]) + _sentence(problem, names))
    return sentences


def _place(path: tuple[int | str, ...]) -> str:
    """Say which item of a list is meant; the members of a union say nothing to people."""
    if not path or not isinstance(path[0], int):
        return ""
    inner = [str(part) for part in path[1:2]]
    return " ".join([f"no. {path[0] + 1}", *inner]) + ": "


def _sentence(problem: ErrorDetails, known: list[str]) -> str:  # noqa: C901 - one table
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    match kind:
        case "missing":
            return "is required."
        case "string_too_short":
            return "is empty. Write what you would like to see."
        case "string_too_long":
            limit, length = context["max_length"], len(value) if isinstance(value, str) else 0
            return f"has {length:,} characters; at most {limit:,} are accepted. Shorten it by {length - limit:,}."
        case "too_long":
            return f"has {context['actual_length']} entries; at most {context['max_length']} are accepted."
        case "literal_error" | "enum":
            return f"{_short(value)} is not one of the choices: {context['expected']}."
        case "extra_forbidden":
            name = str(problem["loc"][-1])
            close = difflib.get_close_matches(name, known, n=1)
            return "is not a field of this model." + (f" Did you mean {close[0]}?" if close else "")
        case "value_error":
            return str(context["error"])
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {value!r}."
        case "less_than_equal":
            return f"must be at most {context['le']}, not {value!r}."
        case "multiple_of":
            return f"must be a multiple of {context['multiple_of']}, not {value!r}."
        case _:
            message = problem["msg"]
            return f"{message[:1].lower()}{message[1:]} (got {_short(value)})."
