"""Several numbers in one text: ``1-10``, ``1-10 (+3)``, ``1-10 [5]``, ``0.5, 1-2 (+0.5)``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from kiegen_nb.batch.fields import Wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_PART = re.compile(
    rf"\s*(?P<first>{_NUMBER})\s*"
    rf"(?:-\s*(?P<last>{_NUMBER})\s*(?:\(\s*(?P<step>{_NUMBER})\s*\)|\[\s*(?P<count>\d+)\s*\])?\s*)?",
)
_LONGEST = 400  # characters of one number; Python refuses to read much longer ones


def numbers_in(text: str, *, is_whole: bool, most: int) -> tuple[int | float, ...] | None:
    """Return the numbers a text stands for, in order; both ends of a range belong to it. None if it is no such text.

    Args:
        text: numbers and ranges with commas between: ``1-10`` goes in steps of 1, ``1-10 (+3)`` in steps of 3, and
            ``1-10 [5]`` is five numbers at equal distances.
        is_whole: whether the numbers between two ends are cut to whole ones.
        most: how many there may be at most.

    Raises:
        Wrong: the numbers never end, or there are too many.

    Example:
        >>> numbers_in("0.5, 1-2 (+0.5)", is_whole=False, most=10)
        (0.5, 1, 1.5, 2)
    """
    found: list[int | float] = []
    for part in text.split(","):
        match = _PART.fullmatch(part) if len(part) <= _LONGEST else None
        if match is None:
            return None
        for number in _numbers(match, is_whole=is_whole):
            found.append(_short(number))
            if len(found) > most:
                raise Wrong(f"has more than {most:,} values.")
    return tuple(found)


def _numbers(match: re.Match[str], *, is_whole: bool) -> Iterator[Decimal]:
    first = Decimal(match["first"])
    if match["last"] is None:
        yield first
        return
    last = Decimal(match["last"])
    if match["count"] is not None:
        yield from _spread(first, last, int(match["count"]), is_whole=is_whole)
        return
    step = Decimal(match["step"]) if match["step"] else Decimal(1 if first <= last else -1)
    if not step or (last != first and (step > 0) != (last > first)):
        raise Wrong(f"never gets from {first} to {last} in steps of {step:+}.")
    number = first
    while number <= last if step > 0 else number >= last:
        yield number
        number += step


def _spread(first: Decimal, last: Decimal, count: int, *, is_whole: bool) -> Iterator[Decimal]:
    if count < 1:
        raise Wrong("asks for no values at all; [1] is the fewest.")
    for place in range(count):
        number = first if count == 1 else first + (last - first) * place / (count - 1)
        yield Decimal(int(number)) if is_whole else number


def _short(number: Decimal) -> int | float:
    whole = int(number)
    return whole if whole == number else float(number)
