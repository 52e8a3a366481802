"""The gallery without a kernel: what it sends is recorded, what a browser sends is handed in."""

from __future__ import annotations

import gc
import json
import weakref
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ipywidgets.widgets import widget
from PIL import Image

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.kie.models import follow_ups
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.tasks import CANCELLED, TIMEOUT, UNCONFIRMED, Activity, Asset, AssetKind, GenerationTask, TaskStatus
from kiegen_nb.widgets.cards import card, header
from kiegen_nb.widgets.contact_sheet import contact_sheet
from kiegen_nb.widgets.gallery import Gallery
from kiegen_nb.widgets.gallery_details import rows
from kiegen_nb.widgets.studio import Studio
from tests.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.widgets.protocol import HandleLike

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
Sent = list[tuple[dict[str, Any], list[bytes]]]


class Handle:
    """As much of a handle as a gallery looks at."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.task = task(name)

    def when_answered(self, callback: Callable[[GenerationTask], None]) -> None:
        raise AssertionError(f"a gallery does not wait for {callback}")


class FakeSession:
    """The part of a session a gallery uses; its display thread runs when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.output_dir = folder
        self.account, self.is_sandbox = "test:1", False
        self.state = QueryState(is_loading=False)
        self.followers: list[Callable[[QueryState], None]] = []
        self.waiting: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.refreshed: list[str] = []
        self.followed: list[tuple[str, str, int, str | None]] = []
        self.asked_anew: list[str] = []
        self.usual: dict[str, float] = {}
        self.rated: list[tuple[str, Any, Any]] = []
        self.error: Exception | None = None

    def submit(self, params: KieParams, prompt_id: str = "default", repeat: int | None = None) -> HandleLike:
        raise AssertionError(f"a gallery never submits {params}, {prompt_id}, {repeat}")

    def follow_up(self, task: GenerationTask, name: str, *, index: int = 0, prompt: str | None = None) -> HandleLike:
        if self.error is not None:
            raise self.error
        self.followed.append((task.id, name, index, prompt))
        return Handle(f"{task.id}-{name}")

    def resubmit(self, task: GenerationTask) -> HandleLike:
        if self.error is not None:
            raise self.error
        self.asked_anew.append(task.id)
        return Handle(f"{task.id}-anew")

    def delete(self, tasks: Sequence[GenerationTask]) -> None:
        if self.error is not None:
            raise self.error
        self.become(*(known for known in self.state.data if known not in tasks))

    def restore(self, tasks: Sequence[GenerationTask]) -> None:
        self.become(*tasks, *self.state.data)

    def rate(self, task: GenerationTask, rating: Any = ..., *, comment: Any = ...) -> None:
        if self.error is not None:
            raise self.error
        self.rated.append((task.id, rating, comment))

    def expected_time(self, task: GenerationTask) -> float | None:
        return self.usual.get(task.id)

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        assert prompt_id == "kites"
        return self.state.data

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], None]:
        assert prompt_id == "kites"
        self.followers.append(callback)
        callback(self.state)
        return lambda: self.followers.remove(callback)

    def on_display(self, function: Callable[..., None], *args: Any) -> None:
        self.waiting.append((function, args))

    def refresh(self, task: GenerationTask) -> None:
        if self.error is not None:
            raise self.error
        self.refreshed.append(task.id)

    def display(self) -> None:
        while self.waiting:
            function, args = self.waiting.pop(0)
            function(*args)

    def become(self, *tasks: GenerationTask, **changes: Any) -> None:
        self.state = replace(self.state, data=tasks, **changes)
        for follower in list(self.followers):
            follower(self.state)


@pytest.fixture
def session(tmp_path: Path) -> FakeSession:
    return FakeSession(tmp_path)


def task(name: str, prompt: str = "a red kite", **fields: Any) -> GenerationTask:
    params = {"input": {"prompt": prompt, "aspect_ratio": "16:9"} | fields.pop("input", {})}
    known = {"model": "IMAGEN4", "api_model": "google/imagen4-fast", "created_at": THEN, "provider_params": params}
    return GenerationTask(id=name, **known | fields)


def finished(name: str, *assets: Asset, **fields: Any) -> GenerationTask:
    known = {"status": TaskStatus.SUCCESS, "activity": None, "assets": assets}
    return task(name, **known | {"completed_at": THEN + timedelta(seconds=5.25)} | fields)


def picture(folder: Path, name: str, thumbnail: bytes | None = b"thumb of ") -> Asset:
    path, small = folder / f"{name}.png", folder / f"{name}.webp"
    path.write_bytes(b"bytes of " + name.encode())
    if thumbnail is not None:
        small.write_bytes(thumbnail + name.encode())
    return Asset(kind=AssetKind.IMAGE, path=path, thumbnail=small, width=1408, height=768)


