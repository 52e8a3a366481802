"""`Gallery`: one card per task, kept up to date by small messages; no picture's bytes enter a synced trait.

Messages, Python to JavaScript (binary buffers hold the thumbnails named in ``thumbs``, in that order):

- ``snapshot``: ``view, part, parts, now, items, thumbs``, the first part also ``ids, header``; everything, in parts.
  ``view`` is the view that asked, None means all of them. The first 24 cards bring their thumbnails.
- ``patch``: ``now, header?, items, removed, thumbs``; the cards that changed. ``after`` of a card names the
  card before it, None puts it first.
- ``thumbs``: ``view, keys``; the thumbnails a view asked for.
- ``details``: ``view, task, rows``; what the lightbox says of a task.
- ``full``: ``request, ok, mime, name`` and the file in one buffer, or ``ok: false`` and ``text``.
- ``zip``: ``request, ok, text, name, size, small``, or ``ok: false`` and ``text``.

JavaScript to Python:

- ``ready`` and ``bye``: ``view``.
- ``thumbs``: ``view, keys``. ``details``: ``view, id``. ``full``: ``id, n, request``.
- ``refresh``, ``retry`` and ``load``: ``id``. ``use``: ``id, n``. ``follow_up``: ``id, name, index, prompt``.
- ``rate``: ``id``, and ``rating`` or ``comment`` or both; None takes one back.
- ``retry_all`` and ``delete``: ``ids``. ``restore``: ``token``. ``zip``: ``ids, request``. ``zip_bytes``: ``request``.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import traitlets

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets import gallery_files as files
from kiegen_nb.widgets.cards import card, header
from kiegen_nb.widgets.contact_sheet import contact_sheet
from kiegen_nb.widgets.gallery_acts import Acts, reason
from kiegen_nb.widgets.gallery_details import rows
from kiegen_nb.widgets.gallery_feed import Feed
from kiegen_nb.widgets.loading import CodeWidget
from kiegen_nb.widgets.pages import version_of
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.showing import Remains, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from PIL import Image

    from kiegen_nb.tasks import Asset, GenerationTask
    from kiegen_nb.widgets.protocol import GallerySession


class Gallery(CodeWidget):
    """The tasks of one prompt group, newest first, brought up to date by itself.

    A cell that shows it also leaves its newest results as ordinary output, for viewers without a kernel, and keeps
    ``index.html`` in the output folder up to date.

    Args:
        prompt_id: the group it shows.
        session: where the tasks come from; ``Session()`` if none is given.
        tasks: show these instead, without a session; a `QueryState` also sets what stands above the cards.
        columns: cards side by side; as many as fit if None.

    Attributes:
        on_load: called with a task on the display thread when someone wants its settings; cards have a button for
            that while this is set. What it raises is shown on the card.
        on_use: called in the same way with a result that is to be an input of the next request.
        remains: what its cell leaves; a cell that shows it inside a box of your own calls ``remains.display()``.

    Example:
        >>> Gallery(tasks=[])
        Gallery(default)
    """

    # One module, in this order; only the last exports.
    _code: ClassVar[tuple[str, ...]] = (
        "gallery_base.js",
        "gallery_media.js",
        "gallery_cards.js",
        "gallery_rating.js",
        "gallery_head.js",
        "gallery_list.js",
        "gallery_select.js",
        "gallery_toolbar.js",
        "gallery_zoom.js",
        "gallery_details.js",
        "gallery_lightbox.js",
        "gallery_summary.js",
        "gallery.js",
    )
    _style: ClassVar[tuple[str, ...]] = (
        "gallery.css",
        "gallery_toolbar.css",
        "gallery_lightbox.css",
        "gallery_rating.css",
    )
    _shows = "gallery"
    summary_key = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(
        self,
        prompt_id: str = "default",
        *,
        session: GallerySession | None = None,
        tasks: Iterable[GenerationTask] | QueryState | None = None,
        columns: int | None = None,
    ) -> None:
        self.prompt_id = prompt_id
        self.columns = columns
        self.on_load: Callable[[GenerationTask], None] | None = None
        self.on_use: Callable[[Asset], None] | None = None
        if session is None and tasks is None:
            session = default_session()
        self._session = session
        # All below is touched on the display thread only (without a session: on the caller's).
        self._state = QueryState() if tasks is None else _as_state(tasks)
        self._views: set[str] = set()
        self._remarks: dict[str, str] = {}
        self._acts = None if session is None else Acts(session, self._find)
        self._folder = Path.cwd() if session is None else session.output_dir
        self._packer = files.Packer(files.zip_place(self._folder, prompt_id), self._packed)
        self._feed = Feed(self._send_out, self._card, self._head)
        self._subscribing = threading.Lock()
        self._ending: weakref.finalize[Any, Any] | None = None
        self._closed = False
        self.remains = Remains(session, prompt_id, self._state.data)
        super().__init__()
        self.set_trait("summary_key", self.remains.key)
        self.on_msg(self._on_message)
        self._subscribe()

    def __repr__(self) -> str:
        return f"Gallery({self.prompt_id})"

    @property
    def tasks(self) -> tuple[GenerationTask, ...]:
        """The tasks it shows, newest first."""
        return self._state.data

    def show(self, tasks: Iterable[GenerationTask] | QueryState) -> None:
        """Show other tasks; for a gallery without a session.

        Example:
            >>> gallery = Gallery(tasks=batch.results)  # doctest: +SKIP
            >>> gallery.show(session.history("kites")[:20])  # doctest: +SKIP
        """
        state = _as_state(tasks)
        self._on_display(self._on_state, state)
        if self._session is None:
            self.remains.become(state.data)

    @overload
    def contact_sheet(self, path: None = None, *, columns: int | None = None) -> Image.Image: ...

    @overload
    def contact_sheet(self, path: str | Path, *, columns: int | None = None) -> Path: ...

    def contact_sheet(self, path: str | Path | None = None, *, columns: int | None = None) -> Image.Image | Path:
        """Draw the results as one picture, newest first: a tile for each, with its prompt.

        Args:
            path: where a PNG is written, replaced if it is there; without it the picture itself is returned.
            columns: tiles side by side; about as many as there are rows if None.

        Returns:
            The picture (240 pixels a tile, at most 200 tiles), or the path it was written to.

        Raises:
            OSError: the PNG cannot be written.
            StoreError: the task store could not be read.

        Example:
            >>> Gallery(tasks=[]).contact_sheet().width
            264
        """
        tasks = self.tasks if self._session is None else self._session.history(self.prompt_id)
        return contact_sheet(tasks, columns=columns) if path is None else contact_sheet(tasks, path, columns=columns)

    def close(self) -> None:
        """Stop following the session and remove every view.

        Example:
            >>> gallery.close()  # doctest: +SKIP
        """
        # ipywidgets calls this from __del__, too, even for a widget whose constructor failed.
        if self.__dict__.get("_subscribing") is not None:
            with self._subscribing:
                self._closed = True
            self._unsubscribe()
            self.remains.close()
        super().close()

    def _ipython_display_(self) -> None:
        show(self, self.remains)

    # Following the session

    def _subscribe(self) -> None:
        with self._subscribing:
            if self._session is None or self._closed or (self._ending is not None and self._ending.alive):
                return
            # The session must not keep the gallery alive, and the gallery's end must end the subscription.
            callback = partial(_deliver, weakref.ref(self))
            self._ending = weakref.finalize(self, self._session.subscribe(self.prompt_id, callback))
            self._ending.atexit = False

    def _unsubscribe(self) -> None:
        if self._ending is not None:
            self._ending()

    def _on_display(self, function: Any, *args: Any) -> None:
        if self._session is None:
            function(*args)
        else:
            self._session.on_display(function, *args)

    def _on_state(self, state: QueryState) -> None:
        self._state = state
        if self._views and not self._closed:
            self._feed.update(state)

    # Messages from JavaScript, on any thread

    def _on_message(self, _: object, content: Any, buffers: object) -> None:
        del buffers
        if isinstance(content, dict) and not self._closed:
            self._on_display(self._answer, content)

    def _answer(self, content: dict[str, Any]) -> None:
        if self._closed:
            return
        name = str(content.get("type"))
        if name in ("refresh", "retry", "load", "use", "follow_up", "rate"):
            self._act(name, content)
        elif name in ("retry_all", "delete", "restore"):
            self._act_on_all(name, content)
        elif name in ("ready", "bye"):
            self._on_view(name, str(content.get("view")))
        else:
            self._bring(name, content)

    def _on_view(self, name: str, view: str) -> None:
        first = not self._views
        if name == "bye":
            self._views.discard(view)
            # A cell that runs again drops its old gallery without closing it; ipywidgets keeps it for ever.
            if not self._views:
                self._unsubscribe()
            return
        self._views.add(view)
        self._subscribe()
        if first:
            self._feed.forget()
            self._feed.take(self._state)
        else:
            # A file may have appeared since; the other views must not miss it.
            self._feed.redo()
            self._feed.update(self._state)
        self._feed.snapshot(view)

    def _bring(self, name: str, content: dict[str, Any]) -> None:
        """Send what a view asks for."""
        view, request = content.get("view"), content.get("request")
        task = self._find(content.get("id"))
        match name:
            case "thumbs":
                keys = content.get("keys")
                self._feed.thumbs(view, keys if isinstance(keys, list) else ())
            case "details" if task is not None:
                self.send({"type": "details", "view": view, "task": task.id, "rows": rows(task)})
            # No "id" at the top: ipykernel 7.4 would take it for a request's and route later messages by it.
            case "full":
                answer, data = files.full(task, content.get("n"))
                self.send({"type": "full", "request": request, **answer}, data)
            case "zip":
                self._packer.start(self._find_all(content.get("ids")), request)
            case "zip_bytes":
                answer, data = self._packer.read()
                self.send({"type": "full", "request": request, **answer}, data)

    # Buttons

    def _act(self, name: str, content: dict[str, Any]) -> None:
        """Do what a card's button asks for, and put what there is to say about it on the card."""
        task = self._find(content.get("id"))
        if task is None:
            return
        try:
            remark = self._do(name, task, content)
        except Exception as error:  # noqa: BLE001 - nothing above a message handler would show it
            remark = reason(error)
        if self._remarks.get(task.id, "") != remark:
            self._remarks[task.id] = remark
            self._feed.redo(task.id)
            self._feed.update(self._state)

    def _do(self, name: str, task: GenerationTask, content: dict[str, Any]) -> str:
        if name == "load" and self.on_load is not None:
            self.on_load(task)
        elif name == "use" and self.on_use is not None:
            n = content.get("n")
            if isinstance(n, int) and 0 <= n < len(task.assets):
                self.on_use(task.assets[n])
        elif self._acts is not None and name in ("follow_up", "rate"):
            return str(getattr(self._acts, name)(task, content))
        elif self._acts is not None and name in ("refresh", "retry"):
            return str(getattr(self._acts, name)(task))
        return ""

    def _act_on_all(self, name: str, content: dict[str, Any]) -> None:
        """Do what the toolbar asks for; what goes wrong stands above the cards."""
        tasks = self._find_all(content.get("ids"))
        if name == "retry_all":
            for task in tasks:
                self._act("retry", {"id": task.id})
            return
        if self._acts is None:
            return
        try:
            if name == "delete":
                self._acts.delete(tasks)
            else:
                self._acts.restore(content.get("token"))
        except (KiegenError, OSError) as error:
            self._state = replace(self._state, error=error)
        self._feed.update(self._state)

    def _packed(self, answer: dict[str, Any]) -> None:
        self._on_display(self._send_out, answer, [])

    # What the browser is told

    def _send_out(self, content: dict[str, Any], buffers: list[bytes]) -> None:
        self.send(content, buffers)

    def _card(self, task: GenerationTask) -> dict[str, Any]:
        expected = self._session.expected_time(task) if self._session is not None and task.is_pending else None
        parent = self._find(task.parent_id) if task.parent_id is not None else None
        made = card(task, parent, folder=self._folder, expected=expected)
        remark = self._remarks.get(task.id)
        return made | {"note": remark} if remark else made

    def _head(self, state: QueryState) -> dict[str, Any]:
        pending = any(not task.is_finished for task in state.data)
        return {
            **header(state),
            **files.places(self._folder),
            "version": None if pending else version_of(state.data),
            "columns": self.columns,
            "live": self._session is not None,
            "loads": self.on_load is not None,
            "uses": self.on_use is not None,
            "undo": None if self._acts is None else self._acts.undo,
        }

    def _find(self, task_id: object) -> GenerationTask | None:
        return next((task for task in self._state.data if task.id == task_id), None)

    def _find_all(self, ids: object) -> list[GenerationTask]:
        wanted = set(filter(_is_text, ids)) if isinstance(ids, list) else set()
        return [task for task in self._state.data if task.id in wanted]


def _deliver(gallery: weakref.ref[Gallery], state: QueryState) -> None:
    found = gallery()
    if found is not None:
        found._on_state(state)  # noqa: SLF001 - a method in all but its weak self


def _as_state(tasks: Iterable[GenerationTask] | QueryState) -> QueryState:
    return tasks if isinstance(tasks, QueryState) else QueryState(data=tuple(tasks), is_loading=False)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
