"""Hard stops: news of what nobody asked for, news that come late, and what has to go before it was there."""

from decimal import Decimal

import msgspec
import pytest

from reactor.core.hard_stop import ENDED_KEPT
from reactor.core.hard_stop_values import AskOpen, AskOrder, Cancel, Place, Reread, SeenStop

from .hard_stop_bench import NAMES, OPENED_NS, Bench, of, standing

LATE_S = 30.0


def stop_id(number: int, *, epoch: int = 1) -> str:
    return NAMES.make(
        symbol="BTCUSDT",
        side="LONG",
        epoch=epoch,
        opened_ns=OPENED_NS,
        placement=number,
        part=0,
        attempt=0,
    )


def test_news_of_unknown_stops_change_nothing() -> None:
    bench = standing()
    stops, t_ns = bench.stops, bench.t_ns
    assert stops.accepted("web_1", 7, t_ns) == []
    assert stops.refused("web_1", code=-2021, text="no", t_ns=t_ns) == []
    assert stops.unknown("web_1", t_ns) == []
    assert stops.cancelled("web_1", t_ns) == []
    assert stops.cancel_refused("web_1", code=None, t_ns=t_ns) == []
    assert stops.child("web_1", t_ns) == []
    assert stops.not_found("web_1", asked_ns=t_ns, t_ns=t_ns) == []
    assert stops.reread("ETHUSDT", "LONG", mark=None, quantity=None, t_ns=t_ns) == []
    assert bench.did(stops.update(bench.seen(place_of(bench), client_id="web_1"), t_ns)) == []
    assert bench.view().state == "standing"
    assert stops.newest("ETHUSDT", "LONG") is None
    assert stops.legs("ETHUSDT", "LONG") == ()
    assert len(stops.legs("BTCUSDT", "LONG")) == 1
    assert stops.view("ETHUSDT", "LONG").state == "none"
    assert stops.state("ETHUSDT", "LONG") is None


def place_of(bench: Bench) -> Place:
    leg = bench.stops.newest("BTCUSDT", "LONG")
    assert leg is not None
    return Place(
        symbol="BTCUSDT",
        side="LONG",
        client_id=leg.client_id,
        trigger=leg.trigger,
        quantity=leg.quantity,
        hedge=False,
    )


def test_an_empty_position_and_an_older_epoch_want_nothing() -> None:
    bench = standing()
    assert bench.want(quantity="0") == []
    older = msgspec.structs.replace(
        bench.wanted, quantity=Decimal(1), epoch=9, opened_ns=OPENED_NS - 1
    )
    assert bench.stops.want(older, bench.t_ns) == []


def ended_while_placing() -> tuple[Bench, Place]:
    """The epoch ended while its first stop was on its way."""
    bench = Bench()
    place = bench.placed()
    assert bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns)) == []
    return bench, place


def test_a_stop_that_is_accepted_after_its_epoch_ended_is_cancelled() -> None:
    bench, place = ended_while_placing()
    (cancel,) = of(Cancel, bench.accept(place))
    assert cancel.client_id == place.client_id
    assert cancel.algo_id == bench.algo_id


@pytest.mark.parametrize("how", ["refused", "unknown", "late"])
def test_a_stop_of_which_nothing_sure_is_known_is_cancelled_by_its_id(how: str) -> None:
    bench, place = ended_while_placing()
    if how == "refused":
        said = bench.did(bench.stops.refused(place.client_id, code=-1007, text="", t_ns=bench.t_ns))
    elif how == "unknown":
        said = bench.did(bench.stops.unknown(place.client_id, bench.t_ns))
    else:
        said = bench.wait(LATE_S)
    assert place.client_id in {cancel.client_id for cancel in of(Cancel, said)}


@pytest.mark.parametrize("status", ["NEW", "TRIGGERING"])
def test_the_stream_may_tell_first_that_a_leaving_stop_is_there(status: str) -> None:
    bench, place = ended_while_placing()
    said = bench.tell(status, place, algo_id=77) + bench.wait(1)
    (cancel, *_) = of(Cancel, said)
    assert (cancel.client_id, cancel.algo_id) == (place.client_id, 77)


@pytest.mark.parametrize("status", ["CANCELED", "EXPIRED", "TRIGGERED", "FINISHED"])
def test_a_leaving_stop_that_has_gone_is_not_cancelled(status: str) -> None:
    bench, place = ended_while_placing()
    bench.tell(status, place)
    assert of(Cancel, bench.wait(LATE_S)) == []


def test_a_cancellation_that_finds_nothing_is_believed_the_second_time() -> None:
    bench, place = ended_while_placing()
    bench.accept(place)
    stops = bench.stops
    bench.did(stops.cancel_refused(place.client_id, code=-2011, t_ns=bench.t_ns))
    # Told again at once: lists and answers lag.
    bench.did(stops.cancel_refused(place.client_id, code=-2011, t_ns=bench.t_ns))
    bench.wait(5)
    bench.did(stops.cancel_refused(place.client_id, code=-2011, t_ns=bench.t_ns))
    assert of(Cancel, bench.wait(LATE_S)) == []


def test_a_list_raises_no_stop_that_has_gone_since_it_was_asked_for() -> None:
    bench, place = ended_while_placing()
    bench.accept(place)
    row = bench.seen(place)
    bench.did(bench.stops.cancelled(place.client_id, bench.t_ns))
    bench.stops.know_positions(bench.t_ns)
    assert bench.list_shows(row) == []
    # Seen by a later list, it is there, and goes.
    bench.wait(LATE_S)
    (cancel,) = of(Cancel, bench.list_shows(row))
    assert cancel.client_id == place.client_id
    # And is heard of again while it goes.
    bench.list_shows(row)
    bench.list_shows(msgspec.structs.replace(row, status="CANCELED"))
    assert of(Cancel, bench.wait(LATE_S)) == []


