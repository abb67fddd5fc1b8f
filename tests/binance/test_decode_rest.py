"""REST answers: every documented body field by field, failures, and what is refused."""

from decimal import Decimal
from typing import Any

import pytest
from binance_payloads import (
    ACCOUNT,
    ALGO_ORDER,
    BRACKETS,
    CONTRACT,
    KLINE_ROW,
    ORDER,
    POSITION_V2,
    POSITION_V3,
    PREMIUM,
    REST,
    USER_TRADE,
    Json,
    wire,
)  # fmt: skip

from reactor.binance import rest_account_messages as acc
from reactor.binance import rest_market_messages as mkt
from reactor.binance.decode import decode_rest
from reactor.binance.messages import Ignored, Malformed, RestFailure
from reactor.limits import REST_BODY_BYTES_MAX

D = Decimal
LISTEN_KEY = REST["POST", "/fapi/v1/listenKey"]["listenKey"]

ORDER_EXPECTED = acc.Order(
    symbol="BTCUSDT",
    order_id=1917641,
    client_order_id="abc",
    status="NEW",
    side="BUY",
    position_side="SHORT",
    original_quantity=D("0.40"),
    executed_quantity=D(0),
    order_type="TRAILING_STOP_MARKET",
    original_type="TRAILING_STOP_MARKET",
    average_price=D(0),
    cumulative_quote=D(0),
    price=D(0),
    stop_price=D(9300),
    time_in_force="GTC",
    working_type="CONTRACT_PRICE",
    time_ms=1579276756075,
    update_time_ms=1579276756076,
)
PLACED_EXPECTED = acc.Order(
    symbol="BTCUSDT",
    order_id=1917641,
    client_order_id="abc",
    status="NEW",
    side="BUY",
    position_side="SHORT",
    original_quantity=D("0.40"),
    executed_quantity=D(0),
    order_type="TRAILING_STOP_MARKET",
    original_type="TRAILING_STOP_MARKET",
    average_price=None,
    cumulative_quote=None,
    stop_price=D(9300),
    time_in_force="GTC",
    working_type="CONTRACT_PRICE",
    time_ms=1579276756075,
    update_time_ms=1579276756076,
)
ALGO_EXPECTED = acc.AlgoOrder(
    symbol="BNBUSDT",
    algo_id=2146760,
    client_algo_id="6B2I9XVcJpCjqPAJ4YoFX7",
    algo_status="CANCELED",
    side="SELL",
    position_side="BOTH",
    order_type="TAKE_PROFIT",
    quantity=D("0.01"),
    trigger_price=D("750.000"),
    price=D("750.000"),
    time_in_force="GTC",
    working_type="CONTRACT_PRICE",
    create_time_ms=1750485492076,
    update_time_ms=1750514545091,
)
ROW_EXPECTED = mkt.KlineRow(
    open_time_ms=1602669900000,
    open=D("50.49"),
    high=D("50.52"),
    low=D("50.31"),
    close=D("50.33"),
    volume=D("3811.648"),
    close_time_ms=1602670199999,
    quote_volume=D("192171.59398"),
    trades=1517,
)
EXPECTED: dict[tuple[str, str], Any] = {
    ("GET", "/fapi/v1/time"): mkt.ServerTime(server_time_ms=1620099477465),
    ("GET", "/fapi/v1/klines"): mkt.Klines(
        symbol="LTCUSDT", interval="5m", source="last", rows=(ROW_EXPECTED,)
    ),
    ("GET", "/fapi/v1/markPriceKlines"): mkt.Klines(
        symbol="LTCUSDT",
        interval="5m",
        source="mark",
        rows=(
            mkt.KlineRow(
                open_time_ms=1602669900000, open=D("50.49"), high=D("50.52"), low=D("50.31"),
                close=D("50.33"), volume=D(0), close_time_ms=1602670199999, quote_volume=D(0), trades=300,
            ),
        ),
    ),
    ("GET", "/fapi/v1/aggTrades"): mkt.AggTrades(
        symbol="LTCUSDT",
        rows=(
            mkt.AggTradeRow(
                agg_trade_id=26129, price=D("0.01633102"), quantity=D("4.70443515"),
                trade_time_ms=1498793709153,
            ),
        ),
    ),
    ("GET", "/fapi/v1/premiumIndex"): (
        mkt.PremiumIndex(
            symbol="BTCUSDT", mark_price=D("26780.82240476"), time_ms=1687244112000,
            index_price=D("26798.25197802"), last_funding_rate="0.00001226",
            next_funding_time_ms=1687248000000,
        ),
    ),
    ("GET", "/fapi/v1/ticker/price"): (
        mkt.TickerPrice(symbol="BTCUSDT", price=D("6000.01"), time_ms=1589437530011),
    ),
    ("GET", "/fapi/v2/ticker/price"): (
        mkt.TickerPrice(symbol="BTCUSDT", price=D("6000.01"), time_ms=1589437530011),
    ),
    ("GET", "/fapi/v1/ticker/bookTicker"): (
        mkt.TickerBook(
            symbol="BTCUSDT", bid_price=D(4), ask_price=D("4.000002"), bid_quantity=D(431),
            ask_quantity=D(9), time_ms=1589437530011,
        ),
    ),
    ("GET", "/fapi/v1/ticker/24hr"): (
        mkt.TickerDay(symbol="BTCUSDT", quote_volume=D("22175129357.20"), volume=D("471823.103")),
    ),
    ("GET", "/fapi/v1/positionSide/dual"): acc.PositionMode(hedge=True),
    ("GET", "/fapi/v1/accountConfig"): acc.AccountConfig(
        hedge=True, can_trade=True, multi_assets_margin=False, fee_tier=0
    ),
    ("GET", "/fapi/v1/symbolConfig"): (
        acc.SymbolConfig(
            symbol="BTCUSDT", margin_type="cross", leverage=21, is_auto_add_margin=False,
            max_notional_value="1000000",
        ),
    ),
    ("GET", "/fapi/v2/positionRisk"): (
        acc.PositionRisk(
            symbol="BTCUSDT", position_side="LONG", position_amount=D("0.001"),
            entry_price=D("22185.2"), mark_price=D("21123.05052574"),
            liquidation_price=D("19731.45529116"), break_even_price=D(0),
            unrealized_profit=D("-1.06214947"), notional=D("21.12305052"), isolated_margin=D(0),
            isolated_wallet=D(0), update_time_ms=1655217461579, leverage=4, margin_type="cross",
        ),
    ),
    ("GET", "/fapi/v3/positionRisk"): (
        acc.PositionRisk(
            symbol="COMPUSDT", position_side="SHORT", position_amount=D("-1.000"),
            entry_price=D("70.92841"), mark_price=D("49.72023376"),
            liquidation_price=D("2260.56757210"), break_even_price=D("70.900038636"),
            unrealized_profit=D("21.20817624"), notional=D("-49.72023376"), isolated_margin=D(0),
            isolated_wallet=D(0), initial_margin=D("2.48601168"), maintenance_margin=D("0.49720233"),
            position_initial_margin=D("2.48601168"), margin_asset="USDT",
            update_time_ms=1708943511656, leverage=None, margin_type="",
        ),
    ),
    ("GET", "/fapi/v3/account"): acc.Account(
        total_wallet_balance=D("103.12345678"), total_margin_balance=D("101.12345678"),
        total_unrealized_profit=D(-2), total_initial_margin=D("1.5"),
        total_maintenance_margin=D("0.25"), available_balance=D("100.12345678"),
        assets=(
            acc.AccountAsset(
                asset="USDT", wallet_balance=D("23.72469206"), margin_balance=D("24.22469206"),
                available_balance=D("23.7"), cross_wallet_balance=D("23.72469206"),
                cross_unrealized_profit=D("0.5"), unrealized_profit=D("0.5"),
                update_time_ms=1625474304765,
            ),
        ),
        positions=(
            acc.AccountPosition(
                symbol="BTCUSDT", position_side="BOTH", position_amount=D(1), notional=D(60000),
                initial_margin=D(3000), maintenance_margin=D(240), isolated_margin=D(7),
                isolated_wallet=D(6), unrealized_profit=D("0.5"), update_time_ms=1,
            ),
        ),
    ),
    ("GET", "/fapi/v1/leverageBracket"): (
        acc.LeverageBrackets(
            symbol="ETHUSDT",
            brackets=(
                acc.Bracket(
                    bracket=1, initial_leverage=75, notional_floor=D(0), notional_cap=D(10000),
                    maintenance_margin_ratio=D("0.0065"), cumulative=D(0),
                ),
                acc.Bracket(
                    bracket=2, initial_leverage=50, notional_floor=D(10000), notional_cap=D(50000),
                    maintenance_margin_ratio=D("0.01"), cumulative=D("35.1"),
                ),
            ),
        ),
    ),
    ("GET", "/fapi/v1/rateLimit/order"): (
        mkt.RateLimit(rate_limit_type="ORDERS", interval="MINUTE", interval_num=1, limit=1200),
    ),
    ("GET", "/fapi/v1/openOrders"): (ORDER_EXPECTED,),
    ("GET", "/fapi/v1/allOrders"): (ORDER_EXPECTED,),
    ("GET", "/fapi/v1/openOrder"): ORDER_EXPECTED,
    ("GET", "/fapi/v1/order"): ORDER_EXPECTED,
    ("POST", "/fapi/v1/order"): PLACED_EXPECTED,
    ("DELETE", "/fapi/v1/order"): ORDER_EXPECTED,
    ("GET", "/fapi/v1/openAlgoOrders"): (ALGO_EXPECTED,),
    ("GET", "/fapi/v1/allAlgoOrders"): (ALGO_EXPECTED,),
    ("GET", "/fapi/v1/algoOrder"): ALGO_EXPECTED,
    ("POST", "/fapi/v1/algoOrder"): ALGO_EXPECTED,
    ("DELETE", "/fapi/v1/algoOrder"): acc.AlgoCancel(
        algo_id=2146760, client_algo_id="6B2I9XVcJpCjqPAJ4YoFX7", code=200
    ),
    ("GET", "/fapi/v1/userTrades"): (
        acc.UserTrade(
            symbol="BTCUSDT", trade_id=698759, order_id=25851813, side="SELL", position_side="SHORT",
            price=D("7819.01"), quantity=D("0.002"), time_ms=1569514978020,
            quote_quantity=D("15.63802"), realized_profit=D("-0.91539999"),
            commission=D("0.07819010"), commission_asset="USDT", is_maker=False,
        ),
    ),
    ("POST", "/fapi/v1/listenKey"): acc.ListenKey(listen_key=LISTEN_KEY),
    ("PUT", "/fapi/v1/listenKey"): acc.ListenKey(listen_key=LISTEN_KEY),
    ("DELETE", "/fapi/v1/listenKey"): acc.Done(),
}  # fmt: skip


