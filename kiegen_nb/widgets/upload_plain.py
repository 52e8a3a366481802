"""`PlainUpload`: uploads with plain ipywidgets, for front ends that cannot load anywidget.

Python cannot know whether a front end could load it, so this is asked for: ``UploadWidget.plain()``. The browser sends
all chosen files in one message, and Jupyter's server closes the connection at one of more than 10 MiB, of which
Python hears nothing: so the limit is printed beside the button.
"""

from __future__ import annotations

import html
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses
import traitlets

from kiegen_nb.engine.upload_checks import wanted_kinds
from kiegen_nb.engine.upload_sources import shown_name
from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.upload_receiving import Incoming

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import UploadResult
    from kiegen_nb.widgets.protocol import UploadSession

_LIMIT = (
    "At most 10 MB in all at a time, or the page loses its connection and must be loaded anew. "
    "Larger files: session.upload('path')."
)


class PlainUpload(W.VBox):  # type: ignore[misc] # ipywidgets ships no types
    """A button that uploads files of 10 MB in all at a time, and a line for each of them.

    Args:
        session: where they are uploaded; ``Session()`` if none is given.
        accept: ``"image"``, ``"video"`` or ``"audio"``, or several of them.
        model: whose limits are checked; may be changed at any time.
        multiple: take several files.

    Attributes:
        button: the file chooser.
        uploads: what is uploaded, in its order.
    """

    uploads = traitlets.Tuple(read_only=True)

    def __init__(
        self,
        session: UploadSession | None = None,
        *,
        accept: str | Iterable[str] = ("image", "video"),
        model: str | type[KieParams] | KieParams | None = None,
        multiple: bool = True,
    ) -> None:
        self.accept = tuple(kind.value for kind in wanted_kinds(accept))
        self.model = model
        self.multiple = multiple
        self._session = session if session is not None else default_session()
        self._callbacks: list[Callable[[UploadResult], object]] = []
        self._writing = threading.RLock()
        kinds = ",".join(f"{kind}/*" for kind in self.accept)
        self.button = W.FileUpload(accept=kinds, multiple=multiple, description="Upload")
        self._lines = W.VBox()
        limit = W.HTML(f'<span style="font-size:12px">{html.escape(_LIMIT)}</span>')
        super().__init__(children=[W.HBox([self.button, limit]), self._lines])
        self.set_trait("uploads", ())
        self.button.observe(self._on_files, names="value")

    def __repr__(self) -> str:
        return f"PlainUpload({', '.join(self.accept)})"

    @property
    def value(self) -> Any:
        """What was uploaded: a tuple, or one upload or None if it takes only one."""
        return self.uploads if self.multiple else (self.uploads[-1] if self.uploads else None)

    def on_upload(self, callback: Callable[[UploadResult], object]) -> None:
        """Call back with every finished upload, on the display thread."""
        self._callbacks.append(callback)

    def _on_files(self, change: Any) -> None:
        for file in change["new"]:
            self._start(shown_name(str(file["name"])), bytes(file["content"]))

    def _start(self, name: str, data: bytes) -> None:
        line = W.HTML()
        with self._writing:
            self._lines.children = (*self._lines.children, line)
        _say(line, name, "is being uploaded.")
        try:
            incoming = Incoming(name, len(data))
        except KiegenError as error:
            _say(line, "", str(error))
            return
        try:
            incoming.take(0, data)
            incoming.close()
            self._session.start_upload(
                incoming.path,
                name=name,
                accept=self.accept,
                model=self.model,
                keep_copy=True,
                on_success=partial(self._session.on_display, self._on_success, line, incoming),
                on_error=partial(self._session.on_display, self._on_error, line, incoming),
            )
        except KiegenError as error:
            self._on_error(line, incoming, error)

    def _on_success(self, line: Any, incoming: Incoming, upload: UploadResult) -> None:
        incoming.drop()
        _say(line, upload.name, f"is uploaded: {upload.download_url}")
        self.set_trait("uploads", (*self.uploads, upload) if self.multiple else (upload,))
        for callback in self._callbacks:
            try:
                callback(upload)
            except Exception as error:  # noqa: BLE001 - told where it is seen, and ends nothing
                _say(line, "", str(error) or type(error).__name__)

    def _on_error(self, line: Any, incoming: Incoming, error: KiegenError) -> None:
        incoming.drop()
        _say(line, "", str(error))


def _say(line: Any, name: str, text: str) -> None:
    line.value = f'<span role="status">{html.escape(f"{name} {text}".strip())}</span>'
