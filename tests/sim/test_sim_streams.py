"""Routes, subscriptions, control messages, listen keys, pings and the end of a connection."""

import json
from typing import Any

import pytest

from reactor.sim.connection import Close, Connection, Ping

from .trading_desk import Desk, told


def connect(desk: Desk, target: str) -> Connection:
    connection = desk.simulation.connect(target)
    assert connection is not None
    return connection


def say(desk: Desk, connection: Connection, **message: Any) -> Any:
    desk.simulation.send(connection, json.dumps(message))
    return told(connection)[-1]


@pytest.mark.parametrize(
    ("route", "stream", "delivers"),
    [
        ("/public", "btcusdt@bookTicker", True),
        ("/market", "btcusdt@bookTicker", False),
        ("/market", "btcusdt@aggTrade", True),
        ("/public", "btcusdt@aggTrade", False),
        ("", "btcusdt@bookTicker", True),
        ("", "btcusdt@trade", True),
        ("", "btcusdt@aggTrade", False),
        ("/market", "BTCUSDT@aggTrade", False),
        ("/market", "btcusdt@agTrade", False),
    ],
)
def test_a_wrong_route_or_name_is_acknowledged_and_mute(
    desk: Desk, route: str, stream: str, delivers: bool
) -> None:
    connection = connect(desk, f"{route}/ws")
    assert say(desk, connection, method="SUBSCRIBE", params=[stream], id=1) == {
        "result": None,
        "id": 1,
    }
    desk.price("81000")
    desk.wait(1000)
    assert bool(told(connection)) == delivers
    assert say(desk, connection, method="LIST_SUBSCRIPTIONS", id=2)["result"] == [stream]


def test_raw_and_combined_modes(desk: Desk) -> None:
    raw = connect(desk, "/market/ws/btcusdt@aggTrade/ethusdt@aggTrade")
    combined = connect(desk, "/market/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade")
    desk.price("81000")
    assert told(raw)[0]["e"] == "aggTrade"
    (frame,) = told(combined)
    assert (frame["stream"], frame["data"]["s"]) == ("btcusdt@aggTrade", "BTCUSDT")
    assert say(desk, combined, method="SET_PROPERTY", params=["combined", False], id=3)["id"] == 3
    assert say(desk, combined, method="GET_PROPERTY", params=["combined"], id=4)["result"] is False
    desk.price("81100")
    assert told(combined)[0]["e"] == "aggTrade"


def test_unsubscribe_ends_it(desk: Desk) -> None:
    connection = connect(desk, "/market/ws/btcusdt@aggTrade")
    say(desk, connection, method="UNSUBSCRIBE", params=["btcusdt@aggTrade"], id=1)
    desk.price("81000")
    assert told(connection) == []
    assert not desk.exchange.wanted


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"NOPE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[],"id":-1}', 2),
        ('{"method":"SET_PROPERTY","params":["other",true],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1),
    ],
)
def test_control_errors(desk: Desk, text: str, code: int) -> None:
    connection = connect(desk, "/market/ws")
    desk.simulation.send(connection, text)
    assert told(connection)[0]["error"]["code"] == code


def test_eleven_messages_in_a_second_end_the_connection(desk: Desk) -> None:
    connection = connect(desk, "/market/ws")
    for number in range(10):
        say(desk, connection, method="LIST_SUBSCRIPTIONS", id=number)
    desk.simulation.send(connection, '{"method":"LIST_SUBSCRIPTIONS","id":11}')
    assert isinstance(connection.pending[-1], Close)


def test_1024_streams_and_no_more(desk: Desk) -> None:
    connection = connect(desk, "/market/ws")
    names = [f"s{number}@aggTrade" for number in range(1024)]
    assert say(desk, connection, method="SUBSCRIBE", params=names, id=1)["result"] is None
    more = say(desk, connection, method="SUBSCRIBE", params=["x@aggTrade"], id=2)
    assert more["error"]["code"] == 2


def test_paths_where_no_websocket_lives(desk: Desk) -> None:
    for target in ("/", "/market", "/private/nope", "/ws-api/v3", "/fapi/v1/time"):
        assert desk.simulation.connect(target) is None


def listen_key(desk: Desk) -> str:
    return str(json.loads(desk.raw("POST", "/fapi/v1/listenKey").body)["listenKey"])


