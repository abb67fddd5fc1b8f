"""`reactor doctor` on the command line."""

import argparse
import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

import msgspec

from reactor import compiled
from reactor.audit import Audit
from reactor.binance.urls import Environment, environment
from reactor.clock import SystemClock
from reactor.config import Config
from reactor.config_sources import read_config
from reactor.core.budget import Budget
from reactor.errors import ConfigError
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.credentials import Credentials, load_credentials
from reactor.shell.rest.doctor import Doctor, Finding
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.transport.choose import create_transport

EXAMPLES = """\
examples:
  reactor doctor                                     what ./reactor.toml and the environment's keys are good for
  reactor doctor --environment demo                  the same against Binance's demo
  reactor doctor --environment sim:http://127.0.0.1:8123 --symbols BTCUSDT,ETHUSDT

No order is placed. Exit code: 0 all is well, 1 something is wrong, 2 the options cannot be used.
"""

DEFAULT_CONFIG = "reactor.toml"


def add_doctor_command(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Adds `doctor` to a command line.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    parser = subparsers.add_parser(
        "doctor",
        help="check keys, clock, account, symbols, streams and disk",
        description="Checks keys, permissions, clock, position mode, symbols, streams and disk; one line each.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", metavar="FILE", help=f"configuration (default: {DEFAULT_CONFIG} if it is there)"
    )
    parser.add_argument("--environment", metavar="NAME", help="mainnet, demo or sim:URL")
    parser.add_argument("--symbols", metavar="A,B", help="instead of the configuration's")
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="for a stream's first message",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examines, and prints one line for each finding.

    Returns:
        0 where nothing is wrong, else 1.

    Raises:
        ConfigError: a configuration or an option that cannot be used.
    """
    if not 0 < args.timeout <= 600:
        raise ConfigError(f"--timeout {args.timeout:g} is out of range: above 0, at most 600 s")
    config = _config(args)
    where = environment(config.environment)
    warnings: list[str] = []
    credentials, problem = None, ""
    try:
        credentials = load_credentials(os.environ, warn=warnings.append)
    except ConfigError as error:
        problem = str(error)
    return asyncio.run(_examine(config, where, credentials, problem, warnings, args.timeout))


def show(finding: Finding) -> None:
    """Prints a finding as one line, whatever it quotes."""
    text = "".join(char if char.isprintable() else "?" for char in finding.text)
    sys.stdout.write(f"{finding.level:5}  {finding.part:14}  {text}\n")
    sys.stdout.flush()


def _config(args: argparse.Namespace) -> Config:
    file = None if args.config is None else Path(args.config)
    config = read_config(file, os.environ, {"environment": args.environment})
    if args.symbols is not None:
        names = tuple(name.strip() for name in args.symbols.split(",") if name.strip())
        if not names:
            raise ConfigError("--symbols names none; write it as BTCUSDT,ETHUSDT")
        manage = msgspec.structs.replace(config.manage, include=names)
        config = msgspec.structs.replace(config, manage=manage, symbols={})
    return config


async def _examine(
    config: Config,
    where: Environment,
    credentials: Credentials | None,
    problem: str,
    warnings: list[str],
    timeout_s: float,
) -> int:
    clock, audit = SystemClock(), Audit()
    proxy = config.streams.proxy
    rest = AiohttpRest(proxy=proxy)
    client = RestClient(
        rest,
        where,
        credentials,
        clock,
        Budget(share=config.account.weight_share),
        server_time=ServerTime(clock, audit),
        rng=random.Random(),  # noqa: S311 - the jitter of repetitions
        recv_window_ms=config.orders.recv_window_ms,
    )
    transport, fallback = create_transport(config.streams.transport)
    if fallback is not None:
        show(Finding("note", "transport", fallback))
    if compiled.hot is None:
        text = f"not compiled, so that orders leave later: {compiled.why_not}"
        show(Finding("note", "fast path", text))
    doctor = Doctor(
        config,
        where,
        client,
        Contracts(client, None, audit, clock),
        transport,
        show,
        keys_problem=problem,
        warnings=warnings,
        message_timeout_s=timeout_s,
    )
    try:
        wrong = await doctor.examine()
    finally:
        await rest.close()
    summary = "all is well" if not wrong else f"{wrong} thing{'s' if wrong > 1 else ''} to mend"
    sys.stdout.write(f"{summary}\n")
    return 1 if wrong else 0
