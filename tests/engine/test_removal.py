"""Deleting finished tasks: out of every gallery, files put away, undone at will, never paid for twice."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine import schema
from kiegen_nb.engine.database import Database
from kiegen_nb.errors import KiegenError, StoreError, TaskFailed
from kiegen_nb.kie.models.imagen4 import imagen4
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.session import Session
    from kiegen_nb.tasks import GenerationTask

PATIENCE = 20.0


def files_of(task: GenerationTask) -> list[Path]:
    [asset] = task.assets
    assert asset.path is not None
    assert asset.thumbnail is not None
    return [asset.path, asset.path.with_name(f"{asset.path.name}.json"), asset.thumbnail]


def aside(session: Session, file: Path) -> Path:
    return session.output_dir / ".deleted" / file.relative_to(session.output_dir)


def made(session: Session, prompt: str = "a red kite") -> GenerationTask:
    return session.submit(imagen4(prompt)).result(PATIENCE)


class Watcher:
    """What a gallery would show."""

    def __init__(self, session: Session) -> None:
        self.states: list[QueryState] = []
        session.subscribe("default", self.states.append)

    def shows(self, *tasks: GenerationTask) -> bool:
        return bool(self.states) and {task.id for task in self.states[-1].data} == {task.id for task in tasks}


def test_a_deleted_task_leaves_every_gallery_and_its_files_are_put_away(session: Session) -> None:
    first, second = made(session), made(session, "a lighthouse")
    watcher = Watcher(session)
    until(lambda: watcher.shows(first, second))
    contents = [file.read_bytes() for file in files_of(first)]
    session.delete([first])
    until(lambda: watcher.shows(second))
    assert [task.id for task in session.tasks().refetch()] == [second.id]
    assert not any(file.exists() for file in files_of(first))
    assert [aside(session, file).read_bytes() for file in files_of(first)] == contents
    assert all(file.exists() for file in files_of(second))


@pytest.mark.stores
def test_a_deletion_can_be_undone(session: Session) -> None:
    first, second = made(session), made(session, "a lighthouse")
    watcher = Watcher(session)
    session.delete([first, second])
    until(watcher.shows)
    session.restore([first])
    until(lambda: watcher.shows(first))
    assert all(file.exists() for file in files_of(first))
    assert not any(file.exists() for file in files_of(second))
    session.restore([first])  # nothing is left to undo
    assert watcher.shows(first)


@pytest.mark.stores
def test_the_same_request_brings_a_deleted_task_back_and_pays_nothing(session: Session, sandbox: Any) -> None:
    task = made(session)
    watcher = Watcher(session)
    session.delete([task])
    until(watcher.shows)
    assert made(session).id == task.id
    assert sandbox.creates == 1
    until(lambda: watcher.shows(task))
    assert all(file.exists() for file in files_of(task))
    assert [found.id for found in session.tasks().refetch()] == [task.id]


@pytest.mark.stores
def test_a_restart_finds_what_was_deleted_deleted(make_session: Callable[..., Session], sandbox: Any) -> None:
    session = make_session()
    task = made(session)
    session.delete([task])
    session.close()
    again = make_session()
    assert again.tasks().refetch() == ()
    assert made(again).id == task.id
    assert sandbox.creates == 1
    assert [found.id for found in again.tasks().refetch()] == [task.id]


def test_pending_tasks_are_not_deleted(session: Session) -> None:
    done, pending = made(session), session.submit(imagen4("a slow sunrise, sandbox:slow=30"))
    with pytest.raises(KiegenError, match=rf"{pending.id} cannot be deleted: it is pending.*nothing was deleted"):
        session.delete([done, pending])
    assert {task.id for task in session.tasks().refetch()} == {done.id, pending.id}
    assert all(file.exists() for file in files_of(done))
    pending.result(PATIENCE)


@pytest.mark.stores
def test_the_store_itself_keeps_pending_tasks(session: Session) -> None:
    pending = session.submit(imagen4("a slow sunrise, sandbox:slow=30"))
    assert session._engine.store.delete([pending.id]).result(PATIENCE) == set()
    assert [task.id for task in session.tasks().refetch()] == [pending.id]
    pending.result(PATIENCE)


def test_a_failed_task_can_be_deleted_and_a_handle_will_do(session: Session) -> None:
    handle = session.submit(imagen4("a crowd, sandbox:fail"))
    with pytest.raises(TaskFailed):
        handle.result(PATIENCE)
    session.delete([handle])
    assert session.tasks().refetch() == ()


@pytest.mark.stores
def test_another_kernel_sees_a_deletion(make_session: Callable[..., Session], location: str) -> None:
    session = make_session()
    task = made(session)
    other = Database(location)
    try:
        watcher = Watcher(session)
        until(lambda: watcher.shows(task))
        seen = session._engine.store.revision()
        query = schema.tasks.update().values(deleted_at=1.0)
        other.write(lambda connection: connection.execute(query.values(revision=other.revision(connection)))).result()
        _, changed, deleted = session._engine.store.changed_since(seen)
        assert ([found.id for found in changed], [found.id for found in deleted]) == ([], [task.id])
        session._engine.on_loop(session._engine._keeper.stir)
        until(watcher.shows)
    finally:
        other.close()


def test_files_that_are_gone_already_do_no_harm(session: Session) -> None:
    task = made(session)
    files_of(task)[0].unlink()
    session.delete([task])
    session.restore([task])
    assert [file.exists() for file in files_of(task)] == [False, True, True]


def test_a_file_that_came_again_is_not_replaced_by_the_deleted_one(session: Session) -> None:
    task = made(session)
    session.delete([task])
    path = files_of(task)[0]
    path.write_bytes(b"newer")
    session.restore([task])
    assert path.read_bytes() == b"newer"


def test_a_store_of_before_learns_to_delete(make_session: Callable[..., Session], tmp_path: Path) -> None:
    session = make_session()
    task = made(session)
    session.close()
    with sqlite3.connect(tmp_path / "store.sqlite3") as connection:
        for column in ("deleted_at", "rating", "comment"):
            connection.execute(f"ALTER TABLE tasks DROP COLUMN {column}")
        connection.execute("DROP TABLE uploads")
        connection.execute("UPDATE meta SET value = 2 WHERE name = 'schema'")
    connection.close()
    again = make_session()
    assert [found.id for found in again.tasks().refetch()] == [task.id]
    again.delete([task])
    assert again.tasks().refetch() == ()


def test_a_deletion_that_cannot_be_stored_moves_no_file(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(session)

    def refuse(*_: object) -> set[str]:
        raise StoreError("disk full")

    monkeypatch.setattr(session._engine.store, "_mark_deleted", refuse)
    with pytest.raises(StoreError, match="disk full"):
        session.delete([task])
    assert all(file.exists() for file in files_of(task))


def test_how_long_a_task_takes_is_told_by_the_history(session: Session) -> None:
    task = made(session)
    guess = session.expected_time(task)
    for prompt in ("b", "c", "d", "e", "f", "g", "h", "i"):
        made(session, prompt)
    assert guess > 0
    assert session.expected_time(task) != guess
    assert session.expected_time(task) < 10
