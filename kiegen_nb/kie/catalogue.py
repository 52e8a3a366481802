"""The market catalogue: every model of Kie's jobs API, what it reads and what is known of its price.

The shipped file is ``catalogue.json``; a live answer (see ``kie.live``) may be laid over it.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kiegen_nb.errors import InvalidParams
from kiegen_nb.kie import finding
from kiegen_nb.kie.entries import Model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiegen_nb.kie.prices import Price


class Catalogue:
    """Every model that can be asked for with ``market(slug, ...)``.

    The file is read when something is first asked of it.

    Args:
        data: entries by slug as in ``catalogue.json``; the shipped file if left out.

    Example:
        >>> "z-image" in Catalogue()
        True
        >>> Catalogue()["z-image"].category
        'text-to-image'
    """

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        self._data = data
        self._models: dict[str, Model] | None = None

    @classmethod
    def from_json(cls, data: Any) -> Catalogue:
        """Make a catalogue of the JSON that `kie.live.merge` left; anything else gives the shipped one."""
        return cls(data if isinstance(data, dict) and data else None)

    def use(self, data: Any) -> None:
        """Have this catalogue say what that JSON says from now on; anything else goes back to the shipped one."""
        # Read before it is swapped: other threads see the old one or the new one.
        self._models = _read(data if isinstance(data, dict) and data else shipped())

    @property
    def _all(self) -> dict[str, Model]:
        if self._models is None:
            self._models = _read(shipped() if self._data is None else self._data)
        return self._models

    def __getitem__(self, slug: str) -> Model:
        found = self._all.get(slug)
        if found is None:
            raise InvalidParams({"api_model": self.unknown(slug)}, what="This model")
        return found

    def __contains__(self, slug: object) -> bool:
        return slug in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def get(self, slug: str) -> Model | None:
        """Return a model, None if it is not in the catalogue."""
        return self._all.get(slug)

    def models(self) -> finding.ModelList:
        """Return every model, in the order of the file."""
        return finding.ModelList(self._all.values())

    def search(self, query: str = "", category: str | None = None) -> finding.ModelList:
        """Find models by words of their slug, category or notes; small slips of the pen are forgiven.

        Args:
            query: words that must all fit; empty finds everything.
            category: only this one, such as ``image-to-video``, or a kind of result, such as ``video``.

        Returns:
            The best fit first.
        """
        return finding.search(self._all.values(), query, category)

    def categories(self) -> dict[str, int]:
        """Return how many models each category has; a model of two categories counts in both."""
        counts: dict[str, int] = {}
        for model in self._all.values():
            for name in model.category.split("|"):
                counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def price(self, slug: str, **fields: Any) -> Price | None:
        """Return what a task costs in credits, None if that is unknown.

        Args:
            slug: the model.
            **fields: its input; without any, the price spans everything whose price is listed.

        Raises:
            InvalidParams: the slug is not in the catalogue.
        """
        from kiegen_nb.kie.prices import price_of_model  # noqa: PLC0415 - prices are read with the catalogue's types

        return price_of_model(self[slug], fields or None)

    def unknown(self, slug: object) -> str:
        """Return the sentence about a slug that is not here."""
        close = finding.close_slugs(self._all, str(slug))
        hint = f" Did you mean {' or '.join(close)}?" if close else " catalogue.search() finds models."
        return f"{str(slug)!r} is not in the catalogue.{hint} With validate=False it is sent all the same."

    def __repr__(self) -> str:
        return f"Catalogue({len(self)} models)\n{self.models()!r}"

    def _repr_html_(self) -> str:
        return self.models()._repr_html_()


def shipped() -> dict[str, Any]:
    """Return the shipped file."""
    data: dict[str, Any] = json.loads(files("kiegen_nb.kie").joinpath("catalogue.json").read_text(encoding="utf-8"))
    return data


def _read(data: Mapping[Any, Any]) -> dict[str, Model]:
    """Return the market's entries; keys with a colon are the older endpoints, those with an underscore are remarks."""
    return {
        slug: Model.from_json(slug, entry)
        for slug, entry in data.items()
        if isinstance(slug, str) and slug and not slug.startswith("_") and ":" not in slug
    }


catalogue = Catalogue()
"""The catalogue that `market` checks against."""
