"""Fetching results: resumed but never glued, tried again, from fresh links, by killed processes, from hostile hosts."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import itertools
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from kiegen_nb.engine import download, partial
from kiegen_nb.engine.addresses import is_public
from kiegen_nb.engine.download import ATTEMPTS, MAX_WAIT, STEP
from kiegen_nb.engine.media import ADVICE
from kiegen_nb.engine.partial import OVERLAP, Origin, Partial
from kiegen_nb.errors import MediaError
from kiegen_nb.kie.client import KieClient
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.tasks import Asset, AssetKind, GenerationTask, TaskStatus
from tests.conftest import until
from tests.support.results import (
    BIG,
    NOW,
    PNG,
    STEM,
    URL,
    Cut,
    FakeClock,
    FileServer,
    Host,
    Pieces,
    files,
    giving,
    picture,
    save,
    saved_files,
    saver_of,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.session import Session

PATIENCE = 20.0
HALF = len(PNG) // 2
OTHER = picture()
assert OTHER != PNG
PRIVATE = "private network"


def leave(folder: Path, data: bytes, origin: Origin | None) -> None:
    """Leave what a killed process leaves: bytes, and what it knew of the file."""
    (folder / "kites").mkdir(parents=True)
    part = Partial(folder / "kites" / f".{STEM}.part")
    assert part.take()
    part.begin(origin)
    part.write(data)
    part.leave()


def origin_of(host: Host, total: int | None = None) -> Origin:
    return Origin(host.headers.get("etag"), host.headers.get("last-modified"), total or len(host.data))


def is_saved(asset: Asset, data: bytes = PNG) -> bool:
    return asset.error is None and asset.path is not None and asset.path.read_bytes() == data


# Going on where it broke.


async def test_a_broken_connection_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    host = Host(PNG, iter([HALF]))
    assert is_saved(await save(host, tmp_path))
    assert host.ranges == [None, f"bytes={HALF - OVERLAP}-"]
    assert host.asked[1].headers["if-range"] == host.headers["etag"]
    assert files(tmp_path) == saved_files()


async def test_a_host_without_versions_is_taken_up_by_the_length_and_the_overlap(tmp_path: Path) -> None:
    host = Host(PNG, iter([HALF]), headers={"server": "plain"})
    assert is_saved(await save(host, tmp_path))
    assert host.ranges == [None, f"bytes={HALF - OVERLAP}-"]
    assert "if-range" not in host.asked[1].headers


@pytest.mark.parametrize(
    "second",
    [
        httpx.Response(200, content=PNG),
        httpx.Response(206, headers={"content-range": f"bytes 0-{len(PNG) - 1}/{len(PNG)}"}, content=PNG),
        httpx.Response(206, headers={"content-range": "rows 1-2"}, content=PNG),
        httpx.Response(416),
    ],
    ids=["no ranges", "another range", "no range", "no such range"],
)
async def test_a_host_that_does_not_resume_is_read_from_the_start(tmp_path: Path, second: httpx.Response) -> None:
    first = httpx.Response(200, headers={"etag": '"one"', "content-length": str(len(PNG))}, stream=Cut(PNG[:HALF]))
    handle, asked = giving(first, second, httpx.Response(200, content=PNG))
    assert is_saved(await save(handle, tmp_path))
    assert asked[1].headers["range"] == f"bytes={HALF - OVERLAP}-"
    assert all("range" not in request.headers for request in asked[2:])


VERSION, WEAK, DATE = '"one"', 'W/"one"', "Sun, 22 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize("overlap", ["fits", "differs"])
@pytest.mark.parametrize(
    ("known", "newer", "more", "asked_for"),
    [
        ({"etag": VERSION}, {"etag": '"two"'}, 0, VERSION),
        ({"etag": WEAK}, {"etag": 'W/"two"'}, 0, None),
        ({"etag": WEAK, "last-modified": DATE}, {"etag": 'W/"two"', "last-modified": DATE}, 0, DATE),
        ({"last-modified": DATE}, {"last-modified": DATE.replace("10", "11")}, 0, DATE),
        ({}, {}, 9, None),
    ],
    ids=["version", "weak version", "weak version and date", "date", "length"],
)
async def test_two_different_files_are_never_glued_even_by_a_host_that_overlooks_if_range(
    tmp_path: Path, known: dict[str, str], newer: dict[str, str], more: int, asked_for: str | None, overlap: str
) -> None:
    start = HALF - OVERLAP
    middle = (PNG if overlap == "fits" else OTHER)[start:HALF]
    changed = (OTHER[:start] + middle + OTHER[HALF:]).ljust(len(PNG), b"x")[: len(PNG)] + b"x" * more
    first = httpx.Response(200, headers=known | {"content-length": str(len(PNG))}, stream=Cut(PNG[:HALF]))
    span = {"content-range": f"bytes {start}-{len(changed) - 1}/{len(changed)}"}
    second = httpx.Response(206, headers=newer | span, content=changed[start:])
    handle, asked = giving(first, second, httpx.Response(200, content=OTHER))
    assert is_saved(await save(handle, tmp_path), OTHER)
    assert [request.headers.get("range") for request in asked] == [None, f"bytes={start}-", None]
    assert asked[1].headers.get("if-range") == asked_for


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Origin(), Origin(), True),
        (Origin(total=1), Origin(), True),
        (Origin(total=1), Origin(total=1), True),
        (Origin(total=1), Origin(total=2), False),
        (Origin(total=0), Origin(total=2), False),
        (Origin(VERSION, total=1), Origin(VERSION, total=2), False),
        (Origin(VERSION, DATE), Origin(VERSION, "another mirror's"), True),
        (Origin(VERSION, DATE), Origin(WEAK, DATE), False),
        (Origin(VERSION, DATE), Origin(None, DATE), True),
        (Origin(VERSION), Origin(None, DATE), True),
        (Origin(None, DATE), Origin(None, "later"), False),
    ],
)
def test_two_origins_fit_as_far_as_they_say_anything(one: Origin, other: Origin, *, same: bool) -> None:
    assert one.fits(other) is same
    assert other.fits(one) is same


async def test_only_the_overlap_tells_two_files_of_one_length_and_no_version_apart(tmp_path: Path) -> None:
    leave(tmp_path, bytes(HALF), Origin(total=len(PNG)))
    host = Host(PNG, headers={"server": "plain"})
    assert is_saved(await save(host, tmp_path))
    assert host.ranges == [f"bytes={HALF - OVERLAP}-", None]


async def test_fewer_bytes_than_announced_are_fetched_again(tmp_path: Path) -> None:
    short = httpx.Response(200, headers={"content-length": str(len(PNG))}, stream=httpx.ByteStream(PNG[:500]))
    handle, asked = giving(short, httpx.Response(200, content=PNG))
    assert is_saved(await save(handle, tmp_path))
    assert len(asked) == 2


# What a killed process left.


@pytest.mark.parametrize("share", [0.5, 1.0], ids=["half", "whole"])
async def test_what_a_killed_process_left_is_gone_on_with(tmp_path: Path, share: float) -> None:
    host = Host(PNG)
    have = int(len(PNG) * share)
    leave(tmp_path, PNG[:have], origin_of(host))
    assert is_saved(await save(host, tmp_path))
    assert host.ranges == [f"bytes={have - OVERLAP}-"]
    assert files(tmp_path) == saved_files()


@pytest.mark.parametrize(
    ("left", "origin", "asked"),
    [
        (OTHER[:HALF], None, [None]),
        (PNG[:HALF], None, [None]),
        (OTHER[:HALF], Origin(etag='"other"', total=len(PNG)), ["range"]),
        (OTHER[:HALF], origin_of(Host(PNG)), ["range", None]),
        (PNG + b"x", origin_of(Host(PNG)), [None]),
        (PNG[:100], origin_of(Host(PNG)), [None]),
        (b"", origin_of(Host(PNG)), [None]),
    ],
    ids=["of nothing known", "ours, of nothing known", "another version", "mixed up", "longer", "tiny", "empty"],
)
async def test_what_is_left_of_another_file_is_replaced(
    tmp_path: Path, left: bytes, origin: Origin | None, asked: list[str | None]
) -> None:
    leave(tmp_path, left, origin)
    host = Host(PNG)
    assert is_saved(await save(host, tmp_path))
    assert [span and "range" for span in host.ranges] == asked
    assert files(tmp_path) == saved_files()


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"null", b'{"etag": 1, "modified": 2, "total": "x"}', b"\xff\xfe", b'{"etag": "x"}']
)
async def test_an_unreadable_record_of_a_left_file_counts_as_none(tmp_path: Path, record: bytes) -> None:
    leave(tmp_path, OTHER[:HALF], Origin(total=len(PNG)))
    (tmp_path / "kites" / f".{STEM}.part.json").write_bytes(record)
    host = Host(PNG)
    assert is_saved(await save(host, tmp_path))
    assert host.ranges == [None]


KILLED = """
import asyncio, logging, os, signal, sys
from pathlib import Path
from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.tasks import Asset, GenerationTask

