"""Hard stops: one rule a test, on the bench."""

from decimal import Decimal
from typing import Any

import pytest

from reactor.core.exact import text
from reactor.core.hard_stop_levels import PARTS_MAX, stop_parts, trigger_price
from reactor.core.hard_stop_values import (
    Action,
    AskOpen,
    AskOrder,
    AskPosition,
    Cancel,
    CloseNow,
    HardStopState,
    Place,
    Reread,
    StopRules,
)
from reactor.shell.hard_stop_names import HardStopNames

from .hard_stop_bench import NAMES, OPENED_NS, Bench, of, standing

# Where it stands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "buffer", "rules", "trigger"),
    [
        ("LONG", "100", "0.005", StopRules(tick=Decimal("0.1")), "99.5"),
        ("LONG", "97.43", "0.005", StopRules(tick=Decimal("0.1")), "96.9"),
        ("SHORT", "100", "0.005", StopRules(tick=Decimal("0.1")), "100.5"),
        ("SHORT", "97.43", "0.005", StopRules(tick=Decimal("0.1")), "98.0"),
        ("LONG", "97.43", "0.005", StopRules(), "96.94285"),
        ("LONG", "0.00000002", "0.9", StopRules(tick=Decimal("0.00000001")), "0.00000001"),
        ("LONG", "100", "0.9", StopRules(tick=Decimal("0.1"), price_min=Decimal(50)), "50"),
        ("SHORT", "100", "0.9", StopRules(tick=Decimal("0.1"), price_max=Decimal(150)), "150"),
    ],
)
def test_the_trigger_lies_beyond_the_stop_and_away_from_the_price(
    side: Any, stop: str, buffer: str, rules: StopRules, trigger: str
) -> None:
    found = trigger_price(side=side, stop=Decimal(stop), buffer_pct=Decimal(buffer), rules=rules)
    assert found == Decimal(trigger)


@pytest.mark.parametrize(
    ("quantity", "smallest", "largest", "parts"),
    [
        ("250", "1", "100", ["100", "100", "50"]),
        ("200", "1", "100", ["100", "100"]),
        ("201", "5", "100", ["100", "96", "5"]),
        ("0.5", "1", "100", []),
        ("7", "5", "6", ["6"]),
        ("3", "1", None, ["3"]),
        ("3", "5", "4", []),
        ("8", "5", "4", ["8"]),
    ],
)
def test_a_quantity_is_cut_into_what_one_stop_may_have(
    quantity: str, smallest: str, largest: str | None, parts: list[str]
) -> None:
    rules = StopRules(
        step=Decimal(1),
        quantity_min=Decimal(smallest),
        quantity_max=None if largest is None else Decimal(largest),
    )
    assert stop_parts(Decimal(quantity), rules) == tuple(map(Decimal, parts))


def test_a_position_beyond_all_parts_is_covered_as_far_as_that_goes_and_said() -> None:
    bench = Bench(quantity="3000")
    assert len(of(Place, bench.new)) == PARTS_MAX
    assert bench.alarms() == ["hard_stop_partial"]


def test_dust_has_no_stop_and_a_person_knows() -> None:
    bench = Bench(quantity="0.0004")
    assert of(Place, bench.log) == []
    assert bench.alarms() == ["hard_stop_dust"]
    assert bench.view().state == "failed"


@pytest.mark.parametrize("hedge", [False, True])
def test_an_epoch_opens_with_a_stop(hedge: bool) -> None:
    bench = Bench(hedge=hedge)
    (place,) = of(Place, bench.new)
    assert (place.trigger, place.quantity, place.hedge) == (Decimal("99.5"), Decimal("0.5"), hedge)
    assert bench.view().state == "placing"
    bench.accept()
    view = bench.view()
    assert (view.state, view.trigger, view.quantity) == (
        "standing",
        Decimal("99.5"),
        Decimal("0.5"),
    )


def test_the_stream_confirms_as_well_as_the_answer() -> None:
    bench = Bench()
    bench.tell("NEW")
    assert bench.view().state == "standing"
    assert bench.refuse(-1007) == []
    assert bench.view().state == "standing"


