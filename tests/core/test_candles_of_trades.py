"""Candles built from real trades: plain grouping, the exchange's own klines, independent candles."""

import gzip
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from core.candle_grouping import MINUTE, Tick, all_of, feed, grouped
from core.recordings import candle_files, candles, frames, recording, rows
from reactor.core.candles import Candle, CandleSeries


@cache
def trades_marcosalzer() -> list[Tick]:
    path = recording("ticks_marcosalzer", "BTCUSDT_trades.csv.gz")
    return [Tick(int(row["exch_ts_ms"]), float(row["price"])) for row in rows(path)]


@cache
def trades_hftbacktest() -> list[Tick]:
    path = recording("ws_hftbacktest", "btcusdt_20240808.gz")
    return [
        Tick(int(data["T"]), float(data["p"]))
        for stream, data in frames(path)
        if stream.endswith("@trade") and data.get("X", "MARKET") == "MARKET"
    ]


RAW_TRADES = {
    "ticks_marcosalzer": ("BTCUSDT", trades_marcosalzer, 11_000),
    "ws_hftbacktest": ("BTCUSDT", trades_hftbacktest, 21_000),
}


@pytest.mark.parametrize("name", RAW_TRADES)
def test_candles_of_real_trades_are_those_of_plain_grouping(name: str) -> None:
    _, read, at_least = RAW_TRADES[name]
    ticks = read()
    assert len(ticks) > at_least
    for interval_ms in (MINUTE, 5 * MINUTE):
        series = CandleSeries(interval_ms)
        feed(series, ticks)
        assert all_of(series) == grouped(ticks, interval_ms)
        assert series.closed


def test_the_minutes_of_the_recorded_trades_are_known_by_heart() -> None:
    """Taken from the file with awk, so that the grouping above is not its own witness."""
    series = CandleSeries(MINUTE)
    feed(series, trades_marcosalzer())
    assert all_of(series) == [
        Candle(1_771_214_400_000, 68392.6, 68420.0, 68385.0, 68404.6),
        Candle(1_771_214_460_000, 68404.6, 68461.5, 68404.6, 68454.5),
        Candle(1_771_214_520_000, 68454.5, 68506.7, 68449.5, 68449.6),
        Candle(1_771_214_580_000, 68449.6, 68501.3, 68445.4, 68490.1),
        Candle(1_771_214_640_000, 68490.2, 68490.2, 68466.0, 68484.0),
        Candle(1_771_214_700_000, 68483.9, 68483.9, 68475.9, 68475.9),
    ]


class Kline(NamedTuple):
    event_ms: int
    bar: Candle
    first_trade: int
    last_trade: int
    closed: bool


def test_candles_of_aggregate_trades_lie_within_the_exchanges_own_klines() -> None:
    """Kline frames beside trades: whole minutes are equal, cut ones lie inside the kline."""
    path = recording("ws_cryptofeed", "2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz")
    trades: dict[str, list[tuple[int, int, Tick]]] = {}
    klines: dict[str, list[Kline]] = {}
    for stream, data in frames(path):
        if stream.endswith("@aggTrade"):
            tick = Tick(int(data["T"]), float(data["p"]))
            trades.setdefault(data["s"], []).append((int(data["f"]), int(data["l"]), tick))
        elif stream.endswith("@kline_1m"):
            k = data["k"]
            bar = Candle(int(k["t"]), *(float(k[key]) for key in "ohlc"))
            klines.setdefault(data["s"], []).append(
                Kline(int(data["E"]), bar, int(k["f"]), int(k["L"]), k["x"])
            )
    compared = whole = 0
    for symbol, seen in trades.items():
        series = CandleSeries(MINUTE)
        feed(series, [tick for _, _, tick in seen])
        ours = {bar.open_time_ms: bar for bar in all_of(series)}
        for kline in klines.get(symbol, []):
            inside = [
                (first, last, tick)
                for first, last, tick in seen
                if tick.t_ms // MINUTE * MINUTE == kline.bar.open_time_ms
                and last <= kline.last_trade
            ]
            if not inside:
                continue
            compared += 1
            prices = [tick.price for _, _, tick in inside]
            assert kline.bar.low <= min(prices) <= max(prices) <= kline.bar.high
            if inside[-1][1] == kline.last_trade:
                assert prices[-1] == kline.bar.close
            if inside[0][0] == kline.first_trade and inside[-1][1] == kline.last_trade:
                whole += 1
                cut = grouped([tick for _, _, tick in inside], MINUTE)
                assert cut == [kline.bar]
                # What we have from all ticks can only be this candle, grown.
                bar = ours[kline.bar.open_time_ms]
                assert bar.open == kline.bar.open
                assert bar.high >= kline.bar.high
                assert bar.low <= kline.bar.low
    assert compared > 20
    assert whole > 3


def compare_where_they_overlap(ticks: list[Tick], path: Path) -> int:
    """Holds candles of ticks against a candle file; answers how many times both had one."""
    independent = candles(path)
    by_open = {bar.open_time_ms: bar for bar in independent}
    series = CandleSeries(independent[1].open_time_ms - independent[0].open_time_ms)
    feed(series, ticks)
    # The first candle of a recording begins in its middle.
    overlap = [bar for bar in series.closed[1:] if bar.open_time_ms in by_open]
    assert overlap == [by_open[bar.open_time_ms] for bar in overlap]
    return len(overlap)


@pytest.mark.parametrize("name", RAW_TRADES)
def test_candles_of_real_trades_equal_independent_candles_of_the_same_time(name: str) -> None:
    """Wherever a candle file overlaps the trades in time, whichever files there are."""
    symbol, read, _ = RAW_TRADES[name]
    ticks = read()
    files = [path for path in candle_files() if path.name.startswith(symbol + "_")]
    if not sum(compare_where_they_overlap(ticks, path) for path in files):
        pytest.skip(f"no candle file of {symbol} in ../shared/data overlaps the trades of {name}")


def test_the_comparison_with_a_candle_file_can_fail(tmp_path: Path) -> None:
    ticks = trades_marcosalzer()
    file = tmp_path / "BTCUSDT_1m.csv.gz"
    for last_close, equal in ((68490.1, True), (68490.2, False)):
        with gzip.open(file, "wt") as out:
            out.write("open_time_ms,open,high,low,close,volume\n")
            out.write("1771214400000,1,1,1,1,1\n")  # the cut one is not compared
            out.write("1771214460000,68404.6,68461.5,68404.6,68454.5,1\n")
            out.write("1771214520000,68454.5,68506.7,68449.5,68449.6,1\n")
            out.write(f"1771214580000,68449.6,68501.3,68445.4,{last_close},1\n")
        if equal:
            assert compare_where_they_overlap(ticks, file) == 3
        else:
            with pytest.raises(AssertionError):
                compare_where_they_overlap(ticks, file)
