"""Prices from a recording: marks, trades and best prices, at recorded speed or any multiple of it.

Reads tapes (one JSON object a line: ``t`` in ns, ``m`` the raw frame). What a frame says about prices is
taken; the frames that clients get are made afresh, with the simulator's own times and ids.
"""

import gzip
import io
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec
import orjson

from reactor.errors import TapeError
from reactor.sim.decimals import places_of
from reactor.sim.symbols import SymbolRules, default_symbols

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

SCAN_LINES = 20_000
EVENTS = frozenset({"markPriceUpdate", "aggTrade", "trade", "bookTicker"})


def _open(path: Path) -> IO[bytes]:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        if path.suffix == ".zst":
            from backports import zstd  # noqa: PLC0415 -- only for compressed tapes

            return zstd.open(path, "rb")  # type: ignore[no-any-return]
        return path.open("rb")
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror or error}") from error


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a tape; a cut file ends where it was cut."""
    with _open(path) as raw:
        reader = io.BufferedReader(raw) if not isinstance(raw, io.BufferedReader) else raw  # type: ignore[arg-type]
        while True:
            try:
                line = reader.readline()
            except (EOFError, OSError):
                return
            if not line:
                return
            yield line


def read_events(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (receive time in ns, event) for every price event of a tape.

    Raises:
        TapeError: The file cannot be read or is not a tape.
    """
    lines = _lines(path)
    try:
        header = orjson.loads(next(lines, b""))
    except orjson.JSONDecodeError as error:
        raise TapeError(f"{path}: not a tape: the first line must be its JSON header") from error
    if not isinstance(header, dict) or header.get("tape") != 1:
        raise TapeError(f'{path}: not a tape: the first line must hold "tape": 1')
    for line in lines:
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if not isinstance(row, dict) or row.get("c") not in {"market", "public"}:
            continue
        message, received = row.get("m"), row.get("t")
        if not isinstance(message, dict) or not isinstance(received, int):
            continue
        event = message.get("data", message)
        for one in event if isinstance(event, list) else [event]:
            if isinstance(one, dict) and one.get("e") in EVENTS and one.get("st") != 2:
                yield received, one


def symbols_of(path: Path) -> dict[str, SymbolRules]:
    """Return rules for the symbols of a tape: the known ones at the tape's price, others guessed.

    A guessed tick has as many decimals as the first price; a guessed step as the first quantity.
    """
    known = default_symbols()
    found: dict[str, SymbolRules] = {}
    for number, (_, event) in enumerate(read_events(path)):
        if number >= SCAN_LINES:
            break
        symbol = event.get("s")
        if not isinstance(symbol, str) or symbol in found:
            continue
        try:
            price = Decimal(str(event.get("a" if event["e"] == "bookTicker" else "p")))
            quantity = Decimal(str(event.get("A" if event["e"] == "bookTicker" else "q", "0.001")))
        except InvalidOperation:
            continue
        if symbol in known:
            found[symbol] = msgspec.structs.replace(known[symbol], start_price=price)
        elif event["e"] != "markPriceUpdate":
            found[symbol] = _guess(symbol, price, quantity)
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


def apply(exchange: "Exchange", event: dict[str, Any]) -> None:
    """Move prices by one recorded event; what cannot be read is skipped."""
    symbol = event.get("s")
    if not isinstance(symbol, str) or symbol not in exchange.markets:
        return
    kind = event["e"]
    try:
        if kind == "bookTicker":
            exchange.quote(
                symbol,
                Decimal(event["b"]),
                Decimal(event["B"]),
                Decimal(event["a"]),
                Decimal(event["A"]),
            )
        elif kind == "markPriceUpdate":
            market = exchange.markets[symbol]
            market.funding_rate = Decimal(event.get("r") or "0")
            exchange.mark(symbol, Decimal(event["p"]), Decimal(event.get("i") or event["p"]))
            exchange.publisher.mark(market)
        elif kind == "aggTrade" or event.get("X", "MARKET") == "MARKET":
            exchange.trade(
                symbol, Decimal(event["p"]), Decimal(event["q"]), buyer_maker=bool(event.get("m"))
            )
    except (KeyError, InvalidOperation, TypeError):
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
