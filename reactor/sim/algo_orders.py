"""Conditional orders as they are asked for: reading, refusing, cancelling. Source: binance.md §5."""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from reactor.sim import algo, filters, orders
from reactor.sim.account import Account
from reactor.sim.decimals import ZERO
from reactor.sim.market import Market
from reactor.sim.model import AlgoOrder
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing
from reactor.sim.symbols import ALGO_ORDERS_MAX

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

CLOSERS: Final = frozenset({"STOP_MARKET", "TAKE_PROFIT_MARKET"})
LIMITED: Final = frozenset({"STOP", "TAKE_PROFIT"})
TIMES: Final = orders.TIMES | {"GTE_GTC"}
WORKING_TYPES: Final = frozenset({"CONTRACT_PRICE", "MARK_PRICE"})
CALLBACK_MIN, CALLBACK_MAX = Decimal("0.1"), Decimal(20)


def place(exchange: "Exchange", account: Account, params: Parameters) -> AlgoOrder:
    """Take a conditional order in.

    No margin is checked before it triggers, as on the exchange: success is not protection.

    Raises:
        Refusal: With the code of the first rule that it breaks.
    """
    if params.needed("algoType") != "CONDITIONAL":
        raise Refusal(-1130, name="algoType")
    market = orders.market_of(exchange, params)
    side = params.choice("side", orders.SIDES, -1117)
    kind = params.choice("type", orders.CONDITIONAL, -1116)
    position_side = orders.read_position_side(account, params)
    closing = bool(params.flag("closePosition"))
    reduce_only = _read_reduce_only(account, params, closing=closing)
    client_id = params.client_id("clientAlgoId")
    working = params.text("workingType", "CONTRACT_PRICE")
    if working not in WORKING_TYPES:
        raise Refusal(-4031, value=working)
    if closing:
        _check_closing(account, params, kind, side, position_side)
    time_in_force = params.text("timeInForce", "GTC")
    if time_in_force not in TIMES:
        raise Refusal(-1115)
    if closing:
        time_in_force = "GTE_GTC"
    order = AlgoOrder(
        account=account.name,
        algo_id=0,
        client_id=client_id,
        type=kind,
        symbol=market.rules.symbol,
        side=side,
        position_side=position_side,
        time_in_force=time_in_force,
        quantity=_read_quantity(params, market, kind, closing=closing),
        trigger_price=ZERO,
        price=_read_limit_price(params, market, kind),
        working_type=working,
        close_position=closing,
        reduce_only=reduce_only or closing,
        price_protect=bool(params.flag("priceProtect")),
        created_ms=exchange.server_ms,
        updated_ms=exchange.server_ms,
        good_till_ms=orders.read_good_till(exchange, params, time_in_force),
        stp_mode=orders.read_stp_mode(params),
        price_match=params.text("priceMatch", "NONE"),
    )
    _read_condition(market, params, order)
    _check_standing(account, order)
    if not order.client_id:
        order.client_id = exchange.automatic_client_id()
    order.algo_id = exchange.next_algo_id()
    exchange.remember(account)
    algo.accept(exchange, account, order)
    return order


def _read_reduce_only(account: Account, params: Parameters, *, closing: bool) -> bool:
    if closing and "reduceOnly" in params:
        raise Refusal(-4138)
    return orders.read_reduce_only(account, params)


def _check_closing(
    account: Account, params: Parameters, kind: str, side: str, position_side: str
) -> None:
    if kind not in CLOSERS:
        raise Refusal(-4136, type=kind)
    if params.decimal("quantity"):
        raise Refusal(-4137)
    if account.hedge and not account.closes(side, position_side):
        raise Refusal(-1106, name="closeposition")


def _read_quantity(params: Parameters, market: Market, kind: str, *, closing: bool) -> Decimal:
    if closing:
        return ZERO
    quantity = params.decimal("quantity")
    if quantity is None:
        raise missing("quantity")
    filters.check_quantity(market.rules, quantity, market=kind not in LIMITED)
    return quantity