class Killer(logging.Handler):
    def emit(self, record):
        if record.event == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)

logging.getLogger("kiegen_nb").setLevel(logging.DEBUG)
logging.getLogger("kiegen_nb").addHandler(Killer())

async def main():
    saver = MediaSaver(SystemClock(), user_agent="test", allow_local=True)
    task = GenerationTask.model_validate_json(sys.argv[4])
    await saver.save(task, [Asset(kind="image", url=sys.argv[1])], Path(sys.argv[2]))

asyncio.run(main())
"""
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="kills processes with SIGKILL")


def doomed(url: str, folder: Path, event: str) -> subprocess.Popen[bytes]:
    """Start a process that saves one picture and ends itself at a step."""
    arguments = [sys.executable, "-c", KILLED, url, str(folder), event, task().model_dump_json()]
    return subprocess.Popen(arguments, cwd=Path(__file__).parents[2])


@needs_signals
@pytest.mark.parametrize(
    "event",
    [
        "save.started", "save.receiving", "save.received", "save.checked", "save.thumbnail", "save.sidecar",
        "save.renamed",
    ],
)  # fmt: skip
async def test_a_process_killed_at_any_step_leaves_no_half_file_and_the_next_one_ends_the_work(
    tmp_path: Path, event: str
) -> None:
    with FileServer.of(PNG) as server:
        assert doomed(server.url, tmp_path, event).wait(60) == -signal.SIGKILL
        named = [name for name in files(tmp_path) if name.endswith(".png")]
        assert named == ([f"kites/{STEM}.png"] if event == "save.renamed" else [])
        assert all((tmp_path / name).read_bytes() == PNG for name in named)
        server.asked.clear()
        asset = await save(None, tmp_path, server.url)
        assert is_saved(asset)
        assert asset.sha256 == hashlib.sha256(PNG).hexdigest()
        assert files(tmp_path) == saved_files()
        whole = event in {"save.sidecar", "save.renamed"}
        assert (server.asked == []) == whole, "a file that was whole already is not fetched again"


@pytest.mark.parametrize(
    "change", [{"source": "http://127.0.0.1:1/other.png"}, {"sha256": "0"}, {"size": 1}, {}, "{", "[1]"]
)
async def test_a_file_is_taken_for_the_result_only_if_its_sidecar_says_so(
    tmp_path: Path, change: dict[str, object] | str
) -> None:
    first = await save(Host(PNG), tmp_path)
    assert first.path is not None
    sidecar = first.path.with_name(f"{first.path.name}.json")
    said = json.loads(sidecar.read_text(encoding="utf-8"))
    sidecar.write_text(change if isinstance(change, str) else json.dumps(said | change), encoding="utf-8")
    host = Host(OTHER)
    again = await save(host, tmp_path)
    ours = change == {}
    assert is_saved(again, PNG if ours else OTHER)
    assert len(host.asked) == (0 if ours else 1)
    assert files(tmp_path) == saved_files()


@needs_signals
async def test_a_process_killed_in_the_middle_leaves_the_bytes_it_had_to_the_next(tmp_path: Path) -> None:
    part = tmp_path / "kites" / f".{STEM}.part"
    with FileServer.of(BIG, pause_at=len(BIG) * 3 // 4) as server:
        process = doomed(server.url, tmp_path, "never")
        until(lambda: part.exists() and part.stat().st_size > STEP)
        process.kill()
        process.wait(60)
        server.go_on.set()
        have = part.stat().st_size
        assert is_saved(await save(None, tmp_path, server.url), BIG)
        assert server.asked == [None, f"bytes={have - OVERLAP}-"]
        assert files(tmp_path) == saved_files("bmp")


async def test_a_closed_session_leaves_the_bytes_it_had_to_the_next(tmp_path: Path) -> None:
    part = tmp_path / "kites" / f".{STEM}.part"
    with FileServer.of(BIG, pause_at=len(BIG) * 3 // 4) as server:
        async with saver_of() as saver:
            saving = asyncio.ensure_future(saver.save(task(), [Asset(kind=AssetKind.IMAGE, url=server.url)], tmp_path))
            await asyncio.to_thread(until, lambda: part.exists() and part.stat().st_size > STEP)
            saving.cancel()
            await asyncio.wait([saving])
            assert saving.cancelled()
        server.go_on.set()
        assert is_saved(await save(None, tmp_path, server.url), BIG)
        assert server.asked[1] is not None
        assert int(server.asked[1][6:-1]) > STEP - OVERLAP


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked on POSIX only")
async def test_two_kernels_that_save_one_result_fetch_it_once(tmp_path: Path) -> None:
    refused, done = asyncio.Event(), asyncio.Event()

    class Patient(FakeClock):
        async def sleep(self, seconds: float) -> None:
            assert seconds == 1
            refused.set()
            await done.wait()

    async def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await refused.wait()
        return httpx.Response(200, content=PNG)

    asked: list[httpx.Request] = []
    wanted = [Asset(kind=AssetKind.IMAGE, url=URL)]
    async with saver_of(handle, clock=Patient()) as one, saver_of(handle, clock=Patient()) as other:  # type: ignore[arg-type]
        first = asyncio.ensure_future(one.save(task(), wanted, tmp_path))
        second = asyncio.ensure_future(other.save(task(), wanted, tmp_path))
        for either in (first, second):
            either.add_done_callback(lambda _: done.set())
        results = [*await first, *await second]
    assert len(asked) == 1
    assert results[0] == results[1]
    assert is_saved(results[1])
    assert files(tmp_path) == saved_files()


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked on POSIX only")
@pytest.mark.parametrize("end", ["become", "drop"])
def test_a_temporary_file_that_goes_while_it_is_opened_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    one, other = Partial(tmp_path / ".a.part"), Partial(tmp_path / ".a.part")
    assert one.take()
    one.write(PNG)
    lock = partial._lock

    def late(handle: Any) -> bool:
        if one._handle is not None:
            one.become(tmp_path / "a.png") if end == "become" else one.drop()
        return lock(handle)

    monkeypatch.setattr(partial, "_lock", late)
    assert other.take()
    assert other.size == 0
    other.begin()
    other.write(b"x")
    assert (tmp_path / ".a.part").read_bytes() == b"x"
    if end == "become":
        assert (tmp_path / "a.png").read_bytes() == PNG
    other.drop()


def test_a_temporary_file_that_was_given_up_does_not_get_its_final_name_late(tmp_path: Path) -> None:
    part = Partial(tmp_path / ".a.part")
    assert part.take()
    part.write(PNG)
    part.leave()
    with pytest.raises(MediaError, match="ended"):
        part.become(tmp_path / "a.png")
    assert files(tmp_path) == [".a.part"]
    assert not part.take(), "it is for one download"


async def test_bytes_and_names_outlive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "bytes")
        fsync(handle)

    def replaced(path: Path, target: Path) -> Path:
        if path.parent.name == "kites":
            steps.append(f"name{target.suffix}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    assert is_saved(await save(Host(PNG), tmp_path))
    expected = ["bytes", "bytes", "name.json", "name.png", "folder"]
    assert steps == (expected[:-1] if sys.platform == "win32" else expected)


# Trying again.


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, content=b""), httpx.ConnectError("no")])
async def test_a_passing_trouble_is_tried_again_with_growing_waits(
    tmp_path: Path, answer: httpx.Response | Exception
) -> None:
    clock = FakeClock()
    handle, asked = giving(answer)
    asset = await save(handle, tmp_path, clock=clock)
    assert len(asked) == ATTEMPTS
    assert clock.slept == [1, 2, 4]
    assert asset.path is None
    assert asset.error is not None
    assert asset.error.endswith(ADVICE)
    assert "session.refresh(task)" in ADVICE
    assert files(tmp_path) == []


@pytest.mark.parametrize("status", [500, 502, 408, 425, 429])
async def test_a_host_that_is_busy_is_asked_again(tmp_path: Path, status: int) -> None:
    handle, asked = giving(httpx.Response(status), httpx.Response(200, content=PNG))
    assert is_saved(await save(handle, tmp_path))
    assert len(asked) == 2


@pytest.mark.parametrize("status", [400, 405, 451, 304])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(tmp_path: Path, status: int) -> None:
    handle, asked = giving(httpx.Response(status))
    asset = await save(handle, tmp_path)
    assert asset.error == f"The result host answered HTTP {status}. {ADVICE}"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("7", 7),
        (format_datetime(datetime.fromtimestamp(NOW + 30, UTC), usegmt=True), 30),
        (format_datetime(datetime.fromtimestamp(NOW - 30, UTC), usegmt=True), 1),
        ("soon", 1),
        ("-5", 1),
        ("²", 1),
    ],
)
async def test_a_host_that_names_a_wait_is_given_it(tmp_path: Path, header: str, waited: float) -> None:
    clock = FakeClock()
    busy = httpx.Response(429, headers={b"retry-after": header.encode()})
    assert is_saved(await save(giving(busy, httpx.Response(200, content=PNG))[0], tmp_path, clock=clock))
    assert clock.slept == [waited]


@pytest.mark.parametrize("header", ["3600", "9" * 5000])
async def test_a_host_that_wants_an_hour_is_not_waited_for(tmp_path: Path, header: str) -> None:
    clock = FakeClock()
    handle, asked = giving(httpx.Response(503, headers={"retry-after": header}))
    asset = await save(handle, tmp_path, clock=clock)
    assert clock.slept == []
    assert len(asked) == 1
    assert MAX_WAIT < 3600
    assert "asks to wait" in (asset.error or "")
    assert ADVICE in (asset.error or "")


async def test_a_large_file_gets_through_however_often_the_line_breaks_as_long_as_much_arrives(tmp_path: Path) -> None:
    host = Host(BIG, itertools.repeat(STEP // 8))
    asset = await save(host, tmp_path / "one")
    assert "broke off" in (asset.error or "")
    assert len(host.asked) == ATTEMPTS, "an eighth of a step at a time is not much"
    film = b"x" * (STEP * (ATTEMPTS + 3))
    host = Host(film, itertools.repeat(STEP // 2 + OVERLAP))
    asset = await save(host, tmp_path / "two", kind=AssetKind.FILE)
    assert is_saved(asset, film)
    assert len(host.asked) > 2 * ATTEMPTS
    assert files(tmp_path / "one") == []


async def test_a_host_that_starts_over_again_and_again_is_left(tmp_path: Path) -> None:
    versions = itertools.count()

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        headers = {"etag": f'"{next(versions)}"', "content-length": str(len(BIG))}
        return httpx.Response(200, headers=headers, stream=Cut(BIG[: STEP * 2]))

    asked: list[httpx.Request] = []
    asset = await save(handle, tmp_path)
    assert "broke off" in (asset.error or "")
    assert len(asked) == ATTEMPTS + 1, "two steps arrived once; the same two again are no progress"
    assert files(tmp_path) == []


async def test_a_host_that_sends_a_few_bytes_now_and_then_is_left(tmp_path: Path) -> None:
    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            for number in itertools.count():
                sent.append(number)
                yield b"x"

    sent: list[int] = []
    handle, asked = giving(httpx.Response(200, stream=Drip()))
    asset = await save(handle, tmp_path, clock=FakeClock(pace=25.0))
    assert "hardly sent anything" in (asset.error or "")
    assert len(asked) == ATTEMPTS
    assert len(sent) < 50
    assert files(tmp_path) == []


# Fresh links.


def renewing(link: str | None) -> tuple[Callable[[GenerationTask, str], Any], list[tuple[str, str]]]:
    """Give a fresh link each time; remember for which task and address."""
    asked: list[tuple[str, str]] = []

    async def fresh_url(of: GenerationTask, url: str) -> str | None:
        asked.append((of.id, url))
        return link

    return fresh_url, asked


FRESH = "http://127.0.0.1:2/fresh.png?expires=1800001200&signature=s3cr3t"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_address_that_died_is_replaced_by_a_fresh_one(tmp_path: Path, status: int) -> None:
    host, clock = Host(PNG), FakeClock()
    fresh_url, asked = renewing(FRESH)

    def handle(request: httpx.Request) -> httpx.Response:
        return host(request) if request.url.path == "/fresh.png" else httpx.Response(status)

    asset = await save(handle, tmp_path, fresh_url=fresh_url, clock=clock)
    assert is_saved(asset)
    assert asked == [("a" * 32, URL)]
    assert clock.slept == []
    assert asset.url == URL
    assert asset.path is not None
    sidecar = asset.path.with_name(f"{asset.path.name}.json").read_text(encoding="utf-8")
    assert json.loads(sidecar)["source"] == URL
    assert "s3cr3t" not in sidecar


@pytest.mark.parametrize(
    ("same", "known"),
    [(True, '"one"'), (True, None), (False, '"one"'), (False, None)],
    ids=["same version", "same length", "another version", "another length"],
)
async def test_a_fresh_link_goes_on_from_the_bytes_that_are_here_if_it_is_the_same_file(
    tmp_path: Path, *, same: bool, known: str | None
) -> None:
    headers = {"etag": known} if known else {"server": "plain"}
    old = Host(PNG, iter([HALF]), headers)
    data = PNG if same else picture((641, 480))
    new = Host(data, headers=headers if same else dict.fromkeys(headers, '"two"'))

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/fresh.png":
            return new(request)
        return httpx.Response(403) if old.asked else old(request)

    asset = await save(handle, tmp_path, fresh_url=renewing(FRESH)[0])
    assert is_saved(asset, data)
    first = f"bytes={HALF - OVERLAP}-"
    assert new.ranges == [first] if same or known else [first, None]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
@pytest.mark.parametrize("link", [FRESH, None], ids=["dead too", "none"])
async def test_only_one_fresh_link_is_asked_for_and_no_dead_one_is_tried_again(
    tmp_path: Path, status: int, link: str | None
) -> None:
    handle, asked = giving(httpx.Response(status))
    fresh_url, wanted = renewing(link)
    asset = await save(handle, tmp_path, fresh_url=fresh_url)
    assert len(wanted) == 1
    assert len(asked) == (2 if link else 1)
    assert f"HTTP {status}" in (asset.error or "")
    assert "fresh one" in (asset.error or "")
    assert ADVICE in (asset.error or "")
    assert asset.url == URL
    assert files(tmp_path) == []


@pytest.mark.parametrize("link", ["file:///etc/passwd", "http://10.0.0.1/a.png", "https://[", "http://[::1]/"])
async def test_a_fresh_link_is_trusted_no_more_than_the_first(tmp_path: Path, link: str) -> None:
    handle, asked = giving(httpx.Response(403), httpx.Response(200, content=PNG))
    asset = await save(handle, tmp_path, "https://1.1.1.1/a.png", local=False, fresh_url=renewing(link)[0])
    assert asset.error
    assert len(asked) == 1
    assert files(tmp_path) == []


def envelope(data: object, code: int = 200, msg: str = "success") -> httpx.Response:
    return httpx.Response(200, json={"code": code, "msg": msg, "data": data})


async def fresh_url_of(*answers: httpx.Response | Exception) -> tuple[str | None, list[httpx.Request]]:
    handle, asked = giving(*answers)
    client = KieClient(SecretStr("k3y"), "https://api.kie.ai", transport=httpx.MockTransport(handle))
    try:
        return await client.fresh_url(task(), "https://files.example/a.png?x=1"), asked
    finally:
        await client.close()


async def test_kie_is_asked_for_a_fresh_link_with_the_key_at_its_own_host_only() -> None:
    link, [request] = await fresh_url_of(envelope("https://fresh.example/a.png"))
    assert link == "https://fresh.example/a.png"
    assert (request.method, str(request.url)) == ("POST", "https://api.kie.ai/api/v1/common/download-url")
    assert json.loads(request.content) == {"url": "https://files.example/a.png?x=1"}
    assert request.headers["authorization"] == "Bearer k3y"


@pytest.mark.parametrize(
    "answer",
    [
        envelope(None, 422, "url is wrong"),
        envelope(None, 401, "key"),
        envelope(None),
        envelope({"url": "https://fresh.example/a.png"}),
        envelope("javascript:alert(1)"),
        envelope(""),
        httpx.Response(502, text="<html>"),
        httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
        httpx.ConnectError("no"),
        httpx.ReadTimeout("late"),
        OSError("odd"),
    ],
    ids=str,
)
async def test_any_trouble_with_a_fresh_link_means_that_there_is_none(answer: httpx.Response | Exception) -> None:
    link, asked = await fresh_url_of(answer)
    assert link is None
    assert len(asked) == 1


async def test_a_link_that_expired_is_renewed_by_the_sandbox_and_a_foreign_one_is_not(
    tmp_path: Path, session: Session, sandbox: Any
) -> None:
    done = await session.submit(imagen4("a red kite"))
    [asset] = done.assets
    expired = f"{asset.url}?expires=1"
    client = KieClient(SecretStr("key"), sandbox.url)
    try:
        link = await client.fresh_url(done, expired)
        foreign = await client.fresh_url(done, "https://files.example/a.png")
        dead = await save(None, tmp_path / "one", expired)
        again = await save(None, tmp_path / "two", expired, fresh_url=client.fresh_url)
    finally:
        await client.close()
    assert link is not None
    assert int(link.partition("?expires=")[2]) > 1
    assert foreign is None
    assert "HTTP 403" in (dead.error or "")
    assert (again.error, again.sha256, again.url) == (None, asset.sha256, expired)


def test_a_result_whose_address_died_is_fetched_from_a_fresh_link(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "file", "http": 403})
    done = session.submit(imagen4("a red kite")).result(PATIENCE)
    [asset] = done.assets
    assert asset.error is None
    assert asset.path is not None
    assert asset.path.exists()
    assert asset.url is not None
    assert "expires" not in asset.url


def test_a_result_that_could_not_be_had_is_told_and_refresh_brings_it(session: Session, sandbox: Any) -> None:
    sandbox.faults({"route": "file", "http": 404, "times": 2})
    handle = session.submit(imagen4("a red kite"))
    done = handle.result(PATIENCE)
    [asset] = done.assets
    assert (done.status, asset.path) == (TaskStatus.SUCCESS, None)
    assert asset.error == (
        f"The result's address does not work any more (HTTP 404), and neither does a fresh one. {ADVICE}"
    )
    assert [name for name in files(session.output_dir) if not name.endswith(".html")] == []
    [again] = session.refresh(done).result(PATIENCE).assets
    assert again.error is None
    assert again.path is not None
    assert again.path.exists()
    assert sandbox.creates == 1


# A disk that does not take it.


def full(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["first bytes", "later bytes", "fsync", "sidecar", "name"])
async def test_a_full_disk_is_told_in_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    write, replace = Partial.write, Path.replace

    def filling(self: Partial, block: bytes) -> None:
        if self.size or place == "first bytes":
            full()
        write(self, block)

    def renamed(path: Path, target: Path) -> Path:
        return full() if target.suffix == ".bmp" else replace(path, target)

    def described(value: dict[str, object], **_: object) -> str:
        return full() if "kiegen" in value else "{}"

    with monkeypatch.context() as patch:
        match place:
            case "first bytes" | "later bytes":
                patch.setattr(Partial, "write", filling)
            case "fsync":
                patch.setattr(os, "fsync", full)
            case "sidecar":
                patch.setattr(json, "dumps", described)
            case "name":
                patch.setattr(Path, "replace", renamed)
        handle, asked = giving(httpx.Response(200, stream=Pieces(BIG)))
        asset = await save(handle, tmp_path)
    assert asset.path is None
    assert asset.error is not None
    assert asset.error.startswith("The file could not be written: No space left on device. Free space")
    assert ADVICE in asset.error
    assert len(asked) == 1
    assert files(tmp_path) == []
    assert is_saved(await save(handle, tmp_path), BIG)
    assert files(tmp_path) == saved_files("bmp")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are POSIX's")
def test_a_disk_that_is_really_full_is_told_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    program = """
import asyncio, resource, signal, sys
from pathlib import Path
from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.tasks import Asset, GenerationTask

