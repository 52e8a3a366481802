"""What a card of the gallery says about a task: plain data, decided here so that JavaScript only draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models import follow_ups
from kiegen_nb.tasks import CANCELLED, TIMEOUT, UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from pathlib import Path

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.kie.models.base import FollowUp

PENDING, SAVING, DONE, MISSING, FAILED, UNCLEAR = (
    "pending",
    "saving",
    "done",
    "missing",
    "failed",
    "unconfirmed",
)

_WORDS = {
    Activity.QUEUED: "Waiting to be sent",
    Activity.SUBMITTING: "Sending",
    Activity.PAUSED: "Paused",
    Activity.SAVING: "Saving",
    Activity.GAVE_UP: "Not looked after",
}
_INPUTS = (AssetKind.IMAGE, AssetKind.VIDEO, AssetKind.AUDIO)
_WORDED = (AssetKind.TEXT, AssetKind.DATA)
EXCERPT = 400  # characters of a text on its card
_NO_FILE = "The service reported success, but no file has arrived."


def inputs(task: GenerationTask) -> dict[str, Any]:
    """Return the request's input; whatever else a store may hold there counts as empty."""
    found = task.provider_params.get("input")
    return found if isinstance(found, dict) else {}


def prompt(task: GenerationTask) -> str:
    """Return the prompt's text, or what is to be spoken."""
    found = inputs(task).get("prompt") or inputs(task).get("text")
    return found if isinstance(found, str) else ""


def shape(task: GenerationTask) -> str:
    """Return the asked aspect ratio, empty if none was asked for."""
    found = inputs(task).get("aspect_ratio") or inputs(task).get("aspectRatio")
    return found if isinstance(found, str) else ""


def seed(task: GenerationTask) -> str | None:
    """Return the asked seed, None if the service chose one."""
    found = inputs(task).get("seed", inputs(task).get("seeds"))
    return None if found is None else str(found)


def can_retry(task: GenerationTask) -> bool:
    """Whether a failed task may be asked anew with one click: nothing was charged, and no result can still come."""
    return kind(task) == FAILED and task.fail_code != TIMEOUT and task.parent_id is None


def kind(task: GenerationTask) -> str:
    """Return which card a task gets."""
    if task.status is TaskStatus.FAILED:
        return UNCLEAR if task.fail_code == UNCONFIRMED else FAILED
    if task.status is TaskStatus.PENDING:
        return SAVING if task.activity is Activity.SAVING else PENDING
    if any(asset.path is not None for asset in task.assets):
        return DONE
    return SAVING if task.activity is Activity.SAVING else MISSING


def word(task: GenerationTask) -> str:
    """Return the state of a task in plain language."""
    match kind(task):
        case "done":
            return "Done"
        case "missing":
            return "Done, without a file"
        case "unconfirmed":
            return "May have been charged"
        case "failed":
            return {TIMEOUT: "Took too long", CANCELLED: "Cancelled"}.get(str(task.fail_code), "Failed")
        case _ if task.activity in _WORDS:
            return _WORDS[task.activity]
    # The service's own word, known or not, is shown as it came.
    return (task.state or "accepted").replace("_", " ").capitalize()


def took(task: GenerationTask) -> float | None:
    """Return the seconds from sending to the outcome."""
    if task.completed_at is None:
        return None
    return max(0.0, (task.completed_at - (task.submitted_at or task.created_at)).total_seconds())


def short_model(task: GenerationTask) -> str:
    """Return the slug without its maker."""
    return task.api_model.rpartition("/")[2] or task.model


def facts(task: GenerationTask) -> list[str]:
    """Return what is known about a task, in short: model, size or asked ratio, seconds, credits."""
    found = [short_model(task)]
    first = next((asset for asset in task.assets if asset.width and asset.height), None)
    if first is not None:
        found.append(f"{first.width}×{first.height}")  # noqa: RUF001 - the multiplication sign is meant
    elif shape(task):
        found.append(shape(task))
    seconds = took(task)
    if seconds is not None and task.status is TaskStatus.SUCCESS:
        found.append(f"{seconds:.1f} s")
    if task.credits_consumed is not None:
        found.append(credits_text(task.credits_consumed))
    return found


def credits_text(value: float) -> str:
    """Return a number of credits as text."""
    return f"{value:,.6g} credit" + ("" if value == 1 else "s")


def card(
    task: GenerationTask,
    parent: GenerationTask | None = None,
    *,
    folder: Path | None = None,
    expected: float | None = None,
) -> dict[str, Any]:
    """Return everything a card shows, small and without None, as JSON data.

    Args:
        task: what the card is of.
        parent: the task it follows up, if that is known.
        folder: the addresses of files are relative to it.
        expected: seconds the task is expected to take.
    """
    which = kind(task)
    since = task.submitted_at or task.created_at
    is_sent = which == PENDING and task.submitted_at is not None
    data: dict[str, Any] = {
        "id": task.id,
        "kind": which,
        "word": word(task),
        "prompt": prompt(task),
        "of": _origin(task, parent),
        "facts": facts(task),
        "model": short_model(task),
        "seed": seed(task),
        "ratio": shape(task),
        "since": since.timestamp() if which in (PENDING, SAVING) else None,
        "expected": expected if is_sent else None,
        "code": task.fail_code if which in (FAILED, UNCLEAR) else None,
        "reason": _reason(task, which),
        "note": _note(task),
        "again": _again(task, which),
        "retry": "Try again" if can_retry(task) else None,
        "next": _next(task),
        "rating": task.rating,
        "comment": task.comment,
        "load": task.parent_id is None or None,  # a follow-up has no form of its own
        "assets": [_asset(task, n, asset, folder) for n, asset in enumerate(task.assets)],
    }
    return {name: value for name, value in data.items() if value not in (None, "", [])}


