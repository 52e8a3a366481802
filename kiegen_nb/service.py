"""What the engine asks of a generation service, and the words it is answered in.

The engine knows nothing of any service's wire format: it prepares, creates and looks through this protocol
and sorts what comes back by `OutcomeKind` alone. ``kie.client`` is the first implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
    from datetime import datetime

    from kiegen_nb.errors import ServiceError
    from kiegen_nb.tasks import AssetKind, GenerationTask


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent as often as the engine decides (which is once).

    Attributes:
        service: ``"KIE"``.
        model: the family.
        api_model: the service's slug.
        provider_params: the JSON form the user sees and the store keeps.
        identity: hex sha256 of the canonical wire input; equal requests have equal identities.
        body: what is sent.
        road: the service's own name of the endpoint it is sent to.
    """

    service: str
    model: str
    api_model: str
    provider_params: dict[str, Any]
    identity: str
    body: dict[str, Any]
    road: str = "jobs"


class OutcomeKind(Enum):
    """What an answer means for the task. The first four answer a create, the others a look."""

    ACCEPTED = "accepted"
    """The service took it and gave it an id."""
    REFUSED = "refused"
    """The service said no before taking it; nothing was charged."""
    NOT_SENT = "not sent"
    """It certainly did not arrive (429, no connection): safe to send again."""
    UNCONFIRMED = "unconfirmed"
    """It may have arrived: never to be sent again by the program."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNCLEAR = "unclear"
    """A bad look: the task itself is untouched, look again later."""
    DENIED = "denied"
    """The key is not accepted: looking again with it cannot help."""


@dataclass(frozen=True, slots=True)
class Result:
    """One result the service offers: a URL, or data that came inside the answer."""

    kind: AssetKind
    url: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One answer of the service, in the engine's words.

    Attributes:
        kind: what it means.
        external_task_id: with ACCEPTED.
        state: the service's own word, with answers to a look.
        results: with SUCCEEDED.
        result_json: the service's text of them.
        code: the service's code of a failure, as text.
        error: the reason, with REFUSED, NOT_SENT, UNCONFIRMED, UNCLEAR and DENIED.
        message: one or two sentences about a failure, ready to be shown.
        credits_consumed: what it cost, where the service says so.
        retry_after: seconds to wait before the next try, where the service says so.
        took: seconds from the request to the result, where the service says so.
        is_about_task: with UNCLEAR, whether the service did answer, only that it has no such task (yet).
    """

    kind: OutcomeKind
    external_task_id: str | None = None
    state: str | None = None
    results: tuple[Result, ...] = ()
    result_json: str | None = None
    code: str | None = None
    error: ServiceError | None = None
    message: str = ""
    credits_consumed: float | None = None
    retry_after: float | None = None
    took: float | None = None
    is_about_task: bool = False


@dataclass(frozen=True, slots=True)
class FileRule:
    """What one field of a model takes.

    Attributes:
        kind: image, video or audio.
        endings: the formats by their usual endings, such as ``png``; empty if any will do.
        most_bytes: the size limit, None if none is known.
        seconds: the shortest and the longest duration, None if none are known.
    """

    kind: AssetKind
    endings: tuple[str, ...] = ()
    most_bytes: int | None = None
    seconds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A file on its way to the service.

    Attributes:
        name: what it is called there; one name for ever stands for the same bytes.
        mime: its media type.
        size: bytes.
        chunks: gives the bytes from the beginning, as often as it is called.
    """

    name: str
    mime: str
    size: int
    chunks: Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The service's answer to an upload.

    Attributes:
        url: where the file is now.
        expires_at: when it dies, UTC.
        is_assumed: whether the service did not say so.
        mime: what the service takes it for, None if it did not say.
        size: bytes, None if it did not say.
    """

    url: str
    expires_at: datetime
    is_assumed: bool
    mime: str | None = None
    size: int | None = None


class Service(Protocol):
    """A generation service as the engine sees it. All calls run on the engine's loop."""

    @property
    def account(self) -> str:
        """Service host and a short hash of the key; rows, limits and leases never cross accounts."""

    @property
    def is_sandbox(self) -> bool:
        """Whether the last answer came from a sandbox."""

    @property
    def is_local(self) -> bool:
        """Whether the service itself runs on this machine, so its result URLs may be local too."""

    def prepare(self, params: object) -> Request:
        """Validate parameters (a model or its JSON) into a request.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """

    async def create(self, request: Request) -> Outcome:
        """Send one create, exactly once; never raises for what the network or the service does."""

    async def look(self, task: GenerationTask) -> Outcome:
        """Ask once for an accepted task's state; never raises for what the network or the service does."""

    def time_limit(self, task: GenerationTask) -> float:
        """Return the seconds of answered "running" after which the engine gives up looking."""

    def look_interval(self, task: GenerationTask, default: float) -> float:
        """Return the seconds between two looks: the default, or more where the service asks for it."""

    def usual_time(self, task: GenerationTask) -> tuple[float, float]:
        """Return a first guess at how long such a task takes: two numbers of seconds, most lie between them."""

    async def fresh_url(self, task: GenerationTask, url: str) -> str | None:
        """Return a new link to a task's result whose own died, None if there is none.

        Never raises for what the network or the service does.
        """

    def recognise(self, meanings: Callable[[Collection[str]], Mapping[str, str]]) -> None:
        """Take a function that says what addresses stand for, so that `prepare` can leave their renewal out.

        Args:
            meanings: called on `prepare`'s thread; address -> what it stands for, of those that are uploads.
        """

    def file_rules(self, model: object) -> tuple[FileRule, ...] | None:
        """Return which files a model takes: none if it is empty, any if it is None.

        Args:
            model: the service's name of it, or the class of its parameters.

        Raises:
            InvalidParams: there is no such model.
        """

    def serves(self, url: str) -> bool:
        """Whether an uploaded file's address can still be right; a local service moves from port to port."""

    async def upload(self, content: Content, now: Callable[[], datetime]) -> Uploaded:
        """Send a file once.

        Args:
            content: the file.
            now: tells the time, UTC.

        Raises:
            KiegenError: with the reason; ``retryable`` says whether sending it again can help.
        """

    async def upload_from(self, url: str, now: Callable[[], datetime]) -> Uploaded:
        """Have the service fetch a file from an address.

        Raises:
            KiegenError: as for `upload`.
        """

    async def credits(self) -> float:
        """Return the account's balance in credits.

        Raises:
            ServiceError: with the reason.
        """

    async def close(self) -> None:
        """Release connections."""


def addresses_in(data: object) -> set[str]:
    """Return every http(s) address that stands alone as a text in a request, however deep."""
    return {text for text in _texts(data) if text.startswith(("http://", "https://"))}


def with_addresses(data: Any, changes: Mapping[str, str]) -> Any:
    """Return a copy of a request in which some addresses stand for others; the rest is the same."""
    if isinstance(data, str):
        return changes.get(data, data)
    if isinstance(data, dict):
        return {name: with_addresses(value, changes) for name, value in data.items()}
    return [with_addresses(value, changes) for value in data] if isinstance(data, list | tuple) else data


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list | tuple):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _texts(value)
