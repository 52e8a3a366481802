"""What stays when the kernel is gone: the page of an output folder, contact sheets, and the summary's output."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import IPython.display
import pytest
from PIL import Image

from kiegen_nb import imagen4
from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import SessionClosed
from kiegen_nb.tasks import TIMEOUT, UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets import index, pages
from kiegen_nb.widgets.contact_sheet import MOST, contact_sheet
from kiegen_nb.widgets.index import IndexPage
from kiegen_nb.widgets.pages import AFTER, CSS_CLASS, END_PACE, PACE, SHEET, Summary
from kiegen_nb.widgets.summary import SUMMARY_BYTES
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb import Session

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'><a href=javascript:alert(3)>&amp; {{7*7}}"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def task(number: int, **fields: Any) -> GenerationTask:
    """Return a task; a higher number is a newer one."""
    prompt = fields.pop("prompt", f"kite {number}")
    known: dict[str, Any] = {
        "id": f"{number:032x}",
        "prompt_id": "kites",
        "model": "IMAGEN4",
        "api_model": "google/imagen4-fast",
        "created_at": NOON + timedelta(seconds=number),
        "provider_params": {"service": "KIE", "model": "IMAGEN4", "input": {"prompt": prompt}},
        "activity": Activity.WATCHING,
    }
    return GenerationTask(**known | fields)


def saved(
    folder: Path, number: int, kind: AssetKind = AssetKind.IMAGE, count: int = 1, **fields: Any
) -> GenerationTask:
    """Return a finished task with its files, thumbnails and sidecars."""
    group = folder / str(fields.get("prompt_id", "kites"))
    (group / "thumbnails").mkdir(parents=True, exist_ok=True)
    ending = {AssetKind.IMAGE: "png", AssetKind.VIDEO: "mp4", AssetKind.AUDIO: "mp3", AssetKind.DATA: "json"}[kind]
    colour, assets = fields.pop("colour", "tomato"), []
    bare = task(number, status=TaskStatus.SUCCESS, **{"activity": None} | fields)
    for n in range(count):
        path = group / f"{bare.id}-{n}.{ending}"
        small = group / "thumbnails" / f"{bare.id}-{n}.webp"
        Image.new("RGB", (320, 180), colour).save(path if kind is AssetKind.IMAGE else small)
        if kind is not AssetKind.IMAGE:
            path.write_bytes(b"a film")
        Image.new("RGB", (320, 180), colour).save(small)
        shown = None if kind in {AssetKind.AUDIO, AssetKind.DATA} else small
        assets.append(Asset(kind=kind, path=path, thumbnail=shown, url="https://example.com/a", width=320, height=180))
        told = {"kiegen": 1, "file": path.name, "source": "https://example.com/a", "task": bare.to_json()}
        path.with_name(f"{path.name}.json").write_text(json.dumps(told))
    return bare.model_copy(update={"assets": tuple(assets)})


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in {"img", "br", "meta"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words += data

    def values(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]


def written(folder: Path, *tasks: GenerationTask, **options: Any) -> Page:
    path = IndexPage(folder).write(tasks, **options)
    assert path == folder / "index.html"
    return Page(path.read_text(encoding="utf-8"))


# index.html


def test_the_page_shows_the_folders_tasks_newest_first_with_relative_links(tmp_path: Path) -> None:
    tasks = [saved(tmp_path, 1), saved(tmp_path, 3, prompt_id="boats"), saved(tmp_path, 2, count=4)]
    page = written(tmp_path, *tasks)
    places = [page.words.index(f"kite {number}") for number in (3, 2, 1)]
    assert places == sorted(places)
    files = [value for _, name, value in page.attributes if name == "href"]
    assert len(files) == 6
    assert all((tmp_path / unquote(file)).is_file() for file in files)
    assert not [value for value in page.values("href", "src", "poster") if re.match(r"(?!data:)[a-z+]*:|/", value)]
    assert "boats" in page.words
    assert "3 done" in page.words
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    assert all((moved / unquote(file)).is_file() for file in files)


def test_the_page_needs_no_script_and_allows_none(tmp_path: Path) -> None:
    page = written(tmp_path, saved(tmp_path, 1), saved(tmp_path, 2, AssetKind.VIDEO))
    assert not {"script", "iframe", "object", "embed", "link", "form"} & set(page.tags)
    assert "script-src 'none'; object-src 'none'; form-action 'none'" in page.values("content")


def test_films_wait_for_a_click_and_have_a_poster(tmp_path: Path) -> None:
    page = written(tmp_path, saved(tmp_path, 1, AssetKind.VIDEO), saved(tmp_path, 2, AssetKind.AUDIO))
    assert page.values("preload") == ["none", "none"]
    assert "autoplay" not in [name for _, name, _ in page.attributes]
    [poster] = page.values("poster")
    assert poster.startswith("data:image/webp;base64,")
    assert {"video", "audio"} <= set(page.tags)


def test_pending_and_failed_tasks_are_there_with_their_state(tmp_path: Path) -> None:
    failed = task(2, status=TaskStatus.FAILED, activity=None, fail_code="422", fail_msg="Too long.")
    lost = task(3, status=TaskStatus.FAILED, activity=None, fail_code=UNCONFIRMED, fail_msg="No answer.")
    late = task(4, status=TaskStatus.FAILED, activity=Activity.GAVE_UP, fail_code=TIMEOUT, fail_msg="Too slow.")
    elsewhere = task(6, prompt_id="another group", prompt="nothing of this folder")
    page = written(tmp_path, saved(tmp_path, 1), failed, lost, late, task(5, state="generating"), elsewhere)
    for words in ("Failed: Too long.", "May have been charged: No answer.", "Took too long: Too slow.", "Generating"):
        assert words in page.words
    assert "1 done · 1 pending · 2 failed · 1 unconfirmed" in page.words
    assert "nothing of this folder" not in page.words


def test_results_in_another_folder_are_not_linked(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    page = written(here, saved(here, 1), saved(there, 2))
    assert "kite 1" in page.words
    assert "kite 2" not in page.words


def test_hostile_words_and_names_are_text(tmp_path: Path) -> None:
    folder = tmp_path / 'a <b>folder & "more" #1 100%'
    group = folder / "kites"
    group.mkdir(parents=True)
    nasty = group / "x\" onerror=alert(1) '#?%20.png"
    nasty.write_bytes(b"x")
    asset = Asset(kind=AssetKind.IMAGE, path=nasty, thumbnail=nasty)
    film = Asset(kind=AssetKind.VIDEO, path=nasty, thumbnail=nasty)
    other = Asset(kind=AssetKind.FILE, path=nasty)
    done = task(
        1, prompt=HOSTILE, api_model=HOSTILE, prompt_id=HOSTILE, status=TaskStatus.SUCCESS, activity=None,
        assets=(asset, film, other),
    )  # fmt: skip
    failed = task(2, prompt=HOSTILE, status=TaskStatus.FAILED, activity=None, fail_code=HOSTILE, fail_msg=HOSTILE)
    odd = task(3, provider_params={"input": [HOSTILE], HOSTILE: {"<b>": None}}, state=HOSTILE)
    page = written(folder, done, failed, odd)
    assert set(page.tags) <= {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "main", "article", "div", "p", "span", "a",
        "img", "video", "details", "summary", "pre",
    }  # fmt: skip
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert not [value for value in page.values("href", "src", "poster") if ":" in value.removeprefix("data:image/webp")]
    assert page.words.count("<script>alert(1)</script>") >= 4
    for value in page.values("href"):
        assert folder / unquote(value) == nasty


def test_files_of_another_account_are_known_by_their_sidecars(tmp_path: Path) -> None:
    ours = saved(tmp_path, 1)
    saved(tmp_path, 2, count=2)
    sandboxed = saved(tmp_path, 3)
    place = sandboxed.assets[0].path
    assert place is not None
    beside = place.with_name(f"{place.name}.json")
    beside.write_text(beside.read_text().replace("https://example.com/a", "http://127.0.0.1:9/a.png"))
    page = written(tmp_path, ours)
    assert [name for name in ("kite 1", "kite 2", "kite 3") if name not in page.words] == []
    assert len(page.values("href")) == 4
    assert page.words.count("SANDBOX") == 1
    assert "3 done" in page.words


def test_sidecars_are_read_again_when_they_or_their_files_change(tmp_path: Path) -> None:
    first = saved(tmp_path, 1)
    page = IndexPage(tmp_path)
    place = first.assets[0].path
    assert place is not None
    data = place.read_bytes()
    place.unlink()
    page.write([])
    assert "kite 1" not in page.path.read_text()
    place.write_bytes(data)
    page.write([])
    assert "kite 1" in page.path.read_text()
    beside = place.with_name(f"{place.name}.json")
    beside.write_text(beside.read_text().replace("kite 1", "a whale"))
    os.utime(beside, ns=(1, 1))
    page.write([])
    assert "a whale" in page.path.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "null",
        "[" * 100_000,
        '{"kiegen": 2, "source": null, "task": {}}',
        '{"kiegen": 1, "source": 5, "task": 7}',
        '{"kiegen": 1, "source": null, "task": {"id": "a", "model": "b", "apiModel": "c"}}',
        '{"kiegen": 1, "source": null, "task": {"id": "a", "model": "b", "apiModel": "c", "createdAt": "2026-01-01"}}',
        '{"kiegen": 1, "source": null, "task": {"id": [], "model": {}, "apiModel": 1, "createdAt": true}}',
        '{"kiegen": 1' + " " * 1_100_000 + "}",
    ],
    ids=lambda text: text[:40],
)
def test_a_sidecar_nobody_wrote_is_passed_over(tmp_path: Path, text: str) -> None:
    known = saved(tmp_path, 1)
    (tmp_path / "kites" / "x.png").write_bytes(b"x")
    (tmp_path / "kites" / "x.png.json").write_text(text)
    assert "1 done" in written(tmp_path, known).words


def test_deleted_results_and_links_out_of_the_folder_are_not_looked_at(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    saved(elsewhere, 1)
    out = tmp_path / "out"
    saved(out, 2, prompt_id=".deleted")
    (out / "linked").symlink_to(elsewhere / "kites")
    known = saved(out, 3)
    (out / "kites" / "linked.png.json").symlink_to(next((elsewhere / "kites").glob("*.json")))
    (out / "kites" / "linked.png").write_bytes(b"x")
    assert "1 done" in written(out, known).words


def test_the_newest_small_pictures_are_inside_the_page_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [saved(tmp_path, number) for number in range(6)]
    shown = [asset.thumbnail for known in tasks for asset in known.assets if asset.thumbnail is not None]
    for thumbnail in shown:
        thumbnail.write_bytes(thumbnail.read_bytes().ljust(38_000, b"\0"))
    monkeypatch.setattr(index, "INLINE_BYTES", 150_000)
    page = written(tmp_path, *tasks)
    inside = [value.startswith("data:image/webp;base64,") for value in page.values("src")]
    assert inside == [True, True, True, False, False, False]
    assert base64.b64decode(page.values("src")[0].partition(",")[2]) == shown[-1].read_bytes()
    assert unquote(page.values("src")[-1]) == shown[0].relative_to(tmp_path).as_posix()


def test_a_thumbnail_that_is_no_small_picture_is_only_linked(tmp_path: Path) -> None:
    large, strange, gone = (saved(tmp_path, number) for number in range(3))
    for known, data in ((large, b"RIFF    WEBP".ljust(60_000)), (strange, b"<svg onload=alert(1)>")):
        assert known.assets[0].thumbnail is not None
        known.assets[0].thumbnail.write_bytes(data)
    assert gone.assets[0].thumbnail is not None
    gone.assets[0].thumbnail.unlink()
    page = written(tmp_path, large, strange, gone)
    assert not [value for value in page.values("src") if value.startswith("data:")]
    assert len(page.values("src")) == 3


def test_no_folder_no_page(tmp_path: Path) -> None:
    assert IndexPage(tmp_path / "none").write([]) is None
    assert not (tmp_path / "none").exists()


def test_somebody_elses_page_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>my own page</title>")
    assert IndexPage(tmp_path).write([saved(tmp_path, 1)]) is None
    assert (tmp_path / "index.html").read_text() == "<title>my own page</title>"
    (tmp_path / "index.html").unlink()
    (tmp_path / "index.html").mkdir()
    assert IndexPage(tmp_path).write([]) is None


def test_a_page_that_would_be_the_same_is_not_written(tmp_path: Path) -> None:
    known = saved(tmp_path, 1)
    written(tmp_path, known)
    os.utime(tmp_path / "index.html", ns=(1, 1))
    written(tmp_path, known)
    assert (tmp_path / "index.html").stat().st_mtime_ns == 1
    written(tmp_path, known, task(2))
    assert (tmp_path / "index.html").stat().st_mtime_ns != 1


def test_a_full_disk_leaves_the_old_page_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, saved(tmp_path, 1))
    before = (tmp_path / "index.html").read_bytes()

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        IndexPage(tmp_path).write([task(2)])
    monkeypatch.undo()
    assert (tmp_path / "index.html").read_bytes() == before
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".part")]


# Contact sheets


def count_of(sheet: Image.Image, colour: tuple[int, int, int]) -> int:
    """Return how many pixels are about this colour."""
    near = [range(part - 12, part + 13) for part in colour]
    return sum(
        count
        for count, found in sheet.getcolors(sheet.width * sheet.height) or []
        if isinstance(found, tuple) and all(part in good for part, good in zip(found, near, strict=True))
    )


def test_a_contact_sheet_has_a_tile_for_each_result(tmp_path: Path) -> None:
    tasks = [saved(tmp_path, 1, colour="#ff0000", count=3), saved(tmp_path, 2, AssetKind.VIDEO, colour="#0000ff")]
    sheet = contact_sheet([*tasks, task(3)])
    one = 240 * 135
    assert count_of(sheet, (255, 0, 0)) == pytest.approx(3 * one, rel=0.05)
    assert count_of(sheet, (0, 0, 255)) == pytest.approx(one, rel=0.05)
    narrow, wide = (contact_sheet([*tasks, task(3)], columns=columns) for columns in (1, 5))
    assert narrow.width < sheet.width < wide.width
    assert narrow.height > sheet.height > wide.height


def test_the_same_tasks_give_the_same_bytes(tmp_path: Path) -> None:
    tasks = [saved(tmp_path, 1), task(2), task(3, status=TaskStatus.FAILED, activity=None, fail_msg="Too long.")]
    first, second = (contact_sheet(tasks, tmp_path / name) for name in ("a.png", "b.png"))
    assert first == tmp_path / "a.png"
    assert first.read_bytes() == second.read_bytes()
    with Image.open(first) as image:
        assert image.format == "PNG"
    assert contact_sheet(tasks).tobytes() == Image.open(io.BytesIO(second.read_bytes())).tobytes()
    other = [saved(tmp_path, 1), task(2), task(3, status=TaskStatus.FAILED, activity=None, fail_msg="Too short.")]
    assert contact_sheet(other, str(tmp_path / "c.png")).read_bytes() != first.read_bytes()


def test_what_is_no_picture_is_drawn_as_words(tmp_path: Path) -> None:
    claims = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0" + bytes(60)
    for number, data in enumerate([b"", b"text", claims, b"RIFF\x10\0\0\0WEBPVP8 "]):
        known = saved(tmp_path, number)
        for place in (known.assets[0].path, known.assets[0].thumbnail):
            assert place is not None
            place.write_bytes(data)
        assert count_of(contact_sheet([known]), (255, 99, 71)) == 0
    nasty = task(9, prompt="a\0b\x1b[31m\u202e" + HOSTILE * 50, api_model="x" * 5000, state="\n\n")
    assert contact_sheet([nasty]).width < 300


def test_a_long_list_ends_with_a_count_and_an_empty_one_says_so(tmp_path: Path) -> None:
    many = [task(number) for number in range(MOST + 5)]
    full, more = contact_sheet(many[:MOST]), contact_sheet(many)
    assert more.width == full.width
    assert full.height < more.height < full.height + 60
    assert contact_sheet([]).width > 0
    assert contact_sheet([saved(tmp_path, 1, AssetKind.DATA)]).height > 0


# The summary


class Kernel:
    """A session, a clock, a display thread and a notebook that do nothing by themselves."""

    def __init__(self, folder: Path) -> None:
        self.output_dir = folder / "kiegen_output"
        self.account = "test:1"
        self.is_sandbox = False
        self.tasks: list[GenerationTask] = []
        self.now = 100.0
        self.reading_takes = 0.0
        self.error: Exception | None = None
        self.followers: list[Callable[[QueryState], None]] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.posted: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.outputs: dict[str, list[str]] = {}
        self.shown: list[str] = []
        self.pauses: list[float] = []

    # as a session

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        if self.error is not None:
            raise self.error
        if prompt_id is None:
            self.now += self.reading_takes
        return tuple(known for known in self.tasks if prompt_id in (None, known.prompt_id))

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], None]:
        assert prompt_id
        self.followers.append(callback)
        self.on_display(callback, QueryState(is_loading=True))
        self.on_display(callback, self.state)
        return lambda: self.followers.remove(callback)

    def on_display(self, function: Callable[..., None], *args: Any) -> None:
        self.posted.append((function, args))

    @property
    def state(self) -> QueryState:
        return QueryState(data=tuple(self.tasks), is_loading=False)

    # as time passes

    def become(self, *tasks: GenerationTask) -> None:
        self.tasks = list(tasks)
        for callback in self.followers:
            self.on_display(callback, self.state)
        self.settle()

    def settle(self) -> None:
        while self.posted:
            function, args = self.posted.pop(0)
            function(*args)

    def later(self, seconds: float, function: Callable[[], None]) -> Callable[[], None]:
        timer = (self.now + seconds, function)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer) if timer in self.timers else None

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= end]:
            timer = min(due, key=lambda one: one[0])
            self.now = timer[0]
            self.timers.remove(timer)
            timer[1]()
            self.settle()
        self.now = end

    # as a notebook

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert raw
        self.outputs.setdefault(display_id, []).append(bundle["text/html"])
        self.shown.append(display_id)
        assert bundle["text/plain"].startswith("Summary(")

    def update(self, bundle: dict[str, str], *, raw: bool, display_id: str) -> None:
        assert raw
        self.outputs[display_id].append(bundle["text/html"])

    @property
    def states(self) -> list[str]:
        """What the one output was, one after the other."""
        [states] = self.outputs.values()
        return states

    def summary(self, prompt_id: str = "kites") -> Summary:
        return Summary(
            self, prompt_id, clock=lambda: self.now, later=self.later, worker=AtOnce(), pause=self.pauses.append
        )


class AtOnce(Executor):
    """A worker that does everything at once."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(tmp_path)
    monkeypatch.setattr(IPython.display, "display", made.display)
    monkeypatch.setattr(IPython.display, "update_display", made.update)
    monkeypatch.setattr(pages, "_current", {})
    yield made
    assert made.posted == []