async def main():
    saver = MediaSaver(SystemClock(), user_agent="test", allow_local=True)
    task = GenerationTask.model_validate_json(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
    [asset] = await saver.save(task, [Asset(kind="image", url=sys.argv[1])], Path(sys.argv[2]))
    print(asset.error)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""
    with FileServer.of(BIG) as server:
        arguments = [sys.executable, "-c", program, server.url, str(tmp_path), task().model_dump_json()]
        root = Path(__file__).parents[2]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=root, timeout=60)
    assert done.stdout.startswith("The file could not be written: File too large. Free space or choose another folder.")
    assert files(tmp_path) == []


# Hosts that mean harm.


@pytest.mark.parametrize("length", [10 * 1024**3, int("9" * 30)])
async def test_a_claim_of_endless_size_is_refused_before_it_is_read(tmp_path: Path, length: int) -> None:
    class Untouched(httpx.AsyncByteStream):
        async def __aiter__(self) -> Any:
            read.append(True)
            yield b""

    read: list[bool] = []

    handle, asked = giving(httpx.Response(200, headers={"content-length": str(length)}, stream=Untouched()))
    asset = await save(handle, tmp_path)
    assert asset.error == f"The result is larger than 4 GiB. {ADVICE}"
    assert len(asked) == 1
    assert read == []
    assert files(tmp_path) == []


