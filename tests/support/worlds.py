"""Two worlds in which things go wrong: Kie as a script with time that stands still, and a real sandbox in a hurry."""

from __future__ import annotations

import errno
import hashlib
import json
import socket
import time
import urllib.request
from collections import Counter
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.engine.partial import Partial
from kiegen_nb.engine.transitions import Accepted
from kiegen_nb.errors import StoreError
from kiegen_nb.kie.models.market import market
from tests.support.fake_kie import START, FakeClock, Kie, envelope, settle, until

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.engine.journal import EventStream
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.session import Session
    from kiegen_nb.tasks import Activity, GenerationTask, TaskStatus
    from tests.support.sandboxes import Sandbox

Answer = httpx.Response | Exception
SPEED = 20
"""How many times faster than life the sandbox and, in its world, the session are."""
SCALED: dict[str, Any] = {"create_window": 0.5, "look_limit": 180, "poll_interval": 0.15}
"""What a session with an ordinary clock needs on a sandbox of that speed: Kie's limits, twenty times faster."""
DONE = envelope({"state": "success", "resultJson": '{"resultObject": {"ok": 1}}', "creditsConsumed": 4})
BAD, HEALTHY = "bad", "healthy"
AFTERWARDS = 7200.0  # seconds that are waited to see whether a task is looked at once more


def picture(prompt: str) -> KieParams:
    """Ask for a picture so flat that a hundred of them are drawn in a second."""
    return market("nano-banana-2", prompt=prompt, aspect_ratio="8:1")


def speech(prompt: str) -> KieParams:
    """Ask for something that comes inside the answer, so that there is no file to fetch."""
    return market("elevenlabs/speech-to-text", audio_url=f"https://example.com/{prompt}.mp3")


def account_of(key: str) -> str:
    """Return what the sandbox calls the account of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def forget_faults(sandbox: Sandbox) -> None:
    """Have everything go well again."""
    request = urllib.request.Request(f"{sandbox.url}/sandbox/faults", method="DELETE")  # noqa: S310 - our own loopback
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 - our own loopback


def requests_of(sandbox: Sandbox, key: str, route: str) -> list[dict[str, Any]]:
    """Return what was sent with a key to a route, oldest first."""
    served: list[dict[str, Any]] = sandbox.get("/sandbox/requests")
    return [one for one in served if one["account"] == account_of(key) and one["route"] == route]


@dataclass(frozen=True, slots=True)
class Script:
    """What a scripted Kie answers about the bad task.

    Attributes:
        creates: answers to the first creates; the later ones are accepted.
        looks: answers to the first looks.
        then: the answer to every later look.
        unstored: how often the store refuses to take the answer to a create.
        interval: seconds between two looks.
        step: seconds by which time goes on.
        lasting: seconds after which a task that never ends has been watched for long enough; 0 for one that does.
    """

    creates: tuple[Answer, ...] = ()
    looks: tuple[Answer, ...] = ()
    then: Answer = DONE
    unstored: int = 0
    interval: float = 3.0
    step: float = 3.0
    lasting: float = 0.0


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong at a real sandbox.

    Attributes:
        rules: its fault rules; ``CLOSED`` in a body becomes an address at which nobody listens.
        prompt: what is asked for.
        patience: real seconds after which the session gives an unanswered create up; None leaves the usual minute.
        down: when nobody listens at its address: at the ``"create"``, at the first ``"look"``, or never.
        full: whether the disk is full where the bad task's files go.
    """

    rules: tuple[dict[str, object], ...] = ()
    prompt: str = BAD
    patience: float | None = None
    down: str = ""
    full: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of the bad task, and of the healthy one beside it.

    Attributes:
        sent: creates of the bad task that reached the service.
        sent_anew: whether the same cell, run again, sends it once more.
        looks_again: whether it is still looked at.
        said: everything it said to its owner, in one text.
        saved: whether every result has its file.
    """

    status: TaskStatus
    fail_code: str | None
    activity: Activity | None
    sent: int
    sent_anew: bool
    looks_again: bool
    said: str
    saved: bool
    healthy: TaskStatus


class LivelyClock(FakeClock):
    """Time that stands still, but for the shortest sleeps: with them an engine ends as it does in life."""

    async def sleep(self, seconds: float) -> None:
        await (SystemClock().sleep(0.002) if seconds < 0.1 else super().sleep(seconds))


class HastyClock(SystemClock):
    """A clock that runs as fast as the sandbox."""

    def time(self) -> float:
        return START + SPEED * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / SPEED)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        await super().wait(event, None if seconds is None else seconds / SPEED)


class ScriptedKie(Kie):
    """Kie with a script for each prompt; without one all goes well."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.scripts: dict[str, Script] = {}
        self.arrived: list[str] = []
        """The prompts of the creates that reached Kie."""

    def asked(self, prompt: str) -> tuple[int, int]:
        """Return how many creates and looks there were for a prompt, whether they arrived or not."""
        creates = sum(1 for _, other in self.creates if other == prompt)
        return creates, sum(1 for _, task_id in self.looks if task_id == f"ext {prompt}")

    def _handle(self, request: httpx.Request) -> httpx.Response:
        moment = round(self._clock.now - START, 3)
        if request.url.path.endswith("createTask"):
            prompt = json.loads(request.content)["input"]["prompt"]
            script, number = self.scripts.get(prompt, Script()), self.asked(prompt)[0]
            self.creates.append((moment, prompt))
            answer = script.creates[number] if number < len(script.creates) else envelope({"taskId": f"ext {prompt}"})
            if not isinstance(answer, httpx.ConnectError | httpx.ConnectTimeout):
                self.arrived.append(prompt)
            return _given(answer)
        if request.url.path.endswith("recordInfo"):
            task_id = request.url.params["taskId"]
            prompt = task_id.removeprefix("ext ")
            script, number = self.scripts.get(prompt, Script()), self.asked(prompt)[1]
            self.looks.append((moment, task_id))
            return _given(script.looks[number] if number < len(script.looks) else script.then)
        return envelope(100)


