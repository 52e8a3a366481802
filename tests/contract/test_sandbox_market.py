"""Every market model in the sandbox: its smallest valid request makes the right kind of result, a wrong one none."""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import subprocess
import sys
import threading
import time
import wave
from typing import TYPE_CHECKING, Any

import av
import httpx
import pytest
from PIL import Image

from kiegen_nb.sandbox import checks, plans, prices, records
from kiegen_nb.sandbox.films import Shot, film
from tests.conftest import sampled

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOGUE = checks.load_catalogue()
URL = "http://127.0.0.1:9/a.png"
DEADLINE = 30.0
SAMPLE = 5  # every so many-th model is made a result of in the short run
# What a model needs beyond its required fields, by the notes of its page.
MORE: dict[str, dict[str, Any]] = {
    "4o-image-api": {"prompt": "a red kite"},
    "bytedance/seedance-2": {"prompt": "a red kite"},
    "bytedance/seedance-2-5": {"first_frame_url": URL},
    "bytedance/seedance-2-fast": {"reference_image_urls": [URL]},
    "bytedance/seedance-2-mini": {"prompt": "a red kite"},
    "grok-imagine-image-2-0/segment-map": {"image_url": URL},
    "kling-3.0-omni/reference-to-video": {"image_urls": [URL]},
    "minimax-h3/image-to-video": {"last_frame_url": URL},
    "pixverse-v6/extend": {"video_url": URL},
    "runway": {"aspect_ratio": "9:16"},
    "sora-2-characters-pro": {"timestamps": "1,3.5"},
    "wan/3-0-video": {"prompt": "a red kite"},
    "wan/3-0-video-prime": {"reference_link_urls": ["http://127.0.0.1:9/page"]},
}
PICTURE_CATEGORIES = ("to-image", "image-upscale", "background-removal")
SOUND_CATEGORIES = ("text-to-speech", "sound-effects", "audio-isolation")
TRACKS = ("generate", "extend", "sounds", "upload-and-cover-audio", "upload-and-extend-audio")
MUSIC_DATA = "boost check create-voice generate-lyrics generate-midi generate-persona regenerate timeStamped validation"


def sample(rule: dict[str, Any]) -> Any:
    if "default" in rule:
        return rule["default"]
    if "enum" in rule:
        return rule["enum"][0]
    of_type = rule["type"]
    if of_type == "string":
        return str(rule["min"]) if "min" in rule else "a red kite"
    if of_type == "boolean":
        return False
    if of_type in ("integer", "number"):
        return rule.get("min", 1)
    needed = {name: sample(part) for name, part in rule.get("item_properties", {}).items() if part["required"]}
    item = {"string": URL, "integer": 1, "object": needed, "array": [[0, 0, 1, 1]]}[of_type[6:-1]]
    return [item] * max(rule.get("minItems", 1), 1)


def smallest(slug: str) -> dict[str, Any]:
    entry = CATALOGUE[slug]
    return {name: sample(rule) for name, rule in entry["params"].items() if rule["required"]} | MORE.get(slug, {})


def expected_kind(slug: str) -> str:
    category = CATALOGUE[slug]["category"]
    if category == "music":
        name = slug.rpartition("/")[2]
        if name in TRACKS:
            return "tracks"
        if name.startswith(tuple(MUSIC_DATA.split())):
            return "data"
        return {"cover-generate": "image", "create-music-video": "video"}.get(name, "audio")
    if category in SOUND_CATEGORIES:
        return "audio"
    if category in ("speech-to-text", "character"):
        return "data"
    if category == "image-segmentation":
        return "image" if slug.endswith("layer-decomposition") else "data"
    return "image" if all(word.endswith(PICTURE_CATEGORIES) for word in category.split("|")) else "video"


def kind_of(data: bytes) -> str:
    if data.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff")) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "image"
    if data[4:8] == b"ftyp":
        return "video"
    return "audio" if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else "nothing known"


