"""The words every room shares: a generation task, its status and its assets.

Python spells them in snake_case, JSON in camelCase; both directions go through pydantic.
"""

from __future__ import annotations

import html
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class TaskStatus(StrEnum):
    """What is known of a task's outcome.

    Example:
        >>> [task.fail_msg for task in session.history() if task.status is TaskStatus.FAILED]  # doctest: +SKIP
    """

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Activity(StrEnum):
    """What this package is doing about a task right now (None: nothing, it is finished)."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    WATCHING = "watching"
    SAVING = "saving"
    PAUSED = "paused"
    GAVE_UP = "gave_up"


class AssetKind(StrEnum):
    """What a result file is."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"
    DATA = "data"
    FILE = "file"


UNCONFIRMED = "UNCONFIRMED"
"""``fail_code`` of a request that was sent and never answered: it may have been charged."""

TIMEOUT = "TIMEOUT"
"""``fail_code`` of a task that ran past its time limit; ``refresh`` may still bring its result."""

CANCELLED = "CANCELLED"
"""``fail_code`` of a task that was cancelled before it was sent."""

UPLOAD_LOST = "UPLOAD_LOST"
"""``fail_code`` of a request that was never sent, because a file it needs is not the uploaded one any more."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Asset(_Record):
    """One result of a task.

    Attributes:
        kind: image, video, audio, text, data or file.
        url: where the service offered it; such URLs die, often after 24 h.
        path: the local copy, None while it is not saved.
        thumbnail: a webp of at most 40 KB beside it, None where there is none.
        width: pixels, None if unknown.
        height: pixels, None if unknown.
        duration: seconds, for video and audio.
        sha256: hex digest of the file's bytes.
        size: bytes.
        error: why there is no local copy, None while all is well.

    Example:
        >>> [(asset.path, asset.width, asset.height) for asset in task.images]  # doctest: +SKIP
    """

    kind: AssetKind
    url: str | None = None
    path: Path | None = None
    thumbnail: Path | None = None
    width: int | None = None
    height: int | None = None
    duration: float | None = None
    sha256: str | None = None
    size: int | None = None
    error: str | None = None

    def _repr_html_(self) -> str:
        # The one step upwards: showing is the widgets' room, and it is imported only when something is shown.
        from kiegen_nb.widgets.summary import asset_html  # noqa: PLC0415

        return asset_html(self)


class UploadResult(_Record):
    """A file in the service's temporary storage; parameters take it wherever they take an address.

    Attributes:
        download_url: its address there.
        expires_at: when that address dies, UTC. A request that is sent within the hour before renews it by itself.
        is_assumed: whether the service named no such time: then 24 h are assumed, 3 days are the documented maximum.
        sha256: hex digest of the bytes, None for an upload by URL.
        name: what it is called here.
        mime: its media type, such as ``image/png``.
        size: bytes, None if unknown.
        kind: image, video or audio; file where the service did not say.
        source: the path or the URL it can be renewed from.

    Example:
        >>> upload = session.upload("dog.png")  # doctest: +SKIP
        >>> upload.mime, upload.size, upload.expires_at  # doctest: +SKIP
    """

    download_url: str
    expires_at: datetime
    is_assumed: bool
    sha256: str | None = None
    name: str
    mime: str
    size: int | None = None
    kind: AssetKind
    source: str | None = None

    def __str__(self) -> str:
        return self.download_url

    def __repr__(self) -> str:
        return f"UploadResult({self.name!r}, {self.mime}, until {self._until})"

    def _repr_html_(self) -> str:
        size = f", {self.size:,} bytes" if self.size is not None else ""
        said = f"{self.name} ({self.mime}{size}), uploaded, until {self._until}"
        return f'<div title="{html.escape(self.download_url)}">{html.escape(said)}</div>'

    @property
    def _until(self) -> str:
        return f"{self.expires_at:%Y-%m-%d %H:%M} UTC{' (assumed)' if self.is_assumed else ''}"


class GenerationTask(_Record):
    """One generation: what was asked, what became of it, and the files it left.

    Attributes:
        id: this package's own id, known before anything is sent.
        prompt_id: the group it belongs to (one gallery shows one group).
        service: ``"KIE"``.
        model: the family, such as ``"IMAGEN4"``.
        api_model: the service's model slug.
        status: PENDING, SUCCESS or FAILED.
        state: the service's own word (``waiting``, ``generating``, ...), None before there is one.
        activity: what this package is doing about it, None once nothing is left to do.
        external_task_id: the service's id, None until the request was accepted.
        provider_params: the request in its JSON form, enough to repeat it.
        result_json: the service's result, as the text it sent.
        fail_code: the service's code, or UNCONFIRMED, TIMEOUT, CANCELLED or UPLOAD_LOST.
        fail_msg: why it failed and what to do, one or two sentences.
        note: a passing remark (a bad look, a wait for a slot), None while all is well.
        created_at: when it was asked for, UTC.
        submitted_at: when the request was sent, UTC.
        completed_at: when the outcome was known, UTC.
        assets: the results, in the service's order.
        credits_consumed: what the service says it cost, None while unknown.
        took: seconds from the request to the result, as the service says, else as seen; None without a result.
        repeat: which of several identical requests this is, from 0.
        attempt: how often this request was asked anew on purpose, from 0.
        parent_id: the task this one follows up, if any.
        rating: 1 to 5, as somebody judged it; None while nobody has.
        comment: what somebody wrote about it, None while nobody has.
        user: who asked for it first: JupyterHub's name for them, else the system's.

    Example:
        >>> task = session.history("kites")[0]  # doctest: +SKIP
        >>> task.prompt, task.credits_consumed, task.took  # doctest: +SKIP
        ('a red kite', 4.0, 7.2)
    """

    id: str
    prompt_id: str = "default"
    service: str = "KIE"
    model: str
    api_model: str
    status: TaskStatus = TaskStatus.PENDING
    state: str | None = None
    activity: Activity | None = Activity.QUEUED
    external_task_id: str | None = None
    provider_params: dict[str, Any] = Field(default_factory=dict)
    result_json: str | None = None
    fail_code: str | None = None
    fail_msg: str | None = None
    note: str | None = None
    created_at: datetime
    submitted_at: datetime | None = None
    completed_at: datetime | None = None
    assets: tuple[Asset, ...] = ()
    credits_consumed: float | None = None
    took: float | None = None
    repeat: int = 0
    attempt: int = 0
    parent_id: str | None = None
    rating: int | None = None
    comment: str | None = None
    user: str | None = None

    @property
    def prompt(self) -> str:
        """The prompt's text, empty for a request that has none."""
        value = self.provider_params.get("input", {}).get("prompt", "")
        return value if isinstance(value, str) else ""

    @property
    def is_pending(self) -> bool:
        """Whether the outcome is still open."""
        return self.status is TaskStatus.PENDING

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen by itself: the outcome is known and its files are saved."""
        return not self.is_pending and self.activity in (None, Activity.GAVE_UP)

    @property
    def images(self) -> tuple[Asset, ...]:
        """The pictures among the assets."""
        return tuple(asset for asset in self.assets if asset.kind is AssetKind.IMAGE)

    def to_json(self) -> dict[str, Any]:
        """Return the task as JSON data, keys in camelCase.

        Example:
            >>> print(json.dumps(task.to_json(), indent=2))  # doctest: +SKIP
        """
        return self.model_dump(mode="json", by_alias=True)

    def _repr_html_(self) -> str:
        # The one step upwards, as for Asset.
        from kiegen_nb.widgets.summary import task_html  # noqa: PLC0415

        return task_html(self)

    def __repr__(self) -> str:
        why = f", {self.fail_code}" if self.fail_code else ""
        return f"GenerationTask({self.id[:8]}, {self.api_model}, {self.status}{why})"

    __str__ = __repr__