def test_a_summary_is_one_output_with_the_groups_pictures_and_a_link_to_all(kernel: Kernel) -> None:
    kernel.tasks = [saved(kernel.output_dir, 2), saved(kernel.output_dir, 1)]
    summary = kernel.summary()
    summary.display()
    kernel.settle()
    page = Page(kernel.states[-1])
    assert page.attributes[0] == ("div", "class", CSS_CLASS)
    assert page.values("data-kiegen-prompt", "data-kiegen-version") == ["kites", summary.version]
    assert len([value for value in page.values("src") if value.startswith("data:image/webp")]) == 2
    assert page.values("href") == ["kiegen_output/index.html"]
    assert "All results: kiegen_output/index.html" in page.words.replace(os.sep, "/")
    assert (kernel.output_dir / "index.html").is_file()
    assert "SANDBOX" not in page.words
    assert not (kernel.output_dir / "kites" / SHEET).exists()


def test_the_gallery_is_seen_before_a_page_is_built_again(kernel: Kernel) -> None:
    kernel.tasks = [saved(kernel.output_dir, 1)]
    kernel.summary().display()
    kernel.settle()
    assert kernel.pauses == [], "the first page of a few results is built at once"
    kernel.summary().display()
    kernel.settle()
    assert kernel.pauses == [AFTER]
    kernel.wait(60)
    kernel.become(saved(kernel.output_dir, 2), *kernel.tasks)
    assert kernel.pauses == [AFTER], "later builds have nothing to wait for"


