"""Several kernels, threads and runs on one store: one of them does the work, all of them see it, none pays twice."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import threading
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import until
from tests.support.kernel_process import Job, Kernel
from tests.support.worlds import SCALED, account_of, picture, requests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kiegen_nb.session import Session
    from tests.support.sandboxes import Sandbox

pytestmark = pytest.mark.stores(long=True)
PATIENCE = 60.0
TASKS = 100
LOOKS = 30.0
"""Looks per second both kernels together may have: far fewer than they would like."""
PROMPTS = [f"a red kite {number:03}, sandbox:seconds=8-30" for number in range(TASKS)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels") / "sandbox.sqlite3"


@pytest.fixture(scope="module")
def shared(start_sandbox: Any, database: Path) -> Iterator[Sandbox]:
    running = start_sandbox("--speed", "20", "--database", str(database))
    yield running
    running.stop()


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """One process for all of this file; each test has a key of its own."""
    return shared


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"key-of-{request.node.name}"


@pytest.fixture
def start(sandbox: Sandbox, key: str, location: str, tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels on one store."""
    with contextlib.ExitStack() as stack:

        def start_one(name: str, prompts: Iterable[str], **more: Any) -> Kernel:
            options = SCALED | more.pop("options", {})
            kernel = Kernel(Job(sandbox.url, key, str(tmp_path), location, name, list(prompts), options, **more))
            stack.callback(kernel.stop)
            return kernel

        yield start_one


def made(database: Path, key: str) -> dict[str, list[str]]:
    """Return prompt -> the ids of the tasks the sandbox made from it."""
    found: dict[str, list[str]] = defaultdict(list)
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        query = "SELECT task_id, param FROM tasks WHERE account = ?"
        for task_id, param in connection.execute(query, (account_of(key),)):
            found[json.loads(json.loads(param)["input"])["prompt"]].append(task_id)
    return found


def expect_one_at_a_time(kernels: list[Kernel]) -> None:
    """Assert that no task is looked at by two kernels, but for one that takes it over."""
    records = sorted((record for kernel in kernels for record in kernel.log), key=lambda record: record["at"])
    seen: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for record in records:
        task, kernel = record["task"], record["kernel"]
        if record["event"] == "lease.taken":
            taken.add((task, kernel))
        if record["event"] == "look.sent":
            assert seen.get(task, kernel) == kernel or (task, kernel) in taken, record
            seen[task] = kernel
            taken -= {(task, other.job.name) for other in kernels}


def expect_limits(sandbox: Sandbox, key: str, kernels: list[Kernel], creates: int) -> None:
    """Assert what all kernels together kept to."""
    stats = sandbox.get("/sandbox/stats")["accounts"][account_of(key)]
    assert (stats["creates"], stats["rate_limited"]) == (creates, 0)
    assert stats["busiest_creates"] <= 20
    sent = sorted(record["at"] for kernel in kernels for record in kernel.log if record["event"] == "look.sent")
    busiest = max(sum(1 for other in sent if moment <= other < moment + 1.0) for moment in sent)
    # A look may leave a moment after its permit; without a common limit there would be twice as many.
    assert busiest <= LOOKS * 1.1 + 1
    arrived = [one["at"] for one in requests_of(sandbox, key, "look")]
    assert len(arrived) <= LOOKS * (max(arrived) - min(arrived)) + LOOKS * 0.1 + 1


def expect_quiet(kernels: list[Kernel]) -> None:
    """Assert that the store never was in anybody's way."""
    for kernel in kernels:
        assert kernel.errors == ""
        words = [record["words"] for record in kernel.log]
        assert not [line for line in words if "locked" in line or "store.trouble" in line]


def start_two(start: Callable[..., Kernel], one: str, other: str, prompts: list[str] = PROMPTS) -> list[Kernel]:
    """Start two kernels that each ask for their own half of the tasks."""
    half = TASKS // 2
    orders = {one: prompts, other: prompts[half:] + prompts[:half]}
    kernels = [start(name, order, options={"look_limit": LOOKS}) for name, order in orders.items()]
    for kernel in kernels:
        kernel.hear()
    for kernel in kernels:
        kernel.say(f"ask {half}")
    return kernels