def get(path: str, body: Any, *, method: str = "GET", status: int = 200, **params: str) -> Any:
    raw = body if isinstance(body, bytes) else wire(body)
    return decode_rest(method, path, status, raw, params)


def reason_of(verdict: object) -> str:
    assert isinstance(verdict, Malformed), verdict
    return verdict.reason


@pytest.mark.parametrize(("method", "path"), EXPECTED)
def test_the_documented_body(method: str, path: str) -> None:
    body = REST[method, path]
    assert get(path, body, method=method, symbol="LTCUSDT", interval="5m") == EXPECTED[method, path]


@pytest.mark.parametrize(("method", "path"), [key for key, value in REST.items() if value != {}])
def test_unknown_fields_are_skipped_and_wrong_bodies_refused(method: str, path: str) -> None:
    body = REST[method, path]
    if isinstance(body, dict):
        grown = get(path, {**body, "zz": [1, {}]}, method=method)
        assert grown == get(path, body, method=method)
    for wrong in (
        b"null",
        b"17",
        b'"x"',
        b"",
        b"{",
        b"<html>",
        b"[[",
        wire(body)[:-1],
        b"[" * 99_999,
    ):
        assert isinstance(get(path, wrong, method=method), Malformed), wrong


def test_an_endpoint_without_a_use_is_ignored() -> None:
    assert get("/fapi/v1/depth", {"bids": []}) == Ignored("no use for GET /fapi/v1/depth")
    assert get("/fapi/v1/time", {}, method="POST") == Ignored("no use for POST /fapi/v1/time")
    assert get("/fapi/v1/time?signature=" + LISTEN_KEY, {}) == Ignored(
        "no use for GET /fapi/v1/time?signature=…"
    )


