"""Every family and every model of the market has a form that is built, filled and read back, without a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import kiegen_nb.kie.models as every
from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import FAMILIES, read_params
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.market import market
from kiegen_nb.kie.models.midjourney import midjourney
from kiegen_nb.kie.models.sora2 import sora2
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.kie.prices import price_of
from kiegen_nb.widgets.cost import params_cost
from kiegen_nb.widgets.form import Form

if TYPE_CHECKING:
    from kiegen_nb.kie.models.base import KieParams

PICTURE = "https://files.example/1.png"
PAIR = [PICTURE, "https://files.example/2.png"]
SHOTS = [{"Scene": "a kite rises", "duration": 7.5}, {"Scene": "it lands", "duration": 7.5}]
FAMILY_PARAMS = [
    imagen4("a red kite", api_model="google/imagen4", seed="blue", aspect_ratio="4:3", num_images=2),
    veo3("a red kite"),
    veo3("a red kite", generation_type="FIRST_AND_LAST_FRAMES_2_VIDEO", image_urls=PAIR, resolution="1080p"),
    veo3("a red kite", generation_type="REFERENCE_2_VIDEO", image_urls=PAIR, seeds=12345, via="veo"),
    veo3("a red kite", generation_type="TEXT_2_VIDEO", duration=4, aspect_ratio="9:16"),
    midjourney("a red kite", speed="turbo", version="6.1", variety=15, stylization=100, weirdness=200),
    midjourney("a red kite", api_model="mj_img2img", file_urls=PAIR),
    midjourney("a red kite", api_model="mj_style_reference", file_urls=[PICTURE], enable_translation=True),
    midjourney("a red kite", api_model="mj_omni_reference", file_urls=[PICTURE], ow=500),
    midjourney("a red kite", api_model="mj_video", file_urls=[PICTURE], motion="low", video_batch_size=2),
    midjourney("a red kite", api_model="mj_video_hd", file_urls=[PICTURE]),
    sora2("a red kite", n_frames=15, remove_watermark=True),
    sora2("a red kite", api_model="sora-2-image-to-video", image_urls=[PICTURE]),
    sora2("a red kite", api_model="sora-2-pro-text-to-video", size="standard", aspect_ratio="portrait"),
    sora2(api_model="sora-2-pro-storyboard", shots=SHOTS),
    sora2("a red kite", api_model="sora-2-text-to-video-stable"),
    sora2(api_model="sora-2-characters", character_file_url="https://files.example/1.mp4"),
    sora2(
        api_model="sora-2-characters-pro",
        origin_task_id="o1",
        timestamps="2,5",
        character_prompt="a fox",
        character_user_name="fox",
    ),
    sora2(api_model="sora-watermark-remover", video_url="https://sora.chatgpt.com/p/1"),
]


def run(code: str) -> Any:
    """Run a copied text as a cell does: all but its last line, then the value of that line."""
    space: dict[str, Any] = {}
    head, _, call = code.strip().rpartition("\n")
    exec(head, space)  # noqa: S102 - that it runs is what is tested
    return eval(call, space)  # noqa: S307 - the same


@pytest.mark.parametrize("params", FAMILY_PARAMS, ids=lambda params: f"{params.model}-{params.api_model}")
def test_a_form_of_a_family_is_filled_and_read_back(params: KieParams) -> None:
    form = Form(FAMILIES[params.model])
    form.set(params)
    assert form.validate() == params
    assert params_cost(params) in form.cost.value
    assert eval(form.as_python(), vars(every) | {type(params).python_name: BUILDERS[params.model]}) == params  # noqa: S307
    again = Form(type(params))
    again.set(read_params(params.to_json()))
    assert again.validate() == params


BUILDERS = {"IMAGEN4": imagen4, "VEO3": veo3, "MIDJOURNEY": midjourney, "SORA2": sora2, "MARKET": market}


@pytest.mark.parametrize("slug", list(catalogue))
def test_every_model_of_the_market_has_a_form(slug: str) -> None:
    form = Form.market(slug)
    fields = minimal(form)
    form.set(fields)
    params = form.validate()
    assert params.api_model == slug
    assert params_cost(params) in form.cost.value
    assert eval(form.as_python(), {"market": market}) == params  # noqa: S307 - what we wrote ourselves
    again = Form.market(slug)
    again.set(read_params(params.to_json()))
    assert again.validate() == params


def minimal(form: Form) -> dict[str, Any]:
    """Return a valid input, found as a person finds it: by correcting what the form marks."""
    fields: dict[str, Any] = {}
    for _ in range(8):
        marked = wrong_fields(form, fields)
        if not marked:
            return fields
        assert marked.keys() <= form.controls.keys(), marked
        fields |= {name: example(form, name) for name in marked}
    raise AssertionError(f"no valid input found: {fields}")


def wrong_fields(form: Form, fields: dict[str, Any]) -> dict[str, str]:
    form.set(fields)
    try:
        form.validate()
    except InvalidParams as error:
        return error.fields
    return {}


SPECIAL: dict[str, Any] = {
    "dialogue": [{"text": "Hello.", "voice": "EkK5I93UQWFDigLMpZcX"}],
    "multi_prompt": [{"prompt": "a kite rises", "duration": 5}],
    "shots": SHOTS,
    "timestamps": "2,5",
    "color_palette": [{"hex": "#ff0000", "ratio": "33.00%"}] * 3,
    "image_references": [{"image_url": PICTURE, "type": "subject", "ref_name": "fox"}],
    "speakers": [{"speaker": "A", "voice": "Kore"}],
    "dialogue_turns": [{"speaker": "A", "text": "Hello."}],
}


def example(form: Form, name: str) -> Any:
    field, param = form.controls[name].field, catalogue[form.params_class.slugs()[0]].by_name[name]
    if name in SPECIAL:
        return SPECIAL[name]
    if field.choices:
        return field.choices[0]
    if param.is_array:
        one: dict[str, Any] = {"integer": 1, "object": {}, "array": [0, 0, 10, 10]}
        return [one.get(param.item_type, PICTURE)] * max(1, param.min_items or 1)
    if param.type in ("integer", "number"):
        return param.min if param.min is not None else 1
    if param.type == "boolean":
        return True
    if "url" in name.lower() or "url" in param.description.lower() or field.hints.get("control") in ("image", "video"):
        return PICTURE
    return "x" * max(1, param.min_length or 1)


@pytest.mark.parametrize(
    ("params", "cost"),
    [
        (imagen4("a red kite"), "4 credits · $0.02"),
        (midjourney("a red kite"), "price unknown"),
    ],
)
def test_the_cost_stands_beside_generate(params: KieParams, cost: str) -> None:
    assert f">{cost}<" in Form(params).cost.value


def test_the_cost_follows_the_choices_also_before_a_prompt_is_written() -> None:
    form = Form(FAMILIES["IMAGEN4"])
    assert "4 credits · $0.02" in form.cost.value
    form.controls["api_model"].input.set_state({"index": 2})
    assert "12 credits · $0.06" in form.cost.value
    form.controls["prompt"].input.set_state({"value": "x" * 6000})
    assert "12 credits · $0.06" in form.cost.value
    form.set({"prompt": "two", "api_model": "google/imagen4"})
    assert "8 credits · $0.04" in form.cost.value


def test_the_cost_of_an_untouched_form_is_that_of_its_defaults() -> None:
    assert f">{params_cost(veo3('a red kite'))}<" in Form(FAMILIES["VEO3"]).cost.value
    assert f">{params_cost(sora2('a red kite'))}<" in Form(FAMILIES["SORA2"]).cost.value


def test_the_cost_is_told_while_a_storyboard_is_not_whole_yet() -> None:
    form = Form(FAMILIES["SORA2"])
    form.set({"api_model": "sora-2-pro-storyboard", "n_frames": "15", "shots": SHOTS[:1]})
    assert params_cost(sora2(api_model="sora-2-pro-storyboard", shots=SHOTS)) in form.cost.value
    assert "price unknown · 14 credits per" in Form.market("elevenlabs/text-to-dialogue-v3").cost.value


def test_a_span_of_costs_is_told_from_its_low_to_its_high_end() -> None:
    form = Form(FAMILIES["IMAGEN4"])
    form.set({"prompt": "kites", "num_images": "4"})
    price = price_of(imagen4("kites", num_images=4))
    assert price is not None
    if price.low != price.high:
        assert f"{price.low:g} to {price.high:g} credits · $" in form.cost.value


@pytest.mark.parametrize("params", [FAMILY_PARAMS[0], FAMILY_PARAMS[3], FAMILY_PARAMS[14]], ids=str)
def test_the_copied_text_runs_as_a_cell_of_its_own(params: KieParams) -> None:
    form = Form(params)
    text = click_copy(form)
    if params.model == "IMAGEN4":
        assert run(text) == params
    else:
        call = text.strip().rpartition("\n")[2]
        assert eval(call, {params.python_name: BUILDERS[params.model]}) == params  # noqa: S307 - the same


def click_copy(form: Form) -> str:
    sent: list[dict[str, Any]] = []
    form.python.send = sent.append
    content = {"type": "copy", "view": "v1"}
    form.python._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
    if not sent:
        return ""
    assert sent == [{"type": "copy", "view": "v1", "text": form.python.text}]
    return str(form.python.text)


def test_a_form_that_is_not_valid_yet_marks_its_fields_and_copies_nothing() -> None:
    form = Form(FAMILIES["VEO3"])
    assert click_copy(form) == ""
    assert "Prompt" in form.controls["prompt"].message.value
    assert "correct what is marked" in form.status.value
    assert "Not sent" not in form.status.value


def test_the_copied_text_goes_away_with_the_next_edit() -> None:
    form = Form(imagen4("a red kite"))
    assert "imagen4('a red kite')" in click_copy(form)
    form.controls["prompt"].input.set_state({"value": "a blue kite"})
    assert form.python.text == ""


def test_what_is_gone_from_the_catalogue_says_so_as_text() -> None:
    assert "Not in Kie&#x27;s current catalogue since" in Form(FAMILIES["SORA2"]).children[2].value
    assert "Not in Kie&#x27;s current catalogue since" in Form(FAMILIES["MIDJOURNEY"]).children[2].value
    assert not any("current catalogue" in getattr(child, "value", "") for child in Form().children)


def test_a_model_nobody_knows_has_no_form() -> None:
    with pytest.raises(InvalidParams, match="kling"):
        Form.market("kling-2.6/txt-to-video")


def test_a_form_of_the_market_names_its_model() -> None:
    assert repr(Form.market("z-image")) == "Form(MARKET, z-image)"
    assert repr(Form(market("z-image", prompt="a red kite"))) == "Form(MARKET, z-image)"
