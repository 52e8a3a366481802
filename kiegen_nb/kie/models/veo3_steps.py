"""What can be done with a finished Veo video: extend it, or get it in 1080p or 4K.

Each is a task of its own and takes the road of its parent.
Source: docs.kie.ai/market (veo/extend, veo/get-1080p-video, veo/get-4k-video) as of 2026-10-07, and
docs.kie.ai/veo3-api in its mirrors as of 2026-06-30.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.alias_generators import to_camel

from kiegen_nb.kie.models.base import VIDEO_TIME_LIMIT, FollowUp, KieInput, KieParams
from kiegen_nb.kie.models.fields import as_number, not_blank
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kiegen_nb.tasks import GenerationTask

Via = Literal["jobs", "veo"]
ExtendTier = Literal["fast", "quality", "lite"]
EXTEND, TO_1080P, TO_4K = "veo/extend", "veo/get-1080p-video", "veo/get-4k-video"

Seed = Annotated[
    int | None,
    Field(
        title="Seed",
        ge=10_000,
        le=99_999,
        description="10000 to 99999 repeats a video; newer pages no longer list it",
        json_schema_extra={"advanced": True},
    ),
]
Watermark = Annotated[str | None, Field(description="A text to put on the video", json_schema_extra={"advanced": True})]
ViaField = Annotated[
    Via,
    Field(
        title="Road",
        description="jobs: the current API; veo: Veo's older endpoints",
        json_schema_extra={"advanced": True},
    ),
]


class KieVeo3FollowUpInput(KieInput):
    """What a step after a finished Veo video reads.

    Attributes:
        task_id: the service's id of the finished task.
        prompt: how an extended video goes on.
        tier: what makes the new part: ``fast``, ``quality`` or ``lite``.
        index: which video of the task to get a better copy of, from 0.
        seeds: 10000 to 99999, for extend.
        watermark: a text to put on the video, for extend.
    """

    other_names: ClassVar[dict[str, str]] = {"taskId": "task_id", "model": "tier", "waterMark": "watermark"}

    task_id: Annotated[
        str, Field(title="Finished task", description="The service's id of it"), AfterValidator(not_blank)
    ]
    prompt: Annotated[
        str | None,
        Field(
            description="How the video goes on",
            json_schema_extra={"control": "textarea", "when": {"api_model": [EXTEND]}},
        ),
    ] = None
    tier: Annotated[
        ExtendTier | None,
        Field(description="What makes the new part", json_schema_extra={"when": {"api_model": [EXTEND]}}),
    ] = None
    index: Annotated[
        Annotated[int, BeforeValidator(as_number), Field(ge=0)] | None,
        Field(
            title="Video",
            description="Which one, from 0",
            json_schema_extra={"when": {"api_model": [TO_1080P, TO_4K]}},
        ),
    ] = None
    seeds: Seed = None
    watermark: Watermark = None


class KieVeo3FollowUp(KieParams):
    """Extend, 1080p or 4K of a finished Veo video: a task of its own, on the road of its parent.

    Example:
        >>> KieVeo3FollowUp.build(api_model="veo/extend", task_id="v1", prompt="it lands").wire()["input"]
        {'task_id': 'v1', 'prompt': 'it lands', 'model': 'fast'}
    """

    python_name: ClassVar[str] = "KieVeo3FollowUp.build"
    prompt_first: ClassVar[bool] = False
    title: ClassVar[str] = "Veo 3.1 follow-up"
    asset_kind: ClassVar[AssetKind] = AssetKind.VIDEO
    time_limit: ClassVar[float] = VIDEO_TIME_LIMIT

    service: Literal["KIE"] = "KIE"
    model: Literal["VEO3"] = "VEO3"
    api_model: Annotated[
        Literal["veo/extend", "veo/get-1080p-video", "veo/get-4k-video"],
        Field(title="Step", description="Extend it, or get a better copy"),
    ]
    via: ViaField = "jobs"
    input: KieVeo3FollowUpInput

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the documented default of each step."""
        return ({"tier": "fast"} if api_model == EXTEND else {"index": 0}) | fields

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield what does not belong to the step."""
        extends = self.api_model == EXTEND
        if extends and not (self.input.prompt or "").strip():
            yield "prompt", "is empty. Write how the video goes on."
        strange = ("index",) if extends else ("prompt", "tier", "seeds", "watermark")
        for name in strange:
            if getattr(self.input, name) is not None:
                yield name, f"is no field of {self.api_model}; leave it out."

    def wire_input(self) -> dict[str, Any]:
        """Return the fields as they are sent, by their names in the jobs API."""
        fields = self._given()
        if "tier" in fields:
            fields["model"] = fields.pop("tier")
        if self.api_model == TO_1080P:
            # This page alone spells taskId so, and calls the index a text while its example sends a number. The
            # first video is the default, so nothing is said about it.
            index = {"index": str(self.input.index)} if self.input.index else {}
            return {"taskId": self.input.task_id} | index
        return fields

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call of its road (for 1080p there, of every look)."""
        if self.via == "jobs":
            return {"model": self.api_model, "input": self.wire_input()}
        fields = self._given()
        if "tier" in fields:
            fields["model"] = fields.pop("tier")
        return {to_camel(name): value for name, value in fields.items()}

    @classmethod
    def follow_ups(cls, task: GenerationTask) -> tuple[FollowUp, ...]:
        """Return extend, which can be repeated; better copies are documented for first videos only."""
        if task.api_model != EXTEND:
            return ()
        tier = _input_of(task).get("tier")
        return (_extend(task, tier if tier in _EXTEND_TIER.values() else "fast"),)


