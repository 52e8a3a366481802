"""The sandbox's SQLite file: tasks, accounts, uploads and callbacks.

Several sandboxes may share the file, and a later one answers for every earlier task. Where a task stands is a
pure function of its row and the time, so nothing here ever runs in the background.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from .checks import TOO_OFTEN, UNKNOWN_MODEL, RefusedError
from .journal import Busiest
from .plans import Task, plan
from .records import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Clock = Callable[[], float]

NEW_ACCOUNT_CREDITS = 10_000.0
CREATES_PER_WINDOW = 20
CREATE_WINDOW = 10.0
COUNTERS = ("accepted", "refused", "looks", "rate_limited", "results")
# A GET that begins something is no create: it neither counts nor is held back.
_UNCOUNTED = "veo:get-1080p-video"
# Stands for all accounts together; no account is called so.
_ALL = ""


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file.

    Attributes:
        place: Account and path, as in its address.
        file_id: Its name in the uploads folder; never anything a caller chose.
        original: The name it came with.
        size: Bytes.
        mime: Media type.
        uploaded: Unix seconds, as ``expires``.
    """

    place: str
    file_id: str
    original: str
    size: int
    mime: str
    uploaded: float
    expires: float


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
CREATE TABLE IF NOT EXISTS callbacks (
  task_id TEXT NOT NULL, url TEXT NOT NULL, due REAL NOT NULL, PRIMARY KEY (task_id, due));
