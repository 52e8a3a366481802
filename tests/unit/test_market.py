"""Market requests: every slug of the catalogue from its smallest input, and each of its limits once overstepped."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import Catalogue, catalogue
from kiegen_nb.kie.entries import Model, Param
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.models.base import IMAGE_TIME_LIMIT, VIDEO_TIME_LIMIT, KieInput
from kiegen_nb.kie.models.market import KieMarketParams, input_model, market, params_for
from kiegen_nb.kie.models.market_input import make_input_model, media_of
from kiegen_nb.kie.rules import EMPTY_BY_DEFAULT, NOT_FILLED, ONLY_WITH, RULES
from kiegen_nb.kie.validation import check, default_of, example, normalise
from kiegen_nb.tasks import AssetKind

SLUGS = list(catalogue)
URL = "https://example.com/kite.png"


def refused(slug: str, fields: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidParams) as caught:
        market(slug, **fields)
    return caught.value.fields


@pytest.mark.parametrize("slug", SLUGS)
def test_the_smallest_input_of_every_slug_goes_through_json_and_python(slug: str) -> None:
    fields = example(catalogue[slug])
    params = market(slug, **fields)
    assert params.wire() == {"model": slug, "input": params.input}
    assert fields.items() <= params.input.items()
    data = json.loads(json.dumps(params.to_json()))
    assert (data["service"], data["model"], data["apiModel"]) == ("KIE", "MARKET", slug)
    assert "validate" not in data
    for again in (
        read_params(data),
        KieMarketParams.build(**params.flat()),
        type(params).build(**params.flat()),
        eval(params.as_python(), {"market": market}),  # noqa: S307 - our own text
        pickle.loads(pickle.dumps(params)),  # noqa: S301 - our own bytes
        copy.deepcopy(params),
    ):
        assert again == params
        assert type(again) is type(params) is params_for(slug)
        assert again.identity() == params.identity()
        assert hash(again) == hash(params)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_default_written_out_is_the_same_request(slug: str) -> None:
    model = catalogue[slug]
    fields = example(model)
    plain = market(slug, **fields)
    defaults = {param.name: default_of(model, param.name) for param in model.params}
    blocked = {*NOT_FILLED.get(slug, {}), *ONLY_WITH.get(slug, {})}
    written = {name: value for name, value in defaults.items() if value is not None and name not in blocked}
    assert market(slug, **(written | fields)).identity() == plain.identity()
    assert all(plain.input[name] == value for name, value in written.items() if name not in fields)


@pytest.mark.parametrize("slug", SLUGS)
def test_deprecated_fields_are_never_filled_in(slug: str) -> None:
    old = {param.name for param in catalogue[slug].params if param.deprecated}
    assert not old & set(market(slug, **example(catalogue[slug])).input)


def violations(param: Param) -> list[tuple[str, Any]]:
    """Return a value beyond each limit the catalogue states for a field, and which limit that is."""
    found: list[tuple[str, Any]] = []
    if param.type != "any":
        found.append(("type", "not this" if param.type == "object" else {"not": "this"}))
    if param.type == "boolean":
        found.append(("spelling", "true"))
    if param.is_array:
        return found + list_violations(param)
    if param.enum:
        texts = [value for value in param.enum if isinstance(value, str)]
        found.append(("enum", "no such choice" if texts else 987654321))
        found += [("case", text.swapcase()) for text in texts if text.swapcase() not in texts]
        return found
    return found + number_violations(param) + length_violations(param)


def number_violations(param: Param) -> list[tuple[str, Any]]:
    edges = [("min", param.min, -1), ("max", param.max, 1)]
    found: list[tuple[str, Any]] = [(name, edge + by) for name, edge, by in edges if edge is not None]
    if param.step is not None:
        found.append(("step", (param.min or 0) + param.step / 2))
    return [(name, str(value)) for name, value in found] if param.type == "string" else found


def length_violations(param: Param) -> list[tuple[str, Any]]:
    found = [("min_length", "x" * (param.min_length - 1) or " ")] if param.min_length else []
    return found + ([("max_length", "x" * (param.max_length + 1))] if param.max_length is not None else [])


def list_violations(param: Param) -> list[tuple[str, Any]]:
    item, least = example_item(param), max(1, param.min_items or 0)
    found: list[tuple[str, Any]] = []
    if param.max_items is not None:
        found.append(("max_items", [item] * (param.max_items + 1)))
    if param.min_items or param.required:
        found.append(("min_items", [item] * (least - 1)))
    if param.item_type in ("string", "integer", "object"):
        found.append(("item", [None] * least))
    for inner in param.items:
        wrong = [("required", None)] if inner.required and inner.default is None else []
        for name, value in [*wrong, *violations(inner)]:
            found.append((f"{inner.name}.{name}", [item | {inner.name: value}] * least))
    return [*found, ("unknown in item", [item | {"no_such_field": 1}] * least)] if param.items else found


def example_item(param: Param) -> Any:
    model = Model("x", params=(Param("x", param.type, required=True, items=param.items),))
    return example(model)["x"][0]


LIMITS = [
    (slug, param.name, limit, value)
    for slug in SLUGS
    for param in catalogue[slug].params
    for limit, value in [*violations(param), *([("required", None)] if param.required else [])]
    if not (param.name in EMPTY_BY_DEFAULT.get(slug, ()) and limit in ("min_items", "required"))
]


@pytest.mark.parametrize("slug", SLUGS)
def test_each_limit_of_the_catalogue_is_refused_with_the_fields_name(slug: str) -> None:
    model = catalogue[slug]
    valid = example(model)
    assert check(model, valid) == {}
    for name, limit, value in [(name, limit, value) for where, name, limit, value in LIMITS if where == slug]:
        found = check(model, valid | {name: value})
        if limit == "required" and default_of(model, name) is not None:
            assert found == {}
        else:
            assert list(found) == [name], f"{name}: {limit} {str(value)[:80]}"
            assert found[name].endswith((".", "?")), found[name]


def test_there_are_many_limits() -> None:
    assert len(LIMITS) > 3000


@pytest.mark.parametrize("slug", SLUGS)
def test_an_unknown_field_is_refused_where_all_are_known(slug: str) -> None:
    model = catalogue[slug]
    found = check(model, example(model) | {"no_such_field": 1})
    assert list(found) == (["no_such_field"] if model.complete else [])


def test_a_misspelt_field_is_told_by_name_because_the_service_would_bill_it() -> None:
    found = refused("z-image", {"prompt": "x", "aspect_ration": "1:1"})
    assert list(found) == ["aspect_ration"]
    assert "would ignore it and bill. Did you mean aspect_ratio?" in found["aspect_ration"]


def test_several_wrong_fields_are_told_together() -> None:
    assert list(refused("z-image", {"aspect_ratio": "2:1", "size": 1})) == ["aspect_ratio", "size", "prompt"]


@pytest.mark.parametrize(
    ("slug", "fields", "name", "sent"),
    [
        ("ideogram/character", {"num_images": 3}, "num_images", "3"),
        ("kling/v2-1-pro", {"duration": 5}, "duration", "5"),
        ("kling/v2-1-pro", {"duration": 5.0}, "duration", "5"),
        ("kling/v3-turbo-text-to-video", {"duration": 7}, "duration", "7"),
        ("kling/v3-turbo-text-to-video", {"duration": " 07 "}, "duration", "7"),
        ("happyhorse/text-to-video", {"duration": "5"}, "duration", 5),
        ("happyhorse/text-to-video", {"duration": 5.0}, "duration", 5),
        ("runway", {"duration": "10", "quality": "720p", "aspect_ratio": "1:1"}, "duration", 10),
        ("kling/v2-1-pro", {"cfg_scale": 1}, "cfg_scale", 1),
        ("kling/v2-1-pro", {"cfg_scale": 1.0}, "cfg_scale", 1),
        ("kling/v2-1-pro", {"cfg_scale": "0.25"}, "cfg_scale", 0.25),
        ("google/imagen4", {"seed": 7}, "seed", "7"),
        ("kling-2.6/image-to-video", {"image_urls": URL}, "image_urls", [URL]),
        ("kling-2.6/image-to-video", {"image_urls": (URL,)}, "image_urls", [URL]),
        ("bytedance/seedance-2", {"duration": -1}, "duration", -1),
    ],
)
def test_one_request_has_one_spelling(slug: str, fields: dict[str, Any], name: str, sent: Any) -> None:
    params = market(slug, **(example(catalogue[slug]) | fields))
    assert params.input[name] == sent
    assert type(params.input[name]) is type(sent)


def test_what_is_empty_is_left_out() -> None:
    params = market("google/imagen4", prompt="x", negative_prompt="", seed=None)
    assert params.input == {"prompt": "x", "aspect_ratio": "1:1"}
    assert market("nano-banana-pro", prompt="x", image_input=[]) == market("nano-banana-pro", prompt="x")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " \n"}, "is empty"),
        ({"prompt": "\ud800"}, "surrogate"),
        ({"prompt": 5}, "must be text"),
        ({"prompt": "x" * 1001}, "has 1,001 characters; at most 1,000 are accepted. Shorten it by 1."),
        ({"prompt": object()}, "cannot be sent as JSON"),
        ({"prompt": float("nan")}, "cannot be sent as JSON"),
    ],
)
def test_a_wrong_prompt_is_told_in_one_sentence(fields: dict[str, Any], words: str) -> None:
    assert words in refused("z-image", fields)["prompt"]


def test_exactly_the_limit_is_accepted() -> None:
    assert market("z-image", prompt="ü" * 1000).input["prompt"] == "ü" * 1000


RULE_CASES: list[tuple[str, dict[str, Any], str]] = [
    ("4o-image-api", {"size": "1:1"}, "prompt"),
    ("bytedance/seedance-2", {}, "prompt"),
    ("bytedance/seedance-2", {"last_frame_url": URL, "prompt": "a kite"}, "last_frame_url"),
    ("bytedance/seedance-2", {"first_frame_url": URL, "reference_image_urls": [URL]}, "first_frame_url"),
    ("flux1-kontext", {"prompt": "x", "input_image": URL, "safety_tolerance": 3}, "safety_tolerance"),
    (
        "gemini-omni-video",
        {"prompt": "x", "duration": 4, "image_urls": [URL] * 7, "character_ids": ["a"]},
        "image_urls",
    ),
    ("google/gemini-omni-flash-1-1", {"prompt": "x", "duration": 4, "last_frame_url": URL}, "last_frame_url"),
    (
        "google/gemini-omni-flash-1-1",
        {"prompt": "x", "duration": 4, "first_frame_url": URL, "image_urls": [URL]},
        "first_frame_url",
    ),
    ("gpt-image-2-text-to-image", {"prompt": "x", "resolution": "2K"}, "resolution"),
    ("gpt-image-2-text-to-image", {"prompt": "x", "resolution": "2K", "aspect_ratio": "5:4"}, "aspect_ratio"),
    ("gpt-image-2-text-to-image", {"prompt": "x", "resolution": "4K", "aspect_ratio": "1:1"}, "aspect_ratio"),
    (
        "gpt-image-2-text-to-image",
        {"prompt": "x", "resolution": "2K", "aspect_ratio": "1:1", "background": "opaque"},
        "background",
    ),
    ("gpt-image-2-5-flare-text-to-image", {"prompt": "x", "resolution": "2K", "aspect_ratio": "9:8"}, "aspect_ratio"),
    ("grok-imagine-image-2-0/segment-map", {"task_id": "t", "image_url": URL}, "task_id"),
    ("grok-imagine-image-2-0/segment-map", {}, "task_id"),
    ("grok-imagine-video-1-5-preview", {}, "prompt"),
    ("grok-imagine-video-1-5-preview", {"image_urls": [URL, URL], "resolution": "1080p"}, "image_urls"),
    ("grok-imagine/image-to-video", {}, "image_urls"),
    ("grok-imagine/image-to-video", {"image_urls": [URL], "task_id": "t"}, "image_urls"),
    ("grok-imagine/image-to-video", {"image_urls": [URL], "index": 1}, "index"),
    ("grok-imagine/image-to-video", {"image_urls": [URL], "mode": "spicy"}, "mode"),
    (
        "hailuo/2-3-image-to-video-pro",
        {"prompt": "x", "image_url": URL, "duration": 10, "resolution": "1080P"},
        "duration",
    ),
    (
        "kling-3.0-omni/text-to-video",
        {"prompt": "x", "customize_multi_shots": True, "prefer_multi_shots": True},
        "customize_multi_shots",
    ),
    (
        "kling-3.0-omni/text-to-video",
        {"prompt": "x", "multi_prompt": [{"prompt": "x" * 513, "duration": 2}]},
        "multi_prompt",
    ),
    (
        "kling-3.0-omni/image-to-video",
        {"image_urls": [URL], "customize_multi_shots": False, "aspect_ratio": "1:1"},
        "aspect_ratio",
    ),
    ("kling-3.0-omni/reference-to-video", {"prompt": "x"}, "image_urls"),
    ("kling-3.0-omni/reference-to-video", {"image_urls": [URL] * 5, "video_urls": [URL]}, "image_urls"),
    ("kling-3.0-omni/reference-to-video", {"video_urls": [URL], "audio": True}, "audio"),
    (
        "kling-3.0-omni/transformation",
        {"video_urls": [URL], "image_urls": [URL], "aspect_ratio": "auto"},
        "aspect_ratio",
    ),
    ("kling-3.0/video", {"prompt": "x", "image_urls": [URL] * 3}, "image_urls"),
    ("kling-3.0/video", {"prompt": "x", "multi_shots": True}, "multi_prompt"),
    ("kling-3.0/video", {"prompt": "x", "multi_prompt": [{"prompt": "x", "duration": 2}] * 6}, "multi_prompt"),
    ("minimax-h3/image-to-video", {"prompt": "x"}, "first_frame_url"),
    ("minimax-h3/reference-to-video", {"prompt": "x", "reference_audio_urls": [URL]}, "reference_audio_urls"),
    (
        "pixverse-v6/image-to-video",
        {"prompt": "a kite", "image_urls": [URL], "template_id": 1, "duration": 5},
        "template_id",
    ),
    ("qwen2-1/text-to-image", {"prompt": "x", "background": "transparent", "output_format": "jpeg"}, "output_format"),
    ("qwen2-1/image-to-image", {"prompt": "x", "image_urls": [URL, URL], "mask_url": URL}, "mask_url"),
    ("runway", {"prompt": "x", "duration": 5, "quality": "720p"}, "aspect_ratio"),
    ("runway", {"prompt": "x", "duration": 10, "quality": "1080p", "aspect_ratio": "1:1"}, "duration"),
    ("sora-2-characters-pro", {"origin_task_id": "t", "timestamps": "1,9", "character_prompt": "x"}, "timestamps"),
    (
        "sora-2-pro-storyboard",
        {"upload_method": "s3", "n_frames": 10, "shots": [{"Scene": "x", "duration": 7}] * 2},
        "shots",
    ),
    ("veo-3-1", {"prompt": "x", "model": "veo3", "generation_type": "REFERENCE_2_VIDEO"}, "generation_type"),
    (
        "veo-3-1",
        {"prompt": "x", "generation_type": "REFERENCE_2_VIDEO", "image_urls": [URL], "duration": 4},
        "duration",
    ),
    ("veo-3-1", {"prompt": "x", "generation_type": "TEXT_2_VIDEO", "image_urls": [URL]}, "image_urls"),
    ("veo-3-1", {"prompt": "x", "image_urls": [URL] * 3}, "image_urls"),
    ("veo-3-1", {"prompt": "x", "generation_type": "FIRST_AND_LAST_FRAMES_2_VIDEO"}, "image_urls"),
    ("wan/2-7-image", {"prompt": "x", "n": 5}, "n"),
    ("wan/2-7-image", {"prompt": "x", "thinking_mode": True, "input_urls": [URL]}, "thinking_mode"),
    ("wan/2-7-image-to-video", {"prompt": "x", "last_frame_url": URL}, "last_frame_url"),
    ("wan/3-0-video", {}, "prompt"),
    ("wan/3-0-video", {"reference_image_urls": [URL], "reference_link_urls": [URL]}, "reference_image_urls"),
]


@pytest.mark.parametrize(("slug", "fields", "name"), RULE_CASES)
def test_rules_between_fields_are_kept(slug: str, fields: dict[str, Any], name: str) -> None:
    assert name in refused(slug, fields)


def test_every_set_of_rules_has_a_case_and_names_only_fields_there_are() -> None:
    tested = {slug for slug, _, _ in RULE_CASES}
    broken = {rule.sentence for slug, fields, _ in RULE_CASES for rule in RULES.get(slug, ()) if rule.is_broken(fields)}
    for slug, rules in RULES.items():
        assert {name for rule in rules for name in rule.fields} <= set(catalogue[slug].by_name), slug
        same = {other for other, theirs in RULES.items() if theirs == rules}
        assert tested & same or {rule.sentence for rule in rules} <= broken, slug


def test_defaults_that_exclude_each_other_are_not_filled_in() -> None:
    assert (
        "customize_multi_shots" not in market("kling-3.0-omni/text-to-video", prompt="x", prefer_multi_shots=True).input
    )
    made = market("pixverse-v6/image-to-video", prompt="a kite", image_urls=[URL], template_id=3)
    assert "duration" not in made.input
    assert "index" not in market("grok-imagine/image-to-video", image_urls=[URL]).input
    assert market("grok-imagine/image-to-video", task_id="t").input["index"] == 0
    assert market("kling-3.0/video", prompt="x").input["multi_prompt"] == []
    assert market("kling-3.0/video", prompt="x", multi_prompt=[]) == market("kling-3.0/video", prompt="x")


def test_an_unknown_slug_needs_validate_false_and_is_sent_as_it_is() -> None:
    found = refused("kling-9/video", {"prompt": "x"})
    assert list(found) == ["api_model"]
    assert "validate=False" in found["api_model"]
    params = market("kling-9/video", validate=False, prompt="", odd=[1, {"a": None}], **{"for": 1.5})
    assert params.wire() == {"model": "kling-9/video", "input": {"prompt": "", "odd": [1, {"a": None}], "for": 1.5}}
    assert params.to_json()["validate"] is False
    again = read_params(json.loads(json.dumps(params.to_json())))
    assert again == params
    assert eval(params.as_python(), {"market": market}) == params  # noqa: S307 - our own text
    assert KieMarketParams.build(**params.flat()) == params
    assert pickle.loads(pickle.dumps(params)) == params  # noqa: S301 - our own bytes
    assert params.asset_kind is AssetKind.FILE
    assert type(params).input_model().model_fields == {}


def test_a_known_slug_with_validate_false_gets_no_defaults() -> None:
    params = market("z-image", validate=False, prompt="x", aspect_ratio="7:1")
    assert params.input == {"prompt": "x", "aspect_ratio": "7:1"}
    assert params != market("z-image", prompt="x")


@pytest.mark.parametrize("slug", ["", "  ", None])
def test_a_slug_is_required(slug: Any) -> None:
    with pytest.raises(InvalidParams) as caught:
        KieMarketParams.read({"apiModel": slug, "input": {}})
    assert list(caught.value.fields) == ["api_model"]


@pytest.mark.parametrize("data", [{"apiModel": "z-image"}, {"apiModel": "z-image", "input": "a kite"}])
def test_a_request_without_its_input_object_says_that_input_is_wrong(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams) as caught:
        read_params({"model": "MARKET", **data})
    assert list(caught.value.fields) == ["input"]


def test_a_list_changed_afterwards_changes_no_request() -> None:
    images = [URL]
    params = market("kling-2.6/image-to-video", prompt="x", image_urls=images, sound=False)
    images.append("other")
    assert params.input["image_urls"] == [URL]


def test_a_list_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidParams, match="holds itself"):
        market("x", validate=False, a=circle)


def test_the_class_of_a_slug_says_what_it_makes_and_how_long_it_may_take() -> None:
    video, image, old = (params_for(slug) for slug in ("veo-3-1", "z-image", "sora-2-text-to-video"))
    assert (video.asset_kind, video.time_limit) == (AssetKind.VIDEO, VIDEO_TIME_LIMIT)
    assert (image.asset_kind, image.time_limit, image.status_note) == (AssetKind.IMAGE, IMAGE_TIME_LIMIT, None)
    assert "not in Kie's current catalogue since" in (old.status_note or "")
    assert image.slugs() == ("z-image",)
    assert KieMarketParams.kind_of("veo-3-1") is AssetKind.VIDEO
    assert KieMarketParams.time_limit_of("veo-3-1") == VIDEO_TIME_LIMIT
    assert params_for("z-image") is image


def test_a_class_reads_its_own_slug_only() -> None:
    with pytest.raises(InvalidParams) as caught:
        params_for("z-image").read({"apiModel": "veo-3-1", "input": {"prompt": "x"}})
    assert list(caught.value.fields) == ["api_model"]


# The class a form is made from.


@pytest.mark.parametrize("slug", SLUGS)
def test_every_slug_has_a_class_for_its_form(slug: str) -> None:
    model, made = catalogue[slug], input_model(slug)
    assert issubclass(made, KieInput)
    assert made is input_model(slug) is params_for(slug).input_model()
    assert set(made.model_fields) == set(model.by_name)
    for name, info in made.model_fields.items():
        param = model.by_name[name]
        assert info.title
        assert isinstance(info.json_schema_extra, dict)
        hints = info.json_schema_extra
        assert not (param.required and hints.get("advanced"))
        assert bool(hints.get("advanced")) or not param.deprecated
        assert hints.get("max_items") == param.max_items
        loose = name in NOT_FILLED.get(slug, {}) or name in ONLY_WITH.get(slug, {})
        if param.default is not None and not param.deprecated and not loose:
            assert info.default == param.default
    untouched = {name: info.default for name, info in made.model_fields.items() if not info.is_required()}
    assert set(check(model, example(model) | {k: v for k, v in untouched.items() if v is not None})) <= {"shots"}


def test_hints_for_a_form() -> None:
    fields = input_model("bytedance/seedance-2").model_fields
    hints = {name: info.json_schema_extra for name, info in fields.items()}
    assert hints["prompt"] == {"control": "textarea"}
    assert hints["first_frame_url"] == {"control": "image"}
    assert hints["reference_image_urls"] == {"control": "images", "max_items": 9}
    assert hints["reference_video_urls"] == {"control": "videos", "max_items": 3}
    assert hints["nsfw_checker"] == {"advanced": True}
    assert fields["first_frame_url"].title == "First frame"
    assert fields["reference_image_urls"].title == "Reference images"
    assert fields["duration"].annotation.__args__[:3] == (-1, 4, 5)  # type: ignore[union-attr] # a Literal


@pytest.mark.parametrize(
    ("slug", "name", "media"),
    [
        ("nano-banana-2", "image_input", "image"),
        ("flux1-kontext", "input_image", "image"),
        ("happyhorse/video-edit", "video_url", "video"),
        ("wan/2-7-r2v", "reference_voice", "audio"),
        ("sora-2-characters", "character_file_url", "video"),
        ("bytedance/seedream", "image_size", None),
        ("wan/3-0-video", "reference_link_urls", None),
        ("pixverse-v6/reference-to-video", "image_references", None),
    ],
)
def test_fields_that_take_files_are_known(slug: str, name: str, media: str | None) -> None:
    assert media_of(catalogue[slug].by_name[name]) == media


def test_a_refreshed_catalogue_changes_what_is_checked() -> None:
    before = params_for("z-image")
    try:
        catalogue.use({"z-image": {"category": "text-to-video", "params": {"text": {"type": "string"}}}})
        assert market("z-image", text="x").input == {"text": "x"}
        assert list(input_model("z-image").model_fields) == ["text"]
        assert params_for("z-image") is before
        assert before.asset_kind is AssetKind.VIDEO
    finally:
        catalogue.use(None)
    assert params_for("z-image").asset_kind is AssetKind.IMAGE
    assert "prompt" in input_model("z-image").model_fields


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=12,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(slug=st.sampled_from(SLUGS), data=st.data())
def test_any_input_is_refused_by_name_or_survives_json(slug: str, data: st.DataObject) -> None:
    model = catalogue[slug]
    names = st.sampled_from([*model.by_name, "other"])
    fields = example(model) | data.draw(st.dictionaries(names, JSON_VALUES, max_size=4))
    wrong = check(model, fields)
    assert set(wrong) <= {*model.by_name, *fields}
    try:
        params = market(slug, **fields)
    except InvalidParams:
        return
    assert wrong == {}
    again = read_params(json.loads(json.dumps(params.to_json())))
    assert again == params
    assert again.identity() == params.identity()
    assert normalise(model, params.input) == (params.input, {})
    assert eval(params.as_python(), {"market": market}) == params  # noqa: S307 - our own text


@settings(derandomize=True, deadline=None, max_examples=200)
@given(entry=st.dictionaries(st.text(max_size=9), JSON_VALUES | st.fixed_dictionaries({"type": st.text(max_size=9)})))
def test_a_form_class_is_made_of_whatever_a_live_schema_says(entry: dict[str, Any]) -> None:
    odd = {"model_x": {}, "_a": {}, "copy": {}, "a-b": {}, "a": {"min": 3, "max": 1, "type": "string"}}
    model = Catalogue.from_json({"x": {"params": {**entry, **odd}}})["x"]
    made = make_input_model(model)
    assert set(made.model_fields) <= set(model.by_name)
    assert not {"model_x", "_a", "copy", "a-b"} & set(made.model_fields)
