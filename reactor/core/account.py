"""What the exchange reports about the account, turned into events of the engine.

Two streams of truth arrive in no fixed order: position reports (ACCOUNT_UPDATE, positionRisk: what is open)
and trades (ORDER_TRADE_UPDATE: at which price, by whose order). Positions follow the reports; trades price
the reductions and name the end of an epoch. An end that came before its trade waits for it a moment, then
is called external. Where a stream brings no position reports at all (recordings of order events alone),
the trades themselves move the position.
"""

from collections.abc import Sequence
from decimal import Context, Decimal

import msgspec

from reactor.core.account_known import (
    NAMING_NS,
    AccountKnowledge,
    Ending,
    RowKey,
)
from reactor.core.account_trades import (
    Trade,
    first_of_life,
    held,
    is_of_earlier_life,
    profit,
    reduced_side,
    reduces_surely,
    sides,
)
from reactor.core.decisions import Decision, Reason, Side
from reactor.core.events import PositionReport
from reactor.core.exact import ZERO, add, multiply, subtract
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine

CLOCKS_MS = 5_000
"""How far our clock may be behind the exchange's for a trade not to be later than the epoch that it opened."""

MISSED_KEPT_NS = 10_000_000_000
"""How long fills that were asked for explain a snapshot: both are asked for together."""

TRADE_IDS_KEPT = 1000
"""Trades remembered per symbol, to know a duplicate from two overlapping sockets."""

AVERAGE_ENTRY = Context(prec=20)
"""An average entry is a quotient. Binance's own have up to 16 digits; more would only look exact."""


