"""Where uploaded files lie, what they are, and how they are sent back."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tornado.web

from .handlers import BaseHandler

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from .tasks import Store

_MAGIC = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF....WEBP", "image/webp"),
    (b"RIFF....WAVE", "audio/wav"),
    (b"....ftyp", "video/mp4"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"ID3", "audio/mpeg"),
)


class Uploads:
    """The uploads folder.

    Args:
        store: Its file; the folder lies beside it.
    """

    def __init__(self, store: Store) -> None:
        self.folder = Path(f"{store.path}.uploads")
        self.workers = ThreadPoolExecutor(2, thread_name_prefix="upload")

    async def run(self, work: Callable[..., Any], *arguments: object) -> Any:
        """Do work on the disk in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, work, *arguments)

    def open(self, file_id: str) -> BinaryIO:
        """Create a file in the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return (self.folder / file_id).open("wb")

    def remove(self, file_id: str | None) -> None:
        """Delete a file, if it is there."""
        if file_id:
            (self.folder / file_id).unlink(missing_ok=True)

    def stop(self) -> None:
        """Let go of the threads."""
        self.workers.shutdown(wait=False, cancel_futures=True)


def head_of(file: Path) -> bytes:
    """Return a file's first bytes."""
    with file.open("rb") as opened:
        return opened.read(16)


def media_type(begin: bytes, name: str, said: str) -> str:
    """Return a file's media type: the stated one, else by its first bytes, else by its name."""
    if said and said != "application/octet-stream":
        return said
    for magic, mime in _MAGIC:
        if re.match(re.escape(magic).replace(rb"\.", b"."), begin, re.DOTALL):
            return mime
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


class UploadedFile(BaseHandler, tornado.web.StaticFileHandler):
    """``GET /uploads/<account>/<path>``: an uploaded file, whole or in part, until it expires."""

    route = "file"
    _mime = "application/octet-stream"

    async def get(self, path: str, include_body: bool = True) -> None:
        """Send the file."""
        if await self.faulted("before"):
            return
        upload = self.sandbox.store.upload(path)
        if upload is None:
            raise tornado.web.HTTPError(404)
        self.root = str(self.sandbox.uploads.folder)
        self._mime = upload.mime
        if await self.faulted("after"):
            return
        await super().get(upload.file_id, include_body)

    async def head(self, path: str) -> None:
        """Tell the size without the bytes."""
        await self.get(path, include_body=False)

    def compute_etag(self) -> str | None:
        """Return the file's id, which changes with its content."""
        return f'"{Path(self.absolute_path or "").name}"'

    def get_content_type(self) -> str:
        """Return the media type found when it came."""
        return self._mime

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002 - tornado's signature
        """Have a browser keep to the stated type: the bytes came from anywhere."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "sandbox")