def record(gallery: Gallery) -> Sent:
    sent: Sent = []

    def send(content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        json.dumps(content)  # a comm takes JSON only
        sent.append((content, list(buffers or ())))

    gallery.send = send
    return sent


def from_browser(gallery: Gallery, **content: Any) -> None:
    gallery._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def opened(session: FakeSession) -> tuple[Gallery, Sent]:
    """Return a gallery with one view that has had its snapshot, and what is sent from then on."""
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    sent.clear()
    return gallery, sent


# Snapshot and patches


def test_ready_is_answered_on_the_display_thread_with_everything(session: FakeSession, tmp_path: Path) -> None:
    session.become(task("b"), finished("a", picture(tmp_path, "a")), is_sandbox=True, credits=12.5)
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    assert sent == []
    session.display()
    [(content, buffers)] = sent
    assert (content["type"], content["view"], content["part"], content["parts"]) == ("snapshot", "v1", 0, 1)
    assert [item["id"] for item in content["items"]] == ["b", "a"]
    assert content["header"]["counts"] == "1 pending · 1 done"
    assert content["header"]["sandbox"] is True
    assert content["header"]["credits"] == "12.5 credits left"
    assert content["now"] > 0
    assert buffers == [b"thumb of a"]
    assert content["thumbs"] == [content["items"][1]["assets"][0]["thumb"]]


def test_a_long_gallery_comes_in_parts(session: FakeSession, tmp_path: Path) -> None:
    session.become(*[finished(f"t{n}", picture(tmp_path, f"t{n}")) for n in range(245)])
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    assert [len(content["items"]) for content, _ in sent] == [24, 200, 21]
    assert [content["part"] for content, _ in sent] == [0, 1, 2]
    assert [len(content.get("ids", ())) for content, _ in sent] == [245, 0, 0]
    # Few screens show more than the first; the others' thumbnails are asked for when they are seen.
    assert [len(buffers) for _, buffers in sent] == [24, 0, 0]


def test_nothing_is_sent_before_a_view_is_ready(session: FakeSession) -> None:
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    session.become(task("a"))
    assert sent == []
    assert [known.id for known in gallery.tasks] == ["a"]


def test_nothing_is_sent_when_nothing_changed(session: FakeSession, tmp_path: Path) -> None:
    session.become(task("b"), finished("a", picture(tmp_path, "a")))
    _, sent = opened(session)
    session.become(*session.state.data)
    session.become(*[known.model_copy() for known in session.state.data], is_fetching=True, is_polling=True)
    assert sent == []


def test_a_patch_has_only_the_card_that_changed(session: FakeSession, tmp_path: Path) -> None:
    others = [finished(name, picture(tmp_path, name)) for name in ("c", "d")]
    session.become(task("a"), task("b"), *others)
    _, sent = opened(session)
    session.become(task("a"), task("b", state="generating", activity=Activity.WATCHING), *others)
    [(content, buffers)] = sent
    assert content["type"] == "patch"
    assert [(item["id"], item["word"]) for item in content["items"]] == [("b", "Generating")]
    assert "header" not in content
    assert buffers == []


def test_a_picture_comes_with_the_card_that_shows_it(session: FakeSession, tmp_path: Path) -> None:
    session.become(task("a"))
    _, sent = opened(session)
    session.become(finished("a", picture(tmp_path, "a")))
    [(content, buffers)] = sent
    assert content["items"][0]["kind"] == "done"
    assert content["thumbs"] == [content["items"][0]["assets"][0]["thumb"]]
    assert buffers == [b"thumb of a"]
    assert content["header"]["counts"] == "1 done"


def test_a_known_thumbnail_is_not_sent_again(session: FakeSession, tmp_path: Path) -> None:
    asset = picture(tmp_path, "a")
    session.become(finished("a", asset))
    _, sent = opened(session)
    session.become(finished("a", asset, credits_consumed=4.0))
    [(content, buffers)] = sent
    assert "4 credits" in content["items"][0]["facts"]
    assert (content["thumbs"], buffers) == ([], [])


def test_new_cards_name_the_card_before_them(session: FakeSession) -> None:
    session.become(task("a"))
    _, sent = opened(session)
    session.become(task("c"), task("b"), task("a"))
    [(content, _)] = sent
    assert [(item["id"], item["after"]) for item in content["items"]] == [("c", None), ("b", "c")]


def test_a_card_that_is_gone_is_removed(session: FakeSession) -> None:
    session.become(task("b"), task("a"))
    _, sent = opened(session)
    session.become(task("a"))
    [(content, _)] = sent
    assert content["removed"] == ["b"]
    assert content["items"] == []


def test_another_order_brings_everything_anew(session: FakeSession) -> None:
    session.become(task("b"), task("a"))
    _, sent = opened(session)
    session.become(task("a"), task("b"))
    [(content, _)] = sent
    assert (content["type"], content["view"]) == ("snapshot", None)
    assert [item["id"] for item in content["items"]] == ["a", "b"]


def test_many_changes_come_in_parts(session: FakeSession) -> None:
    _, sent = opened(session)
    session.become(*[task(f"t{n}") for n in range(230)])
    assert [len(content["items"]) for content, _ in sent] == [200, 30]
    assert ["header" in content for content, _ in sent] == [True, False]


def test_an_error_is_told_and_keeps_the_cards(session: FakeSession) -> None:
    session.become(task("a"))
    _, sent = opened(session)
    session.become(task("a"), error=KiegenError("<b>no connection</b>"))
    [(content, _)] = sent
    assert content["header"]["error"] == "<b>no connection</b>"
    assert (content["items"], content["removed"]) == ([], [])


def test_a_page_opened_again_gets_everything(session: FakeSession, tmp_path: Path) -> None:
    session.become(finished("a", picture(tmp_path, "a")))
    gallery, sent = opened(session)
    from_browser(gallery, type="ready", view="v2")
    session.display()
    [(content, buffers)] = sent
    assert (content["type"], content["view"]) == ("snapshot", "v2")
    assert buffers == [b"thumb of a"]


def test_a_missing_thumbnail_is_no_error(session: FakeSession, tmp_path: Path) -> None:
    session.become(finished("a", picture(tmp_path, "a", thumbnail=None)))
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    [(content, buffers)] = sent
    assert "thumb" not in content["items"][0]["assets"][0]
    assert buffers == []


def test_an_empty_thumbnail_is_left_out(session: FakeSession, tmp_path: Path) -> None:
    asset = picture(tmp_path, "a")
    session.become(finished("a", asset))
    assert asset.thumbnail is not None
    asset.thumbnail.write_bytes(b"")  # as somebody's own program leaves it for a moment
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    [(content, buffers)] = sent
    assert content["thumbs"] == []
    assert buffers == []


# Full size and refresh


def test_full_size_is_answered_with_the_files_bytes(session: FakeSession, tmp_path: Path) -> None:
    session.become(finished("a", picture(tmp_path, "a"), picture(tmp_path, "a2")))
    gallery, sent = opened(session)
    from_browser(gallery, type="full", id="a", n=1, request="r1")
    assert sent == []
    session.display()
    [(content, buffers)] = sent
    expected = {"type": "full", "request": "r1", "ok": True, "mime": "image/png", "name": "a2.png"}
    assert content == expected
    assert buffers == [b"bytes of a2"]


@pytest.mark.parametrize("asked", [{"id": "a", "n": 1}, {"id": "zz", "n": 0}, {"id": "a", "n": "../x"}, {}])
def test_full_size_of_what_is_not_there_is_answered_too(
    session: FakeSession, tmp_path: Path, asked: dict[str, Any]
) -> None:
    session.become(finished("a", picture(tmp_path, "a")))
    gallery, sent = opened(session)
    from_browser(gallery, type="full", request="r1", **asked)
    session.display()
    [(content, buffers)] = sent
    assert (content["ok"], content["request"], buffers) == (False, "r1", [])
    assert content["text"] == "There is no saved file to show."


def test_a_file_that_was_deleted_is_named(session: FakeSession, tmp_path: Path) -> None:
    asset = picture(tmp_path, "a")
    session.become(finished("a", asset))
    gallery, sent = opened(session)
    (tmp_path / "a.png").unlink()
    from_browser(gallery, type="full", id="a", n=0, request="r1")
    session.display()
    assert sent[0][0]["text"] == f"The file {asset.path} is gone."


def test_retry_refreshes_the_task(session: FakeSession) -> None:
    session.become(finished("a"))
    gallery, sent = opened(session)
    from_browser(gallery, type="refresh", id="a")
    from_browser(gallery, type="refresh", id="unknown")
    session.display()
    assert session.refreshed == ["a"]
    assert sent == []


def test_a_retry_that_fails_is_told_on_its_card(session: FakeSession) -> None:
    session.become(finished("a"))
    gallery, sent = opened(session)
    session.error = KiegenError("the session was closed")
    from_browser(gallery, type="refresh", id="a")
    session.display()
    assert sent[0][0]["items"][0]["note"] == "the session was closed"


@pytest.mark.parametrize("content", [{}, {"type": "nonsense"}, {"type": None}])
def test_messages_that_mean_nothing_are_ignored(session: FakeSession, content: dict[str, Any]) -> None:
    gallery, sent = opened(session)
    from_browser(gallery, **content)
    session.display()
    assert sent == []


# Thumbnails, details, zip


def test_thumbnails_of_what_is_seen_are_sent_when_asked_for(session: FakeSession, tmp_path: Path) -> None:
    session.become(*[finished(f"t{n}", picture(tmp_path, f"t{n}")) for n in range(60)])
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    keys = [data["assets"][0]["thumb"] for content, _ in sent for data in content["items"]][30:]
    sent.clear()
    from_browser(gallery, type="thumbs", view="v1", keys=keys)
    session.display()
    assert [(content["type"], content["view"], len(buffers)) for content, buffers in sent] == [
        ("thumbs", "v1", 20),
        ("thumbs", "v1", 10),
    ]
    pairs = {key: data for content, buffers in sent for key, data in zip(content["keys"], buffers, strict=True)}
    assert pairs[keys[7]] == b"thumb of t37"


@pytest.mark.parametrize("keys", [None, 7, [None, 3], ["a/9/x", "a/-1/x", "b/0/x", "../../etc/passwd/0/x", "a", ""]])
def test_thumbnails_that_are_not_there_are_left_out(session: FakeSession, tmp_path: Path, keys: object) -> None:
    session.become(finished("a", picture(tmp_path, "a")))
    gallery, sent = opened(session)
    from_browser(gallery, type="thumbs", view="v1", keys=keys)
    session.display()
    assert all(buffers == [] for _, buffers in sent)


def test_a_card_far_down_brings_no_thumbnail_by_itself(session: FakeSession, tmp_path: Path) -> None:
    others = [task(f"t{n}") for n in range(40)]
    session.become(*others, task("a"))
    _, sent = opened(session)
    session.become(*others, finished("a", picture(tmp_path, "a")))
    assert (sent[0][0]["items"][0]["kind"], sent[0][1]) == ("done", [])


def test_the_lightbox_is_told_everything(session: FakeSession, tmp_path: Path) -> None:
    known = finished("a", picture(tmp_path, "a"), input={"seed": 7}, credits_consumed=4.0, external_task_id="e1")
    session.become(known.model_copy(update={"submitted_at": THEN}))
    gallery, sent = opened(session)
    from_browser(gallery, type="details", view="v1", id="a")
    session.display()
    [(content, _)] = sent
    assert (content["type"], content["view"], content["task"]) == ("details", "v1", "a")
    told = {row["label"]: row["value"] for row in content["rows"]}
    assert told["Prompt"] == "a red kite"
    assert (told["Aspect ratio"], told["Seed"], told["Cost"], told["Took"]) == ("16:9", "7", "4 credits", "5.2 s")
    assert (told["Task"], told["Task at Kie"], told["Group"]) == ("a", "e1", "default")
    assert told["File"] == str(tmp_path / "a.png")
    assert [row["label"] for row in content["rows"] if row.get("copy")][:2] == ["Prompt", "Model"]


def test_details_of_a_task_that_is_gone_are_not_answered(session: FakeSession) -> None:
    gallery, sent = opened(session)
    from_browser(gallery, type="details", view="v1", id="gone")
    session.display()
    assert sent == []


def test_endless_values_are_cut() -> None:
    known = rows(task("a", "x" * 100_000, input={"y" * 500: {"deep": ["z" * 9000]}}))
    assert max(len(row["value"]) for row in known) == 4000
    assert max(len(row["label"]) for row in known) == 60


def zipped(session: FakeSession, gallery: Gallery, sent: Sent, *ids: str) -> dict[str, Any]:
    from_browser(gallery, type="zip", ids=list(ids), request="r1")

    def is_told() -> bool:  # it is packed on another thread
        session.display()
        return bool(sent)

    until(is_told)
    [(content, buffers)] = sent
    sent.clear()
    assert (content["type"], content["request"], buffers) == ("zip", "r1", [])
    return content


def test_selected_files_are_packed_with_their_sidecars(session: FakeSession, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    session.become(*[finished(name, picture(tmp_path / "results", name)) for name in ("a", "b", "c")])
    (tmp_path / "results" / "a.png.json").write_text("{}")
    (tmp_path / "results" / "b.png").unlink()
    gallery, sent = opened(session)
    content = zipped(session, gallery, sent, "a", "b", "unknown")
    target = tmp_path / "kites-selected.zip"
    assert content["text"] == f"1 file in {target}; 1 is gone"
    assert (content["name"], content["size"], content["small"]) == (target.name, target.stat().st_size, True)
    with zipfile.ZipFile(target) as archive:
        assert sorted(archive.namelist()) == ["a.png", "a.png.json"]
        assert archive.read("a.png") == b"bytes of a"
    from_browser(gallery, type="zip_bytes", request="r2")
    session.display()
    assert sent[0][0]["ok"] is True
    assert sent[0][1] == [target.read_bytes()]


def test_a_zip_of_nothing_is_none_and_leaves_the_one_of_before(session: FakeSession, tmp_path: Path) -> None:
    session.become(finished("a", picture(tmp_path, "a")))
    gallery, sent = opened(session)
    zipped(session, gallery, sent, "a")
    before = (tmp_path / "kites-selected.zip").read_bytes()
    (tmp_path / "a.png").unlink()
    content = zipped(session, gallery, sent, "a")
    assert (content["ok"], content["text"]) == (False, "No zip was made: none of the files is there any more.")
    assert (tmp_path / "kites-selected.zip").read_bytes() == before
    assert list(tmp_path.glob(".*")) == []


def test_a_zip_that_was_never_made_is_said_to_be_none(session: FakeSession) -> None:
    gallery, sent = opened(session)
    from_browser(gallery, type="zip_bytes", request="r2")
    session.display()
    assert (sent[0][0]["ok"], sent[0][1]) == (False, [])


def test_the_page_is_told_where_the_files_may_be(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    session.output_dir = Path("/srv/ann/work/kiegen_output")
    monkeypatch.setenv("JPY_SESSION_NAME", "/srv/ann/work/book.ipynb")
    inside, beside = session.output_dir / "kites" / "a.png", Path("/elsewhere/b.png")
    assets = [Asset(kind=AssetKind.IMAGE, path=path) for path in (inside, beside)]
    session.become(finished("a", *assets))
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    [(content, _)] = sent
    told = content["header"]
    assert (told["folder"], told["near"]) == ("/srv/ann/work/kiegen_output", "kiegen_output")
    assert [asset.get("file") for asset in content["items"][0]["assets"]] == ["kites/a.png", None]


# Deleting, and asking anew


def test_a_deletion_can_be_undone_also_after_a_reload(session: FakeSession, tmp_path: Path) -> None:
    session.become(task("c"), finished("b"), finished("a"))
    gallery, sent = opened(session)
    from_browser(gallery, type="delete", ids=["c", "b", "unknown", 7])
    session.display()
    assert sent[0][0]["removed"] == ["b"]
    undo = sent[-1][0]["header"]["undo"]
    folder = tmp_path.name
    assert (
        undo["text"] == f"1 deleted; the files are in {folder}/.deleted until you empty it. 1 still pending, so kept."
    )
    sent.clear()
    from_browser(gallery, type="ready", view="v2")
    session.display()
    assert sent[-1][0]["header"]["undo"] == undo
    from_browser(gallery, type="restore", token="another")
    session.display()
    assert [known.id for known in session.state.data] == ["c", "a"]
    from_browser(gallery, type="restore", token=undo["token"])
    session.display()
    assert [known.id for known in session.state.data] == ["b", "c", "a"]
    assert sent[-1][0]["header"]["undo"] is None


def test_pending_tasks_are_not_deleted(session: FakeSession) -> None:
    session.become(task("a"))
    gallery, sent = opened(session)
    from_browser(gallery, type="delete", ids=["a"])
    session.display()
    reason = "Pending tasks cannot be deleted: they may still bring a paid result."
    assert sent[0][0]["header"]["error"] == reason
    assert len(session.state.data) == 1


def test_a_deletion_that_fails_is_told_above_the_cards(session: FakeSession) -> None:
    session.become(finished("a"))
    gallery, sent = opened(session)
    session.error = KiegenError("disk <b>full</b>")
    from_browser(gallery, type="delete", ids=["a"])
    session.display()
    assert sent[0][0]["header"]["error"] == "disk <b>full</b>"
    assert sent[0][0]["header"]["undo"] is None


def failed(name: str, **fields: Any) -> GenerationTask:
    return task(name, **{"status": TaskStatus.FAILED, "activity": None, "fail_code": "500"} | fields)


@pytest.mark.parametrize(
    ("known", "offer"),
    [
        (failed("a"), "Try again"),
        (failed("a", fail_code=CANCELLED), "Try again"),
        (failed("a", fail_code=TIMEOUT), None),  # it may still come: "Look again"
        (failed("a", fail_code=UNCONFIRMED), None),  # it may have been charged
        (failed("a", parent_id="b"), None),  # its parent offers it
        (finished("a"), None),
        (task("a"), None),
    ],
)
def test_only_what_certainly_failed_is_asked_for_anew_with_a_click(known: GenerationTask, offer: str | None) -> None:
    assert card(known).get("retry") == offer


def test_a_failed_task_is_asked_for_anew_once(session: FakeSession) -> None:
    session.become(failed("a"))
    gallery, sent = opened(session)
    from_browser(gallery, type="retry", id="a")
    session.display()
    assert session.asked_anew == ["a"]
    session.become(task("a-anew"), failed("a"))
    sent.clear()
    from_browser(gallery, type="retry", id="a")
    session.display()
    assert session.asked_anew == ["a"]
    assert sent[0][0]["items"][0]["note"] == "It was asked for anew; see its card."
    session.become(failed("a-anew"), failed("a"))
    from_browser(gallery, type="retry", id="a")
    session.display()
    assert session.asked_anew == ["a", "a"]


def test_many_are_tried_again_each_in_its_way(session: FakeSession) -> None:
    lost = Asset(kind=AssetKind.IMAGE, url="https://x.example/1.png", error="HTTP 503.")
    session.become(failed("d"), failed("c", fail_code=UNCONFIRMED), finished("b", lost), task("a"))
    gallery, _ = opened(session)
    from_browser(gallery, type="retry_all", ids=["a", "b", "c", "d"])
    session.display()
    assert (session.asked_anew, session.refreshed) == (["d"], ["b"])


# Waiting


def test_only_a_sent_task_has_an_expected_time(session: FakeSession) -> None:
    session.usual = {"a": 40.0, "b": 40.0, "c": 40.0}
    sent_out = task("b", activity=Activity.WATCHING, submitted_at=THEN)
    session.become(task("a"), sent_out, finished("c", submitted_at=THEN))
    gallery = Gallery("kites", session=session)
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    assert [item.get("expected") for item in sent[0][0]["items"]] == [None, 40.0, None]


def test_the_run_is_what_was_asked_for_since_the_oldest_pending_task() -> None:
    def at(minute: int, known: GenerationTask) -> GenerationTask:
        return known.model_copy(update={"created_at": THEN + timedelta(minutes=minute)})

    tasks = (at(4, task("e")), at(3, finished("d")), at(2, failed("c")), at(1, task("b")), at(0, finished("a")))
    assert header(QueryState(data=tasks))["run"] == {"done": 2, "total": 4}
    assert header(QueryState(data=tasks[1:3]))["run"] is None


# Inputs


def test_a_result_is_handed_on_as_an_input(session: FakeSession, tmp_path: Path) -> None:
    session.become(finished("a", picture(tmp_path, "a"), picture(tmp_path, "a2")))
    gallery, _ = opened(session)
    used: list[Asset] = []
    for n in (1, 2, -1, "0", None):
        from_browser(gallery, type="use", id="a", n=n)
    session.display()  # nobody takes any
    gallery.on_use = used.append
    for n in (1, 2, -1, "0", None):
        from_browser(gallery, type="use", id="a", n=n)
    session.display()
    assert [asset.path for asset in used] == [tmp_path / "a2.png"]


# Follow-ups and settings


def film(name: str, **fields: Any) -> GenerationTask:
    """Return a finished Veo video, which can be extended and had in 1080p and 4K."""
    params = veo3("a boat on a lake")
    known = {"model": params.model, "api_model": params.api_model, "provider_params": params.to_json()}
    asset = Asset(kind=AssetKind.VIDEO, path=Path("film.mp4"))
    return finished(name, asset, **known | {"external_task_id": f"e-{name}"} | fields)


def copy_of(name: str, parent: GenerationTask, **fields: Any) -> GenerationTask:
    step = next(step for step in follow_ups(parent) if step.name == "1080p")
    params = step.make()
    known = {"model": params.model, "api_model": params.api_model, "provider_params": params.to_json()}
    return task(name, parent_id=parent.id, **known | fields)


def test_a_finished_task_offers_its_follow_ups() -> None:
    assert card(film("a"))["next"] == [
        {"name": "extend", "title": "Extend", "needs_prompt": True, "indexes": [0]},
        {"name": "1080p", "title": "Get 1080p", "needs_prompt": False, "indexes": [0]},
        {"name": "4k", "title": "Get 4K", "needs_prompt": False, "indexes": [0]},
    ]


@pytest.mark.parametrize(
    "known",
    [
        film("a", status=TaskStatus.PENDING),
        film("a", activity=Activity.SAVING),
        film("a", status=TaskStatus.FAILED),
        film("a", external_task_id=None),
        task("a", status=TaskStatus.SUCCESS, activity=None, external_task_id="e"),
    ],
    ids=["pending", "saving", "failed", "without the service's id", "of a model without any"],
)
def test_what_cannot_be_followed_up_offers_nothing(known: GenerationTask) -> None:
    assert "next" not in card(known)


def test_a_follow_up_names_what_it_is_of(session: FakeSession) -> None:
    parent = film("a")
    session.become(copy_of("b", parent), parent)
    _, sent = opened(session)
    session.become(copy_of("b", parent, state="generating", activity=Activity.WATCHING), parent)
    [item] = sent[0][0]["items"]
    assert item["of"] == "1080p of a boat on a lake"
    assert "load" not in item
    assert card(copy_of("b", parent))["of"] == "Follow-up of another task"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"name": "1080p", "index": 0}, ("a", "1080p", 0, None)),
        ({"name": "extend", "index": 0, "prompt": "it lands"}, ("a", "extend", 0, "it lands")),
        ({"name": "upscale", "index": 3, "prompt": 7}, ("a", "upscale", 3, None)),
        ({"name": "upscale", "index": "3"}, ("a", "upscale", 0, None)),
    ],
)
def test_a_click_on_a_follow_up_is_handed_on(
    session: FakeSession, content: dict[str, Any], expected: tuple[str, str, int, str | None]
) -> None:
    session.become(film("a"))
    gallery, sent = opened(session)
    from_browser(gallery, type="follow_up", id="a", **content)
    assert session.followed == []
    session.display()
    assert session.followed == [expected]
    assert sent == []


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (InvalidParams({"prompt": "is empty. Write how the video goes on."}), "Prompt is empty. Write how the video"),
        (KiegenError("The session was <b>closed</b>."), "The session was <b>closed</b>."),
        (OSError("disk full"), "disk full"),
    ],
)
def test_a_follow_up_that_fails_says_why_on_its_card_until_it_works(
    session: FakeSession, error: Exception, note: str
) -> None:
    session.become(film("b"), film("a"))
    gallery, sent = opened(session)
    session.error = error
    from_browser(gallery, type="follow_up", id="a", name="extend", index=0, prompt="")
    session.display()
    [(content, _)] = sent
    [item] = content["items"]
    assert (content["type"], item["id"]) == ("patch", "a")
    assert item["note"].startswith(note)
    session.become(film("b"), film("a", credits_consumed=4.0))
    assert sent[-1][0]["items"][0]["note"].startswith(note)
    session.error = None
    from_browser(gallery, type="follow_up", id="a", name="extend", index=0, prompt="it lands")
    session.display()
    assert "note" not in sent[-1][0]["items"][0]


