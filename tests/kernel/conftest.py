"""Real IPython kernels, driven the way a front end drives them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import time
from collections import ChainMap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PATIENCE = 60.0  # seconds for whatever must come; only there so that nothing hangs
INTERVAL = "0.2"  # seconds between two looks: within the sandbox's limit at its own speed, too
PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}


class Cell:
    """A request to a kernel, and what came back for it so far."""

    def __init__(self, kernel: Kernel, request: str) -> None:
        self._kernel = kernel
        self.request = request

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What came on iopub with this request as its parent."""
        return [message for message in self._kernel.messages if message["parent_header"].get("msg_id") == self.request]

    @property
    def is_done(self) -> bool:
        """Whether the kernel said that it is through with it."""
        return any(
            message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
            for message in self.messages
        )

    @property
    def text(self) -> str:
        """What it printed."""
        return "".join(
            message["content"]["text"]
            for message in self.messages
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout"
        )

    @property
    def error(self) -> str:
        """The name of the exception it ended with, or nothing."""
        names = [message["content"]["ename"] for message in self.messages if message["msg_type"] == "error"]
        return str(names[0]) if names else ""

    @property
    def complaint(self) -> str:
        """The exceptions it ended with, in words."""
        return "\n".join(line for message in self.messages for line in message["content"].get("traceback", []))

    def until_text(self, text: str) -> Cell:
        """Wait until it has printed something."""
        self._kernel.until(lambda: text in self.text or self.is_done)
        assert text in self.text, self.messages
        return self

    def finish(self) -> Cell:
        """Wait for its end."""
        self._kernel.until(lambda: self.is_done)
        return self


