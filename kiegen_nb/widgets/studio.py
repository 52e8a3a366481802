"""`Studio`: a form and the gallery of what it makes, side by side where there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.kie.models import FAMILIES
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.gallery import Gallery
from kiegen_nb.widgets.protocol import default_session

if TYPE_CHECKING:
    from kiegen_nb.widgets.protocol import SessionLike


class Studio(W.Box):  # type: ignore[misc] # ipywidgets ships no types
    """Form and gallery of one prompt group.

    Args:
        session: what both use; ``Session()`` if none is given.
        prompt_id: the group the tasks join and the gallery shows.

    Attributes:
        forms: one per model family, by its name in the JSON form.
        gallery: the gallery.
    """

    def __init__(self, *, session: SessionLike | None = None, prompt_id: str = "default") -> None:
        self.session = session if session is not None else default_session()
        self.prompt_id = prompt_id
        # The gallery beside it says SANDBOX for both.
        self.forms = {
            name: Form(params, session=self.session, prompt_id=prompt_id, badge=False)
            for name, params in FAMILIES.items()
        }
        self.gallery = Gallery(prompt_id, session=self.session)
        forms = self._forms_box()
        forms.layout.flex = "1 1 300px"
        forms.layout.min_width = "0"
        self.gallery.layout.flex = "3 1 460px"
        self.gallery.layout.min_width = "0"
        # Wrapping puts the gallery below the form as soon as the cell is too narrow for both.
        layout = W.Layout(display="flex", flex_flow="row wrap", align_items="flex-start", width="100%", grid_gap="16px")
        super().__init__(children=[forms, self.gallery], layout=layout)
        self.add_class("kiegen-studio")

    def __repr__(self) -> str:
        return f"Studio({self.prompt_id})"

    @property
    def form(self) -> Form:
        """The form in front."""
        if isinstance(self.children[0], W.Tab):
            return list(self.forms.values())[self.children[0].selected_index or 0]
        return next(iter(self.forms.values()))

    def close(self) -> None:
        """Close the forms and the gallery, too."""
        for form in self.__dict__.get("forms", {}).values():
            form.close()
        if "gallery" in self.__dict__:
            self.gallery.close()
        super().close()

    def _forms_box(self) -> W.Widget:
        if len(self.forms) == 1:
            return self.form_only()
        return W.Tab(
            children=list(self.forms.values()),
            titles=[form.params_class.title for form in self.forms.values()],
        )

    def form_only(self) -> Form:
        """Return the one form there is."""
        return next(iter(self.forms.values()))
