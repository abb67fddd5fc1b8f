"""Market frames: every documented payload, both forms, and what is ignored or refused."""

from typing import Any

import msgspec
import pytest
from binance_payloads import MARKET, Json, enveloped, wire

from reactor.binance import market_messages as m
from reactor.binance.decode import decode_market, market_fault
from reactor.binance.messages import COIN_M, ControlReply, Ignored, Malformed
from reactor.limits import FRAME_BYTES_MAX

SILENT = [
    "depthUpdate", "24hrTicker", "24hrMiniTicker", "forceOrder", "continuous_kline", "compositeIndex",
    "contractInfo", "assetIndexUpdate", "EquityUpdate", "CommodityUpdate", "indexPriceUpdate",
]  # fmt: skip


def reason_of(verdict: object) -> str:
    assert isinstance(verdict, Malformed), verdict
    return verdict.reason


def changed(event: str, **fields: Any) -> bytes:
    return wire({**MARKET[event], **fields})


EXPECTED = {
    "markPriceUpdate": m.MarkPrice(s="BTCUSDT", p="81234.50000000", E=1795000001000, st=1),
    "aggTrade": m.AggTrade(
        s="BTCUSDT", p="81235.10", a=410000001, T=1795000001010, E=1795000001050, st=1
    ),
    "trade": m.Trade(
        s="BTCUSDT", p="61800.30", t=5266583935, T=1723161256321, E=1723161256322, X="MARKET"
    ),
    "bookTicker": m.BookTicker(
        s="BTCUSDT", b="81235.00", a="81235.10", u=900000001, T=1795000001060, E=1795000001061
    ),
    "kline": m.KlineFrame(
        s="BTCUSDT",
        k=m.Kline(
            t=1794999900000, T=1795000199999, s="BTCUSDT", i="5m",
            o="81200.0", h="81250.0", l="81190.0", c="81235.1", v="25.1", x=False,
        ),
        E=1795000001200,
    ),
}  # fmt: skip


@pytest.mark.parametrize("event", EXPECTED)
def test_the_documented_payload_bare_and_enveloped(event: str) -> None:
    payload = MARKET[event]
    assert decode_market(wire(payload)) == EXPECTED[event]
    assert decode_market(enveloped(payload)) == EXPECTED[event]
    # Other orders of keys, blanks around and inside: all are JSON, and COIN-M really orders them so.
    backwards = dict(reversed(payload.items()))
    assert decode_market(wire(backwards)) == EXPECTED[event]
    assert decode_market(wire({"data": backwards, "stream": "x@y"})) == EXPECTED[event]
    assert decode_market(b" \n" + enveloped(payload).replace(b":", b" : ")) == EXPECTED[event]


def test_the_full_mark_price_reads_what_the_dashboard_shows() -> None:
    full = msgspec.json.decode(wire(MARKET["markPriceUpdate"]), type=m.MarkPriceFull)
    assert full == m.MarkPriceFull(
        s="BTCUSDT", p="81234.50000000", E=1795000001000, i="81240.12000000", P="81200.00000000",
        r="0.00010000", T=1795017600000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("event", "optional"),
    [("aggTrade", {"E", "q", "nq", "f", "l", "m", "st"}), ("trade", {"E", "q", "X", "m"}),
     ("bookTicker", {"E", "T", "ps", "B", "A", "st"}), ("markPriceUpdate", {"ap", "i", "P", "r", "T", "st"}),
     ("kline", {"E"})],
)  # fmt: skip
def test_optional_fields_may_be_missing_and_unknown_ones_present(
    event: str, optional: set[str]
) -> None:
    lean = {key: value for key, value in MARKET[event].items() if key not in optional}
    frame = decode_market(wire({**lean, "zz": [{"new": None}], "": 1}))
    assert type(frame) is type(EXPECTED[event])


@pytest.mark.parametrize(
    ("event", "needed"),
    [("aggTrade", "spaT"), ("trade", "sptT"), ("bookTicker", "sbau"), ("markPriceUpdate", "spE"),
     ("kline", "sk")],
)  # fmt: skip
def test_needed_fields_may_not_be_missing(event: str, needed: str) -> None:
    for key in needed:
        cut = {name: value for name, value in MARKET[event].items() if name != key}
        assert reason_of(decode_market(wire(cut))) == f"Object missing required field `{key}`"


@pytest.mark.parametrize("event", SILENT)
def test_events_without_a_use_are_read_and_ignored(event: str) -> None:
    frame = wire({"e": event, "E": "any", "b": [["1", "2"]], "st": 1})
    assert decode_market(frame) == Ignored(event)
    assert decode_market(enveloped({"e": event})) == Ignored(event)
    # None of them costs an exception: the tick path's own decoder knows them.
    msgspec.json.decode(frame, type=m.MarketFrame)


