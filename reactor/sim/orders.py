"""Regular orders as they are asked for: reading, refusing, placing, cancelling, amending.

Whether the account may have the order at all is decided here; what happens to it in the book is
:mod:`reactor.sim.matching`. Source: binance.md §6.
"""

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from reactor.sim import filters, matching
from reactor.sim.account import Account
from reactor.sim.decimals import ZERO
from reactor.sim.market import Market
from reactor.sim.model import Amendment, Order
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal, missing
from reactor.sim.symbols import ORDERS_MAX

if TYPE_CHECKING:
    from reactor.sim.exchange import Exchange

SIDES: Final = frozenset({"BUY", "SELL"})
CONDITIONAL: Final = frozenset(
    {"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"}
)
TYPES: Final = frozenset({"LIMIT", "MARKET"}) | CONDITIONAL
TIMES: Final = frozenset({"GTC", "IOC", "FOK", "GTX", "GTD"})
POSITION_SIDES: Final = frozenset({"BOTH", "LONG", "SHORT"})
STP_MODES: Final = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
# priceMatch -> (the other side of the book?, which level of it)
PRICE_MATCHES: Final = {
    "OPPONENT": (True, 1),
    "OPPONENT_5": (True, 5),
    "QUEUE": (False, 1),
    "QUEUE_5": (False, 5),
    "QUEUE_10": (False, 10),
    "QUEUE_20": (False, 20),
}
# exchangeInfo's positionControlSide -> what an opening order of a side is refused with
POSITION_CONTROLS: Final[dict[str, dict[str, int]]] = {
    "NONE": {},
    "BOTH": {"BUY": -4105, "SELL": -4105},
    "BUY": {"BUY": -4106},
    "SELL": {"SELL": -4107},
}
ONLY_REDUCE_CODES: Final = frozenset({-4087, -4189, -4400, -4401})
GOOD_TILL_MIN_MS = 600_000  # ahead of now
GOOD_TILL_MAX_MS = 253_402_300_799_000
UNFILLED_KEPT_MS = 3 * 24 * 3_600_000


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An order that passed the filters and asks for a place in the engine."""

    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal = ZERO
    reduce_only: bool = False
    client_id: str = ""
    algo_id: int = 0
    close_position: bool = False
    good_till_ms: int = 0
    stp_mode: str = "EXPIRE_MAKER"
    price_match: str = "NONE"


def market_of(exchange: "Exchange", params: Parameters) -> Market:
    """Return the market of the request's symbol.

    Raises:
        Refusal: -1102 without a symbol, -1121 for an unknown one.
    """
    market = exchange.markets.get(params.needed("symbol"))
    if market is None:
        raise Refusal(-1121)
    return market


def read_position_side(account: Account, params: Parameters) -> str:
    """Return the position side, checked against the account's mode.

    Raises:
        Refusal: -4061 it does not fit the mode.
    """
    side = params.text("positionSide", "BOTH")
    if side not in POSITION_SIDES:
        raise Refusal(-4060)
    if (side == "BOTH") == account.hedge:
        raise Refusal(-4061)
    return side


def read_reduce_only(account: Account, params: Parameters) -> bool:
    """Return reduceOnly.

    Raises:
        Refusal: -1106 in hedge mode, where it cannot be sent; -4062 neither true nor false.
    """
    if account.hedge and "reduceOnly" in params:
        raise Refusal(-1106, name="reduceonly")
    value = params.text("reduceOnly").lower()
    if value not in {"", "true", "false"}:
        raise Refusal(-4062)
    return value == "true"


def read(exchange: "Exchange", account: Account, params: Parameters) -> Ask:
    """Read a LIMIT or MARKET order and hold it against the symbol's filters.

    Raises:
        Refusal: With the code of the first rule that it breaks.
    """
    market = market_of(exchange, params)
    side = params.choice("side", SIDES, -1117)
    kind = params.choice("type", TYPES, -1116)
    if kind in CONDITIONAL:
        raise Refusal(-4120)
    position_side = read_position_side(account, params)
    reduce_only = read_reduce_only(account, params)
    if params.flag("closePosition"):
        raise Refusal(-4136, type=kind)
    client_id = params.client_id("newClientOrderId")
    quantity = params.decimal("quantity")
    if quantity is None:
        raise missing("quantity")
    price, time_in_force, good_till = _read_price(exchange, market, params, kind, side)
    filters.check_quantity(market.rules, quantity, market=kind == "MARKET")
    closing = reduce_only or account.closes(side, position_side)
    if kind == "LIMIT":
        filters.check_price(market.rules, price)
        filters.check_percent(market, side, price)
    if not closing:
        filters.check_notional(market.rules, quantity * (price if kind == "LIMIT" else market.mark))
    if market.status != "TRADING":
        raise Refusal(-1122)
    return Ask(
        symbol=market.rules.symbol,
        side=side,
        position_side=position_side,
        type=kind,
        time_in_force=time_in_force,
        quantity=quantity,
        price=price,
        reduce_only=reduce_only,
        client_id=client_id,
        good_till_ms=good_till,
        stp_mode=read_stp_mode(params),
        price_match=params.text("priceMatch", "NONE"),
    )


def _read_price(
    exchange: "Exchange", market: Market, params: Parameters, kind: str, side: str
) -> tuple[Decimal, str, int]:
    match = params.text("priceMatch", "NONE")
    if kind == "MARKET":
        for name in ("price", "timeInForce"):
            if params.text(name):
                raise Refusal(-1106, name=name.lower())
        if match != "NONE":
            raise Refusal(-5038)
        return ZERO, "GTC", 0
    time_in_force = params.choice("timeInForce", TIMES, -1115)
    if match != "NONE":
        if params.text("price"):
            raise Refusal(-1106, name="price")
        price: Decimal | None = matched_price(exchange, market, side, match)
    else:
        price = params.decimal("price")
    if price is None:
        raise missing("price")
    return price, time_in_force, read_good_till(exchange, params, time_in_force)


def matched_price(exchange: "Exchange", market: Market, side: str, match: str) -> Decimal:
    """Return the limit price that priceMatch stands for: a level of the book as it is now.

    Raises:
        Refusal: -5037 no such priceMatch, -5041 the book is not so deep.
    """
    level = PRICE_MATCHES.get(match)
    if level is None:
        raise Refusal(-5037)
    opponent, place = level
    taker = side if opponent else ("SELL" if side == "BUY" else "BUY")
    rows = market.book.offers(taker, exchange.now_ms)
    found = next(itertools.islice(rows, place - 1, None), None)
    if found is None:
        raise Refusal(-5041)
    return found[0]


def read_good_till(exchange: "Exchange", params: Parameters, time_in_force: str) -> int:
    """Return goodTillDate, ms; 0 for orders that have none.

    Raises:
        Refusal: -1102 a GTD order without it, -5040 less than ten minutes ahead, or beyond year 9999.
    """
    good_till = params.integer("goodTillDate")
    if time_in_force != "GTD":
        return 0
    if not good_till:
        raise missing("goodTillDate")
    if not exchange.server_ms + GOOD_TILL_MIN_MS < good_till < GOOD_TILL_MAX_MS:
        raise Refusal(-5040)
    return good_till


def read_stp_mode(params: Parameters) -> str:
    """Return the self-trade prevention mode.

    Raises:
        Refusal: -5039, there is no such mode.
    """
    mode = params.text("selfTradePreventionMode", "EXPIRE_MAKER")
    if mode not in STP_MODES:
        raise Refusal(-5039)
    return mode


def place(exchange: "Exchange", account: Account, ask: Ask) -> Order:
    """Let an order into the engine.

    Returns:
        The order as it stands after matching.

    Raises:
        Refusal: -4116, -2022, -4118, -2025, -2019, -2027, -4131, -5021, -5022, or the code of a
            restriction of the account or the symbol.
    """
    market = exchange.markets[ask.symbol]
    client_id = ask.client_id
    if client_id and any(o.client_id == client_id for o in account.orders.values()):
        raise Refusal(-4116)
    closing = ask.reduce_only or account.closes(ask.side, ask.position_side)
    if not closing:
        _check_permission(account, market, ask.side)
    quantity, knocked = _reducing(account, ask) if closing else (ask.quantity, list[Order]())
    if ask.type == "LIMIT" and len(account.open_orders(ask.symbol)) >= ORDERS_MAX:
        raise Refusal(-2025)
    if not closing:
        _check_margin(exchange, account, ask, market)
    fills = matching.fills_of(exchange, market, ask, quantity)
    now_ms = exchange.server_ms
    exchange.remember(account)
    market.order_id += 1
    order = Order(
        account=account.name,
        symbol=ask.symbol,
        order_id=market.order_id,
        client_id=client_id or exchange.automatic_client_id(),
        side=ask.side,
        position_side=ask.position_side,
        type=ask.type,
        time_in_force=ask.time_in_force,
        quantity=quantity,
        price=ask.price,
        reduce_only=ask.reduce_only or ask.close_position,
        created_ms=now_ms,
        updated_ms=now_ms,
        algo_id=ask.algo_id,
        good_till_ms=ask.good_till_ms,
        stp_mode=ask.stp_mode,
        price_match=ask.price_match,
    )
    for other in knocked:
        matching.expire(exchange, account, other, reason="4")
    matching.enter(exchange, account, order, fills)
    return order


def _check_permission(account: Account, market: Market, side: str) -> None:
    """Refuse what only closing orders may do while the account or the symbol is restricted."""
    if account.only_reduce:
        raise Refusal(account.only_reduce)
    if account.cooling_off:
        raise Refusal(-4192)
    code = POSITION_CONTROLS[market.position_control].get(side)
    if code is not None:
        raise Refusal(code)


def _reducing(account: Account, ask: Ask) -> tuple[Decimal, list[Order]]:
    """Return what a closing order may do: its quantity, and the resting orders it knocks out.

    One-way: a reduce-only MARKET order is cut to the position and goes before resting reduce-only
    ones (er=4), unless the account is set to have it refused (-4118); a LIMIT one must fit beside
    them. Hedge: a closing order must fit beside the resting ones, whatever it is.
    """
    position = account.position(ask.symbol, ask.position_side)
    sign = 1 if ask.side == "BUY" else -1
    if position.amount * sign >= 0:
        raise Refusal(-2022)
    capacity = abs(position.amount)
    resting = matching.closing_orders(account, ask.symbol, ask.side, ask.position_side)
    held = sum((o.remaining for o in resting), ZERO)
    if ask.type == "MARKET" and not account.hedge:
        quantity = min(ask.quantity, capacity)
        if quantity + held <= capacity:
            return quantity, []
        if account.reduce_only_conflict == "reject":
            raise Refusal(-4118)
        return quantity, _knocked(resting, quantity + held - capacity)
    if ask.quantity + held > capacity:
        if ask.algo_id and ask.quantity <= capacity:
            # A triggered stop goes before resting orders in either mode: it is a market order.
            return ask.quantity, _knocked(resting, ask.quantity + held - capacity)
        raise Refusal(-2022)
    return ask.quantity, []


def _knocked(resting: list[Order], excess: Decimal) -> list[Order]:
    """Return the youngest resting orders that free at least ``excess``."""
    knocked: list[Order] = []
    for order in reversed(resting):
        if excess <= 0:
            break
        knocked.append(order)
        excess -= order.remaining
    return knocked


def _check_margin(exchange: "Exchange", account: Account, ask: Ask, market: Market) -> None:
    position = account.position(ask.symbol, ask.position_side)
    signed = ask.quantity if ask.side == "BUY" else -ask.quantity
    opening = ask.quantity
    if position.amount and (position.amount > 0) != (signed > 0):
        opening = max(ZERO, ask.quantity - 2 * abs(position.amount))
    price = ask.price if ask.type == "LIMIT" else market.book.ask
    leverage = account.leverage_of(ask.symbol)
    after = abs(position.amount + signed) * market.mark
    if opening and after > _notional_cap(market, leverage):
        raise Refusal(-2027)
    needed = opening * price / leverage
    if needed > account.available(account.margins(exchange.markets)):
        raise Refusal(-2019)


def _notional_cap(market: Market, leverage: int) -> int:
    fitting = [row[0] for row in market.rules.brackets if row[1] >= leverage]
    return fitting[-1] if fitting else market.rules.brackets[0][0]


def max_notional(market: Market, leverage: int) -> int:
    """Return the greatest notional a leverage allows, USDT."""
    return _notional_cap(market, leverage)


def find_open(account: Account, params: Parameters, symbol: str) -> Order | None:
    """Return the open order that a request names by orderId or origClientOrderId.

    Raises:
        Refusal: -1102, it names none.
    """
    order_id = params.integer("orderId")
    client_id = params.text("origClientOrderId")
    if order_id is None and not client_id:
        raise missing("orderId")
    if order_id is not None:
        return account.orders.get((symbol, order_id))
    for order in account.open_orders(symbol):
        if order.client_id == client_id:
            return order
    return None


def find(account: Account, params: Parameters, symbol: str, now_ms: int) -> Order | None:
    """Return the order that a request names, open or finished; the latest of a client id.

    Cancelled and expired orders without fills are forgotten after three days.
    """
    order = find_open(account, params, symbol)
    if order is not None:
        return order
    order_id = params.integer("orderId")
    client_id = params.text("origClientOrderId")
    if order_id is not None:
        order = account.closed.get((symbol, order_id))
    else:
        for candidate in reversed(account.closed.values()):
            if candidate.symbol == symbol and candidate.client_id == client_id:
                order = candidate
                break
    if order is None:
        return None
    if not order.executed and now_ms - order.updated_ms > UNFILLED_KEPT_MS:
        return None
    return order


def cancel(exchange: "Exchange", account: Account, order: Order) -> Order:
    """Cancel an open order at its owner's wish."""
    exchange.remember(account)
    matching.finish(exchange, account, order, "CANCELED", "CANCELED")
    return order


