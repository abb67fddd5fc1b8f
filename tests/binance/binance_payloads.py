"""The example payloads of Binance's documentation, with made-up values, and a few seen on the wire."""

import json
from typing import Any

Json = dict[str, Any]

MARKET: dict[str, Json] = {
    "markPriceUpdate": {
        "e": "markPriceUpdate", "E": 1795000001000, "s": "BTCUSDT", "p": "81234.50000000",
        "ap": "81230.10000000", "i": "81240.12000000", "P": "81200.00000000", "r": "0.00010000",
        "T": 1795017600000, "st": 1,
    },
    "aggTrade": {
        "e": "aggTrade", "E": 1795000001050, "s": "BTCUSDT", "a": 410000001, "p": "81235.10",
        "q": "0.120", "nq": "0.120", "f": 910001, "l": 910003, "T": 1795000001010, "m": False, "st": 1,
    },
    "trade": {
        "e": "trade", "E": 1723161256322, "T": 1723161256321, "s": "BTCUSDT", "t": 5266583935,
        "p": "61800.30", "q": "0.006", "X": "MARKET", "m": False,
    },
    "bookTicker": {
        "e": "bookTicker", "u": 900000001, "E": 1795000001061, "T": 1795000001060, "s": "BTCUSDT",
        "ps": "BTCUSDT", "b": "81235.00", "B": "3.210", "a": "81235.10", "A": "1.004", "st": 1,
    },
    "kline": {
        "e": "kline", "E": 1795000001200, "s": "BTCUSDT",
        "k": {
            "t": 1794999900000, "T": 1795000199999, "s": "BTCUSDT", "i": "5m", "f": 1, "L": 90,
            "o": "81200.0", "c": "81235.1", "h": "81250.0", "l": "81190.0", "v": "25.1", "n": 90,
            "x": False, "q": "2038000.1", "V": "12.0", "Q": "974000.0", "B": "0",
        },
    },
}  # fmt: skip

USER: dict[str, Json] = {
    "ACCOUNT_UPDATE": {
        "e": "ACCOUNT_UPDATE", "E": 1795000002001, "T": 1795000002000,
        "a": {
            "m": "ORDER",
            "B": [{"a": "USDT", "wb": "1500.12000000", "cw": "1500.12000000", "bc": "0"}],
            "P": [{
                "s": "ETHUSDT", "pa": "-0.500", "ep": "3001.20", "bep": "2999.70", "cr": "12.30",
                "up": "-0.45", "mt": "cross", "iw": "0", "ps": "BOTH",
            }],
            "S": "ETHUSDT",
        },
    },
    "ORDER_TRADE_UPDATE": {
        "e": "ORDER_TRADE_UPDATE", "E": 1795000002011, "T": 1795000002010,
        "o": {
            "s": "ETHUSDT", "c": "x-exit-000123", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "0.500",
            "p": "0", "ap": "3002.10", "sp": "0", "x": "TRADE", "X": "FILLED", "i": 880000001,
            "l": "0.500", "z": "0.500", "L": "3002.10", "N": "USDT", "n": "0.60042",
            "T": 1795000002009, "t": 7700001, "b": "0", "a": "0", "m": False, "R": True,
            "wt": "CONTRACT_PRICE", "ot": "MARKET", "ps": "BOTH", "cp": False, "pP": False,
            "si": 0, "ss": 0, "rp": "-0.45", "V": "EXPIRE_MAKER", "pm": "NONE", "gtd": 0, "er": "0",
        },
    },
    "ALGO_UPDATE": {
        "e": "ALGO_UPDATE", "T": 1795000003000, "E": 1795000003004,
        "o": {
            "caid": "sl-ETH-0007", "aid": 2000000009001, "at": "CONDITIONAL", "o": "STOP_MARKET",
            "s": "ETHUSDT", "S": "BUY", "ps": "BOTH", "f": "GTE_GTC", "q": "0", "X": "NEW", "ai": "",
            "ap": "0", "aq": "0", "act": "0", "tp": "3100.00", "p": "0", "V": "EXPIRE_MAKER",
            "wt": "MARK_PRICE", "pm": "NONE", "cp": True, "pP": False, "R": True, "tt": 0, "gtd": 0,
            "rm": "", "ia": False,
        },
    },
    "TRADE_LITE": {
        "e": "TRADE_LITE", "E": 1795000002012, "T": 1795000002010, "s": "ETHUSDT", "q": "0.500",
        "p": "0", "m": False, "c": "x-exit-000123", "S": "BUY", "L": "3002.10", "l": "0.500",
        "t": 7700001, "i": 880000001,
    },
    "listenKeyExpired": {
        "e": "listenKeyExpired", "E": 1795003600000, "listenKey": "wOmadeUpKey0" * 5 + "abcd",
    },
    "ACCOUNT_CONFIG_UPDATE": {
        "e": "ACCOUNT_CONFIG_UPDATE", "E": 1795000004001, "T": 1795000004000,
        "ac": {"s": "ETHUSDT", "l": 10},
    },
    "MARGIN_CALL": {
        "e": "MARGIN_CALL", "E": 1795000005000, "cw": "3.1",
        "p": [{
            "s": "ETHUSDT", "ps": "LONG", "pa": "1", "mt": "CROSSED", "iw": "0", "mp": "2999",
            "up": "-30", "mm": "12",
        }],
    },
    "CONDITIONAL_ORDER_TRIGGER_REJECT": {
        "e": "CONDITIONAL_ORDER_TRIGGER_REJECT", "E": 1795000006001, "T": 1795000006000,
        "or": {"s": "ETHUSDT", "i": 880000002, "r": "due to a reason"},
    },
}  # fmt: skip