_EXTEND_TIER: dict[str, ExtendTier] = {"veo3_fast": "fast", "veo3": "quality", "veo3_lite": "lite"}


def after_video(task: GenerationTask) -> tuple[FollowUp, ...]:
    """Return extend, 1080p and 4K, as far as the documents allow them after a video made from a prompt."""
    resolution = _input_of(task).get("resolution", "720p")
    upgrades = not _is_fallback(task)  # such a video cannot be upgraded
    offered = []
    # What has 1080p already can neither be extended nor asked for in 1080p.
    if resolution == "720p":
        offered.append(_extend(task, _EXTEND_TIER.get(task.api_model, "fast")))
    if resolution == "720p" and upgrades:
        offered.append(_copy(task, "1080p", "Get 1080p", TO_1080P))
    if resolution != "4k" and upgrades:
        offered.append(_copy(task, "4k", "Get 4K", TO_4K))
    return tuple(offered)


def _extend(task: GenerationTask, tier: object) -> FollowUp:
    def make(_: int, prompt: str | None) -> KieParams:
        return KieVeo3FollowUp.build(
            api_model=EXTEND, via=_via_of(task), task_id=task.external_task_id, prompt=prompt, tier=tier
        )

    return FollowUp("extend", "Extend", needs_prompt=True, choices=(0,), kind=AssetKind.VIDEO, maker=make)


def _copy(task: GenerationTask, name: str, title: str, slug: str) -> FollowUp:
    def make(index: int, _: str | None) -> KieParams:
        return KieVeo3FollowUp.build(api_model=slug, via=_via_of(task), task_id=task.external_task_id, index=index)

    videos = [asset for asset in task.assets if asset.kind is AssetKind.VIDEO]
    choices = tuple(range(max(1, len(videos))))
    return FollowUp(name, title, needs_prompt=False, choices=choices, kind=AssetKind.VIDEO, maker=make)


def _via_of(task: GenerationTask) -> Via:
    return "veo" if task.provider_params.get("via") == "veo" else "jobs"


def _input_of(task: GenerationTask) -> dict[str, Any]:
    fields = task.provider_params.get("input")
    return fields if isinstance(fields, dict) else {}


def _is_fallback(task: GenerationTask) -> bool:
    try:
        result = json.loads(task.result_json or "{}")
    except (ValueError, RecursionError):
        return False
    return isinstance(result, dict) and result.get("fallbackFlag") is True
