"""Tables of candles become answered kline requests, 1500 candles each, timed at their last close.

So a replay gets them the way a live start gets its history: over REST, and never before the last
of them was over.
"""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain, pairwise
from typing import Any

import orjson

from reactor.errors import RecordingError
from reactor.shell.importers.frames import rest_answer
from reactor.shell.importers.source import Account, ImportOptions, RawMessage
from reactor.shell.importers.tables import (
    Table,
    decimal_text,
    price_text,
    symbol_of,
    time_ns,
    whole_number,
)

#: What Binance answers at most on one klines request.
CANDLES_PER_ANSWER_MAX = 1500

_MINUTE_MS = 60_000
INTERVAL_MS = {
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "2h": 120 * _MINUTE_MS,
    "4h": 240 * _MINUTE_MS,
    "6h": 360 * _MINUTE_MS,
    "8h": 480 * _MINUTE_MS,
    "12h": 720 * _MINUTE_MS,
    "1d": 1440 * _MINUTE_MS,
    "3d": 3 * 1440 * _MINUTE_MS,
    "1w": 7 * 1440 * _MINUTE_MS,
}
_NAME_OF_MS = {length_ms: name for name, length_ms in INTERVAL_MS.items()}

_OPEN_TIME = ("open_time", "open_time_ms", "opentime")
_COLUMNS: tuple[tuple[str, ...], ...] = (
    _OPEN_TIME,
    ("open",),
    ("high",),
    ("low",),
    ("close",),
    ("volume",),
    ("close_time", "close_time_ms", "closetime"),
    ("quote_volume", "quote_asset_volume", "quotevolume"),
    ("count", "trades", "number_of_trades"),
    ("taker_buy_volume", "taker_buy_base_volume", "taker_buy_base_asset_volume"),
    ("taker_buy_quote_volume", "taker_buy_quote_asset_volume"),
)
_PLACES_WITHOUT_HEADER = tuple(range(len(_COLUMNS)))


def has_candle_columns(table: Table) -> bool:
    """Tell whether a header names an opening time and the four prices."""
    return all(table.column(names) is not None for names in _COLUMNS[:5])


class _Candle:
    """One row; its texts are the file's."""

    __slots__ = ("close_time_ms", "open_time_ms", "prices", "rest", "volume")

    def __init__(
        self, open_time_ms: int, prices: list[str], volume: str, close_time_ms: int | None
    ) -> None:
        self.open_time_ms = open_time_ms
        self.prices = prices
        self.volume = volume
        self.close_time_ms = close_time_ms
        self.rest: list[Any] = []


def candle_answers(
    table: Table, options: ImportOptions, account: Account, *, kind: str | None
) -> Iterator[RawMessage]:
    """Turn a table of candles into `rest` messages.

    Args:
        table: with a header, or in the order of Binance's own files.
        options: `symbol` and `interval` overrule what the file says.
        account: told what was dropped and assumed.
        kind: `klines`, `markPriceKlines`, or None: told from the volumes, which are all 0 in
            mark-price files though the price moves.

    Raises:
        RecordingError: the interval cannot be told.
    """
    symbol = symbol_of(table, options)
    candles = _candles(table, account)
    first_batch = _batch(candles)
    if not first_batch:
        return
    interval = options.interval or _interval_of(first_batch, table)
    interval_ms = INTERVAL_MS.get(interval)
    if interval_ms is None:
        raise RecordingError(
            f"{table.path}: no candle interval {interval!r}; there are {' '.join(INTERVAL_MS)}"
        )
    if kind is None:
        kind = "markPriceKlines" if _moves_without_volume(first_batch) else "klines"
        if kind == "markPriceKlines":
            account.note(f"{table.path.name}: no volume at all: taken for mark-price candles")
    account.note(f"{table.path.name}: {kind} of {symbol}, {interval}")
    gaps = 0
    last_open_ms = first_batch[0].open_time_ms - interval_ms
    batch: list[_Candle] = first_batch
    while batch:
        for candle in batch:
            gaps += candle.open_time_ms != last_open_ms + interval_ms
            last_open_ms = candle.open_time_ms
        yield _answer(batch, symbol, interval, interval_ms, kind)
        batch = _batch(candles)
    if gaps:
        account.note(f"{table.path.name}: {gaps} gaps between candles")


