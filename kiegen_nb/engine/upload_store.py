"""Which files were uploaded where, how long that lasts, and where they can be had again."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from kiegen_nb.engine import schema
from kiegen_nb.tasks import AssetKind, UploadResult

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Future

    from sqlalchemy import ColumnElement, RowMapping

    from kiegen_nb.engine.clock import Clock
    from kiegen_nb.engine.database import Database

_u = schema.uploads.c
_PLAIN = ("sha256", "name", "mime", "size", "source", "is_assumed")


class UploadStore:
    """One account's uploads, shared by every kernel on the same database.

    Args:
        database: where the rows are.
        account: the only account whose rows are seen.
        clock: for the moment of an upload.
    """

    def __init__(self, database: Database, account: str, clock: Clock) -> None:
        self._database = database
        self._account = account
        self._clock = clock

    # Reading: on any thread, short connections.

    def find(self, urls: Collection[str]) -> dict[str, UploadResult]:
        """Return address -> upload, of those among them that are uploads, dead or alive."""
        found = self._select(_u.id.in_([self._id(url) for url in urls])) if urls else []
        return {upload.download_url: upload for upload in found}

    def meanings(self, urls: Collection[str]) -> dict[str, str]:
        """Return address -> what it stands for in a request, of those among them that are uploads."""
        return {url: meaning_of(upload) for url, upload in self.find(urls).items()}

    def of_content(self, content: str) -> list[UploadResult]:
        """Return the uploads of a content, dead or alive, newest first."""
        return self._select(_u.content == content)

    def alive(self) -> list[UploadResult]:
        """Return the uploads that have not expired, newest first, each content once."""
        found: dict[str, UploadResult] = {}
        for upload in self._select(_u.expires_at > self._clock.time()):
            found.setdefault(content_of(upload), upload)
        return list(found.values())

    def _select(self, condition: ColumnElement[bool]) -> list[UploadResult]:
        query = select(schema.uploads).where(_u.account == self._account, condition)
        query = query.order_by(_u.uploaded_at.desc(), _u.id)
        with self._database.read() as connection:
            return [_upload_of(row) for row in connection.execute(query).mappings()]

    # Writing: on the database's writer thread.

    def keep(self, upload: UploadResult) -> Future[None]:
        """Keep an upload, instead of the one of the same address; the future ends after the commit."""
        row = {name: getattr(upload, name) for name in _PLAIN} | {
            "id": self._id(upload.download_url),
            "account": self._account,
            "url": upload.download_url,
            "content": content_of(upload),
            "kind": upload.kind.value,
            "uploaded_at": self._clock.time(),
            "expires_at": upload.expires_at.timestamp(),
        }

        def work(connection: Any) -> None:
            connection.execute(delete(schema.uploads).where(_u.id == row["id"]))
            connection.execute(insert(schema.uploads).values(row))

        return self._database.write(work)

    def _id(self, url: str) -> str:
        return _digest(f"{self._account}\n{url}")


def content_of(upload: UploadResult) -> str:
    """Return what stands for an upload's bytes: their hash, or that of the address they were fetched from."""
    return upload.sha256 or address_content(upload.source or upload.download_url)


def address_content(url: str) -> str:
    """Return what stands for whatever is at an address."""
    return _digest(f"url:{url}")


def meaning_of(upload: UploadResult) -> str:
    """Return what an upload's address counts as in a request's identity, which a renewal does not change."""
    return f"sha256:{upload.sha256}" if upload.sha256 else upload.source or upload.download_url


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _upload_of(row: RowMapping) -> UploadResult:
    return UploadResult(
        download_url=row["url"],
        expires_at=datetime.fromtimestamp(row["expires_at"], UTC),
        kind=AssetKind(row["kind"]),
        **{name: row[name] for name in _PLAIN},
    )
