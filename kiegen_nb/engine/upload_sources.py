"""What people hand over to be uploaded: a path, an address, or something in memory.

It is taken over on the caller's thread, so that the caller may change, close or drop it at once.
"""

from __future__ import annotations

import io
import ipaddress
import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from kiegen_nb.errors import UploadError
from kiegen_nb.tasks import UploadResult

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from PIL import Image

MOST_BYTES = 512 * 2**20  # nothing is documented for a stream; other clients stop at 100 to 512 MB
STEP = 2**20  # bytes read at a time
_NAME_MOST = 120  # characters of a name that are shown
_ADDRESS = re.compile(r"\s*https?://", re.IGNORECASE)
_COLOURS = (3, 4)
_FOR_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_NOT_FOR_PNG = {"I": "whole numbers", "F": "decimals"}


@dataclass(frozen=True, slots=True)
class Given:
    """A source as it was handed over; one of the first three is set.

    Attributes:
        name: what it is called in messages.
        path: a file.
        url: an address.
        write: writes what is in memory to a file.
        is_copy: the path is a temporary file of ours.
        is_named: the name is somebody's, and not only a way to speak of it.
    """

    name: str
    path: Path | None = None
    url: str | None = None
    write: Callable[[BinaryIO], object] | None = None
    is_copy: bool = False
    is_named: bool = True

    def drop(self) -> None:
        """Delete the temporary file, if there is one."""
        if self.is_copy and self.path is not None:
            self.path.unlink(missing_ok=True)


def take(source: object, name: str | None, folder: Callable[[], Path]) -> Given:
    """Take a source over.

    Args:
        source: what was handed over.
        name: what it shall be called.
        folder: where a stream is copied to.

    Raises:
        UploadError: it is nothing that can be uploaded.
    """
    if isinstance(source, UploadResult):
        source = source.source
    if isinstance(source, str) and _ADDRESS.match(source):
        url = source.strip()
        return Given(shown_name(name or url.partition("?")[0].rstrip("/")), url=url)
    if isinstance(source, str) and "://" in source:
        raise UploadError(f"{short(source)} is no http(s) address; give one, or the path of a file.")
    if isinstance(source, str | os.PathLike):
        try:
            path = Path(os.fsdecode(source)).expanduser().absolute()
        except (RuntimeError, ValueError, OSError) as error:
            raise UploadError(f"{short(str(source))} cannot be a path ({error}); give the path of a file.") from None
        return Given(shown_name(name or path.name), path=path)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return Given(shown_name(name or "This data"), write=lambda file: file.write(data), is_named=bool(name))
    if hasattr(source, "read"):
        return _copy_stream(source, name, folder)
    picture = _picture_of(source)
    if picture is None:
        raise UploadError(
            f"{type(source).__name__} cannot be uploaded; give a path, bytes, a file opened in binary mode, a Pillow "
            "image, a numpy array or an http(s) address."
        )
    return Given(shown_name(name or "This picture"), write=partial(_write_png, picture), is_named=bool(name))


