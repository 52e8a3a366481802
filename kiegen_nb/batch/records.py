"""Tasks as plain dicts, one each, and as a pandas table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import RowMapping

    from kiegen_nb.batch.plan import PlanItem
    from kiegen_nb.tasks import GenerationTask

_SEEDS = ("seed", "seeds")
_TIMES = ("created_at", "submitted_at", "completed_at")
_KNOWN = (
    "state", "task_id", "model", "prompt", "seed", "cost", "seconds", "file", "url", "error", "rating", "comment",
)  # fmt: skip
ROW_COLUMNS = ("prompt_id", "repeat", *_KNOWN, *_TIMES)
"""What there is of a stored task, in order."""


def record_of(item: PlanItem, task: GenerationTask) -> dict[str, Any]:
    """Return an item of a batch with what became of it.

    The axes come first, under their names. What is known of the task is under ``state``, ``task_id``, ``model``,
    ``prompt``, ``seed``, ``cost`` (credits), ``seconds``, ``file``, ``url``, ``error``, ``rating`` and ``comment``; a
    name that is an axis's is written ``task_prompt``, ``task_seed`` and so on there. What is unknown is None.
    """
    assets = [asset.model_dump(include={"path", "url"}, mode="json") for asset in task.assets[:1]]
    known = _record(
        state=task.status.value,
        task_id=task.id,
        model=task.api_model,
        params=task.provider_params,
        assets=assets,
        cost=task.credits_consumed,
        seconds=task.took,
        error=task.fail_msg,
        rating=task.rating,
        comment=task.comment,
    )
    taken = {"number", *item.axes}
    found = {f"task_{name}" if name in taken else name: value for name, value in known.items()}
    return {"number": item.number, **item.axes, **found}


def record_of_row(row: RowMapping) -> dict[str, Any]:
    """Return the same of a task in the store, with its group and its times."""
    known = _record(
        state=row["status"],
        task_id=row["id"],
        model=row["api_model"],
        params=json.loads(row["provider_params"]),
        assets=json.loads(row["assets"]),
        cost=row["credits_consumed"],
        seconds=row["took"],
        error=row["fail_msg"],
        rating=row["rating"],
        comment=row["comment"],
    )
    times = {name: _moment(row[name]) for name in _TIMES}
    return {"prompt_id": row["prompt_id"], "repeat": row["repeat"], **known, **times}


def _record(
    *, state: str, task_id: str, model: str, params: Mapping[str, Any], assets: list[dict[str, Any]], **known: Any
) -> dict[str, Any]:
    asked = params.get("input", {})
    first = assets[0] if assets else {}
    return {
        "state": state,
        "task_id": task_id,
        "model": model,
        "prompt": asked.get("prompt"),
        "seed": next((asked[name] for name in _SEEDS if name in asked), None),
        "cost": known["cost"],
        "seconds": known["seconds"],
        "file": first.get("path"),
        "url": first.get("url"),
        "error": known["error"],
        "rating": known["rating"],
        "comment": known["comment"],
    }


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def frame_of(records: Iterable[Mapping[str, Any]], columns: Iterable[str] | None = None) -> Any:
    """Return records as a pandas table.

    Args:
        records: one each.
        columns: their names, for a table without lines.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - slow to import, and optional
    except ImportError:
        raise ConfigurationError("to_frame() needs pandas: pip install 'kiegen_nb[pandas]'.") from None
    rows = list(records)
    return pd.DataFrame(rows, columns=None if rows or columns is None else list(columns))
