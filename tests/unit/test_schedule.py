"""When to look next: pure functions of what is known, the model's history and the time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.engine.schedule import (
    EXTRA_LOOKS,
    EXTRA_STEP,
    MAX_BACK_OFF,
    Expectation,
    Watch,
    expectation,
    extra_looks,
    first_look,
    next_look,
    saw_nothing,
    saw_running,
    urgency,
)

NEW = Watch(interval=3.0, accepted=100.0)
FOUR_TO_SIX = Expectation(low=4.2, median=5.0, high=5.8, count=30)


def again(watch: Watch, now: float, jitter: float = 0.0, expected: Expectation | None = None) -> float:
    """Return only when the next look is."""
    return next_look(watch, now, jitter, expected)[1]


def all_looks(expected: Expectation | None, seconds: float) -> list[float]:
    """Return the moments of every look at a task that runs so long, in seconds after it was accepted."""
    watch, due = first_look(NEW, 100.0, expected)
    moments = []
    while due <= 100.0 + seconds:
        moments.append(round(due - 100.0, 3))
        watch, due = next_look(saw_running(watch, due), due, 0.0, expected)
    return moments


def test_a_new_task_is_looked_at_after_one_interval_and_an_old_one_at_once() -> None:
    assert first_look(NEW, 100.0, None)[1] == 103.0
    assert first_look(NEW, 160.0, None)[1] == 160.0
    assert first_look(Watch(interval=3.0), 100.0, FOUR_TO_SIX)[1] == 100.0


def test_looks_are_one_interval_apart_while_all_is_well() -> None:
    assert all_looks(None, 13.0) == [3.0, 6.0, 9.0, 12.0]


def test_a_look_that_came_late_does_not_pull_the_next_one_nearer() -> None:
    watch, due = first_look(NEW, 100.0, None)
    assert due == 103.0
    watch, due = next_look(saw_running(watch, 105.9), 105.9, 0.0, None)
    assert due == pytest.approx(108.9)
    watch, due = next_look(saw_running(watch, 109.0), 109.0, 0.0, None)
    assert due == pytest.approx(111.9), "a tenth of a second late keeps the rhythm"


def test_a_known_history_adds_looks_near_the_expected_finish() -> None:
    assert all_looks(FOUR_TO_SIX, 9.0) == [3.0, 4.45, 4.95, 5.45, 6.0, 9.0]
    assert all_looks(Expectation(4.9, 5.0, 5.1, count=30), 6.0) == [3.0, 5.15, 6.0]


def test_a_first_guess_or_a_wide_spread_adds_none() -> None:
    guess = Expectation(4.2, 5.0, 5.8, count=0)
    assert extra_looks(guess, 3.0) == ()
    assert all_looks(guess, 7.0) == [3.0, 6.0]
    assert extra_looks(Expectation(60.0, 100.0, 200.0, count=50), 3.0) == ()


@given(low=st.floats(0.01, 600), width=st.floats(0, 100), interval=st.floats(0.6, 30))
def test_extra_looks_are_few_spaced_and_where_results_come(low: float, width: float, interval: float) -> None:
    moments = extra_looks(Expectation(low, low + width / 2, low + width, count=9), interval)
    assert len(moments) <= EXTRA_LOOKS
    assert all(later - earlier >= EXTRA_STEP - 1e-9 for earlier, later in pairwise(moments))
    assert all(low <= moment <= low + width + interval for moment in moments)


@given(st.lists(st.floats(0.01, 4000), min_size=5, max_size=200))
def test_an_expectation_lies_within_the_history(durations: list[float]) -> None:
    found = expectation(durations)
    assert found is not None
    order = [min(durations), found.low, found.median, found.high, max(durations)]
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(order))
    assert found.count == len(durations)


def test_too_short_a_history_says_nothing() -> None:
    assert expectation([1.0, 2.0, 3.0, 4.0]) is None


def test_likely_finishers_come_first_and_then_the_longest_unseen() -> None:
    due = Watch(interval=3.0, accepted=95.0, last_look=99.0)  # 5 s old
    older = Watch(interval=3.0, accepted=95.2, last_look=98.0)
    young = Watch(interval=3.0, accepted=99.0, last_look=0.0)
    overdue = Watch(interval=3.0, accepted=50.0, last_look=90.0)
    order = sorted(
        {"due": due, "older": older, "young": young, "overdue": overdue}.items(),
        key=lambda item: urgency(item[1], 100.0, FOUR_TO_SIX),
    )
    assert [name for name, _ in order] == ["older", "due", "overdue", "young"]


def test_nobody_is_forgotten_for_the_likely_ones() -> None:
    forgotten = Watch(interval=3.0, accepted=10.0, last_look=60.0)
    likely = Watch(interval=3.0, accepted=95.0, last_look=99.0)
    assert urgency(forgotten, 100.0, FOUR_TO_SIX) < urgency(likely, 100.0, FOUR_TO_SIX)


def test_without_a_history_it_is_the_longest_unseen() -> None:
    assert urgency(Watch(3.0, last_look=50.0), 100.0, None) < urgency(Watch(3.0, last_look=60.0), 100.0, None)
    assert urgency(None, 100.0, None) < urgency(Watch(3.0, last_look=0.1), 100.0, None)


def test_every_bad_look_in_a_row_doubles_the_wait_up_to_a_minute() -> None:
    watch, waits = NEW, []
    for _ in range(8):
        watch = saw_nothing(watch, 0.0, None)
        waits.append(again(watch, 0.0))
    assert waits == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


def test_the_wait_stays_finite_after_thousands_of_bad_looks() -> None:
    assert again(Watch(interval=3.0, errors=5000), 0.0) == MAX_BACK_OFF


def test_one_good_look_ends_the_back_off() -> None:
    watch = saw_running(saw_nothing(saw_nothing(NEW, 5.0, 50.0), 6.0, 50.0), 10.0)
    assert (watch.errors, watch.retry_after) == (0, None)
    assert again(watch, 10.0, 0.5) == 13.0


def test_a_wait_the_service_asks_for_is_kept() -> None:
    assert again(saw_nothing(NEW, 0.0, 50.0), 0.0) == 50.0
    assert again(saw_nothing(NEW, 0.0, 0.5), 0.0) == 3.0


@given(jitter=st.floats(0, 1, exclude_max=True), errors=st.integers(1, 20))
def test_chance_only_ever_makes_a_retry_later(jitter: float, errors: int) -> None:
    watch = Watch(interval=3.0, errors=errors)
    plain = again(watch, 0.0)
    assert plain <= again(watch, 0.0, jitter) <= plain * 1.25


def test_only_time_in_which_looks_were_answered_running_counts() -> None:
    watch = saw_running(NEW, 0.0)
    assert watch.answered == 0.0
    watch = saw_running(watch, 3.0)
    assert watch.answered == 3.0
    watch = saw_running(watch, 3.0 + 20 * 3600)
    assert watch.answered == 3.0 + 6.0, "a laptop that slept for twenty hours used up two intervals"


def test_bad_looks_add_nothing_to_the_time_running() -> None:
    watch = saw_running(NEW, 0.0)
    for _ in range(50):
        watch = saw_nothing(watch, 1000.0, None)
    assert watch.answered == 0.0
    assert watch.looks == 51


def test_answers_that_there_is_no_such_task_count_as_time() -> None:
    watch = saw_nothing(NEW, 0.0, None, answered=True)
    watch = saw_nothing(watch, 60.0, None, answered=True)
    assert watch.answered == 60.0
    assert saw_nothing(watch, 20 * 3600.0, None, answered=True).answered == 60.0 + 2 * MAX_BACK_OFF
