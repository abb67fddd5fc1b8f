"""What the exchange reports about the account, turned into events of the engine.

Two streams of truth arrive in no fixed order: position reports (ACCOUNT_UPDATE: what is open) and trades
(ORDER_TRADE_UPDATE: at which price, by whose order). Positions follow the reports; trades price the
reductions and name the end of an epoch. An end that came before its trade waits for it a moment, then is
called external. Where a stream brings no position reports at all (recordings of order events alone), the
trades themselves move the position.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from reactor.core.decisions import Decision, Reason, Side
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.exact import ZERO, add, divide, multiply, subtract
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine

NAMING_NS = 1_000_000_000
"""How long an ended epoch waits for the trade that ended it. They come within milliseconds."""

TRADE_IDS_KEPT = 1000
"""Trades remembered per symbol, to know a duplicate from two overlapping sockets."""


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One fill of an order of the account, ours or not.

    Attributes:
        position_side: BOTH in one-way mode, else LONG or SHORT.
        buys: whether the order buys.
        profit: realised by this fill, before fees, in quote units; None where not told.
        commission: in the quote asset; 0 where it was paid in another.
        order_id: the client's id.
        ends_as: what a position that this fill closes is said to have been closed by.
    """

    symbol: str
    position_side: str
    buys: bool
    quantity: Decimal
    price: Decimal
    profit: Decimal | None
    commission: Decimal
    trade_id: int
    order_id: str
    ends_as: Reason
    t_event_ms: int
    t_ns: int


class _Ending(NamedTuple):
    """An epoch that is over and whose name is not known yet."""

    machine: Machine
    reason: Reason | None
    due_ns: int


