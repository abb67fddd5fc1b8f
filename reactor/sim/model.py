"""What an account owns and asks for: credentials, orders, conditional orders, positions."""

from dataclasses import dataclass, field
from decimal import Decimal

from reactor.sim.decimals import ZERO

OPEN_STATUSES = frozenset({"NEW", "PARTIALLY_FILLED"})
ALGO_OPEN = frozenset({"NEW", "TRIGGERING"})
QUANTUM = Decimal("0.00000001")


@dataclass(slots=True)
class Credential:
    """An API key: which account it opens and how its requests are signed.

    ``kind`` is ``HMAC`` (``secret`` is the shared secret), ``ED25519`` or ``RSA`` (``secret`` is the
    public key, PEM).
    """

    api_key: str
    account: str
    kind: str
    secret: str
    can_trade: bool = True


@dataclass(slots=True)
class Order:
    """A regular order in the matching engine. Prices in USDT, quantities in base units."""

    account: str
    symbol: str
    order_id: int
    client_id: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    original_type: str = ""
    stop_price: Decimal = ZERO
    close_position: bool = False
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    algo_id: int = 0
    expiry_reason: str = "0"
    stp_mode: str = "EXPIRE_MAKER"
    price_match: str = "NONE"
    good_till_ms: int = 0

    @property
    def remaining(self) -> Decimal:
        """What has not been filled."""
        return self.quantity - self.executed

    @property
    def average(self) -> Decimal:
        """The average fill price, 0 without fills."""
        return self.quote / self.executed if self.executed else ZERO

    @property
    def sign(self) -> int:
        """+1 for BUY, -1 for SELL."""
        return 1 if self.side == "BUY" else -1

    @property
    def is_open(self) -> bool:
        """Whether it can still be filled or cancelled."""
        return self.status in OPEN_STATUSES


@dataclass(slots=True)
class AlgoOrder:
    """A conditional order waiting in the Algo service."""

    account: str
    algo_id: int
    client_id: str
    type: str
    symbol: str
    side: str
    position_side: str
    time_in_force: str
    quantity: Decimal
    trigger_price: Decimal
    price: Decimal
    working_type: str
    close_position: bool
    reduce_only: bool
    price_protect: bool
    created_ms: int
    updated_ms: int
    status: str = "NEW"
    activate_price: Decimal = ZERO
    callback_rate: Decimal = ZERO
    activated: bool = False
    extreme: Decimal = ZERO
    order_id: int = 0
    actual_type: str = ""
    average: Decimal = ZERO
    executed: Decimal = ZERO
    trigger_ms: int = 0
    good_till_ms: int = 0
    failure: str = ""
    stp_mode: str = "EXPIRE_MAKER"
    price_match: str = "NONE"
    visible_from_ms: int = 0
    stuck: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it still waits, or is on its way into the matching engine."""
        return self.status in ALGO_OPEN

    @property
    def is_gte(self) -> bool:
        """Good till expired: it lives only as long as the position it protects."""
        return self.time_in_force == "GTE_GTC"

    @property
    def is_stop(self) -> bool:
        """Whether it fires when the price moves against the closing side (a stop, not a profit)."""
        return self.type in {"STOP", "STOP_MARKET", "TRAILING_STOP_MARKET"}


@dataclass(slots=True)
class Position:
    """One position: one-way ``BOTH``, or a hedge leg ``LONG`` or ``SHORT``.

    The entry is kept as a cost, not as a price, so that money is conserved to the last digit: what a
    partial close takes out of ``cost`` is exactly what its realised profit is counted from.
    """

    symbol: str
    side: str
    amount: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    isolated_wallet: Decimal = ZERO
    updated_ms: int = 0

    @property
    def entry(self) -> Decimal:
        """Average entry price, 0 when flat."""
        return self.cost / self.amount if self.amount else ZERO

    @property
    def break_even(self) -> Decimal:
        """The price at which closing pays the entry fees back (the exit fee is not in it)."""
        if not self.amount:
            return ZERO
        return (self.cost + self.fees) / self.amount

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit in USDT if it were closed at ``mark``, without fees."""
        return self.amount * mark - self.cost

    def apply(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Take a fill in and return its realised profit in USDT, before fees.

        Args:
            quantity: Signed; positive buys.
            price: The fill price.

        Returns:
            The profit of the part that closed something; 0 when the fill only opened.
        """
        before = self.amount
        after = before + quantity
        profit = ZERO
        if before and (before > 0) != (quantity > 0):
            closing = min(abs(quantity), abs(before))
            closed = closing if before > 0 else -closing
            released = (
                self.cost
                if closing == abs(before)
                else (self.cost * closed / before).quantize(QUANTUM)
            )
            profit = closed * price - released
            self.cost -= released
            self.fees = (
                ZERO
                if closing == abs(before)
                else (self.fees * (abs(before) - closing) / abs(before)).quantize(QUANTUM)
            )
            opening = quantity + closed
        else:
            opening = quantity
        self.cost += opening * price
        self.amount = after
        self.realized += profit
        return profit


@dataclass(slots=True)
class Trade:
    """One fill as userTrades tells it."""

    symbol: str
    trade_id: int
    order_id: int
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    realized: Decimal
    commission: Decimal
    maker: bool
    time_ms: int


@dataclass(slots=True)
class Income:
    """One movement of the wallet as the income history tells it."""

    kind: str
    symbol: str
    amount: Decimal
    time_ms: int
    tran_id: int
    trade_id: str = ""
    info: str = field(default="")


@dataclass(slots=True)
class Amendment:
    """One change of a resting order; (before, after) of price and quantity."""

    amendment_id: int
    symbol: str
    order_id: int
    client_id: str
    time_ms: int
    price: tuple[Decimal, Decimal]
    quantity: tuple[Decimal, Decimal]
    count: int


@dataclass(slots=True)
class MarginChange:
    """One change of an isolated position's margin at its owner's wish; type 1 adds, 2 takes out."""

    symbol: str
    position_side: str
    kind: int
    amount: Decimal
    time_ms: int
