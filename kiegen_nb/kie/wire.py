"""The one reader of Kie's answers: ``code``, ``msg`` and what a record says are known here and nowhere else.

The HTTP status is not to be trusted: the body's ``code`` decides, and HTTP 200 with an error inside is normal.
What is inside a record is read in `kiegen_nb.kie.records`.
Source: the jobs API's public documentation, as of 2026-10; where copies disagree, both forms are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import (
    LookFailed,
    ModelUnavailable,
    NotFound,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    UnreadableAnswer,
    service_error,
)
from kiegen_nb.kie import records
from kiegen_nb.kie.records import FINAL_SUCCESS, OK, number
from kiegen_nb.service import Outcome, OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from kiegen_nb.tasks import AssetKind

RATE_LIMITED = 429
REJECTED_BY_TEXT = 500
"""The code of a server error, and of a wrong field: only the text tells them apart."""
KEY_REFUSED = 401
NO_SUCH_PATH = 404
GENERATION_FAILED = 501
"""The envelope's code that may stand beside a record whose own state says the same."""
STATE_FIELDS = frozenset({"state", "successFlag"})
TASK_CODES = frozenset({404, 422, GENERATION_FAILED})
"""Codes of a look that speak of the task: it is not known, not known yet, or failed without a record that says so."""
REFUSED_CODES = frozenset({400, 401, 402, 404, 422, 433, 455})
"""Codes of a create that was turned down before a task existed; nothing is charged."""
FINAL_CODES = frozenset({400, 402, 404, 422, 451})
"""Codes that end the asking for a better copy of a video, unless the text says that it is still being made."""

VALIDATION_PATTERNS = (
    re.compile(r"not within the range of allowed options", re.IGNORECASE),
    re.compile(r"must be within the specified range", re.IGNORECASE),
    re.compile(r"text length cannot exceed", re.IGNORECASE),
    re.compile(r"\b(?:is|are) required\b", re.IGNORECASE),
    re.compile(r"\bcannot be empty\b", re.IGNORECASE),
    re.compile(r"\bplease (?:fill in|enter)\b", re.IGNORECASE),
    re.compile(r"\btemporarily paused\b", re.IGNORECASE),
)
"""Texts of a code 500 that is a plain rejection of the parameters."""

MODEL_PATTERNS = (
    re.compile(r"model name you specified is not supported", re.IGNORECASE),
    re.compile(r"page does not exist or is not published", re.IGNORECASE),
    re.compile(r"temporarily paused", re.IGNORECASE),
)

STILL_MADE = re.compile(r"\bis processing\b|\bcheck back\b|\bstill (?:being )?process", re.IGNORECASE)
"""Texts of an error that means "not yet"."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One parsed answer: ``{code, msg, data}``."""

    code: int
    message: str
    data: Any
    retry_after: float | None


def read_envelope(response: httpx.Response) -> Envelope:
    """Parse an answer.

    Raises:
        UnreadableAnswer: if it is no envelope; its ``code`` is the HTTP status.
    """
    retry_after = _retry_after(response)
    body = _body(response)
    code = body.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        kind = response.headers.get("content-type", "no content type").split(";")[0]
        raise UnreadableAnswer(
            f"HTTP {response.status_code} with {kind} instead of an answer",
            code=response.status_code,
            retry_after=retry_after,
        )
    message = body.get("msg") or body.get("message") or ""
    return Envelope(code, str(message), body.get("data"), retry_after)


def error_of(envelope: Envelope) -> ServiceError:
    """Return the error an envelope with another code than 200 stands for."""
    code, message = envelope.code, envelope.message
    if any(pattern.search(message) for pattern in MODEL_PATTERNS):
        return ModelUnavailable(message, code=code)
    if code == REJECTED_BY_TEXT and _is_validation(message):
        return RequestRefused(message, code=code)
    return service_error(code, message, retry_after=envelope.retry_after)


