"""Prices keep coming: over drops, outages, silence, rotation and changes of what is wanted."""

import asyncio
from collections.abc import Callable, Coroutine

import msgspec
import orjson
import pytest
from feed_rig import BTC, ENVIRONMENT, World, run_virtually, until

from reactor.errors import ConfigError
from reactor.shell.feeds.market_feed import MarketFeed
from reactor.shell.feeds.subscriptions import Subscriptions
from reactor.sim.exchange import Settings

BOOK = "btcusdt@bookTicker"
ETH = "ethusdt@markPrice@1s"
DOWN_UP = ["market down+gap", "market up"]


def feed_of(world: World, *, rotate_hours: float = 23.0) -> MarketFeed:
    config = msgspec.structs.replace(world.config, rotate_hours=rotate_hours)
    return MarketFeed(
        world.network,
        ENVIRONMENT,
        world.heard,
        world.audit,
        world.clock,
        config,
        world.chance,
    )


def play(
    story: Callable[[World], Coroutine[None, None, None]], settings: Settings | None = None
) -> None:
    async def main() -> None:
        await story(World(settings))

    run_virtually(main())


def test_each_stream_comes_by_its_own_route_and_only_up_is_told() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC, BOOK])
        async with world.running(feed):
            await asyncio.sleep(3.5)
            world.door("/sim/price", {"symbol": "BTCUSDT", "price": "81000"})
            await asyncio.sleep(1)
            assert world.heard.streams() == {BTC, BOOK}
            assert {route for _, route, _ in world.heard.messages} == {"market", "public"}
            assert sorted(world.heard.states) == ["market up", "public up"]
            assert feed.state["market"][0].phase == "up"
            assert feed.state["market"][0].delivered >= 4
        # An acknowledgement is no price.
        assert all(message.startswith(b'{"stream"') for _, _, message in world.heard.messages)
        assert world.alarms == []

    play(story)


def test_nothing_is_dialled_while_nothing_is_wanted_and_wishes_may_change_any_time() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        async with world.running(feed):
            await asyncio.sleep(60)
            assert world.network.dials == []
            feed.want([BTC])
            await asyncio.sleep(2)
            feed.want([ETH])
            await asyncio.sleep(1.1)
            changed_s = world.now_s
            await asyncio.sleep(3)
            assert world.heard.streams(changed_s) == {ETH}
            assert len(world.network.dials) == 1
            with pytest.raises(ConfigError, match="none of Binance's"):
                feed.want([BTC, "btcusdt@nonsense"])
            changed_s = world.now_s
            await asyncio.sleep(2)
            assert world.heard.streams(changed_s) == {ETH}

    play(story)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_dropped_socket_is_back_at_once_with_its_streams(how: str) -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC, ETH])
        async with world.running(feed):
            await asyncio.sleep(30)
            world.door("/sim/connections", {"how": how, "route": "market"})
            took_s = await until(lambda: world.heard.states[1:] == DOWN_UP, within_s=1.0)
            assert took_s < 0.1
            back_s = world.now_s
            await asyncio.sleep(1.5)
            assert world.heard.streams(back_s) == {BTC, ETH}
            assert feed.state["market"][0].drops == 1

    play(story)


def test_the_twentieth_drop_is_mended_as_fast_as_the_first() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            for count in range(20):
                await asyncio.sleep(30)
                world.door("/sim/connections", {"how": "reset", "route": "market"})
                await until(lambda n=count: feed.state["market"][0].drops > n, within_s=0.1)  # type: ignore[misc]
                await until(lambda: feed.state["market"][0].phase == "up", within_s=0.1)

    play(story)


def test_a_drop_does_not_wait_for_a_rotation_that_was_put_off() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world, rotate_hours=0.1)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(1)
            world.network.refusals.extend(["HTTP 429 Too Many Requests"] * 1000)
            await asyncio.sleep(1000)  # the attempts are many seconds apart by now
            assert world.heard.states == ["market up"]
            world.network.refusals.clear()
            world.door("/sim/connections", {"how": "reset", "route": "market"})
            await until(lambda: world.heard.states[1:] == DOWN_UP, within_s=0.1)

    play(story)


