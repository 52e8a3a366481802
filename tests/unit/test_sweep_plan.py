"""A plan: its parts, its price and time, what it shows, and what is there already."""

from __future__ import annotations

import random
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kiegen_nb import ConfigurationError, InvalidParams, Plan, imagen4, market, sweep, veo3
from kiegen_nb.batch.preview import Preview, expected_seconds
from kiegen_nb.tasks import Activity, GenerationTask, TaskStatus
from tests.support.bench import task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kiegen_nb import PlanItem

KITE = imagen4("a red kite")
PLAN = sweep(KITE, aspect_ratio=["1:1", "16:9"], seed="1-10", repeat=2)
UNPRICED = market("new/model", validate=False, prompt="a kite")
NASTY = "<script>alert('x')</script> & \"quotes\""


class There:
    """Stands where a session would: it knows some tasks by their items' numbers."""

    def __init__(self, tasks: Mapping[int, GenerationTask]) -> None:
        self._tasks = tasks
        self.asked: list[str] = []

    def existing(self, plan: Plan, name: str) -> list[GenerationTask | None]:
        self.asked.append(name)
        return [self._tasks.get(item.number) for item in plan]


def numbers(plan: Plan) -> list[int]:
    return [item.number for item in plan]


def tags_of(html: str) -> list[str]:
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(tag)
            assert not any(name.startswith("on") for name, _ in attrs)

    Reader().feed(html)
    return found


# Its parts.


@given(st.integers(-50, 50) | st.none(), st.integers(-50, 50) | st.none(), st.sampled_from([None, 1, 2, 7, -1, -3]))
@settings(deadline=None)
def test_a_slice_is_a_plan_whose_items_keep_their_numbers(
    start: int | None, stop: int | None, step: int | None
) -> None:
    cut = slice(start, stop, step)
    part = PLAN[cut]
    assert isinstance(part, Plan)
    assert numbers(part) == list(range(40))[cut]
    assert part.axes == PLAN.axes
    assert numbers(part[::-1]) == list(range(40))[cut][::-1]


def test_a_plan_is_a_sequence() -> None:
    assert len(PLAN) == 40
    assert PLAN[-1] is PLAN[39]
    assert PLAN[3] in PLAN
    assert PLAN.index(PLAN[7]) == 7
    assert sweep(KITE, aspect_ratio=["1:1", "16:9"], seed=range(1, 11), repeat=2) == PLAN
    assert PLAN[1:] != PLAN
    assert len({PLAN, PLAN[:]}) == 1
    with pytest.raises(IndexError):
        PLAN[40]


def test_items_are_asked_anew_all_or_by_their_numbers() -> None:
    assert all(item.fresh for item in PLAN.fresh())
    assert not any(item.fresh for item in PLAN)
    assert [item.number for item in PLAN.fresh([3, 5]).fresh(7) if item.fresh] == [3, 5, 7]
    assert [item.fresh for item in PLAN[3:6].fresh({4})] == [False, True, False]
    with pytest.raises(InvalidParams, match="item 99: is none of this plan's"):
        PLAN.fresh([99])


def test_requests_of_several_models_make_a_plan() -> None:
    plan = Plan.of([KITE, veo3("a kite").to_json(), market("z-image", prompt="a kite")])
    assert numbers(plan) == [0, 1, 2]
    assert [axis.name for axis in plan.axes] == ["api_model"]
    assert plan.axes[0].values == ("google/imagen4-fast", "veo3_fast", "z-image")
    assert Plan.of(PLAN) is PLAN


def test_plans_add_up_and_are_numbered_anew() -> None:
    both = sweep(KITE, seed=[1, 2]) + sweep(imagen4("a red kite", api_model="google/imagen4"), seed=["x"])[:]
    assert numbers(both) == [0, 1, 2]
    assert [dict(item.axes) for item in both] == [
        {"api_model": "google/imagen4-fast", "seed": 1},
        {"api_model": "google/imagen4-fast", "seed": 2},
        {"api_model": "google/imagen4", "seed": "x"},
    ]
    more = sweep(KITE, seed=[1], repeat=2) + sweep(imagen4("a blue kite", seed=5), aspect_ratio=["1:1"])
    assert [tuple(item.axes.values()) for item in more] == [(1, 0, "16:9"), (1, 1, "16:9"), (5, 0, "1:1")]
    assert more.axes[2].values == ("16:9", "1:1")
    with pytest.raises(InvalidParams, match=r"item 0 and item 2: are the same request \(seed=1, repeat=0\)"):
        sweep(KITE, seed=[1, 2]) + sweep(KITE, seed=[1])


