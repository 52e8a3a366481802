"""The gallery's toolbar, selection, lightbox and long lists, in a real browser on a bare page."""

from __future__ import annotations

import re
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine.state import QueryState
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.tasks import Activity, Asset, AssetKind, TaskStatus
from kiegen_nb.widgets.gallery import Gallery
from tests.conftest import until
from tests.support.bench import HOSTILE, NOW, Bench, Buttons, drawn, finished, of, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from kiegen_nb.tasks import GenerationTask

pytestmark = pytest.mark.browser


@pytest.fixture
def few(tmp_path: Path) -> list[GenerationTask]:
    """Four cards: a picture, a film's, a failure, a pending one."""
    return [
        task("d", "a slow sunrise", activity=Activity.WATCHING, api_model="google/imagen4"),
        task("c", "a crowd", status=TaskStatus.FAILED, activity=None, fail_code="500", fail_msg="No."),
        finished(tmp_path, "b", "a lighthouse"),
        finished(tmp_path, "a", "a red kite"),
    ]


def cards(page: Page) -> list[str]:
    return [card.get_attribute("data-task") or "" for card in page.locator(".kg-card").all()]


def picked(page: Page) -> list[str]:
    return [card.get_attribute("data-task") or "" for card in page.locator(".kg-picked").all()]


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


# Filter, sort, group


def test_cards_are_filtered_by_words_state_and_model(page: Page, few: list[GenerationTask]) -> None:
    bench = Bench(page, Gallery(tasks=few))
    words = page.get_by_role("searchbox", name="Filter by text")
    words.fill("A KITE")
    assert cards(page) == ["a"]
    assert bench.text(".kg-found") == "1 of 4"
    words.press("Escape")
    assert cards(page) == ["d", "c", "b", "a"]
    page.get_by_role("combobox", name="State").select_option("failed")
    assert cards(page) == ["c"]
    page.get_by_role("combobox", name="State").select_option("")
    page.get_by_role("combobox", name="Model").select_option("imagen4")
    assert cards(page) == ["d"]
    words.fill("kite")
    assert cards(page) == []
    assert "Nothing matches." in bench.text(".kg-empty")
    button(page, "Show all").click()
    assert cards(page) == ["d", "c", "b", "a"]
    assert bench.answer() == []


def test_a_filtered_gallery_takes_in_what_comes(page: Page, few: list[GenerationTask], tmp_path: Path) -> None:
    gallery = Gallery(tasks=few)
    Bench(page, gallery)
    page.get_by_role("combobox", name="State").select_option("done")
    gallery.show([finished(tmp_path, "d", "a slow sunrise"), *few[1:]])
    assert cards(page) == ["d", "b", "a"]
    assert page.get_by_role("option", name="Done (3)").count() == 1
    gallery.show(few[:2])
    assert cards(page) == []


def test_cards_are_sorted_and_grouped(page: Page, few: list[GenerationTask], tmp_path: Path) -> None:
    Bench(page, Gallery(tasks=[*few, finished(tmp_path, "z", "a lighthouse")]))
    order = page.get_by_role("combobox", name="Order")
    order.select_option("oldest")
    assert cards(page) == ["z", "a", "b", "c", "d"]
    order.select_option("model")
    assert cards(page) == ["d", "c", "b", "a", "z"]
    order.select_option("newest")
    toggle = button(page, "By prompt")
    toggle.click()
    assert toggle.get_attribute("aria-pressed") == "true"
    assert cards(page) == ["d", "c", "b", "z", "a"]
    headings = page.get_by_role("heading")
    assert headings.all_inner_texts() == ["a slow sunrise", "a crowd", "a lighthouse", "a red kite"]
    toggle.click()
    assert headings.count() == 0
    assert cards(page) == ["d", "c", "b", "a", "z"]


def test_a_single_card_needs_no_toolbar(page: Page, few: list[GenerationTask]) -> None:
    gallery = Gallery(tasks=few[:1])
    Bench(page, gallery)
    assert not page.locator(".kg-tools").is_visible()
    gallery.show(few)
    assert page.locator(".kg-tools").is_visible()


