"""Saves result files: fetched to a temporary file, checked, named; with a thumbnail and a sidecar."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from kiegen_nb.engine import films, pictures
from kiegen_nb.engine.download import Downloader, in_worker
from kiegen_nb.engine.formats import HEAD, Found, is_cut, sniff
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.partial import Origin, Partial
from kiegen_nb.errors import MediaError
from kiegen_nb.tasks import Asset, AssetKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    import httpx

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.tasks import GenerationTask

T = TypeVar("T")
ADVICE = "session.refresh(task), or Retry on its card, tries again."
_ENDINGS = {AssetKind.DATA: "json", AssetKind.TEXT: "txt"}
_PAUSE, _PATIENCE = 1.0, 600  # seconds between two looks at a file another kernel is fetching, and how many looks


@dataclass(frozen=True, slots=True)
class _Job:
    """One result and its place; ``stem`` is its path but for the ending."""

    task: GenerationTask
    number: int
    asset: Asset
    stem: Path

    def note(self, event: str, message: str = "", **data: object) -> None:
        note(event, self.task.id, message, asset=self.number, **data)


class MediaSaver:
    """Saves the results of tasks below an output folder.

    Args:
        clock: for the waits between tries.
        user_agent: what result hosts are told; they turn some clients away.
        allow_local: whether results may come from this machine, because the service itself does.
        fresh_url: asks the service for a fresh link to a result whose own died; None where it has none.
        transport: replaces the network; the seam for tests.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        user_agent: str,
        allow_local: bool,
        fresh_url: Callable[[GenerationTask, str], Awaitable[str | None]] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._fresh_url = fresh_url
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="kiegen-media")
        self._downloader = Downloader(
            clock, self._workers, user_agent=user_agent, allow_local=allow_local, transport=transport
        )

    async def save(self, task: GenerationTask, assets: Sequence[Asset], output_dir: Path) -> tuple[Asset, ...]:
        """Save what is not saved yet; an asset that fails says why in ``error`` and keeps its URL."""
        return tuple(await asyncio.gather(*(self._save(task, n, asset, output_dir) for n, asset in enumerate(assets))))

    async def close(self) -> None:
        """Release connections and workers."""
        await self._downloader.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _save(self, task: GenerationTask, number: int, asset: Asset, output_dir: Path) -> Asset:
        job = _Job(task, number, asset, output_dir / safe_name(task.prompt_id) / f"{safe_name(task.id)}-{number}")
        try:
            if await self._in_worker(_is_there, asset.path):
                return asset
            job.note("save.started")
            return await self._fetch(job)
        except (MediaError, OSError) as error:
            reason = _reason(error)
            job.note("save.failed", reason)
        except Exception as error:  # noqa: BLE001 - whatever a decoder throws at a strange file: the task must end
            reason = f"The file could not be saved ({type(error).__name__})."
            job.note("save.failed", reason, trace=traceback.format_exc())
        return asset.model_copy(update={"error": f"{reason} {ADVICE}"})

    async def _fetch(self, job: _Job) -> Asset:
        part = Partial(job.stem.with_name(f".{job.stem.name}.part"))
        await self._in_worker(_make_folder, job.stem.parent)
        try:
            await self._take(part)
            source = await self._in_worker(_find, job, part)
            if source is None:
                await self._fill(job, part)
                job.note("save.received", bytes=part.size)
            return await self._in_worker(_finish, job, part, source or part.path)
        except asyncio.CancelledError:
            await self._in_worker(part.leave)  # the session closes; the next one goes on from here
            raise
        finally:
            await self._in_worker(part.drop)

    async def _take(self, part: Partial) -> None:
        for _ in range(_PATIENCE):
            if await self._in_worker(part.take):
                return
            await self._clock.sleep(_PAUSE)
        raise MediaError("another kernel has been fetching this file for a long time")

    async def _fill(self, job: _Job, part: Partial) -> None:
        url = job.asset.url
        if url is None:
            await self._in_worker(_write_data, part, job.task.result_json)
        else:
            await self._downloader.fetch(url, part, renew=partial(self._renew, job.task, url), tell=job.note)

    async def _renew(self, task: GenerationTask, url: str) -> str | None:
        return await self._fresh_url(task, url) if self._fresh_url is not None else None

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await in_worker(self._workers, function, *args)


