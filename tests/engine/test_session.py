"""`Session` and `TaskHandle` on a real sandbox: waiting, reuse, restarts, bad input, and where the key may be."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.errors import (
    ConfigurationError,
    InvalidParams,
    KeyRefused,
    MissingKey,
    SessionClosed,
    StoreError,
    StoreTooNew,
    TaskFailed,
    TaskTimeout,
    TaskUnconfirmed,
    WrongThread,
)
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.session import Session, launcher
from kiegen_nb.tasks import CANCELLED, UNCONFIRMED, Activity, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kiegen_nb.engine.handle import TaskHandle

PATIENCE = 20.0
FAKE_KEY = "test-key-4711-must-never-be-seen"  # what conftest's sessions use
SLOW = "sandbox:slow=30"  # a second and a half at the fixture's speed


def until(condition: Callable[[], object]) -> None:
    """Wait for something another thread or process does; fail if it never does."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.01)


def threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# One engine however often the cell runs.


def test_twenty_sessions_share_one_engine_thread_and_one_look_per_task(
    make_session: Callable[..., Session], sandbox: Any
) -> None:
    sessions = [make_session() for _ in range(20)]
    assert threads("kiegen-engine") == threads("kiegen-store") == 1
    handles = [session.submit(imagen4("a red kite")) for session in sessions]
    assert len({handle.id for handle in handles}) == 1
    assert {handle.result(PATIENCE).status for handle in handles} == {TaskStatus.SUCCESS}
    assert sandbox.creates == 1
    for session in sessions[:-1]:
        session.close()
    assert threads("kiegen-engine") == 1, "the last one still uses it"
    assert sessions[-1].credits() > 0
    sessions[-1].close()
    assert threads("kiegen-engine") == threads("kiegen-store") == 0


def test_twenty_sessions_without_a_key_share_one_sandbox_child() -> None:
    sessions = [Session() for _ in range(20)]
    try:
        [(child, _)] = launcher._running.values()
        assert child.poll() is None
        assert sessions[0].credits() > 0
        assert sessions[0].is_sandbox
        assert threads("kiegen-engine") == 1
        assert repr(sessions[0]) == "Session(sandbox)"
    finally:
        for session in sessions:
            session.close()
    assert child.poll() is not None, "the sandbox ends with its last session"
    assert launcher._running == {}


def test_another_account_or_store_has_an_engine_of_its_own(
    make_session: Callable[..., Session], tmp_path: Path
) -> None:
    one, other, third = make_session(), make_session(api_key="other"), make_session(database_url=tmp_path / "b.sqlite3")
    assert threads("kiegen-engine") == 3
    handle = one.submit(imagen4("a red kite"))
    handle.result(PATIENCE)
    assert one.account != other.account
    assert [task.id for task in one.tasks().refetch()] == [handle.id]
    assert other.tasks().refetch() == ()
    assert third.tasks().refetch() == ()


def test_the_newest_settings_of_a_cell_count(make_session: Callable[..., Session], tmp_path: Path) -> None:
    first = make_session()
    second = make_session(poll_interval=0.02, output_dir=tmp_path / "elsewhere")
    assert first.output_dir == second.output_dir == tmp_path / "elsewhere"
    task = first.submit(imagen4("a red kite")).result(PATIENCE)
    assert task.assets[0].path is not None
    assert task.assets[0].path.is_relative_to(tmp_path / "elsewhere")


def test_a_closed_session_says_so_and_the_task_goes_on_in_the_next(
    make_session: Callable[..., Session], sandbox: Any
) -> None:
    session = make_session()
    handle = session.submit(imagen4(SLOW))
    until(lambda: handle.task.external_task_id)
    session.close()
    session.close()
    for call in (session.credits, session.resume, session.tasks, lambda: session.submit(imagen4("x"))):
        with pytest.raises(SessionClosed):
            call()
    with pytest.raises(SessionClosed):
        handle.result(PATIENCE)
    assert "closed" in repr(session)
    again = make_session()
    task = again.submit(imagen4(SLOW)).result(PATIENCE)
    assert (task.id, task.status) == (handle.id, TaskStatus.SUCCESS)
    assert sandbox.creates == 1