# Selection


def test_cards_are_selected_by_click_range_and_key(page: Page, few: list[GenerationTask]) -> None:
    Bench(page, Gallery(tasks=few))
    button(page, "Select").click()
    page.get_by_role("checkbox", name="Select: a slow sunrise").click()
    assert picked(page) == ["d"]
    page.get_by_role("button", name="Open: a lighthouse").click(modifiers=["Shift"])
    assert picked(page) == ["d", "c", "b"]
    assert page.locator(".kg-picked-count").inner_text() == "3 selected"
    assert not page.get_by_role("dialog").is_visible()
    page.get_by_role("checkbox", name="Select: a crowd").press("Space")
    assert picked(page) == ["d", "b"]
    page.keyboard.press("Control+a")
    assert picked(page) == ["d", "c", "b", "a"]
    page.get_by_role("button", name="Select none").click()
    assert picked(page) == []
    page.get_by_role("searchbox", name="Filter by text").fill("kite")
    page.get_by_role("button", name="Select all that are shown").click()
    assert picked(page) == ["a"]
    page.get_by_role("checkbox").first.focus()
    page.keyboard.press("Escape")
    assert page.get_by_role("checkbox").count() == 0
    assert page.evaluate("document.activeElement.textContent") == "Select"


def test_a_deletion_is_undone_with_a_click(page: Page, tmp_path: Path) -> None:
    known = [task("c", activity=Activity.WATCHING), finished(tmp_path, "b"), finished(tmp_path, "a")]
    session = Buttons(*known)
    bench = Bench(page, Gallery(session=session))
    button(page, "Select").click()
    page.get_by_role("button", name="Select all that are shown").click()
    page.get_by_role("button", name="Delete; this can be undone").click()
    assert bench.answer() == ["delete"]
    assert [gone.id for gone in session.deleted] == ["b", "a"]
    assert cards(page) == ["c"]
    told = page.locator(".kg-undo")
    assert told.inner_text().startswith("2 deleted; the files are in ")
    assert "1 still pending, so kept." in told.inner_text()
    button(page, "Undo").click()
    assert bench.answer() == ["restore"]
    assert sorted(cards(page)) == ["a", "b", "c"]
    assert not told.is_visible()
    assert bench.errors == []


def test_pending_tasks_alone_cannot_be_deleted(page: Page) -> None:
    Bench(page, Gallery(session=Buttons(task("b"), task("a"))))
    button(page, "Select").click()
    page.get_by_role("button", name="Select all that are shown").click()
    assert page.get_by_role("button", name="Delete; this can be undone").is_disabled()


def test_a_gallery_without_a_session_offers_no_deletion(page: Page, few: list[GenerationTask]) -> None:
    Bench(page, Gallery(tasks=few))
    button(page, "Select").click()
    assert not page.get_by_role("button", name="Delete; this can be undone").is_visible()
    assert page.get_by_role("button", name="Download the files as one zip").is_visible()


def test_selected_files_come_as_one_zip(page: Page, tmp_path: Path) -> None:
    session = Buttons(finished(tmp_path, "b"), finished(tmp_path, "a", count=2))
    session.output_dir = tmp_path / "output"
    bench = Bench(page, Gallery("kites & <b>", session=session))
    sent: list[tuple[dict[str, Any], Any]] = []
    deliver = bench.widget.send
    bench.widget.send = lambda content, buffers=None: sent.append((content, buffers))
    button(page, "Select").click()
    page.get_by_role("button", name="Select all that are shown").click()
    page.get_by_role("button", name="Download the files as one zip").click()
    assert page.locator(".kg-tell").first.inner_text().startswith("Packing the files of 2 tasks")
    assert bench.answer() == ["zip"]
    until(lambda: bool(sent))  # packed on another thread
    bench.widget.send = deliver
    with page.expect_download() as download:
        for content, buffers in sent:
            deliver(content, buffers)
        page.wait_for_function("window.sent.length > 0")
        assert bench.answer() == ["zip_bytes"]
    name = download.value.suggested_filename
    assert re.fullmatch(r"kites-b-[0-9a-f]{8}-selected\.zip", name)
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(archive.namelist()) == ["a-0.png", "a-1.png", "b-0.png"]
    assert "3 files in" in page.locator(".kg-tell").first.inner_text()
    assert bench.errors == []