def read_create(response: httpx.Response, sent: Mapping[str, Any] | None = None) -> Outcome:
    """Sort the answer to a create into ACCEPTED, REFUSED, NOT_SENT (429) or UNCONFIRMED.

    Args:
        response: the answer.
        sent: the body that was sent; this reader has no need of it.
    """
    del sent
    try:
        envelope = read_envelope(response)
    except UnreadableAnswer as unreadable:
        if response.status_code == RATE_LIMITED:
            return not_sent(RateLimited("too many requests", code=RATE_LIMITED, retry_after=unreadable.retry_after))
        if _has_no_such_path(response):
            return refused(NotFound("Kie has no such endpoint (any more)", code=NO_SUCH_PATH))
        return unconfirmed(unreadable)
    if envelope.code == OK:
        task_id = _task_id(envelope.data)
        if task_id:
            return Outcome(OutcomeKind.ACCEPTED, external_task_id=task_id)
        return unconfirmed(UnreadableAnswer("success without a task id", code=OK))
    error = error_of(envelope)
    if envelope.code == RATE_LIMITED:
        return not_sent(error)
    rejected = envelope.code == REJECTED_BY_TEXT and isinstance(error, RequestRefused)
    if envelope.code in REFUSED_CODES or rejected:
        return refused(error)
    return unconfirmed(error)


def read_4k_create(response: httpx.Response, sent: Mapping[str, Any] | None = None) -> Outcome:
    """Sort the answer to a request for a 4K copy; a repeated one is told in an error that the copy is there.

    Args:
        response: the answer.
        sent: the body that was sent; its ``taskId`` is the video's, and the copy's where it gets none of its own.
    """
    try:
        envelope = read_envelope(response)
    except UnreadableAnswer:
        return read_create(response)
    # What counts is whether there is a copy in the making; its state is for a look to say.
    if _copy_state(envelope) is not None:
        task_id = _task_id(envelope.data) or _task_id(sent)
        if task_id:
            return Outcome(OutcomeKind.ACCEPTED, external_task_id=task_id)
    return read_create(response)


def read_look(
    response: httpx.Response,
    expected: AssetKind,
    read_record: Callable[[Mapping[str, Any], AssetKind], Outcome] = records.read_jobs,
) -> Outcome:
    """Sort the answer to a look into RUNNING, SUCCEEDED, FAILED, UNCLEAR or DENIED.

    Args:
        response: the answer.
        expected: what a result is where its URL's ending does not tell.
        read_record: reads the record inside.
    """
    try:
        envelope = read_envelope(response)
        record = envelope.data
        told = envelope.code == GENERATION_FAILED and isinstance(record, dict) and bool(STATE_FIELDS & record.keys())
        if envelope.code != OK and not told:
            return _bad_look(envelope)
        if not isinstance(record, dict):
            return replace(unclear(UnreadableAnswer("the record is not there yet", code=OK)), is_about_task=True)
        return read_record(record, expected)
    except UnreadableAnswer as error:
        return unclear(error)


def read_veo_look(response: httpx.Response, expected: AssetKind) -> Outcome:
    """Sort the answer of ``/veo/record-info``."""
    return read_look(response, expected, records.read_veo)


def read_midjourney_look(response: httpx.Response, expected: AssetKind) -> Outcome:
    """Sort the answer of ``/mj/record-info``."""
    return read_look(response, expected, records.read_midjourney)


def read_copy_look(response: httpx.Response, expected: AssetKind) -> Outcome:
    """Sort the answer of ``/veo/get-1080p-video``, or of a repeated ``/veo/get-4k-video``."""
    try:
        envelope = read_envelope(response)
    except UnreadableAnswer as error:
        return unclear(error)
    match _copy_state(envelope):
        case "success":
            text = json.dumps(envelope.data, ensure_ascii=False)
            results = records.results_of(envelope.data, expected)
            return Outcome(OutcomeKind.SUCCEEDED, state=FINAL_SUCCESS, results=results, result_json=text)
        case str(word):
            return Outcome(OutcomeKind.RUNNING, state=word)
        case _ if envelope.code in FINAL_CODES:
            return records.failed(envelope.code, envelope.message)
        case _ if envelope.code == OK:
            return unclear(UnreadableAnswer("the copy is not there yet", code=OK))
        case _:
            return _bad_look(envelope)


