"""Reads Kie's live catalogue, slowly enough for its limit of one request per second."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import RateLimited, ServiceError
from kiegen_nb.kie import live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

log = logging.getLogger("kiegen_nb")
PACE = 1.1  # seconds between two requests; all catalogue pages share one a second per account
_TRIES = 3


async def fetch(
    get: Callable[[str], Awaitable[object]],
    sleep: Callable[[float], Awaitable[None]],
    slugs: Iterable[str] | None,
    date: str,
) -> dict[str, Any]:
    """Return the shipped catalogue with the live answers laid over it.

    Args:
        get: returns the ``data`` of one of the service's pages.
        sleep: waits some seconds.
        slugs: the models whose fields are read; None reads those of every listed model.
        date: the day, such as ``2026-11-22``.

    Raises:
        ServiceError: the list of models could not be read.
    """
    models = live.parse_models(await _get(get, sleep, "/api/v1/models"))
    schemas = {}
    for slug in models if slugs is None else slugs:
        await sleep(PACE)
        try:
            schemas[slug] = live.parse_schema(await _get(get, sleep, f"/api/v1/models/{slug}/schema"))
        except ServiceError as error:
            log.info("the fields of %s stay as they were: %s", slug, error)
    return live.merge(models, schemas, date=date)


async def _get(
    get: Callable[[str], Awaitable[object]],
    sleep: Callable[[float], Awaitable[None]],
    path: str,
) -> object:
    for left in reversed(range(_TRIES)):
        try:
            return await get(path)
        except RateLimited as error:
            if left == 0:
                raise
            await sleep(max(error.retry_after or 0.0, PACE))
    raise AssertionError  # the last try returned or raised