def test_a_follow_up_that_was_asked_for_before_says_so(session: FakeSession) -> None:
    parent = film("a")
    session.become(copy_of("a-1080p", parent), parent)
    gallery, sent = opened(session)
    from_browser(gallery, type="follow_up", id="a", name="1080p", index=0)
    session.display()
    assert sent[0][0]["items"][0]["note"] == "This was asked for before; see its card."


@pytest.mark.parametrize("kind", ["follow_up", "load"])
def test_buttons_of_a_card_that_is_gone_do_nothing(session: FakeSession, kind: str) -> None:
    gallery, sent = opened(session)
    from_browser(gallery, type=kind, id="gone", name="extend", index=0)
    session.display()
    assert (session.followed, sent) == ([], [])


def test_settings_are_offered_where_someone_takes_them(session: FakeSession) -> None:
    session.become(task("a"))
    gallery = Gallery("kites", session=session)
    taken: list[str] = []
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    session.display()
    assert not sent[-1][0]["header"]["loads"]
    gallery.on_load = lambda known: taken.append(known.id)
    from_browser(gallery, type="ready", view="v2")
    session.display()
    assert sent[-1][0]["header"]["loads"]
    from_browser(gallery, type="load", id="a")
    session.display()
    assert taken == ["a"]


def test_settings_that_cannot_be_taken_over_say_why_on_the_card(session: FakeSession) -> None:
    def refuse(_: GenerationTask) -> None:
        raise InvalidParams({"quality": "is not a field of this form."})

    session.become(task("a"))
    gallery, sent = opened(session)
    gallery.on_load = refuse
    from_browser(gallery, type="load", id="a")
    session.display()
    assert sent[0][0]["items"][0]["note"] == "Quality is not a field of this form."


