"""An order that lies ready leaves once, whole, or not at all: the compiled trigger and `Gateway.fire` alike."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import orjson
import pytest
from feed_rig import ENVIRONMENT
from guard_room import HandClock
from raw_peer import TEXT, Peer, frame, serving

from reactor.audit import Audit
from reactor.binance.filters import SymbolFilters
from reactor.config import Config, StreamsConfig
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.gateway.aiming import SIGNED_AGE_MAX_NS, Aim
from reactor.shell.gateway.frames import MarketFrames
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.inbox import Inbox
from reactor.shell.rest.client import RestClient
from reactor.shell.transport.picows_skin import PicowsTransport
from reactor.shell.transport.seam import SocketOptions, Transport
from reactor.shell.transport.websockets_skin import WebsocketsTransport

pytestmark = pytest.mark.usefixtures("written")

SYMBOL = "BTCUSDT"
OPTIONS = SocketOptions(ping_interval_s=None)


class Nobody:
    """An inbox that nobody reads."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@dataclass
class Range:
    """A gateway in front of a peer that writes down what reaches it."""

    clock: HandClock = field(default_factory=HandClock)
    heard: list[bytes] = field(default_factory=list)
    contracts: dict[str, SymbolFilters] = field(default_factory=dict)
    hedge: bool = False
    socket: Any = None
    gateway: Any = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def aim(self, name: str = "first", padding: int = 0) -> Aim:
        params = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": "2"}
        params |= {"newClientOrderId": name + "x" * padding}
        aim = Aim(
            symbol=SYMBOL,
            quantity=Decimal(2),
            number=0,
            order_id=name,
            identity=name,
            params=params,
            hedge=self.hedge,
            filters=self.contracts.get(SYMBOL),
            begun=MarketFrames(None, 5000).begin(name, params),
            recv_window_ms=5000,
        )
        aim.sign(self.clock.ns // 1_000_000, now_ns=self.clock.ns)
        return aim

    def fire(self, aim: Aim, *, is_practice: bool = False) -> bool:
        trigger = self.gateway.trigger or self.gateway
        left: bool = trigger.fire(aim, self.clock.ns, is_practice=is_practice)
        return left

    @property
    def fired(self) -> list[str]:
        return list(self.gateway._sender.fired)

    def hear(self, message: bytes) -> None:
        self.heard.append(message)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def flushed(self) -> list[bytes]:
        """What reached the peer since the last time, before what is sent now."""
        assert self.socket.send(b"flush")
        await self.until(lambda: b"flush" in self.heard)
        heard, self.heard = self.heard[:-1], []
        return heard


@asynccontextmanager
async def at_range(
    transport: Transport, written: str, *, options: SocketOptions = OPTIONS, reads: bool = True
) -> AsyncIterator[Range]:
    made = Range()
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        while reads:
            try:
                opcode, payload = await peer.read()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if opcode == TEXT:
                made.hear(payload)
                if payload == b"break it":
                    peer.send(frame(3, b"no such opcode"))
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined] # of sockets
        await over.wait()

    async with serving(script) as url:
        clock, audit = made.clock, Audit()
        ups = asyncio.Event()
        made.socket = OrderSocket(
            transport,
            msgspec.structs.replace(ENVIRONMENT, ws_api=url),
            cast("Inbox", Nobody()),
            audit,
            clock,
            StreamsConfig(),
            Random(7),
            on_up=ups.set,
            on_down=lambda _ids: None,
            options=options,
        )
        made.gateway = Gateway(
            config=Config(mode="live"),
            socket=made.socket,
            rest=cast("RestClient", SimpleNamespace()),
            signer=None,
            inbox=cast("Inbox", Nobody()),
            audit=audit,
            clock=clock,
            hedge=lambda: made.hedge,
            contracts=made.contracts,
        )
        assert (made.gateway.trigger is not None) is (written == "compiled")
        task = asyncio.create_task(made.socket.run())
        async with asyncio.timeout(15):
            await ups.wait()
        yield made
        over.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=[PicowsTransport, WebsocketsTransport], ids=["picows", "websockets"])
