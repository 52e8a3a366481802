"""From an accepted request to its whole future: how long it takes, what it costs, and what will come out of it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .checks import POLICY, RefusedError, check_input
from .outcomes import Parts, film_seconds, outcome
from .prices import price
from .rules import check_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GRACE = 0.3
SECONDS = {"film": (6.0, 10.0), "sound": (3.0, 5.0), "picture": (2.5, 4.0)}
SLOW_FACTOR = 10.0
# What `sandbox:seconds=` may ask for; anything outside is brought to the nearer end.
LEAST_SECONDS, MOST_SECONDS = 0.01, 86_400.0
NO_FILMS = 'This sandbox makes videos only where PyAV is installed: pip install "kiegen_nb[video]"'
LONG_SIDE = 1024
BIG_SIDE = 1536
# Fields that name an earlier task, whose picture the new one continues.
PARENTS = ("task_id", "taskId", "origin_task_id")


@dataclass(frozen=True, slots=True)
class Task:
    """One row: all that is needed to say where the task stands at any moment.

    Attributes:
        model: A model's name, or the catalogue's name of a dedicated endpoint, such as ``veo:generate``.
        created: Unix seconds; ``duration`` and ``grace`` are seconds after it, already divided by the speed.
        param: The JSON text of the request, as the record answers it.
        recipe: JSON text of what the renderer needs, and under ``result`` the shape of the answer.
        files: JSON list of relative names of the result files.
        fail_code: Empty for a task that will succeed.
    """

    task_id: str
    account: str
    model: str
    created: float
    duration: float
    grace: float
    param: str
    recipe: str
    files: str
    fail_code: str
    fail_msg: str
    charged: float


def chance(*parts: object) -> float:
    """Return a repeatable number in [0, 1) made from the parts."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def plan(
    task_id: str,
    account: str,
    body: Mapping[str, Any],
    entry: Mapping[str, Any],
    *,
    now: float,
    speed: float,
    find: Callable[[str], Task | None] = lambda _: None,
) -> Task:
    """Turn a create request into its whole future.

    Args:
        task_id: 32 hex digits; durations and optional fields follow from it.
        account: The short hash of the key.
        body: The decoded request. For a market model ``model`` and ``input`` are checked to be a string and an
            object; for a dedicated endpoint the fields lie in the body itself.
        entry: The catalogue entry.
        now: Unix seconds.
        speed: How many times faster than the service the sandbox runs.
        find: Gives an earlier task of the same account.

    Raises:
        RefusedError: The input breaks a rule, or the prompt says ``sandbox:refuse``.
    """
    dedicated = ":" in entry["slug"]
    given = body if dedicated else body["input"]
    known = check_input(entry, given)
    check_rules(entry, known, given)
    words = json.dumps(known, ensure_ascii=False)
    if "sandbox:refuse" in words:
        raise RefusedError(400, POLICY)
    named = [str(known[name]) for name in PARENTS if known.get(name)]
    parent = next((found for earlier in named if (found := find(earlier))), None)
    settings = {snake(name): value for name, value in known.items()}
    parts = Parts()
    result = outcome(entry, settings, task_id, parts)
    seconds = film_seconds(entry, settings)
    if parent and "upscale" in entry["category"]:
        seconds = json.loads(parent.recipe).get("seconds", seconds)
    films = any(part["make"] in ("film", "still") for part in parts.made)
    if films and not can_film():
        raise RefusedError(455, NO_FILMS)
    recipe = {
        **_scene(entry, settings, task_id, parent, wide=films),
        "seconds": seconds,
        "parts": parts.made,
        "result": result,
    }
    if "sandbox:lost" in words:
        recipe["lost"] = True
    fails = "sandbox:fail" in words
    return Task(
        task_id=task_id,
        account=account,
        model=entry["slug"],
        created=now,
        duration=_duration(task_id, words, parts) / speed,
        grace=GRACE / speed,
        param=_param(body, given, dedicated=dedicated),
        recipe=json.dumps(recipe, ensure_ascii=False),
        files=json.dumps([f"{task_id}-{number}.{part['suffix']}" for number, part in enumerate(parts.made)]),
        fail_code="400" if fails else "",
        fail_msg=POLICY if fails else "",
        charged=price(entry, settings, images=len(parts.made), seconds=seconds),
    )


def is_lost(task: Task) -> bool:
    """Say whether the answer to a task's create is lost on its way: its prompt says ``sandbox:lost``."""
    return bool(json.loads(task.recipe).get("lost"))


def can_film() -> bool:
    """Say whether films can be made here: PyAV is optional."""
    return importlib.util.find_spec("av") is not None


