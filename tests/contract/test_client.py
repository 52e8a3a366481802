"""`KieClient` against a real sandbox, a hostile server and scripted answers: one outcome each, one POST per create."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import socket
import subprocess
import sys
import threading
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from kiegen_nb import errors
from kiegen_nb.kie.client import USER_AGENT, KieClient, account_name
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.service import OutcomeKind
from kiegen_nb.tasks import GenerationTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

KEY = "test-key-0815-must-never-be-seen"
KIE = "https://api.kie.ai"
PARAMS = imagen4("a red kite")


def task(external_task_id: str, model: str = "IMAGEN4") -> GenerationTask:
    return GenerationTask(
        id="a" * 32,
        model=model,
        api_model="google/imagen4-fast",
        external_task_id=external_task_id,
        created_at=datetime.now(UTC),
    )


@asynccontextmanager
async def client_of(
    base_url: str, key: str = KEY, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[KieClient]:
    client = KieClient(SecretStr(key), base_url, transport=transport)
    try:
        yield client
    finally:
        await client.close()


class Script:
    """Answers every request with the same thing, and remembers the requests."""

    def __init__(self, answer: httpx.Response | Exception) -> None:
        self._answer = answer
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class Server:
    """A real server that gives every request one answer, and remembers what the callers called themselves."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        seen: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                seen.append(self.headers.get("User-Agent", ""))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.seen = seen
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Sandbox:
    """The module's one sandbox, as an account of its own sees it: every test has another key."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def faults(self, *rules: dict[str, Any]) -> None:
        httpx.post(f"{self.url}/sandbox/faults", json=rules, trust_env=False).raise_for_status()

    @property
    def creates(self) -> int:
        accounts = httpx.get(f"{self.url}/sandbox/stats", trust_env=False).json()["accounts"]
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:12]
        return int(accounts[digest]["creates"]) if digest in accounts else 0


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--with-parent", "--speed", "20"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


@pytest.fixture
def sandbox(sandbox_url: str) -> Iterator[Sandbox]:
    yield Sandbox(sandbox_url, f"{KEY}-{uuid.uuid4().hex}")
    httpx.delete(f"{sandbox_url}/sandbox/faults", trust_env=False).raise_for_status()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(status: int, headers: dict[str, str], body: bytes = b"") -> Server:
        servers.append(Server(status, headers, body))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The way of a task, against the real sandbox.


async def test_a_create_is_accepted_and_looked_at_until_it_succeeds(sandbox: Sandbox) -> None:
    async with client_of(sandbox.url, sandbox.key) as client:
        created = await client.create(client.prepare(PARAMS))
        assert created.kind is OutcomeKind.ACCEPTED
        assert created.external_task_id
        outcome = await client.look(task(created.external_task_id))
        kinds = {outcome.kind}
        async with asyncio.timeout(20):
            while outcome.kind in (OutcomeKind.RUNNING, OutcomeKind.UNCLEAR):
                outcome = await client.look(task(created.external_task_id))
                kinds.add(outcome.kind)
        assert outcome.kind is OutcomeKind.SUCCEEDED
        assert OutcomeKind.RUNNING in kinds
        assert [result.kind.value for result in outcome.results] == ["image"]
        assert outcome.credits_consumed == 4.0
        assert client.is_sandbox
    assert sandbox.creates == 1


async def test_a_task_that_fails_says_why(sandbox: Sandbox) -> None:
    async with client_of(sandbox.url, sandbox.key) as client:
        created = await client.create(client.prepare(imagen4("sandbox:fail")))
        assert created.external_task_id
        outcome = await client.look(task(created.external_task_id))
        async with asyncio.timeout(20):
            while outcome.kind in (OutcomeKind.RUNNING, OutcomeKind.UNCLEAR):
                outcome = await client.look(task(created.external_task_id))
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.code == "400"
    assert "content policy" in outcome.message


@pytest.mark.parametrize(
    ("key", "prompt", "code", "kind"),
    [
        ("bad", "a kite", "401", errors.KeyRefused),
        ("poor", "a kite", "402", errors.OutOfCredits),
        ("good", "sandbox:refuse", "400", errors.RequestRefused),
    ],
)
async def test_a_refusal_of_the_sandbox_makes_no_task(
    sandbox: Sandbox, key: str, prompt: str, code: str, kind: type[Exception]
) -> None:
    sandbox.key = f"{key}-{sandbox.key}"
    async with client_of(sandbox.url, sandbox.key) as client:
        outcome = await client.create(client.prepare(imagen4(prompt)))
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, code)
    assert isinstance(outcome.error, kind)
    assert sandbox.creates == 0


async def test_the_balance_goes_down_with_a_create(sandbox: Sandbox) -> None:
    async with client_of(sandbox.url, sandbox.key) as client:
        before = await client.credits()
        await client.create(client.prepare(PARAMS))
        assert await client.credits() == before - 4.0


async def test_the_balance_of_a_refused_key_is_an_error(sandbox: Sandbox) -> None:
    async with client_of(sandbox.url, "bad-key") as client:
        with pytest.raises(errors.KeyRefused):
            await client.credits()


# What goes wrong with a create: one outcome each, and how many tasks the sandbox counts.


@pytest.mark.parametrize(
    ("fault", "kind", "creates"),
    [
        ({"drop": True}, OutcomeKind.UNCONFIRMED, 1),
        ({"drop": True, "before": True}, OutcomeKind.UNCONFIRMED, 0),
        ({"code": 500, "msg": "Internal server error", "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"code": 500, "http": 500, "msg": "Internal server error", "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"http": 502, "body": "<h1>Bad gateway</h1>"}, OutcomeKind.UNCONFIRMED, 0),
        ({"http": 502, "body": "<h1>Bad gateway</h1>", "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"http": 200, "body": "<h1>Hello</h1>", "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"body": '{"code":200,"msg":"success","data":null}', "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"code": 408, "msg": "upstream", "before": False}, OutcomeKind.UNCONFIRMED, 1),
        ({"code": 505, "msg": "disabled"}, OutcomeKind.UNCONFIRMED, 0),
        ({"code": 429, "msg": "too fast"}, OutcomeKind.NOT_SENT, 0),
        ({"code": 429, "http": 429, "msg": "too fast", "retry_after": 3}, OutcomeKind.NOT_SENT, 0),
        ({"code": 500, "msg": "aspect_ratio is not within the range of allowed options"}, OutcomeKind.REFUSED, 0),
        ({"code": 422, "msg": "no"}, OutcomeKind.REFUSED, 0),
        ({"code": 433, "msg": "no"}, OutcomeKind.REFUSED, 0),
        ({"code": 455, "http": 455, "msg": "no"}, OutcomeKind.REFUSED, 0),
    ],
    ids=str,
)
async def test_a_create_that_goes_wrong_is_sent_once_and_sorted(
    sandbox: Sandbox, fault: dict[str, Any], kind: OutcomeKind, creates: int
) -> None:
    # The fault hits once: a second POST would be accepted, and counted.
    sandbox.faults({"route": "create", **fault})
    async with client_of(sandbox.url, sandbox.key) as client:
        outcome = await client.create(client.prepare(PARAMS))
    assert outcome.kind is kind
    assert outcome.error is not None
    assert sandbox.creates == creates


@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout, httpx.WriteTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError]
)
async def test_a_create_that_broke_off_after_the_connection_is_unconfirmed(error: type[httpx.HTTPError]) -> None:
    script = Script(error(f"broke off, key {KEY}"))
    async with client_of(KIE, transport=script.transport) as client:
        outcome = await client.create(client.prepare(PARAMS))
    assert outcome.kind is OutcomeKind.UNCONFIRMED
    assert len(script.requests) == 1
    assert KEY not in repr(outcome) + str(outcome.error)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
async def test_a_create_without_a_connection_is_not_sent(error: type[httpx.HTTPError]) -> None:
    script = Script(error("no"))
    async with client_of(KIE, transport=script.transport) as client:
        assert (await client.create(client.prepare(PARAMS))).kind is OutcomeKind.NOT_SENT
    assert len(script.requests) == 1


async def test_a_refused_connection_is_not_sent(closed_port: int) -> None:
    async with client_of(f"http://127.0.0.1:{closed_port}") as client:
        outcome = await client.create(client.prepare(PARAMS))
        looked = await client.look(task("t"))
        with pytest.raises(errors.ServiceUnavailable):
            await client.credits()
    assert outcome.kind is OutcomeKind.NOT_SENT
    assert isinstance(outcome.error, errors.ServiceUnavailable)
    assert looked.kind is OutcomeKind.UNCLEAR


async def test_every_create_opens_a_connection_of_its_own(sandbox: Sandbox) -> None:
    """A kept-alive connection may be closing while the POST goes out, which would be UNCONFIRMED for nothing."""
    async with client_of(sandbox.url, sandbox.key) as client:
        for number in range(3):
            sandbox.faults({"route": "create", "drop": True} if number == 1 else {"route": "credit", "code": 500})
            outcome = await client.create(client.prepare(imagen4(f"kite {number}")))
            assert outcome.kind is (OutcomeKind.UNCONFIRMED if number == 1 else OutcomeKind.ACCEPTED)
            transport: Any = client._creates._transport
            assert transport._pool.connections == []


@pytest.mark.parametrize(
    "content",
    [b"[" * 200_000, b'{"code":200,"data":' + b"[" * 200_000, b"", b"\x00\xff", b'{"code":1e999}', b"9" * 5000],
    ids=["nested", "nested data", "empty", "binary", "infinite", "a long number"],
)
async def test_no_answer_whatever_makes_a_create_or_a_look_raise(content: bytes) -> None:
    script = Script(httpx.Response(200, content=content))
    async with client_of(KIE, transport=script.transport) as client:
        assert (await client.create(client.prepare(PARAMS))).kind is OutcomeKind.UNCONFIRMED
        assert (await client.look(task("t"))).kind is OutcomeKind.UNCLEAR


async def test_a_body_that_cannot_be_unpacked_is_unconfirmed() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip"))

    async with client_of(KIE, transport=httpx.MockTransport(broken)) as client:
        assert (await client.create(client.prepare(PARAMS))).kind is OutcomeKind.UNCONFIRMED
        assert (await client.look(task("t"))).kind is OutcomeKind.UNCLEAR


# Looks that tell nothing.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"drop": True}, OutcomeKind.UNCLEAR),
        ({"drop": True, "before": True}, OutcomeKind.UNCLEAR),
        ({"http": 502, "body": "<h1>Bad gateway</h1>"}, OutcomeKind.UNCLEAR),
        ({"http": 200, "body": "<h1>Hello</h1>"}, OutcomeKind.UNCLEAR),
        ({"code": 429, "msg": "too fast"}, OutcomeKind.UNCLEAR),
        ({"code": 500, "msg": "oops"}, OutcomeKind.UNCLEAR),
        ({"code": 422, "msg": "recordInfo is null"}, OutcomeKind.UNCLEAR),
        ({"code": 401, "msg": "no"}, OutcomeKind.DENIED),
        ({"code": 401, "http": 401, "msg": "no"}, OutcomeKind.DENIED),
    ],
    ids=str,
)
async def test_a_look_that_goes_wrong_says_nothing_about_the_task(
    sandbox: Sandbox, fault: dict[str, Any], kind: OutcomeKind
) -> None:
    sandbox.faults({"route": "look", **fault})
    async with client_of(sandbox.url, sandbox.key) as client:
        outcome = await client.look(task("0" * 32))
    assert outcome.kind is kind
    assert outcome.error is not None


async def test_a_task_of_an_unknown_family_is_still_looked_at() -> None:
    data = {"state": "success", "resultJson": '{"resultUrls":["https://x/a"]}'}
    script = Script(httpx.Response(200, json={"code": 200, "data": data}))
    async with client_of(KIE, transport=script.transport) as client:
        outcome = await client.look(task("t", model="FROM_A_NEWER_VERSION"))
        assert [result.kind.value for result in outcome.results] == ["file"]
        assert client.time_limit(task("t", model="FROM_A_NEWER_VERSION")) > 0


# The key, and who gets it.


async def test_the_key_goes_to_the_configured_host_with_a_browserlike_name() -> None:
    script = Script(httpx.Response(200, json={"code": 200, "data": 7}))
    async with client_of(f"{KIE}/", transport=script.transport) as client:
        await client.create(client.prepare(PARAMS))
        await client.look(task("a/b&c"))
        await client.credits()
    assert [(request.method, request.url.path) for request in script.requests] == [
        ("POST", "/api/v1/jobs/createTask"),
        ("GET", "/api/v1/jobs/recordInfo"),
        ("GET", "/api/v1/chat/credit"),
    ]
    for request in script.requests:
        assert request.url.host == "api.kie.ai"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["user-agent"] == USER_AGENT
        assert USER_AGENT.startswith("Mozilla/5.0")
        assert KEY not in str(request.url)
    assert script.requests[1].url.params["taskId"] == "a/b&c"
    assert script.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_request_follows_a_redirect(serve: Callable[..., Server], status: int) -> None:
    elsewhere = serve(200, {})
    here = serve(status, {"Location": f"{elsewhere.url}/steal"})
    async with client_of(here.url) as client:
        assert (await client.create(client.prepare(PARAMS))).kind is OutcomeKind.UNCONFIRMED
        assert (await client.look(task("t"))).kind is OutcomeKind.UNCLEAR
        with pytest.raises(errors.UnreadableAnswer):
            await client.credits()
    assert here.seen == [USER_AGENT] * 3
    assert elsewhere.seen == []


async def test_answers_may_come_compressed(serve: Callable[..., Server]) -> None:
    body = gzip.compress(json.dumps({"code": 200, "msg": "success", "data": 42.5}).encode())
    here = serve(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, body)
    async with client_of(here.url) as client:
        assert await client.credits() == 42.5


async def test_a_proxy_never_stands_between_us_and_this_machine(
    sandbox: Sandbox, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(502, {})
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    async with client_of(sandbox.url, sandbox.key) as client:
        assert (await client.create(client.prepare(PARAMS))).kind is OutcomeKind.ACCEPTED
        assert (await client.look(task("0" * 32))).kind is OutcomeKind.UNCLEAR
    assert proxy.seen == []


async def test_the_key_is_in_no_repr_no_log_and_no_error(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    async with client_of(sandbox.url, f"bad-{KEY}") as client:
        said.append(repr(client))
        said.append(repr(await client.create(client.prepare(PARAMS))))
        said.append(repr(await client.look(task("t"))))
        with pytest.raises(errors.KeyRefused) as caught:
            await client.credits()
        said.append(repr(caught.value) + str(caught.value) + client.account)
        said.append(repr(client.prepare(PARAMS)))
    assert caplog.text
    assert KEY not in "".join(said) + caplog.text


def test_an_account_is_the_host_and_a_hash_that_does_not_tell_the_key() -> None:
    one, other = account_name(SecretStr(KEY), KIE), account_name(SecretStr(f"{KEY}2"), KIE)
    assert one != other
    assert one != account_name(SecretStr(KEY), "https://example.org")
    assert one.startswith("api.kie.ai:")
    assert KEY not in one


def test_a_prepared_request_holds_the_json_form_the_body_and_the_identity() -> None:
    client = KieClient(SecretStr(KEY), KIE, transport=Script(httpx.Response(200)).transport)
    request = client.prepare(PARAMS.to_json())
    assert request.provider_params == PARAMS.to_json()
    assert request.body == PARAMS.wire()
    assert request.identity == PARAMS.identity()
    with pytest.raises(errors.InvalidParams):
        client.prepare(42)


async def test_only_an_answer_that_says_so_comes_from_a_sandbox(sandbox: Sandbox) -> None:
    async with client_of(sandbox.url, sandbox.key) as client:
        said = [client.is_sandbox]
        await client.credits()
        said.append(client.is_sandbox)
    assert said == [False, True]
    script = Script(httpx.Response(200, json={"code": 200, "data": 7}))
    async with client_of(KIE, transport=script.transport) as client:
        await client.credits()
        assert not client.is_sandbox
