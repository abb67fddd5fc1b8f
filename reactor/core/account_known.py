"""What is known of an account: what was reported, what was counted, what ended, and whose it is.

The account's book (`account.py`) reads and keeps it; a restart takes it over from the process before.
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from reactor.core.account_trades import Trade, held, sides
from reactor.core.decisions import Reason, Side
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.exact import ZERO
from reactor.core.machine import Machine
from reactor.core.management import Management, VirtualPositions

SNAPSHOT_RACE_NS = 1_000_000_000
"""How long after a report a snapshot row without a time of its own may still be the older of the two: an
answer takes a round trip, during which the position may have changed."""

FLAT_LAG_NS = 5_000_000_000
"""How long after a report a snapshot without the position is not believed by itself: such answers lag behind the
stream, and an epoch that is ended by one forgets its stop and its rungs. A fill that closed it, or a close of our
own that is under way, makes it credible at once."""

NAMING_NS = 1_000_000_000
"""How long an ended epoch waits for the trade that ended it. They come within milliseconds."""

RowKey = tuple[str, str]
"""Symbol and position side: how the exchange names a position."""

RowContent = tuple[Decimal, Decimal, Decimal | None]
"""Amount, entry and profit so far: what tells two reports of the same millisecond apart."""


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange last said of an open position.

    Attributes:
        quantity: in base units. `entry`: average entry price.
        heard_ns: when it said so. `t_ms`: its own time of it. 0 where unknown.
    """

    quantity: Decimal
    entry: Decimal
    heard_ns: int
    t_ms: int


class Ending:
    """An epoch that is over, and what its trades have not told yet.

    Attributes:
        reason: why we closed it; None where it was not us.
        ended_ns: when it ended.
        due_ns: when waiting for its trade ends.
        unpriced: how much of it no trade has priced, in base units.
        is_named: whether its end has been said. Its late trades must not reach the next epoch.
    """

    __slots__ = ("due_ns", "ended_ns", "is_named", "machine", "reason", "unpriced")

    def __init__(
        self, machine: Machine, *, reason: Reason | None, ended_ns: int, unpriced: Decimal
    ) -> None:
        self.machine = machine
        self.reason = reason
        self.ended_ns = ended_ns
        self.due_ns = ended_ns + NAMING_NS
        self.unpriced = unpriced
        self.is_named = False


