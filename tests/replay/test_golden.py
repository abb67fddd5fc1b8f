"""The fixtures replay to their golden decisions, their generator still makes them, and their orders verify."""

import hashlib
import importlib
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
from backports import zstd
from golden_walk import Walk, exact, read_lines

from reactor.cli import main
from reactor.replay.options import ReplayOptions
from reactor.replay.run import replay

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
GOLDEN = FIXTURES / "golden"
TAPES = {path.name.split(".")[0]: path for path in sorted(FIXTURES.glob("*.jsonl*"))}
BYTES_MAX = 200_000
BYTES_IN_ALL_MAX = 1_000_000


def played(path: Path, *, verify: bool = False) -> tuple[str, list[str], str | None]:
    """What a replay prints, without what differs from run to run; what it notes; the first difference."""
    lines: list[dict[str, Any]] = []
    notes: list[str] = []
    result = replay(ReplayOptions(verify=verify), [path], emit=lines.append, note=notes.append)
    return "".join(row(line) for line in lines), notes, result.difference


def row(line: dict[str, Any]) -> str:
    kept = {key: line[key] for key in line if key not in {"seconds", "ticks_per_second"}}
    return orjson.dumps(kept).decode() + "\n"


@pytest.fixture
def make_fixtures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The generator."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("fixtures.make_fixtures")


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8")


def test_there_are_seven_with_a_golden_file_and_a_page_each() -> None:
    names = {"quiet_day", "trend", "flash_crash", "whipsaw", "hedge_pair", "session", "damaged"}
    assert set(TAPES) == names
    assert {path.name for path in GOLDEN.iterdir()} == {
        f"{name}.{suffix}" for name in names for suffix in ("jsonl", "md")
    }


def test_they_are_small() -> None:
    sizes = {name: path.stat().st_size for name, path in TAPES.items()}
    assert {name: size for name, size in sizes.items() if size > BYTES_MAX} == {}
    assert sum(sizes.values()) <= BYTES_IN_ALL_MAX


@pytest.mark.parametrize("name", TAPES)
def test_a_replay_says_what_was_read_through(name: str) -> None:
    assert played(TAPES[name])[0] == golden(name)


@pytest.mark.parametrize("name", TAPES)
def test_who_changes_a_golden_file_has_to_open_its_page(name: str) -> None:
    first = (GOLDEN / f"{name}.md").read_text(encoding="utf-8").splitlines()[0]
    found = re.search(r"sha256 `([0-9a-f]{64})`", first)
    assert found is not None
    assert found[1] == hashlib.sha256(golden(name).encode()).hexdigest()


@pytest.mark.parametrize("name", TAPES)
def test_the_generator_makes_the_same_bytes(
    name: str, make_fixtures: ModuleType, tmp_path: Path
) -> None:
    remade: Path = make_fixtures.make(name, tmp_path)
    ours = (zstd.zstd_version, zlib.ZLIB_RUNTIME_VERSION)
    if ours == (make_fixtures.ZSTD_VERSION, make_fixtures.ZLIB_VERSION):
        assert remade.read_bytes() == TAPES[name].read_bytes()
    elif name == "damaged":
        pytest.skip(f"cut where another compressor's block was: {ours}")
    else:
        assert read_lines(remade) == read_lines(TAPES[name])


@pytest.mark.parametrize("name", ["session", "hedge_pair"])
def test_two_processes_print_the_same_bytes(name: str) -> None:
    printed = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-m", "reactor", "replay", str(TAPES[name]), "--json"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        *decisions, summary = run.stdout.splitlines(keepends=True)
        printed.append((decisions, row(orjson.loads(summary))))
    assert printed[0] == printed[1]
    assert b"".join(printed[0][0]).decode() + printed[0][1] == golden(name)


SLICES = {"flash_crash": 2}
"""Orders beside the one an exit: 12 000 SOL go out in orders of 5 000 at most."""


# Recorded orders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TAPES)
def test_recorded_orders_are_the_ones_that_a_replay_would_send(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(TAPES[name]), "--verify", "--json"]) == 0
    captured = capsys.readouterr()
    sent = golden(name).count('"type":"exit"') + SLICES.get(name, 0)
    assert f"all {sent} orders agree" in captured.err
    *decisions, summary = captured.out.splitlines(keepends=True)
    assert "".join(decisions) + row(orjson.loads(summary)) == golden(name)


@pytest.mark.parametrize("name", [name for name in TAPES if name != "damaged"])
def test_every_exit_has_an_order_and_no_order_is_left_over(name: str) -> None:
    rows = [orjson.loads(line) for line in golden(name).splitlines()]
    exits = sum(line["type"] == "exit" for line in rows)
    sent = [line for line in read_lines(TAPES[name]) if b'"order.place"' in line]
    assert len(sent) == exits + SLICES.get(name, 0)


