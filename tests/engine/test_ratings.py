"""Ratings and comments: kept in the store, told to galleries and to other kernels, in no task's way."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine.database import Database
from kiegen_nb.engine.store import Store
from kiegen_nb.engine.transitions import Commented, Rated, apply
from kiegen_nb.errors import KiegenError, WrongThread
from kiegen_nb.kie.models.imagen4 import imagen4
from tests.conftest import until
from tests.support.bench import task as task_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.session import Session
    from kiegen_nb.tasks import GenerationTask

PATIENCE = 20.0
SLOW = "a slow sunrise, sandbox:slow=30"


def made(session: Session, prompt: str = "a red kite") -> GenerationTask:
    return session.submit(imagen4(prompt)).result(PATIENCE)


def stored(session: Session, task: GenerationTask) -> GenerationTask:
    found = session._engine.store.get(task.id)
    assert found is not None
    return found


def test_a_rating_and_a_comment_are_kept_and_taken_back_one_by_one(session: Session) -> None:
    task = made(session)
    assert (task.rating, task.comment) == (None, None)
    rated = session.rate(task, 4, comment="  best light\n")
    assert (rated.rating, rated.comment) == (4, "best light")
    assert rated == task.model_copy(update={"rating": 4, "comment": "best light"}), "nothing else has changed"
    assert stored(session, task) == rated
    assert rated.to_json()["rating"] == 4
    assert rated.to_json()["comment"] == "best light"
    assert session.rate(task, None).comment == "best light"
    assert stored(session, task).rating is None
    assert session.rate(task, rating=5).comment == "best light"
    assert session.rate(task, comment=None).rating == 5
    assert session.rate(task, comment=" ").comment is None
    assert session.rate(task).rating == 5, "nothing given, nothing changed"


@pytest.mark.parametrize("rating", [0, 6, -1, 2.0, True, "5"])
def test_a_rating_that_is_none_changes_nothing(session: Session, rating: Any) -> None:
    task = made(session)
    session.rate(task, 3)
    with pytest.raises(
        ValueError, match=r"rating must be a whole number from 1 to 5, or None, not .*Nothing was changed"
    ):
        session.rate(task, rating, comment="gone")
    assert (stored(session, task).rating, stored(session, task).comment) == (3, None)


@pytest.mark.parametrize("comment", [5, "x" * 2001])
def test_a_comment_that_is_no_short_text_changes_nothing(session: Session, comment: Any) -> None:
    task = made(session)
    with pytest.raises(ValueError, match="comment must be a text of at most 2000 characters, or None, not"):
        session.rate(task, 5, comment=comment)
    assert stored(session, task).rating is None


def test_galleries_events_and_handles_are_told(session: Session) -> None:
    handle = session.submit(imagen4("a red kite"))
    task = handle.result(PATIENCE)
    states: list[QueryState] = []
    session.subscribe("default", states.append)
    until(lambda: bool(states) and not states[-1].is_loading)
    events = session.events()
    session.rate(handle, 2)
    until(lambda: states[-1].data[0].rating == 2)
    assert handle.task.rating == 2
    assert [event.name for event in events._events] == ["rated"]
    session.rate(task, comment="too dark")
    until(lambda: states[-1].data[0].comment == "too dark")
    assert [event.name for event in events._events] == ["rated", "commented"]


def test_what_is_rated_twice_the_same_is_no_news(session: Session) -> None:
    task = made(session)
    session.rate(task, 2)
    revision = session._engine.store.revision()
    session.rate(task, 2)
    assert session._engine.store.revision() == revision


def test_a_pending_task_goes_on_and_keeps_what_was_said(session: Session, sandbox: Any) -> None:
    handle = session.submit(imagen4(SLOW))
    assert session.rate(handle, 1, comment="why did I ask").is_pending
    done = handle.result(PATIENCE)
    assert (done.rating, done.comment, done.status) == (1, "why did I ask", "SUCCESS")
    assert sandbox.creates == 1


def test_the_lease_of_whoever_works_on_a_task_stays_as_it_is(session: Session, tmp_path: Path) -> None:
    handle = session.submit(imagen4(SLOW))
    until(lambda: handle.task.external_task_id is not None)
    other = Database(str(tmp_path / "store.sqlite3"))
    try:
        Store(other, session.account, session._engine.clock).apply(handle.id, Rated(5)).result(PATIENCE)
        with other.read() as connection:
            [owner] = connection.exec_driver_sql("SELECT lease_owner FROM tasks").scalars()
    finally:
        other.close()
    assert owner == session._engine.store.owner
    assert handle.result(PATIENCE).rating == 5


def test_another_kernel_sees_a_rating(session: Session, tmp_path: Path) -> None:
    task = made(session)
    states: list[QueryState] = []
    session.subscribe("default", states.append)
    until(lambda: bool(states) and not states[-1].is_loading)
    other = Database(str(tmp_path / "store.sqlite3"))
    try:
        Store(other, session.account, session._engine.clock).apply(task.id, Rated(3)).result(PATIENCE)
    finally:
        other.close()
    session._engine.on_loop(session._engine._keeper.stir)
    until(lambda: states[-1].data[0].rating == 3)


def test_a_restart_and_the_same_request_find_the_rating(make_session: Callable[..., Session]) -> None:
    session = make_session()
    session.rate(made(session), 5, comment="the one")
    session.close()
    again = make_session()
    assert [(task.rating, task.comment) for task in again.history()] == [(5, "the one")]
    assert made(again).rating == 5


def test_a_deleted_or_unknown_task_is_not_rated_and_stays_away(session: Session) -> None:
    task = made(session)
    session.delete([task])
    for gone in (task, task_of("unknown")):
        with pytest.raises(KiegenError, match=f"Task {gone.id} cannot be rated.*deleted"):
            session.rate(gone, 5)
    assert session.tasks().refetch() == ()
    session.restore([task])
    assert session.rate(task, 5).rating == 5


def test_the_engines_own_thread_does_not_wait_for_itself(session: Session) -> None:
    task = made(session)

    async def rate() -> None:
        session.rate(task, 5)

    with pytest.raises(WrongThread):
        session._engine.thread.run(rate())
    assert stored(session, task).rating is None


def test_a_store_of_before_learns_to_rate(make_session: Callable[..., Session], tmp_path: Path) -> None:
    session = make_session()
    task = made(session)
    session.close()
    with sqlite3.connect(tmp_path / "store.sqlite3") as connection:
        for column in ("rating", "comment"):
            connection.execute(f"ALTER TABLE tasks DROP COLUMN {column}")
        connection.execute("UPDATE meta SET value = 3 WHERE name = 'schema'")
    connection.close()
    again = make_session()
    [found] = again.history()
    assert found == task
    assert again.rate(found, 4).rating == 4


def test_an_event_of_the_task_leaves_what_was_said() -> None:
    task = task_of("a")
    rated = apply(apply(task, Rated(4)), Commented("good"))
    assert (rated.rating, rated.comment) == (4, "good")
    assert apply(rated, Rated(4)) is rated
    assert apply(apply(rated, Rated(None)), Commented(None)) == task
