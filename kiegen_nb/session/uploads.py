"""The part of `Session` that uploads files."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import InvalidParams

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from kiegen_nb.engine.cleaning import Cleaned
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.upload_handle import UploadHandle
    from kiegen_nb.errors import KiegenError
    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import UploadResult


class SessionUploads:
    """Uploads to the service's temporary storage; they are free of charge."""

    _engine: Engine

    if TYPE_CHECKING:

        def _check_open(self) -> None: ...

    def upload(
        self,
        source: str | os.PathLike[str] | bytes | object,
        *,
        name: str | None = None,
        model: str | type[KieParams] | KieParams | None = None,
        accept: str | Iterable[str] | None = None,
        on_progress: Callable[[int, int], object] | None = None,
        on_success: Callable[[UploadResult], object] | None = None,
        on_error: Callable[[KiegenError], object] | None = None,
    ) -> UploadResult:
        """Upload a picture, a video or a sound, and return its address, which parameters take as it is.

        The same bytes are not sent again while their address lives for another hour, and a request that needs them
        later renews it by itself. So the source is remembered: a path as it is, anything in memory as a copy in the
        user's data folder, an address as the address, whatever is there.

        Args:
            source: a path, bytes, a file opened in binary mode, a Pillow image, a numpy array (height x width, or
                x 3 or 4 colours; uint8, or decimals from 0 to 1), or an http(s) address, which the service fetches.
            name: what it is called in messages; the service never sees it.
            model: a slug, or a class of parameters, whose limits are checked before anything is sent.
            accept: ``"image"``, ``"video"`` or ``"audio"``, or several of them.
            on_progress: called with the bytes sent and all bytes, on the callback thread.
            on_success: called with the upload, on the callback thread, in this call's context.
            on_error: called likewise with the error, which is raised here, too.

        Raises:
            UploadError: it cannot be uploaded; one sentence names the file and says what to do.
            InvalidParams: there is no such model or kind.
            ServiceError: the upload host refused it, or could not be reached in four tries.
            StoreError: the task store cannot be used.
            SessionClosed: this session was closed.

        Example:
            >>> upload = session.upload("dog.png")  # doctest: +SKIP
            >>> session.submit(veo3("it runs", images=[upload]))  # doctest: +SKIP
        """
        handle = self.start_upload(
            source,
            name=name,
            model=model,
            accept=accept,
            on_progress=on_progress,
            on_success=on_success,
            on_error=on_error,
        )
        try:
            return handle.result()
        except BaseException:
            # An interrupted upload is of no use to anybody: there is no handle to wait for it again.
            handle.cancel()
            raise

    async def aupload(self, source: str | os.PathLike[str] | bytes | object, **options: Any) -> UploadResult:
        """Do the same as `upload`, awaitable; cancelling it ends the upload.

        Example:
            >>> upload = await session.aupload("dog.png", accept="image")  # doctest: +SKIP
        """
        handle = await asyncio.to_thread(self.start_upload, source, **options)
        try:
            return await handle
        except BaseException:
            handle.cancel()
            raise

    def start_upload(
        self,
        source: str | os.PathLike[str] | bytes | object,
        *,
        name: str | None = None,
        model: str | type[KieParams] | KieParams | None = None,
        accept: str | Iterable[str] | None = None,
        keep_copy: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        on_success: Callable[[UploadResult], object] | None = None,
        on_error: Callable[[KiegenError], object] | None = None,
    ) -> UploadHandle:
        """Begin an upload and return at once; a file object is read before.

        Args:
            source: as for `upload`; so are the others.
            name: what it is called in messages.
            model: whose limits are checked.
            accept: which kinds will do.
            keep_copy: copy a file to the data folder, because it will not stay where it is.
            on_progress: called with the bytes sent and all bytes.
            on_success: called with the upload.
            on_error: called with the error, also with `UploadCancelled`.

        Returns:
            A handle: ``await handle``, ``handle.result()``, ``handle.cancel()``. Whatever is wrong is told there.

        Raises:
            SessionClosed: this session was closed.

        Example:
            >>> handle = session.start_upload("film.mp4", on_progress=print)  # doctest: +SKIP
        """
        self._check_open()
        return self._engine.uploads.start(
            source,
            name=name,
            model=model,
            accept=accept,
            keep_copy=keep_copy,
            on_progress=on_progress,
            on_success=on_success,
            on_error=on_error,
        )

    def uploads(self) -> tuple[UploadResult, ...]:
        """Return the uploads whose addresses have not expired, newest first.

        Raises:
            StoreError: the task store could not be read.

        Example:
            >>> [upload.name for upload in session.uploads()]  # doctest: +SKIP
            ['dog.png', 'film.mp4']
        """
        self._check_open()
        return tuple(self._engine.uploads.store.alive())

    def upload_call(self, address: str) -> str | None:
        """Return the Python that uploads an address's file again, such as ``session.upload('dog.png')``.

        Returns:
            None if the address is no upload of this store.

        Example:
            >>> print(session.upload_call(upload.download_url))  # doctest: +SKIP
        """
        self._check_open()
        return self._engine.uploads.call_of(address)

    def clean(self, *, older_than: timedelta = timedelta(days=30), dry_run: bool = False) -> Cleaned:
        """Delete for good what only an undo could still ask for; nothing is ever deleted without this call.

        Two kinds of files: those of tasks that `delete` took away so long ago, which `restore` then brings back
        without them; and copies of uploads in the data folder that were not used for so long (a day at least), unless
        a task in this store names them or their address lives. Tasks, results and your own files stay. A request of
        another store that needs a copy again says so, and nothing is charged.

        Args:
            older_than: younger files stay.
            dry_run: only count what would go.

        Returns:
            How many files, and their bytes.

        Raises:
            InvalidParams: ``older_than`` is negative, or no ``timedelta``.
            StoreError: the task store could not be read; nothing was deleted.

        Example:
            >>> print(session.clean(dry_run=True))  # doctest: +SKIP
            12 files, 34.5 MB
        """
        self._check_open()
        return self._engine.uploads.clean(self._engine.store, _checked_span(older_than), dry_run=dry_run)


def _checked_span(span: object) -> timedelta:
    if isinstance(span, timedelta) and span >= timedelta(0):
        return span
    raise InvalidParams({"older_than": f"must be a timedelta of 0 or more, not {span!r}."}, what="This cleaning")
