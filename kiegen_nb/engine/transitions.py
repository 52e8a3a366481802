"""The one door for change: ``apply(task, event) -> task``, pure, whatever thread or kernel it runs in.

What the service says about a task (``status``, ``state``) and what we do about it (``activity``) are two words;
an event may change one without the other, so a failing look never fails a task.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kiegen_nb.tasks import CANCELLED, TIMEOUT, UNCONFIRMED, Activity, TaskStatus

if TYPE_CHECKING:
    from datetime import datetime

    from kiegen_nb.service import Outcome
    from kiegen_nb.tasks import Asset, GenerationTask

UNCONFIRMED_ADVICE = (
    "The request was sent, but no usable answer came back: it may have been charged. Look at kie.ai/logs; if the "
    "task is not there, session.resubmit(task) asks again. The program never does so by itself."
)
CANCELLED_TEXT = "Cancelled before it was sent; nothing was charged."


@dataclass(frozen=True, slots=True)
class Noted:
    """A passing remark: a wait for a slot, a bad look. None clears it."""

    note: str | None


@dataclass(frozen=True, slots=True)
class Submitting:
    """The request is about to be sent."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Requeued:
    """The request certainly did not arrive; it waits to be sent again."""

    note: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The service took the request and gave it an id."""

    external_task_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The service said no; nothing was charged."""

    code: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The request was sent and nobody knows what became of it."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The user took it back before it was sent."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Running:
    """A look was answered "not finished yet"."""

    state: str | None


@dataclass(frozen=True, slots=True)
class Paused:
    """Looking is pointless for now, for instance because the key is refused."""

    note: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The service has results; their files are not here yet."""

    outcome: Outcome
    assets: tuple[Asset, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """The service says it came to nothing."""

    code: str
    message: str
    at: datetime
    state: str | None = None
    credits_consumed: float | None = None
    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class Saving:
    """The results' files are fetched again."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The results' files are here, or say why they are not."""

    assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True)
class Rated:
    """Somebody judged it, 1 to 5; None takes that back."""

    rating: int | None


@dataclass(frozen=True, slots=True)
class Commented:
    """Somebody wrote about it; None takes that back."""

    comment: str | None


Remark = Rated | Commented
"""What people say of a task; whoever works on it goes on with it."""

Event = (
    Noted | Submitting | Requeued | Accepted | Refused | Unconfirmed | Cancelled | Running | Paused | Succeeded
    | Failed | Saving | Saved | Remark
)  # fmt: skip


def apply(task: GenerationTask, event: Event) -> GenerationTask:
    """Return the task after an event; the same object if the event does not concern it any more."""
    changes = _changes(task, event)
    if all(getattr(task, name) == value for name, value in changes.items()):
        return task
    return task.model_copy(update=changes)


def _changes(task: GenerationTask, event: Event) -> dict[str, object]:  # noqa: C901, PLR0912 - one table
    queued = task.is_pending and task.activity in (Activity.QUEUED, Activity.SUBMITTING)
    match event:
        case Noted(note) if task.is_pending:
            return {"note": note}
        case Submitting(at) if task.is_pending and task.activity is Activity.QUEUED:
            return {"activity": Activity.SUBMITTING, "submitted_at": at, "note": None}
        case Requeued(note) if queued:
            return {"activity": Activity.QUEUED, "note": note}
        case Accepted(external_task_id) if task.external_task_id is None:
            # Also for a task already called UNCONFIRMED: a late answer ends the doubt.
            return {
                "status": TaskStatus.PENDING,
                "activity": Activity.WATCHING,
                "external_task_id": external_task_id,
                "fail_code": None,
                "fail_msg": None,
                "note": None,
                "completed_at": None,
            }
        case Refused(code, message, at) if queued:
            return _ended(code, message, at)
        case Unconfirmed(at, reason) if queued:
            return _ended(UNCONFIRMED, f"{reason} {UNCONFIRMED_ADVICE}".strip(), at)
        case Cancelled(at) if task.is_pending and task.activity is Activity.QUEUED:
            return _ended(CANCELLED, CANCELLED_TEXT, at)
        case Running(state) if task.is_pending:
            return {"state": state, "activity": Activity.WATCHING, "note": None}
        case Paused(note) if task.is_pending:
            return {"activity": Activity.PAUSED, "note": note}
        case Succeeded(outcome, assets, at) if task.status is not TaskStatus.SUCCESS:
            return {
                "status": TaskStatus.SUCCESS,
                "activity": Activity.SAVING,
                "state": outcome.state,
                "result_json": outcome.result_json,
                "credits_consumed": outcome.credits_consumed,
                "took": outcome.took if outcome.took is not None else _seconds_since(task.submitted_at, at),
                "assets": assets,
                "completed_at": at,
                "fail_code": None,
                "fail_msg": None,
                "note": None,
            }
        case Failed() if task.is_pending:
            return {
                **_ended(event.code, event.message, event.at),
                "state": event.state or task.state,
                "credits_consumed": event.credits_consumed,
                "activity": Activity.GAVE_UP if event.gave_up else None,
            }
        case Saving() if task.status is TaskStatus.SUCCESS:
            return {"activity": Activity.SAVING}
        case Saved(assets) if task.status is TaskStatus.SUCCESS:
            return {"activity": None, "assets": assets, "note": None}
        case Rated(rating):
            return {"rating": rating}
        case Commented(comment):
            return {"comment": comment}
        case _:
            return {}


def _seconds_since(earlier: datetime | None, later: datetime) -> float | None:
    return None if earlier is None else max((later - earlier).total_seconds(), 0.0)


def _ended(code: str, message: str, at: datetime) -> dict[str, object]:
    return {
        "status": TaskStatus.FAILED,
        "activity": None,
        "fail_code": code,
        "fail_msg": message,
        "note": None,
        "completed_at": at,
    }


def was_refused(task: GenerationTask) -> bool:
    """Whether the request never became a task, so that asking again cannot pay twice."""
    failed = task.status is TaskStatus.FAILED
    return failed and task.external_task_id is None and task.fail_code != UNCONFIRMED


def timed_out(limit: float, at: datetime, answer: str = "") -> Failed:
    """Return the end of a task that ran past its limit of seconds; `refresh` may still bring its result.

    Args:
        limit: seconds.
        at: now.
        answer: what the service kept answering; empty if that was "running".
    """
    minutes = f"{limit / 60:.0f} minutes of looking"
    first = f"After {minutes} Kie still answers: {answer}" if answer else f"Still running after {minutes}."
    message = f"{first} It may finish yet and is paid for: session.refresh(task) looks again."
    return Failed(TIMEOUT, message, at, gave_up=True)
