"""How the record of a gap is read: pages, fallbacks, failures, and gaps that open again. Time is virtual."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from decimal import Decimal
from typing import Any

import msgspec
import orjson
import pytest

from reactor.audit import AlarmRaised, Audit, AuditEvent
from reactor.clock import LoopClock
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.exact import text
from reactor.core.plan import plan_from_toml
from reactor.errors import RestFailed
from reactor.shell.gap_audit import GapAudit
from reactor.shell.inbox import Link
from reactor.shell.pump import Pump
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.tape_format import TapeLine
from reactor.sim.virtual_loop import run_virtually

BTC = "BTCUSDT"
START_MS = 1_795_000_020_000
"""A whole minute."""
AGG, KLINES, MARKS = "/fapi/v1/aggTrades", "/fapi/v1/klines", "/fapi/v1/markPriceKlines"
PLAN = """
name = "trails"
trigger = "{trigger}"
[stop]
pct = 0.1
[trailing]
activate = "in_profit"
pct = 0.01
"""

Asked = tuple[str, dict[str, Any]]


class Record:
    """What the exchange has on record, and a REST client that reads it.

    Attributes:
        trades: id, time in ms, price. `asked`: every question. `fails`: how many questions fail from now on.
        candle: gives a minute's row by its opening.
    """

    def __init__(self, clock: LoopClock, *, ahead_ms: int = 0) -> None:
        self.trades: list[tuple[int, int, str]] = []
        self.asked: list[Asked] = []
        self.fails = 0
        self.took_s = 0.0
        self.price = "100"
        self.candle: Callable[[int], tuple[str, str]] = lambda _open_ms: ("99", "101")
        self._clock = clock
        self._ahead_ms = ahead_ms

    @property
    def server_time(self) -> "Record":
        return self

    def timestamp_ms(self, now_ns: int) -> int:
        return now_ns // 1_000_000 + self._ahead_ms

    async def get(
        self, path: str, params: Mapping[str, Any], *, weight: int, purpose: str
    ) -> RestAnswer:
        assert weight
        assert purpose in {"history", "poll"}
        self.asked.append((path, dict(params)))
        asked_ns = self._clock.now_ns()
        await asyncio.sleep(self.took_s)
        status, body = 200, self._body(path, params)
        if self.fails:
            self.fails -= 1
            if self.fails % 2:
                raise RestFailed(f"{path}: no answer")
            status, body = (
                400,
                {"code": -1127, "msg": "More than 1 hour between startTime and endTime."},
            )
        return RestAnswer(
            method="GET",
            path=path,
            params=params,
            status=status,
            body=orjson.dumps(body),
            asked_ns=asked_ns,
            t_ns=self._clock.now_ns(),
        )

    def _body(self, path: str, params: Mapping[str, Any]) -> Any:
        if path == AGG:
            assert not ("fromId" in params and "startTime" in params)
            first, last = params.get("startTime", 0), params.get("endTime", 1 << 62)
            rows = [
                {"a": number, "p": price, "q": "1", "f": number, "l": number, "T": t_ms, "m": True}
                for number, t_ms, price in self.trades
                if first <= t_ms <= last and number >= params.get("fromId", 0)
            ]
            return rows[: params["limit"]]
        if path == "/fapi/v1/ticker/price":
            return {
                "symbol": BTC,
                "price": self.price,
                "time": self.timestamp_ms(self._clock.now_ns()),
            }
        opens = range(params["startTime"], params["endTime"], 60_000)
        assert len(opens) == params["limit"] <= 1500
        return [
            [t, self.candle(t)[0], self.candle(t)[1], *[self.candle(t)[0]] * 2, "1", t + 59_999]
            for t in opens
        ]


class Guarded:
    """An engine behind its pump, with the parts of a guard that the audit looks at."""

    def __init__(self, trigger: str, clock: LoopClock) -> None:
        plan = plan_from_toml(PLAN.format(trigger=trigger), source="test")
        engine = Engine(plan_for=lambda _symbol, _side: plan)
        self.pump = Pump(engine, note=self._note, follow_account=True)
        self.engine = engine
        self.notes: list[str] = []
        self.sources: dict[str, str] = {}
        self.links: list[Callable[[Link, int], None]] = []
        self.after: list[Callable[[Any, int], None]] = []
        self.told: list[Link] = []
        self.decisions: list[Any] = []
        self._clock = clock
        self._id = 0

    def _note(self, kind: str, text: str) -> None:
        if kind != "link":
            self.notes.append(text)

    @property
    def positions(self) -> Any:
        return self.engine.positions

    def link(self, link: Link) -> None:
        if link.state == "source":
            self.sources[link.symbol] = link.source
        self.told.append(link)
        self._take("link", msgspec.json.encode(link))
        for listener in self.links:
            listener(link, self._clock.now_ns())

    def rest(self, answer: RestAnswer) -> None:
        self._take("rest", answer.message())

    def _take(self, channel: Any, message: bytes) -> None:
        line = TapeLine(self._clock.now_ns(), channel, msgspec.Raw(message), "in")
        self.decisions += self.pump.take(line)

    def up(self, *, stream: Any = "market") -> None:
        self.link(Link(state="up", stream=stream))

    def down(self, *, stream: Any = "market", state: Any = "down") -> None:
        self.link(Link(state=state, stream=stream, gap=True))

    def open(self) -> None:
        now_ns = self._clock.now_ns()
        report = PositionReport(
            symbol=BTC,
            side="LONG",
            quantity=Decimal(1),
            entry=Decimal(100),
            t_event_ms=now_ns // 1_000_000,
            t_ns=now_ns,
        )
        decisions = self.engine.on_position(report)
        for listener in self.after:
            listener(decisions, now_ns)

    def tick(self, price: str) -> None:
        self._id += 1
        now_ns = self._clock.now_ns()
        if self.machine.plan.trigger == "mark":
            self.decisions += self.engine.on_mark(BTC, price, now_ns // 1_000_000, now_ns)
        else:
            self.decisions += self.engine.on_last(BTC, price, self._id, now_ns // 1_000_000, now_ns)

    @property
    def machine(self) -> Any:
        return self.engine.positions[BTC, "LONG"]


class Scene:
    """A guarded position that was seen at 100 at second 0, and the audit that looks after it."""

    def __init__(self, trigger: str = "last", *, ahead_ms: int = 0) -> None:
        self.clock = LoopClock(asyncio.get_running_loop(), start_ns=START_MS * 1_000_000)
        self.record = Record(self.clock, ahead_ms=ahead_ms)
        self.guard = Guarded(trigger, self.clock)
        self.events: list[AuditEvent] = []
        audit = Audit()
        audit.watch(self.events.append)
        self.audit = GapAudit(self.record, self.guard, audit, self.clock)  # type: ignore[arg-type]
        self.running = asyncio.create_task(self.audit.run(), name="audit")
        self.guard.up()
        self.guard.open()
        self.guard.tick("100")

    def trade(self, at_s: float, *prices: str) -> None:
        """Puts trades on record that nobody saw, 1 ms apart, so many seconds after the start."""
        number = len(self.record.trades) + 1000
        at_ms = START_MS + round(at_s * 1000)
        self.record.trades += [(number + i, at_ms + i, price) for i, price in enumerate(prices)]

    async def end(self) -> None:
        assert not self.guard.notes
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)

    @property
    def stop(self) -> str:
        return text(self.guard.machine.stop_price)

    def walks(self) -> list[Link]:
        return [link for link in self.guard.told if link.step == "walk"]

    def alarms(self) -> list[str]:
        return [e.what.kind for e in self.events if isinstance(e.what, AlarmRaised)]


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """A test that runs under virtual time."""

    def run() -> None:
        run_virtually(test())

    run.__name__ = test.__name__
    return run


@virtually
async def test_trades_are_read_page_by_page() -> None:
    scene = Scene()
    await asyncio.sleep(1)
    scene.guard.down()
    scene.trade(2, *["101"] * 1500, "110", *["109.5"] * 999)
    await asyncio.sleep(9)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(5)
    assert scene.stop == "108.9"
    assert [sorted(params) for _, params in scene.record.asked] == [
        ["endTime", "limit", "startTime", "symbol"],
        ["fromId", "limit", "symbol"],
        ["fromId", "limit", "symbol"],
    ]
    assert [params.get("fromId") for _, params in scene.record.asked] == [None, 2000, 3000]
    (walk,) = scene.walks()
    assert (walk.from_ms, walk.to_ms, walk.approximate) == (START_MS, START_MS + 11_000, False)
    assert scene.audit.audited == 1
    assert scene.audit.unaudited() == {}
    await scene.end()


@virtually
async def test_too_many_trades_are_left_to_whole_minutes() -> None:
    scene = Scene()
    scene.guard.down()
    scene.trade(1, *["101"] * 20_000)
    scene.record.candle = lambda open_ms: ("101", "110" if open_ms == START_MS + 120_000 else "102")
    await asyncio.sleep(200)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(6)
    assert [path for path, _ in scene.record.asked] == [AGG] * 10 + [KLINES]
    # 10 000 trades reach 11 s into the first minute: the second one is the first whole one left.
    _, params = scene.record.asked[-1]
    assert (params["startTime"], params["limit"]) == (START_MS + 60_000, 2)
    assert scene.walks()[0].approximate
    assert scene.stop == "108.9"
    await scene.end()


@pytest.mark.parametrize(("hours", "pages", "cut"), [(2, 1, False), (300, 7, True)])
def test_long_gaps_are_read_as_minutes_at_once(hours: int, pages: int, *, cut: bool) -> None:
    async def story() -> None:
        scene = Scene()
        scene.guard.machine.opened_ns = 0
        start_ms = START_MS - hours * 3_600_000
        scene.audit.restarted({f"{BTC}:last": start_ms})
        await asyncio.sleep(1)
        scene.guard.tick("100")
        await asyncio.sleep(6)
        assert [path for path, _ in scene.record.asked] == [KLINES] * pages
        first_ms = scene.record.asked[0][1]["startTime"]
        assert (first_ms > start_ms) == cut
        assert scene.walks()[0].approximate
        await scene.end()

    run_virtually(story())


@virtually
async def test_a_mark_gap_without_a_whole_minute_is_left() -> None:
    scene = Scene("mark")
    await asyncio.sleep(30)
    scene.guard.tick("100")
    scene.guard.down()
    await asyncio.sleep(80)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("100")
    await asyncio.sleep(6)
    assert scene.record.asked == []
    assert scene.audit.unaudited() == {}
    await scene.end()


@virtually
async def test_a_marks_whole_minutes_are_read() -> None:
    scene = Scene("mark")
    await asyncio.sleep(30)
    scene.guard.tick("100")
    scene.guard.down(state="silent")
    scene.record.candle = lambda _open_ms: ("101", "110")
    await asyncio.sleep(90)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(6)
    ((path, params),) = scene.record.asked
    assert (path, params["startTime"], params["limit"]) == (MARKS, START_MS + 60_000, 1)
    assert scene.stop == "108.9"
    assert not scene.walks()[0].approximate
    await scene.end()


@virtually
async def test_short_gaps_and_gaps_without_positions_are_left() -> None:
    scene = Scene()
    scene.guard.down()
    await asyncio.sleep(1)
    scene.guard.up()
    await asyncio.sleep(0.5)
    scene.guard.tick("100.1")
    await asyncio.sleep(5)
    scene.guard.down(stream="public")
    assert scene.audit.unaudited() == {}
    scene.guard.down()
    assert list(scene.audit.unaudited()) == [(BTC, "last")]
    del scene.guard.engine.positions[BTC, "LONG"]
    await asyncio.sleep(1)
    assert scene.audit.unaudited() == {}
    assert scene.record.asked == []
    await scene.end()


@virtually
async def test_a_symbol_that_is_polled_has_a_gap_until_its_stream_drives_again() -> None:
    scene = Scene()
    scene.guard.link(Link(state="source", stream="market", symbol=BTC, source="rest", gap=True))
    scene.trade(3, "110", "109.5")
    await asyncio.sleep(5)
    scene.guard.tick("109.5")
    await asyncio.sleep(15)
    assert scene.record.asked == []
    scene.guard.link(Link(state="source", stream="market", symbol=BTC, source="stream", gap=True))
    # Nothing comes over the stream for 5 s: the gap is read without.
    await asyncio.sleep(9)
    assert scene.stop == "108.9"
    assert scene.walks()[0].to_ms > START_MS + 24_000
    await scene.end()


@virtually
async def test_what_cannot_be_read_is_tried_again_and_then_told() -> None:
    scene = Scene()
    scene.guard.down()
    scene.trade(2, "110", "109.5")
    scene.record.fails = 2
    await asyncio.sleep(5)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(30)
    assert len(scene.record.asked) == 3
    assert scene.stop == "108.9"
    assert scene.alarms() == []
    scene.record.fails = 3
    scene.guard.down()
    await asyncio.sleep(5)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.6")
    await asyncio.sleep(30)
    assert scene.alarms() == ["gap_unread"]
    assert scene.audit.unread == 1
    assert scene.audit.unaudited() == {}
    await scene.end()


@virtually
async def test_a_gap_that_opens_again_while_it_is_read_is_read_whole() -> None:
    scene = Scene()
    scene.record.took_s = 3
    scene.guard.down()
    scene.trade(2, "105", "104.9")
    await asyncio.sleep(5)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("104.9")
    await asyncio.sleep(3)
    assert len(scene.record.asked) == 1
    scene.guard.down()
    scene.trade(10, "110", "109.5")
    await asyncio.sleep(5)
    assert scene.walks() == []
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(7)
    (walk,) = scene.walks()
    assert walk.from_ms == START_MS
    assert scene.stop == "108.9"
    assert [link.step for link in scene.guard.told if link.state == "gap"] == [
        "blind",
        "read",
        "read",
        "walk",
    ]
    await scene.end()


@virtually
async def test_a_restart_begins_where_the_last_process_saw_the_last_price() -> None:
    scene = Scene(ahead_ms=250)
    await asyncio.sleep(60)
    scene.audit.restarted({f"{BTC}:last": START_MS + 20_000, "ETHUSDT:last": 1})
    scene.trade(30, "110", "109.5")
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(6)
    (walk,) = scene.walks()
    assert (walk.from_ms, walk.to_ms, walk.ahead_ms) == (START_MS + 20_000, START_MS + 61_000, 250)
    assert scene.stop == "108.9"
    await scene.end()


@virtually
async def test_a_position_that_opens_unseen_misses_prices_from_its_opening_on() -> None:
    scene = Scene()
    scene.guard.engine.close(BTC, "LONG", t_ns=scene.clock.now_ns())
    del scene.guard.engine.positions[BTC, "LONG"]
    scene.guard.down()
    scene.trade(2, "120")
    await asyncio.sleep(5)
    scene.guard.open()
    scene.trade(8, "110", "109.5")
    await asyncio.sleep(5)
    scene.guard.up()
    await asyncio.sleep(1)
    scene.guard.tick("109.5")
    await asyncio.sleep(6)
    assert scene.walks()[0].from_ms == START_MS + 5000
    assert scene.stop == "108.9"
    await scene.end()


@virtually
async def test_a_suspect_after_a_gap_is_settled_by_a_price_that_is_asked_for() -> None:
    scene = Scene()
    await asyncio.sleep(5)
    scene.guard.tick("75")
    assert scene.guard.engine.market("last", BTC).suspect is not None  # type: ignore[union-attr]
    scene.record.price = "75.2"
    await asyncio.sleep(2.5)
    assert scene.guard.machine.orders.exiting
    assert [path for path, _ in scene.record.asked] == ["/fapi/v1/ticker/price"]
    await scene.end()


@virtually
async def test_a_suspect_without_a_gap_waits_for_the_next_tick() -> None:
    scene = Scene()
    await asyncio.sleep(1)
    scene.guard.tick("75")
    await asyncio.sleep(5)
    assert scene.record.asked == []
    await scene.end()


def gap_line(**fields: Any) -> TapeLine:
    link = {"state": "gap", "stream": "market", "symbol": BTC, "source": "last", **fields}
    return TapeLine(1, "link", msgspec.Raw(orjson.dumps(link)), "in")


@pytest.mark.parametrize(
    "fields", [{"source": "index", "step": "read"}, {"step": 3}, {"source": None, "step": "walk"}]
)
def test_a_gap_line_that_cannot_be_read_is_counted(fields: dict[str, Any]) -> None:
    notes: list[str] = []
    plan = plan_from_toml(PLAN.format(trigger="last"), source="test")
    pump = Pump(
        Engine(plan_for=lambda _symbol, _side: plan),
        note=lambda _kind, text: notes.append(text),
        follow_account=True,
    )
    assert not pump.take(gap_line(**fields))
    assert pump.skipped == 1
    assert len(notes) == 1


def test_candles_of_a_gap_are_no_history_and_others_are() -> None:
    """An answer belongs to the gap only where it was asked for it: with a startTime, of its symbol and source."""
    plan = plan_from_toml(
        PLAN.format(trigger="last").replace(
            "[stop]\npct = 0.1", '[atr]\ninterval = "1m"\n[stop]\natr = 1'
        ),
        source="test",
    )
    engine = Engine(plan_for=lambda _symbol, _side: plan)
    pump = Pump(engine, note=lambda _kind, _text: None, follow_account=True)

    def klines(path: str, **params: Any) -> TapeLine:
        row = [START_MS, "100", "101", "99", "100", "1", START_MS + 59_999]
        answer = {"method": "GET", "path": path, "status": 200, "body": [row]}
        answer["params"] = {"symbol": BTC, "interval": "1m", **params}
        return TapeLine(2, "rest", msgspec.Raw(orjson.dumps(answer)), "in")

    def candles() -> int:
        market = engine.market("last", BTC)
        assert market is not None
        (series,) = market.series.values()
        return series.closed_count + int(series.forming)

    pump.take(gap_line(step="read"))
    pump.take(klines(KLINES, startTime=START_MS))
    assert candles() == 0
    pump.take(klines(MARKS, startTime=START_MS))
    assert candles() == 0
    pump.take(klines(KLINES))
    assert candles() == 1
    pump.take(gap_line(step="walk", from_ms=0, to_ms=1))
    pump.take(klines(KLINES, startTime=START_MS))
    assert candles() == 1
