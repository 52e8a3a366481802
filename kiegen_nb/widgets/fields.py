"""What a form has to know of a field, read from pydantic's ``model_fields``.

The models, not their JSON schema: enum members, defaults and unions stay what they are.
"""

from __future__ import annotations

import enum
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from kiegen_nb.kie.models.base import KieParams


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request.

    Attributes:
        name: its flat name, as ``KieParams.build`` takes it.
        title: what people read.
        help: one sentence about it, may be empty.
        kinds: its types without None, annotations stripped (several: a union).
        choices: the values of a ``Literal`` or an enum, empty otherwise.
        optional: None is allowed and means "not given".
        default: the value of an untouched field, None if there is none.
        low: the lowest number allowed, None if unbounded.
        high: the highest number allowed, None if unbounded.
        limit: the most characters, or entries of a list, allowed; None if unbounded.
        hints: ``json_schema_extra``, such as ``{"control": "textarea", "advanced": True, "when": {"mode": ["pro"]}}``.
    """

    name: str
    title: str
    help: str = ""
    kinds: tuple[Any, ...] = (str,)
    choices: tuple[Any, ...] = ()
    optional: bool = False
    default: Any = None
    low: float | None = None
    high: float | None = None
    limit: int | None = None
    hints: dict[str, Any] = field(default_factory=dict)

    @property
    def advanced(self) -> bool:
        """Whether it is folded away under "More"."""
        return bool(self.hints.get("advanced", False))

    @property
    def when(self) -> dict[str, list[Any]]:
        """Other fields and the values they must have for this one to be asked for; None stands for "not set"."""
        found = self.hints.get("when", {})
        return {str(name): list(values) for name, values in found.items()} if isinstance(found, dict) else {}

    @property
    def is_list(self) -> bool:
        """Whether it is a list, and nothing else is accepted."""
        return len(self.kinds) == 1 and get_origin(self.kinds[0]) in (list, tuple, set)

    @property
    def most(self) -> int | None:
        """The most entries of a list, None if unbounded."""
        most = self.hints.get("max_items", self.limit)
        return most if isinstance(most, int) else None

    @property
    def bounded(self) -> bool:
        """Whether it is a number between two bounds."""
        return self.is_number and self.low is not None and self.high is not None

    @property
    def is_number(self) -> bool:
        """Whether it is one number, and nothing else is accepted."""
        return self.kinds in ((int,), (float,))


_CONSTANT = ("service", "model", "input")


def read_fields(params: type[KieParams]) -> list[Field]:
    """Return the fields of a family's form in order: what stands beside its input and is a choice, then its input."""
    beside = [_read(name, info) for name, info in params.model_fields.items() if name not in _CONSTANT]
    # A slug is asked for where there is a choice, or none is listed.
    found = [f for f in beside if len(f.choices) > 1 or (f.name == "api_model" and not f.choices)]
    return found + [_read(name, info) for name, info in params.input_model().model_fields.items()]


def _read(name: str, info: FieldInfo) -> Field:
    kinds, choices, optional = _kinds(info.annotation)
    limits = _limits(info)
    default = info.get_default(call_default_factory=False)
    if info.default_factory is not None:
        default = info.default_factory()  # type: ignore[call-arg] # a factory that wants the data has no default
    extra = info.json_schema_extra
    return Field(
        name=name,
        title=info.title or name.replace("_", " ").capitalize(),
        help=info.description or "",
        kinds=kinds,
        choices=choices,
        optional=optional,
        default=None if default is PydanticUndefined else default,
        low=limits.get("ge", limits.get("gt")),
        high=limits.get("le", limits.get("lt")),
        limit=limits.get("max_length"),
        hints=dict(extra) if isinstance(extra, dict) else {},
    )


def _kinds(annotation: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], bool]:
    """Return the types without None, the choices if all are choices, and whether None is allowed."""
    parts = _members(annotation)
    optional = types.NoneType in parts or None in parts
    parts = [part for part in parts if part not in (types.NoneType, None)]
    choices: list[Any] = []
    for part in parts:
        if get_origin(part) is Literal:
            choices += [value for value in get_args(part) if value is not None]
            optional = optional or None in get_args(part)
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            choices += list(part)
        else:
            choices = []
            break
    return tuple(parts), tuple(choices), optional


def _members(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _members(part)]
    return [annotation]


def _limits(info: FieldInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    inner = [mark for part in get_args(info.annotation) for mark in getattr(part, "__metadata__", ())]
    for mark in (*info.metadata, *inner):
        # A Field() inside Optional[Annotated[...]] carries its own list of marks.
        for one in (mark, *getattr(mark, "metadata", ())):
            for name in ("ge", "gt", "le", "lt", "max_length"):
                value = getattr(one, name, None)
                if value is not None:
                    found[name] = value
    return found
