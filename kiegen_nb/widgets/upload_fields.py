"""Uploads in a form: a button at each field of addresses, which opens an upload widget in its place."""

from __future__ import annotations

import html
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets.control import Control, guard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiegen_nb.tasks import UploadResult
    from kiegen_nb.widgets.upload import UploadWidget

_OPEN, _CLOSED = "Hide upload", "Upload"
_ALL = ("image", "video", "audio")


class Uploads:
    """What the fields of one form have in common.

    Args:
        session: returns where files are uploaded.
        known: returns the same, or None while nobody has asked for it.
        model: returns the slug whose limits are checked.
    """

    def __init__(self, session: Callable[[], Any], known: Callable[[], Any], model: Callable[[], str]) -> None:
        self._session = session
        self._known = known
        self._model = model

    def names(self) -> dict[str, str]:
        """Return address -> the file's name, of the uploads that have not expired."""
        uploads = getattr(self._known(), "uploads", None)
        with suppress(KiegenError):
            return {} if uploads is None else {upload.download_url: upload.name for upload in uploads()}
        return {}

    def widget(self, accept: tuple[str, ...], *, multiple: bool) -> UploadWidget:
        """Return an upload widget.

        Raises:
            KiegenError: the session takes no uploads.
        """
        from kiegen_nb.widgets.upload import UploadWidget  # noqa: PLC0415 - most forms never need it

        session, model = self._session(), self._model
        if not hasattr(session, "start_upload"):
            raise KiegenError("This session takes no uploads.")

        class FieldUpload(UploadWidget):
            """Checks the limits of the model that is chosen when a file begins."""

            def _limits(self) -> str:
                return model()

        return FieldUpload(session, accept=accept, multiple=multiple)


class FileControl(Control):
    """A field of addresses that takes files, once `offer` was called.

    Attributes:
        upload: the button, None before.
        uploader: the upload widget, None until it was opened.
    """

    upload: Any = None
    uploader: UploadWidget | None = None
    _uploads: Uploads | None = None
    _names: dict[str, str]

    @property
    def accept(self) -> tuple[str, ...]:
        """The kinds of files it takes."""
        kind = str(self.field.hints.get("control")).removesuffix("s")
        return (kind,) if kind in _ALL else _ALL

    @property
    def takes_one(self) -> bool:
        """Whether it holds one address only."""
        return True

    @property
    def addresses(self) -> list[str]:
        """What it holds."""
        value = self.get()
        return [value] if isinstance(value, str) else list(value or ())

    def add(self, url: str) -> None:
        """Take the address of a file, such as an upload's."""
        raise NotImplementedError

    def discard(self, url: str) -> None:
        """Give an address up, if it is held."""
        raise NotImplementedError

    def show_names(self) -> None:
        """Show the file's name for an address that is an upload."""
        raise NotImplementedError

    def offer(self, uploads: Uploads) -> None:
        """Take files from now on."""
        self._uploads = uploads
        self.upload = W.Button(description=_CLOSED, icon="upload", layout=W.Layout(width="auto", flex="none"))
        self.upload.tooltip = f"Upload a file for {self.field.title}"
        self.upload.add_class("kiegen-small")
        self.upload.on_click(self._on_upload)
        self._place_button(self.upload)

    def connect(self, lock: AbstractContextManager[Any], edited: Callable[[], None]) -> None:
        """Take the browser's edits under a lock, in its order, and tell of each."""
        super().connect(lock, edited)
        if self.upload is not None:
            guard(self.upload, lock)

    def set(self, value: Any) -> None:
        """Show a value; None shows "not set"."""
        with self._lock:
            super().set(value)
            held = self.addresses
            if self._uploads is not None and any(url not in self.names for url in held if url.startswith("http")):
                self.names.update(self._uploads.names())
            self.show_names()
            self._forget(url for url in self._uploaded() if url not in held)

    def take(self, path: Path, name: str | None = None) -> None:
        """Upload a file of this machine, and take its address when there is one.

        Args:
            path: the file.
            name: what it is called; its own name if None.

        Raises:
            KiegenError: the session takes no uploads.
            ValueError: there are as many addresses as are taken already.
        """
        with self._lock:
            most = self.field.most
            if not self.takes_one and most is not None and len(self.addresses) >= most:
                raise ValueError(f"{self.field.title} takes {most} at most.")
            self._open().add(path, name=name)

    @property
    def names(self) -> dict[str, str]:
        """The names of the files that are known, by their addresses."""
        if "_names" not in self.__dict__:
            self._names = {}
        return self._names

    def _on_upload(self, _: object) -> None:
        with self._lock:
            if self.uploader is not None and self.uploader.layout.display != "none":
                self.uploader.layout.display = "none"
                self.upload.description = _CLOSED
                return
            try:
                self._open()
            except KiegenError as error:
                self.complain(str(error))

    def _open(self) -> UploadWidget:
        if self._uploads is None:
            raise KiegenError(f"{self.field.title} takes addresses only here.")
        if self.uploader is None:
            self.uploader = self._uploads.widget(self.accept, multiple=not self.takes_one)
            self.uploader.on_upload(self._on_uploaded)
            self.uploader.observe(self._on_list, names="uploads")
            # The error line is the last child, if there is one.
            shown = [child for child in self.box.children if child is not self._message]
            self.box.children = [*shown, self.uploader, *([self._message] if self._message is not None else [])]
        self.uploader.layout.display = None
        self.upload.description = _OPEN
        return self.uploader

    def _on_uploaded(self, upload: UploadResult) -> None:
        with self._lock:
            self.names[upload.download_url] = upload.name
            if upload.download_url not in self.addresses:
                self.add(upload.download_url)
            else:
                self.show_names()

    def _on_list(self, change: Any) -> None:
        kept = {upload.download_url for upload in change["new"]}
        with self._lock:
            for upload in change["old"] or ():
                if upload.download_url not in kept:
                    self.discard(upload.download_url)

    def _uploaded(self) -> list[str]:
        return [] if self.uploader is None else [upload.download_url for upload in self.uploader.uploads]

    def _forget(self, urls: Iterable[str]) -> None:
        for url in urls:
            if self.uploader is not None:
                self.uploader.remove(url)

    def _place_button(self, button: Any) -> None:
        button.layout.align_self = "flex-start"
        self.box.children = (*self.box.children, button)


def name_tag(name: str, url: str) -> str:
    """Return the HTML of a file's name; its address is seen when pointed at."""
    return f'<span class="kiegen-file" title="{html.escape(url)}">{html.escape(name)}</span>'