CONTRACT: Json = {
    "symbol": "BTCUSDT", "pair": "BTCUSDT", "contractType": "PERPETUAL", "deliveryDate": 4133404800000,
    "status": "TRADING", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 2,
    "triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": "0.05",
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "556.80", "maxPrice": "4529764", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.002", "maxQty": "120", "stepSize": "0.002"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": "50"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500",
         "multiplierDecimal": "4"},
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        {"filterType": "SOMETHING_NEW", "tickSize": {"not": "ours"}},
    ],
    "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC", "IOC"],
}  # fmt: skip

ORDER: Json = {
    "avgPrice": "0.00000", "clientOrderId": "abc", "cumQuote": "0", "executedQty": "0",
    "orderId": 1917641, "origQty": "0.40", "origType": "TRAILING_STOP_MARKET", "price": "0",
    "reduceOnly": False, "side": "BUY", "positionSide": "SHORT", "status": "NEW", "stopPrice": "9300",
    "closePosition": False, "symbol": "BTCUSDT", "time": 1579276756075, "timeInForce": "GTC",
    "type": "TRAILING_STOP_MARKET", "activatePrice": "9020", "priceRate": "0.3",
    "updateTime": 1579276756076, "workingType": "CONTRACT_PRICE", "priceProtect": False,
}  # fmt: skip

ALGO_ORDER: Json = {
    "algoId": 2146760, "clientAlgoId": "6B2I9XVcJpCjqPAJ4YoFX7", "algoType": "CONDITIONAL",
    "orderType": "TAKE_PROFIT", "symbol": "BNBUSDT", "side": "SELL", "positionSide": "BOTH",
    "timeInForce": "GTC", "quantity": "0.01", "algoStatus": "CANCELED", "actualOrderId": "",
    "actualPrice": "0.00000", "triggerPrice": "750.000", "price": "750.000", "icebergQuantity": None,
    "tpTriggerPrice": "0.000", "tpPrice": "0.000", "slTriggerPrice": "0.000", "slPrice": "0.000",
    "tpOrderType": "", "selfTradePreventionMode": "EXPIRE_MAKER", "workingType": "CONTRACT_PRICE",
    "priceMatch": "NONE", "closePosition": False, "priceProtect": False, "reduceOnly": False,
    "createTime": 1750485492076, "updateTime": 1750514545091, "triggerTime": 0, "goodTillDate": 0,
}  # fmt: skip

