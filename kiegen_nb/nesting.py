"""`allow_nested_run`: the one place that patches asyncio, and only when somebody asks for it."""

from __future__ import annotations

import asyncio

from kiegen_nb.errors import ConfigurationError


def allow_nested_run() -> None:
    """Let ``asyncio.run(main())`` work in a notebook's cell, where a loop runs already; for scripts pasted into one.

    Nothing in this package needs it: ``await`` a handle, or call ``.result()``. It patches asyncio for the whole
    process, by ``nest_asyncio2``, and cannot be taken back without a restart. Calling it again does nothing.

    Raises:
        ConfigurationError: ``nest_asyncio``, the archived original, was applied before, or the running loop is of a
            kind that cannot be patched, such as uvloop's; nothing was changed.

    Example:
        >>> allow_nested_run()  # doctest: +SKIP
        >>> asyncio.run(main())  # doctest: +SKIP
    """
    if hasattr(asyncio, "_nest_patched") and not hasattr(asyncio, "_nest_asyncio2"):
        raise ConfigurationError(
            "nest_asyncio was applied in this process before. It loses queued cells on ipykernel 7 and breaks "
            "time-outs on Python 3.14. Restart the kernel, remove nest_asyncio.apply(), and call allow_nested_run() "
            "instead.",
        )
    loop = _running_loop()
    if loop is not None and not isinstance(loop, asyncio.BaseEventLoop):
        raise ConfigurationError(
            f"A loop of the kind {type(loop).__module__}.{type(loop).__qualname__} cannot be patched. Use asyncio's "
            "own loop in this kernel, or await main() instead of asyncio.run(main()).",
        )
    import nest_asyncio2  # noqa: PLC0415 - importing the package must not load what most people never use

    nest_asyncio2.apply(loop)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