async def test_a_claim_of_endless_size_in_a_range_is_refused_too(tmp_path: Path) -> None:
    leave(tmp_path, PNG[:HALF], Origin(etag='"one"'))
    start = HALF - OVERLAP
    span = f"bytes {start}-{len(PNG) - 1}/{10 * 1024**3}"
    handle, _ = giving(httpx.Response(206, headers={"content-range": span}, content=PNG[start:]))
    asset = await save(handle, tmp_path)
    assert "larger than 4 GiB" in (asset.error or "")
    assert files(tmp_path) == []


async def test_a_body_longer_than_the_limit_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1000)
    asset = await save(giving(httpx.Response(200, stream=httpx.ByteStream(PNG)))[0], tmp_path)
    assert "larger than" in (asset.error or "")
    assert files(tmp_path) == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip", "x"])
async def test_a_body_that_would_have_to_be_unpacked_is_refused(tmp_path: Path, encoding: str) -> None:
    handle, asked = giving(httpx.Response(200, headers={"content-encoding": encoding}, stream=httpx.ByteStream(PNG)))
    asset = await save(handle, tmp_path)
    assert "compressed" in (asset.error or "")
    assert asked[0].headers["accept-encoding"] == "identity"
    assert files(tmp_path) == []


async def test_a_body_that_says_it_is_not_compressed_is_taken(tmp_path: Path) -> None:
    plain = httpx.Response(200, headers={"content-encoding": "Identity"}, stream=httpx.ByteStream(PNG))
    assert is_saved(await save(giving(plain)[0], tmp_path))


