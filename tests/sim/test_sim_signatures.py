"""Signatures are verified exactly: HMAC, Ed25519, RSA; query string and body together."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import quote

import pytest

from reactor.sim.model import Credential
from reactor.sim.rest import Request

from .trading_desk import Desk, Refused

PAYLOAD = (
    "symbol=ETHUSDT&side=SELL&type=MARKET&quantity=0.5&reduceOnly=true"
    "&newClientOrderId=x-exit-000123&newOrderRespType=RESULT&recvWindow=5000"
    "&timestamp=1795000000000"
)
DOCUMENTED = "1cf335f29712d6d21f66f63033f96e6368664840e4d9b9da81fd2bcf4fcc156a"


def digest(text: str, secret: str = "sim-secret") -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_the_test_vector_of_the_facts(desk: Desk) -> None:
    desk.exchange.add_key(Credential("k", "main", "HMAC", "made-up-secret-for-tests"))
    short = Desk(desk.simulation, "k")
    response = short.raw("POST", "/fapi/v1/order", f"{PAYLOAD}&signature={DOCUMENTED.upper()}")
    assert json.loads(response.body)["code"] == -2022  # signed well; there is no position


@pytest.mark.parametrize("place", ["query", "body", "both"])
def test_parameters_may_be_in_query_body_or_both(desk: Desk, place: str) -> None:
    first, second = (
        "symbol=BTCUSDT&side=BUY&type=MARKET",
        f"quantity=0.1&timestamp={desk.exchange.server_ms}",
    )
    if place == "both":
        query, body = first, f"{second}&signature={digest(first + second)}"
    else:
        text = f"{first}&{second}"
        text += f"&signature={digest(text)}"
        query, body = (text, "") if place == "query" else ("", text)
    response = desk.raw("POST", "/fapi/v1/order", query, body)
    assert response.status == 200, response.body


def test_the_query_string_wins_over_the_body(desk: Desk) -> None:
    query = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1"
    body = f"quantity=0.2&timestamp={desk.exchange.server_ms}"
    response = desk.raw("POST", "/fapi/v1/order", query, f"{body}&signature={digest(query + body)}")
    assert json.loads(response.body)["origQty"] == "0.100"


def test_one_changed_byte_is_refused(desk: Desk) -> None:
    text = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&timestamp={desk.exchange.server_ms}"
    changed = text.replace("0.1", "0.2")
    response = desk.raw("POST", "/fapi/v1/order", f"{changed}&signature={digest(text)}")
    assert json.loads(response.body)["code"] == -1022


def keys(kind: str) -> tuple[Any, str]:
    pytest.importorskip("cryptography", reason="asymmetric keys need the sim extra")
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ED25519"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private, pem.decode()


def sign(private: Any, kind: str, text: str) -> str:
    if kind == "ED25519":
        raw = private.sign(text.encode())
    else:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        raw = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("kind", ["ED25519", "RSA"])
def test_asymmetric_keys_on_rest(desk: Desk, kind: str) -> None:
    private, pem = keys(kind)
    desk.control("key", apiKey="own", kind=kind, publicKey=pem)
    own = Desk(desk.simulation, "own")
    text = f"symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1&timestamp={desk.exchange.server_ms}"
    good = f"{text}&signature={quote(sign(private, kind, text), safe='')}"
    assert own.raw("POST", "/fapi/v1/order", good).status == 200
    for bad in (quote(sign(private, kind, text + "x"), safe=""), "%%%", "AAAA"):
        response = own.raw("POST", "/fapi/v1/order", f"{text}&signature={bad}")
        assert json.loads(response.body)["code"] == -1022


def call(desk: Desk, connection: Any, method: str, **params: Any) -> Any:
    desk.simulation.send(connection, json.dumps({"id": 7, "method": method, "params": params}))
    return json.loads(connection.pending.pop())


def test_the_websocket_api_signs_sorted_parameters(desk: Desk) -> None:
    connection = desk.simulation.connect("/ws-fapi/v1")
    params = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.1",
        "timestamp": desk.exchange.server_ms,
        "apiKey": "sim-key",
    }
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    placed = call(desk, connection, "order.place", **params, signature=digest(text))
    assert (placed["id"], placed["status"]) == (7, 200)
    assert {row["rateLimitType"] for row in placed["rateLimits"]} == {"REQUEST_WEIGHT"}
    unsorted = "&".join(f"{name}={value}" for name, value in params.items())
    refused = call(desk, connection, "order.place", **params, signature=digest(unsorted))
    assert refused["error"]["code"] == -1022


def test_session_logon_is_for_ed25519_and_spares_the_signature(desk: Desk) -> None:
    private, pem = keys("ED25519")
    desk.control("key", apiKey="own", kind="ED25519", publicKey=pem)
    connection = desk.simulation.connect("/ws-fapi/v1?returnRateLimits=false")
    now_ms = desk.exchange.server_ms
    hmac_text = f"apiKey=sim-key&timestamp={now_ms}"
    refused = call(
        desk,
        connection,
        "session.logon",
        apiKey="sim-key",
        timestamp=now_ms,
        signature=digest(hmac_text),
    )
    assert refused["status"] == 401
    text = f"apiKey=own&timestamp={now_ms}"
    logged = call(
        desk,
        connection,
        "session.logon",
        apiKey="own",
        timestamp=now_ms,
        signature=sign(private, "ED25519", text),
    )
    assert logged["result"]["apiKey"] == "own"
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    placed = call(desk, connection, "order.place", **order, timestamp=now_ms)
    assert placed["status"] == 200
    assert "rateLimits" not in placed
    late = call(desk, connection, "order.place", **order, timestamp=now_ms - 6000)
    assert late["error"]["code"] == -1021
    desk.control("key", apiKey="own", publicKey=pem, kind="ED25519", revoke=True)
    revoked = call(desk, connection, "order.place", **order, timestamp=now_ms)
    assert (revoked["status"], revoked["error"]["code"]) == (401, -2015)
    call(desk, connection, "session.logout")
    out = call(desk, connection, "order.place", **order, timestamp=now_ms)
    assert out["error"]["code"] == -1102


def test_algo_methods_and_account_queries_of_the_websocket_api(desk: Desk) -> None:
    connection = desk.simulation.connect("/ws-fapi/v1")

    def signed(method: str, **params: Any) -> Any:
        params |= {"apiKey": "sim-key", "timestamp": desk.exchange.server_ms}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        return call(desk, connection, method, **params, signature=digest(text))

    desk.order(side="BUY", quantity="0.5")
    placed = signed(
        "algoOrder.place",
        algoType="CONDITIONAL",
        symbol="BTCUSDT",
        side="SELL",
        type="STOP_MARKET",
        triggerPrice="80000",
        closePosition="true",
    )["result"]
    assert placed["algoStatus"] == "NEW"
    assert signed("algoOrder.cancel", algoId=placed["algoId"])["result"]["code"] == "200"
    assert signed("v2/account.position")["result"][0]["positionAmt"] == "0.500"
    assert signed("v2/account.balance")["result"][0]["asset"] == "USDT"
    assert signed("v2/account.status")["result"]["positions"]
    key = call(desk, connection, "userDataStream.start", apiKey="sim-key")["result"]["listenKey"]
    assert len(key) == 64
    assert call(desk, connection, "userDataStream.stop", apiKey="sim-key")["result"] == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "1",
        '{"id":1}',
        '{"id":[],"method":"ping"}',
        '{"id":1,"method":"x","params":[]}',
    ],
)
def test_rubbish_on_the_websocket_api_is_answered(desk: Desk, text: str) -> None:
    connection = desk.simulation.connect("/ws-fapi/v1")
    assert connection is not None
    desk.simulation.send(connection, text)
    answer = json.loads(connection.pending.pop())  # type: ignore[arg-type]
    assert answer["status"] == 400
    assert answer["error"]["code"] < 0


def test_rubbish_on_rest_is_answered(desk: Desk) -> None:
    for method, path, query in (
        ("BREW", "/fapi/v1/order", ""),
        ("POST", "/fapi/v1/order", "%zz&&&=&symbol"),
        ("POST", "/", "\x00"),
        ("GET", "/fapi/v1/klines", "symbol=BTCUSDT&interval=1m&limit=99999999999999999999999"),
    ):
        response = desk.simulation.request(
            Request(method=method, path=path, query=query, headers={"x-mbx-apikey": "sim-key"})
        )
        assert response.status >= 400
        assert "code" in json.loads(response.body)


def test_a_secret_never_comes_back(desk: Desk) -> None:
    with pytest.raises(Refused) as refused:
        Desk(desk.simulation, secret="wrong").order(side="BUY", quantity="1")
    assert "sim-secret" not in str(refused.value)
