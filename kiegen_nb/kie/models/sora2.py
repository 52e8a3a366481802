"""Sora 2 (ten slugs): text or picture to video, storyboards, characters, and the remover of its watermark.

Kie's pages about it are gone; it is kept whole as they were.
Source: docs.kie.ai/market/sora2 as of 2026-06-06 and the playground's copies of 2025-11 to 2026-03.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from kiegen_nb.kie.models.base import VIDEO_TIME_LIMIT, KieInput, KieParams
from kiegen_nb.kie.models.fields import address, addresses, as_address, as_list, as_text, not_blank
from kiegen_nb.kie.models.sora2_slugs import CHARACTERS, DEFAULT, FILE_LIMITS, SPECS, STORYBOARD, Sora2Slug, hints_of
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kiegen_nb.kie.models.fields import Address
    from kiegen_nb.service import FileRule

Sora2Ratio = Literal["landscape", "portrait"]
Frames = Literal["10", "15", "25"]
Size = Literal["standard", "high"]
UploadMethod = Literal["s3", "oss"]

PROMPT_LIMIT, CHARACTER_LIMIT, URL_LIMIT, NAME_LIMIT = 10_000, 5_000, 500, 40
MOST_SHOTS, MOST_CHARACTERS = 10, 5
SHORTEST_SHOT, LONGEST_SHOT = 0.1, 15
TOLERANCE = 0.01  # seconds that a storyboard may be off
SHORTEST_CLIP, LONGEST_CLIP = 1.0, 4.0
_TIMES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*")


class Shot(BaseModel):
    """One shot of a storyboard; ``Scene`` is spelled with a capital on the wire.

    Attributes:
        scene: what it shows.
        duration: 0.1 to 15 seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    scene: Annotated[str, Field(alias="Scene"), AfterValidator(not_blank)]
    duration: Annotated[float, Field(ge=SHORTEST_SHOT, le=LONGEST_SHOT)]


_OnePicture = Annotated[tuple[str, ...], BeforeValidator(as_list), Field(max_length=1), AfterValidator(addresses)]


