"""Faults on demand: rules that make the sandbox answer badly, for tests of the client and for rehearsals."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from .plans import chance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

ROUTES = ("create", "look", "credit", "file", "upload", "catalogue")
MOST_SECONDS = 1e9
# Answers with these statuses have no body, and every fault that answers has one.
_BODILESS = (204, 304)


class BadRuleError(ValueError):
    """A fault rule that cannot be understood; the text says what is wrong in one sentence."""


@dataclass(slots=True, eq=False)
class Rule:
    """One fault.

    Attributes:
        route: Which requests it is for: one of ``ROUTES``.
        code: The envelope's ``code`` (HTTP stays 200 unless ``http`` is given).
        http: The real HTTP status.
        msg: The envelope's ``msg``.
        body: Raw text sent instead of an envelope, for example an HTML error page.
        drop: Close the connection instead of answering.
        reset: End the connection with a TCP reset: instead of answering, or where ``truncate`` cuts.
        truncate: Announce the whole answer, send this many bytes of its body and end the connection. An
            integer counts bytes, a number between 0 and 1 is a share of the body.
        complete: The HTTP answer is complete and only its content is cut; needs ``truncate``.
        slow: Bytes per second at which a file is sent.
        before: True: the request does no work. False: the work is done and only the answer is bad.
            Left out, it is True if the rule has a false answer (``code``, ``http`` or ``body``), else False.
        delay: Seconds to wait before answering.
        retry_after: Value of the ``Retry-After`` header, in seconds.
        match: Text that must occur in the request: its query, its body, or the path of a file or a model.
        skip: How many matching requests pass before the first one can be hit.
        probability: The chance at which a matching request is hit; others pass and use nothing up.
        seed: Where this rule's chance comes from, instead of the sandbox's own seed.
        times: How many requests it hits in all; 0 is for ever.
        seen: How many matching requests have come to it.
        fired: How many of them it has hit.
        number: Its place among all rules since the start, or since they were last forgotten.
    """

    route: str
    code: int | None = None
    http: int | None = None
    msg: str = "injected fault"
    body: str | None = None
    drop: bool = False
    reset: bool = False
    truncate: float | None = None
    complete: bool = False
    slow: float | None = None
    before: bool = False
    delay: float = 0.0
    retry_after: float | None = None
    match: str = ""
    skip: int = 0
    probability: float = 1.0
    seed: int | None = None
    times: int = 1
    seen: int = 0
    fired: int = 0
    number: int = 0

    @property
    def lies(self) -> bool:
        """Whether the rule has a false answer."""
        return self.code is not None or self.http is not None or self.body is not None

    @property
    def hangs_up(self) -> bool:
        """Whether nothing at all is answered."""
        return self.drop or (self.reset and self.truncate is None)

    @property
    def answers(self) -> bool:
        """Whether the true answer is not sent (a bare delay only postpones it, a truncation spoils it)."""
        return self.lies or self.hangs_up

    @property
    def spoils(self) -> bool:
        """Whether an answer, true or false, does not arrive as it should."""
        return self.truncate is not None or self.slow is not None

    @property
    def used_up(self) -> bool:
        """Whether it has hit all it may hit."""
        return 0 < self.times <= self.fired

    def kept(self, size: int) -> int:
        """Return how many of a body's bytes are sent."""
        if self.truncate is None:
            return size
        return min(self.truncate, size) if isinstance(self.truncate, int) else int(size * self.truncate)


# What a field may be: its types, the test of its value, and the rest of the sentence that begins with its name.
_NUMBER = (int, float)
_FIELDS: dict[str, tuple[tuple[type, ...], Callable[[Any], bool], str]] = {
    "route": ((str,), lambda route: route in ROUTES, f"must be one of {', '.join(ROUTES)}"),
    "code": ((int,), lambda _: True, ""),
    "http": (
        (int,),
        lambda status: status in range(200, 600) and status not in _BODILESS,
        "must lie between 200 and 599, and be neither 204 nor 304, which have no body",
    ),
    "msg": ((str,), lambda _: True, ""),
    "body": ((str,), lambda _: True, ""),
    "drop": ((bool,), lambda _: True, ""),
    "reset": ((bool,), lambda _: True, ""),
    "truncate": (
        _NUMBER,
        lambda part: part >= 0 if isinstance(part, int) else 0 < part < 1,
        "must be a whole number of bytes, or a share between 0 and 1",
    ),
    "complete": ((bool,), lambda _: True, ""),
    "slow": (_NUMBER, lambda speed: 0 < speed <= MOST_SECONDS, "must be above 0 and at most 1e9 bytes per second"),
    "before": ((bool,), lambda _: True, ""),
    "delay": (_NUMBER, lambda seconds: 0 <= seconds <= MOST_SECONDS, "must be 0 to 1e9 seconds"),
    "retry_after": (_NUMBER, lambda seconds: 0 <= seconds <= MOST_SECONDS, "must be 0 to 1e9 seconds"),
    "match": ((str,), bool, "must have at least one character"),
    "skip": ((int,), lambda number: number >= 0, "must be 0 or more requests"),
    "probability": (_NUMBER, lambda chance_: 0 < chance_ <= 1, "must be above 0 and at most 1"),
    "seed": ((int,), lambda _: True, ""),
    "times": ((int,), lambda number: number >= 0, "must be 1 or more, or 0 for ever"),
}
_COUNTED = ("seen", "fired")
_ALWAYS = ("before", "times", *_COUNTED)


