"""The board: who waits for the end of a task, and what they may do when they hear of it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from datetime import UTC, datetime

from kiegen_nb.engine.waiting import Board
from kiegen_nb.tasks import GenerationTask, TaskStatus
from tests.support.fake_kie import PATIENCE


def finished(name: str) -> GenerationTask:
    return GenerationTask(
        id=name,
        model="IMAGEN4",
        api_model="google/imagen4",
        provider_params={},
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        status=TaskStatus.SUCCESS,
        activity=None,
    )


def test_whoever_hears_of_an_end_may_ask_for_other_tasks() -> None:
    board = Board(lambda *_: None)
    board.put(finished("a"))
    seen: list[GenerationTask | None] = []
    future: Future[GenerationTask] = Future()
    future.add_done_callback(lambda _: seen.append(board.current("a")))
    # On a thread of its own: one that waits for its own lock would wait for ever.
    asking = threading.Thread(target=board.when_finished, args=("a", future), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    assert seen == [future.result(0)]
