"""`docs/regimes.md` holds what `reactor regime --judge` prints, and the thresholds and matrix that the code has.

`REACTOR_WRITE_DOCS=1 python -m pytest tests/replay/test_regimes_document.py` writes the tables anew;
`REACTOR_JUDGE=1` compares those of the outcomes too, which takes a minute.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
from replayed import recording

from reactor.core.regime import Regime, RegimeConfig, Volatility
from reactor.plans import load_plan, shipped_plan_names
from reactor.policies import shipped_matrices
from reactor.replay.regime_judge import (
    Market,
    Shares,
    Trade,
    grouped,
    outcomes_table,
    shares_of,
    shares_table,
    trades_of,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "regimes.md"
BLOCK = re.compile(r"<!-- generated: (?P<name>[^>]*) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
WRITES = bool(os.environ.get("REACTOR_WRITE_DOCS"))
JUDGES = WRITES or bool(os.environ.get("REACTOR_JUDGE"))

DEVELOPMENT = [
    ("klines_roshan7869", "SOLUSDT_5m_2025-10.csv.gz"),
    ("klines_catman77", "BTCUSDT_5m_2023-08.csv.gz"),
]
JUDGED = [
    ("klines_typhonun", "BTCUSDT_1m.csv.gz"),
    ("klines_typhonun", "ETHUSDT_5m.csv.gz"),
    ("klines_typhonun", "LAYERUSDT_1m.csv.gz"),
    ("klines_roshan7869", "DOGEUSDT_5m_2025-10.csv.gz"),
]
VIOLENT = [*JUDGED, ("klines_catman77", "BTCUSDT_5m_2024-01.csv.gz")]
HOURS_4 = RegimeConfig()
HOURS_1 = RegimeConfig(timeframe="1h")
FIXED_4 = RegimeConfig(volatility="fixed")
FIXED_1 = RegimeConfig(volatility="fixed", timeframe="1h")


def shares(files: Sequence[tuple[str, str]], config: RegimeConfig) -> list[Shares]:
    return [shares_of(Market(recording(*file), config), config) for file in files]


def development() -> str:
    return f"{shares_table(shares(DEVELOPMENT, HOURS_4))}\n{shares_table(shares(DEVELOPMENT, HOURS_1))}"


def trades(files: Sequence[tuple[str, str]], config: RegimeConfig) -> list[Trade]:
    plans = [
        msgspec.structs.replace(load_plan(name), trigger="last") for name in shipped_plan_names()
    ]
    return [
        trade
        for file in files
        for trade in trades_of(Market(recording(*file), config), plans, every_ms=4 * 3_600_000)
    ]


SHARES: dict[str, Callable[[], str]] = {
    "development shares": development,
    "judged shares 4h": lambda: shares_table(shares(JUDGED, HOURS_4)),
    "judged shares 1h": lambda: shares_table(shares(JUDGED, HOURS_1)),
    "fixed shares 4h": lambda: shares_table(shares(VIOLENT, FIXED_4)),
    "fixed shares 1h": lambda: shares_table(shares(VIOLENT, FIXED_1)),
}
OUTCOMES: dict[str, Callable[[], str]] = {
    "judged outcomes 4h": lambda: outcomes_table(grouped(trades(JUDGED, HOURS_4))),
    "judged outcomes 1h": lambda: outcomes_table(grouped(trades(JUDGED, HOURS_1))),
    "fixed outcomes 4h": lambda: outcomes_table(grouped(trades(VIOLENT, FIXED_4))),
    "fixed outcomes 1h": lambda: outcomes_table(grouped(trades(VIOLENT, FIXED_1))),
}


def written(name: str) -> str:
    (found,) = [
        match["body"]
        for match in BLOCK.finditer(DOCUMENT.read_text(encoding="utf-8"))
        if match["name"] == name
    ]
    return found


def check(name: str, table: str) -> None:
    body = f"\n{table}\n"
    if WRITES:
        page = DOCUMENT.read_text(encoding="utf-8")
        before = f"<!-- generated: {name} -->\n{written(name)}<!-- end -->"
        after = f"<!-- generated: {name} -->\n{body}<!-- end -->"
        DOCUMENT.write_text(page.replace(before, after), encoding="utf-8")
    assert written(name) == body


@pytest.mark.parametrize("name", SHARES)
def test_how_the_time_was_classified_is_what_is_written(name: str) -> None:
    check(name, SHARES[name]())


@pytest.mark.skipif(not JUDGES, reason="takes a minute; REACTOR_JUDGE=1 does it")
@pytest.mark.parametrize("name", OUTCOMES)
def test_how_the_modes_did_is_what_is_written(name: str) -> None:
    check(name, OUTCOMES[name]())


def test_the_same_file_is_judged_the_same_every_time() -> None:
    market = Market(recording(*DEVELOPMENT[0]), HOURS_4)
    plan = [msgspec.structs.replace(load_plan("fast_tp"), trigger="last")]
    once, again = (list(trades_of(market, plan, every_ms=24 * 3_600_000)) for _ in range(2))
    assert once == again
    assert len(once) == 2 * 18
    assert all(trade.r >= -1.2 for trade in once)
    # What the candles allow is never better than what was assumed.
    assert all(trade.extreme_r <= trade.r for trade in once)
    assert any(trade.extreme_r < trade.r for trade in once)


def test_every_key_and_default_is_written() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    section = page[page.index("### `[regime]`") : page.index("## What the policy makes of it")]
    told: dict[str, str] = {}
    for row in section.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if row.startswith("| `"):
            names, defaults = (re.findall(r"`([^`]*)`", cell) for cell in cells[:2])
            told |= dict(zip(names, defaults, strict=True))
    config = RegimeConfig()
    assert told == {
        name: f'"{value}"' if isinstance(value, str) else f"{value:g}"
        for name, value in ((name, getattr(config, name)) for name in config.__struct_fields__)
    }


def test_the_matrix_that_is_written_is_the_shipped_one() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    matrices = shipped_matrices()
    seen = set()
    for row in page.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 4 and cells[0] in set(Regime):
            names = list(Volatility) if cells[1] == "any" else cells[1].split(", ")
            for name in names:
                case = Regime(cells[0]), Volatility(name)
                seen.add(case)
                assert matrices["SAFE"].modes[case] == cells[2]
                assert matrices["AGGRESSIVE"].modes[case] == cells[3]
    assert seen == set(matrices["SAFE"].modes)
