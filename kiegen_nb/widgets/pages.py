"""`Summary`: a group's newest results as ordinary output, which stays in the notebook when the kernel is gone."""

from __future__ import annotations

import contextvars
import hashlib
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from kiegen_nb.engine.journal import note
from kiegen_nb.engine.media import safe_name
from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets.cards import word
from kiegen_nb.widgets.contact_sheet import contact_sheet
from kiegen_nb.widgets.index import IndexPage, is_sandboxed
from kiegen_nb.widgets.summary import SUMMARY_BYTES, SUMMARY_TASKS, summary_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.tasks import GenerationTask

PACE = 10.0  # least seconds between two updates while something is pending
END_PACE = 1.0  # the same when nothing is: the last state must be in the notebook before it is saved
AFTER = 1.0  # seconds the first build leaves to the gallery, which is shown at the same moment
SHARE = 20  # and never more than a twentieth of the time is spent on them
SHEET = "contact-sheet.webp"
CSS_CLASS = "kiegen-summary"

_SMALL = "color:var(--jp-ui-font-color2,#666);font-size:12px;margin:8px 0;font-family:system-ui,sans-serif"
_worker = ThreadPoolExecutor(1, thread_name_prefix="kiegen-pages")


class PageSession(Protocol):
    """What a summary asks of ``kiegen_nb.Session``."""

    @property
    def output_dir(self) -> Path:
        """Where result files are saved."""

    @property
    def account(self) -> str:
        """The account's name."""

    @property
    def is_sandbox(self) -> bool:
        """Whether the service calls itself a sandbox."""

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        """Return the tasks of a group, or all, as the store has them."""

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], object]:
        """Call back on the display thread, now and after every change; returns what ends it."""

    def on_display(self, function: Callable[..., None], *args: Any) -> object:
        """Run a function soon on the display thread, one at a time and in order."""


