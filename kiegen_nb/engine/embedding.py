"""Text inside PNG files: put in without touching the picture, and read again without trusting the file."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kiegen_nb.engine.formats import Found
    from kiegen_nb.tasks import GenerationTask

KEYWORD = "kiegen"
"""Our own chunk: the sidecar's JSON."""
LONGEST = 1024 * 1024  # bytes of one text that is read
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 100_000  # real files have some hundreds


def embed(source: Path, target: Path, texts: Mapping[str, str]) -> None:
    """Write a copy of a PNG with texts in it; every chunk it had stays as it is, byte for byte.

    Args:
        source: the PNG.
        target: the copy; replaced if it is there.
        texts: keyword (latin letters) -> text, in this order before the end of the file.

    Raises:
        ValueError: the file is no PNG, or has no end.
        OSError: it cannot be read or written.
    """
    with source.open("rb") as old, target.open("wb") as new:
        end = next((at for name, at, _ in _chunks(old) if name == b"IEND"), None)
        if end is None:
            raise ValueError("the PNG has no end")
        old.seek(0)
        _copy(old, new, end)
        for keyword, text in texts.items():
            new.write(_text_chunk(keyword, text))
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(new.fileno())


def read_text(path: Path, keyword: str) -> str | None:
    """Return the last text of this keyword in a PNG, None if it holds none (or one that is too long or damaged).

    Raises:
        OSError: the file cannot be read.
    """
    found, wanted = None, keyword.encode("latin-1") + b"\0"
    with path.open("rb") as file:
        try:
            for name, at, length in _chunks(file):
                if name in {b"tEXt", b"iTXt"} and len(wanted) <= length <= LONGEST:
                    file.seek(at + 8)
                    data = file.read(length)
                    intact = file.read(4) == _sum(name + data)
                    if intact and data.startswith(wanted):
                        found = _text(name, data[len(wanted) :])
        except ValueError:
            return None
    return found


def parameters(task: GenerationTask, found: Found) -> str:
    """Return a request as the widespread chunk ``parameters`` spells it: the prompt, then what it was made with."""
    asked = task.provider_params.get("input")
    given: dict[str, Any] = asked if isinstance(asked, dict) else {}
    negative = given.get("negative_prompt")
    facts = {
        "Seed": given.get("seed", given.get("seeds")),
        "Size": f"{found.width}x{found.height}",
        "Model": task.api_model,
        # Readers of this format take a last line of fewer than three facts for a part of the prompt.
        "Version": "kiegen_nb",
    }
    lines = [task.prompt]
    if isinstance(negative, str) and negative:
        lines.append(f"Negative prompt: {negative}")
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in facts.items() if value is not None))
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",:\n") else text


def _chunks(file: IO[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """Give each chunk's name, place and length of its data, up to the file's end or the first that is cut."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if file.read(8) != _SIGNATURE:
        raise ValueError("this is no PNG")
    at = 8
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:  # noqa: PLR2004 - a chunk's length and name
            return
        length, name = struct.unpack(">I4s", head)
        if at + length + 12 > size:
            return
        yield name, at, length
        if name == b"IEND":
            return
        at += length + 12


def _copy(old: IO[bytes], new: IO[bytes], length: int) -> None:
    while length:
        block = old.read(min(length, 1024 * 1024))
        if not block:
            raise ValueError("the PNG became shorter")
        new.write(block)
        length -= len(block)


def _text_chunk(keyword: str, text: str) -> bytes:
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")  # no text chunk may hold one
    try:
        name, data = b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        # Not compressed, no language, no translated keyword.
        name, data = b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
    return struct.pack(">I", len(data)) + name + data + _sum(name + data)


def _text(name: bytes, data: bytes) -> str | None:
    if name == b"tEXt":
        return data.decode("latin-1")
    packed, *_, text = data[:1], *data[2:].split(b"\0", 2)
    # A compressed one is none of ours, and may grow without end.
    return text.decode("utf-8", "replace") if packed == b"\0" else None


def _sum(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
