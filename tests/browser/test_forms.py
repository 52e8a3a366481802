"""Six forms in a real JupyterLab: one per family, two of the market. Each is filled in and sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
CELLS = (
    "from kiegen_nb import Session, Studio\nsession = Session()\nstudio = Studio(session, prompt_id='forms')\nstudio",
    "for task in reversed(session.tasks('forms').refetch()): print(task.api_model, '|', task.prompt)",
)


@pytest.mark.long
def test_six_forms_are_driven_and_each_makes_its_result(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("forms.ipynb", *CELLS)
    page = notebook.page
    page.set_viewport_size({"width": 1360, "height": 1300})
    notebook.command("notebook:run-all-cells")
    studio = page.locator(".kiegen-studio")
    cards = studio.locator(".kg-card")
    forms = studio.locator(".kiegen-place .kiegen-form:visible")
    sent = 0

    def tab(name: str) -> None:
        studio.get_by_role("tab", name=name).click()

    def send(prompt: str, picture: str) -> None:
        nonlocal sent
        shown(studio.get_by_label("Prompt", exact=True)).fill(prompt)
        notebook.screenshot(picture)
        shown(studio.get_by_role("button", name="Generate", exact=True)).click()
        sent += 1
        expect(cards).to_have_count(sent)

    send("a red kite", "form-imagen4")

    tab("Veo")
    expect(shown(studio.get_by_text("60 credits"))).to_be_visible()
    send("a fox runs", "form-veo3")

    tab("Midjourney")
    expect(shown(studio.get_by_text("Not in Kie's current catalogue"))).to_be_visible()
    send("a fox in the snow", "form-midjourney")

    tab("Sora")
    send("a dog runs along the beach", "form-sora2")

    tab("Market")
    search = studio.get_by_label("Search the market")
    for slug, found, prompt in (
        ("seedream/4.5-text-to-image", "1 model found", "a bowl of plums"),
        ("z-image", "2 models found", "a quiet harbour"),
    ):
        search.fill(slug)
        expect(studio.get_by_text(found, exact=True)).to_be_visible()
        studio.locator("select[multiple], select[size]").get_by_text(slug).first.click()
        expect(forms.filter(has_text=slug)).to_have_count(1)
        expect(forms).to_have_count(1)  # the form of before has gone
        send(prompt, f"form-market-{slug.partition('/')[0]}")

    expect(studio.locator(".kg-card[data-kind=done]")).to_have_count(sent)
    notebook.screenshot("forms-done")
    notebook.run_cell(1)
    listed = page.locator(".jp-OutputArea-output pre").last
    for slug in ("google/imagen4-fast", "veo3_fast", "mj_txt2img", "sora-2-text-to-video", "seedream/4.5", "z-image"):
        expect(listed).to_contain_text(slug)


@pytest.mark.long
def test_a_follow_up_is_a_click_on_the_card(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "follow.ipynb",
        "from kiegen_nb import Session, Studio, veo3\nsession = Session()\n"
        "session.submit(veo3('a fox runs', duration=4), prompt_id='follow').result()\n"
        "Studio(session, prompt_id='follow')",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    page.get_by_role("button", name="Get 1080p").click()
    expect(page.locator(".kg-card[data-kind=done]")).to_have_count(2)
    expect(page.locator(".kg-card").first).to_contain_text("1080p")
    notebook.screenshot("follow-up")


def shown(found: Locator) -> Locator:
    """Return the one of several that is in front."""
    return found.locator("visible=true").first
