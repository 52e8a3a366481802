"""What every model family shares: the JSON form, the wire form, the identity, and plain-language messages."""

from __future__ import annotations

import difflib
import hashlib
import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from kiegen_nb.errors import InvalidParams
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic_core import ErrorDetails

IMAGE_TIME_LIMIT = 1800.0  # seconds of answered "running"; a picture that takes longer is worth a word
VIDEO_TIME_LIMIT = 3600.0


class KieInput(BaseModel):
    """The ``input`` object of a request; a family's fields and their rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class KieParams(BaseModel):
    """A request to one of Kie's model families, in the JSON form ``{service, model, apiModel, input}``.

    Attributes:
        service: always ``"KIE"``.
        model: the family, a constant of the subclass.
        api_model: the service's slug (``apiModel`` in JSON).
        input: the family's fields.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    python_name: ClassVar[str]
    """The function people call, such as ``imagen4``."""
    title: ClassVar[str]
    """What a form calls the family."""
    asset_kind: ClassVar[AssetKind] = AssetKind.IMAGE
    time_limit: ClassVar[float] = IMAGE_TIME_LIMIT

    service: str = "KIE"
    model: str
    api_model: str
    input: KieInput

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """Make parameters from flat fields: ``api_model`` and the names of ``input``.

        Fields that are None count as not given.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        slug = given.pop("api_model", None)
        data: dict[str, Any] = {"input": given} | ({"api_model": slug} if slug is not None else {})
        return cls.read(data)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Make parameters from their JSON form; missing constants are filled in.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise InvalidParams(explain(error, cls.field_names()), what=f"{cls.title} parameters") from None

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the flat names ``build`` understands."""
        return ["api_model", *cls.input_model().model_fields]

    @classmethod
    def input_model(cls) -> type[KieInput]:
        """Return the model class of ``input``."""
        annotation = cls.model_fields["input"].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, KieInput)):
            raise TypeError(f"{cls.__name__}.input must be annotated with a KieInput subclass")
        return annotation

    def flat(self) -> dict[str, Any]:
        """Return ``api_model`` and the input fields that are set, the opposite of `build`."""
        return {"api_model": self.api_model, **self.wire_input()}

    def wire_input(self) -> dict[str, Any]:
        """Return the ``input`` object as it is sent: defaults filled in, nothing that is None."""
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True)["input"]
        return {name: value for name, value in data.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        data = self.model_dump(mode="json", by_alias=True, exclude={"input"})
        return data | {"input": self.wire_input()}

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call."""
        return {"model": self.api_model, "input": self.wire_input()}

    def identity(self) -> str:
        """Return the hex sha256 of the canonical wire input; callbacks are no part of it."""
        body = {name: value for name, value in self.wire().items() if name not in CALLBACK_FIELDS}
        text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_python(self) -> str:
        """Return the call that makes these parameters again, leaving out what is default anyway."""
        fields = self.flat()
        prompt = [repr(fields.pop("prompt"))] if "prompt" in fields else []
        shown = {name: value for name, value in fields.items() if value != self._default(name)}
        keywords = [f"{name}={value!r}" for name, value in shown.items()]
        return f"{self.python_name}({', '.join(prompt + keywords)})"

    def _default(self, name: str) -> object:
        owner = type(self) if name == "api_model" else self.input_model()
        return owner.model_fields[name].get_default(call_default_factory=False)


CALLBACK_FIELDS = frozenset({"callBackUrl", "progressCallBackUrl"})


_RULE = "kiegen_rule"


def broken_rule(field: str, sentence: str) -> PydanticCustomError:
    """Return the error of a rule between fields, to be raised in a validator; it names the field to change."""
    return PydanticCustomError(_RULE, "{sentence}", {"field": field, "sentence": sentence})


def explain(error: ValidationError, known: Iterable[str] = ()) -> dict[str, str]:
    """Turn pydantic's findings into one plain sentence per field, in order."""
    names = list(known)
    sentences: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        whole = [str(part) for part in problem["loc"]]
        path = whole[1:] if whole[:1] == ["input"] and len(whole) > 1 else whole
        if problem["type"] == _RULE:
            path = [problem["ctx"]["field"]]
        name = "api_model" if path[:1] == ["apiModel"] else (path[0] if path else "")
        sentences.setdefault(name, _sentence(problem, names))
    return sentences


def _sentence(problem: ErrorDetails, known: list[str]) -> str:
    kind, context, value = problem["type"], problem.get("ctx", {}), problem.get("input")
    match kind:
        case "missing":
            return "is required."
        case "string_too_short":
            return "is empty. Write what you would like to see."
        case "string_too_long":
            limit, length = context["max_length"], len(value) if isinstance(value, str) else 0
            return f"has {length:,} characters; at most {limit:,} are accepted. Shorten it by {length - limit:,}."
        case "literal_error" | "enum":
            return f"{value!r} is not one of the choices: {context['expected']}."
        case "extra_forbidden":
            name = str(problem["loc"][-1])
            close = difflib.get_close_matches(name, known, n=1)
            return "is not a field of this model." + (f" Did you mean {close[0]}?" if close else "")
        case "value_error":
            return str(context["error"])
        case _ if kind == _RULE:
            return str(context["sentence"])
        case "greater_than_equal":
            return f"must be at least {context['ge']}, not {value!r}."
        case "less_than_equal":
            return f"must be at most {context['le']}, not {value!r}."
        case _:
            message = problem["msg"]
            return f"{message[:1].lower()}{message[1:]} (got {value!r})."
