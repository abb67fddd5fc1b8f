"""Signatures against vectors that were not made by this code."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.binance.sign import (
    Value,
    query_string,
    signature,
    signed_query,
    signed_ws_params,
    ws_api_text,
)

SECRET = "made-up-secret-for-tests"
ORDER: dict[str, Value] = {
    "symbol": "ETHUSDT",
    "side": "SELL",
    "type": "MARKET",
    "quantity": "0.5",
    "reduceOnly": "true",
    "newClientOrderId": "x-exit-000123",
    "newOrderRespType": "RESULT",
    "recvWindow": 5000,
    "timestamp": 1795000000000,
}
QUERY = (
    "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.5&reduceOnly=true&newClientOrderId=x-exit-000123"
    "&newOrderRespType=RESULT&recvWindow=5000&timestamp=1795000000000"
)
SIGNATURE = "1cf335f29712d6d21f66f63033f96e6368664840e4d9b9da81fd2bcf4fcc156a"


def test_the_known_vector() -> None:
    assert signature(SECRET, QUERY) == SIGNATURE
    assert query_string(ORDER) == QUERY
    assert signed_query(ORDER, secret=SECRET) == f"{QUERY}&signature={SIGNATURE}"


def test_the_vector_of_binances_documentation() -> None:
    # https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info
    secret = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
    query = (
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
        "&timestamp=1591702613943"
    )
    expected = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    assert signature(secret, query) == expected


def test_non_ascii_symbols_are_encoded_before_they_are_signed() -> None:
    query = query_string({"symbol": "币安USDT", "x": "a b&c=d/e"})
    assert query == "symbol=%E5%B8%81%E5%AE%89USDT&x=a%20b%26c%3Dd%2Fe"
    assert query.isascii()
    assert ws_api_text({"symbol": "币安USDT"}) == "symbol=%E5%B8%81%E5%AE%89USDT"


def test_the_websocket_api_signs_its_parameters_by_name() -> None:
    params = {**ORDER, "apiKey": "made-up-key"}
    text = (
        "apiKey=made-up-key&newClientOrderId=x-exit-000123&newOrderRespType=RESULT&quantity=0.5"
        "&recvWindow=5000&reduceOnly=true&side=SELL&symbol=ETHUSDT&timestamp=1795000000000&type=MARKET"
    )
    assert ws_api_text(params) == text
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert signed_ws_params(params, secret=SECRET) == {**params, "signature": expected}


def test_ascii_is_signed_as_it_stands_on_the_websocket_api() -> None:
    assert ws_api_text({"c": ".A:/a_-1", "b": 2}) == "b=2&c=.A:/a_-1"


@pytest.mark.parametrize("params", [{}, {"timestamp": 1}])
def test_little_to_sign(params: dict[str, Value]) -> None:
    assert len(signature(SECRET, query_string(params))) == 64


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_it_is_the_standard_hmac(secret: str, payload: str) -> None:
    expected = hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert signature(secret, payload) == expected
