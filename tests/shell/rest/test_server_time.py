"""The offset: the quickest of several samples, again every so often, and told where it is large."""

import asyncio
import itertools

from rest_room import START_MS, Room, virtually

from reactor.audit import Degraded
from reactor.clock import LoopClock
from reactor.errors import RestFailed
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestAnswer


class Exchange:
    """Tells a time that is off by `skew_ms`; ways there and back take what they are told to."""

    def __init__(self, clock: LoopClock, skew_ms: int, *ways_ms: tuple[int, int] | None) -> None:
        self.asked = 0
        self.skew_ms = skew_ms
        self._clock = clock
        self._ways = itertools.cycle(ways_ms)

    async def ask_once(self, path: str, *, timeout_s: float) -> RestAnswer:
        self.asked += 1
        way = next(self._ways)
        if way is None:
            raise RestFailed("no answer")
        asked_ns = self._clock.now_ns()
        await asyncio.sleep(way[0] / 1000)
        server_ms = self._clock.now_ns() // 1_000_000 + self.skew_ms
        await asyncio.sleep(way[1] / 1000)
        return RestAnswer(
            method="GET",
            path=path,
            params={},
            status=200,
            body=b'{"serverTime":%d}' % server_ms,
            asked_ns=asked_ns,
            t_ns=self._clock.now_ns(),
        )


@virtually
async def test_the_quickest_sample_counts() -> None:
    room = Room()
    time = ServerTime(room.clock, room.audit)
    exchange = Exchange(room.clock, 300, (400, 5), (10, 12), (3, 300), None, (90, 20))
    assert await time.sync(exchange)
    assert time.round_trip_ns == 22_000_000
    assert abs(time.offset_ms - 300) <= 11, "half the round trip bounds the error"
    assert time.timestamp_ms(START_MS * 1_000_000) == START_MS + time.offset_ns // 1_000_000
    assert room.alarms("clock") == []


@virtually
async def test_without_any_answer_the_offset_stays() -> None:
    room = Room()
    time = ServerTime(room.clock, room.audit)
    await time.sync(Exchange(room.clock, 300, (5, 5)))
    before = time.offset_ns
    silent = Exchange(room.clock, 900, None)
    assert not await time.sync(silent)
    assert silent.asked == 2
    assert time.offset_ns == before


@virtually
async def test_a_clock_that_is_off_is_told_and_its_mend_too() -> None:
    room = Room()
    time = ServerTime(room.clock, room.audit, interval_s=300)
    exchange = Exchange(room.clock, 0, (5, 5))
    running = asyncio.create_task(time.run(exchange))
    await asyncio.sleep(301)
    assert exchange.asked == 5
    assert room.events == []
    exchange.skew_ms = -800
    await asyncio.sleep(300)
    (alarm,) = room.alarms("clock")
    assert "800 ms ahead of the exchange's" in alarm.text
    assert "NTP" in alarm.text
    exchange.skew_ms = 0
    await asyncio.sleep(300)
    states = [e.what.degraded for e in room.events if isinstance(e.what, Degraded)]
    assert states == [True, False]
    running.cancel()


@virtually
async def test_a_failed_measurement_is_repeated_sooner() -> None:
    room = Room()
    time = ServerTime(room.clock, room.audit, interval_s=300)
    exchange = Exchange(room.clock, 0, *[None] * 5, (5, 5))
    running = asyncio.create_task(time.run(exchange))
    await asyncio.sleep(325)
    assert time.synced_ns > 0
    assert exchange.asked <= 12
    running.cancel()


@virtually
async def test_a_slow_network_is_no_wrong_clock() -> None:
    room = Room()
    time = ServerTime(room.clock, room.audit)
    assert await time.sync(Exchange(room.clock, 0, (1800, 100)))
    assert abs(time.offset_ms) > 500
    assert room.alarms("clock") == []
