"""Where each kind of request is sent and looked at: the jobs API and the older endpoints of Veo and Midjourney.

The program never changes from one road to another: a request's JSON alone says which it took.
Source: docs.kie.ai/veo3-api and docs.kie.ai/mj-api with their mirrors, as of 2026-10.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kiegen_nb.kie import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from kiegen_nb.service import Outcome
    from kiegen_nb.tasks import AssetKind, GenerationTask

JOBS = "jobs"
"""The road of every current model."""


@dataclass(frozen=True, slots=True)
class Road:
    """One kind of request.

    Attributes:
        create: the path it is posted to, None where nothing is created because looking is all there is to it.
        look: the path its state is asked at.
        read: reads the answer to a look, given what a result is expected to be.
        read_create: reads the answer to the create, given the body that was sent.
        interval: the least seconds between two looks that the service asks for, None for no wish of its own.
        asks_with_index: whether a look names a result of the parent task, too.
    """

    create: str | None
    look: str
    read: Callable[[httpx.Response, AssetKind], Outcome]
    read_create: Callable[[httpx.Response, Mapping[str, Any]], Outcome] = wire.read_create
    interval: float | None = None
    asks_with_index: bool = False


_VEO_LOOK, _MJ_LOOK = "/api/v1/veo/record-info", "/api/v1/mj/record-info"

ROADS: dict[str, Road] = {
    JOBS: Road("/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo", wire.read_look),
    "veo": Road("/api/v1/veo/generate", _VEO_LOOK, wire.read_veo_look),
    "veo/extend": Road("/api/v1/veo/extend", _VEO_LOOK, wire.read_veo_look),
    "veo/4k": Road("/api/v1/veo/get-4k-video", _VEO_LOOK, wire.read_veo_look, wire.read_4k_create, interval=30.0),
    "veo/1080p": Road(None, "/api/v1/veo/get-1080p-video", wire.read_copy_look, interval=25.0, asks_with_index=True),
    "mj": Road("/api/v1/mj/generate", _MJ_LOOK, wire.read_midjourney_look),
    "mj/upscale": Road("/api/v1/mj/generateUpscale", _MJ_LOOK, wire.read_midjourney_look),
    "mj/vary": Road("/api/v1/mj/generateVary", _MJ_LOOK, wire.read_midjourney_look),
    "mj/extend": Road("/api/v1/mj/generateVideoExtend", _MJ_LOOK, wire.read_midjourney_look),
}
"""Road -> its endpoints; one row is all a new one needs."""

_VEO_SLUGS = {"veo/extend": "veo/extend", "veo/get-4k-video": "veo/4k", "veo/get-1080p-video": "veo/1080p"}
_MJ_SLUGS = {
    "mj_upscale": "mj/upscale",
    "mj_vary": "mj/vary",
    "mj_video_extend_manual": "mj/extend",
    "mj_video_extend_auto": "mj/extend",
}


@dataclass(frozen=True, slots=True)
class Question:
    """One look: what is sent where, and who reads the answer."""

    method: str
    path: str
    read: Callable[[httpx.Response, AssetKind], Outcome]
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None


def road_name(provider_params: Mapping[str, Any]) -> str:
    """Return the road a request in its JSON form takes; whatever is not understood went through jobs."""
    model, slug = provider_params.get("model"), str(provider_params.get("apiModel"))
    if model == "MIDJOURNEY":
        return _MJ_SLUGS.get(slug, "mj")
    if model == "VEO3" and provider_params.get("via") == "veo":
        return _VEO_SLUGS.get(slug, "veo")
    return JOBS


def road_of(task: GenerationTask) -> Road:
    """Return the road a task took; its stored request may come from any version and is not checked."""
    return ROADS[road_name(task.provider_params)]


def question_about(task: GenerationTask) -> Question:
    """Return how a task is looked at."""
    road = road_of(task)
    task_id = task.external_task_id or ""
    asked = task.provider_params.get("input")
    asked = asked if isinstance(asked, dict) else {}
    index = asked.get("index", 0)
    if road is ROADS["veo/4k"] and task_id == asked.get("task_id"):
        # The copy got no id of its own, so its record would be the video's. Asking for it again is the documented
        # way then, and is answered "is processing" or with its address; nothing new is made.
        return Question("POST", road.create or "", wire.read_copy_look, body={"taskId": task_id, "index": index})
    query = {"taskId": task_id} | ({"index": str(index)} if road.asks_with_index else {})
    return Question("GET", road.look, road.read, query)
