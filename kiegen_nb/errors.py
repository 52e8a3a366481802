"""Every error a user can meet, in one tree. Each says what happened and what to do next.

::

    KiegenError
    ├── ConfigurationError            a setting is missing or unusable
    │   └── MissingKey                no API key, and the sandbox was forbidden
    ├── InvalidParams                 refused before anything was sent (also a ValueError)
    ├── ServiceError                  the service answered with an error, or did not answer
    │   ├── KeyRefused                401
    │   ├── OutOfCredits              402
    │   ├── NotFound                  404
    │   ├── RequestRefused            400, 422, 451 and 500 with a validation text
    │   │   └── ModelUnavailable      the model is unknown, gone or paused
    │   ├── RateLimited               429
    │   ├── KeyLimitReached           433, the sub-key's own cap
    │   ├── Maintenance               455, 505
    │   ├── ServiceUnavailable        5xx, time-outs, no connection
    │   ├── LookFailed                a look at an accepted task was answered with an error
    │   └── UnreadableAnswer          not an envelope: HTML, cut JSON, wrong types
    ├── TaskError                     carries the task
    │   ├── TaskFailed                the task ended without a result
    │   │   └── TaskUnconfirmed       sent, but no answer came back: it may have been charged
    │   └── TaskTimeout               still not finished (also a TimeoutError)
    ├── BudgetExceeded                a batch would cost more than it may, or nobody knows what
    ├── BatchFailed                   tasks of a batch ended without a result; carries them
    ├── BatchTimeout                  a batch is not finished yet (also a TimeoutError)
    ├── StoreError                    the task store
    │   ├── StoreTooNew               written by a newer version of this package
    │   └── StoreOnNetworkFolder      SQLite is not safe there
    ├── MediaError                    a result file could not be fetched or is not what it claims
    ├── UploadError                   a file cannot be uploaded, or not any more (also a ValueError)
    │   └── UploadCancelled           its upload was cancelled
    ├── SandboxError                  the local sandbox did not start
    ├── SessionClosed                 the session was closed
    └── WrongThread                   a blocking call on the engine's own thread
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kiegen_nb.tasks import GenerationTask


class KiegenError(Exception):
    """Base of every error of this package.

    Example:
        >>> try:  # doctest: +SKIP
        ...     task = session.submit(imagen4("a red kite")).result()
        ... except KiegenError as error:
        ...     print(error)
    """


class ConfigurationError(KiegenError):
    """A setting is missing or cannot be used; the message names it."""


class MissingKey(ConfigurationError):
    """No API key was found anywhere, and the sandbox was not allowed."""

    def __init__(self) -> None:
        super().__init__(
            "No Kie.ai API key was found. Set the environment variable KIE_API_KEY (or put it in a .env file "
            "beside the notebook), or call Session() without sandbox=False to try everything for free. "
            "Nothing was sent.",
        )


class InvalidParams(KiegenError, ValueError):
    """Parameters were refused before anything was sent, so nothing was charged.

    Attributes:
        fields: field name -> one sentence about it, in the order of the form.
    """

    def __init__(self, fields: Mapping[str, str], *, what: str = "These parameters") -> None:
        self.fields: dict[str, str] = dict(fields)
        lines = [f"{name}: {text}" if name else text for name, text in self.fields.items()]
        super().__init__(f"{what} cannot be sent (nothing was charged).\n  " + "\n  ".join(lines))

    def __reduce__(self) -> tuple[type[InvalidParams], tuple[dict[str, str]]]:
        return (type(self), (self.fields,))


class ServiceError(KiegenError):
    """The service answered with an error, or did not answer.

    Attributes:
        code: the envelope's ``code`` (or the HTTP status), None where there was no answer.
        message: the service's own words, as text.
        retryable: whether asking again later, unchanged, can help.
        retry_after: seconds the service asked to wait, None if it did not say.

    Example:
        >>> try:  # doctest: +SKIP
        ...     balance = session.credits()
        ... except ServiceError as error:
        ...     print(error.code, error.retryable)
    """

    retryable: ClassVar[bool] = False
    advice: ClassVar[str] = "Read the message; nothing was lost."

    def __init__(self, message: str, *, code: int | None = None, retry_after: float | None = None) -> None:
        self.code = code
        self.message = message
        self.retry_after = retry_after
        super().__init__(f"{self.said} {self.advice}")

    @property
    def said(self) -> str:
        """What happened, in one sentence, without the advice."""
        words = self.message.rstrip(". ")
        return f'Kie answered {self.code}: "{words}".' if self.code is not None else f"{words}."

    def __reduce__(self) -> tuple[partial[ServiceError], tuple[str]]:
        return (partial(type(self), code=self.code, retry_after=self.retry_after), (self.message,))


class KeyRefused(ServiceError):
    """401: the key is missing, wrong, revoked, or not allowed from this address."""

    advice = (
        "Nothing was charged for it. Check KIE_API_KEY (kie.ai, API keys; an IP allow list also answers this), "
        "then run the cell again."
    )


class OutOfCredits(ServiceError):
    """402: the account has too few credits."""

    advice = "Top up at kie.ai, then submit again; nothing was charged."


class NotFound(ServiceError):
    """404: no such endpoint or task."""

    advice = "Nothing was charged for it. Check the model, the task id and the base URL."


class RequestRefused(ServiceError):
    """400, 422, 451, or 500 with a validation text: this request is not accepted as it is."""

    advice = "Change what the message names and submit again; nothing was charged."


class ModelUnavailable(RequestRefused):
    """The model is unknown to the service, gone from its catalogue, or paused."""

    advice = "Choose another model; nothing was charged."


class RateLimited(ServiceError):
    """429: too many requests; the service dropped this one."""

    retryable = True
    advice = "Nothing was charged for it. It is repeated by itself after the window; there is nothing to do."


class KeyLimitReached(ServiceError):
    """433: the sub-key's own hourly, daily or total cap."""

    advice = "Raise the key's cap at kie.ai or use another key; nothing was charged."


