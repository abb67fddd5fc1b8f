"""An order built and signed ahead of its decision: nothing is left to do for it but to write it."""

from decimal import Decimal
from typing import Final

from reactor.binance.filters import SymbolFilters
from reactor.shell.gateway.frames import BegunFrame

SIGNED_AGE_MAX_NS: Final = 1_000_000_000
"""How old a signature may be with which an order leaves: a fifth of the default `recvWindow`, so that the network has
the rest. What is older is the engine's to build, with the time of then."""


class Aim:
    """The close of one position, ready.

    Attributes:
        symbol, quantity, number, order_id: of the exit that it would be. `params`: of its request.
        identity: of the request. `hedge`, `filters`: what it was built by.
        frame: as it would leave. `until_ns`: by our clock, until when it may.
    """

    __slots__ = (
        "_begun",
        "_valid_ns",
        "filters",
        "frame",
        "hedge",
        "identity",
        "number",
        "order_id",
        "params",
        "quantity",
        "symbol",
        "until_ns",
    )

    def __init__(
        self,
        *,
        symbol: str,
        quantity: Decimal,
        number: int,
        order_id: str,
        identity: str,
        params: dict[str, str],
        hedge: bool,
        filters: SymbolFilters | None,
        begun: BegunFrame,
        recv_window_ms: int,
    ) -> None:
        self.symbol = symbol
        self.quantity = quantity
        self.number = number
        self.order_id = order_id
        self.identity = identity
        self.params = params
        self.hedge = hedge
        self.filters = filters
        self._begun = begun
        # However short the window is, half of it is the network's.
        self._valid_ns = min(SIGNED_AGE_MAX_NS, recv_window_ms * 500_000)
        self.frame = b""
        self.until_ns = 0

    def sign(self, timestamp_ms: int, *, now_ns: int) -> None:
        """Signs it with this time.

        Args:
            timestamp_ms: the exchange's, now.
            now_ns: ours, now.
        """
        self.frame = self._begun.frame(timestamp_ms)
        self.until_ns = now_ns + self._valid_ns


class Fired:
    """An order that left ahead of its decision, until that claims it.

    Attributes:
        order_id: of the exit. `params`, `frame`: as it left. `decided_ns`, `sent_ns`: when it was fired, and written.
    """

    __slots__ = ("decided_ns", "frame", "order_id", "params", "sent_ns")

    def __init__(self, aim: Aim, *, decided_ns: int, sent_ns: int) -> None:
        self.order_id = aim.order_id
        self.params = aim.params
        self.frame = aim.frame
        self.decided_ns = decided_ns
        self.sent_ns = sent_ns
