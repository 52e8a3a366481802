"""Batches on a scripted Kie whose time stands still: order, concurrency, credits, pauses, and who sends what."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kiegen_nb.batch.asking import checked_concurrency, existing
from kiegen_nb.batch.batch import Batch
from kiegen_nb.batch.plan import Plan
from kiegen_nb.batch.spending import Spending
from kiegen_nb.errors import BatchFailed, BudgetExceeded, InvalidParams, StoreError, WrongThread
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import CANCELLED, UNCONFIRMED, Activity, TaskStatus
from tests.support.fake_kie import PATIENCE, FakeClock, Kie, envelope, settle, submit, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kiegen_nb.engine.engine import Engine

PRICE = 4.0  # credits, of one picture that is asked for here
POOR = envelope(None, 402, "The current credits are insufficient. Please top up.")


def done(credits_consumed: float | None = PRICE) -> httpx.Response:
    data: dict[str, Any] = {"state": "success", "resultJson": '{"resultObject": {"ok": 1}}'}
    return envelope(data if credits_consumed is None else data | {"creditsConsumed": credits_consumed})


FAILED = envelope({"state": "fail", "failCode": "500", "failMsg": "no", "creditsConsumed": 0})
CHARGED = envelope({"state": "fail", "failCode": "500", "failMsg": "no", "creditsConsumed": PRICE})


def kites(number: int) -> Plan:
    return Plan.of(imagen4(f"{count:03}") for count in range(number))


def start(engine: Engine, plan: Plan, name: str = "kites", **options: Any) -> Batch:
    cap, assumed = options.pop("max_credits", None), options.pop("assume_credits", None)
    return Batch(engine, plan, name, spending=Spending(cap, assumed), **options)


def sent(kie: Kie) -> list[str]:
    return [prompt for _, prompt in kie.creates]


def answer(kie: Kie, looks: Mapping[str, httpx.Response] | None = None, usual: httpx.Response | None = None) -> None:
    """Have every task end at its first look."""
    usual = usual or done()

    class Looks(dict[str, list[Any]]):
        def get(self, key: str, default: Any = None) -> list[Any]:
            del default
            return [(looks or {}).get(key.removeprefix("ext "), usual)]

    kie.on_look = Looks()


def go_on(engine: Engine, clock: FakeClock, is_so: Callable[[], object], step: float = 1.0) -> None:
    """Let time go on until something is true."""
    for _ in range(600):
        settle(engine)
        if is_so():
            return
        clock.advance(step)
    raise AssertionError("it never came true")


def finish(engine: Engine, clock: FakeClock, batch: Batch) -> None:
    go_on(engine, clock, lambda: batch._run.ends.is_settled)


def rows(tmp_path: Path) -> list[tuple[str, str | None, str | None]]:
    """Return prompt, activity and failure of every row, in the order they were stored."""
    store = sqlite3.connect(tmp_path / "store.sqlite3")
    try:
        query = "SELECT json_extract(provider_params, '$.input.prompt'), activity, fail_code FROM tasks ORDER BY rowid"
        return store.execute(query).fetchall()
    finally:
        store.close()


# Storing and sending.


def test_all_items_are_stored_and_in_the_gallery_before_the_first_is_answered(
    engine: Engine, kie: Kie, tmp_path: Path
) -> None:
    seen: list[int] = []
    kie.before_create = lambda: seen.append(len(rows(tmp_path)))
    batch = start(engine, kites(30))
    until(lambda: len(kie.creates) == 20)
    assert seen == [30] * 20
    until(lambda: len(engine.hub._groups) == 0 and len(engine.store.by_prompt("kites")) == 30)
    assert [task.prompt for task in batch.tasks] == [f"{count:03}" for count in range(30)]


def test_a_thousand_items_are_a_handful_of_transactions(engine: Engine) -> None:
    before = engine.store.revision()
    batch = start(engine, kites(1000), max_credits=PRICE * 1000)
    stored = {row["revision"] for row in engine.store.rows("kites") if row["activity"] == Activity.QUEUED.value}
    assert len(batch) == 1000
    assert len(stored - {before}) <= 5


def test_items_are_sent_in_the_order_of_the_plan(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    batch = start(engine, kites(45))
    finish(engine, clock, batch)
    assert sent(kie) == [f"{count:03}" for count in range(45)]
    assert [task.status for task in batch.tasks] == [TaskStatus.SUCCESS] * 45


def test_others_get_in_between_a_long_batch(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    start(engine, kites(200))
    until(lambda: len(kie.creates) == 20)
    handle = submit(engine, "in a hurry")
    go_on(engine, clock, lambda: handle.task.external_task_id)
    assert len(kie.creates) <= 80


def test_no_more_than_the_wanted_number_is_in_flight(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    batch = start(engine, kites(7), concurrency=3)
    until(lambda: len(kie.creates) == 3)
    settle(engine)
    assert sent(kie) == ["000", "001", "002"]
    kie.on_look["ext 001"] = [done()]
    go_on(engine, clock, lambda: len(kie.creates) == 4)
    settle(engine)
    assert sent(kie)[3:] == ["003"]
    assert batch.progress.running == 3
    answer(kie)
    finish(engine, clock, batch)
    assert sent(kie) == [f"{count:03}" for count in range(7)]


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2"])
def test_a_concurrency_that_is_none_is_refused(number: object) -> None:
    with pytest.raises(InvalidParams, match="concurrency"):
        checked_concurrency(number)


def test_the_same_request_twice_is_refused_before_anything_is_stored(engine: Engine, tmp_path: Path) -> None:
    items = [*kites(40), kites(1)[0]]
    plan = Plan(items)
    with pytest.raises(InvalidParams, match="item 0"):
        start(engine, plan)
    assert rows(tmp_path) == []


def test_a_batch_on_the_engines_thread_says_so(engine: Engine) -> None:
    async def make() -> Batch:
        return start(engine, kites(1))

    with pytest.raises(WrongThread):
        engine.thread.submit(make()).result(PATIENCE)


# Reuse.


def test_the_same_batch_again_sends_nothing(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    batch = start(engine, kites(5))
    finish(engine, clock, batch)
    again = start(engine, kites(5), max_credits=0)
    finish(engine, clock, again)
    assert [task.id for task in again.tasks] == [task.id for task in batch.tasks]
    assert len(kie.creates) == 5
    assert repr(again) == repr(batch) == "Batch('kites', 5 items: 5 succeeded)"


def test_fresh_items_are_asked_anew_and_the_others_are_not(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    first = start(engine, kites(4))
    finish(engine, clock, first)
    again = start(engine, kites(4).fresh([1, 3]))
    finish(engine, clock, again)
    assert sent(kie)[4:] == ["001", "003"]
    same = [one.id == other.id for one, other in zip(first.tasks, again.tasks, strict=True)]
    assert same == [True, False, True, False]


def test_a_fresh_item_that_was_stored_and_never_sent_is_not_stored_twice(
    engine: Engine, kie: Kie, clock: FakeClock, tmp_path: Path
) -> None:
    kie.on_create = [POOR]
    start(engine, kites(3).fresh(), concurrency=1)
    until(lambda: len(kie.creates) == 1)
    settle(engine)
    answer(kie)
    finish(engine, clock, start(engine, kites(3).fresh()))
    assert [prompt for prompt, *_ in rows(tmp_path)] == ["000", "001", "002"]


@pytest.mark.parametrize(
    ("created", "looked", "is_sent_again"),
    [
        (envelope(None, 422, "no"), None, True),
        (httpx.ReadTimeout("no"), None, False),
        (None, FAILED, False),
        (None, CHARGED, False),
    ],
    ids=["refused", "unconfirmed", "failed", "charged"],
)
def test_what_failed_comes_back_as_it_is_unless_it_was_refused(
    engine: Engine,
    kie: Kie,
    clock: FakeClock,
    created: httpx.Response | Exception | None,
    looked: httpx.Response | None,
    *,
    is_sent_again: bool,
) -> None:
    kie.on_create = [created] if created is not None else []
    answer(kie, {"000": looked} if looked is not None else {})
    batch = start(engine, kites(2))
    finish(engine, clock, batch)
    assert [task.status for task in batch.tasks] == [TaskStatus.FAILED, TaskStatus.SUCCESS]
    answer(kie)
    again = start(engine, kites(2))
    finish(engine, clock, again)
    assert (again.tasks[0].id != batch.tasks[0].id) is is_sent_again
    assert len(kie.creates) == 2 + is_sent_again


def test_what_is_there_is_told_in_one_reading(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    kie.on_create = [envelope(None, 422, "no")]
    answer(kie)
    batch = start(engine, kites(3))
    finish(engine, clock, batch)
    found = existing(engine, kites(5).fresh([2]), "kites")
    assert [task and task.id for task in found] == [None, batch.tasks[1].id, None, None, None]
    assert existing(engine, kites(5), "other") == (None,) * 5


# Credits.


def test_a_batch_that_may_cost_more_than_it_may_is_refused_before_anything_is_stored(
    engine: Engine, kie: Kie, tmp_path: Path
) -> None:
    with pytest.raises(BudgetExceeded, match=r"10 requests may cost 40 credits.*max_credits=39") as caught:
        start(engine, kites(10), max_credits=39)
    assert (caught.value.needed, caught.value.max_credits, caught.value.unknown) == (40, 39, ())
    settle(engine)
    assert rows(tmp_path) == []
    assert kie.creates == []
    start(engine, kites(10), max_credits=40)


def test_what_is_there_already_costs_nothing(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    finish(engine, clock, start(engine, kites(8)))
    with pytest.raises(BudgetExceeded, match="2 requests may cost 8 credits"):
        start(engine, kites(10), max_credits=7)
    batch = start(engine, kites(10), max_credits=8)
    finish(engine, clock, batch)
    assert batch.progress.is_done
    assert batch.progress.credits_spent == 8


def test_items_of_unknown_price_are_named_unless_a_price_is_assumed(
    engine: Engine, kie: Kie, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "prices", lambda plan: (None,) * len(plan))
    with pytest.raises(
        BudgetExceeded, match=r"items 0, 1, 2, 3, 4, \.\.\.; google/imagen4-fast.*assume_credits"
    ) as caught:
        start(engine, kites(8), max_credits=1000)
    assert caught.value.unknown == tuple(range(8))
    with pytest.raises(BudgetExceeded, match="may cost 80 credits"):
        start(engine, kites(8), max_credits=79, assume_credits=10)
    settle(engine)
    assert kie.creates == []
    start(engine, kites(8), max_credits=80, assume_credits=10)


@pytest.mark.parametrize(("name", "value"), [("max_credits", -1), ("assume_credits", "4"), ("max_credits", True)])
def test_credits_that_are_none_are_refused_by_name(name: str, value: Any) -> None:
    given = {"cap": value} if name == "max_credits" else {"assumed": value}
    with pytest.raises(InvalidParams, match=name):
        Spending(**given)


def test_a_batch_that_turns_out_dearer_pauses_before_it_passes_its_limit(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    answer(kie, usual=done(10))
    batch = start(engine, kites(10), max_credits=45, concurrency=1)
    finish(engine, clock, batch)
    # 10 + 10 + 10 + 10 are spent; a fifth may cost 10 as well.
    assert len(kie.creates) == 4
    progress = batch.progress
    assert (progress.succeeded, progress.queued, progress.credits_spent) == (4, 6, 40)
    assert progress.paused is not None
    assert "40 credits are spent" in progress.paused
    assert "max_credits=45" in progress.paused
    assert progress.remaining is None
    assert repr(batch) == "Batch('kites', 10 items: paused, 4 succeeded, 6 queued)"
    assert batch.wait(0) is batch

    with pytest.raises(BudgetExceeded):
        batch.resume()
    assert batch.progress.paused == progress.paused
    batch.resume(max_credits=70)
    finish(engine, clock, batch)
    assert len(kie.creates) == 7
    batch.resume(max_credits=1000)
    finish(engine, clock, batch)
    assert batch.progress.is_done
    assert sent(kie) == [f"{count:03}" for count in range(10)]


def test_a_batch_that_turns_out_cheaper_waits_for_what_is_under_way_and_goes_on(
    engine: Engine, kie: Kie, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "prices", lambda plan: (None,) * len(plan))
    answer(kie, usual=done(10))
    batch = start(engine, kites(6), max_credits=60, assume_credits=10)
    batch._run.spending.limit_to(25)
    answer(kie, usual=done(1))
    finish(engine, clock, batch)
    assert batch.progress.paused is None
    assert batch.progress.credits_spent == 6


def test_a_result_whose_cost_nobody_says_counts_as_dear_as_it_may_be(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    answer(kie, {"001": FAILED}, usual=done(None))
    kie.on_create = [envelope({"taskId": "ext 000"}), envelope({"taskId": "ext 001"}), httpx.ReadTimeout("no")]
    batch = start(engine, kites(4))
    finish(engine, clock, batch)
    # One succeeded and one is in doubt; the one that failed said 0, and the last again nothing.
    assert batch.progress.credits_spent == 3 * PRICE


# Pauses.


@pytest.mark.parametrize(
    ("code", "advice"), [(402, "Top up"), (401, "key work"), (433, "Raise the key's cap"), (455, "Wait until")]
)
def test_a_refusal_of_everything_pauses_the_rest_instead_of_failing_it(
    engine: Engine, kie: Kie, clock: FakeClock, tmp_path: Path, code: int, advice: str
) -> None:
    answer(kie)
    refusal = envelope(None, code, "not now")
    kie.on_create = [*(envelope({"taskId": f"ext {count:03}"}) for count in range(5)), *[refusal] * 75]
    batch = start(engine, kites(80))
    finish(engine, clock, batch)
    progress = batch.progress
    assert progress.failed == 0
    assert progress.succeeded == 5
    assert progress.queued == 75
    assert progress.paused is not None
    assert advice in progress.paused
    assert "resume()" in progress.paused
    assert len(kie.creates) <= 20, "not one by one"
    assert {failure for *_, failure in rows(tmp_path)} == {None}

    for _ in range(5):
        clock.advance(100)
        settle(engine)
    assert engine.resume() == []
    settle(engine)
    assert len(kie.creates) <= 20, "nothing else sends what is paused"

    kie.on_create = []
    batch.resume()
    finish(engine, clock, batch)
    assert batch.progress.succeeded == 80
    assert sorted(set(sent(kie))) == [f"{count:03}" for count in range(80)]


def test_the_same_cell_run_again_takes_a_paused_batch_over(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    kie.on_create = [envelope({"taskId": "ext 000"}), POOR]
    first = start(engine, kites(6), concurrency=1)
    finish(engine, clock, first)
    assert first.progress.queued == 5
    again = start(engine, kites(6))
    finish(engine, clock, again)
    assert again.progress.succeeded == first.progress.succeeded == 6
    assert len(kie.creates) == 7, "the refused one, and each once"
    first.resume()
    settle(engine)
    assert len(kie.creates) == 7


def test_the_same_cell_run_again_in_the_middle_sends_each_once(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    batches = [start(engine, kites(50))]
    until(lambda: len(kie.creates) == 20)
    batches += [start(engine, kites(50)), start(engine, kites(50))]
    for batch in batches:
        finish(engine, clock, batch)
    assert sent(kie) == [f"{count:03}" for count in range(50)]


def test_credits_that_run_out_after_the_cell_ran_again_pause_the_newer_batch(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    gate: Future[None] = Future()
    kie.before_create = lambda: gate.result(PATIENCE)
    kie.on_create = [POOR] * 3
    first = start(engine, kites(3))
    until(lambda: any(task.activity is Activity.SUBMITTING for task in first.tasks))
    again = start(engine, kites(3))
    gate.set_result(None)
    finish(engine, clock, again)
    assert again.progress.paused is not None
    assert again.progress.queued == 3
    kie.on_create = []
    answer(kie)
    again.resume()
    finish(engine, clock, again)
    assert again.progress.succeeded == 3


def test_a_request_of_a_paused_batch_can_be_submitted_alone(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie)
    kie.on_create = [POOR]
    batch = start(engine, kites(3), concurrency=1)
    finish(engine, clock, batch)
    handle = engine.submit(engine.service.prepare(imagen4("001")), prompt_id="kites")
    go_on(engine, clock, lambda: handle.task.is_finished)
    assert sent(kie) == ["000", "001"]
    batch.resume()
    finish(engine, clock, batch)
    assert sorted(sent(kie)) == ["000", "000", "001", "002"]


def test_a_store_that_fails_pauses_the_batch_and_it_can_go_on(
    engine: Engine, kie: Kie, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Future[Any]:
        failed: Future[Any] = Future()
        failed.set_exception(StoreError("the disk is full"))
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(engine.store, "apply", full)
        batch = start(engine, kites(3))
        until(lambda: batch._run.ends.is_settled)
    assert kie.creates == []
    assert "the disk is full" in (batch.progress.paused or "")
    answer(kie)
    batch.resume()
    finish(engine, clock, batch)
    assert batch.progress.succeeded == 3


def test_an_interrupt_while_requests_are_stored_keeps_them_back_until_the_cell_runs_again(
    engine: Engine, kie: Kie, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(future: Future[Any]) -> Any:
        future.exception(PATIENCE)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kiegen_nb.engine.held.wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start(engine, kites(3))
    settle(engine)
    assert kie.creates == []
    assert [activity for _, activity, _ in rows(tmp_path)] == ["queued"] * 3
    answer(kie)
    finish(engine, clock, start(engine, kites(3)))
    assert sent(kie) == ["000", "001", "002"]


# Cancelling and asking anew.


def test_cancelling_takes_back_what_is_not_sent_and_nothing_else(
    engine: Engine, kie: Kie, clock: FakeClock, tmp_path: Path
) -> None:
    batch = start(engine, kites(150))
    until(lambda: sum(bool(task.external_task_id) for task in batch.tasks) == 20)
    assert batch.cancel() == 130
    answer(kie)
    finish(engine, clock, batch)
    progress = batch.progress
    assert (progress.succeeded, progress.failed, progress.queued) == (20, 130, 0)
    assert {failure for *_, failure in rows(tmp_path)} == {None, CANCELLED}
    for _ in range(5):
        clock.advance(100)
        settle(engine)
    assert len(kie.creates) == 20
    assert batch.cancel() == 0


def test_cancelling_at_once_takes_back_what_the_engine_has_not_even_taken_in(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    answer(kie)
    batch = start(engine, kites(450))
    taken = batch.cancel()
    finish(engine, clock, batch)
    progress = batch.progress
    assert (progress.failed, progress.succeeded, progress.queued) == (taken, 450 - taken, 0)
    assert len(kie.creates) == 450 - taken <= 20


def test_a_paused_batch_can_be_cancelled(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    kie.on_create = [POOR]
    batch = start(engine, kites(5), concurrency=1)
    finish(engine, clock, batch)
    assert batch.cancel() == 5
    assert batch.progress.paused is None
    assert batch.progress.is_done


def mixed(engine: Engine, kie: Kie, clock: FakeClock) -> Batch:
    """Return a batch with a success and one failure of each kind."""
    answer(kie, {"001": FAILED, "004": CHARGED})
    kie.on_create = [
        envelope({"taskId": "ext 000"}), envelope({"taskId": "ext 001"}), envelope(None, 422, "no"),
        httpx.ReadTimeout("no"), envelope({"taskId": "ext 004"}),
    ]  # fmt: skip
    batch = start(engine, kites(5), max_credits=1000)
    finish(engine, clock, batch)
    assert [task.fail_code for task in batch.tasks] == [None, "500", "422", UNCONFIRMED, "500"]
    answer(kie)
    kie.creates.clear()
    return batch


def test_asking_anew_leaves_out_what_may_have_been_charged(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    batch = mixed(engine, kie, clock)
    before = batch.tasks
    assert batch.retry_failed() == 2
    finish(engine, clock, batch)
    assert sorted(sent(kie)) == ["001", "002"]
    assert [task.fail_code for task in batch.tasks] == [None, None, None, UNCONFIRMED, "500"]
    assert [task.attempt for task in batch.tasks] == [0, 1, 1, 0, 0]
    assert batch.tasks[0] == before[0]
    assert batch.retry_failed() == 0


def test_asking_anew_whatever_was_charged_is_for_those_who_say_so(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    batch = mixed(engine, kie, clock)
    assert batch.retry_failed(even_if_charged=True) == 4
    finish(engine, clock, batch)
    assert sorted(sent(kie)) == ["001", "002", "003", "004"]
    assert batch.progress.succeeded == 5


def test_asking_anew_minds_the_limit(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie, usual=FAILED)
    batch = start(engine, kites(3), max_credits=3 * PRICE)
    finish(engine, clock, batch)
    batch._run.spending.limit_to(2 * PRICE)
    with pytest.raises(BudgetExceeded, match="3 requests"):
        batch.retry_failed()
    assert len(kie.creates) == 3
    batch._run.spending.limit_to(3 * PRICE)
    assert batch.retry_failed() == 3


def test_two_batches_that_ask_anew_pay_once(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    answer(kie, usual=FAILED)
    one = start(engine, kites(2))
    finish(engine, clock, one)
    other = start(engine, kites(2))
    finish(engine, clock, other)
    answer(kie)
    assert one.retry_failed() == other.retry_failed() == 2
    finish(engine, clock, one)
    finish(engine, clock, other)
    assert len(kie.creates) == 4
    assert [task.id for task in one.tasks] == [task.id for task in other.tasks]


def test_failures_are_raised_only_when_asked_for(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    batch = mixed(engine, kie, clock)
    assert batch.wait(0) is batch
    with pytest.raises(
        BatchFailed, match=r"4 of 5 items failed\.\n  item 1: .*\n  item 2: .*\n  item 3: .*\n  and 1"
    ) as caught:
        batch.raise_for_failures()
    assert caught.value.tasks == batch.failed
    assert len(batch.results) == 1


# Other kernels.


def test_two_kernels_with_the_same_batch_send_each_once(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    answer(kie)
    one, other = make_engine(), make_engine()
    first, second = start(one, kites(30)), start(other, kites(30))

    def is_over() -> bool:
        settle(other)
        return first._run.ends.is_settled and second._run.ends.is_settled

    go_on(one, clock, is_over)
    assert sorted(sent(kie)) == [f"{count:03}" for count in range(30)]
    assert second.progress.succeeded == 30


def test_what_a_closed_session_left_queued_is_sent_by_the_next_one_that_asks(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    one = make_engine()
    start(one, kites(50))
    until(lambda: len(kie.creates) == 20)
    settle(one)
    one.close()
    other = make_engine()
    for _ in range(5):
        clock.advance(20)
        settle(other)
    assert len(kie.creates) == 20, "nothing is sent by opening a session"
    answer(kie)
    batch = start(other, kites(50))
    finish(other, clock, batch)
    assert sorted(sent(kie)) == [f"{count:03}" for count in range(50)]
    assert batch.progress.succeeded == 50
