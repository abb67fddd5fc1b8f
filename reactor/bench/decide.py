"""`reactor bench decide`: what a tick costs the engine, from quiet ones to the one that closes."""

import random
from collections.abc import Callable
from decimal import Decimal
from time import thread_time_ns

from reactor.bench.held import ENTRY, NS_PER_MS, TICK_MS, Held, plan_on_last
from reactor.bench.measure import Case, Timing, Work, interleave, timer_cost_ns, timing
from reactor.bench.outcome import Outcome, Ratio
from reactor.core.decisions import Decision, Exit, StopMoved
from reactor.errors import InvariantError

ROUNDS = 101
QUOTES = 4000
"""Ticks a round: about a millisecond, short enough to fall between two turns of other programs."""

SYMBOLS = 500
MOVES, MOVE_ENGINES = 1000, 5
"""Stop moves of one position before its first harvest would fire, and how often that is done."""

FIRES = 2000
"""Positions that are closed and opened again."""

QUIET, QUIET_500, QUIET_TREND = "quiet tick", "quiet tick, 500 symbols", "quiet tick, trend_follow"
EMPTY = "empty call"
MOVE = "tick that moves the trailing stop"
FIRE, FIRE_500 = "tick that fires the stop", "tick that fires the stop, 500 symbols"

METHOD = f"""\
Each round every case takes {QUOTES} ticks, in turn, in the same loop over prepared arguments; the
loop is part of every figure, the empty call's too. Quiet ticks lie between the armed bounds and
within the forming candle. The plan is challenge_100 (ladder, harvest, break-even, trailing, 5 m
candles) where no other is named; trigger last, LONG, trailing active. 500 symbols hold a position
each and are ticked round-robin. Ticks that decide are timed one by one, the clock's own cost taken
off; fills are the exchange's to report, so the exit decided on is the order to send."""

Call = Callable[[str, str, int, int, int], object]


def bench_decide(*, rounds: int = ROUNDS) -> Outcome:
    """Measures ticks through the engine.

    Args:
        rounds: how many rounds count.

    Raises:
        InvariantError: what should have been quiet was not, or the reverse: the figures would lie.
    """
    plan = plan_on_last("challenge_100")
    one = Held(plan)
    many = Held(plan, symbols=_names(SYMBOLS))
    trend = Held(plan_on_last("trend_follow"))
    measured = interleave(
        [
            _calls(EMPTY, _empty_call, one.quiet_quotes(QUOTES), one.take_ids),
            _quiet(QUIET, one),
            _quiet(QUIET_500, many),
            _quiet(QUIET_TREND, trend),
        ],
        rounds=rounds,
    )
    for held in (one, many, trend):
        if not held.would_be_quiet(held.quiet_quotes(QUOTES)):
            raise InvariantError("a tick that should have been quiet was not")
    events = [_stop_moves(), _stop_fires(FIRE, symbols=1), _stop_fires(FIRE_500, symbols=SYMBOLS)]
    return Outcome(
        name="decide",
        method=METHOD,
        timings=measured.timings() + events,
        ratios=[
            Ratio("quiet tick / empty call", measured.ratio(QUIET, EMPTY), at_most=5.0),
            Ratio("quiet tick, 500 symbols / one", measured.ratio(QUIET_500, QUIET), at_most=1.3),
            Ratio("quiet tick, trend_follow / empty call", measured.ratio(QUIET_TREND, EMPTY)),
        ],
        noise=measured.noise(EMPTY),
        figures={
            "empty_call_ns": round(measured.median_ns(EMPTY), 1),
            "quiet_tick_ns": round(measured.median_ns(QUIET), 1),
            "quiet_tick_ns_500_symbols": round(measured.median_ns(QUIET_500), 1),
            "quiet_tick_ns_trend_follow": round(measured.median_ns(QUIET_TREND), 1),
            "stop_move_p50_ns": events[0].p50_ns,
            "stop_move_p99_ns": events[0].p99_ns,
            "exit_p50_ns": events[1].p50_ns,
            "exit_p99_ns": events[1].p99_ns,
            "exit_p50_ns_500_symbols": events[2].p50_ns,
            "exit_p99_ns_500_symbols": events[2].p99_ns,
        },
    )


def _empty_call(
    _symbol: str, _price: str, _trade_id: int, _t_event_ms: int, _t_recv_ns: int
) -> tuple[()]:
    return ()


def _quiet(name: str, held: Held) -> Case:
    return _calls(name, held.engine.on_last, held.quiet_quotes(QUOTES), held.take_ids)


def _calls(
    name: str, call: Call, quotes: list[tuple[str, str]], take_ids: Callable[[int], range]
) -> Case:
    def make() -> Work:
        ids = take_ids(len(quotes))
        return lambda: _call_each(call, quotes, ids)

    return Case(name, len(quotes), make)


def _call_each(call: Call, quotes: list[tuple[str, str]], ids: range) -> None:
    t_event_ms, t_recv_ns = TICK_MS, TICK_MS * NS_PER_MS
    for (symbol, price), trade_id in zip(quotes, ids, strict=True):
        call(symbol, price, trade_id, t_event_ms, t_recv_ns)


def _stop_moves() -> Timing:
    """A LONG whose every tick is a new best price: 0.2 above the last, twice the tick size."""
    plan = plan_on_last("challenge_100")
    prices = [f"{ENTRY + 11 + number * Decimal('0.2'):.1f}" for number in range(MOVES)]
    cost_ns = timer_cost_ns()
    samples: list[float] = []
    for _ in range(MOVE_ENGINES):
        held = Held(plan)
        samples += [_timed(held, held.symbols[0], price, StopMoved) - cost_ns for price in prices]
    return timing(MOVE, samples)


def _stop_fires(name: str, *, symbols: int) -> Timing:
    """Positions, each of which one tick through its stop closes; another follows in its place."""
    held = Held(plan_on_last("challenge_100"), symbols=_names(symbols))
    cost_ns = timer_cost_ns()
    samples: list[float] = []
    # In any order: going round, the next to fire would always be the one whose time stop is due next.
    order = random.Random(1)  # noqa: S311 - the same order every time, no secret
    for _ in range(FIRES):
        symbol = order.choice(held.symbols)
        samples.append(_timed(held, symbol, "59000.0", Exit) - cost_ns)
        held.reopen(symbol, "LONG")
    return timing(name, samples)


def _names(count: int) -> list[str]:
    return [f"SYM{number:03d}USDT" for number in range(count)]


def _timed(held: Held, symbol: str, price: str, expected: type[Decision]) -> float:
    """How long one tick takes that must give one decision of this kind."""
    trade_id = held.take_ids(1)[0]
    started_ns = thread_time_ns()
    decisions = held.tick(symbol, price, trade_id)
    elapsed_ns = thread_time_ns() - started_ns
    if len(decisions) != 1 or not isinstance(decisions[0], expected):
        raise InvariantError(f"{symbol} at {price} should have decided one {expected.__name__}")
    return float(elapsed_ns)
