"""The symbols on offer, their filters and leverage brackets, and exchangeInfo.

Values look like the live ones of 2026: the spellings (``"0.10"``) matter, because clients derive
precision from them.
"""

from decimal import Decimal
from typing import Any, Final

import msgspec

from reactor.sim.decimals import places_of, plain

D = Decimal

# (max notional, leverage, maintenance ratio, maintenance amount), rising; shape as published.
Bracket = tuple[int, int, str, str]
MAJOR: Final[tuple[Bracket, ...]] = (
    (300_000, 125, "0.004", "0"),
    (800_000, 100, "0.005", "300"),
    (3_000_000, 75, "0.0065", "1500"),
    (12_000_000, 50, "0.01", "12000"),
    (70_000_000, 25, "0.02", "132000"),
    (100_000_000, 20, "0.025", "482000"),
    (230_000_000, 10, "0.05", "2982000"),
    (480_000_000, 5, "0.1", "14482000"),
)
MINOR: Final[tuple[Bracket, ...]] = (
    (10_000, 75, "0.006", "0"),
    (50_000, 50, "0.01", "40"),
    (500_000, 25, "0.02", "540"),
    (2_000_000, 20, "0.025", "3040"),
    (5_000_000, 10, "0.05", "53040"),
    (10_000_000, 5, "0.1", "303040"),
    (20_000_000, 2, "0.25", "1803040"),
)
ORDER_TYPES: Final = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
TIMES_IN_FORCE: Final = ("GTC", "IOC", "FOK", "GTX", "GTD")
ORDERS_MAX = 200  # MAX_NUM_ORDERS, per symbol
ALGO_ORDERS_MAX = 200  # conditional orders, all symbols


class SymbolRules(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's filters. Prices in quote units, quantities in base units."""

    symbol: str
    base: str
    start_price: Decimal
    tick: Decimal
    step: Decimal
    max_qty: Decimal
    market_max_qty: Decimal
    min_notional: Decimal
    price_precision: int
    quantity_precision: int
    min_price: Decimal
    max_price: Decimal
    multiplier_up: Decimal = D("1.0500")
    multiplier_down: Decimal = D("0.9500")
    trigger_protect: Decimal = D("0.0500")
    market_take_bound: Decimal = D("0.05")
    liquidation_fee: Decimal = D("0.012500")
    brackets: tuple[Bracket, ...] = MINOR

    @property
    def min_qty(self) -> Decimal:
        """The least quantity: one step, as everywhere on the live exchange."""
        return self.step

    @property
    def price_places(self) -> int:
        """Decimals of a price."""
        return places_of(self.tick)

    @property
    def quantity_places(self) -> int:
        """Decimals of a quantity."""
        return places_of(self.step)

    def bracket(self, notional: Decimal) -> Bracket:
        """Return the leverage bracket that a position's absolute notional falls into."""
        for row in self.brackets:
            if notional <= row[0]:
                return row
        return self.brackets[-1]

    def maintenance(self, notional: Decimal) -> Decimal:
        """Return the maintenance margin in USDT of an absolute notional."""
        row = self.bracket(notional)
        return max(D(0), notional * D(row[2]) - D(row[3]))


def _rules(
    base: str,
    start: str,
    tick: str,
    step: str,
    max_qty: str,
    market_max: str,
    notional: str,
    precision: tuple[int, int],
    bounds: tuple[str, str],
    *,
    major: bool = False,
) -> SymbolRules:
    return SymbolRules(
        symbol=f"{base}USDT",
        base=base,
        start_price=D(start),
        tick=D(tick),
        step=D(step),
        max_qty=D(max_qty),
        market_max_qty=D(market_max),
        min_notional=D(notional),
        price_precision=precision[0],
        quantity_precision=precision[1],
        min_price=D(bounds[0]),
        max_price=D(bounds[1]),
        brackets=MAJOR if major else MINOR,
    )


def default_symbols() -> dict[str, SymbolRules]:
    """Return the nine symbols of a fresh exchange, by name."""
    rows = (
        _rules(
            "BTC",
            "81200.00",
            "0.10",
            "0.001",
            "1000",
            "120",
            "50",
            (2, 3),
            ("556.80", "4529764"),
            major=True,
        ),
        _rules(
            "ETH",
            "3000.00",
            "0.01",
            "0.001",
            "10000",
            "2000",
            "20",
            (2, 3),
            ("39.86", "306177"),
            major=True,
        ),
        _rules(
            "SOL",
            "160.0000",
            "0.0100",
            "0.01",
            "1000000",
            "25000",
            "5",
            (4, 2),
            ("0.4200", "6857"),
        ),
        _rules("DOT", "4.200", "0.001", "0.1", "1000000", "85000", "5", (3, 1), ("0.201", "1331")),
        _rules(
            "AVAX",
            "18.0000",
            "0.0010",
            "0.1",
            "50000",
            "15000",
            "5",
            (4, 1),
            ("0.3070", "20000"),
        ),
        _rules(
            "BNB", "850.000", "0.010", "0.01", "100000", "2000", "5", (3, 2), ("6.600", "100000")
        ),
        _rules("ATOM", "3.500", "0.001", "0.01", "50000", "25000", "5", (3, 2), ("0.204", "10000")),
        _rules(
            "XRP",
            "2.2000",
            "0.0001",
            "0.1",
            "10000000",
            "2000000",
            "5",
            (4, 1),
            ("0.0143", "100000"),
        ),
        _rules(
            "ADA", "0.55000", "0.00010", "1", "2000000", "300000", "5", (5, 0), ("0.01740", "100")
        ),
    )
    return {row.symbol: row for row in rows}


def symbol_entry(rules: SymbolRules, status: str, position_control: str = "NONE") -> dict[str, Any]:
    """Return one element of exchangeInfo's ``symbols``."""
    tick, step = str(rules.tick), str(rules.step)
    return {
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": rules.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": rules.price_precision,
        "quantityPrecision": rules.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "settlePlan": 0,
        "underlyingSubType": ["PoW" if rules.base == "BTC" else "Layer-1"],
        "triggerProtect": str(rules.trigger_protect),
        "liquidationFee": str(rules.liquidation_fee),
        "marketTakeBound": str(rules.market_take_bound),
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": str(rules.min_price),
                "maxPrice": str(rules.max_price),
                "tickSize": tick,
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": step,
                "maxQty": str(rules.max_qty),
                "stepSize": step,
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": step,
                "maxQty": str(rules.market_max_qty),
                "stepSize": step,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": ORDERS_MAX},
            {"filterType": "MIN_NOTIONAL", "notional": plain(rules.min_notional)},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": str(rules.multiplier_up),
                "multiplierDown": str(rules.multiplier_down),
                "multiplierDecimal": "4",
            },
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": position_control},
        ],
        "orderTypes": list(ORDER_TYPES),
        "timeInForce": list(TIMES_IN_FORCE),
        "permissionSets": ["GRID", "COPY"],
    }


def bracket_entry(rules: SymbolRules) -> dict[str, Any]:
    """Return one symbol of leverageBracket; its numbers are JSON numbers, as on the exchange."""
    rows: list[dict[str, Any]] = []
    floor = 0
    for number, (cap, leverage, ratio, cum) in enumerate(rules.brackets, start=1):
        rows.append(
            {
                "bracket": number,
                "initialLeverage": leverage,
                "notionalCap": cap,
                "notionalFloor": floor,
                "maintMarginRatio": float(ratio),
                "cum": int(cum),
            }
        )
        floor = cap
    return {"symbol": rules.symbol, "brackets": rows}
