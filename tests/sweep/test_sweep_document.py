"""docs/sweep.md names every option, every objective and every field of every line."""

import argparse
import json
import re
from pathlib import Path

import pytest
from swept import tick_walk

from reactor.cli import main, parser
from reactor.sweep.measures import OBJECTIVES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sweep.md").read_text(encoding="utf-8")
AS_IN_REPLAY = {
    "--config",
    "--fill",
    "--input",
    "--tick",
    "--step",
    "--min-qty",
    "--atr",
    "--trigger",
}


def test_every_option_is_described() -> None:
    tree = parser("sweep")
    (commands,) = [a for a in tree._actions if isinstance(a, argparse._SubParsersAction)]
    options = {
        word
        for action in commands.choices["sweep"]._actions
        for word in action.option_strings
        if word.startswith("--") and word != "--help"
    }
    described = set(re.findall(r"[` (](--[a-z-]+)", DOCUMENT))
    assert options - described - AS_IN_REPLAY == set()


def test_every_objective_is_described() -> None:
    for name in OBJECTIVES:
        assert f"`{name}`" in DOCUMENT


def test_every_field_of_every_line_is_described(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=9000)
    words = ["sweep", str(file), "--json", "--set", "stop.atr=1,2", "--every", "5m", "--folds", "1"]
    assert main([*words, "--workers", "1", "--min-trades", "1"]) == 0
    kinds: dict[str, set[str]] = {}
    kind = ""
    for row in DOCUMENT.split("## Output")[1].splitlines():
        if row.startswith("| ") and not row.startswith("| `type`"):
            first, fields = (cell.strip() for cell in row.split("|")[1:3])
            kind = first.strip("`") or kind
            kinds.setdefault(kind, set()).update(re.findall(r"`(\w+)`", fields))
    measures = re.search(r"measures: (.*?) \|", DOCUMENT)
    assert measures is not None
    named = set(re.findall(r"`(\w+)`", measures[1]))
    for text in capfd.readouterr().out.splitlines():
        line = json.loads(text)
        assert set(line) - {"type"} == kinds[line["type"]], line["type"]
        if line["type"] == "combination":
            assert set(line["train"]) == named
