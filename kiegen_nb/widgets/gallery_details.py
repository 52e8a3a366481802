"""All there is to know of one task, as rows of the lightbox: words only, with what a person may want to copy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kiegen_nb.tasks import AssetKind
from kiegen_nb.widgets.cards import credits_text, inputs, prompt, took, word

if TYPE_CHECKING:
    from datetime import datetime

    from kiegen_nb.tasks import Asset, GenerationTask

_PROMPTS = ("prompt", "text")
LONGEST = 4000  # characters of one value


def rows(task: GenerationTask) -> list[dict[str, Any]]:
    """Return the rows: ``label``, ``value``, and where they hold ``copy`` and ``long``."""
    found = [_row("Prompt", prompt(task), copy=True, long=True)]
    found.append(_row("State", word(task)))
    found.append(_row("Reason", task.fail_msg, copy=True, long=True))
    found.append(_row("Model", task.api_model or task.model, copy=True))
    asked = {name: value for name, value in inputs(task).items() if name not in _PROMPTS}
    found += [_row(_title(name), _text(value), copy=True) for name, value in asked.items()]
    cost = None if task.credits_consumed is None else credits_text(task.credits_consumed)
    found.append(_row("Cost", cost))
    seconds = took(task)
    found.append(_row("Took", None if seconds is None else f"{seconds:.1f} s"))
    for label, moment in (("Asked", task.created_at), ("Sent", task.submitted_at), ("Finished", task.completed_at)):
        found.append(_row(label, _moment(moment)))
    found.append(_row("Task", task.id, copy=True))
    found.append(_row("Task at Kie", task.external_task_id, copy=True))
    found.append(_row("Follows", task.parent_id, copy=True))
    found.append(_row("Group", task.prompt_id, copy=True))
    several = len(task.assets) > 1
    for number, asset in enumerate(task.assets, 1):
        found += _asset_rows(asset, f" {number}" if several else "")
    return [row for row in found if row is not None]


def _asset_rows(asset: Asset, number: str) -> list[dict[str, Any] | None]:
    size = f"{asset.width}×{asset.height}"  # noqa: RUF001 - the multiplication sign is meant
    known = [size if asset.width and asset.height else None]
    known.append(None if asset.duration is None else f"{asset.duration:.1f} s")
    known.append(None if asset.size is None else f"{asset.size:,} bytes")
    name = "Result" if asset.kind is AssetKind.FILE else asset.kind.value.capitalize()
    return [
        _row(f"{name}{number}", ", ".join(filter(None, known))),
        _row(f"File{number}", None if asset.path is None else str(asset.path), copy=True),
        _row(f"Address{number}", asset.url, copy=True),
        _row(f"Not saved{number}", asset.error),
    ]


def _row(label: str, value: str | None, *, copy: bool = False, long: bool = False) -> dict[str, Any] | None:
    if not value:
        return None
    text = value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
    return {"label": label, "value": text} | ({"copy": True} if copy else {}) | ({"long": True} if long else {})


def _title(name: str) -> str:
    return name.replace("_", " ")[:60].capitalize()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
