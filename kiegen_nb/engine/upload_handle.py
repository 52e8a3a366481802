"""`UploadHandle`: what ``session.start_upload`` gives back."""

from __future__ import annotations

import contextvars
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kiegen_nb.engine.loop import awaited, fail, fulfil, wait_for
from kiegen_nb.errors import KiegenError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from kiegen_nb.engine.loop import LoopThread, SerialThread
    from kiegen_nb.tasks import UploadResult


class UploadHandle:
    """An upload under way, to be awaited or waited for as often as you like.

    Waiting never owns the upload: an interrupt, a time-out or a cancelled ``await`` ends the waiting only.

    Attributes:
        sent: bytes of the file that are on their way, from 0; it begins again with every new try.
        total: bytes of the file, None while they are not counted and for an upload by URL.

    Example:
        >>> handle = session.start_upload("dog.png")  # doctest: +SKIP
        >>> upload = await handle  # doctest: +SKIP
    """

    def __init__(
        self,
        thread: LoopThread,
        callbacks: SerialThread,
        on_progress: Callable[[int, int], object] | None,
        on_success: Callable[[UploadResult], object] | None,
        on_error: Callable[[KiegenError], object] | None,
    ) -> None:
        self._thread = thread
        self._callbacks = callbacks
        self._on_progress = on_progress
        self._on_success = on_success
        self._on_error = on_error
        self._context = contextvars.copy_context()
        self._future: Future[UploadResult] = Future()
        self._future.set_running_or_notify_cancel()  # so that no waiter can cancel it for the others
        self._task: asyncio.Task[Any] | None = None
        self._telling = False
        self.stopped = threading.Event()
        self.sent = 0
        self.total: int | None = None

    def __await__(self) -> Generator[object, None, UploadResult]:
        return awaited(self._future).__await__()

    def result(self, timeout: float | None = None) -> UploadResult:
        """Wait until the file is uploaded.

        Args:
            timeout: seconds to wait; None waits as long as it takes.

        Raises:
            UploadError: the file cannot be uploaded; the message says what to do.
            UploadCancelled: it was cancelled.
            ServiceError: the upload host refused it, or could not be reached.
            TimeoutError: it is not finished yet; it goes on.
            SessionClosed: the session was closed meanwhile.

        Example:
            >>> upload = session.start_upload("film.mp4").result(timeout=300)  # doctest: +SKIP
        """
        return wait_for(self._future, timeout)

    def cancel(self) -> None:
        """End the upload, if it is not finished; nothing of it is kept. Returns at once, on any thread.

        Example:
            >>> handle = session.start_upload("the_wrong_film.mp4")  # doctest: +SKIP
            >>> handle.cancel()  # doctest: +SKIP
        """
        self.stopped.set()
        with suppress(RuntimeError):  # the session is closed, and with it every upload
            self._thread.loop.call_soon_threadsafe(self._cancel)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, in whichever way."""
        return self._future.done()

    def __repr__(self) -> str:
        said = "finished" if self.is_finished else f"{self.sent:,} of {self.total or 0:,} bytes"
        return f"UploadHandle({said})"

    # What the uploader says.

    def begin(self, task: asyncio.Task[Any] | None) -> None:
        """Take in the task that does the work; it ends at its next step if it was cancelled before."""
        self._task = task
        if self.stopped.is_set():
            self._cancel()

    def progress(self, sent: int, total: int) -> None:
        """Take in how far it is; a caller that is slow to listen is told the newest figures only."""
        self.sent, self.total = sent, total
        if self._on_progress is not None and not self._telling:
            self._telling = True
            self._post(self._tell_progress)

    def end(self, result: UploadResult | KiegenError) -> None:
        """Take in how it ended."""
        if isinstance(result, KiegenError):
            fail(self._future, result)
            if self._on_error is not None:
                self._post(self._on_error, result)
            return
        fulfil(self._future, result)
        if self._on_success is not None:
            self._post(self._on_success, result)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _tell_progress(self) -> None:
        self._telling = False
        if self._on_progress is not None and self.total is not None:
            self._on_progress(self.sent, self.total)

    def _post(self, function: Callable[..., object], *args: object) -> None:
        self._callbacks.post(function, *args, context=self._context.copy())