def test_what_is_wrong_with_loose_requests_is_told_with_their_items() -> None:
    with pytest.raises(InvalidParams, match="2 of 3 requests cannot be sent") as caught:
        Plan.of([KITE, {"model": "IMAGEN9"}, KITE.to_json() | {"input": {"prompt": ""}}])
    assert list(caught.value.fields) == ["item 1, model", "item 2, prompt"]


# Price and time.


def test_a_plan_knows_its_price_and_says_what_is_unknown() -> None:
    assert (PLAN.price().low, PLAN.price().high, PLAN.price().unknown) == (160, 160, ())
    assert PLAN.price().usd == (0.8, 0.8)
    assert PLAN[:5].price().high == 20
    mixed = Plan.of([KITE, UNPRICED])
    assert (mixed.price().high, mixed.price().unknown) == (4, (mixed[1],))
    assert "4 credits (0.02 USD), and 1 request of unknown price (item 1)" in repr(mixed)
    assert "2 requests of unknown price (item 0, 1)" in repr(sweep(UNPRICED, prompt=["a", "b"]))
    assert "0 credits" not in repr(sweep(UNPRICED))


def test_the_time_is_that_of_the_limit_and_of_the_slowest_model() -> None:
    low, high = KITE.usual_time_of(KITE.api_model)
    assert expected_seconds(PLAN[:20]) == PLAN[:20].expected_seconds() == (low, high)
    assert expected_seconds(PLAN[:21]) == (10 + low, 10 + high)
    slow = veo3("a kite")
    assert Plan.of([KITE, slow]).expected_seconds() == slow.usual_time_of(slow.api_model)
    assert expected_seconds(PLAN[:0]) == (0, 0)


# What it shows.


def test_a_printed_plan_says_what_is_asked_for() -> None:
    assert str(PLAN) == (
        "Plan of 40 requests to google/imagen4-fast\n"
        "  aspect_ratio   2: 1:1, 16:9\n"
        "  seed          10: 1, 2, 3, 4, 5, …, 10\n"
        "  repeat         2: 0, 1\n"
        "  160 credits (0.8 USD); about 15 to 70 seconds."
    )
    assert str(PLAN[3:5]).splitlines()[1:4] == [
        "  aspect_ratio  1: 1:1",
        "  seed          2: 2, 3",
        "  repeat        2: 0, 1",
    ]
    assert repr(PLAN[:0]) == "Plan of 0 requests\n  Nothing to be paid."
    assert str(sweep(KITE)).startswith("Plan of 1 request to google/imagen4-fast\n")
    assert "about 8 to 9 minutes" in repr(sweep(KITE, seed="1-1000"))


def test_no_line_of_a_printed_plan_is_endless() -> None:
    text = repr(sweep(KITE, prompt=[f"a kite that {'flies ' * 300}{n}" for n in range(7)]))
    assert max(map(len, text.splitlines())) <= 100


def test_words_of_a_plan_are_text_and_never_markup() -> None:
    plan = sweep(imagen4(NASTY), {"prompt": {NASTY: NASTY, "b": "x"}})
    html = plan._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert set(tags_of(html)) <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
    there = Preview(plan, NASTY, (None, None))._repr_html_()
    assert "<script" not in there
    assert "script" not in tags_of(there)


def test_the_table_shows_the_first_items_and_counts_the_rest() -> None:
    html = PLAN._repr_html_()
    assert tags_of(html).count("tr") == 1 + 3 + 1 + 8
    assert "and 32 more" in html
    assert "4 credits (0.02 USD)" in html
    assert "unknown" in sweep(UNPRICED)._repr_html_()


