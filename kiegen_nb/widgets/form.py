"""`Form`: a model family's parameters as plain ipywidgets, and the Generate button."""

from __future__ import annotations

import html
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets as W  # noqa: N812 - the name Jupyter's own documentation uses

from kiegen_nb.errors import InvalidParams, KiegenError
from kiegen_nb.kie.models.base import KieParams
from kiegen_nb.kie.models.imagen4 import KieImagen4Params
from kiegen_nb.tasks import UNCONFIRMED, Activity, TaskStatus
from kiegen_nb.widgets.controls import control_for
from kiegen_nb.widgets.fields import read_fields
from kiegen_nb.widgets.protocol import default_session
from kiegen_nb.widgets.routing import keep_browsers_order
from kiegen_nb.widgets.style import FORM_STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kiegen_nb.engine.state import QueryState
    from kiegen_nb.tasks import GenerationTask
    from kiegen_nb.widgets.controls import Control
    from kiegen_nb.widgets.protocol import HandleLike, SessionLike

READY, BUSY = "Generate", "Submitting…"


class Form(W.VBox):  # type: ignore[misc] # ipywidgets ships no types
    """A form for one model family.

    Args:
        params: the family's class, or parameters to start from.
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
        # The flag decides, not the button's trait: two clicks can arrive before the browser disables it.
        self._busy = False
        self.controls = {field.name: control_for(field) for field in read_fields(self.params_class)}
        self.button = W.Button(
            description=READY,
            button_style="primary",
            tooltip=f"Send this request to {self.params_class.title}",
            layout=W.Layout(width="140px"),
        )
        self.button.add_class("kiegen-generate")
        self.status = W.HTML(layout=W.Layout(margin="0 0 0 10px", flex="1 1 auto"))
        self._title = W.HTML(layout=W.Layout(margin="0 0 4px"))
        super().__init__(children=self._layout(), layout=W.Layout(width="100%", padding="2px 4px 8px"))
        self.add_class("kiegen-form")
        self._show_title(sandbox=False)
        self._say(self._intent)
        for control in self.controls.values():
            control.input.observe(partial(self._on_edit, control), names="value")
            # ipywidgets has no lock of its own: an edit on a subshell and a cell's set() break in its middle.
            control.input.set_state = partial(self._take_edit, control.input.set_state)
        self.button.on_click(self._on_click)
        keep_browsers_order(self.button, *(control.input for control in self.controls.values()))
        if isinstance(params, KieParams):
            self.set(params)
        if session is not None:
            self._ask_for_sandbox(session)

    def __repr__(self) -> str:
        return f"Form({self.family})"

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
    def value(self) -> dict[str, Any]:
        """The fields that are set, unchecked, by their flat names."""
        read = {name: control.get() for name, control in self.controls.items()}
        return {name: value for name, value in read.items() if value is not None}

    def validate(self) -> KieParams:
        """Return the parameters.

        Raises:
            InvalidParams: with one sentence per wrong field; each is shown at its field, too.
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
        """
        if isinstance(params, KieParams) and not isinstance(params, self.params_class):
            raise InvalidParams({"": f"this form is for {self.params_class.title}, not {type(params).title}."})
        flat = params.flat() if isinstance(params, KieParams) else dict(params)
        # A slug without a choice has no control; it is part of the family.
        unknown = [name for name in flat if name not in self.controls and name != "api_model"]
        if unknown:
            raise InvalidParams(dict.fromkeys(unknown, "is not a field of this form."))
        with self._writing:
            for name, control in self.controls.items():
                if name in flat:
                    _put(control, flat[name])
                else:
                    control.clear()
            self._complain(None)

    def submit(self) -> HandleLike:
        """Send the request, as a click on Generate does.

        Raises:
            InvalidParams: a field is wrong; it is shown there.
            KiegenError: it cannot be stored, or the request before it has no answer yet.
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

    def _take_edit(self, set_state: Callable[[Any], None], sync_data: Any) -> None:
        with self._writing:
            set_state(sync_data)

    def _on_edit(self, control: Control, _: object) -> None:
        with self._writing:
            control.recount()
            control.complain("")

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
                self._say_answer(task)
            elif error is not None:
                self._show_failure(error)
            self._busy = False

    def _show_busy(self) -> None:
        with self._writing:
            self.button.disabled = True
            self.button.description = BUSY
            self._say("")

    def _say_answer(self, task: GenerationTask) -> None:
        reason = task.fail_msg or task.fail_code or "the service gave no reason."
        if task.activity is Activity.QUEUED:
            self._say(f"Not sent yet: {task.note or 'it is sent as soon as the service can be reached.'}")
        elif task.status is not TaskStatus.FAILED:
            self._say("Sent. The result appears in the gallery.")
        elif task.fail_code == UNCONFIRMED:
            self._say(f"No answer: {reason}", error=True)
        else:
            self._say(f"Not sent: {reason}", error=True)

    def _show_failure(self, error: BaseException) -> None:
        with self._writing:
            if isinstance(error, InvalidParams):
                self._complain(error)
            else:
                self._say(str(error) or type(error).__name__, error=True)

    def _complain(self, error: InvalidParams | None) -> None:
        """Show every sentence at its field, and in the status line what belongs to none."""
        fields = dict(error.fields) if error is not None else {}
        for name, control in self.controls.items():
            control.complain(fields.pop(name, ""))
        if fields:
            self._say(" ".join(f"{name} {text}".strip() for name, text in fields.items()), error=True)
        elif error is not None:
            self._say("Not sent: please correct what is marked.", error=True)
        else:
            self._say(self._intent)

    def _say(self, text: str, *, error: bool = False) -> None:
        kind, role = ("kiegen-status kiegen-error", "alert") if error else ("kiegen-status", "status")
        self.status.value = f'<div class="{kind}" role="{role}">{html.escape(text)}</div>'

    @property
    def _intent(self) -> str:
        thing = _THING.get(self.params_class.asset_kind.value, "result")
        return f"Makes one {thing} with {self.params_class.title}."

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
        plain = [control.box for control in self.controls.values() if not control.field.advanced]
        folded = [control.box for control in self.controls.values() if control.field.advanced]
        more = []
        if folded:
            self.more = W.Accordion(children=[W.VBox(folded)], titles=("More",), selected_index=None)
            self.more.add_class("kiegen-more")
            self.more.layout.margin = "0 0 8px"
            more = [self.more]
        row = W.HBox([self.button, self.status], layout=W.Layout(align_items="center"))
        return [style, self._title, *plain, *more, row]


_THING = {"image": "picture", "video": "video", "audio": "sound"}


def _put(control: Any, value: Any) -> None:
    try:
        control.set(value)
    except Exception as error:  # traitlets' own error would name the widget, not the field
        raise InvalidParams({control.field.name: f"{value!r} cannot be shown in this form."}) from error