def test_closing_ends_a_wait_with_a_clear_error(make_session: Callable[..., Session]) -> None:
    session = make_session()
    handle = session.submit(imagen4(SLOW))
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            handle.result(PATIENCE)
        except SessionClosed as error:
            caught.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: session._engine.board._waiters.get(handle.id))
    session.close()
    waiting.join(PATIENCE)
    assert len(caught) == 1


async def test_a_session_is_a_context_manager_in_both_worlds(make_session: Callable[..., Session]) -> None:
    async with make_session() as session:
        task = await session.submit(imagen4("a red kite"))
        assert await session.acredits() > 0
    assert task.status is TaskStatus.SUCCESS
    with pytest.raises(SessionClosed):
        session.submit(imagen4("x"))
    with make_session() as other:
        assert other.submit(imagen4("a red kite")).result(PATIENCE) == task


# Waiting.


def test_a_handle_can_be_awaited_in_several_loops_and_again(session: Session) -> None:
    handle = session.submit(imagen4("a red kite"))

    async def wait() -> GenerationTask:
        first, second = await asyncio.gather(_of(handle), _of(handle))
        assert first == second
        return await handle

    found: list[GenerationTask] = []
    loops = [threading.Thread(target=lambda: found.append(asyncio.run(wait()))) for _ in range(3)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join(PATIENCE)
    assert len(found) == 3
    assert set(map(id, found)) == {id(handle.result(PATIENCE))}


async def _of(handle: TaskHandle) -> GenerationTask:
    return await handle


async def test_a_wait_that_is_cut_short_leaves_the_task_alone(session: Session, sandbox: Any) -> None:
    handle = session.submit(imagen4(SLOW))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_of(handle), 0.05)
    waiting = asyncio.ensure_future(_of(handle))
    await asyncio.to_thread(until, lambda: session._engine.board._waiters.get(handle.id))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert handle.status is TaskStatus.PENDING
    assert not session._engine.board._waiters.get(handle.id), "a wait that ended leaves nothing behind"
    assert (await handle).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1


def test_a_result_not_ready_in_time_is_a_timeout_that_carries_the_task(session: Session) -> None:
    handle = session.submit(imagen4(SLOW))
    for timeout in (0, 0.05):
        with pytest.raises(TaskTimeout, match="It goes on") as caught:
            handle.result(timeout)
        assert caught.value.task.id == handle.id
        assert caught.value.task.is_pending
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_waiting_on_the_engines_own_thread_is_refused(session: Session) -> None:
    handle = session.submit(imagen4("a red kite"))

    async def on_the_engine(call: Callable[[], object]) -> object:
        return call()

    for call in (handle.result, session.credits, lambda: session.submit(imagen4("another"))):
        future = session._engine.thread.submit(on_the_engine(call))
        with pytest.raises(WrongThread):
            future.result(PATIENCE)


def test_a_callback_may_submit_another_and_wait_for_it(session: Session, sandbox: Any) -> None:
    found: list[GenerationTask] = []
    done = threading.Event()

    def next_one(_: GenerationTask) -> None:
        found.append(session.submit(imagen4("two")).result(PATIENCE))
        done.set()

    session.submit(imagen4("one"), on_success=next_one)
    assert done.wait(PATIENCE)
    assert found[0].status is TaskStatus.SUCCESS
    assert found[0].prompt == "two"
    assert sandbox.creates == 2


def test_a_queued_request_can_be_taken_back_and_a_running_one_not(session: Session, sandbox: Any) -> None:
    running = session.submit(imagen4(SLOW))
    until(lambda: running.task.external_task_id)
    assert running.cancel() is False
    assert running.status is TaskStatus.PENDING
    sandbox.faults({"route": "create", "code": 429, "msg": "too fast"})
    waiting = session.submit(imagen4("one"))
    until(lambda: waiting.task.note)
    assert waiting.cancel() is True
    with pytest.raises(TaskFailed, match="nothing was charged") as caught:
        waiting.result(PATIENCE)
    assert caught.value.task.fail_code == CANCELLED
    assert sandbox.creates == 1