def changed_quantity(lines: list[bytes], index: int) -> list[bytes]:
    order = orjson.loads(lines[index])
    order["m"]["params"]["quantity"] = "0.999"
    return [*lines[:index], orjson.dumps(order), *lines[index + 1 :]]


def changed_id(lines: list[bytes], index: int) -> list[bytes]:
    order = orjson.loads(lines[index])
    order["m"]["params"]["newClientOrderId"] = "xr-somebody-else"
    return [*lines[:index], orjson.dumps(order), *lines[index + 1 :]]


def left_out(lines: list[bytes], index: int) -> list[bytes]:
    return [*lines[:index], *lines[index + 1 :]]


@pytest.mark.parametrize(
    ("tamper", "key", "theirs"),
    [
        (changed_quantity, "quantity", "0.999"),
        (changed_id, "newClientOrderId", "xr-somebody-else"),
        (left_out, "quantity", "no order"),
    ],
)
def test_one_order_that_differs_is_shown_beside_ours(
    tamper: Callable[[list[bytes], int], list[bytes]],
    key: str,
    theirs: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = read_lines(TAPES["hedge_pair"])
    last = [index for index, line in enumerate(lines) if b'"order.place"' in line][-1]
    ours = orjson.loads(lines[last])["m"]["params"]
    path = tmp_path / "tampered.jsonl"
    path.write_bytes(b"\n".join(tamper(lines, last)) + b"\n")
    assert main(["replay", str(path), "--verify", "--json"]) == 1
    told = capsys.readouterr().err
    assert "the first difference" in told
    marked = {
        line.split()[1]: line.split(maxsplit=3)[2:] for line in told.splitlines() if "≠" in line
    }
    assert marked[key] == [ours[key], theirs]
    if theirs != "no order":
        assert list(marked) == [key]


@pytest.mark.parametrize("name", [name for name in TAPES if name != "damaged"])
def test_credentials_are_on_no_tape(name: str) -> None:
    whole = b"\n".join(read_lines(TAPES[name]))
    assert b"made-up-key" not in whole
    assert b"k" * 64 not in whole
    assert '"signature":"…"'.encode() in whole


# The damaged one ------------------------------------------------------------------------------------

REPORTED = (
    (27, "not JSON"),
    (67, "Expected `str`, got `float` - at `$.p`"),
    (94, "`t`: expected `int`, got `str`"),
    (121, 'price "0" is not a positive finite decimal'),
    (148, 'price "-80000.1" is not a positive finite decimal'),
    (175, 'price "NaN" is not a positive finite decimal'),
    (202, 'price "1e400" is outside'),
    (229, "is outside"),
    (309, "number outside 0 to 4102444800000 - at `$.T`"),
    (336, "Expected `int`, got `str` - at `$.a`"),
    (362, "Expected `str`, got `null` - at `$.s`"),
    (483, "not UTF-8"),
    (563, "a second header"),
    (603, 'amount "some"'),
    (643, "entry price 0 of an open position"),
    (682, "not a recorded answer"),
    (722, "not a recorded order"),
    (762, "not a recorded link state"),
    (802, "not a recorded command"),
    (842, "invalid enum value 'marker'"),
    (882, "expected `object`, got `array`"),
    (922, "later than the year 2100"),
    (962, "expected `object`, got `array`"),
    (1002, "not UTF-8"),
    (1251, "the zstd file is cut here"),
)
"""Every skipped line of the damaged tape, in order."""


def test_every_damage_is_told_by_its_line() -> None:
    _, notes, _ = played(TAPES["damaged"])
    skipped = [note for note in notes if note.endswith("; skipped")]
    assert len(skipped) == len(REPORTED)
    for note, (number, phrase) in zip(skipped, REPORTED, strict=True):
        assert re.match(rf"line {number}\b", note), note
        assert phrase in note
    others = [note for note in notes if note not in skipped]
    assert len(others) == 2
    assert "suspect last price 800000.0" in others[0]
    assert others[1].startswith("line 1040: receive time runs backwards by 4.503 s")


def test_the_summary_counts_what_was_skipped() -> None:
    summary = orjson.loads(golden("damaged").splitlines()[-1])
    assert summary["skipped"] == len(REPORTED)
    assert summary["duplicates"] == 1
    assert summary["suspects"] == 1


def test_damage_changes_no_decision(make_fixtures: ModuleType, tmp_path: Path) -> None:
    """The recording before it was spoilt decides the same, and goes on where the cut one ends."""
    whole = make_fixtures.FIXTURES["damaged"].record()
    decided = golden("damaged").splitlines(keepends=True)[:-1]
    assert [row(line) for line in whole.lines[: len(decided)]] == decided
    assert [line["type"] for line in whole.lines[len(decided) :]][-2:] == ["exit", "closed"]
    path = tmp_path / "whole.jsonl"
    whole.write(path)
    by_arithmetic = Walk(path.read_bytes().splitlines()).run()
    assert by_arithmetic[: len(decided)] == [exact(orjson.loads(line)) for line in decided]
