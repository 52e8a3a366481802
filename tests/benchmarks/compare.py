"""What one request costs the client with each way of sending it: CPU only, against one sandbox in its own process."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from kiegen_nb.kie.client import KieClient
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import GenerationTask
from tests.benchmarks.measuring import PROMPT, running_sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Call = Callable[[int], Awaitable[object]]

CONNECTIONS = 16
CREATES = 200
LOOKS = 800
WARM_UP = 32


@dataclass(frozen=True, slots=True)
class Way:
    """A way of sending, opened: what one create and one look of number n are."""

    create: Call
    look: Call


@asynccontextmanager
async def bare_aiohttp(url: str, key: str, task_id: str, *, kept: bool) -> AsyncIterator[Way]:
    """Open aiohttp with nothing around it."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=not kept)
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as client:

        async def create(number: int) -> object:
            async with client.post(f"{url}/api/v1/jobs/createTask", json=body_of(number)) as answer:
                return json.loads(await answer.read())

        async def look(_: int) -> object:
            async with client.get(f"{url}/api/v1/jobs/recordInfo", params={"taskId": task_id}) as answer:
                return json.loads(await answer.read())

        yield Way(create, look)


@asynccontextmanager
async def through_httpx(
    url: str, key: str, task_id: str, *, transport: httpx.AsyncBaseTransport | None, kept: bool
) -> AsyncIterator[Way]:
    """Open httpx on its own transport (None) or another."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=None if kept else 0)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, limits=limits, headers=headers, trust_env=False) as client:

        async def create(number: int) -> object:
            return (await client.post(f"{url}/api/v1/jobs/createTask", json=body_of(number))).json()

        async def look(_: int) -> object:
            return (await client.get(f"{url}/api/v1/jobs/recordInfo", params={"taskId": task_id})).json()

        yield Way(create, look)


@asynccontextmanager
async def product(url: str, key: str, task: GenerationTask) -> AsyncIterator[Way]:
    """Open the package's own client, which reads and judges the answers too."""
    client = KieClient(SecretStr(key), url)

    async def create(number: int) -> object:
        return await client.create(client.prepare(imagen4(f"{PROMPT} {number}")))

    async def look(_: int) -> object:
        return await client.look(task)

    yield Way(create, look)
    await client.close()


def body_of(number: int) -> dict[str, Any]:
    """Return the create that the package sends too."""
    return {"model": "google/imagen4-fast", "input": {"prompt": f"{PROMPT} {number}", "aspect_ratio": "1:1"}}


async def cost(call: Call, times: int) -> float:
    """Return the CPU milliseconds one call costs, with as many at once as there are connections."""
    for number in range(WARM_UP):
        await call(-number - 1)
    numbers = iter(range(times))

    async def worker() -> None:
        for number in numbers:
            await call(number)

    start = time.process_time()
    await asyncio.gather(*(worker() for _ in range(CONNECTIONS)))
    return (time.process_time() - start) * 1000 / times


async def measure(url: str) -> list[tuple[str, float, float]]:
    """Return for each way its name and the CPU milliseconds of a create and of a look."""
    keys = (f"compare-{number}" for number in itertools.count())  # each way an account, and credits, of its own
    limits = httpx.Limits(max_connections=CONNECTIONS)

    async def seen(key: str) -> GenerationTask:
        async with bare_aiohttp(url, key, "", kept=True) as way:
            answer: Any = await way.create(0)
        client = KieClient(SecretStr(key), url)
        request = client.prepare(imagen4(PROMPT))
        await client.close()
        return GenerationTask(
            id="0" * 32,
            prompt_id="compare",
            service=request.service,
            model=request.model,
            api_model=request.api_model,
            provider_params=request.provider_params,
            external_task_id=answer["data"]["taskId"],
            created_at=datetime.now(UTC),
        )

    found = []

    async def add(name: str, open_way: Callable[[str, GenerationTask], Any]) -> None:
        key = next(keys)
        async with open_way(key, await seen(key)) as way:
            found.append((name, await cost(way.create, CREATES), await cost(way.look, LOOKS)))

    def aio(*, kept: bool) -> Callable[[str, GenerationTask], Any]:
        return lambda key, task: bare_aiohttp(url, key, task.external_task_id or "", kept=kept)

    def httpx_on(*, aiohttp_transport: bool, kept: bool) -> Callable[[str, GenerationTask], Any]:
        def open_way(key: str, task: GenerationTask) -> Any:
            transport = AiohttpTransport(limits=limits, trust_env=False) if aiohttp_transport else None
            return through_httpx(url, key, task.external_task_id or "", transport=transport, kept=kept)

        return open_way

    await add("aiohttp alone, connections kept", aio(kept=True))
    await add("aiohttp alone, one connection each", aio(kept=False))
    await add("httpx on aiohttp, connections kept", httpx_on(aiohttp_transport=True, kept=True))
    await add("httpx, connections kept", httpx_on(aiohttp_transport=False, kept=True))
    await add("httpx, one connection each", httpx_on(aiohttp_transport=False, kept=False))
    await add("kiegen_nb's client, answers judged", lambda key, task: product(url, key, task))
    return found


def compare() -> list[tuple[str, float, float]]:
    """Measure every way against one sandbox."""
    with running_sandbox("--no-limits") as sandbox:
        return asyncio.run(measure(sandbox.url))