class Maintenance(ServiceError):
    """455 or 505: maintenance, or a feature that is switched off."""

    retryable = True
    advice = "Try again later; nothing was charged."


class ServiceUnavailable(ServiceError):
    """5xx, a time-out, or no connection at all."""

    retryable = True
    advice = "Check the network and the service's status page. Tasks already accepted are not lost."


class LookFailed(ServiceError):
    """A look at an accepted task was answered with an error: the task itself is untouched."""

    retryable = True
    advice = "The task was accepted and is not lost; it is looked at again by itself."


class UnreadableAnswer(ServiceError):
    """The answer was not the documented envelope: HTML, cut JSON, wrong types."""

    retryable = True
    advice = "This is usually a proxy or an outage. Tasks already accepted are not lost."


SERVICE_ERRORS: dict[int, type[ServiceError]] = {
    400: RequestRefused,
    401: KeyRefused,
    402: OutOfCredits,
    404: NotFound,
    405: NotFound,
    408: ServiceUnavailable,
    422: RequestRefused,
    429: RateLimited,
    433: KeyLimitReached,
    451: RequestRefused,
    455: Maintenance,
    500: ServiceUnavailable,
    501: ServiceUnavailable,
    502: ServiceUnavailable,
    503: ServiceUnavailable,
    504: ServiceUnavailable,
    505: Maintenance,
    550: ServiceUnavailable,
}
"""The one table from an envelope code (or HTTP status) to its error class."""


def service_error(code: int, message: str, *, retry_after: float | None = None) -> ServiceError:
    """Return the error for an envelope code; unknown codes become `ServiceUnavailable` above 499."""
    kind = SERVICE_ERRORS.get(code, ServiceUnavailable if code >= 500 else RequestRefused)  # noqa: PLR2004 - HTTP
    return kind(message, code=code, retry_after=retry_after)


class TaskError(KiegenError):
    """An error about one task, which it carries as ``.task``.

    Example:
        >>> try:  # doctest: +SKIP
        ...     task = await handle
        ... except TaskError as error:
        ...     print(error.task.fail_code, error.task.fail_msg)
    """

    def __init__(self, task: GenerationTask, message: str) -> None:
        self.task = task
        super().__init__(message)

    def __reduce__(self) -> tuple[type[TaskError], tuple[GenerationTask, str]]:
        return (type(self), (self.task, str(self)))


class TaskFailed(TaskError):
    """The task ended without a result; ``.task.fail_code`` and ``.task.fail_msg`` say why."""


class TaskUnconfirmed(TaskFailed):
    """The request was sent and no usable answer came back: it may have been charged.

    The program never sends it again by itself; ``session.resubmit(task)`` does when you say so.
    """


class TaskTimeout(TaskError, TimeoutError):
    """The task has not finished: either this wait's time is over, or the task's own limit is."""


class BudgetExceeded(KiegenError):
    """A batch would pass its ``max_credits``, or the price of some of its items is not known; nothing was sent.

    Attributes:
        max_credits: what it may cost.
        needed: credits that the items of known price cost at most.
        unknown: the numbers of the items whose price is unknown.
    """

    def __init__(self, message: str, *, max_credits: float, needed: float, unknown: Sequence[int] = ()) -> None:
        self.max_credits = max_credits
        self.needed = needed
        self.unknown = tuple(unknown)
        super().__init__(message)

    def __reduce__(self) -> tuple[partial[BudgetExceeded], tuple[str]]:
        numbers = partial(type(self), max_credits=self.max_credits, needed=self.needed, unknown=self.unknown)
        return (numbers, (str(self),))


class BatchFailed(KiegenError):
    """Tasks of a batch ended without a result; the others are not touched by that.

    Attributes:
        tasks: those that failed, in the order of the plan.
    """

    def __init__(self, message: str, tasks: Sequence[GenerationTask]) -> None:
        self.tasks = tuple(tasks)
        super().__init__(message)

    def __reduce__(self) -> tuple[type[BatchFailed], tuple[str, tuple[GenerationTask, ...]]]:
        return (type(self), (str(self), self.tasks))


class BatchTimeout(KiegenError, TimeoutError):
    """A batch is not finished when a wait for it is over; it goes on."""


class StoreError(KiegenError):
    """The task store cannot be used."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of this package."""


class StoreOnNetworkFolder(StoreError):
    """SQLite's locks are not reliable on a network file system."""


class MediaError(KiegenError):
    """A result file could not be fetched, or is not what it claims to be."""


class UploadError(KiegenError, ValueError):
    """A file cannot be uploaded, or not any more; the message names it and says what to do."""


class UploadCancelled(UploadError):
    """The upload was cancelled; nothing of it is kept."""


class SandboxError(KiegenError):
    """The local sandbox could not be started."""


class SessionClosed(KiegenError):
    """The session was closed; tasks in the store are kept and continue with the next ``Session()``."""

    def __init__(
        self,
        message: str = "The session is closed; nothing was sent, every task is kept. Make a new one with Session().",
    ) -> None:
        super().__init__(message)


class WrongThread(KiegenError, RuntimeError):
    """A blocking call on the engine's own thread would wait for itself for ever."""
