"""Deleting finished tasks so that it can be undone: the rows stay, the files go to a folder of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kiegen_nb.engine.journal import note
from kiegen_nb.engine.loop import wait_for
from kiegen_nb.errors import KiegenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from kiegen_nb.engine.store import Store
    from kiegen_nb.tasks import GenerationTask

FOLDER = ".deleted"
"""Beside the groups' folders; nothing empties it but its owner, by hand or with ``session.clean()``."""


class Host(Protocol):
    """What deleting needs of the engine."""

    store: Store

    def on_loop(self, function: Callable[..., object], *args: object) -> None:
        """Run a function on the engine's loop soon."""

    def forget(self, task: GenerationTask) -> None:
        """Take in that a task was deleted."""

    def remember(self, task: GenerationTask, name: str) -> None:
        """Take in a task as it is in the store."""


class Remover:
    """Deletes and restores, on any thread but the engine's.

    Args:
        host: the engine.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def delete(self, tasks: Sequence[GenerationTask]) -> None:
        """Take finished tasks out of every gallery and put their files away.

        Raises:
            KiegenError: one of them is still worked on; nothing was deleted.
            StoreError: the store could not be written.
        """
        busy = [task for task in tasks if not task.is_finished]
        if busy:
            raise KiegenError(
                f"Task {busy[0].id} cannot be deleted: it is pending, and may still bring a paid result. Wait for it, "
                "or cancel it; nothing was deleted."
            )
        deleted = wait_for(self._host.store.delete([task.id for task in tasks]))
        for task in tasks:
            if task.id in deleted:
                note("task.deleted", task.id)
                self._move(task, away=True)
                self._host.on_loop(self._host.forget, task)

    def restore(self, tasks: Sequence[GenerationTask]) -> None:
        """Bring deleted tasks back, with those of their files that are still in the folder.

        Raises:
            StoreError: the store could not be written.
        """
        for task in tasks:
            self.bring_back(task)
        restored = wait_for(self._host.store.restore([task.id for task in tasks]))
        for task in tasks:
            if task.id in restored:
                note("task.restored", task.id)
                self._host.on_loop(self._host.remember, task, "restored")

    def bring_back(self, task: GenerationTask) -> None:
        """Put a task's files back where they were, as far as they were put away."""
        self._move(task, away=False)

    def _move(self, task: GenerationTask, *, away: bool) -> None:
        for place, aside in _places(task):
            source, target = (place, aside) if away else (aside, place)
            try:
                if source.is_file() and (away or not target.exists()):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source.replace(target)
            except OSError as error:
                # A file that stays where it is does no harm.
                note("task.files", task.id, f"{source.name} could not be moved: {error.strerror or error}")


def put_away(task: GenerationTask) -> Iterator[Path]:
    """Yield where a deleted task's files are, as far as it has any."""
    return (aside for _, aside in _places(task))


def _places(task: GenerationTask) -> Iterator[tuple[Path, Path]]:
    """Yield the files of a task, each with its place while it is deleted: the same below `FOLDER`."""
    for asset in task.assets:
        if asset.path is None:
            continue
        group = asset.path.parent
        for file in (asset.path, asset.path.with_name(f"{asset.path.name}.json"), asset.thumbnail):
            if file is not None and file.is_relative_to(group):
                yield file, group.parent / FOLDER / group.name / file.relative_to(group)