def transport(request: pytest.FixtureRequest) -> Transport:
    made: Transport = request.param()
    return made


async def test_an_order_leaves_once_and_waits_for_its_decision(
    transport: Transport, written: str
) -> None:
    async with at_range(transport, written) as made:
        aim = made.aim()
        assert made.fire(aim)
        assert made.fired == ["first"]
        assert made.gateway._sender.fired["first"].frame == aim.frame
        assert made.socket.live.unanswered == ("first",)
        assert not made.fire(aim)
        assert made.fire(made.aim("second"))
        heard = await made.flushed()
        assert [orjson.loads(message)["id"] for message in heard] == ["first", "second"]
        assert heard[0] == aim.frame
        assert [fired.order_id for fired in made.gateway.unclaimed()] == ["first", "second"]


async def test_practice_sends_nothing(transport: Transport, written: str) -> None:
    async with at_range(transport, written) as made:
        aim = made.aim()
        for _ in range(300):
            assert not made.fire(aim, is_practice=True)
        aim.sign(made.clock.ns // 1_000_000 + 1, now_ns=made.clock.ns)
        assert not made.fire(aim, is_practice=True)
        assert made.fired == []
        assert await made.flushed() == []
        assert made.fire(aim)
        assert await made.flushed() == [aim.frame]


async def test_what_does_not_hold_any_more_is_not_sent(transport: Transport, written: str) -> None:
    async with at_range(transport, written) as made:
        aim = made.aim()
        made.hedge = True
        assert not made.fire(aim)
        made.hedge = False
        made.contracts[SYMBOL] = cast("SymbolFilters", object())
        assert not made.fire(aim)
        made.contracts.clear()
        made.clock.ns += SIGNED_AGE_MAX_NS
        assert not made.fire(aim)
        made.clock.ns -= 1
        aim.frame = b""
        assert not made.fire(aim)
        assert made.fired == []
        assert await made.flushed() == []
        aim.sign(1, now_ns=made.clock.ns)
        assert made.fire(aim)


async def test_nothing_is_sent_without_a_live_socket(transport: Transport, written: str) -> None:
    async with at_range(transport, written) as made:
        aim, live = made.aim(), made.socket.live
        made.socket.live = None
        assert not made.fire(aim)
        made.socket.live = live
        socket, live.socket = live.socket, None
        assert not made.fire(aim)
        live.socket = socket
        over, live.over = live.over, asyncio.get_running_loop().create_future()
        live.over.set_result("over")
        assert not made.fire(aim)
        live.over = over
        assert await made.flushed() == []
        live.socket.close()
        assert not made.fire(aim)
        assert made.fired == []


async def test_nothing_is_sent_once_the_peer_broke_a_rule(
    transport: Transport, written: str
) -> None:
    async with at_range(transport, written) as made:
        socket = made.socket.live.socket
        assert socket.send(b"break it")
        aim = made.aim()
        over = made.socket.live.over
        number = 0
        # picows ends the connection ten milliseconds after its farewell: what is fired meanwhile leaves, or is not fired.
        async with asyncio.timeout(15):
            while not over.done():
                made.fire(made.aim(f"order {(number := number + 1)}"))
                await asyncio.sleep(0)
        assert not made.fire(aim)
    assert [orjson.loads(one)["id"] for one in made.heard[1:]] == made.fired


async def test_an_order_that_the_peer_does_not_take_has_not_left(
    transport: Transport, written: str
) -> None:
    options = msgspec.structs.replace(OPTIONS, send_bytes_max=50_000)
    async with at_range(transport, written, options=options, reads=False) as made:
        names = (f"order {number}" for number in range(10**6))
        left = []
        while made.fire(aim := made.aim(next(names), padding=30_000)):
            left.append(aim.identity)
        assert made.fired == left
        assert not made.socket.is_ready
        assert not made.fire(made.aim("another"))
