"""What every model family shares: the JSON form, the wire form, the identity, and plain-language messages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models.fields import broken_rule as broken_rule  # noqa: PLC0414 - families import it from here
from kiegen_nb.kie.models.fields import broken_rules, explain, python_text
from kiegen_nb.kie.roads import JOBS, road_name
from kiegen_nb.service import FileRule, with_addresses
from kiegen_nb.tasks import AssetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kiegen_nb.tasks import GenerationTask

IMAGE_TIME_LIMIT = 1800.0  # seconds of answered "running"; a picture that takes longer is worth a word
VIDEO_TIME_LIMIT = 3600.0
USUAL_TIMES = {AssetKind.IMAGE: (5.0, 60.0), AssetKind.AUDIO: (15.0, 120.0), AssetKind.VIDEO: (60.0, 300.0)}
_EMPTY: tuple[Any, ...] = ("", [], ())
CALLBACK_FIELDS = frozenset({"callBackUrl", "progressCallBackUrl"})
_FILE_CONTROLS = {f"{kind}{plural}": kind for kind in ("image", "video", "audio") for plural in ("", "s")}


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One thing that can be done with a finished task.

    Attributes:
        name: short and lasting, such as ``"upscale"``.
        title: what a button says.
        needs_prompt: whether `make` wants a text.
        choices: the results it can be done with, by their number from 0; one choice needs no question.
        kind: what comes of it.
        maker: what `make` calls.
    """

    name: str
    title: str
    needs_prompt: bool
    choices: tuple[int, ...]
    kind: AssetKind
    maker: Callable[[int, str | None], KieParams]

    def make(self, index: int = 0, prompt: str | None = None) -> KieParams:
        """Return the request, to be submitted as a task of its own with the finished one as its parent.

        Raises:
            InvalidParams: if there is no such result, or the text is missing.
        """
        if index not in self.choices:
            known = ", ".join(map(str, self.choices))
            raise InvalidParams({"index": f"there is no result {index}; choose one of {known}."}, what=self.title)
        return self.maker(index, prompt)


