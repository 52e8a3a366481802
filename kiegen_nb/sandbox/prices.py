"""What a task costs: the catalogue's price texts, read by hand where a number alone would be wrong.

A row of ``_TABLE`` lists alternatives as "words price"; the first one whose words all describe the request is
taken, so that the plain ones stand last. Words are chosen values ("720p", "turbo"), lengths ("10s"), factors
("4x"), and "audio", "video" (a video is sent in), "image", "pro".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FALLBACK_PRICE = 10.0
_CHARACTERS = 1000
_DEFAULT_SECONDS = 5.0

_TIERS = [
    "resolution",
    "quality",
    "rendering_speed",
    "image_resolution",
    "size",
    "mode",
    "upscale_factor",
    "output_resolution",
    "model",
    "duration",
]
_SOUND = ("audio", "sound", "generate_audio", "generate_audio_switch")

_OMNI = "video 4k 252, video 168, 4s 4k 147, 6s 4k 168, 8s 4k 189, 10s 4k 210, 4s 63, 6s 84, 8s 105, 10s 126"
_TABLE = {
    "per s 480/720/1080p: audio 3.5/7/15, silent 1.75/3.5/7.5": (
        "audio 480p 3.5, audio 720p 7, audio 1080p 15, 480p 1.75, 720p 3.5, 1080p 7.5"
    ),
    "per s: 480p 19, 720p 41, 1080p 102, 4k 208; with video input 11.5/25/62/128": (
        "video 480p 11.5, video 720p 25, video 1080p 62, video 4k 128, 480p 19, 720p 41, 1080p 102, 4k 208"
    ),
    "per s: 480p 28, 720p 63, 1080p 158; with video input 17/38/95": (
        "video 480p 17, video 720p 38, video 1080p 95, 480p 28, 720p 63, 1080p 158"
    ),
    "per s: 480p 11.7, 720p 24.8; with video 6.8/15": "video 480p 6.8, video 720p 15, 480p 11.7, 720p 24.8",
    "per s: 480p 3.8, 720p 8.2; with video 2.4/5": "video 480p 2.4, video 720p 5, 480p 3.8, 720p 8.2",
    "4/6/8/10 s: 63/84/105/126, 4K 147/168/189/210; with video 168 (4K 252)": _OMNI,
    "Pro 5, Max 10": "flux-kontext-max 10, 5",
    "medium 4, high 22": "high 22, 4",
    "4 per generation, 5 with enable_pro": "pro 5, 4",
    "6 s 14.4/27, 10 s 24/45 (480p/720p)": "10s 24, 14.4",
    "360->720 10, 720->1080 20, 480->1080 30": "1080p 20, 10",
    "512P 12/20, 768P -/50": "512p 10s 20, 512p 12, 768p 50",
    "768P 30/50, 1080P 50": "1080p 50, 10s 50, 30",
    "768P 45/90, 1080P 80": "1080p 80, 10s 90, 45",
    "18 (1K,2K) / 24 (4K)": "4k 24, 18",
    "7 (1K,1.5K) / 14 (2K)": "2k 14, 7",
    "22.5 / 29": "/s 720p 22.5, 29",
    "28 / 48": "/s 720p 28, 48",
    "5 s 55 (110), 10 s 110 (220)": "10s audio 220, 10s 110, audio 110, 55",
    "5 s 55 (sound 110), 10 s 110 (220)": "10s audio 220, 10s 110, audio 110, 55",
    "5 s 720p 12; 10 s 720p 30; 5 s 1080p 30": "10s 30, 1080p 30, 12",
    "720p 60/120, 1080p 100/200": "720p 5s 60, 720p 10s 120, 5s 100, 200",
    "720p 70/140, 1080p 104.5/209.5": "720p 5s 70, 720p 10s 140, 5s 104.5, 209.5",
    "720p 70/140/210, 1080p 104.5/209.5/315 (5/10/15 s)": (
        "720p 5s 70, 720p 10s 140, 720p 15s 210, 5s 104.5, 10s 209.5, 315"
    ),
    "40/60/80 (480/580/720p)": "480p 40, 580p 60, 80",
    "40/60/80": "480p 40, 580p 60, 80",
    "per s 11 (720p), 18 (1080p)": "720p 11, 18",
    "per s 20 (720p), 27 (1080p)": "pro 27, 1080p 27, 20",
    "per s 2.4 (480p), 4.5 (720p)": "720p 4.5, 1080p 4.5, 2.4",
    "10 (to 2K) / 20 (4K)": "4x 20, 10",
    "per s 8 (1x,2x), 14 (4x)": "4x 14, 8",
    "per s: 720p 14 (audio 20), 1080p 18 (27), 4K 67": "4k 67, std audio 20, std 14, audio 27, 18",
    "per s silent 4/5.6/7.2/14.4, audio 5.6/7.2/9.6/18.4 (360/540/720/1080p)": (
        "audio 360p 5.6, audio 540p 7.2, audio 720p 9.6, audio 1080p 18.4, 360p 4, 540p 5.6, 720p 7.2, 14.4"
    ),
    "silent 4.5/6.3/8.1/16.2, audio 6.3/8.1/10.8/20.7": (
        "/s audio 360p 6.3, audio 540p 8.1, audio 720p 10.8, audio 1080p 20.7, 360p 4.5, 540p 6.3, 720p 8.1, 16.2"
    ),
    "not in the 2026-09-24 feed; third party 2026-08: 720p 14/18 audio, 1080p 18/23, 4K 67 per s": (
        "4k 67, 1080p audio 23, 1080p 18, audio 18, 14"
    ),
    "third party 2026-08: 20/27/67 per s": "4k 67, 1080p 27, 20",
    "not in feed (0 in a third-party list)": "0",
    "per video: Lite 30/35/150, Fast 60/65/180, Quality 250/255/380 (720p/1080p/4K; i2v Quality 4K 370)": (
        "veo3 4k image 370, veo3 4k 380, veo3 1080p 255, veo3 250, veo3_lite 4k 150, veo3_lite 1080p 35, "
        "veo3_lite 30, 4k 180, 1080p 65, 60"
    ),
    "Lite 30, Fast 60, Quality 250": "lite 30, quality 250, 60",
}
# Prices that no current page lists: historical ones, last seen between 2025-11 and 2026-02.
_BY_NAME = {
    "sora-2-pro-text-to-video": "high 15s 630, high 330, 15s 270, 150",
    "sora-2-pro-image-to-video": "high 15s 630, high 330, 15s 270, 150",
    "sora-2-text-to-video": "30",
    "sora-2-image-to-video": "30",
    "sora-2-pro-storyboard": "150",
    "sora-watermark-remover": "10",
}
# "as <another entry>".
_SAME_AS = {
    "as gemini-omni-video (360p like 720p)": "4/6/8/10 s: 63/84/105/126, 4K 147/168/189/210; with video 168 (4K 252)",
    "as runway": "5 s 720p 12; 10 s 720p 30; 5 s 1080p 30",
    "as veo-3-1": (
        "per video: Lite 30/35/150, Fast 60/65/180, Quality 250/255/380 (720p/1080p/4K; i2v Quality 4K 370)"
    ),
    "as veo/extend": "Lite 30, Fast 60, Quality 250",
}
_SAME_AS_BY_PROVIDER = {
    "kling-3.0-omni/": "not in the 2026-09-24 feed; third party 2026-08: 720p 14/18 audio, 1080p 18/23, 4K 67 per s",
    "pixverse-v6/": "per s silent 4/5.6/7.2/14.4, audio 5.6/7.2/9.6/18.4 (360/540/720/1080p)",
    "wan/2-6-": "720p 70/140/210, 1080p 104.5/209.5/315 (5/10/15 s)",
    "wan/2-5-": "720p 60/120, 1080p 100/200",
}
_NUMBER = r"\d+(?:\.\d+)?"


def price_text(entry: Mapping[str, Any]) -> str:
    """Return the text that prices a model, "as another model" replaced by that model's own text."""
    text = str(entry.get("credits", ""))
    if text.endswith("as text-to-video"):
        slug = str(entry.get("slug", ""))
        return next((same for begins, same in _SAME_AS_BY_PROVIDER.items() if slug.startswith(begins)), text)
    return _SAME_AS.get(text, text)


