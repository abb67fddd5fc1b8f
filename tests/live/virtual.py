"""A whole live process in front of a simulated exchange, in this program, under virtual time.

Nothing here is chance that no seed gave: time is the loop's own, sockets are calls, the journal is in memory,
jitter comes from a seeded source. So a seed is a whole session, and the same one every time.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import orjson

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
from reactor.sim.virtual_loop import VirtualLoop

START_MS = 1_795_000_000_000
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

    def call_at(self, when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        return super().call_at(when + self._chance.random() * self._late_s, *args, **kwargs)


@dataclass(kw_only=True)
class Story:
    """What a session is made of.

    Attributes:
        act: what people and exchange do while the process runs; it ends when this returns.
        tables: the configuration, as the file would have it.
        faults: armed at the start.
        late_s: how late timers may fire.
    """

    act: "Callable[[World], Awaitable[None]]"
    folder: Path
    seed: int = 1
    scenario: str = "calm"
    prices: PriceSource | None = None
    hedge: bool = False
    tables: Mapping[str, Any] = field(default_factory=dict)
    faults: Sequence[FaultRule] = ()
    latency_s: tuple[float, float] = (0.0, 0.0)
    late_s: float = 0.0
    keep_events: bool = True
    before: "Callable[[World], None] | None" = None
    title: str = ""


class World:
    """One session while it lasts, and what is left of it.

    Attributes:
        lines: the decisions, as a replay would print them. `events`: the audit stream.
        said: what a person was told.
    """

    def __init__(self, story: Story, loop: asyncio.AbstractEventLoop) -> None:
        self.story = story
        self.chance = random.Random(story.seed * 7919 + 11)
        self.clock = LoopClock(loop, start_ns=START_MS * 1_000_000)
        prices = story.prices or Scenario(story.scenario, start_ms=START_MS, seed=story.seed)
        self.simulation = Simulation(
            now_ms=START_MS,
            settings=Settings(seed=story.seed, hedge=story.hedge, api_key=KEY, api_secret=SECRET),
            prices=prices,
        )
        self.driver = SimulationDriver(self.simulation, self.clock)
        self.lines: list[Line] = []
        self.events: list[AuditEvent] = []
        self.said: list[str] = []
        self.kinds: dict[str, int] = {}
        self.audit = Audit()
        self.audit.watch(self._keep)
        self.journal = Journal.open(None, clock=self.clock, inline=True)
        self.process = LiveProcess(
            self._config(),
            environment=ENVIRONMENT,
            credentials=Credentials(KEY, SECRET),
            transport=MemoryTransport(self.driver, latency=self._latency(1)),
            rest_transport=MemoryRest(self.driver, latency=self._latency(2)),
            clock=self.clock,
            chance=random.Random(story.seed),
            audit=self.audit,
            journal=self.journal,
            data_dir=story.folder,
            say=self.said.append,
        )

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

    def _keep(self, event: AuditEvent) -> None:
        name = type(event.what).__name__
        self.kinds[name] = self.kinds.get(name, 0) + 1
        if self.story.keep_events:
            self.events.append(event)
        if isinstance(event.what, Decided):
            line = line_of(event.what.decision)
            if line is not None:
                self.lines.append(line)

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

    @property
    def tapes(self) -> list[Path]:
        """What was recorded."""
        recorder = self.process.recorder
        return [] if recorder is None else recorder.paths

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
    stop = asyncio.Event()
    running = asyncio.create_task(world.process.run(stop), name="process")
    acting = asyncio.ensure_future(story.act(world))
    try:
        await asyncio.wait({running, acting}, return_when=asyncio.FIRST_COMPLETED)
        if acting.done():
            acting.result()
        stop.set()
        await running
    finally:
        acting.cancel()
        running.cancel()
        await asyncio.gather(acting, running, return_exceptions=True)
        world.driver.stop()
        world.journal.close()
    return world
