"""Opens saved results for the browser, and nothing else that a row of a store might name."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_INLINE = {
    "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "avif": "image/avif",
    "bmp": "image/bmp", "tiff": "image/tiff", "mp4": "video/mp4", "webm": "video/webm", "mov": "video/quicktime",
    "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "m4a": "audio/mp4",
    "mid": "audio/midi",
}  # fmt: skip
"""Endings a browser may show in the page; none of these can hold script."""

_TYPES = _INLINE | {"json": "application/json", "txt": "text/plain; charset=utf-8", "svg": "image/svg+xml"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
# Symbolic links are not followed, and a named pipe must not stop the server until somebody writes into it.
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file and what the browser is told of it.

    Attributes:
        file: open for reading; whoever asked closes it.
        name: its name, made of harmless characters.
        size: bytes.
        version: changes with the file's bytes.
    """

    file: IO[bytes]
    name: str
    size: int
    version: str

    @property
    def mime(self) -> str:
        """The content type, by the ending that saving gave it."""
        return _TYPES.get(self._ending, "application/octet-stream")

    @property
    def is_inline(self) -> bool:
        """Whether a browser may show it in the page; everything else is offered as a download."""
        return self._ending in _INLINE

    @property
    def _ending(self) -> str:
        return self.name.rpartition(".")[2]


def open_result(path: Path, task_id: str, number: int) -> Opened:
    """Open a task's saved result.

    A row is trusted as little as an address. The file must be called as saving calls it. It must be a regular file
    of the user the server runs as. Neither it nor its group's folder may be a symbolic link; the output folder above
    may be one, because its owner chose it.

    Args:
        path: what the store names.
        task_id: the task's id.
        number: which of its results, from 0.

    Raises:
        OSError: if there is no such file, or it is not one of ours.
    """
    if not path.is_absolute() or not re.fullmatch(rf"{re.escape(task_id)}-{number}\.[a-z0-9]{{1,8}}", path.name):
        raise PermissionError("the row names a file that is no result of this task")
    # What is opened is what is checked and sent, whatever happens to the name meanwhile.
    handle = _open(path)
    known = os.fstat(handle)
    if (reason := _objection(known)) is not None:
        os.close(handle)
        raise PermissionError(reason)
    return Opened(os.fdopen(handle, "rb"), path.name, known.st_size, f"{known.st_mtime_ns:x}-{known.st_size:x}")


def wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """Return first byte and end (exclusive) of what a ``Range`` header asks for; None asks for the whole file.

    Several ranges in one header, other units and nonsense ask for the whole file, as RFC 9110 allows.

    Args:
        header: its value, empty if there is none.
        size: bytes of the file.

    Raises:
        ValueError: no byte of the file is in the range.
    """
    found = _RANGE.fullmatch(header.replace(" ", "").lower())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= end:
        raise ValueError("no byte of the file is in this range")
    return start, end


def _objection(known: os.stat_result) -> str | None:
    if not stat.S_ISREG(known.st_mode):
        return "this is no regular file"
    if hasattr(os, "geteuid") and known.st_uid != os.geteuid():
        return "the file belongs to somebody else"
    return None


def _open(path: Path) -> int:
    if os.open not in os.supports_dir_fd:
        if path.is_symlink() or path.parent.is_symlink():
            raise PermissionError("a symbolic link is not followed")
        return os.open(path, _FLAGS)
    group = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        return os.open(path.name, _FLAGS, dir_fd=group)
    finally:
        os.close(group)
