"""What comes out of each kind of model: which files, how many, and the shape of the answer around them.

An answer is written with ``file:0``, ``file:1`` ... where addresses will stand, because they depend on the port.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from .prices import characters

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_IMAGES = 15
GROK_IMAGES = 6
MJ_IMAGES = 4
PLAIN_GROUP = 4
MOST_SECONDS = 30.0
_SPOKEN_PER_SECOND = 14
_VEO_SECONDS = 8.0
_SONG_SECONDS = 8.0

_TRACKS = ("generate", "extend", "sounds", "upload-and-cover-audio", "upload-and-extend-audio")
_OBJECTS = ("generate-lyrics", "timeStamped-lyrics", "generate-midi-from-audio")
_WORDS = (
    "boost-music-style",
    "check-voice",
    "create-voice",
    "generate-persona",
    "regenerate-phrase",
    "validation-phrase",
)
_LYRICS = ("[Verse]", "A paper kite above the bay", "it hums along the wire", "[Chorus]", "Let the line run out")


class Parts:
    """The files a task will have."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []

    def add(self, make: str, suffix: str, **more: Any) -> str:
        """Add a file; returns the word that stands for its address.

        Args:
            make: ``picture``, ``film``, ``still``, ``sound``, ``layer`` or ``mask``.
            suffix: The file's ending.
            more: What differs from the task's own recipe.
        """
        self.made.append({"make": make, "suffix": suffix, **more})
        return f"file:{len(self.made) - 1}"


def kind(entry: Mapping[str, Any]) -> str:
    """Return what a model makes: ``image``, ``video``, ``audio``, ``music``, ``text``, ... as named in ``outcome``."""
    category = str(entry["category"])
    if category in ("text-to-speech", "sound-effects", "audio-isolation"):
        return "audio"
    special = {"speech-to-text": "text", "image-segmentation": "segments", "music": "music", "character": "character"}
    if category in special:
        return special[category]
    words = category.split("|")
    pictures = ("to-image", "image-upscale", "background-removal", "image-variation")
    return "image" if any(word.endswith(pictures) for word in words) else "video"


def film_seconds(entry: Mapping[str, Any], known: Mapping[str, Any]) -> float:
    """Return how long a task's film or sound is."""
    category, slug = str(entry["category"]), str(entry["slug"])
    if slug.startswith("ai-music-api/") or category == "music":
        return _SONG_SECONDS
    if category == "text-to-speech":
        return min(max(1 + characters(known) / _SPOKEN_PER_SECOND, 1.5), 12.0)
    if "num_frames" in known:
        asked = float(known["num_frames"]) / known.get("frames_per_second", 16)
    else:
        names = ("duration", "duration_seconds", "n_frames", "extend_times")
        asked = float(next((known[name] for name in names if known.get(name)), 0))
    if asked <= 0:
        asked = _VEO_SECONDS if slug.startswith("veo") else 5.0
    return min(float(asked), MOST_SECONDS)


def outcome(entry: Mapping[str, Any], known: Mapping[str, Any], task_id: str, parts: Parts) -> dict[str, Any]:
    """Fill in a task's files and return the answer around them.

    Args:
        entry: The catalogue entry.
        known: The checked request, names in snake case.
        task_id: Where invented ids come from.
        parts: Empty; gets the files.
    """
    makers = {
        "audio": _audio,
        "music": _music,
        "text": _transcript,
        "segments": _segments,
        "character": _character,
        "video": _video,
        "image": _images,
    }
    what = "video" if str(known.get("task_type", "")).startswith("mj_video") else kind(entry)
    return makers[what](entry, known, task_id, parts)


def _images(entry: Mapping[str, Any], known: Mapping[str, Any], _task_id: str, parts: Parts) -> dict[str, Any]:
    slug = str(entry["slug"])
    suffix = {"jpeg": "jpg", "jpg": "jpg", "webp": "webp"}.get(str(known.get("output_format")), "png")
    if slug.startswith("mj:"):
        suffix = "jpg"
    clear = slug.endswith("remove-background") or (known.get("background") == "transparent" and suffix != "jpg")
    make = "layer" if clear else "picture"
    if slug == "mj:generateUpscale":
        return {"resultUrls": [parts.add(make, suffix, index=known["image_index"])]}
    return {"resultUrls": [parts.add(make, suffix) for _ in range(_how_many(slug, known))]}