CREATE TABLE IF NOT EXISTS uploads (
  place TEXT PRIMARY KEY, file_id TEXT NOT NULL, original TEXT NOT NULL, size INTEGER NOT NULL,
  mime TEXT NOT NULL, uploaded REAL NOT NULL, expires REAL NOT NULL);
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
        self.path = path
        self.clock = clock
        self.speed = speed
        self._seed = seed
        self._files = 0
        self._limits = limits
        self._known: set[str] = set()
        self._busiest: defaultdict[str, Busiest] = defaultdict(lambda: Busiest(CREATE_WINDOW / speed))
        self._counted_row = 0
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
        if account in self._known:
            return
        self._connection.execute("INSERT OR IGNORE INTO accounts (account, granted) VALUES (?, ?)", (account, granted))
        self._known.add(account)

    def count(self, account: str, counter: str) -> None:
        """Add one to a counter of an account (one of ``COUNTERS``)."""
        if counter not in COUNTERS:
            raise ValueError(f"no counter {counter!r}")
        self._connection.execute(
            f"UPDATE accounts SET {counter} = {counter} + 1 WHERE account = ?",  # noqa: S608 - from COUNTERS
            (account,),
        )

    def create(
        self,
        account: str,
        body: Mapping[str, Any],
        entry: Mapping[str, Any] | None,
        task_id: str | None = None,
    ) -> Task:
        """Accept a task: within the limit, valid, affordable; charge it and store it.

        Args:
            account: The short hash of the key.
            body: The decoded request; for a market model its ``input`` is an object.
            entry: The catalogue entry; None for a model that does not exist.
            task_id: Given for a task that follows from another and may exist once only.

        Raises:
            RefusedError: 429, a refusal of ``plan``, or 402. Nothing is stored or charged then.
        """
        now = self.clock()
        counted = entry is None or entry["slug"] != _UNCOUNTED
        with self._writing() as connection:
            since = now - CREATE_WINDOW / self.speed
            recent = connection.execute(
                "SELECT count(*) FROM tasks WHERE account = ? AND created > ? AND model != ?",
                (account, since, _UNCOUNTED),
            ).fetchone()[0]
            if self._limits and counted and recent >= CREATES_PER_WINDOW:
                raise RefusedError(429, TOO_OFTEN)
            if entry is None:
                raise RefusedError(422, UNKNOWN_MODEL)

            def own(earlier: str) -> Task | None:
                found = self.task(earlier)
                return found if found and found.account == account else None

            task = plan(task_id or self.next_id(), account, body, entry, now=now, speed=self.speed, find=own)
            if task.charged > self.balance(account):
                raise RefusedError(402, "The current credits are insufficient. Please top up.")
            marks = ", ".join("?" * len(fields(Task)))
            connection.execute(f"INSERT INTO tasks ({_COLUMNS}) VALUES ({marks})", astuple(task))  # noqa: S608 - our own column names
            if counted:
                self.count(account, "accepted")
        return task

    def next_id(self) -> str:
        """Return 32 hex digits for a new task."""
        if self._seed is None:
            return uuid.uuid4().hex
        number = self._connection.execute("SELECT count(*) FROM tasks").fetchone()[0]
        return hashlib.sha256(f"{self._seed}:{number}".encode()).hexdigest()[:32]

    def next_file_id(self) -> str:
        """Return 32 hex digits for a new upload."""
        if self._seed is None:
            return uuid.uuid4().hex
        self._files += 1
        return hashlib.sha256(f"{self._seed}:file:{self._files}:{self.clock()}".encode()).hexdigest()[:32]

    def task(self, task_id: str) -> Task | None:
        """Return the row of a task, made by this or any earlier sandbox on the file."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM tasks WHERE task_id = ?",  # noqa: S608 - our own column names
            (task_id,),
        ).fetchone()
        return Task(*row) if row else None

    def all_tasks(self) -> list[dict[str, Any]]:
        """Return every task on the file, oldest first: when it ends and how, and its charge (until it fails)."""
        rows = self._connection.execute(
            "SELECT task_id, account, model, created, created + duration, charged, fail_code"
            " FROM tasks ORDER BY created, rowid"
        ).fetchall()
        names = ("taskId", "account", "model", "created", "finishes", "charged", "failCode")
        return [dict(zip(names, (*row[:-1], row[-1] or None), strict=True)) for row in rows]

    def remember_callback(self, task_id: str, url: str, due: float) -> None:
        """Keep a callback until it is claimed, so that a restart does not lose it."""
        self._connection.execute("INSERT OR IGNORE INTO callbacks VALUES (?, ?, ?)", (task_id, url, due))

    def callbacks(self) -> list[tuple[str, str, float]]:
        """Return the callbacks nobody has claimed: task, address, when."""
        return self._connection.execute("SELECT task_id, url, due FROM callbacks ORDER BY due").fetchall()

    def claim_callback(self, task_id: str, due: float) -> bool:
        """Take a callback; False if another sandbox on the file has taken it."""
        return (
            self._connection.execute(
                "DELETE FROM callbacks WHERE task_id = ? AND due = ? RETURNING 1", (task_id, due)
            ).fetchall()
            != []
        )

    def keep_upload(self, upload: Upload) -> str | None:
        """Remember an uploaded file; returns the file id of the one it replaces."""
        with self._writing() as connection:
            old = connection.execute("SELECT file_id FROM uploads WHERE place = ?", (upload.place,)).fetchone()
            connection.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(upload))
        return old[0] if old else None

    def upload(self, place: str) -> Upload | None:
        """Return an uploaded file that has not expired."""
        row = self._connection.execute(
            "SELECT * FROM uploads WHERE place = ? AND expires > ?", (place, self.clock())
        ).fetchone()
        return Upload(*row) if row else None

    def balance(self, account: str) -> float:
        """Return the account's credits now: the grant less every charge whose task has not failed by now."""
        row = self._connection.execute(
            "SELECT granted - (SELECT coalesce(sum(charged), 0) FROM tasks WHERE account = accounts.account"
            " AND NOT (fail_code != '' AND created + duration <= ?)) FROM accounts WHERE account = ?",
            (self.clock(), account),
        ).fetchone()
        return plain(round(row[0], 4)) if row else 0.0

    def stats(self) -> dict[str, Any]:
        """Return the counters of every account and their totals.

        ``busiest_creates`` is the most creates accepted within any one window of the limit.
        """
        self._count_busiest()
        rows = self._connection.execute(f"SELECT account, {', '.join(COUNTERS)} FROM accounts").fetchall()  # noqa: S608 - our own names
        accounts = {}
        for account, *numbers in rows:
            counted = dict(zip(COUNTERS, numbers, strict=True))
            busiest = self._busiest[account].most
            accounts[account] = {"creates": counted["accepted"], **counted, "busiest_creates": busiest}
        totals = {name: sum(one[name] for one in accounts.values()) for name in ("creates", "looks", "rate_limited")}
        return {"accounts": accounts, **totals, "busiest_creates": self._busiest[_ALL].most}

    def _count_busiest(self) -> None:
        # Only what is new since the last time, by this or another sandbox on the file.
        rows = self._connection.execute(
            "SELECT rowid, account, created FROM tasks WHERE rowid > ? AND model != ? ORDER BY rowid",
            (self._counted_row, _UNCOUNTED),
        ).fetchall()
        for row, account, created in rows:
            self._busiest[account].add(created)
            self._busiest[_ALL].add(created)
            self._counted_row = row


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
