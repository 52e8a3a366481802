"""A real Jupyter server with the extension, on stores of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from kiegen_nb.engine import schema
from kiegen_nb.engine.database import Database
from kiegen_nb.engine.store import user_name
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE = "/user/ann/"  # as behind a JupyterHub


class Jupyter:
    """A running Jupyter server, its stores and its output folder.

    Attributes:
        data: where the default stores are.
        named: the store that KIEGEN_DATABASE_URL names.
        configured: the stores of its configuration.
        output: a folder for results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.data = folder / "data" / "kiegen_nb"
        self.named = folder / "named.sqlite3"
        self.configured = [folder / name for name in ("more.sqlite3", "newer.sqlite3", "garbage.sqlite3", "no.sqlite3")]
        self.output = folder / "output"
        for path in (self.root, self.data, self.output):
            path.mkdir(parents=True)
        self.configured[2].write_bytes(b"this is no database " * 400)
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{BASE}"
        command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={self.port}"]
        options = {
            "IdentityProvider.token": self.token,
            "ServerApp.root_dir": str(self.root),
            "ServerApp.base_url": BASE,
            "ServerApp.port_retries": "0",
            "ServerApp.jpserver_extensions": "{'kiegen_nb': True}",
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        arguments += [f"--KiegenExtension.stores={store}" for store in self.configured]
        self._log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            command + arguments,
            env=self._environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        foreign = ("KIE_", "KIEGEN_", "JUPYTER", "XDG_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        places = {f"JUPYTER_{name}_DIR": str(self.folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        ours = {"XDG_DATA_HOME": str(self.data.parent), "KIEGEN_DATABASE_URL": str(self.named)}
        return kept | places | ours | {"IPYTHONDIR": str(self.folder / "ipython")}

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self.folder / "server.log").read_text()

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.log
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}api/status", headers=self.login)
                return
            assert time.monotonic() < deadline, self.log
            select.select([], [], [], 0.1)

    @property
    def login(self) -> dict[str, str]:
        """The header that logs in."""
        return {"Authorization": f"token {self.token}"}

    def get(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> httpx.Response:
        """Ask with the token."""
        return httpx.request(method, f"{self.url}kiegen_nb/{path}", headers=self.login | dict(headers or {}))

    def media(self, task: GenerationTask, number: int = 0, **headers: str) -> httpx.Response:
        """Ask for one result of a task; header names are spelled with an underscore."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.get(f"media/{task.id}/{number}", given)

    def tasks(self, prompt_id: str) -> Any:
        """Ask for a group's tasks."""
        answer = httpx.get(
            f"{self.url}kiegen_nb/api/generation/tasks", headers=self.login, params={"promptId": prompt_id}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def result(self, data: bytes, ending: str = "png", **fields: Any) -> GenerationTask:
        """Store a task with one saved file; ``path`` puts another one into the row."""
        task_id = secrets.token_hex(16)
        group = self.output / "kites"
        group.mkdir(exist_ok=True)
        path = group / f"{task_id}-0.{ending}"
        if data:
            path.write_bytes(data)
        asset = Asset(kind=AssetKind.IMAGE, path=fields.pop("path", path), url="https://example.com/a", size=len(data))
        return self.keep(task_of(id=task_id, assets=(asset,), **fields))

    def keep(self, task: GenerationTask, store: Path | None = None, user: str | None = None) -> GenerationTask:
        """Put a task into a store."""
        database = Database(str(store or self.named))
        task = task.model_copy(update={"user": user or user_name()})
        try:
            values = schema.values_of(task) | {
                "account": "test:1",
                "identity": secrets.token_hex(32),
                "revision": 1,
            }
            database.write(lambda connection: connection.execute(schema.tasks.insert(), values)).result(10)
        finally:
            database.close()
        return task

    def stop(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)
        self._log.close()


def task_of(*, age: float = 0.0, **fields: Any) -> GenerationTask:
    """Return a finished task, asked for some minutes ago."""
    known: dict[str, Any] = {
        "id": secrets.token_hex(16),
        "prompt_id": "kites",
        "model": "IMAGEN4",
        "api_model": "google/imagen4-fast",
        "status": TaskStatus.SUCCESS,
        "activity": None,
        "provider_params": {"input": {"prompt": "a red kite"}},
        "created_at": datetime(2026, 11, 22, tzinfo=UTC) - timedelta(minutes=age),
    }
    return GenerationTask(**known | fields)
