"""What can be done with a finished Midjourney task: upscale or vary a picture, extend a video.

Each is a task of its own.
Source: docs.kie.ai/mj-api in its 2025 copies. A later copy counts vary's pictures from 1; the older one is followed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from kiegen_nb.kie.models.base import FollowUp, KieInput, KieParams
from kiegen_nb.kie.models.fields import as_number, not_blank
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiegen_nb.tasks import GenerationTask

MidjourneyStep = Literal["mj_upscale", "mj_vary", "mj_video_extend_manual", "mj_video_extend_auto"]
PROMPT_LIMIT = 2000
PICTURES = 4  # of one task
MANUAL, AUTO = "mj_video_extend_manual", "mj_video_extend_auto"
STATUS_NOTE = (
    "Not in Kie's current catalogue since mid-2026 (no page by 2026-07-29, no price by 2026-09-24): a real request "
    "may be refused; the sandbox answers as the pages said."
)

WaterMark = Annotated[
    str | None, Field(title="Watermark", description="A text to put on it", json_schema_extra={"advanced": True})
]


class KieMidjourneyFollowUpInput(KieInput):
    """What a step after a finished Midjourney task reads.

    Attributes:
        task_id: the service's id of the finished task.
        image_index: which of its pictures, 0 to 3, for upscale and vary.
        index: which of its videos, from 0, for extend.
        prompt: how the video goes on, at most 2,000 characters; needed for the manual kind.
        water_mark: a text to put on it.
    """

    other_names: ClassVar[dict[str, str]] = {
        "taskId": "task_id",
        "imageIndex": "image_index",
        "waterMark": "water_mark",
        "watermark": "water_mark",
    }

    task_id: Annotated[
        str, Field(title="Finished task", description="The service's id of it"), AfterValidator(not_blank)
    ]
    image_index: Annotated[
        Annotated[int, BeforeValidator(as_number), Field(ge=0, lt=PICTURES)] | None,
        Field(
            title="Picture",
            description="Which one, 0 to 3",
            json_schema_extra={"when": {"api_model": ["mj_upscale", "mj_vary"]}},
        ),
    ] = None
    index: Annotated[
        Annotated[int, BeforeValidator(as_number), Field(ge=0)] | None,
        Field(
            title="Video", description="Which one, from 0", json_schema_extra={"when": {"api_model": [MANUAL, AUTO]}}
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Field(
            max_length=PROMPT_LIMIT,
            description="How the video goes on, in English",
            json_schema_extra={"control": "textarea", "when": {"api_model": [MANUAL, AUTO]}},
        ),
    ] = None
    water_mark: WaterMark = None


class KieMidjourneyFollowUp(KieParams):
    """Upscale, vary or extend what a finished Midjourney task made: a task of its own.

    Example:
        >>> KieMidjourneyFollowUp.build(api_model="mj_upscale", task_id="m1", image_index=2).wire()
        {'taskId': 'm1', 'imageIndex': 2}
    """

    python_name: ClassVar[str] = "KieMidjourneyFollowUp.build"
    prompt_first: ClassVar[bool] = False
    title: ClassVar[str] = "Midjourney follow-up"
    status_note: ClassVar[str | None] = STATUS_NOTE
    slug_names: ClassVar[tuple[str, ...]] = ("taskType", "task_type")

    service: Literal["KIE"] = "KIE"
    model: Literal["MIDJOURNEY"] = "MIDJOURNEY"
    api_model: Annotated[MidjourneyStep, Field(title="Step", description="Upscale, vary or extend")]
    input: KieMidjourneyFollowUpInput

    @classmethod
    def kind_of(cls, api_model: str) -> AssetKind:
        """Return video for the two ways to extend one, else image."""
        return AssetKind.VIDEO if api_model in {MANUAL, AUTO} else AssetKind.IMAGE

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the first picture or video where none is named."""
        return {"index" if api_model in {MANUAL, AUTO} else "image_index": 0} | fields

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield what does not belong to the step."""
        extends = self.api_model in {MANUAL, AUTO}
        if self.api_model == MANUAL and not (self.input.prompt or "").strip():
            yield "prompt", "is empty. Write how the video goes on, or choose mj_video_extend_auto."
        for name in ("image_index",) if extends else ("index", "prompt"):
            if getattr(self.input, name) is not None:
                yield name, f"is no field of {self.api_model}; leave it out."

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call."""
        body = {to_camel(name): value for name, value in self.wire_input().items()}
        return {"taskType": self.api_model} | body if self.api_model in {MANUAL, AUTO} else body

    @classmethod
    def follow_ups(cls, task: GenerationTask) -> tuple[FollowUp, ...]:
        """Return what can be done again: vary gives a new set of pictures, extend a longer video."""
        if task.api_model in {MANUAL, AUTO}:
            return after_video(task)
        return after_pictures(task) if task.api_model == "mj_vary" else ()


def after_pictures(task: GenerationTask) -> tuple[FollowUp, ...]:
    """Return upscale and vary, for each picture."""

    def make(slug: str, index: int, _: str | None) -> KieParams:
        return KieMidjourneyFollowUp.build(api_model=slug, task_id=task.external_task_id, image_index=index)

    choices = _choices(task, AssetKind.IMAGE, PICTURES)
    return tuple(
        FollowUp(name, title, needs_prompt=False, choices=choices, kind=AssetKind.IMAGE, maker=partial(make, slug))
        for name, title, slug in (("upscale", "Upscale", "mj_upscale"), ("vary", "Vary", "mj_vary"))
    )


def after_video(task: GenerationTask) -> tuple[FollowUp, ...]:
    """Return the two ways to extend, for each video."""

    def make(slug: str, index: int, prompt: str | None) -> KieParams:
        return KieMidjourneyFollowUp.build(api_model=slug, task_id=task.external_task_id, index=index, prompt=prompt)

    choices, kind = _choices(task, AssetKind.VIDEO, None), AssetKind.VIDEO
    return (
        FollowUp("extend_auto", "Extend", needs_prompt=False, choices=choices, kind=kind, maker=partial(make, AUTO)),
        FollowUp(
            "extend_manual",
            "Extend with a text",
            needs_prompt=True,
            choices=choices,
            kind=kind,
            maker=partial(make, MANUAL),
        ),
    )


def _choices(task: GenerationTask, kind: AssetKind, most: int | None) -> tuple[int, ...]:
    found = len([asset for asset in task.assets if asset.kind is kind])
    return tuple(range(max(1, found)))[:most]
