"""Sessions drawn from a seed: people who trade on the account, operators, and an exchange that misbehaves."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final

from virtual import Story, World

from reactor.core.decisions import Side
from reactor.shell.inbox import Command, CommandName
from reactor.sim.faults import FaultRule
from reactor.sim.scenarios import SHAPES
from reactor.sim.symbols import default_symbols

SCENARIOS: Final = tuple(name for name in SHAPES if name != "still")
PLANS: Final = ("trend_follow", "challenge_100", "defensive_trail", "fast_tp")
SYMBOLS: Final = tuple(default_symbols())

ORDER: Final = {"path": "/fapi/v1/order", "method": "order.place"}
ORDER_REST: Final = {"path": "/fapi/v1/order", "method": "POST"}


def fault(do: str, at: dict[str, str] | None = None, **more: Any) -> FaultRule:
    return FaultRule(do=do, at=at or {}, **more)


def _errors(*codes: int, count: int = 3, **more: Any) -> tuple[FaultRule, ...]:
    return tuple(
        fault("error", at, code=code, count=count, probability=0.5, **more)
        for code in codes
        for at in (ORDER, ORDER_REST)
    )


FAULTS: Final[dict[str, tuple[FaultRule, ...]]] = {
    "none": (),
    "slow answers": (fault("latency", ms=50, jitter_ms=1500, count=0, probability=0.3),),
    "unknown outcomes": (
        fault("unknown_executed", ORDER, count=0, probability=0.4),
        fault("unknown_lost", ORDER, count=0, probability=0.3),
        fault("hang", ORDER, count=0, probability=0.3),
    ),
    "order socket dies": (
        fault("drop", ORDER, how="reset", executed=True, count=0, probability=0.3),
        fault("drop", ORDER, how="close", executed=False, count=0, probability=0.3),
    ),
    "partial fills": (fault("partial_fill", fraction=0.4, count=0, probability=0.7),),
    "errors": _errors(-1008, -1021, -2022, count=4),
    "errors of the rules": _errors(
        -4131, -4061, -1111, -1007, -1001, -4164, text="refused on request"
    ),
    "too many": (
        *_errors(-1015, count=2, status=429),
        fault("error", {"method": "GET"}, code=-1003, status=429, count=3, probability=0.2),
    ),
    "lost events": (
        fault("lose", {"event": "ORDER_TRADE_UPDATE"}, count=0, probability=0.4),
        fault("lose", {"event": "ACCOUNT_UPDATE"}, count=0, probability=0.4),
        fault("lose", {"stream": "*@markPrice*"}, count=0, probability=0.2),
    ),
    "mixed events": (
        fault("duplicate", {"route": "private"}, count=0, probability=0.4),
        fault("reorder", {"route": "private"}, count=0, probability=0.3),
        fault("delay", {"route": "private"}, ms=20, jitter_ms=2500, count=0, probability=0.3),
        fault("duplicate", {"route": "market"}, count=0, probability=0.1),
        fault("delay", {"route": "market"}, ms=5, jitter_ms=900, count=0, probability=0.1),
    ),
    "sockets drop": (
        fault("drop", {"route": "market"}, how="close", from_ms=15_000, count=2, probability=0.05),
        fault("drop", {"route": "private"}, how="reset", from_ms=5_000, count=3, probability=0.3),
        fault("drop", {"route": "public"}, how="half_open", from_ms=9_000, probability=0.05),
        fault("mute", {"route": "market"}, ms=9_000, from_ms=45_000, count=1, probability=0.05),
    ),
    "stale answers": (
        fault("stale", {"path": "/fapi/v3/positionRisk"}, ms=1500, count=0, probability=0.5),
        fault("stale", {"path": "/fapi/v1/order"}, ms=900, count=0, probability=0.5),
        fault("unknown_executed", ORDER, count=0, probability=0.3),
        fault("hang", ORDER, count=0, probability=0.3),
    ),
    "keys and skew": (
        fault("listen_key_expire", from_ms=20_000),
        fault("listen_key_delete", from_ms=60_000),
        fault("clock_skew", ms=8_000, from_ms=30_000),
        fault("clock_skew", ms=-400, from_ms=70_000),
    ),
    "maintenance": (
        fault("maintenance", ms=7_000, from_ms=30_000, how="close"),
        fault("ban", ms=9_000, from_ms=75_000),
    ),
}


def drawn(seed: int, folder: Path, *, seconds: float = 100.0) -> Story:
    """The session of a seed: scenario, plan, mode, faults and deeds are all drawn from it."""
    chance = random.Random(seed)
    scenario = SCENARIOS[seed % len(SCENARIOS)]
    hedge = chance.random() < 0.4
    names = chance.sample(sorted(FAULTS), k=chance.choice((1, 1, 2)))
    plans = chance.sample(PLANS, k=2)
    tables: dict[str, Any] = {
        "plan": plans[0],
        "symbols": {symbol: {"plan": plans[1]} for symbol in chance.sample(SYMBOLS, k=3)},
        "orders": {"over": chance.choice(("ws_api", "ws_api", "rest"))},
    }
    if chance.random() < 0.15:
        tables["mode"] = "dry_run"
    restarts: list[tuple[float, bool]] = []
    if chance.random() < 0.35:
        restarts = [(chance.uniform(1, seconds / 2), chance.random() < 0.5) for _ in range(2)]
    latency_s = chance.choice(((0.0, 0.0), (0.001, 0.02), (0.02, 0.4)))
    return Story(
        act=trading(seed=seed + 1, seconds=seconds),
        folder=folder,
        seed=seed,
        scenario=scenario,
        hedge=hedge,
        tables=tables,
        faults=[rule for name in names for rule in FAULTS[name]],
        latency_s=latency_s,
        late_s=chance.choice((0.0, 0.002, 0.05)),
        journal="journal.db",
        restarts=restarts,
        title=f"{scenario}, {'hedge' if hedge else 'one-way'}, {', '.join(names)}, {plans},"
        f" restarts {restarts}",
    )


def trading(*, seed: int, seconds: float) -> Callable[[World], Awaitable[None]]:
    """Somebody trades on the account for so long, and an operator commands."""
    return lambda world: _deeds(world, random.Random(seed), seconds=seconds)


async def _deeds(world: World, chance: random.Random, *, seconds: float) -> None:
    """Somebody else trades on the account, now and then an operator commands."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        await asyncio.sleep(chance.expovariate(1 / 4.0))
        deed = chance.random()
        symbol = chance.choice(SYMBOLS)
        if deed < 0.72:
            _trade(world, chance, symbol)
        elif deed < 0.80:
            _command(world, chance, symbol)
        elif deed < 0.86:
            _move(world, chance, symbol)
        elif deed < 0.90:
            how = chance.choice(("close", "reset", "half_open"))
            route = chance.choice(("market", "private", "public", "api"))
            world.control("connections", {"how": how, "route": route})
        elif deed < 0.94:
            world.control("funding", {"symbol": symbol})
        else:
            _force(world, chance, symbol)
    await asyncio.sleep(chance.random() * 2)


