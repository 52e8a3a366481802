"""Tasks and assets as ordinary HTML: for the end of a cell, and for viewers without a kernel.

Styles are inline and every word is escaped: web viewers drop style sheets and scripts, and what a service
or a user wrote is text, never markup.
"""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from kiegen_nb.tasks import AssetKind
from kiegen_nb.widgets.cards import DONE, FAILED, MISSING, UNCLEAR, card, facts, kind, prompt, word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kiegen_nb.tasks import Asset, GenerationTask

THUMBNAIL_BYTES = 40 * 1024
SMALL_BYTES = 8 * 1024
SUMMARY_BYTES = 300 * 1024
SUMMARY_TASKS = 24

GREY = "var(--jp-ui-font-color2,#666)"
_RED = "var(--jp-error-color0,#b71c1c)"
BORDER = "1px solid var(--jp-border-color2,#ddd)"
BASE = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45"
TILE = f"border:{BORDER};border-radius:8px;overflow:hidden;background:var(--jp-layout-color1,#fff)"
_COLOUR = {FAILED: _RED, MISSING: _RED, UNCLEAR: "var(--jp-warn-color0,#b25d00)"}


def asset_html(asset: Asset) -> str:
    """Return an asset as HTML: its thumbnail, what it is, and where it is saved."""
    lines = [_asset_line(asset)]
    if asset.path is not None:
        lines.append(f'<code style="font-size:12px;overflow-wrap:anywhere">{escape(str(asset.path))}</code>')
    if asset.error:
        lines.append(f'<span style="color:{_RED}">{escape(asset.error)}</span>')
    picture = picture_html(asset, asset.kind.value, THUMBNAIL_BYTES)
    return f'<div style="{BASE};max-width:420px;margin:4px 0">{picture}<div>{"<br>".join(lines)}</div></div>'


def task_html(task: GenerationTask) -> str:
    """Return a task as HTML: its pictures, the request, its state, and the reason of a failure."""
    said = prompt(task)
    pictures = "".join(picture_html(asset, said or asset.kind.value, THUMBNAIL_BYTES) for asset in task.assets)
    paths = [str(asset.path) for asset in task.assets if asset.path is not None]
    lines = [f"<div>{escape(said)}</div>" if said else "", state_html(task), _facts_line(task)]
    lines += [f'<div style="color:{GREY};font-size:12px;overflow-wrap:anywhere">{escape(p)}</div>' for p in paths]
    body = f'<div style="padding:8px 10px">{"".join(lines)}</div>'
    return f'<div style="{BASE};{TILE};max-width:420px;margin:4px 0">{pictures}{body}</div>'


def summary_html(tasks: Iterable[GenerationTask], *, limit: int = SUMMARY_TASKS, budget: int = SUMMARY_BYTES) -> str:
    """Return the newest tasks as one grid of small pictures.

    Args:
        tasks: newest first.
        limit: how many are shown.
        budget: bytes of HTML; pictures are left out where it would be passed, never words.
    """
    every = list(tasks)
    shown = every[:limit]
    bare = [_tile(task, "") for task in shown]
    left = budget - sum(map(len, bare)) - 1024
    tiles = []
    for task, plain in zip(shown, bare, strict=True):
        asset = next((asset for asset in task.assets if asset.thumbnail is not None), None)
        picture = picture_html(asset, prompt(task), SMALL_BYTES) if asset is not None else ""
        fits = bool(picture) and len(picture) <= left
        left -= len(picture) if fits else 0
        tiles.append(_tile(task, picture) if fits else plain)
    if not tiles:
        return f'<div style="{BASE};color:{GREY}">Nothing here yet.</div>'
    grid = "display:grid;grid-template-columns:repeat(auto-fill,minmax(160px,1fr));gap:10px"
    rest = len(every) - len(shown)
    more = f'<div style="color:{GREY};margin-top:6px">and {rest:,} more</div>' if rest else ""
    return f'<div style="{BASE}"><div style="{grid}">{"".join(tiles)}</div>{more}</div>'


def _tile(task: GenerationTask, picture: str) -> str:
    said = prompt(task)
    cut = said if len(said) <= 120 else f"{said[:119]}…"  # noqa: PLR2004 - three lines of a tile
    state = state_html(task, most=300) if kind(task) != DONE else ""
    body = f"<div>{escape(cut)}</div>{state}{_facts_line(task)}"
    return f'<div style="{TILE}">{picture}<div style="padding:6px 8px;overflow-wrap:anywhere">{body}</div></div>'


def state_html(task: GenerationTask, most: int = 10_000) -> str:
    """Return a task's state in a line of HTML, with the reason of a failure; ``most`` characters of it."""
    data = card(task)
    said = f"{word(task)}: {data['reason']}" if "reason" in data else word(task)
    said = said if len(said) <= most else f"{said[: most - 1]}…"
    code = f' <span style="color:{GREY};font-size:11px">({escape(data["code"])})</span>' if "code" in data else ""
    return f'<div style="color:{_COLOUR.get(kind(task), "inherit")}">{escape(said)}{code}</div>'


def _facts_line(task: GenerationTask) -> str:
    told = "\N{NO-BREAK SPACE}· ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts(task))
    return f'<div style="color:{GREY};font-size:12px">{escape(told)}</div>'


def _asset_line(asset: Asset) -> str:
    known = [asset.kind.value]
    if asset.width and asset.height:
        known.append(f"{asset.width}×{asset.height}")  # noqa: RUF001 - the multiplication sign is meant
    if asset.duration is not None:
        known.append(f"{asset.duration:.1f} s")
    if asset.size is not None:
        known.append(_bytes_text(asset.size))
    return f'<span style="color:{GREY}">{escape(" · ".join(known))}</span>'


def _bytes_text(size: int) -> str:
    if size < 1000:  # noqa: PLR2004 - a kilobyte
        return f"{size} bytes"
    return f"{size / 1e3:.0f} KB" if size < 1e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004 - a megabyte


def picture_html(asset: Asset, alt: str, most: int) -> str:
    """Return an asset's thumbnail as HTML, of at most ``most`` bytes before its encoding; empty if it has none."""
    uri = _data_uri(asset.thumbnail, most) if asset.thumbnail is not None else None
    if uri is None:
        return ""
    style = "display:block;width:100%;max-height:320px;object-fit:contain;background:var(--jp-layout-color2,#eee)"
    film = asset.kind is AssetKind.VIDEO
    mark = f'<div style="color:{GREY};font-size:12px;padding:2px 8px">▶ video</div>' if film else ""
    return f'<img src="{uri}" alt="{escape(alt)}" style="{style}">{mark}'


def _data_uri(path: Path, most: int) -> str | None:
    try:
        stat = path.stat()
        return _encoded(str(path), stat.st_mtime_ns, stat.st_size, most)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


@lru_cache(maxsize=256)
def _encoded(path: str, changed: int, size: int, most: int) -> str:
    """Return a picture file as a data URI of at most ``most`` bytes of webp."""
    del changed  # with the size, it tells the cache that the file is another one
    data = Path(path).read_bytes()
    if size > most or data[8:12] != b"WEBP":
        data = _smaller(data, most)
    return f"data:image/webp;base64,{base64.b64encode(data).decode()}"


def _smaller(data: bytes, most: int) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        small = picture.convert("RGB")
    for side, quality in ((320, 75), (256, 65), (200, 60), (160, 50), (96, 40)):
        small.thumbnail((side, side))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=quality, method=4)
        if out.tell() <= most:
            return out.getvalue()
    raise ValueError("no small enough picture")
