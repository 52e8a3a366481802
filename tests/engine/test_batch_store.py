"""Many requests found or inserted at once: the same rows, leases and answers as one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from kiegen_nb.engine import schema
from kiegen_nb.engine.clock import as_datetime
from kiegen_nb.engine.held import Held
from kiegen_nb.engine.store import Store
from kiegen_nb.engine.store_asks import Ask
from kiegen_nb.engine.transitions import Accepted, Cancelled, Failed, Refused, Submitting, Unconfirmed
from kiegen_nb.kie.models.imagen4 import imagen4
from kiegen_nb.service import Request
from kiegen_nb.tasks import Activity, GenerationTask, TaskStatus
from tests.support.fake_kie import START, FakeClock

if TYPE_CHECKING:
    from kiegen_nb.engine.database import Database
    from kiegen_nb.engine.transitions import Event
    from kiegen_nb.errors import KiegenError

PATIENCE = 20.0
NOW = as_datetime(START)
DEAD = "elsewhere/pid:[1]|1|1|deadbeef"


def ask(prompt: str, repeat: int = 0, *, fresh: bool = False) -> Ask:
    params = imagen4(prompt)
    request = Request("KIE", params.model, params.api_model, params.to_json(), params.identity(), params.wire())
    return Ask(request, repeat, fresh)


def insert(store: Store, *asks: Ask, group: str = "kites") -> list[tuple[GenerationTask, bool]]:
    return store.find_or_insert_many(asks, prompt_id=group).result(PATIENCE)


def run(store: Store, task: GenerationTask, *events: Event) -> None:
    for event in events:
        store.apply(task.id, event).result(PATIENCE)


def give_to(database: Database, owner: str | None, until: float | None) -> None:
    """Put every row into another process's hands."""
    change = update(schema.tasks).values(lease_owner=owner, lease_until=until)
    database.write(lambda connection: connection.execute(change)).result(PATIENCE)


def test_what_is_new_is_inserted_in_order_and_is_ours(store: Store) -> None:
    found = insert(store, ask("b"), ask("a"), ask("a", 1))
    assert [(task.prompt, task.repeat, ours) for task, ours in found] == [
        ("b", 0, True),
        ("a", 0, True),
        ("a", 1, True),
    ]
    assert all(task.activity is Activity.QUEUED for task, _ in found)
    assert {task.id for task in store.by_prompt("kites")} == {task.id for task, _ in found}
    assert len({row["revision"] for row in store.rows("kites")}) == 1, "one transaction"


def test_one_at_a_time_and_many_find_each_others_rows(store: Store) -> None:
    one, _ = store.find_or_insert(ask("a").request, prompt_id="kites", repeat=0, fresh=False).result(PATIENCE)
    [(same, ours), (new, _)] = insert(store, ask("a"), ask("b"))
    assert (same.id, ours) == (one.id, False)
    again, _ = store.find_or_insert(ask("b").request, prompt_id="kites", repeat=0, fresh=False).result(PATIENCE)
    assert again.id == new.id


@pytest.mark.parametrize(
    ("events", "anew"),
    [
        ((Submitting(NOW), Accepted("ext")), False),
        ((Submitting(NOW), Accepted("ext"), Failed("500", "no", NOW)), False),
        ((Submitting(NOW), Unconfirmed(NOW, "no")), False),
        ((Submitting(NOW), Refused("422", "no", NOW)), True),
        ((Cancelled(NOW),), True),
    ],
    ids=["accepted", "failed", "unconfirmed", "refused", "cancelled"],
)
def test_only_a_refused_request_is_asked_anew(store: Store, events: tuple[Event, ...], *, anew: bool) -> None:
    [(first, _)] = insert(store, ask("a"))
    run(store, first, *events)
    key = ask("a").key
    assert [task and task.id for task in store.find_same("kites", [key])] == [None if anew else first.id]
    [(second, ours)] = insert(store, ask("a"))
    assert ((second.id != first.id), ours, second.attempt) == (anew, anew, int(anew))
    [(third, ours)] = insert(store, ask("a", fresh=True))
    # One that is queued and was never sent is as good as a new one.
    assert (third.id == second.id) is anew
    assert third.attempt == 1


@pytest.mark.parametrize(
    ("owner", "until", "is_ours"),
    [(None, None, True), (DEAD, START - 1, True), (DEAD, START + 10, False)],
    ids=["released", "expired", "leased"],
)
def test_queued_requests_are_taken_from_those_who_ended(
    store: Store, database: Database, owner: str | None, until: float | None, *, is_ours: bool
) -> None:
    insert(store, ask("a"), ask("b"))
    give_to(database, owner, until)
    found = insert(store, ask("a"), ask("b"), ask("c"))
    assert [ours for _, ours in found] == [is_ours, is_ours, True]
    mine = {row["id"] for row in store.rows("kites") if row["lease_owner"] == store.owner}
    assert mine == {task.id for task, ours in found if ours}


def test_a_deleted_one_is_brought_back_instead_of_being_paid_for_again(store: Store) -> None:
    [(first, _), _] = insert(store, ask("a"), ask("b"))
    run(store, first, Submitting(NOW), Accepted("ext"), Failed("500", "no", NOW))
    assert store.delete([first.id]).result(PATIENCE) == {first.id}
    assert [task and task.id for task in store.find_same("kites", [ask("a").key])] == [first.id]
    assert [task.prompt for task in store.by_prompt("kites")] == ["b"]
    [(same, ours)] = insert(store, ask("a"))
    assert (same.id, same.status, ours) == (first.id, TaskStatus.FAILED, False)
    assert {task.prompt for task in store.by_prompt("kites")} == {"a", "b"}


def test_another_group_or_account_is_another_world(store: Store, database: Database, clock: FakeClock) -> None:
    [(first, _)] = insert(store, ask("a"))
    [(second, _)] = insert(store, ask("a"), group="other")
    [(third, _)] = insert(Store(database, "another account", clock), ask("a"))
    assert len({first.id, second.id, third.id}) == 3
    assert store.find_same("nothing", [ask("a").key]) == [None]
    assert len(store.rows(None)) == 2


class _Owner:
    def returned(self, task_id: str, error: KiegenError | None) -> None:
        raise AssertionError((task_id, error))


def test_a_held_request_is_sent_by_the_newest_that_asked_for_it_and_by_nobody_else() -> None:
    held, old, new = Held(), _Owner(), _Owner()
    assert held.lay_down("a") is None
    held.claim(["a", "b"], old)
    held.claim(["a"], new)
    assert held.is_held("a")
    assert not held.pick_up("a", old)
    assert held.pick_up("a", new)
    assert not held.pick_up("a", new), "once"
    assert not held.is_held("a")
    assert held.lay_down("a") is new
    assert held.pick_up("a"), "whoever asks for it alone"
    assert not held.pick_up("b", old), "somebody else sends it"


def test_what_is_no_batchs_is_taken_at_once_and_what_is_stays() -> None:
    held, owner = Held(), _Owner()
    for task_id in "abc":
        held.lay_down(task_id)
    held.claim(["b"], owner)
    assert held.loose() == ["a", "c"]
    assert held.loose() == []
    held.forget("b")
    assert not held.pick_up("b", owner)
