"""The store: one row per request, whoever asks; leases, transactions, and what a file must be."""

from __future__ import annotations

import contextlib
import gc
import json
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update

from kiegen_nb.engine import location, schema
from kiegen_nb.engine.database import Database
from kiegen_nb.engine.limits import Limits
from kiegen_nb.engine.location import store_url
from kiegen_nb.engine.store import LEASE_SECONDS, Store, _host, _is_dead
from kiegen_nb.engine.transitions import Accepted, Refused, Saved, Submitting, Succeeded, Unconfirmed
from kiegen_nb.errors import SessionClosed, StoreError, StoreOnNetworkFolder, StoreTooNew
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.service import Outcome, OutcomeKind, Request
from kiegen_nb.tasks import Activity, Asset, AssetKind, GenerationTask, TaskStatus
from tests.support.fake_kie import START, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from kiegen_nb.engine.transitions import Event

pytestmark = pytest.mark.stores
PATIENCE = 20.0
NOW = datetime.fromtimestamp(START, UTC)


def request(prompt: str = "a red kite") -> Request:
    params = imagen4(prompt)
    return Request("KIE", params.model, params.api_model, params.to_json(), params.identity(), params.wire())


def insert(store: Store, prompt: str = "a red kite", **options: Any) -> tuple[GenerationTask, bool]:
    given: dict[str, Any] = {"prompt_id": "default", "repeat": 0, "fresh": False, **options}
    return store.find_or_insert(request(prompt), **given).result(PATIENCE)


def run(store: Store, task: GenerationTask, *events: Event) -> GenerationTask:
    for event in events:
        _, task = store.apply(task.id, event).result(PATIENCE)
    return task


def owned_by(store: Store, task: GenerationTask) -> str | None:
    with store._database.read() as connection:
        query = select(schema.tasks.c.lease_owner).where(schema.tasks.c.id == task.id)
        owner: str | None = connection.execute(query).scalar_one()
    return owner


def give_to(store: Store, owner: str) -> None:
    """Put every row into another process's hands."""
    store._database.write(lambda connection: connection.execute(update(schema.tasks).values(lease_owner=owner))).result(
        PATIENCE
    )


DEAD = f"{_host()}|1|a start time no process has|cafe0000"
ELSEWHERE = "another-machine|1|77|cafe0000"


# Finding and inserting.


def test_a_row_gives_back_every_field_of_its_task(store: Store) -> None:
    asset = Asset(kind=AssetKind.IMAGE, url="https://x/a.png", path=Path("/x/a.png"), width=4, height=3, sha256="00")
    outcome = Outcome(OutcomeKind.SUCCEEDED, state="success", result_json='{"ü": 1}', credits_consumed=4.5)
    task, _ = insert(store, "ein roter Drachen äöü 🪁", prompt_id="Gruppe ☃", repeat=2, parent_id="f" * 32)
    task = run(store, task, Submitting(NOW), Accepted("ext"), Succeeded(outcome, (asset,), NOW), Saved((asset,)))
    assert store.get(task.id) == task
    assert (task.prompt, task.prompt_id, task.repeat, task.parent_id) == (
        "ein roter Drachen äöü 🪁",
        "Gruppe ☃",
        2,
        "f" * 32,
    )
    assert (task.submitted_at, task.completed_at, task.assets, task.credits_consumed) == (NOW, NOW, (asset,), 4.5)


def test_the_same_request_is_found_and_only_its_first_asker_sends_it(store: Store) -> None:
    task, ours = insert(store)
    again, ours_again = insert(store)
    assert (again.id, ours, ours_again) == (task.id, True, False)


def test_eight_threads_asking_at_once_insert_one_row(store: Store) -> None:
    found: list[tuple[GenerationTask, bool]] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait(PATIENCE)
        found.append(insert(store))

    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(PATIENCE)
    assert len({task.id for task, _ in found}) == 1
    assert sum(ours for _, ours in found) == 1
    assert len(store.by_prompt("default")) == 1


