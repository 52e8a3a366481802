"""What a gallery's buttons do with its tasks; each returns what there is to say about it, empty if nothing is."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.widgets.cards import can_retry, card

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kiegen_nb.tasks import GenerationTask
    from kiegen_nb.widgets.protocol import GallerySession

ASKED_BEFORE = "This was asked for before; see its card."


class Acts:
    """The buttons that need a session.

    Args:
        session: what they ask.
        find: returns a task of the gallery by its id.
    """

    def __init__(self, session: GallerySession, find: Callable[[object], GenerationTask | None]) -> None:
        self._session = session
        self._find = find
        self._anew: dict[str, str] = {}  # a failed task -> the one that was asked for instead of it
        self._deleted: tuple[GenerationTask, ...] = ()
        self.undo: dict[str, str] | None = None

    def refresh(self, task: GenerationTask) -> str:
        """Look at a task again, or fetch its missing files."""
        self._session.refresh(task)
        return ""

    def retry(self, task: GenerationTask) -> str:
        """Fetch what is missing, or ask for a failed task anew, which pays again; once, as long as that is pending."""
        if "again" in card(task):
            return self.refresh(task)
        if not can_retry(task):
            return ""
        newer = self._find(self._anew.get(task.id))
        if newer is not None and newer.is_pending:
            return "It was asked for anew; see its card."
        self._anew[task.id] = self._session.resubmit(task).id
        return ""

    def follow_up(self, task: GenerationTask, content: dict[str, Any]) -> str:
        """Ask for what follows a finished task."""
        index, prompt = content.get("index"), content.get("prompt")
        handle = self._session.follow_up(
            task,
            str(content.get("name")),
            index=index if isinstance(index, int) else 0,
            prompt=prompt if isinstance(prompt, str) else None,
        )
        return ASKED_BEFORE if self._find(handle.id) is not None else ""

    def rate(self, task: GenerationTask, content: dict[str, Any]) -> str:
        """Keep a rating or a comment; None takes it back."""
        said = {name: content[name] for name in ("rating", "comment") if name in content}
        self._session.rate(task, **said)
        return ""

    def delete(self, tasks: Sequence[GenerationTask]) -> None:
        """Delete those that are not pending, and offer to undo it."""
        ended = [task for task in tasks if task.is_finished]
        kept = len(tasks) - len(ended)
        if kept and not ended:
            raise KiegenError("Pending tasks cannot be deleted: they may still bring a paid result.")
        if not ended:
            return
        self._session.delete(ended)
        self._deleted = tuple(ended)
        text = f"{len(ended)} deleted; the files are in {self._session.output_dir.name}/.deleted until you empty it."
        if kept:
            text += f" {kept} still pending, so kept."
        self.undo = {"token": secrets.token_hex(4), "text": text}

    def restore(self, token: object) -> None:
        """Bring back what was deleted last."""
        if self.undo is None or self.undo["token"] != token:
            return
        self._session.restore(self._deleted)
        self._deleted, self.undo = (), None


def reason(error: Exception) -> str:
    """Return an error's text as sentences for a card."""
    if isinstance(error, InvalidParams):
        said = (f"{name} {text}".strip() for name, text in error.fields.items())
        return " ".join(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in said)
    return str(error) or type(error).__name__