# When it moves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "moves"),
    [
        ("LONG", "100.05", False),
        ("LONG", "100.3", True),
        ("LONG", "99", False),
        ("SHORT", "99.95", False),
        ("SHORT", "99.7", True),
        ("SHORT", "101", False),
    ],
)
def test_it_follows_a_better_stop_by_more_than_a_step_and_never_a_worse_one(
    side: str, stop: str, moves: bool
) -> None:
    bench = standing(side=side)
    bench.want(stop=stop)
    assert bool(of(Place, bench.log)) is moves


def test_the_old_one_goes_only_when_the_new_one_is_confirmed() -> None:
    bench = standing()
    old = bench.view()
    bench.want(stop="101")
    assert of(Cancel, bench.log) == []
    assert (bench.view().state, bench.view().trigger) == ("replacing", old.trigger)
    bench.accept()
    (cancel,) = of(Cancel, bench.log)
    assert cancel.client_id == old.client_id
    assert bench.view().trigger == Decimal("100.4")
    assert bench.view().surplus_since_ns is not None
    bench.cancel_done()
    assert bench.view().surplus_since_ns is None


def test_it_moves_no_more_than_once_a_second() -> None:
    bench = standing()
    for stop in range(101, 131):
        bench.want(stop=str(stop))
        if of(Place, bench.new):
            bench.accept()
        for place in of(Place, bench.wait(0.1)):
            bench.accept(place)
    assert len(of(Place, bench.log)) <= 4
    bench.wait(1)
    assert bench.placed().trigger == Decimal("129.3")


def test_many_positions_share_the_order_rate() -> None:
    bench = standing()
    for number in range(30):
        bench.did(
            bench.stops.want(
                _named(bench, f"A{number}USDT"),
                bench.t_ns,
            )
        )
    bench.want(stop="101")  # 1.5 s after the last placement, of 3.1 s that 31 positions have
    assert [p for p in of(Place, bench.wait(1.5)) if p.symbol == "BTCUSDT"] == []
    assert [p for p in of(Place, bench.wait(0.2)) if p.symbol == "BTCUSDT"] != []


def _named(bench: Bench, symbol: str) -> Any:
    fields = {f: getattr(bench.wanted, f) for f in bench.wanted.__struct_fields__}
    return type(bench.wanted)(**(fields | {"symbol": symbol}))


def test_a_larger_position_is_covered_at_once() -> None:
    bench = standing()
    bench.want(stop="101")
    bench.accept()
    bench.want(quantity="0.7")
    assert bench.places()[-1] == ("100.4", "0.7")
    bench.want(quantity="0.9")  # before the answer to the one before
    assert bench.places()[-1] == ("100.4", "0.9")


def test_growth_in_many_small_fills_is_bounded() -> None:
    bench = standing()
    for number in range(1, 101):
        bench.want(quantity=str(Decimal("0.5") + Decimal(number) / 1000))
        for place in of(Place, bench.wait(0.01) + bench.new):
            bench.accept(place)
    assert len(of(Place, bench.log)) <= 5
    for place in of(Place, bench.wait(1)):
        bench.accept(place)
    assert bench.view().quantity == Decimal("0.6")


def test_a_smaller_position_is_followed_within_a_second_and_at_once_in_hedge_mode() -> None:
    bench = standing()
    bench.want(stop="101")
    bench.accept()
    bench.want(quantity="0.2")
    assert of(Place, bench.new) == []
    assert [text(p.quantity) for p in of(Place, bench.wait(1))] == ["0.2"]
    hedged = standing(hedge=True)
    hedged.want(stop="101")
    hedged.accept()
    hedged.want(quantity="0.2")
    assert [text(p.quantity) for p in of(Place, hedged.new)] == ["0.2"]


