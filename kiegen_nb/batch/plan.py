"""`sweep` makes a plan: every request of an experiment, checked and priced before anything is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

from kiegen_nb.batch.axes import Axis as Axis  # noqa: PLC0414, TC001 - a plan's word too
from kiegen_nb.batch.building import REPEAT, Made, Problems, Template, check_twins, combine
from kiegen_nb.batch.groups import WHAT, axis_of, read_sketch
from kiegen_nb.batch.preview import Preview, expected_seconds, plan_html, plan_text
from kiegen_nb.batch.records import frame_of
from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.prices import Price, price_of

if TYPE_CHECKING:
    import os

    from kiegen_nb.batch.groups import How
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

    Example:
        >>> item = sweep(imagen4("a red kite"), seed=[7, 8])[1]
        >>> item.number, item.axes
        (1, {'seed': 8})
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

        Where there are several models, ``api_model`` is an axis.

        Args:
            requests: a plan, parts of plans, params, or their JSON form.

        Raises:
            InvalidParams: naming every item that is wrong or stands twice.

        Example:
            >>> plan = Plan.of([imagen4("a red kite"), market("z-image", prompt="a red kite")])
            >>> [item.axes["api_model"] for item in plan]
            ['google/imagen4-fast', 'z-image']
        """
        if isinstance(requests, cls):
            return requests
        items: list[PlanItem] = []
        problems, total = Problems(), 0
        for total, one in enumerate(requests, 1):
            number = total - 1
            try:
                item = one if isinstance(one, PlanItem) else PlanItem(number, read_params(one))
                items.append(replace(item, number=number))
            except InvalidParams as error:
                problems.add(f"item {number}", error.fields)
        problems.check(total)
        check_twins(Made(f"item {item.number}", item.params, {**item.axes, REPEAT: item.repeat}) for item in items)
        if len({item.params.api_model for item in items}) > 1:
            items = [replace(item, axes={"api_model": item.params.api_model, **item.axes}) for item in items]
        names = dict.fromkeys(name for item in items for name in item.axes)
        items = [replace(item, axes={name: _here(item, name) for name in names}) for item in items]
        return cls(items, [axis_of(name, [item.axes[name] for item in items]) for name in names])

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
        """Return what it costs if nothing of it is there yet.

        Example:
            >>> sweep(imagen4("a red kite"), seed="1-10").price().usd
            (0.2, 0.2)
        """
        return self._price

    def prices(self) -> tuple[Price | None, ...]:
        """Return what each item costs, None where that is unknown.

        Example:
            >>> [price.high for price in sweep(imagen4("a red kite"), seed=[1, 2]).prices()]
            [4.0, 4.0]
        """
        return self._prices

    def expected_seconds(self) -> tuple[float, float]:
        """Return a first guess at how long it takes from the first request to the last result: most take between.

        Example:
            >>> sweep(imagen4("a red kite"), seed="1-100").expected_seconds()
            (45.0, 100.0)
        """
        return expected_seconds(self)

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

        Example:
            >>> batch = session.batch(plan.fresh([3, 4]), "kites")  # doctest: +SKIP
        """
        wanted = (
            {item.number for item in self} if numbers is None else {numbers} if isinstance(numbers, int) else {*numbers}
        )
        missing = sorted(wanted - {item.number for item in self})
        if missing:
            raise InvalidParams({f"item {missing[0]}": "is none of this plan's."}, what="These fresh items")
        items = (replace(item, fresh=True) if item.number in wanted else item for item in self._items)
        return type(self)(items, self.axes)

    def to_frame(self) -> Any:
        """Return a pandas table with a line for each item.

        Its columns are ``number``, the axes, ``repeat``, ``api_model``, ``credits_low`` and ``credits_high`` (empty
        where the price is unknown), and ``fresh``.

        Raises:
            ConfigurationError: pandas is not installed.

        Example:
            >>> plan.to_frame().groupby("aspect_ratio")["credits_high"].sum()  # doctest: +SKIP
        """
        names = [
            "number",
            *(axis.name for axis in self.axes),
            REPEAT,
            "api_model",
            "credits_low",
            "credits_high",
            "fresh",
        ]
        rows = (
            {
                "number": item.number,
                **{axis.name: item.axes.get(axis.name) for axis in self.axes},
                REPEAT: item.repeat,
                "api_model": item.params.api_model,
                "credits_low": None if price is None else price.low,
                "credits_high": None if price is None else price.high,
                "fresh": item.fresh,
            }
            for item, price in zip(self, self._prices, strict=True)
        )
        return frame_of(rows, dict.fromkeys(names))

    @cached_property
    def _prices(self) -> tuple[Price | None, ...]:
        return tuple(price_of(item.params) for item in self)

    @cached_property
    def _price(self) -> PlanPrice:
        known = [price for price in self._prices if price is not None]
        unknown = (item for item, price in zip(self, self._prices, strict=True) if price is None)
        low, high = sum(price.low for price in known), sum(price.high for price in known)
        return PlanPrice(round(low, 4), round(high, 4), tuple(unknown))


def _request(base: object) -> KieParams:
    if callable(base):
        name = getattr(base, "__name__", "it")
        raise InvalidParams({"": f"{name} is a function; call it first: sweep({name}('a red kite'), ...)."}, what=WHAT)
    return read_params(base)


def _here(item: PlanItem, name: str) -> Any:
    """Return an axis' value of an item that may come from a plan without this axis."""
    if name == REPEAT:
        return item.repeat
    return item.axes[name] if name in item.axes else item.params.flat().get(name)