class KieInput(BaseModel):
    """The ``input`` object of a request; a family's fields and their rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    other_names: ClassVar[Mapping[str, str]] = {}
    """Further names a field is known under, such as ``imageUrls``: read, never written."""

    @classmethod
    def tidy(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields under their own names, without what is not given."""
        fields: dict[str, Any] = {}
        told: dict[str, str] = {}
        known = cls.model_fields
        for name, value in given.items():
            own = cls.other_names.get(name, name)
            info = known.get(own)
            if info is not None and (value is None or (not info.is_required() and value in _EMPTY)):
                continue
            if own in fields and fields[own] != value:
                raise broken_rule(own, f"is given twice, as {told[own]} and as {name}; leave one out.")
            fields[own], told[own] = value, str(name)
        return fields


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
    prompt_first: ClassVar[bool] = True
    """Whether that function takes the prompt as its first argument."""
    title: ClassVar[str]
    """What a form calls the family."""
    status_note: ClassVar[str | None] = None
    """One sentence where Kie's catalogue no longer lists the family."""
    asset_kind: ClassVar[AssetKind] = AssetKind.IMAGE
    """What it makes unless the slug says otherwise; see `kind_of`."""
    time_limit: ClassVar[float] = IMAGE_TIME_LIMIT
    slug_names: ClassVar[tuple[str, ...]] = ()
    """Names under which ``input`` may repeat the slug, as the service's own bodies do."""
    file_limits: ClassVar[Mapping[str, FileRule | None]] = {}
    """What is documented of the files a field takes; None for one whose address is no file."""

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
        own = {name: given.pop(name) for name in cls.own_fields() if name in given}
        return cls.read({"input": given} | own)

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
    def own_fields(cls) -> list[str]:
        """Return the flat names that stand beside ``input``: ``api_model`` and, where there is a choice, ``via``."""
        return [name for name in cls.model_fields if name not in {"service", "model", "input"}]

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the flat names ``build`` understands."""
        return [*cls.own_fields(), *cls.input_model().model_fields]

    @classmethod
    def input_model(cls) -> type[KieInput]:
        """Return the model class of ``input``."""
        annotation = cls.model_fields["input"].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, KieInput)):
            raise TypeError(f"{cls.__name__}.input must be annotated with a KieInput subclass")
        return annotation

    @classmethod
    def slugs(cls) -> tuple[str, ...]:
        """Return the slugs to choose from, empty where any text may be one."""
        return get_args(cls.model_fields["api_model"].annotation)

    @classmethod
    def kind_of(cls, api_model: str) -> AssetKind:
        """Return what a slug makes."""
        del api_model
        return cls.asset_kind

    @classmethod
    def time_limit_of(cls, api_model: str) -> float:
        """Return the seconds of answered "running" after which looking on is given up."""
        return VIDEO_TIME_LIMIT if cls.kind_of(api_model) is AssetKind.VIDEO else cls.time_limit

    @classmethod
    def usual_time_of(cls, api_model: str) -> tuple[float, float]:
        """Return a first guess at the seconds a task takes; most lie between the two."""
        return USUAL_TIMES.get(cls.kind_of(api_model), USUAL_TIMES[AssetKind.IMAGE])

    @classmethod
    def file_rules(cls, api_model: str) -> tuple[FileRule, ...] | None:
        """Return which files a slug takes: none if it is empty, any if it is None."""
        found = []
        for name, field in cls.input_model().model_fields.items():
            hints = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            kind, when = _FILE_CONTROLS.get(str(hints.get("control"))), hints.get("when")
            slugs = when.get("api_model") if isinstance(when, dict) else None
            if kind is not None and (not isinstance(slugs, list) or api_model in slugs):
                found.append(cls.file_limits.get(name, FileRule(AssetKind(kind))))
        return tuple(rule for rule in found if rule is not None)

    @classmethod
    def follow_ups(cls, task: GenerationTask) -> tuple[FollowUp, ...]:
        """Return what can be done with a finished task of this family."""
        del task
        return ()

    @classmethod
    def fill_in(cls, api_model: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the fields with the defaults that depend on the slug or on other fields."""
        del api_model
        return fields

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield (field, sentence) for every broken rule between fields; the first of a field is shown."""
        yield from ()

    @property
    def road(self) -> str:
        """The name of the endpoint it is sent to, see `kiegen_nb.kie.roads`."""
        return road_name({"model": self.model, "apiModel": self.api_model, "via": self.__dict__.get("via")})

    def flat(self) -> dict[str, Any]:
        """Return ``api_model`` and the fields that are set, the opposite of `build`."""
        own = {name: getattr(self, name) for name in self.own_fields()}
        shown = {name: value for name, value in own.items() if name == "api_model" or value != self._default(name)}
        return shown | self._given()

    def wire_input(self) -> dict[str, Any]:
        """Return the ``input`` object as it is sent: defaults filled in, nothing that is None."""
        return self._given()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        # A choice beside the slug is written only where it is not the default: the absent word means the default
        # for ever, in every store.
        unsaid = {name for name in self.own_fields() if name != "api_model"}
        unsaid = {name for name in unsaid if getattr(self, name) == self._default(name)}
        data = self.model_dump(mode="json", by_alias=True, exclude={"input"} | unsaid)
        return data | {"input": self._given()}

    def wire(self) -> dict[str, Any]:
        """Return the body of the create call."""
        return {"model": self.api_model, "input": self.wire_input()}

    def identity(self, meanings: Mapping[str, str] | None = None) -> str:
        """Return the hex sha256 of the canonical wire input; callbacks are no part of it.

        Args:
            meanings: address -> what it counts as, for uploads, whose addresses change.
        """
        body = {name: value for name, value in self.wire().items() if name not in CALLBACK_FIELDS}
        body = with_addresses(body, meanings) if meanings else body
        # Two endpoints may take equal bodies, as Midjourney's upscale and vary do.
        said = body if self.road == JOBS else {"road": self.road, "body": body}
        text = json.dumps(said, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def as_python(self, call_of: Callable[[str], str | None] | None = None) -> str:
        """Return the call that makes these parameters again, leaving out what is filled in anyway.

        Args:
            call_of: address -> the call that uploads its file again, None for one that is no upload.
        """
        fields = self.flat()
        for name in [name for name in fields if name != "prompt"]:
            rest = {other: value for other, value in fields.items() if other != name}
            if self._is_made_by(rest):
                fields = rest
        first = [repr(fields.pop("prompt"))] if self.prompt_first and "prompt" in fields else []
        keywords = [f"{name}={python_text(value, call_of)}" for name, value in fields.items()]
        return f"{self.python_name}({', '.join(first + keywords)})"

    def _is_made_by(self, fields: dict[str, Any]) -> bool:
        try:
            return type(self).build(**fields) == self
        except InvalidParams:
            return False

    def _given(self) -> dict[str, Any]:
        data: dict[str, Any] = self.model_dump(mode="json", by_alias=True)["input"]
        return {name: value for name, value in data.items() if value is not None}

    @classmethod
    def _default(cls, name: str) -> object:
        return cls.model_fields[name].get_default(call_default_factory=False)

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = data.get("input")
        if isinstance(given, KieInput):
            given = given.model_dump(exclude_none=True)
        if not isinstance(given, Mapping):
            return data
        tidied, fields = dict(data), cls.input_model().tidy(given)
        slug = tidied.get("apiModel", tidied.get("api_model"))
        for name in cls.slug_names:
            inside = fields.pop(name, None)
            if inside is not None and slug is not None and inside != slug:
                raise broken_rule("api_model", f"is {slug!r}, but the input says {inside!r}; leave one out.")
            if inside is not None:
                slug = tidied["apiModel"] = inside
        default = cls.model_fields["api_model"].default
        return tidied | {"input": cls.fill_in(str(default if slug is None else slug), fields)}

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        found: dict[str, str] = {}
        for field, sentence in self.rules():
            found.setdefault(field, sentence)
        if found:
            raise broken_rules(found)
        return self