def test_unknown_events_are_ignored_by_name() -> None:
    assert decode_market(b'{"e":"brandNew","p":1}') == Ignored('unknown event "brandNew"')
    assert decode_market(enveloped({"e": "ORDER_TRADE_UPDATE"})) == Ignored(
        'unknown event "ORDER_TRADE_UPDATE"'
    )
    assert decode_market(b'{"lastUpdateId":1,"bids":[]}') == Ignored("not an event")
    assert decode_market(b"{}") == Ignored("not an event")
    assert decode_market(b'{"stream":"x"}') == Ignored("not an event")
    assert Ignored('unknown event "brandNew"').kind == "unknown event"
    assert COIN_M.kind == "coin-m"
    long_name = decode_market(wire({"e": "x y" * 500}))
    assert isinstance(long_name, Ignored)
    assert len(long_name.reason) <= 200


@pytest.mark.parametrize("event", MARKET)
def test_coin_margined_frames_are_dropped(event: str) -> None:
    assert decode_market(changed(event, st=2)) is COIN_M
    assert decode_market(enveloped({**MARKET[event], "st": 2})) is COIN_M
    # Even those that this product could not read.
    assert decode_market(wire({"e": event, "st": 2})) is COIN_M


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "inf", "1e308", "", " 1", "1_0", "١", "1e-13"])
@pytest.mark.parametrize(
    ("event", "field"),
    [("aggTrade", "p"), ("trade", "p"), ("markPriceUpdate", "p"), ("bookTicker", "b"), ("bookTicker", "a")],
)  # fmt: skip
def test_a_price_that_is_none_is_refused(event: str, field: str, text: str) -> None:
    reason = reason_of(decode_market(changed(event, **{field: text})))
    assert reason.startswith("price")
    assert reason.endswith(f"`$.{field}`")


@pytest.mark.parametrize("field", "ohlc")
def test_a_candles_prices_are_prices(field: str) -> None:
    kline = {**MARKET["kline"]["k"], field: "NaN"}
    reason = reason_of(decode_market(changed("kline", k=kline)))
    assert reason == f'price "NaN" is not a positive finite decimal - at `$.k.{field}`'


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"h": "81199"}, "candle whose open"),
        ({"l": "81201"}, "candle whose open"),
        ({"v": "-1"}, "quantity"),
        ({"s": ""}, "symbol of 0 characters"),
        ({"t": -1}, "number outside 0 to 4102444800000 - at `$.k.t`"),
        ({"T": 10**17}, "number outside 0 to 4102444800000 - at `$.k.T`"),
        ({"x": "true"}, "Expected `bool`, got `str` - at `$.k.x`"),
    ],
)
def test_a_candle_that_no_market_draws_is_refused(change: Json, reason: str) -> None:
    verdict = decode_market(changed("kline", k={**MARKET["kline"]["k"], **change}))
    assert reason_of(verdict).startswith(reason)


@pytest.mark.parametrize(
    ("event", "field"),
    [("aggTrade", "a"), ("aggTrade", "T"), ("aggTrade", "E"), ("trade", "t"), ("trade", "T"),
     ("bookTicker", "u"), ("bookTicker", "T"), ("bookTicker", "E"), ("markPriceUpdate", "E")],
)  # fmt: skip
@pytest.mark.parametrize("value", [-1, 2**63, 10**40])
def test_numbers_out_of_range_are_refused(event: str, field: str, value: int) -> None:
    assert f"at `$.{field}`" in reason_of(decode_market(changed(event, **{field: value})))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (
            b'{"e":"aggTrade","s":"B","p":81235.1,"a":1,"T":1}',
            "Expected `str`, got `float` - at `$.p`",
        ),
        (b'{"e":"aggTrade","s":"B","p":"1","a":"1","T":1}', "Expected `int`, got `str` - at `$.a`"),
        (b'{"e":"aggTrade","s":"B","p":"1","a":1,"T":1e999}', "Number out of range - at `$.T`"),
        (b'{"e":"aggTrade","s":"\x1b[2J","p":"1","a":1,"T":1}', "broken JSON: invalid character"),
        (
            b'{"e":"aggTrade","s":"\\u001b[2J","p":"1","a":1,"T":1}',
            'symbol "\\x1b[2J" has characters',
        ),
        (
            b'{"e":"aggTrade","s":"\\ud800","p":"1","a":1,"T":1}',
            "broken JSON: unexpected end of hex",
        ),
        (b'{"e":"aggTrade","s":"\xff","p":"1","a":1,"T":1}', "text that is not UTF-8"),
        (b'{"e":5}', "Expected `str`, got `int`"),
        (b'{"e":null,"p":1}', "Expected `str`, got `null`"),
        (b'{"e":"aggTrade"', "truncated JSON"),
        (b'{"e":"brandNew","p":"1"', "truncated JSON"),
        (b"", "truncated JSON"),
        (b"  ", "truncated JSON"),
        (b"null", "Expected `object`, got `null`"),
        (b"17", "Expected `object`, got `int`"),
        (b'"text"', "Expected `object`, got `str`"),
        (b"\xef\xbb\xbf{}", "broken JSON: invalid character"),
        (b"{} {}", "broken JSON: trailing characters"),
        (b'{"e":"aggTrade","e":"trade"}', "Invalid value 'trade' - at `$.e`"),
        (b'{"stream":"x","data":null}', "Expected `object`, got `null`"),
        (b'{"stream":5,"data":7}', "Expected `object`, got `int`"),
        (b"[" * 100_000, "JSON nested too deeply"),
        (
            b'{"e":"aggTrade","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "JSON nested too deeply",
        ),
    ],
)
def test_what_cannot_be_read_is_a_value_that_says_why(raw: bytes, reason: str) -> None:
    assert reason_of(decode_market(raw)).startswith(reason)


