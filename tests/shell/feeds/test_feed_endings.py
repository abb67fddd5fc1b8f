"""A feed that is cancelled leaves no task and no socket, at whatever moment it is."""

import asyncio
from typing import Any

import pytest
from feed_rig import BTC, ENVIRONMENT, World, run_virtually

from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.feeds.private_feed import PrivateFeed
from reactor.shell.transport.memory import MemoryTransport
from reactor.shell.transport.seam import Socket, SocketHandler, SocketOptions


def feed_of(kind: str, world: World) -> Any:
    after = (world.heard, world.audit, world.clock, world.config, world.chance)
    if kind == "market":
        feed = MarketFeed(world.network, ENVIRONMENT, *after)
        feed.want([BTC, "btcusdt@bookTicker"])
        return feed
    if kind == "private":
        return PrivateFeed(
            world.network,
            ENVIRONMENT,
            world,
            *after,
            add_secret=lambda _: None,
            on_gap=lambda _: None,
        )
    return OrderSocket(
        world.network, ENVIRONMENT, *after, on_up=lambda: None, on_down=lambda _: None
    )


ROUTES = {"market": "market", "private": "private", "order": "api"}


@pytest.mark.parametrize("kind", ROUTES)
def test_at_every_moment_of_a_start_a_drop_and_a_replacement(kind: str) -> None:
    async def story(moment_s: float) -> None:
        world = World()
        world.network._inner = MemoryTransport(world.driver, latency=lambda: 0.03)
        feed = feed_of(kind, world)
        async with world.running(feed):  # asserts what it left behind
            loop = asyncio.get_running_loop()
            replace = feed.replace if kind != "market" else lambda why: feed.replace("market", why)
            loop.call_later(0.3, lambda: world.door("/sim/connections", {"route": ROUTES[kind]}))
            loop.call_later(12.0, lambda: replace("a test wants it"))
            await asyncio.sleep(moment_s)

    for step in range(50):
        run_virtually(story(step * 0.013))
        run_virtually(story(11.99 + step * 0.053))


@pytest.mark.parametrize("kind", ROUTES)
def test_while_a_handshake_hangs(kind: str) -> None:
    class Hanging:
        name = "hanging"

        async def connect(
            self, url: str, handler: SocketHandler, *, options: SocketOptions
        ) -> Socket:
            await asyncio.Event().wait()
            raise AssertionError

    async def story() -> None:
        world = World()
        world.network._inner = Hanging()  # type: ignore[assignment]
        async with world.running(feed_of(kind, world)):
            await asyncio.sleep(5)

    run_virtually(story())


@pytest.mark.parametrize("kind", ROUTES)
def test_an_error_that_no_transport_should_raise_ends_nothing(kind: str) -> None:
    async def story() -> None:
        world = World()
        feed = feed_of(kind, world)
        inner = world.network._inner

        class Broken:
            async def connect(self, *_: object, **__: object) -> Socket:
                raise RuntimeError("a bug in a library, with signature=abcdef in it")

        world.network._inner = Broken()  # type: ignore[assignment]
        async with world.running(feed):
            await asyncio.sleep(20)
            assert set(world.alarms) == {"feed_fault"}
            assert "abcdef" not in str(world.events) + str(world.heard.links)
            world.network._inner = inner
            await asyncio.sleep(6)
            assert world.heard.states[-1].endswith(" up")

    run_virtually(story())