def test_two_kernels_on_one_store_insert_one_row(store: Store, location: str, clock: FakeClock) -> None:
    second = Database(location)
    try:
        other = Store(second, "account", clock)
        given: dict[str, Any] = {"prompt_id": "default", "repeat": 0, "fresh": False}
        futures = [one.find_or_insert(request(str(n)), **given) for n in range(20) for one in (store, other)]
        found = [future.result(PATIENCE) for future in futures]
        assert len({task.id for task, _ in found}) == 20
        assert sum(ours for _, ours in found) == 20
    finally:
        second.close()


@pytest.mark.parametrize("options", [{"prompt_id": "other"}, {"repeat": 1}, {"fresh": True}])
def test_another_group_number_or_purpose_is_another_row(store: Store, options: dict[str, Any]) -> None:
    task, _ = insert(store)
    other, ours = insert(store, **options)
    assert other.id != task.id
    assert ours


def test_another_account_is_another_world(store: Store, database: Database, clock: FakeClock) -> None:
    other = Store(database, "another account", clock)
    task, _ = insert(store)
    theirs, ours = insert(other)
    assert ours
    assert theirs.id != task.id
    assert other.get(task.id) is None
    assert [found.id for found in other.by_prompt("default")] == [theirs.id]
    run(store, task, Submitting(NOW), Accepted("ext"))
    clock.now += LEASE_SECONDS + 1
    assert other.take_over().result(PATIENCE) == []


@pytest.mark.parametrize(
    ("event", "anew"), [(Refused("402", "no", NOW), True), (Unconfirmed(NOW, "lost"), False), (Accepted("ext"), False)]
)
def test_only_a_refused_request_is_asked_anew(store: Store, event: Event, *, anew: bool) -> None:
    task, _ = insert(store)
    run(store, task, Submitting(NOW), event)
    again, ours = insert(store)
    assert (again.id != task.id) is anew
    assert ours is anew
    assert again.attempt == (1 if anew else 0)


def test_the_next_free_repeat_counts_from_the_highest(store: Store) -> None:
    assert [insert(store, repeat=number)[0].repeat for number in (None, None, 7, None)] == [0, 1, 7, 8]


def test_a_group_is_read_newest_first(store: Store, clock: FakeClock) -> None:
    names = []
    for number in range(5):
        clock.now += 1
        names.append(insert(store, str(number))[0].id)
    assert [task.id for task in store.by_prompt("default")] == names[::-1]


# Events.


def test_an_event_that_changes_nothing_writes_nothing(store: Store) -> None:
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    before = store.revision()
    assert run(store, task, Accepted("other"), Submitting(NOW)).external_task_id == "ext"
    assert store.revision() == before


def test_followers_see_what_changed_since_they_looked(store: Store, database: Database, clock: FakeClock) -> None:
    follower = Store(database, "account", clock)
    first, _ = insert(store, "one")
    revision, changed, _ = follower.changed_since(0)
    assert [task.id for task in changed] == [first.id]
    second, _ = insert(store, "two")
    run(store, second, Submitting(NOW))
    revision, changed, _ = follower.changed_since(revision)
    assert [(task.id, task.activity) for task in changed] == [(second.id, Activity.SUBMITTING)]
    assert follower.changed_since(revision) == (revision, [], [])


# Leases.


def test_a_lease_is_given_back_with_the_outcome(store: Store) -> None:
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    assert owned_by(store, task) == store.owner
    assert store.is_busy()
    run(store, task, Succeeded(Outcome(OutcomeKind.SUCCEEDED), (), NOW))
    assert owned_by(store, task) == store.owner, "its files are not here yet"
    run(store, task, Saved(()))
    assert owned_by(store, task) is None
    assert not store.is_busy()


def test_nobody_takes_over_while_a_lease_lasts_and_one_does_when_it_ran_out(
    store: Store, database: Database, clock: FakeClock
) -> None:
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    others = [Store(database, "account", clock) for _ in range(3)]
    clock.now += LEASE_SECONDS
    assert [other.take_over().result(PATIENCE) for other in others] == [[], [], []]
    clock.now += 0.1
    taken = [other.take_over().result(PATIENCE) for other in others]
    assert [len(tasks) for tasks in taken] == [1, 0, 0]
    assert owned_by(store, task) == others[0].owner


def test_tending_keeps_ones_own_leases(store: Store, database: Database, clock: FakeClock) -> None:
    run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    for _ in range(5):
        clock.now += LEASE_SECONDS - 1
        assert store.take_over().result(PATIENCE) == []
    assert Store(database, "account", clock).take_over().result(PATIENCE) == []


