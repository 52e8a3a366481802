"""`sweep`: which requests a plan holds, in which order, and what is refused before anything is sent."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb import (
    InvalidParams,
    catalogue,
    fixed_seeds,
    imagen4,
    market,
    midjourney,
    search_replace,
    sora2,
    sweep,
    veo3,
)
from kiegen_nb.kie.models.imagen4 import KieImagen4Params
from kiegen_nb.kie.validation import example
from kiegen_nb.tasks import AssetKind, UploadResult

KITE = imagen4("a red kite")
SHOTS = [{"Scene": "a hill", "duration": 5}, {"Scene": "the sky", "duration": 5}]
PICTURE = UploadResult(
    download_url="https://example.com/temp/9f3/kite.png",
    expires_at=datetime(2026, 12, 1, tzinfo=UTC),
    is_assumed=False,
    name="kite.png",
    mime="image/png",
    kind=AssetKind.IMAGE,
)


def wrong(base: Any, axes: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidParams) as caught:
        sweep(base, axes, **fields)
    return caught.value.fields


def values(plan: Any, name: str) -> list[Any]:
    return [item.params.flat().get(name) for item in plan]


# Which requests.


def test_the_last_axis_varies_fastest_and_repeat_is_the_last() -> None:
    plan = sweep(KITE, aspect_ratio=["1:1", "16:9"], seed=[1, 2], repeat=2)
    assert [tuple(item.axes.values()) for item in plan] == list(itertools.product(["1:1", "16:9"], [1, 2], [0, 1]))
    assert [item.repeat for item in plan] == [0, 1] * 4
    assert [item.number for item in plan] == list(range(8))
    assert [axis.name for axis in plan.axes] == ["aspect_ratio", "seed", "repeat"]
    assert plan[6].params == imagen4("a red kite", aspect_ratio="16:9", seed=2)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 3))
@settings(deadline=None)
def test_a_plan_is_the_product_of_its_axes(sizes: list[int], repeat: int) -> None:
    names = ("seed", "aspect_ratio", "num_images", "prompt")
    pools: tuple[list[Any], ...] = (
        list(range(5)),
        ["1:1", "16:9", "9:16", "3:4", "4:3"],
        [None, 1, 2, 3, 4],
        list("abcde"),
    )
    axes = {name: pool[:size] for name, pool, size in zip(names, pools, sizes, strict=False)}
    plan = sweep(KITE, axes, repeat=repeat)
    assert len(plan) == math.prod(sizes) * repeat
    told = [tuple(item.axes[name] for name in axes) for item in plan]
    assert told == [place for place in itertools.product(*axes.values()) for _ in range(repeat)]
    for axis in plan.axes:
        assert len(axis.values) == len(axis.labels)
        assert all(item.axes[axis.name] in axis.values for item in plan)


def test_zip_takes_one_of_each_at_a_time() -> None:
    plan = sweep(KITE, how="zip", prompt=["a", "b", "c"], seed=(4, 5, 6), aspect_ratio="1:1")
    assert [(item.params.input.prompt, item.axes["seed"]) for item in plan] == [("a", 4), ("b", 5), ("c", 6)]  # type: ignore[attr-defined]
    assert values(plan, "aspect_ratio") == ["1:1"] * 3


def test_a_plan_without_axes_is_the_request_itself() -> None:
    plan = sweep(KITE)
    assert [(item.params, dict(item.axes)) for item in plan] == [(KITE, {})]
    assert len(sweep(KITE, repeat=3)) == 3


def test_the_base_may_be_the_json_form() -> None:
    assert sweep(KITE.to_json(), seed=[1])[0].params == imagen4("a red kite", seed=1)


@pytest.mark.parametrize(
    "given_values",
    [[1, 2, 3], (1, 2, 3), range(1, 4), iter([1, 2, 3]), (n for n in (1, 2, 3)), np.array([1, 2, 3]), "1-3", "1, 2, 3"],
)
def test_values_come_from_anything_that_gives_them(given_values: Any) -> None:
    plan = sweep(KITE, seed=given_values)
    assert values(plan, "seed") == [1, 2, 3]
    assert [type(item.axes["seed"]) for item in plan] == [int] * 3


def test_a_text_is_one_value_and_never_its_characters() -> None:
    assert values(sweep(KITE, prompt="1-3, 5"), "prompt") == ["1-3, 5"]
    assert values(sweep(KITE, aspect_ratio="1:1"), "aspect_ratio") == ["1:1"]
    assert values(sweep(KITE, seed=7), "seed") == [7]


def test_numbers_spelt_as_text_are_numbers_where_numbers_belong() -> None:
    assert values(sweep(sora2("a kite"), n_frames="10, 15"), "n_frames") == ["10", "15"]
    assert values(sweep(veo3("a kite"), duration="4-8 (+2)"), "duration") == [4, 6, 8]
    standard = imagen4("a kite", api_model="google/imagen4")
    assert values(sweep(standard, seed="dawn"), "seed") == ["dawn"]


def test_choices_in_one_text_are_several_values() -> None:
    assert values(sweep(KITE, aspect_ratio="1:1, 16:9,4:3"), "aspect_ratio") == ["1:1", "16:9", "4:3"]
    assert "'1:1, 16:8' is not one of the choices" in wrong(KITE, aspect_ratio="1:1, 16:8")["item 0, aspect_ratio"]


def test_none_is_not_set() -> None:
    plan = sweep(imagen4("a red kite", seed=5), seed=[None, 5])
    assert values(plan, "seed") == [None, 5]
    assert plan.axes[0].labels == ("not set", "5")


def test_a_dict_gives_values_readable_names() -> None:
    [axis] = sweep(KITE, prompt={"short": "a kite", "long": "a red kite over the sea"}).axes
    assert (axis.labels, axis.values) == (("short", "long"), ("a kite", "a red kite over the sea"))


def test_labels_are_short_and_tell_files_by_their_names() -> None:
    plan = sweep(veo3("a kite"), image_urls=[PICTURE, "https://example.com/a/b.png", None], prompt="a kite " * 20)
    assert plan.axes[0].labels == ("kite.png", "b.png", "not set")
    assert len(plan.axes[1].labels[0]) == 40
    assert plan[0].params.flat()["image_urls"] == [PICTURE.download_url]


def test_long_texts_that_begin_alike_are_told_apart_by_their_ends() -> None:
    long = "a red kite over the sea, in the style of an old woodcut, "
    [axis] = sweep(KITE, prompt=[f"{long}at dawn", f"{long}at dusk", "a kite"]).axes
    assert axis.labels == ("…dawn", "…dusk", "a kite")


def test_other_names_of_a_field_lead_to_it() -> None:
    pictures = ["https://example.com/a.png", "https://example.com/b.png"]
    assert values(sweep(veo3("a kite"), images=pictures), "image_urls") == [[one] for one in pictures]
    assert values(sweep(KITE, {"apiModel": ["google/imagen4"]}), "api_model") == ["google/imagen4"]


# Names that lead deeper.


def test_a_dotted_name_leads_into_a_value_and_leaves_the_base_alone() -> None:
    base = sora2(api_model="sora-2-pro-storyboard", shots=SHOTS, n_frames=10)
    before = base.to_json()
    plan = sweep(base, {"shots.0.Scene": ["a beach", "a wood"], "input.aspect_ratio": ["portrait"]})
    scenes = [[shot["Scene"] for shot in item.params.flat()["shots"]] for item in plan]
    assert scenes == [["a beach", "the sky"], ["a wood", "the sky"]]
    assert base.to_json() == before


def test_a_dotted_name_may_lead_into_a_list_that_another_axis_gives() -> None:
    other = [{"Scene": "a cave", "duration": 5}, SHOTS[1]]
    base = sora2(api_model="sora-2-pro-storyboard", shots=SHOTS, n_frames=10)
    plan = sweep(base, {"shots.1.Scene": ["x", "y"], "shots": [SHOTS, other]})
    assert [[shot["Scene"] for shot in item.params.flat()["shots"]] for item in plan] == [
        ["a hill", "x"],
        ["a cave", "x"],
        ["a hill", "y"],
        ["a cave", "y"],
    ]
    assert SHOTS[1]["Scene"] == "the sky"


@pytest.mark.parametrize(
    ("name", "said"),
    [("shots.7.Scene", "has 2 entries"), ("aspect_ratio.x", "holds nothing"), ("shots.x", "has 2 entries")],
)
def test_a_dotted_name_that_leads_nowhere_is_refused(name: str, said: str) -> None:
    base = sora2(api_model="sora-2-pro-storyboard", shots=SHOTS, n_frames=10)
    [(place, sentence)] = wrong(base, {name: ["x"]}).items()
    assert place == f"item 0, {name.partition('.')[0]}"
    assert said in sentence


# Words, seeds and functions.


def test_words_are_replaced_and_the_axis_shows_the_words() -> None:
    base = imagen4("a red kite, a kite over the sea")
    plan = sweep(
        base, colour=search_replace("red", ["red", "blue"]), prompt=search_replace("kite", ["kite", "balloon"])
    )
    assert values(plan, "prompt")[3] == "a blue balloon, a balloon over the sea"
    assert dict(plan[3].axes) == {"colour": "blue", "prompt": "balloon"}


def test_words_are_replaced_in_every_prompt_of_another_axis() -> None:
    plan = sweep(KITE, prompt=["a kite", "two kites"], what=search_replace("kite", {"toy": "balloon"}))
    assert values(plan, "prompt") == ["a balloon", "two balloons"]
    assert plan.axes[1].labels == ("toy",)


def test_a_list_of_words_alone_searches_for_the_first() -> None:
    assert values(sweep(KITE, prompt=search_replace("kite, hot balloon, boat")), "prompt") == [
        "a red kite",
        "a red hot balloon",
        "a red boat",
    ]


def test_another_text_than_the_prompt_can_be_changed() -> None:
    base = imagen4("a kite", negative_prompt="rain, people")
    assert values(sweep(base, negative_prompt=search_replace("rain", ["snow"])), "negative_prompt") == ["snow, people"]
    assert values(sweep(base, sky=search_replace("rain", ["fog"], field="negative_prompt")), "negative_prompt") == [
        "fog, people"
    ]


def test_words_that_are_not_there_are_told_with_their_item() -> None:
    assert wrong(KITE, prompt=["a kite", "a boat"], what=search_replace("kite", ["balloon"])) == {
        "item 1, prompt": "does not contain 'kite', so there is nothing to replace.",
    }
    assert "has no words" in wrong(KITE, prompt=search_replace("kite", []))["prompt"]
    assert "is no text" in wrong(KITE, aspect_ratio=search_replace("1", ["2"]))["aspect_ratio"]


def test_fixed_seeds_are_the_same_in_every_process() -> None:
    code = (
        "from kiegen_nb import *; "
        "print([i.axes['seed'] for i in sweep(imagen4('a red kite', seed=9), seed=fixed_seeds(3))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = values(sweep(KITE, seed=fixed_seeds(3)), "seed")
    assert json.loads(done.stdout) == here
    assert len(set(here)) == 3
    assert here[:1] == values(sweep(KITE, seed=fixed_seeds()), "seed")
    assert here != values(sweep(imagen4("a blue kite"), seed=fixed_seeds(3)), "seed")


def test_fixed_seeds_fit_the_field() -> None:
    assert all(10_000 <= seed <= 99_999 for seed in values(sweep(veo3("a kite"), seeds=fixed_seeds(50)), "seeds"))
    ultra = imagen4("a kite", api_model="google/imagen4-ultra")
    assert [type(seed) for seed in values(sweep(ultra, seed=fixed_seeds(2)), "seed")] == [str, str]


def test_fixed_seeds_do_not_change_when_an_upload_is_renewed() -> None:
    seeds = [
        values(sweep(veo3("a kite", images=[f"https://example.com/{name}.png"]), seeds=fixed_seeds(2)), "seeds")
        for name in ("first", "renewed")
    ]
    assert seeds[0] == seeds[1]


def test_a_model_without_a_seed_says_so() -> None:
    assert wrong(midjourney("a kite"), seed=fixed_seeds())["seed"].startswith("is not a field of mj_txt2img.")
    assert "Did you mean seeds?" in wrong(veo3("a kite"), seed=fixed_seeds())["seed"]
    assert "is no seed" in wrong(KITE, aspect_ratio=fixed_seeds())["aspect_ratio"]


def test_a_function_gets_the_other_fields_and_is_no_axis_of_its_own() -> None:
    plan = sweep(KITE, seed=[1, 2], negative_prompt=lambda fields: f"not {fields['prompt']} {fields['seed']}")
    assert values(plan, "negative_prompt") == ["not a red kite 1", "not a red kite 2"]
    assert plan.axes[1].values == ("not a red kite 1", "not a red kite 2")
    assert plan[1].axes["negative_prompt"] == "not a red kite 2"


def test_functions_among_the_values_go_by_their_names() -> None:
    def shouted(fields: Any) -> str:
        return str(fields["prompt"]).upper()

    plan = sweep(KITE, prompt=["a boat", shouted, lambda fields: fields["prompt"] + "!"])
    assert values(plan, "prompt") == ["a boat", "A RED KITE", "a red kite!"]
    assert plan.axes[0].values == ("a boat", "shouted", "function 2")
    assert [item.axes["prompt"] for item in plan] == ["a boat", "shouted", "function 2"]


def test_a_function_that_fails_is_told_with_its_item_and_keeps_its_reason() -> None:
    with pytest.raises(InvalidParams, match="item 1, seed: its function failed with ZeroDivisionError") as caught:
        sweep(KITE, prompt=["a", "ab"], seed=lambda fields: 1 // (2 - len(fields["prompt"])))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# Several models.


def test_another_model_keeps_what_fits_and_drops_what_the_base_was_filled_in_with() -> None:
    base = market("z-image", prompt="a kite")
    assert "aspect_ratio" in base.flat()
    plan = sweep(base, api_model=["z-image", "qwen/text-to-image", "google/imagen4-fast"])
    assert [item.params.api_model for item in plan] == ["z-image", "qwen/text-to-image", "google/imagen4-fast"]
    assert "aspect_ratio" not in plan[1].params.flat()


def test_fields_of_every_model_asked_for_can_be_axes() -> None:
    plan = sweep(market("z-image", prompt="a kite"), api_model="qwen/text-to-image", image_size=["square", "square_hd"])
    assert values(plan, "image_size") == ["square", "square_hd"]


def test_an_unknown_model_is_told() -> None:
    assert "item 1, api_model" in wrong(KITE, api_model=["google/imagen4", "google/imagen5"])
    assert "item 0, api_model" in wrong(market("z-image", prompt="a kite"), api_model=["z-imag"])


def test_an_unchecked_model_takes_any_field() -> None:
    plan = sweep(market("new/model", validate=False, prompt="a kite"), strength=[0.1, 0.2])
    assert values(plan, "strength") == [0.1, 0.2]


# What is refused.


def test_a_wrong_axis_name_is_told_with_the_nearest_ones() -> None:
    assert wrong(KITE, aspect_ration=["1:1"], colour=["red"]) == {
        "aspect_ration": "is not a field of google/imagen4-fast. Did you mean aspect_ratio?",
        "colour": "is not a field of google/imagen4-fast. Its fields are api_model, prompt, negative_prompt, "
        "aspect_ratio, seed, num_images.",
    }


@pytest.mark.parametrize("nothing", [[], (), {}, iter(())])
def test_an_empty_axis_is_told(nothing: Any) -> None:
    assert list(wrong(KITE, seed=nothing)) == ["seed"]
    assert "has no values" in wrong(KITE, seed=[])["seed"]


def test_a_set_has_no_order() -> None:
    assert "has no order" in wrong(KITE, seed={1, 2})["seed"]


def test_one_wrong_value_in_a_grid_is_told_once_with_its_item() -> None:
    found = wrong(KITE, seed="1-100", aspect_ratio=["1:1", "5:4"])
    assert list(found) == ["item 1, aspect_ratio"]
    assert found["item 1, aspect_ratio"].startswith("'5:4' is not one of the choices")
    assert found["item 1, aspect_ratio"].endswith("The same in 99 more items.")


def test_many_different_mistakes_are_counted() -> None:
    with pytest.raises(InvalidParams, match=r"30 of 31 requests cannot be sent \(nothing was charged\)") as caught:
        sweep(KITE, prompt=["fine", *(f"{n} " * 5000 for n in range(100, 130))])
    assert len(caught.value.fields) == 1
    with pytest.raises(InvalidParams, match=r"and 25 more of other kinds\.") as caught:
        sweep(KITE, aspect_ratio=["1:1", *(f"1:{n}" for n in range(100, 130))])
    assert len(caught.value.fields) == 6


def test_twins_are_told_with_both_names_and_with_what_does_not_differ() -> None:
    rest = "Leave one out; repeat= asks for several of each."
    assert wrong(KITE, prompt=["a", "b"], seed=[1, 2, 1]) == {
        "item 0 and item 2": f"are the same request (prompt=a, seed=1). {rest}",
        "item 3 and item 5": f"are the same request (prompt=b, seed=1). {rest}",
    }


def test_twins_are_told_by_what_is_sent() -> None:
    [sentence] = wrong(KITE, aspect_ratio=[None, "16:9"]).values()
    assert sentence.startswith("are the same request, although aspect_ratio is not set and 16:9.")


def test_axes_that_do_not_go_together_say_which_has_how_many() -> None:
    [sentence] = wrong(KITE, how="zip", seed=[1, 2, 3], prompt=["a", "b"]).values()
    assert "seed has 3, prompt has 2" in sentence


def test_a_field_is_set_by_one_axis() -> None:
    assert wrong(KITE, {"input.seed": [1]}, seed=[2]) == {"seed": "sets the same field as input.seed; leave one out."}
    assert "is given twice" in wrong(KITE, {"seed": [1]}, seed=[2])["seed"]
    found = wrong(veo3("a kite"), images=["https://example.com/a.png"], image_urls=["https://example.com/b.png"])
    assert found == {"image_urls": "sets the same field as images; leave one out."}


@pytest.mark.parametrize("repeat", [0, -1, True, 1.5, "2", 10**9])
def test_repeat_is_a_whole_number_from_one(repeat: Any) -> None:
    assert list(wrong(KITE, repeat=repeat)) == ["repeat"]


def test_a_slip_that_would_cost_a_fortune_is_refused_at_once() -> None:
    [sentence] = wrong(KITE, seed=range(1000), prompt=[str(n) for n in range(1000)]).values()
    assert sentence.startswith("1,000 x 1,000 = 1,000,000 requests")
    assert "more than 100,000 values" in wrong(KITE, seed=itertools.count())["seed"]
    assert "more than 100,000 values" in wrong(KITE, seed="1-1000000000")["seed"]


def test_files_of_this_machine_are_refused_where_an_address_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.png").touch()
    assert "there is no file gone.png" in wrong(veo3("a kite"), images=["gone.png"])["images"]
    assert "upload it first: session.upload('here.png')" in wrong(veo3("a kite"), images=[["here.png"]])["images"]
    assert "upload it first" in wrong(KITE, prompt=[Path("here.png")])["prompt"]
    assert len(sweep(KITE, prompt=["here.png"])) == 1


def test_a_base_that_is_no_request_is_told() -> None:
    with pytest.raises(InvalidParams, match="imagen4 is a function; call it first"):
        sweep(imagen4, seed=[1])  # type: ignore[arg-type] # people forget to call it
    with pytest.raises(InvalidParams, match="NoneType is no request"):
        sweep(None, seed=[1])  # type: ignore[arg-type] # the sentence is the point


def test_nothing_of_a_plan_can_change_its_base() -> None:
    base = imagen4("a red kite", seed=4)
    sweep(base, prompt=["a", "b"], seed=fixed_seeds(3))
    assert base == imagen4("a red kite", seed=4)
    assert isinstance(base, KieImagen4Params)


# Every model, and the documentation.


def test_every_market_model_can_be_a_base() -> None:
    for slug in catalogue:
        base = market(slug, **example(catalogue[slug]))
        [item] = sweep(base)
        assert (item.params, item.params.identity()) == (base, base.identity())
