"""The server extension, asked over HTTP: what it shows, and above all what it does not."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import update

from kiegen_nb.engine import schema
from kiegen_nb.engine.database import Database
from kiegen_nb.tasks import Asset, AssetKind
from tests.support.jupyter import BASE, task_of

if TYPE_CHECKING:
    from sqlalchemy import Update

    from kiegen_nb.tasks import GenerationTask
    from tests.support.jupyter import Jupyter

DATA = bytes(range(256)) * 40
SECRET = b"nobody may read this over the web"


def login(jupyter: Jupyter) -> httpx.Client:
    """Return a browser's client: logged in by a cookie."""
    answer = httpx.get(f"{jupyter.url}api/status?token={jupyter.token}")
    assert answer.cookies
    return httpx.Client(cookies=answer.cookies)


def raw(jupyter: Jupyter, path: str) -> tuple[int, bytes]:
    """Ask for a path exactly as it is spelled."""
    connection = http.client.HTTPConnection("127.0.0.1", jupyter.port, timeout=20)
    try:
        connection.putrequest("GET", path)
        connection.putheader("Authorization", f"token {jupyter.token}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def change(store: Path, statement: Update) -> None:
    """Change a store's rows."""
    database = Database(str(store))
    try:
        database.write(lambda connection: connection.execute(statement)).result(10)
    finally:
        database.close()


# Tasks


def test_a_groups_tasks_are_the_wishs_json_newest_first_from_every_store(jupyter: Jupyter) -> None:
    group = "a group / with ünusual & words "
    stores = [jupyter.named, jupyter.configured[0], jupyter.data / "kie.sqlite3", jupyter.data / "sandbox.sqlite3"]
    kept = [jupyter.keep(task_of(prompt_id=group, age=n), store) for n, store in enumerate(stores)]
    jupyter.keep(task_of(prompt_id="another"))
    found = jupyter.tasks(group)
    assert found == [task.to_json() for task in kept]
    assert {"promptId", "externalTaskId", "providerParams", "resultJson", "createdAt"} <= set(found[0])
    assert jupyter.tasks(group.strip()) == []


def test_a_task_in_two_stores_is_one(jupyter: Jupyter) -> None:
    task = task_of(prompt_id="copied")
    for store in (jupyter.named, jupyter.configured[0]):
        jupyter.keep(task, store)
    assert [found["id"] for found in jupyter.tasks("copied")] == [task.id]


def test_a_request_that_names_no_group_is_told_so(jupyter: Jupyter) -> None:
    for path in ("api/generation/tasks", "api/generation/tasks?promptId="):
        answer = jupyter.get(path)
        assert answer.status_code == 400
        assert "promptId" in answer.json()["message"]


def test_rows_of_other_users_of_a_shared_database_are_not_shown(jupyter: Jupyter) -> None:
    theirs = jupyter.result(DATA, prompt_id="unused")
    change(jupyter.named, update(schema.tasks).where(schema.tasks.c.id == theirs.id).values(user="somebody else"))
    assert jupyter.tasks("unused") == []
    assert jupyter.media(theirs).status_code == 404


def test_deleted_tasks_are_not_shown(jupyter: Jupyter) -> None:
    gone = jupyter.result(DATA, prompt_id="gone")
    assert jupyter.media(gone).status_code == 200
    change(jupyter.named, update(schema.tasks).where(schema.tasks.c.id == gone.id).values(deleted_at=1.0))
    assert jupyter.tasks("gone") == []
    assert jupyter.media(gone).status_code == 404


def test_a_row_that_cannot_be_read_does_not_hide_the_others(jupyter: Jupyter) -> None:
    good, bad = (jupyter.keep(task_of(prompt_id="mixed")) for _ in range(2))
    strange = '[{"kind": "hologram"}]'
    change(jupyter.named, update(schema.tasks).where(schema.tasks.c.id == bad.id).values(assets=strange))
    assert [found["id"] for found in jupyter.tasks("mixed")] == [good.id]
    assert bad.id in jupyter.log


# Who may ask


@pytest.mark.parametrize("headers", [{}, {"Authorization": "token wrong"}])
def test_without_jupyters_login_there_is_nothing(jupyter: Jupyter, headers: dict[str, str]) -> None:
    task = jupyter.result(DATA)
    for path in (f"media/{task.id}/0", f"media/{task.id}/0?probe=1", "api/generation/tasks?promptId=kites"):
        for method in ("GET", "HEAD"):
            if method == "HEAD" and path.startswith("api"):
                continue
            here = {"Referer": f"{jupyter.url}lab"}  # no other check may stand in for the login
            answer = httpx.request(method, f"{jupyter.url}kiegen_nb/{path}", headers=headers | here)
            assert answer.status_code == 403
            assert task.id not in answer.text
            assert answer.content != DATA


def test_a_browser_is_served_for_pages_of_this_server_only(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    with login(jupyter) as browser:
        for path in (f"media/{task.id}/0", "api/generation/tasks?promptId=kites"):
            url = f"{jupyter.url}kiegen_nb/{path}"
            assert browser.get(url, headers={"Referer": f"{jupyter.url}lab"}).status_code == 200
            assert browser.get(url).status_code == 403
            assert browser.get(url, headers={"Referer": "https://example.com/"}).status_code == 403


# Files


def test_a_saved_file_comes_as_it_is(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    answer = jupyter.media(task)
    assert (answer.status_code, answer.content) == (200, DATA)
    headers = answer.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-length"] == str(len(DATA))
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"] == f'inline; filename="{task.id}-0.png"'
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = [part.strip() for part in headers["content-security-policy"].split(";")]
    assert {"sandbox allow-same-origin", "frame-ancestors 'self'"} <= set(policy)


def test_head_says_the_same_without_the_bytes(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    whole, head = jupyter.media(task), jupyter.get(f"media/{task.id}/0", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag", "content-disposition"):
        assert head.headers[name] == whole.headers[name]


def test_an_unchanged_file_is_not_sent_again_and_a_changed_one_is(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    etag = jupyter.media(task).headers["etag"]
    again = jupyter.media(task, If_None_Match=etag)
    assert (again.status_code, again.content) == (304, b"")
    path = task.assets[0].path
    assert path is not None
    path.write_bytes(DATA[::-1])
    os.utime(path, (1_800_000_000, 1_800_000_000))
    changed = jupyter.media(task, If_None_Match=etag)
    assert (changed.status_code, changed.content) == (200, DATA[::-1])


SIZE = len(DATA)


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=5-{10**17}", 5, SIZE),
        (f"bytes=-{10**17}", 0, SIZE),
        ("Bytes = 7 - 9", 7, 10),
    ],
)
def test_a_part_of_a_file(jupyter: Jupyter, header: str, start: int, end: int) -> None:
    answer = jupyter.media(jupyter.result(DATA, "mp4"), Range=header)
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_part_beyond_the_end(jupyter: Jupyter, header: str) -> None:
    answer = jupyter.media(jupyter.result(DATA), Range=header)
    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "header", ["", "bytes=-", "bytes=", "bytes=5-2", "bytes=0-1,4-5", "pages=1-2", "bytes=a-b", f"bytes={'9' * 400}-"]
)
def test_a_range_that_says_nothing_sure_gives_the_whole_file(jupyter: Jupyter, header: str) -> None:
    answer = jupyter.media(jupyter.result(DATA), Range=header)
    assert (answer.status_code, answer.content) == (200, DATA)


def test_parts_of_two_versions_are_never_glued(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    etag = jupyter.media(task).headers["etag"]
    assert jupyter.media(task, Range="bytes=4-7", If_Range=etag).content == DATA[4:8]
    assert jupyter.media(task, Range="bytes=4-7", If_Range='"another"').content == DATA


def test_the_end_of_a_very_large_file_comes_at_once(jupyter: Jupyter) -> None:
    task = jupyter.result(b"x", "mp4")
    path = task.assets[0].path
    assert path is not None
    size = 6 * 1024**3
    with path.open("r+b") as file:
        file.seek(size - 4)
        file.write(b"done")  # the rest is a hole in the file
    answer = jupyter.media(task, Range=f"bytes={size - 8}-")
    assert (answer.status_code, answer.content) == (206, b"\0\0\0\0done")


@pytest.mark.parametrize(
    ("ending", "mime", "how"),
    [
        ("jpg", "image/jpeg", "inline"),
        ("webp", "image/webp", "inline"),
        ("webm", "video/webm", "inline"),
        ("mp3", "audio/mpeg", "inline"),
        ("svg", "image/svg+xml", "attachment"),
        ("html", "application/octet-stream", "attachment"),
        ("json", "application/json", "attachment"),
        ("txt", "text/plain; charset=utf-8", "attachment"),
        ("bin", "application/octet-stream", "attachment"),
    ],
)
def test_only_pictures_films_and_sounds_are_shown_in_the_page(
    jupyter: Jupyter, ending: str, mime: str, how: str
) -> None:
    answer = jupyter.media(jupyter.result(b"<script>alert(1)</script>", ending))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == mime
    assert answer.headers["content-disposition"].split(";")[0] == how
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ("allow-same-origin" in answer.headers["content-security-policy"]) == (how == "inline")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "allow-scripts" not in answer.headers["content-security-policy"]


def test_the_probe_answers_for_what_would_be_sent(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    answer = jupyter.get(f"media/{task.id}/0?probe=1")
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    gone = jupyter.get(f"media/{task.id}/1?probe=1")
    assert (gone.status_code, gone.json()) == (404, {"ok": False})


def test_each_result_of_a_task_has_its_number(jupyter: Jupyter) -> None:
    task_id, group = secrets.token_hex(16), jupyter.output / "numbers"
    group.mkdir()
    assets = []
    for number in range(12):
        path = group / f"{task_id}-{number}.png"
        path.write_bytes(DATA[number : number + 99])
        assets.append(Asset(kind=AssetKind.IMAGE, path=path))
    task = jupyter.keep(task_of(id=task_id, assets=assets))
    assert [jupyter.media(task, n).content for n in (0, 1, 11)] == [DATA[n : n + 99] for n in (0, 1, 11)]
    assert jupyter.media(task, 12).status_code == 404


# What must not be reachable


def refused(jupyter: Jupyter, task: GenerationTask, number: int = 0) -> bool:
    """Whether a task's file is neither sent nor confirmed."""
    answers = [jupyter.get(f"media/{task.id}/{number}{query}") for query in ("", "?probe=1")]
    assert all(SECRET not in answer.content for answer in answers)
    return all(answer.status_code == 404 for answer in answers)


def test_a_missing_file_is_just_not_there(jupyter: Jupyter) -> None:
    assert refused(jupyter, jupyter.result(b""))
    assert refused(jupyter, jupyter.keep(task_of(assets=(Asset(kind=AssetKind.IMAGE, url="https://example.com"),))))
    assert refused(jupyter, task_of())


@pytest.mark.parametrize(
    "path",
    [
        "media/{id}/../../../root/secret.txt",
        "media/{id}/..%2f..%2fsecret.txt",
        "media/{id}/%2e%2e/0",
        "media/../media/{id}/0",
        "media/{id}/0/../0",
        "media/{id}/00",
        "media/{id}/-1",
        "media/{id}/+0",
        "media/{id}/0x0",
        "media/{id}/%d9%a0",
        "media/{id}/99999",
        "media/{id}/0%00",
        "media/{id}/0%0a",
        "media/{id}%00/0",
        "media/{upper}/0",
        "media/{id}a/0",
        "media/{short}/0",
        "media//{id}/0",
        "media/{output}/kites/{id}-0.png/0",
        "media/%2fetc%2fpasswd/0",
        "media/'%20OR%201=1%20--/0",
    ],
)
def test_an_address_holds_an_id_and_a_number_and_nothing_else(jupyter: Jupyter, path: str) -> None:
    (jupyter.root / "secret.txt").write_bytes(SECRET)
    task = jupyter.result(SECRET)
    spelled = path.format(id=task.id, upper=task.id.upper(), short=task.id[:31], output=jupyter.output)
    status, body = raw(jupyter, BASE + "kiegen_nb/" + spelled)
    assert status in {400, 403, 404}
    assert SECRET not in body


def test_a_row_that_names_a_file_of_another_name_gives_nothing(jupyter: Jupyter) -> None:
    secret = jupyter.output / "secret.txt"
    secret.write_bytes(SECRET)
    assert refused(jupyter, jupyter.result(b"", path=secret))
    assert refused(jupyter, jupyter.result(b"", path=Path("/etc/passwd")))
    neighbour = jupyter.result(SECRET).assets[0].path
    assert neighbour is not None
    assert refused(jupyter, jupyter.result(b"", path=neighbour))
    assert refused(jupyter, jupyter.result(b"", path=Path(os.path.relpath(neighbour))))
    assert refused(jupyter, jupyter.result(SECRET, "png.html"))


def test_a_symbolic_link_is_not_followed(jupyter: Jupyter) -> None:
    secret = jupyter.folder / "secret"
    secret.write_bytes(SECRET)
    task = jupyter.result(b"")
    path = task.assets[0].path
    assert path is not None
    path.symlink_to(secret)
    assert refused(jupyter, task)


def test_a_group_that_is_a_symbolic_link_is_not_followed(jupyter: Jupyter) -> None:
    elsewhere = jupyter.folder / "elsewhere"
    elsewhere.mkdir()
    (jupyter.output / "linked").symlink_to(elsewhere)
    task_id = secrets.token_hex(16)
    (elsewhere / f"{task_id}-0.png").write_bytes(SECRET)
    asset = Asset(kind=AssetKind.IMAGE, path=jupyter.output / "linked" / f"{task_id}-0.png")
    assert refused(jupyter, jupyter.keep(task_of(id=task_id, assets=(asset,))))


def test_the_output_folder_itself_may_be_a_link_its_owner_chose_it(jupyter: Jupyter) -> None:
    link = jupyter.folder / "link-to-output"
    link.symlink_to(jupyter.output)
    task = jupyter.result(DATA)
    path = task.assets[0].path
    assert path is not None
    other = jupyter.keep(
        task_of(
            id=(task_id := secrets.token_hex(16)),
            assets=(Asset(kind=AssetKind.IMAGE, path=link / "kites" / f"{task_id}-0.png"),),
        )
    )
    (jupyter.output / "kites" / f"{task_id}-0.png").write_bytes(DATA)
    assert jupyter.media(other).content == DATA


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_shown(jupyter: Jupyter) -> None:
    task = jupyter.result(SECRET)
    path = task.assets[0].path
    assert path is not None
    assert jupyter.media(task).status_code == 200
    os.chown(path, 65_534, 65_534)
    assert refused(jupyter, task)
    hard = jupyter.result(b"")
    place = hard.assets[0].path
    assert place is not None
    place.hardlink_to(path)
    assert refused(jupyter, hard)


def test_a_pipe_or_a_folder_is_no_file_and_stops_nobody(jupyter: Jupyter) -> None:
    task, folder = jupyter.result(b""), jupyter.result(b"")
    for which, make in ((task, os.mkfifo), (folder, os.mkdir)):
        path = which.assets[0].path
        assert path is not None
        make(path)
        assert refused(jupyter, which)


# Stores


def test_a_store_of_another_schema_is_left_out_and_said_so(jupyter: Jupyter) -> None:
    newer = jupyter.configured[1]
    jupyter.keep(task_of(prompt_id="newer"), newer)
    assert len(jupyter.tasks("newer")) == 1
    version = update(schema.meta).where(schema.meta.c.name == "schema")
    change(newer, version.values(value=schema.SCHEMA_VERSION + 1))
    assert jupyter.tasks("newer") == []
    jupyter.tasks("newer")
    said = [line for line in jupyter.log.splitlines() if "newer.sqlite3" in line and "left out" in line]
    assert len(said) == 1
    assert f"schema {schema.SCHEMA_VERSION + 1}" in said[0]


def test_what_is_no_store_is_left_out_and_nothing_is_made(jupyter: Jupyter) -> None:
    garbage, missing = jupyter.configured[2:]
    before = garbage.read_bytes()
    jupyter.tasks("kites")
    assert re.search(r"garbage\.sqlite3 is left out: .*not a database", jupyter.log)
    assert garbage.read_bytes() == before
    assert not missing.exists()
    assert str(missing) not in jupyter.log


def test_a_store_is_never_written(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA)
    before = hashlib.sha256(jupyter.named.read_bytes()).digest()
    stamp = jupyter.named.stat().st_mtime_ns
    jupyter.tasks("kites")
    jupyter.media(task)
    assert hashlib.sha256(jupyter.named.read_bytes()).digest() == before
    assert jupyter.named.stat().st_mtime_ns == stamp


def test_a_store_is_read_while_a_kernel_writes_to_it(jupyter: Jupyter) -> None:
    task = jupyter.result(DATA, prompt_id="busy")
    database = Database(str(jupyter.named))
    answers: list[int] = []

    def ask(_: object) -> None:
        answers.append(len(jupyter.tasks("busy")))
        answers.append(jupyter.media(task).status_code)

    database.write(ask).result(30)
    database.close()
    assert answers == [1, 200]


# Loading


def test_installing_the_package_enables_the_extension() -> None:
    command = [sys.executable, "-m", "jupyter", "server", "extension", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr)
    assert re.search(r"kiegen_nb enabled\s", said), said
    assert re.search(r"kiegen_nb \S+ OK", said), said


def test_without_jupyter_server_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['jupyter_server'] = None\n"
        "import kiegen_nb, kiegen_nb.server\n"
        "assert kiegen_nb._jupyter_server_extension_points()[0]['module'] == 'kiegen_nb.server'\n"
        "try: kiegen_nb.server._load_jupyter_server_extension(None)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'kiegen_nb[lab]'" in done.stdout
