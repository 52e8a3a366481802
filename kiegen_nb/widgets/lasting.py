"""`LastingOutput`: HTML beside a live widget, as an ordinary output that stays in the notebook without a kernel."""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import TYPE_CHECKING

from kiegen_nb.engine.journal import note

if TYPE_CHECKING:
    from collections.abc import Callable

PACE = 10.0  # seconds between two updates while something is pending; the last one comes at once


class LastingOutput:
    """One output of a cell, brought up to date from a thread of its own while something changes.

    Args:
        make: makes the HTML; on any thread.
        text: what stands for it where there is no HTML.

    Attributes:
        key: its name, Jupyter's display id.
    """

    def __init__(self, make: Callable[[], str], text: str) -> None:
        self.key = uuid.uuid4().hex
        self._make = make
        self._text = text
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()  # guards the three below
        self._shown: str | None = None
        self._wanted = False
        self._worker: threading.Thread | None = None
        self._over = threading.Event()

    def display(self) -> None:
        """Show it at the end of the running cell, and keep it up to date from now on."""
        from IPython.display import display  # noqa: PLC0415 - a script without a notebook need not have it

        self._context = contextvars.copy_context()
        html = self._make()
        display(self._bundle(html), raw=True, display_id=self.key)  # type: ignore[no-untyped-call]
        with self._lock:
            self._shown = html

    def refresh(self, *, pending: bool) -> None:
        """Have it made again soon, at once if nothing is pending any more. Quick, on any thread."""
        if pending:
            self._over.clear()
        else:
            self._over.set()
        with self._lock:
            if self._shown is None:
                return
            self._wanted = True
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="kiegen-output", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while self._is_wanted():
            try:
                self._update(self._make())
            except Exception as error:  # noqa: BLE001 - nothing above a thread would show it
                note("page.failed", None, repr(error))
            self._over.wait(PACE)

    def _is_wanted(self) -> bool:
        with self._lock:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._worker = None
            return wanted

    def _update(self, html: str) -> None:
        from IPython.display import update_display  # noqa: PLC0415 - as above

        with self._lock:
            if html == self._shown:
                return
            self._shown = html
        self._context.copy().run(update_display, self._bundle(html), raw=True, display_id=self.key)

    def _bundle(self, html: str) -> dict[str, str]:
        return {"text/html": html, "text/plain": self._text}
