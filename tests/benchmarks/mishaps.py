"""Rows about what goes wrong: bad answers of every kind, and a large download that is cut."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import TaskError, TaskUnconfirmed
from kiegen_nb.kie.models.imagen4 import imagen4
from tests.benchmarks.measuring import Figure, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.session import Session

PATIENCE = 300.0  # seconds after which a task counts as lost
SPEED = 20.0
SCALED = {"create_window": 10 / SPEED, "look_limit": 9 * SPEED, "poll_interval": 3 / SPEED}

MEGABYTE = 1024**2
FILM = 100 * MEGABYTE
CHILD = Path(__file__).with_name("download_child.py")
CHUNK = 64 * 1024

IMPORT = """
import sys, time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
print(*{{name.partition(".")[0] for name in sys.modules}} & {{"ipywidgets", "anywidget", "IPython"}})
"""


def bad_looks(share: float) -> list[dict[str, object]]:
    """Return the rule that has a share of all looks answered 502."""
    return [{"route": "look", "http": 502, "body": "<h1>502 Bad Gateway</h1>", "probability": share, "times": 0}]


def mixed_faults() -> list[dict[str, object]]:
    """Return rules for everything at once, a quarter of all looks and a tenth of all creates."""
    look = {"route": "look", "times": 0}
    create = {"route": "create", "times": 0}
    return [
        {**look, "code": 429, "probability": 0.05},
        {**look, "http": 429, "retry_after": 0.5, "probability": 0.02},
        {**look, "code": 500, "probability": 0.03},
        {**look, "body": "<html>busy</html>", "probability": 0.05},
        {**look, "truncate": 0.6, "complete": True, "probability": 0.05},
        {**look, "truncate": 0.6, "probability": 0.02},
        {**look, "drop": True, "probability": 0.02},
        {**look, "delay": 25, "probability": 0.003},
        {**create, "code": 429, "probability": 0.04},
        {**create, "drop": True, "probability": 0.02},
        {**create, "code": 500, "before": False, "probability": 0.02},
        {**create, "truncate": 0.5, "complete": True, "probability": 0.02},
    ]


def faults(tasks: int) -> Sequence[Figure]:
    """Measure what becomes of tasks when answers are bad; at 20 times life's speed, limits scaled alike."""
    kinds = {"1 % of looks 502": bad_looks(0.01), "20 % of looks 502": bad_looks(0.2), "a mix": mixed_faults()}
    return [figure for name, rules in kinds.items() for figure in _survived(tasks, name, rules)]


def _survived(tasks: int, name: str, rules: list[dict[str, object]]) -> list[Figure]:
    ends: Counter[str] = Counter()

    async def follow(handle: TaskHandle) -> None:
        try:
            await handle
        except TaskUnconfirmed:
            ends["told"] += 1
        except TaskError as error:
            ends[f"lost: {type(error).__name__}"] += 1
        else:
            ends["finished"] += 1

    async def measure(session: Session) -> None:
        handles = [
            session.submit(imagen4(f"a kite {number}, sandbox:seconds=10-20"), prompt_id="faults")
            for number in range(tasks)
        ]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*map(follow, handles))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "sandbox.sqlite3")
        with place("--speed", f"{SPEED:g}", "--database", str(file), **SCALED) as (sandbox, session):
            sandbox.faults(*rules)
            try:
                asyncio.run(measure(session))
            except TimeoutError:
                ends["lost: never ended"] = tasks - ends.total()
            bad = sum(request["fault"] for request in sandbox.requests())
        with closing(sqlite3.connect(file)) as connection:
            made, distinct = connection.execute("SELECT count(*), count(DISTINCT param) FROM tasks").fetchone()
    lost = sum(count for end, count in ends.items() if end.startswith("lost"))
    note = f"{ends['finished']} finished, {ends['told']} told as perhaps charged, {bad} bad answers"
    return [
        Figure(f"{name}: tasks lost", lost, most=0, note=note),
        Figure(f"{name}: tasks created twice", made - distinct, most=0),
    ]


