"""Every other model of Kie's market: any slug of the catalogue, checked against what the catalogue says of it."""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, create_model, model_validator

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models.base import IMAGE_TIME_LIMIT, VIDEO_TIME_LIMIT, KieInput, KieParams
from kiegen_nb.kie.models.fields import as_address, broken_rule, broken_rules, python_text
from kiegen_nb.kie.models.market_input import file_rules_of, make_input_model
from kiegen_nb.kie.validation import normalise
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from kiegen_nb.kie.entries import Model
    from kiegen_nb.service import FileRule

_DEEPEST = 20  # lists within lists; deeper is a circle


class KieMarketParams(KieParams):
    """A request to any market model, as ``{"service":"KIE","model":"MARKET","apiModel":slug,"input":{...}}``.

    `params_for` makes a subclass of it for one slug, and whatever is read or built here is of such a subclass: a form
    can be made of ``type(params)``. Equal requests are equal whichever way they were made.

    Attributes:
        input: the fields by their names on the wire, defaults filled in.
        validate_input: whether the catalogue is asked (``validate`` in JSON, written only where it is False).

    Example:
        >>> KieMarketParams.build(api_model="z-image", prompt="a red kite").wire()["input"]
        {'prompt': 'a red kite', 'aspect_ratio': '1:1'}
    """

    python_name: ClassVar[str] = "market"
    prompt_first: ClassVar[bool] = False
    title: ClassVar[str] = "Market model"
    slug: ClassVar[str] = ""
    """The one slug this class is for; empty for the class of all of them."""
    asset_kind: ClassVar[AssetKind] = AssetKind.FILE

    service: Literal["KIE"] = "KIE"
    model: Literal["MARKET"] = "MARKET"
    input: dict[str, Any]  # type: ignore[assignment] # which fields there are is data, not a class
    validate_input: Annotated[bool, Field(alias="validate", strict=True, json_schema_extra={"hidden": True})] = True

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """Make parameters from flat fields: ``api_model``, ``validate`` and the names of ``input``.

        Fields that are None count as not given.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        own = {name: fields.pop(name) for name in ("api_model", "validate", "validate_input") if name in fields}
        return cls.read({"input": fields} | {name: value for name, value in own.items() if value is not None})

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """Make parameters from their JSON form; missing constants are filled in.

        Raises:
            InvalidParams: with one sentence per wrong field.
        """
        slug = data.get("apiModel", data.get("api_model", cls.slug))
        if not isinstance(slug, str) or not slug.strip():
            raise InvalidParams({"api_model": "is required: a slug, such as catalogue.search() shows."}, what=cls.title)
        if cls.slug and slug != cls.slug:
            raise InvalidParams({"api_model": f"must be {cls.slug}, not {slug}."}, what=cls.title)
        if cls.slug:
            return super().read(data)
        made = params_for(slug).read(data)
        if not isinstance(made, cls):
            raise TypeError(f"{type(made).__name__} is no {cls.__name__}")
        return made

    @classmethod
    def input_model(cls) -> type[KieInput]:
        """Return the class a form is made from; it has no fields where the catalogue does not know the slug."""
        return input_model(cls.slug) if cls.slug in catalogue else KieInput

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the flat names ``build`` understands."""
        model = catalogue.get(cls.slug)
        return [*cls.own_fields(), *(model.by_name if model is not None else ())]

    @classmethod
    def slugs(cls) -> tuple[str, ...]:
        """Return the slugs to choose from."""
        return (cls.slug,) if cls.slug else tuple(catalogue)

    @classmethod
    def kind_of(cls, api_model: str) -> AssetKind:
        """Return what a slug makes, ``file`` where the catalogue does not know it."""
        model = catalogue.get(api_model)
        return AssetKind.FILE if model is None else model.asset_kind

    @classmethod
    def file_rules(cls, api_model: str) -> tuple[FileRule, ...] | None:
        """Return which files a slug takes; any if the catalogue does not say."""
        model = catalogue.get(api_model)
        return (file_rules_of(model) or None) if model is not None else None

    def as_python(self, call_of: Callable[[str], str | None] | None = None) -> str:
        """Return the call that makes these parameters again, leaving out what is filled in anyway.

        Args:
            call_of: address -> the call that uploads its file again, None for one that is no upload.
        """
        fields = self.flat()
        for name in [name for name in self.input if self.validate_input]:
            rest = {other: value for other, value in fields.items() if other != name}
            if self._is_made_by(rest):
                fields = rest
        shown = {name: value for name, value in fields.items() if name in self.input}
        odd = {name: value for name, value in shown.items() if not _is_keyword_name(name)}
        parts = [repr(self.api_model), *(() if self.validate_input else ("validate=False",))]
        parts += [f"{name}={python_text(value, call_of)}" for name, value in shown.items() if name not in odd]
        parts += [f"**{python_text(odd, call_of)}"] if odd else []
        return f"{self.python_name}({', '.join(parts)})"

    # It takes the place of the base's validator of this name: here the catalogue says what the fields are.
    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, data: Any) -> Any:
        given = data.get("input") if isinstance(data, Mapping) else None
        if not isinstance(given, Mapping):
            return data
        slug = data.get("apiModel", data.get("api_model", cls.slug))
        fields = {str(name): _json_value(str(name), value) for name, value in given.items() if value is not None}
        if data.get("validate", data.get("validate_input", True)) is not False and isinstance(slug, str):
            model = catalogue.get(slug)
            if model is None:
                raise broken_rule("api_model", catalogue.unknown(slug))
            fields, wrong = normalise(model, fields)
            if wrong:
                raise broken_rules(wrong)
        return {**data, "input": fields}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KieMarketParams):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.identity())

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        # The class of one slug is made when it is asked for: pickle would not find it by its name.
        return (KieMarketParams.read, (self.to_json(),))


