"""`reactor sweep` as it is typed: what it prints and writes, and what it refuses in one line."""

import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from swept import tick_walk

from reactor.cli import main
from reactor.plans import load_plan
from reactor.sweep.commands import OBJECTIVE_NAMES
from reactor.sweep.measures import OBJECTIVES

FIXTURES = Path(__file__).parents[2] / "fixtures"
SETS = ("--set", "stop.atr=1,2", "--set", "trailing.atr=0.6,1.2", "--every", "6m", "--workers", "1")


class Ran:
    def __init__(self, capfd: pytest.CaptureFixture[str], *words: object) -> None:
        capfd.readouterr()
        try:
            self.code: Any = main(["sweep", *map(str, words)])
        except SystemExit as stopped:
            self.code = stopped.code
        self.out, self.err = capfd.readouterr()
        assert "Traceback" not in self.err


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tick_walk(tmp_path / "BTCUSDT.npz", count=20_000)


def test_a_table_and_what_to_think_of_it(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capfd, file, *SETS, "--train", "0.5")
    assert ran.code == 0
    for said in ("4 combinations tried", "Train: ", "Test: ", "Rank correlation", "by chance"):
        assert said in ran.out
    header = next(row for row in ran.out.splitlines() if "stop.atr" in row)
    assert header.split()[:3] == ["rank", "stop.atr", "trailing.atr"]
    assert "positions in" in ran.err


