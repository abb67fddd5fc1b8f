"""Bytes from the exchange to typed values: sockets here, REST answers in `decode_rest.py`.

These functions are total. Whatever the bytes are, they return a value: an event, `Ignored` for what is of
no use, or `Malformed` for what could not be read. Nothing raises out of them, so one bad frame costs one
count and never the connection.
"""

from decimal import Decimal
from typing import Any, Final, cast, get_args

from reactor.binance.amounts import price, quantity, symbol
from reactor.binance.decode_rest import decode_rest
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    Envelope,
    Kline,
    MarketFrame,
    MarkPrice,
    PriceFrame,
    SilentFrame,
    Trade,
)
from reactor.binance.messages import COIN_M, Ignored, Malformed, malformed
from reactor.binance.stream_frames import StreamDecoder
from reactor.binance.user_messages import UserEnvelope, UserEvent
from reactor.errors import DecodeError
from reactor.limits import ID_MAX, TIME_MS_MAX

__all__ = ["decode_market", "decode_rest", "decode_user", "market_fault"]

MarketVerdict = PriceFrame | Ignored | Malformed
UserVerdict = UserEvent | Ignored | Malformed


def decode_market(raw: bytes) -> MarketVerdict | tuple[PriceFrame | Malformed, ...]:
    """One frame of a `/market` or `/public` socket, bare or in an envelope.

    Args:
        raw: the message as it was received.

    Returns:
        A frame whose prices, ids and times have been checked; for an array (`!markPrice@arr`) a tuple of
        them, in which an element that could not be read stands as `Malformed` and what is ignored is left
        out; `Ignored` for COIN-M frames, events without a use, and (as `ControlReply`) answers to
        subscriptions; `Malformed` for the rest.
    """
    verdict = _MARKET.decode(raw)
    if isinstance(verdict, list):
        frames = tuple(part for part in verdict if not isinstance(part, Ignored))
        return frames or Ignored("array without a frame of use")
    return verdict


def decode_user(raw: bytes) -> UserVerdict:
    """One frame of a `/private` socket.

    Args:
        raw: the message as it was received: bare (`/private/ws/<listenKey>`, `/private/ws?listenKey=`) or
            in an envelope (`/private/stream`, whose `stream` is the listen key or an event's name).

    Returns:
        A typed event, `Ignored` (unknown events, answers to subscriptions, COIN-M), or `Malformed`.
    """
    verdict = _USER.decode(raw)
    if isinstance(verdict, list):
        return malformed("expected one event, got an array", raw)
    return verdict


def market_fault(frame: PriceFrame) -> str | None:
    """What is wrong with a frame that msgspec has read, in one line; None for a sound one.

    For whoever decodes the structs directly and meets a price that is not plain digits.
    """
    try:
        symbol(frame.s)
        _in_range(frame.E, "E", TIME_MS_MAX)
        match frame:
            case AggTrade():
                _price(frame.p, "p")
                _in_range(frame.a, "a", ID_MAX)
                _in_range(frame.T, "T", TIME_MS_MAX)
            case Trade():
                _price(frame.p, "p")
                _in_range(frame.t, "t", ID_MAX)
                _in_range(frame.T, "T", TIME_MS_MAX)
            case BookTicker():
                _price(frame.b, "b")
                _price(frame.a, "a")
                _in_range(frame.u, "u", ID_MAX)
                _in_range(frame.T, "T", TIME_MS_MAX)
            case MarkPrice():
                _price(frame.p, "p")
            case _:
                _check_kline(frame.k)
    except DecodeError as error:
        return str(error)
    return None


def _check_kline(candle: Kline) -> None:
    symbol(candle.s)
    opened, closed = _price(candle.o, "k.o"), _price(candle.c, "k.c")
    high, low = _price(candle.h, "k.h"), _price(candle.l, "k.l")
    quantity(candle.v)
    if not low <= min(opened, closed) <= max(opened, closed) <= high:
        raise DecodeError("candle whose open or close lies outside its low and high")
    _in_range(candle.t, "k.t", TIME_MS_MAX)
    _in_range(candle.T, "k.T", TIME_MS_MAX)


def _price(text: str, where: str) -> Decimal:
    try:
        return price(text)
    except DecodeError as error:
        raise DecodeError(f"{error} - at `$.{where}`") from None


def _in_range(number: int, where: str, largest: int) -> None:
    if not 0 <= number <= largest:
        raise DecodeError(f"number outside 0 to {largest} - at `$.{where}`")


def _admit_market(decoded: MarketFrame, raw: bytes) -> PriceFrame | Ignored | Malformed:
    silent = _SILENT.get(type(decoded))
    if silent is not None:
        return silent
    frame = cast("PriceFrame", decoded)
    if frame.st != 1:
        return COIN_M
    fault = market_fault(frame)
    return frame if fault is None else malformed(fault, raw)


def _admit_user(event: UserEvent, _raw: bytes) -> UserEvent | Ignored | Malformed:
    return COIN_M if event.product == _COIN_M_PRODUCT else event


_COIN_M_PRODUCT: Final = 2
_SILENT: Final[dict[type[Any], Ignored]] = {
    kind: Ignored(kind.__struct_config__.tag) for kind in get_args(SilentFrame)
}
_MARKET: Final = StreamDecoder[PriceFrame](
    events=MarketFrame, envelope=Envelope, admit=_admit_market
)
_USER: Final = StreamDecoder[UserEvent](events=UserEvent, envelope=UserEnvelope, admit=_admit_user)
