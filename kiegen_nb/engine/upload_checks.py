"""Looks at what is to be uploaded before a byte is sent: what it really is, whether it is whole, and its hash.

What is in memory is written to the data folder, so that it can be uploaded again when its address has died.
Everything here reads whole files and belongs into a worker.
"""

from __future__ import annotations

import hashlib
import os
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kiegen_nb.engine import films, pictures
from kiegen_nb.engine.formats import Found, is_cut, sniff
from kiegen_nb.engine.upload_sources import MOST_BYTES, STEP, copy, short
from kiegen_nb.errors import InvalidParams, MediaError, UploadError
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from kiegen_nb.engine.upload_sources import Given
    from kiegen_nb.service import FileRule
    from kiegen_nb.tasks import UploadResult

MEDIA = (AssetKind.IMAGE, AssetKind.VIDEO, AssetKind.AUDIO)
_HEAD = 1024  # bytes that tell
# Only these are given to Pillow, which would read a lot more kinds of files, some with the help of other programs.
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_AVIF = (b"avif", b"avis")
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
_AAC = (b"\xff\xf1", b"\xff\xf9")
_MIMES = {
    "png": "image/png", "jpg": "image/jpeg", "webp": "image/webp", "gif": "image/gif", "bmp": "image/bmp",
    "tiff": "image/tiff", "avif": "image/avif", "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm",
    "avi": "video/x-msvideo", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg",
    "m4a": "audio/mp4", "aac": "audio/aac", "mid": "audio/midi",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that was checked and can be sent.

    Attributes:
        path: where it is.
        name: what it is called; a short form of its hash if nobody named it.
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


def check(given: Given, folder: Callable[[], Path], stop: threading.Event, *, keep: bool = False) -> Ready:
    """Read, check and hash a source that is no address.

    Args:
        given: the source.
        folder: where copies are kept.
        stop: set when the upload was cancelled.
        keep: copy a file of the user's, too.

    Raises:
        UploadError: it cannot be uploaded; one sentence names it and says what to do.
    """
    if given.path is not None and not (given.is_copy or keep or _is_odd(given.path)):
        return _inspect(given.path, given.name, stop)
    temporary = given.path if given.is_copy else None
    try:
        if temporary is None:
            temporary = folder() / f".{uuid.uuid4().hex}.part"
            _write(temporary, given, stop)
        ready = _keep(_inspect(temporary, given.name, stop))
        return ready if given.is_named else replace(ready, name=f"{ready.sha256[:8]}.{ready.found.extension}")
    except OSError as error:
        raise UploadError(
            f"{given.name} could not be copied to the data folder ({error.strerror or error}): free space there, or "
            "save it to a file of your own and give its path."
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
    for place in (path, *sorted(folder().glob(f"{upload.sha256}.*"))):
        with suppress(UploadError):
            ready = _inspect(place, upload.name, stop)
            if ready.sha256 == upload.sha256:
                if place.parent == folder():
                    os.utime(place)  # a copy that is needed is no old one
                return ready
    what = "has changed since it was uploaded" if upload.source and path.exists() else "is not there any more"
    raise UploadError(
        f"The address of {upload.name} has expired, and the file {short(upload.source or upload.name)} {what}: put it "
        "back as it was, or upload the new one and submit again."
    )


def wanted_kinds(accept: str | Iterable[str] | None) -> tuple[AssetKind, ...]:
    """Return the kinds a caller accepts, all of them for None.

    Raises:
        InvalidParams: there is no such kind.
    """
    if accept is None:
        return MEDIA
    words = [accept] if isinstance(accept, str) else list(accept)
    kinds = tuple(kind for kind in MEDIA if kind in [str(word).removesuffix("/*") for word in words])
    if len(kinds) != len(set(words)) or not kinds:
        known = ", ".join(MEDIA)
        raise InvalidParams({"accept": f"must be one or several of {known}, not {accept!r}."}, what="This upload")
    return kinds


def require_kind(
    name: str, kind: AssetKind, kinds: Iterable[AssetKind], model: str, rules: tuple[FileRule, ...] | None
) -> None:
    """Check a kind against what the caller accepts and what a model takes.

    Args:
        name: what the caller calls the file.
        kind: what it is.
        kinds: what is accepted.
        model: what the model is called.
        rules: what it takes; None if that is anything.

    Raises:
        UploadError: it is not wanted here; the message says what is.
    """
    if rules is not None and not rules:
        raise UploadError(f"{model} takes no files, so {name} has no place in it: choose another model.")
    taken = MEDIA if rules is None else tuple(dict.fromkeys(rule.kind for rule in rules))
    wanted = tuple(one for one in taken if one in kinds) or taken
    if kind not in wanted:
        whom = "" if rules is None else f" for {model}"
        raise UploadError(f"{name} is {_article(kind)}: give {' or '.join(map(_article, wanted))}{whom}.")


def require_fit(name: str, ready: Ready, model: str, rules: tuple[FileRule, ...] | None) -> None:
    """Check a file of the right kind against a model's limits.

    Args:
        name: what the caller calls it.
        ready: the file.
        model: what the model is called.
        rules: any of them will do; None if everything does.

    Raises:
        UploadError: it does not keep them; the message says what to do.
    """
    wrong = [_misfit(ready, rule) for rule in rules or () if rule.kind is ready.found.kind]
    if wrong and all(wrong):
        raise UploadError(f"{name} {wrong[0]} for {model}.")


def _misfit(ready: Ready, rule: FileRule) -> str:
    found = ready.found
    if rule.endings and found.extension not in rule.endings:
        return f"is {found.extension}: save it as {' or '.join(rule.endings)}"
    if rule.most_bytes is not None and ready.size > rule.most_bytes:
        return f"has {ready.size / 2**20:.1f} MB: make it {rule.most_bytes / 2**20:.0f} MB or less"
    if rule.seconds is not None and found.duration is not None:
        least, most = rule.seconds
        if not least <= found.duration <= most:
            return f"lasts {found.duration:.1f} s: cut it to {least:g} to {most:g} s"
    return ""


def _article(kind: AssetKind) -> str:
    return {AssetKind.IMAGE: "a picture", AssetKind.VIDEO: "a video", AssetKind.AUDIO: "a sound"}.get(kind, "a file")


def _inspect(path: Path, name: str, stop: threading.Event) -> Ready:
    try:
        size = _size_of(path, name)
        return Ready(path, name, _found(path, name), size, _digest(path, stop))
    except UploadError:
        raise
    except MediaError as error:
        reason = str(error).replace("what arrived", "it")
        raise UploadError(f"{name} cannot be uploaded, {reason}: open it, and save it anew or smaller.") from None
    except Exception as error:  # noqa: BLE001 - whatever a decoder throws at a strange file
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
        raise UploadError(f"{name} cannot be read ({reason}): check the path {short(str(path))}.") from None


def _size_of(path: Path, name: str) -> int:
    said = path.stat()
    if stat.S_ISDIR(said.st_mode):
        raise UploadError(f"{name} is a folder: give a file in it, several one by one.")
    if not stat.S_ISREG(said.st_mode):
        raise UploadError(f"{name} is no ordinary file: save what it gives to one, and give its path.")
    if said.st_size == 0:
        raise UploadError(f"{name} is empty: check that it was written and closed before.")
    if said.st_size > MOST_BYTES:
        limit = MOST_BYTES // 2**20
        raise UploadError(f"{name} has {said.st_size / 2**20:,.0f} MB: make it {limit} MB or less.")
    return said.st_size


def _found(path: Path, name: str) -> Found:
    """Return what a file is, by its bytes and never by its name."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if brand in _HEIF:
        raise UploadError(f"{name} is a HEIC picture, which the models do not take: save it as JPEG or PNG.")
    if brand in _AVIF or head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        found = pictures.inspect(path)
        # A camera's JPEG may hold a second, smaller picture, and has a name of its own then.
        return replace(found, extension="jpg") if found.extension == "mpo" else found
    kind, extension = sniff(head) or _more(head) or (None, "")
    if kind is None and b"<svg" in head.lower():
        raise UploadError(f"{name} is an SVG, which the models do not take: save it as PNG.")
    if kind is None:
        raise UploadError(
            f"{name} holds neither a picture nor a video nor a sound, whatever it is called: save it as PNG, JPEG, "
            "MP4 or MP3 with a program that can open it."
        )
    if is_cut(path):
        raise MediaError(f"the end of the {kind} is missing")
    return films.inspect(path, extension) if kind is AssetKind.VIDEO else Found(kind, extension)


def _more(head: bytes) -> tuple[AssetKind, str] | None:
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return AssetKind.VIDEO, "avi"
    return (AssetKind.AUDIO, "aac") if head.startswith(_AAC) else None


def _is_odd(path: Path) -> bool:
    """Whether a name is no text, as old file systems may have; then the store cannot remember it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return True
    return False


def _digest(path: Path, stop: threading.Event) -> str:
    total = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(STEP):
            if stop.is_set():
                raise UploadError("cancelled")
            total.update(chunk)
    return total.hexdigest()


def _write(path: Path, given: Given, stop: threading.Event) -> None:
    with path.open("xb") as file:
        if given.write is not None:
            given.write(file)
        elif given.path is not None:
            with _opened(given.path, given.name) as source:
                copy(source, file, given.name, stop)
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        _size_of(path, name)
        return path.open("rb")
    except (OSError, ValueError) as error:
        if isinstance(error, UploadError):
            raise
        raise UploadError(f"{name} cannot be read ({error}): check the path {short(str(path))}.") from None


def _keep(ready: Ready) -> Ready:
    """Give a checked temporary file the name its bytes have for ever."""
    path = ready.path.with_name(f"{ready.sha256}.{ready.found.extension}")
    is_new = not path.exists()
    ready.path.replace(path)
    return replace(ready, path=path, is_new=is_new)
