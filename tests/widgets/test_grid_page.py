"""grid.js in a real browser, on a bare page with a stand-in for Jupyter's model; no server, no kernel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.sandbox.films import Shot, film
from kiegen_nb.tasks import UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets.grid import Grid
from tests.support.bench import HOSTILE, NOW, Bench, Buttons, drawn, finished, task

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
Pairs = list[tuple[dict[str, Any], GenerationTask | None]]
FOCUS = "document.activeElement.ariaLabel"


def failed(name: str, code: str = "500", reason: str = "Flagged.") -> GenerationTask:
    return task(name, status=TaskStatus.FAILED, activity=None, fail_code=code, fail_msg=reason)


def square(folder: Path) -> Pairs:
    return [
        ({"seed": 1, "ratio": "1:1"}, finished(folder, "a")),
        ({"seed": 1, "ratio": "16:9"}, task("b", activity=Activity.WATCHING, state="generating", submitted_at=NOW)),
        ({"seed": 2, "ratio": "1:1"}, failed("c")),
        ({"seed": 2, "ratio": "16:9"}, None),
        ({"seed": 3, "ratio": "16:9"}, failed("d", UNCONFIRMED, "No answer came.")),
    ]


def shown(page: Page, grid: Grid) -> Bench:
    """Show a grid, and answer until all that is near has its pictures."""
    bench = Bench(page, grid)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.kg-tile')].slice(0, 4).every((tile) => tile.firstChild)"
    )
    bench.answer_all()
    return bench


def session_of(pairs: Pairs) -> Buttons:
    return Buttons(*[known for _, known in pairs if known is not None])


def test_it_is_a_table_with_headers_and_a_tile_for_each_state(page: Page, tmp_path: Path) -> None:
    pairs = square(tmp_path)
    bench = shown(page, Grid(pairs, session=session_of(pairs)))
    assert page.get_by_role("columnheader").all_inner_texts() == ["1", "2", "3"]
    assert page.get_by_role("rowheader").all_inner_texts() == ["1:1", "16:9"]
    assert page.get_by_role("columnheader").first.get_attribute("title") == "seed: 1"
    assert bench.text(".kg-corner").split("\n") == ["seed →", "ratio ↓"]
    cells = page.locator("tbody td")
    assert cells.count() == 6
    assert cells.nth(0).get_by_role("img", name="seed 1 · ratio 1:1").count() == 1
    assert "Flagged." in cells.nth(1).inner_text()
    assert "Not part of it" in (cells.nth(2).text_content() or "")
    assert "Generating" in cells.nth(3).inner_text()
    assert cells.nth(3).locator("[data-task=b]").get_attribute("aria-busy") == "true"
    assert cells.nth(4).inner_text() == "Not asked for yet"
    assert "May have been charged" in cells.nth(5).inner_text()
    assert bench.text(".kg-counts") == "1 pending · 1 done · 1 failed · 1 unconfirmed"
    assert bench.errors == []


def test_a_grid_of_nothing_says_so(page: Page) -> None:
    assert Bench(page, Grid([])).text(".kg-empty") == "Nothing here yet."


def test_tiles_fill_while_it_runs_and_are_told_of(page: Page, tmp_path: Path) -> None:
    pairs = square(tmp_path)
    session = session_of(pairs)
    bench = shown(page, Grid(lambda: pairs, session=session))
    assert page.locator(".kg-thumb").count() == 1
    page.get_by_role("button", name="Open: seed 1 · ratio 1:1").focus()
    session.become(finished(tmp_path, "a"), finished(tmp_path, "b"), failed("c"), failed("d", UNCONFIRMED))
    bench.answer_all()
    assert page.locator(".kg-thumb").count() == 2
    assert page.locator(".kg-live[role=status]").inner_text() == "Done: seed 1 · ratio 16:9"
    assert page.evaluate(FOCUS) == "Open: seed 1 · ratio 1:1"
    pairs[3] = (pairs[3][0], finished(tmp_path, "e"))
    session.become(*session.state.data, finished(tmp_path, "e"))
    bench.answer_all()
    assert page.get_by_role("img", name="seed 2 · ratio 16:9").count() == 1
    session.become(*[known for known in session.state.data if known.id != "a"])
    assert page.locator("tbody td").first.inner_text() == "Deleted"
    assert bench.errors == []


def test_sheets_are_one_below_the_other(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [
        ({"a": a, "b": b, "c": c}, finished(tmp_path, f"t{a}{b}{c}")) for a in (1, 2) for b in (1, 2) for c in (1, 2, 3)
    ]
    shown(page, Grid(pairs, session=session_of(pairs)))
    assert page.get_by_role("table").count() == 3
    assert page.locator("caption").all_inner_texts() == ["c: 1", "c: 2", "c: 3"]
    boxes = [page.get_by_role("table").nth(n).bounding_box() for n in range(3)]
    assert [box["y"] for box in boxes if box] == sorted(box["y"] for box in boxes if box)


def test_hostile_words_are_text(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [
        ({HOSTILE: HOSTILE, "b": HOSTILE, "c": HOSTILE, "d": n}, known)
        for n, known in enumerate((finished(tmp_path, "a", HOSTILE, comment=HOSTILE), failed("b", HOSTILE, HOSTILE)))
    ]
    bench = shown(page, Grid(pairs, session=session_of(pairs)))
    assert bench.text("caption") == f"c: {HOSTILE}"
    assert page.get_by_role("rowheader").first.inner_text() == HOSTILE
    assert bench.text("[data-task=b] .kg-reason") == HOSTILE
    assert page.locator(".kg script, .kg img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None
    assert bench.errors == []


def test_a_tile_opens_at_full_size_and_the_keys_walk_on_in_reading_order(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [({"a": a, "b": b}, finished(tmp_path, f"t{a}{b}")) for a in (1, 2) for b in (1, 2)]
    bench = shown(page, Grid(pairs, session=session_of(pairs)))
    page.get_by_role("button", name="Open: a 1 · b 1").click()
    assert bench.answer() == ["details", "full"]
    page.wait_for_function("() => document.querySelector('.kg-full')?.naturalWidth === 320")
    assert bench.text(".kg-caption") == "a 1 · b 1"
    page.keyboard.press("ArrowRight")
    bench.answer_all()
    assert bench.text(".kg-caption") == "a 2 · b 1"
    page.keyboard.press("3")
    assert "rate" in bench.answer()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_function(f"{FOCUS} === 'Open: a 2 · b 1'")
    assert page.get_by_role("slider", name="Rating: a 2 · b 1").get_attribute("aria-valuetext") == "3 of 5"
    assert bench.errors == []


def test_a_film_shows_its_poster_and_plays_when_it_is_opened(page: Page, tmp_path: Path) -> None:
    path, poster = tmp_path / "film.mp4", tmp_path / "film.webp"
    path.write_bytes(film(Shot("a fox", "1", 0, (16, 9), 2.0, side=64)))
    poster.write_bytes(drawn("WEBP", (64, 36)))
    asset = Asset(kind=AssetKind.VIDEO, path=path, thumbnail=poster, duration=2.0)
    pairs: Pairs = [({"a": 1}, finished(tmp_path, "a", assets=(asset,)))]
    bench = shown(page, Grid(pairs))
    assert page.locator(".kg-thumb").count() == 1
    assert page.locator("video").count() == 0
    page.get_by_role("button", name="Play: a 1").click()
    bench.answer_all()
    page.wait_for_function("() => document.querySelector('dialog video')?.currentTime > 0")


def test_arrows_go_from_tile_to_tile_over_gaps(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [
        ({"a": 1, "b": 1}, finished(tmp_path, "t11")),
        ({"a": 3, "b": 1}, finished(tmp_path, "t31")),
        ({"a": 2, "b": 2}, failed("t22")),
        ({"a": 3, "b": 3}, finished(tmp_path, "t33")),
    ]
    shown(page, Grid(pairs, session=session_of(pairs), x="a", y="b"))
    page.get_by_role("button", name="Open: a 1 · b 1").focus()
    walked = []
    for key in ("ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        walked.append(page.evaluate("document.activeElement.closest('[data-task]').dataset.task"))
    assert walked == ["t31", "t33", "t31", "t11", "t11"]


def test_many_results_of_one_tile_are_collapsed_and_shown_on_request(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [({"a": 1, "b": 1, "repeat": n}, finished(tmp_path, f"t{n}")) for n in range(7)]
    session = session_of(pairs)
    bench = shown(page, Grid(pairs, session=session))
    assert page.locator(".kg-tile").count() == 3
    page.get_by_role("button", name="Show all 7").click()
    assert page.locator(".kg-tile").count() == 7
    page.wait_for_function(f"{FOCUS} === 'Open: a 1 · b 1 · repeat 3'")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(FOCUS) == "Open: a 1 · b 1 · repeat 2"
    page.wait_for_function("() => document.querySelectorAll('.kg-tile .kg-media').length === 7")
    bench.answer_all()
    assert page.locator(".kg-thumb").count() == 7
    assert bench.text("[data-task=t5] .kg-inside") == "repeat 5"


def test_digits_rate_the_tile_under_the_pointer_and_arrows_move_stars(page: Page, tmp_path: Path) -> None:
    pairs: Pairs = [({"a": n}, finished(tmp_path, f"t{n}")) for n in (1, 2)]
    session = session_of(pairs)
    bench = shown(page, Grid(pairs, session=session))
    box = page.get_by_role("img", name="a 2").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5, steps=2)
    page.keyboard.press("4")
    assert bench.answer() == ["rate"]
    assert session.rated == [("t2", {"rating": 4})]
    page.get_by_role("slider", name="Rating: a 1").focus()
    page.keyboard.press("ArrowRight")
    assert bench.answer() == ["rate"]
    assert session.rated[-1] == ("t1", {"rating": 1})
    assert page.get_by_role("slider", name="Rating: a 1").evaluate("node => node === document.activeElement")


def test_headers_stay_in_sight_and_a_narrow_cell_scrolls(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 420, "height": 700})
    pairs: Pairs = [({"a": a, "b": b}, finished(tmp_path, f"t{a}-{b}")) for a in range(8) for b in range(8)]
    bench = shown(page, Grid(pairs, session=session_of(pairs)))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pane = page.locator(".kg-sheets")
    pane.evaluate("node => node.scrollTo(500, 500)")
    page.wait_for_function("() => document.querySelector('.kg-sheets').scrollTop > 300")
    edge = pane.bounding_box()
    column, row = (page.get_by_role(f"{kind}header").nth(7).bounding_box() for kind in ("column", "row"))  # type: ignore[arg-type] # both are roles
    assert edge is not None
    assert column is not None
    assert row is not None
    assert abs(column["y"] - edge["y"]) <= 2
    assert abs(row["x"] - edge["x"]) <= 2
    page.wait_for_function("() => document.querySelector('[data-task=\"t5-4\"]')?.querySelector('.kg-media')")
    bench.answer_all()
    assert bench.errors == []


def test_only_what_is_near_is_built(page: Page, tmp_path: Path) -> None:
    known = finished(tmp_path, "a")
    pairs: Pairs = [
        ({"a": a, "b": b}, known.model_copy(update={"id": f"t{a}-{b}"})) for a in range(10) for b in range(60)
    ]
    shown(page, Grid(pairs, session=session_of(pairs)))
    assert page.locator(".kg-tile").count() == 600
    assert page.locator(".kg-tile .kg-media").count() < 200


def test_the_same_grid_as_html_is_hidden_while_this_one_works(page: Page, tmp_path: Path) -> None:
    grid = Grid(square(tmp_path))
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", grid._block())
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", Grid([])._block())
    mine, other = page.locator(".kiegen-grid").all()
    assert mine.is_visible()
    bench = shown(page, grid)
    assert not mine.is_visible()
    assert other.is_visible()
    page.evaluate("window.end()")
    assert bench.answer() == ["bye"]
    assert mine.is_visible()


def test_a_pending_tile_ticks_without_a_message(page: Page) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=1)
    bench = shown(page, Grid([({"a": 1}, task("a", activity=Activity.WATCHING, submitted_at=begun))]))
    before = bench.text(".kg-clock")
    page.clock.run_for(60_000)
    assert bench.text(".kg-clock") != before
    assert bench.answer() == []


def test_an_empty_grid_and_a_shadow_root_do_no_harm(page: Page, tmp_path: Path) -> None:
    bench = Bench(page, Grid([]), shadow=True)
    assert bench.errors == []
    page.reload()
    pairs = square(tmp_path)
    inside = Bench(page, Grid(pairs, session=session_of(pairs)), shadow=True)
    page.get_by_role("button", name="Open: seed 1 · ratio 1:1").focus()
    page.keyboard.press("5")
    assert "rate" in inside.answer()
    assert inside.errors == []
