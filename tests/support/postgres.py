"""A real PostgreSQL of the tests' own, from the machine's binaries, with a clock that tests can set."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL

from tests.support.fake_kie import FakeClock, until
from tests.support.worlds import closed_port

PATIENCE = 60.0
OWNER = "kiegen"
PASSWORD = "s3cret/of@the:team%äö"  # every character an address must escape
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 32MB
fsync = off
full_page_writes = off
autovacuum = off
lc_messages = 'C'
timezone = 'UTC'
"""
# The server ends when its input does: with the tests, however they end.
KEEPER = '"$@" & trap "" INT TERM; cat; kill -INT $!; wait $!'
TEMPLATE = "clocked"
# The program asks for clock_timestamp() without a schema; the search path of its role finds this one first.
FAKE_CLOCK = """
CREATE SCHEMA testing;
GRANT USAGE ON SCHEMA testing TO kiegen;
CREATE TABLE testing.clock (epoch double precision);
INSERT INTO testing.clock VALUES (NULL);
GRANT SELECT ON testing.clock TO kiegen;
CREATE FUNCTION testing.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT coalesce(to_timestamp(epoch), pg_catalog.clock_timestamp()) FROM testing.clock';
GRANT CREATE ON SCHEMA public TO kiegen;
"""


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL on this machine, None without one."""
    on_path = shutil.which("initdb")
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), *([Path(on_path)] if on_path else [])]
    return max((one.resolve().parent for one in found), key=_version, default=None)


def _version(folder: Path) -> int:
    said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].partition(".")[0])


class Postgres:
    """A running server.

    Args:
        folder: of its binaries.
    """

    def __init__(self, folder: Path) -> None:
        self._binaries = folder
        self._base = Path(tempfile.mkdtemp(prefix="kiegen-postgres-"))
        self._data = self._base / "data"
        self._options: dict[str, Any] = {"cwd": self._base}
        if os.getuid() == 0:  # PostgreSQL does not run as root
            account = _unprivileged()
            os.chown(self._base, account.pw_uid, account.pw_gid)
            self._options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.port = closed_port()
        self._prepare()
        self._start()
        self._admin("CREATE ROLE kiegen LOGIN PASSWORD {}", sql.Literal(PASSWORD))
        self._admin("ALTER ROLE kiegen SET search_path = public, testing, pg_catalog")
        self._admin("CREATE DATABASE {}", sql.Identifier(TEMPLATE))
        with self._connect(TEMPLATE) as connection:
            connection.execute(FAKE_CLOCK)

    def _prepare(self) -> None:
        password = self._base / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        command: list[Any] = [self._binaries / "initdb", "-D", self._data, "-U", "postgres", "-A", "scram-sha-256"]
        command += ["--no-sync", "--encoding=UTF8", "--locale=C", f"--pwfile={password}"]
        if "user" in self._options:
            os.chown(password, self._options["user"], self._options["group"])
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._options)
        assert done.returncode == 0, done.stderr
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"{SETTINGS}port = {self.port}\n")

    def _start(self) -> None:
        with (self._base / "log").open("ab") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "keeper", self._binaries / "postgres", "-D", self._data],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **self._options,
            )
        until(self._is_up)

    def _is_up(self) -> bool:
        assert self._keeper.poll() is None, self.log
        try:
            self._connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self._base / "log").read_text(encoding="utf-8", errors="replace")

    def url(self, database: str, **changes: Any) -> URL:
        """Return a database's address as a user would write it."""
        parts: dict[str, Any] = {"username": OWNER, "password": PASSWORD, "host": "127.0.0.1", "port": self.port}
        return URL.create("postgresql+psycopg", database=database, **(parts | changes))

    def create(self, encoding: str | None = None) -> str:
        """Make an empty database and return its name; one of another encoding has no clock of its own."""
        name = f"store_{uuid.uuid4().hex[:12]}"
        if encoding is None:
            self._admin("CREATE DATABASE {} TEMPLATE {}", sql.Identifier(name), sql.Identifier(TEMPLATE))
        else:
            parts = (sql.Identifier(name), sql.Identifier(OWNER), sql.Literal(encoding))
            self._admin("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {}", *parts)
        return name

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected."""
        self._admin("DROP DATABASE {} WITH (FORCE)", sql.Identifier(name))

    def set_clock(self, name: str, epoch: float | None) -> None:
        """Have the clock of a database stand still at a moment; None lets it go."""
        self.run(name, "UPDATE testing.clock SET epoch = {}", sql.Literal(epoch))

    def run(self, name: str, statement: str, *parts: sql.Composable) -> None:
        """Run a statement as the server's owner."""
        with self._connect(name) as connection:
            connection.execute(sql.SQL(statement).format(*parts))

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with self._connect(name) as connection:
            return connection.execute(query).fetchall()

    def disconnect(self, name: str) -> int:
        """End every connection to a database, as a restart does; return how many there were."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {}"
        with self._connect("postgres") as connection:
            [(count,)] = connection.execute(sql.SQL(query).format(sql.Literal(name))).fetchall()
        return int(count)

    def stop(self) -> None:
        """End the server."""
        self._end()
        shutil.rmtree(self._base)

    def pause(self) -> None:
        """End the server, and keep what it knows."""
        self._end()

    def resume(self) -> None:
        """Start it again on the same port."""
        self._start()

    def _end(self) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(PATIENCE)

    def _connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )

    def _admin(self, statement: str, *parts: sql.Composable) -> None:
        self.run("postgres", statement, *parts)


class SharedClock(FakeClock):
    """Time that stands still until a test moves it, in a database as well.

    Args:
        server: the server.
        name: its database.
    """

    def __init__(self, server: Postgres, name: str) -> None:
        self._server = server
        self._name = name
        super().__init__()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "now":
            self._server.set_clock(self._name, value)


def started() -> Postgres:
    """Start a server; without one on this machine the test is skipped, except where CI promises it."""
    folder = binaries()
    if folder is None:
        reason = "NO POSTGRESQL ON THIS MACHINE: the tests of a team's store did not run (apt-get install postgresql)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Postgres(folder)


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
