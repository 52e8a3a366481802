"""`sweep` makes a plan: every request of an experiment, checked and priced before anything is sent."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from kiegen_nb.batch.axes import NOT_SET, Axis, label
from kiegen_nb.batch.building import REPEAT, WHAT, Made, Problems, Template, check_twins, combine
from kiegen_nb.batch.groups import axis_groups, read_axes, repeat_group, row_group
from kiegen_nb.batch.preview import Preview, plan_html, plan_text
from kiegen_nb.errors import ConfigurationError, InvalidParams
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.prices import Price, price_of

if TYPE_CHECKING:
    import os

    import pandas as pd

    from kiegen_nb.batch.preview import Existing
    from kiegen_nb.kie.models.base import KieParams


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
    repeat: int = 0
    axes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """What requests cost.

    Attributes:
        low: the least it can be, in credits, without the requests of unknown price.
        high: the most it can be, likewise.
        unknown: the requests whose price is unknown.
    """

    low: float
    high: float
    unknown: tuple[PlanItem, ...] = ()

    @property
    def usd(self) -> tuple[float, float]:
        """The least and the most in US dollars."""
        return Price(self.low, self.high).usd


class Plan(Sequence[PlanItem]):
    """The requests of an experiment in order; nothing of it is sent yet.

    It has a length, and a slice of it is a plan; printing it tells what it asks for, what that costs, and how long it
    takes.

    Args:
        items: the requests.
        axes: what varies in them.

    Example:
        >>> plan = sweep(imagen4("a red kite"), aspect_ratio=["1:1", "16:9"], seed="1-10")
        >>> len(plan), plan.price().high, plan[3:5][0].axes
        (20, 80.0, {'aspect_ratio': '1:1', 'seed': 4})
    """

    def __init__(self, items: Iterable[PlanItem], axes: Iterable[Axis] = ()) -> None:
        self._items = tuple(items)
        self.axes = tuple(axes)

    @classmethod
    def of(cls, requests: Iterable[PlanItem | KieParams | Mapping[str, Any]]) -> Self:
        """Return a plan of requests of any models, in their order and numbered anew.

        Args:
            requests: a plan, parts of plans, params, or their JSON form.

        Raises:
            InvalidParams: naming every item that is wrong or stands twice.
        """
        if isinstance(requests, cls):
            return requests
        items: list[PlanItem] = []
        problems, total = Problems(), 0
        for total, one in enumerate(requests, 1):  # noqa: B007 - the count is wanted after the loop
            number = total - 1
            try:
                made = one if isinstance(one, PlanItem) else PlanItem(number, read_params(one))
                items.append(replace(made, number=number))
            except InvalidParams as error:
                problems.add(f"item {number}", error.fields)
        problems.check(total)
        check_twins(Made(f"item {item.number}", item.params, {**item.axes, REPEAT: item.repeat}) for item in items)
        names = dict.fromkeys(name for item in items for name in item.axes)
        return cls(items, [_axis(name, [item.axes for item in items if name in item.axes]) for name in names])

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

    def __add__(self, other: Plan) -> Self:
        return type(self).of([*self, *other])

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return plan_text(self)

    def _repr_html_(self) -> str:
        return plan_html(self)

    def price(self) -> PlanPrice:
        """Return what it costs if nothing of it is there yet."""
        return self._price

    def expected_seconds(self) -> tuple[float, float]:
        """Return a first guess at how long it takes from the first request to the last result: most take between."""
        return self._usual.expected_seconds

    def preview(self, session: Existing | None = None, name: str = "default") -> Preview:
        """Return what running it would do: what is there already, and what is still to be paid.

        Nothing is sent.

        Args:
            session: tells what is there; without it nothing is said about that.
            name: the batch it would be run as.

        Raises:
            StoreError: the task store could not be read.

        Example:
            >>> sweep(imagen4("a red kite"), seed=[1, 2]).preview(session, "kites")  # doctest: +SKIP
        """
        there = None if session is None else tuple(session.existing(self, name))
        return Preview(self, name, there)

    def fresh(self, numbers: int | Collection[int] | None = None) -> Self:
        """Return the same plan with some items, or all, asked anew; this pays again.

        Args:
            numbers: the `PlanItem.number` of those; None is all of them.

        Raises:
            InvalidParams: the plan has no item of such a number.
        """
        wanted = {item.number for item in self} if numbers is None else {numbers} if isinstance(numbers, int) else {*numbers}
        missing = sorted(wanted - {item.number for item in self})
        if missing:
            raise InvalidParams({f"item {missing[0]}": "is none of this plan's."}, what="These fresh items")
        items = (replace(item, fresh=True) if item.number in wanted else item for item in self._items)
        return type(self)(items, self.axes)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas table with a line for each item.

        Its columns are ``number``, the axes, ``repeat``, ``api_model``, ``credits_low`` and ``credits_high`` (empty
        where the price is unknown), and ``fresh``.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - slow to import, and optional
        except ImportError:
            raise ConfigurationError("to_frame() needs pandas: pip install 'kiegen_nb[pandas]'.") from None
        columns: dict[str, list[Any]] = {"number": [item.number for item in self]}
        columns |= {axis.name: [item.axes.get(axis.name) for item in self] for axis in self.axes}
        columns[REPEAT] = [item.repeat for item in self]
        columns["api_model"] = [item.params.api_model for item in self]
        columns["credits_low"] = [None if price is None else price.low for price in self._prices]
        columns["credits_high"] = [None if price is None else price.high for price in self._prices]
        columns["fresh"] = [item.fresh for item in self]
        return pd.DataFrame(columns)

    @cached_property
    def _prices(self) -> tuple[Price | None, ...]:
        return tuple(price_of(item.params) for item in self)

    @cached_property
    def _price(self) -> PlanPrice:
        known = [price for price in self._prices if price is not None]
        unknown = (item for item, price in zip(self, self._prices, strict=True) if price is None)
        low, high = sum(price.low for price in known), sum(price.high for price in known)
        return PlanPrice(round(low, 4), round(high, 4), tuple(unknown))
