"""The sandbox against the documented contract: a real server in a child process, asked over HTTP."""

from __future__ import annotations

import ast
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from PIL import Image

from kiegen_nb.sandbox import checks, plans, prices, records, tasks
from kiegen_nb.sandbox.faults import BadRuleError, Faults
from kiegen_nb.sandbox.handlers import SANDBOX_HEADER
from kiegen_nb.sandbox.render import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

FAST = ("--speed", "50")
READY = re.compile(r"kiegen sandbox listening on (http://127\.0\.0\.1:\d+)\n")
DEADLINE = 30.0
CHOICE = "{} is not within the range of allowed options"
LENGTH = "The text length cannot exceed the maximum limit: {}"
RANGE = "Value must be within the specified range: {}"


def wait_for(check: Callable[[], T | None]) -> T:
    """Ask again and again until the check gives something, or fail after the deadline."""
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while time.monotonic() < end:
        if (found := check()) is not None:
            return found
        pause.wait(0.01)
    pytest.fail("the deadline passed")


class Server:
    """A sandbox in a child process."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = READY.fullmatch(line)
        assert found, (line, self.stop())
        self.url = found[1]

    def client(self, key: str | None = None) -> Account:
        # With words before the digits: the sandbox refuses a key that begins with "bad", as hex now and then does.
        return Account(self.url, key or f"key-{uuid.uuid4().hex}")

    def post_faults(self, *rules: dict[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.url}/sandbox/faults", json=rules, trust_env=False)

    def stats(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/sandbox/stats", trust_env=False).json()
        return answer

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        # Else communicate() would flush the closed pipe.
        self.process.stdin = None

    def stop(self) -> tuple[str, str]:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.communicate(timeout=DEADLINE)


class Account:
    """One key's view of a sandbox."""

    def __init__(self, url: str, key: str) -> None:
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)

    def create(self, model: str = "google/imagen4", **given: Any) -> dict[str, Any]:
        body = {"model": model, "input": {"prompt": "a red kite", **given}}
        answer: dict[str, Any] = self.http.post("/api/v1/jobs/createTask", json=body).json()
        return answer

    def new_task(self, model: str = "google/imagen4", **given: Any) -> str:
        answer = self.create(model, **given)
        assert answer["code"] == 200, answer
        return str(answer["data"]["taskId"])

    def look(self, task_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get("/api/v1/jobs/recordInfo", params={"taskId": task_id}).json()
        return answer

    def finished(self, task_id: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            data = self.look(task_id)["data"]
            return data if data and data["state"] in ("success", "fail") else None

        return wait_for(done)

    def urls(self, task_id: str) -> list[str]:
        found: list[str] = json.loads(self.finished(task_id)["resultJson"])["resultUrls"]
        return found

    def credits(self) -> float:
        return float(self.http.get("/api/v1/chat/credit").json()["data"])


@pytest.fixture(scope="module")
def fast() -> Iterator[Server]:
    server = Server(*FAST)
    yield server
    server.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    """Start sandboxes with arguments of the test's own."""
    servers: list[Server] = []

    def begin(*arguments: str) -> Server:
        servers.append(Server(*arguments))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


@pytest.fixture
def account(fast: Server) -> Iterator[Account]:
    one = fast.client()
    yield one
    one.http.close()


class Time:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def a_store(tmp_path: Path, clock: Time, **options: Any) -> tasks.Store:
    store = tasks.Store(tmp_path / "tasks.sqlite3", clock=clock, **options)
    store.know("me", tasks.NEW_ACCOUNT_CREDITS)
    return store


def a_task(store: tasks.Store, **given: Any) -> plans.Task:
    body = {"model": "google/imagen4", "input": {"prompt": "a red kite", **given}}
    return store.create("me", body, checks.load_catalogue()["google/imagen4"])


# -- creating and looking ------------------------------------------------------------------------------------


def test_a_create_answers_a_32_hex_task_id_twice(account: Account) -> None:
    answer = account.create()
    assert answer["code"] == 200
    assert answer["msg"] == "success"
    assert re.fullmatch(r"[0-9a-f]{32}", answer["data"]["taskId"])
    assert answer["data"]["recordId"] == answer["data"]["taskId"]


def test_a_finished_record_has_the_documented_fields(account: Account) -> None:
    task_id = account.new_task(seed="5", num_images="4")
    data = account.finished(task_id)
    assert data["taskId"] == task_id
    assert (data["model"], data["state"], data["successFlag"]) == ("google/imagen4", "success", 1)
    param = json.loads(data["param"])
    assert json.loads(param["input"]) == {"prompt": "a red kite", "seed": "5", "num_images": "4"}
    assert data["failCode"] is None
    assert data["failMsg"] is None
    assert data["creditsConsumed"] == 8
    assert data["costTime"] >= 1
    assert data["createTime"] <= data["updateTime"] == data["completeTime"]
    # One picture per task: num_images is no longer a field of this model and unknown fields are ignored.
    assert len(json.loads(data["resultJson"])["resultUrls"]) == 1


def test_a_task_walks_through_its_states_as_time_passes(tmp_path: Path) -> None:
    clock = Time()
    store = a_store(tmp_path, clock)
    task = a_task(store)
    assert 2.5 <= task.duration <= 4.0
    seen: list[str] = []
    for step in range(45):
        data = records.record(task, clock.now + 0.3 + step / 10, "http://here")
        if not seen or seen[-1] != data["state"]:
            seen.append(data["state"])
        if data["state"] != "success":
            assert data["resultJson"] == ""
            assert data["completeTime"] is None
            assert data["successFlag"] == 0
            assert data.get("response") is None
    assert seen in (["waiting", "queuing", "generating", "success"], ["queuing", "generating", "success"])
    assert records.state(task, clock.now)[0] == "waiting"
    store.close()


def test_the_parsed_twin_of_the_result_comes_with_some_tasks_only(tmp_path: Path) -> None:
    clock = Time()
    store = a_store(tmp_path, clock, limits=False)
    made = [a_task(store) for _ in range(40)]
    clock.now += 60
    looks = [records.record(task, clock.now, "http://here") for task in made]
    with_twin = [one for one in looks if "response" in one]
    assert 0 < len(with_twin) < len(looks)
    assert all(one["response"] == json.loads(one["resultJson"]) for one in with_twin)
    store.close()


def test_a_new_task_is_unknown_for_a_moment(start: Callable[..., Server]) -> None:
    account = start("--speed", "0.5").client()
    task_id = account.new_task()
    assert account.look(task_id) == {"code": 422, "msg": "recordInfo is null", "data": None}
    assert wait_for(lambda: account.look(task_id)["data"])["state"] != "success"
    account.http.close()


def test_looks_at_unknown_and_foreign_tasks_find_nothing(fast: Server, account: Account) -> None:
    nothing = {"code": 422, "msg": "recordInfo is null", "data": None}
    assert account.look("0" * 32) == nothing
    task_id = account.new_task()
    account.finished(task_id)
    other = fast.client()
    assert other.look(task_id) == nothing
    other.http.close()


def test_a_look_needs_a_task_id(account: Account) -> None:
    answer = account.http.get("/api/v1/jobs/recordInfo").json()
    assert (answer["code"], answer["msg"]) == (400, "taskId parameter is required")


# -- authorization and the envelope --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic abc"},
        {"apikey": "k"},
        {"Authorization": "Bearer bad-key"},
    ],
)
def test_without_a_good_key_the_code_is_401_inside_http_200(fast: Server, headers: dict[str, str]) -> None:
    for path in ("/api/v1/chat/credit", "/api/v1/jobs/recordInfo?taskId=1"):
        answer = httpx.get(fast.url + path, headers=headers, trust_env=False)
        assert answer.status_code == 200
        assert answer.json() == {"code": 401, "msg": "You do not have access permissions", "data": None}


