"""A real JupyterLab in a real Chromium, with configuration, data and kernels of its own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_KERNEL_READY = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const widget = app.shell.currentWidget;
    if (!widget || !widget.context) return false;
    await widget.context.ready;
    await widget.sessionContext.ready;
    const kernel = widget.sessionContext.session && widget.sessionContext.session.kernel;
    if (!kernel) return false;
    await kernel.info;
    return true;
}"""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one the tests are skipped, except where CI promises it."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "NO CHROMIUM ON THE PATH: the tests in a real JupyterLab did not run (apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Lab:
    """A running JupyterLab."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings()
        self._log = (folder / "lab.log").open("w")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={self.port}"]
        options = {
            "IdentityProvider.token": self.token,
            "ServerApp.root_dir": str(self.root),
            "ServerApp.port_retries": "0",
            "LabApp.expose_app_in_browser": "True",
        }
        self.process = subprocess.Popen(
            command + [f"--{name}={value}" for name, value in options.items()],
            env=self._environment(),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        foreign = ("KIE_", "KIEGEN_", "JUPYTER")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        folders = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "jupyter-data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
            "XDG_DATA_HOME": "data",
        }
        return kept | {name: str(self.folder / value) for name, value in folders.items()}

    def _settings(self) -> None:
        settings = {
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "docmanager-extension/plugin": {"autosave": False},
        }
        for name, values in settings.items():
            file = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))

    def is_up(self) -> bool:
        """Whether the server answers."""
        assert self.process.poll() is None, (self.folder / "lab.log").read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/api/status?token={self.token}"):  # noqa: S310 - our own loopback
            return True
        return False

    def stop(self) -> None:
        """End the server and its kernels."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)
        self._log.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[Lab]:
    """One JupyterLab for all tests; each opens a notebook of its own."""
    assert chromium
    running = Lab(tmp_path_factory.mktemp("lab"))
    try:
        _until(running.is_up)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")  # Playwright's loop runs on this thread meanwhile: no longer than its tests
def browser(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """One browser."""
    from playwright.sync_api import expect, sync_playwright  # noqa: PLC0415 - where it is missing the tests skip

    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path_factory.mktemp("chromium")),
            executable_path=chromium,
            headless=True,
            args=CHROMIUM_ARGUMENTS,
            viewport={"width": 1360, "height": 1000},
        )
        yield context
        context.close()


class Notebook:
    """One notebook open in JupyterLab."""

    def __init__(self, lab: Lab, page: Page, name: str) -> None:
        self.lab = lab
        self.page = page
        self.path = lab.root / name

    def open(self) -> None:
        """Open it, and wait for its kernel."""
        self.page.goto(f"{self.lab.url}/lab/tree/{self.path.name}?token={self.lab.token}&reset")
        self.page.wait_for_function("() => window.jupyterapp !== undefined")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        self.page.wait_for_function(_KERNEL_READY)

    def command(self, name: str, *, wait: bool = True) -> None:
        """Run one of JupyterLab's commands, to its end or not."""
        execute = f"window.jupyterapp.commands.execute('{name}')"
        self.page.evaluate(f"() => {{ {'return ' if wait else ''}{execute}; }}")

    def run_cell(self, number: int, *, wait: bool = True) -> None:
        """Run one cell."""
        select = "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n; }"
        self.page.evaluate(select, number)
        self.command("notebook:run-cell", wait=wait)

    def show_cell(self, number: int) -> None:
        """Scroll to a cell; JupyterLab builds only what is near the window."""
        scroll = "async n => { await window.jupyterapp.shell.currentWidget.content.scrollToItem(n, 'start'); }"
        self.page.evaluate(scroll, number)

    def saved(self) -> dict[str, Any]:
        """Save it and return its file."""
        self.command("docmanager:save")
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page, for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def open_notebook(lab: Lab, browser: BrowserContext) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook: one of the examples by name, or cells given as texts."""
    with contextlib.ExitStack() as stack:

        def opened(name: str, *cells: str) -> Notebook:
            if cells:
                (lab.root / name).write_text(json.dumps(_notebook(cells)))
            else:
                shutil.copy(NOTEBOOKS / name, lab.root / name)
            page = browser.new_page()
            page.set_default_timeout(60_000)
            stack.callback(page.close)
            notebook = Notebook(lab, page, name)
            notebook.open()
            stack.callback(notebook.command, "notebook:shutdown-kernel", wait=False)
            return notebook

        yield opened


def _notebook(cells: tuple[str, ...]) -> dict[str, Any]:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "outputs": [], "execution_count": None, "source": cell}
        for n, cell in enumerate(cells)
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        select.select([], [], [], 0.1)
