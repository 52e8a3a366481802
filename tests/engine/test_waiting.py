"""Who waits for a task: for its end, or for another kernel to send it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, datetime

from kiegen_nb.engine.held import Held
from kiegen_nb.engine.waiting import Board
from kiegen_nb.tasks import Activity, GenerationTask, TaskStatus
from tests.support.fake_kie import PATIENCE


def task(activity: Activity | None) -> GenerationTask:
    return GenerationTask(
        id="a",
        model="IMAGEN4",
        api_model="google/imagen4",
        provider_params={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        status=TaskStatus.SUCCESS if activity is None else TaskStatus.PENDING,
        activity=activity,
    )


def test_whoever_hears_of_an_end_may_ask_for_other_tasks() -> None:
    board = Board(lambda *_: None)
    board.put(task(None))
    seen: list[GenerationTask | None] = []
    future: Future[GenerationTask] = Future()
    future.add_done_callback(lambda _: seen.append(board.current("a")))
    # On a thread of its own: one that waits for its own lock would wait for ever.
    asking = threading.Thread(target=board.when_finished, args=("a", future), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    assert seen == [future.result(0)]


def test_a_request_of_another_kernel_is_waited_for_until_it_is_certainly_sent() -> None:
    held = Held()
    assert held.ask_for("a") is False
    assert held.awaited(lambda _: None) == set(), "nothing is known of it yet"
    # Seen late, while the other kernel had it queued again already.
    assert held.awaited(lambda _: task(Activity.SUBMITTING)) == {"a"}
    assert held.awaited(lambda _: task(Activity.QUEUED)) == {"a"}
    assert held.awaited(lambda _: task(Activity.WATCHING)) == set()
    assert held.awaited(lambda _: task(Activity.QUEUED)) == set(), "it is forgotten"