# What is there.


def test_without_a_session_nothing_is_said_about_what_is_there() -> None:
    preview = PLAN.preview()
    assert (preview.existing, preview.to_pay) == (None, PLAN)
    assert str(preview) == str(PLAN)
    assert preview._repr_html_() == PLAN._repr_html_()


def test_a_preview_says_what_is_there_and_what_is_left_to_pay() -> None:
    there = There(
        {
            0: task("a", status=TaskStatus.SUCCESS),
            1: task("b", status=TaskStatus.SUCCESS),
            2: task("c", activity=Activity.WATCHING, external_task_id="x"),
            3: task("d", status=TaskStatus.FAILED, fail_msg="no"),
            4: task("e", activity=Activity.QUEUED),
        },
    )
    preview = PLAN.preview(there, "kites")
    assert there.asked == ["kites"]
    assert preview.counts == {"finished": 2, "pending": 1, "failed": 1, "to pay": 36}
    assert numbers(preview.to_pay) == list(range(4, 40))
    assert preview.price.high == 144
    assert str(preview).splitlines()[-3:] == [
        '  In "kites" 4 of 40 are there (2 finished, 1 pending, 1 failed).',
        "  Failed ones come back as they are; only fresh=True or retry_failed() asks anew.",
        "  To be paid: 36 requests, 144 credits (0.72 USD); about 15 to 70 seconds.",
    ]
    html = preview._repr_html_()
    assert "To be paid: 36 requests" in html
    assert (html.count(">finished<"), html.count(">pending<"), html.count(">failed<")) == (2, 1, 1)
    assert html.count(">to pay<") == 4


def test_a_fresh_item_is_paid_again_whatever_is_there() -> None:
    there = There({item.number: task(str(item.number), status=TaskStatus.SUCCESS) for item in PLAN})
    assert PLAN.preview(there).to_pay == PLAN[:0]
    assert str(PLAN.preview(there)).endswith("(40 finished).\n  Nothing is left to be paid.")
    assert numbers(PLAN.fresh([6]).preview(there).to_pay) == [6]
    assert "nothing of it is there yet" in str(PLAN.preview(There({})))


@given(st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_what_is_there_and_what_is_to_be_paid_are_the_whole_plan(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret; hypothesis prints the seed
    kinds: list[dict[str, Any]] = [
        {"status": TaskStatus.SUCCESS},
        {"status": TaskStatus.FAILED},
        {"activity": Activity.QUEUED},
        {"activity": Activity.SUBMITTING},
    ]
    tasks = {n: task(str(n), **chance.choice(kinds)) for n in range(40) if chance.random() < 0.7}
    plan = PLAN[chance.randrange(40) :].fresh([39])
    preview = plan.preview(There(tasks))
    assert sum(preview.counts.values()) == len(plan)
    assert len(preview.to_pay) == preview.counts["to pay"]
    assert plan[-1] in preview.to_pay


# As a table.


def test_a_plan_is_a_table_of_pandas() -> None:
    pytest.importorskip("pandas")
    frame = Plan.of([*PLAN[:3], UNPRICED]).to_frame()
    assert list(frame.columns) == [
        "number",
        "api_model",
        "aspect_ratio",
        "seed",
        "repeat",
        "credits_low",
        "credits_high",
        "fresh",
    ]
    assert list(frame["seed"][:3]) == [1, 1, 2]
    assert list(frame["repeat"]) == [0, 1, 0, 0]
    assert frame["credits_high"].isna().tolist() == [False, False, False, True]
    assert len(PLAN[:0].to_frame()) == 0


def test_a_table_of_a_plan_is_a_plan_again() -> None:
    pytest.importorskip("pandas")
    table = PLAN.to_frame()[["aspect_ratio", "seed", "repeat"]]
    again = sweep(KITE, rows=table)

    def asked(item: PlanItem) -> tuple[Any, ...]:
        return (item.params, item.repeat, dict(item.axes))

    assert list(map(asked, again)) == list(map(asked, PLAN))


def test_without_pandas_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'kiegen_nb\[pandas\]'"):
        PLAN.to_frame()
