"""What `from reactor import …` gives, and that it costs a command nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import reactor

SOURCE = Path(reactor.__file__)


@pytest.mark.parametrize("name", reactor.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(reactor, name) is not None
    assert name in dir(reactor)


def test_what_type_checkers_see_is_what_is_there() -> None:
    """The imports for type checkers, the table of rooms and `__all__` name the same things."""
    nodes = ast.parse(SOURCE.read_text(encoding="utf-8")).body
    guarded = next(node for node in nodes if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == reactor._ROOM_OF
    assert sorted(imported) == sorted(reactor.__all__)


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = reactor.nothing  # type: ignore[attr-defined]


def test_importing_the_package_imports_no_library() -> None:
    program = "import sys, reactor; print(*sorted(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "reactor" in found
    assert not {"msgspec", "orjson", "numpy", "rich", "asyncio", "reactor.core.engine"} & set(found)


def test_the_version_answers_without_importing_commands() -> None:
    program = (
        "import sys\nfrom reactor.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    print(*sorted(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[0] == f"reactor {reactor.__version__}"
    assert not {"msgspec", "numpy", "rich", "asyncio"} & set(shown[1].split())