class Kernel:
    """A kernel in a process of its own, and everything it ever said on iopub."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.messages: list[dict[str, Any]] = []
        self.log = folder / f"kernel-{time.monotonic_ns()}.log"
        self.manager = KernelManager(
            kernel_name="python3",
            connection_file=str(self.log.with_suffix(".json")),
            shutdown_wait_time=2 * PATIENCE,
        )
        self._log = self.log.open("wb")  # open until the end: a restart uses it again
        self.manager.start_kernel(env=dict(environment), cwd=str(folder), stdout=self._log, stderr=self._log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.process = self._process()

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Take messages in until something is true; fail if it never is."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it never came true; last messages: {self.messages[-5:]}"
            try:
                self.messages.append(self.client.get_iopub_msg(timeout=0.05))
            except queue.Empty:
                continue

    def drain(self) -> None:
        """Take in the last messages of a process that ended."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.messages.append(self.client.get_iopub_msg(timeout=0.5))

    def start(self, code: str, *, subshell: str | None = None) -> Cell:
        """Send a cell without waiting for it."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        return self._send("execute_request", content, subshell)

    def run(self, code: str, *, subshell: str | None = None) -> str:
        """Run a cell that must not fail; return what it printed."""
        cell = self.start(code, subshell=subshell).finish()
        assert not cell.error, cell.complaint
        return cell.text.strip()

    def fail(self, code: str) -> str:
        """Run a cell that must fail; return its exception's name."""
        cell = self.start(code).finish()
        assert cell.error, cell.messages
        return cell.error

    def subshell(self) -> str:
        """Open a subshell, as JupyterLab does for its widgets."""
        if "kernel subshells" not in self.client.kernel_info(reply=True, timeout=PATIENCE)["content"].get(
            "supported_features", []
        ):
            pytest.skip("this ipykernel has no subshells")
        request = self.client.session.msg("create_subshell_request", {})
        self.client.control_channel.send(request)
        while True:
            reply = self.client.get_control_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == request["header"]["msg_id"]:
                assert reply["content"]["status"] == "ok", reply
                return str(reply["content"]["subshell_id"])

    def say(self, comm: str, content: Mapping[str, object], *, subshell: str | None = None) -> Cell:
        """Send a widget a custom message."""
        data = {"method": "custom", "content": dict(content)}
        return self._send("comm_msg", {"comm_id": comm, "data": data}, subshell)

    def set(self, comm: str, *, subshell: str | None = None, **traits: object) -> Cell:
        """Change a widget's traits in the browser."""
        data = {"method": "update", "state": traits, "buffer_paths": []}
        return self._send("comm_msg", {"comm_id": comm, "data": data}, subshell)

    def click(self, comm: str, *, subshell: str | None = None) -> Cell:
        """Click a button."""
        return self.say(comm, {"event": "click"}, subshell=subshell)

    def heard(self, comm: str) -> list[dict[str, Any]]:
        """Return the custom messages a widget sent, oldest first."""
        return [data["content"] for data in self._of(comm) if data.get("method") == "custom"]

    def state(self, comm: str) -> Mapping[str, Any]:
        """Return a widget's traits as a front end knows them by now."""
        return ChainMap(*(data["state"] for data in reversed(self._of(comm)) if "state" in data))

    def interrupt(self) -> None:
        """Do what the Interrupt button does."""
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        """Do what the Restart button does."""
        self.manager.restart_kernel(now=False)
        self.client.wait_for_ready(timeout=PATIENCE)
        self.process = self._process()

    def kill(self) -> None:
        """End the process without a warning."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def shutdown(self) -> int:
        """Ask the kernel to end; return its exit status, which is negative if it had to be killed."""
        self.manager.shutdown_kernel(now=False)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Release everything, whatever state it is in."""
        self.client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)
        else:
            self.manager.cleanup_resources()
        self._log.close()

    @property
    def sandboxes(self) -> list[int]:
        """The process numbers of its children that are sandboxes."""
        return [pid for pid in _children(self.process.pid) if b"kiegen_nb.sandbox" in _command(pid)]

    def _process(self) -> subprocess.Popen[bytes]:
        process = getattr(self.manager.provisioner, "process", None)
        assert isinstance(process, subprocess.Popen)
        return process

    def _of(self, comm: str) -> list[dict[str, Any]]:
        return [
            message["content"]["data"]
            for message in self.messages
            if message["msg_type"] in {"comm_open", "comm_msg"} and message["content"]["comm_id"] == comm
        ]

    def _send(self, kind: str, content: dict[str, Any], subshell: str | None) -> Cell:
        message = self.client.session.msg(kind, content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(message)
        return Cell(self, message["header"]["msg_id"])


def is_gone(pid: int) -> bool:
    """Whether a process ended; a zombie did, somebody only has not asked yet."""
    return _stat(pid)[:1] in ([], ["Z"], ["X"])


def _children(parent: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [pid for pid in pids if _stat(pid)[1:2] == [str(parent)]]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture
def ended() -> Callable[[int], bool]:
    """Tells whether a process has ended."""
    return is_gone


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels in the test's folder, all on one store; without a base URL they use the embedded sandbox."""
    kernels: list[Kernel] = []

    def start(**variables: str) -> Kernel:
        # Also without PYTEST_CURRENT_TEST, which makes a kernel leave its file descriptors alone.
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("KIE_", "KIEGEN_", "PYTEST_")) and name.lower() not in PROXIES
        }
        own = {
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "KIEGEN_DATABASE_URL": str(tmp_path / "store.sqlite3"),
            "KIEGEN_OUTPUT_DIR": str(tmp_path / "output"),
            "KIEGEN_POLL_INTERVAL": INTERVAL,
        }
        kernel = Kernel(tmp_path, kept | own | variables)
        kernels.append(kernel)
        return kernel

    yield start
    for kernel in kernels:
        kernel.close()


@pytest.fixture
def kernel(start_kernel: Callable[..., Kernel], sandbox: Any) -> Kernel:
    """A kernel whose sessions use the fast sandbox."""
    return start_kernel(KIEGEN_BASE_URL=sandbox.url)


@pytest.fixture
def creates() -> Callable[[Kernel], int]:
    """Asks a kernel's embedded sandbox how many creates were accepted; the kernel holds a ``session``."""
    code = (
        "import json, urllib.request\n"
        "with urllib.request.urlopen(session._engine.service._base_url + '/sandbox/stats') as answer:\n"
        "    print(json.dumps(json.load(answer)))\n"
    )
    return lambda kernel: int(json.loads(kernel.run(code))["creates"])