def test_every_answer_names_the_sandbox(fast: Server, account: Account) -> None:
    [url] = account.urls(account.new_task())
    for path in (url, "/sandbox/stats", "/sandbox/health", "/nowhere", "/api/v1/chat/credit"):
        assert account.http.get(path).headers[SANDBOX_HEADER] == "1"
    assert account.http.delete("/api/v1/chat/credit").headers[SANDBOX_HEADER] == "1"
    assert httpx.get(f"{fast.url}/api/v1/chat/credit", trust_env=False).headers[SANDBOX_HEADER] == "1"


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', '{"model": "\\ud800"}'])
def test_a_body_that_is_no_json_object_is_400(account: Account, body: str) -> None:
    answer = account.http.post("/api/v1/jobs/createTask", content=body)
    assert (answer.status_code, answer.json()["code"]) == (200, 400)


def test_an_unknown_path_is_a_real_404_and_no_envelope(account: Account) -> None:
    answer = account.http.get("/api/v1/jobs/queryTask")
    assert answer.status_code == 404
    body = answer.json()
    assert body.pop("timestamp")
    expected = {"status": 404, "error": "Not Found", "message": "No message available"}
    assert body == {**expected, "path": "/api/v1/jobs/queryTask"}


def test_errors_can_have_real_statuses(start: Callable[..., Server]) -> None:
    server = start(*FAST, "--http-errors")
    account = server.client()
    answer = account.http.get("/api/v1/jobs/recordInfo", params={"taskId": "1"})
    assert (answer.status_code, answer.json()["code"]) == (422, 422)
    assert httpx.get(f"{server.url}/api/v1/chat/credit", trust_env=False).status_code == 401
    assert account.http.get("/api/v1/chat/credit").status_code == 200
    account.http.close()


