"""Notebooks that are run again in a new kernel on the same store: nothing is made or paid for twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from tests.support.uploads import fetched, forget_uploads, sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.sandboxes import Sandbox

pytestmark = pytest.mark.kernel

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
ELSEWHERE = "from kiegen_nb.kie import uploading\nuploading.FOLDER = 'kiegen/anew'"
"""So that the same bytes get another address than the day before, as Kie may well do."""


@pytest.fixture
def lasting(start_sandbox: Callable[..., Sandbox], tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox whose uploads a test can let expire."""
    running = start_sandbox("--speed", "20", "--database", str(tmp_path / "sandbox.sqlite3"))
    yield running
    running.stop()


def run_all(kernel: Any, name: str) -> list[str]:
    """Run every cell as Run All does; return what each printed, and hold it against what is saved."""
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells  # type: ignore[no-untyped-call] # partial types
    code = [cell for cell in cells if cell.cell_type == "code"]
    said = [kernel.run(cell.source) for cell in code]
    saved = ["".join(output.text for output in cell.outputs if output.output_type == "stream") for cell in code]
    assert said == [text.strip() for text in saved]
    return said


@pytest.mark.long
def test_a_picture_becomes_a_video_once_even_after_every_upload_has_expired(
    start_kernel: Any, lasting: Sandbox, tmp_path: Path
) -> None:
    first = start_kernel(KIEGEN_BASE_URL=lasting.url)
    run_all(first, "02_upload_to_video.ipynb")
    addresses = first.run("print(upload.download_url, beam.download_url)").split()
    creates, uploads = lasting.creates, sent(lasting)
    assert (creates, uploads) == (3, 2)
    assert None not in map(fetched, addresses)
    assert first.shutdown() == 0

    forget_uploads(tmp_path / "sandbox.sqlite3")
    with closing(sqlite3.connect(tmp_path / "store.sqlite3", timeout=10)) as store, store:
        assert store.execute("UPDATE uploads SET expires_at = 0").rowcount == 2
    assert list(map(fetched, addresses)) == [None, None]

    second = start_kernel(KIEGEN_BASE_URL=lasting.url)
    second.run(ELSEWHERE)
    run_all(second, "02_upload_to_video.ipynb")
    assert lasting.creates == creates
    # Only the pictures went out again, which is free; they have other addresses, which are alive.
    assert sent(lasting) == 2 * uploads
    renewed = second.run("print(upload.download_url, beam.download_url)").split()
    assert set(renewed).isdisjoint(addresses)
    assert None not in map(fetched, renewed)


def test_an_experiment_run_again_in_a_new_kernel_makes_nothing_and_shows_the_same(
    start_kernel: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    first = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    said = run_all(first, "03_batch_experiments.ipynb")
    assert sandbox.creates == 10
    assert first.shutdown() == 0

    second = start_kernel(KIEGEN_BASE_URL=sandbox.url)
    assert run_all(second, "03_batch_experiments.ipynb") == said
    assert sandbox.creates == 10
    preview = second.run("print(plan.preview(session, 'kites'))")
    assert "Nothing is left to be paid." in preview
    assert len((tmp_path / "output" / "saved kites" / "manifest.jsonl").read_text().splitlines()) == 6


@pytest.mark.long
def test_an_experiment_runs_under_papermill_with_parameters(sandbox: Sandbox, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR"]
    parameters = ["-p", "prompt", "a paper boat", "-p", "seeds", "1-2", "-p", "max_credits", "16"]
    done = subprocess.run(
        [*command, NOTEBOOKS / "03_batch_experiments.ipynb", tmp_path / "made.ipynb", *parameters],
        env=os.environ | {"KIEGEN_BASE_URL": sandbox.url, "KIEGEN_POLL_INTERVAL": "0.2"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )

    assert done.returncode == 0, done.stderr
    assert sandbox.creates == 8
    made = (tmp_path / "made.ipynb").read_text(encoding="utf-8")
    assert "Batch('kites', 4 items: 4 succeeded)" in made
