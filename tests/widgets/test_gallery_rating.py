"""Rating and commenting in gallery.js, in a real browser on a bare page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.widgets.cards import card
from kiegen_nb.widgets.gallery import Gallery
from tests.support.bench import HOSTILE, Bench, Buttons, finished, task

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser
LIT = "node => node.querySelectorAll('.kg-lit').length"


def stars(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=f"Rating: {name}", exact=True)


def lit(page: Page, name: str) -> Any:
    return stars(page, name).first.evaluate(LIT)


def point_at(page: Page, name: str) -> None:
    page.mouse.move(1, 1)
    box = page.get_by_role("img", name=name).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 20, steps=2)


@pytest.fixture
def kites(tmp_path: Path) -> Buttons:
    return Buttons(finished(tmp_path, "a", "first"), finished(tmp_path, "b", "second"), task("c", "third"))


def test_a_card_tells_its_rating_and_comment(tmp_path: Path) -> None:
    data = card(finished(tmp_path, "a", rating=4, comment="best light"))
    assert (data["rating"], data["comment"]) == (4, "best light")
    assert not {"rating", "comment"} & set(card(finished(tmp_path, "b")))


def test_digits_rate_the_focused_card_and_zero_takes_it_back(page: Page, kites: Buttons) -> None:
    bench = Bench(page, Gallery(session=kites))
    assert page.get_by_role("slider").count() == 2, "what has no result has no stars"
    page.get_by_role("button", name="Open: second").focus()
    page.keyboard.press("4")
    assert lit(page, "second") == 4, "shown before the kernel answers"
    assert page.locator(".kg-live").inner_text() == "Rated 4 of 5: second"
    assert bench.answer() == ["rate"]
    assert kites.rated == [("b", {"rating": 4})]
    assert lit(page, "second") == 4
    assert page.evaluate("document.activeElement.ariaLabel") == "Open: second", "the new card has the focus"
    page.keyboard.press("4")
    assert bench.answer() == [], "the same again is no news"
    page.keyboard.press("0")
    assert bench.answer() == ["rate"]
    assert kites.rated[-1] == ("b", {"rating": None})
    assert lit(page, "second") == 0
    page.keyboard.press("9")
    page.keyboard.press("Control+3")
    assert bench.answer() == []
    assert bench.errors == []


def test_digits_rate_the_card_under_the_pointer_and_nothing_else_hears_them(page: Page, kites: Buttons) -> None:
    page.evaluate("() => document.addEventListener('keydown', (event) => (window.heard = event.key), true)")
    bench = Bench(page, Gallery(session=kites))
    point_at(page, "first")
    page.keyboard.press("5")
    assert bench.answer() == ["rate"]
    assert kites.rated == [("a", {"rating": 5})]
    assert page.evaluate("window.heard") is None, "a notebook would make its cell a heading"
    page.get_by_role("button", name="Open: second").focus()
    page.keyboard.press("1")
    bench.answer()
    assert kites.rated[-1] == ("b", {"rating": 1}), "the focus came last"
    point_at(page, "first")
    page.keyboard.press("2")
    bench.answer()
    assert kites.rated[-1] == ("a", {"rating": 2}), "the pointer came last"
    page.mouse.move(990, 790)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("3")
    assert bench.answer() == []
    assert page.evaluate("window.heard") == "3", "nobody's key is everybody's"


def test_who_writes_a_digit_rates_nothing(page: Page, kites: Buttons) -> None:
    bench = Bench(page, Gallery(session=kites))
    page.evaluate("() => document.body.append(Object.assign(document.createElement('div'), {contentEditable: true}))")
    point_at(page, "first")
    for field in (page.get_by_role("searchbox"), page.locator("[contenteditable]")):
        field.focus()
        page.keyboard.press("3")
    assert page.get_by_role("searchbox").input_value() == "3"
    assert bench.answer() == []
    assert kites.rated == []


def test_stars_are_clicked_and_moved_by_arrows(page: Page, kites: Buttons) -> None:
    bench = Bench(page, Gallery(session=kites))
    third = stars(page, "first").locator(".kg-star").nth(2)
    third.click()
    assert bench.answer() == ["rate"]
    assert stars(page, "first").get_attribute("aria-valuetext") == "3 of 5"
    stars(page, "first").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        bench.answer()
    assert [said["rating"] for _, said in kites.rated] == [3, 4, 5, 4], "there is nothing beyond 5"
    assert stars(page, "first").evaluate("node => node === document.activeElement")
    stars(page, "first").locator(".kg-star").nth(3).click()
    bench.answer()
    assert kites.rated[-1] == ("a", {"rating": None}), "the same star again takes it back"
    assert stars(page, "first").get_attribute("aria-valuetext") == "not rated"


def test_the_lightbox_rates_and_comments(page: Page, kites: Buttons) -> None:
    bench = Bench(page, Gallery(session=kites))
    page.get_by_role("button", name="Open: first").click()
    bench.answer_all()
    page.keyboard.press("5")
    assert "rate" in bench.answer()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("slider").evaluate(LIT) == 5
    field = dialog.get_by_role("textbox", name="Comment")
    field.fill("so 3 red i")
    page.keyboard.press("4")
    assert field.input_value().endswith("4"), "a digit in the field is text"
    page.keyboard.press("Enter")
    assert "rate" in bench.answer()
    assert kites.rated == [("a", {"rating": 5}), ("a", {"comment": "so 3 red i4"})]
    field.fill("not this")
    page.keyboard.press("Escape")
    assert dialog.is_visible()
    assert field.input_value() == "so 3 red i4"
    bench.answer_all()
    field.fill(HOSTILE)
    dialog.get_by_role("button", name="Next").click()
    assert "rate" in bench.answer()
    assert kites.rated[-1] == ("a", {"comment": HOSTILE})
    assert field.input_value() == ""
    page.keyboard.press("2")
    bench.answer_all()
    assert kites.rated[-1] == ("b", {"rating": 2})
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert bench.text("[data-task=a] .kg-said") == HOSTILE
    assert page.evaluate("window.hacked") is None
    assert bench.errors == []


def test_ratings_sort_and_filter(page: Page, tmp_path: Path) -> None:
    ratings = {"a": 2, "b": None, "c": 5, "d": 4, "e": 2}
    tasks = [finished(tmp_path, name, name, rating=rating) for name, rating in ratings.items()]
    session = Buttons(*tasks)
    bench = Bench(page, Gallery(session=session))

    def shown() -> list[str | None]:
        return [node.get_attribute("data-task") for node in page.get_by_role("listitem").all()]

    page.get_by_role("combobox", name="Order").select_option("Best first")
    assert shown() == ["c", "d", "a", "e", "b"], "equals stay newest first"
    rating = page.get_by_role("combobox", name="Rating")
    for label, found in (("4 stars or more", ["c", "d"]), ("Not rated", ["b"]), ("Rated", ["c", "d", "a", "e"])):
        rating.select_option(label)
        assert shown() == found
    page.get_by_role("button", name="Open: e").focus()
    page.keyboard.press("5")
    bench.answer()
    assert shown() == ["c", "e", "d", "a"], "what is rated anew takes its new place"
    assert page.evaluate("document.activeElement.ariaLabel") == "Open: e"


def test_an_unrated_gallery_offers_no_filter_and_one_without_a_session_no_rating(page: Page, tmp_path: Path) -> None:
    gallery = Gallery(tasks=[finished(tmp_path, "a", "first", rating=4), finished(tmp_path, "b", "second")])
    bench = Bench(page, gallery)
    assert page.get_by_role("slider").count() == 0
    assert page.get_by_role("img", name="Rated 4 of 5").count() == 1
    page.get_by_role("button", name="Open: first").focus()
    page.keyboard.press("2")
    assert bench.answer() == []
    gallery.show([finished(tmp_path, "b", "second"), finished(tmp_path, "c", "third")])
    assert not page.get_by_role("combobox", name="Rating").is_visible()


def test_a_rating_that_cannot_be_kept_is_said_on_the_card(page: Page, kites: Buttons) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError(HOSTILE)

    kites.rate = refuse  # type: ignore[method-assign] # a store that cannot be written
    bench = Bench(page, Gallery(session=kites))
    page.get_by_role("button", name="Open: first").focus()
    page.keyboard.press("4")
    assert bench.answer() == ["rate"]
    assert bench.text("[data-task=a] .kg-note") == HOSTILE
    assert lit(page, "first") == 0


def test_an_ended_view_takes_no_keys(page: Page, kites: Buttons) -> None:
    page.evaluate("() => document.addEventListener('keydown', (event) => (window.heard = event.key), true)")
    bench = Bench(page, Gallery(session=kites))
    point_at(page, "first")
    page.evaluate("window.end()")
    assert bench.answer() == ["bye"]
    page.keyboard.press("5")
    assert page.evaluate("window.heard") == "5"
