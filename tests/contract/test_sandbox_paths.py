"""The sandbox's other paths: dedicated families, uploads, the catalogue, callbacks, and its switches."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import io
import json
import queue
import re
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from PIL import Image

from kiegen_nb.sandbox import checks
from kiegen_nb.sandbox.callbacks import is_local
from kiegen_nb.sandbox.multipart import Multipart, MultipartError, boundary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

DEADLINE = 30.0
URL = "http://127.0.0.1:9/a.png"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8


class Caller:
    """A sandbox in a child process and one account on it."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "kiegen_nb.sandbox", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]
        # With words before the digits: the sandbox refuses a key that begins with "bad", as hex now and then does.
        headers = {"Authorization": f"Bearer key-{uuid.uuid4().hex}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=DEADLINE)

    def post(self, path: str, body: object = None, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(path, json=body, **more).json()
        return answer

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(path, params=query).json()
        return answer

    def new(self, path: str, body: dict[str, Any]) -> str:
        answer = self.post(f"/api/v1/{path}", body)
        assert answer["code"] == 200, answer
        return str(answer["data"]["taskId"])

    def done(self, path: str, task_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            data = self.get(f"/api/v1/{path}", taskId=task_id)["data"]
            return (
                data if data and (data.get("completeTime") or data.get("videoInfo") or data.get("response")) else None
            )

        return wait_for(look)

    def bytes_of(self, url: str) -> bytes:
        answer = self.http.get(url)
        assert answer.status_code == 200, url
        return answer.content

    def stop(self) -> None:
        self.http.close()
        self.process.terminate()
        assert self.process.communicate(timeout=DEADLINE)[0] == ""


def wait_for(check: Callable[[], T | None]) -> T:
    end, pause = time.monotonic() + DEADLINE, threading.Event()
    while time.monotonic() < end:
        if (found := check()) is not None:
            return found
        pause.wait(0.01)
    pytest.fail("the deadline passed")


@contextmanager
def running(*arguments: str) -> Iterator[Caller]:
    caller = Caller(*arguments)
    try:
        yield caller
    finally:
        caller.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Caller]:
    with running("--speed", "200", "--no-limits") as caller:
        yield caller


@pytest.fixture
def fast(shared: Caller) -> Caller:
    """The shared sandbox, with an account of the test's own."""
    shared.http.headers["Authorization"] = f"Bearer key-{uuid.uuid4().hex}"
    return shared


# -- Veo -----------------------------------------------------------------------------------------------------


def test_veo_makes_a_film_in_its_own_shape(fast: Caller) -> None:
    task_id = fast.new("veo/generate", {"prompt": "a red kite", "aspectRatio": "9:16", "duration": 4, "seeds": 1})
    data = fast.done("veo/record-info", task_id)
    assert (data["successFlag"], data["errorMessage"], data["fallbackFlag"]) == (1, "", False)
    assert isinstance(data["createTime"], int)
    assert json.loads(data["paramJson"])["aspectRatio"] == "9:16"
    response = data["response"]
    assert (response["taskId"], response["resolution"], response["fullResultUrls"]) == (task_id, "720p", None)
    assert fast.bytes_of(response["resultUrls"][0])[4:8] == b"ftyp"
    assert len(response["originUrls"]) == 1
    assert fast.get("/api/v1/chat/credit")["data"] == 9940


@pytest.mark.parametrize(
    ("body", "msg"),
    [
        ({"prompt": ""}, "Please enter prompt"),
        ({"model": "veo2"}, "model"),
        ({"imageUrls": [URL] * 3}, "imageUrls"),
        ({"imageUrls": [URL], "generationType": "TEXT_2_VIDEO"}, "imageUrls"),
        ({"generationType": "FIRST_AND_LAST_FRAMES_2_VIDEO"}, "imageUrls"),
        ({"imageUrls": [URL], "generationType": "REFERENCE_2_VIDEO", "model": "veo3"}, "model"),
        ({"imageUrls": [URL], "generationType": "REFERENCE_2_VIDEO", "duration": 6}, "duration"),
        ({"duration": 5}, "duration"),
        ({"aspectRatio": "1:1"}, "aspect_ratio"),
    ],
)
def test_veo_refuses_with_422(fast: Caller, body: dict[str, Any], msg: str) -> None:
    answer = fast.post("/api/v1/veo/generate", {"prompt": "p", **body})
    assert (answer["code"], answer["data"]) == (422, None)
    assert msg in answer["msg"]


def test_1080p_is_a_repeated_get_and_4k_a_repeated_post() -> None:
    with running("--speed", "8", "--no-limits") as caller:
        task_id = caller.new("veo/generate", {"prompt": "p", "duration": 4})
        early = caller.get("/api/v1/veo/get-1080p-video", taskId=task_id)
        assert (early["code"], early["data"]) == (422, None)
        caller.done("veo/record-info", task_id)

        processing = caller.get("/api/v1/veo/get-1080p-video", taskId=task_id, index=0)
        assert processing["code"] == 400
        assert processing["msg"].startswith("1080P is processing.")
        query = {"taskId": task_id, "index": 0}
        full = wait_for(lambda: caller.get("/api/v1/veo/get-1080p-video", **query)["data"])
        assert list(full) == ["resultUrl"]
        assert caller.bytes_of(full["resultUrl"])[4:8] == b"ftyp"

        first = caller.post("/api/v1/veo/get-4k-video", query)
        assert (first["code"], first["data"]["resultUrls"]) == (200, None)
        again = caller.post("/api/v1/veo/get-4k-video", query)
        assert (again["code"], again["msg"][:16]) == (422, "4k is processing")
        record = caller.done("veo/record-info", first["data"]["taskId"])
        assert record["response"]["resultUrls"]
        assert "fallbackFlag" not in record
        made = caller.post("/api/v1/veo/get-4k-video", query)
        assert (made["code"], made["msg"]) == (422, "The video has been generated successfully")
        assert made["data"]["resultUrls"] == record["response"]["resultUrls"]
        assert made["data"]["imageUrls"]
        # The film, the full one once however often asked for, and the 4K one once.
        assert caller.get("/api/v1/chat/credit")["data"] == 10_000 - 60 - 5 - 120
        assert caller.get("/sandbox/stats")["creates"] == 2


def test_a_veo_extension_follows_its_film(fast: Caller) -> None:
    task_id = fast.new("veo/generate", {"prompt": "p", "duration": 4})
    fast.done("veo/record-info", task_id)
    longer = fast.done("veo/record-info", fast.new("veo/extend", {"taskId": task_id, "prompt": "on"}))
    assert len(longer["response"]["fullResultUrls"]) == 1
    unknown = fast.post("/api/v1/veo/extend", {"taskId": "0" * 32, "prompt": "on"})
    assert unknown["code"] == 404
    sharp = fast.new("veo/generate", {"prompt": "p", "resolution": "1080p"})
    fast.done("veo/record-info", sharp)
    assert fast.post("/api/v1/veo/extend", {"taskId": sharp, "prompt": "on"})["code"] == 400


# -- Midjourney ----------------------------------------------------------------------------------------------


def test_midjourney_makes_four_and_follows_up(fast: Caller) -> None:
    body = {"taskType": "mj_txt2img", "prompt": "a red kite", "speed": "relax", "aspectRatio": "2:1"}
    task_id = fast.new("mj/generate", body)
    data = fast.done("mj/record-info", task_id)
    assert (data["taskType"], data["successFlag"]) == ("mj_txt2img", 1)
    urls = [item["resultUrl"] for item in data["resultInfoJson"]["resultUrls"]]
    assert len(urls) == 4
    with Image.open(io.BytesIO(fast.bytes_of(urls[2]))) as picture:
        assert picture.size == (1024, 512)
        small = picture.convert("L").resize((16, 8))
    upscale = fast.new("mj/generateUpscale", {"taskId": task_id, "imageIndex": 2})
    [big] = fast.done("mj/record-info", upscale)["resultInfoJson"]["resultUrls"]
    with Image.open(io.BytesIO(fast.bytes_of(big["resultUrl"]))) as picture:
        assert picture.size == (1536, 768)
        same = picture.convert("L").resize((16, 8))
    near = [abs(a - b) for a, b in zip(small.tobytes(), same.tobytes(), strict=True)]
    assert sum(near) / len(near) < 12
    varied = fast.done("mj/record-info", fast.new("mj/generateVary", {"taskId": task_id, "imageIndex": 4}))
    assert len(varied["resultInfoJson"]["resultUrls"]) == 4


def test_midjourney_films(fast: Caller) -> None:
    body = {"taskType": "mj_video", "prompt": "p", "fileUrl": URL, "motion": "low", "videoBatchSize": 2}
    task_id = fast.new("mj/generate", body)
    films = fast.done("mj/record-info", task_id)["resultInfoJson"]["resultUrls"]
    assert [fast.bytes_of(item["resultUrl"])[4:8] for item in films] == [b"ftyp"] * 2
    extend = {"taskId": task_id, "taskType": "mj_video_extend_auto", "index": 0}
    longer = fast.done("mj/record-info", fast.new("mj/generateVideoExtend", extend))
    assert longer["taskType"] == "mj_video_extend_auto"
    manual = fast.post("/api/v1/mj/generateVideoExtend", {**extend, "taskType": "mj_video_extend_manual"})
    assert (manual["code"], manual["msg"]) == (422, "prompt is required")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"taskType": "mj_img2img"}, "fileUrls"),
        ({"taskType": "mj_video", "fileUrls": [URL]}, "motion"),
        ({"taskType": "mj_video", "fileUrls": [URL] * 2, "motion": "low"}, "fileUrls"),
        ({"version": "8"}, "version"),
        ({"variety": 7}, "variety"),
        ({"weirdness": 3001}, "weirdness"),
        ({"taskType": "mj_omni_reference", "fileUrls": [URL], "ow": 0}, "ow"),
        ({"speed": "slow"}, "speed"),
        ({"prompt": "x" * 2001}, "prompt"),
    ],
)
def test_midjourney_refuses_with_422(fast: Caller, body: dict[str, Any], field: str) -> None:
    answer = fast.post("/api/v1/mj/generate", {"taskType": "mj_txt2img", "prompt": "p", **body})
    assert answer["code"] == 422
    assert field in answer["msg"]


