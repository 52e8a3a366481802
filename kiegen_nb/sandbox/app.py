"""The sandbox's application: its shared parts, its routes, and the market's jobs API."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tornado.web

from .callbacks import Callbacks
from .catalogue import CATALOGUE_ROUTES
from .checks import NO_RECORD, TOO_OFTEN, UNKNOWN_MODEL, RefusedError, load_catalogue, load_endpoints
from .controls import FaultRules, Health, NoSuchPath, Requests, Stats, Tasks
from .families import FAMILY_ROUTES, SUNO
from .faults import Faults
from .files import FILE_NAME, DownloadUrl, Pictures, ResultFile
from .handlers import ApiHandler, CreateHandler
from .journal import Journal
from .records import record, state
from .storage import Uploads
from .uploads import UPLOAD_ROUTES

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from .plans import Task
    from .tasks import Store

LOOKS_PER_SECOND = 10
CATALOGUE_CALLS_PER_SECOND = 1
WATCHED = 4096


@dataclass(frozen=True, slots=True)
class Options:
    """Switches of a sandbox.

    Attributes:
        http_errors: Answer errors with their real HTTP status instead of HTTP 200.
        limits: False turns the documented rate limits off.
        today: Answer models that left the service's catalogue as it most likely does now.
        hmac_key: Signs callbacks; empty leaves them unsigned.
        upload_reply: ``both``, ``endpoint`` or ``quickstart``: which documented form an upload's answer has.
        upload_life: Seconds after which an uploaded file expires, whatever the speed.
        seed: Makes the chances of fault rules repeat.
    """

    http_errors: bool = False
    limits: bool = True
    today: bool = False
    hmac_key: str = ""
    upload_reply: str = "both"
    upload_life: float = 24 * 3600.0
    seed: int | None = None


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
        self.endpoints = {**load_endpoints(), SUNO["slug"]: SUNO}
        self.faults = Faults(self.options.seed)
        self.journal = Journal(1 / store.speed)
        self.pictures = Pictures()
        self.uploads = Uploads(store)
        self.callbacks = Callbacks(self)
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()
        self._running: set[asyncio.Task[None]] = set()
        super().__init__(
            [
                (r"/api/v1/jobs/createTask", CreateTask),
                (r"/api/v1/jobs/recordInfo", RecordInfo),
                (r"/api/v1/chat/credit", Credit),
                (r"/api/v1/common/download-url", DownloadUrl),
                *FAMILY_ROUTES,
                *CATALOGUE_ROUTES,
                *UPLOAD_ROUTES,
                (rf"/files/({FILE_NAME})", ResultFile),
                (r"/sandbox/stats", Stats),
                (r"/sandbox/health", Health),
                (r"/sandbox/faults", FaultRules),
                (r"/sandbox/requests", Requests),
                (r"/sandbox/tasks", Tasks),
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
        self._limit(f"look {task_id}", LOOKS_PER_SECOND)

    def limit_catalogue(self, account: str) -> None:
        """Count one question to the catalogue.

        Raises:
            RefusedError: Code 429 for a second one within one second of the sandbox's time.
        """
        self._limit(f"catalogue {account}", CATALOGUE_CALLS_PER_SECOND)

    def _limit(self, what: str, most: int) -> None:
        if not self.options.limits:
            return
        now = self.store.clock()
        times = self._calls.setdefault(what, deque())
        self._calls.move_to_end(what)
        if len(self._calls) > WATCHED:
            self._calls.popitem(last=False)
        while times and times[0] <= now - 1 / self.store.speed:
            times.popleft()
        if len(times) >= most:
            raise RefusedError(429, TOO_OFTEN)
        times.append(now)

    def finished_file(self, name: str) -> Task | None:
        """Return the task that owns a result file, once it has succeeded; else None."""
        task = self.store.task(name.split("-", 1)[0])
        if task is None or name not in json.loads(task.files):
            return None
        return task if state(task, self.store.clock())[0] == "success" else None

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have work done that outlives its request; it ends with the sandbox at the latest."""
        running = asyncio.get_running_loop().create_task(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    def stop(self) -> None:
        """Let go of the file, the drawing threads, the callbacks and answers not yet sent."""
        for running in self._running:
            running.cancel()
        self.callbacks.stop()
        self.uploads.stop()
        self.pictures.stop()
        self.store.close()


class CreateTask(CreateHandler):
    """``POST /api/v1/jobs/createTask``."""

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
        entry = self.sandbox.catalogue.get(model)
        if self.sandbox.options.today and entry and entry["status"] == "removed":
            raise RefusedError(422, UNKNOWN_MODEL)
        task = self.sandbox.store.create(account, {**body, "input": given}, entry)
        self.sandbox.callbacks.expect(task, body, self.base_url)
        return {"taskId": task.task_id, "recordId": task.task_id}


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
        if task is None or task.account != account or ":" in task.model:
            raise RefusedError(422, NO_RECORD)
        return record(task, store.clock(), self.base_url)


class Credit(ApiHandler):
    """``GET /api/v1/chat/credit``."""

    route = "credit"

    async def get(self) -> None:
        """Answer the account's credits as a bare number."""
        await self.respond(self.sandbox.store.balance)