def test_only_an_operator_loosens_it_and_place_first() -> None:
    bench = standing()
    bench.want(stop="90")
    bench.wait(5)
    assert of(Place, bench.log) == []
    bench.want(stop="90", loosened=True)
    assert bench.places() == [("89.5", "0.5")]
    assert of(Cancel, bench.log) == []
    assert bench.view().trigger == Decimal("99.5")
    bench.accept()
    assert len(of(Cancel, bench.log)) == 1
    assert bench.view().trigger == Decimal("89.5")


def test_an_operators_tighter_stop_keeps_what_stands_until_the_new_one_does() -> None:
    bench = standing()
    bench.stops.mark("BTCUSDT", Decimal("100.2"), bench.t_ns)
    bench.want(stop="101", loosened=True)
    assert of(Place, bench.log) == []  # held back, as ever
    bench.stops.mark("BTCUSDT", Decimal(102), bench.t_ns)
    bench.wait(1.1)
    bench.refuse(-2021)
    assert bench.view().trigger == Decimal("99.5")
    assert of(CloseNow, bench.log) == []


def test_a_tighter_one_is_held_back_while_the_mark_price_is_through_it() -> None:
    bench = standing()
    bench.stops.mark("BTCUSDT", Decimal("100.2"), bench.t_ns)
    bench.want(stop="101")
    assert of(Place, bench.log) == []
    bench.wait(1)
    bench.stops.mark("BTCUSDT", Decimal("100.9"), bench.t_ns)
    bench.wait(1.1)
    assert bench.places() == [("100.4", "0.5")]


def test_growth_while_held_back_goes_where_the_standing_one_is() -> None:
    bench = standing()
    bench.stops.mark("BTCUSDT", Decimal("100.2"), bench.t_ns)
    bench.want(stop="101", quantity="0.8")
    assert bench.places() == [("99.5", "0.8")]


def test_a_split_position_is_replaced_as_a_whole() -> None:
    bench = standing(quantity="200")
    bench.want(stop="101")
    first, second = of(Place, bench.new)
    bench.accept(first)
    assert of(Cancel, bench.log) == []
    assert bench.view().trigger == Decimal("99.5")
    assert bench.view().quantity == Decimal(320)
    bench.accept(second)
    assert len(of(Cancel, bench.log)) == 2


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-2021, -4142])
@pytest.mark.parametrize(
    ("mark", "quantity", "closes", "asks"),
    [("99.5", "0.5", True, False), ("99.6", "0.5", False, False), ("99", "0", False, True)],
)
def test_one_that_would_trigger_at_once_is_looked_at_once_more(
    code: int, mark: str, quantity: str, closes: bool, asks: bool
) -> None:
    bench = Bench()
    bench.refuse(code)
    assert len(of(Reread, bench.new)) == 1
    assert bench.wait(0.2) == []
    bench.did(
        bench.stops.reread(
            "BTCUSDT", "LONG", mark=Decimal(mark), quantity=Decimal(quantity), t_ns=bench.t_ns
        )
    )
    assert bool(of(CloseNow, bench.new)) is closes
    assert bool(of(AskPosition, bench.new)) is asks
    assert bool(of(Place, bench.new)) is not (closes or asks)


def test_a_look_that_fails_places_again_and_the_third_refusal_closes() -> None:
    bench = Bench()
    for _ in range(2):
        bench.refuse(-2021)
        bench.did(bench.stops.reread("BTCUSDT", "LONG", mark=None, quantity=None, t_ns=bench.t_ns))
        bench.wait(0.3)
    bench.refuse(-2021)
    assert len(of(CloseNow, bench.log)) == 1
    assert bench.alarms() == ["hard_stop_failed"]


def test_a_tighter_one_refused_while_another_stands_closes_nothing() -> None:
    bench = standing()
    bench.want(stop="101")
    bench.refuse(-2021)
    assert of(CloseNow, bench.log) == []
    assert of(Reread, bench.log) == []
    assert bench.view().state == "standing"
    assert bench.view().trigger == Decimal("99.5")
    bench.wait(1)
    assert len(of(Place, bench.log)) == 2


