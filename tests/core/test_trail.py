"""The short way of a tick that only trails: it decides and remembers what the long way does."""

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.story import START_NS, SYMBOL, Story, plan
from reactor.core.decisions import Decision, Side
from reactor.core.epoch_state import state_of
from reactor.core.ladder import Filters
from reactor.core.market import Market
from reactor.core.plan import Plan
from reactor.plans import load_plan, shipped_plan_names

D = Decimal
MS = START_NS // 1_000_000

BY_PCT = plan("[stop]\npct = 0.01\n[trailing]\nactivate = 'in_profit'\npct = 0.003\n")
BY_ATR = plan(
    "[atr]\nperiod = 2\ninterval = '1m'\n[stop]\natr = 2\n"
    "[trailing]\nactivate = 'at_r'\nvalue = 0.5\natr = 0.7\n"
    "[break_even]\nat_r = 1.0\n"
)
PLANS = [BY_PCT, BY_ATR, *map(load_plan, shipped_plan_names())]
FILTERS = [Filters(), Filters(tick=D("0.1"), step=D("0.001")), Filters(tick=D("0.25"))]
SOURCES = ("last", "trade", "mark")


class Told(Story):
    """One of the two engines; it can be kept from taking the short way."""

    def __init__(self, rules: Plan, source: str, filters: Filters, *, is_short: bool) -> None:
        super().__init__(rules, filters=filters)
        self.source, self.is_short = source, is_short
        self.trailed = 0

    @property
    def market(self) -> Market:
        market = self.engine.market("mark" if self.source == "mark" else "last", SYMBOL)
        assert market is not None
        return market

    def hears(self, price: str, number: int) -> list[Decision]:
        market, t_ns = self.market, self.now_ns
        if not self.is_short:
            market.trail_low, market.trail_high = float("inf"), float("-inf")
        self.trailed += market.trail_low < float(price) < market.trail_high and not (
            market.low < float(price) < market.high
        )
        if self.source == "mark":
            return list(self.engine.on_mark(SYMBOL, price, t_ns // 1_000_000 + number, t_ns))
        call = self.engine.on_trade if self.source == "trade" else self.engine.on_last
        return list(call(SYMBOL, price, number, t_ns // 1_000_000, t_ns))

    def remembers(self) -> object:
        market = self.market
        machines = list(self.engine.positions.values())
        for machine in machines:
            market.show(machine)
        for series in market.series.values():
            market.settle_candle(series)
        return (
            [state_of(machine) for machine in machines],
            [(one.start_ms, one.high, one.low, one.close) for one in market.series.values()],
            (market.ticks, market.last_id, market.trade_id, market.text, market.t_event_ms),
            (market.duplicates, market.suspects_dropped, self.engine.due_ns),
        )


@settings(max_examples=300, deadline=None)
@given(
    rules=st.sampled_from(PLANS),
    source=st.sampled_from(SOURCES),
    filters=st.sampled_from(FILTERS),
    sides=st.sampled_from([("LONG",), ("SHORT",), ("LONG", "SHORT")]),
    seed=st.integers(0, 2**32),
)
def test_the_short_way_does_what_the_long_way_does(
    rules: Plan,
    source: str,
    filters: Filters,
    sides: tuple[Side, ...],
    seed: int,
) -> None:
    trigger = "mark" if source == "mark" else "last"
    rules = msgspec.structs.replace(rules, trigger=trigger)
    short = Told(rules, source, filters, is_short=True)
    long = Told(rules, source, filters, is_short=False)
    for told in (short, long):
        told.history(*[(100.0, 100.4, 99.7, 100.1)] * 20, minutes=5)
        for side in sides:
            told.expect(1, 100, side=side)
    cents, seconds = 10_000, 0.0
    chance = random.Random(seed)
    for number in range(1, 101):
        cents += round(chance.gauss(0, 12))
        seconds += chance.choice([0, 0, 0, 0, 1, 7, 45, 400])
        price = f"{D(cents) / 100:f}"
        short.at(seconds)
        long.at(seconds)
        assert short.hears(price, number) == long.hears(price, number)
    assert short.remembers() == long.remembers()
    assert long.trailed == 0


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_new_best_prices_take_the_short_way(source: str, side: Side) -> None:
    trigger = "mark" if source == "mark" else "last"
    told = Told(msgspec.structs.replace(BY_PCT, trigger=trigger), source, FILTERS[1], is_short=True)
    told.expect(1, 100, side=side)
    way = 1 if side == "LONG" else -1
    for number in range(1, 51):
        told.hears(f"{100 + way * number / 10:.1f}", number)
    # The first opens the position, and activates trailing.
    assert told.trailed == 49
    assert len(told.said) == 0
    assert told.stop(side) == ("trailing_stop 104.6" if side == "LONG" else "trailing_stop 95.3")


def test_a_first_trade_is_not_taken_for_a_quiet_tick_after_a_polled_price() -> None:
    """What was asked for over REST arms the market; the stream's ids begin behind it all the same."""
    told = Told(BY_PCT, "last", FILTERS[1], is_short=True)
    told.expect(1, 100)
    told.engine.on_polled("last", SYMBOL, "100", MS, START_NS)
    told.hears("99.99", 7)
    assert told.market.aggregated
    assert (told.market.last_id, told.market.ticks) == (7, 2)
    # Raw trades are ignored from the first aggTrade on.
    assert told.engine.on_trade(SYMBOL, "120", 8, MS, START_NS) == []
    assert told.market.ticks == 2