def imports() -> Sequence[Figure]:
    """Measure ``import kiegen_nb`` in fresh interpreters."""
    found = []
    for statement, most in (("import kiegen_nb", 0.35), ("from kiegen_nb import Session, imagen4", None)):
        times, loaded = [], ""
        for _ in range(7):
            command = [sys.executable, "-c", IMPORT.format(statement=statement)]
            said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            seconds, loaded, *_ = said.split("\n")
            times.append(float(seconds))
        found += [
            Figure(f"{statement}, s, median of 7", statistics.median(times), most=most, digits=3),
            Figure("  widget libraries it loads", len(loaded.split()), most=0, note=loaded),
        ]
    return found


class FilmServer(ThreadingHTTPServer):
    """Kie as far as one film needs it: every create is a task that is finished at once, with the one film.

    Args:
        start: the film's first bytes; zeros follow.
        cuts: how many answers end in the middle of what is left.
    """

    daemon_threads = True

    def __init__(self, start: bytes, cuts: int) -> None:
        super().__init__(("127.0.0.1", 0), FilmHandler)
        self.start = start
        self.size = len(start)
        self.cuts = cuts
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: a session that closes hangs up on its own questions."""


class FilmHandler(BaseHTTPRequestHandler):
    """Answers creates, looks and the film, whole or from one byte on."""

    protocol_version = "HTTP/1.1"
    server: FilmServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._envelope({"taskId": f"{'large' if self.server.size > MEGABYTE else 'small'}-film"})

    def do_GET(self) -> None:
        if self.path.startswith("/film"):
            self._film()
            return
        urls = json.dumps({"resultUrls": [f"{self.server.url}/film.mp4"]})
        self._envelope({"taskId": "film", "state": "success", "resultJson": urls, "balance": 1})

    def _envelope(self, data: dict[str, Any]) -> None:
        body = json.dumps({"code": 200, "msg": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _film(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first, size = int(asked[1]) if asked else 0, self.server.size
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(size - first))
        self.end_headers()
        stop = size
        if self.server.cuts > 0 and size > MEGABYTE:
            self.server.cuts -= 1
            stop, self.close_connection = first + (size - first) // 2, True
        head = self.server.start[first:stop]
        self.wfile.write(head)
        for at in range(first + len(head), stop, CHUNK):
            self.wfile.write(bytes(min(CHUNK, stop - at)))

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def film_server(start: bytes, size: int, cuts: int = 0) -> Iterator[FilmServer]:
    """Serve a film padded to a size."""
    with FilmServer(start, cuts) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        server.size = size
        yield server
        server.shutdown()
        thread.join()


def download() -> Sequence[Figure]:
    """Measure a film of 100 MB in a child process: whole, cut once, and cut for ever."""
    film = a_film()
    padding = (FILM - len(film)).to_bytes(4, "big") + b"free"  # a box players pass over
    start = film + padding
    digest = hashlib.sha256(start + bytes(FILM - len(start))).hexdigest()
    found = {}
    for name, cuts in (("whole", 0), ("cut once", 1), ("always cut", 10**6)):
        with (
            tempfile.TemporaryDirectory() as folder,
            film_server(film, len(film)) as small,
            film_server(start, FILM, cuts) as large,
        ):
            command = [sys.executable, str(CHILD), small.url, large.url, folder]
            found[name] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    whole, once, never = found["whole"], found["cut once"], found["always cut"]
    good = sum(one["sha256"] == digest and one["files"] == 1 for one in (whole, once))
    return [
        Figure("peak memory of 100 MB grows by, MB", whole["grown"], most=20, digits=1),
        Figure("the same, cut once and resumed, MB", once["grown"], most=20, digits=1),
        Figure("of these two, whole by their sha256", good, least=2),
        Figure("always cut: files under a final name", never["files"], most=0, note=f"said: {never['error']}"),
        Figure("seconds for the whole film", whole["seconds"], digits=2),
    ]


def a_film() -> bytes:
    """Return a small film of the sandbox."""
    from kiegen_nb.kie.models.sora2 import sora2  # noqa: PLC0415 - slow to import, and only needed here

    with place("--speed", "100", "--no-limits", poll_interval=0.05) as (_, session):
        task = session.submit(sora2("a kite"), prompt_id="film").result(60)
        path = task.assets[0].path
        assert path is not None
        return path.read_bytes()