def test_both_private_forms_the_filter_and_subscribe(desk: Desk) -> None:
    key = listen_key(desk)
    assert listen_key(desk) == key  # one key an account, shared
    path = connect(desk, f"/private/ws/{key}")
    query = connect(desk, f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATE/ALGO_UPDATE")
    combined = connect(desk, f"/private/stream?listenKey={key}")
    later = connect(desk, "/private/ws")
    say(desk, later, method="SUBSCRIBE", params=[key], id=1)
    typo = connect(desk, f"/private/ws?listenKey={key}&events=ORDER_TRADE_UPDATES")
    bogus = connect(desk, "/private/ws?listenKey=bogus")
    legacy = connect(desk, f"/ws/{key}")
    desk.order(side="BUY", quantity="0.1")
    names = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
    assert [e["e"] for e in told(path)] == names
    assert [e["e"] for e in told(query)] == [names[0], names[3]]
    assert [(e["stream"], e["data"]["e"]) for e in told(combined)] == [(key, n) for n in names]
    assert [e["e"] for e in told(later)] == names
    assert told(typo) == told(bogus) == told(legacy) == []


def test_a_listen_key_dies_after_an_hour_with_one_notice_and_silence(desk: Desk) -> None:
    key = listen_key(desk)
    stream = connect(desk, f"/private/ws/{key}")
    for _ in range(11):
        desk.wait(300_000)
        desk.simulation.hub.pong(stream)
    assert json.loads(desk.raw("PUT", "/fapi/v1/listenKey").body) == {"listenKey": key}
    for _ in range(12):
        assert told(stream) == []
        desk.wait(300_000)
        desk.simulation.hub.pong(stream)
    (notice,) = told(stream)
    assert (notice["e"], notice["listenKey"]) == ("listenKeyExpired", key)
    desk.order(side="BUY", quantity="0.1")
    assert told(stream) == []
    assert not stream.closed
    assert listen_key(desk) != key


def test_deleting_the_key_silences_every_process_of_the_account(desk: Desk) -> None:
    one, two = desk.user_stream(), desk.user_stream()
    desk.raw("DELETE", "/fapi/v1/listenKey")
    assert [e["e"] for e in told(one)] == [e["e"] for e in told(two)] == ["listenKeyExpired"]


def test_accounts_hear_only_their_own_events(desk: Desk) -> None:
    desk.control("account", account="other", wallet="5000")
    desk.control("key", account="other", apiKey="k2", secret="s2")
    other = Desk(desk.simulation, "k2", "s2")
    mine, theirs = desk.user_stream(), other.user_stream()
    other.order(side="BUY", quantity="0.01")
    assert told(mine) == []
    assert len(told(theirs)) == 4
    assert desk.positions() == {}


def test_pings_and_the_end_without_pongs(desk: Desk) -> None:
    connection = connect(desk, "/market/ws")
    desk.wait(180_000)
    assert isinstance(connection.pending.pop(), Ping)
    desk.simulation.hub.pong(connection)
    desk.wait(600_000)
    ends = [connection.closed]
    desk.wait(600_000)
    ends.append(connection.closed)
    assert ends == [False, True]


def test_a_connection_is_cut_after_a_day(desk: Desk) -> None:
    connection = connect(desk, "/market/ws")
    for _ in range(24 * 12 - 1):
        desk.wait(300_000)
        desk.simulation.hub.pong(connection)
    ends = [connection.closed]
    desk.wait(300_000)
    assert [*ends, connection.closed] == [False, True]
    assert isinstance(connection.pending[-1], Close)


def test_klines_close_with_x_true(desk: Desk) -> None:
    connection = connect(desk, "/market/ws/btcusdt@kline_1m")
    for price in ("81000", "81500", "80900"):
        desk.price(price)
        desk.wait(30_000)
    frames = [f["k"] for f in told(connection)]
    closed = [k for k in frames if k["x"]]
    assert closed[0]["T"] == closed[0]["t"] + 59_999
    rows = desk.open("/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=3)
    same = next(row for row in rows if row[0] == closed[0]["t"])
    assert [same[n] for n in (1, 2, 3, 4, 5)] == [closed[0][n] for n in "ohlcv"]


def test_mark_price_every_second_and_every_third(desk: Desk) -> None:
    quick = connect(desk, "/market/ws/btcusdt@markPrice@1s")
    slow = connect(desk, "/market/ws/btcusdt@markPrice")
    every = connect(desk, "/market/ws/!markPrice@arr@1s")
    desk.wait(9000)
    assert (len(told(quick)), len(told(slow)), len(told(every))) == (9, 3, 9)
