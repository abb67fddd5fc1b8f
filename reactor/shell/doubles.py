"""A second live process on the same account, told by its orders: two guards sell every rung twice.

Another instance of this system names its orders with another hash. One of the same name cannot be told by that,
but an exit under our name that this process never sent can be nobody else's.
"""

from typing import Final

from reactor.audit import AlarmRaised, Audit
from reactor.binance.decode import decode_user
from reactor.binance.orders import PREFIX, instance_hash, parse_client_order_id
from reactor.binance.user_messages import OrderTradeUpdate
from reactor.clock import Clock
from reactor.shell.guard import Guard

_ORDER: Final = b"ORDER_TRADE_UPDATE"
_OURS: Final = f'"{PREFIX}'.encode()

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
        guard.on_private.append(self._private)

    def _private(self, message: bytes, t_ns: int) -> None:
        if t_ns < self._since_ns or _ORDER not in message or _OURS not in message:
            return
        event = decode_user(message)
        if not isinstance(event, OrderTradeUpdate):
            return
        order = event.order
        parts = parse_client_order_id(order.client_order_id)
        if parts is None or parts.purpose != "exit":
            return
        if parts.instance != self._instance:
            if order.symbol not in self._guard.symbols():
                return
            who = "another instance"
        elif not self._guard.pump.account.has_sent(order.client_order_id):
            who = "another process of the same instance name"
        else:
            return
        text = (
            f"{order.symbol}: {who} sends exits on this account ({order.client_order_id}): every rung would be"
            " sold twice; stop one of them"
        )
        self._audit.publish(
            AlarmRaised(
                kind="second_instance",
                text=text,
                symbol=order.symbol,
                key=f"double:{order.symbol}",
            ),
            t_ns=t_ns,
        )
