"""Cells that submit and wait: once each, interruptible, restartable, and with callbacks in their own output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kernel

SESSION = "from kiegen_nb import Session, Form, Gallery, Studio, imagen4\nsession = Session()"
SCRIPT = """
import json
task = await session.submit(imagen4("a red kite"))
print(json.dumps([task.id, task.status, str(task.assets[0].path)]))
"""


def test_a_script_cell_makes_a_picture_and_makes_it_once(kernel: Any, sandbox: Any) -> None:
    kernel.run(SESSION)

    first = kernel.run(SCRIPT)
    again = kernel.run(SCRIPT)

    _, status, path = json.loads(first)
    assert status == "SUCCESS"
    assert Path(path).stat().st_size > 0
    assert again == first
    assert sandbox.creates == 1


@pytest.mark.parametrize("wait", [pytest.param("handle.result()", marks=pytest.mark.long), "await handle"])
def test_an_interrupt_ends_the_waiting_and_nothing_else(kernel: Any, sandbox: Any, wait: str) -> None:
    kernel.run(SESSION)
    # Three seconds at the sandbox's speed.
    kernel.run(
        "import asyncio\n"
        "handle = session.submit(imagen4('a red kite, sandbox:slow=60'))\n"
        "other = asyncio.ensure_future(handle._wait())",
    )

    waiting = kernel.start(f"print('waiting')\ntry:\n    {wait}\nfinally:\n    print(handle.status, other.done())")
    waiting.until_text("waiting")
    kernel.interrupt()
    waiting.finish()

    expected = {"KeyboardInterrupt"} if "result" in wait else {"KeyboardInterrupt", "CancelledError"}
    assert waiting.error in expected
    assert waiting.text.split() == ["waiting", "PENDING", "False"]
    assert kernel.run("task = await handle; print(task.status, task.assets[0].path.exists())") == "SUCCESS True"
    assert kernel.run("print((await other).id == handle.result().id)") == "True"
    assert sandbox.creates == 1


def test_an_interrupt_reaches_a_call_that_waits_for_the_service(kernel: Any, sandbox: Any) -> None:
    kernel.run(SESSION)
    sandbox.faults({"route": "credit", "delay": 5})

    waiting = kernel.start("print('waiting')\nsession.credits()").until_text("waiting")
    kernel.interrupt()

    assert waiting.finish().error == "KeyboardInterrupt"
    assert kernel.run("print(session.credits() > 0)") == "True"


def test_on_success_may_submit_and_wait_and_prints_into_the_submitting_cell(kernel: Any, sandbox: Any) -> None:
    kernel.run(
        f"{SESSION}\n"
        "import threading\n"
        "told = threading.Event()\n"
        "def then(task):\n"
        "    second = session.submit(imagen4('a blue kite')).result()\n"
        "    print('then', task.prompt, '|', second.prompt, second.status)\n"
        "    told.set()",
    )

    submitting = kernel.start("handle = session.submit(imagen4('a red kite'), on_success=then)").finish()
    later = kernel.start("print('later', told.wait(30))").finish()
    submitting.until_text("SUCCESS")

    assert submitting.text.strip() == "then a red kite | a blue kite SUCCESS"
    assert later.text.strip() == "later True"
    assert sandbox.creates == 2


def test_on_error_prints_into_the_submitting_cell(kernel: Any) -> None:
    kernel.run(SESSION)

    submitting = kernel.start(
        "handle = session.submit(imagen4('a red kite, sandbox:fail'), on_error=lambda error: print(repr(error.task)))",
    ).finish()
    later = kernel.start("try:\n    handle.result()\nexcept Exception as error:\n    print(type(error).__name__)")
    later.until_text("TaskFailed").finish()
    submitting.until_text("GenerationTask")

    assert "FAILED" in submitting.text
    assert later.text.strip() == "TaskFailed"


def test_twenty_sessions_are_one_engine_thread_and_one_sandbox(start_kernel: Any) -> None:
    kernel = start_kernel()

    names = kernel.run(
        "import threading\n"
        "from kiegen_nb import Session\n"
        "sessions = []\n"
        "for _ in range(20):\n"
        "    session = Session()\n"
        "    sessions.append(session)\n"
        "    session.tasks('kites')\n"
        "print([thread.name for thread in threading.enumerate()].count('kiegen-engine'))",
    )

    assert names == "1"
    assert len(kernel.sandboxes) == 1


def test_a_session_cell_run_twenty_times_starts_nothing_new(start_kernel: Any) -> None:
    kernel = start_kernel()
    cell = "from kiegen_nb import Studio, Session\nsession = Session()\nstudio = Studio(session=session)"

    for _ in range(20):
        kernel.run(cell)

    names = kernel.run("import threading\nprint(*sorted(thread.name for thread in threading.enumerate()))").split()
    assert names.count("kiegen-engine") == 1
    assert names.count("kiegen-display") == 1
    assert len(kernel.sandboxes) == 1


def test_restart_and_run_all_submits_nothing_again(kernel: Any, sandbox: Any) -> None:
    cells = [
        SESSION,
        "studio = Studio(session=session)\nstudio",
        "slow = session.submit(imagen4('a slow kite, sandbox:slow=20'))\nprint(slow.id)",
        SCRIPT,
    ]

    before = [kernel.run(cell) for cell in cells]
    kernel.restart()
    after = [kernel.run(cell) for cell in cells]

    assert after == before
    assert json.loads(after[-1])[1] == "SUCCESS"
    assert kernel.run("print((await slow).status, len(session.tasks().refetch()))") == "SUCCESS 2"
    assert sandbox.creates == 2