def price(
    entry: Mapping[str, Any], known: Mapping[str, Any] | None = None, *, images: int = 1, seconds: float | None = None
) -> float:
    """Return the credits one task costs.

    Args:
        entry: The catalogue entry.
        known: The checked request; without it the price of the documented defaults.
        images: How many pictures it makes.
        seconds: How long its result is.
    """
    if known is None:
        known = {name: rule["default"] for name, rule in entry["params"].items() if "default" in rule}
    text = price_text(entry)
    words = _words(known, seconds)
    row = _BY_NAME.get(str(entry.get("slug"))) or _TABLE.get(text)
    if row:
        number = _from_row(row, words)
    elif text.startswith(("not ", "as ")):
        return FALLBACK_PRICE
    else:
        number = _from_text(entry, re.sub(r"\(.*?\)|\d{4}-\d{2}-\d{2}", "", text), known)
    if " per s" in f" {text}" or (row or "").startswith("/s "):
        number *= seconds or _DEFAULT_SECONDS
    elif "per 1000 chars" in text:
        number *= max(characters(known), 1) / _CHARACTERS
    elif "/image" in text or any(name in known for name in ("num_images", "max_images", "n")):
        number *= images
    if "per input image" in text:
        number += 0.5 * len(known.get("image_urls", []))
    elif "extra input images" in text:
        number += 0.5 * max(len(known.get("image_urls", [])) - 1, 0)
    elif "4 per image" in text:
        number += 4 * len(known.get("reference_image_urls", []))
        number += 4 * sum(bool(known.get(name)) for name in ("first_frame_url", "last_frame_url"))
    return round(number, 4)


