"""Uploads on a real sandbox: each content once while its address lives, again before a request needs it."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import io
import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kiegen_nb.engine import upload_checks
from kiegen_nb.engine import uploads as uploader
from kiegen_nb.engine.upload_store import UploadStore
from kiegen_nb.errors import (
    KeyRefused,
    KiegenError,
    RateLimited,
    ServiceUnavailable,
    SessionClosed,
    TaskFailed,
    UnreadableAnswer,
    UploadCancelled,
    UploadError,
)
from kiegen_nb.kie import uploading
from kiegen_nb.kie.models.market import market
from kiegen_nb.kie.models.veo3 import veo3
from kiegen_nb.settings import data_folder
from kiegen_nb.tasks import UPLOAD_LOST, Activity, AssetKind, TaskStatus, UploadResult
from tests.support import upload_child
from tests.support.fake_kie import until
from tests.support.uploads import (
    DAY,
    Ahead,
    answers,
    fetched,
    forget_uploads,
    kept_copies,
    noise,
    png,
    sent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.session import Session
    from tests.support.sandboxes import Sandbox

PATIENCE = 30.0
STORE = "sandbox.sqlite3"


@pytest.fixture
def sandbox(start_sandbox: type[Sandbox], tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox twenty times faster than life, whose file the tests can see."""
    running = start_sandbox("--speed", "20", "--database", str(tmp_path / STORE))
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Ahead:
    """The clock of every session of a test."""
    ahead = Ahead()
    monkeypatch.setattr("kiegen_nb.engine.engine.SystemClock", lambda: ahead)
    return ahead


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "dog.png"
    path.write_bytes(png())
    return path


def expire(clock: Ahead, tmp_path: Path) -> None:
    """Have every address die, here and at the sandbox."""
    clock.ahead += DAY
    forget_uploads(tmp_path / STORE)


def kept_at(tmp_path: Path) -> list[Path]:
    """Return what lies in the sandbox's folder."""
    return list(Path(f"{tmp_path / STORE}.uploads").glob("*"))