# Reuse: an identical request is never paid for twice by accident.


def test_the_same_request_is_the_same_task(make_session: Callable[..., Session], sandbox: Any) -> None:
    session = make_session()
    first = session.submit(imagen4("a red kite"))
    second = session.submit(imagen4("a red kite", aspect_ratio="16:9").to_json())
    assert second.id == first.id
    first.result(PATIENCE)
    session.close()
    third = make_session().submit(imagen4("a red kite"))
    assert third.id == first.id
    assert third.result(PATIENCE) == first.task
    assert sandbox.creates == 1


def test_another_group_pays_for_its_own_task(session: Session, sandbox: Any) -> None:
    one, other = session.submit(imagen4("a"), prompt_id="x"), session.submit(imagen4("a"), prompt_id="y")
    assert one.result(PATIENCE).id != other.result(PATIENCE).id
    assert sandbox.creates == 2


def test_repeats_are_numbered_and_none_takes_the_next(session: Session, sandbox: Any) -> None:
    handles = [session.submit(imagen4("a"), repeat=number) for number in (0, 1, None, None, 1, 3)]
    assert [handle.task.repeat for handle in handles] == [0, 1, 2, 3, 1, 3]
    assert handles[1].id == handles[4].id
    assert handles[3].id == handles[5].id
    for handle in handles:
        handle.result(PATIENCE)
    assert sandbox.creates == 4


def test_fresh_asks_anew_and_the_newest_is_what_later_runs_find(session: Session, sandbox: Any) -> None:
    first = session.submit(imagen4("a"))
    first.result(PATIENCE)
    fresh = session.submit(imagen4("a"), fresh=True)
    assert fresh.id != first.id
    assert fresh.result(PATIENCE).attempt == 1
    assert session.submit(imagen4("a")).id == fresh.id
    assert sandbox.creates == 2


def test_a_request_refused_before_acceptance_is_asked_anew(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "code": 402, "msg": "The current credits are insufficient. Please top up."})
    refused = session.submit(imagen4("a"))
    with pytest.raises(TaskFailed, match="Top up"):
        refused.result(PATIENCE)
    again = session.submit(imagen4("a"))
    assert again.id != refused.id
    assert again.result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1


def test_a_failed_task_comes_back_as_it_is(session: Session, sandbox: Any) -> None:
    handle = session.submit(imagen4("sandbox:fail"))
    for _ in range(2):
        again = session.submit(imagen4("sandbox:fail"))
        assert again.id == handle.id
        with pytest.raises(TaskFailed, match="content policy"):
            again.result(PATIENCE)
    assert sandbox.creates == 1


def test_an_unconfirmed_request_is_asked_anew_only_on_purpose(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "drop": True})
    handle = session.submit(imagen4("a"))
    for _ in range(2):
        again = session.submit(imagen4("a"))
        assert again.id == handle.id
        with pytest.raises(TaskUnconfirmed, match="may have been charged") as caught:
            again.result(PATIENCE)
        assert caught.value.task.fail_code == UNCONFIRMED
    assert session.resume() == []
    assert sandbox.creates == 1, "the lost answer was an acceptance; nothing was sent again"
    anew = session.resubmit(handle)
    assert anew.id != handle.id
    assert anew.result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 2


# Restarts and dead processes.

CHILD = """
import sys, threading
from kiegen_nb import Session, imagen4

session = Session({key!r}, base_url={url!r}, database_url={store!r}, output_dir={output!r}, poll_interval=0.05)
handles = [session.submit(imagen4(text), prompt_id="batch") for text in {prompts!r}]
while not all({ready} for task in (handle.task for handle in handles)):
    threading.Event().wait(0.01)
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def doomed(sandbox: Any, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Submits in a process of its own and kills it (kill -9) as soon as its tasks are where they should be."""
    started: list[subprocess.Popen[str]] = []

    def run(prompts: list[str], ready: str, url: str | None = None) -> None:
        script = tmp_path / "child.py"
        script.write_text(
            CHILD.format(
                key=FAKE_KEY,
                url=url or sandbox.url,
                store=str(tmp_path / "store.sqlite3"),
                output=str(tmp_path / "output"),
                prompts=prompts,
                ready=ready,
            ),
            encoding="utf-8",
        )
        child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        started.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE)

    yield run
    for child in started:
        child.kill()
        child.wait(PATIENCE)
        if child.stdout is not None:
            child.stdout.close()