def test_a_larger_one_refused_at_the_standing_trigger_is_looked_at() -> None:
    bench = standing()
    bench.want(quantity="0.9")
    bench.refuse(-2021)
    assert len(of(Reread, bench.new)) == 1


@pytest.mark.parametrize(
    ("code", "again_s", "alarm"),
    [
        (-1015, 0.25, None),
        (-1003, 0.25, None),
        (-1008, 0.25, None),
        (None, 0.25, None),
        (-4509, 0.25, None),
        (-1021, 0.25, "hard_stop_refused"),
        (-4061, 0.25, "hard_stop_refused"),
        (-4014, 0.25, "hard_stop_refused"),
        (-4045, 30, "hard_stop_full"),
        (-2025, 30, "hard_stop_full"),
        (-2015, 30, "hard_stop_refused"),
        (-4120, 30, "hard_stop_refused"),
    ],
)
def test_a_refusal_is_tried_again_after_its_pause(
    code: int | None, again_s: float, alarm: str | None
) -> None:
    bench = Bench()
    first = bench.placed()
    bench.refuse(code)
    assert bench.alarms() == ([] if alarm is None else [alarm])
    assert bench.view().state == "failed"
    assert of(Place, bench.wait(again_s - 0.01)) == []
    (again,) = of(Place, bench.wait(0.02))
    assert again.client_id != first.client_id
    bench.accept()
    assert bench.view().state == "standing"


def test_pauses_double_up_to_a_bound_and_a_person_is_told_once() -> None:
    bench = Bench()
    for _ in range(20):
        bench.refuse(-1015)
        bench.wait(31)
    assert len(of(Place, bench.log)) == 21
    assert bench.alarms() == ["hard_stop_refused"]
    bench.accept()
    bench.want(quantity="0.9")
    bench.refuse(-1015)
    assert of(Place, bench.wait(0.24)) == []
    assert len(of(Place, bench.wait(0.02))) == 1


def test_a_ban_is_honoured() -> None:
    bench = Bench()
    bench.refuse(-1003, pause_ns=60_000_000_000)
    assert of(Place, bench.wait(59.9)) == []
    assert len(of(Place, bench.wait(0.2))) == 1


def test_no_position_found_again_and_again_asks_for_the_position() -> None:
    bench = Bench()
    for _ in range(3):
        bench.refuse(-4509)
        bench.wait(1)
    assert len(of(AskPosition, bench.log)) == 1


def test_somebodys_close_position_stop_counts_if_it_protects_as_well() -> None:
    bench = Bench()
    bench.refuse(-4130)
    assert len(of(AskOpen, bench.new)) == 1
    other = bench.seen(
        client_id="hand", trigger=Decimal("99.6"), quantity=Decimal(0), close_position=True
    )
    bench.list_shows(other)
    view = bench.view()
    assert (view.state, view.trigger, view.quantity) == (
        "standing",
        Decimal("99.6"),
        Decimal("0.5"),
    )
    assert of(Place, bench.new) == []
    assert of(Cancel, bench.log) == []
    bench.list_shows()
    assert len(of(Place, bench.new)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger": Decimal("99.4")},
        {"side": "BUY"},
        {"order_type": "TAKE_PROFIT_MARKET"},
        {"position_side": "SHORT"},
        {"close_position": False},
    ],
)
def test_one_that_protects_less_does_not_count(changes: dict[str, Any]) -> None:
    bench = Bench()
    bench.refuse(-4130)
    fields: dict[str, Any] = {
        "client_id": "hand",
        "trigger": Decimal("99.6"),
        "close_position": True,
    }
    bench.list_shows(bench.seen(**(fields | changes)))
    assert len(of(Place, bench.new)) == 1
    assert bench.view().state == "placing"


# Unknown outcomes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -4116])
def test_an_unknown_outcome_is_asked_for_before_anything_is_placed_again(code: int) -> None:
    bench = Bench()
    first = bench.placed()
    bench.refuse(code)
    assert [a.client_id for a in of(AskOrder, bench.new)] == [first.client_id]
    assert of(Place, bench.wait(0.9)) == []
    bench.did(bench.stops.update(bench.seen(first), bench.t_ns))
    assert bench.view().state == "standing"
    assert of(Place, bench.wait(10)) == []