# The lightbox


def zoom(page: Page) -> int:
    return int(page.locator(".kg-zoom .kg-place").inner_text().removesuffix(" %"))


def opened(page: Page, *tasks: GenerationTask) -> Bench:
    bench = Bench(page, Gallery(tasks=tasks))
    page.locator(".kg-pic").first.click()
    bench.answer_all()
    page.wait_for_function("document.querySelector('.kg-full').naturalWidth === 320")
    return bench


def test_a_picture_is_zoomed_with_keys_wheel_and_double_click(page: Page, tmp_path: Path) -> None:
    opened(page, finished(tmp_path, "a"))
    assert zoom(page) == 100
    page.keyboard.press("+")
    assert zoom(page) == 140
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert zoom(page) == 100
    picture = page.locator(".kg-full")
    picture.dblclick()
    assert zoom(page) == 250
    picture.dblclick()
    assert zoom(page) == 100
    picture.hover()
    page.mouse.wheel(0, -120)
    assert zoom(page) > 100
    page.keyboard.press("f")
    assert zoom(page) == 100


def test_a_zoomed_picture_is_dragged_and_stays_open(page: Page, tmp_path: Path) -> None:
    bench = opened(page, finished(tmp_path, "b"), finished(tmp_path, "a"))
    for _ in range(5):
        page.keyboard.press("+")
    place = page.locator(".kg-full").bounding_box()
    assert place is not None
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(460, 430, steps=4)
    page.mouse.up()
    moved = page.locator(".kg-full").bounding_box()
    assert moved is not None
    assert (round(moved["x"] - place["x"]), round(moved["y"] - place["y"])) == (60, 30)
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("ArrowRight")
    assert zoom(page) == 100
    assert bench.errors == []


def test_two_pictures_are_compared_and_zoomed_together(page: Page, tmp_path: Path, few: list[GenerationTask]) -> None:
    bench = Bench(page, Gallery(tasks=few))
    button(page, "Select").click()
    compare = page.get_by_role("button", name="Show the two side by side")
    page.get_by_role("checkbox", name="Select: a red kite").click()
    assert compare.is_disabled()
    page.get_by_role("checkbox", name="Select: a crowd").click()
    assert compare.is_disabled()  # nothing to be seen of a failure
    page.get_by_role("checkbox", name="Select: a lighthouse").click()
    compare.click()
    bench.answer_all()
    assert page.locator("figcaption span:first-child").all_inner_texts() == ["a lighthouse", "a red kite"]
    page.keyboard.press("+")
    assert (
        len(set(page.locator(".kg-full").evaluate_all("all => all.map((one) => getComputedStyle(one).transform)"))) == 1
    )
    assert "1.4" in page.locator(".kg-full").first.evaluate("one => getComputedStyle(one).transform")
    page.keyboard.press("ArrowRight")
    assert page.locator(".kg-full").count() == 2
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert tmp_path.exists()


