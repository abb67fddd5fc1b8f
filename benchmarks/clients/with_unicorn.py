"""unicorn-binance-websocket-api: a stream with a callback, orders over its WebSocket API stream.

`python with_unicorn.py PORT`. On: its compiled modules, picows for its sockets, uvloop as the loops' policy,
orjson (its own). The callback runs in the stream's thread, the order leaves from the other stream's.
"""

import asyncio
import sys
import threading
import time
from typing import Any

import uvloop
from terms import KEY, QUANTITY, SECRET, STOP, SYMBOL, ready
from unicorn_binance_websocket_api import BinanceWebSocketApiManager


def run(port: int) -> None:
    """Watches the last price; an order when it is through the stop."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    here = f"127.0.0.1:{port}"
    manager = BinanceWebSocketApiManager(
        exchange="binance.com-futures",
        output_default="dict",
        warn_on_update=False,
        websocket_library="picows",
        restful_base_uri=f"http://{here}/",
        websocket_base_uri=f"ws://{here}/other/",
        websocket_api_base_uri=f"ws://{here}/other/ws-fapi/v1",
    )
    answered = threading.Event()
    orders = manager.create_stream(api=True, api_key=KEY, api_secret=SECRET, output="dict")

    def on_answer(_answer: dict[str, Any]) -> None:
        answered.set()

    def place() -> None:
        manager.api.futures.create_order(
            stream_id=orders,
            symbol=SYMBOL,
            side="SELL",
            order_type="MARKET",
            quantity=float(QUANTITY),
            reduce_only=True,
            process_response=on_answer,
        )

    def on_trade(message: dict[str, Any]) -> None:
        data = message.get("data")
        if data is not None and float(data["p"]) <= STOP:
            place()

    place()
    if not answered.wait(10):
        raise SystemExit("no answer to an order")
    manager.create_stream(
        ["aggTrade"], [SYMBOL.lower()], output="dict", process_stream_data=on_trade
    )
    ready("unicorn-binance-websocket-api", "picows", "orjson", "uvloop")
    while True:
        time.sleep(1)


if __name__ == "__main__":
    run(int(sys.argv[1]))
