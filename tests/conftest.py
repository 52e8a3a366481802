"""What every test gets: no key and no setting from outside, and folders of its own."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.session import Session
from tests.support.sandboxes import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.postgres import Postgres

# Children are started by the hundred, and most by name: they may keep their bytecode, whatever the machine prefers.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

FAKE_KEY = "test-key-4711-must-never-be-seen"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add this project's own options."""
    group = parser.getgroup("kiegen_nb")
    group.addoption("--full", action="store_true", help="also the long tests, and the random ones more often")
    group.addoption("--seed", type=int, help="repeat the random tests of a run that printed this number")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests marked ``stores`` on each kind of store; with ``long=True`` the server's turn is a long test."""
    mark = metafunc.definition.get_closest_marker("stores")
    if mark is not None and "backend" in metafunc.fixturenames:
        marks = [pytest.mark.long] if mark.kwargs.get("long") else []
        backends = ["sqlite", pytest.param("postgresql", marks=marks)]
        metafunc.parametrize("backend", backends, indirect=True)


def runs_long(config: pytest.Config) -> bool:
    """Whether the long tests run, too."""
    return bool(config.getoption("--full")) or os.environ.get("CI") == "true"


def left_out(item: pytest.Item) -> bool:
    """Whether a test is a long one of a short run."""
    return item.get_closest_marker("long") is not None and not runs_long(item.config)


def sampled(values: Sequence[str], every: int) -> list[Any]:
    """Return parameters of which a short run takes every so many-th, from the first."""
    return [value if n % every == 0 else pytest.param(value, marks=pytest.mark.long) for n, value in enumerate(values)]


def wanted_parameters(request: pytest.FixtureRequest) -> list[Any]:
    """Return the parameters of all tests that run now in the module which asks."""
    return [
        value
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec") and not left_out(item)
        for value in item.callspec.params.values()
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long tests to those who ask for them, and to CI."""
    for item in items:
        if left_out(item):
            item.add_marker(pytest.mark.skip(reason="LONG: it runs with --full, and where CI=true"))


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's settings, and none writes into the repository or the home folder."""
    for name in list(os.environ):
        if name.startswith(("KIE_", "KIEGEN_")) or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def start_sandbox() -> type[Sandbox]:
    """Starts a sandbox with arguments of the test's own, who ends it."""
    return Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox twenty times faster than life."""
    running = Sandbox("--speed", "20")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One PostgreSQL for all tests; each has a database of its own."""
    server = pytest.importorskip("tests.support.postgres").started()
    yield server
    server.stop()


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of store a test is about: SQLite, unless its marker ``stores`` says both."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def location(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the test's own store is: a path or an address."""
    if backend == "sqlite":
        yield str(tmp_path / "store.sqlite3")
        return
    server: Postgres = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name).render_as_string(hide_password=False)
    server.drop(name)


@pytest.fixture
def make_session(sandbox: Sandbox, location: str, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Makes sessions on the sandbox, with a store of the test's own; closes them at the end."""
    with contextlib.ExitStack() as stack:

        def make(**arguments: Any) -> Session:
            defaults: dict[str, Any] = {
                "api_key": FAKE_KEY,
                "base_url": sandbox.url,
                "database_url": location,
                "output_dir": tmp_path / "output",
                "poll_interval": 0.05,
            }
            session = Session(**(defaults | arguments))
            stack.callback(session.close)
            return session

        yield make


@pytest.fixture
def session(make_session: Callable[..., Session]) -> Session:
    """A session on the sandbox."""
    return make_session()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something another thread or process does; fail if it never does."""
    deadline = time.monotonic() + seconds
    pause = select.select
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause([], [], [], 0.01)