def snake(name: str) -> str:
    """Return a camelCase name in the market models' spelling."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: "_" + found[1].lower(), name)


def _param(body: Mapping[str, Any], given: Mapping[str, Any], *, dedicated: bool) -> str:
    compact = {"ensure_ascii": False, "separators": (",", ":")}
    if dedicated:
        # The echo of a dedicated endpoint spells every name in camelCase, whatever was sent.
        renamed = {"aspect_ratio": "aspectRatio", "watermark": "waterMark"}
        body = {renamed.get(name, name): value for name, value in body.items() if name != "callBackUrl"}
        return json.dumps(body, **compact)  # type: ignore[arg-type]  # json's own keywords
    return json.dumps({**body, "input": json.dumps(given, **compact)}, **compact)  # type: ignore[arg-type]  # the same


def _duration(task_id: str, words: str, parts: Parts) -> float:
    """Return the seconds a task takes at speed 1: by what it makes, or as the prompt says.

    ``sandbox:seconds=5`` takes 5 s, ``sandbox:seconds=4-6`` anything between, evenly spread; 0.01 s to a day.
    ``sandbox:slow=30`` takes 30 s, ``sandbox:slow`` ten times as long as without it.
    """
    makes = {part["make"] for part in parts.made}
    least, most = next((SECONDS[make] for make in SECONDS if make in makes), SECONDS["picture"])
    if asked := re.search(r"sandbox:seconds=(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?", words):
        ends = sorted(min(max(float(end), LEAST_SECONDS), MOST_SECONDS) for end in asked.groups() if end)
        least, most = ends[0], ends[-1]
    seconds = least + chance(task_id, "duration") * (most - least)
    if slow := re.search(r"sandbox:slow(?:=(\d+(?:\.\d+)?))?", words):
        seconds = float(slow[1]) if slow[1] else seconds * SLOW_FACTOR
    return max(seconds, 0.001)


def _scene(
    entry: Mapping[str, Any], known: Mapping[str, Any], task_id: str, parent: Task | None, *, wide: bool
) -> dict[str, Any]:
    before = json.loads(parent.recipe) if parent else {}
    prompt = known.get("prompt") or known.get("text") or known.get("character_prompt")
    if not prompt and known.get("shots"):
        prompt = "; ".join(str(shot["Scene"]) for shot in known["shots"])
    if not prompt and known.get("dialogue"):
        prompt = " ".join(str(turn["text"]) for turn in known["dialogue"])
    width, height = picture_size(known, wide=wide)
    if before and not any(known.get(name) for name in _SIZES):
        width, height = before["width"], before["height"]
    if "upscale" in entry["category"] and max(width, height) < BIG_SIDE:
        longest = max(width, height)
        width, height = BIG_SIDE * width // longest, BIG_SIDE * height // longest
    mark = known.get("water_mark") or known.get("watermark")
    return {
        "prompt": str(before.get("prompt") if before and "upscale" in entry["category"] else prompt or entry["slug"]),
        # Without a seed every task is a picture of its own, as with the service.
        "seed": _seed(entry, known, task_id, before),
        "width": max(width, 1),
        "height": max(height, 1),
        "mark": mark if isinstance(mark, str) else "Kie" if mark else "",
    }


def _seed(entry: Mapping[str, Any], known: Mapping[str, Any], task_id: str, before: Mapping[str, Any]) -> str:
    if before and any(word in entry["category"] for word in ("upscale", "extend")):
        return str(before["seed"])
    # A change of an earlier picture is near it, yet another one.
    return f"{before['seed']} {task_id}" if before else str(known.get("seed", task_id))


_SIZES = ("aspect_ratio", "image_size", "ratio", "size")


def picture_size(known: Mapping[str, Any], *, wide: bool = False) -> tuple[int, int]:
    """Return width and height in pixels for a request's aspect ratio, the long side being 1024.

    Args:
        known: The checked request.
        wide: It is a film: what is asked for in words only, or not at all, is 16:9.
    """
    for name in _SIZES:
        word = str(known.get(name) or "")
        if found := re.fullmatch(r"(\d{1,4})[:x](\d{1,4})", word):
            across, down = int(found[1]) or 1, int(found[2]) or 1
        elif word.startswith(("portrait", "landscape")):
            pair = sorted(int(part) for part in re.findall(r"\d+", word)) or [2, 3]
            pair = [9, 16] if wide and not re.search(r"\d", word) else pair
            down, across = pair if word.startswith("landscape") else pair[::-1]
        elif word.startswith("square"):
            across = down = 1
        else:
            continue
        longest = max(across, down)
        return LONG_SIDE * across // longest, LONG_SIDE * down // longest
    return (LONG_SIDE, LONG_SIDE * 9 // 16) if wide else (LONG_SIDE, LONG_SIDE)
