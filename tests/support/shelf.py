"""Finished tasks with real files, put into a session's store without asking any service: for full galleries."""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from PIL import Image

from kiegen_nb import Session, imagen4, query_keys, veo3
from kiegen_nb.engine import films, pictures, schema
from kiegen_nb.engine.media import safe_name
from kiegen_nb.engine.store import user_name
from kiegen_nb.sandbox.films import Shot, film, sound
from kiegen_nb.sandbox.render import render
from kiegen_nb.tasks import UNCONFIRMED, Asset, AssetKind, GenerationTask, TaskStatus

if TYPE_CHECKING:
    from pathlib import Path

    from kiegen_nb.kie.models.imagen4 import AspectRatio, Imagen4Slug

PROMPTS = (
    "a red kite over the sea", "a lighthouse at dusk", "mountains in the mist", "a hot air balloon over dunes",
    "a city at night", "a paper boat on a river", "a planet with rings", "a sailing boat in the evening",
    "pines under northern lights", "a golden desert", "waves of silk", "a flock of birds above the hills",
)  # fmt: skip
MODELS: tuple[Imagen4Slug, ...] = ("google/imagen4-fast", "google/imagen4", "google/imagen4-ultra")
SHAPES: dict[AspectRatio, tuple[int, int]] = {
    "16:9": (640, 360),
    "4:3": (640, 480),
    "1:1": (512, 512),
    "9:16": (360, 640),
}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Shelf:
    """Puts tasks into one group of a session's store, each a second newer than the one before.

    Args:
        session: whose store and output folder.
        prompt_id: the group.
    """

    def __init__(self, session: Session, prompt_id: str = "shelf") -> None:
        self._session = session
        self._prompt_id = prompt_id
        self._folder = session.output_dir / safe_name(prompt_id)
        self._drawn = self._folder.parent / ".drawn"
        self._rows: list[dict[str, Any]] = []
        self._drawn.mkdir(parents=True, exist_ok=True)
        (self._folder / "thumbnails").mkdir(parents=True, exist_ok=True)

    def pictures(self, number: int, *, prompt: str | None = None) -> None:
        """Add finished pictures; only a dozen are drawn, the others are copies."""
        for n in range(number):
            words = prompt or PROMPTS[n % len(PROMPTS)]
            ratio = list(SHAPES)[n % 12 % len(SHAPES)]
            source = self._drawn / f"{hashlib.sha256(words.encode()).hexdigest()[:8]}-{n % 12}.jpg"
            if not source.exists():
                source.write_bytes(render(words, seed=str(n), index=0, size=SHAPES[ratio], file_format="jpg"))
                pictures.write_thumbnail(source, source.with_suffix(".webp"))
            params = imagen4(words, api_model=MODELS[n % 3], aspect_ratio=ratio, seed=n)
            self._add(params, source, AssetKind.IMAGE, *SHAPES[ratio], credits_consumed=4.0)

    def film(self, prompt: str = "a fox runs through the snow", *, size: int = 0) -> None:
        """Add a film of 4 s; ``size`` is the least number of bytes, of which a player needs but a few."""
        data = film(Shot(prompt, "1", 0, (16, 9), 4.0))
        if size > len(data):
            data += struct.pack(">I4s", size - len(data), b"free") + bytes(size - len(data) - 8)
        source = self._drawn / "film.mp4"
        source.write_bytes(data)
        films.write_poster(source, source.with_suffix(".webp"))
        self._add(veo3(prompt), source, AssetKind.VIDEO, 320, 180, duration=4.0, credits_consumed=60.0)

    def sound(self, prompt: str = "waves on a beach") -> None:
        """Add a sound of 2 s."""
        source = self._drawn / "sound.wav"
        source.write_bytes(sound("1", 0, 2.0))
        self._add(imagen4(prompt), source, AssetKind.AUDIO, duration=2.0)

    def text(self, words: str, prompt: str = "a transcript") -> None:
        """Add a text."""
        source = self._drawn / "words.txt"
        source.write_text(words, encoding="utf-8")
        self._add(imagen4(prompt), source, AssetKind.TEXT)

    def file(self, name: str, data: bytes, kind: AssetKind, params: Any) -> None:
        """Add a result whose file holds what the test says."""
        source = self._drawn / name
        source.write_bytes(data)
        self._add(params, source, kind)

    def failed(self, prompt: str = "a crowd", *, code: str = "500", reason: str = "Kie could not make it.") -> None:
        """Add a failed task; with the code UNCONFIRMED one that may have been charged."""
        self._row(imagen4(prompt), status=TaskStatus.FAILED, fail_code=code, fail_msg=reason, activity=None)

    def unconfirmed(self, prompt: str = "a bridge") -> None:
        """Add a task whose request was never answered."""
        self.failed(prompt, code=UNCONFIRMED, reason="No answer came; it may have been charged.")

    def store(self) -> None:
        """Write what was added into the store, and have open galleries show it."""
        database = self._session._engine._database
        rows = self._rows

        def work(connection: Any) -> None:
            revision = database.revision(connection)
            connection.execute(schema.tasks.insert(), [row | {"revision": revision} for row in rows])

        database.write(work).result()
        self._rows = []
        self._session.invalidate(query_keys.by_prompt(self._prompt_id))

    def _add(self, params: Any, source: Path, kind: AssetKind, *size: int, **known: Any) -> None:
        task_id = uuid.uuid4().hex
        path = self._folder / f"{task_id}-0{source.suffix}"
        shutil.copy(source, path)
        small = source.with_suffix(".webp")
        thumbnail = self._folder / "thumbnails" / f"{path.stem}.webp"
        if small.exists():
            shutil.copy(small, thumbnail)
        width, height = size or (None, None)
        asset = Asset(
            kind=kind,
            url=f"https://results.example/{path.name}",
            path=path,
            thumbnail=thumbnail if small.exists() else None,
            width=width,
            height=height,
            duration=known.pop("duration", None),
            size=path.stat().st_size,
        )
        self._row(params, task_id, status=TaskStatus.SUCCESS, activity=None, assets=(asset,), **known)

    def _row(self, params: Any, task_id: str = "", **known: Any) -> None:
        asked = NOON + timedelta(seconds=len(self._rows))
        task = GenerationTask(
            id=task_id or uuid.uuid4().hex,
            prompt_id=self._prompt_id,
            model=params.model,
            api_model=params.api_model,
            provider_params=params.to_json(),
            external_task_id=uuid.uuid4().hex,
            created_at=asked,
            submitted_at=asked,
            completed_at=asked + timedelta(seconds=5),
            **known,
        )
        more = {"account": self._session.account, "user": user_name(), "identity": uuid.uuid4().hex}
        self._rows.append(schema.values_of(task) | more)


def picture(colour: str, size: tuple[int, int] = (64, 36), kind: str = "PNG") -> bytes:
    """Return a picture of one colour."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()
