"""Saving results: whole, resumed, checked and named; nothing hostile gets further than an ``error`` on its asset."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

from kiegen_nb.engine import media
from kiegen_nb.engine.media import ATTEMPTS, MediaSaver, safe_name
from kiegen_nb.engine.pictures import THUMBNAIL_BYTES, THUMBNAIL_SIDE
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

URL = "http://127.0.0.1:1/files/a.png"


class FakeClock:
    """Waits for nothing, and remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def time(self) -> float:
        return 1_800_000_000.0

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
CHUNK = 256 * 1024  # what arrived is written in such pieces
assert len(PNG) > 2 * CHUNK


def claim(width: int, height: int) -> bytes:
    """Return a small PNG that claims to be a large one."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


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
    handler: Callable[[httpx.Request], httpx.Response], *, local: bool = True, clock: FakeClock | None = None
) -> AsyncIterator[MediaSaver]:
    saver = MediaSaver(
        clock or FakeClock(), user_agent="Mozilla/5.0 test", allow_local=local, transport=httpx.MockTransport(handler)
    )
    try:
        yield saver
    finally:
        await saver.close()


async def save(
    handler: Callable[[httpx.Request], httpx.Response],
    folder: Path,
    url: str | None = URL,
    kind: AssetKind = AssetKind.IMAGE,
    **options: Any,
) -> Asset:
    async with saver_of(handler, **options) as saver:
        [asset] = await saver.save(task(), [Asset(kind=kind, url=url)], folder)
    return asset


def files(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


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
        return answer

    return handle, asked


class Cut(httpx.AsyncByteStream):
    """A body whose connection breaks after some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._data
        raise httpx.ReadError("cut")


async def test_a_picture_is_kept_byte_for_byte_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(200, content=PNG))
    asset = await save(handle, tmp_path)
    assert asset.path == tmp_path / "kites" / f"{'a' * 32}-0.png"
    assert asset.path.read_bytes() == PNG
    assert (asset.width, asset.height, asset.size, asset.error) == (640, 480, len(PNG), None)
    assert asset.sha256 == hashlib.sha256(PNG).hexdigest()
    assert asset.url == URL
    assert "authorization" not in asked[0].headers
    assert asked[0].headers["user-agent"] == "Mozilla/5.0 test"
    assert files(tmp_path) == sorted(
        [f"kites/{'a' * 32}-0.png", f"kites/{'a' * 32}-0.png.json", f"kites/.thumbnails/{'a' * 32}-0.webp"]
    )


async def test_the_sidecar_says_where_a_picture_comes_from(tmp_path: Path) -> None:
    asset = await save(giving(httpx.Response(200, content=PNG))[0], tmp_path)
    assert asset.path is not None
    sidecar = json.loads(asset.path.with_name(f"{asset.path.name}.json").read_text(encoding="utf-8"))
    assert sidecar["file"] == asset.path.name
    assert sidecar["sha256"] == asset.sha256
    assert sidecar["source"] == URL
    assert sidecar["task"]["providerParams"] == {"input": {"prompt": "a red kite"}}
    assert sidecar["task"]["externalTaskId"] == "ext"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "CMYK"])
async def test_a_thumbnail_is_small_whatever_the_picture_is(tmp_path: Path, mode: str) -> None:
    data = picture((900, 700), "TIFF" if mode == "CMYK" else "PNG", mode)
    asset = await save(giving(httpx.Response(200, content=data))[0], tmp_path)
    assert asset.error is None
    assert asset.thumbnail is not None
    assert asset.thumbnail.stat().st_size <= THUMBNAIL_BYTES
    with Image.open(asset.thumbnail) as small:
        assert small.format == "WEBP"
        assert max(small.size) <= THUMBNAIL_SIDE


