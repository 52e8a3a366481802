"""The form without a kernel: ipywidgets work on a comm that goes nowhere."""

from __future__ import annotations

import enum
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses
import pytest
from pydantic import BaseModel, Field

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import InvalidParams, KiegenError, StoreError
from kiegen_nb.kie.models.base import KieInput, KieParams
from kiegen_nb.kie.models.imagen4 import KieImagen4Params, imagen4
from kiegen_nb.tasks import UNCONFIRMED, Activity, GenerationTask, TaskStatus
from kiegen_nb.widgets.form import BUSY, READY, Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Handle:
    """A handle whose answer comes when the test says so."""

    def __init__(self, task: GenerationTask) -> None:
        self.id = task.id
        self.task = task
        self._waiting: list[Callable[[GenerationTask], None]] = []

    def when_answered(self, callback: Callable[[GenerationTask], None]) -> None:
        self._waiting.append(callback)

    def answer(self, **changes: Any) -> None:
        self.task = self.task.model_copy(update={"activity": Activity.WATCHING} | changes)
        for callback in self._waiting:
            callback(self.task)


class FakeSession:
    """The part of a session a form uses; counts what it was asked for."""

    output_dir = Path("out")

    def __init__(self) -> None:
        self.handles: list[Handle] = []
        self.submitted: list[tuple[KieParams, str, int | None]] = []
        self.error: Exception | None = None
        self.state = QueryState(is_loading=False)
        self.subscribed = 0

    def submit(self, params: KieParams, prompt_id: str = "default", repeat: int | None = None) -> Handle:
        if self.error is not None:
            raise self.error
        self.submitted.append((params, prompt_id, repeat))
        number = len(self.submitted)
        created = datetime(2026, 1, 1, tzinfo=UTC)
        task = GenerationTask(id=f"t{number}", model="IMAGEN4", api_model="x", created_at=created)
        self.handles.append(Handle(task))
        return self.handles[-1]

    def follow_up(self, task: GenerationTask, name: str, *, index: int = 0, prompt: str | None = None) -> Handle:
        raise AssertionError(f"a form never follows up: {task}, {name}, {index}, {prompt}")

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], None]:
        del prompt_id
        self.subscribed += 1
        callback(self.state)
        return self._unsubscribe

    def _unsubscribe(self) -> None:
        self.subscribed -= 1

    def on_display(self, function: Callable[..., None], *args: Any) -> None:
        function(*args)

    def refresh(self, task: GenerationTask) -> None:
        raise AssertionError(f"a form never refreshes {task}")


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


def kite_form(session: FakeSession, **options: Any) -> Form:
    return Form(imagen4("a red kite"), session=session, **options)


# Fields and controls


class Style(enum.Enum):
    OIL = "oil"
    INK = "ink"


class Point(BaseModel):
    x: int = 0


class EverythingInput(KieInput):
    prompt: Annotated[str, Field(min_length=1, max_length=20, json_schema_extra={"control": "textarea"})]
    name: str = "unnamed"
    subtitle: Annotated[str | None, Field(title="Second line", description="Below the first")] = None
    mode: Literal["std", "pro"] = "std"
    quality: Literal["720p", "1080p", "1440p", "2160p", "4320p", "8640p"] | None = None
    level: Literal[1, 2, 3]
    style: Style | None = None
    steps: Annotated[int, Field(ge=1, le=50)] = 20
    seed_range: Annotated[int, Field(ge=0, le=2**31)] = 5
    strength: Annotated[float, Field(ge=0, le=1)] = 0.5
    seconds: Annotated[int | None, Field(ge=4, le=12)] = None
    count: int | None = None
    scale: float = 1.5
    sound: bool = True
    loop: bool | None = None
    seed: int | str | None = None
    urls: Annotated[list[str] | None, Field(description="Pictures")] = None
    extra: Annotated[dict[str, Any] | None, Field(json_schema_extra={"advanced": True})] = None
    point: Annotated[Point | None, Field(json_schema_extra={"advanced": True})] = None


class Everything(KieParams):
    python_name: ClassVar[str] = "everything"
    title: ClassVar[str] = "Every & all"

    service: Literal["KIE"] = "KIE"
    model: Literal["EVERYTHING"] = "EVERYTHING"
    api_model: Literal["only/one"] = "only/one"
    input: EverythingInput