class AccountBook:
    """Follows one account's positions and tells the engine.

    Attributes:
        due_ns: when `on_time` has something to do; None without such an instant.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reported_ms: dict[tuple[str, str], int] = {}
        self._amounts: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
        self._endings: dict[tuple[str, Side], _Ending] = {}
        self._trades: dict[str, dict[int, None]] = {}

    @property
    def due_ns(self) -> int | None:
        """The next instant at which an ended epoch stops waiting for its trade."""
        return min((ending.due_ns for ending in self._endings.values()), default=None)

    def on_report(
        self,
        *,
        symbol: str,
        position_side: str,
        amount: Decimal,
        entry: Decimal,
        t_event_ms: int,
        t_ns: int,
        liquidation_price: Decimal | None = None,
        margin: Decimal | None = None,
        snapshot: bool = False,
    ) -> Sequence[Decision]:
        """Takes a position as the exchange reports it.

        Args:
            symbol: as Binance writes it.
            position_side: BOTH, LONG or SHORT.
            amount: signed; 0 is flat.
            entry: average entry price; 0 when flat.
            t_event_ms: the exchange's transaction time; a report older than the last is ignored.
            t_ns: receive time.
            liquidation_price: where known. 0 is "none".
            margin: of the position, where known.
            snapshot: whether it answers a question of ours.
        """
        key = (symbol, position_side)
        if t_event_ms < self._reported_ms.get(key, 0):
            return ()
        self._reported_ms[key] = t_event_ms
        self._amounts[key] = (amount, entry)
        out: list[Decision] = list(self.on_time(t_ns))
        for side in _sides(position_side):
            quantity = _held(amount, side)
            if not quantity and (symbol, side) in self._engine.positions:
                flipped = position_side == "BOTH" and amount != 0
                self._end(symbol, side, Reason.FLIP if flipped else None, t_ns, out)
        for side in _sides(position_side):
            quantity = _held(amount, side)
            if quantity:
                if (symbol, side) not in self._engine.positions:
                    # What is still unnamed belongs to the epoch before this one.
                    self._name(symbol, side, Reason.EXTERNAL, t_ns, out)
                out += self._engine.on_position(
                    PositionReport(
                        symbol=symbol,
                        side=side,
                        quantity=quantity,
                        entry=entry,
                        t_event_ms=t_event_ms,
                        t_ns=t_ns,
                        liquidation_price=liquidation_price,
                        margin=margin,
                        snapshot=snapshot,
                    )
                )
        return out

    def on_snapshot_end(
        self, symbols: set[str] | None, *, listed: set[tuple[str, str]], t_event_ms: int, t_ns: int
    ) -> Sequence[Decision]:
        """After the rows of a position snapshot: what is known and not listed is flat.

        Args:
            symbols: the symbols that were asked for; None for all.
            listed: the (symbol, position side) rows that the answer had.
            t_event_ms: the answer's time.
            t_ns: receive time.
        """
        out: list[Decision] = []
        for (symbol, position_side), (amount, _) in tuple(self._amounts.items()):
            asked = symbols is None or symbol in symbols
            if asked and amount and (symbol, position_side) not in listed:
                out += self.on_report(
                    symbol=symbol,
                    position_side=position_side,
                    amount=ZERO,
                    entry=ZERO,
                    t_event_ms=t_event_ms,
                    t_ns=t_ns,
                    snapshot=True,
                )
        return out

    def on_trade(self, trade: Trade) -> Sequence[Decision]:
        """Takes one fill: it prices a reduction and names an end; without reports it moves the position."""
        seen = self._trades.setdefault(trade.symbol, {})
        if trade.trade_id in seen:
            return ()
        seen[trade.trade_id] = None
        if len(seen) > TRADE_IDS_KEPT:
            del seen[next(iter(seen))]
        out: list[Decision] = list(self.on_time(trade.t_ns))
        for side in _sides(trade.position_side):
            self._engine.on_cost(trade.symbol, side, trade.commission)
        key = (trade.symbol, trade.position_side)
        if key not in self._reported_ms:
            self._move(trade, out)
            return out
        reduced = _reduced_side(trade)
        if reduced is None:
            return out
        ending = self._endings.get((trade.symbol, reduced))
        machine = ending.machine if ending else self._engine.positions.get((trade.symbol, reduced))
        if machine is None:
            return out
        named = machine.orders.on_trade(
            trade.quantity, _profit(trade, machine), order_id=trade.order_id, ends_as=trade.ends_as
        )
        if ending is not None and machine.orders.realized is not None:
            self._name(trade.symbol, reduced, ending.reason or named, trade.t_ns, out)
        return out

    def on_funding(self, symbol: str, paid: Decimal) -> None:
        """Takes a funding payment (negative when received); without a symbol nobody's is told."""
        sides = [side for name, side in self._engine.positions if name == symbol]
        # Both sides of a hedged symbol pay in one sum; the event does not say how much is whose.
        if len(sides) == 1:
            self._engine.on_cost(symbol, sides[0], paid)

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

    def on_time(self, now_ns: int) -> Sequence[Decision]:
        """Names the ended epochs whose trade did not come in time."""
        out: list[Decision] = []
        for (symbol, side), ending in tuple(self._endings.items()):
            if now_ns >= ending.due_ns:
                self._name(symbol, side, ending.reason or Reason.EXTERNAL, ending.due_ns, out)
        return out

    def _end(
        self, symbol: str, side: Side, reason: Reason | None, t_ns: int, out: list[Decision]
    ) -> None:
        machine, decisions = self._engine.release(symbol, side, t_ns=t_ns)
        out += decisions
        if machine is None:
            return
        reason = reason or machine.orders.closed_by
        if machine.orders.realized is not None or reason is Reason.FLIP:
            # Its trades came first, or the next epoch begins on the same line.
            known = reason or machine.orders.last_trade_reason or Reason.EXTERNAL
            out.append(machine.orders.closed(known, t_ns=t_ns, tick=machine.tick))
        else:
            self._endings[symbol, side] = _Ending(machine, reason, t_ns + NAMING_NS)

    def _name(
        self, symbol: str, side: Side, reason: Reason, t_ns: int, out: list[Decision]
    ) -> None:
        ending = self._endings.pop((symbol, side), None)
        if ending is not None:
            machine = ending.machine
            out.append(machine.orders.closed(reason, t_ns=t_ns, tick=machine.tick))

    def _move(self, trade: Trade, out: list[Decision]) -> None:
        """A trade of a stream without position reports: average entry as Binance computes it."""
        key = (trade.symbol, trade.position_side)
        amount, entry = self._amounts.get(key, (ZERO, ZERO))
        delta = trade.quantity if trade.buys else trade.quantity.copy_negate()
        after = add(amount, delta)
        side: Side = "LONG" if (amount or after) > 0 else "SHORT"
        reduces = bool(amount) and (amount > 0) != (delta > 0)
        if not reduces:
            cost = add(multiply(amount.copy_abs(), entry), multiply(trade.quantity, trade.price))
            entry = divide(cost, after.copy_abs())
        elif (after > 0) != (amount > 0):
            entry = trade.price if after else ZERO
        self._amounts[key] = (after, entry)
        machine = self._engine.positions.get((trade.symbol, side))
        if reduces and machine is not None:
            closing = min(trade.quantity, amount.copy_abs())
            machine.orders.on_trade(
                closing,
                _profit(trade, machine, quantity=closing),
                order_id=trade.order_id,
                ends_as=trade.ends_as,
            )
        for held in _sides(trade.position_side):
            quantity = _held(after, held)
            if quantity or (trade.symbol, held) in self._engine.positions:
                flips = reduces and not quantity and bool(after)
                out += self._engine.on_position(
                    PositionReport(
                        symbol=trade.symbol,
                        side=held,
                        quantity=quantity,
                        entry=entry,
                        t_event_ms=trade.t_event_ms,
                        t_ns=trade.t_ns,
                        cause=Reason.FLIP if flips else _cause(machine, trade),
                    )
                )


def _cause(machine: Machine | None, trade: Trade) -> Reason:
    """What an end by this trade is called: our own exit's reason where it is ours."""
    named = None if machine is None else machine.orders.last_trade_reason
    return named or trade.ends_as


def _sides(position_side: str) -> tuple[Side, ...]:
    """The sides that a row of this position side can hold."""
    if position_side == "LONG":
        return ("LONG",)
    if position_side == "SHORT":
        return ("SHORT",)
    return ("LONG", "SHORT")


def _held(amount: Decimal, side: Side) -> Decimal:
    """What of a signed amount is held on a side."""
    if (amount > 0) == (side == "LONG"):
        return amount.copy_abs()
    return ZERO


def _reduced_side(trade: Trade) -> Side | None:
    """The side that a trade reduces, if it reduces one; in hedge mode the other direction adds."""
    if trade.position_side == "LONG":
        return None if trade.buys else "LONG"
    if trade.position_side == "SHORT":
        return "SHORT" if trade.buys else None
    return "SHORT" if trade.buys else "LONG"


def _profit(trade: Trade, machine: Machine, *, quantity: Decimal | None = None) -> Decimal:
    """What a reducing trade earned before fees: as reported, else from the entry."""
    if trade.profit is not None and quantity is None:
        return trade.profit
    gain = subtract(trade.price, machine.entry)
    if machine.side == "SHORT":
        gain = gain.copy_negate()
    return multiply(quantity if quantity is not None else trade.quantity, gain)
