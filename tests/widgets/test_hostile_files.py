"""What the widgets make of files that mean harm: no file is trusted because the store names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kiegen_nb.tasks import Asset, AssetKind, TaskStatus, UploadResult
from kiegen_nb.widgets import gallery_files
from kiegen_nb.widgets.contact_sheet import contact_sheet
from kiegen_nb.widgets.index import page_html
from kiegen_nb.widgets.summary import asset_html, summary_html, task_html
from kiegen_nb.widgets.upload_receiving import glance
from tests.support.bench import NOW, task
from tests.support.hostile import NAMES, SCRIPT, hostile_files

if TYPE_CHECKING:
    from pathlib import Path

    from kiegen_nb.tasks import GenerationTask


def task_of(folder: Path, name: str, data: bytes) -> GenerationTask:
    """Return a finished task whose file, and even its thumbnail, is a hostile one."""
    path = folder / name
    path.write_bytes(data)
    kind = AssetKind.VIDEO if name.endswith("mp4") else AssetKind.IMAGE
    asset = Asset(kind=kind, path=path, thumbnail=path)
    return task("a", name, status=TaskStatus.SUCCESS, activity=None, completed_at=NOW, assets=(asset,))


@pytest.mark.parametrize("name", list(hostile_files()))
def test_pages_and_sheets_leave_a_hostile_picture_out(tmp_path: Path, name: str) -> None:
    hostile = task_of(tmp_path, name, hostile_files()[name])
    pages = [
        summary_html([hostile]),
        task_html(hostile),
        asset_html(hostile.assets[0]),
        page_html([(hostile, False)], tmp_path),
    ]
    assert all("data:image" not in page and SCRIPT not in page for page in pages)
    assert all(name in page for page in pages)
    before = sorted(tmp_path.iterdir())
    assert contact_sheet([hostile]).size[0] < 1000
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "name", [*hostile_files(), "page.html", "page.xhtml", "feed.xml", "notes.txt", "data.json", "no"]
)
def test_what_goes_over_the_connection_has_no_type_that_runs(tmp_path: Path, name: str) -> None:
    answer, [data] = gallery_files.full(task_of(tmp_path, name, f"<script>{SCRIPT}</script>".encode()), 0)
    assert data.startswith(b"<script>")
    harmless = {"image/png", "video/mp4", "text/plain", "application/octet-stream"}
    assert answer["mime"] in harmless


@pytest.mark.parametrize("name", list(hostile_files()))
def test_the_glance_at_a_hostile_upload_is_none(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(hostile_files()[name])
    for kind in AssetKind:
        upload = UploadResult(
            download_url="https://files.example/a",
            expires_at=NOW,
            is_assumed=True,
            sha256="0" * 64,
            name=name,
            mime="image/png",
            kind=kind,
            source=str(path),
        )
        assert glance(upload) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_name_is_text_on_every_page(tmp_path: Path, name: str) -> None:
    asset = Asset(kind=AssetKind.IMAGE, path=tmp_path / name, error=name)
    named = task("a", name, status=TaskStatus.SUCCESS, activity=None, completed_at=NOW, assets=(asset,))
    for page in (summary_html([named]), task_html(named), asset_html(asset), page_html([(named, False)], tmp_path)):
        assert "<img src=x" not in page
