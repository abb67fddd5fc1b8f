"""User-data events: what happens to the account, its positions and its orders.

Typed and renamed from Binance's letters to the field's words. Strict where money hangs on it (symbol,
amounts, prices, ids, statuses), tolerant elsewhere: enumerations are plain texts because Binance adds to
them, unknown fields are skipped, and what is not always sent has a default. Times are milliseconds:
`event_time_ms` (`E`) when the event was sent, `transaction_time_ms` (`T`) when the matching engine acted.
"""

from decimal import Decimal
from typing import Any

from msgspec import Struct, field

from reactor.binance.fields import (
    Amount,
    Flag,
    Id,
    LooseId,
    LooseText,
    LooseTimeMs,
    MarginType,
    Price,
    PriceOrZero,
    Quantity,
    Symbol,
    TimeMs,
    Whole,
)

_ZERO = Decimal(0)


class _Part(Struct, frozen=True, gc=False, kw_only=True):
    """A piece of an event. `gc=False` is safe: decoded values hold no reference back to it."""


class _Event(Struct, frozen=True, gc=False, kw_only=True, tag_field="e"):
    """What every event has."""

    event_time_ms: TimeMs = field(name="E")
    transaction_time_ms: TimeMs = field(name="T", default=0)
    product: Any = field(name="st", default=1)
    """1 for USDⓈ-M, 2 for COIN-M; nothing else about it matters, not even its type."""


# ACCOUNT_UPDATE -----------------------------------------------------------------------------------


class BalanceChange(_Part, frozen=True):
    """One asset of an ACCOUNT_UPDATE."""

    asset: Symbol = field(name="a")
    wallet_balance: Amount = field(name="wb")
    cross_wallet_balance: Amount | None = field(name="cw", default=None)
    """Not the available balance."""
    balance_change: Amount | None = field(name="bc", default=None)
    """Without profit, loss and commission: what a transfer or a funding payment moved."""


class PositionChange(_Part, frozen=True):
    """One changed position of an ACCOUNT_UPDATE. Positions are keyed by (symbol, position side)."""

    symbol: Symbol = field(name="s")
    position_amount: Amount = field(name="pa")
    """Signed; 0 is flat. In hedge mode a SHORT is zero or negative."""
    entry_price: PriceOrZero = field(name="ep")
    position_side: str = field(name="ps", default="BOTH")
    break_even_price: Amount | None = field(name="bep", default=None)
    realized_profit: Amount | None = field(name="cr", default=None)
    """Accumulated over the position's life, before fees."""
    unrealized_profit: Amount | None = field(name="up", default=None)
    margin_type: MarginType = field(name="mt", default="")
    """`cross` or `isolated`."""
    isolated_wallet: Amount | None = field(name="iw", default=None)

    def __post_init__(self) -> None:
        """Refuse an open position that cost nothing: every level is measured from the entry."""
        if self.position_amount and not self.entry_price:
            raise ValueError(f"entry price 0 of an open position in {self.symbol}")


class AccountChange(_Part, frozen=True):
    """The `a` of an ACCOUNT_UPDATE: only what changed."""

    reason: str = field(name="m", default="")
    """ORDER, FUNDING_FEE, MARGIN_TYPE_CHANGE, ADJUSTMENT, …"""
    balances: tuple[BalanceChange, ...] = field(name="B", default=())
    positions: tuple[PositionChange, ...] = field(name="P", default=())
    funding_symbol: str = field(name="S", default="")
    """The symbol that a FUNDING_FEE is of (since 2026-08)."""


class AccountUpdate(_Event, tag="ACCOUNT_UPDATE", frozen=True):
    """Balances or positions changed."""

    account: AccountChange = field(name="a")


# ORDER_TRADE_UPDATE -------------------------------------------------------------------------------


