"""What a file is, by its first bytes and not by its name."""

from __future__ import annotations

from dataclasses import dataclass

from kiegen_nb.tasks import AssetKind

HEAD = 64  # bytes that tell
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
