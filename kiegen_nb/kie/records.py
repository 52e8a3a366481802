"""Reads Kie's records of a task: ``state`` and ``resultJson`` of the jobs API, ``successFlag`` of the older families.

Source: the pages of the jobs, Veo and Midjourney APIs, as of 2026-10; where copies disagree, both forms are read.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kiegen_nb.errors import UnreadableAnswer
from kiegen_nb.service import Outcome, OutcomeKind, Result
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Mapping

OK = 200
FINAL_SUCCESS, FINAL_FAILURE, RUNNING = "success", "fail", "generating"
_FLAG_WORDS = {0: RUNNING, 1: FINAL_SUCCESS}
"""``successFlag`` -> the jobs API's word for it; any other number is a final failure."""

_URL_FIELDS = (
    "fullResultUrls",  # the whole of an extended video; resultUrls holds the new part of it
    "resultUrls",
    "resultUrl",
    "resultWaterMarkUrls",
    "firstFrameUrl",
    "lastFrameUrl",
)
_ORIGINALS = "originUrls"  # the picture before it was cropped: no result while there is another
_OTHER_FIELDS = frozenset({*_URL_FIELDS, _ORIGINALS, "taskId", "resolution", "mediaIds", "imageUrls", "fallbackFlag"})

_EXTENSIONS: dict[str, AssetKind] = (
    dict.fromkeys(("png", "jpg", "jpeg", "webp", "gif", "avif", "bmp", "tiff"), AssetKind.IMAGE)
    | dict.fromkeys(("mp4", "webm", "mov", "m4v", "mkv", "avi"), AssetKind.VIDEO)
    | dict.fromkeys(("mp3", "wav", "m4a", "flac", "ogg", "opus", "aac", "mid", "midi"), AssetKind.AUDIO)
    | dict.fromkeys(("txt", "srt", "vtt", "md"), AssetKind.TEXT)
)


def read_jobs(data: Mapping[str, Any], expected: AssetKind) -> Outcome:
    """Read a record of ``/jobs/recordInfo``.

    Raises:
        UnreadableAnswer: if it does not say how the task is.
    """
    state = data.get("state")
    if not isinstance(state, str) or not state:
        state = _word_of(data)
    if state == FINAL_SUCCESS:
        return _succeeded(data, state, *_jobs_result(data), expected)
    if state == FINAL_FAILURE:
        return failed(data.get("failCode"), data.get("failMsg"), cost=number(data.get("creditsConsumed")))
    # waiting, queuing, generating - or a word nobody has documented, which is shown and waited out.
    return Outcome(OutcomeKind.RUNNING, state=state)


def read_veo(data: Mapping[str, Any], expected: AssetKind) -> Outcome:
    """Read a record of ``/veo/record-info``: generate, extend and 4K alike.

    Raises:
        UnreadableAnswer: if it does not say how the task is.
    """
    return _read_flagged(data, "response", expected)


def read_midjourney(data: Mapping[str, Any], expected: AssetKind) -> Outcome:
    """Read a record of ``/mj/record-info``.

    Raises:
        UnreadableAnswer: if it does not say how the task is.
    """
    return _read_flagged(data, "resultInfoJson", expected)


def failed(code: Any, words: Any, *, cost: float | None = None) -> Outcome:
    """Return the outcome of a task that came to nothing."""
    said = str(words or "no reason given").rstrip(". ")
    advice = "Change what it names and generate again; failed tasks are not charged."
    return Outcome(
        OutcomeKind.FAILED,
        state=FINAL_FAILURE,
        code="" if code is None else str(code),
        message=f'Kie could not make this: "{said}". {advice}',
        credits_consumed=cost,
    )


def results_of(result: Mapping[str, Any], expected: AssetKind) -> tuple[Result, ...]:
    """Return the results an answer names, in the order they are shown in.

    Args:
        result: the parsed ``resultJson``, ``response`` or ``resultInfoJson``.
        expected: what a result is where its address's ending does not tell.
    """
    urls = [url for name in _URL_FIELDS for url in _url_list(result.get(name))]
    urls = urls or _url_list(result.get(_ORIGINALS))
    found = [Result(kind_of(url, expected), url=url) for url in dict.fromkeys(urls)]
    if "resultObject" in result:
        found.append(Result(AssetKind.DATA, data=result["resultObject"]))
    if not found:
        found = _tracks(result)
    rest = {name: value for name, value in result.items() if name not in _OTHER_FIELDS and value not in _NOTHING}
    if not found and rest:
        # A character, a voice, a text: the answer itself is the result.
        found.append(Result(AssetKind.DATA, data=rest))
    return tuple(found)


