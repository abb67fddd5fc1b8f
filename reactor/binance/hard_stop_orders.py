"""Hard stops as the exchange spells them: their parameters, and the rules they are held to."""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from reactor.binance.filters import SymbolFilters
from reactor.binance.orders import Side
from reactor.core.exact import text

ALGO_ORDER_PATH: Final = "/fapi/v1/algoOrder"
OPEN_ALGO_ORDERS_PATH: Final = "/fapi/v1/openAlgoOrders"


def hard_stop_params(
    *,
    symbol: str,
    side: Side,
    hedge: bool,
    quantity: Decimal,
    trigger: Decimal,
    client_id: str,
) -> dict[str, str]:
    """The parameters of one hard stop, ready to be signed.

    A quantity with `reduceOnly` (one-way) or `positionSide` (hedge mode, where `reduceOnly` is refused), not
    `closePosition`: of that only one may stand in a direction (-4130), so it could not be replaced without
    an unprotected moment. `priceProtect` stays off: it can keep a stop from firing in a crash.
    """
    mode = {"positionSide": side} if hedge else {"reduceOnly": "true"}
    return {
        "algoType": "CONDITIONAL",
        "symbol": symbol,
        "side": "SELL" if side == "LONG" else "BUY",
        "type": "STOP_MARKET",
        **mode,
        "quantity": text(quantity),
        "triggerPrice": text(trigger),
        "workingType": "MARK_PRICE",
        "clientAlgoId": client_id,
    }


def quantity_bounds(
    filters: SymbolFilters,
) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
    """The step, least and largest quantity of one hard stop.

    STOP_MARKET becomes a MARKET order, and exchanges differ in which of LOT_SIZE and MARKET_LOT_SIZE they hold
    it to; what fits both is taken anywhere.
    """

    def stricter(
        one: Decimal | None,
        other: Decimal | None,
        choose: Callable[[Decimal, Decimal], Decimal],
    ) -> Decimal | None:
        return choose(one, other) if one is not None and other is not None else one or other

    return (
        stricter(filters.step_size, filters.market_step, max),
        stricter(filters.min_qty, filters.market_min_qty, max),
        stricter(filters.max_qty, filters.market_max_qty, min),
    )
