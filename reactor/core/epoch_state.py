"""One epoch as a value: what a restart needs so that the restored machine decides exactly as the original.

Everything that a rule remembers is here; what follows from it (armed bounds, doubles, the sides' axis) is
made anew. Decimals cross JSON as their text, so nothing is rounded on the way: a random walk that is cut
anywhere, written, read back and gone on with gives the decisions of the walk that was not cut.

A field that a later version adds needs a default, so that a journal of an earlier version still opens.
"""

from decimal import Decimal

import msgspec

from reactor.core.break_even import BreakEvenState
from reactor.core.decisions import Side, StopKind
from reactor.core.epoch import RulesState
from reactor.core.guards import GuardsState
from reactor.core.in_flight import OrdersState
from reactor.core.ladder import Filters, LadderState
from reactor.core.lifecycle import EXITING
from reactor.core.machine import Machine
from reactor.core.orders import Fills, OrderIds, Orders, plain_order_id
from reactor.core.plan import Plan
from reactor.core.stop import StopState


class EpochState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one open epoch.

    Attributes:
        symbol, side, epoch: which one. `opened_ns`: when it opened (nanoseconds since the Unix epoch).
        plan: its whole content, as it was when the epoch opened. `filters`: what levels were rounded to.
        entry: average entry price.
        rules: what the machine itself remembers. `stop`, `ladder`, `break_even`, `guards`, `orders`: its
            parts.
        peak: the best price on the gain axis since trailing became active; None before.
    """

    symbol: str
    side: Side
    epoch: int
    opened_ns: int
    plan: Plan
    filters: Filters
    entry: Decimal
    rules: RulesState
    stop: StopState
    peak: Decimal | None
    ladder: LadderState
    break_even: BreakEvenState
    guards: GuardsState
    orders: OrdersState

    def price(self, x: Decimal | None) -> Decimal | None:
        """A point on the gain axis as a price; None stays None."""
        return x if x is None or self.side == "LONG" else x.copy_negate()

    @property
    def key(self) -> tuple[str, Side]:
        """The position that the epoch is of."""
        return self.symbol, self.side

    @property
    def quantity(self) -> Decimal:
        """What is open, in base units."""
        return self.orders.quantity

    @property
    def initial_quantity(self) -> Decimal:
        """The largest quantity held in this epoch, in base units."""
        return self.orders.initial_quantity

    @property
    def stop_price(self) -> Decimal:
        """The stop as a price."""
        price = self.price(self.stop.x)
        assert price is not None
        return price

    @property
    def stop_kind(self) -> StopKind:
        """What put the stop where it stands."""
        return self.stop.kind

    @property
    def exiting(self) -> bool:
        """Whether a full close is decided: pursued until flat, after a restart too."""
        return self.orders.state in EXITING


def state_of(machine: Machine) -> EpochState:
    """Takes a machine's state as a value; later changes of the machine do not reach it."""
    return EpochState(
        symbol=machine.symbol,
        side=machine.side,
        epoch=machine.epoch,
        opened_ns=machine.opened_ns,
        plan=machine.plan,
        filters=machine.filters,
        entry=machine.entry,
        rules=machine.rules_state(),
        stop=machine.stop.state(),
        peak=machine.trailing.peak,
        ladder=machine.ladder.state(),
        break_even=machine.break_even.state(),
        guards=machine.guards.state(),
        orders=machine.orders.state_of(),
    )


def restore(
    state: EpochState,
    *,
    fills: Fills,
    order_ids: OrderIds = plain_order_id,
    filters: Filters | None = None,
) -> Machine:
    """Builds the machine that the state was taken of.

    Args:
        state: of an epoch that was open.
        fills: reported by the exchange (live), or simulated.
        order_ids: the pure function that names orders; the same as before, or ids will not match.
        filters: the contract's as they are now, where they may have changed; standing levels stay where
            they are, new ones are rounded to these.

    Returns:
        A machine that knows the last price it saw, and is not armed yet: put it into its market and arm
        that.
    """
    orders = Orders(
        symbol=state.symbol,
        side=state.side,
        epoch=state.epoch,
        opened_ns=state.opened_ns,
        quantity=state.orders.quantity,
        entry=state.entry,
        fills=fills,
        order_ids=order_ids,
    )
    machine = Machine(
        symbol=state.symbol,
        side=state.side,
        epoch=state.epoch,
        opened_ns=state.opened_ns,
        plan=state.plan,
        filters=filters or state.filters,
        entry=state.entry,
        atr=state.rules.level_atr,
        orders=orders,
    )
    machine.restore_rules(state.rules)
    machine.stop.restore(state.stop)
    machine.trailing.restore(state.peak)
    machine.ladder.restore(state.ladder)
    machine.break_even.restore(state.break_even, entry=state.entry, r=state.rules.r)
    machine.guards.restore(state.guards, entry=state.entry)
    orders.restore(state.orders)
    return machine


# Tables keep the order in which they were filled: what was sent first is forgotten first.
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(EpochState)


def to_json(state: EpochState) -> bytes:
    """The state as JSON; decimals as their text."""
    return _ENCODER.encode(state)


def from_json(blob: bytes | str) -> EpochState:
    """The state that `to_json` wrote.

    Raises:
        msgspec.DecodeError: it is no such JSON (`ValidationError` among them).
    """
    return _DECODER.decode(blob)
