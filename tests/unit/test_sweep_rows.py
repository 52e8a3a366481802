"""Plans from rows: lists of dicts, CSV files and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb import InvalidParams, imagen4, market, midjourney, sora2, sweep, veo3

if TYPE_CHECKING:
    from pathlib import Path

KITE = imagen4("a red kite", seed=7)


def wrong(base: Any, rows: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidParams) as caught:
        sweep(base, rows=rows, **fields)
    return caught.value.fields


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "kites.csv"
    path.write_bytes(text.encode(encoding))
    return path


def flat(plan: Any) -> list[dict[str, Any]]:
    return [item.params.flat() for item in plan]


def test_a_row_changes_what_it_gives_and_leaves_the_rest() -> None:
    plan = sweep(KITE, rows=[{"prompt": "a"}, {"prompt": "b", "aspect_ratio": "1:1"}, {"seed": None}])
    assert flat(plan) == [
        imagen4("a", seed=7).flat(),
        imagen4("b", aspect_ratio="1:1", seed=7).flat(),
        imagen4("a red kite").flat(),
    ]
    assert dict(plan[0].axes) == {"prompt": "a", "aspect_ratio": "16:9", "seed": 7}
    assert [axis.name for axis in plan.axes] == ["prompt", "aspect_ratio", "seed"]
    assert plan.axes[0].values == ("a", "b", "a red kite")


def test_rows_go_with_axes_and_repeats() -> None:
    plan = sweep(KITE, rows=({"prompt": text} for text in "ab"), seed=[1, 2], repeat=2)
    assert [tuple(item.axes.values()) for item in plan][:5] == [
        ("a", 1, 0),
        ("a", 1, 1),
        ("a", 2, 0),
        ("a", 2, 1),
        ("b", 1, 0),
    ]


def test_rows_may_count_their_repeats_themselves() -> None:
    plan = sweep(KITE, rows=[{"repeat": 0}, {"repeat": 1, "prompt": "a kite"}, {"repeat": 1}], aspect_ratio=["1:1"])
    assert [item.repeat for item in plan] == [0, 1, 1]
    assert [axis.name for axis in plan.axes] == ["prompt", "aspect_ratio", "repeat"]
    assert list(plan[1].axes) == ["prompt", "aspect_ratio", "repeat"]


def test_a_bad_value_in_row_37_is_told_before_anything_is_sent() -> None:
    rows = [{"prompt": f"kite {n}", "aspect_ratio": "5:4" if n == 37 else "1:1"} for n in range(60)]
    with pytest.raises(InvalidParams, match="1 of 60 requests cannot be sent") as caught:
        sweep(KITE, rows=rows)
    [(place, sentence)] = caught.value.fields.items()
    assert place == "row 37, aspect_ratio"
    assert sentence.startswith("'5:4' is not one of the choices: '1:1'")


def test_a_bad_row_among_axes_is_told_with_its_item() -> None:
    found = wrong(KITE, [{"prompt": "a"}, {"prompt": ""}], seed=[1, 2])
    assert list(found) == ["row 1, item 2, prompt"]
    assert found["row 1, item 2, prompt"].endswith("The same in 1 more item.")


def test_twin_rows_are_told_with_both_names() -> None:
    rows = [{"prompt": text} for text in "abca"]
    [(place, sentence)] = wrong(KITE, rows).items()
    assert place == "row 0 and row 3"
    assert sentence.startswith("are the same request (prompt=a).")


@pytest.mark.parametrize(
    ("rows", "place", "said"),
    [
        ([], "rows", "has no rows"),
        ([{"prompt": "a"}, ["b"]], "rows", "row 1 is list; each row must be a dict"),
        ({"prompt": "a"}, "rows", "no list of rows"),
        (7, "rows", "no list of rows"),
        ([{"promt": "a"}], "column promt", "Did you mean prompt?"),
        ([{"seed": 1, "input.seed": 2}], "column input.seed", "sets the same field as the column seed"),
        ([{"prompt": "a", "repeat": -1}], "row 0, repeat", "whole number from 0"),
        ([{"prompt": "a", "repeat": "x"}], "row 0, repeat", "whole number from 0"),
    ],
)
def test_rows_that_cannot_be_read_are_told(rows: Any, place: str, said: str) -> None:
    assert said in wrong(KITE, rows)[place]


def test_repeat_and_axes_are_given_once() -> None:
    assert "given twice" in wrong(KITE, [{"repeat": 0}], repeat=2)["repeat"]
    assert "sets the same field as the column seed" in wrong(KITE, [{"seed": 0}], seed=[1])["seed"]


def test_a_file_of_this_machine_in_a_row_is_told() -> None:
    rows = [{"image_urls": "https://example.com/a.png"}, {"image_urls": "gone.png"}]
    assert "there is no file gone.png" in wrong(veo3("a kite"), rows)["row 1, image_urls"]


# CSV files.


def test_a_csv_is_read_by_the_types_of_its_fields(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        'prompt,stylization,enable_translation,version\n"a kite, red",100,TRUE,6.1\nNone,,no,niji6\n007,0,None,7\n',
    )
    plan = sweep(midjourney("x", stylization=50), rows=path)
    assert [dict(item.axes) for item in plan] == [
        {"prompt": "a kite, red", "stylization": 100, "enable_translation": True, "version": "6.1"},
        {"prompt": "None", "stylization": 50, "enable_translation": False, "version": "niji6"},
        {"prompt": "007", "stylization": 0, "enable_translation": None, "version": "7"},
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_files_of_other_programs_are_read_too(tmp_path: Path, separator: str, mark: str, ending: str) -> None:
    lines = [["", "prompt", " seed "], ["0", '"a ""kite"""', "1"], ["1", '"two\nlines"', "2"]]
    path = written(tmp_path, mark + ending.join(separator.join(line) for line in lines) + ending)
    plan = sweep(KITE, rows=str(path))
    assert [tuple(item.axes.values()) for item in plan] == [('a "kite"', 1), ("two\nlines", 2)]


