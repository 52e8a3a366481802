"""Files and names that mean harm, or were damaged: what to upload, and what a host may send as a result."""

from __future__ import annotations

from kiegen_nb.sandbox.films import Shot, film
from tests.support.uploads import claim

SCRIPT = "window.hacked = true"
SVG = f'<svg xmlns="http://www.w3.org/2000/svg" onload="{SCRIPT}"><script>{SCRIPT}</script></svg>'.encode()
NAMES = (
    "../../../etc/passwd.png",
    "..\\..\\boot.png",
    "a\0b.png",
    "x" * 300 + ".png",
    f"<img src=x onerror='{SCRIPT}'>.png",
    "\u202egnp.png",
)
"""What a browser, a host or a person may call a file."""


def hostile_files() -> dict[str, bytes]:
    """Return file name -> content; none of them is what its name says."""
    whole = film(Shot("a fox runs through the snow", "1", 0, (16, 9), 2.0))
    return {
        "bomb.png": claim(100_000, 100_000),
        "words.png": b"just some words about a kite",
        "cut.mp4": whole[: int(len(whole) * 0.8)],
        "evil.svg": SVG,
        "evil.png": SVG,
        "page.mp4": f"<!doctype html><script>{SCRIPT}</script>".encode(),
    }
