"""Order ids that say whose they are, and market orders that close what they should and no more."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import (
    ID_PATTERN,
    OrderIdParts,
    Side,
    client_order_id,
    epoch_hash,
    instance_hash,
    market_exit_orders,
    parse_client_order_id,
    position_hash,
)
from reactor.errors import InvariantError
from reactor.limits import EXIT_SLICES_MAX

D = Decimal
FACTS: dict[str, Any] = {
    "instance": "alpha",
    "symbol": "BTCUSDT",
    "side": "LONG",
    "epoch_opened_ns": 1_795_000_000_000_000_000,
    "epoch_number": 3,
    "decision": 17,
}
facts = st.fixed_dictionaries(
    {
        "instance": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "symbol": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
        "side": st.sampled_from(["LONG", "SHORT"]),
        "epoch_opened_ns": st.integers(0, 2**63),
        "epoch_number": st.integers(0, 62**4 - 1),
        "decision": st.integers(0, 62**5 - 1),
        "part": st.integers(0, 62**2 - 1),
        "attempt": st.integers(0, 62**4 - 1),
        "purpose": st.sampled_from(["exit", "hard_stop"]),
    }
)


@given(facts)
def test_an_id_is_legal_and_says_what_it_was_made_of(fact: dict[str, Any]) -> None:
    made = client_order_id(**fact)
    assert len(made) == 36
    assert ID_PATTERN.fullmatch(made)
    assert made.startswith("xr-")
    assert parse_client_order_id(made) == OrderIdParts(
        instance=instance_hash(fact["instance"]),
        position=position_hash(fact["symbol"], fact["side"]),
        epoch=epoch_hash(fact["epoch_opened_ns"]),
        epoch_number=fact["epoch_number"],
        decision=fact["decision"],
        part=fact["part"],
        attempt=fact["attempt"],
        purpose=fact["purpose"],
    )


@given(facts, facts)
def test_other_facts_give_another_id(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (client_order_id(**one) == client_order_id(**other)) == (one == other)


@pytest.mark.parametrize(
    "change",
    [{"instance": "beta"}, {"symbol": "ETHUSDT"}, {"side": "SHORT"}, {"epoch_opened_ns": 1}, {"epoch_number": 4},
     {"decision": 18}, {"part": 1}, {"attempt": 1}, {"purpose": "hard_stop"}],
)  # fmt: skip
def test_every_fact_counts(change: dict[str, Any]) -> None:
    assert client_order_id(**FACTS) != client_order_id(**{**FACTS, **change})


def test_the_id_of_these_facts_is_this_one_forever() -> None:
    # A journal written by an earlier version must still find its orders.
    assert client_order_id(**FACTS) == "xr-rttvk-YtjLNf-0003813c-0000H000000"
    assert client_order_id(**{**FACTS, "symbol": "币安人生USDT", "part": 1, "attempt": 2}) == (
        "xr-rttvk-JQUe7M-0003813c-0000H010002"
    )


def test_symbol_and_side_do_not_run_into_each_other() -> None:
    assert position_hash("A", "LONG") != position_hash("ALONG", "LONG")
    assert len({position_hash(f"S{n}USDT", side) for n in range(1000) for side in SIDES}) == 2000


SIDES: tuple[Side, ...] = ("LONG", "SHORT")


@pytest.mark.parametrize(
    "change",
    [{"epoch_number": -1}, {"epoch_number": 62**4}, {"decision": 62**5}, {"part": 62**2}, {"attempt": 62**4},
     {"attempt": -1}],
)  # fmt: skip
def test_a_number_that_does_not_fit_is_our_bug(change: dict[str, Any]) -> None:
    with pytest.raises(InvariantError, match="does not fit"):
        client_order_id(**{**FACTS, **change})


@pytest.mark.parametrize(
    "foreign",
    ["", "autoclose-1", "adl_autoclose", "web_W9xQi4drFSYJ85Xvn9pC", "x-exit-000123", "xr-", "xr-abc",
     "XR-aaaaa-aaaaaa-aaaaaaaa-aaaaaaaaaaa", "xr-aaaaa-aaaaaa-aaaaaaaa-aaaaaaaaaaa\n",
     "xr-aaaaa-aaaaaa-aaaaaaaa:aaaaaaaaaaa", "xr-aaaaé-aaaaaa-aaaaaaaa-aaaaaaaaaaa",
     "xr-aaaaa-aaaaaa-aaaaaaaa-aaaaaaaaaaaa"],
)  # fmt: skip
def test_other_peoples_ids_are_not_ours(foreign: str) -> None:
    assert parse_client_order_id(foreign) is None


@given(st.text(max_size=40))
def test_any_text_can_be_asked(text: str) -> None:
    parts = parse_client_order_id(text)
    assert parts is None or len(text) == 36


# Orders -------------------------------------------------------------------------------------------


def rules(**fields: Any) -> SymbolFilters:
    return SymbolFilters(
        symbol="BTCUSDT", status="TRADING", contract_type="PERPETUAL", quote_asset="USDT",
        margin_asset="USDT", **fields,
    )  # fmt: skip


def close(
    quantity: str, filters: SymbolFilters | None, *, side: Side = "LONG", hedge: bool = False
) -> tuple[dict[str, str], ...]:
    return market_exit_orders(
        symbol="BTCUSDT",
        side=side,
        hedge=hedge,
        quantity=D(quantity),
        filters=filters,
        client_ids="id{}".format,
    )


def quantities(orders: tuple[dict[str, str], ...]) -> list[str]:
    return [order["quantity"] for order in orders]


@pytest.mark.parametrize(
    ("side", "hedge", "expected"),
    [
        ("LONG", False, {"side": "SELL", "reduceOnly": "true"}),
        ("SHORT", False, {"side": "BUY", "reduceOnly": "true"}),
        ("LONG", True, {"side": "SELL", "positionSide": "LONG"}),
        ("SHORT", True, {"side": "BUY", "positionSide": "SHORT"}),
    ],
)
def test_each_mode_has_its_own_way_to_close(
    side: Side, hedge: bool, expected: dict[str, str]
) -> None:
    assert close("0.5", None, side=side, hedge=hedge) == (
        {
            "symbol": "BTCUSDT",
            "type": "MARKET",
            "quantity": "0.5",
            "newClientOrderId": "id0",
            "newOrderRespType": "RESULT",
            **expected,
        },
    )


FULL = rules(
    step_size=D("0.001"), min_qty=D("0.001"), market_step=D("0.001"), market_min_qty=D("0.001"),
    market_max_qty=D(120),
)  # fmt: skip


@pytest.mark.parametrize(
    ("quantity", "filters", "expected"),
    [
        ("0.1829", FULL, ["0.182"]),
        ("0.0009", FULL, []),
        ("0", FULL, []),
        ("0", None, []),
        ("120", FULL, ["120"]),
        ("120.0004", FULL, ["120"]),
        ("300.5", FULL, ["120", "120", "60.5"]),
        ("240", FULL, ["120", "120"]),
        ("1E+2", FULL, ["100"]),
        ("1E-7", None, ["0.0000001"]),
        ("1234567.8900", None, ["1234567.89"]),
        # The market step rules, the ordinary one stands in where it is not stated.
        ("1.55", rules(step_size=D("0.01"), market_step=D("0.1")), ["1.5"]),
        ("1.559", rules(step_size=D("0.01")), ["1.55"]),
        ("1.559", rules(), ["1.559"]),
        ("3", rules(min_qty=D(5), market_min_qty=D(2)), ["3"]),
        ("3", rules(min_qty=D(5)), []),
        # The last piece must be tradable: a little is taken from the one before.
        ("11", rules(market_step=D(1), market_min_qty=D(3), market_max_qty=D(10)), ["8", "3"]),
        (
            "21",
            rules(market_step=D(1), market_min_qty=D(3), market_max_qty=D(10)),
            ["10", "8", "3"],
        ),
        # No cut makes two tradable pieces of 7: the rest is dust.
        ("7", rules(market_step=D(1), market_min_qty=D(4), market_max_qty=D(6)), ["6"]),
        # A minimum off the step grid counts as the next step.
        ("4", rules(market_step=D(2), market_min_qty=D("4.5"), market_max_qty=D(10)), []),
        # Rules that contradict each other do not stop an exit.
        ("7", rules(market_step=D(1), market_min_qty=D(5), market_max_qty=D(3)), ["7"]),
        ("7", rules(market_step=D(1), market_max_qty=D("0.5")), ["7"]),
    ],
)
def test_quantities(quantity: str, filters: SymbolFilters | None, expected: list[str]) -> None:
    assert quantities(close(quantity, filters)) == expected


def test_parts_are_numbered_and_bounded() -> None:
    orders = close("1000000", FULL)
    assert len(orders) == EXIT_SLICES_MAX
    assert [order["newClientOrderId"] for order in orders] == [
        f"id{n}" for n in range(EXIT_SLICES_MAX)
    ]
    assert set(quantities(orders)) == {"120"}


steps = st.sampled_from([D("0.001"), D("0.1"), D(1), D(10)])


@given(
    quantity=st.decimals(0, 100_000, places=4),
    step=steps,
    minimum=st.integers(0, 50),
    maximum=st.integers(1, 500),
)
def test_slices_never_exceed_what_is_asked_and_can_all_be_traded(
    quantity: Decimal, step: Decimal, minimum: int, maximum: int
) -> None:
    smallest, largest = minimum * step, max(maximum, minimum) * step
    filters = rules(market_step=step, market_min_qty=smallest, market_max_qty=largest)
    parts = [D(text) for text in quantities(close(format(quantity, "f"), filters))]
    assert sum(parts) <= quantity
    assert all(0 < part <= largest and part >= smallest and part % step == 0 for part in parts)
    if len(parts) < EXIT_SLICES_MAX:
        # What is left open is dust: less than the exchange trades, or than a step.
        assert quantity - sum(parts) < max(smallest, step) + step


@given(st.decimals(min_value=0, max_value=D("1e18"), places=12))
def test_quantities_have_no_exponent_and_lose_no_digit(quantity: Decimal) -> None:
    for text in quantities(close(format(quantity, "f"), None)):
        assert set(text) <= set("0123456789.")
        assert D(text) == quantity
