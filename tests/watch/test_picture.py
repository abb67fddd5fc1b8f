"""The picture as a fold over the audit stream."""

from decimal import Decimal

import pytest
from watched import (
    T0_NS,
    S,
    Watched,
    an_exit,
    answer,
    guarded,
    order,
    position,
    protection,
    started,
)

from reactor.audit import (
    AlarmRaised,
    CommandTaken,
    Decided,
    Degraded,
    Happening,
    HardStopChanged,
    LinkChanged,
    Noted,
    PositionGone,
    RecordingChanged,
    SourceChanged,
    Stopped,
)
from reactor.core.decisions import Alarm
from reactor.watch import picture as picture_module
from reactor.watch.picture import DECISIONS_KEPT_MAX, Picture


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_picture_of_nothing_knows_nothing() -> None:
    picture = Picture()
    assert (picture.number, picture.started, picture.positions) == (0, None, {})


def test_positions_come_and_go(watched: Watched) -> None:
    guarded(watched)
    watched.tell(position("ETHUSDT"), position("BTCUSDT", price=Decimal(61900)), after_s=1)
    assert list(watched.picture.positions) == [("BTCUSDT", "LONG"), ("ETHUSDT", "LONG")]
    seen = watched.picture.positions["BTCUSDT", "LONG"]
    assert (seen.position.price, seen.t_ns, seen.first_ns) == (Decimal(61900), T0_NS + S, T0_NS)
    watched.tell(position("BTCUSDT", epoch=2), after_s=1)
    assert watched.picture.positions["BTCUSDT", "LONG"].first_ns == T0_NS + 2 * S
    watched.tell(PositionGone(symbol="BTCUSDT", side="LONG"))
    assert list(watched.picture.positions) == [("ETHUSDT", "LONG")]


@pytest.mark.parametrize(
    ("told", "total"),
    [
        ((1.0, 3.5, 3.5), 3.5),  # a total
        ((1.0, 2.0, 0.0, 4.0), 6.0),  # a clock that begins anew
        ((0.0,), 0.0),
    ],
)
def test_naked_seconds_are_a_total_however_they_are_told(
    watched: Watched, told: tuple[float, ...], total: float
) -> None:
    for seconds in told:
        watched.tell(protection(state="missing", naked_seconds=seconds, blind_seconds=seconds * 2))
    standing = watched.picture.protection["BTCUSDT", "LONG"]
    assert (standing.naked_total, standing.blind_total) == (total, total * 2)


def test_a_positions_seconds_outlast_it(watched: Watched) -> None:
    watched.tell(protection(state="missing", naked_seconds=5.0))
    watched.tell(PositionGone(symbol="BTCUSDT", side="LONG"))
    watched.tell(protection(state="missing", naked_seconds=7.0))
    assert watched.picture.protection["BTCUSDT", "LONG"].naked_total == 12.0


def test_a_state_has_been_so_since_it_changed(watched: Watched) -> None:
    watched.tell(protection(state="missing"))
    watched.tell(protection(state="missing"), after_s=5)
    assert watched.picture.protection["BTCUSDT", "LONG"].since_ns == T0_NS
    watched.tell(LinkChanged(stream="market", state="down", reason="reset"))
    watched.tell(LinkChanged(stream="market", state="down", reason="refused"), after_s=2)
    link = watched.picture.links["market"]
    assert (link.since_ns, link.reason) == (T0_NS + 5 * S, "refused")


def test_an_orders_way_is_timed_step_by_step(watched: Watched) -> None:
    sent_ns = T0_NS + 100_000
    watched.tell(an_exit(), order(t_sent_ns=sent_ns))
    watched.clock.t_ns = sent_ns + 7_000_000
    watched.tell(answer(), answer())
    watched.clock.t_ns = sent_ns + 9_000_000
    watched.tell(answer(outcome="filled"), answer(outcome="filled"))
    sums = {
        step: (histogram.count, histogram.sum_ns)
        for (step, symbol, purpose), histogram in watched.picture.latency.items()
        if (symbol, purpose) == ("BTCUSDT", "exit")
    }
    assert sums == {
        "exchange_to_receipt": (1, 4_940_000),
        "receipt_to_decision": (1, 20_000),
        "decision_to_wire": (1, 40_000),
        "tick_to_wire": (1, 60_000),
        "wire_to_ack": (1, 7_000_000),
        "wire_to_fill": (1, 9_000_000),
    }
    assert watched.picture.orders == {"accepted": 2, "filled": 2}
    assert watched.picture.orders_sent == {("exit", "ws_api"): 1}
    assert watched.picture.decided == {("exit", "trailing_stop"): 1}


