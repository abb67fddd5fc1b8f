"""Mutated lines never raise out of a replay, and the sound ones between them decide as if alone."""

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from frames import (
    account_update,
    agg,
    book,
    in_envelope,
    json_bytes,
    line,
    mark,
    ms,
    order_trade,
    position,
    rest,
    trade,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from replayed import SYMBOL, through_file

from reactor.core.plan import plan_from_toml
from reactor.replay.options import AskedPosition, ReplayOptions
from reactor.replay.session import Session

OTHER = "ETHUSDT"
PLAN = plan_from_toml(
    """
name = "mine"
trigger = "last"
[stop]
pct = 0.01
[[targets]]
pct = 0.01
close = 0.5
[trailing]
activate = "in_profit"
pct = 0.004
""",
    source="here",
)
# In profit, trailing, a rung, a dip that is not deep enough, a new peak, and out.
SOUND = ["100", "100.5", "100.2", "101", "101.2", "100.9", "102", "101.7", "101.5", "99"]


def seeds() -> list[Any]:
    """Sound lines of every kind, all of them about another symbol."""
    candle = [ms(0), "1", "2", "1", "2", "9", ms(0) + 59_999, "9", 5, "5", "5", "0"]
    contract = {"symbol": OTHER, "status": "TRADING", "filters": []}
    row = {"symbol": OTHER, "positionSide": "BOTH", "positionAmt": "1", "entryPrice": "50"}
    close = {"command": "close", "symbol": OTHER, "side": "LONG"}
    order = {"symbol": OTHER, "newClientOrderId": "a", "quantity": "1", "type": "MARKET"}
    result = {"symbol": OTHER, "clientOrderId": "a", "status": "FILLED", "executedQty": "1"}
    private = [
        account_update(1, position("1", "50", symbol=OTHER), position("-1", "5", symbol=OTHER)),
        account_update(1, reason="FUNDING_FEE", S=OTHER, B=[{"a": "USDT", "wb": "1", "bc": "-1"}]),
        order_trade(1, side="BUY", quantity="1", price="50", number=5, s=OTHER),
    ]
    return [
        *(line(1, agg("50", 9, 1, symbol=OTHER)), line(1, trade("50", 9, 1, symbol=OTHER))),
        *(line(1, mark("50", 1, symbol=OTHER)), line(1, book("50", "51", 9, 1, symbol=OTHER))),
        line(1, in_envelope(agg("50", 9, 1, symbol=OTHER))),
        line(1, in_envelope([mark("50", 1, symbol=OTHER)] * 2, "!markPrice@arr")),
        *private,
        rest(1, "/fapi/v1/klines", [candle], symbol=OTHER, interval="1m"),
        rest(1, "/fapi/v1/exchangeInfo", {"symbols": [contract]}),
        rest(1, "/fapi/v3/positionRisk", [row], symbol=OTHER),
        rest(1, "/fapi/v1/positionSide/dual", {"dualSidePosition": True}),
        line(1, {"id": 1, "method": "order.place", "params": order}, channel="order", d="out"),
        line(1, {"id": 1, "status": 200, "result": result}, channel="order"),
        line(1, {"id": 1, "status": 400, "error": {"code": -2019}}, channel="order"),
        line(1, close, channel="control"),
        line(1, close | {"command": "set_stop", "price": "49"}, channel="control"),
        line(1, {"state": "down", "stream": "market"}, channel="link"),
    ]


ODD: list[Any] = [None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**53, 2**63 - 1, 2**63, 2**64]
ODD += [10**30, -(2**63), "", " ", "x", "0", "-0", "NaN", "1e308", "1e-308", "9" * 50, "\ud800"]
ODD += [
    "\x00\n\x1b[31m",
    "ＢＴＣ",
    [],
    {},
    [None],
    [[[]]],
    {"e": "aggTrade"},
    "BOTH",
    "LONG",
    "SHORT",
]


def mutated(seed: Any, random: Random) -> bytes:
    """A line with a value swapped, bytes changed, an end cut off, or brackets piled up."""
    way = random.randrange(6)
    if way <= 2:
        copy = json.loads(json.dumps(seed))
        for _ in range(random.randrange(1, 4)):
            place, key = random.choice(list(places(copy)))
            if random.random() < 0.2 and isinstance(place, dict):
                place.pop(key, None)
            else:
                place[key] = deepcopy(random.choice(ODD))
        return json_bytes(copy)
    raw = bytearray(json_bytes(seed))
    if way == 3:
        return bytes(raw[: random.randrange(len(raw))])
    if way == 4:
        for _ in range(random.randrange(1, 6)):
            # Never a newline: that would be two lines. Never the sound symbol.
            raw[random.randrange(len(raw))] = random.choice(b'\x00\x7f\xff{}[]",:019ae-+. \\')
        return bytes(raw)
    depth = random.choice((5, 500, 20_000))
    at = random.randrange(len(raw))
    return bytes(raw[:at]) + random.choice((b"[", b'{"a":')) * depth + bytes(raw[at:])


def places(value: Any) -> Any:
    """Every (container, key) in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


def decided(lines: list[bytes], *, follow: bool) -> list[tuple[str, ...]]:
    """What a session decides about the sound symbol."""
    out: list[dict[str, Any]] = []
    asked = () if follow else (AskedPosition(SYMBOL, "LONG", Decimal(2), Decimal(100)),)
    session = Session(
        ReplayOptions(plan=PLAN, positions=asked),
        header=None,
        emit=out.append,
        note=assert_one_line,
    )
    session.pump.feed(2, lines, session.take)
    out.append(session.finish(seconds=1.0))
    json.dumps(out).encode()
    keys = ("type", "tick", "quantity", "entry", "price", "stop", "kind", "reasons", "remaining")
    return [tuple(str(one.get(key)) for key in keys) for one in out if one.get("symbol") == SYMBOL]


def assert_one_line(text: str) -> None:
    assert text.isprintable()
    assert len(text) < 1000


def sound_lines(*, envelope: bool, follow: bool) -> list[bytes]:
    frames = [(n, agg(price, n + 1, n)) for n, price in enumerate(SOUND)]
    lines = [line(n, in_envelope(frame) if envelope else frame) for n, frame in frames]
    if follow:
        lines.insert(0, account_update(0, position("2", "100")))
    return [json_bytes(one) for one in lines]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(random=st.randoms(use_true_random=False), envelope=st.booleans(), follow=st.booleans())
def test_mutated_lines_cost_themselves_alone(random: Random, envelope: bool, follow: bool) -> None:
    sound = sound_lines(envelope=envelope, follow=follow)
    expected = decided(sound, follow=follow)
    assert len(expected) == (7 if follow else 8)
    # A snapshot that has lost its symbol is one of all symbols, and rightly ends the sound one.
    all_seeds = [seed for seed in seeds() if not follow or "positionRisk" not in str(seed)]
    lines = list(sound)
    for _ in range(random.randrange(1, 12)):
        lines.insert(random.randrange(len(lines)), mutated(random.choice(all_seeds), random))
    assert decided(lines, follow=follow) == expected


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b""))))
@example(lines=[b'{"t":' + b"9" * 5000 + b',"c":"market","m":1}'])
@example(lines=[b'{"t":1,"c":"market","m":{"e":"aggTrade","s":"\\ud800","p":"1","a":1,"T":1}}'])
def test_random_bytes_cost_themselves_alone(lines: list[bytes]) -> None:
    sound = sound_lines(envelope=False, follow=False)
    mixed = [one for n, good in enumerate(sound) for one in (good, *lines[n : n + 1])]
    assert decided([raw for raw in mixed if raw], follow=False) == decided(sound, follow=False)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(tail=st.binary(max_size=300), suffix=st.sampled_from(["", ".gz", ".zst"]))
def test_a_file_with_a_random_tail_is_read_to_its_end(tail: bytes, suffix: str) -> None:
    from reactor.shell.compressed import packer_for

    sound = sound_lines(envelope=False, follow=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"x.jsonl{suffix}"
        packer = packer_for(path)
        raw = b'{"tape":1}\n' + b"\n".join(sound) + b"\n"
        # Behind the archive's end where it is one, behind the last line where it is not.
        path.write_bytes(packer.block(raw) + packer.end() + tail)
        asked = AskedPosition(SYMBOL, "LONG", Decimal(2), Decimal(100))
        ran = through_file(path, ReplayOptions(plan=PLAN, positions=(asked,)))
    assert ran.summary["ticks"] == len(SOUND)
    assert len(ran.of("exit")) == 2
