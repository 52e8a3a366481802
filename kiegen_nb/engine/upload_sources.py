"""What people hand over to be uploaded: a path, an address, or something in memory; checked before a byte is sent.

What is in memory is written to the data folder first, so that it can be uploaded again when its address has died.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import uuid
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kiegen_nb.engine import films, pictures
from kiegen_nb.engine.formats import HEAD, Found, is_cut, sniff
from kiegen_nb.errors import MediaError, UploadError
from kiegen_nb.tasks import AssetKind, UploadResult

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from PIL import Image

    Write = Callable[[BinaryIO], object]

MOST_BYTES = 512 * 2**20  # nothing is documented for a stream; other clients stop at 100 to 512 MB
STEP = 2**20  # bytes read at a time
_NAME_MOST = 120  # characters of a name that are shown
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_COLOURS = (3, 4)
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_MIMES = {
    "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "tiff": "image/tiff", "avif": "image/avif", "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
    "avi": "video/x-msvideo", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "m4a": "audio/mp4", "aac": "audio/aac", "mid": "audio/midi",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Given:
    """A source as it was handed over: one of the three is set.

    Attributes:
        name: what it is called in messages.
        path: a file.
        url: an address.
        write: writes what is in memory to a file.
        copied: the path is a temporary file of ours.
    """

    name: str
    path: Path | None = None
    url: str | None = None
    write: Write | None = None
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that was checked and can be sent.

    Attributes:
        path: where it is.
        name: what it is called.
        found: what it is.
        size: bytes.
        sha256: hex digest of them.
        is_new: whether it is a copy of ours that was not there before.
    """

    path: Path
    name: str
    found: Found
    size: int
    sha256: str
    is_new: bool = False

    @property
    def mime(self) -> str:
        """Its media type."""
        return _MIMES.get(self.found.extension, f"{self.found.kind}/{self.found.extension}")

    @property
    def file_name(self) -> str:
        """What it is called at the service: one name for ever stands for the same bytes."""
        return f"{self.sha256[:32]}.{self.found.extension}"


def take(source: object, name: str | None, folder: Callable[[], Path]) -> Given:
    """Take a source over, on the caller's thread: afterwards the caller may change, close or drop it.

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
        return Given(shown_name(name or source.partition("?")[0].rpartition("/")[2] or source), url=source.strip())
    if isinstance(source, str) and "://" in source:
        raise UploadError(f"{_short(source)} is no http(s) address; give one, or the path of a file.")
    if isinstance(source, str | os.PathLike):
        try:
            path = Path(os.fsdecode(source)).expanduser().absolute()
        except (RuntimeError, ValueError, OSError) as error:
            raise UploadError(f"{_short(str(source))} cannot be a path ({error}); give the path of a file.") from None
        return Given(shown_name(name or path.name), path=path)
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        return Given(shown_name(name or "these bytes"), write=lambda file: file.write(data))
    if hasattr(source, "read"):
        return _copy_stream(source, name, folder)
    picture = _picture_of(source)
    if picture is not None:
        return Given(shown_name(name or "this picture"), write=partial(_write_png, picture))
    raise UploadError(
        f"{type(source).__name__} cannot be uploaded; give a path, bytes, a file opened in binary mode, a Pillow "
        "image, a numpy array or an http(s) address."
    )


def check(given: Given, folder: Callable[[], Path], stop: threading.Event, *, keep: bool = False) -> Ready:
    """Read, check and hash a source that is no address; in a worker, for it reads the whole file.

    Args:
        given: the source.
        folder: where copies are kept.
        stop: set when the upload was cancelled.
        keep: copy a file of the user's, too.

    Raises:
        UploadError: it cannot be uploaded; one sentence names it and says what to do.
    """
    if given.path is not None and not (given.copied or keep):
        return _inspect(given.path, given.name, stop)
    temporary = given.path if given.copied else None
    try:
        if temporary is None:
            temporary = folder() / f".{uuid.uuid4().hex}.part"
            _write(temporary, given, stop)
        return _keep(_inspect(temporary, given.name, stop))
    except OSError as error:
        raise UploadError(
            f"{given.name} could not be copied to {folder()}: {error.strerror or error}. Free space there, or save "
            "it to a file of your own and give its path."
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_again(upload: UploadResult, folder: Callable[[], Path], stop: threading.Event) -> Ready:
    """Find the bytes of an earlier upload once more, and nothing but these.

    Raises:
        UploadError: they are gone.
    """
    path = Path(upload.source or "")
    copies = sorted(folder().glob(f"{upload.sha256}.*"))
    for place in (path, *copies):
        try:
            ready = _inspect(place, upload.name, stop)
        except UploadError:
            continue
        if ready.sha256 == upload.sha256:
            return ready
    what = "has changed since it was uploaded" if upload.source and path.exists() else "is not there any more"
    raise UploadError(
        f"The address of {upload.name} has expired, and the file {upload.source or 'itself'} {what}: put it back as it "
        "was, or upload the new one and submit again."
    )


def digest(path: Path, stop: threading.Event) -> str:
    """Return the hex sha256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(STEP):
            if stop.is_set():
                raise UploadError("cancelled")
            total.update(chunk)
    return total.hexdigest()


