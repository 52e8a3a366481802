"""Gives the notebooks an empty store, an output folder and a seeded sandbox of their own.

Fixtures do not reach nbval's cells, but a kernel inherits the environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_stash: dict[str, object] = {}


def pytest_configure(config: pytest.Config) -> None:
    """Start the sandbox and point ``KIEGEN_*`` at it."""
    if config.option.collectonly or hasattr(config, "workerinput"):
        return
    folder = tempfile.mkdtemp(prefix="kiegen-notebooks-")
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--with-parent", "--seed", "1", "--speed", "5"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sandbox.stdout is not None
    url = sandbox.stdout.readline().split()[-1]
    os.environ |= {
        "KIEGEN_BASE_URL": url,
        "KIEGEN_DATABASE_URL": os.path.join(folder, "store.sqlite3"),  # noqa: PTH118 - the environment holds texts
        "KIEGEN_OUTPUT_DIR": os.path.join(folder, "output"),  # noqa: PTH118 - the environment holds texts
        "KIEGEN_POLL_INTERVAL": "0.5",
    }
    os.environ.pop("KIE_API_KEY", None)
    _stash.update(folder=folder, sandbox=sandbox)


def pytest_unconfigure() -> None:
    """End the sandbox and forget its files."""
    sandbox = _stash.get("sandbox")
    if isinstance(sandbox, subprocess.Popen):
        for pipe in (sandbox.stdin, sandbox.stdout):
            if pipe is not None:
                pipe.close()
        sandbox.terminate()
        sandbox.wait(10)
        shutil.rmtree(str(_stash["folder"]), ignore_errors=True)
