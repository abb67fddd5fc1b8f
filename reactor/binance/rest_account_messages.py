"""REST answers about the account, its positions and its orders, typed.

One type serves every version of an endpoint: what one of them does not send has a default. Where an
endpoint answers with an array or, with `symbol`, one object, the answer here is always a tuple. Times are
milliseconds, prices and quantities exact decimals.
"""

from decimal import Decimal

from msgspec import Struct, field

from reactor.binance.fields import (
    Amount,
    Flag,
    Id,
    LooseId,
    LooseText,
    MarginType,
    Price,
    PriceOrZero,
    Quantity,
    Symbol,
    TimeMs,
    Whole,
)
from reactor.limits import AMOUNT_ABS_MAX

_ZERO = Decimal(0)


class _Answer(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """A JSON object whose fields are named as here, in camelCase."""


# The account --------------------------------------------------------------------------------------


class PositionMode(_Answer, frozen=True):
    """`/fapi/v1/positionSide/dual`."""

    hedge: Flag = field(name="dualSidePosition")
    """True for hedge mode (LONG and SHORT kept apart), False for one-way. Account-wide."""


class AccountConfig(_Answer, frozen=True):
    """`/fapi/v1/accountConfig`."""

    hedge: Flag = field(name="dualSidePosition")
    can_trade: Flag = True
    multi_assets_margin: Flag = False
    fee_tier: LooseId = 0


class SymbolConfig(_Answer, frozen=True):
    """`/fapi/v1/symbolConfig`, one symbol."""

    symbol: Symbol
    margin_type: MarginType = ""
    leverage: Whole = 0
    is_auto_add_margin: Flag = False
    max_notional_value: LooseText = ""


class PositionRisk(_Answer, frozen=True):
    """One row of `/fapi/v2/positionRisk` or `/fapi/v3/positionRisk`.

    Version 3 lists only symbols with a position or an open order, version 2 all; so an answer is used whole
    or not at all: a row left out would read as flat.
    """

    symbol: Symbol
    position_side: str
    """BOTH in one-way mode, LONG and SHORT in hedge mode."""
    position_amount: Amount = field(name="positionAmt")
    """Signed; a SHORT is negative in either mode."""
    entry_price: PriceOrZero
    mark_price: Amount | None = None
    liquidation_price: Amount | None = None
    """0 where the exchange states none."""
    break_even_price: Amount | None = None
    unrealized_profit: Amount | None = field(name="unRealizedProfit", default=None)
    notional: Amount | None = None
    """Signed, in the margin asset."""
    isolated_margin: Amount | None = None
    isolated_wallet: Amount | None = None
    initial_margin: Amount | None = None
    maintenance_margin: Amount | None = field(name="maintMargin", default=None)
    position_initial_margin: Amount | None = None
    margin_asset: str = ""
    update_time_ms: TimeMs = field(name="updateTime", default=0)
    leverage: Whole | None = None
    """Version 2 only; else `/fapi/v1/symbolConfig`."""
    margin_type: MarginType = ""
    """Version 2 only."""

    def __post_init__(self) -> None:
        """Refuse an open position that cost nothing: every level is measured from the entry."""
        if self.position_amount and not self.entry_price:
            raise ValueError(f"entry price 0 of an open position in {self.symbol}")


class AccountAsset(_Answer, frozen=True):
    """One asset of `/fapi/v3/account`."""

    asset: Symbol
    wallet_balance: Amount
    margin_balance: Amount | None = None
    available_balance: Amount | None = None
    cross_wallet_balance: Amount | None = None
    cross_unrealized_profit: Amount | None = field(name="crossUnPnl", default=None)
    unrealized_profit: Amount | None = None
    update_time_ms: TimeMs = field(name="updateTime", default=0)


class AccountPosition(_Answer, frozen=True):
    """One position of `/fapi/v3/account`. It has no entry price."""

    symbol: Symbol
    position_side: str
    position_amount: Amount = field(name="positionAmt")
    notional: Amount | None = None
    initial_margin: Amount | None = None
    maintenance_margin: Amount | None = field(name="maintMargin", default=None)
    isolated_margin: Amount | None = None
    isolated_wallet: Amount | None = None
    unrealized_profit: Amount | None = None
    update_time_ms: TimeMs = field(name="updateTime", default=0)


class Account(_Answer, frozen=True):
    """`/fapi/v3/account`."""

    total_wallet_balance: Amount
    total_margin_balance: Amount | None = None
    total_unrealized_profit: Amount | None = None
    total_initial_margin: Amount | None = None
    total_maintenance_margin: Amount | None = field(name="totalMaintMargin", default=None)
    available_balance: Amount | None = None
    assets: tuple[AccountAsset, ...] = ()
    positions: tuple[AccountPosition, ...] = ()


class Bracket(_Answer, frozen=True):
    """One step of a maintenance-margin table. Binance sends these as JSON numbers."""

    bracket: Whole
    initial_leverage: Whole
    notional_floor: Decimal
    notional_cap: Decimal
    maintenance_margin_ratio: Decimal = field(name="maintMarginRatio")
    cumulative: Decimal = field(name="cum", default=_ZERO)

    def __post_init__(self) -> None:
        """Refuse what `Decimal` would take and no table holds."""
        for value in (self.notional_floor, self.notional_cap, self.cumulative):
            if not (value.is_finite() and 0 <= value <= AMOUNT_ABS_MAX):
                raise ValueError(f"bracket {self.bracket} has a bound that is no finite number")
        ratio = self.maintenance_margin_ratio
        if not (ratio.is_finite() and 0 <= ratio <= 1):
            raise ValueError(f"bracket {self.bracket} has a maintenance ratio outside 0 to 1")


class LeverageBrackets(_Answer, frozen=True):
    """`/fapi/v1/leverageBracket`, one symbol."""

    symbol: Symbol
    brackets: tuple[Bracket, ...]


class ListenKey(_Answer, frozen=True):
    """`/fapi/v1/listenKey`: the key of the user-data stream; the same one for the whole account."""

    listen_key: str

    def __repr__(self) -> str:
        """Without the key: it opens the account's order flow to whoever reads a log."""
        return "ListenKey(listen_key='…')"


class Done(Struct, frozen=True):
    """An answer that says nothing but success."""


# Orders -------------------------------------------------------------------------------------------


class Order(_Answer, frozen=True, kw_only=True):
    """A regular order: as placed, cancelled, asked for or listed."""

    symbol: Symbol
    order_id: Id
    client_order_id: str
    status: str
    """NEW, PARTIALLY_FILLED, FILLED, CANCELED, REJECTED, EXPIRED, EXPIRED_IN_MATCH, …"""
    side: str
    position_side: str = "BOTH"
    original_quantity: Quantity = field(name="origQty")
    executed_quantity: Quantity = field(name="executedQty")
    order_type: str = field(name="type", default="")
    original_type: str = field(name="origType", default="")
    average_price: PriceOrZero | None = field(name="avgPrice", default=None)
    """None in the answers to placing and cancelling since 2026-06."""
    cumulative_quote: Quantity | None = field(name="cumQuote", default=None)
    price: PriceOrZero = _ZERO
    stop_price: PriceOrZero = _ZERO
    reduce_only: Flag = False
    close_position: Flag = False
    time_in_force: str = ""
    working_type: str = ""
    time_ms: TimeMs = field(name="time", default=0)
    update_time_ms: TimeMs = field(name="updateTime", default=0)


class AlgoOrder(_Answer, frozen=True):
    """A conditional order of the Algo service: as placed, asked for or listed."""

    symbol: Symbol
    algo_id: Id
    client_algo_id: str
    algo_status: str
    """NEW, TRIGGERING, TRIGGERED, FINISHED, CANCELED, REJECTED, EXPIRED."""
    side: str
    position_side: str = "BOTH"
    order_type: str = ""
    quantity: Quantity = _ZERO
    """0 where `close_position` is true."""
    trigger_price: PriceOrZero = _ZERO
    price: PriceOrZero = _ZERO
    close_position: Flag = False
    reduce_only: Flag = False
    price_protect: Flag = False
    time_in_force: str = ""
    working_type: str = ""
    engine_order_id: LooseText = field(name="actualOrderId", default="")
    """The id of the order it became, a text; empty until triggered."""
    actual_quantity: Quantity | None = field(name="actualQty", default=None)
    create_time_ms: TimeMs = field(name="createTime", default=0)
    update_time_ms: TimeMs = field(name="updateTime", default=0)
    trigger_time_ms: TimeMs = field(name="triggerTime", default=0)


class AlgoCancel(_Answer, frozen=True):
    """The answer to `DELETE /fapi/v1/algoOrder`."""

    algo_id: Id
    client_algo_id: str = ""
    code: Whole = 200
    """200, sent as a text."""


class UserTrade(_Answer, frozen=True, kw_only=True):
    """One fill of `/fapi/v1/userTrades`."""

    symbol: Symbol
    trade_id: Id = field(name="id")
    order_id: Id
    side: str
    position_side: str = "BOTH"
    price: Price
    quantity: Quantity = field(name="qty")
    time_ms: TimeMs = field(name="time")
    quote_quantity: Quantity | None = field(name="quoteQty", default=None)
    realized_profit: Amount | None = field(name="realizedPnl", default=None)
    commission: Amount | None = None
    commission_asset: str = ""
    is_maker: Flag = field(name="maker", default=False)