def read_data(response: httpx.Response) -> object:
    """Return the ``data`` of an answer.

    Raises:
        ServiceError: with the reason.
    """
    envelope = read_envelope(response)
    if envelope.code != OK:
        raise error_of(envelope)
    return envelope.data


def read_credits(response: httpx.Response) -> float:
    """Return the balance in credits.

    Raises:
        ServiceError: with the reason.
    """
    balance = number(read_data(response))
    if balance is None:
        raise UnreadableAnswer("the balance is not a number", code=OK)
    return balance


def read_link(response: httpx.Response) -> str:
    """Return the link to a result file, which is all there is in ``data``.

    Raises:
        ServiceError: with the reason; 422 for an address Kie does not know as a result of its own.
    """
    link = read_data(response)
    if not isinstance(link, str) or not link.startswith(("http://", "https://")):
        raise UnreadableAnswer("the link is not an address", code=OK)
    return link


def refused(error: ServiceError) -> Outcome:
    """Return the outcome of a create that was turned down."""
    return Outcome(OutcomeKind.REFUSED, code=str(error.code), error=error, message=str(error))


def not_sent(error: ServiceError) -> Outcome:
    """Return the outcome of a create that certainly made no task and may be repeated."""
    return Outcome(OutcomeKind.NOT_SENT, error=error, retry_after=error.retry_after)


def unconfirmed(error: ServiceError) -> Outcome:
    """Return the outcome of a create that may have made a task: it is never repeated by the program."""
    return Outcome(OutcomeKind.UNCONFIRMED, error=error, code=None if error.code is None else str(error.code))


def unclear(error: ServiceError) -> Outcome:
    """Return the outcome of a look that told nothing about the task."""
    return Outcome(OutcomeKind.UNCLEAR, error=error, retry_after=error.retry_after)


def connection_error(error: Exception) -> ServiceUnavailable:
    """Return what a network failure is called; the text names no address, for it may hold secrets."""
    return ServiceUnavailable(f"Kie could not be reached ({type(error).__name__})")


def _bad_look(envelope: Envelope) -> Outcome:
    error = error_of(envelope)
    if envelope.code == KEY_REFUSED:
        return Outcome(OutcomeKind.DENIED, code=str(envelope.code), error=error)
    if not error.retryable:
        # What helps a request that was refused would have people pay for this one again.
        error = LookFailed(envelope.message, code=envelope.code, retry_after=envelope.retry_after)
    return replace(unclear(error), is_about_task=envelope.code in TASK_CODES)


def _copy_state(envelope: Envelope) -> str | None:
    """Return the state of a better copy of a video, None if the answer is an error like any other."""
    data = envelope.data if isinstance(envelope.data, dict) else {}
    if any(isinstance(data.get(name), str | list) and data[name] for name in ("resultUrl", "resultUrls")):
        return FINAL_SUCCESS
    if STILL_MADE.search(envelope.message):
        return records.RUNNING
    return records.RUNNING if envelope.code == OK and _task_id(data) else None


def _task_id(data: Any) -> str | None:
    found = data.get("taskId") if isinstance(data, dict) else None
    return found if isinstance(found, str) and found else None


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _has_no_such_path(response: httpx.Response) -> bool:
    # The framework's own page for an unknown path: nothing of the API was reached, so nothing was made.
    body = _body(response)
    return response.status_code == NO_SUCH_PATH and body.get("status") == NO_SUCH_PATH and "path" in body


def _is_validation(message: str) -> bool:
    return any(pattern.search(message) for pattern in VALIDATION_PATTERNS)


def _retry_after(response: httpx.Response) -> float | None:
    # Only the numeric form: nothing documents this header at all.
    value = response.headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None
