"""Made-up frames are what they pretend to be, and a recording's trades are its ticks."""

from itertools import islice
from pathlib import Path

import pytest

from reactor.bench import frames
from reactor.bench.recorded_trades import trades_of
from reactor.binance.decode import decode_market
from reactor.binance.market_messages import AggTrade, BookTicker, MarkPrice
from reactor.errors import ConfigError, TapeError
from reactor.shell.tape_format import decode_line


def test_the_frames_are_sound() -> None:
    trade = decode_market(frames.agg_trade("BTCUSDT", "60000.10", 7, 1000).encode())
    assert isinstance(trade, AggTrade)
    assert (trade.s, trade.p, trade.a, trade.T, trade.st) == ("BTCUSDT", "60000.10", 7, 1000, 1)
    book = decode_market(frames.book_ticker("BTCUSDT", "1.10", "1.20", 8, 1000).encode())
    assert isinstance(book, BookTicker)
    assert (book.b, book.a, book.u, book.T) == ("1.10", "1.20", 8, 1000)
    mark = decode_market(frames.mark_price("BTCUSDT", "60000.10", 1000).encode())
    assert isinstance(mark, MarkPrice)
    assert (mark.p, mark.E) == ("60000.10000000", 1000)


def test_the_lines_are_a_tape_that_is_the_same_every_time() -> None:
    lines = list(islice(frames.tape_lines(), 12_000))
    assert lines == list(islice(frames.tape_lines(), 12_000))
    assert lines != list(islice(frames.tape_lines(seed=2), 12_000))
    decoded = [decode_line(line.encode()) for line in lines]
    times = [line.t for line in decoded]
    assert times == sorted(set(times))
    kinds = [type(decode_market(bytes(line.m))) for line in decoded[:20]]
    assert [kinds.count(kind) for kind in (AggTrade, BookTicker, MarkPrice)] == [11, 8, 1]


def test_each_period_of_the_walk_ends_a_tick_higher() -> None:
    span = frames.PERIOD * len(frames.SYMBOLS)
    prices = [_bid(line) for line in islice(frames.tape_lines(), 0, 2 * span + 1, span)]
    assert prices == [60_000.0, 60_000.1, 60_000.2]


def _bid(line: str) -> float:
    frame = decode_market(bytes(decode_line(line.encode()).m))
    return float(frame.b if isinstance(frame, BookTicker) else frame.p)  # type: ignore[union-attr]


# Trades of a recording --------------------------------------------------------------------------------


def trade(
    price: str, trade_id: int, t_ms: int, *, kind: str = "MARKET", symbol: str = "BTCUSDT"
) -> str:
    return (
        f'{{"e":"trade","E":{t_ms},"T":{t_ms},"s":"{symbol}","t":{trade_id},"p":"{price}",'
        f'"q":"1","X":"{kind}","m":false}}'
    )


def tape(folder: Path, messages: list[tuple[int, str]]) -> Path:
    path = folder / "tape.jsonl"
    lines = [f'{{"t":{t_ns},"c":"market","m":{frame}}}' for t_ns, frame in messages]
    path.write_text("\n".join(['{"tape":1}', *lines]) + "\n", encoding="utf-8")
    return path


def test_the_busiest_symbols_market_trades_are_taken(tmp_path: Path) -> None:
    path = tape(
        tmp_path,
        [
            (1, trade("100.50", 1, 1)),
            (2, trade("9.1234", 1, 1, symbol="DOGEUSDT")),
            (3, trade("55.00", 2, 2, kind="INSURANCE_FUND")),
            (5, trade("100.75", 3, 3)),
            (4, trade("101.00", 4, 4)),
        ],
    )
    found = trades_of(path)
    assert found.symbol == "BTCUSDT"
    assert found.ticks.prices.tolist() == [100.5, 100.75, 101.0]
    # A time that runs backwards is held at the newest one.
    assert found.ticks.t_ns.tolist() == [1, 5, 5]
    assert str(found.tick_size) == "0.01"
    assert found.ticks.exact


def test_agg_trades_are_taken_where_there_are_both(tmp_path: Path) -> None:
    agg = frames.agg_trade("BTCUSDT", "100.1", 1, 1)
    path = tape(tmp_path, [(1, trade("100", 1, 1)), (2, agg), (3, trade("102", 2, 2))])
    assert trades_of(path).ticks.prices.tolist() == [100.1]


def test_whole_prices_have_a_tick_of_one(tmp_path: Path) -> None:
    path = tape(tmp_path, [(1, trade("100.00", 1, 1)), (2, trade("101", 2, 2))])
    assert str(trades_of(path).tick_size) == "1"


def test_a_tape_without_trades_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tape(tmp_path, [(1, frames.mark_price("BTCUSDT", "100.0", 1))])
    with pytest.raises(ConfigError, match="no trade on it"):
        trades_of(path)
    with pytest.raises(TapeError):
        trades_of(tmp_path / "absent.jsonl")
