"""The account's key stays in the kernel's memory."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

KEY = "k-5f0c1d9e7b3a4268-not-a-real-key"
SETUP = """
%xmode Verbose
import asyncio, logging
logging.basicConfig(level=logging.DEBUG)
from kiegen_nb import Session, Studio, imagen4
session = Session()
studio = Studio(session=session, prompt_id="kites")
print(studio.form.button.model_id, studio.gallery.model_id)
"""
REPRS = """
import contextlib, gc
for thing in gc.get_objects():
    if str(type(thing).__module__).startswith("kiegen_nb"):
        with contextlib.suppress(AttributeError):  # one that failed in its constructor
            print(repr(thing))
"""
FAILURES = [
    "session.submit(imagen4('a red kite, sandbox:fail')).result()",
    "await session.submit(imagen4('a red kite, sandbox:refuse'))",
    "Session(base_url='no address')",
    "Session(poll_interval=-1)",
    "session.submit({'model': 'IMAGEN4'})",
]


@pytest.mark.long
def test_the_key_is_in_no_output_no_message_and_no_file(start_kernel: Any, sandbox: Any, tmp_path: Path) -> None:
    kernel = start_kernel(KIEGEN_BASE_URL=sandbox.url, KIE_API_KEY=KEY)
    button, gallery = kernel.run(SETUP).split()[-2:]
    subshell = kernel.subshell()
    kernel.run("studio.form.set(imagen4('a red kite'))\nstudio")
    kernel.say(gallery, {"type": "ready", "view": "v1"}, subshell=subshell).finish()
    kernel.click(button, subshell=subshell).finish()
    kernel.until(lambda: not kernel.state(button)["disabled"])
    kernel.run("task = await session.submit(imagen4('a red kite'), prompt_id='kites')\ndisplay(task, task.assets[0])")
    for code in FAILURES:
        kernel.fail(code)
    sandbox.faults({"route": "credit", "code": 401}, {"route": "look", "http": 500}, {"route": "credit", "http": 500})
    kernel.fail("session.credits()")
    kernel.fail("await session.acredits()")
    kernel.run("display(session, vars(session), vars(session._engine), vars(session._engine.service))")
    kernel.run(REPRS)
    kernel.run("await session.submit(imagen4('another kite'), prompt_id='kites')")

    # It was this key's account that did the work.
    accounts = sandbox.get("/sandbox/stats")["accounts"]
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    assert [name for name in accounts if name in digest or digest[:12] in name], accounts
    assert kernel.run("print(session.account)").endswith(digest[:12])

    said = json.dumps(kernel.messages, default=repr)
    buffers = b"".join(bytes(buffer) for message in kernel.messages for buffer in message["buffers"])
    assert "a red kite" in said
    assert buffers
    assert KEY not in said
    assert KEY.encode() not in buffers
    kernel.shutdown()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {".sqlite3", ".json", ".log"} <= {path.suffix for path in files}
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