# -- the older families --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("create", "look", "body", "where"),
    [
        ("gpt4o-image/generate", "gpt4o-image/record-info", {"prompt": "p", "size": "3:2"}, "response.resultUrls.0"),
        ("flux/kontext/generate", "flux/kontext/record-info", {"prompt": "p"}, "response.resultImageUrl"),
        (
            "runway/generate",
            "runway/record-detail",
            {"prompt": "p", "duration": 5, "quality": "720p", "aspectRatio": "1:1"},
            "videoInfo.videoUrl",
        ),
        ("aleph/generate", "aleph/record-info", {"prompt": "p", "videoUrl": URL}, "response.resultVideoUrl"),
        (
            "generate",
            "generate/record-info",
            {"prompt": "p", "customMode": False, "instrumental": True, "model": "V5"},
            "response.sunoData.0.audioUrl",
        ),
    ],
)
def test_each_family_answers_in_its_own_shape(
    fast: Caller, create: str, look: str, body: dict[str, Any], where: str
) -> None:
    found: Any = fast.done(look, fast.new(create, body))
    for step in where.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    assert len(fast.bytes_of(found)) > 1000
    needed = fast.post(f"/api/v1/{create}", {})
    assert needed["code"] == 422
    assert fast.get(f"/api/v1/{look}")["code"] == 400