class OrderChange(_Part, frozen=True):
    """The `o` of an ORDER_TRADE_UPDATE."""

    symbol: Symbol = field(name="s")
    client_order_id: str = field(name="c")
    side: str = field(name="S")
    order_id: Id = field(name="i")
    """Counts per symbol."""
    execution_type: str = field(name="x")
    """NEW, TRADE, CANCELED, EXPIRED, CALCULATED (liquidation), AMENDMENT, …"""
    status: str = field(name="X")
    """NEW, PARTIALLY_FILLED, FILLED, CANCELED, EXPIRED, EXPIRED_IN_MATCH, …"""
    quantity: Quantity = field(name="q")
    filled_quantity: Quantity = field(name="z")
    """All fills of the order so far."""
    last_filled_quantity: Quantity = field(name="l", default=_ZERO)
    last_filled_price: PriceOrZero = field(name="L", default=_ZERO)
    average_price: PriceOrZero = field(name="ap", default=_ZERO)
    price: PriceOrZero = field(name="p", default=_ZERO)
    """0 for a market order."""
    stop_price: PriceOrZero = field(name="sp", default=_ZERO)
    trade_id: int = field(name="t", default=0)
    """With the symbol it names a fill: duplicates are told by it."""
    trade_time_ms: TimeMs = field(name="T", default=0)
    commission: Amount | None = field(name="n", default=None)
    commission_asset: str | None = field(name="N", default=None)
    realized_profit: Amount | None = field(name="rp", default=None)
    is_maker: Flag = field(name="m", default=False)
    position_side: str = field(name="ps", default="BOTH")
    reduce_only: Flag = field(name="R", default=False)
    close_position: Flag = field(name="cp", default=False)
    order_type: str = field(name="o", default="")
    original_type: str = field(name="ot", default="")
    """What it was placed as: a triggered stop is a MARKET order by now."""
    time_in_force: str = field(name="f", default="")
    working_type: str = field(name="wt", default="")
    expiry_reason: LooseText = field(name="er", default="0")
    """`9`: a market order not filled whole, the rest cancelled; `4`: knocked out by another reduce-only."""
    strategy_id: LooseId = field(name="si", default=0)
    """The algo order's id where `strategy_type` is ALGO_CONDITION."""
    strategy_type: LooseText = field(name="st", default="")
    """Another meaning of `st` than on market frames."""

    def __post_init__(self) -> None:
        """Refuse a fill without a price or a quantity: it would be booked as nothing."""
        if self.execution_type == "TRADE" and not (
            self.last_filled_price and self.last_filled_quantity
        ):
            raise ValueError(f"fill of {self.symbol} without a price or a quantity")


class OrderTradeUpdate(_Event, tag="ORDER_TRADE_UPDATE", frozen=True):
    """An order was placed, filled, changed or ended."""

    order: OrderChange = field(name="o")


class TradeLite(_Event, tag="TRADE_LITE", frozen=True):
    """A fill, earlier and with less; the ORDER_TRADE_UPDATE of the same fill follows."""

    symbol: Symbol = field(name="s")
    client_order_id: str = field(name="c")
    side: str = field(name="S")
    order_id: Id = field(name="i")
    trade_id: Id = field(name="t")
    last_filled_price: Price = field(name="L")
    last_filled_quantity: Quantity = field(name="l")
    quantity: Quantity = field(name="q")
    price: PriceOrZero = field(name="p", default=_ZERO)
    is_maker: Flag = field(name="m", default=False)


# ALGO_UPDATE --------------------------------------------------------------------------------------


class AlgoChange(_Part, frozen=True):
    """The `o` of an ALGO_UPDATE: a conditional order of the Algo service."""

    symbol: Symbol = field(name="s")
    algo_id: Id = field(name="aid")
    client_algo_id: str = field(name="caid")
    status: str = field(name="X")
    """NEW, TRIGGERING, TRIGGERED, FINISHED (filled *or* cancelled), CANCELED, REJECTED, EXPIRED."""
    side: str = field(name="S", default="")
    position_side: str = field(name="ps", default="BOTH")
    algo_type: str = field(name="at", default="")
    order_type: str = field(name="o", default="")
    actual_type: LooseText = field(name="act", default="")
    """The type of the order it became; after the trigger only."""
    time_in_force: str = field(name="f", default="")
    quantity: Quantity = field(name="q", default=_ZERO)
    """0 where `close_position` is true."""
    trigger_price: PriceOrZero = field(name="tp", default=_ZERO)
    price: PriceOrZero = field(name="p", default=_ZERO)
    engine_order_id: LooseText = field(name="ai", default="")
    """The id of the order it became, a text; empty until then."""
    average_price: PriceOrZero = field(name="ap", default=_ZERO)
    executed_quantity: Quantity = field(name="aq", default=_ZERO)
    working_type: str = field(name="wt", default="")
    """CONTRACT_PRICE (the last price) or MARK_PRICE."""
    close_position: Flag = field(name="cp", default=False)
    price_protect: Flag = field(name="pP", default=False)
    reduce_only: Flag = field(name="R", default=False)
    trigger_time_ms: TimeMs = field(name="tt", default=0)
    failure_reason: LooseText = field(name="rm", default="")
    is_activated: bool | None = field(name="ia", default=None)
    """Of trailing orders, since 2026-08."""


