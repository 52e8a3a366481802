"""The part of `Session` that keeps what people think of their results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kiegen_nb.engine.transitions import Commented, Rated, Remark

if TYPE_CHECKING:
    from types import EllipsisType

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.engine.handle import TaskHandle
    from kiegen_nb.tasks import GenerationTask

BEST = 5
LONGEST_COMMENT = 2000


class SessionRatings:
    """Ratings and comments; they are kept in the store, not in the result files."""

    _engine: Engine

    if TYPE_CHECKING:

        def _check_open(self) -> None: ...

    def rate(
        self,
        task: GenerationTask | TaskHandle,
        rating: int | EllipsisType | None = ...,
        *,
        comment: str | EllipsisType | None = ...,
    ) -> GenerationTask:
        """Keep what you think of a task; galleries and grids show it at once, other kernels' too. Costs nothing.

        Args:
            task: which one, in any state.
            rating: 1 to 5; None takes it back. What is not given stays as it is.
            comment: a few words, at most 2000 characters; None or an empty text takes it back.

        Returns:
            The task with its rating and comment.

        Raises:
            ValueError: the rating is no whole number from 1 to 5, or the comment no text of at most 2000 characters.
            KiegenError: there is no such task, or it was deleted.
            StoreError: the store could not be read or written.

        Example:
            >>> session.rate(task, 4, comment="best light").rating  # doctest: +SKIP
            4
        """
        self._check_open()
        remarks: list[Remark] = []
        if rating is not ...:
            remarks.append(Rated(_checked_rating(rating)))
        if comment is not ...:
            remarks.append(Commented(_checked_comment(comment)))
        return self._engine.rater.remark(task.id, remarks)


def _checked_rating(rating: object) -> int | None:
    if rating is None:
        return None
    if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= BEST:
        raise ValueError(
            f"rating must be a whole number from 1 to {BEST}, or None, not {rating!r}. Nothing was changed."
        )
    return rating


def _checked_comment(comment: object) -> str | None:
    if comment is None:
        return None
    if not isinstance(comment, str) or len(comment) > LONGEST_COMMENT:
        what = f"{len(comment)}" if isinstance(comment, str) else repr(comment)
        raise ValueError(
            f"comment must be a text of at most {LONGEST_COMMENT} characters, or None, not {what}. Nothing was changed."
        )
    return comment.strip() or None
