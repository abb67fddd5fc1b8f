"""The markets: one per symbol and price source that a plan looks at, made when first met."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from math import inf

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import from_float
from reactor.core.machine import Machine
from reactor.core.market import Market, Source
from reactor.core.plan import INTERVAL_MS, AtrPlan, Plan
from reactor.core.sizing import VOLATILITY_INTERVAL_MS, wants_input
from reactor.core.steering import Steering

PlanFor = Callable[[str, Side], Plan]
SIDES: tuple[Side, Side] = ("LONG", "SHORT")


class Markets:
    """Every market of an engine.

    Attributes:
        mark, last, book: the markets of each source by symbol; None for a symbol that no plan looks at
            there, so that its ticks cost one look-up.
    """

    __slots__ = ("_atr_fixed", "_plan_for", "_steering", "book", "last", "mark")

    def __init__(
        self,
        plan_for: PlanFor,
        atr_fixed: dict[str, Decimal],
        steering: Steering | None = None,
    ) -> None:
        self._plan_for = plan_for
        self._steering = steering
        self._atr_fixed = atr_fixed
        self.mark: dict[str, Market | None] = {}
        self.last: dict[str, Market | None] = {}
        self.book: dict[str, Market | None] = {}

    def __iter__(self) -> Iterator[Market]:
        """Every market that ticks or is waited for."""
        for by_symbol in (self.mark, self.last, self.book):
            yield from (market for market in by_symbol.values() if market is not None)

    def get(self, source: Source, symbol: str) -> Market | None:
        """The market of a symbol on a source; None where no plan looks at that source."""
        by_symbol = {"mark": self.mark, "last": self.last, "book": self.book}[source]
        if symbol not in by_symbol:
            by_symbol[symbol] = self._make(source, symbol)
        return by_symbol[symbol]

    def put(self, market: Market) -> None:
        """Takes a market that was made elsewhere for the one of its symbol and source."""
        {"mark": self.mark, "last": self.last, "book": self.book}[market.source][market.symbol] = (
            market
        )

    def of(self, plan: Plan, symbol: str) -> Market:
        """The market that a plan's positions of a symbol are driven by."""
        market = self.get(plan.trigger, symbol)
        if market is None:
            # The plan of an epoch that was opened under another configuration.
            market = Market(symbol=symbol, source=plan.trigger, jump_limit=plan.max_tick_jump_pct)
            self.put(market)
        self._take_series(market, plan)
        return market

    def of_machine(self, machine: Machine) -> Market:
        """The market that drives a machine; the machine is told its last price."""
        market = self.of(machine.plan, machine.symbol)
        market.show(machine)
        return market

    def atr(self, market: Market, plan: Plan) -> Decimal | None:
        """The ATR for a plan's levels: fixed, or of its closed candles; 0 counts as none."""
        fixed = self._atr_fixed.get(market.symbol)
        if fixed is not None:
            return fixed if fixed > 0 else None
        return self._candle_atr(market, plan.atr, INTERVAL_MS[plan.atr.interval])

    def atr_15m(self, market: Market, plan: Plan) -> Decimal | None:
        """The ATR of closed 15 m candles, with the plan's period and smoothing; never a fixed one."""
        if not wants_input(plan, "volatility"):
            return None
        return self._candle_atr(market, plan.atr, VOLATILITY_INTERVAL_MS)

    def _candle_atr(self, market: Market, atr: AtrPlan, interval_ms: int) -> Decimal | None:
        series = market.series.get(interval_ms)
        if series is None:
            return None
        value = series.atr(period=atr.period, method=atr.method).value
        return from_float(value) if value is not None and 0 < value < inf else None

    def _make(self, source: Source, symbol: str) -> Market | None:
        possible = [self._plan_for(symbol, side) for side in SIDES]
        if self._steering is not None:
            possible += self._steering.possible_plans(symbol)
        plans = [plan for plan in possible if plan.trigger == source]
        if not plans:
            return None
        # Where two plans differ, the tighter limit asks for confirmation sooner.
        limit = min(plan.max_tick_jump_pct for plan in plans)
        market = Market(symbol=symbol, source=source, jump_limit=limit)
        for plan in plans:
            self._take_series(market, plan)
        steering = self._steering
        if (
            steering is not None
            and steering.wants_regime(symbol, possible)
            and source == steering.regime_source(possible)
        ):
            config = steering.config
            market.take_regime_series(config.interval_ms, retained=config.history_candles)
        return market

    def _take_series(self, market: Market, plan: Plan) -> None:
        if plan.high_volatility is not None or (
            plan.needs_atr and market.symbol not in self._atr_fixed
        ):
            market.take_series(plan.atr)
        if wants_input(plan, "volatility"):
            market.take_series(msgspec.structs.replace(plan.atr, interval="15m"))
