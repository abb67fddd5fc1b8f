"""Events of the account keep coming: whatever ends the socket, the key, or the network under them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import orjson
import pytest
from feed_rig import ENVIRONMENT, World, run_virtually, until

from reactor.shell.feeds.private_feed import PrivateFeed
from reactor.sim.exchange import Settings


class Owner:
    """What the feed's owner notes."""

    def __init__(self) -> None:
        self.secrets: list[bytes] = []
        self.gaps: list[str] = []


def feed_of(world: World, owner: Owner, **options: Any) -> PrivateFeed:
    config = msgspec.structs.replace(world.config, **options)
    return PrivateFeed(
        world.network,
        ENVIRONMENT,
        world,
        world.heard,
        world.audit,
        world.clock,
        config,
        world.chance,
        add_secret=owner.secrets.append,
        on_gap=owner.gaps.append,
    )


Story = Callable[[World, Owner], Coroutine[None, None, None]]


def play(story: Story, settings: Settings | None = None) -> None:
    async def main() -> None:
        await story(World(settings), Owner())

    run_virtually(main())


def deal(world: World, quantity: str = "0.01") -> None:
    """Makes something happen on the account."""
    world.door("/sim/position", {"symbol": "BTCUSDT", "quantity": quantity})


async def hears(world: World) -> bool:
    """Whether what happens on the account is heard, and its whole."""
    before = len(world.heard.account)
    deal(world)
    await asyncio.sleep(0.1)
    events = {orjson.loads(message)["e"] for message in world.heard.account[before:]}
    return events >= {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"}


def key_of(world: World) -> str:
    return world.simulation.exchange.accounts["main"].listen_key


@pytest.mark.parametrize("form", ["query", "path"])
def test_both_forms_deliver_and_the_key_is_registered_before_it_is_used(form: str) -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner, private_form=form)
        async with world.running(feed):
            await asyncio.sleep(1)
            assert await hears(world)
            assert owner.secrets == [key_of(world).encode()]
            assert owner.gaps == ["started"]
            assert world.heard.states == ["private up"]
            assert ("?listenKey=" in world.network.dials[0][1]) == (form == "query")
        assert key_of(world) not in str(world.events) + str(world.heard.links) + repr(feed._key)

    play(story)


def test_a_day_of_silence_costs_a_renewal_each_half_hour_and_nothing_else() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(20 * 3600)
            methods = [method for _, method in world.rest_calls]
            assert methods == ["POST"] + ["PUT"] * 39
            assert len(world.network.dials) == 1
            assert await hears(world)
            assert owner.gaps == ["started"]
            assert world.alarms == []

    play(story)


def test_rotation_overlaps_with_the_same_key_and_asks_for_a_reconciliation() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner, rotate_hours=0.5)
        async with world.running(feed):
            await asyncio.sleep(1)
            deaf = 0
            for turn in range(3600):
                before = len(world.heard.account)
                deal(world, "-0.01" if turn % 2 else "0.01")
                await asyncio.sleep(1)
                deaf += len(world.heard.account) == before
            assert deaf == 0
            assert world.heard.states == ["private up"]
            assert owner.gaps == ["started", "planned rotation", "planned rotation"]
            assert len(set(owner.secrets)) == 1
            assert world.network.open_sockets == 1

    play(story)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_dropped_socket_is_back_at_once_and_the_owner_reconciles(how: str) -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(20)
            world.door("/sim/connections", {"how": how, "route": "private"})
            await until(lambda: len(owner.gaps) == 2, within_s=0.2)
            assert world.heard.states == ["private up", "private down+gap", "private up"]
            assert await hears(world)
            assert world.alarms == []

    play(story)


def test_a_half_open_socket_is_found_by_its_pings() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.door("/sim/connections", {"how": "half_open", "route": "private"})
            await until(lambda: len(owner.gaps) == 2, within_s=13)
            assert await hears(world)

    play(story)


