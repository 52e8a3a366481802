"""Everything that can go wrong, one case each: what becomes of the task, and that no other task is touched by it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from kiegen_nb.tasks import Activity, TaskStatus
from tests.support.fake_kie import RUNNING, FakeClock, envelope
from tests.support.worlds import BAD, LivelyClock, Mishap, SandboxWorld, Script, ScriptedKie, ScriptedWorld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kiegen_nb.engine.engine import Engine
    from kiegen_nb.session import Session
    from tests.support.worlds import Answer, Ending

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
SUCCESS, FAILED, PENDING = TaskStatus.SUCCESS, TaskStatus.FAILED, TaskStatus.PENDING
MINUTES = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """A fault and its end.

    Attributes:
        ways: how it is produced; several ways to the same end have a name each.
        status: what the task has become.
        fail_code: why it failed.
        activity: what is still done about it.
        sent: creates that reached the service.
        sent_anew: whether the same cell, run again, sends it once more.
        looks_again: whether the program goes on looking.
        says: what its owner reads on it, at the time or at the end; a regular expression.
        saved: whether there is a file for every result.
    """

    ways: Mapping[str, Script | Mishap]
    status: TaskStatus = SUCCESS
    fail_code: str | None = None
    activity: Activity | None = None
    sent: int = 1
    sent_anew: bool = False
    looks_again: bool = False
    says: str = ""
    saved: bool = True


def http(status: int, wait: str | None = None) -> httpx.Response:
    """Answer as a gateway in front of the service does."""
    headers = {"content-type": "text/html"} | ({"retry-after": wait} if wait else {})
    return httpx.Response(status, content=b"<html><h1>Sorry</h1></html>", headers=headers)


def inside(code: Any, wait: str | None = None, *, msg: str = "injected fault", data: object = None) -> httpx.Response:
    """Answer as the service does: HTTP 200 with the code inside."""
    headers = {"retry-after": wait} if wait else {}
    return httpx.Response(200, json={"code": code, "msg": msg, "data": data}, headers=headers)


def real(code: int, wait: str | None = None) -> httpx.Response:
    """Answer as some pages of the service do: the code inside is the HTTP status, too."""
    return httpx.Response(
        code, json={"code": code, "msg": "injected fault", "data": None}, headers=inside(0, wait).headers
    )


def raw(text: str, content_type: str = "application/json") -> httpx.Response:
    return httpx.Response(200, content=text.encode(), headers={"content-type": content_type})


def record(**fields: object) -> httpx.Response:
    return envelope(fields)


HTML = raw("<!doctype html><p>Please sign in to this network", "text/html")
CUT_CREATE = '{"code": 200, "msg": "success", "data": {"taskId": "ext b'
CUT_LOOK = '{"code": 200, "msg": "success", "data": {"state": "succ'
NO_RECORD = inside(422, msg="recordInfo is null")
DENIED = inside(401, msg="You do not have access permissions")
POOR = inside(402, msg="The current credits are insufficient. Please top up.")
EMPTY = record(state="success", resultJson="{}")
ELSEWHERE = json.dumps(
    {"code": 200, "msg": "success", "data": {"state": "success", "resultJson": '{"resultUrls": ["CLOSED/a.png"]}'}}
)


def created(*answers: Answer) -> Script:
    return Script(creates=answers)


def looked(*answers: Answer, **more: Any) -> Script:
    return Script(looks=answers, **more)


def everywhere(make: Callable[..., Script], code: int, *waits: str | None, times: int = 1) -> dict[str, Script]:
    """Return one way for each place a code can stand in, without and with a Retry-After header."""
    places = {"gateway": http, "status": real, "inside": inside}
    return {
        f"{name}{f'-wait-{wait}' if wait else ''}": make(*[place(code, wait)] * times)
        for name, place in places.items()
        for wait in waits
    }


def unconfirmed(**ways: Script | Mishap) -> Case:
    return Case(ways, FAILED, "UNCONFIRMED", says="may have been charged.*never does so by itself", saved=False)


def refused(code: int, says: str, **more: Script) -> Case:
    answers = {f"{name}": created(answer) for name, answer in (("inside", inside(code)), ("status", real(code)))}
    return Case(answers | more, FAILED, str(code), sent_anew=True, says=says, saved=False)


def passing(ways: Mapping[str, Script | Mishap], says: str = "Looking again by itself") -> Case:
    return Case(ways, says=says)


def dropped(route: str, **fault: object) -> Mishap:
    """Have a create of the bad task, or the looks at it, go wrong at the sandbox."""
    # A look is asked a second time by the HTTP library itself.
    which: dict[str, object] = {"match": BAD} if route == "create" else {"times": 4}
    return Mishap(({"route": route, **which, **fault},))


CASES: dict[str, Case] = {
    # Creates that were not answered as they should be: nobody can know what became of them.
    "create-500": unconfirmed(**everywhere(created, 500, None, "5")),
    "create-501": unconfirmed(**everywhere(created, 501, None)),
    "create-502": unconfirmed(**everywhere(created, 502, None, "5")),
    "create-503": unconfirmed(**everywhere(created, 503, None, "5")),
    "create-505": unconfirmed(**everywhere(created, 505, None)),
    "create-408": unconfirmed(**everywhere(created, 408, None)),
    "create-451": unconfirmed(**everywhere(created, 451, None)),
    "create-html": unconfirmed(html=created(HTML)),
    "create-cut": unconfirmed(
        json=created(raw(CUT_CREATE)), sandbox=dropped("create", truncate=0.5, reset=True), nothing=created(raw(""))
    ),
    "create-types": unconfirmed(
        list=created(inside(200, data=["ext bad"])),
        number=created(inside(200, data={"taskId": 4711})),
        text=created(inside("200", data={"taskId": "ext bad"})),
        true=created(inside(code=True, data={"taskId": "ext bad"})),
        no_object=created(raw('["ext bad"]')),
        nested=created(raw("[" * 200_000)),
    ),
    "create-no-id": unconfirmed(
        none=created(inside(200)), empty=created(inside(200, data={"taskId": ""})), bare=created(inside(200, data={}))
    ),
    "create-reset-early": unconfirmed(
        sandbox=dropped("create", reset=True, before=True), writing=created(httpx.WriteError("reset"))
    ),
    "create-reset-late": unconfirmed(sandbox=dropped("create", reset=True), reading=created(httpx.ReadError("reset"))),
    "create-dropped": unconfirmed(
        sandbox=Mishap(prompt=f"{BAD} sandbox:lost"), hung_up=created(httpx.RemoteProtocolError("no answer"))
    ),
    "create-timeout": unconfirmed(
        sandbox=Mishap(({"route": "create", "delay": 3, "match": BAD},), patience=0.5),
        reading=created(httpx.ReadTimeout("no")),
    ),
    "create-surprise": unconfirmed(library=created(RuntimeError("a library's mistake"))),
    # Creates whose answer came and could not be written down.
    "create-not-stored": Case({"thrice": Script(unstored=3)}),
    # Creates that certainly did not arrive.
    "create-refused": Case(
        {
            "sandbox": Mishap(down="create"),
            "thrice": created(*[httpx.ConnectError("refused")] * 3),
        },
        says="Not sent yet: .*could not be reached.*sent by itself",
    ),
    "create-connect-timeout": Case(
        {"twice": created(*[httpx.ConnectTimeout("no")] * 2)}, says="Not sent yet: .*sent by itself"
    ),
    "create-429": Case(everywhere(created, 429, None, times=2), sent=3, says="Not sent yet: .*too many|429"),
    "create-429-wait": Case(everywhere(created, 429, "25"), sent=2, says="Not sent yet: .*sent by itself"),
    # Creates the service said no to.
    "create-400": refused(400, "nothing was charged"),
    "create-401": refused(401, "Check KIE_API_KEY"),
    "create-402": refused(402, "Top up.*nothing was charged"),
    "create-404": refused(404, "404", page=created(httpx.Response(404, json={"status": 404, "path": "/api/v1/x"}))),
    "create-422": refused(422, "nothing was charged"),
    "create-433": refused(433, "Raise the key's cap"),
    "create-455": refused(455, "Try again later; nothing was charged"),
    "create-500-field": Case(
        {
            "range": created(inside(500, msg="aspect_ratio is not within the range of allowed options")),
            "required": created(inside(500, msg="prompt is required")),
            "paused": created(inside(500, msg="This model is temporarily paused")),
        },
        FAILED,
        "500",
        sent_anew=True,
        says="nothing was charged",
        saved=False,
    ),
    # Looks that told nothing.
    "look-500": passing(everywhere(looked, 500, None, "40", times=2)),
    "look-502": passing(everywhere(looked, 502, None, "40", times=2)),
    "look-503": passing(
        everywhere(looked, 503, None, "40", times=2) | {str(code): looked(*[inside(code)] * 2) for code in (455, 505)}
    ),
    "look-429": passing(everywhere(looked, 429, None, "40", times=2)),
    "look-501": passing({"inside": looked(*[inside(501)] * 2), "empty": looked(*[inside(501, data={})] * 2)}),
    "look-501-record": Case(
        {"inside": looked(RUNNING, inside(501, data={"state": "fail", "failCode": "500", "failMsg": "Model busy"}))},
        FAILED,
        "500",
        says="Model busy",
        saved=False,
    ),
    "look-402": passing({"once": looked(RUNNING, POOR, POOR)}),
    "look-html": passing({"html": looked(HTML, HTML)}),
    "look-cut": passing({"json": looked(*[raw(CUT_LOOK)] * 2), "sandbox": dropped("look", truncate=0.5)}),
    "look-types": passing(
        {
            "list": looked(*[inside(200, data=["success"])] * 2),
            "state": looked(*[record(state=3)] * 2),
            "nothing": looked(*[record()] * 2),
            "text": looked(*[inside("200", data={"state": "success"})] * 2),
            "nested": looked(*[raw("[" * 200_000)] * 2),
        }
    ),
    "look-refused": passing(
        {"sandbox": Mishap(down="look", prompt=f"{BAD} sandbox:slow"), "twice": looked(*[httpx.ConnectError("no")] * 2)}
    ),
    "look-connect-timeout": passing({"twice": looked(*[httpx.ConnectTimeout("no")] * 2)}),
    "look-reset": passing({"sandbox": dropped("look", reset=True), "reading": looked(*[httpx.ReadError("no")] * 2)}),
    "look-dropped": passing(
        {"sandbox": dropped("look", drop=True), "hung up": looked(*[httpx.RemoteProtocolError("no")] * 2)}
    ),
    "look-timeout": passing({"twice": looked(*[httpx.ReadTimeout("no")] * 2)}),
    "look-surprise": passing({"library": looked(*[RuntimeError("a library's mistake")] * 2)}),
    "look-five": passing({"five": looked(http(502), httpx.ReadTimeout("no"), HTML, inside(500), inside(429))}),
    "look-down": Case(
        {"hours": looked(then=httpx.ConnectError("no"), step=300, lasting=3 * 60 * MINUTES)},
        PENDING,
        None,
        Activity.WATCHING,
        looks_again=True,
        says="could not be reached",
        saved=False,
    ),
    "look-401": Case({"twice": looked(RUNNING, DENIED, DENIED)}, says="Check KIE_API_KEY"),
    "look-401-for-ever": Case(
        {"hours": looked(then=DENIED, step=30, lasting=60 * MINUTES)},
        PENDING,
        None,
        Activity.PAUSED,
        looks_again=True,
        says="Check KIE_API_KEY",
        saved=False,
    ),
    # Looks that told something odd.
    "look-new-word": passing({"word": looked(record(state="dreaming"), record(state="dreaming"))}, says="dreaming"),
    "look-null": passing({"four": looked(*[NO_RECORD] * 4), "404": looked(*[inside(404)] * 2)}),
    "look-null-for-ever": Case(
        {"422": looked(then=NO_RECORD, step=30), "404": looked(then=inside(404), step=30)},
        FAILED,
        "TIMEOUT",
        Activity.GAVE_UP,
        says=r"30 minutes.*session\.refresh",
        saved=False,
    ),
    "look-endless": Case(
        {
            "running": looked(then=RUNNING, interval=600, step=600),
            "word": looked(then=record(state="dreaming"), interval=600, step=600),
        },
        FAILED,
        "TIMEOUT",
        Activity.GAVE_UP,
        says=r"30 minutes.*session\.refresh",
        saved=False,
    ),
    "look-no-result": passing({"twice": looked(EMPTY, EMPTY)}, says="success"),
    "look-no-result-for-ever": Case(
        {"empty": looked(then=EMPTY), "nothing": looked(then=record(state="success", resultJson=""))},
        FAILED,
        "NO_RESULT",
        Activity.GAVE_UP,
        says=r"names no file.*session\.refresh",
        saved=False,
    ),
    "look-fail": Case(
        {
            "policy": looked(RUNNING, record(state="fail", failCode="400", failMsg="content policy")),
            "flag": looked(record(successFlag=3, failCode=400, failMsg="content policy")),
        },
        FAILED,
        "400",
        says="content policy.*not charged",
        saved=False,
    ),
    # Files.
    "file-refused": Case(
        {"sandbox": Mishap(({"route": "look", "body": ELSEWHERE},))}, says=r"session\.refresh", saved=False
    ),
    "file-500": Case({"sandbox": Mishap(({"route": "file", "http": 503, "times": 3},))}),
    "file-cut": Case({"sandbox": Mishap(({"route": "file", "truncate": 0.5, "reset": True, "times": 2},))}),
    "file-cut-for-ever": Case(
        {"sandbox": Mishap(({"route": "file", "truncate": 100, "times": 0},))}, says=r"session\.refresh", saved=False
    ),
    "file-short": Case(
        {"sandbox": Mishap(({"route": "file", "truncate": 0.5, "complete": True},))},
        says=r"damaged.*session\.refresh",
        saved=False,
    ),
    "file-expired": Case({"sandbox": Mishap(({"route": "file", "http": 403},))}),
    "file-expired-for-ever": Case(
        {"sandbox": Mishap(({"route": "file", "http": 403, "times": 0},))},
        says=r"does not work any more.*session\.refresh",
        saved=False,
    ),
    "file-html": Case(
        {"sandbox": Mishap(({"route": "file", "body": "<html>Sign in to continue</html>"},))},
        says=r"not a picture.*session\.refresh",
        saved=False,
    ),
    "file-disk-full": Case({"sandbox": Mishap(full=True)}, says=r"No space left.*session\.refresh", saved=False),
}
SCRIPTED = {
    name: ways
    for name in CASES
    if (ways := {way: how for way, how in CASES[name].ways.items() if isinstance(how, Script)})
}
SANDBOXED = {
    f"{name}-{way}": (name, how) for name in CASES for way, how in CASES[name].ways.items() if isinstance(how, Mishap)
}


@pytest.fixture
def clock() -> FakeClock:
    return LivelyClock()


@pytest.fixture
def kie(clock: FakeClock) -> ScriptedKie:
    return ScriptedKie(clock)


@pytest.fixture
def scripted(make_engine: Callable[..., Engine], kie: ScriptedKie, clock: FakeClock) -> ScriptedWorld:
    return ScriptedWorld(make_engine, kie, clock)


@pytest.fixture(scope="module")
def sandbox(start_sandbox: Any) -> Iterator[Any]:
    running = start_sandbox("--speed", "20")
    yield running
    running.stop()


@pytest.fixture
def sandboxed(
    sandbox: Any,
    start_sandbox: Any,
    make_session: Callable[..., Session],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SandboxWorld]:
    world = SandboxWorld(sandbox, start_sandbox, make_session, tmp_path, monkeypatch)
    yield world
    world.close()


@pytest.mark.parametrize("name", SCRIPTED)
def test_a_fault_ends_as_the_table_says_and_touches_no_other_task(scripted: ScriptedWorld, name: str) -> None:
    for way, ending in scripted.play(SCRIPTED[name]).items():
        _check(CASES[name], ending, way)


@pytest.mark.parametrize("name", SANDBOXED)
def test_a_fault_at_a_real_server_ends_so_too(sandboxed: SandboxWorld, name: str) -> None:
    case, how = SANDBOXED[name]
    _check(CASES[case], sandboxed.play(how), name)


def _check(case: Case, ending: Ending, way: str) -> None:
    story = f"{way}: {ending}"
    assert (ending.status, ending.fail_code, ending.activity) == (case.status, case.fail_code, case.activity), story
    assert ending.healthy is SUCCESS, story
    assert ending.sent == case.sent, story
    assert ending.sent_anew is case.sent_anew, story
    assert ending.looks_again is case.looks_again, story
    assert ending.saved is case.saved, story
    assert re.search(case.says, ending.said, re.DOTALL), story
    if not case.sent_anew:
        assert "nothing was charged" not in ending.said, f"an advice to pay again; {story}"


def _rows() -> dict[str, list[str]]:
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({row[0] for row in cells}) == len(cells), "each fault has one row"
    return {row[0].strip("`"): row[1:] for row in cells}


def test_the_document_names_the_same_faults_as_the_test() -> None:
    assert sorted(_rows()) == sorted(CASES)


def test_the_document_names_the_ends_the_test_has_seen() -> None:
    for name, cells in _rows().items():
        case = CASES[name]
        assert len(cells) == 4, name
        assert all(cells), f"{name}: every cell says something"
        expected = {case.status.value, case.fail_code, case.activity and case.activity.value} - {None}
        assert set(re.findall(r"`([^`]+)`", cells[1])) == expected, name