def test_the_key_is_never_written_down(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(*FAST, "--database", str(tmp_path / "t.sqlite3"))
    key = "secret-" + uuid.uuid4().hex
    account = server.client(key)
    account.finished(account.new_task())
    account.http.close()
    output = "".join(server.stop())
    assert key not in output
    assert all(key.encode() not in file.read_bytes() for file in tmp_path.iterdir())


# -- validation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "given", "msg"),
    [
        ("google/imagen4", {"prompt": None}, "prompt is required"),
        ("google/imagen4", {"prompt": ""}, "prompt is required"),
        ("google/imagen4", {"prompt": 7}, CHOICE.format("prompt")),
        ("google/imagen4", {"aspect_ratio": "2:1"}, CHOICE.format("aspect_ratio")),
        ("google/imagen4", {"aspect_ratio": "AUTO"}, CHOICE.format("aspect_ratio")),
        ("google/imagen4", {"prompt": "x" * 5001}, LENGTH.format("prompt")),
        ("google/imagen4", {"seed": "x" * 501}, LENGTH.format("seed")),
        ("google/imagen4", {"prompt": "", "aspect_ratio": "?"}, "prompt is required"),
        ("seedream/4.5-edit", {"image_urls": ["u"] * 15}, RANGE.format("image_urls")),
        ("seedream/4.5-edit", {"image_urls": "u"}, CHOICE.format("image_urls")),
        ("seedream/4.5-edit", {"image_urls": [1]}, CHOICE.format("image_urls")),
        ("qwen/text-to-image", {"guidance_scale": 21}, RANGE.format("guidance_scale")),
    ],
)
def test_bad_input_is_500_and_names_one_field(account: Account, model: str, given: dict[str, Any], msg: str) -> None:
    assert account.create(model, **given) == {"code": 500, "msg": msg, "data": None}


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "\N{GRINNING FACE}" * 5000},
        {"seed": 42},
        {"seed": 10**400},
        {"seed": "42"},
        {"no_such_field": {"a": 1}},
        {"aspect_ratio": "auto"},
        {"negative_prompt": None},
    ],
)
def test_good_input_is_accepted(account: Account, given: dict[str, Any]) -> None:
    account.new_task(**given)


