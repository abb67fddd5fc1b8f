"""The book that clients keep for themselves, and the history they ask for."""

import json
from decimal import Decimal
from typing import Any

import pytest

from .trading_desk import START_MS, Desk, Refused, told

DAY_MS = 86_400_000


class OwnBook:
    """A client's book, kept as Binance tells clients to: a snapshot, then every diff that goes on from it."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.update_id = snapshot["lastUpdateId"]
        self.sides = {"b": self._read(snapshot["bids"]), "a": self._read(snapshot["asks"])}
        self.previous: int | None = None

    @staticmethod
    def _read(rows: list[list[str]]) -> dict[Decimal, Decimal]:
        return {Decimal(price): Decimal(quantity) for price, quantity in rows}

    def take(self, diff: dict[str, Any]) -> None:
        if diff["u"] < self.update_id:
            return
        if self.previous is None:
            assert diff["U"] <= self.update_id <= diff["u"]
        else:
            assert diff["pu"] == self.previous
        self.previous = diff["u"]
        for side, kept in self.sides.items():
            for price, quantity in self._read(diff[side]).items():
                if quantity:
                    kept[price] = quantity
                else:
                    kept.pop(price)

    def best(self) -> tuple[Decimal, Decimal]:
        return max(self.sides["b"]), min(self.sides["a"])


def snapshot(desk: Desk) -> dict[str, Any]:
    book: dict[str, Any] = desk.open("/fapi/v1/depth", symbol="BTCUSDT", limit=1000)
    return book


@pytest.mark.parametrize("early", [True, False], ids=["snapshot-first", "frames-first"])
def test_a_clients_own_book_stays_equal_to_the_exchanges(desk: Desk, *, early: bool) -> None:
    stream = desk.simulation.connect("/public/ws/btcusdt@depth@100ms")
    assert stream is not None
    if not early:
        desk.price("81300")
        desk.wait(600)
        desk.price("81250")
        desk.wait(100)
    own = OwnBook(snapshot(desk))
    for price in ("81300", "80100", "81999.9", "81000"):
        desk.price(price)
        desk.order(side="BUY", quantity="3")
        desk.wait(270)
    desk.wait(3000)
    for frame in told(stream):
        own.take(frame)
    assert own.previous is not None
    end = OwnBook(snapshot(desk))
    assert own.sides == end.sides
    assert own.best() == (Decimal("80999.9"), Decimal(81000))


def test_a_still_book_is_not_told_again(desk: Desk) -> None:
    stream = desk.simulation.connect("/public/ws/btcusdt@depth")
    assert stream is not None
    desk.wait(5000)
    assert told(stream) == []


def test_funding_rates_are_what_was_paid(desk: Desk) -> None:
    desk.control("price", symbol="BTCUSDT", mark="81500", rate="0.0003")
    desk.wait(DAY_MS)
    rows = desk.open("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=START_MS)
    assert [row["fundingRate"] for row in rows] == ["0.00030000"] * 3
    assert {row["markPrice"] for row in rows} == {"81500.00000000"}
    assert {row["fundingTime"] % (8 * 3_600_000) for row in rows} == {0}
    older = desk.open("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=10)
    assert [row["fundingRate"] for row in older] == ["0.00010000"] * 7 + ["0.00030000"] * 3
    assert older == sorted(older, key=lambda row: row["fundingTime"])


def test_candles_begin_with_the_first_there_are(desk: Desk) -> None:
    (first,) = desk.open("/fapi/v1/klines", symbol="BTCUSDT", interval="5m", startTime=0, limit=1)
    later = desk.open("/fapi/v1/klines", symbol="BTCUSDT", interval="5m", startTime=first[0])
    assert later[0] == first
    assert len(later) == 500


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("klines", "symbol"),
        ("markPriceKlines", "symbol"),
        ("premiumIndexKlines", "symbol"),
        ("indexPriceKlines", "pair"),
        ("continuousKlines", "pair"),
    ],
)
def test_candles_of_every_kind_have_one_shape(desk: Desk, path: str, name: str) -> None:
    more = {"contractType": "PERPETUAL"} if name == "pair" else {}
    rows = desk.open(f"/fapi/v1/{path}", interval="1m", limit=3, **{name: "BTCUSDT"}, **more)
    assert [[type(value) for value in row] for row in rows] == [
        [int, str, str, str, str, str, int, str, int, str, str, str]
    ] * 3


def test_changes_of_an_order_are_remembered(desk: Desk) -> None:
    limit = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    placed = desk.order(price="80000", **limit)
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"]}
    desk.ask("PUT", "/fapi/v1/order", quantity="0.2", price="79000", **change)
    batch = [{**change, "quantity": "0.3", "price": "79000"}, {**change, "quantity": None}]
    rows = desk.ask("PUT", "/fapi/v1/batchOrders", batchOrders=json.dumps(batch))
    assert (rows[0]["origQty"], rows[1]["code"]) == ("0.300", -1102)
    first, second = desk.ask("GET", "/fapi/v1/orderAmendment", symbol="BTCUSDT")
    assert first["amendment"] == {
        "price": {"before": "80000.00", "after": "79000.00"},
        "origQty": {"before": "0.100", "after": "0.200"},
        "count": 1,
    }
    assert (second["amendment"]["count"], second["orderId"]) == (2, placed["orderId"])


def test_lists_of_ids_are_read_in_either_spelling(desk: Desk) -> None:
    limit = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}
    ids = [desk.order(price="80000", **limit)["orderId"] for _ in range(2)]
    for name, number in zip(("orderIdList", "orderidlist"), ids, strict=True):
        rows = desk.ask(
            "DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", **{name: json.dumps([number])}
        )
        assert rows[0]["status"] == "CANCELED"


def test_isolated_margin_is_told_when_it_moves(desk: Desk) -> None:
    desk.ask("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    desk.order(side="BUY", quantity="0.1")
    stream = desk.user_stream()
    desk.ask("POST", "/fapi/v1/positionMargin", symbol="BTCUSDT", amount="50", type=1)
    (event,) = told(stream)
    assert event["a"]["m"] == "MARGIN_TRANSFER"
    (row,) = desk.ask("GET", "/fapi/v1/positionMargin/history", symbol="BTCUSDT")
    assert (row["amount"], row["type"]) == ("50.00000000", 1)


def test_a_matched_price_is_a_level_of_the_book(desk: Desk) -> None:
    book = snapshot(desk)
    matched = {"type": "LIMIT", "timeInForce": "GTC", "quantity": "0.001"}
    queued = desk.order(side="BUY", priceMatch="QUEUE_5", **matched)
    assert (queued["price"], queued["priceMatch"]) == (book["bids"][4][0], "QUEUE_5")
    taken = desk.order(side="BUY", priceMatch="OPPONENT", **matched)
    assert (taken["status"], taken["price"]) == ("FILLED", book["asks"][0][0])


def test_a_session_whose_key_may_trade_no_more_is_refused(desk: Desk) -> None:
    key = desk.exchange.credentials["sim-key"]
    session = desk.simulation.connect("/ws-fapi/v1")
    assert session is not None
    assert session.session is not None
    session.session._credential = key
    key.can_trade = False
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    ask = {"id": 1, "method": "order.place", "params": {**order, "timestamp": START_MS}}
    desk.simulation.send(session, json.dumps(ask))
    (answer,) = told(session)
    assert answer["error"]["code"] == -2015
    with pytest.raises(Refused):
        desk.order(side="BUY", quantity="0.1")
