"""The upload widget without a kernel: what it sends is recorded, what a browser sends is handed in."""

from __future__ import annotations

import gc
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kiegen_nb.engine.state import QueryState
from kiegen_nb.errors import InvalidParams, KiegenError, UploadCancelled, UploadError
from kiegen_nb.kie.models.veo3 import KieVeo3Params
from kiegen_nb.settings import data_folder
from kiegen_nb.tasks import Asset, AssetKind, UploadResult
from kiegen_nb.widgets import upload as module
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.lists import AddressControl, AddressesControl
from kiegen_nb.widgets.studio import Studio
from kiegen_nb.widgets.upload import UploadWidget
from kiegen_nb.widgets.upload_plain import PlainUpload
from kiegen_nb.widgets.upload_receiving import MOST_BYTES
from tests.support.bench import HOSTILE, Buttons, task
from tests.support.uploads import png


class Upload:
    """An upload that ends when the test says so."""

    def __init__(self, source: Path, options: dict[str, Any]) -> None:
        self.source = source
        self.data = source.read_bytes() if source.is_file() else b""
        self.options = options
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def progress(self, sent: int, total: int) -> None:
        self.options["on_progress"](sent, total)

    def succeed(self, number: int = 1, **fields: Any) -> UploadResult:
        known = {
            "download_url": f"https://files.example/{number}.png",
            "expires_at": datetime(2030, 1, 1, tzinfo=UTC),
            "is_assumed": False,
            "name": self.options["name"],
            "mime": "image/png",
            "size": len(self.data),
            "kind": AssetKind.IMAGE,
        }
        upload = UploadResult(**known | fields)
        self.options["on_success"](upload)
        return upload

    def fail(self, error: KiegenError) -> None:
        self.options["on_error"](error)