def test_an_unknown_model_is_422(account: Account) -> None:
    for model in ("google/imagen5", "veo3", "_meta", "mj:generate"):
        answer = account.create(model)
        assert answer["code"] == 422
        assert answer["msg"].startswith("The model name you specified is not supported.")


def test_the_catalogue_rules_every_model() -> None:
    catalogue = checks.load_catalogue()
    assert len(catalogue) == 198, "196 and the two stable twins of Sora"
    for model, entry in catalogue.items():
        assert prices.price(entry) >= 0, model
        needed = [name for name, rule in entry["params"].items() if rule["required"] and "default" not in rule]
        if needed:
            with pytest.raises(checks.RefusedError, match=re.escape(str(checks.missing(entry, needed[0])))):
                checks.check_input(entry, {})
        else:
            checks.check_input(entry, {})


# -- words in the prompt, credits ----------------------------------------------------------------------------


def test_a_task_that_fails_gives_its_credits_back(start: Callable[..., Server]) -> None:
    account = start("--speed", "10").client()
    task_id = account.new_task(prompt="sandbox:fail sandbox:slow=15")
    assert account.credits() == 9992
    data = account.finished(task_id)
    assert (data["state"], data["successFlag"], data["failCode"]) == ("fail", 3, "400")
    assert "content policy" in data["failMsg"]
    assert (data["resultJson"], data["creditsConsumed"], data["costTime"]) == ("", 0, 0)
    assert account.credits() == 10_000
    account.http.close()


def test_a_refused_prompt_makes_no_task_and_costs_nothing(fast: Server, account: Account) -> None:
    before = fast.stats()["creates"]
    answer = account.create(prompt="sandbox:refuse please")
    assert (answer["code"], answer["data"]) == (400, None)
    assert "content policy" in answer["msg"]
    assert account.credits() == 10_000
    assert fast.stats()["creates"] == before


def test_slow_words_stretch_the_duration(tmp_path: Path) -> None:
    store = a_store(tmp_path, Time(), speed=2.0)
    assert 12.5 <= a_task(store, prompt="sandbox:slow").duration <= 20.0
    assert a_task(store, prompt="sandbox:slow=7.5").duration == pytest.approx(3.75)
    assert 1.25 <= a_task(store).duration <= 2.0
    store.close()


def test_seconds_words_set_the_duration_or_the_range_it_lies_in(tmp_path: Path) -> None:
    store = a_store(tmp_path, Time(), speed=2.0, seed=7, limits=False)
    assert a_task(store, prompt="sandbox:seconds=5").duration == pytest.approx(2.5)
    for words in ("sandbox:seconds=4-6", "sandbox:seconds=6-4"):
        found = [a_task(store, prompt=f"a kite {words}, again").duration for _ in range(40)]
        assert all(2.0 <= seconds <= 3.0 for seconds in found)
        assert max(found) - min(found) > 0.8, "they are spread over the range"
    assert a_task(store, prompt="sandbox:seconds=0").duration == pytest.approx(0.005)
    assert a_task(store, prompt="sandbox:seconds=999999").duration == pytest.approx(43_200)
    assert a_task(store, prompt="sandbox:seconds=2.5-2.5").duration == pytest.approx(1.25)
    store.close()


def test_each_model_charges_its_catalogue_price(account: Account) -> None:
    for model, left in (("google/imagen4", 9992), ("google/imagen4-fast", 9988), ("z-image", 9987.2)):
        account.new_task(model)
        assert account.credits() == left
    listed = {slug: prices.price(entry) for slug, entry in checks.load_catalogue().items()}
    assert listed["nano-banana-2"] == 8
    assert listed["bytedance/seedream-v4-text-to-image"] == 10


