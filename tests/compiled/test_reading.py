"""A price that is read where it lies in memory is the price that the decoder gives."""

import asyncio
import gzip
import random
from typing import Any

import msgspec
import orjson
import pytest
from feed_rig import ENVIRONMENT, World, run_virtually
from hypothesis import given, settings
from hypothesis import strategies as st
from tape_recordings import recording
from wired import agg, book, mark, trade

from reactor import compiled
from reactor.binance.market_messages import AggTrade, BookTicker, MarkPrice, Trade
from reactor.core.exact import double
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.lookout import decode

hot: Any = compiled.hot
pytestmark = pytest.mark.skipif(hot is None, reason=compiled.why_not)

KINDS: dict[type, str] = {AggTrade: "last", MarkPrice: "mark", BookTicker: "book"}


def holds(message: bytes) -> bool:
    """Whether a frame is understood; and if so, that it is what the decoder says it is."""
    said = hot.read(message)
    if said is None:
        return False
    kind, symbol, price, number, t_event_ms, is_usdm = said
    frame = decode(message).data
    assert kind == KINDS[type(frame)]
    assert symbol == frame.s
    assert is_usdm == (frame.st == 1)
    if kind != "book":
        assert price == double(frame.p)
        assert number == (frame.a if kind == "last" else frame.E)
        assert t_event_ms == (frame.T if kind == "last" else frame.E)
    return True


# What Binance and the simulated exchange write -----------------------------------------------------


@pytest.mark.parametrize("price", ["1", "0.1", "61800.30", "0.00001234", "97345.12345678", "99.0"])
@pytest.mark.parametrize("kind", [agg, mark, book])
def test_plain_frames_are_understood(kind: Any, price: str) -> None:
    assert holds(kind(price, 7))
    assert holds(kind(price, 10**17))


def test_what_else_a_frame_may_be_is_left_to_the_decoder() -> None:
    assert not holds(trade("99.0", 7))  # it counts only where no aggregated ones come
    assert not holds(agg("99.0", 7, symbol="币安USDT"))
    assert not holds(orjson.dumps({"stream": "x", "data": {"e": "depthUpdate"}}))
    assert not holds(orjson.dumps({"result": None, "id": 1}))
    assert not holds(b"")


def test_what_the_simulated_exchange_writes_is_understood() -> None:
    async def main() -> None:
        world = World()
        feed = MarketFeed(
            world.network,
            ENVIRONMENT,
            world.heard,
            world.audit,
            world.clock,
            world.config,
            random.Random(7),
        )
        names = ("aggTrade", "markPrice@1s", "bookTicker", "trade")
        feed.want(f"btcusdt@{name}" for name in names)
        task = asyncio.create_task(feed.run())
        for price in ("81000", "81000.1", "80999.9", "100123.4"):
            await asyncio.sleep(2)
            world.door("/sim/price", {"symbol": "BTCUSDT", "price": price})
        await asyncio.sleep(2)
        task.cancel()
        messages = [message for _, _, message in world.heard.messages]
        kinds = [type(decode(message).data) for message in messages]
        assert set(kinds) == {*KINDS, Trade}
        for message, kind in zip(messages, kinds, strict=True):
            assert holds(message) is (kind is not Trade), message

    run_virtually(main())


@pytest.mark.parametrize(
    "parts",
    [
        ("ws_cryptofeed", "2021-07-22_BINANCE_FUTURES.ws.1.0.txt.gz"),
        ("ws_hftbacktest", "btcusdt_20240808.gz"),
    ],
)
def test_what_binance_wrote_is_understood(parts: tuple[str, str]) -> None:
    understood = 0
    with gzip.open(recording(*parts), "rb") as lines:
        for line in lines:
            place = line.find(b'{"stream"')
            if place < 0:
                continue
            message = line[place:].strip()
            try:
                kind = type(decode(message).data)
            except msgspec.ValidationError:
                continue
            assert holds(message) is (kind in KINDS), message
            understood += 1
    assert understood > 500


# Anything at all ----------------------------------------------------------------------------------

