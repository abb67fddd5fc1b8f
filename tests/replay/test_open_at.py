"""`replay --open-at`: a position that opens in the middle has seen the recording before it, and no more."""

from decimal import Decimal
from pathlib import Path

import pytest
from frames import T0_NS, agg, line
from replayed import START_NS, refused, run, through_columns, through_tape, tick_file

from reactor.core.plan import plan_from_toml
from reactor.errors import ConfigError
from reactor.replay.options import AskedPosition, ReplayOptions, instant_ns

PLAN = plan_from_toml(
    'trigger = "last"\n[atr]\nperiod = 2\ninterval = "1m"\n[stop]\natr = 2\n', source="p"
)
SECOND_NS = 10**9
POSITION = AskedPosition("BTCUSDT", "LONG", Decimal(1), Decimal(100))


def options(second: float) -> ReplayOptions:
    at_ns = START_NS + round(second * SECOND_NS)
    return ReplayOptions(plan=PLAN, positions=(POSITION,), open_at_ns=at_ns)


PRICES = [100 + (at * 7 % 11) / 10 for at in range(400)]


@pytest.mark.parametrize("way", ["walk", "jump"])
def test_it_opens_at_the_first_tick_then_or_later(way: str) -> None:
    found = through_columns(options(299.5), tick_file(PRICES), way=way)  # type: ignore[arg-type]
    (opened,) = found.of("opened")
    assert opened["t"] == START_NS + 300 * SECOND_NS
    # The candles before it were seen: the ATR is ready.
    assert opened["atr"] is not None
    assert found.summary["ticks"] == 400


def test_of_a_tape_the_line_counts(tmp_path: Path) -> None:
    lines = [line(at, agg(f"{price:.1f}", at + 1, at)) for at, price in enumerate(PRICES)]
    asked = ReplayOptions(
        plan=PLAN, positions=(POSITION,), open_at_ns=T0_NS + round(299.5 * SECOND_NS)
    )
    found = through_tape(lines, tmp_path, asked)
    (opened,) = found.of("opened")
    assert opened["t"] == T0_NS + 300 * SECOND_NS
    assert opened["atr"] is not None
    whole = through_tape(lines, tmp_path, ReplayOptions(plan=PLAN, positions=(POSITION,)))
    assert whole.of("opened")[0]["atr"] is None


@pytest.mark.parametrize("way", ["walk", "jump"])
def test_a_recording_that_ends_before_says_so(way: str) -> None:
    found = through_columns(options(9999), tick_file(PRICES), way=way)  # type: ignore[arg-type]
    assert found.lines == []
    assert any("--open-at: the recording ends before it" in note for note in found.notes)


def test_instants() -> None:
    assert instant_ns("1790000000123456789", "x") == 1_790_000_000_123_456_789
    assert instant_ns("1970-01-02T00:00:01.5Z", "x") == 86_401_500_000_000
    assert instant_ns("1970-01-01 01:00+01:00", "x") == 0
    for wrong in ("soon", "-5", "9" * 30, "2200-01-01", "1969-12-31T23:59"):
        with pytest.raises(ConfigError, match="x "):
            instant_ns(wrong, "x")


def test_it_needs_a_position(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.csv"
    file.write_text("t,price\n1,100\n")
    said = refused(capfd, "replay", file, "--symbol", "BTCUSDT", "--open-at", "5")
    assert "give one" in said
    assert (
        run(capfd, "replay", file, "--position", "BTCUSDT:LONG:1@100", "--open-at", "1").code == 0
    )
