"""What `bench latency` makes of its measurements, and the floor's own honesty."""

import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from reactor.bench import latency, latency_standin
from reactor.bench.latency_outcome import Found, LatencyOutcome, found, spread_of
from reactor.bench.latency_picture import drawn
from reactor.bench.latency_product import Stages
from reactor.bench.latency_standin import Pass, Pattern, Sample, compile_programs, open_standin
from reactor.errors import ConfigError

needs_compiler = pytest.mark.skipif(
    not any(shutil.which(name) for name in latency_standin.COMPILERS), reason="no C compiler"
)


def a_pass(*us: float, name: str = "x", lost: int = 0) -> Pass:
    samples = tuple(
        Sample(round(at * 1000), 1_000_000, 1_000_000 + round(at * 1000), f"{name}{number}")
        for number, at in enumerate(us)
    )
    return Pass(samples, lost, ticks=100, cpu_ns=200_000, elapsed_ns=1)


def a_case(
    floor: Sequence[Pass],
    product: Sequence[Pass],
    stages: dict[str, Stages] | None = None,
    name: str = "warm",
) -> Found:
    return found(
        name=name,
        what="",
        transport="picows",
        loop="uvloop",
        goal=1.15,
        acceptable=1.35,
        floor=floor,
        product=product,
        stages=stages or {},
    )


def test_a_ratio_is_taken_round_by_round() -> None:
    # The second round had a slow machine: both took three times as long there.
    case = a_case([a_pass(10), a_pass(30), a_pass(10)], [a_pass(13), a_pass(39), a_pass(13)])
    assert case.ratio_p50 == pytest.approx(1.3)
    assert case.verdict == "acceptable (1.35), goal 1.15"


@pytest.mark.parametrize(
    ("product", "verdict"), [(11, "goal 1.15 met"), (13, "acceptable"), (20, "missed: 1.35")]
)
def test_a_verdict_says_what_was_kept(product: float, verdict: str) -> None:
    assert a_case([a_pass(10)], [a_pass(product)]).verdict.startswith(verdict)


def test_stages_are_joined_by_the_orders_ids() -> None:
    stages = {"x0": Stages(1_020_000, 1_030_000, 1_045_000)}
    case = a_case([a_pass(10)], [a_pass(60, 70)], stages)
    assert case.stages_us["tick_to_receive"]["p50"] == 20
    assert case.stages_us["receive_to_decision"]["p50"] == 10
    assert case.stages_us["decision_to_wire"]["p50"] == 15
    assert case.stages_us["tick_to_receipt"]["max"] == 60, "the other order has no stamps"


def test_the_json_has_what_others_read() -> None:
    outcome = LatencyOutcome(cases=[a_case([a_pass(10)], [a_pass(13)])], ticks=None, rounds=1)
    told = json.loads(json.dumps(outcome.as_json()))
    assert told["noisy"] is False
    (case,) = told["cases"]
    wanted = "name transport loop p50_us p99_us floor_p50_us floor_p99_us ratio_p50 ratio_p99"
    assert set(wanted.split()) <= set(case)
    assert (case["p50_us"], case["floor_p50_us"], case["ratio_p50"]) == (13, 10, 1.3)


def test_every_case_that_is_promised_is_there() -> None:
    names = latency.case_names()
    assert {"warm", "cold", "burst", "tls", "busy", "portable"} <= set(names)
    assert [case.name for case in latency.chosen_cases(["busy", "warm"])] == ["warm", "busy"]
    with pytest.raises(ConfigError, match="hot: unknown"):
        latency.chosen_cases(["hot"])


def test_a_floor_that_wanders_makes_the_run_noisy() -> None:
    steady = [a_pass(10), a_pass(10.5), a_pass(11)]
    wild = [a_pass(10), a_pass(14), a_pass(11)]
    for floor, noisy in ((steady, False), (wild, True)):
        outcome = LatencyOutcome(cases=[a_case(floor, floor)], ticks=None, rounds=3)
        assert outcome.noisy is noisy
    assert spread_of([10.0, 10.0, 10.0]) == 0


def test_the_picture_is_a_drawing_with_every_case() -> None:
    cases = [a_case([a_pass(10, 12)], [a_pass(13, 900)], name=name) for name in ("warm", "<&>")]
    picture = drawn(cases)
    ET.fromstring(picture)
    assert "warm" in picture
    assert "&lt;&amp;&gt;" in picture


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ConfigError, match="no C compiler"):
        compile_programs(tmp_path)