def _given(answer: Answer) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


class ScriptedWorld:
    """Engines on a scripted Kie, and time that moves when it is told to."""

    def __init__(self, make_engine: Callable[..., Engine], kie: ScriptedKie, clock: FakeClock) -> None:
        self._make_engine = make_engine
        self._kie = kie
        self._clock = clock

    def play(self, ways: Mapping[str, Script]) -> dict[str, Ending]:
        """Let tasks meet their faults, all in one session with a healthy one; return how they ended.

        Args:
            ways: name -> script; all are in as much of a hurry.
        """
        pace = next(iter(ways.values()))
        engine = self._make_engine(pace.interval)
        heard = engine.events(None)
        self._kie.scripts = {f"{BAD} {name}": script for name, script in ways.items()}
        if pace.unstored:
            self._refuse_answers(engine, pace.unstored)
        bad = {prompt: _submit(engine, prompt) for prompt in self._kie.scripts}
        healthy = _submit(engine, HEALTHY)
        begun = self._clock.now

        def is_over() -> bool:
            lasted = self._clock.now >= begun + pace.lasting if pace.lasting else True
            ended = all(self._is_through(prompt, ended=not pace.lasting, handle=bad[prompt]) for prompt in bad)
            return lasted and ended and healthy.task.is_finished

        self._until(engine, is_over, pace.step)
        tasks, looks = {prompt: handle.task for prompt, handle in bad.items()}, {p: self._kie.asked(p)[1] for p in bad}
        for _ in range(4):
            self._clock.advance(AFTERWARDS / 4)
            settle(engine)
        looks_again = {prompt: self._kie.asked(prompt)[1] > looks[prompt] for prompt in bad}
        sent = {prompt: self._kie.arrived.count(prompt) for prompt in bad}
        for prompt in bad:
            _submit(engine, prompt)
        settle(engine)
        until(lambda: not engine.sending)
        return {
            name: Ending(
                status=tasks[prompt].status,
                fail_code=tasks[prompt].fail_code,
                activity=tasks[prompt].activity,
                sent=sent[prompt],
                sent_anew=self._kie.arrived.count(prompt) > sent[prompt],
                looks_again=looks_again[prompt],
                said=_said(heard, bad[prompt]),
                saved=_is_saved(bad[prompt]),
                healthy=healthy.status,
            )
            for name, prompt in zip(ways, bad, strict=True)
        }

    @staticmethod
    def _refuse_answers(engine: Engine, times: int) -> None:
        """Have the store take a create's answer only when it was told it often enough, and the cell run again."""
        apply, left = engine.store.apply, Counter[str]()

        def refuse(task_id: str, event: Event) -> Future[tuple[GenerationTask, GenerationTask]]:
            task = engine.current(task_id)
            if isinstance(event, Accepted) and task is not None and task.prompt_id != HEALTHY:
                left[task_id] += 1
                if left[task_id] <= times:
                    engine.callbacks.post(_submit, engine, task.prompt_id)
                    refused: Future[tuple[GenerationTask, GenerationTask]] = Future()
                    refused.set_exception(StoreError("The disk is full."))
                    return refused
            return apply(task_id, event)

        engine.store.apply = refuse  # type: ignore[method-assign]  # a full disk at the worst moment

    def _is_through(self, prompt: str, *, ended: bool, handle: TaskHandle) -> bool:
        """Whether everything that was to go wrong for a task did."""
        script, (creates, looks) = self._kie.scripts[prompt], self._kie.asked(prompt)
        return creates >= len(script.creates) and looks >= len(script.looks) and handle.task.is_finished is ended

    def _until(self, engine: Engine, is_so: Callable[[], object], step: float) -> None:
        for _ in range(400):
            settle(engine)
            if is_so():
                return
            self._clock.advance(step)
        raise AssertionError("it never came true")


