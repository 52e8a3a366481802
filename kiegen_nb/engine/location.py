"""Where a task store is: what a setting means, how its address is shown, and folders SQLite must not be in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from kiegen_nb.errors import StoreError, StoreOnNetworkFolder

if TYPE_CHECKING:
    from sqlalchemy import URL

POSTGRES_DRIVER = "postgresql+psycopg"
_POSTGRES_NAMES = frozenset({"postgres", "postgresql", POSTGRES_DRIVER})
_EXAMPLE = "postgresql://user:password@host:5432/database"
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs"}
    | {"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"},
)


def store_url(location: str) -> URL:
    """Return an SQLAlchemy URL for a URL or a path; PostgreSQL is spoken to through psycopg 3, whatever it is called.

    Raises:
        StoreError: if it is neither; a password is not repeated.
    """
    if "://" not in location:
        location = f"sqlite:///{Path(location).expanduser().absolute()}"
    try:
        url = make_url(location)
    except (ArgumentError, ValueError):
        raise StoreError(
            f"{without_password(location)!r} is neither a path nor a database URL such as {_EXAMPLE}. Characters "
            "such as @ : / in a password are written %40 %3A %2F. Correct KIEGEN_DATABASE_URL; nothing was sent."
        ) from None
    if url.drivername in _POSTGRES_NAMES:
        if not url.database:
            raise StoreError(f"{shown(url)} names no database; KIEGEN_DATABASE_URL is written {_EXAMPLE}.")
        return url.set(drivername=POSTGRES_DRIVER)
    if url.get_backend_name() == "postgresql":
        raise StoreError(f"{url.drivername} is not supported; PostgreSQL's address begins with {POSTGRES_DRIVER}://.")
    if url.get_backend_name() != "sqlite":
        raise StoreError(f"{url.get_backend_name()} is not supported; use SQLite or PostgreSQL. Nothing was sent.")
    if url.database in {None, "", ":memory:"}:
        raise StoreError("A store in memory would forget paid tasks; give the path of a file.")
    return url


def shown(url: URL) -> str:
    """Return an address for people: without its password, and without options, which may hold another."""
    return url.set(query={}).render_as_string(hide_password=True)


def without_password(location: str) -> str:
    """Return a location for people that could not be read as an address: rather too much is hidden."""
    hidden = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", location)
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", hidden)


def check_folder(file: Path) -> None:
    """Make an SQLite file's folder, and refuse one where SQLite is not safe.

    Raises:
        StoreError: it cannot be made.
        StoreOnNetworkFolder: it is on a network file system.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The store's folder {file.parent} cannot be made: {error.strerror}. Set KIEGEN_DATABASE_URL to a file in "
            "a folder that can be written; nothing was sent.",
        ) from None
    kind = _file_system(file.parent)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StoreOnNetworkFolder(
            f"{file.parent} is on a network file system ({kind}), where SQLite can lose paid tasks. Set "
            "KIEGEN_DATABASE_URL to a local file, or to PostgreSQL (pip install 'kiegen_nb[postgres]').",
        )


def _file_system(folder: Path) -> str:
    # Only Linux says it in a file; elsewhere local disks are the rule.
    if not sys.platform.startswith("linux"):
        return ""
    best, kind = "", ""
    target = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount, name, *_ = line.split(" ")
        mount = mount.replace("\\040", " ")
        inside = mount in {"/", target} or target.startswith(f"{mount}/")
        if inside and len(mount) >= len(best):
            best, kind = mount, name
    return kind