def test_a_poor_account_is_refused_with_402(fast: Server) -> None:
    poor = fast.client("poor-" + uuid.uuid4().hex)
    assert poor.credits() == 0
    answer = poor.create()
    assert answer == {
        "code": 402,
        "msg": "The current credits are insufficient. Please top up.",
        "data": None,
    }
    poor.http.close()


# -- limits --------------------------------------------------------------------------------------------------


def test_the_21st_create_in_ten_seconds_is_dropped(start: Callable[..., Server]) -> None:
    server = start()
    account, other = server.client(), server.client()
    codes = [account.create()["code"] for _ in range(22)]
    assert codes == [200] * 20 + [429] * 2
    assert other.create()["code"] == 200
    assert server.stats()["rate_limited"] == 2
    assert server.stats()["creates"] == 21
    for one in (account, other):
        one.http.close()


def test_the_create_limit_refills_after_its_window(tmp_path: Path) -> None:
    clock = Time()
    store = a_store(tmp_path, clock, speed=2.0)
    for _ in range(20):
        a_task(store)
    clock.now += 4.9
    with pytest.raises(checks.RefusedError, match="429"):
        a_task(store)
    clock.now += 0.2
    a_task(store)
    store.close()


def test_eleven_looks_in_a_second_at_one_task_are_too_many(start: Callable[..., Server]) -> None:
    # A hundredth of the speed makes the window long, so that the test does not race against it.
    server = start("--speed", "0.01")
    account = server.client()
    assert [account.look("a" * 32)["code"] for _ in range(11)] == [422] * 10 + [429]
    assert account.look("b" * 32)["code"] == 422
    account.http.close()


def test_limits_can_be_turned_off(start: Callable[..., Server]) -> None:
    account = start("--speed", "0.01", "--no-limits").client()
    assert {account.create()["code"] for _ in range(25)} == {200}
    assert {account.look("a" * 32)["code"] for _ in range(15)} == {422}
    account.http.close()


# -- result files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "ratio", "size"),
    [
        ("google/imagen4", None, (1024, 1024)),
        ("google/imagen4-fast", None, (1024, 576)),
        ("google/imagen4", "auto", (1024, 1024)),
        ("google/imagen4", "3:4", (768, 1024)),
    ],
)
def test_a_picture_has_the_shape_asked_for(
    account: Account, model: str, ratio: str | None, size: tuple[int, int]
) -> None:
    [url] = account.urls(account.new_task(model, aspect_ratio=ratio))
    answer = httpx.get(url, trust_env=False)
    assert answer.headers["Content-Type"] == "image/png"
    assert len(answer.content) == int(answer.headers["Content-Length"]) <= 600 * 1024
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, picture.size) == ("PNG", size)


def test_named_sizes_give_their_shapes() -> None:
    shapes = {"square_hd": (1024, 1024), "portrait_4_3": (768, 1024), "landscape_16_9": (1024, 576)}
    for word, size in shapes.items():
        assert plans.picture_size({"image_size": word}) == size
    assert plans.picture_size({"aspect_ratio": "landscape"}) == (1024, 682)


def test_a_model_with_num_images_gives_as_many_files(account: Account) -> None:
    urls = account.urls(account.new_task("ideogram/character", num_images="3", reference_image_urls=["u"]))
    pictures = {account.http.get(url).content for url in urls}
    assert len(urls) == len(pictures) == 3


def test_parts_of_a_file_can_be_fetched(account: Account) -> None:
    [url] = account.urls(account.new_task())
    whole = account.http.get(url)
    size, etag = len(whole.content), whole.headers["ETag"]

    def part(asked: str, **more: str) -> httpx.Response:
        return account.http.get(url, headers={"Range": asked, **more})

    parts = {"bytes=0-9": slice(10), "bytes=100-": slice(100, None), "bytes=-7": slice(-7, None)}
    for asked, expected in parts.items():
        answer = part(asked)
        first = expected.indices(size)[0]
        assert answer.status_code == 206
        assert answer.content == whole.content[expected]
        assert answer.headers["ETag"] == etag
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.content) - 1}/{size}"
    beyond = part(f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert part("bytes=0-9", **{"If-Range": '"older"'}).status_code == 200
    assert part("bytes=0-9", **{"If-Range": etag}).status_code == 206
    assert account.http.get(url, headers={"If-None-Match": etag}).status_code == 304


def test_head_tells_the_size_without_the_bytes(account: Account) -> None:
    [url] = account.urls(account.new_task())
    head, whole = account.http.head(url), account.http.get(url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))


