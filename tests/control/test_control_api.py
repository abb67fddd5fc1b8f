"""The API and its commands over real sockets."""

import asyncio
import json
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from watched import Watched, an_exit, guarded, position, protection

from reactor.audit import AlarmRaised, HardStopChanged, LinkChanged
from reactor.cli import _Parser
from reactor.config import HttpConfig
from reactor.control import api, client, commands
from reactor.control.api import ControlServer
from reactor.control.steering import SayPolicy
from reactor.core.decisions import Side
from reactor.errors import BadInputError, ConfigError
from reactor.watch.health import ReadyLimits
from reactor.watch.metrics import Metrics
from reactor.watch.pulse import Pulse

TOKEN = "0123456789abcdef"
Capture = pytest.CaptureFixture[str]


class Hand:
    """Steering that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.error: Exception | None = None
        self.hangs = False

    async def _do(self, *what: object) -> str:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.error is not None:
            raise self.error
        self.told.append(what)
        return f"did {what[0]}"

    async def pause(self, symbol: str | None, side: Side | None) -> str:
        return await self._do("pause", symbol, side)

    async def resume(self, symbol: str | None, side: Side | None) -> str:
        return await self._do("resume", symbol, side)

    async def flatten(self, symbol: str | None, side: Side | None) -> str:
        return await self._do("flatten", symbol, side)

    async def set_stop(self, symbol: str, side: Side | None, price: Decimal, *, now: bool) -> str:
        return await self._do("set_stop", symbol, side, price, now)

    async def policy(self, wish: SayPolicy) -> str:
        return await self._do("policy", wish)


class Served:
    """A server with everything behind it."""

    def __init__(
        self, config: HttpConfig, *, token: str | None = None, steers: bool = True
    ) -> None:
        self.watched = Watched()
        self.hand = Hand()
        limits = ReadyLimits()
        pulse = Pulse(self.watched.clock)
        self.server = ControlServer(
            config,
            token=token,
            picture=self.watched.picture,
            limits=limits,
            metrics=Metrics(self.watched.picture, limits, audit=self.watched.audit, pulse=pulse),
            pulse=pulse,
            clock=self.watched.clock,
            steering=self.hand if steers else None,
        )
        self.url = ""

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any
    ) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, headers=headers, **options) as reply,
        ):
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            if reply.content_type == "application/json":
                return reply.status, await reply.json()
            return reply.status, await reply.text()


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[Served]:
    found = Served(HttpConfig(port=0), **options)
    found.url = await found.server.start()
    try:
        yield found
    finally:
        await found.server.stop()


async def test_health_and_readiness() -> None:
    async with served() as there:
        status, state = await there.ask("GET", "/healthz")
        assert (status, state["alive"]) == (200, True)
        status, state = await there.ask("GET", "/readyz")
        assert (status, state["ready"], state["reasons"][0]["kind"]) == (503, False, "no_data")
        guarded(there.watched)
        assert (await there.ask("GET", "/readyz"))[0] == 200
        there.watched.clock.forward(10)
        status, state = await there.ask("GET", "/readyz")
        assert (status, state["reasons"][0]["symbol"]) == (503, "BTCUSDT")
        there.watched.clock.forward(60)
        assert (await there.ask("GET", "/healthz"))[0] == 503


async def test_the_picture_as_json() -> None:
    async with served() as there:
        guarded(there.watched)
        there.watched.tell(
            position("ETHUSDT", price=None, age_ms=None),
            position("XRPUSDT", managed=False, hard_stop=None),
            HardStopChanged(
                symbol="XRPUSDT", side="LONG", client_id="x", state="open", trigger=Decimal("0.49")
            ),
            an_exit(),
            AlarmRaised(kind="naked", text="no stop", symbol="ETHUSDT"),
        )
        status, now = await there.ask("GET", "/api/v1/status")
        assert status == 200
        assert (now["mode"], now["ready"], now["events"]) == ("live", False, 11)
        _, positions = await there.ask("GET", "/api/v1/positions")
        assert [view["symbol"] for view in positions] == ["ETHUSDT", "BTCUSDT", "XRPUSDT"]
        btc = positions[1]
        assert (btc["price"], btc["hard_stop"], btc["age_ms"]) == ("61800", "60570.1", 400)
        assert (btc["r"], btc["r_multiple"]) == ("1200", "1.5000")
        assert (positions[2]["hard_stop"], positions[2]["hard_stop_state"]) == ("0.49", "open")
        assert btc["stop_distance"] == pytest.approx(0.01)
        assert btc["next_distance"] == pytest.approx(0.01)
        assert btc["targets"][0] == {"price": "62000", "fraction": "0.5", "taken": True}
        _, decisions = await there.ask("GET", "/api/v1/decisions?limit=1")
        (made,) = decisions
        assert made["id"] == "BTCUSDT-LONG-1-1"
        assert made["reason"] == "trailing_stop"
        assert made["decision"]["reasons"] == ["trailing_stop", "time_stop"]
        assert "close 0.182 (all) at 61181.9" in made["text"]
        _, alarms = await there.ask("GET", "/api/v1/alarms")
        assert [alarm["text"] for alarm in alarms] == ["no stop"]
        for query in ("limit=0", "limit=x", "limit=201"):
            assert (await there.ask("GET", f"/api/v1/decisions?{query}"))[0] == 400


async def test_the_page_shows_everything_and_is_escaped() -> None:
    async with served() as there:
        guarded(there.watched)
        there.watched.tell(AlarmRaised(kind="x", text="<script>alert(1)</script>"))
        status, text = await there.ask("GET", "/")
        assert status == 200
        assert "BTCUSDT LONG" in text
        assert "<script" not in text
        assert "&lt;script&gt;" in text
        assert "http-equiv" in text
        assert "src=" not in text
        assert "href=" not in text


async def test_metrics_are_served() -> None:
    async with served() as there:
        guarded(there.watched)
        status, text = await there.ask("GET", "/metrics")
        assert status == 200
        assert 'reactor_position_price_age_seconds{side="LONG",symbol="BTCUSDT"} 0.4' in text


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("pause", {"symbol": "BTCUSDT"}, ("pause", "BTCUSDT", None)),
        ("resume", {"all": True}, ("resume", None, None)),
        ("flatten", {"symbol": "BTCUSDT", "side": "SHORT"}, ("flatten", "BTCUSDT", "SHORT")),
        (
            "set-stop",
            {"symbol": "BTCUSDT", "price": "60500.10", "now": True},
            ("set_stop", "BTCUSDT", None, Decimal("60500.10"), True),
        ),
        (
            "policy",
            {"symbol": "*", "mode": "fast_tp", "note": "news", "for_s": 60},
            ("policy", SayPolicy(symbol="*", mode="fast_tp", note="news", for_s=60)),
        ),
    ],
)
async def test_commands_reach_who_carries_them_out(
    path: str, body: dict[str, Any], told: tuple[object, ...]
) -> None:
    async with served() as there:
        status, answer = await there.ask("POST", f"/api/v1/{path}", json=body)
        assert (status, answer) == (200, {"ok": True, "text": f"did {told[0]}"})
        assert there.hand.told == [told]


@pytest.mark.parametrize(
    ("path", "body", "status", "why"),
    [
        ("flatten", b"{}", 400, "a symbol, or all"),
        ("flatten", b'{"symbol":"X","all":true}', 400, "not both"),
        ("flatten", b'{"all":true,"side":"LONG"}', 400, "leave side out"),
        ("flatten", b'{"symbol":"X","side":"UP"}', 400, "side"),
        ("flatten", b'{"symbol":"X","force":1}', 400, "force"),
        ("flatten", b"[", 400, "cannot be read"),
        ("pause", b"", 400, "cannot be read"),
        ("set-stop", b'{"symbol":"X","price":"0"}', 400, "above 0"),
        ("set-stop", b'{"symbol":"X","price":"NaN"}', 400, "above 0"),
        ("set-stop", b'{"symbol":"X","price":"1e999999"}', 400, "no price"),
        ("set-stop", b'{"symbol":"X","price":"1e-999999"}', 400, "no price"),
        ("set-stop", b'{"symbol":"X","price":"-1e999999"}', 400, "above 0"),
        ("set-stop", b'{"symbol":"X","price":1' + b"0" * 200 + b"}", 400, "no price"),
        ("set-stop", b'{"symbol":"","price":"1"}', 400, "symbol"),
        ("set-stop", b'{"symbol":"X"}', 400, "price"),
        ("policy", b'{"symbol":""}', 400, "symbol"),
        ("policy", b'{"symbol":"X","for_s":0}', 400, "for_s"),
        ("policy", b'{"symbol":"X","mod":"fast_tp"}', 400, "mod"),
        ("flatten", b" " * (api.BODY_BYTES_MAX + 1), 413, "Large"),
        ("explode", b"{}", 404, "no such page"),
    ],
)
async def test_what_cannot_be_carried_out_is_one_line(
    path: str, body: bytes, status: int, why: str
) -> None:
    async with served() as there:
        found, answer = await there.ask(
            "POST", f"/api/v1/{path}", data=body, headers={"Content-Type": "application/json"}
        )
        assert (found, list(answer)) == (status, ["error"])
        assert why in answer["error"]
        assert there.hand.told == []


async def test_refusals_and_faults_of_the_steering_are_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    async with served() as there:
        there.hand.error = BadInputError("the stop would fire at once:\nsay --now")
        answer = await there.ask("POST", "/api/v1/pause", json={"all": True})
        assert answer == (400, {"error": "the stop would fire at once:?say --now"})
        there.hand.error = ZeroDivisionError("secret")
        answer = await there.ask("POST", "/api/v1/pause", json={"all": True})
        assert answer == (500, {"error": "internal error: ZeroDivisionError"})
        monkeypatch.setattr(api, "STEER_S_MAX", 0.01)
        there.hand.hangs = True
        status, said = await there.ask("POST", "/api/v1/pause", json={"all": True})
        assert status == 504
        assert "outcome is unknown" in said["error"]
    capsys.readouterr()
    async with served(steers=False) as there:
        assert (await there.ask("POST", "/api/v1/pause", json={"all": True}))[0] == 503
        assert (await there.ask("GET", "/api/v1/pause"))[0] == 405


async def test_other_sites_are_refused_and_the_token_is_asked_for() -> None:
    async with served(token=TOKEN) as there:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await there.ask("GET", "/api/v1/status"))[0] == 401
        assert (await there.ask("GET", "/metrics"))[0] == 401
        assert await there.ask("GET", "/readyz") == (503, {"ready": False})
        status, state = await there.ask("GET", "/readyz", headers=bearer)
        assert (status, len(state["reasons"])) == (503, 1)
        assert (await there.ask("GET", "/api/v1/status", headers=bearer))[0] == 200
        evil = {**bearer, "Host": "evil.example"}
        assert (await there.ask("GET", "/api/v1/status", headers=evil))[0] == 403
        evil = {**bearer, "Origin": "http://evil.example"}
        answer = await there.ask("POST", "/api/v1/flatten", json={"all": True}, headers=evil)
        assert answer[0] == 403
        assert there.hand.told == []


def test_reachable_from_elsewhere_needs_a_token() -> None:
    with pytest.raises(
        ConfigError, match=r"0\.0\.0\.0 is reachable from elsewhere: set REACTOR_HTTP"
    ):
        Served(HttpConfig(host="0.0.0.0"))
    Served(HttpConfig(host="0.0.0.0"), token=TOKEN)


async def test_a_port_that_is_taken_is_one_line() -> None:
    async with served() as there:
        port = there.server.port
        second = Served(HttpConfig(port=port))
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .*http.port"):
            await second.server.start()


async def test_a_unix_socket_is_private_and_a_stale_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = Served(HttpConfig(socket=str(path)))
    assert await first.server.start() == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="another process listens"):
        await Served(HttpConfig(socket=str(path))).server.start()
    await first.server.stop()
    import socket as sockets

    with sockets.socket(sockets.AF_UNIX) as left:
        left.bind(str(path))
    second = Served(HttpConfig(socket=str(path)))
    await second.server.start()
    await second.server.stop()
    path.unlink(missing_ok=True)
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        await Served(HttpConfig(socket=str(path))).server.start()
    assert path.read_text() == "precious"


# The commands -----------------------------------------------------------------------------------------

ADDERS: tuple[Callable[[Any], None], ...] = (
    commands.add_status_command,
    commands.add_positions_command,
    commands.add_pause_command,
    commands.add_resume_command,
    commands.add_flatten_command,
    commands.add_set_stop_command,
    commands.add_policy_command,
)


def command(*words: str) -> int:
    root = _Parser(prog="reactor")
    subparsers: Any = root.add_subparsers(required=True)
    for add in ADDERS:
        add(subparsers)
    args = root.parse_args(words)
    code: int = args.run(args)
    return code


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "SOCKET", "TOKEN", "TOKEN_FILE"):
        monkeypatch.delenv(f"REACTOR_HTTP_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "160")


class Elsewhere:
    """A server in a thread of its own, as the commands meet it: in another process's loop."""

    def __init__(self, config: HttpConfig, **options: Any) -> None:
        self.there = Served(config, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Served:
        self._thread.start()
        start = asyncio.run_coroutine_threadsafe(self.there.server.start(), self._loop)
        self.there.url = start.result(10)
        return self.there

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.there.server.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def test_status_and_positions_are_tables(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with Elsewhere(HttpConfig(port=0)) as there:
        guarded(there.watched)
        there.watched.tell(
            an_exit(),
            position("ETHUSDT"),
            protection("ETHUSDT", state="naked"),
            LinkChanged(stream="order", state="down"),
        )
        there.watched.tell(position(), position("ETHUSDT"), after_s=12)
        monkeypatch.setenv("REACTOR_HTTP_URL", there.url)
        assert command("status") == 0
        shown = capsys.readouterr().out
        assert "NOT READY" in shown
        assert "naked for 12 s" in " ".join(shown.split())
        assert "trailing_stop" in shown
        assert "order down" in shown
        assert shown.index("ETHUSDT LONG") < shown.index("BTCUSDT LONG")
        assert command("positions") == 0
        shown = capsys.readouterr().out
        assert "NOT READY" not in shown
        assert "BTCUSDT LONG" in shown
        assert "61182" in shown
        assert command("positions", "--json") == 0
        assert len(json.loads(capsys.readouterr().out)) == 2
        assert command("status", "--json", "--url", there.url) == 0
        assert json.loads(capsys.readouterr().out)["mode"] == "live"


def test_the_check_of_a_container(capsys: Capture, unused_tcp_port: int) -> None:
    with Elsewhere(HttpConfig(port=0)) as there:
        assert command("status", "--check", "--url", there.url) == 1
        assert "not ready: nothing was heard yet" in capsys.readouterr().out
        guarded(there.watched)
        assert command("status", "--check", "--url", there.url) == 0
        assert capsys.readouterr().out == "ready\n"
    assert command("status", "--check", "--url", f"http://127.0.0.1:{unused_tcp_port}") == 1
    assert "is `reactor run` running?" in capsys.readouterr().out


def test_steering_by_command(capsys: Capture) -> None:
    with Elsewhere(HttpConfig(port=0)) as there:
        where = ("--url", there.url)
        assert command("pause", "btcusdt", *where) == 0
        assert command("resume", "all", *where) == 0
        assert command("flatten", "BTCUSDT", "--side", "LONG", *where) == 0
        assert command("set-stop", "BTCUSDT", "60500.5", "--now", *where, "--json") == 0
        assert there.hand.told == [
            ("pause", "BTCUSDT", None),
            ("resume", None, None),
            ("flatten", "BTCUSDT", "LONG"),
            ("set_stop", "BTCUSDT", None, Decimal("60500.5"), True),
        ]
        shown = capsys.readouterr().out.splitlines()
        assert shown == [
            "did pause",
            "did resume",
            "did flatten",
            '{"ok":true,"text":"did set_stop"}',
        ]
        there.hand.error = BadInputError("BTCUSDT has no open position")
        with pytest.raises(BadInputError, match="BTCUSDT has no open position"):
            command("pause", "BTCUSDT", *where)
        with pytest.raises(ConfigError, match="'x' is not a number"):
            command("set-stop", "BTCUSDT", "x", *where)


def test_by_socket_and_with_a_token(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = tmp_path / "s", tmp_path / "token"
    file.write_text(TOKEN)
    with Elsewhere(HttpConfig(socket=str(path)), token=TOKEN) as there:
        with pytest.raises(ConfigError, match="wants a token"):
            command("pause", "all", "--socket", str(path))
        assert command("pause", "all", "--socket", str(path), "--token-file", str(file)) == 0
        monkeypatch.setenv("REACTOR_HTTP_SOCKET", str(path))
        monkeypatch.setenv("REACTOR_HTTP_TOKEN", TOKEN)
        assert command("resume", "all") == 0
        assert len(there.hand.told) == 2
    with pytest.raises(ConfigError, match="nothing listens at"):
        command("status", "--socket", str(path))
    capsys.readouterr()


@pytest.mark.parametrize(
    ("variables", "file", "where"),
    [
        ({}, "", "http://127.0.0.1:8080"),
        ({}, "[http]\nport = 9000", "http://127.0.0.1:9000"),
        ({}, '[http]\nhost = "0.0.0.0"\nport = 9000', "http://127.0.0.1:9000"),
        ({}, '[http]\nhost = "::"', "http://::1:8080"),
        ({}, '[http]\nsocket = "/run/s"', "/run/s"),
        ({}, "[http]\nport = 0", "http://127.0.0.1:8080"),
        ({}, "no toml", "http://127.0.0.1:8080"),
        ({}, "http = 3", "http://127.0.0.1:8080"),
        ({"REACTOR_HTTP_PORT": "9001"}, "[http]\nport = 9000", "http://127.0.0.1:9001"),
        ({"REACTOR_HTTP_SOCKET": "/run/t"}, "[http]\nport = 9000", "/run/t"),
        ({"REACTOR_HTTP_URL": "http://x:1"}, "[http]\nport = 9000", "http://x:1"),
        ({"REACTOR_CONFIG": "other.toml"}, "[http]\nport = 9000", "http://127.0.0.1:9002"),
    ],
)
def test_a_process_is_found_where_its_configuration_puts_it(
    variables: dict[str, str],
    file: str,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reactor.toml").write_text(file)
    Path("other.toml").write_text("[http]\nport = 9002")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    def ask(self: client.Client, *_: object) -> tuple[int, bytes]:
        raise BadInputError(f"asked {self.where}")

    monkeypatch.setattr(client.Client, "ask", ask)
    with pytest.raises(BadInputError) as caught:
        command("status")
    assert str(caught.value) == f"asked {where}"


@pytest.mark.parametrize("url", ["https://x", "nonsense", "http://", "http://[::1"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="it must be like"):
        command("status", "--url", url)
