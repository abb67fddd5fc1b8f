import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from picows import WSFrame, WSListener, WSTransport

from reactor.binance.filters import SymbolFilters
from reactor.clock import Clock
from reactor.core.machine import Machine
from reactor.core.market import Market
from reactor.shell.gateway.aiming import Aim, Fired
from reactor.shell.gateway.sending import OrderSocket
from reactor.shell.inbox import StreamRoute
from reactor.shell.later_writer import Writes
from reactor.shell.lookout import Host
from reactor.shell.pump import Pump
from reactor.shell.shots import Gunner

SOURCE: str
PICOWS: str

def read(message: bytes) -> tuple[str, str, float | None, int | None, int | None, bool] | None: ...

class Shot:
    text: str
    is_long: bool
    aim: Aim
    def __init__(self, machine: Machine, market: Market, aim: Aim, gunner: Gunner) -> None: ...
    @property
    def holds(self) -> bool: ...
    def is_of(self, machine: Machine) -> bool: ...
    def is_calm(self, price: str, t_event_ms: int) -> bool: ...
    def fire(
        self, price: str, tick_id: int, t_event_ms: int, now_ns: int, *, is_practice: bool = False
    ) -> bool: ...
    def practise(self, now_ns: int) -> None: ...

class Trigger:
    def __init__(
        self,
        *,
        hedge: Callable[[], bool],
        contracts: Mapping[str, SymbolFilters],
        fired: dict[str, Fired],
        socket: OrderSocket,
        clock: Clock,
    ) -> None: ...
    def fire(self, aim: Aim, now_ns: int, *, is_practice: bool = False) -> bool: ...

class Lookout:
    last_ns: int
    timer_ns: int
    engine_due_ns: int
    is_inside: bool
    is_stopping: bool
    faulted: dict[str, str]
    mark_seen_ns: dict[str, int]
    mark_price: dict[str, str]
    writer: Writes | None
    def __init__(
        self, pump: Pump, host: Host, *, clock: Clock, loop: asyncio.AbstractEventLoop
    ) -> None: ...
    @property
    def is_behind(self) -> bool: ...
    def arm(self, last: Mapping[str, Any], mark: Mapping[str, Any], *, practises: bool) -> None: ...
    def market(self, route: StreamRoute, message: bytes, more: bool = False) -> None: ...
    def catch_up(self) -> None: ...

class FrameListener(WSListener):
    more: bool
    def look_with(
        self, connection: object, route: StreamRoute, give: object, size_max: int
    ) -> None: ...
    def look_no_more(self) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
