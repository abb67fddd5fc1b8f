"""Orders that lie ready for positions' stops: the tick that reaches one finds nothing left to do but to write it.

Whenever something has changed, the close that each position's stop would make is worked out ahead: its id, its text,
its signature. A tick at or beyond the stop has that order written at once; then the engine decides as on every
tick, and finds its order gone. What it decides is what left: a shot is fired only where every reason for which the
engine could decide otherwise is ruled out (`Shot.fire`), and is claimed by the decision or alarmed. Whatever it
cannot be sure of it leaves to the engine, which is slower and never wrong.

Stops of last and mark prices only; take-profits, harvests and the book take the engine's way.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from reactor.audit import AlarmRaised, Audit
from reactor.clock import Clock
from reactor.core.decisions import Side
from reactor.core.engine import Engine
from reactor.core.exact import double, text
from reactor.core.lifecycle import State
from reactor.core.machine import Machine
from reactor.core.market import Market, Source
from reactor.core.orders import OrderIds
from reactor.shell.gateway.aiming import Aim, Fired

SHORT_CHARS_MAX: Final = 16
"""Of a price whose double tells it exactly: the engine's own bound."""

DECIDED_WITHIN_NS: Final = 50_000_000
"""No order leaves ahead where something that it depends on is due sooner. Frames before its own are decided on first, and what
they lead to takes time; by then a timer may have changed what its own means."""

SIGNED_EVERY_S: Final = 0.4
"""How often what lies ready is signed anew: well before its signature is too old to be sent."""


class Gunner(Protocol):
    """Builds orders ahead, and fires them: the gateway."""

    def aim(self, machine: Machine, order_id: str) -> Aim | None:
        """The close of everything a machine holds, signed; None where it is not one plain order."""
        ...

    def sign(self, aim: Aim, now_ns: int) -> None:
        """Signs it anew."""
        ...

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool:
        """Sends it; False where it does not hold any more, did not leave, or this is for practice."""
        ...

    def unclaimed(self) -> list[Fired]:
        """What left and was not decided."""
        ...


class ReadyShot(Protocol):
    """One position's stop, and the order that it would make: `Shot`, or the same compiled."""

    @property
    def aim(self) -> Aim:
        """The order."""
        ...

    @property
    def text(self) -> str:
        """The stop as its prices are written."""
        ...

    @property
    def is_long(self) -> bool:
        """Whether lower prices are beyond it."""
        ...

    def is_of(self, machine: Machine) -> bool:
        """Whether it is this machine's, and still holds."""
        ...

    def is_calm(self, price: str, t_event_ms: int) -> bool:
        """Whether what stands now stands behind this price too."""
        ...

    def fire(
        self,
        price: str,
        tick_id: int,
        t_event_ms: int,
        now_ns: int,
        *,
        is_practice: bool = False,
    ) -> bool:
        """Sends the order if this tick surely makes the engine close everything for the stop."""
        ...

    def practise(self, now_ns: int) -> None:
        """Fires without sending."""
        ...


class Shot:
    """One position's stop, and the order that it would make.

    Attributes:
        text: the stop as its prices are written; `is_long`: whether lower prices are beyond it.
        aim: the order.
    """

    __slots__ = (
        "_gunner",
        "_high",
        "_level",
        "_low",
        "_machine",
        "_market",
        "_stop_x",
        "aim",
        "is_long",
        "text",
    )

    def __init__(self, machine: Machine, market: Market, aim: Aim, gunner: Gunner) -> None:
        self._machine = machine
        self._market = market
        self.aim = aim
        self._gunner = gunner
        self._stop_x = machine.stop.x
        self.is_long = machine.side == "LONG"
        self.text, self._level, self._low, self._high = levels_of(machine, market)

    def is_of(self, machine: Machine) -> bool:
        """Whether it is this machine's, and still holds."""
        return self._machine is machine and self.holds

    @property
    def holds(self) -> bool:
        """Whether it is still what the position's stop would make."""
        machine = self._machine
        orders = machine.orders
        return (
            machine.stop.x is self._stop_x
            and orders.state is State.WATCHING
            and orders.rest is None
            and orders.partial is None
            and orders.quantity is self.aim.quantity
            and orders.number == self.aim.number
        )

    def is_calm(self, price: str, t_event_ms: int) -> bool:
        """Whether no rule acts on this price and no candle closes with it: what then stands stands behind it too."""
        market = self._market
        try:
            value = double(price)
        except ValueError:
            return False
        return (
            len(price) <= SHORT_CHARS_MAX
            and t_event_ms < market.until_ms
            and market.calm_low < value < market.calm_high
            # So that no price that fires is a suspicious distance from this one.
            and self._low < value < self._high
        )

    def fire(
        self,
        price: str,
        tick_id: int,
        t_event_ms: int,
        now_ns: int,
        *,
        is_practice: bool = False,
    ) -> bool:
        """Sends the order if this tick surely makes the engine close everything for the stop.

        Args:
            price: the tick's, as it came.
            tick_id: its id.
            t_event_ms: its exchange time.
            now_ns: its receive time, before which nothing is due.
            is_practice: everything is asked as it would be, and nothing is sent.
        """
        market = self._market
        if (
            len(price) > SHORT_CHARS_MAX
            or not market.last_id < tick_id < market.id_end
            or not market.since_ms <= t_event_ms < market.until_ms
            or market.suspect is not None
            or market.awaited
            or len(market.machines) != 1
            or market.machines[0] is not self._machine
            or not self.holds
            or (market.due_ns is not None and now_ns >= market.due_ns - DECIDED_WITHIN_NS)
        ):
            return False
        try:
            value, last = double(price), double(market.text)
        except ValueError:
            return False
        if not self._low < value < self._high or not self._low < last < self._high:
            return False
        if value > self._level if self.is_long else value < self._level:
            return False
        return self._gunner.fire(self.aim, now_ns, is_practice=is_practice)

    def practise(self, now_ns: int) -> None:
        """Fires without sending, at the stop, so that the code that fires stays warm."""
        market = self._market
        fired = self.fire(
            self.text, market.last_id + 1, market.t_event_ms, now_ns, is_practice=True
        )
        assert not fired


