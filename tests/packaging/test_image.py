"""The container image's recipe, read. `.ci/run` also carries out its steps; neither needs an engine."""

import json
import re
import shlex
from pathlib import Path

import pytest
from dockerfile import Stage, context, copy_of, is_ignored, stages

from reactor.cli import parser

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recipe() -> list[Stage]:
    return stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sent() -> list[str]:
    return context(ROOT)


def test_there_is_a_stage_that_builds_and_one_that_runs(recipe: list[Stage]) -> None:
    build, final = recipe
    assert build.name == "build"
    assert final.name == ""
    # One base: the environment's interpreter must be where it was when it was built.
    assert build.base == final.base
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", build.base), "pin version and Debian release"


def test_what_is_copied_exists_and_reaches_the_build(recipe: list[Stage], sent: list[str]) -> None:
    for stage in recipe:
        for copy in map(copy_of, stage.all_of("COPY")):
            if copy.stage:
                assert copy.stage == "build"
                continue
            for source in copy.sources:
                assert (ROOT / source).exists(), source
                assert any(name == source or name.startswith(f"{source}/") for name in sent), source


def test_what_the_package_needs_reaches_the_build(sent: list[str]) -> None:
    for name in ("reactor/py.typed", "reactor/plans/trend_follow.toml", "README.md"):
        assert name in sent


def test_nothing_private_or_needless_is_sent(sent: list[str]) -> None:
    folders = {name.partition("/")[0] for name in sent}
    assert folders <= {"pyproject.toml", "README.md", "reactor", "fixtures"}
    assert not [name for name in sent if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("reactor/cli.py", False),
        ("reactor/core/engine.py", False),
        ("reactor/core/__pycache__/engine.pyc", True),
        ("tests/core/test_atr.py", True),
        (".git/config", True),
        ("reactor.toml", True),
        (".env", True),
    ],
)
def test_ignored(name: str, *, ignored: bool) -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert (
        is_ignored(name, [rule for rule in rules if rule and not rule.startswith("#")]) is ignored
    )


def test_it_runs_as_nobody_in_particular(recipe: list[Stage]) -> None:
    user = recipe[-1].last("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a number, and not root"
    after = [i.word for i in recipe[-1].instructions]
    assert "RUN" not in after[after.index("USER") :]


def test_no_build_tools_stay(recipe: list[Stage]) -> None:
    commands = " ".join(recipe[-1].all_of("RUN"))
    assert not re.search(r"apt-get|gcc|pip install", commands)
    assert "uninstall --yes pip" in commands
    assert "uninstall --yes pip" in " ".join(recipe[0].all_of("RUN"))


def test_its_commands_are_ones_that_reactor_has(recipe: list[Stage]) -> None:
    final = recipe[-1]
    assert json.loads(final.last("ENTRYPOINT")) == ["reactor"]
    health = json.loads(final.last("HEALTHCHECK").partition("CMD ")[2])
    assert health[0] == "reactor"
    assert parser().parse_args(health[1:]).check
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args(json.loads(final.last("CMD")))
    assert stopped.value.code == 0


def test_it_can_be_stopped_and_says_what_it_is(recipe: list[Stage]) -> None:
    final = recipe[-1]
    assert final.last("STOPSIGNAL") in {"SIGINT", "SIGTERM"}
    labels = dict(part.split("=", 1) for part in shlex.split(" ".join(final.all_of("LABEL"))))
    for name in ("title", "description", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]
    arguments = {rest.partition("=")[0] for rest in final.all_of("ARG")}
    assert arguments == {"VERSION", "REVISION"}
