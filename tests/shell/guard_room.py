"""A guard with everything around it scripted: frames in, and what it sent, recorded, and told."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson

from reactor.audit import AlarmRaised, Audit, AuditEvent, Decided
from reactor.clock import Clock
from reactor.config import Config, ManageConfig
from reactor.core.decisions import Exit, OrdersCancelled, OutcomeAsked
from reactor.core.ladder import Filters
from reactor.core.plan import plan_from_toml
from reactor.shell.assembly import StartState, live_pump
from reactor.shell.guard import Guard
from reactor.shell.tape_format import Channel, Direction, LiveSession

START_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000
PLAN = """
name = "room"
trigger = "last"
[stop]
pct = 0.01
[[targets]]
pct = 0.02
close = 0.5
[trailing]
activate = "in_profit"
pct = 0.005
"""


class HandClock(Clock):
    """Time that the test moves; and that moves by `step_ns` whenever somebody asks for it."""

    def __init__(self) -> None:
        self.ns = START_NS
        self.step_ns = 0

    def now_ns(self) -> int:
        self.ns += self.step_ns
        return self.ns


class ScriptedSender:
    """Takes exits; answers with the frames that leave."""

    def __init__(self) -> None:
        self.exits: list[Exit] = []
        self.asked: list[str] = []
        self.ended: list[OrdersCancelled] = []
        self.settled_ids: list[str] = []
        self.answers: list[bytes] = []
        self.fail: Exception | None = None
        self.on_send: Callable[[Exit], None] = lambda _exit: None

    def send(self, exit_: Exit, *, t_event_ms: int, t_recv_ns: int) -> list[bytes]:
        if self.fail is not None:
            raise self.fail
        self.exits.append(exit_)
        self.on_send(exit_)
        params = {
            "symbol": exit_.symbol,
            "quantity": str(exit_.quantity),
            "newClientOrderId": exit_.order_id,
        }
        frame = {"id": len(self.exits), "method": "order.place", "params": params}
        return [orjson.dumps(frame)]

    def on_answer(self, message: bytes) -> bool:
        self.answers.append(message)
        return True

    def ask(self, decision: OutcomeAsked) -> None:
        self.asked.append(decision.order_id)

    def cancel_epoch(self, decision: OrdersCancelled) -> None:
        self.ended.append(decision)

    def settled(self, order_id: str) -> None:
        self.settled_ids.append(order_id)


class Lines:
    """A writer that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, Channel, bytes, Direction]] = []

    def write(
        self, t_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> None:
        self.lines.append((t_ns, channel, message, direction))

    @property
    def channels(self) -> list[str]:
        return [f"{channel} {direction}" for _, channel, _, direction in self.lines]


class Room:
    """One guard."""

    def __init__(self, *, toml: str = PLAN, mode: Any = "live") -> None:
        self.clock = HandClock()
        self.audit = Audit()
        self.events: list[AuditEvent] = []
        self.audit.watch(self.events.append)
        self.config = Config(mode=mode, manage=ManageConfig(include=("*",)))
        plan = plan_from_toml(toml, source="the room")
        self.notes: list[str] = []
        pump = live_pump(
            self.config,
            LiveSession(mode=mode),
            plan_for=lambda _symbol, _side: plan,
            filters_for=lambda _symbol: Filters(tick=Decimal("0.1"), step=Decimal("0.001")),
            instance="room",
            start=StartState(),
            note=lambda _kind, text: self.notes.append(text),
        )
        self.guard = Guard(
            pump,
            clock=self.clock,
            audit=self.audit,
            config=self.config,
            loop=asyncio.get_running_loop(),
        )
        self.sender = ScriptedSender()
        self._tape = Lines()
        self.guard.attach(sender=self.sender if mode == "live" else None, writer=self._tape)
        self.trade_id = 0

    @property
    def tape(self) -> Lines:
        self.guard.write_down()
        return self._tape

    def after(self, seconds: float) -> "Room":
        self.clock.ns += round(seconds * SECOND_NS)
        return self

    def tick(
        self,
        price: str,
        symbol: str = "BTCUSDT",
        *,
        trade_id: int | None = None,
        more: bool = False,
    ) -> None:
        self.after(0.001)
        self.trade_id = self.trade_id + 1 if trade_id is None else trade_id
        t_ms = self.clock.ns // 1_000_000
        data = {"e": "aggTrade", "E": t_ms, "s": symbol, "a": self.trade_id, "p": price, "q": "1"}
        data |= {"f": self.trade_id, "l": self.trade_id, "T": t_ms, "m": False}
        frame = {"stream": f"{symbol.lower()}@aggTrade", "data": data}
        self.guard.market("market", orjson.dumps(frame), more)

    def mark(self, price: str, symbol: str = "BTCUSDT") -> None:
        self.after(0.001)
        t_ms = self.clock.ns // 1_000_000
        data = {"e": "markPriceUpdate", "E": t_ms, "s": symbol, "p": price, "i": price, "P": price}
        data |= {"r": "0", "T": 0}
        frame = {"stream": f"{symbol.lower()}@markPrice@1s", "data": data}
        self.guard.market("market", orjson.dumps(frame))

    def position(
        self, amount: str, entry: str = "100", symbol: str = "BTCUSDT", side: str = "BOTH"
    ) -> None:
        self.after(0.001)
        t_ms = self.clock.ns // 1_000_000
        row = {"s": symbol, "pa": amount, "ep": entry if float(amount) else "0", "ps": side}
        event = {
            "e": "ACCOUNT_UPDATE",
            "E": t_ms,
            "T": t_ms,
            "a": {"m": "ORDER", "B": [], "P": [row]},
        }
        self.guard.private(orjson.dumps(event))

    def answer(self, number: int, **answer: Any) -> None:
        self.after(0.001)
        self.guard.order_answer(orjson.dumps({"id": number, **answer}))

    @property
    def decided(self) -> list[str]:
        return [
            type(event.what.decision).__name__
            for event in self.events
            if isinstance(event.what, Decided)
        ]

    @property
    def alarms(self) -> list[AlarmRaised]:
        return [event.what for event in self.events if isinstance(event.what, AlarmRaised)]
