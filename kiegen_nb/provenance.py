"""`params_from`: how a saved file was made, from its sidecar or from the text inside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kiegen_nb.engine.embedding import KEYWORD, LONGEST, read_text
from kiegen_nb.errors import MediaError
from kiegen_nb.kie.models import read_params

if TYPE_CHECKING:
    from kiegen_nb.kie.models import ProviderParams


def params_from(path: str | Path) -> ProviderParams:
    """Return the parameters a saved file was made with, ready to be changed and submitted again.

    Args:
        path: the file, or its sidecar. The sidecar beside the file is asked first; a PNG saved with ``embed=True``
            needs none, so it can be renamed, moved and sent to others.

    Raises:
        MediaError: the file is not there, or neither its sidecar nor its text says how it was made.
        InvalidParams: what it says is no valid request, such as one of a newer version.

    Example:
        >>> params_from("kiegen_output/default/4f0c…-0.png")  # doctest: +SKIP
        KieImagen4Params(...)
    """
    path = Path(path).expanduser()
    sidecar = path if path.suffix == ".json" else path.with_name(f"{path.name}.json")
    try:
        found = _request(_sidecar_text(sidecar))
        if found is None and sidecar != path:
            found = _request(read_text(path, KEYWORD))
    except OSError as error:
        raise MediaError(f"{path} cannot be read: {error.strerror or error}.") from None
    if found is None:
        raise MediaError(
            f"Nothing says how {path.name} was made: there is no sidecar {sidecar.name} beside it, and no text of "
            "ours inside it. Session(embed=True) writes such text into the PNG files it saves."
        )
    return cast("ProviderParams", read_params(found))


def _sidecar_text(sidecar: Path) -> str | None:
    try:
        with sidecar.open("rb") as file:
            data = file.read(LONGEST + 1)
    except FileNotFoundError:
        return None
    return data.decode("utf-8", "replace") if len(data) <= LONGEST else None


def _request(text: str | None) -> dict[str, Any] | None:
    """Return the request in a sidecar's text, None if this is none of our sidecars."""
    try:
        record = json.loads(text or "")
        request = record["task"]["providerParams"] if "kiegen" in record else None
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return request if isinstance(request, dict) else None
