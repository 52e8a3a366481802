"""What a video holds, and a small picture of it. Without PyAV (the extra ``video``) it is saved all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiegen_nb.engine.formats import Found
from kiegen_nb.engine.pictures import write_small
from kiegen_nb.errors import MediaError
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from pathlib import Path

_POSTER_AT = 0.25  # of the length: the very first frame is often black
_MICROSECONDS = 1_000_000
_LARGEST = 16_384  # pixels a side; a file that claims more is not decoded


def inspect(path: Path, extension: str) -> Found:
    """Return size and length of a video.

    Raises:
        MediaError: if it cannot be read as one; only found out where PyAV is installed.
    """
    av = _library()
    if av is None:
        return Found(AssetKind.VIDEO, extension)
    try:
        with av.open(str(path)) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                sound = Found(AssetKind.AUDIO, "m4a", duration=_seconds(container))
                return sound if container.streams.audio else _refuse()
            size = (stream.codec_context.width, stream.codec_context.height)
            if not all(0 < side <= _LARGEST for side in size):
                return _refuse()
            next(container.decode(stream))  # a cut file opens, but holds no picture
            return Found(AssetKind.VIDEO, extension, *size, _seconds(container))
    except (av.FFmpegError, StopIteration, ValueError):
        return _refuse()


def write_poster(source: Path, target: Path) -> bool:
    """Write a thumbnail of a frame near the beginning; return whether that was possible."""
    av = _library()
    if av is None:
        return False
    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            length = container.duration or 0
            if length:
                container.seek(int(length * _POSTER_AT))
            frame = next(container.decode(stream))
            write_small(frame.to_image(), target)
    except (av.FFmpegError, StopIteration, ValueError, IndexError):
        return False  # it was whole a moment ago and plays without a poster
    return True


def _seconds(container: Any) -> float | None:
    return round(container.duration / _MICROSECONDS, 3) if container.duration else None


def _refuse() -> Found:
    raise MediaError("what arrived is not a video, or is damaged")


def _library() -> Any:
    try:
        import av  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        return None
    return av
