"""``index.html`` of an output folder: all of its results as one page that needs no kernel, no script, no network.

Links are relative, so the folder can be moved. The newest small pictures are inside the page: opened through Jupyter
it may load no other file, because Jupyter shuts such pages off from its login.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from kiegen_nb.engine.media import safe_name
from kiegen_nb.engine.pictures import THUMBNAIL_BYTES
from kiegen_nb.settings import is_loopback
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets.cards import DONE, FAILED, MISSING, PENDING, SAVING, UNCLEAR, card, facts, kind, prompt, word

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "index.html"
_MARK = '<meta name="generator" content="kiegen_nb">'
_SIDECAR_BYTES = 1024 * 1024
INLINE_BYTES = 2_000_000
"""Bytes of pictures inside the page; those of older results are only linked."""
_KINDS = (
    dict.fromkeys(("png", "jpg", "webp", "gif", "avif", "bmp", "tiff"), AssetKind.IMAGE)
    | dict.fromkeys(("mp4", "webm", "mov"), AssetKind.VIDEO)
    | dict.fromkeys(("mp3", "wav", "flac", "ogg", "m4a", "mid"), AssetKind.AUDIO)
    | {"json": AssetKind.DATA, "txt": AssetKind.TEXT}
)
_HEAD = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{_MARK}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'; object-src 'none'; form-action 'none'">
<title>"""
_STYLE = """</title>
<style>
:root{color-scheme:light dark;--paper:#fff;--card:#f7f7f8;--empty:#e9e9ee;--ink:#1c1c1f;--grey:#63636b;--line:#e2e2e6;
--red:#b71c1c;--amber:#9a5000}
@media (prefers-color-scheme:dark){:root{--paper:#141416;--card:#1e1e21;--empty:#2a2a2f;--ink:#ececf0;--grey:#a0a0a8;
--line:#34343a;--red:#ff8a80;--amber:#ffb74d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1600px;padding:24px;background:var(--paper);color:var(--ink);
font:14px/1.45 system-ui,sans-serif}
h1{font-size:20px;margin:0}
header{margin-bottom:18px}
.grey{color:var(--grey)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:14px;align-items:start}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden;
content-visibility:auto;contain-intrinsic-size:auto 320px}
.media{display:grid;gap:2px}
.media.many{grid-template-columns:1fr 1fr}
.media img,.media video{display:block;width:100%;max-height:420px;object-fit:contain;background:var(--empty)}
.media audio{width:100%;padding:8px}
.file{display:block;padding:12px;overflow-wrap:anywhere}
.body{padding:10px 12px;overflow-wrap:anywhere}
.prompt{margin:0 0 4px;white-space:pre-wrap;display:-webkit-box;-webkit-box-orient:vertical;-webkit-line-clamp:4;
overflow:hidden}
.state{margin:0 0 4px}
.failed,.missing{color:var(--red)}.unconfirmed{color:var(--amber)}
.badge{border:1px solid currentColor;border-radius:4px;padding:0 4px;font-size:11px}
.facts,details{font-size:12px;color:var(--grey)}
.facts{margin:0}
.facts span{display:inline-block;max-width:100%}
summary{cursor:pointer}
pre{white-space:pre-wrap;margin:6px 0 0}
a{color:inherit}
</style>
</head>
<body>
"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A sidecar that was read, and when it was changed."""

    changed: int
    task: GenerationTask | None


