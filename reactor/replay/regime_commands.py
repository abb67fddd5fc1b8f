"""`reactor regime`: the regime of every candle of a file with its measures, and exit plans judged by regime."""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from reactor.config import load_config
from reactor.core.candles import Candle
from reactor.core.plan import INTERVAL_MS
from reactor.core.regime import Classifier, RegimeConfig, Verdict
from reactor.errors import CandleFileError, ConfigError
from reactor.replay.candle_file import read_candles
from reactor.replay.lines import MEASURES

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[Any]  # noqa: SLF001 - argparse names it no other way

EXAMPLES = """\
examples:
  reactor regime BTCUSDT_4h.csv.gz
  reactor regime BTCUSDT_5m.csv.gz --timeframe 1h --json
  reactor regime --judge BTCUSDT_1m.csv.gz LAYERUSDT_1m.csv.gz --entries-every 4

The file needs a header with open_time (or open_time_ms), open, high, low, close; candles shorter than the
timeframe are put together, and holes between them are flat. Rows are printed as
open_time,regime,volatility,adx,plus_di,minus_di,efficiency,atr_pct,rank; --json prints objects with `since`.
--judge prints the tables of docs/regimes.md for the files given; it takes a minute.
"""

JOINED_MAX = 100_000
"""Flat candles that a hole in the file may be filled with; beyond it the file is two files."""


def add_regime_command(commands: "Subparsers") -> None:
    """Adds `reactor regime`."""
    command = commands.add_parser(
        "regime",
        help="tell the regime of every candle of a file, or judge exit plans by regime",
        description="Tell the regime of every candle of a file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_run)
    add = command.add_argument
    add("files", metavar="FILE.csv", nargs="+", type=Path, help="candles, .gz too")
    add("--timeframe", choices=tuple(INTERVAL_MS), help="the regime's candles (default 4h)")
    add("--config", metavar="FILE", type=Path, help="a reactor.toml whose [regime] counts")
    add("--json", action="store_true", help="one JSON object a candle, or one with --judge")
    add("--judge", action="store_true", help="how each exit plan did in each regime")
    add(
        "--entries-every",
        type=float,
        default=4.0,
        metavar="HOURS",
        help="with --judge: a LONG and a SHORT are opened so often (default 4)",
    )


def _run(args: argparse.Namespace) -> int:
    config = RegimeConfig() if args.config is None else load_config(args.config).regime
    if args.timeframe is not None:
        tables = {name: getattr(config, name) for name in config.__struct_fields__}
        config = RegimeConfig(**{**tables, "timeframe": args.timeframe})
    if args.judge:
        from reactor.replay.regime_judge import judge  # noqa: PLC0415 - it takes the whole engine

        if not 0.05 <= args.entries_every <= 1000:
            raise ConfigError(f"--entries-every {args.entries_every} is out of range: 0.05 to 1000")
        return judge(args.files, config, entries_every_h=args.entries_every, as_json=args.json)
    if len(args.files) > 1:
        raise ConfigError("one file at a time; several are taken with --judge")
    # Everything is read before anything is printed: a bad row gives one line and no half answer.
    rows = list(classified(args.files[0], config))
    if args.json:
        for candle, verdict in rows:
            sys.stdout.buffer.write(orjson.dumps(_line(candle, verdict)) + b"\n")
        return 0
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for candle, verdict in rows:
        measures = (getattr(verdict.measures, name) for name in MEASURES)
        shown = ("" if value is None else f"{value:.6g}" for value in measures)
        writer.writerow([candle.open_time_ms, verdict.regime, verdict.volatility, *shown])
    return 0


def _line(candle: Candle, verdict: Verdict) -> dict[str, object]:
    return {
        "open_time": candle.open_time_ms,
        "regime": verdict.regime.value,
        "volatility": verdict.volatility.value,
        "since": verdict.since_ms,
        **{name: getattr(verdict.measures, name) for name in MEASURES},
    }


def classified(path: Path, config: RegimeConfig) -> Iterator[tuple[Candle, Verdict]]:
    """Every whole candle of the timeframe with what the classifier says after it.

    Raises:
        CandleFileError: the file is refused, or its candles are longer than the timeframe.
    """
    classifier = Classifier(config)
    for candle in joined(path, config.interval_ms):
        end_ms = candle.open_time_ms + config.interval_ms
        yield candle, classifier.close_candle(end_ms, candle.high, candle.low, candle.close)


def joined(path: Path, interval_ms: int) -> Iterator[Candle]:
    """A file's candles as whole candles of a longer interval; what begins or ends mid-way is left out.

    Raises:
        CandleFileError: the file is refused, or its own candles are longer.
    """
    forming: Candle | None = None
    last_ms: int | None = None
    step_ms: int | None = None
    whole = False
    for _, candle in read_candles(path):
        if last_ms is not None:
            step = candle.open_time_ms - last_ms
            step_ms = step if step_ms is None else min(step_ms, step)
        last_ms = candle.open_time_ms
        start_ms = candle.open_time_ms - candle.open_time_ms % interval_ms
        if forming is None:
            whole = candle.open_time_ms == start_ms
        elif start_ms != forming.open_time_ms:
            if whole:
                yield forming
                yield from _flat(forming, start_ms, interval_ms, path)
            # The next one begins with its first candle, or the one before it was all there was.
            whole = True
            forming = None
        forming = _merged(forming, candle, start_ms)
    if forming is None or last_ms is None or step_ms is None:
        return
    if step_ms > interval_ms:
        raise CandleFileError(f"{path}: its candles are longer than the timeframe")
    if whole and last_ms + step_ms >= forming.open_time_ms + interval_ms:
        yield forming


def _merged(forming: Candle | None, candle: Candle, start_ms: int) -> Candle:
    if forming is None:
        return Candle(start_ms, candle.open, candle.high, candle.low, candle.close)
    high, low = max(forming.high, candle.high), min(forming.low, candle.low)
    return Candle(start_ms, forming.open, high, low, candle.close)


def _flat(before: Candle, start_ms: int, interval_ms: int, path: Path) -> Iterator[Candle]:
    """Flat candles at the last close for a hole, as the engine makes them."""
    missing = (start_ms - before.open_time_ms) // interval_ms - 1
    if missing > JOINED_MAX:
        raise CandleFileError(f"{path}: a hole of {missing} candles; cut the file in two there")
    close = before.close
    for number in range(1, missing + 1):
        yield Candle(before.open_time_ms + number * interval_ms, close, close, close, close)
