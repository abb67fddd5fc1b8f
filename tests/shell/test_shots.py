"""An order that is fired ahead is the order that the engine then decides: on any prices, however stale the aim."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reactor.audit import Audit
from reactor.clock import SystemClock
from reactor.core.decisions import Exit, Side
from reactor.core.engine import Engine
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event
from reactor.core.machine import Machine
from reactor.core.orders import Fills, plain_order_id
from reactor.core.plan import plan_from_toml
from reactor.errors import DecodeError
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.frames import MarketFrames
from reactor.shell.shots import Shots

PLAN = """
name = "shots"
trigger = "last"
{more}
[stop]
pct = 0.01
[[targets]]
pct = 0.02
close = 0.5
[trailing]
activate = "in_profit"
pct = 0.005
[time_stop]
seconds = 100
"""
FILTERS = Filters(tick=Decimal("0.1"), step=Decimal("0.001"), min_quantity=Decimal("0.001"))
T_MS = 1_763_640_000_000
SYMBOL = "BTCUSDT"

pytestmark = pytest.mark.usefixtures("written")


class Gun:
    """Remembers what was fired, and practises nothing."""

    def __init__(self) -> None:
        self.fired: list[Aim] = []
        self._frames = MarketFrames(None, 5000)

    def aim(self, machine: Machine, order_id: str) -> Aim:
        params = {
            "symbol": machine.symbol,
            "side": "SELL" if machine.side == "LONG" else "BUY",
            "reduceOnly": "true",
            "type": "MARKET",
            "quantity": str(machine.orders.quantity),
            "newClientOrderId": order_id,
            "newOrderRespType": "RESULT",
        }
        return Aim(
            symbol=machine.symbol,
            quantity=machine.orders.quantity,
            number=machine.orders.number,
            order_id=order_id,
            identity=order_id,
            params=params,
            hedge=False,
            filters=None,
            begun=self._frames.begin(order_id, params),
            recv_window_ms=5000,
        )

    def sign(self, aim: Aim, now_ns: int) -> None:
        aim.sign(now_ns // 1_000_000, now_ns=now_ns)

    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool:
        if is_practice:
            return False
        self.fired.append(aim)
        return True

    def unclaimed(self) -> list[Fired]:
        return []


class Range:
    """An engine with a position, ticked as the guard ticks it."""

    def __init__(self, side: Side = "LONG", more: str = "") -> None:
        plan = plan_from_toml(PLAN.format(more=more), source="test")
        self.engine = Engine(
            plan_for=lambda *_: plan, filters_for=lambda _: FILTERS, fills=Fills.REPORTED
        )
        self.engine.expect(SYMBOL, side, Decimal("0.4"), Decimal(1000))
        self.gun = Gun()
        self.shots = Shots(
            self.engine, self.gun, plain_order_id, audit=Audit(), clock=SystemClock()
        )
        self.trade_id = 0
        self.t_ms = T_MS

    def tick(self, price: str, *, id_step: int = 1, ms: int = 1) -> tuple[list[Aim], list[Exit]]:
        self.trade_id += id_step
        self.t_ms += ms
        t_ns = self.t_ms * 1_000_000
        before = len(self.gun.fired)
        shot = self.shots.last.get(SYMBOL)
        # As the guard does: a tick before which something is due goes the long way.
        through = shot is not None and ((price < shot.text) is shot.is_long or price == shot.text)
        if shot is not None and through and t_ns < self.engine.due_ns:
            shot.fire(price, self.trade_id, self.t_ms, t_ns)
        try:
            decisions = self.engine.on_last(SYMBOL, price, self.trade_id, self.t_ms, t_ns)
        except DecodeError:
            decisions = ()
        exits = [one for one in decisions if isinstance(one, Exit)]
        return self.gun.fired[before:], exits


@pytest.mark.parametrize(
    ("side", "through"),
    [("LONG", "989.9"), ("LONG", "990.0"), ("SHORT", "1010.1"), ("SHORT", "1010.0")],
)
def test_the_tick_at_or_beyond_the_stop_finds_its_order_gone(side: Side, through: str) -> None:
    range_ = Range(side)
    range_.tick("1000.0")
    range_.shots.aim()
    assert range_.tick("1000.0") == ([], [])
    fired, exits = range_.tick(through)
    assert [aim.order_id for aim in fired] == [exit_.order_id for exit_ in exits]
    assert len(fired) == 1
    assert fired[0].quantity == exits[0].quantity
    assert range_.tick(through)[0] == [], "once"


@pytest.mark.parametrize(
    ("more", "price", "tick"),
    [
        pytest.param("confirm_ticks = 2", "989.9", {}, id="a stop that wants two ticks"),
        pytest.param("", "600.0", {}, id="a suspicious jump"),
        pytest.param("", "989.9", {"id_step": 0}, id="a duplicate"),
        pytest.param("", "989.9", {"id_step": 10**10}, id="an id that cannot be"),
        pytest.param("", "989.900000000000000000", {}, id="more digits than a double tells"),
        pytest.param("", "989.9", {"ms": 400_000}, id="a tick that closes a candle"),
    ],
)
def test_what_is_not_sure_is_left_to_the_engine(
    more: str, price: str, tick: dict[str, int]
) -> None:
    range_ = Range(more=more)
    range_.tick("1000.0")
    range_.shots.aim()
    assert range_.tick(price, **tick)[0] == []


def test_a_stop_that_moved_is_not_fired_by_its_old_aim() -> None:
    range_ = Range()
    range_.tick("1000.0")
    range_.shots.aim()
    for price in ("1004.0", "1008.0"):
        range_.tick(price)
    assert range_.tick("989.0")[0] == []


def test_practice_fires_nothing() -> None:
    range_ = Range()
    range_.tick("1000.0")
    range_.shots.aim()
    for _ in range(5):
        range_.shots.practise()
    assert range_.gun.fired == []
    assert range_.engine.positions[SYMBOL, "LONG"].orders.full is None


prices = st.integers(9700, 10450).map(lambda tenths: f"{tenths // 10}.{tenths % 10}")
steps = st.one_of(
    st.tuples(st.just("tick"), prices, st.integers(0, 2), st.integers(0, 90_000)),
    st.tuples(st.just("tick"), prices, st.just(1), st.integers(0, 3)),
    st.tuples(
        st.just("tick"),
        st.sampled_from(["9999", "99.99", "989.95", "1e3", "600"]),
        st.just(1),
        st.just(1),
    ),
    st.tuples(st.just("aim")),
    st.tuples(st.sampled_from(["filled", "lapsed", "rejected", "unknown", "pause", "resume"])),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["LONG", "SHORT"]), st.lists(steps, max_size=40))
def test_whatever_is_fired_is_decided_by_the_same_tick(
    side: Side, story: list[tuple[Any, ...]]
) -> None:
    range_ = Range(side)
    range_.tick("1000.0")
    range_.shots.aim()
    for step in story:
        machine = range_.engine.positions.get((SYMBOL, side))
        if step[0] == "tick":
            fired, exits = range_.tick(step[1], id_step=step[2], ms=step[3])
            assert len(fired) <= 1
            for aim in fired:
                (exit_,) = exits
                assert exit_.order_id == aim.order_id
                assert exit_.quantity == aim.quantity
                assert exit_.full
        elif step[0] == "aim":
            range_.shots.aim()
        elif machine is None:
            continue
        elif step[0] in {"pause", "resume"}:
            range_.engine.pause(SYMBOL, side, paused=step[0] == "pause")
        else:
            order = machine.orders.full or machine.orders.partial
            if order is not None:
                range_.engine.on_outcome(
                    SYMBOL,
                    side,
                    order.exit.order_id,
                    Event(step[0]),
                    filled=order.exit.quantity if step[0] == "filled" else Decimal(0),
                    t_ns=range_.t_ms * 1_000_000,
                )
