"""Widgets in a kernel: clicks from the main thread and from subshells, and a gallery that moves while a cell runs."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kernel

FORM = """
import threading
from kiegen_nb import Form, Gallery, Session, imagen4
session = Session()
clicked = []
form = Form(
    imagen4("a red kite"), session=session, prompt_id="kites",
    on_submit=lambda handle: clicked.append((threading.current_thread().name, handle.id)),
)
gallery = Gallery("kites", session=session)
query = session.tasks("kites")
release = threading.Event()
print(form.button.model_id, gallery.model_id)
"""
BUSY = "print('busy')\nrelease.wait(20)"


@contextlib.contextmanager
def stopped(sandbox: Any) -> Iterator[None]:
    """Hold the sandbox, so that no answer comes."""
    os.kill(sandbox.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(sandbox.process.pid, signal.SIGCONT)


def answered(kernel: Any, button: str) -> None:
    """Wait until the browser shows a button that can be clicked again."""
    kernel.until(lambda: not kernel.state(button)["disabled"])
    assert kernel.state(button)["description"] == "Generate"


def cards(kernel: Any, gallery: str) -> dict[str, list[str]]:
    """Return the kinds of cards a front end was told for each task, one after the other."""
    kinds: dict[str, list[str]] = {}
    for message in kernel.heard(gallery):
        for item in message.get("items", ()):
            kinds.setdefault(item["id"], []).append(item["kind"])
    return kinds


def test_clicks_work_from_the_main_thread_and_from_a_subshell(kernel: Any, sandbox: Any) -> None:
    button, _ = kernel.run(FORM).split()
    subshell = kernel.subshell()

    # While idle, as JupyterLab sends it.
    kernel.click(button, subshell=subshell).finish()
    answered(kernel, button)
    assert sandbox.creates == 1

    # While a cell blocks the main thread.
    busy = kernel.start(BUSY).until_text("busy")
    for expected in (2, 3):
        kernel.click(button, subshell=subshell).finish()
        answered(kernel, button)
        assert sandbox.creates == expected
    assert not busy.is_done
    kernel.run("release.set()", subshell=subshell)
    assert not busy.finish().error

    # With the setting that keeps widgets on the main shell.
    kernel.click(button).finish()
    answered(kernel, button)

    assert sandbox.creates == 4
    threads = kernel.run("print(*(name for name, _ in clicked))").split()
    assert len(threads) == 4
    assert "MainThread" in threads
    assert any(name.startswith("subshell") for name in threads)
    shown = "print(len({task.id for task in query.refetch()} & {name for _, name in clicked}))"
    assert kernel.run(shown) == "4"


def test_clicks_reach_a_cell_that_awaits(kernel: Any, sandbox: Any) -> None:
    button, _ = kernel.run(FORM).split()
    subshell = kernel.subshell()

    waiting = kernel.start(
        "import asyncio\n"
        "print('busy')\n"
        "while not (clicked and session.tasks('kites').refetch()):\n"
        "    await asyncio.sleep(0.02)\n"
        "print((await session.submit(imagen4('a red kite'), prompt_id='kites')).id == clicked[0][1])",
    ).until_text("busy")
    kernel.click(button, subshell=subshell)

    assert waiting.finish().text.split() == ["busy", "True"]
    answered(kernel, button)
    assert sandbox.creates == 1


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "while a cell blocks"])
def test_a_second_click_before_the_answer_is_dropped(kernel: Any, sandbox: Any, *, is_busy: bool) -> None:
    button, _ = kernel.run(FORM).split()
    subshell = kernel.subshell()
    kernel.click(button, subshell=subshell).finish()
    answered(kernel, button)
    busy = kernel.start(BUSY).until_text("busy") if is_busy else None

    with stopped(sandbox):
        kernel.click(button, subshell=subshell).finish()
        assert dict(kernel.state(button))["disabled"]
        kernel.click(button, subshell=subshell if is_busy else None).finish()
        state = "print(form.is_busy, len(clicked), form.button.description)"
        assert kernel.run(state, subshell=subshell) == "True 2 Submitting…"
    answered(kernel, button)

    assert sandbox.creates == 2
    # The third click after the answer counts again.
    kernel.click(button, subshell=subshell).finish()
    answered(kernel, button)
    assert sandbox.creates == 3
    kernel.run("release.set()", subshell=subshell)
    if busy is not None:
        busy.finish()
    assert kernel.run("print(len(query.refetch()))") == "3"


def test_clicks_on_two_threads_at_once_make_one_task(kernel: Any, sandbox: Any) -> None:
    kernel.run(FORM)

    with stopped(sandbox):
        kernel.run(
            "gate = threading.Barrier(8)\n"
            "def press():\n"
            "    gate.wait(30)\n"
            "    form.button.click()\n"
            "threads = [threading.Thread(target=press) for _ in range(8)]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join(30)",
        )
    kernel.run("session.submit(imagen4('a red kite'), prompt_id='kites').result()")

    assert kernel.run("print(len(clicked), len(query.refetch()))") == "1 1"
    assert sandbox.creates == 1


def test_a_refused_request_is_said_at_the_form(kernel: Any, sandbox: Any) -> None:
    button, _ = kernel.run(FORM).split()
    status = kernel.run("form.set(imagen4('a red kite, sandbox:refuse'))\nprint(form.status.model_id)")

    kernel.click(button, subshell=kernel.subshell()).finish()
    answered(kernel, button)
    kernel.until(lambda: "Not sent:" in kernel.state(status)["value"])

    assert sandbox.creates == 0


def test_queries_and_galleries_follow_while_a_cell_blocks(kernel: Any, sandbox: Any) -> None:
    button, _ = kernel.run(FORM).split()
    subshell = kernel.subshell()
    kernel.click(button, subshell=subshell).finish()
    answered(kernel, button)

    busy = kernel.start(BUSY).until_text("busy")
    kernel.click(button, subshell=subshell).finish()
    state = "print(*sorted(task.status for task in gallery.tasks), *sorted(task.status for task in query.data))"
    kernel.until(lambda: kernel.run(state, subshell=subshell) == "SUCCESS SUCCESS SUCCESS SUCCESS")
    assert not busy.is_done
    kernel.run("release.set()", subshell=subshell)
    busy.finish()

    later = "print(*(task.status for task in session.tasks('kites').refetch()))"
    assert kernel.run(later) == "SUCCESS SUCCESS"
    assert sandbox.creates == 2


@pytest.mark.parametrize(
    "work", ["threading.Event().wait(0.05)", "[n * n for n in range(500_000)]"], ids=["waiting", "computing"]
)
def test_the_gallery_shows_a_result_before_a_busy_cell_ends(
    kernel: Any, sandbox: Any, tmp_path: Path, work: str
) -> None:
    _, gallery = kernel.run(FORM).split()
    kernel.say(gallery, {"type": "ready", "view": "v1"}).finish()
    kernel.until(lambda: [message for message in kernel.heard(gallery) if message["type"] == "snapshot"])
    handle = "handle = session.submit(imagen4('a green kite, sandbox:slow=20'), prompt_id='kites')\nprint(handle.id)"
    task = kernel.run(handle)

    busy = kernel.start(f"from pathlib import Path\nprint('busy')\nwhile not Path('go').exists():\n    {work}")
    busy.until_text("busy")
    kernel.until(lambda: busy.is_done or cards(kernel, gallery).get(task, [""])[-1] == "done")
    assert not busy.is_done
    assert "pending" in cards(kernel, gallery)[task]
    done = [message for message in kernel.messages if message["msg_type"] == "comm_msg" and message["buffers"]]
    assert bytes(done[-1]["buffers"][0])[8:12] == b"WEBP"

    (tmp_path / "go").touch()
    assert not busy.finish().error
    assert kernel.run("print(handle.status)") == "SUCCESS"
    assert sandbox.creates == 1


def test_a_widget_first_used_while_a_cell_blocks_answers_at_once(kernel: Any, sandbox: Any) -> None:
    # "Run all": the browser draws form and gallery when the next cell blocks already.
    button, gallery = kernel.run(FORM).split()
    subshell = kernel.subshell()

    busy = kernel.start(BUSY).until_text("busy")
    kernel.say(gallery, {"type": "ready", "view": "v1"}, subshell=subshell)
    kernel.click(button, subshell=subshell)
    kernel.until(lambda: busy.is_done or [kinds for kinds in cards(kernel, gallery).values() if kinds[-1] == "done"])
    assert not busy.is_done
    (task,) = cards(kernel, gallery)
    kernel.say(gallery, {"type": "full", "id": task, "n": 0, "request": "r1"}, subshell=subshell)
    kernel.until(lambda: busy.is_done or [message for message in kernel.heard(gallery) if message["type"] == "full"])
    assert not busy.is_done
    assert kernel.heard(gallery)[-1]["ok"]

    kernel.run("release.set()", subshell=subshell)
    busy.finish()
    assert sandbox.creates == 1


@pytest.mark.parametrize("is_busy", [False, True], ids=["idle", "while a cell blocks"])
def test_the_prompt_typed_last_is_the_one_that_is_sent(kernel: Any, sandbox: Any, *, is_busy: bool) -> None:
    button, _ = kernel.run(FORM).split()
    prompt = kernel.run("print(form.controls['prompt'].input.model_id)")
    subshell = kernel.subshell()
    # The button's messages may now take another way than the text's, which never came yet.
    kernel.click(button, subshell=subshell).finish()
    answered(kernel, button)
    busy = kernel.start(BUSY).until_text("busy") if is_busy else None

    for text in ("a green kite", "a blue kite"):
        kernel.set(prompt, subshell=subshell, value=text)
        kernel.click(button, subshell=subshell).finish()
        answered(kernel, button)

    sent = "print(*sorted(task.prompt for task in query.refetch()), sep=', ')"
    assert kernel.run(sent, subshell=subshell) == "a blue kite, a green kite, a red kite"
    assert busy is None or not busy.is_done
    kernel.run("release.set()", subshell=subshell)
    assert sandbox.creates == 3
