"""What the plans would have done beside what was done: the difference between a shadow and its account.

In shadow mode exits happen in our books alone, as in a dry run, while somebody guards the account: another
engine, the exchange's own stops, a person. What they close and what the plans would have closed is held side by
side for each life of a position. Where the two have not closed the same within a few seconds, and where a life
has ended at another average price, an alarm of kind `shadow_difference` says so, in price units per unit of the
position, positive where the shadow would have done better.

The account's side is what the user stream tells: what it lost is missing here, and is told as missing.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from reactor.audit import AlarmRaised, Audit
from reactor.binance.decode import decode_user
from reactor.binance.user_messages import AccountUpdate, OrderTradeUpdate
from reactor.core.account_trades import held, reduced_side, sides
from reactor.core.decisions import Decision, Exit, Opened, Side
from reactor.core.exact import ZERO, add, divide, multiply, subtract, text
from reactor.shell.guard import Guard
from reactor.shell.recorded import is_fill, trade_of

SAME_S: Final = 5.0
"""How much later one may close what the other has closed and still do the same."""

FILL_S: Final = 1.0
"""How long after a position's end its last fills may still come."""

DIGITS: Final = Decimal("1e-8")

Key = tuple[str, Side]


class _Close(NamedTuple):
    t_ns: int
    quantity: Decimal
    price: Decimal


class _Life:
    """One life of a position: what each side has closed of it.

    Attributes:
        ours, theirs: the closes of the plans, and of the account.
        is_closed: whether the plans closed all that was left to them. `is_flat`: whether the account did.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self.ours: list[_Close] = []
        self.theirs: list[_Close] = []
        self.is_flat = False
        self.is_looked_at = False


class Shadow:
    """Compares; decides and sends nothing."""

    def __init__(self, guard: Guard, audit: Audit) -> None:
        """Begins to listen.

        Args:
            guard: of a session in shadow mode.
            audit: told of differences.
        """
        self._guard = guard
        self._audit = audit
        self._lives: dict[Key, _Life] = {}
        self._told = 0
        guard.after.append(self._after)
        guard.on_private.append(self._private)

    # What happens ------------------------------------------------------------------------------

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        for decision in decisions:
            if isinstance(decision, Opened):
                self._end((decision.symbol, decision.side), t_ns)
                self._lives[decision.symbol, decision.side] = _Life()
            elif isinstance(decision, Exit):
                key = (decision.symbol, decision.side)
                # Its machine may be gone with it, and it may have been open before this process was.
                life = self._lives.setdefault(key, _Life())
                life.ours.append(_Close(t_ns, decision.quantity, decision.price))
                life.is_closed = not decision.remaining
                self._look_later(key, life)

    def _private(self, message: bytes, t_ns: int) -> None:
        event = decode_user(message)
        if isinstance(event, OrderTradeUpdate) and is_fill(event.order):
            trade = trade_of(event.order, event.transaction_time_ms, t_ns)
            side = reduced_side(trade)
            life = None if side is None else self._life((trade.symbol, side))
            if side is not None and life is not None:
                life.theirs.append(_Close(t_ns, trade.quantity, trade.price))
                self._look_later((trade.symbol, side), life)
        elif isinstance(event, AccountUpdate):
            for row in event.account.positions:
                for side in sides(row.position_side):
                    life = self._lives.get((row.symbol, side))
                    if life is not None and not life.is_flat:
                        life.is_flat = not held(row.position_amount, row.position_side, side)
                        if life.is_flat:
                            asyncio.get_running_loop().call_later(
                                FILL_S, self._end, (row.symbol, side), t_ns, life
                            )

    def _life(self, key: Key) -> _Life | None:
        """The life that a fill reduces; one that was open before this process has its machine alone."""
        if key not in self._lives and key in self._guard.positions:
            self._lives[key] = _Life()
        return self._lives.get(key)

    # What differs ------------------------------------------------------------------------------

    def _look_later(self, key: Key, life: _Life) -> None:
        if not life.is_looked_at:
            life.is_looked_at = True
            asyncio.get_running_loop().call_later(SAME_S, self._look, key, life)

    def _look(self, key: Key, life: _Life) -> None:
        """A moment after somebody closed something: has the other one as well?"""
        life.is_looked_at = False
        if self._lives.get(key) is not life or self._agree(key, life):
            return
        closes = max(life.ours[-1:] + life.theirs[-1:])
        price = self._price(key)
        gain = (
            "" if price is None else f", {_signed(_gain(key[1], price, closes.price))} a unit since"
        )
        now = "" if price is None else f"; the price is {text(price)} now{gain}"
        self._say(
            key, f"{_shown('the shadow', life.ours)}, {_shown('the account', life.theirs)}{now}"
        )

    def _agree(self, key: Key, life: _Life) -> bool:
        """Whether both have closed the same, and hold the same: a virtual position follows what others close."""
        machine = self._guard.positions.get(key)
        real = self._guard.pump.account.book.reported().get(key)
        ours = ZERO if machine is None else machine.orders.quantity
        theirs = ZERO if real is None else real.quantity
        return ours == theirs and _sum(life.ours) == _sum(life.theirs)

    def _end(self, key: Key, t_ns: int, life: _Life | None = None) -> None:
        """A life is over: what would it have come to?"""
        if life is None:
            life = self._lives.get(key)
        if life is None or self._lives.get(key) is not life:
            return
        del self._lives[key]
        ours, theirs = _sum(life.ours), _sum(life.theirs)
        if not theirs or ours > theirs:
            if ours != theirs:
                self._say(
                    key,
                    f"{_shown('the shadow', life.ours)}; the account's fills were not all heard",
                )
            return
        # What others closed, the shadow lost with them: before it closed all itself, or with the position's end.
        rest = subtract(theirs, ours)
        lost = _first(life.theirs if life.is_closed else life.theirs[::-1], rest)
        mine, real = _average([*life.ours, *lost]), _average(life.theirs)
        better = _gain(key[1], mine, real)
        if better:
            self._say(
                key,
                f"closed: {_shown('the shadow', life.ours)} and lost {text(rest)} with the account,"
                f" {text(mine)} on average; {_shown('the account', life.theirs)}, {text(real)} on average:"
                f" {_signed(better)} a unit",
            )

    def _price(self, key: Key) -> Decimal | None:
        """The last mark price; in a shadow's reports nothing hangs on whose price it is."""
        known = self._guard.mark_price.get(key[0])
        return None if known is None else Decimal(known)

    def _say(self, key: Key, what: str) -> None:
        self._told += 1
        symbol, side = key
        self._audit.publish(
            AlarmRaised(
                kind="shadow_difference",
                text=f"{symbol} {side}: {what}",
                symbol=symbol,
                key=f"shadow:{symbol}:{side}:{self._told}",
            ),
            t_ns=self._guard.pump.now_ns,
        )


