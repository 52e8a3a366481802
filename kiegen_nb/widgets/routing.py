"""On which of the kernel's threads a widget's messages arrive."""

from __future__ import annotations

from typing import Any


def keep_browsers_order(*widgets: Any) -> None:
    """Have the browser's messages to these widgets arrive where the browser sent them, in its order.

    JupyterLab sends all widgets' messages over one subshell, so that they arrive in order also while a cell
    blocks the main thread. ipykernel 7.4 re-routes each to the shell that last wrote to its widget: often the
    main one, where it waits for the cell; and a click could overtake the edit before it and pay for the text of
    before. Our handlers run on any thread, so the browser's own choice stands. Elsewhere this changes nothing.
    """
    for widget in widgets:
        if getattr(widget, "comm", None) is not None:
            widget.comm._reply_subshell_for = None  # noqa: SLF001 - ipykernel reads it, and offers no setting
