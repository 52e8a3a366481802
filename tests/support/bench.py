"""An anywidget in a real browser, on a bare page with a stand-in for Jupyter's model; no server, no kernel."""

from __future__ import annotations

import io
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import KiegenError
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from playwright.sync_api import Page

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.widgets.loading import CodeWidget
    from kiegen_nb.widgets.protocol import HandleLike

HOSTILE = "<img src=x onerror='window.hacked = true'><script>window.hacked = true</script>"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

START = """async ([esm, state, shadow]) => {
  const source = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  const widget = (await import(source)).default;
  const listeners = new Set();
  window.sent = [];
  window.listeners = listeners;
  const model = {
    on: (_, listener) => listeners.add(listener),
    off: (_, listener) => listeners.delete(listener),
    send: (content) => window.sent.push(content),
    get: (name) => state[name],
  };
  window.deliver = (content, buffers) => {
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
    for (const listener of [...listeners]) listener(content, buffers.map(bytes));
  };
  window.open_view = () => {
    const host = document.body.appendChild(document.createElement("div"));
    const el = shadow ? host.attachShadow({ mode: "open" }).appendChild(document.createElement("div")) : host;
    return widget.render({ model, el });
  };
  window.end = window.open_view();
}"""


class Bench:
    """A widget whose messages go to the page, and the page's to the widget when `answer` is called."""

    def __init__(self, page: Page, widget: CodeWidget, *, shadow: bool = False) -> None:
        self.page = page
        self.widget = widget
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        widget.send = self._send
        state = {name: value for name, value in widget.get_state().items() if isinstance(value, str)}
        page.evaluate(START, [widget._esm, state, shadow])
        assert self.answer() == ["code"]
        page.wait_for_function("window.sent.length > 0")
        assert self.answer() == ["ready"]

    def _send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.page.evaluate(
            "([c, b]) => window.deliver(c, b)", [content, [b64encode(b).decode() for b in buffers or ()]]
        )

    def answer(self) -> list[str]:
        messages = self.page.evaluate("window.sent.splice(0)")
        for content in messages:
            self.widget._handle_custom_msg(content, [])
        return [content["type"] for content in messages]

    def answer_all(self) -> None:
        """Answer until the page asks for nothing more."""
        while self.answer():
            pass

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


def task(name: str, prompt: str = "a red kite", **fields: Any) -> GenerationTask:
    params = {"input": {"prompt": prompt, "aspect_ratio": "16:9"}}
    known = {"model": "IMAGEN4", "api_model": "google/imagen4-fast", "created_at": NOW, "provider_params": params}
    return GenerationTask(id=name, **known | fields)


def finished(folder: Path, name: str, prompt: str = "a red kite", count: int = 1, **fields: Any) -> GenerationTask:
    assets = []
    for n in range(count):
        path, small = folder / f"{name}-{n}.png", folder / f"{name}-{n}.webp"
        path.write_bytes(drawn("PNG", (320, 180)))
        small.write_bytes(drawn("WEBP", (64, 36)))
        assets.append(Asset(kind=AssetKind.IMAGE, path=path, thumbnail=small, width=320, height=180))
    known = {"status": TaskStatus.SUCCESS, "activity": None, "completed_at": NOW, "assets": tuple(assets)}
    return task(name, prompt, **known | fields)


def drawn(kind: str, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "tomato").save(out, kind)
    return out.getvalue()


class Buttons:
    """A session whose buttons are only counted."""

    def __init__(self, *tasks: GenerationTask) -> None:
        self.output_dir = Path()
        self.account, self.is_sandbox = "test:1", False
        self.state = QueryState(data=tasks, is_loading=False)
        self.followed: list[tuple[str, str, int, str | None]] = []
        self.followers: list[Callable[[QueryState], None]] = []
        self.usual: dict[str, float] = {}
        self.rated: list[Any] = []  # (task id, what was given)
        self.deleted: tuple[GenerationTask, ...] = ()

    def submit(self, params: KieParams, prompt_id: str = "default", repeat: int | None = None) -> HandleLike:
        raise AssertionError(f"a gallery never submits {params}, {prompt_id}, {repeat}")

    def follow_up(self, task: GenerationTask, name: str, *, index: int = 0, prompt: str | None = None) -> HandleLike:
        self.followed.append((task.id, name, index, prompt))
        raise KiegenError(HOSTILE)

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        assert prompt_id
        return self.state.data

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], None]:
        del prompt_id
        self.followers.append(callback)
        callback(self.state)
        return lambda: None

    def on_display(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)

    def refresh(self, task: GenerationTask) -> None:
        raise AssertionError(f"nothing is refreshed here: {task}")

    def resubmit(self, task: GenerationTask) -> HandleLike:
        raise AssertionError(f"nothing is asked for anew here: {task}")

    def delete(self, tasks: Sequence[GenerationTask]) -> None:
        self.deleted = tuple(tasks)
        self.become(*(known for known in self.state.data if known not in self.deleted))

    def restore(self, tasks: Sequence[GenerationTask]) -> None:
        self.become(*sorted([*self.state.data, *tasks], key=lambda known: known.id))

    def rate(self, task: GenerationTask, rating: Any = ..., *, comment: Any = ...) -> None:
        given = {"rating": rating, "comment": comment}
        said = {name: value for name, value in given.items() if value is not ...}
        self.rated.append((task.id, said))
        changed = task.model_copy(update=said)
        self.become(*(changed if known.id == task.id else known for known in self.state.data))

    def expected_time(self, task: GenerationTask) -> float | None:
        return self.usual.get(task.id)

    def become(self, *tasks: GenerationTask) -> None:
        self.state = replace(self.state, data=tasks)
        for follower in self.followers:
            follower(self.state)


def of(folder: Path, params: KieParams, count: int) -> GenerationTask:
    fields: dict[str, Any] = {"model": params.model, "api_model": params.api_model, "provider_params": params.to_json()}
    return finished(folder, "a", count=count, external_task_id="e1", **fields)
