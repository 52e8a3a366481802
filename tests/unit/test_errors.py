"""The error tree: the code decides the class, every message says what to do, and errors survive pickling."""

from __future__ import annotations

import inspect
import pickle
from datetime import UTC, datetime

import pytest

from kiegen_nb import errors
from kiegen_nb.errors import (
    SERVICE_ERRORS,
    InvalidParams,
    KiegenError,
    MissingKey,
    ServiceError,
    TaskFailed,
    TaskTimeout,
    TaskUnconfirmed,
    WrongThread,
    service_error,
)
from kiegen_nb.tasks import GenerationTask

TASK = GenerationTask(id="a" * 32, model="IMAGEN4", api_model="google/imagen4", created_at=datetime.now(UTC))
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
SERVICE_CLASSES = [kind for kind in CLASSES if issubclass(kind, ServiceError) and kind is not ServiceError]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_a_kiegen_error_and_says_what_it_is(kind: type[Exception]) -> None:
    assert issubclass(kind, KiegenError)
    assert kind.__doc__


def test_the_tree_in_the_module_names_every_error() -> None:
    assert errors.__doc__ is not None
    assert [kind.__name__ for kind in CLASSES if kind.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize("kind", SERVICE_CLASSES)
def test_every_error_of_the_service_gives_advice_of_its_own(kind: type[ServiceError]) -> None:
    assert kind.advice != ServiceError.advice
    error = kind("the service's own words", code=455)
    assert str(error) == f'Kie answered 455: "the service\'s own words". {kind.advice}'


@pytest.mark.parametrize(("code", "kind"), sorted(SERVICE_ERRORS.items()))
def test_a_documented_code_becomes_its_class(code: int, kind: type[ServiceError]) -> None:
    error = service_error(code, "words.", retry_after=3.0)
    assert type(error) is kind
    assert (error.code, error.message, error.retry_after) == (code, "words.", 3.0)


@pytest.mark.parametrize(
    ("code", "name"), [(599, "ServiceUnavailable"), (418, "RequestRefused"), (0, "RequestRefused")]
)
def test_an_unknown_code_is_told_apart_by_its_hundred(code: int, name: str) -> None:
    assert type(service_error(code, "?")).__name__ == name


def test_only_what_asking_again_can_help_is_retryable() -> None:
    retryable = {kind.__name__ for kind in SERVICE_CLASSES if kind.retryable}
    assert retryable == {"RateLimited", "Maintenance", "ServiceUnavailable", "LookFailed", "UnreadableAnswer"}


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(InvalidParams, ValueError)
    assert issubclass(TaskTimeout, TimeoutError)
    assert issubclass(TaskUnconfirmed, TaskFailed)
    assert issubclass(WrongThread, RuntimeError)


def test_a_missing_key_says_how_to_give_one() -> None:
    assert "KIE_API_KEY" in str(MissingKey())


@pytest.mark.parametrize("kind", [TaskFailed, TaskUnconfirmed, TaskTimeout])
def test_an_error_about_a_task_carries_it_also_through_a_pickle(kind: type[errors.TaskError]) -> None:
    error = pickle.loads(pickle.dumps(kind(TASK, "it failed")))  # noqa: S301 - our own bytes
    assert type(error) is kind
    assert error.task == TASK
    assert str(error) == "it failed"


def test_wrong_params_keep_their_fields_through_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(InvalidParams({"prompt": "is empty."})))  # noqa: S301 - our own bytes
    assert error.fields == {"prompt": "is empty."}


@pytest.mark.parametrize("kind", SERVICE_CLASSES)
def test_an_error_of_the_service_survives_a_pickle(kind: type[ServiceError]) -> None:
    before = kind("words", code=500, retry_after=2.0)
    after = pickle.loads(pickle.dumps(before))  # noqa: S301 - our own bytes
    assert (str(after), after.code, after.message, after.retry_after) == (str(before), 500, "words", 2.0)