def test_an_unknown_outcome_and_an_unknown_order_time_nothing(watched: Watched) -> None:
    watched.tell(order(t_sent_ns=T0_NS, t_event_ns=0, t_recv_ns=0, t_decided_ns=0))
    watched.tell(answer(outcome="unknown"), answer("somebody-else"), after_s=1)
    assert watched.picture.latency == {}
    watched.tell(answer(), after_s=1)
    assert [key[0] for key in watched.picture.latency] == ["wire_to_ack"]


def test_decisions_are_kept_to_a_bound(watched: Watched) -> None:
    for _ in range(DECISIONS_KEPT_MAX + 5):
        watched.tell(an_exit())
    assert len(watched.picture.decisions) == DECISIONS_KEPT_MAX
    assert watched.picture.decisions[-1].number == DECISIONS_KEPT_MAX + 5


def test_an_alarm_stands_until_it_is_said_to_be_over(watched: Watched) -> None:
    alarm = AlarmRaised(kind="naked", text="no stop for 3 s", symbol="BTCUSDT", key="naked:BTCUSDT")
    watched.tell(alarm)
    watched.tell(alarm, after_s=5)
    active = watched.picture.alarms["naked:BTCUSDT"]
    assert (active.times, active.first_ns, active.last_ns) == (2, T0_NS, T0_NS + 5 * S)
    watched.tell(AlarmRaised(kind="naked", text="has one", key="naked:BTCUSDT", resolved=True))
    assert watched.picture.alarms == {}
    assert watched.picture.alarms_raised == {"naked": 2}


def test_what_the_engine_alarms_of_and_what_is_degraded_are_alarms(watched: Watched) -> None:
    engine = Alarm(t_ns=T0_NS, tick=1, symbol="BTCUSDT", side="LONG", epoch=1, what="dust")
    watched.tell(Decided(decision=engine, id="9"))
    watched.tell(Degraded(part="journal", degraded=True, reason="disk full"))
    assert [active.alarm.text for active in watched.picture.alarms.values()] == [
        "dust",
        "journal: disk full",
    ]
    assert watched.picture.degraded == {"journal": "disk full"}
    watched.tell(Degraded(part="journal", degraded=False))
    assert watched.picture.degraded == {}
    assert [active.alarm.text for active in watched.picture.alarms.values()] == ["dust"]


def test_the_rest_of_what_happens_is_folded_too(watched: Watched) -> None:
    watched.tell(
        started(mode="dry_run"),
        SourceChanged(symbol="BTCUSDT", source="rest", reason="silent"),
        HardStopChanged(symbol="BTCUSDT", side="LONG", client_id="x", state="confirmed"),
        CommandTaken(command="pause", symbol="BTCUSDT", side="LONG"),
        RecordingChanged(path="tapes/a", state="started"),
        Noted(kind="damage", text="no JSON", count=1),
        Noted(kind="damage", text="no JSON", count=10),
        Stopped(reason="SIGTERM"),
    )
    picture = watched.picture
    assert picture.started is not None
    assert picture.sources["BTCUSDT"].source == "rest"
    assert picture.hard_stops == {"confirmed": 1}
    assert picture.commands == {"pause": 1}
    assert picture.recording is not None
    assert (picture.stopped, picture.number) == ("SIGTERM", 8)
    assert picture.noted == {"damage": 10}


def test_every_happening_is_folded_or_is_an_alarm() -> None:
    folded = set(picture_module._FOLDS) | {AlarmRaised}
    assert folded == set(Happening.__args__)


def test_no_table_grows_without_bound(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_module, "KEYS_MAX", 3)
    monkeypatch.setattr(picture_module, "ORDERS_AWAITED_MAX", 3)
    for number in range(9):
        name = f"S{number}"
        watched.tell(
            position(name),
            protection(name),
            LinkChanged(stream=name, state="up"),
            SourceChanged(symbol=name, source="rest"),
            HardStopChanged(symbol=name, side="LONG", client_id="x", state=name),
            AlarmRaised(kind=name, text="", key=name),
            Degraded(part=name, degraded=True),
            CommandTaken(command=name, symbol="", side=""),
            order(name, t_sent_ns=T0_NS, symbol=name),
            answer(name, outcome=name),
        )
    picture = watched.picture
    assert [len(table) for table in (picture.positions, picture.links, picture.sources)] == [3] * 3
    assert len(picture.protection) == len(picture.alarms) == len(picture.degraded) == 3
    assert picture.commands == {"S0": 1, "S1": 1, "S2": 1, "other": 6}
    assert len(picture.latency) <= 3 + 6
    assert len(picture._awaited) == 3
    assert picture.overflows > 0
