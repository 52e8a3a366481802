"""What the engine asks of a generation service, and the words it is answered in.

The engine knows nothing of any service's wire format: it prepares, creates and looks through this protocol
and sorts what comes back by `OutcomeKind` alone. ``kie.client`` is the first implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
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

    async def credits(self) -> float:
        """Return the account's balance in credits.

        Raises:
            ServiceError: with the reason.
        """

    async def close(self) -> None:
        """Release connections."""