def test_it_is_complete_as_soon_as_it_is_displayed(kernel: Kernel) -> None:
    # Programs that run notebooks may not wait for what comes later.
    kernel.tasks = [saved(kernel.output_dir, 1)]
    kernel.summary().display()
    [first] = kernel.states
    assert "kite 1" in first
    assert "data:image/webp" in first
    kernel.settle()


def test_a_sandboxs_summary_says_so(kernel: Kernel) -> None:
    kernel.is_sandbox = True
    kernel.tasks = [saved(kernel.output_dir, 1)]
    kernel.summary().display()
    kernel.settle()
    assert "SANDBOX" in Page(kernel.states[-1]).words


def test_it_is_brought_up_to_date_at_most_every_ten_seconds_and_at_once_at_the_end(kernel: Kernel) -> None:
    done = [saved(kernel.output_dir, number) for number in range(6)]
    kernel.tasks = [task(9)]
    kernel.summary().display()
    kernel.settle()
    begun = len(kernel.states)
    for number in range(5):
        kernel.wait(1)
        kernel.become(task(9), *done[: number + 1])
    assert len(kernel.states) == begun
    kernel.wait(PACE - 5)
    assert len(kernel.states) == begun + 1
    assert "kite 4" in kernel.states[-1]
    kernel.wait(60)
    assert len(kernel.states) == begun + 1
    kernel.become(task(9), *done)
    kernel.become(saved(kernel.output_dir, 9), *done)
    assert len(kernel.states) == begun + 2
    kernel.wait(END_PACE)
    assert len(kernel.states) == begun + 3
    assert "pending" not in Page(kernel.states[-1]).words
    assert kernel.timers == []