def test_a_frame_over_the_limit_is_not_even_parsed() -> None:
    raw = b'{"e":"aggTrade","pad":"' + b"x" * (10 * 1024 * 1024 - 25) + b'"}'
    assert len(raw) == 10485760
    assert reason_of(decode_market(raw)) == (
        f"frame of 10485760 bytes is over the limit of {FRAME_BYTES_MAX}"
    )


def test_an_array_is_judged_element_by_element() -> None:
    mark = MARKET["markPriceUpdate"]
    elements: list[Any] = [
        mark,
        {**mark, "s": "ETHUSDT", "p": "0"},
        {**mark, "s": "BTCUSD_PERP", "st": 2},
        {"e": "24hrTicker"},
        7,
        {**mark, "s": "币安人生USDT"},
    ]
    for raw in (wire(elements), enveloped(elements, "!markPrice@arr"), b"  " + wire(elements)):
        verdict = decode_market(raw)
        assert isinstance(verdict, tuple)
        first, bad_price, no_object, last = verdict
        assert first == EXPECTED["markPriceUpdate"]
        assert 'price "0" is not' in reason_of(bad_price)
        assert isinstance(bad_price, Malformed)
        assert bad_price.excerpt.startswith('{"e":"markPriceUpdate"')
        assert reason_of(no_object).startswith("Expected `object`")
        assert isinstance(last, m.MarkPrice)
        assert last.s == "币安人生USDT"


def test_an_array_without_a_frame_of_use_is_ignored() -> None:
    for elements in ([], [{"e": "24hrMiniTicker"}], [{**MARKET["markPriceUpdate"], "st": 2}]):
        assert decode_market(wire(elements)) == Ignored("array without a frame of use")


KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


@pytest.mark.parametrize(
    ("raw", "reply"),
    [
        (b'{"result":null,"id":7}', ControlReply("reply", id=7)),
        (b'{"id":7,"result":null}', ControlReply("reply", id=7)),
        (b'{"result":true,"id":10}', ControlReply("reply", id=10)),
        (
            b'{"result":["btcusdt@markPrice@1s","!bookTicker",5],"id":9}',
            ControlReply("reply", id=9, streams=("btcusdt@markPrice@1s", "!bookTicker")),
        ),
        (wire({"result": [KEY, f"{KEY}@x"], "id": 9}), ControlReply("reply", id=9, streams=("…", "…@x"))),
        (
            b'{"error":{"code":2,"msg":"Invalid request: unknown variant"},"id":1}',
            ControlReply("error reply", id=1, code=2, message="Invalid request: unknown variant"),
        ),
        (
            b'{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}',
            ControlReply(
                "error reply", id=None, code=3, message="Invalid JSON: expected value at line 1 column 1"
            ),
        ),
        (b'{"error":"text","id":null}', ControlReply("error reply", id=None)),
        (b'{"error":{"code":"2","msg":5},"id":1.5}', ControlReply("error reply", id=None, message="5")),
    ],
)  # fmt: skip
def test_replies_to_subscriptions_are_told_from_events(raw: bytes, reply: ControlReply) -> None:
    verdict = decode_market(raw)
    assert verdict == reply
    assert isinstance(verdict, Ignored)


@pytest.mark.parametrize(
    ("sent", "is_price"),
    [("MARKET", True), ("INSURANCE_FUND", False), ("ADL", False), ("NA", False), ("market", False)],
)
def test_only_market_trades_are_prices(sent: str, is_price: bool) -> None:
    frame = decode_market(changed("trade", X=sent))
    assert isinstance(frame, m.Trade)
    assert m.is_market_trade(frame) is is_price


def test_a_trade_that_does_not_say_is_a_price() -> None:
    old = {key: value for key, value in MARKET["trade"].items() if key != "X"}
    frame = decode_market(wire(old))
    assert isinstance(frame, m.Trade)
    assert m.is_market_trade(frame)


def test_the_tick_path_can_ask_what_is_wrong_with_its_struct() -> None:
    assert market_fault(m.AggTrade(s="BTCUSDT", p="1E-7", a=1, T=1)) is None
    assert market_fault(m.AggTrade(s="BTCUSDT", p="1e1e1", a=1, T=1)) == (
        'price "1e1e1" is not a positive finite decimal - at `$.p`'
    )


def test_the_last_of_duplicate_keys_counts() -> None:
    frame = decode_market(b'{"e":"aggTrade","s":"B","p":"NaN","p":"2","a":1,"T":1}')
    assert frame == m.AggTrade(s="B", p="2", a=1, T=1)
