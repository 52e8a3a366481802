"""The store's tables, and the way from a row to a task and back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    select,
    text,
    update,
)

from kiegen_nb.errors import StoreError, StoreTooNew
from kiegen_nb.tasks import Asset, GenerationTask

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect, RowMapping
    from sqlalchemy.types import TypeEngine

SCHEMA_VERSION = 4
_MIGRATION_LOCK = 5_274_139_462  # any number nobody else locks in the same database


class Words(TypeDecorator[str]):
    """A text as a user or a service wrote it, which the store must never refuse.

    No database takes half a character, and PostgreSQL no NUL; it would hold to a length, too, as SQLite does not.
    """

    impl = String
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type."""
        is_plain = dialect.name == "postgresql" or getattr(self.impl_instance, "length", None) is None
        return dialect.type_descriptor(Text() if is_plain else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text as it is stored and looked for."""
        if value is None:
            return None
        if not value.isascii():
            value = value.encode("utf-8", "replace").decode()
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if dialect.name == "postgresql" else value


metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Integer, nullable=False),
)
"""``schema`` is the schema version; ``revision`` counts write transactions, so that followers see what is new."""

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account", Words(200), nullable=False),
    Column("user", Words(200), nullable=False),
    Column("prompt_id", Words(200), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("service", Words(20), nullable=False),
    Column("model", Words(40), nullable=False),
    Column("api_model", Words(200), nullable=False),
    Column("status", String(10), nullable=False),
    Column("state", Words(100)),
    Column("activity", String(12)),
    Column("external_task_id", Words(200)),
    Column("provider_params", Words(), nullable=False),
    Column("result_json", Words()),
    Column("fail_code", Words(100)),
    Column("fail_msg", Words()),
    Column("note", Words()),
    Column("created_at", Float, nullable=False),
    Column("submitted_at", Float),
    Column("completed_at", Float),
    Column("assets", Words(), nullable=False),
    Column("credits_consumed", Float),
    Column("parent_id", String(32)),
    Column("took", Float),
    Column("lease_owner", Words(200)),
    Column("lease_until", Float),
    Column("revision", Integer, nullable=False),
    Column("deleted_at", Float),  # out of every gallery; an identical request still finds it, and brings it back
    Column("rating", Integer),
    Column("comment", Words()),
    # An identical request is found, not sent again; `attempt` counts the times somebody asked anew on purpose.
    UniqueConstraint("account", "prompt_id", "identity", "repeat", "attempt", name="one_row_per_request"),
    Index("tasks_by_prompt", "account", "prompt_id", "created_at"),
    Index("tasks_by_revision", "account", "revision"),
    Index("tasks_by_activity", "account", "activity"),
)
by_model = Index("tasks_by_model", tasks.c.account, tasks.c.api_model, tasks.c.completed_at)
"""For the history of durations."""

creates = Table(
    "creates",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("account", Words(200), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Index("creates_by_account", "account", "started_at"),
)
"""The slots of the account's create limit, shared by every kernel on this store."""

looks = Table(
    "looks",
    metadata,
    Column("account", Words(200), primary_key=True),
    Column("rate", Float, nullable=False),
    Column("rate_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
)
"""The account's budget of looks, shared by every kernel on this store."""

documents = Table(
    "documents",
    metadata,
    Column("name", Words(100), primary_key=True),
    Column("value", Words(), nullable=False),
    Column("updated_at", Float, nullable=False),
)
"""JSON texts that are kept beside the tasks, such as the service's catalogue as it was last read."""


uploads = Table(
    "uploads",
    metadata,
    Column("id", String(64), primary_key=True),  # of account and address, which may be too long for a key
    Column("account", Words(200), nullable=False),
    Column("url", Words(), nullable=False),
    Column("content", String(64), nullable=False),
    Column("sha256", String(64)),
    Column("name", Words(), nullable=False),
    Column("mime", Words(200), nullable=False),
    Column("size", BigInteger),
    Column("kind", String(10), nullable=False),
    Column("source", Words()),
    Column("uploaded_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("is_assumed", Boolean, nullable=False),
    Index("uploads_by_content", "account", "content"),
)
"""Every address a file was ever uploaded to; ``content`` stands for its bytes, or for the address they came from.

Rows outlive their addresses: a request of before is recognised by them.
"""


def migrate(connection: Connection) -> None:
    """Make the tables, or bring those of an older version up to date; in the transaction the connection is in.

    Raises:
        StoreTooNew: a newer version wrote them; nothing was changed.
        StoreError: the database cannot hold every text.
    """
    is_server = connection.dialect.name == "postgresql"
    if is_server:  # two kernels may start at once; SQLite's transaction has the whole file already
        connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
    version = meta.c.name == "schema"
    meta.create(connection, checkfirst=True)
    found = connection.execute(select(meta.c.value).where(version)).scalar()
    if found is None:
        if is_server and (encoding := connection.execute(text("SHOW server_encoding")).scalar_one()) != "UTF8":
            raise StoreError(
                f"The database's encoding is {encoding}, which cannot hold every prompt. Make another one with "
                "createdb --encoding=UTF8 --template=template0 NAME; nothing was sent."
            )
        metadata.create_all(connection)
        connection.execute(meta.insert(), [{"name": "schema", "value": SCHEMA_VERSION}])
        connection.execute(meta.insert(), [{"name": "revision", "value": 0}])
    elif found < SCHEMA_VERSION:
        metadata.create_all(connection)  # tables that are new; those that grew are altered
        upgrade(connection, found)
        connection.execute(update(meta).where(version).values(value=SCHEMA_VERSION))
    elif found > SCHEMA_VERSION:
        raise StoreTooNew(
            f"This store has schema {found}, written by a newer kiegen_nb; this one knows {SCHEMA_VERSION}. Upgrade "
            "with pip install -U kiegen_nb, or set KIEGEN_DATABASE_URL to another file or database; nothing was sent.",
        )


def upgrade(connection: Connection, found: int) -> None:
    """Bring a store of an older schema up to date, in place; no row is lost, and older kernels can go on with it."""
    if found < 2:  # noqa: PLR2004 - each step is named by the version it leads to
        connection.exec_driver_sql("ALTER TABLE tasks ADD COLUMN took FLOAT")
        by_model.create(connection)
    if found < 3:  # noqa: PLR2004 - as above
        connection.exec_driver_sql("ALTER TABLE tasks ADD COLUMN deleted_at FLOAT")
    if found < 4:  # noqa: PLR2004 - as above
        connection.exec_driver_sql("ALTER TABLE tasks ADD COLUMN rating INTEGER")
        words = tasks.c.comment.type.compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE tasks ADD COLUMN comment {words}")


_TIMES = ("created_at", "submitted_at", "completed_at")
_PLAIN = (
    "id", "prompt_id", "service", "model", "api_model", "status", "state", "activity", "external_task_id",
    "result_json", "fail_code", "fail_msg", "note", "credits_consumed", "repeat", "attempt", "parent_id", "took",
    "rating", "comment", "user",
)  # fmt: skip


def task_of(row: RowMapping) -> GenerationTask:
    """Return the task a row of ``tasks`` holds."""
    values: dict[str, Any] = {name: row[name] for name in _PLAIN}
    for name in _TIMES:
        values[name] = None if row[name] is None else datetime.fromtimestamp(row[name], UTC)
    values["provider_params"] = json.loads(row["provider_params"])
    values["assets"] = [Asset.model_validate(asset) for asset in json.loads(row["assets"])]
    return GenerationTask.model_validate(values)


def values_of(task: GenerationTask) -> dict[str, Any]:
    """Return the columns of ``tasks`` that hold a task."""
    values: dict[str, Any] = {name: getattr(task, name) for name in _PLAIN}
    for name in _TIMES:
        moment: datetime | None = getattr(task, name)
        values[name] = None if moment is None else moment.timestamp()
    values["status"] = task.status.value
    values["activity"] = task.activity.value if task.activity else None
    values["provider_params"] = json.dumps(task.provider_params, ensure_ascii=False)
    values["assets"] = json.dumps([asset.model_dump(mode="json") for asset in task.assets], ensure_ascii=False)
    return values