def test_without_parameters_candles_do_not_know_their_symbol() -> None:
    klines = decode_rest("get", "/fapi/v1/klines", 200, wire([KLINE_ROW]))
    assert isinstance(klines, mkt.Klines)
    assert (klines.symbol, klines.interval) == ("", "")


@pytest.mark.parametrize(
    "path",
    ["/fapi/v1/premiumIndex", "/fapi/v1/ticker/price", "/fapi/v1/ticker/bookTicker", "/fapi/v1/leverageBracket",
     "/fapi/v1/symbolConfig", "/fapi/v3/positionRisk"],
)  # fmt: skip
def test_an_object_and_an_array_give_the_same_answer(path: str) -> None:
    body = REST["GET", path]
    single = body[0] if isinstance(body, list) else body
    assert get(path, single) == get(path, [single]) == EXPECTED["GET", path]
    assert get(path, []) == ()
    assert get(path, b" \n" + wire([single])) == EXPECTED["GET", path]


def test_one_price_that_is_none_does_not_hide_the_others() -> None:
    answer = get(
        "/fapi/v1/premiumIndex", [PREMIUM, {**PREMIUM, "markPrice": "0.00000000"}, PREMIUM]
    )
    good, bad, again = answer
    assert good == again == EXPECTED["GET", "/fapi/v1/premiumIndex"][0]
    assert 'price "0.00000000" is not a positive finite decimal' in reason_of(bad)
    assert 'price "0"' in reason_of(get("/fapi/v1/premiumIndex", {**PREMIUM, "markPrice": "0"}))