class AccountKnowledge:
    """What is known of one account.

    Attributes:
        due_ns: the next instant at which an ended epoch stops waiting for its trade; None without one.
        unmanaged: open positions that are none of ours, as last reported: shown, never touched.
    """

    def __init__(self, engine: Engine, management: Management | None = None) -> None:
        """Follows nothing yet.

        Args:
            engine: what it tells.
            management: which positions are ours; all of them where None is given.
        """
        self._engine = engine
        self._management = management or Management()
        self._virtual = VirtualPositions() if self._management.virtual else None
        # Until a report or a snapshot comes, trades themselves move positions.
        self._has_reports = self._management.reported
        # What a live session hears of before its first snapshot was open before it began.
        self._adopts = self._management.reported
        self.unmanaged: dict[tuple[str, Side], PositionReport] = {}
        self._amounts: dict[RowKey, tuple[Decimal, Decimal]] = {}
        self._owners: dict[tuple[str, Side], str] = {}
        # The newest exchange time of each position's reports, what they said at it, and when it came.
        self._newest_ms: dict[RowKey, int] = {}
        self._said_at_newest: dict[RowKey, set[RowContent]] = {}
        self._heard_ns: dict[RowKey, int] = {}
        # When a report came whose exchange time was a new one.
        self._changed_ns: dict[RowKey, int] = {}
        # When a position was last learnt to be flat: what was asked for before that says nothing new of it.
        self._flat_ns: dict[RowKey, int] = {}
        self._trades: dict[str, dict[int, None]] = {}
        # The newest trade of each symbol that an earlier process counted.
        self._counted: dict[str, int] = {}
        self._endings: dict[tuple[str, Side], Ending] = {}
        # Fills that were asked for, until the snapshot that they explain.
        self._missed: dict[RowKey, list[Trade]] = {}
        # Commissions of trades that came before the report that opens the position.
        self._early_costs: dict[RowKey, tuple[int, Decimal]] = {}

    @property
    def due_ns(self) -> int | None:
        """The next instant at which an ended epoch stops waiting for its trade."""
        return min((ending.due_ns for ending in self._endings.values()), default=None)

    @property
    def adopts(self) -> bool:
        """Whether what is heard of now was open before the session began: until its first snapshot."""
        return self._adopts

    # A restart --------------------------------------------------------------------------------

    def stop_adopting(self) -> None:
        """The first snapshot has been seen: by the same session, on an earlier tape."""
        self._adopts = False

    def restore(self, machine: Machine, *, position_side: str) -> None:
        """Takes up an epoch that was open when an earlier process ended.

        Args:
            machine: of the epoch, which the engine has.
            position_side: BOTH, LONG or SHORT: which row of the exchange's it is.
        """
        key = (machine.symbol, machine.side)
        self._owners[key] = position_side
        size = machine.orders.quantity
        signed = size if machine.side == "LONG" else size.copy_negate()
        self._amounts[machine.symbol, position_side] = (signed, machine.entry)

    def know_virtual(self, real: Mapping[tuple[str, Side], Decimal]) -> None:
        """Takes the real sizes behind the positions that an earlier process had, or had closed, virtually."""
        if self._virtual is not None:
            for (symbol, side), size in real.items():
                self._virtual.know(symbol, side, size)

    def virtual(self) -> dict[tuple[str, Side], Decimal]:
        """The real sizes behind virtual positions, open or closed in our books."""
        return {} if self._virtual is None else self._virtual.real()

    def know_trades(self, counted: Mapping[str, int]) -> None:
        """Takes the newest trade id of each symbol that an earlier process counted."""
        self._counted.update(counted)

    @property
    def counted_trades(self) -> dict[str, int]:
        """The newest trade id of each symbol that was counted."""
        newest = {symbol: max(ids) for symbol, ids in self._trades.items() if ids}
        return {
            symbol: max(newest.get(symbol, 0), self._counted.get(symbol, 0))
            for symbol in {*newest, *self._counted}
        }

    def reported(self) -> dict[tuple[str, Side], Reported]:
        """What the exchange last said is open, guarded or not."""
        known: dict[tuple[str, Side], Reported] = {}
        for (symbol, position_side), (amount, entry) in self._amounts.items():
            for side in sides(position_side):
                quantity = held(amount, position_side, side)
                if quantity:
                    known[symbol, side] = Reported(
                        quantity=quantity,
                        entry=entry,
                        heard_ns=self._heard_ns.get((symbol, position_side), 0),
                        t_ms=self._newest_ms.get((symbol, position_side), 0),
                    )
        return known

    def since_ms(self, symbol: str) -> int:
        """From when on a symbol's trades may belong to an epoch that is open, or waits for its trades.

        Milliseconds since the Unix epoch; older ones were of somebody's business before. The position opens
        with a report that comes after its trade, by less than a second.
        """
        opened = [
            machine.opened_ns
            for (name, _), machine in self._engine.positions.items()
            if name == symbol
        ]
        opened += [
            ending.machine.opened_ns
            for (name, _), ending in self._endings.items()
            if name == symbol
        ]
        return (min(opened, default=0) - NAMING_NS) // 1_000_000 if opened else 0

    @property
    def ended_ns(self) -> dict[tuple[str, Side], int]:
        """When the positions that are flat by now became so, as far as remembered."""
        return {
            key: ending.ended_ns
            for key, ending in self._endings.items()
            if key not in self._engine.positions
        }

    def position_side(self, symbol: str, side: Side) -> str:
        """Which row of the exchange's an open epoch is: BOTH, LONG or SHORT."""
        return self._owners.get((symbol, side), "BOTH")

    def _is_after_close(self, symbol: str, side: Side, position_side: str) -> bool:
        """Whether what is known of a position can be younger than the full close that is in flight.

        A close that is filled changes the position, and the exchange's time of it: what still has the time of
        before is a stale answer.
        """
        machine = self._engine.positions.get((symbol, side))
        full = None if machine is None else machine.orders.full
        changed_ns = self._changed_ns.get((symbol, position_side))
        return full is None or changed_ns is None or changed_ns >= full.exit.t_ns

    # What a report can be of ------------------------------------------------------------------

    def _is_old_news(
        self, key: RowKey, content: RowContent, t_event_ms: int | None, *, t_ns: int, snapshot: bool
    ) -> bool:
        """Whether a report says what was before what is known."""
        if snapshot and content[:2] == self._amounts.get(key):
            return False
        if t_event_ms is None:
            heard_ns = self._heard_ns.get(key)
            if heard_ns is None:
                return False
            lag_ns = FLAT_LAG_NS if self._is_unexpected(key) else SNAPSHOT_RACE_NS
            return t_ns - heard_ns < lag_ns
        newest_ms = self._newest_ms.get(key, -1)
        flat_ns = self._flat_ns.get(key)
        if snapshot and flat_ns is not None and t_event_ms == newest_ms and content[0]:
            # It has not changed since before it was learnt to be flat: the answer is old, if it is not for long so.
            return t_ns < flat_ns + FLAT_LAG_NS
        return t_event_ms < newest_ms or (
            t_event_ms == newest_ms and content in self._said_at_newest[key]
        )

    def _is_unexpected(self, key: RowKey) -> bool:
        """Whether nothing but a snapshot says that a guarded position is flat."""
        symbol, position_side = key
        held_here = [
            self._engine.positions[symbol, side]
            for side in sides(position_side)
            if self._holds(symbol, side, position_side)
        ]
        return (
            bool(held_here)
            and not self._missed.get(key)
            and not any(machine.orders.exiting for machine in held_here)
        )

    def _holds(self, symbol: str, side: Side, position_side: str) -> bool:
        """Whether the open epoch of a side is the position that rows of this position side tell of.

        In hedge mode a symbol's BOTH row is always flat, and says nothing about its LONG and SHORT.
        """
        return (symbol, side) in self._engine.positions and self._is_row_of(
            symbol, side, position_side
        )

    def _is_row_of(self, symbol: str, side: Side, position_side: str) -> bool:
        """Whether rows of this position side tell of a side: BOTH does not where that has its own row."""
        owner = self._owners.get((symbol, side))
        if owner is None:
            owner = side if self._amounts.get((symbol, side), (ZERO, ZERO))[0] else position_side
        return owner == position_side
