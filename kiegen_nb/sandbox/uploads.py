"""The file upload API: three ways in, files in a folder beside the SQLite file, and their addresses."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlsplit

import tornado.web
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from .callbacks import is_local
from .checks import RefusedError
from .handlers import ApiHandler
from .multipart import Multipart, MultipartError, boundary_of
from .storage import UploadedFile, Uploads, head_of, media_type
from .tasks import Upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import BinaryIO


BASE64_MOST = 10 * 2**20
URL_MOST = 100 * 2**20
STREAM_MOST = 2**30
URL_SECONDS = 30.0
PIECE = 2**20
NAME_MOST = 200


class UploadHandler(ApiHandler):
    """A way in: its answers carry ``success`` beside the envelope."""

    route = "upload"
    _status = 200

    def envelope(self, code: int, msg: str, data: object = None, *, status: int | None = None) -> None:
        """Write the upload host's envelope."""
        if code == 401:  # noqa: PLR2004 - the documented code
            msg = "Authentication failed: Invalid API Key"
        super().envelope(code, msg, data, status=status)

    def finish(self, chunk: Any = None) -> Any:
        """Add ``success`` to an envelope."""
        if isinstance(chunk, str) and chunk.startswith('{"code"'):
            body = json.loads(chunk)
            chunk = json.dumps({"success": body["code"] == 200, **body}, ensure_ascii=False)  # noqa: PLR2004 - ok
        return super().finish(chunk)

    async def receive(self, work: Callable[[str], Awaitable[dict[str, Any]]]) -> None:
        """Check the key, do the work for the account, and answer."""
        if await self.faulted("before"):
            return
        try:
            data = await work(self.account())
            reply: tuple[int, str, object] = (200, "File uploaded successfully", data)
        except RefusedError as refusal:
            reply = (refusal.code, refusal.msg, None)
        if not await self.faulted("after"):
            self.envelope(*reply)

    def target(self, fields: dict[str, Any]) -> str:
        """Return the checked ``uploadPath``.

        Raises:
            RefusedError: Code 400: it is missing, or no plain relative path.
        """
        path = fields.get("uploadPath")
        if not isinstance(path, str) or not path:
            raise RefusedError(400, "Missing required parameter: uploadPath")
        parts = path.split("/")
        plain = all(re.fullmatch(r"[^\x00-\x1f\\?#]{1,100}", part) and part not in (".", "..") for part in parts)
        if not plain or len(path) > NAME_MOST:
            raise RefusedError(400, "Invalid parameter: uploadPath must be a path without leading or trailing slash")
        return path

    async def keep(
        self, account: str, fields: dict[str, Any], file_id: str, original: str, mime: str
    ) -> dict[str, Any]:
        """Remember a file that lies in the folder and return the answer's ``data``."""
        uploads, store = self.sandbox.uploads, self.sandbox.store
        path, name = self.target(fields), str(fields.get("fileName") or "")
        file = uploads.folder / file_id
        begin = await uploads.run(head_of, file)
        mime = media_type(begin, name or original, mime)
        if not name:
            name = file_id[:16] + (mimetypes.guess_extension(mime) or "")
        if not re.fullmatch(r"[^\x00-\x1f/\\?#]{1,200}", name) or name in (".", ".."):
            await uploads.run(uploads.remove, file_id)
            raise RefusedError(400, "Invalid parameter: fileName")
        size = (await uploads.run(file.stat)).st_size
        now, life = store.clock(), self.sandbox.options.upload_life
        kept = Upload(f"{account}/{path}/{name}", file_id, original or name, size, mime, now, now + life)
        await uploads.run(uploads.remove, store.keep_upload(kept))
        return self._answer(kept, path, name)

    def _answer(self, kept: Upload, path: str, name: str) -> dict[str, Any]:
        url = f"{self.base_url}/uploads/{quote(kept.place)}"
        common = {"fileName": name, "downloadUrl": url, "fileSize": kept.size, "mimeType": kept.mime}
        endpoint = {**common, "filePath": f"{path}/{name}", "uploadedAt": _moment(kept.uploaded)}
        quickstart = {
            **common,
            "fileId": kept.file_id,
            "originalName": kept.original,
            "uploadPath": path,
            "fileUrl": url,
            "uploadTime": _moment(kept.uploaded),
            "expiresAt": _moment(kept.expires),
        }
        forms = {"endpoint": endpoint, "quickstart": quickstart}
        return forms.get(self.sandbox.options.upload_reply, {**endpoint, **quickstart})


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Base64Upload(UploadHandler):
    """``POST /api/file-base64-upload``."""

    async def post(self) -> None:
        """Take a file written as text."""
        await self.receive(self._take)

    async def _take(self, account: str) -> dict[str, Any]:
        fields = self.json_body()
        text = fields.get("base64Data")
        if not isinstance(text, str) or not text:
            raise RefusedError(400, "Missing required parameter: base64Data")
        self.target(fields)
        prefix = re.match(r"data:([^;,]*)[^,]*;base64,", text)
        uploads = self.sandbox.uploads
        data = await uploads.run(_decode, text[prefix.end() :] if prefix else text)
        if len(data) > BASE64_MOST:
            raise RefusedError(400, "File size exceeds the limit of 10MB, use the stream upload")
        file_id = self.sandbox.store.next_file_id()
        await uploads.run(_write, uploads, file_id, data)
        return await self.keep(account, fields, file_id, "", prefix[1] if prefix else "")


