"""The public names, what an import loads, and which room may import which."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

import pytest

import kiegen_nb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGE = Path(kiegen_nb.__file__).parent
HEAVY = (
    "ipywidgets",
    "anywidget",
    "IPython",
    "httpx",
    "aiohttp",
    "sqlalchemy",
    "pydantic",
    "PIL",
    "tornado",
    "traitlets",
)
LONGEST = 420  # lines of one module: about 400, and then it is two

# Top to bottom: a room imports rooms below it and itself.
FLOORS = (
    {"widgets"},
    {"session", "nesting", "provenance"},
    {"batch"},
    {"server"},
    {"engine"},
    {"kie"},
    {"service"},
    {"tasks"},
    {"settings", "errors"},
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# The only steps upwards: (module, what it imports, the function it does so in). They show something, or read one
# constant; each is inside a function, so that nothing is loaded before it is used.
UPWARDS = {
    ("kiegen_nb.tasks", "kiegen_nb.widgets.summary", "_repr_html_"),
    ("kiegen_nb.batch.batch", "kiegen_nb.widgets.grid", "grid"),
}
# Rooms side by side that must not know each other: the engine speaks to a service through its protocol alone.
STRANGERS = ({"engine", "kie"}, {"server", "kie"})

# Of the errors these three show how they are caught; the others are caught likewise.
CAUGHT = {"KiegenError", "ServiceError", "TaskError"}
# Whose methods people call in cells.
HELD = (
    "Batch",
    "Form",
    "Gallery",
    "GenerationTask",
    "Grid",
    "Plan",
    "Session",
    "Studio",
    "TaskHandle",
    "TaskQuery",
    "UploadHandle",
    "UploadWidget",
)
# Public to other modules, but nothing to be called in a cell, so without an example: method -> why.
PLUMBING = {
    "Form.is_shown": "the studio asks it where a result fits",
    "SessionWatching.on_display": "widgets write on the display thread with it",
    "UploadHandle.begin": "the uploader says it",
    "UploadHandle.progress": "the uploader says it",
    "UploadHandle.end": "the uploader says it",
}
# What a name stands for in an example.
MEANT = {
    "batch": ("Batch",),
    "form": ("Form",),
    "gallery": ("Gallery",),
    "handle": ("TaskHandle", "UploadHandle"),
    "plan": ("Plan",),
    "query": ("TaskQuery",),
    "session": ("Session",),
    "studio": ("Studio",),
    "widget": ("UploadWidget",),
}


class Imports(ast.NodeVisitor):
    """Every import of the package in one module: what, in which function, and whether for types only."""

    def __init__(self, module: str, *, is_package: bool) -> None:
        self._package = module if is_package else module.rpartition(".")[0]
        self._functions: list[str] = []
        self._typing = False
        self.found: set[tuple[str, str, bool]] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_If(self, node: ast.If) -> None:
        before = self._typing
        self._typing = before or (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
        for child in node.body:
            self.visit(child)
        self._typing = before
        for child in node.orelse:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            parts = self._package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
        for alias in node.names:
            # `from kiegen_nb.engine import pictures` names a module, `from kiegen_nb.tasks import Asset` does not.
            name = f"{base}.{alias.name}"
            self._add(name if name in MODULES else base)

    def _add(self, name: str) -> None:
        if name.partition(".")[0] == "kiegen_nb":
            self.found.add((name, self._functions[-1] if self._functions else "", self._typing))


def module_name(file: Path) -> str:
    parts = ["kiegen_nb", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module: str) -> set[tuple[str, str, bool]]:
    file = MODULES[module]
    visitor = Imports(module, is_package=file.name == "__init__.py")
    visitor.visit(ast.parse(file.read_text(encoding="utf-8")))
    return visitor.found


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


ROOMS = [name for name in MODULES if room_of(name) not in {"", "sandbox"}]


def typing_imports() -> dict[str, str]:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    found: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "a name is exported again on purpose: import x as x"
            found[alias.name] = node.module or ""
    return found


def test_the_table_of_names_is_what_type_checkers_see() -> None:
    assert typing_imports() == kiegen_nb._HOME


@pytest.mark.parametrize("name", kiegen_nb.__all__)
def test_every_public_name_is_there_and_lives_where_the_table_says(name: str) -> None:
    value = getattr(kiegen_nb, name)
    assert value is getattr(importlib.import_module(kiegen_nb._HOME[name]), name)
    assert value.__doc__


def test_every_error_is_public() -> None:
    from kiegen_nb import errors  # noqa: PLC0415 - only this test needs it

    ours = {
        name for name, value in vars(errors).items() if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert ours - set(kiegen_nb.__all__) == set()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Imagen5'"):
        kiegen_nb.Imagen5  # noqa: B018 - reading it is the test


def test_dir_lists_the_public_names() -> None:
    assert set(dir(kiegen_nb)) == {*kiegen_nb.__all__, "__version__"}


def loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_library() -> None:
    assert loaded_by("import kiegen_nb, kiegen_nb.errors").intersection(HEAVY) == set()


def test_a_script_without_widgets_loads_no_widget_library() -> None:
    loaded = loaded_by("from kiegen_nb import Session, imagen4")
    assert loaded.intersection({"ipywidgets", "anywidget", "IPython"}) == set()


@pytest.mark.parametrize("module", ROOMS)
def test_imports_point_downwards_only(module: str) -> None:
    floor = FLOOR_OF[room_of(module)]
    upwards = set()
    for target, function, typing in imports_of(module):
        room = room_of(target)
        if room and FLOOR_OF[room] < floor and not typing and (module, target, function) not in UPWARDS:
            upwards.add((module, target, function))
    assert upwards == set()


@pytest.mark.parametrize("module", ROOMS)
def test_even_for_types_no_room_below_knows_one_above(module: str) -> None:
    known = {room_of(target) for target, _, typing in imports_of(module) if typing} - {""}
    allowed = {room for room, floor in FLOOR_OF.items() if floor >= FLOOR_OF[room_of(module)]}
    # The two lowest floors and the service protocol are one vocabulary: they may name each other's types.
    if room_of(module) in {"service", "tasks", "settings", "errors"}:
        allowed |= {"service", "tasks", "settings", "errors"}
    assert known - allowed == set()


@pytest.mark.parametrize("module", ROOMS)
def test_rooms_that_must_not_know_each_other_do_not(module: str) -> None:
    known = {room_of(target) for target, _, _ in imports_of(module)}
    for pair in STRANGERS:
        if room_of(module) in pair:
            assert known & (pair - {room_of(module)}) == set()


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) == "sandbox"])
def test_the_sandbox_shares_no_code_with_the_rest(module: str) -> None:
    assert {target for target, _, _ in imports_of(module) if room_of(target) != "sandbox"} == set()


@pytest.mark.parametrize("module", ROOMS)
def test_nobody_imports_the_sandbox(module: str) -> None:
    assert "sandbox" not in {room_of(target) for target, _, _ in imports_of(module)}


def test_every_listed_step_upwards_is_still_taken() -> None:
    assert {step for step in UPWARDS if (step[1], step[2], False) not in imports_of(step[0])} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_is_too_long_to_be_read_at_once(module: str) -> None:
    lines = MODULES[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{module} has {lines} lines"


def own_methods(name: str) -> Iterator[tuple[str, Any]]:
    """Yield the methods a class has of this package, by where they are defined."""
    for owner in getattr(kiegen_nb, name).__mro__:
        if owner.__module__.partition(".")[0] == "kiegen_nb":
            for called, value in vars(owner).items():
                method = getattr(value, "__func__", value)
                if not called.startswith("_") and inspect.isfunction(method):
                    yield f"{owner.__name__}.{called}", method


METHODS = dict(found for name in HELD for found in own_methods(name))


def is_told_by_an_example(name: str) -> bool:
    value = getattr(kiegen_nb, name)
    if isinstance(value, type) and issubclass(value, BaseException):
        return name in CAUGHT
    return not isinstance(value, UnionType)  # Python gives it no docstring of its own


SHOWN: dict[str, Any] = {
    **{name: getattr(kiegen_nb, name) for name in kiegen_nb.__all__ if is_told_by_an_example(name)},
    **{name: method for name, method in METHODS.items() if name not in PLUMBING},
}


def example_of(name: str) -> str:
    """Return the code of a name's example."""
    return "".join(one.source for one in doctest.DocTestParser().get_examples(inspect.getdoc(SHOWN[name]) or ""))


