"""A file on its way from a browser to Kie: the temporary file its pieces go to, and what is told of it."""

from __future__ import annotations

import mimetypes
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kiegen_nb.engine import films, pictures
from kiegen_nb.errors import UploadError
from kiegen_nb.settings import data_folder
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiegen_nb.tasks import UploadResult
    from kiegen_nb.widgets.protocol import UploadLike

RECEIVING, SENDING, DONE, FAILED = "receiving", "sending", "done", "failed"
MOST_BYTES = 512 * 2**20  # as `session.upload` takes
PIECE = 2 * 2**20  # bytes of one message; Jupyter's server closes the connection at one of more than 10 MiB
_CALLED = {"image": "a picture", "video": "a video", "audio": "a sound"}


class Incoming:
    """A temporary file that takes pieces in their order, and no more than was announced.

    Args:
        name: what the file is called in messages.
        size: how many bytes are to come.

    Raises:
        UploadError: the size is none that can be uploaded, or there is no room for it.
    """

    def __init__(self, name: str, size: int) -> None:
        if size <= 0:
            raise UploadError(f"{name} is empty: check that it was written and closed before.")
        if size > MOST_BYTES:
            raise UploadError(f"{name} has {size / 2**20:,.0f} MB: make it {MOST_BYTES // 2**20} MB or less.")
        self.size = size
        self.got = 0
        self._name = name
        folder = data_folder() / "uploads"
        # The engine clears this folder of such names once they are a day old, so a kernel may be killed here.
        self.path = folder / f".{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file: BinaryIO | None = self.path.open("xb")
        except OSError as error:
            raise self._no_room(error) from None

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self.got == self.size

    def take(self, at: int, data: bytes | memoryview) -> None:
        """Write the piece that begins at a byte; one that was taken before is left out.

        Raises:
            UploadError: it is not the next piece, or more than was announced, or cannot be written.
        """
        length = memoryview(data).nbytes
        if at + length <= self.got and length:
            return
        if at != self.got or self._file is None or not length or at + length > self.size:
            raise UploadError(f"{self._name} arrived in disorder: choose it again.")
        try:
            self._file.write(data)
        except OSError as error:
            raise self._no_room(error) from None
        self.got += length

    def close(self) -> None:
        """Finish writing.

        Raises:
            UploadError: what is left cannot be written.
        """
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._no_room(error) from None

    def drop(self) -> None:
        """Delete the file."""
        with suppress(UploadError):
            self.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _no_room(self, error: OSError) -> UploadError:
        return UploadError(
            f"{self._name} could not be written to {self.path.parent} ({error.strerror or error}): free space there, "
            "and choose it again."
        )


@dataclass(slots=True)
class Item:
    """One file of an upload widget.

    Attributes:
        file: its id, which the view that sends it made up.
        name: what it is called.
        size: bytes, None if unknown.
        state: receiving, sending, done or failed.
        view: the view that sends it.
        page: the page that view is on.
        incoming: where its pieces go.
        handle: the upload to Kie.
        source: the file on this machine, for one that no browser sends.
        sent: bytes that are on their way to Kie.
        total: all of them.
        upload: what became of it.
        text: why it failed, or what went wrong afterwards.
    """

    file: str
    name: str
    size: int | None = None
    state: str = RECEIVING
    view: str = ""
    page: str = ""
    incoming: Incoming | None = None
    handle: UploadLike | None = None
    source: Path | None = None
    sent: int = 0
    total: int = 0
    told: float = 0.0
    upload: UploadResult | None = None
    text: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether it is neither done nor failed."""
        return self.state in (RECEIVING, SENDING)

    def as_json(self) -> dict[str, Any]:
        """Return what a view shows of it."""
        known: dict[str, Any] = {
            "file": self.file,
            "name": self.name,
            "size": self.size,
            "state": self.state,
            "text": self.text,
        }
        if self.state == RECEIVING:
            known |= {"got": self.incoming.got if self.incoming else 0, "view": self.view}
        elif self.state == SENDING:
            known |= {"sent": self.sent, "total": self.total, "local": self.source is not None}
        if self.upload is not None:
            found = self.upload
            known |= {"url": found.download_url, "kind": found.kind.value, "mime": found.mime, "size": found.size}
            known |= {"expires": found.expires_at.timestamp(), "assumed": found.is_assumed}
        return known


def require_hint(name: str, mime: str, accept: Iterable[str]) -> None:
    """Refuse at once what is plainly of another kind; what it really is only its bytes tell, later.

    Raises:
        UploadError: its type, or else its name, says that it is another kind.
    """
    said = mime or mimetypes.guess_type(name)[0] or ""
    kind, wanted = said.partition("/")[0], tuple(accept)
    if kind in _CALLED and kind not in wanted:
        raise UploadError(
            f"{name} is {_CALLED[kind]}, by its name: choose {' or '.join(_CALLED[one] for one in wanted)}."
        )


def glance(upload: UploadResult) -> bytes | None:
    """Return a small webp of an upload's file, None if there is none to be had."""
    source = Path(upload.source or "")
    make = {AssetKind.IMAGE: pictures.write_thumbnail, AssetKind.VIDEO: films.write_poster}.get(upload.kind)
    if make is None or upload.sha256 is None:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "glance.webp"
            return target.read_bytes() if make(source, target) else None
    except Exception:  # noqa: BLE001 - whatever a decoder throws; a list without a picture is no mistake
        return None
