"""How far a batch is, what it has cost, and when it will be through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiegen_nb.batch.forecast import Durations, Pace, expected, expected_end, observed
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.tasks import Activity, TaskStatus

if TYPE_CHECKING:
    from datetime import datetime

    from kiegen_nb.batch.sending import Run
    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.tasks import GenerationTask

LATENCY = 0.5  # seconds a create usually takes, before there are any to tell
_DOUBT = 20  # creates that count as much as that
SAVING = 0.2  # seconds until a result's file is saved, likewise
_NEWEST = 200  # finished tasks of a model whose durations count
_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch at one moment.

    Attributes:
        total: how many items it has.
        succeeded: have a result, and its files are saved.
        failed: ended without one.
        running: sent, and not through; or looked after by another kernel.
        queued: not sent, and not charged.
        elapsed: seconds from its start in this kernel to its end, or till now.
        remaining: seconds until it will be through; None while it is paused, 0.0 once it is.
        expected_end: when that will be, UTC; when it was, once it is.
        credits_spent: of what this batch has sent and what has ended, by the service's word; where it says nothing,
            what that costs at most.
        paused: why nothing more is sent and what to do, None while all is well.
    """

    total: int
    succeeded: int
    failed: int
    running: int
    queued: int
    elapsed: float
    remaining: float | None
    expected_end: datetime | None
    credits_spent: float
    paused: str | None = None

    @property
    def done(self) -> int:
        """How many items are through, with or without a result."""
        return self.succeeded + self.failed

    @property
    def is_done(self) -> bool:
        """Whether all of them are."""
        return self.done == self.total

    @property
    def counts(self) -> str:
        """The counts in words, without those that are 0."""
        words = ("succeeded", "failed", "running", "queued")
        known = [f"{number:,} {word}" for word in words if (number := getattr(self, word))]
        return ", ".join(known) or "nothing yet"

    @property
    def times(self) -> str:
        """How long it has taken and will take, and what it has cost, in words."""
        said = f"{_time(self.elapsed)} {'in all' if self.is_done else 'so far'}"
        if self.credits_spent:
            said += f", {self.credits_spent:g} credits spent"
        if not self.is_done and self.expected_end is not None and self.remaining is not None:
            said += f"; about {_time(self.remaining)} more, until {self.expected_end.astimezone():%H:%M:%S}"
        return said

    def __str__(self) -> str:
        paused = f" Paused: {self.paused}" if self.paused is not None else ""
        return f"{self.done:,} of {self.total:,} done ({self.counts}); {self.times}.{paused}"


def progress_of(engine: Engine, run: Run) -> Progress:
    """Return how far a batch is; on any thread."""
    now = engine.clock.time()
    tasks = [engine.current(place.task.id) or place.task for place in run.places]
    through = [task for task in tasks if task.is_finished]
    failed = sum(task.status is TaskStatus.FAILED for task in through)
    queued = sum(task.is_pending and task.activity is Activity.QUEUED for task in tasks)
    end: float | None
    if len(through) == len(tasks):
        end = run.ended or now
    else:
        end = None if run.reason is not None else _end_of(engine, run, tasks, now)
    return Progress(
        total=len(tasks),
        succeeded=len(through) - failed,
        failed=failed,
        running=len(tasks) - len(through) - queued,
        queued=queued,
        elapsed=max((run.ended or now) - run.began, 0.0),
        remaining=None if end is None else max(end - now, 0.0),
        expected_end=None if end is None else as_datetime(end),
        credits_spent=round(run.spending.spent, 4),
        paused=run.reason,
    )


def _end_of(engine: Engine, run: Run, tasks: list[GenerationTask], now: float) -> float:
    latency = _latency(run.seen.latencies[-_NEWEST:])
    ends = run.seen.answered[:]
    known: dict[str, Durations] = {}

    def durations(task: GenerationTask) -> Durations:
        if task.api_model not in known:
            seen = observed(run.seen.durations.get(task.api_model, [])[-_NEWEST:])
            lag = latency + engine.poll_interval / 2 + SAVING
            known[task.api_model] = seen or expected(engine.history.expect(task), lag)
        return known[task.api_model]

    waiting, running = [], []
    for place, task in zip(run.places, tasks, strict=True):
        if task.is_finished:
            continue
        if task.submitted_at is None:
            waiting.append(durations(task))
            continue
        sent = task.submitted_at.timestamp()
        running.append((sent, durations(task)))
        if place.is_sent and task.activity is Activity.SUBMITTING:
            ends.append(sent + latency)
    return expected_end(now, waiting, running, _pace(engine, run, ends, latency, now))


def _latency(seen: list[float]) -> float:
    """Return the seconds creates will take: the first open connections all at once, and say little of the others."""
    if not seen:
        return LATENCY
    quick = sorted(seen)[len(seen) // 5]
    return (quick * len(seen) + LATENCY * _DOUBT) / (len(seen) + _DOUBT)


def _pace(engine: Engine, run: Run, ends: list[float], latency: float, now: float) -> Pace:
    limit, window = engine.limits.creates, engine.limits.window
    if limit is not None and run.concurrency is None and len(run.seen.answered) > limit:
        # Other kernels may take a part of the slots: then ours come around more slowly than the window says.
        answered = run.seen.answered[-2 * limit :]
        rounds = [late - early for early, late in zip(answered, answered[limit:], strict=False)]
        usual = limit * (window + latency)
        window = max(window, (sum(rounds) + usual) / (len(rounds) + limit) - latency)
    return Pace(
        limit=limit,
        window=window,
        latency=latency,
        ends=tuple(sorted(ends)),
        not_before=now + engine.submitter.held_back_for,
        concurrency=run.concurrency,
    )


def _time(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min"