@pytest.mark.parametrize(("owner", "at_once"), [(DEAD, True), (ELSEWHERE, False)], ids=["dead", "elsewhere"])
def test_a_dead_process_is_followed_at_once_and_a_distant_one_after_its_lease(
    store: Store, clock: FakeClock, owner: str, *, at_once: bool
) -> None:
    run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    give_to(store, owner)
    assert len(store.take_over().result(PATIENCE)) == (1 if at_once else 0)
    if not at_once:
        clock.now += LEASE_SECONDS + 1
        assert len(store.take_over().result(PATIENCE)) == 1


def test_this_very_process_is_alive_and_a_reused_process_number_is_not(store: Store) -> None:
    host, pid, _, _ = store.owner.split("|")
    assert not _is_dead(store.owner)
    assert _is_dead(f"{host}|{pid}|1|cafe0000")
    assert not _is_dead(ELSEWHERE)
    assert _is_dead(None)


def test_queued_requests_of_the_dead_are_left_alone_until_somebody_asks(store: Store, clock: FakeClock) -> None:
    task, _ = insert(store)
    give_to(store, DEAD)
    clock.now += 1000
    assert store.take_over().result(PATIENCE) == []
    again, ours = insert(store)
    assert (again.id, ours) == (task.id, True)
    assert insert(store)[1] is False, "now it is ours already"
    give_to(store, DEAD)
    assert [task.id for task in store.take_queued().result(PATIENCE)] == [task.id]
    assert store.take_queued().result(PATIENCE) == []


def test_a_released_lease_is_free_at_once(store: Store, database: Database, clock: FakeClock) -> None:
    run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    store.release().result(PATIENCE)
    assert len(Store(database, "account", clock).take_over().result(PATIENCE)) == 1


# Slots: 20 creates in 10 seconds, whoever sends them.


# Transactions and the writer.


def test_an_error_undoes_its_own_change_and_nobody_elses(database: Database) -> None:
    gate = threading.Event()

    def add(value: str) -> Callable[[Any], None]:
        def work(connection: Any) -> None:
            connection.execute(schema.meta.insert(), [{"name": value, "value": 1}])
            if value == "bad":
                raise ValueError("no")

        return work

    # The first holds the writer, so that the others share a transaction.
    futures: list[Future[Any]] = [
        database.write(lambda _: gate.wait(PATIENCE)),
        *(database.write(add(name)) for name in ("a", "bad", "b")),
    ]
    gate.set()
    futures[1].result(PATIENCE)
    futures[3].result(PATIENCE)
    with pytest.raises(ValueError, match="no"):
        futures[2].result(PATIENCE)
    with database.read() as connection:
        names = set(connection.execute(select(schema.meta.c.name)).scalars())
    assert {"a", "b"} <= names
    assert "bad" not in names


def test_a_waiter_that_gave_up_harms_neither_its_write_nor_the_others(database: Database) -> None:
    gate = threading.Event()

    def held(_: Any) -> None:
        gate.wait(PATIENCE)

    def insert_row(connection: Any) -> None:
        connection.execute(schema.meta.insert(), [{"name": "given up", "value": 1}])

    first = database.write(held)
    dropped = database.write(insert_row)
    last: Future[str] = database.write(lambda _: "written")
    assert dropped.cancel()
    gate.set()
    first.result(PATIENCE)
    assert last.result(5) == "written"
    assert database.write(lambda _: "still there").result(PATIENCE) == "still there"
    with database.read() as connection:
        assert "given up" in connection.execute(select(schema.meta.c.name)).scalars().all()


def test_a_waiter_that_gave_up_on_a_write_that_fails_harms_nobody(database: Database) -> None:
    gate = threading.Event()

    def fail(_: Any) -> None:
        gate.wait(PATIENCE)
        raise ValueError("no")

    dropped = database.write(fail)
    assert dropped.cancel()
    gate.set()
    assert database.write(lambda _: "still there").result(PATIENCE) == "still there"


