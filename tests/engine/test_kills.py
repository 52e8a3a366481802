"""SIGKILL at every step: nothing is lost, nothing is paid for twice, no half file looks like a whole one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.tasks import UNCONFIRMED
from tests.conftest import runs_long, wanted_parameters
from tests.support.kills import UNDISTURBED, Point, Trials
from tests.support.victim import PAIR, PROMPTS, TORN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.kills import Trial

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor fork")
RANDOM = {"short": 4, "long": 10, "full": 50}
BEFORE_SENDING = ("submit.asked", "submit.stored", "submit.slot", "submit.marked")
UNKNOWN = ("submit.marked", "submit.answered")  # here only the dead process knew whether it was sent, and its answer
STEPS = (
    *BEFORE_SENDING, "submit.answered", "submit.accepted", "submit.slot_ended",
    "look.sent", "look.answered", "look.running", "task.succeeded",
    "save.started", "save.receiving", "save.received", "save.checked", "save.thumbnail", "save.sidecar",
    "save.renamed", "save.stored",
)  # fmt: skip
POINTS = (
    *(Point(step) for step in STEPS),
    Point(held=1),
    Point(held=len(PROMPTS)),
    Point("submit.asked", 3),
    Point("submit.marked", 3),
    Point("submit.answered", 2),
    Point("submit.accepted", 4),
    Point("look.sent", 5),
    Point("task.succeeded", 2),
    Point("save.receiving", 2),
    Point("save.sidecar", 3),
    Point("save.stored", 2),
)
SHORT = (
    *(Point(step) for step in ("submit.stored", "submit.marked", "submit.answered", "submit.accepted")),
    *(Point(step) for step in ("look.answered", "save.receiving", "save.renamed")),
    Point(held=len(PROMPTS)),
    Point("task.succeeded", 2),
)  # one of each kind: before, in and after the sending, looking, half a file, a whole one, several at once


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chance" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full", default=False)
        many = RANDOM["full" if full else "long" if runs_long(metafunc.config) else "short"]
        metafunc.parametrize("chance", [Point(chance=number) for number in range(many)], ids=str)


@pytest.fixture(scope="module")
def trials(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    start_sandbox: Callable[..., Any],
) -> Iterator[Trials]:
    seed = request.config.getoption("--seed", default=None)
    running = Trials(
        tmp_path_factory.mktemp("kills"),
        start_sandbox,
        int.from_bytes(os.urandom(4)) if seed is None else seed,
    )
    # Begun here, so that the trials of later tests run while the first waits for its own.
    running.begin(wanted_parameters(request))
    yield running
    running.close()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, id=f"{number:02}-{point}", marks=[] if point in SHORT else pytest.mark.long)
        for number, point in enumerate(POINTS, 1)
    ],
)
def test_a_process_killed_at_a_step_loses_no_task_and_pays_for_none_twice(trials: Trials, point: Point) -> None:
    trial = trials.of(point)

    _check(trial)
    (death,) = trial.deaths
    prompts = {shown["task"]["id"]: _prompt(shown) for shown in trial.recovered.said["tasks"]}
    unknown = {prompts[row["id"]] for row in trial.rows if row["external_task_id"] is None}
    if point.held:
        # All arrived; those whose answers were held are in doubt, whoever else was.
        assert sum(map(len, death.creates.values())) == len(PROMPTS), trial.story
        assert len(unknown) >= point.held, trial.story
        return
    assert death.said["killed"] == point.event, trial.story
    killed = death.said["task"]
    if killed is None:
        assert point.event == "submit.asked", trial.story
        return
    arrived = prompts[killed] in death.creates
    assert arrived == (point.event not in BEFORE_SENDING), trial.story
    # In doubt if it was in doubt, and only then.
    assert (prompts[killed] in unknown) == (point.event in UNKNOWN), trial.story


def test_a_process_killed_anywhere_loses_no_task_and_pays_for_none_twice(trials: Trials, chance: Point) -> None:
    trial = trials.of(chance)
    print(trial.story)  # noqa: T201 - the seed

    _check(trial)


def test_a_process_left_alone_leaves_nothing_in_doubt(trials: Trials) -> None:
    trial = trials.of(UNDISTURBED)

    _check(trial)
    assert {row["fail_code"] for row in trial.rows} == {None, "400"}, trial.story


def _check(trial: Trial) -> None:
    """Assert what holds wherever a process died."""
    assert [death.status for death in trial.deaths] == [-signal.SIGKILL] * len(trial.deaths), trial.story
    assert [scene.status for scene in trial.scenes] == [0, 0], trial.story
    for scene in (*trial.deaths, *trial.scenes):
        assert scene.blemishes == [], trial.story
        assert {prompt: ids for prompt, ids in scene.creates.items() if len(ids) > 1} == {}, trial.story
    rows = {row["id"]: row for row in trial.rows}
    shown = trial.recovered.said["tasks"]
    assert len(rows) == len(shown), trial.story
    assert sorted(_prompt(one) for one in shown) == sorted(PROMPTS), trial.story
    files: dict[str, str] = {}
    for one in shown:
        task, row = one["task"], rows[one["task"]["id"]]
        assert task["activity"] is row["activity"] is None, trial.story
        for name, column in (("status", "status"), ("failCode", "fail_code"), ("externalTaskId", "external_task_id")):
            assert task[name] == row[column], trial.story
        if task["externalTaskId"] is None:
            _check_in_doubt(trial, one)
        else:
            files |= _check_accepted(trial, one)
    assert trial.recovered.files == files, trial.story
    known = {_prompt(one) for one in shown if one["task"]["externalTaskId"] is not None}
    lost = {prompt for prompt in trial.recovered.creates if prompt not in known}
    assert trial.counted == len(known) + len(lost), trial.story
    # One more time, and nothing changes.
    assert trial.again.said["tasks"] == shown, trial.story
    assert trial.again.creates == trial.recovered.creates, trial.story
    assert trial.again.files == files, trial.story


def _check_in_doubt(trial: Trial, one: dict[str, Any]) -> None:
    """Assert that it is said, wherever its owner looks, that a request may have been paid for."""
    assert one["task"]["failCode"] == UNCONFIRMED, trial.story
    assert one["raised"] == "TaskUnconfirmed", trial.story
    assert "may have been charged" in one["task"]["failMsg"], trial.story
    assert "may have been charged" in one["words"], trial.story
    assert "May have been charged" in one["card"], trial.story


def _check_accepted(trial: Trial, one: dict[str, Any]) -> dict[str, str]:
    """Assert that a task the service took has come to its end; return its files."""
    task, prompt = one["task"], _prompt(one)
    assert trial.recovered.creates[prompt] == [task["externalTaskId"]], trial.story
    if prompt == TORN:
        assert (task["status"], task["failCode"], one["raised"]) == ("FAILED", "400", "TaskFailed"), trial.story
        return {}
    assert task["status"] == "SUCCESS", trial.story
    assert len(task["assets"]) == (2 if prompt == PAIR else 1), trial.story
    assert [asset["error"] for asset in task["assets"]] == [None] * len(task["assets"]), trial.story
    assert all(Path(asset["thumbnail"]).exists() for asset in task["assets"]), trial.story
    output = trial.folder / "output"
    return {Path(asset["path"]).relative_to(output).as_posix(): asset["sha256"] for asset in task["assets"]}


def _prompt(one: dict[str, Any]) -> str:
    prompt: str = one["task"]["providerParams"]["input"]["prompt"]
    return prompt
