"""Comparison grids without a browser: what they tell it, their HTML and PNG, and what stays in the notebook."""

from __future__ import annotations

import io
import json
import re
import threading
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import IPython.display
import pytest
from PIL import Image

from kiegen_nb import Session, compare, imagen4, sweep
from kiegen_nb.batch.grid import arrange
from kiegen_nb.tasks import UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets import grid_sheet, lasting
from kiegen_nb.widgets.grid import Grid
from kiegen_nb.widgets.grid_html import MOST, SEVERAL, grid_html
from kiegen_nb.widgets.lasting import LastingOutput
from kiegen_nb.widgets.summary import SUMMARY_BYTES
from tests.conftest import until
from tests.support.bench import HOSTILE, Buttons, drawn, finished, task
from tests.support.results import picture as noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Pairs = list[tuple[dict[str, Any], GenerationTask | None]]


def failed(name: str, reason: str = "Flagged.", code: str = "500", **fields: Any) -> GenerationTask:
    return task(name, status=TaskStatus.FAILED, activity=None, fail_code=code, fail_msg=reason, **fields)


def square(folder: Path) -> Pairs:
    """Return two by two: a result, one that is pending, one that failed, one that was not asked for."""
    return [
        ({"seed": 1, "ratio": "1:1"}, finished(folder, "a", rating=4, comment="best")),
        ({"seed": 1, "ratio": "16:9"}, task("b", activity=Activity.WATCHING, state="generating")),
        ({"seed": 2, "ratio": "1:1"}, failed("c")),
        ({"seed": 2, "ratio": "16:9"}, None),
    ]


def record(grid: Grid) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    grid.send = lambda content, _=None: sent.append(content)
    return sent


def say(grid: Grid, **content: Any) -> None:
    grid._handle_custom_msg(content, [])


# What the browser is told


def test_a_view_is_told_the_layout_first_and_then_the_cards(tmp_path: Path) -> None:
    grid = Grid(square(tmp_path))
    sent = record(grid)
    say(grid, type="ready", view="v")
    layout, snapshot = sent
    assert layout["type"] == "layout"
    assert layout["x"] == {"name": "seed", "labels": ("1", "2")}
    assert layout["cells"] == ((((0,), (2,)), ((1,), (3,))),)
    assert layout["ids"] == ["a", "b", "c", None]
    assert snapshot["ids"] == ["a", "c", "b"], "in the order they are read"
    assert snapshot["items"][0]["label"] == "seed 1 · ratio 1:1"
    assert snapshot["header"]["lasting"] == grid._lasting.key
    assert snapshot["thumbs"]
    json.dumps([layout, snapshot])


def test_a_grid_that_fills_sends_what_changed_and_the_layout_only_when_it_changed(tmp_path: Path) -> None:
    pairs = square(tmp_path)
    session = Buttons(*[known for _, known in pairs if known is not None])
    grid = Grid(lambda: pairs, session=session)
    sent = record(grid)
    say(grid, type="ready", view="v")
    del sent[:]
    done = finished(tmp_path, "b")
    session.become(pairs[0][1] or done, done, pairs[2][1] or done)
    assert [message["type"] for message in sent] == ["patch"]
    assert [item["id"] for item in sent[0]["items"]] == ["b"]
    assert grid.tasks[2] is done
    del sent[:]
    pairs[3] = (pairs[3][0], task("d"))
    session.become(*session.state.data, task("d"))
    assert [message["type"] for message in sent] == ["layout", "patch"]
    assert sent[0]["ids"] == ["a", "b", "c", "d"]
    assert sent[1]["items"][0]["label"] == "seed 2 · ratio 16:9"


