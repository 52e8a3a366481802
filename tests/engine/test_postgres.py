"""PostgreSQL as a team's store: its errors by name, its clock, its restarts, and kernels that follow one another."""

from __future__ import annotations

import builtins
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, make_url, update

from kiegen_nb.engine import database as database_module
from kiegen_nb.engine import schema
from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.engine.database import Database
from kiegen_nb.engine.limits import Limits
from kiegen_nb.engine.location import store_url
from kiegen_nb.engine.store import LEASE_SECONDS, Store, user_name
from kiegen_nb.engine.transitions import Accepted, Refused, Saved, Submitting, Succeeded
from kiegen_nb.errors import StoreError, StoreTooNew
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.service import Outcome, OutcomeKind, Request
from kiegen_nb.tasks import Activity, TaskStatus
from tests.support.fake_kie import PATIENCE, START, FakeClock, Kie, submit, until
from tests.support.worlds import closed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.session import Session
    from kiegen_nb.tasks import GenerationTask
    from tests.support.postgres import Postgres

NOW = datetime.fromtimestamp(START, UTC)


@pytest.fixture
def backend() -> str:
    return "postgresql"


@pytest.fixture
def name(location: str) -> str:
    return str(make_url(location).database)


def insert(store: Store, prompt: str = "a red kite", **options: Any) -> tuple[GenerationTask, bool]:
    params = imagen4(prompt)
    asked = Request("KIE", params.model, params.api_model, params.to_json(), params.identity(), params.wire())
    given: dict[str, Any] = {"prompt_id": "default", "repeat": 0, "fresh": False, **options}
    return store.find_or_insert(asked, **given).result(PATIENCE)


def run(store: Store, task: GenerationTask, *events: Event) -> GenerationTask:
    for event in events:
        _, task = store.apply(task.id, event).result(PATIENCE)
    return task


def address(location: str, **changes: Any) -> str:
    return make_url(location).set(**changes).render_as_string(hide_password=False)


def password_of(location: str) -> str:
    return str(make_url(location).password)


def opened(location: str) -> str:
    """Return what is said when a store is opened that cannot be."""
    with pytest.raises(StoreError) as caught:
        Database(location)
    assert password_of(location) not in str(caught.value)
    assert caught.value.__cause__ is None, "a traceback would show more"
    return str(caught.value)


