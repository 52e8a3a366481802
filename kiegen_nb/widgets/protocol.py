"""The part of a session the widgets use; they need nothing else of it, and tests can stand in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from types import EllipsisType

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.errors import KiegenError
    from kiegen_nb.kie.models.base import KieParams
    from kiegen_nb.tasks import GenerationTask, UploadResult


class HandleLike(Protocol):
    """One submitted request."""

    @property
    def id(self) -> str:
        """The task's own id."""

    @property
    def task(self) -> GenerationTask:
        """The task as it is known now."""

    def when_answered(self, callback: Callable[[GenerationTask], None]) -> object:
        """Call back once, on the display thread, when the task is neither queued nor submitting any more."""


class SessionLike(Protocol):
    """What a form, a gallery or a studio asks of ``kiegen_nb.Session``."""

    @property
    def output_dir(self) -> Path:
        """Where result files are saved."""

    def submit(self, params: KieParams, prompt_id: str = "default", repeat: int | None = None) -> HandleLike:
        """Store a request to be sent; ``repeat=None`` takes the next free number. Quick, from any thread."""

    def follow_up(self, task: GenerationTask, name: str, *, index: int = 0, prompt: str | None = None) -> HandleLike:
        """Store what is to be done with a finished task, as a task of its own. Quick, from any thread."""

    def subscribe(self, prompt_id: str, callback: Callable[[QueryState], None]) -> Callable[[], object]:
        """Call back on the display thread, now and after every change; returns what ends it."""

    def on_display(self, function: Callable[..., None], *args: Any) -> object:
        """Run a function soon on the display thread, one at a time and in order."""

    def refresh(self, task: GenerationTask) -> object:
        """Look at a task again, or try its download again, without blocking."""


class GallerySession(SessionLike, Protocol):
    """What a gallery asks beyond that."""

    @property
    def account(self) -> str:
        """The account's name."""

    @property
    def is_sandbox(self) -> bool:
        """Whether the service calls itself a sandbox."""

    def history(self, prompt_id: str | None = None) -> tuple[GenerationTask, ...]:
        """Return the tasks of a group, or all, as the store has them."""

    def resubmit(self, task: GenerationTask) -> HandleLike:
        """Ask a request anew, which pays again. Quick, from any thread."""

    def delete(self, tasks: Sequence[GenerationTask]) -> object:
        """Take finished tasks out of every gallery; their files are put away, not lost."""

    def restore(self, tasks: Sequence[GenerationTask]) -> object:
        """Undo `delete`."""

    def rate(
        self,
        task: GenerationTask,
        rating: int | EllipsisType | None = ...,
        *,
        comment: str | EllipsisType | None = ...,
    ) -> object:
        """Keep what somebody thinks of a task; what is not given stays as it is."""

    def expected_time(self, task: GenerationTask) -> float | None:
        """Return the seconds such a task usually takes, None if nobody knows."""


class UploadSession(Protocol):
    """What an upload widget asks."""

    def on_display(self, function: Callable[..., None], *args: Any) -> object:
        """Run a function soon on the display thread, one at a time and in order."""

    def start_upload(
        self,
        source: Path,
        *,
        name: str | None = None,
        model: str | type[KieParams] | KieParams | None = None,
        accept: Iterable[str] | None = None,
        keep_copy: bool = False,
        on_progress: Callable[[int, int], object] | None = None,
        on_success: Callable[[UploadResult], object] | None = None,
        on_error: Callable[[KiegenError], object] | None = None,
    ) -> UploadLike:
        """Begin an upload and return at once; callbacks come on any thread."""


class UploadLike(Protocol):
    """An upload under way."""

    def cancel(self) -> None:
        """End it, on any thread."""


class _WholeSession(GallerySession, UploadSession, Protocol):
    """What ``Session`` is to all widgets."""


def default_session() -> _WholeSession:
    """Return ``Session()``: equal settings share one engine, so a widget of its own costs nothing."""
    # Only a widget that was given no session needs the facade; importing it here keeps the rooms apart.
    from kiegen_nb.session import Session  # noqa: PLC0415

    return Session()
