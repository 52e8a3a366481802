"""A gallery's files for the browser: one at full size, several in a zip, and where Jupyter's server may have them."""

from __future__ import annotations

import contextlib
import mimetypes
import os
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiegen_nb.engine.media import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kiegen_nb.tasks import Asset, GenerationTask

LARGEST = 200 * 1024 * 1024  # bytes of one file over the comm; the browser holds them in memory
SMALL_ZIP = 50 * 1024 * 1024  # bytes of a zip that may go over the comm


def full(task: GenerationTask | None, n: object) -> tuple[dict[str, Any], list[bytes]]:
    """Return a result's file as a message and its buffer, or why there is none."""
    asset = task.assets[n] if task is not None and isinstance(n, int) and 0 <= n < len(task.assets) else None
    try:
        data, path = _read(asset)
    except (OSError, ValueError) as error:
        return {"ok": False, "text": str(error)}, []
    return {"ok": True, "mime": _mime(path), "name": path.name}, [data]


def places(folder: Path) -> dict[str, str | None]:
    """Return what a page needs to find a folder below the server's root.

    Jupyter tells a kernel where its notebook is, but not where the root is; the page knows more of that.
    """
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    start = Path(notebook).parent if notebook.endswith(".ipynb") and Path(notebook).is_absolute() else Path.cwd()
    near = folder.relative_to(start).as_posix() if folder.is_relative_to(start) else None
    with contextlib.suppress(RuntimeError):  # no home folder
        return {"folder": folder.as_posix(), "near": near, "home": Path.home().as_posix()}
    return {"folder": folder.as_posix(), "near": near, "home": None}


class Packer:
    """Makes one zip after the other of a gallery's files, beside the folder of its group.

    Args:
        target: the zip's place; one of before is replaced.
        done: called on the packing thread with a message to send.
    """

    def __init__(self, target: Path, done: Callable[[dict[str, Any]], None]) -> None:
        self._target = target
        self._done = done

    def start(self, tasks: list[GenerationTask], request: object) -> None:
        """Pack on a thread of its own."""
        threading.Thread(target=self._work, args=(tasks, request), name="kiegen-zip", daemon=True).start()

    def read(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the last zip as a message and its buffer."""
        try:
            data = self._target.read_bytes()
        except OSError as error:
            return {"ok": False, "text": f"The zip cannot be read: {error.strerror}"}, []
        return {"ok": True, "mime": "application/zip", "name": self._target.name}, [data]

    def _work(self, tasks: list[GenerationTask], request: object) -> None:
        answer: dict[str, Any] = {"type": "zip", "request": request}
        try:
            text = pack(tasks, self._target)
            size = self._target.stat().st_size
        except (OSError, ValueError) as error:
            self._done(answer | {"ok": False, "text": f"No zip was made: {error}"})
            return
        name = self._target.name
        self._done(answer | {"ok": True, "text": text, "name": name, "size": size, "small": size <= SMALL_ZIP})


def zip_place(folder: Path, prompt_id: str) -> Path:
    """Return where a group's zip goes."""
    return folder / f"{safe_name(prompt_id)}-selected.zip"


def pack(tasks: Iterable[GenerationTask], target: Path) -> str:
    """Write the tasks' files and their sidecars into a zip; return what is to be said of it.

    Raises:
        OSError: the zip cannot be written; nothing of it stays.
        ValueError: none of the files is there.
    """
    packed, missing = 0, 0
    part = target.with_name(f".{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Pictures and films do not get smaller.
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for path in _paths(tasks):
                if not path.is_file():
                    missing += 1
                    continue
                archive.write(path, path.name)
                packed += 1
                sidecar = path.with_name(f"{path.name}.json")
                if sidecar.is_file():
                    archive.write(sidecar, sidecar.name)
        if not packed:
            raise ValueError("none of the files is there any more.")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    gone = f"; {missing} {'is' if missing == 1 else 'are'} gone" if missing else ""
    return f"{packed} {'file' if packed == 1 else 'files'} in {target}{gone}"


def _paths(tasks: Iterable[GenerationTask]) -> list[Path]:
    # Two tasks never share a file, but a store may hold anything.
    found = [asset.path for task in tasks for asset in task.assets if asset.path is not None]
    return list({path.name: path for path in found}.values())


def _mime(path: Path) -> str:
    """Return a type that cannot run a script: a page's blob, opened in a tab of its own, has the page's rights."""
    found = mimetypes.guess_type(path.name)[0] or ""
    if found.startswith("text/") or found == "application/json":
        return "text/plain"
    harmless = found.startswith(("image/", "video/", "audio/")) and "xml" not in found
    return found if harmless else "application/octet-stream"


def _read(asset: Asset | None) -> tuple[bytes, Path]:
    if asset is None or asset.path is None:
        raise ValueError("There is no saved file to show.")
    if not asset.path.is_file():
        raise ValueError(f"The file {asset.path} is gone.")
    if asset.path.stat().st_size > LARGEST:
        raise ValueError(f"Too large to show here; open {asset.path}.")
    return asset.path.read_bytes(), asset.path
