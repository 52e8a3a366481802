"""The dedicated endpoints of before the market: Veo, Midjourney, 4o Image, Flux Kontext, Runway, Aleph, Suno.

Each takes a flat body and has a status call of its own; one table joins the paths to the catalogue's entries.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .checks import NO_RECORD, PAUSED, RefusedError
from .files import LINK_LIFE, result_file
from .handlers import ApiHandler, CreateHandler
from .outcomes import invented_id
from .records import family_record, result_of, state

if TYPE_CHECKING:
    from .plans import Task

NO_SUCH_RECORD = "The record does not exist"
PROCESSING_1080 = "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."
PROCESSING_4K = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
MADE_4K = "The video has been generated successfully"

# Suno's own path is in no catalogue entry; these are the fields its page marks as required.
SUNO: dict[str, Any] = {
    "slug": "suno:generate",
    "category": "music",
    "status": "legacy",
    "credits": "12",
    "params": {
        "customMode": {"type": "boolean", "required": True},
        "instrumental": {"type": "boolean", "required": True},
        "model": {"type": "string", "required": True},
        "prompt": {"type": "string", "required": False, "maxLength": 5000},
        "style": {"type": "string", "required": False, "maxLength": 1000},
        "title": {"type": "string", "required": False, "maxLength": 100},
    },
}
# What a follow-up may follow.
_PARENTS = {
    "veo:extend": ("veo:generate", "veo:extend"),
    "mj:generateUpscale": ("mj:generate", "mj:generateVary"),
    "mj:generateVary": ("mj:generate", "mj:generateVary"),
    "mj:generateVideoExtend": ("mj:generate", "mj:generateVideoExtend"),
    "runway:extend": ("runway:generate", "runway:extend"),
}


class FamilyHandler(ApiHandler):
    """A dedicated path.

    Attributes:
        slug: The catalogue's name of the endpoint, or the family's for a status call.
    """

    slug = ""

    def initialize(self, slug: str) -> None:
        """Take the table's row."""
        self.slug = slug

    def finished_parent(self, account: str, task_id: object, kinds: tuple[str, ...]) -> Task:
        """Return the earlier task a follow-up names.

        Raises:
            RefusedError: There is none of this family, or it has not succeeded.
        """
        task = self.sandbox.store.task(task_id) if isinstance(task_id, str) else None
        if task is None or task.account != account or task.model not in kinds:
            raise RefusedError(404, NO_SUCH_RECORD)
        if state(task, self.sandbox.store.clock())[0] != "success":
            raise RefusedError(422, "The status of the record is not success")
        return task


class Generate(FamilyHandler, CreateHandler):
    """``POST`` of a dedicated endpoint that makes a task."""

    async def post(self, *_: str) -> None:
        """Accept one task."""
        await self.respond(self._create)

    def _create(self, account: str) -> dict[str, str]:
        body = self.json_body()
        if self.sandbox.options.today and self.slug.startswith("mj:"):
            raise RefusedError(422, PAUSED)
        self._check(account, body)
        try:
            task = self.sandbox.store.create(account, body, self.sandbox.endpoints[self.slug])
        except RefusedError as refusal:
            # The dedicated pages call a wrong field 422; 500 for it was seen on the market's path only.
            raise RefusedError(422 if refusal.code == 500 else refusal.code, refusal.msg) from None  # noqa: PLR2004
        self.sandbox.callbacks.expect(task, body, self.base_url)
        return {"taskId": task.task_id}

    def _check(self, account: str, body: dict[str, Any]) -> None:
        if self.slug == "veo:generate":
            if not body.get("prompt"):
                raise RefusedError(422, "Please enter prompt")
            # Gone from the schema in 2026: whatever it says is ignored.
            body.pop("seeds", None)
        if self.slug == "mj:generate":
            body.setdefault("taskType", "mj_txt2img")
            if body.get("speed") == "relax":
                body["speed"] = "relaxed"
            if body.get("taskType") in ("mj_video", "mj_video_hd", "mj_omni_reference"):
                body.pop("speed", None)
            if isinstance(body.get("fileUrls"), str):
                body["fileUrls"] = [body["fileUrls"]]
        if self.slug == "mj:generateVary" and body.get("imageIndex") == 4:  # noqa: PLR2004 - one copy counts from 1
            body["imageIndex"] = 3
        if self.slug in _PARENTS:
            parent = self.finished_parent(account, body.get("taskId"), _PARENTS[self.slug])
            if self.slug == "veo:extend" and json.loads(parent.param).get("resolution") == "1080p":
                raise RefusedError(400, "A video in 1080P cannot be extended")


class Status(FamilyHandler):
    """``GET`` of a dedicated family's status call."""

    route = "look"

    async def get(self, *_: str) -> None:
        """Say where a task stands."""
        await self.respond(self._look)

    def _look(self, account: str) -> dict[str, Any] | None:
        store = self.sandbox.store
        store.count(account, "looks")
        task_id = self.get_query_argument("taskId", "")
        if not task_id:
            raise RefusedError(400, "taskId parameter is required")
        self.sandbox.limit_looks(task_id)
        task = store.task(task_id)
        if task is None or task.account != account or task.model.partition(":")[0] != self.slug:
            if self.slug == "suno":
                return None
            raise RefusedError(422, NO_SUCH_RECORD if self.slug in ("gpt4o-image", "flux-kontext") else NO_RECORD)
        return family_record(task, store.clock(), self.base_url)


