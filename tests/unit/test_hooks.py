"""The web hooks' cases, by name, on a real sandbox: loading, success, errors, polling, callbacks, invalidation."""

from __future__ import annotations

import contextvars
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine.query import query_keys
from kiegen_nb.errors import (
    KeyRefused,
    KiegenError,
    OutOfCredits,
    RequestRefused,
    ServiceUnavailable,
    StoreError,
    TaskError,
    TaskFailed,
    TaskUnconfirmed,
)
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.market import market
from kiegen_nb.tasks import Activity, AssetKind, GenerationTask, TaskStatus, UploadResult
from tests.support.fake_kie import until
from tests.support.uploads import Ahead, answers, fetched, film, png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import traitlets

    from kiegen_nb.engine.query import TaskQuery
    from kiegen_nb.session import Session

PATIENCE = 20.0
SLOW = "sandbox:slow=60"  # three seconds at the fixture's speed


class Watcher:
    """Keeps everything an observer of a query was told, and waits for it."""

    def __init__(self, query: TaskQuery) -> None:
        self.query = query
        self.seen: list[tuple[str, Any]] = []
        self.threads: set[str] = set()
        self._news = threading.Condition()
        query.observe(self._note)

    def _note(self, change: traitlets.Bunch) -> None:
        with self._news:
            self.seen.append((change.name, change.new))
            self.threads.add(threading.current_thread().name)
            self._news.notify_all()

    def wait(self, condition: Callable[[TaskQuery], object]) -> TaskQuery:
        with self._news:
            assert self._news.wait_for(lambda: condition(self.query), PATIENCE), f"never came true: {self.seen}"
        return self.query


# useGenerationTasks


def test_a_query_is_loading_until_its_first_read(session: Session) -> None:
    query = session.tasks("kites")
    watcher = Watcher(query)
    watcher.wait(lambda query: not query.is_loading)
    assert query.traits()["is_loading"].default() is True
    assert (query.data, query.error, query.is_polling) == ((), None, False)


def test_a_group_without_tasks_is_an_empty_list_and_no_error(session: Session) -> None:
    query = session.tasks("nothing here")
    assert query.refetch() == ()
    assert (query.data, query.is_loading, query.is_fetching, query.error) == ((), False, False, None)


def test_a_picture_comes_up_by_itself_when_it_is_finished(session: Session) -> None:
    watcher = Watcher(session.tasks("kites"))
    handle = session.submit(imagen4("a red kite"), prompt_id="kites")
    query = watcher.wait(lambda query: query.data and query.data[0].is_finished)
    [task] = query.data
    assert (task.id, task.status, task.prompt_id) == (handle.id, TaskStatus.SUCCESS, "kites")
    [asset] = task.assets
    assert asset.kind is AssetKind.IMAGE
    assert asset.path is not None
    assert asset.path.exists()
    assert watcher.threads == {"kiegen-callbacks"}


def test_a_group_shows_its_own_tasks_only_newest_first(session: Session) -> None:
    first = session.submit(imagen4("one"), prompt_id="kites")
    second = session.submit(imagen4("two"), prompt_id="kites")
    session.submit(imagen4("three"), prompt_id="boats")
    data = session.tasks("kites").refetch()
    assert [task.id for task in data] == [second.id, first.id]


def test_the_services_errors_keep_the_old_data(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "look", "code": 500, "msg": "oops", "times": 3})
    handle = session.submit(imagen4("a red kite"))
    watcher = Watcher(session.tasks())
    watcher.wait(lambda query: isinstance(query.error, ServiceUnavailable))
    assert [task.id for task in watcher.query.data] == [handle.id]
    assert watcher.query.data[0].status is TaskStatus.PENDING
    watcher.wait(lambda query: query.error is None and not query.data[0].is_pending)
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_a_network_error_keeps_the_old_data(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "look", "drop": True, "times": 3})
    handle = session.submit(imagen4("a red kite"))
    watcher = Watcher(session.tasks())
    watcher.wait(lambda query: isinstance(query.error, ServiceUnavailable))
    assert [task.id for task in watcher.query.data] == [handle.id]
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS
    watcher.wait(lambda query: query.error is None)


