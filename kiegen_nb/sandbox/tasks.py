"""The sandbox's tasks: what a request may say, what it costs, and where a task stands at a moment.

Everything that matters lives in one SQLite file, so that several sandboxes may share it and a later one
answers for every earlier task. Where a task stands is a pure function of its row and the time.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Clock = Callable[[], float]

CATALOGUE = Path(__file__).parent.parent / "kie" / "catalogue.json"
NEW_ACCOUNT_CREDITS = 10_000.0
FALLBACK_PRICE = 10.0
CREATES_PER_WINDOW = 20
CREATE_WINDOW = 10.0
GRACE = 0.3
IMAGE_SECONDS = (2.5, 4.0)
SLOW_FACTOR = 10.0
LONG_SIDE = 1024
MOST_IMAGES = 15
COUNTERS = ("accepted", "refused", "looks", "rate_limited", "results")
# Share of a task's whole duration at which it enters each running state.
WALK = ((0.0, "waiting"), (0.1, "queuing"), (0.25, "generating"))

UNKNOWN_MODEL = (
    "The model name you specified is not supported. Please verify your input and use one of the supported "
    "models provided by KIE."
)
POLICY = "Your request was flagged by the content policy. Please change the prompt and try again."


class RefusedError(Exception):
    """A request answered with an error envelope.

    Attributes:
        code: The envelope's ``code``.
        msg: Its text.
    """

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(f"{code}: {msg}")
        self.code = code
        self.msg = msg


def load_catalogue(path: Path = CATALOGUE) -> dict[str, dict[str, Any]]:
    """Read the models of ``createTask``; dedicated endpoints (keys with a colon) are left out."""
    raw: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return {slug: entry for slug, entry in raw.items() if ":" not in slug and not slug.startswith("_")}


def price(entry: Mapping[str, Any]) -> float:
    """Return the credits one task costs: the first number of the catalogue's price text, else 10."""
    text = str(entry.get("credits", ""))
    if text.startswith("not in"):
        return FALLBACK_PRICE
    found = re.search(r"\d+(?:\.\d+)?", re.sub(r"\d{4}-\d{2}-\d{2}", "", text))
    return float(found[0]) if found else FALLBACK_PRICE


def kind(entry: Mapping[str, Any]) -> str:
    """Return what a model makes: ``image``, or the catalogue's own word for anything else."""
    words = str(entry["category"]).split("|")
    makes_image = all(word.endswith(("to-image", "image-upscale", "background-removal")) for word in words)
    return "image" if makes_image else words[0]


