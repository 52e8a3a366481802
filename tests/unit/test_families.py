"""What holds for all four families: JSON there and back, one identity, the road, and calls that can be copied."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb.kie import models
from kiegen_nb.kie.models import FAMILIES, FOLLOW_UPS, follow_ups, params_class, read_params
from kiegen_nb.kie.models.imagen4 import Imagen4Slug, imagen4
from kiegen_nb.kie.models.midjourney import (
    VIDEOS,
    WITH_SPEED,
    MidjourneyRatio,
    MidjourneyTask,
    Version,
    midjourney,
)
from kiegen_nb.kie.models.midjourney_steps import KieMidjourneyFollowUp, MidjourneyStep
from kiegen_nb.kie.models.sora2 import KieSora2Params, sora2
from kiegen_nb.kie.models.sora2_slugs import SPECS
from kiegen_nb.kie.models.veo3 import Veo3Ratio, Veo3Tier, veo3
from kiegen_nb.kie.models.veo3_steps import KieVeo3FollowUp
from kiegen_nb.kie.roads import ROADS, road_name
from kiegen_nb.tasks import GenerationTask, TaskStatus
from kiegen_nb.widgets.fields import read_fields

if TYPE_CHECKING:
    from kiegen_nb.kie.models.base import KieParams

CALLS: dict[str, Any] = {
    "imagen4": imagen4,
    "veo3": veo3,
    "midjourney": midjourney,
    "sora2": sora2,
    "KieVeo3FollowUp": KieVeo3FollowUp,
    "KieMidjourneyFollowUp": KieMidjourneyFollowUp,
}
OURS = [family for name, family in FAMILIES.items() if name != "MARKET"] + list(FOLLOW_UPS.values())

prompts = st.text(min_size=1, max_size=100).filter(lambda text: bool(text.strip()))
addresses = st.from_regex(r"https?://[a-z]{1,10}\.example/[a-zA-Z0-9_./-]{0,20}", fullmatch=True)
ids = st.from_regex(r"[0-9a-f]{8,32}", fullmatch=True)


def some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def imagen4_requests(draw: st.DrawFn) -> KieParams:
    slug = draw(st.sampled_from(get_args(Imagen4Slug)))
    return imagen4(
        draw(prompts),
        api_model=slug,
        aspect_ratio=draw(some(st.sampled_from(["1:1", "16:9", "9:16", "3:4", "4:3", "auto"]))),
        negative_prompt=draw(some(prompts)),
        seed=draw(some(st.integers(-(10**6), 10**12))),
        num_images=None if slug.endswith("ultra") else draw(some(st.sampled_from([1, 2, 3, 4]))),
    )


@st.composite
def veo3_requests(draw: st.DrawFn) -> KieParams:
    tier = draw(st.sampled_from(get_args(Veo3Tier)))
    modes = ["TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO"] + (["REFERENCE_2_VIDEO"] if tier != "veo3" else [])
    mode = draw(some(st.sampled_from(modes)))
    least, most = {"TEXT_2_VIDEO": (0, 0), "FIRST_AND_LAST_FRAMES_2_VIDEO": (1, 2), "REFERENCE_2_VIDEO": (1, 3)}.get(
        mode, (0, 2)
    )
    return veo3(
        draw(prompts),
        api_model=tier,
        generation_type=mode,
        images=draw(st.lists(addresses, min_size=least, max_size=most)),
        aspect_ratio=draw(some(st.sampled_from(get_args(Veo3Ratio)))),
        resolution=draw(some(st.sampled_from(["720p", "1080p", "4k"]))),
        duration=8 if mode == "REFERENCE_2_VIDEO" else draw(some(st.sampled_from([4, 6, 8]))),
        seeds=draw(some(st.integers(10_000, 99_999))),
        watermark=draw(some(prompts)),
        enable_translation=draw(some(st.booleans())),
        via=draw(st.sampled_from(["jobs", "veo"])),
    )


@st.composite
def veo3_steps(draw: st.DrawFn) -> KieParams:
    slug = draw(st.sampled_from(["veo/extend", "veo/get-1080p-video", "veo/get-4k-video"]))
    common: dict[str, Any] = {"api_model": slug, "task_id": draw(ids), "via": draw(st.sampled_from(["jobs", "veo"]))}
    if slug != "veo/extend":
        return KieVeo3FollowUp.build(**common, index=draw(some(st.integers(0, 3))))
    return KieVeo3FollowUp.build(
        **common,
        prompt=draw(prompts),
        tier=draw(some(st.sampled_from(["fast", "quality", "lite"]))),
        seeds=draw(some(st.integers(10_000, 99_999))),
        watermark=draw(some(prompts)),
    )


@st.composite
def midjourney_requests(draw: st.DrawFn) -> KieParams:
    task = draw(st.sampled_from(get_args(MidjourneyTask)))
    video = task in VIDEOS
    least, most = (0, 0) if task == "mj_txt2img" else (1, 1 if video else 4)
    return midjourney(
        draw(prompts),
        api_model=task,
        images=draw(st.lists(addresses, min_size=least, max_size=most)),
        aspect_ratio=draw(some(st.sampled_from(get_args(MidjourneyRatio)))),
        speed=draw(some(st.sampled_from(["relaxed", "fast", "turbo"]))) if task in WITH_SPEED else None,
        version=draw(some(st.sampled_from([*get_args(Version), 7, 6.1]))),
        variety=draw(some(st.integers(0, 20).map(lambda step: step * 5))),
        stylization=draw(some(st.integers(0, 1000))),
        weirdness=draw(some(st.integers(0, 3000))),
        ow=draw(some(st.integers(1, 1000))) if task == "mj_omni_reference" else None,
        motion=draw(some(st.sampled_from(["high", "low"]))) if video else None,
        video_batch_size=draw(some(st.sampled_from([1, 2, 4]))) if video else None,
        water_mark=draw(some(prompts)),
        enable_translation=draw(some(st.booleans())),
    )


@st.composite
def midjourney_steps(draw: st.DrawFn) -> KieParams:
    slug = draw(st.sampled_from(get_args(MidjourneyStep)))
    common: dict[str, Any] = {"api_model": slug, "task_id": draw(ids), "water_mark": draw(some(prompts))}
    if "extend" not in slug:
        return KieMidjourneyFollowUp.build(**common, image_index=draw(some(st.integers(0, 3))))
    prompt = draw(prompts if slug.endswith("manual") else some(prompts))
    return KieMidjourneyFollowUp.build(**common, prompt=prompt, index=draw(some(st.integers(0, 3))))


@st.composite
def sora2_requests(draw: st.DrawFn) -> KieParams:
    slug = draw(st.sampled_from(sorted(SPECS)))
    spec = SPECS[slug]
    seconds = draw(st.sampled_from(spec.seconds))
    count = draw(st.integers(3, 10))
    shots = [{"Scene": draw(prompts), "duration": int(seconds) / count} for _ in range(count)]
    start = draw(st.integers(0, 20))
    values: dict[str, st.SearchStrategy[Any]] = {
        "prompt": prompts,
        "image_urls": st.lists(addresses, min_size=1, max_size=1),
        "shots": st.just(shots),
        "aspect_ratio": st.sampled_from(["landscape", "portrait"]),
        "n_frames": st.just(seconds),
        "size": st.sampled_from(["standard", "high"]),
        "remove_watermark": st.booleans(),
        "character_id_list": st.lists(ids, min_size=1, max_size=5),
        "video_url": addresses,
        "character_file_url": st.lists(addresses, min_size=1, max_size=1),
        "origin_task_id": ids,
        "timestamps": st.integers(1, 4).map(lambda length: f"{start},{start + length}"),
        "character_prompt": prompts,
        "character_user_name": st.text("abc_", min_size=1, max_size=40),
        "safety_instruction": prompts,
        "upload_method": st.sampled_from(["s3", "oss"]),
    }
    fields = {name: draw(values[name]) for name in sorted(spec.needs)}
    fields |= {name: draw(some(values[name])) for name in sorted(spec.takes - {"n_frames"})}
    if "n_frames" in spec.takes:
        fields["n_frames"] = draw(st.sampled_from([seconds, int(seconds)]))
    return KieSora2Params.build(api_model=slug, **fields)


requests = st.one_of(
    imagen4_requests(), veo3_requests(), veo3_steps(), midjourney_requests(), midjourney_steps(), sora2_requests()
)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(requests)
def test_any_request_survives_json_and_keeps_its_identity_and_its_road(params: KieParams) -> None:
    data = json.loads(json.dumps(params.to_json()))
    again = read_params(data)
    assert type(again) is type(params)
    assert again == params
    assert again.identity() == params.identity()
    assert again.road == params.road == road_name(data)
    assert type(params).build(**params.flat()) == params
    assert again.to_json() == data
    assert json.loads(json.dumps(params.wire())) == params.wire()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(requests)
def test_any_request_can_be_copied_as_a_call_that_makes_it_again(params: KieParams) -> None:
    assert eval(params.as_python(), dict(CALLS)) == params  # noqa: S307 - our own text


@settings(derandomize=True, deadline=None, max_examples=150)
@given(requests)
def test_camel_case_in_makes_the_same_request(params: KieParams) -> None:
    data = params.to_json()
    spelled = {own: other for other, own in type(params).input_model().other_names.items()}
    camel = {spelled.get(name, name): value for name, value in data["input"].items()}
    again = read_params(data | {"input": camel})
    assert again == params
    assert again.to_json() == data


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model": st.sampled_from(["VEO3", "MIDJOURNEY", "SORA2", "X"]) | st.none() | st.lists(st.none()),
            "apiModel": st.sampled_from(["veo/extend", "veo3", "mj_vary", ""]) | st.integers() | st.lists(st.none()),
            "via": st.sampled_from(["veo", "jobs", "sea"]) | st.none() | st.lists(st.none()),
            "input": st.none() | st.text() | st.dictionaries(st.text(), st.integers()),
        },
    )
)
def test_a_stored_request_of_any_version_has_a_road(data: dict[str, Any]) -> None:
    assert road_name(data) in ROADS


@pytest.mark.parametrize("family", OURS, ids=lambda family: family.__name__)
def test_every_field_has_words_for_a_form_and_its_conditions_name_real_values(family: type[KieParams]) -> None:
    fields = {field.name: field for field in read_fields(family)}
    for field in fields.values():
        assert field.title
        assert field.help, field.name
        for other, values in field.hints.get("when", {}).items():
            assert other in fields
            assert set(values) <= {*fields[other].choices, None}
    assert family.title
    assert family.__doc__


@pytest.mark.parametrize("name", ["imagen4", "veo3", "midjourney", "sora2"])
def test_the_function_of_a_family_takes_every_field_it_has(name: str) -> None:
    [family] = [family for family in OURS if family.python_name == name]
    known = set(inspect.signature(CALLS[name]).parameters)
    assert set(family.field_names()) <= known
    assert known - set(family.field_names()) <= {"images"}
    documentation = inspect.getdoc(CALLS[name]) or ""
    assert [field for field in known if f"\n    {field}: " not in documentation] == []
    assert "Source: docs.kie.ai" in documentation


def test_every_documented_endpoint_has_one_row() -> None:
    assert {road.create for road in ROADS.values()} == {
        "/api/v1/jobs/createTask",
        "/api/v1/veo/generate",
        "/api/v1/veo/extend",
        "/api/v1/veo/get-4k-video",
        None,
        "/api/v1/mj/generate",
        "/api/v1/mj/generateUpscale",
        "/api/v1/mj/generateVary",
        "/api/v1/mj/generateVideoExtend",
    }


def test_the_class_of_a_request_is_found_by_model_and_slug() -> None:
    assert params_class("VEO3", "veo3") is FAMILIES["VEO3"]
    assert params_class("VEO3", "veo/extend") is KieVeo3FollowUp
    assert params_class("MIDJOURNEY", "mj_vary") is KieMidjourneyFollowUp
    assert params_class("SORA2", "anything") is KieSora2Params
    assert params_class("FROM_A_NEWER_VERSION", "x") is None
    assert set(get_args(models.ProviderParams)) == {*FAMILIES.values(), *FOLLOW_UPS.values()}


@pytest.mark.parametrize("model", ["IMAGEN4", "SORA2", "MARKET", "FROM_A_NEWER_VERSION"])
def test_most_tasks_end_where_they_end(model: str) -> None:
    task = GenerationTask(
        id="a" * 32,
        model=model,
        api_model="x",
        status=TaskStatus.SUCCESS,
        external_task_id="t",
        created_at=datetime.now(UTC),
    )
    assert follow_ups(task) == ()
