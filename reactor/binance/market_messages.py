"""Market frames as they come: the field names are Binance's own letters, prices are their text.

These structs are the tick path. They keep the few fields that a tick needs and let msgspec skip the
rest without building it, which is what makes decoding a frame cheaper than parsing its JSON; converting a
price is left to whoever needs the number. Field letters: `s` symbol, `p` price, `T` time of the trade
or of the book in the matching engine (ms), `E` time of sending (ms), `st` 1 = USDⓈ-M, 2 = COIN-M (absent
before 2026-06).
"""

from msgspec import Struct

# Frozen costs nothing here, and `gc=False` is safe: the fields are texts and numbers.


class AggTrade(Struct, tag_field="e", tag="aggTrade", frozen=True, gc=False):
    """`<symbol>@aggTrade`: trades of one taker at one price, without insurance-fund and ADL ones."""

    s: str
    p: str
    a: int
    T: int
    E: int = 0
    st: int = 1


class Trade(Struct, tag_field="e", tag="trade", frozen=True, gc=False):
    """`<symbol>@trade`: one raw trade. Not every one is a price: see `is_market_trade`."""

    s: str
    p: str
    t: int
    T: int
    E: int = 0
    X: str = "MARKET"
    st: int = 1


class BookTicker(Struct, tag_field="e", tag="bookTicker", frozen=True, gc=False):
    """`<symbol>@bookTicker`: best bid `b`, best ask `a`, book update id `u`."""

    s: str
    b: str
    a: str
    u: int
    T: int = 0
    E: int = 0
    st: int = 1


class MarkPrice(Struct, tag_field="e", tag="markPriceUpdate", frozen=True, gc=False):
    """`<symbol>@markPrice`: the mark price `p`. `T` is the next funding time here, so it is left out."""

    s: str
    p: str
    E: int
    st: int = 1


class MarkPriceFull(Struct, tag_field="e", tag="markPriceUpdate", frozen=True, gc=False):
    """The same frame with index `i`, funding rate `r` and next funding time `T`: for display.

    Not part of `MarketFrame`: reading these fields takes a fifth longer, and no exit needs them.
    """

    s: str
    p: str
    E: int
    i: str = ""
    P: str = ""
    r: str = ""
    T: int = 0
    st: int = 1


class Kline(Struct, frozen=True, gc=False):
    """The `k` of a kline frame: open time `t`, close time `T` (ms), interval `i`, open, high, low, close.

    `v` is the volume in base units, `x` whether the candle is final.
    """

    t: int
    T: int
    s: str
    i: str
    o: str
    h: str
    l: str  # noqa: E741 - Binance's letter for the low
    c: str
    v: str
    x: bool


class KlineFrame(Struct, tag_field="e", tag="kline", frozen=True, gc=False):
    """`<symbol>@kline_<interval>`: the candle as it stands; final only where `k.x`."""

    s: str
    k: Kline
    E: int = 0
    st: int = 1


# Events that recordings are full of and that no exit needs. Each is a struct without fields, so that it
# costs a look at its name and no exception.


class DepthUpdate(Struct, tag_field="e", tag="depthUpdate", frozen=True, gc=False):
    """`@depth`, `@depth20`, `@rpiDepth`."""


class Ticker24h(Struct, tag_field="e", tag="24hrTicker", frozen=True, gc=False):
    """`@ticker`."""


class MiniTicker(Struct, tag_field="e", tag="24hrMiniTicker", frozen=True, gc=False):
    """`@miniTicker`."""


class ForceOrder(Struct, tag_field="e", tag="forceOrder", frozen=True, gc=False):
    """`@forceOrder`: somebody's liquidation."""


class ContinuousKline(Struct, tag_field="e", tag="continuous_kline", frozen=True, gc=False):
    """`@continuousKline_<interval>`."""


class CompositeIndex(Struct, tag_field="e", tag="compositeIndex", frozen=True, gc=False):
    """`@compositeIndex`."""


class ContractInfo(Struct, tag_field="e", tag="contractInfo", frozen=True, gc=False):
    """`!contractInfo`."""


class AssetIndex(Struct, tag_field="e", tag="assetIndexUpdate", frozen=True, gc=False):
    """`@assetIndex`."""


class EquitySession(Struct, tag_field="e", tag="EquityUpdate", frozen=True, gc=False):
    """`tradingSession`, of the stock market."""


class CommoditySession(Struct, tag_field="e", tag="CommodityUpdate", frozen=True, gc=False):
    """`tradingSession`, of the commodity market."""


class IndexPrice(Struct, tag_field="e", tag="indexPriceUpdate", frozen=True, gc=False):
    """COIN-M `@indexPrice`."""


PriceFrame = AggTrade | Trade | BookTicker | MarkPrice | KlineFrame
SilentFrame = (
    DepthUpdate
    | Ticker24h
    | MiniTicker
    | ForceOrder
    | ContinuousKline
    | CompositeIndex
    | ContractInfo
    | AssetIndex
    | EquitySession
    | CommoditySession
    | IndexPrice
)
MarketFrame = PriceFrame | SilentFrame


class Envelope(Struct, frozen=True, gc=False):
    """What `/stream` wraps a frame in."""

    stream: str
    data: MarketFrame


def is_market_trade(frame: Trade) -> bool:
    """Whether a raw trade is a price.

    Raw trades carry insurance-fund, ADL and NA prints at prices far off the market. Binance leaves them out
    of its own candles; counting one would move a peak or fire a stop that the market never reached.
    """
    return frame.X == "MARKET"
