"""Binance's public data files (data.binance.vision): aggTrades, trades, klines, markPriceKlines.

As `.csv`, `.csv.gz` or the `.zip` they are published in, with the header row of the newer files or
without; plain candle tables with an `open_time` header as well. Trades become frames at the time of
the trade, candles become `rest` lines (see `candles`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from reactor.errors import RecordingError
from reactor.shell.importers.candles import INTERVAL_MS, candle_answers, has_candle_columns
from reactor.shell.importers.source import Account, ImportOptions, RawMessage
from reactor.shell.importers.tables import (
    Table,
    decimal_text,
    json_text,
    price_text,
    symbol_of,
    tables,
    time_ns,
    whole_number,
)
from reactor.shell.tape_format import Channel

KINDS = ("aggTrades", "trades", "klines", "markPriceKlines")
_NO_PRICES = ("indexPriceKlines", "premiumIndexKlines")

_BOOLEANS = {"true": "true", "false": "false", "1": "true", "0": "false"}


class _TradeFile(NamedTuple):
    """How one kind of trade file is laid out, and what becomes of it.

    `columns` are the names of id, price, quantity, first id, last id, time, buyer-is-maker; `places`
    where they stand when there is no header.
    """

    event: str
    id_key: str
    channel: Channel
    columns: tuple[tuple[str, ...], ...]
    places: tuple[int | None, ...]


_PRICE = ("price", "p")
_QUANTITY = ("quantity", "qty", "q")
_TIME = ("transact_time", "timestamp", "time", "t")
_MAKER = ("is_buyer_maker", "isbuyermaker", "m")
_AGG_TRADES = _TradeFile(
    "aggTrade",
    "a",
    "market",
    (
        ("agg_trade_id", "aggtradeid", "a"),
        _PRICE,
        _QUANTITY,
        ("first_trade_id", "firsttradeid", "f"),
        ("last_trade_id", "lasttradeid", "l"),
        _TIME,
        _MAKER,
    ),
    (0, 1, 2, 3, 4, 5, 6),
)
_TRADES = _TradeFile(
    "trade",
    "t",
    "public",
    (("id", "trade_id"), _PRICE, _QUANTITY, (), (), _TIME, _MAKER),
    (0, 1, 2, None, None, 4, 5),
)


def read_binance_csv(path: Path, options: ImportOptions, account: Account) -> Iterator[RawMessage]:
    """Read one file. See the module's text for what it may be.

    Raises:
        RecordingError: what the file is, or its symbol, cannot be told.
    """
    for table in tables(path, account):
        kind = options.kind or _kind_of(table)
        if kind == "aggTrades":
            yield from _trade_frames(table, _AGG_TRADES, options, account)
        elif kind == "trades":
            yield from _trade_frames(table, _TRADES, options, account)
        else:
            candle_kind = None if kind == "candles" else kind
            yield from candle_answers(table, options, account, kind=candle_kind)


def _kind_of(table: Table) -> str:
    """One of `KINDS`, or `candles` where nothing says of which price they are.

    Mark-price files bear the same names as klines; the folder that they are published in tells them
    apart, where it was kept.
    """
    name = f"{table.path.name}/{table.name}".lower()
    folders = {part.lower() for part in table.path.resolve().parts[:-1]}
    said = next(
        (
            kind
            for kind in (*_NO_PRICES, "markPriceKlines", "aggTrades", "trades", "klines")
            if kind.lower() in name or kind.lower() in folders
        ),
        None,
    )
    if said in _NO_PRICES:
        raise RecordingError(f"{table.path}: {said} are no prices that a plan can follow")
    has_price = table.column(_PRICE) is not None
    if has_price and table.column(_AGG_TRADES.columns[0]) is not None:
        return "aggTrades"
    if has_candle_columns(table):
        return "markPriceKlines" if said == "markPriceKlines" else "candles"
    if has_price and table.column(_TRADES.columns[0]) is not None:
        return "trades"
    if said is not None:
        return said
    if any(f"-{interval}-" in name for interval in INTERVAL_MS):
        return "candles"
    raise RecordingError(
        f"{table.path}: cannot tell from its name or header what it is: say --kind "
        f"{'|'.join(KINDS)}"
    )


def _trade_frames(
    table: Table, layout: _TradeFile, options: ImportOptions, account: Account
) -> Iterator[RawMessage]:
    symbol = symbol_of(table, options)
    places = layout.places
    if table.columns:
        places = tuple(table.column(names) for names in layout.columns)
        for index in (0, 1, 5):
            if places[index] is None:
                wanted = layout.columns[index][0]
                raise RecordingError(f"{table.path}: the header has no column {wanted}")
    account.note(
        f"{table.path.name}: {layout.event} of {symbol}; receive and event times are those of the "
        "trades"
    )
    symbol_json = json_text(symbol)
    for number, cells in table.rows:
        try:
            t_ns, frame = _trade_frame(cells, places, layout, symbol_json)
        except (IndexError, ValueError):
            account.drop(f"not a row of {layout.event}", table.path, number)
            continue
        yield RawMessage(t_ns, layout.channel, frame)


def _trade_frame(
    cells: list[str], places: tuple[int | None, ...], layout: _TradeFile, symbol_json: str
) -> tuple[int, bytes]:
    """Build one frame.

    Raises:
        IndexError, ValueError: a cell is missing or wrong.
    """
    id_, price, quantity, first, last, time, maker = places
    assert id_ is not None
    assert price is not None
    assert time is not None
    t_ns = time_ns(cells[time])
    trade_price = price_text(cells[price])
    if t_ns is None or trade_price is None:
        raise ValueError
    further = ""
    if quantity is not None:
        text = decimal_text(cells[quantity])
        if text is None:
            raise ValueError
        further = f',"q":"{text}"'
    if first is not None:
        further += f',"f":{_id(cells[first])}'
    if last is not None:
        further += f',"l":{_id(cells[last])}'
    if maker is not None:
        flag = _BOOLEANS.get(cells[maker].strip().lower())
        if flag is None:
            raise ValueError
        further += f',"m":{flag}'
    t_ms = t_ns // 1_000_000
    frame = (
        f'{{"e":"{layout.event}","E":{t_ms},"s":{symbol_json},"{layout.id_key}":{_id(cells[id_])},'
        f'"p":"{trade_price}","T":{t_ms}{further}}}'
    )
    return t_ns, frame.encode()


def _id(cell: str) -> int:
    number = whole_number(cell)
    if number is None:
        raise ValueError
    return number
