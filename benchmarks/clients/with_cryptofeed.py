"""cryptofeed: a feed of trades with a callback, orders of the exchange's REST interface.

`python with_cryptofeed.py PORT`. On: uvloop and yapic.json (its own). It has no orders over the WebSocket API,
and its `place_order` cannot say reduce-only.
"""

import asyncio
import sys
from decimal import Decimal
from typing import Any

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import MARKET, SELL, TRADES
from cryptofeed.exchanges import BinanceFutures
from terms import KEY, QUANTITY, SECRET, STOP, ready

SYMBOL = "BTC-USDT-PERP"
LEVEL = Decimal(str(STOP))


class Plain(BinanceFutures):
    """Without encryption: it insists on an address that says otherwise, and this is where one may be changed."""

    async def _ws_authentication(
        self, address: str, options: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The address without the s."""
        return address.replace("wss://", "ws://", 1), options


def run(port: int) -> None:
    """Watches the last price; an order when it is through the stop."""
    here = f"127.0.0.1:{port}"
    BinanceFutures.websocket_endpoints = [
        WebsocketEndpoint(f"wss://{here}/other", options={"compression": None}, authentication=True)
    ]
    BinanceFutures.rest_endpoints = [
        RestEndpoint(f"http://{here}", routes=Routes("/fapi/v1/exchangeInfo"))
    ]
    BinanceFutures.api = f"http://{here}/fapi/v1/"
    config = {
        "uvloop": True,
        "log": {"disabled": True},
        "binance_futures": {"key_id": KEY, "key_secret": SECRET},
    }
    handler = FeedHandler(config=config)  # which sets uvloop's policy
    asyncio.set_event_loop(
        asyncio.new_event_loop()
    )  # it asks for the current one; uvloop makes none unasked
    broker = Plain(config=config)
    said = False

    async def place() -> None:
        await broker.place_order(SYMBOL, SELL, MARKET, Decimal(QUANTITY))

    async def on_trade(trade: Any, _received_s: float) -> None:
        nonlocal said
        if trade.price <= LEVEL:
            await place()
        elif not said:  # the first price: its connection for orders is open from here on
            said = True
            await place()

    handler.add_feed(Plain(symbols=[SYMBOL], channels=[TRADES], callbacks={TRADES: on_trade}))
    ready("cryptofeed", "websockets", "aiohttp", "yapic.json", "uvloop")
    handler.run()


if __name__ == "__main__":
    run(int(sys.argv[1]))
