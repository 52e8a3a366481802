"""Kie as scripted answers, and time that stands still: for tests of the engine alone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx

from kiegen_nb.kie.models.imagen4 import imagen4

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle

PATIENCE = 20.0
START = 1_800_000_000.0


class FakeClock:
    """Time that stands still until a test moves it; whoever waits is woken when its time has come."""

    def __init__(self) -> None:
        self.now = START
        self._alarms: list[tuple[float, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await self.wait(asyncio.Event(), seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        if seconds is None:
            await event.wait()
            return
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        alarm = (self.now + max(seconds, 0.0), loop, rung)
        self._alarms.append(alarm)
        waits = [loop.create_task(event.wait()), loop.create_task(rung.wait())]
        try:
            if seconds > 0:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._alarms.remove(alarm)
            for waiting in waits:
                waiting.cancel()

    def jitter(self) -> float:
        return 0.0

    @property
    def alarms(self) -> list[float]:
        """The moments somebody waits for, in seconds from the start."""
        return sorted(round(due - START, 3) for due, _, _ in list(self._alarms))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for due, loop, rung in list(self._alarms):
            if due <= self.now:
                loop.call_soon_threadsafe(rung.set)


class Kie:
    """Kie as scripted answers: creates and looks take the next of theirs, then a usual one."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.creates: list[tuple[float, str]] = []
        self.looks: list[tuple[float, str]] = []
        self.on_create: list[httpx.Response | Exception] = []
        self.on_look: dict[str, list[httpx.Response | Exception]] = {}
        self.before_create: Callable[[], object] = lambda: None
        self.transport = httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        moment = round(self._clock.now - START, 3)
        if request.url.path.endswith("createTask"):
            self.before_create()
            prompt = json.loads(request.content)["input"]["prompt"]
            self.creates.append((moment, prompt))
            return self._next(self.on_create, envelope({"taskId": f"ext {prompt}"}))
        if request.url.path.endswith("recordInfo"):
            external_task_id = request.url.params["taskId"]
            self.looks.append((moment, external_task_id))
            return self._next(self.on_look.get(external_task_id, []), RUNNING)
        return envelope(100)

    def _next(self, answers: list[httpx.Response | Exception], usual: httpx.Response) -> httpx.Response:
        answer = answers.pop(0) if answers else usual
        if isinstance(answer, Exception):
            raise answer
        return answer


def envelope(data: object, code: int = 200, msg: str = "success") -> httpx.Response:
    return httpx.Response(200, json={"code": code, "msg": msg, "data": data})


RUNNING = envelope({"state": "generating"})


def until(condition: Callable[[], object]) -> None:
    """Wait for something another thread does; fail if it never does."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.005)


def submit(engine: Engine, prompt: str = "a", **options: Any) -> TaskHandle:
    return engine.submit(engine.service.prepare(imagen4(prompt)), prompt_id="default", **options)


def settle(engine: Engine) -> None:
    """Let everything that can happen now happen: some rounds through the loop and the store."""
    for _ in range(3):
        engine.thread.run(engine.service.credits())
        engine._database.write(lambda _: None).result(PATIENCE)
