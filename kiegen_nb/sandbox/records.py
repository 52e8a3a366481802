"""Where a task stands at a moment, and how each family of endpoints says so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .checks import NO_RECORD, RefusedError
from .plans import chance

if TYPE_CHECKING:
    from .plans import Task

# Share of a task's whole duration at which it enters each running state.
WALK = ((0.0, "waiting"), (0.1, "queuing"), (0.25, "generating"))
FLAGS = {"success": 1, "fail": 3}


def state(task: Task, now: float) -> tuple[str, float]:
    """Return the task's ``state`` word at ``now`` and the moment (Unix seconds) it entered it."""
    if now >= task.created + task.duration:
        return ("fail" if task.fail_code else "success"), task.created + task.duration
    share = (now - task.created) / task.duration
    begun, word = [step for step in WALK if step[0] <= max(share, 0.0)][-1]
    return word, task.created + begun * task.duration


def result_of(task: Task, base_url: str) -> dict[str, Any]:
    """Return what the task made, with addresses that start with ``base_url``."""
    files = json.loads(task.files)
    template = json.loads(task.recipe).get("result") or {"resultUrls": [f"file:{n}" for n in range(len(files))]}

    def filled(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("file:"):
            return f"{base_url}/files/{files[int(value[5:])]}"
        if isinstance(value, list):
            return [filled(item) for item in value]
        return {name: filled(item) for name, item in value.items()} if isinstance(value, dict) else value

    filled_in: dict[str, Any] = filled(template)
    return filled_in


def record(task: Task, now: float, base_url: str) -> dict[str, Any]:
    """Return the ``data`` of recordInfo.

    Args:
        task: The row.
        now: Unix seconds.
        base_url: Scheme, host and port the caller used; result URLs start with it.

    Raises:
        RefusedError: Code 422 while the task is too new to be found.
    """
    if now < task.created + task.grace:
        raise RefusedError(422, NO_RECORD)
    word, since = state(task, now)
    done, good = word in FLAGS, word == "success"
    result = result_of(task, base_url) if good else None
    data: dict[str, Any] = {
        "taskId": task.task_id,
        "model": task.model,
        "state": word,
        "successFlag": FLAGS.get(word, 0),
        "param": task.param,
        "paramJson": json.loads(task.param).get("input", "{}"),
        "resultJson": json.dumps(result, ensure_ascii=False, separators=(",", ":")) if good else "",
        "failCode": task.fail_code if word == "fail" else None,
        "failMsg": task.fail_msg if word == "fail" else None,
        "costTime": max(1, round(task.duration)) if good else 0,
        "creditsConsumed": 0 if word == "fail" else plain(task.charged),
        "createTime": int(task.created * 1000),
        "updateTime": int(since * 1000),
        "completeTime": int(since * 1000) if done else None,
    }
    if task.model.startswith("sora-2"):
        data["progress"] = 100 if good else min(round(100 * (now - task.created) / task.duration), 99)
    # The parsed twin is in no schema and was seen on some tasks only, so a client must live without it.
    if chance(task.task_id, "response") < 1 / 2:
        data["response"] = result
    return data


def plain(number: float) -> float:
    """Return a whole number as an integer, so that JSON shows no ".0"."""
    return int(number) if number == int(number) else number


def family_record(task: Task, now: float, base_url: str) -> dict[str, Any]:
    """Return the ``data`` of a dedicated endpoint's status call, in its family's own shape.

    Raises:
        RefusedError: Code 422 while the task is too new to be found.
    """
    if now < task.created + task.grace:
        raise RefusedError(422, NO_RECORD)
    word, since = state(task, now)
    good, bad = word == "success", word == "fail"
    result = result_of(task, base_url) if good else {}
    common: dict[str, Any] = {
        "taskId": task.task_id,
        "paramJson": task.param,
        "createTime": int(task.created * 1000),
        "completeTime": int(since * 1000) if good or bad else None,
        "successFlag": FLAGS.get(word, 0),
        "errorCode": int(task.fail_code) if bad else None,
        "errorMessage": task.fail_msg if bad else None,
    }
    return _SHAPES[task.model.partition(":")[0]](task, word, common, result)


def _veo(task: Task, word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    fourth = task.model == "veo:get-4k-video"
    response = {
        "taskId": task.task_id,
        "resultUrls": result.get("resultUrls"),
        "originUrls": result.get("originUrls"),
        "fullResultUrls": result.get("fullResultUrls"),
        "resolution": "4k" if fourth else json.loads(task.param).get("resolution", "720p"),
    }
    if fourth:
        response |= {"imageUrls": result.get("imageUrls"), "mediaIds": [task.task_id]}
    data = {**common, "response": response if word == "success" else None}
    if word == "success":
        data["errorMessage"] = ""
    return data if fourth else {**data, "fallbackFlag": False}


def _mj(task: Task, word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    kind = json.loads(task.param).get("taskType") or task.model.replace("mj:generate", "mj_").lower()
    urls = {"resultUrls": [{"resultUrl": url} for url in result.get("resultUrls", [])]}
    return {**common, "taskType": kind, "resultInfoJson": urls if word == "success" else None}


def _gpt4o(_task: Task, word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    status = {"success": "SUCCESS", "fail": "GENERATE_FAILED"}.get(word, "GENERATING")
    progress = {"success": "1.00", "fail": "0.00", "generating": "0.50"}.get(word, "0.00")
    data = {**common, "status": status, "progress": progress, "response": result or None}
    return {**data, "successFlag": 2 if word == "fail" else common["successFlag"]}


def _flux(_task: Task, _word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    urls = {"originImageUrl": None, "resultImageUrl": result["resultUrls"][0]} if result else None
    return {**common, "response": urls}


def _aleph(task: Task, _word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    if not result:
        return {**common, "response": None}
    urls = {"taskId": task.task_id, "resultVideoUrl": result["resultUrls"][0], "resultImageUrl": result["imageUrl"]}
    return {**common, "response": urls}


def _runway(task: Task, word: str, _common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    param = json.loads(task.param)
    video = {"videoId": task.task_id, "taskId": task.task_id}
    if result:
        video |= {"videoUrl": result["resultUrls"][0], "imageUrl": result["imageUrl"]}
    return {
        "taskId": task.task_id,
        "parentTaskId": param.get("taskId", ""),
        "generateParam": {"prompt": param.get("prompt"), "imageUrl": param.get("imageUrl"), "expandPrompt": True},
        "state": {"waiting": "wait", "queuing": "queueing"}.get(word, word),
        "generateTime": int(task.created * 1000),
        "videoInfo": video if result else None,
        "failCode": int(task.fail_code) if word == "fail" else 0,
        "failMsg": task.fail_msg if word == "fail" else "",
        "expireFlag": 0,
    }


def _suno(task: Task, word: str, common: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    spelt = {"audio_url": "audioUrl", "image_url": "imageUrl", "model_name": "modelName"}
    tracks = [{spelt.get(name, name): value for name, value in track.items()} for track in result.get("data", [])]
    status = {"success": "SUCCESS", "fail": "GENERATE_AUDIO_FAILED"}.get(word, "PENDING")
    return {
        "taskId": task.task_id,
        "parentMusicId": "",
        "param": task.param,
        "response": {"taskId": task.task_id, "sunoData": tracks} if result else None,
        "status": status,
        "type": "GENERATE",
        "errorCode": common["errorCode"],
        "errorMessage": common["errorMessage"],
    }


_SHAPES = {
    "veo": _veo,
    "mj": _mj,
    "gpt4o-image": _gpt4o,
    "flux-kontext": _flux,
    "aleph": _aleph,
    "runway": _runway,
    "suno": _suno,
}