def _trade(world: World, chance: random.Random, symbol: str) -> None:
    rules = default_symbols()[symbol]
    market = world.simulation.exchange.markets[symbol]
    worth = Decimal(chance.choice((800, 3_000, 9_000)))
    quantity = (worth / market.last).quantize(rules.step, rounding=ROUND_DOWN)
    body: dict[str, Any] = {}
    if world.story.hedge:
        body["positionSide"] = chance.choice(("LONG", "SHORT"))
    sign = chance.choice((1, -1))
    body["reduceOnly"] = not world.story.hedge and chance.random() < 0.2
    if chance.random() < 0.15:
        # Opened and closed, or closed and opened again, within the same millisecond.
        world.open(symbol, str(quantity * sign), must=False, **body)
        world.open(symbol, str(quantity * -sign), must=False, **body)
    world.open(symbol, str(quantity * sign), must=False, **body)


def _command(world: World, chance: random.Random, symbol: str) -> None:
    guard = getattr(world.process, "guard", None)
    if guard is None or not guard.positions or world.runs[-1].ended:
        return
    symbol, side = chance.choice(sorted(guard.positions))
    names: tuple[CommandName, ...] = ("close", "pause", "resume", "resume", "set_stop")
    command = chance.choice(names)
    price = ""
    if command == "set_stop":
        last = world.simulation.exchange.markets[symbol].last
        price = str(last * Decimal(chance.choice(("0.97", "1.03"))))
    guard.command(Command(command=command, symbol=symbol, side=_side(side), price=price))


def _side(side: str) -> Side:
    return "LONG" if side == "LONG" else "SHORT"


def _move(world: World, chance: random.Random, symbol: str) -> None:
    """The mark price alone jumps for a moment; the scenario's own prices follow."""
    market = world.simulation.exchange.markets[symbol]
    factor = Decimal(str(round(chance.uniform(0.985, 1.015), 4)))
    world.control("price", {"symbol": symbol, "mark": str(market.mark * factor)})


def _force(world: World, chance: random.Random, symbol: str) -> None:
    """The exchange itself closes a position."""
    account = world.simulation.exchange.accounts["main"]
    open_now = sorted(key for key, one in account.positions.items() if one.amount)
    if not open_now:
        return
    symbol, side = chance.choice(open_now)
    how = chance.choice(("autoclose", "adl"))
    body = {"symbol": symbol, "how": how}
    world.control("liquidate", body if side == "BOTH" else {**body, "positionSide": side})
