"""What the keeper of hard stops is told, what it asks for, and what it says: immutable values.

All times are nanoseconds since the Unix epoch by the clock that stamps the process's receipts.
"""

from decimal import Decimal
from typing import Final, Literal, Protocol

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import ZERO

SECOND_NS: Final = 1_000_000_000
NEVER_NS: Final = 1 << 62


# What it is told ----------------------------------------------------------------------------------


class StopRules(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the exchange takes as a stop's trigger and quantity. None: no such rule is known.

    Attributes:
        tick: the step of trigger prices. `price_min`, `price_max`: their bounds.
        step: the quantity's step, the coarser of LOT_SIZE's and MARKET_LOT_SIZE's.
        quantity_min, quantity_max: of one stop. A triggered STOP_MARKET becomes a MARKET order, so its quantity
            is held to MARKET_LOT_SIZE, the narrower rule: then it fits whichever the exchange applies.
    """

    tick: Decimal | None = None
    price_min: Decimal | None = None
    price_max: Decimal | None = None
    step: Decimal | None = None
    quantity_min: Decimal | None = None
    quantity_max: Decimal | None = None


class WantedStop(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A managed position, and the engine's stop that its hard stop has to stand behind.

    Attributes:
        symbol, side, epoch, opened_ns: which life of which position.
        quantity: what is open, positive.
        stop: the engine's stop, a price.
        buffer_pct: how far beyond the engine's stop the hard stop triggers, a fraction of it.
        step_pct: by more than what fraction of the price the trigger must improve to be moved.
        hedge: the account's mode: `positionSide` instead of `reduceOnly`.
        rules: the contract's.
    """

    symbol: str
    side: Side
    epoch: int
    opened_ns: int
    quantity: Decimal
    stop: Decimal
    buffer_pct: Decimal
    step_pct: Decimal
    hedge: bool
    rules: StopRules = StopRules()


class SeenStop(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A conditional order as the exchange tells of it: in a list, in an answer, in an ALGO_UPDATE.

    Attributes:
        status: NEW, TRIGGERING, TRIGGERED, FINISHED, CANCELED, REJECTED or EXPIRED.
        quantity: 0 where `close_position` is true.
        engine_order_id: of the order it became; empty before.
        executed: what that order filled. `failure`: why it was rejected.
        trigger_time_ms: when it triggered, the exchange's clock; 0 before.
    """

    client_id: str
    algo_id: int
    symbol: str
    status: str
    side: str
    position_side: str = "BOTH"
    order_type: str = "STOP_MARKET"
    trigger: Decimal = ZERO
    quantity: Decimal = ZERO
    close_position: bool = False
    engine_order_id: str = ""
    executed: Decimal = ZERO
    failure: str = ""
    trigger_time_ms: int = 0


class StopName(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a client id with this system's prefix says of a hard stop.

    Attributes:
        own: whether this instance placed it. `instance`: who did, as ids write it.
        placement, part, attempt: the numbers in it.
    """

    own: bool
    instance: str
    placement: int
    part: int
    attempt: int


class StopIds(Protocol):
    """The pure functions that name hard stops; `reactor.binance.hard_stop_orders` has the real ones."""

    def make(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        placement: int,
        part: int,
        attempt: int,
    ) -> str:
        """The client id of one stop."""
        ...

    def read(self, client_id: str) -> StopName | None:
        """What an id says; None for every order that is no hard stop of this system."""
        ...

    def belongs(
        self, client_id: str, *, symbol: str, side: Side, epoch: int, opened_ns: int
    ) -> bool:
        """Whether an id is of this instance and of this epoch of this position."""
        ...


# What it remembers --------------------------------------------------------------------------------


class StopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stop that was asked for and is not known to have ended."""

    client_id: str
    placement: int
    part: int
    attempt: int
    trigger: Decimal
    quantity: Decimal
    algo_id: int | None = None


class HardStopState(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart needs of one epoch's hard stop. Journaled before what it speaks of is sent.

    Attributes:
        placement: the last placement number that was used; ids are made of it.
        tightest: the best trigger that was ever confirmed in this epoch; none looser is placed.
        goal, trigger, parts: the placement that should stand; 0 and None before the first.
        stops: what may stand at the exchange.
    """

    symbol: str
    side: Side
    epoch: int
    opened_ns: int
    placement: int = 0
    tightest: Decimal | None = None
    trigger: Decimal | None = None
    parts: tuple[Decimal, ...] = ()
    goal: int = 0
    stops: tuple[StopRecord, ...] = ()


# What it asks for ---------------------------------------------------------------------------------


class Place(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Place this stop: STOP_MARKET by mark price, with a quantity, never `closePosition`."""

    symbol: str
    side: Side
    client_id: str
    trigger: Decimal
    quantity: Decimal
    hedge: bool


class Cancel(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Cancel this stop: by the exchange's id where it is known, else by ours."""

    symbol: str
    client_id: str
    algo_id: int | None
    why: str


class AskOpen(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """List the open conditional orders of a symbol."""

    symbol: str
    why: str


class AskOrder(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Ask for one conditional order by our id."""

    symbol: str
    client_id: str


class Reread(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Read the mark price and the position again: a placement would have triggered at once."""

    symbol: str
    side: Side


class AskPosition(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Reconcile: whether the position is still there is in doubt."""

    symbol: str
    side: Side
    why: str


class CloseNow(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Close the position at market, if this epoch is still the open one: its hard stop cannot."""

    symbol: str
    side: Side
    epoch: int
    cause: str


class StopAlarm(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A person should know. `kind` is a stable word; see docs/hard_stops.md for the list."""

    kind: str
    symbol: str
    side: Side | None
    text: str


Action = Place | Cancel | AskOpen | AskOrder | Reread | AskPosition | CloseNow | StopAlarm


# What it says -------------------------------------------------------------------------------------

Standing = Literal["none", "placing", "standing", "replacing", "triggering", "failed"]


class HardStopView(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How a position is protected at the exchange, as far as the exchange confirmed it.

    Attributes:
        state: `none` (nothing asked for yet), `placing`, `standing`, `replacing` (a newer one is under way; the
            figures are the standing one's), `triggering`, `failed` (`reason` says why; it is tried again).
        trigger: the loosest trigger that is needed to cover the quantity; None where nothing is confirmed.
        quantity: how much the confirmed stops close.
        client_id, confirmed_ns: of the newest confirmed stop, and since when; empty and 0 without one.
        surplus_since_ns: since when a stop stands that is not needed any more; None where none does.
    """

    state: Standing
    trigger: Decimal | None = None
    quantity: Decimal = ZERO
    reason: str = ""
    client_id: str = ""
    confirmed_ns: int = 0
    surplus_since_ns: int | None = None


class Timing(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How long things may take, in nanoseconds. Every wait and every rate of the keeper is here.

    Attributes:
        move_interval_ns: between two placements of one position for a better trigger or a smaller quantity.
        burst: placements within that interval for a quantity that grew.
        answer_max_ns: after it, a request without an answer counts as unknown.
        triggering_max_ns: TRIGGERING without an order in the engine, or triggered and still open, beyond this
            is a failure of the exchange's stop.
        lost_after_ns: an unknown placement not found twice, this far apart, never landed.
        absent_ns: a stop that lists have shown, absent from two lists this far apart, is gone.
        unseen_absent_ns: the same for a stop that no list has shown yet: new orders stay invisible to lists for
            seconds to minutes at busy times. Doubles with every such replacement, up to `unseen_absent_max_ns`.
        verify_after_ns: a confirmed stop that no list has shown yet is looked up once, this long afterwards:
            stops have vanished one to two seconds after they were accepted.
        close_again_ns: between two requests to close at market.
        retry_first_ns, retry_max_ns: the pause after a refusal, doubling.
        slow_ns: the pause where only a person can help.
        mark_fresh_ns: older mark prices say nothing about the present.
        list_lag_ns: how long after its end a stop may still be listed.
        give_up_ns: how long a stop that should go is cancelled, before a person is told.
        orphans_first_ns, orphans_last_ns: when, after an epoch's end, lists are looked at for what is left of it.
    """

    move_interval_ns: int = SECOND_NS
    burst: int = 4
    answer_max_ns: int = 5 * SECOND_NS
    triggering_max_ns: int = 2 * SECOND_NS
    lost_after_ns: int = SECOND_NS
    absent_ns: int = 2 * SECOND_NS
    unseen_absent_ns: int = 10 * SECOND_NS
    unseen_absent_max_ns: int = 640 * SECOND_NS
    verify_after_ns: int = 3 * SECOND_NS
    close_again_ns: int = 5 * SECOND_NS
    retry_first_ns: int = SECOND_NS // 4
    retry_max_ns: int = 30 * SECOND_NS
    slow_ns: int = 30 * SECOND_NS
    mark_fresh_ns: int = 5 * SECOND_NS
    list_lag_ns: int = 5 * SECOND_NS
    give_up_ns: int = 60 * SECOND_NS
    orphans_first_ns: int = 10 * SECOND_NS
    orphans_last_ns: int = 70 * SECOND_NS