def require_address(url: str, *, public: bool) -> None:
    """Check that the service can fetch from an address, as far as the address says.

    Args:
        url: the address.
        public: whether the service is elsewhere, and cannot see what is near us.

    Raises:
        UploadError: it cannot, or must not see it.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host:
        raise UploadError(f"{short(url)} is no address: give one such as https://example.com/kite.png.")
    if parts.username or parts.password:
        raise UploadError(f"The address at {host} holds a password: save the file, and give its path.")
    if not public:
        return
    with suppress(ValueError):
        if not ipaddress.ip_address(host).is_global:
            host = "localhost"
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise UploadError(f"{short(url)} can be read from here only, not by the service: give the path of the file.")


def shown_name(name: str) -> str:
    """Return a name from outside as one short line without folders."""
    last = re.split(r"[/\\]", name)[-1] or name
    plain = "".join(character if character.isprintable() else "_" for character in last).strip() or "file"
    if len(plain) <= _NAME_MOST:
        return plain
    ending = f"….{plain.rpartition('.')[2]}"
    ending = ending if len(ending) < _NAME_MOST // 4 else "…"
    return plain[: _NAME_MOST - len(ending)] + ending


def short(text: str) -> str:
    """Return a text from outside in quotes, not longer than a line."""
    return repr(text if len(text) <= _NAME_MOST else f"{text[:_NAME_MOST]}…")


def copy(source: Any, target: BinaryIO, name: str, stop: threading.Event | None = None) -> None:
    """Copy what a stream still gives.

    Raises:
        UploadError: it is too much, or text, or the upload was cancelled.
    """
    while chunk := source.read(STEP):
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise UploadError(f'{name} gives text: open it in binary mode, open(path, "rb"), and upload it again.')
        if stop is not None and stop.is_set():
            raise UploadError("cancelled")
        if target.tell() + len(chunk) > MOST_BYTES:
            raise UploadError(f"{name} has more than {MOST_BYTES // 2**20} MB: make it smaller.")
        target.write(chunk)


def _copy_stream(source: Any, name: str | None, folder: Callable[[], Path]) -> Given:
    called = name or getattr(source, "name", None)
    is_named = isinstance(called, str) and bool(called)
    shown = shown_name(str(called) if is_named else "This file object")
    if isinstance(source, io.TextIOBase):
        raise UploadError(f'{shown} is open as text: open it in binary mode, open(path, "rb"), and upload it again.')
    given = Given(shown, path=folder() / f".{uuid.uuid4().hex}.part", is_copy=True, is_named=is_named)
    try:
        with (given.path or Path()).open("xb") as file:
            copy(source, file, shown)
            size = file.tell()
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        given.drop()
        if isinstance(error, UploadError) or not isinstance(error, Exception):
            raise
        raise UploadError(f"{shown} could not be read ({error}): open it again and upload it.") from None
    if size == 0:
        given.drop()
        raise UploadError(f"{shown} has nothing left to read: go to its beginning with .seek(0) first.")
    return given


def _picture_of(source: object) -> Image.Image | None:
    """Return a copy of a Pillow image, or the picture a numpy array holds; None for anything else."""
    from PIL import Image, ImageOps  # noqa: PLC0415 - loaded already by whoever hands a picture over

    if isinstance(source, Image.Image):
        if source.mode in _NOT_FOR_PNG:
            what = _NOT_FOR_PNG[source.mode]
            raise UploadError(
                f"This picture holds {what} instead of colours: scale it and convert it to L or RGB first."
            )
        try:
            return ImageOps.exif_transpose(source)  # as it is looked at: the PNG will not say which way is up
        except (OSError, ValueError, SyntaxError) as error:
            raise UploadError(f"This picture cannot be read ({error}): open its file again.") from None
    return _picture_of_array(source) if hasattr(source, "__array_interface__") else None


def _picture_of_array(source: Any) -> Image.Image:
    import numpy as np  # noqa: PLC0415 - no dependency; loaded already by whoever made the array
    from PIL import Image  # noqa: PLC0415 - as above

    array = np.asarray(source)
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == len("HWC") and array.shape[2] not in _COLOURS):
        raise UploadError(
            f"An array of shape {array.shape} is no picture: height x width, or height x width x 3 or 4, is one; "
            "array.transpose(1, 2, 0) puts the colours last."
        )
    if array.dtype.kind == "f":
        # Also false for what is not a number.
        if not (array.min() >= 0 and array.max() <= 1):
            raise UploadError("An array of decimals must lie between 0 and 1: scale it, or make it uint8.")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise UploadError(
            f"An array of {array.dtype} is no picture: make it uint8 (0 to 255), or decimals from 0 to 1."
        )
    return Image.fromarray(np.array(array, order="C"))


def _write_png(picture: Image.Image, file: BinaryIO) -> None:
    try:
        if picture.mode not in _FOR_PNG:
            picture = picture.convert("RGBA" if picture.mode in {"PA", "RGBa", "La"} else "RGB")
        picture.save(file, "PNG")
    except (ValueError, SystemError) as error:
        raise UploadError(f"This picture cannot be saved as PNG ({error}): convert it to RGB first.") from None
