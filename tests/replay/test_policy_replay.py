"""Regimes and policies in replays and on the command line: lines, worked scenarios, tapes that repeat."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from frames import T0_NS, line, rest
from replayed import Ran, refused, run, tape_bytes

Capture = pytest.CaptureFixture[str]
HOUR_MS = 3_600_000
T0_MS = T0_NS // 1_000_000
START_MS = T0_MS - T0_MS % HOUR_MS
CONFIG: dict[str, Any] = {
    "policy": {"profile": "SAFE"},
    "regime": {
        "timeframe": "1h",
        "adx_period": 3,
        "efficiency_period": 4,
        "atr_period": 3,
        "rank_days": 2.0,
        "rank_days_min": 0.25,
        "min_hold": 2,
    },
}


def klines(closes: list[float], *, wick: float = 0.2) -> Any:
    """An answer with hourly candles up to the one that forms."""
    rows, before = [], closes[0]
    for number, close in enumerate([*closes, closes[-1]]):
        open_ms = START_MS - (len(closes) - number) * HOUR_MS
        high, low = max(before, close) + wick, min(before, close) - wick
        row = [open_ms, str(before), str(high), str(low), str(close), "1", open_ms + HOUR_MS - 1]
        rows.append([*row, "1", 1, "1", "1", "0"])
        before = close
    return rest(0, "/fapi/v1/klines", rows, symbol="BTCUSDT", interval="1h", limit=500)


def last(second: float, price: str, number: int) -> Any:
    event = {
        "e": "aggTrade",
        "E": T0_MS + round(second * 1000),
        "s": "BTCUSDT",
        "a": number,
        "p": price,
        "q": "1",
        "T": T0_MS + round(second * 1000),
        "m": False,
        "st": 1,
    }
    return line(second, event)


SAW = [100.5 if number % 2 else 99.5 for number in range(40)]


@pytest.fixture(name="tape")
def _tape(tmp_path: Path) -> Path:
    return steered_tape(tmp_path)


def steered_tape(folder: Path) -> Path:
    """Candles that are chop, a position's ticks, and words from outside."""
    said = {"command": "policy", "symbol": "BTCUSDT", "mode": "defensive_trail", "note": "desk"}
    until = {"expires_ms": T0_MS + 50_000}
    lines = [
        klines(SAW),
        last(1, "100", 1),
        line(20, said | until, channel="control"),
        last(30, "100.2", 2),
        # The words expire at 50 s, between two ticks.
        last(60, "100.1", 3),
        line(70, {"command": "policy", "symbol": "BTCUSDT", "mode": "moon"}, channel="control"),
        last(80, "100.3", 4),
    ]
    return written(folder, lines, config=CONFIG)


def played(capfd: Capture, tape: Path, *words: str) -> Ran:
    return run(
        capfd,
        "replay",
        tape,
        "--json",
        "--trigger",
        "last",
        "--position",
        "BTCUSDT:LONG:1@100",
        "--atr",
        "BTCUSDT=2",
        *words,
    )


def written(folder: Path, lines: list[Any], **header: Any) -> Path:
    path = folder / "tape.jsonl"
    path.write_bytes(tape_bytes(lines, header=header))
    return path


def brief(one: dict[str, Any]) -> str:
    match one["type"]:
        case "regime":
            return f"regime {one['regime']} {one['volatility']}"
        case "policy":
            return f"{one['action']} {one['before']} -> {one['plan']}, stop {one['stop']}: {one['why']}"
        case "opened":
            return f"opened {one['plan']}"
        case "stop":
            return f"stop {one['kind']} {one['stop']}"
    return str(one["type"])


def test_a_replay_tells_regime_choice_and_changes(tape: Path, capfd: Capture) -> None:
    ran = played(capfd, tape)
    assert [brief(one) for one in ran.lines] == [
        "regime CHOP NORMAL",
        "opened fast_tp",
        "chosen fast_tp -> fast_tp, stop 97: SAFE: CHOP, volatility NORMAL",
        "tighten fast_tp -> defensive_trail, stop 97.6: from outside (desk): defensive_trail",
        "stop stop_loss 97.6",
        "tighten defensive_trail -> fast_tp, stop 97.6: SAFE: CHOP, volatility NORMAL",
        "tighten fast_tp -> trend_follow, stop 97.6: from outside: moon",
        "summary",
    ]
    (regime,) = ran.of("regime")
    assert regime["symbol"] == "BTCUSDT"
    assert regime["since_ms"] <= START_MS
    assert regime["efficiency"] is not None
    # The words expired when they said, not at the next tick.
    assert ran.of("policy")[2]["t"] == T0_NS + 50_000_000_000
    assert "there is no exit mode 'moon'; trend_follow is used" in ran.err