class Market:
    """One sandbox in a child process; each call may use an account of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--speed", "1000", "--no-limits"]
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=DEADLINE)

    def create(self, model: str, given: dict[str, Any], key: str = "k") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        body = {"model": model, "input": given}
        answer: dict[str, Any] = self.http.post("/api/v1/jobs/createTask", json=body, headers=headers).json()
        return answer

    def finished(self, model: str, given: dict[str, Any], key: str = "k") -> dict[str, Any]:
        answer = self.create(model, given, key)
        assert answer["code"] == 200, answer
        end, pause = time.monotonic() + DEADLINE, threading.Event()
        query = {"taskId": answer["data"]["taskId"]}
        while time.monotonic() < end:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            data = self.http.get("/api/v1/jobs/recordInfo", params=query, headers=headers).json()["data"]
            if data and data["state"] in ("success", "fail"):
                found: dict[str, Any] = data
                return found
            pause.wait(0.005)
        pytest.fail("the deadline passed")

    def result(self, model: str, **given: Any) -> dict[str, Any]:
        key = f"key of {model}"
        found: dict[str, Any] = json.loads(self.finished(model, smallest(model) | given, key)["resultJson"])
        return found

    def get(self, url: str) -> bytes:
        answer = self.http.get(url)
        assert answer.status_code == 200
        return answer.content

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.communicate(timeout=DEADLINE)


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    running = Market()
    yield running
    running.stop()


def video(data: bytes) -> tuple[int, int, float, int]:
    container: Any
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        count = sum(1 for _ in container.decode(stream))
        return stream.width, stream.height, float(container.duration) / 1e6, count


def test_there_are_196_models_and_two_stable_twins() -> None:
    assert len(CATALOGUE) == 198


@pytest.mark.parametrize("slug", sampled(sorted(CATALOGUE), SAMPLE))
def test_the_smallest_request_makes_the_right_kind_of_result(market: Market, slug: str) -> None:
    record = market.finished(slug, smallest(slug), key=slug)
    assert (record["state"], record["model"], record["successFlag"]) == ("success", slug, 1)
    result, kind = json.loads(record["resultJson"]), expected_kind(slug)
    if kind == "data":
        assert result["resultObject"]
        return
    if kind == "tracks":
        assert len(result["data"]) == 2
        assert kind_of(market.get(result["data"][0]["audio_url"])) == "audio"
        assert result["data"][0]["title"]
        return
    assert result["resultUrls"]
    assert kind_of(market.get(result["resultUrls"][0])) == kind


def wrong_values(rule: dict[str, Any]) -> Iterator[Any]:
    """One wrong value for each constraint a field declares."""
    of_type = rule["type"]
    if "enum" in rule:
        yield "no such choice" if of_type == "string" else -99
    if "maxLength" in rule:
        yield "x" * (rule["maxLength"] + 1)
    if rule.get("minLength", 0) > 1:
        yield "x" * (rule["minLength"] - 1)
    for limit, step in (("min", -2), ("max", 1)):
        if limit in rule:
            yield str(rule[limit] + step) if of_type == "string" else rule[limit] + step
    if "maxItems" in rule:
        yield sample(rule)[:1] * (rule["maxItems"] + 1)
    if rule.get("minItems"):
        yield sample(rule)[:1] * (rule["minItems"] - 1)
    for part, part_rule in rule.get("item_properties", {}).items():
        if part_rule.get("required"):
            yield [{key: value for key, value in sample(rule)[0].items() if key != part}]


def violations(slug: str) -> Iterator[tuple[str, Any]]:
    """Each field of a model with each wrong value."""
    entry = CATALOGUE[slug]
    for name, rule in entry["params"].items():
        if rule["required"] and "default" not in rule:
            yield name, None
        if entry.get("params_complete", True):
            yield from ((name, wrong) for wrong in wrong_values(rule))
            if rule["type"] == "boolean" or rule["type"].startswith("array"):
                yield name, "text"


@pytest.mark.parametrize("slug", sorted(CATALOGUE))
def test_each_declared_constraint_refuses_its_violation(slug: str) -> None:
    entry = CATALOGUE[slug]
    for name, wrong in violations(slug):
        with pytest.raises(checks.RefusedError) as refused:
            checks.check_input(entry, {**smallest(slug), name: wrong})
        assert refused.value.code in (500, 422), name
        assert name in refused.value.msg or refused.value.msg in (
            "This field is required",
            "The speakers parameter cannot be empty",
        )


@pytest.mark.parametrize(
    ("slug", "given", "code", "names"),
    [
        ("bytedance/seedance-2", {"prompt": None}, 422, "text prompt or image"),
        ("bytedance/seedance-2", {"first_frame_url": URL, "reference_image_urls": [URL]}, 500, "reference_image_urls"),
        ("bytedance/seedance-2", {"last_frame_url": URL}, 500, "first_frame_url"),
        ("bytedance/seedance-2", {"duration": 3}, 500, "duration"),
        ("wan/3-0-video", {"prompt": None}, 422, "prompt or media"),
        ("wan/3-0-video", {"reference_file_urls": [URL], "reference_link_urls": [URL]}, 500, "reference_link_urls"),
        ("google/gemini-3-1-flash-tts", {"speakers": None}, 422, "speakers parameter cannot be empty"),
        ("gemini-omni-video", {"image_urls": [URL] * 6, "character_ids": ["c"] * 2}, 500, "image_urls"),
        ("google/gemini-omni-flash-1-1", {"first_frame_url": URL, "image_urls": [URL]}, 500, "image_urls"),
        ("grok-imagine-image-2-0/segment-map", {"image_url": None}, 422, "required"),
        ("grok-imagine-image-2-0/segment-map", {"task_id": "x"}, 500, "image_url"),
        ("pixverse-v6/extend", {"taskId": "x"}, 500, "video_url"),
        ("hailuo/2-3-image-to-video-pro", {"duration": "10", "resolution": "1080P"}, 500, "duration"),
        ("runway", {"duration": 10, "quality": "1080p"}, 500, "quality"),
        ("runway", {"aspect_ratio": None}, 500, "aspect_ratio"),
        ("gpt-image-2-text-to-image", {"resolution": "2K"}, 500, "resolution"),
        ("gpt-image-2-text-to-image", {"resolution": "4K", "aspect_ratio": "1:1"}, 500, "aspect_ratio"),
        ("kling-3.0-omni/reference-to-video", {"image_urls": [URL] * 5, "video_urls": [URL]}, 500, "image_urls"),
        ("kling-3.0-omni/reference-to-video", {"video_urls": [URL], "audio": True}, 500, "audio"),
        ("kling-3.0/video", {"image_urls": [URL] * 3}, 500, "image_urls"),
        ("minimax-h3/image-to-video", {"last_frame_url": None}, 500, "first_frame_url"),
        ("veo-3-1", {"image_urls": [URL] * 3}, 500, "image_urls"),
        ("veo-3-1", {"image_urls": [URL], "generation_type": "TEXT_2_VIDEO"}, 500, "image_urls"),
        ("veo-3-1", {"generation_type": "REFERENCE_2_VIDEO"}, 500, "image_urls"),
        ("veo-3-1", {"image_urls": [URL], "generation_type": "REFERENCE_2_VIDEO", "model": "veo3"}, 500, "model"),
        ("veo-3-1", {"image_urls": [URL], "generation_type": "REFERENCE_2_VIDEO", "duration": 4}, 500, "duration"),
        ("sora-2-pro-storyboard", {"shots": [{"Scene": "a", "duration": 15}] * 2}, 500, "shots"),
        ("sora-2-pro-storyboard", {"shots": [{"scene": "a", "duration": 5}]}, 500, "shots.Scene"),
        ("sora-2-characters-pro", {"timestamps": "1,9"}, 500, "timestamps"),
        ("flux1-kontext", {"input_image": URL, "safety_tolerance": 3}, 500, "safety_tolerance"),
        ("qwen2-1/text-to-image", {"background": "transparent", "output_format": "jpeg"}, 500, "output_format"),
        ("wan/2-7-image", {"n": 5}, 500, "n"),
    ],
)
def test_rules_between_fields(market: Market, slug: str, given: dict[str, Any], code: int, names: str) -> None:
    answer = market.create(slug, smallest(slug) | given)
    assert (answer["code"], answer["data"]) == (code, None)
    assert names in answer["msg"]


def test_pages_that_disagree_are_both_served(market: Market) -> None:
    for slug, given in (
        ("bytedance/seedance-2", {"duration": -1}),
        ("grok-imagine/text-to-video", {"duration": "6"}),
        ("grok-imagine/image-to-video", {"duration": 6}),
        ("runway", {"duration": "10"}),
        ("kling-3.0/video", {"multi_prompt": []}),
        ("happyhorse/reference-to-video", {"reference_image": None, "image_urls": [URL]}),
        ("happyhorse/image-to-video", {"image_urls": None, "image_urls ": [URL]}),
    ):
        assert market.create(slug, smallest(slug) | given, key=slug)["code"] == 200, slug


def test_no_request_breaks_the_sandbox() -> None:
    chance = random.Random(5)  # noqa: S311 - nonsense, not a secret
    nonsense: list[Any] = [
        None,
        "",
        "x",
        "1,3",
        "1e5",
        7,
        -1,
        10**400,
        1.5,
        1e308,
        True,
        [],
        {},
        ["a"],
        [{}],
        [[]],
        [None],
        {"a": 1},
    ]
    for slug, entry in (CATALOGUE | checks.load_endpoints()).items():
        for _ in range(40):
            given = {
                name: sample(rule) if chance.random() < 0.7 else chance.choice(nonsense)
                for name, rule in entry["params"].items()
            }
            body = given if ":" in slug else {"model": slug, "input": given}
            with contextlib.suppress(checks.RefusedError):
                task = plans.plan("0" * 32, "me", body, entry, now=0.0, speed=1.0)
                (records.family_record if ":" in slug else records.record)(task, 1e9, "http://here")


# -- shapes, lengths and numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "given", "size", "seconds"),
    [
        ("kling-2.6/text-to-video", {"aspect_ratio": "9:16", "duration": "10"}, (180, 320), 10),
        ("sora-2-text-to-video", {"aspect_ratio": "portrait", "n_frames": "15"}, (180, 320), 15),
        ("bytedance/seedance-2-5", {"duration": 30, "aspect_ratio": "1:1"}, (320, 320), 30),
        ("wan/2-7-text-to-video", {"ratio": "4:3", "duration": 2}, (320, 240), 2),
        ("hailuo/02-text-to-video-pro", {}, (320, 180), 5),
        ("veo-3-1", {"duration": 4}, (320, 180), 4),
    ],
)
def test_a_film_has_the_shape_and_length_asked_for(
    market: Market, slug: str, given: dict[str, Any], size: tuple[int, int], seconds: float
) -> None:
    [url] = market.result(slug, **given)["resultUrls"]
    width, height, length, count = video(market.get(url))
    assert (width, height) == size
    assert length == pytest.approx(seconds, abs=0.1)
    assert count >= 8 * seconds


def test_a_film_moves_and_repeats_for_the_same_seed() -> None:
    shot = Shot("a red kite", "7", 0, (16, 9), 2.0)
    assert film(shot) == film(shot)
    container: Any
    with av.open(io.BytesIO(film(shot))) as container:
        pictures = [frame.to_image().tobytes() for frame in container.decode(video=0)]
    assert len(set(pictures)) == len(pictures) == 24


def test_without_pyav_films_are_refused_and_pictures_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "can_film", lambda: False)

    def make(slug: str) -> None:
        body = {"model": slug, "input": smallest(slug)}
        plans.plan("0" * 32, "me", body, CATALOGUE[slug], now=0.0, speed=1.0)

    with pytest.raises(checks.RefusedError, match=r"455.*kiegen_nb\[video\]"):
        make("sora-2-text-to-video")
    make("google/imagen4")


def test_sound_has_its_length(market: Market) -> None:
    [url] = market.result("elevenlabs/sound-effect-v2", duration_seconds=2.5, output_format="pcm_8000")["resultUrls"]
    with wave.open(io.BytesIO(market.get(url))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (8000, 20_000)


def test_several_pictures_where_a_model_makes_several(market: Market) -> None:
    counts: dict[str, tuple[dict[str, Any], int]] = {
        "grok-imagine/text-to-image": ({}, 6),
        "ideogram/v3-reframe": ({"num_images": "3"}, 3),
        "bytedance/seedream-v4-edit": ({"max_images": 4}, 4),
        "wan/2-7-image": ({"n": 2}, 2),
        "seedream/5-pro-layer-decomposition": ({}, 4),
        "ai-music-api/separate-vocals": ({}, 2),
    }
    for slug, (given, count) in counts.items():
        assert len(market.result(slug, **given)["resultUrls"]) == count, slug


def test_extras_of_films(market: Market) -> None:
    sora = market.result("sora-2-text-to-video", remove_watermark=True)
    clean, marked = (market.get(sora[name][0]) for name in ("resultUrls", "resultWaterMarkUrls"))
    assert kind_of(marked) == "video"
    assert clean != marked
    assert "resultWaterMarkUrls" not in market.result("sora-2-image-to-video")
    frames = market.result("bytedance/seedance-2", return_last_frame=True)
    first, last = (market.get(frames[name][0]) for name in ("firstFrameUrl", "lastFrameUrl"))
    assert kind_of(first) == "image"
    assert first != last
    assert video(market.get(market.result("bytedance/seedance-2-5", output_format="mov")["resultUrls"][0]))


def test_a_transparent_picture_is_transparent(market: Market) -> None:
    for slug, given in (("recraft/remove-background", {}), ("qwen2-1/text-to-image", {"background": "transparent"})):
        [url] = market.result(slug, **given)["resultUrls"]
        with Image.open(io.BytesIO(market.get(url))) as picture:
            assert picture.mode == "RGBA"
            assert picture.getchannel("A").getextrema() == (0, 255)


def test_data_results(market: Market) -> None:
    spoken = market.result("elevenlabs/speech-to-text", diarize=True)["resultObject"]
    assert spoken["words"][0]["speaker_id"] == "speaker_0"
    segments = market.result("grok-imagine-image-2-0/segment-map")["resultObject"]
    assert kind_of(market.get(segments["segment_map_url"])) == "image"
    character = market.result("sora-2-characters", character_prompt="a fox")
    assert character["character_id"] == character["resultObject"]["character_id"]
    assert character["resultObject"]["remark"] == "a fox"
    assert market.result("ai-music-api/generate-lyrics")["resultObject"]["data"][0]["text"]


def test_a_follow_up_keeps_the_picture_of_its_parent(market: Market) -> None:
    first = market.finished("grok-imagine/text-to-video", {"prompt": "a red kite", "aspect_ratio": "9:16"})
    again = market.finished("grok-imagine/upscale", {"task_id": first["taskId"], "resolution": "1080p"})
    [url] = json.loads(again["resultJson"])["resultUrls"]
    width, height, *_ = video(market.get(url))
    assert (width, height) == (270, 480)


# -- prices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "given", "credits_"),
    [
        ("bytedance/seedance-2", {"resolution": "480p", "duration": 10}, 190),
        ("bytedance/seedance-2", {"reference_video_urls": [URL]}, 125),
        ("kling-2.6/text-to-video", {"duration": "10", "sound": True}, 220),
        ("kling-3.0/video", {"mode": "4K", "duration": "3"}, 201),
        ("veo-3-1", {"model": "veo3", "resolution": "4k", "image_urls": [URL]}, 370),
        ("veo-3-1", {"model": "veo3_lite", "resolution": "1080p"}, 35),
        ("google/gemini-omni-flash-1-1", {"duration": "8", "resolution": "4k"}, 189),
        ("nano-banana-2", {"resolution": "4K"}, 18),
        ("ideogram/character", {"rendering_speed": "TURBO", "num_images": "3"}, 36),
        ("seedream/5-pro-image-to-image", {"quality": "high", "image_urls": [URL] * 3}, 15),
        ("wan/2-7-image", {"n": 3}, 14.4),
        ("wan/2-6-image-to-video", {"duration": "15", "resolution": "720p"}, 210),
        ("topaz/image-upscale", {"upscale_factor": "4"}, 20),
        ("sora-2-pro-text-to-video", {"n_frames": "15"}, 630),
        ("elevenlabs/text-to-speech-turbo-2-5", {"text": "x" * 2000}, 12),
        ("grok-imagine/text-to-image", {"enable_pro": True}, 5),
    ],
)
def test_the_price_follows_the_request(market: Market, slug: str, given: dict[str, Any], credits_: float) -> None:
    key = f"{slug} {sorted(given)}"
    record = market.finished(slug, smallest(slug) | given, key)
    assert record["creditsConsumed"] == credits_
    balance = market.http.get("/api/v1/chat/credit", headers={"authorization": f"bearer {key}"}).json()["data"]
    assert balance == 10_000 - credits_


def test_no_price_is_read_from_a_label() -> None:
    labels = {480, 720, 1080, 512, 768, 360, 540}
    for slug, entry in CATALOGUE.items():
        assert prices.price(entry, seconds=1.0) not in labels, slug
        text = str(entry.get("credits", ""))
        if re.match(r"(?:per s:? )?\d+p\b", text, re.IGNORECASE):
            assert prices.price_text(entry) in prices._TABLE, slug