def test_every_kind_of_field_gets_its_control() -> None:
    controls = {name: type(control.input) for name, control in Form(Everything).controls.items()}
    assert controls == {
        "prompt": W.Textarea,
        "name": W.Text,
        "subtitle": W.Text,
        "mode": W.ToggleButtons,
        "quality": W.Dropdown,
        "level": W.ToggleButtons,
        "style": W.ToggleButtons,
        "steps": W.IntSlider,
        "seed_range": W.BoundedIntText,
        "strength": W.FloatSlider,
        "seconds": W.Text,
        "count": W.Text,
        "scale": W.Text,
        "sound": W.Checkbox,
        "loop": W.Dropdown,
        "seed": W.Text,
        "urls": W.Textarea,
        "extra": W.Textarea,
        "point": W.Textarea,
    }


def test_an_untouched_form_holds_the_defaults_and_nothing_else() -> None:
    assert Form(Everything).value == {
        "prompt": "",
        "name": "unnamed",
        "mode": "std",
        "steps": 20,
        "seed_range": 5,
        "strength": 0.5,
        "scale": "1.5",
        "sound": True,
    }


def test_what_is_filled_in_is_read_back() -> None:
    filled = Everything.build(
        prompt="a kite",
        name="Kite",
        subtitle="second",
        mode="pro",
        quality="1080p",
        level=2,
        style=Style.INK,
        steps=7,
        seed_range=2**30,
        strength=0.25,
        seconds=8,
        count=3,
        scale=2.5,
        sound=False,
        loop=False,
        seed="seven",
        urls=["https://a.example/1.png", "https://a.example/2.png"],
        extra={"deep": [1, {"x": None}]},
        point={"x": 3},
    )
    assert Form(filled).validate() == filled


def test_setting_a_form_forgets_what_was_there_before() -> None:
    form = Form(imagen4("one", seed=7, aspect_ratio="3:4"))
    form.set({"prompt": "two"})
    assert form.value == {"api_model": "google/imagen4-fast", "prompt": "two"}


def test_a_form_starts_from_parameters() -> None:
    params = imagen4("a red kite", api_model="google/imagen4", seed="blue", aspect_ratio="4:3")
    assert Form(params).validate() == params


def test_labels_come_from_the_title_or_the_name() -> None:
    form = Form(KieImagen4Params)
    labels = [control.input.description for control in form.controls.values()]
    assert labels == ["Model", "Prompt", "Negative prompt", "Aspect ratio", "Seed", "Images"]
    assert form.controls["prompt"].input.placeholder == "What you would like to see"


def test_not_set_is_called_default_where_auto_is_a_choice() -> None:
    options = Form(KieImagen4Params).controls["aspect_ratio"].input.options
    assert options[0] == ("default", None)
    assert ("auto", "auto") in options


def test_slugs_lose_their_common_stem() -> None:
    options = dict(Form(KieImagen4Params).controls["api_model"].input.options)
    assert options["imagen4-fast"] == "google/imagen4-fast"


def test_advanced_fields_are_folded_away() -> None:
    form = Form(KieImagen4Params)
    assert form.more.selected_index is None
    assert form.more.titles == ("More",)
    inside = form.more.children[0].children
    assert [form.controls[name].box for name in ("negative_prompt", "seed", "num_images")] == list(inside)


def test_the_count_of_characters_follows_the_text_and_marks_what_is_too_long() -> None:
    form = Form(KieImagen4Params)
    area, count = form.controls["prompt"].input, form.controls["prompt"].count
    assert "0 / 5,000" in count.value
    area.set_state({"value": "twelve chars"})  # what a browser sends
    assert "12 / 5,000" in count.value
    assert "kiegen-beyond" not in count.value
    area.set_state({"value": "x" * 5001})
    assert "5,001 / 5,000" in count.value
    assert "kiegen-beyond" in count.value


def test_the_form_has_a_short_and_stable_repr() -> None:
    assert repr(Form()) == "Form(IMAGEN4)"
    assert Form()._repr_mimebundle_()["text/plain"] == "Form(IMAGEN4)"


def test_parameters_of_another_family_are_refused() -> None:
    with pytest.raises(InvalidParams, match="Imagen 4"):
        Form(Everything).set(imagen4("a red kite"))


@pytest.mark.parametrize("wrong", [{"promt": "x"}, {"aspect_ratio": "5:1"}])
def test_what_the_form_cannot_show_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidParams, match=next(iter(wrong))):
        Form().set(wrong)


