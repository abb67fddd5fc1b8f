"""Positions that were open before anybody watched: adoption sets levels, and never closes by itself."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.story import SECOND_NS, START_NS, SYMBOL, lines, plan
from reactor.core.account import AccountBook
from reactor.core.decisions import Decision, Exit, Side
from reactor.core.engine import Engine
from reactor.core.events import OnAdopt
from reactor.core.exact import text
from reactor.core.ladder import Filters
from reactor.core.machine import Machine
from reactor.core.management import Management
from reactor.core.orders import Fills
from reactor.core.plan import Plan
from reactor.plans import load_plan, shipped_plan_names

D = Decimal
STOP_2 = "[stop]\npct = 0.02\n"


class Adopting:
    """A live session's engine and account book: snapshots, stream reports and prices."""

    def __init__(
        self,
        tables: str | Plan,
        how: OnAdopt = "from_price",
        *,
        side: Side = "LONG",
        atr: str | None = None,
        filters: Filters | None = None,
    ) -> None:
        mine = plan(tables) if isinstance(tables, str) else tables
        self.plan = mine
        self.side: Side = side
        self.engine = Engine(
            plan_for=lambda _symbol, _side: mine,
            filters_for=None if filters is None else lambda _symbol: filters,
            fixed_atr=None if atr is None else {SYMBOL: D(atr)},
            fills=Fills.REPORTED,
            on_adopt=how,
        )
        self.book = AccountBook(self.engine, Management(reported=True))
        self.now_ns = START_NS
        self.tick_id = 0

    def wait(self, seconds: float) -> "Adopting":
        self.now_ns += round(seconds * SECOND_NS)
        return self

    def price(self, *prices: str | Decimal) -> list[Decision]:
        out: list[Decision] = []
        for price in prices:
            self.wait(1)
            self.tick_id += 1
            t_ms, written = self.now_ns // 1_000_000, str(price)
            match self.plan.trigger:
                case "last":
                    out += self.engine.on_last(SYMBOL, written, self.tick_id, t_ms, self.now_ns)
                case "mark":
                    out += self.engine.on_mark(SYMBOL, written, t_ms, self.now_ns)
                case "book":
                    out += self.engine.on_book(
                        SYMBOL, written, written, self.tick_id, t_ms, self.now_ns
                    )
        return out

    def report(
        self, quantity: str, entry: str | Decimal, *, snapshot: bool = True, **more: Any
    ) -> list[Decision]:
        self.wait(1)
        amount = D(quantity) if self.side == "LONG" else -D(quantity)
        return list(
            self.book.on_report(
                symbol=SYMBOL,
                position_side="BOTH",
                amount=amount,
                entry=D(entry) if amount else D(0),
                t_event_ms=self.now_ns // 1_000_000,
                t_ns=self.now_ns,
                snapshot=snapshot,
                **more,
            )
        )

    def snapshot_ends(self) -> None:
        self.book.on_snapshot_end(None, listed={(SYMBOL, "BOTH")}, t_ns=self.now_ns)

    def open_at(self, price: str, entry: str, **more: Any) -> list[str]:
        """A position with this entry is found when the price is there."""
        self.price(price)
        return lines(self.report("10", entry, **more))

    @property
    def machine(self) -> Machine:
        return self.engine.positions[SYMBOL, self.side]

    @property
    def stop(self) -> str:
        return text(self.machine.stop_price)


# The stop ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "price", "stop"),
    [
        # Before its stop: as the plan says.
        ("LONG", "99", "98"),
        ("SHORT", "101", "102"),
        # At or through it: the same distance from the price.
        ("LONG", "98", "96"),
        ("LONG", "60", "58"),
        ("SHORT", "102", "104"),
        ("SHORT", "150", "152"),
    ],
)
def test_from_price_starts_the_same_distance_from_the_price(
    side: Side, price: str, stop: str
) -> None:
    adopting = Adopting(STOP_2, side=side)
    assert adopting.open_at(price, "100") == [f"opened {side} 10 @ 100 stop {stop}"]
    assert adopting.price(price, price) == []
    # It is a stop like any other from then on.
    assert lines(adopting.price(stop)) == [f"exit stop_loss 10 @ {stop} left 0"]


