"""The HTTP client for Kie: sends each create exactly once, and the key to the configured hosts only."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpx

from kiegen_nb import __version__
from kiegen_nb.errors import ModelUnavailable, NotFound
from kiegen_nb.kie import wire
from kiegen_nb.kie.models import file_rules, params_class, read_params
from kiegen_nb.kie.models.base import IMAGE_TIME_LIMIT, KieParams
from kiegen_nb.kie.roads import JOBS, ROADS, question_about, road_of
from kiegen_nb.kie.uploading import UploadHost
from kiegen_nb.service import Outcome, OutcomeKind, Request, addresses_in
from kiegen_nb.settings import certificates, is_loopback, upload_host
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from pydantic import SecretStr

    from kiegen_nb.service import Content, FileRule, Uploaded
    from kiegen_nb.tasks import GenerationTask

# Kie's result hosts turn away clients that do not look like a browser at all.
USER_AGENT = f"Mozilla/5.0 (compatible; kiegen_nb/{__version__})"
_HEADERS = {"User-Agent": USER_AGENT, "Accept": "application/json"}
SANDBOX_HEADER = "x-kiegen-sandbox"
LEAST_SECRET = 12  # characters; a shorter text is no key of Kie's, and may be a word
MAX_CONNECTIONS = 16  # more only stalls the loop
_ENCODINGS = {"Accept-Encoding": "gzip, deflate"}
_CREATE_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_LOOK_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_LOOK_EXTENSIONS = {"timeout": _LOOK_TIMEOUT.as_dict()}


class KieClient:
    """Kie as a `kiegen_nb.service.Service`.

    Args:
        api_key: the account's key; it is sent as a Bearer header to ``base_url`` and the upload host, nowhere else.
        base_url: the jobs API, such as ``https://api.kie.ai``.
        upload_url: the upload host; None takes the one that belongs to ``base_url``.
        account: overrides the account's name, which is host and a short hash of the key.
        transport: replaces the network; the seam for tests.
    """

    def __init__(
        self,
        api_key: SecretStr,
        base_url: str,
        *,
        upload_url: str | None = None,
        account: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._key = api_key
        self._base_url = base_url.rstrip("/")
        self.account = account or account_name(api_key, base_url)
        self.is_sandbox = False
        self.is_local = is_loopback(base_url)
        # A create on a kept-alive connection that the server is just closing would be UNCONFIRMED for no reason,
        # so each create opens its own. Looks share theirs.
        self._creates = self._client(transport, httpx.Limits(max_keepalive_connections=0), _CREATE_TIMEOUT)
        looks = transport or _look_transport(trust_env=not self.is_local)
        self._looks = self._client(looks, httpx.Limits(max_connections=MAX_CONNECTIONS), _LOOK_TIMEOUT)
        self._direct = looks  # None where a proxy has to be found for each address
        self._uploads = UploadHost(
            api_key,
            upload_host(base_url, upload_url),
            headers=_HEADERS,
            without_key=partial(_without, api_key),
            transport=transport,
        )
        self._meanings: Callable[[Collection[str]], Mapping[str, str]] = lambda _: {}

    def __repr__(self) -> str:
        return f"KieClient({self._base_url})"

    def prepare(self, params: object) -> Request:
        """Validate parameters (a model or its JSON) into a request.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        checked = read_params(params)
        body = checked.wire()
        addresses = addresses_in(body)
        meanings = self._meanings(addresses) if addresses else {}
        return Request(
            service="KIE",
            model=checked.model,
            api_model=checked.api_model,
            provider_params=checked.to_json(),
            identity=checked.identity(meanings),
            body=body,
            road=checked.road,
        )

    def recognise(self, meanings: Callable[[Collection[str]], Mapping[str, str]]) -> None:
        """Take a function that says what uploads' addresses stand for, so that an identity leaves renewals out."""
        self._meanings = meanings

    def file_rules(self, model: object) -> tuple[FileRule, ...] | None:
        """Return which files a model takes: none if it is empty, any if it is None.

        Raises:
            InvalidParams: there is no such model.
        """
        return file_rules(model)

    def use_upload_url(self, upload_url: str | None) -> None:
        """Send files to another host from now on; None takes the one that belongs to the jobs API."""
        self._uploads.url = upload_host(self._base_url, upload_url)

    def serves(self, url: str) -> bool:
        """Whether an uploaded file's address can still be right."""
        return self._uploads.serves(url)

    async def upload(self, content: Content, now: Callable[[], datetime]) -> Uploaded:
        """Send a file once.

        Raises:
            KiegenError: with the reason.
        """
        return await self._uploads.send(content, now)

    async def upload_from(self, url: str, now: Callable[[], datetime]) -> Uploaded:
        """Have Kie fetch a file from an address.

        Raises:
            KiegenError: with the reason.
        """
        return await self._uploads.send_url(url, now)

    async def create(self, request: Request) -> Outcome:
        """Send one create, exactly once; network and service failures come back as outcomes."""
        road = ROADS[request.road]
        if road.create is None:
            # Nothing is created there: asking is all, under the id of the finished task.
            return Outcome(OutcomeKind.ACCEPTED, external_task_id=str(request.body["taskId"]))
        try:
            response = await self._send(self._creates, "POST", road.create, body=request.body)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return wire.not_sent(wire.connection_error(error))
        except httpx.HTTPError as error:
            return wire.unconfirmed(wire.connection_error(error))
        return _named(road.read_create(response, request.body), request)

    async def look(self, task: GenerationTask) -> Outcome:
        """Ask once for an accepted task's state; network and service failures come back as outcomes."""
        question = question_about(task)
        try:
            response = await self._send(
                self._looks, question.method, question.path, query=question.query, body=question.body
            )
        except Exception as error:  # noqa: BLE001 - whatever a connection throws, one bad look is all it is
            return wire.unclear(wire.connection_error(error))
        family = params_class(task.model, task.api_model)
        return question.read(response, family.kind_of(task.api_model) if family else AssetKind.FILE)

    def time_limit(self, task: GenerationTask) -> float:
        """Return the seconds of answered "running" after which the engine gives up looking."""
        family = params_class(task.model, task.api_model)
        return family.time_limit_of(task.api_model) if family else IMAGE_TIME_LIMIT

    def usual_time(self, task: GenerationTask) -> tuple[float, float]:
        """Return a first guess at how long such a task takes: two numbers of seconds, most lie between them."""
        return (params_class(task.model, task.api_model) or KieParams).usual_time_of(task.api_model)

    def look_interval(self, task: GenerationTask, default: float) -> float:
        """Return the seconds between two looks: the default, or more where Kie asks for it."""
        return max(default, road_of(task).interval or 0.0)

    async def fresh_url(self, task: GenerationTask, url: str) -> str | None:
        """Return a link to a result that works for 20 minutes, None if Kie gives none."""
        del task  # every road's results have the same way; Kie tells by the address
        try:
            response = await self._send(self._looks, "POST", "/api/v1/common/download-url", body={"url": url})
            return wire.read_link(response)
        except Exception:  # noqa: BLE001 - as for a look; without a link the old address's own trouble is told
            return None

    async def credits(self) -> float:
        """Return the account's balance in credits.

        Raises:
            ServiceError: with the reason.
        """
        try:
            response = await self._send(self._looks, "GET", "/api/v1/chat/credit")
        except httpx.HTTPError as error:
            raise wire.connection_error(error) from None
        return wire.read_credits(response)

    async def get(self, path: str) -> object:
        """Return the ``data`` of one of the service's own pages, such as ``/api/v1/models``.

        Raises:
            ServiceError: with the reason.
        """
        try:
            response = await self._send(self._looks, "GET", path)
        except Exception as error:  # noqa: BLE001 - as for a look
            raise wire.connection_error(error) from None
        return wire.read_data(response)

    async def close(self) -> None:
        """Release connections."""
        await self._creates.aclose()
        await self._looks.aclose()
        await self._uploads.close()

    def _client(
        self,
        transport: httpx.AsyncBaseTransport | None,
        limits: httpx.Limits,
        timeout: httpx.Timeout,
    ) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=transport,
            limits=limits,
            timeout=timeout,
            headers=_HEADERS,
            follow_redirects=False,  # the key must not follow one
            verify=certificates(trust_env=not self.is_local),
            trust_env=not self.is_local,  # a proxy has no business between us and this machine
        )

    async def _send(
        self,
        client: httpx.AsyncClient,
        method: str,
        path: str,
        *,
        body: dict[str, object] | None = None,
        query: dict[str, str] | None = None,
    ) -> httpx.Response:
        url, key = f"{self._base_url}{path}", {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        if client is self._looks and self._direct is not None:
            request = httpx.Request(
                method, url, params=query, json=body, headers=_HEADERS | _ENCODINGS | key, extensions=_LOOK_EXTENSIONS
            )
            response = await _exchange(self._direct, request)
        else:
            response = await client.request(method, url, json=body, params=query, headers=key)
        self.is_sandbox = SANDBOX_HEADER in response.headers
        return _without(self._key, response)


async def _exchange(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    """Send one request and read the answer, without what a look has no use for: cookies, redirects, authentication.

    They are half of a client's CPU time, and looks are most of all requests.
    """
    response = await transport.handle_async_request(request)
    response.request = request
    try:
        await response.aread()
    finally:
        await response.aclose()
    return response


def _without(key: SecretStr, response: httpx.Response) -> httpx.Response:
    """Return an answer that does not repeat the key: its words end up in logs, in the store and on cards."""
    secret = key.get_secret_value().encode()
    if len(secret) < LEAST_SECRET or secret not in response.content:
        return response
    kept = [(name, value) for name, value in response.headers.items() if name in {"content-type", "retry-after"}]
    content = response.content.replace(secret, b"***")
    return httpx.Response(response.status_code, headers=kept, content=content, request=response.request)


def _named(outcome: Outcome, request: Request) -> Outcome:
    """Have a refusal that is about the model itself name it, and say what is known of it."""
    gone = isinstance(outcome.error, ModelUnavailable)
    gone = gone or (request.road != JOBS and isinstance(outcome.error, NotFound))
    if outcome.kind is not OutcomeKind.REFUSED or not gone:
        return outcome
    family = params_class(request.model, request.api_model)
    title = family.title if family is not None else request.model
    name = title if title == request.api_model else f"{title} ({request.api_model})"
    note = f" {family.status_note}" if family is not None and family.status_note else ""
    return replace(outcome, message=f"Kie does not offer {name} at present.{note} {outcome.message}")


def account_name(api_key: SecretStr, base_url: str) -> str:
    """Return service host and a short hash of the key, the name rows are kept under."""
    digest = hashlib.sha256(api_key.get_secret_value().encode()).hexdigest()[:12]
    return f"{urlsplit(base_url).netloc}:{digest}"


def _look_transport(*, trust_env: bool) -> httpx.AsyncBaseTransport | None:
    # aiohttp needs a sixth of the CPU time per look. It is for looks only: it reports a dropped connection as one
    # that was never made, which a create must not believe. Where a proxy is configured httpx's own transport stays.
    if trust_env and getproxies():
        return None
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415 - aiohttp is slow to import

    return AiohttpTransport(
        verify=certificates(trust_env=trust_env),
        limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        trust_env=False,
    )
