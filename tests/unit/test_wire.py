"""Reading Kie's answers: every documented code and shape, both forms where copies of the pages disagree."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiegen_nb import errors
from kiegen_nb.kie import wire
from kiegen_nb.service import OutcomeKind
from kiegen_nb.tasks import AssetKind

URL = "https://tempfile.example/f/abc.png"


def answer(code: int, msg: str = "", data: Any = None, *, http: int = 200, retry_after: str = "") -> httpx.Response:
    body = {"code": code, "msg": msg, "data": data}
    return httpx.Response(http, json=body, headers={"retry-after": retry_after} if retry_after else {})


def record(**fields: Any) -> httpx.Response:
    return answer(200, "success", {"taskId": "t", "state": "success", "failCode": "", "failMsg": "", **fields})


def create_kind(response: httpx.Response) -> OutcomeKind:
    return wire.read_create(response).kind


def urls(response: httpx.Response) -> list[str | None]:
    return [result.url for result in wire.read_look(response, AssetKind.IMAGE).results]


def test_a_task_id_means_accepted() -> None:
    outcome = wire.read_create(answer(200, "success", {"taskId": "5f0c", "recordId": "77"}))
    assert (outcome.kind, outcome.external_task_id) == (OutcomeKind.ACCEPTED, "5f0c")


@pytest.mark.parametrize("http", [200, None])
@pytest.mark.parametrize("code", [400, 401, 402, 404, 422, 433, 455])
def test_a_code_that_comes_before_any_task_means_refused(code: int, http: int | None) -> None:
    outcome = wire.read_create(answer(code, "no", http=http or code))
    assert outcome.kind is OutcomeKind.REFUSED
    assert outcome.code == str(code)
    assert "no" in outcome.message


@pytest.mark.parametrize(
    "text",
    [
        "aspect_ratio is not within the range of allowed options",
        "Value must be within the specified range",
        "The text length cannot exceed the maximum limit",
        "prompt is required",
        "This model is temporarily paused",
    ],
)
@pytest.mark.parametrize("http", [200, 500])
def test_a_500_that_names_a_wrong_field_means_refused(text: str, http: int) -> None:
    outcome = wire.read_create(answer(500, text, http=http))
    assert outcome.kind is OutcomeKind.REFUSED
    assert isinstance(outcome.error, errors.RequestRefused)


@pytest.mark.parametrize("code", [408, 500, 501, 502, 503, 504, 505, 550, 531, 999])
def test_a_server_error_without_explanation_means_unconfirmed(code: int) -> None:
    assert create_kind(answer(code, "Internal server error")) is OutcomeKind.UNCONFIRMED


@pytest.mark.parametrize(
    "response",
    [
        answer(200, "success"),
        answer(200, "success", {}),
        answer(200, "success", {"taskId": ""}),
        answer(200, "success", {"taskId": None}),
        answer(200, "success", {"taskId": 77}),
        answer(200, "success", "5f0c"),
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
        httpx.Response(200, html="<h1>Hello</h1>"),
        httpx.Response(403, text="error code: 1010"),
        httpx.Response(200, content=b'{"code":200,"data":{"taskId":"5f'),
        httpx.Response(200, json=["code", 200]),
        httpx.Response(200, json={"code": "200", "data": {"taskId": "x"}}),
        httpx.Response(200, json={"code": True, "data": {"taskId": "x"}}),
        httpx.Response(200, content=b"\xff\xfe\x00"),
        httpx.Response(200, content=b""),
        httpx.Response(307, headers={"location": "https://elsewhere.example/"}),
    ],
)
def test_an_answer_that_settles_nothing_means_unconfirmed(response: httpx.Response) -> None:
    assert create_kind(response) is OutcomeKind.UNCONFIRMED


def test_json_nested_without_end_is_an_unreadable_answer_and_not_a_crash() -> None:
    response = httpx.Response(200, content=b'{"code":200,"data":' + b"[" * 200_000)
    assert create_kind(response) is OutcomeKind.UNCONFIRMED


@pytest.mark.parametrize(
    "response",
    [
        answer(429, "too fast", http=200, retry_after="7"),
        answer(429, "too fast", http=429, retry_after="7"),
        httpx.Response(429, text="slow down", headers={"retry-after": "7"}),
    ],
)
def test_a_429_means_not_sent_and_keeps_the_wait(response: httpx.Response) -> None:
    outcome = wire.read_create(response)
    assert outcome.kind is OutcomeKind.NOT_SENT
    assert isinstance(outcome.error, errors.RateLimited)
    assert outcome.retry_after == 7.0


@pytest.mark.parametrize("value", ["", "soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "1e9", "inf"])
def test_a_wait_that_is_no_plain_number_is_ignored(value: str) -> None:
    assert wire.read_create(answer(429, "too fast", retry_after=value)).retry_after is None


@pytest.mark.parametrize(
    "message", ["The page does not exist or is not published", "The model name you specified is not supported."]
)
def test_an_unknown_model_says_to_choose_another(message: str) -> None:
    assert isinstance(wire.read_create(answer(422, message)).error, errors.ModelUnavailable)


def test_the_text_may_be_called_message_too() -> None:
    response = httpx.Response(200, json={"code": 402, "message": "The current credits are insufficient."})
    assert "credits are insufficient" in wire.read_create(response).message


@pytest.mark.parametrize("state", ["waiting", "queuing", "generating", "a word nobody documented"])
def test_any_other_state_means_running_and_is_kept(state: str) -> None:
    outcome = wire.read_look(record(state=state, resultJson=None), AssetKind.IMAGE)
    assert (outcome.kind, outcome.state) == (OutcomeKind.RUNNING, state)


def test_a_success_gives_its_results_and_its_cost() -> None:
    text = json.dumps({"resultUrls": [URL]})
    outcome = wire.read_look(record(resultJson=text, creditsConsumed=4), AssetKind.IMAGE)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert [(result.kind, result.url) for result in outcome.results] == [(AssetKind.IMAGE, URL)]
    assert (outcome.result_json, outcome.credits_consumed) == (text, 4.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"resultJson": json.dumps({"resultUrls": [URL]})},
        {"resultJson": json.dumps({"resultUrls": URL})},
        {"resultJson": json.dumps({"resultUrls": json.dumps([URL])})},
        {"resultJson": {"resultUrls": [URL]}},
        {"resultJson": "", "response": {"resultUrls": [URL]}},
        {"resultJson": None, "response": {"resultUrls": [URL]}},
        {"resultJson": "cut {", "response": {"resultUrls": [URL]}},
        {"resultJson": json.dumps({"resultUrls": [None, "", 7, URL]})},
    ],
)
def test_every_shape_of_a_result_list_is_read(fields: dict[str, Any]) -> None:
    assert urls(record(**fields)) == [URL]


def test_the_watermarked_copy_is_no_second_result_but_the_frames_are() -> None:
    video = {"resultUrls": ["https://x/v.mp4"], "resultWaterMarkUrls": ["https://x/w.mp4"], "lastFrameUrl": ["https://x/l.png"]}
    outcome = wire.read_look(record(resultJson=json.dumps(video)), AssetKind.VIDEO)
    assert [(result.kind.value, result.url) for result in outcome.results] == [
        ("video", "https://x/v.mp4"),
        ("image", "https://x/l.png"),
    ]


def test_a_result_object_is_data() -> None:
    outcome = wire.read_look(record(resultJson='{"resultObject":{"character_id":"c1"}}'), AssetKind.FILE)
    assert [(result.kind, result.data) for result in outcome.results] == [(AssetKind.DATA, {"character_id": "c1"})]


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://x/a.PNG?sign=1.mp4", AssetKind.IMAGE),
        ("https://x/a.mp4", AssetKind.VIDEO),
        ("https://x/a.mp3", AssetKind.AUDIO),
        ("https://x/a.srt", AssetKind.TEXT),
        ("https://x/no-ending", AssetKind.FILE),
        ("http://[bad/a", AssetKind.FILE),
    ],
)
def test_a_result_is_what_its_address_ends_with_else_what_was_expected(url: str, kind: AssetKind) -> None:
    outcome = wire.read_look(record(resultJson=json.dumps({"resultUrls": [url]})), AssetKind.FILE)
    assert [result.kind for result in outcome.results] == [kind]


@pytest.mark.parametrize("cost", [None, "4", True, [], pytest.param(10**400, id="huge")])
def test_a_cost_that_is_no_number_is_unknown(cost: Any) -> None:
    text = json.dumps({"resultUrls": [URL]})
    outcome = wire.read_look(record(resultJson=text, creditsConsumed=cost), AssetKind.IMAGE)
    assert outcome.kind is OutcomeKind.SUCCEEDED
    assert outcome.credits_consumed is None


@pytest.mark.parametrize("text", ["", None, "{}", "[]", "null", "7", "cut {", '{"resultUrls":[]}'])
def test_a_success_without_a_file_is_a_success_without_results(text: str | None) -> None:
    outcome = wire.read_look(record(resultJson=text), AssetKind.IMAGE)
    assert (outcome.kind, outcome.results) == (OutcomeKind.SUCCEEDED, ())


def test_a_failure_gives_its_code_and_its_words() -> None:
    outcome = wire.read_look(record(state="fail", failCode=400, failMsg="content policy."), AssetKind.IMAGE)
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "400")
    assert '"content policy"' in outcome.message


def test_a_failure_without_words_is_still_explained() -> None:
    outcome = wire.read_look(record(state="fail", failCode=None, failMsg=None), AssetKind.IMAGE)
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "")
    assert "no reason given" in outcome.message


@pytest.mark.parametrize(
    "response",
    [
        answer(422, "recordInfo is null"),
        answer(200, "success"),
        answer(200, "success", {"taskId": "t"}),
        answer(200, "success", {"state": 3}),
        answer(429, "too fast"),
        answer(500, "Internal server error"),
        answer(408, "upstream"),
        answer(501, "generation failed"),
        answer(404, "Task not found"),
        answer(402, "The current credits are insufficient."),
        httpx.Response(502, html="<h1>Bad gateway</h1>"),
        httpx.Response(200, html="<h1>Hello</h1>"),
        httpx.Response(200, content=b'{"code":200,"data":{"sta'),
        httpx.Response(200, content=b"[" * 200_000),
    ],
)
def test_a_bad_look_says_nothing_about_the_task(response: httpx.Response) -> None:
    outcome = wire.read_look(response, AssetKind.IMAGE)
    assert outcome.kind is OutcomeKind.UNCLEAR
    assert outcome.error is not None


@pytest.mark.parametrize("http", [200, 401])
def test_a_look_with_a_refused_key_is_denied(http: int) -> None:
    outcome = wire.read_look(answer(401, "You do not have access permissions", http=http), AssetKind.IMAGE)
    assert outcome.kind is OutcomeKind.DENIED
    assert isinstance(outcome.error, errors.KeyRefused)


def test_the_balance_is_a_bare_number() -> None:
    assert wire.read_credits(answer(200, "success", 73.5)) == 73.5


@pytest.mark.parametrize("data", [None, "73", True, {"credits": 73}])
def test_a_balance_that_is_no_number_is_an_unreadable_answer(data: Any) -> None:
    with pytest.raises(errors.UnreadableAnswer):
        wire.read_credits(answer(200, "success", data))


@given(st.binary(max_size=300), st.sampled_from([200, 400, 429, 500, 502]))
def test_no_bytes_whatever_make_the_reader_raise(content: bytes, http: int) -> None:
    response = httpx.Response(http, content=content)
    assert create_kind(response) in {OutcomeKind.UNCONFIRMED, OutcomeKind.NOT_SENT}
    assert wire.read_look(response, AssetKind.IMAGE).kind is OutcomeKind.UNCLEAR


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"state": st.sampled_from(["success", "fail", "waiting"])},
        optional={name: _json for name in ("resultJson", "response", "failCode", "failMsg", "creditsConsumed")},
    )
)
def test_no_record_whatever_makes_the_reader_raise(data: dict[str, Any]) -> None:
    assert wire.read_look(answer(200, "success", data), AssetKind.IMAGE).kind in {
        OutcomeKind.SUCCEEDED,
        OutcomeKind.FAILED,
        OutcomeKind.RUNNING,
    }