class KieSora2Input(KieInput):
    """What Sora 2 reads; which fields depends on the slug.

    Attributes:
        prompt: what to show, at most 10,000 characters.
        image_urls: exactly one picture to start from.
        shots: 1 to 10 shots of a storyboard, together as long as the video.
        aspect_ratio: ``landscape`` or ``portrait``.
        n_frames: the length in seconds, as text: ``"10"``, ``"15"`` or, for storyboards, ``"25"``.
        size: ``standard`` or ``high``, for the pro slugs.
        remove_watermark: leave Sora's mark out.
        character_id_list: up to 5 ids of characters made before.
        video_url: a public share link of sora.chatgpt.com, for the watermark remover.
        character_file_url: one video of 1 to 4 seconds that shows the character.
        origin_task_id: the service's id of the task a character is taken from.
        timestamps: ``"start,end"`` in seconds, 1 to 4 apart.
        character_prompt: who it is, at most 5,000 characters.
        character_user_name: at most 40 characters; a prompt mentions it as ``@name``.
        safety_instruction: what it must not do, at most 5,000 characters.
        upload_method: where the service stores the result, ``s3`` or ``oss`` (for China); always sent.
    """

    other_names: ClassVar[dict[str, str]] = {
        "imageUrls": "image_urls",
        "images": "image_urls",
        "aspectRatio": "aspect_ratio",
        "nFrames": "n_frames",
        "removeWatermark": "remove_watermark",
        "characterIdList": "character_id_list",
        "videoUrl": "video_url",
        "characterFileUrl": "character_file_url",
        "originTaskId": "origin_task_id",
        "characterPrompt": "character_prompt",
        "characterUserName": "character_user_name",
        "safetyInstruction": "safety_instruction",
        "uploadMethod": "upload_method",
    }

    prompt: Annotated[
        str | None,
        Field(
            max_length=PROMPT_LIMIT,
            description="What you would like to see",
            json_schema_extra=hints_of("prompt", control="textarea"),
        ),
    ] = None
    image_urls: Annotated[
        _OnePicture | None,
        Field(
            title="Picture",
            description="To start from",
            json_schema_extra=hints_of("image_urls", control="images", max_items=1),
        ),
    ] = None
    shots: Annotated[
        Annotated[tuple[Shot, ...], Field(max_length=MOST_SHOTS)] | None,
        Field(
            description="Together as long as the video",
            json_schema_extra=hints_of("shots", control="shots", max_items=MOST_SHOTS),
        ),
    ] = None
    aspect_ratio: Annotated[
        Sora2Ratio | None, Field(description="The video's shape", json_schema_extra=hints_of("aspect_ratio"))
    ] = None
    n_frames: Annotated[
        Frames | None,
        BeforeValidator(as_text),
        Field(
            title="Seconds",
            description="The video's length; 25 for storyboards only",
            json_schema_extra=hints_of("n_frames"),
        ),
    ] = None
    size: Annotated[Size | None, Field(description="High costs more", json_schema_extra=hints_of("size"))] = None
    remove_watermark: Annotated[
        bool | None,
        Field(description="Leave Sora's mark out", json_schema_extra=hints_of("remove_watermark", advanced=True)),
    ] = None
    character_id_list: Annotated[
        Annotated[tuple[str, ...], BeforeValidator(as_list), Field(max_length=MOST_CHARACTERS)] | None,
        Field(
            title="Characters",
            description="Ids of characters made before, at most 5",
            json_schema_extra=hints_of("character_id_list", advanced=True),
        ),
    ] = None
    video_url: Annotated[
        Annotated[str, BeforeValidator(as_address), Field(max_length=URL_LIMIT), AfterValidator(address)] | None,
        Field(
            title="Video",
            description="A public share link of sora.chatgpt.com",
            json_schema_extra=hints_of("video_url", control="video"),
        ),
    ] = None
    character_file_url: Annotated[
        _OnePicture | None,
        Field(
            title="Video of the character",
            description="1 to 4 seconds of mp4, webm or avi",
            json_schema_extra=hints_of("character_file_url", control="video", max_items=1),
        ),
    ] = None
    origin_task_id: Annotated[
        str | None,
        Field(
            title="Source task",
            description="The service's id of the task it is taken from",
            json_schema_extra=hints_of("origin_task_id"),
        ),
    ] = None
    timestamps: Annotated[
        str | None,
        Field(
            title="From, to",
            description="Seconds in the source, such as 2,5; 1 to 4 apart",
            json_schema_extra=hints_of("timestamps"),
        ),
    ] = None
    character_prompt: Annotated[
        str | None,
        Field(
            max_length=CHARACTER_LIMIT,
            title="Character",
            description="Who it is",
            json_schema_extra=hints_of("character_prompt", control="textarea"),
        ),
    ] = None
    character_user_name: Annotated[
        str | None,
        Field(
            max_length=NAME_LIMIT,
            title="Name",
            description="A prompt mentions it as @name",
            json_schema_extra=hints_of("character_user_name"),
        ),
    ] = None
    safety_instruction: Annotated[
        str | None,
        Field(
            max_length=CHARACTER_LIMIT,
            description="What it must not do",
            json_schema_extra=hints_of("safety_instruction", control="textarea", advanced=True),
        ),
    ] = None
    upload_method: Annotated[
        UploadMethod | None,
        Field(
            title="Storage",
            description="Where the service keeps the result; oss is for China",
            json_schema_extra=hints_of("upload_method", advanced=True),
        ),
    ] = None


