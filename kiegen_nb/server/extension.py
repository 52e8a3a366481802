"""`KiegenExtension`: which stores the server reads, and its routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from kiegen_nb.server.stores import Stores
from kiegen_nb.settings import Settings, data_folder

try:
    from jupyter_server.utils import url_path_join
    from traitlets import List, Unicode
    from traitlets.config import LoggingConfigurable

    from kiegen_nb.server.handlers import MEDIA, TASKS, MediaHandler, TasksHandler
except ImportError as error:
    raise ImportError(
        f"The server extension needs jupyter_server ({error}): pip install 'kiegen_nb[lab]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp


class KiegenExtension(LoggingConfigurable):
    """Shows the browser the tasks and files of the user's task stores.

    It reads the two stores in the user's data folder, the one named by ``KIEGEN_DATABASE_URL``, and `stores`.
    """

    stores = List(
        Unicode(),
        help="More task stores to read: paths of SQLite files, or SQLAlchemy URLs.",
    ).tag(config=True)

    def start(self, app: ServerApp) -> None:
        """Add the routes to a server."""
        stores = Stores(self._locations(), self.log)
        base = app.web_app.settings["base_url"]
        app.web_app.add_handlers(  # type: ignore[no-untyped-call]
            ".*$",
            [
                (url_path_join(base, TASKS), TasksHandler, {"stores": stores}),
                (url_path_join(base, MEDIA), MediaHandler, {"stores": stores}),
            ],
        )
        self.log.info("kiegen_nb: tasks and media at %s", url_path_join(base, "kiegen_nb/"))

    def _locations(self) -> list[str]:
        found: list[str] = []
        try:
            found += [str(data_folder() / name) for name in ("kie.sqlite3", "sandbox.sqlite3")]
        except OSError as error:
            self.log.warning("kiegen_nb: the user's data folder cannot be read: %s", error)
        try:
            found += filter(None, [Settings().database_url])
        except ValidationError as error:
            names = ", ".join(str(problem["loc"][0]) for problem in error.errors(include_input=False))
            self.log.warning("kiegen_nb: a setting cannot be used (%s); KIEGEN_DATABASE_URL is not read", names)
        return found + list(self.stores)
