"""When to look next, and the budget of looks: pure functions of what is known and the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.engine.schedule import (
    LOOKS_PER_SECOND,
    MAX_BACK_OFF,
    Budget,
    Watch,
    first_look,
    next_look,
    saw_nothing,
    saw_running,
)

NEW = Watch(interval=3.0)
STRICTEST_LIMIT = 10  # looks per second, the strictest documented figure


def test_a_new_task_is_looked_at_after_one_interval_and_an_old_one_at_once() -> None:
    assert first_look(NEW, 100.0, submitted=100.0) == 103.0
    assert first_look(NEW, 100.0, submitted=40.0) == 100.0
    assert first_look(NEW, 100.0, submitted=None) == 100.0


def test_looks_are_one_interval_apart_while_all_is_well() -> None:
    assert next_look(NEW, 100.0, 0.9) == 103.0
    assert next_look(saw_running(NEW, 100.0), 100.0, 0.9) == 103.0


def test_every_bad_look_in_a_row_doubles_the_wait_up_to_a_minute() -> None:
    watch, waits = NEW, []
    for _ in range(8):
        watch = saw_nothing(watch, None)
        waits.append(next_look(watch, 0.0, 0.0))
    assert waits == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0, 60.0, 60.0]


def test_the_wait_stays_finite_after_thousands_of_bad_looks() -> None:
    assert next_look(Watch(interval=3.0, errors=5000), 0.0, 0.0) == MAX_BACK_OFF


def test_one_good_look_ends_the_back_off() -> None:
    watch = saw_running(saw_nothing(saw_nothing(NEW, 50.0), 50.0), 10.0)
    assert (watch.errors, watch.retry_after) == (0, None)
    assert next_look(watch, 10.0, 0.5) == 13.0


def test_a_wait_the_service_asks_for_is_kept() -> None:
    assert next_look(saw_nothing(NEW, 50.0), 0.0, 0.0) == 50.0
    assert next_look(saw_nothing(NEW, 0.5), 0.0, 0.0) == 3.0


@given(jitter=st.floats(0, 1, exclude_max=True), errors=st.integers(1, 20))
def test_chance_only_ever_makes_a_retry_later(jitter: float, errors: int) -> None:
    watch = Watch(interval=3.0, errors=errors)
    plain = next_look(watch, 0.0, 0.0)
    assert plain <= next_look(watch, 0.0, jitter) <= plain * 1.25


def test_only_time_in_which_looks_were_answered_running_counts() -> None:
    watch = saw_running(NEW, 0.0)
    assert watch.running == 0.0
    watch = saw_running(watch, 3.0)
    assert watch.running == 3.0
    watch = saw_running(watch, 3.0 + 20 * 3600)
    assert watch.running == 3.0 + 6.0, "a laptop that slept for twenty hours used up two intervals"


def test_bad_looks_add_nothing_to_the_time_running() -> None:
    watch = saw_running(NEW, 0.0)
    for _ in range(50):
        watch = saw_nothing(watch, None)
    assert watch.running == 0.0
    assert watch.looks == 51


def looks_within(budget: Budget, start: float, seconds: float) -> list[float]:
    """Take every look the budget allows, as early as it allows it."""
    now, taken = start, []
    while now < start + seconds:
        delay = budget.delay(now)
        if delay == 0.0:
            taken.append(now)
        else:
            now += delay + 1e-9
    return taken


@pytest.mark.parametrize("idle", [0.0, 0.5, 60.0])
def test_never_more_looks_in_any_second_than_the_strictest_documented_limit(idle: float) -> None:
    budget = Budget()
    budget.delay(0.0)
    taken = looks_within(budget, idle, 5.0)
    busiest = max(sum(1 for other in taken if one <= other < one + 1.0) for one in taken)
    assert busiest <= STRICTEST_LIMIT


def test_the_budget_is_used_and_not_merely_kept() -> None:
    taken = looks_within(Budget(), 0.0, 10.0)
    assert len(taken) >= 10 * LOOKS_PER_SECOND - 1


def test_a_429_halves_the_budget_and_a_minute_brings_it_back() -> None:
    budget = Budget()
    budget.delay(0.0)
    budget.halve()
    assert budget.rate == LOOKS_PER_SECOND / 2
    assert budget.delay(0.0) > 0
    for second in range(1, 61):
        budget.delay(float(second))
    assert budget.rate == LOOKS_PER_SECOND


def test_many_429s_never_stop_the_looks_for_good() -> None:
    budget = Budget()
    budget.delay(0.0)
    for _ in range(100):
        budget.halve()
    assert looks_within(budget, 0.0, 5.0)


def test_a_clock_set_back_gives_no_looks_for_free() -> None:
    budget = Budget()
    assert budget.delay(1000.0) == 0.0
    assert budget.delay(10.0) > 0
    assert budget.delay(10.0) > 0
