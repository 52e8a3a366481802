"""What tasks and assets show without a widget."""

from __future__ import annotations

import io
import random
import re
from base64 import b64decode
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from PIL import Image

from kiegen_nb.tasks import UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets.summary import SMALL_BYTES, SUMMARY_BYTES, asset_html, summary_html, task_html

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>"


class Tags(HTMLParser):
    """Collects what a browser would make of the markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def task(**fields: Any) -> GenerationTask:
    prompt = fields.pop("prompt", "a red kite")
    known: dict[str, Any] = {
        "id": "t1",
        "model": "IMAGEN4",
        "api_model": "google/imagen4-fast",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "provider_params": {"input": {"prompt": prompt}},
    }
    return GenerationTask(**known | fields)


def thumbnail(folder: Path, name: str = "a", *, noise: bool = False) -> Path:
    path = folder / f"{name}.webp"
    image = Image.new("RGB", (480, 300), "tomato")
    if noise:
        image = Image.frombytes("RGB", (480, 300), random.Random(name).randbytes(480 * 300 * 3))  # noqa: S311 - no secret
    image.save(path, quality=60)
    return path


def done(folder: Path, name: str = "a", *, noise: bool = False, **fields: Any) -> GenerationTask:
    asset = Asset(
        kind=AssetKind.IMAGE,
        path=Path("out") / f"{name}.png",
        thumbnail=thumbnail(folder, name, noise=noise),
        width=1408,
        height=768,
        size=1_234_567,
    )
    return task(status=TaskStatus.SUCCESS, activity=None, assets=(asset,), **fields)


def pictures(text: str) -> list[bytes]:
    return [b64decode(found) for found in re.findall(r"data:image/webp;base64,([^\"]*)\"", text)]


def test_a_finished_task_shows_its_picture_prompt_and_path(tmp_path: Path) -> None:
    text = task_html(done(tmp_path))
    assert pictures(text) == [(tmp_path / "a.webp").read_bytes()]
    assert "a red kite" in Tags(text).text
    assert str(Path("out") / "a.png") in Tags(text).text
    assert 'alt="a red kite"' in text


def test_a_failed_task_shows_its_reason_and_code() -> None:
    text = Tags(task_html(task(status=TaskStatus.FAILED, activity=None, fail_code="422", fail_msg="Too long."))).text
    assert "Failed: Too long. (422)" in text


def test_an_unconfirmed_task_says_it_may_have_been_charged() -> None:
    text = Tags(task_html(task(status=TaskStatus.FAILED, fail_code=UNCONFIRMED, fail_msg="No answer."))).text
    assert "May have been charged: No answer." in text


def test_an_asset_shows_what_it_is(tmp_path: Path) -> None:
    text = asset_html(done(tmp_path).assets[0])
    assert "image · 1408×768 · 1.2 MB" in Tags(text).text  # noqa: RUF001 - the multiplication sign is meant
    assert len(pictures(text)) == 1


def test_the_last_expression_of_a_cell_shows_it(tmp_path: Path) -> None:
    known = done(tmp_path)
    assert known._repr_html_() == task_html(known)
    assert known.assets[0]._repr_html_() == asset_html(known.assets[0])


def test_hostile_words_stay_text(tmp_path: Path) -> None:
    asset = Asset(kind=AssetKind.IMAGE, path=Path(f"{HOSTILE}.png"), thumbnail=thumbnail(tmp_path), error=HOSTILE)
    known = task(
        prompt=HOSTILE,
        api_model=HOSTILE,
        status=TaskStatus.FAILED,
        activity=None,
        fail_code=HOSTILE,
        fail_msg=HOSTILE,
        assets=(asset,),
    )
    for text in (task_html(known), summary_html([known]), asset_html(asset)):
        found = Tags(text)
        assert set(found.tags) <= {"div", "span", "img", "code", "br"}
        assert set(found.attributes) <= {"style", "src", "alt"}
        assert "<script>alert(1)</script>" in found.text
        assert found.open == []


def test_the_same_task_always_gives_the_same_html(tmp_path: Path) -> None:
    known = done(tmp_path)
    assert task_html(known) == task_html(known.model_copy())
    pending = task(activity=Activity.WATCHING)
    assert task_html(pending) == task_html(pending)


def test_a_missing_or_broken_thumbnail_is_left_out(tmp_path: Path) -> None:
    known = done(tmp_path)
    (tmp_path / "a.webp").unlink()
    assert "<img" not in task_html(known)
    (tmp_path / "a.webp").write_bytes(b"no picture at all")
    assert "<img" not in task_html(known)
    assert "a red kite" in task_html(known)


def test_the_summary_shows_the_newest_small_enough(tmp_path: Path) -> None:
    tasks = [done(tmp_path, f"n{n}", noise=True, prompt=f"kite {n}") for n in range(30)]
    text = summary_html(tasks)
    assert len(text) <= SUMMARY_BYTES
    found = pictures(text)
    assert len(found) == 24
    assert max(map(len, found)) <= SMALL_BYTES
    assert all(Image.open(io.BytesIO(data)).format == "WEBP" for data in found)
    assert "kite 23" in Tags(text).text
    assert "kite 24" not in Tags(text).text
    assert "and 6 more" in Tags(text).text


def test_words_are_kept_where_pictures_have_no_room(tmp_path: Path) -> None:
    tasks = [done(tmp_path, f"n{n}", noise=True, prompt=f"kite {n}") for n in range(10)]
    text = summary_html(tasks, budget=30_000)
    assert len(text) <= 30_000
    assert 0 < len(pictures(text)) < 10
    assert "kite 9" in Tags(text).text


def test_an_empty_summary_says_so() -> None:
    assert "Nothing here yet." in summary_html([])