_NOTHING: tuple[Any, ...] = (None, "", [], {})


def seconds_taken(data: Mapping[str, Any]) -> float | None:
    """Return the seconds between a record's ``createTime`` and ``completeTime``; None where it does not say.

    ``costTime`` is not used: pages disagree whether it counts milliseconds or seconds.
    """
    began, ended = _moment(data.get("createTime")), _moment(data.get("completeTime"))
    return None if began is None or ended is None or ended < began else ended - began


def _moment(value: Any) -> float | None:
    """Return epoch seconds of a time in epoch milliseconds or ISO 8601."""
    if isinstance(value, str) and value:
        try:
            return datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    milliseconds = number(value)
    return milliseconds / 1000 if milliseconds and math.isfinite(milliseconds) else None


def number(value: Any) -> float | None:
    """Return a JSON number as a float, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def kind_of(url: str, expected: AssetKind) -> AssetKind:
    """Return what an address's ending says it is, else what was expected."""
    try:
        ending = urlsplit(url).path.rpartition(".")[2].lower()
    except ValueError:  # no address at all; saving it will say so
        return expected
    return _EXTENSIONS.get(ending, expected)


def _read_flagged(data: Mapping[str, Any], field: str, expected: AssetKind) -> Outcome:
    state = _word_of(data)
    if state == RUNNING:
        return Outcome(OutcomeKind.RUNNING, state=state)
    if state == FINAL_FAILURE:
        return failed(data.get("errorCode"), data.get("errorMessage"), cost=number(data.get("creditsConsumed")))
    result = next((found for name in (field, "response") if (found := _object(data.get(name)))), {})
    if data.get("fallbackFlag") is True:
        result = result | {"fallbackFlag": True}  # such a video cannot be upgraded
    return _succeeded(data, state, json.dumps(result, ensure_ascii=False), result, expected)


def _word_of(data: Mapping[str, Any]) -> str:
    flag = data.get("successFlag")
    if isinstance(flag, str) and re.fullmatch(r"-?\d{1,3}", flag):
        flag = int(flag)
    if isinstance(flag, bool) or not isinstance(flag, int):
        raise UnreadableAnswer("the record has no state", code=OK)
    return _FLAG_WORDS.get(flag, FINAL_FAILURE)


def _succeeded(
    data: Mapping[str, Any], state: str, text: str | None, result: dict[str, Any], expected: AssetKind
) -> Outcome:
    return Outcome(
        OutcomeKind.SUCCEEDED,
        state=state,
        results=results_of(result, expected),
        result_json=text,
        credits_consumed=number(data.get("creditsConsumed")),
        took=seconds_taken(data),
    )


def _jobs_result(data: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    # resultJson is JSON text; response, its parsed twin, is newer and not always there.
    text = data.get("resultJson")
    if isinstance(text, str) and text and (parsed := _object(text)) is not None:
        return text, parsed
    for twin in (text, data.get("response")):
        if isinstance(twin, dict):
            return json.dumps(twin, ensure_ascii=False), twin
    return (text if isinstance(text, str) else None), {}


def _object(value: Any) -> dict[str, Any] | None:
    """Return an object, or the one a text holds."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _url_list(value: Any) -> list[str]:
    # A list is documented; one string, or a list inside a string, has been seen in copies of the pages.
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return []
    items = value if isinstance(value, list) else [value]
    plain = [item.get("resultUrl") if isinstance(item, dict) else item for item in items]
    return [item for item in plain if isinstance(item, str) and item]


def _tracks(result: Mapping[str, Any]) -> list[Result]:
    """Return the sound of every song in ``data[]``; its cover is shown by the service, and is no result."""
    songs = result.get("data")
    found = []
    for song in songs if isinstance(songs, list) else []:
        names = ("audio_url", "audioUrl") if isinstance(song, dict) else ()
        url = next((song[name] for name in names if isinstance(song.get(name), str) and song[name]), None)
        if url is not None:
            found.append(Result(kind_of(url, AssetKind.AUDIO), url=url))
    return found
