"""Reads a multipart form while it arrives, so that a large file never lies in memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_HEAD = 16 * 1024
LONGEST_FIELD = 16 * 1024


class MultipartError(ValueError):
    """A body that is no multipart form."""


def boundary_of(content_type: str) -> bytes:
    """Return the boundary named by a Content-Type header.

    Raises:
        MultipartError: It is no multipart form.
    """
    found = re.search(r'^multipart/form-data\s*;.*?boundary=(?:"([^"]+)"|([^;\s]+))', content_type, re.IGNORECASE)
    if not found:
        raise MultipartError("Content-Type must be multipart/form-data")
    return (found[1] or found[2]).encode("latin-1")


class Multipart:
    """A form with one file, fed piece by piece.

    Args:
        boundary: What stands between the parts.

    Attributes:
        fields: The plain fields read so far.
        file_name: Name the file came with; None until it has begun.
        file_type: Its media type, if given.
        done: Whether the closing boundary has been seen.
    """

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"\r\n--" + boundary
        # The first boundary has no line before it.
        self._buffer = b"\r\n"
        self._field: str | None = None
        self._in_file = False
        self._between = True
        self.fields: dict[str, str] = {}
        self.file_name: str | None = None
        self.file_type = ""
        self.done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take a piece of the body; yields pieces of the file.

        Raises:
            MultipartError: The body breaks the form's grammar.
        """
        self._buffer += data
        while not self.done:
            if self._between:
                if not self._next_part():
                    return
                continue
            end = self._buffer.find(self._mark)
            # Without a boundary in sight its beginning may still hide at the end of what is there.
            ready = end if end >= 0 else max(len(self._buffer) - len(self._mark), 0)
            yield from self._content(self._buffer[:ready])
            self._buffer = self._buffer[ready:]
            if end < 0:
                return
            self._between = True

    def _content(self, data: bytes) -> Iterator[bytes]:
        if self._in_file:
            if data:
                yield data
        elif self._field is not None:
            text = self.fields.get(self._field, "") + data.decode("utf-8", "replace")
            if len(text) > LONGEST_FIELD:
                raise MultipartError("A form field is too long")
            self.fields[self._field] = text

    def _next_part(self) -> bool:
        begin = self._buffer.find(self._mark)
        after = begin + len(self._mark)
        if begin < 0 or len(self._buffer) < after + 2:
            return self._wait()
        if self._buffer[after : after + 2] == b"--":
            self.done = True
            return True
        head_end = self._buffer.find(b"\r\n\r\n", after)
        if head_end < 0:
            return self._wait()
        self._read_head(self._buffer[after:head_end].decode("utf-8", "replace"))
        self._buffer = self._buffer[head_end + 4 :]
        self._between = False
        return True

    def _wait(self) -> bool:
        if len(self._buffer) > LONGEST_HEAD:
            raise MultipartError("The multipart body has no boundary")
        return False

    def _read_head(self, head: str) -> None:
        name = re.search(r'[;\s]name="([^"]*)"', head)
        file_name = re.search(r'filename="([^"]*)"', head)
        media = re.search(r"^content-type:\s*([^\r\n;]+)", head, re.IGNORECASE | re.MULTILINE)
        self._field = name[1] if name else ""
        self._in_file = self._field == "file" and self.file_name is None
        if self._in_file:
            self.file_name = file_name[1] if file_name else ""
            self.file_type = media[1].strip() if media else ""