def test_no_answer_at_all_is_unknown() -> None:
    bench = Bench()
    assert of(AskOrder, bench.wait(4.9)) == []
    assert len(of(AskOrder, bench.wait(0.2))) == 1


def test_not_found_twice_is_lost_and_placed_again() -> None:
    bench = Bench()
    first = bench.placed()
    bench.did(bench.stops.unknown(first.client_id, bench.t_ns))
    bench.did(bench.stops.not_found(first.client_id, bench.t_ns, bench.t_ns))
    assert of(Place, bench.new) == []
    (ask,) = of(AskOrder, bench.wait(1))
    bench.did(bench.stops.not_found(ask.client_id, bench.t_ns, bench.t_ns))
    (again,) = of(Place, bench.new)
    assert again.client_id != first.client_id
    bench.accept()
    # The lost one had landed after all: it is surplus, and goes.
    bench.list_shows(bench.seen(first), bench.seen(again))
    assert [c.client_id for c in of(Cancel, bench.new)] == [first.client_id]
    assert bench.view().state == "standing"


# When it is gone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "REJECTED"])
def test_one_that_somebody_ended_is_placed_again_at_once_with_an_alarm(status: str) -> None:
    bench = standing()
    lost = bench.view().client_id
    bench.did(
        bench.stops.update(bench.seen(_place(bench), client_id=lost, status=status), bench.t_ns)
    )
    assert bench.alarms() == ["hard_stop_gone"]
    (place,) = of(Place, bench.new)
    assert place.trigger == Decimal("99.5")
    assert of(CloseNow, bench.log) == []


def _place(bench: Bench) -> Place:
    return Place(
        symbol="BTCUSDT",
        side=bench.wanted.side,
        client_id="",
        trigger=Decimal("99.5"),
        quantity=Decimal("0.5"),
        hedge=False,
    )


def test_stops_that_die_young_are_replaced_ever_more_slowly() -> None:
    bench = standing()
    bench.want(quantity="0.6")
    bench.accept()
    for _ in range(300):
        for place in of(Place, bench.wait(1)):
            bench.accept(place)
            bench.tell("CANCELED", place)
    assert len(of(Place, bench.log)) < 25


def test_an_absent_one_is_believed_gone_after_two_lists_only() -> None:
    bench = standing()
    bench.wait(60)
    bench.list_shows()
    assert bench.view().state == "standing"
    assert bench.alarms() == []
    asks = of(AskOpen, bench.wait(2))
    assert len(asks) == 1
    bench.list_shows()
    assert bench.alarms() == ["hard_stop_gone"]
    assert len(of(Place, bench.new)) == 1


def test_lists_that_lag_or_are_old_prove_nothing() -> None:
    bench = Bench()
    asked_ns = bench.t_ns - 1
    bench.wait(0.1)
    bench.accept()
    for _ in range(5):
        bench.wait(1)
        bench.list_shows(asked_ns=asked_ns)
    assert bench.alarms() == []
    assert len(of(Place, bench.log)) == 1


def test_a_new_one_that_stays_invisible_is_replaced_late_and_ever_later() -> None:
    bench = Bench()
    bench.accept()
    for _ in range(1800):
        for action in bench.wait(1):
            if isinstance(action, Place):
                bench.accept(action)
            elif isinstance(action, AskOpen):
                bench.list_shows()
    assert 2 <= len(of(Place, bench.log)) <= 9


def test_a_fresh_one_is_looked_up_once() -> None:
    bench = Bench()
    bench.accept()
    assert len(of(AskOpen, bench.wait(4))) == 1
    bench.list_shows(bench.seen())
    assert bench.wait(3600) == []