async def test_redirects_are_followed_but_not_for_ever(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(302, headers={"location": "/b.png"}), httpx.Response(200, content=PNG))
    assert is_saved(await save(handle, tmp_path / "one"))
    assert str(asked[1].url) == "http://127.0.0.1:1/b.png"
    handle, asked = giving(httpx.Response(302, headers={"location": "/b.png"}))
    assert "without end" in ((await save(handle, tmp_path / "two")).error or "")
    assert len(asked) == download.MAX_REDIRECTS
    assert files(tmp_path / "two") == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://10.1.2.3/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/a.png",
        "http://localhost/a.png",
        "http://2130706433/a.png",
        "http://0x7f.1/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://1.1.1.1\\@127.0.0.1/a.png",
        "http://user:password@192.168.0.1/a.png",
    ],
)
async def test_a_result_never_comes_from_inside_a_private_network(tmp_path: Path, url: str) -> None:
    handle, asked = giving(httpx.Response(200, content=PNG))
    assert PRIVATE in ((await save(handle, tmp_path, url, local=False)).error or "")
    assert asked == []
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("64:ff9b::101:101", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:192.168.0.1", False),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address: str, *, public: bool) -> None:
    assert is_public(address) is public


async def test_a_redirect_into_a_private_network_is_not_followed(tmp_path: Path) -> None:
    handle, asked = giving(httpx.Response(302, headers={"location": "http://192.168.0.1/a.png"}))
    asset = await save(handle, tmp_path, "https://1.1.1.1/a.png", local=False)
    assert PRIVATE in (asset.error or "")
    assert len(asked) == 1
    assert files(tmp_path) == []


async def test_a_name_that_leads_inside_only_when_it_is_connected_to_gets_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []

    async def rebinding(host: str | bytes, port: int, **_: Any) -> list[tuple[Any, ...]]:
        looked_up.append(host if isinstance(host, str) else host.decode())
        address = "1.1.1.1" if len(looked_up) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
    with FileServer.of(PNG) as server:
        asset = await save(None, tmp_path, server.url.replace("127.0.0.1", "two-faced.example"), local=False)
        assert server.asked == []
    assert PRIVATE in (asset.error or "")
    assert looked_up == ["two-faced.example"] * 2
    assert files(tmp_path) == []


async def test_behind_a_proxy_that_alone_knows_names_a_result_is_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer.of(PNG) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        asset = await save(None, tmp_path, "http://files.invalid/a.png", local=False)
        assert len(proxy.asked) == 1
        assert PRIVATE in ((await save(None, tmp_path / "in", "http://127.0.0.1/a.png", local=False)).error or "")
        assert len(proxy.asked) == 1
    assert is_saved(asset)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a.png",
        "data:image/png;base64,AAAA",
        "/a.png",
        "http://",
        "http://[bad/a.png",
        "http://127.0.0.1:99999/a.png",
        f"http://{'a' * 70}.example/a.png",
        "http://a..b/a.png",
        "http://127.0.0.1:1/\x00a.png",
    ],
)
@pytest.mark.parametrize("local", [True, False])
async def test_an_address_that_cannot_be_used_becomes_an_error(tmp_path: Path, url: str, *, local: bool) -> None:
    handle, _ = giving(httpx.ConnectError("no"))
    asset = await save(handle, tmp_path, url, local=local)
    assert asset.error
    assert "could not be saved" not in asset.error
    assert files(tmp_path) == []


