"""What a file really is, and a small picture of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from kiegen_nb.errors import MediaError
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from pathlib import Path

THUMBNAIL_SIDE = 384  # pixels
THUMBNAIL_BYTES = 40_000
_QUALITIES = (82, 70, 55, 40, 25)
_EXTENSIONS = {
    "PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "AVIF": "avif", "BMP": "bmp", "TIFF": "tiff"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What a file turned out to be."""

    kind: AssetKind
    extension: str
    width: int | None = None
    height: int | None = None


def inspect(path: Path, expected: AssetKind) -> Found:
    """Return what a file is, by its bytes and not by its name.

    Raises:
        MediaError: if it should be a picture or video and is not, or is too large to open safely.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if expected is AssetKind.IMAGE:
        return _inspect_image(path)
    if head[4:8] == b"ftyp":
        return Found(AssetKind.VIDEO, "mov" if head[8:10] == b"qt" else "mp4")
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return Found(AssetKind.VIDEO, "webm")
    if expected is AssetKind.VIDEO:
        raise MediaError("what arrived is not a video")
    if head.startswith(b"ID3") or head[:2] in {b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"}:
        return Found(AssetKind.AUDIO, "mp3")
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Found(AssetKind.AUDIO, "wav")
    if expected in {AssetKind.DATA, AssetKind.TEXT}:
        return Found(expected, "json" if expected is AssetKind.DATA else "txt")
    return Found(expected, "bin")


def _inspect_image(path: Path) -> Found:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()  # a cut file opens, but does not load
                return Found(
                    AssetKind.IMAGE,
                    _EXTENSIONS.get(image.format or "", (image.format or "bin").lower()),
                    image.width,
                    image.height,
                )
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise MediaError("the picture claims to be too large to open safely") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise MediaError("what arrived is not a picture, or is damaged") from None


def write_thumbnail(source: Path, target: Path) -> None:
    """Write a webp of at most `THUMBNAIL_BYTES` bytes and `THUMBNAIL_SIDE` pixels a side."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    temporary.write_bytes(thumbnail(source))
    temporary.replace(target)


def thumbnail(source: Path, *, side: int = THUMBNAIL_SIDE, limit: int = THUMBNAIL_BYTES) -> bytes:
    """Return a picture as webp of at most ``limit`` bytes and ``side`` pixels a side."""
    with Image.open(source) as image:
        image.draft("RGB", (side * 2, side * 2))
        small = ImageOps.exif_transpose(image)
        small = small.convert("RGBA" if "A" in small.getbands() or "transparency" in small.info else "RGB")
        small.thumbnail((side, side), Image.Resampling.LANCZOS)
    while True:
        for quality in _QUALITIES:
            buffer = BytesIO()
            small.save(buffer, "WEBP", quality=quality, method=4)
            if buffer.tell() <= limit:
                return buffer.getvalue()
        small = small.resize((max(small.width * 3 // 4, 1), max(small.height * 3 // 4, 1)))
