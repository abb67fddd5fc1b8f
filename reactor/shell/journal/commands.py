"""`reactor explain` and `reactor why`: arguments in, exit code out."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from reactor.clock import SystemClock
from reactor.config import Config
from reactor.config_sources import read_config
from reactor.errors import BadInputError
from reactor.shell.journal import explain as explaining
from reactor.shell.journal import why as asking
from reactor.shell.journal.reading import reading, when

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names it no other way

CONFIG_FILE = Path("reactor.toml")

_EXPLAIN_TEXT = """\
Tell everything that led to a decision: the tick, the levels as they stood before it, the plan, the ATR,
the order with its times, and what became of it. Works while the process runs and after it ended."""

_EXPLAIN_EXAMPLES = """\
examples:
  reactor explain BTCUSDT-LONG-3-1                    an exit: symbol, side, epoch, number
  reactor explain BTCUSDT-LONG-3-1 --json
  reactor explain 4711 --journal reactor-data/reactor.db

`reactor why SYMBOL` lists decisions with their ids; an order's client id works too."""

_WHY_TEXT = """\
Tell why something was done or not done to a symbol's positions within a span of time: the levels, the
prices that came nearest to them with their source and age, and the rules that did or did not fire.

Prices are those of the positions' trigger source, looked at once a second and at every decision."""

_WHY_EXAMPLES = """\
examples:
  reactor why BTCUSDT                                 the last hour
  reactor why BTCUSDT --from 03:00 --to 03:30         UTC
  reactor why ETHUSDT --from 2026-11-20T22:00+01:00 --to 2026-11-21T04:00+01:00
  reactor why BTCUSDT --from 15m --json"""


def add_explain_command(subparsers: "Subparsers") -> None:
    """Adds `explain` to the command line."""
    command = subparsers.add_parser(
        "explain",
        help="everything that led to a decision",
        description=_EXPLAIN_TEXT,
        epilog=_EXPLAIN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("decision", metavar="DECISION_ID", help="as listed by `reactor why`")
    _add_common(command)
    command.set_defaults(run=run_explain)


def add_why_command(subparsers: "Subparsers") -> None:
    """Adds `why` to the command line."""
    command = subparsers.add_parser(
        "why",
        help="what came near, what fired and what did not",
        description=_WHY_TEXT,
        epilog=_WHY_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("symbol", metavar="SYMBOL", help="as Binance writes it")
    command.add_argument(
        "--from", dest="start", metavar="TIME", help="default: an hour before --to"
    )
    command.add_argument("--to", dest="end", metavar="TIME", help="default: now")
    _add_common(command)
    command.set_defaults(run=run_why)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--journal", metavar="PATH", help="default: where the configuration has it"
    )
    command.add_argument(
        "--config", metavar="FILE", help=f"default: {CONFIG_FILE} in this folder, if there is one"
    )
    command.add_argument("--json", action="store_true", help="one JSON object, prices as text")


def run_explain(args: argparse.Namespace) -> int:
    """Prints what led to a decision."""
    with reading(_path(args)) as reader:
        found = explaining.explain(reader, args.decision)
    _print(found, explaining.in_words(found), as_json=args.json)
    return 0


def run_why(args: argparse.Namespace) -> int:
    """Prints what happened to a symbol, and what nearly did."""
    now_ns = SystemClock().now_ns()
    to_ns = now_ns if args.end is None else when(args.end, now_ns=now_ns, option="--to")
    from_ns = when(args.start or "1h", now_ns=now_ns if args.start else to_ns, option="--from")
    if from_ns >= to_ns:
        raise BadInputError("--from is not before --to; both are UTC unless they name a zone")
    with reading(_path(args)) as reader:
        found = asking.why(reader, args.symbol.upper(), from_ns=from_ns, to_ns=to_ns)
    _print(found, asking.in_words(found), as_json=args.json)
    return 0


def _path(args: argparse.Namespace) -> Path:
    if args.journal:
        return Path(args.journal)
    return journal_path(read_config(Path(args.config) if args.config else None, os.environ))


def journal_path(config: Config) -> Path:
    """Where a configuration has its journal: in its data folder, unless the path is a whole one."""
    return Path(config.data_dir) / config.journal.path


def _print(found: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    text = msgspec.json.encode(found).decode() if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
