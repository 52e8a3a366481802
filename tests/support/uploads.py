"""Files to upload, a clock that can be ahead of the world's, and what a sandbox took in."""

from __future__ import annotations

import io
import sqlite3
import struct
import urllib.error
import urllib.request
import zlib
from typing import TYPE_CHECKING, Any

from PIL import Image

from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.settings import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.sandboxes import Sandbox

DAY = 24 * 3600.0
GOOD = 200
LONG = 0.5  # seconds; what is longer is not waited for


class Ahead(SystemClock):
    """The machine's clock, moved by a test; long waits are noted and over at once."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        return super().time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        if seconds >= LONG:
            self.slept.append(seconds)
        else:
            await super().sleep(seconds)

    def jitter(self) -> float:
        return 0.0


def png(colour: str = "red", size: tuple[int, int] = (32, 24)) -> bytes:
    return saved(Image.new("RGB", size, colour), "PNG")


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def noise(side: int = 1200) -> bytes:
    """Return a picture that base64 is not advised for."""
    return saved(Image.effect_noise((side, side), 90).convert("RGB"), "BMP")


def claim(width: int, height: int) -> bytes:
    """Return a small PNG that claims to be a large one."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def film(path: Path, seconds: int = 2) -> Path:
    """Write a film whose index comes first, so that its beginning plays without its end."""
    import av  # noqa: PLC0415 - slow to import

    frames: Any = av.VideoFrame
    options = {} if path.suffix == ".webm" else {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    codec = {".webm": "libvpx", ".avi": "mpeg4"}.get(path.suffix, "h264")
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for _ in range(5 * seconds):
            container.mux(stream.encode(frames.from_image(Image.effect_noise((160, 120), 90).convert("RGB"))))
        container.mux(stream.encode())
    return path


def fetched(url: str) -> bytes | None:
    """Return what is at an address, None if it is gone."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own loopback
            content: bytes = response.read()
            return content
    except urllib.error.HTTPError:
        return None


def kept_copies() -> list[str]:
    """Return the names of what was copied to the data folder."""
    return sorted(path.name for path in (data_folder() / "uploads").glob("*"))


def answers(sandbox: Sandbox) -> list[int]:
    """Return how the sandbox answered every upload so far."""
    return [entry["code"] for entry in sandbox.get("/sandbox/requests") if entry["route"] == "upload"]


def sent(sandbox: Sandbox) -> int:
    """Return how many uploads the sandbox took."""
    return answers(sandbox).count(GOOD)


def forget_uploads(database: Path) -> None:
    """Have every uploaded file of a sandbox expire now."""
    with sqlite3.connect(database, timeout=10) as connection:
        connection.execute("UPDATE uploads SET expires = 0")
    connection.close()
