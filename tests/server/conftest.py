"""A real Jupyter server with the extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.jupyter import Jupyter

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """One server for all tests; each has tasks of its own."""
    pytest.importorskip("jupyter_server")
    running = Jupyter(tmp_path_factory.mktemp("jupyter"))
    try:
        running.wait()
        yield running
    finally:
        running.stop()
