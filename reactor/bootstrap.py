"""Builds the real I/O of a live process, runs it, and takes it down again: the only place that does.

What the parts need of the world (sockets, disk, clock, randomness, signals) is made here and handed to them;
tests hand them something else.
"""

import asyncio
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from reactor import compiled
from reactor.audit import AlarmRaised, Audit, Watcher
from reactor.binance.redaction import redact_named
from reactor.binance.urls import environment
from reactor.clock import SystemClock
from reactor.config import Config
from reactor.errors import BadInputError, ConfigError, JournalError
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.guard_steering import GuardSteering
from reactor.shell.journal.journal import Journal
from reactor.shell.process import LiveProcess
from reactor.shell.quickness import stay_quick
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.credentials import load_credentials
from reactor.shell.transport.choose import create_transport
from reactor.shell.transport.seam import Transport
from reactor.watch.log_lines import Masks
from reactor.watch.oversight import Oversight, alongside

Say = Callable[[str], None]

CRASHED = 1

CLOSE_S = 1.0
"""How long the journal may take for its last rows: the whole end is bounded by five seconds."""

END_S = 4.6
"""After it was told to end: whatever hangs then (a disk, a name server) is left as a kill would leave it."""


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


def run(config: Config, variables: Mapping[str, str], *, shows_table: bool = False) -> int:
    """Runs the live process until SIGTERM or SIGINT.

    Args:
        config: validated.
        variables: the process's environment, for keys and tokens.
        shows_table: whether a live table is drawn on standard output.

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
        return runner.run(live(config, variables, shows_table=shows_table))


async def live(
    config: Config,
    variables: Mapping[str, str],
    *,
    shows_table: bool,
    stop: asyncio.Event | None = None,
    watchers: Sequence[Watcher] = (),
) -> int:
    """The live process on the running loop; see `run`.

    Args:
        config: validated.
        variables: the process's environment.
        shows_table: whether a live table is drawn.
        stop: ends it when set; SIGTERM and SIGINT do where none is given.
        watchers: see everything that happens.
    """
    where = environment(config.environment)
    credentials = load_credentials(variables, warn=say)
    transport = _transport(config)
    clock = SystemClock()
    masks = Masks([credentials.api_key])
    audit = Audit(mask=lambda text: masks.mask(redact_named(text)))
    oversight = Oversight(
        config,
        audit=audit,
        clock=clock,
        variables=variables,
        secrets=[credentials.api_key],
        shows_table=shows_table,
    )
    tell = say if oversight.terminal is None else oversight.terminal.say
    journal = _open_journal(config, clock, tell)
    loop = asyncio.get_running_loop()
    for watcher in watchers:
        audit.watch(watcher)
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _tell_to_end, stop)
    told = stop
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
            data_dir=Path(config.data_dir),
            say=tell,
        )
        at = await oversight.serve(
            GuardSteering(lambda: process.guard, on_policy=process.keep_policy)
        )
        if at:
            tell(f"status, metrics and control at {at}")

        crashed: list[bool] = []

        async def guarded() -> None:
            crashed.append(await _until_told(process, told, audit, clock))
            await oversight.drain()

        def gateway() -> Gateway | None:
            return None if process.sending is None else process.sending.gateway

        quick = ("quickness", stay_quick(config, audit, gateway, lambda: process.guard))
        await alongside([*oversight.works(), quick], guarded)
    finally:
        journal.close(timeout_s=CLOSE_S)
        oversight.close()
    return CRASHED if any(crashed) else 0


def _transport(config: Config) -> Transport:
    """The sockets that are asked for; says what keeps them from being as quick as they could be."""
    transport, why = create_transport(config.streams.transport)
    if why is not None:
        say(why)
    if compiled.hot is None:
        say(f"the fast path is not compiled, and orders leave later: {compiled.why_not}")
    return transport


def _tell_to_end(stop: asyncio.Event) -> None:
    """Ends the process in order, or else without."""
    if not stop.is_set():
        stop.set()
        last = threading.Timer(END_S, _leave)
        last.daemon = True
        last.start()


def _leave() -> None:
    """A start is always a recovery, so that this costs nothing but the last rows of samples."""
    os.write(
        2, b"reactor: the end took too long, and was not waited for; the next start recovers\n"
    )
    os._exit(0)


async def _until_told(
    process: LiveProcess, stop: asyncio.Event, audit: Audit, clock: SystemClock
) -> bool:
    """Runs the process; answers whether it crashed, which is a bug of ours and told.

    Whoever restarts it goes on from the journal.
    """
    try:
        await process.run(stop)
    except BadInputError:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        text = f"the process ends: {type(error).__name__}: {error}"
        audit.publish(
            AlarmRaised(kind="crash", text=text, key="crash"),
            t_ns=clock.now_ns(),
        )
        structlog.get_logger("reactor").error("crash", exc_info=error)
        return True
    return False


def _open_journal(config: Config, clock: SystemClock, tell: Say) -> Journal:
    path = Path(config.data_dir) / config.journal.path
    try:
        journal = Journal.open(path, clock=clock, keep_days=config.journal.keep_days)
    except JournalError as error:
        raise ConfigError(str(error)) from None
    if journal.moved_aside is not None:
        tell(
            f"the journal could not be trusted ({journal.why_moved}); it is kept as"
            f" {journal.moved_aside}, and the state comes from the exchange"
        )
    return journal