def test_the_lightbox_tells_everything_as_text(page: Page, tmp_path: Path) -> None:
    params = {"input": {"prompt": HOSTILE, "seed": 7, HOSTILE: HOSTILE}}
    known = finished(tmp_path, "a", HOSTILE, provider_params=params, external_task_id=HOSTILE, credits_consumed=4.0)
    bench = opened(page, known)
    rows = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    assert rows["Prompt"].strip() == rows["Task at Kie"].strip() == HOSTILE
    assert rows["Seed"].strip() == "7"
    assert rows["Cost"].strip() == "4 credits"
    assert rows["File"].strip() == str(tmp_path / "a-0.png")
    assert page.locator(".kg script, .kg img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None
    page.keyboard.press("i")
    assert not page.locator(".kg-side").is_visible()
    assert bench.errors == []


def test_a_row_is_copied(page: Page, tmp_path: Path) -> None:
    opened(page, finished(tmp_path, "a", "a red kite"))
    # A page without the permission: the old way is taken.
    listen = "() => { window.copied = []; addEventListener('copy', () => copied.push(document.activeElement.value)); }"
    page.evaluate(listen)
    page.get_by_role("button", name="Copy: Prompt").click()
    page.wait_for_function("document.querySelector('.kg-live').textContent === 'Prompt copied'")
    assert page.evaluate("navigator.clipboard ? [] : window.copied") in ([], ["a red kite"])


def test_follow_ups_and_inputs_are_at_hand_in_the_lightbox(page: Page, tmp_path: Path) -> None:
    session = Buttons(of(tmp_path, veo3("a boat"), 1))
    gallery = Gallery(session=session)
    used: list[Asset] = []
    gallery.on_use = used.append
    bench = Bench(page, gallery)
    page.locator(".kg-pic").click()
    bench.answer_all()
    side = page.locator(".kg-side")
    side.get_by_role("button", name="Extend").click()
    page.keyboard.type("it lands 0 - +")  # neither zooms nor closes
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").is_visible()
    assert zoom(page) == 100
    page.keyboard.press("Enter")
    page.keyboard.type("it turns")
    page.keyboard.press("Enter")
    assert bench.answer() == ["follow_up"]
    assert session.followed == [("a", "extend", 0, "it turns")]
    bench.answer_all()
    assert side.locator(".kg-note").inner_text() == HOSTILE
    side.get_by_role("button", name="Put it into the form as an input").click()
    assert bench.answer() == ["use"]
    assert [asset.path for asset in used] == [tmp_path / "a-0.png"]
    assert not page.get_by_role("dialog").is_visible()  # the form is behind it


def test_selected_results_become_inputs_all_at_once(page: Page, tmp_path: Path) -> None:
    gallery = Gallery(session=Buttons(*[finished(tmp_path, name) for name in "abc"], task("d")))
    used: list[Asset] = []
    gallery.on_use = used.append
    bench = Bench(page, gallery)
    page.get_by_role("button", name="Select", exact=True).click()
    use = page.get_by_role("button", name="Put the results into the form as inputs")
    assert use.is_disabled()
    page.locator("[data-task=d] input").click()
    assert use.is_disabled()  # it has no result yet
    for name in "ac":
        page.locator(f"[data-task={name}] input").click()
    use.click()
    assert bench.answer() == ["use", "use"]
    assert [asset.path for asset in used] == [tmp_path / "a-0.png", tmp_path / "c-0.png"]


def test_an_input_that_cannot_be_used_says_why_on_the_card(page: Page, tmp_path: Path) -> None:
    def refuse(_: Asset) -> None:
        raise ValueError(HOSTILE)

    gallery = Gallery(session=Buttons(finished(tmp_path, "a")))
    gallery.on_use = refuse
    bench = Bench(page, gallery)
    page.get_by_role("button", name="Put it into the form as an input").click()
    bench.answer()
    assert bench.text("[data-task=a] .kg-note") == HOSTILE


def test_texts_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(HOSTILE * 30)
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a", assets=(Asset(kind=AssetKind.TEXT, path=path),))]))
    assert bench.text(".kg-excerpt") == (HOSTILE * 30)[:400]
    page.locator(".kg-pic").click()
    bench.answer_all()
    page.wait_for_function("text => document.querySelector('pre.kg-text').textContent === text", arg=HOSTILE * 30)
    assert page.evaluate("window.hacked") is None


# Waiting


def test_a_pending_card_tells_how_long_it_usually_takes(page: Page) -> None:
    begun = datetime.now(UTC) - timedelta(seconds=10)  # the kernel's own clock, not the page's
    queued = task("b", activity=Activity.QUEUED, created_at=begun)
    session = Buttons(queued, task("a", activity=Activity.WATCHING, submitted_at=begun, created_at=begun))
    session.usual = {"a": 40.0, "b": 40.0}
    bench = Bench(page, Gallery(session=session))
    clock, progress = page.locator("[data-task=a] .kg-clock"), page.locator("[data-task=a] .kg-progress")
    assert re.fullmatch(r"1\d s of about 40 s", clock.inner_text())
    before = int(progress.get_attribute("aria-valuenow") or 0)
    assert 25 <= before < 50
    assert re.fullmatch(r"\d+ s", page.locator("[data-task=b] .kg-clock").inner_text())  # not sent yet
    assert re.fullmatch(r"0 of 2 · about (20|25|30) s left", bench.text(".kg-left"))
    page.clock.run_for(10_000)
    assert int(progress.get_attribute("aria-valuenow") or 0) > before
    page.clock.run_for(120_000)
    assert re.fullmatch(r"2:\d\d min, usually 40 s", clock.inner_text())
    assert int(progress.get_attribute("aria-valuenow") or 0) < 100
    assert bench.text(".kg-left") == "0 of 2 · any moment"
    assert bench.answer() == []


def test_the_whole_bar_is_about_what_was_asked_for_lately(page: Page, tmp_path: Path) -> None:
    def ago(minutes: int) -> dict[str, Any]:
        return {"created_at": NOW - timedelta(minutes=minutes)}

    known = (
        task("d", activity=Activity.QUEUED, **ago(0)),
        finished(tmp_path, "c", **ago(1)),
        task("b", activity=Activity.QUEUED, **ago(2)),
        finished(tmp_path, "a", **ago(60)),
    )
    gallery = Gallery(tasks=known)
    bench = Bench(page, gallery)
    assert bench.text(".kg-left") == "1 of 3"
    gallery.show([finished(tmp_path, "d"), *known[1:2], finished(tmp_path, "b"), known[3]])
    assert not page.locator(".kg-run").is_visible()


def test_a_failed_card_asks_anew_with_a_click(page: Page, few: list[GenerationTask]) -> None:
    session = Buttons(*few)
    asked: list[str] = []

    def resubmit(task: GenerationTask) -> Any:
        asked.append(task.id)
        return task

    session.resubmit = resubmit  # type: ignore[method-assign] # only this test lets it
    bench = Bench(page, Gallery(session=session))
    page.get_by_role("button", name="Ask for it anew").click()
    assert bench.answer() == ["retry"]
    assert asked == ["c"]


# Many


@pytest.fixture
def many(page: Page, tmp_path: Path) -> Iterator[Bench]:
    """Three hundred finished cards that share their files; the first is a tall one."""
    path, small = tmp_path / "one.png", tmp_path / "one.webp"
    path.write_bytes(drawn("PNG", (320, 180)))
    small.write_bytes(drawn("WEBP", (64, 36)))
    assets = (Asset(kind=AssetKind.IMAGE, path=path, thumbnail=small, width=320, height=180),)
    tasks = tuple(
        finished(tmp_path, f"t{n:03}", f"kite {n}", count=0, assets=assets, note=None if n else "It is told. " * 30)
        for n in range(300)
    )
    bench = Bench(page, Gallery(tasks=QueryState(data=tasks, is_loading=False)))
    page.wait_for_function("document.querySelectorAll('.kg-body').length > 0")
    yield bench
    assert bench.errors == []


def built(page: Page) -> list[str]:
    found = page.locator(".kg-card:has(.kg-body)").evaluate_all("all => all.map((one) => one.dataset.task)")
    return list(found)


def test_only_what_is_near_is_built(many: Bench) -> None:
    page = many.page
    assert page.locator(".kg-card").count() == 300
    page.wait_for_function("document.querySelectorAll('.kg-body').length < 80")
    first = built(page)
    assert first[0] == "t000"
    tall = page.locator(".kg-grid").bounding_box()
    many.answer_all()
    page.locator(".kg-pane").evaluate("pane => pane.scrollTo(0, pane.scrollHeight)")
    page.wait_for_function("document.querySelector('[data-task=t299] .kg-body')")
    page.wait_for_function("!document.querySelector('[data-task=t000] .kg-body')")
    assert len(built(page)) < 80
    # Their thumbnails are asked for now, in one message.
    page.wait_for_function("window.sent.length > 0")
    asked = page.evaluate("window.sent[0].keys")
    assert not set(first[:24]) & {key.split("/")[0] for key in asked}
    many.answer_all()
    page.wait_for_function("document.querySelector('[data-task=t299] img').naturalWidth === 64")
    after = page.locator(".kg-grid").bounding_box()
    assert tall is not None
    assert after is not None
    assert abs(after["height"] - tall["height"]) < 30  # what is not built any more holds its place, however tall


def test_arrow_keys_walk_through_cards_that_are_not_built_yet(many: Bench) -> None:
    page = many.page
    focused = "document.activeElement.closest('li').dataset.task"
    page.locator(".kg-pic").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "t001"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "t005"  # four side by side
    page.keyboard.press("End")
    assert page.evaluate(focused) == "t299"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "t299"
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "t000"


def test_the_lightbox_goes_through_cards_that_are_not_built(many: Bench) -> None:
    page = many.page
    page.locator(".kg-pic").first.click()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".kg-bar > .kg-place").inner_text() == "300 of 300"
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.dataset.key === 't299/0'")  # its card is built first


