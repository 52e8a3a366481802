"""Result files: drawn at their first request, sent whole or in part."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import tornado.web

from .checks import RefusedError
from .handlers import ApiHandler, BaseHandler

if TYPE_CHECKING:
    from .plans import Task

LINK_LIFE = 20 * 60
CACHE_BYTES = 64 * 2**20
CONTENT_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "wav": "audio/wav",
}
FILE_NAME = r"[0-9a-f]{32}-\d{1,2}\.[a-z0-9]{1,5}"


def result_file(url: str) -> str | None:
    """Return the file name in the address of a result, or None for an address that is none of ours.

    Any loopback port will do: the address may come from an earlier run on the same file.
    """
    try:
        parts = urlsplit(url)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    except ValueError:
        return None
    found = re.fullmatch(rf"/files/({FILE_NAME})", parts.path)
    return found[1] if local and found else None


class Pictures:
    """Result files, drawn in a worker thread at their first request and kept while memory allows."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="draw")
        self._drawn: OrderedDict[str, asyncio.Future[bytes]] = OrderedDict()

    async def get(self, task: Task, name: str) -> bytes:
        """Return the bytes of a result file; requests for the same file share one drawing."""
        future = self._drawn.get(name)
        if future is None:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._workers, _draw, task.recipe, name)
            self._drawn[name] = future
        self._drawn.move_to_end(name)
        try:
            # Shielded: a client that hangs up must not cancel the drawing others wait for.
            picture = await asyncio.shield(future)
        except Exception:
            self._drawn.pop(name, None)
            raise
        self._shrink()
        return picture

    def stop(self) -> None:
        """Drop drawings that have not begun."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _shrink(self) -> None:
        ready = [(name, len(future.result())) for name, future in self._drawn.items() if future.done()]
        total = sum(size for _, size in ready)
        for name, size in ready[:-1]:
            if total <= self._most_bytes:
                return
            del self._drawn[name]
            total -= size


def _draw(recipe: str, name: str) -> bytes:
    # Imported at the first drawing: Pillow would double the start-up time.
    from . import films, render  # noqa: PLC0415

    stem, suffix = name.rsplit(".", 1)
    number = int(stem.rsplit("-", 1)[1])
    given: dict[str, Any] = json.loads(recipe)
    part: dict[str, Any] = given["parts"][number] if "parts" in given else {"make": "picture"}
    given |= part
    index = part.get("index", number)
    make, prompt, seed = given["make"], given["prompt"], given["seed"]
    size = (given["width"], given["height"])
    if make == "picture":
        mark = given.get("mark", "")
        return render.render(prompt, seed=seed, index=index, size=size, file_format=suffix, mark=mark)
    if make == "layer":
        return render.cut_out(prompt, seed=seed, index=0, size=size, depth=part.get("depth"), file_format=suffix)
    if make == "mask":
        return render.mask(size, part["depth"])
    if make == "sound":
        return films.sound(seed, index, given["seconds"], part.get("rate", 16_000))
    # A film's copies (with a watermark, before cropping, its stills) show what the film shows.
    copy = make == "still" or len(part) > 2  # noqa: PLR2004 - more than its kind and its ending
    shot = films.Shot(
        prompt,
        seed,
        0 if copy else index,
        size,
        given["seconds"],
        begins=part.get("begins", 0.0),
        side=part.get("side", films.SIDE),
        mark=given.get("mark", ""),
    )
    return films.still(shot, part["share"]) if make == "still" else films.film(shot, suffix)


class DownloadUrl(ApiHandler):
    """``POST /api/v1/common/download-url``."""

    async def post(self) -> None:
        """Answer a link to a result file that works for 20 minutes."""
        await self.respond(self._link)

    def _link(self, _account: str) -> str:
        name = result_file(str(self.json_body().get("url", "")))
        if name is None or self.sandbox.finished_file(name) is None:
            raise RefusedError(422, "url is wrong")
        return f"{self.base_url}/files/{name}?expires={int(self.sandbox.store.clock()) + LINK_LIFE}"


class ResultFile(BaseHandler):
    """``GET /files/<task>-<n>.<suffix>``: a result, whole or in part, without a key."""

    route = "file"

    def named_task(self) -> str:
        """Return the task whose file is asked for."""
        return self.path_args[0].partition("-")[0]

    async def get(self, name: str) -> None:
        """Send the picture, or the one range asked for."""
        if await self.faulted("before"):
            return
        task = self.sandbox.finished_file(name)
        if task is None:
            raise tornado.web.HTTPError(404)
        if self.entry is not None:
            self.entry.account = task.account
        expires = parse_qs(self.request.query).get("expires", ["0"])[0]
        if expires != "0" and not (expires.isdecimal() and int(expires) > self.sandbox.store.clock()):
            raise tornado.web.HTTPError(403)
        picture = await self.sandbox.pictures.get(task, name)
        self.sandbox.store.count(task.account, "results")
        if not await self.faulted("after"):
            self._send(picture, name.rsplit(".", 1)[1])

    head = get

    def _send(self, picture: bytes, suffix: str) -> None:
        etag = f'"{hashlib.sha256(picture).hexdigest()[:32]}"'
        self.set_header("Content-Type", CONTENT_TYPES[suffix])
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", etag)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        asked = self.request.headers.get("Range", "")
        if self.request.headers.get("If-Range", etag) != etag:
            asked = ""
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip()):
            picture = self._cut(picture, found[1], found[2])
        # Set by hand, since tornado counts an empty body for HEAD.
        self.set_header("Content-Length", str(len(picture)))
        self.finish(None if self.request.method == "HEAD" else picture)

    def _cut(self, picture: bytes, first: str, last: str) -> bytes:
        size = len(picture)
        start = int(first) if first else max(size - int(last or 0), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return b""
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        return picture[start:stop]
