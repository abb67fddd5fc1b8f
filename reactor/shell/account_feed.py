"""An account's frames and answers, turned into what its book understands.

User-data events, position snapshots, orders and trades that were asked for, and the answers to order requests:
each is taken apart here, in Binance's terms, and told to `AccountBook` in the core's.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from reactor.binance.amounts import quantity
from reactor.binance.failures import reaction
from reactor.binance.messages import RestFailure
from reactor.binance.orders import parse_client_order_id
from reactor.binance.rest_account_messages import Order, PositionRisk, UserTrade
from reactor.binance.user_messages import AccountUpdate, OrderTradeUpdate, UserEvent
from reactor.core.account import AccountBook
from reactor.core.account_trades import Trade
from reactor.core.decisions import Decision, Reason
from reactor.core.engine import Engine
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.core.management import Management
from reactor.core.slices import Slices
from reactor.shell.failure_events import engine_event
from reactor.shell.recorded import (
    OUTCOMES,
    OrderMessage,
    is_fill,
    slice_id,
    trade_of,
)

Key = TypeVar("Key")
Value = TypeVar("Value")

REQUESTS_KEPT = 1000
"""Order requests whose answer may still come, and orders whose client id is remembered."""

ABSENT_AFTER_NS = 61_000_000_000
"""An order that the exchange did not find when asked this long after it was sent never arrived: it may be taken
for as long as its `recvWindow` of at most 60 s and a second more allow. The gateway knows its own window, and
compares position and fills beside; it says so sooner."""

FILLS_WHOLE = 500
"""An answer with fewer fills than the smallest `limit` that is asked with holds all that there are."""

NOT_FOUND = -2013


class _Request:
    """An order request that left."""

    __slots__ = ("client_id", "sent_ns", "symbol")

    def __init__(self, symbol: str, client_id: str, sent_ns: int) -> None:
        self.symbol = symbol
        self.client_id = client_id
        self.sent_ns = sent_ns


class AccountFeed:
    """Feeds one account's book.

    Attributes:
        book: the account's positions as far as they are known.
        hedge: whether the account is in hedge mode: as it was told, or as a position's side shows.
        slices: the orders of exits that were cut.
        newest_trade_ms: the exchange time of the newest fill known, by symbol.
        told_ns: when the stream last told of a position or a fill, by symbol; what was asked for does not count.
    """

    def __init__(self, engine: Engine, management: Management | None = None) -> None:
        self.book = AccountBook(engine, management)
        self.hedge = False
        self.slices = Slices()
        self.newest_trade_ms: dict[str, int] = {}
        self.told_ns: dict[str, int] = {}
        self._requests: dict[str, _Request] = {}
        self._sent_ns: dict[str, int] = {}
        # Trades that are asked for name the order by the exchange's id alone.
        self._client_ids: dict[tuple[str, int], str] = {}

    # The user-data stream ---------------------------------------------------------------------

    def on_event(self, event: UserEvent, t_ns: int) -> Sequence[Decision]:
        """Takes a user-data event."""
        decisions: list[Decision] = []
        if isinstance(event, AccountUpdate):
            for position in event.account.positions:
                self.told_ns[position.symbol] = t_ns
                self._learn_mode(position.position_side, position.position_amount)
                decisions += self.book.on_report(
                    symbol=position.symbol,
                    position_side=position.position_side,
                    amount=position.position_amount,
                    entry=position.entry_price,
                    t_event_ms=event.transaction_time_ms,
                    t_ns=t_ns,
                    profit_so_far=position.realized_profit,
                )
            if event.account.reason == "FUNDING_FEE":
                for balance in event.account.balances:
                    paid = (balance.balance_change or ZERO).copy_negate()
                    self.book.on_funding(event.account.funding_symbol, paid)
        elif isinstance(event, OrderTradeUpdate):
            order = event.order
            self._know(order.symbol, order.order_id, order.client_order_id)
            if is_fill(order):
                self.told_ns[order.symbol] = t_ns
                trade = trade_of(order, event.transaction_time_ms, t_ns)
                self._note_trade(trade)
                decisions += self.book.on_trade(trade)
            outcome = OUTCOMES.get(order.status)
            if outcome is not None:
                decisions += self._tell(
                    order.symbol, order.client_order_id, outcome, order.filled_quantity, t_ns
                )
        return decisions

    # What was asked for -----------------------------------------------------------------------

    def on_positions(
        self,
        rows: Iterable[PositionRisk],
        symbol: str | None,
        t_ns: int,
        *,
        asked_ns: int | None = None,
    ) -> Sequence[Decision]:
        """Takes a position snapshot; what it does not list is flat.

        Args:
            rows: all rows of the answer.
            symbol: the one that was asked for; None for all.
            t_ns: receive time.
            asked_ns: when the question left, where known.
        """
        decisions: list[Decision] = []
        listed = set()
        for row in rows:
            listed.add((row.symbol, row.position_side))
            self._learn_mode(row.position_side, row.position_amount)
            decisions += self.book.on_report(
                symbol=row.symbol,
                position_side=row.position_side,
                amount=row.position_amount,
                entry=row.entry_price,
                t_event_ms=row.update_time_ms or None,
                t_ns=t_ns,
                liquidation_price=row.liquidation_price,
                margin=row.position_initial_margin or row.initial_margin or row.isolated_margin,
                snapshot=True,
                asked_ns=asked_ns,
            )
        decisions += self.book.on_snapshot_end(
            None if symbol is None else {symbol}, listed=listed, t_ns=t_ns, asked_ns=asked_ns
        )
        return decisions

    def on_order(self, order: Order, t_ns: int) -> Sequence[Decision]:
        """Takes an order that was asked for by its id."""
        self._know(order.symbol, order.order_id, order.client_order_id)
        outcome = OUTCOMES.get(order.status)
        if outcome is None or parse_client_order_id(order.client_order_id) is None:
            return ()
        if outcome is Event.ACCEPTED:
            outcome = Event.FOUND_OPEN
        return self._tell(
            order.symbol, order.client_order_id, outcome, order.executed_quantity, t_ns
        )

    def on_order_failure(
        self,
        failure: RestFailure,
        params: Mapping[str, str],
        t_ns: int,
        *,
        asked_ns: int | None = None,
    ) -> Sequence[Decision]:
        """Takes the answer that an order was not found: proof only a while after it was sent.

        Args:
            failure: the answer.
            params: the question's parameters.
            t_ns: receive time.
            asked_ns: when the question left; without it, receive time.
        """
        client_id = params.get("origClientOrderId", "")
        sent_ns = self._sent_ns.get(client_id)
        since_ns = t_ns if asked_ns is None else asked_ns
        if failure.code != NOT_FOUND or sent_ns is None or since_ns - sent_ns < ABSENT_AFTER_NS:
            return ()
        symbol = params.get("symbol", "")
        return self._tell(symbol, client_id, Event.FOUND_ABSENT, ZERO, t_ns)

    def on_trades(self, rows: Iterable[object], t_ns: int) -> Sequence[Decision]:
        """Takes fills that were asked for; those that the stream brought are known already."""
        decisions: list[Decision] = []
        answered = tuple(rows)
        trades = [
            row
            for row in answered
            if isinstance(row, UserTrade) and row.time_ms >= self.book.since_ms(row.symbol)
        ]
        fills = [
            self._fill(row, t_ns)
            for row in sorted(trades, key=lambda row: (row.time_ms, row.trade_id))
        ]
        # As many as were asked for at most: there may be more, and nothing can be concluded.
        self.book.on_missed(fills if len(answered) < FILLS_WHOLE else ())
        for trade in fills:
            self._note_trade(trade)
            decisions += self.book.on_trade(trade)
        return decisions

    def _fill(self, row: UserTrade, t_ns: int) -> Trade:
        client_id = self._client_ids.get((row.symbol, row.order_id), "")
        commission = row.commission or ZERO
        return Trade(
            symbol=row.symbol,
            position_side=row.position_side,
            buys=row.side == "BUY",
            quantity=row.quantity,
            price=row.price,
            profit=row.realized_profit,
            commission=commission if row.symbol.endswith(row.commission_asset or "?") else ZERO,
            trade_id=row.trade_id,
            order_id=slice_id(client_id, 0),
            ends_as=_ends_as(client_id),
            t_event_ms=row.time_ms,
            t_ns=t_ns,
        )

    # Our own orders ---------------------------------------------------------------------------

    def on_request(self, message: OrderMessage, t_ns: int = 0) -> None:
        """Takes an order request: its answer names it by the request's id alone."""
        client_id = message.params.get("newClientOrderId")
        if client_id is None or message.id is None:
            return
        symbol = str(message.params.get("symbol", ""))
        _keep(self._requests, str(message.id), _Request(symbol, str(client_id), t_ns))
        _keep(self._sent_ns, str(client_id), t_ns)
        if parse_client_order_id(str(client_id)) is not None:
            size = quantity(str(message.params.get("quantity", "0")))
            self.slices.sent(slice_id(str(client_id), 0), str(client_id), size)

    def has_sent(self, client_id: str) -> bool:
        """Whether an order of this client id left this process; the newest are remembered."""
        return client_id in self._sent_ns

    def on_answer(self, message: OrderMessage, t_ns: int) -> Sequence[Decision]:
        """Takes an order's answer.

        Raises:
            DecodeError: it states a quantity that is none.
        """
        request = self._requests.pop(str(message.id), None)
        result = message.result
        if result is not None:
            self._know(result.symbol, result.order_id, result.client_order_id)
            outcome = OUTCOMES.get(result.status)
            if outcome is None or not result.client_order_id:
                return ()
            filled = quantity(result.executed_quantity)
            return self._tell(result.symbol, result.client_order_id, outcome, filled, t_ns)
        if request is None or (message.error is None and (message.status or 0) < 400):
            return ()
        error = message.error
        wanted = reaction(
            code=None if error is None else error.code,
            status=message.status or 0,
            text=message.text if error is None else error.msg,
            full=self.book.is_closing(request.symbol, slice_id(request.client_id, 0)),
        )
        event = engine_event(wanted)
        if event is None:
            # The same exit is sent again; its outcome is still open.
            return ()
        return self._tell(request.symbol, request.client_id, event, ZERO, t_ns)

    def on_outcome(
        self, symbol: str, client_id: str, event: Event, filled: Decimal, t_ns: int
    ) -> Sequence[Decision]:
        """Takes what this process itself concluded about one of its orders."""
        return self._tell(symbol, client_id, event, filled, t_ns)

    def _tell(
        self, symbol: str, client_id: str, event: Event, filled: Decimal, t_ns: int
    ) -> Sequence[Decision]:
        exit_id = slice_id(client_id, 0)
        event, filled = self.slices.news(exit_id, client_id, event, filled)
        return self.book.on_order(symbol, exit_id, event, filled=filled, t_ns=t_ns)

    # What is remembered -----------------------------------------------------------------------

    def _know(self, symbol: str, order_id: int, client_id: str) -> None:
        if order_id and client_id:
            _keep(self._client_ids, (symbol, order_id), client_id)

    def _note_trade(self, trade: Trade) -> None:
        known_ms = self.newest_trade_ms.get(trade.symbol, 0)
        self.newest_trade_ms[trade.symbol] = max(known_ms, trade.t_event_ms)

    def _learn_mode(self, position_side: str, amount: Decimal) -> None:
        """Hedge mode shows in a position's side; there, the symbol's BOTH row exists too, always flat."""
        if position_side != "BOTH":
            self.hedge = True
        elif amount:
            self.hedge = False


def _ends_as(client_id: str) -> Reason:
    """What a position closed by an order of this client id was closed by."""
    if client_id.startswith("autoclose-"):
        return Reason.LIQUIDATION
    if client_id == "adl_autoclose":
        return Reason.ADL
    parts = parse_client_order_id(client_id)
    if parts is not None and parts.purpose == "hard_stop":
        return Reason.HARD_STOP
    return Reason.EXTERNAL


def _keep(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Remembers a value; the oldest is forgotten when there are too many."""
    if key not in known and len(known) >= REQUESTS_KEPT:
        del known[next(iter(known))]
    known[key] = value
