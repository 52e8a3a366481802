"""One file per model family; adding one touches that file and one line of this registry."""

from __future__ import annotations

from collections.abc import Mapping

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie.models.base import KieParams
from kiegen_nb.kie.models.imagen4 import KieImagen4Params

FAMILIES: dict[str, type[KieParams]] = {
    "IMAGEN4": KieImagen4Params,
}
"""``model`` of the JSON form -> its parameters' class."""


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
    family = FAMILIES.get(str(data.get("model")))
    if data.get("service", "KIE") != "KIE" or family is None:
        known = ", ".join(FAMILIES)
        raise InvalidParams({"model": f"{data.get('model')!r} is not a known model family ({known})."})
    return family.read(data)
