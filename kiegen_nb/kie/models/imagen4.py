"""Imagen 4 (three slugs): text to image, one picture per task.

Source: docs.kie.ai/market/google/imagen4, imagen4-fast and imagen4-ultra, as of 2026-10-07.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from kiegen_nb.kie.models.base import KieInput, KieParams, broken_rule

Imagen4Slug = Literal["google/imagen4-fast", "google/imagen4", "google/imagen4-ultra"]
AspectRatio = Literal["1:1", "16:9", "9:16", "3:4", "4:3", "auto"]
NumImages = Literal["1", "2", "3", "4"]

FAST: Imagen4Slug = "google/imagen4-fast"
ULTRA: Imagen4Slug = "google/imagen4-ultra"
PROMPT_LIMIT = 5000
SEED_TEXT_LIMIT = 500
_DEFAULT_RATIO: dict[str, AspectRatio] = {FAST: "16:9", "google/imagen4": "1:1", ULTRA: "1:1"}


class KieImagen4Input(KieInput):
    """What Imagen 4 reads.

    Attributes:
        prompt: what to draw, 1 to 5,000 characters.
        negative_prompt: what to avoid, at most 5,000 characters.
        aspect_ratio: the picture's shape; each slug has a default, which is always sent.
        seed: repeats a picture; a whole number for imagen4-fast, any text up to 500 characters for the others.
        num_images: ``"1"`` to ``"4"``; the service may ignore it. imagen4-ultra refuses it.
    """

    prompt: Annotated[
        str,
        Field(
            min_length=1,
            max_length=PROMPT_LIMIT,
            description="What you would like to see",
            json_schema_extra={"control": "textarea"},
        ),
    ]
    negative_prompt: Annotated[
        str | None,
        Field(
            max_length=PROMPT_LIMIT,
            description="What to avoid",
            json_schema_extra={"control": "textarea", "advanced": True},
        ),
    ] = None
    aspect_ratio: Annotated[AspectRatio | None, Field(description="The picture's shape")] = None
    seed: Annotated[
        int | str | None,
        Field(
            description="The same seed repeats a picture; empty = a new one each time",
            json_schema_extra={"advanced": True},
        ),
    ] = None
    num_images: Annotated[
        NumImages | None,
        Field(
            title="Images",
            description="Asked for in one task; the service may deliver one all the same",
            json_schema_extra={"advanced": True},
        ),
    ] = None

    @field_validator("prompt")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty. Write what you would like to see.")
        return value

    @field_validator("negative_prompt", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("num_images", mode="before")
    @classmethod
    def _number_or_text(cls, value: object) -> object:
        # People write 4; the wire says "4".
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class KieImagen4Params(KieParams):
    """A picture from Imagen 4, as ``{"service":"KIE","model":"IMAGEN4","apiModel":...,"input":{...}}``.

    Example:
        >>> KieImagen4Params.build(prompt="a red kite").wire()["input"]
        {'prompt': 'a red kite', 'aspect_ratio': '16:9'}
    """

    python_name: ClassVar[str] = "imagen4"
    title: ClassVar[str] = "Imagen 4"

    service: Literal["KIE"] = "KIE"
    model: Literal["IMAGEN4"] = "IMAGEN4"
    api_model: Annotated[Imagen4Slug, Field(title="Model", description="Fast, standard or ultra")] = FAST
    input: KieImagen4Input

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("input"), dict):
            return data
        slug = data.get("apiModel", data.get("api_model", FAST))
        fields = dict(data["input"])
        # The default shape depends on the slug, and the ratio is always sent.
        if fields.get("aspect_ratio") is None and slug in _DEFAULT_RATIO:
            fields["aspect_ratio"] = _DEFAULT_RATIO[slug]
        # One picture has one identity, whether its seed was written 7 or "7".
        fields["seed"] = _seed_of(slug, fields.get("seed"))
        return data | {"input": fields}

    @model_validator(mode="after")
    def _rules_of_the_slug(self) -> Self:
        seed = self.input.seed
        if self.api_model == ULTRA and self.input.num_images is not None:
            sentence = "imagen4-ultra makes one picture per task; leave it out and use repeat= for more."
            raise broken_rule("num_images", sentence)
        if self.api_model == FAST and isinstance(seed, str):
            raise broken_rule("seed", f"imagen4-fast takes a whole number, not {seed!r}.")
        if isinstance(seed, str) and len(seed) > SEED_TEXT_LIMIT:
            raise broken_rule("seed", f"has {len(seed):,} characters; at most {SEED_TEXT_LIMIT} are accepted.")
        return self


def _seed_of(slug: object, seed: object) -> object:
    if seed is None or seed == "":
        return None
    if slug != FAST:
        return str(seed) if isinstance(seed, int) else seed
    if isinstance(seed, str) and seed.strip().removeprefix("-").isdecimal():
        return int(seed)
    return seed


def imagen4(
    prompt: str,
    *,
    api_model: Imagen4Slug = FAST,
    aspect_ratio: AspectRatio | None = None,
    negative_prompt: str | None = None,
    seed: int | str | None = None,
    num_images: NumImages | int | None = None,
) -> KieImagen4Params:
    """Describe a picture for Imagen 4; ``session.submit`` sends it.

    Args:
        prompt: what to draw, 1 to 5,000 characters.
        api_model: ``google/imagen4-fast`` (4 credits), ``google/imagen4`` (8) or ``google/imagen4-ultra`` (12).
        aspect_ratio: ``1:1``, ``16:9``, ``9:16``, ``3:4``, ``4:3`` or ``auto``; 16:9 for fast, else 1:1.
        negative_prompt: what to avoid, at most 5,000 characters.
        seed: repeats a picture; a whole number for fast, any text up to 500 characters for the others.
        num_images: 1 to 4 for fast and standard; the service may deliver one all the same.

    Raises:
        InvalidParams: with one sentence per wrong field; nothing is sent.

    Source: docs.kie.ai/market/google/imagen4, as of 2026-10-07.

    Example:
        >>> imagen4("a red kite", aspect_ratio="1:1").input.aspect_ratio
        '1:1'
    """
    return KieImagen4Params.build(
        prompt=prompt,
        api_model=api_model,
        aspect_ratio=aspect_ratio,
        negative_prompt=negative_prompt,
        seed=seed,
        num_images=num_images,
    )
