"""From what people hand over to requests that can be stored: everything wrong is told before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.building import Problems
from kiegen_nb.batch.plan import Plan, PlanItem
from kiegen_nb.engine.store_asks import Ask
from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models.base import KieParams
from kiegen_nb.tasks import Activity

if TYPE_CHECKING:
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.service import Service
    from kiegen_nb.tasks import GenerationTask


def plan_of(items: Plan | Iterable[KieParams | PlanItem | Mapping[str, Any]], *, fresh: bool = False) -> Plan:
    """Return a plan of whatever lists requests.

    Args:
        items: a plan, or parameters, or their JSON forms.
        fresh: whether all of them are asked anew.

    Raises:
        InvalidParams: naming the item and field, or saying that there is none.
    """
    if isinstance(items, KieParams | PlanItem | Mapping | str | bytes) or not isinstance(items, Iterable):
        raise InvalidParams({"": f"a batch takes a plan or a list of requests, not {_kind(items)}."}, what="This batch")
    plan = Plan.of(items)
    if not len(plan):
        raise InvalidParams({"": "there is no item in it."}, what="This batch")
    return plan.fresh() if fresh else plan


def asks_of(plan: Plan, service: Service) -> list[Ask]:
    """Return a plan's items as the store takes them, each different from all others.

    Raises:
        InvalidParams: naming the item, and the one that it is the same as.
    """
    problems, asks, first = Problems(), [], dict[tuple[str, int], int]()
    for item in plan:
        try:
            ask = Ask(service.prepare(item.params), item.repeat, item.fresh)
        except InvalidParams as error:
            problems.add(f"item {item.number}", error.fields)
            problems.cause = error
            continue
        if ask.key in first:
            same = f"is the same request as item {first[ask.key]}; leave one out, or ask for several with repeat."
            problems.add(f"item {item.number}", {"": same})
        first.setdefault(ask.key, item.number)
        asks.append(ask)
    problems.check(len(plan))
    return asks


def existing(
    engine: Engine, plan: Plan, name: str, asks: Iterable[Ask] | None = None
) -> tuple[GenerationTask | None, ...]:
    """Return for each item the task that would be returned for it, None where it would be asked anew."""
    asks = list(asks_of(plan, engine.service) if asks is None else asks)
    found = engine.store.find_same(name, [ask.key for ask in asks])
    return tuple(
        None if task is None or (ask.fresh and task.activity is not Activity.QUEUED) else task
        for ask, task in zip(asks, found, strict=True)
    )


def checked_concurrency(value: object) -> int | None:
    """Return how many may be in flight.

    Raises:
        InvalidParams: it is no number from 1.
    """
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise InvalidParams({"concurrency": f"must be 1 or more, or None, not {value!r}."}, what="This batch")


def _kind(items: object) -> str:
    return "one request: put it into a list" if isinstance(items, KieParams | PlanItem | Mapping) else repr(items)
