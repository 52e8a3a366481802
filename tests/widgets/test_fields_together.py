"""Fields that hang on each other, and lists of files and shots, without a kernel."""

from __future__ import annotations

import threading
from typing import Annotated, Any, ClassVar, Literal

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses
import pytest
from pydantic import BaseModel, Field

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models.base import KieInput, KieParams
from kiegen_nb.kie.models.sora2 import KieSora2Params
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.lists import AddressControl, AddressesControl, RowsControl, ShotsControl

URL = "https://files.example/{}.png"


class Shot(BaseModel):
    duration: float
    scene: Annotated[str, Field(alias="Scene")]


class FilmInput(KieInput):
    prompt: str
    mode: Literal["text", "frames", "references", "shots"] | None = None
    frames: Annotated[
        list[str] | None,
        Field(
            description="First and last",
            json_schema_extra={"control": "images", "max_items": 2, "when": {"mode": ["frames"]}},
        ),
    ] = None
    weight: Annotated[float, Field(json_schema_extra={"when": {"mode": [None, "frames"], "api_model": ["a"]}})] = 1.5
    heavy: Annotated[bool, Field(json_schema_extra={"when": {"weight": ["2.5"]}})] = False
    shots: Annotated[
        list[Shot] | None, Field(json_schema_extra={"control": "shots", "max_items": 3, "when": {"mode": ["shots"]}})
    ] = None
    n_frames: Literal["10", "15"] | None = None
    clip: Annotated[str | None, Field(json_schema_extra={"control": "video"})] = None
    one: Annotated[list[str] | None, Field(max_length=1, json_schema_extra={"control": "images"})] = None
    voice: Annotated[str | None, Field(json_schema_extra={"advanced": True, "when": {"mode": ["shots"]}})] = None


class Film(KieParams):
    python_name: ClassVar[str] = "film"
    title: ClassVar[str] = "Film"

    service: Literal["KIE"] = "KIE"
    model: Literal["FILM"] = "FILM"
    api_model: Literal["a", "b"] = "a"
    input: FilmInput

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        return ({"n_frames": "15"} if api_model == "a" else {}) | fields


@pytest.fixture
def form() -> Form:
    form = Form(Film)
    form.set({"prompt": "a kite"})
    return form


def choose(form: Form, name: str, value: Any) -> None:
    """Choose as a browser does: by the option's place."""
    values = [known for _, known in form.controls[name].input.options]
    form.controls[name].input.set_state({"index": values.index(value)})


def displayed(form: Form, name: str) -> bool:
    assert (form.controls[name].box.layout.display is None) == form.is_shown(name)
    return form.is_shown(name)


# Conditions


def test_a_field_comes_and_goes_with_the_choice_it_hangs_on(form: Form) -> None:
    assert not displayed(form, "frames")
    choose(form, "mode", "frames")
    assert displayed(form, "frames")
    choose(form, "mode", "text")
    assert not displayed(form, "frames")


def test_what_is_hidden_is_no_part_of_the_request_and_comes_back_as_it_was(form: Form) -> None:
    choose(form, "mode", "frames")
    rows(form, "frames").rows[0].parts[0].set_state({"value": URL.format(1)})
    assert form.value["frames"] == [URL.format(1)]
    choose(form, "mode", "text")
    assert "frames" not in form.value
    choose(form, "mode", "frames")
    assert form.value["frames"] == [URL.format(1)]


def test_several_conditions_must_all_be_met_and_none_means_not_set(form: Form) -> None:
    assert displayed(form, "weight")
    choose(form, "api_model", "b")
    assert not displayed(form, "weight")
    choose(form, "api_model", "a")
    choose(form, "mode", "text")
    assert not displayed(form, "weight")


def test_a_field_that_hangs_on_a_hidden_one_is_hidden(form: Form) -> None:
    form.controls["weight"].input.set_state({"value": "2.5"})
    assert displayed(form, "heavy")
    choose(form, "mode", "text")
    assert not displayed(form, "heavy")


def test_the_fold_goes_when_nothing_is_in_it(form: Form) -> None:
    assert form.more.layout.display == "none"
    choose(form, "mode", "shots")
    assert form.more.layout.display is None


def test_a_message_to_a_hidden_field_stands_in_the_status_line(form: Form) -> None:
    form._complain(InvalidParams({"frames": "is <wrong>.", "prompt": "is empty."}))
    assert form.controls["frames"].message.value == ""
    assert "is empty." in form.controls["prompt"].message.value
    assert "frames is &lt;wrong&gt;." in form.status.value


def test_a_message_to_a_folded_field_opens_the_fold(form: Form) -> None:
    choose(form, "mode", "shots")
    form._complain(InvalidParams({"voice": "is unknown."}))
    assert form.more.selected_index == 0


def test_setting_a_form_shows_what_its_values_ask_for(form: Form) -> None:
    params = Film.build(prompt="a kite", mode="frames", frames=[URL.format(1), URL.format(2)])
    form.set(params)
    assert displayed(form, "frames")
    assert form.validate() == params


def test_a_condition_on_the_slug_of_a_family_holds_at_once() -> None:
    form = Form(KieSora2Params)
    assert [name for name in ("prompt", "shots", "video_url") if form.is_shown(name)] == ["prompt"]
    choose(form, "api_model", "sora-watermark-remover")
    assert [name for name in ("prompt", "shots", "video_url") if form.is_shown(name)] == ["video_url"]


# Addresses


def rows(form: Form, name: str) -> RowsControl:
    control = form.controls[name]
    assert isinstance(control, RowsControl)
    return control


