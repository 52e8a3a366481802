"""The sandbox's films and sounds: a slow camera over a drawn landscape, and a quiet chord.

Films need PyAV; without it the rest of the sandbox works as before.
"""

from __future__ import annotations

import array
import io
import math
import random
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from .canvas import INK
from .render import encode, label, paint, watermark

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 320
_WIDER, _TALLER = 1.34, 1.1
_QUICK_SECONDS, _LONG_SECONDS = 8.0, 15.0
_CHORDS = ((220.0, 277.18, 329.63), (196.0, 246.94, 293.66), (174.61, 220.0, 261.63), (164.81, 196.0, 246.94))
_LOUDNESS = 4200


@dataclass(frozen=True, slots=True)
class Shot:
    """What a film shows.

    Attributes:
        prompt: Chooses the landscape, with ``seed`` and ``index``.
        shape: Width and height of the picture asked for; the film keeps their ratio.
        seconds: Its length.
        begins: Where on the camera's way it begins, in seconds: an extension goes on where its film ended.
        side: The longer side in pixels.
        mark: Watermark text.
    """

    prompt: str
    seed: str
    index: int
    shape: tuple[int, int]
    seconds: float
    begins: float = 0.0
    side: int = SIDE
    mark: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; even, as H.264 wants them."""
        longest = max(self.shape)
        width, height = (max(round(self.side * edge / longest / 2) * 2, 16) for edge in self.shape)
        return width, height

    @property
    def rate(self) -> int:
        """Frames per second: fewer for a long film, which would take too long to draw."""
        return 12 if self.seconds <= _QUICK_SECONDS else 10 if self.seconds <= _LONG_SECONDS else 8


def film(shot: Shot, suffix: str = "mp4") -> bytes:
    """Make a film.

    Args:
        shot: What it shows.
        suffix: ``mp4`` or ``mov``.
    """
    # Imported at the first film: PyAV is large, and optional.
    import av  # noqa: PLC0415

    out = io.BytesIO()
    with av.open(out, "w", format=suffix) as container:
        stream: Any = container.add_stream("libx264", rate=shot.rate, options={"preset": "superfast", "crf": "27"})
        stream.width, stream.height = shot.size
        stream.pix_fmt = "yuv420p"
        # One thread gives the same bytes on every machine.
        stream.thread_count = 1
        count = max(round(shot.seconds * shot.rate), 2)
        for image in frames(shot, [step / shot.rate for step in range(count)]):
            frame: Any = av.VideoFrame
            container.mux(stream.encode(frame.from_image(image)))
        container.mux(stream.encode())
    return out.getvalue()


def still(shot: Shot, share: float) -> bytes:
    """Return one frame of a film as a PNG; ``share`` 0 is the first, 1 the last."""
    last = (max(round(shot.seconds * shot.rate), 2) - 1) / shot.rate
    [image] = frames(shot, [last * share])
    return encode(image, "png")


def frames(shot: Shot, moments: list[float]) -> Iterator[Image.Image]:
    """Draw the frames of a film at some moments (seconds from its beginning)."""
    width, height = shot.size
    wide, tall = round(width * _WIDER), round(height * _TALLER)
    world = paint(shot.prompt, seed=shot.seed, index=shot.index, size=(wide, tall)).image
    caption = Image.new("RGBA", shot.size)
    label(caption, shot.prompt)
    if shot.mark:
        watermark(caption, shot.mark)
    chance = random.Random(f"{shot.seed}{shot.index}")  # noqa: S311 - birds, not a secret
    flock = [(chance.uniform(-0.13, 0.13), chance.uniform(-0.08, 0.08), chance.random()) for _ in range(6)]
    height_of_flight, eastward = chance.uniform(0.16, 0.34), chance.choice((True, False))
    pace = max(shot.seconds, 4.0)
    for moment in moments:
        at = (shot.begins + moment) / pace
        # There and back without a jolt, however long the film goes on.
        swing = 0.5 - 0.5 * math.cos(math.pi * at)
        shift = swing if eastward else 1 - swing
        zoom = 1 - 0.06 * swing
        across, down = width * zoom, height * zoom
        left, top = (wide - across) * shift, (tall - down) * (0.8 - 0.5 * swing)
        image = world.resize(shot.size, Image.Resampling.BILINEAR, box=(left, top, left + across, top + down))
        _birds(image, flock, (at * 0.7 + 0.2, height_of_flight), moment, eastward=eastward)
        image.paste(caption, (0, 0), caption)
        # How much of the film has passed, as a line along its lower edge.
        passed = round(width * moment / shot.seconds)
        ImageDraw.Draw(image).rectangle((0, height - 2, passed, height), fill=(255, 255, 255))
        yield image


def _birds(
    image: Image.Image,
    flock: list[tuple[float, float, float]],
    middle: tuple[float, float],
    moment: float,
    *,
    eastward: bool,
) -> None:
    width, height = image.size
    unit = min(width, height)
    # Twice as large and halved, since Pillow's lines have hard edges.
    sky = Image.new("L", (width * 2, height))
    draw = ImageDraw.Draw(sky)
    for aside, above, turn in flock:
        x = (middle[0] + aside) % 1.2 - 0.1
        x = width * 2 * (x if eastward else 1 - x)
        y = 2 * (height * (middle[1] + above) + 0.012 * unit * math.sin(2.1 * moment + 6 * turn))
        wing, lift = 0.034 * unit, 0.03 * unit * math.sin(9 * moment + 6 * turn)
        for side in (-1, 1):
            bend = (x + side * wing, y - lift * 0.9 - 0.014 * unit)
            draw.line(
                [(x, y), bend, (x + side * wing * 1.9, y - lift)], fill=230, width=max(unit // 75, 2), joint="curve"
            )
    small = sky.resize((width, height // 2), Image.Resampling.BOX)
    image.paste(INK, (0, 0, width, height // 2), small)


def sound(seed: str, index: int, seconds: float, rate: int = 16_000) -> bytes:
    """Make a quiet chord as a WAV file (mono, 16 bit)."""
    chance = random.Random(f"{seed}/{index}")  # noqa: S311 - a chord, not a secret
    chord = chance.choice(_CHORDS)
    count = max(int(seconds * rate), 1)
    turns = [math.tau * note / rate for note in chord]
    samples = array.array("h", bytes(2 * count))
    edge = max(min(rate // 4, count // 2), 1)
    for step in range(count):
        swell = min(step, count - step, edge) / edge * (0.75 + 0.25 * math.sin(math.tau * 0.4 * step / rate))
        tone = math.sin(turns[0] * step) + 0.7 * math.sin(turns[1] * step) + 0.6 * math.sin(turns[2] * step)
        samples[step] = int(_LOUDNESS * swell * tone)
    if array.array("H", b"\x01\x00")[0] != 1:  # a big-endian machine; WAV is little-endian
        samples.byteswap()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()
