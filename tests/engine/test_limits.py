"""The account's limits in the store: slots for creates, a budget for looks, shared by whoever is on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from kiegen_nb.engine import schema
from kiegen_nb.engine.limits import Limits, slot_of
from tests.support.fake_kie import PATIENCE, FakeClock

if TYPE_CHECKING:
    from kiegen_nb.engine.database import Database

pytestmark = pytest.mark.stores
ACCOUNT = "api.kie.ai:0123"


@pytest.fixture
def limits(database: Database, clock: FakeClock) -> Limits:
    return Limits(database, ACCOUNT, clock)


def take(limits: Limits, slot: str) -> float:
    return limits.take_slot(slot).result(PATIENCE)


def end(limits: Limits, slot: str, *, used: bool = True) -> None:
    limits.end_slot(slot, used=used).result(PATIENCE)


def fill(limits: Limits, clock: FakeClock) -> None:
    """Use every slot, a tenth of a second apart."""
    for number in range(limits.creates or 0):
        assert take(limits, f"slot-{number}") == 0.0
        end(limits, f"slot-{number}")
        clock.now += 0.1


def test_a_slot_left_by_a_dead_process_is_free_again_when_its_task_is_asked_for_or_given_up(
    limits: Limits, clock: FakeClock
) -> None:
    limits.creates = 2
    task, other = "a" * 32, "b" * 32
    assert limits.take_slot(slot_of(task), task).result(PATIENCE) == 0.0
    assert limits.take_slot(slot_of(other), other).result(PATIENCE) == 0.0
    assert limits.creates_in_window() == 2
    assert limits.take_slot(slot_of(task), task).result(PATIENCE) == 0.0, "the same task has one at a time"
    assert limits.creates_in_window() == 2
    limits.end_slots_of(other).result(PATIENCE)
    assert take(limits, "third") == pytest.approx(10.0)
    clock.now += 10.1
    assert take(limits, "third") == 0.0


def test_slots_are_shared_by_every_kernel_and_only_by_the_same_account(
    database: Database, limits: Limits, clock: FakeClock
) -> None:
    fill(limits, clock)
    other = Limits(database, ACCOUNT, clock)
    assert take(other, "late") == pytest.approx(10 - 20 * 0.1, abs=0.01)
    assert other.creates_in_window() == 20
    clock.now += 10 - 20 * 0.1 + 0.06
    assert take(other, "late") == 0.0
    assert take(Limits(database, "someone else", clock), "theirs") == 0.0


def test_a_slot_counts_from_the_end_of_its_create(limits: Limits, clock: FakeClock) -> None:
    for number in range(20):
        take(limits, f"slot-{number}")
    clock.now += 11
    assert take(limits, "late") > 0, "none of them has ended"
    end(limits, "slot-0")
    clock.now += 5
    assert take(limits, "late") > 0
    clock.now += 5.1
    assert take(limits, "late") == 0.0


def test_a_slot_that_was_not_used_is_free_at_once(database: Database, limits: Limits, clock: FakeClock) -> None:
    fill(limits, clock)
    clock.now += 10
    assert take(limits, "unused") == 0.0
    end(limits, "unused", used=False)
    with database.read() as connection:
        assert "unused" not in connection.execute(select(schema.creates.c.id)).scalars().all()


def test_slots_of_a_dead_process_do_not_block_for_ever(limits: Limits, clock: FakeClock) -> None:
    for number in range(20):
        take(limits, f"slot-{number}")
    clock.now += 121
    assert take(limits, "late") == 0.0


def test_limit_and_window_are_settings(database: Database, clock: FakeClock) -> None:
    few = Limits(database, ACCOUNT, clock, creates=2, window=0.5)
    fill(few, clock)
    assert take(few, "third") == pytest.approx(0.3, abs=0.01)
    none = Limits(database, ACCOUNT, clock, creates=None, looks=None)
    assert take(none, "as many as you like") == 0.0
    assert none.look_rate() is None
    assert none.reserve_looks(3).result(PATIENCE) == (clock.now,) * 3


def reserve(limits: Limits, count: int) -> list[float]:
    return list(limits.reserve_looks(count).result(PATIENCE))


def test_two_kernels_never_reserve_the_same_moment(database: Database, limits: Limits, clock: FakeClock) -> None:
    other = Limits(database, ACCOUNT, clock)
    moments = [*reserve(limits, 2), *reserve(other, 3), *reserve(limits, 2)]
    assert moments == pytest.approx([clock.now + number / 9 for number in range(7)])
    assert reserve(Limits(database, "someone else", clock), 1) == [clock.now]


def test_moments_that_went_by_unused_give_no_burst(limits: Limits, clock: FakeClock) -> None:
    reserve(limits, 1)
    clock.now += 100
    assert reserve(limits, 2) == pytest.approx([clock.now, clock.now + 1 / 9])


def test_a_429_slows_every_kernel_and_a_minute_heals_it(database: Database, limits: Limits, clock: FakeClock) -> None:
    other = Limits(database, ACCOUNT, clock)
    assert limits.look_rate() == 9.0
    assert limits.halve_looks().result(PATIENCE) == 4.5
    assert other.look_rate() == 4.5
    first, second = reserve(other, 2)
    assert second - first == pytest.approx(1 / 4.5)
    clock.now += 30
    assert other.look_rate() == pytest.approx(9.0)


def test_many_429s_never_stop_the_looks_for_good(limits: Limits) -> None:
    for _ in range(50):
        limits.halve_looks().result(PATIENCE)
    assert limits.look_rate() == 0.5


def test_a_moment_left_by_a_clock_that_was_set_back_blocks_nobody(limits: Limits, clock: FakeClock) -> None:
    clock.now += 20 * 3600
    reserve(limits, 1)
    clock.now -= 20 * 3600
    assert reserve(limits, 1) == [clock.now]
