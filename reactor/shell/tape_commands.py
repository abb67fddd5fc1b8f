"""`reactor tape import` and `reactor tape info`: arguments in, exit code out."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console

from reactor.errors import ConfigError
from reactor.shell.importers.binance_csv import KINDS
from reactor.shell.importers.candles import INTERVAL_MS
from reactor.shell.importers.source import ImportOptions
from reactor.shell.importers.ticks_csv import STREAMS
from reactor.shell.tape_import import IMPORTERS, ImportReport, import_recordings
from reactor.shell.tape_info import summarize
from reactor.shell.tape_info_tables import render
from reactor.shell.tape_reader import open_tape

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it no other way

_WIDTH_UNSEEN = 160  # columns where output goes to a file or a pipe: nothing is cut off

_IMPORT_TEXT = """\
Turn recordings that other programs made into one tape.

formats:
  hftbacktest   "<receive ns> <frame>" lines of its collector; REST depth snapshots become rest lines
  cryptofeed    "<unix seconds>: <frame>" lines; "<url> -> <seconds>: <body>" lines become rest lines
  binance-csv   Binance's public data files: aggTrades, trades, klines, markPriceKlines, .csv or .zip,
                and any candle table with an open_time or open_time_ms column
  user-jsonl    {"session","seq","msg"} lines of user-data events; they become private lines
  ticks-csv     any table of trades, best bid and ask, or mark prices; columns are found by name

Files may be plain, .gz or .zst. Several files are merged by receive time where each is in order,
else taken one after another; what was dropped, skipped or assumed is said at the end."""

_IMPORT_EXAMPLES = """\
examples:
  reactor tape import --from hftbacktest btcusdt_20240808.gz --out btc.jsonl.zst
  reactor tape import --from binance-csv BTCUSDT-aggTrades-2024-08-08.zip BTCUSDT-5m-2024-08.zip \\
      --out btc.jsonl.zst
  reactor tape import --from binance-csv --kind markPriceKlines BTCUSDT-5m-2024-08.csv --out mark.jsonl
  reactor tape import --from ticks-csv --stream book --symbol BTCUSDT ticks.csv.gz --out book.jsonl.gz
  reactor tape import --from user-jsonl --session LimitFilled sessions.jsonl --out orders.jsonl"""

_INFO_EXAMPLES = """\
examples:
  reactor tape info btc.jsonl.zst
  reactor tape info --all --json monday.jsonl.zst tuesday.jsonl.zst

Silences are the longest times without a message of that stream; id gaps are counted for aggTrade and
trade streams; "backwards" counts ids and event times (E) that were not above the one before."""


_TAPE_EXAMPLES = """\
examples:
  reactor tape info day.jsonl.zst
  reactor tape import --from hftbacktest btcusdt_20240808.gz --out btc.jsonl.zst
"""


def add_tape_commands(subparsers: "Subparsers") -> None:
    """Add `tape` with its own commands to the command line.

    Each command sets `run`, a function from the parsed arguments to the exit code. It raises
    `BadInputError` for what the user can mend.
    """
    tape = subparsers.add_parser(
        "tape",
        help="import recordings, look into tapes",
        epilog=_TAPE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = tape.add_subparsers(dest="tape_command", metavar="COMMAND", required=True)
    _add_import(commands)
    _add_info(commands)


def _add_import(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "import",
        help="turn recordings of other programs into a tape",
        description=_IMPORT_TEXT,
        epilog=_IMPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="the recordings")
    parser.add_argument("--from", dest="source", required=True, choices=tuple(IMPORTERS))
    parser.add_argument(
        "--out", required=True, type=Path, metavar="TAPE", help=".jsonl, .jsonl.gz or .jsonl.zst"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing tape")
    parser.add_argument("--symbol", help="the symbol, where files do not name it")
    parser.add_argument("--kind", choices=KINDS, help="which of Binance's files (binance-csv)")
    parser.add_argument(
        "--interval", choices=tuple(INTERVAL_MS), help="of candles; default: from their spacing"
    )
    parser.add_argument("--session", help="take this session only (user-jsonl)")
    parser.add_argument(
        "--stream",
        action="append",
        choices=STREAMS,
        help="what to make of the rows, repeatable (ticks-csv); default: all that they hold",
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON object")
    parser.set_defaults(run=run_import)


def _add_info(commands: "Subparsers") -> None:
    parser = commands.add_parser(
        "info",
        help="span, symbols, streams, counts, gaps and damage of a tape",
        description="Show what is on a tape.",
        epilog=_INFO_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tapes", nargs="+", type=Path, metavar="TAPE")
    parser.add_argument("--all", action="store_true", help="show every stream, not the busiest 40")
    parser.add_argument("--json", action="store_true", help="one JSON object a tape")
    parser.set_defaults(run=run_info)


def run_import(args: argparse.Namespace) -> int:
    """Run `reactor tape import`."""
    _refuse_idle_options(args)
    options = ImportOptions(
        symbol=args.symbol.upper() if args.symbol else None,
        kind=args.kind,
        interval=args.interval,
        session=args.session,
        streams=tuple(dict.fromkeys(args.stream or ())),
    )
    with _progress() as progress:
        report = import_recordings(
            args.source,
            args.files,
            args.out,
            options=options,
            overwrite=args.force,
            progress=progress,
        )
    if args.json:
        print(msgspec.json.encode(report).decode())
    else:
        print("\n".join(_report_lines(report)))
    return 0


def run_info(args: argparse.Namespace) -> int:
    """Run `reactor tape info`."""
    tapes = [open_tape(path) for path in args.tapes]
    console = _console()
    for tape in tapes:
        summary = summarize(tape)
        if args.json:
            print(msgspec.json.encode(summary).decode())
        else:
            console.print(render(summary, every_stream=args.all))
    return 0


def _refuse_idle_options(args: argparse.Namespace) -> None:
    """An option that the format has no use for is a misunderstanding, not a wish."""
    used_by = {
        "symbol": {"hftbacktest", "binance-csv", "ticks-csv"},
        "kind": {"binance-csv"},
        "interval": {"binance-csv"},
        "session": {"user-jsonl"},
        "stream": {"ticks-csv"},
    }
    for option, sources in used_by.items():
        if getattr(args, option) is not None and args.source not in sources:
            raise ConfigError(
                f"--{option} has no use with --from {args.source}, only with "
                f"{' and '.join(sorted(sources))}"
            )


def _report_lines(report: ImportReport) -> Iterator[str]:
    counts = ", ".join(f"{count:,} {channel}" for channel, count in report.channels.items())
    yield f"{report.out}: {report.messages:,} messages ({counts}), {report.order}"
    for kind, count in report.skipped.items():
        yield f"skipped: {count:,} {kind}"
    for reason, count in report.dropped.items():
        where = report.examples.get(reason)
        yield f"dropped: {count:,} × {reason}" + (f" (first: {where})" if where else "")
    if report.backwards:
        yield f"note: the receive time runs backwards {report.backwards:,} times"
    for note in report.notes:
        yield f"note: {note}"


def _console() -> Console:
    if sys.stdout.isatty():
        return Console()
    return Console(width=_WIDTH_UNSEEN)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """A line on a terminal that counts messages; nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("reading") as status:
        yield lambda messages: status.update(f"{messages:,} messages")