def _sum(closes: Sequence[_Close]) -> Decimal:
    total = ZERO
    for close in closes:
        total = add(total, close.quantity)
    return total


def _first(closes: Sequence[_Close], quantity: Decimal) -> list[_Close]:
    """The first ones that add up to a quantity."""
    found = []
    for close in closes:
        taken = min(close.quantity, quantity)
        if taken > 0:
            found.append(close._replace(quantity=taken))
            quantity = subtract(quantity, taken)
    return found


def _average(closes: Sequence[_Close]) -> Decimal:
    """The average price, to eight digits after the point."""
    worth = ZERO
    for close in closes:
        worth = add(worth, multiply(close.quantity, close.price))
    return divide(worth, _sum(closes)).quantize(DIGITS)


def _gain(side: Side, ours: Decimal, theirs: Decimal) -> Decimal:
    """How much better a closing price is for the position's owner than another."""
    better = subtract(ours, theirs)
    return better if side == "LONG" else better.copy_negate()


def _shown(who: str, closes: Sequence[_Close]) -> str:
    if not closes:
        return f"{who} closed nothing"
    last = closes[-1]
    at = datetime.fromtimestamp(last.t_ns / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
    return f"{who} closed {text(_sum(closes))}, last {text(last.quantity)} @ {text(last.price)} at {at}Z"


def _signed(value: Decimal) -> str:
    return f"{'+' if value > 0 else ''}{text(value)}"
