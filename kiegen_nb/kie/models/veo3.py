"""Veo 3.1 (three tiers): text, frames or reference pictures to video; extend, 1080p and 4K of a finished one.

It can be sent on two roads: the jobs API, or Veo's older endpoints (``via="veo"``). The documents do not say for
certain which one lasts, so the choice is the user's and the program never changes it.
Source: docs.kie.ai/market (veo-3-1, veo/extend, veo/get-1080p-video, veo/get-4k-video) as of 2026-10-07, and
docs.kie.ai/veo3-api in its mirrors as of 2026-06-30.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from kiegen_nb.kie.models.base import VIDEO_TIME_LIMIT, FollowUp, KieInput, KieParams
from kiegen_nb.kie.models.fields import addresses, as_list, as_number, not_blank
from kiegen_nb.kie.models.veo3_steps import Seed, Via, ViaField, Watermark, after_video
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kiegen_nb.kie.models.fields import Address
    from kiegen_nb.tasks import GenerationTask

Veo3Tier = Literal["veo3_fast", "veo3", "veo3_lite"]
GenerationType = Literal["TEXT_2_VIDEO", "FIRST_AND_LAST_FRAMES_2_VIDEO", "REFERENCE_2_VIDEO"]
Veo3Ratio = Literal["16:9", "9:16", "Auto"]
Resolution = Literal["720p", "1080p", "4k"]
Duration = Literal[4, 6, 8]

SLUG = "veo-3-1"
TEXT: GenerationType = "TEXT_2_VIDEO"
FRAMES: GenerationType = "FIRST_AND_LAST_FRAMES_2_VIDEO"
REFERENCE: GenerationType = "REFERENCE_2_VIDEO"
MOST_FRAMES, MOST_REFERENCES = 2, 3
FULL_LENGTH = 8


class KieVeo3Input(KieInput):
    """What Veo 3.1 reads.

    Attributes:
        prompt: what to show.
        generation_type: the mode; left out, the number of pictures decides between text and frames.
        image_urls: 1 or 2 pictures for frames (the first, or first and last), 1 to 3 in reference mode.
        aspect_ratio: ``16:9``, ``9:16`` or ``Auto``, which crops towards the picture's nearer shape.
        resolution: ``720p``, ``1080p`` or ``4k``.
        duration: 4, 6 or 8 seconds; 8 in reference mode.
        seeds: 10000 to 99999.
        watermark: a text to put on the video.
        enable_translation: translate the prompt to English first; the documents disagree on the default.
    """

    other_names: ClassVar[dict[str, str]] = {
        "generationType": "generation_type",
        "imageUrls": "image_urls",
        "images": "image_urls",
        "aspectRatio": "aspect_ratio",
        "enableTranslation": "enable_translation",
        "waterMark": "watermark",
    }

    prompt: Annotated[
        str,
        Field(description="What you would like to see", json_schema_extra={"control": "textarea"}),
        AfterValidator(not_blank),
    ]
    generation_type: Annotated[
        GenerationType | None,
        Field(title="Mode", description="Empty: text without pictures, frames with one or two"),
    ] = None
    image_urls: Annotated[
        Annotated[
            tuple[str, ...], BeforeValidator(as_list), Field(max_length=MOST_REFERENCES), AfterValidator(addresses)
        ]
        | None,
        Field(
            title="Pictures",
            description="First frame, or first and last; up to three in reference mode",
            json_schema_extra={
                "control": "images",
                "max_items": MOST_REFERENCES,
                "when": {"generation_type": [None, FRAMES, REFERENCE]},
            },
        ),
    ] = None
    aspect_ratio: Annotated[Veo3Ratio, Field(description="The video's shape")] = "16:9"
    resolution: Annotated[Resolution, Field(description="More pixels cost more")] = "720p"
    duration: Annotated[
        Duration,
        BeforeValidator(as_number),
        Field(
            title="Seconds",
            description="The video's length; always 8 in reference mode",
            json_schema_extra={"when": {"generation_type": [None, TEXT, FRAMES]}},
        ),
    ] = 8
    seeds: Seed = None
    watermark: Watermark = None
    enable_translation: Annotated[
        bool | None,
        Field(
            title="Translate the prompt",
            description="To English, before it is used",
            json_schema_extra={"advanced": True},
        ),
    ] = None


class KieVeo3Params(KieParams):
    """A video from Veo 3.1, as ``{"service":"KIE","model":"VEO3","apiModel":"veo3_fast","input":{...}}``.

    ``"via": "veo"`` beside ``input`` sends it to Veo's older endpoints.

    Example:
        >>> KieVeo3Params.build(prompt="a red kite").mode
        'TEXT_2_VIDEO'
    """

    python_name: ClassVar[str] = "veo3"
    title: ClassVar[str] = "Veo 3.1"
    asset_kind: ClassVar[AssetKind] = AssetKind.VIDEO
    time_limit: ClassVar[float] = VIDEO_TIME_LIMIT
    slug_names: ClassVar[tuple[str, ...]] = ("model",)

    service: Literal["KIE"] = "KIE"
    model: Literal["VEO3"] = "VEO3"
    api_model: Annotated[Veo3Tier, Field(title="Model", description="Fast, Quality or Lite")] = "veo3_fast"
    via: ViaField = "jobs"
    input: KieVeo3Input

    @property
    def mode(self) -> GenerationType:
        """The mode it is made in: the one asked for, else what its pictures say."""
        return self.input.generation_type or (FRAMES if self.input.image_urls else TEXT)

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield what does not fit together."""
        asked, count = self.input.generation_type, len(self.input.image_urls or ())
        if self.mode == TEXT and count:
            yield "image_urls", f"text mode takes no pictures; choose {FRAMES} or {REFERENCE}, or leave them out."
        if self.mode == FRAMES and not count:
            yield "image_urls", "frames mode needs one picture (the first frame) or two (first and last)."
        if self.mode == FRAMES and count > MOST_FRAMES:
            other = "" if asked else f", or choose {REFERENCE}"
            yield "image_urls", f"has {count} pictures; frames mode takes one or two{other}."
        if self.mode == REFERENCE:
            if not count:
                yield "image_urls", f"reference mode needs 1 to {MOST_REFERENCES} pictures."
            if self.api_model == "veo3":
                yield "api_model", "veo3 (Quality) has no reference mode; choose veo3_fast or veo3_lite."
            if self.input.duration != FULL_LENGTH:
                yield "duration", f"reference mode makes {FULL_LENGTH} seconds only, not {self.input.duration}."

    def wire_input(self) -> dict[str, Any]:
        """Return the fields as they are sent, by their names in the jobs API."""
        return self._given() | {"model": self.api_model, "generation_type": self.mode}

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call of its road."""
        fields = self.wire_input()
        if self.via == "jobs":
            return {"model": SLUG, "input": fields}
        # aspect_ratio is the one field the newer pages of this road spell with an underscore.
        return {name if name == "aspect_ratio" else to_camel(name): value for name, value in fields.items()}

    @classmethod
    def follow_ups(cls, task: GenerationTask) -> tuple[FollowUp, ...]:
        """Return extend, 1080p and 4K, as far as the documents allow them after this task."""
        return after_video(task)


def veo3(
    prompt: str,
    *,
    api_model: Veo3Tier = "veo3_fast",
    generation_type: GenerationType | None = None,
    images: Sequence[Address] | Address | None = None,
    image_urls: Sequence[Address] | Address | None = None,
    aspect_ratio: Veo3Ratio | None = None,
    resolution: Resolution | None = None,
    duration: Duration | None = None,
    seeds: int | None = None,
    watermark: str | None = None,
    enable_translation: bool | None = None,
    via: Via = "jobs",
) -> KieVeo3Params:
    """Describe a video for Veo 3.1; ``session.submit`` sends it.

    Args:
        prompt: what to show.
        api_model: ``veo3_fast`` (60 credits at 720p), ``veo3`` (Quality, 250) or ``veo3_lite`` (30).
        generation_type: ``TEXT_2_VIDEO``, ``FIRST_AND_LAST_FRAMES_2_VIDEO`` or ``REFERENCE_2_VIDEO`` (Fast and Lite
            only); left out, it is text without pictures and frames with one or two.
        images: another name of ``image_urls``.
        image_urls: http(s) addresses or uploads: one or two pictures for frames (first, or first and last), one to
            three in reference mode.
        aspect_ratio: ``16:9`` (default), ``9:16`` or ``Auto``.
        resolution: ``720p`` (default), ``1080p`` or ``4k``.
        duration: 4, 6 or 8 (default) seconds; 8 only in reference mode.
        seeds: a whole number from 10000 to 99999; newer pages no longer list it.
        watermark: a text to put on the video.
        enable_translation: translate the prompt to English first.
        via: ``"jobs"`` for the current API, ``"veo"`` for Veo's older endpoints; what follows takes the same road.

    Raises:
        InvalidParams: with one sentence per wrong field; nothing is sent.

    Source: docs.kie.ai/market (veo-3-1) as of 2026-10-07, docs.kie.ai/veo3-api as of 2026-06-30.

    Example:
        >>> veo3("a red kite", images=["https://example.com/first.png"]).mode
        'FIRST_AND_LAST_FRAMES_2_VIDEO'
    """
    return KieVeo3Params.build(
        prompt=prompt,
        api_model=api_model,
        generation_type=generation_type,
        images=images,
        image_urls=image_urls,
        aspect_ratio=aspect_ratio,
        resolution=resolution,
        duration=duration,
        seeds=seeds,
        watermark=watermark,
        enable_translation=enable_translation,
        via=via,
    )