def test_gone_stops_are_remembered_for_a_while_only() -> None:
    bench = standing()
    bench.stops.know_positions(bench.t_ns)
    row = bench.seen(place_of(bench))
    for number in range(ENDED_KEPT + 2):
        orphan = msgspec.structs.replace(row, client_id=stop_id(number + 50, epoch=7))
        bench.list_shows(row, orphan)
        bench.did(bench.stops.cancelled(orphan.client_id, bench.t_ns))
    assert len(bench.stops._ended) == ENDED_KEPT


def test_a_list_of_another_symbol_says_nothing_of_this_one() -> None:
    bench = standing()
    for _ in range(3):
        bench.wait(LATE_S)
        bench.did(bench.stops.snapshot((), symbol="ETHUSDT", asked_ns=bench.t_ns, t_ns=bench.t_ns))
    assert bench.view().state == "standing"


def test_a_stop_of_this_epoch_that_is_not_known_is_taken_over() -> None:
    bench = standing()
    row = bench.seen(place_of(bench), client_id=stop_id(40))
    ended = msgspec.structs.replace(row, status="CANCELED")
    assert bench.did(bench.stops.update(ended, bench.t_ns)) == []
    # Two stand now: one of them goes.
    said = bench.did(bench.stops.update(row, bench.t_ns)) + bench.wait(2)
    assert len(of(Cancel, said)) == 1
    assert bench.view().state == "standing"


def test_what_the_exchange_does_not_tell_of_a_stop_stays_as_it_was() -> None:
    bench = standing()
    row = bench.seen(place_of(bench), trigger=Decimal(0), quantity=Decimal(0))
    bench.did(bench.stops.update(row, bench.t_ns))
    leg = bench.stops.newest("BTCUSDT", "LONG")
    assert leg is not None
    assert (leg.trigger, leg.quantity) == (Decimal("99.5"), Decimal("0.5"))


def test_an_unknown_stop_that_ended_is_placed_again() -> None:
    bench = Bench()
    place = bench.placed()
    bench.did(bench.stops.unknown(place.client_id, bench.t_ns))
    bench.log.clear()
    bench.tell("CANCELED", place)
    bench.wait(1)
    assert of(Place, bench.log)


def test_a_list_shows_an_unknown_stop() -> None:
    bench = Bench()
    place = bench.placed()
    bench.did(bench.stops.unknown(place.client_id, bench.t_ns))
    bench.list_shows(bench.seen(place))
    assert bench.view().state == "standing"


def test_a_list_shows_a_stop_that_triggers() -> None:
    bench = standing()
    bench.list_shows(bench.seen(place_of(bench), status="TRIGGERING"))
    assert bench.view().state == "triggering"


def test_an_answer_to_a_question_that_is_over_changes_nothing() -> None:
    bench = standing()
    found = bench.stops.reread(
        "BTCUSDT", "LONG", mark=Decimal(1), quantity=Decimal(1), t_ns=bench.t_ns
    )
    assert of(Reread, found) == []
    assert bench.stops.not_found(
        place_of(bench).client_id, asked_ns=bench.t_ns - 1, t_ns=bench.t_ns
    ) == of(AskOrder, [])
    assert isinstance(bench.seen(place_of(bench)), SeenStop)


# A tighter one that is confirmed late ---------------------------------------------------------------


def test_a_stop_that_was_on_its_way_is_not_given_up_for_a_looser_one() -> None:
    """While a better one is on its way the position shrinks, and what is better still would trigger at once."""
    bench = standing(hedge=True)
    bench.stops.mark("BTCUSDT", Decimal(115), bench.t_ns)
    bench.want(stop="110")
    better = bench.placed()
    bench.want(stop="120", quantity="0.4")
    smaller = bench.placed()
    assert bench.places() == [("109.4", "0.5"), ("99.5", "0.4")]
    bench.accept(better)
    bench.accept(smaller)
    assert better.client_id not in {cancel.client_id for cancel in of(Cancel, bench.log)}
    bench.wait(1.5)
    assert bench.places()[2:] == [("109.4", "0.4")]
    bench.accept()
    gone = {cancel.client_id for cancel in of(Cancel, bench.log)}
    assert {better.client_id, smaller.client_id} < gone
    assert bench.view().trigger == Decimal("109.4")


# What is left of an epoch ---------------------------------------------------------------------------


def test_lists_are_looked_at_when_an_epoch_has_ended() -> None:
    """A cancellation was refused twice for want of the order, and the order stands: it is seen, and goes."""
    bench = standing()
    bench.stops.know_positions(bench.t_ns)
    place = place_of(bench)
    bench.did(bench.stops.end("BTCUSDT", "LONG", 1, bench.t_ns))
    for _ in range(2):
        assert of(Cancel, bench.log)
        bench.did(bench.stops.cancel_refused(place.client_id, -2011, bench.t_ns))
        bench.wait(3)
    bench.log.clear()
    asked = [(ask.symbol, ask.why) for ask in of(AskOpen, bench.wait(10))]
    assert asked == [("BTCUSDT", "orphans")]
    (cancel,) = of(Cancel, bench.list_shows(bench.seen(place, quantity=Decimal("0.5"))))
    assert cancel.client_id == place.client_id
    bench.did(bench.stops.cancelled(place.client_id, bench.t_ns))
    assert [ask.why for ask in of(AskOpen, bench.wait(70))] == ["orphans"]
    assert of(AskOpen, bench.wait(600)) == []