digits = st.text("0123456789", min_size=1, max_size=19)
decimals = st.one_of(
    digits,
    st.tuples(digits, digits).map(".".join),
    st.tuples(st.integers(0, 10**9), st.text("0123456789", min_size=1, max_size=8)).map(
        lambda parts: f"{parts[0]}.{parts[1]}"
    ),
    st.sampled_from(
        [
            "0",
            "00",
            "0.",
            ".5",
            "-1.5",
            "1e2",
            "1E5",
            "",
            "nan",
            "Infinity",
            "1.2.3",
            " 1",
            "1 ",
            "1_0",
        ]
    ),
    st.sampled_from(
        ["9007199254740993", "999999999999999", "0.999999999999999", "123456.7890123456"]
    ),
)
words = st.one_of(
    st.sampled_from(["BTCUSDT", "aggTrade", "markPriceUpdate", "bookTicker", "trade", "kline", ""]),
    st.sampled_from(
        ["a\\u0062c", "\\n", '\\"', "é", "币安", "\\ud800", "\x00", "\x1f", "\x7f", "\\"]
    ),
    st.text(max_size=6).filter(lambda word: '"' not in word and "\\" not in word),
)
strings = st.one_of(words, decimals).map(lambda word: f'"{word}"')
numbers = st.one_of(
    st.integers(0, 10**13).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["-0", "01", "1.0", "1e3", "-", "1.", "1.5e", "9223372036854775808", "999999999999999999"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
values = st.one_of(
    strings,
    numbers,
    st.sampled_from(
        ["true", "false", "null", "tru", "nul", "[]", "{}", "[[1]]", '{"a":1}', '{"p":"1"}', ""]
    ),
)
names = st.one_of(
    st.sampled_from(
        ["e", "E", "s", "p", "a", "T", "st", "b", "u", "t", "X", "q", "m", "ps", "nq", "ap"]
    ),
    words,
)
PLAIN: dict[str, list[tuple[str, str]]] = {
    "aggTrade": [("E", "5"), ("s", '"BTCUSDT"'), ("a", "6"), ("p", '"99.9"'), ("q", '"1"'), ("T", "4"), ("m", "true")],
    "markPriceUpdate": [("E", "5"), ("s", '"BTCUSDT"'), ("p", '"99.9"'), ("i", '"1"'), ("r", '"-0.1"'), ("T", "0")],
    "bookTicker": [("u", "5"), ("s", '"BTCUSDT"'), ("b", '"1"'), ("B", '"2"'), ("a", '"3"'), ("T", "4"), ("E", "5")],
    "trade": [("E", "5"), ("T", "4"), ("s", '"BTCUSDT"'), ("t", "1"), ("p", '"1"'), ("X", '"MARKET"')],
}  # fmt: skip


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame of some kind in which something may be wrong."""
    kind = draw(st.sampled_from(sorted(PLAIN)))
    fields = [("e", f'"{kind}"'), *PLAIN[kind]]
    if draw(st.booleans()):
        fields.append(("st", draw(st.sampled_from(["1", "2", "1.0", '"1"', "null", "-1"]))))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(fields) - 1))
        match draw(st.sampled_from(["value", "number", "price", "name", "double", "drop", "add"])):
            case "value":
                fields[place] = (fields[place][0], draw(values))
            case "number":
                fields[place] = (fields[place][0], draw(numbers))
            case "price":
                fields = [(n, f'"{draw(decimals)}"' if n == "p" else v) for n, v in fields]
            case "name":
                fields[place] = (draw(names), fields[place][1])
            case "double":
                fields.insert(draw(st.integers(0, len(fields))), fields[place])
            case "drop" if len(fields) > 1:
                del fields[place]
            case _:
                fields.insert(place, (draw(names), draw(values)))
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    space = draw(st.sampled_from(["", "", "", " ", "\n"]))
    body = f",{space}".join(f'"{name}":{space}{value}' for name, value in fields)
    stream = draw(st.sampled_from(["btcusdt@aggTrade", "", "é", "\\u0041", "x"]))
    wholes = ['{{"stream":"{}","data":{{{}}}}}'] * 6 + [
        '{{"stream":"{}","data":{{{}}}}} ',
        '{{"stream":"{}", "data":{{{}}}}}',
        '{{"stream":"{}","data":{{{}}},"x":1}}',
        ' {{"stream":"{}","data":{{{}}}}}',
    ]
    text = draw(st.sampled_from(wholes)).format(stream, body)
    return text.encode(errors="surrogatepass")


@settings(max_examples=600)
@given(frames())
def test_whatever_is_understood_is_what_the_decoder_says(message: bytes) -> None:
    holds(message)


@settings(max_examples=600)
@given(
    st.one_of(st.sampled_from([agg("99.9", 7), mark("99.9", 7), book("99.9", 7)]), frames()),
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.sampled_from(["put", "cut", "set", "end", "swap"]),
            st.binary(max_size=3),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_damaged_frames_are_read_as_the_decoder_reads_them(
    message: bytes, damages: list[tuple[float, str, bytes]]
) -> None:
    for share, what, data in damages:
        place = int(share * len(message))
        match what:
            case "put":
                message = message[:place] + data + message[place:]
            case "cut":
                message = message[:place] + message[place + 1 :]
            case "set":
                message = message[:place] + data + message[place + len(data) :]
            case "swap":
                message = message[:place] + message[place : place + 2][::-1] + message[place + 2 :]
            case _:
                message = message[:place]
    holds(message)


def test_a_frame_that_ends_anywhere_is_none() -> None:
    for whole in (agg("99.9", 7), mark("99.9", 7), book("99.9", 7)):
        for end in range(len(whole)):
            assert not holds(whole[:end])


@settings(max_examples=500)
@given(decimals)
def test_a_price_is_the_double_that_is_nearest(price: str) -> None:
    message = agg(price, 7)
    if not holds(message):
        # Everything that a contract's price can be written as is understood.
        assert len(price.replace(".", "")) > 15 or msgspec_refuses(price)


def msgspec_refuses(price: str) -> bool:
    try:
        double(price)
    except ValueError:
        return True
    return "e" in price.lower() or price != price.strip() or price.startswith("-")