def check_input(entry: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Hold an ``input`` object against the catalogue.

    Args:
        entry: The model's catalogue entry.
        given: The request's ``input``; unknown fields are ignored, as the service does.

    Returns:
        The known fields with documented defaults filled in.

    Raises:
        RefusedError: Code 500 with the documented text, naming the first offending field.
    """
    known: dict[str, Any] = {}
    for name, rule in entry["params"].items():
        value = given.get(name)
        if value is None or value in ("", []):
            if "default" in rule:
                known[name] = rule["default"]
            elif rule["required"]:
                raise RefusedError(500, f"{name} is required")
            continue
        # Entries marked incomplete have guessed types; holding a request against a guess would mislead.
        if entry.get("params_complete", True):
            _check_value(name, value, rule)
        known[name] = value
    return known


def _check_value(name: str, value: Any, rule: Mapping[str, Any]) -> None:
    of_type = str(rule["type"])
    not_allowed = RefusedError(500, f"{name} is not within the range of allowed options")
    if name == "seed" and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        # Documented as a string for some models and an integer for their siblings; strictness was never seen.
        value = str(value) if of_type == "string" else value
    elif not _has_type(value, of_type):
        raise not_allowed
    if "enum" in rule and value not in rule["enum"]:
        raise not_allowed
    if isinstance(value, str) and len(value) > rule.get("maxLength", len(value)):
        raise RefusedError(500, f"The text length cannot exceed the maximum limit: {name}")
    if not _in_range(value, rule):
        raise RefusedError(500, f"Value must be within the specified range: {name}")
    if isinstance(value, list):
        _check_items(name, value, rule)


def _in_range(value: Any, rule: Mapping[str, Any]) -> bool:
    if isinstance(value, str):
        return len(value) >= int(rule.get("minLength", 0))
    if isinstance(value, list):
        return bool(rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)))
    if isinstance(value, (int, float)):
        return bool(rule.get("min", value) <= value <= rule.get("max", value))
    return True


def _check_items(name: str, items: list[Any], rule: Mapping[str, Any]) -> None:
    item_type = str(rule["type"]).removeprefix("array<").removesuffix(">")
    for item in items:
        if not _has_type(item, item_type):
            raise RefusedError(500, f"{name} is not within the range of allowed options")
        for part, part_rule in rule.get("item_properties", {}).items():
            if item.get(part) is not None:
                _check_value(f"{name}.{part}", item[part], part_rule)
            elif part_rule.get("required"):
                raise RefusedError(500, f"{name}.{part} is required")


def _has_type(value: Any, of_type: str) -> bool:
    if of_type == "string":
        return isinstance(value, str)
    if of_type == "boolean":
        return isinstance(value, bool)
    if of_type in ("integer", "number"):
        if isinstance(value, float):
            return of_type == "number" or value.is_integer()
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, dict if of_type == "object" else list)


@dataclass(frozen=True, slots=True)
class Task:
    """One row: all that is needed to say where the task stands at any moment.

    Attributes:
        created: Unix seconds; ``duration`` and ``grace`` are seconds after it, already divided by the speed.
        param: The JSON text answered as ``param``.
        recipe: JSON text of what the renderer needs.
        files: JSON list of relative names of the result files.
        fail_code: Empty for a task that will succeed.
    """

    task_id: str
    account: str
    model: str
    created: float
    duration: float
    grace: float
    param: str
    recipe: str
    files: str
    fail_code: str
    fail_msg: str
    charged: float


def chance(*parts: object) -> float:
    """Return a repeatable number in [0, 1) made from the parts."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def state(task: Task, now: float) -> tuple[str, float]:
    """Return the task's ``state`` word at ``now`` and the moment (Unix seconds) it entered it."""
    if now >= task.created + task.duration:
        return ("fail" if task.fail_code else "success"), task.created + task.duration
    share = (now - task.created) / task.duration
    begun, word = [step for step in WALK if step[0] <= max(share, 0.0)][-1]
    return word, task.created + begun * task.duration


def record(task: Task, now: float, base_url: str) -> dict[str, Any]:
    """Return the ``data`` of recordInfo.

    Args:
        task: The row.
        now: Unix seconds.
        base_url: Scheme, host and port the caller used; result URLs start with it.

    Raises:
        RefusedError: Code 422 while the task is too new to be found.
    """
    if now < task.created + task.grace:
        raise RefusedError(422, "recordInfo is null")
    word, since = state(task, now)
    done, good = word in ("success", "fail"), word == "success"
    result = {"resultUrls": [f"{base_url}/files/{name}" for name in json.loads(task.files)]} if good else None
    data: dict[str, Any] = {
        "taskId": task.task_id,
        "model": task.model,
        "state": word,
        "successFlag": {"success": 1, "fail": 3}.get(word, 0),
        "param": task.param,
        "resultJson": json.dumps(result, separators=(",", ":")) if good else "",
        "failCode": task.fail_code if word == "fail" else None,
        "failMsg": task.fail_msg if word == "fail" else None,
        "costTime": max(1, round(task.duration)) if good else 0,
        "creditsConsumed": 0 if word == "fail" else _plain(task.charged),
        "createTime": int(task.created * 1000),
        "updateTime": int(since * 1000),
        "completeTime": int(since * 1000) if done else None,
    }
    # The parsed twin is in no schema and was seen on some tasks only, so a client must live without it.
    if chance(task.task_id, "response") < 1 / 2:
        data["response"] = result
    return data


def _plain(number: float) -> float:
    return int(number) if number == int(number) else number


def plan(
    task_id: str, account: str, body: Mapping[str, Any], entry: Mapping[str, Any], *, now: float, speed: float
) -> Task:
    """Turn a create request into its whole future.

    Args:
        task_id: 32 hex digits; durations and optional fields follow from it.
        account: The short hash of the key.
        body: The decoded request, ``model`` and ``input`` checked to be a string and an object.
        entry: The model's catalogue entry.
        now: Unix seconds.
        speed: How many times faster than the service the sandbox runs.

    Raises:
        RefusedError: The input breaks a rule, the prompt says ``sandbox:refuse``, or the sandbox cannot make
            this kind of result.
    """
    known = check_input(entry, body["input"])
    words = " ".join(value for value in known.values() if isinstance(value, str))
    if "sandbox:refuse" in words:
        raise RefusedError(400, POLICY)
    if kind(entry) != "image":
        raise RefusedError(455, f"This sandbox makes pictures only, not {kind(entry)}.")
    seconds = IMAGE_SECONDS[0] + chance(task_id, "duration") * (IMAGE_SECONDS[1] - IMAGE_SECONDS[0])
    if slow := re.search(r"sandbox:slow(?:=(\d+(?:\.\d+)?))?", words):
        seconds = float(slow[1]) if slow[1] else seconds * SLOW_FACTOR
    width, height = picture_size(known)
    recipe = {
        "prompt": str(known.get("prompt") or known.get("text") or body["model"]),
        # Without a seed every task is a picture of its own, as with the service.
        "seed": str(known.get("seed", task_id)),
        "width": width,
        "height": height,
    }
    suffix = {"jpeg": "jpg", "jpg": "jpg", "webp": "webp"}.get(str(known.get("output_format")), "png")
    sent_input = json.dumps(body["input"], ensure_ascii=False, separators=(",", ":"))
    fails = "sandbox:fail" in words
    return Task(
        task_id=task_id,
        account=account,
        model=body["model"],
        created=now,
        duration=max(seconds, 0.001) / speed,
        grace=GRACE / speed,
        param=json.dumps({**body, "input": sent_input}, ensure_ascii=False, separators=(",", ":")),
        recipe=json.dumps(recipe, ensure_ascii=False),
        files=json.dumps([f"{task_id}-{number}.{suffix}" for number in range(_how_many(known))]),
        fail_code="400" if fails else "",
        fail_msg=POLICY if fails else "",
        charged=price(entry),
    )


def _how_many(known: Mapping[str, Any]) -> int:
    asked = next((known[name] for name in ("num_images", "max_images", "n") if name in known), 1)
    return min(max(int(asked), 1), MOST_IMAGES) if str(asked).isdecimal() else 1


def picture_size(known: Mapping[str, Any]) -> tuple[int, int]:
    """Return width and height in pixels for a request's aspect ratio, the long side being 1024."""
    names = ("aspect_ratio", "image_size", "ratio", "size")
    word = next((str(known[name]) for name in names if known.get(name)), "auto")
    across, down = 1, 1
    if found := re.fullmatch(r"(\d+):(\d+)", word):
        across, down = int(found[1]), int(found[2])
    elif word.startswith(("portrait", "landscape")):
        pair = sorted(int(part) for part in re.findall(r"\d+", word)) or [2, 3]
        down, across = pair if word.startswith("landscape") else pair[::-1]
    longest = max(across, down)
    return LONG_SIDE * across // longest, LONG_SIDE * down // longest


_COLUMNS = ", ".join(column.name for column in fields(Task))
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS tasks (
  task_id TEXT PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT NULL,
  duration REAL NOT NULL, grace REAL NOT NULL, param TEXT NOT NULL, recipe TEXT NOT NULL, files TEXT NOT NULL,
  fail_code TEXT NOT NULL, fail_msg TEXT NOT NULL, charged REAL NOT NULL);
CREATE INDEX IF NOT EXISTS tasks_by_account ON tasks (account, created);
CREATE TABLE IF NOT EXISTS accounts (
  account TEXT PRIMARY KEY, granted REAL NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in COUNTERS)});
