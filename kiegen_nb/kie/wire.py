"""The one reader of Kie's answers: ``code``, ``msg``, ``state`` and ``resultJson`` are known here and nowhere else.

The HTTP status is not to be trusted: the body's ``code`` decides, and HTTP 200 with an error inside is normal.
Source: the jobs API's public documentation, as of 2026-10; where copies disagree, both forms are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kiegen_nb.errors import (
    ModelUnavailable,
    RateLimited,
    RequestRefused,
    ServiceError,
    ServiceUnavailable,
    UnreadableAnswer,
    service_error,
)
from kiegen_nb.service import Outcome, OutcomeKind, Result
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    import httpx

OK = 200
RATE_LIMITED = 429
KEY_REFUSED = 401
REFUSED_CODES = frozenset({400, 401, 402, 404, 422, 433, 455})
"""Codes of a create that was turned down before a task existed; nothing is charged."""

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

FINAL_SUCCESS, FINAL_FAILURE = "success", "fail"

_EXTENSIONS: dict[str, AssetKind] = (
    dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tiff"), AssetKind.IMAGE)
    | dict.fromkeys(("mp4", "webm", "mov", "m4v", "mkv", "avi"), AssetKind.VIDEO)
    | dict.fromkeys(("mp3", "wav", "m4a", "flac", "ogg", "opus", "aac", "mid", "midi"), AssetKind.AUDIO)
    | dict.fromkeys(("txt", "srt", "vtt", "md"), AssetKind.TEXT)
)


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
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        body = None
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(code, int) or isinstance(code, bool):
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
    if code == 500 and _is_validation(message):  # noqa: PLR2004 - the code Kie uses for a wrong field
        return RequestRefused(message, code=code)
    return service_error(code, message, retry_after=envelope.retry_after)


def read_create(response: httpx.Response) -> Outcome:
    """Sort the answer to a create into ACCEPTED, REFUSED, NOT_SENT (429) or UNCONFIRMED."""
    try:
        envelope = read_envelope(response)
    except UnreadableAnswer as unreadable:
        if response.status_code == RATE_LIMITED:
            return not_sent(RateLimited("too many requests", code=RATE_LIMITED, retry_after=unreadable.retry_after))
        return unconfirmed(unreadable)
    if envelope.code == OK:
        data = envelope.data if isinstance(envelope.data, dict) else {}
        task_id = data.get("taskId")
        if isinstance(task_id, str) and task_id:
            return Outcome(OutcomeKind.ACCEPTED, external_task_id=task_id)
        return unconfirmed(UnreadableAnswer("success without a task id", code=OK))
    error = error_of(envelope)
    if envelope.code == RATE_LIMITED:
        return not_sent(error)
    if envelope.code in REFUSED_CODES or isinstance(error, RequestRefused):
        return Outcome(OutcomeKind.REFUSED, code=str(envelope.code), error=error, message=str(error))
    return unconfirmed(error)


def read_look(response: httpx.Response, expected: AssetKind) -> Outcome:
    """Sort the answer to a look into RUNNING, SUCCEEDED, FAILED, UNCLEAR or DENIED.

    Args:
        response: the answer.
        expected: what a result is where its URL's ending does not tell.
    """
    try:
        envelope = read_envelope(response)
    except UnreadableAnswer as error:
        return unclear(error)
    if envelope.code == KEY_REFUSED:
        return Outcome(OutcomeKind.DENIED, code=str(envelope.code), error=error_of(envelope))
    if envelope.code != OK:
        return unclear(error_of(envelope))
    if not isinstance(envelope.data, dict):
        return unclear(UnreadableAnswer("the record is not there yet", code=OK))
    return _read_record(envelope.data, expected)


def read_credits(response: httpx.Response) -> float:
    """Return the balance in credits.

    Raises:
        ServiceError: with the reason.
    """
    envelope = read_envelope(response)
    if envelope.code != OK:
        raise error_of(envelope)
    balance = _number(envelope.data)
    if balance is None:
        raise UnreadableAnswer("the balance is not a number", code=OK)
    return balance


def not_sent(error: ServiceError) -> Outcome:
    """Return the outcome of a create that certainly made no task and may be repeated."""
    return Outcome(OutcomeKind.NOT_SENT, error=error, retry_after=error.retry_after)


def unconfirmed(error: ServiceError) -> Outcome:
    """Return the outcome of a create that may have made a task: it is never repeated by the program."""
    return Outcome(OutcomeKind.UNCONFIRMED, error=error, code=None if error.code is None else str(error.code))


def unclear(error: ServiceError) -> Outcome:
    """Return the outcome of a look that told nothing about the task."""
    return Outcome(OutcomeKind.UNCLEAR, error=error, retry_after=error.retry_after)


def _read_record(data: dict[str, Any], expected: AssetKind) -> Outcome:
    state = data.get("state")
    if not isinstance(state, str) or not state:
        return unclear(UnreadableAnswer("the record has no state", code=OK))
    credits_consumed = _number(data.get("creditsConsumed"))
    if state == FINAL_SUCCESS:
        text, result = _result_of(data)
        return Outcome(
            OutcomeKind.SUCCEEDED,
            state=state,
            results=_results(result, expected),
            result_json=text,
            credits_consumed=credits_consumed,
        )
    if state == FINAL_FAILURE:
        code = str(data.get("failCode") or "")
        said = str(data.get("failMsg") or "no reason given").rstrip(". ")
        advice = "Change what it names and generate again; failed tasks are not charged."
        return Outcome(
            OutcomeKind.FAILED,
            state=state,
            code=code,
            message=f'Kie could not make this: "{said}". {advice}',
            credits_consumed=credits_consumed,
        )
    # waiting, queuing, generating - or a word nobody has documented, which is shown and waited out.
    return Outcome(OutcomeKind.RUNNING, state=state)


def _result_of(data: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    # resultJson is JSON text; response, its parsed twin, is newer and not always there.
    text = data.get("resultJson")
    if isinstance(text, str) and text:
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            return text, parsed
    for twin in (text, data.get("response")):
        if isinstance(twin, dict):
            return json.dumps(twin, ensure_ascii=False), twin
    return (text if isinstance(text, str) else None), {}


def _results(result: dict[str, Any], expected: AssetKind) -> tuple[Result, ...]:
    urls = [url for name in ("resultUrls", "firstFrameUrl", "lastFrameUrl") for url in _url_list(result.get(name))]
    found = [Result(_kind_of(url, expected), url=url) for url in urls]
    if "resultObject" in result:
        found.append(Result(AssetKind.DATA, data=result["resultObject"]))
    return tuple(found)


def _url_list(value: Any) -> list[str]:
    # A list is documented; one string, or a list inside a string, has been seen in copies of the pages.
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def _kind_of(url: str, expected: AssetKind) -> AssetKind:
    try:
        ending = urlsplit(url).path.rpartition(".")[2].lower()
    except ValueError:  # no address at all; saving it will say so
        return expected
    return _EXTENSIONS.get(ending, expected)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _is_validation(message: str) -> bool:
    return any(pattern.search(message) for pattern in VALIDATION_PATTERNS)


def _retry_after(response: httpx.Response) -> float | None:
    # Only the numeric form: nothing documents this header at all.
    value = response.headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None


def connection_error(error: Exception) -> ServiceUnavailable:
    """Return what a network failure is called; the text names no address, for it may hold secrets."""
    return ServiceUnavailable(f"Kie could not be reached ({type(error).__name__})")
