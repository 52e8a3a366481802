"""`Session`, the one object people hold: it joins the engine, Kie and the sandbox."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.loop import awaited
from kiegen_nb.engine.store import user_name
from kiegen_nb.errors import InvalidParams, SessionClosed
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import follow_ups
from kiegen_nb.kie.refresh import fetch
from kiegen_nb.session.batches import SessionBatches
from kiegen_nb.session.checks import checked_prompt_id, checked_repeat
from kiegen_nb.session.ratings import SessionRatings
from kiegen_nb.session.sharing import shared_engine
from kiegen_nb.session.uploads import SessionUploads
from kiegen_nb.session.watching import SessionWatching
from kiegen_nb.settings import load_settings
from kiegen_nb.tasks import GenerationTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.errors import TaskError
    from kiegen_nb.kie.catalogue import Catalogue
    from kiegen_nb.kie.models.base import FollowUp, KieParams

_CATALOGUE = "catalogue"


class Session(SessionUploads, SessionBatches, SessionWatching, SessionRatings):
    """Makes pictures and videos, remembers every task, and brings galleries up to date.

    Sessions with the same store and account share one engine, however often the cell runs. After `close()` calls that
    need the engine raise `SessionClosed`.

    Args:
        api_key: Kie's key; else ``KIE_API_KEY``, a ``.env`` file, keyring or Colab's secrets. Without one, and
            without ``base_url``, a local sandbox answers and nothing costs money.
        base_url: another service address; else ``KIEGEN_BASE_URL``, else ``https://api.kie.ai``.
        upload_url: another upload address; else ``KIEGEN_UPLOAD_URL``.
        database_url: the task store, a path or an SQLAlchemy URL; else ``KIEGEN_DATABASE_URL``, else a file in the
            user's data folder. Kernels on several hosts share a PostgreSQL, ``postgresql://user:password@host/name``.
        output_dir: where results are saved; else ``KIEGEN_OUTPUT_DIR``, else ``./kiegen_output``.
        embed: write into each PNG file how it was made, for `params_from` and other programs; else ``KIEGEN_EMBED``,
            else no: files are kept as they came, byte for byte.
        poll_interval: seconds between two looks at a pending task; else ``KIEGEN_POLL_INTERVAL``, else 3.
        sandbox: True uses the sandbox whatever keys there are; False forbids it.
        create_limit: requests that make a task, per window; else ``KIEGEN_CREATE_LIMIT``, else 20; 0 is no limit. Kie
            drops what is beyond an account's limit, so every kernel on the store shares it.
        create_window: that window's seconds; else ``KIEGEN_CREATE_WINDOW``, else 10.
        look_limit: looks per second, shared in the same way; else ``KIEGEN_LOOK_LIMIT``, else 9; 0 is no limit.

    Raises:
        ConfigurationError: a setting is unusable; the message names it.
        MissingKey: no key, and the sandbox is forbidden.
        StoreError: the task store cannot be opened.
        SandboxError: the sandbox did not start.

    Example:
        >>> session = Session()  # doctest: +SKIP
        >>> task = await session.submit(imagen4("a red kite"))  # doctest: +SKIP
    """

    def __init__(
        self,
        api_key: str | SecretStr | None = None,
        *,
        base_url: str | None = None,
        upload_url: str | None = None,
        database_url: str | Path | None = None,
        output_dir: str | Path | None = None,
        embed: bool | None = None,
        poll_interval: float | None = None,
        sandbox: bool | None = None,
        create_limit: int | None = None,
        create_window: float | None = None,
        look_limit: float | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._closed = True  # until everything below went well
        settings = load_settings(
            api_key=SecretStr(api_key) if isinstance(api_key, str) else api_key,
            base_url=base_url,
            upload_url=upload_url,
            database_url=None if database_url is None else str(database_url),
            output_dir=output_dir,
            embed=embed,
            poll_interval=poll_interval,
            create_limit=create_limit,
            create_window=create_window,
            look_limit=look_limit,
        )
        self._shared = shared_engine(settings, sandbox=sandbox)
        self._engine = self._shared.engine
        self._client = self._shared.client
        self._closed = False
        if (kept := self._engine.store.document(_CATALOGUE)) is not None:
            catalogue.use(json.loads(kept))

    # Making things.

    def submit(
        self,
        params: KieParams | Mapping[str, Any],
        prompt_id: str = "default",
        repeat: int | None = 0,
        *,
        fresh: bool = False,
        on_success: Callable[[GenerationTask], object] | None = None,
        on_error: Callable[[TaskError], object] | None = None,
    ) -> TaskHandle:
        """Submit a request once; an identical one of before is returned instead of being paid for again.

        Args:
            params: what to make, such as ``imagen4("a red kite")``, or its JSON form.
            prompt_id: the group it belongs to, 1 to 200 characters.
            repeat: which of several identical requests this is, from 0; None takes the next free number.
            fresh: ask anew whatever there is; this pays again.
            on_success: called with the finished task, on the callback thread, in this call's context.
            on_error: called with the error, which carries the task.

        Returns:
            A handle: ``await handle`` or ``handle.result()`` give the finished task.

        Raises:
            InvalidParams: a field is wrong; nothing was sent.
            StoreError: the request could not be stored, so it was not sent.
            SessionClosed: this session was closed.

        Example:
            >>> task = await session.submit(imagen4("a red kite", aspect_ratio="16:9"))  # doctest: +SKIP
            >>> task.assets[0].path  # doctest: +SKIP
        """
        self._check_open()
        return self._engine.submit(
            self._engine.service.prepare(params),
            prompt_id=checked_prompt_id(prompt_id),
            repeat=checked_repeat(repeat),
            fresh=fresh,
            on_success=on_success,
            on_error=on_error,
        )

    def resubmit(self, task: GenerationTask | TaskHandle) -> TaskHandle:
        """Ask a request anew, whatever became of it; this pays again.

        Raises:
            InvalidParams: the request is not valid any more.

        Example:
            >>> again = await session.resubmit(session.history("kites")[0])  # doctest: +SKIP
        """
        self._check_open()
        if not isinstance(task, GenerationTask):
            task = task.task
        request = self._engine.service.prepare(task.provider_params)
        return self._engine.submit(request, prompt_id=task.prompt_id, repeat=task.repeat, fresh=True)

    def resume(self) -> list[TaskHandle]:
        """Send the requests that were still queued when their process ended, and return their handles.

        Example:
            >>> for handle in session.resume():  # doctest: +SKIP
            ...     print(handle.task.prompt)
        """
        self._check_open()
        return self._engine.resume()

    def follow_ups(self, task: GenerationTask | TaskHandle) -> tuple[FollowUp, ...]:
        """Return what can be done with a finished task: extend, 1080p, 4K, upscale, vary.

        Example:
            >>> [step.name for step in session.follow_ups(film)]  # doctest: +SKIP
            ['extend', '1080p', '4k']
        """
        return follow_ups(_task_of(task))

    def follow_up(
        self,
        task: GenerationTask | TaskHandle,
        name: str,
        *,
        index: int = 0,
        prompt: str | None = None,
        fresh: bool = False,
    ) -> TaskHandle:
        """Submit what is to be done with a finished task, as a task of its own in the same group.

        Args:
            task: the finished task.
            name: one of the names in `follow_ups`, such as ``"upscale"`` or ``"1080p"``.
            index: which of its results, from 0.
            prompt: for those that need one.
            fresh: ask anew, even if the same was asked before; this pays again.

        Raises:
            InvalidParams: the task has no such follow-up, or a field is wrong; nothing was sent.

        Example:
            >>> longer = await session.follow_up(film, "extend", prompt="it turns and dives")  # doctest: +SKIP
        """
        self._check_open()
        parent = _task_of(task)
        offered = {step.name: step for step in follow_ups(parent)}
        if name not in offered:
            known = ", ".join(offered) or "none, as long as it is no success"
            raise InvalidParams({"name": f"{name!r} cannot be done with this task; possible: {known}."})
        return self._engine.submit(
            self._engine.service.prepare(offered[name].make(index, prompt)),
            prompt_id=parent.prompt_id,
            fresh=fresh,
            parent_id=parent.id,
        )

    def refresh(self, task: GenerationTask | TaskHandle) -> TaskHandle:
        """Look at a task once more now, or fetch its missing files again; never pays.

        Returns:
            A handle; waiting for it waits for this look too.

        Example:
            >>> late = await session.refresh(batch.failed[0])  # doctest: +SKIP
        """
        self._check_open()
        self._engine.refresh(task.id)
        return self._engine.handle(_task_of(task))

    def delete(self, tasks: Iterable[GenerationTask | TaskHandle]) -> None:
        """Take finished tasks out of every gallery; their files go to ``.deleted`` in the output folder and stay there.

        `restore` brings them back, and so does the same request, which is not paid for again.

        Raises:
            KiegenError: one of them is pending; nothing was deleted.

        Example:
            >>> session.delete(session.history()[:3])  # doctest: +SKIP
        """
        self._check_open()
        self._engine.remover.delete([_task_of(task) for task in tasks])

    def restore(self, tasks: Iterable[GenerationTask | TaskHandle]) -> None:
        """Undo `delete`.

        Example:
            >>> poor = [task for task in session.history("kites") if task.rating == 1]  # doctest: +SKIP
            >>> session.delete(poor)  # doctest: +SKIP
            >>> session.restore(poor)  # doctest: +SKIP
        """
        self._check_open()
        self._engine.remover.restore([_task_of(task) for task in tasks])

    # The account and the models.

    def credits(self) -> float:
        """Return the account's balance in credits (1 credit = 0.005 USD).

        Raises:
            ServiceError: with the reason.

        Example:
            >>> print(f"${session.credits() * 0.005:.2f} left")  # doctest: +SKIP
            $12.40 left
        """
        self._check_open()
        return self._engine.thread.run(self._engine.service.credits())

    async def acredits(self) -> float:
        """Do the same as `credits`, awaitable.

        Example:
            >>> before = await session.acredits()  # doctest: +SKIP
            >>> await batch  # doctest: +SKIP
            >>> before - await session.acredits()  # doctest: +SKIP
        """
        self._check_open()
        return await awaited(self._engine.thread.submit(self._engine.service.credits()))

    async def refresh_catalogue(self, slugs: Iterable[str] | None = None) -> Catalogue:
        """Read Kie's live catalogue, keep it in the store, and use it from now on.

        The list of models is one request; each model's fields are one more, a second apart, so that all of them take
        some minutes. A model whose fields cannot be read keeps those that are known.

        Args:
            slugs: read only these models' fields; None reads all of them.

        Raises:
            ServiceError: the list could not be read; the catalogue stays as it was.

        Example:
            >>> found = await session.refresh_catalogue(["z-image", "google/nano-banana"])  # doctest: +SKIP
            >>> found["z-image"].schema_date  # doctest: +SKIP
        """
        self._check_open()
        client, engine = self._client, self._engine
        today = as_datetime(engine.clock.time()).date().isoformat()
        found = await awaited(engine.thread.submit(fetch(client.get, engine.clock.sleep, slugs, today)))
        await awaited(engine.store.keep_document(_CATALOGUE, json.dumps(found)))
        catalogue.use(found)
        return catalogue

    @property
    def is_sandbox(self) -> bool:
        """Whether the service called itself a sandbox in its last answer."""
        return self._engine.service.is_sandbox

    @property
    def account(self) -> str:
        """The account's name: service host and a short hash of the key."""
        return self._engine.service.account

    @property
    def user(self) -> str:
        """The name under which this process's tasks are stored: JupyterHub's, else the system's."""
        return user_name()

    @property
    def output_dir(self) -> Path:
        """Where results are saved."""
        return self._engine.output_dir

    # Ending.

    def close(self) -> None:
        """Stop using the engine; the last session to close ends it. Tasks stay in the store.

        Example:
            >>> session.submit(imagen4("a red kite")).result()  # doctest: +SKIP
            >>> session.close()  # doctest: +SKIP
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._shared.leave()

    async def aclose(self) -> None:
        """Do the same as `close`, awaitable.

        Example:
            >>> task = await session.submit(imagen4("a kite at dusk"))  # doctest: +SKIP
            >>> await session.aclose()  # doctest: +SKIP
        """
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if self._closed:
            return "Session(closed)"
        return f"Session({'sandbox' if self._shared.sandbox_file else self.account.partition(':')[0]})"

    def _check_open(self) -> None:
        if self._closed:
            raise SessionClosed


def _task_of(task: GenerationTask | TaskHandle) -> GenerationTask:
    return task if isinstance(task, GenerationTask) else task.task
