"""What a request costs, in credits, from the hand-checked ``prices.json``. What is not clear there is unknown.

An entry of the file says what its numbers are ``per`` and lists ``rules``: all rules whose conditions an input does
not contradict count, so an input that leaves something open has a price from the lowest to the highest of them. A
condition names a field and its value, several values, null for "not given", or ``"*"`` for "given".
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.validation import default_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiegen_nb.kie.entries import Model, Param
    from kiegen_nb.kie.models.base import KieParams

USD_PER_CREDIT = 0.005
PER_TASK, PER_IMAGE, PER_SECOND, PER_CHARACTERS = "task", "image", "second", "1000 characters"
_THOUSAND = 1000
_GIVEN = "*"
_VEO_TIERS = "veo-3-1"


@dataclass(frozen=True, slots=True)
class Price:
    """What one task costs in credits; ``low`` and ``high`` differ where the input leaves it open."""

    low: float
    high: float

    @property
    def usd(self) -> tuple[float, float]:
        """The same in US dollars."""
        return (round(self.low * USD_PER_CREDIT, 6), round(self.high * USD_PER_CREDIT, 6))

    def __str__(self) -> str:
        low, high = (f"{amount:g}" for amount in self.usd)
        if self.low == self.high:
            return f"{self.low:g} {_credits(self.high)} ({low} USD)"
        return f"{self.low:g} to {self.high:g} credits ({low} to {high} USD)"


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit costs in credits: ``per`` is a task, an image, a second, an input second and so on."""

    low: float
    high: float
    per: str

    def __str__(self) -> str:
        amount = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        return f"{amount} {_credits(self.high)} per {self.per}"


def price(slug: str, fields: Mapping[str, Any] | None = None) -> Price | None:
    """Return what a task of a market model costs, None if that is unknown.

    Args:
        slug: the model.
        fields: its input; without it, the price spans everything whose price is listed.
    """
    return price_of_model(catalogue.get(slug), fields, slug)


def price_of(params: KieParams) -> Price | None:
    """Return what a request of any family costs, None if that is unknown."""
    slug = _VEO_TIERS if params.model == "VEO3" and params.api_model not in price_table() else params.api_model
    return price(slug, params.wire_input())


def price_of_model(model: Model | None, fields: Mapping[str, Any] | None, slug: str = "") -> Price | None:
    """Do what `price` does, for an entry of any catalogue."""
    slug = slug or (model.slug if model is not None else "")
    entry = price_table().get(slug)
    known = _known(model, fields)
    unit = None if entry is None else _unit(entry, known)
    if entry is None or unit is None:
        return None
    amount = _amount(entry, model, known)
    if amount is None or amount[0] <= 0:
        return None
    extra = _extra(entry, model, known)
    low, high = (round(rate * times + more, 4) for rate, times, more in zip(unit, amount, extra, strict=True))
    return Price(low, high) if math.isfinite(high) else None


def rate_of(slug: str, fields: Mapping[str, Any] | None = None) -> Rate | None:
    """Return what one unit costs, also where the number of units is not known before; None if that is unknown."""
    entry = price_table().get(slug)
    unit = None if entry is None else _unit(entry, _known(catalogue.get(slug), fields))
    return None if entry is None or unit is None else Rate(*unit, entry["per"])


