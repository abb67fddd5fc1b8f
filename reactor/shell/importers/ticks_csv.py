"""Any CSV of trades, of the best bid and ask, or of the mark price; columns are found by their names.

A row becomes an aggTrade (`last`), a bookTicker (`book`), a markPriceUpdate (`mark`), or several of
them. What the table lacks is left out of the frame or made from what it has, and said.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reactor.errors import RecordingError
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

STREAMS: Final = ("last", "book", "mark")

_UNIT_NS = {"_ns": 1, "_us": 10**3, "_ms": 10**6, "_s": 10**9}


def _with_units(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{unit}" for name in names for unit in ("", *_UNIT_NS))


_RECEIVE_TIME = (
    *_with_units("recv_time", "receive_time", "local_timestamp", "ts", "timestamp", "time", "t"),
    "datetime",
    "date",
)
_EXCHANGE_TIME = _with_units(
    "exch_ts", "exchange_ts", "exchange_time", "event_time", "transaction_time"
)
_SYMBOL = ("symbol", "instrument")
_PRICE = ("price", "last_price", "trade_price", "p")
_QUANTITY = ("qty", "quantity", "size", "amount", "q")
_TRADE_ID = ("trade_id", "agg_trade_id", "agg_id", "id")
_TAKER_SIDE = ("side", "taker_side")
_MAKER = ("is_buyer_maker", "buyer_is_maker")
_BID = ("best_bid", "best_bid_price", "bid_price", "bid")
_ASK = ("best_ask", "best_ask_price", "ask_price", "ask")
_BID_QUANTITY = ("bid_qty", "best_bid_qty", "bid_quantity", "bid_size")
_ASK_QUANTITY = ("ask_qty", "best_ask_qty", "ask_quantity", "ask_size")
_UPDATE_ID = ("update_id", "seq", "u", "lastupdateid")
_MARK = ("mark_price", "mark", "markprice")
_INDEX = ("index_price", "index", "indexprice")
_FUNDING = ("funding_rate", "funding")


#: (receive time in ns, exchange time in ms, symbol as JSON, cells) → message.
_Builder = Callable[[int, int, str, list[str]], RawMessage]


def read_ticks_csv(path: Path, options: ImportOptions, account: Account) -> Iterator[RawMessage]:
    """Read one table of ticks. See the module's text.

    Raises:
        RecordingError: a needed column or the symbol is missing; the message says which.
    """
    for table in tables(path, account):
        yield from _Reader(table, options, account).messages()


class _Reader:
    """Reads one table whose columns have been found."""

    def __init__(self, table: Table, options: ImportOptions, account: Account) -> None:
        self._table = table
        self._account = account
        self._used: set[int] = set()
        if not table.columns:
            raise RecordingError(
                f"{table.path}: the first line must name the columns, such as ts_ms,price,qty"
            )
        self._receive = self._find(_RECEIVE_TIME)
        self._exchange = self._find(_EXCHANGE_TIME)
        if self._receive is None and self._exchange is None:
            raise RecordingError(f"{table.path}: no time column, such as ts_ms or time_ms")
        self._symbol_place = self._find(_SYMBOL) if options.symbol is None else None
        self._symbol = "" if self._symbol_place is not None else symbol_of(table, options)
        able = [
            stream
            for stream, needed in (("last", (_PRICE,)), ("book", (_BID, _ASK)), ("mark", (_MARK,)))
            if all(table.column(names) is not None for names in needed)
        ]
        self._streams = options.streams or tuple(able)
        for stream in self._streams or STREAMS:
            if stream not in able:
                raise RecordingError(
                    f"{table.path}: no columns for --stream {stream}; it takes "
                    "price, or best_bid and best_ask, or mark_price"
                )
        self._last_id = 0

    def _find(self, names: tuple[str, ...]) -> int | None:
        place = self._table.column(names)
        if place is not None:
            self._used.add(place)
        return place

    def messages(self) -> Iterator[RawMessage]:
        """Yield the frames of every row, row by row."""
        build = {"last": self._agg_trade, "book": self._book_ticker, "mark": self._mark_price}
        builders = [(stream, build[stream]()) for stream in STREAMS if stream in self._streams]
        self._say_what_was_assumed()
        for number, cells in self._table.rows:
            try:
                t_ns, event_ms = self._times(cells)
                symbol = json_text(
                    self._symbol if self._symbol_place is None else cells[self._symbol_place]
                )
            except (IndexError, ValueError):
                self._account.drop("no time in the row", self._table.path, number)
                continue
            for stream, builder in builders:
                try:
                    message = builder(t_ns, event_ms, symbol, cells)
                except (IndexError, ValueError):
                    self._account.drop(f"no {stream} price in the row", self._table.path, number)
                    continue
                yield message

    def _times(self, cells: list[str]) -> tuple[int, int]:
        """The receive time in ns and the exchange time in ms; either stands in for the other."""
        receive_ns = self._time(cells, self._receive)
        exchange_ns = self._time(cells, self._exchange)
        if receive_ns is None:
            receive_ns = exchange_ns
        if receive_ns is None:
            raise ValueError
        return receive_ns, (receive_ns if exchange_ns is None else exchange_ns) // 1_000_000

    def _time(self, cells: list[str], place: int | None) -> int | None:
        if place is None:
            return None
        name = self._table.columns[place]
        unit_ns = next((ns for unit, ns in _UNIT_NS.items() if name.endswith(unit)), None)
        return time_ns(cells[place], unit_ns=unit_ns)

    def _id(self, cells: list[str], place: int | None, t_ns: int) -> int:
        """The row's own id, or one made of its time that rises from row to row."""
        if place is not None:
            own = whole_number(cells[place])
            if own is None:
                raise ValueError
            return own
        self._last_id = max(self._last_id + 1, t_ns // 1000)
        return self._last_id

    def _agg_trade(self) -> _Builder:
        price = self._find(_PRICE)
        quantity = self._find(_QUANTITY)
        id_ = self._find(_TRADE_ID)
        maker = self._find(_MAKER)
        side = self._find(_TAKER_SIDE)
        assert price is not None
        self._say_ids("aggTrade", id_)

        def build(t_ns: int, event_ms: int, symbol: str, cells: list[str]) -> RawMessage:
            further = _optional("q", cells, quantity)
            flag = _buyer_is_maker(cells, maker, side)
            further += "" if flag is None else f',"m":{flag}'
            frame = (
                f'{{"e":"aggTrade","E":{event_ms},"s":{symbol},"a":{self._id(cells, id_, t_ns)},'
                f'"p":"{_price(cells[price])}","T":{event_ms}{further}}}'
            )
            return RawMessage(t_ns, "market", frame.encode())

        return build

    def _book_ticker(self) -> _Builder:
        bid, ask = self._find(_BID), self._find(_ASK)
        bid_quantity, ask_quantity = self._find(_BID_QUANTITY), self._find(_ASK_QUANTITY)
        id_ = self._find(_UPDATE_ID)
        assert bid is not None
        assert ask is not None
        self._say_ids("bookTicker", id_)

        def build(t_ns: int, event_ms: int, symbol: str, cells: list[str]) -> RawMessage:
            frame = (
                f'{{"e":"bookTicker","u":{self._id(cells, id_, t_ns)},"s":{symbol},'
                f'"b":"{_price(cells[bid])}"{_optional("B", cells, bid_quantity)},'
                f'"a":"{_price(cells[ask])}"{_optional("A", cells, ask_quantity)},'
                f'"T":{event_ms},"E":{event_ms}}}'
            )
            return RawMessage(t_ns, "public", frame.encode())

        return build

    def _mark_price(self) -> _Builder:
        mark = self._find(_MARK)
        index = self._find(_INDEX)
        funding = self._find(_FUNDING)
        assert mark is not None

        def build(t_ns: int, event_ms: int, symbol: str, cells: list[str]) -> RawMessage:
            further = _optional("i", cells, index) + _optional("r", cells, funding)
            frame = (
                f'{{"e":"markPriceUpdate","E":{event_ms},"s":{symbol},'
                f'"p":"{_price(cells[mark])}"{further}}}'
            )
            return RawMessage(t_ns, "market", frame.encode())

        return build

    def _say_ids(self, event: str, place: int | None) -> None:
        name = self._table.path.name
        if place is None:
            self._account.note(f"{name}: no ids: those of {event} are made from the receive time")
        else:
            self._account.note(f"{name}: ids of {event} are column {self._table.columns[place]}")

    def _say_what_was_assumed(self) -> None:
        name = self._table.path.name
        if self._exchange is None:
            self._account.note(f"{name}: no exchange time: the receive time stands for it")
        elif self._receive is None:
            self._account.note(f"{name}: no receive time: the exchange time stands for it")
        unused = [
            column for place, column in enumerate(self._table.columns) if place not in self._used
        ]
        if unused:
            self._account.note(f"{name}: columns not used: {', '.join(unused)}")


def _price(cell: str) -> str:
    text = price_text(cell)
    if text is None:
        raise ValueError
    return text


def _optional(key: str, cells: list[str], place: int | None) -> str:
    """`,"q":"1.5"`, or nothing where the cell holds no number."""
    text = None if place is None else _signed_decimal_text(cells[place])
    return "" if text is None else f',"{key}":"{text}"'


def _signed_decimal_text(cell: str) -> str | None:
    """A funding rate may be negative."""
    cell = cell.strip()
    if cell.startswith("-"):
        text = decimal_text(cell[1:])
        return None if text is None else f"-{text}"
    return decimal_text(cell)


def _buyer_is_maker(cells: list[str], maker: int | None, side: int | None) -> str | None:
    """From the taker's side: a selling taker hits a buyer that was there already."""
    if maker is not None:
        flag = cells[maker].strip().lower()
        return {"true": "true", "false": "false", "1": "true", "0": "false"}.get(flag)
    if side is not None:
        return {"buy": "false", "sell": "true"}.get(cells[side].strip().lower())
    return None