# Life time


def test_closing_ends_the_subscription(session: FakeSession) -> None:
    gallery, sent = opened(session)
    assert len(session.followers) == 1
    gallery.close()
    assert session.followers == []
    session.become(task("a"))
    assert sent == []


def test_a_gallery_whose_last_view_is_gone_stops_following(session: FakeSession) -> None:
    # A cell that runs again replaces its output; ipywidgets keeps the old widget, nobody closes it.
    gallery, sent = opened(session)
    from_browser(gallery, type="ready", view="v2")
    from_browser(gallery, type="bye", view="v1")
    session.display()
    assert len(session.followers) == 1
    from_browser(gallery, type="bye", view="v2")
    session.display()
    assert session.followers == []
    sent.clear()
    session.become(task("a"))
    assert sent == []
    from_browser(gallery, type="ready", view="v3")
    session.display()
    assert len(session.followers) == 1
    assert [item["id"] for item in sent[-1][0]["items"]] == ["a"]


def test_the_session_does_not_keep_a_gallery_alive(session: FakeSession) -> None:
    gallery = Gallery("kites", session=session)
    gone = weakref.ref(gallery)
    # What else keeps an open widget is ipywidgets' own: its registry and its comm.
    widget._instances.pop(gallery.model_id)
    gallery.comm.on_msg(None)
    del gallery
    gc.collect()
    assert gone() is None
    assert session.followers == []


