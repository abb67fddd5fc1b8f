"""The columnar replay measured: over a calm walk, and over the trades of a recording."""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from reactor.bench.measure import Case, Rounds, Work, interleave
from reactor.bench.recorded_trades import Trades
from reactor.bench.sessions import SIDES, TRAILING_PCT, Played
from reactor.core.decisions import Side
from reactor.errors import InvariantError
from reactor.replay.columns import Search, jump, walk
from reactor.replay.tick_file import TickFile

COMPARE = "one compare pass"
HELD = "columns, held to the end"
WALK = "tick by tick"

WALK_START, WALK_SIGMA, WALK_SEED = 60_000.0, 2e-6, 1
WALK_STEP_NS = 10_000_000
WALK_ATR = Decimal(100)
WIDE_ATR, WIDE_TRAILING_PCT = Decimal(4000), "0.05"
"""A stop 10 % away and a trail of 5 %: nothing closes this position, every new best price moves its stop."""

WALKED_MAX = 200_000
"""Ticks of the calm walk that are also taken one by one: each costs the same."""


class Jumped(NamedTuple):
    """One side's replay over columns.

    Attributes:
        name: the case.
        stop_moves: how often the stop moved on the way.
        last_tick: the tick of the last decision; behind it nothing was open.
    """

    name: str
    stop_moves: int
    last_tick: int


def side_case(side: Side) -> str:
    """The name of one side's case."""
    return f"columns, {side}"


def calm_walk(count: int) -> TickFile:
    """A driftless geometric walk from 60 000 in ticks of 0.1, 2e-6 a tick, 10 ms apart."""
    prices = np.random.default_rng(WALK_SEED).normal(0.0, WALK_SIGMA, count)
    # In place throughout: twenty million ticks take 160 MB an array.
    np.cumsum(prices, out=prices)
    np.exp(prices, out=prices)
    prices *= WALK_START
    np.round(prices, 1, out=prices)
    return TickFile(np.arange(count, dtype=np.int64) * WALK_STEP_NS, prices, exact=True)


def measure_calm_walk(count: int, *, rounds: int) -> tuple[Rounds, list[Jumped]]:
    """Jumps over the calm walk, beside one numpy comparison of the same prices.

    Args:
        count: ticks, at least one.
        rounds: how many rounds count.
    """
    ticks = calm_walk(count)
    walked = min(count, WALKED_MAX)
    first = TickFile(ticks.t_ns[:walked], ticks.prices[:walked], exact=True)
    last: dict[str, Played] = {}
    cases = [Case(COMPARE, count, lambda: lambda: ticks.prices <= WALK_START * 0.8)]
    for side in SIDES:
        name = side_case(side)
        cases.append(_jump_case(name, ticks, _on_walk(side, WALK_ATR, TRAILING_PCT), last))
    cases += [
        _jump_case(HELD, ticks, _on_walk("SHORT", WIDE_ATR, WIDE_TRAILING_PCT), last),
        _walk_case(WALK, first, _on_walk("SHORT", WIDE_ATR, WIDE_TRAILING_PCT), {}),
    ]
    measured = interleave(cases, rounds=rounds)
    if not last[HELD].is_open:
        raise InvariantError("the position that should have been held to the end was closed")
    return measured, [_jumped(name, played) for name, played in last.items()]


def measure_trades(trades: Trades, *, rounds: int) -> tuple[Rounds, list[Jumped], bool]:
    """Jumps over a recording's trades, beside the walk over the same ticks.

    Args:
        trades: of one symbol.
        rounds: how many rounds count.

    Returns:
        The times, what happened on each side, and whether both ways decided the same.
    """
    entry = Decimal(repr(float(trades.ticks.prices[0])))
    last: dict[str, Played] = {}
    cases = []
    for side in SIDES:

        def make(side: Side = side) -> Played:
            return Played(
                symbol=trades.symbol,
                side=side,
                entry=entry,
                atr=trades_atr(entry),
                tick=trades.tick_size,
            )

        cases.append(_jump_case(side_case(side), trades.ticks, make, last))
        cases.append(_walk_case(walk_case(side), trades.ticks, make, last))
    measured = interleave(cases, rounds=rounds)
    same = all(last[side_case(side)].lines == last[walk_case(side)].lines for side in SIDES)
    jumped = [_jumped(side_case(side), last[side_case(side)]) for side in SIDES]
    return measured, jumped, same


def walk_case(side: Side) -> str:
    """The name of one side's walk."""
    return f"{WALK}, {side}"


def trades_atr(entry: Decimal) -> Decimal:
    """The ATR that a recording's position is given: half a percent of its price."""
    return (entry * Decimal("0.005")).quantize(Decimal("0.00000001"))


def _on_walk(side: Side, atr: Decimal, trailing_pct: str) -> Callable[[], Played]:
    def make() -> Played:
        return Played(
            symbol="BTCUSDT",
            side=side,
            entry=Decimal(int(WALK_START)),
            atr=atr,
            tick=Decimal("0.1"),
            trailing_pct=trailing_pct,
        )

    return make


def _jump_case(
    name: str, ticks: TickFile, make_played: Callable[[], Played], last: dict[str, Played]
) -> Case:
    """The whole of what a replay does with a file of ticks once it is read."""

    def make() -> Work:
        played = last[name] = make_played()

        def work() -> None:
            search = Search(ticks)
            refusal = search.refusal()
            if refusal is not None:
                raise InvariantError(f"these ticks cannot be jumped over: {refusal}")
            jump(played.session, played.symbol, search)

        return work

    return Case(name, len(ticks.prices), make)


def _walk_case(
    name: str, ticks: TickFile, make_played: Callable[[], Played], last: dict[str, Played]
) -> Case:
    def make() -> Work:
        played = last[name] = make_played()
        return lambda: walk(played.session, played.symbol, ticks)

    return Case(name, len(ticks.prices), make)


def _jumped(name: str, played: Played) -> Jumped:
    last_tick = max((int(str(line.get("tick", 0))) for line in played.lines), default=0)
    return Jumped(name, played.stop_moves, last_tick)