@pytest.mark.parametrize("location", ["http://[bad/a.png", "http://127.0.0.1:99999/a.png", "file:///etc/passwd", ""])
async def test_a_redirect_that_cannot_be_used_becomes_an_error(tmp_path: Path, location: str) -> None:
    handle, _ = giving(httpx.Response(302, headers={"location": location}), httpx.ConnectError("no"))
    asset = await save(handle, tmp_path)
    assert asset.error
    assert "could not be saved" not in asset.error
    assert files(tmp_path) == []


@pytest.mark.parametrize("etag", ['"\u00fc"', '"a\tb"'])
async def test_a_version_that_could_not_be_sent_back_is_not_remembered(tmp_path: Path, etag: str) -> None:
    first = httpx.Response(200, headers={b"etag": etag.encode()}, stream=Cut(PNG[:HALF]))
    handle, asked = giving(first, httpx.Response(200, content=PNG))
    assert is_saved(await save(handle, tmp_path))
    assert "if-range" not in asked[1].headers


# Steps and memory.


async def test_every_step_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "kiegen_nb")
    assert is_saved(await save(Host(PNG), tmp_path))
    records: list[Any] = [record for record in caplog.records if record.name == "kiegen_nb"]
    assert [record.event.removeprefix("save.") for record in records] == [
        "started", "receiving", "received", "checked", "thumbnail", "sidecar", "renamed",
    ]  # fmt: skip
    assert {record.task_id for record in records} == {"a" * 32}
    assert {record.levelname for record in records} == {"DEBUG"}
    assert all(record.data["asset"] == 0 for record in records)
    assert records[2].data["bytes"] == len(PNG)
    caplog.clear()
    await save(giving(httpx.Response(404))[0], tmp_path / "other")
    failed: Any = caplog.records[-1]
    assert (failed.event, failed.levelname) == ("save.failed", "WARNING")
    assert "HTTP 404" in failed.getMessage()
    assert "127.0.0.1" not in caplog.text


