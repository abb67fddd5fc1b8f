"""Alarms reach a command and a web address, whatever those do; the heartbeat ends when it must."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from watched import T0_NS, HandClock, Watched, guarded, started

from reactor.audit import AlarmRaised, PositionGone
from reactor.config import AlarmConfig
from reactor.errors import ConfigError
from reactor.watch import alarms as alarms_module
from reactor.watch.alarms import QUEUE_MAX, Alarms, Heartbeat
from reactor.watch.channels import (
    Channel,
    CommandChannel,
    Told,
    WebhookChannel,
    alarm_channels,
    shown_url,
)
from reactor.watch.delivery import Deliveries
from reactor.watch.health import Readiness, ReadyLimits, Trouble, readiness

ALARM = AlarmRaised(kind="naked", text="no stop for 3 s", symbol="BTCUSDT", key="naked:BTCUSDT")
READY = Readiness(ready=True)
UNREADY = Readiness(ready=False, reasons=(Trouble(kind="x", text="blind", symbol="BTCUSDT"),))


class Heard:
    """A channel that keeps what it is told."""

    name = "heard"

    def __init__(self, failure: str = "") -> None:
        self.told: list[Told] = []
        self.failure = failure
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def deliver(self, told: Told) -> str:
        await self.gate.wait()
        self.told.append(told)
        return self.failure

    async def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def running(
    *channels: Channel, **options: Any
) -> AsyncIterator[tuple[Watched, Alarms, Deliveries]]:
    watched, deliveries = Watched(), Deliveries()
    alarms = Alarms(channels, clock=watched.clock, repeat_s=300, deliveries=deliveries, **options)
    watched.audit.watch(alarms.watch)
    task = asyncio.create_task(alarms.run(), name="alarms")
    try:
        yield watched, alarms, deliveries
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


async def test_an_alarm_is_told_with_who_speaks_and_repeats_are_held_back() -> None:
    heard = Heard()
    async with running(heard) as (watched, alarms, deliveries):
        watched.tell(started(instance="desk"), ALARM, ALARM)
        assert await alarms.drain(timeout_s=5)
        (told,) = heard.told
        assert told.text == "BTCUSDT: no stop for 3 s"
        assert (told.instance, told.environment, told.mode) == ("desk", "mainnet", "live")
        assert (told.kind, told.key, told.t_ms) == ("naked", "naked:BTCUSDT", T0_NS // 10**6)
        watched.tell(
            AlarmRaised(
                kind="naked", text="has one", symbol="BTCUSDT", key=ALARM.key, resolved=True
            )
        )
        assert await alarms.drain(timeout_s=5)
        assert heard.told[1].text == "resolved: BTCUSDT: has one"
        assert deliveries.told == {"heard": 2}
        assert deliveries.suppressed == 1
    assert heard.closed


async def test_a_channel_that_fails_or_raises_does_not_keep_the_next_from_being_asked() -> None:
    class Broken(Heard):
        name = "broken"

        async def deliver(self, told: Told) -> str:
            raise ZeroDivisionError

    failing, heard = Heard("says no"), Heard()
    failing.name = "failing"
    async with running(Broken(), failing, heard) as (watched, alarms, deliveries):
        watched.tell(ALARM)
        assert await alarms.drain(timeout_s=5)
        assert len(heard.told) == 1
        assert deliveries.failed == {"broken": 1, "failing": 1}
        assert deliveries.last_failure == "says no"


async def test_a_flood_is_bounded_and_what_was_left_out_is_said() -> None:
    heard = Heard()
    heard.gate.clear()
    async with running(heard) as (watched, alarms, deliveries):
        for number in range(QUEUE_MAX + 50):
            watched.tell(AlarmRaised(kind="x", text=str(number), key=str(number)))
        assert deliveries.dropped >= 48
        assert not await alarms.drain(timeout_s=0.01)
        heard.gate.set()
        assert await alarms.drain(timeout_s=5)
        assert sum(told.dropped for told in heard.told) == deliveries.dropped
        assert any("could not be told" in told.text for told in heard.told)
        assert len(heard.told) + deliveries.dropped == QUEUE_MAX + 50


async def test_without_channels_nothing_is_kept() -> None:
    async with running() as (watched, alarms, deliveries):
        watched.tell(ALARM)
        assert await alarms.drain(timeout_s=1)
        assert deliveries == Deliveries()


async def test_what_is_not_ready_is_an_alarm_though_nobody_raised_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alarms_module, "CHECK_EVERY_S", 0.001)
    heard = Heard()
    state = UNREADY
    async with running(heard, ready=lambda: state, unready_s=30) as (watched, _, _):
        await asyncio.sleep(0.01)
        assert heard.told == []
        watched.clock.forward(31)
        await until(lambda: len(heard.told) == 1)
        assert (heard.told[0].kind, heard.told[0].text) == ("not_ready", "BTCUSDT  blind")
        watched.clock.forward(300)
        await until(lambda: len(heard.told) == 2)
        state = READY
        await until(lambda: len(heard.told) == 3)
        assert heard.told[2].resolved


# The command ------------------------------------------------------------------------------------------


def a_told(text: str = "no stop") -> Told:
    return Told(
        text=text,
        kind="naked",
        symbol="BTCUSDT",
        key="k",
        resolved=False,
        repeated=0,
        dropped=0,
        t_ms=1,
        instance="main",
        environment="mainnet",
        mode="live",
    )


async def test_the_command_gets_the_alarm_and_no_keys(tmp_path: Path) -> None:
    out = tmp_path / "said.json"
    program = (
        "import json, os, sys\n"
        "said = {'stdin': json.load(sys.stdin), 'environ': dict(os.environ)}\n"
        f"open({str(out)!r}, 'w').write(json.dumps(said))"
    )
    channel = CommandChannel(
        [sys.executable, "-c", program],
        environ={
            "PATH": "/usr/bin",
            "BINANCE_API_SECRET": "s3cret",
            "REACTOR_HTTP_TOKEN": "t0ken",
            "REACTOR_HTTP_TOKEN_FILE": "/run/x",
        },
    )
    assert await channel.deliver(a_told("nul\0 ; $(false)")) == ""
    said = json.loads(out.read_text())
    assert said["stdin"]["kind"] == "naked"
    assert said["stdin"]["text"] == "nul\0 ; $(false)"
    assert said["environ"]["REACTOR_ALARM_TEXT"] == "nul? ; $(false)"
    assert said["environ"]["REACTOR_ALARM_KIND"] == "naked"
    assert said["environ"]["REACTOR_ALARM_SYMBOL"] == "BTCUSDT"
    assert not {name for name in said["environ"] if "BINANCE" in name or "TOKEN" in name}


@pytest.mark.parametrize(
    ("command", "failure"),
    [
        (["/nowhere/to-be-found"], "the command cannot be started: No such file or directory"),
        (["a\0b"], "the command cannot be started: embedded null byte"),
        (["false"], "the command ended with 1"),
        (["true"], ""),
        (["sh", "-c", "sleep 60 & sleep 60"], "the command took longer than 0.2 s"),
    ],
)
async def test_whatever_the_command_does_is_a_phrase(command: list[str], failure: str) -> None:
    channel = CommandChannel(
        command, environ={"PATH": "/usr/bin:/bin"}, timeout_s=0.2 if "sh" in command else 10
    )
    async with asyncio.timeout(8):
        assert await channel.deliver(a_told("x" * 100_000)) == failure
    await channel.close()


# The webhook and the heartbeat ------------------------------------------------------------------------


@asynccontextmanager
async def site(*statuses: int) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []
    left = list(statuses)

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        got.append({"method": request.method, "body": json.loads(body) if body else None})
        return web.Response(status=left.pop(0) if left else 200)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/hook/t0ken?key=s3cret")), got
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("statuses", "failure", "asked"),
    [
        ((204,), "", 1),
        ((500, 429, 200), "", 3),
        ((404,), "HTTP 404", 1),
        ((503, 503, 503, 200), "HTTP 503", 3),
        ((302,), "HTTP 302", 1),
    ],
)
async def test_the_webhook_is_repeated_a_few_times_where_that_may_help(
    statuses: tuple[int, ...], failure: str, asked: int
) -> None:
    async with site(*statuses) as (url, got):
        channel = WebhookChannel(url, retry_after_s=0)
        said = await channel.deliver(a_told())
        await channel.close()
    assert said.endswith(failure)
    assert bool(said) == bool(failure)
    assert "t0ken" not in said
    assert "s3cret" not in said
    assert len(got) == asked
    assert got[0]["body"]["text"] == "no stop"


async def test_a_webhook_that_nobody_answers_is_a_phrase(unused_tcp_port: int) -> None:
    url = f"http://user:pass@127.0.0.1:{unused_tcp_port}/t0ken"
    channel = WebhookChannel(url, retry_after_s=0)
    said = await channel.deliver(a_told())
    assert said == f"http://127.0.0.1:{unused_tcp_port}/…: ClientConnectorError"
    await channel.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example.com/services/T0/B0/xyz", "https://hooks.example.com/…"),
        ("https://u:p@hc.example:8443/abc?token=1#x", "https://hc.example:8443/…"),
        ("http://[::1", "an address that is none"),
        ("nonsense", "://?/…"),
    ],
)
def test_of_an_address_only_the_host_is_shown(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_the_channels_are_those_of_the_configuration() -> None:
    assert alarm_channels(AlarmConfig(), environ={}) == []
    config = AlarmConfig(command=("true",), webhook="https://x.example/t0ken")
    assert [channel.name for channel in alarm_channels(config, environ={})] == [
        "command",
        "webhook",
    ]


@pytest.mark.parametrize(
    "url", ["x.example/t0ken", "ftp://x/t0ken", "https://", "http://[::1/t0ken"]
)
def test_an_address_that_is_none_is_refused_at_start_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"alarms\.webhook must be like") as caught:
        alarm_channels(AlarmConfig(webhook=url), environ={})
    assert "t0ken" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"alarms\.heartbeat_url"):
        alarm_channels(AlarmConfig(heartbeat_url=url), environ={})


@asynccontextmanager
async def beating(
    url: str, ready: Callable[[], Readiness], clock: HandClock
) -> AsyncIterator[Deliveries]:
    deliveries = Deliveries()
    heartbeat = Heartbeat(
        url, every_s=0.005, ready=ready, clock=clock, deliveries=deliveries, unready_s=30
    )
    task = asyncio.create_task(heartbeat.run(), name="heartbeat")
    try:
        yield deliveries
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_heartbeat_ends_when_it_is_not_ready_for_long() -> None:
    clock = HandClock()
    state = UNREADY
    async with site() as (url, got), beating(url, lambda: state, clock) as deliveries:
        await until(lambda: deliveries.beats.get("skipped", 0) > 2)
        assert got == []  # it was never ready
        state = READY
        await until(lambda: len(got) > 2)
        state = UNREADY
        sent = deliveries.beats["sent"]
        await until(lambda: deliveries.beats["sent"] > sent + 2)  # a reconnect is no reason
        clock.forward(31)
        skipped = deliveries.beats["skipped"]
        await until(lambda: deliveries.beats["skipped"] > skipped + 2)
        asked = len(got)
        await until(lambda: deliveries.beats["skipped"] > skipped + 5)
        assert len(got) == asked
        assert got[0]["method"] == "GET"


async def test_a_heartbeat_that_fails_is_counted() -> None:
    async with (
        site(*[500] * 99) as (url, _),
        beating(url, lambda: READY, HandClock()) as deliveries,
    ):
        await until(lambda: deliveries.beats.get("failed", 0) > 1)
        assert "t0ken" not in deliveries.last_failure
        assert "HTTP 500" in deliveries.last_failure


async def test_readiness_of_a_picture_drives_it() -> None:
    watched = Watched()
    guarded(watched)
    limits = ReadyLimits()

    def ready() -> Readiness:
        return readiness(watched.picture, limits, now_ns=watched.clock.now_ns())

    async with site() as (url, got), beating(url, ready, watched.clock) as deliveries:
        await until(lambda: len(got) > 1)
        watched.clock.forward(10)  # the price is old now
        watched.tell(PositionGone(symbol="ETHUSDT", side="LONG"))
        assert not ready().ready
        assert deliveries.beats.get("skipped") is None
