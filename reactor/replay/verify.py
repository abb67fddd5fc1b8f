"""`--verify`: the orders a replay would send, against the ones that the recorded session sent.

Orders are told apart by their client ids, which both compute from the same facts. The first sending of an order
must be the decision's own to the last parameter. What is sent again under the same id (after -1021, -1008 …), and
the steps of a full close that does not go through (half of it, LIMIT IOC, a closing stop), depend on answers and
pauses that no replay has: they must close the same position and never more than was decided.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from reactor.binance.orders import parse_client_order_id
from reactor.core.decisions import Decision, Exit, Side
from reactor.core.exact import ZERO, add, text
from reactor.shell.gateway.frames import ALGO_PATH, ORDER_PATH, sending_of
from reactor.shell.recorded import OrderMessage

IGNORED_PARAMS: Final = frozenset({"apiKey", "signature", "timestamp", "recvWindow"})
"""What differs between two honest sendings of the same order (contract, tapes)."""

EXIT_METHODS: Final = frozenset({"order.place", f"POST {ORDER_PATH}"})
"""How exits are sent. Hard stops go through the Algo service and are no exits."""

STOP_METHODS: Final = frozenset({"algoOrder.place", f"POST {ALGO_PATH}"})
"""How stops are placed; one with an exit's id is a step of that exit."""

PENDING_MAX: Final = 10_000
"""Orders of one side waiting for their counterpart. More means that the two have nothing in common."""

UNSENT_NS: Final = 10_000_000_000
"""How old a repetition may be at the tape's end without having left: it keeps its distance from the one before
(at most 5 s), and asks for a price first."""

FREE_PARAMS: Final = frozenset(
    {
        "symbol",
        "side",
        "positionSide",
        "reduceOnly",
        "type",
        "timeInForce",
        "quantity",
        "price",
        "newClientOrderId",
        "newOrderRespType",
    }
)
"""What an order that is sent again may consist of."""

Order = dict[str, str]

OrdersOf = Callable[[Exit], Sequence[Order]]
"""The market orders of an exit, by rules and mode as they are known now."""

_EpochKey = tuple[str, Side, int]


class _Recorded(msgspec.Struct, frozen=True):
    """An order request of the recorded session.

    Attributes:
        t_ns: when it left.
        is_first: whether its request's id says that it is what the decision alone yields, sent once.
        is_stop: whether it is a closing stop.
    """

    client_id: str
    params: Order
    t_ns: int
    is_first: bool
    is_stop: bool


class _Own:
    """An exit that this replay decided, and what became of its orders on the tape."""

    __slots__ = ("decision", "left", "orders", "sent")

    def __init__(self, decision: Exit, orders: Sequence[Order]) -> None:
        self.decision = decision
        self.orders = {order["newClientOrderId"]: _comparable(order) for order in orders}
        # The ids that no recorded order has had yet, and the quantity last sent under each id.
        self.left = set(self.orders)
        self.sent: dict[str, Decimal] = {}

    @property
    def key(self) -> _EpochKey:
        return self.decision.symbol, self.decision.side, self.decision.epoch

    @property
    def ids(self) -> set[str]:
        return {self.decision.order_id, *self.orders}