def test_a_change_in_a_long_list_touches_one_card(many: Bench) -> None:
    page = many.page
    page.evaluate("() => { window.kept = document.querySelector('[data-task=t003] .kg-body'); }")
    gallery = many.widget
    assert isinstance(gallery, Gallery)
    changed = [
        known.model_copy(update={"credits_consumed": 4.0}) if known.id == "t004" else known for known in gallery.tasks
    ]
    gallery.show(changed)
    assert "4\u00a0credits" in page.locator("[data-task=t004] .kg-facts").inner_text()
    assert page.evaluate("window.kept.isConnected")
    assert page.locator(".kg-card").count() == 300


# Where it stands


def test_it_works_in_a_shadow_root(page: Page, tmp_path: Path) -> None:
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "b"), finished(tmp_path, "a")]), shadow=True)
    page.locator(".kg-pic").first.click()
    bench.answer_all()
    page.get_by_role("dialog").wait_for()
    assert page.locator(".kg-card").first.evaluate("card => getComputedStyle(card).borderRadius") == "10px"
    page.keyboard.press("ArrowRight")
    assert page.locator(".kg-bar > .kg-place").inner_text() == "2 of 2"
    for _ in range(14):
        page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()
    assert bench.errors == []


def test_no_card_is_wider_than_a_narrow_cell(page: Page, few: list[GenerationTask]) -> None:
    page.set_viewport_size({"width": 320, "height": 700})
    Bench(page, Gallery(session=Buttons(*few)))
    button(page, "Select").click()
    for part in page.locator(".kg-head, .kg-tools > *, .kg-strip > *, .kg-card").all():
        box = part.bounding_box()
        assert box is None or box["x"] + box["width"] <= 320


def test_every_button_has_a_name_and_keeps_its_keys(page: Page, few: list[GenerationTask], tmp_path: Path) -> None:
    bench = Bench(page, Gallery(session=Buttons(of(tmp_path, veo3("a boat"), 1), *few)))
    button(page, "Select").click()
    page.locator(".kg-card").first.scroll_into_view_if_needed()
    names = "all => all.map((one) => one.getAttribute('aria-label') || one.textContent.trim())"
    assert all(page.locator(".kg button, .kg input, .kg select").evaluate_all(names))
    kept = "all => all.filter((one) => !one.closest('[data-lm-suppress-shortcuts]')).map((one) => one.outerHTML)"
    assert page.locator(".kg button, .kg input, .kg select, .kg a").evaluate_all(kept) == []
    assert bench.errors == []