def _words(known: Mapping[str, Any], seconds: float | None) -> set[str]:
    words = {str(known[name]).lower() for name in _TIERS if known.get(name) is not None}
    words |= {f"{known[name]}x" for name in ("upscale_factor",) if name in known}
    # The price follows the length asked for, which for an extension is not the length of what comes back.
    length = known.get("extend_times") or known.get("n_frames") or known.get("duration") or seconds
    if length is not None:
        words.add(f"{float(length):g}s")
    if any(known.get(name) is True for name in _SOUND):
        words.add("audio")
    if any(known.get(name) for name in ("reference_video_urls", "video_list", "video_urls")):
        words.add("video")
    if known.get("image_urls") or known.get("imageUrls"):
        words.add("image")
    if known.get("enable_pro"):
        words.add("pro")
    return words


def _from_row(row: str, words: set[str]) -> float:
    choices = [choice.split() for choice in row.removeprefix("/s ").split(", ")]
    fitting = (needed for needed in choices if set(needed[:-1]) <= words)
    return float(next(fitting, choices[-1])[-1])


def _from_text(entry: Mapping[str, Any], text: str, known: Mapping[str, Any]) -> float:
    numbers = [float(number) for number in re.findall(_NUMBER, text)]
    if not numbers:
        return FALLBACK_PRICE
    # "8 / 12 / 18": one price per choice of the field that has as many choices.
    listed = re.match(rf"(?:per s )?({_NUMBER}(?:\s*[/,]\s*{_NUMBER})+)(?!\.?\d)", text)
    if listed:
        choices = [float(number) for number in re.findall(_NUMBER, listed[1])]
        for name in _TIERS:
            enum = entry["params"].get(name, {}).get("enum", [])
            if len(enum) == len(choices) and (known.get(name) in enum or name == "resolution"):
                return choices[enum.index(known[name])] if known.get(name) in enum else choices[0]
    return numbers[0]


def characters(known: Mapping[str, Any]) -> int:
    """Return how many characters a request has spoken."""
    spoken = known.get("dialogue") or [{"text": known.get("text", "")}]
    return sum(len(str(turn.get("text", ""))) for turn in spoken)
