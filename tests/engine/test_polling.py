"""Looking: every interval while a task is pending, with back-off when looks go wrong, and no timer when idle."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kiegen_nb.engine.store import Store
from kiegen_nb.engine.transitions import Accepted, Submitting
from kiegen_nb.errors import KeyRefused, TaskTimeout
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import TIMEOUT, Activity, AssetKind, TaskStatus
from tests.support.fake_kie import PATIENCE, RUNNING, START, FakeClock, Kie, envelope, settle, submit, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.engine.state import QueryState

DONE = envelope({"state": "success", "resultJson": '{"resultObject": {"ok": 1}}', "creditsConsumed": 4})
EMPTY = envelope({"state": "success", "resultJson": "{}"})
DENIED = envelope(None, 401, "You do not have access permissions")
BAD_LOOKS = {
    "dropped": httpx.RemoteProtocolError("no"),
    "timeout": httpx.ReadTimeout("no"),
    "refused": httpx.ConnectError("no"),
    "502": httpx.Response(502, html="<h1>Bad gateway</h1>"),
    "html": httpx.Response(200, html="<h1>Hello</h1>"),
    "429": envelope(None, 429, "too fast"),
    "null": envelope(None, 422, "recordInfo is null"),
    "500": envelope(None, 500, "oops"),
    "501": envelope(None, 501, "oops"),
    "no state": envelope({}),
    "cut": httpx.Response(200, content=b'{"code":200,"da'),
    "nested": httpx.Response(200, content=b"[" * 200_000),
    "a mistake": RuntimeError("a library's mistake"),
}


def accepted(engine: Engine, prompt: str = "a") -> TaskHandle:
    handle = submit(engine, prompt)
    until(lambda: handle.task.external_task_id and handle.id in engine._poller.watching)
    return handle


def advance(engine: Engine, clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    settle(engine)


def until_looks(kie: Kie, number: int) -> None:
    until(lambda: len(kie.looks) == number)


def times(kie: Kie) -> list[float]:
    return [moment for moment, _ in kie.looks]


def test_a_task_is_looked_at_every_interval_from_its_submission(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    accepted(engine)
    settle(engine)
    for number in range(1, 5):
        advance(engine, clock, 2.9)
        assert len(kie.looks) == number - 1
        advance(engine, clock, 0.1)
        until_looks(kie, number)
        settle(engine)
    assert times(kie) == [3.0, 6.0, 9.0, 12.0]


def test_what_a_look_says_is_on_the_task(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [envelope({"state": "queuing"}), envelope({"state": "a word nobody documented"}), DONE]
    advance(engine, clock, 3)
    until(lambda: handle.task.state == "queuing")
    settle(engine)
    advance(engine, clock, 3)
    until(lambda: handle.task.state == "a word nobody documented")
    assert handle.status is TaskStatus.PENDING
    settle(engine)
    advance(engine, clock, 3)
    task = handle.result(PATIENCE)
    assert (task.state, task.credits_consumed, task.assets[0].kind) == ("success", 4.0, AssetKind.DATA)
    assert len(kie.looks) == 3


def test_nothing_pending_means_no_look_and_no_timer(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [DONE]
    settle(engine)
    advance(engine, clock, 3)
    handle.result(PATIENCE)
    while clock.alarms:
        advance(engine, clock, 5)
    for _ in range(5):
        advance(engine, clock, 1000)
    assert clock.alarms == []
    assert len(kie.looks) == 1
    assert engine._poller.next_due is None
    assert engine._poller.watching == frozenset()


@pytest.mark.parametrize("bad", BAD_LOOKS.values(), ids=BAD_LOOKS.keys())
def test_a_bad_look_leaves_the_task_alone_and_is_repeated(
    engine: Engine, kie: Kie, clock: FakeClock, bad: httpx.Response | Exception
) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [bad, bad, DONE]
    settle(engine)
    for looks in (1, 2):
        while len(kie.looks) < looks:
            advance(engine, clock, 0.5)
        settle(engine)
        assert handle.status is TaskStatus.PENDING
    until(lambda: "Looking again" in (handle.task.note or ""))
    while len(kie.looks) < 3:
        advance(engine, clock, 0.5)
    task = handle.result(PATIENCE)
    assert (task.status, task.note) == (TaskStatus.SUCCESS, None)


def test_bad_looks_come_ever_more_rarely_but_for_ever(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [httpx.ConnectError("no")] * 7
    settle(engine)
    while len(kie.looks) < 8:
        advance(engine, clock, 1)
    gaps = [round(later - earlier) for earlier, later in pairwise(times(kie))]
    assert gaps == [3, 6, 12, 24, 48, 60, 60]
    assert handle.status is TaskStatus.PENDING


def test_the_first_bad_look_at_a_new_task_is_no_remark(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [envelope(None, 422, "recordInfo is null")]
    settle(engine)
    advance(engine, clock, 3)
    until(lambda: len(kie.looks) == 1)
    settle(engine)
    assert handle.task.note is None


def test_a_refused_key_pauses_the_looks_says_why_and_goes_on_when_it_works(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    query = engine.query("default")
    handle = accepted(engine)
    kie.on_look["ext a"] = [DENIED, DENIED]
    settle(engine)
    advance(engine, clock, 3)
    until(lambda: handle.task.activity is Activity.PAUSED and isinstance(query.error, KeyRefused))
    assert "Check KIE_API_KEY" in (handle.task.note or "")
    for _ in range(59):
        advance(engine, clock, 1)
    assert len(kie.looks) == 1
    advance(engine, clock, 1)
    until_looks(kie, 2)
    settle(engine)
    for _ in range(60):
        advance(engine, clock, 1)
    until(lambda: handle.task.activity is Activity.WATCHING and query.error is None)
    assert handle.task.note is None


def test_a_refused_key_pauses_every_task_and_one_look_finds_out_whether_it_works_again(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    handles = [accepted(engine, name) for name in "abc"]
    for name in "abc":
        kie.on_look[f"ext {name}"] = [DENIED]
    settle(engine)
    advance(engine, clock, 3)
    until(lambda: all(handle.task.activity is Activity.PAUSED for handle in handles))
    assert engine.health().pauses
    refused = len(kie.looks)
    for name in "abc":
        kie.on_look[f"ext {name}"] = [DENIED, DENIED]
    for _ in range(59):
        advance(engine, clock, 1)
    assert len(kie.looks) == refused, "no look while the key is refused"
    advance(engine, clock, 2)
    until_looks(kie, refused + 1)
    settle(engine)
    for name in "abc":
        kie.on_look[f"ext {name}"] = []
    for _ in range(62):
        advance(engine, clock, 1)
    until(lambda: all(handle.task.activity is Activity.WATCHING for handle in handles))
    assert engine.health().pauses == ()


def test_a_known_history_brings_extra_looks(make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock) -> None:
    first = make_engine()
    for number in range(6):
        handle = accepted(first, f"warm {number}")
        began = 1_800_000_000_000
        record = {
            "state": "success",
            "resultJson": "{}",
            "createTime": began,
            "completeTime": began + 4800 + 80 * number,
        }
        kie.on_look[f"ext warm {number}"] = [envelope(record | {"resultJson": '{"resultObject": {"a": 1}}'})]
        while handle.task.is_pending:
            advance(first, clock, 1)
        handle.result(PATIENCE)
        clock.advance(11)
    first.close()
    engine = make_engine()
    handle = accepted(engine)
    settle(engine)
    begin, seen = clock.now, len(kie.looks)
    assert engine.history.expect(handle.task).median == pytest.approx(5.0)
    while clock.now < begin + 7:
        advance(engine, clock, 0.05)
    moments = [round(START + moment - begin, 1) for moment, _ in kie.looks[seen:]]
    assert moments == [3.0, 5.1, 6.0]


def test_a_task_that_runs_past_its_limit_is_given_up_and_a_refresh_may_still_bring_it(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    engine = make_engine(600.0)
    handle = accepted(engine)
    settle(engine)
    for looks in range(1, 5):
        advance(engine, clock, 600)
        until_looks(kie, looks)
        settle(engine)
    with pytest.raises(TaskTimeout, match="30 minutes") as caught:
        handle.result(PATIENCE)
    assert (caught.value.task.fail_code, caught.value.task.activity) == (TIMEOUT, Activity.GAVE_UP)
    advance(engine, clock, 10_000)
    assert len(kie.looks) == 4, "given up is given up"
    kie.on_look["ext a"] = [DONE]
    engine.refresh(handle.id)
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_time_in_which_nobody_could_look_does_not_count(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    engine = make_engine(100.0)
    handle = accepted(engine)
    kie.on_look["ext a"] = [RUNNING, *[httpx.ConnectError("no")] * 40]
    settle(engine)
    while len(kie.looks) < 41:
        advance(engine, clock, 50)
    assert clock.now - START > 1800
    assert handle.status is TaskStatus.PENDING


def test_a_success_without_a_file_is_believed_after_five_looks_only(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [EMPTY] * 5
    settle(engine)
    for looks in range(1, 6):
        assert handle.status is TaskStatus.PENDING
        advance(engine, clock, 3)
        until_looks(kie, looks)
        settle(engine)
    until(lambda: handle.task.fail_code == "NO_RESULT")
    kie.on_look["ext a"] = [DONE]
    engine.refresh(handle.id)
    advance(engine, clock, 1)  # a look somebody asked for keeps to the budget, too
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_a_result_that_comes_late_ends_the_empty_successes(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [EMPTY, EMPTY, EMPTY, EMPTY, DONE]
    settle(engine)
    while len(kie.looks) < 5:
        advance(engine, clock, 3)
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_a_look_that_is_due_before_the_last_one_is_stored_waits_for_it(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    handle = accepted(engine)
    kie.on_look["ext a"] = [RUNNING, DONE]
    settle(engine)
    held, gate = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        gate.wait(PATIENCE)

    # The budget's permit is reserved before the store is held, what the look says is stored after.
    engine._poller._permits.extend([clock.now + 3.0, clock.now + 6.0])
    engine._database.write(hold)
    assert held.wait(PATIENCE)
    clock.advance(3.0)
    until_looks(kie, 1)
    clock.advance(3.0)
    engine.thread.run(engine.service.credits())
    assert len(kie.looks) == 1, "one look at a task at a time"
    gate.set()
    until_looks(kie, 2)
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS


def test_the_trouble_of_one_task_is_not_the_others(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    good, bad = accepted(engine, "good"), accepted(engine, "bad")
    kie.on_look["ext bad"] = [RuntimeError("a library's mistake")] * 50
    kie.on_look["ext good"] = [RUNNING, RUNNING, DONE]
    settle(engine)
    while good.task.is_pending:
        advance(engine, clock, 1)
    assert good.result(PATIENCE).status is TaskStatus.SUCCESS
    assert bad.status is TaskStatus.PENDING


def with_tasks(engine: Engine, number: int) -> None:
    """Put accepted tasks of an earlier process into the engine's store."""
    earlier = Store(engine._database, engine.service.account, engine.clock)
    for index in range(number):
        request = engine.service.prepare(imagen4(f"{index:03}"))
        found = earlier.find_or_insert(request, prompt_id="default", repeat=0, fresh=False)
        task, _ = found.result(PATIENCE)
        moment = task.created_at
        earlier.apply(task.id, Submitting(moment)).result(PATIENCE)
        earlier.apply(task.id, Accepted(f"ext {index:03}")).result(PATIENCE)
    earlier.release().result(PATIENCE)