# Its address.


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql", "postgres"])
def test_its_address_may_be_written_in_three_ways(location: str, scheme: str) -> None:
    written = location.replace("postgresql+psycopg", scheme, 1)
    assert store_url(written) == store_url(location)
    Database(written).close()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("postgresql://user:secret@host:port/db", "neither a path nor a database URL"),
        ("postgresql://user:secret@host", "names no database"),
        ("postgresql+psycopg2://user:secret@host/db", r"begins with postgresql\+psycopg"),
        ("postgresql+asyncpg://user:secret@host/db", r"begins with postgresql\+psycopg"),
        ("mysql://user:secret@host/db", "use SQLite or PostgreSQL"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(written: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        store_url(written)
    assert "sec" not in str(caught.value)


# What goes wrong when it is opened.


def test_a_server_that_is_down_is_named(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "OPENING", (0.01,))
    said = opened(address(location, port=closed_port()))
    assert "no PostgreSQL answers there. Check host and port" in said
    assert "nothing was sent" in said


def test_a_wrong_password_is_named_at_once(location: str) -> None:
    assert "the user or the password is wrong" in opened(address(location, password="wr0ng"))


def test_a_missing_database_is_named_at_once(location: str) -> None:
    assert "the server has no such database" in opened(address(location, database="elsewhere"))


def test_an_unknown_option_is_named(location: str) -> None:
    assert "has an option that psycopg does not know" in opened(f"{location}?speed=high")


def test_a_user_who_may_not_make_tables_is_told_what_to_ask_for(location: str, postgres: Postgres, name: str) -> None:
    postgres.run(name, "REVOKE CREATE ON SCHEMA public FROM kiegen")
    said = opened(location)
    assert "GRANT CREATE ON SCHEMA public" in said


def test_an_encoding_that_cannot_hold_every_prompt_is_refused(postgres: Postgres, location: str) -> None:
    latin = postgres.create("LATIN1")
    said = opened(address(location, database=latin))
    postgres.drop(latin)
    assert "createdb --encoding=UTF8" in said


def test_a_missing_psycopg_is_named_with_the_line_that_installs_it(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'kiegen_nb[postgres]'" in opened(location)


# Its tables.


def test_eight_kernels_that_start_at_once_make_the_tables_once(location: str) -> None:
    start = threading.Barrier(8)
    made: list[Database] = []

    def begin() -> None:
        start.wait(PATIENCE)
        made.append(Database(location))

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for one in made:
        one.close()
    assert len(made) == 8


def shape(location: str) -> dict[str, set[str]]:
    engine = create_engine(location)
    found = inspect(engine)
    shown = {
        table: {f"{column['name']} {column['type']} {column['nullable']}" for column in found.get_columns(table)}
        | {str(index["name"]) for index in found.get_indexes(table)}
        for table in found.get_table_names()
    }
    engine.dispose()
    return shown


def test_an_older_store_is_brought_up_to_date_by_one_of_two_kernels(
    location: str, postgres: Postgres, name: str, clock: FakeClock
) -> None:
    first = Database(location)
    task = run(Store(first, "account", clock), insert(Store(first, "account", clock))[0], Submitting(NOW))
    first.close()
    new = shape(location)
    postgres.run(
        name, "ALTER TABLE tasks DROP COLUMN deleted_at, DROP COLUMN took, DROP COLUMN rating, DROP COLUMN comment"
    )
    postgres.run(name, "DROP INDEX tasks_by_model")
    postgres.run(name, "DROP TABLE uploads, looks")
    postgres.run(name, "UPDATE meta SET value = 1 WHERE name = 'schema'")

    kernels: list[Database] = []
    threads = [threading.Thread(target=lambda: kernels.append(Database(location))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert shape(location) == new
    assert [Store(kernel, "account", clock).get(task.id) for kernel in kernels] == [task, task]
    for kernel in kernels:
        kernel.close()


def test_a_newer_store_is_refused_and_not_touched(location: str, postgres: Postgres, name: str) -> None:
    Database(location).close()
    postgres.run(name, "UPDATE meta SET value = 99 WHERE name = 'schema'")
    before = postgres.rows(name, "SELECT * FROM meta ORDER BY name")
    with pytest.raises(StoreTooNew, match="schema 99"):
        Database(location)
    assert postgres.rows(name, "SELECT * FROM meta ORDER BY name") == before


def test_whatever_a_service_says_is_stored(store: Store) -> None:
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("x" * 500 + "\0"))
    assert task.external_task_id == "x" * 500 + "\0"
    found = store.get(task.id)
    assert found is not None
    assert found.external_task_id == "x" * 500 + "\N{REPLACEMENT CHARACTER}"
    other = run(store, insert(store, "another")[0], Submitting(NOW), Refused("c" * 300, "half a \ud83e and \0", NOW))
    found = store.get(other.id)
    assert found is not None
    assert (found.fail_code, found.fail_msg) == ("c" * 300, "half a ? and \N{REPLACEMENT CHARACTER}")


# Whose clock counts.


class Wrong(SystemClock):
    """A clock that is minutes off."""

    def __init__(self, seconds: float) -> None:
        self._off = seconds

    def time(self) -> float:
        return super().time() + self._off


@pytest.fixture
def hosts(location: str) -> Iterator[Callable[[float], tuple[Store, Limits]]]:
    """Makes the stores of hosts whose clocks are off by so many seconds."""
    opened: list[Database] = []

    def make(off: float) -> tuple[Store, Limits]:
        database = Database(location)
        opened.append(database)
        return Store(database, "account", Wrong(off)), Limits(database, "account", Wrong(off))

    yield make
    for database in opened:
        database.close()


@pytest.mark.parametrize(("here", "there"), [(0.0, 600.0), (0.0, -600.0), (-300.0, 300.0)])
def test_a_lease_lasts_as_long_whatever_the_hosts_clocks_say(
    hosts: Callable[[float], tuple[Store, Limits]], here: float, there: float, postgres: Postgres, name: str
) -> None:
    (store, _), (other, _) = hosts(here), hosts(there)
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    distant(store)
    assert other.is_busy()
    assert other.take_over().result(PATIENCE) == []
    [(now,)] = postgres.rows(name, "SELECT extract(epoch from clock_timestamp())::float8")
    postgres.set_clock(name, now + LEASE_SECONDS + 1)
    assert not other.is_busy()
    assert [found.id for found in other.take_over().result(PATIENCE)] == [task.id]
    distant(other)
    assert store.take_over().result(PATIENCE) == []


def distant(store: Store) -> None:
    """Put every row into the hands of a machine nobody can look at."""
    change = update(schema.tasks).values(lease_owner="another-machine|1|77|cafe0000")
    store._database.write(lambda connection: connection.execute(change)).result(PATIENCE)


def test_slots_and_looks_are_shared_whatever_the_hosts_clocks_say(
    hosts: Callable[[float], tuple[Store, Limits]], postgres: Postgres, name: str
) -> None:
    postgres.set_clock(name, START)
    (_, here), (_, there) = hosts(0.0), hosts(-900.0)
    for number in range(20):
        assert here.take_slot(f"{number}").result(PATIENCE) == 0.0
        here.end_slot(f"{number}", used=True).result(PATIENCE)
    assert there.creates_in_window() == 20
    assert there.take_slot("late").result(PATIENCE) == pytest.approx(10.0)
    first = here.reserve_looks(3).result(PATIENCE)
    then = there.reserve_looks(1).result(PATIENCE)
    # Each says it in its own time: the fourth comes a ninth of a second after the third, everywhere.
    assert then[0] + 900.0 - first[2] == pytest.approx(1 / 9, abs=0.05 + lag(first))
    postgres.set_clock(name, START + 10.1)
    assert there.take_slot("late").result(PATIENCE) == 0.0


def lag(moments: tuple[float, ...]) -> float:
    """Return how much later than the first of these moments it is now: the hosts' clocks go on in between."""
    return abs(SystemClock().time() - moments[0])


def test_a_gallery_is_in_the_order_of_the_stores_clock(hosts: Callable[[float], tuple[Store, Limits]]) -> None:
    (ahead, _), (behind, _) = hosts(600.0), hosts(-600.0)
    tasks = [insert(store, str(number))[0].id for number, store in enumerate((ahead, behind, ahead, behind))]
    assert [task.id for task in behind.by_prompt("default")] == tasks[::-1]


def test_after_a_restart_of_the_server_nobody_loses_a_lease_that_could_not_be_renewed(
    store: Store, postgres: Postgres, clock: FakeClock, name: str
) -> None:
    run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    distant(store)
    [(up,)] = postgres.rows(name, "SELECT extract(epoch from pg_postmaster_start_time())::float8")
    clock.now = up + 5
    store._database.write(lambda c: c.execute(update(schema.tasks).values(lease_until=up - 1))).result(PATIENCE)
    assert store.take_over().result(PATIENCE) == []
    clock.now = up + LEASE_SECONDS + 1
    assert len(store.take_over().result(PATIENCE)) == 1


# Connections that die.


def test_idle_connections_that_died_are_replaced(store: Store, postgres: Postgres, name: str) -> None:
    task, _ = insert(store)
    assert store.get(task.id) == task
    assert postgres.disconnect(name) >= 2
    assert store.get(task.id) == task
    postgres.disconnect(name)
    run(store, task, Submitting(NOW))
    found = store.get(task.id)
    assert found is not None
    assert found.activity is Activity.SUBMITTING


def test_reads_and_writes_wait_while_the_server_is_started_again(store: Store, postgres: Postgres) -> None:
    task, _ = insert(store)
    postgres.pause()
    written = store.apply(task.id, Submitting(NOW))
    found: list[GenerationTask | None] = []
    reader = threading.Thread(target=lambda: found.append(store.get(task.id)))
    reader.start()
    postgres.resume()
    assert written.result(PATIENCE)[1].activity is Activity.SUBMITTING
    reader.join(PATIENCE)
    assert [one and one.id for one in found] == [task.id]


def test_a_server_that_stays_away_is_told_and_found_again(
    store: Store, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "RECONNECTING", (0.01,))
    task, _ = insert(store)
    postgres.pause()
    for _ in range(2):  # the second time it is not waited for
        with pytest.raises(StoreError, match="could not be written"):
            run(store, task, Submitting(NOW))
        with pytest.raises(StoreError, match="could not be read") as caught:
            store.get(task.id)
        assert "\n" not in str(caught.value)
    postgres.resume()
    assert store.get(task.id) == task
    assert run(store, task, Submitting(NOW)).activity is Activity.SUBMITTING


def test_a_store_whose_server_is_gone_closes_at_once(location: str, postgres: Postgres, clock: FakeClock) -> None:
    database = Database(location)
    postgres.pause()
    left = Store(database, "account", clock).release()
    database.close()
    postgres.resume()
    assert isinstance(left.exception(PATIENCE), StoreError)


class LostAnswer:
    """Loses the answer to the next commit: it is done, and nobody is told."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._commit = database._writer.dialect.do_commit
        self.lost = 1
        monkeypatch.setattr(database._writer.dialect, "do_commit", self)

    def __call__(self, connection: Any) -> None:
        self._commit(connection)
        if self.lost:
            self.lost -= 1
            connection.dbapi_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def lose(database: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[[], LostAnswer]:
    return lambda: LostAnswer(database, monkeypatch)


def test_a_request_whose_insertion_was_answered_by_nobody_is_ours_to_send(
    store: Store, lose: Callable[[], LostAnswer]
) -> None:
    for number, repeat in enumerate((0, None, None)):
        lost = lose()
        task, ours = insert(store, repeat=repeat)
        assert (ours, task.repeat, lost.lost) == (True, number, 0)
    assert len(store.by_prompt("default")) == 3


def test_an_event_whose_commit_was_answered_by_nobody_counts_as_new(
    store: Store, lose: Callable[[], LostAnswer]
) -> None:
    task, _ = insert(store)
    events: list[Event] = [
        Submitting(NOW),
        Accepted("ext"),
        Succeeded(Outcome(OutcomeKind.SUCCEEDED), (), NOW),
        Saved(()),
    ]
    for event in events:
        lose()
        before, after = store.apply(task.id, event).result(PATIENCE)
        assert before != after
        assert store.get(task.id) == after


def test_leases_deletions_and_slots_survive_a_lost_answer(
    store: Store, database: Database, clock: FakeClock, lose: Callable[[], LostAnswer]
) -> None:
    task = run(store, insert(store)[0], Submitting(NOW), Accepted("ext"))
    queued, _ = insert(store, "queued")
    distant(store)
    clock.now += LEASE_SECONDS + 1
    lose()
    assert [found.id for found in store.take_over().result(PATIENCE)] == [task.id]
    lose()
    assert [found.id for found in store.take_queued().result(PATIENCE)] == [queued.id]
    run(store, task, Succeeded(Outcome(OutcomeKind.SUCCEEDED), (), NOW), Saved(()))
    lose()
    assert store.delete([task.id]).result(PATIENCE) == {task.id}
    lose()
    assert store.restore([task.id]).result(PATIENCE) == {task.id}
    limits = Limits(database, "account", clock, creates=1)
    lose()
    assert limits.take_slot("slot").result(PATIENCE) == 0.0
    assert limits.creates_in_window() == 1
    assert limits.take_slot("other").result(PATIENCE) > 0
    lose()
    limits.end_slot("slot", used=False).result(PATIENCE)
    assert limits.take_slot("other").result(PATIENCE) == 0.0


def test_an_answer_that_comes_while_the_server_is_away_is_stored_when_it_is_back(
    engine: Engine, kie: Kie, clock: FakeClock, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "RECONNECTING", (0.01,))
    kie.before_create = postgres.pause
    handle = submit(engine)
    until(lambda: engine._database._is_down)
    assert handle.task.activity is Activity.SUBMITTING
    postgres.resume()

    def goes_on(so_far: Callable[[], object]) -> bool:
        clock.advance(1.0)
        return bool(so_far())

    until(lambda: goes_on(lambda: handle.task.external_task_id))
    assert len(kie.creates) == 1
    until(lambda: goes_on(lambda: kie.looks))


# Who asked, and what is shown of the store.


def test_every_row_says_who_asked_and_in_which_group(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch, postgres: Postgres, name: str
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    user_name.cache_clear()
    session = make_session()
    mine = session.submit(imagen4("a red kite"), prompt_id="kites").task
    monkeypatch.setenv("JUPYTERHUB_USER", "grace")
    user_name.cache_clear()
    theirs = session.submit(imagen4("a blue kite"), prompt_id="kites").task
    boat = session.submit(imagen4("a blue boat"), prompt_id="boats").task
    monkeypatch.undo()
    user_name.cache_clear()

    rows = postgres.rows(name, 'SELECT id, "user", prompt_id FROM tasks')
    assert set(rows) == {(mine.id, "ada", "kites"), (theirs.id, "grace", "kites"), (boat.id, "grace", "boats")}
    assert [task.user for task in session.history("kites")] == ["grace", "ada"]
    assert {task.id for task in session.history(user="grace")} == {theirs.id, boat.id}
    assert {task.id for task in session.history("kites", user="grace")} == {theirs.id}
    assert session.history(user="nobody") == ()


def test_the_password_is_shown_nowhere(
    make_session: Callable[..., Session], location: str, caplog: pytest.LogCaptureFixture, postgres: Postgres
) -> None:
    caplog.set_level(logging.DEBUG)
    session = make_session(database_url=f"{location}?application_name=team")
    postgres.disconnect(str(make_url(location).database))
    task = session.submit(imagen4("a red kite")).result(PATIENCE)
    health = session.health()
    assert health.store.startswith("postgresql+psycopg://kiegen:***@127.0.0.1")
    assert "?" not in health.store
    shown = [repr(session), repr(health), str(health), repr(task), task.to_json(), repr(session._engine._database)]
    shown += [repr(session._engine._database.url), caplog.text, *map(repr, caplog.records)]
    assert task.status is TaskStatus.SUCCESS
    for secret in (password_of(location), address(location).partition("kiegen:")[2].partition("@")[0]):
        assert all(secret not in str(one) for one in shown)
