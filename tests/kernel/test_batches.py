"""Batches in real kernels: the same cells again cost nothing, an interrupt ends the waiting, the output keeps up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kernel

SETUP = """
from kiegen_nb import Session, market, sweep
session = Session()
kite = market("nano-banana-2", prompt="a red kite", aspect_ratio="8:1")
plan = sweep(kite, aspect_ratio=["8:1", "4:1"], repeat=2)
"""
CELLS = (
    "batch = await session.batch(plan, 'kites', max_credits=40)\nprint(batch)",
    "print([record['state'] for record in batch.records()], batch.progress.succeeded)",
    "print(batch._repr_html_())",
    "print([task.id async for task in batch.as_completed()] and sorted(task.id for task in batch.results))",
)


def outputs(kernel: Any) -> list[str]:
    kernel.run(SETUP)
    return [kernel.run(cell) for cell in CELLS]


def test_restart_and_run_all_submits_nothing_again_and_shows_the_same(kernel: Any, sandbox: Any) -> None:
    first = outputs(kernel)
    assert first[0] == "Batch('kites', 4 items: 4 succeeded)"
    assert sandbox.creates == 4
    kernel.restart()
    assert outputs(kernel) == first
    assert sandbox.creates == 4


def test_a_kernel_that_dies_in_the_middle_loses_nothing_and_pays_for_nothing_twice(
    start_kernel: Callable[..., Any], sandbox: Any
) -> None:
    plan = SETUP + "plan = sweep(kite, prompt=[f'kite {n}, sandbox:seconds=20' for n in range(8)])\n"
    first = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    first.run(plan + "batch = session.batch(plan, 'kites', concurrency=3)")
    first.until(lambda: sandbox.creates >= 2)
    first.kill()
    second = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    cell = "batch = await session.batch(plan, 'kites')\nprint(batch.progress.done, len(batch.results))"
    done, succeeded = map(int, second.run(plan + cell).split())
    # A create that was not answered when the kernel died is in doubt, and is not sent again.
    assert (done, sandbox.creates <= 8) == (8, True)
    assert succeeded >= sandbox.creates - 3
    assert second.run("again = await session.batch(plan, 'kites')\nprint(again.tasks == batch.tasks)") == "True"
    assert sandbox.creates <= 8


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param("batch.wait()", marks=pytest.mark.long),
        "await batch",
        pytest.param("[task for task in batch.as_completed()]", marks=pytest.mark.long),
    ],
)
def test_an_interrupt_ends_the_waiting_and_nothing_else(kernel: Any, sandbox: Any, wait: str) -> None:
    kernel.run(SETUP)
    # Three seconds at the sandbox's speed.
    kernel.run("batch = session.batch([market('nano-banana-2', prompt='a kite, sandbox:slow=60')], 'kites')")
    waiting = kernel.start(f"print('waiting')\ntry:\n    {wait}\nfinally:\n    print(batch.progress.done)")
    waiting.until_text("waiting")
    kernel.interrupt()
    waiting.finish()
    assert waiting.error in {"KeyboardInterrupt", "CancelledError"}
    assert waiting.text.split() == ["waiting", "0"]
    assert kernel.run("print((await batch).progress.succeeded)") == "1"
    assert sandbox.creates == 1


def test_the_output_of_a_batch_keeps_up_until_it_is_through(kernel: Any) -> None:
    kernel.run(SETUP)
    shown = kernel.start("session.batch(plan, 'kites')").finish()
    [first] = [message["content"] for message in shown.messages if message["msg_type"] == "display_data"]
    name = first["transient"]["display_id"]

    def updates() -> list[str]:
        found = [message for message in kernel.messages if message["msg_type"] == "update_display_data"]
        return [
            one["content"]["data"]["text/html"] for one in found if one["content"]["transient"]["display_id"] == name
        ]

    kernel.until(lambda: any("4 succeeded" in html for html in updates()))
    assert "4 items" in first["data"]["text/html"]
    last = updates()[-1]
    assert "so far" not in last, "what is left in the notebook says nothing that differs from run to run"
    assert kernel.run("print(session.batch(plan, 'kites').wait()._repr_html_())") == last
