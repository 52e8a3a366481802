"""Frees the disk of what only an undo, or an address that died, could still ask for; nothing here runs by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from kiegen_nb.engine.journal import note
from kiegen_nb.engine.removal import put_away
from kiegen_nb.errors import StoreError
from kiegen_nb.service import addresses_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.store import Store
    from kiegen_nb.engine.upload_store import UploadStore

LEAST_AGE = 24 * 3600.0  # seconds; a younger copy may be one whose upload is not in the store yet


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted for good, or would be.

    Attributes:
        files: how many files.
        bytes: how much room they took.

    Example:
        >>> cleaned = session.clean(older_than=timedelta(days=7))  # doctest: +SKIP
        >>> f"{cleaned.bytes / 1e9:.1f} GB freed"  # doctest: +SKIP
        '1.2 GB freed'
    """

    files: int
    bytes: int

    def __str__(self) -> str:
        size = f"{self.bytes / 1e6:,.1f} MB" if self.bytes >= 1e6 else f"{self.bytes / 1e3:,.0f} KB"  # noqa: PLR2004
        return f"{self.files:,} {'file' if self.files == 1 else 'files'}, {size}"


def clean(
    store: Store, uploads: UploadStore, copies: Path, clock: Clock, older_than: timedelta, *, dry_run: bool
) -> Cleaned:
    """Delete the files of tasks that were deleted so long ago, and copies of uploads that nothing names.

    Args:
        store: the account's tasks.
        uploads: its uploads.
        copies: the folder of what was in memory when it was uploaded.
        clock: what time it is.
        older_than: younger ones stay.
        dry_run: only count.

    Raises:
        StoreError: the store could not be read; nothing was deleted.
    """
    before = clock.time() - older_than.total_seconds()
    try:
        deleted = store.deleted_before(before)
        unused = list(_unused(store, uploads, copies, min(before, clock.time() - LEAST_AGE)))
    except SQLAlchemyError as error:
        raise StoreError(f"The task store could not be read ({error}). Nothing was deleted; try it again.") from None
    away = (file for task in deleted for file in put_away(task))
    files = size = 0
    for file in (*away, *unused):
        try:
            taken = file.stat().st_size
            if not dry_run:
                file.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            note("clean.failed", None, f"{file.name} could not be deleted: {error.strerror or error}")
            continue
        files, size = files + 1, size + taken
    return Cleaned(files, size)


def _unused(store: Store, uploads: UploadStore, copies: Path, before: float) -> Iterator[Path]:
    """Yield old copies that no task of this store and no living address stands for."""
    urls = {url for task in store.every() for url in addresses_in(task.provider_params)}
    needed = {upload.sha256 for upload in (*uploads.find(urls).values(), *uploads.alive())}
    for file in copies.glob("[!.]*"):
        if file.stem not in needed and file.is_file() and file.stat().st_mtime < before:
            yield file
