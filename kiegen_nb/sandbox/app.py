"""Routes of the sandbox: authorization, the envelope, limits, result files and the test controls."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

import tornado.web

from .faults import BadRuleError, Faults
from .tasks import NEW_ACCOUNT_CREDITS, RefusedError, load_catalogue, record, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from .faults import Rule
    from .tasks import Store, Task

SANDBOX_HEADER = "X-Kiegen-Sandbox"
LOOKS_PER_SECOND = 10
WATCHED_TASKS = 4096
LINK_LIFE = 20 * 60
CACHE_BYTES = 64 * 2**20
CONTENT_TYPES = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
FILE_NAME = r"[0-9a-f]{32}-\d{1,2}\.[a-z0-9]{1,5}"


@dataclass(frozen=True, slots=True)
class Options:
    """Switches of a sandbox.

    Attributes:
        http_errors: Answer errors with their real HTTP status instead of HTTP 200.
        limits: False turns the documented rate limits off.
    """

    http_errors: bool = False
    limits: bool = True


class Sandbox(tornado.web.Application):
    """The server's shared parts.

    Args:
        store: Where tasks and accounts live; its clock and speed rule everything here.
        options: Switches.
    """

    def __init__(self, store: Store, options: Options | None = None) -> None:
        self.store = store
        self.options = options or Options()
        self.catalogue = load_catalogue()
        self.faults = Faults()
        self.pictures = Pictures()
        self._looks: OrderedDict[str, deque[float]] = OrderedDict()
        super().__init__(
            [
                (r"/api/v1/jobs/createTask", CreateTask),
                (r"/api/v1/jobs/recordInfo", RecordInfo),
                (r"/api/v1/chat/credit", Credit),
                (r"/api/v1/common/download-url", DownloadUrl),
                (rf"/files/({FILE_NAME})", ResultFile),
                (r"/sandbox/stats", Stats),
                (r"/sandbox/health", Health),
                (r"/sandbox/faults", FaultRules),
            ],
            default_handler_class=NoSuchPath,
            # Nothing is logged per request: polls would flood a notebook, and headers hold keys.
            log_function=lambda _handler: None,
        )

    def limit_looks(self, task_id: str) -> None:
        """Count one look at a task.

        Raises:
            RefusedError: Code 429 after 10 looks in one second of the sandbox's time.
        """
        if not self.options.limits:
            return
        now = self.store.clock()
        times = self._looks.setdefault(task_id, deque())
        self._looks.move_to_end(task_id)
        if len(self._looks) > WATCHED_TASKS:
            self._looks.popitem(last=False)
        while times and times[0] <= now - 1 / self.store.speed:
            times.popleft()
        if len(times) >= LOOKS_PER_SECOND:
            raise RefusedError(429, "Your call frequency is too high. Please try again later.")
        times.append(now)

    def finished_file(self, name: str) -> Task | None:
        """Return the task that owns a result file, once it has succeeded; else None."""
        task = self.store.task(name.split("-", 1)[0])
        if task is None or name not in json.loads(task.files):
            return None
        return task if state(task, self.store.clock())[0] == "success" else None

    def stop(self) -> None:
        """Let go of the file and the drawing threads."""
        self.pictures.stop()
        self.store.close()


class Pictures:
    """Result files, drawn in a worker thread at their first request and kept while memory allows."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most_bytes = most_bytes
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="draw")
        self._drawn: OrderedDict[str, asyncio.Future[bytes]] = OrderedDict()

    async def get(self, task: Task, name: str) -> bytes:
        """Return the bytes of a result file; requests for the same file share one drawing."""
        future = self._drawn.get(name)
        if future is None:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._workers, _draw, task.recipe, name)
            self._drawn[name] = future
        self._drawn.move_to_end(name)
        try:
            # Shielded: a client that hangs up must not cancel the drawing others wait for.
            picture = await asyncio.shield(future)
        except Exception:
            self._drawn.pop(name, None)
            raise
        self._shrink()
        return picture

    def stop(self) -> None:
        """Drop drawings that have not begun."""
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _shrink(self) -> None:
        ready = [(name, len(future.result())) for name, future in self._drawn.items() if future.done()]
        total = sum(size for _, size in ready)
        for name, size in ready[:-1]:
            if total <= self._most_bytes:
                return
            del self._drawn[name]
            total -= size


def _draw(recipe: str, name: str) -> bytes:
    # Imported at the first drawing: Pillow would double the start-up time.
    from .render import render  # noqa: PLC0415

    stem, suffix = name.rsplit(".", 1)
    given = json.loads(recipe)
    return render(
        given["prompt"],
        seed=given["seed"],
        index=int(stem.rsplit("-", 1)[1]),
        size=(given["width"], given["height"]),
        file_format=suffix,
    )


