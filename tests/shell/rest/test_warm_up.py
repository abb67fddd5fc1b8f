"""Candles before the first tick: enough of them, of the right price, and again after a hole."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_room import Room, ScriptedRest, virtually

from reactor.core.plan import Plan, Smoothing, StopPlan
from reactor.errors import RestFailed
from reactor.shell.rest.warm_up import Need, WarmUp, candles_needed, filled_up, need_of
from reactor.shell.rest_seam import RestReply

BTC = Need(symbol="BTCUSDT", source="mark", interval="5m")


@given(period=st.integers(1, 80))
def test_the_first_value_is_forgotten(period: int) -> None:
    rows = candles_needed(period, "wilder")
    assert rows >= candles_needed(period, "sma") == period + 2
    # One row has no close before it, one still forms; the rest after the seed fades it.
    fades = rows - period - 2
    assert period == 1 or ((period - 1) / period) ** fades <= 1e-9 or rows == 1500


@pytest.mark.parametrize(
    ("period", "method", "rows", "weight"),
    [
        (14, "wilder", 499, 2),
        (14, "sma", 99, 1),
        (200, "sma", 499, 2),
        (1, "wilder", 99, 1),
        (40, "wilder", 1000, 5),
        (5000, "wilder", 1500, 10),
    ],
)
def test_what_is_read_costs_no_more_than_it_must(
    period: int, method: Smoothing, rows: int, weight: int
) -> None:
    assert filled_up(candles_needed(period, method)) == (rows, weight)


def test_a_plan_says_what_it_needs() -> None:
    plan = Plan(name="p", trigger="book", stop=StopPlan())
    assert need_of(plan, "BTCUSDT") == Need(symbol="BTCUSDT", source="book", interval="5m")
    assert need_of(plan, "BTCUSDT").path == "/fapi/v1/klines"
    assert BTC.path == "/fapi/v1/markPriceKlines"


@contextlib.asynccontextmanager
async def reading(room: Room) -> AsyncIterator[WarmUp]:
    warm_up = WarmUp(room.client, room.inbox, room.audit, room.clock)
    task = asyncio.create_task(warm_up.run())
    try:
        yield warm_up
    finally:
        task.cancel()
        (end,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(end, asyncio.CancelledError), end


def limits(room: Room) -> list[int]:
    return [int(dict(parse_qsl(query))["limit"]) for _, query, _ in room.requests]


@virtually
async def test_nine_positions_are_warm_within_a_second() -> None:
    room = Room()
    async with reading(room) as warm_up:
        symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "BNBUSDT")
        for symbol in symbols:
            warm_up.want(Need(symbol=symbol, source="mark", interval="5m"))
            warm_up.want(Need(symbol=symbol, source="last", interval="1m", method="sma"))
            warm_up.want(Need(symbol=symbol, source="book", interval="1m", method="sma"))
        assert warm_up.waiting == 12, "book and last read the same candles"
        assert await warm_up.until_warm(1.0)
        assert len(room.inbox.answers) == 12
        for answer in room.inbox.answers:
            rows = json.loads(answer.body)
            assert len(rows) == answer.params["limit"]


@virtually
async def test_the_candle_that_watching_began_in_is_read_again_when_it_is_over() -> None:
    room = Room()
    async with reading(room) as warm_up:
        warm_up.want(BTC)
        assert await warm_up.until_warm(1.0)
        await asyncio.sleep(3600)
        assert limits(room) == [499, 99], "once, and then no more"
        closed_at_s = room.requests[1][0] + 1_795_000_020
        assert 3 <= closed_at_s % 300 < 4


@virtually
async def test_a_hole_is_filled_with_what_it_left_out() -> None:
    room = Room()
    async with reading(room) as warm_up:
        now_ns = room.clock.now_ns()
        warm_up.fill([BTC], since_ns=now_ns - 20 * 60 * 1_000_000_000)
        assert await warm_up.until_warm(1.0)
        warm_up.fill([BTC], since_ns=now_ns - 20 * 3600 * 1_000_000_000)
        assert await warm_up.until_warm(1.0)
        warm_up.fill([BTC], since_ns=0)
        assert await warm_up.until_warm(1.0)
        assert limits(room)[:3] == [99, 499, 499]


@virtually
async def test_what_looks_back_far_is_read_page_by_page_without_a_hole() -> None:
    room = Room()
    async with reading(room) as warm_up:
        warm_up.want(Need(symbol="BTCUSDT", source="mark", interval="1h", rows=3200))
        assert await warm_up.until_warm(5.0)
        assert limits(room) == [1500, 1500, 499]
        pages = [[row[0] for row in json.loads(answer.body)] for answer in room.inbox.answers]
        times = pages[2] + pages[1] + pages[0]
        assert {after - before for before, after in pairwise(times)} == {3_600_000}
        assert len(times) == 3499


@virtually
async def test_pages_end_where_there_is_nothing_older() -> None:
    row = [3_600_000 * 400_000, "1", "1", "1", "1", "1", 3_600_000 * 400_001 - 1, "1", 1, "1", "1"]
    reply = RestReply(200, {}, json.dumps([[*row, "0"]]).encode())
    room = Room(transport=ScriptedRest(reply))
    async with reading(room) as warm_up:
        warm_up.want(Need(symbol="BTCUSDT", source="last", interval="1h", rows=4000))
        assert await warm_up.until_warm(5.0)
        assert len(room.inbox.answers) == 1


@virtually
async def test_a_page_that_fails_is_read_again_with_all_before_it() -> None:
    room = Room()
    room.faults({"do": "error", "code": -1121, "count": 1})
    async with reading(room) as warm_up:
        warm_up.want(Need(symbol="BTCUSDT", source="mark", interval="1h", rows=3000))
        assert await warm_up.until_warm(20.0)
        assert limits(room) == [1500, 1500, 1500]


@virtually
async def test_more_that_is_wanted_while_less_is_under_way_is_read_too() -> None:
    room = Room()
    room.faults({"do": "latency", "ms": 2000, "count": 1})
    async with reading(room) as warm_up:
        warm_up.fill([BTC], since_ns=room.clock.now_ns())
        await asyncio.sleep(0.5)
        warm_up.want(BTC)
        assert await warm_up.until_warm(10)
        assert limits(room) == [99, 499]


@virtually
async def test_what_fails_is_tried_again_and_told_after_the_third_time() -> None:
    room = Room(transport=ScriptedRest(RestFailed("no answer")))
    async with reading(room) as warm_up:
        warm_up.want(BTC)
        assert not await warm_up.until_warm(600)
        (alarm,) = room.alarms("candles")
        assert "fallback stop holds" in alarm.text
        assert warm_up.waiting == 1
        assert len(room.requests) < 60
        warm_up.forget("BTCUSDT")
        assert await warm_up.until_warm(0)
        asked = len(room.requests)
        await asyncio.sleep(600)
        assert len(room.requests) <= asked + 4, "only what was under way"


@virtually
async def test_an_exchange_that_stumbles_is_read_in_the_end() -> None:
    room = Room()
    room.faults({"do": "not_json", "count": 6}, {"do": "error", "code": -1121, "count": 1})
    async with reading(room) as warm_up:
        warm_up.want(BTC)
        assert await warm_up.until_warm(120)
        assert room.alarms("candles") == []
