"""The official Binance SDK, unmodified: its models are strict about names and types."""

import asyncio
from typing import Any

import pytest

sdk = pytest.importorskip(
    "binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures",
    reason="needs the interop extra (binance-sdk-derivatives-trading-usds-futures)",
)
configuration = pytest.importorskip("binance_common.configuration")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def rest(exchange: Any) -> Any:

    return sdk.DerivativesTradingUsdsFutures(
        config_rest_api=configuration.ConfigurationRestAPI(
            api_key="sim-key", api_secret="sim-secret", base_path=exchange.http, retries=0
        )
    ).rest_api


def order(rest: Any, **params: Any) -> Any:
    return rest.new_order(
        **{"symbol": "BTCUSDT", "quantity": 0.01, "type": "MARKET", **params}
    ).data()


def test_every_answer_fits_the_strict_models(rest: Any) -> None:
    bought = order(rest, side="BUY", new_order_resp_type="RESULT")
    assert bought.status == "FILLED"
    assert rest.check_server_time().data().server_time > 0
    assert len(rest.exchange_information().data().symbols) == 9
    assert rest.account_information_v3().data().positions[0].position_amt == "0.010"
    assert rest.account_information_v2().data().can_trade is True
    assert rest.futures_account_balance_v3().data()
    assert rest.position_information_v3().data()[0].entry_price
    assert len(rest.position_information_v2().data()) == 9
    assert rest.futures_account_configuration().data().dual_side_position is False
    assert rest.symbol_configuration(symbol="BTCUSDT").data()[0].leverage == 20
    assert rest.notional_and_leverage_brackets().data()
    assert rest.account_trade_list(symbol="BTCUSDT").data()[0].buyer is True
    assert rest.query_order(symbol="BTCUSDT", order_id=bought.order_id).data().avg_price
    assert rest.all_orders(symbol="BTCUSDT").data()
    assert rest.mark_price(symbol="BTCUSDT").data()
    assert rest.kline_candlestick_data(symbol="BTCUSDT", interval="5m").data()
    assert rest.get_income_history().data()
    assert rest.query_user_rate_limit().data()
    assert rest.user_commission_rate(symbol="BTCUSDT").data().taker_commission_rate == "0.000500"
    assert rest.get_current_position_mode().data().dual_side_position is False
    assert rest.change_initial_leverage(symbol="BTCUSDT", leverage=10).data().leverage == 10
    assert rest.auto_cancel_all_open_orders(symbol="BTCUSDT", countdown_time=60000).data()
    assert rest.order_book(symbol="BTCUSDT").data().bids
    assert rest.notional_and_leverage_brackets(symbol="BTCUSDT").data().actual_instance.brackets
    assert rest.get_funding_rate_history(symbol="BTCUSDT").data()[-1].funding_rate == "0.00010000"
    assert len(rest.get_funding_rate_info().data()) == 9
    assert rest.old_trades_lookup(symbol="BTCUSDT").data()
    assert rest.get_bnb_burn_status().data().fee_burn is True
    assert rest.query_index_price_constituents(symbol="BTCUSDT").data().constituents


def test_orders(rest: Any) -> None:
    order(rest, side="BUY")
    mark = float(rest.mark_price(symbol="BTCUSDT").data().actual_instance.mark_price)
    price = round(mark * 0.98, 1)
    resting = order(rest, side="BUY", type="LIMIT", time_in_force="GTC", price=price)
    assert rest.current_all_open_orders(symbol="BTCUSDT").data()[0].order_id == resting.order_id
    gone = rest.cancel_order(symbol="BTCUSDT", order_id=resting.order_id).data()
    assert gone.status == "CANCELED"
    stop = rest.new_algo_order(
        algo_type="CONDITIONAL",
        symbol="BTCUSDT",
        side="SELL",
        type="STOP_MARKET",
        trigger_price=70000,
        close_position="true",
        working_type="MARK_PRICE",
    ).data()
    assert stop.algo_status == "NEW"
    assert rest.query_algo_order(algo_id=stop.algo_id).data().actual_order_id == ""
    assert rest.current_all_algo_open_orders(symbol="BTCUSDT").data()[0].algo_id == stop.algo_id
    assert rest.cancel_algo_order(algo_id=stop.algo_id).data().code == "200"
    closed = order(rest, side="SELL", reduce_only="true", new_order_resp_type="RESULT")
    assert closed.status == "FILLED"
    assert rest.position_information_v3().data() == []


async def test_user_and_market_streams(exchange: Any, rest: Any) -> None:

    client = sdk.DerivativesTradingUsdsFutures(
        config_ws_streams=configuration.ConfigurationWebSocketStreams(
            stream_url=f"{exchange.ws}/stream"
        )
    )
    connection = await client.websocket_streams.create_connection()
    try:
        seen: dict[str, list[Any]] = {"book": [], "trade": [], "mark": [], "user": []}
        streams = {
            "book": await connection.individual_symbol_book_ticker_streams(symbol="btcusdt"),
            "trade": await connection.aggregate_trade_streams(symbol="btcusdt"),
            "mark": await connection.mark_price_stream(symbol="btcusdt", update_speed="1s"),
        }
        key = rest.start_user_data_stream().data().listen_key
        streams["user"] = await connection.user_data(key)
        for name, stream in streams.items():
            stream.on("message", seen[name].append)
        await asyncio.to_thread(order, rest, side="BUY")
        for _ in range(50):
            await asyncio.sleep(0.1)
            if len(seen["user"]) >= 4 and all(seen.values()):
                break
        assert all(seen.values()), {name: len(rows) for name, rows in seen.items()}
        assert seen["mark"][0].st == 1
        assert len(seen["user"]) == 4
        assert {type(e.actual_instance).__name__ for e in seen["user"]} == {
            "OrderTradeUpdate",
            "TradeLite",
            "AccountUpdate",
        }
    finally:
        await connection.close_connection(close_session=True)


async def test_websocket_api(exchange: Any) -> None:

    client = sdk.DerivativesTradingUsdsFutures(
        config_ws_api=configuration.ConfigurationWebSocketAPI(
            api_key="sim-key", api_secret="sim-secret", stream_url=f"{exchange.ws}/ws-fapi/v1"
        )
    )
    connection = await client.websocket_api.create_connection()
    try:
        placed = await connection.new_order(
            symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.01
        )
        number = placed.data().result.order_id
        found = await connection.query_order(symbol="BTCUSDT", order_id=number)
        assert found.data().result.status == "FILLED"
        rows = await connection.position_information_v2()
        assert rows.data().result[0].position_amt == "0.010"
        stop = await connection.new_algo_order(
            algo_type="CONDITIONAL",
            symbol="BTCUSDT",
            side="SELL",
            type="STOP_MARKET",
            trigger_price=70000,
            close_position="true",
        )
        gone = await connection.cancel_algo_order(algo_id=stop.data().result.algo_id)
        assert gone.data().result.msg == "success"
    finally:
        await connection.close_connection(close_session=True)
