"""The sandbox's faults and its pages about itself: a real server in a child process, asked over HTTP."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kiegen_nb.sandbox import checks, tasks
from kiegen_nb.sandbox.app import Sandbox
from kiegen_nb.sandbox.faults import BadRuleError, Faults, parse_rule
from kiegen_nb.sandbox.journal import Busiest, Journal
from tests.contract.test_sandbox import DEADLINE, FAST, Account, Server, Time, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENTATION = Path(tasks.__file__).parents[2] / "docs" / "sandbox.md"
LOOK = "/api/v1/jobs/recordInfo?taskId=0"


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start sandboxes with arguments of the test's own."""
    servers: list[Server] = []

    def begin(*arguments: str) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start(*FAST)


@pytest.fixture
def account(server: Server) -> Iterator[Account]:
    one = server.client("key-of-the-test")
    yield one
    one.http.close()


def page(server: Server, path: str) -> Any:
    answer = httpx.get(f"{server.url}/sandbox/{path}", trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()


def give(server: Server, *rules: dict[str, Any]) -> None:
    assert server.post_faults(*rules).json()["ok"] is True


def a_file(account: Account) -> tuple[str, bytes]:
    """Return the address and the bytes of a finished picture."""
    [url] = account.urls(account.new_task(seed="5"))
    return url, account.http.get(url).content


def raw_get(server: Server, path: str) -> socket.socket:
    """Ask without an HTTP library, which would hide how a connection ends."""
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), DEADLINE)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer k\r\n\r\n".encode())
    return connection


def read_to_the_end(connection: socket.socket) -> tuple[bytes, str]:
    """Return what arrives, and how it ends: ``closed`` or ``reset``."""
    arrived = b""
    with connection:
        while True:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                return arrived, "reset"
            if not piece:
                return arrived, "closed"
            arrived += piece


def split(answer: bytes) -> tuple[int, bytes]:
    """Return the length an answer announces, and the body that came."""
    head, _, body = answer.partition(b"\r\n\r\n")
    found = re.search(rb"Content-Length: (\d+)", head)
    assert found, head
    return int(found[1]), body


def hits(faults: Faults, requests: int = 500) -> list[int]:
    return [number for number in range(requests) if faults.take("credit")]


# -- which requests are hit ----------------------------------------------------------------------------------


def test_a_chance_hits_the_same_requests_in_every_run_with_the_same_seed(start: Callable[..., Server]) -> None:
    def run(seed: str) -> list[int]:
        server = start(*FAST, "--seed", seed)
        give(server, {"route": "credit", "code": 500, "probability": 0.2, "times": 0})
        account = server.client()
        codes = [account.http.get("/api/v1/chat/credit").json()["code"] for _ in range(500)]
        account.http.close()
        return [number for number, code in enumerate(codes) if code == 500]

    first = run("7")
    assert 70 < len(first) < 130
    assert run("7") == first
    assert run("8") != first


def test_a_chance_repeats_after_the_rules_were_forgotten_and_differs_from_rule_to_rule() -> None:
    rule = {"route": "credit", "code": 500, "probability": 0.2, "times": 0}
    faults = Faults(seed=7)
    faults.add([rule])
    first = hits(faults)
    faults.clear()
    faults.add([rule])
    assert hits(faults) == first
    faults.clear()
    faults.add([{**rule, "route": "look"}, rule])
    assert hits(faults) != first


def test_a_rules_own_seed_repeats_without_the_sandboxs() -> None:
    def run(seed: int | None) -> list[int]:
        faults = Faults()
        faults.add([{"route": "credit", "code": 500, "probability": 0.2, "times": 0, "seed": seed}])
        return hits(faults)

    assert run(3) == run(3)
    assert run(3) != run(4)
    assert run(None) != run(None)


def test_a_request_that_chance_spares_uses_nothing_up_and_goes_on_to_the_next_rule() -> None:
    faults = Faults(seed=1)
    faults.add([{"route": "credit", "code": 500, "probability": 0.2, "times": 3}])
    assert len(hits(faults)) == 3
    assert faults.waiting() == []
    faults.add(
        [
            {"route": "credit", "code": 500, "probability": 0.5, "times": 0},
            {"route": "credit", "code": 501, "times": 0},
        ]
    )
    taken = [faults.take("credit") for _ in range(100)]
    codes = [rule.code for rule in taken if rule]
    assert len(codes) == 100
    assert set(codes) == {500, 501}
    seen = [(rule["seen"], rule["fired"]) for rule in faults.waiting()]
    assert seen == [(100, codes.count(500)), (codes.count(501), codes.count(501))]


