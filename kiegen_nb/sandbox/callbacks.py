"""Callbacks: a finished task is told to its ``callBackUrl``, if that lies on this machine."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from .handlers import SANDBOX_HEADER
from .records import record, result_of, state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .app import Sandbox
    from .plans import Task

TRIES = 3
PATIENCE = 15.0
PAUSE = 2.0


def is_local(url: object) -> bool:
    """Say whether an address is http on this machine: the sandbox calls nothing else."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https"):
        return False
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def signature(task_id: str, timestamp: str, key: str) -> str:
    """Return the documented signature, which covers task and time and not the body."""
    made = hmac.new(key.encode(), f"{task_id}.{timestamp}".encode(), hashlib.sha256)
    return base64.b64encode(made.digest()).decode()


class Callbacks:
    """The callbacks still to be made, kept in the file so that a later sandbox makes them.

    Args:
        sandbox: The server.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._running: set[asyncio.Task[None]] = set()

    def resume(self, base_url: str) -> None:
        """Take up what an earlier sandbox on the file left."""
        for task_id, url, due in self._sandbox.store.callbacks():
            self._start(task_id, url, due, base_url)

    def expect(self, task: Task, body: Mapping[str, Any], base_url: str) -> None:
        """Have a task's callbacks made; addresses elsewhere are ignored.

        Args:
            task: The new task.
            body: Its request.
            base_url: What result addresses start with.
        """
        calls = [(body.get("callBackUrl"), task.created + task.duration)]
        if task.model.startswith("sora-2") and "characters" not in task.model:
            # The payload of a progress call is undocumented; half-way, the record as it stands is sent.
            calls.append((body.get("progressCallBackUrl"), task.created + task.duration / 2))
        for url, due in calls:
            if isinstance(url, str) and is_local(url):
                self._sandbox.store.remember_callback(task.task_id, url, due)
                self._start(task.task_id, url, due, base_url)

    def stop(self) -> None:
        """Leave the rest to a later sandbox."""
        for running in self._running:
            running.cancel()

    def _start(self, task_id: str, url: str, due: float, base_url: str) -> None:
        running = asyncio.get_running_loop().create_task(self._call(task_id, url, due, base_url))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _call(self, task_id: str, url: str, due: float, base_url: str) -> None:
        store = self._sandbox.store
        await asyncio.sleep(max(due - store.clock(), 0))
        task = store.task(task_id)
        if task is None or not store.claim_callback(task_id, due):
            return
        body = callback_body(task, store.clock(), base_url)
        for _ in range(TRIES):
            if await self._post(url, task_id, body):
                return
            await asyncio.sleep(PAUSE / store.speed)

    async def _post(self, url: str, task_id: str, body: dict[str, Any]) -> bool:
        timestamp = str(int(self._sandbox.store.clock()))
        headers = {"Content-Type": "application/json", SANDBOX_HEADER: "1"}
        if key := self._sandbox.options.hmac_key:
            headers["X-Webhook-Timestamp"] = timestamp
            headers["X-Webhook-Signature"] = signature(task_id, timestamp, key)
        request = HTTPRequest(
            url,
            "POST",
            headers,
            json.dumps(body, ensure_ascii=False),
            request_timeout=PATIENCE,
            connect_timeout=PATIENCE,
            follow_redirects=False,  # a redirect could lead off this machine
        )
        try:
            answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        except (OSError, ValueError):
            return False
        return answer.code == 200  # noqa: PLR2004 - what the receiver is asked to answer


def callback_body(task: Task, now: float, base_url: str) -> dict[str, Any]:
    """Return what a finished task's callback says, in its family's form."""
    word, _ = state(task, max(now, task.created + task.grace))
    family = task.model.partition(":")[0] if ":" in task.model else "jobs"
    if family == "jobs":
        data = record(task, max(now, task.created + task.grace), base_url)
        if word == "fail":
            return {"code": 501, "msg": "Playground task failed.", "data": {**data, "resultJson": None}}
        return {"code": 200, "msg": "Playground task completed successfully.", "data": data}
    if word == "fail":
        none_made: dict[str, Any] = {"resultUrls": []} if family == "mj" else {}
        code = 500 if family == "mj" else int(task.fail_code)
        return {"code": code, "msg": task.fail_msg, "data": {"taskId": task.task_id, **none_made}}
    result = result_of(task, base_url)
    urls = result.get("resultUrls", [])
    data = {"taskId": task.task_id}
    message = "success"
    if family == "veo" and task.model.endswith("4k-video"):
        data["info"] = {"resultUrls": urls, "imageUrls": result.get("imageUrls")}
    elif family == "veo":
        message = "Veo3.1 video generated successfully."
        info = {"resultUrls": urls, "originUrls": result.get("originUrls", []), "resolution": "720p"}
        data |= {"promptJson": task.param, "info": info, "fallbackFlag": False}
    elif family == "mj":
        data |= {"promptJson": task.param, "resultUrls": urls}
    elif family == "gpt4o-image":
        data["info"] = {"result_urls": urls}
    elif family == "flux-kontext":
        data["info"] = {"originImageUrl": None, "resultImageUrl": urls[0]}
    elif family == "suno":
        data = {"callbackType": "complete", "task_id": task.task_id, "data": result["data"]}
    else:
        data = {
            "task_id": task.task_id,
            "video_id": task.task_id,
            "video_url": urls[0],
            "image_url": result["imageUrl"],
        }
    return {"code": 200, "msg": message, "data": data}
