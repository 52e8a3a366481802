"""The studio and its market tab, without a kernel."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.market import market
from kiegen_nb.kie.models.sora2 import sora2
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.market import KEPT, MarketPanel
from kiegen_nb.widgets.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.widgets.protocol import HandleLike


class Quiet:
    """A session in which nothing happens."""

    output_dir = Path("out")
    account = "test:1"
    is_sandbox = False

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        del prompt_id
        return ()

    def submit(self, params: KieParams, prompt_id: str = "default", repeat: int | None = None) -> HandleLike:
        raise KiegenError(f"not sent: {params}, {prompt_id}, {repeat}")

    def follow_up(self, task: GenerationTask, name: str, *, index: int = 0, prompt: str | None = None) -> HandleLike:
        raise KiegenError(f"not sent: {task}, {name}, {index}, {prompt}")

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], None]:
        del prompt_id
        callback(QueryState(is_loading=False))
        return lambda: None

    def on_display(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)

    def refresh(self, task: GenerationTask) -> None:
        raise KiegenError(f"not looked at: {task}")

    def resubmit(self, task: GenerationTask) -> HandleLike:
        raise KiegenError(f"not sent: {task}")

    def delete(self, tasks: Sequence[GenerationTask]) -> None:
        raise KiegenError(f"not deleted: {tasks}")

    def restore(self, tasks: Sequence[GenerationTask]) -> None:
        raise KiegenError(f"not restored: {tasks}")

    def rate(self, task: GenerationTask, rating: Any = ..., *, comment: Any = ...) -> None:
        raise KiegenError(f"not rated: {task}, {rating}, {comment}")

    def expected_time(self, task: GenerationTask) -> float | None:
        del task
        return None


@pytest.fixture
def studio() -> Studio:
    return Studio(Quiet(), prompt_id="kites")


def task_of(params: KieParams, **fields: Any) -> GenerationTask:
    known = {"model": params.model, "api_model": params.api_model, "provider_params": params.to_json()}
    return GenerationTask(id="t1", created_at=datetime(2026, 1, 1, tzinfo=UTC), **known | fields)


def open_tab(studio: Studio, place: int) -> None:
    studio.tabs.set_state({"selected_index": place})


# Tabs


def test_there_is_a_tab_for_each_family_and_one_for_the_market(studio: Studio) -> None:
    assert studio.tabs.titles == ("Imagen 4", "Veo 3.1", "Midjourney", "Sora 2", "Market")
    assert list(studio.forms) == ["IMAGEN4", "VEO3", "MIDJOURNEY", "SORA2"]
    assert studio.tabs.comm._reply_subshell_for is None


def test_a_tab_is_built_when_it_is_first_opened_and_only_once(studio: Studio) -> None:
    assert [len(place.children) for place in studio.tabs.children] == [1, 0, 0, 0, 0]
    open_tab(studio, 1)
    veo = studio.form
    assert veo.family == "VEO3"
    assert [len(place.children) for place in studio.tabs.children] == [1, 1, 0, 0, 0]
    open_tab(studio, 0)
    open_tab(studio, 1)
    assert studio.form is veo is studio.forms["VEO3"]


def test_a_form_that_is_asked_for_by_name_stands_in_its_tab(studio: Studio) -> None:
    form = studio.forms["SORA2"]
    assert studio.tabs.children[3].children == (form,)
    assert (form.session, form.prompt_id) == (studio.session, "kites")
    with pytest.raises(KeyError):
        studio.forms["NOTHING"]


def test_the_form_in_front_of_the_market_is_that_of_the_chosen_model(studio: Studio) -> None:
    open_tab(studio, 4)
    with pytest.raises(KiegenError, match="No model is chosen"):
        _ = studio.form
    studio.market.choose("z-image")
    assert repr(studio.form) == "Form(MARKET, z-image)"
    studio.close()


# Load from task


@pytest.mark.parametrize(
    ("params", "place"),
    [
        (imagen4("a red kite", seed=7), 0),
        (sora2("a red kite", n_frames=15), 3),
        (market("z-image", prompt="a red kite", aspect_ratio="16:9"), 4),
    ],
    ids=str,
)
def test_a_tasks_settings_are_taken_over_in_its_own_tab(studio: Studio, params: KieParams, place: int) -> None:
    open_tab(studio, 1)
    click(studio, task_of(params))
    assert studio.tabs.selected_index == place
    assert studio.form.validate() == params


def click(studio: Studio, task: GenerationTask) -> None:
    studio.gallery._on_state(QueryState(data=(task,), is_loading=False))
    content = {"type": "load", "id": task.id}
    studio.gallery._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def test_settings_that_no_form_takes_are_refused_with_a_reason(studio: Studio) -> None:
    data = {"service": "KIE", "model": "VEO3", "apiModel": "veo/get-4k-video", "input": {"task_id": "v1"}}
    with pytest.raises(InvalidParams, match="Veo"):
        studio.load(task_of(imagen4("x"), provider_params=data))
    with pytest.raises(InvalidParams, match="OTHER"):
        studio.load(task_of(imagen4("x"), provider_params={"model": "OTHER"}))
    assert studio.tabs.selected_index == 0


def test_a_form_loads_a_task_of_its_family_only() -> None:
    params = sora2("a red kite", aspect_ratio="portrait")
    form = Form(type(params))
    form.load(task_of(params))
    assert form.validate() == params
    with pytest.raises(InvalidParams, match="Sora 2"):
        form.load(task_of(imagen4("a red kite")))


# The market


@pytest.fixture
def panel() -> MarketPanel:
    return MarketPanel(Quiet())


def slugs(panel: MarketPanel) -> list[str]:
    return [slug for _, slug in panel.results.options]


def test_everything_is_listed_before_a_search_and_nothing_is_chosen(panel: MarketPanel) -> None:
    assert slugs(panel) == list(catalogue)
    assert panel.results.index is None
    assert panel.form is None
    assert panel.category.label == "all"


def test_the_search_follows_every_letter(panel: MarketPanel) -> None:
    for text in ("k", "kl", "kling"):
        panel.search.set_state({"value": text})
        assert slugs(panel) == [model.slug for model in catalogue.search(text)]
    assert panel.results.description == f"{len(slugs(panel))} models found"
    assert panel.form is None
    panel.search.set_state({"value": "zzzzqqqq"})
    assert (slugs(panel), panel.results.description) == ([], "0 models found")


def test_the_category_narrows_the_search(panel: MarketPanel) -> None:
    names = [value for _, value in panel.category.options]
    panel.category.set_state({"index": names.index("text-to-video")})
    panel.search.set_state({"value": "kling"})
    assert slugs(panel)
    assert all("text-to-video" in catalogue[slug].category for slug in slugs(panel))


def test_a_line_has_slug_category_and_price(panel: MarketPanel) -> None:
    lines = {slug: line for line, slug in panel.results.options}
    assert lines["z-image"].startswith("z-image · text-to-image · ")
    assert all("credit" in line or "price unknown" in line for line in lines.values())


def test_choosing_a_model_builds_its_form(panel: MarketPanel) -> None:
    panel.search.set_state({"value": "z-image"})
    panel.results.set_state({"index": slugs(panel).index("z-image")})
    assert repr(panel.form) == "Form(MARKET, z-image)"
    panel.search.set_state({"value": "kling"})
    assert repr(panel.form) == "Form(MARKET, z-image)"
    assert panel.results.index is None
    panel.search.set_state({"value": "z-ima"})
    assert panel.results.value == "z-image"


def test_the_newest_forms_are_kept_with_what_was_typed(panel: MarketPanel) -> None:
    first = panel.choose("z-image")
    first.controls["prompt"].input.set_state({"value": "a red kite"})
    for slug in list(catalogue)[:KEPT]:
        panel.choose(slug)
        assert panel.choose("z-image") is first
    assert len(panel.forms) == KEPT
    assert first.value["prompt"] == "a red kite"


def test_the_market_keeps_the_browsers_order(panel: MarketPanel) -> None:
    for widget in (panel.search, panel.category, panel.results):
        assert widget.comm._reply_subshell_for is None
    panel.close()


PICTURE = Asset(kind=AssetKind.IMAGE, url="https://results.example/1.png", path=Path("1.png"))


def test_a_result_becomes_an_input_of_the_form_in_front(studio: Studio) -> None:
    assert studio.gallery.on_use == studio.use
    studio.tabs.selected_index = list(studio.forms).index("VEO3")
    studio.use(PICTURE)
    assert studio.form.controls["image_urls"].get() == ["https://results.example/1.png"]


@pytest.mark.parametrize(
    ("name", "asset", "reason"),
    [
        ("IMAGEN4", PICTURE, "Imagen 4 takes no image as it is set now. Choose a model that does."),
        ("VEO3", PICTURE.model_copy(update={"kind": AssetKind.AUDIO}), "Veo 3.1 takes no audio as it is set now."),
        ("VEO3", PICTURE.model_copy(update={"url": None}), "This result has no address that could be an input."),
    ],
)
def test_a_form_that_cannot_take_a_result_says_so(studio: Studio, name: str, asset: Asset, reason: str) -> None:
    studio.tabs.selected_index = list(studio.forms).index(name)
    with pytest.raises(KiegenError, match=re.escape(reason)):
        studio.use(asset)


def test_a_field_that_is_full_says_so(studio: Studio) -> None:
    studio.tabs.selected_index = list(studio.forms).index("VEO3")
    most = studio.form.controls["image_urls"].field.most
    assert most is not None
    for _ in range(most):
        studio.use(PICTURE)
    with pytest.raises(ValueError, match=f"takes {most} at most"):
        studio.use(PICTURE)