def test_the_end_does_not_wait_for_a_timer_that_was_set_before_it(kernel: Kernel) -> None:
    kernel.tasks = [task(1)]
    kernel.summary().display()
    kernel.settle()
    kernel.wait(2)
    kernel.become(task(1, state="generating"))
    assert len(kernel.timers) == 1
    before = len(kernel.states)
    kernel.become(saved(kernel.output_dir, 1))
    assert len(kernel.states) == before + 1
    assert kernel.timers == []


def test_nothing_is_sent_while_nothing_is_to_be_seen(kernel: Kernel) -> None:
    kernel.tasks = [task(1)]
    kernel.summary().display()
    kernel.settle()
    before = len(kernel.states)
    for number in range(20):
        kernel.wait(3)
        kernel.become(task(1, note=f"look {number} went wrong"))
    assert len(kernel.states) == before
    assert kernel.timers == []


def test_an_output_that_would_be_the_same_is_not_sent(kernel: Kernel) -> None:
    kernel.tasks = [saved(kernel.output_dir, 1)]
    IndexPage(kernel.output_dir).write(kernel.tasks)
    kernel.summary().display()
    kernel.settle()
    assert len(kernel.states) == 1
    kernel.become(saved(kernel.output_dir, 2), *kernel.tasks)
    kernel.wait(END_PACE)
    assert len(kernel.states) == 2