def test_times_zero_is_for_ever_and_ends_with_delete(server: Server, account: Account) -> None:
    give(server, {"route": "credit", "code": 455, "times": 0})
    assert {account.http.get("/api/v1/chat/credit").json()["code"] for _ in range(40)} == {455}
    assert page(server, "faults") == [
        {"route": "credit", "code": 455, "before": True, "times": 0, "seen": 40, "fired": 40}
    ]
    account.http.delete("/sandbox/faults")
    assert account.credits() == 10_000
    assert page(server, "faults") == []


def test_a_rule_hits_once_unless_it_says_otherwise_and_is_then_forgotten(server: Server, account: Account) -> None:
    give(server, {"route": "credit", "code": 455}, {"route": "look", "drop": True, "times": 2, "msg": None})
    codes = [account.http.get("/api/v1/chat/credit").json()["code"] for _ in range(2)]
    assert codes == [455, 200]
    assert page(server, "faults") == [
        {"route": "look", "drop": True, "before": False, "times": 2, "seen": 0, "fired": 0}
    ]


def test_skipped_requests_pass_and_only_matching_ones_are_counted(server: Server, account: Account) -> None:
    give(server, {"route": "look", "code": 500, "skip": 2, "times": 2, "match": "taskId=two"})
    asked = ["two", "one", "two", "one", "two", "one", "two", "two"]
    assert [account.look(name)["code"] for name in asked] == [422, 422, 422, 422, 500, 422, 500, 422]


def test_a_skipped_request_goes_on_to_the_next_rule(server: Server, account: Account) -> None:
    give(server, {"route": "look", "code": 500, "skip": 1}, {"route": "look", "code": 501})
    assert [account.look("x")["code"] for _ in range(3)] == [501, 500, 422]


@pytest.mark.parametrize("text", ["third kite", 'a "quoted" kite', "ein Drachen über Köln", "\N{KITE}"])
def test_a_match_hits_one_prompt_however_json_spells_it(server: Server, account: Account, text: str) -> None:
    give(server, {"route": "create", "code": 500, "match": text})
    assert account.create(prompt="another one")["code"] == 200
    body = json.dumps({"model": "google/imagen4", "input": {"prompt": f"we see {text}."}}, ensure_ascii=True)
    assert account.http.post("/api/v1/jobs/createTask", content=body).json()["code"] == 500
    assert account.create(prompt=text)["code"] == 200


def test_a_match_hits_the_files_and_looks_of_one_task(server: Server, account: Account) -> None:
    one, two = (account.urls(account.new_task())[0] for _ in range(2))
    task_id = two.rpartition("/")[2].partition("-")[0]
    give(server, *({"route": route, "http": 503, "match": task_id} for route in ("file", "look")))
    assert [account.http.get(url).status_code for url in (one, two, two)] == [200, 503, 200]
    query = {"taskId": task_id}
    assert account.http.get("/api/v1/jobs/recordInfo", params=query).status_code == 503


# -- how an answer goes wrong --------------------------------------------------------------------------------


def test_a_truncated_create_is_done_and_its_answer_cut_with_the_connection(server: Server, account: Account) -> None:
    give(server, {"route": "create", "truncate": 20})
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        account.create()
    assert server.stats()["creates"] == 1
    account.new_task()


@pytest.mark.parametrize("truncate", [17, 0, 0.5])
@pytest.mark.parametrize("end", ["closed", "reset"])
def test_a_cut_answer_announces_more_than_it_sends(server: Server, truncate: float, end: str) -> None:
    announced, whole = split(read_some(raw_get(server, LOOK)))
    assert announced == len(whole)
    give(server, {"route": "look", "truncate": truncate, "reset": end == "reset"})
    answer, ended = read_to_the_end(raw_get(server, LOOK))
    announced, body = split(answer)
    assert ended == end
    assert announced == len(whole)
    assert body == whole[: int(len(whole) * truncate) if truncate == 0.5 else int(truncate)]


