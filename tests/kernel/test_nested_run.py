"""`allow_nested_run`: a script with ``asyncio.run(main())`` works when it is pasted into a cell."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from kiegen_nb import ConfigurationError, allow_nested_run

SCRIPT = """
import asyncio
from kiegen_nb import Session, allow_nested_run, imagen4
allow_nested_run()
session = Session()

async def main():
    handles = [session.submit(imagen4("a red kite"), repeat=number) for number in range(3)]
    async with asyncio.timeout(60):
        tasks = await asyncio.gather(*handles)
    try:
        async with asyncio.timeout(0.05):
            await asyncio.Event().wait()
    except TimeoutError:
        print("timed out")
    return [str(task.status) for task in tasks]

print(asyncio.run(main()))
"""


@pytest.mark.kernel
def test_a_script_with_asyncio_run_works_in_a_cell(kernel: Any, sandbox: Any) -> None:
    assert kernel.run(SCRIPT).splitlines() == ["timed out", "['SUCCESS', 'SUCCESS', 'SUCCESS']"]
    assert sandbox.creates == 3


@pytest.mark.kernel
def test_cells_queued_meanwhile_are_run_and_awaiting_still_works(kernel: Any, sandbox: Any) -> None:
    running = kernel.start(SCRIPT)
    queued = [kernel.start(f"print('cell', {number})") for number in range(3)]
    awaiting = kernel.start("print((await session.submit(imagen4('a blue kite'))).status)")

    assert [cell.finish().text.strip() for cell in queued] == ["cell 0", "cell 1", "cell 2"]
    assert running.finish().error == ""
    assert awaiting.finish().text.strip() == "SUCCESS"
    assert sandbox.creates == 4


@pytest.mark.kernel
def test_without_it_asyncio_stays_as_it_is(kernel: Any) -> None:
    kernel.run("import asyncio\nfrom kiegen_nb import Session, Studio\nsession = Session()\nStudio(session)")

    assert kernel.run("print(hasattr(asyncio, '_nest_patched'))") == "False"


@pytest.mark.long
def test_the_same_script_runs_outside_a_notebook(sandbox: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIEGEN_BASE_URL", sandbox.url)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "['SUCCESS', 'SUCCESS', 'SUCCESS']"


def test_the_archived_original_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)

    with pytest.raises(ConfigurationError, match="Restart the kernel, remove nest_asyncio"):
        allow_nested_run()


async def test_a_loop_of_another_kind_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherLoop:
        pass

    monkeypatch.setattr(asyncio, "get_running_loop", OtherLoop)

    with pytest.raises(ConfigurationError, match="OtherLoop cannot be patched"):
        allow_nested_run()
