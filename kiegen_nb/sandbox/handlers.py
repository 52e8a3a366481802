"""What every path of the sandbox shares: the envelope, the key, and the ways to fail on demand."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, unquote_plus

import tornado.web
from tornado.escape import utf8

from .checks import RefusedError
from .faults import Rule
from .plans import is_lost
from .sending import hang_up, send_badly
from .tasks import NEW_ACCOUNT_CREDITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .app import Sandbox
    from .journal import Entry

SANDBOX_HEADER = "X-Kiegen-Sandbox"


class BaseHandler(tornado.web.RequestHandler):
    """What every answer shares: the sandbox's header and its ways to fail.

    Attributes:
        route: What fault rules and the page of requests call it; empty for a path they do not know.
        entry: The request's line on that page; None until its turn comes to ``faulted``.
    """

    route = ""
    entry: Entry | None = None
    _rule: Rule | None = None
    _spoiler: Rule | None = None
    _account: str | None = None

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
        if self.entry is not None:
            self.entry.code = code
        self.finish(json.dumps({"code": code, "msg": msg, "data": data}, ensure_ascii=False))

    def finish(self, chunk: Any = None) -> asyncio.Future[None]:
        """Send the answer, spoilt if a fault is to spoil it."""
        rule, self._spoiler = self._spoiler, None
        if rule is None or not isinstance(chunk, str | bytes) or self.request.method == "HEAD":
            return super().finish(chunk)
        body = utf8(chunk)
        kept = body[: rule.kept(len(body))]
        self.set_header("Content-Length", str(len(kept if rule.complete else body)))
        if rule.complete and rule.slow is None:
            return super().finish(kept)
        self._note_status()
        self.set_header("Connection", "close")
        cut = rule.truncate is not None and not rule.complete
        head = f"HTTP/1.1 {self.get_status()} {responses.get(self.get_status(), 'Error')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self._headers.get_all())
        # Not through tornado, which holds every answer to the length it announces.
        sending = send_badly(self.detach(), utf8(head + "\r\n"), kept, slow=rule.slow, reset=cut and rule.reset)
        return self.sandbox.spawn(sending)

    def on_finish(self) -> None:
        """Note the status of an answer that was no envelope."""
        self._note_status()

    def _note_status(self) -> None:
        if self.entry is not None and self.entry.code is None:
            self.entry.code = self.get_status()

    def named_task(self) -> str | None:
        """Return the task that the request's address names, if it does."""
        found = self.request.query_arguments.get("taskId")
        return found[-1].decode(errors="replace") if found else None

    async def faulted(self, when: str) -> bool:
        """Note the request ``before`` its work, and apply its fault if that is due before or ``after`` it.

        Returns:
            Whether the request has been dealt with.
        """
        if when == "before" and self.route:
            self._begin()
        rule = self._rule
        if rule is None or rule.before is not (when == "before"):
            return False
        if rule.delay:
            await asyncio.sleep(rule.delay)
        if rule.spoils:
            self._spoiler = rule
        if rule.answers:
            self._break(rule)
        return rule.answers

    def _begin(self) -> None:
        sandbox = self.sandbox
        self._account = account_of(self.key())
        self.entry = sandbox.journal.begin(sandbox.store.clock(), self.route, self._account, self.named_task())
        self._rule = sandbox.faults.take(self.route, self._texts)
        self.entry.fault = self._rule is not None

    def _texts(self) -> list[str]:
        body = self.request.body.decode(errors="replace")
        texts = [unquote_plus(self.request.query), body]
        if self.route in ("file", "catalogue"):
            texts.append(unquote(self.request.path))
        with contextlib.suppress(ValueError):
            # As they were meant: JSON may spell a letter in escapes.
            texts.extend(_strings(json.loads(body)))
        return texts

    def key(self) -> str:
        """Return the request's key, or an empty text without a good one."""
        scheme, _, key = self.request.headers.get("Authorization", "").partition(" ")
        key = key.strip()
        return "" if scheme.lower() != "bearer" or key.startswith("bad") else key

    def _break(self, rule: Rule) -> None:
        if rule.hangs_up:
            hang_up(self.detach(), reset=rule.reset)
            return
        if rule.retry_after is not None:
            self.set_header("Retry-After", f"{rule.retry_after:g}")
        if rule.body is None:
            code = rule.code if rule.code is not None else rule.http
            self.envelope(500 if code is None else code, rule.msg, status=rule.http)
            return
        self.set_status(rule.http or 200, reason=responses.get(rule.http or 200, "Error"))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(rule.body)


def account_of(key: str) -> str | None:
    """Return the short hash that stands for a key, so that a real one pasted by mistake ends up in no file."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else None


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


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
            data = self._counted(work, self.account())
            self.worked(data)
            reply: tuple[int, str, object] = (200, "success", data)
        except RefusedError as refusal:
            reply = (refusal.code, refusal.msg, refusal.data)
        if not await self.faulted("after"):
            self.envelope(*reply)

    def worked(self, data: object) -> None:
        """Take note of an answer before it is sent; creates have more to say."""

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

    def account(self) -> str:
        """Return the short hash of the request's key.

        Raises:
            RefusedError: Code 401 without a good key.
        """
        account = self._account or account_of(self.key())
        if account is None:
            raise RefusedError(401, "You do not have access permissions")
        self.sandbox.store.know(account, 0.0 if self.key().startswith("poor") else NEW_ACCOUNT_CREDITS)
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


class CreateHandler(ApiHandler):
    """A path that makes a task: creates count their refusals apart, and their answer may be lost."""

    route = "create"

    def worked(self, data: object) -> None:
        """Note the new task; one that says ``sandbox:lost`` is made, and its answer never sent."""
        if not isinstance(data, dict) or self.entry is None:
            return
        self.entry.task = data["taskId"]
        task = self.sandbox.store.task(data["taskId"])
        if task and is_lost(task):
            self.entry.fault = True
            self._rule = Rule("create", drop=True, delay=self._rule.delay if self._rule else 0.0)

    def refused(self, account: str, refusal: RefusedError) -> None:
        """Count a dropped create as rate limited and any other as refused."""
        if refusal.code == 429:  # noqa: PLR2004 - the documented code
            super().refused(account, refusal)
        else:
            self.sandbox.store.count(account, "refused")
