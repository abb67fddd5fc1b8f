"""`reactor explain` and `reactor why` tell what the journal of a running or ended process holds."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from journal_story import SECOND_NS, START_NS, Guarded, HandClock, a_short_life

from reactor.audit import AlarmRaised, LinkChanged
from reactor.errors import BadInputError, ConfigError
from reactor.shell.journal.commands import add_explain_command, add_why_command
from reactor.shell.journal.journal import Journal
from reactor.shell.journal.reading import clock_text, span_text, when

Capture = pytest.CaptureFixture[str]
SPAN = ("--from", "2026-09-21T14:00", "--to", "2026-09-21T16:00+01:00")


def run(capsys: Capture, *words: str) -> str:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_explain_command(commands)
    add_why_command(commands)
    args = parser.parse_args(words)
    assert args.run(args) == 0
    return capsys.readouterr().out


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A rung was taken, then the trailing stop closed the rest, and somebody raised an alarm."""
    path = tmp_path / "reactor.db"
    clock = HandClock()
    guarded = Guarded(Journal.open(path, clock=clock, inline=True), clock)
    guarded.tick("100")
    guarded.position("2")
    guarded.tell(LinkChanged(stream="market", state="down", reason="1006"))
    for price in ("100.4", "101.5", "102", "101.7"):
        guarded.tick(price, after_s=7)
    guarded.answered("filled", "1", "102")
    guarded.position("1")
    guarded.tell(AlarmRaised(kind="naked", text="no hard stop", symbol="BTCUSDT"))
    guarded.seen(None)
    guarded.tick("101.4")
    guarded.answered("filled", "1", "101.38")
    guarded.position("0")
    guarded.journal.close()
    return path


def test_an_exit_is_explained(path: Path, capsys: Capture) -> None:
    said = run(capsys, "explain", "BTCUSDT-LONG-1-2", "--journal", str(path))
    for line in (
        "BTCUSDT LONG: close 1 for trailing_stop at 101.4, leaving 0",
        "decided    2026-09-21 14:14:30.003 UTC, on tick 6",
        "because    price 101.4 is at or through the stop 101.49 (trailing_stop)",
        "  position   1 of 2 @ 100, orders watching",
        "  rung 1     102 closes 0.5: taken",
        "plan       told",
        "  times      event 2026-09-21 14:14:29.998, recv +5 ms, decided +20 µs, sent +41 µs",
        "  outcome    filled, filled 1 @ 101.38 after 2.94 ms",
        "  2026-09-21 14:14:29.003 alarm BTCUSDT: kind naked, text no hard stop",
    ):
        assert line in said.splitlines()
    assert "OURKEY" not in said


def test_a_rung_is_explained_by_the_level_that_was_reached(path: Path, capsys: Capture) -> None:
    said = run(capsys, "explain", "BTCUSDT-LONG-1-1", "--journal", str(path))
    assert "because    price 102 reached rung 1 at 102" in said
    assert "  rung 1     102 closes 0.5: waits" in said


def test_every_decision_can_be_explained(path: Path, capsys: Capture) -> None:
    found = json.loads(run(capsys, "why", "BTCUSDT", *SPAN, "--journal", str(path), "--json"))
    decisions = [row for position in found["positions"] for row in position["decisions"]]
    kinds = {row["kind"] for row in decisions}
    assert kinds == {"opened", "stop", "exit", "cancel_orders", "closed"}
    for row in decisions:
        said = run(capsys, "explain", row["id"], "--journal", str(path))
        assert said.startswith("BTCUSDT LONG: ")
        told = json.loads(run(capsys, "explain", row["id"], "--journal", str(path), "--json"))
        assert told["decision"] == row["body"]
        assert told["plan"]["name"] == "told"


def test_the_json_has_everything_that_led_to_it(path: Path, capsys: Capture) -> None:
    told = json.loads(run(capsys, "explain", "BTCUSDT-LONG-1-2", "--journal", str(path), "--json"))
    assert set(told) == {
        "id",
        "decision",
        "levels",
        "seen",
        "plan",
        "tightened",
        "regime",
        "epoch",
        "orders",
        "outcomes",
        "attempts",
        "around",
    }
    assert told["levels"]["stop"] == "101.49"
    assert told["orders"][0]["params"]["apiKey"] == "…"
    assert [row["outcome"] for row in told["outcomes"]] == ["filled"]
    assert (told["epoch"]["cause"], told["epoch"]["epoch"]) == ("external", 1)


def test_an_order_leads_to_its_decision(path: Path, capsys: Capture) -> None:
    told = json.loads(run(capsys, "explain", "BTCUSDT-LONG-1-1", "--journal", str(path), "--json"))
    client_id = told["orders"][0]["client_id"]
    again = json.loads(run(capsys, "explain", client_id, "--journal", str(path), "--json"))
    assert again["id"] == "BTCUSDT-LONG-1-1"


def test_an_unknown_decision_is_one_line_that_names_a_known_one(
    path: Path, capsys: Capture
) -> None:
    with pytest.raises(BadInputError) as caught:
        run(capsys, "explain", "ETHUSDT-LONG-1-1", "--journal", str(path))
    assert str(caught.value) == (
        "no decision ETHUSDT-LONG-1-1 in this journal; the last exit is BTCUSDT-LONG-1-2"
    )


