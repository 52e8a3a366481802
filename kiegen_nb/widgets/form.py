"""`Form`: a model family's parameters as plain ipywidgets, and the Generate button."""

from __future__ import annotations

import html
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.kie.catalogue import catalogue
from kiegen_nb.kie.models import read_params
from kiegen_nb.kie.models.base import KieParams
from kiegen_nb.kie.models.imagen4 import KieImagen4Params
from kiegen_nb.kie.models.market import params_for
from kiegen_nb.widgets.cards import answer_text
from kiegen_nb.widgets.copying import PythonCall
from kiegen_nb.widgets.cost import estimate
from kiegen_nb.widgets.fields import read_fields
from kiegen_nb.widgets.fieldset import FieldSet
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.routing import keep_browsers_order
from kiegen_nb.widgets.style import FORM_STYLE
from kiegen_nb.widgets.upload_fields import FileControl, Uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.tasks import GenerationTask
    from kiegen_nb.widgets.control import Control
    from kiegen_nb.widgets.protocol import HandleLike, SessionLike

READY, BUSY = "Generate", "Submitting…"


class Form(W.VBox):  # type: ignore[misc] # ipywidgets ships no types
    """A form for one model family, or for one model of the market.

    Args:
        params: the family's class, or parameters to start from. For the market `Form.market` is shorter.
        session: where Generate sends to; ``Session()`` if none is given.
        prompt_id: the group the tasks join.
        on_submit: called with every handle, on the thread of the click.
        badge: say SANDBOX in the title once the service is known to be one.

    Example:
        >>> from kiegen_nb.kie.models.imagen4 import imagen4
        >>> Form(imagen4("a red kite")).value["prompt"]
        'a red kite'
    """

    def __init__(
        self,
        params: type[KieParams] | KieParams = KieImagen4Params,
        *,
        session: SessionLike | None = None,
        prompt_id: str = "default",
        on_submit: Callable[[HandleLike], None] | None = None,
        badge: bool = True,
    ) -> None:
        self.params_class = type(params) if isinstance(params, KieParams) else params
        self.prompt_id = prompt_id
        self.on_submit = on_submit
        self._session = session
        self._badge = badge
        # Clicks come on the main or any subshell thread, answers on the display thread: writers hold this.
        self._writing = threading.RLock()
        self._filling = False
        # The flag decides, not the button's trait: two clicks can arrive before the browser disables it.
        self._busy = False
        slug = next(iter(self.params_class.slugs()), "")
        self._fields = FieldSet(read_fields(self.params_class), slug, self.params_class.fill_in)
        self.button = W.Button(
            description=READY,
            button_style="primary",
            tooltip=f"Send this request to {self.params_class.title}",
            layout=W.Layout(width="140px", flex="none"),
        )
        self.button.add_class("kiegen-generate")
        self.cost = W.HTML(layout=W.Layout(margin="0 0 0 10px", flex="1 1 auto"))
        self.status = W.HTML(layout=W.Layout(margin="2px 2px 0"))
        self.python = PythonCall(self._python_text)
        self._title = W.HTML(layout=W.Layout(margin="0 0 4px"))
        super().__init__(children=self._layout(), layout=W.Layout(width="100%", padding="2px 4px 8px"))
        self.add_class("kiegen-form")
        self._show_title(sandbox=False)
        self._say(self._intent)
        uploads = Uploads(lambda: self.session, lambda: self._session, lambda: str(self._fields.read("api_model")))
        for control in self.controls.values():
            if isinstance(control, FileControl):
                control.offer(uploads)
        self._fields.connect(self._writing, self._on_edit)
        self.button.on_click(self._on_click)
        keep_browsers_order(self.button)
        if isinstance(params, KieParams):
            self.set(params)
        self._on_edit()
        if session is not None:
            self._ask_for_sandbox(session)

    @classmethod
    def market(cls, slug: str, **options: Any) -> Self:
        """Return the form of one model of the market.

        Args:
            slug: such as ``"kling-2.6/text-to-video"``; ``catalogue.search()`` finds them.
            **options: as for `Form`.

        Raises:
            InvalidParams: there is no such model in the catalogue.

        Example:
            >>> Form.market("kling-2.6/text-to-video", session=session, prompt_id="films")  # doctest: +SKIP
        """
        return cls(params_for(catalogue[slug].slug), **options)

    def __repr__(self) -> str:
        slugs = self.params_class.slugs()
        return f"Form({self.family}, {slugs[0]})" if self.family == "MARKET" and slugs else f"Form({self.family})"

    @property
    def family(self) -> str:
        """The family's name in the JSON form, such as ``IMAGEN4``."""
        field = self.params_class.model_fields.get("model")
        return str(field.default) if field is not None and field.default else self.params_class.title

    @property
    def session(self) -> SessionLike:
        """Where Generate sends to."""
        if self._session is None:
            self._session = default_session()
        return self._session

    @property
    def is_busy(self) -> bool:
        """Whether a request is between its click and its answer."""
        return self._busy

    @property
    def controls(self) -> dict[str, Control]:
        """The controls by the flat names of their fields, also of those that are hidden now."""
        return self._fields.controls

    @property
    def more(self) -> Any:
        """The fold of the advanced fields, None without any."""
        return self._fields.more

    @property
    def value(self) -> dict[str, Any]:
        """The fields that are shown and set, unchecked, by their flat names."""
        return self._fields.value

    def is_shown(self, name: str) -> bool:
        """Tell whether a field is asked for with the present values of the others."""
        return self._fields.is_shown(name)

    def validate(self) -> KieParams:
        """Return the parameters.

        Raises:
            InvalidParams: with one sentence per wrong field; each is shown at its field, too.

        Example:
            >>> session.submit(form.validate(), "kites", repeat=None)  # doctest: +SKIP
        """
        with self._writing:
            try:
                params = self.params_class.build(**self.value)
            except InvalidParams as error:
                self._complain(error)
                raise
            self._complain(None)
            return params

    def set(self, params: KieParams | Mapping[str, Any]) -> None:
        """Fill the form in.

        Args:
            params: parameters of this family, or flat fields as ``KieParams.build`` takes them.

        Raises:
            InvalidParams: for another family, or a field or choice this form does not have.

        Example:
            >>> form.set({"prompt": "a blue kite", "aspect_ratio": "9:16"})  # doctest: +SKIP
        """
        if isinstance(params, KieParams) and not isinstance(params, self.params_class):
            raise InvalidParams({"": f"this form is for {self.params_class.title}, not {type(params).title}."})
        flat = params.flat() if isinstance(params, KieParams) else dict(params)
        # A slug without a choice has no control; it is part of the family.
        unknown = [name for name in flat if name not in self.controls and name != "api_model"]
        if unknown:
            raise InvalidParams(dict.fromkeys(unknown, "is not a field of this form."))
        with self._writing:
            self._filling = True
            try:
                self._fields.fill(flat)
            finally:
                self._filling = False
            self._complain(None)
            self._on_edit()

    def load(self, task: GenerationTask) -> None:
        """Fill the form in with what a task asked for.

        Raises:
            InvalidParams: the task is of another family, or holds what this form cannot show.

        Example:
            >>> form.load(session.history("kites")[0])  # doctest: +SKIP
        """
        self.set(read_params(task.provider_params))
        with self._writing:
            self._say("These are the settings of a task of before; nothing is sent until you press Generate.")

    def as_python(self) -> str:
        """Return the call that makes these parameters, such as ``imagen4('a red kite')``.

        Raises:
            InvalidParams: a field is wrong; it is shown there.

        Example:
            >>> form = Form(imagen4("a red kite", seed=7))  # doctest: +SKIP
            >>> form.as_python()  # doctest: +SKIP
            "imagen4('a red kite', seed=7)"
        """
        return self.validate().as_python(self._upload_call)

    def close(self) -> None:
        """Close the form and everything in it.

        Example:
            >>> form.close()  # doctest: +SKIP
        """
        # ipywidgets calls this from __del__, too, even for a form whose constructor failed.
        children = self.children if "_fields" in self.__dict__ else ()
        super().close()
        for child in children:
            _close(child)

    def submit(self) -> HandleLike:
        """Send the request, as a click on Generate does.

        Raises:
            InvalidParams: a field is wrong; it is shown there.
            KiegenError: it cannot be stored, or the request before it has no answer yet.

        Example:
            >>> task = await form.submit()  # doctest: +SKIP
        """
        handle = self._try_submit()
        if handle is None:
            raise KiegenError("The request before this one is still being submitted; wait for its answer.")
        return handle

    def _try_submit(self) -> HandleLike | None:
        """Submit unless a request is under way; None says that this one was dropped."""
        with self._writing:
            if self._busy:
                return None
            self._busy = True
        try:
            params = self.validate()
            self._show_busy()
            handle = self.session.submit(params, prompt_id=self.prompt_id, repeat=None)
        except BaseException as error:
            self._finish(error)
            raise
        handle.when_answered(self._on_answer)
        if self.on_submit is not None:
            self.on_submit(handle)
        return handle

    def _on_click(self, _: object) -> None:
        try:
            self._try_submit()
        except Exception as error:  # noqa: BLE001 - nothing above a click handler would show it
            self._show_failure(error)

    def _on_edit(self) -> None:
        if self._filling:
            return
        self.python.hide()
        fields = [control.field for control in self.controls.values()]
        text = estimate(self.params_class.build, str(self._fields.read("api_model")), self.value, fields)
        self.cost.value = f'<span class="kiegen-cost">{html.escape(text)}</span>'

    def _python_text(self) -> str | None:
        try:
            params = self.validate()
        except InvalidParams as error:
            self._complain(error, "Please correct what is marked.")
            return None
        return f"from kiegen_nb import {params.python_name.partition('.')[0]}\n\n{params.as_python(self._upload_call)}"

    def _upload_call(self, address: str) -> str | None:
        """Return the call that uploads an address's file again, None for an address that is no upload."""
        # Without a session nothing was uploaded, and a stand-in for one need not know of uploads.
        call_of = getattr(self._session, "upload_call", None)
        with suppress(KiegenError):
            return None if call_of is None else str(call_of(address) or "") or None
        return None

    def _on_answer(self, task: GenerationTask) -> None:
        self._finish(None, task)
        # The answer stands, also where the session was closed meanwhile.
        with suppress(KiegenError):
            self._ask_for_sandbox(self.session)

    def _finish(self, error: BaseException | None, task: GenerationTask | None = None) -> None:
        with self._writing:
            self.button.description = READY
            self.button.disabled = False
            if task is not None:
                text, failed = answer_text(task)
                self._say(text, error=failed)
            elif error is not None:
                self._show_failure(error)
            self._busy = False

    def _show_busy(self) -> None:
        with self._writing:
            self.button.disabled = True
            self.button.description = BUSY
            self._say("")

    def _show_failure(self, error: BaseException) -> None:
        with self._writing:
            if isinstance(error, InvalidParams):
                self._complain(error)
            else:
                self._say(str(error) or type(error).__name__, error=True)

    def _complain(
        self, error: InvalidParams | None, otherwise: str = "Not sent: please correct what is marked."
    ) -> None:
        """Show every sentence at its field, and in the status line what belongs to none."""
        left = self._fields.complain(error.fields if error is not None else {})
        if left:
            self._say(" ".join(f"{name} {text}".strip() for name, text in left.items()), error=True)
        elif error is not None:
            self._say(otherwise, error=True)
        else:
            self._say(self._intent)

    def _say(self, text: str, *, error: bool = False) -> None:
        kind, role = ("kiegen-status kiegen-error", "alert") if error else ("kiegen-status", "status")
        self.status.value = f'<div class="{kind}" role="{role}">{html.escape(text)}</div>'

    @property
    def _intent(self) -> str:
        return f"Sends one request to {self.params_class.title}."

    def _show_title(self, *, sandbox: bool) -> None:
        badge = '<span class="kiegen-sandbox">SANDBOX</span>' if sandbox and self._badge else ""
        self._title.value = f'<span class="kiegen-title">{html.escape(self.params_class.title)}</span>{badge}'

    def _ask_for_sandbox(self, session: SessionLike) -> None:
        """Look at the present state once; a lasting subscription would outlive a cell that is run again."""
        if not self._badge:
            return
        ends: list[Callable[[], object]] = []
        seen = threading.Event()

        def end() -> None:
            with self._writing:
                ending = ends.pop() if ends and seen.is_set() else None
            if ending is not None:
                ending()

        def look(state: QueryState) -> None:
            with self._writing:
                self._show_title(sandbox=state.is_sandbox)
            seen.set()
            end()

        ends.append(session.subscribe(self.prompt_id, look))
        end()

    def _layout(self) -> list[Any]:
        style = W.HTML(FORM_STYLE, layout=W.Layout(display="none"))
        note = self.params_class.status_note
        said = [W.HTML(f'<div class="kiegen-calm">{html.escape(_sentence(note))}</div>')] if note else []
        row = W.HBox([self.button, self.cost], layout=W.Layout(align_items="center", width="auto"))
        return [style, self._title, *said, *self._fields.boxes, row, self.status, self.python]


def _sentence(note: str) -> str:
    text = f"{note[:1].upper()}{note[1:]}"
    return text if text.endswith(".") else f"{text}."


def _close(widget: Any) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
