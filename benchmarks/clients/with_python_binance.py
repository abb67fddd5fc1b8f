"""python-binance: a futures socket of `BinanceSocketManager`, orders of `AsyncClient`.

`python with_python_binance.py PORT ws|rest`. On: uvloop, orjson (which it takes where it is installed). The
manager's queue is made long, or it breaks off under the flood (its default holds 100 messages).
"""

import sys

import uvloop
from binance import AsyncClient, BinanceSocketManager
from binance.base_client import BaseClient
from terms import KEY, QUANTITY, SECRET, STOP, SYMBOL, ready


async def run(port: int, way: str) -> None:
    """Watches the last price; an order when it is through the stop."""
    here = f"127.0.0.1:{port}"
    BaseClient.FUTURES_URL = f"http://{here}/fapi"
    BaseClient.WS_FUTURES_URL = f"ws://{here}/other/ws-fapi/v1"
    BinanceSocketManager.FSTREAM_URL = f"ws://{here}/other/"
    client = AsyncClient(KEY, SECRET)
    place = client.ws_futures_create_order if way == "ws" else client.futures_create_order
    order = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": QUANTITY}
    order["reduceOnly"] = "true"
    manager = BinanceSocketManager(client, max_queue_size=1_000_000)
    async with manager.aggtrade_futures_socket(SYMBOL) as stream:
        await place(**order)  # its connection is open from here on
        ready("python-binance", "websockets", "aiohttp", "orjson", "uvloop")
        while True:
            message = await stream.recv()
            if float(message["data"]["p"]) <= STOP:
                await place(**order)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), sys.argv[2]))
