"""The upload host: three ways in, one answer in two forms. It alone, beside the jobs API, is sent the key.

Source: Kie's file upload pages (quickstart and the three endpoints), as of 2026-11; where copies disagree, both forms
are read and the careful figure is taken.
"""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from kiegen_nb.errors import ConfigurationError, KeyRefused, RequestRefused, UnreadableAnswer, service_error
from kiegen_nb.kie import wire
from kiegen_nb.kie.records import OK
from kiegen_nb.service import Uploaded
from kiegen_nb.settings import certificates, is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from pydantic import SecretStr

    from kiegen_nb.service import Content

FOLDER = "kiegen"  # ``uploadPath``: required by most copies of the pages, without slashes at its ends
BASE64_MOST = 1_000_000  # bytes; above it base64 is not advised
ASSUMED_LIFE = timedelta(hours=24)  # the newest of the documented figures; older pages say 3 days
CLOCKS_AGREE = timedelta(minutes=10)
_BASE64, _STREAM, _URL = (f"/api/file-{way}-upload" for way in ("base64", "stream", "url"))
# The service itself may take 30 s to fetch an address, and has to store what it got.
_TIMEOUT = httpx.Timeout(90.0, connect=10.0)
_LARGEST_SECONDS = 1e11  # a number above it counts milliseconds
_ENDING = re.compile(
    r"\.(png|jpe?g|webp|gif|bmp|tiff?|avif|mp4|m4v|mov|webm|mkv|avi|mp3|wav|m4a|aac|ogg|flac)$", re.IGNORECASE
)


class UploadHost:
    """Kie's temporary storage for input files; free of charge.

    Args:
        api_key: the account's key; it is sent to ``url`` and nowhere else.
        url: the upload host, None if none may be sent the key.
        headers: what every request carries.
        without_key: takes the key out of an answer that repeats it.
        transport: replaces the network; the seam for tests.
    """

    def __init__(
        self,
        api_key: SecretStr,
        url: str | None,
        *,
        headers: Mapping[str, str],
        without_key: Callable[[httpx.Response], httpx.Response],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._key = api_key
        self._headers = dict(headers)
        self._without_key = without_key
        self._transport = transport
        self._clients: dict[bool, asyncio.Task[httpx.AsyncClient]] = {}

    def serves(self, address: str) -> bool:
        """Whether an uploaded file's address can still be right: a host on this machine moves from port to port."""
        return self.url is None or not is_loopback(self.url) or address.startswith(f"{self.url}/")

    async def send(self, content: Content, now: Callable[[], datetime]) -> Uploaded:
        """Send a file: small ones as base64, others as a stream that never lies in memory.

        Raises:
            KiegenError: with the reason.
        """
        if content.size > BASE64_MOST:
            return await self._stream(content, now)
        data = b"".join([chunk async for chunk in content.chunks()])
        text = f"data:{content.mime};base64,{base64.b64encode(data).decode()}"
        body = {"base64Data": text, "uploadPath": FOLDER, "fileName": content.name}
        return read_upload(await self._post(_BASE64, json=body), now())

    async def send_url(self, address: str, now: Callable[[], datetime]) -> Uploaded:
        """Have the host fetch a file itself, within 30 seconds.

        Raises:
            KiegenError: with the reason.
        """
        body = {"fileUrl": address, "uploadPath": FOLDER}
        ending = _ENDING.search(urlsplit(address).path)
        if ending is not None:
            # A name of its own every time: under a name that was used before, caches may serve the older bytes.
            body["fileName"] = f"{uuid.uuid4().hex}{ending[0].lower()}"
        return read_upload(await self._post(_URL, json=body), now())

    async def close(self) -> None:
        """Release connections."""
        for making in self._clients.values():
            if making.done() and not making.cancelled():
                await making.result().aclose()

    async def _stream(self, content: Content, now: Callable[[], datetime]) -> Uploaded:
        boundary = uuid.uuid4().hex
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (("uploadPath", FOLDER), ("fileName", content.name))
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{content.name}"\r\n'
        head += f"Content-Type: {content.mime}\r\n\r\n"
        tail = f"\r\n--{boundary}--\r\n"

        async def form() -> AsyncIterator[bytes]:
            yield head.encode()
            async for chunk in content.chunks():
                yield chunk
            yield tail.encode()

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(head.encode()) + content.size + len(tail)),
        }
        return read_upload(await self._post(_STREAM, content=form(), headers=headers), now())

    async def _post(self, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
        if self.url is None:
            raise ConfigurationError(
                "No upload host is known for this base URL, and its key is not sent to Kie's unasked. "
                "Set KIEGEN_UPLOAD_URL, or give Session(upload_url=...)."
            )
        client = await self._client(trust_env=not is_loopback(self.url))
        sent = {**(headers or {}), "Authorization": f"Bearer {self._key.get_secret_value()}"}
        try:
            return self._without_key(await client.post(f"{self.url}{path}", headers=sent, **body))
        except httpx.HTTPError as error:
            raise wire.connection_error(error) from None

    async def _client(self, *, trust_env: bool) -> httpx.AsyncClient:
        """Return the client for a host on this machine or elsewhere; making one reads every certificate there is."""
        if trust_env not in self._clients:
            making = asyncio.to_thread(self._make_client, trust_env)
            self._clients[trust_env] = asyncio.get_running_loop().create_task(making)
        return await asyncio.shield(self._clients[trust_env])

    def _make_client(self, trust_env: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport,
            timeout=_TIMEOUT,
            headers=self._headers,
            follow_redirects=False,  # the key must not follow one
            verify=certificates(trust_env=trust_env),
            trust_env=trust_env,  # a proxy has no business between us and this machine
        )


def read_upload(response: httpx.Response, now: datetime) -> Uploaded:
    """Read either documented form of the answer.

    Args:
        response: the answer.
        now: when it came, for a file whose end is not stated.

    Raises:
        ServiceError: with the reason.
    """
    try:
        data = wire.read_data(response)
    except UnreadableAnswer as unreadable:
        raise _by_status(response.status_code, unreadable) from None
    data = data if isinstance(data, dict) else {}
    url = data.get("downloadUrl") or data.get("fileUrl")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise UnreadableAnswer("success without an address of the file", code=OK)
    expires_at = _moment(data.get("expiresAt"))
    uploaded_at = _moment(data.get("uploadedAt") or data.get("uploadTime")) or now
    # Where the host's clock and ours do not agree, how long the file lives is what counts.
    skew = now - uploaded_at if abs(now - uploaded_at) > CLOCKS_AGREE else timedelta(0)
    mime, size = data.get("mimeType"), data.get("fileSize")
    return Uploaded(
        url=url,
        expires_at=(expires_at or uploaded_at + ASSUMED_LIFE) + skew,
        is_assumed=expires_at is None,
        mime=mime.partition(";")[0].strip().lower() or None if isinstance(mime, str) else None,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
    )


def _by_status(status: int, unreadable: UnreadableAnswer) -> Exception:
    """Return the error of an answer that is no envelope: a proxy or the framework spoke, so the status says it."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RequestRefused("the file is too large for the upload host", code=status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return KeyRefused(unreadable.message, code=status)
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return service_error(status, unreadable.message, retry_after=unreadable.retry_after)
    return unreadable


def _moment(value: object) -> datetime | None:
    """Return a moment written in ISO form or as a number, None for anything else."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > _LARGEST_SECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
