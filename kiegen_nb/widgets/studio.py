"""`Studio`: forms for every model and the gallery of what they make, side by side where there is room."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.kie.models import FAMILIES, read_params
from kiegen_nb.kie.models.market import KieMarketParams
from kiegen_nb.widgets.control import guard
from kiegen_nb.widgets.form import Form
from kiegen_nb.widgets.gallery import Gallery
from kiegen_nb.widgets.lists import AddressControl, AddressesControl
from kiegen_nb.widgets.market import MarketPanel
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.showing import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from kiegen_nb.tasks import Asset, GenerationTask
    from kiegen_nb.widgets.protocol import GallerySession

_WORDS = 40  # characters of a prompt that name a file


class Studio(W.Box):  # type: ignore[misc] # ipywidgets ships no types
    """Forms and gallery of one prompt group: a tab for each family, and one for the market.

    A cell that shows it also leaves the newest results as ordinary output, as a `Gallery` does.

    Args:
        session: what all of them use; ``Session()`` if none is given.
        prompt_id: the group the tasks join and the gallery shows.

    Attributes:
        tabs: the tabs; what is in one is built when it is first opened.
        forms: one per model family, by its name in the JSON form; asking for one builds it.
        market: the tab of the market.
        gallery: the gallery.

    Example:
        >>> Studio(session, prompt_id="kites")  # doctest: +SKIP
    """

    def __init__(self, session: GallerySession | None = None, *, prompt_id: str = "default") -> None:
        self.session = session if session is not None else default_session()
        self.prompt_id = prompt_id
        self._writing = threading.RLock()
        self._market: MarketPanel | None = None
        # The gallery beside it says SANDBOX for all.
        families = {name: params for name, params in FAMILIES.items() if params is not KieMarketParams}
        self.forms = _Forms(families, self._build, self._writing)
        self.gallery = Gallery(prompt_id, session=self.session)
        self.gallery.on_load = self.load
        self.gallery.on_use = self.use
        places = [W.VBox(layout=W.Layout(width="auto")) for _ in range(len(families) + 1)]
        titles = [params.title for params in families.values()]
        self.tabs = W.Tab(children=places, titles=[*titles, "Market"], selected_index=0)
        self.tabs.add_class("kiegen-tabs")
        self.tabs.layout.flex = "1 1 340px"
        self.tabs.layout.min_width = "0"
        self.gallery.layout.flex = "3 1 460px"
        self.gallery.layout.min_width = "0"
        # Wrapping puts the gallery below the form as soon as the cell is too narrow for both.
        layout = W.Layout(display="flex", flex_flow="row wrap", align_items="flex-start", width="100%", grid_gap="16px")
        super().__init__(children=[self.tabs, self.gallery], layout=layout)
        self.add_class("kiegen-studio")
        self._open()
        self.tabs.observe(self._open, names="selected_index")
        guard(self.tabs, self._writing)

    def __repr__(self) -> str:
        return f"Studio({self.prompt_id})"

    @property
    def form(self) -> Form:
        """The form in front.

        Raises:
            KiegenError: the market is in front, and no model of it was chosen.
        """
        name = self._name()
        form = self.market.form if name is None else self.forms[name]
        if form is None:
            raise KiegenError("No model is chosen in the Market tab yet.")
        return form

    @property
    def market(self) -> MarketPanel:
        """What is in the market's tab."""
        with self._writing:
            if self._market is None:
                self._market = MarketPanel(self.session, prompt_id=self.prompt_id, badge=False)
                self.tabs.children[-1].children = [self._market]
            return self._market

    def load(self, task: GenerationTask) -> None:
        """Bring the form of a task to the front and fill it in with what the task asked for.

        Raises:
            InvalidParams: there is no form for the task, such as for a follow-up of another one.

        Example:
            >>> studio.load(batch.results[0])  # doctest: +SKIP
        """
        params = read_params(task.provider_params)
        if isinstance(params, KieMarketParams):
            form, place = self.market.choose(params.api_model), len(self.forms)
        else:
            name = next((name for name in self.forms if isinstance(params, FAMILIES[name])), None)
            if name is None:
                raise InvalidParams({"": f"there is no form for this: {type(params).title}."}, what="These settings")
            form, place = self.forms[name], list(self.forms).index(name)
        form.load(task)
        with self._writing:
            self.tabs.selected_index = place

    def use(self, asset: Asset) -> None:
        """Put a result into the first field of the form in front that takes such a file.

        A saved file is uploaded, because the service's own address of a result soon dies; the field shows how far it
        is, and calls it by the beginning of its prompt. Without one, or in a session that takes no uploads, that
        address is taken.

        Raises:
            KiegenError: the form has no such field, or there is neither a file nor an address of the result.
            ValueError: the field holds as many as it takes.

        Example:
            >>> studio.use(task.assets[0])  # doctest: +SKIP
        """
        form, kind = self.form, asset.kind.value
        path = asset.path if hasattr(self.session, "start_upload") else None
        if path is not None and not path.is_file():
            path = None
        if path is None and asset.url is None:
            raise KiegenError("This result has no address that could be an input.")
        for name, control in form.controls.items():
            if not isinstance(control, AddressControl | AddressesControl) or not form.is_shown(name):
                continue
            if str(control.field.hints.get("control")).removesuffix("s") in (kind, "file"):
                if path is not None:
                    control.take(path, self._called(asset, path))
                else:
                    control.add(str(asset.url))
                return
        raise KiegenError(f"{form.params_class.title} takes no {kind} as it is set now. Choose a model that does.")

    def close(self) -> None:
        """Close the forms and the gallery, too.

        Example:
            >>> studio.close()  # doctest: +SKIP
        """
        # ipywidgets calls this from __del__, too, even for a studio whose constructor failed.
        if "gallery" in self.__dict__:
            for form in self.forms.built():
                form.close()
            if self._market is not None:
                self._market.close()
            self.tabs.close()
            self.gallery.close()
        super().close()

    def _ipython_display_(self) -> None:
        show(self, self.gallery.remains)

    def _called(self, asset: Asset, path: Path) -> str:
        """Return a result's name for people: the file's own is its task's id."""
        prompts = (re.sub(r"[\s/\\]+", " ", task.prompt).strip() for task in self.gallery.tasks if asset in task.assets)
        words = next(prompts, "")
        if not words:
            return path.name
        return f"{words if len(words) <= _WORDS else f'{words[: _WORDS - 1].rstrip()}…'}{path.suffix}"

    def _name(self) -> str | None:
        place = self.tabs.selected_index or 0
        return list(self.forms)[place] if place < len(self.forms) else None

    def _open(self, _: object = None) -> None:
        name = self._name()
        _ = self.market if name is None else self.forms[name]

    def _build(self, name: str) -> Form:
        form = Form(FAMILIES[name], session=self.session, prompt_id=self.prompt_id, badge=False)
        self.tabs.children[list(self.forms).index(name)].children = [form]
        return form


class _Forms(Mapping[str, Form]):
    """Forms by the names of their families, each built when it is first asked for."""

    def __init__(
        self, names: Iterable[str], build: Callable[[str], Form], writing: AbstractContextManager[Any]
    ) -> None:
        self._names = list(names)
        self._build = build
        self._built: dict[str, Form] = {}
        self._writing = writing

    def __getitem__(self, name: str) -> Form:
        if name not in self._names:
            raise KeyError(name)
        with self._writing:
            if name not in self._built:
                self._built[name] = self._build(name)
            return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def built(self) -> list[Form]:
        """Return those that were asked for."""
        return list(self._built.values())
