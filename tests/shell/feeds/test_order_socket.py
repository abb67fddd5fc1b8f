"""Orders always have a socket to leave by, and every request has an answer or is named as without one."""

import asyncio
import base64
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from feed_rig import ENVIRONMENT, World, run_virtually, until

from reactor.binance.sign import signed_ws_params, ws_api_text
from reactor.shell.feeds.order_socket import LOGON_ID, UNANSWERED_MAX, OrderSocket

UP_DOWN_UP = ["order up", "order down+gap", "order up"]


class Gateway:
    """What the socket's owner notes."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[tuple[str, ...]] = []

    def on_up(self) -> None:
        self.ups += 1


def socket_of(
    world: World,
    gateway: Gateway,
    *,
    logon: Callable[[str], bytes] | None = None,
    hours: float = 23,
) -> OrderSocket:
    return OrderSocket(
        world.network,
        ENVIRONMENT,
        world.heard,
        world.audit,
        world.clock,
        msgspec.structs.replace(world.config, rotate_hours=hours),
        world.chance,
        logon=logon,
        on_up=gateway.on_up,
        on_down=gateway.downs.append,
    )


def play(story: Callable[[World, Gateway], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        await story(World(), Gateway())

    run_virtually(main())


def request(world: World, number: str | int, method: str = "v2/account.balance") -> bytes:
    params: dict[str, Any] = {
        "apiKey": "sim-key",
        "timestamp": world.clock.now_ns() // 1_000_000,
    }
    signed = signed_ws_params(params, secret="sim-secret")
    return orjson.dumps({"id": number, "method": method, "params": signed})


def test_a_request_leaves_in_the_same_turn_and_its_answer_comes_in() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        assert [socket.is_ready] == [False]
        assert not socket.send(b"{}")
        async with world.running(socket):
            await asyncio.sleep(1)
            assert socket.is_ready
            assert gateway.ups == 1
            assert socket.send(request(world, "r1"))
            assert socket.send(request(world, 2))
            await asyncio.sleep(0.1)
            assert [(one["id"], one["status"]) for one in world.heard.answers] == [
                ("r1", 200),
                (2, 200),
            ]
            assert world.heard.states == ["order up"]
        assert gateway.downs == [()]
        assert not socket.is_ready

    play(story)


def test_a_drop_names_the_requests_that_get_no_answer() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        async with world.running(socket):
            await asyncio.sleep(20)
            hang = {"do": "hang", "at": {"channel": "ws_api"}, "after": 1, "count": 2}
            world.door("/sim/faults", [hang])
            for number in ("answered", "lost", 7):
                assert socket.send(request(world, number))
            await asyncio.sleep(0.5)
            world.door("/sim/connections", {"how": "reset", "route": "api"})
            await until(lambda: gateway.ups == 2, within_s=0.5)
            assert gateway.downs == [("lost", "7")]
            assert [one["id"] for one in world.heard.answers] == ["answered"]
            assert world.heard.states == UP_DOWN_UP
            assert socket.send(request(world, "again"))
            await asyncio.sleep(0.1)
            assert world.heard.answers[-1]["id"] == "again"

    play(story)


def test_a_half_open_socket_is_found_before_an_order_finds_it() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        async with world.running(socket):
            await asyncio.sleep(100)
            world.door("/sim/connections", {"how": "half_open", "route": "api"})
            await until(lambda: gateway.downs == [()], within_s=13)
            await until(lambda: socket.is_ready, within_s=0.5)

    play(story)


def test_rotation_keeps_it_ready_and_loses_no_answer() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway, hours=0.05)
        async with world.running(socket):
            await asyncio.sleep(1)
            slow = {"do": "latency", "ms": 600, "at": {"channel": "ws_api"}, "count": 0}
            world.door("/sim/faults", [slow])
            for number in range(4000):
                assert socket.is_ready
                assert socket.send(request(world, number))
                await asyncio.sleep(0.25)
            await asyncio.sleep(2)
            assert sorted(one["id"] for one in world.heard.answers) == list(range(4000))
            assert gateway.downs == []
            assert gateway.ups == 1 + socket.state.rotations
            assert socket.state.rotations >= 5
            assert world.heard.states == ["order up"]
            assert world.network.open_sockets == 1

    play(story)


def test_a_replaced_socket_is_closed_in_time_and_its_debts_are_named() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        async with world.running(socket):
            await asyncio.sleep(11)
            world.door("/sim/faults", [{"do": "hang", "at": {"channel": "ws_api"}}])
            socket.send(request(world, "owed"))
            await asyncio.sleep(0.1)
            assert socket.replace("an answer is late")
            await asyncio.sleep(0.5)
            assert socket.is_ready
            assert gateway.downs == []
            await asyncio.sleep(2)
            assert gateway.downs == [("owed",)]
            assert world.heard.states[-1] == "order up"
            assert world.network.open_sockets == 1

    play(story)


def ed25519(world: World) -> Callable[[str], bytes]:
    """Makes the account's key an Ed25519 one; what signs with it."""
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    world.door("/sim/key", {"apiKey": "ed", "kind": "ED25519", "publicKey": pem.decode()})

    def logon(number: str) -> bytes:
        params: dict[str, Any] = {
            "apiKey": "ed",
            "timestamp": world.clock.now_ns() // 1_000_000,
        }
        signature = base64.b64encode(private.sign(ws_api_text(params).encode())).decode()
        params["signature"] = signature
        return orjson.dumps({"id": number, "method": "session.logon", "params": params})

    return logon


