"""What a request costs, in the words beside Generate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.prices import price, price_of, rate_of
from kiegen_nb.widgets.lists import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.kie.prices import Price
    from kiegen_nb.widgets.fields import Field

UNKNOWN = "price unknown"
_TRIES = 4  # fields that stand in may break rules of their own


def cost_text(cost: Price | None) -> str:
    """Return a price as text, such as ``4 credits · $0.02``.

    Example:
        >>> from kiegen_nb.kie.prices import Price
        >>> cost_text(Price(60, 150))
        '60 to 150 credits · $0.30 to $0.75'
    """
    if cost is None:
        return UNKNOWN
    low, high = _number(cost.low), _number(cost.high)
    if low == high:
        return f"{high} credit{'' if high == '1' else 's'} · {_dollars(cost.usd[1])}"
    return f"{low} to {high} credits · {' to '.join(map(_dollars, cost.usd))}"


def params_cost(params: KieParams) -> str:
    """Return what a request costs as text; where only its unit has a price, what a unit costs."""
    cost = price_of(params)
    return _unknown(params.api_model, params.wire_input()) if cost is None else cost_text(cost)


def estimate(build: Callable[..., KieParams], slug: str, value: Mapping[str, Any], fields: Iterable[Field]) -> str:
    """Return what a form's present values cost, empty where that cannot be told yet.

    A field that is still empty or wrong, such as the prompt, is stood in for: a price hardly ever depends on it.

    Args:
        build: makes parameters from flat fields.
        slug: the model.
        value: the fields that are set.
        fields: the form's fields.
    """
    tried, known = dict(value), list(fields)
    wrong: set[str] = set()
    for _ in range(_TRIES):
        try:
            return params_cost(build(**tried))
        except InvalidParams as error:
            marked = set(error.fields)
        wrong |= marked
        # What is there and wrong is left out; what is missing is stood in for.
        for field in known:
            if field.name in marked:
                tried[field.name] = None if tried.get(field.name) else _stand_in(field)
    rest = {name: held for name, held in value.items() if name not in wrong | {"api_model"}}
    cost = price(slug, rest)
    if cost is not None:
        return cost_text(cost)
    return _unknown(slug, rest) if slug in catalogue and price(slug) is None else ""


def _unknown(slug: str, fields: Mapping[str, Any]) -> str:
    rate = rate_of(slug, fields)
    return UNKNOWN if rate is None else f"{UNKNOWN} · {rate}"


def _stand_in(field: Field) -> Any:
    if field.choices:
        return field.choices[0]
    if field.is_number:
        return field.low if field.low is not None else 1
    one = "https://example.com/1.png" if field.hints.get("control") in FILES else "x"
    return [one] * max(1, int(field.hints.get("min_items", 1))) if field.is_list else one


def _number(credits_: float) -> str:
    return f"{credits_:,.6g}"


def _dollars(dollars: float) -> str:
    cents = round(dollars * 100, 6)
    return f"${dollars:,.2f}" if cents.is_integer() else f"${dollars:,.5f}".rstrip("0")
