"""Fetches one file over HTTP: streamed in steps, resumed with Range, tried again, and from a fresh link if need be."""

from __future__ import annotations

import asyncio
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.request import getproxies

import httpx

from kiegen_nb.engine import addresses
from kiegen_nb.engine.partial import Changed, Interrupted, Origin
from kiegen_nb.errors import MediaError
from kiegen_nb.settings import certificates

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.partial import Partial

T = TypeVar("T")
MAX_BYTES = 4 * 1024**3
MAX_REDIRECTS = 5
ATTEMPTS = 4  # until a step of progress is made; then as many again
STEP = 1024 * 1024  # bytes; as many are written at a time
TURNS = 4  # downloads at a time
MAX_WAIT = 120.0  # seconds a host may ask us to wait before the next attempt
SLOW_SECONDS, SLOW_BYTES = 60.0, 64 * 1024  # a host that brings less in this time is taken for a stuck one
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_PARTIAL = 206
_RANGE_NOT_SATISFIABLE = 416
_GONE = frozenset({401, 403, 404, 410})
_PASSING = frozenset({408, 425, 429})
_SERVER_ERROR = 500
_MOST_DIGITS = 18
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")


class Gone(MediaError):
    """The address died; a fresh one may work."""


class Downloader:
    """Fetches files into `Partial`s. It never has the service's key: result hosts are not the service.

    Args:
        clock: for the waits between tries.
        workers: where the disk is read and written.
        user_agent: what result hosts are told; they turn some clients away.
        allow_local: whether results may come from this machine, because the service itself does.
        transport: replaces the network; the seam for tests.
    """

    def __init__(
        self,
        clock: Clock,
        workers: Executor,
        *,
        user_agent: str,
        allow_local: bool,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._workers = workers
        self._allow_local = allow_local
        # A proxy looks names up by itself, and it is the only one we connect to.
        self._proxied = not allow_local and bool(getproxies())
        checked = not (allow_local or self._proxied)
        self._extensions = {"trace": addresses.refuse_private_peer} if checked else {}
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=_TIMEOUT,
            # Files are compressed already: a body that is compressed once more would only be a bomb.
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            follow_redirects=False,
            verify=certificates(trust_env=not allow_local),
            trust_env=not allow_local,
        )
        self._turns = asyncio.Semaphore(TURNS)

    async def close(self) -> None:
        """Release connections."""
        await self._client.aclose()

    async def fetch(
        self,
        url: str,
        part: Partial,
        *,
        renew: Callable[[], Awaitable[str | None]],
        tell: Callable[..., object],
    ) -> None:
        """Fetch a whole file, or the rest of one.

        Args:
            url: where it is.
            part: where it goes, and what is here already.
            renew: asked once for a fresh link if the address died; None if there is none.
            tell: called with the name of each step and what is known of it.

        Raises:
            MediaError: if it cannot be had; the message says why.
            OSError: if it cannot be written.
        """
        left, mark, renewed = ATTEMPTS, part.size, False
        while True:
            try:
                async with self._turns:
                    await self._fetch_once(url, part, tell)
            except Gone as gone:
                fresh = None if renewed else await renew()
                if fresh is None:
                    remedy = "and neither does a fresh one" if renewed else "and the service offers no fresh one"
                    raise MediaError(f"{gone}, {remedy}") from None
                url, renewed = fresh, True
            except Interrupted as error:
                if isinstance(error, Changed):
                    await in_worker(self._workers, part.begin)
                left -= 1
                if part.size >= mark + STEP:
                    left, mark = ATTEMPTS, part.size
                await self._pause(left, error)
            else:
                return

    async def _pause(self, left: int, error: Interrupted) -> None:
        if left == 0:
            raise error
        asked = error.retry_after or 0.0
        if asked > MAX_WAIT:
            raise MediaError(f"{error} and asks to wait {asked:,.0f} seconds") from None
        usual = 2.0 ** max(ATTEMPTS - left - 1, 0)
        await self._clock.sleep(max(usual * (1 + self._clock.jitter() / 4), asked))

    async def _fetch_once(self, url: str, part: Partial, tell: Callable[..., object]) -> None:
        start = part.resume_at()
        headers = {} if start is None else {"Range": f"bytes={start}-"}
        if start is not None and (validator := part.origin.validator):
            headers["If-Range"] = validator
        try:
            address = httpx.URL(url)
            for _ in range(MAX_REDIRECTS):
                await self._check(address)
                asking = self._client.stream("GET", address, headers=headers, extensions=self._extensions)
                async with asking as response:
                    if response.has_redirect_location:
                        address = address.join(response.headers["location"])
                        continue
                    origin, resumed = self._read_head(response, part, start)
                    await in_worker(self._workers, part.go_on if resumed else part.begin, origin)
                    await self._receive(response, part, tell)
                    return
        except httpx.InvalidURL:
            raise MediaError("the result's address cannot be read") from None
        except httpx.HTTPError as error:
            raise Interrupted(f"the download broke off ({type(error).__name__})") from None
        raise MediaError("the result's address leads from one to the next without end")

    async def _check(self, address: httpx.URL) -> None:
        if address.scheme not in {"http", "https"} or not address.host:
            raise MediaError("the result's address is neither http nor https")
        if self._allow_local:
            return
        try:
            await addresses.require_public(address.host, address.port or 443)
        except OSError:
            if not self._proxied:
                raise Interrupted("the result host was not found") from None

    def _read_head(self, response: httpx.Response, part: Partial, start: int | None) -> tuple[Origin, bool]:
        """Return what the host says about the file, and whether it sends only the rest."""
        status, headers = response.status_code, response.headers
        if status == _RANGE_NOT_SATISFIABLE and start is not None:
            raise Changed
        if status in _GONE:
            raise Gone(f"the result's address does not work any more (HTTP {status})")
        if status >= _SERVER_ERROR or status in _PASSING:
            raise Interrupted(f"the result host answered HTTP {status}", retry_after=self._retry_after(headers))
        if not response.is_success:
            raise MediaError(f"the result host answered HTTP {status}")
        if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise MediaError("the result host compressed the file, which it was asked not to do; it is not unpacked")
        total = _number(headers.get("content-length", ""))
        if status == _PARTIAL:
            named = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
            total = _number(named[2]) if named else None
            if named is None or int(named[1]) != (start or 0):
                raise Changed
        origin = Origin(_plain(headers.get("etag")), _plain(headers.get("last-modified")), total)
        if (total or 0) > MAX_BYTES:
            raise _too_large()
        resumed = status == _PARTIAL and start is not None
        if resumed and not part.origin.fits(origin):
            raise Changed
        return origin, resumed

    async def _receive(self, response: httpx.Response, part: Partial, tell: Callable[..., object]) -> None:
        told, block, enough = False, bytearray(), 1  # the first bytes are written at once, the others in large steps
        received, since, before = 0, self._clock.time(), 0
        try:
            async for chunk in response.aiter_bytes():
                block += chunk
                received += len(chunk)
                if part.size + len(block) > MAX_BYTES:
                    raise _too_large()
                if len(block) >= enough:
                    whole, block = block, bytearray()
                    await in_worker(self._workers, part.write, whole)
                    if not told:
                        tell("save.receiving", bytes=part.size)
                    told, enough = True, STEP
                if self._clock.time() - since > SLOW_SECONDS:
                    if received - before < SLOW_BYTES:
                        raise Interrupted("the result host hardly sent anything any more")
                    since, before = self._clock.time(), received
        finally:
            if block:
                await in_worker(self._workers, part.write, block)
        if part.size == 0:
            raise Interrupted("an empty file arrived")
        if not part.is_whole:
            raise Interrupted(f"only {part.size:,} of {part.origin.total or 0:,} bytes arrived")

    def _retry_after(self, headers: httpx.Headers) -> float | None:
        value = headers.get("retry-after", "").strip()
        if (seconds := _number(value)) is not None:
            return float(seconds)
        try:
            return max(parsedate_to_datetime(value).timestamp() - self._clock.time(), 0.0)
        except ValueError:
            return None


async def in_worker(workers: Executor, function: Callable[..., T], *args: object) -> T:
    """Run a function that reads or writes the disk, or computes for long, off the loop."""
    return await asyncio.get_running_loop().run_in_executor(workers, function, *args)


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal()):
        return None
    return int(text) if len(text) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _plain(text: str | None) -> str | None:
    """Return a header's text if it may be sent back as one."""
    return text if text and text.isascii() and text.isprintable() else None


def _too_large() -> MediaError:
    return MediaError(f"the result is larger than {MAX_BYTES // 1024**3} GiB")