@pytest.mark.parametrize("outage_s", [1.0, 60.0, 600.0])
def test_after_an_outage_of_everything_it_is_back_within_a_second(outage_s: float) -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.network.is_out = world.rest_is_out = True
            world.network.drop_all()
            await asyncio.sleep(outage_s)
            world.network.is_out = world.rest_is_out = False
            await until(lambda: len(owner.gaps) == 2, within_s=1.0)
            assert await hears(world)

    play(story)


def test_a_key_that_is_still_valid_serves_while_rest_is_away() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.rest_is_out = True
            world.door("/sim/connections", {"how": "reset", "route": "private"})
            await until(lambda: len(owner.gaps) == 2, within_s=1.0)
            assert await hears(world)

    play(story)


def test_a_key_deleted_by_somebody_else_is_replaced_at_once_and_told() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.door("/sim/listen-key", {"do": "expire"})  # with a notice
            await until(lambda: len(owner.gaps) == 2, within_s=0.5)
            assert owner.gaps[1] == "the listen key expired"
            assert world.heard.states == ["private up", "private down+gap", "private up"]
            assert world.alarms == ["listen_key_deleted"]
            assert len(set(owner.secrets)) == 2
            assert await hears(world)
            assert world.network.open_sockets == 1

    play(story)


def test_a_key_deleted_without_a_word_is_found_by_its_renewal() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.door("/sim/listen-key", {"do": "delete"})
            assert not await hears(world)
            await asyncio.sleep(1800)
            assert len(owner.gaps) == 2
            assert "no such key" in owner.gaps[1]
            assert world.alarms == ["listen_key_deleted"]
            assert await hears(world)

    play(story)


def test_who_deletes_it_again_and_again_is_named_and_not_fought() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            start_s = world.now_s
            while world.now_s - start_s < 1800:
                if key_of(world):
                    world.door("/sim/listen-key", {"do": "expire"})
                await asyncio.sleep(0.1)
            assert world.alarms[:3] == ["listen_key_deleted", "second_instance", "second_instance"]
            asked = sum(method == "POST" for _, method in world.rest_calls)
            assert 30 < asked < 120  # a draw of up to a minute each time
            await until(lambda: bool(key_of(world)), within_s=61)
            await asyncio.sleep(1)
            assert await hears(world)

    play(story)


def test_a_key_that_dies_of_age_is_no_alarm() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(1)
            world.rest_is_out = True
            await asyncio.sleep(3605)
            assert world.heard.states[1:] == ["private down+gap"]
            assert world.alarms == []
            world.rest_is_out = False
            await until(lambda: len(owner.gaps) == 2, within_s=1.0)
            assert await hears(world)

    play(story)


def test_a_second_deletion_hours_later_is_again_a_first_one() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            for _ in range(2):
                await asyncio.sleep(10_800)
                world.door("/sim/listen-key", {"do": "expire"})
            await asyncio.sleep(1000)
            assert world.alarms == ["listen_key_deleted"] * 2
            world.door("/sim/listen-key", {"do": "expire"})
            await asyncio.sleep(1)
            assert world.alarms[2:] == ["second_instance"]

    play(story)


def test_an_expiry_of_another_key_or_a_client_id_of_that_name_ends_nothing() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(1)
            live = feed.live
            assert live is not None
            for event in (
                {"e": "listenKeyExpired", "E": "1", "listenKey": "of-last-week"},
                {"e": "ORDER_TRADE_UPDATE", "o": {"c": "listenKeyExpired"}},
                ["listenKeyExpired"],
            ):
                live.on_message(orjson.dumps(event))
            live.on_message(b"listenKeyExpired {")
            await asyncio.sleep(1)
            assert len(world.network.dials) == 1
            assert len(world.heard.account) == 4  # heard all the same
            # In an envelope, without a key: it can only be ours.
            live.on_message(b'{"stream":"k","data":{"e":"listenKeyExpired"}}')
            await until(lambda: len(owner.gaps) == 2, within_s=1)

    play(story)


