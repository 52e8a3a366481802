"""Uploads: each content is sent once while its address lives, and again by itself before a request needs it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from kiegen_nb.engine.cleaning import clean
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.download import in_worker
from kiegen_nb.engine.flights import Flights
from kiegen_nb.engine.journal import note
from kiegen_nb.engine.upload_checks import MEDIA, check, check_again, require_fit, require_kind, wanted_kinds
from kiegen_nb.engine.upload_handle import UploadHandle
from kiegen_nb.engine.upload_sources import require_address, take
from kiegen_nb.engine.upload_store import UploadStore, address_content, content_of
from kiegen_nb.errors import (
    KiegenError,
    RateLimited,
    ServiceError,
    ServiceUnavailable,
    SessionClosed,
    UnreadableAnswer,
    UploadCancelled,
    UploadError,
)
from kiegen_nb.service import Content, addresses_in, with_addresses
from kiegen_nb.settings import data_folder
from kiegen_nb.tasks import AssetKind, UploadResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from datetime import datetime, timedelta
    from pathlib import Path

    from kiegen_nb.engine.cleaning import Cleaned
    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.database import Database
    from kiegen_nb.engine.flights import Tell
    from kiegen_nb.engine.loop import LoopThread, SerialThread
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.upload_checks import Ready
    from kiegen_nb.engine.upload_sources import Given
    from kiegen_nb.service import FileRule, Request, Service, Uploaded

T = TypeVar("T")
LEAST_LIFE = 3600.0  # seconds an address must live on to be used: a task may wait that long for its turn
TRIES = 4
TURNS = 4  # uploads at a time
MAX_WAIT = 120.0  # seconds the host may ask us to wait before the next try
USUAL_WINDOW = 10.0  # seconds after which a 429 without an indication is over
PIECE = 256 * 1024  # bytes sent at a time
_STALE = 24 * 3600.0  # seconds after which nobody is writing a temporary file any more
_UNKNOWN = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a caller wants: the source, and what it may be."""

    given: Given
    kinds: tuple[AssetKind, ...]
    rules: tuple[FileRule, ...] | None
    model: str
    keep_copy: bool


