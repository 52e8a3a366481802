"""The upload host's wire: three ways in, two forms of the answer, and the key for the configured host alone."""

from __future__ import annotations

import base64
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from kiegen_nb.errors import (
    ConfigurationError,
    KeyRefused,
    KiegenError,
    NotFound,
    OutOfCredits,
    RateLimited,
    RequestRefused,
    ServiceUnavailable,
    UnreadableAnswer,
)
from kiegen_nb.kie.client import KieClient
from kiegen_nb.kie.uploading import BASE64_MOST, read_upload
from kiegen_nb.service import Content
from kiegen_nb.settings import KIE_UPLOAD_URL, upload_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = "test-key-0816-must-never-be-seen"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
URL = "https://tempfile.redpandaai.co/x/kiegen/a.png"
ENDPOINT = {
    "fileName": "a.png",
    "filePath": "kiegen/a.png",
    "downloadUrl": URL,
    "fileSize": 3,
    "mimeType": "image/png",
    "uploadedAt": "2026-11-22T09:59:00.000Z",
}
QUICKSTART = {
    "fileId": "f1",
    "fileName": "a.png",
    "originalName": "dog.png",
    "fileSize": 3,
    "mimeType": "image/png",
    "uploadPath": "kiegen",
    "fileUrl": URL,
    "downloadUrl": URL,
    "uploadTime": "2026-11-22T10:00:00.000Z",
    "expiresAt": "2026-11-25T10:00:00.000Z",
}


def answer(data: object, code: int = 200, msg: str = "File uploaded successfully", **more: Any) -> httpx.Response:
    return httpx.Response(200, json={"success": code == 200, "code": code, "msg": msg, "data": data}, **more)


class Host:
    """Gives every request one answer and remembers the requests with their whole bodies."""

    def __init__(self, reply: httpx.Response | Exception) -> None:
        self._reply = reply
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._handle)

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply

    @property
    def one(self) -> httpx.Request:
        [request] = self.requests
        return request


@asynccontextmanager
async def client_of(
    host: Host, base_url: str = "https://api.kie.ai", upload_url: str | None = None
) -> AsyncIterator[KieClient]:
    client = KieClient(SecretStr(KEY), base_url, upload_url=upload_url, transport=host.transport)
    try:
        yield client
    finally:
        await client.close()


def content(data: bytes, piece: int = 1000) -> Content:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), piece):
            yield data[start : start + piece]

    return Content("name.png", "image/png", len(data), chunks)


async def test_a_small_file_goes_as_base64_with_its_type_and_a_name_of_its_own() -> None:
    host = Host(answer(ENDPOINT))
    async with client_of(host) as client:
        uploaded = await client.upload(content(b"abc"), lambda: NOW)
    assert str(host.one.url) == f"{KIE_UPLOAD_URL}/api/file-base64-upload"
    encoded = base64.b64encode(b"abc").decode()
    assert json.loads(host.one.content) == {
        "base64Data": f"data:image/png;base64,{encoded}",
        "uploadPath": "kiegen",
        "fileName": "name.png",
    }
    assert (uploaded.url, uploaded.mime, uploaded.size) == (URL, "image/png", 3)


@pytest.mark.parametrize(("size", "way"), [(BASE64_MOST, "base64"), (BASE64_MOST + 1, "stream")])
async def test_what_base64_is_not_advised_for_is_streamed(size: int, way: str) -> None:
    host = Host(answer(ENDPOINT))
    async with client_of(host) as client:
        await client.upload(content(bytes(size), 2**18), lambda: NOW)
    assert host.one.url.path == f"/api/file-{way}-upload"


async def test_a_stream_is_a_form_with_its_length_and_every_byte() -> None:
    data = bytes(range(256)) * 4000
    host = Host(answer(ENDPOINT))
    async with client_of(host) as client:
        await client.upload(content(data, 70_001), lambda: NOW)
    request = host.one
    assert request.headers["content-length"] == str(len(request.content))
    assert "transfer-encoding" not in request.headers
    found = re.fullmatch(r"multipart/form-data; boundary=(\w+)", request.headers["content-type"])
    assert found is not None
    parts = request.content.split(f"--{found[1]}".encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    heads = [part.partition(b"\r\n\r\n")[0].decode() for part in parts[1:-1]]
    bodies = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:-1]]
    assert [re.findall(r'name="([^"]+)"', head) for head in heads] == [
        ["uploadPath"],
        ["fileName"],
        ["file", "name.png"],
    ]
    assert bodies == [b"kiegen", b"name.png", data]
    assert heads[2].endswith("Content-Type: image/png")


