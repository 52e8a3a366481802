"""When a batch will be through: slots, concurrency, durations, and what is under way."""

from __future__ import annotations

import os
import random

import pytest

from kiegen_nb.batch.forecast import ENOUGH, Durations, Pace, expected, expected_end, observed
from kiegen_nb.engine.schedule import Expectation

NOW = 1_800_000_000.0
FIVE = Durations(((0.0, 5.0), (1.0, 5.0)))
KIE = Pace(limit=20, window=10.0)


def left(waiting: int, running: list[float] | None = None, pace: Pace = KIE, durations: Durations = FIVE) -> float:
    """Return seconds from now; running tasks began so many seconds ago."""
    begun = [(NOW - ago, durations) for ago in running or []]
    return expected_end(NOW, [durations] * waiting, begun, pace) - NOW


@pytest.mark.parametrize(("items", "seconds"), [(0, 0), (1, 5), (20, 5), (21, 15), (40, 15), (200, 95)])
def test_twenty_go_out_in_ten_seconds(items: int, seconds: float) -> None:
    assert left(items) == pytest.approx(seconds)


def test_slots_that_are_taken_come_back_one_window_after_their_creates_ended() -> None:
    ends = tuple(NOW - 4 + place / 100 for place in range(20))
    assert left(20, pace=Pace(20, 10.0, ends=ends)) == pytest.approx(6 + 0.19 + 5)
    assert left(21, pace=Pace(20, 10.0, ends=ends)) == pytest.approx(16 + 5)


def test_a_create_takes_its_slot_until_it_is_answered() -> None:
    assert left(200, pace=Pace(20, 10.0, latency=0.5)) == pytest.approx(9 * 10.5 + 5)


def test_nothing_is_sent_while_the_service_asked_for_silence() -> None:
    assert left(1, pace=Pace(20, 10.0, not_before=NOW + 30)) == pytest.approx(35)


def test_no_limit_is_no_line() -> None:
    assert left(10_000, pace=Pace(None, 10.0)) == pytest.approx(5)


@pytest.mark.parametrize(("items", "seconds"), [(3, 5), (4, 10), (30, 50)])
def test_concurrency_makes_rounds(items: int, seconds: float) -> None:
    assert left(items, pace=Pace(None, 10.0, concurrency=3)) == pytest.approx(seconds)


def test_what_is_under_way_holds_its_place() -> None:
    assert left(2, [1.0, 4.0], Pace(None, 10.0, concurrency=2)) == pytest.approx(4 + 5)


def test_what_takes_longer_than_usual_ends_now_at_the_earliest() -> None:
    assert left(0, [100.0]) == 0
    assert left(0, [1.0]) == pytest.approx(4)


def test_of_many_that_end_together_the_last_is_slower_than_most() -> None:
    spread = Durations(((0.1, 4.0), (0.5, 5.0), (0.9, 6.0)))
    alone, many = left(1, durations=spread), left(20, durations=spread)
    assert alone == pytest.approx(5)
    assert 5.9 < many < 6.4


def test_durations_are_a_models_history_until_the_batch_has_some_of_its_own() -> None:
    history = expected(Expectation(4.0, 5.0, 6.0), lag=1.0)
    assert [history.at(share) for share in (0.1, 0.5, 0.9)] == pytest.approx([5, 6, 7])
    assert observed([5.0] * (ENOUGH - 1)) is None
    seen = observed([3.0, 1.0, 2.0, 5.0, 4.0])
    assert seen is not None
    assert seen.usual == 3
    assert seen.at(0.0) <= 1
    assert seen.at(0.99) >= 5


def test_shares_grow_with_the_seconds() -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201 - to have it fail in the same way again
    chance = random.Random(seed)  # noqa: S311 - a test's choice
    for _ in range(100):
        durations = observed([chance.uniform(0.1, 60) for _ in range(chance.randrange(5, 50))])
        assert durations is not None
        seconds = [durations.at(share / 50) for share in range(51)]
        assert seconds == sorted(seconds)
        assert seconds[0] >= 0