def test_one_that_stands_at_a_wrong_price_or_size_is_replaced() -> None:
    changes: list[dict[str, Any]] = [{"trigger": Decimal(90)}, {"quantity": Decimal("0.1")}]
    for change in changes:
        bench = standing()
        row = bench.seen(_place(bench), client_id=bench.view().client_id, **change)
        bench.list_shows(row)
        assert bench.places() == [("99.5", "0.5")]


# When it triggers -----------------------------------------------------------------------------------


def test_a_triggered_one_is_followed_and_the_position_ends_by_itself() -> None:
    bench = standing()
    stop = bench.seen(_place(bench), client_id=bench.view().client_id)
    for status in ("TRIGGERING", "TRIGGERED", "FINISHED"):
        fields = {f: getattr(stop, f) for f in stop.__struct_fields__}
        executed = Decimal("0.5") if status == "FINISHED" else Decimal(0)
        bench.did(
            bench.stops.update(
                type(stop)(**(fields | {"status": status, "executed": executed})), bench.t_ns
            )
        )
        assert bench.view().state == "triggering"
        bench.wait(0.3)
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    assert looks_only(bench.wait(60))
    assert of(CloseNow, bench.log) == []
    assert bench.alarms() == []


def test_one_that_hangs_in_triggering_is_closed_without() -> None:
    bench = Bench()
    bench.accept()
    bench.tell("TRIGGERING")
    assert of(CloseNow, bench.wait(1.9)) == []
    (close,) = of(CloseNow, bench.wait(0.2))
    assert (close.symbol, close.side, close.epoch) == ("BTCUSDT", "LONG", 1)
    assert bench.alarms() == ["hard_stop_failed"]


@pytest.mark.parametrize("status", ["TRIGGERING", "TRIGGERED"])
def test_a_list_tells_of_a_trigger_that_the_stream_lost(status: str) -> None:
    bench = Bench()
    bench.accept()
    bench.list_shows(bench.seen(status=status))
    assert bench.view().state == "triggering"
    assert len(of(CloseNow, bench.wait(2.1))) == 1


def test_its_engine_order_seen_first_stops_the_triggering_clock() -> None:
    bench = Bench()
    bench.accept()
    stop = bench.placed()
    bench.did(bench.stops.child(stop.client_id, bench.t_ns))  # before TRIGGERED, as recorded
    bench.tell("TRIGGERING", stop)
    assert bench.view().state == "triggering"
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    assert of(CloseNow, bench.wait(10)) == []


@pytest.mark.parametrize(
    ("status", "extra"),
    [
        ("REJECTED", {"failure": "margin"}),
        ("FINISHED", {"executed": Decimal(0)}),
    ],
)
def test_one_that_fails_when_it_triggers_is_closed_without_at_once(
    status: str, extra: dict[str, Any]
) -> None:
    bench = Bench()
    bench.accept()
    bench.tell("TRIGGERING")
    bench.tell(status, **extra)
    assert len(of(CloseNow, bench.new)) == 1
    assert bench.alarms() == ["hard_stop_failed"]


def test_a_rejection_tells_of_its_trigger_where_triggering_was_lost() -> None:
    bench = Bench()
    bench.accept()
    bench.tell("REJECTED", trigger_time_ms=1_795_000_000_000)
    assert len(of(CloseNow, bench.new)) == 1


def test_a_rest_after_a_triggered_one_is_closed() -> None:
    bench = Bench()
    bench.accept()
    bench.tell("TRIGGERING")
    bench.tell("FINISHED", executed=Decimal("0.2"))
    bench.want(quantity="0.3")
    assert of(Place, bench.wait(1.9)) == []
    found = bench.wait(0.2)
    assert len(of(CloseNow, found)) == 1
    assert len(of(AskPosition, found)) == 1


def test_a_surplus_one_that_is_rejected_beside_the_triggered_one_alarms_nobody() -> None:
    bench = standing(hedge=True)
    older = bench.view().client_id
    bench.want(stop="101")
    newer = bench.placed()
    bench.tell("NEW", newer)  # the older one's cancellation is on its way
    bench.tell("TRIGGERING", newer)
    row = bench.seen(_place(bench), client_id=older, status="REJECTED")
    bench.did(bench.stops.update(row, bench.t_ns))
    assert bench.alarms() == []
    assert of(CloseNow, bench.log) == []


