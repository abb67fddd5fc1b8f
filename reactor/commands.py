"""`reactor run`: the live process."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from reactor.config import Config
from reactor.config_sources import read_config
from reactor.errors import ConfigError

RUN_EXAMPLES = """\
examples:
  reactor run                                    reactor.toml here, dry run
  reactor run --config /etc/exit-reactor.toml --live
  reactor run --environment demo --dry-run
  reactor run --environment sim:http://127.0.0.1:9443 --live --include BTCUSDT

Keys come from BINANCE_API_KEY and BINANCE_API_SECRET (or …_FILE), never from the file. Every key of the file is
a variable too: REACTOR_MODE, REACTOR_MANAGE_INCLUDE=BTCUSDT,ETHUSDT … A live start needs an include list.
SIGTERM or SIGINT: exits in flight are seen through, hard stops stay, exit code 0 within 5 s.
"""


def add_run_command(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Adds `run` to a command line."""
    parser = subparsers.add_parser(
        "run",
        help="guard an account",
        description="Guards the positions of a Binance USDⓈ-M account until it is told to stop.",
        epilog=RUN_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: reactor.toml")
    parser.add_argument("--environment", metavar="NAME", help="mainnet (default), demo, or sim:URL")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="everything but sending (default)")
    mode.add_argument("--live", action="store_true", help="send exits and hard stops")
    parser.add_argument("--plan", metavar="NAME", help="the plan of positions that have no other")
    parser.add_argument(
        "--include",
        metavar="SYMBOLS",
        help="whose positions are guarded, with commas; '*' is every symbol, which a live start"
        " wants to be told and a dry run takes for granted",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="journal and tapes; default reactor-data")
    parser.add_argument("--record", action="store_true", help="record a tape of the session")
    parser.add_argument(
        "--yes", action="store_true", help="agree to what a live start would otherwise ask"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until stopped; answers the exit code."""
    # Told to end before there is anything to end in order.
    before = {
        number: signal.signal(number, _end_at_once) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        from reactor.bootstrap import run as run_live  # noqa: PLC0415 - keeps --help quick

        config = asked_config(args, dict(os.environ))
        return run_live(config, os.environ, shows_table=sys.stdout.isatty())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(*_: object) -> NoReturn:
    sys.exit(0)


def asked_config(args: argparse.Namespace, variables: dict[str, str]) -> Config:
    """The configuration that file, environment and options ask for.

    Raises:
        ConfigError: it is refused, or is no live start without what a live start needs.
    """
    if args.include:
        variables["REACTOR_MANAGE_INCLUDE"] = args.include
    if args.record:
        variables["REACTOR_RECORD_ENABLED"] = "true"
    mode = "live" if args.live else "dry_run" if args.dry_run else None
    config = read_config(
        args.config,
        variables,
        {
            "environment": args.environment,
            "mode": mode,
            "plan": args.plan,
            "data_dir": args.data_dir,
        },
    )
    if config.mode == "live":
        refuse_unsafe(config, yes=args.yes)
    elif not config.manage.include:
        # Nothing is sent, so nobody has to be asked whose positions are looked at. Written down, so that a tape
        # of the session says it too.
        manage = msgspec.structs.replace(config.manage, include=("*",))
        config = msgspec.structs.replace(config, manage=manage)
    return config


def refuse_unsafe(config: Config, *, yes: bool) -> None:
    """Refuses a live start that nobody can have meant.

    Raises:
        ConfigError: no include list, or an adoption that may close at once without `--yes`.
    """
    if not config.manage.include:
        raise ConfigError(
            "a live start needs to know whose positions are ours: set include under [manage], or"
            " --include BTCUSDT,ETHUSDT; '*' is every symbol"
        )
    if config.manage.on_adopt == "from_entry" and not yes:
        raise ConfigError(
            'on_adopt = "from_entry" closes positions that are through their stop at once;'
            " add --yes if that is what you want"
        )
    if not config.hard_stop.enabled:
        sys.stderr.write(
            "reactor: hard stops are off: nothing protects positions while this process cannot\n"
        )
