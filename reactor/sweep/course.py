"""Prices of a track through an engine, from any row on: jumping from crossing to crossing, or one by one.

Two engines see them. The watcher has no position and goes through the whole track once; where an entry is due,
a twin of what it knows of the market is what each tried plan starts from. So a position entered in the middle
of a recording meets the candles, the ATR and the ticks that it would have met in a replay of the whole.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.ladder import Filters
from reactor.core.market import Market
from reactor.core.plan import Plan
from reactor.core.regime import RegimeConfig
from reactor.core.sizing import wants_input
from reactor.core.steering import Steering
from reactor.errors import DecodeError
from reactor.replay.columns import Call, Search, Take, crossings
from reactor.sweep.track import Track

ROWS_AT_ONCE = 4096
"""Ticks made into Python numbers at once, where they are visited one by one."""


class Known(NamedTuple):
    """What is known when a position opens, beside the market: the recording's own word on its symbol."""

    filters: Filters | None
    facts: Mapping[str, Decimal | str]


class Course:
    """One track's prices, ready to be played.

    Attributes:
        track: the track.
        refusal: why its ticks are visited one by one; None where they are jumped over.
    """

    def __init__(self, track: Track) -> None:
        self.track = track
        self._search: Search | None = None
        self.refusal: str | None = "a book has two prices"
        if track.kind == "mixed":
            self.refusal = "it has raw trades and aggregated ones"
        elif track.kind != "book":
            search = Search(track.ticks)
            self.refusal = search.refusal()
            self._search = search if self.refusal is None else None
        self._happening_rows = [one.row for one in track.happenings]

    def play(self, engine: Engine, market: Market, take: Take, *, start: int, stop: int) -> bool:
        """Feeds an engine with the ticks from row `start` up to `stop`, and with what stood between.

        What stands before the tick of `start` is left out: whoever came to this row has seen it; what stands
        before the tick of `stop` is told.

        Returns:
            Whether `take` had enough.
        """
        happenings = self.track.happenings
        place = bisect_right(self._happening_rows, start)
        at = start
        while True:
            following = happenings[place].row if place < len(happenings) else stop
            following = min(following, stop)
            if following > at and self._ticks(engine, market, take, at, following):
                return True
            at = following
            while place < len(happenings) and happenings[place].row == at:
                _, call, args, keywords = happenings[place]
                place += 1
                if call not in {"filters", "fact"}:
                    decisions = getattr(engine, call)(*args, **keywords)
                    if decisions and take(decisions):
                        return True
            if at >= stop:
                return False

    def first(self, engine: Engine) -> None:
        """Tells what stands before the first tick."""
        for one in self.track.happenings[: bisect_right(self._happening_rows, 0)]:
            if one.call not in {"filters", "fact"}:
                getattr(engine, one.call)(*one.args, **one.keywords)

    def known(self, row: int) -> Known:
        """What the recording has said of the symbol before the tick of a row."""
        filters: Filters | None = None
        facts: dict[str, Decimal | str] = {}
        for one in self.track.happenings[: bisect_right(self._happening_rows, row)]:
            if one.call == "filters":
                (filters,) = one.args
            elif one.call == "fact":
                name, value = one.args
                facts[name] = value
        return Known(filters, facts)

    def row_at(self, t_ns: int) -> int:
        """The row of the first tick at or after an instant."""
        return bisect_left(self.track.ticks.t_ns, t_ns)

    def _ticks(self, engine: Engine, market: Market, take: Take, start: int, stop: int) -> bool:
        if self._search is None:
            return self._walk(engine, take, start, stop)
        calls: dict[str, Call] = {
            "last": engine.on_last,
            "trade": engine.on_trade,
            "mark": lambda symbol, price, _, *times: engine.on_mark(symbol, price, *times),
        }
        enough = False

        def took(decisions: Sequence[Decision]) -> bool:
            nonlocal enough
            enough = bool(take(decisions))
            return enough

        call = calls[self.track.kind]
        crossings(engine, market, self._search, call=call, take=took, start=start, stop=stop)
        return enough

    def _walk(self, engine: Engine, take: Take, start: int, stop: int) -> bool:
        for at in range(start, stop, ROWS_AT_ONCE):
            for tick in self._rows(at, min(at + ROWS_AT_ONCE, stop)):
                try:
                    decisions = self._tick(engine, *tick)
                except DecodeError:
                    # As in a replay, which also says so.
                    continue
                if decisions and take(decisions):
                    return True
        return False

    def _rows(self, start: int, stop: int) -> Iterator[tuple[str, int, int, int, bool]]:
        track = self.track
        ticks = track.ticks
        assert ticks.ids is not None
        assert ticks.t_event_ms is not None
        if track.texts is not None:
            texts = [text.decode() for text in track.texts[start:stop].tolist()]
        else:
            texts = [*map(repr, ticks.prices[start:stop].tolist())]
            if track.asks is not None:
                asks = map(repr, track.asks[start:stop].tolist())
                texts = [f"{bid} {ask}" for bid, ask in zip(texts, asks, strict=True)]
        trades = [track.kind == "trade"] * len(texts)
        if track.is_trade is not None:
            trades = track.is_trade[start:stop].tolist()
        return zip(
            texts,
            ticks.ids[start:stop].tolist(),
            ticks.t_event_ms[start:stop].tolist(),
            ticks.t_ns[start:stop].tolist(),
            trades,
            strict=True,
        )

    def _tick(
        self, engine: Engine, text: str, tick_id: int, t_ms: int, t_ns: int, is_trade: bool
    ) -> Sequence[Decision]:
        symbol = self.track.symbol
        match self.track.source:
            case "mark":
                return engine.on_mark(symbol, text, t_ms, t_ns)
            case "book":
                bid, _, ask = text.partition(" ")
                return engine.on_book(symbol, bid, ask, tick_id, t_ms, t_ns)
        call = engine.on_trade if is_trade else engine.on_last
        return call(symbol, text, tick_id, t_ms, t_ns)


