"""The budget of looks: evenly spaced, halved by a 429, healed by time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.engine.budget import Budget, halved, reserve

LIMIT = 9.0
STRICTEST = 10  # looks per second, the strictest documented figure


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 3), st.integers(1, 5), st.booleans()),
        min_size=1,
        max_size=60,
    ),
)
def test_no_second_ever_holds_more_looks_than_the_strictest_documented_limit(
    steps: list[tuple[float, int, bool]],
) -> None:
    now, budget = 1000.0, Budget(rate=LIMIT, rate_at=1000.0)
    taken: list[float] = []
    for wait, count, is_429 in steps:
        now += wait
        budget, moments = reserve(budget, now, count, LIMIT)
        taken += moments
        now = max(now, moments[0])  # who reserved waits for it
        if is_429:
            budget = halved(budget, now, LIMIT)
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(taken))
    for one in taken:
        assert len([other for other in taken if one <= other < one + 1.0 - 1e-6]) <= STRICTEST


def test_the_budget_is_used_and_not_merely_kept() -> None:
    budget = Budget(rate=LIMIT, rate_at=0.0)
    taken: list[float] = []
    for _ in range(90):
        budget, moments = reserve(budget, 0.0, 1, LIMIT)
        taken += moments
    assert taken[-1] < 10.0


def test_a_lower_limit_of_ones_own_is_kept() -> None:
    _, moments = reserve(Budget(rate=LIMIT, rate_at=0.0), 0.0, 3, 2.0)
    assert moments == (0.0, 0.5, 1.0)


def test_the_rate_heals_to_the_limit_and_not_beyond() -> None:
    budget = halved(Budget(rate=LIMIT, rate_at=0.0), 0.0, LIMIT)
    assert [budget.rate_now(moment, LIMIT) for moment in (0.0, 10.0, 30.0, 1e6)] == [4.5, 6.0, 9.0, 9.0]
