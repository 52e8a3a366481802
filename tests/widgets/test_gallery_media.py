"""The three ways a full-size file comes into the page, each with the faults that make the gallery take the next one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from kiegen_nb.sandbox.films import Shot, film
from kiegen_nb.tasks import Asset, AssetKind
from kiegen_nb.widgets.gallery import Gallery
from tests.support.bench import Bench, Buttons, finished

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page, Route

pytestmark = pytest.mark.browser

HOST = "http://jupyter.test"
BASE = "/user/ann/"


class Server:
    """What Jupyter's server answers: the page, the media route and /files/, as far as they are switched on."""

    def __init__(self, page: Page, root: Path, *, config: dict[str, str] | None = None) -> None:
        self.root = root
        self.route: Callable[[Route], None] | None = self.media
        self.files = True
        self.files_fault: Callable[[Route], None] | None = None
        self.asked: list[tuple[str, str]] = []
        self.files_of: dict[str, Path] = {}
        self._config = {"baseUrl": BASE, "serverRoot": str(root)} | (config or {})
        page.route(f"{HOST}/**", self._answer)
        page.goto(f"{HOST}{BASE}lab/tree/work/book.ipynb")

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path.removeprefix(BASE)
        if path.startswith("lab/"):
            config = f"<script id='jupyter-config-data' type='application/json'>{json.dumps(self._config)}</script>"
            route.fulfill(body=f"<!doctype html><body>{config}</body>", content_type="text/html")
            return
        self.asked.append((route.request.method, path))
        if path.startswith("kiegen_nb/media/") and self.route is not None:
            self.route(route)
        elif path.startswith("files/") and self.files_fault is not None:
            self.files_fault(route)
        elif path.startswith("files/") and self.files and self._place(path).is_file():
            route.fulfill(path=self._place(path))
        else:
            route.fulfill(status=404, body="not here")

    def _place(self, path: str) -> Path:
        return self.root / unquote(path.removeprefix("files/"))

    def media(self, route: Route) -> None:
        parts = urlsplit(route.request.url)
        key = parts.path.removeprefix(f"{BASE}kiegen_nb/media/")
        if key not in self.files_of:
            route.fulfill(status=404, body='{"ok": false}')
        elif parts.query == "probe=1":
            route.fulfill(body='{"ok": true}', content_type="application/json")
        else:
            route.fulfill(path=self.files_of[key])

    @property
    def ways(self) -> set[str]:
        """The ways on which files were fetched, beside probes."""
        return {path.split("/")[0] for method, path in self.asked if method == "GET"} - {"lab"}


class Place:
    """A notebook's folder below the server's root, with results in its output folder."""

    def __init__(self, root: Path) -> None:
        self.notebook = root / "work"
        self.output = self.notebook / "kiegen_output"
        self.group = self.output / "a group"
        self.group.mkdir(parents=True)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    found = Place(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(found.notebook / "book.ipynb"))
    return found


def gallery_of(place: Place, *names: str) -> Gallery:
    session = Buttons(*[finished(place.group, name, name) for name in names])
    session.output_dir = place.output
    return Gallery(session=session)


def look(page: Page, bench: Bench) -> list[str]:
    """Open the first picture; return what was asked of the kernel, details aside."""
    page.locator(".kg-pic").first.click()
    return see(page, bench)


def see(page: Page, bench: Bench) -> list[str]:
    asked: list[str] = []
    for _ in range(200):
        asked += [name for name in bench.answer() if name != "details"]
        if page.evaluate("document.querySelector('.kg-full')?.naturalWidth") == 320:
            return asked
        page.wait_for_timeout(25)
    raise AssertionError(f"the picture never came; the kernel was asked for {asked}")


