"""An account's frames and answers, turned into what its book understands.

User-data events, position snapshots, and the answers to order requests: each is taken apart here, in
Binance's terms, and told to `AccountBook` in the core's.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from reactor.binance.amounts import quantity
from reactor.binance.rest_account_messages import PositionRisk
from reactor.binance.user_messages import AccountUpdate, OrderTradeUpdate, UserEvent
from reactor.core.account import AccountBook
from reactor.core.decisions import Decision
from reactor.core.engine import Engine
from reactor.core.exact import ZERO
from reactor.core.lifecycle import Event
from reactor.shell.recorded import (
    OUTCOMES,
    UNKNOWN_OUTCOME_CODES,
    OrderMessage,
    is_fill,
    trade_of,
)

REQUESTS_KEPT = 1000
"""Order requests whose answer may still come."""


class AccountFeed:
    """Feeds one account's book.

    Attributes:
        book: the account's positions as far as they are known.
        hedge: whether the account is in hedge mode: as it was told, or as a position's side shows.
    """

    def __init__(self, engine: Engine) -> None:
        self.book = AccountBook(engine)
        self.hedge = False
        self._requests: dict[str, tuple[str, str]] = {}

    def on_event(self, event: UserEvent, t_ns: int) -> Sequence[Decision]:
        """Takes a user-data event."""
        decisions: list[Decision] = []
        if isinstance(event, AccountUpdate):
            for position in event.account.positions:
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
            if is_fill(order):
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

    def on_positions(
        self, rows: Iterable[PositionRisk], symbol: str | None, t_ns: int
    ) -> Sequence[Decision]:
        """Takes a position snapshot; what it does not list is flat.

        Args:
            rows: all rows of the answer.
            symbol: the one that was asked for; None for all.
            t_ns: receive time.
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
            )
        decisions += self.book.on_snapshot_end(
            None if symbol is None else {symbol}, listed=listed, t_ns=t_ns
        )
        return decisions

    def on_request(self, message: OrderMessage) -> None:
        """Takes an order request: its answer names it by the request's id alone."""
        client_id = message.params.get("newClientOrderId")
        if client_id is not None and message.id is not None:
            if len(self._requests) >= REQUESTS_KEPT:
                del self._requests[next(iter(self._requests))]
            self._requests[str(message.id)] = (
                str(message.params.get("symbol", "")),
                str(client_id),
            )

    def on_answer(self, message: OrderMessage, t_ns: int) -> Sequence[Decision]:
        """Takes an order's answer.

        Raises:
            DecodeError: it states a quantity that is none.
        """
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
                filled=quantity(result.executed_quantity),
                t_ns=t_ns,
            )
        failed_there = (message.status or 0) >= 500
        if not client_id or (message.error is None and not failed_there):
            return ()
        code = None if message.error is None else message.error.code
        unknown = failed_there or code in UNKNOWN_OUTCOME_CODES
        outcome = Event.UNKNOWN if unknown else Event.REJECTED
        return self.book.on_order(symbol, client_id, outcome, filled=ZERO, t_ns=t_ns)

    def _learn_mode(self, position_side: str, amount: Decimal) -> None:
        """Hedge mode shows in a position's side; there, the symbol's BOTH row exists too, always flat."""
        if position_side != "BOTH":
            self.hedge = True
        elif amount:
            self.hedge = False
