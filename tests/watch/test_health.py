"""Ready means guarded; no data is never fine."""

import asyncio
from decimal import Decimal

import pytest
from watched import HandClock, Watched, guarded, position, protection

from reactor.audit import Degraded, Happening, LinkChanged, PositionGone, SourceChanged, Stopped
from reactor.watch.health import Readiness, ReadyLimits, liveness, readiness
from reactor.watch.pulse import EVERY_S, Pulse

LIMITS = ReadyLimits(reconciled_s_max=180.0)


@pytest.fixture
def watched() -> Watched:
    found = Watched()
    guarded(found)
    return found


def asked(watched: Watched, limits: ReadyLimits = LIMITS) -> Readiness:
    return readiness(watched.picture, limits, now_ns=watched.clock.now_ns())


def kinds(state: Readiness) -> list[str]:
    assert state.ready == (not state.reasons)
    return [reason.kind for reason in state.reasons]


def test_nothing_heard_is_not_ready() -> None:
    nothing = Watched()
    assert kinds(asked(nothing)) == ["no_data"]


def test_a_guarded_position_is_ready(watched: Watched) -> None:
    assert kinds(asked(watched)) == []


def test_a_start_without_an_answer_of_the_exchange_is_not_ready() -> None:
    from watched import started

    fresh = Watched()
    fresh.tell(started())
    assert kinds(asked(fresh)) == ["no_data"]
    fresh.clock.forward(31)
    assert kinds(asked(fresh)) == ["no_data", "private_down"]


@pytest.mark.parametrize(
    ("after_s", "happening", "expected"),
    [
        (4.5, None, []),
        (4.7, None, ["stale_price"]),  # 400 ms old when told
        (0, position(age_ms=5001), ["stale_price"]),
        (0, position(price=None, age_ms=None), ["no_price"]),
        (0, position(managed=False, price=None), []),
        (60, PositionGone(symbol="BTCUSDT", side="LONG"), []),
        (181, PositionGone(symbol="BTCUSDT", side="LONG"), ["not_reconciled"]),
        (0, Stopped(reason="SIGTERM"), ["stopped"]),
        (0, LinkChanged(stream="private", state="down"), []),
        (0, LinkChanged(stream="market", state="down"), []),
    ],
)
def test_what_counts_against_being_ready(
    watched: Watched, after_s: float, happening: Happening | None, expected: list[str]
) -> None:
    if happening is not None:
        watched.tell(happening)
    watched.clock.forward(after_s)
    assert kinds(asked(watched)) == expected


def test_a_missing_hard_stop_counts_after_a_while_and_is_named(watched: Watched) -> None:
    watched.tell(protection(state="hard_stop_missing", naked_seconds=0.5))
    watched.tell(position(), after_s=10)
    assert kinds(asked(watched)) == []
    watched.tell(position(), after_s=1)
    state = asked(watched)
    assert kinds(state) == ["unprotected"]
    assert state.reasons[0].text == "hard_stop_missing for 11 s"
    assert (state.reasons[0].symbol, state.reasons[0].side) == ("BTCUSDT", "LONG")
    assert kinds(asked(watched, ReadyLimits(hard_stops=False))) == []
    watched.tell(protection())
    assert kinds(asked(watched)) == []


def test_a_position_whose_protection_was_never_proved_is_not_protected(watched: Watched) -> None:
    watched.tell(position("ETHUSDT", protection=""))
    watched.tell(position("ETHUSDT", protection=""), position(), after_s=11)
    assert [(reason.kind, reason.symbol) for reason in asked(watched).reasons] == [
        ("unprotected", "ETHUSDT")
    ]


def test_the_accounts_own_stream_may_be_down_for_a_reconnect(watched: Watched) -> None:
    watched.tell(LinkChanged(stream="private", state="silent"))
    watched.tell(LinkChanged(stream="private", state="silent"), position(), after_s=30)
    assert kinds(asked(watched)) == []
    watched.tell(position(), after_s=1)
    assert kinds(asked(watched)) == ["private_down"]


def test_what_works_less_well_is_noted_and_stays_ready(watched: Watched) -> None:
    watched.tell(
        LinkChanged(stream="market", state="down"),
        SourceChanged(symbol="BTCUSDT", source="rest"),
        SourceChanged(symbol="XRPUSDT", source="rest"),  # not held
        Degraded(part="journal", degraded=True, reason="disk full"),
        position(paused=True, unrealized=Decimal(0)),
    )
    state = asked(watched)
    assert state.ready
    assert [(note.kind, note.text) for note in state.notes] == [
        ("link_down", "the market socket is down"),
        ("source", "prices come from rest"),
        ("degraded", "journal: disk full"),
        ("paused", "paused by an operator"),
    ]


def test_a_loop_that_stands_still_is_not_alive(watched: Watched) -> None:
    clock = HandClock()
    pulse = Pulse(clock)
    assert liveness(watched.picture, pulse, now_ns=clock.now_ns()).alive
    clock.forward(EVERY_S + 29)
    assert liveness(watched.picture, pulse, now_ns=clock.now_ns()).alive
    clock.forward(2)
    state = liveness(watched.picture, pulse, now_ns=clock.now_ns())
    assert (state.alive, state.text) == (False, "the loop's pulse is missing for 31 s")


async def test_the_pulse_measures_how_late_the_loop_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HandClock()
    pulse = Pulse(clock)
    sleeps = 0

    async def late(seconds: float) -> None:
        nonlocal sleeps
        sleeps += 1
        if sleeps > 2:
            raise asyncio.CancelledError
        clock.forward(seconds + 0.25)

    monkeypatch.setattr(asyncio, "sleep", late)
    with pytest.raises(asyncio.CancelledError):
        await pulse.run()
    assert pulse.late_max_ns == 250_000_000
    assert pulse.lateness.count == 2
