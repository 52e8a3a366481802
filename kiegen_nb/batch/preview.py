"""What a plan asks for, what that costs, how long it takes and what is there already: as text and as HTML.

Every word is escaped: a prompt is text, never markup.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Protocol

from kiegen_nb.batch.axes import labels_of
from kiegen_nb.kie.prices import Price
from kiegen_nb.tasks import Activity, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kiegen_nb.batch.plan import Plan, PlanItem, PlanPrice
    from kiegen_nb.tasks import GenerationTask

CREATES, WINDOW = 20, 10.0
"""Kie takes this many requests in so many seconds."""
TO_PAY = "to pay"
_MINUTE = 60.0
_SHOWN = 6  # values of an axis that are shown
_ROWS = 8  # items of a plan that are shown
_MODELS = 3  # models that are named
_NAMED = 5  # items of unknown price that are named
_WIDTH = 100  # characters of a line

_GREY = "color:var(--jp-ui-font-color2,#666)"
_BASE = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"
_CELL = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;overflow-wrap:break-word"


class Existing(Protocol):
    """Who knows what is there already: a session."""

    def existing(self, plan: Plan, name: str) -> Sequence[GenerationTask | None]:
        """Return for every item of a plan the task that would be returned for it, None if it would be made anew."""


@dataclass(frozen=True)
class Preview:
    """What running a plan would do; printing it tells.

    Attributes:
        plan: what is asked for.
        name: the batch it would be run as.
        existing: for each item the task that is there already, None where there is none; None if nobody was asked.
    """

    plan: Plan
    name: str = "default"
    existing: tuple[GenerationTask | None, ...] | None = None

    @cached_property
    def to_pay(self) -> Plan:
        """The items that would be sent, and paid for."""
        if self.existing is None:
            return self.plan
        pairs = zip(self.plan, self.existing, strict=True)
        return type(self.plan)((item for item, task in pairs if _is_to_pay(item, task)), self.plan.axes)

    @property
    def price(self) -> PlanPrice:
        """What is still to be paid."""
        return self.to_pay.price()

    @property
    def expected_seconds(self) -> tuple[float, float]:
        """A first guess at how long it takes from now on; most batches take between the two."""
        return expected_seconds(self.to_pay)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many items are ``finished``, ``pending``, ``failed`` and ``to pay``; without a session none is known."""
        found = Counter({"finished": 0, "pending": 0, "failed": 0})
        for item, task in zip(self.plan, self.existing or (), strict=False):
            if task is not None and not _is_to_pay(item, task):
                found[_WORDS[task.status]] += 1
        return {**found, TO_PAY: len(self.to_pay)}

    def __repr__(self) -> str:
        if self.existing is None:
            return plan_text(self.plan)
        return "\n".join([*_lines(self.plan), *(f"  {line}" for line in self._there())])

    def _repr_html_(self) -> str:
        if self.existing is None:
            return plan_html(self.plan)
        pairs = zip(self.plan, self.existing, strict=True)
        words = [TO_PAY if task is None or _is_to_pay(item, task) else _WORDS[task.status] for item, task in pairs]
        return _html(self.plan, self._there(), words)

    def _there(self) -> list[str]:
        """Say what is there and what is left, in one or two sentences."""
        total, left = len(self.plan), len(self.to_pay)
        there = [f"{number:,} {word}" for word, number in self.counts.items() if number and word != TO_PAY]
        known = (
            f"{total - left:,} of {total:,} are there ({', '.join(there)})" if there else "nothing of it is there yet"
        )
        lines = [f'In "{self.name}" {known}.']
        if self.counts["failed"]:
            lines.append("Failed ones come back as they are; only fresh=True or retry_failed() asks anew.")
        paid = (
            "Nothing is left to be paid."
            if not left
            else f"To be paid: {left:,} {_requests(left)}, {_cost(self.to_pay)}"
        )
        return [*lines, paid]


_WORDS = {TaskStatus.SUCCESS: "finished", TaskStatus.PENDING: "pending", TaskStatus.FAILED: "failed"}


def expected_seconds(plan: Plan) -> tuple[float, float]:
    """Return how long a plan takes under the limit of requests, with the usual time of its slowest model."""
    if not len(plan):
        return (0.0, 0.0)
    models = {(type(item.params), item.params.api_model) for item in plan}
    usual = [family.usual_time_of(slug) for family, slug in models]
    last = (len(plan) - 1) // CREATES * WINDOW
    return (last + max(low for low, _ in usual), last + max(high for _, high in usual))


def plan_text(plan: Plan) -> str:
    """Return a plan as text."""
    return "\n".join([*_lines(plan), f"  {_cost(plan)}"])


