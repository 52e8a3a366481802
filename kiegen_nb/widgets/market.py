"""`MarketPanel`: every model of the market behind a search, and the form of the one that is chosen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.prices import price, rate_of
from kiegen_nb.widgets.control import COLUMN, LABEL, guard
from kiegen_nb.widgets.form import Form

if TYPE_CHECKING:
    from kiegen_nb.kie.entries import Model
    from kiegen_nb.widgets.protocol import SessionLike

KEPT = 6  # forms of models that were looked at before
ROWS = 9


class MarketPanel(W.VBox):  # type: ignore[misc] # ipywidgets ships no types
    """A search over the catalogue, its results, and a form for the chosen one.

    Args:
        session: where the forms send to; ``Session()`` if none is given.
        prompt_id: the group the tasks join.
        badge: say SANDBOX in the forms' titles.

    Attributes:
        search: the words to find; results follow every letter.
        category: only this kind of model, None for all.
        results: what was found; choosing one shows its form.
        forms: the forms that were built, by their slugs; the newest few are kept.
    """

    def __init__(self, session: SessionLike | None = None, *, prompt_id: str = "default", badge: bool = True) -> None:
        self._session = session
        self._prompt_id = prompt_id
        self._badge = badge
        self._writing = threading.RLock()
        self._filling = False
        self.forms: dict[str, Form] = {}
        self.search = W.Text(
            description="Search the market",
            placeholder="kling, music, upscale …",
            continuous_update=True,
            layout=W.Layout(**COLUMN | {"flex": "2 1 150px"}),
            style=LABEL,
        )
        kinds = [(f"{name} ({count})", name) for name, count in catalogue.categories().items() if name]
        self.category = W.Dropdown(
            description="Category",
            options=[("all", None), *kinds],
            index=0,  # a value of None would show nothing, not the option that stands for it
            layout=W.Layout(**COLUMN | {"flex": "1 1 130px"}),
            style=LABEL,
        )
        self.results = W.Select(
            description="Models found", options=[], rows=ROWS, layout=W.Layout(**COLUMN), style=LABEL
        )
        self._place = W.VBox(layout=W.Layout(width="auto"))
        self._place.add_class("kiegen-place")
        for widget in (self.search, self.category, self.results):
            widget.add_class("kiegen-input")
        self.results.add_class("kiegen-found")
        head = W.HBox([self.search, self.category], layout=W.Layout(flex_flow="row wrap", grid_gap="0 10px"))
        super().__init__(children=[head, self.results, self._place], layout=W.Layout(width="auto"))
        self.add_class("kiegen-form")
        self.add_class("kiegen-market")
        self._find()
        self.search.observe(self._on_search, names="value")
        self.category.observe(self._on_search, names="value")
        self.results.observe(self._on_choice, names="value")
        for widget in (self.search, self.category, self.results):
            guard(widget, self._writing)

    def __repr__(self) -> str:
        return "MarketPanel()"

    @property
    def form(self) -> Form | None:
        """The form in front, None before a model is chosen."""
        return self._place.children[0] if self._place.children else None

    def choose(self, slug: str) -> Form:
        """Show the form of a model.

        Raises:
            InvalidParams: there is no such model in the catalogue.
        """
        with self._writing:
            form = self.forms.pop(slug, None)
            if form is None:
                form = Form.market(slug, session=self._session, prompt_id=self._prompt_id, badge=self._badge)
            self.forms[slug] = form
            self._place.children = [form]
            self._mark(slug)
            idle = [known for known, other in self.forms.items() if not other.is_busy and other is not form]
            for known in idle[: max(0, len(self.forms) - KEPT)]:
                self.forms.pop(known).close()
            return form

    def close(self) -> None:
        """Close the forms, too."""
        for form in self.__dict__.get("forms", {}).values():
            form.close()
        super().close()

    def _find(self) -> None:
        found = catalogue.search(self.search.value, self.category.value)
        with self._writing, self.results.hold_sync():
            self._filling = True
            try:
                self.results.options = [(_line(model), model.slug) for model in found]
                self.results.description = f"{len(found)} model{'' if len(found) == 1 else 's'} found"
                self._mark(self.form.params_class.slugs()[0] if self.form is not None else "")
            finally:
                self._filling = False

    def _mark(self, slug: str) -> None:
        slugs = [known for _, known in self.results.options]
        before, self._filling = self._filling, True
        try:
            # ipywidgets chooses the first option by itself; nothing is chosen before a person does.
            self.results.index = slugs.index(slug) if slug in slugs else None
        finally:
            self._filling = before

    def _on_search(self, _: object) -> None:
        self._find()

    def _on_choice(self, change: Any) -> None:
        if not self._filling and change["new"] is not None:
            self.choose(change["new"])


def _line(model: Model) -> str:
    return f"{model.slug} · {model.category.replace('|', ', ')} · {_price(model)}"


def _price(model: Model) -> str:
    known = price(model.slug) or rate_of(model.slug)
    if known is None:
        return "price unknown"
    amount = f"{known.low:g}" if known.low == known.high else f"{known.low:g} to {known.high:g}"
    per = f" per {known.per}" if hasattr(known, "per") else ""
    return f"{amount} credit{'' if amount == '1' else 's'}{per}"
