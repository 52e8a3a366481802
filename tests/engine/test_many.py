"""Many tasks at once, on a real sandbox twenty times faster than life, while things go wrong."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine import poller
from kiegen_nb.sandbox.plans import chance
from kiegen_nb.tasks import TaskStatus
from tests.conftest import until
from tests.support.worlds import SCALED, account_of, forget_faults, picture, requests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.session import Session
    from tests.support.sandboxes import Sandbox

PATIENCE = 90.0
MANY, SOME = 200, 40
POOR = {"code": 402, "msg": "The current credits are insufficient. Please top up."}
DENIED = {"code": 401, "msg": "You do not have access permissions"}


@pytest.fixture(scope="module")
def shared(start_sandbox: Any) -> Iterator[Sandbox]:
    running = start_sandbox("--speed", "20")
    yield running
    running.stop()


@pytest.fixture
def sandbox(shared: Sandbox) -> Iterator[Sandbox]:
    """One process for all of this file; each test has a key of its own."""
    yield shared
    forget_faults(shared)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    return f"key-of-{request.node.name}"


@pytest.fixture
def session(make_session: Callable[..., Session], key: str) -> Session:
    return make_session(api_key=key, **SCALED)


def ask(session: Session, number: int, prompt: str = "a red kite") -> list[TaskHandle]:
    return [session.submit(picture(f"{prompt} {count}")) for count in range(number)]


def wait_for(handles: list[TaskHandle]) -> Counter[tuple[TaskStatus, str | None]]:
    """Wait for all of them; return how many ended how."""
    until(lambda: all(handle.task.is_finished for handle in handles), PATIENCE)
    return Counter((handle.status, handle.task.fail_code) for handle in handles)


def counted(sandbox: Sandbox, key: str) -> dict[str, int]:
    stats: dict[str, int] = sandbox.get("/sandbox/stats")["accounts"][account_of(key)]
    return stats


def expect_files(handles: list[TaskHandle]) -> None:
    """Assert that every task that has succeeded has its own picture."""
    done = [handle.task for handle in handles if handle.status is TaskStatus.SUCCESS]
    assert [[asset.error for asset in task.assets] for task in done] == [[None]] * len(done)
    assert all(path is not None and path.exists() for task in done for path in [task.assets[0].path])
    assert len({task.assets[0].path for task in done}) == len({task.assets[0].sha256 for task in done}) == len(done)


def expect_limits(sandbox: Sandbox, key: str, creates: int) -> None:
    stats = counted(sandbox, key)
    assert (stats["creates"], stats["rate_limited"]) == (creates, 0)
    assert stats["busiest_creates"] <= 20
    assert 429 not in {one["code"] for one in requests_of(sandbox, key, "look")}


@pytest.mark.parametrize("share", [pytest.param(0.01, marks=pytest.mark.long), 0.2])
def test_two_hundred_tasks_all_succeed_though_looks_are_answered_502(
    request: pytest.FixtureRequest, session: Session, sandbox: Sandbox, key: str, share: float
) -> None:
    given = request.config.getoption("--seed", default=None)
    start = int.from_bytes(os.urandom(4)) if given is None else given
    # A seed by which at least one of the looks is hit, of which each task has one or more.
    seed = next(n for n in itertools.count(start) if any(chance(n, look) < share for look in range(1, MANY)))
    print(f"--seed {seed}")  # noqa: T201 - to have it fail in the same way again
    gateway = {"route": "look", "http": 502, "body": "<html>Bad Gateway</html>"}
    sandbox.faults(gateway | {"probability": share, "seed": seed, "times": 0})

    handles = ask(session, MANY)

    assert wait_for(handles) == {(TaskStatus.SUCCESS, None): MANY}
    expect_files(handles)
    expect_limits(sandbox, key, MANY)
    [rule] = sandbox.get("/sandbox/faults")
    assert rule["fired"] > 0
    assert rule["seen"] >= MANY + rule["fired"]


def test_credits_that_run_out_stop_the_rest_of_a_batch_and_nothing_else(
    session: Session, sandbox: Sandbox, key: str
) -> None:
    paid, poor = 15, {"route": "create", "match": "a poor kite", **POOR}
    sandbox.faults(poor | {"skip": paid, "times": 0})

    handles = ask(session, SOME, "a poor kite")

    assert wait_for(handles) == {(TaskStatus.SUCCESS, None): paid, (TaskStatus.FAILED, "402"): SOME - paid}
    expect_files(handles)
    assert all("Top up" in (handle.task.fail_msg or "") for handle in handles if handle.task.fail_code)
    expect_limits(sandbox, key, paid)

    # Topped up, and the same cell once more: only the refused ones are asked anew.
    forget_faults(sandbox)
    again = ask(session, SOME, "a poor kite")
    assert wait_for(again) == {(TaskStatus.SUCCESS, None): SOME}
    same = {handle.id for handle in handles if handle.status is TaskStatus.SUCCESS}
    assert same < {handle.id for handle in again}
    expect_limits(sandbox, key, SOME)


def test_a_key_that_is_refused_in_the_middle_stops_everything_until_it_works_again(
    session: Session, sandbox: Sandbox, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "PAUSE", 0.5)
    heard = session.events()
    sandbox.faults(
        {"route": "look", "skip": 10, "times": 0, **DENIED},
        {"route": "create", "skip": SOME // 2, "times": 0, **DENIED},
    )
    handles = ask(session, SOME, "a red kite, sandbox:seconds=20")
    until(lambda: any("Check KIE_API_KEY" in pause for pause in session.health().pauses))
    until(lambda: sum(handle.task.fail_code == "401" for handle in handles) == SOME // 2)
    until(lambda: len({event.task.id for event in list(heard._events) if event.name == "paused"}) > 10)

    forget_faults(sandbox)

    assert wait_for(handles) == {(TaskStatus.SUCCESS, None): SOME // 2, (TaskStatus.FAILED, "401"): SOME // 2}
    assert session.health().pauses == ()
    again = ask(session, SOME, "a red kite, sandbox:seconds=20")
    assert wait_for(again) == {(TaskStatus.SUCCESS, None): SOME}
    expect_files(again)
    expect_limits(sandbox, key, SOME)