def safe_name(text: str) -> str:
    """Return a file name made of letters, digits, ``-`` and ``_``; different texts give different names."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60]
    if plain and plain == text:
        return plain
    return f"{plain or 'group'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def inspect(path: Path, expected: AssetKind) -> Found:
    """Return what a file is, by its bytes.

    Raises:
        MediaError: if it should be a picture, video or sound and is not, is cut, or cannot be opened safely.
    """
    if expected is AssetKind.IMAGE:
        return pictures.inspect(path)
    with path.open("rb") as file:
        kind, extension = sniff(file.read(HEAD)) or (None, "")
    if is_cut(path):
        raise MediaError(f"the end of the {kind} is missing")
    if kind is AssetKind.VIDEO:
        return films.inspect(path, extension)
    if kind is AssetKind.AUDIO:
        return Found(kind, extension)
    if expected in {AssetKind.VIDEO, AssetKind.AUDIO}:
        raise MediaError(f"what arrived is no {expected}")
    return Found(expected, _ENDINGS.get(expected, "bin"))


def _is_there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _write_data(part: Partial, result_json: str | None) -> None:
    result = json.loads(result_json or "{}")
    text = json.dumps(result.get("resultObject", result), ensure_ascii=False, indent=2)
    part.begin(Origin())
    part.write(text.encode())


def _find(job: _Job, part: Partial) -> Path | None:
    """Return the file if a process that was killed just before its end left all of it, under whichever name."""
    if job.asset.url is None:
        return None
    for sidecar in job.stem.parent.glob(f"{job.stem.name}.*.json"):
        try:
            record = json.loads(sidecar.read_text(encoding="utf-8"))
            source, size, digest = record["source"], record["size"], record["sha256"]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        for file in (sidecar.with_suffix(""), part.path):
            if source == job.asset.url and file.is_file() and file.stat().st_size == size and _digest(file) == digest:
                return file
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finish(job: _Job, part: Partial, source: Path) -> Asset:
    """Check a complete file, name it, and write what belongs to it; nothing of that stays if it fails."""
    found = inspect(source, job.asset.kind)
    digest, size = _digest(source), source.stat().st_size
    part.sync()
    job.note("save.checked", kind=str(found.kind), bytes=size, sha256=digest)
    path = job.stem.with_name(f"{job.stem.name}.{found.extension}")
    with ExitStack() as made:
        thumbnail = None
        if found.kind in {AssetKind.IMAGE, AssetKind.VIDEO}:
            place = job.stem.parent / ".thumbnails" / f"{job.stem.name}.webp"
            made.callback(place.unlink, missing_ok=True)
            thumbnail = _write_thumbnail(job, found.kind, source, place)
        saved = job.asset.model_copy(
            update={
                "kind": found.kind,
                "path": path,
                "thumbnail": thumbnail,
                "width": found.width,
                "height": found.height,
                "duration": found.duration,
                "sha256": digest,
                "size": size,
                "error": None,
            },
        )
        made.callback(_sidecar_of(path).unlink, missing_ok=True)
        _write_sidecar(job.task, saved, path)
        job.note("save.sidecar")
        if source == part.path:
            part.become(path)
        made.pop_all()
    job.note("save.renamed", file=path.name)
    return saved


def _write_thumbnail(job: _Job, kind: AssetKind, source: Path, place: Path) -> Path | None:
    write = pictures.write_thumbnail if kind is AssetKind.IMAGE else films.write_poster
    try:
        made = write(source, place)
    except Exception:  # noqa: BLE001 - the result itself is whole, and worth more than its small picture
        job.note("save.thumbnail", "none could be made", made=False, trace=traceback.format_exc())
        return None
    job.note("save.thumbnail", made=made)
    return place if made else None


def _sidecar_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_sidecar(task: GenerationTask, asset: Asset, path: Path) -> None:
    record = task.to_json()
    kept = (
        "id", "promptId", "service", "model", "apiModel", "externalTaskId", "providerParams", "createdAt",
        "submittedAt", "completedAt", "creditsConsumed", "repeat", "attempt", "parentId",
    )  # fmt: skip
    sidecar = {
        "kiegen": 1,
        "file": path.name,
        "sha256": asset.sha256,
        "size": asset.size,
        "source": asset.url,
        "task": {name: record[name] for name in kept},
    }
    temporary = path.with_name(f".{path.name}.json.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(sidecar, ensure_ascii=False, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(_sidecar_of(path))
    finally:
        temporary.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The file could not be written: {error.strerror or error}. Free space or choose another folder."
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