def test_a_killed_kernels_tasks_are_all_finished_by_the_next_and_none_is_paid_twice(
    doomed: Callable[..., None], make_session: Callable[..., Session], sandbox: Any
) -> None:
    prompts = [f"{SLOW} {number}" for number in range(6)]
    doomed(prompts, "task.external_task_id")
    assert sandbox.creates == 6
    session = make_session()
    query = session.tasks("batch")
    until(lambda: len(query.data) == 6 and all(task.is_finished for task in query.data))
    assert {task.status for task in query.data} == {TaskStatus.SUCCESS}
    assert all(task.assets[0].path is not None and task.assets[0].path.exists() for task in query.data)
    handles = [session.submit(imagen4(prompt), prompt_id="batch") for prompt in prompts]
    assert {handle.id for handle in handles} == {task.id for task in query.data}
    assert sandbox.creates == 6


def test_a_request_that_was_on_its_way_when_its_kernel_died_is_unconfirmed(
    doomed: Callable[..., None], make_session: Callable[..., Session], sandbox: Any
) -> None:
    sandbox.faults({"route": "create", "delay": 30})
    doomed(["a red kite"], "task.activity == 'submitting'")
    session = make_session()
    query = session.tasks("batch")
    until(lambda: query.data and query.data[0].is_finished)
    assert query.data[0].fail_code == UNCONFIRMED
    with pytest.raises(TaskUnconfirmed):
        session.submit(imagen4("a red kite"), prompt_id="batch").result(PATIENCE)
    assert sandbox.creates <= 1


def test_a_request_still_queued_when_its_kernel_died_waits_until_it_is_asked_for(
    doomed: Callable[..., None], make_session: Callable[..., Session], sandbox: Any
) -> None:
    sandbox.faults({"route": "create", "code": 429, "msg": "too fast", "times": 2})
    doomed(["one", "two"], "task.note")
    session = make_session()
    query = session.tasks("batch")
    assert [task.activity for task in query.refetch()] == [Activity.QUEUED] * 2
    session.credits()
    assert sandbox.creates == 0, "opening a session sends nothing"
    assert session.submit(imagen4("one"), prompt_id="batch").result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1
    [two] = session.resume()
    assert two.result(PATIENCE).prompt == "two"
    assert session.resume() == []
    assert sandbox.creates == 2


def test_a_queued_request_of_a_closed_session_waits_too(make_session: Callable[..., Session], sandbox: Any) -> None:
    sandbox.faults({"route": "create", "code": 429, "msg": "too fast"})
    session = make_session()
    handle = session.submit(imagen4("a red kite"))
    until(lambda: handle.task.note)
    session.close()
    again = make_session()
    assert again.tasks().refetch()[0].activity is Activity.QUEUED
    [resumed] = again.resume()
    assert resumed.id == handle.id
    assert resumed.result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1