@pytest.fixture
def frames(form: Form) -> AddressesControl:
    choose(form, "mode", "frames")
    control = form.controls["frames"]
    assert isinstance(control, AddressesControl)
    return control


def test_addresses_are_counted_beside_the_most_there_may_be(form: Form, frames: AddressesControl) -> None:
    assert ">0 / 2<" in frames.tally.value
    frames.rows[0].parts[0].set_state({"value": f"  {URL.format(1)} "})
    assert ">1 / 2<" in frames.tally.value
    frames.more.click()
    frames.rows[1].parts[0].set_state({"value": URL.format(2)})
    assert ">2 / 2<" in frames.tally.value
    assert frames.more.disabled
    frames.more.click()
    assert len(frames.rows) == 2
    assert form.value["frames"] == [URL.format(1), URL.format(2)]


def test_an_address_is_removed_with_its_row(form: Form, frames: AddressesControl) -> None:
    frames.set([URL.format(1), URL.format(2)])
    frames.rows[0].remove.click()
    assert form.value["frames"] == [URL.format(2)]
    assert not frames.more.disabled
    frames.rows[0].remove.click()
    assert "frames" not in form.value
    assert len(frames.rows) == 1


def test_a_row_that_is_gone_does_not_come_back_by_a_late_click(frames: AddressesControl) -> None:
    frames.set([URL.format(1), URL.format(2)])
    row = frames.rows[0]
    row.remove.click()
    row.remove.click()
    assert frames.get() == [URL.format(2)]
    frames.more.click()
    assert frames.rows[1].parts[0].value == ""


def test_uploads_fill_the_list_until_it_is_full(form: Form, frames: AddressesControl) -> None:
    frames.add(URL.format(1))
    frames.add(URL.format(2))
    assert form.value["frames"] == [URL.format(1), URL.format(2)]
    with pytest.raises(ValueError, match="Frames takes 2 at most"):
        frames.add(URL.format(3))
    clip, one = form.controls["clip"], form.controls["one"]
    assert isinstance(clip, AddressControl)
    assert isinstance(one, AddressControl)
    clip.add("https://files.example/1.mp4")
    one.add(URL.format(1))
    assert (form.value["clip"], form.value["one"]) == ("https://files.example/1.mp4", [URL.format(1)])


def test_a_list_too_long_for_its_control_is_refused(form: Form) -> None:
    with pytest.raises(InvalidParams, match="one"):
        form.set({"prompt": "x", "one": [URL.format(1), URL.format(2)]})


def test_rows_say_what_they_are_and_keep_the_browsers_order(form: Form, frames: AddressesControl) -> None:
    frames.more.click()
    assert [row.parts[0].description for row in frames.rows] == ["Frames 1", "Frames 2"]
    assert [row.remove.tooltip for row in frames.rows] == ["Remove address 1", "Remove address 2"]
    for row in frames.rows:
        assert [widget.comm._reply_subshell_for for widget in (*row.parts, row.remove)] == [None, None]
    assert frames.more.comm._reply_subshell_for is None
    assert form.more.comm._reply_subshell_for is None


def test_an_edit_of_a_later_row_waits_for_the_forms_lock(form: Form, frames: AddressesControl) -> None:
    frames.more.click()
    edit = threading.Thread(target=lambda: frames.rows[1].parts[0].set_state({"value": URL.format(2)}))
    with form._writing:
        edit.start()
        edit.join(0.05)
        assert frames.get() is None
    edit.join()
    assert frames.get() == [URL.format(2)]


def test_an_error_at_a_list_goes_with_the_next_edit_of_any_row(form: Form, frames: AddressesControl) -> None:
    form._complain(InvalidParams({"frames": "no. 1: is no address."}))
    assert "no. 1" in frames.message.value
    frames.rows[0].parts[0].set_state({"value": "x"})
    assert frames.message.value == ""


# Shots


@pytest.fixture
def shots(form: Form) -> ShotsControl:
    choose(form, "mode", "shots")
    control = form.controls["shots"]
    assert isinstance(control, ShotsControl)
    return control


def test_shots_are_read_by_their_names_on_the_wire(form: Form, shots: ShotsControl) -> None:
    scene, seconds = shots.rows[0].parts
    assert (type(scene), type(seconds)) == (W.Textarea, W.BoundedFloatText)
    scene.set_state({"value": "a kite rises"})
    seconds.set_state({"value": 7.5})
    assert form.value["shots"] == [{"Scene": "a kite rises", "duration": 7.5}]
    assert Form(form.validate()).value["shots"] == form.value["shots"]


def test_the_sum_of_seconds_stands_beside_the_length_that_is_asked_for(form: Form, shots: ShotsControl) -> None:
    assert ">0 of 15 s<" in shots.tally.value  # what the slug fills in
    choose(form, "n_frames", "10")
    shots.set([{"Scene": "up", "duration": 4.5}, {"Scene": "down", "duration": 3}])
    assert ">7.5 of 10 s<" in shots.tally.value
    assert "kiegen-beyond" not in shots.tally.value
    shots.rows[1].parts[1].set_state({"value": 6})
    assert ">10.5 of 10 s<" in shots.tally.value
    assert "kiegen-beyond" in shots.tally.value
    choose(form, "n_frames", None)
    choose(form, "api_model", "b")
    assert ">10.5 s<" in shots.tally.value


def test_a_shot_without_a_scene_does_not_count(shots: ShotsControl) -> None:
    shots.set([{"Scene": "up", "duration": 4}])
    shots.more.click()
    assert shots.get() == [{"Scene": "up", "duration": 4}]
    shots.more.click()
    assert shots.more.disabled
