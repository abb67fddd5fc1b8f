"""A second live process on the same account, told by its orders: two guards sell every rung twice.

Another instance of this system names its orders with another hash. One of the same name cannot be told by that,
but an order under our name that this process never sent can be nobody else's. Its hard stops tell of it before it
has sold anything: it places them as soon as it starts.
"""

from collections import deque
from typing import Final

from reactor.audit import AlarmRaised, Audit, AuditEvent, OrderSent
from reactor.binance.decode import decode_user
from reactor.binance.orders import PREFIX, instance_hash, parse_client_order_id
from reactor.binance.user_messages import AlgoUpdate, OrderTradeUpdate
from reactor.clock import Clock
from reactor.shell.guard import Guard

_EVENTS: Final = (b"ORDER_TRADE_UPDATE", b"ALGO_UPDATE")
_NAMESAKE: Final = "another process of the same instance name"
_OURS: Final = f'"{PREFIX}'.encode()

PLACED_KEPT: Final = 1000
"""Hard stops of ours that are remembered: what the exchange tells of a new one comes within seconds."""

FORERUNNER_NS: Final = 15_000_000_000
"""How long after a start events may still tell of orders that the process before sent."""


class Doubles:
    """Looks at the account's orders for those of another live process."""

    def __init__(self, guard: Guard, *, audit: Audit, clock: Clock, instance: str) -> None:
        """Begins to listen to the guard.

        Args:
            guard: whose user stream is looked at.
            audit: told of what is found.
            clock: ours.
            instance: this process's name.
        """
        self._guard = guard
        self._audit = audit
        self._instance = instance_hash(instance)
        self._since_ns = clock.now_ns() + FORERUNNER_NS
        self._placed: deque[str] = deque(maxlen=PLACED_KEPT)
        audit.watch(self._sent)
        guard.on_private.append(self._private)

    def _sent(self, event: AuditEvent) -> None:
        if isinstance(event.what, OrderSent) and event.what.purpose == "hard_stop":
            self._placed.append(event.what.client_id)

    def _private(self, message: bytes, t_ns: int) -> None:
        if (
            t_ns < self._since_ns
            or _OURS not in message
            or not any(name in message for name in _EVENTS)
        ):
            return
        event = decode_user(message)
        if isinstance(event, OrderTradeUpdate):
            self._look_at_exit(event.order.symbol, event.order.client_order_id, t_ns)
        elif isinstance(event, AlgoUpdate) and event.order.status == "NEW":
            self._look_at_stop(event.order.symbol, event.order.client_algo_id, t_ns)

    def _look_at_exit(self, symbol: str, client_id: str, t_ns: int) -> None:
        parts = parse_client_order_id(client_id)
        if parts is None or parts.purpose != "exit":
            return
        if parts.instance != self._instance:
            if symbol in self._guard.symbols():
                self._tell(symbol, client_id, "another instance", "sends exits", t_ns)
        elif not self._guard.pump.account.has_sent(client_id):
            self._tell(symbol, client_id, _NAMESAKE, "sends exits", t_ns)

    def _look_at_stop(self, symbol: str, client_id: str, t_ns: int) -> None:
        parts = parse_client_order_id(client_id)
        # Another name's stops are told of by their keeper.
        if parts is None or parts.purpose != "hard_stop" or parts.instance != self._instance:
            return
        if client_id not in self._placed:
            self._tell(symbol, client_id, _NAMESAKE, "places hard stops", t_ns)

    def _tell(self, symbol: str, client_id: str, who: str, does: str, t_ns: int) -> None:
        text = f"{symbol}: {who} {does} on this account ({client_id}): every rung would be sold twice; stop one of them"
        self._audit.publish(
            AlarmRaised(kind="second_instance", text=text, symbol=symbol, key=f"double:{symbol}"),
            t_ns=t_ns,
        )
