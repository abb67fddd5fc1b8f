"""Log lines: one for what is worth one, none with a secret in it, none that waits."""

import json
import logging
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from watched import T0_NS, HandClock, Watched, an_exit, answer, guarded, order, position

from reactor.audit import AlarmRaised, Decided, Degraded, LinkChanged, Reconciled
from reactor.config import LogConfig
from reactor.core.decisions import StopKind, StopMoved
from reactor.watch.log_lines import LogLines, Masks
from reactor.watch.logs import AuditLog, configure_logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def logged(
    watched: Watched, *, secrets: tuple[str, ...] = (), **config: Any
) -> tuple[list[str], LogLines]:
    written: list[str] = []
    lines = configure_logs(
        LogConfig(**config),
        clock=watched.clock,
        secrets=secrets,
        write=written.append,
        is_terminal=False,
    )
    watched.audit.watch(AuditLog().watch)
    return written, lines


def moved(kind: StopKind) -> Decided:
    stop = StopMoved(
        t_ns=T0_NS,
        tick=1,
        symbol="BTCUSDT",
        side="LONG",
        epoch=1,
        kind=kind,
        stop=Decimal(1),
        price=Decimal(2),
    )
    return Decided(decision=stop, id="7")


def test_what_is_worth_a_line_gets_one_and_ticks_get_none() -> None:
    watched = Watched()
    written, lines = logged(watched)
    guarded(watched)
    watched.tell(
        *[position()] * 50,
        *[moved(StopKind.TRAILING_STOP)] * 50,
        moved(StopKind.BREAK_EVEN),
        an_exit(),
        order(t_sent_ns=T0_NS),
        answer(),
        LinkChanged(stream="market", state="down", reason="reset"),
        AlarmRaised(kind="naked", text="no stop"),
        Degraded(part="journal", degraded=True, reason="disk full"),
        Reconciled(cause="timer", differences=(), took_ms=1),
    )
    assert lines.close(timeout_s=5)
    found = [json.loads(line) for line in written]
    assert [(entry["event"], entry["level"]) for entry in found] == [
        ("started", "info"),
        ("link", "info"),
        ("link", "info"),
        ("reconciled", "info"),
        ("protection", "info"),
        ("decided", "info"),
        ("decided", "info"),
        ("decided", "info"),
        ("order_sent", "info"),
        ("order_answered", "info"),
        ("link", "warning"),
        ("alarm", "warning"),
        ("alarm", "warning"),
    ]
    assert found[0]["time"] == "2026-09-21T14:13:20.000Z"
    assert found[7]["id"] == "BTCUSDT-LONG-1-1"
    assert "params" not in found[8]
    assert found[8]["tick_to_wire_us"] == 60


def test_text_is_one_line_whatever_it_quotes() -> None:
    watched = Watched()
    written, lines = logged(watched, format="text")
    watched.tell(AlarmRaised(kind="x", text="two\nlines \x1b[31m"))
    assert lines.close(timeout_s=5)
    (line,) = written
    assert line.count("\n") == 1
    assert "two?lines ?[31m" in line
    assert line.startswith("2026-09-21T14:13:20.000Z warning alarm")


def test_libraries_speak_the_same_way_and_with_their_traceback() -> None:
    watched = Watched()
    written, lines = logged(watched, secrets=("s3cret-key",))
    logging.getLogger("aiohttp.server").info("chatter")
    try:
        int("with s3cret-key inside")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("it %s", "failed")
    assert lines.close(timeout_s=5)
    (entry,) = map(json.loads, written)
    assert (entry["event"], entry["logger"], entry["level"]) == (
        "it failed",
        "aiohttp.server",
        "error",
    )
    assert "with *** inside" in entry["exception"]


PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIabc\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "line",
    [
        "key=Abc/123+xyz==",
        "https://x/?signature=Abc%2F123%2Bxyz%3D%3D",
        '{"a":"quo\\"ted-secret"}',
        '{"a":"MC4CAQAwBQYDK2VwBCIEIabc\\n"}',
        f"{PEM}",
        json.dumps({"a": PEM}),
        json.dumps({"a": "pässword"}),
        '{"a":"pässword"}',
    ],
)
def test_secrets_are_masked_however_they_are_written(line: str) -> None:
    masked = Masks(["Abc/123+xyz==", 'quo"ted-secret', PEM, "pässword", "ab"]).mask(line)
    assert "***" in masked
    for secret in ("Abc", "ted-secret", "MC4CAQ", "ssword"):
        assert secret not in masked
    assert Masks(["ab"]).mask("abab") == "abab"


def test_a_stuck_reader_stops_nothing_and_what_was_lost_is_said() -> None:
    gate, entered = threading.Event(), threading.Event()
    written: list[str] = []

    def write(line: str) -> None:
        entered.set()
        gate.wait(10)
        written.append(line)

    lines = LogLines(write, lines_max=3)
    lines.put("0")
    assert entered.wait(10)
    for number in range(1, 20):
        lines.put(str(number))
    assert lines.dropped == 16
    assert not lines.close(timeout_s=0.01)
    gate.set()
    while len(written) < 4:
        threading.Event().wait(0.001)
    lines.put("later")
    assert lines.close(timeout_s=5)
    assert json.loads(written[-2])["event"] == "log_lines_dropped"
    assert written[-1] == "later\n"


def test_a_reader_that_went_away_is_counted() -> None:
    def write(_: str) -> None:
        raise BrokenPipeError

    lines = LogLines(write)
    lines.put("x")
    assert lines.close(timeout_s=5)
    assert lines.faults == 1


def test_the_clock_stamps() -> None:
    written: list[str] = []
    lines = configure_logs(
        LogConfig(level="error"), clock=HandClock(0), secrets=(), write=written.append
    )
    structlog.get_logger().warning("hidden")
    structlog.get_logger().error("shown", price=Decimal("1.50"))
    assert lines.close(timeout_s=5)
    (entry,) = map(json.loads, written)
    assert (entry["time"], entry["price"]) == ("1970-01-01T00:00:00.000Z", "1.50")
