"""Reading Kie's answers: every documented code and shape, both forms where copies of the pages disagree."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb import errors
from kiegen_nb.kie import wire
from kiegen_nb.service import OutcomeKind
from kiegen_nb.tasks import AssetKind

URL = "https://tempfile.example/f/abc.png"
# No deadline: a machine under load is no fault of the reader.
REPEATABLE = settings(derandomize=True, deadline=None)


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


@pytest.mark.parametrize("code", [408, 451, 500, 501, 502, 503, 504, 505, 550, 531, 999])
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


def test_a_videos_frames_are_results_after_the_video_itself() -> None:
    video = {
        "lastFrameUrl": ["https://x/l.png"],
        "resultUrls": ["https://x/v.mp4"],
        "firstFrameUrl": ["https://x/f.png"],
    }
    outcome = wire.read_look(record(resultJson=json.dumps(video)), AssetKind.VIDEO)
    assert [(result.kind.value, result.url) for result in outcome.results] == [
        ("video", "https://x/v.mp4"),
        ("image", "https://x/f.png"),
        ("image", "https://x/l.png"),
    ]


def test_soras_watermarked_copy_is_its_second_result() -> None:
    video = {"resultWaterMarkUrls": ["https://x/w.mp4"], "resultUrls": ["https://x/v.mp4"]}
    assert urls(record(resultJson=json.dumps(video))) == ["https://x/v.mp4", "https://x/w.mp4"]


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


def looked(data: dict[str, Any], read: Any, expected: AssetKind = AssetKind.VIDEO) -> Any:
    return read(answer(200, "success", {"taskId": "t", **data}), expected)


@pytest.mark.parametrize(
    "answered", [{"character_id": "c1"}, {"resultObject": {"character_id": "c1"}}], ids=["page", "playground"]
)
def test_a_character_is_data_in_both_documented_shapes(answered: dict[str, Any]) -> None:
    outcome = wire.read_look(record(resultJson=json.dumps(answered)), AssetKind.DATA)
    assert [(result.kind, result.data) for result in outcome.results] == [(AssetKind.DATA, {"character_id": "c1"})]


def test_songs_are_read_from_their_list() -> None:
    text = json.dumps({"data": [{"audio_url": "https://x/a.mp3", "image_url": "https://x/a.png"}, {"id": 1}]})
    outcome = wire.read_look(record(resultJson=text), AssetKind.AUDIO)
    assert [(result.kind, result.url) for result in outcome.results] == [(AssetKind.AUDIO, "https://x/a.mp3")]


def test_a_record_with_a_flag_and_no_state_is_read_by_its_flag() -> None:
    text = json.dumps({"resultUrls": [URL]})
    assert wire.read_look(record(state=None, successFlag=1, resultJson=text), AssetKind.IMAGE).state == "success"


READERS = [(wire.read_veo_look, "response"), (wire.read_midjourney_look, "resultInfoJson")]


@pytest.mark.parametrize(("read", "field"), READERS)
@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        (0, OutcomeKind.RUNNING),
        ("0", OutcomeKind.RUNNING),
        (1, OutcomeKind.SUCCEEDED),
        ("1", OutcomeKind.SUCCEEDED),
        (2, OutcomeKind.FAILED),
        (3, OutcomeKind.FAILED),
        (4, OutcomeKind.FAILED),
        (-1, OutcomeKind.FAILED),
        (None, OutcomeKind.UNCLEAR),
        ("soon", OutcomeKind.UNCLEAR),
        (True, OutcomeKind.UNCLEAR),
        (1.5, OutcomeKind.UNCLEAR),
    ],
)
@pytest.mark.parametrize("time", [1789126694000, "2025-06-06 10:25:00", "2026-01-02T03:04:05Z", None])
def test_a_flag_decides_and_anything_but_0_and_1_is_final(
    read: Any, field: str, flag: Any, kind: OutcomeKind, time: Any
) -> None:
    times = {"createTime": time, "completeTime": time}
    outcome = looked({"successFlag": flag, field: {"resultUrls": [URL]}, "errorCode": 501, **times}, read)
    assert outcome.kind is kind


@pytest.mark.parametrize(("read", "field"), READERS)
@pytest.mark.parametrize(
    "result",
    [
        {"resultUrls": ["https://x/v"]},
        {"resultUrls": "https://x/v"},
        {"resultUrls": '["https://x/v"]'},
        {"resultUrls": [{"resultUrl": "https://x/v"}]},
        json.dumps({"resultUrls": ["https://x/v"]}),
    ],
    ids=str,
)
def test_every_shape_of_an_older_result_is_read(read: Any, field: str, result: Any) -> None:
    outcome = looked({"successFlag": 1, field: result, "creditsConsumed": 60}, read)
    assert [(found.kind, found.url) for found in outcome.results] == [(AssetKind.VIDEO, "https://x/v")]
    assert (json.loads(outcome.result_json)["resultUrls"] is not None, outcome.credits_consumed) == (True, 60.0)


def test_midjourneys_result_is_also_read_where_one_client_saw_it() -> None:
    outcome = looked({"successFlag": 1, "response": {"resultUrls": [URL]}}, wire.read_midjourney_look)
    assert [result.url for result in outcome.results] == [URL]


def test_an_extended_video_comes_whole_first_and_no_original_comes_at_all() -> None:
    found = {
        "resultUrls": ["https://x/new.mp4"],
        "fullResultUrls": ["https://x/whole.mp4"],
        "originUrls": ["https://x/uncut.mp4"],
    }
    outcome = looked({"successFlag": 1, "response": found}, wire.read_veo_look)
    assert [result.url for result in outcome.results] == ["https://x/whole.mp4", "https://x/new.mp4"]
    alone = looked({"successFlag": 1, "response": {"originUrls": ["https://x/uncut.mp4"]}}, wire.read_veo_look)
    assert [result.url for result in alone.results] == ["https://x/uncut.mp4"]


def test_a_result_of_the_fallback_is_remembered_as_one() -> None:
    found = {"successFlag": 1, "fallbackFlag": True, "response": {"resultUrls": [URL]}}
    assert json.loads(looked(found, wire.read_veo_look).result_json)["fallbackFlag"] is True


def test_an_older_failure_gives_its_code_and_its_words() -> None:
    outcome = looked({"successFlag": 3, "errorCode": 400, "errorMessage": "unsafe image"}, wire.read_veo_look)
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "400")
    assert '"unsafe image"' in outcome.message


SOON = "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly."
LATER = "4k is processing. It should be ready in 5-10 minutes. Please check back shortly."
DONE = "The video has been generated successfully"
EMPTY = {"taskId": "k", "resultUrls": None, "imageUrls": None}
FULL = {"taskId": "k", "resultUrls": ["https://x/v.mp4"], "imageUrls": ["https://x/p.jpg"]}


@pytest.mark.parametrize(
    ("response", "kind", "found"),
    [
        (answer(200, "success", {"resultUrl": "https://x/v.mp4"}), OutcomeKind.SUCCEEDED, ["https://x/v.mp4"]),
        (answer(422, DONE, FULL), OutcomeKind.SUCCEEDED, ["https://x/v.mp4"]),
        (answer(400, SOON), OutcomeKind.RUNNING, []),
        (answer(422, SOON, http=422), OutcomeKind.RUNNING, []),
        (answer(422, LATER, EMPTY), OutcomeKind.RUNNING, []),
        (answer(500, SOON), OutcomeKind.RUNNING, []),
        (answer(200, "success", EMPTY), OutcomeKind.RUNNING, []),
        (answer(402, "Credits insufficient : 5"), OutcomeKind.FAILED, []),
        (answer(422, "status not success"), OutcomeKind.FAILED, []),
        (answer(401, "no"), OutcomeKind.DENIED, []),
        (answer(429, "too fast"), OutcomeKind.UNCLEAR, []),
        (answer(455, "maintenance"), OutcomeKind.UNCLEAR, []),
        (answer(500, "oops"), OutcomeKind.UNCLEAR, []),
        (answer(200, "success", {}), OutcomeKind.UNCLEAR, []),
        (answer(200, "success"), OutcomeKind.UNCLEAR, []),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), OutcomeKind.UNCLEAR, []),
    ],
)
def test_a_better_copy_that_is_still_made_is_running(
    response: httpx.Response, kind: OutcomeKind, found: list[str]
) -> None:
    outcome = wire.read_copy_look(response, AssetKind.VIDEO)
    assert (outcome.kind, [result.url for result in outcome.results]) == (kind, found)


@pytest.mark.parametrize(
    ("response", "kind", "task_id"),
    [
        (answer(200, "success", {**EMPTY, "taskId": "own"}), OutcomeKind.ACCEPTED, "own"),
        (answer(422, LATER, {"taskId": None, "resultUrls": None}), OutcomeKind.ACCEPTED, "parent"),
        (answer(422, LATER), OutcomeKind.ACCEPTED, "parent"),
        (answer(422, DONE, FULL), OutcomeKind.ACCEPTED, "k"),
        (answer(422, "status not success"), OutcomeKind.REFUSED, None),
        (answer(429, "too fast"), OutcomeKind.NOT_SENT, None),
        (answer(200, "success", {}), OutcomeKind.UNCONFIRMED, None),
        (answer(500, "oops"), OutcomeKind.UNCONFIRMED, None),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), OutcomeKind.UNCONFIRMED, None),
    ],
)
def test_asking_for_a_copy_in_the_making_is_no_refusal(
    response: httpx.Response, kind: OutcomeKind, task_id: str | None
) -> None:
    outcome = wire.read_4k_create(response, {"taskId": "parent"})
    assert (outcome.kind, outcome.external_task_id) == (kind, task_id)


def test_a_path_that_is_not_there_is_a_refusal_and_an_unexplained_404_is_not() -> None:
    page = {"timestamp": "x", "status": 404, "error": "Not Found", "message": "No message available", "path": "/y"}
    gone = wire.read_create(httpx.Response(404, json=page))
    assert gone.kind is OutcomeKind.REFUSED
    assert isinstance(gone.error, errors.NotFound)
    assert create_kind(httpx.Response(404, html="<h1>Not here</h1>")) is OutcomeKind.UNCONFIRMED
    assert create_kind(httpx.Response(502, json=page)) is OutcomeKind.UNCONFIRMED


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


@REPEATABLE
@given(st.binary(max_size=300), st.sampled_from([200, 400, 429, 500, 502]))
def test_no_bytes_whatever_make_the_reader_raise(content: bytes, http: int) -> None:
    response = httpx.Response(http, content=content)
    assert create_kind(response) in {OutcomeKind.UNCONFIRMED, OutcomeKind.NOT_SENT}
    assert wire.read_look(response, AssetKind.IMAGE).kind is OutcomeKind.UNCLEAR


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@REPEATABLE
@given(
    st.fixed_dictionaries(
        {"state": st.sampled_from(["success", "fail", "waiting"])},
        optional=dict.fromkeys(("resultJson", "response", "failCode", "failMsg", "creditsConsumed"), _json),
    )
)
def test_no_record_whatever_makes_the_reader_raise(data: dict[str, Any]) -> None:
    assert wire.read_look(answer(200, "success", data), AssetKind.IMAGE).kind in {
        OutcomeKind.SUCCEEDED,
        OutcomeKind.FAILED,
        OutcomeKind.RUNNING,
    }


@pytest.mark.parametrize("read", [wire.read_veo_look, wire.read_midjourney_look, wire.read_copy_look])
@REPEATABLE
@given(
    data=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("successFlag", "response", "resultInfoJson", "resultUrl", "errorMessage"), _json)
    ),
    code=st.sampled_from([200, 400, 422, 500]),
    message=st.sampled_from(["success", SOON, DONE]),
)
def test_no_older_record_whatever_makes_its_reader_raise(
    read: Any, data: dict[str, Any], code: int, message: str
) -> None:
    assert read(answer(code, message, data), AssetKind.VIDEO).kind is not None
    assert wire.read_4k_create(answer(code, message, data), {"taskId": "parent"}).kind is not None
