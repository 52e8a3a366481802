"""What goes where in a comparison grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.batch.grid import REPEAT, Arrangement, arrange, label_of
from kiegen_nb.tasks import UploadResult
from tests.support.bench import NOW


def product(**axes: list[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{}]
    for name, values in axes.items():
        found = [known | {name: value} for known in found for value in values]
    return found


def names(made: Arrangement) -> tuple[str, str, str]:
    return made.x.name, made.y.name, made.z.name


def test_the_first_axis_is_the_columns_the_second_the_rows_the_third_the_sheets() -> None:
    made = arrange(product(seed=[1, 2, 3], ratio=["1:1", "16:9"], model=["a", "b"]))
    assert names(made) == ("seed", "ratio", "model")
    assert made.size == (3, 2, 2)
    assert made.x.labels == ("1", "2", "3")
    assert made.y.labels == ("1:1", "16:9")
    assert made.cells[0] == (((0,), (4,), (8,)), ((2,), (6,), (10,)))
    assert made.cells[1][0] == ((1,), (5,), (9,))
    assert made.rest == ()
    assert made.order() == [0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11]
    assert made.where()[10] == (2, 1, 0)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"x": "b"}, ("b", "a", "c")),
        ({"y": "a"}, ("b", "a", "c")),
        ({"z": "a"}, ("b", "c", "a")),
        ({"x": "c", "y": "b"}, ("c", "b", "a")),
        ({"x": "c", "y": "b", "z": "a"}, ("c", "b", "a")),
    ],
)
def test_an_axis_that_is_named_goes_there_and_the_others_where_there_is_room(
    wanted: dict[str, str], found: tuple[str, str, str]
) -> None:
    assert names(arrange(product(a=[1, 2], b=[1, 2], c=[1, 2]), **wanted)) == found


@pytest.mark.parametrize(
    ("axes", "found"),
    [
        ({REPEAT: [0, 1]}, (REPEAT, "", "")),
        ({"a": [1, 2], REPEAT: [0, 1]}, ("a", REPEAT, "")),
        ({"a": [1, 2], "b": [1, 2], REPEAT: [0, 1]}, ("a", "b", "")),
    ],
)
def test_repeats_share_a_tile_unless_there_is_room(axes: dict[str, list[Any]], found: tuple[str, str, str]) -> None:
    assert names(arrange(product(**axes))) == found


def test_repeats_go_where_they_are_told_to() -> None:
    assert names(arrange(product(a=[1, 2], b=[1, 2], repeat=[0, 1]), z=REPEAT)) == ("a", "b", REPEAT)
    assert names(arrange(product(a=[1, 2], b=[1, 2], repeat=[0, 1]), x=REPEAT)) == (REPEAT, "a", "b")


def test_what_is_left_shares_a_tile_and_is_told_apart() -> None:
    made = arrange(product(a=[1, 2], b=[1, 2], c=[1, 2], d=["x", "y"], e=[7], repeat=[0]))
    assert made.rest == ("d", "e", REPEAT)
    assert made.cells[0][0][0] == (0, 1)
    assert made.inside[:2] == ("d x", "d y"), "what is the same for both is not said"
    alone = arrange([{"a": 1, "b": 1, "repeat": 0}, {"a": 1, "b": 2, "repeat": 0}, {"a": 1, "b": 2, "repeat": 1}])
    assert alone.inside == ("", "repeat 0", "repeat 1")


def test_missing_combinations_are_empty_tiles() -> None:
    made = arrange([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    assert made.cells == ((((0,), ()), ((), (1,))),)


def test_an_axis_that_some_do_not_have_is_none_there() -> None:
    made = arrange([{"a": 1}, {"a": 1, "b": 2}])
    assert made.y.labels == ("none", "2")
    assert made.cells == ((((0,),), ((1,),)),)


def test_without_axes_each_request_is_a_column_and_nothing_at_all_is_no_grid() -> None:
    made = arrange([{}, {}, {}])
    assert (made.x.name, made.x.labels, made.size) == ("item", ("1", "2", "3"), (3, 1, 1))
    assert arrange([]).size == (1, 1, 1)
    assert arrange([]).cells == ((((),),),)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"x": "sed"}, "x='sed' is no axis of this grid; there are: 'seed', 'ratio'. Did you mean 'seed'?"),
        ({"z": 7}, "z=7 is no axis of this grid; there are: 'seed', 'ratio'."),
        ({"x": "seed", "y": "seed"}, "y='seed' is x already; each axis has one direction."),
    ],
)
def test_an_axis_that_is_none_is_named_with_those_there_are(wanted: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"is no axis|is x already") as caught:
        arrange(product(seed=[1], ratio=["1:1"]), **wanted)
    assert str(caught.value) == said


def test_equal_values_of_different_types_are_different_and_any_value_will_do() -> None:
    values = [1, 1.0, True, "1", None, [1, 2], [2, 1], {"a": 1}, {"a": 2}, Path("/x/dog.png"), b"123"]
    made = arrange([{"a": value} for value in [*values, *values]])
    assert made.x.labels == ("1", "1", "yes", "1", "none", "1, 2", "2, 1", "a 1", "a 2", "dog.png", "3 bytes")
    assert [len(places) for places in made.cells[0][0]] == [2] * len(values)


def test_labels_are_short_texts() -> None:
    upload = UploadResult(
        download_url="https://x/1", expires_at=NOW, is_assumed=True, name="dog.png", mime="image/png", kind="image"
    )
    assert label_of(upload) == "dog.png"
    assert label_of(0.30000000000000004) == "0.3"
    assert label_of(False) == "no"
    assert label_of(" two\n lines ") == "two lines"
    assert label_of("") == "empty"
    assert len(label_of("x" * 1000)) == 120


KEYS = st.sampled_from(["a", "b", "c", "d", REPEAT])
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "x", "y"]), st.lists(st.integers(0, 1))
)


@given(st.lists(st.dictionaries(KEYS, VALUES), max_size=30), st.data())
def test_every_place_is_in_one_tile_under_its_own_headers(items: list[dict[str, Any]], data: st.DataObject) -> None:
    there = sorted({name for axes in items for name in axes})
    x = data.draw(st.sampled_from([None, *there]))
    made = arrange(items, x=x)
    assert sorted(made.order()) == list(range(len(items)))
    columns, rows, sheets = made.size
    assert [len(sheet) for sheet in made.cells] == [rows] * sheets
    assert all(len(row) == columns for sheet in made.cells for row in sheet)
    assert x is None or made.x.name == x
    if not there:
        return
    for place, (column, row, sheet) in made.where().items():
        for side, number in ((made.x, column), (made.y, row), (made.z, sheet)):
            if side.name:
                assert side.labels[number] == label_of(items[place].get(side.name))
    assert {made.x.name, made.y.name, made.z.name, *made.rest} - {""} == set(there)