def _how_many(slug: str, known: Mapping[str, Any]) -> int:
    if slug == "grok-imagine/text-to-image":
        return GROK_IMAGES
    if slug in ("mj:generate", "mj:generateVary"):
        return MJ_IMAGES
    names = ("num_images", "max_images", "n", "n_variants")
    asked = next((known[name] for name in names if name in known), 1)
    if "n" not in known and "enable_sequential" in known:
        asked = 12 if known["enable_sequential"] else PLAIN_GROUP
    asked = int(float(asked)) if re.fullmatch(r"\d{1,3}(\.0)?", str(asked)) else 1
    return min(max(asked, 1), MOST_IMAGES)


def _video(entry: Mapping[str, Any], known: Mapping[str, Any], _task_id: str, parts: Parts) -> dict[str, Any]:
    slug, length = str(entry["slug"]), film_seconds(entry, known)
    suffix = "mov" if known.get("output_format") == "mov" else "mp4"
    big = {"side": 640} if "4k" in slug else {"side": 480} if "upscale" in entry["category"] else {}
    result: dict[str, Any] = {}
    if slug == "veo:extend":
        result["resultUrls"] = [parts.add("film", suffix, begins=length)]
        result["fullResultUrls"] = [parts.add("film", suffix, seconds=2 * length)]
        return result
    result["resultUrls"] = [parts.add("film", suffix, **big) for _ in range(int(known.get("video_batch_size", 1)))]
    if slug.startswith("sora-2") and known.get("remove_watermark"):
        result["resultWaterMarkUrls"] = [parts.add("film", suffix, mark="Sora")]
    if slug == "veo:generate" and known.get("aspect_ratio") == "9:16":
        result["originUrls"] = [parts.add("film", suffix, width=1024, height=576)]
    if slug == "veo:get-4k-video":
        result["imageUrls"] = [parts.add("still", "png", share=0.0)]
    if slug in ("runway:generate", "runway:extend", "aleph:generate"):
        result["imageUrl"] = parts.add("still", "png", share=0.0)
    if known.get("return_last_frame"):
        result["firstFrameUrl"] = [parts.add("still", "png", share=0.0)]
        result["lastFrameUrl"] = [parts.add("still", "png", share=1.0)]
    return result


def _audio(_entry: Mapping[str, Any], known: Mapping[str, Any], _task_id: str, parts: Parts) -> dict[str, Any]:
    rate = re.fullmatch(r"(?:pcm|mp3)_(\d+)(?:_\d+)?", str(known.get("output_format")))
    return {"resultUrls": [parts.add("sound", "wav", rate=min(int(rate[1]), 24_000) if rate else 16_000)]}


def _music(entry: Mapping[str, Any], known: Mapping[str, Any], task_id: str, parts: Parts) -> dict[str, Any]:
    name = str(entry["slug"]).replace(":", "/").rpartition("/")[2]
    if name in _TRACKS:
        return {"data": [_track(known, task_id, number, parts) for number in range(2)]}
    if name in _OBJECTS or name in _WORDS:
        return {"resultObject": _music_object(name, known, task_id)}
    if name == "cover-generate":
        return {"resultUrls": [parts.add("picture", "png") for _ in range(2)]}
    if name == "create-music-video":
        return {"resultUrls": [parts.add("film", "mp4")]}
    count = 2 if name == "separate-vocals" else 1
    return {"resultUrls": [parts.add("sound", "wav") for _ in range(count)]}


def _track(known: Mapping[str, Any], task_id: str, number: int, parts: Parts) -> dict[str, Any]:
    return {
        "id": invented_id(task_id, "track", number),
        "audio_url": parts.add("sound", "wav"),
        "image_url": parts.add("picture", "png"),
        "title": str(known.get("title") or known.get("prompt") or "Sandbox song")[:80],
        "tags": str(known.get("style") or known.get("tags") or "calm, sandbox"),
        "prompt": str(known.get("prompt") or ""),
        "model_name": str(known.get("model") or "V5"),
        "duration": _SONG_SECONDS,
    }


