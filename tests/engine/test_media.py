"""Saving results: checked, named and described; what is no result gets no further than an ``error`` on its asset."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest
from PIL import Image

from kiegen_nb.engine import pictures
from kiegen_nb.engine.formats import is_cut
from kiegen_nb.engine.media import ADVICE, safe_name
from kiegen_nb.engine.pictures import THUMBNAIL_BYTES, THUMBNAIL_SIDE
from kiegen_nb.tasks import Asset, AssetKind
from tests.support.hostile import NAMES
from tests.support.results import PNG, STEM, URL, files, giving, picture, save, saved_files, saver_of, task
from tests.support.uploads import claim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def box(name: bytes, size: int, *, wide: bool = False) -> bytes:
    """Return a box as films are made of, with so many bytes in it."""
    if wide:
        return b"\0\0\0\1" + name + (size + 16).to_bytes(8, "big") + bytes(size)
    return (size + 8).to_bytes(4, "big") + name + bytes(size)


async def test_a_picture_is_kept_byte_for_byte_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(200, content=PNG))
    asset = await save(handle, tmp_path)
    assert asset.path == tmp_path / "kites" / f"{STEM}.png"
    assert asset.path.read_bytes() == PNG
    assert (asset.width, asset.height, asset.size, asset.error) == (640, 480, len(PNG), None)
    assert asset.sha256 == hashlib.sha256(PNG).hexdigest()
    assert asset.url == URL
    assert "authorization" not in asked[0].headers
    assert asked[0].headers["user-agent"] == "Mozilla/5.0 test"
    assert files(tmp_path) == saved_files()


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
    assert asset.path.name == f"{STEM}.{ending}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["address", "header"])
async def test_what_a_host_calls_a_file_is_never_its_name(tmp_path: Path, name: str, where: str) -> None:
    said = quote(name, safe="")
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{said}"} if where == "header" else {}
    url = f"http://127.0.0.1:1/{said}" if where == "address" else URL
    asset = await save(giving(httpx.Response(200, content=PNG, headers=headers))[0], tmp_path, url)
    assert asset.error is None
    assert files(tmp_path) == saved_files()


@pytest.mark.parametrize(
    "content",
    [
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        PNG[: len(PNG) // 2],
        b"\x89PNG\r\n\x1a\n",
        b"\x00\x00\x00\x18ftypmp42" + b"\0" * 100,
        b"just some words about a kite",
    ],
    ids=["html", "svg", "half a picture", "a head", "a video", "words"],
)
async def test_what_is_no_picture_becomes_an_error_and_leaves_no_file(tmp_path: Path, content: bytes) -> None:
    asset = await save(giving(httpx.Response(200, content=content))[0], tmp_path)
    assert asset.path is None
    assert asset.url == URL
    assert asset.error
    assert files(tmp_path) == []


def film(path: Path, ending: str) -> bytes:
    """Make a film whose index comes first, so that its beginning plays without its end."""
    import av  # noqa: PLC0415 - slow to import

    frames: Any = av.VideoFrame
    options = {"movflags": "faststart"} if ending != "webm" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libvpx" if ending == "webm" else "h264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(frames.from_image(Image.effect_noise((160, 120), 90).convert("RGB"))))
        container.mux(stream.encode())
    return path.read_bytes()


@pytest.mark.parametrize("ending", ["mp4", "mov", "webm"])
async def test_a_film_is_described_and_gets_a_poster(tmp_path: Path, ending: str) -> None:
    data = film(tmp_path / f"made.{ending}", ending)
    asset = await save(giving(httpx.Response(200, content=data))[0], tmp_path / "out", kind=AssetKind.VIDEO)
    assert asset.error is None
    assert asset.path is not None
    assert asset.path.name == f"{STEM}.{ending}"
    assert (asset.kind, asset.width, asset.height, asset.duration) == (AssetKind.VIDEO, 160, 120, 2.0)
    assert asset.thumbnail is not None


@pytest.mark.parametrize("ending", ["mp4", "mov"])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.999])
async def test_a_film_without_its_end_is_no_result_though_its_beginning_plays(
    tmp_path: Path, ending: str, share: float
) -> None:
    data = film(tmp_path / f"made.{ending}", ending)
    cut = httpx.Response(200, content=data[: int(len(data) * share)])
    asset = await save(giving(cut)[0], tmp_path / "out", kind=AssetKind.VIDEO)
    assert asset.error == f"The end of the video is missing. {ADVICE}"
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("data", "cut"),
    [
        (box(b"ftyp", 8) + box(b"mdat", 100), False),
        (box(b"ftyp", 8) + box(b"mdat", 100)[:-1], True),
        (box(b"ftyp", 8) + box(b"mdat", 100)[:12], True),
        (box(b"ftyp", 8) + box(b"mdat", 100, wide=True), False),
        (box(b"ftyp", 8) + box(b"mdat", 100, wide=True)[:-1], True),
        (box(b"ftyp", 8) + b"\0\0\0\0mdat" + bytes(100), False),
        (box(b"ftyp", 8) + b"\0\0\0\1mdat" + bytes(8), False),
        (box(b"ftyp", 8) + b"\0\0", False),
        (b"\xff\xff\xff\xffmoov", False),
        (b"", False),
    ],
)
def test_a_film_is_cut_where_its_last_box_is(tmp_path: Path, data: bytes, *, cut: bool) -> None:
    file = tmp_path / "film"
    file.write_bytes(data)
    assert is_cut(file) is cut


async def test_a_picture_whose_thumbnail_cannot_be_made_is_kept_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise KeyError("strange")

    monkeypatch.setattr(pictures, "thumbnail", fail)
    asset = await save(giving(httpx.Response(200, content=PNG))[0], tmp_path)
    assert (asset.error, asset.thumbnail) == (None, None)
    assert files(tmp_path) == [f"kites/{STEM}.png", f"kites/{STEM}.png.json"]


@pytest.mark.parametrize("side", [12_000, 40_000, 100_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
async def test_a_picture_that_claims_to_be_too_large_is_not_opened(tmp_path: Path, side: int) -> None:
    asset = await save(giving(httpx.Response(200, content=claim(side, side)))[0], tmp_path)
    assert asset.path is None
    assert asset.error == f"The picture claims to be too large to open safely. {ADVICE}"
    assert files(tmp_path) == []


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