def test_a_store_that_cannot_be_read_is_an_error_and_keeps_the_old_data(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = session.submit(imagen4("a red kite"))
    handle.result(PATIENCE)
    query = session.tasks()
    assert [task.id for task in query.refetch()] == [handle.id]

    def broken(_: str) -> list[GenerationTask]:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(session._engine.hub, "_read", broken)
    assert [task.id for task in query.refetch()] == [handle.id]
    assert isinstance(query.error, StoreError)
    monkeypatch.undo()
    query.refetch()
    assert query.error is None


def test_it_polls_while_a_task_is_pending(session: Session, sandbox: Any) -> None:
    watcher = Watcher(session.tasks())
    session.submit(imagen4(SLOW))
    watcher.wait(lambda query: query.is_polling)
    before = sandbox.looks
    watcher.wait(lambda query: query.data[0].state == "generating")
    assert sandbox.looks > before


def test_it_stops_polling_once_nothing_is_pending(session: Session) -> None:
    watcher = Watcher(session.tasks())
    handle = session.submit(imagen4("a red kite"))
    watcher.wait(lambda query: query.is_polling)
    handle.result(PATIENCE)
    watcher.wait(lambda query: not query.is_polling)
    poller = session._engine._poller
    assert poller.watching == frozenset()
    assert poller.next_due is None, "no timer is left"


def test_a_failed_task_ends_the_polling_too(session: Session) -> None:
    watcher = Watcher(session.tasks())
    with pytest.raises(TaskFailed):
        session.submit(imagen4("sandbox:fail")).result(PATIENCE)
    watcher.wait(lambda query: not query.is_polling and query.data[0].status is TaskStatus.FAILED)
    assert session._engine._poller.next_due is None


def test_a_query_nobody_holds_any_more_is_forgotten(session: Session) -> None:
    watcher = Watcher(session.tasks("kites"))
    watcher.wait(lambda query: not query.is_loading)
    group = session._engine.hub._groups["kites"]
    assert len(group.subscribers) == 1
    watcher.query.unobserve_all()
    del watcher
    session.credits()  # a round on the engine's loop
    assert not group.subscribers


# queryKeys


def test_the_key_of_a_prompt_is_the_hooks_key(session: Session) -> None:
    assert query_keys.by_prompt("p1") == ("generation-tasks", "p1")
    assert session.tasks("p1").key == query_keys.by_prompt("p1")


@pytest.mark.parametrize("key", [query_keys.by_prompt("default"), ("generation-tasks",)])
def test_invalidating_a_key_reads_its_tasks_again(
    session: Session, monkeypatch: pytest.MonkeyPatch, key: tuple[str, ...]
) -> None:
    session.tasks().refetch()
    reads: list[str] = []
    again = threading.Event()
    read = session._engine.hub._read

    def counted(prompt_id: str) -> list[GenerationTask]:
        reads.append(prompt_id)
        again.set()
        return read(prompt_id)

    query = session.tasks()
    query.refetch()
    monkeypatch.setattr(session._engine.hub, "_read", counted)
    session.invalidate(key)
    assert again.wait(PATIENCE)
    assert reads == ["default"]
    assert query.error is None


def test_a_foreign_key_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match=r"use query_keys\.by_prompt"):
        session.invalidate(("users", "1"))


# useCreateGenerationTask


def test_a_new_task_is_in_the_list_at_once_as_pending(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "delay": 1.0})
    watcher = Watcher(session.tasks())
    handle = session.submit(imagen4("a red kite"))
    assert handle.status is TaskStatus.PENDING
    query = watcher.wait(lambda query: query.data)
    assert query.data[0].id == handle.id
    assert query.data[0].status is TaskStatus.PENDING
    assert query.data[0].activity in (Activity.QUEUED, Activity.SUBMITTING)
    assert sandbox.looks == 0


def test_every_query_on_the_prompt_is_refreshed_by_a_create(session: Session) -> None:
    watchers = [Watcher(session.tasks("kites")) for _ in range(2)]
    other = session.tasks("boats")
    handle = session.submit(imagen4("a red kite"), prompt_id="kites")
    for watcher in watchers:
        watcher.wait(lambda query: [task.id for task in query.data] == [handle.id])
    assert other.refetch() == ()


def test_on_success_gets_the_finished_task_on_the_callback_thread_in_the_callers_context(session: Session) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the cell's")
    called: list[tuple[GenerationTask, str, str]] = []
    done, errors = threading.Event(), list[TaskError]()

    def on_success(task: GenerationTask) -> None:
        called.append((task, threading.current_thread().name, variable.get()))
        done.set()

    handle = session.submit(imagen4("a red kite"), on_success=on_success, on_error=errors.append)
    assert done.wait(PATIENCE)
    [(task, thread, value)] = called
    assert (task.id, task.status, task.is_finished) == (handle.id, TaskStatus.SUCCESS, True)
    assert (thread, value) == ("kiegen-callbacks", "the cell's")
    assert errors == []


@pytest.mark.parametrize(
    ("prompt", "fault", "kind", "code"),
    [
        ("sandbox:fail", None, TaskFailed, "400"),
        ("sandbox:refuse", None, TaskFailed, "400"),
        ("a kite", {"route": "create", "code": 402, "msg": "no credits"}, TaskFailed, "402"),
        ("a kite", {"route": "create", "drop": True}, TaskUnconfirmed, "UNCONFIRMED"),
    ],
)
def test_on_error_gets_the_error_with_the_task_on_the_callback_thread(
    session: Session, sandbox: Any, prompt: str, fault: dict[str, object] | None, kind: type[TaskError], code: str
) -> None:
    if fault is not None:
        sandbox.faults(fault)
    called: list[tuple[TaskError, str]] = []
    done = threading.Event()

    def on_error(error: TaskError) -> None:
        called.append((error, threading.current_thread().name))
        done.set()

    handle = session.submit(imagen4(prompt), on_success=lambda _: done.set(), on_error=on_error)
    assert done.wait(PATIENCE)
    [(error, thread)] = called
    assert type(error) is kind
    assert (error.task.id, error.task.fail_code) == (handle.id, code)
    assert thread == "kiegen-callbacks"


