"""From what people wrote to the groups a plan is the product of: rows, axes, and repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kiegen_nb.batch.axes import Axis, check_files, change, label, read_axis
from kiegen_nb.batch.building import MOST_SHOWN, REPEAT, WHAT, Choice, Problems
from kiegen_nb.batch.fields import Fields, Spot, Wrong
from kiegen_nb.batch.rows import read_cell, read_rows
from kiegen_nb.errors import InvalidParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kiegen_nb.batch.axes import Values
    from kiegen_nb.batch.rows import Row
    from kiegen_nb.kie.models.base import KieParams
