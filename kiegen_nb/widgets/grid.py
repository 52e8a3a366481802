"""`Grid`: the results of an experiment in columns, rows and sheets, live while they come in.

It speaks the gallery's messages (see gallery.py), and one of its own, Python to JavaScript: ``layout`` with ``x, y, z``
(``name, labels``), ``cells`` (places by sheet, row and column), and for each place ``ids`` (None: nothing was asked for
yet) and ``inside`` (what tells it from its neighbours in one tile).
"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from kiegen_nb.batch.grid import Arrangement, arrange
from kiegen_nb.engine.state import QueryState
from kiegen_nb.widgets.gallery import Gallery
from kiegen_nb.widgets.grid_html import grid_html
from kiegen_nb.widgets.grid_sheet import draw_grid
from kiegen_nb.widgets.lasting import LastingOutput
from kiegen_nb.widgets.showing import show
from kiegen_nb.widgets.summary import SUMMARY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PIL import Image

    from kiegen_nb.tasks import GenerationTask
    from kiegen_nb.widgets.protocol import GallerySession

    Pairs = Sequence[tuple[Mapping[str, Any], GenerationTask | None]]


class Grid(Gallery):
    """Results side by side by what was varied: columns, rows, and sheets one below the other.

    Tiles fill while the tasks finish; the digits 1 to 5 rate the one under the pointer or with the focus. A cell that
    shows it also leaves the same grid as an ordinary output, for viewers without a kernel.

    Args:
        pairs: for each place the values that were varied there, and its task, None if there is none yet; or a function
            that returns them, which is asked again whenever something changes.
        x: the axis of the columns; the first one if None.
        y: the axis of the rows; the next one that is not named if None.
        z: the axis of the sheets; as for the rows.
        session: what keeps it up to date; without one it shows what it was given.
        prompt_id: the tasks' group; the first task's if None.

    Raises:
        ValueError: there is no such axis, or it has another direction already; the message lists those there are.

    Example:
        >>> Grid([({"seed": 1}, None), ({"seed": 2}, None)])
        Grid(seed: 2)
    """

    _code = (
        "gallery_base.js",
        "gallery_media.js",
        "gallery_cards.js",
        "gallery_rating.js",
        "gallery_head.js",
        "gallery_zoom.js",
        "gallery_details.js",
        "gallery_lightbox.js",
        "grid.js",
    )
    _style = ("gallery.css", "gallery_lightbox.css", "gallery_rating.css", "grid.css")
    _shows = "grid"

    def __init__(
        self,
        pairs: Pairs | Callable[[], Pairs],
        *,
        x: str | None = None,
        y: str | None = None,
        z: str | None = None,
        session: GallerySession | None = None,
        prompt_id: str | None = None,
    ) -> None:
        self._ask = pairs if callable(pairs) else None
        self._pairs: Pairs = tuple(pairs() if callable(pairs) else pairs)
        self._wishes = {"x": x, "y": y, "z": z}
        made = arrange([axes for axes, _ in self._pairs], **self._wishes)
        known = [task for _, task in self._pairs if task is not None]
        group = prompt_id or next((task.prompt_id for task in known), "default")
        # One value, so that other threads see what belongs together: what is where, and for each place its task.
        self._now: tuple[Arrangement, tuple[GenerationTask | None, ...]] = (
            made,
            tuple(task for _, task in self._pairs),
        )
        self._names, self._order = made.names(), made.order()
        self._called: dict[str, str] = {}  # task id -> what its place is called
        self._told: dict[str, Any] = {}
        self._lasting = LastingOutput(self._block, repr(self))
        first = QueryState(data=self._shown(), is_loading=False)
        super().__init__(group, session=session, tasks=first)

    def __repr__(self) -> str:
        made = self.arrangement
        named = [(side.name, size) for side, size in zip((made.x, made.y, made.z), made.size, strict=True) if side.name]
        sizes = " × ".join(str(size) for _, size in named)  # noqa: RUF001 - the multiplication sign is meant
        return f"Grid({', '.join(name for name, _ in named)}: {sizes})" if named else "Grid(nothing)"

    @property
    def arrangement(self) -> Arrangement:
        """What is where: columns, rows, sheets, and the axes left inside the tiles."""
        return self._now[0]

    def html(self, budget: int = SUMMARY_BYTES) -> str:
        """Return the grid as it is now as HTML that needs nothing else, with small pictures in it.

        Args:
            budget: bytes; pictures get smaller, then fewer, where it would be passed, never words.

        Example:
            >>> Path("kites.html").write_text(batch.grid().html(), encoding="utf-8")  # doctest: +SKIP
        """
        return grid_html(*self._now, budget=budget)

    @overload
    def png(self, path: None = None) -> Image.Image: ...

    @overload
    def png(self, path: str | Path) -> Path: ...

    def png(self, path: str | Path | None = None) -> Image.Image | Path:
        """Draw the grid as it is now as one picture with headers; the same results give the same bytes.

        Args:
            path: where a PNG is written, replaced if it is there; without it the picture itself is returned.

        Raises:
            ValueError: the picture would be too large, whatever the size of its tiles.
            OSError: the PNG cannot be written.

        Example:
            >>> batch.grid(x="seed").png("kites.png")  # doctest: +SKIP
        """
        sheet = draw_grid(*self._now)
        if path is None:
            return sheet
        target = Path(path)
        sheet.save(target, "PNG")
        return target

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        found = super()._repr_mimebundle_(**kwargs)
        if found is None:
            return None
        data, metadata = found
        return data | {"text/html": self.html()}, metadata

    def _ipython_display_(self) -> None:
        show(self, self._lasting)

    # On the display thread.

    def _on_state(self, state: QueryState) -> None:
        self._place(state)
        if self._views and not self._closed:
            self._tell_layout()
        super()._on_state(replace(state, data=self._shown()))
        self._lasting.refresh(pending=any(not task.is_finished for task in self.tasks))

    def _on_view(self, name: str, view: str) -> None:
        if name == "ready":
            self._told = {}
            self._tell_layout()
        super()._on_view(name, view)

    def _place(self, state: QueryState) -> None:
        """Take in what became of the tasks."""
        made = self.arrangement
        if self._ask is not None:
            before, self._pairs = self._pairs, tuple(self._ask())
            axes = [axes for axes, _ in self._pairs]
            if axes != [known for known, _ in before]:
                made = arrange(axes, **self._wishes)
                self._names, self._order = made.names(), made.order()
        newest = {task.id: task for task in state.data}

        def now(task: GenerationTask | None) -> GenerationTask | None:
            if task is None or task.id in newest:
                return None if task is None else newest[task.id]
            # What the group does not have was deleted; a task of another group is as it was given.
            return task if state.is_loading or task.prompt_id != self.prompt_id else None

        self._now = (made, tuple(now(task) for _, task in self._pairs))

    def _shown(self) -> tuple[GenerationTask, ...]:
        """Return the tasks in the order they are read in, each once: one request may be in two places."""
        _, tasks = self._now
        self._called = {task.id: name for task, name in zip(tasks, self._names, strict=True) if task is not None}
        there = (tasks[place] for place in self._order)
        return tuple({task.id: task for task in there if task is not None}.values())

    def _tell_layout(self) -> None:
        made = self.arrangement
        sides = {
            letter: {"name": side.name, "labels": side.labels}
            for letter, side in zip("xyz", (made.x, made.y, made.z), strict=True)
        }
        ids = [None if task is None else task.id for _, task in self._pairs]
        content = {"type": "layout", **sides, "cells": made.cells, "ids": ids, "inside": made.inside}
        if content != self._told:
            self._told = content
            self._send_out(content, [])

    def _card(self, task: GenerationTask) -> dict[str, Any]:
        return super()._card(task) | {"label": self._called.get(task.id, "")}

    def _head(self, state: QueryState) -> dict[str, Any]:
        return super()._head(state) | {"lasting": self._lasting.key}

    def _block(self) -> str:
        return f'<div class="kiegen-grid" data-kiegen-grid="{escape(self._lasting.key)}">{self.html()}</div>'
