"""What a file is, by its first bytes and not by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 64  # bytes that tell
_MOST_BOXES = 100_000
_STARTS: tuple[tuple[bytes, AssetKind, str], ...] = (
    (b"\x1a\x45\xdf\xa3", AssetKind.VIDEO, "webm"),
    (b"ID3", AssetKind.AUDIO, "mp3"),
    (b"\xff\xfb", AssetKind.AUDIO, "mp3"),
    (b"\xff\xf3", AssetKind.AUDIO, "mp3"),
    (b"\xff\xf2", AssetKind.AUDIO, "mp3"),
    (b"fLaC", AssetKind.AUDIO, "flac"),
    (b"OggS", AssetKind.AUDIO, "ogg"),
    (b"MThd", AssetKind.AUDIO, "mid"),
)
_BRANDS = {b"M4A ": (AssetKind.AUDIO, "m4a"), b"qt  ": (AssetKind.VIDEO, "mov")}


@dataclass(frozen=True, slots=True)
class Found:
    """What a file turned out to be: kind, ending, pixels and seconds."""

    kind: AssetKind
    extension: str
    width: int | None = None
    height: int | None = None
    duration: float | None = None


def sniff(head: bytes) -> tuple[AssetKind, str] | None:
    """Return kind and ending of a video or audio file, None for anything else."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], (AssetKind.VIDEO, "mp4"))
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return AssetKind.AUDIO, "wav"
    return next(((kind, ending) for start, kind, ending in _STARTS if head.startswith(start)), None)


def is_cut(path: Path) -> bool:
    """Whether an mp4, mov or m4a file ends before the last of its boxes does; players show its beginning all the same.

    Args:
        path: a file that `sniff` knows by its ``ftyp``; any other is not understood and counts as whole.
    """
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(_MOST_BOXES):
            file.seek(offset)
            head = file.read(16)
            if len(head) < 8 or (offset == 0 and head[4:8] != b"ftyp"):  # noqa: PLR2004 - a box's length and name
                return False
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # noqa: PLR2004 - 0: to the end of the file; the others are nonsense, for the decoder to judge
                return False
            offset += length
            if offset > size:
                return True
    return False