def test_while_the_position_stays_open_it_is_closed_again_and_a_stop_tried_again() -> None:
    bench = Bench()
    bench.accept()
    bench.tell("TRIGGERING")
    bench.wait(2)
    (again,) = of(Place, bench.wait(5.1))
    bench.refuse(-2021, again)
    bench.did(
        bench.stops.reread(
            "BTCUSDT", "LONG", mark=Decimal(99), quantity=Decimal("0.5"), t_ns=bench.t_ns
        )
    )
    assert len(of(CloseNow, bench.log)) == 2


# Epochs and instances -------------------------------------------------------------------------------


def test_the_end_of_an_epoch_cancels_and_goes_on_until_it_is_done() -> None:
    bench = standing()
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    (cancel,) = of(Cancel, bench.new)
    assert bench.view().state == "none"
    bench.did(bench.stops.cancel_refused(cancel.client_id, None, bench.t_ns))
    assert len(of(Cancel, bench.wait(1))) == 1
    bench.did(bench.stops.cancelled(cancel.client_id, bench.t_ns))
    assert looks_only(bench.wait(600))


def looks_only(actions: list[Action]) -> bool:
    """Whether nothing is done any more, but that lists are looked at for what an epoch left."""
    return all(isinstance(one, AskOpen) and one.why == "orphans" for one in actions)


def test_another_epochs_end_changes_nothing() -> None:
    bench = standing(epoch=2)
    assert bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns)) == []
    assert bench.view().state == "standing"


def test_the_old_epochs_stop_goes_before_the_new_one_is_placed() -> None:
    bench = standing()
    old = bench.view().client_id
    bench.want(epoch=2, opened_ns=bench.t_ns, stop="200")
    kinds = [(type(a), a.client_id) for a in bench.new if isinstance(a, Cancel | Place)]
    assert kinds[0] == (Cancel, old)
    assert kinds[1][0] is Place


def test_a_late_word_of_an_earlier_epoch_does_not_come_back() -> None:
    bench = standing(epoch=2)
    bench.want(epoch=1, opened_ns=OPENED_NS - 1)
    assert bench.log == []


def test_a_placement_answered_after_its_epoch_is_cancelled() -> None:
    bench = Bench()
    place = bench.placed()
    assert bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns)) == []
    bench.accept(place)
    assert [c.client_id for c in of(Cancel, bench.new)] == [place.client_id]


def test_a_cancellation_of_an_unknown_order_is_believed_the_second_time() -> None:
    bench = standing()
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    (cancel,) = of(Cancel, bench.new)
    bench.did(bench.stops.cancel_refused(cancel.client_id, -2011, bench.t_ns))
    assert of(Cancel, bench.wait(1.9)) == []
    assert len(of(Cancel, bench.wait(0.2))) == 1
    bench.did(bench.stops.cancel_refused(cancel.client_id, -2011, bench.t_ns))
    assert looks_only(bench.wait(600))


def test_one_of_an_ended_epoch_that_hangs_is_cancelled_on_and_a_person_is_told() -> None:
    bench = standing()
    row = bench.seen(_place(bench), client_id=bench.view().client_id, status="TRIGGERING")
    bench.did(bench.stops.update(row, bench.t_ns))
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    for _ in range(100):
        for cancel in of(Cancel, bench.wait(1)):
            bench.did(bench.stops.cancel_refused(cancel.client_id, -2011, bench.t_ns))
    assert bench.alarms() == ["hard_stop_stays"]
    assert len(of(Cancel, bench.log)) < 20