def test_why_tells_what_fired_and_how_near_the_rest_came(path: Path, capsys: Capture) -> None:
    said = run(capsys, "why", "btcusdt", *SPAN, "--journal", str(path)).splitlines()
    assert said[0] == "BTCUSDT from 2026-09-21 14:00:00.000 to 2026-09-21 15:00:00.000 UTC"
    assert "  fired: take_profit, trailing_stop" in said
    assert (
        "  nearest to the next level: 101.5 was 0.5 short of it (0.490 %): take_profit 102,"
        " at 2026-09-21 14:14:15.000 (stream, 5 ms old)"
    ) in said
    assert "  1 looks found no price at all: nothing could fire then" in said
    assert any("stop moved 2 times until" in line for line in said)
    assert any(line.startswith("  2026-09-21 14:14   100.4         102") for line in said)
    assert "  2026-09-21 14:14:01.000 link: stream market, state down, reason 1006" in said


def test_why_tells_of_what_did_not_happen(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "reactor.db"
    clock = HandClock()
    guarded = Guarded(Journal.open(path, clock=clock, inline=True), clock)
    guarded.tick("100")
    guarded.position("2")
    for price in ("99.3", "99.02", "99.6"):
        guarded.tick(price, after_s=5)
    clock.now += 60 * SECOND_NS
    guarded.seen("99.7", source="rest", age_ms=900)
    # The process is still running: nothing was closed.
    said = run(capsys, "why", "BTCUSDT", *SPAN, "--journal", str(path)).splitlines()
    assert "  no rule fired" in said
    assert (
        "  nearest to the stop: 99.02 was 0.02 short of it (0.020 %): stop_loss 99,"
        " at 2026-09-21 14:14:11.000 (stream, 5 ms old)"
    ) in said
    guarded.journal.abandon()


def test_why_of_a_short_measures_the_other_way() -> None:
    from decimal import Decimal

    from reactor.audit import PositionSeen
    from reactor.shell.journal.samples import Sample

    sample = Sample(epoch=1)
    seen = PositionSeen(
        symbol="X",
        side="SHORT",
        managed=True,
        quantity=Decimal(1),
        entry=Decimal(100),
        price=Decimal(99),
        stop=Decimal(101),
        next_level=Decimal(97),
    )
    sample.look(seen, t_ns=1)
    assert sample.stop is not None
    assert sample.level is not None
    assert (sample.stop.gap, sample.level.gap) == (Decimal(2), Decimal(2))
    sample.observe(Decimal(98), side="SHORT", t_ns=2, source="stream", age_ms=0)
    assert (sample.stop.gap, sample.level.gap) == (Decimal(2), Decimal(1))


def test_a_symbol_that_was_not_guarded_says_so(path: Path, capsys: Capture) -> None:
    said = run(capsys, "why", "ETHUSDT", *SPAN, "--journal", str(path))
    assert "no position of it was guarded then" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("why", "X", "--from", "soon"), "--from soon: no time; write 2026-11-21T03:00"),
        (("why", "X", "--from", "2026-01-02", "--to", "2026-01-01"), "--from is not before --to"),
    ],
)
def test_wrong_times_are_one_line(
    words: tuple[str, ...], message: str, path: Path, capsys: Capture
) -> None:
    with pytest.raises(BadInputError) as caught:
        run(capsys, *words, "--journal", str(path))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_no_journal_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(ConfigError, match="there is no journal at"):
        run(capsys, "why", "X", "--journal", str(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("no database at all " * 100)
    with pytest.raises(ConfigError, match="cannot read the journal"):
        run(capsys, "why", "X", "--journal", str(tmp_path / "text.db"))


def test_the_configuration_says_where_the_journal_is(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_short_life(tmp_path / "kept" / "here.db")
    (tmp_path / "reactor.toml").write_text('data_dir = "kept"\n[journal]\npath = "here.db"\n')
    assert "epoch 1: plan told" in run(capsys, "why", "BTCUSDT", *SPAN)
    # And so do the variables, as they do for the process itself: in a container they are all there is.
    (tmp_path / "reactor.toml").unlink()
    monkeypatch.setenv("REACTOR_DATA_DIR", "kept")
    monkeypatch.setenv("REACTOR_JOURNAL_PATH", "here.db")
    assert "epoch 1: plan told" in run(capsys, "why", "BTCUSDT", *SPAN)


NOW = START_NS  # 2026-09-21 14:14:00


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - 1800 * SECOND_NS),
        ("1.5h", NOW - 5400 * SECOND_NS),
        ("14:13", NOW - 60 * SECOND_NS),
        ("14:15", NOW + 60 * SECOND_NS - 86_400 * SECOND_NS),
        ("2026-09-21T14:14", NOW),
        ("2026-09-21T16:14:00.000001+02:00", NOW + 1000),
        (str(NOW // SECOND_NS), NOW),
        (str(NOW // 1_000_000), NOW),
        (str(NOW), NOW),
    ],
)
def test_times_as_people_write_them(text: str, expected: int) -> None:
    assert when(text, now_ns=NOW, option="--from") == expected


def test_times_as_people_read_them() -> None:
    said: list[Any] = [clock_text(NOW + 7_000_000), clock_text(0), span_text(1_500_000_000)]
    assert said == ["2026-09-21 14:14:00.007", "-", "1.5 s"]
    assert (span_text(2_000_000), span_text(41_000)) == ("2 ms", "41 µs")
