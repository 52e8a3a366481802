"""The sandbox's pictures: small landscapes drawn from a prompt and a seed.

The same prompt, seed and index always give the same picture. Words in the prompt pick the scene, the colour
and a motif where they can; everything else comes from a hash.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from .canvas import INK, Canvas, from_hex
from .scenes import MOTIFS, SCENES

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}

# Sky from the top to the horizon (three), light, far land, near land, accent.
_PALETTES = (
    "2b2d5b 8d5a97 f7a072 ffe3b3 9a6a96 2a1e45 ef476f",
    "0b3c5d 328cc1 d9eaf3 fff6da 6fa8c9 0d2d44 f25f5c",
    "134e5e 71b280 f3f3c3 fffbe0 7fb59a 12343b ff7b54",
    "3a1c71 d76d77 ffaf7b ffe9c7 b0607f 2b1448 ffd166",
    "12263a 3a6ea5 f7c59f fff1d6 7a8fb5 101c33 ff6b35",
    "5f2c82 49a09d d8f3dc ffffe8 5d8fa3 2d1b4e ff9f1c",
    "41295a a4508b ffc2b4 fff0e5 9b5d95 2f1437 5dd9c1",
    "1d4350 a43931 f6ae6f ffe8c2 8f4a3f 20252f ffd23f",
    "16324f 5c80bc e8c7c8 fff3e6 7c87b3 18233f e84855",
    "0a5c5c 2fa39a c8f0d2 fffde7 58a89b 063b41 ff6f61",
    "4b1d3f a23b72 f18f01 ffe5a5 8a3c5f 26102a 3bceac",
    "274c77 6096ba f2e9e4 ffffff 8fb0cb 1c2f4a f4a259",
)
_COLOURS = {
    "red": "e5383b",
    "orange": "fb8500",
    "yellow": "ffd60a",
    "golden": "f2b418",
    "gold": "f2b418",
    "green": "38b000",
    "turquoise": "2ec4b6",
    "blue": "2f6fed",
    "purple": "7b2cbf",
    "violet": "8338ec",
    "pink": "ff5d8f",
    "white": "f8f9fa",
    "black": "22223b",
}


def label(image: Image.Image, prompt: str, *, shade: bool = True) -> None:
    """Write the prompt and a SANDBOX tag along the lower edge."""
    width, height = image.size
    small = max(min(round(max(image.size) * 0.021), height // 6), 10)
    font = ImageFont.load_default(small)
    if shade:
        dusk = Image.linear_gradient("L").point([round(v * 0.5) for v in range(256)])
        tall = min(small * 4, height)
        image.paste((*INK, 255)[: len(image.getbands())], (0, height - tall), dusk.resize((width, tall)))
    draw = ImageDraw.Draw(image, "RGBA")
    margin = small * 0.8
    words = re.sub(r"\s+", " ", "".join(c if c.isascii() and c.isprintable() else " " for c in prompt)).strip()
    words = words if shade else ""
    tag = font.getlength("SANDBOX") + 0.9 * small
    line = words
    while line and font.getlength(line + "...") > width - tag - 4 * margin:
        line = line.rpartition(" ")[0]
    draw.text((margin, height - margin), line + ("..." if line != words else ""), (255, 255, 255, 235), font, "ls")
    box = (
        width - margin - tag,
        height - margin - 1.05 * small,
        width - margin,
        height - margin + 0.4 * small,
    )
    draw.rounded_rectangle(box, radius=small * 0.35, fill=(255, 255, 255, 215))
    draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), "SANDBOX", (*INK, 255), font, "mm")


def watermark(image: Image.Image, text: str) -> None:
    """Write a watermark into the upper left corner."""
    small = max(round(max(image.size) * 0.028), 11)
    words = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:40]
    draw = ImageDraw.Draw(image, "RGBA")
    draw.text(
        (small, small),
        words,
        (255, 255, 255, 190),
        ImageFont.load_default(small),
        stroke_width=1,
        stroke_fill=(*INK, 90),
    )


def _pick(table: dict[str, Callable[[Canvas], None]], words: set[str]) -> Callable[[Canvas], None] | None:
    return next((draw for keys, draw in table.items() if words & set(keys.split())), None)


def paint(prompt: str, *, seed: str, index: int, size: tuple[int, int]) -> Canvas:
    """Draw one landscape without any writing on it.

    Args:
        prompt: Chooses palette, and by its words scene, colour and motif.
        seed: Chooses the composition.
        index: Number of the picture within its task, from 0.
        size: Width and height in pixels.
    """
    digest = hashlib.sha256(f"{prompt}\n{seed}\n{index}".encode()).digest()
    chance = random.Random(digest)  # noqa: S311 - a picture, not a secret
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    mood = hashlib.sha256(prompt.encode()).digest()[0] + chance.choice((0, 0, 5))
    palette = [from_hex(colour) for colour in _PALETTES[mood % len(_PALETTES)].split()]
    palette[6] = next((from_hex(_COLOURS[word]) for word in _COLOURS if word in words), palette[6])
    canvas = Canvas(size, chance, palette)
    (_pick(SCENES, words) or chance.choice(list(SCENES.values())))(canvas)
    if motif := _pick(MOTIFS, words):
        motif(canvas)
    return canvas


def render(
    prompt: str, *, seed: str, index: int, size: tuple[int, int], file_format: str = "png", mark: str = ""
) -> bytes:
    """Draw one picture.

    Args:
        prompt: See ``paint``, as ``seed``, ``index`` and ``size``.
        seed: See ``paint``.
        index: See ``paint``.
        size: See ``paint``.
        file_format: ``png``, ``jpg`` or ``webp``.
        mark: Watermark text.

    Returns:
        The encoded file.
    """
    canvas = paint(prompt, seed=seed, index=index, size=size)
    label(canvas.image, prompt)
    if mark:
        watermark(canvas.image, mark)
    return encode(canvas.image, file_format)


def cut_out(
    prompt: str, *, seed: str, index: int, size: tuple[int, int], depth: int | None, file_format: str = "png"
) -> bytes:
    """Draw a picture of which a part only is there, on a transparent ground.

    Args:
        prompt: See ``paint``, as ``seed``, ``index`` and ``size``.
        seed: See ``paint``.
        index: See ``paint``.
        size: See ``paint``.
        depth: Which layer from the back (0) to the front (2) is there; None keeps the middle.
        file_format: ``png`` or ``webp``.
    """
    image = paint(prompt, seed=seed, index=index, size=size).image
    image.putalpha(_shape(size, depth))
    label(image, prompt, shade=False)
    return encode(image, file_format)


def mask(size: tuple[int, int], depth: int) -> bytes:
    """Draw a mask, white where a subject is; ``depth`` 3 paints three numbered areas in greys instead."""
    if depth < 3:  # noqa: PLR2004 - three layers
        return encode(_shape(size, depth), "png")
    areas = Image.new("L", size)
    for number in range(3):
        areas.paste(85 * (number + 1), (0, 0), _shape(size, number))
    return encode(areas, "png")


def encode(image: Image.Image, file_format: str) -> bytes:
    """Return an image as a file of a format in ``FORMATS``."""
    out = io.BytesIO()
    image.save(out, FORMATS[file_format], **({"compress_level": 4} if file_format == "png" else {"quality": 88}))
    return out.getvalue()


def _shape(size: tuple[int, int], depth: int | None) -> Image.Image:
    shape = Image.new("L", size)
    draw, (width, height) = ImageDraw.Draw(shape), size
    if depth is None:
        draw.ellipse((width * 0.12, height * 0.08, width * 0.88, height * 0.84), fill=255)
    else:
        draw.rectangle((0, height * depth // 3, width, height * (depth + 1) // 3), fill=255)
    return shape.filter(ImageFilter.GaussianBlur(max(min(size) / 60, 0.5)))
