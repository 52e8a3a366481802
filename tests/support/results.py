"""Result hosts, scripted and real, and a saver that waits for nothing: for tests of downloads."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import httpx
from PIL import Image

from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

URL = "http://127.0.0.1:1/files/a.png"
STEM = f"{'a' * 32}-0"
NOW = 1_800_000_000.0


class FakeClock:
    """Waits for nothing, and remembers for how long; each look at it takes ``pace`` seconds."""

    def __init__(self, pace: float = 0.0) -> None:
        self.slept: list[float] = []
        self._now, self._pace = NOW, pace

    def time(self) -> float:
        self._now += self._pace
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        raise NotImplementedError

    def jitter(self) -> float:
        return 0.0


def picture(size: tuple[int, int] = (640, 480), file_format: str = "PNG", mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    noise = Image.effect_noise(size, 90).convert(mode)
    noise.save(buffer, file_format)
    return buffer.getvalue()


PNG = picture()
BIG = picture((1300, 1000), "BMP")
"""A picture that is written in several steps."""


def task(prompt_id: str = "kites", result_json: str | None = None) -> GenerationTask:
    return GenerationTask(
        id="a" * 32,
        prompt_id=prompt_id,
        model="IMAGEN4",
        api_model="google/imagen4-fast",
        external_task_id="ext",
        provider_params={"input": {"prompt": "a red kite"}},
        result_json=result_json,
        created_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


@asynccontextmanager
async def saver_of(
    handler: Callable[[httpx.Request], httpx.Response] | None = None,
    *,
    local: bool = True,
    clock: FakeClock | None = None,
    fresh_url: Callable[[GenerationTask, str], Any] | None = None,
) -> AsyncIterator[MediaSaver]:
    """Make a saver on scripted answers, or on the real network without any."""
    transport = None if handler is None else httpx.MockTransport(handler)
    saver = MediaSaver(
        clock or FakeClock(),
        user_agent="Mozilla/5.0 test",
        allow_local=local,
        fresh_url=fresh_url,
        transport=transport,
    )
    try:
        yield saver
    finally:
        await saver.close()


async def save(
    handler: Callable[[httpx.Request], httpx.Response] | None,
    folder: Path,
    url: str | None = URL,
    kind: AssetKind = AssetKind.IMAGE,
    **options: Any,
) -> Asset:
    async with saver_of(handler, **options) as saver:
        [asset] = await saver.save(task(), [Asset(kind=kind, url=url)], folder)
    return asset


def files(folder: Path) -> list[str]:
    """Return every file there is, hidden ones too."""
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def saved_files(ending: str = "png") -> list[str]:
    """Return the files one saved picture leaves."""
    return sorted([f"kites/{STEM}.{ending}", f"kites/{STEM}.{ending}.json", f"kites/thumbnails/{STEM}.webp"])


def giving(
    *answers: httpx.Response | Exception,
) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    """Answer with one after the other, the last one for ever; remember the requests."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        answer = answers[min(len(asked), len(answers) - 1)]
        asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        # A body can be read once: each request gets a copy.
        return httpx.Response(answer.status_code, headers=answer.headers, stream=answer.stream)

    return handle, asked


class Cut(httpx.AsyncByteStream):
    """A body whose connection breaks after some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        raise httpx.ReadError("cut")


class Pieces(httpx.AsyncByteStream):
    """A body that comes as bodies do, in pieces of 64 KB."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._data), 65_536):
            yield self._data[at : at + 65_536]


class Host:
    """A host that knows ranges and versions as RFC 9110 wants it, and may cut every answer short.

    Args:
        data: the file.
        cut: bytes after which the next answers end; one number per answer, None for the whole of it.
        headers: what is known of the file, beside its length; an ETag unless told otherwise.
    """

    def __init__(
        self, data: bytes, cut: Iterator[int | None] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.data = data
        self.headers = headers or {"etag": f'"{hashlib.sha256(data).hexdigest()}"'}
        self.asked: list[httpx.Request] = []
        self._cut = cut

    @property
    def ranges(self) -> list[str | None]:
        return [request.headers.get("range") for request in self.asked]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        status, body, headers = 200, self.data, dict(self.headers)
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if wanted and request.headers.get("if-range") in (None, self.headers.get("etag"), self.headers.get("modified")):
            start = int(wanted[1])
            if start >= len(self.data):
                return httpx.Response(416, headers={"content-range": f"bytes */{len(self.data)}"})
            status, body = 206, self.data[start:]
            headers["content-range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        headers["content-length"] = str(len(body))
        cut = next(self._cut, None) if self._cut is not None else None
        stream = Pieces(body) if cut is None or cut >= len(body) else Cut(body[:cut])
        return httpx.Response(status, headers=headers, stream=stream)


class FileServer:
    """A real server that sends one file, over and over, from a thread per connection.

    Args:
        blocks: makes the file's blocks anew for each request.
        size: bytes it announces.
        pause_at: bytes after which an answer waits for `go_on`.
        cut_at: bytes after which an answer's connection is closed.
    """

    def __init__(
        self,
        blocks: Callable[[], Iterator[bytes]],
        size: int,
        *,
        pause_at: int | None = None,
        cut_at: int | None = None,
    ) -> None:
        self.asked: list[str | None] = []
        self.go_on = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.headers.get("Range"))
                start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(size - start))
                self.send_header("ETag", '"one"')
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
                self.end_headers()
                self._send(start)

            def _send(self, start: int) -> None:
                at = 0
                for block in blocks():
                    begin, at = at, at + len(block)
                    part = memoryview(block)[max(start - begin, 0) :]
                    if cut_at is not None and at > cut_at:
                        return
                    try:
                        self.wfile.write(part)
                    except OSError:  # whoever asked was killed
                        return
                    if pause_at is not None and begin < pause_at <= at:
                        server.go_on.wait(60)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/a"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @classmethod
    def of(cls, data: bytes, **options: Any) -> Self:
        """Serve bytes, in blocks of 64 KB."""
        return cls(lambda: (data[at : at + 65_536] for at in range(0, len(data), 65_536)), len(data), **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