def test_a_callback_that_raises_harms_no_other(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def careless(_: GenerationTask) -> None:
        raise RuntimeError("a mistake in a cell")

    first = session.submit(imagen4("one"), on_success=careless)
    first.result(PATIENCE)
    session.submit(imagen4("two"), on_success=lambda _: done.set())
    assert done.wait(PATIENCE)
    assert "a mistake in a cell" in caplog.text


def test_a_callback_on_a_task_that_is_long_finished_is_called_too(session: Session) -> None:
    session.submit(imagen4("a red kite")).result(PATIENCE)
    done = threading.Event()
    session.submit(imagen4("a red kite"), on_success=lambda _: done.set())
    assert done.wait(PATIENCE)


def test_is_pending_ends_with_the_services_answer(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "delay": 0.3})
    answered = threading.Event()
    seen: list[GenerationTask] = []
    handle = session.submit(imagen4(SLOW))
    assert handle.task.external_task_id is None

    def on_answer(task: GenerationTask) -> None:
        seen.append(task)
        answered.set()

    handle.when_answered(on_answer)
    assert answered.wait(PATIENCE)
    assert seen[0].external_task_id
    assert seen[0].status is TaskStatus.PENDING


def test_the_balance_is_an_error_when_the_service_refuses(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "credit", "code": 402, "msg": "no"})
    with pytest.raises(OutOfCredits):
        session.credits()


# useUploadFile


@pytest.mark.parametrize(("name", "kind"), [("dog.png", AssetKind.IMAGE), ("dog.mp4", AssetKind.VIDEO)])
def test_an_uploaded_picture_or_video_has_an_address_and_an_end_and_can_be_used(
    session: Session, tmp_path: Path, name: str, kind: AssetKind
) -> None:
    path = tmp_path / name
    if kind is AssetKind.VIDEO:
        film(path)
    else:
        path.write_bytes(png())
    called: list[tuple[UploadResult, str]] = []
    upload = session.upload(path, on_success=lambda result: called.append((result, threading.current_thread().name)))
    until(lambda: called)
    assert called == [(upload, "kiegen-callbacks")]
    assert (upload.kind, upload.name) == (kind, name)
    data = upload.model_dump(mode="json", by_alias=True)
    assert fetched(data["downloadUrl"]) == path.read_bytes()
    assert datetime.fromisoformat(data["expiresAt"]) > datetime.now(UTC) + timedelta(hours=23)
    task = session.submit(market("google/nano-banana-edit", prompt="a hat", image_urls=[upload])).result(PATIENCE)
    assert task.provider_params["input"]["image_urls"] == [upload.download_url]


def test_an_upload_is_pending_until_its_end(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "upload", "delay": 0.3})
    handle = session.start_upload(png())
    assert not handle.is_finished
    assert handle.result(PATIENCE).download_url.startswith(sandbox.url)
    assert handle.is_finished


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"code": 401, "msg": "Authentication failed"}, KeyRefused),
        ({"code": 400, "msg": "Invalid parameter"}, RequestRefused),
        ({"drop": True, "times": 4}, ServiceUnavailable),
    ],
)
def test_a_failed_upload_calls_on_error_on_the_callback_thread(
    session: Session, sandbox: Any, monkeypatch: pytest.MonkeyPatch, fault: dict[str, object], kind: type[KiegenError]
) -> None:
    monkeypatch.setattr(session._engine.uploads, "_clock", Ahead())
    sandbox.faults({"route": "upload", **fault})
    called: list[tuple[KiegenError, str]] = []
    successes: list[UploadResult] = []
    handle = session.start_upload(
        png(),
        on_success=successes.append,
        on_error=lambda error: called.append((error, threading.current_thread().name)),
    )
    with pytest.raises(kind) as caught:
        handle.result(PATIENCE)
    until(lambda: called)
    assert called == [(caught.value, "kiegen-callbacks")]
    assert successes == []


def test_a_file_of_no_kind_calls_on_error_and_is_not_sent(session: Session, sandbox: Any) -> None:
    called: list[KiegenError] = []
    session.start_upload(b"just words", name="notes.txt", on_error=called.append)
    until(lambda: called)
    assert str(called[0]).startswith("notes.txt holds neither a picture nor a video nor a sound")
    assert answers(sandbox) == []