class Uploading(Buttons):
    """A session that uploads nothing, and lets the test say what became of it."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Upload] = []
        self.known: tuple[UploadResult, ...] = ()

    def start_upload(self, source: Path, **options: Any) -> Upload:
        self.started.append(Upload(source, options))
        return self.started[-1]

    def uploads(self) -> tuple[UploadResult, ...]:
        return self.known


class Page:
    """What a browser would send, and what it was told."""

    def __init__(self, widget: UploadWidget) -> None:
        self.widget = widget
        self.told: list[dict[str, Any]] = []
        self.buffers: list[list[bytes]] = []
        widget.send = self._take

    def _take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        json.dumps(content)
        self.told.append(content)
        self.buffers.append(list(buffers or ()))

    def send(self, kind: str, *buffers: bytes, **content: Any) -> None:
        data = {"method": "custom", "content": {"type": kind, "view": "v1"} | content}
        self.widget._handle_msg({"content": {"data": data}, "buffers": [memoryview(one) for one in buffers]})

    def begin(self, size: int, name: str = "kite.png", file: str = "f1", **more: Any) -> None:
        known = {"file": file, "name": name, "size": size, "mime": "image/png", "page": "p1"}
        self.send("begin", **known | more)

    def whole(self, data: bytes = b"12345678", file: str = "f1", **more: Any) -> None:
        self.begin(len(data), file=file, **more)
        self.send("piece", data, file=file, at=0)

    def item(self, file: str = "f1") -> dict[str, Any]:
        found: dict[str, Any] = [m["item"] for m in self.told if m["type"] == "item" and m["item"]["file"] == file][-1]
        return found

    def snapshot(self, before: str | None = None) -> list[dict[str, Any]]:
        self.send("ready", view="v2", before=before)
        assert self.told[-1]["type"] == "snapshot"
        items: list[dict[str, Any]] = self.told[-1]["items"]
        return items


@pytest.fixture
def session() -> Uploading:
    return Uploading()


@pytest.fixture
def page(session: Uploading) -> Page:
    return Page(UploadWidget(session))


def left() -> list[str]:
    return sorted(path.name for path in (data_folder() / "uploads").glob("*"))


def test_pieces_in_order_make_the_file_that_is_uploaded(page: Page, session: Uploading) -> None:
    page.begin(10)
    for at, data in ((0, b"0123"), (4, b"4567"), (8, b"89")):
        assert page.told[-1] == {"type": "got", "file": "f1", "got": at}
        page.send("piece", data, file="f1", at=at)
    [upload] = session.started
    assert upload.data == b"0123456789"
    assert upload.options["name"] == "kite.png"
    assert upload.options["keep_copy"] is True
    assert upload.options["accept"] == ("image", "video")
    assert page.item()["state"] == "sending"
    result = upload.succeed()
    assert page.widget.uploads == page.widget.value == (result,)
    assert page.item() | {"now": 0} == page.item() | {"now": 0, "state": "done", "url": result.download_url, "text": ""}
    assert left() == []


@pytest.mark.parametrize(
    "pieces",
    [
        [(4, b"4567")],
        [(0, b"0123"), (5, b"5678")],
        [(0, b"0123"), (2, b"2345")],
        [(0, b"01234567890")],
        [(-1, b"0123")],
        [("0", b"0123")],
        [(True, b"0123")],
        [(0, b"")],
    ],
)
def test_pieces_in_disorder_end_the_file(page: Page, session: Uploading, pieces: list[tuple[Any, bytes]]) -> None:
    page.begin(10)
    for at, data in pieces:
        page.send("piece", data, file="f1", at=at)
    assert page.item()["state"] == "failed"
    assert page.item()["text"] == "kite.png arrived in disorder: choose it again."
    assert not session.started
    assert left() == []


def test_a_piece_that_comes_twice_is_taken_once(page: Page, session: Uploading) -> None:
    page.begin(8)
    for at, data in ((0, b"0123"), (0, b"0123"), (4, b"4567"), (4, b"4567")):
        page.send("piece", data, file="f1", at=at)
    assert [upload.data for upload in session.started] == [b"01234567"]


def test_a_page_that_missed_an_answer_asks_where_to_go_on(page: Page) -> None:
    page.begin(8)
    page.send("piece", b"0123", file="f1", at=0)
    page.told.clear()
    page.send("where", file="f1")
    page.begin(8)
    assert page.told == [{"type": "got", "file": "f1", "got": 4}] * 2


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "kite.png is empty: check that it was written and closed before."),
        (-3, "kite.png is empty: check that it was written and closed before."),
        ("7", "kite.png is empty: check that it was written and closed before."),
        (MOST_BYTES + 2**20, "kite.png has 513 MB: make it 512 MB or less."),
    ],
)
def test_a_size_that_cannot_be_is_refused_before_a_byte_is_sent(page: Page, size: Any, text: str) -> None:
    page.begin(size)
    assert page.item()["text"] == text
    assert all(told["type"] != "got" for told in page.told)
    assert left() == []


@pytest.mark.parametrize(("mime", "name"), [("audio/mpeg", "song"), ("", "song.mp3"), ("audio/x-wav", "song.png")])
def test_what_is_plainly_another_kind_is_refused_before_a_byte_is_sent(page: Page, mime: str, name: str) -> None:
    page.send("begin", file="f1", name=name, size=5, mime=mime, page="p1")
    assert page.item()["text"] == f"{name} is a sound, by its name: choose a picture or a video."


def test_what_may_be_anything_is_left_to_its_bytes(page: Page, session: Uploading) -> None:
    page.send("begin", file="f1", name="blob", size=4, mime="application/octet-stream", page="p1")
    page.send("piece", b"0123", file="f1", at=0)
    session.started[0].fail(UploadError("blob is no picture."))
    assert (page.item()["state"], page.item()["text"]) == ("failed", "blob is no picture.")
    assert left() == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.png", "evil.png"),
        ("a\0b.png", "a_b.png"),
        ("x" * 300 + ".png", None),
        (HOSTILE, None),
        ("", "file"),
        ("\n\r\t", None),
        (None, "None"),
    ],
)
def test_hostile_names_end_as_safe_temporary_names(
    page: Page, session: Uploading, name: Any, shown: str | None
) -> None:
    page.begin(4, name=name)
    [path] = (data_folder() / "uploads").iterdir()
    assert len(path.name) == len(".") + 32 + len(".part")
    page.send("piece", b"0123", file="f1", at=0)
    [upload] = session.started
    assert upload.source == path
    said = page.item()["name"]
    assert len(said) <= 120
    assert said.isprintable()
    assert "/" not in said
    assert shown in (said, None)


def test_cancel_while_it_arrives_leaves_nothing(page: Page, session: Uploading) -> None:
    page.begin(8)
    page.send("piece", b"0123", file="f1", at=0)
    page.send("cancel", file="f1")
    assert page.item()["text"] == "The upload of kite.png was cancelled; nothing of it is kept."
    page.send("piece", b"4567", file="f1", at=4)
    assert not session.started
    assert left() == []


def test_cancel_on_the_way_to_kie_ends_the_upload(page: Page, session: Uploading) -> None:
    page.whole()
    page.send("cancel", file="f1")
    assert session.started[0].cancelled
    session.started[0].fail(UploadCancelled("The upload of kite.png was cancelled; nothing of it is kept."))
    assert page.item()["state"] == "failed"
    assert left() == []


def test_remove_takes_an_upload_off_the_list(page: Page, session: Uploading) -> None:
    page.whole()
    seen: list[Any] = []
    page.widget.observe(lambda change: seen.append(change["new"]), names="uploads")
    upload = session.started[0].succeed()
    page.send("remove", file="f1")
    assert page.told[-1] == {"type": "gone", "file": "f1"}
    assert seen == [(upload,), ()]
    assert page.snapshot() == []


def test_removed_on_the_way_it_is_cancelled_and_never_listed(page: Page, session: Uploading) -> None:
    page.whole()
    page.send("remove", file="f1")
    assert session.started[0].cancelled
    session.started[0].succeed()
    assert page.widget.uploads == ()
    assert left() == []


def test_after_a_reload_the_kernel_keeps_its_files_and_drops_the_half_one(page: Page, session: Uploading) -> None:
    page.whole(file="f1")
    session.started[0].succeed()
    page.whole(file="f2")
    page.begin(8, file="f3")
    page.send("piece", b"0123", file="f3", at=0)
    page.begin(8, file="f4", page="another tab")
    items = {item["file"]: item for item in page.snapshot(before="p1")}
    assert [item["state"] for item in items.values()] == ["done", "sending", "failed", "receiving"]
    assert items["f3"]["text"] == "kite.png did not arrive as a whole, the page was loaded anew: choose it again."


def test_a_second_view_drops_nothing_and_only_its_owner_does(page: Page) -> None:
    page.begin(8)
    assert page.snapshot(before="p0")[0]["state"] == "receiving"
    page.send("bye", view="v2")
    assert page.snapshot()[0]["state"] == "receiving"
    page.send("bye", view="v1")
    assert page.snapshot()[0]["state"] == "failed"


def test_another_view_may_give_a_file_up_after_a_long_silence_only(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.begin(8)
    page.send("lost", file="f1", view="v2")
    assert page.item()["state"] == "receiving"
    monkeypatch.setattr(module, "_SILENCE", -1.0)
    page.send("lost", file="f1", view="v2")
    assert page.item()["text"] == "kite.png did not arrive as a whole, nothing of it came any more: choose it again."


def test_progress_to_kie_is_told_now_and_then(page: Page, session: Uploading) -> None:
    page.whole()
    for sent in range(100):
        session.started[0].progress(sent, 100)
    told = [message for message in page.told if message["type"] == "sent"]
    assert 1 <= len(told) < 100
    assert page.snapshot()[0]["sent"] == 99


def test_one_of_one_replaces_the_one_before(session: Uploading) -> None:
    page = Page(UploadWidget(session, multiple=False, accept="image"))
    assert [page.widget.value] == [None]
    page.whole(file="f1")
    session.started[0].succeed(1)
    page.whole(file="f2")
    second = session.started[1].succeed(2)
    assert page.widget.value == second
    assert [item["file"] for item in page.snapshot()] == ["f2"]


def test_who_listens_is_told_and_a_mistake_of_theirs_is_shown(page: Page, session: Uploading) -> None:
    told: list[UploadResult] = []
    page.widget.on_upload(told.append)
    page.whole()
    upload = session.started[0].succeed()
    assert told == [upload]
    page.widget.on_upload(told.append, remove=True)

    def refuse(_: object) -> None:
        raise ValueError("Images takes 3 at most.")

    page.widget.on_upload(refuse)
    page.whole(file="f2")
    session.started[1].succeed(2)
    assert len(told) == 1
    assert (page.item("f2")["state"], page.item("f2")["text"]) == ("done", "Images takes 3 at most.")


def test_nothing_of_a_file_is_in_the_saved_state(page: Page, session: Uploading) -> None:
    page.whole()
    session.started[0].succeed()
    state = json.dumps(page.widget.get_state())
    assert "kite" not in state
    assert "files.example" not in state
    assert len(state) < 4096


@pytest.mark.parametrize("end", ["close", "forget"])
def test_an_end_leaves_no_half_file(session: Uploading, end: str) -> None:
    page = Page(UploadWidget(session))
    page.begin(8)
    assert len(left()) == 1
    page.widget.close()
    if end == "forget":
        del page
        gc.collect()
    assert left() == []


def test_what_is_no_message_of_ours_changes_nothing(page: Page) -> None:
    for kind in ("piece", "cancel", "remove", "where", "lost", "glance", "begin", "nonsense"):
        page.send(kind)
    page.begin(4, file="x" * 65)
    page.send("begin", file={"a": 1}, name=[], size={}, mime=3)
    assert len(page.snapshot()) <= 2
    assert left() == []


def test_a_kind_that_is_none_is_refused(session: Uploading) -> None:
    with pytest.raises(InvalidParams, match="image, video, audio"):
        UploadWidget(session, accept="text")


def test_without_anywidget_the_limit_stands_beside_the_button(session: Uploading) -> None:
    plain = UploadWidget.plain(session, accept="image")
    assert isinstance(plain, PlainUpload)
    assert "At most 10 MB in all" in plain.children[0].children[1].value
    plain.button.value = ({"name": HOSTILE, "type": "image/png", "size": 4, "content": b"0123", "last_modified": NOW},)
    [upload] = session.started
    assert upload.data == b"0123"
    result = upload.succeed()
    assert plain.value == (result,)
    assert "<script>" not in plain._lines.children[0].value
    assert left() == []


# In forms

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def opened(control: AddressControl | AddressesControl) -> Page:
    control.upload.click()
    assert control.uploader is not None
    return Page(control.uploader)


@pytest.fixture
def images(session: Uploading) -> Any:
    return Form(KieVeo3Params, session=session).controls["image_urls"]


def test_a_field_builds_its_widget_when_it_is_opened(images: Any) -> None:
    assert [images.uploader] == [None]
    images.upload.click()
    assert images.uploader in images.box.children
    assert images.uploader.accept == ("image",)
    images.upload.click()
    assert images.uploader.layout.display == "none"


def test_an_upload_joins_the_list_under_its_name(images: Any, session: Uploading) -> None:
    page = opened(images)
    page.whole(name="<b>kite</b>.png")
    upload = session.started[0].succeed(name="<b>kite</b>.png")
    assert session.started[0].options["model"] == "veo3_fast"
    assert images.get() == [upload.download_url]
    assert "&lt;b&gt;kite&lt;/b&gt;.png" in images.rows[0].box.children[0].value
    images.rows[0].remove.click()
    assert images.get() is None
    assert page.snapshot() == []


def test_what_is_removed_below_leaves_the_list(images: Any, session: Uploading) -> None:
    images.set(["https://example.com/own.png"])
    page = opened(images)
    page.whole()
    session.started[0].succeed()
    page.send("remove", file="f1")
    assert images.get() == ["https://example.com/own.png"]


def test_a_full_list_says_so_at_the_file(images: Any, session: Uploading) -> None:
    images.set([f"https://example.com/{n}.png" for n in range(images.field.most)])
    page = opened(images)
    page.whole()
    session.started[0].succeed()
    assert page.item()["text"] == f"{images.field.title} takes {images.field.most} at most."


def test_an_address_of_before_is_shown_by_its_name(images: Any, session: Uploading) -> None:
    upload = Upload(Path("none"), {"name": "kite.png", "on_success": lambda _: None}).succeed()
    session.known = (upload,)
    images.set([upload.download_url])
    assert "kite.png" in images.rows[0].box.children[0].value


def test_a_field_of_one_address_takes_one_upload(session: Uploading) -> None:
    form = Form.market("kling-3.0/motion-control", session=session)
    control = next(known for known in form.controls.values() if isinstance(known, AddressControl))
    page = opened(control)
    assert control.uploader is not None
    assert control.uploader.multiple is False
    page.whole()
    upload = session.started[0].succeed()
    assert control.addresses == [upload.download_url]
    assert control.input.layout.display == "none"
    page.send("remove", file="f1")
    assert control.addresses == []
    assert control.input.layout.display is None


def test_a_saved_result_is_uploaded_for_the_form_in_front(session: Uploading, tmp_path: Path) -> None:
    path = tmp_path / "result.png"
    path.write_bytes(png())
    studio = Studio(session, prompt_id="kites")
    studio.tabs.selected_index = list(studio.forms).index("VEO3")
    studio.use(Asset(kind=AssetKind.IMAGE, url="https://results.example/1.png", path=path))
    [upload] = session.started
    assert upload.source == path
    assert upload.options["keep_copy"] is False
    assert upload.options["name"] == "result.png"
    result = upload.succeed()
    assert studio.form.controls["image_urls"].get() == [result.download_url]


def test_a_result_that_becomes_an_input_is_called_by_its_prompt(session: Uploading, tmp_path: Path) -> None:
    path = tmp_path / "0123456789abcdef-0.png"
    path.write_bytes(png())
    asset = Asset(kind=AssetKind.IMAGE, path=path)
    studio = Studio(session, prompt_id="kites")
    studio.tabs.selected_index = list(studio.forms).index("VEO3")
    for prompt, name in (
        ("a red\nkite/boat", "a red kite boat.png"),
        (f"a red kite {'over the sea ' * 9}", "a red kite over the sea over the sea ov….png"),
    ):
        studio.gallery._on_state(QueryState(data=(task("a", prompt, assets=(asset,)),), is_loading=False))
        studio.use(asset)
        assert session.started[-1].options["name"] == name


def test_a_session_without_uploads_says_so() -> None:
    form = Form(KieVeo3Params, session=Buttons())
    control: Any = form.controls["image_urls"]
    control.upload.click()
    assert "This session takes no uploads." in control.message.value