def sweep(
    base: KieParams | Mapping[str, Any],
    axes: Mapping[str, Any] | None = None,
    /,
    *,
    repeat: int = 1,
    how: How = "product",
    rows: Iterable[Mapping[str, Any]] | str | os.PathLike[str] | None = None,
    **fields: Any,
) -> Plan:
    """Vary fields of a request, and return the plan of all its variants; nothing is sent.

    The axes are keyword arguments, or entries of ``axes`` where their names are no Python names. A name is a field of
    the request, or leads into one: ``{"shots.0.duration": [5, 6]}``. The last axis varies fastest.

    An axis is a list or any other iterable of values. Also: a dict of label -> value, for headers that can be read;
    one value alone (a text is one value, and never a list of its characters); numbers as other programs write them,
    ``"1-10"``, ``"1-10 (+3)"``, ``"1-10 [5]"``, ``"0.5, 1-2 (+0.5)"``, and choices, ``"1:1, 16:9"``; `search_replace`
    for words of a prompt; `fixed_seeds` for seeds that are the same in every run; a function, which gets the
    item's other fields and returns the value. None as a value is "not set". A seed nobody sets is left to the service.

    Args:
        base: what is asked for where no axis says otherwise.
        axes: further axes by any name.
        repeat: how often each is asked for; an axis ``repeat`` counts from 0.
        how: ``"product"`` combines every value with every other; ``"zip"`` takes the first of each, then the second
            of each, and so on.
        rows: requests as rows, each a dict of field -> value: a list, a table of pandas or polars, or the path of a
            CSV file. What a row does not give is as in the base. With axes, each row is asked for with each of them.
        **fields: the axes.

    Raises:
        InvalidParams: naming every item and field that is wrong, an axis without values, or a request that stands
            twice.

    Example:
        >>> plan = sweep(imagen4("a red kite"), aspect_ratio=["1:1", "16:9"], seed="1-5", repeat=2)
        >>> print(plan)
        Plan of 20 requests to google/imagen4-fast
          aspect_ratio  2: 1:1, 16:9
          seed          5: 1, 2, 3, 4, 5
          repeat        2: 0, 1
          80 credits (0.4 USD); about 5 to 60 seconds.
    """
    params = _request(base)
    twice = sorted(set(axes or {}) & set(fields))
    if twice:
        raise InvalidParams({twice[0]: "is given twice; leave one out."}, what=WHAT)
    sketch = read_sketch(params, {**(axes or {}), **fields}, rows=rows, how=how, repeat=repeat)
    made = combine(Template(params), sketch.groups)
    check_twins(made)
    items = [PlanItem(number, one.params, one.repeat, one.axes) for number, one in enumerate(made)]
    found = (axis_of(axis, (one.axes[axis] for one in made)) if isinstance(axis, str) else axis for axis in sketch.axes)
    return Plan(items, found)