class IndexPage:
    """The page of one output folder.

    It shows what a session knows of the folder's groups, and the files of other accounts that are only known by
    their sidecars: the sandbox and a key often share a folder.

    Args:
        folder: the output folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self._seen: dict[str, _Seen] = {}

    def write(self, tasks: Iterable[GenerationTask], *, is_sandbox: bool = False) -> Path | None:
        """Bring the page up to date, all at once; blocks.

        Args:
            tasks: what the session knows, of any folder.
            is_sandbox: whether these tasks are the sandbox's.

        Returns:
            The page; None if there is no such folder yet, or it has an ``index.html`` of somebody else's.

        Raises:
            OSError: it cannot be written.
        """
        if not self.folder.is_dir() or (self.path.exists() and not self.is_there()):
            return None
        text = self._text(list(tasks), is_sandbox=is_sandbox).encode("utf-8", "replace")
        if self.path.is_file() and self.path.read_bytes() == text:
            return self.path
        temporary = self.folder / f".{NAME}.{os.getpid()}.part"
        try:
            temporary.write_bytes(text)
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)
        return self.path

    def is_there(self) -> bool:
        """Whether there is a page, and it is ours."""
        try:
            # Not opened before it is known to be a file: a named pipe would never end.
            return self.path.is_file() and _MARK.encode() in _head(self.path)
        except OSError:
            return False

    def _text(self, tasks: list[GenerationTask], *, is_sandbox: bool) -> str:
        groups = {entry.name for entry in os.scandir(self.folder) if entry.is_dir(follow_symlinks=False)}
        ours = [(task, is_sandbox or is_sandboxed(task)) for task in tasks if _is_here(task, self.folder, groups)]
        others = [(task, is_sandboxed(task)) for task in self._by_sidecar({task.id for task, _ in ours}, groups)]
        every = sorted([*ours, *others], key=lambda pair: (pair[0].created_at, pair[0].id), reverse=True)
        return page_html(every, self.folder)

    def _by_sidecar(self, known: set[str], groups: set[str]) -> list[GenerationTask]:
        """Return the tasks of files that no known task left."""
        found: dict[str, GenerationTask] = {}
        seen: dict[str, _Seen] = {}
        for group in sorted(name for name in groups if not name.startswith(".")):
            for entry in sorted(os.scandir(self.folder / group), key=lambda entry: entry.name):
                if not entry.name.endswith(".json") or entry.name.partition("-")[0] in known:
                    continue
                task = self._look(entry, seen)
                if task is None or task.id in known or not Path(entry.path).with_suffix("").is_file():
                    continue
                first = found.setdefault(task.id, task)
                if first is not task:
                    found[task.id] = first.model_copy(update={"assets": (*first.assets, *task.assets)})
        self._seen = seen
        return list(found.values())

    def _look(self, entry: os.DirEntry[str], seen: dict[str, _Seen]) -> GenerationTask | None:
        changed = entry.stat(follow_symlinks=False).st_mtime_ns
        old = self._seen.get(entry.path)
        seen[entry.path] = old if old is not None and old.changed == changed else _Seen(changed, _read(entry))
        return seen[entry.path].task


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1024)


def page_html(tasks: Iterable[tuple[GenerationTask, bool]], folder: Path) -> str:
    """Return the page's HTML; links are relative to the folder, and every word is escaped.

    Args:
        tasks: in the order they are shown in, each with whether it is the sandbox's.
        folder: where the page is.
    """
    every = list(tasks)
    kinds = [kind(task) for task, _ in every]
    counted = [
        (kinds.count(DONE) + kinds.count(MISSING), "done"),
        (kinds.count(PENDING) + kinds.count(SAVING), "pending"),
        (kinds.count(FAILED), "failed"),
        (kinds.count(UNCLEAR), "unconfirmed"),
    ]
    said = " · ".join(f"{number:,} {name}" for number, name in counted if number) or "Nothing here yet."
    name = escape(folder.name)
    pictures = _Pictures(folder)
    cards = "\n".join(_article(task, pictures, is_sandbox=is_sandbox) for task, is_sandbox in every)
    header = f'<header><h1>{name}</h1><div class="grey">{said}</div></header>'
    return f'{_HEAD}{name}{_STYLE}{header}\n<main class="grid">\n{cards}\n</main>\n</body>\n</html>\n'


class _Pictures:
    """Where the page finds its small pictures: inside itself, as long as there is room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._left = INLINE_BYTES

    def address(self, path: Path | None) -> str | None:
        link = _link(path, self.folder)
        if link is None or path is None or self._left <= 0:
            return link
        try:
            data = path.read_bytes() if path.stat().st_size <= THUMBNAIL_BYTES else b""
        except OSError:
            return None
        if data[8:12] != b"WEBP":
            return link
        inside = f"data:image/webp;base64,{base64.b64encode(data).decode()}"
        self._left -= len(inside)
        return inside


