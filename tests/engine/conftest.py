"""An engine on a real store, with scripted answers and time that stands still."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from kiegen_nb.engine.database import Database
from kiegen_nb.engine.engine import Engine
from kiegen_nb.engine.store import Store
from kiegen_nb.kie.client import KieClient
from tests.support.fake_kie import FakeClock, Kie

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def clock(backend: str, location: str, request: pytest.FixtureRequest) -> FakeClock:
    """Time that stands still, in the store's database too."""
    if backend == "sqlite":
        return FakeClock()
    from tests.support.postgres import SharedClock  # noqa: PLC0415 - not on every machine

    return SharedClock(request.getfixturevalue("postgres"), str(make_url(location).database))


@pytest.fixture
def database(location: str) -> Iterator[Database]:
    """The test's own store, opened."""
    opened = Database(location)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, clock: FakeClock) -> Store:
    return Store(database, "account", clock)


@pytest.fixture
def kie(clock: FakeClock) -> Kie:
    return Kie(clock)


@pytest.fixture
def make_engine(clock: FakeClock, kie: Kie, location: str, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Makes engines on one store and one service; closes them at the end."""
    with contextlib.ExitStack() as stack:

        def make(poll_interval: float = 3.0) -> Engine:
            engine = Engine(
                KieClient(SecretStr("key"), "https://api.kie.ai", transport=kie.transport),
                Database(location),
                poll_interval=poll_interval,
                output_dir=tmp_path / "output",
                user_agent="test",
                clock=clock,
            )
            stack.callback(engine.close)
            return engine

        yield make


@pytest.fixture
def engine(make_engine: Callable[..., Engine]) -> Engine:
    return make_engine()
