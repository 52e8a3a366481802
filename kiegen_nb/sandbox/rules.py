"""Rules between fields, one small function per group of models, as the catalogue's notes and pages state them."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .checks import RefusedError, missing, not_allowed, out_of_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Known = Mapping[str, Any]

_REFERENCES = ("reference_image_urls", "reference_video_urls", "reference_audio_urls")
_FRAMES = ("first_frame_url", "last_frame_url")
_NOT_IN_2K = {"5:4", "4:5", "3:1", "1:3", "9:21"}
_NOT_IN_4K = {"3:1", "1:3", "9:21", "1:1"}
_ONLY_IN_1K = {"27:16", "16:27", "9:8", "8:9"}
_MJ_VIDEO = ("mj_video", "mj_video_hd")
_SLOTS = 7
_SHOTS = 5
_OMNI_SHOTS_TEXT, _OMNI_SHOTS_SECONDS = 512, 15
_IMAGES_BESIDE_VIDEO = 4
_PLAIN_GROUP = 4
_EDIT_TOLERANCE = 2
_REFERENCE_SECONDS = 8


def check_rules(entry: Known, known: Known, given: Known) -> None:
    """Hold a request against the rules between its fields.

    Args:
        entry: The catalogue entry.
        known: What ``check_input`` returned.
        given: The request as it came, to tell a default from a choice.

    Raises:
        RefusedError: A rule is broken; the text names a field.
    """
    for group in [entry["one_of"]] if "one_of" in entry else []:
        names = [name for alternative in group for name in alternative]
        there = [name for name in names if known.get(name)]
        if not there:
            raise missing(entry, " or ".join(names))
        if len(there) > 1:
            raise not_allowed(there[-1])
    for pattern, rule in _RULES:
        if fnmatchcase(entry["slug"], pattern):
            rule(entry, known, given)


def _one_mode(known: Known, *modes: tuple[str, ...]) -> None:
    used = [next(name for name in mode if known.get(name)) for mode in modes if any(known.get(name) for name in mode)]
    if len(used) > 1:
        raise not_allowed(used[1])


def _first_before_last(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("last_frame_url") and not known.get("first_frame_url"):
        raise RefusedError(500, "first_frame_url is required")


def _seedance(_entry: Known, known: Known, _given: Known) -> None:
    if not any(known.get(name) for name in ("prompt", *_FRAMES, *_REFERENCES)):
        raise RefusedError(422, "Please fill in the text prompt or image, video, or audio")
    _one_mode(known, _FRAMES, _REFERENCES)


def _wan_3(_entry: Known, known: Known, _given: Known) -> None:
    modes = (_FRAMES, _REFERENCES, ("reference_file_urls",), ("reference_link_urls",))
    if not known.get("prompt") and not any(known.get(name) for mode in modes for name in mode):
        raise RefusedError(422, "prompt or media is required")
    _one_mode(known, *modes)


def _wan_image(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("n", 1) > _PLAIN_GROUP and not known.get("enable_sequential"):
        raise out_of_range("n")
    if known.get("thinking_mode") and (known.get("input_urls") or known.get("enable_sequential")):
        raise not_allowed("thinking_mode")


def _gemini_video(_entry: Known, known: Known, _given: Known) -> None:
    others = ("image_urls", "audio_ids", "video_list", "character_ids")
    _one_mode(known, _FRAMES, others)
    slots = (
        len(known.get("image_urls", [])) + len(known.get("character_ids", [])) + 2 * len(known.get("video_list", []))
    )
    if slots > _SLOTS:
        raise out_of_range("image_urls")


def _minimax(_entry: Known, known: Known, _given: Known) -> None:
    if not any(known.get(name) for name in _FRAMES):
        raise RefusedError(500, "first_frame_url is required")


def _minimax_reference(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("reference_audio_urls") and not any(known.get(name) for name in _REFERENCES[:2]):
        raise not_allowed("reference_audio_urls")


def _hailuo(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("duration") == "10" and known.get("resolution") == "1080P":
        raise not_allowed("duration")


def _runway(entry: Known, known: Known, _given: Known) -> None:
    dedicated = ":" in entry["slug"]
    image, ratio = ("imageUrl", "aspectRatio") if dedicated else ("image_url", "aspect_ratio")
    if str(known["duration"]) in ("10", "10.0") and known["quality"] == "1080p":
        raise not_allowed("quality")
    if not known.get(image) and not known.get(ratio):
        raise RefusedError(500, f"{ratio} is required")


def _gpt_image_2(_entry: Known, known: Known, _given: Known) -> None:
    ratio, tier = known.get("aspect_ratio", "auto"), known.get("resolution", "1K")
    if (tier == "2K" and ratio in _NOT_IN_2K) or (tier == "4K" and ratio in _NOT_IN_4K):
        raise not_allowed("aspect_ratio")
    if tier != "1K" and (ratio == "auto" or known.get("background")):
        raise not_allowed("resolution")


def _gpt_image_2_5(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("resolution", "1K") != "1K" and known.get("aspect_ratio") in _ONLY_IN_1K:
        raise not_allowed("aspect_ratio")


def _kling_omni(_entry: Known, known: Known, given: Known) -> None:
    if given.get("customize_multi_shots") and known.get("prefer_multi_shots"):
        raise not_allowed("prefer_multi_shots")
    for shot in known.get("multi_prompt", []):
        if len(str(shot.get("prompt", ""))) > _OMNI_SHOTS_TEXT:
            raise RefusedError(500, "The text length cannot exceed the maximum limit: multi_prompt.prompt")
        seconds = shot.get("duration", 1)
        if not isinstance(seconds, (int, float)) or not 1 <= seconds <= _OMNI_SHOTS_SECONDS:
            raise out_of_range("multi_prompt.duration")


def _kling_omni_image(_entry: Known, known: Known, given: Known) -> None:
    if known.get("aspect_ratio") != "auto" and given.get("customize_multi_shots") is False:
        raise not_allowed("aspect_ratio")


def _kling_omni_reference(entry: Known, known: Known, _given: Known) -> None:
    images, videos = known.get("image_urls", []), known.get("video_urls", [])
    if not images and not videos:
        raise missing(entry, "image_urls or video_urls")
    if videos and len(images) > _IMAGES_BESIDE_VIDEO:
        raise out_of_range("image_urls")
    if videos and known.get("audio"):
        raise not_allowed("audio")


def _kling_omni_change(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("image_urls") and known.get("aspect_ratio") == "auto":
        raise not_allowed("aspect_ratio")


def _kling_3(_entry: Known, known: Known, _given: Known) -> None:
    if len(known.get("image_urls", [])) > (1 if known.get("multi_shots") else 2):
        raise out_of_range("image_urls")
    if len(known.get("multi_prompt", [])) > _SHOTS:
        raise out_of_range("multi_prompt")


def _veo(entry: Known, known: Known, _given: Known) -> None:
    images = known.get("image_urls") or known.get("imageUrls") or []
    count_name = "image_urls" if "image_urls" in entry["params"] else "imageUrls"
    mode_name = "generation_type" if "generation_type" in entry["params"] else "generationType"
    mode = known.get(mode_name) or ("FIRST_AND_LAST_FRAMES_2_VIDEO" if images else "TEXT_2_VIDEO")
    fewest, most = {"TEXT_2_VIDEO": (0, 0), "FIRST_AND_LAST_FRAMES_2_VIDEO": (1, 2)}.get(mode, (1, 3))
    if not fewest <= len(images) <= most:
        raise out_of_range(count_name)
    if mode == "REFERENCE_2_VIDEO":
        if known.get("model") == "veo3":
            raise not_allowed("model")
        if known.get("duration", _REFERENCE_SECONDS) != _REFERENCE_SECONDS:
            raise not_allowed("duration")


def _storyboard(_entry: Known, known: Known, _given: Known) -> None:
    if sum(shot["duration"] for shot in known.get("shots", [])) > float(known["n_frames"]) + 1e-6:
        raise out_of_range("shots.duration")


def _character_times(_entry: Known, known: Known, _given: Known) -> None:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", known["timestamps"])
    if not found or not 1 <= float(found[2]) - float(found[1]) <= 4:  # noqa: PLR2004 - the documented 1 to 4 seconds
        raise out_of_range("timestamps")


def _prompt_or_files(_entry: Known, known: Known, _given: Known) -> None:
    if not any(known.get(name) for name in ("prompt", "files_url", "file_url", "filesUrl", "fileUrl")):
        raise RefusedError(500, "prompt is required")


def _kontext(entry: Known, known: Known, _given: Known) -> None:
    image, safety = ("inputImage", "safetyTolerance") if ":" in entry["slug"] else ("input_image", "safety_tolerance")
    if known.get(image) and known.get(safety, 0) > _EDIT_TOLERANCE:
        raise out_of_range(safety)


def _grok_video(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("image_urls") and known.get("task_id"):
        raise not_allowed("task_id")
    if known.get("image_urls") and known.get("mode") == "spicy":
        raise not_allowed("mode")


def _grok_preview(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("resolution") == "1080p" and len(known.get("image_urls", [])) > 1:
        raise out_of_range("image_urls")


def _qwen_2_1(_entry: Known, known: Known, _given: Known) -> None:
    if known.get("background") == "transparent" and known.get("output_format") == "jpeg":
        raise not_allowed("output_format")
    if known.get("mask_url") and len(known.get("image_urls", [])) != 1:
        raise out_of_range("image_urls")


def _midjourney(_entry: Known, known: Known, given: Known) -> None:
    kind = known["taskType"]
    files = known.get("fileUrls") or [known[name] for name in ("fileUrl",) if known.get(name)]
    if kind != "mj_txt2img" and not files:
        raise RefusedError(500, "fileUrls is required")
    if kind in _MJ_VIDEO:
        if len(files) > 1:
            raise out_of_range("fileUrls")
        if not given.get("motion"):
            raise RefusedError(500, "motion is required")
    if known.get("variety", 0) % 5:
        raise out_of_range("variety")


def _midjourney_extend(_entry: Known, known: Known, _given: Known) -> None:
    if known["taskType"] == "mj_video_extend_manual" and not known.get("prompt"):
        raise RefusedError(500, "prompt is required")


_RULES: tuple[tuple[str, Callable[[Known, Known, Known], None]], ...] = (
    ("4o-image-api", _prompt_or_files),
    ("gpt4o-image:*", _prompt_or_files),
    ("bytedance/seedance-2*", _seedance),
    ("bytedance/seedance-2*", _first_before_last),
    ("wan/3-0-video*", _wan_3),
    ("wan/3-0-video*", _first_before_last),
    ("wan/2-7-image-to-video", _first_before_last),
    ("gemini-omni-video", _gemini_video),
    ("google/gemini-omni-flash*", _gemini_video),
    ("google/gemini-omni-flash*", _first_before_last),
    ("minimax-h3/image-to-video", _minimax),
    ("minimax-h3/reference-to-video", _minimax_reference),
    ("hailuo/2-3-*", _hailuo),
    ("runway", _runway),
    ("runway:generate", _runway),
    ("wan/2-7-image", _wan_image),
    ("wan/2-7-image-pro", _wan_image),
    ("gpt-image-2-image*", _gpt_image_2),
    ("gpt-image-2-text*", _gpt_image_2),
    ("gpt-image-2-5-*", _gpt_image_2_5),
    ("kling-3.0-omni/*", _kling_omni),
    ("kling-3.0-omni/image-to-video", _kling_omni_image),
    ("kling-3.0-omni/reference-to-video", _kling_omni_reference),
    ("kling-3.0-omni/transformation", _kling_omni_change),
    ("kling-3.0/video", _kling_3),
    ("veo-3-1", _veo),
    ("veo:generate", _veo),
    ("sora-2-pro-storyboard", _storyboard),
    ("sora-2-characters-pro", _character_times),
    ("flux1-kontext", _kontext),
    ("flux-kontext:*", _kontext),
    ("grok-imagine/image-to-video", _grok_video),
    ("grok-imagine-video-1-5*", _grok_preview),
    ("qwen2-1/*", _qwen_2_1),
    ("mj:generate", _midjourney),
    ("mj:generateVideoExtend", _midjourney_extend),
)
