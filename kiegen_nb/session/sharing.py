"""One engine per store and account, shared by every `Session` with the same two."""

from __future__ import annotations

import atexit
import hashlib
import platform
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from kiegen_nb.engine.database import Database
from kiegen_nb.engine.engine import Engine
from kiegen_nb.engine.location import store_url
from kiegen_nb.errors import MissingKey
from kiegen_nb.kie.client import USER_AGENT, KieClient, account_name
from kiegen_nb.session.launcher import sandbox_url, stop_sandbox
from kiegen_nb.settings import KIE_BASE_URL, SANDBOX_KEY, data_folder, is_loopback

if TYPE_CHECKING:
    from kiegen_nb.settings import Settings

_SANDBOX_ACCOUNT = "sandbox"


class Shared:
    """One engine and how many sessions use it.

    Attributes:
        key: the store's address and the account.
        engine: does the work.
        client: the engine's service, for what only Kie has.
        sandbox_file: the sandbox's own file, None without a sandbox.
    """

    def __init__(self, key: tuple[str, str], engine: Engine, client: KieClient, sandbox_file: Path | None) -> None:
        self.key = key
        self.engine = engine
        self.client = client
        self.sandbox_file = sandbox_file
        self._users = 0

    def leave(self) -> None:
        """Use it no more; the last to leave ends it."""
        with _lock:
            self._users -= 1
            if self._users > 0:
                return
            _engines.pop(self.key, None)
        self.close()

    def close(self) -> None:
        """End the engine, and the sandbox if there is one."""
        self.engine.close()
        if self.sandbox_file is not None:
            stop_sandbox(self.sandbox_file)

    def use(self, settings: Settings) -> None:
        """Count one more user, whose settings are the newest and so count."""
        self._users += 1
        self.engine.poll_interval = settings.poll_interval
        self.engine.output_dir = settings.output_dir.expanduser().absolute()
        self.engine.embed = settings.embed
        self.engine.set_limits(settings.create_limit, settings.create_window, settings.look_limit)
        if self.sandbox_file is None:
            self.client.use_upload_url(settings.upload_url)


_engines: dict[tuple[str, str], Shared] = {}
_lock = threading.RLock()


def shared_engine(settings: Settings, *, sandbox: bool | None) -> Shared:
    """Return the engine for these settings, made if there is none, and count its user.

    Args:
        settings: what is wanted.
        sandbox: True uses the sandbox whatever keys there are; False forbids it.

    Raises:
        MissingKey: no key, and the sandbox is forbidden.
        StoreError: the task store cannot be opened.
        SandboxError: the sandbox did not start.
    """
    with _lock:
        shared = _find_or_make(settings, sandbox=sandbox)
        shared.use(settings)
        return shared


def _find_or_make(settings: Settings, *, sandbox: bool | None) -> Shared:
    use_sandbox = sandbox or (sandbox is None and settings.api_key is None and settings.base_url is None)
    default = data_folder() / ("sandbox.sqlite3" if use_sandbox else "kie.sqlite3")
    url = store_url(settings.database_url or str(default))
    sandbox_file = None
    if use_sandbox:
        store_file = Path(url.database or "") if url.get_backend_name() == "sqlite" else default
        sandbox_file = store_file.with_name(f"{store_file.stem}-server.sqlite3")
        is_shared = url.get_backend_name() != "sqlite"
        account = _own_sandbox(sandbox_file) if is_shared else _SANDBOX_ACCOUNT
        key, base_url = SecretStr(SANDBOX_KEY), sandbox_url(sandbox_file)
    else:
        base_url = settings.base_url or KIE_BASE_URL
        if settings.api_key is None and not is_loopback(base_url):
            raise MissingKey
        key = settings.api_key or SecretStr(SANDBOX_KEY)
        account = account_name(key, base_url)
    name = (url.render_as_string(hide_password=False), account)
    if name in _engines:
        return _engines[name]
    service = KieClient(key, base_url, upload_url=base_url if use_sandbox else settings.upload_url, account=account)
    engine = Engine(
        service,
        Database(name[0]),
        poll_interval=settings.poll_interval,
        output_dir=settings.output_dir,
        user_agent=USER_AGENT,
    )
    shared = _engines[name] = Shared(name, engine, service, sandbox_file)
    return shared


def _own_sandbox(sandbox_file: Path) -> str:
    # Every machine has a sandbox of its own, which knows nothing of the others' tasks.
    place = hashlib.sha256(f"{platform.node()}\n{sandbox_file.absolute()}".encode()).hexdigest()
    return f"{_SANDBOX_ACCOUNT}:{place[:12]}"


@atexit.register
def _close_all() -> None:
    with _lock:
        everything = list(_engines.values())
        _engines.clear()
    for shared in everything:
        shared.close()