class Shots:
    """The shots of every position that can have one.

    Attributes:
        last, mark: by symbol, of the positions that look at this source.
        on_round: called before they are signed anew: whoever knows when it may be has them aimed anew.
        on_unclaimed: called with why, when something left that nobody decided.
    """

    def __init__(
        self,
        engine: Engine,
        gunner: Gunner,
        order_ids: OrderIds,
        *,
        audit: Audit,
        clock: Clock,
        may_leave: Callable[[str, Side], bool] = lambda _symbol, _side: True,
    ) -> None:
        """Aims at nothing yet.

        Args:
            engine: whose positions.
            gunner: builds and fires.
            order_ids: names orders as the engine does.
            audit: told of what should not be.
            clock: ours.
            may_leave: whether an order may leave for a position at all (its epoch's opening is written down).
        """
        from reactor import compiled  # noqa: PLC0415 - it is built on this module

        self._make: Callable[[Machine, Market, Aim, Gunner], ReadyShot] = (
            Shot if compiled.hot is None else compiled.hot.Shot
        )
        self._may_leave = may_leave
        self._engine = engine
        self._gunner = gunner
        self._order_ids = order_ids
        self._audit = audit
        self._clock = clock
        self._turn: Iterator[ReadyShot] = iter(())
        self._is_off = False
        self.on_round: Callable[[], None] = self.aim
        self.on_unclaimed: Callable[[str], None] = _nothing
        self.last: dict[str, ReadyShot] = {}
        self.mark: dict[str, ReadyShot] = {}

    async def run(self) -> None:
        """Signs what lies ready anew, again and again, until cancelled."""
        while True:
            await asyncio.sleep(SIGNED_EVERY_S)
            self.on_round()
            now_ns = self._clock.now_ns()
            for shots in (self.last, self.mark):
                for shot in shots.values():
                    self._gunner.sign(shot.aim, now_ns)

    def aim(self) -> None:
        """Aims anew where something has changed; called after every event that is no quiet tick."""
        if self._is_off:
            return
        kept: dict[Source, dict[str, ReadyShot]] = {"last": self.last, "mark": self.mark}
        held: dict[Source, set[str]] = {"last": set(), "mark": set()}
        for machine in self._engine.positions.values():
            source = machine.plan.trigger
            if source == "book":
                continue
            market = self._engine.market(source, machine.symbol)
            if market is None or len(market.machines) != 1:
                continue
            shot = kept[source].get(machine.symbol)
            if shot is None or not shot.is_of(machine):
                kept[source].pop(machine.symbol, None)
                shot = self._aimed(machine, market)
            if shot is not None:
                kept[source][machine.symbol] = shot
                held[source].add(machine.symbol)
        for name, shots in kept.items():
            if len(shots) > len(held[name]):
                for symbol in set(shots) - held[name]:
                    del shots[symbol]

    def practise(self) -> None:
        """Practises one of the shots, in turn."""
        shot = next(self._turn, None)
        if shot is None:
            self._turn = iter([*self.last.values(), *self.mark.values()])
            shot = next(self._turn, None)
        if shot is not None:
            shot.practise(self._clock.now_ns())

    def unclaimed(self) -> list[bytes]:
        """What left and was then not decided: a bug of ours. It is told, and nothing is fired ahead any more.

        Returns:
            The requests as they left, for the record.
        """
        left = self._gunner.unclaimed()
        if not left:
            return []
        self._is_off = True
        self.last.clear()
        self.mark.clear()
        for fired in left:
            text = (
                f"order {fired.order_id} left ahead of a decision that was then not made; orders are built when"
                " they are decided from now on, until a restart"
            )
            self._audit.publish(
                AlarmRaised(kind="unclaimed_order", text=text, key="unclaimed_order"),
                t_ns=self._clock.now_ns(),
            )
        self.on_unclaimed("an order left that nobody decided")
        return [fired.frame for fired in left]

    def _aimed(self, machine: Machine, market: Market) -> ReadyShot | None:
        orders = machine.orders
        if (
            orders.state is not State.WATCHING
            or not market.text
            or len(text(machine.stop_price)) > SHORT_CHARS_MAX
            or not machine.stop_fires_at_once
            or not self._may_leave(machine.symbol, machine.side)
        ):
            return None
        order_id = self._order_ids(
            machine.symbol,
            machine.side,
            machine.opened_ns,
            machine.epoch,
            orders.number + 1,
            0,
        )
        aim = self._gunner.aim(machine, order_id)
        return None if aim is None else self._make(machine, market, aim, self._gunner)


def levels_of(machine: Machine, market: Market) -> tuple[str, float, float, float]:
    """A position's stop as its prices are written, the same as a double, and what its prices have to lie between.

    Of two prices within those two, none is a suspicious distance from the other.
    """
    written = _as_written(machine, market)
    level = double(written)
    quote = market.quote()
    return written, level, *market.never_far(level if quote is None else quote.long_double)


def _as_written(machine: Machine, market: Market) -> str:
    """The stop with as many decimals as the market's prices have: texts of one length compare like numbers."""
    whole, _, part = text(machine.stop_price).partition(".")
    places = len(market.text.partition(".")[2])
    return f"{whole}.{part.ljust(places, '0')}" if places else whole


def _nothing(_why: str) -> None:
    """Nobody wants to know."""