@pytest.mark.parametrize(
    ("address", "ending"),
    [
        ("https://example.com/a/Kite.JPG?size=2", ".jpg"),
        ("https://example.com/film.mp4", ".mp4"),
        ("https://example.com/show.php", None),
        ("https://example.com/kite", None),
    ],
)
async def test_an_address_is_fetched_by_the_host_under_a_new_name_every_time(address: str, ending: str | None) -> None:
    host = Host(answer(ENDPOINT))
    async with client_of(host) as client:
        await client.upload_from(address, lambda: NOW)
        await client.upload_from(address, lambda: NOW)
    assert [request.url.path for request in host.requests] == ["/api/file-url-upload"] * 2
    first, second = (json.loads(request.content) for request in host.requests)
    assert (first["fileUrl"], first["uploadPath"]) == (address, "kiegen")
    if ending is None:
        assert "fileName" not in first
    else:
        assert first["fileName"].endswith(ending)
        assert first["fileName"] != second["fileName"]


@pytest.mark.parametrize(
    ("data", "expires_at", "is_assumed"),
    [
        (QUICKSTART, datetime(2026, 11, 25, 10, tzinfo=UTC), False),
        (ENDPOINT, datetime(2026, 11, 23, 9, 59, tzinfo=UTC), True),
        ({**ENDPOINT, "uploadedAt": "2026-11-22T12:00:00Z"}, NOW + timedelta(hours=24), True),
        ({**ENDPOINT, "uploadedAt": "2026-11-01T12:00:00Z"}, NOW + timedelta(hours=24), True),
        ({**QUICKSTART, "uploadTime": "2026-11-25T09:00:00Z"}, NOW + timedelta(hours=1), False),
        ({**QUICKSTART, "uploadTime": "2026-11-22T10:05:00Z"}, datetime(2026, 11, 25, 10, tzinfo=UTC), False),
        ({**ENDPOINT, "uploadedAt": "yesterday"}, NOW + timedelta(hours=24), True),
        ({"fileUrl": URL}, NOW + timedelta(hours=24), True),
        ({"fileUrl": URL, "downloadUrl": ""}, NOW + timedelta(hours=24), True),
        ({**QUICKSTART, "expiresAt": None}, NOW + timedelta(hours=24), True),
        ({**QUICKSTART, "expiresAt": ["soon"]}, NOW + timedelta(hours=24), True),
        ({**QUICKSTART, "expiresAt": 1e30}, NOW + timedelta(hours=24), True),
        ({**QUICKSTART, "expiresAt": "2026-11-25T10:00:00"}, datetime(2026, 11, 25, 10, tzinfo=UTC), False),
        ({**QUICKSTART, "expiresAt": 1795600800000}, datetime.fromtimestamp(1795600800, UTC), False),
        ({**QUICKSTART, "expiresAt": 1795600800}, datetime.fromtimestamp(1795600800, UTC), False),
    ],
)
def test_the_stated_end_wins_and_without_one_24_hours_are_assumed(
    data: dict[str, Any], expires_at: datetime, is_assumed: bool
) -> None:
    uploaded = read_upload(answer(data), NOW)
    assert (uploaded.url, uploaded.expires_at, uploaded.is_assumed) == (URL, expires_at, is_assumed)