def test_a_slow_disk_is_given_time(kernel: Kernel) -> None:
    kernel.reading_takes = 2.0
    kernel.tasks = [task(1)]
    kernel.summary().display()
    kernel.settle()
    before = len(kernel.states)
    kernel.become(task(1, state="generating"))
    kernel.wait(2 * PACE)
    assert len(kernel.states) == before
    kernel.wait(2 * PACE + 1)
    assert len(kernel.states) == before + 1


def test_what_is_pending_when_the_page_is_reloaded_is_shown_by_a_file(kernel: Kernel) -> None:
    # JupyterLab saves this state if its page was reloaded before the end.
    (kernel.output_dir / "kites").mkdir(parents=True)
    kernel.tasks = [task(1)]
    kernel.summary().display()
    kernel.settle()
    page = Page(kernel.states[-1])
    assert "1 pending when this was saved" in page.words
    [address] = page.values("src")
    kernel.become(saved(kernel.output_dir, 1, colour="#00ff00"))
    kernel.wait(END_PACE)
    with Image.open(kernel.output_dir.parent / unquote(address)) as sheet:
        assert count_of(sheet.convert("RGB"), (0, 255, 0)) > 10_000
    assert not [value for value in Page(kernel.states[-1]).values("src") if SHEET in value]
    assert sorted(file.name for file in kernel.output_dir.rglob("*.part")) == []


