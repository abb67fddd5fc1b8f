"""The house rules that a reader can check and a machine checks on every run."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "reactor"
SOURCES = sorted(PACKAGE.rglob("*.py"))
PURE = ("core", "binance")

PURE_IMPORTS = {
    "base64",
    "bisect",
    "abc",
    "collections",
    "copy",
    "dataclasses",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "itertools",
    "math",
    "msgspec",
    "operator",
    "orjson",
    "re",
    "string",
    "tomllib",
    "types",
    "typing",
    "urllib.parse",
}
"""What the pure rooms may import: nothing in it touches the world, a clock, or chance."""

PURE_ROOMS = {
    "core": {"reactor.core", "reactor.errors", "reactor.limits"},
    "binance": {"reactor.core.exact", "reactor.binance", "reactor.errors", "reactor.limits"},
}
"""And which rooms of the house they may look into."""

IMPURE_CALLS = {"open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint"}

VAGUE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}

LINES_PER_FUNCTION_MAX = 70
LINES_PER_MODULE_MAX = 500
LINES_PER_LONG_MODULE_MAX = 720
LONG_MODULES = {
    "reactor/shell/guard.py": "the one door: everything that comes in, decided, sent and told in one place",
    "reactor/core/engine.py": "what opens, steers and ends epochs; the tick path is in ticks.py",
    "reactor/core/orders.py": "every way in which an order may be sent or end, in one place",
}
"""Modules that may be somewhat longer, each with its reason."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported module with its line, those inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from urllib import parse` is an import of urllib.parse.
            if module in {"urllib", "reactor", "reactor.core", "reactor.binance"}:
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, "." * node.level + module


def is_within(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_import_nothing_that_touches_the_world(room: str) -> None:
    wrong = [
        f"{name_of(path)}:{lineno} imports {module}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for lineno, module in imports(path)
        if not is_within(module, PURE_IMPORTS) and not is_within(module, PURE_ROOMS[room])
    ]
    assert wrong == []


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_call_nothing_that_touches_the_world(room: str) -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno} calls {node.func.id}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in IMPURE_CALLS
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "line",
    [
        "import asyncio",
        "import socket",
        "import ssl",
        "import aiohttp",
        "import picows",
        "import sqlite3",
        "import time",
        "from time import monotonic_ns",
        "import random",
        "import os",
        "from os import path",
        "import logging",
        "import structlog",
        "import numpy as np",
        "from pathlib import Path",
        "import io",
        "import urllib.request",
        "from urllib import request",
        "import datetime",
        "import importlib",
        "from reactor import shell",
        "from reactor.shell.tape import Tape",
        "def f():\n    import time",
    ],
)
def test_the_import_rule_would_notice(line: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(line + "\n", encoding="utf-8")
    for room in PURE:
        assert not all(
            is_within(module, PURE_IMPORTS) or is_within(module, PURE_ROOMS[room])
            for _, module in imports(file)
        )


def test_every_name_says_what_it_is() -> None:
    places = [*PACKAGE.rglob("*"), *(ROOT / "tests").rglob("*")]
    assert [
        name_of(path)
        for path in places
        if path.stem.lower() in VAGUE_NAMES and "__pycache__" not in path.parts
    ] == []


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines from `def` to the end, its docstring left out."""
    last = function.end_lineno or function.lineno
    count = last - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        count -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return count


def test_no_function_is_too_long_to_see_at_once() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno} {node.name} has {code_lines(node)} lines"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > LINES_PER_FUNCTION_MAX
    ]
    assert wrong == []


def test_no_module_is_more_than_one_thing() -> None:
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES
    }
    long = {name for name, count in lengths.items() if count > LINES_PER_MODULE_MAX}
    assert long - set(LONG_MODULES) == set(), "split it, or give a reason"
    assert set(LONG_MODULES) - long == set(), "short enough now: take it off the list"
    assert all(lengths[name] <= LINES_PER_LONG_MODULE_MAX for name in LONG_MODULES)


def test_every_module_says_what_it_is_for() -> None:
    assert [name_of(path) for path in SOURCES if ast.get_docstring(tree(path)) is None] == []


TASK_MAKERS = {"create_task", "ensure_future"}


def task_faults(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Tasks that nobody holds (they may vanish unfinished) and tasks without a name."""
    dropped = {node.value for node in ast.walk(module) if isinstance(node, ast.Expr)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call):
            continue
        owner, _, called = ast.unparse(node.func).rpartition(".")
        if called not in TASK_MAKERS:
            continue
        # A task group holds its tasks itself.
        in_a_group = owner.rpartition(".")[2].lstrip("_").endswith(("group", "tasks"))
        if node in dropped and not in_a_group:
            yield node.lineno, "nobody holds it"
        if not any(keyword.arg == "name" for keyword in node.keywords):
            yield node.lineno, "it has no name"


def test_every_task_is_held_and_has_a_name() -> None:
    assert [
        f"{name_of(path)}:{lineno} {fault}"
        for path in SOURCES
        for lineno, fault in task_faults(tree(path))
    ] == []


@pytest.mark.parametrize(
    ("code", "faults"),
    [
        ("asyncio.create_task(f())", ["nobody holds it", "it has no name"]),
        ("create_task(f(), name='x')", ["nobody holds it"]),
        ("loop.create_task(f(), name='x')", ["nobody holds it"]),
        ("task = asyncio.create_task(f())", ["it has no name"]),
        ("task = asyncio.create_task(f(), name='x')", []),
        ("task_group.create_task(f(), name='x')", []),
        ("self._tasks.create_task(f())", ["it has no name"]),
    ],
)
def test_the_task_rule_would_notice(code: str, faults: list[str]) -> None:
    assert [fault for _, fault in task_faults(ast.parse(code))] == faults


# What a project file may speak of ---------------------------------------------------------------------

# Put together here, so that this file does not say what it forbids.
WORKPLACE = re.compile(
    "|".join(
        [
            "/" + "(?:work|farm|root)" + "/",
            "bash" + "_jobs",
            r"\." + "library",
            "before" + "-stop",
            "venv" + "-interop",
        ]
    )
)
BINARY = {".gz", ".zst", ".png", ".ico", ".npz", ".db", ".zip", ".pyc", ".so"}
LEFT_OUT = {".git", ".ci", "__pycache__", ".venv", "venv", "dist", "build", "htmlcov"}


def project_files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part in LEFT_OUT or part.endswith(("_cache", ".egg-info")) for part in parts)
        if path.is_file() and not hidden and path.suffix not in BINARY:
            if parts[0].startswith(".") and path.name != ".gitignore":
                continue
            yield path