@pytest.mark.parametrize(("file_format", "ending"), [("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("GIF", "gif")])
async def test_a_file_is_named_after_what_it_is_and_not_after_its_address(
    tmp_path: Path, file_format: str, ending: str
) -> None:
    data = picture((32, 32), file_format)
    asset = await save(giving(httpx.Response(200, content=data))[0], tmp_path, "http://127.0.0.1:1/x.exe?a=../../y.sh")
    assert asset.path is not None
    assert asset.path.name == f"{'a' * 32}-0.{ending}"


@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        PNG[: len(PNG) // 2],
        b"\x89PNG\r\n\x1a\n",
        b"\x00\x00\x00\x18ftypmp42" + b"\0" * 100,
    ],
    ids=["html", "svg", "half a picture", "a head", "a video"],
)
async def test_what_is_no_picture_becomes_an_error_and_leaves_no_file(tmp_path: Path, content: bytes) -> None:
    asset = await save(giving(httpx.Response(200, content=content))[0], tmp_path)
    assert asset.path is None
    assert asset.url == URL
    assert asset.error
    assert files(tmp_path) == []


@pytest.mark.parametrize("side", [12_000, 40_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
async def test_a_picture_that_claims_to_be_too_large_is_not_opened(tmp_path: Path, side: int) -> None:
    asset = await save(giving(httpx.Response(200, content=claim(side, side)))[0], tmp_path)
    assert asset.path is None
    assert asset.error == "The picture claims to be too large to open safely."
    assert files(tmp_path) == []


async def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers.get("range"))
        if len(asked) == 1:
            return httpx.Response(200, headers={"content-length": str(len(PNG))}, stream=Cut(PNG[: CHUNK + 1000]))
        rest = {"content-range": f"bytes {CHUNK}-{len(PNG) - 1}/{len(PNG)}"}
        return httpx.Response(206, headers=rest, content=PNG[CHUNK:])

    asked: list[str | None] = []
    asset = await save(handle, tmp_path)
    assert asked == [None, f"bytes={CHUNK}-"]
    assert asset.path is not None
    assert asset.path.read_bytes() == PNG


@pytest.mark.parametrize(
    "second",
    [
        httpx.Response(200, content=PNG),
        httpx.Response(206, headers={"content-range": f"bytes 0-{len(PNG) - 1}/{len(PNG)}"}, content=PNG),
    ],
    ids=["no ranges", "another range"],
)
async def test_a_host_that_does_not_resume_is_read_from_the_start(tmp_path: Path, second: httpx.Response) -> None:
    handle, _ = giving(httpx.Response(200, stream=Cut(PNG[:CHUNK])), second)
    asset = await save(handle, tmp_path)
    assert asset.path is not None
    assert asset.path.read_bytes() == PNG


async def test_a_range_that_does_not_fit_any_more_starts_afresh(tmp_path: Path) -> None:
    handle, asked = giving(
        httpx.Response(200, stream=Cut(PNG[:CHUNK])), httpx.Response(416), httpx.Response(200, content=PNG)
    )
    asset = await save(handle, tmp_path)
    assert [request.headers.get("range") for request in asked] == [None, f"bytes={CHUNK}-", None]
    assert asset.path is not None
    assert asset.path.read_bytes() == PNG


async def test_fewer_bytes_than_announced_are_fetched_again(tmp_path: Path) -> None:
    short = httpx.Response(200, headers={"content-length": str(len(PNG))}, stream=httpx.ByteStream(PNG[:500]))
    handle, asked = giving(short, httpx.Response(200, content=PNG))
    asset = await save(handle, tmp_path)
    assert asset.error is None
    assert len(asked) == 2


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, content=b""), httpx.ConnectError("no")])
async def test_a_passing_trouble_is_tried_again_with_growing_waits(
    tmp_path: Path, answer: httpx.Response | Exception
) -> None:
    clock = FakeClock()
    handle, asked = giving(answer)
    asset = await save(handle, tmp_path, clock=clock)
    assert len(asked) == ATTEMPTS
    assert clock.slept == [1, 2, 4]
    assert asset.error
    assert asset.path is None
    assert [name for name in files(tmp_path) if not name.startswith("kites/.")] == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_address_that_died_is_not_tried_again(tmp_path: Path, status: int) -> None:
    handle, asked = giving(httpx.Response(status))
    asset = await save(handle, tmp_path)
    assert len(asked) == 1
    assert f"HTTP {status}" in (asset.error or "")


async def test_a_claim_of_endless_size_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = httpx.Response(200, headers={"content-length": str(media.MAX_BYTES + 1)}, stream=httpx.ByteStream(b"x"))
    asset = await save(giving(huge)[0], tmp_path)
    assert "larger than" in (asset.error or "")


async def test_a_body_longer_than_the_limit_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_BYTES", 1000)
    asset = await save(giving(httpx.Response(200, stream=httpx.ByteStream(PNG)))[0], tmp_path)
    assert asset.path is None
    assert "larger than" in (asset.error or "")


