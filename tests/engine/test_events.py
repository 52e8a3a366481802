"""What the engine tells about its work: streams of events, its health, notes on those who wait, and the log."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import threading
import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine import journal
from kiegen_nb.errors import ServiceError, SessionClosed, TaskError
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import Activity, TaskStatus
from tests.support.fake_kie import PATIENCE, RUNNING, FakeClock, Kie, envelope, settle, submit, until
from tests.support.worlds import DONE, LivelyClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.engine.journal import EventStream, TaskEvent
    from kiegen_nb.session import Session

KEY = "recognisable-key-8462-must-never-be-seen"
STORY = ["queued", "submitting", "accepted", "running", "succeeded", "saved"]
LIFE = [
    "submit.asked", "submit.stored", "submit.slot", "submit.marked", "submit.answered", "submit.accepted",
    "submit.slot_ended", "look.sent", "look.answered", "look.running", "task.succeeded", "save.started",
    "save.receiving", "save.received", "save.checked", "save.thumbnail", "save.sidecar", "save.renamed", "save.stored",
]  # fmt: skip
"""The log of one task, each step where it comes first."""
DENIED = envelope(None, 401, "You do not have access permissions")
TOO_FAST = envelope(None, 429, "too fast")


@pytest.fixture
def clock() -> FakeClock:
    return LivelyClock()


def run(engine: Engine, clock: FakeClock, is_so: Callable[[], object], step: float = 3.0) -> None:
    """Let time go by until something is so."""
    for _ in range(200):
        settle(engine)
        if is_so():
            return
        clock.advance(step)
    raise AssertionError("it never came true")


def make(engine: Engine, kie: Kie, clock: FakeClock, prompt: str = "a", group: str = "default") -> TaskHandle:
    """See one task through, from its submission to its file."""
    kie.on_look[f"ext {prompt}"] = [RUNNING, DONE]
    handle = engine.submit(engine.service.prepare(imagen4(prompt)), prompt_id=group)
    run(engine, clock, lambda: handle.task.is_finished)
    return handle


async def read(stream: EventStream) -> list[TaskEvent]:
    return [event async for event in stream]


def names(events: list[TaskEvent]) -> list[str]:
    return [event.name for event in events]


# Streams.


def test_a_task_tells_its_story_in_order_and_the_stream_ends_with_the_session(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    stream = engine.events(None)
    handle = make(engine, kie, clock)
    engine.close()

    events = asyncio.run(read(stream))

    assert names(events) == STORY
    assert {event.task.id for event in events} == {handle.id}
    assert [event.task.activity for event in events] == [
        Activity.QUEUED, Activity.SUBMITTING, Activity.WATCHING, Activity.WATCHING, Activity.SAVING, None,
    ]  # fmt: skip
    assert all(earlier.at <= later.at for earlier, later in pairwise(events))
    assert stream.missed == 0
    assert "saved" in str(events[-1])
    with pytest.raises(SessionClosed):
        engine.events(None)


def test_an_event_is_told_after_it_was_stored(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    stream = engine.events(None)
    stored: list[tuple[str, bool]] = []
    put = stream.put

    def look(event: TaskEvent) -> None:
        found = engine.store.get(event.task.id)
        stored.append((event.name, found == event.task))
        put(event)

    stream.put = look  # type: ignore[method-assign]  # to be there at that very moment
    make(engine, kie, clock)

    assert stored == [(name, True) for name in STORY]


def test_a_stream_of_one_group_hears_of_no_other(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    everything, kites, nothing = engine.events(None), engine.events("kites"), engine.events("elsewhere")
    make(engine, kie, clock, "a", "kites")
    make(engine, kie, clock, "b", "birds")
    engine.close()

    assert names(asyncio.run(read(everything))) == STORY * 2
    heard = asyncio.run(read(kites))
    assert names(heard) == STORY
    assert {event.task.prompt_id for event in heard} == {"kites"}
    assert asyncio.run(read(nothing)) == []


@contextlib.contextmanager
def two_loops(*streams: EventStream) -> Iterator[tuple[list[TaskEvent], list[TaskEvent]]]:
    """Read two streams, each in a loop of its own; at the end they are closed."""
    heard: tuple[list[TaskEvent], list[TaskEvent]] = ([], [])

    async def listen(stream: EventStream, to: list[TaskEvent]) -> None:
        async for event in stream:
            to.append(event)  # noqa: PERF401 - one by one, so that it can be seen while it happens

    pairs = zip(streams, heard, strict=True)
    loops = [threading.Thread(target=asyncio.run, args=(listen(stream, ear),), daemon=True) for stream, ear in pairs]
    for loop in loops:
        loop.start()
    until(lambda: sum(len(stream._waiting) for stream in set(streams)) == len(loops))
    yield heard
    for stream in streams:
        stream.close()
    for loop in loops:
        loop.join(PATIENCE)
        assert not loop.is_alive(), "the end of a stream ends its readers"


def test_two_loops_hear_everything_while_it_happens(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    with two_loops(engine.events(None), engine.events(None)) as (one, other):
        make(engine, kie, clock)
        until(lambda: len(one) == len(other) == len(STORY))
    assert names(one) == names(other) == STORY


def test_one_stream_in_two_loops_tells_each_event_once(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    stream = engine.events(None)
    with two_loops(stream, stream) as (one, other):
        make(engine, kie, clock)
        until(lambda: len(one) + len(other) == len(STORY))
    assert sorted(names(one + other)) == sorted(STORY)


async def test_a_reader_that_gives_up_waiting_loses_nothing(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    stream = engine.events(None)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.to_thread(until, lambda: stream._waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.to_thread(make, engine, kie, clock)
    await stream.aclose()

    assert names(await read(stream)) == STORY


def test_a_stream_nobody_holds_any_more_costs_nothing(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    kept, dropped = engine.events(None), engine.events(None)
    gone = weakref.ref(dropped)
    del dropped
    gc.collect()
    assert gone() is None
    assert list(engine.journal._streams) == [kept]
    make(engine, kie, clock)
    assert len(kept._events) == len(STORY)


def test_a_reader_that_falls_behind_is_told_how_much_it_missed(
    engine: Engine, kie: Kie, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT_EVENTS", 4)
    slow, quick = engine.events(None), engine.events("elsewhere")
    make(engine, kie, clock)
    engine.close()

    assert (slow.missed, quick.missed) == (2, 0)
    assert names(asyncio.run(read(slow))) == STORY[-4:]


def test_what_another_kernel_does_is_heard_as_followed(
    make_engine: Callable[..., Engine], kie: Kie, clock: FakeClock
) -> None:
    one, other = make_engine(), make_engine()
    heard = other.events(None)
    kie.on_look["ext a"] = [RUNNING, DONE]
    mine, theirs = submit(one), submit(other)
    while not (mine.task.is_finished and theirs.task.is_finished):
        clock.advance(1)
        settle(one)
        settle(other)
    other.close()

    events = asyncio.run(read(heard))
    assert set(names(events)) == {"followed"}
    assert events[-1].task == mine.task
    assert len(events) >= 3, "it is followed, not only found at its end"


def test_what_this_kernel_does_is_never_followed_however_late_the_store_is_read(
    engine: Engine, kie: Kie, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = engine.events(None)
    kie.on_look["ext a"] = [RUNNING, DONE]
    handle = submit(engine)
    until(lambda: handle.task.external_task_id)
    was_read, is_over, changed_since = threading.Event(), threading.Event(), engine.store.changed_since
    read_later: list[int] = []

    def late(revision: int) -> Any:
        found = changed_since(revision)
        read_later.append(revision)
        was_read.set()
        is_over.wait(PATIENCE)
        return found

    monkeypatch.setattr(engine.store, "changed_since", late)
    engine._database.write(lambda connection: connection.exec_driver_sql("UPDATE tasks SET revision = revision + 100"))
    run(engine, clock, was_read.is_set, step=0.5)
    run(engine, clock, lambda: handle.task.is_finished)
    is_over.set()
    run(engine, clock, lambda: len(read_later) > 1, step=2)

    assert names(list(stream._events)) == STORY
    assert handle.task.is_finished, "it never goes back"


# Health.


def test_health_counts_what_is_going_on(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    assert (engine.health().pauses, engine.health().next_look_in) == ((), None)
    for number in range(25):
        kie.on_look[f"ext {number:02}"] = [RUNNING]
        submit(engine, f"{number:02}")
    until(lambda: engine.health().watching == 20 and engine.health().sending == 5)

    health = engine.health()

    assert (len(kie.creates), health.saving) == (20, 0)
    assert (health.creates_in_window, health.create_limit, health.create_window) == (20, 20, 10.0)
    assert (health.look_rate, health.look_limit) == (9.0, 9.0)
    assert health.next_look_in == 3.0
    assert health.account == engine.service.account
    assert health.store == engine._database.name
    assert not health.is_sandbox
    run(engine, clock, lambda: len(kie.looks) >= 18, step=0.25)
    assert engine.health().looks_per_second == len(kie.looks) / 10
    assert "20 watching" in str(engine.health())
    assert str(engine.health()).endswith("no pause")


def test_health_names_a_refused_key_until_it_works_again(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    handle = submit(engine)
    kie.on_look["ext a"] = [DENIED, RUNNING]
    run(engine, clock, lambda: handle.task.activity is Activity.PAUSED)

    [reason] = engine.health().pauses

    assert reason.startswith("No looks for a while: ")
    assert "Check KIE_API_KEY" in reason
    assert reason in str(engine.health())
    run(engine, clock, lambda: handle.task.activity is Activity.WATCHING, step=20)
    assert engine.health().pauses == ()


def test_health_says_when_kie_was_asked_too_often(engine: Engine, kie: Kie, clock: FakeClock) -> None:
    kie.on_create = [TOO_FAST]
    handle = submit(engine)
    run(engine, clock, lambda: engine.health().pauses, step=0)
    assert engine.health().pauses == ("Nothing is sent for 10 s: Kie said too many requests.",)
    assert (engine.health().sending, engine.health().creates_in_window) == (1, 1)

    run(engine, clock, lambda: handle.task.external_task_id, step=2)
    assert engine.health().pauses == ()

    kie.on_look["ext a"] = [TOO_FAST]
    run(engine, clock, lambda: engine.health().pauses)
    [reason] = engine.health().pauses
    assert reason == "Fewer looks for a while: Kie said too many requests, 4.5 a second are allowed."
    run(engine, clock, lambda: not engine.health().pauses, step=10)
    assert engine.health().look_rate == 9.0


# Those who wait.


def test_whoever_waits_for_a_slot_is_told_how_long_and_longer_down_the_line(
    engine: Engine, kie: Kie, clock: FakeClock
) -> None:
    handles = [submit(engine, f"{number:02}") for number in range(65)]
    until(lambda: len(kie.creates) == 20)
    until(lambda: all(handle.task.note for handle in handles[20:]))

    assert {handle.task.note for handle in handles[:20]} == {None}
    assert {handle.task.activity for handle in handles[20:]} == {Activity.QUEUED}
    for first, seconds in ((20, 10), (40, 20), (60, 30)):
        line = handles[first : first + 20]
        assert {handle.task.note for handle in line} == {f"Waiting for a slot, about {seconds} s."}
    for sent, waiting in ((40, 25), (60, 5)):
        settle(engine)
        clock.advance(10.1)
        until_sent(kie, sent)
        until_noted(handles[sent : sent + min(waiting, 20)], "Waiting for a slot, about 10 s.")
        until_noted(handles[:sent], None)
    settle(engine)
    clock.advance(10.1)
    until_sent(kie, 65)
    until_noted(handles, None)


def until_sent(kie: Kie, number: int) -> None:
    until(lambda: len(kie.creates) == number)


def until_noted(handles: list[TaskHandle], note: str | None) -> None:
    until(lambda: {handle.task.note for handle in handles} == {note})


# The log.


class Listener(logging.Handler):
    """Keeps every record as it is."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of(self, task_id: str | None) -> list[str]:
        """Return the names of the records about a task, each where it comes first."""
        return list(
            dict.fromkeys(
                record.event  # type: ignore[attr-defined]  # what is tested
                for record in self.records
                if record.name == "kiegen_nb" and record.task_id in (None, task_id)  # type: ignore[attr-defined]
            )
        )


