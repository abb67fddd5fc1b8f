"""Prices from a recording: marks, trades and best prices, at recorded speed or any multiple of it.

Reads tapes (one JSON object a line: ``t`` in ns, ``m`` the raw frame). What a frame says about prices is
taken; the frames that clients get are made afresh, with the simulator's own times and ids.
"""

import gzip
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.errors import TapeError
from reactor.sim.decimals import places_of
from reactor.sim.symbols import SymbolRules, default_symbols

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

SCAN_LINES = 20_000
SOURCES = frozenset({"public", "market"})
EVENTS = frozenset({"markPriceUpdate", "aggTrade", "trade", "bookTicker"})


def _open(path: Path) -> Any:
    """Return the tape's bytes as a readable file, whatever it is compressed with."""
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rb")
        if path.suffix == ".zst":
            from backports import zstd  # noqa: PLC0415 -- only for compressed tapes

            return io.BufferedReader(zstd.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a tape; a cut file ends where it was cut."""
    with _open(path) as file:
        while True:
            try:
                line = file.readline()
            except (EOFError, OSError):
                return
            if not line:
                return
            yield line


class PriceEvent(msgspec.Struct, gc=False):
    """What prices need of any frame; the letters are Binance's."""

    e: str = ""
    s: str = ""
    p: str = ""
    q: str = ""
    b: str | list[Any] = ""
    B: str = ""
    a: str | int | list[Any] = ""
    A: str = ""
    i: str | int = ""
    r: str = ""
    m: bool = False
    X: str = "MARKET"
    st: int = 1


class _Message(PriceEvent, gc=False):
    data: PriceEvent | list[PriceEvent] | msgspec.UnsetType = msgspec.UNSET


class _Row(msgspec.Struct, gc=False):
    t: int
    c: str = ""
    m: _Message | list[PriceEvent] | None = None


class _Header(msgspec.Struct):
    tape: int


def read_events(path: Path) -> Iterator[tuple[int, PriceEvent]]:
    """Yield (receive time in ns, event) for every price event of a tape.

    Raises:
        TapeError: The file cannot be read or is not a tape.
    """
    lines = _lines(path)
    try:
        header = msgspec.json.decode(next(lines, b""), type=_Header)
    except msgspec.DecodeError as error:
        raise TapeError(f'{path}: not a tape: the first line must hold "tape": 1') from error
    if header.tape != 1:
        raise TapeError(f"{path}: a tape of version {header.tape}; this program reads version 1")
    decode = msgspec.json.Decoder(_Row).decode
    for line in lines:
        try:
            row = decode(line)
        except msgspec.DecodeError:
            continue
        message = row.m
        if message is None or row.c not in SOURCES:
            continue
        event: PriceEvent | list[PriceEvent] = message
        if isinstance(message, _Message) and message.data is not msgspec.UNSET:
            event = message.data
        for one in event if isinstance(event, list) else (event,):
            if one.e in EVENTS and one.st != 2:
                yield row.t, one


def _price_of(event: PriceEvent) -> tuple[Decimal, Decimal] | None:
    """Return a price and a quantity of an event, to guess filters from."""
    book = event.e == "bookTicker"
    try:
        return Decimal(str(event.a if book else event.p)), Decimal(
            (event.A if book else event.q) or "0.001"
        )
    except InvalidOperation:
        return None


def symbols_of(path: Path) -> dict[str, SymbolRules]:
    """Return rules for the symbols of a tape: the known ones at the tape's price, others guessed.

    A guessed tick has as many decimals as the first price; a guessed step as the first quantity.
    """
    known = default_symbols()
    found: dict[str, SymbolRules] = {}
    for number, (_, event) in enumerate(read_events(path)):
        if number >= SCAN_LINES:
            break
        if not event.s or event.s in found:
            continue
        first = _price_of(event)
        if first is None or first[0] <= 0:
            continue
        if event.s in known:
            found[event.s] = msgspec.structs.replace(known[event.s], start_price=first[0])
        elif event.e != "markPriceUpdate":
            found[event.s] = _guess(event.s, *first)
    return found or known


def _guess(symbol: str, price: Decimal, quantity: Decimal) -> SymbolRules:
    tick = Decimal(1).scaleb(-places_of(price))
    step = Decimal(1).scaleb(-places_of(quantity))
    return SymbolRules(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        start_price=price,
        tick=tick,
        step=step,
        max_qty=step * 10_000_000,
        market_max_qty=step * 1_000_000,
        min_notional=Decimal(5),
        price_precision=places_of(tick),
        quantity_precision=places_of(step),
        min_price=tick,
        max_price=price * 100,
    )


def apply(exchange: "Exchange", event: PriceEvent) -> None:
    """Move prices by one recorded event; what cannot be read is skipped."""
    market = exchange.markets.get(event.s)
    if market is None:
        return
    try:
        if event.e == "bookTicker":
            if isinstance(event.a, str) and isinstance(event.b, str):
                exchange.quote(
                    event.s,
                    Decimal(event.b),
                    Decimal(event.B),
                    Decimal(event.a),
                    Decimal(event.A),
                )
        elif event.e == "markPriceUpdate":
            mark = Decimal(event.p)
            market.funding_rate = Decimal(event.r or "0")
            exchange.mark(event.s, mark, Decimal(event.i) if event.i else mark)
            exchange.publisher.mark(market)
        elif event.X == "MARKET":
            exchange.trade(event.s, Decimal(event.p), Decimal(event.q), buyer_maker=event.m)
    except InvalidOperation:
        return


class TapePrices:
    """A tape as a price source: recorded time, divided by ``speed``, counted from the start."""

    def __init__(self, path: Path, *, start_ms: int, speed: float = 1.0) -> None:
        self._events = read_events(path)
        self._start_ms = start_ms
        self._speed = speed
        self._next = next(self._events, None)
        self._first_ns = self._next[0] if self._next else 0

    def next_due_ms(self) -> int | None:
        """Return when the next recorded event is due, or None at the end."""
        if self._next is None:
            return None
        return self._start_ms + int((self._next[0] - self._first_ns) / 1e6 / self._speed)

    def move(self, exchange: "Exchange") -> None:
        """Play one event."""
        if self._next is not None:
            event, self._next = self._next[1], next(self._events, None)
            apply(exchange, event)


class TapePump:
    """A tape played as fast as somebody takes it, repeated if wanted."""

    def __init__(self, path: Path, *, repeat: bool = False) -> None:
        self._path = path
        self._repeat = repeat
        self._events = read_events(path)

    def pump(self, exchange: "Exchange", count: int) -> bool:
        """Play ``count`` events; return False at the end of the tape."""
        for _ in range(count):
            found = next(self._events, None)
            if found is None:
                if not self._repeat:
                    return False
                self._events = read_events(self._path)
                continue
            apply(exchange, found[1])
        return True
