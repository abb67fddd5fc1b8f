"""ccxt pro: `watch_trades` on aggregate trades, `create_order_ws` or `create_order`.

`python with_ccxt.py PORT ws|rest`. On: uvloop, orjson (which it takes where it is installed). Its own rate
limit is off, or it would hold orders back for reasons that have nothing to do with speed.
"""

import sys

import ccxt.pro
import uvloop
from terms import KEY, QUANTITY, SECRET, STOP, ready

SYMBOL = "BTC/USDT:USDT"


async def run(port: int, way: str) -> None:
    """Watches the last price; an order when it is through the stop."""
    here = f"127.0.0.1:{port}"
    exchange = ccxt.pro.binance(
        {
            "apiKey": KEY,
            "secret": SECRET,
            "enableRateLimit": False,
            "options": {
                "defaultType": "swap",
                "fetchMarkets": {"types": ["linear"]},
                "fetchCurrencies": False,
            },
        }
    )
    addresses = exchange.urls["api"]
    for name, version in (("", "v1"), ("V2", "v2"), ("V3", "v3")):
        for door in ("fapiPublic", "fapiPrivate"):
            addresses[f"{door}{name}"] = f"http://{here}/fapi/{version}"
    addresses["ws"]["linear"] = f"ws://{here}/other/ws"
    addresses["ws"]["ws-api"]["linear"] = f"ws://{here}/other/ws-fapi/v1"
    await exchange.load_markets()
    place = exchange.create_order_ws if way == "ws" else exchange.create_order
    order = (SYMBOL, "market", "sell", float(QUANTITY), None, {"reduceOnly": True})
    await place(*order)  # its connection is open from here on
    ready("ccxt", "aiohttp", "orjson", "uvloop")
    while True:
        for trade in await exchange.watch_trades(SYMBOL, params={"name": "aggTrade"}):
            if trade["price"] <= STOP:
                await place(*order)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), sys.argv[2]))
