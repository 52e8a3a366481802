"""A comparison grid as one picture: the contact sheet's tiles, under headers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from kiegen_nb.tasks import TaskStatus
from kiegen_nb.widgets.cards import facts
from kiegen_nb.widgets.contact_sheet import (
    CARD,
    GAP,
    GREY,
    INK,
    LINE,
    PAPER,
    colour_of,
    draw_picture,
    draw_text,
    reason_of,
)
from kiegen_nb.widgets.index import is_sandboxed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.batch.grid import Arrangement
    from kiegen_nb.tasks import Asset, GenerationTask

LARGEST = 60_000_000  # pixels of the whole picture
SIZES = ((240, 180), (160, 120), (96, 72), (56, 42))  # of a tile's picture; the largest that fits is taken
SEVERAL = 4  # results drawn in one tile
SANDBOX_INK = "#b25d00"
_TEXT = 2 * LINE + 6  # below a tile's picture
_HEAD = LINE + 6
_SEAM = 2  # between the pictures of one tile
_SIDE = 132  # width of the rows' headers


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where everything is on the sheet, in pixels."""

    tile: tuple[int, int]
    size: tuple[int, int, int]
    side: int
    head: int
    title: int
    top: int

    @property
    def sheet_height(self) -> int:
        return self.title + self.head + self.size[1] * self.step[1] + GAP

    @property
    def step(self) -> tuple[int, int]:
        return self.tile[0] + GAP, self.tile[1] + _TEXT + GAP

    @property
    def whole(self) -> tuple[int, int]:
        columns, _, sheets = self.size
        return self.side + columns * self.step[0] + GAP, self.top + sheets * self.sheet_height

    def at(self, column: int, row: int, sheet: int) -> tuple[int, int]:
        top = self.top + sheet * self.sheet_height + self.title + self.head
        return self.side + GAP + column * self.step[0], top + row * self.step[1]


def draw_grid(arrangement: Arrangement, tasks: Sequence[GenerationTask | None]) -> Image.Image:
    """Draw a grid; the same tasks give the same picture.

    Args:
        arrangement: what is where.
        tasks: for each of its places the task, None where there is none yet.

    Raises:
        ValueError: it would have more than `LARGEST` pixels, whatever the tiles' size.
    """
    sandbox = any(task is not None and is_sandboxed(task) for task in tasks)
    frame = _frame(arrangement, top=GAP // 2 + (LINE if sandbox else 0))
    sheet = Image.new("RGB", frame.whole, PAPER)
    draw = ImageDraw.Draw(sheet)
    if sandbox:
        draw_text(draw, (GAP, GAP // 2), "SANDBOX", SANDBOX_INK, 12, room=frame.whole[0])
    for number, rows in enumerate(arrangement.cells):
        _draw_headers(draw, frame, arrangement, number)
        for row, columns in enumerate(rows):
            for column, places in enumerate(columns):
                if places:
                    at = frame.at(column, row, number)
                    _draw_tile(sheet, at, frame.tile, [tasks[place] for place in places])
    return sheet


def _frame(arrangement: Arrangement, top: int) -> _Frame:
    x, y, z = arrangement.x, arrangement.y, arrangement.z
    for tile in SIZES:
        frame = _Frame(
            tile=tile,
            size=arrangement.size,
            side=_SIDE if y.name else 0,
            head=2 * LINE + 6 if x.name else 0,
            title=_HEAD if z.name else 0,
            top=top,
        )
        if math.prod(frame.whole) <= LARGEST:
            return frame
    columns, rows, sheets = arrangement.size
    raise ValueError(
        f"A picture of {columns:,} columns, {rows:,} rows and {sheets:,} sheets is too large to draw; "
        "take a part of the plan, or another axis for x, y or z."
    )


def _draw_headers(draw: ImageDraw.ImageDraw, frame: _Frame, arrangement: Arrangement, sheet: int) -> None:
    x, y, z = arrangement.x, arrangement.y, arrangement.z
    left, top = frame.at(0, 0, sheet)
    if z.name:
        spot = (GAP, top - frame.head - frame.title)
        draw_text(draw, spot, f"{z.name}: {z.labels[sheet]}", INK, 15, room=frame.whole[0] - 2 * GAP)
    if x.name:
        draw_text(draw, (left, top - 2 * LINE - 2), x.name, GREY, 12, room=frame.whole[0] - left)
        for column, label in enumerate(x.labels):
            spot = (left + column * frame.step[0], top - LINE - 2)
            draw_text(draw, spot, label, INK, 14, room=frame.tile[0])
    if y.name:
        for row, label in enumerate(y.labels):
            height = frame.at(0, row, sheet)[1]
            draw_text(draw, (GAP, height + 2), y.name, GREY, 12, room=_SIDE - GAP)
            draw_text(draw, (GAP, height + 2 + LINE), label, INK, 14, room=_SIDE - GAP)


def _draw_tile(
    sheet: Image.Image,
    place: tuple[int, int],
    size: tuple[int, int],
    tasks: Sequence[GenerationTask | None],
) -> None:
    (left, top), (width, height) = place, size
    draw = ImageDraw.Draw(sheet)
    draw.rounded_rectangle((left, top, left + width - 1, top + height + _TEXT - 1), 8, CARD)
    there = [task for task in tasks if task is not None]
    looks: list[tuple[GenerationTask, Asset | None]] = [(task, a) for task in there for a in task.assets or (None,)]
    if not looks:
        draw_text(draw, (left + 8, top + height + 4), "Not asked for yet", GREY, 12, room=width - 16)
        return
    across = 1 if len(looks) == 1 else 2
    box = (width // across, height if len(looks) <= across else height // across)
    for number, (task, asset) in enumerate(looks[:SEVERAL]):
        row, column = divmod(number, across)
        spot = (left + column * (box[0] + _SEAM), top + row * (box[1] + _SEAM))
        draw_picture(sheet, spot, (box[0] - _SEAM * (across - 1), box[1] - _SEAM * (across - 1)), task, asset)
    first = there[0]
    told = " · ".join(facts(first)[1:]) if len(there) == 1 else f"{len(there)} results"
    if first.rating and len(there) == 1:
        told = f"{told} · rated {first.rating}" if told else f"rated {first.rating}"
    failed = next((task for task in there if task.status is TaskStatus.FAILED), first)
    said = reason_of(failed) or (f"{len(looks) - SEVERAL} more" if len(looks) > SEVERAL else "")
    colour = colour_of(failed) if reason_of(failed) else GREY
    draw_text(draw, (left + 8, top + height + 4), told, INK, 12, room=width - 16)
    draw_text(draw, (left + 8, top + height + 4 + LINE), said, colour, 12, room=width - 16)