def read_some(connection: socket.socket) -> bytes:
    """Return an answer short enough to come in one piece."""
    with connection:
        return connection.recv(65536)


@pytest.mark.parametrize("truncate", [25, 0.6])
def test_a_complete_answer_has_json_cut_in_the_middle_and_keeps_its_connection(
    server: Server, account: Account, truncate: float
) -> None:
    whole = account.http.get(LOOK).text
    give(server, {"route": "look", "truncate": truncate, "complete": True})
    answer = account.http.get(LOOK)
    kept = int(truncate if truncate > 1 else len(whole) * truncate)
    assert (answer.status_code, answer.text) == (200, whole[:kept])
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    again = account.http.get(LOOK)
    assert again.text == whole
    one, two = (each.extensions["network_stream"].get_extra_info("client_addr") for each in (answer, again))
    assert one == two


def test_a_false_answer_can_be_cut_too(server: Server, account: Account) -> None:
    give(
        server,
        {"route": "create", "http": 502, "body": "<html>Bad Gateway</html>", "truncate": 6, "complete": True},
        {"route": "create", "code": 500, "truncate": 6},
    )
    answer = account.http.post("/api/v1/jobs/createTask", json={})
    assert (answer.status_code, answer.text) == (502, "<html>")
    with pytest.raises(httpx.RemoteProtocolError):
        account.create()
    assert server.stats()["creates"] == 0


def test_an_uploads_answer_can_be_cut(server: Server, account: Account) -> None:
    give(server, {"route": "upload", "truncate": 10, "complete": True})
    body = {"base64Data": "aGVsbG8=", "uploadPath": "p", "fileName": "hello.txt"}
    assert account.http.post("/api/file-base64-upload", json=body).text == '{"success"'


def test_the_rest_of_a_truncated_file_can_be_fetched(server: Server, account: Account) -> None:
    url, whole = a_file(account)
    give(server, {"route": "file", "truncate": 1000})
    pieces: list[bytes] = []
    with account.http.stream("GET", url) as answer:
        assert answer.headers["Content-Length"] == str(len(whole))
        with pytest.raises(httpx.RemoteProtocolError):
            pieces.extend(answer.iter_raw())
    arrived = b"".join(pieces)
    assert arrived == whole[:1000]
    rest = account.http.get(url, headers={"Range": "bytes=1000-"})
    assert rest.status_code == 206
    assert arrived + rest.content == whole


def test_a_part_of_a_file_can_be_truncated_as_well(server: Server, account: Account) -> None:
    url, whole = a_file(account)
    give(server, {"route": "file", "truncate": 0.5, "complete": True})
    answer = account.http.get(url, headers={"Range": "bytes=100-299"})
    assert (answer.status_code, answer.content) == (206, whole[100:200])


def test_asking_for_the_head_of_a_file_is_not_cut(server: Server, account: Account) -> None:
    url, whole = a_file(account)
    give(server, {"route": "file", "truncate": 10})
    assert account.http.head(url).headers["Content-Length"] == str(len(whole))


def test_a_reset_is_no_orderly_close(server: Server) -> None:
    give(server, {"route": "look", "drop": True}, {"route": "look", "reset": True}, {"route": "look", "reset": True})
    ends = [read_to_the_end(raw_get(server, LOOK)) for _ in range(3)]
    assert ends == [(b"", "closed"), (b"", "reset"), (b"", "reset")]


def test_a_reset_create_has_been_done_unless_the_rule_says_before(server: Server, account: Account) -> None:
    for before, creates in ((True, 0), (None, 1)):
        give(server, {"route": "create", "reset": True, "before": before})
        with pytest.raises(httpx.ReadError):
            account.create()
        assert server.stats()["creates"] == creates


def test_a_slow_file_can_be_watched_and_killed(server: Server, account: Account) -> None:
    url, whole = a_file(account)
    path = url.removeprefix(server.url)
    give(server, {"route": "file", "slow": 20})
    connection = raw_get(server, path)
    arrived = b""
    while not arrived.partition(b"\r\n\r\n")[2]:
        arrived += connection.recv(65536)
    assert account.credits() < 10_000
    connection.setblocking(False)
    with suppress(BlockingIOError):
        while piece := connection.recv(65536):
            arrived += piece
    announced, body = split(arrived)
    assert announced == len(whole)
    assert whole.startswith(body)
    # As much as can come within a test's limit of 180 s; at full speed more would have come with the first piece.
    assert len(body) <= 20 * 180 < len(whole)
    connection.close()
    assert account.http.get(url).content == whole