def test_project_files_speak_of_the_product_only() -> None:
    wrong = []
    for path in project_files():
        for number, row in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if WORKPLACE.search(row):
                wrong.append(f"{name_of(path)}:{number}")
    assert wrong == []


def test_nothing_is_left_for_later_in_the_code() -> None:
    later = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    assert [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        for number, row in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if later.search(row)
    ] == []


# The error tree -----------------------------------------------------------------------------------------

BRANCH = re.compile(r"^(?P<indent>(?:│   |    )*)(?:├── |└── )?(?P<name>[A-Z][A-Za-z]+)(?:  .*)?$")


def drawn_errors(docstring: str) -> dict[str, str]:
    """Class → base, as the tree in the docstring draws them."""
    parents: list[str] = []
    found: dict[str, str] = {}
    for row in docstring.splitlines()[1:]:
        match = BRANCH.match(row)
        if match is None:
            if found:
                break
            continue
        is_branch = "──" in row
        depth = len(match["indent"]) // 4 + 1 if is_branch else 0
        del parents[depth:]
        found[match["name"]] = parents[-1] if parents else "Exception"
        parents.append(match["name"])
    return found


def test_the_drawn_tree_of_errors_is_the_one_that_is_raised() -> None:
    module = tree(PACKAGE / "errors.py")
    classes = {
        node.name: ", ".join(ast.unparse(base) for base in node.bases)
        for node in module.body
        if isinstance(node, ast.ClassDef)
    }
    drawn = drawn_errors(ast.get_docstring(module) or "")
    assert len(drawn) > 5
    assert drawn == classes


ERRORS_ELSEWHERE = {"StreamDamaged": "a named state of a stream; its one reader catches it"}


def test_errors_are_defined_in_one_place() -> None:
    found = {
        node.name: name_of(path)
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and any(
            ast.unparse(base).endswith(("Error", "Exception", "Warning")) for base in node.bases
        )
        and path != PACKAGE / "errors.py"
    }
    assert set(found) == set(ERRORS_ELSEWHERE)
