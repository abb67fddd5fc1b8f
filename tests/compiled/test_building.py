"""The package is built with its compiled module where there is a compiler, and without it where there is none."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def wheel(tmp_path: Path, compiler: str) -> tuple[str, list[str]]:
    """A wheel of a copy of this source: its name, and what of the compiled module is in it."""
    for needed in ("hatchling", "Cython", "setuptools"):
        pytest.importorskip(needed, reason="what builds the package is not there when it only runs")
    source = tmp_path / "source"
    shutil.copytree(
        ROOT / "reactor", source / "reactor", ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=source,
        env={
            "CC": compiler,
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "TMPDIR": str(scratch),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(scratch.glob("compiled-*")) == []
    (made,) = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(made).namelist()
    assert "reactor/cli.py" in names
    assert "reactor/compiled/_hot.pyx" in names
    return made.name, [
        name
        for name in names
        if name.startswith("reactor/compiled/_hot.") and name.endswith((".so", ".pyd"))
    ]


def test_without_a_compiler_the_package_is_built_pure(tmp_path: Path) -> None:
    name, compiled = wheel(tmp_path, "false")
    assert name.endswith("-py3-none-any.whl")
    assert compiled == []


def test_with_a_compiler_it_holds_the_module(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    name, compiled = wheel(tmp_path, "cc")
    assert not name.endswith("-any.whl")
    assert len(compiled) == 1