def test_a_record_of_another_family_is_not_found(fast: Caller) -> None:
    task_id = fast.new("mj/generate", {"prompt": "p"})
    fast.done("mj/record-info", task_id)
    assert fast.get("/api/v1/veo/record-info", taskId=task_id)["code"] == 422
    assert fast.get("/api/v1/jobs/recordInfo", taskId=task_id)["msg"] == "recordInfo is null"
    assert fast.get("/api/v1/flux/kontext/record-info", taskId=task_id)["msg"] == "The record does not exist"
    suno = fast.get("/api/v1/generate/record-info", taskId=task_id)
    assert (suno["code"], suno["data"]) == (200, None)


def test_failures_of_the_families(fast: Caller) -> None:
    for create, look in (("veo/generate", "veo/record-info"), ("mj/generate", "mj/record-info")):
        data = fast.done(look, fast.new(create, {"prompt": "sandbox:fail"}))
        assert (data["successFlag"], data["errorCode"]) == (3, 400)
        assert "content policy" in data["errorMessage"]
    assert fast.get("/api/v1/chat/credit")["data"] == 10_000


def test_helpers_answer_at_once(fast: Caller) -> None:
    character = fast.post("/api/v1/omni/character/create", {"descriptions": "a fox", "image_urls": [URL]})
    assert character["data"]["characterId"]
    assert fast.post("/api/v1/omni/audio/create", {"name": "n"})["code"] == 422


