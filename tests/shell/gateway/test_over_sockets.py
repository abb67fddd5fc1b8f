"""The same over real sockets on loopback: both ways out, both kinds of keys."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from reactor.audit import Audit
from reactor.binance.orders import client_order_id
from reactor.binance.urls import simulated
from reactor.clock import SystemClock
from reactor.config import config_from_tables
from reactor.core.budget import Budget
from reactor.core.decisions import Exit, Reason
from reactor.shell.feeds.order_socket import OrderSocket
from reactor.shell.gateway.frames import logon_frame
from reactor.shell.gateway.gateway import Gateway
from reactor.shell.inbox import Command, Link
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.client import RestClient
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.shell.rest_seam import RestAnswer
from reactor.shell.transport.picows_skin import PicowsTransport
from reactor.sim.clock import RealClock
from reactor.sim.rest import Request
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation


class Post:
    """An inbox that keeps what comes."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.answered = asyncio.Event()
        self.on_answer: Callable[[bytes], object] = lambda _message: None

    def market(self, route: str, message: bytes, more: bool = False) -> None:
        raise AssertionError(route, message)

    def private(self, message: bytes) -> None:
        raise AssertionError(message)

    def order_sent(self, message: bytes) -> None:
        self.sent.append(json.loads(message))

    def order_answer(self, message: bytes) -> None:
        self.answers.append(json.loads(message))
        self.on_answer(message)
        self.answered.set()

    def rest(self, answer: RestAnswer) -> None:
        del answer

    def link(self, link: Link) -> None:
        del link

    def command(self, command: Command) -> None:
        raise AssertionError(command)


def keys(server: Server, kind: str) -> Credentials:
    if kind == "HMAC":
        return Credentials("sim-key", "sim-secret")
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    control(
        server,
        "/sim/key",
        {"apiKey": "ed-key", "kind": "ED25519", "publicKey": public.decode(), "canTrade": True},
    )
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials("ed-key", secret.decode())


def control(server: Server, path: str, body: dict[str, Any]) -> None:
    response = server.simulation.request(Request(method="POST", path=path, body=json.dumps(body)))
    assert response.status == 200, response.body


@asynccontextmanager
async def floor(kind: str, over: str) -> AsyncIterator[tuple[Gateway, Post, Server]]:
    server = Server(Simulation(now_ms=RealClock().now_ms()))
    port = await server.start()
    root = simulated(f"http://127.0.0.1:{port}")
    clock, audit, post, up = SystemClock(), Audit(), Post(), asyncio.Event()
    credentials = keys(server, kind)
    config = config_from_tables({"mode": "live", "orders": {"over": over}}, source="test")
    transport = AiohttpRest()
    server_time = ServerTime(clock, audit)
    rest = RestClient(
        transport,
        root,
        credentials,
        clock,
        Budget(),
        server_time=server_time,
        rng=random.Random(1),
    )
    logs_on = kind != "HMAC"
    socket = OrderSocket(
        PicowsTransport(),
        root,
        post,
        audit,
        clock,
        config.streams,
        random.Random(1),
        logon=(
            lambda identity: logon_frame(
                identity,
                signer=credentials,
                timestamp_ms=server_time.timestamp_ms(clock.now_ns()),
                recv_window_ms=5000,
            )
        )
        if logs_on
        else None,
        on_up=up.set,
        on_down=lambda _ids: None,
    )
    gateway = Gateway(
        config=config,
        socket=socket,
        rest=rest,
        signer=None if logs_on else credentials,
        inbox=post,
        audit=audit,
        clock=clock,
        hedge=lambda: False,
        contracts={},
    )
    post.on_answer = gateway.on_answer
    running = asyncio.get_running_loop().create_task(socket.run())
    try:
        async with asyncio.timeout(10):
            await up.wait()
        yield gateway, post, server
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await gateway.close()
        await transport.close()
        await server.stop()


def close_of(quantity: str) -> Exit:
    return Exit(
        t_ns=1,
        tick=1,
        symbol="BTCUSDT",
        side="LONG",
        epoch=1,
        number=1,
        attempt=0,
        order_id=client_order_id(
            instance="test",
            symbol="BTCUSDT",
            side="LONG",
            epoch_opened_ns=1,
            epoch_number=1,
            decision=1,
        ),
        full=True,
        reasons=(Reason.STOP_LOSS,),
        price=Decimal(80_000),
        quantity=Decimal(quantity),
        remaining=Decimal(0),
        stop=Decimal(80_000),
    )


@pytest.mark.parametrize("kind", ["HMAC", "ED25519"])
@pytest.mark.parametrize("over", ["ws_api", "rest"])
async def test_an_exit_leaves_and_is_filled(kind: str, over: str) -> None:
    async with floor(kind, over) as (gateway, post, server):
        control(server, "/sim/position", {"symbol": "BTCUSDT", "quantity": "0.4"})
        frames = gateway.send(close_of("0.4"), t_event_ms=1, t_recv_ns=1)
        assert len(frames) == (1 if over == "ws_api" else 0)
        async with asyncio.timeout(10):
            await post.answered.wait()
        assert post.answers[0]["result"]["status"] == "FILLED"
        assert gateway.in_flight == 0 or over == "rest"
        if kind == "ED25519" and over == "ws_api":
            assert "signature" not in json.loads(frames[0])["params"]
        rows = server.simulation.exchange.accounts["main"].positions.values()
        assert not any(row.amount for row in rows)