def test_a_slow_file_arrives_whole_and_a_slow_and_truncated_one_does_not(server: Server, account: Account) -> None:
    url, whole = a_file(account)
    give(server, {"route": "file", "slow": 1e7}, {"route": "file", "slow": 1e5, "truncate": 3000, "reset": True})
    assert account.http.get(url).content == whole
    answer, end = read_to_the_end(raw_get(server, url.removeprefix(server.url)))
    assert (split(answer), end) == ((len(whole), whole[:3000]), "reset")


def test_the_sandbox_ends_quietly_while_a_file_is_sent_slowly(server: Server, account: Account) -> None:
    url, _ = a_file(account)
    give(server, {"route": "file", "slow": 20})
    with raw_get(server, url.removeprefix(server.url)) as connection:
        assert connection.recv(65536)
        assert server.stop() == ("", "")


# -- rules that make no sense --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"probability": 0}, "probability must be above 0 and at most 1"),
        ({"probability": 1.1}, "probability must be above 0 and at most 1"),
        ({"probability": float("nan")}, "probability must be above 0 and at most 1"),
        ({"probability": "0.2"}, "probability must be int or float"),
        ({"probability": True}, "probability must be int or float"),
        ({"seed": 1}, "seed needs a probability below 1"),
        ({"times": -1}, "times must be 1 or more, or 0 for ever"),
        ({"times": 1.5}, "times must be int"),
        ({"skip": -1}, "skip must be 0 or more requests"),
        ({"match": ""}, "match must have at least one character"),
        ({"match": 5}, "match must be str"),
        ({"truncate": -1}, "truncate must be a whole number of bytes, or a share between 0 and 1"),
        ({"truncate": 1.0}, "truncate must be a whole number of bytes, or a share between 0 and 1"),
        ({"truncate": 0.0}, "truncate must be a whole number of bytes, or a share between 0 and 1"),
        ({"complete": True}, "complete needs truncate"),
        ({"truncate": 5, "complete": True, "reset": True}, "complete leaves the connection as it is: leave out reset"),
        ({"truncate": 5, "code": None, "before": True}, "truncate and slow without code, http or body send"),
        ({"slow": 5}, "slow is for the route file only"),
        ({"slow": 0}, "slow must be above 0 and at most 1e9 bytes per second"),
        ({"slow": float("inf")}, "slow must be above 0 and at most 1e9 bytes per second"),
        ({"delay": float("nan")}, "delay must be 0 to 1e9 seconds"),
        ({"retry_after": -1}, "retry_after must be 0 to 1e9 seconds"),
        ({"http": 304}, "http must lie between 200 and 599, and be neither 204 nor 304, which have no body"),
        ({"drop": True}, "drop (or reset without truncate) sends nothing"),
        ({"reset": True}, "drop (or reset without truncate) sends nothing"),
        ({"code": None, "drop": True, "truncate": 5}, "drop (or reset without truncate) sends nothing"),
        ({"code": None}, "a rule needs code, http, body, drop, reset, truncate, slow or delay"),
        ({"code": None, "drop": False}, "a rule needs code, http, body, drop, reset, truncate, slow or delay"),
        ({"reste": True}, "unknown field 'reste'; known are route, code, "),
        ({"fired": 1}, "unknown field 'fired'; known are route, code, "),
        ({"route": "poll"}, "route must be one of create, look, credit, file, upload, catalogue"),
        ({"route": None}, "route must be one of create, look, credit, file, upload, catalogue"),
    ],
)
def test_each_mistake_in_a_rule_has_its_sentence(rule: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadRuleError) as caught:
        parse_rule({"route": "look", "code": 500, **rule})
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_one_bad_rule_is_named_by_its_number_and_keeps_all_out(server: Server) -> None:
    refused = server.post_faults({"route": "look", "code": 500}, {"route": "look", "skip": 1})
    assert refused.status_code == 400
    assert refused.json()["error"].startswith("rule 2: a rule needs ")
    assert page(server, "faults") == []