def _read_limit_price(params: Parameters, market: Market, kind: str) -> Decimal:
    price = params.decimal("price")
    match = params.text("priceMatch", "NONE")
    if kind not in LIMITED:
        if price:
            raise Refusal(-1106, name="price")
        if match != "NONE":
            raise Refusal(-5038)
        return ZERO
    if match != "NONE":
        # The price is taken from the book when the order triggers.
        if price:
            raise Refusal(-1106, name="price")
        if match not in orders.PRICE_MATCHES:
            raise Refusal(-5037)
        return ZERO
    if price is None:
        raise missing("price")
    filters.check_price(market.rules, price)
    return price


def _read_condition(market: Market, params: Parameters, order: AlgoOrder) -> None:
    """Read what the order waits for, and refuse it if that is already there."""
    reference = market.mark if order.working_type == "MARK_PRICE" else market.last
    trigger = params.decimal("triggerPrice")
    if order.type == "TRAILING_STOP_MARKET":
        if trigger is not None:
            raise Refusal(-2021)
        rate = params.decimal("callbackRate")
        if rate is None:
            raise missing("callbackRate")
        if not CALLBACK_MIN <= rate <= CALLBACK_MAX:
            raise Refusal(-1130, name="callbackRate")
        order.callback_rate = rate
        activate = params.decimal("activatePrice")
        if activate is not None:
            filters.check_trigger(market, activate, reference)
            late = activate >= reference if order.side == "BUY" else activate <= reference
            if late:
                raise Refusal(-2021)
            order.activate_price = activate
        return
    if trigger is None:
        raise missing("triggerPrice")
    filters.check_trigger(market, trigger, reference)
    order.trigger_price = trigger
    if order.price:
        filters.check_stop_percent(market, order.side, order.price, trigger)
    if algo.crossed(order, reference):
        raise Refusal(-2021)


def _check_standing(account: Account, order: AlgoOrder) -> None:
    """Refuse what collides with the orders and positions there are."""
    open_algos = account.algos.values()
    if len(account.algos) >= ALGO_ORDERS_MAX:
        raise Refusal(-4045)
    if order.client_id and any(a.client_id == order.client_id and a.is_open for a in open_algos):
        raise Refusal(-4116)
    if order.is_gte and not algo.has_position(
        account, order.symbol, order.position_side, order.side
    ):
        raise Refusal(-4509)
    if order.close_position and any(
        other.close_position
        and other.is_open
        and other.symbol == order.symbol
        and other.side == order.side
        and other.position_side == order.position_side
        and other.is_stop == order.is_stop
        for other in open_algos
    ):
        raise Refusal(-4130)


def find(exchange: "Exchange", account: Account, params: Parameters) -> AlgoOrder | None:
    """Return the order that a request names, open or finished, if queries can see it.

    Raises:
        Refusal: -1102, the request names none.
    """
    algo_id = params.integer("algoId")
    client_id = params.client_id("clientAlgoId")
    if algo_id is None and not client_id:
        raise missing("algoId")
    found: AlgoOrder | None = None
    if algo_id is not None:
        found = account.algos.get(algo_id) or account.closed_algos.get(algo_id)
    else:
        for order in (*account.closed_algos.values(), *account.algos.values()):
            if order.client_id == client_id:
                found = order
    if found is not None and not algo.visible(exchange, found):
        return None
    return found


def cancel(exchange: "Exchange", account: Account, params: Parameters) -> AlgoOrder:
    """Cancel a waiting order.

    Raises:
        Refusal: -2011 unknown, finished or already in the engine; -4117 just triggering.
    """
    order = find(exchange, account, params)
    if order is None or not order.is_open or order.stuck:
        raise Refusal(-2011)
    if order.status == "TRIGGERING":
        raise Refusal(-4117)
    exchange.remember(account)
    algo.end(exchange, account, order, "CANCELED")
    return order


def waiting(exchange: "Exchange", account: Account, symbol: str | None) -> list[AlgoOrder]:
    """Return the open conditional orders that queries can see, oldest first."""
    return [
        order
        for order in account.algos.values()
        if order.is_open
        and (symbol is None or order.symbol == symbol)
        and algo.visible(exchange, order)
    ]
