"""An order built ahead of its decision: everything but its time and its signature."""

from decimal import Decimal

from reactor.binance.filters import SymbolFilters
from reactor.shell.gateway.frames import BegunFrame


class Aim:
    """The close of one position, ready.

    Attributes:
        symbol, quantity, number, order_id: of the exit that it would be.
        identity: of the request. `hedge`, `filters`: what it was built by.
    """

    __slots__ = (
        "begun",
        "filters",
        "hedge",
        "identity",
        "number",
        "order_id",
        "quantity",
        "symbol",
    )

    def __init__(
        self,
        *,
        symbol: str,
        quantity: Decimal,
        number: int,
        order_id: str,
        identity: str,
        hedge: bool,
        filters: SymbolFilters | None,
        begun: BegunFrame,
    ) -> None:
        self.symbol = symbol
        self.quantity = quantity
        self.number = number
        self.order_id = order_id
        self.identity = identity
        self.hedge = hedge
        self.filters = filters
        self.begun = begun

    def frame(self, timestamp_ms: int) -> bytes:
        """The whole frame."""
        return self.begun.frame(timestamp_ms)


class Fired:
    """An order that left ahead of its decision, until that claims it.

    Attributes:
        identity: of the request. `frame`: as it left. `decided_ns`, `sent_ns`: when it was fired, and written.
    """

    __slots__ = ("decided_ns", "frame", "identity", "order_id", "sent_ns")

    def __init__(self, aim: Aim, frame: bytes, *, decided_ns: int, sent_ns: int) -> None:
        self.identity = aim.identity
        self.order_id = aim.order_id
        self.frame = frame
        self.decided_ns = decided_ns
        self.sent_ns = sent_ns