def shown_name(name: str) -> str:
    """Return a name from outside as one short line without folders."""
    last = re.split(r"[/\\]", name)[-1] or name
    plain = "".join(character if character.isprintable() else "_" for character in last).strip() or "file"
    stem, dot, ending = plain.rpartition(".")
    if len(plain) <= _NAME_MOST:
        return plain
    ending = f"…{dot}{ending}" if stem and len(ending) < _NAME_MOST // 4 else "…"
    return plain[: _NAME_MOST - len(ending)] + ending


def _inspect(path: Path, name: str, stop: threading.Event) -> Ready:
    try:
        size = _size_of(path, name)
        with path.open("rb") as file:
            head = file.read(HEAD)
        found = _found(path, head)
        return Ready(path, name, found, size, digest(path, stop))
    except MediaError as error:
        raise UploadError(
            f"{name}: {_of_ours(str(error))}. Open it to see whether it is whole, and save it anew."
        ) from (None)
    except (OSError, ValueError) as error:
        if isinstance(error, UploadError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UploadError(f"{name} cannot be read ({reason}): check the path {_short(str(path))}.") from None


def _size_of(path: Path, name: str) -> int:
    said = path.stat()
    if stat.S_ISDIR(said.st_mode):
        raise UploadError(f"{name} is a folder: give a file in it, several one by one.")
    if not stat.S_ISREG(said.st_mode):
        raise UploadError(f"{name} is no ordinary file: save what it gives to one, and give its path.")
    if said.st_size == 0:
        raise UploadError(f"{name} is empty: nothing to upload. Check that it was written and closed before.")
    if said.st_size > MOST_BYTES:
        raise UploadError(
            f"{name} has {said.st_size / 2**20:,.0f} MB; at most {MOST_BYTES // 2**20} MB are sent. Make it smaller."
        )
    return said.st_size


def _found(path: Path, head: bytes) -> Found:
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in _HEIF:
        raise MediaError("a HEIC picture, which models do not take: save it as JPEG or PNG")
    if brand in _AVIF or head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        found = pictures.inspect(path)
        # A camera's JPEG may hold a second, smaller picture.
        return Found(found.kind, "jpg", found.width, found.height) if found.extension == "mpo" else found
    kind, extension = sniff(head) or _more(head) or (None, "")
    if kind is None:
        why = "an SVG, which models do not take: save it as PNG" if b"<svg" in head.lower() else ""
        raise MediaError(why or "neither a picture nor a video nor a sound, whatever it is called")
    if is_cut(path):
        raise MediaError(f"the end of the {kind} is missing")
    return films.inspect(path, extension) if kind is AssetKind.VIDEO else Found(kind, extension)


def _more(head: bytes) -> tuple[AssetKind, str] | None:
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AssetKind.VIDEO, "avi"
    return (AssetKind.AUDIO, "aac") if head[:2] in (b"\xff\xf1", b"\xff\xf9") else None


def _of_ours(reason: str) -> str:
    return reason.replace("what arrived is", "it is")


def _write(path: Path, given: Given, stop: threading.Event) -> None:
    with path.open("xb") as file:
        if given.write is not None:
            given.write(file)
        elif given.path is not None:
            _size_of(given.path, given.name)
            with given.path.open("rb") as source:
                _copy(source, file, given.name, stop)
        file.flush()
        os.fsync(file.fileno())


def _keep(ready: Ready) -> Ready:
    """Give a checked temporary file the name its bytes have for ever."""
    path = ready.path.with_name(f"{ready.sha256}.{ready.found.extension}")
    is_new = not path.exists()
    ready.path.replace(path)
    return Ready(path, ready.name, ready.found, ready.size, ready.sha256, is_new=is_new)


def _copy_stream(source: Any, name: str | None, folder: Callable[[], Path]) -> Given:
    called = getattr(source, "name", None)
    shown = shown_name(name or (called if isinstance(called, str) else "this file object"))
    if isinstance(source, io.TextIOBase):
        raise UploadError(f'{shown} is open as text: open it in binary mode, open(path, "rb"), and upload it again.')
    place = folder() / f".{uuid.uuid4().hex}.part"
    try:
        with place.open("xb") as file:
            _copy(source, file, shown, None)
            if file.tell() == 0:
                raise UploadError(f"{shown} has nothing left to read: go to its beginning with .seek(0) first.")
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        place.unlink(missing_ok=True)
        if isinstance(error, UploadError) or not isinstance(error, Exception):
            raise
        raise UploadError(f"{shown} could not be read ({error}): open it again and upload it.") from None
    return Given(shown, path=place, copied=True)


def _copy(source: Any, target: BinaryIO, name: str, stop: threading.Event | None) -> None:
    while chunk := source.read(STEP):
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise UploadError(f'{name} gives text: open it in binary mode, open(path, "rb"), and upload it again.')
        if stop is not None and stop.is_set():
            raise UploadError("cancelled")
        if target.tell() + len(chunk) > MOST_BYTES:
            raise UploadError(f"{name} has more than {MOST_BYTES // 2**20} MB. Make it smaller.")
        target.write(chunk)


def _picture_of(source: object) -> Image.Image | None:
    """Return a copy of a Pillow image, or the picture a numpy array holds; None for anything else."""
    from PIL import Image, ImageOps  # noqa: PLC0415 - only who hands a picture over has loaded it already

    if isinstance(source, Image.Image):
        try:
            # As it is looked at: the PNG will not say which way is up.
            return ImageOps.exif_transpose(source).copy()
        except (OSError, ValueError, SyntaxError) as error:
            raise UploadError(f"This picture cannot be read ({error}): open its file again.") from None
    if not hasattr(source, "__array_interface__"):
        return None
    import numpy as np  # noqa: PLC0415 - an optional library, loaded by whoever made the array

    array = np.asarray(source)
    if array.size == 0 or array.ndim not in (2, 3) or (array.ndim == len("HWC") and array.shape[2] not in _COLOURS):
        raise UploadError(
            f"An array of shape {array.shape} is no picture: height x width, or height x width x 3 or 4, is one; "
            "array.transpose(1, 2, 0) puts the colours last."
        )
    if array.dtype.kind == "f":
        # Also false for NaN.
        if not (array.min() >= 0 and array.max() <= 1):
            raise UploadError("An array of decimals must lie between 0 and 1; scale it, or make it uint8.")
        array = (array * 255).round().astype(np.uint8)
    if array.dtype != np.uint8:
        raise UploadError(
            f"An array of {array.dtype} is no picture: make it uint8 (0 to 255), or decimals from 0 to 1."
        )
    return Image.fromarray(np.array(array, order="C"))


def _write_png(picture: Image.Image, file: BinaryIO) -> None:
    try:
        plain = picture if picture.mode in {"1", "L", "LA", "P", "RGB", "RGBA", "I;16"} else picture.convert("RGB")
        plain.save(file, "PNG")
    except (ValueError, SystemError) as error:
        raise UploadError(f"This picture cannot be saved as PNG ({error}): convert it to RGB first.") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= _NAME_MOST else f"{text[:_NAME_MOST]}…")