def unsigned(world: World, number: str) -> bytes:
    params = {"timestamp": world.clock.now_ns() // 1_000_000}
    return orjson.dumps({"id": number, "method": "v2/account.balance", "params": params})


def test_a_session_is_logged_on_before_it_is_ready_after_every_reconnect() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway, logon=ed25519(world), hours=0.02)
        async with world.running(socket):
            for turn in range(12):
                await until(lambda: socket.is_ready, within_s=1)
                assert socket.send(unsigned(world, f"r{turn}"))
                await asyncio.sleep(30)
                if turn % 4 == 0:
                    world.door("/sim/connections", {"how": "reset", "route": "api"})
                    assert not await_turns(socket)
            assert [one["status"] for one in world.heard.answers] == [200] * 12
            assert socket.state.rotations >= 1
            assert LOGON_ID not in str(world.heard.answers)

    play(story)


def await_turns(socket: OrderSocket) -> bool:
    """Whether it would take an order before its loop saw the end: its end has been carried already."""
    live = socket.live
    if live is not None and live.socket is not None:
        live.socket.abort()
    return socket.is_ready


def test_a_logon_that_is_refused_is_told_and_not_hammered() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        logon = ed25519(world)
        world.door("/sim/key", {"apiKey": "ed", "secret": "any", "revoke": True})
        socket = socket_of(world, gateway, logon=logon)
        async with world.running(socket):
            await asyncio.sleep(1800)
            assert not socket.is_ready
            assert set(world.alarms) == {"order_logon_refused"}
            assert 20 < len(world.network.dials) < 120
            assert world.heard.states == ["order down"]
            assert world.heard.answers == []

    play(story)


def test_a_revoked_key_ends_the_session_and_is_told() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        async with world.running(socket):
            await asyncio.sleep(20)
            live = socket.live
            assert live is not None
            said = {"id": None, "status": 401, "error": {"code": -2015, "msg": "Invalid API-key"}}
            live.on_message(orjson.dumps(said))
            assert not socket.is_ready
            await asyncio.sleep(1)
            assert world.alarms == ["order_key_revoked"]
            assert world.heard.states == UP_DOWN_UP
            assert world.heard.answers == []

    play(story)


def test_what_is_owed_is_bounded() -> None:
    async def story(world: World, gateway: Gateway) -> None:
        socket = socket_of(world, gateway)
        async with world.running(socket):
            await asyncio.sleep(20)
            world.door("/sim/connections", {"how": "mute", "route": "api"})
            for number in range(3 * UNANSWERED_MAX):
                socket.send(orjson.dumps({"id": number, "method": "ping", "params": {}}))
            await until(lambda: bool(gateway.downs), within_s=15)
            (owed,) = gateway.downs
            assert owed == tuple(map(str, range(2 * UNANSWERED_MAX, 3 * UNANSWERED_MAX)))

    play(story)
