"""How a batch looks: as text, as HTML, and as an output that keeps itself up to date until the batch is through.

Every word is escaped: a prompt or a message is text, never markup.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiegen_nb.batch.progress import Progress
    from kiegen_nb.engine.loop import SerialThread

PACE = 1.0  # seconds between two updates of an output
_TOLD = 5  # failures that are shown
_MOST = 300  # characters of each

_BASE = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.45;max-width:640px"
_GREY = "color:var(--jp-ui-font-color2,#666)"
_BAR = "display:flex;height:8px;border-radius:4px;overflow:hidden;margin:6px 0;background:var(--jp-layout-color3,#ddd)"
_GREEN, _RED, _BLUE = (
    "var(--jp-success-color1,#2e7d32)", "var(--jp-error-color1,#c62828)", "var(--jp-brand-color1,#1976d2)",
)  # fmt: skip
_WARN = "border-left:3px solid var(--jp-warn-color1,#e65100);padding-left:8px;margin-top:6px"


def batch_text(name: str, progress: Progress) -> str:
    """Return counts alone: the same batch run again looks the same."""
    items = "1 item" if progress.total == 1 else f"{progress.total:,} items"
    state = "paused, " if progress.paused is not None else ""
    return f"Batch({name!r}, {items}: {state}{progress.counts})"


def batch_html(
    name: str,
    progress: Progress,
    complaints: Sequence[tuple[int, str]],
    *,
    is_live: bool = False,
    is_sandbox: bool = False,
) -> str:
    """Return counts as a bar, and what is wrong.

    Args:
        name: of the batch.
        progress: how far it is.
        complaints: number of an item, and why it failed.
        is_live: say also how long it takes; without that, the same batch run again looks the same.
        is_sandbox: say that nothing of it is real.
    """
    items = "1 item" if progress.total == 1 else f"{progress.total:,} items"
    parts = (
        (progress.succeeded, _GREEN), (progress.failed, _RED), (progress.running, _BLUE),
    )  # fmt: skip
    bar = "".join(
        f'<div style="width:{100 * number / progress.total:.4g}%;background:{colour}"></div>'
        for number, colour in parts
        if number
    )
    head = f"<strong>{escape(name)}</strong>, {items}: {progress.counts}"
    label = f'role="img" aria-label="{progress.done} of {progress.total} done"'
    sandbox = ["<strong>SANDBOX</strong>"] if is_sandbox else []
    lines = [*sandbox, f"<div>{head}</div>", f'<div style="{_BAR}" {label}>{bar}</div>']
    if is_live:
        lines.append(f'<div style="{_GREY}">{escape(progress.times)}</div>')
    if progress.paused is not None:
        lines.append(f'<div style="{_WARN}"><strong>Paused.</strong> {escape(progress.paused)}</div>')
    lines += [f'<div style="{_WARN}">Item {number}: {escape(_cut(text))}</div>' for number, text in complaints[:_TOLD]]
    if len(complaints) > _TOLD:
        lines.append(f'<div style="{_GREY}">and {len(complaints) - _TOLD:,} more failed</div>')
    return f'<div style="{_BASE}">{"".join(lines)}</div>'


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"


class LiveOutput:
    """The output of a cell that shows a batch, updated until nothing changes by itself any more.

    Args:
        bundle: returns how it looks now, and whether that is its end.
        thread: where it is drawn.
    """

    def __init__(self, bundle: Callable[[], tuple[dict[str, str], bool]], thread: SerialThread) -> None:
        self._bundle = bundle
        self._thread = thread
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._ids: list[str] = []
        self._timer: threading.Timer | None = None
        self._is_over = False

    def display(self, *, is_done: bool) -> None:
        """Show it at the end of the running cell."""
        from IPython.display import display  # noqa: PLC0415 - a script without a notebook need not have it

        name = uuid.uuid4().hex
        self._context = contextvars.copy_context()
        bundle, _ = self._bundle()
        display(bundle, raw=True, display_id=name)  # type: ignore[no-untyped-call]
        if not is_done:
            with self._lock:
                self._ids.append(name)
            self.changed()

    def changed(self) -> None:
        """Take in that something changed: it is drawn within a second. Any thread, and cheap."""
        if self._ids and self._timer is None:
            with self._lock:
                if self._timer is None:
                    self._timer = threading.Timer(PACE, self._thread.post, (self._draw,))
                    self._timer.daemon = True
                    self._timer.start()

    def _draw(self) -> None:
        from IPython.display import update_display  # noqa: PLC0415 - as above

        with self._lock:
            self._timer = None
            names = list(self._ids)
        bundle, is_over = self._bundle()
        for name in names:
            self._context.copy().run(update_display, bundle, raw=True, display_id=name)
        if is_over:
            with self._lock:
                self._ids = [name for name in self._ids if name not in names]
        else:
            self.changed()  # the time that is left changes by itself
