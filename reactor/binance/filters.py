"""What an exchange's contract allows: tick, lot steps, bounds. One symbol of exchangeInfo, typed."""

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from reactor.binance.fields import Amount, PriceOrZero, Quantity, Symbol, rules_hook

PERPETUAL: Final = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"})
QUARTERLY: Final = frozenset({"CURRENT_QUARTER", "NEXT_QUARTER"})
MARGIN_ASSETS: Final = frozenset({"USDT", "USDC"})


class SymbolFilters(Struct, frozen=True, gc=False, kw_only=True):
    """The rules of one contract. None means that the exchange states no such rule, or 0, which is none."""

    symbol: str
    status: str
    """TRADING, or why not: PENDING_TRADING, SETTLING, TRADING_HALT, …"""
    contract_type: str
    """PERPETUAL, TRADIFI_PERPETUAL, CURRENT_QUARTER, NEXT_QUARTER, …; empty before listing."""
    quote_asset: str
    margin_asset: str
    tick_size: Decimal | None = None
    """The step of prices and trigger prices, counted from `min_price`."""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    step_size: Decimal | None = None
    """The quantity's step for every order but MARKET."""
    min_qty: Decimal | None = None
    max_qty: Decimal | None = None
    market_step: Decimal | None = None
    """The quantity's step for MARKET orders."""
    market_min_qty: Decimal | None = None
    market_max_qty: Decimal | None = None
    """Far below `max_qty`: larger exits are split."""
    min_notional: Decimal | None = None
    """Quantity times price, in the quote asset; reduce-only orders are exempt."""
    trigger_protect: Decimal | None = None
    """With `priceProtect`: how far mark and last may differ when a stop triggers, as a fraction."""
    market_take_bound: Decimal | None = None
    """How far from the mark price a MARKET order may trade, as a fraction; the rest is cancelled."""
    multiplier_up: Decimal | None = None
    """A buy's price is at most mark times this."""
    multiplier_down: Decimal | None = None
    """A sell's price is at least mark times this."""


class _Filter(Struct, frozen=True, gc=False, rename="camel"):
    """Any of the filters; which fields are there depends on its type. Unknown types are skipped."""

    filter_type: str = ""
    tick_size: PriceOrZero | None = None
    min_price: PriceOrZero | None = None
    max_price: PriceOrZero | None = None
    step_size: Quantity | None = None
    min_qty: Quantity | None = None
    max_qty: Quantity | None = None
    notional: Quantity | None = None
    multiplier_up: Amount | None = None
    multiplier_down: Amount | None = None


class _Contract(Struct, frozen=True, gc=False, rename="camel"):
    """The fields of an exchangeInfo symbol that are used."""

    symbol: Symbol
    filters: tuple[msgspec.Raw, ...]
    status: str = ""
    contract_type: str = ""
    quote_asset: str = ""
    margin_asset: str = ""
    trigger_protect: Amount | None = None
    market_take_bound: Amount | None = None


class _FilterType(Struct, frozen=True, gc=False, rename="camel"):
    filter_type: str = ""


_CONTRACT: Final = msgspec.json.Decoder(_Contract, dec_hook=rules_hook)
_FILTER_TYPE: Final = msgspec.json.Decoder(_FilterType)
_FILTER: Final = msgspec.json.Decoder(_Filter, dec_hook=rules_hook)
_USED: Final = frozenset(
    {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL", "PERCENT_PRICE"}
)
_NONE: Final = _Filter()


def symbol_filters(raw: bytes | msgspec.Raw) -> SymbolFilters:
    """The rules of one contract.

    Args:
        raw: the JSON of one element of exchangeInfo's `symbols`.

    Returns:
        Its rules. A tick or step of "0" is how the exchange says that none applies.

    Raises:
        ValueError: it is no contract, or one of its numbers is no number (`msgspec`'s errors included).
    """
    contract = _CONTRACT.decode(raw)
    filters: dict[str, _Filter] = {}
    for part in contract.filters:
        filter_type = _FILTER_TYPE.decode(part).filter_type
        if filter_type in _USED:
            filters[filter_type] = _FILTER.decode(part)
    price = filters.get("PRICE_FILTER", _NONE)
    lot = filters.get("LOT_SIZE", _NONE)
    market = filters.get("MARKET_LOT_SIZE", _NONE)
    percent = filters.get("PERCENT_PRICE", _NONE)
    return SymbolFilters(
        symbol=contract.symbol,
        status=contract.status,
        contract_type=contract.contract_type,
        quote_asset=contract.quote_asset,
        margin_asset=contract.margin_asset,
        tick_size=price.tick_size or None,
        min_price=price.min_price or None,
        max_price=price.max_price or None,
        step_size=lot.step_size or None,
        min_qty=lot.min_qty or None,
        max_qty=lot.max_qty or None,
        market_step=market.step_size or None,
        market_min_qty=market.min_qty or None,
        market_max_qty=market.max_qty or None,
        min_notional=filters.get("MIN_NOTIONAL", _NONE).notional or None,
        trigger_protect=contract.trigger_protect or None,
        market_take_bound=contract.market_take_bound or None,
        multiplier_up=percent.multiplier_up or None,
        multiplier_down=percent.multiplier_down or None,
    )


def refusal(filters: SymbolFilters) -> str | None:
    """Why positions in this contract cannot be guarded.

    Returns:
        One line for the user, or None for a perpetual or quarterly contract margined in USDT or USDC.
    """
    name = filters.symbol
    if filters.contract_type not in PERPETUAL | QUARTERLY:
        kind = filters.contract_type or "of no stated type"
        return f"{name} is {kind}; only perpetual and quarterly contracts are handled"
    if filters.margin_asset not in MARGIN_ASSETS or filters.quote_asset != filters.margin_asset:
        return (
            f"{name} is quoted in {filters.quote_asset or '?'} and margined in "
            f"{filters.margin_asset or '?'}; only USDT and USDC contracts are handled"
        )
    return None
