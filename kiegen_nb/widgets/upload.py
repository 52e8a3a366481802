"""`UploadWidget`: files from the browser to Kie, in pieces small enough for any Jupyter server.

A view sends a file's pieces (2 MiB each, one buffer) and waits for the answer to each. Python writes them to a
temporary file and then begins an ordinary ``session.start_upload``. No file and no address enters a synced trait.

Messages, Python to JavaScript:

- ``snapshot``: ``view, now, accept, multiple, piece, items``; everything. ``view`` is the view that asked.
- ``item``: ``now, item``; one file that is new or has changed.
- ``got``: ``file, got``; so many bytes have arrived, the next piece begins there.
- ``sent``: ``file, sent, total``; so many bytes are on their way to Kie. At most five a second.
- ``gone``: ``file``; it was removed.
- ``glance``: ``view, file, ok`` and a small webp in one buffer, if ``ok``.

JavaScript to Python:

- ``ready``: ``view, before``; ``before`` is the page that this browser tab has left. ``bye``: ``view``.
- ``begin``: ``view, page, file, name, size, mime``. ``piece``: ``file, at`` and one buffer.
- ``where``: ``file``; asks for ``got`` once more, after a silence.
- ``cancel``, ``remove``: ``file``. ``lost``: ``file``; nothing of it has come for long, and nobody sends it.
- ``glance``: ``view, file``.
"""

from __future__ import annotations

