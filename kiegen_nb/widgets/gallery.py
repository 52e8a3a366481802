"""`Gallery`: one card per task, kept up to date by small messages; no picture's bytes enter a synced trait.

Messages, Python to JavaScript (binary buffers hold the thumbnails named in ``thumbs``, in that order):

- ``snapshot``: ``view, part, parts, now, header, items, thumbs``; everything, in parts of 20 cards. ``view``
  is the view that asked, None means all of them.
- ``patch``: ``now, header?, items, removed, thumbs``; the cards that changed. ``after`` of a card names the
  card before it, None puts it first.
- ``full``: ``request, task, n, ok, mime, name`` and the file in one buffer, or ``ok: false`` and ``text``.

JavaScript to Python: ``ready`` and ``bye`` (``view``), ``full`` (``id, n, request``), ``refresh`` and ``load``
(``id``), ``follow_up`` (``id, name, index, prompt``: what is to be done with a finished task).
"""

from __future__ import annotations

import mimetypes
import threading
import time
import weakref
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.widgets.cards import card, header
from kiegen_nb.widgets.loading import CodeWidget
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.summary import summary_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kiegen_nb.tasks import Asset, GenerationTask
    from kiegen_nb.widgets.protocol import SessionLike

CHUNK = 20
LARGEST = 200 * 1024 * 1024  # bytes of one file over the comm; the browser holds them in memory


