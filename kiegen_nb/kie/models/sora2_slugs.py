"""Which of Sora 2's ten slugs reads which fields, and what each fills in.

Source: docs.kie.ai/market/sora2 as of 2026-06-06 and the playground's copies of 2025-11 to 2026-03.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kiegen_nb.service import FileRule
from kiegen_nb.tasks import AssetKind

Sora2Slug = Literal[
    "sora-2-text-to-video",
    "sora-2-image-to-video",
    "sora-2-pro-text-to-video",
    "sora-2-pro-image-to-video",
    "sora-2-pro-storyboard",
    "sora-2-text-to-video-stable",
    "sora-2-image-to-video-stable",
    "sora-2-characters",
    "sora-2-characters-pro",
    "sora-watermark-remover",
]
DEFAULT: Sora2Slug = "sora-2-text-to-video"
STORYBOARD: Sora2Slug = "sora-2-pro-storyboard"
CHARACTERS: tuple[Sora2Slug, ...] = ("sora-2-characters", "sora-2-characters-pro")

MOST_BYTES = 10 * 2**20  # of a file
FILE_LIMITS: dict[str, FileRule | None] = {
    "image_urls": FileRule(AssetKind.IMAGE, ("jpg", "png", "webp"), MOST_BYTES),
    "character_file_url": FileRule(AssetKind.VIDEO, ("mp4", "webm", "avi"), MOST_BYTES, (1.0, 4.0)),
    "video_url": None,  # a share link
}
"""Field -> the files it takes."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What one slug reads: the fields it needs, those it takes as well, and the defaults that are always sent."""

    needs: frozenset[str]
    takes: frozenset[str]
    defaults: dict[str, str]
    seconds: tuple[str, ...] = ("10", "15")


def _spec(needs: str, takes: str, **defaults: str) -> Spec:
    return Spec(frozenset(needs.split()), frozenset(takes.split()) | defaults.keys(), defaults)


_VIDEO: dict[str, str] = {"aspect_ratio": "landscape", "n_frames": "10", "upload_method": "s3"}
_MORE = "remove_watermark character_id_list"
SPECS: dict[str, Spec] = {
    "sora-2-text-to-video": _spec("prompt", _MORE, **_VIDEO),
    "sora-2-image-to-video": _spec("prompt image_urls", _MORE, **_VIDEO),
    "sora-2-pro-text-to-video": _spec("prompt", _MORE, **_VIDEO, size="high"),
    "sora-2-pro-image-to-video": _spec("prompt image_urls", _MORE, **_VIDEO, size="standard"),
    STORYBOARD: Spec(
        frozenset({"shots"}),
        frozenset({"image_urls", *_VIDEO}),
        {**_VIDEO, "n_frames": "15"},
        ("10", "15", "25"),
    ),
    "sora-2-text-to-video-stable": _spec("prompt", "", **_VIDEO),
    "sora-2-image-to-video-stable": _spec("prompt image_urls", "", **_VIDEO),
    "sora-2-characters": _spec("character_file_url", "character_prompt safety_instruction"),
    "sora-2-characters-pro": _spec(
        "origin_task_id timestamps character_prompt", "character_user_name safety_instruction"
    ),
    "sora-watermark-remover": _spec("video_url", "", upload_method="s3"),
}


def hints_of(field: str, **hints: Any) -> dict[str, Any]:
    """Return a field's hints for a form, which shows it for the slugs that read it only."""
    slugs = [slug for slug, spec in SPECS.items() if field in spec.needs | spec.takes]
    return {**hints, "when": {"api_model": slugs}}