POSITION_V2: Json = {
    "symbol": "BTCUSDT", "positionAmt": "0.001", "entryPrice": "22185.2", "breakEvenPrice": "0.0",
    "markPrice": "21123.05052574", "unRealizedProfit": "-1.06214947",
    "liquidationPrice": "19731.45529116", "leverage": "4", "maxNotionalValue": "100000000",
    "marginType": "cross", "isolatedMargin": "0.00000000", "isAutoAddMargin": "false",
    "positionSide": "LONG", "notional": "21.12305052", "isolatedWallet": "0",
    "updateTime": 1655217461579,
}  # fmt: skip

POSITION_V3: Json = {
    "symbol": "COMPUSDT", "positionSide": "SHORT", "positionAmt": "-1.000", "entryPrice": "70.92841",
    "breakEvenPrice": "70.900038636", "markPrice": "49.72023376", "unRealizedProfit": "21.20817624",
    "liquidationPrice": "2260.56757210", "isolatedMargin": "0", "notional": "-49.72023376",
    "marginAsset": "USDT", "isolatedWallet": "0", "initialMargin": "2.48601168",
    "maintMargin": "0.49720233", "positionInitialMargin": "2.48601168", "openOrderInitialMargin": "0",
    "adl": 2, "bidNotional": "0", "askNotional": "0", "updateTime": 1708943511656,
}  # fmt: skip

BRACKETS: Json = {
    "symbol": "ETHUSDT", "notionalCoef": 1.50,
    "brackets": [
        {"bracket": 1, "initialLeverage": 75, "notionalCap": 10000, "notionalFloor": 0,
         "maintMarginRatio": 0.0065, "cum": 0.0},
        {"bracket": 2, "initialLeverage": 50, "notionalCap": 50000, "notionalFloor": 10000,
         "maintMarginRatio": 0.01, "cum": 35.1},
    ],
}  # fmt: skip

PREMIUM: Json = {
    "symbol": "BTCUSDT", "markPrice": "26780.82240476", "indexPrice": "26798.25197802",
    "estimatedSettlePrice": "26808.13173098", "lastFundingRate": "0.00001226",
    "interestRate": "0.00010000", "nextFundingTime": 1687248000000, "time": 1687244112000,
}  # fmt: skip

KLINE_ROW: list[Any] = [
    1602669900000, "50.49", "50.52", "50.31", "50.33", "3811.648", 1602670199999, "192171.59398", 1517,
    "956.116", "48217.57292", "0",
]  # fmt: skip

USER_TRADE: Json = {
    "buyer": False, "commission": "0.07819010", "commissionAsset": "USDT", "id": 698759,
    "maker": False, "orderId": 25851813, "price": "7819.01", "qty": "0.002", "quoteQty": "15.63802",
    "realizedPnl": "-0.91539999", "side": "SELL", "positionSide": "SHORT", "symbol": "BTCUSDT",
    "time": 1569514978020,
}  # fmt: skip

ACCOUNT: Json = {
    "totalInitialMargin": "1.5", "totalMaintMargin": "0.25", "totalWalletBalance": "103.12345678",
    "totalUnrealizedProfit": "-2.00000000", "totalMarginBalance": "101.12345678",
    "totalPositionInitialMargin": "0", "totalOpenOrderInitialMargin": "0",
    "totalCrossWalletBalance": "103.12345678", "totalCrossUnPnl": "0",
    "availableBalance": "100.12345678", "maxWithdrawAmount": "100",
    "assets": [{
        "asset": "USDT", "walletBalance": "23.72469206", "unrealizedProfit": "0.5",
        "marginBalance": "24.22469206", "maintMargin": "0", "initialMargin": "0",
        "positionInitialMargin": "0", "openOrderInitialMargin": "0",
        "crossWalletBalance": "23.72469206", "crossUnPnl": "0.5", "availableBalance": "23.7",
        "maxWithdrawAmount": "23.7", "updateTime": 1625474304765,
    }],
    "positions": [{
        "symbol": "BTCUSDT", "positionSide": "BOTH", "positionAmt": "1.000",
        "unrealizedProfit": "0.5", "isolatedMargin": "7", "notional": "60000", "isolatedWallet": "6",
        "initialMargin": "3000", "maintMargin": "240", "updateTime": 1,
    }],
}  # fmt: skip