class Full1080(FamilyHandler):
    """``GET /api/v1/veo/get-1080p-video``: no create; the first call begins the work, repeats ask for it."""

    route = "look"

    async def get(self) -> None:
        """Answer the address, or that it is not ready."""
        await self.respond(self._look)

    def _look(self, account: str) -> dict[str, str]:
        store = self.sandbox.store
        store.count(account, "looks")
        task_id, index = self.get_query_argument("taskId", ""), self.get_query_argument("index", "0")
        if not task_id:
            raise RefusedError(400, "taskId parameter is required")
        if not index.isdecimal():
            raise RefusedError(422, "index is not within the range of allowed options")
        own_id = invented_id(task_id, self.slug, int(index))
        self.sandbox.limit_looks(own_id)
        self.finished_parent(account, task_id, ("veo:generate", "veo:extend"))
        task = store.task(own_id)
        if task is None:
            body = {"taskId": task_id, "index": int(index)}
            task = store.create(account, body, self.sandbox.endpoints[self.slug], own_id)
        if state(task, store.clock())[0] != "success":
            raise RefusedError(400, PROCESSING_1080)
        return {"resultUrl": result_of(task, self.base_url)["resultUrls"][0]}


class Full4K(FamilyHandler, CreateHandler):
    """``POST /api/v1/veo/get-4k-video``: the first call makes a task, repeats are refused with its state."""

    async def post(self) -> None:
        """Begin, or say how far it is."""
        await self.respond(self._ask)

    def _ask(self, account: str) -> dict[str, Any]:
        store, body = self.sandbox.store, self.json_body()
        index = body.get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise RefusedError(422, "index is not within the range of allowed options")
        parent = self.finished_parent(account, body.get("taskId"), ("veo:generate", "veo:extend"))
        own_id = invented_id(parent.task_id, self.slug, index)
        task = store.task(own_id)
        if task is None:
            task = store.create(account, body, self.sandbox.endpoints[self.slug], own_id)
            self.sandbox.callbacks.expect(task, body, self.base_url)
            return {"taskId": own_id, "resultUrls": None, "imageUrls": None}
        if state(task, store.clock())[0] != "success":
            raise RefusedError(422, PROCESSING_4K, {"taskId": own_id, "resultUrls": None, "imageUrls": None})
        result = result_of(task, self.base_url)
        data = {"taskId": own_id, "resultUrls": result["resultUrls"], "imageUrls": result["imageUrls"]}
        raise RefusedError(422, MADE_4K, data)


class ImageDownload(ApiHandler):
    """``POST /api/v1/gpt4o-image/download-url``: like the common one, with the task beside the address."""

    async def post(self) -> None:
        """Answer a link that works for 20 minutes."""
        await self.respond(self._link)

    def _link(self, account: str) -> str:
        body = self.json_body()
        name = result_file(str(body.get("url", "")))
        task = self.sandbox.finished_file(name) if name else None
        if task is None or task.account != account or task.task_id != body.get("taskId"):
            raise RefusedError(422, "url is wrong")
        return f"{self.base_url}/files/{name}?expires={int(self.sandbox.store.clock()) + LINK_LIFE}"


class OmniHelper(ApiHandler):
    """``POST /api/v1/omni/{audio,character}/create``: helpers that answer at once."""

    async def post(self, what: str) -> None:
        """Answer the invented id."""
        await self.respond(lambda account: self._make(account, what))

    def _make(self, account: str, what: str) -> dict[str, Any]:
        body = self.json_body()
        for name in ("audio_id", "name") if what == "audio" else ("descriptions", "image_urls"):
            if not body.get(name):
                raise RefusedError(422, f"{name} is required")
        identity = invented_id(account, what, json.dumps(body, sort_keys=True))
        if what == "audio":
            return {"kieAudioId": identity, "name": body["name"]}
        first = body["image_urls"][0] if isinstance(body["image_urls"], list) else body["image_urls"]
        name = body.get("character_name") or "character"
        return {"characterId": identity, "characterName": name, "imageUrl": first, "bodyImageUrl": first}


FAMILY_ROUTES: list[tuple[Any, ...]] = [
    *(
        (rf"/api/v1/{path}", Generate, {"slug": slug})
        for path, slug in (
            ("veo/generate", "veo:generate"),
            ("veo/extend", "veo:extend"),
            ("mj/generate", "mj:generate"),
            ("mj/generateUpscale", "mj:generateUpscale"),
            ("mj/generateVary", "mj:generateVary"),
            ("mj/generateVideoExtend", "mj:generateVideoExtend"),
            ("gpt4o-image/generate", "gpt4o-image:generate"),
            ("flux/kontext/generate", "flux-kontext:generate"),
            ("runway/generate", "runway:generate"),
            ("runway/extend", "runway:extend"),
            ("aleph/generate", "aleph:generate"),
            ("generate", "suno:generate"),
        )
    ),
    *(
        (rf"/api/v1/{path}", Status, {"slug": family})
        for path, family in (
            ("veo/record-info", "veo"),
            ("mj/record-info", "mj"),
            ("gpt4o-image/record-info", "gpt4o-image"),
            ("flux/kontext/record-info", "flux-kontext"),
            ("runway/record-detail", "runway"),
            ("aleph/record-info", "aleph"),
            ("generate/record-info", "suno"),
        )
    ),
    (r"/api/v1/veo/get-1080p-video", Full1080, {"slug": "veo:get-1080p-video"}),
    (r"/api/v1/veo/get-4k-video", Full4K, {"slug": "veo:get-4k-video"}),
    (r"/api/v1/gpt4o-image/download-url", ImageDownload),
    (r"/api/v1/omni/(audio|character)/create", OmniHelper),
]
