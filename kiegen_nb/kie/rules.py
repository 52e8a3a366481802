"""Rules between a market model's fields, which the catalogue only tells in prose: its notes and descriptions.

They are checked before anything is sent, because the service often ignores what does not fit and bills all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Given = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        fields: what it is about; the first one is named where it is broken, and given where it asks for one.
        broken: whether an input breaks it.
        sentence: what to do then.
    """

    fields: tuple[str, ...]
    broken: Callable[[Given], bool]
    sentence: str

    def is_broken(self, given: Given) -> bool:
        """Tell whether an input breaks the rule; of fields that are not what they were it knows nothing."""
        try:
            return self.broken(given)
        except (TypeError, ValueError, KeyError):  # a live schema may have changed a field's type
            return False


def one_of(*groups: tuple[str, ...]) -> Rule:
    """Exactly one of several groups of fields is to be given."""
    names = [" with ".join(group) for group in groups]

    def broken(given: Given) -> bool:
        return sum(any(name in given for name in group) for group in groups) != 1

    return Rule(tuple(name for group in groups for name in group), broken, f"give exactly one of {_or(names)}.")


def any_of(*fields: str) -> Rule:
    """At least one of several fields is to be given."""
    sentence = f"give at least one of {_or(list(fields))}; the service may bill a request without."
    return Rule(fields, lambda given: not any(name in given for name in fields), sentence)


def not_together(field: str, *others: str) -> Rule:
    """One field excludes others."""
    sentence = f"cannot be used together with {_or(list(others))}."
    return Rule((field, *others), lambda given: field in given and any(name in given for name in others), sentence)


def needs(field: str, *others: str) -> Rule:
    """One field is of no use without one of some others."""
    sentence = f"needs {_or(list(others))} as well."
    return Rule(
        (field, *others),
        lambda given: field in given and not any(name in given for name in others),
        sentence,
    )


def never(field: str, values: set[Any], sentence: str, **when: set[Any]) -> Rule:
    """Some values of a field are not available with some values of others; None stands for "not given"."""

    def broken(given: Given) -> bool:
        return given.get(field) in values and all(given.get(name) in allowed for name, allowed in when.items())

    return Rule((field, *when), broken, sentence)


def at_most(field: str, number: int, sentence: str, **when: set[Any]) -> Rule:
    """A list or number has a lower limit with some values of other fields."""

    def broken(given: Given) -> bool:
        value = given.get(field)
        size = len(value) if isinstance(value, list) else value if isinstance(value, int | float) else 0
        return size > number and all(given.get(name) in allowed for name, allowed in when.items())

    return Rule((field, *when), broken, sentence)


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _modes(*groups: tuple[str, ...]) -> tuple[Rule, ...]:
    """Fields of one group exclude the fields of all others."""
    return tuple(
        not_together(name, *(other for later in groups[place + 1 :] for other in later))
        for place, group in enumerate(groups[:-1])
        for name in group
    )


def _slots(given: Given) -> bool:
    lists = (len(given.get(name, ())) for name in ("image_urls", "character_ids"))
    return sum(lists) + 2 * len(given.get("video_list", ())) > _OMNI_SLOTS


def _is_no_moment(given: Given) -> bool:
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*", given.get("timestamps", "0,1"))
    return found is None or not 1 <= float(found[2]) - float(found[1]) <= 4  # noqa: PLR2004 - documented


