"""What a file really is, and a small picture of it."""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from kiegen_nb.engine.formats import Found
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


def inspect(path: Path) -> Found:
    """Return format and size of a picture.

    Raises:
        MediaError: if it is none, is damaged, or is too large to open safely.
    """
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


def write_thumbnail(source: Path, target: Path) -> bool:
    """Write a picture's thumbnail: webp, at most `THUMBNAIL_BYTES` bytes and `THUMBNAIL_SIDE` pixels a side."""
    with Image.open(source) as image:
        image.draft("RGB", (THUMBNAIL_SIDE * 2, THUMBNAIL_SIDE * 2))
        write_small(image, target)
    return True


def write_small(image: Image.Image, target: Path) -> None:
    """Write a picture in memory as a thumbnail."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_suffix(".part")
    try:
        temporary.write_bytes(thumbnail(image))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def thumbnail(image: Image.Image, *, side: int = THUMBNAIL_SIDE, limit: int = THUMBNAIL_BYTES) -> bytes:
    """Return a picture as webp of at most ``limit`` bytes and ``side`` pixels a side."""
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
