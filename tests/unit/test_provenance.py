"""How a file was made: written beside and into it, and read again from files nobody vouches for."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import struct
import zlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image, PngImagePlugin

from kiegen_nb import MediaError, imagen4, market, params_from
from kiegen_nb.engine import embedding
from kiegen_nb.engine.embedding import LONGEST, embed, parameters, read_text
from kiegen_nb.engine.formats import Found
from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.tasks import Asset, AssetKind
from tests.support.results import PNG, STEM, URL, Host, files, giving, picture, saved_files, saver_of, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kiegen_nb import GenerationTask, Session

FOUND = Found(AssetKind.IMAGE, "png", 640, 480)
PARAMS = imagen4("a red kite", aspect_ratio="16:9", negative_prompt="rain", seed=7)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a PNG as a strict reader sees them."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        [checksum] = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert len(body) == length
        assert zlib.crc32(name + body) == checksum
        found.append((name, body))
        at += length + 12
        if name == b"IEND":
            break
    return found


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def holding(*extra: bytes) -> bytes:
    """Return a small PNG with more chunks before its end."""
    small = picture((8, 8))
    return small[:-12] + b"".join(extra) + small[-12:]


def saying(text: str, name: bytes = b"tEXt") -> bytes:
    """Return a chunk of ours with any text."""
    return chunk(name, b"kiegen\0" + (b"\0\0\0\0" if name == b"iTXt" else b"") + text.encode())


def sidecar(params: object) -> str:
    return json.dumps({"kiegen": 1, "task": {"providerParams": params}})


GOOD = sidecar(PARAMS.to_json())


def strange_pngs() -> dict[str, bytes]:
    made = {mode: picture((33, 17), mode=mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")}
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "green")]
    moving, told = io.BytesIO(), io.BytesIO()
    frames[0].save(moving, "PNG", save_all=True, append_images=frames[1:])
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "somebody else's")
    info.add_itxt("Ünicode", "日本語")
    frames[0].save(told, "PNG", pnginfo=info, dpi=(72, 72), icc_profile=b"no profile")
    return made | {"moving": moving.getvalue(), "told": told.getvalue(), "with a tail": PNG + b"whatever follows"}


@pytest.mark.parametrize("name", list(strange_pngs()))
def test_the_pixels_and_every_other_chunk_stay_as_they_were(tmp_path: Path, name: str) -> None:
    data = strange_pngs()[name]
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    source.write_bytes(data)
    embed(source, target, {"parameters": "a kite\nSize: 1x1", "kiegen": "{}", "other": "日本"})
    told = target.read_bytes()
    assert source.read_bytes() == data
    before, after = chunks(data), chunks(told)
    assert [one for one in after if one[1].split(b"\0")[0] not in {b"parameters", b"kiegen", b"other"}] == [
        one for one in before if not one[1].startswith(b"parameters\0")
    ]
    assert [name for name, _ in after[-4:]] == [b"tEXt", b"tEXt", b"iTXt", b"IEND"]
    assert told.endswith(data[data.rindex(b"IEND") :])
    with Image.open(io.BytesIO(data)) as first, Image.open(target) as second:
        for frame in range(getattr(first, "n_frames", 1)):
            first.seek(frame)
            second.seek(frame)
            assert (first.mode, first.size, first.tobytes()) == (second.mode, second.size, second.tobytes())
        assert getattr(second, "text", {})["parameters"] == "a kite\nSize: 1x1"
        assert getattr(second, "text", {})["other"] == "日本"


@pytest.mark.parametrize("data", [b"", b"GIF89a", PNG[:-12], PNG[: len(PNG) // 2], b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_whole_png_is_not_written_into(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(data)
    with pytest.raises(ValueError, match="PNG"):
        embed(source, tmp_path / "b.png", {"kiegen": "{}"})


def asked(**fields: Any) -> GenerationTask:
    return task().model_copy(update={"provider_params": {"input": {"prompt": "a red kite"} | fields}})


def test_other_programs_read_the_prompt_and_what_it_was_made_with() -> None:
    text = parameters(asked(negative_prompt="rain, fog", seed=7), FOUND)
    assert text == (
        "a red kite\nNegative prompt: rain, fog\nSeed: 7, Size: 640x480, Model: google/imagen4-fast, Version: kiegen_nb"
    )


@pytest.mark.parametrize("fields", [{}, {"seed": 3}, {"prompt": "two\nlines"}, {"seed": "1, 2: 3"}])
def test_the_last_line_is_read_as_facts_and_not_as_prompt(fields: dict[str, Any]) -> None:
    # The rule of the programs that made this format known.
    fact = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
    *prompt, last = parameters(asked(**fields), FOUND).split("\n")
    found = dict(fact.findall(last))
    assert len(found) >= 3
    assert found["Model"] == "google/imagen4-fast"
    assert found.get("Seed", "").strip('"') == str(fields.get("seed", ""))
    assert "\n".join(prompt) == fields.get("prompt", "a red kite")


@pytest.mark.parametrize("text", ["plain", "ünïcode", "日本語 🪁", "", "a\0b", "two\nlines", "x" * 100_000])
def test_a_text_comes_back_as_it_was_written(tmp_path: Path, text: str) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    source.write_bytes(PNG)
    embed(source, target, {"kiegen": text})
    assert read_text(target, "kiegen") == text.replace("\0", "�")


# Saving


async def save(folder: Path, data: bytes = PNG, *, embed: bool = True) -> Asset:
    async with saver_of(giving(httpx.Response(200, content=data))[0]) as saver:
        known = task().model_copy(update={"provider_params": PARAMS.to_json()})
        [asset] = await saver.save(known, [Asset(kind=AssetKind.IMAGE, url=URL)], folder, embed=embed)
    return asset


async def test_a_saved_png_says_how_it_was_made_and_its_sidecar_tells_both_digests(tmp_path: Path) -> None:
    asset = await save(tmp_path)
    assert asset.error is None
    assert asset.path is not None
    told = asset.path.read_bytes()
    assert asset.sha256 == hashlib.sha256(told).hexdigest()
    assert asset.size == len(told) > len(PNG)
    assert [one for one in chunks(told) if one[0] == b"IDAT"] == [one for one in chunks(PNG) if one[0] == b"IDAT"]
    record = json.loads(asset.path.with_name(f"{asset.path.name}.json").read_text())
    assert record["sha256"] == asset.sha256
    assert record["size"] == asset.size
    assert record["sha256_received"] == hashlib.sha256(PNG).hexdigest()
    inside = json.loads(read_text(asset.path, "kiegen") or "")
    assert inside == {name: value for name, value in record.items() if name not in {"sha256", "size"}}
    assert (read_text(asset.path, "parameters") or "").startswith("a red kite\nNegative prompt: rain\nSeed: 7")
    assert files(tmp_path) == saved_files()


async def test_without_embed_the_bytes_are_kept_as_they_came(tmp_path: Path) -> None:
    asset = await save(tmp_path, embed=False)
    assert asset.path is not None
    assert asset.path.read_bytes() == PNG
    record = json.loads(asset.path.with_name(f"{asset.path.name}.json").read_text())
    assert record["sha256"] == hashlib.sha256(PNG).hexdigest()
    assert "sha256_received" not in record


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
async def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, file_format: str) -> None:
    data = picture((32, 32), file_format)
    asset = await save(tmp_path, data)
    assert asset.path is not None
    assert asset.path.read_bytes() == data


async def test_a_png_that_cannot_be_written_into_is_kept_as_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "_MOST_CHUNKS", 1)
    asset = await save(tmp_path)
    assert asset.path is not None
    assert asset.path.read_bytes() == PNG
    assert files(tmp_path) == saved_files()


async def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_old: object, new: Any, _length: int) -> None:
        new.write(b"some")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(embedding, "_copy", full)
    asset = await save(tmp_path)
    assert "No space left" in (asset.error or "")
    assert files(tmp_path) == []


async def test_a_process_that_ended_before_the_last_rename_does_not_fetch_again(tmp_path: Path) -> None:
    first = await save(tmp_path)
    assert first.path is not None
    first.path.unlink()
    first.path.with_name(f".{STEM}.part").write_bytes(PNG)  # as it was just before
    host = Host(picture((99, 9)))
    async with saver_of(host) as saver:
        known = task().model_copy(update={"provider_params": PARAMS.to_json()})
        [again] = await saver.save(known, [Asset(kind=AssetKind.IMAGE, url=URL)], tmp_path, embed=True)
    assert host.asked == []
    assert again == first
    assert params_from(again.path or "") == PARAMS
    assert files(tmp_path) == saved_files()


async def test_a_file_that_has_its_name_already_keeps_what_is_known_of_it(tmp_path: Path) -> None:
    first = await save(tmp_path)
    assert first.path is not None
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    again = await save(tmp_path)  # it was renamed, but the store was not told
    assert again == first
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_session_embeds_if_it_is_told_to(
    make_session: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = make_session(embed=True)
    done = session.submit(PARAMS).result(60)
    path = done.assets[0].path
    assert path is not None
    assert read_text(path, "kiegen")
    session.close()
    monkeypatch.setenv("KIEGEN_EMBED", "1")
    session = make_session()
    path = session.submit(PARAMS, repeat=1).result(60).assets[0].path
    assert path is not None
    assert read_text(path, "kiegen")
    session.close()
    path = make_session(embed=False).submit(PARAMS, repeat=2).result(60).assets[0].path
    assert path is not None
    assert read_text(path, "kiegen") is None


# Reading


async def test_the_params_come_back_from_the_file_from_its_sidecar_and_from_the_png_alone(tmp_path: Path) -> None:
    asset = await save(tmp_path)
    assert asset.path is not None
    beside = asset.path.with_name(f"{asset.path.name}.json")
    assert params_from(asset.path) == params_from(str(asset.path)) == params_from(beside) == PARAMS
    moved = tmp_path / "sent by mail.png"
    asset.path.rename(moved)
    assert params_from(moved) == PARAMS
    assert type(params_from(moved)) is type(PARAMS)


def test_a_market_models_params_come_back_too(tmp_path: Path) -> None:
    params = market("seedream/4.5-text-to-image", prompt="a kite", aspect_ratio="1:1", quality="basic")
    (tmp_path / "a.png").write_bytes(holding(saying(sidecar(params.to_json()))))
    assert params_from(tmp_path / "a.png") == params


def test_a_file_that_says_nothing_is_a_clear_error(tmp_path: Path) -> None:
    bare = tmp_path / "holiday.png"
    bare.write_bytes(PNG)
    with pytest.raises(MediaError, match=r"Nothing says how holiday\.png was made.*embed=True"):
        params_from(bare)
    with pytest.raises(MediaError, match=r"gone\.png cannot be read: No such file"):
        params_from(tmp_path / "gone.png")
    with pytest.raises(MediaError, match="cannot be read"):
        params_from(tmp_path)
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x08ftyp")
    with pytest.raises(MediaError, match="Nothing says"):
        params_from(tmp_path / "film.mp4")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "null",
        '"kiegen"',
        "[" * 200_000,
        '{"kiegen": 1}',
        '{"kiegen": 1, "task": null}',
        '{"kiegen": 1, "task": {"providerParams": [1]}}',
        '{"kiegen": 1, "task": {"providerParams": "x"}}',
        '{"task": {"providerParams": {}}}',
        GOOD[:-1] + " " * LONGEST + "}",
        "1" * 5000,
        "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"),
    ],
    ids=lambda text: text[:30],
)
def test_text_that_is_none_of_ours_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.png").write_bytes(holding(saying(text)))
    with pytest.raises(MediaError, match="Nothing says"):
        params_from(tmp_path / "a.png")
    (tmp_path / "a.png.json").write_text(text, encoding="utf-8")
    with pytest.raises(MediaError, match="Nothing says"):
        params_from(tmp_path / "a.png")
    # A broken sidecar does not hide what the file itself says.
    (tmp_path / "a.png").write_bytes(holding(saying(GOOD)))
    assert params_from(tmp_path / "a.png") == PARAMS


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"model": "IMAGEN9"},
        {"service": "OTHER", "model": "IMAGEN4"},
        {"service": "KIE", "model": "IMAGEN4", "apiModel": "google/imagen4-fast", "input": {}},
        {"service": "KIE", "model": "IMAGEN4", "apiModel": "google/imagen4-fast", "input": {"prompt": ["a"]}},
        {"service": "KIE", "model": "IMAGEN4", "apiModel": "../../etc/passwd", "input": {"prompt": "a"}},
        {"service": "KIE", "model": "IMAGEN4", "apiModel": "google/imagen4-fast", "input": "prompt"},
        {"service": "KIE", "model": ["IMAGEN4"], "apiModel": {}, "input": None},
    ],
)
def test_a_request_from_a_file_is_checked_like_any_other(tmp_path: Path, params: dict[str, Any]) -> None:
    (tmp_path / "a.png").write_bytes(holding(saying(sidecar(params))))
    with pytest.raises(InvalidParams):
        params_from(tmp_path / "a.png")


def test_the_last_text_counts_ours_is_written_last(tmp_path: Path) -> None:
    other = sidecar(imagen4("a forged prompt").to_json())
    (tmp_path / "a.png").write_bytes(holding(saying(other), saying(GOOD, b"iTXt")))
    assert params_from(tmp_path / "a.png") == PARAMS


def test_damaged_and_compressed_texts_are_not_read(tmp_path: Path) -> None:
    good = saying(GOOD)
    damaged = good[:20] + b"!" + good[21:]
    packed, bomb = (
        chunk(b"iTXt", b"kiegen\0\1\0\0\0" + zlib.compress(text)) for text in (GOOD.encode(), bytes(50_000_000))
    )
    for data in (damaged, packed, bomb, chunk(b"zTXt", b"kiegen\0\0" + zlib.compress(GOOD.encode())), good[:-6]):
        (tmp_path / "a.png").write_bytes(holding(data))
        with pytest.raises(MediaError, match="Nothing says"):
            params_from(tmp_path / "a.png")


def test_a_file_of_endless_chunks_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_MOST_CHUNKS", 50)
    (tmp_path / "a.png").write_bytes(holding(*[chunk(b"teSt", b"")] * 60, saying(GOOD)))
    with pytest.raises(MediaError, match="Nothing says"):
        params_from(tmp_path / "a.png")


def test_no_damage_to_a_file_gives_anything_but_the_params_or_a_clear_error(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--seed") or random.SystemRandom().randrange(10**6)
    print(f"--seed {seed}")  # noqa: T201 - to repeat a failure
    chance = random.Random(seed)  # noqa: S311 - no secret
    whole = holding(saying(GOOD))
    place = tmp_path / "a.png"
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            if chance.random() < 0.5:
                data[at] = chance.randrange(256)
            else:
                del data[at : at + chance.randint(1, 40)]
        place.write_bytes(data)
        try:
            assert params_from(place) == PARAMS
        except KiegenError:
            continue
