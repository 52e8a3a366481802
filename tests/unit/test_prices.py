"""Prices: every number stands in the catalogue's text, and what is not clear there is unknown, never 0."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import catalogue, shipped
from kiegen_nb.kie.models.imagen4 import Imagen4Slug, imagen4
from kiegen_nb.kie.models.market import market
from kiegen_nb.kie.models.midjourney import KieMidjourneyParams
from kiegen_nb.kie.models.sora2 import KieSora2Params
from kiegen_nb.kie.models.veo3 import KieVeo3Params
from kiegen_nb.kie.models.veo3_steps import KieVeo3FollowUp
from kiegen_nb.kie.prices import Price, Rate, price, price_of, price_table, rate_of
from kiegen_nb.kie.validation import example

TABLE = price_table()
LISTED = {slug: entry for slug, entry in TABLE.items() if "historical" not in entry}
NUMBER = re.compile(r"(?<![\d.])\d+(?:\.\d+)?")
URL = "https://example.com/kite.png"
# kie.ai/sora-2 as of 2025-11-26: the models are gone, and their prices with them.
HISTORICAL = {
    ("sora-2-text-to-video", "", "10"): 30,
    ("sora-2-image-to-video", "", "10"): 30,
    ("sora-2-pro-text-to-video", "standard", "10"): 150,
    ("sora-2-pro-text-to-video", "standard", "15"): 270,
    ("sora-2-pro-text-to-video", "high", "10"): 330,
    ("sora-2-pro-text-to-video", "high", "15"): 630,
    ("sora-2-pro-image-to-video", "standard", "10"): 150,
    ("sora-2-pro-image-to-video", "standard", "15"): 270,
    ("sora-2-pro-image-to-video", "high", "10"): 330,
    ("sora-2-pro-image-to-video", "high", "15"): 630,
    ("sora-watermark-remover", "", ""): 10,
}
# Their texts say nothing, name a third party, or leave open what decides the price.
UNKNOWN = {
    "bytedance/seedream",
    "bytedance/seedream-v4-edit",
    "bytedance/seedream-v4-text-to-image",
    "grok-imagine-image-2-0/segment-edit",
    "grok-imagine-image-2-0/segment-map",
    "grok-imagine/extend",
    "grok-imagine/upscale",
    "kling-3.0-omni/image-to-video",
    "kling-3.0-omni/reference-to-video",
    "kling-3.0-omni/text-to-video",
    "kling-3.0-omni/transformation",
    "pixverse-v6/transition",
}


def numbers(entry: dict[str, Any]) -> set[float]:
    rules = [rule[name] for rule in entry["rules"] for name in ("credits", "low", "high") if name in rule]
    return {*rules, *([entry["extra"]["credits"]] if "extra" in entry else [])}


@pytest.mark.parametrize("slug", LISTED)
def test_every_number_stands_in_the_text_it_was_read_from(slug: str) -> None:
    entry = TABLE[slug]
    assert entry["text"] == catalogue[slug].credits_text
    source = TABLE[entry["same_as"]]["text"] if "same_as" in entry else entry["text"]
    if "same_as" in entry:
        assert entry["text"].startswith("as ")
        assert {entry["same_as"], catalogue[entry["same_as"]].category} & set(entry["text"].split())
    assert numbers(entry) <= {float(found) for found in NUMBER.findall(source)}
    rules = [rule.get("credits", rule.get("low")) for rule in entry["rules"]]
    tops = [rule.get("credits", rule.get("high")) for rule in entry["rules"]]
    assert (entry["low"], entry["high"]) == (min(rules), max(tops))
    assert entry["low"] > 0


@pytest.mark.parametrize("slug", LISTED)
def test_conditions_name_fields_and_values_there_are(slug: str) -> None:
    model, entry = catalogue[slug], TABLE[slug]
    for rule in entry["rules"]:
        for name, wanted in rule.get("when", {}).items():
            param = model.by_name[name]
            values = [value for value in (wanted if isinstance(wanted, list) else [wanted]) if value not in (None, "*")]
            assert not param.enum or set(values) <= set(param.enum), name
    for name in (entry.get("seconds"), entry.get("characters", "").partition(".")[0] or None):
        assert name is None or name in model.by_name
    assert set(entry.get("extra", {}).get("fields", ())) <= set(model.by_name)


@pytest.mark.parametrize("slug", LISTED)
def test_what_an_input_may_leave_open_has_a_price_whatever_it_turns_out_to_be(slug: str) -> None:
    # Otherwise the high end of a price would not be the high end.
    model, entry = catalogue[slug], TABLE[slug]
    named: dict[str, list[Any]] = {}
    for rule in entry["rules"]:
        for name, wanted in rule.get("when", {}).items():
            named.setdefault(name, []).extend(wanted if isinstance(wanted, list) else [wanted])
    for name, values in named.items():
        param = model.by_name[name]
        if param.enum and param.default is None and not param.required:
            assert set(param.enum) <= set(values), name


@pytest.mark.parametrize("slug", TABLE)
def test_a_larger_choice_never_costs_less(slug: str) -> None:
    # The catalogue lists choices from small to large (tiers named "model" apart); it tells swapped numbers.
    by_name = catalogue[slug].by_name
    rules = [
        (dict(rule["when"]), rule["credits"]) for rule in TABLE[slug]["rules"] if "credits" in rule and "when" in rule
    ]
    for (first, low), (second, high) in itertools.permutations(rules, 2):
        differing = [name for name in first if first[name] != second.get(name)]
        if len(differing) != 1 or first.keys() != second.keys() or differing == ["model"]:
            continue
        choices = [False, True, *by_name[differing[0]].enum]
        one, other = (str(rule[differing[0]]) for rule in (first, second))
        order = [str(choice) for choice in choices]
        if one in order and other in order and order.index(one) < order.index(other):
            assert low <= high, (first, second)


def test_every_text_with_a_clear_number_is_in_the_table_and_no_other() -> None:
    with_text = {slug for slug in catalogue if catalogue[slug].credits_text}
    assert with_text - set(TABLE) == UNKNOWN
    assert set(LISTED) <= with_text


def test_the_historical_prices_are_the_ones_of_the_contract() -> None:
    found = {
        (slug, rule.get("when", {}).get("size", ""), rule.get("when", {}).get("n_frames", "")): rule["credits"]
        for slug, entry in TABLE.items()
        if "historical" in entry
        for rule in entry["rules"]
    }
    assert found == HISTORICAL
    assert {TABLE[slug]["text"] for slug, _, _ in HISTORICAL} == {None}


@pytest.mark.parametrize("slug", sorted(set(catalogue) - set(TABLE)))
def test_unknown_is_none(slug: str) -> None:
    assert price(slug) is None
    assert price(slug, example(catalogue[slug])) is None
    assert rate_of(slug) is None


@pytest.mark.parametrize("slug", TABLE)
def test_no_price_is_nothing(slug: str) -> None:
    for found in (price(slug), price(slug, example(catalogue[slug]))):
        assert found is None or 0 < found.low <= found.high


def test_everything_asked_for_lies_within_the_price_of_the_slug() -> None:
    for slug in TABLE:
        span, one = price(slug), price(slug, example(catalogue[slug]))
        if span is not None and one is not None:
            assert span.low <= one.low <= one.high <= span.high, slug


@pytest.mark.parametrize(
    ("slug", "fields", "low", "high"),
    [
        ("z-image", {}, 0.8, 0.8),
        ("google/imagen4-fast", {}, 4, 4),
        ("google/imagen4", {}, 8, 8),
        ("google/imagen4-ultra", {}, 12, 12),
        ("nano-banana-pro", {}, 18, 18),
        ("nano-banana-pro", {"resolution": "4K"}, 24, 24),
        ("gpt-image-2-text-to-image", {}, 6, 16),
        ("gpt-image-2-text-to-image", {"resolution": "2K"}, 10, 10),
        ("bytedance/seedance-1.5-pro", {"duration": 4}, 14, 14),
        ("bytedance/seedance-1.5-pro", {"duration": 8, "generate_audio": True, "resolution": "1080p"}, 120, 120),
        ("bytedance/seedance-2", {"duration": 10, "resolution": "4k"}, 2080, 2080),
        ("bytedance/seedance-2", {"duration": -1}, 164, 615),
        ("grok-imagine/text-to-video", {}, 14.4, 72),
        ("grok-imagine/text-to-video", {"duration": "10", "resolution": "1080p"}, 80, 80),
        ("grok-imagine/text-to-image", {"enable_pro": True}, 5, 5),
        ("grok-imagine/text-to-image", {}, 4, 4),
        ("ideogram/v3-remix", {"num_images": "3", "rendering_speed": "QUALITY"}, 10, 30),
        ("kling-2.6/text-to-video", {"duration": "10", "sound": True}, 220, 220),
        ("kling-3.0/video", {}, 90, 90),
        ("kling-3.0/video", {"mode": "std", "sound": True, "duration": 3}, 60, 60),
        ("kling-3.0/video", {"mode": "4K", "duration": "15"}, 1005, 1005),
        ("minimax-h3/image-to-video", {"first_frame_url": URL, "last_frame_url": URL, "duration": 4}, 60, 60),
        ("seedream/5-pro-image-to-image", {"image_urls": [URL] * 4, "quality": "high"}, 15.5, 15.5),
        ("qwen3/image-to-image", {"image_urls": [URL, URL]}, 5.8, 5.8),
        ("wan/2-7-image", {"n": 2}, 9.6, 9.6),
        ("wan/2-7-image", {"enable_sequential": True}, 4.8, 57.6),
        ("elevenlabs/text-to-dialogue-v3", {"dialogue": [{"text": "x" * 900}, {"text": "y" * 600}]}, 21, 28),
        ("gemini-omni-video", {"duration": "6", "resolution": "4k"}, 168, 168),
        ("gemini-omni-video", {"duration": "6", "video_list": [{"url": URL, "start": 0, "ends": 3}]}, 168, 168),
        ("google/gemini-omni-flash-1-1", {"duration": "10", "resolution": "360p"}, 126, 126),
        ("pixverse-v6/extend", {"quality": "1080p", "generate_audio_switch": True, "duration": 2}, 36.8, 36.8),
        ("wan/2-6-image-to-video", {"duration": "15"}, 315, 315),
        ("wan/3-0-video-prime", {"resolution": "480P", "duration": 3}, 36.6, 36.6),
        ("topaz/image-upscale", {}, 10, 20),
        ("runway", {"duration": "5", "quality": "1080p"}, 30, 30),
        ("veo/extend", {}, 30, 250),
        ("veo/get-1080p-video", {}, 5, 5),
        ("veo/get-4k-video", {}, 120, 120),
    ],
)
def test_the_price_of_an_input(slug: str, fields: dict[str, Any], low: float, high: float) -> None:
    assert price(slug, fields) == Price(low, high)


@pytest.mark.parametrize(
    ("slug", "fields"),
    [
        ("bytedance/seedance-2", {"reference_video_urls": [URL]}),  # how much of the video is billed is not said
        ("grok-imagine-video-1-5-preview", {"resolution": "1080p"}),  # no number for it
        ("hailuo/02-image-to-video-standard", {"resolution": "768P", "duration": "6"}),  # a dash in the list
        ("kling-3.0/video", {"mode": "4K", "sound": True}),
        ("kling-3.0/video", {"multi_shots": True, "multi_prompt": [{"prompt": "x", "duration": 2}]}),
        ("pixverse-v6/image-to-video", {"template_id": 3}),  # the template decides the length
        ("wan/2-7-r2v", {"reference_video": [URL]}),
        ("kling/ai-avatar-pro", {"audio_url": URL}),  # the length of a file
        ("qwen/image-edit", {"image_url": URL}),
        ("sora-2-text-to-video", {"n_frames": "15"}),
        ("wan/2-7-image", {"n": -2}),
        ("happyhorse/text-to-video", {"duration": 0}),
        ("happyhorse/text-to-video", {"duration": "soon"}),
        ("z-imag", {}),
    ],
)
def test_what_the_text_does_not_say_is_unknown(slug: str, fields: dict[str, Any]) -> None:
    assert price(slug, fields) is None


def test_a_rate_is_known_where_only_the_length_is_not() -> None:
    assert rate_of("kling/ai-avatar-pro", {}) == Rate(16, 16, "input second")
    assert str(rate_of("topaz/video-upscale", {"upscale_factor": "4"})) == "14 credits per input second"
    assert str(rate_of("recraft/remove-background")) == "1 credit per task"
    assert str(rate_of("kling-3.0/motion-control")) == "20 to 27 credits per input second"


def test_a_price_reads_in_credits_and_dollars() -> None:
    assert str(Price(4, 4)) == "4 credits (0.02 USD)"
    assert str(Price(1, 1)) == "1 credit (0.005 USD)"
    assert str(Price(4, 16)) == "4 to 16 credits (0.02 to 0.08 USD)"
    assert Price(4, 16).usd == (0.02, 0.08)


def test_the_catalogue_tells_prices_too() -> None:
    assert catalogue.price("z-image") == Price(0.8, 0.8)
    assert catalogue.price("kling/v2-1-pro") == Price(50, 100)
    assert catalogue.price("kling/v2-1-pro", duration=10) == Price(100, 100)
    with pytest.raises(InvalidParams):
        catalogue.price("z-imag")


# Families.

STANDARD: Imagen4Slug = "google/imagen4"


def test_imagen_may_deliver_fewer_pictures_than_were_asked_for() -> None:
    assert price_of(imagen4("x")) == Price(4, 4)
    assert price_of(imagen4("x", api_model=STANDARD)) == Price(8, 8)
    assert price_of(imagen4("x", api_model="google/imagen4-ultra")) == Price(12, 12)
    assert price_of(imagen4("x", num_images=4)) == Price(4, 16)


@pytest.mark.parametrize(
    ("tier", "resolution", "images", "credits_"),
    [
        ("veo3_lite", "720p", None, 30),
        ("veo3_lite", "1080p", None, 35),
        ("veo3_lite", "4k", None, 150),
        ("veo3_fast", "720p", None, 60),
        ("veo3_fast", "1080p", None, 65),
        ("veo3_fast", "4k", None, 180),
        ("veo3", "720p", None, 250),
        ("veo3", "1080p", None, 255),
        ("veo3", "4k", None, 380),
        ("veo3", "4k", [URL], 370),
    ],
)
@pytest.mark.parametrize("via", ["jobs", "veo"])
def test_the_tiers_of_veo(tier: str, resolution: str, images: list[str] | None, credits_: int, via: str) -> None:
    params = KieVeo3Params.build(prompt="x", api_model=tier, resolution=resolution, image_urls=images, via=via)
    assert price_of(params) == Price(credits_, credits_)


@pytest.mark.parametrize(
    ("fields", "credits_"),
    [
        ({"api_model": "veo/extend", "prompt": "on", "tier": "lite"}, 30),
        ({"api_model": "veo/extend", "prompt": "on", "tier": "fast"}, 60),
        ({"api_model": "veo/extend", "prompt": "on", "tier": "quality"}, 250),
        ({"api_model": "veo/get-1080p-video"}, 5),
        ({"api_model": "veo/get-4k-video"}, 120),
    ],
)
def test_the_steps_after_a_veo_video(fields: dict[str, Any], credits_: int) -> None:
    assert price_of(KieVeo3FollowUp.build(task_id="t", **fields)) == Price(credits_, credits_)


def test_sora_costs_what_it_did_and_midjourney_nobody_knows() -> None:
    assert price_of(KieSora2Params.build(api_model="sora-2-text-to-video", prompt="x")) == Price(30, 30)
    assert price_of(KieSora2Params.build(api_model="sora-2-pro-text-to-video", prompt="x")) == Price(330, 330)
    assert price_of(KieSora2Params.build(api_model="sora-2-text-to-video", prompt="x", n_frames="15")) is None
    assert price_of(KieMidjourneyParams.build(prompt="x")) is None


def test_market_requests() -> None:
    assert price_of(market("z-image", prompt="x")) == Price(0.8, 0.8)
    assert price_of(market("kling-3.0/video", prompt="x", duration=10, sound=True)) == Price(270, 270)
    assert price_of(market("kling-9/video", validate=False, prompt="x")) is None


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.text(max_size=3))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(slug=st.sampled_from(sorted(TABLE)), data=st.data())
def test_a_half_written_form_has_a_price_or_none(slug: str, data: st.DataObject) -> None:
    fields = data.draw(st.dictionaries(st.sampled_from(list(catalogue[slug].by_name)), ODD, max_size=4))
    found = price(slug, fields)
    assert found is None or found.low <= found.high


def test_the_dedicated_endpoints_cost_what_their_slugs_do() -> None:
    texts = {key: entry.get("credits") for key, entry in shipped().items() if ":" in key}
    assert (texts["veo:get-1080p-video"], texts["veo:get-4k-video"]) == ("5", "120")
    assert (texts["veo:generate"], texts["veo:extend"]) == ("as veo-3-1", "as veo/extend")
