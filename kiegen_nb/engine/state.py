"""What one prompt group looks like right now: the value behind `TaskQuery` and the gallery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiegen_nb.tasks import GenerationTask


@dataclass(frozen=True, slots=True)
class QueryState:
    """A snapshot of one prompt group.

    Attributes:
        data: its tasks, newest first.
        is_loading: nothing was read yet.
        is_fetching: a read is going on.
        error: the last read or look failed with this; ``data`` keeps what was known.
        is_polling: at least one task is pending and looked after.
        is_sandbox: the service called itself a sandbox.
        credits: the account's balance, None while unknown.
    """

    data: tuple[GenerationTask, ...] = ()
    is_loading: bool = True
    is_fetching: bool = False
    error: Exception | None = None
    is_polling: bool = False
    is_sandbox: bool = False
    credits: float | None = None
