"""A guard at the end of a real socket of prices, written in either way; and the reads that its socket takes."""

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import orjson
import pytest
from guard_room import PLAN, Room
from raw_peer import QUIET, TEXT, Peer, frame, serving
from test_guard_ready_orders import Gun, turns

from reactor import compiled
from reactor.core.decisions import Exit
from reactor.shell.assembly import order_ids
from reactor.shell.feeds.market_feed import MarketConnection
from reactor.shell.inbox import StreamRoute
from reactor.shell.shots import Shots
from reactor.shell.transport import picows_skin
from reactor.shell.transport.seam import SocketOptions

SYMBOLS = ("BTCUSDT", "ETHUSDT")
T_MS = 1_795_000_000_000


def _plain_skin() -> Any:
    """The skin as it is where nothing is compiled."""
    spec = importlib.util.spec_from_file_location("plain_picows_skin", picows_skin.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "hot", None)
        spec.loader.exec_module(module)
    return module


SKINS: dict[str, Any] = {"compiled": picows_skin, "Python": _plain_skin()}


def agg(price: str, number: int, symbol: str = "BTCUSDT", quantity: str = "1") -> bytes:
    """An aggregated trade as Binance writes it."""
    data = {"e": "aggTrade", "E": T_MS + number, "s": symbol, "a": number, "p": price}
    data |= {"q": quantity, "f": number, "l": number, "T": T_MS + number, "m": False, "st": 1}
    return orjson.dumps({"stream": f"{symbol.lower()}@aggTrade", "data": data})


def mark(price: str, number: int, symbol: str = "BTCUSDT") -> bytes:
    """A mark price as Binance writes it."""
    data = {"e": "markPriceUpdate", "E": T_MS + number, "s": symbol, "p": price, "i": price}
    data |= {"P": price, "r": "0.00010000", "T": 0}
    return orjson.dumps({"stream": f"{symbol.lower()}@markPrice@1s", "data": data})


def book(price: str, number: int, symbol: str = "BTCUSDT") -> bytes:
    """A best bid and ask as Binance writes them."""
    data = {"e": "bookTicker", "u": number, "s": symbol, "b": price, "B": "1", "a": price}
    data |= {"A": "1", "T": T_MS + number, "E": T_MS + number}
    return orjson.dumps({"stream": f"{symbol.lower()}@bookTicker", "data": data})


def trade(price: str, number: int, symbol: str = "BTCUSDT") -> bytes:
    """A raw trade as Binance writes it."""
    data = {"e": "trade", "E": T_MS + number, "T": T_MS + number, "s": symbol, "t": number}
    data |= {"p": price, "q": "1", "X": "MARKET", "m": True}
    return orjson.dumps({"stream": f"{symbol.lower()}@trade", "data": data})


class Told(NamedTuple):
    """What a session came to."""

    exits: list[tuple[str, Any, Any]]
    decided: list[str]
    lines: list[tuple[int, str, bytes, str]]
    alarms: list[str]
    delivered: list[int]
    answers: list[bytes]
    faults: list[str]
    is_open: list[bool]


class Wired:
    """A room whose prices come over a socket, and what was fired in it."""

    def __init__(self, room: Room, gun: Gun) -> None:
        self.room = room
        self.gun = gun
        self.connections: list[MarketConnection] = []
        self.answers: list[bytes] = []
        self.faults: list[str] = []
        self.peers: list[Peer] = []
        self.on_answer: Callable[[], None] = lambda: None

    def connect(self, route: StreamRoute = "market") -> MarketConnection:
        """Another connection, without its socket."""
        connection = MarketConnection(
            opened_ns=0,
            route=route,
            give=self.room.guard.market,
            on_answer=self.answer,
            on_fault=lambda error: self.faults.append(repr(error)),
            wanted=(),
            quiet_s=60,
        )
        self.connections.append(connection)
        return connection

    def answer(self, connection: MarketConnection, message: bytes) -> None:
        """As a lane does: what is no answer is data that is spelt in another way."""
        self.answers.append(message)
        self.on_answer()
        if not message.startswith(b'{"result"'):
            connection.delivered += 1
            self.room.guard.market("market", message)

    def read(self, *parts: bytes, by: int = 0) -> None:
        """Has a socket read this at once, whatever the network would make of it."""
        line: Any = self.connections[by].socket
        protocol = line._picows.underlying_transport.get_protocol()
        data = b"".join(parts)
        while data and protocol is not None:  # none is left where the connection has ended
            place = protocol.get_buffer(-1)
            size = min(len(place), len(data))
            place[:size] = data[:size]
            protocol.buffer_updated(size)
            data = data[size:]

    def told(self) -> Told:
        room = self.room
        exits: Sequence[Exit] = room.sender.exits
        return Told(
            exits=[(exit_.order_id, exit_.quantity, exit_.reasons) for exit_ in exits],
            decided=room.decided,
            lines=[*room.tape.lines],
            alarms=[one.kind for one in room.alarms],
            delivered=[connection.delivered for connection in self.connections],
            answers=self.answers,
            faults=self.faults,
            is_open=[connection.is_live for connection in self.connections],
        )


@asynccontextmanager
async def wired(
    way: str,
    *,
    plan: str = PLAN,
    options: SocketOptions = QUIET,
    entry: str = "100",
    routes: Sequence[StreamRoute] = ("market",),
) -> AsyncIterator[Wired]:
    """Positions of two symbols, their stops a hundredth below the entry and an order ready for each, behind sockets."""
    with pytest.MonkeyPatch.context() as patch:
        if way == "Python":
            patch.setattr(compiled, "hot", None)
        room = Room(toml=plan)
        gun = Gun(room)
        shots = Shots(
            room.guard.pump.engine, gun, order_ids("room"), audit=room.audit, clock=room.clock
        )
    room.guard.fire_ahead(shots, practises=True)
    for symbol in SYMBOLS:
        for price in (agg, mark):
            room.guard.market("market", price(f"{entry}.0", 1, symbol))
        room.position("2", entry, symbol=symbol)
    await turns(1)
    assert set(shots.last) | set(shots.mark) == set(SYMBOLS)

    made = Wired(room, gun)

    async def script(peer: Peer) -> None:
        await peer.accept()
        made.peers.append(peer)
        await peer.gone()

    async with serving(script) as url:
        for route in routes:
            connection = made.connect(route)
            connection.socket = (
                await SKINS[way].PicowsTransport().connect(url, connection, options=options)
            )
        lookout = type(made.room.guard._lookout).__module__
        assert lookout.endswith("_hot" if way == "compiled" else "lookout")
        yield made
        for connection in made.connections:
            connection.abort()


def text(message: bytes) -> bytes:
    """A message in a WebSocket frame of its own."""
    return frame(TEXT, message)