async def test_redirects_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(302, headers={"location": "/b.png"}), httpx.Response(200, content=PNG))
    assert (await save(handle, tmp_path / "one")).error is None
    assert str(asked[1].url) == "http://127.0.0.1:1/b.png"
    handle, asked = giving(httpx.Response(302, headers={"location": "/b.png"}))
    assert "without end" in ((await save(handle, tmp_path / "two")).error or "")
    assert len(asked) == media.MAX_REDIRECTS


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://10.1.2.3/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a.png",
        "http://localhost/a.png",
    ],
)
async def test_a_result_never_comes_from_inside_a_private_network(tmp_path: Path, url: str) -> None:
    handle, asked = giving(httpx.Response(200, content=PNG))
    assert "private network" in ((await save(handle, tmp_path, url, local=False)).error or "")
    assert asked == []


async def test_a_redirect_into_a_private_network_is_not_followed(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(302, headers={"location": "http://192.168.0.1/a.png"}))
    asset = await save(handle, tmp_path, "https://1.1.1.1/a.png", local=False)
    assert "private network" in (asset.error or "")
    assert len(asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.png",
        "data:image/png;base64,AAAA",
        "/a.png",
        "http://",
        "http://[bad/a.png",
        "http://127.0.0.1:99999/a.png",
        f"http://{'a' * 70}.example/a.png",
        "http://a..b/a.png",
        "http://127.0.0.1:1/\x00a.png",
    ],
)
@pytest.mark.parametrize("local", [True, False])
async def test_an_address_that_cannot_be_used_becomes_an_error(tmp_path: Path, url: str, *, local: bool) -> None:
    handle, _ = giving(httpx.ConnectError("no"))
    asset = await save(handle, tmp_path, url, local=local)
    assert asset.error
    assert asset.path is None


@pytest.mark.parametrize("location", ["http://[bad/a.png", "http://127.0.0.1:99999/a.png", "file:///etc/passwd", ""])
async def test_a_redirect_that_cannot_be_used_becomes_an_error(tmp_path: Path, location: str) -> None:
    handle, _ = giving(httpx.Response(302, headers={"location": location}))
    asset = await save(handle, tmp_path)
    assert asset.error
    assert asset.path is None


async def test_a_full_or_forbidden_disk_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "kites").write_text("a file where the folder should be", encoding="utf-8")
    asset = await save(giving(httpx.Response(200, content=PNG))[0], tmp_path)
    assert "could not be written" in (asset.error or "")
    assert "another folder" in (asset.error or "")


async def test_one_bad_result_leaves_the_others_alone_and_is_fetched_again_later(tmp_path: Path) -> None:
    broken = {"/1.png"}

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404) if request.url.path in broken else httpx.Response(200, content=PNG)

    asked: list[str] = []
    wanted = [Asset(kind=AssetKind.IMAGE, url=f"http://127.0.0.1:1/{number}.png") for number in range(3)]
    async with saver_of(handle) as saver:
        first = await saver.save(task(), wanted, tmp_path)
        assert [asset.error is None for asset in first] == [True, False, True]
        broken.clear()
        asked.clear()
        second: Sequence[Asset] = await saver.save(task(), first, tmp_path)
    assert asked == ["/1.png"], "what is here already is not fetched again"
    assert all(asset.path is not None and asset.error is None for asset in second)
    assert [asset.path.name for asset in second if asset.path] == [f"{'a' * 32}-{number}.png" for number in range(3)]


async def test_data_inside_the_answer_is_saved_as_json(tmp_path: Path) -> None:
    async with saver_of(giving(httpx.Response(500))[0]) as saver:
        text = '{"resultObject": {"character_id": "c1", "remark": "ü"}}'
        [asset] = await saver.save(task(result_json=text), [Asset(kind=AssetKind.DATA)], tmp_path)
    assert asset.path is not None
    assert asset.path.suffix == ".json"
    assert json.loads(asset.path.read_text(encoding="utf-8")) == {"character_id": "c1", "remark": "ü"}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/absolute", "a/b\\c", "..", "CON", "naïve ☃", "x" * 300, "a\0b", "-rf", "a.b"]
)
def test_a_group_name_from_outside_makes_one_harmless_folder(tmp_path: Path, name: str) -> None:
    made = safe_name(name)
    assert made
    assert (tmp_path / made).resolve().parent == tmp_path.resolve()
    assert len(made) < 100
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_different_groups_have_different_folders() -> None:
    names = ["a b", "a-b", "a/b", "a_b", "ab", "ä", "ö", "x" * 60, "x" * 61, "x" * 62]
    assert len({safe_name(name) for name in names}) == len(names)
