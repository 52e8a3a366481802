"""Imagen 4's parameters: the JSON form, the defaults of each slug, and one plain sentence per wrong field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.models.imagen4 import Imagen4Slug, KieImagen4Params, imagen4

STANDARD: Imagen4Slug = "google/imagen4"
ULTRA: Imagen4Slug = "google/imagen4-ultra"
WISH = {
    "service": "KIE",
    "model": "IMAGEN4",
    "apiModel": "google/imagen4-fast",
    "input": {"prompt": "A beautiful sunset", "aspect_ratio": "16:9", "num_images": "4"},
}


def test_the_json_of_the_wish_goes_in_and_comes_out_unchanged() -> None:
    params = read_params(WISH)
    assert isinstance(params, KieImagen4Params)
    assert params.to_json() == WISH
    assert params.wire() == {"model": "google/imagen4-fast", "input": WISH["input"]}


def test_the_body_holds_nothing_that_is_not_set() -> None:
    assert imagen4("a red kite").wire() == {
        "model": "google/imagen4-fast",
        "input": {"prompt": "a red kite", "aspect_ratio": "16:9"},
    }


@pytest.mark.parametrize(("slug", "ratio"), [("google/imagen4-fast", "16:9"), (STANDARD, "1:1"), (ULTRA, "1:1")])
def test_every_slug_sends_its_own_default_ratio(slug: Any, ratio: str) -> None:
    assert imagen4("a red kite", api_model=slug).wire_input()["aspect_ratio"] == ratio


def test_a_ratio_written_out_is_the_same_request_as_the_default() -> None:
    assert imagen4("a red kite").identity() == imagen4("a red kite", aspect_ratio="16:9").identity()
    assert imagen4("a red kite").identity() != imagen4("a red kite", aspect_ratio="1:1").identity()


@pytest.mark.parametrize(
    "other",
    [
        imagen4("a blue kite"),
        imagen4("a red kite", seed=7),
        imagen4("a red kite", negative_prompt="clouds"),
        imagen4("a red kite", num_images=2),
        imagen4("a red kite", api_model=STANDARD, aspect_ratio="16:9"),
    ],
)
def test_every_field_is_part_of_the_identity(other: KieImagen4Params) -> None:
    assert other.identity() != imagen4("a red kite").identity()


def test_a_seed_is_one_request_however_it_is_written() -> None:
    assert imagen4("a kite", seed="7").wire_input()["seed"] == 7
    assert imagen4("a kite", seed="7").identity() == imagen4("a kite", seed=7).identity()
    assert imagen4("a kite", api_model=STANDARD, seed=7).wire_input()["seed"] == "7"


def test_an_empty_field_of_a_form_is_left_out() -> None:
    params = KieImagen4Params.build(prompt="a kite", negative_prompt="", seed="", num_images=None)
    assert params.wire_input() == {"prompt": "a kite", "aspect_ratio": "16:9"}


def test_num_images_may_be_a_number() -> None:
    assert imagen4("a kite", num_images=4).wire_input()["num_images"] == "4"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": ""}, "prompt", "is empty"),
        ({"prompt": " \n\t"}, "prompt", "is empty"),
        ({"prompt": "x" * 5001}, "prompt", "has 5,001 characters; at most 5,000 are accepted. Shorten it by 1."),
        ({"prompt": 5}, "prompt", "valid string"),
        ({"prompt": "\ud800"}, "prompt", "unicode"),
        ({"prompt": "x", "negative_prompt": "y" * 5001}, "negative_prompt", "has 5,001 characters"),
        ({"prompt": "x", "aspect_ratio": "2:1"}, "aspect_ratio", "'2:1' is not one of the choices"),
        ({"prompt": "x", "api_model": "google/imagen5"}, "api_model", "'google/imagen5' is not one of the choices"),
        ({"prompt": "x", "seed": "lucky"}, "seed", "a whole number, not 'lucky'"),
        ({"prompt": "x", "seed": "s" * 501, "api_model": STANDARD}, "seed", "has 501 characters"),
        ({"prompt": "x", "num_images": 5}, "num_images", "'5' is not one of the choices"),
        ({"prompt": "x", "num_images": 2, "api_model": ULTRA}, "num_images", "one picture per task"),
        ({"prompt": "x", "aspect_ration": "1:1"}, "aspect_ration", "Did you mean aspect_ratio?"),
        ({}, "prompt", "is required."),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieImagen4Params.build(**fields)
    assert list(caught.value.fields) == [field]
    assert words in caught.value.fields[field]
    assert "nothing was charged" in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_exactly_the_limit_is_accepted() -> None:
    assert len(imagen4("ü" * 5000).input.prompt) == 5000
    assert imagen4("x", api_model=STANDARD, seed="s" * 500).input.seed == "s" * 500


def test_several_wrong_fields_are_told_together() -> None:
    with pytest.raises(InvalidParams) as caught:
        KieImagen4Params.build(prompt="", aspect_ratio="2:1")
    assert list(caught.value.fields) == ["prompt", "aspect_ratio"]


@pytest.mark.parametrize("data", [{"model": "IMAGEN4"}, {"model": "IMAGEN4", "input": "a kite"}])
def test_a_request_without_its_input_object_says_that_input_is_wrong(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_params(data)
    assert list(caught.value.fields) == ["input"]


@pytest.mark.parametrize("data", ["a red kite", None, {"model": "DALLE"}, {"service": "FAL", "model": "IMAGEN4"}])
def test_what_is_no_request_is_refused_in_words(data: object) -> None:
    with pytest.raises(InvalidParams, match=r"is no request|is not a known model family"):
        read_params(data)


def test_parameters_are_frozen() -> None:
    params = imagen4("a red kite")
    with pytest.raises(ValueError, match="frozen"):
        setattr(params, "api_model", STANDARD)  # noqa: B010 - the type checker would not let it pass


def test_the_python_form_makes_the_same_request_again() -> None:
    params = imagen4("a 'red' kite", aspect_ratio="1:1", seed=7, num_images=2)
    again = eval(params.as_python(), {"imagen4": imagen4})  # noqa: S307 - our own text
    assert again == params


@given(
    prompt=st.text(min_size=1, max_size=200).filter(lambda text: bool(text.strip())),
    slug=st.sampled_from(["google/imagen4-fast", STANDARD, ULTRA]),
    ratio=st.sampled_from([None, "1:1", "16:9", "9:16", "3:4", "4:3", "auto"]),
    negative=st.none() | st.text(min_size=1, max_size=50),
    seed=st.none() | st.integers(-(10**6), 10**12),
)
def test_any_valid_request_survives_json_and_keeps_its_identity(
    prompt: str, slug: Any, ratio: Any, negative: str | None, seed: int | None
) -> None:
    params = imagen4(prompt, api_model=slug, aspect_ratio=ratio, negative_prompt=negative, seed=seed)
    again = read_params(json.loads(json.dumps(params.to_json())))
    assert again == params
    assert again.identity() == params.identity()
    assert KieImagen4Params.build(**params.flat()) == params