import threading
import time
import uuid
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from kiegen_nb.engine.upload_checks import wanted_kinds
from kiegen_nb.engine.upload_sources import shown_name
from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets.loading import CodeWidget
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.upload_receiving import (
    DONE,
    FAILED,
    PIECE,
    RECEIVING,
    SENDING,
    Incoming,
    Item,
    glance,
    require_hint,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import UploadResult
    from kiegen_nb.widgets.protocol import UploadSession
    from kiegen_nb.widgets.upload_plain import PlainUpload

_OFTEN = 0.2  # seconds between two messages on the bytes sent
_SILENCE = 20.0  # seconds without a piece before another view may give a file up
_LONGEST_ID = 64
_AGAIN = "choose it again."


class UploadWidget(CodeWidget):
    """Takes files from the browser by drop, button or paste, and uploads them to Kie's temporary storage.

    Args:
        session: where they are uploaded; ``Session()`` if none is given.
        accept: ``"image"``, ``"video"`` or ``"audio"``, or several of them.
        model: a slug, or a class of parameters, whose limits are checked; may be changed at any time.
        multiple: take several files; otherwise the next one replaces the one before.

    Attributes:
        uploads: what is uploaded, in the order of the list; ``observe`` tells of changes, on the display thread.

    Raises:
        InvalidParams: there is no such kind.

    Example:
        >>> widget = UploadWidget(session, accept="image")  # doctest: +SKIP
        >>> session.submit(veo3("it runs", images=widget.uploads))  # doctest: +SKIP
    """

    # One module, in this order; only the last exports.
    _code = ("gallery_base.js", "upload_glance.js", "upload_items.js", "upload_sending.js", "upload.js")
    _style = "upload.css"
    _shows = "upload"
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
        # All below is touched on the display thread only.
        self._items: dict[str, Item] = {}
        self._arrived: dict[str, float] = {}
        # Outlives the widget: what it has not finished must not stay on the disk.
        self._incoming: dict[str, Incoming] = {}
        self._ending = weakref.finalize(self, _drop_all, self._incoming)
        self._closed = False
        super().__init__()
        self.set_trait("uploads", ())  # so that who observes hears of a tuple before, too
        self.on_msg(self._on_message)

    @classmethod
    def plain(cls, *args: Any, **options: Any) -> PlainUpload:
        """Return a simple one for front ends that cannot load anywidget: files of 10 MB in all at a time.

        Example:
            >>> widget = UploadWidget.plain(session, accept="image")  # doctest: +SKIP
        """
        from kiegen_nb.widgets.upload_plain import PlainUpload  # noqa: PLC0415 - few need it

        return PlainUpload(*args, **options)

    def __repr__(self) -> str:
        return f"UploadWidget({', '.join(self.accept)})"

    @property
    def value(self) -> Any:
        """What was uploaded: a tuple, or one upload or None if it takes only one."""
        return self.uploads if self.multiple else (self.uploads[-1] if self.uploads else None)

    def on_upload(self, callback: Callable[[UploadResult], object], *, remove: bool = False) -> None:
        """Call back with every finished upload, on the display thread; what it raises is shown at the file.

        Args:
            callback: what to call.
            remove: do not call it any more.

        Example:
            >>> widget.on_upload(lambda upload: session.submit(veo3("it runs", images=[upload])))  # doctest: +SKIP
        """
        if remove:
            self._callbacks = [known for known in self._callbacks if known != callback]
        else:
            self._callbacks.append(callback)

    def add(self, path: str | os.PathLike[str], *, name: str | None = None) -> None:
        """Upload a file of the kernel's machine, shown like the others. Returns at once, on any thread.

        Args:
            path: the file.
            name: what it is called in the list; its own name if None.

        Example:
            >>> widget.add("pictures/dog.png", name="the dog")  # doctest: +SKIP
        """
        self._session.on_display(self._add, Path(path), name)

    def remove(self, upload: UploadResult | str) -> None:
        """Take an upload, or its address, off the list; Kie deletes it by itself. Returns at once, on any thread.

        Example:
            >>> widget.remove(widget.uploads[-1])  # doctest: +SKIP
        """
        self._session.on_display(self._remove_address, str(upload))

    def close(self) -> None:
        """End what is under way, and remove every view.

        Example:
            >>> widget.close()  # doctest: +SKIP
        """
        # ipywidgets calls this from __del__, too, even for a widget whose constructor failed.
        if "_ending" in self.__dict__ and not self._closed:
            self._closed = True
            for item in tuple(self._items.values()):
                if item.handle is not None and item.is_under_way:
                    item.handle.cancel()
            self._ending()
        super().close()

    # Messages from JavaScript, on any thread

    def _on_message(self, _: object, content: Any, buffers: Any) -> None:
        if isinstance(content, dict) and not self._closed:
            self._session.on_display(self._answer, content, buffers or ())

    def _answer(self, content: dict[str, Any], buffers: Any) -> None:
        if self._closed:
            return
        name, view, file = (str(content.get(key)) for key in ("type", "view", "file"))
        item = self._items.get(file)
        if name == "ready":
            self._show(view, content.get("before"))
        elif name == "bye":
            self._lose(lambda known: known.view == view, "the page that was sending it was closed")
        elif item is not None:
            self._on_file(name, item, content, buffers)
        elif name == "begin" and 0 < len(file) <= _LONGEST_ID:
            self._begin(file, content)

    def _on_file(self, name: str, item: Item, content: dict[str, Any], buffers: Any) -> None:
        match name:
            case "piece":
                self._take(item, content.get("at"), buffers)
            case "begin" | "where":  # the answer of before was lost, or is late
                self._tell_got(item)
            case "lost" if time.monotonic() - self._arrived.get(item.file, 0.0) > _SILENCE:
                self._lose(lambda known: known is item, "nothing of it came any more")
            case "cancel":
                self._cancel(item)
            case "remove":
                self._remove(item)
            case "glance" if item.upload is not None:
                work = partial(self._glance, item, item.upload, str(content.get("view")))
                threading.Thread(target=work, name="kiegen-glance", daemon=True).start()

    def _show(self, view: str, before: object) -> None:
        if isinstance(before, str):
            self._lose(lambda known: known.page == before, "the page was loaded anew")
        known = {"accept": self.accept, "multiple": self.multiple, "piece": PIECE}
        items = [item.as_json() for item in self._items.values()]
        self.send({"type": "snapshot", "view": view, "now": time.time(), **known, "items": items})

    def _begin(self, file: str, content: dict[str, Any]) -> None:
        size, mime = content.get("size"), content.get("mime")
        name = shown_name(str(content.get("name")))
        item = Item(file, name, view=str(content.get("view")), page=str(content.get("page")))
        self._put(item)
        try:
            item.size = size if type(size) is int else 0
            require_hint(name, mime if isinstance(mime, str) else "", self.accept)
            item.incoming = self._incoming[file] = Incoming(name, item.size)
        except KiegenError as error:
            self._fail(item, str(error))
            return
        self._arrived[file] = time.monotonic()
        self._tell(item)
        self._tell_got(item)

    def _take(self, item: Item, at: object, buffers: Any) -> None:
        incoming = item.incoming
        if item.state != RECEIVING or incoming is None:
            return
        self._arrived[item.file] = time.monotonic()
        try:
            data = buffers[0] if len(buffers) == 1 else b""
            incoming.take(at if type(at) is int else -1, data)
            if incoming.is_whole:
                incoming.close()
        except KiegenError as error:
            self._fail(item, str(error))
            return
        if incoming.is_whole:
            self._start(item, incoming.path, keep_copy=True)
        else:
            self._tell_got(item)

    def _tell_got(self, item: Item) -> None:
        if item.incoming is not None and not item.incoming.is_whole:
            self.send({"type": "got", "file": item.file, "got": item.incoming.got})
        else:
            self._tell(item)

    # From here to Kie

    def _add(self, path: Path, name: str | None) -> None:
        item = Item(uuid.uuid4().hex, shown_name(name or path.name), source=path)
        self._put(item)
        self._start(item, path, keep_copy=False)

    def _start(self, item: Item, path: Path, *, keep_copy: bool) -> None:
        item.state, item.total = SENDING, item.size or 0
        self._tell(item)
        try:
            # The session must not keep the widget alive: only this upload does, as long as it takes.
            item.handle = self._session.start_upload(
                path,
                name=item.name,
                accept=self.accept,
                model=self._limits(),
                keep_copy=keep_copy,
                on_progress=partial(self._session.on_display, self._on_sent, item),
                on_success=partial(self._session.on_display, self._on_success, item),
                on_error=partial(self._session.on_display, self._on_error, item),
            )
        except KiegenError as error:
            self._fail(item, str(error))

    def _limits(self) -> str | type[KieParams] | KieParams | None:
        return self.model

    def _on_sent(self, item: Item, sent: int, total: int) -> None:
        item.sent, item.total = sent, total
        if item.state == SENDING and time.monotonic() - item.told >= _OFTEN:
            item.told = time.monotonic()
            self.send({"type": "sent", "file": item.file, "sent": sent, "total": total})

    def _on_success(self, item: Item, upload: UploadResult) -> None:
        self._drop_incoming(item)
        if item.file not in self._items:
            return
        item.state, item.upload = DONE, upload
        for callback in (lambda _: self._list(), *self._callbacks):
            try:
                callback(upload)
            except Exception as error:  # noqa: BLE001 - a caller's mistake is told where it is seen, and ends nothing
                item.text = str(error) or type(error).__name__
        self._tell(item)

    def _on_error(self, item: Item, error: KiegenError) -> None:
        self._fail(item, str(error))

    # The list

    def _put(self, item: Item) -> None:
        if not self.multiple:
            for known in tuple(self._items.values()):
                self._remove(known)
        self._items[item.file] = item

    def _tell(self, item: Item) -> None:
        if item.file in self._items and not self._closed:
            self.send({"type": "item", "now": time.time(), "item": item.as_json()})

    def _fail(self, item: Item, text: str) -> None:
        self._drop_incoming(item)
        item.state, item.text = FAILED, text
        self._tell(item)

    def _lose(self, chosen: Callable[[Item], bool], why: str) -> None:
        for item in tuple(self._items.values()):
            if item.state == RECEIVING and chosen(item):
                self._fail(item, f"{item.name} did not arrive as a whole, {why}: {_AGAIN}")

    def _cancel(self, item: Item) -> None:
        if item.state == SENDING and item.handle is not None:
            item.handle.cancel()
        elif item.state == RECEIVING:
            self._fail(item, f"The upload of {item.name} was cancelled; nothing of it is kept.")

    def _remove(self, item: Item) -> None:
        if item.is_under_way:
            self._cancel(item)
        if item.state != SENDING:  # then Kie's side reads the file until it has heard of the end
            self._drop_incoming(item)
        del self._items[item.file]
        self._list()
        if not self._closed:
            self.send({"type": "gone", "file": item.file})

    def _remove_address(self, address: str) -> None:
        for item in tuple(self._items.values()):
            if item.upload is not None and item.upload.download_url == address:
                self._remove(item)

    def _drop_incoming(self, item: Item) -> None:
        self._arrived.pop(item.file, None)
        incoming = self._incoming.pop(item.file, None)
        item.incoming = None
        if incoming is not None:
            incoming.drop()

    def _list(self) -> None:
        self.set_trait("uploads", tuple(item.upload for item in self._items.values() if item.upload is not None))

    def _glance(self, item: Item, upload: UploadResult, view: str) -> None:
        data = glance(upload)
        answer = {"type": "glance", "view": view, "file": item.file, "ok": data is not None}
        self._session.on_display(self._send_out, answer, [data] if data is not None else [])

    def _send_out(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        if not self._closed:
            self.send(content, buffers)


def _drop_all(incoming: dict[str, Incoming]) -> None:
    for one in tuple(incoming.values()):
        one.drop()
    incoming.clear()
