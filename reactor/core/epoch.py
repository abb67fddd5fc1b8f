"""One epoch of a position: what it is about, what its rules remember, and its values for readers.

What the rules do with it stands in `machine.py`.
"""

from decimal import Decimal
from math import inf

import msgspec

from reactor.core import levels
from reactor.core.break_even import BreakEven
from reactor.core.decisions import HeldBack, Opened, Side, StopMoved
from reactor.core.exact import floor_to, multiply, subtract
from reactor.core.guards import Guards
from reactor.core.ladder import Filters, Ladder
from reactor.core.orders import Orders
from reactor.core.plan import Plan
from reactor.core.sizing import NO_INPUTS, Inputs, inputs_as_text, inputs_from_text
from reactor.core.stop import Stop
from reactor.core.trailing import Trailing


class RulesState(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine itself remembers, beside its parts: the rest of what a restart needs.

    Attributes:
        tick: the last accepted trigger-price tick's number. `x`: its price on the gain axis; None before.
        atr, level_atr, high_volatility, r, paused, time_stop_ns: as of `Machine`.
        through: consecutive ticks through the stop so far.
        held_is_news: whether a stop held back is still to be told with the tick that closed its candle.
        inputs, tightened, policy_plan: as of `Machine`.
    """

    tick: int
    x: Decimal | None
    atr: Decimal | None
    level_atr: Decimal | None
    high_volatility: bool
    r: Decimal
    paused: bool
    time_stop_ns: int | None
    through: int
    held_is_news: bool
    inputs: dict[str, str] = {}
    tightened: tuple[Plan, ...] = ()
    policy_plan: str = ""


class Epoch:
    """One epoch: what it is about, and where its rules stand.

    Attributes:
        plan, side, entry, opened_ns, epoch: what the epoch is about.
        orders: what is held, what is in flight, and what was realised.
        stop: the stop on the gain axis; `stop_kind` what put it there.
        r: the epoch's initial risk in price, before rounding.
        level_atr: the ATR that stop, R and rungs were made of; `atr` the one trailing uses now.
        peak: the best x since trailing became active; None before.
        inputs: what was known for ladder sizing when the epoch opened.
        tightened: the plans whose nearer levels count beside the epoch's own.
        policy_plan: the name of the plan that the exit policy asked for last.
    """

    __slots__ = (
        "_axis",
        "_calm",
        "_calm_high",
        "_calm_low",
        "_confirm",
        "_held_is_news",
        "_through",
        "_x_double",
        "_x_is_short",
        "atr",
        "break_even",
        "entry",
        "epoch",
        "filters",
        "guards",
        "high_volatility",
        "inputs",
        "ladder",
        "level_atr",
        "opened_ns",
        "orders",
        "paused",
        "plan",
        "policy_plan",
        "r",
        "side",
        "stop",
        "symbol",
        "tick",
        "tightened",
        "time_stop_ns",
        "trailing",
        "x",
        "x0",
    )

    def __init__(
        self,
        *,
        symbol: str,
        side: Side,
        epoch: int,
        opened_ns: int,
        plan: Plan,
        filters: Filters,
        entry: Decimal,
        atr: Decimal | None,
        orders: Orders,
        inputs: Inputs = NO_INPUTS,
    ) -> None:
        self.symbol = symbol
        self.side: Side = side
        self.epoch = epoch
        self.opened_ns = opened_ns
        self.plan = plan
        self.filters = filters
        self.orders = orders
        self.inputs = inputs
        self.tightened: list[Plan] = []
        self.policy_plan = plan.name
        self.paused = False
        self.tick = 0
        self._axis = levels.Axis(side)
        self._confirm = plan.stop_confirm_ticks
        self._through = 0
        # The last tick's x: what "the current price" means to a recomputation. None before a tick.
        self.x: Decimal | None = None
        self._x_double = 0.0
        self._x_is_short = False
        # The bounds of everything but stop and peak; valid while calm.
        self._calm = False
        self._calm_low, self._calm_high = inf, -inf
        # Whether the stop held back was made by the candle that the present tick closed.
        self._held_is_news = False

        self.entry = entry
        self.x0 = self._axis.x(entry)
        self.atr = atr
        self.level_atr = atr
        self.high_volatility = levels.is_high_volatility(plan, atr=atr, price=entry)
        self.r = self._stop_distance()
        self.stop = Stop(floor_to(subtract(self.x0, self.r), filters.tick))
        self.trailing = Trailing(plan, tick=filters.tick)
        self.ladder = Ladder(
            plan, self._axis, filters, entry=entry, atr=atr, r=self.r, inputs=inputs
        )
        self.guards = Guards(plan, self._axis)
        orders.risk(self.r)

        self.break_even = BreakEven(plan, self._axis, tick=filters.tick)
        self.break_even.set(entry=entry, r=self.r)
        self.time_stop_ns: int | None = None
        if plan.time_stop is not None:
            self.time_stop_ns = opened_ns + int(multiply(plan.time_stop.seconds, Decimal(10**9)))

    # What a reader asks -----------------------------------------------------------------------

    def price(self, x: Decimal) -> Decimal:
        """A point on the gain axis as a price."""
        return self._axis.price(x)

    @property
    def stop_price(self) -> Decimal:
        """The stop as a price."""
        return self._axis.price(self.stop.x)

    @property
    def current_price(self) -> Decimal:
        """The last tick's price; the entry before any tick."""
        return self._axis.price(self.x0 if self.x is None else self.x)

    @property
    def is_under_water(self) -> bool:
        """Whether the current price is at or through the stop."""
        return self.x is not None and self.x <= self.stop.x

    def opened(self, *, t_ns: int) -> Opened:
        """The epoch's first decision, with its levels as they stand."""
        return Opened(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            quantity=self.orders.quantity,
            entry=self.entry,
            plan=self.plan.name,
            atr=self.level_atr,
            stop=self.stop_price,
            targets=tuple(
                (None if rung.x is None else self.price(rung.x), rung.close)
                for rung in self.ladder.rungs
            ),
        )

    def open_targets(self) -> tuple[tuple[Decimal | None, Decimal], ...]:
        """The untaken rungs, nearest first: price (None while one waits) and fraction."""
        return tuple(
            (None if rung.x is None else self.price(rung.x), rung.close)
            for rung in self.ladder.rungs
            if not rung.taken
        )

    def trailing_distance(self) -> Decimal | None:
        """How far behind the peak the stop trails, or would from here; None without trailing or its ATR."""
        peak = self.trailing.peak
        if peak is None:
            peak = self.x0 if self.x is None else self.x
        return self.trailing.distance(peak, self.atr)

    def ratchet_xs(self) -> list[Decimal]:
        """The stops that the taken rungs ask for, rising: after rung k+1 the price of rung k."""
        if not self.plan.ratchets:
            return []
        return [floor_to(x, self.filters.tick) for x in sorted(self.ladder.taken)[:-1]]

    def see(self, price: Decimal, *, tick: int) -> None:
        """Tells the current price to what is not caused by a tick: clock, candles, position reports."""
        self.x = self._axis.x(price)
        self.tick = tick
        self._calm = False

    def _see_tick(self, price: Decimal, double: float, tick: int) -> Decimal:
        """Makes a tick the last one seen; answers with its price on the gain axis."""
        self.tick = tick
        if self._axis.is_long:
            x, self._x_double = price, double
        else:
            x, self._x_double = price.copy_negate(), -double
        self.x = x
        return x

    # Decisions as values ----------------------------------------------------------------------

    def _stop_moved(self, t_ns: int) -> StopMoved:
        stop, x = self.stop.x, self.x0 if self.x is None else self.x
        if not self._axis.is_long:
            stop, x = stop.copy_negate(), x.copy_negate()
        return StopMoved(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            kind=self.stop.kind,
            stop=stop,
            price=x,
        )

    def _held(self, what: str, x: Decimal, *, t_ns: int) -> HeldBack:
        return HeldBack(
            t_ns=t_ns,
            tick=self.tick,
            symbol=self.symbol,
            side=self.side,
            epoch=self.epoch,
            what="stop" if what == "stop" else "target",
            level=self.price(x),
            price=None if self.x is None else self.price(self.x),
        )

    # Distances --------------------------------------------------------------------------------

    def _distance_of(self, plan: Plan) -> Decimal:
        """The initial stop's distance by another plan, for this entry and the epoch's ATR."""
        return levels.stop_distance(
            plan,
            side=self.side,
            entry=self.entry,
            atr=self.level_atr,
            high_volatility=levels.is_high_volatility(plan, atr=self.level_atr, price=self.entry),
        )

    def _stop_distance(self) -> Decimal:
        return levels.stop_distance(
            self.plan,
            side=self.side,
            entry=self.entry,
            atr=self.level_atr,
            high_volatility=self.high_volatility,
        )

    # A restart --------------------------------------------------------------------------------

    def rules_state(self) -> RulesState:
        """What the machine itself remembers; `epoch_state.state_of` adds its parts."""
        return RulesState(
            tick=self.tick,
            x=self.x,
            atr=self.atr,
            level_atr=self.level_atr,
            high_volatility=self.high_volatility,
            r=self.r,
            paused=self.paused,
            time_stop_ns=self.time_stop_ns,
            through=self._through,
            held_is_news=self._held_is_news,
            inputs=inputs_as_text(self.inputs),
            tightened=tuple(self.tightened),
            policy_plan=self.policy_plan,
        )

    def restore_rules(self, state: RulesState) -> None:
        """Takes what the machine of an earlier process remembered."""
        self.tick = state.tick
        self.x = state.x
        self.atr = state.atr
        self.level_atr = state.level_atr
        self.high_volatility = state.high_volatility
        self.r = state.r
        self.paused = state.paused
        self.time_stop_ns = state.time_stop_ns
        self._through = state.through
        self._held_is_news = state.held_is_news
        self.inputs = inputs_from_text(state.inputs)
        for plan in state.tightened:
            self.tightened.append(plan)
            self.trailing.tighten(plan)
        self.policy_plan = state.policy_plan or self.plan.name
        self._calm = False
