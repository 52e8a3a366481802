"""The paper the sandbox draws on: smooth shapes, gradients and glows on a Pillow image.

Lengths are shares of the picture's width, height or (radii, strokes) shorter side, so that one drawing keeps its
composition in every aspect ratio.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

Colour = tuple[int, int, int]
Point = tuple[float, float]

SMOOTH = 2
WHITE: Colour = (255, 255, 255)
INK: Colour = (14, 16, 28)


class Canvas:
    """A picture being drawn.

    Args:
        size: Width and height in pixels.
        chance: Source of every choice.
        palette: Seven colours, see ``render``.
    """

    def __init__(self, size: tuple[int, int], chance: random.Random, palette: Sequence[Colour]) -> None:
        self.size = size
        self.unit = min(size)
        self.chance = chance
        self.sky = list(palette[:3])
        self.light, self.far, self.near, self.accent = palette[3:]
        self.image = gradient(size, self.sky)

    def polygon(self, points: Sequence[Point], *colours: Colour, alpha: float = 1.0) -> None:
        """Fill a shape (points in shares of width and height) with a gradient from its top to its bottom."""
        width, height = self.size
        across = [x * width for x, _ in points]
        down = [y * height for _, y in points]
        left, top = max(math.floor(min(across)), 0), max(math.floor(min(down)), 0)
        right, bottom = min(math.ceil(max(across)), width), min(math.ceil(max(down)), height)
        if left >= right or top >= bottom:
            return
        # Drawn twice as large and halved, since Pillow's polygons have hard edges.
        mask = Image.new("L", ((right - left) * SMOOTH, (bottom - top) * SMOOTH))
        moved = [((x - left) * SMOOTH, (y - top) * SMOOTH) for x, y in zip(across, down, strict=True)]
        ImageDraw.Draw(mask).polygon(moved, fill=round(255 * alpha))
        paint = gradient((right - left, bottom - top), colours)
        self.image.paste(paint, (left, top), mask.reduce(SMOOTH))

    def place(self, shape: Iterable[Point], x: float, y: float, size: float, tilt: float = 0.0) -> list[Point]:
        """Move a shape drawn around (0, 0) to a spot, turned and scaled, its proportions kept."""
        wide, tall = size * self.unit / self.size[0], size * self.unit / self.size[1]
        cos, sin = math.cos(tilt), math.sin(tilt)
        return [(x + wide * (a * cos - d * sin), y + tall * (a * sin + d * cos)) for a, d in shape]

    def disc(self, x: float, y: float, radius: float, *colours: Colour, alpha: float = 1.0) -> None:
        """Fill a circle; the radius is a share of the shorter side."""
        self.polygon(self.place(arc(0, math.tau), x, y, radius), *colours, alpha=alpha)

    def glow(self, x: float, y: float, radius: float, colour: Colour, strength: float = 1.0) -> None:
        """Add soft light around a point."""
        reach = max(round(radius * self.unit), 1)
        falloff = _falloff().point([round(value * strength) for value in range(256)])
        corner = (round(x * self.size[0]) - reach, round(y * self.size[1]) - reach)
        self.image.paste(colour, corner, falloff.resize((2 * reach, 2 * reach), Image.Resampling.BILINEAR))

    def stroke(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round joints; the width is a share of the shorter side."""
        pixels = [(x * self.size[0], y * self.size[1]) for x, y in points]
        ImageDraw.Draw(self.image).line(pixels, fill=colour, width=max(round(width * self.unit), 1), joint="curve")

    def land(self, tops: Sequence[float], *colours: Colour, alpha: float = 1.0) -> None:
        """Fill everything below a line of heights spread over the whole width."""
        last = len(tops) - 1
        line = [(step / last, top) for step, top in enumerate(tops)]
        self.polygon([*line, (1.0, 1.0), (0.0, 1.0)], *colours, alpha=alpha)

    def band(self, line: Sequence[float], above: float, below: float, *colours: Colour, alpha: float = 1.0) -> None:
        """Fill a strip along a line of heights, between two distances from it."""
        last = len(line) - 1
        upper = [(step / last, y + above) for step, y in enumerate(line)]
        lower = [(step / last, y + below) for step, y in enumerate(line)]
        self.polygon([*upper, *reversed(lower)], *colours, alpha=alpha)

    def sun(self, lowest: float) -> Point:
        """Draw a sun or moon with its glow somewhere above ``lowest``; returns its centre."""
        x, y = self.chance.uniform(0.2, 0.8), self.chance.uniform(0.22, lowest)
        size = self.chance.uniform(0.06, 0.13)
        self.glow(x, y, size * 7, mix(self.light, self.sky[2], 0.4), 0.75)
        self.glow(x, y, size * 2.6, self.light, 0.8)
        self.disc(x, y, size, self.light, mix(self.light, self.sky[2], 0.35))
        return x, y

    def stars(self, lowest: float) -> None:
        """Scatter stars above a height."""
        for _ in range(150):
            x, y = self.chance.random(), self.chance.random() ** 1.3 * lowest
            bright = self.chance.uniform(0.25, 0.95)
            self.disc(x, y, self.chance.choice((0.0012, 0.0016, 0.0026)), WHITE, alpha=bright)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour between two; 0 gives the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def arc(begin: float, end: float, squash: float = 1.0, radius: float = 1.0) -> list[Point]:
    """Return points along a circle's edge, flattened by ``squash``."""
    turns = [begin + (end - begin) * step / 72 for step in range(73)]
    return [(radius * math.cos(turn), radius * squash * math.sin(turn)) for turn in turns]


@functools.cache
def _falloff() -> Image.Image:
    # Not Image.radial_gradient, whose reach differs between Pillow's versions.
    distances = (math.hypot(x - 63.5, y - 63.5) / 63.5 for y in range(128) for x in range(128))
    return Image.frombytes("L", (128, 128), bytes(round(255 * max(1 - far, 0) ** 2) for far in distances))


def gradient(size: tuple[int, int], colours: Sequence[Colour]) -> Image.Image:
    """Return an image that runs through the colours from top to bottom."""
    if len(colours) == 1:
        return Image.new("RGB", size, colours[0])
    column = Image.new("RGB", (1, len(colours)))
    for row, colour in enumerate(colours):
        column.putpixel((0, row), colour)
    box = (0.0, 0.5, 1.0, len(colours) - 0.5)
    return column.resize((1, size[1]), Image.Resampling.BILINEAR, box=box).resize(size, Image.Resampling.NEAREST)


def from_hex(text: str) -> Colour:
    """Return the colour written as six hex digits."""
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)