def test_a_refetch_shows_what_another_kernel_did_since(
    make_session: Callable[..., Session], sandbox: Any, tmp_path: Path
) -> None:
    session = make_session()
    session.submit(imagen4("sandbox:refuse"), prompt_id="batch")
    query = session.tasks("batch")
    until(lambda: query.refetch() and query.data[0].is_finished)
    script = tmp_path / "other.py"
    script.write_text(
        "from kiegen_nb import Session, imagen4\n"
        f"with Session({FAKE_KEY!r}, base_url={sandbox.url!r}, database_url={str(tmp_path / 'store.sqlite3')!r},"
        f" output_dir={str(tmp_path / 'output')!r}, poll_interval=0.05) as session:\n"
        "    handle = session.submit(imagen4('a red kite'), prompt_id='batch')\n"
        "    print(handle.id, flush=True)\n"
        "    input()\n"
        "    handle.result(20)\n"
        "    print('done', flush=True)\n"
        "    input()\n",
        encoding="utf-8",
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        task_id = other.stdout.readline().strip()
        assert task_id in {task.id for task in query.refetch()}
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "done\n"
        found = {task.id: task for task in query.refetch()}
        other.stdin.write("\n")
        other.stdin.flush()
    assert found[task_id].status is TaskStatus.SUCCESS
    assert found[task_id].is_finished


def test_a_busy_kernel_follows_what_another_kernel_does(
    make_session: Callable[..., Session], doomed: Callable[..., None]
) -> None:
    session = make_session()
    query = session.tasks("batch")
    session.submit(imagen4("sandbox:slow=400"))
    doomed([SLOW], "task.external_task_id")
    until(lambda: query.data and query.data[0].is_finished)


# Bad input, bad accounts, bad times.


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 5001}, "prompt"),
        ({"prompt": "a", "aspect_ratio": "2:1"}, "aspect_ratio"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_is_stored_or_sent(
    session: Session, sandbox: Any, data: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidParams) as caught:
        session.submit({"service": "KIE", "model": "IMAGEN4", "input": data})
    assert list(caught.value.fields) == [field]
    assert session.tasks().refetch() == ()
    assert sandbox.creates == 0


@pytest.mark.parametrize("arguments", [{"prompt_id": ""}, {"prompt_id": " "}, {"prompt_id": "x" * 201}, {"repeat": -1}])
def test_a_wrong_group_or_repeat_is_refused_by_name(session: Session, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams) as caught:
        session.submit(imagen4("a"), **arguments)
    assert list(caught.value.fields) == list(arguments)


@pytest.mark.parametrize(
    ("key", "code", "words"), [("bad-key-4711", "401", "Check KIE_API_KEY"), ("poor-key-4711", "402", "Top up")]
)
def test_an_account_that_is_refused_keeps_the_task_with_the_reason(
    make_session: Callable[..., Session], sandbox: Any, key: str, code: str, words: str
) -> None:
    session = make_session(api_key=key)
    with pytest.raises(TaskFailed, match=words) as caught:
        session.submit(imagen4("a red kite")).result(PATIENCE)
    assert key not in str(caught.value)
    [task] = session.tasks().refetch()
    assert (task.status, task.fail_code, task.activity) == (TaskStatus.FAILED, code, None)
    assert words in (task.fail_msg or "")
    assert sandbox.creates == 0


def test_a_key_refused_while_a_task_runs_pauses_it_and_says_why(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "look", "code": 401, "msg": "You do not have access permissions"})
    handle = session.submit(imagen4("a red kite"))
    until(lambda: handle.task.activity is Activity.PAUSED)
    assert "Check KIE_API_KEY" in (handle.task.note or "")
    assert handle.status is TaskStatus.PENDING
    query = session.tasks()
    until(lambda: isinstance(query.error, KeyRefused))
    assert session.refresh(handle).result(PATIENCE) == handle.task or handle.task.is_pending


def test_a_service_that_is_down_keeps_the_request_and_gets_it_when_it_is_back(
    make_session: Callable[..., Session], sandbox: Any, free_port: int
) -> None:
    session = make_session(base_url=f"http://127.0.0.1:{free_port}")
    handle = session.submit(imagen4("a red kite"))
    until(lambda: handle.task.note)
    note = handle.task.note or ""
    assert "could not be reached" in note
    assert "sent by itself" in note
    assert handle.task.activity in (Activity.QUEUED, Activity.SUBMITTING)
    assert handle.status is TaskStatus.PENDING
    back = type(sandbox)("--speed", "20", "--port", str(free_port))
    try:
        task = handle.result(PATIENCE)
        assert task.status is TaskStatus.SUCCESS
        assert task.note is None
        assert back.creates == 1
    finally:
        back.stop()


def test_a_429_is_waited_out_and_the_request_sent_once(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "code": 429, "msg": "too fast"})
    handle = session.submit(imagen4("a red kite"))
    until(lambda: handle.task.note)
    assert (handle.status, handle.task.activity) == (TaskStatus.PENDING, Activity.QUEUED)
    assert sandbox.creates == 0


