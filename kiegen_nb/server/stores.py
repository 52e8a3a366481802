"""Reads the task stores: never creates, migrates or writes one."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from kiegen_nb.engine import schema
from kiegen_nb.engine.location import shown, store_url, without_password
from kiegen_nb.engine.store import user_name
from kiegen_nb.errors import StoreError

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import URL, ColumnElement, RowMapping

    from kiegen_nb.tasks import Asset, GenerationTask

_BUSY_TIMEOUT = 5.0  # seconds a read waits for a store that is just being copied or checked
_t = schema.tasks.c


class Stores:
    """Several task stores, read as one; what cannot be read is left out and said once in the log.

    Deleted tasks are not seen, nor those of another user than the server's: a database may be shared.

    Args:
        locations: paths of SQLite files or SQLAlchemy URLs; the same store twice counts once.
        log: where it is said which store is left out, and why.
    """

    def __init__(self, locations: Iterable[str], log: logging.Logger | logging.LoggerAdapter[Any]) -> None:
        self._log = log
        self._said: dict[str, str] = {}
        self._stores: dict[str, _Store] = {}
        for location in locations:
            try:
                store = _Store(store_url(location))
            except (StoreError, SQLAlchemyError, ImportError) as error:
                self._say(without_password(location), str(error))
            else:
                self._stores.setdefault(store.key, store)

    def by_prompt(self, prompt_id: str) -> list[GenerationTask]:
        """Return a prompt group's tasks from every store and account, newest first. Blocks."""
        found: dict[str, GenerationTask] = {}
        for task in self._tasks(_t.prompt_id == prompt_id):
            found.setdefault(task.id, task)  # a copied store holds the same tasks
        return sorted(found.values(), key=lambda task: (task.created_at, task.id), reverse=True)

    def asset(self, task_id: str, number: int) -> Asset | None:
        """Return one result of a task, None if no store has it. Blocks."""
        for task in self._tasks(_t.id == task_id):
            if number < len(task.assets):
                return task.assets[number]
        return None

    def _tasks(self, condition: ColumnElement[bool]) -> Iterator[GenerationTask]:
        for store in self._stores.values():
            try:
                rows = store.rows(condition)
            except _Unreadable as error:
                self._say(store.name, str(error))
                continue
            self._said.pop(store.name, None)
            for row in rows:
                try:
                    yield schema.task_of(row)
                except (ValueError, TypeError, LookupError) as error:
                    self._say(f"{store.name}, task {row['id']}", f"unreadable row ({type(error).__name__})")

    def _say(self, name: str, reason: str) -> None:
        if reason and self._said.get(name) != reason:
            self._said[name] = reason
            self._log.warning("kiegen_nb: %s is left out: %s", name, reason)


class _Unreadable(Exception):
    """A store cannot be read now; the text says why, and is empty where there simply is none yet."""


class _Store:
    """One store. Connections live for one read, so that a store may come, go and be replaced meanwhile."""

    def __init__(self, url: URL) -> None:
        self.name = shown(url)
        self._file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self.key = url.render_as_string(hide_password=False) if self._file is None else str(self._file.resolve())
        self._engine = _read_only(self._file) if self._file is not None else _read_only_server(url)

    def rows(self, condition: ColumnElement[bool]) -> list[RowMapping]:
        if self._file is not None and not self._file.is_file():
            raise _Unreadable
        version = select(schema.meta.c.value).where(schema.meta.c.name == "schema")
        mine = select(schema.tasks).where(condition, _t.user == user_name(), _t.deleted_at.is_(None))
        try:
            with self._engine.connect() as connection:
                found = connection.execute(version).scalar()
                if found != schema.SCHEMA_VERSION:
                    raise _Unreadable(f"it has schema {found}, and this server knows {schema.SCHEMA_VERSION} only")
                return list(connection.execute(mine).mappings())
        except SQLAlchemyError as error:
            reason = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
            raise _Unreadable(f"it cannot be read ({reason})") from None


def _read_only_server(url: URL) -> Engine:
    return create_engine(url, poolclass=NullPool).execution_options(postgresql_readonly=True)


def _read_only(file: Path) -> Engine:
    address = f"{file.absolute().as_uri()}?mode=ro"
    connect: Callable[[], sqlite3.Connection] = lambda: sqlite3.connect(  # noqa: E731 - a creator without arguments
        address, uri=True, timeout=_BUSY_TIMEOUT, check_same_thread=False
    )
    return create_engine("sqlite://", creator=connect, poolclass=NullPool)
