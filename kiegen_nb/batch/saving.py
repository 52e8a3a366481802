"""Copies a batch's result files to a folder of yours, with a manifest; nothing there is ever written over."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.records import record_of
from kiegen_nb.engine.media import safe_name
from kiegen_nb.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kiegen_nb.batch.plan import PlanItem
    from kiegen_nb.tasks import GenerationTask

MANIFEST = "manifest.jsonl"
_LONGEST = 100  # characters of a file's name without its ending
_LONGEST_VALUE = 24  # characters of one axis's value in it
_OURS = ("batch", "number", "task_id")  # what each line of a manifest has


def save_batch(folder: str | os.PathLike[str], name: str, pairs: Sequence[tuple[PlanItem, GenerationTask]]) -> Path:
    """Copy result files, and write what each is to ``manifest.jsonl``.

    Args:
        folder: made if it is not there.
        name: of the batch.
        pairs: the items and their tasks.

    Raises:
        MediaError: the folder cannot be written, or holds a ``manifest.jsonl`` of somebody else; that is not touched.
    """
    target = Path(folder).expanduser().absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
        lines = _lines_of(target / MANIFEST)
        width = len(str(max((item.number for item, _ in pairs), default=0)))
        for item, task in pairs:
            stem = _stem(name, item, width)
            files = [found for n in range(len(task.assets)) if (found := _copy(target, stem, task, n)) is not None]
            line = {"batch": name, "prompt_id": task.prompt_id, **record_of(item, task), "files": files}
            line["provider_params"] = task.provider_params
            lines[_key(line)] = json.dumps(line, ensure_ascii=False, default=str)
        _write(target / MANIFEST, lines.values())
    except OSError as error:
        raise MediaError(f"The batch cannot be saved in {target}: {error.strerror or error}.") from None
    return target


def _copy(folder: Path, stem: str, task: GenerationTask, number: int) -> dict[str, Any] | None:
    """Copy one file; one that is there already, byte for byte, will do."""
    source = task.assets[number].path
    if source is None or not source.is_file():
        return None
    several = f"-{number + 1}" if len(task.assets) > 1 else ""
    digest = _digest(source)
    count = 1
    while True:
        again = f"-{count}" if count > 1 else ""
        target = folder / f"{stem}{several}{again}{source.suffix}"
        if target.is_symlink() or target.exists():
            if target.is_file() and _digest(target) == digest:
                break
        else:
            _place(source, target)
            break
        count += 1
    return {"file": target.name, "sha256": digest, "source": str(source)}


def _place(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _stem(name: str, item: PlanItem, width: int) -> str:
    values = [f"{_plain(axis)}-{_plain(str(value))[:_LONGEST_VALUE]}" for axis, value in item.axes.items()]
    return "_".join([safe_name(name), f"{item.number:0{width}}", *values])[:_LONGEST].rstrip("-_.")


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "x"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines_of(path: Path) -> dict[tuple[Any, ...], str]:
    """Return the lines of a manifest that is there, by what they are about.

    Raises:
        MediaError: it is none of ours.
    """
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return {_key(json.loads(line)): line for line in lines if line.strip()}
    except (ValueError, KeyError, TypeError):
        raise MediaError(
            f"{path} is there already and was not written by a batch. Choose another folder; nothing was copied."
        ) from None


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in _OURS)


def _write(path: Path, lines: Iterable[str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