# -- the script file -----------------------------------------------------------------------------------------


def test_a_script_of_rules_works_from_the_first_request(start: Callable[..., Server], tmp_path: Path) -> None:
    script = tmp_path / "faults.json"
    script.write_text(json.dumps([{"route": "credit", "code": 455}, {"route": "look", "http": 502, "times": 0}]))
    server = start(*FAST, "--faults", str(script))
    account = server.client()
    assert [account.http.get("/api/v1/chat/credit").json()["code"] for _ in range(2)] == [455, 200]
    assert [rule["http"] for rule in page(server, "faults")] == [502]
    account.http.close()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "it cannot be read: No such file or directory"),
        (b"[{", "it is no JSON: Expecting property name enclosed in double quotes: line 1 column 3 (char 2)"),
        (b"\xff\xfe", "it is no UTF-8 text"),
        (b'{"route": "look"}', "send a JSON list of rules"),
        (b'[{"route": "look", "code": 1}, {"route": "lok"}]', "rule 2: route must be one of "),
    ],
)
def test_a_bad_script_ends_the_start_with_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    script = tmp_path / "faults.json"
    if content is not None:
        script.write_bytes(content)
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--faults", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"kiegen sandbox: --faults {script}: {sentence}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


# -- sandbox:lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["jobs/createTask", "veo/generate"])
def test_a_lost_create_is_accepted_and_charged_and_its_answer_never_sent(
    server: Server, account: Account, path: str
) -> None:
    lost = {"prompt": "a red kite sandbox:lost"}
    body = lost if path == "veo/generate" else {"model": "google/imagen4", "input": lost}
    with pytest.raises(httpx.RemoteProtocolError, match="Server disconnected without sending a response"):
        account.http.post(f"/api/v1/{path}", json=body)
    assert server.stats()["creates"] == 1
    assert account.credits() < 10_000
    [task] = page(server, "tasks")
    [create] = [one for one in page(server, "requests") if one["route"] == "create"]
    assert (create["task"], create["code"], create["fault"]) == (task["taskId"], None, True)
    if path == "jobs/createTask":
        assert account.finished(task["taskId"])["state"] == "success"
    account.new_task()


def test_a_lost_create_is_late_as_well_if_a_rule_says_so(server: Server, account: Account) -> None:
    give(server, {"route": "create", "delay": 0.01}, {"route": "create", "delay": 3600})
    body = {"model": "google/imagen4", "input": {"prompt": "sandbox:lost"}}
    for kind, patience in ((httpx.RemoteProtocolError, DEADLINE), (httpx.ReadTimeout, 0.2)):
        with pytest.raises(kind):
            account.http.post("/api/v1/jobs/createTask", json=body, timeout=patience)
    assert server.stats()["creates"] == 2


# -- the page of requests ------------------------------------------------------------------------------------


def test_every_request_is_listed_with_its_account_its_task_and_its_answer(server: Server, account: Account) -> None:
    name = hashlib.sha256(b"key-of-the-test").hexdigest()[:12]
    task_id = account.new_task()
    [url] = account.urls(task_id)
    looks = [one for one in page(server, "requests") if one["route"] == "look"]
    assert {(one["account"], one["task"], one["fault"]) for one in looks} == {(name, task_id, False)}
    assert looks[-1]["code"] == 200
    seen = page(server, "requests")[-1]["at"]
    give(
        server,
        {"route": "look", "http": 502, "body": "<html>"},
        {"route": "look", "drop": True},
        {"route": "credit", "code": 429, "http": 503},
        {"route": "create", "code": 500},
        {"route": "upload", "delay": 0.01},
    )
    account.http.get(f"/api/v1/jobs/recordInfo?taskId={task_id}")
    with pytest.raises(httpx.RemoteProtocolError):
        account.look(task_id)
    account.http.get("/api/v1/chat/credit")
    account.create()
    account.http.post("/api/file-base64-upload", json={"base64Data": "aGVsbG8=", "uploadPath": "p"})
    account.create(prompt="")
    httpx.get(url, trust_env=False)
    account.http.get(url, headers={"Range": "bytes=0-9"})
    account.http.get(f"/files/{'0' * 32}-0.png")
    account.http.get("/api/v1/models", headers={"Authorization": "Bearer bad"})
    account.http.get("/nowhere")
    listed = page(server, f"requests?since={seen}")
    rows = [(one["route"], one["account"], one["task"], one["code"], one["fault"]) for one in listed]
    assert rows == [
        ("look", name, task_id, 502, True),
        ("look", name, task_id, None, True),
        ("credit", name, None, 429, True),
        ("create", name, None, 500, True),
        ("upload", name, None, 200, True),
        ("create", name, None, 500, False),
        ("file", name, task_id, 200, False),
        ("file", name, task_id, 206, False),
        ("file", name, "0" * 32, 404, False),
        ("catalogue", None, None, 401, False),
    ]
    moments = [one["at"] for one in listed]
    assert moments == sorted(moments)
    assert moments[0] > seen
    assert page(server, f"requests?since={moments[-1]}") == []


