"""How an answer ends badly: too slow, too short, or with the connection cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError

if TYPE_CHECKING:
    from tornado.iostream import IOStream

# Seconds between two pieces of a slow answer: smooth enough to watch, and rare enough to cost nothing.
TICK = 0.05
# Windows has shorts in its struct linger.
_RESET_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


async def send_badly(stream: IOStream, head: bytes, body: bytes, *, slow: float | None, reset: bool) -> None:
    """Send an answer and end the connection, however much of it the head has announced.

    Args:
        stream: The detached connection.
        head: Status line and headers, with the empty line.
        body: What is sent of the body.
        slow: Bytes of the body per second; None sends at full speed.
        reset: End with a TCP reset; what the caller has not received by then may be lost.
    """
    try:
        # A caller who hangs up first has what the fault was to give.
        with contextlib.suppress(StreamClosedError):
            if slow is None:
                await stream.write(head + body)
            else:
                await stream.write(head)
                await _trickle(stream, body, slow)
    finally:
        hang_up(stream, reset=reset)


async def _trickle(stream: IOStream, body: bytes, slow: float) -> None:
    loop = asyncio.get_running_loop()
    step, began = max(int(slow * TICK), 1), loop.time()
    for sent in range(0, len(body), step):
        await stream.write(body[sent : sent + step])
        await asyncio.sleep(began + min(sent + step, len(body)) / slow - loop.time())


def hang_up(stream: IOStream, *, reset: bool = False) -> None:
    """Close a detached connection, in order or with a TCP reset."""
    if reset and not stream.closed():
        # Some systems refuse it on a connection the caller has closed.
        with contextlib.suppress(OSError):
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_ONCE)
    stream.close()