class Uploader:
    """One account's uploads.

    Args:
        service: where files are sent.
        database: where uploads are remembered.
        clock: time and chance.
        thread: the engine's loop; everything is sent from there.
        callbacks: where callers are told.
    """

    def __init__(
        self, service: Service, database: Database, clock: Clock, thread: LoopThread, callbacks: SerialThread
    ) -> None:
        self._service = service
        self._clock = clock
        self._thread = thread
        self._callbacks = callbacks
        self.store = UploadStore(database, service.account, clock)
        service.recognise(self.store.meanings)
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="kiegen-upload")
        self._turns = asyncio.Semaphore(TURNS)
        self._flights: Flights[UploadResult] = Flights()
        self._is_tidy = False

    # On any thread.

    def start(
        self,
        source: object,
        *,
        name: str | None = None,
        model: object = None,
        accept: str | Iterable[str] | None = None,
        keep_copy: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        on_success: Callable[[UploadResult], object] | None = None,
        on_error: Callable[[KiegenError], object] | None = None,
    ) -> UploadHandle:
        """Begin an upload; whatever is wrong with it is told through the handle."""
        handle = UploadHandle(self._thread, self._callbacks, on_progress, on_success, on_error)
        try:
            rules = None if model is None else self._service.file_rules(model)
            kinds = wanted_kinds(accept)
            called = model if isinstance(model, str) else str(getattr(model, "title", model))
            wish = _Wish(take(source, name, self._folder), kinds, rules, called, keep_copy)
        except KiegenError as error:
            handle.end(error)
            return handle
        try:
            self._thread.submit(self._run(handle, wish))
        except SessionClosed:
            wish.given.drop()
            raise
        return handle

    def call_of(self, address: str) -> str | None:
        """Return the Python that uploads an address's file again, None if it is no upload."""
        upload = self.store.find([address]).get(address)
        return f"session.upload({upload.source!r})" if upload is not None and upload.source else None

    def clean(self, tasks: Store, older_than: timedelta, *, dry_run: bool) -> Cleaned:
        """Delete old copies that nothing needs, and the files of tasks deleted long ago."""
        return clean(tasks, self.store, self._folder(), self._clock, older_than, dry_run=dry_run)

    # On the loop.

    async def freshen(self, request: Request, tell: Callable[[str], Awaitable[object]]) -> Request:
        """Return a request whose uploads live for another hour at least, renewed where they did not.

        Args:
            request: the same one is returned if nothing is to be done.
            tell: told in one sentence what takes its time.

        Raises:
            UploadError: a file is not the uploaded one any more.
            ServiceError: it could not be sent.
        """
        urls = addresses_in(request.body)
        known = await asyncio.to_thread(self.store.find, urls) if urls else {}
        changes = {}
        for url, upload in known.items():
            if not self._is_good(upload):
                await tell(f"Uploading {upload.name} again, because its address has expired.")
                changes[url] = (await self._renew(upload)).download_url
        return replace(request, body=with_addresses(request.body, changes)) if changes else request

    async def close(self) -> None:
        """Release the workers."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def _run(self, handle: UploadHandle, wish: _Wish) -> None:
        name = wish.given.name
        try:
            handle.begin(asyncio.current_task())
            result: UploadResult | KiegenError = await self._upload(handle, wish)
        except asyncio.CancelledError:
            result = SessionClosed("The session was closed during the upload. Make a new one with Session().")
        except KiegenError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            result = UploadError(f"{name} could not be uploaded ({type(error).__name__}: {error}): try it again.")
        finally:
            wish.given.drop()
        if isinstance(result, KiegenError):
            if handle.stopped.is_set():
                result = UploadCancelled(f"The upload of {name} was cancelled; nothing of it is kept.")
            note("upload.failed", None, type(result).__name__)
        handle.end(result)

    async def _upload(self, handle: UploadHandle, wish: _Wish) -> UploadResult:
        given = wish.given
        if given.url is not None:
            url = given.url
            known = (await asyncio.to_thread(self.store.find, [url])).get(url)
            if known is None:
                upload = await self._once(address_content(url), lambda _: self._fetch(url, given.name), handle.progress)
            else:
                upload = known if self._is_good(known) else await self._renew(known)
            if upload.kind in MEDIA:
                require_kind(given.name, upload.kind, wish.kinds, wish.model, wish.rules)
            return upload if known is not None else await self._kept(upload, name=given.name, source=url)
        ready = await self._in_worker(partial(check, keep=wish.keep_copy), given, self._folder, handle.stopped)
        try:
            require_kind(given.name, ready.found.kind, wish.kinds, wish.model, wish.rules)
            require_fit(given.name, ready, wish.model, wish.rules)
            handle.progress(0, ready.size)
            upload = await self._once(ready.sha256, partial(self._send, ready), handle.progress)
        except BaseException:
            if ready.is_new and ready.sha256 not in self._flights:
                ready.path.unlink(missing_ok=True)
            raise
        handle.progress(ready.size, ready.size)
        return await self._kept(upload, name=ready.name, source=str(ready.path))

    async def _renew(self, upload: UploadResult) -> UploadResult:
        content = content_of(upload)
        # The same bytes may have been given anew since, from a place that is still there.
        newest = (await asyncio.to_thread(self.store.of_content, content))[0]

        async def send(tell: Tell) -> UploadResult:
            if newest.sha256 is None:
                return await self._fetch(newest.source or newest.download_url, newest.name)
            ready = await self._in_worker(check_again, newest, self._folder, threading.Event())
            return await self._send(ready, tell)

        fresh = await self._once(content, send, lambda *_: None)
        note("upload.renewed", None, _what(fresh))
        return fresh

    async def _once(
        self, content: str, send: Callable[[Tell], Awaitable[UploadResult]], listener: Tell
    ) -> UploadResult:
        """Return a living upload of a content: a known one, the one on its way, or a new one."""
        return await self._flights.join(content, partial(self._known_or_sent, content, send), listener)

    async def _known_or_sent(
        self, content: str, send: Callable[[Tell], Awaitable[UploadResult]], tell: Tell
    ) -> UploadResult:
        for upload in await asyncio.to_thread(self.store.of_content, content):
            if self._is_good(upload):
                note("upload.known", None, _what(upload))
                return upload
        async with self._turns:
            return await send(tell)

    async def _send(self, ready: Ready, tell: Tell) -> UploadResult:
        note("upload.started", None, ready.name, bytes=ready.size)
        content = Content(ready.file_name, ready.mime, ready.size, lambda: self._chunks(ready, tell))
        uploaded = await self._patiently(partial(self._service.upload, content))
        upload = UploadResult(
            download_url=uploaded.url,
            expires_at=uploaded.expires_at,
            is_assumed=uploaded.is_assumed,
            sha256=ready.sha256,
            name=ready.name,
            mime=ready.mime,
            size=ready.size,
            kind=ready.found.kind,
            source=str(ready.path),
        )
        return await self._keep(upload)

    async def _fetch(self, url: str, name: str) -> UploadResult:
        require_address(url, public=not self._service.is_local)
        note("upload.started", None, "an address")
        uploaded = await self._patiently(partial(self._service.upload_from, url))
        mime = uploaded.mime or _UNKNOWN
        kind = next((kind for kind in MEDIA if mime.startswith(f"{kind}/")), AssetKind.FILE)
        if kind is AssetKind.FILE and mime != _UNKNOWN:
            raise UploadError(
                f"{name} is {mime}, neither a picture nor a video nor a sound: give the address of the file itself."
            )
        upload = UploadResult(
            download_url=uploaded.url,
            expires_at=uploaded.expires_at,
            is_assumed=uploaded.is_assumed,
            name=name,
            mime=mime,
            size=uploaded.size,
            kind=kind,
            source=url,
        )
        return await self._keep(upload)

    async def _kept(self, upload: UploadResult, *, name: str, source: str) -> UploadResult:
        """Return an upload under the caller's name and from the caller's source, which is the newest."""
        named = upload.model_copy(update={"name": name, "source": source})
        return upload if named == upload else await self._keep(named)

    async def _keep(self, upload: UploadResult) -> UploadResult:
        await asyncio.wrap_future(self.store.keep(upload))
        note("upload.stored", None, _what(upload))
        return upload

    async def _chunks(self, ready: Ready, tell: Tell) -> AsyncIterator[bytes]:
        """Give a file's bytes from the beginning, and fail before its end if it is not the one that was hashed."""
        total, sent = sha256(), 0
        changed = UploadError(f"{ready.name} changed while it was uploaded: wait until it is written, and try again.")
        try:
            with await self._in_worker(_open, ready.path) as file:
                while chunk := await self._in_worker(file.read, PIECE):
                    total.update(chunk)
                    if sent + len(chunk) > ready.size:
                        raise changed
                    tell(sent, ready.size)
                    yield chunk
                    sent += len(chunk)
        except OSError as error:
            raise UploadError(f"{ready.name} cannot be read any more ({error.strerror}): try it again.") from None
        if total.hexdigest() != ready.sha256:
            raise changed

    async def _patiently(self, ask: Callable[[Callable[[], datetime]], Awaitable[Uploaded]]) -> Uploaded:
        """Ask up to four times: uploads are free, and the same name overwrites itself."""
        retrying = await self._in_worker(self._retrying)
        found: Uploaded = await retrying(ask, lambda: as_datetime(self._clock.time()))
        return found

    def _retrying(self) -> Any:
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt  # noqa: PLC0415 - slow to import

        return AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            retry=retry_if_exception(_can_help),
            wait=self._pause,
            sleep=self._clock.sleep,
            reraise=True,
        )

    def _pause(self, state: Any) -> float:
        """Return the seconds before the next try."""
        error = state.outcome.exception()
        note("upload.again", None, str(error))
        usual = USUAL_WINDOW if isinstance(error, RateLimited) else 2.0 ** (state.attempt_number - 1)
        return max(usual * (1 + self._clock.jitter() / 4), error.retry_after or 0.0)

    def _is_good(self, upload: UploadResult) -> bool:
        lives = upload.expires_at.timestamp() - self._clock.time()
        return lives > LEAST_LIFE and self._service.serves(upload.download_url)

    def _folder(self) -> Path:
        """Return the folder for copies of what was in memory, made if it is missing."""
        folder = data_folder() / "uploads"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._is_tidy:
            self._is_tidy = True
            for left in folder.glob(".*.part"):  # by a process that was killed
                if left.stat().st_mtime < self._clock.time() - _STALE:
                    left.unlink(missing_ok=True)
        return folder

    async def _in_worker(self, function: Callable[..., T], *args: object) -> T:
        return await in_worker(self._workers, function, *args)


def _what(upload: UploadResult) -> str:
    """Return what a log may say of an upload; addresses may hold secrets."""
    return upload.name if upload.sha256 else "an address"


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _can_help(error: BaseException) -> bool:
    """Whether sending it again, unchanged, can help."""
    passing = isinstance(error, RateLimited | ServiceUnavailable | UnreadableAnswer)
    return passing and isinstance(error, ServiceError) and (error.retry_after or 0.0) <= MAX_WAIT
