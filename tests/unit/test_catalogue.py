"""The market catalogue: what is in it, finding things in it, and live answers laid over it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import Catalogue, catalogue, shipped
from kiegen_nb.kie.entries import Model, Param
from kiegen_nb.kie.live import merge, parse_models, parse_schema
from kiegen_nb.kie.validation import check, example
from kiegen_nb.tasks import AssetKind

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


def test_every_market_slug_of_the_file_is_there_and_no_dedicated_endpoint() -> None:
    slugs = list(catalogue)
    assert len(slugs) == len(catalogue) == 196
    assert not [slug for slug in slugs if ":" in slug or slug.startswith("_")]
    assert "z-image" in catalogue
    assert "mj:generate" not in catalogue


def test_an_entry_says_what_the_file_says() -> None:
    model = catalogue["bytedance/seedance-2"]
    assert (model.category, model.family, model.status, model.complete) == (
        "text-to-video|image-to-video",
        "bytedance",
        "documented",
        True,
    )
    prompt, duration = model.by_name["prompt"], model.by_name["duration"]
    assert (prompt.type, prompt.required, prompt.min_length, prompt.max_length) == ("string", False, 3, 20000)
    assert (duration.min, duration.max, duration.default, duration.also) == (4, 15, 5, (-1.0,))
    assert model.by_name["reference_image_urls"].item_type == "string"
    assert [part.name for part in catalogue["kling-3.0/video"].by_name["multi_prompt"].items] == ["prompt", "duration"]


def test_entries_are_frozen() -> None:
    with pytest.raises(AttributeError):
        catalogue["z-image"].slug = "other"  # type: ignore[misc] # the test is that it cannot be done


def test_an_unknown_slug_is_refused_with_the_closest_ones() -> None:
    with pytest.raises(InvalidParams, match=r"Did you mean kling/v2-1-standard"):
        catalogue["kling/v2-1-standart"]
    assert catalogue.get("kling/v2-1-standart") is None


@pytest.mark.parametrize(
    ("slug", "kind"),
    [
        ("z-image", AssetKind.IMAGE),
        ("topaz/image-upscale", AssetKind.IMAGE),
        ("recraft/remove-background", AssetKind.IMAGE),
        ("seedream/5-pro-layer-decomposition", AssetKind.IMAGE),
        ("bytedance/seedance-2", AssetKind.VIDEO),
        ("kling/ai-avatar-pro", AssetKind.VIDEO),
        ("kling-3.0/motion-control", AssetKind.VIDEO),
        ("wan/2-7-r2v", AssetKind.VIDEO),
        ("veo/extend", AssetKind.VIDEO),
        ("elevenlabs/text-to-dialogue-v3", AssetKind.AUDIO),
        ("elevenlabs/audio-isolation", AssetKind.AUDIO),
        ("elevenlabs/sound-effect-v2", AssetKind.AUDIO),
        ("elevenlabs/speech-to-text", AssetKind.DATA),
        ("ai-music-api/generate", AssetKind.AUDIO),
        ("ai-music-api/create-music-video", AssetKind.VIDEO),
        ("ai-music-api/generate-lyrics", AssetKind.DATA),
        ("sora-2-characters", AssetKind.DATA),
        ("omnihuman-1-5/subject-detection", AssetKind.DATA),
    ],
)
def test_the_category_says_what_a_model_makes(slug: str, kind: AssetKind) -> None:
    assert catalogue[slug].asset_kind is kind


def test_every_model_makes_something_known() -> None:
    assert {model.asset_kind for model in catalogue.models()} == set(AssetKind) - {AssetKind.FILE, AssetKind.TEXT}


def test_what_is_gone_says_since_when() -> None:
    gone = [model for model in catalogue.models() if model.status == "removed"]
    assert len(gone) == 8
    for model in gone:
        assert "not in Kie's current catalogue since 2026-09-24 at the latest" in model.status_note
    assert catalogue["z-image"].status_note == ""
    assert "not in Kie's current documentation" in catalogue["veed/fabric-1"].status_note


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("z-image", "z-image"),
        ("imagen", "google/imagen4"),
        ("seedream 4.5", "seedream/4.5-edit"),
        ("imgen4 fst", "google/imagen4-fast"),
        ("nano banana", "nano-banana-2"),
        ("video upscale", "topaz/video-upscale"),
        ("VEO extend", "veo/extend"),
        ("lip-sync omnihuman", "omnihuman-1-5"),
    ],
)
def test_search_finds_the_best_fit_first(query: str, best: str) -> None:
    assert catalogue.search(query)[0].slug == best


def test_a_slip_of_the_pen_finds_the_same() -> None:
    assert catalogue.search("klng") == catalogue.search("kling") != []


def test_search_within_a_category_or_a_kind_of_result() -> None:
    kling = catalogue.search("kling", category="image-to-video")
    assert kling
    assert {category for model in kling for category in [model.category] if "image-to-video" not in category} == set()
    assert {model.asset_kind for model in catalogue.search(category="audio")} == {AssetKind.AUDIO}


def test_search_for_nothing_finds_everything_and_for_nonsense_nothing() -> None:
    assert len(catalogue.search()) == 196
    assert catalogue.search("qqqqqqqq") == []
    assert catalogue.search("???") == []


def test_categories_are_counted() -> None:
    counts = catalogue.categories()
    assert counts["music"] == 23
    assert counts["text-to-image"] == len(catalogue.search(category="text-to-image")) == 34


def test_tables_show_everything_as_text() -> None:
    evil = "<script>alert(1)</script>"
    bad = Catalogue({evil: {"category": evil, "credits": evil, "notes": [evil], "params": {evil: {"type": evil}}}})
    for shown in (bad._repr_html_(), bad[evil]._repr_html_(), bad.search("script")._repr_html_()):
        assert "<script>" not in shown
        assert "&lt;script&gt;" in shown
    assert "z-image" in catalogue._repr_html_()
    assert "z-image" in repr(catalogue)
    assert "aspect_ratio*" in catalogue["z-image"]._repr_html_()
    assert repr(catalogue.search("qqqqqqqq")) == "no models"


# Live answers.

LIVE_MODELS = {
    "code": 200,
    "data": {
        "total": 3,
        "models": [
            {"model": "z-image", "taskType": ["Text to Image"], "pricingDesc": "1 credit", "description": None},
            {"model": "kling-4.0/video", "taskType": ["text-to-video", "image-to-video"], "pricingDesc": "soon"},
            {"title": "nameless"},
            "no model at all",
        ],
    },
}
LIVE_SCHEMA = {
    "code": 200,
    "data": {
        "model": "kling-4.0/video",
        "openapi": {
            "paths": {
                "/api/v1/jobs/createTask": {
                    "post": {
                        "requestBody": {
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Create"}}},
                        },
                    },
                },
            },
            "components": {
                "schemas": {
                    "Create": {
                        "properties": {"model": {"type": "string"}, "input": {"$ref": "#/components/schemas/In"}}
                    },
                    "In": {
                        "required": ["prompt"],
                        "properties": {
                            "prompt": {"type": "string", "maxLength": 2500, "description": "What\n to show"},
                            "duration": {"type": "integer", "minimum": 3, "maximum": 20, "default": 5},
                            "image_urls ": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
                            "mode": {"type": ["string", "null"], "enum": ["std", "pro"]},
                            "shots": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["text"],
                                    "properties": {"text": {"type": "string"}},
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_live_answers_are_laid_over_the_shipped_file() -> None:
    data = merge(parse_models(LIVE_MODELS), {"kling-4.0/video": parse_schema(LIVE_SCHEMA)}, date="2026-11-24")
    live = Catalogue.from_json(json.loads(json.dumps(data)))
    new = live["kling-4.0/video"]
    assert (new.category, new.asset_kind, new.credits_text, new.complete) == (
        "text-to-video|image-to-video",
        AssetKind.VIDEO,
        "soon",
        True,
    )
    assert [param.name for param in new.params] == ["prompt", "duration", "image_urls", "mode", "shots"]
    assert new.by_name["prompt"].description == "What to show"
    assert check(new, {"prompt": "x", "duration": 21}) == {"duration": "must be at most 20, not 21."}
    assert check(new, example(new)) == {}
    assert live["z-image"].credits_text == "1 credit"
    assert live["z-image"].params == catalogue["z-image"].params


def test_what_the_live_list_no_longer_has_is_removed_since_then() -> None:
    live = Catalogue.from_json(merge(parse_models(LIVE_MODELS), {}, date="2026-11-24"))
    assert live["qwen/image-edit"].status == "removed"
    assert "since 2026-11-24" in live["qwen/image-edit"].status_note
    assert live["z-image"].status == "documented"
    assert live["sora-2-characters"].status_note == catalogue["sora-2-characters"].status_note


def test_a_new_slug_without_a_schema_accepts_any_field() -> None:
    live = Catalogue.from_json(merge(parse_models(LIVE_MODELS), {"kling-4.0/video": parse_schema({"openapi": None})}))
    assert not live["kling-4.0/video"].complete
    assert check(live["kling-4.0/video"], {"whatever": 1}) == {}


def test_no_live_answer_leaves_the_shipped_catalogue() -> None:
    assert parse_models({"code": 401, "msg": "no", "data": None}) == {}
    assert parse_schema({"code": 500, "data": None}) == {}
    assert Catalogue.from_json(merge({}, {})).models() == catalogue.models()
    assert Catalogue.from_json(None).models() == catalogue.models()


def test_a_catalogue_can_be_told_to_use_another_one_and_back() -> None:
    own = Catalogue()
    own.use(merge(parse_models(LIVE_MODELS), {}))
    assert "kling-4.0/video" in own
    own.use(None)
    assert list(own) == list(catalogue)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(answer=ANYTHING, schema=ANYTHING)
def test_whatever_the_service_answers_nothing_raises(answer: Any, schema: Any) -> None:
    models = parse_models({"data": {"models": [{"model": "x", "taskType": answer, "pricingDesc": schema}, answer]}})
    inner = {"post": {"requestBody": {"content": {"a": {"schema": {"properties": {"input": schema}}}}}}}
    for document in (answer, {"paths": answer}, {"paths": {"/a": inner}}, {"paths": {"/a": {"post": schema}}}):
        parsed = parse_schema({"data": {"openapi": document}})
        data = merge(models | parse_models(answer), {"x": parsed}, base={})
        live = Catalogue.from_json(json.loads(json.dumps(data)))
        for model in live.models():
            assert isinstance(check(model, example(model)), dict)
            assert model._repr_html_()


@settings(derandomize=True, deadline=None, max_examples=150)
@given(entry=ANYTHING, field=ANYTHING)
def test_whatever_a_stored_catalogue_holds_it_can_be_read(entry: Any, field: Any) -> None:
    for data in (entry, {"params": entry}, {"params": {"a": field}, "one_of": entry, "notes": entry}):
        model = Model.from_json("x", data)
        assert isinstance(check(model, {"a": 1}), dict)
        assert model._repr_html_()
    assert isinstance(Param.from_json("a", field), Param)
    assert len(Catalogue.from_json({"x": entry})) == 1


def test_the_shipped_file_is_read_anew_each_time() -> None:
    first = shipped()
    first.clear()
    assert shipped()
