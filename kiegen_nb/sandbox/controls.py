"""Paths for tests and people, which the service does not have, and the answer to every other path."""

from __future__ import annotations

import json
import math
from importlib import metadata
from typing import Any

import tornado.web

from .faults import BadRuleError
from .handlers import BaseHandler


class Stats(BaseHandler):
    """``GET /sandbox/stats``."""

    def get(self) -> None:
        """Answer the counters of all accounts on the file, and the busiest moments."""
        journal, stats = self.sandbox.journal, self.sandbox.store.stats()
        for account, counted in stats["accounts"].items():
            counted["busiest_looks"] = journal.busiest_looks(account)
        self.finish({**stats, "busiest_looks": journal.busiest_looks(), "version": _version()})


class ListPage(BaseHandler):
    """A page with a JSON list."""

    def finish_list(self, items: list[dict[str, Any]]) -> None:
        """Answer a list, which tornado's own ``finish`` does not take."""
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(items, ensure_ascii=False))


class Requests(ListPage):
    """``GET /sandbox/requests?since=``: the newest requests of this process, oldest first."""

    def get(self) -> None:
        """Answer those that arrived after ``since`` (Unix seconds; all of them without)."""
        try:
            since = float(self.get_query_argument("since", "0"))
        except ValueError:
            since = math.nan
        if math.isnan(since):
            self.set_status(400)
            self.finish({"ok": False, "error": "since must be a number: seconds since 1970"})
        else:
            self.finish_list(self.sandbox.journal.since(since))


class Tasks(ListPage):
    """``GET /sandbox/tasks``: every task on the file."""

    def get(self) -> None:
        """Answer the tasks, oldest first, with the end that awaits each."""
        self.finish_list(self.sandbox.store.all_tasks())


class Health(BaseHandler):
    """``GET /sandbox/health``."""

    def get(self) -> None:
        """Answer that the server runs."""
        self.finish({"ok": True})


class FaultRules(ListPage):
    """``GET``, ``POST`` and ``DELETE /sandbox/faults``: controls for tests and rehearsals."""

    def get(self) -> None:
        """Answer the rules that wait, in the order in which they are tried."""
        self.finish_list(self.sandbox.faults.waiting())

    def post(self) -> None:
        """Add rules."""
        try:
            waiting = self.sandbox.faults.add(json.loads(self.request.body))
        except (BadRuleError, json.JSONDecodeError, UnicodeDecodeError) as error:
            self.set_status(400)
            self.finish({"ok": False, "error": str(error)})
        else:
            self.finish({"ok": True, "rules": waiting})

    def delete(self) -> None:
        """Forget all rules."""
        self.sandbox.faults.clear()
        self.finish({"ok": True, "rules": 0})


class NoSuchPath(BaseHandler):
    """Every path the service does not have."""

    def prepare(self) -> None:
        """Answer a real HTTP 404."""
        raise tornado.web.HTTPError(404)


def _version() -> str:
    try:
        return metadata.version("kiegen_nb")
    except metadata.PackageNotFoundError:
        return "0+unknown"