def test_it_says_the_same_every_time(tape: Path, capfd: Capture) -> None:
    def lines() -> list[dict[str, Any]]:
        return played(capfd, tape).lines[:-1]

    assert lines() == lines()


def test_a_plan_of_the_command_line_is_no_business_of_the_policy(
    tape: Path, capfd: Capture
) -> None:
    ran = played(capfd, tape, "--plan", "trend_follow")
    assert ran.of("policy") == []
    assert ran.of("opened")[0]["plan"] == "trend_follow"
    assert "there is no [policy] in the configuration" in ran.err


def test_the_table_and_the_picture_show_it(tape: Path, capfd: Capture, tmp_path: Path) -> None:
    picture = tmp_path / "picture.html"
    words = ("--trigger", "last", "--position", "BTCUSDT:LONG:1@100", "--atr", "BTCUSDT=2")
    ran = run(capfd, "replay", tape, *words, "--report", picture)
    assert "regime: CHOP, volatility NORMAL" in ran.out
    assert "policy: tighten defensive_trail (from outside (desk): defensive_trail)" in ran.out
    html = picture.read_text()
    assert "CHOP, volatility NORMAL" in html
    assert "LONG: policy tighten defensive_trail" in html


@pytest.mark.parametrize("wrong", [{"mode": 3}, {"side": "UP"}, {"expires_ms": "soon"}], ids=str)
def test_a_spoilt_policy_line_costs_itself(
    wrong: dict[str, Any], tmp_path: Path, capfd: Capture
) -> None:
    spoilt = {"command": "policy", "symbol": "BTCUSDT", "mode": "fast_tp"} | wrong
    lines = [last(1, "100", 1), line(2, spoilt, channel="control"), last(3, "100.5", 2)]
    ran = played(capfd, written(tmp_path, lines, config=CONFIG))
    assert ran.code == 0
    assert ran.lines[-1]["ticks"] == 2
    assert ran.lines[-1]["skipped"] == 1


def test_a_policy_that_leaves_a_case_open_is_refused(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "mine.toml").write_text('name = "SAFE"\n[BULL]\nNORMAL = "fast_tp"\n')
    (tmp_path / "reactor.toml").write_text('[policy]\nfiles = ["mine.toml"]\n')
    tape = written(tmp_path, [last(1, "100", 1)])
    said = refused(capfd, "replay", tape, "--config", tmp_path / "reactor.toml")
    assert "mine.toml: HIGH_VOL: has no modes" in said


# reactor levels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "atr", "case", "mode", "stop", "target", "trail"),
    [
        ("98000", "1200", ("BULL", "NORMAL", "SAFE"), "trend_follow", "96200", "103400", "1440"),
        ("3500", "150", ("BULL", "HIGH", "SAFE"), "defensive_trail", "3320", "3950", "90"),
        ("150", "5", ("BEAR", "NORMAL", "SAFE"), "fast_tp", "142.5", "162.5", None),
        (
            *("98000", "3000", ("HIGH_VOL", "EXTREME", "AGGRESSIVE"), "trend_follow"),
            *("93500", "111500", "3600"),
        ),
    ],
)
def test_the_four_worked_scenarios(
    entry: str,
    atr: str,
    case: tuple[str, str, str],
    mode: str,
    stop: str,
    target: str,
    trail: str | None,
    capfd: Capture,
) -> None:
    regime, volatility, profile = case
    asked = [*("levels", "--entry", entry, "--atr", atr, "--side", "LONG", "--regime", regime)]
    asked += ["--volatility", volatility, "--profile", profile]
    found = orjson.loads(run(capfd, *asked, "--json").out)
    assert (found["mode"], found["plan"]) == (mode, mode)
    assert (found["stop"], found["trail"]) == (stop, trail)
    assert found["targets"][-1][0] == target
    assert found["why"] == f"{profile}: {regime}, volatility {volatility} → {mode}"
    shown = run(capfd, *asked).out
    for part in (found["why"], stop, target, "in ATR", "break-even stop", "reward:risk"):
        assert part in shown


