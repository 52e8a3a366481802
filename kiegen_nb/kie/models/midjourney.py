"""Midjourney (six kinds of task): pictures from text or pictures, videos from a picture; upscale, vary, extend.

Kie's pages about it are gone; it is kept whole as they were.
Source: docs.kie.ai/mj-api in its 2025 copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from kiegen_nb.kie.models.base import FollowUp, KieInput, KieParams
from kiegen_nb.kie.models.fields import addresses, as_list, as_number, as_text, not_blank
from kiegen_nb.kie.models.midjourney_steps import PROMPT_LIMIT, STATUS_NOTE, WaterMark, after_pictures, after_video
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kiegen_nb.kie.models.fields import Address
    from kiegen_nb.tasks import GenerationTask

MidjourneyTask = Literal[
    "mj_txt2img", "mj_img2img", "mj_style_reference", "mj_omni_reference", "mj_video", "mj_video_hd"
]
Speed = Literal["relaxed", "fast", "turbo"]
MidjourneyRatio = Literal["1:2", "9:16", "2:3", "3:4", "5:6", "6:5", "4:3", "3:2", "1:1", "16:9", "2:1"]
Version = Literal["7", "6.1", "6", "5.2", "5.1", "niji6"]
Motion = Literal["high", "low"]
BatchSize = Literal[1, 2, 4]

TEXT: MidjourneyTask = "mj_txt2img"
OMNI: MidjourneyTask = "mj_omni_reference"
VIDEOS: tuple[MidjourneyTask, ...] = ("mj_video", "mj_video_hd")
WITH_PICTURES: tuple[MidjourneyTask, ...] = ("mj_img2img", "mj_style_reference", OMNI, *VIDEOS)
WITH_SPEED: tuple[MidjourneyTask, ...] = (TEXT, "mj_img2img", "mj_style_reference")


class KieMidjourneyInput(KieInput):
    """What Midjourney reads.

    Attributes:
        prompt: what to draw or show, 1 to 2,000 characters, English.
        file_urls: pictures to start from, for every task but ``mj_txt2img``; one for a video.
        aspect_ratio: the shape, from ``1:2`` to ``2:1``.
        speed: ``relaxed``, ``fast`` or ``turbo``; not for videos and omni reference.
        version: ``7``, ``6.1``, ``6``, ``5.2``, ``5.1`` or ``niji6``; the newest if left out.
        variety: 0 to 100 in steps of 5: how much the pictures differ.
        stylization: 0 to 1000, multiples of 50 are advised.
        weirdness: 0 to 3000, multiples of 100 are advised.
        ow: 1 to 1000, the weight of an omni reference.
        motion: ``high`` or ``low``, for videos; always sent.
        video_batch_size: 1, 2 or 4 videos.
        water_mark: a text to put on it.
        enable_translation: translate the prompt to English first.
    """

    other_names: ClassVar[dict[str, str]] = {
        "fileUrls": "file_urls",
        "fileUrl": "file_urls",
        "file_url": "file_urls",
        "images": "file_urls",
        "image_urls": "file_urls",
        "aspectRatio": "aspect_ratio",
        "videoBatchSize": "video_batch_size",
        "waterMark": "water_mark",
        "watermark": "water_mark",
        "enableTranslation": "enable_translation",
    }

    prompt: Annotated[
        str,
        Field(
            max_length=PROMPT_LIMIT,
            description="What you would like to see, in English",
            json_schema_extra={"control": "textarea"},
        ),
        AfterValidator(not_blank),
    ]
    file_urls: Annotated[
        Annotated[tuple[str, ...], BeforeValidator(as_list), AfterValidator(addresses)] | None,
        Field(
            title="Pictures",
            description="To start from; one for a video",
            json_schema_extra={"control": "images", "when": {"api_model": list(WITH_PICTURES)}},
        ),
    ] = None
    aspect_ratio: Annotated[MidjourneyRatio | None, Field(description="The shape")] = None
    speed: Annotated[
        Speed | None,
        BeforeValidator(lambda value: "relaxed" if value == "relax" else value),
        Field(description="Faster costs more", json_schema_extra={"when": {"api_model": list(WITH_SPEED)}}),
    ] = None
    version: Annotated[
        Version | None,
        BeforeValidator(as_text),
        Field(description="Of Midjourney; empty = the newest"),
    ] = None
    motion: Annotated[
        Motion | None,
        Field(description="How much moves", json_schema_extra={"when": {"api_model": list(VIDEOS)}}),
    ] = None
    video_batch_size: Annotated[
        BatchSize | None,
        BeforeValidator(as_number),
        Field(title="Videos", description="How many", json_schema_extra={"when": {"api_model": list(VIDEOS)}}),
    ] = None
    variety: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            multiple_of=5,
            description="How much the pictures differ, in steps of 5",
            json_schema_extra={"advanced": True},
        ),
    ] = None
    stylization: Annotated[
        int | None,
        Field(
            ge=0,
            le=1000,
            description="How strong Midjourney's own style is; multiples of 50 are advised",
            json_schema_extra={"advanced": True},
        ),
    ] = None
    weirdness: Annotated[
        int | None,
        Field(
            ge=0,
            le=3000,
            description="How odd it may be; multiples of 100 are advised",
            json_schema_extra={"advanced": True},
        ),
    ] = None
    ow: Annotated[
        int | None,
        Field(
            title="Omni weight",
            ge=1,
            le=1000,
            description="How closely the reference is followed",
            json_schema_extra={"advanced": True, "when": {"api_model": [OMNI]}},
        ),
    ] = None
    water_mark: WaterMark = None
    enable_translation: Annotated[
        bool,
        Field(
            title="Translate the prompt",
            description="To English, before it is used",
            json_schema_extra={"advanced": True},
        ),
    ] = False


class KieMidjourneyParams(KieParams):
    """Pictures or a video from Midjourney, as ``{"service":"KIE","model":"MIDJOURNEY","apiModel":...,"input":{...}}``.

    ``apiModel`` is the kind of task, ``taskType`` in the service's own body.

    Example:
        >>> KieMidjourneyParams.build(prompt="a red kite").wire()["taskType"]
        'mj_txt2img'
    """

    python_name: ClassVar[str] = "midjourney"
    title: ClassVar[str] = "Midjourney"
    status_note: ClassVar[str | None] = STATUS_NOTE
    slug_names: ClassVar[tuple[str, ...]] = ("taskType", "task_type")

    service: Literal["KIE"] = "KIE"
    model: Literal["MIDJOURNEY"] = "MIDJOURNEY"
    api_model: Annotated[MidjourneyTask, Field(title="Task", description="What is made, and from what")] = TEXT
    input: KieMidjourneyInput

    @classmethod
    def kind_of(cls, api_model: str) -> AssetKind:
        """Return video for the two video tasks, else image."""
        return AssetKind.VIDEO if api_model in VIDEOS else AssetKind.IMAGE

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the documented defaults of videos, which must be sent."""
        return ({"motion": "high", "video_batch_size": 1} if api_model in VIDEOS else {}) | fields

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield what does not belong to the kind of task."""
        task, fields = self.api_model, self.input
        count = len(fields.file_urls or ())
        if task == TEXT and count:
            yield "file_urls", "mj_txt2img takes no pictures; choose mj_img2img or a reference task."
        if task != TEXT and not count:
            yield "file_urls", f"{task} needs at least one picture."
        if task in VIDEOS and count > 1:
            yield "file_urls", f"has {count} pictures; a video is made from one."
        if fields.speed is not None and task not in WITH_SPEED:
            yield "speed", f"cannot be chosen for {task}; leave it out."
        if fields.ow is not None and task != OMNI:
            yield "ow", f"is the weight of an omni reference and belongs to {OMNI} only; leave it out."
        for name in ("motion", "video_batch_size"):
            if getattr(fields, name) is not None and task not in VIDEOS:
                yield name, f"belongs to {' and '.join(VIDEOS)} only; leave it out."

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call."""
        return {"taskType": self.api_model} | {to_camel(name): value for name, value in self.wire_input().items()}

    @classmethod
    def follow_ups(cls, task: GenerationTask) -> tuple[FollowUp, ...]:
        """Return upscale and vary for pictures, extend for videos."""
        return after_video(task) if task.api_model in VIDEOS else after_pictures(task)


