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
from typing import TYPE_CHECKING, Any, TypeVar

from kiegen_nb.engine import embedding, films, pictures
from kiegen_nb.engine.download import Downloader, in_worker
from kiegen_nb.engine.formats import HEAD, Found, is_cut, sniff
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.partial import Origin, Partial, sync_folder
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
    """One result and its place; ``stem`` is its path but for the ending, ``embed`` whether to put text into a PNG."""

    task: GenerationTask
    number: int
    asset: Asset
    stem: Path
    embed: bool

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

    async def save(
        self, task: GenerationTask, assets: Sequence[Asset], output_dir: Path, *, embed: bool = False
    ) -> tuple[Asset, ...]:
        """Save what is not saved yet; an asset that fails says why in ``error`` and keeps its URL.

        Args:
            task: whose results they are.
            assets: the results.
            output_dir: where each prompt group gets a folder.
            embed: write into each PNG how it was made; other files stay as they came.
        """
        folder = output_dir / safe_name(task.prompt_id)
        jobs = [
            _Job(task, number, asset, folder / f"{safe_name(task.id)}-{number}", embed)
            for number, asset in enumerate(assets)
        ]
        return tuple(await asyncio.gather(*map(self._save, jobs)))

    async def close(self) -> None:
        """Release connections and workers."""
        await self._downloader.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _save(self, job: _Job) -> Asset:
        try:
            if await self._in_worker(_is_there, job.asset.path):
                return job.asset
            job.note("save.started")
            return await self._fetch(job)
        except (MediaError, OSError) as error:
            reason = _reason(error)
            job.note("save.failed", reason)
        except Exception as error:  # noqa: BLE001 - whatever a decoder throws at a strange file: the task must end
            reason = f"The file could not be saved ({type(error).__name__})."
            job.note("save.failed", reason, trace=traceback.format_exc())
        return job.asset.model_copy(update={"error": f"{reason} {ADVICE}"})

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
            received = record.get("sha256_received")
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
        if source == job.asset.url:
            if _is(file := sidecar.with_suffix(""), digest, size):
                return file
            if _is(part.path, received or digest, None if received else size):
                return part.path
    return None


def _is(file: Path, digest: str, size: int | None) -> bool:
    return file.is_file() and (size is None or file.stat().st_size == size) and _digest(file) == digest


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
            place = job.stem.parent / "thumbnails" / f"{job.stem.name}.webp"
            made.callback(place.unlink, missing_ok=True)
            thumbnail = _write_thumbnail(job, found.kind, source, place)
        received, ready = digest, source
        if job.embed and source == part.path and found.extension == "png":
            copy = job.stem.with_name(f".{job.stem.name}.embedded.part")
            made.callback(copy.unlink, missing_ok=True)
            ready = _embed(job, found, source, copy, digest)
            digest, size = _digest(ready), ready.stat().st_size
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
        if source != path:  # one that has its name already has its sidecar, too
            made.callback(_sidecar_of(path).unlink, missing_ok=True)
            _write_sidecar(_describe(job, path.name, digest, size, received), path)
        job.note("save.sidecar")
        if ready != source:
            ready.replace(path)
            sync_folder(path.parent)
        elif source == part.path:
            part.become(path)
        made.pop_all()
    job.note("save.renamed", file=path.name)
    return saved


def _embed(job: _Job, found: Found, source: Path, copy: Path, received: str) -> Path:
    """Write a copy of a PNG that says how it was made; return it, or the PNG itself if that cannot be done."""
    record = _describe(job, f"{job.stem.name}.png", None, None, received)
    texts = {
        "parameters": embedding.parameters(job.task, found),
        embedding.KEYWORD: json.dumps(record, ensure_ascii=False),
    }
    try:
        embedding.embed(source, copy, texts)
    except ValueError as error:
        job.note("save.embedded", str(error), made=False)
        copy.unlink(missing_ok=True)
        return source
    return copy


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


def _describe(job: _Job, name: str, digest: str | None, size: int | None, received: str) -> dict[str, Any]:
    """Return what a sidecar says; without digest and size, what is written into the file itself."""
    record = job.task.to_json()
    kept = (
        "id", "promptId", "service", "model", "apiModel", "externalTaskId", "providerParams", "createdAt",
        "submittedAt", "completedAt", "creditsConsumed", "repeat", "attempt", "parentId",
    )  # fmt: skip
    known = {
        "kiegen": 1,
        "file": name,
        "sha256": digest,
        "size": size,
        "sha256_received": received if received != digest else None,
        "source": job.asset.url,
        "task": {name: record[name] for name in kept},
    }
    return {name: value for name, value in known.items() if value is not None or name == "source"}


def _write_sidecar(sidecar: dict[str, Any], path: Path) -> None:
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
