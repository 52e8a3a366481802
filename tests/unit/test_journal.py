"""The structured log: silent where nobody listens, except for mistakes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kiegen_nb.engine.journal import note

PROGRAM = """
import logging
from kiegen_nb.engine.journal import log, note
{setup}
note("submit.refused", "0123456789", "a warning", code="422")
try:
    raise ValueError("a mistake in a callback")
except ValueError:
    log.exception("a callback raised")
"""


def said(setup: str) -> str:
    program = [sys.executable, "-c", PROGRAM.format(setup=setup)]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stderr


def test_warnings_are_silent_and_mistakes_are_shown() -> None:
    shown = said("")
    assert "a mistake in a callback" in shown
    assert "a warning" not in shown


@pytest.mark.parametrize("logger", ["'kiegen_nb'", ""])
def test_who_listens_hears_everything_once(logger: str) -> None:
    shown = said(f"logging.getLogger({logger}).addHandler(logging.StreamHandler())")
    assert shown.count("submit.refused task 01234567: a warning") == 1
    assert shown.count("a callback raised") == 1


def test_a_record_says_what_happened_to_whom(caplog: pytest.LogCaptureFixture) -> None:
    note("submit.refused", "0123456789", "no", code="422")
    [record] = caplog.records
    assert (vars(record)["event"], vars(record)["task_id"], vars(record)["data"]) == (
        "submit.refused",
        "0123456789",
        {"code": "422"},
    )