@needs_compiler
def test_the_floors_orders_are_signed_as_the_exchange_wants(tmp_path: Path) -> None:
    program = compile_programs(tmp_path)["floor"]
    orders: list[dict[str, Any]] = []
    connected = threading.Event()
    over = threading.Event()

    def exchange(socket: ServerConnection) -> None:
        assert socket.request is not None
        if socket.request.path == "/floor/api":
            connected.set()
            orders.append(json.loads(socket.recv(timeout=10)))
            over.set()
            return
        assert connected.wait(10)
        for price in ("60000.10", "59600.00"):
            socket.send(json.dumps({"data": {"p": price}}, separators=(",", ":")))
        over.wait(10)

    with serve(exchange, "127.0.0.1", 0) as server:
        port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        command = [str(program), str(port), "BTCUSDT", "59700", "a-key", "a-secret"]
        # The market's line is opened first, and waits for the orders' one.
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as floor:
            assert over.wait(10)
            floor.kill()
        server.shutdown()
        thread.join()
    params = orders[0]["params"]
    signed = {name: value for name, value in params.items() if name != "signature"}
    text = "&".join(f"{name}={signed[name]}" for name in sorted(signed))
    assert params["signature"] == hmac.new(b"a-secret", text.encode(), hashlib.sha256).hexdigest()
    assert re.fullmatch(r"xr-[0-9A-Za-z-]{33}", params["newClientOrderId"])


@needs_compiler
def test_the_stand_in_stamps_every_order_of_the_floor(tmp_path: Path) -> None:
    with open_standin(tmp_path) as standin:
        pid = standin.floor()
        run = standin.run("floor", Pattern(gap_us=200, quiet=2, before=3, after=3), 8, pid=pid)
        flood = standin.flood("floor", 500, pid=pid)
    assert (len(run.samples), run.lost) == (8, 0)
    assert run.ticks == 8 * (2 + 7)
    assert all(sample.receipt_ns > 0 for sample in run.samples)
    assert len({sample.client_id for sample in run.samples}) == 8
    assert flood.ticks == 500


@needs_compiler
def test_another_client_has_sockets_and_orders_of_its_own(tmp_path: Path) -> None:
    """Ticks plain or with the stream's name, as the address says; orders in a query, a body, or a frame."""
    with open_standin(tmp_path) as standin:
        here = f"127.0.0.1:{standin.port}"
        for path, named in (
            ("stream?streams=btcusdt@aggTrade", True),
            ("ws/btcusdt@aggTrade", False),
        ):
            with connect(f"ws://{here}/other/{path}") as market:
                standin.first_ticks("other")
                tick = json.loads(market.recv(timeout=10))
                assert ("stream" in tick) is named
                assert (tick["data"] if named else tick)["p"].startswith("60000.")
        with (
            connect(f"ws://{here}/other/ws-fapi/v1") as orders,
            connect(f"ws://{here}/other/private/stream?streams=key") as user,
            connect(f"ws://{here}/other/ws/btcusdt@aggTrade") as market,
        ):
            assert standin.connected() & 0b111000000 == 0b111000000
            ways = (
                lambda: _over_frames(orders),
                lambda: _over_http(here, "?newClientOrderId=b&quantity=1", ""),
                lambda: _over_http(here, "", "newClientOrderId=c&quantity=1"),
            )
            for way, client_id in zip(ways, "abc", strict=True):
                asked = threading.Thread(target=_order_at, args=(market, "59600.00", way))
                asked.start()
                run = standin.run("other", Pattern(gap_us=1000, quiet=2), 1, pid=os.getpid())
                asked.join()
                assert [sample.client_id for sample in run.samples] == [client_id]
                told = json.loads(user.recv(timeout=10))
                assert told["data"]["o"]["c"] == client_id
                user.recv(timeout=10)  # the position's change
            asked = threading.Thread(target=_order_at, args=(market, "59600.00", ways[0]))
            asked.start()
            flood = standin.flood("other", 300, pid=os.getpid())
            asked.join()
            assert flood.ticks == 300


def _order_at(market: ClientConnection, price: str, way: Callable[[], None]) -> None:
    while json.loads(market.recv(timeout=30))["p"] != price:
        pass
    way()


def _over_frames(orders: ClientConnection) -> None:
    orders.send('{"id":"1","method":"order.place","params":{"newClientOrderId":"a"}}')
    assert json.loads(orders.recv(timeout=10))["result"]["clientOrderId"] == "a"


def _over_http(here: str, query: str, body: str) -> None:
    """Head and body in writes of their own, as some clients do."""
    host, _, port = here.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as stream:
        stream.sendall(
            f"POST /fapi/v1/order{query} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        )
        time.sleep(0.02)
        stream.sendall(body.encode())
        assert b'"clientOrderId":"' in stream.recv(4096)
