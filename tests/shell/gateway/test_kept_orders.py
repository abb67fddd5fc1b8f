"""Orders that are kept between exits are those that would be made anew."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.filters import SymbolFilters
from reactor.core.decisions import Exit, Reason, Side
from reactor.shell.assembly import order_ids
from reactor.shell.gateway.built import MarketOrders, market_orders

SPLIT = SymbolFilters(
    symbol="BTCUSDT",
    status="TRADING",
    contract_type="PERPETUAL",
    quote_asset="USDT",
    margin_asset="USDT",
    step_size=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    market_max_qty=Decimal(1),
)
COARSE = msgspec.structs.replace(SPLIT, step_size=Decimal("0.1"), min_qty=Decimal("0.1"))


def an_exit(quantity: Decimal, side: Side, number: int) -> Exit:
    return Exit(
        t_ns=1,
        tick=1,
        symbol="BTCUSDT",
        side=side,
        epoch=1,
        number=number,
        attempt=0,
        order_id=order_ids("main")("BTCUSDT", side, 1, 1, number, 0),
        full=True,
        reasons=(Reason.STOP_LOSS,),
        price=Decimal(1),
        quantity=quantity,
        remaining=Decimal(0),
        stop=Decimal(1),
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Decimal("0.4"), Decimal("0.40"), Decimal("2.345"), Decimal("0.0001")]),
            st.sampled_from(["LONG", "SHORT"]),
            st.booleans(),
            st.sampled_from([None, SPLIT, COARSE]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_kept_orders_are_the_orders(
    wanted: list[tuple[Decimal, Side, bool, SymbolFilters | None]],
) -> None:
    kept = MarketOrders()
    for number, (quantity, side, hedge, filters) in enumerate(wanted):
        exit_ = an_exit(quantity, side, number)
        fresh = market_orders(exit_, hedge=hedge, filters=filters)
        orders = kept.orders(exit_, hedge=hedge, filters=filters)
        assert orders == fresh
        assert [list(order) for order in orders] == [list(order) for order in fresh], "in order"


@pytest.mark.parametrize("changed", ["quantity", "mode", "rules"])
def test_what_was_prepared_is_not_used_where_it_does_not_hold(changed: str) -> None:
    kept = MarketOrders()
    kept.prepare("BTCUSDT", "LONG", Decimal("0.45"), hedge=False, filters=SPLIT)
    exit_ = an_exit(Decimal("0.46") if changed == "quantity" else Decimal("0.45"), "LONG", 1)
    hedge, filters = changed == "mode", COARSE if changed == "rules" else SPLIT
    (order,) = kept.orders(exit_, hedge=hedge, filters=filters)
    assert order["quantity"] == {"quantity": "0.46", "mode": "0.45", "rules": "0.4"}[changed]
    assert ("positionSide" in order) is hedge


def test_an_order_that_left_is_nobody_elses() -> None:
    kept = MarketOrders()
    exit_ = an_exit(Decimal("0.4"), "LONG", 1)
    (order,) = kept.orders(exit_, hedge=False, filters=SPLIT)
    order["quantity"] = "9"
    assert kept.orders(exit_, hedge=False, filters=SPLIT)[0]["quantity"] == "0.4"
