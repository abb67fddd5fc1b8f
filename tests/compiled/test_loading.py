"""The compiled module is used where it belongs to what is here, and one line says why it is not."""

import subprocess
import sys
from types import ModuleType

import pytest

from reactor import compiled


def said() -> str:
    """Why it is not loaded."""
    hot, why_not = compiled._load()
    assert hot is None
    assert why_not
    assert "\n" not in why_not
    return why_not


def test_it_is_switched_off_from_outside() -> None:
    code = "from reactor import compiled; print(compiled.hot, compiled.why_not)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={compiled.SWITCH: "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "None switched off by REACTOR_COMPILED=0\n"


def test_without_picows_the_rest_works() -> None:
    code = """
import sys
sys.modules["picows"] = None
import reactor.shell.guard
from reactor import compiled
print(compiled.hot, compiled.why_not)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={}, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("None ")
    assert len(done.stdout.splitlines()) == 1


def test_without_the_module_a_compiler_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "a C compiler is needed" in said()


@pytest.mark.parametrize(
    "error",
    [
        ImportError("/lib/libc.so.6: version `GLIBC_2.99' not found (required by _hot.so)"),
        ImportError("Market.last_id is no plain slot"),
        ValueError("picows.picows.WSFrame size changed,\nmay indicate binary incompatibility"),
    ],
)
def test_what_cannot_be_loaded_is_told_as_that(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        """A package whose module cannot be had."""

        __path__ = ()

        def __getattr__(self, name: str) -> object:
            raise error

    monkeypatch.delenv(compiled.SWITCH, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setitem(sys.modules, "reactor.compiled", Broken())
    why_not = said()
    assert why_not == f"it cannot be loaded: {type(error).__name__}: {' '.join(str(error).split())}"


@pytest.mark.skipif(compiled.hot is None, reason=compiled.why_not)
class TestWithTheModule:
    """Where it was compiled."""

    def test_it_is_loaded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(compiled.SWITCH, "1")
        hot, why_not = compiled._load()
        assert isinstance(hot, ModuleType)
        assert why_not == ""

    def test_another_picows_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("picows.version.__version__", "99.1.2")
        why_not = said()
        assert "99.1.2 is here: install the package again" in why_not

    def test_another_source_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compiled.hot, "SOURCE", "0" * 64)
        assert "another source" in said()