# -- uploads -------------------------------------------------------------------------------------------------


def test_a_stream_upload_comes_back_byte_for_byte(fast: Caller) -> None:
    data = PNG * 3000
    form = {"uploadPath": "images/user", "fileName": "kite one.png"}
    answer = fast.post("/api/file-stream-upload", data=form, files={"file": ("my kite.png", data, "image/png")})
    assert (answer["success"], answer["code"], answer["msg"]) == (True, 200, "File uploaded successfully")
    got = answer["data"]
    assert (got["fileName"], got["originalName"]) == ("kite one.png", "my kite.png")
    assert (got["fileSize"], got["mimeType"], got["filePath"]) == (len(data), "image/png", "images/user/kite one.png")
    assert got["downloadUrl"] == got["fileUrl"]
    assert got["expiresAt"] > got["uploadedAt"]
    whole = httpx.get(got["downloadUrl"], trust_env=False)
    assert whole.content == data
    assert whole.headers["Content-Type"] == "image/png"
    part = httpx.get(got["downloadUrl"], headers={"Range": "bytes=5-9"}, trust_env=False)
    assert (part.status_code, part.content) == (206, data[5:10])
    assert httpx.head(got["downloadUrl"], trust_env=False).headers["Content-Length"] == str(len(data))


def test_base64_uploads_with_and_without_prefix(fast: Caller) -> None:
    text = base64.b64encode(PNG).decode()
    names = set()
    for given in (text, f"data:image/png;base64,{text}"):
        got = fast.post("/api/file-base64-upload", {"base64Data": given, "uploadPath": "a"})["data"]
        assert got["mimeType"] == "image/png"
        assert got["fileName"].endswith(".png")
        assert fast.bytes_of(got["downloadUrl"]) == PNG
        names.add(got["fileName"])
    assert len(names) == 2


def test_the_same_name_overwrites(fast: Caller) -> None:
    urls = []
    for data in (PNG, PNG + b"x"):
        body = {"base64Data": base64.b64encode(data).decode(), "uploadPath": "a", "fileName": "b.png"}
        urls.append(fast.post("/api/file-base64-upload", body)["data"]["downloadUrl"])
    assert urls[0] == urls[1]
    assert fast.bytes_of(urls[0]) == PNG + b"x"


def test_a_url_upload_fetches_from_this_machine_only(fast: Caller) -> None:
    body = {"base64Data": base64.b64encode(PNG).decode(), "uploadPath": "a", "fileName": "src.png"}
    source = fast.post("/api/file-base64-upload", body)["data"]["downloadUrl"]
    got = fast.post("/api/file-url-upload", {"fileUrl": source, "uploadPath": "b"})["data"]
    assert (got["originalName"], got["mimeType"]) == ("src.png", "image/png")
    assert fast.bytes_of(got["downloadUrl"]) == PNG
    outside, unread = "the sandbox fetches addresses on this machine only", "the address could not be read"
    for url, reason in (
        ("https://example.com/a.png", outside),
        ("file:///etc/passwd", outside),
        ("http://10.0.0.1/a", outside),
        (f"{fast.url}/nowhere", unread),
    ):
        answer = fast.post("/api/file-url-upload", {"fileUrl": url, "uploadPath": "b"})
        assert (answer["success"], answer["code"]) == (False, 400)
        assert answer["msg"] == f"File download failed: {reason}"