class KieSora2Params(KieParams):
    """A video from Sora 2, as ``{"service":"KIE","model":"SORA2","apiModel":"sora-2-text-to-video","input":{...}}``.

    Example:
        >>> KieSora2Params.build(prompt="a red kite", n_frames=15).wire()["input"]["n_frames"]
        '15'
    """

    python_name: ClassVar[str] = "sora2"
    title: ClassVar[str] = "Sora 2"
    status_note: ClassVar[str | None] = (
        "Not in Kie's current catalogue since June 2026 (last page 2026-06-06; its makers closed the API on "
        "2026-09-24): a real request is most likely refused; the sandbox answers as the pages said."
    )
    asset_kind: ClassVar[AssetKind] = AssetKind.VIDEO
    time_limit: ClassVar[float] = VIDEO_TIME_LIMIT
    file_limits: ClassVar[Mapping[str, FileRule | None]] = FILE_LIMITS

    service: Literal["KIE"] = "KIE"
    model: Literal["SORA2"] = "SORA2"
    api_model: Annotated[Sora2Slug, Field(title="Model", description="What is made, and from what")] = DEFAULT
    input: KieSora2Input

    @classmethod
    def kind_of(cls, api_model: str) -> AssetKind:
        """Return data for the two character slugs, else video."""
        return AssetKind.DATA if api_model in CHARACTERS else AssetKind.VIDEO

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the slug's documented defaults."""
        return (SPECS[api_model].defaults if api_model in SPECS else {}) | fields

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield what the slug needs, does not know, or knows otherwise."""
        spec, fields = SPECS[self.api_model], self.input
        for name in type(fields).model_fields:
            value = getattr(fields, name)
            if name in spec.needs and (value is None or (isinstance(value, str) and not value.strip())):
                yield name, _MISSING.get(name, f"is required for {self.api_model}.")
            if value is not None and name not in spec.needs | spec.takes:
                yield name, f"is no field of {self.api_model}; leave it out."
        if fields.n_frames is not None and fields.n_frames not in spec.seconds:
            yield "n_frames", f"{fields.n_frames!r} is for {STORYBOARD}; choose {' or '.join(spec.seconds)}."
        if fields.shots is not None and fields.n_frames is not None:
            total = math.fsum(shot.duration for shot in fields.shots)
            if abs(total - float(fields.n_frames)) > TOLERANCE:
                yield "shots", f"add up to {total:g} s; they must make exactly the {fields.n_frames} s of n_frames."
        if fields.timestamps is not None and not _is_clip(fields.timestamps):
            yield "timestamps", f'{fields.timestamps!r} must be "start,end" in seconds, 1 to 4 apart, such as "2,5".'


_MISSING = {"prompt": "is empty. Write what you would like to see."}


def _is_clip(text: str) -> bool:
    found = _TIMES.fullmatch(text)
    return found is not None and SHORTEST_CLIP <= float(found[2]) - float(found[1]) <= LONGEST_CLIP


def sora2(
    prompt: str | None = None,
    *,
    api_model: Sora2Slug = DEFAULT,
    images: Sequence[Address] | Address | None = None,
    image_urls: Sequence[Address] | Address | None = None,
    shots: Sequence[Shot | Mapping[str, Any]] | None = None,
    aspect_ratio: Sora2Ratio | None = None,
    n_frames: Frames | int | None = None,
    size: Size | None = None,
    remove_watermark: bool | None = None,
    character_id_list: Sequence[str] | None = None,
    video_url: Address | None = None,
    character_file_url: Sequence[Address] | Address | None = None,
    origin_task_id: str | None = None,
    timestamps: str | None = None,
    character_prompt: str | None = None,
    character_user_name: str | None = None,
    safety_instruction: str | None = None,
    upload_method: UploadMethod | None = None,
) -> KieSora2Params:
    """Describe a video for Sora 2; ``session.submit`` sends it.

    Not in Kie's current catalogue since June 2026: a real request is most likely refused, the sandbox answers.

    Args:
        prompt: what to show, at most 10,000 characters; not for storyboards, characters and the remover.
        api_model: ``sora-2-text-to-video``, ``sora-2-image-to-video``, both with ``-stable`` behind or ``-pro``
            after the 2, ``sora-2-pro-storyboard``, ``sora-2-characters``, ``sora-2-characters-pro`` or
            ``sora-watermark-remover``.
        images: another name of ``image_urls``.
        image_urls: the http(s) address of one picture, or an upload, for image-to-video; allowed for storyboards.
        shots: 1 to 10 of ``{"Scene": "wide shot", "duration": 7.5}`` for a storyboard, each 0.1 to 15 seconds,
            together exactly ``n_frames``.
        aspect_ratio: ``landscape`` (default) or ``portrait``.
        n_frames: seconds, not frames: 10 (default) or 15; storyboards 10, 15 (default) or 25.
        size: ``standard`` or ``high`` for pro; high is the default from text, standard from a picture.
        remove_watermark: leave Sora's mark out; not for stable and storyboards.
        character_id_list: up to 5 ids of characters made before.
        video_url: a public share link of sora.chatgpt.com, at most 500 characters, for the remover.
        character_file_url: the address or upload of one video of 1 to 4 seconds, for ``sora-2-characters``.
        origin_task_id: the service's id of the source task, for ``sora-2-characters-pro``.
        timestamps: ``"start,end"`` in its seconds, 1 to 4 apart.
        character_prompt: who it is, at most 5,000 characters.
        character_user_name: at most 40 characters; a prompt mentions it as ``@name``.
        safety_instruction: what it must not do, at most 5,000 characters.
        upload_method: ``s3`` (default) or ``oss``, where the service keeps the result.

    Raises:
        InvalidParams: with one sentence per wrong field; nothing is sent.

    Source: docs.kie.ai/market/sora2 as of 2026-06-06.

    Example:
        >>> sora2("a red kite").input.aspect_ratio
        'landscape'
    """
    return KieSora2Params.build(
        prompt=prompt,
        api_model=api_model,
        images=images,
        image_urls=image_urls,
        shots=shots,
        aspect_ratio=aspect_ratio,
        n_frames=n_frames,
        size=size,
        remove_watermark=remove_watermark,
        character_id_list=character_id_list,
        video_url=video_url,
        character_file_url=character_file_url,
        origin_task_id=origin_task_id,
        timestamps=timestamps,
        character_prompt=character_prompt,
        character_user_name=character_user_name,
        safety_instruction=safety_instruction,
        upload_method=upload_method,
    )
