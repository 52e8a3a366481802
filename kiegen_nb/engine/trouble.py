"""What a database's errors mean: whether the same may work in a moment, and what to tell people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, OperationalError

from kiegen_nb.engine.location import shown
from kiegen_nb.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import URL

_PASSING = ("08", "40", "53300", "57P")  # connection, deadlock, too many connections, server going down or coming up
# A connection that is not made has no code, only words; a server may say them in its own language, and then the last
# line of `advice` is all there is.
_HOPELESS = (
    (
        ("password authentication failed", "no password supplied", 'role "'),
        "the user or the password is wrong. Correct KIEGEN_DATABASE_URL; @ : / in a password are written %40 %3A %2F",
    ),
    (
        ("no pg_hba.conf entry",),
        "the server does not let this user in from this machine. Ask who runs it for a line in pg_hba.conf",
    ),
    (
        ("does not exist",),
        "the server has no such database. Create it (createdb NAME), or correct the name in KIEGEN_DATABASE_URL",
    ),
    (
        ("invalid connection option",),
        "its address has an option that psycopg does not know. Correct what stands after the ? in KIEGEN_DATABASE_URL",
    ),
    (
        ("permission denied",),
        "this user may not make its tables. Have the database's owner run GRANT CREATE ON SCHEMA public TO that user",
    ),
)
_PERHAPS_SOON = (
    (
        ("starting up", "shutting down", "administrator command"),
        "the server is just starting or stopping. Run the cell again in a moment",
    ),
    (
        ("too many clients", "connection slots"),
        "the server has no connection left. Close kernels that are not needed, or raise its max_connections",
    ),
    (
        ("refused", "timeout", "timed out", "resolve", "translate host", "unreachable", "No route", "No such file"),
        "no PostgreSQL answers there. Check host and port in KIEGEN_DATABASE_URL, and that the server runs",
    ),
)
_SQLITE_ADVICE = "Check KIEGEN_DATABASE_URL and that the folder is writable"
NO_DRIVER = (
    "PostgreSQL as the task store needs psycopg, which is not installed here. Run pip install 'kiegen_nb[postgres]' "
    "and restart the kernel; nothing was sent."
)


def connection_lost(error: BaseException) -> bool:
    """Whether a server was out of reach or went away, so that the same may work in a moment. Never so for SQLite."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state: str | None = getattr(error.orig, "sqlstate", "")
    if state is not None:
        return state.startswith(_PASSING)
    return isinstance(error, OperationalError) and _advice(cause_of(error), _HOPELESS) is None


def cause_of(error: BaseException) -> str:
    """Return the database's own words, in one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def cannot_open(error: BaseException, url: URL) -> StoreError:
    """Return what people are told when a store cannot be opened."""
    cause = _scrubbed(error, url)
    if url.get_backend_name() == "sqlite":
        return StoreError(f"The task store {shown(url)} cannot be opened: {cause}. {_SQLITE_ADVICE}; nothing was sent.")
    advice = _advice(cause, (*_HOPELESS, *_PERHAPS_SOON)) or "look at what it says, and at KIEGEN_DATABASE_URL"
    return StoreError(f"The task store {shown(url)} cannot be opened: {advice}; nothing was sent. It says: {cause}")


def cannot_read(error: BaseException, url: URL) -> StoreError:
    """Return what people are told when a store cannot be read."""
    return StoreError(
        f"The task store {shown(url)} could not be read: {_scrubbed(error, url)}. Nothing was sent or lost by it; "
        "run the cell again."
    )


def cannot_write(error: BaseException, url: URL) -> StoreError:
    """Return what people are told when a store cannot be written."""
    what = "Free disk space or stop what holds it" if url.get_backend_name() == "sqlite" else "See that it runs"
    return StoreError(
        f"The task store {shown(url)} could not be written: {_scrubbed(error, url)}. "
        f"{what}, then run the cell again; nothing was sent without being stored."
    )


def _advice(cause: str, table: tuple[tuple[tuple[str, ...], str], ...]) -> str | None:
    return next((advice for words, advice in table if any(word in cause for word in words)), None)


def _scrubbed(error: BaseException, url: URL) -> str:
    cause = cause_of(error)
    return cause.replace(str(url.password), "***") if url.password else cause
