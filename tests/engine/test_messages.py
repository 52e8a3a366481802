"""Every error a person can meet, made to happen: it says what happened, what it cost, and what to do next."""

from __future__ import annotations

import re
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from queue import Queue
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from kiegen_nb import (
    InvalidParams,
    KeyRefused,
    MissingKey,
    Session,
    SessionClosed,
    StoreError,
    StoreTooNew,
    TaskError,
    TaskFailed,
    TaskTimeout,
    TaskUnconfirmed,
    UploadError,
    WrongThread,
    imagen4,
    market,
    params_from,
)
from kiegen_nb.engine import database as database_module
from kiegen_nb.errors import ConfigurationError, KiegenError, MediaError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOTHING = r"[Nn]othing was (sent|charged|deleted)|not charged|not paid for again|not lost|is kept"
MAYBE = "may have been charged"
FREE = ""  # about a file on this machine: there is nothing it could have cost


class Told(NamedTuple):
    """What a person is told: the error's class, and patterns for what happened, what it cost, and what to do."""

    kind: type[BaseException]
    happened: str
    cost: str
    next: str


class Stage:
    """What the errors are made with."""

    def __init__(
        self, sandbox: Any, make_session: Callable[..., Session], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.sandbox = sandbox
        self.make = make_session
        self.folder = folder
        self.monkeypatch = monkeypatch

    def file(self, name: str, content: bytes = b"no folder, no picture and no database " * 100) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def submit(self, prompt: str = "a red kite", **settings: Any) -> Any:
        return self.make(**settings).submit(imagen4(prompt)).result(20)

    def answered(self, code: int, message: str) -> Any:
        self.sandbox.faults({"route": "create", "code": code, "msg": message})
        return self.submit()


def key_refused_for_the_balance(stage: Stage) -> object:
    stage.sandbox.faults({"route": "credit", "code": 401, "msg": "You do not have access permissions"})
    return stage.make().credits()


def offline(stage: Stage) -> object:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return held_back(stage.make(base_url=f"http://127.0.0.1:{closed.getsockname()[1]}"))


def rate_limit(stage: Stage) -> object:
    stage.sandbox.faults({"route": "create", "code": 429, "msg": "too many requests", "retry_after": 600})
    return held_back(stage.make())


def held_back(session: Session) -> object:
    """Submit, and raise what the card says of a request that did not get through."""
    told: Queue[str] = Queue()
    handle = session.submit(imagen4("a red kite"))
    handle.when_answered(lambda task: told.put(str(task.note)))
    raise TaskError(handle.task, told.get(timeout=20))


def disk_full(stage: Stage) -> object:
    session = stage.make()
    database = session._engine._database
    database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1")).result(20)
    return session.submit(imagen4("a red kite " * 400))


def store_locked(stage: Stage) -> object:
    stage.monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.1)
    session = stage.make(database_url=stage.folder / "locked.sqlite3")
    with closing(sqlite3.connect(stage.folder / "locked.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        return session.submit(imagen4("a red kite"))


def newer_store(stage: Stage) -> object:
    path = stage.folder / "newer.sqlite3"
    stage.make(database_url=path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = 999 WHERE name = 'schema'")
    connection.close()
    return stage.make(database_url=path)


def folder_not_writable(stage: Stage) -> object:
    # The tests may run as root, whom no permission stops; a file in the folder's place stops everybody.
    task = stage.submit(output_dir=stage.file("output"))
    raise MediaError(str(task.assets[0].error))


def port_taken(_: Stage) -> object:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    raise OSError(done.stderr)


def closed(stage: Stage) -> object:
    session = stage.make()
    session.close()
    return session.submit(imagen4("a red kite"))


def on_the_engines_thread(stage: Stage) -> object:
    handle = stage.make().submit(imagen4("a red kite"))

    async def wait() -> object:
        return handle.result()

    return stage.make()._engine.thread.submit(wait()).result(20)


def too_early(stage: Stage) -> object:
    return stage.make().submit(imagen4("a red kite, sandbox:slow=600")).result(0.01)


def deleted_too_early(stage: Stage) -> None:
    session = stage.make()
    session.delete([session.submit(imagen4("a red kite, sandbox:slow=600"))])


MET: dict[str, tuple[Callable[[Stage], object], Told]] = {
    "key missing": (
        lambda _: Session(sandbox=False),
        Told(MissingKey, "No Kie.ai API key", NOTHING, "Set the environment variable KIE_API_KEY"),
    ),
    "key mistyped": (
        lambda stage: stage.make(api_key="two words"),
        Told(ConfigurationError, "KIE_API_KEY: the key holds spaces", NOTHING, "copy it again"),
    ),
    "key wrong": (
        lambda stage: stage.answered(401, "You do not have access permissions"),
        Told(TaskFailed, "401.*access permissions", NOTHING, "Check KIE_API_KEY"),
    ),
    "key wrong, balance": (
        key_refused_for_the_balance,
        Told(KeyRefused, "401.*access permissions", NOTHING, "Check KIE_API_KEY"),
    ),
    "key's own limit": (
        lambda stage: stage.answered(433, "limit reached"),
        Told(TaskFailed, "433.*limit reached", NOTHING, "Raise the key's cap"),
    ),
    "no credit": (
        lambda stage: stage.answered(402, "The current credits are insufficient. Please top up."),
        Told(TaskFailed, "402.*insufficient", NOTHING, "Top up"),
    ),
    "model gone": (
        lambda stage: stage.answered(422, "The model name you specified is not supported"),
        Told(TaskFailed, "Kie does not offer Imagen 4", NOTHING, "Choose another model"),
    ),
    "no such endpoint": (
        lambda stage: stage.answered(404, "not found"),
        Told(TaskFailed, "404.*not found", NOTHING, "Check the model, the task id and the base URL"),
    ),
    "maintenance": (
        lambda stage: stage.answered(455, "maintenance"),
        Told(TaskFailed, "455.*maintenance", NOTHING, "Try again later"),
    ),
    "policy": (
        lambda stage: stage.submit("a red kite, sandbox:refuse"),
        Told(TaskFailed, "400.*content policy", NOTHING, "Change what the message names"),
    ),
    "policy, later": (
        lambda stage: stage.submit("a red kite, sandbox:fail"),
        Told(TaskFailed, "could not make this.*content policy", NOTHING, "Change what it names"),
    ),
    "answer lost": (
        lambda stage: stage.submit("a red kite, sandbox:lost"),
        Told(TaskUnconfirmed, "no usable answer came back", MAYBE, r"Look at kie.ai/logs.*session.resubmit\(task\)"),
    ),
    "offline": (
        offline,
        Told(TaskError, "Not sent yet: Kie could not be reached", NOTHING, "Check the network.*sent by itself"),
    ),
    "rate limit": (
        rate_limit,
        Told(TaskError, "Not sent yet: .*429.*too many requests", NOTHING, "repeated by itself"),
    ),
    "disk full": (disk_full, Told(StoreError, "disk is full", NOTHING, "Free disk space.*run the cell again")),
    "store locked": (store_locked, Told(StoreError, "database is locked", NOTHING, "stop what holds it")),
    "not finished": (
        too_early,
        Told(TaskTimeout, r"Not finished after 0\.01 s", NOTHING, r"wait again with \.result\(\)"),
    ),
    "base URL without http": (
        lambda stage: stage.make(base_url="kie.ai"),
        Told(ConfigurationError, "'kie.ai' is not an address", NOTHING, "such as https://"),
    ),
    "a word that is no choice": (
        lambda _: imagen4("a red kite", aspect_ratio="9:1"),  # type: ignore[arg-type] # that is the point
        Told(InvalidParams, "aspect_ratio: '9:1'", NOTHING, "choices: '1:1'"),
    ),
    "no prompt": (
        lambda _: imagen4(""),
        Told(InvalidParams, "prompt: is empty", NOTHING, "Write what you would like to see"),
    ),
    "model unknown": (
        lambda _: market("no/such-model", prompt="a red kite"),
        Told(InvalidParams, "not in the catalogue", NOTHING, r"catalogue.search\(\)"),
    ),
    "store's folder is a file": (
        lambda stage: stage.make(database_url=stage.file("taken") / "store.sqlite3"),
        Told(StoreError, "folder .* cannot be made", NOTHING, "KIEGEN_DATABASE_URL"),
    ),
    "store is no database": (
        lambda stage: stage.make(database_url=stage.file("garbage.sqlite3")),
        Told(StoreError, "cannot be opened: file is not a database", NOTHING, "KIEGEN_DATABASE_URL"),
    ),
    "store newer": (
        newer_store,
        Told(StoreTooNew, "schema 999, written by a newer kiegen_nb", NOTHING, "pip install -U kiegen_nb"),
    ),
    "store of another kind": (
        lambda stage: stage.make(database_url="mysql://localhost/kites"),
        Told(StoreError, "mysql is not supported", NOTHING, "use SQLite or PostgreSQL"),
    ),
    "output folder not writable": (
        folder_not_writable,
        Told(MediaError, "could not be written", FREE, r"choose another folder\. session\.refresh\(task\)"),
    ),
    "port taken": (port_taken, Told(OSError, "cannot listen on 127.0.0.1", FREE, "another with --port")),
    "session closed": (closed, Told(SessionClosed, "session is closed", NOTHING, r"Make a new one with Session\(\)")),
    "waiting on the engine's thread": (on_the_engines_thread, Told(WrongThread, "wait for itself", FREE, "await")),
    "deleting a pending task": (
        deleted_too_early,
        Told(KiegenError, "cannot be deleted: it is pending", NOTHING, "Wait for it, or cancel it"),
    ),
    "upload of nothing": (
        lambda stage: stage.make().upload(stage.folder / "missing.png"),
        Told(UploadError, "missing.png cannot be read", FREE, "check the path"),
    ),
    "upload of a text": (
        lambda stage: stage.make().upload(stage.file("note.png")),
        Told(UploadError, "neither a picture nor a video", FREE, "save it as PNG"),
    ),
    "params of a foreign file": (
        lambda stage: params_from(stage.file("photo.png")),
        Told(MediaError, "Nothing says how photo.png was made", FREE, r"Session\(embed=True\)"),
    ),
}


@pytest.mark.parametrize("name", MET)
def test_an_error_says_what_happened_what_it_cost_and_what_to_do(
    name: str, sandbox: Any, make_session: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    act, told = MET[name]

    with pytest.raises(told.kind) as caught:
        act(Stage(sandbox, make_session, tmp_path, monkeypatch))

    said = " ".join(str(caught.value).split())
    for pattern in (told.happened, told.cost, told.next):
        assert re.search(pattern, said), f"{pattern!r} is not in: {said}"


def test_a_script_that_ends_without_close_says_nothing_and_keeps_its_tasks(
    sandbox: Any, make_session: Callable[..., Session], tmp_path: Path
) -> None:
    # Python's thread pools end before our own end is announced; the keeper's round in between must fail quietly.
    round_at_the_end = (
        "import atexit\n"
        "def end():\n"
        "    engine, ended = session._engine, threading.Event()\n"
        "    keepers = [task for task in list(engine.thread._tasks) if 'Keeper.run' in repr(task)]\n"
        "    if not keepers: return  # its round came by itself in between, and has failed\n"
        "    engine.on_loop(keepers[0].add_done_callback, lambda _: ended.set())\n"
        "    engine.on_loop(engine._keeper.stir)\n"
        "    ended.wait(30)\n"
        "atexit.register(end)\n"
    )
    script = (
        "from kiegen_nb import Session, imagen4\n"
        f"session = Session('test-key-4711', base_url={sandbox.url!r}, database_url={str(tmp_path / 's.sqlite3')!r})\n"
        "handles = [session.submit(imagen4(f'kite {n}, sandbox:slow=600')) for n in range(20)]\n"
        "import threading\n"
        "answered = threading.Semaphore(0)\n"
        "for handle in handles: handle.when_answered(lambda task: answered.release())\n"
        "for handle in handles: answered.acquire()\n"
        f"{round_at_the_end}"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    after = make_session(api_key="test-key-4711", database_url=tmp_path / "s.sqlite3")
    assert len(after.history()) == 20
    assert all(task.is_pending for task in after.history())