def midjourney(
    prompt: str,
    *,
    api_model: MidjourneyTask = TEXT,
    images: Sequence[Address] | Address | None = None,
    file_urls: Sequence[Address] | Address | None = None,
    aspect_ratio: MidjourneyRatio | None = None,
    speed: Speed | None = None,
    version: Version | float | None = None,
    variety: int | None = None,
    stylization: int | None = None,
    weirdness: int | None = None,
    ow: int | None = None,
    motion: Motion | None = None,
    video_batch_size: BatchSize | None = None,
    water_mark: str | None = None,
    enable_translation: bool | None = None,
) -> KieMidjourneyParams:
    """Describe pictures or a video for Midjourney; ``session.submit`` sends it.

    Not in Kie's current catalogue since mid-2026: a real request may be refused, the sandbox answers.

    Args:
        prompt: what to draw or show, 1 to 2,000 characters, English.
        api_model: ``mj_txt2img``, ``mj_img2img``, ``mj_style_reference``, ``mj_omni_reference``, ``mj_video`` or
            ``mj_video_hd``. A picture task makes four pictures.
        images: another name of ``file_urls``.
        file_urls: http(s) addresses of pictures, or uploads, for every task but ``mj_txt2img``; one for a video.
        aspect_ratio: ``1:2``, ``9:16``, ``2:3``, ``3:4``, ``5:6``, ``6:5``, ``4:3``, ``3:2``, ``1:1``, ``16:9`` or
            ``2:1``.
        speed: ``relaxed``, ``fast`` or ``turbo``; not for videos and omni reference.
        version: ``7``, ``6.1``, ``6``, ``5.2``, ``5.1`` or ``niji6``; the newest if left out.
        variety: 0 to 100 in steps of 5.
        stylization: 0 to 1000, multiples of 50 are advised.
        weirdness: 0 to 3000, multiples of 100 are advised.
        ow: 1 to 1000, the weight of an omni reference.
        motion: ``high`` (default) or ``low``, for videos.
        video_batch_size: 1 (default), 2 or 4 videos.
        water_mark: a text to put on it.
        enable_translation: translate the prompt to English first; no by default.

    Raises:
        InvalidParams: with one sentence per wrong field; nothing is sent.

    Source: docs.kie.ai/mj-api, 2025 copies.

    Example:
        >>> midjourney("a red kite", speed="fast").api_model
        'mj_txt2img'
    """
    return KieMidjourneyParams.build(
        prompt=prompt,
        api_model=api_model,
        images=images,
        file_urls=file_urls,
        aspect_ratio=aspect_ratio,
        speed=speed,
        version=version,
        variety=variety,
        stylization=stylization,
        weirdness=weirdness,
        ow=ow,
        motion=motion,
        video_batch_size=video_batch_size,
        water_mark=water_mark,
        enable_translation=enable_translation,
    )