@pytest.mark.parametrize(
    ("path", "body"),
    [("/fapi/v3/positionRisk", POSITION_V3), ("/fapi/v2/positionRisk", POSITION_V2), ("/fapi/v1/openOrders", ORDER),
     ("/fapi/v1/openAlgoOrders", ALGO_ORDER), ("/fapi/v1/userTrades", USER_TRADE)],
)  # fmt: skip
def test_a_list_in_which_an_absence_says_something_is_believed_whole_or_not(
    path: str, body: Json
) -> None:
    assert isinstance(get(path, [body, {**body, "symbol": ""}, body]), Malformed)


@pytest.mark.parametrize(
    ("path", "body", "change", "reason"),
    [
        ("/fapi/v3/positionRisk", POSITION_V3, {"entryPrice": "0"}, "entry price 0 of an open position"),
        ("/fapi/v3/positionRisk", POSITION_V3, {"positionAmt": "NaN"}, 'amount "NaN" is not a finite'),
        ("/fapi/v3/positionRisk", POSITION_V3, {"positionAmt": 1.5}, "amount is a JSON number"),
        ("/fapi/v2/positionRisk", POSITION_V2, {"leverage": "4.5"}, "a text where a whole number belongs"),
        ("/fapi/v1/order", ORDER, {"executedQty": "-1"}, 'quantity "-1"'),
        ("/fapi/v1/order", ORDER, {"orderId": "x"}, "Expected `int`"),
        ("/fapi/v1/userTrades", USER_TRADE, {"price": "0"}, 'price "0"'),
        ("/fapi/v3/account", ACCOUNT, {"totalWalletBalance": None}, "amount is null, not a string"),
        ("/fapi/v1/positionSide/dual", {}, {"dualSidePosition": 1}, "a JSON number where true or false"),
        ("/fapi/v1/time", {}, {"serverTime": 10**15}, "Expected `int` <= 4102444800000"),
        ("/fapi/v1/listenKey", {}, {"listenKey": None}, "Expected `str`"),
    ],
)  # fmt: skip
def test_what_money_hangs_on_is_strict(path: str, body: Json, change: Json, reason: str) -> None:
    method = "POST" if path.endswith("listenKey") else "GET"
    assert reason_of(get(path, {**body, **change}, method=method)).startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"notionalCap": "NaN"}, "bracket 1 has a bound that is no finite number"),
        ({"notionalFloor": -1}, "bracket 1 has a bound that is no finite number"),
        ({"cum": "1e19"}, "bracket 1 has a bound that is no finite number"),
        ({"maintMarginRatio": 1.5}, "bracket 1 has a maintenance ratio outside 0 to 1"),
        ({"maintMarginRatio": "Infinity"}, "bracket 1 has a maintenance ratio outside 0 to 1"),
    ],
)
def test_a_bracket_holds_finite_numbers(change: Json, reason: str) -> None:
    body = {**BRACKETS, "brackets": [{**BRACKETS["brackets"][0], **change}]}
    assert reason_of(get("/fapi/v1/leverageBracket", body)).startswith(reason)


@pytest.mark.parametrize(
    ("index", "value", "reason"),
    [
        (2, "50.48", "candle whose open or close lies outside"),
        (3, "50.34", "candle whose open or close lies outside"),
        (4, "0", 'price "0" is not a positive'),
        (5, "-1", 'quantity "-1"'),
        (6, 1602669899999, "candle that closes before it opens"),
        (0, "1602669900000", "Expected `int`"),
    ],
)
def test_a_candle_that_no_market_draws_is_refused(index: int, value: Any, reason: str) -> None:
    row = [*KLINE_ROW[:index], value, *KLINE_ROW[index + 1 :]]
    assert reason_of(get("/fapi/v1/klines", [KLINE_ROW, row])).startswith(reason)
    assert reason_of(get("/fapi/v1/klines", [KLINE_ROW[:6]])).startswith(
        "Expected `array` of at least"
    )