def test_json_lines(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capfd, file, *SETS, "--json", "--folds", "2", "--min-trades", "3")
    lines = [json.loads(row) for row in ran.out.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds == ["sweep", *["combination"] * 5, "fold", "fold", "summary"]
    ranked = [line for line in lines if line["type"] == "combination" and not line["base"]]
    assert [line["rank"] for line in ranked] == [1, 2, 3, 4]
    scores = [line["train"]["mean_r"] for line in ranked]
    assert scores == sorted(scores, reverse=True)
    assert lines[0]["train_to"] == lines[0]["test_from"]
    assert lines[0]["tracks"][0]["way"] == "jump"
    assert lines[-1]["luck"]["tried"] == 4
    one = ranked[0]["train"]
    assert one["mean_r"] == pytest.approx(one["gross_r"] - one["fees_r"], abs=2e-6)


def test_fees_are_those_of_entry_and_exits(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fees(bp: str) -> float:
        ran = Ran(capfd, file, *SETS, "--json", "--fee-bp", bp)
        lines = map(json.loads, ran.out.splitlines()[1:])
        one = next(
            line for line in lines if line["values"] == {"stop.atr": "1", "trailing.atr": "0.6"}
        )
        return float(one["train"]["fees_r"])

    assert fees("0") == 0
    assert fees("10") == pytest.approx(2 * fees("5"), rel=1e-5)


def test_tables_of_combinations_and_positions(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    table, trades, plan = (tmp_path / name for name in ("x.csv", "trades.csv", "best.toml"))
    ran = Ran(capfd, file, *SETS, "--csv", table, "--trades", trades, "--write-plan", plan)
    assert ran.code == 0
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", ""]
    assert rows[-1]["base"] == "1"
    positions = list(csv.DictReader(io.StringIO(trades.read_text(encoding="utf-8"))))
    train = [
        float(one["r_multiple"]) - float(one["fees_r"])
        for one in positions
        if one["part"] == "train"
    ]
    assert len(train) == int(rows[0]["train_trades"])
    assert float(np.mean(train)) == pytest.approx(float(rows[0]["train_mean_r"]), abs=1e-5)
    best = load_plan(str(plan))
    assert [str(best.stop.atr), str(best.trailing and best.trailing.atr)] == [
        rows[0]["stop.atr"],
        rows[0]["trailing.atr"],
    ]
    again = Ran(capfd, file, "replay")
    assert again.code == 2  # `replay` is no file


@pytest.mark.parametrize("plan", ["challenge_100", "trend_follow"])
def test_a_written_plan_is_the_plan(
    plan: str, file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "best.toml"
    sets = (
        "--set",
        "stop.fallback_pct=0.01",
        "--fallback-stops",
        "--every",
        "30m",
        "--min-trades",
        "1",
    )
    ran = Ran(capfd, file, *sets, "--plan", plan, "--write-plan", written, "--workers", "1")
    assert ran.code == 0
    expected = load_plan(plan)
    found = load_plan(str(written))
    assert found.ladder == expected.ladder
    assert (found.name, found.trigger, found.targets) == (plan, "last", expected.targets)


def test_the_line_of_a_position_can_be_replayed(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trades, plan = tmp_path / "trades.csv", tmp_path / "best.toml"
    Ran(capfd, file, *SETS, "--trades", trades, "--write-plan", plan)
    positions = list(csv.DictReader(io.StringIO(trades.read_text(encoding="utf-8"))))
    one = next(row for row in positions[5:] if row["closed_ns"])
    position = f"{one['symbol']}:{one['side']}:{one['quantity']}@{one['entry']}"
    words = [
        "replay",
        file,
        "--plan",
        plan,
        "--position",
        position,
        "--open-at",
        one["opened_ns"],
        "--json",
    ]
    assert main([str(word) for word in words]) == 0
    lines = [json.loads(row) for row in capfd.readouterr().out.splitlines()]
    opened = next(line for line in lines if line["type"] == "opened")
    closed = next(line for line in lines if line["type"] == "closed")
    assert [str(opened["t"]), opened["atr"], opened["stop"]] == [
        one["opened_ns"],
        one["atr"],
        one["stop"],
    ]
    assert [str(closed["t"]), closed["reason"]] == [one["closed_ns"], one["reason"]]
    assert [closed["realized"], closed["r_multiple"]] == [one["realized"], one["r_multiple"]]


def test_several_files_are_several_symbols_under_one_cut(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = tick_walk(tmp_path / "BTCUSDT_a.npz", count=8000)
    second = tick_walk(tmp_path / "x.npz", count=8000, seed=9)
    ran = Ran(capfd, first, f"ethusdt={second}", *SETS, "--json")
    sweep = json.loads(ran.out.splitlines()[0])
    assert [track["symbol"] for track in sweep["tracks"]] == ["BTCUSDT", "ETHUSDT"]
    only = Ran(capfd, first, f"ETHUSDT={second}", *SETS, "--json", "--symbol", "ethusdt")
    (track,) = json.loads(only.out.splitlines()[0])["tracks"]
    assert track["symbol"] == "ETHUSDT"


def test_candles_are_played_against_the_position(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A candle that holds both the stop and the target of each side is a loss for both."""
    rows = [f"{1_790_000_040_000 + at * 60_000},100,100.05,99.95,100\n" for at in range(120)]
    for at in range(60, 110, 10):
        rows[at] = f"{1_790_000_040_000 + at * 60_000},100,102,98,100\n"
    file = tmp_path / "BTCUSDT_1m.csv"
    file.write_text("open_time,open,high,low,close\n" + "".join(rows), encoding="utf-8")
    plan = tmp_path / "p.toml"
    plan.write_text("[stop]\npct = 0.01\n[[targets]]\npct = 0.01\nclose = 1.0\n", encoding="utf-8")
    words = (
        "--plan",
        plan,
        "--every",
        "10m",
        "--set",
        "stop.pct=0.01,0.011",
        "--train",
        "1",
        "--json",
    )
    ran = Ran(capfd, file, *words, "--workers", "1", "--min-trades", "1")
    lines = [json.loads(row) for row in ran.out.splitlines()]
    assert all(track["approximate"] for track in lines[0]["tracks"])
    assert lines[1]["train"]["trades"] > 0
    assert lines[1]["train"]["win_rate"] == 0


def test_joined_tapes_are_one_session(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = [json.dumps({"tape": 1})]
    chance = np.random.default_rng(2)
    price = 60_000.0
    for at in range(4000):
        price *= 1 + float(chance.normal(0, 1e-4))
        t_ms = 1_790_000_000_000 + at * 1000
        frame = {
            "e": "aggTrade",
            "E": t_ms,
            "s": "BTCUSDT",
            "a": at,
            "p": f"{price:.1f}",
            "q": "1",
            "T": t_ms,
        }
        whole.append(json.dumps({"t": t_ms * 10**6, "c": "market", "m": frame}))
    one, first, second = (tmp_path / f"{name}.jsonl" for name in ("one", "first", "second"))
    one.write_text("\n".join(whole) + "\n")
    first.write_text("\n".join(whole[:2000]) + "\n")
    second.write_text("\n".join([whole[0], *whole[2000:]]) + "\n")
    words = (
        "--trigger",
        "last",
        "--every",
        "5m",
        "--fallback-stops",
        "--set",
        "stop.pct=0.001,0.003",
        "--json",
    )
    joined = Ran(capfd, first, second, "--joined", *words).out.splitlines()[1:]
    assert joined == Ran(capfd, one, *words).out.splitlines()[1:]
    apart = Ran(capfd, first, second, *words).out.splitlines()
    assert len(json.loads(apart[0])["tracks"]) == 2


def test_the_objectives_that_are_offered_are_those_there_are() -> None:
    assert list(OBJECTIVE_NAMES) == list(OBJECTIVES)


# Refusals -----------------------------------------------------------------------------------------

SET = ("--set", "stop.atr=1,2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to sweep"),
        (("--set", "stop.atr=100,200", "--set", "stop.fallback_pct=7"), "no combination makes"),
        ((*SET, "--every", "soon"), "no length of time"),
        ((*SET, "--every", "0s"), "out of range"),
        ((*SET, "--train", "0"), "--train"),
        ((*SET, "--train", "nan"), "--train"),
        ((*SET, "--embargo", "-1m"), "no length of time|expected one argument"),
        ((*SET, "--fee-bp", "-1"), "--fee-bp"),
        ((*SET, "--fee-bp", "x"), "not a number"),
        ((*SET, "--workers", "0"), "--workers 0 is out of range"),
        ((*SET, "--random", "0"), "--random 0 is out of range"),
        ((*SET, "--folds", "99"), "--folds 99 is out of range"),
        ((*SET, "--heat", "stop.atr,nonesuch"), "name two of the parameters"),
        ((*SET, "--position", "BTCUSDT:LONG:1@60000", "--every", "1h"), "leave --every"),
        ((*SET, "--position", "ETHUSDT:LONG:1@60000"), "no price of it is there"),
        ((*SET, "--notional", "0"), "must be above 0"),
        ((*SET, "--notional", "0.0000001"), "buys less than"),
        ((*SET, "--step", "BTCUSDT=1"), "buys less than"),
        ((*SET, "--plan", "nonesuch"), "there is no plan"),
        ((*SET, "--csv", "/"), "name a file in a folder that exists"),
        ((*SET, "--report", "nowhere/x.html"), "name a file in a folder that exists"),
        ((*SET, "--csv", "{file}"), "would replace a recording"),
        ((*SET, "--csv", "x.csv", "--trades", "x.csv"), "too; name another file"),
        ((*SET, "--top", "-1"), "--top"),
        ((*SET, "--every", "300d"), "no entry falls into the recordings"),
        ((*SET, "--set", "atr.interval=1d"), "is never ready"),
        ((*SET, "--objective", "luck"), "invalid choice"),
        ((*SET, "--every", "1ms"), "more than|are .* positions"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...], said: str, file: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if said.startswith("more than"):
        monkeypatch.setattr("reactor.sweep.entries.ENTRIES_MAX", 100)
    ran = Ran(capfd, file, *(word.format(file=file) for word in words))
    assert ran.code == 2, ran.out
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("reactor")
    assert re.search(said, line), line


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("BTCUSDT.npz", b"no archive", "not an .npz file"),
        ("BTCUSDT.csv", b"", "empty"),
        ("BTCUSDT.csv", b"a,b\n1,2\n", "no column named `price`"),
        ("BTCUSDT.csv", b"open_time,open,high,low,close\n1,2,1,3,2\n", "line 2"),
        ("BTCUSDT.csv", b"open_time,open,high,low,close\n", "no candle"),
        ("walk.csv", b"t,price\n1,2\n", "whose prices are these"),
        ("day.jsonl", b"{}\n", "not a tape"),
    ],
)
def test_files_that_are_refused(
    name: str, content: bytes, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    ran = Ran(capfd, file, *SET)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_tape_names_its_symbols_itself(capfd: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capfd, f"BTCUSDT={FIXTURES / 'trend.jsonl.zst'}", *SET)
    assert ran.code == 2
    assert "a tape says itself whose prices it has" in ran.err


def test_a_source_that_a_tape_does_not_have(capfd: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capfd, FIXTURES / "trend.jsonl.zst", *SET, "--trigger", "book")
    assert ran.code == 2
    assert "choose a source with --trigger mark|last|book" in ran.err.splitlines()[-1]


def test_without_numpy_one_line_says_how_to_get_it(
    file: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith("reactor.sweep") or name == "reactor.replay.columns":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numpy", None)
    ran = Ran(capfd, file, *SET)
    assert ran.code == 2
    assert ran.err.splitlines() == [
        "reactor: a sweep needs numpy: pip install 'exit-reactor[columns]'"
    ]


def test_a_base_plan_that_has_no_atr_yet_does_not_keep_others_from_entering(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sets = (
        "--plan",
        "challenge_100",
        "--set",
        "high_volatility=off",
        "--set",
        "stop.pct=0.001,0.002",
    )
    ran = Ran(capfd, file, *sets, "--every", "10m", "--json", "--min-trades", "1")
    lines = [json.loads(row) for row in ran.out.splitlines()]
    assert lines[0]["without_atr"] == 0
    (base,) = [line for line in lines[1:-1] if line["base"]]
    assert base["train"]["trades"] < lines[1]["train"]["trades"]