def test_a_long_so_far_down_that_the_distance_reaches_below_zero_gets_a_share_of_the_price() -> (
    None
):
    adopting = Adopting("[stop]\npct = 0.5\n")
    assert adopting.open_at("10", "100") == ["opened LONG 10 @ 100 stop 5"]
    # So far away that the first such price is suspect.
    assert lines(adopting.price("5", "5"))[1:] == ["exit stop_loss 10 @ 5 left 0"]


@pytest.mark.parametrize(("side", "price"), [("LONG", "97"), ("SHORT", "103")])
def test_from_entry_stands_and_fires_with_the_next_price(side: Side, price: str) -> None:
    adopting = Adopting(STOP_2, "from_entry", side=side)
    stop = "98" if side == "LONG" else "102"
    assert adopting.open_at(price, "100") == [f"opened {side} 10 @ 100 stop {stop}"]
    assert lines(adopting.price(price)) == [f"exit stop_loss 10 @ {price} left 0"]


def test_the_stop_is_rounded_away_from_the_price() -> None:
    adopting = Adopting(STOP_2, filters=Filters(tick=D("0.1")))
    assert adopting.open_at("97.3", "100.07")[0].endswith("stop 95.2")
    adopting = Adopting(STOP_2, side="SHORT", filters=Filters(tick=D("0.1")))
    assert adopting.open_at("103.3", "100.07")[0].endswith("stop 105.4")


# Left alone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [("LONG", "97"), ("SHORT", "103")])
def test_ignored_positions_are_left_alone_until_they_are_flat(side: Side, price: str) -> None:
    adopting = Adopting(STOP_2, "ignore", side=side)
    (alarm,) = adopting.open_at(price, "100")
    assert "not guarded" in alarm
    assert adopting.book.unmanaged[SYMBOL, side].quantity == 10
    # Neither the next snapshot, nor funding, nor growth, nor a better price changes that; nor is it told again.
    assert adopting.report("10", "100") == []
    assert adopting.report("12", "100", snapshot=False) == []
    assert adopting.price("100") == []
    assert adopting.report("12", "100") == []
    assert adopting.engine.positions == {}
    assert adopting.book.unmanaged[SYMBOL, side].quantity == 12
    # Flat, and opened again: a life that we watched from its beginning.
    adopting.snapshot_ends()
    assert adopting.report("0", "0", snapshot=False) == []
    assert adopting.book.unmanaged == {}
    assert lines(adopting.report("5", "100", snapshot=False))[0].startswith(f"opened {side} 5")


def test_ignore_guards_what_is_before_its_stop() -> None:
    adopting = Adopting(STOP_2, "ignore")
    assert adopting.open_at("99", "100") == ["opened LONG 10 @ 100 stop 98"]


# Rungs, harvests, guards, clock -----------------------------------------------------------------------

RUNGS = STOP_2 + "[[targets]]\npct = 0.01\nclose = 0.5\n[[targets]]\npct = 0.05\nclose = 0.5\n"


@pytest.mark.parametrize(
    ("side", "beyond", "before", "far"),
    [("LONG", "102", "100.99", "105"), ("SHORT", "98", "99.01", "95")],
)
def test_a_rung_behind_the_price_waits_until_the_price_is_before_it(
    side: Side, beyond: str, before: str, far: str
) -> None:
    adopting = Adopting(RUNGS, side=side)
    rung = "101" if side == "LONG" else "99"
    said = adopting.open_at(beyond, "100")
    assert said[1] == f"held target {rung}"
    assert f"?:0.5 {far}:0.5" in said[0] or f"{far}:0.5 ?:0.5" in said[0]
    assert adopting.price(beyond, beyond) == []
    assert adopting.price(before) == []
    assert lines(adopting.price(rung)) == [f"exit take_profit 5 @ {rung} left 5"]


def test_a_rung_ahead_fires_though_one_behind_is_held() -> None:
    adopting = Adopting(RUNGS)
    adopting.open_at("102", "100")
    # The ladder's fractions sum to 1, and the other rung is still to come.
    assert [line.split(" @")[0] for line in lines(adopting.price("105"))] == ["exit take_profit 5"]


@pytest.mark.parametrize(("side", "sign"), [("LONG", 1), ("SHORT", -1)])
def test_harvest_steps_behind_the_price_are_not_taken(side: Side, sign: int) -> None:
    adopting = Adopting(STOP_2 + "[harvest]\ntrigger_pct = 0.004\nfraction = 0.2\n", side=side)
    adopting.open_at(str(100 + sign * D("1.3")), "100")
    assert adopting.machine.ladder.harvests_taken == 3
    assert adopting.price(str(100 + sign * D("1.59"))) == []
    exit_, stop = lines(adopting.price(str(100 + sign * D("1.6"))))
    assert exit_.startswith("exit harvest 2 ")
    assert stop.startswith("stop break_even ")