def test_two_kernels_share_the_work_on_a_hundred_tasks_and_both_see_it_done(
    start: Callable[..., Kernel], sandbox: Sandbox, database: Path, key: str
) -> None:
    kernels = start_two(start, "one", "other")
    assert [kernel.hear() for kernel in kernels] == [{"asked": TASKS // 2}] * 2
    # Now each asks for the other's, too, and waits for all of them.
    for word in (f"ask {TASKS}", "wait"):
        for kernel in kernels:
            kernel.say(word)
    assert [kernel.hear() for kernel in kernels] == [{"asked": TASKS}] * 2
    results = [{task["prompt"]: task for task in kernel.hear()} for kernel in kernels]

    assert results[0] == results[1]
    assert Counter((task["status"], task["saved"]) for task in results[0].values()) == {("SUCCESS", True): TASKS}
    assert made(database, key) == {prompt: [task["external"]] for prompt, task in results[0].items()}
    expect_one_at_a_time(kernels)
    expect_limits(sandbox, key, kernels, TASKS)
    expect_quiet(kernels)
    both = [set(kernel.told("look.sent")) for kernel in kernels]
    assert [len(tasks) for tasks in both] == [TASKS // 2] * 2, "each looks at its own"
    assert not both[0] & both[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kernel_that_is_killed_leaves_its_tasks_to_the_other(
    start: Callable[..., Kernel], sandbox: Sandbox, database: Path, key: str
) -> None:
    # Two seconds and more each, so that none is done yet; and one whose answer is on its way all the time.
    prompts = [prompt.replace("8-30", "40-60") for prompt in PROMPTS]
    sandbox.faults({"route": "create", "match": prompts[2], "delay": 60})
    killed, left = start_two(start, "killed", "left", prompts)
    until(lambda: killed.count("submit.accepted") >= TASKS // 10 and killed.count("look.running") > 0)
    until(lambda: prompts[2] in made(database, key))
    killed.kill()
    assert left.hear() == {"asked": TASKS // 2}
    # Requests it had not sent yet wait until somebody asks for them.
    left.tell("resume")
    assert left.tell(f"ask {TASKS}") == {"asked": TASKS}

    tasks = {task["prompt"]: task for task in left.tell("wait")}

    # A step is told after it was stored, so the last steps may be missing in the log of the dead.
    accepted, begun = set(killed.told("submit.accepted")), set(killed.told("submit.slot"))
    unknown = {task["id"] for task in tasks.values() if task["code"] == "UNCONFIRMED"}
    assert {tasks[prompts[2]]["id"]} <= unknown <= begun - accepted, "in doubt is only what was on its way"
    done = {task["id"]: task for task in tasks.values() if task["id"] not in unknown}
    assert Counter((task["status"], task["saved"]) for task in done.values()) == {("SUCCESS", True): len(done)}
    assert len(tasks) == TASKS
    assert accepted | (set(killed.told("submit.stored")) - begun) <= done.keys()
    there = made(database, key)
    assert max(map(len, there.values())) == 1, "nothing is made twice"
    assert all(there[task["prompt"]] == [task["external"]] for task in done.values())
    taken, seen = set(left.told("lease.taken")), set(left.told("look.sent"))
    assert (taken - unknown) & seen, "some were taken over"
    assert done.keys() <= seen | set(killed.told("look.sent"))
    expect_one_at_a_time([killed, left])
    expect_limits(sandbox, key, [killed, left], sum(map(len, there.values())))
    expect_quiet([left])


def test_restart_and_run_all_sends_neither_an_unconfirmed_nor_a_timed_out_request_again(
    start: Callable[..., Kernel], sandbox: Sandbox, key: str
) -> None:
    prompts = ["a lost kite, sandbox:lost", "an endless kite, sandbox:seconds=86400", "a red kite"]
    runs = []
    for name in ("first", "second"):
        kernel = start(name, prompts, time_limit=0.4)
        kernel.hear()
        kernel.tell(f"ask {len(prompts)}")
        runs.append(kernel.tell("wait"))
        kernel.stop()
        assert kernel.errors == ""

    assert runs[0] == runs[1]
    assert [(task["status"], task["code"], task["raised"]) for task in runs[0]] == [
        ("FAILED", "UNCONFIRMED", "TaskUnconfirmed"), ("FAILED", "TIMEOUT", "TaskTimeout"), ("SUCCESS", None, ""),
    ]  # fmt: skip
    assert len(requests_of(sandbox, key, "create")) == 3


def test_two_threads_that_ask_for_the_same_at_once_pay_once(
    make_session: Callable[..., Session], sandbox: Sandbox, key: str
) -> None:
    sessions = [make_session(api_key=key, **SCALED) for _ in range(2)]
    start, ids = threading.Barrier(2), defaultdict[str, set[str]](set)

    def ask(session: Session) -> None:
        for number in range(10):
            start.wait(PATIENCE)
            ids[f"{number}"].add(session.submit(picture(f"a red kite {number}")).id)

    threads = [threading.Thread(target=ask, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    tasks = sessions[0].tasks()
    until(lambda: len(tasks.data) == 10 and all(task.is_finished for task in tasks.data))

    assert {name: len(found) for name, found in ids.items()} == {f"{number}": 1 for number in range(10)}
    assert len(requests_of(sandbox, key, "create")) == 10


def test_twenty_sessions_look_no_more_often_than_one(
    make_session: Callable[..., Session], sandbox: Sandbox, key: str
) -> None:
    interval = 0.2
    sessions = [make_session(api_key=key, **SCALED | {"poll_interval": interval}) for _ in range(20)]
    handles = [session.submit(picture("a red kite, sandbox:seconds=30")) for session in sessions]
    for handle in handles:
        handle.result(PATIENCE)

    looks = [one["at"] for one in requests_of(sandbox, key, "look")]

    # The first bad look of a new task may be one more; twenty pollers would be twenty times as many.
    assert 2 <= len(looks) <= (looks[-1] - looks[0]) / interval + 3
    assert sum(later - earlier < interval / 4 for earlier, later in pairwise(looks)) <= 1
