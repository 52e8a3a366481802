"""Starts the sandbox as a child process that ends with this one, at most one per file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from kiegen_nb.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

_READY = re.compile(r"http://127\.0\.0\.1:\d+")
_PATIENCE = 20.0  # seconds
_running: dict[Path, tuple[subprocess.Popen[str], str]] = {}
_lock = threading.Lock()


def sandbox_url(database: Path) -> str:
    """Return the address of this process's sandbox on a file, started if it is not running.

    Args:
        database: the sandbox's own SQLite file; any later sandbox on it knows every earlier task.

    Raises:
        SandboxError: if it does not start.
    """
    database = database.absolute()
    with _lock:
        known = _running.get(database)
        if known is not None and known[0].poll() is None:
            return known[1]
        process, url = _start(database)
        _running[database] = (process, url)
        return url


def stop_sandbox(database: Path) -> None:
    """End this process's sandbox on a file, if there is one."""
    with _lock:
        known = _running.pop(database.absolute(), None)
    if known is not None:
        _end(known[0])


def _start(database: Path) -> tuple[subprocess.Popen[str], str]:
    database.parent.mkdir(parents=True, exist_ok=True)
    # The real key is none of the sandbox's business.
    environment = {name: value for name, value in os.environ.items() if name != "KIE_API_KEY"}
    command = [
        sys.executable,
        "-m",
        "kiegen_nb.sandbox",
        "--port",
        "0",
        "--with-parent",
        "--database",
        str(database),
    ]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
            command,
            stdin=subprocess.PIPE,  # its end, also by kill -9 of this process, ends the sandbox
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            # "Interrupt Kernel" signals the kernel's whole process group; the sandbox must not be in it.
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    except OSError as error:
        raise SandboxError(
            f"The sandbox could not be started: {error.strerror}. Free some memory, or set KIE_API_KEY to use Kie "
            "itself; nothing was sent.",
        ) from None
    line = _first_line(process)
    found = _READY.search(line)
    if found is None:
        _end(process)
        raise SandboxError(
            "The sandbox did not start; nothing was sent. "
            "Run python -m kiegen_nb.sandbox --port 0 in a terminal to see why.",
        )
    return process, found.group()


def _first_line(process: subprocess.Popen[str]) -> str:
    lines: list[str] = []

    def read() -> None:
        if process.stdout is not None:
            lines.append(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(_PATIENCE)
    return lines[0] if lines else ""


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.terminate()
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
