"""What the browser was told of a gallery's cards, and what it must still be told: snapshots, patches, thumbnails."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.tasks import GenerationTask

FIRST = 24
"""Cards whose thumbnails are sent before anybody asks: more are on few screens."""

CHUNK = 200  # further cards of one message
THUMBS = 20  # thumbnails of one message


class Feed:
    """The cards as the browser knows them. Used on one thread only.

    Args:
        send: sends a message with its buffers.
        make_card: makes a task's card.
        make_header: makes what stands above the cards.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any], list[bytes]], None],
        make_card: Callable[[GenerationTask], dict[str, Any]],
        make_header: Callable[[QueryState], dict[str, Any]],
    ) -> None:
        self._send = send
        self._make_card = make_card
        self._make_header = make_header
        self.forget()

    def forget(self) -> None:
        """Start anew: no view is there any more."""
        self._tasks: dict[str, GenerationTask] = {}
        self._cards: dict[str, dict[str, Any]] = {}
        self._header: dict[str, Any] = {}
        self._thumbs: set[str] = set()

    def redo(self, task_id: str | None = None) -> None:
        """Have a card (None: every card) made again with the next update, though its task is the same."""
        if task_id is None:
            self._tasks = {}
        else:
            self._tasks.pop(task_id, None)

    def take(self, state: QueryState) -> None:
        """Remember a state as shown, making again only the cards of tasks that changed."""
        old_tasks, old_cards = self._tasks, self._cards
        self._tasks, self._cards = {}, {}
        for task in state.data:
            known = old_tasks.get(task.id)
            same = known is task or known == task
            self._cards[task.id] = old_cards[task.id] if same else self._make_card(task)
            self._tasks[task.id] = task
        self._header = self._make_header(state)

    def update(self, state: QueryState) -> None:
        """Tell every view what is new in a state; nothing is sent if nothing is."""
        before, header_before = self._cards, self._header
        self.take(state)
        removed = [name for name in before if name not in self._cards]
        if [name for name in before if name in self._cards] != [name for name in self._cards if name in before]:
            self.snapshot(None)
            return
        changed = [name for name, data in self._cards.items() if before.get(name) != data]
        head = {"header": self._header} if self._header != header_before else {}
        if not changed and not removed and not head:
            return
        follows = dict(zip(self._cards, [None, *self._cards], strict=False))
        early = set(list(self._cards)[:FIRST])
        for part in list(_chunks(changed, CHUNK)) or [[]]:
            items = [self._cards[name] | {"after": follows[name]} for name in part]
            thumbs = self._read(self._keys(name for name in part if name in early) - self._thumbs)
            self._thumbs.update(thumbs)
            self._tell({"type": "patch", "removed": removed, **head, "items": items}, thumbs)
            removed, head = [], {}

    def snapshot(self, view: str | None) -> None:
        """Tell a view (None: all of them) everything."""
        names = list(self._cards)
        parts = [names[:FIRST], *_chunks(names[FIRST:], CHUNK)]
        for number, part in enumerate(parts):
            first = {"ids": names, "header": self._header} if number == 0 else {}
            content = {"type": "snapshot", "view": view, "part": number, "parts": len(parts), **first}
            thumbs = self._read(self._keys(part)) if number == 0 else {}
            self._thumbs.update(thumbs)
            self._tell(content | {"items": [self._cards[name] for name in part]}, thumbs)

    def thumbs(self, view: object, wanted: Iterable[object]) -> None:
        """Answer a view that asks for thumbnails; those that cannot be read are left out."""
        for part in _chunks([key for key in wanted if isinstance(key, str)], THUMBS):
            found = self._read(part)
            self._send({"type": "thumbs", "view": view, "keys": list(found)}, list(found.values()))

    def _tell(self, content: dict[str, Any], thumbs: dict[str, bytes]) -> None:
        self._send(content | {"now": time.time(), "thumbs": list(thumbs)}, list(thumbs.values()))

    def _keys(self, names: Iterable[str]) -> set[str]:
        return {data["thumb"] for name in names for data in self._cards[name].get("assets", ()) if "thumb" in data}

    def _read(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return the bytes of thumbnails, in the order of their keys; only of tasks that are shown."""
        found = {}
        for key in sorted(keys):
            name, _, place = key.rpartition("/")[0].rpartition("/")
            assets = self._tasks[name].assets if name in self._tasks else ()
            number = int(place) if place.isdecimal() else -1
            data = _bytes_of(assets[number].thumbnail) if 0 <= number < len(assets) else None
            if data is not None:
                found[key] = data
        return found


def _chunks(names: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _bytes_of(path: Path | None) -> bytes | None:
    try:
        return (path.read_bytes() or None) if path is not None else None
    except OSError:
        return None
