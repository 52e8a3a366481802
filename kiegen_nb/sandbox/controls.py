"""Paths for tests and people, which the service does not have, and the answer to every other path."""

from __future__ import annotations

import json
from importlib import metadata

import tornado.web

from .faults import BadRuleError
from .handlers import BaseHandler


class Stats(BaseHandler):
    """``GET /sandbox/stats``."""

    def get(self) -> None:
        """Answer the counters of all accounts on the file."""
        self.finish({**self.sandbox.store.stats(), "version": _version()})


class Health(BaseHandler):
    """``GET /sandbox/health``."""

    def get(self) -> None:
        """Answer that the server runs."""
        self.finish({"ok": True})


class FaultRules(BaseHandler):
    """``POST`` and ``DELETE /sandbox/faults``: controls for tests."""

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
