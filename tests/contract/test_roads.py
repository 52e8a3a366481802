"""Every road of `KieClient`: what is sent where, who reads the answer, and the whole way against the real sandbox."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from kiegen_nb import errors
from kiegen_nb.kie.client import KieClient
from kiegen_nb.kie.models import follow_ups
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.midjourney import midjourney
from kiegen_nb.kie.models.midjourney_steps import KieMidjourneyFollowUp
from kiegen_nb.kie.models.sora2 import sora2
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.kie.models.veo3_steps import KieVeo3FollowUp
from kiegen_nb.service import Outcome, OutcomeKind
from kiegen_nb.tasks import Asset, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kiegen_nb.kie.models.base import FollowUp, KieParams

KEY = "test-key-0815-must-never-be-seen"
KIE = "https://api.kie.ai"
PICTURE = "https://example.com/a.png"
UNSUPPORTED = (
    "The model name you specified is not supported. Please verify your input and use one of the supported models "
    "provided by KIE."
)
SPRING = {"timestamp": "x", "status": 404, "error": "Not Found", "message": "No message available", "path": "/x"}

EXTEND = KieVeo3FollowUp.build(api_model="veo/extend", via="veo", task_id="p", prompt="on")
FULL = KieVeo3FollowUp.build(api_model="veo/get-1080p-video", via="veo", task_id="p", index=1)
FOUR = KieVeo3FollowUp.build(api_model="veo/get-4k-video", via="veo", task_id="p")
UPSCALE = KieMidjourneyFollowUp.build(api_model="mj_upscale", task_id="p", image_index=3)
VARY = KieMidjourneyFollowUp.build(api_model="mj_vary", task_id="p", image_index=3)
LONGER = KieMidjourneyFollowUp.build(api_model="mj_video_extend_auto", task_id="p")
JOBS = ("/api/v1/jobs/createTask", "/api/v1/jobs/recordInfo")
VEO, MJ = "/api/v1/veo", "/api/v1/mj"
ROADS: list[tuple[KieParams, tuple[str, str]]] = [
    (imagen4("x"), JOBS),
    (veo3("x"), JOBS),
    (sora2("x"), JOBS),
    (KieVeo3FollowUp.build(api_model="veo/extend", task_id="p", prompt="on"), JOBS),
    (KieVeo3FollowUp.build(api_model="veo/get-1080p-video", task_id="p"), JOBS),
    (KieVeo3FollowUp.build(api_model="veo/get-4k-video", task_id="p"), JOBS),
    (veo3("x", via="veo"), (f"{VEO}/generate", f"{VEO}/record-info")),
    (EXTEND, (f"{VEO}/extend", f"{VEO}/record-info")),
    (FOUR, (f"{VEO}/get-4k-video", f"{VEO}/record-info")),
    (midjourney("x"), (f"{MJ}/generate", f"{MJ}/record-info")),
    (UPSCALE, (f"{MJ}/generateUpscale", f"{MJ}/record-info")),
    (VARY, (f"{MJ}/generateVary", f"{MJ}/record-info")),
    (LONGER, (f"{MJ}/generateVideoExtend", f"{MJ}/record-info")),
]


class Script:
    """Answers requests in turn, the last answer for ever, and remembers the requests."""

    def __init__(self, *answers: httpx.Response) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._handle)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    @property
    def paths(self) -> list[tuple[str, str]]:
        return [(request.method, request.url.path) for request in self.requests]


def answer(code: int, msg: str = "success", data: Any = None) -> httpx.Response:
    return httpx.Response(200, json={"code": code, "msg": msg, "data": data})


@asynccontextmanager
async def client_of(
    base_url: str = KIE, key: str = KEY, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[KieClient]:
    client = KieClient(SecretStr(key), base_url, transport=transport)
    try:
        yield client
    finally:
        await client.close()


def task_of(params: KieParams, external_task_id: str = "t") -> GenerationTask:
    return GenerationTask(
        id="a" * 32,
        model=params.model,
        api_model=params.api_model,
        external_task_id=external_task_id,
        provider_params=params.to_json(),
        created_at=datetime.now(UTC),
    )


@pytest.mark.parametrize(("params", "paths"), ROADS, ids=lambda value: getattr(value, "api_model", ""))
async def test_a_request_goes_its_own_road_there_and_back(params: KieParams, paths: tuple[str, str]) -> None:
    script = Script(answer(200, data={"taskId": "t"}), answer(422, "recordInfo is null"))
    async with client_of(transport=script.transport) as client:
        created = await client.create(client.prepare(params.to_json()))
        await client.look(task_of(params))
    assert (created.kind, created.external_task_id) == (OutcomeKind.ACCEPTED, "t")
    assert script.paths == [("POST", paths[0]), ("GET", paths[1])]
    assert json.loads(script.requests[0].content) == params.wire()
    assert dict(script.requests[1].url.params) == {"taskId": "t"}
    assert all(request.headers["authorization"] == f"Bearer {KEY}" for request in script.requests)


async def test_1080p_creates_nothing_and_is_asked_for_until_it_is_there() -> None:
    soon = answer(400, "1080P is processing. It should be ready in 1-2 minutes. Please check back shortly.")
    script = Script(soon, answer(200, data={"resultUrl": "https://example.com/v.mp4"}))
    async with client_of(transport=script.transport) as client:
        created = await client.create(client.prepare(FULL))
        assert (created.kind, created.external_task_id) == (OutcomeKind.ACCEPTED, "p")
        assert script.requests == []
        task = task_of(FULL, "p")
        first, second = await client.look(task), await client.look(task)
    assert first.kind is OutcomeKind.RUNNING
    assert (second.kind, [result.url for result in second.results]) == (
        OutcomeKind.SUCCEEDED,
        ["https://example.com/v.mp4"],
    )
    assert script.paths == [("GET", f"{VEO}/get-1080p-video")] * 2
    assert dict(script.requests[0].url.params) == {"taskId": "p", "index": "1"}


async def test_a_4k_copy_without_an_id_of_its_own_is_asked_for_again() -> None:
    soon = answer(422, "4k is processing. It should be ready in 5-10 minutes. Please check back shortly.")
    done = answer(422, "The video has been generated successfully", {"resultUrls": ["https://example.com/4k.mp4"]})
    script = Script(soon, soon, done)
    async with client_of(transport=script.transport) as client:
        created = await client.create(client.prepare(FOUR))
        assert (created.kind, created.external_task_id) == (OutcomeKind.ACCEPTED, "p")
        task = task_of(FOUR, "p")
        first, second = await client.look(task), await client.look(task)
    assert (first.kind, second.kind) == (OutcomeKind.RUNNING, OutcomeKind.SUCCEEDED)
    assert script.paths == [("POST", f"{VEO}/get-4k-video")] * 3
    assert [json.loads(request.content) for request in script.requests] == [FOUR.wire()] * 3


async def test_a_better_copy_is_looked_at_as_seldom_as_the_pages_ask() -> None:
    async with client_of(transport=Script(answer(200)).transport) as client:
        wanted = {params.api_model: client.look_interval(task_of(params), 3.0) for params in (FULL, FOUR, EXTEND)}
        assert wanted == {"veo/get-1080p-video": 25.0, "veo/get-4k-video": 30.0, "veo/extend": 3.0}
        jobs = KieVeo3FollowUp.build(api_model="veo/get-1080p-video", task_id="p")
        assert client.look_interval(task_of(jobs), 3.0) == 3.0
        assert client.look_interval(task_of(FULL), 60.0) == 60.0


async def test_videos_have_an_hour_and_results_are_what_the_task_makes() -> None:
    video = midjourney("x", api_model="mj_video", images=PICTURE)
    found = {"successFlag": 1, "resultInfoJson": {"resultUrls": [{"resultUrl": "https://example.com/no-ending"}]}}
    script = Script(answer(200, data=found))
    async with client_of(transport=script.transport) as client:
        limits = [client.time_limit(task_of(params)) for params in (midjourney("x"), video, LONGER, veo3("x"))]
        kinds = [(await client.look(task_of(params))).results[0].kind.value for params in (midjourney("x"), video)]
    assert limits == [1800.0, 3600.0, 3600.0, 3600.0]
    assert kinds == ["image", "video"]


@pytest.mark.parametrize(
    "stored", [{}, {"model": "VEO3", "via": "veo", "input": None}, {"model": ["VEO3"]}, {"model": "VEO3", "via": 7}]
)
async def test_a_stored_request_of_any_shape_can_be_looked_at(stored: dict[str, Any]) -> None:
    script = Script(answer(422, "recordInfo is null"))
    async with client_of(transport=script.transport) as client:
        task = task_of(veo3("x")).model_copy(update={"provider_params": stored})
        assert (await client.look(task)).kind is OutcomeKind.UNCLEAR
        assert client.look_interval(task, 3.0) == 3.0
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("params", "refusal", "words"),
    [
        (
            sora2("x"),
            answer(422, UNSUPPORTED),
            "Sora 2 (sora-2-text-to-video) at present. Not in Kie's current catalogue",
        ),
        (sora2("x"), answer(422, "The page does not exist or is not published"), "since June 2026"),
        (sora2("x"), answer(500, "This interface is temporarily paused."), "temporarily paused"),
        (
            midjourney("x"),
            answer(404, "Not Found"),
            "Midjourney (mj_txt2img) at present. Not in Kie's current catalogue",
        ),
        (midjourney("x"), httpx.Response(404, json=SPRING), "since mid-2026"),
        (veo3("x"), answer(422, UNSUPPORTED), "Kie does not offer Veo 3.1 (veo3_fast) at present. Kie answered 422"),
        (veo3("x", via="veo"), httpx.Response(404, json=SPRING), "Veo 3.1 (veo3_fast) at present."),
    ],
)
async def test_a_model_that_is_gone_is_named_with_what_is_known_of_it(
    params: KieParams, refusal: httpx.Response, words: str
) -> None:
    script = Script(refusal)
    async with client_of(transport=script.transport) as client:
        outcome = await client.create(client.prepare(params))
    assert outcome.kind is OutcomeKind.REFUSED
    assert isinstance(outcome.error, errors.ModelUnavailable | errors.NotFound)
    assert words in outcome.message
    assert "nothing was charged" in outcome.message or isinstance(outcome.error, errors.NotFound)
    assert len(script.requests) == 1, "no road is taken instead of another"


async def test_any_other_refusal_says_only_what_it_is() -> None:
    async with client_of(transport=Script(answer(402, "Credits insufficient : 60")).transport) as client:
        outcome = await client.create(client.prepare(sora2("x")))
    assert outcome.message.startswith("Kie answered 402")


# The whole way, against the real sandbox.


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--with-parent", "--speed", "20"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


async def made(client: KieClient, params: KieParams) -> tuple[GenerationTask, Outcome]:
    created = await client.create(client.prepare(params))
    assert created.kind is OutcomeKind.ACCEPTED, created
    task = task_of(params, created.external_task_id or "")
    async with asyncio.timeout(30):
        outcome = await client.look(task)
        while outcome.kind in (OutcomeKind.RUNNING, OutcomeKind.UNCLEAR):
            outcome = await client.look(task)
    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    assets = tuple(Asset(kind=result.kind, url=result.url) for result in outcome.results)
    known = {"status": TaskStatus.SUCCESS, "assets": assets, "result_json": outcome.result_json}
    return task.model_copy(update=known), outcome


def kinds_of(outcome: Outcome) -> list[str]:
    return [result.kind.value for result in outcome.results]


def step(task: GenerationTask, name: str) -> FollowUp:
    return next(found for found in follow_ups(task) if found.name == name)


@pytest.mark.parametrize("via", ["jobs", "veo"])
async def test_a_veo_video_and_all_that_follows_it(sandbox_url: str, via: Any) -> None:
    async with client_of(sandbox_url, f"{KEY}-{uuid.uuid4().hex}") as client:
        video, outcome = await made(client, veo3("a kite", duration=4, via=via, images=[PICTURE]))
        assert kinds_of(outcome) == ["video"]
        for name in ("1080p", "4k", "extend"):
            follows = step(video, name)
            longer, outcome = await made(client, follows.make(prompt="it lands" if follows.needs_prompt else None))
            assert set(kinds_of(outcome)) == {"video"}
            if name == "extend":
                assert [found.name for found in follow_ups(longer)] == ["extend"]


async def test_midjourney_pictures_and_all_that_follows_them(sandbox_url: str) -> None:
    async with client_of(sandbox_url, f"{KEY}-{uuid.uuid4().hex}") as client:
        pictures, outcome = await made(client, midjourney("a kite", aspect_ratio="3:2", speed="fast"))
        assert kinds_of(outcome) == ["image"] * 4
        varied, outcome = await made(client, step(pictures, "vary").make(3))
        assert kinds_of(outcome) == ["image"] * 4
        _, outcome = await made(client, step(varied, "upscale").make(2))
        assert kinds_of(outcome) == ["image"]


async def test_midjourney_videos_and_all_that_follows_them(sandbox_url: str) -> None:
    async with client_of(sandbox_url, f"{KEY}-{uuid.uuid4().hex}") as client:
        video, outcome = await made(client, midjourney("a kite", api_model="mj_video", images=PICTURE))
        assert kinds_of(outcome) == ["video"]
        for name in ("extend_auto", "extend_manual"):
            follows = step(video, name)
            _, outcome = await made(client, follows.make(prompt="it lands" if follows.needs_prompt else None))
            assert kinds_of(outcome) == ["video"]


SHOTS = [{"Scene": "a pier", "duration": 4}, {"Scene": "waves", "duration": 6}]


@pytest.mark.parametrize(
    ("params", "kinds"),
    [
        (sora2("a kite"), {"video"}),
        (sora2("a kite", api_model="sora-2-image-to-video", images=PICTURE), {"video"}),
        (sora2(api_model="sora-2-pro-storyboard", shots=SHOTS, n_frames=10), {"video"}),
        (sora2(api_model="sora-watermark-remover", video_url="https://sora.chatgpt.com/p/s_1"), {"video"}),
        (sora2(api_model="sora-2-characters", character_file_url="https://example.com/c.mp4"), {"data"}),
    ],
    ids=lambda value: getattr(value, "api_model", ""),
)
async def test_sora_answers_in_the_sandbox(sandbox_url: str, params: KieParams, kinds: set[str]) -> None:
    async with client_of(sandbox_url, f"{KEY}-{uuid.uuid4().hex}") as client:
        _, outcome = await made(client, params)
    assert set(kinds_of(outcome)) == kinds


@pytest.mark.parametrize(
    "params",
    [veo3("sandbox:fail"), veo3("sandbox:fail", via="veo"), midjourney("sandbox:fail"), sora2("sandbox:fail")],
    ids=lambda params: f"{params.api_model}-{params.road}",
)
async def test_a_failure_reads_the_same_on_every_road(sandbox_url: str, params: KieParams) -> None:
    async with client_of(sandbox_url, f"{KEY}-{uuid.uuid4().hex}") as client:
        created = await client.create(client.prepare(params))
        task = task_of(params, created.external_task_id or "")
        async with asyncio.timeout(30):
            outcome = await client.look(task)
            while outcome.kind in (OutcomeKind.RUNNING, OutcomeKind.UNCLEAR):
                outcome = await client.look(task)
    assert (outcome.kind, outcome.code) == (OutcomeKind.FAILED, "400")
    assert "content policy" in outcome.message