def test_tasks_of_the_group_that_are_in_no_tile_are_left_out_and_deleted_ones_leave_theirs(tmp_path: Path) -> None:
    pairs = square(tmp_path)
    session = Buttons(*[known for _, known in pairs if known is not None], task("other"))
    grid = Grid(pairs, session=session)
    assert {known.id for known in grid.tasks} == {"a", "b", "c"}
    session.become(*[known for known in session.state.data if known.id != "c"])
    assert {known.id for known in grid.tasks} == {"a", "b"}
    assert "Flagged" not in grid.html()


def test_a_task_of_another_group_stays_as_it_was_given(tmp_path: Path) -> None:
    pairs: Pairs = [({"a": 1}, finished(tmp_path, "a")), ({"a": 2}, finished(tmp_path, "b", prompt_id="others"))]
    grid = Grid(pairs, session=Buttons(finished(tmp_path, "a")), prompt_id="default")
    assert [known.id for known in grid.tasks] == ["a", "b"]


def test_one_task_in_two_places_is_told_once(tmp_path: Path) -> None:
    known = finished(tmp_path, "a")
    grid = Grid([({"a": 1}, known), ({"a": 2}, known)])
    sent = record(grid)
    say(grid, type="ready", view="v")
    assert sent[0]["ids"] == ["a", "a"]
    assert sent[1]["ids"] == ["a"]


def test_other_axes_are_arranged_anew(tmp_path: Path) -> None:
    pairs: Pairs = [({"a": 1}, finished(tmp_path, "a"))]
    session = Buttons(finished(tmp_path, "a"), task("b"))
    grid = Grid(lambda: pairs, session=session)
    pairs.append(({"a": 2}, task("b")))
    session.become(*session.state.data)
    assert grid.arrangement.x.labels == ("1", "2")
    assert [known.id for known in grid.tasks] == ["a", "b"]


def test_the_saved_state_is_small_whatever_is_in_it(tmp_path: Path) -> None:
    pairs: Pairs = [({"n": n, "m": 1}, finished(tmp_path, f"t{n}")) for n in range(40)]
    grid = Grid(pairs, session=Buttons(*[known for _, known in pairs if known is not None]))
    record(grid)
    say(grid, type="ready", view="v")
    assert len(json.dumps(grid.get_state())) < 6 * 1024


def test_the_group_is_the_tasks_own_and_a_wrong_axis_is_named(tmp_path: Path) -> None:
    assert Grid([({"a": 1}, finished(tmp_path, "a", prompt_id="kites"))]).prompt_id == "kites"
    assert Grid([]).prompt_id == "default"
    with pytest.raises(ValueError, match="x='sed' is no axis of this grid; there are: 'seed', 'ratio'"):
        Grid(square(tmp_path), x="sed")


def test_a_grid_has_a_short_and_stable_repr(tmp_path: Path) -> None:
    assert repr(Grid(square(tmp_path))) == "Grid(seed, ratio: 2 × 2)"  # noqa: RUF001 - the sign is meant
    assert repr(Grid(square(tmp_path), x="ratio", z="seed")) == "Grid(ratio, seed: 2 × 2)"  # noqa: RUF001 - as above
    assert repr(Grid([({"a": 1}, None)])) == "Grid(a: 1)"
    assert repr(Grid([])) == "Grid(nothing)"
    data, _ = Grid(square(tmp_path))._repr_mimebundle_()
    assert data["text/plain"] == "Grid(seed, ratio: 2 × 2)"  # noqa: RUF001 - as above
    assert "<table" in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


# HTML


class Outline(HTMLParser):
    """The tags of a page, balanced."""

    VOID = ("img", "br")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_html_has_headers_pictures_states_and_reasons(tmp_path: Path) -> None:
    html = Grid(square(tmp_path)).html()
    outline = Outline(html)
    assert outline.tags.count("th") == 4
    assert re.findall(r'<th scope="(\w+)"', html) == ["col", "col", "row", "row"]
    assert outline.tags.count("img") == 1
    for words in ("seed", "1:1", "Generating", "Failed: Flagged.", "Not asked for yet", "★★★★", "best"):
        assert words in html
    assert html == Grid(square(tmp_path)).html()