def test_the_block_says_when_break_even_and_trailing_begin(capfd: Capture) -> None:
    asked = ("levels", "--entry", "98000", "--atr", "1200", "--side")
    told = run(capfd, *asked, "LONG", "--regime", "BULL").out
    assert "trailing distance 1440 (1.469 %, 1.20 ATR)" in told
    assert "break-even once the price is at 99800 (+1 R)" in told
    assert "trailing once target 1 is taken" in told
    told = run(capfd, *asked, "SHORT", "--plan", "trend_follow").out
    assert "break-even once the price is at 96200 (+1 R)" in told
    told = run(capfd, *asked, "LONG", "--plan", "challenge_100").out
    assert "break-even once the first harvest is taken (+0.4 %)" in told
    assert "trailing once the price is beyond the entry" in told


def test_a_policy_file_says_the_mode(tmp_path: Path, capfd: Capture) -> None:
    rows = [f'[{name}]\nany = "moon"' for name in ("BULL", "BEAR", "CHOP", "HIGH_VOL", "NORMAL")]
    (tmp_path / "mine.toml").write_text('name = "MINE"\n' + "\n".join(rows))
    asked = ("levels", "--entry", "100", "--atr", "1", "--side", "LONG", "--regime", "bull")
    found = orjson.loads(run(capfd, *asked, "--policy", tmp_path / "mine.toml", "--json").out)
    assert (found["mode"], found["plan"]) == ("moon", "trend_follow")
    assert "no shipped plan" in found["why"]
    assert "give one" in refused(capfd, *asked, "--plan", "fast_tp")
    assert "there is no such profile" in refused(capfd, *asked, "--profile", "wild")
    both = ("--profile", "SAFE", "--policy", tmp_path / "mine.toml")
    assert "leave --profile out" in refused(capfd, *asked, *both)


# reactor regime -----------------------------------------------------------------------------------


def candles(path: Path, closes: list[float], *, step_ms: int = HOUR_MS) -> Path:
    rows = ["open_time_ms,open,high,low,close"]
    before = closes[0]
    for number, close in enumerate(closes):
        high, low = max(before, close) + 0.2, min(before, close) - 0.2
        rows.append(f"{START_MS + number * step_ms},{before},{high},{low},{close}")
        before = close
    path.write_text("\n".join(rows) + "\n")
    return path


def config_file(folder: Path) -> Path:
    path = folder / "reactor.toml"
    rows = [f"{key} = {json.dumps(value)}" for key, value in CONFIG["regime"].items()]
    path.write_text("[regime]\n" + "\n".join(rows) + "\n")
    return path


def test_a_file_is_classified_candle_by_candle(tmp_path: Path, capfd: Capture) -> None:
    config = config_file(tmp_path)
    path = candles(tmp_path / "up.csv", [100.0 + number for number in range(30)])
    rows = run(capfd, "regime", path, "--config", config).out.splitlines()
    assert len(rows) == 30
    assert rows[0] == f"{START_MS},UNKNOWN,NORMAL,,,,,,"
    open_time, regime, volatility, adx, *_ = rows[-1].split(",")
    assert (int(open_time), regime, volatility) == (START_MS + 29 * HOUR_MS, "BULL", "NORMAL")
    assert float(adx) > 90
    ran = run(capfd, "regime", path, "--config", config, "--json")
    assert [one["regime"] for one in ran.lines] == [row.split(",")[1] for row in rows]
    assert set(ran.lines[-1]) == {
        *("open_time", "regime", "volatility", "since"),
        *("adx", "plus_di", "minus_di", "efficiency", "atr_pct", "rank"),
    }


def test_shorter_candles_are_put_together_and_parts_left_out(
    tmp_path: Path, capfd: Capture
) -> None:
    config = config_file(tmp_path)
    quarter = HOUR_MS // 4
    closes = [100.0 + number / 4 for number in range(122)]
    # Two quarters over at the end: an hour that is not whole.
    path = candles(tmp_path / "up15.csv", closes, step_ms=quarter)
    rows = run(capfd, "regime", path, "--config", config).out.splitlines()
    assert len(rows) == 30
    assert rows[-1].split(",")[1] == "BULL"


def test_what_cannot_be_classified_is_refused(tmp_path: Path, capfd: Capture) -> None:
    path = candles(tmp_path / "day.csv", [1.0, 2.0, 3.0], step_ms=24 * HOUR_MS)
    assert "longer than the timeframe" in refused(capfd, "regime", path, "--timeframe", "1h")
    assert "one file at a time" in refused(capfd, "regime", path, path)
    assert "cannot read" in refused(capfd, "regime", tmp_path / "none.csv")
