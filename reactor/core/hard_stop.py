"""Every managed position has a stop at the exchange: the keeper of them all, pure.

    position, engine's stop ─▶ HardStops ─▶ Place, Cancel, Ask…, CloseNow, alarms   (values)
    answers, ALGO_UPDATEs, lists, clock ──▶     ▲
                                                └─ one HardStopKeeper per epoch; what should go: Withdrawal

Every method takes the time and answers with what is to be done. Whoever carries that out reports each answer
back; `due_ns` says when the clock has something to do. Stops of other people are never touched.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from reactor.core.decisions import Side
from reactor.core.hard_stop_keeper import HardStopKeeper
from reactor.core.hard_stop_leg import Leg, Phase
from reactor.core.hard_stop_orphans import Orphans
from reactor.core.hard_stop_values import (
    NEVER_NS,
    Action,
    HardStopState,
    HardStopView,
    SeenStop,
    StopAlarm,
    StopIds,
    StopName,
    Timing,
    WantedStop,
)
from reactor.core.hard_stop_withdrawal import Withdrawal

POSITIONS_PER_S: Final = 10
"""Placements for better triggers a second, of all positions: half of the account's 1200 orders a minute."""

ENDED_KEPT: Final = 256
"""Ids of stops that have gone, remembered so that a late list does not raise them again."""

NO_STOP: Final = HardStopView(state="none")

Key = tuple[str, Side]


