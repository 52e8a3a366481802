"""A kernel in miniature that is to be killed: it runs one cell of requests, waits for them, and dies where it is told.

Started as a program it reads one job per line from its standard input. For each it starts a process, says its number,
waits for its end and says its exit status. The processes are forked from this one, which has done nothing but
import: a fresh Python for each would take a second of processor time, most of it for imports.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx_aiohttp  # noqa: F401 - here once, or else in every process
from PIL import Image

import kiegen_nb.engine.engine
import kiegen_nb.widgets.summary  # a card would import it, in every process
from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.errors import TaskFailed
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.market import market
from kiegen_nb.session import Session

if TYPE_CHECKING:
    from kiegen_nb.engine.handle import TaskHandle

PATIENCE = 40.0
PAIR = "a pair of kites"
TORN = "a torn kite, sandbox:fail"
PROMPTS = ("a red kite", PAIR, "a slow kite, sandbox:slow=20", TORN, "a yellow kite")
CELL = tuple(
    market("bytedance/seedream-v4-text-to-image", prompt=prompt, max_images=2) if prompt == PAIR else imagen4(prompt)
    for prompt in PROMPTS
)


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does.

    Attributes:
        url: the sandbox.
        key: its account's key.
        store: the task store.
        output: where results are saved.
        says: the file for what it prints.
        hours: how far its clock is ahead.
        event: the log record that ends the process, None for one of any kind.
        nth: which such record ends it, from 1; 0 for none.
    """

    url: str
    key: str
    store: str
    output: str
    says: str
    hours: float = 0.0
    event: str | None = None
    nth: int = 0

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


class Executioner(logging.Handler):
    """Counts log records and kills the process at the chosen one, on the thread that wrote it."""

    def __init__(self, job: Job) -> None:
        super().__init__(logging.DEBUG)
        self._job = job
        self._met = 0
        self.records = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        event = getattr(record, "event", None)
        self._met += self._job.event in (None, event)
        if self._job.nth and self._met == self._job.nth:
            self.strike(event, getattr(record, "task_id", None))

    def strike(self, event: str | None, task_id: str | None) -> None:
        _say({"killed": event, "task": task_id, "record": self.records})
        os.kill(os.getpid(), signal.SIGKILL)


def run(job: Job) -> None:
    """Run the cell, as often as it takes: requests of before are found, not sent again."""
    executioner = Executioner(job)
    logger = logging.getLogger("kiegen_nb")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(executioner)
    kiegen_nb.engine.engine.SystemClock = _ahead(job.hours)  # type: ignore[attr-defined]  # the seam for time
    with Session(
        job.key,
        base_url=job.url,
        database_url=job.store,
        output_dir=job.output,
        poll_interval=0.05,
        create_window=0.5,
        look_limit=180,
    ) as session:
        shown = [_shown(handle) for handle in [session.submit(params) for params in CELL]]
    if job.nth and job.event is None:
        executioner.strike("the end", None)  # this time there were fewer records
    _say({"records": executioner.records, "tasks": shown})


def _ahead(hours: float) -> type[SystemClock]:
    class Ahead(SystemClock):
        def time(self) -> float:
            return super().time() + hours * 3600

    return Ahead


def _shown(handle: TaskHandle) -> dict[str, Any]:
    """Wait for a task and return what its owner sees of it."""
    try:
        return {"task": handle.result(PATIENCE).to_json()}
    except TaskFailed as error:
        seen = {"raised": type(error).__name__, "words": str(error), "card": handle._repr_html_()}
        return {"task": error.task.to_json(), **seen}


def _say(fact: dict[str, Any]) -> None:
    os.write(1, json.dumps(fact).encode() + b"\n")


def _child(job: Job) -> int:
    """Become the process of a job; its end is its own, as a kernel's is."""
    said = os.open(job.says, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, file in enumerate((nothing, said, said)):
        os.dup2(file, number)
    os.chdir(Path(job.store).parent)
    try:
        run(job)
    except BaseException:  # noqa: BLE001 - whatever it is, it must not become the parent's
        os.write(2, traceback.format_exc().encode())
        return 1
    return 0


def main() -> None:
    for name in list(os.environ):
        if name.startswith(("KIE_", "KIEGEN_")) or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            del os.environ[name]
    Image.init()  # as the imports
    for line in sys.stdin:
        job = Job(**json.loads(line))
        process = os.fork()
        if process == 0:
            os._exit(_child(job))
        _say({"process": process})
        _, status = os.waitpid(process, 0)
        _say({"status": os.waitstatus_to_exitcode(status)})


if __name__ == "__main__":
    main()
