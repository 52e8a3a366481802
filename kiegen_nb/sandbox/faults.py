"""Faults on demand: one-shot rules that make the sandbox answer badly, for tests of the client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROUTES = ("create", "look", "credit", "file", "upload", "catalogue")


class BadRuleError(ValueError):
    """A fault rule that cannot be understood; the text says which field."""


@dataclass(slots=True)
class Rule:
    """One fault, used up after ``times`` matching requests.

    Attributes:
        route: Which request it hits: one of ``ROUTES``.
        code: The envelope's ``code`` (HTTP stays 200 unless ``http`` is given).
        http: The real HTTP status.
        msg: The envelope's ``msg``.
        body: Raw text sent instead of an envelope, for example an HTML error page.
        drop: Close the connection instead of answering.
        before: True: the request does no work. False: the work is done and only the answer is bad.
            Left out, it is False for ``drop`` and for a bare ``delay`` (a lost or late answer), else True.
        delay: Seconds to wait before answering.
        retry_after: Value of the ``Retry-After`` header, in seconds.
        times: How many more requests it hits.
    """

    route: str
    code: int | None = None
    http: int | None = None
    msg: str = "injected fault"
    body: str | None = None
    drop: bool = False
    before: bool = False
    delay: float = 0.0
    retry_after: float | None = None
    times: int = 1

    @property
    def answers(self) -> bool:
        """Whether the rule replaces the true answer (a bare delay only postpones it)."""
        return self.drop or self.code is not None or self.http is not None or self.body is not None


_FIELDS: dict[str, tuple[type, ...]] = {
    "route": (str,),
    "code": (int,),
    "http": (int,),
    "msg": (str,),
    "body": (str,),
    "drop": (bool,),
    "before": (bool,),
    "delay": (int, float),
    "retry_after": (int, float),
    "times": (int,),
}


def parse_rule(raw: object) -> Rule:
    """Build a rule from its JSON form.

    Args:
        raw: One decoded JSON object.

    Returns:
        The rule, with ``before`` settled.

    Raises:
        BadRuleError: The object is not a rule; misspelt fields are errors, as a silent one would hide a
            fault that never fires.
    """
    if not isinstance(raw, dict):
        raise BadRuleError("a rule is a JSON object")
    fields: dict[str, Any] = {name: value for name, value in raw.items() if value is not None}
    for name, value in fields.items():
        _check_type(name, value)
    if fields.get("route") not in ROUTES:
        raise BadRuleError(f"route must be one of {', '.join(ROUTES)}")
    if fields.get("http", 200) not in range(200, 600):
        raise BadRuleError("http must lie between 200 and 599")
    if fields.get("times", 1) < 1 or fields.get("delay", 0) < 0:
        raise BadRuleError("times must be at least 1 and delay not negative")
    rule = Rule(**fields)
    if "before" not in fields:
        rule.before = rule.answers and not rule.drop
    if not rule.answers and not rule.delay:
        raise BadRuleError("a rule needs code, http, body, drop or delay")
    return rule


def _check_type(name: str, value: object) -> None:
    allowed = _FIELDS.get(name)
    if allowed is None:
        raise BadRuleError(f"unknown field {name!r}; known are {', '.join(_FIELDS)}")
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise BadRuleError(f"{name} must be {' or '.join(kind.__name__ for kind in allowed)}")


class Faults:
    """The rules waiting for their request, first in, first used."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, raw: object) -> int:
        """Append rules from a decoded JSON list; all or none.

        Returns:
            How many rules now wait.

        Raises:
            BadRuleError: The list or one of its rules is malformed.
        """
        if not isinstance(raw, list):
            raise BadRuleError("send a JSON list of rules")
        self._rules.extend([parse_rule(item) for item in raw])
        return len(self._rules)

    def clear(self) -> None:
        """Forget every rule."""
        self._rules.clear()

    def take(self, route: str) -> Rule | None:
        """Use up one firing of the first rule for this route, or None."""
        for rule in self._rules:
            if rule.route == route:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
                return rule
        return None
