"""The recorded prices of a gap on their way to the engine: pages of trades or minutes between two `link` lines.

    {"state":"gap","step":"blind", …}   prices stopped coming: how the positions stand is remembered
    {"state":"gap","step":"read", …}    from here on the answers below are of this gap
      rest: /fapi/v1/aggTrades, or /fapi/v1/klines and /fapi/v1/markPriceKlines of 1m with a startTime
    {"state":"gap","step":"walk", "from_ms":…, "to_ms":…}   that was all: they are walked

So a replay of the lines walks the same prices past the same positions. Pages may overlap or come twice.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from reactor.binance.messages import FAULTS
from reactor.binance.rest_market_messages import AggTrades, Klines
from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.gap import Span, Window, trade_span
from reactor.core.market import Source
from reactor.errors import DecodeError
from reactor.shell.recorded import decode_gap

MINUTE: Final = "1m"

SPANS_MAX: Final = 25_000
"""Of one gap: more than the audit ever asks for (10 pages of 1000 trades and 7 of 1500 minutes)."""

_SOURCES: Final[Mapping[str, Source]] = {"mark": "mark", "last": "last", "book": "book"}


class GapPages:
    """Collects what was read of one gap at a time."""

    def __init__(self, engine: Engine) -> None:
        """Collects nothing until a `link` line says of what.

        Args:
            engine: what is told how a gap began, and what was found in it.
        """
        self._engine = engine
        self._place: tuple[str, Source] | None = None
        # By exchange time, and the trade's id; -1 for a candle.
        self._spans: dict[tuple[int, int], Span] = {}

    def link(self, raw: bytes, t_ns: int) -> Sequence[Decision]:
        """Takes a `link` line whose state is `gap`.

        Args:
            raw: the line's message.
            t_ns: its receive time.

        Raises:
            DecodeError: it cannot be read, or names no source.
        """
        try:
            link = decode_gap(raw)
        except FAULTS as error:
            raise DecodeError(f"not a recorded gap: {error}") from None
        source = _SOURCES.get(link.source)
        if source is None:
            raise DecodeError(f"a gap of the unknown source {link.source[:20]!r}")
        place = (link.symbol, source)
        if link.step == "blind":
            self._engine.on_blind(*place)
        elif link.step == "read":
            self._place, self._spans = place, {}
        elif link.step == "walk" and self._place == place:
            spans = [self._spans[key] for key in sorted(self._spans)]
            self._place, self._spans = None, {}
            window = Window(
                from_ms=link.from_ms,
                to_ms=link.to_ms,
                ahead_ms=link.ahead_ms,
                approximate=link.approximate,
            )
            return self._engine.on_gap(*place, spans, window, t_ns=t_ns)
        return ()

    def take(self, answer: AggTrades | Klines, params: Mapping[str, str]) -> bool:
        """Takes an answer of the gap that is being read; answers whether it is of that."""
        if self._place is None or answer.symbol != self._place[0]:
            return False
        source = self._place[1]
        if isinstance(answer, AggTrades):
            if source == "mark":
                return False
            for row in answer.rows:
                self._put(row.agg_trade_id, trade_span(row.trade_time_ms, row.price))
            return True
        is_mark = source == "mark"
        if answer.interval != MINUTE or "startTime" not in params:
            return False
        if is_mark != (answer.source == "mark"):
            return False
        for candle in answer.rows:
            span = Span(
                candle.open_time_ms, candle.close_time_ms, candle.low, candle.high, candle.close
            )
            self._put(-1, span)
        return True

    def _put(self, number: int, span: Span) -> None:
        if len(self._spans) < SPANS_MAX:
            self._spans[span.t_ms, number] = span
