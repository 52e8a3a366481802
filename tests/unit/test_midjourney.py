"""Midjourney's parameters: six kinds of task and what belongs to each, and what follows a finished one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import follow_ups, read_params
from kiegen_nb.kie.models.midjourney import KieMidjourneyParams, MidjourneyTask, midjourney
from kiegen_nb.kie.models.midjourney_steps import KieMidjourneyFollowUp
from kiegen_nb.kie.roads import ROADS
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus

ONE = ["https://example.com/a.png"]
TWO = [*ONE, "https://example.com/b.png"]
VIDEOS = ("mj_video", "mj_video_hd")


def finished(params: Any, count: int = 4) -> GenerationTask:
    data = params.to_json()
    kind = params.kind_of(params.api_model)
    return GenerationTask(
        id="a" * 32,
        model=data["model"],
        api_model=data["apiModel"],
        status=TaskStatus.SUCCESS,
        external_task_id="m1",
        provider_params=data,
        created_at=datetime.now(UTC),
        assets=tuple(Asset(kind=kind) for _ in range(count)),
    )


def test_the_body_is_flat_and_in_camel_case() -> None:
    params = midjourney(
        "a kite",
        api_model="mj_img2img",
        images=TWO,
        aspect_ratio="16:9",
        speed="turbo",
        version=6.1,
        variety=5,
        stylization=1,
        weirdness=1,
        water_mark="mine",
        enable_translation=True,
    )
    assert ROADS[params.road].create == "/api/v1/mj/generate"
    assert params.wire() == {
        "taskType": "mj_img2img",
        "prompt": "a kite",
        "fileUrls": TWO,
        "aspectRatio": "16:9",
        "speed": "turbo",
        "version": "6.1",
        "variety": 5,
        "stylization": 1,
        "weirdness": 1,
        "waterMark": "mine",
        "enableTranslation": True,
    }


@pytest.mark.parametrize("task", VIDEOS)
def test_a_video_always_says_how_much_moves(task: Any) -> None:
    params = midjourney("x", api_model=task, file_urls=ONE)
    assert (params.wire()["motion"], params.wire()["videoBatchSize"]) == ("high", 1)
    assert params.identity() == midjourney("x", api_model=task, images=ONE[0], motion="high").identity()
    assert params.identity() != midjourney("x", api_model=task, images=ONE, motion="low").identity()


def test_json_takes_every_documented_spelling() -> None:
    data = {
        "model": "MIDJOURNEY",
        "input": {"taskType": "mj_omni_reference", "prompt": "x", "fileUrl": ONE[0], "ow": 7},
    }
    snake = midjourney("x", api_model="mj_omni_reference", file_urls=ONE, ow=7)
    assert read_params(data) == snake
    assert read_params(data).identity() == snake.identity()
    assert midjourney("x", version=7).input.version == "7"
    relaxed: Any = "relax"
    assert midjourney("x", speed=relaxed).wire()["speed"] == "relaxed"


@pytest.mark.parametrize("task", get_args(MidjourneyTask))
def test_every_kind_of_task_has_its_kind_of_result(task: str) -> None:
    video = task in VIDEOS
    assert KieMidjourneyParams.kind_of(task) is (AssetKind.VIDEO if video else AssetKind.IMAGE)
    assert KieMidjourneyParams.time_limit_of(task) == (3600 if video else 1800)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": " "}, "prompt", "is empty"),
        ({"prompt": "x" * 2001}, "prompt", "at most 2,000"),
        ({"prompt": "x", "images": ONE}, "file_urls", "takes no pictures"),
        ({"prompt": "x", "api_model": "mj_img2img"}, "file_urls", "needs at least one picture"),
        ({"prompt": "x", "api_model": "mj_video"}, "file_urls", "needs at least one picture"),
        ({"prompt": "x", "api_model": "mj_video", "images": TWO}, "file_urls", "a video is made from one"),
        ({"prompt": "x", "api_model": "mj_video", "images": ONE, "speed": "fast"}, "speed", "leave it out"),
        ({"prompt": "x", "api_model": "mj_omni_reference", "images": ONE, "speed": "fast"}, "speed", "leave it out"),
        ({"prompt": "x", "ow": 5}, "ow", "mj_omni_reference only"),
        ({"prompt": "x", "api_model": "mj_omni_reference", "images": ONE, "ow": 0}, "ow", "at least 1"),
        ({"prompt": "x", "api_model": "mj_omni_reference", "images": ONE, "ow": 1001}, "ow", "at most 1000"),
        ({"prompt": "x", "motion": "high"}, "motion", "belongs to mj_video and mj_video_hd only"),
        ({"prompt": "x", "video_batch_size": 2}, "video_batch_size", "belongs to"),
        (
            {"prompt": "x", "api_model": "mj_video", "images": ONE, "video_batch_size": 3},
            "video_batch_size",
            "1, 2 or 4",
        ),
        ({"prompt": "x", "variety": 7}, "variety", "must be a multiple of 5, not 7"),
        ({"prompt": "x", "variety": 105}, "variety", "at most 100"),
        ({"prompt": "x", "stylization": 1001}, "stylization", "at most 1000"),
        ({"prompt": "x", "weirdness": 3001}, "weirdness", "at most 3000"),
        ({"prompt": "x", "version": "8"}, "version", "'8' is not one of the choices"),
        ({"prompt": "x", "aspect_ratio": "21:9"}, "aspect_ratio", "is not one of the choices"),
        ({"prompt": "x", "api_model": "mj_blend"}, "api_model", "is not one of the choices"),
        ({"prompt": "x", "high_definition_video": True}, "high_definition_video", "is not a field"),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieMidjourneyParams.build(**fields)
    assert list(caught.value.fields) == [field]
    assert words in caught.value.fields[field]


def test_several_broken_rules_are_told_together() -> None:
    with pytest.raises(InvalidParams) as caught:
        KieMidjourneyParams.build(prompt="x", api_model="mj_video", speed="fast", ow=3)
    assert list(caught.value.fields) == ["file_urls", "speed", "ow"]


@pytest.mark.parametrize(
    "params",
    [
        midjourney("a 'red' kite", version="niji6", speed="relaxed"),
        midjourney("x", api_model="mj_video_hd", images=ONE, video_batch_size=4),
        midjourney("x", api_model="mj_omni_reference", images=TWO, ow=1000),
    ],
)
def test_the_python_form_makes_the_same_request_again(params: KieMidjourneyParams) -> None:
    assert eval(params.as_python(), {"midjourney": midjourney}) == params  # noqa: S307 - our own text
    assert KieMidjourneyParams.build(**params.flat()) == params


def test_the_form_says_that_it_may_be_gone() -> None:
    assert "Not in Kie's current catalogue since" in str(KieMidjourneyParams.status_note)


# What follows.


def test_each_of_four_pictures_can_be_upscaled_and_varied() -> None:
    upscale, vary = follow_ups(finished(midjourney("x")))
    assert [(step.name, step.needs_prompt, step.choices) for step in (upscale, vary)] == [
        ("upscale", False, (0, 1, 2, 3)),
        ("vary", False, (0, 1, 2, 3)),
    ]
    made = [upscale.make(3), vary.make(3)]
    assert [ROADS[params.road].create for params in made] == ["/api/v1/mj/generateUpscale", "/api/v1/mj/generateVary"]
    assert [params.wire() for params in made] == [{"taskId": "m1", "imageIndex": 3}] * 2
    assert made[0].identity() != made[1].identity()


def test_a_video_can_be_extended_with_and_without_a_text() -> None:
    auto, manual = follow_ups(finished(midjourney("x", api_model="mj_video", images=ONE), count=2))
    assert (auto.needs_prompt, manual.needs_prompt, auto.choices) == (False, True, (0, 1))
    assert auto.make(1).wire() == {"taskType": "mj_video_extend_auto", "taskId": "m1", "index": 1}
    assert manual.make(0, "it lands").wire() == {
        "taskType": "mj_video_extend_manual",
        "taskId": "m1",
        "index": 0,
        "prompt": "it lands",
    }
    assert ROADS[auto.make().road].create == "/api/v1/mj/generateVideoExtend"
    assert auto.make().kind_of(auto.make().api_model) is AssetKind.VIDEO
    with pytest.raises(InvalidParams, match="is empty"):
        manual.make(0)


def test_what_follows_what_follows() -> None:
    vary = follow_ups(finished(midjourney("x")))[1].make()
    assert [step.name for step in follow_ups(finished(vary))] == ["upscale", "vary"]
    upscale = follow_ups(finished(midjourney("x")))[0].make()
    assert follow_ups(finished(upscale, 1)) == ()
    longer = KieMidjourneyFollowUp.build(api_model="mj_video_extend_auto", task_id="m1")
    assert [step.name for step in follow_ups(finished(longer, 1))] == ["extend_auto", "extend_manual"]


@pytest.mark.parametrize("slug", ["mj_upscale", "mj_vary", "mj_video_extend_auto", "mj_video_extend_manual"])
def test_a_follow_up_survives_json_and_its_python_form(slug: str) -> None:
    prompt = "on" if "extend" in slug else None
    params = KieMidjourneyFollowUp.build(api_model=slug, task_id="m1", prompt=prompt)
    assert read_params(json.loads(json.dumps(params.to_json()))) == params
    assert eval(params.as_python(), {"KieMidjourneyFollowUp": KieMidjourneyFollowUp}) == params  # noqa: S307 - ours


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"api_model": "mj_upscale", "task_id": "m1", "image_index": 4}, "image_index"),
        ({"api_model": "mj_upscale", "task_id": "m1", "index": 0}, "index"),
        ({"api_model": "mj_vary", "task_id": "m1", "prompt": "x"}, "prompt"),
        ({"api_model": "mj_video_extend_auto", "task_id": "m1", "imageIndex": 0}, "image_index"),
        ({"api_model": "mj_video_extend_manual", "task_id": "m1", "prompt": "x" * 2001}, "prompt"),
    ],
)
def test_a_follow_up_names_what_is_wrong(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieMidjourneyFollowUp.build(**fields)
    assert list(caught.value.fields) == [field]
