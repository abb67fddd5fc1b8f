"""What must hold whatever happens: money is conserved, positions are their fills, nothing flips."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.sim.exchange import Exchange, Settings
from reactor.sim.matching import closing_orders
from reactor.sim.model import Position
from reactor.sim.orders import Ask, place
from reactor.sim.refusals import Refusal
from reactor.sim.scenarios import SHAPES, Scenario
from reactor.sim.simulation import Simulation

from .trading_desk import START_MS, Desk

D = Decimal
ZERO = D(0)
quantities = st.integers(1, 3000).map(lambda n: D(n) / 1000)
prices = st.integers(780_000, 840_000).map(lambda n: D(n) / 10)
moves = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["LONG", "SHORT"]),
        quantities,
        st.booleans(),
        st.sampled_from(["MARKET", "LIMIT"]),
        prices,
    ),
    min_size=1,
    max_size=25,
)


@given(st.lists(st.tuples(quantities, st.booleans(), prices), min_size=1, max_size=30))
def test_a_position_conserves_money_to_the_last_digit(fills: list[Any]) -> None:
    position, cash, realized = Position("BTCUSDT", "BOTH"), ZERO, ZERO
    for quantity, buys, price in fills:
        signed = quantity if buys else -quantity
        realized += position.apply(signed, price)
        cash -= signed * price
    mark = D("81234.5")
    assert cash + position.amount * mark == realized + position.unrealized(mark)
    assert position.amount == sum((q if b else -q for q, b, _ in fills), ZERO)
    assert position.amount or not position.cost


def run(exchange: Exchange, steps: list[Any], *, hedge: bool) -> None:
    account = exchange.accounts["main"]
    account.hedge = hedge
    for side, leg, quantity, reduce_only, kind, price in steps:
        exchange.set_price("BTCUSDT", price)
        exchange.advance(exchange.now_ms + 50)
        ask = Ask(
            symbol="BTCUSDT",
            side=side,
            position_side=leg if hedge else "BOTH",
            type=kind,
            time_in_force="GTC",
            quantity=quantity,
            price=price if kind == "LIMIT" else ZERO,
            reduce_only=reduce_only and not hedge,
        )
        was = account.position("BTCUSDT", ask.position_side).amount
        try:
            order = place(exchange, account, ask)
        except Refusal:
            continue
        if ask.reduce_only:
            assert order.executed <= abs(was)
            assert order.sign * was < 0
        for leg_side in account.sides():
            amount = account.position("BTCUSDT", leg_side).amount
            for closing, capacity in (("SELL", max(amount, ZERO)), ("BUY", max(-amount, ZERO))):
                resting = closing_orders(account, "BTCUSDT", closing, leg_side)
                assert sum((o.remaining for o in resting), ZERO) <= capacity
        if hedge:
            assert account.position("BTCUSDT", "LONG").amount >= 0
            assert account.position("BTCUSDT", "SHORT").amount <= 0


@settings(max_examples=60, deadline=None)
@given(moves, st.booleans())
def test_accounts_keep_their_books(steps: list[Any], hedge: bool) -> None:
    exchange = Exchange(now_ms=START_MS, settings=Settings(wallet=D(10_000_000)))
    run(exchange, steps, hedge=hedge)
    account = exchange.accounts["main"]
    assert account.wallet == sum((row.amount for row in account.income), ZERO)
    for (symbol, side), position in account.positions.items():
        fills = sum(
            (
                t.quantity if t.side == "BUY" else -t.quantity
                for t in account.trades
                if (t.symbol, t.position_side) == (symbol, side)
            ),
            ZERO,
        )
        assert position.amount == fills
    for order in (*account.orders.values(), *account.closed.values()):
        filled = sum((t.quantity for t in account.trades if t.order_id == order.order_id), ZERO)
        assert order.executed == filled <= order.quantity
    assert exchange.resting["BTCUSDT"] == sum(
        1 for a in exchange.accounts.values() for o in a.orders.values() if o.type == "LIMIT"
    )


def session(seed: int, scenario: str) -> list[bytes]:
    """Return every byte that a client of an eventful quarter of an hour is sent."""
    prices_source = Scenario(scenario, start_ms=START_MS, seed=seed, step_ms=1000)
    desk = Desk(Simulation(now_ms=START_MS, settings=Settings(seed=seed), prices=prices_source))
    market = desk.simulation.connect("/market/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m")
    private = desk.user_stream()
    desk.fault(do="duplicate", probability=0.3, count=0, at={"event": "*UPDATE"})
    sent: list[bytes] = []
    for turn in range(15):
        desk.order(side="BUY" if turn % 2 else "SELL", quantity="0.1")
        desk.algo(
            side="SELL",
            triggerPrice=str(int(desk.exchange.markets["BTCUSDT"].last) - 50),
            quantity="0.01",
        )
        desk.wait(60_000)
        for connection in (market, private):
            assert connection is not None
            sent += [bytes(str(item), "utf-8") for item in connection.pending]
            connection.pending.clear()
            desk.simulation.hub.pong(connection)
    return sent


def test_the_same_seed_gives_the_same_bytes() -> None:
    first = session(3, "whipsaw")
    assert len(first) > 500
    assert first == session(3, "whipsaw")
    assert first != session(4, "whipsaw")


def test_time_in_one_step_or_in_many_is_the_same() -> None:
    ends = []
    for steps in (1, 97):
        exchange = Exchange(
            now_ms=START_MS, prices=Scenario("trend", start_ms=START_MS, seed=2, step_ms=500)
        )
        for step in range(1, steps + 1):
            exchange.advance(START_MS + 600_000 * step // steps)
        ends.append({name: (m.last, m.mark, m.trade_id) for name, m in exchange.markets.items()})
    assert ends[0] == ends[1]


def test_a_day_passes_and_leaves_nothing_behind() -> None:
    source = Scenario(
        "calm", start_ms=START_MS, seed=1, step_ms=10_000, symbols=frozenset({"BTCUSDT"})
    )
    desk = Desk(Simulation(now_ms=START_MS, prices=source))
    sizes = []
    for _ in range(24):
        connection = desk.simulation.connect("/market/ws/btcusdt@aggTrade")
        assert connection is not None
        desk.order(side="BUY", quantity="0.001")
        desk.algo(triggerPrice="50000", quantity="0.001")
        desk.ask("DELETE", "/fapi/v1/algoOpenOrders", symbol="BTCUSDT")
        for _ in range(6):
            desk.wait(600_000)
            connection.pending.clear()
        sizes.append(len(desk.exchange._heap))
        desk.simulation.hub.drop(connection)
    assert desk.exchange.now_ms == START_MS + 86_400_000
    assert sizes[-1] <= sizes[0] + 2
    assert len(desk.exchange.markets["BTCUSDT"].minutes) <= 1500
    assert not desk.simulation.hub.connections


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_scenario_moves_as_it_says(name: str) -> None:
    exchange = Exchange(
        now_ms=START_MS, prices=Scenario(name, start_ms=START_MS, seed=1, step_ms=1000)
    )
    market = exchange.markets["BTCUSDT"]
    start = market.last
    lows, highs, statuses, torn = start, start, set(), ZERO
    for _ in range(300):
        exchange.advance(exchange.now_ms + 1000)
        lows, highs = min(lows, market.last), max(highs, market.last)
        statuses.add(market.status)
        torn = max(torn, abs(market.last - market.mark) / market.mark)
    span = float((highs - lows) / start)
    least = {"flash_crash": 0.09, "gap": 0.029, "whipsaw": 0.019, "trend": 0.012, "halt": 0.012}
    assert span >= least.get(name, 0.0)
    assert (span == 0) == (name == "still")
    assert ("TRADING_HALT" in statuses) == (name == "halt")
    assert (torn > D("0.015")) == (name in {"flash_crash", "gap"})
    assert (market.funding_rate > D("0.001")) == (name == "funding_spike")


def test_last_falls_further_than_mark_in_a_crash() -> None:
    exchange = Exchange(now_ms=START_MS, prices=Scenario("flash_crash", start_ms=START_MS, seed=1))
    market = exchange.markets["ETHUSDT"]
    last = mark = market.last
    for _ in range(240):
        exchange.advance(exchange.now_ms + 500)
        last, mark = min(last, market.last), min(mark, market.mark)
    assert last < mark


def test_hours_of_coarse_prices_are_the_same_again() -> None:
    def hours() -> tuple[list[bytes], list[str]]:
        prices = Scenario("calm", start_ms=START_MS, seed=9, step_ms=60_000)
        simulation = Simulation(now_ms=START_MS, prices=prices)
        stream = simulation.connect("/market/stream?streams=btcusdt@aggTrade/ethusdt@kline_1h")
        assert stream is not None
        frames: list[bytes] = []
        for part in range(1, 6 * 12 + 1):
            simulation.advance(START_MS + part * 300_000)
            frames += [item for item in stream.pending if isinstance(item, bytes)]
            stream.pending.clear()
            simulation.hub.pong(stream)
        return frames, [str(market.last) for market in simulation.exchange.markets.values()]

    frames, last = hours()
    assert sum(b"@aggTrade" in frame for frame in frames) == 6 * 60
    assert (frames, last) == hours()


def test_a_coarser_walk_wanders_as_far() -> None:
    def spread(step_ms: int) -> float:
        moves = []
        for seed in range(15):
            prices = Scenario("calm", start_ms=START_MS, seed=seed, step_ms=step_ms)
            simulation = Simulation(now_ms=START_MS, prices=prices)
            simulation.advance(START_MS + 60_000)
            moves += [
                float(m.last / m.rules.start_price) - 1
                for m in simulation.exchange.markets.values()
            ]
        return float((sum(move * move for move in moves) / len(moves)) ** 0.5)

    assert 0.7 < spread(2000) / spread(10_000) < 1.4


def test_what_was_said_before_a_cut_arrives_however_far_time_jumps() -> None:
    prices = Scenario("calm", start_ms=START_MS, seed=1, step_ms=10_000)
    limits = Settings(connection_ms=65_000)
    simulation = Simulation(now_ms=START_MS, prices=prices, settings=limits)
    stream = simulation.connect("/market/ws/btcusdt@aggTrade")
    assert stream is not None
    simulation.advance(START_MS + 120_000)
    assert [isinstance(item, bytes) for item in stream.pending] == [True] * 6 + [False]
