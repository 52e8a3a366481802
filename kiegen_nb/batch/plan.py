"""`sweep` makes a plan: every request of an experiment, before anything is sent."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, overload

from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.prices import USD_PER_CREDIT, price_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kiegen_nb.kie.models.base import KieParams


@dataclass(frozen=True, slots=True)
class Axis:
    """What varies in a plan: a name, its values in order, and a short text for each."""

    name: str
    values: tuple[Any, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One request of a plan.

    Attributes:
        number: its place in the whole plan, from 0; slices keep it.
        params: what is asked for.
        repeat: which of several identical requests it is, from 0.
        axes: axis name -> its value here, in the order of the axes.
        fresh: ask anew whatever there is; this pays again.
    """

    number: int
    params: KieParams
    repeat: int
    axes: Mapping[str, Any]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """What a plan costs in credits, without the items whose price is unknown."""

    low: float
    high: float
    unknown: tuple[PlanItem, ...] = ()

    @property
    def usd(self) -> tuple[float, float]:
        """The same in US dollars."""
        return (round(self.low * USD_PER_CREDIT, 6), round(self.high * USD_PER_CREDIT, 6))


class Plan(Sequence[PlanItem]):
    """The requests of an experiment in order; nothing of it is sent yet.

    Args:
        items: the requests.
        axes: what varies in them.
    """

    def __init__(self, items: Iterable[PlanItem], axes: Iterable[Axis] = ()) -> None:
        self._items = tuple(items)
        self.axes = tuple(axes)

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> PlanItem: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> PlanItem | Self:
        if isinstance(index, slice):
            return type(self)(self._items[index], self.axes)
        return self._items[index]

    def price(self) -> PlanPrice:
        """Return what it costs if nothing of it is there yet."""
        low, high, unknown = 0.0, 0.0, []
        for item in self._items:
            price = price_of(item.params)
            if price is None:
                unknown.append(item)
            else:
                low, high = low + price.low, high + price.high
        return PlanPrice(low, high, tuple(unknown))

    def fresh(self, numbers: Collection[int] | None = None) -> Self:
        """Return the same plan with some items, or all, asked anew; this pays again.

        Args:
            numbers: the `PlanItem.number` of those; None is all of them.
        """
        items = (replace(item, fresh=numbers is None or item.number in numbers or item.fresh) for item in self._items)
        return type(self)(items, self.axes)


def sweep(base: KieParams | Mapping[str, Any], *, repeat: int = 1, **axes: Iterable[Any]) -> Plan:
    """Vary one request over the product of some fields' values.

    Args:
        base: what is asked for where no axis says otherwise.
        repeat: how often each is asked for.
        **axes: field -> values.

    Raises:
        InvalidParams: naming the item and field; nothing is sent.

    Example:
        >>> len(sweep(market("z-image", prompt="a red kite"), aspect_ratio=["1:1", "16:9"], repeat=2))
        4
    """
    params = read_params(base)
    given = {name: tuple(values) for name, values in axes.items()}
    found = [Axis(name, values, tuple(map(str, values))) for name, values in given.items()]
    if repeat > 1:
        found.append(Axis("repeat", tuple(range(repeat)), tuple(map(str, range(repeat)))))
    items = []
    for number, values in enumerate(itertools.product(*(axis.values for axis in found))):
        chosen = dict(zip((axis.name for axis in found), values, strict=True))
        changes = {name: value for name, value in chosen.items() if name != "repeat"}
        made = type(params).build(**(params.flat() | changes))
        items.append(PlanItem(number, made, chosen.get("repeat", 0), chosen))
    return Plan(items, found)