@pytest.mark.parametrize(
    ("body", "msg"),
    [
        ({"base64Data": "AAAA"}, "Missing required parameter: uploadPath"),
        ({"uploadPath": "a"}, "Missing required parameter: base64Data"),
        ({"base64Data": "not base64!", "uploadPath": "a"}, "Base64 decoding failed: Invalid Base64 format"),
        ({"base64Data": "AAAA", "uploadPath": "/a"}, "uploadPath"),
        ({"base64Data": "AAAA", "uploadPath": "a/../b"}, "uploadPath"),
        ({"base64Data": "AAAA", "uploadPath": "a", "fileName": "../x"}, "fileName"),
        ({"base64Data": "AAAA", "uploadPath": "a", "fileName": ".."}, "fileName"),
    ],
)
def test_bad_uploads_are_named(fast: Caller, body: dict[str, Any], msg: str) -> None:
    answer = fast.post("/api/file-base64-upload", body)
    assert (answer["success"], answer["code"]) == (False, 400)
    assert msg in answer["msg"]


def test_bad_forms_and_keys_are_named(fast: Caller) -> None:
    def send(**more: Any) -> dict[str, Any]:
        return fast.post("/api/file-stream-upload", **more)

    assert send(body={"a": 1})["msg"] == "Content-Type must be multipart/form-data"
    assert send(data={"uploadPath": "a"}, files={"x": b"1"})["msg"] == "Missing required parameter: file"
    assert send(files={"file": PNG})["msg"] == "Missing required parameter: uploadPath"
    denied = send(files={"file": PNG}, headers={"Authorization": "Bearer bad"})
    assert denied == {"success": False, "code": 401, "msg": "Authentication failed: Invalid API Key", "data": None}


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 100_000])
def test_a_form_may_come_in_pieces(step: int) -> None:
    content = b"\r\n--boun d\r\n-bound\r\n--boun" * 50 + b"\r\n"
    field = b'--bound\r\nContent-Disposition: form-data; name="%s"'
    body = b"\r\n".join(
        (
            field % b"uploadPath" + b"\r\n\r\na/b",
            field % b"file" + b'; filename="x.bin"\r\nContent-Type: a/b\r\n\r\n' + content,
            field % b"fileName" + b"\r\n\r\ny.bin",
            b"--bound--\r\n",
        )
    )
    form = Multipart(b"bound")
    got = b"".join(piece for at in range(0, len(body), step) for piece in form.feed(body[at : at + step]))
    assert form.done
    assert form.fields == {"uploadPath": "a/b", "fileName": "y.bin"}
    assert (form.file_name, form.file_type) == ("x.bin", "a/b")
    assert got == content


def test_a_body_without_a_form_ends_early() -> None:
    with pytest.raises(MultipartError):
        list(Multipart(b"b").feed(b"x" * 40_000))
    for header in ("", "text/plain", "multipart/form-data"):
        with pytest.raises(MultipartError):
            boundary_of(header)


def test_a_large_upload_stays_out_of_memory(tmp_path: Path) -> None:
    status = "/proc/{}/status"
    with running("--database", str(tmp_path / "t.sqlite3")) as caller:

        def most_memory() -> int:
            with open(status.format(caller.process.pid), encoding="ascii") as file:  # noqa: PTH123 - a kernel file
                found = re.search(r"VmHWM:\s+(\d+)", file.read())
            assert found
            return int(found[1])

        caller.post("/api/file-stream-upload", data={"uploadPath": "a"}, files={"file": ("a.png", PNG, "image/png")})
        if not sys.platform.startswith("linux"):
            pytest.skip("memory is read from /proc")
        before = most_memory()
        big = tmp_path / "big.bin"
        with big.open("wb") as empty:
            empty.truncate(120 * 2**20)
        with big.open("rb") as file:
            got = caller.post("/api/file-stream-upload", data={"uploadPath": "a"}, files={"file": ("b.mp4", file)})
        assert got["data"]["fileSize"] == 120 * 2**20
        assert most_memory() - before < 40 * 1024


