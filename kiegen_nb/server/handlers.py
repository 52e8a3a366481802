"""The two routes. Both need Jupyter's login; neither takes anything from the address but an id and a number."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web
from tornado.iostream import StreamClosedError

from kiegen_nb.server.files import open_result, wanted_range

if TYPE_CHECKING:
    from kiegen_nb.server.files import Opened
    from kiegen_nb.server.stores import Stores

TASKS = r"/kiegen_nb/api/generation/tasks"
MEDIA = r"/kiegen_nb/media/([0-9a-f]{32})/(0|[1-9][0-9]{0,3})"
_STEP = 256 * 1024  # bytes that are read at once


class TasksHandler(APIHandler):
    """``GET <base_url>kiegen_nb/api/generation/tasks?promptId=``: the group's tasks, newest first."""

    auth_resource = "contents"

    def initialize(self, stores: Stores) -> None:
        """Take what tornado hands over."""
        self._stores = stores

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with a list of tasks, keys in camelCase."""
        self.check_xsrf_cookie()
        # Not stripped: a group's name is kept as it was given.
        prompt_id = self.get_query_argument("promptId", None, strip=False)
        if not prompt_id:
            raise web.HTTPError(400, "Name a group of tasks: ?promptId=default")
        tasks = await asyncio.to_thread(self._stores.by_prompt, prompt_id)
        self.set_header("Cache-Control", "no-store")
        self.finish("[" + ",".join(task.model_dump_json(by_alias=True) for task in tasks) + "]")


class MediaHandler(JupyterHandler):
    """``GET <base_url>kiegen_nb/media/<task id>/<n>``: a saved result; ``?probe=1`` only asks whether it is there."""

    auth_resource = "contents"

    def initialize(self, stores: Stores) -> None:
        """Take what tornado hands over."""
        self._stores = stores
        self._etag: str | None = None

    @property
    def content_security_policy(self) -> str:
        """As for Jupyter's own files, but without leave to run scripts: none of ours needs any."""
        return f"{super().content_security_policy}; sandbox"

    def get_login_url(self) -> str:
        """Answer 403 instead of sending a media element to the login page."""
        raise web.HTTPError(403)

    def compute_etag(self) -> str | None:
        """Return the file's version instead of a digest of what is about to be sent."""
        return self._etag

    @web.authenticated
    @authorized
    async def get(self, task_id: str, number: str) -> None:
        """Send the file, or the part of it that was asked for."""
        await self._answer(task_id, int(number), with_body=True)

    @web.authenticated
    @authorized
    async def head(self, task_id: str, number: str) -> None:
        """Send what `get` would say about the file."""
        await self._answer(task_id, int(number), with_body=False)

    async def _answer(self, task_id: str, number: int, *, with_body: bool) -> None:
        self.check_xsrf_cookie()
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "private, no-cache")  # kept, and asked about by its ETag
        opened = await asyncio.to_thread(self._open, task_id, number)
        if opened is None:
            self.set_status(404)
            self.finish({"ok": False})
            return
        with opened.file:
            if self.get_query_argument("probe", ""):
                self.finish({"ok": True})
            else:
                await self._send(opened, with_body=with_body)

    def _open(self, task_id: str, number: int) -> Opened | None:
        asset = self._stores.asset(task_id, number)
        if asset is None or asset.path is None:
            return None
        try:
            return open_result(asset.path, task_id, number)
        except OSError as error:
            self.log.info("kiegen_nb: %s of task %s is not shown: %s", number, task_id, error)
            return None

    async def _send(self, opened: Opened, *, with_body: bool) -> None:
        self._etag = f'"{opened.version}"'
        self.set_etag_header()
        self.set_header("Content-Type", opened.mime)
        self.set_header("Accept-Ranges", "bytes")
        how = "inline" if opened.is_inline else "attachment"
        if opened.is_inline:
            # A film in a tab of its own is fetched by the browser's player, which needs the login's cookie for that.
            self.set_header("Content-Security-Policy", f"{self.content_security_policy} allow-same-origin")
        self.set_header("Content-Disposition", f'{how}; filename="{opened.name}"')
        if self.check_etag_header():
            self.set_status(304)
            return
        try:
            part = wanted_range(self._range_header(), opened.size)
        except ValueError:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{opened.size}")
            return
        start, end = part or (0, opened.size)
        if part is not None:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{end - 1}/{opened.size}")
        self.set_header("Content-Length", end - start)
        if with_body:
            await self._stream(opened, start, end)

    def _range_header(self) -> str:
        # The rest of another version must not be glued to what the browser has.
        known: Any = self.request.headers.get("If-Range")
        return self.request.headers.get("Range", "") if known in (None, self._etag) else ""

    async def _stream(self, opened: Opened, start: int, end: int) -> None:
        await asyncio.to_thread(opened.file.seek, start)
        left = end - start
        try:
            while left and (block := await asyncio.to_thread(opened.file.read, min(_STEP, left))):
                left -= len(block)
                self.write(block)
                await self.flush()
        except StreamClosedError:
            return  # the viewer has seen enough; a video's player does so at each seek