def test_orphans_go_and_other_peoples_orders_stay() -> None:
    bench = standing()
    own = bench.seen(_place(bench), client_id=bench.view().client_id)
    orphan_id = NAMES.make(
        symbol="ETHUSDT", side="SHORT", epoch=9, opened_ns=1, placement=1, part=0, attempt=0
    )
    older_id = NAMES.make(
        symbol="BTCUSDT", side="LONG", epoch=0, opened_ns=1, placement=1, part=0, attempt=0
    )
    place = _place(bench)
    rows = (
        own,
        bench.seen(place, client_id=older_id),
        bench.seen(place, client_id="by-hand"),
        bench.seen(place, client_id="hand", close_position=True),
    )
    bench.list_shows(*rows)
    assert [c.client_id for c in of(Cancel, bench.log)] == [older_id]
    orphan = bench.seen(place, client_id=orphan_id, side="BUY")
    bench.list_shows(own, orphan)
    assert orphan_id not in {c.client_id for c in of(Cancel, bench.log)}
    bench.did(bench.stops.know_positions(bench.t_ns))
    bench.list_shows(own, orphan)
    assert [c.client_id for c in of(Cancel, bench.new)] == [orphan_id]


def test_another_instances_stop_is_reported_once_and_left_alone() -> None:
    bench = standing()
    bench.stops.positions_known = True
    other = HardStopNames("other").make(
        symbol="BTCUSDT", side="LONG", epoch=1, opened_ns=OPENED_NS, placement=1, part=0, attempt=0
    )
    own = bench.seen(_place(bench), client_id=bench.view().client_id)
    for _ in range(3):
        bench.list_shows(own, bench.seen(_place(bench), client_id=other))
    assert bench.alarms() == ["second_instance"]
    assert of(Cancel, bench.log) == []


# Restart --------------------------------------------------------------------------------------------


def saved(bench: Bench) -> HardStopState:
    return bench.state()


def test_a_restart_asks_before_it_places_and_finds_its_stop() -> None:
    before = standing()
    stop = before.seen(_place(before), client_id=before.view().client_id)
    after = Bench(state=saved(before))
    assert of(Place, after.log) == []
    assert [a.client_id for a in of(AskOrder, after.log)] == [stop.client_id]
    assert after.view().state == "placing"
    after.did(after.stops.update(stop, after.t_ns))
    assert after.view().state == "standing"
    assert of(Place, after.wait(60)) == []


def test_a_restart_whose_stop_is_gone_places_a_new_one_under_a_new_id() -> None:
    before = standing()
    after = Bench(state=saved(before))
    stop_id = before.view().client_id
    for _ in range(2):
        after.did(after.stops.not_found(stop_id, after.t_ns, after.t_ns))
        after.wait(1)
    (place,) = of(Place, after.log)
    assert place.client_id != stop_id


def test_a_restart_never_loosens() -> None:
    before = standing()
    after = Bench(state=saved(before), stop="90")
    for _ in range(2):
        after.did(after.stops.not_found(before.view().client_id, after.t_ns, after.t_ns))
        after.wait(1)
    assert after.placed().trigger == Decimal("99.5")


def test_a_restart_into_another_epoch_withdraws_what_the_journal_knows() -> None:
    before = standing()
    after = Bench(state=saved(before), epoch=2, opened_ns=OPENED_NS + 1)
    assert [c.client_id for c in of(Cancel, after.log)] == [before.view().client_id]
    assert len(of(Place, after.log)) == 1


def test_a_restart_without_the_position_withdraws_what_the_journal_knows() -> None:
    before = standing()
    after = Bench(state=None, side="SHORT")
    after.stops.restore([saved(before)])
    after.did(after.stops.know_positions(after.t_ns))
    assert [c.client_id for c in of(Cancel, after.new)] == [before.view().client_id]


def test_a_restart_adopts_what_it_had_placed_and_not_written_down() -> None:
    """`kill -9` between the order and the journal: the same id is refused, asked for, and taken over."""
    after = Bench()
    place = after.placed()
    after.refuse(-4116)
    after.did(
        after.stops.update(
            after.seen(place, trigger=Decimal("99.3"), quantity=Decimal("0.5")), after.t_ns
        )
    )
    after.wait(1)
    assert after.placed().trigger == Decimal("99.5")
    after.accept()
    assert of(Cancel, after.new) != []
