"""docs/replay.md names every option there is, every field of every line, and the columns that are read."""

import argparse
import re
from pathlib import Path

import pytest
from frames import ticks
from replayed import run, tape_bytes
from test_policy_replay import steered_tape

from reactor.cli import parser
from reactor.replay.options import LADDER_INPUTS, RISK_INPUTS
from reactor.replay.tables import NARROW_BELOW
from reactor.replay.tick_file import PRICE_COLUMNS, TIME_COLUMNS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "replay.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return DOCUMENT.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_option_is_described_and_no_other() -> None:
    tree = parser("replay")
    (commands,) = [a for a in tree._actions if isinstance(a, argparse._SubParsersAction)]
    options = {
        word
        for action in commands.choices["replay"]._actions
        for word in action.option_strings
        if word.startswith("--") and word != "--help"
    }
    assert set(re.findall(r"^\| `(--[a-z-]+)", section("Options"), re.MULTILINE)) == options


def test_every_input_is_described() -> None:
    (row,) = [line for line in section("Options").splitlines() if line.startswith("| `--input")]
    for name in (*LADDER_INPUTS, *RISK_INPUTS):
        assert f"`{name}`" in row


def test_every_field_of_every_line_is_described(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    described: dict[str, set[str]] = {}
    kind = ""
    for row in section("Output lines").splitlines():
        if row.startswith("| ") and not row.startswith("| `type`"):
            first, fields = (cell.strip() for cell in row.split("|")[1:3])
            kind = first.strip("`") or kind
            described.setdefault(kind, set()).update(re.findall(r"`(\w+)`", fields))
    plan = tmp_path / "x.toml"
    plan.write_text('[stop]\npct = 0.01\n[trailing]\nactivate = "in_profit"\npct = 0.001\n')
    tape = tmp_path / "x.jsonl"
    tape.write_bytes(tape_bytes(ticks("100", "101", "90")))
    asked = ("--plan", plan, "--trigger", "last", "--position", "BTCUSDT:LONG:1@100")
    lines = run(capfd, "replay", tape, "--json", *asked).lines
    lines += run(capfd, "replay", steered_tape(tmp_path), "--json", *asked[2:]).lines
    assert {line["type"]: set(line) - {"type"} for line in lines} == described


def test_the_columns_of_tick_files_are_described() -> None:
    text = section("Files of plain ticks")
    for name in PRICE_COLUMNS:
        assert f"`{name}`" in text
    for name in TIME_COLUMNS:
        assert f"`{re.sub(r'_(ns|us|ms|s)$', '', name)}`" in text


def test_numbers_are_those_of_the_code() -> None:
    assert f"less\nthan {NARROW_BELOW} columns" in section("Output lines")


def test_the_help_points_here(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_help()
    assert "docs/replay.md" in capfd.readouterr().out


def run_help() -> None:
    parser("replay").parse_args(["replay", "--help"])
