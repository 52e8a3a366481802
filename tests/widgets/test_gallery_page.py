"""gallery.js in a real browser, on a bare page with a stand-in for Jupyter's model; no server, no kernel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import KiegenError
from kiegen_nb.kie.models.midjourney import midjourney
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.sandbox.films import Shot, film
from kiegen_nb.tasks import UNCONFIRMED, Activity, Asset, AssetKind, TaskStatus
from kiegen_nb.widgets.gallery import Gallery
from kiegen_nb.widgets.index import IndexPage
from kiegen_nb.widgets.pages import block, version_of
from tests.support.bench import HOSTILE, Bench, Buttons, finished, of, task

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def assert_harmless(page: Page) -> None:
    assert page.locator("script, img[src=x], [onerror], [href^=javascript]").count() == 0
    assert page.evaluate("window.hacked") is None


def test_hostile_words_are_shown_as_text(page: Page, tmp_path: Path) -> None:
    tasks = (
        finished(tmp_path, "a", HOSTILE),
        task("b", HOSTILE, status=TaskStatus.FAILED, activity=None, fail_code=HOSTILE, fail_msg=HOSTILE),
        task("c", HOSTILE, activity=Activity.WATCHING, state=HOSTILE, note=HOSTILE, api_model=HOSTILE),
    )
    state = QueryState(data=tasks, is_loading=False, error=ValueError(HOSTILE))
    bench = Bench(page, Gallery(tasks=state))
    assert bench.text(".kg-banner") == HOSTILE
    assert bench.text("[data-task=b] .kg-reason") == HOSTILE
    page.get_by_role("button", name="Open: <img").click()
    assert bench.text(".kg-caption") == HOSTILE
    assert page.locator(".kg script, .kg img[src=x]").count() == 0
    assert page.evaluate("window.hacked") is None
    assert bench.errors == []


def test_hostile_file_names_and_addresses_are_text_live_in_the_summary_and_in_the_index(
    page: Page, tmp_path: Path
) -> None:
    folder = tmp_path / "kites"
    folder.mkdir()
    plain = finished(folder, "a", HOSTILE, fail_msg=HOSTILE)
    name = f"{HOSTILE.partition('<script>')[0]}.png"
    path = plain.assets[0].path
    assert path is not None
    asset = plain.assets[0].model_copy(
        update={"path": path.rename(folder / name), "url": f"javascript:window.hacked=true//{HOSTILE}"}
    )
    other = Asset(kind=AssetKind.FILE, path=path.with_name(name), url=HOSTILE, error=HOSTILE)
    known = plain.model_copy(update={"prompt_id": "kites", "assets": (asset, other)})
    bench = Bench(page, Gallery(tasks=[known]))
    page.locator(".kg-pic").first.click()
    bench.answer_all()
    rows = dict(zip(page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts(), strict=True))
    assert rows["File 1"].strip() == str(folder / name)
    assert rows["Address 2"].strip() == HOSTILE
    page.wait_for_selector(".kg-full:not(.kg-soft)")
    assert page.locator(".kg-save").get_attribute("download") == name
    assert_harmless(page)
    assert bench.errors == []

    page.set_content(block([known], HOSTILE, [], cell=1))
    assert page.locator(".kiegen-summary").get_attribute("data-kiegen-prompt") == HOSTILE
    assert_harmless(page)
    index = IndexPage(tmp_path).write([known])
    assert index is not None
    page.goto(index.as_uri())
    assert page.get_by_text(name).is_visible()
    assert_harmless(page)


def test_an_empty_gallery_says_what_fits(page: Page) -> None:
    gallery = Gallery(tasks=[])
    bench = Bench(page, gallery)
    assert bench.text(".kg-empty") == "Nothing to show."
    gallery.show(QueryState())
    assert bench.text(".kg-empty") == "Reading…"
    gallery.show(QueryState(is_loading=False, error=KiegenError("Kie could not be reached.")))
    assert bench.text(".kg-empty") == "Nothing could be read yet."


def test_an_empty_gallery_beside_a_form_says_what_to_press(page: Page) -> None:
    gallery = Gallery(session=Buttons())
    assert Bench(page, gallery).text(".kg-empty").startswith("Nothing here yet. What is asked for")
    gallery = Gallery(session=Buttons())
    gallery.on_load = lambda _: None
    page.reload()
    assert Bench(page, gallery).text(".kg-empty") == "Nothing here yet. Press Generate."


def test_cards_and_header_follow_the_tasks(page: Page, tmp_path: Path) -> None:
    state = QueryState(data=(task("a"),), is_loading=False, is_sandbox=True, credits=96)
    gallery = Gallery(tasks=state)
    bench = Bench(page, gallery)
    assert bench.text(".kg-counts") == "1 pending"
    assert bench.text(".kg-credits") == "96 credits left"
    assert page.get_by_text("SANDBOX").is_visible()
    assert page.get_by_role("listitem").get_attribute("aria-busy") == "true"
    unclear = task("b", status=TaskStatus.FAILED, activity=None, fail_code=UNCONFIRMED, fail_msg="No answer came.")
    gallery.show([unclear, finished(tmp_path, "a")])
    assert bench.text(".kg-counts") == "1 done · 1 unconfirmed"
    assert not page.get_by_text("SANDBOX").is_visible()
    cards = page.get_by_role("listitem")
    assert [card.get_attribute("data-task") for card in cards.all()] == ["b", "a"]
    assert "May have been charged" in cards.nth(0).inner_text()
    picture = page.get_by_role("img", name="a red kite")
    page.wait_for_function("image => image.complete && image.naturalWidth === 64", arg=picture.element_handle())
    assert page.get_by_role("status").inner_text() == "Done: a red kite"
    gallery.show([unclear])
    assert page.get_by_role("listitem").count() == 1
    assert bench.errors == []


def test_a_pending_card_ticks_without_a_message(page: Page) -> None:
    started = datetime.now(UTC) - timedelta(seconds=1)
    bench = Bench(page, Gallery(tasks=[task("a", submitted_at=started, activity=Activity.WATCHING)]))
    # The page's clock stands in another year: the kernel's time corrects it.
    before = seconds(bench.text(".kg-clock"))
    assert 1 <= before < 60
    page.clock.run_for(5_000)
    assert seconds(bench.text(".kg-clock")) == before + 5
    page.clock.run_for(120_000)
    assert bench.text(".kg-clock").endswith("min")
    assert bench.answer() == []


def seconds(text: str) -> int:
    return int(text.removesuffix(" s"))


def test_the_lightbox_is_driven_by_keys(page: Page, tmp_path: Path) -> None:
    tasks = [finished(tmp_path, "a", "first"), task("x"), finished(tmp_path, "b", "second", count=2)]
    bench = Bench(page, Gallery(tasks=tasks))
    page.get_by_role("button", name="Open: first").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    place = page.locator(".kg-bar > .kg-place")
    assert place.inner_text() == "1 of 3"
    assert bench.answer() == ["details", "full"]
    full = page.locator(".kg-full")
    page.wait_for_function("image => image.naturalWidth === 320", arg=full.element_handle())
    assert page.locator(".kg-save").get_attribute("download") == "a-0.png"
    page.keyboard.press("ArrowRight")
    assert (bench.text(".kg-caption"), place.inner_text()) == ("second", "2 of 3")
    assert bench.answer() == ["details", "full"]
    page.keyboard.press("ArrowLeft")
    assert bench.text(".kg-caption") == "first"
    assert bench.answer() == ["details"]  # the file is here already
    page.keyboard.press("ArrowLeft")
    assert place.inner_text() == "3 of 3"
    walked = []
    for _ in range(24):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('dialog') !== null")
        walked.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert walked.count("Close") >= 2  # round and round
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.wait_for_function("document.activeElement.dataset.key === 'b/1'")
    assert bench.errors == []


def test_a_file_that_cannot_be_shown_says_why(page: Page, tmp_path: Path) -> None:
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a")]))
    (tmp_path / "a-0.png").unlink()
    page.locator(".kg-pic").click()
    bench.answer()
    assert "is gone" in bench.text(".kg-problem")


def test_a_video_plays_on_demand(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film(Shot("a fox", "1", 0, (16, 9), 2.0, side=64)))
    asset = Asset(kind=AssetKind.VIDEO, path=path, duration=2.0)
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a", assets=(asset,))]))
    assert bench.text(".kg-length") == "2 s"
    assert page.locator("video").count() == 0
    page.get_by_role("button", name="Play: a red kite").click()
    assert bench.answer() == ["details", "full"]
    player = page.locator("dialog video")
    page.wait_for_function("player => player.currentTime > 0", arg=player.element_handle())
    assert player.evaluate("player => [player.controls, player.loop, player.muted]") == [True, True, True]
    assert player.get_attribute("src").startswith("blob:")  # type: ignore[union-attr] # None fails too


def test_a_file_the_browser_cannot_show_can_still_be_saved(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"not really a film")
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a", assets=(Asset(kind=AssetKind.VIDEO, path=path),))]))
    page.get_by_role("button", name="Play: a red kite").click()
    bench.answer()
    page.get_by_text("This browser cannot show the file.").wait_for()
    assert page.get_by_role("link", name="Save").get_attribute("download") == "film.mp4"


def test_a_sound_is_played_on_its_card(page: Page, tmp_path: Path) -> None:
    sound = tmp_path / "waves.mp3"
    sound.write_bytes(b"not really a sound")
    asset = Asset(kind=AssetKind.AUDIO, path=sound, duration=2.0)
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a", assets=(asset,))]))
    assert page.locator("audio").count() == 0
    page.get_by_role("button", name="Play: a red kite").click()
    assert bench.answer() == ["full"]
    player = page.locator("[data-task=a] audio")
    assert player.get_attribute("src").startswith("blob:")  # type: ignore[union-attr] # None fails too
    assert player.get_attribute("aria-label") == "a red kite"
    assert not page.get_by_role("dialog").is_visible()
    assert bench.errors == []


def test_a_sound_that_is_gone_says_why_on_its_card(page: Page, tmp_path: Path) -> None:
    asset = Asset(kind=AssetKind.AUDIO, path=tmp_path / "gone.mp3")
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a", assets=(asset,))]))
    page.get_by_role("button", name="Play: a red kite").click()
    bench.answer()
    assert "is gone" in bench.text("[data-task=a] .kg-note")


def test_a_follow_up_asks_for_its_text_on_the_card(page: Page, tmp_path: Path) -> None:
    session = Buttons(of(tmp_path, veo3("a boat"), 1))
    bench = Bench(page, Gallery(session=session))
    field = page.get_by_role("textbox", name="Extend: prompt")
    assert field.count() == 0
    page.get_by_role("button", name="Extend", exact=True).click()
    page.keyboard.type("it lands")
    page.keyboard.press("Escape")
    assert not field.is_visible()
    assert bench.answer() == []
    page.keyboard.press("Enter")  # the button has the focus again
    page.keyboard.type("it turns")
    page.keyboard.press("Enter")
    assert bench.answer() == ["follow_up"]
    assert session.followed == [("a", "extend", 0, "it turns")]
    assert bench.text("[data-task=a] .kg-note") == HOSTILE
    assert page.evaluate("window.hacked") is None
    assert bench.errors == []


def test_each_picture_has_a_button_of_its_own_that_rests_after_a_click(page: Page, tmp_path: Path) -> None:
    session = Buttons(of(tmp_path, midjourney("a fox"), 4))
    bench = Bench(page, Gallery(session=session))
    names = [button.get_attribute("aria-label") for button in page.locator(".kg-acts .kg-act").all()]
    assert names == [f"{verb} {n}" for verb in ("Upscale", "Vary") for n in (1, 2, 3, 4)]
    third = page.get_by_role("button", name="Upscale 3")
    third.dblclick()
    assert third.is_disabled()
    assert bench.answer() == ["follow_up"]
    assert session.followed == [("a", "upscale", 2, None)]


def test_a_card_hands_its_settings_over(page: Page, tmp_path: Path) -> None:
    taken: list[str] = []
    gallery = Gallery(session=Buttons(finished(tmp_path, "a")))
    gallery.on_load = lambda known: taken.append(known.id)
    bench = Bench(page, gallery)
    page.get_by_role("button", name="Use these settings in the form").click()
    assert bench.answer() == ["load"]
    assert taken == ["a"]


def test_a_gallery_of_given_tasks_has_no_buttons_that_need_a_session(page: Page, tmp_path: Path) -> None:
    Bench(page, Gallery(tasks=[of(tmp_path, veo3("a boat"), 1)]))
    assert page.locator(".kg-card .kg-act").count() == 0


def test_two_views_of_one_gallery_and_the_end_of_one(page: Page, tmp_path: Path) -> None:
    bench = Bench(page, Gallery(tasks=[finished(tmp_path, "a")]))
    page.evaluate("() => { window.end_second = window.open_view(); }")
    assert bench.answer() == ["ready"]
    assert page.get_by_role("listitem").count() == 2
    page.evaluate("window.end_second()")
    assert bench.answer() == ["bye"]
    assert page.get_by_role("listitem").count() == 1
    assert page.evaluate("window.listeners.size") == 1
    assert bench.errors == []


def test_motion_is_reduced_on_request(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    Bench(page, Gallery(tasks=[task("a")]))
    animation = "getComputedStyle(document.querySelector('.kg-ghost'), '::before').animationName"
    assert page.evaluate(animation) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(animation) == "kg-sweep"


# The summary that stays in the notebook

OLDER = "The summary saved in this notebook is older than these results."
SUMMARY = """([prompt, version]) => {
    const node = document.createElement('div');
    node.className = 'kiegen-summary';
    node.textContent = `of ${prompt}`;
    node.dataset.kiegenPrompt = prompt;
    node.dataset.kiegenVersion = version;
    document.body.append(node);
}"""


def test_the_summary_of_the_same_group_is_hidden_while_the_gallery_works(page: Page, tmp_path: Path) -> None:
    gallery = Gallery(HOSTILE, session=Buttons(finished(tmp_path, "a")))
    for prompt in (HOSTILE, "others"):
        page.evaluate(SUMMARY, [prompt, "v1"])
    bench = Bench(page, gallery)
    assert not page.get_by_text(f"of {HOSTILE}").is_visible()
    assert page.get_by_text("of others").is_visible()
    page.evaluate("window.end()")
    assert page.get_by_text(f"of {HOSTILE}").is_visible()
    assert bench.errors == []


def test_a_summary_that_is_older_than_the_results_is_told_of(page: Page, tmp_path: Path) -> None:
    known = finished(tmp_path, "a")
    gallery = Gallery(tasks=[known])
    page.evaluate(SUMMARY, [gallery.remains.key, version_of([known])])
    Bench(page, gallery)
    note = page.locator(".kg-stale")
    page.clock.run_for(6_000)
    assert not note.is_visible()
    gallery.show([task("b"), known])  # while something is pending, the summary is allowed to be behind
    page.clock.run_for(6_000)
    assert not note.is_visible()
    gallery.show([finished(tmp_path, "b"), known])
    page.clock.run_for(6_000)
    assert note.inner_text() == f"{OLDER} Run its cell again, then save."
    page.evaluate("() => { document.querySelector('.kiegen-summary').dataset.kiegenCell = '3'; }")
    page.clock.run_for(6_000)
    assert note.inner_text() == f"{OLDER} Run cell [3] again, then save."
    version = version_of(gallery.tasks)
    page.evaluate("v => { document.querySelector('.kiegen-summary').dataset.kiegenVersion = v; }", version)
    page.clock.run_for(6_000)
    assert not note.is_visible()
