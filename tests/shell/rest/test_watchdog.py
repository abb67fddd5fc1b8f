"""Blind symbols have a price over REST within five seconds, each by its plan's own source, until the stream is back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from urllib.parse import parse_qsl

from rest_room import Room, ScriptedRest, virtually

from reactor.audit import SourceChanged
from reactor.core.plan import Trigger
from reactor.core.silence import Silence
from reactor.errors import RestFailed
from reactor.shell.rest.poller import Poller
from reactor.shell.rest.watchdog import Watchdog

PATHS = {
    "mark": "/fapi/v1/premiumIndex",
    "last": "/fapi/v1/ticker/price",
    "book": "/fapi/v1/ticker/bookTicker",
}


class Watch:
    """A room with a watchdog; symbols tick until they are muted."""

    def __init__(self, room: Room, triggers: dict[str, Collection[Trigger]]) -> None:
        self.room = room
        self.muted: set[str] = set()
        self.heard: dict[str, int | None] = dict.fromkeys(triggers)
        self.replaced: list[tuple[str, str]] = []
        self.poller = Poller(
            room.client, room.inbox, room.audit, room.clock, triggers=triggers.__getitem__
        )
        self.watchdog = Watchdog(
            Silence(blind_ms=3000),
            self.poller,
            room.inbox,
            room.audit,
            room.clock,
            ages=lambda: self.heard,
            replace=lambda route, reason: self.replaced.append((route, reason)),
        )

    async def tick(self) -> None:
        while True:
            for symbol in self.heard:
                if symbol not in self.muted:
                    self.heard[symbol] = self.room.clock.now_ns()
            await asyncio.sleep(1)

    def polled(self) -> list[tuple[str, str]]:
        """Path and symbol of every question."""
        return [
            (path, dict(parse_qsl(query)).get("symbol", ""))
            for _, query, path in self.room.requests
        ]


@contextlib.asynccontextmanager
async def watching(
    triggers: dict[str, Collection[Trigger]], *, room: Room | None = None
) -> AsyncIterator[Watch]:
    watch = Watch(room or Room(), triggers)
    tasks = [
        asyncio.create_task(run()) for run in (watch.tick, watch.watchdog.run, watch.poller.run)
    ]
    await asyncio.sleep(10)
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError) for end in done), done


@virtually
async def test_while_the_stream_delivers_nothing_is_asked() -> None:
    async with watching({"BTCUSDT": ["mark"], "ETHUSDT": ["last"]}) as watch:
        await asyncio.sleep(3600)
        assert watch.room.requests == []
        assert watch.poller.sources == {}


@virtually
async def test_a_blind_symbol_is_polled_by_its_plans_source_and_the_others_are_not() -> None:
    for trigger, path in PATHS.items():
        async with watching({"BTCUSDT": [trigger], "ETHUSDT": ["mark"]}) as watch:  # type: ignore[list-item]
            room = watch.room
            watch.muted.add("BTCUSDT")
            await asyncio.sleep(14.5)
            assert set(watch.polled()) == {(path, "BTCUSDT")}
            assert watch.poller.sources == {"BTCUSDT": "rest"}
            assert 9 <= len(room.inbox.answers) <= 13, "once a second"
            assert all(answer.params == {"symbol": "BTCUSDT"} for answer in room.inbox.answers)
            watch.muted.clear()
            await asyncio.sleep(1.5)
            asked = len(room.requests)
            await asyncio.sleep(10)
            assert len(room.requests) == asked
            assert watch.poller.sources == {"BTCUSDT": "stream"}
            changes = [e.what for e in room.events if isinstance(e.what, SourceChanged)]
            assert [(change.symbol, change.source) for change in changes] == [
                ("BTCUSDT", "rest"),
                ("BTCUSDT", "stream"),
            ]
            told = [(link.symbol, link.source, link.gap) for link in room.inbox.links]
            assert told == [("BTCUSDT", "rest", True), ("BTCUSDT", "stream", True)]


@virtually
async def test_two_plans_on_one_symbol_have_both_their_sources() -> None:
    async with watching({"BTCUSDT": ["last", "book"], "ETHUSDT": []}) as watch:
        watch.muted.update({"BTCUSDT", "ETHUSDT"})
        await asyncio.sleep(5)
        assert set(watch.polled()) == {
            (PATHS["last"], "BTCUSDT"),
            (PATHS["book"], "BTCUSDT"),
            (PATHS["mark"], "ETHUSDT"),
        }


@virtually
async def test_many_blind_symbols_are_one_question_where_that_is_cheaper() -> None:
    few = {f"S{number}USDT": ["mark"] for number in range(10)}
    async with watching(few) as watch:  # type: ignore[arg-type]
        watch.muted.update(few)
        await asyncio.sleep(5)
        assert "" not in {symbol for _, symbol in watch.polled()}
    many = {f"S{number}USDT": ["mark", "last", "book"] for number in range(200)}
    async with watching(many) as watch:  # type: ignore[arg-type]
        watch.muted.update(many)
        await asyncio.sleep(60)
        assert {symbol for _, symbol in watch.polled()} == {""}
        state = watch.room.budget.state(watch.room.clock.now_ns())
        assert state.weight_used <= 17 * 61
        assert watch.poller.refused == 0


@virtually
async def test_prices_are_never_older_than_five_seconds_while_half_the_answers_are_lost() -> None:
    symbols: dict[str, Collection[Trigger]] = {
        name: ["mark"] for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT")
    }
    async with watching(symbols) as watch:
        watch.muted.update(symbols)
        room = watch.room
        room.faults(
            {"do": "error", "status": 503, "code": -1000, "probability": 0.3, "count": 0},
            {"do": "hang", "probability": 0.2, "count": 0},
        )
        muted_ns = room.clock.now_ns()
        await asyncio.sleep(120)
        for symbol in symbols:
            times = [a.t_ns for a in room.inbox.answers if a.params == {"symbol": symbol}]
            gaps = [late - early for early, late in zip([muted_ns, *times], times, strict=False)]
            # Five seconds cannot be had for certain where half is lost; the median must be far below.
            assert sorted(gaps)[len(gaps) // 2] < 2.5e9
            assert len(times) > 40


@virtually
async def test_where_neither_stream_nor_rest_has_a_price_a_person_is_told_once() -> None:
    room = Room(transport=ScriptedRest(RestFailed("no answer")))
    async with watching({"BTCUSDT": ["mark"]}, room=room) as watch:
        watch.muted.add("BTCUSDT")
        await asyncio.sleep(60)
        (alarm,) = room.alarms("blind")
        assert "BTCUSDT has no mark price" in alarm.text
        assert room.inbox.answers == []
        assert watch.poller.failed > 40


@virtually
async def test_the_second_alarm_replaces_the_socket_and_a_silent_market_is_said() -> None:
    async with watching({"BTCUSDT": ["mark"], "ETHUSDT": ["mark"]}) as watch:
        watch.muted.add("ETHUSDT")
        await asyncio.sleep(4.5)
        assert watch.replaced == []
        assert len(watch.room.alarms("silence")) == 1
        await asyncio.sleep(3)
        assert [route for route, _ in watch.replaced] == ["market"]
        watch.muted.add("BTCUSDT")
        await asyncio.sleep(5)
        silent = [link for link in watch.room.inbox.links if link.state == "silent"]
        assert [link.stream for link in silent] == ["market"]
        watch.muted.clear()
        await asyncio.sleep(2)
        assert watch.room.inbox.links[-1].state == "up"
        assert watch.watchdog.silence.health == "delivering"


@virtually
async def test_a_symbol_that_is_not_held_any_more_is_not_polled_any_more() -> None:
    async with watching({"BTCUSDT": ["mark"], "ETHUSDT": ["mark"]}) as watch:
        watch.muted.add("ETHUSDT")
        await asyncio.sleep(5)
        del watch.heard["ETHUSDT"]
        await asyncio.sleep(1)
        asked = len(watch.room.requests)
        await asyncio.sleep(20)
        assert len(watch.room.requests) == asked
        assert watch.poller.sources == {}


@virtually
async def test_a_delisted_symbol_is_asked_for_ever_more_seldom() -> None:
    async with watching({"GONEUSDT": ["mark"], "BTCUSDT": ["mark"]}) as watch:
        watch.muted.add("GONEUSDT")
        await asyncio.sleep(600)
        assert len(watch.room.requests) < 40
        assert len(watch.room.alarms("blind")) == 1


@virtually
async def test_when_the_share_is_used_up_polling_goes_on_in_the_next_minute() -> None:
    room = Room()
    async with watching({"BTCUSDT": ["mark"]}, room=room) as watch:
        headers = {"x-mbx-used-weight-1m": "2300"}
        now_ns = room.clock.now_ns()
        room.budget.came_back(now_ns, weight=0, asked_ns=now_ns, headers=headers)
        watch.muted.add("BTCUSDT")
        await asyncio.sleep(20)
        assert room.requests == []
        assert 3 <= watch.poller.refused <= 7, "and is asked for more seldom meanwhile"
        await asyncio.sleep(60)
        assert len(room.inbox.answers) > 20


@virtually
async def test_an_answer_that_the_stream_overtook_is_dropped() -> None:
    room = Room()
    room.faults({"do": "latency", "ms": 1500, "count": 0})
    async with watching({"BTCUSDT": ["mark"], "ETHUSDT": ["mark"]}, room=room) as watch:
        watch.muted.add("BTCUSDT")
        await asyncio.sleep(2.9)
        assert len(room.requests) == 1
        watch.muted.clear()
        await asyncio.sleep(10)
        assert room.inbox.answers == []
