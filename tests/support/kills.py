"""Processes that die at a chosen step and are started again: what is done, and what can be seen afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.support.fake_kie import until
from tests.support.victim import CELL, Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).parents[2]
AT_ONCE = 4  # trials at once: most of the time each waits for the sandbox
AHEAD = 20.0  # hours
HOLD = {"route": "create", "delay": 60}  # the work is done, the answer keeps everybody waiting
PIECES = {"route": "file", "slow": 800_000, "times": 0}  # so that half a file is what there is for a while


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of death.

    Attributes:
        event: the log record at which the process dies; None for any record.
        nth: which of them, from 1; 0 for no death at all.
        held: how many creates the sandbox leaves without an answer; then the process dies once all have arrived.
        chance: the number of a random trial, which draws ``nth`` by itself; None for any other.
    """

    event: str | None = None
    nth: int = 1
    held: int = 0
    chance: int | None = None

    def __str__(self) -> str:
        if self.chance is not None:
            return f"random-{self.chance}"
        if self.held:
            return f"{self.held}-unanswered"
        return f"{self.event}-{self.nth}"


UNDISTURBED = Point(nth=0)


@dataclass(slots=True)
class Scene:
    """What there is after a process has ended.

    Attributes:
        status: its exit status.
        said: the last thing it said.
        errors: the rest of what it said.
        creates: prompt -> Kie's ids of the tasks made from it.
        blemishes: one sentence per file that is not what its name promises.
        files: name below the output folder -> hex sha256; temporary and hidden ones are left out.
    """

    status: int
    said: dict[str, Any]
    errors: str
    creates: dict[str, list[str]]
    blemishes: list[str]
    files: dict[str, str]


@dataclass(slots=True)
class Trial:
    """One store through deaths, a recovery and one more run.

    Attributes:
        point: where it died.
        seed: of the random trials. The number of records differs a little between runs, and so may what is drawn.
        folder: where its store, its output and the words of its processes are.
        deaths: what was found after each.
        scenes: what was found after two more runs that nobody killed.
        rows: the store's table of tasks at the end.
        counted: creates by the sandbox's own counter.
    """

    point: Point
    seed: int
    folder: Path
    deaths: list[Scene] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    counted: int = 0

    @property
    def recovered(self) -> Scene:
        """What was found after the first run that nobody killed."""
        return self.scenes[0]

    @property
    def again(self) -> Scene:
        """The same once more."""
        return self.scenes[1]

    @property
    def story(self) -> str:
        """Where it died, and how to have it die there again."""
        deaths = "; ".join(f"{death.said} (exit {death.status})" for death in self.deaths)
        errors = "\n".join(scene.errors for scene in [*self.deaths, *self.scenes])
        return f"{self.point}, --seed {self.seed}: {deaths}\n{errors}".rstrip()


