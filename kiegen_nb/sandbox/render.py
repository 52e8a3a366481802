"""The sandbox's pictures: small landscapes drawn from a prompt and a seed.

The same prompt, seed and index always give the same picture. Words in the prompt pick the scene, the colour
and a motif where they can; everything else comes from a hash. Lengths are shares of the picture's width,
height or (radii, strokes) shorter side, so that one seed keeps its composition in every aspect ratio.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import math
import random
import re
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Colour = tuple[int, int, int]
Point = tuple[float, float]

SMOOTH = 2
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}
WHITE: Colour = (255, 255, 255)
INK: Colour = (14, 16, 28)

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
_AURORA: tuple[Colour, ...] = ((72, 229, 170), (95, 120, 250), (186, 88, 235), (60, 200, 220))
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


class Canvas:
    """A picture being drawn.

    Args:
        size: Width and height in pixels.
        chance: Source of every choice.
        palette: Seven colours, see ``_PALETTES``.
    """

    def __init__(self, size: tuple[int, int], chance: random.Random, palette: Sequence[Colour]) -> None:
        self.size = size
        self.unit = min(size)
        self.chance = chance
        self.sky = list(palette[:3])
        self.light, self.far, self.near, self.accent = palette[3:]
        self.image = _gradient(size, self.sky)

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
        paint = _gradient((right - left, bottom - top), colours)
        self.image.paste(paint, (left, top), mask.reduce(SMOOTH))

    def place(self, shape: Iterable[Point], x: float, y: float, size: float, tilt: float = 0.0) -> list[Point]:
        """Move a shape drawn around (0, 0) to a spot, turned and scaled, its proportions kept."""
        wide, tall = size * self.unit / self.size[0], size * self.unit / self.size[1]
        cos, sin = math.cos(tilt), math.sin(tilt)
        return [(x + wide * (a * cos - d * sin), y + tall * (a * sin + d * cos)) for a, d in shape]

    def disc(self, x: float, y: float, radius: float, *colours: Colour, alpha: float = 1.0) -> None:
        """Fill a circle; the radius is a share of the shorter side."""
        self.polygon(self.place(_arc(0, math.tau), x, y, radius), *colours, alpha=alpha)

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


def _arc(begin: float, end: float, squash: float = 1.0, radius: float = 1.0) -> list[Point]:
    turns = [begin + (end - begin) * step / 72 for step in range(73)]
    return [(radius * math.cos(turn), radius * squash * math.sin(turn)) for turn in turns]


@functools.cache
def _falloff() -> Image.Image:
    # Not Image.radial_gradient, whose reach differs between Pillow's versions.
    distances = (math.hypot(x - 63.5, y - 63.5) / 63.5 for y in range(128) for x in range(128))
    return Image.frombytes("L", (128, 128), bytes(round(255 * max(1 - far, 0) ** 2) for far in distances))


def _gradient(size: tuple[int, int], colours: Sequence[Colour]) -> Image.Image:
    if len(colours) == 1:
        return Image.new("RGB", size, colours[0])
    column = Image.new("RGB", (1, len(colours)))
    for row, colour in enumerate(colours):
        column.putpixel((0, row), colour)
    box = (0.0, 0.5, 1.0, len(colours) - 0.5)
    return column.resize((1, size[1]), Image.Resampling.BILINEAR, box=box).resize(size)


def _hex(text: str) -> Colour:
    return int(text[:2], 16), int(text[2:4], 16), int(text[4:], 16)


def _jagged(chance: random.Random, rough: float) -> list[float]:
    line = [chance.uniform(-1, 1), chance.uniform(-1, 1)]
    spread = 1.0
    while len(line) < 257:  # noqa: PLR2004 - 2 to the 8th, plus 1: finer than a pixel's worth of slope
        between = [(a + b) / 2 + chance.uniform(-spread, spread) for a, b in itertools.pairwise(line)]
        line = [value for pair in zip(line, between, strict=False) for value in pair] + [line[-1]]
        spread *= rough
    return line


def _wavy(chance: random.Random, waves: Sequence[float]) -> Callable[[float], float]:
    parts = [
        (wave * chance.uniform(0.8, 1.2), chance.uniform(0, math.tau), 1 / (n + 1)) for n, wave in enumerate(waves)
    ]
    total = sum(weight for _, _, weight in parts)
    return lambda x: sum(math.sin(x * wave * math.tau + turn) * weight for wave, turn, weight in parts) / total


def _curve(chance: random.Random, level: float, swing: float, waves: Sequence[float]) -> list[float]:
    wavy = _wavy(chance, waves)
    return [level + swing * wavy(step / 160) for step in range(161)]


def _mountains(canvas: Canvas) -> None:
    chance = canvas.chance
    canvas.sun(0.42)
    count, steep = 5, chance.uniform(0.7, 1.7)
    for layer in range(count):
        share = layer / (count - 1)
        level, swing = 0.5 + 0.36 * share, 0.13 - 0.06 * share
        colour = mix(mix(canvas.far, canvas.sky[2], 0.45), canvas.near, share**0.9)
        line = [level + swing * value * 0.6 * steep for value in _jagged(chance, 0.5)]
        canvas.land(line, colour, mix(colour, canvas.sky[2], 0.38 * (1 - share)))


def _sea(canvas: Canvas) -> None:
    chance, horizon = canvas.chance, canvas.chance.uniform(0.5, 0.6)
    x, _ = canvas.sun(horizon - 0.06)
    deep = mix(canvas.far, canvas.near, 0.35)
    canvas.land([horizon, horizon], mix(canvas.sky[2], deep, 0.35), deep, canvas.near)
    for step in range(26):
        y = horizon + 0.008 + 0.36 * (step / 26) ** 1.4
        half = (0.05 + 0.12 * step / 26) * chance.uniform(0.4, 1.0)
        middle, thick = x + chance.uniform(-0.03, 0.03), 0.003 + 0.004 * step / 26
        spark = [(middle - half, y), (middle, y - thick), (middle + half, y), (middle, y + thick)]
        canvas.polygon(spark, canvas.light, alpha=0.75 - 0.5 * step / 26)
    for layer in range(4):
        share = layer / 3
        colour = mix(mix(deep, canvas.sky[1], 0.25), canvas.near, 0.25 + 0.75 * share)
        line = _curve(chance, horizon + 0.14 + 0.27 * share, 0.012 + 0.022 * share, (2.2, 4.1, 6.7))
        canvas.land(line, mix(colour, canvas.sky[1], 0.18), colour)
        canvas.band(line, -0.0025, 0.0025, mix(colour, canvas.light, 0.5), alpha=0.45)


def _dunes(canvas: Canvas) -> None:
    chance = canvas.chance
    canvas.sun(0.34)
    warm = mix(canvas.accent, (240, 178, 104), 0.6)
    for layer in range(4):
        share = layer / 3
        wavy, ridge = _wavy(chance, (0.7, 1.5)), 0.52 + 0.26 * share
        line = [ridge + 0.1 * wavy(step / 160) for step in range(161)]
        bright = mix(mix(warm, canvas.sky[2], 0.5 - 0.4 * share), canvas.near, 0.3 * share)
        canvas.land(line, bright, mix(bright, canvas.near, 0.45))
        edge = [
            y + 0.02 + 0.22 * (0.5 + 0.5 * math.sin(step / 160 * math.tau * 0.8 + layer)) for step, y in enumerate(line)
        ]
        canvas.land(edge, mix(bright, canvas.near, 0.35), mix(bright, canvas.near, 0.7), alpha=0.55)


def _night(canvas: Canvas) -> None:
    chance = canvas.chance
    dark = mix(canvas.near, INK, 0.55)
    canvas.image = _gradient(canvas.size, [mix(dark, INK, 0.3), mix(canvas.sky[0], dark, 0.5), canvas.far])
    canvas.stars(0.7)
    veil = Canvas(canvas.size, chance, [INK] * 7)
    veil.image = Image.new("RGB", canvas.size)
    for colour in (canvas.accent, *chance.sample(_AURORA, 2)):
        line = _curve(chance, chance.uniform(0.3, 0.5), 0.1, (0.8, 1.7, 3.1))
        veil.band(line, -0.3, 0.0, (0, 0, 0), mix(colour, (0, 0, 0), 0.45), colour)
    small = veil.image.resize((max(canvas.size[0] // 8, 1), max(canvas.size[1] // 8, 1)))
    soft = small.filter(ImageFilter.GaussianBlur(5)).resize(canvas.size, Image.Resampling.BICUBIC)
    canvas.image = ImageChops.screen(canvas.image, soft)
    for layer, level in enumerate((0.7, 0.78, 0.88)):
        colour = mix(mix(canvas.far, dark, 0.55), INK, 0.15 + layer * 0.35)
        line = _curve(chance, level, 0.05, (0.9, 2.1))
        canvas.land(line, colour, mix(colour, INK, 0.4))
        for _ in range(0 if layer == 0 else 34):
            step = chance.randrange(161)
            _pine(canvas, step / 160, line[step] + 0.01, chance.uniform(0.04, 0.075) * (1 + layer * 0.4), colour)


def _pine(canvas: Canvas, x: float, foot: float, tall: float, colour: Colour) -> None:
    wide = tall * 0.26 * canvas.size[1] / canvas.size[0]
    for tier in range(3):
        top, half = foot - tall + tall * 0.26 * tier, wide * (0.5 + 0.25 * tier)
        canvas.polygon([(x, top), (x + half, top + tall * 0.42), (x - half, top + tall * 0.42)], colour)


def _planet(canvas: Canvas) -> None:
    chance = canvas.chance
    dark = mix(canvas.near, INK, 0.6)
    canvas.image = _gradient(canvas.size, [INK, dark, mix(canvas.sky[0], dark, 0.4)])
    for _ in range(4):
        canvas.glow(chance.random(), chance.random(), chance.uniform(0.4, 0.8), chance.choice(canvas.sky[:2]), 0.35)
    canvas.stars(1.0)
    x, y, radius = chance.uniform(0.36, 0.64), chance.uniform(0.4, 0.55), chance.uniform(0.2, 0.28)
    canvas.glow(x, y, radius * 2, canvas.sky[1], 0.6)
    tilt, squash = chance.uniform(-0.5, 0.5), chance.uniform(0.2, 0.34)
    _rings(canvas, (x, y, radius), tilt, squash, math.pi)
    canvas.disc(x, y, radius, canvas.light, canvas.sky[2], canvas.accent, canvas.sky[1])
    _rings(canvas, (x, y, radius), tilt, squash, 0.0)
    moon = x + chance.choice((-1, 1)) * 0.3
    canvas.disc(moon, y - 0.26, radius * 0.2, canvas.light, mix(canvas.sky[1], dark, 0.4))


def _rings(canvas: Canvas, globe: tuple[float, float, float], tilt: float, squash: float, begin: float) -> None:
    for ring, thick in enumerate((0.13, 0.05, 0.14, 0.08)):
        inner = 1.32 + 0.16 * ring
        edge = _arc(begin, begin + math.pi, squash, inner)
        rim = _arc(begin + math.pi, begin, squash, inner + thick)
        colour = mix(canvas.light, canvas.accent, ring / 5)
        canvas.polygon(canvas.place([*edge, *rim], *globe, tilt), colour, alpha=0.9 - 0.12 * ring)


def _ribbons(canvas: Canvas) -> None:
    chance = canvas.chance
    colours = [canvas.sky[1], canvas.accent, canvas.sky[2], canvas.light, canvas.far, canvas.sky[0]]
    canvas.glow(chance.random(), 0.2, 0.9, canvas.light, 0.6)
    main = _wavy(chance, (0.8, 1.7))
    for layer in range(9):
        drift, level = _wavy(chance, (0.6, 1.3)), 0.12 + 0.1 * layer
        line = [level + 0.12 * main(step / 160 + layer * 0.05) + 0.04 * drift(step / 160) for step in range(161)]
        first, second = colours[layer % 6], colours[(layer + 1) % 6]
        canvas.band(line, -0.012, 0.004, mix(first, INK, 0.55), alpha=0.16)
        canvas.band(line, 0.0, 0.34, mix(first, WHITE, 0.12), mix(first, second, 0.6), second)


def _paper(canvas: Canvas) -> None:
    chance = canvas.chance
    x, y = chance.uniform(0.35, 0.65), chance.uniform(0.35, 0.6)
    petals, depth = chance.choice((3, 5, 6, 8, 11)), chance.uniform(0.04, 0.11)
    stops = [
        canvas.near,
        canvas.far,
        canvas.accent,
        canvas.accent,
        mix(canvas.accent, canvas.light, 0.6),
        canvas.light,
    ]
    for layer in range(7):
        size, turned = 0.76 - 0.105 * layer, chance.uniform(0, math.tau)
        place = layer / 6 * (len(stops) - 1.001)
        colour = mix(stops[int(place)], stops[int(place) + 1], place % 1)
        flower = []
        for step in range(180):
            turn = math.tau * step / 180
            reach = 1 + depth * math.sin(petals * turn + turned) + depth / 2 * math.sin(2 * turn - turned)
            flower.append((reach * math.cos(turn), reach * math.sin(turn)))
        canvas.polygon(canvas.place(flower, x, y + 0.012, size), INK, alpha=0.22)
        canvas.polygon(canvas.place(flower, x, y, size), mix(colour, WHITE, 0.1), colour)


def _city(canvas: Canvas) -> None:
    chance = canvas.chance
    canvas.sun(0.45)
    lit = chance.uniform(0.25, 0.5)
    for layer in range(3):
        share, x = layer / 2, -0.02
        colour = mix(mix(canvas.far, canvas.sky[2], 0.4), canvas.near, share)
        while x < 1:
            wide = chance.uniform(0.035, 0.085) * canvas.unit / canvas.size[0] * (1 + share * 0.5)
            top = 0.42 + 0.17 * layer + chance.uniform(-0.1, 0.13)
            canvas.polygon(_box(x, top, wide, 1 - top), colour, mix(colour, canvas.sky[2], 0.4 - 0.4 * share))
            rows = round((1 - top) * 26) if layer else 0
            for row, column in itertools.product(range(rows), range(3)):
                if chance.random() < lit:
                    left, up = x + wide * (0.16 + 0.26 * column), top + 0.022 + row * 0.036
                    canvas.polygon(_box(left, up, wide * 0.14, 0.014), canvas.light, alpha=0.85)
            x += wide + chance.choice((0.0, 0.004, 0.012))


def _box(left: float, top: float, wide: float, tall: float) -> list[Point]:
    return [(left, top), (left + wide, top), (left + wide, top + tall), (left, top + tall)]


_SCENES: dict[str, Callable[[Canvas], None]] = {
    "mountain hill valley alps forest lake landscape kite balloon castle": _mountains,
    "sea ocean beach boat ship island wave harbour harbor coast whale lighthouse fish": _sea,
    "desert dune dunes sand camel sahara canyon pyramid mars": _dunes,
    "night aurora stars winter snow northern wolf owl moon moonlight fir": _night,
    "planet space galaxy saturn astronaut rocket cosmos orbit": _planet,
    "abstract silk ribbon flow liquid fabric smoke gradient": _ribbons,
    "paper logo pattern flower rose shell origami poster": _paper,
    "city skyline street tokyo london town building neon cyberpunk tower": _city,
}


def _kite(canvas: Canvas) -> None:
    x, y = canvas.chance.uniform(0.3, 0.7), canvas.chance.uniform(0.2, 0.32)
    lean, red = canvas.chance.choice((-1, 1)) * 0.45, canvas.accent
    tail = [(0.22 * math.sin(step / 5) * min(step / 8, 1), 1.3 + step * 0.055) for step in range(31)]
    sway = canvas.place(tail, x, y, 0.15, lean)
    canvas.stroke(sway, 0.004, WHITE)
    for step in (7, 15, 23, 29):
        bow = [(-1.0, -0.6), (-1.0, 0.6), (1.0, -0.6), (1.0, 0.6)]
        canvas.polygon(canvas.place(bow, *sway[step], 0.018), red)
    middle, top, foot, left, right = (0.0, -0.15), (0.0, -1.0), (0.0, 1.3), (-0.72, -0.15), (0.72, -0.15)
    panels = [
        ((top, left), mix(red, WHITE, 0.22)),
        ((top, right), red),
        ((foot, left), red),
        ((foot, right), mix(red, INK, 0.25)),
    ]
    for edge, colour in panels:
        canvas.polygon(canvas.place([*edge, middle], x, y, 0.15, lean), colour)


def _balloon(canvas: Canvas) -> None:
    spot = canvas.chance.uniform(0.3, 0.7), canvas.chance.uniform(0.24, 0.36), 0.13
    pale = mix(canvas.accent, WHITE, 0.55)
    for half, colour in ((1.0, canvas.accent), (0.72, pale), (0.36, canvas.accent)):
        skin = [(across * half, down) for across, down in _arc(math.pi, math.tau)]
        skin += [(0.3 * half, 1.15), (-0.3 * half, 1.15)]
        canvas.polygon(canvas.place(skin, *spot), mix(colour, WHITE, 0.15), mix(colour, INK, 0.12))
    for side in (-0.2, 0.2):
        canvas.stroke(canvas.place([(side * 1.3, 1.15), (side, 1.5)], *spot), 0.003, INK)
    basket = [(-0.22, 1.5), (0.22, 1.5), (0.17, 1.76), (-0.17, 1.76)]
    canvas.polygon(canvas.place(basket, *spot), mix(canvas.near, canvas.accent, 0.3))


def _boat(canvas: Canvas) -> None:
    spot = canvas.chance.uniform(0.25, 0.75), 0.69, 0.14
    jib, mainsail = (
        [(-0.06, -1.5), (-0.06, -0.12), (-0.75, -0.12)],
        [(0.02, -1.7), (0.02, -0.12), (0.85, -0.12)],
    )
    canvas.polygon(canvas.place(jib, *spot), WHITE, canvas.light)
    canvas.polygon(canvas.place(mainsail, *spot), canvas.accent)
    canvas.polygon(canvas.place([(-0.9, 0), (0.95, 0), (0.6, 0.3), (-0.6, 0.3)], *spot), canvas.near)


def _birds(canvas: Canvas) -> None:
    chance = canvas.chance
    x, y = chance.uniform(0.25, 0.6), chance.uniform(0.16, 0.3)
    wing = [(0.0, 0.0), (0.55, -0.55), (1.15, -0.3), (0.5, -0.32), (0.0, 0.14)]
    for _ in range(7):
        spot = x + chance.uniform(-0.12, 0.2), y + chance.uniform(-0.08, 0.1), chance.uniform(0.018, 0.034)
        for side in (-1, 1):
            canvas.polygon(canvas.place([(side * a, d) for a, d in wing], *spot), canvas.near)


_MOTIFS: dict[str, Callable[[Canvas], None]] = {
    "kite kites": _kite,
    "balloon balloons": _balloon,
    "boat boats ship sail sailing sailboat yacht": _boat,
    "bird birds seagull seagulls swallow swallows geese": _birds,
}


def _label(canvas: Canvas, prompt: str) -> None:
    width, height = canvas.size
    small = max(min(round(max(canvas.size) * 0.021), height // 6), 10)
    font = ImageFont.load_default(small)
    shade = Image.linear_gradient("L").point([round(v * 0.5) for v in range(256)])
    tall = min(small * 4, height)
    canvas.image.paste(INK, (0, height - tall), shade.resize((width, tall)))
    draw = ImageDraw.Draw(canvas.image, "RGBA")
    margin = small * 0.8
    words = re.sub(r"\s+", " ", "".join(c if c.isascii() and c.isprintable() else " " for c in prompt)).strip()
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


def _pick(table: dict[str, Callable[[Canvas], None]], words: set[str]) -> Callable[[Canvas], None] | None:
    return next((draw for keys, draw in table.items() if words & set(keys.split())), None)


def render(prompt: str, *, seed: str, index: int, size: tuple[int, int], file_format: str = "png") -> bytes:
    """Draw one picture.

    Args:
        prompt: Chooses palette, and by its words scene, colour and motif.
        seed: Chooses the composition.
        index: Number of the picture within its task, from 0.
        size: Width and height in pixels.
        file_format: ``png``, ``jpg`` or ``webp``.

    Returns:
        The encoded file.
    """
    digest = hashlib.sha256(f"{prompt}\n{seed}\n{index}".encode()).digest()
    chance = random.Random(digest)  # noqa: S311 - a picture, not a secret
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    mood = hashlib.sha256(prompt.encode()).digest()[0] + chance.choice((0, 0, 5))
    palette = [_hex(colour) for colour in _PALETTES[mood % len(_PALETTES)].split()]
    palette[6] = next((_hex(_COLOURS[word]) for word in _COLOURS if word in words), palette[6])
    canvas = Canvas(size, chance, palette)
    (_pick(_SCENES, words) or chance.choice(list(_SCENES.values())))(canvas)
    if motif := _pick(_MOTIFS, words):
        motif(canvas)
    _label(canvas, prompt)
    out = io.BytesIO()
    canvas.image.save(out, FORMATS[file_format], **({"compress_level": 4} if file_format == "png" else {"quality": 88}))
    return out.getvalue()
