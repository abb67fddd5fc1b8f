"""The filters of exchangeInfo, and the code each one refuses with. Source: binance.md §4."""

from decimal import Decimal

from reactor.sim.decimals import floor_to, places_of, plain
from reactor.sim.market import Market
from reactor.sim.refusals import Refusal
from reactor.sim.symbols import SymbolRules


def _too_precise(value: Decimal, places: int) -> bool:
    return places_of(value.normalize()) > places


def check_quantity(rules: SymbolRules, quantity: Decimal, *, market: bool) -> None:
    """Hold a quantity against LOT_SIZE or MARKET_LOT_SIZE.

    Raises:
        Refusal: -4003 not positive, -1111 too precise, -4004 too small, -4005 too big, -4023 off
            the step.
    """
    if quantity <= 0:
        raise Refusal(-4003)
    if _too_precise(quantity, rules.quantity_precision):
        raise Refusal(-1111)
    if quantity < rules.min_qty:
        raise Refusal(-4004)
    if quantity > (rules.market_max_qty if market else rules.max_qty):
        raise Refusal(-4005)
    if quantity % rules.step:
        raise Refusal(-4023)


def check_price(rules: SymbolRules, price: Decimal) -> None:
    """Hold a limit price against PRICE_FILTER.

    Raises:
        Refusal: -1111 too precise, -4013 too low, -4002 too high, -4014 off the tick.
    """
    if price > 0 and _too_precise(price, rules.price_precision):
        raise Refusal(-1111)
    if price < rules.min_price:
        raise Refusal(-4013)
    if price > rules.max_price:
        raise Refusal(-4002)
    if price % rules.tick:
        raise Refusal(-4014)


def check_percent(market: Market, side: str, price: Decimal) -> None:
    """Hold a limit price against PERCENT_PRICE around the mark price.

    Raises:
        Refusal: -4016 a bid too high, -4024 an offer too low.
    """
    rules = market.rules
    if side == "BUY" and price > market.mark * rules.multiplier_up:
        bound = floor_to(market.mark * rules.multiplier_up, rules.tick)
        raise Refusal(-4016, bound=plain(bound))
    if side == "SELL" and price < market.mark * rules.multiplier_down:
        bound = floor_to(market.mark * rules.multiplier_down, rules.tick)
        raise Refusal(-4024, bound=plain(bound))


def check_stop_percent(market: Market, side: str, price: Decimal, trigger: Decimal) -> None:
    """Hold the limit price of a conditional order against PERCENT_PRICE around its trigger.

    Raises:
        Refusal: -4183 a bid too high, -4184 an offer too low.
    """
    rules = market.rules
    if side == "BUY" and price > trigger * rules.multiplier_up:
        raise Refusal(-4183, bound=plain(floor_to(trigger * rules.multiplier_up, rules.tick)))
    if side == "SELL" and price < trigger * rules.multiplier_down:
        raise Refusal(-4184, bound=plain(floor_to(trigger * rules.multiplier_down, rules.tick)))


def check_trigger(market: Market, price: Decimal, reference: Decimal) -> None:
    """Hold a trigger price against PRICE_FILTER and the stop multipliers.

    The multipliers of stop prices are wider than those of limit prices; the live values are not
    published, half and double the reference are assumed.

    Raises:
        Refusal: -4006 not positive, -1111 too precise, -4014 off the tick, -4210 or -4211 too far
            from the market.
    """
    rules = market.rules
    if price <= 0:
        raise Refusal(-4006)
    if _too_precise(price, rules.price_precision):
        raise Refusal(-1111)
    if price % rules.tick:
        raise Refusal(-4014)
    if price > min(rules.max_price, reference * 2):
        raise Refusal(-4210)
    if price < max(rules.min_price, reference / 2):
        raise Refusal(-4211)


def check_notional(rules: SymbolRules, notional: Decimal) -> None:
    """Hold an opening order against MIN_NOTIONAL.

    Raises:
        Refusal: -4164.
    """
    if notional < rules.min_notional:
        raise Refusal(-4164, notional=plain(rules.min_notional))