class HardStops:
    """The hard stops of all managed positions.

    Attributes:
        positions_known: False until every open epoch was told with `want`, at start-up: only then can a stop
            of ours that belongs to none be told from one whose epoch is yet to be restored.
    """

    def __init__(self, *, ids: StopIds, timing: Timing | None = None) -> None:
        self.positions_known = False
        self._ids = ids
        self._timing = timing or Timing()
        self._keepers: dict[Key, HardStopKeeper] = {}
        self._withdrawal = Withdrawal(self._timing)
        self._orphans = Orphans(self._timing)
        self._restored: dict[Key, HardStopState] = {}
        self._ended: dict[str, int] = {}
        self._foreign: set[str] = set()

    @property
    def due_ns(self) -> int:
        """No later than when the clock next has something to do."""
        due_ns = min(self._withdrawal.due_ns, self._orphans.due_ns)
        for keeper in self._keepers.values():
            due_ns = min(due_ns, keeper.due_ns)
        return due_ns

    # Positions --------------------------------------------------------------------------------

    def restore(self, states: Iterable[HardStopState]) -> None:
        """Takes what the journal holds, before any `want`."""
        for state in states:
            self._restored[state.symbol, state.side] = state

    def want(self, wanted: WantedStop, t_ns: int, *, loosened: bool = False) -> list[Action]:
        """A managed position stands so: its size, and the engine's stop.

        Another epoch than before ends the earlier one: its stops go first.

        Args:
            wanted: the position; a quantity of 0 or less and an epoch that opened before the present one
                change nothing.
            t_ns: now.
            loosened: an operator moved the stop away from the price on purpose.
        """
        key = wanted.symbol, wanted.side
        keeper = self._keepers.get(key)
        if wanted.quantity <= 0:
            return []
        out: list[Action] = []
        if keeper is not None and not _is_same(keeper, wanted):
            if wanted.opened_ns < keeper.wanted.opened_ns:
                return []
            out += self._end(key, t_ns)
            keeper = None
        if keeper is None:
            state = self._restored.pop(key, None)
            if state is not None and not _is_of(state, wanted):
                out += self._withdraw_state(state, t_ns)
                state = None
            keeper = self._keepers[key] = HardStopKeeper(
                wanted, ids=self._ids, timing=self._timing, t_ns=t_ns, state=state
            )
            self._spread()
        return out + self._collect(keeper, keeper.want(wanted, t_ns, loosened=loosened), t_ns)

    def end(self, symbol: str, side: Side, epoch: int, t_ns: int) -> list[Action]:
        """The epoch ended: every hard stop of it is cancelled. Another epoch's end changes nothing."""
        keeper = self._keepers.get((symbol, side))
        if keeper is None or keeper.wanted.epoch != epoch:
            return []
        return self._end((symbol, side), t_ns)

    def know_positions(self, t_ns: int) -> list[Action]:
        """Every open epoch has been told: what the journal held of others is withdrawn."""
        self.positions_known = True
        out: list[Action] = []
        for state in self._restored.values():
            out += self._withdraw_state(state, t_ns)
        self._restored.clear()
        return out

    # What the exchange says -------------------------------------------------------------------

    def accepted(self, client_id: str, algo_id: int, t_ns: int) -> list[Action]:
        """The answer to a placement: accepted."""
        keeper = self._keeper_of(client_id)
        if keeper is not None:
            return self._collect(keeper, keeper.accepted(client_id, algo_id, t_ns), t_ns)
        if client_id in self._withdrawal:
            self._withdrawal.accepted(client_id, algo_id, t_ns)
        return self._withdrawal.settle(t_ns)

    def refused(
        self, client_id: str, *, code: int | None, text: str, pause_ns: int = 0, t_ns: int
    ) -> list[Action]:
        """The answer to a placement: refused, with the exchange's code."""
        keeper = self._keeper_of(client_id)
        if keeper is not None:
            out = keeper.refused(client_id, code=code, words=text, pause_ns=pause_ns, t_ns=t_ns)
            return self._collect(keeper, out, t_ns)
        if client_id in self._withdrawal:
            self._withdrawal.unknown(client_id, t_ns)
        return self._withdrawal.settle(t_ns)

    def unknown(self, client_id: str, t_ns: int) -> list[Action]:
        """No answer to a placement, or none that says whether it was executed."""
        keeper = self._keeper_of(client_id)
        if keeper is not None:
            return self._collect(keeper, keeper.unknown(client_id, t_ns), t_ns)
        if client_id in self._withdrawal:
            self._withdrawal.unknown(client_id, t_ns)
        return self._withdrawal.settle(t_ns)

    def cancelled(self, client_id: str, t_ns: int) -> list[Action]:
        """The answer to a cancellation: done."""
        if self._withdrawal.drop(client_id):
            self._remember(client_id, t_ns)
        return self._withdrawal.settle(t_ns)

    def cancel_refused(self, client_id: str, code: int | None, t_ns: int) -> list[Action]:
        """The answer to a cancellation: refused, or (no code) unknown."""
        if self._withdrawal.refused(client_id, code, t_ns):
            self._remember(client_id, t_ns)
        return self._withdrawal.settle(t_ns)

    def update(self, seen: SeenStop, t_ns: int) -> list[Action]:
        """An ALGO_UPDATE, or the answer to a question for one order."""
        if seen.client_id in self._withdrawal:
            if self._withdrawal.update(seen, t_ns):
                self._remember(seen.client_id, t_ns)
            return self._withdrawal.settle(t_ns)
        keeper = self._keeper_of(seen.client_id) or self._keeper_by_name(seen.client_id)
        if keeper is None or seen.client_id in self._ended:
            return []
        return self._collect(keeper, keeper.update(seen, t_ns), t_ns)

    def child(self, client_id: str, t_ns: int) -> list[Action]:
        """An ORDER_TRADE_UPDATE that carries a stop's id: it triggered and has an order in the engine."""
        keeper = self._keeper_of(client_id)
        if keeper is None:
            return []
        return self._collect(keeper, keeper.child(client_id, t_ns), t_ns)

    def not_found(self, client_id: str, asked_ns: int, t_ns: int) -> list[Action]:
        """The answer to a question for one order: the exchange does not know it."""
        keeper = self._keeper_of(client_id)
        if keeper is None:
            return []
        return self._collect(keeper, keeper.not_found(client_id, asked_ns, t_ns), t_ns)

    def snapshot(
        self, orders: Iterable[SeenStop], *, symbol: str | None, asked_ns: int, t_ns: int
    ) -> list[Action]:
        """The open conditional orders, of one symbol or (None) of all, whoever placed them.

        Args:
            orders: all of them; what is not there is taken as absent.
            symbol: whose.
            asked_ns: when the question left.
            t_ns: now.
        """
        rows = list(orders)
        out: list[Action] = []
        for row in rows:
            name = self._ids.read(row.client_id)
            if name is not None:
                out += self._sight(row, name, asked_ns, t_ns)
        for key, keeper in list(self._keepers.items()):
            if symbol is None or key[0] == symbol:
                own = [row for row in rows if row.symbol == key[0]]
                out += self._collect(keeper, keeper.snapshot(own, asked_ns, t_ns), t_ns)
        return out + self._withdrawal.settle(t_ns)

    def mark(self, symbol: str, price: Decimal, t_ns: int) -> None:
        """The mark price of the moment."""
        for side in ("LONG", "SHORT"):
            keeper = self._keepers.get((symbol, side))
            if keeper is not None:
                keeper.mark(price, t_ns)

    def reread(
        self, symbol: str, side: Side, *, mark: Decimal | None, quantity: Decimal | None, t_ns: int
    ) -> list[Action]:
        """The answer to `Reread`; None for what could not be read."""
        keeper = self._keepers.get((symbol, side))
        if keeper is None:
            return []
        return self._collect(keeper, keeper.reread(mark, quantity, t_ns), t_ns)

    def on_time(self, t_ns: int) -> list[Action]:
        """The clock: call it at `due_ns` or later."""
        out: list[Action] = []
        for keeper in list(self._keepers.values()):
            if keeper.due_ns <= t_ns:
                out += self._collect(keeper, keeper.settle(t_ns), t_ns)
        return out + self._orphans.on_time(t_ns) + self._withdrawal.settle(t_ns)

    # What it says -----------------------------------------------------------------------------

    @property
    def is_withdrawing(self) -> bool:
        """Whether a stop that should go has not gone yet."""
        return any(True for _ in self._withdrawal)

    def view(self, symbol: str, side: Side) -> HardStopView:
        """How a position is protected at the exchange now."""
        keeper = self._keepers.get((symbol, side))
        view = NO_STOP if keeper is None else keeper.view()
        surplus = [
            leg.since_ns
            for leg in self._withdrawal
            if leg.symbol == symbol and leg.side == side and leg.phase is Phase.STANDING
        ]
        if not surplus:
            return view
        return msgspec.structs.replace(view, surplus_since_ns=min(surplus))

    def state(self, symbol: str, side: Side) -> HardStopState | None:
        """What a restart needs of one position; None where none is kept."""
        keeper = self._keepers.get((symbol, side))
        return None if keeper is None else keeper.state()

    def newest(self, symbol: str, side: Side) -> Leg | None:
        """The newest confirmed stop of a position, the first part where it is split. Not to be changed."""
        keeper = self._keepers.get((symbol, side))
        return None if keeper is None else keeper.legs.newest()

    def legs(self, symbol: str, side: Side) -> tuple[Leg, ...]:
        """Every stop of a position that stands, was triggered, or is on its way. Not to be changed."""
        keeper = self._keepers.get((symbol, side))
        return () if keeper is None else tuple(keeper.legs)

    def positions(self) -> tuple[Key, ...]:
        """The positions that are kept."""
        return tuple(self._keepers)

    # Inside -----------------------------------------------------------------------------------

    def _keeper_of(self, client_id: str) -> HardStopKeeper | None:
        return next((k for k in self._keepers.values() if client_id in k), None)

    def _keeper_by_name(self, client_id: str) -> HardStopKeeper | None:
        """The keeper of the epoch that an id names."""
        for keeper in self._keepers.values():
            wanted = keeper.wanted
            if self._ids.belongs(
                client_id,
                symbol=wanted.symbol,
                side=wanted.side,
                epoch=wanted.epoch,
                opened_ns=wanted.opened_ns,
            ):
                return keeper
        return None

    def _collect(self, keeper: HardStopKeeper, actions: list[Action], t_ns: int) -> list[Action]:
        """A keeper's actions, and what it let go of."""
        for leg, why in keeper.released:
            self._withdrawal.add(leg, why=why, t_ns=t_ns)
        keeper.released.clear()
        return actions + self._withdrawal.settle(t_ns)

    def _end(self, key: Key, t_ns: int) -> list[Action]:
        keeper = self._keepers.pop(key)
        keeper.end("its epoch ended")
        self._orphans.ended(key[0], t_ns)
        self._spread()
        return self._collect(keeper, [], t_ns)

    def _withdraw_state(self, state: HardStopState, t_ns: int) -> list[Action]:
        """Stops that the journal knows of, of an epoch that is over."""
        for record in state.stops:
            leg = Leg.of_record(record, symbol=state.symbol, side=state.side, t_ns=t_ns)
            self._withdrawal.add(leg, why="its epoch ended", t_ns=t_ns)
        self._orphans.ended(state.symbol, t_ns)
        return self._withdrawal.settle(t_ns)

    def _sight(self, row: SeenStop, name: StopName, asked_ns: int, t_ns: int) -> list[Action]:
        """A listed stop with this system's prefix: known, adopted, an orphan, or another instance's."""
        if not name.own:
            return self._tell_foreign(row, name)
        client_id = row.client_id
        if client_id in self._withdrawal:
            if self._withdrawal.update(row, t_ns):
                self._remember(client_id, t_ns)
            return []
        if self._keeper_of(client_id) is not None:
            return []
        if asked_ns < self._ended.get(client_id, -NEVER_NS) + self._timing.list_lag_ns:
            return []  # Lists lag: it has gone meanwhile.
        keeper = self._keeper_by_name(client_id)
        if keeper is not None:
            return self._collect(keeper, keeper.adopt(row, t_ns), t_ns)
        side: Side = "LONG" if row.side == "SELL" else "SHORT"
        if self.positions_known or (row.symbol, side) in self._keepers:
            leg = Leg.of_seen(row, name, side=side, t_ns=t_ns)
            self._withdrawal.add(leg, why="of another epoch", t_ns=t_ns)
        return []

    def _tell_foreign(self, row: SeenStop, name: StopName) -> list[Action]:
        if name.instance in self._foreign:
            return []
        self._foreign.add(name.instance)
        text = (
            f"hard stop {row.client_id} was placed by another instance on this account; two instances"
            " guard the same positions, or an old one left it: stop one of them"
        )
        return [StopAlarm(kind="second_instance", symbol=row.symbol, side=None, text=text)]

    def _remember(self, client_id: str, t_ns: int) -> None:
        self._ended.pop(client_id, None)
        self._ended[client_id] = t_ns
        if len(self._ended) > ENDED_KEPT:
            del self._ended[next(iter(self._ended))]

    def _spread(self) -> None:
        """Shares the order rate among the positions."""
        share_ns = 1_000_000_000 * len(self._keepers) // POSITIONS_PER_S
        for keeper in self._keepers.values():
            keeper.pace.move_interval_ns = max(self._timing.move_interval_ns, share_ns)


def _is_same(keeper: HardStopKeeper, wanted: WantedStop) -> bool:
    return (keeper.wanted.epoch, keeper.wanted.opened_ns) == (wanted.epoch, wanted.opened_ns)


def _is_of(state: HardStopState, wanted: WantedStop) -> bool:
    return (state.epoch, state.opened_ns) == (wanted.epoch, wanted.opened_ns)
