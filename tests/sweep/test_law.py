"""Every position of a sweep is the one that `reactor replay` plays: same ticks, same candles, same decisions."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from swept import MINUTE_NS, replay_told, replayed, sweep, tick_walk, told

from reactor.replay.options import AskedPosition
from reactor.sweep.desk import WITHOUT_ATR
from reactor.sweep.study import Study

FIXTURES = Path(__file__).parents[2] / "fixtures"
D = Decimal


REPLAYS_MAX = 12
"""Positions of one combination that are replayed: each costs a whole replay of its recording."""


def agree(found: Study, files: list[Path], **more: Any) -> int:
    """Compares positions of every combination, spread over the recording; answers how many."""
    compared = 0
    for number, combination in enumerate(found.grid.combinations):
        played = found.desk.play_all(combination.plan)
        for column in range(number % 2, len(found.entries), len(found.entries) // REPLAYS_MAX + 1):
            entry = found.entries[column]
            if found.results[number, column]["state"] == WITHOUT_ATR:
                # A base plan beside the grid, which was not ready yet: it was not played to its end.
                assert combination.is_extra
                continue
            lines = replayed(files, found, number, entry, **more)
            assert told(played[entry]) == replay_told(lines), (combination.values, entry)
            closed = [line for line in lines if line["type"] == "closed"]
            result = found.results[number, column]
            if closed:
                assert result["exit_ns"] == closed[0]["t"]
                assert result["r"] == pytest.approx(float(closed[0]["r_multiple"]), abs=1e-8)
            compared += 1
    return compared


SETS = ["stop.atr=0.8,2.5", "trailing.atr=0.5,1.5", "time_stop.seconds=off,1500"]


def test_plain_ticks(tmp_path: Path) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz")
    found = sweep(file, sets=SETS, every_ns=47 * MINUTE_NS, ticks={"BTCUSDT": D("0.1")})
    assert found.courses[0].refusal is None
    assert agree(found, [file], ticks={"BTCUSDT": D("0.1")}, trigger="last") >= 40


@pytest.mark.parametrize("plan", ["challenge_100", "fast_tp", "defensive_trail"])
def test_every_shipped_plan(plan: str, tmp_path: Path) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=9000, seed=8)
    sets = ["atr.period=5,14", "atr.interval=1m,3m"]
    found = sweep(
        file, sets=sets, plan=plan, every_ns=7 * MINUTE_NS, ladder={"BTCUSDT": {"leverage": "20"}}
    )
    assert agree(found, [file], trigger="last", inputs={"BTCUSDT": {"leverage": "20"}}) >= 20


def test_a_position_that_was_asked_for(tmp_path: Path) -> None:
    file = tick_walk(tmp_path / "BTCUSDT.npz", count=4000)
    positions = (
        AskedPosition("BTCUSDT", "LONG", D("0.182"), D("59990")),
        AskedPosition("BTCUSDT", "SHORT", D(1), D("59000.5")),
    )
    found = sweep(file, sets=["stop.pct=0.001,0.01"], positions=positions, share=1.0)
    assert len(found.entries) == 2
    agree(found, [file], trigger="last")


def test_ticks_with_more_digits_than_a_double_keeps_are_walked(tmp_path: Path) -> None:
    file = tmp_path / "XUSDT.csv"
    rows = [
        f"{1_790_000_000_000 + n * 900},{60000 + (n * 7919 % 997) / 10}00000000000"
        for n in range(3000)
    ]
    file.write_text("t_ms,price\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = sweep(file, sets=["stop.pct=0.0008,0.01"], every_ns=10 * MINUTE_NS, fallback_stops=True)
    assert found.courses[0].refusal == "prices have more digits than a double keeps"
    agree(found, [file], trigger="last")


TAPES = [
    ("flash_crash.jsonl.zst", "last", "jump"),
    ("flash_crash.jsonl.zst", "mark", "jump"),
    ("hedge_pair.jsonl.zst", "book", "walk"),
    ("session.jsonl.zst", "last", "walk"),
    ("session.jsonl.zst", "mark", "walk"),
    ("trend.jsonl.zst", "mark", "jump"),
    ("whipsaw.jsonl.gz", "mark", "jump"),
    ("damaged.jsonl.zst", "last", "walk"),
]


@pytest.mark.parametrize(("name", "source", "way"), TAPES)
def test_tapes(name: str, source: Any, way: str) -> None:
    """With their warm-up candles, filters, outages, repeated and late ticks, and the session's commands."""
    file = FIXTURES / name
    found = sweep(
        file,
        sets=["stop.atr=0.6,2", "time_stop.seconds=off,120"],
        trigger=source,
        every_ns=4 * MINUTE_NS if name != "whipsaw.jsonl.gz" else 30 * MINUTE_NS,
        fallback_stops=True,
    )
    ways = {"jump" if course.refusal is None else "walk" for course in found.courses}
    assert way in ways
    assert agree(found, [file], trigger=source) > 0


def test_the_next_tick_fills(tmp_path: Path) -> None:
    from reactor.core.orders import Fills

    file = tick_walk(tmp_path / "BTCUSDT.npz", count=6000)
    found = sweep(
        file, sets=["stop.pct=0.0005,0.002"], fills=Fills.AT_NEXT_TICK, fallback_stops=True
    )
    agree(found, [file], trigger="last", fills=Fills.AT_NEXT_TICK)