def test_a_gallery_of_given_tasks_needs_no_session() -> None:
    gallery = Gallery(tasks=[task("a")])
    sent = record(gallery)
    from_browser(gallery, type="ready", view="v1")
    gallery.show([task("b"), task("a")])
    assert [content["type"] for content, _ in sent] == ["snapshot", "patch"]
    assert sent[0][0]["header"]["live"] is False
    gallery.close()


# State, repr and fallback


def test_the_saved_state_stays_small(session: FakeSession, tmp_path: Path) -> None:
    session.become(*[finished(f"t{n}", picture(tmp_path, f"t{n}"), prompt="x" * 300) for n in range(100)])
    gallery, _ = opened(session)
    assert len(json.dumps(gallery._get_embed_state())) <= 20 * 1024
    assert len(json.dumps(gallery.get_state())) <= 4 * 1024


def test_the_gallery_has_a_short_and_stable_repr(session: FakeSession) -> None:
    gallery = Gallery("kites", session=session)
    assert repr(gallery) == "Gallery(kites)"
    found = gallery._repr_mimebundle_()
    assert found is not None
    data, _ = found
    assert data["text/plain"] == "Gallery(kites)"
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == gallery.model_id


def test_a_contact_sheet_is_drawn_or_written(session: FakeSession, tmp_path: Path) -> None:
    session.become(task("a"), task("b"))
    gallery = Gallery("kites", session=session)
    sheet = gallery.contact_sheet(columns=1)
    assert sheet.height > sheet.width
    path = gallery.contact_sheet(tmp_path / "sheet.png")
    assert path == tmp_path / "sheet.png"
    with Image.open(path) as written:
        assert (written.format, written.width) == ("PNG", 2 * sheet.width - 12)
    given = Gallery(tasks=[task("a")])
    given.show([])
    assert given.contact_sheet().tobytes() == contact_sheet([]).tobytes()


