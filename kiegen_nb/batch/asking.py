"""From what people hand over to requests that can be stored: everything wrong is told before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.building import Problems
from kiegen_nb.batch.plan import Plan, PlanItem
from kiegen_nb.engine.store_asks import Ask
from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models.base import KieParams

if TYPE_CHECKING:
    from kiegen_nb.service import Service


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


def _kind(items: object) -> str:
    return "one request: put it into a list" if isinstance(items, KieParams | PlanItem | Mapping) else repr(items)