def test_a_comma_is_a_decimal_point_where_semicolons_separate(tmp_path: Path) -> None:
    base = market("kling/v2-1-pro", prompt="a kite", image_url="https://example.com/a.png")
    plan = sweep(base, rows=written(tmp_path, "cfg_scale;prompt\n0,3;a\n0.4;b\n"))
    assert [item.axes["cfg_scale"] for item in plan] == [0.3, 0.4]


def test_cells_may_hold_json_and_lead_into_values(tmp_path: Path) -> None:
    shots = [{"Scene": "a hill", "duration": 4}, {"Scene": "the sky", "duration": 6}]
    base = sora2(api_model="sora-2-pro-storyboard", shots=shots, n_frames=10)
    path = written(tmp_path, 'shots.0.duration;shots.1.duration;shots.0.Scene\n3;7;"a wood"\n')
    [item] = sweep(base, rows=path)
    assert item.params.flat()["shots"][0] == {"Scene": "a wood", "duration": 3}
    path = written(tmp_path, 'image_urls\n"[""https://example.com/a.png"", ""https://example.com/b.png""]"\n')
    [item] = sweep(veo3("a kite"), rows=path)
    assert len(item.params.flat()["image_urls"]) == 2


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("prompt,seed\na,1\nb,x\n", "row 1 (line 3 of kites.csv), seed", "takes a whole number, not 'x'"),
        ("prompt,seed\na,1\nb, red,2\n", "rows", "row 1 (line 3 of kites.csv) has more cells"),
        ("prompt,prompt\na,b\n", "rows", "has the column prompt twice"),
        ("prompt\n", "rows", "has no rows"),
        ("", "rows", "has no rows"),
        ('prompt\n"a', "rows", "kites.csv, after line 1: unexpected end of data"),
    ],
)
def test_a_csv_that_cannot_be_used_is_told_with_its_line(tmp_path: Path, text: str, place: str, said: str) -> None:
    assert said in wrong(KITE, written(tmp_path, text))[place]


def test_a_csv_that_is_missing_or_no_utf_8_is_told(tmp_path: Path) -> None:
    assert "there is no file" in wrong(KITE, tmp_path / "gone.csv")["rows"]
    assert "is not UTF-8" in wrong(KITE, written(tmp_path, "prompt\nein Fähnchen\n", "latin-1"))["rows"]
    assert "cannot be read" in wrong(KITE, tmp_path)["rows"]


# Tables.


def test_a_table_of_pandas_gives_rows_and_its_gaps_are_not_given() -> None:
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"prompt": ["a", None, "c"], "seed": [1, float("nan"), 3], "repeat": [0, 0, 1]})
    plan = sweep(KITE, rows=table)
    assert [(item.axes["prompt"], item.params.flat()["seed"], item.repeat) for item in plan] == [
        ("a", 1, 0),
        ("a red kite", 7, 0),
        ("c", 3, 1),
    ]
    typed = pd.DataFrame({"prompt": ["a", "b"], "seed": pd.array([1, None], dtype="Int64")})
    assert [item.params.flat()["seed"] for item in sweep(KITE, rows=typed)] == [1, 7]


def test_a_table_of_polars_gives_rows() -> None:
    class Table:
        columns = ("prompt",)

        def to_dicts(self) -> list[dict[str, Any]]:
            return [{"prompt": "a"}, {"prompt": None}]

    assert [item.axes["prompt"] for item in sweep(KITE, rows=Table())] == ["a", "a red kite"]  # type: ignore[arg-type]