def test_a_file_exists_only_once_its_task_has_succeeded(start: Callable[..., Server]) -> None:
    account = start().client()
    running = account.new_task()
    assert account.http.get(f"/files/{running}-0.png").status_code == 404
    assert account.http.get(f"/files/{'0' * 32}-0.png").status_code == 404
    account.http.close()


def test_pictures_repeat_for_the_same_seed_only(account: Account) -> None:
    def picture(**given: Any) -> bytes:
        return account.http.get(account.urls(account.new_task(**given))[0]).content

    assert picture(seed="1") == picture(seed="1")
    assert len({picture(seed="1"), picture(seed="2"), picture(), picture(), picture(prompt="sea")}) == 5


def test_every_shape_and_prompt_can_be_drawn() -> None:
    for number in range(40):
        size = ((64, 64), (1, 1), (1024, 8), (7, 300))[number % 4]
        data = render(f"\N{CJK UNIFIED IDEOGRAPH-6771} {number} <b>", seed="s", index=number, size=size)
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == size
    for suffix, name in (("jpg", "JPEG"), ("webp", "WEBP")):
        with Image.open(io.BytesIO(render("x", seed="", index=0, size=(9, 9), file_format=suffix))) as picture:
            assert picture.format == name


def test_a_download_link_works_until_it_expires(account: Account) -> None:
    [url] = account.urls(account.new_task())
    # The port of an earlier run is fine: stored addresses outlive the process that gave them.
    older = re.sub(r":\d+/", ":1/", url)
    for asked in (url, older):
        link = account.http.post("/api/v1/common/download-url", json={"url": asked}).json()["data"]
        assert link.startswith(url + "?")
        assert account.http.get(link).content == account.http.get(url).content
    assert account.http.get(f"{url}?expires=1000").status_code == 403


@pytest.mark.parametrize("url", ["https://example.com/a.png", "http://127.0.0.1/files/x.png", "", None, 5])
def test_a_download_link_to_a_foreign_file_is_422(account: Account, url: object) -> None:
    answer = account.http.post("/api/v1/common/download-url", json={"url": url}).json()
    assert answer == {"code": 422, "msg": "url is wrong", "data": None}


# -- the file outlives the process ---------------------------------------------------------------------------


