"""The feeds over real sockets, by both skins: what a network in memory could be hiding.

Nothing here measures time: every wait ends when what is waited for has come about.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import orjson
import pytest
from feed_rig import BTC, Heard

from reactor.audit import AlarmRaised, Audit, AuditEvent
from reactor.binance.sign import signed_ws_params
from reactor.binance.urls import Environment, simulated
from reactor.clock import SystemClock
from reactor.config import StreamsConfig
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.feeds.private_feed import PrivateFeed
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.transport.choose import create_transport
from reactor.shell.transport.seam import SocketOptions, Transport
from reactor.sim.exchange import Settings
from reactor.sim.rest import Request
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation

PATIENCE_S = 60.0
"""Only a failing test waits this long."""
BOOK = "btcusdt@bookTicker"
S_IN_HOURS = 1 / 3600
IMPATIENT = SocketOptions(ping_interval_s=0.4, ping_timeout_s=0.4)


class Site:
    """A simulated exchange on a port, and who listens to it."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self.transport = transport
        self.clock = SystemClock()
        self.simulation = Simulation(now_ms=self.clock.now_ns() // 1_000_000, settings=settings)
        self.server = Server(self.simulation)
        self.heard = Heard(self.clock)
        self.audit = Audit()
        self.events: list[AuditEvent] = []
        self.audit.watch(self.events.append)
        self.chance = random.Random(3)
        self.gaps: list[str] = []
        self.downs: list[tuple[str, ...]] = []

    @property
    def environment(self) -> Environment:
        return simulated(f"http://127.0.0.1:{self.server.port}")

    @property
    def alarms(self) -> list[str]:
        return [event.what.kind for event in self.events if isinstance(event.what, AlarmRaised)]

    def config(self, rotate_s: float = 80_000.0) -> StreamsConfig:
        return StreamsConfig(rotate_hours=rotate_s * S_IN_HOURS)

    def door(self, path: str, body: Any) -> None:
        response = self.simulation.request(
            Request(method="POST", path=path, body=orjson.dumps(body).decode())
        )
        assert response.status == 200, response.body
        self.server.flush()

    def price(self, price: str) -> None:
        self.door("/sim/price", {"symbol": "BTCUSDT", "price": price})

    async def send(self, method: str, path: str, params: Any = None, **_: Any) -> RestAnswer:
        """The listen key's requests; they have their own tests over HTTP."""
        asked_ns = self.clock.now_ns()
        response = self.simulation.request(
            Request(method=method, path=path, headers={"x-mbx-apikey": "sim-key"})
        )
        self.server.flush()
        return RestAnswer(
            method=method,
            path=path,
            params={},
            status=response.status,
            body=response.body,
            asked_ns=asked_ns,
            t_ns=self.clock.now_ns(),
        )

    def market(self, config: StreamsConfig) -> MarketFeed:
        return MarketFeed(
            self.transport,
            self.environment,
            self.heard,
            self.audit,
            self.clock,
            config,
            self.chance,
        )

    def private(self, config: StreamsConfig, **options: Any) -> PrivateFeed:
        return PrivateFeed(
            self.transport,
            self.environment,
            self,
            self.heard,
            self.audit,
            self.clock,
            config,
            self.chance,
            add_secret=lambda _: None,
            on_gap=self.gaps.append,
            **options,
        )

    def orders(self, config: StreamsConfig, **options: Any) -> OrderSocket:
        return OrderSocket(
            self.transport,
            self.environment,
            self.heard,
            self.audit,
            self.clock,
            config,
            self.chance,
            on_up=lambda: None,
            on_down=self.downs.append,
            **options,
        )

    @contextlib.asynccontextmanager
    async def running(self, feed: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(feed.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await until(lambda: not self.simulation.hub.connections)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 -- the condition is the exchange's
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def site(skin: str, **settings: Any) -> AsyncIterator[Site]:
    transport, missing = create_transport(skin)
    if missing:
        pytest.skip(missing)
    place = Site(transport, Settings(**settings))
    await place.server.start()
    try:
        yield place
    finally:
        await place.server.stop()
        assert place.server.errors == 0


SKINS = pytest.mark.parametrize("skin", ["picows", "websockets"])


@SKINS
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_prices_come_back_after_a_drop(skin: str, how: str) -> None:
    async with site(skin) as place:
        feed = place.market(place.config())
        feed.want([BTC, BOOK])
        async with place.running(feed):
            await until(lambda: len(place.heard.links) == 2)
            place.price("81000")
            await until(lambda: place.heard.streams() == {BTC, BOOK})
            place.door("/sim/connections", {"how": how, "route": "market"})
            await until(lambda: place.heard.states.count("market up") == 2)
            assert place.heard.states.count("market down+gap") == 1
            place.price("82000")
            await until(lambda: any(b'"p":"82000' in one for _, _, one in place.heard.messages))
        assert place.alarms == []


@SKINS
async def test_sockets_are_rotated_before_the_exchange_ends_them(skin: str) -> None:
    async with site(skin) as place:
        feed = place.market(place.config(rotate_s=0.5))
        feed.want([BTC])
        async with place.running(feed):
            await until(lambda: feed.state["market"][0].rotations >= 2)
            assert place.heard.states == ["market up"]


@SKINS
async def test_sockets_that_the_exchange_ends_by_age_are_made_anew(skin: str) -> None:
    async with site(skin, connection_ms=400, ping_ms=100) as place:
        socket = place.orders(place.config())
        async with place.running(socket):
            await until(lambda: socket.state.drops >= 2)
            await until(lambda: socket.is_ready)
            assert place.heard.states[:3] == ["order up", "order down+gap", "order up"]


@SKINS
async def test_an_order_is_answered_or_named_as_unanswered(skin: str) -> None:
    async with site(skin) as place:
        socket = place.orders(place.config())
        async with place.running(socket):
            await until(lambda: socket.is_ready)
            for number in ("answered", "lost"):
                params = signed_ws_params(
                    {"apiKey": "sim-key", "timestamp": place.clock.now_ns() // 1_000_000},
                    secret="sim-secret",
                )
                frame = {"id": number, "method": "v2/account.balance", "params": params}
                assert socket.send(orjson.dumps(frame))
                if number == "answered":
                    await until(lambda: place.heard.answers)
                    assert place.heard.answers[0]["status"] == 200
                    place.door("/sim/faults", [{"do": "hang", "at": {"channel": "ws_api"}}])
            place.door("/sim/connections", {"how": "reset", "route": "api"})
            await until(lambda: place.downs)
            assert place.downs == [("lost",)]
            await until(lambda: socket.is_ready)


@SKINS
@pytest.mark.parametrize("route", ["private", "api"])
async def test_a_half_open_socket_is_found_by_its_pings(skin: str, route: str) -> None:
    async with site(skin) as place:
        make = place.private if route == "private" else place.orders
        feed = make(place.config(), options=IMPATIENT)
        async with place.running(feed):
            await until(lambda: feed.state.phase == "up")
            place.door("/sim/connections", {"how": "half_open", "route": route})
            await until(lambda: len(place.heard.links) == 3)
            assert "half-open" in place.heard.links[1][1].reason


@SKINS
@pytest.mark.parametrize(("do", "form"), [("expire", "query"), ("delete", "path")])
async def test_events_come_again_after_the_key_died(skin: str, do: str, form: Any) -> None:
    async with site(skin) as place:
        config = msgspec.structs.replace(place.config(), private_form=form)
        # Without a notice only the next renewal finds out.
        feed = place.private(config, keepalive_s=0.3)
        async with place.running(feed):
            await until(lambda: place.gaps)
            place.door("/sim/listen-key", {"do": do})
            await until(lambda: len(place.gaps) == 2)
            assert place.alarms == ["listen_key_deleted"]
            place.door("/sim/position", {"symbol": "BTCUSDT", "quantity": "0.01"})
            await until(lambda: any(b"ORDER_TRADE_UPDATE" in one for one in place.heard.account))
