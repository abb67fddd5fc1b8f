"""What the engine concluded: immutable values. What the shell does with them is its own business.

Every decision carries the receive time of what caused it (`t_ns`, nanoseconds since the Unix epoch; a
timer's carries its due time) and the number of the last accepted trigger-price tick of its symbol.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

Side = Literal["LONG", "SHORT"]


class Reason(StrEnum):
    """Why something was closed."""

    STOP_LOSS = "stop_loss"
    BREAK_EVEN = "break_even"
    TRAILING_STOP = "trailing_stop"
    TAKE_PROFIT = "take_profit"
    HARVEST = "harvest"
    TIME_STOP = "time_stop"
    LIQUIDATION_GUARD = "liquidation_guard"
    LOSS_GUARD = "loss_guard"
    MANUAL = "manual"
    # Only of a closed position: somebody else did it.
    HARD_STOP = "hard_stop"
    LIQUIDATION = "liquidation"
    ADL = "adl"
    EXTERNAL = "external"
    FLIP = "flip"


class StopKind(StrEnum):
    """What put the stop where it stands."""

    STOP_LOSS = "stop_loss"
    BREAK_EVEN = "break_even"
    TRAILING_STOP = "trailing_stop"
    MANUAL = "manual"


class Opened(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="opened"):
    """An epoch began: a position is guarded from here on."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    quantity: Decimal
    entry: Decimal
    plan: str
    atr: Decimal | None
    stop: Decimal
    targets: tuple[tuple[Decimal | None, Decimal], ...]


class StopMoved(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="stop"):
    """The stop stands somewhere better now, or is of another kind."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    kind: StopKind
    stop: Decimal
    price: Decimal


class Exit(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="exit"):
    """Close this much now, at market. `full` is a close of everything, pursued until flat."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    number: int
    attempt: int
    order_id: str
    full: bool
    reasons: tuple[Reason, ...]
    price: Decimal
    quantity: Decimal
    remaining: Decimal
    stop: Decimal


class Closed(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="closed"):
    """The epoch ended: flat, or flipped to the other side."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    reason: Reason
    realized: Decimal | None
    r_multiple: Decimal | None


class HeldBack(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="held_back"):
    """A level that a recomputation would have put at or through the price waits for the price."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    what: Literal["stop", "target"]
    level: Decimal
    price: Decimal | None


class OutcomeAsked(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="ask"):
    """The outcome of an order is unknown: ask the exchange for this id before anything is resent."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    order_id: str


class OrdersCancelled(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="cancel_orders"):
    """The epoch ended: every order of ours that belongs to it is to be cancelled."""

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int


class Alarm(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="alarm"):
    """Something a person should know: it is never silently fine. `kind`: a stable word, where it has one."""

    t_ns: int
    tick: int
    symbol: str
    side: Side | None
    epoch: int | None
    what: str
    kind: str = ""


class PolicyChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="policy"):
    """The exit policy wants a plan for a position: when its epoch opens, and whenever that changes.

    Attributes:
        action: `chosen` when the epoch opens; `keep` or `tighten` later.
        plan: what it wants now. `before`: what it wanted before; the same when the epoch opens.
        mode: the name that was asked for; another than the plan's where no plan has it.
        profile, regime, volatility: what the mode was looked up with.
        source: `regime`, `external`, or `unknown` while there is no regime.
        why: one sentence.
        stop: where the stop stands after it. `targets`: the untaken rungs after it, nearest first, each with
            the fraction it closes; None for one that waits. `trail`: the trailing distance after it, in price.
    """

    t_ns: int
    tick: int
    symbol: str
    side: Side
    epoch: int
    action: Literal["chosen", "keep", "tighten"]
    plan: str
    before: str
    mode: str
    profile: str
    regime: str
    volatility: str
    source: Literal["regime", "external", "unknown"]
    why: str
    stop: Decimal
    targets: tuple[tuple[Decimal | None, Decimal], ...] = ()
    trail: Decimal | None = None


class RegimeChanged(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag="regime"):
    """A symbol's regime or volatility is another one from here on.

    Attributes:
        since_ms: the end of the candle that brought it, exchange time.
        adx, plus_di, minus_di, efficiency, atr_pct, rank: the measures of that candle; None where there is
            none (yet).
        side, epoch: None; it is of no one position.
    """

    t_ns: int
    tick: int
    symbol: str
    timeframe: str
    regime: str
    volatility: str
    since_ms: int
    adx: float | None
    plus_di: float | None
    minus_di: float | None
    efficiency: float | None
    atr_pct: float | None
    rank: float | None
    side: Side | None = None
    epoch: int | None = None


Decision = (
    Opened
    | StopMoved
    | Exit
    | Closed
    | HeldBack
    | OutcomeAsked
    | OrdersCancelled
    | PolicyChanged
    | RegimeChanged
    | Alarm
)