@cache
def price_table() -> dict[str, dict[str, Any]]:
    """Return the file, an entry for each slug whose price is known."""
    text = files("kiegen_nb.kie").joinpath("prices.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table


def _known(model: Model | None, fields: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the input with its defaults, None where nothing is said about it."""
    if fields is None:
        return None
    defaults = {} if model is None else {param.name: default_of(model, param.name) for param in model.params}
    given = {name: value for name, value in fields.items() if not _is_empty(value)}
    return {name: value for name, value in defaults.items() if not _is_empty(value)} | given


def _unit(entry: Mapping[str, Any], known: dict[str, Any] | None) -> tuple[float, float] | None:
    lows, highs = [], []
    for rule in entry["rules"]:
        if all(_may_be(known, name, wanted) for name, wanted in rule.get("when", {}).items()):
            lows.append(rule.get("credits", rule.get("low")))
            highs.append(rule.get("credits", rule.get("high")))
    return (min(lows), max(highs)) if lows else None


def _may_be(known: dict[str, Any] | None, name: str, wanted: Any) -> bool:
    """Tell whether an input does not contradict a condition."""
    if known is None:
        return True
    value = known.get(name)
    choices = wanted if isinstance(wanted, list) else [wanted]
    if value is None:
        # A field that is not given is open, unless the price says what it means not to give it.
        return None in choices or not (_GIVEN in choices or _decides_absence(choices))
    return _GIVEN in choices or any(_same(value, choice) for choice in choices if choice is not None)


def _decides_absence(choices: list[Any]) -> bool:
    # A switch that is not given is off.
    return choices == [True]


def _same(value: Any, choice: Any) -> bool:
    if isinstance(choice, bool) or isinstance(value, bool):
        return value is choice
    return str(value) == str(choice)


def _amount(
    entry: Mapping[str, Any],
    model: Model | None,
    known: dict[str, Any] | None,
) -> tuple[float, float] | None:
    """Return the least and the most units of a task, None if there is no telling."""
    per = entry["per"]
    if per == PER_TASK or (per == PER_IMAGE and "count" not in entry):
        return (1, 1)
    if per == PER_IMAGE:
        return _images(entry, model, known)
    if per == PER_SECOND and "seconds" in entry:
        param = None if model is None else model.by_name.get(entry["seconds"])
        return _spread(param, None if known is None else known.get(entry["seconds"]))
    if per == PER_CHARACTERS:
        return _thousands(entry["characters"], known)
    return None


def _images(
    entry: Mapping[str, Any],
    model: Model | None,
    known: dict[str, Any] | None,
) -> tuple[float, float] | None:
    name = entry["count"]
    if known is None:
        most = _spread(None if model is None else model.by_name.get(name), None)
        return (1, 1 if most is None else most[1])
    asked = known.get(name)
    if asked is None:
        defaults = (row["count"] for row in entry.get("count_default", ()) if _meets(known, row["when"]))
        asked = next(defaults, 1)
    number = _number(asked)
    if number is None:
        return None
    # The service may deliver fewer than were asked for, and then bills fewer.
    exact = "count_exact" in entry and _meets(known, entry["count_exact"])
    return (number if exact else 1, number)


def _meets(known: dict[str, Any], when: Mapping[str, Any]) -> bool:
    return all(_may_be(known, name, wanted) for name, wanted in when.items())


def _spread(param: Param | None, value: Any) -> tuple[float, float] | None:
    """Return a number as (itself, itself); of one that is left open, the range the catalogue allows."""
    number = _number(value)
    if value is not None and number is None:
        return None
    if number is not None and not (param is not None and number in param.also):
        return (number, number)
    if param is None:
        return None
    choices = [found for found in map(_number, param.enum) if found is not None]
    low, high = (min(choices), max(choices)) if choices else (param.min, param.max)
    return None if low is None or high is None else (low, high)


def _thousands(path: str, known: dict[str, Any] | None) -> tuple[float, float] | None:
    name, _, inner = path.partition(".")
    value = None if known is None else known.get(name)
    parts = [item.get(inner) for item in value if isinstance(item, dict)] if isinstance(value, list) else [value]
    texts = [text for text in parts if isinstance(text, str)]
    if not texts:
        return None
    length = sum(map(len, texts))
    # Whether a begun thousand is billed in full is not said.
    return (length / _THOUSAND, math.ceil(length / _THOUSAND))


def _extra(entry: Mapping[str, Any], model: Model | None, known: dict[str, Any] | None) -> tuple[float, float]:
    """Return what input files cost beside, such as 4 credits for each picture."""
    extra = entry.get("extra")
    if extra is None:
        return (0, 0)
    if known is None:
        most = sum(_most(None if model is None else model.by_name.get(name)) for name in extra["fields"])
        return (0, extra["credits"] * max(0, most - extra.get("free", 0)))
    values = [known.get(name) for name in extra["fields"]]
    number = sum(len(value) if isinstance(value, list | tuple) else int(value is not None) for value in values)
    cost = extra["credits"] * max(0, number - extra.get("free", 0))
    return (cost, cost)


def _most(param: Param | None) -> float:
    if param is None:
        return math.inf
    if not param.is_array:
        return 1
    return math.inf if param.max_items is None else param.max_items


def _credits(amount: float) -> str:
    return "credit" if amount == 1 else "credits"


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], ())