def _decode(text: str) -> bytes:
    try:
        # Line breaks are common in base64 made by command line tools.
        return base64.b64decode(re.sub(r"\s+", "", text), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(400, "Base64 decoding failed: Invalid Base64 format") from None


def _write(uploads: Uploads, file_id: str, data: bytes) -> None:
    with uploads.open(file_id) as file:
        file.write(data)


@tornado.web.stream_request_body
class StreamUpload(UploadHandler):
    """``POST /api/file-stream-upload``: a form, written to disk while it arrives."""

    async def prepare(self) -> None:
        """Get ready for the body."""
        self._form: Multipart | None = None
        self._wrong: RefusedError | None = None
        self._file: BinaryIO | None = None
        self._pending: list[bytes] = []
        self._file_id = ""
        if self.request.method != "POST":
            return
        # Above tornado's own limit, which is about memory.
        cast("Any", self.request.connection).set_max_body_size(STREAM_MOST)
        try:
            self.account()
            self._form = Multipart(boundary_of(self.request.headers.get("Content-Type", "")))
        except RefusedError as refusal:
            self._wrong = refusal
        except MultipartError as error:
            self._wrong = RefusedError(400, str(error))

    async def data_received(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._form is None or self._wrong:
            return
        try:
            self._pending.extend(self._form.feed(chunk))
        except MultipartError as error:
            self._wrong = RefusedError(400, str(error))
            return
        if sum(map(len, self._pending)) >= PIECE:
            await self._flush()

    async def _flush(self) -> None:
        uploads = self.sandbox.uploads
        if self._file is None:
            self._file_id = self.sandbox.store.next_file_id()
            self._file = await uploads.run(uploads.open, self._file_id)
        pieces, self._pending = b"".join(self._pending), []
        await uploads.run(self._file.write, pieces)

    async def post(self) -> None:
        """Answer once the whole form is here."""
        await self.receive(self._take)
        await self._clean()

    async def _take(self, account: str) -> dict[str, Any]:
        if self._wrong:
            raise self._wrong
        form = self._form
        if form is None or not form.done or form.file_name is None:
            raise RefusedError(400, "Missing required parameter: file")
        self.target(form.fields)
        await self._flush()
        file_id, file = self._file_id, self._file
        if file is not None:
            await self.sandbox.uploads.run(file.close)
        self._file = None
        original = re.split(r"[/\\]", form.file_name)[-1]
        return await self.keep(account, dict(form.fields), file_id, original, form.file_type)

    async def _clean(self) -> None:
        if self._file is not None:
            uploads = self.sandbox.uploads
            await uploads.run(self._file.close)
            await uploads.run(uploads.remove, self._file_id)
            self._file = None

    def on_connection_close(self) -> None:
        """Drop half a file when the caller hangs up."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.sandbox.uploads.remove(self._file_id)


class UrlUpload(UploadHandler):
    """``POST /api/file-url-upload``: fetches from this machine only."""

    async def post(self) -> None:
        """Fetch a file."""
        await self.receive(self._take)

    async def _take(self, account: str) -> dict[str, Any]:
        fields = self.json_body()
        url = fields.get("fileUrl")
        if not isinstance(url, str) or not url:
            raise RefusedError(400, "Missing required parameter: fileUrl")
        self.target(fields)
        if not is_local(url):
            raise RefusedError(400, "File download failed: the sandbox fetches addresses on this machine only")
        uploads, file_id, size = self.sandbox.uploads, self.sandbox.store.next_file_id(), 0
        file = await uploads.run(uploads.open, file_id)

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > URL_MOST:
                raise ValueError("too large")
            file.write(piece)

        request = HTTPRequest(url, request_timeout=URL_SECONDS, follow_redirects=False, streaming_callback=take)
        try:
            answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        except (OSError, ValueError):
            answer = None
        await uploads.run(file.close)
        if answer is None or answer.code != 200:  # noqa: PLR2004 - anything else has no file
            await uploads.run(uploads.remove, file_id)
            raise RefusedError(400, "File download failed: the address could not be read")
        original = unquote(urlsplit(url).path.rpartition("/")[2])
        said = answer.headers.get("Content-Type", "").partition(";")[0]
        return await self.keep(account, fields, file_id, original, said)


UPLOAD_ROUTES: list[tuple[Any, ...]] = [
    (r"/api/file-base64-upload", Base64Upload),
    (r"/api/file-stream-upload", StreamUpload),
    (r"/api/file-url-upload", UrlUpload),
    (r"/uploads/([^?#]+)", UploadedFile, {"path": ""}),
]
