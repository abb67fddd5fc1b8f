"""Builds the real I/O of a live process, runs it, and takes it down again: the only place that does.

What the parts need of the world (sockets, disk, clock, randomness, signals) is made here and handed to them;
tests hand them something else.
"""

import asyncio
import random
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from reactor.audit import Audit
from reactor.binance.urls import environment
from reactor.clock import SystemClock
from reactor.config import Config
from reactor.errors import ConfigError, JournalError
from reactor.shell.journal.journal import Journal
from reactor.shell.process import LiveProcess
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.credentials import load_credentials
from reactor.shell.transport.choose import create_transport

Say = Callable[[str], None]


def say(line: str) -> None:
    """One line for the person who started this, on standard error."""
    sys.stderr.write(f"reactor: {line}\n")
    sys.stderr.flush()


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop that the configuration means; asyncio's own where uvloop is not there."""
    if name == "uvloop":
        try:
            import uvloop  # noqa: PLC0415 - it is not there on every platform
        except ImportError:
            say("uvloop cannot be loaded: asyncio's own loop is used, at a higher cost")
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop


def run(config: Config, variables: Mapping[str, str]) -> int:
    """Runs the live process until SIGTERM or SIGINT.

    Args:
        config: validated.
        variables: the process's environment, for keys and tokens.

    Returns:
        0 after an orderly end.

    Raises:
        ConfigError: it cannot run like this.
    """
    data_dir = Path(config.data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"data_dir = {str(data_dir)!r} cannot be made: {error.strerror}; choose another"
        ) from None
    with asyncio.Runner(loop_factory=loop_factory(config.streams.loop)) as runner:
        return runner.run(_live(config, variables))


async def _live(config: Config, variables: Mapping[str, str]) -> int:
    where = environment(config.environment)
    credentials = load_credentials(variables, warn=say)
    transport, why = create_transport(config.streams.transport)
    if why is not None:
        say(why)
    clock = SystemClock()
    data_dir = Path(config.data_dir)
    audit = Audit()
    loop = asyncio.get_running_loop()
    try:
        journal = Journal.open(
            data_dir / config.journal.path, clock=clock, keep_days=config.journal.keep_days
        )
    except JournalError as error:
        raise ConfigError(str(error)) from None
    if journal.moved_aside is not None:
        say(
            f"the journal could not be trusted ({journal.why_moved}); it is kept as"
            f" {journal.moved_aside}, and the state comes from the exchange"
        )
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        journal.subscribe(audit, later=loop.call_soon_threadsafe)
        process = LiveProcess(
            config,
            environment=where,
            credentials=credentials,
            transport=transport,
            rest_transport=AiohttpRest(proxy=config.streams.proxy),
            clock=clock,
            chance=random.Random(),  # noqa: S311 - jitter, no secret
            audit=audit,
            journal=journal,
            data_dir=data_dir,
            say=say,
        )
        await process.run(stop)
    finally:
        journal.close()
    return 0
