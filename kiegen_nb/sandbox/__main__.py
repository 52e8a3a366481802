"""``python -m kiegen_nb.sandbox``: arguments and life cycle of the sandbox's process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from .app import Options, Sandbox
from .faults import BadRuleError, Rule, load_rules
from .tasks import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LAST_WORDS = 2.0


def loopback(host: str) -> str:
    """Return the address to bind for a host given by the user.

    Raises:
        argparse.ArgumentTypeError: It is not a loopback address: anyone could spend the sandbox's time,
            and it is a toy that checks no keys.
    """
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return host
    if host == "localhost":
        return "127.0.0.1"
    raise argparse.ArgumentTypeError(
        f"{host!r} is not a loopback address; the sandbox serves this machine only, use 127.0.0.1"
    )


def positive(text: str) -> float:
    """Return a speed: a finite number above 0.

    Raises:
        argparse.ArgumentTypeError: It is not.
    """
    with contextlib.suppress(ValueError):
        number = float(text)
        if 0 < number < float("inf"):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; ends the process with a message when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m kiegen_nb.sandbox",
        description="A local server that behaves as Kie.ai's documented API. Costs nothing, calls nothing.",
    )
    add = parser.add_argument
    add("--port", type=int, required=True, help="port to listen on; 0 picks a free one")
    add("--host", type=loopback, default="127.0.0.1", help="a loopback address (default 127.0.0.1)")
    add("--speed", type=positive, default=1.0, help="how many times faster tasks finish and limits refill")
    add("--database", type=Path, help="SQLite file with the tasks (default: one that is thrown away)")
    add("--seed", type=int, help="repeat ids, durations and the chances of faults for the same order of requests")
    add("--with-parent", action="store_true", help="end when standard input closes")
    add("--http-errors", action="store_true", help="answer errors with real HTTP statuses, not HTTP 200")
    add("--no-limits", action="store_true", help="turn the documented rate limits off")
    add("--today", action="store_true", help="refuse models that left the service, as it most likely does now")
    add("--faults", type=Path, metavar="FILE", help="JSON list of fault rules to begin with")
    add("--hmac-key", default="", help="sign callbacks with this key")
    add("--upload-reply", choices=("both", "endpoint", "quickstart"), default="both", help="form of upload answers")
    add("--upload-life", type=positive, default=86400.0, metavar="SECONDS", help="how long an uploaded file lives")
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace, database: Path, rules: Sequence[Rule] = ()) -> None:
    """Listen until told to stop.

    Args:
        options: The parsed command line.
        database: The SQLite file.
        rules: Fault rules to begin with.

    Raises:
        OSError: The port is taken.
    """
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    _on_signals(loop, ending.set)
    sockets = bind_sockets(options.port, options.host)
    limits = not options.no_limits
    store = Store(database, speed=options.speed, seed=options.seed, limits=limits)
    switches = Options(
        http_errors=options.http_errors,
        limits=limits,
        today=options.today,
        hmac_key=options.hmac_key,
        upload_reply=options.upload_reply,
        upload_life=options.upload_life,
        seed=options.seed,
    )
    sandbox = Sandbox(store, switches)
    sandbox.faults.extend(rules)
    server = HTTPServer(sandbox)
    server.add_sockets(sockets)
    if options.with_parent:
        _watch_parent(lambda: loop.call_soon_threadsafe(ending.set))
    host = f"[{options.host}]" if ":" in options.host else options.host
    base_url = f"http://{host}:{sockets[0].getsockname()[1]}"
    sandbox.callbacks.resume(base_url)
    sys.stdout.write(f"kiegen sandbox listening on {base_url}\n")
    sys.stdout.flush()
    await ending.wait()
    server.stop()
    await server.close_all_connections()
    sandbox.stop()


def _on_signals(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))


def _watch_parent(end: Callable[[], object]) -> None:
    def watch() -> None:
        # os.read rather than sys.stdin, whose lock a thread blocked in it would still hold at shutdown.
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended already, by a signal
            end()
        # The parent is gone: nothing may keep this process, not even a stuck loop.
        threading.Event().wait(LAST_WORDS)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sandbox; returns the exit status."""
    options = arguments(argv)
    try:
        rules = load_rules(options.faults) if options.faults else []
    except BadRuleError as error:
        sys.stderr.write(f"kiegen sandbox: --faults {options.faults}: {error}\n")
        return 2
    with contextlib.ExitStack() as stack:
        if options.database is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kiegen-sandbox-"))
            database = Path(folder, "sandbox.sqlite3")
        else:
            database = options.database
            database.parent.mkdir(parents=True, exist_ok=True)
        try:
            asyncio.run(serve(options, database, rules))
        except OSError as error:
            where = f"{options.host}:{options.port}"
            sys.stderr.write(
                f"kiegen sandbox: cannot listen on {where}: {error.strerror}. "
                "Choose another with --port, or --port 0 for one that is free.\n"
            )
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
