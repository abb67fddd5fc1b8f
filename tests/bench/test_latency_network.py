"""`bench network` against a simulated exchange on this machine."""

import asyncio
import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from rich.console import Console

from reactor.bench import network
from reactor.bench.network import bench_network
from reactor.errors import ConfigError
from reactor.sim.exchange import Settings
from reactor.sim.scenarios import Scenario
from reactor.sim.server import Server
from reactor.sim.simulation import Simulation


@pytest.fixture
def exchange() -> Iterator[str]:
    """A simulated exchange in a thread of its own; its address."""
    started, roots, stops = (
        Event(),
        list[str](),
        list[tuple[asyncio.AbstractEventLoop, asyncio.Event]](),
    )

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        now_ms = time.time_ns() // 1_000_000
        prices = Scenario("whipsaw", start_ms=now_ms, seed=1)
        server = Server(Simulation(now_ms=now_ms, settings=Settings(), prices=prices))
        stop = asyncio.Event()
        roots.append(f"http://127.0.0.1:{await server.start()}")
        stops.append((loop, stop))
        started.set()
        await stop.wait()
        await server.stop()

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(20)
    yield roots[0]
    loop, stop = stops[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()


def test_everything_is_measured(exchange: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "sim-key")
    monkeypatch.setenv("BINANCE_API_SECRET", "sim-secret")
    monkeypatch.setattr(network, "EVENTS", 2)
    outcome = bench_network(name=f"sim:{exchange}", rounds=2, beside_loopback=False)
    assert {name for name, span in outcome.spans.items() if span.problem} == set()
    assert outcome.spans["ping"].count == 2
    assert set(outcome.spans) == {
        "connect",
        "ping",
        "test order",
        "WebSocket API round trip",
        "signed WebSocket API round trip",
        "event to receipt",
    }


def test_without_keys_and_exchange_each_line_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    outcome = bench_network(name="sim:http://127.0.0.1:9", rounds=1, beside_loopback=False)
    assert all(span.problem for span in outcome.spans.values())
    assert "no keys" in outcome.spans["test order"].problem


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown"):
        bench_network(name="paper")


def test_a_clock_that_was_not_told_is_not_said_to_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BINANCE_API_KEY", raising=False)
    outcome = bench_network(name="sim:http://127.0.0.1:1", rounds=1, beside_loopback=False)
    assert outcome.offset_ms is None
    outcome.print(Console(width=100))
    assert "did not tell its time" in capsys.readouterr().out
