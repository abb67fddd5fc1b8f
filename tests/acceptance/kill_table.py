"""Plays every kill point against an exchange of its own, several at a time, and gives the table of what became of it.

After the next run has settled, every story goes on alike: a tick beside the levels that were taken, the second
rung, the break-even stop. So a rung taken twice, a forgotten one, a loosened stop or a forgotten hard stop all show
in what is closed at the end.

By hand, from the project's folder: `python -m pytest tests/acceptance/test_kill.py -q -s`.
"""

import asyncio
import traceback
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from .exchange import Exchange, until
from .kill_points import BTC, POINTS, RUNG_2, KillPoint, Scene
from .live import replays, tidy
from .process import GuardProcess

AT_ONCE = 6


class Row(msgspec.Struct, kw_only=True):
    """What became of one kill."""

    name: str
    at_exchange: str = ""
    in_journal: str = ""
    restart: str = ""
    problem: str = ""


async def play(point: KillPoint, folder: Path) -> Row:
    """Kills at one point, starts again, and sees it to its end."""
    row = Row(name=point.name)
    try:
        async with Exchange(hedge=point.hedge) as exchange:
            await _play(point, exchange, folder, row)
    except Exception:  # noqa: BLE001 - each row of the table is judged by itself
        row.problem = traceback.format_exc()
    return row


async def _play(point: KillPoint, exchange: Exchange, folder: Path, row: Row) -> None:
    long = "LONG" if point.hedge else "BOTH"
    exchange.door("book", {"symbol": BTC, "depth": "1000"})
    exchange.price(BTC, "80000")
    exchange.trade(BTC, "0.2", side="LONG" if point.hedge else "")
    if point.hedge:
        # Its own stop and rungs lie beyond everything that is played here.
        exchange.price(BTC, "80500")
        exchange.trade(BTC, "-0.5", side="SHORT")
        exchange.price(BTC, "80000")
    guard = GuardProcess(exchange, folder, plans={BTC: point.plan}, **point.config)
    scene = Scene(exchange, guard)
    try:
        await point.story(scene)
        exchange.door("faults", method="DELETE")
        row.at_exchange = at_exchange(exchange, long)
        row.in_journal = in_journal(guard)
        dead = guard.epochs().get(BTC)
        dead_stop = Decimal(0) if dead is None or point.hedge else dead.stop_price
        stops = exchange.hard_stops(BTC, long)
        best = max((stop.trigger_price for stop in stops), default=Decimal(0))
        sent_before = len(exchange.sent())
        await guard.start()
        await settled(exchange, point, long, best)
        if Decimal(point.left):
            stop = await until(lambda: _stop(guard), "the epoch in the journal")
            assert stop >= dead_stop, f"the stop was loosened from {dead_stop} to {stop}"
        row.restart = _restart(exchange, sent_before, long)
        if Decimal(point.left):
            await _to_the_end(exchange, point, long)
        assert await guard.terminate() == 0
        await tidy(exchange, late=point.late)
        _nothing_twice(exchange, long)
    except BaseException as error:
        error.add_note(guard.said[-2000:])
        raise
    finally:
        guard.kill()
    replays(folder)


def _stop(guard: GuardProcess) -> Decimal | None:
    state = guard.epochs().get(BTC)
    return None if state is None else state.stop_price


async def settled(exchange: Exchange, point: KillPoint, side: str, best: Decimal) -> None:
    """What the next run must make of it: this much open, under one hard stop, or nothing at all.

    Args:
        exchange: where.
        point: what was played.
        side: BOTH, or the side in hedge mode.
        best: the best trigger that a hard stop had when the last run died.
    """
    left = Decimal(point.left)
    await until(
        lambda: exchange.held(BTC, side) == left, f"{left} open, not {exchange.held(BTC, side)}"
    )
    if left:
        await exchange.guarded(BTC, side=side)
        (stop,) = exchange.hard_stops(BTC, side)
        assert stop.trigger_price >= best, f"the hard stop fell from {best} to {stop.trigger_price}"


async def _to_the_end(exchange: Exchange, point: KillPoint, side: str) -> None:
    """A tick beside what was taken; the second rung; down to break-even."""
    left = Decimal(point.left)
    shares = {"0.3": Decimal("0.12"), "0.2": Decimal("0.08"), "0.14": Decimal("0.08")}
    exchange.price(BTC, Decimal(exchange.last(BTC)) + 10)
    exchange.price(BTC, RUNG_2)
    wanted = left if point.plan == "trail" else shares.get(point.left, left)
    await until(lambda: exchange.held(BTC, side) == wanted, f"{wanted} after the second rung")
    await exchange.guarded(BTC, side=side)
    exchange.price(BTC, "80000")  # through the engine's stop, not through the exchange's
    await exchange.flat(BTC, side=side)


def _nothing_twice(exchange: Exchange, side: str) -> None:
    """Every level was closed once: what was opened is what was closed, and nothing is open the other way."""
    assert exchange.held(BTC, side) == 0
    if side == "LONG":
        assert exchange.held(BTC, "SHORT") == Decimal("-0.5"), "the other side was touched"


def at_exchange(exchange: Exchange, side: str) -> str:
    """What a person would see there: the position, exits, hard stops."""
    exits = ", ".join(f"{one.executed}/{one.quantity}" for one in exchange.exits()) or "none"
    stops = len(exchange.hard_stops(side=side))
    return f"{exchange.held(BTC, side)} open; exits {exits}; {stops} hard stop{'s' * (stops != 1)}"


def in_journal(guard: GuardProcess) -> str:
    """What the next run will find."""
    state = guard.epochs().get(BTC)
    if state is None:
        return "no open epoch" if guard.journal.exists() else "nothing"
    order = state.orders.full or state.orders.partial
    flying = "" if order is None else f", {order.exit.quantity} in flight"
    return f"{state.quantity} open, {state.orders.number} decided{flying}"


def _restart(exchange: Exchange, sent_before: int, side: str) -> str:
    new = exchange.sent()[sent_before:]
    sent = ", ".join(one.params["quantity"] for one in new)
    left = exchange.held(BTC, side)
    state = "flat" if not left else f"{left} under one hard stop"
    return f"{'sent ' + sent if new else 'sent nothing'}; {state}"


async def play_all(folder: Path, points: Sequence[KillPoint] = POINTS) -> list[Row]:
    """Plays every point, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, point: KillPoint) -> Row:
        async with room:
            return await play(point, folder / f"kill{number:02}")

    return list(await asyncio.gather(*(one(*pair) for pair in enumerate(points))))


def told(rows: Iterable[Row]) -> str:
    """The table as text."""
    lines = ["| killed | at the exchange | in the journal | the next run |", "|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.at_exchange} | {row.in_journal} |"
        f" {row.restart if not row.problem else 'FAILED: ' + row.problem.strip().splitlines()[-1]} |"
        for row in rows
    ]
    return "\n".join(lines)