def test_the_servers_route_is_taken_where_it_answers(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    bench = Bench(page, gallery_of(place, "a", "b"))
    server.files_of = {"a/0": place.group / "a-0.png", "b/0": place.group / "b-0.png"}
    assert look(page, bench) == []
    assert server.ways == {"kiegen_nb"}
    page.keyboard.press("ArrowRight")
    assert see(page, bench) == []
    probes = [path for _, path in server.asked].count("kiegen_nb/media/a/0")
    assert probes == 2  # the probe and the file; the second picture needed no probe
    save = page.get_by_role("link", name="Save")
    assert save.get_attribute("href") == f"{HOST}{BASE}kiegen_nb/media/b/0"


def test_without_the_route_jupyters_own_files_are_taken(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.route = None
    bench = Bench(page, gallery_of(place, "a", "b"))
    assert look(page, bench) == []
    assert ("GET", "files/work/kiegen_output/a%20group/a-0.png") in server.asked
    heads = [path for method, path in server.asked if method == "HEAD"]
    page.keyboard.press("ArrowRight")
    assert see(page, bench) == []
    assert [path for method, path in server.asked if method == "HEAD"] == heads  # found out once


@pytest.mark.parametrize("config", [{"serverRoot": ""}, {"serverRoot": "/elsewhere"}])
def test_the_pages_address_tells_where_the_notebook_is(page: Page, place: Place, config: dict[str, str]) -> None:
    server = Server(page, place.notebook.parent, config=config)
    server.route = None
    bench = Bench(page, gallery_of(place, "a"))
    assert look(page, bench) == []
    assert ("GET", "files/work/kiegen_output/a%20group/a-0.png") in server.asked


def test_without_both_the_kernel_sends_the_bytes(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.route, server.files = None, False
    bench = Bench(page, gallery_of(place, "a"))
    assert look(page, bench) == ["full"]
    assert page.locator(".kg-full").get_attribute("src").startswith("blob:")  # type: ignore[union-attr] # None fails too


def redirected(route: Route) -> None:
    route.fulfill(status=302, headers={"location": f"{HOST}{BASE}lab/login"})


def broken(route: Route) -> None:
    route.abort()


def odd(route: Route) -> None:
    route.fulfill(body="<h1>Hello</h1>", content_type="text/html")


@pytest.mark.parametrize("fault", [redirected, broken, odd])
def test_an_answer_that_is_none_does_not_count(page: Page, place: Place, fault: Callable[[Route], None]) -> None:
    server = Server(page, place.notebook.parent)
    server.route = fault
    bench = Bench(page, gallery_of(place, "a"))
    assert look(page, bench) == []
    assert "files" in server.ways


def test_a_login_page_is_not_taken_for_a_file(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.route, server.files_fault = None, redirected
    bench = Bench(page, gallery_of(place, "a"))
    assert look(page, bench) == ["full"]
    assert "files" not in server.ways


def test_a_file_that_does_not_come_by_the_route_comes_from_the_kernel(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    bench = Bench(page, gallery_of(place, "a", "b"))
    server.files_of = {"a/0": place.group / "a-0.png"}
    assert look(page, bench) == []
    page.keyboard.press("ArrowRight")
    assert see(page, bench) == ["full"]


def test_one_file_that_is_gone_does_not_close_the_way(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.files = False
    bench = Bench(page, gallery_of(place, "a", "b"))
    server.files_of = {"b/0": place.group / "b-0.png"}
    (place.group / "a-0.png").unlink()
    page.locator(".kg-pic").first.click()
    page.wait_for_function("window.sent.some((content) => content.type === 'full')")
    bench.answer_all()
    page.get_by_text("is gone.").wait_for()
    page.keyboard.press("ArrowRight")
    assert see(page, bench) == []


def test_results_outside_the_output_folder_come_from_the_kernel(page: Page, place: Place, tmp_path: Path) -> None:
    server = Server(page, place.notebook.parent)
    server.route = None
    other = tmp_path / "work" / "other"
    other.mkdir()
    session = Buttons(finished(other, "a"))
    session.output_dir = place.output
    bench = Bench(page, Gallery(session=session))
    assert look(page, bench) == ["full"]


def test_a_page_that_is_no_jupyter_asks_the_kernel_at_once(page: Page, place: Place) -> None:
    bench = Bench(page, gallery_of(place, "a"))
    assert look(page, bench) == ["full"]


# Films on their cards


def film_gallery(place: Place) -> Gallery:
    path = place.group / "film.mp4"
    path.write_bytes(film(Shot("a fox", "1", 0, (16, 9), 2.0, side=64)))
    session = Buttons(finished(place.group, "a", assets=(Asset(kind=AssetKind.VIDEO, path=path, duration=2.0),)))
    session.output_dir = place.output
    return Gallery(session=session)


def test_a_film_plays_muted_under_the_pointer(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    bench = Bench(page, film_gallery(place))
    server.files_of = {"a/0": place.group / "film.mp4"}
    page.locator(".kg-pic").hover()
    player = page.locator(".kg-card video")
    page.wait_for_function("player => player.currentTime > 0", arg=player.element_handle())
    assert player.evaluate("player => [player.muted, player.loop, player.controls]") == [True, True, False]
    page.mouse.move(0, 0)
    player.wait_for(state="detached")
    assert bench.answer() == []


def test_a_film_that_would_have_to_come_as_a_whole_waits_for_a_click(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.route, server.files = None, False
    bench = Bench(page, film_gallery(place))
    with page.expect_response("**/film.mp4"):
        page.locator(".kg-pic").hover()
    page.evaluate(
        "async () => { for (let turn = 0; turn < 50; turn++) await new Promise((done) => setTimeout(done)); }"
    )
    assert bench.answer() == []
    assert page.locator(".kg-card video").count() == 0
    page.locator(".kg-pic").click()
    page.wait_for_function("window.sent.some((content) => content.type === 'full')")
    bench.answer_all()
    player = page.locator("dialog video")
    page.wait_for_function("player => player.currentTime > 0", arg=player.element_handle())


def test_less_motion_means_no_film_under_the_pointer(page: Page, place: Place) -> None:
    page.emulate_media(reduced_motion="reduce")
    server = Server(page, place.notebook.parent)
    bench = Bench(page, film_gallery(place))
    server.files_of = {"a/0": place.group / "film.mp4"}
    page.locator(".kg-pic").hover()
    assert server.asked == []
    page.locator(".kg-pic").click()
    page.wait_for_function("document.querySelector('dialog video')?.currentTime > 0")
    assert bench.errors == []


def test_films_stay_with_sound_once_somebody_turns_it_on(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    bench = Bench(page, film_gallery(place))
    server.files_of = {"a/0": place.group / "film.mp4"}
    player = page.locator("dialog video")
    page.locator(".kg-pic").click()
    assert player.evaluate("player => player.muted") is True
    player.evaluate(
        "player => new Promise((done) => { player.addEventListener('volumechange', done); player.muted = false; })"
    )
    page.keyboard.press("Escape")
    page.locator(".kg-pic").click()
    assert player.evaluate("player => player.muted") is False
    assert bench.errors == []


def test_the_small_picture_stays_until_the_large_one_is_there(page: Page, place: Place) -> None:
    server, held = Server(page, place.notebook.parent), []

    def hold(route: Route) -> None:
        if route.request.url.endswith("probe=1"):
            server.media(route)
        else:
            held.append(route)

    server.route = hold
    server.files_of = {"a/0": place.group / "a-0.png"}
    bench = Bench(page, gallery_of(place, "a"))
    with page.expect_request("**/media/a/0"):
        page.locator(".kg-pic").click()
    picture = page.locator(".kg-full:not(.kg-soft)")
    assert picture.evaluate("img => [img.naturalWidth, img.style.background.includes('url(\"blob:')]") == [0, True]
    server.media(held[0])
    page.wait_for_function("img => img.naturalWidth === 320 && !img.style.background", arg=picture.element_handle())
    assert bench.errors == []


# The zip


def test_a_zip_that_jupyter_serves_does_not_pass_through_the_kernel(page: Page, place: Place) -> None:
    server = Server(page, place.notebook.parent)
    server.route = None
    bench = Bench(page, gallery_of(place, "a", "b"))
    (place.output / "default-selected.zip").write_bytes(b"PK")
    page.get_by_role("button", name="Select", exact=True).click()
    page.get_by_role("button", name="Select all that are shown").click()
    page.get_by_role("button", name="Download the files as one zip").click()
    [request] = [content["request"] for content in page.evaluate("window.sent") if content["type"] == "zip"]
    answer = {"type": "zip", "request": request, "ok": True, "text": "2 files", "size": 2, "small": True}
    with page.expect_download() as download:
        bench._send(answer | {"name": "default-selected.zip"})
    assert download.value.url == f"{HOST}{BASE}files/work/kiegen_output/default-selected.zip"
    page.evaluate("window.sent.splice(0)")
    assert bench.answer() == []
