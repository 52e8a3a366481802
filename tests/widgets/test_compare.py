"""Two tasks side by side."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kiegen_nb import compare, imagen4, sora2
from kiegen_nb.tasks import TaskStatus
from tests.support.bench import NOW, finished, task

if TYPE_CHECKING:
    from pathlib import Path

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import GenerationTask


def of(folder: Path, name: str, params: KieParams, **fields: Any) -> GenerationTask:
    known: dict[str, Any] = {"model": params.model, "api_model": params.api_model, "provider_params": params.to_json()}
    return finished(folder, name, **known | fields)


def test_only_what_differs_is_a_difference_in_the_order_of_the_parameters(tmp_path: Path) -> None:
    a = of(tmp_path, "a", imagen4("a red kite", aspect_ratio="1:1", seed=1))
    b = of(tmp_path, "b", imagen4("a red kite", aspect_ratio="16:9", seed=2))
    found = compare(a, b)
    assert found.differences == {"aspect_ratio": ("1:1", "16:9"), "seed": (1, 2)}
    assert found.same["prompt"] == "a red kite"
    assert found.same["api_model"] == "google/imagen4-fast"
    assert repr(found) == "Comparison(aspect_ratio, seed differ)"
    assert repr(compare(a, a)) == "Comparison(nothing differs)"
    assert repr(compare(a, of(tmp_path, "c", imagen4("a red kite", aspect_ratio="1:1", seed=3)))) == (
        "Comparison(seed differs)"
    )


def test_what_one_has_not_is_none_and_lists_and_inner_fields_are_told(tmp_path: Path) -> None:
    a = finished(tmp_path, "a", provider_params={"service": "KIE", "input": {"images": ["x"], "more": {"depth": 1}}})
    b = finished(tmp_path, "b", provider_params={"service": "KIE", "input": {"more": {"depth": 2}}})
    assert compare(a, b).differences == {"images": (["x"], None), "more.depth": (1, 2)}
    page = compare(a, b)._repr_html_()
    assert "not set" in page
    assert "more.depth" in page


def test_other_families_are_compared_too(tmp_path: Path) -> None:
    found = compare(of(tmp_path, "a", imagen4("a kite")), of(tmp_path, "b", sora2("a kite")))
    assert {"model", "api_model"} <= set(found.differences)
    assert "prompt" in found.same


def test_the_table_marks_differences_and_tells_cost_time_seed_and_rating(tmp_path: Path) -> None:
    a = of(tmp_path, "a", imagen4("x", seed=5), credits_consumed=4.0, rating=3, comment="dull",
           submitted_at=NOW, completed_at=NOW + timedelta(seconds=7.5))  # fmt: skip
    b = task(
        "b",
        provider_params=imagen4("y", seed=5).to_json(),
        status=TaskStatus.FAILED,
        fail_msg="Flagged.",
        activity=None,
    )
    page = compare(a, b)._repr_html_()
    marked = [row for row in page.split("<tr") if "color-mix" in row and "<th" in row]
    assert len(marked) == 1
    assert "prompt" in marked[0]
    for words in ("4 credits", "7.5 s", "★★★", "dull", "Failed: Flagged.", "Seed", "<details>"):
        assert words in page
    assert page == compare(a, b)._repr_html_()
