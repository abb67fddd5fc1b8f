"""One account: wallet, positions, margin, open orders, history. Money moves only here.

Every movement of the wallet is an :class:`Income` or a commission, so that at any moment
``wallet = deposits + Σ income``; the tests hold it to that.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from reactor.sim.decimals import ZERO
from reactor.sim.market import Market
from reactor.sim.model import (
    AlgoOrder,
    Amendment,
    Income,
    MarginChange,
    Order,
    Position,
    Trade,
)

CLOSED_MAX = 5000  # finished orders kept for queries
HISTORY_MAX = 10_000
AMENDMENTS_MAX = 1000
DEFAULT_LEVERAGE = 20


@dataclass(slots=True)
class Margins:
    """What positions and open orders tie up, USDT at mark prices."""

    position_initial: Decimal = ZERO
    order_initial: Decimal = ZERO
    maintenance: Decimal = ZERO
    unrealized: Decimal = ZERO
    cross_unrealized: Decimal = ZERO
    cross_maintenance: Decimal = ZERO
    cross_initial: Decimal = ZERO
    isolated_wallets: Decimal = ZERO

    @property
    def initial(self) -> Decimal:
        """Position and order initial margin together."""
        return self.position_initial + self.order_initial


@dataclass
class Account:
    """An account's whole state."""

    name: str
    wallet: Decimal = ZERO
    hedge: bool = False
    multi_assets: bool = False
    reduce_only_conflict: str = "expire"  # expire | reject, see docs/simulator.md
    only_reduce: int = 0  # the code that opening orders are refused with; 0 is no restriction
    cooling_off: bool = False
    coin_margined: bool = False  # whether COIN-M orders or positions hold the position mode
    fee_burn: bool = True
    taker_rate: Decimal = Decimal("0.0005")
    maker_rate: Decimal = Decimal("0.0002")
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    leverage: dict[str, int] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)
    orders: dict[tuple[str, int], Order] = field(default_factory=dict)
    closed: "OrderedDict[tuple[str, int], Order]" = field(default_factory=OrderedDict)
    algos: dict[int, AlgoOrder] = field(default_factory=dict)
    closed_algos: "OrderedDict[int, AlgoOrder]" = field(default_factory=OrderedDict)
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    income: deque[Income] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    listen_key: str = ""
    listen_key_until_ms: int = 0
    amendments: deque[Amendment] = field(default_factory=lambda: deque(maxlen=AMENDMENTS_MAX))
    margin_changes: deque[MarginChange] = field(
        default_factory=lambda: deque(maxlen=AMENDMENTS_MAX)
    )
    countdowns: dict[str, int] = field(default_factory=dict)
    updated_ms: int = 0
    called_margin: bool = False

    def position(self, symbol: str, side: str) -> Position:
        """Return the position of a symbol and side, made flat if there was none."""
        key = (symbol, side)
        found = self.positions.get(key)
        if found is None:
            found = self.positions[key] = Position(symbol, side)
        return found

    def open_positions(self) -> Iterator[Position]:
        """Yield the positions that are not flat."""
        return (position for position in self.positions.values() if position.amount)

    def sides(self) -> tuple[str, ...]:
        """Return the position sides of the account's mode."""
        return ("LONG", "SHORT") if self.hedge else ("BOTH",)

    def leverage_of(self, symbol: str) -> int:
        """Return the leverage chosen for a symbol."""
        return self.leverage.get(symbol, DEFAULT_LEVERAGE)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Return the regular open orders, oldest first."""
        return [o for o in self.orders.values() if symbol is None or o.symbol == symbol]

    def pay(
        self,
        kind: str,
        symbol: str,
        amount: Decimal,
        *,
        time_ms: int,
        tran_id: int,
        trade_id: str = "",
    ) -> None:
        """Move money in or out of the wallet and write it down."""
        self.wallet += amount
        self.updated_ms = time_ms
        self.income.append(Income(kind, symbol, amount, time_ms, tran_id, trade_id))

    def finish(self, order: Order) -> None:
        """Move a finished order to the history, which is bounded."""
        key = (order.symbol, order.order_id)
        self.orders.pop(key, None)
        self.closed[key] = order
        while len(self.closed) > CLOSED_MAX:
            self.closed.popitem(last=False)

    def finish_algo(self, algo: AlgoOrder) -> None:
        """Move a finished conditional order to the history, which is bounded."""
        self.algos.pop(algo.algo_id, None)
        self.closed_algos[algo.algo_id] = algo
        while len(self.closed_algos) > CLOSED_MAX:
            self.closed_algos.popitem(last=False)

    def order_margin(self, order: Order) -> Decimal:
        """Return the initial margin an open order holds; closing orders hold none."""
        if order.reduce_only or self.closes(order.side, order.position_side):
            return ZERO
        return order.remaining * order.price / self.leverage_of(order.symbol)

    def closes(self, side: str, position_side: str) -> bool:
        """Tell whether an order of a hedge leg closes it."""
        return (position_side == "LONG" and side == "SELL") or (
            position_side == "SHORT" and side == "BUY"
        )

    def margins(self, markets: Mapping[str, Market]) -> Margins:
        """Return margin and profit of the whole account at the present marks."""
        total = Margins()
        for position in self.open_positions():
            market = markets[position.symbol]
            notional = abs(position.amount) * market.mark
            initial = notional / self.leverage_of(position.symbol)
            maintenance = market.rules.maintenance(notional)
            profit = position.unrealized(market.mark)
            total.position_initial += initial
            total.maintenance += maintenance
            total.unrealized += profit
            if position.symbol in self.isolated:
                total.isolated_wallets += position.isolated_wallet
            else:
                total.cross_initial += initial
                total.cross_maintenance += maintenance
                total.cross_unrealized += profit
        for order in self.orders.values():
            total.order_initial += self.order_margin(order)
        return total

    def available(self, margins: Margins) -> Decimal:
        """Return what new orders may tie up, never below 0."""
        free = (
            self.wallet
            - margins.isolated_wallets
            + margins.cross_unrealized
            - margins.cross_initial
            - margins.order_initial
        )
        return max(ZERO, free)

    def liquidation_price(self, position: Position, markets: Mapping[str, Market]) -> Decimal:
        """Return the mark price at which a position would be liquidated, 0 when there is none.

        The published formula for one position with everything else held still: equity of the rest
        equals the maintenance margin of all.
        """
        if not position.amount:
            return ZERO
        market = markets[position.symbol]
        size = abs(position.amount)
        sign = 1 if position.amount > 0 else -1
        row = market.rules.bracket(size * market.mark)
        ratio, cum = Decimal(row[2]), Decimal(row[3])
        if position.symbol in self.isolated:
            equity = position.isolated_wallet
        else:
            margins = self.margins(markets)
            own = position.unrealized(market.mark)
            equity = (
                self.wallet
                - margins.isolated_wallets
                + (margins.cross_unrealized - own)
                - (margins.cross_maintenance - market.rules.maintenance(size * market.mark))
            )
        divisor = size * ratio - sign * size
        price = (equity + cum - position.cost) / divisor
        return max(ZERO, price)
