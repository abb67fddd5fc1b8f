"""What tapes hold beside market and user frames, and what the exchange's words for orders mean here.

The shapes of `rest`, `order`, `control` and `link` lines, and the translation of Binance's order states,
contracts and fills into the core's own values.
"""

import string
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

import msgspec

from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import PREFIX, parse_client_order_id
from reactor.binance.user_messages import OrderChange
from reactor.core.account_trades import Trade
from reactor.core.decisions import Reason, Side
from reactor.core.exact import ZERO
from reactor.core.ladder import Filters
from reactor.core.lifecycle import Event
from reactor.core.policy import ExternalPolicy

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


class RestAnswerLine(msgspec.Struct, frozen=True):
    """A recorded REST answer."""

    method: str
    path: str
    status: int
    body: msgspec.Raw
    params: dict[str, Any] = {}
    asked: int | None = None
    """When the question left, ns since the Unix epoch, where the recorder knew it."""


class OrderResult(msgspec.Struct, frozen=True, rename="camel"):
    """What an order's answer says of it."""

    symbol: str = ""
    order_id: int = 0
    client_order_id: str = ""
    status: str = ""
    executed_quantity: str = msgspec.field(name="executedQty", default="0")


class OrderError(msgspec.Struct, frozen=True):
    """Why a request was refused."""

    code: int
    msg: str = ""


class OrderMessage(msgspec.Struct, frozen=True):
    """A recorded order request or answer, WebSocket API or REST."""

    id: int | str | None = None
    method: str = ""
    path: str = ""
    params: dict[str, Any] = {}
    status: int | None = None
    result: OrderResult | None = None
    error: OrderError | None = None
    text: str = ""
    """What a REST answer said that is no JSON."""


class ControlLine(msgspec.Struct, frozen=True):
    """A recorded operator command."""

    command: str
    symbol: str
    side: Side
    price: str | None = None
    order_id: str = ""
    event: str = ""
    filled: str = "0"


class PolicyLine(msgspec.Struct, frozen=True):
    """A recorded exit policy from outside; `side` absent or `BOTH` is both, `*` every symbol.

    `expires_ms` is exchange-independent wall time, milliseconds since the Unix epoch; absent is never.
    """

    command: Literal["policy"]
    symbol: str
    side: Literal["LONG", "SHORT", "BOTH"] = "BOTH"
    mode: str | None = None
    regime: str | None = None
    note: str = ""
    expires_ms: int | None = None

    def policy(self) -> ExternalPolicy:
        """The same as the core takes it."""
        return ExternalPolicy(
            symbol=self.symbol.upper(),
            side=None if self.side == "BOTH" else self.side,
            mode=self.mode,
            regime=self.regime,
            note=self.note,
            expires_ns=None if self.expires_ms is None else self.expires_ms * 1_000_000,
        )


class LinkLine(msgspec.Struct, frozen=True):
    """A socket's recorded state."""

    state: str
    stream: str | None = None


class GapLine(msgspec.Struct, frozen=True):
    """A `link` line of the state `gap`: a step of finding out which prices were missed; see `inbox.Link`."""

    symbol: str
    source: str
    step: str
    from_ms: int = 0
    to_ms: int = 0
    ahead_ms: int = 0
    approximate: bool = False


decode_rest_line = msgspec.json.Decoder(RestAnswerLine).decode
decode_order = msgspec.json.Decoder(OrderMessage).decode
decode_control = msgspec.json.Decoder(ControlLine).decode
decode_policy = msgspec.json.Decoder(PolicyLine).decode
decode_link = msgspec.json.Decoder(LinkLine).decode
decode_gap = msgspec.json.Decoder(GapLine).decode

OUTCOMES: Mapping[str, Event] = {
    "NEW": Event.ACCEPTED,
    "PARTIALLY_FILLED": Event.ACCEPTED,
    "FILLED": Event.FILLED,
    "CANCELED": Event.LAPSED,
    "EXPIRED": Event.LAPSED,
    "EXPIRED_IN_MATCH": Event.LAPSED,
    "REJECTED": Event.REJECTED,
}


def filters_of(contract: SymbolFilters) -> Filters:
    """What market exits of a contract round to."""
    return Filters(
        tick=contract.tick_size,
        step=contract.market_step or contract.step_size,
        min_quantity=contract.market_min_qty or contract.min_qty or ZERO,
    )


NO_FILLS = frozenset({"NEW", "CANCELED", "EXPIRED", "AMENDMENT"})
"""Execution types that never fill; some of them repeat the last fill's quantity."""


def is_fill(order: OrderChange) -> bool:
    """Whether an order event reports a fill: a trade, or the exchange's own doing (CALCULATED)."""
    filled = order.last_filled_quantity > 0 and order.last_filled_price > 0
    return filled and order.execution_type not in NO_FILLS


def trade_of(order: OrderChange, t_event_ms: int, t_ns: int) -> Trade:
    """The fill that an order event reports."""
    return Trade(
        symbol=order.symbol,
        position_side=order.position_side,
        buys=order.side == "BUY",
        quantity=order.last_filled_quantity,
        price=order.last_filled_price,
        profit=order.realized_profit,
        commission=_quote_commission(order),
        trade_id=order.trade_id,
        order_id=slice_id(order.client_order_id, 0),
        ends_as=_ends_as(order),
        t_event_ms=t_event_ms,
        t_ns=t_ns,
        reduce_only=order.reduce_only or order.close_position,
    )


def slice_id(order_id: str, number: int) -> str:
    """The id of one slice of an exit, whose own id is that of slice 0; a foreign id is what it is.

    Args:
        order_id: the id of any slice of the exit.
        number: which one, 0 to 61; `limits.EXIT_SLICES_MAX` is less.
    """
    if not number and order_id[-6:-4] == "00":
        return order_id
    if parse_client_order_id(order_id) is None:
        return order_id
    return f"{order_id[:-6]}0{_DIGITS[number]}{order_id[-4:]}"


def _quote_commission(order: OrderChange) -> Decimal:
    """The commission in the contract's quote asset; what was paid in BNB is nobody's price distance."""
    if order.commission is None or not order.symbol.endswith(order.commission_asset or "?"):
        return ZERO
    return order.commission


def _ends_as(order: OrderChange) -> Reason:
    """What a position closed by somebody's order was closed by (Binance, user data streams)."""
    if order.client_order_id.startswith("autoclose-") or order.order_type == "LIQUIDATION":
        return Reason.LIQUIDATION
    if order.client_order_id == "adl_autoclose":
        return Reason.ADL
    if order.strategy_type == "ALGO_CONDITION" and order.client_order_id.startswith(PREFIX):
        return Reason.HARD_STOP
    return Reason.EXTERNAL
