"""A team on one PostgreSQL: kernels that follow one another, and many at once of which some are killed."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import Counter
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url

from tests.conftest import until
from tests.engine.test_kernels import made
from tests.support.kernel_process import Job, Kernel
from tests.support.worlds import account_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.postgres import Postgres
    from tests.support.sandboxes import Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
PATIENCE = 120.0
SPEED = 10
OPTIONS: dict[str, Any] = {"create_window": 10 / SPEED, "look_limit": 9 * SPEED, "poll_interval": 3 / SPEED}
KERNELS, KERNELS_FULL = 3, 8
TASKS = 100
BETWEEN_DEATHS = (30, 60)
"""Creates between two deaths: twenty go out in a second, so that these are some seconds."""
IN_FLIGHT = 16
"""Creates one kernel sends at a time: what its death can leave in doubt."""


@pytest.fixture
def backend() -> str:
    return "postgresql"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "sandbox.sqlite3"


@pytest.fixture
def sandbox(start_sandbox: type[Sandbox], database: Path) -> Iterator[Sandbox]:
    running = start_sandbox("--speed", f"{SPEED}", "--database", str(database))
    yield running
    running.stop()


class Team:
    """Kernels on one store, each with tasks of its own; one that dies is replaced by one that runs the same cell."""

    def __init__(self, start: Callable[[str, list[str]], Kernel], size: int) -> None:
        self._start = start
        self._names = count()
        self.prompts = [[f"a kite {n}-{i:03}, sandbox:seconds=10-30" for i in range(TASKS)] for n in range(size)]
        self.everybody: list[Kernel] = []
        self.alive = [self._begin(number) for number in range(size)]
        self.dead: list[Kernel] = []

    def _begin(self, number: int) -> Kernel:
        kernel = self._start(f"kernel-{next(self._names):02}", self.prompts[number])
        kernel.say(f"ask {TASKS}")
        self.everybody.append(kernel)
        return kernel

    def kill(self, number: int) -> None:
        """Have one die, and another one take its place."""
        self.alive[number].kill()
        self.dead.append(self.alive[number])
        self.alive[number] = self._begin(number)

    def results(self) -> dict[str, dict[str, Any]]:
        """Wait for everything and return prompt -> what its owner sees."""
        found: dict[str, dict[str, Any]] = {}
        for kernel in self.alive:
            assert "ready" in kernel.hear()
            assert kernel.hear() == {"asked": TASKS}
            kernel.say("wait")
        for kernel in self.alive:
            found |= {task["prompt"]: task for task in kernel.hear()}
        return found

    def told(self, event: str, kernels: list[Kernel] | None = None) -> set[str]:
        """Return the tasks of all records of a kind."""
        return {task for kernel in (self.everybody if kernels is None else kernels) for task in kernel.told(event)}


@pytest.fixture
def start(sandbox: Sandbox, location: str, tmp_path: Path) -> Iterator[Callable[[str, list[str]], Kernel]]:
    """Starts kernels on one store and one account."""
    with contextlib.ExitStack() as stack:

        def start_one(name: str, prompts: list[str]) -> Kernel:
            kernel = Kernel(Job(sandbox.url, "team", str(tmp_path), location, name, prompts, OPTIONS))
            stack.callback(kernel.stop)
            return kernel

        yield start_one


def test_an_idle_gallery_shows_what_another_kernel_begins(start: Callable[[str, list[str]], Kernel]) -> None:
    watcher, worker = start("watcher", []), start("worker", ["a red kite", "a blue kite"])
    for kernel in (watcher, worker):
        assert "ready" in kernel.hear()
    watcher.say("watch 2")
    assert "watching" in watcher.hear()
    worker.tell("ask 2")
    assert watcher.hear() == {"seen": 2}
    assert watcher.told("look.sent") == []
    assert [kernel.errors for kernel in (watcher, worker)] == ["", ""]


@pytest.mark.timeout(600)
def test_many_kernels_some_killed_and_the_server_restarted_lose_nothing_and_pay_for_nothing_twice(
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
    start: Callable[[str, list[str]], Kernel],
    sandbox: Sandbox,
    database: Path,
    postgres: Postgres,
    location: str,
) -> None:
    given = request.config.getoption("--seed", default=None)
    seed = int.from_bytes(os.urandom(4)) if given is None else given
    print(f"--seed {seed}")  # noqa: T201 - shown when it fails
    random = Random(seed)  # noqa: S311 - a test's choice
    size = KERNELS_FULL if request.config.getoption("--full", default=False) else KERNELS
    every, begun = size * TASKS, time.monotonic()

    team = Team(start, size)
    deaths = list(_deaths(random, every))
    for moment, is_restart in sorted([*((death, False) for death in deaths), (every // 2, True)]):
        wait_for_creates(sandbox, moment)
        if is_restart:
            postgres.pause()
            postgres.resume()
        else:
            team.kill(random.randrange(size))
    tasks = team.results()
    seconds = time.monotonic() - begun

    stats = sandbox.get("/sandbox/stats")["accounts"][account_of("team")]
    there = made(database, "team")
    unknown = {task["id"] for task in tasks.values() if task["code"] == "UNCONFIRMED"}
    taken = team.told("lease.taken")
    head = "kernels  tasks  creates  429s  busiest  killed  restarts  taken over  in doubt  seconds"
    row = (size, every, stats["creates"], stats["rate_limited"], stats["busiest_creates"], len(team.dead), 1)
    figures = (*row, len(taken), len(unknown), round(seconds))
    cells = (f"{value:>{len(name)}}" for name, value in zip(_columns(head), figures, strict=True))
    table = f"{head}\n{'  '.join(cells)}"
    with capsys.disabled():
        print(f"\n{table}\n--seed {seed}")  # noqa: T201 - the figures are what the test is for

    assert len(tasks) == every
    rows = postgres.rows(str(make_url(location).database), "SELECT id, status, external_task_id FROM tasks")
    assert {task["id"] for task in tasks.values()} == {row[0] for row in rows}, "one row for each request"
    # Nothing is made twice, and whatever was made is known or in doubt.
    assert max(map(len, there.values())) == 1
    assert stats["creates"] == len(there)
    done = {prompt: task for prompt, task in tasks.items() if task["id"] not in unknown}
    assert {prompt: [task["external"]] for prompt, task in done.items()} == {
        prompt: ids for prompt, ids in there.items() if prompt in done
    }
    assert Counter((task["status"], task["saved"]) for task in done.values()) == {("SUCCESS", True): len(done)}
    # In doubt is only what a killed kernel was just sending.
    sending = team.told("submit.slot", team.dead) - team.told("submit.accepted", team.dead)
    assert unknown <= sending
    assert len(unknown) <= IN_FLIGHT * len(team.dead)
    # The limits hold for all of them together.
    assert stats["rate_limited"] == 0
    assert stats["busiest_creates"] <= 20
    assert len(team.dead) == len(deaths) > 0
    assert taken
    assert [kernel.errors for kernel in team.alive] == [""] * size


def wait_for_creates(sandbox: Sandbox, number: int) -> None:
    until(lambda: sandbox.creates >= number, PATIENCE)


def _columns(head: str) -> list[str]:
    return [name for name in head.split("  ") if name]


def _deaths(random: Random, every: int) -> Iterator[int]:
    """Yield the numbers of creates after which a kernel dies; the last fifty of all are left alone."""
    moment = random.randint(*BETWEEN_DEATHS)
    while moment < every - TASKS // 2:
        yield moment
        moment += random.randint(*BETWEEN_DEATHS)