@pytest.fixture
def log() -> Iterator[Listener]:
    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    logging.getLogger("kiegen_nb").setLevel(logging.DEBUG)
    yield listener
    root.removeHandler(listener)
    root.setLevel(level)
    logging.getLogger("kiegen_nb").setLevel(logging.NOTSET)


def test_the_log_tells_every_step_of_a_task_in_order(make_session: Callable[..., Session], log: Listener) -> None:
    session = make_session(api_key=KEY)
    handle = session.submit(imagen4("a red kite, sandbox:seconds=8"))
    handle.result(PATIENCE)
    session.close()

    told = [event for event in log.of(handle.id) if event not in {"look.bad", "task.noted", "credits.unknown"}]

    # The slot is given back while the first look may be on its way already.
    told.remove("submit.slot_ended")
    assert told == [step for step in LIFE if step != "submit.slot_ended"]


def test_records_are_structured_and_never_hold_the_key(
    make_session: Callable[..., Session], sandbox: Any, log: Listener
) -> None:
    session = make_session(api_key=KEY)
    sandbox.faults(
        {"route": "create", "reset": True, "match": "one whose answer is lost"},
        {"route": "create", "code": 401, "match": "one that is refused"},
        {"route": "create", "code": 429, "match": "one that comes too early"},
        {"route": "look", "http": 502, "body": "<html>", "times": 3},
        {"route": "look", "code": 429},
        {"route": "file", "body": "<html>"},
        {"route": "credit", "drop": True, "times": 4},
    )
    handles = [
        session.submit(imagen4(prompt))
        for prompt in (
            "one that works",
            "one that fails, sandbox:fail",
            "one whose answer is lost",
            "one that is refused",
        )
    ]
    until(lambda: all(handle.task.is_finished for handle in handles))
    assert [handle.status for handle in handles] == [TaskStatus.SUCCESS, *[TaskStatus.FAILED] * 3]
    early = session.submit(imagen4("one that comes too early"))
    until(lambda: early.task.note)
    session._engine.callbacks.post(lambda: 1 / 0)
    until(lambda: any(record.exc_info for record in log.records))
    session.close()

    ours = [record for record in log.records if record.name == "kiegen_nb" and not record.exc_info]
    for record in ours:
        told = vars(record)
        assert isinstance(told["event"], str)
        assert told["task_id"] is None or isinstance(told["task_id"], str)
        assert isinstance(told["data"], dict)
        json.dumps(told["data"])
        assert told["event"] in record.getMessage()
    events = {vars(record)["event"] for record in ours}
    assert events >= {
        "submit.refused", "submit.unconfirmed", "submit.requeued", "look.bad", "budget.halved", "task.failed",
        "save.failed",
    }  # fmt: skip
    loud = {vars(record)["event"] for record in ours if record.levelno >= logging.WARNING}
    assert {"submit.refused", "submit.unconfirmed", "task.failed", "save.failed", "budget.halved"} <= loud
    formatter = logging.Formatter()
    for record in log.records:
        assert KEY not in f"{formatter.format(record)} {vars(record)!r}", record.name


def test_a_key_the_service_repeats_is_told_to_nobody(
    make_session: Callable[..., Session], sandbox: Any, log: Listener, tmp_path: Path
) -> None:
    session = make_session(api_key=KEY)
    sandbox.faults(
        {"route": "create", "code": 401, "msg": f"the key {KEY} is refused"},
        {"route": "credit", "http": 403, "body": f"<html>Bearer {KEY}"},
    )
    with pytest.raises(TaskError) as caught:
        session.submit(imagen4("a red kite")).result(PATIENCE)
    with pytest.raises(ServiceError) as denied:
        session.credits()
    session.close()

    assert KEY not in f"{caught.value} {caught.value.task!r} {caught.value.task.to_json()} {denied.value}"
    assert all(KEY not in f"{record.getMessage()} {vars(record)!r}" for record in log.records)
    assert all(KEY.encode() not in file.read_bytes() for file in tmp_path.rglob("*.sqlite3*"))