def amend(exchange: "Exchange", account: Account, params: Parameters) -> Order:
    """Change price and quantity of a resting LIMIT order.

    Raises:
        Refusal: -2013 it is not open, -5027 nothing would change, or a filter's code.
    """
    market = market_of(exchange, params)
    order = find_open(account, params, market.rules.symbol)
    if order is None:
        raise Refusal(-2013)
    quantity, price = params.decimal("quantity"), params.decimal("price")
    if quantity is None:
        raise missing("quantity")
    if price is None:
        raise missing("price")
    filters.check_quantity(market.rules, quantity, market=False)
    filters.check_price(market.rules, price)
    filters.check_percent(market, order.side, price)
    if order.reduce_only or account.closes(order.side, order.position_side):
        mine = matching.closing_orders(account, order.symbol, order.side, order.position_side)
        held = sum((o.remaining for o in mine if o is not order), ZERO)
        capacity = abs(account.position(order.symbol, order.position_side).amount)
        if quantity - order.executed + held > capacity:
            raise Refusal(-2022)
    if quantity <= order.executed:
        return cancel(exchange, account, order)
    if (quantity, price) == (order.quantity, order.price):
        raise Refusal(-5027)
    exchange.remember(account)
    earlier = sum(a.order_id == order.order_id for a in account.amendments)
    account.amendments.append(
        Amendment(
            amendment_id=exchange.next_id(),
            symbol=order.symbol,
            order_id=order.order_id,
            client_id=order.client_id,
            time_ms=exchange.server_ms,
            price=(order.price, price),
            quantity=(order.quantity, quantity),
            count=earlier + 1,
        )
    )
    order.quantity, order.price, order.updated_ms = quantity, price, exchange.server_ms
    matching.amended(exchange, account, order)
    return order


def all_orders(account: Account, symbol: str | None) -> list[Order]:
    """Return every order that is remembered, oldest first."""
    chosen = itertools.chain(account.closed.values(), account.orders.values())
    return sorted(
        (o for o in chosen if symbol is None or o.symbol == symbol),
        key=lambda o: (o.created_ms, o.order_id),
    )
