"""A model of the earlier system: it asks for its positions every ten seconds, and sells where the mark price is through.

`python with_poll.py PORT CYCLES`. Prints, for so many cycles without the wait between them, the nanoseconds from
the question's sending to the order's answer. What a price waits for the next question is added by the reader.
"""

import asyncio
import hashlib
import hmac
import sys
import time
from decimal import Decimal
from urllib.parse import urlencode

import aiohttp
import uvloop
from terms import KEY, QUANTITY, SECRET, SYMBOL, ready

STOP_ABOVE = Decimal(10**9)
"""The market behind the stand-in does not move: this stop is always reached."""


def signed(parameters: dict[str, str]) -> str:
    """A query with time and signature."""
    text = urlencode({**parameters, "timestamp": str(time.time_ns() // 1_000_000)})
    return (
        f"{text}&signature={hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}"
    )


async def run(port: int, cycles: int) -> None:
    """Cycles one after the other."""
    here = f"http://127.0.0.1:{port}"
    order = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": QUANTITY}
    order["reduceOnly"] = "true"
    async with aiohttp.ClientSession(headers={"X-MBX-APIKEY": KEY}) as session:
        ready("aiohttp", "uvloop")
        for _ in range(cycles):
            started_ns = time.monotonic_ns()
            async with session.get(f"{here}/fapi/v2/positionRisk?{signed({})}") as answer:
                positions = await answer.json()
            for position in positions:
                if position["symbol"] == SYMBOL and Decimal(position["markPrice"]) <= STOP_ABOVE:
                    async with session.post(f"{here}/fapi/v1/order?{signed(order)}") as answer:
                        await answer.read()
            print(time.monotonic_ns() - started_ns, flush=True)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))