def parse_rule(raw: object) -> Rule:
    """Build a rule from its JSON form.

    Args:
        raw: One decoded JSON object; a field that is null counts as left out.

    Returns:
        The rule, with ``before`` settled.

    Raises:
        BadRuleError: The object is not a rule; misspelt fields are errors, as a silent one would hide a
            fault that never fires.
    """
    if not isinstance(raw, dict):
        raise BadRuleError("a rule is a JSON object")
    given: dict[str, Any] = {name: value for name, value in raw.items() if value is not None}
    for name, value in given.items():
        _check_value(name, value)
    if "route" not in given:
        raise BadRuleError(f"route must be one of {', '.join(ROUTES)}")
    rule = Rule(**given)
    if "before" not in given:
        rule.before = rule.lies
    if not rule.answers and not rule.spoils and not rule.delay:
        raise BadRuleError("a rule needs code, http, body, drop, reset, truncate, slow or delay")
    wrong = next((sentence for sentence, applies in _CONTRADICTIONS if applies(rule)), None)
    if wrong:
        raise BadRuleError(wrong)
    return rule


# A rule that says two things at once would do only one of them, in silence.
_CONTRADICTIONS: tuple[tuple[str, Callable[[Rule], bool]], ...] = (
    (
        "drop (or reset without truncate) sends nothing: leave out code, http, body, truncate and slow",
        lambda rule: rule.hangs_up and (rule.lies or rule.spoils),
    ),
    ("complete needs truncate", lambda rule: rule.complete and rule.truncate is None),
    (
        "complete leaves the connection as it is: leave out reset",
        lambda rule: rule.complete and rule.reset,
    ),
    ("slow is for the route file only", lambda rule: rule.slow is not None and rule.route != "file"),
    (
        "truncate and slow without code, http or body send the true answer: leave out before",
        lambda rule: rule.spoils and rule.before and not rule.lies,
    ),
    ("seed needs a probability below 1", lambda rule: rule.seed is not None and rule.probability == 1),
)


def _check_value(name: str, value: object) -> None:
    if name not in _FIELDS:
        raise BadRuleError(f"unknown field {name!r}; known are {', '.join(_FIELDS)}")
    kinds, good, sentence = _FIELDS[name]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise BadRuleError(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}")
    if not good(value):
        raise BadRuleError(f"{name} {sentence}")


def parse_rules(raw: object) -> list[Rule]:
    """Build rules from a decoded JSON list; all or none.

    Raises:
        BadRuleError: It is no list, or one of its rules is malformed; the text says which, counted from 1.
    """
    if not isinstance(raw, list):
        raise BadRuleError("send a JSON list of rules")
    rules = []
    for number, item in enumerate(raw, 1):
        try:
            rules.append(parse_rule(item))
        except BadRuleError as error:
            raise BadRuleError(f"rule {number}: {error}") from None
    return rules


def load_rules(path: Path) -> list[Rule]:
    """Read rules from a file with a JSON list.

    Raises:
        BadRuleError: It cannot be read, or holds no such list.
    """
    try:
        return parse_rules(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise BadRuleError(f"it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadRuleError("it is no UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise BadRuleError(f"it is no JSON: {error}") from None


class Faults:
    """The rules waiting for their requests, first in, first used.

    Args:
        seed: Where chances come from; None makes them differ from run to run.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seed: object = secrets.token_hex(8) if seed is None else seed
        self._rules: list[Rule] = []
        self._added = 0

    def add(self, raw: object) -> int:
        """Append rules from a decoded JSON list; all or none.

        Returns:
            How many rules now wait.

        Raises:
            BadRuleError: The list or one of its rules is malformed.
        """
        return self.extend(parse_rules(raw))

    def extend(self, rules: Iterable[Rule]) -> int:
        """Append rules; returns how many now wait."""
        for rule in rules:
            rule.number = self._added
            self._added += 1
            self._rules.append(rule)
        return len(self._rules)

    def clear(self) -> None:
        """Forget every rule; chances begin anew, so that the same rules hit the same requests again."""
        self._rules.clear()
        self._added = 0

    def waiting(self) -> list[dict[str, Any]]:
        """Return every rule that waits: its fields that matter, and how many requests it has seen and hit."""
        usual = {field.name: field.default for field in fields(Rule)}
        return [
            {
                name: getattr(rule, name)
                for name in (*_FIELDS, *_COUNTED)
                if name in _ALWAYS or getattr(rule, name) != usual.get(name)
            }
            for rule in self._rules
        ]

    def take(self, route: str, texts: Callable[[], Sequence[str]] = tuple) -> Rule | None:
        """Use up one firing of the first rule that hits this request, or return None.

        Args:
            route: One of ``ROUTES``.
            texts: Gives the request's texts; asked only if a rule wants to match them.
        """
        said: Sequence[str] | None = None
        for rule in self._rules:
            if rule.route != route:
                continue
            if rule.match:
                said = texts() if said is None else said
                if not any(rule.match in text for text in said):
                    continue
            rule.seen += 1
            if rule.seen <= rule.skip or not self._lucky(rule):
                continue
            rule.fired += 1
            if rule.used_up:
                self._rules.remove(rule)
            return rule
        return None

    def _lucky(self, rule: Rule) -> bool:
        if rule.probability == 1:
            return True
        seed = (self._seed, rule.number) if rule.seed is None else (rule.seed,)
        return chance(*seed, rule.seen) < rule.probability
