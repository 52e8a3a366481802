"""Files from a real browser through a default Jupyter server to the sandbox."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from kiegen_nb.sandbox.films import Shot, film
from kiegen_nb.sandbox.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

pytestmark = [
    pytest.mark.browser,
    # The browser's own sockets and Playwright's loop are not ours to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

LARGE = 60 * 2**20
CELLS = (
    "from kiegen_nb import Session, UploadWidget\nsession = Session()\nwidget = UploadWidget(session)\nwidget",
    "for upload in widget.uploads: print(upload.name, upload.kind, upload.size, upload.sha256[:12])",
)
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})"
PASTE = """async target => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 40;
    canvas.getContext('2d').fillRect(5, 5, 20, 20);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve));
    const data = new DataTransfer();
    data.items.add(new File([blob], 'image.png', { type: 'image/png' }));
    target.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
}"""
DROP = """async target => {
    const data = new DataTransfer();
    data.items.add(new File(['no picture'], '../<b>bold</b>.png', { type: 'image/png' }));
    for (const name of ['dragenter', 'dragover', 'drop']) {
        target.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
}"""


def large_film(path: Path) -> Path:
    """Write a film that is large, and plays as well as a small one."""
    data = film(Shot("a fox runs through the snow", "1", 0, (16, 9), 4.0))
    path.write_bytes(data + struct.pack(">I4s", LARGE - len(data), b"free") + bytes(LARGE - len(data) - 8))
    return path


def picture(path: Path, words: str) -> Path:
    path.write_bytes(render(words, seed="1", index=0, size=(640, 480), file_format="png"))
    return path


def choose(place: Any, *files: Path) -> None:
    with place.page.expect_file_chooser() as chooser:
        place.get_by_role("button", name="Choose").click()
    chooser.value.set_files(files)


@pytest.mark.long
def test_60_mb_and_small_pictures_go_through_a_default_server(
    open_notebook: Callable[..., Any], tmp_path: Path
) -> None:
    notebook = open_notebook("upload.ipynb", *CELLS)
    page = notebook.page
    frames: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: frames.append(len(frame))))
    notebook.run_cell(0)
    place = page.locator(".ku")
    choose(place, large_film(tmp_path / "fox.mp4"), picture(tmp_path / "a red kite.png", "a red kite"))
    items = place.locator(".ku-item")
    expect(items).to_have_count(2)
    expect(place.get_by_role("progressbar").first).to_be_visible()
    notebook.screenshot("upload-progress")
    expect(place.locator("[data-state=done]")).to_have_count(2)
    expect(items.first).to_contain_text("62.9 MB")
    expect(items.first).to_contain_text("Expires in")
    expect(place.locator(".ku-glance")).to_have_count(2)

    place.get_by_role("button", name="Choose files").focus()
    place.locator(".ku-zone").evaluate(PASTE)
    expect(place.locator("[data-state=done]")).to_have_count(3)
    place.locator(".ku-zone").evaluate(DROP)
    failed = place.locator("[data-state=failed]")
    expect(failed).to_contain_text("holds neither a picture nor a video nor a sound")
    expect(failed.locator(".ku-name")).to_have_text("b>.png")
    assert place.locator("b").count() == 0
    notebook.screenshot("upload-light")
    page.evaluate(THEME, "JupyterLab Dark")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    notebook.screenshot("upload-dark")
    page.evaluate(THEME, "JupyterLab Light")
    notebook.run_cell(1)
    said = page.locator(".jp-OutputArea-output pre").last
    expect(said).to_contain_text(f"fox.mp4 video {LARGE}")

    notebook.saved()
    notebook.open()
    expect(place.locator("[data-state=done]")).to_have_count(3)
    expect(place.locator("img.ku-glance")).to_have_count(3)
    notebook.screenshot("upload-reloaded")


@pytest.mark.long
def test_a_picture_is_fed_into_a_form_and_generated_with(open_notebook: Callable[..., Any], tmp_path: Path) -> None:
    notebook = open_notebook(
        "upload-form.ipynb",
        "from kiegen_nb import Session, Studio\nsession = Session()\nstudio = Studio(session, prompt_id='fed')\nstudio",
        "[task] = session.tasks('fed').refetch()\n"
        "print(task.provider_params['input']['image_urls'] == [session.uploads()[0].download_url])",
    )
    page = notebook.page
    notebook.run_cell(0)
    studio = page.locator(".kiegen-studio")
    studio.get_by_role("tab", name="Veo").click()
    form = studio.locator(".kiegen-form:visible").first
    form.get_by_label("Prompt", exact=True).fill("the kite dances in the wind")
    form.get_by_role("button", name="Upload").locator("visible=true").first.click()
    place = form.locator(".ku")
    choose(place, picture(tmp_path / "a red kite.png", "a red kite"))
    expect(place.locator("[data-state=done]")).to_have_count(1)
    expect(form.locator(".kiegen-file")).to_have_text("a red kite.png")
    place.scroll_into_view_if_needed()
    notebook.screenshot("upload-form")
    form.get_by_role("button", name="Generate", exact=True).click()
    expect(studio.locator(".kg-card[data-kind=done]")).to_have_count(1)
    notebook.run_cell(1)
    expect(page.locator(".jp-OutputArea-output pre").last).to_have_text("True")

    place.get_by_role("button", name="Remove a red kite.png").click()
    expect(form.locator(".kiegen-file")).to_have_count(0)
    expect(place.locator(".ku-item")).to_have_count(0)


@pytest.mark.long
def test_a_reload_in_the_middle_drops_the_half_file_with_a_note(
    open_notebook: Callable[..., Any], tmp_path: Path
) -> None:
    notebook = open_notebook("upload-reload.ipynb", *CELLS)
    notebook.run_cell(0)
    place = notebook.page.locator(".ku")
    # The page falls silent after the first pieces, as one that is loaded anew does.
    expect(place).to_be_visible()
    notebook.page.evaluate(
        """() => {
            const slice = File.prototype.slice;
            File.prototype.slice = function (at, end) {
                return at < 4e6 ? slice.call(this, at, end) : { arrayBuffer: () => new Promise(() => {}) };
            };
        }"""
    )
    choose(place, large_film(tmp_path / "fox.mp4"))
    expect(place.locator(".ku-state")).to_contain_text("6 %")
    notebook.saved()
    notebook.open()
    expect(place.locator("[data-state=failed]")).to_contain_text("the page was loaded anew: choose it again.")


@pytest.mark.long
def test_a_result_becomes_the_input_of_a_video_with_one_click(open_notebook: Callable[..., Any]) -> None:
    notebook = open_notebook("02_upload_to_video.ipynb")
    page = notebook.page
    sources = ["".join(cell["source"]) for cell in notebook.saved()["cells"]]
    [cell] = [n for n, source in enumerate(sources) if "studio = Studio(" in source]
    notebook.command("notebook:run-all-cells")
    notebook.show_cell(cell)
    studio = page.locator(".kiegen-studio")
    # The film, the picture, and the film that the last cell makes of it.
    expect(studio.locator(".kg-card[data-kind=done]")).to_have_count(3)
    picture = studio.locator(".kg-card").filter(has_text="a lighthouse at dusk")
    picture.get_by_role("button", name="Put it into the form as an input").click()
    form = studio.locator(".kiegen-form:visible")
    expect(form.locator(".kiegen-file")).to_have_text("a lighthouse at dusk.png")
    form.get_by_label("Prompt", exact=True).fill("gulls circle around it")
    notebook.screenshot("use-as-input")
    form.get_by_role("button", name="Generate", exact=True).click()
    expect(studio.locator(".kg-card[data-kind=done]")).to_have_count(4)
    notebook.screenshot("upload-to-video")
