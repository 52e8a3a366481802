"""What the sandbox's pictures show: eight landscapes, and motifs for words such as "kite" or "boat"."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageFilter

from .canvas import INK, WHITE, Canvas, Colour, Point, arc, gradient, mix

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

_AURORA: tuple[Colour, ...] = ((72, 229, 170), (95, 120, 250), (186, 88, 235), (60, 200, 220))


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
    canvas.image = gradient(canvas.size, [mix(dark, INK, 0.3), mix(canvas.sky[0], dark, 0.5), canvas.far])
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
    canvas.image = gradient(canvas.size, [INK, dark, mix(canvas.sky[0], dark, 0.4)])
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
        edge = arc(begin, begin + math.pi, squash, inner)
        rim = arc(begin + math.pi, begin, squash, inner + thick)
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


SCENES: dict[str, Callable[[Canvas], None]] = {
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
        skin = [(across * half, down) for across, down in arc(math.pi, math.tau)]
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


MOTIFS: dict[str, Callable[[Canvas], None]] = {
    "kite kites": _kite,
    "balloon balloons": _balloon,
    "boat boats ship sail sailing sailboat yacht": _boat,
    "bird birds seagull seagulls swallow swallows geese": _birds,
}