class Gallery(CodeWidget):
    """The tasks of one prompt group, newest first, brought up to date by itself.

    Args:
        prompt_id: the group it shows.
        session: where the tasks come from; ``Session()`` if none is given.
        tasks: show these instead, without a session; a `QueryState` also sets what stands above the cards.
        columns: cards side by side; as many as fit if None.

    Attributes:
        on_load: called with a task on the display thread when someone wants its settings; cards have a button for
            that while this is set. What it raises is shown on the card.

    Example:
        >>> Gallery(tasks=[])
        Gallery(default)
    """

    _code = "gallery.js"
    _style = "gallery.css"
    _shows = "gallery"

    def __init__(
        self,
        prompt_id: str = "default",
        *,
        session: SessionLike | None = None,
        tasks: Iterable[GenerationTask] | QueryState | None = None,
        columns: int | None = None,
    ) -> None:
        self.prompt_id = prompt_id
        self.columns = columns
        self.on_load: Callable[[GenerationTask], None] | None = None
        # All below is touched on the display thread only (without a session: on the caller's).
        self._state = QueryState() if tasks is None else _as_state(tasks)
        self._views: set[str] = set()
        self._tasks: dict[str, GenerationTask] = {}
        self._cards: dict[str, dict[str, Any]] = {}
        self._header: dict[str, Any] = {}
        self._thumbs: set[str] = set()
        self._remarks: dict[str, str] = {}
        self._subscribing = threading.Lock()
        self._ending: weakref.finalize[Any, Any] | None = None
        self._closed = False
        self._session = session
        if session is None and tasks is None:
            self._session = default_session()
        super().__init__()
        self.on_msg(self._on_message)
        self._subscribe()

    def __repr__(self) -> str:
        return f"Gallery({self.prompt_id})"

    @property
    def tasks(self) -> tuple[GenerationTask, ...]:
        """The tasks it shows, newest first."""
        return self._state.data

    def show(self, tasks: Iterable[GenerationTask] | QueryState) -> None:
        """Show other tasks; for a gallery without a session."""
        self._on_display(self._on_state, _as_state(tasks))

    def close(self) -> None:
        """Stop following the session and remove every view."""
        # ipywidgets calls this from __del__, too, even for a widget whose constructor failed.
        if self.__dict__.get("_subscribing") is not None:
            with self._subscribing:
                self._closed = True
            self._unsubscribe()
        super().close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found = super()._repr_mimebundle_(**kwargs)
        if found is None:
            return None
        data, metadata = found
        # JupyterLab prefers the widget; nbconvert and web viewers show this.
        return data | {"text/html": summary_html(self.tasks)}, metadata

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
            self._bring_up_to_date()

    # Messages from JavaScript, on any thread

    def _on_message(self, _: object, content: Any, buffers: object) -> None:
        del buffers
        if isinstance(content, dict) and not self._closed:
            self._on_display(self._answer, content)

    def _answer(self, content: dict[str, Any]) -> None:
        if self._closed:
            return
        match content.get("type"):
            case "ready":
                self._on_ready(str(content.get("view")))
            case "bye":
                self._views.discard(str(content.get("view")))
                # A cell that runs again drops its old gallery without closing it; ipywidgets keeps it for ever.
                if not self._views:
                    self._unsubscribe()
            case "full":
                self._send_full(content)
            case "refresh":
                task = self._find(content.get("id"))
                if task is not None and self._session is not None:
                    self._refresh(self._session, task)
            case "load":
                self._try(self._load, content)
            case "follow_up":
                self._try(self._follow_up, content)

    def _try(self, act: Callable[[GenerationTask, dict[str, Any]], str], content: dict[str, Any]) -> None:
        """Do what a card's button asks for, and put what there is to say about it on the card."""
        task = self._find(content.get("id"))
        if task is None:
            return
        try:
            remark = act(task, content)
        except InvalidParams as error:
            said = (f"{name} {text}".strip() for name, text in error.fields.items())
            remark = " ".join(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in said)
        except Exception as error:  # noqa: BLE001 - nothing above a message handler would show it
            remark = str(error) or type(error).__name__
        if self._remarks.get(task.id, "") != remark:
            self._remarks[task.id] = remark
            self._tasks.pop(task.id, None)  # its card is made again
            self._bring_up_to_date()

    def _load(self, task: GenerationTask, _: dict[str, Any]) -> str:
        if self.on_load is not None:
            self.on_load(task)
        return ""

    def _follow_up(self, task: GenerationTask, content: dict[str, Any]) -> str:
        if self._session is None:
            return ""
        name, index, prompt = str(content.get("name")), content.get("index"), content.get("prompt")
        handle = self._session.follow_up(
            task,
            name,
            index=index if isinstance(index, int) else 0,
            prompt=prompt if isinstance(prompt, str) else None,
        )
        return "This was asked for before; see its card." if self._find(handle.id) is not None else ""

    def _refresh(self, session: SessionLike, task: GenerationTask) -> None:
        try:
            session.refresh(task)
        except KiegenError as error:
            self._on_state(replace(self._state, error=error))

    def _on_ready(self, view: str) -> None:
        first = not self._views
        self._views.add(view)
        self._subscribe()
        if first:
            self._forget()
            self._take(self._state)
        else:
            # A file may have appeared since; the other views must not miss it.
            self._tasks = {}
            self._bring_up_to_date()
        self._send_snapshot(view)

    # Messages to JavaScript

    def _forget(self) -> None:
        self._tasks, self._cards, self._header, self._thumbs = {}, {}, {}, set()

    def _take(self, state: QueryState) -> None:
        """Remember a state as shown, making again only the cards of tasks that changed."""
        old_tasks, old_cards = self._tasks, self._cards
        self._tasks, self._cards = {}, {}
        for task in state.data:
            known = old_tasks.get(task.id)
            same = known is task or known == task
            self._cards[task.id] = old_cards[task.id] if same else self._card(task)
            self._tasks[task.id] = task
        self._header = header(
            state, columns=self.columns, live=self._session is not None, loads=self.on_load is not None
        )

    def _card(self, task: GenerationTask) -> dict[str, Any]:
        remark = self._remarks.get(task.id)
        made = card(task, self._find(task.parent_id) if task.parent_id is not None else None)
        return made | {"note": remark} if remark else made

    def _bring_up_to_date(self) -> None:
        before, header_before = self._cards, self._header
        self._take(self._state)
        removed = [name for name in before if name not in self._cards]
        if [name for name in before if name in self._cards] != [name for name in self._cards if name in before]:
            self._send_snapshot(None)
            return
        changed = [name for name, data in self._cards.items() if before.get(name) != data]
        head = {"header": self._header} if self._header != header_before else {}
        if not changed and not removed and not head:
            return
        follows = dict(zip(self._cards, [None, *self._cards], strict=False))
        parts = list(_chunks(changed)) or [[]]
        for part in parts:
            items = [self._cards[name] | {"after": follows[name]} for name in part]
            self._send_cards({"type": "patch", "removed": removed, **head}, items, known=self._thumbs)
            removed, head = [], {}

    def _send_snapshot(self, view: str | None) -> None:
        parts = list(_chunks(list(self._cards))) or [[]]
        for number, part in enumerate(parts):
            content = {
                "type": "snapshot",
                "view": view,
                "part": number,
                "parts": len(parts),
                "header": self._header,
            }
            self._send_cards(content, [self._cards[name] for name in part], known=set())

    def _send_cards(self, content: dict[str, Any], items: list[dict[str, Any]], known: set[str]) -> None:
        thumbs, buffers = [], []
        for item in items:
            for asset, data in zip(self._tasks[item["id"]].assets, item.get("assets", ()), strict=False):
                key = data.get("thumb")
                found = _read(asset.thumbnail) if key is not None and key not in known else None
                if found is not None:
                    thumbs.append(key)
                    buffers.append(found)
        self._thumbs.update(thumbs)
        self.send(content | {"now": time.time(), "items": items, "thumbs": thumbs}, buffers)

    def _send_full(self, content: dict[str, Any]) -> None:
        task, n = self._find(content.get("id")), content.get("n")
        # No "id" at the top: ipykernel 7.4 would take it for a request's and route later messages by it.
        answer = {"type": "full", "request": content.get("request"), "task": content.get("id"), "n": n}
        asset = task.assets[n] if task is not None and isinstance(n, int) and 0 <= n < len(task.assets) else None
        try:
            data, path = _full(asset)
        except (OSError, ValueError) as error:
            self.send(answer | {"ok": False, "text": str(error)})
            return
        mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.send(answer | {"ok": True, "mime": mime, "name": path.name}, [data])

    def _find(self, task_id: object) -> GenerationTask | None:
        return next((task for task in self._state.data if task.id == task_id), None)


def _deliver(gallery: weakref.ref[Gallery], state: QueryState) -> None:
    found = gallery()
    if found is not None:
        found._on_state(state)  # noqa: SLF001 - a method in all but its weak self


def _as_state(tasks: Iterable[GenerationTask] | QueryState) -> QueryState:
    return tasks if isinstance(tasks, QueryState) else QueryState(data=tuple(tasks), is_loading=False)


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), CHUNK):
        yield names[start : start + CHUNK]


def _read(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path is not None else None
    except OSError:
        return None


def _full(asset: Asset | None) -> tuple[bytes, Path]:
    if asset is None or asset.path is None:
        raise ValueError("There is no saved file to show.")
    if not asset.path.is_file():
        raise ValueError(f"The file {asset.path} is gone.")
    if asset.path.stat().st_size > LARGEST:
        raise ValueError(f"Too large to show here; open {asset.path}.")
    return asset.path.read_bytes(), asset.path