class Summary:
    """The newest results of a prompt group as one HTML output, kept up to date, and ``index.html`` beside the files.

    The output is ordinary: it is saved with the notebook and shown by viewers without a kernel. A summary of the same
    group takes over from an older one, so running its cell again leaves one, not two.

    Args:
        session: where the tasks come from.
        prompt_id: the group.
        clock: seconds of a clock that never goes back.
        later: calls a function after so many seconds; returns what cancels it.
        worker: makes the pictures and pages, off the display thread.
        pause: sleeps so many seconds, in the worker.

    Attributes:
        version: changes with what is shown; the HTML's outermost element carries it as ``data-kiegen-version``.
        display_id: Jupyter's name of the output.
    """

    def __init__(
        self,
        session: PageSession,
        prompt_id: str = "default",
        *,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], Callable[[], None]] | None = None,
        worker: Executor | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.prompt_id = prompt_id
        self.version = ""
        self._session = session
        self._clock, self._later, self._worker = clock, later or _call_later, worker or _worker
        self._pause = pause
        self._index = IndexPage(session.output_dir)
        self._notebook = notebook_folder()
        self._context = contextvars.copy_context()
        self._end: Callable[[], object] | None = None
        self._promised = False  # whether what is shown tells people to look at the sheet
        self._cell: int | None = None
        self._begin = 0.0  # when the worker may begin
        # All below is touched on the display thread only.
        self._tasks: tuple[GenerationTask, ...] = ()
        self._shown = ""
        self._sent = ""
        self._building = False
        self._not_before = 0.0
        self._cost = 0.0
        self._timer: Callable[[], None] | None = None
        self._closed = False
        self._place = (session.account, str(session.output_dir), prompt_id)
        with _lock:
            older, _current[self._place] = _current.get(self._place), self
        self.display_id: str = uuid.uuid4().hex if older is None else older.display_id
        if older is not None:
            older.close()

    def __repr__(self) -> str:
        return f"Summary({self.prompt_id})"

    def display(self) -> None:
        """Show it at the end of the running cell, and keep it up to date from now on.

        Raises:
            StoreError: the task store could not be read.
        """
        from IPython.display import display  # noqa: PLC0415 - a script without a notebook need not have it

        self._context, self._cell = contextvars.copy_context(), running_cell()
        tasks = self._session.history(self.prompt_id)
        self.version, self._sent = version_of(tasks), self._html(tasks)
        display(self._bundle(self._sent), raw=True, display_id=self.display_id)  # type: ignore[no-untyped-call]
        if self._end is None:
            self._begin = self._clock() + AFTER
            self._end = self._session.subscribe(self.prompt_id, self._on_state)

    _ipython_display_ = display

    def close(self) -> None:
        """Stop keeping it up to date; what is shown stays."""
        if self._end is not None:
            self._end()
        with _lock:
            if _current.get(self._place) is self:
                del _current[self._place]
        self._session.on_display(self._on_close)

    def _on_close(self) -> None:
        self._closed = True
        self._cancel_timer()

    # On the display thread.

    def _on_state(self, state: QueryState) -> None:
        if not state.is_loading:
            self._tasks = state.data
            self._plan()

    def _plan(self) -> None:
        """Update now if it is time, else when it will be."""
        if self._closed or self._building or version_of(self._tasks) == self._shown:
            return
        self._cancel_timer()
        wait = self._not_before + self._pace() - self._clock()
        if wait > 0:
            self._timer = self._later(wait, self._on_timer)
            return
        self._building = True
        try:
            self._worker.submit(self._build, self._tasks)
        except RuntimeError:
            self._closed = True  # the process is ending

    def _on_timer(self) -> None:
        self._session.on_display(self._plan)

    def _pace(self) -> float:
        if any(not task.is_finished for task in self._tasks):
            return max(PACE, SHARE * self._cost)
        return max(END_PACE, self._cost)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer()
            self._timer = None

    def _publish(self, tasks: tuple[GenerationTask, ...], html: str, cost: float) -> None:
        self._building = False
        self._shown = self.version = version_of(tasks)
        self._not_before, self._cost = self._clock(), cost
        if self._closed:
            return
        if html != self._sent:
            self._sent = html
            self._context.copy().run(_update, self._bundle(html), self.display_id)
        self._plan()  # what changed meanwhile

    def _failed(self, tasks: tuple[GenerationTask, ...], reason: str) -> None:
        note("page.failed", None, reason)
        self._building = False
        self._shown, self._not_before = version_of(tasks), self._clock()

    # In the worker.

    def _build(self, tasks: tuple[GenerationTask, ...]) -> None:
        # The worker waits, not a timer: a process that ends waits for it, and so leaves a page with its last results.
        # The first page of a few results is quick, and the summary shall soon name it.
        is_long = len(tasks) > SUMMARY_TASKS or self._index.is_there()
        if is_long and (wait := self._begin - self._clock()) > 0:
            self._pause(wait)
        began = self._clock()
        try:
            self._write_files(tasks)
            html = self._html(tasks)
        except (OSError, KiegenError) as error:
            self._session.on_display(self._failed, tasks, str(error))
        except Exception as error:  # noqa: BLE001 - nothing above a worker would show it
            self._session.on_display(self._failed, tasks, repr(error))
        else:
            self._session.on_display(self._publish, tasks, html, self._clock() - began)

    def _write_files(self, tasks: tuple[GenerationTask, ...]) -> None:
        self._index.write(self._session.history(), is_sandbox=self._session.is_sandbox)
        group = self._group()
        if self._promised and group.is_dir():
            temporary = group / f".{SHEET}.{os.getpid()}.part"
            try:
                contact_sheet(tasks[:SUMMARY_TASKS]).save(temporary, "WEBP", quality=80)
                temporary.replace(group / SHEET)
            finally:
                temporary.unlink(missing_ok=True)

    def _group(self) -> Path:
        return self._index.folder / safe_name(self.prompt_id)

    def _html(self, tasks: tuple[GenerationTask, ...]) -> str:
        lines = [self._links()]
        pending, sheet = sum(not task.is_finished for task in tasks), self._address(self._group() / SHEET)
        if pending and sheet is not None:
            # After a reload of the page JupyterLab drops our updates. What is saved then is this state; its picture
            # is the file in the output folder, which does show how it ended.
            self._promised = True
            style = "display:block;max-width:100%;margin-top:6px"
            lines.append(
                f"{pending:,} pending when this was saved; the output folder shows what became of it:"
                f'<img src="{sheet}" alt="" loading="lazy" style="{style}">'
            )
        return block(tasks, self.prompt_id, lines, cell=self._cell, is_sandbox=self._session.is_sandbox)

    def _links(self) -> str:
        if not self._index.is_there():
            return ""
        address = self._address(self._index.path)
        if address is None:
            return f"All results: <code>{escape(str(self._index.path))}</code>"
        return f'All results: <a href="{address}">{escape(str(self._index.path.relative_to(self._notebook)))}</a>'

    def _address(self, path: Path) -> str | None:
        """Return a file's address as seen from the notebook, None if it is not below its folder."""
        if not path.is_relative_to(self._notebook):
            return None
        return "/".join(quote(part, safe="") for part in path.relative_to(self._notebook).parts)

    def _bundle(self, html: str) -> dict[str, str]:
        return {"text/html": html, "text/plain": repr(self)}


