"""Sandboxes in processes of their own, forked from one that has imported everything already."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import threading
import types
import urllib.request
from typing import TYPE_CHECKING, Any

from kiegen_nb.sandbox.__main__ import main

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerContext, SpawnContext

# Starting one takes 20 ms instead of 200; where processes cannot fork (Windows), it takes as long as it must.
PROCESSES: ForkServerContext | SpawnContext = (
    multiprocessing.get_context("forkserver")
    if "forkserver" in multiprocessing.get_all_start_methods()
    else multiprocessing.get_context("spawn")
)
PROCESSES.set_forkserver_preload(["kiegen_nb.sandbox.__main__", "urllib.request"])
PATIENCE = 20.0


class Sandbox:
    """A sandbox in a process of its own, and what it counted.

    Args:
        arguments: of ``python -m kiegen_nb.sandbox``, beside the port.
    """

    def __init__(self, *arguments: str) -> None:
        ours, theirs = PROCESSES.Pipe(duplex=False)
        with ours, theirs:
            self.process = PROCESSES.Process(target=_live, args=(theirs, ["--port", "0", *arguments]), daemon=True)
            self.process.start()
            theirs.close()
            assert ours.poll(PATIENCE), "the sandbox did not start"
            self.url: str = ours.recv().split()[-1]

    def get(self, path: str) -> Any:
        """Return the JSON of one of the sandbox's own pages."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as response:  # noqa: S310 - our own loopback
            return json.load(response)

    def post(self, path: str, data: object) -> None:
        """Send JSON to one of the sandbox's own pages."""
        body = json.dumps(data).encode()
        request = urllib.request.Request(f"{self.url}{path}", body, {"Content-Type": "application/json"})  # noqa: S310 - our own loopback
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own loopback

    def faults(self, *rules: dict[str, object]) -> None:
        """Have the next requests go wrong."""
        self.post("/sandbox/faults", list(rules))

    @property
    def creates(self) -> int:
        """How many creates were accepted."""
        return int(self.get("/sandbox/stats")["creates"])

    @property
    def looks(self) -> int:
        """How many looks were asked."""
        return int(self.get("/sandbox/stats")["looks"])

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.join(PATIENCE)
        self.process.close()


def _live(telling: Connection[str, str], arguments: list[str]) -> None:
    """Be a sandbox until told to stop, or until whoever asked for it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    with contextlib.redirect_stdout(types.SimpleNamespace(write=telling.send, flush=lambda: None)):
        sys.exit(main(arguments))
