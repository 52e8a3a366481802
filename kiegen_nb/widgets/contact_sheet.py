"""`contact_sheet`: many results as one picture, for viewers that show nothing else."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, overload

from PIL import Image, ImageDraw, ImageFont, ImageOps

from kiegen_nb.tasks import AssetKind
from kiegen_nb.widgets.cards import DONE, FAILED, MISSING, UNCLEAR, card, facts, kind, prompt, word

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kiegen_nb.tasks import Asset, GenerationTask

MOST = 200  # tiles
TILE, PICTURE, GAP, LINE = 240, 180, 12, 18
"""Pixels: a tile's width, the height of the picture in it, what is between tiles, and a line of text."""

_HEIGHT = PICTURE + 3 * LINE + 8
_LARGEST = 60_000_000  # pixels of a picture that is opened
_WIDEST = 6  # columns, unless more are asked for
PAPER, CARD, INK, GREY = "#ffffff", "#f7f7f8", "#1c1c1f", "#6b6b73"
_EMPTY = "#e6e6ea"
_COLOURS = {FAILED: "#b71c1c", MISSING: "#b71c1c", UNCLEAR: "#b25d00"}


@overload
def contact_sheet(tasks: Iterable[GenerationTask], path: None = None, *, columns: int | None = None) -> Image.Image: ...


@overload
def contact_sheet(tasks: Iterable[GenerationTask], path: str | Path, *, columns: int | None = None) -> Path: ...


def contact_sheet(
    tasks: Iterable[GenerationTask], path: str | Path | None = None, *, columns: int | None = None
) -> Image.Image | Path:
    """Draw tasks as one picture: a tile for each result, with its prompt; pending and failed ones say so.

    The same tasks give the same bytes.

    Args:
        tasks: in the order they are drawn in; at most `MOST` tiles, the rest is counted below them.
        path: where a PNG is written, replaced if it is there; without it the picture itself is returned.
        columns: tiles side by side; about as many as there are rows if None.

    Returns:
        The picture, or the path it was written to.

    Raises:
        OSError: the PNG cannot be written.
    """
    every = list(_tiles(tasks))
    shown = every[:MOST]
    across = max(columns or min(math.ceil(math.sqrt(len(shown))), _WIDEST), 1)
    down = max(math.ceil(len(shown) / across), 1)
    footer = LINE + GAP if len(every) > len(shown) or not shown else 0
    sheet = Image.new("RGB", (across * (TILE + GAP) + GAP, down * (_HEIGHT + GAP) + GAP + footer), PAPER)
    for number, (task, asset) in enumerate(shown):
        row, column = divmod(number, across)
        _draw_tile(sheet, GAP + column * (TILE + GAP), GAP + row * (_HEIGHT + GAP), task, asset)
    if footer:
        said = f"and {len(every) - len(shown):,} more" if shown else "Nothing here yet."
        ImageDraw.Draw(sheet).text((GAP, sheet.height - LINE - 6), said, GREY, _font(13))
    if path is None:
        return sheet
    path = Path(path)
    sheet.save(path, "PNG")
    return path


def _tiles(tasks: Iterable[GenerationTask]) -> Iterator[tuple[GenerationTask, Asset | None]]:
    for task in tasks:
        for asset in task.assets or (None,):
            yield task, asset


def _draw_tile(sheet: Image.Image, left: int, top: int, task: GenerationTask, asset: Asset | None) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.rounded_rectangle((left, top, left + TILE - 1, top + _HEIGHT - 1), 8, CARD)
    draw_picture(sheet, (left, top), (TILE, PICTURE), task, asset)
    lines = ((prompt(task), INK, 14), (" · ".join(facts(task)), GREY, 12), (reason_of(task), colour_of(task), 12))
    for number, (text, ink, size) in enumerate(lines):
        draw_text(draw, (left + 8, top + PICTURE + 4 + number * LINE), text, ink, size, room=TILE - 16)


def draw_picture(
    sheet: Image.Image, place: tuple[int, int], size: tuple[int, int], task: GenerationTask, asset: Asset | None
) -> None:
    """Draw what a result looks like, or a word in its place, into a box of a sheet.

    Args:
        sheet: where.
        place: the box's left and upper edge, pixels.
        size: its width and height, pixels.
        task: whose result.
        asset: which one, None if there is none.
    """
    (left, top), (width, height) = place, size
    draw = ImageDraw.Draw(sheet)
    picture = _picture(asset, size) if asset is not None else None
    if picture is not None:
        sheet.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2), picture)
        if asset is not None and asset.kind is AssetKind.VIDEO:
            _draw_mark(draw, left, top + height)
        return
    draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), 8, _EMPTY)
    said = asset.kind.value if asset is not None and kind(task) == DONE else word(task)
    points = 15 if width >= PICTURE else 12
    wide = _font(points).getlength(_plain(said))
    spot = (int(left + max((width - wide) / 2, 8)), int(top + height / 2 - 10))
    draw_text(draw, spot, said, colour_of(task), points, room=width - 16)


def draw_text(draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, ink: str, size: int, *, room: int) -> None:
    """Draw one line of text, cut to ``room`` pixels."""
    draw.text(place, _cut(text, size, room), ink, _font(size))


def colour_of(task: GenerationTask) -> str:
    """Return the colour a task's state is told in."""
    return _COLOURS.get(kind(task), GREY)


def reason_of(task: GenerationTask) -> str:
    """Return why a task has no result, empty if it has one or may still get one."""
    return str(card(task).get("reason", ""))


def _draw_mark(draw: ImageDraw.ImageDraw, left: int, bottom: int) -> None:
    x, y = left + 14, bottom - 34
    draw.ellipse((x - 4, y - 2, x + 22, y + 24), "#000000")
    draw.polygon([(x + 5, y + 4), (x + 5, y + 18), (x + 17, y + 11)], "#ffffff")


def _picture(asset: Asset, size: tuple[int, int]) -> Image.Image | None:
    """Return a small copy of what an asset looks like, None if there is nothing to open safely."""
    whole = asset.path if asset.kind is AssetKind.IMAGE else None
    for path in (asset.thumbnail, whole):
        if path is None:
            continue
        try:
            with Image.open(path) as image:
                if image.width * image.height > _LARGEST:
                    continue
                image.draft("RGB", (size[0] * 2, size[1] * 2))
                return ImageOps.contain(ImageOps.exif_transpose(image).convert("RGBA"), size, Image.Resampling.LANCZOS)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError):
            continue
    return None


def _cut(text: str, size: int, room: float) -> str:
    """Return as much of a text as fits into a line of ``room`` pixels."""
    text, letters = _plain(text), _font(size)
    if letters.getlength(text) <= room:
        return text
    while text and letters.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _plain(text: str) -> str:
    # Pillow's own font has no such sign.
    text = text[:300].replace("\N{MULTIPLICATION SIGN}", "x")
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