def answer_text(task: GenerationTask) -> tuple[str, bool]:
    """Return what a form says of the service's answer to its request, and whether that is an error."""
    reason = task.fail_msg or task.fail_code or "the service gave no reason."
    if task.activity is Activity.QUEUED:
        return f"Not sent yet: {task.note or 'it is sent as soon as the service can be reached.'}", False
    if task.status is not TaskStatus.FAILED:
        return "Sent. The result appears in the gallery.", False
    return f"{'No answer' if task.fail_code == UNCONFIRMED else 'Not sent'}: {reason}", True


def _reason(task: GenerationTask, which: str) -> str | None:
    if which in (FAILED, UNCLEAR):
        return task.fail_msg or "The service gave no reason."
    if which == MISSING:
        return next((asset.error for asset in task.assets if asset.error), _NO_FILE)
    return None


def _note(task: GenerationTask) -> str | None:
    if task.status is TaskStatus.SUCCESS and task.activity is None:
        asked, got = str(inputs(task).get("num_images", "")), len(task.assets)
        if asked.isdecimal() and 0 < got < int(asked):
            return f"{got} of {asked} delivered; use repeat={asked}"
    return task.note


def _again(task: GenerationTask, which: str) -> str | None:
    if which == FAILED and task.fail_code == TIMEOUT:
        return "Look again"
    lost = task.status is TaskStatus.SUCCESS and any(asset.path is None for asset in task.assets)
    if which == MISSING or (which == DONE and lost and task.activity is None):
        return "Retry"
    return None


def _next(task: GenerationTask) -> list[dict[str, Any]]:
    """Return the buttons of what can be done with a finished task."""
    if not task.is_finished:
        return []
    return [
        {"name": step.name, "title": step.title, "needs_prompt": step.needs_prompt, "indexes": list(step.choices)}
        for step in follow_ups(task)
    ]


def _origin(task: GenerationTask, parent: GenerationTask | None) -> str | None:
    """Return what a follow-up is of, such as ``1080p of a red kite``."""
    if task.parent_id is None:
        return None
    if parent is None:
        return "Follow-up of another task"
    title = next((step.title for step in follow_ups(parent) if _makes(step, task.api_model)), "Follow-up")
    return f"{title.removeprefix('Get ')} of {prompt(parent) or short_model(parent)}"


def _makes(step: FollowUp, api_model: str) -> bool:
    try:
        return step.make(step.choices[0], "x").api_model == api_model
    except InvalidParams:
        return False


def _asset(task: GenerationTask, n: int, asset: Asset, folder: Path | None) -> dict[str, Any]:
    data = {
        "kind": asset.kind.value,
        "name": asset.path.name if asset.path is not None else None,
        "file": _place(asset.path, folder),
        "text": _excerpt(asset),
        "use": (asset.kind in _INPUTS and asset.path is not None) or None,
        "width": asset.width,
        "height": asset.height,
        "duration": asset.duration,
        "error": asset.error,
        "thumb": thumbnail_key(task.id, n, asset.thumbnail),
    }
    return {name: value for name, value in data.items() if value is not None}


def _place(path: Path | None, folder: Path | None) -> str | None:
    if path is None or folder is None or not path.is_relative_to(folder):
        return None
    return path.relative_to(folder).as_posix()


def _excerpt(asset: Asset) -> str | None:
    """Return the beginning of a text."""
    if asset.path is None or asset.kind not in _WORDED:
        return None
    try:
        with asset.path.open(encoding="utf-8", errors="replace") as file:
            return file.read(EXCERPT)
    except OSError:
        return None


def thumbnail_key(task_id: str, n: int, path: Path | None) -> str | None:
    """Return a name that changes with the file's bytes; None if there is no such file."""
    if path is None:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return f"{task_id}/{n}/{stat.st_mtime_ns:x}-{stat.st_size:x}"


def header(state: QueryState) -> dict[str, Any]:
    """Return what stands above the cards, and how far the tasks are that were asked for lately."""
    kinds = [kind(task) for task in state.data]
    waiting = [task for task, which in zip(state.data, kinds, strict=True) if which in (PENDING, SAVING)]
    counted = [
        (len(waiting), "pending"),
        (kinds.count(DONE) + kinds.count(MISSING), "done"),
        (kinds.count(FAILED), "failed"),
        (kinds.count(UNCLEAR), "unconfirmed"),
    ]
    return {
        "counts": " · ".join(f"{number:,} {name}" for number, name in counted if number),
        "busy": bool(waiting),
        "run": _run(state, waiting),
        "loading": state.is_loading,
        "sandbox": state.is_sandbox,
        "credits": None if state.credits is None else f"{credits_text(state.credits)} left",
        "error": None if state.error is None else (str(state.error) or type(state.error).__name__),
    }


def _run(state: QueryState, waiting: list[GenerationTask]) -> dict[str, int] | None:
    """Return how many of the tasks are done that were asked for since the oldest one that is pending."""
    if not waiting:
        return None
    begun = min(task.created_at for task in waiting)
    total = sum(task.created_at >= begun for task in state.data)
    return {"done": total - len(waiting), "total": total}