def _article(task: GenerationTask, pictures: _Pictures, *, is_sandbox: bool) -> str:
    shown = [text for asset in task.assets if (text := _media(asset, pictures, prompt(task)))]
    many = " many" if len(shown) > 1 else ""
    media = f'<div class="media{many}">{"".join(shown)}</div>' if shown else ""
    badge = '<span class="badge">SANDBOX</span> ' if is_sandbox else ""
    when = f"{task.created_at:%Y-%m-%d %H:%M} UTC"
    group = [task.prompt_id] if task.prompt_id != "default" else []
    told, said = [*facts(task), *group, when], prompt(task)
    asked = escape(json.dumps(task.provider_params, ensure_ascii=False, indent=1))
    lines = [
        f'<p class="prompt">{escape(said)}</p>' if said else "",
        _state(task),
        f'<p class="facts">{badge}{" · ".join(f"<span>{escape(fact)}</span>" for fact in told)}</p>',
        f"<details><summary>Parameters</summary><pre>{asked}</pre></details>",
    ]
    return f'<article>{media}<div class="body">{"".join(lines)}</div></article>'


def _state(task: GenerationTask) -> str:
    which = kind(task)
    if which == DONE:
        return ""
    reason = card(task).get("reason")
    said = f"{word(task)}: {reason}" if reason else word(task)
    return f'<p class="state {which}">{escape(said)}</p>'


def _media(asset: Asset, pictures: _Pictures, alt: str) -> str:
    link = _link(asset.path, pictures.folder)
    if link is None:
        return ""
    thumb, said = pictures.address(asset.thumbnail), escape(alt)
    if asset.kind is AssetKind.IMAGE:
        return f'<a href="{link}"><img loading="lazy" src="{thumb or link}" alt="{said}"></a>'
    if asset.kind is AssetKind.VIDEO:
        poster = f' poster="{thumb}"' if thumb else ""
        return f'<video controls playsinline preload="none"{poster} src="{link}" aria-label="{said}"></video>'
    if asset.kind is AssetKind.AUDIO:
        return f'<audio controls preload="none" src="{link}" aria-label="{said}"></audio>'
    name = asset.path.name if asset.path is not None else ""
    return f'<a class="file" href="{link}">{escape(name)}</a>'


def _link(path: Path | None, folder: Path) -> str | None:
    """Return a file's relative address, None if it is not in the folder."""
    if path is None or not path.is_relative_to(folder):
        return None
    parts = path.relative_to(folder).parts
    return None if ".." in parts else "/".join(quote(part, safe="") for part in parts)


def _is_here(task: GenerationTask, folder: Path, groups: set[str]) -> bool:
    """Whether a task belongs to the folder: by its files, or by its group while it has none."""
    places = [asset.path for asset in task.assets if asset.path is not None]
    if places:
        return any(place.is_relative_to(folder) for place in places)
    return safe_name(task.prompt_id) in groups


def is_sandboxed(task: GenerationTask) -> bool:
    """Whether a task's results came from this machine itself, as the sandbox's do."""
    return any(is_loopback(asset.url) for asset in task.assets if asset.url is not None)


def _read(entry: os.DirEntry[str]) -> GenerationTask | None:
    """Return the finished task a sidecar tells of, None if it is none of ours."""
    path = Path(entry.path)
    try:
        if not entry.is_file(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_size > _SIDECAR_BYTES:
            return None
        record: Any = json.loads(path.read_text(encoding="utf-8"))
        file = path.with_suffix("")
        thumbnail = file.parent / "thumbnails" / f"{file.stem}.webp"
        asset = Asset(
            kind=_KINDS.get(file.suffix[1:], AssetKind.FILE),
            url=record["source"],
            path=file,
            thumbnail=thumbnail if thumbnail.is_file() else None,
        )
        told = {**record["task"], "status": TaskStatus.SUCCESS, "activity": None, "assets": (asset,)}
        task = GenerationTask.model_validate(told)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return task if record.get("kiegen") == 1 and task.created_at.tzinfo is not None else None
