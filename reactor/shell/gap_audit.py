"""The gap audit: what happened while prices did not come is read from the exchange's own record, once they come again.

A gap begins when a route goes down or silent, when a symbol's prices come from REST, or when the process was not there.
It ends with the first price after its stream is back. A plan on `last` or `book` has missed trades: they are read as
aggTrades, or where these are too many as whole minutes of klines. A plan on `mark` has missed mark prices, of which only
whole minutes of markPriceKlines are on record: a gap without a whole minute in it is left as it is.

Exits never wait for any of this: the first fresh price is evaluated when it comes. What is read goes into the inbox
between `link` lines that say what it is (`gap_pages`), so that a replay finds the same; the engine decides (`core.gap`).
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from reactor.audit import AlarmRaised, Audit, Noted
from reactor.binance.decode import decode_rest
from reactor.binance.rest_market_messages import AggTrades, Klines
from reactor.clock import Clock
from reactor.core.decisions import Decision, Opened
from reactor.core.market import Market, Source
from reactor.errors import BudgetExhausted, RestFailed
from reactor.shell.guard import Guard
from reactor.shell.inbox import GapStep, Link, StreamRoute
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.poller import ENDPOINTS
from reactor.shell.rest.warm_up import filled_up

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS

GAP_MS_MIN: Final = 2_000
"""Shorter ones are left: trades come in clusters, and a reconnect within them misses next to nothing."""

TRADES_PATH: Final = "/fapi/v1/aggTrades"
TRADES_WEIGHT: Final = 20
TRADES_LIMIT: Final = 1000
TRADE_PAGES_MAX: Final = 10
"""200 of weight, a seventh of what history may use in a minute; in a crash BTCUSDT trades so much in a minute."""

TRADES_MS_MAX: Final = HOUR_MS - 1
"""Times that lie an hour apart are refused together."""

MINUTES_LIMIT: Final = 1500
MINUTE_PAGES_MAX: Final = 7
"""A week. What is older is not read, and the report says approximate."""

TRADES_SETTLED_MS: Final = 2_000
MINUTES_SETTLED_MS: Final = 3_000
"""How long after a gap's end its record is read: REST lags the streams, and a closed candle is corrected."""

FRESH_S: Final = 5.0
"""How long a stream that is back may take to bring a price; a quiet symbol's gap is then read without."""

ATTEMPTS: Final = 3
AGAIN_S: Final = 5.0
LOOK_S: Final = 0.25
SUSPECT_S: Final = 1.0
"""Between two questions about a suspect: the next tick may be quicker, and a price of the same instant says nothing."""

Place = tuple[str, Source]

_ROUTES: Final[Mapping[str, StreamRoute]] = {"market": "market", "public": "public"}


class _Gap:
    """A gap that is not audited yet.

    Attributes:
        start_ms: the last price seen, exchange time. `end_ms`: the first one after; 0 until it came.
        clear_ns: since when its stream is back; 0 while it is not.
        opened: how often it was opened again: what was read before is not the whole of it.
        due_ns: not to be read before. `failures`: readings that came to nothing.
    """

    __slots__ = ("clear_ns", "due_ns", "end_ms", "failures", "opened", "start_ms")

    def __init__(self, start_ms: int) -> None:
        self.start_ms = start_ms
        self.end_ms = 0
        self.clear_ns = 0
        self.opened = 0
        self.due_ns = 0
        self.failures = 0

    def open_again(self) -> None:
        """Its stream is away once more."""
        self.opened += 1
        self.end_ms = self.clear_ns = self.failures = 0