def market(slug: str, /, *, validate: bool = True, **fields: Any) -> KieMarketParams:
    """Describe a request to any model of Kie's market; ``session.submit`` sends it.

    Args:
        slug: the model, such as ``seedream/4.5-text-to-image``; ``catalogue.search("seedream")`` finds it.
        validate: check the fields against the catalogue first. With False any slug is sent, exactly as it is written.
        **fields: the model's own fields; ``catalogue[slug]`` lists them.

    Raises:
        InvalidParams: with one sentence per wrong field; nothing is sent.

    Example:
        >>> market("google/nano-banana", prompt="a red kite", aspect_ratio="16:9").asset_kind.value
        'image'
    """
    return KieMarketParams.read({"api_model": slug, "validate": validate, "input": fields})


def params_for(slug: str) -> type[KieMarketParams]:
    """Return the class of one slug's parameters, for a form: ``Form(params_for("z-image"))``."""
    made = _classes.get(slug)
    if made is None:
        made = _classes.setdefault(slug, _make_class(slug))
    # The catalogue may have been refreshed since.
    made.asset_kind = KieMarketParams.kind_of(slug)
    made.time_limit = VIDEO_TIME_LIMIT if made.asset_kind is AssetKind.VIDEO else IMAGE_TIME_LIMIT
    model = catalogue.get(slug)
    made.status_note = (model.status_note or None) if model is not None else None
    return made


def _make_class(slug: str) -> type[KieMarketParams]:
    fields: dict[str, Any] = {"api_model": (Literal[slug], Field(default=slug, title="Model"))}
    made: type[KieMarketParams] = create_model(
        "KieMarketParams", __base__=KieMarketParams, __module__=__name__, __doc__=KieMarketParams.__doc__, **fields
    )
    made.slug = made.title = slug
    return made


def input_model(slug: str) -> type[KieInput]:
    """Return a pydantic class of one slug's fields, for the form mapper.

    Raises:
        InvalidParams: the slug is not in the catalogue.
    """
    model = catalogue[slug]
    known = _inputs.get(slug)
    if known is None or known[0] is not model:
        known = _inputs[slug] = (model, make_input_model(model))
    return known[1]


_classes: dict[str, type[KieMarketParams]] = {}
_inputs: dict[str, tuple[Model, type[KieInput]]] = {}


def _is_keyword_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name != "validate"


def _json_value(name: str, value: Any, deep: int = 0) -> Any:
    """Return a copy of a value that JSON can hold, so that later changes of the caller's list do not reach it."""
    if deep > _DEEPEST:
        raise broken_rule(name, "holds itself, or too many lists within lists.")
    value = as_address(value)
    if isinstance(value, str):
        if not _is_unicode(value):
            raise broken_rule(name, "holds half a character (a lone surrogate), which cannot be sent.")
        return str(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_json_value(name, item, deep + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json_value(name, item, deep + 1) for key, item in value.items()}
    raise broken_rule(name, f"cannot be sent as JSON: {type(value).__name__}.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