"""


class Store:
    """The SQLite file; every method is one short transaction, fit for the event loop.

    Args:
        path: The file; it is created when missing and may be open in other sandboxes.
        clock: Gives Unix seconds; tests pass their own.
        speed: Divides durations and limit windows.
        seed: Makes ids, and with them durations, repeat for the same order of creates.
        limits: False lets any number of creates through.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock = time.time,
        speed: float = 1.0,
        seed: int | None = None,
        limits: bool = True,
    ) -> None:
        self.clock = clock
        self.speed = speed
        self._seed = seed
        self._limits = limits
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        _settle(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        # IMMEDIATE: a read that later turns into a write could not wait for the other sandbox's lock.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def know(self, account: str, granted: float) -> None:
        """Open an account with its first credits, unless it exists."""
        self._connection.execute("INSERT OR IGNORE INTO accounts (account, granted) VALUES (?, ?)", (account, granted))

    def count(self, account: str, counter: str) -> None:
        """Add one to a counter of an account (one of ``COUNTERS``)."""
        if counter not in COUNTERS:
            raise ValueError(f"no counter {counter!r}")
        self._connection.execute(
            f"UPDATE accounts SET {counter} = {counter} + 1 WHERE account = ?",  # noqa: S608 - from COUNTERS
            (account,),
        )

    def create(self, account: str, body: Mapping[str, Any], entry: Mapping[str, Any] | None) -> Task:
        """Accept a task: within the limit, valid, affordable; charge it and store it.

        Args:
            account: The short hash of the key.
            body: The decoded request, its ``input`` an object.
            entry: The model's catalogue entry; None for a model that does not exist.

        Raises:
            RefusedError: 429, a refusal of ``plan``, or 402. Nothing is stored or charged then.
        """
        now = self.clock()
        with self._writing() as connection:
            since = now - CREATE_WINDOW / self.speed
            recent = connection.execute(
                "SELECT count(*) FROM tasks WHERE account = ? AND created > ?", (account, since)
            ).fetchone()[0]
            if self._limits and recent >= CREATES_PER_WINDOW:
                raise RefusedError(429, "Your call frequency is too high. Please try again later.")
            if entry is None:
                raise RefusedError(422, UNKNOWN_MODEL)
            task = plan(self._next_id(), account, body, entry, now=now, speed=self.speed)
            if task.charged > self.balance(account):
                raise RefusedError(402, "The current credits are insufficient. Please top up.")
            marks = ", ".join("?" * len(fields(Task)))
            connection.execute(f"INSERT INTO tasks ({_COLUMNS}) VALUES ({marks})", astuple(task))  # noqa: S608 - our own column names
            self.count(account, "accepted")
        return task

    def _next_id(self) -> str:
        if self._seed is None:
            return uuid.uuid4().hex
        number = self._connection.execute("SELECT count(*) FROM tasks").fetchone()[0]
        return hashlib.sha256(f"{self._seed}:{number}".encode()).hexdigest()[:32]

    def task(self, task_id: str) -> Task | None:
        """Return the row of a task, made by this or any earlier sandbox on the file."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM tasks WHERE task_id = ?",  # noqa: S608 - our own column names
            (task_id,),
        ).fetchone()
        return Task(*row) if row else None

    def balance(self, account: str) -> float:
        """Return the account's credits now: the grant less every charge whose task has not failed by now."""
        row = self._connection.execute(
            "SELECT granted - (SELECT coalesce(sum(charged), 0) FROM tasks WHERE account = accounts.account"
            " AND NOT (fail_code != '' AND created + duration <= ?)) FROM accounts WHERE account = ?",
            (self.clock(), account),
        ).fetchone()
        return _plain(round(row[0], 4)) if row else 0.0

    def stats(self) -> dict[str, Any]:
        """Return the counters of every account and their totals."""
        rows = self._connection.execute(f"SELECT account, {', '.join(COUNTERS)} FROM accounts").fetchall()  # noqa: S608 - our own names
        accounts = {}
        for account, *numbers in rows:
            counted = dict(zip(COUNTERS, numbers, strict=True))
            accounts[account] = {"creates": counted["accepted"], **counted}
        totals = {name: sum(one[name] for one in accounts.values()) for name in ("creates", "looks", "rate_limited")}
        return {"accounts": accounts, **totals}


def _settle(connection: sqlite3.Connection) -> None:
    # Turning WAL on takes an exclusive lock that SQLite does not wait for when two sandboxes start at once.
    deadline = time.monotonic() + 10
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
