"""Journey 1: no key, a fresh machine, one notebook, a button, a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SCREENSHOTS = Path(__file__).parent / "screenshots"
START = """code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const running = kernel.requestExecute({code});
    running.onIOPub = message => { window.started ||= message.header.msg_type === 'execute_input'; };
    running.done.then(() => { window.ended = true; });
}"""
DECODED = "img => img.complete && img.naturalWidth > 0"


def test_a_stranger_makes_a_picture_while_another_cell_is_busy(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("01_quickstart.ipynb")
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    notebook.show_cell(3)
    gallery = page.locator(".kg").first
    expect(gallery).to_be_visible()
    expect(gallery).to_contain_text("SANDBOX")
    expect(gallery.locator(".kg-thumb")).to_have_count(1)  # the scripted one

    prompt = page.get_by_role("textbox", name="Prompt", exact=False).first
    prompt.fill("a lighthouse at dusk")
    enough = notebook.lab.root / "enough"
    busy = f"import pathlib, time\nwhile not pathlib.Path({str(enough)!r}).exists(): time.sleep(0.05)"
    page.evaluate(START, busy)
    page.wait_for_function("() => window.started")
    page.get_by_role("button", name="Generate", exact=True).click()

    expect(gallery.locator(".kg-thumb")).to_have_count(2)
    newest = gallery.locator(".kg-thumb").first
    newest.scroll_into_view_if_needed()
    handle = newest.element_handle()
    page.wait_for_function(DECODED, arg=handle)
    expect(gallery).to_contain_text("a lighthouse at dusk")
    assert not page.evaluate("() => window.ended")  # the other cell was busy all the time
    notebook.screenshot("quickstart")
    enough.touch()
    page.wait_for_function("() => window.ended")


@pytest.mark.long
def test_a_gallery_in_light_and_dark(open_notebook: Callable[..., Any]) -> None:
    prompts = ["a red kite over the sea", "a lighthouse", "mountains in the mist", "a hot air balloon", "a city"]
    notebook = open_notebook(
        "gallery.ipynb",
        f"""from kiegen_nb import Session, Studio, imagen4
session = Session()
prompts = {prompts!r}
ratios = ["16:9", "4:3", "1:1", "9:16", "16:9"]
failed = session.submit(imagen4("a crowd, sandbox:fail"), prompt_id="show")
handles = [session.submit(imagen4(p, aspect_ratio=r, seed=3), prompt_id="show") for p, r in zip(prompts, ratios)]
for handle in handles: handle.result()
try: failed.result()
except Exception: pass
session.submit(imagen4("a slow sunrise, sandbox:slow"), prompt_id="show")
Studio(session=session, prompt_id="show")""",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    expect(page.locator(".kg-thumb")).to_have_count(len(prompts))
    for picture in page.locator(".kg-thumb").all():
        page.wait_for_function(DECODED, arg=picture.element_handle())
    page.get_by_role("textbox", name="Prompt", exact=False).first.fill("a paper boat on a river of stars")
    notebook.screenshot("gallery-light")
    box = page.locator(".kiegen-studio").bounding_box()
    assert box is not None
    clip = {"x": box["x"] - 8, "y": box["y"] - 8, "width": box["width"] + 16, "height": min(box["height"], 620)}
    page.screenshot(path=SCREENSHOTS / "studio.png", clip=clip)
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    notebook.screenshot("gallery-dark")
    page.evaluate("() => window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    page.locator(".kg-pic").last.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    notebook.screenshot("lightbox")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.long
def test_mistakes_are_said_at_their_field_and_nothing_is_sent(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "mistakes.ipynb",
        "from kiegen_nb import Session, Studio\nsession = Session()\nStudio(session=session, prompt_id='mistakes')",
        "print(len(session.tasks('mistakes').refetch()))",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    generate = page.get_by_role("button", name="Generate", exact=True)
    generate.click()
    expect(page.get_by_text("is empty. Write what you would like to see.")).to_be_visible()
    prompt = page.get_by_role("textbox", name="Prompt", exact=False).first
    prompt.fill("x" * 5001)
    expect(page.get_by_text("5,001 / 5,000")).to_be_visible()
    generate.click()
    expect(page.get_by_text("Shorten it by 1.", exact=False)).to_be_visible()
    notebook.screenshot("mistakes")
    notebook.run_cell(1)
    expect(page.locator(".jp-OutputArea-output pre").last).to_have_text("0")


@pytest.mark.long
def test_a_refusal_and_a_failure_say_why_on_their_cards(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook(
        "failures.ipynb",
        "from kiegen_nb import Session, Studio\nStudio(session=Session(), prompt_id='failures')",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    generate = page.get_by_role("button", name="Generate", exact=True)
    prompt = page.get_by_role("textbox", name="Prompt", exact=False).first
    gallery = page.locator(".kg").first
    for words in ("a crowd sandbox:refuse", "a crowd sandbox:fail", "<img src=x onerror=alert(1)><b>bold</b>"):
        prompt.fill(words)
        generate.click()
        expect(gallery).to_contain_text(words)
        expect(generate).to_be_enabled()
    expect(gallery).to_contain_text("failed tasks are not charged")
    expect(gallery.locator("b")).to_have_count(0)  # what people wrote is text, never markup
    expect(gallery.locator(".kg-thumb")).to_have_count(1)
    notebook.screenshot("failures")


@pytest.mark.long
def test_the_saved_notebook_holds_no_widget_state_and_a_reload_shows_everything_again(
    open_notebook: Callable[..., Any],
) -> None:
    notebook = open_notebook(
        "reload.ipynb",
        "from kiegen_nb import Gallery, Session, imagen4\nsession = Session()\n"
        "session.submit(imagen4('a harbour'), prompt_id='reload').result()\nGallery('reload', session=session)",
    )
    page = notebook.page
    notebook.command("notebook:run-all-cells")
    picture = page.locator(".kg-thumb").first
    page.wait_for_function(DECODED, arg=picture.element_handle())
    assert not notebook.saved()["metadata"].get("widgets")
    assert "b64" not in json.dumps(notebook.saved()["metadata"])
    notebook.open()
    picture = page.locator(".kg-thumb").first
    page.wait_for_function(DECODED, arg=picture.element_handle())