class Watcher:
    """An engine without a position, on its way through a track.

    Attributes:
        market: the market as it is known before the tick of `row`.
        row: how far it is.
    """

    def __init__(
        self,
        course: Course,
        plan: Plan,
        *,
        fixed_atr: dict[str, Decimal],
        regime: RegimeConfig,
    ) -> None:
        """Stands before the first tick.

        Args:
            course: the track.
            plan: any of the plans that want to know the same of a market (`watched_by`).
            fixed_atr: ATRs instead of candle-built ones, by symbol.
            regime: how regimes are classified, where ladder rules ask for one.
        """
        self._course = course
        self._steering = Steering(config=regime)
        self._engine = Engine(
            plan_for=lambda _symbol, _side: plan, fixed_atr=fixed_atr, steering=self._steering
        )
        market = self._engine.market(course.track.source, course.track.symbol)
        assert market is not None
        self.market = market
        self.row = 0
        course.first(self._engine)

    def go_to(self, row: int) -> None:
        """Sees everything before the tick of a row."""
        if row > self.row:
            self._course.play(self._engine, self.market, _nothing, start=self.row, stop=row)
            self.row = row

    def regime(self) -> str | None:
        """The symbol's regime now, for ladder rules."""
        return self._steering.regime_input(self.market.symbol, None)


def _nothing(_decisions: object) -> bool:
    return False


def watched_by(plan: Plan) -> tuple[object, ...]:
    """What a plan has to know of a market before a position opens: plans with the same answer share a watcher."""
    return (
        plan.max_tick_jump_pct,
        plan.atr,
        plan.high_volatility is not None,
        plan.needs_atr,
        wants_input(plan, "volatility"),
        wants_input(plan, "regime"),
    )
