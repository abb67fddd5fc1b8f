"""Frames in, decisions out: what stands between bytes and the engine, live and in a replay alike.

The pump decodes one tape line (or live frame) and calls the engine's method for it. Nothing that bytes
can hold raises out of it: what cannot be read is counted and reported once, and the next line goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from reactor.binance.decode import decode_market, decode_rest, decode_user
from reactor.binance.filters import SymbolFilters
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    Envelope,
    MarketFrame,
    MarkPrice,
    PriceFrame,
    Trade,
    is_market_trade,
)
from reactor.binance.messages import FAULTS, Ignored, Malformed, RestFailure
from reactor.binance.rest_account_messages import PositionRisk
from reactor.binance.rest_market_messages import ExchangeInfo, Klines
from reactor.binance.user_messages import (
    AccountUpdate,
    OrderChange,
    OrderTradeUpdate,
    UserEvent,
)
from reactor.core import account
from reactor.core.account import AccountBook
from reactor.core.candles import Candle
from reactor.core.decisions import Decision, Reason, Side
from reactor.core.engine import Engine
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.core.machine import Filters
from reactor.core.plan import INTERVAL_MS
from reactor.errors import DecodeError, TapeLineDamaged
from reactor.shell.tape_format import TapeLine, decode_line


class _EnvelopedLine(msgspec.Struct, frozen=True, gc=False):
    """A tape line whose message is a market frame in its envelope, decoded in one go."""

    t: int
    m: Envelope
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


class _BareLine(msgspec.Struct, frozen=True, gc=False):
    """The same without the envelope."""

    t: int
    m: MarketFrame
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


_enveloped = msgspec.json.Decoder(_EnvelopedLine).decode
_bare = msgspec.json.Decoder(_BareLine).decode

Note = Callable[[str, str], None]
"""Takes a kind (what is counted) and a text (what is shown)."""


class Pump:
    """Feeds an engine from tape lines.

    Attributes:
        now_ns: the newest receive time seen.
        skipped: lines and frames that could not be read.
        filters: tick size, lot step and minimum of each symbol that an exchangeInfo described.
    """

    def __init__(self, engine: Engine, *, note: Note, follow_account: bool) -> None:
        """Builds a pump.

        Args:
            engine: what it feeds.
            note: called for everything a person should know, with a kind and a text.
            follow_account: whether private frames and position answers open and close positions.
        """
        self.engine = engine
        self.book = AccountBook(engine)
        self.now_ns = 0
        self.skipped = 0
        self.ignored: Counter[str] = Counter()
        self.filters: dict[str, Filters] = {}
        self._note = note
        self._follow_account = follow_account
        self._requests: dict[str, str] = {}

    # Lines ------------------------------------------------------------------------------------

    def feed(
        self, first_number: int, lines: Sequence[bytes], sink: Callable[[Sequence[Decision]], None]
    ) -> None:
        """Takes consecutive tape lines.

        Args:
            first_number: the first one's line number, for messages.
            lines: raw lines without newlines.
            sink: called with each line's decisions, where there are any.
        """
        engine = self.engine
        on_last, on_trade, on_mark, on_book = (
            engine.on_last,
            engine.on_trade,
            engine.on_mark,
            engine.on_book,
        )
        now_ns = self.now_ns
        enveloped = True
        for offset, raw in enumerate(lines):
            try:
                if enveloped:
                    line = _enveloped(raw)
                    frame = line.m.data
                else:
                    bare = _bare(raw)
                    line, frame = bare, bare.m
                t = line.t
                if t < now_ns:
                    raise ValueError
                kind = type(frame)
                if kind is AggTrade:
                    if frame.st == 1:
                        decisions = on_last(frame.s, frame.p, frame.a, frame.T, t)
                    else:
                        continue
                elif kind is BookTicker:
                    ...
            except FAULTS:
                continue
        self.now_ns = now_ns
