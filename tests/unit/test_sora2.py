"""Sora 2's parameters: ten slugs, what each needs, takes and fills in."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.models.sora2 import KieSora2Input, KieSora2Params, Shot, sora2
from kiegen_nb.kie.models.sora2_slugs import SPECS, Sora2Slug
from kiegen_nb.tasks import AssetKind

PICTURE = "https://example.com/a.png"
SHOTS = [{"Scene": "a pier", "duration": 7.5}, {"Scene": "waves", "duration": 7.5}]
VIDEO = {"aspect_ratio": "landscape", "n_frames": "10", "upload_method": "s3"}
STORYBOARD = "sora-2-pro-storyboard"

# slug -> the least it needs, and all that is sent then.
LEAST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sora-2-text-to-video": ({"prompt": "x"}, VIDEO),
    "sora-2-image-to-video": ({"prompt": "x", "image_urls": [PICTURE]}, VIDEO),
    "sora-2-pro-text-to-video": ({"prompt": "x"}, {**VIDEO, "size": "high"}),
    "sora-2-pro-image-to-video": ({"prompt": "x", "image_urls": [PICTURE]}, {**VIDEO, "size": "standard"}),
    STORYBOARD: ({"shots": SHOTS}, {**VIDEO, "n_frames": "15"}),
    "sora-2-text-to-video-stable": ({"prompt": "x"}, VIDEO),
    "sora-2-image-to-video-stable": ({"prompt": "x", "image_urls": [PICTURE]}, VIDEO),
    "sora-2-characters": ({"character_file_url": ["https://example.com/c.mp4"]}, {}),
    "sora-2-characters-pro": ({"origin_task_id": "t", "timestamps": "2,5", "character_prompt": "a cat"}, {}),
    "sora-watermark-remover": ({"video_url": "https://sora.chatgpt.com/p/s_1"}, {"upload_method": "s3"}),
}
ANYTHING: dict[str, Any] = {
    "prompt": "x",
    "image_urls": [PICTURE],
    "shots": SHOTS,
    "aspect_ratio": "portrait",
    "n_frames": "10",
    "size": "high",
    "remove_watermark": True,
    "character_id_list": ["c1"],
    "video_url": "https://sora.chatgpt.com/p/s_1",
    "character_file_url": ["https://example.com/c.mp4"],
    "origin_task_id": "t",
    "timestamps": "0,1",
    "character_prompt": "a cat",
    "character_user_name": "tom",
    "safety_instruction": "no dogs",
    "upload_method": "oss",
}


def test_the_tables_are_about_the_same_slugs_and_fields() -> None:
    assert set(SPECS) == set(LEAST) == set(get_args(Sora2Slug))
    assert set(ANYTHING) == set(KieSora2Input.model_fields)


@pytest.mark.parametrize("slug", LEAST)
def test_the_least_a_slug_needs_is_sent_with_its_own_defaults(slug: str) -> None:
    fields, defaults = LEAST[slug]
    params = KieSora2Params.build(api_model=slug, **fields)
    assert params.wire() == {"model": slug, "input": {**fields, **defaults}}
    assert params.road == "jobs"
    assert KieSora2Params.build(api_model=slug, **fields, **defaults).identity() == params.identity()
    assert eval(params.as_python(), {"sora2": sora2}) == params  # noqa: S307 - our own text
    assert read_params(params.to_json()) == params


@pytest.mark.parametrize(("slug", "name"), [(slug, name) for slug, (fields, _) in LEAST.items() for name in fields])
def test_a_missing_field_is_named(slug: str, name: str) -> None:
    fields = {other: value for other, value in LEAST[slug][0].items() if other != name}
    for given in (fields, {**fields, name: ""}):
        with pytest.raises(InvalidParams) as caught:
            KieSora2Params.build(api_model=slug, **given)
        assert list(caught.value.fields) == [name]
        assert "is required" in caught.value.fields[name] or "is empty" in caught.value.fields[name]


@pytest.mark.parametrize(
    ("slug", "name"),
    [(slug, name) for slug in LEAST for name in ANYTHING if name not in SPECS[slug].needs | SPECS[slug].takes],
)
def test_a_field_of_another_slug_is_refused_by_name(slug: str, name: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieSora2Params.build(api_model=slug, **LEAST[slug][0], **{name: ANYTHING[name]})
    assert f"is no field of {slug}" in caught.value.fields[name]


def test_a_form_shows_a_field_for_exactly_the_slugs_that_know_it() -> None:
    for name, info in KieSora2Input.model_fields.items():
        extra = info.json_schema_extra
        assert isinstance(extra, dict)
        when = extra["when"]
        assert when == {"api_model": [slug for slug in SPECS if name in SPECS[slug].needs | SPECS[slug].takes]}


def test_seconds_may_be_a_number_and_names_in_camel_case() -> None:
    camel = {
        "model": "SORA2",
        "input": {"prompt": "x", "nFrames": 15, "aspectRatio": "portrait", "removeWatermark": True},
    }
    snake = sora2("x", n_frames=15, aspect_ratio="portrait", remove_watermark=True)
    assert read_params(camel) == snake
    assert read_params(camel).identity() == snake.identity()
    assert snake.wire()["input"]["n_frames"] == "15"


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": "x", "n_frames": 25}, "n_frames", "choose 10 or 15"),
        ({"prompt": "x", "n_frames": 12}, "n_frames", "'12' is not one of the choices"),
        ({"prompt": "x" * 10_001}, "prompt", "at most 10,000"),
        ({"prompt": "x", "aspect_ratio": "16:9"}, "aspect_ratio", "is not one of the choices"),
        ({"prompt": "x", "character_id_list": list("abcdef")}, "character_id_list", "at most 5"),
        ({"prompt": "x", "upload_method": "r2"}, "upload_method", "is not one of the choices"),
        ({"prompt": "x", "images": [PICTURE] * 2, "api_model": "sora-2-image-to-video"}, "image_urls", "at most 1"),
        ({"prompt": "x", "images": ["a"], "api_model": "sora-2-image-to-video"}, "image_urls", "no http(s) address"),
        ({"api_model": STORYBOARD, "shots": SHOTS[:1]}, "shots", "add up to 7.5 s"),
        ({"api_model": STORYBOARD, "shots": SHOTS, "n_frames": "25"}, "shots", "exactly the 25 s"),
        ({"api_model": STORYBOARD, "shots": [{"Scene": "x", "duration": 1}] * 11}, "shots", "at most 10"),
        ({"api_model": STORYBOARD, "shots": [{"duration": 15}]}, "shots", "no. 1 Scene: is required."),
        (
            {"api_model": STORYBOARD, "shots": [*SHOTS, {"Scene": "x", "duration": 0}]},
            "shots",
            "no. 3 duration: must be",
        ),
        ({"api_model": STORYBOARD, "shots": [{"Scene": "x", "duration": 16}]}, "shots", "at most 15"),
        ({"api_model": STORYBOARD, "shots": [{"Scene": "x", "duration": float("nan")}]}, "shots", "no. 1 duration"),
        ({"api_model": STORYBOARD, "shots": "a pier"}, "shots", "tuple"),
        ({"api_model": "sora-watermark-remover", "video_url": "https://x/" + "a" * 500}, "video_url", "at most 500"),
        ({"api_model": "sora-watermark-remover", "video_url": "s_1"}, "video_url", "no http(s) address"),
        ({"prompt": "x", "api_model": "sora-3"}, "api_model", "is not one of the choices"),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieSora2Params.build(**fields)
    assert list(caught.value.fields) == [field]
    assert words in caught.value.fields[field]


@pytest.mark.parametrize("off", [0.009, -0.009])
def test_a_storyboard_may_be_off_by_a_rounding(off: float) -> None:
    shots: list[Any] = [Shot(scene="a pier", duration=7.5), {"scene": "waves", "duration": 7.5 + off}]
    params = sora2(api_model="sora-2-pro-storyboard", shots=shots)
    assert params.wire()["input"]["shots"][0] == {"Scene": "a pier", "duration": 7.5}


@pytest.mark.parametrize("off", [0.02, -0.02])
def test_a_storyboard_may_not_be_off_by_more(off: float) -> None:
    with pytest.raises(InvalidParams, match="add up to"):
        KieSora2Params.build(api_model=STORYBOARD, shots=[SHOTS[0], {"Scene": "waves", "duration": 7.5 + off}])


def test_twenty_five_seconds_are_for_storyboards() -> None:
    shots = [{"Scene": "x", "duration": 12.5}] * 2
    assert sora2(api_model="sora-2-pro-storyboard", shots=shots, n_frames=25).input.n_frames == "25"


@pytest.mark.parametrize("timestamps", ["5,2", "0,0.5", "0,4.1", "2", "a,b", "-1,2", "1,2,3"])
def test_a_clip_is_one_to_four_seconds_of_its_source(timestamps: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieSora2Params.build(
            api_model="sora-2-characters-pro", origin_task_id="t", character_prompt="x", timestamps=timestamps
        )
    assert list(caught.value.fields) == ["timestamps"]


@pytest.mark.parametrize("timestamps", ["0,1", "3.55, 5.55", "2,6"])
def test_a_clip_at_its_limits_is_taken(timestamps: str) -> None:
    sora2(api_model="sora-2-characters-pro", origin_task_id="t", character_prompt="x", timestamps=timestamps)


def test_several_broken_rules_are_told_together() -> None:
    with pytest.raises(InvalidParams) as caught:
        KieSora2Params.build(api_model="sora-2-image-to-video", size="high", shots=SHOTS)
    assert list(caught.value.fields) == ["prompt", "image_urls", "shots", "size"]


def test_characters_are_data_and_everything_else_is_a_video() -> None:
    kinds = {slug: KieSora2Params.kind_of(slug) for slug in LEAST}
    assert {slug for slug, kind in kinds.items() if kind is AssetKind.DATA} == {
        "sora-2-characters",
        "sora-2-characters-pro",
    }
    assert set(kinds.values()) == {AssetKind.DATA, AssetKind.VIDEO}
    assert {KieSora2Params.time_limit_of(slug) for slug in LEAST} == {3600.0}


def test_it_says_that_it_is_gone() -> None:
    assert "Not in Kie's current catalogue since June 2026" in str(KieSora2Params.status_note)
