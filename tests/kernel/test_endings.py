"""Kernels that end: killed or asked to, with tasks pending and a sandbox of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.kernel

SESSION = "from kiegen_nb import Session, Studio, imagen4\nsession = Session()\nquery = session.tasks('kites')"
SUBMIT = """
handles = [session.submit(imagen4(f"kite {n}, sandbox:slow=3"), prompt_id="kites") for n in range(3)]
"""
IDS = "import json\nprint(json.dumps(sorted(task.id for task in query.refetch())))"
ACCEPTED = "query.refetch(); print(sum(task.external_task_id is not None for task in query.data))"
STATES = "print(*(task.status for task in query.data))"


def test_a_killed_kernel_loses_nothing_and_pays_nothing_twice(start_kernel: Any, ended: Any, creates: Any) -> None:
    first = start_kernel()
    first.run(SESSION)
    first.run("await session.submit(imagen4('the first kite, sandbox:slow=0.5'), prompt_id='kites')")
    first.run(SUBMIT)
    first.until(lambda: first.run(ACCEPTED) == "4")
    ids = json.loads(first.run(IDS))
    assert sorted(first.run(STATES).split()) == ["PENDING", "PENDING", "PENDING", "SUCCESS"]
    assert creates(first) == 4
    (sandbox,) = first.sandboxes

    first.kill()
    first.until(lambda: ended(sandbox))
    second = start_kernel()
    second.run(SESSION)

    assert json.loads(second.run(IDS)) == ids
    # Merely opening the session brings them home.
    second.until(lambda: second.run("print(all(task.is_finished for task in query.data))") == "True")
    assert second.run(STATES) == "SUCCESS SUCCESS SUCCESS SUCCESS"
    assert second.run("print(all(task.assets[0].path.is_file() for task in query.data))") == "True"
    # And the cell that submitted them, run again, only waits.
    second.run(SUBMIT)
    again = "import json\nprint(json.dumps(sorted([handle.result().id for handle in handles])))"
    assert set(json.loads(second.run(again))) < set(ids)
    assert json.loads(second.run(IDS)) == ids
    assert creates(second) == 4


def test_a_kernel_killed_while_it_sends_leaves_one_create(start_kernel: Any, sandbox: Any) -> None:
    sandbox.faults({"route": "create", "delay": 3})
    first = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    first.run(SESSION)
    cell = "handle = session.submit(imagen4('a red kite'), prompt_id='kites')\nprint(handle.id)"
    task = first.run(cell)
    first.until(lambda: sandbox.creates == 1)

    first.kill()
    second = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    second.run(SESSION)
    second.run("query.refetch()")
    second.until(lambda: second.run(STATES) == "FAILED")

    # It may have been charged: it is said, and never sent again by itself.
    assert second.run("print(query.data[0].fail_code)") == "UNCONFIRMED"
    assert second.run(cell) == task
    assert second.fail("await handle") == "TaskUnconfirmed"
    assert sandbox.creates == 1


@pytest.mark.parametrize("waits", [False, True], ids=["idle", "while a cell waits"])
def test_a_shutdown_with_work_pending_is_clean(start_kernel: Any, ended: Any, *, waits: bool) -> None:
    kernel = start_kernel()
    kernel.run(SESSION)
    kernel.run("studio = Studio(session=session, prompt_id='kites')\nstudio")
    kernel.run("handle = session.submit(imagen4('a red kite, sandbox:slow=600'), prompt_id='kites')")
    kernel.until(lambda: kernel.run(ACCEPTED) == "1")
    if waits:
        kernel.start("print('waiting')\nhandle.result()").until_text("waiting")
    (sandbox,) = kernel.sandboxes

    status = kernel.shutdown()

    assert status == 0, "it had to be killed"
    log = kernel.log.read_text(encoding="utf-8")
    assert "kiegen" not in log
    # With a cell running, ipykernel 7.4 stumbles over its own closed socket when it sends that cell's reply.
    assert waits or "Traceback" not in log
    kernel.until(lambda: ended(sandbox))
    kernel.drain()
    said = [
        message["content"]["text"]
        for message in kernel.messages
        if message["msg_type"] == "stream" and message["content"]["name"] == "stderr"
    ]
    assert said == []


def test_a_closed_session_takes_its_thread_and_its_sandbox_with_it(start_kernel: Any, ended: Any) -> None:
    kernel = start_kernel()
    kernel.run(SESSION)
    kernel.run("handle = session.submit(imagen4('a red kite, sandbox:slow=600'), prompt_id='kites')")
    kernel.until(lambda: kernel.run(ACCEPTED) == "1")
    (sandbox,) = kernel.sandboxes

    kernel.run("session.close()")

    names = kernel.run("import threading\nprint(*(thread.name for thread in threading.enumerate()))").split()
    assert [name for name in names if name.startswith("kiegen-")] == []
    assert ended(sandbox)
    assert kernel.fail("handle.result()") == "SessionClosed"
