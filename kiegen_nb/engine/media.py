"""Fetches result files: streamed to a temporary file, resumed, checked, renamed; with a thumbnail and a sidecar."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from kiegen_nb.engine import films, pictures
from kiegen_nb.engine.formats import HEAD, Found, sniff
from kiegen_nb.errors import MediaError
from kiegen_nb.tasks import Asset, AssetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.tasks import GenerationTask

log = logging.getLogger("kiegen_nb")
T = TypeVar("T")
MAX_BYTES = 4 * 1024**3
MAX_REDIRECTS = 5
ATTEMPTS = 4
_CHUNK = 256 * 1024
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_ENDINGS = {AssetKind.DATA: "json", AssetKind.TEXT: "txt"}
_PARTIAL = 206
_RANGE_NOT_SATISFIABLE = 416
_GONE = frozenset({401, 403, 404, 410})


class _Interrupted(MediaError):
    """The connection ended early; asking for the rest can help."""


class MediaSaver:
    """Saves the results of tasks below an output folder.

    Args:
        clock: for the waits between tries.
        user_agent: what result hosts are told; they turn some clients away.
        allow_local: whether results may come from this machine, because the service itself does.
        transport: replaces the network; the seam for tests.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        user_agent: str,
        allow_local: bool,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._allow_local = allow_local
        # A client of its own, without the key: result hosts are not the service.
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=_TIMEOUT,
            headers={"User-Agent": user_agent},
            follow_redirects=False,
            trust_env=not allow_local,
        )
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="kiegen-media")
        self._turns = asyncio.Semaphore(4)

    async def save(self, task: GenerationTask, assets: Sequence[Asset], output_dir: Path) -> tuple[Asset, ...]:
        """Save what is not saved yet; an asset that fails says why in ``error`` and keeps its URL."""
        return tuple(await asyncio.gather(*(self._save(task, n, asset, output_dir) for n, asset in enumerate(assets))))

    async def close(self) -> None:
        """Release connections and workers."""
        await self._client.aclose()
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _save(self, task: GenerationTask, number: int, asset: Asset, output_dir: Path) -> Asset:
        folder = output_dir / safe_name(task.prompt_id)
        stem = f"{safe_name(task.id)}-{number}"
        part = folder / f".{stem}.part"
        try:
            if await self._in_worker(_is_there, asset.path):
                return asset
            await self._in_worker(_make_folder, folder)
            if asset.url is None:
                await self._in_worker(_write_data, part, task.result_json)
            else:
                async with self._turns:
                    await self._fetch(asset.url, part)
            return await self._in_worker(_finish, task, asset, part, folder / stem)
        except (ValueError, httpx.InvalidURL):
            return asset.model_copy(update={"error": "The result's address cannot be read."})
        except (MediaError, OSError) as error:
            return asset.model_copy(update={"error": _reason(error)})
        except Exception as error:
            # Whatever a decoder throws at a strange file: the task must come to its end.
            log.exception("result %s of task %s could not be saved", number, task.id)
            return asset.model_copy(update={"error": f"The file could not be saved ({type(error).__name__})."})

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *args)

    async def _fetch(self, url: str, part: Path) -> None:
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Interrupted),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=1, max=20),
            sleep=self._clock.sleep,
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                await self._fetch_once(url, part)

    async def _fetch_once(self, url: str, part: Path) -> None:
        have = await self._in_worker(_size, part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        try:
            for _ in range(MAX_REDIRECTS):
                await self._check_address(url)
                async with self._client.stream("GET", url, headers=headers) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    await self._receive(response, part, have)
                    return
        except httpx.HTTPError as error:
            raise _Interrupted(f"the download broke off ({type(error).__name__})") from None
        raise MediaError("the result's address leads from one to the next without end")

    async def _receive(self, response: httpx.Response, part: Path, have: int) -> None:
        status = response.status_code
        if status == _RANGE_NOT_SATISFIABLE:
            await self._in_worker(_forget, part)
            raise _Interrupted("the rest of the file was not to be had; it is fetched from the start")
        if status in _GONE:
            raise MediaError(f"the result's address does not work any more (HTTP {status})")
        if not response.is_success:
            raise _Interrupted(f"the result host answered HTTP {status}")
        resumed = status == _PARTIAL and response.headers.get("content-range", "").startswith(f"bytes {have}-")
        received = have if resumed else 0
        length = response.headers.get("content-length", "")
        # A compressed body's length is not the file's.
        expected = received + int(length) if length.isdigit() and not response.headers.get("content-encoding") else None
        if (expected or 0) > MAX_BYTES:
            raise MediaError(f"the result is larger than {MAX_BYTES // 1024**3} GiB")
        file = await self._in_worker(part.open, "ab" if resumed else "wb")
        try:
            async for chunk in response.aiter_bytes(_CHUNK):
                received += len(chunk)
                if received > MAX_BYTES:
                    raise MediaError(f"the result is larger than {MAX_BYTES // 1024**3} GiB")
                await self._in_worker(file.write, chunk)
        finally:
            await self._in_worker(file.close)
        if expected is not None and received < expected:
            raise _Interrupted(f"only {received:,} of {expected:,} bytes arrived")
        if received == 0:
            raise _Interrupted("an empty file arrived")

    async def _check_address(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise MediaError("the result's address is neither http nor https")
        if self._allow_local:
            return
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(parts.hostname, parts.port or 443)
        except OSError:
            raise _Interrupted(f"{parts.hostname} was not found") from None
        if any(not ipaddress.ip_address(address[4][0]).is_global for address in found):
            raise MediaError(f"{parts.hostname} is inside a private network; a result does not come from there")


def safe_name(text: str) -> str:
    """Return a file name made of letters, digits, ``-`` and ``_``; different texts give different names."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")[:60]
    if plain and plain == text:
        return plain
    return f"{plain or 'group'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _is_there(path: Path | None) -> bool:
    return path is not None and path.exists()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _write_data(part: Path, result_json: str | None) -> None:
    result = json.loads(result_json or "{}")
    text = json.dumps(result.get("resultObject", result), ensure_ascii=False, indent=2)
    part.write_text(text, encoding="utf-8")


def _finish(task: GenerationTask, asset: Asset, part: Path, stem: Path) -> Asset:
    """Check a complete temporary file, name it, and write what belongs to it."""
    try:
        found = inspect(part, asset.kind)
    except MediaError:
        part.unlink(missing_ok=True)  # it is whole and wrong: the rest of it would not help
        raise
    digest = hashlib.sha256()
    with part.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        os.fsync(file.fileno())
    path = stem.with_name(f"{stem.name}.{found.extension}")
    thumbnail = None
    if found.kind in {AssetKind.IMAGE, AssetKind.VIDEO}:
        place = stem.parent / ".thumbnails" / f"{stem.name}.webp"
        write = pictures.write_thumbnail if found.kind is AssetKind.IMAGE else films.write_poster
        thumbnail = place if write(part, place) else None
    saved = asset.model_copy(
        update={
            "kind": found.kind,
            "path": path,
            "thumbnail": thumbnail,
            "width": found.width,
            "height": found.height,
            "duration": found.duration,
            "sha256": digest.hexdigest(),
            "size": part.stat().st_size,
            "error": None,
        },
    )
    _write_sidecar(task, saved, path)
    part.replace(path)
    return saved


def inspect(path: Path, expected: AssetKind) -> Found:
    """Return what a file is, by its bytes.

    Raises:
        MediaError: if it should be a picture, video or sound and is not, or cannot be opened safely.
    """
    if expected is AssetKind.IMAGE:
        return pictures.inspect(path)
    with path.open("rb") as file:
        kind, extension = sniff(file.read(HEAD)) or (None, "")
    if kind is AssetKind.VIDEO:
        return films.inspect(path, extension)
    if kind is AssetKind.AUDIO:
        return Found(kind, extension)
    if expected in {AssetKind.VIDEO, AssetKind.AUDIO}:
        raise MediaError(f"what arrived is no {expected}")
    return Found(expected, _ENDINGS.get(expected, "bin"))


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
    temporary.write_text(json.dumps(sidecar, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path.with_name(f"{path.name}.json"))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"The file could not be written: {error.strerror or error}. Free space or choose another folder."
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
