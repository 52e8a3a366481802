"""What every part of `Session` checks of its arguments."""

from __future__ import annotations

from kiegen_nb.errors import InvalidParams

MAX_PROMPT_ID = 200


def checked_prompt_id(prompt_id: object, called: str = "prompt_id") -> str:
    """Return a group's name.

    Args:
        prompt_id: the name.
        called: what messages call it.

    Raises:
        InvalidParams: it is none.
    """
    if not isinstance(prompt_id, str) or not prompt_id.strip() or len(prompt_id) > MAX_PROMPT_ID:
        raise InvalidParams({called: f"must be a text of 1 to {MAX_PROMPT_ID} characters, not {prompt_id!r}."})
    return prompt_id


def checked_group(prompt_id: object) -> str | None:
    """Return a group's name, None for all groups.

    Raises:
        InvalidParams: it is neither.
    """
    return None if prompt_id is None else checked_prompt_id(prompt_id)


def checked_repeat(repeat: object) -> int | None:
    """Return which of several identical requests is meant.

    Raises:
        InvalidParams: it is no number from 0.
    """
    if repeat is None or (isinstance(repeat, int) and repeat >= 0):
        return repeat
    raise InvalidParams({"repeat": f"must be 0 or more, not {repeat!r}."})
