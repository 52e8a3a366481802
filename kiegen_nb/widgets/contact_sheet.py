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
_TILE, _PICTURE, _GAP, _LINE = 240, 180, 12, 18  # pixels
_HEIGHT = _PICTURE + 3 * _LINE + 8
_LARGEST = 60_000_000  # pixels of a picture that is opened
_WIDEST = 6  # columns, unless more are asked for
_PAPER, _CARD, _EMPTY, _INK, _GREY = "#ffffff", "#f7f7f8", "#e6e6ea", "#1c1c1f", "#6b6b73"
_COLOUR = {FAILED: "#b71c1c", MISSING: "#b71c1c", UNCLEAR: "#b25d00"}


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
    footer = _LINE + _GAP if len(every) > len(shown) or not shown else 0
    sheet = Image.new("RGB", (across * (_TILE + _GAP) + _GAP, down * (_HEIGHT + _GAP) + _GAP + footer), _PAPER)
    for number, (task, asset) in enumerate(shown):
        row, column = divmod(number, across)
        _draw_tile(sheet, _GAP + column * (_TILE + _GAP), _GAP + row * (_HEIGHT + _GAP), task, asset)
    if footer:
        said = f"and {len(every) - len(shown):,} more" if shown else "Nothing here yet."
        ImageDraw.Draw(sheet).text((_GAP, sheet.height - _LINE - 6), said, _GREY, _font(13))
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
    draw.rounded_rectangle((left, top, left + _TILE - 1, top + _HEIGHT - 1), 8, _CARD)
    colour = _COLOUR.get(kind(task), _GREY)
    picture = _picture(asset) if asset is not None else None
    if picture is not None:
        place = (left + (_TILE - picture.width) // 2, top + (_PICTURE - picture.height) // 2)
        sheet.paste(picture, place, picture)
        if asset is not None and asset.kind is AssetKind.VIDEO:
            _draw_mark(draw, left, top)
    else:
        draw.rounded_rectangle((left, top, left + _TILE - 1, top + _PICTURE - 1), 8, _EMPTY)
        said = asset.kind.value if asset is not None and kind(task) == DONE else word(task)
        width = _font(15).getlength(_plain(said))
        draw.text((left + max((_TILE - width) / 2, 8), top + _PICTURE / 2 - 10), _plain(said), colour, _font(15))
    reason = str(card(task).get("reason", ""))
    lines = ((prompt(task), _INK, 14), (" · ".join(facts(task)), _GREY, 12), (reason, colour, 12))
    for number, (text, ink, size) in enumerate(lines):
        draw.text((left + 8, top + _PICTURE + 4 + number * _LINE), _cut(text, size), ink, _font(size))


def _draw_mark(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    x, y = left + 14, top + _PICTURE - 34
    draw.ellipse((x - 4, y - 2, x + 22, y + 24), "#000000")
    draw.polygon([(x + 5, y + 4), (x + 5, y + 18), (x + 17, y + 11)], "#ffffff")


def _picture(asset: Asset) -> Image.Image | None:
    """Return a small copy of what an asset looks like, None if there is nothing to open safely."""
    whole = asset.path if asset.kind is AssetKind.IMAGE else None
    for path in (asset.thumbnail, whole):
        if path is None:
            continue
        try:
            with Image.open(path) as image:
                if image.width * image.height > _LARGEST:
                    continue
                image.draft("RGB", (_TILE * 2, _PICTURE * 2))
                return ImageOps.contain(
                    ImageOps.exif_transpose(image).convert("RGBA"), (_TILE, _PICTURE), Image.Resampling.LANCZOS
                )
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError):
            continue
    return None


def _cut(text: str, size: int) -> str:
    """Return as much of a text as fits into a tile's line."""
    text, font, room = _plain(text), _font(size), _TILE - 16
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _plain(text: str) -> str:
    # Pillow's own font has no such sign.
    text = text[:300].replace("\N{MULTIPLICATION SIGN}", "x")
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
