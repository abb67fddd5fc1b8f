"""What stands behind the stand-in of `bench latency`: a simulated exchange that answers what is asked over HTTP.

`python -m reactor.bench.latency_exchange SYMBOLS` serves a market in which nothing moves and a LONG is open in
every symbol, until its standard input ends.
"""

import asyncio
import sys
import time
from decimal import Decimal

import orjson

from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.scenarios import Scenario
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation
from reactor.sim.symbols import SymbolRules

ENTRY = Decimal(60_000)
QUANTITY = "0.1"


def bench_symbols(count: int) -> list[str]:
    """The names of so many symbols: BTCUSDT first, whose positions are closed."""
    return ["BTCUSDT", *(f"B{number:03d}USDT" for number in range(1, count))]


def simulation(count: int) -> Simulation:
    """A market of so many symbols, with a position in each."""
    now_ms = time.time_ns() // 1_000_000
    rules = {
        name: SymbolRules(
            symbol=name,
            base=name.removesuffix("USDT"),
            start_price=ENTRY,
            tick=Decimal("0.10"),
            step=Decimal("0.001"),
            max_qty=Decimal(1000),
            market_max_qty=Decimal(120),
            min_notional=Decimal(100),
            price_precision=2,
            quantity_precision=3,
            min_price=Decimal("556.80"),
            max_price=Decimal(4_529_764),
        )
        for name in bench_symbols(count)
    }
    made = Simulation(
        now_ms=now_ms,
        settings=Settings(wallet=Decimal(10**9)),
        prices=Scenario("still", start_ms=now_ms, seed=1),
        symbols=rules,
    )
    limits = made.exchange.rates.limits
    limits.weight_per_minute = limits.orders_per_minute = limits.orders_per_10s = 1 << 40
    for name in rules:
        body = orjson.dumps({"symbol": name, "quantity": QUANTITY}).decode()
        answer = made.request(Request(method="POST", path="/sim/position", body=body))
        if answer.status != 200:
            raise RuntimeError(answer.body.decode())
    return made


async def _serve(count: int) -> None:
    server = Server(simulation(count))
    port = await server.start()
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)
    await server.stop()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