def test_what_is_queued_is_written_before_the_store_closes(location: str) -> None:
    database = Database(location)
    futures = [
        database.write(lambda connection: connection.execute(text("UPDATE meta SET value = value + 1")))
        for _ in range(50)
    ]
    database.close()
    assert all(future.done() for future in futures)
    with pytest.raises(SessionClosed):
        database.write(lambda _: None).result(PATIENCE)


def test_a_store_survives_a_restart(location: str, clock: FakeClock) -> None:
    first = Database(location)
    task, _ = insert(Store(first, "account", clock))
    first.close()
    second = Database(location)
    assert Store(second, "account", clock).get(task.id) == task
    assert task.status is TaskStatus.PENDING
    second.close()


# What a store may be.


@pytest.mark.parametrize("location", ["sqlite://", "sqlite:///:memory:", "mysql://host/db", "what is this://"])
def test_a_store_that_would_forget_or_is_not_supported_is_refused(location: str) -> None:
    with pytest.raises(StoreError):
        store_url(location)


def test_a_password_is_never_shown() -> None:
    assert "secret" not in str(store_url("postgresql://user:secret@host/db"))


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_folder_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(location, "_file_system", lambda _: kind)
    with pytest.raises(StoreOnNetworkFolder, match=rf"{kind}.*PostgreSQL"):
        Database(str(tmp_path / "x.sqlite3"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be made"):
        Database(str(tmp_path / "file" / "sub" / "x.sqlite3"))


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite3").write_bytes(b"no database " * 200)
    with pytest.raises(StoreError, match=r"x\.sqlite3 cannot be opened"):
        Database(str(tmp_path / "x.sqlite3"))


# A store of another version.

FIRST_SCHEMA = """
CREATE TABLE meta (name VARCHAR(40) NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (name));
CREATE TABLE tasks (
  id VARCHAR(32) NOT NULL, account VARCHAR(200) NOT NULL, user VARCHAR(200) NOT NULL, prompt_id VARCHAR(200) NOT NULL,
  identity VARCHAR(64) NOT NULL, repeat INTEGER NOT NULL, attempt INTEGER NOT NULL, service VARCHAR(20) NOT NULL,
  model VARCHAR(40) NOT NULL, api_model VARCHAR(200) NOT NULL, status VARCHAR(10) NOT NULL, state VARCHAR(100),
  activity VARCHAR(12), external_task_id VARCHAR(200), provider_params TEXT NOT NULL, result_json TEXT,
  fail_code VARCHAR(100), fail_msg TEXT, note TEXT, created_at FLOAT NOT NULL, submitted_at FLOAT, completed_at FLOAT,
  assets TEXT NOT NULL, credits_consumed FLOAT, parent_id VARCHAR(32), lease_owner VARCHAR(200), lease_until FLOAT,
  revision INTEGER NOT NULL, PRIMARY KEY (id),
  CONSTRAINT one_row_per_request UNIQUE (account, prompt_id, identity, repeat, attempt));
CREATE INDEX tasks_by_prompt ON tasks (account, prompt_id, created_at);
CREATE INDEX tasks_by_revision ON tasks (account, revision);
CREATE INDEX tasks_by_activity ON tasks (account, activity);
CREATE TABLE creates (
  id VARCHAR(32) NOT NULL, account VARCHAR(200) NOT NULL, started_at FLOAT NOT NULL, ended_at FLOAT, PRIMARY KEY (id));
CREATE INDEX creates_by_account ON creates (account, started_at);
CREATE TABLE documents (
  name VARCHAR(100) NOT NULL, value TEXT NOT NULL, updated_at FLOAT NOT NULL, PRIMARY KEY (name));
INSERT INTO meta VALUES ('schema', 1), ('revision', 7);
INSERT INTO documents VALUES ('catalogue', '{}', 1.0);
"""
"""The tables as the first version made them."""


def first_row(task_id: str, prompt: str, **values: Any) -> dict[str, Any]:
    """Return a row as the first version wrote it."""
    asked = request(prompt)
    return {
        "id": task_id, "account": "account", "user": "somebody", "prompt_id": "default", "identity": asked.identity,
        "repeat": 0, "attempt": 0, "service": "KIE", "model": asked.model, "api_model": asked.api_model,
        "status": "PENDING", "activity": "watching", "external_task_id": f"ext {prompt}",
        "provider_params": json.dumps(asked.provider_params), "created_at": START, "submitted_at": START,
        "assets": "[]", "revision": 7, **values,
    }  # fmt: skip


def write_row(file: Path, row: dict[str, Any]) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO tasks ({', '.join(row)}) VALUES ({marks})", row)  # noqa: S608 - our own names


@pytest.fixture
def first_store(tmp_path: Path) -> Path:
    """A store of the first version, with a finished task and one that is being watched."""
    file = tmp_path / "old.sqlite3"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.executescript(FIRST_SCHEMA)
    asset = {"kind": "image", "url": "https://x/a.png", "path": "/x/a.png", "sha256": "00"}
    done = {"status": "SUCCESS", "activity": None, "completed_at": START + 9, "credits_consumed": 4.0}
    write_row(file, first_row("a" * 32, "done", assets=json.dumps([asset]), result_json="{}", **done))
    write_row(file, first_row("b" * 32, "running", state="generating"))
    return file


def schema_of(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()[0])


def test_a_store_of_the_first_version_keeps_its_rows(first_store: Path, clock: FakeClock) -> None:
    asset = Asset(kind=AssetKind.IMAGE, url="https://x/a.png", path=Path("/x/a.png"), sha256="00")
    for _ in range(2):  # the second time there is nothing to do
        database = Database(str(first_store))
        store = Store(database, "account", clock)
        running, done = sorted(store.by_prompt("default"), key=lambda task: task.id, reverse=True)
        assert (done.prompt, done.status, done.took, done.credits_consumed) == ("done", TaskStatus.SUCCESS, None, 4.0)
        assert done.assets == (asset,)
        assert (running.prompt, running.activity, running.external_task_id) == ("running", "watching", "ext running")
        assert (store.revision(), store.document("catalogue"), store.durations(done.api_model)) == (7, "{}", [])
        database.close()
    assert schema_of(first_store) == schema.SCHEMA_VERSION


def test_a_store_of_the_first_version_is_worked_on(first_store: Path, clock: FakeClock) -> None:
    database = Database(str(first_store))
    store = Store(database, "account", clock)
    assert insert(store, "done")[0].id == "a" * 32, "it is found, not paid for again"
    [running] = store.take_over().result(PATIENCE)
    assert running.id == "b" * 32
    outcome = Outcome(OutcomeKind.SUCCEEDED, state="success", took=12.5)
    run(store, running, Succeeded(outcome, (), NOW), Saved(()))
    assert store.durations(running.api_model) == [12.5]
    new, ours = insert(store, "new")
    assert ours
    assert len(store.by_prompt("default")) == 3
    limits = Limits(database, "account", clock)
    assert limits.take_slot("slot").result(PATIENCE) == 0.0
    assert limits.reserve_looks(1).result(PATIENCE) == (clock.now,)
    database.close()

    # A kernel that still runs the first version goes on with the same file.
    write_row(first_store, first_row("c" * 32, "from an older kernel"))
    database = Database(str(first_store))
    assert {task.id for task in Store(database, "account", clock).by_prompt("default")} == {
        "a" * 32, running.id, new.id, "c" * 32,
    }  # fmt: skip
    database.close()


def test_an_old_store_has_the_same_tables_and_indexes_as_a_new_one_after_it_was_opened(
    first_store: Path, tmp_path: Path
) -> None:
    def shape(file: Path) -> set[tuple[str, ...]]:
        Database(str(file)).close()
        with contextlib.closing(sqlite3.connect(file)) as connection:
            names = connection.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
            tables = [name for kind, name in names if kind == "table"]
            columns = [
                (table, *map(str, (name, kind, required)))
                for table in tables
                for _, name, kind, required, *_ in connection.execute(f"PRAGMA table_info({table})")
            ]
        return {*names, *columns}

    assert shape(first_store) == shape(tmp_path / "new.sqlite3")


def test_a_store_of_a_newer_version_is_refused_and_not_touched(first_store: Path) -> None:
    with contextlib.closing(sqlite3.connect(first_store)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    before = first_store.read_bytes()

    with pytest.raises(StoreTooNew, match="schema 99"):
        Database(str(first_store))
    gc.collect()

    assert first_store.read_bytes() == before
    assert schema_of(first_store) == 99
