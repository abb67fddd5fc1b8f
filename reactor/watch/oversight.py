"""Everything that watches one process, put together: picture, logs, alarms, heartbeat, API, table.

All of it is fed from the audit stream. Nothing here can hold up an exit.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from rich.console import Console

from reactor.audit import Audit
from reactor.clock import Clock
from reactor.config import Config
from reactor.control.api import ControlServer
from reactor.control.steering import Steering
from reactor.control.token import read_token
from reactor.watch.alarms import Alarms, Heartbeat
from reactor.watch.channels import alarm_channels
from reactor.watch.delivery import Deliveries
from reactor.watch.health import Readiness, ReadyLimits, readiness
from reactor.watch.logs import AuditLog, configure_logs
from reactor.watch.metrics import Metrics
from reactor.watch.picture import Picture
from reactor.watch.pulse import Pulse
from reactor.watch.terminal import Terminal
from reactor.watch.view import status

RECONCILED_RUNS_MAX: Final = 3
"""Runs of the minute's comparison that may be missing before the process is not ready."""

DRAIN_S: Final = 1.0


class Oversight:
    """What watches.

    Attributes:
        picture: folded from the stream. `port`: where the API listens; 0 without one.
    """

    def __init__(
        self,
        config: Config,
        *,
        audit: Audit,
        clock: Clock,
        variables: Mapping[str, str],
        secrets: Iterable[str],
        shows_table: bool,
    ) -> None:
        """Begins to watch.

        Args:
            config: `[http]`, `[alarms]`, `[log]`.
            audit: the stream.
            clock: which stamps it.
            variables: the environment, for the token and for alarm commands.
            secrets: what no line may show.
            shows_table: whether a live table is drawn on standard output.

        Raises:
            ConfigError: an address, a token or a command that cannot be.
        """
        self._config = config
        self._clock = clock
        self._token = read_token(variables)
        self._audit = audit
        hidden = {*secrets, self._token, config.alarms.webhook, config.alarms.heartbeat_url}
        self.terminal: Terminal | None = None
        if shows_table:
            self.terminal = Terminal(self._status, console=Console())
        self._lines = configure_logs(
            config.log,
            clock=clock,
            secrets=[secret for secret in hidden if secret],
            write=None if self.terminal is None else self.terminal.say,
            is_terminal=sys.stderr.isatty(),
        )
        self.picture = Picture()
        self.limits = ReadyLimits(
            hard_stops=config.mode == "live" and config.hard_stop.enabled,
            reconciled_s_max=RECONCILED_RUNS_MAX * config.account.reconcile_s,
        )
        self._deliveries = Deliveries()
        self._pulse = Pulse(clock)
        self._alarms = Alarms(
            alarm_channels(config.alarms, environ=variables, proxy=config.streams.proxy),
            clock=clock,
            repeat_s=config.alarms.repeat_s,
            deliveries=self._deliveries,
            ready=self.ready,
        )
        audit.watch(self.picture.see)
        audit.watch(AuditLog().watch)
        audit.watch(self._alarms.watch)
        self._server: ControlServer | None = None

    @property
    def port(self) -> int:
        """Where the API listens; 0 without one."""
        return 0 if self._server is None else self._server.port

    def ready(self) -> Readiness:
        """Whether to rely on the process now."""
        return readiness(self.picture, self.limits, now_ns=self._clock.now_ns())

    async def serve(self, steering: Steering | None) -> str:
        """Begins to serve the API; answers where, empty where it is switched off.

        Raises:
            ConfigError: the address is taken, or may not be served without a token.
        """
        if not self._config.http.enabled:
            return ""
        self._server = ControlServer(
            self._config.http,
            token=self._token,
            picture=self.picture,
            limits=self.limits,
            metrics=Metrics(
                self.picture,
                self.limits,
                audit=self._audit,
                deliveries=self._deliveries,
                pulse=self._pulse,
            ),
            pulse=self._pulse,
            clock=self._clock,
            steering=steering,
        )
        return await self._server.start()

    def works(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Everything that runs for as long as the process does."""
        works: list[tuple[str, Coroutine[Any, Any, None]]] = [
            ("pulse", self._pulse.run()),
            ("alarms", self._alarms.run()),
        ]
        alarms = self._config.alarms
        if alarms.heartbeat_url is not None:
            heartbeat = Heartbeat(
                alarms.heartbeat_url,
                every_s=alarms.heartbeat_s,
                ready=self.ready,
                clock=self._clock,
                deliveries=self._deliveries,
                proxy=self._config.streams.proxy,
            )
            works.append(("heartbeat", heartbeat.run()))
        if self._server is not None:
            works.append(("control", self._server.run()))
        if self.terminal is not None:
            works.append(("table", self.terminal.run()))
        return works

    async def drain(self) -> None:
        """Gives what is still to be told a moment; the alarms must still run."""
        await self._alarms.drain(timeout_s=DRAIN_S)

    def close(self) -> None:
        """Writes the last lines."""
        self._lines.close(timeout_s=DRAIN_S)

    def _status(self) -> Any:
        return status(self.picture, self.limits, now_ns=self._clock.now_ns())


async def alongside(
    works: list[tuple[str, Coroutine[Any, Any, None]]],
    main: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Runs what watches beside the main work, and ends it with that.

    A watcher that fails is a fault of its own and ends nothing.
    """
    tasks = [asyncio.create_task(work, name=name) for name, work in works]
    try:
        await main()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