class Gate:
    """Holds the reading of a file back once its first piece has been read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._open = threading.Event(), threading.Event()
        plain = uploader._open
        monkeypatch.setattr(uploader, "_open", lambda path: self._held(plain(path)))

    def _held(self, file: Any) -> Any:
        gate = self

        class Held(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if self.tell() > 0 or size == 0:
                    gate.reached.set()
                    gate._open.wait(PATIENCE)
                return super().read(size)

        with file:
            return Held(file.read())

    def open(self) -> None:
        self._open.set()


# The three ways, and both forms of the answer.


@pytest.mark.parametrize("form", ["both", "endpoint", "quickstart"])
@pytest.mark.parametrize("way", ["base64", "stream", "url"])
def test_a_file_arrives_byte_for_byte_in_every_way_and_form(
    start_sandbox: type[Sandbox],
    make_session: Callable[..., Session],
    clock: Ahead,
    tmp_path: Path,
    form: str,
    way: str,
) -> None:
    other = start_sandbox("--upload-reply", form)
    try:
        session = make_session(base_url=other.url)
        data = png() if way == "base64" else noise()
        source: object = tmp_path / "kite.picture"
        (tmp_path / "kite.picture").write_bytes(data)
        if way == "url":
            source = str(session.upload(data)).replace("127.0.0.1", "localhost")
        upload = session.upload(source)
        assert fetched(upload.download_url) == data
        assert upload.mime == ("image/png" if way == "base64" else "image/bmp")
        assert upload.size == len(data)
        assert upload.kind is AssetKind.IMAGE
        assert upload.source == str(source)
        assert upload.sha256 == (None if way == "url" else hashlib.sha256(data).hexdigest())
        assert upload.is_assumed is (form == "endpoint")
        lives = upload.expires_at.timestamp() - clock.time()
        assert DAY - 60 < lives <= DAY
        assert session.uploads()[0] == upload
    finally:
        other.stop()


def test_the_host_says_how_long_a_file_lives(
    start_sandbox: type[Sandbox], make_session: Callable[..., Session], clock: Ahead, picture: Path
) -> None:
    other = start_sandbox("--upload-life", "7200")
    try:
        upload = make_session(base_url=other.url).upload(picture)
    finally:
        other.stop()
    assert not upload.is_assumed
    assert 7200 - 60 < upload.expires_at.timestamp() - clock.time() <= 7200


# Once while it lives.


def test_an_upload_is_its_source_once_more(session: Session, sandbox: Sandbox, picture: Path) -> None:
    upload = session.upload(picture)
    assert session.upload(upload) == upload
    assert session.upload(upload.download_url) == upload
    assert session.upload(f" {upload.download_url}\n") == upload
    with pytest.raises(UploadError, match="is a picture: give a video"):
        session.upload(upload.download_url, accept="video")
    assert sent(sandbox) == 1


@pytest.mark.stores
def test_the_same_bytes_are_sent_once_from_wherever_they_come(
    make_session: Callable[..., Session], sandbox: Sandbox, picture: Path, tmp_path: Path
) -> None:
    session = make_session()
    first = session.upload(picture)
    assert session.upload(picture) == first
    copy = tmp_path / "copy.png"
    copy.write_bytes(png())
    again = session.upload(copy)
    assert (again.download_url, again.name, again.source) == (first.download_url, "copy.png", str(copy))
    assert session.upload(png()).download_url == first.download_url
    session.close()
    later = make_session()
    assert later.upload(picture) == first
    assert sent(sandbox) == 1
    assert len(later.uploads()) == 1


def test_the_bytes_count_and_not_the_path(session: Session, sandbox: Sandbox, picture: Path) -> None:
    red = session.upload(picture)
    picture.write_bytes(png("blue"))
    blue = session.upload(picture)
    assert blue.download_url != red.download_url
    assert fetched(red.download_url) == png("red"), "a name at the host stands for the same bytes for ever"
    assert fetched(blue.download_url) == png("blue")
    assert sent(sandbox) == 2


def test_an_address_is_sent_again_in_its_last_hour(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path
) -> None:
    first = session.upload(picture)
    clock.ahead = DAY - 3600 - 60
    assert session.upload(picture) == first
    assert sent(sandbox) == 1
    clock.ahead = DAY - 3600 + 60
    assert session.upload(picture).download_url == first.download_url, "the host overwrites what has its name"
    assert sent(sandbox) == 2


def test_an_address_to_fetch_from_is_fetched_once_while_it_lives(
    session: Session, sandbox: Sandbox, clock: Ahead
) -> None:
    source = str(session.upload(png())).replace("127.0.0.1", "localhost")
    first = session.upload(source)
    assert session.upload(source) == first
    assert sent(sandbox) == 2
    clock.ahead = DAY
    assert session.upload(source).download_url != first.download_url
    assert sent(sandbox) == 4 - 1


@pytest.mark.stores
def test_accounts_do_not_share_uploads(make_session: Callable[..., Session], sandbox: Sandbox, picture: Path) -> None:
    first = make_session(api_key="one").upload(picture)
    other = make_session(api_key="two")
    assert other.uploads() == ()
    assert other.upload(picture).download_url != first.download_url
    assert sent(sandbox) == 2


def test_two_accounts_may_know_one_address(session: Session, picture: Path) -> None:
    upload = session.upload(picture)
    engine = session._engine
    other = UploadStore(engine._database, "another account", engine.clock)
    other.keep(upload.model_copy(update={"name": "theirs"})).result(PATIENCE)
    assert session.uploads() == (upload,)
    assert [theirs.name for theirs in other.alive()] == ["theirs"]
    assert other.meanings([upload.download_url, "https://elsewhere.example/x.png"]) == {
        upload.download_url: f"sha256:{upload.sha256}"
    }


def test_a_sandbox_on_another_port_is_sent_the_file_again(
    make_session: Callable[..., Session], start_sandbox: type[Sandbox], picture: Path, tmp_path: Path
) -> None:
    # The embedded sandbox's account outlives its port.
    session = make_session(base_url=None, api_key=None, sandbox=True, database_url=tmp_path / "embedded.sqlite3")
    first = session.upload(picture)
    session.close()
    occupied = start_sandbox("--port", first.download_url.partition("/uploads")[0].rpartition(":")[2])
    try:
        later = make_session(base_url=None, api_key=None, sandbox=True, database_url=tmp_path / "embedded.sqlite3")
        second = later.upload(picture)
        assert second.download_url != first.download_url
        assert fetched(second.download_url) == png()
    finally:
        occupied.stop()


def test_the_same_bytes_at_the_same_time_are_sent_once(session: Session, sandbox: Sandbox, picture: Path) -> None:
    sandbox.faults({"route": "upload", "delay": 0.3})
    progress: list[tuple[int, int]] = []
    handles = [
        session.start_upload(source, on_progress=lambda *far: progress.append(far)) for source in (picture, png())
    ]
    urls = {handle.result(PATIENCE).download_url for handle in handles}
    assert len(urls) == 1
    assert sent(sandbox) == 1
    size = len(png())
    until(lambda: progress.count((size, size)) == 2)


@pytest.mark.stores
def test_uploads_are_listed_newest_first_while_they_live(session: Session, clock: Ahead) -> None:
    assert session.uploads() == ()
    old = session.upload(png("red"))
    clock.ahead += 3600
    new = session.upload(png("blue"))
    assert session.uploads() == (new, old)
    clock.ahead += DAY - 1800
    assert session.uploads() == (new,)
    clock.ahead += 3600
    assert session.uploads() == ()


@pytest.mark.stores
def test_two_processes_with_the_same_bytes_both_get_a_working_address(
    make_session: Callable[..., Session], sandbox: Sandbox, picture: Path, location: str, tmp_path: Path
) -> None:
    (tmp_path / "film.bmp").write_bytes(noise())
    sandbox.faults({"route": "upload", "delay": 0.3, "times": 0})
    command = [sys.executable, upload_child.__file__, sandbox.url, location, str(picture), str(tmp_path / "film.bmp")]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert fetched(said[0]["urls"][0]) == fetched(said[1]["urls"][0]) == png()
    assert fetched(said[0]["urls"][1]) == fetched(said[1]["urls"][1]) == noise_of(tmp_path)
    before = sent(sandbox)
    session = make_session(api_key="child")
    assert len(session.uploads()) == 2
    session.upload(picture)
    assert sent(sandbox) == before


def noise_of(tmp_path: Path) -> bytes:
    return (tmp_path / "film.bmp").read_bytes()


# Renewal before a request needs it.


@pytest.mark.stores
def test_a_cell_that_runs_again_after_the_upload_expired_creates_nothing(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = session.upload(picture)
    first = session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    expire(clock, tmp_path)
    monkeypatch.setattr(uploading, "FOLDER", "kiegen/anew")  # so that the new address is another one
    renewed = session.upload(picture)
    assert renewed.download_url != upload.download_url
    again = session.submit(veo3("it runs", images=renewed))
    assert again.id == first.id
    assert session.submit(veo3("it runs", images=[upload])).id == first.id
    assert sandbox.creates == 1


@pytest.mark.parametrize("source", ["path", "memory", "address"])
def test_a_new_request_with_an_expired_upload_renews_it_and_keeps_its_identity(
    session: Session,
    sandbox: Sandbox,
    clock: Ahead,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
) -> None:
    other = session.upload(png("blue")) if source == "address" else None
    upload = session.upload(
        {"path": picture, "memory": png()}.get(source, f"{other}".replace("127.0.0.1", "localhost"))
    )
    params = veo3("it runs", images=[upload])
    first = session.submit(params).result(PATIENCE)
    clock.ahead += DAY
    if source != "address":
        forget_uploads(tmp_path / STORE)
    monkeypatch.setattr(uploading, "FOLDER", "kiegen/anew")
    before = sent(sandbox)
    second = session.submit(params, fresh=True).result(PATIENCE)
    assert second.id != first.id
    assert (sandbox.creates, sent(sandbox)) == (2, before + 1)
    assert second.provider_params == first.provider_params
    assert second.provider_params["input"]["image_urls"] == [upload.download_url]
    [address] = addresses_of(session, second)
    assert address != upload.download_url
    assert "/kiegen/anew/" in address
    assert fetched(address) == (png("blue") if source == "address" else png())
    assert addresses_of(session, first) == [upload.download_url]
    third = session.submit(params, fresh=True).result(PATIENCE)
    assert addresses_of(session, third) == [address], "what was renewed once lives for all"
    assert sent(sandbox) == before + 1
    assert session.submit(params).id == third.id


def addresses_of(session: Session, task: Any) -> list[str]:
    """Return the addresses of the pictures in the request that arrived."""
    query = f"/api/v1/jobs/recordInfo?taskId={task.external_task_id}"
    record: Any = session._engine.thread.run(session._client.get(query))
    given = json.loads(record["param"])["input"]
    return list((json.loads(given) if isinstance(given, str) else given)["image_urls"])


def test_several_uploads_deep_in_a_request_are_renewed_together(
    session: Session, sandbox: Sandbox, clock: Ahead, tmp_path: Path
) -> None:
    red, blue = session.upload(png("red")), session.upload(png("blue"))
    params = market("google/nano-banana-edit", prompt="both", image_urls=[red, blue, red])
    first = session.submit(params).result(PATIENCE)
    expire(clock, tmp_path)
    second = session.submit(params, fresh=True).result(PATIENCE)
    assert second.id != first.id
    assert fetched(red.download_url) == png("red")
    assert fetched(blue.download_url) == png("blue")
    assert sent(sandbox) == 4


@pytest.mark.stores
def test_many_requests_renew_what_they_share_once(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    upload = session.upload(picture)
    expire(clock, tmp_path)
    sandbox.faults({"route": "upload", "delay": 0.2})
    handles = [session.submit(veo3(f"kite {number}", images=[upload])) for number in range(5)]
    for handle in handles:
        assert handle.result(PATIENCE).status is TaskStatus.SUCCESS
    assert (sandbox.creates, sent(sandbox)) == (5, 2)


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_a_request_whose_file_is_not_the_uploaded_one_is_refused_and_can_be_asked_again(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path, change: str
) -> None:
    upload = session.upload(picture)
    expire(clock, tmp_path)
    if change == "gone":
        picture.unlink()
    else:
        picture.write_bytes(png("blue"))
    with pytest.raises(TaskFailed) as caught:
        session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    assert caught.value.task.fail_code == UPLOAD_LOST
    expected = "is not there any more" if change == "gone" else "has changed since it was uploaded"
    assert expected in str(caught.value)
    assert str(picture) in str(caught.value)
    assert "nothing was charged" in str(caught.value)
    assert (sandbox.creates, sent(sandbox)) == (0, 1)
    picture.write_bytes(png())
    again = session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    assert again.id != caught.value.task.id
    assert sandbox.creates == 1


def test_the_same_bytes_given_anew_stand_in_for_a_file_that_is_gone(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    upload = session.upload(picture)
    moved = tmp_path / "moved.png"
    picture.rename(moved)
    session.upload(png())  # leaves a copy in the data folder
    session.upload(moved)
    expire(clock, tmp_path)
    moved.unlink()
    assert session.submit(veo3("it runs", images=[upload])).result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1


def test_a_renewal_without_a_network_keeps_the_request_queued_and_it_goes_out_later(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    upload = session.upload(picture)
    expire(clock, tmp_path)
    sandbox.faults({"route": "upload", "drop": True, "before": True, "times": 4})
    handle = session.submit(veo3("it runs", images=[upload]))
    answered = threading.Event()
    handle.when_answered(lambda _: answered.set())
    assert answered.wait(PATIENCE), "a form is told that nothing goes on for now"
    assert handle.task.activity is Activity.QUEUED
    assert (handle.task.note or "").startswith("Not sent yet: Kie could not be reached")
    assert sandbox.creates == 0
    assert handle.result(PATIENCE).status is TaskStatus.SUCCESS
    assert sandbox.creates == 1
    assert handle.task.note is None


def test_a_renewal_with_a_refused_key_refuses_the_request(
    session: Session, sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    upload = session.upload(picture)
    expire(clock, tmp_path)
    sandbox.faults({"route": "upload", "code": 401, "times": 0})
    with pytest.raises(TaskFailed, match="Check KIE_API_KEY") as caught:
        session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    assert caught.value.task.fail_code == "401"
    assert "nothing was charged" in str(caught.value)
    assert sandbox.creates == 0


def test_a_queued_request_of_an_earlier_process_is_renewed_when_it_is_resumed(
    make_session: Callable[..., Session], sandbox: Sandbox, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    first = make_session()
    upload = first.upload(picture)
    sandbox.faults({"route": "create", "code": 429, "times": 1})
    handle = first.submit(veo3("it runs", images=[upload]))
    until(lambda: (handle.task.note or "").startswith("Not sent yet"))
    first.close()
    expire(clock, tmp_path)
    session = make_session()
    [resumed] = session.resume()
    assert resumed.id == handle.id
    assert resumed.result(PATIENCE).status is TaskStatus.SUCCESS
    assert (sandbox.creates, sent(sandbox)) == (1, 2)
    assert fetched(upload.download_url) == png()


def test_a_request_that_stood_in_the_line_for_long_looks_at_its_uploads_again(
    session: Session,
    sandbox: Sandbox,
    clock: Ahead,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload = session.upload(picture)
    take = session._engine.limits.take_slot
    waited: list[str] = []

    def after_a_day(slot: str, task_id: str) -> Any:
        if not waited:
            waited.append(slot)
            expire(clock, tmp_path)
        return take(slot, task_id)

    monkeypatch.setattr(session._engine.limits, "take_slot", after_a_day)
    assert session.submit(veo3("it runs", images=[upload])).result(PATIENCE).status is TaskStatus.SUCCESS
    assert (sandbox.creates, sent(sandbox)) == (1, 2)
    assert fetched(upload.download_url) == png()


def test_a_file_may_be_kept_because_it_will_not_stay(
    session: Session, clock: Ahead, picture: Path, tmp_path: Path
) -> None:
    upload = session.start_upload(picture, keep_copy=True).result(PATIENCE)
    digest = hashlib.sha256(png()).hexdigest()
    assert (upload.name, upload.source) == ("dog.png", str(data_folder() / "uploads" / f"{digest}.png"))
    picture.unlink()
    expire(clock, tmp_path)
    session.submit(veo3("it runs", images=[upload])).result(PATIENCE)
    assert fetched(upload.download_url) == png()


def test_a_form_copies_the_call_that_uploads_again(session: Session, picture: Path) -> None:
    from kiegen_nb.widgets.form import Form  # noqa: PLC0415 - only this test shows anything

    upload = session.upload(picture)
    form = Form(veo3("it runs", images=[upload]), session=session)
    assert form.as_python() == f"veo3('it runs', image_urls=[session.upload({str(picture)!r})])"
    session.close()
    assert form.as_python() == f"veo3('it runs', image_urls=[{upload.download_url!r}])"
    form.close()


# Trouble on the way.


def test_a_refused_key_is_told_at_once(make_session: Callable[..., Session], sandbox: Sandbox, picture: Path) -> None:
    session = make_session(api_key="bad-key")
    errors: list[KiegenError] = []
    with pytest.raises(KeyRefused, match=r"Authentication failed: Invalid API Key.*Check KIE_API_KEY"):
        session.upload(picture, on_error=errors.append)
    with pytest.raises(KeyRefused):
        session.upload(png("blue"))
    assert answers(sandbox) == [401, 401]
    assert session.uploads() == ()
    assert kept_copies() == []
    until(lambda: [type(error) for error in errors] == [KeyRefused])


@pytest.mark.parametrize("way", ["base64", "stream", "url"])
@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"drop": True, "before": True}, [1.0, 2.0, 4.0]),
        ({"reset": True, "before": True}, [1.0, 2.0, 4.0]),
        ({"drop": True}, [1.0, 2.0, 4.0]),
        ({"code": 500, "msg": "oops"}, [1.0, 2.0, 4.0]),
        ({"http": 502, "body": "<html>bad gateway</html>"}, [1.0, 2.0, 4.0]),
        ({"truncate": 10, "complete": True}, [1.0, 2.0, 4.0]),
        ({"code": 429, "msg": "slow"}, [10.0] * 3),
        ({"code": 429, "msg": "slow", "retry_after": 17}, [17.0] * 3),
    ],
)
def test_what_passes_is_waited_out_because_uploads_are_free(
    session: Session, sandbox: Sandbox, clock: Ahead, way: str, fault: dict[str, object], waits: list[float]
) -> None:
    data = png() if way == "base64" else noise()
    source: object = str(session.upload(data)).replace("127.0.0.1", "localhost") if way == "url" else data
    before = len(answers(sandbox))
    sandbox.faults({"route": "upload", "times": 3, **fault})
    upload = session.upload(source)
    assert fetched(upload.download_url) == data
    assert len(answers(sandbox)) == before + 4
    assert clock.slept == waits


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"code": 500, "msg": "oops"}, ServiceUnavailable),
        ({"drop": True, "before": True}, ServiceUnavailable),
        ({"body": "<html>"}, UnreadableAnswer),
        ({"code": 429}, RateLimited),
    ],
)
def test_what_does_not_pass_is_told_after_four_tries(
    session: Session, sandbox: Sandbox, fault: dict[str, object], kind: type[KiegenError]
) -> None:
    sandbox.faults({"route": "upload", "times": 0, **fault})
    with pytest.raises(KiegenError) as caught:
        session.upload(png())
    assert type(caught.value) is kind
    assert len(answers(sandbox)) == 4
    assert kept_copies() == []
    assert session.uploads() == ()


@pytest.mark.parametrize(
    "fault",
    [
        {"code": 402, "msg": "no credits"},
        {"code": 400, "msg": "Invalid parameter"},
        {"code": 413, "msg": "too large"},
        {"http": 413, "body": "<html>too large</html>"},
        {"code": 455, "msg": "maintenance"},
        {"code": 429, "msg": "come back tomorrow", "retry_after": 86400},
    ],
)
def test_what_cannot_get_better_by_itself_is_told_at_once(
    session: Session, sandbox: Sandbox, clock: Ahead, fault: dict[str, object]
) -> None:
    sandbox.faults({"route": "upload", "times": 0, **fault})
    with pytest.raises(KiegenError):
        session.upload(png())
    assert len(answers(sandbox)) == 1
    assert clock.slept == []


def test_a_file_that_changes_while_it_is_sent_is_no_upload(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growing.bmp"
    for change in (noise() + b"more", noise()[:-9], noise()[:-9] + b"different"):
        path.write_bytes(noise())
        check = upload_checks.check

        def and_then(*args: Any, change: bytes = change, check: Any = check, **options: Any) -> Any:
            ready = check(*args, **options)
            path.write_bytes(change)
            return ready

        with monkeypatch.context() as patch:
            patch.setattr(uploader, "check", and_then)
            with pytest.raises(UploadError, match=r"growing\.bmp changed while it was uploaded"):
                session.upload(path)
    assert session.uploads() == ()


# Progress, callbacks, cancelling, closing.


def test_progress_goes_from_nothing_to_everything_on_the_callback_thread(session: Session) -> None:
    seen: list[tuple[int, int, str]] = []
    done = threading.Event()
    data = noise()
    session.upload(
        data,
        on_progress=lambda sent, total: seen.append((sent, total, threading.current_thread().name)),
        on_success=lambda _: done.set(),
    )
    assert done.wait(PATIENCE)
    figures = [sent for sent, _, _ in seen]
    assert figures == sorted(figures)
    assert figures[-1] == len(data)
    assert {(total, thread) for _, total, thread in seen} == {(len(data), "kiegen-callbacks")}


def test_callbacks_run_in_the_callers_context(session: Session, picture: Path) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("the cell's")
    called: list[tuple[object, str, str]] = []
    upload = session.upload(
        picture, on_success=lambda upload: called.append((upload, threading.current_thread().name, variable.get()))
    )
    until(lambda: called)
    assert called == [(upload, "kiegen-callbacks", "the cell's")]


def test_an_upload_can_be_cancelled_in_the_middle_and_nothing_of_it_is_kept(
    session: Session, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    errors: list[KiegenError] = []
    handle = session.start_upload(noise(), name="large.bmp", on_error=errors.append)
    assert gate.reached.wait(PATIENCE)
    assert not handle.is_finished
    assert handle.total == len(noise())
    handle.cancel()
    with pytest.raises(UploadCancelled, match=r"The upload of large\.bmp was cancelled"):
        handle.result(PATIENCE)
    gate.open()
    until(lambda: [type(error) for error in errors] == [UploadCancelled])
    until(lambda: kept_at(tmp_path) == [])
    assert session.uploads() == ()
    assert kept_copies() == []
    assert sent(sandbox) == 0
    handle.cancel()


@pytest.mark.parametrize("source", [png(), "http://localhost:1/kite.png"])
def test_an_upload_that_is_cancelled_before_it_began_is_not_sent(
    session: Session, sandbox: Sandbox, source: object
) -> None:
    busy, free = threading.Event(), threading.Event()

    def block() -> None:
        busy.set()
        free.wait(PATIENCE)

    session._engine.on_loop(block)
    assert busy.wait(PATIENCE)
    handle = session.start_upload(source)
    handle.cancel()
    free.set()
    with pytest.raises(UploadCancelled):
        handle.result(PATIENCE)
    assert answers(sandbox) == []


def test_cancelling_one_of_two_with_the_same_bytes_leaves_the_other(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    data = noise()
    first = session.start_upload(data)
    assert gate.reached.wait(PATIENCE)
    second = session.start_upload(data)
    until(lambda: second.total)
    until(lambda: len(session._engine.uploads._flights._flights[hashlib.sha256(data).hexdigest()].listeners) == 2)
    first.cancel()
    with pytest.raises(UploadCancelled):
        first.result(PATIENCE)
    gate.open()
    upload = second.result(PATIENCE)
    assert fetched(upload.download_url) == data
    assert Path(upload.source or "").read_bytes() == data
    assert sent(sandbox) == 1


async def test_a_cancelled_await_of_aupload_ends_the_upload(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    waiting = asyncio.create_task(session.aupload(noise()))
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.open()
    await asyncio.to_thread(until, lambda: not session._engine.uploads._flights._flights)
    assert sent(sandbox) == 0


async def test_a_cancelled_await_of_a_handle_ends_the_waiting_only(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    handle = session.start_upload(noise())
    await asyncio.to_thread(gate.reached.wait, PATIENCE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle, 0.01)
    with pytest.raises(TimeoutError):
        handle.result(0.01)
    gate.open()
    assert (await handle).kind is AssetKind.IMAGE
    assert (await handle) == handle.result(0)


def test_an_interrupt_ends_the_upload_nobody_could_wait_for_again(
    session: Session, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    def interrupted(*_: object) -> UploadResult:
        gate.reached.wait(PATIENCE)
        raise KeyboardInterrupt

    monkeypatch.setattr("kiegen_nb.engine.upload_handle.wait_for", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.upload(noise())
    gate.open()
    until(lambda: not session._engine.uploads._flights._flights)
    assert sent(sandbox) == 0


async def test_aupload_gives_what_upload_gives(session: Session, picture: Path) -> None:
    assert await session.aupload(picture, accept="image", name="x.png") == session.upload(picture, name="x.png")
    with pytest.raises(UploadError):
        await session.aupload("missing.png")


def test_closing_the_session_ends_its_uploads_and_says_so(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    handle = session.start_upload(noise())
    assert gate.reached.wait(PATIENCE)
    closing = threading.Thread(target=session.close)
    closing.start()
    with pytest.raises(SessionClosed):
        handle.result(PATIENCE)
    gate.open()
    closing.join(PATIENCE)
    with pytest.raises(SessionClosed):
        session.upload(png())
    with pytest.raises(SessionClosed):
        session.uploads()


def test_a_store_that_fails_is_told(session: Session, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr(session._engine.uploads.store, "keep", broken)
    with pytest.raises(UploadError, match=r"dog\.png could not be uploaded \(RuntimeError: surprise\)"):
        session.upload(picture)


def test_left_temporary_files_of_killed_processes_are_removed(session: Session, clock: Ahead) -> None:
    folder = data_folder() / "uploads"
    folder.mkdir()
    (folder / ".0123.part").write_bytes(b"half")
    session.upload(png())
    assert (folder / ".0123.part").exists(), "somebody may be writing it"
    session._engine.uploads._is_tidy = False
    clock.ahead += 2 * DAY
    session.upload(png("blue"))
    assert not (folder / ".0123.part").exists()


def test_no_record_of_an_upload_holds_an_address_or_the_key(
    session: Session, caplog: pytest.LogCaptureFixture, picture: Path
) -> None:
    caplog.set_level("DEBUG", "kiegen_nb")
    upload = session.upload(picture)
    events = [record for record in caplog.records if getattr(record, "event", "").startswith("upload.")]
    assert [vars(record)["event"] for record in events] == ["upload.started", "upload.stored"]
    with pytest.raises(UploadError):
        session.upload("http://me:secret@localhost/secret")
    session.upload(upload.download_url.replace("127.0.0.1", "localhost"))
    assert vars(caplog.records[-1])["event"] == "upload.stored"
    for record in caplog.records:
        text = f"{record.getMessage()} {vars(record)}"
        assert "127.0.0.1" not in text
        assert "secret" not in text
        assert "localhost" not in text
        assert "4711" not in text


@pytest.mark.skipif(not (upload_child.PROC / "clear_refs").exists(), reason="asks Linux for the peak of its memory")
def test_sixty_megabytes_from_disk_do_not_lie_in_memory(sandbox: Sandbox, picture: Path, tmp_path: Path) -> None:
    warm, large = tmp_path / "warm.png", tmp_path / "large.png"
    warm.write_bytes(png("blue") + bytes(2 * 2**20))
    large.write_bytes(png("lime") + bytes(60 * 2**20))
    command = [sys.executable, upload_child.__file__, sandbox.url, str(tmp_path / "child.sqlite3")]
    done = subprocess.run([*command, picture, warm, large], capture_output=True, text=True, check=True, timeout=120)
    said = json.loads(done.stdout)
    assert said["grown"] < 20
    assert len(fetched(said["urls"][-1]) or b"") == large.stat().st_size


def test_an_upload_lives_at_least_a_day_by_assumption(session: Session, picture: Path) -> None:
    assert timedelta(hours=24) == uploading.ASSUMED_LIFE
    assert session.upload(picture).expires_at.tzinfo is not None
