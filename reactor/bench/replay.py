"""`reactor bench replay`: recordings through the engine, message by message and over columns."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from reactor.bench import frames
from reactor.bench.measure import Case, Timing, Work, interleave
from reactor.bench.outcome import Outcome, Ratio
from reactor.bench.sessions import SIDES, Played
from reactor.core.decisions import Side
from reactor.errors import ConfigError, InvariantError
from reactor.replay.walk import walk
from reactor.shell.tape_reader import open_tape

try:
    from reactor.bench import recorded_trades, replay_columns
except ImportError:  # numpy is an extra
    replay_columns = None  # type: ignore[assignment] # told apart before use

ROUNDS = 9
FRAMES = 200_000
WALK_TICKS = 20_000_000

LINES_MAX = 300_000
"""Lines of a recording that are held in memory for the yardstick."""

PARSE = "orjson.loads, line"

METHOD = """\
Message by message: a plain .jsonl file from disk through reader, decoder and engine, with a position
held, beside a loop of orjson.loads over the same lines already in memory. Columns: everything that a
replay does with a file of ticks once it is read (extremes of blocks, checks, the jump), beside one
numpy comparison of all prices on a calm walk (driftless, 2e-6 a tick, from 60000, ticks of 0.1), and
beside the walk tick by tick over the same ticks. The plan has an ATR stop, two rungs and a trailing
stop of 0.3 %; LONG and SHORT are told apart because what costs time is the stop's moves. "Held to the
end" is a SHORT that nothing closes, so that every new best price of the walk moves its stop."""


class _Part(NamedTuple):
    """One half of the benchmark."""

    timings: list[Timing]
    ratios: list[Ratio]
    noise: float
    figures: dict[str, object]


def bench_replay(
    *,
    tape: Path | None = None,
    rounds: int = ROUNDS,
    frame_count: int = FRAMES,
    tick_count: int = WALK_TICKS,
) -> Outcome:
    """Measures replays.

    Args:
        tape: a recording with trades, whose figures take the place of made-up frames'.
        rounds: how many rounds count.
        frame_count: made-up lines, where there is no tape.
        tick_count: ticks of the calm walk.

    Raises:
        BadInputError: numpy is missing, or the tape is none or has no trade.
        InvariantError: two ways of replaying decided differently: the figures would lie.
    """
    if replay_columns is None:
        raise ConfigError("columns need numpy: pip install 'exit-reactor[columns]'")
    if tape is None:
        made_up = (line.encode() for line in islice(frames.tape_lines(), frame_count))
        parts = [_messages(made_up, "BTCUSDT", Decimal(60_000), Decimal("0.1"), rounds)]
    else:
        trades = recorded_trades.trades_of(tape)
        recorded = (raw for _, raw in islice(open_tape(tape).lines(), LINES_MAX))
        entry = Decimal(repr(float(trades.ticks.prices[0])))
        parts = [
            _messages(recorded, trades.symbol, entry, trades.tick_size, rounds),
            _recorded_columns(trades, rounds),
        ]
    parts.append(_calm_walk(tick_count, rounds))
    figures: dict[str, object] = {}
    for part in parts:
        figures |= part.figures
    return Outcome(
        name="replay",
        method=METHOD,
        timings=[case for part in parts for case in part.timings],
        ratios=[ratio for part in parts for ratio in part.ratios],
        noise=max(part.noise for part in parts),
        figures=figures,
    )