def test_a_hundred_tasks_share_the_budget_and_each_has_its_turn(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    first = make_engine()
    with_tasks(first, 100)
    first.close()
    engine = make_engine()
    until(lambda: len(engine._poller.watching) == 100)
    while len({external_task_id for _, external_task_id in kie.looks}) < 100:
        advance(engine, clock, 0.25)
    moments = times(kie)
    busiest = max(sum(1 for other in moments if one <= other < one + 1.0) for one in moments)
    assert busiest <= 10
    counts = Counter(external_task_id for _, external_task_id in kie.looks)
    assert max(counts.values()) <= 2, "nobody is looked at thrice before everybody was once"


def test_a_429_on_a_look_slows_all_looks_down(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    accepted(engine)
    kie.on_look["ext a"] = [envelope(None, 429, "too fast")]
    before = engine.health().look_rate
    assert before == 9.0
    settle(engine)
    advance(engine, clock, 3)
    until(lambda: (engine.health().look_rate or 0.0) < before)
    assert "too many requests" in engine.health().pauses[0]


def test_a_task_of_an_earlier_process_is_looked_at_at_once_whatever_its_age(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    first = make_engine()
    with_tasks(first, 1)
    first.close()
    clock.advance(20 * 3600)
    kie.on_look["ext 000"] = [RUNNING, DONE]
    engine = make_engine()
    until(lambda: len(kie.looks) == 1)
    settle(engine)
    [task] = engine.store.by_prompt("default")
    assert task.is_pending, "twenty hours in which nobody looked are no time limit"
    advance(engine, clock, 3)
    until(lambda: engine.store.by_prompt("default")[0].is_finished)
    assert kie.creates == []


def test_one_kernel_polls_and_the_other_follows_the_store(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    one, other = make_engine(), make_engine()
    query = other.query("default")
    handle, twin = accepted(one), submit(other)
    assert twin.id == handle.id
    kie.on_look["ext a"] = [RUNNING, DONE]
    while not (handle.task.is_finished and twin.task.is_finished):
        advance(one, clock, 0.5)
        settle(other)
    assert twin.result(PATIENCE).status is TaskStatus.SUCCESS
    until(lambda: query.data and query.data[0].status is TaskStatus.SUCCESS)
    assert len(kie.looks) == 2, "one look per due task, however many kernels show it"


def test_refetching_looks_at_pending_tasks_out_of_turn(engine: Engine, kie: Kie) -> None:
    accepted(engine)
    query = engine.query("default")
    kie.on_look["ext a"] = [envelope({"state": "generating"})]
    [task] = query.refetch()
    assert task.state == "generating"
    assert len(kie.looks) == 1


@pytest.mark.stores
def test_whoever_watches_hears_of_another_kernels_new_task_within_three_seconds(
    make_engine: Callable[..., Engine], clock: FakeClock
) -> None:
    one, other = make_engine(), make_engine()
    query = other.query("default")
    until(lambda: not query.is_loading and clock.alarms)
    submit(one)
    waited = 0.0
    while not query.data:
        assert waited <= 3.0
        waited += 0.5
        advance(other, clock, 0.5)
        until(lambda: clock.alarms)
    assert query.data[0].prompt == "a"


def test_while_nothing_is_pending_watching_is_one_query_every_two_seconds_and_no_write(
    engine: Engine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("changed_since", "take_over", "is_busy", "revision"):
        monkeypatch.setattr(engine.store, name, told(asked, name, getattr(engine.store, name)))
    states: list[QueryState] = []
    end = engine.subscribe("default", states.append)
    until(lambda: states and not states[-1].is_loading)
    for _ in range(4):  # the rounds of a new engine and of a new watcher
        until(lambda: clock.alarms)
        advance(engine, clock, 2.0)
    until(lambda: clock.alarms)
    for number in range(3):
        asked.clear()
        advance(engine, clock, 1.9)
        assert asked == [], number
        advance(engine, clock, 0.1)
        until(lambda: asked and clock.alarms)
        assert asked == ["changed_since"], number

    end()
    advance(engine, clock, 2)
    until(lambda: not clock.alarms)


def told(asked: list[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that first says that it was called."""

    def tell(*args: Any) -> Any:
        asked.append(name)
        return function(*args)

    return tell
