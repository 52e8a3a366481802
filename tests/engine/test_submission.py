"""Sending: the row is written before and after, each request goes out once, and 20 in 10 seconds at most."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import NullPool, create_engine, select

from kiegen_nb.engine import schema
from kiegen_nb.engine.location import store_url
from kiegen_nb.errors import StoreError, TaskFailed, TaskUnconfirmed
from kiegen_nb.tasks import CANCELLED, Activity, TaskStatus
from tests.support.fake_kie import PATIENCE, FakeClock, Kie, envelope, settle, submit, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle

pytestmark = pytest.mark.stores


def until_requeued(kie: Kie, handle: TaskHandle, sent: int) -> None:
    until(lambda: len(kie.creates) == sent and handle.task.activity is Activity.QUEUED)


def times(kie: Kie) -> list[float]:
    return [moment for moment, _ in kie.creates]


def stored(location: str) -> list[tuple[str | None, ...]]:
    """Return what another process would read right now."""
    query = select(schema.tasks.c.activity, schema.tasks.c.external_task_id)
    with create_engine(store_url(location), poolclass=NullPool).connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_the_row_is_on_disk_as_submitting_before_the_request_goes_out(engine: Engine, kie: Kie, location: str) -> None:
    seen: list[tuple[str | None, ...]] = []
    kie.before_create = lambda: seen.extend(stored(location))
    handle = submit(engine)
    until(lambda: handle.task.external_task_id)
    assert seen == [("submitting", None)]
    assert stored(location) == [("watching", "ext a")]
    assert len(kie.creates) == 1


def test_closing_waits_for_the_answer_to_a_create_on_its_way_and_no_longer(
    engine: Engine, kie: Kie, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "kiegen_nb")
    sent, answered = threading.Event(), threading.Event()

    def hold() -> None:
        sent.set()
        assert answered.wait(PATIENCE)

    kie.before_create = hold
    submit(engine)
    assert sent.wait(PATIENCE)
    closing = threading.Thread(target=engine.close)
    closing.start()
    until(lambda: engine.is_closed)
    answered.set()
    closing.join(PATIENCE)
    assert stored(location) == [("watching", "ext a")]
    # Its clock stands still: had it waited for anything but the answer, it would have been too late.
    assert "engine.late" not in {getattr(record, "event", "") for record in caplog.records}


def test_a_submitted_task_is_in_the_store_before_submit_returns(engine: Engine, location: str) -> None:
    handle = submit(engine)
    assert len(stored(location)) == 1
    assert engine.store.get(handle.id) is not None


@pytest.mark.parametrize(
    "answer",
    [
        httpx.ReadTimeout("no"),
        httpx.RemoteProtocolError("no"),
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
        envelope(None, 500, "Internal server error"),
        envelope(None, 408, "upstream"),
        envelope(None, 505, "disabled"),
        envelope({}, 200),
        httpx.Response(200, content=b"{"),
        httpx.Response(200, content=b"[" * 200_000),
    ],
    ids=["timeout", "dropped", "502", "500", "408", "505", "no id", "cut", "nested"],
)
def test_a_request_that_may_have_arrived_is_never_sent_again(
    engine: Engine, kie: Kie, clock: FakeClock, answer: httpx.Response | Exception
) -> None:
    kie.on_create = [answer]
    handle = submit(engine)
    with pytest.raises(TaskUnconfirmed):
        handle.result(PATIENCE)
    for _ in range(10):
        clock.advance(100)
        settle(engine)
    assert submit(engine).id == handle.id
    assert engine.resume() == []
    settle(engine)
    assert len(kie.creates) == 1


def test_a_service_that_breaks_its_promise_and_raises_leaves_no_task_hanging(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    kie.on_create = [RuntimeError("a library's mistake")]
    handle = submit(engine)
    with pytest.raises(TaskUnconfirmed):
        handle.result(5)
    clock.advance(100)
    settle(engine)
    assert len(kie.creates) == 1


@pytest.mark.parametrize("code", [400, 401, 402, 404, 422, 433, 455])
def test_a_refusal_ends_the_task_at_once(engine: Engine, kie: Kie, code: int) -> None:
    kie.on_create = [envelope(None, code, "no")]
    handle = submit(engine)
    with pytest.raises(TaskFailed) as caught:
        handle.result(PATIENCE)
    assert caught.value.task.fail_code == str(code)
    assert len(kie.creates) == 1


def test_a_request_without_a_connection_is_repeated_with_growing_waits(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    kie.on_create = [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.ConnectError("no")]
    handle = submit(engine)
    for sent in (1, 2, 3):
        until_requeued(kie, handle, sent)
        assert "sent by itself" in (handle.task.note or "")
        settle(engine)
        clock.advance(2.0 ** (sent - 1) - 0.1)
        settle(engine)
        assert len(kie.creates) == sent, "not before its time"
        clock.advance(0.2)
    until(lambda: handle.task.external_task_id)
    assert handle.task.note is None
    assert len(kie.creates) == 4


@pytest.mark.parametrize(("headers", "wait"), [({}, 10.0), ({"retry-after": "25"}, 25.0), ({"retry-after": "1"}, 10.0)])
def test_a_429_is_repeated_after_its_window(
    engine: Engine, kie: Kie, clock: FakeClock, headers: dict[str, str], wait: float
) -> None:
    kie.on_create = [httpx.Response(429, json={"code": 429, "msg": "too fast", "data": None}, headers=headers)]
    handle = submit(engine)
    until(lambda: handle.task.note)
    settle(engine)
    clock.advance(wait - 0.1)
    settle(engine)
    assert times(kie) == [0.0]
    clock.advance(0.2)
    until(lambda: handle.task.external_task_id)
    assert len(kie.creates) == 2


def test_no_more_than_twenty_go_out_in_ten_seconds_in_the_order_they_came(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    handles = [submit(engine, f"{number:02}") for number in range(25)]
    until(lambda: len(kie.creates) == 20)
    until(lambda: any((handle.task.note or "").startswith("Waiting for a slot") for handle in handles))
    settle(engine)
    clock.advance(9.9)
    settle(engine)
    assert len(kie.creates) == 20
    while len(kie.creates) < 25:
        clock.advance(0.1)
        settle(engine)
    until(lambda: all(handle.task.external_task_id for handle in handles))
    assert [prompt for _, prompt in kie.creates] == [f"{number:02}" for number in range(25)]
    assert all(moment >= 10.0 for moment in times(kie)[20:])
    assert all(handle.task.note is None for handle in handles)


def test_a_request_waiting_for_a_slot_can_be_taken_back_and_holds_nobody_up(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    handles = [submit(engine, f"{number:02}") for number in range(22)]
    until(lambda: handles[20].task.note)
    assert handles[20].cancel()
    with pytest.raises(TaskFailed):
        handles[20].result(PATIENCE)
    settle(engine)
    while len(kie.creates) < 21:
        clock.advance(0.5)
        settle(engine)
    until(lambda: handles[21].task.external_task_id)
    assert handles[20].task.fail_code == CANCELLED
    assert handles[20].task.note is None
    assert "20" not in {prompt for _, prompt in kie.creates}


def test_asking_again_while_it_is_on_its_way_sends_nothing(engine: Engine, kie: Kie) -> None:
    handles = [submit(engine) for _ in range(10)]
    until(lambda: handles[0].task.external_task_id)
    settle(engine)
    assert len({handle.id for handle in handles}) == 1
    assert len(kie.creates) == 1


def test_two_kernels_asking_for_the_same_send_it_once(make_engine: Callable[..., Engine], kie: Kie) -> None:
    one, other = make_engine(), make_engine()
    first, second = submit(one), submit(other)
    assert first.id == second.id
    until(lambda: first.task.external_task_id)
    settle(other)
    assert len(kie.creates) == 1


def test_a_store_that_fails_keeps_the_request_back_and_it_can_be_sent_later(
    engine: Engine, kie: Kie, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the disk is full"))
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "apply", full)
        handle = submit(engine)
        settle(engine)
    assert kie.creates == [], "nothing is sent that could not be written down"
    assert stored(location) == [("queued", None)]
    again = submit(engine)
    assert again.id == handle.id
    settle(engine)
    assert len(kie.creates) == 1
    until(lambda: again.task.external_task_id)


def test_an_interrupt_while_a_request_is_stored_keeps_it_back_until_the_cell_runs_again(
    engine: Engine, kie: Kie, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(future: Future[Any]) -> Any:
        future.exception(PATIENCE)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kiegen_nb.engine.engine.wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            submit(engine)
    settle(engine)
    assert kie.creates == []
    assert stored(location) == [("queued", None)]
    submit(engine)
    settle(engine)
    assert len(kie.creates) == 1


def test_the_answer_is_told_once_the_service_has_spoken(engine: Engine, kie: Kie) -> None:
    told = threading.Event()
    gate = threading.Event()
    kie.before_create = lambda: gate.wait(PATIENCE)
    handle = submit(engine)
    handle.when_answered(lambda _: told.set())
    assert not told.is_set()
    gate.set()
    assert told.wait(PATIENCE)
    assert handle.status is TaskStatus.PENDING


def test_a_request_is_sent_by_the_kernel_that_waits_for_it_once_the_one_that_was_to_send_it_has_ended(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    kie.on_create = [envelope(None, 429, "too fast")]
    one, other = make_engine(), make_engine()
    first = submit(one)
    until_requeued(kie, first, 1)
    twin = submit(other)
    assert twin.id == first.id
    settle(other)
    clock.advance(3)
    settle(other)
    assert len(kie.creates) == 1, "the other one lives, and will send it"
    one.close()

    def accepted() -> bool:
        clock.advance(1)
        return twin.task.external_task_id is not None

    until(accepted)
    settle(other)
    assert len(kie.creates) == 2