@pytest.mark.parametrize("outage_s", [0.5, 7.0, 90.0, 600.0])
def test_after_an_outage_prices_are_back_within_a_second(outage_s: float) -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC, BOOK])
        async with world.running(feed):
            await asyncio.sleep(30)
            world.network.is_out = True
            world.network.drop_all()
            await asyncio.sleep(outage_s)
            world.network.is_out = False
            await until(lambda: feed.state["market"][0].phase == "up", within_s=1.0)
            assert world.heard.states.count("market down+gap") == 1
            # Nor does it hammer: two sockets, a draw of up to 0.8 s each time.
            assert len(world.network.dials) < 20 + outage_s * 2 * 3.5

    play(story)


def test_who_accepts_and_hangs_up_is_not_dialled_all_the_time() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            start_s = world.now_s
            while world.now_s - start_s < 300:
                world.door("/sim/connections", {"how": "reset", "route": "market"})
                await asyncio.sleep(0.02)
            assert 60 < len(world.network.dials) < 200

    play(story)


def test_a_ban_is_waited_out_longer_than_an_outage() -> None:
    async def story(world: World) -> None:
        world.network.refusals.extend(["HTTP 418 I'm a Teapot"] * 1000)
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(600)
            assert len(world.network.dials) < 60
            assert world.heard.states == ["market down"]

    play(story)


def test_a_half_open_socket_is_found_by_asking_it() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(30)
            world.door("/sim/connections", {"how": "half_open", "route": "market"})
            took_s = await until(lambda: world.heard.states[1:] == DOWN_UP, within_s=10)
            assert 6.0 < took_s < 9.0
            assert "no answer" in world.heard.links[1][1].reason
            assert world.heard.longest_silence_s() < 10

    play(story)


def test_answers_without_data_are_told_as_silence_and_the_socket_is_replaced() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(30)
            lose = {"do": "lose", "at": {"route": "market"}, "count": 0}
            world.door("/sim/faults", [lose])
            took_s = await until(lambda: "market silent+gap" in world.heard.states, within_s=15)
            assert 9.0 < took_s < 13.0
            assert world.alarms == ["feed_mute"]
            # A closed market is not reconnected to every ten seconds for ever.
            await asyncio.sleep(1800)
            assert 12 < len(world.network.dials) < 30
            assert world.heard.states == ["market up", "market silent+gap"]
            assert feed.state["market"][0].phase == "silent"
            world.clear_faults()
            await until(lambda: world.heard.states[-1] == "market up", within_s=2)
            assert world.network.open_sockets <= 2

    play(story)


def test_a_quiet_book_is_no_fault_for_half_a_minute_and_a_rare_question_after() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC, BOOK])
        async with world.running(feed):
            await asyncio.sleep(1)
            lose = {"do": "lose", "at": {"route": "public"}, "count": 0}
            world.door("/sim/faults", [lose])
            await asyncio.sleep(50)
            assert world.alarms == []
            assert "public down+gap" not in world.heard.states
            assert len(world.network.dials) == 2

    play(story)


def test_rotation_leaves_no_moment_without_prices() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world, rotate_hours=0.1)
        feed.want([BTC, ETH])
        async with world.running(feed):
            await asyncio.sleep(3600)
            assert world.heard.states == ["market up"]
            assert world.changes.count("market replaced") == feed.state["market"][0].rotations
            assert 10 <= feed.state["market"][0].rotations <= 11
            assert world.heard.longest_silence_s() < 1.01
            assert world.network.open_sockets == 1
            assert world.alarms == []

    play(story)


def test_rotation_waits_while_the_new_socket_is_deaf_and_the_old_one_is_not() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world, rotate_hours=0.1)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(1)
            first = next(iter(world.simulation.hub.connections))
            faults = [
                {"do": "lose", "at": {"connection": str(number)}, "count": 0}
                for number in range(first + 1, first + 40)
            ]
            world.door("/sim/faults", faults)
            await asyncio.sleep(450)
            assert world.heard.states == ["market up"]
            assert world.heard.longest_silence_s() < 1.01
            assert feed.state["market"][0].rotations == 0
            assert feed.state["market"][0].failures > 3
            world.clear_faults()
            await asyncio.sleep(20)
            assert feed.state["market"][0].rotations == 1
            assert world.heard.states == ["market up"]

    play(story)


def test_the_exchange_ending_a_socket_at_its_age_is_only_a_drop() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world, rotate_hours=24.0)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(2000)
            assert feed.state["market"][0].phase == "up"
            assert feed.state["market"][0].drops == 3
            assert world.heard.longest_silence_s() < 2.01  # one price was lost each time

    play(story, Settings(connection_ms=600_000))


