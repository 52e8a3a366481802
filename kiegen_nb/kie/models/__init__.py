"""One file per model family; adding one touches that file and one line of this registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models.base import FollowUp, KieParams
from kiegen_nb.kie.models.imagen4 import KieImagen4Params
from kiegen_nb.kie.models.market import KieMarketParams
from kiegen_nb.kie.models.midjourney import KieMidjourneyParams
from kiegen_nb.kie.models.midjourney_steps import KieMidjourneyFollowUp
from kiegen_nb.kie.models.sora2 import KieSora2Params
from kiegen_nb.kie.models.veo3 import KieVeo3Params
from kiegen_nb.kie.models.veo3_steps import KieVeo3FollowUp
from kiegen_nb.tasks import TaskStatus

if TYPE_CHECKING:
    from kiegen_nb.service import FileRule
    from kiegen_nb.tasks import GenerationTask

ProviderParams = (
    KieImagen4Params
    | KieVeo3Params
    | KieVeo3FollowUp
    | KieMidjourneyParams
    | KieMidjourneyFollowUp
    | KieSora2Params
    | KieMarketParams
)
"""Whatever can be submitted; `read_params` makes one from its JSON form by ``model`` and ``apiModel``."""

FAMILIES: dict[str, type[KieParams]] = {
    "IMAGEN4": KieImagen4Params,
    "VEO3": KieVeo3Params,
    "MIDJOURNEY": KieMidjourneyParams,
    "SORA2": KieSora2Params,
    "MARKET": KieMarketParams,
}
"""``model`` of the JSON form -> its parameters' class."""

FOLLOW_UPS: dict[str, type[KieParams]] = {
    "VEO3": KieVeo3FollowUp,
    "MIDJOURNEY": KieMidjourneyFollowUp,
}
"""``model`` of the JSON form -> the class of what can be done with a finished task, for its own slugs."""


def params_class(model: object, api_model: object) -> type[KieParams] | None:
    """Return the class of a family's request, None for a family from another version."""
    steps = FOLLOW_UPS.get(str(model))
    if steps is not None and api_model in steps.slugs():
        return steps
    return FAMILIES.get(str(model))


def file_rules(model: object) -> tuple[FileRule, ...] | None:
    """Return which files a model takes: none if it is empty, any if it is None.

    Args:
        model: a slug, parameters, or their class, which stands for all of its slugs.

    Raises:
        InvalidParams: there is no such model.
    """
    if isinstance(model, KieParams):
        return model.file_rules(model.api_model)
    if isinstance(model, type) and issubclass(model, KieParams):
        every = [model.file_rules(slug) for slug in model.slugs()]
        return None if None in every else tuple(dict.fromkeys(rule for rules in every for rule in rules or ()))
    family = next((family for family in FAMILIES.values() if model in family.slugs()), None)
    if family is None:
        raise InvalidParams({"model": catalogue.unknown(str(model))}, what="An upload for this model")
    return family.file_rules(str(model))


def follow_ups(task: GenerationTask) -> tuple[FollowUp, ...]:
    """Return what can be done with a task, nothing while it is not a success.

    Example:
        ``[step.title for step in follow_ups(task)]`` is ``["Extend", "Get 1080p", "Get 4K"]`` for a new Veo video;
        ``session.submit(follow_ups(task)[1].make())`` asks for the second.
    """
    family = params_class(task.model, task.api_model)
    if family is None or task.status is not TaskStatus.SUCCESS or not task.external_task_id:
        return ()
    return family.follow_ups(task)


def read_params(data: object) -> KieParams:
    """Return parameters from a params object or from their JSON form.

    Raises:
        InvalidParams: if the family is unknown, or a field is wrong.
    """
    if isinstance(data, KieParams):
        return data
    if not isinstance(data, Mapping):
        raise InvalidParams(
            {"": f"{type(data).__name__} is no request. Write imagen4('a red kite') or the JSON form."},
        )
    family = params_class(data.get("model"), data.get("apiModel", data.get("api_model")))
    if data.get("service", "KIE") != "KIE" or family is None:
        known = ", ".join(FAMILIES)
        raise InvalidParams({"model": f"{data.get('model')!r} is not a known model family ({known})."})
    return family.read(data)
