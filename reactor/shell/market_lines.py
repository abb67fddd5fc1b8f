"""Tape lines of market frames, decoded line and frame in one go: nearly all that a replay reads.

A market frame comes in two forms, and each has its own decoder; a tape mostly has one of them.
"""

from typing import Annotated, Literal

import msgspec

from reactor.binance.market_messages import Envelope, MarketFrame
from reactor.limits import TIME_MS_MAX

T_NS_MAX = TIME_MS_MAX * 1_000_000
"""A receive time beyond it is damage: believing it would make every later line one of the past."""


class _EnvelopedLine(msgspec.Struct, frozen=True, gc=False):
    """A tape line whose message is a market frame in its envelope, decoded in one go."""

    t: Annotated[int, msgspec.Meta(ge=0, le=T_NS_MAX)]
    m: Envelope
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


class _BareLine(msgspec.Struct, frozen=True, gc=False):
    """The same without the envelope."""

    t: Annotated[int, msgspec.Meta(ge=0, le=T_NS_MAX)]
    m: MarketFrame
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


enveloped_line = msgspec.json.Decoder(_EnvelopedLine).decode
bare_line = msgspec.json.Decoder(_BareLine).decode