def test_a_replacement_on_request_keeps_a_gap_only_where_the_old_one_was_deaf() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(10.5)
            feed.replace("market", "ETHUSDT is blind")
            feed.replace("market", "ETHUSDT is blind")  # once is enough
            feed.replace("public", "nothing is there")
            await asyncio.sleep(3)
            feed.replace("market", "ETHUSDT is blind")  # it has had no time to prove itself
            await asyncio.sleep(10)
            assert len(world.network.dials) == 2
            # The new one delivers with the same tick as the old one: nobody missed a thing.
            assert world.heard.states == ["market up"]
            world.door("/sim/connections", {"how": "mute", "route": "market"})
            await asyncio.sleep(2.5)
            feed.replace("market", "BTCUSDT is blind")
            await asyncio.sleep(5)
            assert world.heard.states == ["market up", *DOWN_UP]
            assert world.heard.links[1][1].reason == "BTCUSDT is blind"
            assert world.network.open_sockets == 1

    play(story)


def test_more_streams_than_a_socket_takes_get_a_second_one() -> None:
    names = [f"s{number}usdt@aggTrade" for number in range(1500)]

    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC, *names])
        async with world.running(feed):
            await until(lambda: world.heard.states == ["market up"], within_s=5)
            carried = [
                set(connection.streams) for connection in world.simulation.hub.connections.values()
            ]
            assert sorted(map(len, carried)) == [477, 1024]
            assert set.union(*carried) == {BTC, *names}
            feed.want([BTC, *names[1200:]])  # Whoever stays, stays where it is.
            await asyncio.sleep(3)
            kept = [set(one.streams) for one in world.simulation.hub.connections.values()]
            assert sorted(map(len, kept)) == [1, 300]
            assert all(any(new <= old for old in carried) for new in kept)

    play(story)


def test_no_second_sees_more_messages_than_the_exchange_allows() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            for number in range(400):
                feed.want([BTC, f"s{number}usdt@aggTrade"])
                await asyncio.sleep(0.01)
            await asyncio.sleep(3)
            (connection,) = world.simulation.hub.connections.values()
            assert set(connection.streams) == {BTC, "s399usdt@aggTrade"}
            assert feed.state["market"][0].drops == 0  # the 11th message would have cost the socket

    play(story)


def test_an_unacknowledged_subscription_costs_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        with monkeypatch.context() as patched:
            patched.setattr(Subscriptions, "answer", lambda *_: "")
            async with world.running(feed):
                await asyncio.sleep(5.5)
                assert "not acknowledged" in world.heard.links[0][1].reason

    play(story)


def test_a_refused_stream_is_told_and_the_others_go_on() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        hub = world.simulation.hub
        control = hub._control

        def refuse(connection, text):  # type: ignore[no-untyped-def]
            message = orjson.loads(text)
            if ETH in message.get("params", ()):
                return {"error": {"code": 2, "msg": "Invalid request: no"}, "id": message["id"]}
            return control(connection, text)

        hub._control = refuse  # type: ignore[method-assign]
        async with world.running(feed):
            await asyncio.sleep(1)
            feed.want([BTC, ETH])
            await asyncio.sleep(60)
            assert world.alarms == ["stream_refused"]
            assert world.heard.streams() == {BTC}
            assert world.heard.states == ["market up"]

    play(story)


def test_data_spelt_in_another_way_is_still_data() -> None:
    async def story(world: World) -> None:
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(1)
            (lane,) = feed._lanes["market"]
            live = lane.live
            assert live is not None
            before = live.delivered
            for frame in (b'{ "stream":"a","data":{}}', b'{"data":{},"stream":"a"}', b"not json"):
                live.on_message(frame)
                assert world.heard.messages[-1][2] == frame
            live.on_message(b'{"id":99,"result":null}')
            assert world.heard.messages[-1][2] == b"not json"
            assert live.delivered == before + 3

    play(story)


def test_an_inbox_that_fails_ends_nothing_and_is_told_now_and_then() -> None:
    async def story(world: World) -> None:
        def fail(*_: object) -> None:
            raise ZeroDivisionError("listenKey=abc")

        world.heard.market = fail  # type: ignore[assignment]
        feed = feed_of(world)
        feed.want([BTC])
        async with world.running(feed):
            await asyncio.sleep(100)
            assert world.heard.states == ["market up"]
            assert set(world.alarms) == {"feed_fault"}
            assert 5 <= len(world.alarms) <= 8  # the 1st, 2nd, 4th … of a hundred
            assert "abc" not in str(world.events)

    play(story)
