"""`Health`: what the engine is doing right now, and what holds it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiegen_nb.engine.limits import Limits
    from kiegen_nb.engine.poller import Poller
    from kiegen_nb.engine.submission import Submitter
    from kiegen_nb.service import Service


@dataclass(frozen=True, slots=True)
class Health:
    """A snapshot for logs, dashboards and the question "why is nothing happening?".

    Attributes:
        account: service host and a short hash of the key.
        store: the task store's address, without a password.
        is_sandbox: whether the service called itself a sandbox.
        sending: this process's requests that wait for a slot or an answer.
        watching: this process's tasks that are looked at.
        saving: this process's tasks whose files are fetched.
        looks_per_second: looks this process sent per second, in the last ten seconds.
        look_rate: looks per second allowed now, to all kernels together; None without a limit.
        look_limit: looks per second allowed while nothing went wrong; None without a limit.
        creates_in_window: creates of all kernels that count against the limit now.
        create_limit: creates allowed per window; None without a limit.
        create_window: seconds.
        next_look_in: seconds until the next look is due; None while nothing is pending.
        pauses: why less happens than could, one sentence each; empty while all is well.

    Example:
        >>> session.health().pauses  # doctest: +SKIP
        ('Nothing is sent for 8 s: Kie said too many requests.',)
    """

    account: str
    store: str
    is_sandbox: bool
    sending: int
    watching: int
    saving: int
    looks_per_second: float
    look_rate: float | None
    look_limit: float | None
    creates_in_window: int
    create_limit: int | None
    create_window: float
    next_look_in: float | None
    pauses: tuple[str, ...]

    def __str__(self) -> str:
        looks = f"{self.looks_per_second:.1f} looks per second"
        if self.look_rate is not None:
            looks += f" of {self.look_rate:.1f}"
        creates = f"{self.creates_in_window} creates in the last {self.create_window:g} s"
        if self.create_limit is not None:
            creates += f" of {self.create_limit}"
        work = f"{self.sending} sending, {self.watching} watching, {self.saving} saving"
        return "; ".join((work, looks, creates, *(self.pauses or ("no pause",))))


def take_stock(
    service: Service, store: str, limits: Limits, poller: Poller, submitter: Submitter, saving: int
) -> Health:
    """Return what is going on now.

    Args:
        service: who is asked.
        store: the task store's address.
        limits: the account's.
        poller: this process's looks.
        submitter: this process's creates.
        saving: how many tasks' files are fetched.
    """
    rate, held_back = limits.look_rate(), submitter.held_back_for
    pauses = []
    if poller.pause_reason is not None:
        pauses.append(f"No looks for a while: {poller.pause_reason}")
    if rate is not None and limits.looks is not None and rate < limits.looks:
        pauses.append(f"Fewer looks for a while: Kie said too many requests, {rate:.1f} a second are allowed.")
    if held_back > 0:
        pauses.append(f"Nothing is sent for {held_back:.0f} s: Kie said too many requests.")
    return Health(
        account=service.account,
        store=store,
        is_sandbox=service.is_sandbox,
        sending=len(submitter.sending),
        watching=len(poller.watching),
        saving=saving,
        looks_per_second=poller.looks_per_second,
        look_rate=rate,
        look_limit=limits.looks,
        creates_in_window=limits.creates_in_window(),
        create_limit=limits.creates,
        create_window=limits.window,
        next_look_in=poller.next_look_in,
        pauses=tuple(pauses),
    )