class GapAudit:
    """Notices gaps, reads what was missed, and has it walked.

    Attributes:
        audited: gaps that were walked. `unread`: those whose record could not be had.
    """

    def __init__(self, rest: RestClient, guard: Guard, audit: Audit, clock: Clock) -> None:
        """Begins to listen to the guard.

        Args:
            rest: reads what was missed.
            guard: whose positions it is about, and what takes the answers.
            audit: told of each gap that was audited, and of those that could not be.
            clock: ours.
        """
        self.audited = 0
        self.unread = 0
        self._rest = rest
        self._guard = guard
        self._engine = guard.pump.engine
        self._audit = audit
        self._clock = clock
        self._gaps: dict[Place, _Gap] = {}
        self._up: dict[StreamRoute, bool] = {"market": False, "public": False}
        guard.links.append(self._on_link)
        guard.after.append(self._after)

    def unaudited(self) -> Mapping[Place, int]:
        """The gaps that are not audited yet, and when they began (exchange time, ms)."""
        return {place: gap.start_ms for place, gap in self._gaps.items()}

    # Beginnings -------------------------------------------------------------------------------

    def restarted(self, seen_ms: Mapping[str, int]) -> None:
        """The process was not there: every position that it took up again has a gap behind it.

        Args:
            seen_ms: the exchange time of the last price of each `SYMBOL:source` that the last process saw.
        """
        for symbol, source in sorted(self._places()):
            start_ms = seen_ms.get(f"{symbol}:{source}", 0)
            if start_ms:
                self._begin((symbol, source), start_ms)

    def _on_link(self, link: Link, _t_ns: int) -> None:
        route = _ROUTES.get(link.stream)
        if link.state == "source":
            if link.source == "rest":
                self._begin_all(place for place in self._places() if place[0] == link.symbol)
        elif route is not None and link.state == "up":
            self._up[route] = True
        elif route is not None and link.state in {"down", "silent"}:
            self._up[route] = False
            self._begin_all(place for place in self._places() if _route(place[1]) == route)

    def _after(self, decisions: Sequence[Decision], t_ns: int) -> None:
        """A position that opens while its prices do not come has missed them from its opening on."""
        for decision in decisions:
            if isinstance(decision, Opened):
                machine = self._guard.positions.get((decision.symbol, decision.side))
                if machine is not None:
                    place = (machine.symbol, machine.plan.trigger)
                    if place not in self._gaps and not self._sees(place):
                        self._begin(place, self._exchange_ms(t_ns))

    def _begin_all(self, places: Iterable[Place]) -> None:
        for symbol, source in sorted(places):
            market = self._engine.market(source, symbol)
            if market is not None and market.ticks:
                self._begin((symbol, source), market.t_event_ms)

    def _begin(self, place: Place, start_ms: int) -> None:
        known = self._gaps.get(place)
        if known is not None:
            known.open_again()
            return
        self._gaps[place] = _Gap(start_ms)
        self._link(place, "blind")

    # Ends -------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks at gaps and suspects until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._run_gaps(), name="gaps")
            tasks.create_task(self._run_suspects(), name="suspects")

    async def _run_gaps(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            places = self._places()
            for place, gap in tuple(self._gaps.items()):
                if place not in places:
                    del self._gaps[place]
                elif self._is_over(place, gap):
                    await self._look(place, gap)

    def _is_over(self, place: Place, gap: _Gap) -> bool:
        """Whether prices come again; the first one ends the gap."""
        now_ns = self._clock.now_ns()
        if gap.end_ms:
            return True
        if not self._sees(place):
            gap.clear_ns = 0
            return False
        gap.clear_ns = gap.clear_ns or now_ns
        market = self._engine.market(place[1], place[0])
        if market is not None and _is_fresh(market, gap):
            gap.end_ms = market.t_event_ms
        elif now_ns - gap.clear_ns > FRESH_S * 1e9:
            gap.end_ms = self._exchange_ms(now_ns)
        return bool(gap.end_ms)

    def _sees(self, place: Place) -> bool:
        symbol, source = place
        return self._up[_route(source)] and self._guard.sources.get(symbol, "stream") == "stream"

    async def _look(self, place: Place, gap: _Gap) -> None:
        """Reads a gap that is over, once its record has settled; forgets one with nothing to read."""
        source = place[1]
        from_ms = max(gap.start_ms, self._oldest_ms(place))
        if source == "mark":
            has_any = _minutes(from_ms, gap.end_ms) is not None
        else:
            has_any = gap.end_ms - from_ms >= GAP_MS_MIN
        if not has_any:
            del self._gaps[place]
            return
        now_ns = self._clock.now_ns()
        settled_ms = MINUTES_SETTLED_MS if source == "mark" else TRADES_SETTLED_MS
        if now_ns < gap.due_ns or self._exchange_ms(now_ns) < gap.end_ms + settled_ms:
            return
        opened = gap.opened
        self._link(place, "read")
        try:
            approximate = await self._read(place, from_ms, gap.end_ms)
        except (RestFailed, BudgetExhausted) as error:
            if gap.opened == opened:
                self._failed(place, gap, str(error))
            return
        if gap.opened == opened:
            del self._gaps[place]
            self._walk(place, from_ms, gap.end_ms, approximate=approximate)

    def _walk(self, place: Place, from_ms: int, to_ms: int, *, approximate: bool) -> None:
        now_ns = self._clock.now_ns()
        self._guard.link(
            Link(
                state="gap",
                stream=_route(place[1]),
                symbol=place[0],
                source=place[1],
                step="walk",
                from_ms=from_ms,
                to_ms=to_ms,
                ahead_ms=self._exchange_ms(now_ns) - now_ns // 1_000_000,
                approximate=approximate,
            )
        )
        self.audited += 1
        seconds = (to_ms - from_ms) / 1000
        rough = ", approximately" if approximate or place[1] == "book" else ""
        text = f"{place[0]}: {seconds:.1f} s without {place[1]} prices were looked into{rough}"
        self._audit.publish(Noted(kind="gap", text=text, count=self.audited), t_ns=now_ns)

    def _failed(self, place: Place, gap: _Gap, reason: str) -> None:
        gap.failures += 1
        now_ns = self._clock.now_ns()
        gap.due_ns = now_ns + round(AGAIN_S * gap.failures * 1e9)
        if gap.failures < ATTEMPTS:
            return
        del self._gaps[place]
        self.unread += 1
        seconds = (gap.end_ms - gap.start_ms) / 1000
        text = (
            f"{place[0]}: what its {place[1]} price did during {seconds:.1f} s without it is not known"
            f" ({reason}); stops stand where they stood, so look whether a better one is due"
        )
        alarm = AlarmRaised(
            kind="gap_unread", text=text, symbol=place[0], key=f"gap_unread:{place[0]}:{place[1]}"
        )
        self._audit.publish(alarm, t_ns=now_ns)

    # Reading ----------------------------------------------------------------------------------

    async def _read(self, place: Place, from_ms: int, to_ms: int) -> bool:
        """Reads a gap's prices.

        Returns:
            Whether they are coarser than what was missed.

        Raises:
            RestFailed, BudgetExhausted: they cannot be had now.
        """
        symbol, source = place
        if source == "mark":
            return await self._minutes(symbol, "/fapi/v1/markPriceKlines", from_ms, to_ms)
        left_ms = await self._trades(symbol, from_ms, to_ms)
        if left_ms is None:
            return False
        await self._minutes(symbol, "/fapi/v1/klines", left_ms, to_ms)
        return True

    async def _trades(self, symbol: str, from_ms: int, to_ms: int) -> int | None:
        """Reads trades; answers from when on they are left, because there are too many, or None."""
        if to_ms - from_ms > TRADES_MS_MAX:
            return from_ms
        params: dict[str, str | int] = {
            "symbol": symbol,
            "startTime": from_ms,
            "endTime": to_ms,
            "limit": TRADES_LIMIT,
        }
        reached_ms = from_ms
        for _ in range(TRADE_PAGES_MAX):
            body = await self._page(TRADES_PATH, params, TRADES_WEIGHT)
            if not isinstance(body, AggTrades):
                raise RestFailed(f"{TRADES_PATH}: an answer that is no list of trades")
            rows = body.rows
            if len(rows) < TRADES_LIMIT or rows[-1].trade_time_ms > to_ms:
                return None
            reached_ms = rows[-1].trade_time_ms
            # An id and times are not to be sent together.
            next_id = rows[-1].agg_trade_id + 1
            params = {"symbol": symbol, "fromId": next_id, "limit": TRADES_LIMIT}
        return reached_ms

    async def _minutes(self, symbol: str, path: str, from_ms: int, to_ms: int) -> bool:
        """Reads the whole minutes between; answers whether some that are too old were left out."""
        whole = _minutes(from_ms, to_ms)
        if whole is None:
            return False
        first_ms, last_ms = whole
        oldest_ms = last_ms - (MINUTE_PAGES_MAX * MINUTES_LIMIT - 1) * MINUTE_MS
        was_cut = oldest_ms > first_ms
        first_ms = max(first_ms, oldest_ms)
        while first_ms <= last_ms:
            count = min(MINUTES_LIMIT, (last_ms - first_ms) // MINUTE_MS + 1)
            params: dict[str, str | int] = {
                "symbol": symbol,
                "interval": "1m",
                "startTime": first_ms,
                "endTime": first_ms + count * MINUTE_MS - 1,
                "limit": count,
            }
            body = await self._page(path, params, filled_up(count)[1])
            if not isinstance(body, Klines):
                raise RestFailed(f"{path}: an answer that is no list of candles")
            first_ms += count * MINUTE_MS
        return was_cut

    async def _page(self, path: str, params: Mapping[str, str | int], weight: int) -> object:
        answer = await self._rest.get(path, params, weight=weight, purpose="history")
        failure = failure_of(answer)
        if failure is not None:
            raise RestFailed(f"{path}: {failure.code} {failure.msg}")
        texts = {name: str(value) for name, value in params.items()}
        body = decode_rest("GET", path, answer.status, answer.body, texts)
        self._guard.rest(answer)
        return body

    # Suspects ---------------------------------------------------------------------------------

    async def _run_suspects(self) -> None:
        """After a gap a price may lie far from the last one: the REST price of that instant says if it is true."""
        while True:
            await asyncio.sleep(SUSPECT_S)
            for market in tuple(self._engine.markets()):
                suspect = market.suspect
                if suspect is None or not (market.machines or market.awaited):
                    continue
                if suspect.t_event_ms - market.t_event_ms >= GAP_MS_MIN:
                    await self._ask_price((market.symbol, market.source))

    async def _ask_price(self, place: Place) -> None:
        endpoint = ENDPOINTS[place[1]]
        try:
            answer = await self._rest.get(
                endpoint.path, {"symbol": place[0]}, weight=endpoint.weight, purpose="poll"
            )
        except (RestFailed, BudgetExhausted):
            # The next tick of the stream says it, or the next question.
            return
        self._guard.rest(answer)

    # ------------------------------------------------------------------------------------------

    def _places(self) -> set[Place]:
        machines = self._guard.positions.values()
        return {(machine.symbol, machine.plan.trigger) for machine in machines}

    def _oldest_ms(self, place: Place) -> int:
        """When the oldest epoch of a place opened, by the exchange's clock."""
        return min(
            self._exchange_ms(machine.opened_ns)
            for machine in self._guard.positions.values()
            if (machine.symbol, machine.plan.trigger) == place
        )

    def _link(self, place: Place, step: GapStep) -> None:
        symbol, source = place
        self._guard.link(
            Link(state="gap", stream=_route(source), symbol=symbol, source=source, step=step)
        )

    def _exchange_ms(self, now_ns: int) -> int:
        return self._rest.server_time.timestamp_ms(now_ns)


def _route(source: Source) -> StreamRoute:
    return "public" if source == "book" else "market"


def _is_fresh(market: Market, gap: _Gap) -> bool:
    """Whether a price came since the stream is back."""
    return market.ticks > 0 and market.t_recv_ns > gap.clear_ns and market.t_event_ms > gap.start_ms


def _minutes(from_ms: int, to_ms: int) -> tuple[int, int] | None:
    """The first and the last minute that lie wholly between, by their openings; None where none does."""
    first_ms = -(-from_ms // MINUTE_MS) * MINUTE_MS
    last_ms = (to_ms + 1) // MINUTE_MS * MINUTE_MS - MINUTE_MS
    return (first_ms, last_ms) if first_ms <= last_ms else None