def test_a_later_sandbox_serves_earlier_uploads(tmp_path: Path) -> None:
    file = ("--database", str(tmp_path / "t.sqlite3"))
    body = {"base64Data": base64.b64encode(PNG).decode(), "uploadPath": "a", "fileName": "b.png"}
    with running(*file) as first:
        path = first.post("/api/file-base64-upload", body)["data"]["downloadUrl"].removeprefix(first.url)
    with running(*file, "--upload-reply", "endpoint") as second:
        assert second.bytes_of(path) == PNG
        answer = second.post("/api/file-base64-upload", body)["data"]
        assert set(answer) == {"fileName", "filePath", "downloadUrl", "fileSize", "mimeType", "uploadedAt"}
    assert len(list((tmp_path / "t.sqlite3.uploads").iterdir())) == 2


# -- the catalogue -------------------------------------------------------------------------------------------


def test_the_catalogue_lists_what_is_there_today(fast: Caller) -> None:
    everything = fast.get("/api/v1/models")["data"]
    there = [slug for slug, entry in checks.load_catalogue().items() if entry["status"] != "removed"]
    assert everything["total"] == len(there) == len(everything["models"])
    kling = fast.get("/api/v1/models", q="kling", taskType="text-to-video,motion-control")["data"]["models"]
    assert kling
    assert all("kling" in one["model"] for one in kling)
    assert fast.get("/api/v1/models", provider="Nobody")["data"] == {"total": 0, "models": []}


def test_one_models_schema_price_and_success_rate(fast: Caller) -> None:
    openapi = fast.get("/api/v1/models/bytedance/seedance-2/schema")["data"]["openapi"]
    body = openapi["paths"]["/api/v1/jobs/createTask"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    duration = body["properties"]["input"]["properties"]["duration"]
    assert (duration["type"], duration["minimum"], duration["maximum"]) == ("integer", 4, 15)
    assert fast.get("/api/v1/models/ai-music-api/generate/schema")["data"]["openapi"] is None
    assert fast.get("/api/v1/models/google/imagen4/price")["data"]["pricingDesc"] == "8"
    points = fast.get("/api/v1/models/z-image/success-rate")["data"]["points"]
    assert len(points) == 144
    assert all(0 <= point["successRate"] <= 1 for point in points)
    for slug in ("nobody/knows", "sora-2-text-to-video"):
        assert fast.get(f"/api/v1/models/{slug}/schema")["code"] == 404


def test_the_catalogue_answers_one_question_a_second() -> None:
    with running("--speed", "0.1") as caller:
        assert caller.get("/api/v1/models")["code"] == 200
        assert caller.get("/api/v1/models/z-image/price")["code"] == 429


def test_the_price_feed_needs_no_key(fast: Caller) -> None:
    answer = httpx.post(
        f"{fast.url}/client/v1/model-pricing/page", json={"modelDescription": "imagen4", "pageSize": 2}, trust_env=False
    ).json()
    assert (answer["code"], answer["data"]["total"], len(answer["data"]["records"])) == (200, 3, 2)
    assert answer["data"]["records"][0]["creditPrice"] == "8"
    assert answer["data"]["records"][0]["usdPrice"] == "0.04"


# -- callbacks -----------------------------------------------------------------------------------------------


class Receiver:
    """A server that keeps what it is sent; it refuses the first request."""

    def __init__(self) -> None:
        self.got: queue.Queue[tuple[dict[str, str], dict[str, Any]]] = queue.Queue()
        received, refusals = self.got, [503]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(refusals.pop() if refusals else 200)
                self.end_headers()
                received.put((dict(self.headers), json.loads(body)))

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/cb"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        return self.got.get(timeout=DEADLINE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_finished_task_is_called_back_and_signed(receiver: Receiver) -> None:
    with running("--speed", "100", "--hmac-key", "k3y") as caller:
        body = {"model": "google/imagen4", "callBackUrl": receiver.url, "input": {"prompt": "p"}}
        task_id = caller.new("jobs/createTask", body)
        refused, again = receiver.next(), receiver.next()
        assert refused[1] == again[1]
        headers, sent = again
        assert (sent["code"], sent["msg"]) == (200, "Playground task completed successfully.")
        assert (sent["data"]["taskId"], sent["data"]["state"]) == (task_id, "success")
        signed = f"{task_id}.{headers['X-Webhook-Timestamp']}".encode()
        expected = base64.b64encode(hmac.new(b"k3y", signed, hashlib.sha256).digest()).decode()
        assert headers["X-Webhook-Signature"] == expected

        caller.new("jobs/createTask", {**body, "input": {"prompt": "sandbox:fail"}})
        failed = receiver.next()[1]
        assert (failed["code"], failed["data"]["state"], failed["data"]["resultJson"]) == (501, "fail", None)

        caller.new("mj/generate", {"prompt": "p", "callBackUrl": receiver.url})
        assert len(receiver.next()[1]["data"]["resultUrls"]) == 4
        caller.new("veo/generate", {"prompt": "p", "callBackUrl": receiver.url})
        assert receiver.next()[1]["data"]["info"]["resultUrls"]


def test_a_callback_survives_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    file = ("--database", str(tmp_path / "t.sqlite3"))
    body = {"model": "google/imagen4", "callBackUrl": receiver.url, "input": {"prompt": "sandbox:slow=1"}}
    with running(*file) as first:
        task_id = first.new("jobs/createTask", body)
    with running(*file) as second:
        sent = receiver.next()[1]
        assert sent["data"]["taskId"] == task_id
        assert second.url in sent["data"]["resultJson"]


def test_a_redirect_is_never_followed(fast: Caller) -> None:
    asked: queue.Queue[str] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.put(self.path)
            self.send_response(307)
            self.send_header("Location", "/away")
            self.end_headers()

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/here"
        assert fast.post("/api/file-url-upload", {"fileUrl": url, "uploadPath": "a"})["code"] == 400
        fast.new("jobs/createTask", {"model": "google/imagen4", "callBackUrl": url, "input": {"prompt": "p"}})
        # The upload's one request, then the callback's three tries.
        assert [asked.get(timeout=DEADLINE) for _ in range(4)] == ["/here"] * 4
        server.shutdown()
    assert asked.empty()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:5/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:5/", True),
        ("https://example.com/", False),
        ("http://127.0.0.1.example.com/", False),
        ("http://10.0.0.1/", False),
        ("file:///etc/passwd", False),
        ("http://127.0.0.1:99999/", False),
        (5, False),
    ],
)
def test_only_this_machine_is_called(url: object, local: bool) -> None:
    assert is_local(url) is local