def plan_html(plan: Plan) -> str:
    """Return a plan as HTML."""
    return _html(plan, [_cost(plan)])


def _lines(plan: Plan) -> list[str]:
    rows = _axes(plan)
    wide = max((len(name) for name, _, _ in rows), default=0)
    many = max((len(count) for _, count, _ in rows), default=0)
    lines = [f"  {name:{wide}}  {count:>{many}}: {values}" for name, count, values in rows]
    return [_title(plan), *(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…" for line in lines)]


def _title(plan: Plan) -> str:
    models = list(dict.fromkeys(item.params.api_model for item in plan))
    named = ", ".join(models) if len(models) <= _MODELS else f"{len(models)} models"
    return f"Plan of {len(plan):,} {_requests(len(plan))}{f' to {named}' if models else ''}"


def _axes(plan: Plan) -> list[tuple[str, str, str]]:
    """Return for each axis its name, how many values of it occur, and which; a slice has its own."""
    rows = []
    for axis in plan.axes if len(plan) else ():
        here = {repr(item.axes.get(axis.name)) for item in plan}
        labels = [text for value, text in zip(axis.values, axis.labels, strict=True) if repr(value) in here]
        shown = labels if len(labels) <= _SHOWN else [*labels[: _SHOWN - 1], "…", labels[-1]]
        rows.append((axis.name, f"{len(labels):,}", ", ".join(shown)))
    return rows


def _cost(plan: Plan) -> str:
    if not len(plan):
        return "Nothing to be paid."
    price = plan.price()
    known = [str(Price(price.low, price.high))] if len(price.unknown) < len(plan) else []
    return f"{', and '.join([*known, *_unknown(price)])}; {_duration(*expected_seconds(plan))}."


def _unknown(price: PlanPrice) -> list[str]:
    count = len(price.unknown)
    if not count:
        return []
    numbers = [str(item.number) for item in price.unknown[:_NAMED]]
    more = ", …" if count > _NAMED else ""
    return [f"{count:,} {_requests(count)} of unknown price (item {', '.join(numbers)}{more})"]


def _duration(low: float, high: float) -> str:
    if high < 2 * _MINUTE:
        return f"about {low:.0f} to {high:.0f} seconds" if low != high else f"about {high:.0f} seconds"
    least, most = max(1, round(low / _MINUTE)), round(high / _MINUTE)
    return f"about {least} to {most} minutes" if least != most else f"about {most} minutes"


def _requests(count: int) -> str:
    return "request" if count == 1 else "requests"


def _is_to_pay(item: PlanItem, task: GenerationTask | None) -> bool:
    if item.fresh or task is None:
        return True
    # A queued one is stored, but was never sent; running the batch sends it.
    is_queued = task.status is TaskStatus.PENDING and task.activity is Activity.QUEUED
    return is_queued and task.external_task_id is None


def _html(plan: Plan, said: Iterable[str], words: Sequence[str] | None = None) -> str:
    """Return a plan as HTML, with what is said about it and a word for each item."""
    rows = _axes(plan)
    parts = [f"<div><b>{escape(_title(plan))}</b></div>", _table(("axis", "values", ""), rows) if rows else ""]
    parts += [f"<div>{escape(line)}</div>" for line in said]
    first = plan[:_ROWS]
    lines = [[str(item.number)] for item in first]
    for axis in plan.axes:
        labels = labels_of(item.axes.get(axis.name) for item in first)
        lines = [[*line, text] for line, text in zip(lines, labels, strict=True)]
    prices = ["unknown" if price is None else str(price) for price in first.prices()]
    lines = [[*line, text] for line, text in zip(lines, prices, strict=True)]
    head = ["item", *(axis.name for axis in plan.axes), "price"]
    if words is not None:
        head.append("")
        lines = [[*line, text] for line, text in zip(lines, words[:_ROWS], strict=True)]
    if lines:
        rest = len(plan) - len(lines)
        more = f'<div style="{_GREY}">and {rest:,} more</div>' if rest else ""
        summary = f'<summary style="{_GREY};cursor:pointer">The first {len(lines):,}</summary>'
        parts.append(f"<details>{summary}{_table(head, lines)}{more}</details>")
    return f'<div style="{_BASE}">{"".join(parts)}</div>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col" style="{_CELL};{_GREY};font-weight:normal">{escape(name)}</th>' for name in head)
    lines = ("".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) for row in rows)
    body = "".join(f'<tr style="background:none">{line}</tr>' for line in lines)
    style = "border-collapse:collapse;border:none;margin:4px 0;font-size:13px"
    return f'<table style="{style}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
