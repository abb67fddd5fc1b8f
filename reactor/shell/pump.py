"""Frames in, decisions out: what stands between bytes and the engine, live and in a replay alike.

The pump decodes one tape line (or live frame) and calls the engine's method for it. Nothing that bytes
can hold raises out of it: what cannot be read is counted and reported once, and the next line goes on.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from reactor.binance.decode import decode_market, decode_rest, decode_user
from reactor.binance.filters import SymbolFilters
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    Envelope,
    MarketFrame,
    MarkPrice,
    PriceFrame,
    Trade,
    is_market_trade,
)
from reactor.binance.messages import FAULTS, Ignored, Malformed, RestFailure
from reactor.binance.rest_account_messages import PositionRisk
from reactor.binance.rest_market_messages import ExchangeInfo, Klines
from reactor.binance.user_messages import (
    AccountUpdate,
    OrderTradeUpdate,
    UserEvent,
)
from reactor.core.account import AccountBook
from reactor.core.candles import Candle
from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.core.machine import Filters
from reactor.core.market import Source
from reactor.core.plan import INTERVAL_MS
from reactor.errors import DecodeError, TapeLineDamaged
from reactor.shell.recorded import (
    OUTCOMES,
    UNKNOWN_OUTCOME_CODES,
    OrderMessage,
    decode_control,
    decode_link,
    decode_order,
    decode_rest_line,
    filters_of,
    trade_of,
)
from reactor.shell.tape_format import TapeLine, decode_line


class _EnvelopedLine(msgspec.Struct, frozen=True, gc=False):
    """A tape line whose message is a market frame in its envelope, decoded in one go."""

    t: int
    m: Envelope
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


class _BareLine(msgspec.Struct, frozen=True, gc=False):
    """The same without the envelope."""

    t: int
    m: MarketFrame
    c: Literal["market", "public"]
    d: Literal["in"] = "in"


_enveloped = msgspec.json.Decoder(_EnvelopedLine).decode
_bare = msgspec.json.Decoder(_BareLine).decode

TickCalls = tuple[Callable[..., Sequence[Decision]], ...]

REQUESTS_KEPT = 1000
"""Recorded order requests whose answer may still come."""

Note = Callable[[str, str], None]
"""Takes a kind (what is counted) and a text (what is shown)."""


class Pump:
    """Feeds an engine from tape lines.

    Attributes:
        now_ns: the newest receive time seen.
        skipped: lines and frames that could not be read.
        filters: tick size, lot step and minimum of each symbol that an exchangeInfo described.
        contracts: the same symbols' whole rules.
        hedge: whether a position came with a side of its own, so that the account is in hedge mode.
        on_sent: called with each recorded order request.
    """

    def __init__(self, engine: Engine, *, note: Note, follow_account: bool) -> None:
        """Builds a pump.

        Args:
            engine: what it feeds.
            note: called for everything a person should know, with a kind and a text.
            follow_account: whether private frames and position answers open and close positions.
        """
        self.engine = engine
        self.book = AccountBook(engine)
        self.now_ns = 0
        self.skipped = 0
        self.ignored: Counter[str] = Counter()
        self.filters: dict[str, Filters] = {}
        self.contracts: dict[str, SymbolFilters] = {}
        self.hedge = False
        self.on_sent: Callable[[OrderMessage], None] | None = None
        self._note = note
        self._follow_account = follow_account
        self._requests: dict[str, tuple[str, str]] = {}
        self._decode: Callable[[bytes], Any] = _enveloped
        self.calls: TickCalls = (
            engine.on_last,
            engine.on_trade,
            engine.on_mark,
            engine.on_book,
        )

    # Lines ------------------------------------------------------------------------------------

    def feed(
        self, first_number: int, lines: Sequence[bytes], sink: Callable[[Sequence[Decision]], None]
    ) -> None:
        """Takes consecutive tape lines.

        Args:
            first_number: the first one's line number, for messages.
            lines: raw lines without newlines.
            sink: called with each line's decisions, where there are any.
        """
        on_last, on_trade, on_mark, on_book = self.calls
        now_ns = self.now_ns
        decode = self._decode
        is_enveloped = decode is _enveloped
        for number, raw in enumerate(lines, first_number):
            try:
                line = decode(raw)
                frame = line.m.data if is_enveloped else line.m
                t_ns = line.t
                if t_ns < now_ns:
                    raise ValueError
                kind = type(frame)
                if kind is AggTrade and frame.st == 1:
                    decisions = on_last(frame.s, frame.p, frame.a, frame.T, t_ns)
                elif kind is BookTicker and frame.st == 1:
                    decisions = on_book(frame.s, frame.b, frame.a, frame.u, frame.T, t_ns)
                elif kind is MarkPrice and frame.st == 1:
                    decisions = on_mark(frame.s, frame.p, frame.E, t_ns)
                elif kind is Trade and frame.st == 1 and is_market_trade(frame):
                    decisions = on_trade(frame.s, frame.p, frame.t, frame.T, t_ns)
                else:
                    decisions = self.on_time(t_ns)
                now_ns = t_ns
            except (*FAULTS, DecodeError):
                self.now_ns = now_ns
                decisions = self._other(number, raw)
                now_ns = self.now_ns
                decode = self._decode
                is_enveloped = decode is _enveloped
            if decisions:
                sink(decisions)
        self.now_ns = now_ns

    def on_time(self, now_ns: int) -> Sequence[Decision]:
        """Fires what is due at or before this receive time."""
        decisions = self.engine.on_time(now_ns)
        due_ns = self.book.due_ns
        if due_ns is not None and now_ns >= due_ns:
            return [*decisions, *self.book.on_time(now_ns)]
        return decisions

    def _other(self, number: int, raw: bytes) -> Sequence[Decision]:
        """A line that is no plain market frame in the form of the last one."""
        # The two forms of a market frame are two decoders; a tape mostly has one of them.
        other = _bare if self._decode is _enveloped else _enveloped
        try:
            line = decode_line(raw)
        except TapeLineDamaged as error:
            self.damaged(number, str(error))
            return ()
        if line.c in {"market", "public"}:
            self._try_other_form(other, raw)
        t_ns = line.t
        if t_ns < self.now_ns:
            self._note("backwards", f"line {number}: receive time runs backwards")
            t_ns = self.now_ns
        self.now_ns = t_ns
        decisions = list(self.on_time(t_ns))
        try:
            decisions += self._message(number, line, t_ns)
        except DecodeError as error:
            self._unreadable(number, line.c, str(error))
        return decisions

    def _try_other_form(self, other: Callable[[bytes], Any], raw: bytes) -> None:
        try:
            other(raw)
        except FAULTS:
            return
        self._decode = other

    def _message(self, number: int, line: TapeLine, t_ns: int) -> Sequence[Decision]:
        raw = bytes(line.m)
        match line.c:
            case "market" | "public":
                return self._market(number, line.c, raw, t_ns)
            case "private":
                return self._private(number, raw, t_ns)
            case "rest" if line.d == "in":
                return self._rest(number, raw, t_ns)
            case "order":
                return self._order(number, raw, t_ns, sent=line.d == "out")
            case "control":
                return self._control(number, raw, t_ns)
            case "link":
                return self._link(number, raw)
        return ()

    def damaged(self, number: int, reason: str) -> None:
        """Counts a line that is no tape line."""
        self.skipped += 1
        self._note("damage", f"line {number}: {reason}; skipped")

    def _unreadable(self, number: int, channel: str, reason: str) -> None:
        self.skipped += 1
        self._note("unreadable", f"line {number} ({channel}): {reason}; skipped")

    # Market frames ----------------------------------------------------------------------------

    def _market(self, number: int, channel: str, raw: bytes, t_ns: int) -> Sequence[Decision]:
        verdict = decode_market(raw)
        decisions: list[Decision] = []
        for frame in verdict if isinstance(verdict, tuple) else (verdict,):
            if isinstance(frame, Malformed):
                self._unreadable(number, channel, frame.reason)
            elif isinstance(frame, Ignored):
                self.ignored[frame.kind] += 1
            else:
                decisions += self._frame(frame, t_ns)
        return decisions

    def _frame(self, frame: PriceFrame, t_ns: int) -> Sequence[Decision]:
        on_last, on_trade, on_mark, on_book = self.calls
        match frame:
            case AggTrade():
                return on_last(frame.s, frame.p, frame.a, frame.T, t_ns)
            case BookTicker():
                return on_book(frame.s, frame.b, frame.a, frame.u, frame.T, t_ns)
            case MarkPrice():
                return on_mark(frame.s, frame.p, frame.E, t_ns)
            case Trade() if is_market_trade(frame):
                return on_trade(frame.s, frame.p, frame.t, frame.T, t_ns)
        return ()

    # The account ------------------------------------------------------------------------------

    def _private(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        event = decode_user(raw)
        if isinstance(event, Malformed):
            self._unreadable(number, "private", event.reason)
            return ()
        if isinstance(event, Ignored):
            self.ignored[event.kind] += 1
            return ()
        return self._user_event(event, t_ns) if self._follow_account else ()

    def _user_event(self, event: UserEvent, t_ns: int) -> Sequence[Decision]:
        decisions: list[Decision] = []
        if isinstance(event, AccountUpdate):
            for position in event.account.positions:
                self.hedge = position.position_side != "BOTH"
                decisions += self.book.on_report(
                    symbol=position.symbol,
                    position_side=position.position_side,
                    amount=position.position_amount,
                    entry=position.entry_price,
                    t_event_ms=event.transaction_time_ms,
                    t_ns=t_ns,
                )
            if event.account.reason == "FUNDING_FEE":
                for balance in event.account.balances:
                    paid = (balance.balance_change or ZERO).copy_negate()
                    self.book.on_funding(event.account.funding_symbol, paid)
        elif isinstance(event, OrderTradeUpdate):
            order = event.order
            if order.last_filled_quantity > 0 and order.last_filled_price > 0:
                decisions += self.book.on_trade(trade_of(order, event.transaction_time_ms, t_ns))
            outcome = OUTCOMES.get(order.status)
            if outcome is not None:
                decisions += self.book.on_order(
                    order.symbol,
                    order.client_order_id,
                    outcome,
                    filled=order.filled_quantity,
                    t_ns=t_ns,
                )
        return decisions

    # REST -------------------------------------------------------------------------------------

    def _rest(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        try:
            request = decode_rest_line(raw)
        except FAULTS as error:
            self._unreadable(number, "rest", f"not a recorded answer: {error}")
            return ()
        params = {key: str(value) for key, value in request.params.items()}
        answer = decode_rest(
            request.method, request.path, request.status, bytes(request.body), params
        )
        if isinstance(answer, Malformed):
            self._unreadable(number, "rest", f"{request.path}: {answer.reason}")
        elif isinstance(answer, Ignored | RestFailure):
            self.ignored[f"{request.method} {request.path}"] += 1
        elif isinstance(answer, Klines):
            return self._history(answer, t_ns)
        elif isinstance(answer, ExchangeInfo):
            for contract in answer.symbols.values():
                if isinstance(contract, SymbolFilters):
                    self.filters[contract.symbol] = filters_of(contract)
                    self.contracts[contract.symbol] = contract
        elif (
            self._follow_account
            and isinstance(answer, tuple)
            and request.path.endswith("/positionRisk")
        ):
            rows = [row for row in answer if isinstance(row, PositionRisk)]
            return self._positions(rows, params.get("symbol"), t_ns)
        return ()

    def _history(self, klines: Klines, t_ns: int) -> Sequence[Decision]:
        interval_ms = INTERVAL_MS.get(klines.interval)
        if interval_ms is None or not klines.symbol:
            return ()
        rows = [
            Candle(
                row.open_time_ms, float(row.open), float(row.high), float(row.low), float(row.close)
            )
            for row in klines.rows
            if row.open_time_ms % interval_ms == 0
        ]
        decisions: list[Decision] = []
        # A book has no klines of its own: those of the last price are the nearest there are.
        sources: tuple[Source, ...] = ("mark",) if klines.source == "mark" else ("last", "book")
        for source in sources:
            decisions += self.engine.on_history(klines.symbol, source, interval_ms, rows, t_ns=t_ns)
        return decisions

    def _positions(
        self, rows: Iterable[PositionRisk], symbol: str | None, t_ns: int
    ) -> Sequence[Decision]:
        decisions: list[Decision] = []
        listed = set()
        t_ms = t_ns // 1_000_000
        for row in rows:
            listed.add((row.symbol, row.position_side))
            self.hedge = row.position_side != "BOTH"
            decisions += self.book.on_report(
                symbol=row.symbol,
                position_side=row.position_side,
                amount=row.position_amount,
                entry=row.entry_price,
                t_event_ms=row.update_time_ms or t_ms,
                t_ns=t_ns,
                liquidation_price=row.liquidation_price,
                margin=row.position_initial_margin or row.initial_margin or row.isolated_margin,
                snapshot=True,
            )
        decisions += self.book.on_snapshot_end(
            None if symbol is None else {symbol}, listed=listed, t_event_ms=t_ms, t_ns=t_ns
        )
        return decisions

    # Orders, operators, sockets ---------------------------------------------------------------

    def _order(self, number: int, raw: bytes, t_ns: int, *, sent: bool) -> Sequence[Decision]:
        try:
            message = decode_order(raw)
        except FAULTS as error:
            self._unreadable(number, "order", f"not a recorded order: {error}")
            return ()
        if sent:
            self.sent(message)
            return ()
        return self._order_answer(message, t_ns) if self._follow_account else ()

    def sent(self, message: OrderMessage) -> None:
        """Takes a recorded request: its answer names it by the request's id alone."""
        if self.on_sent is not None:
            self.on_sent(message)
        client_id = message.params.get("newClientOrderId")
        if client_id is not None and message.id is not None:
            if len(self._requests) >= REQUESTS_KEPT:
                del self._requests[next(iter(self._requests))]
            self._requests[str(message.id)] = (
                str(message.params.get("symbol", "")),
                str(client_id),
            )

    def _order_answer(self, message: OrderMessage, t_ns: int) -> Sequence[Decision]:
        symbol, client_id = self._requests.pop(str(message.id), ("", ""))
        result = message.result
        if result is not None:
            outcome = OUTCOMES.get(result.status)
            if outcome is None or not result.client_order_id:
                return ()
            return self.book.on_order(
                result.symbol,
                result.client_order_id,
                outcome,
                filled=Decimal(result.executed_quantity),
                t_ns=t_ns,
            )
        if message.error is None or not client_id:
            return ()
        unknown = message.error.code in UNKNOWN_OUTCOME_CODES or (message.status or 0) >= 500
        outcome = Event.UNKNOWN if unknown else Event.REJECTED
        return self.book.on_order(symbol, client_id, outcome, filled=ZERO, t_ns=t_ns)

    def _control(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        try:
            command = decode_control(raw)
            price = None if command.price is None else Decimal(command.price)
        except FAULTS as error:
            self._unreadable(number, "control", f"not a recorded command: {error}")
            return ()
        engine, symbol, side = self.engine, command.symbol, command.side
        if command.command == "close":
            return engine.close(symbol, side, t_ns=t_ns)
        if command.command == "set_stop" and price is not None:
            return engine.set_stop(symbol, side, price, t_ns=t_ns)
        if command.command in {"pause", "resume"}:
            engine.pause(symbol, side, paused=command.command == "pause")
        return ()

    def _link(self, number: int, raw: bytes) -> Sequence[Decision]:
        try:
            link = decode_link(raw)
        except FAULTS:
            self._unreadable(number, "link", "not a recorded link state")
            return ()
        if link.state != "up":
            self._note("link", f"line {number}: {link.stream or 'socket'} {link.state}")
            self.engine.on_interruption()
        return ()