_OMNI_SLOTS = 7
_SHOT_TEXT, _SHOT_SECONDS = 512, 15
_FRAMES = ("first_frame_url", "last_frame_url")
_REFERENCES = ("reference_image_urls", "reference_video_urls", "reference_audio_urls")
_DOCUMENTS = (("reference_file_urls",), ("reference_link_urls",))
_SEEDANCE = (
    any_of("prompt", "first_frame_url", *_REFERENCES),
    needs("last_frame_url", "first_frame_url"),
    *_modes(_FRAMES, _REFERENCES),
)
_WAN_3 = (
    any_of("prompt", "first_frame_url", *_REFERENCES, "reference_file_urls", "reference_link_urls"),
    needs("last_frame_url", "first_frame_url"),
    *_modes(_FRAMES, _REFERENCES, *_DOCUMENTS),
)
_OMNI = Rule(("image_urls",), _slots, "has too many: images, characters and twice the videos may make 7 together.")
_WIDE = {"3:1", "1:3", "9:21"}
_GPT_IMAGE_2 = (
    never("resolution", {"2K", "4K"}, "needs an aspect_ratio other than auto.", aspect_ratio={None, "auto"}),
    never("aspect_ratio", {"5:4", "4:5", *_WIDE}, "is not available at 2K.", resolution={"2K"}),
    never("aspect_ratio", {"1:1", *_WIDE}, "is not available at 4K.", resolution={"4K"}),
    never("background", {"transparent", "opaque", "auto"}, "is available at 1K only.", resolution={"2K", "4K"}),
)
_GPT_IMAGE_2_5 = (
    never("aspect_ratio", {"27:16", "16:27", "9:8", "8:9"}, "is available at 1K only.", resolution={"2K", "4K"}),
)
_HAILUO_2_3 = (never("duration", {"10"}, "of 10 s is not available at 1080P.", resolution={"1080P"}),)
_KLING_OMNI = (
    never("customize_multi_shots", {True}, "cannot be used with prefer_multi_shots.", prefer_multi_shots={True}),
    Rule(
        ("multi_prompt",),
        lambda given: any(
            len(shot.get("prompt", "")) > _SHOT_TEXT or not 1 <= shot.get("duration", 1) <= _SHOT_SECONDS
            for shot in given.get("multi_prompt", ())
        ),
        "takes shots of at most 512 characters and 1 to 15 seconds each.",
    ),
)
_QWEN_2_1 = (never("output_format", {"jpeg"}, "cannot be transparent; use png or webp.", background={"transparent"}),)
_WAN_2_7_IMAGE = (
    at_most("n", 4, "may be more than 4 only with enable_sequential=True.", enable_sequential={False, None}),
    Rule(
        ("thinking_mode",),
        lambda given: (
            given.get("thinking_mode") is True and ("input_urls" in given or given.get("enable_sequential") is True)
        ),
        "works for a plain picture from text only.",
    ),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "4o-image-api": (any_of("prompt", "files_url", "file_url"),),
    "bytedance/seedance-2": _SEEDANCE,
    "bytedance/seedance-2-5": _SEEDANCE,
    "bytedance/seedance-2-fast": _SEEDANCE,
    "bytedance/seedance-2-mini": _SEEDANCE,
    "flux1-kontext": (
        Rule(
            ("safety_tolerance",),
            lambda given: "input_image" in given and given.get("safety_tolerance", 0) > 2,  # noqa: PLR2004 - documented
            "may be at most 2 with an input_image.",
        ),
    ),
    "gemini-omni-video": (_OMNI,),
    "google/gemini-omni-flash-1-1": (
        _OMNI,
        needs("last_frame_url", "first_frame_url"),
        not_together("first_frame_url", "image_urls", "audio_ids", "video_list", "character_ids"),
    ),
    "gpt-image-2-image-to-image": _GPT_IMAGE_2,
    "gpt-image-2-text-to-image": _GPT_IMAGE_2,
    "gpt-image-2-5-flare-image-to-image": _GPT_IMAGE_2_5,
    "gpt-image-2-5-flare-text-to-image": _GPT_IMAGE_2_5,
    "gpt-image-2-5-sunburst-image-to-image": _GPT_IMAGE_2_5,
    "gpt-image-2-5-sunburst-text-to-image": _GPT_IMAGE_2_5,
    "grok-imagine-video-1-5-preview": (
        any_of("prompt", "image_urls"),
        at_most("image_urls", 1, "may be one picture only at 1080p.", resolution={"1080p"}),
    ),
    "grok-imagine/image-to-video": (
        one_of(("image_urls",), ("task_id",)),
        needs("index", "task_id"),
        Rule(
            ("mode",),
            lambda given: given.get("mode") == "spicy" and "image_urls" in given,
            "'spicy' is not allowed with pictures of your own.",
        ),
    ),
    "hailuo/2-3-image-to-video-pro": _HAILUO_2_3,
    "hailuo/2-3-image-to-video-standard": _HAILUO_2_3,
    "kling-3.0-omni/image-to-video": (
        *_KLING_OMNI,
        never(
            "aspect_ratio",
            {"16:9", "9:16", "1:1"},
            "must be auto without customize_multi_shots.",
            customize_multi_shots={False, None},
        ),
    ),
    "kling-3.0-omni/transformation": (
        Rule(
            ("aspect_ratio",),
            lambda given: given.get("aspect_ratio") == "auto" and "image_urls" in given,
            "may be auto only without pictures.",
        ),
    ),
    "kling-3.0-omni/text-to-video": _KLING_OMNI,
    "kling-3.0-omni/reference-to-video": (
        *_KLING_OMNI,
        any_of("image_urls", "video_urls"),
        Rule(
            ("image_urls",),
            lambda given: "video_urls" in given and len(given.get("image_urls", ())) > 4,  # noqa: PLR2004 - documented
            "may be at most 4 with a video.",
        ),
        Rule(
            ("audio",),
            lambda given: "video_urls" in given and given.get("audio") is True,
            "must be False with a video.",
        ),
    ),
    "kling-3.0/video": (
        at_most("image_urls", 2, "may be the first and the last frame, not more."),
        at_most("image_urls", 1, "may be the first frame only with multi_shots.", multi_shots={True}),
        at_most("multi_prompt", 5, "may have at most 5 shots."),
        Rule(
            ("multi_prompt",),
            lambda given: given.get("multi_shots") is True and not given.get("multi_prompt"),
            "is required with multi_shots=True.",
        ),
    ),
    "minimax-h3/image-to-video": (any_of(*_FRAMES),),
    "minimax-h3/reference-to-video": (needs("reference_audio_urls", "reference_image_urls", "reference_video_urls"),),
    "pixverse-v6/image-to-video": (not_together("template_id", "duration"),),
    "qwen2-1/image-to-image": (
        *_QWEN_2_1,
        Rule(
            ("mask_url",),
            lambda given: "mask_url" in given and len(given.get("image_urls", ())) != 1,
            "needs exactly one picture in image_urls.",
        ),
    ),
    "qwen2-1/text-to-image": _QWEN_2_1,
    "runway": (
        any_of("aspect_ratio", "image_url"),
        never("duration", {10}, "of 10 s is not available at 1080p.", quality={"1080p"}),
    ),
    "sora-2-characters-pro": (
        Rule(("timestamps",), _is_no_moment, "must be start,end in seconds, 1 to 4 seconds apart, such as '2,5'."),
    ),
    "sora-2-pro-storyboard": (
        Rule(
            ("shots",),
            lambda given: sum(shot["duration"] for shot in given.get("shots", ())) > float(given.get("n_frames", 25)),
            "are longer together than n_frames seconds.",
        ),
    ),
    "veo-3-1": (
        never("generation_type", {"REFERENCE_2_VIDEO"}, "is for Fast and Lite only.", model={"veo3"}),
        never("duration", {4, 6}, "must be 8 in reference mode.", generation_type={"REFERENCE_2_VIDEO"}),
        at_most("image_urls", 0, "are not used in text mode.", generation_type={"TEXT_2_VIDEO"}),
        at_most("image_urls", 2, "may be 1 or 2 frames.", generation_type={"FIRST_AND_LAST_FRAMES_2_VIDEO", None}),
        Rule(
            ("image_urls",),
            lambda given: given.get("generation_type", "TEXT_2_VIDEO") != "TEXT_2_VIDEO" and "image_urls" not in given,
            "is required in this generation_type.",
        ),
    ),
    "wan/2-7-image": _WAN_2_7_IMAGE,
    "wan/2-7-image-pro": _WAN_2_7_IMAGE,
    "wan/2-7-image-to-video": (needs("last_frame_url", "first_frame_url", "first_clip_url"),),
    "wan/3-0-video": _WAN_3,
    "wan/3-0-video-prime": _WAN_3,
}
"""Slug -> its rules, beside the ``one_of`` groups of the catalogue itself."""

NOT_FILLED: dict[str, dict[str, str]] = {
    "kling-3.0-omni/image-to-video": {"customize_multi_shots": "prefer_multi_shots"},
    "kling-3.0-omni/reference-to-video": {"customize_multi_shots": "prefer_multi_shots"},
    "kling-3.0-omni/text-to-video": {"customize_multi_shots": "prefer_multi_shots"},
    "pixverse-v6/image-to-video": {"duration": "template_id"},
}
"""Slug -> a field whose default is left out -> where this other field is given."""

ONLY_WITH: dict[str, dict[str, str]] = {"grok-imagine/image-to-video": {"index": "task_id"}}
"""Slug -> a field whose default is filled in -> only where this other field is given."""

EMPTY_BY_DEFAULT: dict[str, tuple[str, ...]] = {"kling-3.0/video": ("multi_prompt",)}
"""Slug -> lists that are required, but empty in the plain mode."""


def rules_of(slug: str, groups: tuple[tuple[str, ...], ...] = ()) -> tuple[Rule, ...]:
    """Return a model's rules; ``groups`` are the catalogue's own."""
    listed = RULES.get(slug, ())
    return (one_of(*groups), *listed) if groups else listed
