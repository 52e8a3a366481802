"""A kernel in miniature: a process with a session that does what it is told and writes its log to a file.

Its words are ``ask N`` (the first N prompts), ``batch`` (all of them as one), ``watch N`` (until the gallery shows so
many), ``resume`` and ``wait``; it answers each with a line of JSON. The end of its input ends it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import TaskError
from kiegen_nb.kie.client import KieClient
from kiegen_nb.session import Session
from tests.support.worlds import picture

if TYPE_CHECKING:
    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.engine.state import QueryState

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Job:
    """What one process works with.

    Attributes:
        url: the sandbox.
        key: its account's key.
        folder: where its log and the results are, the same for all kernels.
        store: the task store.
        name: of its log, one for each process.
        prompts: what it asks for, in this order.
        options: of its session.
        time_limit: seconds of answered "running" after which it gives a task up; None leaves the usual half hour.
    """

    url: str
    key: str
    folder: str
    store: str
    name: str
    prompts: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    time_limit: float | None = None


class Kernel:
    """Such a process, seen from outside."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._folder = Path(job.folder)
        self._said = b""
        with (self._folder / f"{job.name}.errors").open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "tests.support.kernel_process", json.dumps(asdict(job))],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def say(self, word: str) -> None:
        """Tell it what to do next."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        """Return its next answer."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        while b"\n" not in self._said:
            ready, _, _ = select.select([pipe], [], [], PATIENCE)
            more = os.read(pipe, 1 << 20) if ready else b""
            assert more, f"{self.job.name} says nothing: {self.errors}"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return json.loads(line)

    def tell(self, word: str) -> Any:
        """Tell it what to do and return what came of it."""
        self.say(word)
        return self.hear()

    def kill(self) -> None:
        """End it without a warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> None:
        """Let it end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(PATIENCE)

    @property
    def errors(self) -> str:
        """What it wrote to its standard error."""
        return (self._folder / f"{self.job.name}.errors").read_text(encoding="utf-8")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log records so far: ``at``, ``event``, ``task`` and ``words``, with its name as ``kernel``."""
        # A killed process may leave half a line, or nothing at all.
        lines = self._written.splitlines(keepends=True)
        return [json.loads(line) | {"kernel": self.job.name} for line in lines if line.endswith("\n")]

    def count(self, event: str) -> int:
        """Return how many records of a kind there are so far."""
        return self._written.count(f'"event": "{event}"')

    @property
    def _written(self) -> str:
        file = self._folder / f"{self.job.name}.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def told(self, event: str) -> list[str]:
        """Return the tasks of all records of a kind, in order."""
        return [record["task"] for record in self.log if record["event"] == event]


class _Log(logging.Handler):
    def __init__(self, path: Path) -> None:
        super().__init__(logging.DEBUG)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def emit(self, record: logging.LogRecord) -> None:
        told = {"at": record.created, "event": getattr(record, "event", ""), "task": getattr(record, "task_id", None)}
        os.write(self._file, json.dumps(told | {"words": self.format(record)}).encode() + b"\n")


def main(job: Job) -> None:
    folder = Path(job.folder)
    logger = logging.getLogger("kiegen_nb")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_Log(folder / f"{job.name}.log"))
    if job.time_limit is not None:
        KieClient.time_limit = lambda *_: job.time_limit  # type: ignore[method-assign,assignment]
    with Session(
        job.key,
        base_url=job.url,
        database_url=job.store,
        output_dir=folder / "output",
        **job.options,
    ) as session:
        handles: list[TaskHandle] = []
        _say({"ready": os.getpid()})
        for line in sys.stdin:
            match line.split():
                case ["ask", number]:
                    handles = [session.submit(picture(prompt)) for prompt in job.prompts[: int(number)]]
                    _say({"asked": len(handles)})
                case ["batch"]:
                    batch = session.batch(map(picture, job.prompts))
                    handles = list(batch.handles)
                    _say({"asked": len(handles)})
                case ["resume"]:
                    _say({"resumed": len(session.resume())})
                case ["watch", number]:
                    _say({"seen": _seen(session, int(number))})
                case ["wait"]:
                    _say([_ended(handle) for handle in handles])
                case words:
                    raise ValueError(words)


def _seen(session: Session, number: int) -> int:
    """Watch as a gallery does until it shows so many tasks, whoever asked for them."""
    shown, enough = [0], threading.Event()

    def show(state: QueryState) -> None:
        shown[0] = len(state.data)
        if shown[0] >= number:
            enough.set()

    end = session.subscribe("default", show)
    _say({"watching": session.account})
    enough.wait(PATIENCE)
    end()
    return shown[0]


def _ended(handle: TaskHandle) -> dict[str, Any]:
    """Wait for a task as a cell does, and return what its owner sees."""
    raised = ""
    try:
        handle.result(PATIENCE)
    except TaskError as error:
        raised = type(error).__name__
    task = handle.task
    return {
        "id": task.id,
        "prompt": task.prompt,
        "status": task.status.value,
        "code": task.fail_code,
        "external": task.external_task_id,
        "raised": raised,
        "saved": bool(task.assets) and all(asset.path is not None and asset.path.exists() for asset in task.assets),
    }


def _say(fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Job(**json.loads(sys.argv[1])))