def _music_object(name: str, known: Mapping[str, Any], task_id: str) -> dict[str, Any]:
    if name == "generate-lyrics":
        return {"data": [{"title": "Paper kite", "text": "\n".join(_LYRICS), "status": "complete", "errorMessage": ""}]}
    if name == "timeStamped-lyrics":
        words = [
            {"word": line, "success": True, "startS": step * 1.5, "endS": step * 1.5 + 1.4, "palign": 0}
            for step, line in enumerate(_LYRICS)
        ]
        return {"alignedWords": words, "hootCer": 0.1, "isStreamed": False}
    if name == "generate-midi-from-audio":
        notes = [
            {"pitch": pitch, "start": step / 2, "end": step / 2 + 0.45, "velocity": 0.6}
            for step, pitch in enumerate((57, 60, 64, 67, 64, 60))
        ]
        return {"state": "complete", "instruments": [{"name": "Piano", "notes": notes}]}
    if name == "boost-music-style":
        return {"result": f"{known.get('content', 'calm')}, warm, slow, soft keys"}
    if name == "check-voice":
        return {"isAvailable": True}
    if name == "create-voice":
        return {"voiceId": invented_id(task_id, "voice")}
    if name == "generate-persona":
        return {
            "personaId": invented_id(task_id, "persona"),
            "name": known.get("name"),
            "description": known.get("description"),
        }
    return {"phrase": "A paper kite above the bay"}


def _transcript(_entry: Mapping[str, Any], known: Mapping[str, Any], _task_id: str, _parts: Parts) -> dict[str, Any]:
    text = "This is the sandbox speaking. Nothing was listened to."
    words, at = [], 0.0
    for word in text.split():
        words.append({"text": word, "type": "word", "start": round(at, 2), "end": round(at + 0.3, 2)})
        if known.get("diarize"):
            words[-1]["speaker_id"] = "speaker_0"
        at += 0.36
    language = str(known.get("language_code") or "eng")
    return {"resultObject": {"language_code": language, "language_probability": 0.99, "text": text, "words": words}}


def _segments(entry: Mapping[str, Any], known: Mapping[str, Any], _task_id: str, parts: Parts) -> dict[str, Any]:
    slug = str(entry["slug"])
    if slug.endswith("layer-decomposition"):
        base = "png" if known.get("output_format") == "png" else "jpg"
        return {"resultUrls": [parts.add("picture", base), *(parts.add("layer", "png", depth=n) for n in range(3))]}
    if slug.endswith("human-identification"):
        return {"resultObject": {"status": 1, "is_human": True}}
    if slug.endswith("subject-detection"):
        masks = [parts.add("mask", "png", depth=number) for number in range(2)]
        return {"resultObject": {"status": 1, "subject_count": len(masks), "mask_urls": masks}}
    segments = [
        {"index": number, "label": label, "bbox": [0.1, top, 0.9, top + 0.3]}
        for number, (label, top) in enumerate((("sky", 0.0), ("middle ground", 0.35), ("foreground", 0.7)))
    ]
    return {"resultObject": {"segment_map_url": parts.add("mask", "png", depth=3), "segments": segments}}


def _character(_entry: Mapping[str, Any], known: Mapping[str, Any], task_id: str, _parts: Parts) -> dict[str, Any]:
    identity = "ch_" + invented_id(task_id, "character")[:24]
    name = str(known.get("character_user_name") or "sandbox." + identity[3:9])
    remark = str(known.get("character_prompt") or "")
    # Both documented forms at once: the pages' flat one, and the playground's.
    flat = {"character_id": identity}
    return {**flat, "resultObject": {**flat, "character_user_name": name, "remark": remark}}


def invented_id(*parts: object) -> str:
    """Return 32 hex digits that follow from the parts."""
    return hashlib.sha256(":".join(map(str, parts)).encode()).hexdigest()[:32]