def test_studio_joins_a_form_and_a_gallery(session: FakeSession) -> None:
    studio = Studio(session=session, prompt_id="kites")
    assert repr(studio) == "Studio(kites)"
    assert studio.form.session is session
    assert studio.form.prompt_id == studio.gallery.prompt_id == "kites"
    assert list(studio.children) == [studio.tabs, studio.gallery]
    assert studio.tabs.children[0].children == (studio.form,)
    studio.close()
    assert session.followers == []


# Cards

MISSING = Asset(kind=AssetKind.IMAGE, url="https://x.example/1.png", error="HTTP 503, three times.")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"activity": Activity.QUEUED}, ("pending", "Waiting to be sent")),
        ({"activity": Activity.SUBMITTING}, ("pending", "Sending")),
        ({"activity": Activity.PAUSED}, ("pending", "Paused")),
        ({"activity": Activity.WATCHING, "state": "waiting"}, ("pending", "Waiting")),
        ({"activity": Activity.WATCHING, "state": "brand_new_word"}, ("pending", "Brand new word")),
        ({"activity": Activity.WATCHING}, ("pending", "Accepted")),
        ({"status": TaskStatus.SUCCESS, "activity": Activity.SAVING}, ("saving", "Saving")),
        ({"status": TaskStatus.SUCCESS, "activity": None}, ("missing", "Done, without a file")),
        ({"status": TaskStatus.FAILED, "activity": None}, ("failed", "Failed")),
        ({"status": TaskStatus.FAILED, "fail_code": TIMEOUT}, ("failed", "Took too long")),
        ({"status": TaskStatus.FAILED, "fail_code": CANCELLED}, ("failed", "Cancelled")),
        ({"status": TaskStatus.FAILED, "fail_code": UNCONFIRMED}, ("unconfirmed", "May have been charged")),
    ],
)
def test_every_state_has_its_card_and_its_words(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    data = card(task("a", **fields))
    assert (data["kind"], data["word"]) == expected


def test_a_finished_card_tells_its_size_seconds_and_credits(tmp_path: Path) -> None:
    data = card(finished("a", picture(tmp_path, "a"), credits_consumed=1.0))
    assert data["facts"] == ["imagen4-fast", "1408×768", "5.2 s", "1 credit"]  # noqa: RUF001 - the sign is meant


def test_a_failed_card_tells_why_and_its_code() -> None:
    data = card(task("a", status=TaskStatus.FAILED, fail_code="422", fail_msg="Shorten it.", activity=None))
    assert (data["reason"], data["code"]) == ("Shorten it.", "422")
    assert "again" not in data


@pytest.mark.parametrize(
    ("known", "again"),
    [
        (finished("a", MISSING), "Retry"),
        (finished("a"), "Retry"),
        (task("a", status=TaskStatus.FAILED, fail_code=TIMEOUT, activity=Activity.GAVE_UP), "Look again"),
        (task("a"), None),
    ],
)
def test_what_can_be_tried_again_offers_it(known: GenerationTask, again: str | None) -> None:
    assert card(known).get("again") == again


def test_fewer_pictures_than_asked_for_are_explained(tmp_path: Path) -> None:
    known = finished("a", picture(tmp_path, "a"), input={"num_images": "4"})
    assert card(known)["note"] == "1 of 4 delivered; use repeat=4"


def test_odd_stored_parameters_still_make_a_card() -> None:
    known = task("a", provider_params={"input": ["no", "object"]})
    assert card(known)["kind"] == "pending"
    assert "prompt" not in card(known)
