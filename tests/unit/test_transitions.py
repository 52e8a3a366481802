"""``apply(task, event)``: every event in every situation, and nothing that takes an outcome back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.engine.transitions import (
    Accepted,
    Cancelled,
    Failed,
    Noted,
    Paused,
    Refused,
    Requeued,
    Running,
    Saved,
    Saving,
    Submitting,
    Succeeded,
    Unconfirmed,
    apply,
    timed_out,
    was_refused,
)
from kiegen_nb.service import Outcome, OutcomeKind
from kiegen_nb.tasks import CANCELLED, TIMEOUT, UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from kiegen_nb.engine.transitions import Event

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LATER = NOW + timedelta(seconds=9)
ASSET = Asset(kind=AssetKind.IMAGE, url="https://x/a.png")
SUCCESS = Outcome(OutcomeKind.SUCCEEDED, state="success", result_json="{}", credits_consumed=4.0)

QUEUED = GenerationTask(id="a" * 32, model="IMAGEN4", api_model="google/imagen4", created_at=NOW)
SUBMITTING = apply(QUEUED, Submitting(NOW))
WATCHING = apply(SUBMITTING, Accepted("ext-1"))
PAUSED = apply(WATCHING, Paused("key refused"))
SAVING = apply(WATCHING, Succeeded(SUCCESS, (ASSET,), NOW))
SAVED = apply(SAVING, Saved((ASSET,)))
FAILED = apply(WATCHING, Failed("400", "no", NOW))
REFUSED = apply(SUBMITTING, Refused("402", "no credits", NOW))
LOST = apply(SUBMITTING, Unconfirmed(NOW, "Lost."))
CANCELLED_ONE = apply(QUEUED, Cancelled(NOW))
GAVE_UP = apply(WATCHING, timed_out(1800, NOW))
FINISHED = {
    "saved": SAVED,
    "failed": FAILED,
    "refused": REFUSED,
    "lost": LOST,
    "cancelled": CANCELLED_ONE,
    "gave up": GAVE_UP,
}

EVENTS: tuple[Event, ...] = (
    Noted("a remark"),
    Submitting(LATER),
    Requeued("again"),
    Accepted("ext-2"),
    Refused("400", "no", LATER),
    Unconfirmed(LATER, "Lost."),
    Cancelled(LATER),
    Running("generating"),
    Paused("key refused"),
    Succeeded(SUCCESS, (ASSET,), LATER),
    Failed("501", "no", LATER),
    Saving(),
    Saved((ASSET,)),
)


@dataclass(frozen=True)
class Case:
    before: GenerationTask
    event: Event
    status: str
    activity: str | None


@pytest.mark.parametrize(
    "case",
    [
        Case(QUEUED, Submitting(NOW), "PENDING", "submitting"),
        Case(SUBMITTING, Requeued("429"), "PENDING", "queued"),
        Case(SUBMITTING, Accepted("ext-1"), "PENDING", "watching"),
        Case(SUBMITTING, Refused("402", "no credits", NOW), "FAILED", None),
        Case(SUBMITTING, Unconfirmed(NOW, "Lost."), "FAILED", None),
        Case(QUEUED, Cancelled(NOW), "FAILED", None),
        Case(WATCHING, Running("generating"), "PENDING", "watching"),
        Case(WATCHING, Paused("key refused"), "PENDING", "paused"),
        Case(PAUSED, Running("generating"), "PENDING", "watching"),
        Case(PAUSED, Succeeded(SUCCESS, (ASSET,), NOW), "SUCCESS", "saving"),
        Case(WATCHING, Failed("400", "no", NOW), "FAILED", None),
        Case(WATCHING, timed_out(1800, NOW), "FAILED", "gave_up"),
        Case(GAVE_UP, Succeeded(SUCCESS, (ASSET,), NOW), "SUCCESS", "saving"),
        Case(LOST, Accepted("ext-1"), "PENDING", "watching"),
        Case(SAVING, Saved((ASSET,)), "SUCCESS", None),
        Case(SAVED, Saving(), "SUCCESS", "saving"),
    ],
    ids=lambda case: f"{case.before.activity or case.before.fail_code or 'saved'}-{type(case.event).__name__}",
)
def test_an_event_moves_a_task_to_where_it_says(case: Case) -> None:
    after = apply(case.before, case.event)
    assert (after.status, after.activity) == (case.status, case.activity)


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (SUBMITTING, Cancelled(LATER)),
        (WATCHING, Cancelled(LATER)),
        (WATCHING, Submitting(LATER)),
        (WATCHING, Requeued("again")),
        (WATCHING, Unconfirmed(LATER, "Lost.")),
        (WATCHING, Refused("400", "no", LATER)),
        (WATCHING, Accepted("ext-2")),
        (WATCHING, Saving()),
        (WATCHING, Saved(())),
        (CANCELLED_ONE, Submitting(LATER)),
        (SAVED, Succeeded(SUCCESS, (), LATER)),
        (SAVED, Failed("501", "no", LATER)),
        (SAVED, Running("generating")),
        (FAILED, Running("generating")),
        (FAILED, Paused("key refused")),
        (GAVE_UP, Running("generating")),
        (GAVE_UP, Failed("501", "no", LATER)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, GenerationTask) else str(value.activity),
)
def test_an_event_that_comes_too_late_or_too_early_changes_nothing(before: GenerationTask, event: Event) -> None:
    assert apply(before, event) is before


@pytest.mark.parametrize("task", FINISHED.values(), ids=FINISHED.keys())
def test_a_late_remark_never_lands_on_a_finished_task(task: GenerationTask) -> None:
    assert apply(task, Noted("Waiting for a slot, about 5 s.")) is task


def test_the_same_news_twice_gives_the_same_object() -> None:
    running = apply(WATCHING, Running("generating"))
    assert apply(running, Running("generating")) is running
    noted = apply(WATCHING, Noted("a bad look"))
    assert apply(noted, Noted("a bad look")) is noted


def test_a_remark_is_gone_as_soon_as_something_works() -> None:
    assert apply(apply(WATCHING, Noted("a bad look")), Running("generating")).note is None
    assert apply(apply(SUBMITTING, Requeued("429")), Submitting(LATER)).note is None


def test_an_unconfirmed_request_says_that_it_may_have_been_charged_and_what_to_do() -> None:
    assert LOST.fail_code == UNCONFIRMED
    assert LOST.completed_at == NOW
    assert LOST.fail_msg is not None
    assert LOST.fail_msg.startswith("Lost. ")
    assert "may have been charged" in LOST.fail_msg
    assert "resubmit" in LOST.fail_msg


def test_a_late_answer_ends_the_doubt_without_a_trace() -> None:
    after = apply(LOST, Accepted("ext-1"))
    assert (after.fail_code, after.fail_msg, after.completed_at) == (None, None, None)
    assert after.external_task_id == "ext-1"


def test_a_timeout_says_that_the_task_may_finish_yet() -> None:
    assert GAVE_UP.fail_code == TIMEOUT
    assert "30 minutes" in (GAVE_UP.fail_msg or "")
    assert GAVE_UP.external_task_id == "ext-1"
    after = apply(GAVE_UP, Succeeded(SUCCESS, (ASSET,), LATER))
    assert (after.fail_code, after.fail_msg, after.completed_at) == (None, None, LATER)


def test_a_success_keeps_what_the_service_said() -> None:
    assert (SAVING.state, SAVING.result_json, SAVING.credits_consumed) == ("success", "{}", 4.0)
    assert SAVING.assets == (ASSET,)
    assert SAVED.completed_at == NOW


def test_a_failure_keeps_the_last_word_of_the_service() -> None:
    running = apply(WATCHING, Running("generating"))
    assert apply(running, Failed("501", "no", NOW)).state == "generating"
    assert apply(running, Failed("501", "no", NOW, "fail", 0.0)).state == "fail"


@pytest.mark.parametrize(
    ("task", "refused"),
    [
        (REFUSED, True),
        (CANCELLED_ONE, True),
        (LOST, False),
        (FAILED, False),
        (GAVE_UP, False),
        (SAVED, False),
        (QUEUED, False),
        (WATCHING, False),
    ],
)
def test_only_what_never_became_a_task_counts_as_refused(task: GenerationTask, *, refused: bool) -> None:
    assert was_refused(task) is refused


def test_cancelling_says_that_nothing_was_charged() -> None:
    assert CANCELLED_ONE.fail_code == CANCELLED
    assert "nothing was charged" in (CANCELLED_ONE.fail_msg or "")


@given(st.lists(st.sampled_from(EVENTS), max_size=25))
def test_no_order_of_events_loses_an_id_or_takes_a_success_back(events: list[Event]) -> None:
    task = QUEUED
    for event in events:
        if task.external_task_id is None and isinstance(event, (Running, Paused, Succeeded, Failed)):
            continue  # only an accepted task is looked at
        before, task = task, apply(task, event)
        assert task.id == before.id
        assert before.external_task_id in (None, task.external_task_id)
        if before.status is TaskStatus.SUCCESS:
            assert task.status is TaskStatus.SUCCESS
        if before.external_task_id is not None:
            assert task.activity not in (Activity.QUEUED, Activity.SUBMITTING), "an accepted task is never sent again"
        if task.status is TaskStatus.PENDING:
            assert task.activity is not None
            assert task.completed_at is None
        else:
            assert task.completed_at is not None
        assert (task.status is TaskStatus.FAILED) is (task.fail_code is not None)


@given(st.lists(st.sampled_from(EVENTS), max_size=25))
def test_an_unconfirmed_request_never_goes_back_into_the_queue(events: list[Event]) -> None:
    task = LOST
    for event in events:
        task = apply(task, event)
        assert task.activity not in (Activity.QUEUED, Activity.SUBMITTING)