def test_an_output_folder_elsewhere_is_named_and_not_linked(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = tmp_path / "notebooks" / "a.ipynb"
    notebook.parent.mkdir()
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook))
    kernel.tasks = [saved(kernel.output_dir, 1), task(2)]
    kernel.summary().display()
    kernel.settle()
    page = Page(kernel.states[-1])
    assert page.values("href") == []
    assert str(kernel.output_dir / "index.html") in page.words
    assert not [value for value in page.values("src") if not value.startswith("data:")]


def test_running_the_cell_again_takes_the_output_over(kernel: Kernel) -> None:
    kernel.tasks = [task(1)]
    first = kernel.summary()
    first.display()
    kernel.settle()
    second = kernel.summary()
    second.display()
    kernel.settle()
    assert kernel.shown == [first.display_id, first.display_id]
    assert len(kernel.followers) == 1
    kernel.wait(PACE)
    before = len(kernel.states)
    kernel.become(saved(kernel.output_dir, 1))
    assert len(kernel.states) == before + 1
    other = kernel.summary("boats")
    assert other.display_id != first.display_id


def test_a_closed_summary_stays_as_it_is(kernel: Kernel) -> None:
    kernel.tasks = [task(1)]
    summary = kernel.summary()
    summary.display()
    kernel.settle()
    kernel.become(task(1, state="generating"))
    before = len(kernel.states)
    assert len(kernel.timers) == 1
    summary.close()
    kernel.settle()
    kernel.become(task(1, state="waiting"))
    kernel.wait(60)
    assert len(kernel.states) == before
    assert (kernel.timers, kernel.followers) == ([], [])
    assert pages._current == {}


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SessionClosed("closed"), ZeroDivisionError()]
)
def test_a_failure_does_not_end_it(kernel: Kernel, error: Exception) -> None:
    kernel.tasks = [task(1)]
    kernel.summary().display()
    kernel.settle()
    kernel.error = error
    kernel.wait(PACE)
    before = len(kernel.states)
    kernel.become(task(1, state="generating"))
    assert len(kernel.states) == before
    kernel.error = None
    kernel.wait(PACE)
    kernel.become(saved(kernel.output_dir, 1))
    assert len(kernel.states) == before + 1


