"""A recording of prices alone: sockets into tapes, with contracts and candles beside them, and no engine.

What it needs of the world is handed in, as everywhere; `record_commands` makes it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from reactor.audit import AlarmRaised, Audit, AuditEvent, LinkChanged, RecordingChanged
from reactor.binance.urls import Environment
from reactor.clock import Clock
from reactor.config import RecordConfig, StreamsConfig
from reactor.core.budget import Budget
from reactor.core.plan import Trigger
from reactor.errors import ConfigError
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.inbox import Command, Link, StreamRoute
from reactor.shell.recorder import Recorder
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.contracts import Contracts
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest.warm_up import Need, WarmUp
from reactor.shell.rest_seam import RestAnswer, RestTransport
from reactor.shell.tape_format import Channel
from reactor.shell.transport.seam import Transport

Say = Callable[[str], None]

SUFFIXES: Final[Mapping[Trigger, str]] = {
    "mark": "markPrice@1s",
    "last": "aggTrade",
    "book": "bookTicker",
}
"""The stream of each price source."""

CANDLES: Final = "5m"
"""The interval that the shipped plans measure their ATR on; its history is recorded at the start."""

FLUSH_S: Final = 1.0


def streams_of(symbols: Sequence[str], sources: Sequence[Trigger]) -> tuple[str, ...]:
    """The names of the streams that bring these prices."""
    return tuple(f"{symbol.lower()}@{SUFFIXES[source]}" for symbol in symbols for source in sources)


class RecordSession:
    """Records until it is told to stop, or cannot go on.

    Attributes:
        recorder: the tapes; there once the symbols are known.
        messages: how many prices came.
    """

    def __init__(
        self,
        *,
        symbols: Sequence[str],
        sources: Sequence[Trigger],
        folder: Path,
        environment: Environment,
        bounds: RecordConfig,
        streams: StreamsConfig,
        transport: Transport,
        rest_transport: RestTransport,
        clock: Clock,
        chance: random.Random,
        say: Say,
    ) -> None:
        """Records nothing yet.

        Args:
            symbols: whose prices.
            sources: which of them.
            folder: where the tapes go.
            environment: where the exchange is.
            bounds: size, age and free disk of the recording.
            streams: how sockets behave.
            transport: makes them.
            rest_transport: asks for contracts and candles.
            clock: ours.
            chance: jitter.
            say: takes one line for a person.
        """
        self.messages = 0
        self.recorder: Recorder | None = None
        self._symbols = symbols
        self._sources = sources
        self._folder = folder
        self._environment = environment
        self._bounds = bounds
        self._clock = clock
        self._say = say
        self._rest_transport = rest_transport
        self._stopped = asyncio.Event()
        self._early: list[RestAnswer] = []
        audit = self._audit = Audit()
        audit.watch(self._tell)
        rest = RestClient(
            rest_transport,
            environment,
            None,
            clock,
            Budget(),
            server_time=ServerTime(clock, audit),
            rng=chance,
        )
        self._contracts = Contracts(rest, self, audit, clock, watched=lambda: symbols)
        self._candles = WarmUp(rest, self, audit, clock)
        self._feed = MarketFeed(transport, environment, self, audit, clock, streams, chance)

    async def run(self, stop: asyncio.Event) -> int:
        """Records.

        Args:
            stop: ends it in order.

        Returns:
            0 where it was told to stop, 1 where a bound or the disk ended it.

        Raises:
            ConfigError: a symbol that the exchange does not list, or a folder that cannot be used.
        """
        tasks: list[asyncio.Task[Any]] = []
        try:
            await self._know_symbols(stop)
            recorder = self._begin()
            self._feed.want(streams_of(self._symbols, self._sources))
            for symbol in self._symbols:
                for source in self._sources:
                    self._candles.want(Need(symbol=symbol, source=source, interval=CANDLES))
            for name, work in (
                ("prices", self._feed.run()),
                ("candles", self._candles.run()),
                ("flush", self._flush(recorder)),
                ("contracts", self._contracts.run()),
            ):
                tasks.append(asyncio.create_task(work, name=name))
            ends = [asyncio.create_task(one.wait(), name="end") for one in (stop, self._stopped)]
            tasks += ends
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self.recorder is not None:
                self.recorder.close(self._clock.now_ns())
            await self._rest_transport.close()
        count = len(recorder.paths)
        self._say(f"{self.messages} prices in {count} {'tape' if count == 1 else 'tapes'}")
        return 1 if recorder.stopped else 0

    def _begin(self) -> Recorder:
        recorder = self.recorder = Recorder(
            self._bounds,
            folder=self._folder,
            audit=self._audit,
            environment=self._environment.name,
            header=lambda: {"symbols": list(self._symbols), "streams": list(self._sources)},
            secrets=frozenset(),
            now_ns=self._clock.now_ns(),
        )
        for answer in self._early:
            recorder.write(answer.t_ns, "rest", answer.message())
        if recorder.stopped:
            self._stopped.set()
        return recorder

    async def _know_symbols(self, stop: asyncio.Event) -> None:
        """Reads the contracts: Binance acknowledges a misspelt stream and stays silent."""
        asking = asyncio.create_task(self._contracts.refresh(), name="contracts at the start")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not asking.done():
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            return
        if not asking.result():
            self._say(f"{self._contracts.problem}; the symbols are taken as they are written")
            return
        for symbol in self._symbols:
            if self._contracts.filters(symbol) is None:
                raise ConfigError(str(self._contracts.why_not(symbol)))

    async def _flush(self, recorder: Recorder) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            recorder.flush()

    def _tell(self, event: AuditEvent) -> None:
        what = event.what
        if isinstance(what, RecordingChanged):
            because = f" ({what.reason})" if what.reason else ""
            self._say(f"{what.path}: {what.state}{because}")
            if what.state == "stopped":
                self._stopped.set()
        elif isinstance(what, LinkChanged):
            because = f": {what.reason}" if what.reason else ""
            self._say(f"{what.stream} socket {what.state}{because}")
        elif isinstance(what, AlarmRaised) and what.kind != "recording_stopped":
            self._say(what.text)

    # The inbox of the feed --------------------------------------------------------------------

    def _write(self, channel: Channel, message: bytes) -> None:
        if self.recorder is not None:
            self.recorder.write(self._clock.now_ns(), channel, message)

    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None:
        """Takes a frame as it came."""
        self.messages += 1
        self._write(route, message)

    def rest(self, answer: RestAnswer) -> None:
        """Takes contracts and candles."""
        if self.recorder is None:
            self._early.append(answer)
        else:
            self._write("rest", answer.message())

    def link(self, link: Link) -> None:
        """Takes a socket's change of state: a replay must know where prices are missing."""
        self._write("link", msgspec.json.encode(link))

    def private(self, message: bytes) -> None:
        """There is no account here."""

    def order_sent(self, message: bytes) -> None:
        """There are no orders here."""

    def order_answer(self, message: bytes) -> None:
        """There are no orders here."""

    def command(self, command: Command) -> None:
        """There is nothing to steer here."""