def test_another_key_in_the_answer_to_a_renewal_gets_a_new_socket_with_overlap() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(100)
            world.rest_says.append((200, {"listenKey": "x" * 64}))
            await asyncio.sleep(1800)
            assert owner.gaps == ["started", "the listen key changed"]
            assert "x" * 64 not in world.network.dials[1][1]  # asked again before it was used
            assert ("x" * 64).encode() in owner.secrets
            assert await hears(world)
            assert world.network.open_sockets == 1

    play(story)


def test_a_renewal_that_fails_is_repeated_once_and_then_everything_is_made_anew() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(1)
            refused = (503, {"msg": "Service Unavailable."})
            world.rest_says.append(refused)
            await asyncio.sleep(1830)
            assert len(world.network.dials) == 1  # the repetition was enough
            world.rest_says.extend([refused, refused])
            await asyncio.sleep(1900)
            assert len(world.network.dials) == 2
            assert owner.gaps[1].startswith("keepalive failed twice")
            methods = [method for _, method in world.rest_calls]
            assert methods == ["POST", "PUT", "PUT", "PUT", "PUT", "POST", "POST"]
            assert await hears(world)

    play(story)


def test_an_api_key_that_is_refused_is_told_and_not_hammered() -> None:
    async def story(world: World, owner: Owner) -> None:
        world.rest_says.extend([(401, {"code": -2015, "msg": "Invalid API-key"})] * 500)
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(300)
            assert set(world.alarms) == {"api_key_refused"}
            assert 50 < len(world.rest_calls) < 200
            assert world.heard.states == ["private down"]
            world.rest_says.clear()
            await until(lambda: world.heard.states[-1] == "private up", within_s=6)

    play(story)


def test_a_form_that_is_refused_is_exchanged_for_the_other() -> None:
    async def story(world: World, owner: Owner) -> None:
        world.network.refusals.append("HTTP 400 Bad Request")
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(1)
            assert "/private/ws?" in world.network.dials[0][1]
            assert "/private/ws/" in world.network.dials[1][1]
            assert await hears(world)
            assert "private form" in world.changes

    play(story)


def test_a_form_that_stays_dead_is_exchanged_but_a_proven_one_is_kept() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            for _ in range(3):
                await asyncio.sleep(6)
                world.door("/sim/connections", {"how": "close", "route": "private"})
            await asyncio.sleep(6)
            assert feed.form == "path"
            assert await hears(world)
            for _ in range(9):
                await asyncio.sleep(6)
                world.door("/sim/connections", {"how": "close", "route": "private"})
            assert feed.form == "path"
            await asyncio.sleep(16)
            assert feed.replace("events are missing")
            await asyncio.sleep(3)
            assert feed.form == "path"

    play(story)


def test_a_socket_that_never_spoke_is_replaced_by_the_other_form_on_request() -> None:
    async def story(world: World, owner: Owner) -> None:
        feed = feed_of(world, owner)
        async with world.running(feed):
            await asyncio.sleep(60)
            assert feed.replace("a fill was not told")
            await asyncio.sleep(3)
            assert feed.form == "path"
            assert owner.gaps == ["started", "a fill was not told"]
            assert world.network.open_sockets == 1

    play(story)


def test_an_owner_that_fails_ends_nothing() -> None:
    async def story(world: World, owner: Owner) -> None:
        def fail(cause: str) -> None:
            raise ZeroDivisionError(cause)

        feed = feed_of(world, owner)
        feed._on_gap = fail
        async with world.running(feed):
            await asyncio.sleep(20)
            world.door("/sim/connections", {"how": "reset", "route": "private"})
            await asyncio.sleep(3)
            assert await hears(world)
            assert set(world.alarms) == {"feed_fault"}

    play(story)