class AccountBook(AccountKnowledge):
    """Follows one account's positions and tells the engine."""

    # Reports ----------------------------------------------------------------------------------

    def on_report(
        self,
        *,
        symbol: str,
        position_side: str,
        amount: Decimal,
        entry: Decimal,
        t_event_ms: int | None,
        t_ns: int,
        profit_so_far: Decimal | None = None,
        liquidation_price: Decimal | None = None,
        margin: Decimal | None = None,
        snapshot: bool = False,
        asked_ns: int | None = None,
    ) -> Sequence[Decision]:
        """Takes a position as the exchange reports it.

        Args:
            symbol: as Binance writes it.
            position_side: BOTH, LONG or SHORT.
            amount: signed; 0 is flat.
            entry: average entry price; 0 when flat.
            t_event_ms: the exchange's transaction time, of which an older one than known is ignored; None
                where it does not say (rows of flat positions).
            t_ns: receive time.
            profit_so_far: the position's accumulated profit; with amount and entry it tells two reports of
                the same millisecond from one that came twice.
            liquidation_price: where known. 0 is "none".
            margin: of the position, where known.
            snapshot: whether it answers a question of ours.
            asked_ns: when the question left, where known: a row without a time of its own may be as old.
        """
        self._has_reports = True
        out: list[Decision] = list(self.on_time(t_ns))
        key = (symbol, position_side)
        content = (amount, entry, profit_so_far)
        since_ns = t_ns if asked_ns is None else min(asked_ns, t_ns)
        if self._is_old_news(key, content, t_event_ms, t_ns=since_ns, snapshot=snapshot):
            return out
        newest_ms = self._newest_ms.get(key)
        if t_event_ms is not None:
            if t_event_ms > (newest_ms or -1):
                self._newest_ms[key] = t_event_ms
                self._changed_ns[key] = t_ns
                self._said_at_newest[key] = set()
            self._said_at_newest[key].add(content)
            self._heard_ns[key] = t_ns
        missed = self._missed.pop(key, [])
        if snapshot and t_event_ms is not None and amount:
            trades = [
                trade
                for trade in missed
                if trade.t_event_ms <= t_event_ms and t_ns - trade.t_ns < MISSED_KEPT_NS
            ]
            self._end_unseen(key, amount, trades, newest_ms, t_ns, out)
        self._amounts[key] = (amount, entry)
        if not amount:
            self._flat_ns[key] = t_ns
        flips = position_side == "BOTH" and amount != 0
        for side in sides(position_side):
            if held(amount, position_side, side):
                continue
            if self._holds(symbol, side, position_side):
                self._end(symbol, side, Reason.FLIP if flips else None, t_ns, out)
            if self._is_row_of(symbol, side, position_side):
                self._engine.unexpect(symbol, side)
                self.unmanaged.pop((symbol, side), None)
                if self._virtual is not None:
                    self._virtual.forget(symbol, side)
        for side in sides(position_side):
            quantity = held(amount, position_side, side)
            if quantity:
                report = PositionReport(
                    symbol=symbol,
                    side=side,
                    quantity=quantity,
                    entry=entry,
                    t_event_ms=t_event_ms or 0,
                    t_ns=t_ns,
                    liquidation_price=liquidation_price,
                    margin=margin,
                    snapshot=snapshot and self._is_after_close(symbol, side, position_side),
                    adopted=snapshot or self._adopts,
                )
                self._tell(report, position_side, out)
        return out

    def on_snapshot_end(
        self,
        symbols: set[str] | None,
        *,
        listed: set[RowKey],
        t_ns: int,
        asked_ns: int | None = None,
    ) -> Sequence[Decision]:
        """After the rows of a position snapshot: what is known and not listed is flat.

        Args:
            symbols: the symbols that were asked for; None for all.
            listed: the (symbol, position side) rows that the answer had.
            t_ns: receive time.
            asked_ns: when the question left, where known.
        """
        self._has_reports = True
        if symbols is None:
            self._adopts = False
        out: list[Decision] = []
        for (symbol, position_side), (amount, _) in tuple(self._amounts.items()):
            asked = symbols is None or symbol in symbols
            if asked and amount and (symbol, position_side) not in listed:
                out += self.on_report(
                    symbol=symbol,
                    position_side=position_side,
                    amount=ZERO,
                    entry=ZERO,
                    t_event_ms=None,
                    t_ns=t_ns,
                    snapshot=True,
                    asked_ns=asked_ns,
                )
        return out

    def _tell(self, report: PositionReport, position_side: str, out: list[Decision]) -> None:
        """Passes an open position on to the engine, and keeps the books of its trades."""
        key = (report.symbol, report.side)
        machine = self._engine.positions.get(key)
        quantity = (
            self._engine.awaited_quantity(*key) if machine is None else machine.orders.quantity
        )
        if quantity is None and not self._is_ours(report):
            self.unmanaged[key] = report
            return
        self.unmanaged.pop(key, None)
        if self._virtual is not None:
            size = self._virtual.size(*key, report.quantity, quantity)
            if not size:
                return
            report = msgspec.structs.replace(report, quantity=size)
        if machine is None:
            # What is still unnamed belongs to the epoch before this one.
            self._name(key, None, out)
            self._owners[key] = position_side
        out += self._engine.on_position(report)
        if key in self._engine.ignored:
            self.unmanaged[key] = report
        t_ns, paid = self._early_costs.pop((report.symbol, position_side), (0, ZERO))
        if paid and report.t_ns - t_ns < NAMING_NS:
            self._engine.on_cost(report.symbol, report.side, paid)

    def _is_ours(self, report: PositionReport) -> bool:
        """Whether a position without an epoch is to be taken, or was taken and closed virtually."""
        key = (report.symbol, report.side)
        if key in self._engine.ignored:
            return False
        if self._virtual is not None and key in self._virtual:
            return True
        return self._management.manages(*key, report.quantity, report.entry)

    # Lives that nobody saw ---------------------------------------------------------------------

    def on_missed(self, trades: Sequence[Trade]) -> None:
        """Takes fills that were asked for, oldest first and none missing: kept for the snapshot that follows.

        A position that was closed and opened again while nobody listened looks like one that was open all the
        time. Its epoch is another one, and nothing of the old one may reach it: its fills tell.
        """
        by_key: dict[RowKey, list[Trade]] = {}
        for trade in trades:
            by_key.setdefault((trade.symbol, trade.position_side), []).append(trade)
        self._missed.update(by_key)

    def _end_unseen(
        self,
        key: RowKey,
        amount: Decimal,
        trades: Sequence[Trade],
        newest_ms: int | None,
        t_ns: int,
        out: list[Decision],
    ) -> None:
        """Ends the epochs that are older than the present life of their position.

        Args:
            key: which position.
            amount: of it, signed.
            trades: its fills up to now, oldest first.
            newest_ms: the exchange's time of the last report before this one; None in a process that had none.
            t_ns: receive time.
            out: where decisions go.
        """
        first = first_of_life(amount, trades)
        if first is None:
            return
        symbol, position_side = key
        for side in sides(position_side):
            machine = self._engine.positions.get((symbol, side))
            since_ms = newest_ms
            if since_ms is None and machine is not None:
                since_ms = machine.opened_ns // 1_000_000 + CLOCKS_MS
            if since_ms is None:
                continue
            is_certain = (
                newest_ms is None
                and machine is not None
                and is_of_earlier_life(machine, first, trades)
            )
            if first.t_event_ms <= since_ms and not is_certain:
                continue
            if self._holds(symbol, side, position_side):
                self._end(symbol, side, None, t_ns, out)
            if self._virtual is not None and self._is_row_of(symbol, side, position_side):
                self._virtual.forget(symbol, side)

    # Trades -----------------------------------------------------------------------------------

    def on_trade(self, trade: Trade) -> Sequence[Decision]:
        """Takes one fill: it prices a reduction and names an end; without reports it moves the position."""
        out: list[Decision] = list(self.on_time(trade.t_ns))
        if self._is_duplicate(trade) or self._virtual is not None:
            # In a dry run the prices that count are those of our own books.
            return out
        if not self._has_reports:
            self._move(trade, out)
            return out
        side = reduced_side(trade)
        key = None if side is None else (trade.symbol, side)
        ending = None if key is None else self._endings.get(key)
        if key is not None and ending is not None and ending.unpriced > 0:
            self._price_ending(key, ending, trade, out)
            return out
        self._charge(trade)
        machine = None if key is None else self._engine.positions.get(key)
        if key is not None and machine is not None:
            self._price(machine, trade, _without_price(machine))
        return out

    def _is_duplicate(self, trade: Trade) -> bool:
        if trade.trade_id <= 0:
            return False
        if trade.trade_id <= self._counted.get(trade.symbol, 0):
            return True
        seen = self._trades.setdefault(trade.symbol, {})
        if trade.trade_id in seen:
            return True
        seen[trade.trade_id] = None
        if len(seen) > TRADE_IDS_KEPT:
            del seen[next(iter(seen))]
        return False

    def _price(self, machine: Machine, trade: Trade, unpriced: Decimal) -> Decimal:
        """Books a trade's profit for the part that reduces; a flip's other part opens the other side.

        Args:
            machine: of the epoch.
            trade: the trade.
            unpriced: how much of the epoch's quantity no trade has priced yet.

        Returns:
            How much it priced.
        """
        quantity = min(trade.quantity, unpriced)
        if quantity > 0:
            machine.orders.on_trade(
                quantity,
                profit(trade, machine, quantity),
                order_id=trade.order_id,
                ends_as=trade.ends_as,
            )
        return max(ZERO, quantity)

    def _price_ending(
        self, key: tuple[str, Side], ending: Ending, trade: Trade, out: list[Decision]
    ) -> None:
        orders = ending.machine.orders
        ending.unpriced = subtract(
            ending.unpriced, self._price(ending.machine, trade, ending.unpriced)
        )
        if orders.realized is not None:
            self._name(key, orders.last_trade_reason, out)

    def _charge(self, trade: Trade) -> None:
        """Counts a commission for the position that the trade belongs to, open already or not yet."""
        if not trade.commission:
            return
        open_sides = [
            side
            for side in sides(trade.position_side)
            if (trade.symbol, side) in self._engine.positions
        ]
        for side in open_sides:
            self._engine.on_cost(trade.symbol, side, trade.commission)
        if not open_sides:
            key = (trade.symbol, trade.position_side)
            t_ns, paid = self._early_costs.get(key, (0, ZERO))
            known = paid if trade.t_ns - t_ns < NAMING_NS else ZERO
            self._early_costs[key] = (trade.t_ns, add(known, trade.commission))

    def on_funding(self, symbol: str, paid: Decimal) -> None:
        """Takes a funding payment (negative when received); without a symbol nobody's is told."""
        open_sides = [side for name, side in self._engine.positions if name == symbol]
        # Both sides of a hedged symbol pay in one sum; the event does not say how much is whose.
        if len(open_sides) == 1:
            self._engine.on_cost(symbol, open_sides[0], paid)

    def on_order(
        self, symbol: str, order_id: str, event: Event, *, filled: Decimal, t_ns: int
    ) -> Sequence[Decision]:
        """Takes news of an order by its client id; the engine knows its own."""
        out: list[Decision] = list(self.on_time(t_ns))
        for side in ("LONG", "SHORT"):
            if (symbol, side) in self._engine.positions:
                out += self._engine.on_outcome(
                    symbol, side, order_id, event, filled=filled, t_ns=t_ns
                )
        return out

    def is_closing(self, symbol: str, order_id: str) -> bool:
        """Whether an order of ours is the full close of an open epoch."""
        for side in ("LONG", "SHORT"):
            machine = self._engine.positions.get((symbol, side))
            full = None if machine is None else machine.orders.full
            if full is not None and full.exit.order_id == order_id:
                return True
        return False

    # Ends -------------------------------------------------------------------------------------

    def on_time(self, now_ns: int) -> Sequence[Decision]:
        """Names the ended epochs whose trade did not come in time."""
        out: list[Decision] = []
        for key, ending in tuple(self._endings.items()):
            if now_ns >= ending.due_ns:
                self._name(key, None, out)
                del self._endings[key]
        return out

    def finish(self, now_ns: int) -> Sequence[Decision]:
        """The stream is over: what still waits for its name gets the one that is known."""
        out: list[Decision] = []
        for key in tuple(self._endings):
            self._name(key, None, out)
        self._endings.clear()
        return out

    def _end(
        self, symbol: str, side: Side, reason: Reason | None, t_ns: int, out: list[Decision]
    ) -> None:
        key = (symbol, side)
        machine = self._engine.positions[key]
        unpriced = _without_price(machine)
        out += self._engine.release(symbol, side, t_ns=t_ns)[1]
        self._owners.pop(key, None)
        self._endings[key] = Ending(
            machine,
            reason=reason or machine.orders.closed_by,
            ended_ns=t_ns,
            unpriced=unpriced,
        )
        if reason is Reason.FLIP:
            # The next epoch begins on the same line.
            self._name(key, Reason.FLIP, out)
        elif machine.orders.realized is not None and machine.orders.last_trade_reason is not None:
            # Its trades came first.
            self._name(key, machine.orders.last_trade_reason, out)

    def _name(self, key: tuple[str, Side], reason: Reason | None, out: list[Decision]) -> None:
        """Says an epoch's end, once: by the trade that made it, else by our own intent, else external."""
        ending = self._endings.get(key)
        if ending is not None and not ending.is_named:
            ending.is_named = True
            machine = ending.machine
            name = reason or ending.reason or Reason.EXTERNAL
            # It ended when its position was flat, however late its trade told why.
            out.append(machine.orders.closed(name, t_ns=ending.ended_ns, tick=machine.tick))

    # Streams without reports ------------------------------------------------------------------

    def _move(self, trade: Trade, out: list[Decision]) -> None:
        """A trade of a stream without position reports: average entry as Binance computes it."""
        key = (trade.symbol, trade.position_side)
        amount, entry = self._amounts.get(key, (ZERO, ZERO))
        if not amount and reduces_surely(trade):
            # It reduces a position that was open before the recording began.
            return
        delta = trade.quantity if trade.buys else trade.quantity.copy_negate()
        after = add(amount, delta)
        reduces = bool(amount) and (amount > 0) != (delta > 0)
        if not reduces:
            cost = add(multiply(amount.copy_abs(), entry), multiply(trade.quantity, trade.price))
            entry = AVERAGE_ENTRY.divide(cost, after.copy_abs())
        elif (after > 0) != (amount > 0):
            entry = trade.price if after else ZERO
        self._amounts[key] = (after, entry)
        side: Side = "LONG" if (amount or after) > 0 else "SHORT"
        machine = self._engine.positions.get((trade.symbol, side))
        ends_as = trade.ends_as
        if reduces and machine is not None:
            self._price(machine, trade, machine.orders.quantity)
            ends_as = machine.orders.last_trade_reason or ends_as
        for one in sides(trade.position_side):
            quantity = held(after, trade.position_side, one)
            if quantity or (trade.symbol, one) in self._engine.positions:
                flips = reduces and not quantity and bool(after)
                out += self._engine.on_position(
                    PositionReport(
                        symbol=trade.symbol,
                        side=one,
                        quantity=quantity,
                        entry=entry,
                        t_event_ms=trade.t_event_ms,
                        t_ns=trade.t_ns,
                        cause=Reason.FLIP if flips else ends_as,
                    )
                )
                self._owners[trade.symbol, one] = trade.position_side
        self._charge(trade)


def _without_price(machine: Machine) -> Decimal:
    """What trades may still price.

    All that is open, with reductions whose trades have not come and without those whose trades came first.
    """
    return max(ZERO, add(machine.orders.quantity, machine.orders.unpriced))