# Errors


def test_errors_stand_at_their_fields_as_text() -> None:
    form = Form(Everything)
    form.set({"prompt": "x" * 21, "count": "<b>many</b>", "mode": "pro", "level": 1, "seconds": 99})
    with pytest.raises(InvalidParams) as caught:
        form.validate()
    assert list(caught.value.fields) == ["prompt", "seconds", "count"]
    assert "21 characters" in shown(form, "prompt")
    assert "Seconds must be at most 12" in shown(form, "seconds")
    assert "&lt;b&gt;many&lt;/b&gt;" in shown(form, "count")
    assert 'role="alert"' in shown(form, "count")
    assert shown(form, "mode") == ""
    assert form.controls["mode"].message.layout.display == "none"


def test_a_choice_nobody_made_is_named() -> None:
    form = Form(Everything)
    form.set({"prompt": "x"})
    with pytest.raises(InvalidParams):
        form.validate()
    assert "Level is required." in shown(form, "level")


def test_an_error_goes_away_when_its_field_is_edited() -> None:
    form = Form()
    with pytest.raises(InvalidParams):
        form.validate()
    assert "Prompt is empty." in shown(form, "prompt")
    form.controls["prompt"].input.set_state({"value": "a"})
    assert shown(form, "prompt") == ""


def test_a_rule_between_fields_is_shown_at_the_field_to_change() -> None:
    form = Form()
    form.set({"prompt": "x", "api_model": "google/imagen4-ultra", "num_images": "2"})
    with pytest.raises(InvalidParams):
        form.validate()
    assert "one picture per task" in shown(form, "num_images")


def test_an_error_of_no_field_stands_in_the_status_line(session: FakeSession) -> None:
    session.error = InvalidParams({"": "the account <i>is</i> closed."})
    form = kite_form(session)
    form.button.click()
    assert "the account &lt;i&gt;is&lt;/i&gt; closed." in form.status.value


def shown(form: Form, name: str) -> str:
    return str(form.controls[name].message.value)


# Generate


def test_the_button_waits_from_the_click_to_the_answer(session: FakeSession) -> None:
    form = kite_form(session, prompt_id="kites")
    assert (form.button.description, form.button.disabled) == (READY, False)
    form.button.click()
    assert (form.button.description, form.button.disabled, form.is_busy) == (BUSY, True, True)
    session.handles[0].answer()
    assert (form.button.description, form.button.disabled, form.is_busy) == (READY, False, False)
    assert "Sent." in form.status.value
    assert session.submitted == [(imagen4("a red kite"), "kites", None)]


def test_a_second_click_before_the_answer_is_dropped(session: FakeSession) -> None:
    form = kite_form(session)
    form.button.click()
    form.button.click()
    assert len(session.submitted) == 1
    with pytest.raises(KiegenError, match="still being submitted"):
        form.submit()
    assert len(session.submitted) == 1


def test_two_clicks_one_after_the_others_answer_make_two_tasks(session: FakeSession) -> None:
    form = kite_form(session)
    form.button.click()
    session.handles[0].answer()
    form.button.click()
    assert [repeat for *_, repeat in session.submitted] == [None, None]


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as they can, so that a race is met rather than missed."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_clicks_on_several_threads_at_one_instant_make_one_task(session: FakeSession) -> None:
    clicks = 8
    for turn in range(20):
        form = kite_form(session)
        together = threading.Barrier(clicks)

        def click(form: Form = form, together: threading.Barrier = together) -> None:
            together.wait()
            form.button.click()

        with ThreadPoolExecutor(clicks) as pool:
            for done in [pool.submit(click) for _ in range(clicks)]:
                done.result()
        assert len(session.submitted) == turn + 1


class Watched(Form):
    """A form that notes whether another thread could have come in between while its flag is looked at or set."""

    open_doors: int = 0
    flag: bool = False

    @property
    def _busy(self) -> bool:
        self.try_the_door()
        return self.flag

    @_busy.setter
    def _busy(self, value: bool) -> None:
        self.try_the_door()
        self.flag = value

    def try_the_door(self) -> None:
        def enter() -> bool:
            entered = self._writing.acquire(blocking=False)
            if entered:
                self._writing.release()
            return entered

        with ThreadPoolExecutor(1) as pool:
            self.open_doors += pool.submit(enter).result()