def _messages(
    lines: Iterable[bytes], symbol: str, entry: Decimal, tick: Decimal, rounds: int
) -> _Part:
    """Lines from a plain file through a replay, beside parsing them."""
    kept = list(lines)
    last: dict[Side, Played] = {}
    with _plain_tape(kept) as path:

        def case(side: Side) -> Case:
            def make() -> Work:
                atr = entry * Decimal("0.005")
                played = Played(symbol=symbol, side=side, entry=entry, atr=atr, tick=tick)
                last[side] = played
                return lambda: walk(played.session, [open_tape(path)], speed=0, progress=None)

            return Case(_replayed(side), len(kept), make)

        cases = [Case(PARSE, len(kept), lambda: lambda: _parse_each(kept))]
        measured = interleave(cases + [case(side) for side in SIDES], rounds=rounds)
    slower_ns = max(measured.median_ns(_replayed(side)) for side in SIDES)
    figures: dict[str, object] = {
        "frames_per_second": round(1e9 / slower_ns),
        "orjson_frames_per_second": round(1e9 / measured.median_ns(PARSE)),
        "frames": len(kept),
        "lines_skipped": last["LONG"].session.pump.skipped,
    }
    for side in SIDES:
        figures[f"frames_stop_moves_{side.lower()}"] = last[side].stop_moves
    return _Part(
        measured.timings(),
        [
            Ratio(f"{_replayed(side)} / {PARSE}", measured.ratio(_replayed(side), PARSE), at_most=2)
            for side in SIDES
        ],
        measured.noise(PARSE),
        figures,
    )


def _recorded_columns(trades: "recorded_trades.Trades", rounds: int) -> _Part:
    """The jump over a recording's trades, beside the walk over them."""
    measured, jumped, same = replay_columns.measure_trades(trades, rounds=rounds)
    if not same:
        raise InvariantError("the jump and the walk over the same trades decided differently")
    figures: dict[str, object] = {
        "trades": len(trades.ticks.prices),
        "trades_identical_decisions": same,
    }
    ratios = []
    for side, what in zip(SIDES, jumped, strict=True):
        figures |= _moves(f"trades_{side.lower()}", what)
        ratio = measured.ratio(replay_columns.walk_case(side), what.name)
        name = f"trades: tick by tick / columns, {side}, {what.stop_moves} stop moves"
        ratios.append(Ratio(name, ratio, at_least=20))
    return _Part(
        [_renamed(case, f"trades: {case.name}") for case in measured.timings()],
        ratios,
        measured.noise(replay_columns.walk_case("LONG")),
        figures,
    )


def _calm_walk(tick_count: int, rounds: int) -> _Part:
    """The jump over a calm walk, beside one comparison of the same array."""
    columns = replay_columns
    measured, jumped = columns.measure_calm_walk(tick_count, rounds=rounds)
    figures: dict[str, object] = {"walk_ticks": tick_count}
    ratios = []
    for what in jumped:
        held = what.name == columns.HELD
        name = f"walk: {what.name} / {columns.COMPARE}, {what.stop_moves} stop moves"
        ratio = measured.ratio(what.name, columns.COMPARE)
        # The bound is one of the whole walk: its stop moves all happen in the first million ticks.
        bounded = not held and tick_count >= WALK_TICKS
        ratios.append(Ratio(name, ratio, at_most=8 if bounded else None))
        key = "walk_held" if held else f"walk_{what.name.rpartition(' ')[2].lower()}"
        figures |= _moves(key, what)
        figures[f"{key}_ticks_per_second"] = round(1e9 / measured.median_ns(what.name))
    slower_ns = max(measured.median_ns(columns.side_case(side)) for side in SIDES)
    ratios.append(
        Ratio(f"walk: tick by tick / {columns.HELD}", measured.ratio(columns.WALK, columns.HELD))
    )
    return _Part(
        [_renamed(case, f"walk: {case.name}") for case in measured.timings()],
        ratios,
        measured.noise(columns.COMPARE),
        {"columnar_ticks_per_second": round(1e9 / slower_ns)} | figures,
    )


def _moves(key: str, what: "replay_columns.Jumped") -> dict[str, object]:
    return {f"{key}_stop_moves": what.stop_moves, f"{key}_last_tick": what.last_tick}


def _renamed(case: Timing, name: str) -> Timing:
    return Timing(name, case.p50_ns, case.p99_ns, case.samples)


def _replayed(side: Side) -> str:
    return f"replay of messages, {side}"


def _parse_each(lines: list[bytes]) -> None:
    loads = orjson.loads
    for line in lines:
        loads(line)


@contextmanager
def _plain_tape(lines: list[bytes]) -> Iterator[Path]:
    """The lines as a plain tape that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="reactor-bench-") as folder:
        path = Path(folder, "bench.jsonl")
        with path.open("wb") as file:
            file.write(frames.TAPE_HEADER)
            file.writelines(line + b"\n" for line in lines)
        yield path
