"""What a contract allows, and which contracts are refused."""

from decimal import Decimal
from typing import Any

import pytest
from binance_payloads import CONTRACT, wire

from reactor.binance.filters import SymbolFilters, refusal, symbol_filters

D = Decimal


def changed(**fields: Any) -> SymbolFilters:
    return symbol_filters(wire({**CONTRACT, **fields}))


def test_the_documented_contract() -> None:
    assert changed() == SymbolFilters(
        symbol="BTCUSDT",
        status="TRADING",
        contract_type="PERPETUAL",
        quote_asset="USDT",
        margin_asset="USDT",
        tick_size=D("0.10"),
        min_price=D("556.80"),
        max_price=D(4529764),
        step_size=D("0.001"),
        min_qty=D("0.001"),
        max_qty=D(1000),
        market_step=D("0.002"),
        market_min_qty=D("0.002"),
        market_max_qty=D(120),
        min_notional=D(50),
        trigger_protect=D("0.0500"),
        market_take_bound=D("0.05"),
        multiplier_up=D("1.0500"),
        multiplier_down=D("0.9500"),
    )


def test_a_step_of_zero_is_none() -> None:
    placeholder = changed(
        filters=[
            {"filterType": "PRICE_FILTER", "minPrice": "0", "maxPrice": "0", "tickSize": "0"},
            {"filterType": "LOT_SIZE", "minQty": "0", "maxQty": "0", "stepSize": "0.000"},
        ]
    )
    assert placeholder.tick_size is placeholder.min_price is placeholder.max_price is None
    assert placeholder.step_size is placeholder.min_qty is placeholder.max_qty is None
    assert placeholder.market_step is placeholder.min_notional is placeholder.multiplier_up is None


def test_a_contract_may_state_next_to_nothing() -> None:
    bare = symbol_filters(b'{"symbol":"XUSDT","filters":[]}')
    assert bare == SymbolFilters(
        symbol="XUSDT", status="", contract_type="", quote_asset="", margin_asset=""
    )


@pytest.mark.parametrize(
    "raw",
    [b"{}", b"[]", b'{"symbol":"X"}', b'{"symbol":"X","filters":[5]}', b'{"symbol":"X","filters":{}}',
     b'{"symbol":"X","filters":[{"filterType":"PRICE_FILTER","tickSize":"-1"}]}'],
)  # fmt: skip
def test_what_is_no_contract_raises_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"Expected|missing|price"):
        symbol_filters(raw)


@pytest.mark.parametrize(
    "kind", ["PERPETUAL", "TRADIFI_PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"]
)
@pytest.mark.parametrize("asset", ["USDT", "USDC"])
def test_contracts_that_are_guarded(kind: str, asset: str) -> None:
    assert refusal(changed(contractType=kind, quoteAsset=asset, marginAsset=asset)) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"contractType": ""}, "BTCUSDT is of no stated type; only perpetual and quarterly contracts are handled"),
        ({"contractType": "NEXT_MONTH"}, "BTCUSDT is NEXT_MONTH; only perpetual and quarterly contracts are handled"),
        ({"quoteAsset": "BUSD", "marginAsset": "BUSD"},
         "BTCUSDT is quoted in BUSD and margined in BUSD; only USDT and USDC contracts are handled"),
        ({"quoteAsset": "BTC", "marginAsset": "USDT"},
         "BTCUSDT is quoted in BTC and margined in USDT; only USDT and USDC contracts are handled"),
        ({"quoteAsset": "", "marginAsset": ""},
         "BTCUSDT is quoted in ? and margined in ?; only USDT and USDC contracts are handled"),
    ],
)  # fmt: skip
def test_contracts_that_are_refused_say_why_in_one_line(fields: Any, reason: str) -> None:
    assert refusal(changed(**fields)) == reason


def test_filters_do_not_change() -> None:
    with pytest.raises(AttributeError):
        changed().tick_size = D(1)  # type: ignore[misc]
