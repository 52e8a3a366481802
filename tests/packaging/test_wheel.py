"""The wheel: built once, it holds everything the package reads at run time, and makes a picture on its own."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
NOT_SHIPPED = {".pyc"}
SCRIPT = """
import kiegen_nb
from kiegen_nb import Session, Studio, imagen4
with Session() as session:
    task = session.submit(imagen4("a red kite, sandbox:seconds=0.1-0.1")).result()
    print(task.status, session.is_sandbox, Studio(session=session), kiegen_nb.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "-w", folder, ROOT], check=True, timeout=120)
    [found] = folder.glob("*.whl")
    return found


def package_files() -> Iterator[str]:
    for path in (ROOT / "kiegen_nb").rglob("*"):
        if path.is_file() and path.suffix not in NOT_SHIPPED:
            yield path.relative_to(ROOT).as_posix()


def test_it_holds_every_file_of_the_package_and_enables_the_server_extension(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert set(package_files()) - names == set()
    assert {"kiegen_nb/py.typed", "kiegen_nb/kie/catalogue.json", "kiegen_nb/widgets/gallery.js"} <= names
    assert any(name.endswith("etc/jupyter/jupyter_server_config.d/kiegen_nb.json") for name in names)
    assert {name.split("/")[0] for name in names if not name.startswith("kiegen_nb-")} == {"kiegen_nb"}


def test_it_makes_a_picture_without_the_source(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if name.startswith("kiegen_nb/")])

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stderr == ""
    status, is_sandbox, studio, place = done.stdout.split()
    assert (status, is_sandbox, studio) == ("SUCCESS", "True", "Studio(default)")
    assert Path(place).is_relative_to(target)
