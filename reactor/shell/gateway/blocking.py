"""Other people's orders that make the exchange refuse a full close: the one case in which they are touched."""

from collections.abc import Sequence

from reactor.binance.rest_account_messages import Order
from reactor.core.decisions import Side
from reactor.shell.gateway.built import closing_side


def blocking_orders(orders: Sequence[Order], *, symbol: str, side: Side) -> tuple[Order, ...]:
    """The resting orders that can be in the way of closing a position.

    They close the same position: same side as our order, and the same leg in hedge mode. Where some of them
    are reduce-only, it is those that cover the position (-2022), and only those are named; others follow when
    the refusal stays (-4118 counts them too).

    Args:
        orders: the symbol's open orders.
        symbol: the contract.
        side: of the position.
    """
    closing = tuple(
        order
        for order in orders
        if order.symbol == symbol
        and order.side == closing_side(side)
        and order.position_side in {"BOTH", side}
    )
    surely = tuple(
        order
        for order in closing
        if order.reduce_only or order.close_position or order.position_side != "BOTH"
    )
    return surely or closing