def _candles(table: Table, account: Account) -> Iterator[_Candle]:
    places: tuple[int | None, ...] = _PLACES_WITHOUT_HEADER
    if table.columns:
        places = tuple(table.column(names) for names in _COLUMNS)
        if places[5] is None:
            account.note(f"{table.path.name}: no volumes: written as 0")
    last_open_ms = -1
    for number, cells in table.rows:
        candle = _candle(cells, places)
        if candle is None:
            account.drop("not a candle", table.path, number)
        elif candle.open_time_ms <= last_open_ms:
            account.drop("a candle not later than the one before", table.path, number)
        else:
            last_open_ms = candle.open_time_ms
            yield candle


def _candle(cells: list[str], places: tuple[int | None, ...]) -> _Candle | None:
    values = [None if place is None or place >= len(cells) else cells[place] for place in places]
    open_time, open_, high, low, close, volume, close_time = values[:7]
    if open_time is None or open_ is None or high is None or low is None or close is None:
        return None
    open_time_ns = time_ns(open_time)
    volume_text = "0" if volume is None else decimal_text(volume)
    prices = [text for text in map(price_text, (open_, high, low, close)) if text is not None]
    if open_time_ns is None or volume_text is None or len(prices) < 4:
        return None
    open_, high, low, close = prices
    if not (
        _not_above(low, open_)
        and _not_above(low, close)
        and _not_above(open_, high)
        and _not_above(close, high)
    ):
        return None
    close_time_ns = None if close_time is None else time_ns(close_time)
    candle = _Candle(
        open_time_ns // 1_000_000,
        prices,
        volume_text,
        None if close_time_ns is None else close_time_ns // 1_000_000,
    )
    candle.rest = _further_columns(values[7:])
    return candle


def _not_above(low: str, high: str) -> bool:
    """Compare exactly; doubles settle it unless they are equal."""
    return low == high or float(low) < float(high) or Decimal(low) <= Decimal(high)


def _further_columns(cells: list[str | None]) -> list[Any]:
    """As many of the answer's last columns as the file has, in their order, without a hole."""
    further: list[Any] = []
    for cell, read in zip(
        cells, (decimal_text, whole_number, decimal_text, decimal_text), strict=True
    ):
        value = None if cell is None else read(cell)
        if value is None:
            return further
        further.append(value)
    return [*further, "0"]


def _batch(candles: Iterator[_Candle]) -> list[_Candle]:
    batch: list[_Candle] = []
    for candle in candles:
        batch.append(candle)
        if len(batch) == CANDLES_PER_ANSWER_MAX:
            break
    return batch


def _interval_of(batch: list[_Candle], table: Table) -> str:
    """The most common spacing; of a single candle its own length."""
    spacings = Counter(
        later.open_time_ms - earlier.open_time_ms for earlier, later in pairwise(batch)
    )
    own = (
        candle.close_time_ms + 1 - candle.open_time_ms
        for candle in batch[:1]
        if candle.close_time_ms is not None
    )
    for length_ms in chain((length for length, _ in spacings.most_common(1)), own):
        if length_ms in _NAME_OF_MS:
            return _NAME_OF_MS[length_ms]
    raise RecordingError(
        f"{table.path}: the candles' interval cannot be told from their spacing: say --interval 5m"
    )


def _moves_without_volume(batch: list[_Candle]) -> bool:
    return not any(candle.volume.strip("0.") for candle in batch) and any(
        Decimal(candle.prices[1]) != Decimal(candle.prices[2]) for candle in batch
    )


def _answer(
    batch: list[_Candle], symbol: str, interval: str, interval_ms: int, kind: str
) -> RawMessage:
    over_ms = batch[-1].open_time_ms + interval_ms
    params = {
        "symbol": symbol,
        "interval": interval,
        "startTime": str(batch[0].open_time_ms),
        "endTime": str(over_ms - 1),
        "limit": str(CANDLES_PER_ANSWER_MAX),
    }
    rows = [
        [
            candle.open_time_ms,
            *candle.prices,
            candle.volume,
            candle.open_time_ms + interval_ms - 1,
            *candle.rest,
        ]
        for candle in batch
    ]
    message = rest_answer(f"/fapi/v1/{kind}", params, orjson.dumps(rows))
    return RawMessage(over_ms * 1_000_000, "rest", message)