def test_odd_facts_about_a_file_are_not_believed() -> None:
    uploaded = read_upload(answer({**ENDPOINT, "mimeType": 5, "fileSize": True}), NOW)
    assert (uploaded.mime, uploaded.size) == (None, None)
    assert read_upload(answer({**ENDPOINT, "mimeType": "Image/PNG; charset=x"}), NOW).mime == "image/png"


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"downloadUrl": 5}, {"downloadUrl": "javascript:alert(1)"}, {"fileUrl": "//x/y"}]
)
def test_success_without_an_address_is_no_success(data: object) -> None:
    with pytest.raises(UnreadableAnswer, match="without an address"):
        read_upload(answer(data), NOW)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(None, 401, "Authentication failed: Invalid API Key"), KeyRefused),
        (answer(None, 400, "Base64 decoding failed: Invalid Base64 format"), RequestRefused),
        (answer(None, 402, "no credits"), OutOfCredits),
        (answer(None, 413, "too large"), RequestRefused),
        (answer(None, 429, "slow down"), RateLimited),
        (answer(None, 500, "oops"), ServiceUnavailable),
        (httpx.Response(413, text="<html>"), RequestRefused),
        (httpx.Response(401, text=""), KeyRefused),
        (httpx.Response(403, text="error code: 1010"), KeyRefused),
        (httpx.Response(404, json={"status": 404, "path": "/api/x"}), NotFound),
        (httpx.Response(429, text="<html>", headers={"retry-after": "7"}), RateLimited),
        (httpx.Response(502, text="<html>"), UnreadableAnswer),
        (httpx.Response(200, text="<html>"), UnreadableAnswer),
    ],
)
def test_every_refusal_has_its_class_in_the_tree(reply: httpx.Response, kind: type[KiegenError]) -> None:
    with pytest.raises(KiegenError) as caught:
        read_upload(reply, NOW)
    assert type(caught.value) is kind
    if reply.headers.get("retry-after"):
        assert isinstance(caught.value, RateLimited)
        assert caught.value.retry_after == 7.0


async def test_a_broken_network_is_an_error_without_the_address_or_the_key() -> None:
    host = Host(httpx.ReadError(f"{KEY} broke"))
    async with client_of(host) as client:
        with pytest.raises(ServiceUnavailable) as caught:
            await client.upload(content(b"abc"), lambda: NOW)
    assert KEY not in str(caught.value)
    assert "redpanda" not in str(caught.value)


async def test_a_key_the_host_repeats_is_told_to_nobody() -> None:
    async with client_of(Host(answer(None, 401, f"the key {KEY} is refused"))) as client:
        with pytest.raises(KeyRefused, match=r"the key \*\*\* is refused"):
            await client.upload(content(b"abc"), lambda: NOW)


async def test_the_key_goes_to_the_upload_host_and_never_across_a_redirect() -> None:
    host = Host(httpx.Response(307, headers={"location": "https://elsewhere.example/take"}))
    async with client_of(host, upload_url="https://files.example") as client:
        with pytest.raises(KiegenError):
            await client.upload(content(b"abc"), lambda: NOW)
    assert host.one.url.host == "files.example"
    assert host.one.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(host.one.url)
    assert host.one.headers["user-agent"].startswith("Mozilla/5.0")


async def test_the_key_of_another_service_is_not_sent_to_kie_unasked() -> None:
    host = Host(answer(ENDPOINT))
    async with client_of(host, "https://proxy.example") as client:
        with pytest.raises(ConfigurationError, match="KIEGEN_UPLOAD_URL"):
            await client.upload(content(b"abc"), lambda: NOW)
        assert host.requests == []
        client.use_upload_url("https://files.example")
        await client.upload(content(b"abc"), lambda: NOW)
    assert host.one.url.host == "files.example"


@pytest.mark.parametrize(
    ("base_url", "upload_url", "expected"),
    [
        ("https://api.kie.ai", None, KIE_UPLOAD_URL),
        ("https://eu.api.kie.ai/", None, KIE_UPLOAD_URL),
        ("https://api.kie.ai", "https://files.example/", "https://files.example"),
        ("http://127.0.0.1:8000", None, "http://127.0.0.1:8000"),
        ("http://localhost:8000/", None, "http://localhost:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://proxy.example", None, None),
        ("https://notkie.ai", None, None),
        ("https://api.kie.ai.example", None, None),
    ],
)
def test_the_upload_host_belongs_to_the_base_url(base_url: str, upload_url: str | None, expected: str | None) -> None:
    assert upload_host(base_url, upload_url) == expected


@pytest.mark.parametrize(
    ("base_url", "address", "expected"),
    [
        ("https://api.kie.ai", "https://tempfile.redpandaai.co/x/a.png", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/uploads/a.png", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001/uploads/a.png", False),
        ("http://127.0.0.1:800", "http://127.0.0.1:8000/uploads/a.png", False),
    ],
)
async def test_a_sandbox_that_moved_does_not_serve_its_old_addresses(
    base_url: str, address: str, expected: bool
) -> None:
    async with client_of(Host(answer(ENDPOINT)), base_url) as client:
        assert client.serves(address) is expected
