"""`session.clean`: deletes for good what only an undo could ask for, and nothing else."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import OperationalError

from kiegen_nb.engine.cleaning import Cleaned
from kiegen_nb.errors import InvalidParams, StoreError
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.settings import data_folder
from tests.support.results import files
from tests.support.uploads import DAY, Ahead, kept_copies, png

if TYPE_CHECKING:
    from pathlib import Path

    from kiegen_nb.session import Session

PATIENCE = 20.0
MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """The clock of every session of a test."""
    ahead = Ahead()
    monkeypatch.setattr("kiegen_nb.engine.engine.SystemClock", lambda: ahead)
    return ahead


def age(days: float) -> None:
    """Have every copy be older than it is."""
    for file in (data_folder() / "uploads").iterdir():
        moment = file.stat().st_mtime - days * DAY
        os.utime(file, (moment, moment))


def test_files_of_tasks_deleted_long_ago_go_and_all_others_stay(session: Session, clock: Ahead) -> None:
    old, new, kept = (
        session.submit(imagen4(prompt)).result(PATIENCE) for prompt in ("a kite", "a lighthouse", "a boat")
    )
    session.delete([old])
    clock.ahead += 31 * DAY
    session.delete([new])
    before = files(session.output_dir)
    counted = session.clean(dry_run=True)
    assert counted.files == 3
    assert files(session.output_dir) == before
    assert session.clean() == counted
    left = files(session.output_dir)
    assert [name for name in before if name not in left] == [name for name in before if old.id in name]
    assert session.clean() == Cleaned(0, 0)

    # What was deleted later, or never, is whole; what is gone for good is still not paid for twice.
    session.restore([new])
    assert [task.id for task in session.history()] == [kept.id, new.id]
    assert all(path is not None and path.is_file() for task in session.history() for path in [task.assets[0].path])
    assert session.submit(imagen4("a kite")).id == old.id


def test_a_restored_task_keeps_its_files(session: Session, clock: Ahead) -> None:
    task = session.submit(imagen4("a kite")).result(PATIENCE)
    session.delete([task])
    session.restore([task])
    clock.ahead += 365 * DAY
    before = files(session.output_dir)
    assert session.clean() == Cleaned(0, 0)
    assert files(session.output_dir) == before


def test_a_file_of_the_users_in_the_folder_of_deleted_ones_stays(session: Session, clock: Ahead) -> None:
    task = session.submit(imagen4("a kite")).result(PATIENCE)
    session.delete([task])
    mine = session.output_dir / ".deleted" / "mine.png"
    mine.write_bytes(b"mine")
    clock.ahead += 31 * DAY
    assert session.clean().files == 3
    assert files(session.output_dir / ".deleted") == ["mine.png"]


def test_copies_go_once_they_are_old_and_nothing_names_them(session: Session, clock: Ahead) -> None:
    session.upload(png("red"))
    used = session.upload(png("blue"))
    session.submit(veo3("it runs", images=[used])).result(PATIENCE)
    clock.ahead += 31 * DAY
    session.upload(png("green"))
    age(1)
    assert session.clean() == Cleaned(1, len(png("red")))
    assert kept_copies() == sorted(f"{upload.sha256}.png" for upload in (used, session.upload(png("green"))))


def test_a_copy_whose_address_lives_stays_however_old(session: Session) -> None:
    session.upload(png())
    age(90)
    assert session.clean() == Cleaned(0, 0)
    assert len(kept_copies()) == 1


def test_a_copy_that_may_be_on_its_way_stays_whatever_is_asked_for(session: Session) -> None:
    (data_folder() / "uploads").mkdir(parents=True)
    young = data_folder() / "uploads" / f"{'0' * 64}.png"
    young.write_bytes(png())
    assert session.clean(older_than=timedelta(0)) == Cleaned(0, 0)
    age(2)
    assert session.clean(older_than=timedelta(0)).files == 1


def test_a_copy_that_a_renewal_needed_counts_as_used(session: Session, clock: Ahead, sandbox: Any) -> None:
    upload = session.upload(png())
    age(90)
    clock.ahead += 31 * DAY
    old = (data_folder() / "uploads" / f"{upload.sha256}.png").stat().st_mtime
    session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    assert sandbox.creates == 1
    assert (data_folder() / "uploads" / f"{upload.sha256}.png").stat().st_mtime > old


def test_a_path_the_user_gave_is_never_touched(session: Session, clock: Ahead, tmp_path: Path) -> None:
    mine = tmp_path / "dog.png"
    mine.write_bytes(png())
    session.upload(mine)
    clock.ahead += 365 * DAY
    assert session.clean() == Cleaned(0, 0)
    assert mine.read_bytes() == png()


def test_a_store_that_cannot_be_read_deletes_nothing(
    session: Session, clock: Ahead, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.delete([session.submit(imagen4("a kite")).result(PATIENCE)])
    clock.ahead += 31 * DAY
    before = files(session.output_dir)

    def fail() -> list[Any]:
        raise OperationalError("SELECT", None, Exception("disk I/O error"))

    monkeypatch.setattr(session._engine.store, "every", fail)
    with pytest.raises(StoreError, match="Nothing was deleted"):
        session.clean()
    assert files(session.output_dir) == before


@pytest.mark.parametrize("older_than", [timedelta(days=-1), 30, None])
def test_what_is_no_span_is_refused(session: Session, older_than: Any) -> None:
    with pytest.raises(InvalidParams, match="older_than"):
        session.clean(older_than=older_than)


@pytest.mark.parametrize(
    ("cleaned", "text"),
    [
        (Cleaned(0, 0), "0 files, 0 KB"),
        (Cleaned(1, 2_400), "1 file, 2 KB"),
        (Cleaned(1_200, 34_500_000), "1,200 files, 34.5 MB"),
    ],
)
def test_it_says_how_much_it_was(cleaned: Cleaned, text: str) -> None:
    assert str(cleaned) == text
