"""REST answers about the exchange and its markets, typed.

Where an endpoint answers with an array or, with `symbol`, one object, the answer here is always a tuple.
Times are milliseconds, prices and quantities exact decimals.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from reactor.binance.fields import (
    Amount,
    Id,
    LooseText,
    Price,
    Quantity,
    Symbol,
    TimeMs,
    Whole,
)
from reactor.binance.filters import SymbolFilters
from reactor.binance.messages import Malformed

_ZERO = Decimal(0)


class _Answer(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A JSON object whose fields are named as here, in camelCase."""


# The exchange -------------------------------------------------------------------------------------


class ServerTime(_Answer, frozen=True):
    """`/fapi/v1/time`."""

    server_time_ms: TimeMs = field(name="serverTime")


class RateLimit(_Answer, frozen=True):
    """One limit, of exchangeInfo (for the address) or `/fapi/v1/rateLimit/order` (for the account)."""

    rate_limit_type: str
    """REQUEST_WEIGHT or ORDERS."""
    interval: str
    """SECOND, MINUTE or DAY."""
    interval_num: Whole
    limit: Whole


class ExchangeInfo(Struct, frozen=True, gc=False, kw_only=True):
    """`/fapi/v1/exchangeInfo`: every contract's rules. Its `serverTime` is stale by days; left out."""

    symbols: dict[str, SymbolFilters]
    malformed: tuple[Malformed, ...]
    """Contracts whose entry could not be read. The others are not held up by them."""
    rate_limits: tuple[RateLimit, ...]


# Market data --------------------------------------------------------------------------------------


class KlineRow(Struct, frozen=True, gc=False, array_like=True):
    """One candle. The last row of an answer is the open one: look at `close_time_ms`."""

    open_time_ms: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Quantity
    """Base units; 0 in every mark-price candle."""
    close_time_ms: TimeMs
    quote_volume: Quantity = _ZERO
    trades: Id = 0

    def __post_init__(self) -> None:
        """Refuse a candle that no market can draw: an ATR would carry it for hours."""
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError("candle whose open or close lies outside its low and high")
        if self.close_time_ms < self.open_time_ms:
            raise ValueError("candle that closes before it opens")


class Klines(Struct, frozen=True, gc=False, kw_only=True):
    """`/fapi/v1/klines` or `/fapi/v1/markPriceKlines`, oldest first."""

    symbol: str
    interval: str
    source: Literal["last", "mark"]
    """Which price the candles are of."""
    rows: tuple[KlineRow, ...]


class PremiumIndex(_Answer, frozen=True):
    """`/fapi/v1/premiumIndex`: mark price and funding."""

    symbol: Symbol
    mark_price: Price
    time_ms: TimeMs = field(name="time")
    index_price: Amount | None = None
    last_funding_rate: LooseText = ""
    """A fraction; a text because it is empty for contracts without funding."""
    next_funding_time_ms: TimeMs = field(name="nextFundingTime", default=0)


class TickerPrice(_Answer, frozen=True):
    """`/fapi/v1/ticker/price` and `/fapi/v2/ticker/price`: the last price."""

    symbol: Symbol
    price: Price
    time_ms: TimeMs = field(name="time", default=0)


class TickerBook(_Answer, frozen=True):
    """`/fapi/v1/ticker/bookTicker`: best bid and ask."""

    symbol: Symbol
    bid_price: Price
    ask_price: Price
    bid_quantity: Quantity = field(name="bidQty", default=_ZERO)
    ask_quantity: Quantity = field(name="askQty", default=_ZERO)
    time_ms: TimeMs = field(name="time", default=0)


class TickerDay(_Answer, frozen=True):
    """`/fapi/v1/ticker/24hr`: a day's volume."""

    symbol: Symbol
    quote_volume: Quantity
    volume: Quantity = _ZERO


class AggTradeRow(Struct, frozen=True, gc=False, kw_only=True):
    """One aggregate trade of the past."""

    agg_trade_id: Id = field(name="a")
    price: Price = field(name="p")
    quantity: Quantity = field(name="q")
    trade_time_ms: TimeMs = field(name="T")


class AggTrades(Struct, frozen=True, gc=False, kw_only=True):
    """`/fapi/v1/aggTrades`, oldest first."""

    symbol: str
    rows: tuple[AggTradeRow, ...]
