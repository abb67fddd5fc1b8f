"""`reactor record`: tapes of a live exchange's prices, without keys."""

import argparse
import asyncio
import os
import random
import re
import signal
import sys
from pathlib import Path
from typing import Any, Final

from reactor.binance.urls import Environment, environment
from reactor.clock import SystemClock
from reactor.config import Config, RecordConfig
from reactor.config_complaints import size_bytes
from reactor.config_sources import read_config
from reactor.core.plan import Trigger
from reactor.errors import ConfigError
from reactor.shell.record_session import SUFFIXES, RecordSession, streams_of
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.transport.choose import create_transport

EXAMPLES: Final = """\
examples:
  reactor record --symbols BTCUSDT,ETHUSDT --out tapes
  reactor record --symbols SOLUSDT --streams mark,last,book --out tapes --max-size 2GB --max-age 7d
  reactor record --symbols BTCUSDT --out tapes --environment sim:http://127.0.0.1:9443

Needs no keys. Contracts and candles are recorded at the start, so that a replay of the tapes has tick sizes and an
ATR. A tape is closed and the next one begun at --rotate-size; one run's tapes are replayed together, in the order
of their names. Tapes of earlier recordings in the same folder count for the bounds, and the oldest are removed to
keep to them; other files are not touched. Ctrl-C or SIGTERM ends the recording in order.
"""

_AGE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", re.IGNORECASE)
_DAYS: Final = {"s": 1 / 86_400, "m": 1 / 1440, "h": 1 / 24, "d": 1.0, "": 1.0}


def add_record_command(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Adds `record` to a command line."""
    bounds = RecordConfig()
    parser = subparsers.add_parser(
        "record",
        help="record the prices of a live exchange as tapes",
        description="Records the prices of a live exchange as tapes, rotated and bounded.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--symbols", required=True, metavar="A,B", help="whose prices")
    add("--streams", default="mark,last", metavar="A,B", help="of mark, last, book (mark,last)")
    add("--out", required=True, type=Path, metavar="DIR", help="where the tapes go")
    add("--max-size", default=bounds.max_size, metavar="SIZE", help="of all tapes (%(default)s)")
    add("--max-age", default="30d", metavar="AGE", help="of a tape: 12h, 30d (%(default)s)")
    add("--min-free-disk", default=bounds.min_free_disk, metavar="SIZE", help="(%(default)s)")
    add("--rotate-size", default=bounds.rotate_size, metavar="SIZE", help="(%(default)s)")
    add("--environment", metavar="NAME", help="mainnet (default), demo, or sim:URL")
    add("--config", type=Path, metavar="FILE", help="for [streams]; default: reactor.toml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Records until SIGINT or SIGTERM; answers the exit code.

    Raises:
        ConfigError: an option that cannot be used.
    """
    from reactor.bootstrap import loop_factory  # noqa: PLC0415 - keeps --help quick

    symbols = _names(args.symbols, option="--symbols", example="BTCUSDT,ETHUSDT", upper=True)
    sources = tuple(
        _source(name) for name in _names(args.streams, option="--streams", example="mark,last")
    )
    bounds = RecordConfig(
        enabled=True,
        max_size=args.max_size,
        min_free_disk=args.min_free_disk,
        rotate_size=args.rotate_size,
        max_age_days=age_days(args.max_age),
    )
    for option in ("max_size", "min_free_disk", "rotate_size"):
        size_bytes(getattr(bounds, option), key=f"--{option.replace('_', '-')}")
    config = read_config(args.config, dict(os.environ), {"environment": args.environment})
    where = environment(config.environment)
    streams_of(symbols, sources)
    with asyncio.Runner(loop_factory=loop_factory(config.streams.loop)) as runner:
        return runner.run(_record(config, where, bounds, symbols, sources, args.out))


async def _record(
    config: Config,
    where: Environment,
    bounds: RecordConfig,
    symbols: tuple[str, ...],
    sources: tuple[Trigger, ...],
    folder: Path,
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    transport, why = create_transport(config.streams.transport)
    if why is not None:
        say(why)
    session = RecordSession(
        symbols=symbols,
        sources=sources,
        folder=folder,
        environment=where,
        bounds=bounds,
        streams=config.streams,
        transport=transport,
        rest_transport=AiohttpRest(proxy=config.streams.proxy),
        clock=SystemClock(),
        chance=random.Random(),  # noqa: S311 - jitter, no secret
        say=say,
    )
    say(f"recording {', '.join(sources)} of {', '.join(symbols)} from {where.name} to {folder}")
    return await session.run(stop)


def say(line: str) -> None:
    """One line for the person who started this, on standard error."""
    sys.stderr.write(f"reactor: {line}\n")
    sys.stderr.flush()


def age_days(text: str) -> float:
    """An age as people write it, in days: `30d`, `12h`, `30`.

    Raises:
        ConfigError: it is none above 0.
    """
    match = _AGE.fullmatch(text.strip())
    days = float(match[1]) * _DAYS[match[2].lower()] if match else 0.0
    if not 0 < days < 36_500:
        raise ConfigError(f"--max-age {text!r} is no age; write it as 12h or 30d")
    return days


def _names(text: str, *, option: str, example: str, upper: bool = False) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"{option} names none; write it as {example}")
    return tuple(dict.fromkeys(name.upper() if upper else name for name in names))


def _source(name: str) -> Trigger:
    for source in SUFFIXES:
        if name == source:
            return source
    known = ", ".join(SUFFIXES)
    raise ConfigError(f"--streams: {name!r} is no price source; there are {known}")
