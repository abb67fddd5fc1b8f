"""`--verify`: the orders a replay would send, against the ones that the recorded session sent."""

from collections import deque
from typing import Any

from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import market_exit_orders
from reactor.core.decisions import Exit
from reactor.shell.recorded import OrderMessage, slice_id

IGNORED_PARAMS = frozenset({"apiKey", "signature", "timestamp", "recvWindow"})
"""What differs between two honest sendings of the same order (contract, tapes)."""

EXIT_METHODS = frozenset({"order.place", "POST /fapi/v1/order"})
"""How exits are sent. Hard stops go through the Algo service and are no exits."""

PENDING_MAX = 10_000
"""Orders of one side waiting for their counterpart. More means that the two have nothing in common."""

Order = dict[str, str]


class Verifier:
    """Pairs own and recorded orders in the order in which they were decided.

    Attributes:
        difference: the first pair that differs, in words; None while all agree.
        compared: how many pairs agreed.
    """

    def __init__(self) -> None:
        self.difference: str | None = None
        self.compared = 0
        self._own: deque[Order] = deque()
        self._recorded: deque[Order] = deque()

    def own(self, decision: Exit, *, hedge: bool, contract: SymbolFilters | None) -> None:
        """Takes an exit that this replay decided."""
        orders = market_exit_orders(
            symbol=decision.symbol,
            side=decision.side,
            hedge=hedge,
            quantity=decision.quantity,
            filters=contract,
            client_ids=lambda number: slice_id(decision.order_id, number),
        )
        self._own.extend(orders)
        self._pair()

    def recorded(self, message: OrderMessage) -> None:
        """Takes a request that the recorded session sent."""
        method = message.method if not message.path else f"{message.method} {message.path}"
        if method in EXIT_METHODS:
            self._recorded.append(_comparable(message.params))
            self._pair()

    def finish(self) -> str | None:
        """The first difference in words, a missing or surplus order included; None if there is none."""
        if self.difference is None and self._own:
            self.difference = _side_by_side(self._own[0], None)
        if self.difference is None and self._recorded:
            self.difference = _side_by_side(None, self._recorded[0])
        return self.difference

    def _pair(self) -> None:
        while self._own and self._recorded and self.difference is None:
            own, recorded = self._own.popleft(), self._recorded.popleft()
            if _comparable(own) != recorded:
                self.difference = _side_by_side(own, recorded)
            else:
                self.compared += 1
        if max(len(self._own), len(self._recorded)) > PENDING_MAX:
            self.finish()
            self._own.clear()
            self._recorded.clear()


def _comparable(params: dict[str, Any] | Order) -> Order:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in params.items()
        if key not in IGNORED_PARAMS
    }


def _side_by_side(own: Order | None, recorded: Order | None) -> str:
    """Both orders, key by key; keys that differ are marked."""
    rows = ["verify: the first difference"]
    rows.append(f"  {'':2}{'':18}{'replay':38}recorded")
    for key in sorted({*(own or {}), *(recorded or {})}):
        mine = "no order" if own is None else own.get(key, "-")
        theirs = "no order" if recorded is None else recorded.get(key, "-")
        rows.append(f"  {' ' if mine == theirs else '≠':2}{key:18}{mine:38}{theirs}")
    return "\n".join(rows)
