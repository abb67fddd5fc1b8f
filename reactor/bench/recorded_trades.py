"""The last-price ticks of a recording as columns."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from reactor.binance.decode import decode_market
from reactor.binance.market_messages import AggTrade, Trade, is_market_trade
from reactor.errors import ConfigError, TapeLineDamaged
from reactor.replay.tick_file import EXACT_DIGITS_MAX, TickFile
from reactor.shell.tape_format import decode_line
from reactor.shell.tape_reader import open_tape

TRADES_MAX = 1_000_000
"""Trades that are read: more than a steady figure needs."""


class Trades(NamedTuple):
    """The last-price ticks of one symbol.

    Attributes:
        symbol: whose.
        ticks: receive times and prices.
        tick_size: the coarsest power of ten that every price is a multiple of.
    """

    symbol: str
    ticks: TickFile
    tick_size: Decimal


class _Row(NamedTuple):
    t_ns: int
    price: str


def trades_of(path: Path) -> Trades:
    """The ticks of the symbol that has most of them on a tape.

    Args:
        path: a tape; its first `TRADES_MAX` trades count.

    Raises:
        TapeError: it is no tape.
        ConfigError: there is no trade on it.
    """
    found: dict[tuple[str, type[AggTrade | Trade]], list[_Row]] = defaultdict(list)
    count = 0
    for _, raw in open_tape(path).lines():
        if count == TRADES_MAX:
            break
        row = _trade(raw)
        if row is not None:
            kind, symbol, tick = row
            found[symbol, kind].append(tick)
            count += 1
    # Where a symbol has both, aggTrades are its ticks.
    ticks = {
        symbol: rows
        for (symbol, kind), rows in found.items()
        if kind is AggTrade or (symbol, AggTrade) not in found
    }
    if not ticks:
        raise ConfigError(f"--tape {path}: there is no trade on it; give a tape with trades")
    symbol = max(ticks, key=lambda name: len(ticks[name]))
    rows = ticks[symbol]
    places = max(len(row.price.rstrip("0").partition(".")[2]) for row in rows)
    digits_max = max(sum(char.isdigit() for char in row.price) for row in rows)
    columns = TickFile(
        np.maximum.accumulate(np.array([row.t_ns for row in rows], dtype=np.int64)),
        np.array([float(row.price) for row in rows], dtype=np.float64),
        exact=digits_max <= EXACT_DIGITS_MAX,
    )
    return Trades(symbol, columns, Decimal(1).scaleb(-places))


def _trade(raw: bytes) -> tuple[type[AggTrade | Trade], str, _Row] | None:
    """The trade on a tape line that is a price; None for anything else."""
    try:
        line = decode_line(raw)
    except (TapeLineDamaged, msgspec.DecodeError):
        return None
    if line.c not in {"market", "public"}:
        return None
    frame = decode_market(bytes(line.m))
    if isinstance(frame, AggTrade) or (isinstance(frame, Trade) and is_market_trade(frame)):
        return type(frame), frame.s, _Row(line.t, frame.p)
    return None