REST: dict[tuple[str, str], Any] = {
    ("GET", "/fapi/v1/time"): {"serverTime": 1620099477465},
    ("GET", "/fapi/v1/exchangeInfo"): {
        "serverTime": 1, "symbols": [CONTRACT],
        "rateLimits": [{"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300}],
    },
    ("GET", "/fapi/v1/klines"): [KLINE_ROW],
    ("GET", "/fapi/v1/markPriceKlines"): [[*KLINE_ROW[:5], "0", KLINE_ROW[6], "0", 300, "0", "0", "0"]],
    ("GET", "/fapi/v1/aggTrades"): [
        {"a": 26129, "p": "0.01633102", "q": "4.70443515", "f": 27781, "l": 27781, "T": 1498793709153, "m": True}
    ],
    ("GET", "/fapi/v1/premiumIndex"): PREMIUM,
    ("GET", "/fapi/v1/ticker/price"): {"symbol": "BTCUSDT", "price": "6000.01", "time": 1589437530011},
    ("GET", "/fapi/v2/ticker/price"): [{"symbol": "BTCUSDT", "price": "6000.01", "time": 1589437530011}],
    ("GET", "/fapi/v1/ticker/bookTicker"): {
        "symbol": "BTCUSDT", "bidPrice": "4.00000000", "bidQty": "431.00000000",
        "askPrice": "4.00000200", "askQty": "9.00000000", "time": 1589437530011,
    },
    ("GET", "/fapi/v1/ticker/24hr"): {
        "symbol": "BTCUSDT", "volume": "471823.103", "quoteVolume": "22175129357.20",
        "lastPrice": "47028.59", "priceChange": "-155.63",
    },
    ("GET", "/fapi/v1/positionSide/dual"): {"dualSidePosition": True},
    ("GET", "/fapi/v1/accountConfig"): {
        "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True,
        "dualSidePosition": True, "updateTime": 0, "multiAssetsMargin": False, "tradeGroupId": -1,
    },
    ("GET", "/fapi/v1/symbolConfig"): [{
        "symbol": "BTCUSDT", "marginType": "CROSSED", "isAutoAddMargin": False, "leverage": 21,
        "maxNotionalValue": "1000000",
    }],
    ("GET", "/fapi/v2/positionRisk"): [POSITION_V2],
    ("GET", "/fapi/v3/positionRisk"): [POSITION_V3],
    ("GET", "/fapi/v3/account"): ACCOUNT,
    ("GET", "/fapi/v1/leverageBracket"): BRACKETS,
    ("GET", "/fapi/v1/rateLimit/order"): [
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200}
    ],
    ("GET", "/fapi/v1/openOrders"): [ORDER],
    ("GET", "/fapi/v1/allOrders"): [ORDER],
    ("GET", "/fapi/v1/openOrder"): ORDER,
    ("GET", "/fapi/v1/order"): ORDER,
    ("POST", "/fapi/v1/order"): {k: v for k, v in ORDER.items() if k not in {"avgPrice", "cumQuote"}},
    ("DELETE", "/fapi/v1/order"): ORDER,
    ("GET", "/fapi/v1/openAlgoOrders"): [ALGO_ORDER],
    ("GET", "/fapi/v1/allAlgoOrders"): [ALGO_ORDER],
    ("GET", "/fapi/v1/algoOrder"): ALGO_ORDER,
    ("POST", "/fapi/v1/algoOrder"): ALGO_ORDER,
    ("DELETE", "/fapi/v1/algoOrder"): {
        "algoId": 2146760, "clientAlgoId": "6B2I9XVcJpCjqPAJ4YoFX7", "code": "200", "msg": "success",
    },
    ("GET", "/fapi/v1/userTrades"): [USER_TRADE],
    ("POST", "/fapi/v1/listenKey"): {"listenKey": "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"},
    ("PUT", "/fapi/v1/listenKey"): {"listenKey": "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"},
    ("DELETE", "/fapi/v1/listenKey"): {},
}  # fmt: skip


def wire(payload: Any) -> bytes:
    """A payload as it crosses the wire: no spaces, non-ASCII as UTF-8."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def enveloped(payload: Any, stream: str = "btcusdt@aggTrade") -> bytes:
    """A payload in a combined stream's envelope."""
    return wire({"stream": stream, "data": payload})
