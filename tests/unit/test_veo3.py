"""Veo 3.1's parameters: modes and their pictures, two roads, and what follows a finished video."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import follow_ups, read_params
from kiegen_nb.kie.models.veo3 import KieVeo3Params, veo3
from kiegen_nb.kie.models.veo3_steps import KieVeo3FollowUp
from kiegen_nb.kie.roads import ROADS
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus

PICTURES = [f"https://example.com/{name}.png" for name in "abcd"]
TEXT, FRAMES, REFERENCE = "TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"
DEFAULTS = {"aspect_ratio": "16:9", "resolution": "720p", "duration": 8}


def finished(params: Any, external_task_id: str = "v1", result: dict[str, Any] | None = None) -> GenerationTask:
    data = params.to_json()
    return GenerationTask(
        id="a" * 32,
        model=data["model"],
        api_model=data["apiModel"],
        status=TaskStatus.SUCCESS,
        external_task_id=external_task_id,
        provider_params=data,
        result_json=json.dumps(result) if result is not None else None,
        created_at=datetime.now(UTC),
        assets=(Asset(kind=AssetKind.VIDEO, url="https://example.com/v.mp4"),),
    )


def wrong(fields: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidParams) as caught:
        KieVeo3Params.build(**fields)
    return caught.value.fields


def test_jobs_takes_snake_case_and_the_tier_inside() -> None:
    params = veo3("a kite", api_model="veo3_lite", images=PICTURES[:2], enable_translation=True)
    assert params.road == "jobs"
    assert params.wire() == {
        "model": "veo-3-1",
        "input": {
            "prompt": "a kite",
            "model": "veo3_lite",
            "generation_type": FRAMES,
            "image_urls": PICTURES[:2],
            "enable_translation": True,
            **DEFAULTS,
        },
    }


def test_the_older_road_takes_camel_case_but_for_the_ratio() -> None:
    params = veo3("a kite", images=PICTURES[0], via="veo", seeds=12345, watermark="mine", enable_translation=False)
    assert ROADS[params.road].create == "/api/v1/veo/generate"
    assert params.wire() == {
        "prompt": "a kite",
        "model": "veo3_fast",
        "generationType": FRAMES,
        "imageUrls": PICTURES[:1],
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "duration": 8,
        "seeds": 12345,
        "watermark": "mine",
        "enableTranslation": False,
    }
    assert params.to_json()["via"] == "veo"
    assert "via" not in veo3("a kite").to_json()
    assert params.identity() != veo3("a kite", images=PICTURES[0]).identity()


def test_json_takes_both_spellings_and_the_services_own_tier_field() -> None:
    camel = read_params(
        {
            "service": "KIE",
            "model": "VEO3",
            "input": {
                "prompt": "x",
                "model": "veo3",
                "imageUrls": PICTURES[:1],
                "aspectRatio": "9:16",
                "duration": "6",
            },
        }
    )
    snake = veo3("x", api_model="veo3", image_urls=PICTURES[:1], aspect_ratio="9:16", duration=6)
    assert camel == snake
    assert camel.identity() == snake.identity()
    assert camel.to_json()["input"]["aspect_ratio"] == "9:16"


@pytest.mark.parametrize(("count", "mode"), [(0, TEXT), (1, FRAMES), (2, FRAMES)])
def test_the_number_of_pictures_decides_the_mode(count: int, mode: str) -> None:
    params = veo3("x", images=PICTURES[:count])
    assert params.mode == params.wire()["input"]["generation_type"] == mode
    assert (
        params.identity() == KieVeo3Params.build(prompt="x", images=PICTURES[:count], generation_type=mode).identity()
    )


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("tier", ["veo3_fast", "veo3_lite"])
def test_reference_mode_is_only_what_was_asked_for(count: int, tier: Any) -> None:
    assert veo3("x", api_model=tier, images=PICTURES[:count], generation_type="REFERENCE_2_VIDEO").mode == REFERENCE


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"prompt": ""}, "prompt", "is empty"),
        ({"prompt": " "}, "prompt", "is empty"),
        ({}, "prompt", "is required"),
        ({"prompt": "x", "generation_type": TEXT, "images": PICTURES[:1]}, "image_urls", "takes no pictures"),
        ({"prompt": "x", "generation_type": FRAMES}, "image_urls", "needs one picture"),
        ({"prompt": "x", "generation_type": FRAMES, "images": PICTURES[:3]}, "image_urls", "takes one or two."),
        ({"prompt": "x", "images": PICTURES[:3]}, "image_urls", f"or choose {REFERENCE}"),
        ({"prompt": "x", "images": PICTURES}, "image_urls", "has 4 entries; at most 3"),
        ({"prompt": "x", "generation_type": REFERENCE}, "image_urls", "needs 1 to 3"),
        ({"prompt": "x", "images": ["a.png"]}, "image_urls", "'a.png' is no http(s) address"),
        ({"prompt": "x", "images": ["data:image/png;base64," + "A" * 500]}, "image_urls", "is no http(s) address"),
        ({"prompt": "x", "images": ["ftp://example.com/a"]}, "image_urls", "is no http(s) address"),
        ({"prompt": "x", "images": ["http://"]}, "image_urls", "is no http(s) address"),
        ({"prompt": "x", "images": ["https://[bad/a"]}, "image_urls", "is no http(s) address"),
        ({"prompt": "x", "images": ["https://a b"]}, "image_urls", "is no http(s) address"),
        ({"prompt": "x", "images": [1]}, "image_urls", "no. 1: "),
        ({"prompt": "x", "images": PICTURES[:1], "image_urls": PICTURES[1:2]}, "image_urls", "is given twice"),
        ({"prompt": "x", "api_model": "veo3_turbo"}, "api_model", "'veo3_turbo' is not one of the choices"),
        ({"prompt": "x", "model": "veo3", "api_model": "veo3_lite"}, "api_model", "but the input says 'veo3'"),
        ({"prompt": "x", "duration": 5}, "duration", "5 is not one of the choices: 4, 6 or 8."),
        ({"prompt": "x", "resolution": "480p"}, "resolution", "is not one of the choices"),
        ({"prompt": "x", "aspect_ratio": "1:1"}, "aspect_ratio", "is not one of the choices"),
        ({"prompt": "x", "seeds": 9999}, "seeds", "must be at least 10000"),
        ({"prompt": "x", "seeds": 100000}, "seeds", "must be at most 99999"),
        ({"prompt": "x", "via": "mj"}, "via", "'mj' is not one of the choices"),
        ({"prompt": "x", "referenceUrls": PICTURES}, "referenceUrls", "is not a field of this model"),
        ({"prompt": "x", "imageurls": []}, "imageurls", "Did you mean image_urls?"),
    ],
)
def test_a_wrong_field_is_named_in_one_sentence(fields: dict[str, Any], field: str, words: str) -> None:
    found = wrong(fields)
    assert list(found) == [field]
    assert words in found[field]
    assert len(found[field]) < 250


def test_several_broken_rules_are_told_together() -> None:
    found = wrong({"prompt": "x", "api_model": "veo3", "generation_type": REFERENCE, "duration": 4})
    assert list(found) == ["image_urls", "api_model", "duration"]


@pytest.mark.parametrize(
    "params",
    [
        veo3("a 'red' kite"),
        veo3("x", images=PICTURES[:2], via="veo", duration=4, seeds=10000),
        veo3("x", api_model="veo3_lite", generation_type="REFERENCE_2_VIDEO", images=PICTURES[:3]),
    ],
)
def test_the_python_form_makes_the_same_request_again(params: KieVeo3Params) -> None:
    assert eval(params.as_python(), {"veo3": veo3}) == params  # noqa: S307 - our own text
    assert "aspect_ratio" not in params.as_python()
    assert KieVeo3Params.build(**params.flat()) == params


def test_it_is_a_video_and_waited_for_an_hour() -> None:
    assert KieVeo3Params.kind_of("veo3") is AssetKind.VIDEO
    assert KieVeo3Params.time_limit_of("veo3") == 3600


# What follows.


@pytest.mark.parametrize("via", ["jobs", "veo"])
@pytest.mark.parametrize(("tier", "extended"), [("veo3_fast", "fast"), ("veo3", "quality"), ("veo3_lite", "lite")])
def test_a_new_video_can_be_extended_and_had_in_1080p_and_4k_on_its_own_road(
    tier: Any, extended: str, via: Any
) -> None:
    extend, full, four = follow_ups(finished(veo3("x", api_model=tier, via=via)))
    assert [step.title for step in (extend, full, four)] == ["Extend", "Get 1080p", "Get 4K"]
    assert [step.needs_prompt for step in (extend, full, four)] == [True, False, False]
    made = [extend.make(prompt="it lands"), full.make(), four.make()]
    roads = ["jobs"] * 3 if via == "jobs" else ["veo/extend", "veo/1080p", "veo/4k"]
    assert [params.road for params in made] == roads
    bodies = [params.wire() for params in made]
    if via == "jobs":
        assert bodies == [
            {"model": "veo/extend", "input": {"task_id": "v1", "prompt": "it lands", "model": extended}},
            {"model": "veo/get-1080p-video", "input": {"taskId": "v1"}},
            {"model": "veo/get-4k-video", "input": {"task_id": "v1", "index": 0}},
        ]
    else:
        assert bodies == [
            {"taskId": "v1", "prompt": "it lands", "model": extended},
            {"taskId": "v1", "index": 0},
            {"taskId": "v1", "index": 0},
        ]


def names(task: GenerationTask) -> list[str]:
    return [step.name for step in follow_ups(task)]


def test_only_what_the_documents_allow_is_offered() -> None:
    assert names(finished(veo3("x", resolution="1080p"))) == ["4k"]
    assert names(finished(veo3("x", resolution="4k"))) == []
    assert names(finished(veo3("x"), result={"fallbackFlag": True})) == ["extend"]
    assert names(finished(KieVeo3FollowUp.build(api_model="veo/get-1080p-video", task_id="v0"))) == []
    assert names(finished(KieVeo3FollowUp.build(api_model="veo/get-4k-video", task_id="v0"))) == []
    pending = finished(veo3("x")).model_copy(update={"status": TaskStatus.PENDING})
    assert follow_ups(pending) == ()
    assert follow_ups(finished(veo3("x")).model_copy(update={"external_task_id": None})) == ()


def test_an_extended_video_can_be_extended_again_with_its_tier_and_road() -> None:
    first = KieVeo3FollowUp.build(api_model="veo/extend", task_id="v1", prompt="on", tier="quality", via="veo")
    [again] = follow_ups(finished(first, "v2"))
    assert again.make(prompt="and on").wire() == {"taskId": "v2", "prompt": "and on", "model": "quality"}


def test_a_follow_up_survives_json_and_its_python_form() -> None:
    for step in follow_ups(finished(veo3("x", via="veo"))):
        params = step.make(prompt="on") if step.needs_prompt else step.make()
        again = read_params(json.loads(json.dumps(params.to_json())))
        assert again == params
        assert again.identity() == params.identity()
        assert eval(params.as_python(), {"KieVeo3FollowUp": KieVeo3FollowUp}) == params  # noqa: S307 - our own text


def test_the_same_copy_on_two_roads_or_of_two_kinds_is_two_requests() -> None:
    made = [
        KieVeo3FollowUp.build(api_model=slug, task_id="v1", via=via)
        for slug in ("veo/get-1080p-video", "veo/get-4k-video")
        for via in ("jobs", "veo")
    ]
    assert len({params.identity() for params in made}) == 4


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"api_model": "veo/extend", "task_id": "v1"}, "prompt", "is empty"),
        ({"api_model": "veo/extend", "task_id": "v1", "prompt": "x", "index": 1}, "index", "is no field of veo/extend"),
        ({"api_model": "veo/get-4k-video", "task_id": "v1", "prompt": "x"}, "prompt", "is no field of"),
        ({"api_model": "veo/get-4k-video", "task_id": "v1", "index": -1}, "index", "must be at least 0"),
        ({"api_model": "veo/get-4k-video"}, "task_id", "is required"),
        ({"api_model": "veo/get-8k-video", "task_id": "v1"}, "api_model", "is not one of the choices"),
    ],
)
def test_a_follow_up_names_what_is_wrong(fields: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieVeo3FollowUp.build(**fields)
    assert list(caught.value.fields) == [field]
    assert words in caught.value.fields[field]


def test_a_follow_up_of_a_result_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidParams, match="there is no result 1"):
        follow_ups(finished(veo3("x")))[1].make(1)


def test_a_later_video_is_named_as_each_road_wants_it() -> None:
    jobs = KieVeo3FollowUp.build(api_model="veo/get-1080p-video", task_id="v1", index=1)
    assert jobs.wire()["input"] == {"taskId": "v1", "index": "1"}


@pytest.mark.parametrize("data", [{}, {"input": None}, {"input": ["x"], "via": 3}, {"via": "veo"}])
def test_a_stored_request_of_any_shape_is_good_enough_to_follow_up(data: dict[str, Any]) -> None:
    task = finished(veo3("x")).model_copy(update={"provider_params": data, "result_json": "cut {"})
    assert names(task) == ["extend", "1080p", "4k"]
