"""Records of a batch's items, and how a batch looks: plain values, counts without times, text that stays text."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kiegen_nb.batch.plan import PlanItem
from kiegen_nb.batch.progress import Progress
from kiegen_nb.batch.records import ROW_COLUMNS, record_of
from kiegen_nb.batch.showing import batch_html, batch_text
from kiegen_nb.errors import BatchFailed, BudgetExceeded
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"


def task(**fields: Any) -> GenerationTask:
    known = {"id": "a" * 32, "model": "IMAGEN4", "api_model": "google/imagen4-fast", "created_at": NOW}
    params = {"input": {"prompt": "a red kite", "seed": 7}}
    return GenerationTask(**known | {"provider_params": params} | fields)


def item(**axes: Any) -> PlanItem:
    return PlanItem(3, imagen4("a red kite"), 0, axes)


def progress(**fields: Any) -> Progress:
    known: dict[str, Any] = {
        "total": 10, "succeeded": 4, "failed": 1, "running": 2, "queued": 3, "elapsed": 61.4, "remaining": 30.0,
        "expected_end": NOW, "credits_spent": 16.0,
    }  # fmt: skip
    return Progress(**known | fields)


def test_a_record_has_plain_values_in_a_lasting_order() -> None:
    assets = [
        Asset(kind=AssetKind.IMAGE, path=Path("/out/a-0.png"), url="https://example.com/0"),
        Asset(kind=AssetKind.IMAGE, path=Path("/out/a-1.png")),
    ]
    done = task(status=TaskStatus.SUCCESS, assets=assets, credits_consumed=4.0, took=5.5, rating=5)
    record = record_of(item(aspect_ratio="1:1"), done)
    assert list(record) == ["number", "aspect_ratio", *ROW_COLUMNS[2:-3]]
    assert record == {
        "number": 3, "aspect_ratio": "1:1", "state": "SUCCESS", "task_id": "a" * 32, "model": "google/imagen4-fast",
        "prompt": "a red kite", "seed": 7, "cost": 4.0, "seconds": 5.5, "file": "/out/a-0.png",
        "url": "https://example.com/0", "error": None, "rating": 5, "comment": None,
    }  # fmt: skip
    assert type(record["state"]) is str


def test_what_is_unknown_is_none() -> None:
    record = record_of(item(), task(provider_params={"input": {}}))
    assert {record[name] for name in ("prompt", "seed", "cost", "seconds", "file", "url", "error", "rating")} == {None}
    assert record["state"] == "PENDING"


def test_an_axis_keeps_its_name_and_the_other_is_called_the_tasks() -> None:
    record = record_of(item(prompt="blue", seed=7, state="x"), task())
    assert list(record)[:4] == ["number", "prompt", "seed", "state"]
    assert (record["prompt"], record["task_prompt"]) == ("blue", "a red kite")
    assert (record["seed"], record["task_seed"], record["state"], record["task_state"]) == (7, 7, "x", "PENDING")


def test_a_failure_is_told() -> None:
    record = record_of(item(), task(status=TaskStatus.FAILED, fail_code="500", fail_msg="no"))
    assert (record["state"], record["error"]) == ("FAILED", "no")


def test_a_batch_is_shown_by_counts_alone() -> None:
    said = batch_text("kites", progress())
    assert said == "Batch('kites', 10 items: 4 succeeded, 1 failed, 2 running, 3 queued)"
    assert batch_text("kites", progress(elapsed=5.0, expected_end=None, credits_spent=0.0)) == said
    html = batch_html("kites", progress(), [(4, "no")])
    assert html == batch_html("kites", progress(elapsed=5.0, remaining=None, credits_spent=0.0), [(4, "no")])
    assert "Item 4: no" in html
    assert 'aria-label="5 of 10 done"' in html


def test_a_batch_that_runs_says_how_long_it_will_take() -> None:
    said = str(progress())
    assert said.startswith("5 of 10 done (4 succeeded, 1 failed, 2 running, 3 queued); 61 s so far, 16 credits spent; ")
    assert "; about 30 s more, until " in said
    live = batch_html("kites", progress(), [], is_live=True, is_sandbox=True)
    assert progress().times in live
    assert "SANDBOX" in live
    assert "SANDBOX" not in batch_html("kites", progress(), [])
    assert str(progress(elapsed=600.0, remaining=900.0)).endswith("about 15 min more, until " + said[-9:])


def test_a_batch_that_is_through_says_how_long_it_took() -> None:
    assert progress(succeeded=9, running=0, queued=0, remaining=0.0).times == "61 s in all, 16 credits spent"


def test_a_batch_that_is_paused_says_why() -> None:
    paused = progress(paused="Kie answered 402.", remaining=None, expected_end=None)
    assert str(paused).endswith("Paused: Kie answered 402.")
    assert batch_text("kites", paused).startswith("Batch('kites', 10 items: paused, ")
    assert "<strong>Paused.</strong> Kie answered 402." in batch_html("kites", paused, [])


def test_what_others_wrote_is_text() -> None:
    html = batch_html(
        HOSTILE, progress(paused=HOSTILE), [(1, HOSTILE), *((n, "x" * 1000) for n in range(9))], is_live=True
    )
    assert "<img" not in html
    assert "and 5 more failed" in html
    assert len(html) < 5000


@pytest.mark.parametrize(
    "error",
    [
        BudgetExceeded("too dear", max_credits=10, needed=12.5, unknown=[1, 2]),
        BatchFailed("3 failed", [task(), task()]),
    ],
)
def test_an_error_of_a_batch_keeps_what_it_carries_through_a_pickle(error: Exception) -> None:
    after = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(after) is type(error)
    assert str(after) == str(error)
    assert vars(after) == vars(error)
