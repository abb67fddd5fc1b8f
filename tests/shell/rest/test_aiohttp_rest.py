"""The transport over real sockets on loopback: bounds, timeouts, and what its errors say."""

import asyncio
import contextlib
import gzip
import random
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from reactor.audit import Audit
from reactor.binance.urls import simulated
from reactor.clock import SystemClock
from reactor.core.budget import Budget
from reactor.errors import ConfigError, RestFailed, RestNotSent
from reactor.shell.rest.aiohttp_rest import AiohttpRest
from reactor.shell.rest.client import RestClient, failure_of
from reactor.shell.rest.credentials import Credentials
from reactor.shell.rest.server_time import ServerTime
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation

SECRET_QUERY = "listenKey=verysecret&signature=verysecret"


@contextlib.asynccontextmanager
async def serving(handler: object) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def transport(**options: int) -> AsyncIterator[AiohttpRest]:
    rest = AiohttpRest(**options)  # type: ignore[arg-type]
    try:
        yield rest
    finally:
        await rest.close()


async def test_the_url_is_sent_as_it_was_signed() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.Response(text="{}", headers={"X-MBX-USED-WEIGHT-1M": "7"})

    query = "symbol=%E5%B8%81USDT&signature=a%2Bb%2Fc%3D"
    async with serving(handle) as url, transport() as rest:
        reply = await rest.request("GET", f"{url}/a?{query}", headers={}, timeout_s=5)
    assert seen == [f"/a?{query}"]
    assert reply.status == 200
    assert reply.headers["x-mbx-used-weight-1m"] == "7"


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/a"
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with serving(handle) as url, transport() as rest:
        reply = await rest.request("POST", f"{url}/a", headers={}, timeout_s=5)
    assert reply.status == 302


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_body_without_end_is_cut_off(compressed: bool) -> None:
    async def handle(_request: web.Request) -> web.Response:
        body = b"x" * 200_000
        if compressed:
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    async with serving(handle) as url, transport(body_bytes_max=100_000) as rest:
        with pytest.raises(RestFailed, match="longer than 100000 bytes"):
            await rest.request("GET", f"{url}/a?{SECRET_QUERY}", headers={}, timeout_s=5)


async def test_silence_ends_with_the_time_and_says_no_query() -> None:
    async def handle(_request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with serving(handle) as url, transport() as rest:
        with pytest.raises(RestFailed, match="no answer in time") as caught:
            await rest.request("GET", f"{url}/a?{SECRET_QUERY}", headers={}, timeout_s=0.2)
    assert "verysecret" not in str(caught.value)
    assert not isinstance(caught.value, RestNotSent), "it may have been executed"


async def test_who_does_not_listen_was_not_sent_anything() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with transport() as rest:
        with pytest.raises(RestNotSent, match="cannot connect") as caught:
            await rest.request(
                "GET", f"http://127.0.0.1:{port}/a?{SECRET_QUERY}", headers={}, timeout_s=5
            )
    assert "verysecret" not in str(caught.value)


async def test_a_connection_that_breaks_off_is_an_unknown_outcome() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handle) as url, transport() as rest:
        with pytest.raises(RestFailed) as caught:
            await rest.request("POST", f"{url}/a?{SECRET_QUERY}", headers={}, timeout_s=5)
    assert not isinstance(caught.value, RestNotSent)
    assert "verysecret" not in str(caught.value)


async def test_not_even_the_library_repeats_a_request() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.method == "DELETE":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text="{}")

    async with serving(handle) as url, transport() as rest:
        await rest.request("GET", f"{url}/a", headers={}, timeout_s=5)
        with pytest.raises(RestFailed):
            await rest.request("DELETE", f"{url}/a", headers={}, timeout_s=5)
    assert seen == ["GET", "DELETE"]


async def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text="{}")

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(handle) as url, transport() as rest:
        reply = await rest.request("GET", f"{url}/a", headers={}, timeout_s=5)
    assert reply.status == 200


async def test_a_proxy_that_is_named_is_used() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.Response(text="{}")

    async with serving(handle) as url:
        rest = AiohttpRest(proxy=url)
        await rest.request("GET", "http://127.0.0.1:9/a", headers={}, timeout_s=5)
        await rest.close()
    assert seen == ["http://127.0.0.1:9/a"]
    with pytest.raises(ConfigError, match="http proxies only"):
        AiohttpRest(proxy="socks5://127.0.0.1:9")


async def test_the_whole_client_against_the_simulated_exchange() -> None:
    simulation = Simulation(now_ms=time.time_ns() // 1_000_000)
    server = Server(simulation)
    port = await server.start()
    clock = SystemClock()
    rest = AiohttpRest()
    client = RestClient(
        rest,
        simulated(f"http://127.0.0.1:{port}"),
        Credentials("sim-key", "sim-secret"),
        clock,
        Budget(),
        server_time=ServerTime(clock, Audit()),
        rng=random.Random(1),
    )
    try:
        assert await client.server_time.sync(client)
        answer = await client.get("/fapi/v3/positionRisk", weight=5, purpose="account", signed=True)
        assert failure_of(answer) is None
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
        sent = await client.send("POST", "/fapi/v1/order", order, purpose="exit", weight=0)
        assert failure_of(sent) is None
    finally:
        await rest.close()
        await server.stop()