def test_hostile_words_are_text(tmp_path: Path) -> None:
    pairs: Pairs = [
        ({HOSTILE: HOSTILE, "b": HOSTILE, "c": HOSTILE}, finished(tmp_path, "a", HOSTILE, comment=HOSTILE)),
        ({HOSTILE: "x", "b": HOSTILE, "c": HOSTILE}, failed("b", HOSTILE, HOSTILE)),
        ({HOSTILE: "x", "b": HOSTILE, "c": HOSTILE}, task("c", activity=Activity.WATCHING, state=HOSTILE)),
    ]
    outline = Outline(Grid(pairs).html())
    assert "script" not in outline.tags
    assert all(source.startswith("data:image/webp;base64,") for source in outline.sources)
    first, last = (known for _, known in pairs[:2])
    assert first is not None
    assert last is not None
    Outline(compare(first, last)._repr_html_())


def many(folder: Path, number: int) -> Pairs:
    found: Pairs = []
    for n in range(number):
        small = folder / f"{n}.webp"
        with Image.open(io.BytesIO(noise((320, 240)))) as image:
            image.save(small, "WEBP", quality=80)
        asset = Asset(kind=AssetKind.IMAGE, path=small, thumbnail=small, width=320, height=240)
        found.append(({"n": n % 10, "m": n // 10}, finished(folder, f"t{n}", assets=(asset,))))
    return found


@pytest.mark.long
def test_many_pictures_get_smaller_and_then_fewer_but_never_more_bytes(tmp_path: Path) -> None:
    pairs = many(tmp_path, 60)
    html = Grid(pairs).html()
    assert len(html.encode()) <= SUMMARY_BYTES
    assert len(Outline(html).sources) >= 55, "small ones of nearly all rather than large ones of some"
    little = Grid(pairs).html(budget=60_000)
    assert len(little.encode()) <= 60_000
    assert 0 < len(Outline(little).sources) < 60
    assert Outline(little).tags.count("td") == Outline(html).tags.count("td"), "the words are all there"


def test_a_tile_shows_some_of_many_pictures_and_what_tells_its_results_apart(tmp_path: Path) -> None:
    pairs: Pairs = [({"a": 1, "b": 1, "repeat": n}, finished(tmp_path, f"t{n}", count=6)) for n in range(2)]
    html = Grid(pairs).html()
    assert len(Outline(html).sources) == 2 * SEVERAL
    assert "repeat 1" in html


def test_of_very_many_tiles_the_first_are_saved_and_the_others_counted() -> None:
    tall = Grid([({"a": n % 10, "b": n // 10}, None) for n in range(10_000)]).html()
    assert Outline(tall).tags.count("tr") == 1 + MOST // 10
    assert "and 9,600 more" in tall
    wide = Grid([({"a": n}, None) for n in range(1_000)]).html()
    assert Outline(wide).tags.count("th") == MOST
    assert "and 600 more" in wide


def test_an_empty_grid_says_so() -> None:
    assert "Nothing here yet." in Grid([]).html()
    assert grid_html(arrange([{}]), [None]).count("Not asked for yet") == 1


# PNG


def test_the_same_results_give_the_same_png(tmp_path: Path) -> None:
    path = Grid(square(tmp_path)).png(tmp_path / "one.png")
    again = Grid(square(tmp_path)).png(tmp_path / "two.png")
    assert path.read_bytes() == again.read_bytes()
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == Grid(square(tmp_path)).png().size
    pairs = square(tmp_path)
    pairs[0] = (pairs[0][0], finished(tmp_path, "a", rating=5))
    assert Grid(pairs).png().tobytes() != Grid(square(tmp_path)).png().tobytes()


def test_the_png_shows_each_picture_under_its_header(tmp_path: Path) -> None:
    pairs = square(tmp_path)
    sheet = Grid(pairs).png()
    width, height = sheet.size
    pixels = sheet.convert("RGB").load()
    assert pixels is not None
    spots = set()
    for x in range(0, width, 8):
        for y in range(0, height, 8):
            red, green, blue = pixels[x, y]  # type: ignore[misc] # of an RGB picture each is three numbers
            if red > 220 and green < 140 and blue < 110:  # tomato, as good as webp keeps it
                spots.add((x, y))
    assert spots
    assert all(144 <= x < 384 and y < height / 2 for x, y in spots), "in the first column, in the first row"


def test_a_large_grid_gets_smaller_tiles_and_one_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Grid(square(tmp_path)).png()
    monkeypatch.setattr(grid_sheet, "LARGEST", small.width * small.height - 1)
    assert Grid(square(tmp_path)).png().width < small.width
    monkeypatch.setattr(grid_sheet, "LARGEST", 1000)
    with pytest.raises(
        ValueError, match="2 columns, 2 rows and 1 sheets is too large to draw; take a part of the plan"
    ):
        Grid(square(tmp_path)).png()


def test_several_results_share_a_tile_of_the_png_and_hostile_words_do_no_harm(tmp_path: Path) -> None:
    pairs: Pairs = [({"a": 1, "b": HOSTILE, "repeat": n}, finished(tmp_path, f"t{n}", HOSTILE)) for n in range(6)]
    pairs.append(({"a": 2, "b": HOSTILE, "repeat": 0}, failed("f", HOSTILE, UNCONFIRMED)))
    film = tmp_path / "film.webp"
    film.write_bytes(drawn("WEBP", (64, 36)))
    asset = Asset(kind=AssetKind.VIDEO, path=tmp_path / "film.mp4", thumbnail=film)
    pairs.append(({"a": 3, "b": HOSTILE, "repeat": 0}, finished(tmp_path, "v", assets=(asset,))))
    broken = Asset(kind=AssetKind.IMAGE, path=tmp_path / "gone.png", thumbnail=tmp_path / "gone.webp")
    pairs.append(({"a": 4, "b": HOSTILE, "repeat": 0}, finished(tmp_path, "w", assets=(broken,))))
    assert Grid(pairs).png().width > 0
    assert Grid([]).png().width > 0


# What stays in the notebook


class Screen:
    """What a notebook would show: outputs by their display id."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outputs: dict[str, str] = {}
        self.widgets: list[dict[str, str]] = []
        self.changed = threading.Event()
        monkeypatch.setattr(IPython.display, "display", self.display)
        monkeypatch.setattr(IPython.display, "update_display", self.update)

    def display(self, bundle: dict[str, str], *, raw: bool, metadata: Any = None, display_id: str = "") -> None:
        assert raw
        del metadata
        if display_id:
            self.outputs[display_id] = bundle["text/html"]
        else:
            self.widgets.append(bundle)

    def update(self, bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert raw
        assert display_id in self.outputs
        self.outputs[display_id] = bundle["text/html"]
        self.changed.set()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    class Shell:
        kernel = object()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    return Screen(monkeypatch)


def test_a_cell_leaves_the_widget_and_the_same_grid_as_html_that_follows_it(tmp_path: Path, screen: Screen) -> None:
    pairs = square(tmp_path)
    session = Buttons(*[known for _, known in pairs if known is not None])
    grid = Grid(pairs, session=session)
    grid._ipython_display_()
    [bundle] = screen.widgets
    assert "<table" not in bundle["text/html"], "a viewer without a kernel would show it twice"
    [key] = screen.outputs
    assert screen.outputs[key].startswith(f'<div class="kiegen-grid" data-kiegen-grid="{key}">')
    assert "Generating" in screen.outputs[key]
    session.become(finished(tmp_path, "a"), finished(tmp_path, "b"), failed("c"))
    until(lambda: "Generating" not in screen.outputs[key])
    assert len(Outline(screen.outputs[key]).sources) == 2


def test_a_grid_that_is_not_displayed_leaves_nothing(tmp_path: Path, screen: Screen) -> None:
    pairs = square(tmp_path)
    session = Buttons(*[known for _, known in pairs if known is not None])
    Grid(pairs, session=session)
    session.become(finished(tmp_path, "b"))
    assert screen.outputs == {}


def test_outside_of_a_kernel_no_html_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen(monkeypatch)
    Grid(square(tmp_path))._ipython_display_()
    assert (len(screen.widgets), screen.outputs) == (1, {})


def test_the_last_state_is_shown_at_once_and_the_same_html_is_not_sent_again(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "PACE", 3600.0)
    made: list[str] = []
    words = ["first"]

    def make() -> str:
        made.append(words[0])
        return words[0]

    output = LastingOutput(make, "text")
    output.display()
    words[0] = "second"
    output.refresh(pending=True)
    until(lambda: screen.outputs[output.key] == "second")
    words[0] = "third"
    output.refresh(pending=True)
    assert made == ["first", "second"], "while something is pending, the pace is kept"
    output.refresh(pending=False)
    until(lambda: screen.outputs[output.key] == "third")
    screen.changed.clear()
    output.refresh(pending=False)
    until(lambda: made.count("third") == 2 and output._worker is None)
    assert not screen.changed.is_set()


def test_html_that_cannot_be_made_is_no_end(screen: Screen, caplog: pytest.LogCaptureFixture) -> None:
    words = ["first"]
    output = LastingOutput(lambda: words[0], "text")
    output.display()
    text = words.pop()
    with caplog.at_level("DEBUG", "kiegen_nb"):
        output.refresh(pending=False)
        until(lambda: output._worker is None)
    assert "page.failed" in caplog.text
    words.append(f"{text} again")
    output.refresh(pending=False)
    until(lambda: screen.outputs[output.key] == "first again")


# A real session


def test_a_grid_of_a_real_session_fills_and_keeps_ratings(make_session: Callable[..., Session]) -> None:
    session = make_session()
    seeds = (1, 2)
    handles = [session.submit(imagen4("a red kite", seed=seed), prompt_id="kites") for seed in seeds]
    grid = Grid([({"seed": seed}, handle.task) for seed, handle in zip(seeds, handles, strict=True)], session=session)
    assert grid.prompt_id == "kites"
    for handle in handles:
        handle.result(20)
    until(lambda: len(Outline(grid.html()).sources) == 2)
    session.rate(handles[0], 5)
    until(lambda: "★★★★★" in grid.html())
    comparison = compare(*handles)
    assert comparison.differences == {"seed": (1, 2)}
    assert "SANDBOX" in grid.html()
    grid.close()


def test_a_batch_shows_its_own_grid_and_what_is_asked_anew_takes_its_tile(make_session: Callable[..., Session]) -> None:
    session = make_session()
    plan = sweep(imagen4("a red kite"), aspect_ratio=["1:1", "16:9"], prompt=["a red kite", "a crowd, sandbox:fail"])
    batch = session.batch(plan, "kites")
    grid = batch.grid(x="prompt")
    assert repr(grid) == "Grid(prompt, aspect_ratio: 2 × 2)"  # noqa: RUF001 - the sign is meant
    sent = record(grid)
    say(grid, type="ready", view="v")
    batch.wait(20)
    until(lambda: len(Outline(grid.html()).sources) == 2)
    assert grid.html().count("Failed: ") == 2
    first = {failed.id for failed in batch.failed}
    assert batch.retry_failed() == 2
    batch.wait(20)
    until(lambda: {known.id for known in grid.tasks} == {known.id for known in batch.tasks})
    assert not first & {known.id for known in grid.tasks}
    layouts = [message["ids"] for message in sent if message["type"] == "layout"]
    assert layouts[-1] == [known.id for known in batch.tasks]
    with pytest.raises(ValueError, match="x='promt' is no axis of this grid"):
        batch.grid(x="promt")
    grid.close()
