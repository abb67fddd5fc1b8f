"""Sessions drawn from a seed: people who trade on the account, operators, and an exchange that misbehaves."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any, Final

from virtual import LOOK_S, Story, World

from reactor.binance.orders import PREFIX
from reactor.core.decisions import Side
from reactor.shell.inbox import Command, CommandName
from reactor.sim import algo_orders, orders
from reactor.sim.decimals import floor_to
from reactor.sim.faults import FaultRule
from reactor.sim.parameters import Parameters
from reactor.sim.refusals import Refusal
from reactor.sim.rest import Request
from reactor.sim.scenarios import SHAPES
from reactor.sim.symbols import default_symbols

SCENARIOS: Final = tuple(name for name in SHAPES if name != "still")
PLANS: Final = ("trend_follow", "challenge_100", "defensive_trail", "fast_tp")
SYMBOLS: Final = tuple(default_symbols())

ORDER: Final = {"path": "/fapi/v1/order", "method": "order.place"}
ORDER_REST: Final = {"path": "/fapi/v1/order", "method": "POST"}
OURS: Final = {"clientAlgoId": "xr-*"}
STOP: Final = {"path": "/fapi/v1/algoOrder", "method": "POST"}
CANCEL_STOP: Final = {"path": "/fapi/v1/algoOrder", "method": "DELETE"}

SETTLED_WITHIN_S: Final = 150.0
"""How long after the last fault everything may take to be as it should: two of the minute's looks."""


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
    "stops that are not what they seem": (
        fault("algo_invisible", ms=20_000, count=0, probability=0.3),
        fault("vanish", OURS, ms=1_500, count=0, probability=0.15),
        fault("vanish", OURS, ms=4_000, event=True, count=0, probability=0.15),
        fault("stuck_triggering", count=0, probability=0.4),
        fault("trigger_delay", ms=1_500, count=0, probability=0.3),
        fault("trigger_reject", text="ReduceOnly Order is rejected.", count=0, probability=0.3),
    ),
    "stops refused": (
        *(
            fault("error", STOP, code=code, count=3, probability=0.3)
            for code in (-2021, -4130, -4509, -2022, -1001, -1021, -4045)
        ),
        fault("error", STOP, code=-1008, status=503, count=3, probability=0.3),
        fault("error", CANCEL_STOP, code=-2011, count=0, probability=0.3),
    ),
    "stops of unknown outcome": (
        fault("unknown_executed", STOP, count=0, probability=0.25),
        fault("unknown_lost", STOP, count=0, probability=0.2),
        fault("hang", STOP, executed=True, count=0, probability=0.15),
        fault("error_after", STOP, code=-1000, status=502, count=0, probability=0.15),
        fault("error_after", CANCEL_STOP, code=-1000, status=502, count=0, probability=0.3),
    ),
    "answers that nobody can read": (
        fault("not_json", {"method": "GET"}, count=0, probability=0.1),
        fault("error", {"method": "GET"}, code=-1000, status=502, count=0, probability=0.1),
        fault("not_json", STOP, count=0, probability=0.1),
    ),
    "old lists": (
        fault("stale", {"path": "/fapi/v1/openAlgoOrders"}, ms=2500, count=0, probability=0.6),
        fault("stale", {"path": "/fapi/v1/userTrades"}, ms=1500, count=0, probability=0.6),
        fault("stale", {"path": "/fapi/v3/positionRisk"}, ms=2500, count=0, probability=0.6),
        fault("lose", {"event": "ACCOUNT_UPDATE"}, count=0, probability=0.3),
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
    names = chance.sample(sorted(FAULTS), k=chance.choice((1, 1, 2, 3)))
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
        times = chance.choice((2, 2, 6))
        restarts = [
            (chance.uniform(0.2, seconds / times), chance.random() < 0.5) for _ in range(times)
        ]
    latency_s = chance.choice(((0.0, 0.0), (0.001, 0.02), (0.02, 0.4)))

    async def act(world: World) -> None:
        if chance.random() < 0.3:
            world.control("account", {"reduceOnlyConflict": "reject"})
        await trading(seed=seed + 1, seconds=seconds)(world)
        await settle(world)

    return Story(
        act=act,
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


async def settle(world: World) -> None:
    """Nothing goes wrong any more, and the guard makes order; the record is told what stays wrong.

    Every position of the account is guarded by its true size, under one hard stop of that size, and nothing of
    the guard's is left over. Prices go on meanwhile, so exits do: it is looked until a look finds nothing.
    """
    world.simulation.request(Request(method="DELETE", path="/sim/faults"))
    for symbol in SYMBOLS:
        world.control("symbol", {"symbol": symbol, "status": "TRADING"})
    world.control("account", {"reduceOnlyConflict": "expire"})
    loop = asyncio.get_running_loop()
    end_s = loop.time() + SETTLED_WITHIN_S
    while (found := _disorder(world)) and loop.time() < end_s:  # noqa: ASYNC110 - nobody tells of order
        await asyncio.sleep(LOOK_S)
    world.record.problems += found


def _disorder(world: World) -> list[str]:
    guard = getattr(world.process, "guard", None)
    if guard is None or world.runs[-1].ended:
        return ["no guard runs"]
    if world.process.config.mode != "live":
        return []  # what a dry run closed is open all the same
    account = world.simulation.exchange.accounts["main"]
    found: list[str] = []
    held: dict[tuple[str, str], Decimal] = {}
    for (symbol, side), one in account.positions.items():
        if one.amount:
            held[symbol, side if side != "BOTH" else "LONG" if one.amount > 0 else "SHORT"] = abs(
                one.amount
            )
    for key in held.keys() | guard.positions.keys():
        machine = guard.positions.get(key)
        known = Decimal(0) if machine is None else machine.orders.quantity
        if known != held.get(key, Decimal(0)):
            found.append(f"{key}: {held.get(key)} is open, and {known} is guarded")
        if machine is not None and machine.orders.exiting:
            found.append(f"{key}: its close hangs, {machine.orders.state}")
    stops: dict[tuple[str, str], Decimal] = {}
    for algo in account.algos.values():
        if algo.status == "NEW" and algo.client_id.startswith(PREFIX):
            key = (algo.symbol, "LONG" if algo.side == "SELL" else "SHORT")
            stops[key] = stops.get(key, Decimal(0)) + algo.quantity
    found += [
        f"{key}: {held.get(key, 0)} is open under hard stops of {stops.get(key, 0)}"
        for key in held.keys() | stops.keys()
        if held.get(key, Decimal(0)) != stops.get(key, Decimal(0))
    ]
    return found


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
        elif deed < 0.92:
            world.control("funding", {"symbol": symbol})
        elif deed < 0.96:
            await _order(world, chance, symbol)
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


async def _order(world: World, chance: random.Random, symbol: str) -> None:
    """Somebody's own orders on the account, a market that halts, a mode that is to change."""
    exchange = world.simulation.exchange
    account = exchange.accounts["main"]
    open_now = sorted(key for key, one in account.positions.items() if one.amount)
    deed = chance.random()
    if deed < 0.15:
        world.control("symbol", {"symbol": symbol, "status": "HALT"})
        await asyncio.sleep(chance.uniform(0.5, 8))
        world.control("symbol", {"symbol": symbol, "status": "TRADING"})
    elif deed < 0.3:
        world.control("mode", {"mode": chance.choice(("hedge", "one-way"))}, must=False)
    elif open_now:
        symbol, side = chance.choice(open_now)
        one = account.positions[symbol, side]
        closing, sign = ("SELL", 1) if one.amount > 0 else ("BUY", -1)
        tick = default_symbols()[symbol].tick
        factor = 1 + sign * Decimal(chance.choice(("0.01", "0.03")))
        if deed < 0.7:
            price = floor_to(exchange.markets[symbol].last * factor, tick)
            ask = orders.Ask(
                symbol=symbol,
                side=closing,
                position_side=side,
                type="LIMIT",
                time_in_force="GTC",
                quantity=abs(one.amount),
                price=price,
                reduce_only=side == "BOTH",
                client_id=f"web_{exchange.next_id()}",
            )
            with contextlib.suppress(Refusal):
                orders.place(exchange, account, ask)
        else:
            price = floor_to(exchange.markets[symbol].mark / factor / factor, tick)
            wanted = {
                "algoType": "CONDITIONAL",
                "symbol": symbol,
                "side": closing,
                "positionSide": side,
                "type": "STOP_MARKET",
                "triggerPrice": str(price),
                "workingType": "MARK_PRICE",
                "closePosition": "true",
                "clientAlgoId": f"web_{exchange.next_id()}",
            }
            with contextlib.suppress(Refusal):
                algo_orders.place(exchange, account, Parameters(wanted))
        world.driver.catch_up()


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