def test_the_flag_is_looked_at_and_set_under_the_lock(session: FakeSession) -> None:
    form = Watched(imagen4("a red kite"), session=session)
    form.open_doors = 0
    form.button.click()
    form.button.click()
    session.handles[0].answer()
    assert form.open_doors == 0
    assert len(session.submitted) == 1


def test_a_click_while_the_one_before_is_still_being_checked_is_dropped(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = kite_form(session)
    check = form.validate

    def click_meanwhile() -> KieParams:
        assert not form.button.disabled
        form.button.click()
        return check()

    monkeypatch.setattr(form, "validate", click_meanwhile)
    form.button.click()
    assert len(session.submitted) == 1


@pytest.mark.usefixtures("hasty_threads")
def test_answers_and_typing_on_several_threads_leave_the_form_usable(session: FakeSession) -> None:
    form = kite_form(session)

    def type_and_click(number: int) -> None:
        form.controls["prompt"].input.set_state({"value": f"kite {number}"})
        form.button.click()
        for handle in list(session.handles):
            handle.answer()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(type_and_click, range(100)))
    for handle in session.handles:
        handle.answer()
    assert (form.button.description, form.is_busy) == (READY, False)


def test_no_click_can_overtake_an_edit(session: FakeSession) -> None:
    # ipykernel 7.4 re-routes by this attribute; tests/kernel shows in a real kernel what comes of it.
    form = kite_form(session)
    for widget in (form.button, *(control.input for control in form.controls.values())):
        assert widget.comm._reply_subshell_for is None


def test_a_click_with_a_wrong_field_sends_nothing_and_frees_the_button(session: FakeSession) -> None:
    form = Form(session=session)
    form.button.click()
    assert session.submitted == []
    assert (form.button.description, form.button.disabled, form.is_busy) == (READY, False, False)
    assert "Prompt is empty." in shown(form, "prompt")
    assert "please correct" in form.status.value


@pytest.mark.parametrize("error", [StoreError("disk <full>"), OSError("disk <full>")])
def test_an_error_of_the_session_is_shown_as_text_and_frees_the_button(session: FakeSession, error: Exception) -> None:
    session.error = error
    form = kite_form(session)
    form.button.click()
    assert "disk &lt;full&gt;" in form.status.value
    assert 'role="alert"' in form.status.value
    assert not form.is_busy
    with pytest.raises(type(error)):
        form.submit()


def test_a_refusal_is_told_with_its_reason(session: FakeSession) -> None:
    form = kite_form(session)
    form.button.click()
    session.handles[0].answer(status=TaskStatus.FAILED, fail_code="402", fail_msg="Top up <now>.", activity=None)
    assert "Not sent: Top up &lt;now&gt;." in form.status.value
    assert not form.is_busy


def test_a_request_without_an_answer_is_not_called_unsent(session: FakeSession) -> None:
    form = kite_form(session)
    form.button.click()
    session.handles[0].answer(status=TaskStatus.FAILED, fail_code=UNCONFIRMED, fail_msg="It may have been charged.")
    assert "It may have been charged." in form.status.value
    assert "Not sent" not in form.status.value


def test_a_request_that_waits_for_the_service_says_so(session: FakeSession) -> None:
    form = kite_form(session)
    form.button.click()
    session.handles[0].answer(activity=Activity.QUEUED, note="No connection.")
    assert "Not sent yet: No connection." in form.status.value


def test_on_submit_gets_every_handle(session: FakeSession) -> None:
    handles: list[Any] = []
    form = kite_form(session, on_submit=handles.append)
    form.button.click()
    session.handles[0].answer()
    assert form.submit() is session.handles[1]
    assert handles == session.handles


def test_an_error_in_on_submit_is_shown(session: FakeSession) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("my own mistake")

    form = kite_form(session, on_submit=fail)
    form.button.click()
    assert "my own mistake" in form.status.value
    session.handles[0].answer()
    assert not form.is_busy


def test_a_sandbox_is_named_and_no_subscription_is_left(session: FakeSession) -> None:
    session.state = QueryState(is_loading=False, is_sandbox=True)
    form = kite_form(session)
    assert "SANDBOX" in form.children[1].value
    assert session.subscribed == 0
    assert "SANDBOX" not in kite_form(FakeSession()).children[1].value