@pytest.mark.parametrize(
    ("guards", "more"),
    [
        ("liquidation_buffer_pct = 0.05\n", {"liquidation_price": D(90)}),
        ("max_loss_margin_pct = 0.5\n", {"margin": D(100)}),
    ],
)
def test_a_guard_behind_the_price_waits_until_the_price_is_beyond_it(
    guards: str, more: dict[str, Decimal]
) -> None:
    adopting = Adopting("[stop]\npct = 0.2\n[guards]\n" + guards)
    adopting.open_at("94", "100", **more)
    assert adopting.machine.guards.held
    # Both guards lie at 95.
    assert adopting.price("94", "93", "95") == []
    assert adopting.price("95.01") == []
    (exit_,) = lines(adopting.price("95"))
    assert exit_.startswith("exit li" if "liq" in guards else "exit lo")


def test_the_clock_starts_when_it_is_adopted() -> None:
    adopting = Adopting(STOP_2 + "[time_stop]\nseconds = 60\n")
    adopting.open_at("100", "100")
    opened_ns = adopting.now_ns
    assert adopting.machine.opened_ns == opened_ns
    assert list(adopting.engine.on_time(opened_ns + 60 * SECOND_NS - 1)) == []
    (exit_,) = lines(adopting.engine.on_time(opened_ns + 60 * SECOND_NS))
    assert exit_.startswith("exit time_stop")


def test_the_peak_starts_at_the_price() -> None:
    adopting = Adopting(STOP_2 + '[trailing]\nactivate = "in_profit"\npct = 0.01\n')
    adopting.open_at("110", "100")
    assert lines(adopting.price("110")) == ["stop trailing_stop 108.9"]
    assert adopting.price("109", "108.91") == []
    assert lines(adopting.price("108.9")) == ["exit trailing_stop 10 @ 108.9 left 0"]


# Before the first price -------------------------------------------------------------------------------


def test_adoption_waits_for_the_first_price() -> None:
    adopting = Adopting(STOP_2)
    assert adopting.report("10", "100") == []
    assert adopting.engine.awaited() == {SYMBOL}
    assert adopting.engine.awaited_quantity(SYMBOL, "LONG") == 10
    assert adopting.engine.awaited_quantity(SYMBOL, "SHORT") is None
    assert lines(adopting.price("97")) == ["opened LONG 10 @ 100 stop 95"]
    assert adopting.engine.awaited() == set()
    assert adopting.engine.awaited_quantity(SYMBOL, "LONG") is None


@pytest.mark.parametrize("snapshot", [True, False])
def test_growth_while_it_is_awaited_is_adopted_too(snapshot: bool) -> None:
    adopting = Adopting(STOP_2)
    adopting.report("10", "100")
    assert adopting.report("12", "99", snapshot=snapshot) == []
    assert lines(adopting.price("90")) == ["opened LONG 12 @ 99 stop 88.02"]
    assert len(adopting.engine.positions) == 1


def test_a_close_while_it_is_awaited_opens_nothing() -> None:
    adopting = Adopting(STOP_2)
    adopting.report("10", "100")
    assert adopting.report("0", "0", snapshot=False) == []
    assert adopting.engine.awaited() == set()
    assert adopting.price("97") == []


def test_ignoring_may_fall_with_the_first_price() -> None:
    adopting = Adopting(STOP_2, "ignore")
    adopting.report("10", "100")
    (alarm,) = lines(adopting.price("97"))
    assert "not guarded" in alarm
    assert adopting.price("99") == []
    assert adopting.report("10", "100", snapshot=False) == []
    assert adopting.book.unmanaged[SYMBOL, "LONG"].quantity == 10
    assert adopting.engine.positions == {}


def test_what_the_stream_tells_before_the_first_snapshot_was_open_before() -> None:
    """A payment of funding, or an add, may be the first that a starting session hears of a position."""
    adopting = Adopting(STOP_2)
    adopting.price("97")
    assert lines(adopting.report("10", "100", snapshot=False)) == ["opened LONG 10 @ 100 stop 95"]