def test_a_request_is_listed_before_it_is_answered(server: Server, account: Account) -> None:
    give(server, {"route": "credit", "delay": 3600})
    with raw_get(server, "/api/v1/chat/credit"):
        [waiting] = wait_for(lambda: page(server, "requests") or None)
        assert (waiting["route"], waiting["code"], waiting["fault"]) == ("credit", None, True)
    assert account.credits() == 10_000


def test_the_page_of_requests_holds_no_key_and_no_prompt(server: Server, account: Account) -> None:
    account.new_task(prompt="a secret kite")
    give(server, {"route": "create", "code": 500})
    account.create(prompt="a secret kite")
    account.http.get("/api/v1/jobs/recordInfo", params={"taskId": "x" * 5000})
    text = httpx.get(f"{server.url}/sandbox/requests", trust_env=False).text
    assert "secret" not in text
    assert "key-of-the-test" not in text
    assert len(text) < 1000


@pytest.mark.parametrize("since", ["yesterday", "nan"])
def test_since_must_be_a_number(server: Server, since: str) -> None:
    answer = httpx.get(f"{server.url}/sandbox/requests?since={since}", trust_env=False)
    assert answer.status_code == 400
    assert answer.json() == {"ok": False, "error": "since must be a number: seconds since 1970"}


def test_only_the_newest_requests_are_kept() -> None:
    journal = Journal(1.0, most=3)
    for number in range(10):
        journal.begin(float(number), "look", "me", None)
    assert [one["at"] for one in journal.since(0)] == [7.0, 8.0, 9.0]
    assert [one["at"] for one in journal.since(8)] == [9.0]


# -- the page of tasks ---------------------------------------------------------------------------------------