def block(
    tasks: Sequence[GenerationTask],
    group: str,
    lines: Iterable[str] = (),
    *,
    cell: int | None = None,
    is_sandbox: bool = False,
) -> str:
    """Return a summary's HTML, at most `SUMMARY_BYTES` of it.

    Args:
        tasks: newest first.
        group: what a live gallery knows it by.
        lines: HTML that stands below the pictures.
        cell: the number of the cell that shows it.
        is_sandbox: whether the service is the sandbox.
    """
    where = f'<div style="{_SMALL}">{"".join(f"<div>{line}</div>" for line in lines if line)}</div>'
    sandbox = is_sandbox or any(map(is_sandboxed, tasks))
    label = f'<div style="{_SMALL}"><strong>SANDBOX</strong></div>' if sandbox else ""
    told = f'data-kiegen-prompt="{escape(group)}" data-kiegen-version="{version_of(tasks)}"'
    told += "" if cell is None else f' data-kiegen-cell="{cell}"'
    rest = f'<div class="{CSS_CLASS}" {told}>{label}{where}</div>'
    grid = summary_html(tasks, budget=SUMMARY_BYTES - len(rest.encode()))
    return f'<div class="{CSS_CLASS}" {told}>{label}{grid}{where}</div>'


def running_cell() -> int | None:
    """Return the number of the cell that runs, None outside of notebooks."""
    from IPython import get_ipython  # noqa: PLC0415 - a script without a notebook need not have it

    # Whether the shell's own count is this cell's or already the next one's differs between versions of IPython.
    return getattr(getattr(get_ipython(), "displayhook", None), "prompt_count", None)


def version_of(tasks: Iterable[GenerationTask]) -> str:
    """Return a short name of what tasks look like; it is the same in every process."""
    seen = hashlib.sha256()
    for task in tasks:
        files = [(str(asset.path), str(asset.thumbnail), asset.error) for asset in task.assets]
        seen.update(repr((task.id, word(task), task.fail_code, task.fail_msg, files)).encode("utf-8", "replace"))
    return seen.hexdigest()[:12]


def notebook_folder() -> Path:
    """Return the folder of the running notebook, as Jupyter says; else the working folder."""
    named = Path(os.environ.get("JPY_SESSION_NAME", ""))
    return named.parent if named.is_absolute() and named.parent.is_dir() else Path.cwd()


_current: dict[tuple[str, str, str], Summary] = {}
_lock = threading.Lock()


def _update(bundle: dict[str, str], display_id: str) -> None:
    from IPython.display import update_display  # noqa: PLC0415 - as above

    update_display(bundle, raw=True, display_id=display_id)  # type: ignore[no-untyped-call]


def _call_later(seconds: float, function: Callable[[], None]) -> Callable[[], None]:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()
    return timer.cancel
