"""The tick path: one method a source, from the two comparisons of a quiet tick to the machines.

What stands here is the part of the engine that every tick goes through. It keeps to itself: a tick that may
matter asks for what only the engine knows (what is due, how a position opens, what to arm) by three methods.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal

from reactor.core.candles import CandleSeries
from reactor.core.decisions import Alarm, Decision
from reactor.core.exact import double, from_float
from reactor.core.market import (
    Awaited,
    Market,
    Quote,
    Source,
    book_quote,
    not_a_price,
    price_quote,
)
from reactor.core.markets import Markets
from reactor.core.plan import INTERVAL_MS
from reactor.errors import DecodeError

NEVER_NS = 1 << 62


class TickPath(ABC):
    """What ticks go through; the engine is one.

    Attributes:
        due_ns: no later than the instant at which the clock next has something to do (nanoseconds since
            the Unix epoch): a tick from then on is no quiet one.
    """

    __slots__ = ("_book", "_last", "_mark", "_markets", "due_ns")

    def __init__(self, markets: Markets) -> None:
        """Stands before these markets."""
        self._markets = markets
        # The tick path looks its market up without a call.
        self._last, self._mark, self._book = markets.last, markets.mark, markets.book
        self.due_ns = NEVER_NS

    # What the engine does ---------------------------------------------------------------------

    @abstractmethod
    def _due(self, now_ns: int) -> list[Decision]:
        """Fires what is due at or before an instant."""

    @abstractmethod
    def _settle(self, market: Market) -> None:
        """Forgets ended epochs and arms a market again."""

    @abstractmethod
    def _open(
        self,
        market: Market,
        position: Awaited,
        *,
        t_ns: int,
        tick: int,
        price: Decimal | None,
        out: list[Decision],
        seen: Quote | None = None,
    ) -> None:
        """Opens the epoch of a position; `seen` is the tick that it waited for."""

    # Ticks ------------------------------------------------------------------------------------

    def on_last(
        self, symbol: str, price: str, trade_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        """Takes an aggregated trade.

        Args:
            symbol: as Binance writes it, upper case.
            price: as it came, a decimal text.
            trade_id: the aggregate trade id (`a`); what is not above the last one does not count.
            t_event_ms: trade time (`T`), exchange clock.
            t_recv_ns: receive time.

        Returns:
            The decisions; empty for a quiet tick.
        """
        try:
            market = self._last[symbol]
        except KeyError:
            market = self._markets.get("last", symbol)
        if market is not None:
            try:
                value = double(price)
            except ValueError:
                raise not_a_price(price) from None
            if (
                market.last_id < trade_id < market.id_end
                and market.since_ms <= t_event_ms < market.until_ms
                and t_recv_ns < self.due_ns
                and len(price) < 17
            ):
                if market.low < value < market.high:
                    market.last_id = trade_id
                    market.text = price
                    market.t_event_ms = t_event_ms
                    market.t_recv_ns = t_recv_ns
                    market.ticks += 1
                    return ()
                if market.trail_low < value < market.trail_high:
                    market.last_id = trade_id
                    return market.trail(price, value, t_event_ms, t_recv_ns)
        out = self._due(t_recv_ns)
        if market is not None:
            if not market.aggregated:
                # From the first aggTrade on, raw trades of the symbol are ignored; ids start anew. One that
                # cannot be read is none: it must not silence them.
                price_quote(price, t_event_ms)
                self._plausible(market, market.trade_id, t_event_ms, t_recv_ns)
                market.aggregated = True
                market.last_id = -1
                market.suspect = None
            self._tick(market, price, "", trade_id, t_event_ms, t_recv_ns, out)
        return out

    def on_trade(
        self, symbol: str, price: str, trade_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        """Takes a raw trade (`t`, `T`): a last-price tick where the symbol has no aggTrades."""
        try:
            market = self._last[symbol]
        except KeyError:
            market = self._markets.get("last", symbol)
        if market is not None:
            try:
                value = double(price)
            except ValueError:
                raise not_a_price(price) from None
            if (
                market.trade_id < trade_id < market.id_end
                and not market.aggregated
                and market.since_ms <= t_event_ms < market.until_ms
                and t_recv_ns < self.due_ns
                and len(price) < 17
            ):
                if market.low < value < market.high:
                    market.trade_id = trade_id
                    market.text = price
                    market.t_event_ms = t_event_ms
                    market.t_recv_ns = t_recv_ns
                    market.ticks += 1
                    return ()
                if market.trail_low < value < market.trail_high:
                    market.trade_id = trade_id
                    return market.trail(price, value, t_event_ms, t_recv_ns)
        out = self._due(t_recv_ns)
        if market is not None and not market.aggregated:
            # Until an aggTrade comes, its id field holds a value that no aggTrade is above, so that
            # the first one cannot pass for quiet.
            market.last_id = market.trade_id
            self._tick(market, price, "", trade_id, t_event_ms, t_recv_ns, out)
            market.trade_id, market.last_id = market.last_id, NEVER_NS
        return out

    def on_mark(
        self, symbol: str, price: str, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        """Takes a mark price; its event time (`E`) is its id."""
        try:
            market = self._mark[symbol]
        except KeyError:
            market = self._markets.get("mark", symbol)
        if market is not None:
            try:
                value = double(price)
            except ValueError:
                raise not_a_price(price) from None
            if (
                t_event_ms > market.last_id
                and market.since_ms <= t_event_ms < market.until_ms
                and t_recv_ns < self.due_ns
                and len(price) < 17
            ):
                if market.low < value < market.high:
                    market.last_id = market.t_event_ms = t_event_ms
                    market.text = price
                    market.t_recv_ns = t_recv_ns
                    market.ticks += 1
                    return ()
                if market.trail_low < value < market.trail_high:
                    market.last_id = t_event_ms
                    return market.trail(price, value, t_event_ms, t_recv_ns)
        out = self._due(t_recv_ns)
        if market is not None:
            self._tick(market, price, "", t_event_ms, t_event_ms, t_recv_ns, out)
        return out

    def on_book(
        self, symbol: str, bid: str, ask: str, update_id: int, t_event_ms: int, t_recv_ns: int
    ) -> Sequence[Decision]:
        """Takes the best bid and ask (`u`, `T`): the bid is a LONG's price, the ask a SHORT's."""
        try:
            market = self._book[symbol]
        except KeyError:
            market = self._markets.get("book", symbol)
        if market is not None:
            try:
                bid_value, ask_value = double(bid), double(ask)
            except ValueError:
                raise not_a_price(f"{bid} / {ask}") from None
            if (
                market.low < bid_value < market.high
                and market.ask_low < ask_value < market.ask_high
                and market.last_id < update_id < market.id_end
                and market.since_ms <= t_event_ms < market.until_ms
                and t_recv_ns < self.due_ns
                and len(bid) < 17
                and len(ask) < 17
            ):
                market.last_id = update_id
                market.text = bid
                market.ask_text = ask
                market.t_event_ms = t_event_ms
                market.t_recv_ns = t_recv_ns
                market.ticks += 1
                return ()
        out = self._due(t_recv_ns)
        if market is not None:
            self._tick(market, bid, ask, update_id, t_event_ms, t_recv_ns, out)
        return out

    def on_polled(
        self,
        source: Source,
        symbol: str,
        price: str,
        t_event_ms: int,
        t_recv_ns: int,
        *,
        ask: str = "",
    ) -> Sequence[Decision]:
        """Takes a price that was asked for over REST, while or before the stream is silent.

        It has no id of the stream's kind: it counts if it is younger than the last tick of its source, and
        leaves the stream's ids alone.

        Args:
            source: whose price it is; never another source's.
            symbol: as Binance writes it.
            price: as it came, a decimal text; of a book the bid.
            t_event_ms: the exchange's time of the price.
            t_recv_ns: receive time.
            ask: of a book.
        """
        out = self._due(t_recv_ns)
        market = self._markets.get(source, symbol)
        if market is None:
            return out
        if market.ticks and t_event_ms <= market.t_event_ms:
            market.duplicates += 1
            if t_event_ms == market.t_event_ms:
                # Nothing happened since: the price that is known is the price of now.
                market.t_recv_ns = t_recv_ns
            return out
        if market.suspect is not None and t_event_ms <= market.suspect.t_event_ms:
            # The same observation, asked for again, confirms nothing.
            market.duplicates += 1
            return out
        self._take(market, price, ask, market.last_id, t_event_ms, t_recv_ns, out)
        if source == "mark":
            # The id of a mark price is its time.
            market.last_id = max(market.last_id, t_event_ms)
        elif source == "last" and not market.aggregated:
            # As behind a raw trade: no first aggTrade may pass for quiet.
            market.last_id = NEVER_NS
        return out

    def _tick(
        self,
        market: Market,
        text: str,
        ask_text: str,
        tick_id: int,
        t_event_ms: int,
        t_recv_ns: int,
        out: list[Decision],
    ) -> None:
        """A tick that may matter."""
        if tick_id <= market.last_id:
            market.duplicates += 1
            return
        self._take(market, text, ask_text, tick_id, t_event_ms, t_recv_ns, out)

    def _take(
        self,
        market: Market,
        text: str,
        ask_text: str,
        tick_id: int,
        t_event_ms: int,
        t_recv_ns: int,
        out: list[Decision],
    ) -> None:
        self._plausible(market, tick_id, t_event_ms, t_recv_ns)
        if ask_text:
            quote = book_quote(text, ask_text, t_event_ms)
        else:
            quote = price_quote(text, t_event_ms)
        market.last_id = tick_id
        accepted = market.accept(quote)
        if not accepted:
            out.append(
                Alarm(
                    t_ns=t_recv_ns,
                    tick=market.ticks,
                    symbol=market.symbol,
                    side=None,
                    epoch=None,
                    what=f"suspect {market.source} price {text}: too far from the last; waits for the next one",
                )
            )
        for tick in accepted:
            self._count(market, tick, t_recv_ns, out)
        self._settle(market)

    @staticmethod
    def _plausible(market: Market, tick_id: int, t_event_ms: int, t_recv_ns: int) -> None:
        fault = market.fault(tick_id, t_event_ms, t_recv_ns)
        if fault is not None:
            raise DecodeError(fault)

    def _count(self, market: Market, tick: Quote, t_recv_ns: int, out: list[Decision]) -> None:
        """An accepted tick: candles first, then the rules."""
        self._close_candles(market, tick.t_event_ms, t_recv_ns, out)
        for position in market.awaited:
            price = None
            if position.adopts is not None:
                price = tick.long if position.side == "LONG" else tick.short
            self._open(
                market, position, t_ns=t_recv_ns, tick=market.ticks, price=price, out=out, seen=tick
            )
        market.awaited.clear()
        market.count(tick, t_recv_ns=t_recv_ns)
        for series in market.series.values():
            series.tick(tick.candle, tick.t_event_ms)
        for machine in market.machines:
            is_long = machine.side == "LONG"
            out += machine.on_tick(
                tick.long if is_long else tick.short,
                double=tick.long_double if is_long else tick.short_double,
                is_short=tick.is_short,
                t_ns=t_recv_ns,
                tick=market.ticks,
            )

    def _close_candles(
        self, market: Market, t_event_ms: int, t_ns: int, out: list[Decision]
    ) -> None:
        for series in market.series.values():
            market.settle_candle(series)
            while series.roll(t_event_ms):
                self._candle_closed(market, series, t_ns, out, tick_follows=True)

    def _candle_closed(
        self,
        market: Market,
        series: CandleSeries,
        t_ns: int,
        out: list[Decision],
        *,
        tick_follows: bool,
    ) -> None:
        for machine in market.machines:
            if INTERVAL_MS[machine.plan.atr.interval] == series.interval_ms:
                market.show(machine)
                atr = self._markets.atr(market, machine.plan)
                machine.on_candle(
                    atr=atr,
                    close=from_float(series.close),
                    tick_follows=tick_follows,
                    t_ns=t_ns,
                    out=out,
                )
