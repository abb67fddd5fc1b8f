"""A whole live process in front of a simulated exchange, in this program, under virtual time.

Nothing here is chance that no seed gave: time is the loop's own, sockets are calls, the journal is in memory,
jitter comes from a seeded source. So a seed is a whole session, and the same one every time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVarTuple

import msgspec
import orjson
from exchange_record import ExchangeRecord

from reactor.audit import Audit, AuditEvent, Decided
from reactor.binance.urls import Environment
from reactor.clock import LoopClock
from reactor.config import Config, config_from_tables
from reactor.replay.lines import Line, line_of
from reactor.shell.journal.journal import Journal
from reactor.shell.process import LiveProcess
from reactor.shell.rest.credentials import Credentials
from reactor.shell.transport.memory import (
    Latency,
    MemoryRest,
    MemoryTransport,
    SimulationDriver,
    no_latency,
)
from reactor.sim.exchange import PriceSource, Settings
from reactor.sim.faults import FaultRule
from reactor.sim.rest import Request
from reactor.sim.scenarios import Scenario
from reactor.sim.simulation import Simulation
from reactor.sim.symbols import SymbolRules
from reactor.sim.virtual_loop import VirtualLoop

Ts = TypeVarTuple("Ts")

START_MS = 1_795_000_000_000
LOOK_S = 0.25
"""How often somebody looks at what protects the positions."""
KEY = "key-" + "k" * 60
SECRET = "secret-" + "s" * 57

ENVIRONMENT = Environment(
    name="simulated",
    rest="https://sim.example",
    streams="wss://sim.example",
    ws_api="wss://sim.example/ws-fapi/v1",
)


class LateLoop(VirtualLoop):
    """A virtual loop whose timers fire a little late, as those of a busy machine do.

    Time still only jumps; but what is due at one instant finds that it is a moment later already.
    """

    def __init__(self, chance: random.Random, *, late_s: float) -> None:
        super().__init__()
        self._chance = chance
        self._late_s = late_s

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        late_s = self._chance.random() * self._late_s
        return super().call_at(when + late_s, callback, *args, context=context)


@dataclass(kw_only=True)
class Story:
    """What a session is made of.

    Attributes:
        act: what people and exchange do while the process runs; it ends when this returns.
        tables: the configuration, as the file would have it.
        faults: armed at the start.
        late_s: how late timers may fire.
        journal: the journal's file; None keeps it in memory.
        restarts: after how many seconds the process ends and another one begins, and whether it ends in order
            or leaves its journal as it is at that moment. They need a journal's file.
    """

    act: "Callable[[World], Awaitable[None]]"
    folder: Path
    seed: int = 1
    scenario: str = "calm"
    prices: PriceSource | None = None
    symbols: dict[str, SymbolRules] | None = None
    hedge: bool = False
    tables: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[FaultRule] = ()
    latency_s: tuple[float, float] = (0.0, 0.0)
    late_s: float = 0.0
    keep_events: bool = True
    keep_lines: bool = True
    journal: str | None = None
    before: "Callable[[World], None] | None" = None
    title: str = ""
    restarts: Sequence[tuple[float, bool]] = ()


@dataclass
class Run:
    """One process of a session, and what it left: its decisions as a replay would print them, and its tapes."""

    process: LiveProcess
    journal: Journal
    audit: Audit
    lines: list[Line] = field(default_factory=list)
    ended: bool = False

    @property
    def tapes(self) -> list[Path]:
        recorder = self.process.recorder
        return [] if recorder is None else recorder.paths


class World:
    """One session while it lasts, and what is left of it.

    Attributes:
        runs: its processes, one after the other.
        events: the audit streams of all of them. `kinds`: how many events of each kind there were.
        said: what a person was told.
        record: what the exchange itself saw.
    """

    def __init__(self, story: Story, loop: asyncio.AbstractEventLoop) -> None:
        self.story = story
        self.clock = LoopClock(loop, start_ns=START_MS * 1_000_000)
        prices = story.prices or Scenario(story.scenario, start_ms=START_MS, seed=story.seed)
        self.simulation = Simulation(
            now_ms=START_MS,
            settings=Settings(seed=story.seed, hedge=story.hedge, api_key=KEY, api_secret=SECRET),
            prices=prices,
            symbols=story.symbols,
        )
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.record = ExchangeRecord(self.simulation, self.clock.now_ns)
        self.runs: list[Run] = []
        self.events: list[AuditEvent] = []
        self.said: list[str] = []
        self.kinds: dict[str, int] = {}
        self.begin()

    def begin(self) -> Run:
        """Makes a process, as a supervisor does after the last one has ended."""
        story, number = self.story, len(self.runs)
        path = None if story.journal is None else story.folder / story.journal
        journal = Journal.open(path, clock=self.clock, inline=True, durable=False)
        audit = Audit()
        process = LiveProcess(
            self._config(),
            environment=ENVIRONMENT,
            credentials=Credentials(KEY, SECRET),
            transport=MemoryTransport(self.driver, latency=self._latency(1 + 2 * number)),
            rest_transport=MemoryRest(self.driver, latency=self._latency(2 + 2 * number)),
            clock=self.clock,
            chance=random.Random(story.seed + number),
            audit=audit,
            journal=journal,
            data_dir=story.folder,
            say=self.said.append,
        )
        run = Run(process, journal, audit)
        journal.subscribe(audit, later=lambda call: call())
        audit.watch(lambda event: self._keep(event, run))
        self.runs.append(run)
        return run

    @property
    def process(self) -> LiveProcess:
        """The one that runs now."""
        return self.runs[-1].process

    @property
    def audit(self) -> Audit:
        """The last process's."""
        return self.runs[-1].audit

    @property
    def lines(self) -> list[Line]:
        """The last process's decisions."""
        return self.runs[-1].lines

    @property
    def tapes(self) -> list[Path]:
        """The last process's tapes."""
        return self.runs[-1].tapes

    def _config(self) -> Config:
        tables: dict[str, Any] = {
            "mode": "live",
            "environment": "sim:https://sim.example",
            "plan": "challenge_100",
            "manage": {"include": ["*"]},
            "record": {"enabled": True, "min_free_disk": "1KB"},
        }
        for name, value in self.story.tables.items():
            known = tables.get(name)
            tables[name] = {**known, **value} if isinstance(known, dict) else value
        return config_from_tables(tables, source="story")

    def _latency(self, number: int) -> Latency:
        low_s, high_s = self.story.latency_s
        if not high_s:
            return no_latency
        chance = random.Random(self.story.seed * 31 + number)
        return lambda: chance.uniform(low_s, high_s)

    def _keep(self, event: AuditEvent, run: Run) -> None:
        name = type(event.what).__name__
        self.kinds[name] = self.kinds.get(name, 0) + 1
        if self.story.keep_events:
            self.events.append(event)
        if isinstance(event.what, Decided) and self.story.keep_lines:
            line = line_of(event.what.decision)
            if line is not None:
                run.lines.append(line)

    # What is done to it -----------------------------------------------------------------------

    def control(self, door: str, body: Any, *, must: bool = True) -> Any:
        """Goes through the exchange's control door."""
        request = Request(method="POST", path=f"/sim/{door}", body=orjson.dumps(body).decode())
        response = self.simulation.request(request)
        assert response.status == 200 or not must, response.body
        self.driver.catch_up()
        return orjson.loads(response.body)

    def arm(self, *rules: FaultRule) -> None:
        """Arms faults."""
        self.simulation.control.arm(list(rules))
        self.driver.catch_up()

    def open(self, symbol: str, quantity: str, *, must: bool = True, **more: Any) -> Any:
        """Somebody trades on the account; a negative quantity sells."""
        return self.control("position", {"symbol": symbol, "quantity": quantity, **more}, must=must)

    def price(self, symbol: str, price: str) -> None:
        """Moves a price."""
        self.control("price", {"symbol": symbol, "price": price})

    async def looked_at(self) -> None:
        """Looks at what protects the positions, for as long as the session lasts."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.record.look(guarded=not self.runs[-1].ended)

    def audit_bytes(self) -> bytes:
        """The audit stream, one event a line."""
        return b"\n".join(msgspec.json.encode(event, enc_hook=repr) for event in self.events)


def play(story: Story) -> World:
    """Runs a session from start to end; raises what the process raises."""

    def make_loop() -> VirtualLoop:
        if story.late_s:
            return LateLoop(random.Random(story.seed * 13 + 5), late_s=story.late_s)
        return VirtualLoop()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        return runner.run(_play(story))


async def _play(story: Story) -> World:
    loop = asyncio.get_running_loop()
    world = World(story, loop)
    world.driver.start()
    if story.before is not None:
        story.before(world)
    if story.faults:
        world.arm(*story.faults)
    acting = asyncio.ensure_future(story.act(world))
    looking = asyncio.ensure_future(world.looked_at())
    try:
        for after_s, in_order in story.restarts:
            await _live(world, acting, after_s=after_s, in_order=in_order)
            if not acting.done():
                # Names of tapes count seconds.
                await asyncio.sleep(1.5)
                world.begin()
        if not acting.done():
            await _live(world, acting, after_s=None, in_order=True)
        acting.result()
    finally:
        acting.cancel()
        looking.cancel()
        await asyncio.gather(acting, looking, return_exceptions=True)
        world.driver.stop()
    return world


async def _live(
    world: World, acting: "asyncio.Future[None]", *, after_s: float | None, in_order: bool
) -> None:
    """One process, until it is its time or the story is over."""
    run = world.runs[-1]
    stop = asyncio.Event()
    running = asyncio.create_task(run.process.run(stop), name="process")
    try:
        await asyncio.wait({running, acting}, return_when=asyncio.FIRST_COMPLETED, timeout=after_s)
        if running.done() or in_order:
            stop.set()
            await running
        else:
            run.journal.abandon()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        run.ended = True
        run.journal.close()
