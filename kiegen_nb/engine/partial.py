"""A file that is not whole yet: its bytes, and what is known of the file they belong to.

Both outlive the process, so the next one goes on where this one was killed. Two different files are never glued:
the host is asked for the rest of the same version only, and its answer must begin with bytes that are here already.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from kiegen_nb.errors import MediaError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

OVERLAP = 16 * 1024  # bytes that are asked for once more, as a proof that the rest belongs to them


class Interrupted(MediaError):
    """The download ended early; asking again can help.

    Attributes:
        retry_after: seconds the host asked to wait, None if it did not say.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class Changed(Interrupted):
    """What the host sends is not the rest of what is here."""

    def __init__(self) -> None:
        super().__init__("the file changed at its host while it was fetched")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a host says about a file.

    Attributes:
        etag: the name of this version, as it was sent.
        modified: when it was changed, as it was sent.
        total: bytes of the whole file.
    """

    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` may hold: a weak ETag stands for several versions, so it may not."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def fits(self, other: Origin) -> bool:
        """Whether both can be about the same version of a file, as far as they say anything."""
        if None not in (self.total, other.total) and self.total != other.total:
            return False
        if self.etag and other.etag:
            return self.etag == other.etag
        return not (self.modified and other.modified) or self.modified == other.modified


class Partial:
    """A temporary file, used by one process at a time. Every method but `resume_at` reads or writes the disk.

    Args:
        path: where it is; what is known of it lies beside it.

    Attributes:
        size: bytes that are here.
        origin: what is known of the whole file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.origin = Origin()
        self._record = path.with_name(f"{path.name}.json")
        self._handle: FileIO | None = None
        self._awaited = b""  # what the host's answer must begin with
        self._guard = threading.Lock()  # a cancelled download's worker may still be busy with the file
        self._ended = False

    def take(self) -> bool:
        """Open it with whatever an earlier process left; return False while another process has it.

        Raises:
            OSError: if it can be neither read nor written.
        """
        while True:
            handle = self.path.open("a+b", buffering=0)
            if not _lock(handle):
                handle.close()
                return False
            if _is_at(handle, self.path):
                break
            handle.close()  # the one who had it has just renamed or removed it
        with self._guard:
            if self._ended:
                handle.close()
                return False
            self._handle = handle
        self.size = handle.seek(0, os.SEEK_END)
        self.origin = self._read_record()
        return True

    def resume_at(self) -> int | None:
        """Return the offset to ask the host from, None for the start of the file."""
        total = self.origin.total
        if self.origin == Origin() or self.size <= OVERLAP or (total is not None and self.size > total):
            return None
        return self.size - OVERLAP

    def begin(self, origin: Origin | None = None) -> None:
        """Start from nothing, with a file of this origin."""
        # The bytes go first: with the new record beside them they would look like the beginning of the new file.
        self._file.truncate(0)
        self.size, self._awaited, self.origin = 0, b"", origin or Origin()
        if origin is None or origin == Origin():
            self._record.unlink(missing_ok=True)
        else:
            self._record.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def go_on(self, origin: Origin) -> None:
        """Expect the bytes from `resume_at` on, of a file of this origin."""
        self.origin = replace(self.origin, total=self.origin.total or origin.total)
        self._file.seek(self.size - OVERLAP)
        self._awaited = self._file.read(OVERLAP)

    def write(self, block: bytes | bytearray) -> None:
        """Append bytes and hand them to the system.

        Raises:
            Changed: if they are not the rest of what is here.
            OSError: if there is no room, or the like.
        """
        if self._awaited:
            again = block[: len(self._awaited)]
            if not self._awaited.startswith(bytes(again)):
                raise Changed
            self._awaited, block = self._awaited[len(again) :], block[len(again) :]
        rest = memoryview(block)
        while rest:
            written = self._file.write(rest)
            self.size += written
            rest = rest[written:]

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are here, as far as the host said how many there are."""
        return not self._awaited and self.origin.total in (None, self.size)

    def sync(self) -> None:
        """Have the bytes outlive a power cut."""
        os.fsync(self._file.fileno())

    def become(self, path: Path) -> None:
        """Take the final name."""
        with self._guard:
            handle = self._file
            if sys.platform == "win32":
                handle.close()  # Windows renames no open file; elsewhere the lock is kept until the name has changed
            self.path.replace(path)
            self._close()
            self._record.unlink(missing_ok=True)
        sync_folder(path.parent)

    def drop(self) -> None:
        """Close and remove it, if it is still there."""
        self._end(keep=False)

    def leave(self) -> None:
        """Close it, for another time."""
        self._end(keep=self.size > 0)

    def _end(self, *, keep: bool) -> None:
        with self._guard:
            self._ended = True
            if self._handle is None:
                return
            if sys.platform == "win32":
                self._handle.close()
            try:
                if not keep:
                    self.path.unlink(missing_ok=True)
                    self._record.unlink(missing_ok=True)
            finally:
                self._close()

    @property
    def _file(self) -> FileIO:
        if self._handle is None:
            raise MediaError("the download was ended")
        return self._handle

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _read_record(self) -> Origin:
        try:
            record = json.loads(self._record.read_text(encoding="utf-8"))
            etag, modified, total = record["etag"], record["modified"], record["total"]
        except (OSError, ValueError, LookupError, TypeError):
            return Origin()  # there is none, or a killed process left half of one
        texts = all(text is None or isinstance(text, str) for text in (etag, modified))
        return Origin(etag, modified, total) if texts and (total is None or isinstance(total, int)) else Origin()


def sync_folder(folder: Path) -> None:
    """Have a new name in a folder outlive a power cut, where the system knows how."""
    if sys.platform == "win32":
        return
    with suppress(OSError):  # some network folders refuse; the file itself is safe
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _lock(handle: FileIO) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_at(handle: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