def test_exchange_info_keeps_the_contracts_it_can_read() -> None:
    broken = {
        **CONTRACT,
        "symbol": "ODDUSDT",
        "filters": [{"filterType": "LOT_SIZE", "stepSize": 1}],
    }
    nameless = {**CONTRACT, "symbol": "A B"}
    body = {**REST["GET", "/fapi/v1/exchangeInfo"], "symbols": [broken, CONTRACT, nameless, 5]}
    info = get("/fapi/v1/exchangeInfo", body)
    assert list(info.symbols) == ["BTCUSDT"]
    assert [part.reason.split(" - ")[0] for part in info.malformed] == [
        "quantity is a JSON number, not a string",
        'symbol "A B" has characters that no symbol has',
        "Expected `object`, got `int`",
    ]
    assert info.rate_limits == (
        mkt.RateLimit(rate_limit_type="ORDERS", interval="SECOND", interval_num=10, limit=300),
    )


def test_a_listen_key_is_not_printed() -> None:
    assert LISTEN_KEY not in repr(
        get("/fapi/v1/listenKey", {"listenKey": LISTEN_KEY}, method="POST")
    )


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', RestFailure(-1121, "Invalid symbol.", 400)),
        (200, b'{"code":-1121,"msg":"Invalid symbol."}', RestFailure(-1121, "Invalid symbol.", 200)),
        (200, b'{"msg":"x","code":-1}', RestFailure(-1, "x", 200)),
        (400, b'{"code":"-2011","msg":"Unknown order sent."}', RestFailure(-2011, "Unknown order sent.", 400)),
        (400, b'{"code":-1000}', RestFailure(-1000, "", 400)),
        (400, b'{"code":200,"msg":"odd"}', RestFailure(200, "odd", 400)),
        (403, b"<html>\n<b>WAF</b>", RestFailure(None, "<html>?<b>WAF</b>", 403)),
        (503, b"", RestFailure(None, "", 503)),
        (503, b'{"error":"x"}', RestFailure(None, '{"error":"x"}', 503)),
        (408, b'{"code":null}', RestFailure(None, '{"code":null}', 408)),
        (400, b'{"code":"many"}', RestFailure(None, '{"code":"many"}', 400)),
        (301, b"Moved", RestFailure(None, "Moved", 301)),
        (429, b"[1,2", RestFailure(None, "[1,2", 429)),
        (418, b'{"code":-1003,"msg":"IP banned until 1795000000000"}',
         RestFailure(-1003, "IP banned until 1795000000000", 418)),
    ],
)  # fmt: skip
def test_failures(status: int, body: bytes, failure: RestFailure) -> None:
    for path in ("/fapi/v1/time", "/fapi/v1/nobody"):
        assert get(path, body, status=status) == failure


def test_a_failures_text_is_bounded_and_without_keys() -> None:
    failure = get(
        "/fapi/v1/time", {"code": -1, "msg": f"key {LISTEN_KEY} " + "x y\n" * 1000}, status=400
    )
    assert LISTEN_KEY not in failure.msg
    assert len(failure.msg) <= 300
    assert failure.msg.isprintable()


def test_a_code_that_is_no_error_is_an_answer() -> None:
    assert get("/fapi/v1/algoOrder", {"algoId": 1, "code": 200}, method="DELETE") == acc.AlgoCancel(
        algo_id=1
    )
    assert "`serverTime`" in reason_of(get("/fapi/v1/time", {"code": 200, "msg": "success"}))


def test_a_body_that_is_no_json_under_200_is_malformed() -> None:
    assert reason_of(get("/fapi/v3/positionRisk", b"<html>")).startswith("broken JSON")
    assert get("/fapi/v3/positionRisk", b"<html>").excerpt == "<html>"


def test_a_body_over_the_limit_is_not_even_parsed() -> None:
    class Body(bytes):
        def __len__(self) -> int:
            return REST_BODY_BYTES_MAX + 1

    verdict = decode_rest("GET", "/fapi/v1/time", 200, Body(b'{"serverTime":1}'))
    assert reason_of(verdict) == "body of 67108865 bytes is over the limit of 67108864"
