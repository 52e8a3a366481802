"""What a cell leaves that shows a gallery: the live widget, and the summary that stays when the kernel is gone.

The summary is an output of its own: JupyterLab uses no other form of a widget's output than the live one, and keeps an
output up to date in the notebook only where it has an id.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Protocol

from kiegen_nb.engine.journal import note
from kiegen_nb.errors import KiegenError
from kiegen_nb.widgets.pages import Summary, block, running_cell, version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kiegen_nb.tasks import GenerationTask
    from kiegen_nb.widgets.pages import PageSession

ELSEWHERE = "<!-- Live in Jupyter only; the summary below stays. -->"
"""The widget's own HTML: viewers without a kernel shall show nothing in its place."""


class Staying(Protocol):
    """What stays of a widget in the notebook."""

    def display(self) -> None:
        """Show it at the end of the running cell."""


def show(widget: Any, summary: Staying) -> None:
    """Display a widget in the running cell, and what stays of it below."""
    from IPython import get_ipython  # noqa: PLC0415 - a script without a notebook need not have it
    from IPython.display import display  # noqa: PLC0415 - as above

    found = widget._repr_mimebundle_()
    # A closed widget has no live form.
    data, metadata = found if isinstance(found, tuple) else (found or {"text/plain": repr(widget)}, {})
    has_kernel = getattr(get_ipython(), "kernel", None) is not None
    display(data | {"text/html": ELSEWHERE}, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
    if has_kernel:  # a terminal would print it
        summary.display()


class Remains:
    """The summary of one gallery, made when it is first displayed.

    Args:
        session: where the group's tasks come from; None for a gallery of given tasks.
        prompt_id: the group.
        tasks: the given tasks, newest first.
    """

    def __init__(self, session: PageSession | None, prompt_id: str, tasks: Sequence[GenerationTask] = ()) -> None:
        self._session = session
        self._prompt_id = prompt_id
        self._tasks = tuple(tasks)
        self._summary: Summary | None = None
        self._display_id: str | None = None
        self._cell: int | None = None
        # Galleries of given tasks share no group, so each hides its own summary only.
        self.key = prompt_id if session is not None else f"{prompt_id} {version_of(tasks)}"

    def display(self) -> None:
        """Show it at the end of the running cell; a gallery of the same group hands its own over."""
        if self._session is None:
            from IPython.display import display  # noqa: PLC0415 - a script without a notebook need not have it

            self._display_id, self._cell = uuid.uuid4().hex, running_cell()
            display(self._bundle(), raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]
            return
        try:
            self._summary = Summary(self._session, self._prompt_id)
            self._summary.display()
        except KiegenError as error:  # the gallery says it, too
            note("page.failed", None, str(error))

    def become(self, tasks: Sequence[GenerationTask]) -> None:
        """Show other given tasks."""
        self._tasks = tuple(tasks)
        if self._display_id is not None:
            from IPython.display import update_display  # noqa: PLC0415 - as above

            update_display(self._bundle(), raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Stop keeping it up to date; what is shown stays."""
        if self._summary is not None:
            self._summary.close()

    def _bundle(self) -> dict[str, str]:
        html = block(self._tasks, self.key, cell=self._cell)
        return {"text/html": html, "text/plain": f"Summary({self._prompt_id})"}