class Verifier:
    """Pairs own and recorded orders by their client ids.

    Attributes:
        difference: the first pair that differs, in words; None while all agree.
        compared: how many orders agreed. `again`: how many sendings of them were not the first.
    """

    def __init__(self, orders_of: OrdersOf, *, sends: bool = True) -> None:
        """Compares nothing yet.

        Args:
            orders_of: the orders of an exit.
            sends: whether the recorded session sent orders at all; a dry run decides and sends nothing.
        """
        self.difference: str | None = None
        self.compared = 0
        self.again = 0
        self._orders_of = orders_of
        self._sends = sends
        self._by_id: dict[str, _Own] = {}
        # Exits with orders that did not leave yet, in the order in which they were decided.
        self._open: dict[str, _Own] = {}
        self._early: dict[str, list[_Recorded]] = {}

    def own(self, decision: Exit) -> None:
        """Takes an exit that this replay decided."""
        if not self._sends:
            return
        own = _Own(decision, self._orders_of(decision))
        self._overtake(own.key)
        for client_id in own.ids:
            self._by_id[client_id] = own
        if own.left:
            self._open[decision.order_id] = own
        for client_id in own.ids:
            for recorded in self._early.pop(client_id, ()):
                self._check(own, recorded)
        self._bound()

    def ended(self, decision: Decision) -> None:
        """Takes the end of an epoch: what still kept its distance is not sent any more."""
        if decision.side is not None and decision.epoch is not None:
            self._overtake((decision.symbol, decision.side, decision.epoch))

    def recorded(self, message: OrderMessage, t_ns: int) -> None:
        """Takes a request that the recorded session sent.

        Args:
            message: the request.
            t_ns: when it left.
        """
        method = message.method if not message.path else f"{message.method} {message.path}"
        params = _comparable(message.params)
        if method in EXIT_METHODS:
            client_id = params.get("newClientOrderId", "")
        elif method in STOP_METHODS:
            client_id = params.get("clientAlgoId", "")
            parts = parse_client_order_id(client_id)
            if parts is None or parts.purpose != "exit":
                return
        else:
            return
        sending = sending_of(message.id)
        order = _Recorded(
            client_id=client_id,
            params=params,
            t_ns=t_ns,
            is_first=sending is None or (sending.plain and sending.number == 0),
            is_stop=method in STOP_METHODS,
        )
        own = self._by_id.get(client_id)
        if own is None:
            # A timer's exit, or one of this very line, is told after the line that its order is on.
            self._early.setdefault(client_id, []).append(order)
            self._bound()
        else:
            self._check(own, order)

    def finish(self, now_ns: int) -> str | None:
        """The first difference in words, a missing or surplus order included; None if there is none.

        Args:
            now_ns: the tape's last receive time.
        """
        if self.difference is None:
            missing = next((one for one in self._open.values() if _is_due(one, now_ns)), None)
            surplus = next((one for some in self._early.values() for one in some), None)
            if missing is not None or surplus is not None:
                self.difference = _side_by_side(
                    None if missing is None else _first_left(missing),
                    None if surplus is None else surplus.params,
                )
        return self.difference

    # Pairs ------------------------------------------------------------------------------------

    def _check(self, own: _Own, recorded: _Recorded) -> None:
        if self.difference is not None:
            return
        wanted = own.orders.get(recorded.client_id)
        is_new = recorded.client_id not in own.sent
        if recorded.t_ns < own.decision.t_ns:
            self.difference = _side_by_side(wanted, recorded.params, "sent before it was decided")
        elif recorded.is_stop:
            self.difference = _stop_differs(own.decision, recorded.params)
            own.left.clear()
        elif recorded.is_first and is_new:
            self._check_first(own, recorded, wanted)
        else:
            # The same id twice as a first sending is two orders for one decision.
            why = "sent twice" if recorded.is_first else _again_differs(own, recorded)
            if why is not None:
                self.difference = _side_by_side(wanted, recorded.params, why)
        own.sent[recorded.client_id] = _quantity(recorded.params) or ZERO
        if self.difference is None:
            self.compared += is_new
            self.again += not is_new
        own.left.discard(recorded.client_id)
        if not recorded.is_first:
            # Half of an exit may be fewer orders than the whole.
            own.left.clear()
        if not own.left:
            self._open.pop(own.decision.order_id, None)

    def _check_first(self, own: _Own, recorded: _Recorded, wanted: Order | None) -> None:
        if recorded.params == wanted:
            return
        if own.decision.attempt:
            # It kept its distance from the one before; rules or mode may have changed meanwhile.
            orders = map(_comparable, self._orders_of(own.decision))
            if recorded.params in orders:
                return
        self.difference = _side_by_side(wanted, recorded.params)

    def _overtake(self, key: _EpochKey) -> None:
        """What is repeated leaves no more once its epoch ends, or something newer takes its place."""
        for order_id, own in tuple(self._open.items()):
            if own.key == key and own.decision.attempt:
                del self._open[order_id]

    def _bound(self) -> None:
        if self.difference is None and max(len(self._open), len(self._early)) > PENDING_MAX:
            self.finish(1 << 62)
        if self.difference is not None:
            self._open.clear()
            self._early.clear()


def _is_due(own: _Own, now_ns: int) -> bool:
    """Whether an exit's orders should have left by now: first sendings leave at once."""
    return not own.decision.attempt or now_ns - own.decision.t_ns > UNSENT_NS


def _first_left(own: _Own) -> Order:
    return next(order for client_id, order in own.orders.items() if client_id in own.left)


def _again_differs(own: _Own, recorded: _Recorded) -> str | None:
    """Why what was sent again cannot be of this decision; None where it can."""
    decision, params = own.decision, recorded.params
    quantity = _quantity(params)
    others = ZERO
    for client_id, sent in own.sent.items():
        if client_id != recorded.client_id:
            others = add(others, sent)
    if not set(params) <= FREE_PARAMS:
        return "parameters that no repetition has"
    if params.get("symbol") != decision.symbol or params.get("side") != _closing(decision):
        return "of another position"
    if params.get("reduceOnly") != "true" and params.get("positionSide") != decision.side:
        return "it could open a position"
    if quantity is None or not 0 < add(quantity, others) <= decision.quantity:
        return f"more than the {text(decision.quantity)} that were decided"
    return None


def _stop_differs(decision: Exit, params: Order) -> str | None:
    wanted = {
        "symbol": decision.symbol,
        "side": _closing(decision),
        "closePosition": "true",
        "clientAlgoId": decision.order_id,
    }
    if not decision.full or not decision.attempt:
        return _side_by_side(None, params, "a closing stop is no first step")
    if any(params.get(key) != value for key, value in wanted.items()):
        return _side_by_side(wanted, params)
    return None


def _closing(decision: Exit) -> str:
    return "SELL" if decision.side == "LONG" else "BUY"


def _quantity(params: Order) -> Decimal | None:
    try:
        value = Decimal(params.get("quantity", ""))
    except InvalidOperation:
        return None
    return value if value.is_finite() and value > 0 else None


def _comparable(params: dict[str, Any] | Order) -> Order:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in params.items()
        if key not in IGNORED_PARAMS
    }


def _side_by_side(own: Order | None, recorded: Order | None, why: str = "") -> str:
    """Both orders, key by key; keys that differ are marked."""
    rows = [f"verify: the first difference{f': {why}' if why else ''}"]
    rows.append(f"  {'':2}{'':18}{'replay':38}recorded")
    for key in sorted({*(own or {}), *(recorded or {})}):
        mine = "no order" if own is None else own.get(key, "-")
        theirs = "no order" if recorded is None else recorded.get(key, "-")
        rows.append(f"  {' ' if mine == theirs else '≠':2}{key:18}{mine:38}{theirs}")
    return "\n".join(rows)
