"""Frames in, decisions out: what stands between bytes and the engine, live and in a replay alike.

The pump decodes one tape line (or live frame) and calls the engine's method for it. Nothing that bytes
can hold raises out of it: what cannot be read is counted and reported once, and the next line goes on.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from reactor.binance.amounts import price, quantity
from reactor.binance.decode import decode_market, decode_rest, decode_user
from reactor.binance.filters import SymbolFilters
from reactor.binance.market_messages import (
    AggTrade,
    BookTicker,
    MarkPrice,
    PriceFrame,
    Trade,
    is_market_trade,
)
from reactor.binance.messages import FAULTS, Ignored, Malformed, RestFailure
from reactor.binance.rest_account_messages import (
    AccountConfig,
    Order,
    PositionMode,
    PositionRisk,
)
from reactor.binance.rest_market_messages import (
    AggTrades,
    ExchangeInfo,
    Klines,
    PremiumIndex,
    TickerBook,
    TickerPrice,
)
from reactor.core.candles import Candle
from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.exact import text
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event
from reactor.core.management import Management
from reactor.core.market import Source
from reactor.core.plan import INTERVAL_MS
from reactor.core.policy import ExternalPolicy
from reactor.core.ticks import NEVER_NS
from reactor.errors import DecodeError, TapeLineDamaged
from reactor.shell.account_feed import AccountFeed
from reactor.shell.gap_pages import GapPages
from reactor.shell.market_lines import T_NS_MAX, bare_line, enveloped_line
from reactor.shell.recorded import (
    OrderMessage,
    decode_control,
    decode_link,
    decode_order,
    decode_policy,
    decode_rest_line,
    filters_of,
)
from reactor.shell.symbol_facts import SymbolFacts
from reactor.shell.tape_format import TapeLine, decode_line

ORDER_PATH = "/fapi/v1/order"

TickCalls = tuple[Callable[..., Sequence[Decision]], ...]

Note = Callable[[str, str], None]
"""Takes a kind (what is counted) and a text (what is shown)."""


class Pump:
    """Feeds an engine from tape lines.

    Attributes:
        now_ns: the newest receive time seen.
        skipped: lines and frames that could not be read.
        place: what messages name a line by, before its number; for sessions of several tapes.
        filters: tick size, lot step and minimum of each symbol that an exchangeInfo described.
        contracts: the same symbols' whole rules.
        facts: what was told of symbols that ladder rules may ask for.
        account: what private frames, position answers and order answers go to.
        book_due_ns: when the account's book has something to do; far away where it has not.
        on_sent: called with each recorded order request, and when it left.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        note: Note,
        follow_account: bool,
        management: Management | None = None,
    ) -> None:
        """Builds a pump.

        Args:
            engine: what it feeds.
            note: called for everything a person should know, with a kind and a text.
            follow_account: whether private frames and position answers open and close positions.
            management: which of the account's positions are ours; all of them where None is given.
        """
        self.engine = engine
        self.facts = SymbolFacts(engine.facts)
        self.account = AccountFeed(engine, management)
        self._gap = GapPages(engine)
        self.now_ns = 0
        self.skipped = 0
        self.place = "line"
        self.ignored: Counter[str] = Counter()
        self.filters: dict[str, Filters] = {}
        self.contracts: dict[str, SymbolFilters] = {}
        self.on_sent: Callable[[OrderMessage, int], None] | None = None
        self._note = note
        self._follow_account = follow_account
        self._decode: Callable[[bytes], Any] = enveloped_line
        self.book_due_ns = NEVER_NS
        self._standing_ns = -1  # since when time stands still
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
        engine = self.engine
        now_ns = self.now_ns
        book_due_ns = self.book_due_ns
        decode = self._decode
        is_enveloped = decode is enveloped_line
        for number, raw in enumerate(lines, first_number):
            try:
                line = decode(raw)
                frame = line.m.data if is_enveloped else line.m
                t_ns = line.t
                if t_ns < now_ns or t_ns >= engine.due_ns or t_ns >= book_due_ns:
                    # Timers fire before the line is looked at, so that nothing in it can lose them.
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
                    decisions = ()
                now_ns = t_ns
            except (*FAULTS, DecodeError):
                self.now_ns = now_ns
                decisions = self._other(number, raw)
                now_ns = self.now_ns
                book_due_ns = self.book_due_ns
                decode = self._decode
                is_enveloped = decode is enveloped_line
            if decisions:
                sink(decisions)
        self.now_ns = now_ns

    def on_time(self, now_ns: int) -> Sequence[Decision]:
        """Fires what is due at or before this receive time, in the order in which it was due."""
        if now_ns < self.book_due_ns:
            return self.engine.on_time(now_ns)
        decisions: list[Decision] = []
        while self.book_due_ns <= now_ns:
            # However late it is looked at: a position's end is named before what is due after it.
            due_ns = self.book_due_ns
            decisions += self.engine.on_time(due_ns)
            decisions += self.account.book.on_time(due_ns)
            self._note_book_due()
        return [*decisions, *self.engine.on_time(now_ns)]

    def finish(self) -> Sequence[Decision]:
        """The input is over: what still waits for news is told as it is known."""
        decisions = self.account.book.finish(self.now_ns)
        self._note_book_due()
        return decisions

    def _note_book_due(self) -> None:
        due_ns = self.account.book.due_ns
        self.book_due_ns = NEVER_NS if due_ns is None else due_ns

    def _other(self, number: int, raw: bytes) -> Sequence[Decision]:
        """A line that is no plain market frame in the form of the last one."""
        # The two forms of a market frame are two decoders; a tape mostly has one of them.
        other = bare_line if self._decode is enveloped_line else enveloped_line
        try:
            line = decode_line(raw)
        except TapeLineDamaged as error:
            self.damaged(number, str(error))
            return ()
        if line.t > T_NS_MAX:
            self.damaged(number, f"receive time {line.t} ns is later than the year 2100")
            return ()
        if line.c in {"market", "public"}:
            self._try_other_form(other, raw)
        return self.take(line, number)

    def take(self, line: TapeLine, number: int = 0) -> Sequence[Decision]:
        """Takes one message that is no quiet tick.

        Args:
            line: the message; live, as it would stand on a tape.
            number: its line number, for messages; 0 where there is no tape.
        """
        t_ns = self.forwards(number, line.t)
        decisions = list(self.on_time(t_ns))
        try:
            decisions += self._message(number, line, t_ns)
        except DecodeError as error:
            self._unreadable(number, line.c, str(error))
        self._note_book_due()
        return decisions

    @property
    def due_ns(self) -> int:
        """No later than the instant at which `on_time` next has something to do."""
        engine = self.engine
        return self.book_due_ns if engine.is_time_held else min(engine.due_ns, self.book_due_ns)

    def forwards(self, number: int, t_ns: int) -> int:
        """The time that a line counts as received at.

        Where receive time runs backwards, it stands still until the lines have caught up.
        """
        if t_ns >= self.now_ns:
            self.now_ns = t_ns
        elif self._standing_ns != self.now_ns:
            self._standing_ns = self.now_ns
            back_s = (self.now_ns - t_ns) / 1e9
            self._note(
                "backwards",
                f"{self.place} {number}: receive time runs backwards by {back_s:.3f} s;"
                " what follows counts as received at the latest time so far",
            )
        return self.now_ns

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
                return self._link(number, raw, t_ns)
        return ()

    def damaged(self, number: int, reason: str) -> None:
        """Counts a line that is no tape line."""
        self.skipped += 1
        self._note("damage", f"{self.place} {number}: {reason}; skipped")

    def _unreadable(self, number: int, channel: str, reason: str) -> None:
        self.skipped += 1
        self._note("unreadable", f"{self.place} {number} ({channel}): {reason}; skipped")

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
                try:
                    decisions += self._frame(frame, t_ns)
                except DecodeError as error:
                    self._unreadable(number, channel, str(error))
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
        self.facts.learn(event)
        return self.account.on_event(event, t_ns) if self._follow_account else ()

    # REST -------------------------------------------------------------------------------------

    def _rest(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        try:
            request = decode_rest_line(raw)
        except FAULTS as error:
            self._unreadable(number, "rest", f"not a recorded answer: {error}")
            return ()
        # Recorders that keep the whole URL have the query in the path.
        path, _, query = request.path.partition("?")
        params = dict(parse_qsl(query))
        params.update((key, str(value)) for key, value in request.params.items())
        answer = decode_rest(request.method, path, request.status, bytes(request.body), params)
        self.facts.learn(answer)
        if isinstance(answer, Malformed):
            self._unreadable(number, "rest", f"{path}: {answer.reason}")
        elif isinstance(answer, RestFailure) and path == ORDER_PATH and request.method == "GET":
            if self._follow_account:
                return self.account.on_order_failure(answer, params, t_ns, asked_ns=request.asked)
        elif isinstance(answer, Ignored | RestFailure):
            self.ignored[f"{request.method} {path}"] += 1
        elif isinstance(answer, AggTrades | Klines) and self._gap.take(answer, params):
            return ()
        elif isinstance(answer, Klines):
            return self._history(answer, t_ns)
        elif isinstance(answer, ExchangeInfo):
            for unread in answer.malformed:
                self._unreadable(number, "rest", f"{path}: a contract: {unread.reason}")
            for contract in answer.symbols.values():
                if isinstance(contract, SymbolFilters):
                    self.filters[contract.symbol] = filters_of(contract)
                    self.contracts[contract.symbol] = contract
        elif isinstance(answer, PositionMode | AccountConfig):
            self.account.hedge = answer.hedge
        elif isinstance(answer, Order):
            if self._follow_account and request.method == "GET" and path == ORDER_PATH:
                return self.account.on_order(answer, t_ns)
        elif isinstance(answer, tuple):
            return self._rows(answer, path, params, t_ns, asked_ns=request.asked)
        return ()

    def _rows(
        self,
        rows: tuple[object, ...],
        path: str,
        params: dict[str, str],
        t_ns: int,
        *,
        asked_ns: int | None,
    ) -> Sequence[Decision]:
        """An answer that is a list: positions, fills, prices."""
        if path.endswith("/positionRisk"):
            if not self._follow_account:
                return ()
            positions = [row for row in rows if isinstance(row, PositionRisk)]
            asked_for = params.get("symbol")
            told = self.account.on_positions(positions, asked_for, t_ns, asked_ns=asked_ns)
            if asked_for is None:
                # What is open is known now: of what an earlier process left, the rest is over.
                self.engine.is_time_held = False
            return told
        if path.endswith("/userTrades"):
            return self.account.on_trades(rows, t_ns) if self._follow_account else ()
        decisions: list[Decision] = []
        for row in rows:
            decisions += self._polled(row, t_ns)
        return decisions

    def _polled(self, row: object, t_ns: int) -> Sequence[Decision]:
        """A price that was asked for, for the machines of its own source."""
        polled = self.engine.on_polled
        now_ms = t_ns // 1_000_000
        match row:
            case PremiumIndex():
                return polled("mark", row.symbol, text(row.mark_price), row.time_ms, t_ns)
            case TickerPrice():
                return polled("last", row.symbol, text(row.price), row.time_ms or now_ms, t_ns)
            case TickerBook():
                bid, ask = text(row.bid_price), text(row.ask_price)
                return polled("book", row.symbol, bid, row.time_ms or now_ms, t_ns, ask=ask)
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

    # Orders, operators, sockets ---------------------------------------------------------------

    def _order(self, number: int, raw: bytes, t_ns: int, *, sent: bool) -> Sequence[Decision]:
        try:
            message = decode_order(raw)
        except FAULTS as error:
            self._unreadable(number, "order", f"not a recorded order: {error}")
            return ()
        if not sent:
            return self.account.on_answer(message, t_ns) if self._follow_account else ()
        if self.on_sent is not None:
            self.on_sent(message, t_ns)
        self.account.on_request(message, t_ns)
        return ()

    def _control(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        policy = _policy_of(raw)
        if policy is not None:
            return self.engine.on_policy(policy, t_ns=t_ns)
        try:
            command = decode_control(raw)
        except FAULTS as error:
            self._unreadable(number, "control", f"not a recorded command: {error}")
            return ()
        engine, symbol, side = self.engine, command.symbol, command.side
        if command.command == "close":
            return engine.close(symbol, side, t_ns=t_ns)
        if command.command == "close_stop":
            return engine.close(symbol, side, t_ns=t_ns, by_stop=True)
        if command.command == "outcome":
            if not self._follow_account or command.event not in set(Event):
                return ()
            event, filled = Event(command.event), quantity(command.filled or "0")
            return self.account.on_outcome(symbol, command.order_id, event, filled, t_ns)
        if command.command == "set_stop":
            return engine.set_stop(symbol, side, price(command.price), t_ns=t_ns)
        if command.command in {"pause", "resume"}:
            engine.pause(symbol, side, paused=command.command == "pause")
        else:
            self.ignored["control"] += 1
        return ()

    def _link(self, number: int, raw: bytes, t_ns: int) -> Sequence[Decision]:
        try:
            link = decode_link(raw)
        except FAULTS:
            self._unreadable(number, "link", "not a recorded link state")
            return ()
        if link.state == "gap":
            return self._gap.link(raw, t_ns)
        if link.state not in {"up", "source", "ended"}:
            self._note("link", f"{self.place} {number}: {link.stream or 'socket'} {link.state}")
            if link.stream not in {"private", "order", "rest"}:
                self.engine.on_interruption()
        return ()


def _policy_of(raw: bytes) -> ExternalPolicy | None:
    """A policy from outside; None where the command is another one."""
    try:
        return decode_policy(raw).policy()
    except FAULTS:
        return None
