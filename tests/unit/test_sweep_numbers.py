"""Several numbers in one text, as other programs write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb import InvalidParams, imagen4, midjourney, sweep
from kiegen_nb.batch.fields import Wrong
from kiegen_nb.batch.numbers import numbers_in


def numbers(text: str, *, is_whole: bool = False, most: int = 1000) -> list[int | float] | None:
    found = numbers_in(text, is_whole=is_whole, most=most)
    return None if found is None else list(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", [7]),
        ("1-5", [1, 2, 3, 4, 5]),
        ("5-1", [5, 4, 3, 2, 1]),
        ("1-10 (+3)", [1, 4, 7, 10]),
        ("1-9 (+3)", [1, 4, 7]),
        ("10-5 (-3)", [10, 7]),
        ("1-3 (+0.5)", [1, 1.5, 2, 2.5, 3]),
        ("0.5, 1-2 (+0.5)", [0.5, 1, 1.5, 2]),
        ("0-0.3 (+0.1)", [0, 0.1, 0.2, 0.3]),
        ("0.0-1.0 [6]", [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("1-10 [1]", [1]),
        ("-3--1", [-3, -2, -1]),
        ("+1 - 3 ( +1 )", [1, 2, 3]),
        ("4-4", [4]),
        (" 1,2 , 3", [1, 2, 3]),
    ],
)
def test_texts_that_stand_for_numbers(text: str, expected: list[float]) -> None:
    assert numbers(text) == expected


def test_whole_numbers_at_equal_distances_are_cut() -> None:
    assert numbers("1-10 [5]", is_whole=True) == [1, 3, 5, 7, 10]
    assert numbers("1-10 [5]") == [1, 3.25, 5.5, 7.75, 10]


@pytest.mark.parametrize(
    "text", ["", "a", "1-", "1,,2", "1-2-3", "1-10 (3", "1-10 []", "1-10 [2.5]", "nan", "1e3", "1-x"]
)
def test_texts_that_are_no_numbers(text: str) -> None:
    assert numbers(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1-10 (-3)", "never gets from 1 to 10 in steps of -3"),
        ("1-10 (+0)", "never gets"),
        ("1-10 [0]", "asks for no values"),
        ("1-1001", "more than 1,000 values"),
        ("0-1 [999999999]", "more than 1,000 values"),
    ],
)
def test_numbers_that_never_end_are_refused(text: str, said: str) -> None:
    with pytest.raises(Wrong, match=said.replace("+", r"\+")):
        numbers(text)


@given(st.integers(-500, 500), st.integers(-500, 500), st.integers(1, 50))
@settings(deadline=None)
def test_a_range_holds_its_ends_and_goes_in_equal_steps(first: int, last: int, step: int) -> None:
    signed = step if last >= first else -step
    found = numbers(f"{first}-{last} ({signed:+})", most=2000)
    assert found == list(range(first, last + (1 if last >= first else -1), signed))


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(2, 20))
@settings(deadline=None)
def test_numbers_at_equal_distances_hold_both_ends(first: int, last: int, count: int) -> None:
    found = numbers(f"{first}-{last} [{count}]")
    assert found is not None
    assert len(found) == count
    assert (found[0], found[-1]) == (first, last)


@given(st.text(max_size=30))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = numbers(text)
    except Wrong as problem:
        assert str(problem)  # noqa: PT017 - either way out is right
    else:
        assert found is None or found


def test_a_text_that_is_no_number_is_refused_where_only_numbers_belong() -> None:
    with pytest.raises(InvalidParams, match=r"stylization: 'high' cannot be read as numbers; write a list, or 1-10"):
        sweep(midjourney("a kite"), stylization="high")
    with pytest.raises(InvalidParams, match="more than 100,000 values"):
        sweep(imagen4("a kite"), seed="1-1000000000")
    assert len(sweep(midjourney("a kite"), stylization="0-1000 [5]")) == 5