def test_it_stays_small_and_hostile_words_stay_text(kernel: Kernel) -> None:
    noise = Image.effect_noise((384, 384), 90).convert("RGB")
    tasks = []
    for number in range(30):
        known = saved(kernel.output_dir, number, prompt=HOSTILE + "日本" * 200, prompt_id="kites")
        assert known.assets[0].thumbnail is not None
        noise.save(known.assets[0].thumbnail, quality=60)
        tasks.append(known)
    failed = task(99, prompt=HOSTILE, status=TaskStatus.FAILED, activity=None, fail_msg=HOSTILE * 5000)
    kernel.tasks = [failed, *reversed(tasks)]
    summary = Summary(kernel, HOSTILE, clock=lambda: kernel.now, later=kernel.later, worker=AtOnce())
    kernel.tasks = [known.model_copy(update={"prompt_id": HOSTILE}) for known in kernel.tasks]
    summary.display()
    kernel.settle()
    text = kernel.states[-1]
    assert len(text.encode()) <= SUMMARY_BYTES
    page = Page(text)
    assert set(page.tags) <= {"div", "span", "img", "a", "code", "strong"}
    assert {name for _, name, _ in page.attributes} <= {
        "class", "style", "src", "alt", "href", "loading", "data-kiegen-prompt", "data-kiegen-version",
    }  # fmt: skip
    assert page.values("data-kiegen-prompt") == [HOSTILE]
    assert page.values("href") == ["kiegen_output/index.html"]
    assert "<script>alert(1)</script>" in page.words
    assert len([value for value in page.values("src") if value.startswith("data:")]) == 23


def test_a_real_session_brings_output_and_page_to_their_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    for name in ("display", "update_display"):
        monkeypatch.setattr(IPython.display, name, lambda bundle, **_: shown.append(bundle["text/html"]))
    session.submit(imagen4("a boat"), prompt_id="boats").result(60)
    handle = session.submit(imagen4("a red kite"), prompt_id="kites")
    summary = Summary(session, "kites")
    summary.display()
    handle.result(60)
    until(lambda: "data:image/webp" in shown[-1] and "pending" not in shown[-1], 30)
    summary.close()
    page = Page((session.output_dir / "index.html").read_text())
    assert "2 done" in page.words
    assert page.words.count("SANDBOX") == 2
    assert "SANDBOX" in Page(shown[-1]).words
    assert [known.prompt_id for known in session.history()] == ["kites", "boats"]
    assert [known.id for known in session.history("kites")] == [handle.id]
    session.delete([handle])
    assert [known.prompt_id for known in session.history()] == ["boats"]
