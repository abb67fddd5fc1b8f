"""Nothing that bytes can hold raises, and nothing that is accepted breaks a rule."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from binance_payloads import MARKET, REST, USER, enveloped, wire
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reactor.binance.decode import decode_market, decode_rest, decode_user
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    KlineFrame,
    MarkPrice,
    PriceFrame,
    Trade,
)
from reactor.binance.messages import Ignored, Malformed, RestFailure
from reactor.binance.user_messages import AccountUpdate, OrderTradeUpdate, UserEvent
from reactor.limits import EXCERPT_CHARS_MAX, ID_MAX, REASON_CHARS_MAX, TIME_MS_MAX

PATHS = sorted({path for _, path in REST})
NONSENSE: list[Any] = [
    None, True, False, 0, -1, 1, 1.5, 2**63, 10**30, "", "x", "0", "-1", "1", "NaN", "Infinity", "1e308",
    "1e-400", " 1", "1_0", "٣", "\u0000", "\x1b[2J", [], {}, [[]], [None], {"a": {}}, "9" * 5000,
]  # fmt: skip


def well_formed(verdict: Malformed) -> None:
    assert 0 < len(verdict.reason) <= REASON_CHARS_MAX
    assert len(verdict.excerpt) <= EXCERPT_CHARS_MAX
    assert (verdict.reason + verdict.excerpt).isprintable()


def sound_price(text: str) -> None:
    assert Decimal("1e-12") <= Decimal(text) <= Decimal("1e12")


def sound_frame(frame: PriceFrame) -> None:
    """An accepted frame, against rules written down here once more."""
    assert 0 < len(frame.s) <= 40
    assert frame.st == 1
    assert 0 <= frame.E <= TIME_MS_MAX
    match frame:
        case AggTrade():
            sound_price(frame.p)
            assert 0 <= frame.a <= ID_MAX
        case Trade():
            sound_price(frame.p)
            assert 0 <= frame.t <= ID_MAX
        case BookTicker():
            sound_price(frame.b)
            sound_price(frame.a)
        case MarkPrice():
            sound_price(frame.p)
        case KlineFrame():
            for text in (frame.k.o, frame.k.h, frame.k.l, frame.k.c):
                sound_price(text)


def check_market(raw: bytes) -> None:
    verdict = decode_market(raw)
    for part in verdict if isinstance(verdict, tuple) else (verdict,):
        if isinstance(part, Malformed):
            well_formed(part)
        elif isinstance(part, Ignored):
            assert len(part.reason) <= REASON_CHARS_MAX
            assert not isinstance(verdict, tuple)
        else:
            sound_frame(part)


def check_user(raw: bytes) -> None:
    verdict = decode_user(raw)
    if isinstance(verdict, Malformed):
        well_formed(verdict)
    elif isinstance(verdict, Ignored):
        assert len(verdict.reason) <= REASON_CHARS_MAX
    else:
        assert isinstance(verdict, UserEvent)
        assert 0 <= verdict.event_time_ms <= TIME_MS_MAX
        if isinstance(verdict, OrderTradeUpdate):
            assert verdict.order.filled_quantity.is_finite()
            assert verdict.order.execution_type != "TRADE" or verdict.order.last_filled_price > 0
        if isinstance(verdict, AccountUpdate):
            for position in verdict.account.positions:
                assert position.position_amount.is_finite()
                assert not position.position_amount or position.entry_price > 0


def check_rest(method: str, path: str, status: int, body: bytes) -> None:
    verdict = decode_rest(method, path, status, body, {"symbol": "BTCUSDT"})
    if isinstance(verdict, Malformed):
        well_formed(verdict)
    elif isinstance(verdict, RestFailure):
        assert len(verdict.msg) <= 300
    if not 200 <= status < 300:
        assert isinstance(verdict, RestFailure)


def check_everywhere(raw: bytes) -> None:
    check_market(raw)
    check_user(raw)
    for path in PATHS:
        check_rest("GET", path, 200, raw)


# Whole families, exhaustively ---------------------------------------------------------------------

FRAMES = [
    *MARKET.values(),
    *USER.values(),
    {"result": ["a@b"], "id": 1},
    {"e": "brandNew", "x": [1]},
]


@pytest.mark.parametrize("payload", FRAMES, ids=lambda payload: str(payload.get("e", "reply")))
def test_every_truncation_is_a_truncation(payload: Any) -> None:
    for raw in (wire(payload), enveloped(payload), wire([payload])):
        for length in range(len(raw)):
            for verdict in (decode_market(raw[:length]), decode_user(raw[:length])):
                assert isinstance(verdict, Malformed), raw[:length]
                assert verdict.reason == "truncated JSON", raw[:length]


@pytest.mark.parametrize(("method", "path"), [key for key, body in REST.items() if body])
def test_every_truncation_of_an_answer_is_malformed(method: str, path: str) -> None:
    body = wire(REST[method, path])
    for length in range(len(body)):
        verdict = decode_rest(method, path, 200, body[:length])
        assert isinstance(verdict, Malformed), body[:length]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value inside a JSON value."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with another one at a path."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = new
    return copy


@pytest.mark.parametrize("payload", FRAMES, ids=lambda payload: str(payload.get("e", "reply")))
def test_every_field_takes_every_nonsense(payload: Any) -> None:
    for path in places(payload):
        for new in NONSENSE:
            swapped = replaced(payload, path, new)
            for raw in (wire(swapped), enveloped(swapped)):
                check_market(raw)
                check_user(raw)


@pytest.mark.parametrize(("method", "path"), [key for key, body in REST.items() if body])
def test_every_field_of_an_answer_takes_every_nonsense(method: str, path: str) -> None:
    for place in places(REST[method, path]):
        for new in NONSENSE:
            check_rest(method, path, 200, wire(replaced(REST[method, path], place, new)))


PRICES = {
    "aggTrade": ["p"], "trade": ["p"], "bookTicker": ["b", "a"], "markPriceUpdate": ["p"],
}  # fmt: skip


@given(
    st.sampled_from(sorted(PRICES)),
    st.text(max_size=45) | st.floats().map(str) | st.decimals().map(str),
)
@example("aggTrade", "1E+5")
def test_only_prices_pass_as_prices(event: str, text: str) -> None:
    for field in PRICES[event]:
        raw = wire({**MARKET[event], field: text}) if text.isprintable() else b""
        verdict = decode_market(raw)
        if not isinstance(verdict, Malformed):
            sound_price(text)


# Chance -------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(NONSENSE),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["e", "E", "T", "s", "p", "a", "b", "u", "t", "o", "k", "st", "stream", "data", "result", "id", "error", "code", "msg"]) | st.text(max_size=3), inner, max_size=6),
    max_leaves=12,
)  # fmt: skip
ALL_FRAMES = [wire(payload) for payload in FRAMES] + [enveloped(payload) for payload in FRAMES]
BODIES = [(method, path, wire(body)) for (method, path), body in REST.items()]


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    check_everywhere(raw)


@given(JSON)
def test_any_json(value: Any) -> None:
    check_everywhere(json.dumps(value).encode())


@given(
    st.sampled_from(FRAMES),
    st.dictionaries(
        st.sampled_from(["s", "p", "a", "b", "u", "t", "T", "E", "o", "k", "st", "X", "i"]), JSON
    ),
)
def test_any_values_in_an_event(payload: Any, values: dict[str, Any]) -> None:
    raw = json.dumps({**payload, **values}).encode()
    check_market(raw)
    check_user(raw)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A message with a stretch of it replaced by other bytes."""
    start = draw(st.integers(0, len(whole)))
    end = min(len(whole), start + draw(st.integers(0, 6)))
    return whole[:start] + draw(st.binary(max_size=6)) + whole[end:]