class Starter:
    """The victim program: starts one process at a time."""

    def __init__(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.victim"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job: Job, meanwhile: Callable[[int], object] | None = None) -> int:
        """Start a process and return its exit status; ``meanwhile`` gets its number while it runs."""
        assert self._program.stdin is not None
        self._program.stdin.write(job.line())
        self._program.stdin.flush()
        process = self._hear("process")
        if meanwhile is not None:
            meanwhile(process)
        return self._hear("status")

    def _hear(self, word: str) -> int:
        assert self._program.stdout is not None
        return int(json.loads(self._program.stdout.readline())[word])

    def stop(self) -> None:
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                pipe.close()
        self._program.wait(10)


class Trials:
    """Runs trials, several at once, each with a store, an output folder and an account of its own.

    Args:
        folder: for all of it.
        start_sandbox: starts a sandbox with arguments.
        seed: of the random trials.
    """

    def __init__(self, folder: Path, start_sandbox: Callable[..., Any], seed: int) -> None:
        self._folder = folder
        self._start_sandbox = start_sandbox
        self._seed = seed
        self._own = threading.local()
        self._lock = threading.Lock()
        self._closing = contextlib.ExitStack()
        self._futures: dict[Point, Future[Trial]] = {}
        self._sandbox = self._closing.enter_context(self._running_sandbox("sandbox"))
        self._threads = ThreadPoolExecutor(AT_ONCE)

    def begin(self, points: Iterable[Point]) -> None:
        """Start trials; random ones need the undisturbed one to know how many records there are."""
        for point in [UNDISTURBED, *points]:
            if point not in self._futures:
                self._futures[point] = self._threads.submit(self._run, point)

    def of(self, point: Point) -> Trial:
        """Return a trial once it is over."""
        self.begin([point])
        return self._futures[point].result()

    def close(self) -> None:
        """End what runs and begin nothing more."""
        self._threads.shutdown(cancel_futures=True)
        self._closing.close()

    @contextlib.contextmanager
    def _running_sandbox(self, name: str) -> Any:
        database = self._folder / f"{name}.sqlite3"
        running = self._start_sandbox("--speed", "20", "--database", str(database))
        try:
            running.faults(PIECES)
            yield running, database
        finally:
            running.stop()

    def _starter(self) -> Starter:
        if not hasattr(self._own, "starter"):
            self._own.starter = Starter()
            with self._lock:
                self._closing.callback(self._own.starter.stop)
        starter: Starter = self._own.starter
        return starter

    def _run(self, point: Point) -> Trial:
        trial = Trial(point, self._seed, self._folder / str(point))
        trial.folder.mkdir()
        with contextlib.ExitStack() as stack:
            # Rules are a sandbox's, not an account's.
            own = point.held > 0
            sandbox, database = stack.enter_context(self._running_sandbox(f"{point}")) if own else self._sandbox
            for event, nth in self._deaths(point):
                trial.deaths.append(self._one(trial, sandbox, database, event, nth))
            trial.scenes = [self._one(trial, sandbox, database) for _ in range(2)]
            account = hashlib.sha256(_key(point).encode()).hexdigest()[:12]
            trial.counted = sandbox.get("/sandbox/stats")["accounts"][account]["creates"]
        with contextlib.closing(sqlite3.connect(trial.folder / "store.sqlite3")) as connection:
            connection.row_factory = sqlite3.Row
            trial.rows = [dict(row) for row in connection.execute("SELECT * FROM tasks")]
        return trial

    def _deaths(self, point: Point) -> list[tuple[str | None, int]]:
        if point.chance is None:
            return [(point.event, point.nth)] if point.nth else []
        records = self._futures[UNDISTURBED].result().recovered.said["records"]
        random = Random(f"{self._seed} {point.chance}")  # noqa: S311 - a test's choice
        # Every second time the recovery is killed too, at some early record.
        chosen = [random.randint(1, records)] + [random.randint(1, records // 2)] * (point.chance % 2)
        return [(None, nth) for nth in chosen]

    def _one(self, trial: Trial, sandbox: Any, database: Path, event: str | None = None, nth: int = 0) -> Scene:
        """Run one process of a trial to its end; each has its clock further ahead than the one before."""
        number = len(trial.deaths) + len(trial.scenes)
        says = trial.folder / f"process-{number}.txt"
        job = Job(
            sandbox.url,
            _key(trial.point),
            str(trial.folder / "store.sqlite3"),
            str(trial.folder / "output"),
            str(says),
            hours=AHEAD * number,
            event=event,
            nth=nth,
        )
        meanwhile = None
        if trial.point.held and nth:
            job = replace(job, nth=0)
            sandbox.faults(HOLD | {"times": trial.point.held})

            def meanwhile(process: int) -> None:
                until(lambda: sandbox.creates == len(CELL))
                os.kill(process, signal.SIGKILL)

        status = self._starter().run(job, meanwhile)
        lines = says.read_text(encoding="utf-8").splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{")]
        return Scene(
            status,
            said[-1] if said else {},
            "\n".join(line for line in lines if not line.startswith("{")),
            _creates(database, trial.point),
            *_inspect(trial.folder / "output"),
        )


def _key(point: Point) -> str:
    return f"test-key-of-{point}-must-never-be-seen"


def _creates(database: Path, point: Point) -> dict[str, list[str]]:
    account = hashlib.sha256(_key(point).encode()).hexdigest()[:12]
    found: dict[str, list[str]] = {}
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        query = "SELECT task_id, param FROM tasks WHERE account = ?"
        for task_id, param in connection.execute(query, (account,)):
            found.setdefault(json.loads(json.loads(param)["input"])["prompt"], []).append(task_id)
    return found


def _inspect(output: Path) -> tuple[list[str], dict[str, str]]:
    """Return what is wrong with the files of an output folder, and the digests of those with their final names."""
    blemishes: list[str] = []
    files: dict[str, str] = {}
    for path in sorted(file for file in output.rglob("*") if file.is_file()):
        name = path.relative_to(output).as_posix()
        # Thumbnails are made anew where they are missing: no result, and nobody's loss.
        hidden = any(part.startswith(".") or part == "thumbnails" for part in Path(name).parts)
        if hidden and ".part" in path.suffixes:
            continue  # unfinished, and nobody sees it
        try:
            if path.suffix == ".json":
                assert json.loads(path.read_bytes())["file"] == path.stem
            else:
                _open_whole(path)
        except Exception as error:  # noqa: BLE001 - whatever a decoder throws at half a file
            blemishes.append(f"{name}: {type(error).__name__}: {error}")
        if hidden or path.suffix == ".json":
            continue
        files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        sidecar = path.with_name(f"{path.name}.json")
        said = json.loads(sidecar.read_bytes()) if sidecar.exists() else {"sha256": "no sidecar"}
        if said["sha256"] != files[name]:
            blemishes.append(f"{name}: is {files[name]}, its sidecar says {said['sha256']}")
    return blemishes, files


def _open_whole(path: Path) -> None:
    with Image.open(path) as image:
        if image.format == "PNG":
            image.verify()  # every chunk's checksum up to the end, without the work of decoding
        else:
            image.load()