def test_a_later_sandbox_answers_for_earlier_tasks_with_its_own_address(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    file = ("--database", str(tmp_path / "deep" / "t.sqlite3"))
    first = start(*file)
    mine = first.client("my-key")
    task_id = mine.new_task()
    mine.http.close()
    first.process.kill()
    second = start(*file)
    again = second.client("my-key")
    [url] = again.urls(task_id)
    assert url.startswith(second.url)
    assert again.http.get(url).status_code == 200
    assert second.stats()["creates"] == 1
    assert again.credits() == 9992
    again.http.close()


def test_two_sandboxes_share_one_file_and_one_limit(start: Callable[..., Server], tmp_path: Path) -> None:
    file = ("--database", str(tmp_path / "t.sqlite3"))
    clients = [start(*file).client("my-key") for _ in range(2)]
    codes: list[int] = []

    def work(one: Account) -> None:
        codes.extend(one.create()["code"] for _ in range(13))

    threads = [threading.Thread(target=work, args=(one,)) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200] * 20 + [429] * 6
    for one in clients:
        one.http.close()


def test_a_seed_repeats_ids_and_durations(start: Callable[..., Server], tmp_path: Path) -> None:
    def ids(*more: str) -> list[str]:
        account = start(*FAST, *more).client()
        made = [account.new_task() for _ in range(3)]
        account.http.close()
        return made

    assert ids("--seed", "7") == ids("--seed", "7")
    assert len({*ids("--seed", "8"), *ids("--seed", "7")}) == 6
    assert ids()[0] != ids()[0]
    (tmp_path / "b").mkdir()
    one = a_store(tmp_path, Time(), seed=7)
    two = a_store(tmp_path / "b", Time(), seed=7)
    assert [a_task(one).duration for _ in range(3)] == [a_task(two).duration for _ in range(3)]
    one.close()
    two.close()


# -- controls ------------------------------------------------------------------------------------------------


def test_stats_count_per_account_and_in_total(start: Callable[..., Server]) -> None:
    server = start(*FAST)
    account = server.client()
    [url] = account.urls(account.new_task())
    account.create(prompt="")
    account.http.get(url)
    stats = server.stats()
    [mine] = stats["accounts"].values()
    looks = mine.pop("looks")
    assert mine.pop("busiest_looks") <= looks
    expected = {"busiest_creates": 1, "creates": 1, "accepted": 1, "refused": 1, "rate_limited": 0, "results": 1}
    assert mine == expected
    assert looks >= 1
    assert (stats["creates"], stats["looks"], stats["rate_limited"]) == (1, looks, 0)
    assert isinstance(stats["version"], str)
    assert account.http.get("/sandbox/health").json() == {"ok": True}
    account.http.close()


def test_a_dropped_create_may_have_been_done_or_not(start: Callable[..., Server]) -> None:
    server = start(*FAST)
    account = server.client()
    assert server.post_faults({"route": "create", "drop": True}).json() == {"ok": True, "rules": 1}
    with pytest.raises(httpx.RemoteProtocolError):
        account.create()
    assert server.stats()["creates"] == 1
    server.post_faults({"route": "create", "drop": True, "before": True})
    with pytest.raises(httpx.RemoteProtocolError):
        account.create()
    assert server.stats()["creates"] == 1
    account.new_task()
    account.http.close()


def test_faults_answer_with_codes_statuses_and_raw_bodies(start: Callable[..., Server]) -> None:
    server = start(*FAST)
    account = server.client()
    task_id = account.new_task()
    account.finished(task_id)
    server.post_faults(
        {"route": "look", "code": 500, "times": 2},
        {"route": "look", "http": 502, "body": "<html>Bad Gateway</html>"},
        {"route": "credit", "code": 429, "http": 429, "retry_after": 3},
        {"route": "file", "http": 503},
        {"route": "create", "code": 501, "before": False, "msg": "late"},
    )
    assert [account.look(task_id)["code"] for _ in range(2)] == [500, 500]
    page = account.http.get("/api/v1/jobs/recordInfo", params={"taskId": task_id})
    assert (page.status_code, page.text) == (502, "<html>Bad Gateway</html>")
    assert account.look(task_id)["code"] == 200
    limited = account.http.get("/api/v1/chat/credit")
    assert (limited.status_code, limited.json()["code"], limited.headers["Retry-After"]) == (429, 429, "3")
    assert account.http.get(f"/files/{task_id}-0.png").status_code == 503
    assert account.http.get(f"/files/{task_id}-0.png").status_code == 200
    assert account.create() == {"code": 501, "msg": "late", "data": None}
    assert server.stats()["creates"] == 2
    account.http.close()


def test_faults_can_be_cleared_and_bad_rules_are_named(start: Callable[..., Server]) -> None:
    server = start(*FAST)
    account = server.client()
    server.post_faults({"route": "credit", "code": 455, "times": 9})
    assert account.http.delete("/sandbox/faults").json() == {"ok": True, "rules": 0}
    assert account.credits() == 10_000
    refused = server.post_faults({"route": "credit", "code": 455}, {"route": "nowhere", "code": 1})
    assert refused.status_code == 400
    assert "route must be one of" in refused.json()["error"]
    assert account.credits() == 10_000
    account.http.close()


@pytest.mark.parametrize(
    "rules",
    [
        {},
        ["x"],
        [{"route": "create"}],
        [{"route": "create", "code": "500"}],
        [{"route": "create", "code": True}],
        [{"route": "create", "http": 99}],
        [{"route": "create", "drop": True, "times": -1}],
        [{"route": "create", "dorp": True}],
    ],
)
def test_a_rule_that_says_nothing_sure_is_an_error(rules: object) -> None:
    with pytest.raises(BadRuleError):
        Faults().add(rules)


# -- life cycle ----------------------------------------------------------------------------------------------


def test_it_says_one_line_and_ends_quietly_on_a_signal(start: Callable[..., Server]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        server = start(*FAST)
        account = server.client()
        account.urls(account.new_task())
        server.process.send_signal(number)
        output = server.process.communicate(timeout=DEADLINE)
        assert output == ("", "")
        assert server.process.returncode == 0
        account.http.close()


def test_a_delayed_answer_does_not_hold_the_process(start: Callable[..., Server]) -> None:
    server = start(*FAST)
    account = server.client()
    server.post_faults({"route": "create", "delay": 3600})
    body = {"model": "google/imagen4", "input": {"prompt": "a red kite"}}
    with pytest.raises(httpx.ReadTimeout):
        account.http.post("/api/v1/jobs/createTask", json=body, timeout=0.2)
    # The work was done: only the answer is late.
    assert server.stats()["creates"] == 1
    ended: list[Exception] = []

    def ask() -> None:
        try:
            account.create()
        except httpx.TransportError as error:
            ended.append(error)

    held = threading.Thread(target=ask)
    server.post_faults({"route": "create", "delay": 3600})
    held.start()
    wait_for(lambda: True if server.stats()["creates"] == 2 else None)
    assert server.stop() == ("", "")
    held.join()
    assert len(ended) == 1
    account.http.close()


def test_it_ends_when_its_parents_pipe_closes(start: Callable[..., Server]) -> None:
    server = start("--with-parent")
    server.close_stdin()
    assert server.process.wait(timeout=DEADLINE) == 0


def test_it_outlives_a_closed_pipe_without_the_switch(start: Callable[..., Server]) -> None:
    server = start()
    server.close_stdin()
    assert httpx.get(f"{server.url}/sandbox/health", trust_env=False).json() == {"ok": True}


def test_it_ends_when_its_parent_is_killed() -> None:
    code = (
        "import subprocess, sys\n"
        "command = [sys.executable, '-m', 'kiegen_nb.sandbox', '--port', '0', '--with-parent']\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline(), end='', flush=True)\n"
        "child.wait()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        found = READY.fullmatch(parent.stdout.readline())
        assert found
        parent.kill()

    def gone() -> bool | None:
        try:
            httpx.get(f"{found[1]}/sandbox/health", trust_env=False)
        except httpx.TransportError:
            return True
        return None

    assert wait_for(gone)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.com", "::"])  # noqa: S104 - refused ones
def test_it_refuses_to_serve_other_machines(host: str) -> None:
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", "--host", host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 2
    assert "is not a loopback address" in done.stderr
    assert done.stdout == ""


def test_a_taken_port_is_a_sentence_not_a_traceback(fast: Server) -> None:
    port = fast.url.rpartition(":")[2]
    command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"kiegen sandbox: cannot listen on 127.0.0.1:{port}:")
    assert "Traceback" not in done.stderr


def test_the_sandbox_shares_no_code_with_the_client() -> None:
    allowed = {*sys.stdlib_module_names, "tornado", "PIL", "av"}
    folder = Path(tasks.__file__).parent
    assert checks.CATALOGUE.samefile(folder.parent / "kie" / "catalogue.json")
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {name.name.split(".")[0] for name in node.names} <= allowed, file
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] in allowed, file
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1, file
