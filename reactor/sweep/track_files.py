"""Files into tracks: plain ticks, candles, tapes."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from reactor.core.candles import Candle
from reactor.core.decisions import Side
from reactor.errors import ConfigError
from reactor.replay.candle_file import OPEN_TIME_COLUMNS, PRICE_COLUMNS, read_candles
from reactor.replay.candle_steps import candle_steps
from reactor.replay.tick_file import T_NS_MAX, TickFile, is_tick_file, read_tick_file
from reactor.shell.compressed import StreamDamaged, decompressed_chunks
from reactor.sweep.track import Track

MS_NS = 1_000_000
HEADER_BYTES_MAX = 4096

_SYMBOL = re.compile(r"[A-Z0-9]{1,20}?(?:USDT|USDC|BUSD|USD)(?:_[0-9]{6})?(?![A-Z0-9])")

Note = Callable[[str], None]


class Input(NamedTuple):
    """One file that was named, and whose prices it has where that was said."""

    path: Path
    symbol: str | None


def inputs(arguments: Sequence[str]) -> list[Input]:
    """Parses `FILE` and `SYMBOL=FILE`.

    Raises:
        ConfigError: there is nothing before the equals sign.
    """
    found = []
    for argument in arguments:
        symbol, equals, path = argument.partition("=")
        if not equals or Path(argument).exists() or "/" in symbol:
            found.append(Input(Path(argument), None))
        elif symbol.strip() and path:
            found.append(Input(Path(path), symbol.strip().upper()))
        else:
            raise ConfigError(f"{argument!r} is no input; write FILE or SYMBOL=FILE")
    return found


def symbol_of(given: Input, only: Sequence[str]) -> str:
    """Whose prices a file without symbols has: as it was said, or as its name begins.

    Raises:
        ConfigError: neither says so.
    """
    if given.symbol is not None:
        return given.symbol
    match = _SYMBOL.match(given.path.name.upper())
    if match is not None:
        return match[0]
    if len(only) == 1:
        return only[0]
    raise ConfigError(
        f"{given.path}: whose prices are these? write SYMBOL={given.path}, as in BTCUSDT={given.path}"
    )


def plain_tracks(given: Input, *, only: Sequence[str], note: Note) -> list[Track]:
    """The tracks of a file of plain ticks or candles; none where its symbol is not asked for.

    Raises:
        TapeError, CandleFileError: the file is refused.
    """
    symbol = symbol_of(given, only)
    if only and symbol not in only:
        return []
    if is_candle_file(given.path):
        return _candle_tracks(given.path, symbol)
    ticks = read_tick_file(given.path)
    if not ticks.has_times:
        note(f"{given.path.name} has no column of times that is known: ticks count as 1 ms apart")
    if ticks.damage_count:
        first = ticks.damage[0]
        note(
            f"{given.path.name}: {ticks.damage_count} rows are no ticks and are skipped;"
            f" the first, line {first.line}: {first.reason}"
        )
    return [_tick_track(given.path.name, symbol, ticks)]


def _tick_track(name: str, symbol: str, ticks: TickFile) -> Track:
    """A tick file as a replay walks it: no tick without a time, and time that never runs backwards."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    texts = None if ticks.texts is None else np.array(ticks.texts, dtype=np.bytes_)
    good = (ticks.t_ns >= 0) & (ticks.t_ns <= T_NS_MAX)
    ids = np.flatnonzero(good).astype(np.int64) + 1
    t_ns = np.maximum.accumulate(ticks.t_ns[good])
    columns = TickFile(
        t_ns,
        np.ascontiguousarray(ticks.prices[good]),
        exact=ticks.exact,
        t_event_ms=t_ns // MS_NS,
        ids=ids,
    )
    return Track(
        name=name,
        symbol=symbol,
        source="last",
        kind="last",
        ticks=columns,
        texts=None if texts is None else texts[good],
        end_ns=int(t_ns[-1]) if len(t_ns) else 0,
    )


# Candles ------------------------------------------------------------------------------------------


def is_candle_file(path: Path) -> bool:
    """Whether a .csv file has candles: a header with all their columns."""
    if not is_tick_file(path) or path.suffix.lower() == ".npz":
        return False
    try:
        header = next(iter(decompressed_chunks(path)), b"")[:HEADER_BYTES_MAX]
    except (OSError, StreamDamaged):
        return False
    first, _, _ = header.partition(b"\n")
    names = {
        name.strip().strip('"').lower()
        for name in first.decode("utf-8-sig", "replace").strip().split(",")
    }
    return names.issuperset(PRICE_COLUMNS) and not names.isdisjoint(OPEN_TIME_COLUMNS)


def _candle_tracks(path: Path, symbol: str) -> list[Track]:
    candles = [candle for _, candle in read_candles(path)]
    if not candles:
        raise ConfigError(f"{path}: there is no candle in it")
    steps = [after.open_time_ms - before.open_time_ms for before, after in pairwise(candles)]
    step_ms = min(steps, default=60_000)
    sides: tuple[Side, ...] = ("LONG", "SHORT")
    return [_candle_track(path.name, symbol, candles, step_ms, side) for side in sides]


def _candle_track(
    name: str, symbol: str, candles: Sequence[Candle], step_ms: int, side: Side
) -> Track:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    times, prices = candle_steps(candles, step_ms=step_ms, low_first=side == "LONG")
    t_event_ms = np.array(times, dtype=np.int64)
    ticks = TickFile(
        t_event_ms * MS_NS,
        np.array(prices, dtype=np.float64),
        exact=True,
        t_event_ms=t_event_ms,
        ids=np.arange(1, len(times) + 1, dtype=np.int64),
    )
    return Track(
        name=name,
        symbol=symbol,
        source="last",
        kind="last",
        ticks=ticks,
        end_ns=int(ticks.t_ns[-1]),
        sides=(side,),
        is_approximate=True,
    )