def test_no_key_and_no_sandbox_is_a_clear_error() -> None:
    with pytest.raises(MissingKey, match="KIE_API_KEY"):
        Session(sandbox=False)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"base_url": "kie"}, "base_url"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"api_key": "two words"}, "(?i)api_key"),
    ],
)
def test_an_unusable_setting_is_named(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Session(**arguments)


def test_a_store_that_cannot_be_opened_is_named_and_nothing_is_left_running(
    make_session: Callable[..., Session], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"this is no database at all, but long enough to be read as one" * 40)
    with pytest.raises(StoreError, match=r"broken\.sqlite3"):
        make_session(database_url=broken)
    for location in ("sqlite://", "mysql://host/db", "nonsense://"):
        with pytest.raises(StoreError):
            make_session(database_url=location)
    assert threads("kiegen-engine") == threads("kiegen-store") == 0


def test_a_store_of_a_newer_version_is_left_alone(make_session: Callable[..., Session], tmp_path: Path) -> None:
    make_session().close()
    store = sqlite3.connect(tmp_path / "store.sqlite3")
    with store:
        store.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    store.close()
    with pytest.raises(StoreTooNew, match="pip install -U kiegen_nb"):
        make_session()


# Results that are not what they should be.


def test_a_result_that_is_a_web_page_is_told_and_fetched_again_by_refresh(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "file", "body": "<html>Sign in to continue</html>"})
    handle = session.submit(imagen4("a red kite"))
    task = handle.result(PATIENCE)
    assert task.status is TaskStatus.SUCCESS
    [asset] = task.assets
    assert asset.path is None
    assert asset.error is not None
    assert asset.error.startswith("What arrived is not a picture, or is damaged.")
    assert asset.url
    again = session.refresh(handle).result(PATIENCE)
    [asset] = again.assets
    assert asset.error is None
    assert asset.path is not None
    assert asset.path.exists()
    assert sandbox.creates == 1


def test_a_file_somebody_deleted_is_fetched_again_by_refresh(session: Session, sandbox: Any) -> None:
    task = session.submit(imagen4("a red kite")).result(PATIENCE)
    assert task.assets[0].path is not None
    before = task.assets[0].path.read_bytes()
    task.assets[0].path.unlink()
    session.refresh(task).result(PATIENCE)
    assert task.assets[0].path.read_bytes() == before
    assert sandbox.creates == 1


def test_refreshing_a_finished_task_costs_no_request(session: Session, sandbox: Any) -> None:
    task = session.submit(imagen4("a red kite")).result(PATIENCE)
    looks = sandbox.looks
    assert session.refresh(task).result(PATIENCE) == task
    assert sandbox.looks == looks


# The key.


def test_the_key_is_nowhere_after_a_whole_day_of_work(
    make_session: Callable[..., Session], sandbox: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = make_session()
    sandbox.faults({"route": "file", "body": "<html>"}, {"route": "look", "code": 500, "msg": "oops", "times": 3})
    handle = session.submit(imagen4("a red kite"))
    task = handle.result(PATIENCE)
    session.refresh(task).result(PATIENCE)
    said = [
        repr(session),
        session.account,
        repr(handle),
        repr(task),
        str(task),
        task.model_dump_json(),
        repr(vars(session)),
    ]
    sandbox.faults({"route": "create", "drop": True})
    for prompt in ("sandbox:fail", "sandbox:refuse", "another"):
        try:
            session.submit(imagen4(prompt)).result(PATIENCE)
        except TaskFailed as error:
            said += [str(error), repr(error), repr(error.task)]
    query = session.tasks()
    query.refetch()
    said += [repr(query), repr(query.data)]
    until(lambda: not session._engine._poller.watching)
    session.close()
    assert FAKE_KEY not in "\n".join(said)
    assert FAKE_KEY not in caplog.text
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {".sqlite3", ".json", ".png", ".webp"} <= {file.suffix for file in files}
    for file in files:
        assert FAKE_KEY.encode() not in file.read_bytes(), file