def tree_of(name: str) -> ast.Module:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
    tree = compile(example_of(name), name, "exec", flags)
    assert isinstance(tree, ast.Module)
    return tree


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_docstring_has_one_example(name: str) -> None:
    before, *sections = (inspect.getdoc(SHOWN[name]) or "").split("\nExample:\n")
    assert len(sections) == 1
    assert ">>>" in sections[0]
    assert ">>>" not in before


def test_only_methods_that_are_there_go_without_an_example() -> None:
    assert set(PLUMBING) - set(METHODS) == set()
    assert {name for name in PLUMBING if ">>>" in (METHODS[name].__doc__ or "")} == set()


def test_no_two_examples_are_the_same() -> None:
    assert len({example_of(name) for name in SHOWN}) == len(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_every_example_is_python_in_a_cell(name: str) -> None:
    assert tree_of(name).body


def meant_by(called: ast.expr) -> list[tuple[Callable[..., object], bool]]:
    """Return what a call in an example may call, and whether that takes a ``self`` first; nothing of others' names."""
    if isinstance(called, ast.Name):
        return [(getattr(kiegen_nb, called.id), False)] if called.id in kiegen_nb.__all__ else []
    if not isinstance(called, ast.Attribute) or not isinstance(called.value, ast.Name):
        return []
    name = called.value.id
    if name in kiegen_nb.__all__:
        return [(getattr(getattr(kiegen_nb, name), called.attr), False)]
    found = [getattr(getattr(kiegen_nb, owner), called.attr, None) for owner in MEANT.get(name, ())]
    assert name not in MEANT or any(found), f"{ast.unparse(called)} is no method"
    return [(method, inspect.isfunction(method)) for method in found if method is not None]


def takes(called: Callable[..., object], call: ast.Call, *, with_self: bool) -> bool:
    positional = [None] * (with_self + len(call.args))
    try:
        inspect.signature(called).bind(*positional, **{str(one.arg): None for one in call.keywords})
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", SHOWN)
def test_the_calls_of_every_example_fit_their_signatures(name: str) -> None:
    for call in ast.walk(tree_of(name)):
        if isinstance(call, ast.Call) and (meant := meant_by(call.func)):
            assert any(takes(one, call, with_self=with_self) for one, with_self in meant), ast.unparse(call)


def has_true_examples(file: Path) -> bool:
    """Whether a module has an example that needs no session, and so can be run as it stands."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return any(line.lstrip().startswith(">>>") and "+SKIP" not in line for line in lines)


@pytest.mark.parametrize("module", [name for name, file in MODULES.items() if has_true_examples(file)])
def test_the_examples_are_true(module: str) -> None:
    names = {name: getattr(kiegen_nb, name) for name in kiegen_nb.__all__}
    done = doctest.testmod(importlib.import_module(module), extraglobs=names)
    assert done.attempted > 0
    assert done.failed == 0