# -- switches and foreign clients ----------------------------------------------------------------------------


def test_today_what_is_gone_is_refused() -> None:
    with running("--today") as caller:
        gone = caller.post("/api/v1/jobs/createTask", {"model": "sora-2-text-to-video", "input": {"prompt": "p"}})
        assert gone["code"] == 422
        assert gone["msg"].startswith("The model name you specified is not supported.")
        paused = caller.post("/api/v1/mj/generate", {"prompt": "p"})
        assert (paused["code"], paused["msg"]) == (422, "This interface is temporarily paused.")
        caller.new("jobs/createTask", {"model": "google/imagen4", "input": {"prompt": "p"}})
        assert caller.get("/api/v1/chat/credit")["data"] == 9992


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_any_spelling_of_the_header_will_do(fast: Caller, name: str, scheme: str) -> None:
    headers = {name: f"{scheme}  my-key", "Content-Type": "application/json", "User-Agent": "Mozilla/5.0"}
    answer = httpx.get(f"{fast.url}/api/v1/chat/credit", headers=headers, trust_env=False).json()
    assert answer == {"code": 200, "msg": "success", "data": 10_000}


def test_faults_reach_the_other_paths(fast: Caller) -> None:
    rules = [{"route": "upload", "code": 500}, {"route": "catalogue", "http": 502}, {"route": "create", "code": 455}]
    assert fast.post("/sandbox/faults", rules)["ok"]
    body = {"base64Data": "AAAA", "uploadPath": "a"}
    assert fast.post("/api/file-base64-upload", body)["code"] == 500
    assert fast.http.get("/api/v1/models").status_code == 502
    assert fast.post("/api/v1/veo/generate", {"prompt": "p"})["code"] == 455
    assert fast.post("/api/file-base64-upload", body)["code"] == 200