class AlgoUpdate(_Event, tag="ALGO_UPDATE", frozen=True):
    """A conditional order was placed, triggered or ended. Its fills may have come before."""

    order: AlgoChange = field(name="o")


class RejectedTrigger(_Part, frozen=True):
    """The `or` of a CONDITIONAL_ORDER_TRIGGER_REJECT."""

    symbol: Symbol = field(name="s")
    order_id: Id = field(name="i")
    reason: LooseText = field(name="r", default="")


class ConditionalOrderTriggerReject(_Event, tag="CONDITIONAL_ORDER_TRIGGER_REJECT", frozen=True):
    """A stop triggered and its order was refused. Deprecated, and still sent in 2026-03."""

    order: RejectedTrigger = field(name="or")


# The account --------------------------------------------------------------------------------------


class LeverageChange(_Part, frozen=True):
    """The `ac` of an ACCOUNT_CONFIG_UPDATE."""

    symbol: Symbol = field(name="s")
    leverage: Whole = field(name="l")


class MultiAssetsChange(_Part, frozen=True):
    """The `ai` of an ACCOUNT_CONFIG_UPDATE."""

    multi_assets_margin: Flag = field(name="j")


class AccountConfigUpdate(_Event, tag="ACCOUNT_CONFIG_UPDATE", frozen=True):
    """A symbol's leverage or the account's margin mode changed: one of the two is there."""

    leverage: LeverageChange | None = field(name="ac", default=None)
    multi_assets: MultiAssetsChange | None = field(name="ai", default=None)


class EndangeredPosition(_Part, frozen=True):
    """One position of a MARGIN_CALL."""

    symbol: Symbol = field(name="s")
    position_side: str = field(name="ps", default="BOTH")
    position_amount: Amount = field(name="pa", default=_ZERO)
    margin_type: MarginType = field(name="mt", default="")
    isolated_wallet: Amount | None = field(name="iw", default=None)
    mark_price: Amount | None = field(name="mp", default=None)
    unrealized_profit: Amount | None = field(name="up", default=None)
    maintenance_margin: Amount | None = field(name="mm", default=None)


class MarginCall(_Event, tag="MARGIN_CALL", frozen=True):
    """Positions are near their liquidation."""

    cross_wallet_balance: Amount | None = field(name="cw", default=None)
    positions: tuple[EndangeredPosition, ...] = field(name="p", default=())


class ListenKeyExpired(_Event, tag="listenKeyExpired", frozen=True):
    """No further event will come on this key; the socket stays open and silent."""

    event_time_ms: LooseTimeMs = field(name="E", default=0)
    listen_key: LooseText = field(name="listenKey", default="")

    def __repr__(self) -> str:
        """Without the key: it opens the account's order flow to whoever reads a log."""
        return f"ListenKeyExpired(event_time_ms={self.event_time_ms}, listen_key='…')"


UserEvent = (
    AccountUpdate
    | OrderTradeUpdate
    | TradeLite
    | AlgoUpdate
    | ConditionalOrderTriggerReject
    | AccountConfigUpdate
    | MarginCall
    | ListenKeyExpired
)


class UserEnvelope(Struct, frozen=True, gc=False):
    """What `/private/stream` wraps an event in."""

    stream: LooseText
    """The listen key, or an event's name. Not to be shown."""
    data: UserEvent