async def test_a_step_is_told_once_it_is_true(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sizes: dict[str, int] = {}
    file = tmp_path / "kites" / f".{STEM}.part"

    def measure(record: Any) -> bool:
        sizes.setdefault(record.event, file.stat().st_size if file.exists() else -1)
        return True

    caplog.set_level("DEBUG", "kiegen_nb")
    caplog.handler.addFilter(measure)
    try:
        assert is_saved(await save(Host(BIG), tmp_path), BIG)
    finally:
        caplog.handler.removeFilter(measure)
    assert sizes["save.receiving"] == 65_536, "the first bytes are in the file"
    assert sizes["save.received"] == sizes["save.checked"] == sizes["save.sidecar"] == len(BIG)
    assert sizes["save.renamed"] == -1


def film_of(folder: Path, size: int) -> tuple[bytes, Callable[[], Iterator[bytes]]]:
    """Make a small film; return it, and what makes the same film with a box of zeros behind it, as blocks."""
    import av  # noqa: PLC0415 - slow to import
    from PIL import Image  # noqa: PLC0415 - only here

    path = folder / "small.mp4"
    frames: Any = av.VideoFrame
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for shade in range(5):
            frame = frames.from_image(Image.new("RGB", (64, 64), (shade * 50, 0, 0)))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    small = path.read_bytes()
    padding = size - len(small)

    def blocks() -> Iterator[bytes]:
        yield small + padding.to_bytes(4, "big") + b"free"
        rest = padding - 8
        while rest:
            yield bytes(min(rest, 65_536))
            rest -= min(rest, 65_536)

    return small, blocks


MEASURED = """
import asyncio, gc, re, resource, sys, tracemalloc
from pathlib import Path
from kiegen_nb.engine.clock import SystemClock
from kiegen_nb.engine.media import MediaSaver
from kiegen_nb.tasks import Asset, GenerationTask

PROC = Path("/proc/self")

def peak():
    if (PROC / "status").exists():
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", (PROC / "status").read_text())[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

async def main(small, large, folder):
    saver = MediaSaver(SystemClock(), user_agent="test", allow_local=True)
    made = {}
    async def save(name, url):
        task = GenerationTask.model_validate_json(sys.argv[4]).model_copy(update={"id": name})
        [asset] = await saver.save(task, [Asset(kind="video", url=url)], Path(folder))
        assert asset.error is None, asset.error
        return asset
    await save("warm", small)
    gc.collect()
    if (PROC / "clear_refs").exists():
        (PROC / "clear_refs").write_text("5")
    before = peak()
    asset = await save("large", large)
    grown = peak() - before
    tracemalloc.start()
    await save("traced", large)
    print(grown, tracemalloc.get_traced_memory()[1], asset.size, asset.width)
    await saver.close()

asyncio.run(main(*sys.argv[1:4]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="measures with POSIX's means")
def test_a_film_of_a_hundred_megabytes_costs_little_memory(tmp_path: Path) -> None:
    size, most = 100 * 1024**2, 20 * 1024**2
    small, blocks = film_of(tmp_path, size)
    with FileServer.of(small) as little, FileServer(blocks, size) as large:
        folder = tmp_path / "out"
        arguments = [sys.executable, "-c", MEASURED, little.url, large.url, str(folder), task().model_dump_json()]
        root = Path(__file__).parents[2]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=root, timeout=150)
    grown, python, got, width = map(int, done.stdout.split())
    assert (got, width) == (size, 64)
    assert grown <= most, f"the process grew by {grown / 1e6:.1f} MB"
    assert python <= most, f"Python's own memory grew by {python / 1e6:.1f} MB"


async def test_a_large_film_whose_line_is_cut_leaves_no_half_file(tmp_path: Path) -> None:
    size = 8 * 1024**2
    _, blocks = film_of(tmp_path, size)
    with FileServer(blocks, size, cut_at=size // 2) as server:
        asset = await save(None, tmp_path / "out", server.url, AssetKind.VIDEO)
        assert len(server.asked) > 1
    assert "broke off" in (asset.error or "")
    assert asset.path is None
    assert files(tmp_path / "out") == []