@settings(max_examples=300)
@given(st.data())
def test_damaged_frames(data: st.DataObject) -> None:
    raw = data.draw(damaged(data.draw(st.sampled_from(ALL_FRAMES))))
    check_market(raw)
    check_user(raw)


@given(st.data(), st.sampled_from([200, 200, 400, 503]))
def test_damaged_answers(data: st.DataObject, status: int) -> None:
    method, path, body = data.draw(st.sampled_from(BODIES))
    check_rest(method, path, status, data.draw(damaged(body)))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"e":' * 50_000,
        b'{"data":' * 50_000 + b"{}" + b"}" * 50_000,
        b'{"stream":"x","data":' * 3 + b"{}" + b"}" * 3,
        b"[" * 500_000 + b"]" * 500_000,
        b'{"e":"aggTrade","a":' + b"9" * 100_000 + b"}",
        b'{"e":"aggTrade","a":1e' + b"9" * 100_000 + b"}",
        b'{"e":"aggTrade","s":"' + b"\\u0000" * 1000 + b'"}',
        b'{"e":"aggTrade","s":"\\ud800\\udc00","p":"1","a":1,"T":1}',
        b'{"e":"aggTrade","p":"' + b"1" * 1_000_000 + b'","s":"B","a":1,"T":1}',
        b'{"e":"' + b"x" * 1_000_000 + b'"}',
        b'{"code":' + b"-" * 1000 + b"1}",
        b'{"code":"-' + b"1" * 5000 + b'","msg":"x"}',
        b"\xff\xfe{\x00}\x00",
        b"\x00" * 1000,
        b"NaN",
        b"-",
        b'"\\',
    ],
    ids=range(17),
)  # fmt: skip
def test_absurdities(raw: bytes) -> None:
    check_everywhere(raw)
    check_rest("GET", "/fapi/v1/time", 500, raw)