def test_what_opens_after_the_first_snapshot_is_no_adoption() -> None:
    adopting = Adopting(STOP_2)
    adopting.price("97")
    adopting.snapshot_ends()
    assert lines(adopting.report("10", "100", snapshot=False)) == ["opened LONG 10 @ 100 stop 98"]
    assert lines(adopting.price("97")) == ["exit stop_loss 10 @ 97 left 0"]


def test_a_position_found_by_a_later_snapshot_is_adopted() -> None:
    """It was opened while the user-data stream was down."""
    adopting = Adopting(STOP_2)
    adopting.snapshot_ends()
    assert adopting.open_at("97", "100") == ["opened LONG 10 @ 100 stop 95"]


# The law ----------------------------------------------------------------------------------------------

EVERYTHING = """
[stop]
pct = 0.02
[[targets]]
pct = 0.01
close = 0.3
[[targets]]
r = 2
close = 0.3
[harvest]
trigger_pct = 0.004
fraction = 0.2
[break_even]
at_r = 1
[trailing]
activate = "in_profit"
pct = 0.003
[guards]
liquidation_buffer_pct = 0.02
max_loss_margin_pct = 0.3
"""
PLANS = [*(load_plan(name) for name in shipped_plan_names()), plan(EVERYTHING)]

prices = st.decimals(min_value="50", max_value="200", places=2)


@given(
    mine=st.sampled_from(PLANS),
    how=st.sampled_from(("from_price", "ignore")),
    side=st.sampled_from(("LONG", "SHORT")),
    entry=prices,
    price=prices,
    path=st.lists(prices, max_size=8),
    atr=st.sampled_from((None, "0.4", "3")),
    awaits=st.booleans(),
    liquidation=st.none() | prices,
    margin=st.none() | st.decimals(min_value="1", max_value="300", places=1),
)
def test_no_adoption_ever_closes(
    mine: Plan,
    how: OnAdopt,
    side: Side,
    entry: Decimal,
    price: Decimal,
    path: list[Decimal],
    atr: str | None,
    awaits: bool,
    liquidation: Decimal | None,
    margin: Decimal | None,
) -> None:
    """The law: whatever the plan, an adopted position is closed by what the price does after it was adopted.

    - While the price stays where it was when the position was adopted, nothing is closed at all.
    - From then on, an exit needs a price worse than any seen since adoption or an earlier peak's stop, that is
      one at or through the stop, which lay strictly before the adopting price; or a level that the price has
      crossed since: one that lies beyond the best, or that it was before in between.
    """
    adopting = Adopting(mine, how, side=side, atr=atr, filters=Filters(tick=D("0.01")))
    said: list[Decision] = []
    if not awaits:
        said += adopting.price(price)
    said += adopting.report("10", entry, liquidation_price=liquidation, margin=margin)
    if awaits:
        said += adopting.price(price)
    said += adopting.price(price, price)
    assert not [one for one in said if isinstance(one, Exit)]
    if (SYMBOL, side) not in adopting.engine.positions:
        assert how == "ignore"
        assert not [one for one in adopting.price(*path) if isinstance(one, Exit)]
        return
    sign = 1 if side == "LONG" else -1
    low = high = sign * price
    machine = adopting.machine
    assert machine.stop.x < sign * price
    for step in path:
        x = sign * step
        standing = machine.stop.x
        guards = [g for g in (machine.guards.liquidation_x, machine.guards.loss_x) if g is not None]
        out = adopting.price(step)
        # A price far from the last one waits for its confirmation.
        exits = [one for one in [*out, *adopting.price(step)] if isinstance(one, Exit)]
        for exit_ in exits:
            crossed_down = x <= standing or any(x <= g < high for g in guards)
            profitable = {reason.value for reason in exit_.reasons} <= {"take_profit", "harvest"}
            assert crossed_down or (profitable and x > low)
        if exits:
            return
        low, high = min(low, x), max(high, x)


@given(
    mine=st.sampled_from(PLANS),
    side=st.sampled_from(("LONG", "SHORT")),
    entry=prices,
    price=prices,
)
def test_from_entry_closes_just_what_is_at_or_through_its_stop(
    mine: Plan, side: Side, entry: Decimal, price: Decimal
) -> None:
    adopting = Adopting(mine, "from_entry", side=side, atr="1", filters=Filters(tick=D("0.01")))
    adopting.price(price)
    adopting.report("10", entry)
    under_water = adopting.machine.is_under_water
    exits = [one for one in adopting.price(price) if isinstance(one, Exit)]
    assert [exit_.full for exit_ in exits] == [True] * under_water
