"""A comparison grid as ordinary HTML, for viewers without a kernel: inline styles, every word escaped."""

from __future__ import annotations

from html import escape
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from kiegen_nb.widgets.cards import DONE, facts, kind, prompt
from kiegen_nb.widgets.index import is_sandboxed
from kiegen_nb.widgets.summary import BASE, BORDER, GREY, SMALL_BYTES, SUMMARY_BYTES, TILE, picture_html, state_html

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kiegen_nb.batch.grid import Arrangement, Side
    from kiegen_nb.tasks import Asset, GenerationTask

LEAST = 2000  # bytes of a thumbnail that still shows something
SEVERAL = 4  # pictures in one tile
MOST = 400  # tiles; it is saved with the notebook
_HEADER = "padding:4px 8px;text-align:left;vertical-align:top;font-weight:600;overflow-wrap:anywhere;border:0"
_SEVERAL = "display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:4px"
_CELL = "padding:4px;text-align:left;vertical-align:top;width:180px;min-width:96px;border:0"


def grid_html(arrangement: Arrangement, tasks: Sequence[GenerationTask | None], *, budget: int = SUMMARY_BYTES) -> str:
    """Return a grid as tables, one for each sheet.

    Args:
        arrangement: what is where.
        tasks: for each of its places the task, None where there is none yet.
        budget: bytes of HTML; pictures get smaller, then fewer, where it would be passed, never words. Of more than
            `MOST` tiles the first are shown, and the others counted.
    """
    if not tasks:
        return f'<div style="{BASE};color:{GREY}">Nothing here yet.</div>'
    bare = _tables(arrangement, tasks, {})
    return _tables(arrangement, tasks, _pictures(arrangement, tasks, budget - len(bare.encode())))


def _pictures(
    arrangement: Arrangement, tasks: Sequence[GenerationTask | None], left: int
) -> dict[tuple[int, int], str]:
    """Return the pictures that there is room for, by place and number; all of them small rather than a few large."""
    places = [place for _, _, columns in _rows(arrangement) for places in columns for place in places]
    wanted = [(place, n, asset) for place in places for n, asset in _seen(tasks[place])]
    share = 3 * left // (4 * max(len(wanted), 1)) - 250  # base64 makes four of three, and a tag is around it
    most = max(LEAST, min(SMALL_BYTES, share))
    found = {}
    for place, n, asset in wanted:
        task = tasks[place]
        made = picture_html(asset, prompt(task) if task is not None else "", most)
        if made and len(made.encode()) <= left:
            found[place, n] = made
            left -= len(made.encode())
    return found


def _seen(task: GenerationTask | None) -> Iterator[tuple[int, Asset]]:
    shown = [] if task is None else [(n, asset) for n, asset in enumerate(task.assets) if asset.thumbnail is not None]
    yield from shown[:SEVERAL]


def _tables(
    arrangement: Arrangement, tasks: Sequence[GenerationTask | None], pictures: dict[tuple[int, int], str]
) -> str:
    sandbox = any(task is not None and is_sandboxed(task) for task in tasks)
    parts = [f'<div style="{BASE};color:{GREY}"><strong>SANDBOX</strong></div>'] if sandbox else []
    shown = 0
    for number, rows in groupby(_rows(arrangement), key=itemgetter(0)):
        lines = []
        for _, row, columns in rows:
            shown += sum(map(len, columns))
            cells = "".join(_cell(places, arrangement, tasks, pictures) for places in columns)
            lines.append(f'<tr style="background:none">{_header(arrangement.y, row, "row")}{cells}</tr>')
        title = _named(arrangement.z, number)
        caption = f'<caption style="{_HEADER};caption-side:top">{title}</caption>' if title else ""
        body = f"{_head(arrangement)}<tbody>{''.join(lines)}</tbody>"
        parts.append(f'<table style="{BASE};border-collapse:collapse;margin:0 0 12px">{caption}{body}</table>')
    if shown < len(tasks):
        parts.append(f'<div style="color:{GREY}">and {len(tasks) - shown:,} more</div>')
    return f'<div style="{BASE};overflow-x:auto">{"".join(parts)}</div>'


def _rows(arrangement: Arrangement) -> Iterator[tuple[int, int, Sequence[Sequence[int]]]]:
    """Yield sheet, row and tiles of the rows that are shown."""
    tiles = 0
    for sheet, rows in enumerate(arrangement.cells):
        for row, columns in enumerate(rows):
            tiles += len(columns)
            if tiles > MOST and (sheet, row) != (0, 0):
                return
            yield sheet, row, columns[:MOST]


def _head(arrangement: Arrangement) -> str:
    if not arrangement.x.name:
        return ""
    corner = f'<td style="{_HEADER}"></td>' if arrangement.y.name else ""
    cells = "".join(_header(arrangement.x, column, "col") for column in range(len(arrangement.x.labels[:MOST])))
    return f"<thead><tr>{corner}{cells}</tr></thead>"


def _header(side: Side, number: int, scope: str) -> str:
    if not side.name:
        return ""
    name = f'<div style="color:{GREY};font-size:11px;font-weight:400">{escape(side.name)}</div>'
    return f'<th scope="{scope}" style="{_HEADER}">{name}{escape(side.labels[number])}</th>'


def _named(side: Side, number: int) -> str:
    return escape(f"{side.name}: {side.labels[number]}") if side.name else ""


def _cell(
    places: Sequence[int],
    arrangement: Arrangement,
    tasks: Sequence[GenerationTask | None],
    pictures: dict[tuple[int, int], str],
) -> str:
    tiles = [_tile(tasks[place], arrangement.inside[place], _of(place, tasks, pictures)) for place in places]
    several = f'<div style="{_SEVERAL}">{"".join(tiles)}</div>'
    return f'<td style="{_CELL}">{several if len(tiles) > 1 else "".join(tiles)}</td>'


def _of(place: int, tasks: Sequence[GenerationTask | None], pictures: dict[tuple[int, int], str]) -> str:
    return "".join(pictures.get((place, n), "") for n, _ in _seen(tasks[place]))


def _tile(task: GenerationTask | None, words: str, picture: str) -> str:
    if task is None:
        return f'<div style="{TILE};border:{BORDER.replace("solid", "dashed")};padding:6px 8px">Not asked for yet</div>'
    lines = [f"<div>{escape(words)}</div>"] if words else []
    if kind(task) != DONE:
        lines.append(state_html(task, most=300))
    told = facts(task)[1:]
    if task.rating:
        told.append("★" * task.rating)
    lines.append(f'<div style="color:{GREY};font-size:12px">{escape(" · ".join(told))}</div>')
    if task.comment:
        lines.append(f'<div style="color:{GREY};font-style:italic;overflow-wrap:anywhere">{escape(task.comment)}</div>')
    return f'<div style="{TILE};margin-bottom:4px">{picture}<div style="padding:4px 8px">{"".join(lines)}</div></div>'