class SandboxWorld:
    """Sessions on a real sandbox process, both in a hurry.

    Args:
        sandbox: for all that needs none of its own.
        start_sandbox: starts others.
        make_session: makes sessions.
        folder: for a sandbox that is started again.
        monkeypatch: for the clock, and for a disk that is full.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        start_sandbox: Callable[..., Sandbox],
        make_session: Callable[..., Session],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self._sandbox = sandbox
        self._start_sandbox = start_sandbox
        self._make_session = make_session
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._closing = ExitStack()
        self._own = sandbox
        monkeypatch.setattr("kiegen_nb.engine.engine.SystemClock", HastyClock)

    def play(self, how: Mishap) -> Ending:
        """Let a task meet its fault, and a healthy one be submitted beside it; return how they ended."""
        key = f"key-of-{self._folder.name}"
        url = f"http://127.0.0.1:{closed_port()}" if how.down else self._sandbox.url
        if how.down == "look":
            self._start_again(url)
        session = self._make_session(api_key=key, base_url=url, poll_interval=3.0)
        engine, heard = session._engine, session.events()
        if how.full:
            self._fill_disk(BAD)
        self._sandbox.faults(*(_with_address(rule) for rule in how.rules))
        if how.patience is not None:
            engine.service._creates.timeout = how.patience  # type: ignore[attr-defined]  # the client is Kie's
        bad = session.submit(picture(how.prompt), prompt_id=BAD)
        if how.patience is not None:
            until(lambda: bad.task.is_finished)
            engine.service._creates.timeout = 60.0  # type: ignore[attr-defined]  # the client is Kie's
        if how.down == "create":
            until(lambda: bad.task.note)
            self._start_again(url)
        if how.down == "look":
            until(lambda: bad.task.external_task_id)
            self._closing.close()
            until(lambda: bad.task.note)
            self._start_again(url)
        if any(rule["route"] == "look" for rule in how.rules):
            # Only then it is certain whom they hit.
            until(lambda: not self._sandbox.get("/sandbox/faults"))
        healthy = session.submit(speech(HEALTHY), prompt_id=HEALTHY)
        until(lambda: bad.task.is_finished and healthy.task.is_finished)
        task = bad.task
        ending = Ending(
            status=task.status,
            fail_code=task.fail_code,
            activity=task.activity,
            sent=self._sent(key, down=bool(how.down)) - 1,
            sent_anew=session.submit(picture(how.prompt), prompt_id=BAD).id != bad.id,
            looks_again=bad.id in engine._poller.watching,
            said=_said(heard, bad),
            saved=_is_saved(bad),
            healthy=healthy.status,
        )
        self.close()
        return ending

    def close(self) -> None:
        """End what was started, and have the shared sandbox forget its faults."""
        forget_faults(self._sandbox)
        self._closing.close()

    def _start_again(self, url: str) -> None:
        port, database = url.rpartition(":")[2], self._folder / "sandbox.sqlite3"
        own = self._start_sandbox("--speed", f"{SPEED}", "--port", port, "--database", str(database))
        self._closing.callback(own.stop)
        self._own = own

    def _sent(self, key: str, *, down: bool) -> int:
        # A sandbox that was started again remembers its tasks only.
        return len(self._own.get("/sandbox/tasks") if down else requests_of(self._sandbox, key, "create"))

    def _fill_disk(self, group: str) -> None:
        write = Partial.write

        def full(part: Partial, block: bytes | bytearray) -> None:
            if part.path.parent.name == group:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(part, block)

        self._monkeypatch.setattr(Partial, "write", full)


def closed_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens at a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _with_address(rule: dict[str, object]) -> dict[str, object]:
    body = rule.get("body")
    if not isinstance(body, str):
        return rule
    return rule | {"body": body.replace("CLOSED", f"http://127.0.0.1:{closed_port()}")}


def _submit(engine: Engine, prompt: str) -> TaskHandle:
    return engine.submit(engine.service.prepare(market("z-image", prompt=prompt)), prompt_id=prompt)


def _said(heard: EventStream, handle: TaskHandle) -> str:
    tasks = [event.task for event in list(heard._events) if event.task.id == handle.id]
    texts = [text for task in tasks for text in (task.state, task.note, task.fail_msg)]
    texts += [asset.error for task in tasks for asset in task.assets]
    return "\n".join(dict.fromkeys(filter(None, texts)))


def _is_saved(handle: TaskHandle) -> bool:
    assets = handle.task.assets
    return bool(assets) and all(asset.path is not None and asset.path.exists() for asset in assets)
