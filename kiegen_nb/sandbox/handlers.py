"""What every path of the sandbox shares: the envelope, the key, and the ways to fail on demand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any, cast

import tornado.web

from .checks import RefusedError
from .tasks import NEW_ACCOUNT_CREDITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from .app import Sandbox
    from .faults import Rule

SANDBOX_HEADER = "X-Kiegen-Sandbox"


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
            account = self.account()
            reply: tuple[int, str, object] = (200, "success", self._counted(work, account))
        except RefusedError as refusal:
            reply = (refusal.code, refusal.msg, refusal.data)
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

    def account(self) -> str:
        """Return the short hash of the request's key.

        Raises:
            RefusedError: Code 401 without a good key.
        """
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


class CreateHandler(ApiHandler):
    """A path that makes a task: creates count their refusals apart."""

    route = "create"

    def refused(self, account: str, refusal: RefusedError) -> None:
        """Count a dropped create as rate limited and any other as refused."""
        if refusal.code == 429:  # noqa: PLR2004 - the documented code
            super().refused(account, refusal)
        else:
            self.sandbox.store.count(account, "refused")