def test_every_task_on_the_file_is_listed_with_the_end_that_awaits_it(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    file = ("--database", str(tmp_path / "t.sqlite3"))
    first = start(*file)
    mine, other = first.client("key-of-the-test"), first.client()
    good = mine.new_task(prompt="sandbox:slow=30")
    bad = other.new_task("google/imagen4-fast", prompt="sandbox:fail")
    for server in (first, start(*file)):
        listed = page(server, "tasks")
        assert [one["taskId"] for one in listed] == [good, bad]
        assert set(listed[0]) == {"taskId", "account", "model", "created", "finishes", "charged", "failCode"}
        assert listed[0]["account"] == hashlib.sha256(b"key-of-the-test").hexdigest()[:12]
        assert listed[0]["finishes"] - listed[0]["created"] == pytest.approx(30)
        assert [one["model"] for one in listed] == ["google/imagen4", "google/imagen4-fast"]
        assert [one["failCode"] for one in listed] == [None, "400"]
        assert [one["charged"] for one in listed] == [8, 4]
    mine.http.close()
    other.http.close()


# -- the busiest moments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("disorder", [0.0, 0.2])
def test_the_busiest_window_is_the_one_a_plain_count_finds(disorder: float) -> None:
    seed = random.randrange(10**9)  # noqa: S311 - for a test
    print(f"seed {seed}")  # noqa: T201 - shown by pytest when the test fails
    dice = random.Random(seed)  # noqa: S311 - for a test
    for _ in range(30):
        busiest, moments, now = Busiest(1.0), list[float](), 0.0
        for _ in range(dice.randrange(1, 120)):
            now += dice.choice([0.0, 0.01, 0.25, 0.5, 1.0, 3.0])
            moments.append(now - dice.random() * disorder)
            busiest.add(moments[-1])
            assert busiest.most == max(sum(end - 1.0 < one <= end for one in moments) for end in moments)


def test_the_busiest_window_needs_no_memory_of_all_events() -> None:
    busiest = Busiest(1.0)
    for number in range(20_000):
        busiest.add(number / 4)
    assert busiest.most == 4
    assert len(busiest._moments) < 5000


def test_the_busiest_creates_are_counted_in_the_limits_window(tmp_path: Path) -> None:
    clock = Time()
    store = tasks.Store(tmp_path / "t.sqlite3", clock=clock, speed=2.0)
    entry = checks.load_catalogue()["google/imagen4"]
    for account in ("me", "you"):
        store.know(account, 1000.0)

    def create(account: str, times: int) -> None:
        for _ in range(times):
            store.create(account, {"model": "google/imagen4", "input": {"prompt": "a red kite"}}, entry)

    create("me", 3)
    clock.now += 4.5
    create("me", 4)
    create("you", 2)
    clock.now += 1
    create("me", 2)
    stats = store.stats()
    assert {name: one["busiest_creates"] for name, one in stats["accounts"].items()} == {"me": 7, "you": 2}
    assert stats["busiest_creates"] == 9
    clock.now += 4
    create("you", 6)
    again = tasks.Store(tmp_path / "t.sqlite3", clock=clock, speed=2.0)
    for one in (store, again):
        assert one.stats()["accounts"]["you"]["busiest_creates"] == 6
        assert one.stats()["busiest_creates"] == 9
        one.close()


def test_the_busiest_looks_are_counted_in_the_sandboxs_second(tmp_path: Path) -> None:
    sandbox = Sandbox(tasks.Store(tmp_path / "t.sqlite3", speed=2.0))
    journal = sandbox.journal
    for at, route, account in (
        (100.0, "look", "me"),
        (100.2, "look", "you"),
        (100.3, "credit", "me"),
        (100.4, "look", "me"),
        (100.4, "look", None),
        (100.6, "look", "me"),
    ):
        journal.begin(at, route, account, None)
    assert [journal.busiest_looks(account) for account in ("me", "you", "nobody", None)] == [2, 1, 0, 4]
    sandbox.stop()


def test_stats_show_the_busiest_moments_per_account_and_in_all(start: Callable[..., Server]) -> None:
    # So slow that the whole test lies within one window.
    server = start("--speed", "0.01")
    one, two = server.client("key-of-the-test"), server.client()
    codes = [one.create()["code"] for _ in range(23)]
    two.create()
    for number in range(5):
        one.look(f"{number}")
    two.look("0")
    stats = server.stats()
    mine = stats["accounts"].pop(hashlib.sha256(b"key-of-the-test").hexdigest()[:12])
    [others] = stats["accounts"].values()
    assert sorted(codes) == [200] * 20 + [429] * 3
    assert (mine["busiest_creates"], mine["busiest_looks"]) == (20, 5)
    assert (others["busiest_creates"], others["busiest_looks"]) == (1, 1)
    assert (stats["busiest_creates"], stats["busiest_looks"]) == (21, 6)
    one.http.close()
    two.http.close()


# -- the documentation ---------------------------------------------------------------------------------------


def test_the_documentation_has_a_line_for_every_field() -> None:
    with pytest.raises(BadRuleError) as caught:
        parse_rule({"route": "look", "": 1})
    known = str(caught.value).partition("known are ")[2].split(", ")
    fields = DOCUMENTATION.read_text(encoding="utf-8").partition("| field |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", fields, re.MULTILINE) == known


def test_the_examples_of_the_documentation_are_rules_and_say_the_same_in_both_languages() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    in_python = [ast.literal_eval(found) for found in re.findall(r"^ +faults\((.+)\)$", text, re.MULTILINE)]
    in_a_shell = [json.loads(found) for found in re.findall(r"^ +curl .* --data '(.+)'$", text, re.MULTILINE)]
    assert in_python == in_a_shell
    assert len(in_python) == 5
    scripts = [json.loads(found) for found in re.findall(r"```json\n(\[.+?\])\n```", text, re.DOTALL)]
    assert len(scripts) == 1
    for rules in (*in_python, *scripts):
        assert Faults().add(rules) == len(rules)
