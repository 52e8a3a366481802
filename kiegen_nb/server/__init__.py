"""The Jupyter Server extension: a group's tasks as JSON, and saved files with Range. It only ever reads.

It runs inside Jupyter's server, not in a kernel; ``jupyter_server`` is needed only there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Add the routes to a server; Jupyter calls this.

    Raises:
        ImportError: jupyter_server is not installed.
    """
    from kiegen_nb.server.extension import KiegenExtension  # noqa: PLC0415 - kernels have no server to extend

    KiegenExtension(parent=app).start(app)