class BaseHandler(tornado.web.RequestHandler):
    """What every answer shares: the sandbox's header and its ways to fail."""

    route = ""

    @property
    def sandbox(self) -> Sandbox:
        """The server this handler belongs to."""
        return cast("Sandbox", self.application)

    @property
    def base_url(self) -> str:
        """Scheme, host and port under which the caller reached this sandbox."""
        return f"{self.request.protocol}://{self.request.host}"

    def set_default_headers(self) -> None:
        """Name the sandbox; tornado calls this for error pages too."""
        self.set_header(SANDBOX_HEADER, "1")
        self.clear_header("Server")

    def write_error(self, status_code: int, **_: Any) -> None:
        """Answer what no handler answered as the service's web framework does."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        reason = responses.get(status_code, "Error")
        self.finish(
            {
                "timestamp": moment,
                "status": status_code,
                "error": reason,
                "message": "No message available",
                "path": self.request.path,
            }
        )

    def compute_etag(self) -> str | None:
        """Return no ETag: answers of an API change with time."""
        return None

    def envelope(self, code: int, msg: str, data: object = None, *, status: int | None = None) -> None:
        """Write ``{code, msg, data}``, with HTTP 200 unless a status is given or errors shall have theirs."""
        if status is None:
            status = code if self.sandbox.options.http_errors and code >= HTTPStatus.BAD_REQUEST else 200
        self.set_status(status, reason=responses.get(status, "Error"))
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"code": code, "msg": msg, "data": data}, ensure_ascii=False))

    async def faulted(self, when: str) -> bool:
        """Apply the fault taken for this request, if it is due ``before`` or ``after`` the work.

        Returns:
            Whether the request has been dealt with.
        """
        if when == "before":
            self._fault = self.sandbox.faults.take(self.route) if self.route else None
        rule = self._fault
        if rule is None or rule.before is not (when == "before"):
            return False
        if rule.delay:
            await asyncio.sleep(rule.delay)
        if rule.answers:
            self._break(rule)
        return rule.answers

    def _break(self, rule: Rule) -> None:
        if rule.drop:
            self.detach().close()
            return
        if rule.retry_after is not None:
            self.set_header("Retry-After", f"{rule.retry_after:g}")
        if rule.body is None:
            self.envelope(rule.code or rule.http or 500, rule.msg, status=rule.http)
            return
        self.set_status(rule.http or 200, reason=responses.get(rule.http or 200, "Error"))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(rule.body)


class ApiHandler(BaseHandler):
    """A path of the service's API: needs a key, answers with an envelope."""

    async def respond(self, work: Callable[[str], object]) -> None:
        """Check the key, do the work for the account, and answer.

        Args:
            work: Gets the account, returns the envelope's ``data`` or raises ``RefusedError``.
        """
        if await self.faulted("before"):
            return
        try:
            account = self._account()
            reply: tuple[int, str, object] = (200, "success", self._counted(work, account))
        except RefusedError as refusal:
            reply = (refusal.code, refusal.msg, None)
        if not await self.faulted("after"):
            self.envelope(*reply)

    def refused(self, account: str, refusal: RefusedError) -> None:
        """Count a refusal; creates count theirs apart."""
        if refusal.code == 429:  # noqa: PLR2004 - the documented code
            self.sandbox.store.count(account, "rate_limited")

    def _counted(self, work: Callable[[str], object], account: str) -> object:
        try:
            return work(account)
        except RefusedError as refusal:
            self.refused(account, refusal)
            raise

    def _account(self) -> str:
        scheme, _, key = self.request.headers.get("Authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key or key.startswith("bad"):
            raise RefusedError(401, "You do not have access permissions")
        # Only this short digest is kept: a real key pasted by mistake must not end up in a file.
        account = hashlib.sha256(key.encode()).hexdigest()[:12]
        self.sandbox.store.know(account, 0.0 if key.startswith("poor") else NEW_ACCOUNT_CREDITS)
        return account

    def json_body(self) -> dict[str, Any]:
        """Return the request's JSON object.

        Raises:
            RefusedError: Code 400 when it is none.
        """
        try:
            body = json.loads(self.request.body)
            # Half a surrogate pair is valid JSON but no text: it could be neither stored nor drawn.
            json.dumps(body, ensure_ascii=False).encode()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise RefusedError(400, "The request body is not valid JSON")
        return body


class CreateTask(ApiHandler):
    """``POST /api/v1/jobs/createTask``."""

    route = "create"

    async def post(self) -> None:
        """Accept one task."""
        await self.respond(self._create)

    def _create(self, account: str) -> dict[str, str]:
        body = self.json_body()
        model, given = body.get("model"), body.get("input", {})
        if not isinstance(model, str) or not model:
            raise RefusedError(500, "model is required")
        if not isinstance(given, dict):
            raise RefusedError(500, "input is not within the range of allowed options")
        task = self.sandbox.store.create(account, {**body, "input": given}, self.sandbox.catalogue.get(model))
        return {"taskId": task.task_id, "recordId": task.task_id}

    def refused(self, account: str, refusal: RefusedError) -> None:
        """Count a dropped create as rate limited and any other as refused."""
        if refusal.code == 429:  # noqa: PLR2004 - the documented code
            super().refused(account, refusal)
        else:
            self.sandbox.store.count(account, "refused")


class RecordInfo(ApiHandler):
    """``GET /api/v1/jobs/recordInfo?taskId=``."""

    route = "look"

    async def get(self) -> None:
        """Say where a task stands."""
        await self.respond(self._look)

    def _look(self, account: str) -> dict[str, Any]:
        store = self.sandbox.store
        store.count(account, "looks")
        task_id = self.get_query_argument("taskId", "")
        if not task_id:
            raise RefusedError(400, "taskId parameter is required")
        self.sandbox.limit_looks(task_id)
        task = store.task(task_id)
        if task is None or task.account != account:
            raise RefusedError(422, "recordInfo is null")
        return record(task, store.clock(), self.base_url)


class Credit(ApiHandler):
    """``GET /api/v1/chat/credit``."""

    route = "credit"

    async def get(self) -> None:
        """Answer the account's credits as a bare number."""
        await self.respond(self.sandbox.store.balance)


class DownloadUrl(ApiHandler):
    """``POST /api/v1/common/download-url``."""

    async def post(self) -> None:
        """Answer a link to a result file that works for 20 minutes."""
        await self.respond(self._link)

    def _link(self, _account: str) -> str:
        # Any loopback port will do: the address may come from an earlier run on the same file.
        parts = urlsplit(str(self.json_body().get("url", "")))
        found = re.fullmatch(rf"/files/({FILE_NAME})", parts.path)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not local or found is None or self.sandbox.finished_file(found[1]) is None:
            raise RefusedError(422, "url is wrong")
        return f"{self.base_url}/files/{found[1]}?expires={int(self.sandbox.store.clock()) + LINK_LIFE}"


class ResultFile(BaseHandler):
    """``GET /files/<task>-<n>.<suffix>``: a result, whole or in part, without a key."""

    route = "file"

    async def get(self, name: str) -> None:
        """Send the picture, or the one range asked for."""
        if await self.faulted("before"):
            return
        task = self.sandbox.finished_file(name)
        if task is None:
            raise tornado.web.HTTPError(404)
        expires = parse_qs(self.request.query).get("expires", ["0"])[0]
        if expires != "0" and not (expires.isdecimal() and int(expires) > self.sandbox.store.clock()):
            raise tornado.web.HTTPError(403)
        picture = await self.sandbox.pictures.get(task, name)
        self.sandbox.store.count(task.account, "results")
        if not await self.faulted("after"):
            self._send(picture, name.rsplit(".", 1)[1])

    head = get

    def _send(self, picture: bytes, suffix: str) -> None:
        etag = f'"{hashlib.sha256(picture).hexdigest()[:32]}"'
        self.set_header("Content-Type", CONTENT_TYPES[suffix])
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("ETag", etag)
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
            return
        asked = self.request.headers.get("Range", "")
        if self.request.headers.get("If-Range", etag) != etag:
            asked = ""
        if found := re.fullmatch(r"bytes=(\d*)-(\d*)", asked.strip()):
            picture = self._cut(picture, found[1], found[2])
        # Set by hand, since tornado counts an empty body for HEAD.
        self.set_header("Content-Length", str(len(picture)))
        self.finish(None if self.request.method == "HEAD" else picture)

    def _cut(self, picture: bytes, first: str, last: str) -> bytes:
        size = len(picture)
        start = int(first) if first else max(size - int(last or 0), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start >= stop:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return b""
        self.set_status(206)
        self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        return picture[start:stop]


class Stats(BaseHandler):
    """``GET /sandbox/stats``."""

    def get(self) -> None:
        """Answer the counters of all accounts on the file."""
        self.finish({**self.sandbox.store.stats(), "version": _version()})


class Health(BaseHandler):
    """``GET /sandbox/health``."""

    def get(self) -> None:
        """Answer that the server runs."""
        self.finish({"ok": True})


class FaultRules(BaseHandler):
    """``POST`` and ``DELETE /sandbox/faults``: controls for tests."""

    def post(self) -> None:
        """Add rules."""
        try:
            waiting = self.sandbox.faults.add(json.loads(self.request.body))
        except (BadRuleError, json.JSONDecodeError, UnicodeDecodeError) as error:
            self.set_status(400)
            self.finish({"ok": False, "error": str(error)})
        else:
            self.finish({"ok": True, "rules": waiting})

    def delete(self) -> None:
        """Forget all rules."""
        self.sandbox.faults.clear()
        self.finish({"ok": True, "rules": 0})


class NoSuchPath(BaseHandler):
    """Every path the service does not have."""

    def prepare(self) -> None:
        """Answer a real HTTP 404."""
        raise tornado.web.HTTPError(404)


def _version() -> str:
    try:
        return metadata.version("kiegen_nb")
    except metadata.PackageNotFoundError:
        return "0+unknown"
