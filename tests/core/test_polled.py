"""Prices that were asked for over REST: they count by their time, and leave the stream's ids alone."""

from collections.abc import Sequence

import pytest

from core.story import SECOND_NS, START_NS, SYMBOL, Story, lines, plan
from reactor.core.decisions import Decision
from reactor.core.market import Market, Source
from reactor.errors import DecodeError

STOP_1 = "[stop]\npct = 0.01\n"
MS = START_NS // 1_000_000
NS = 1_000_000


class Polled:
    """A LONG of 2 @ 100 on one source, driven by the stream, by polls, or by both."""

    def __init__(self, source: Source = "last", *, opens: bool = True) -> None:
        self.source: Source = source
        # A book confirms a stop by two ticks unless told otherwise.
        self.story = Story(plan("confirm_ticks = 1\n" + STOP_1, trigger=source))
        self.engine = self.story.engine
        if opens:
            self.story.expect(2, 100)

    def poll(self, price: str, ms: int, *, ask: str = "") -> list[str]:
        if self.source == "book":
            ask = ask or price
        return self.hear(
            self.engine.on_polled(self.source, SYMBOL, price, MS + ms, (MS + ms) * NS, ask=ask)
        )

    def stream(self, price: str, tick_id: int, ms: int) -> list[str]:
        t_ms, t_ns = MS + ms, (MS + ms) * NS
        if self.source == "last":
            return self.hear(self.engine.on_last(SYMBOL, price, tick_id, t_ms, t_ns))
        if self.source == "mark":
            return self.hear(self.engine.on_mark(SYMBOL, price, t_ms, t_ns))
        return self.hear(self.engine.on_book(SYMBOL, price, price, tick_id, t_ms, t_ns))

    def hear(self, said: Sequence[Decision]) -> list[str]:
        return lines(said)

    @property
    def market(self) -> Market:
        market = self.engine.market(self.source, SYMBOL)
        assert market is not None
        return market


SOURCES: tuple[Source, ...] = ("last", "mark", "book")
EXIT = ["exit stop_loss 2 @ 98 left 0", "closed stop_loss -4"]


@pytest.mark.parametrize("source", SOURCES)
def test_a_polled_price_opens_and_closes_like_a_tick(source: Source) -> None:
    polled = Polled(source)
    assert polled.poll("100", 0) == ["opened LONG 2 @ 100 stop 99"]
    assert polled.poll("99.5", 1) == []
    assert polled.poll("98", 2) == EXIT
    assert polled.market.ticks == 3


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ms", [9, 10])
def test_a_price_no_younger_than_the_last_tick_of_its_source_is_a_duplicate(
    source: Source, ms: int
) -> None:
    polled = Polled(source)
    polled.stream("100", 1, 10)
    assert polled.poll("98", ms) == []
    assert (polled.market.ticks, polled.market.duplicates) == (1, 1)
    assert polled.poll("98", 11) == EXIT


@pytest.mark.parametrize("source", ["last", "book"])
def test_the_streams_ids_are_untouched(source: Source) -> None:
    polled = Polled(source)
    polled.stream("100", 7, 10)
    polled.poll("100.1", 5_000)
    assert polled.market.last_id == 7
    # What the stream delivers next counts by its id, whatever the time of the poll.
    polled.stream("100.2", 7, 5_001)
    assert (polled.market.ticks, polled.market.duplicates) == (2, 1)
    assert polled.stream("98", 8, 4_999) == EXIT


def test_a_mark_prices_id_is_its_time() -> None:
    polled = Polled("mark")
    polled.stream("100", 0, 10)
    polled.poll("100.1", 5_000)
    assert polled.stream("98", 0, 5_000) == []
    assert polled.market.duplicates == 1
    assert polled.stream("98", 0, 5_001) == EXIT


def test_raw_trades_go_on_by_their_own_ids() -> None:
    """A market without aggregated trades keeps its trades' ids apart; a poll must not mix them up."""
    polled = Polled()
    trade = polled.engine.on_trade
    assert lines(trade(SYMBOL, "100", 40, MS + 1, (MS + 1) * NS)) == ["opened LONG 2 @ 100 stop 99"]
    polled.poll("100.1", 1000)
    assert not polled.market.aggregated
    assert trade(SYMBOL, "100.2", 40, MS + 1001, (MS + 1001) * NS) == []
    assert polled.market.duplicates == 1
    assert trade(SYMBOL, "100.2", 41, MS + 1002, (MS + 1002) * NS) == ()
    assert polled.market.ticks == 3
    # The first aggregated trade takes over, with ids of its own kind.
    assert polled.stream("98", 3, 1003) == EXIT
    assert polled.market.aggregated


def test_polls_before_raw_trades_leave_them_their_first_id() -> None:
    polled = Polled()
    polled.poll("100", 1)
    assert lines(polled.engine.on_trade(SYMBOL, "98", 0, MS + 2, (MS + 2) * NS)) == EXIT


@pytest.mark.parametrize("confirms", ["poll", "stream"])
def test_a_suspect_poll_waits_for_its_confirmation(confirms: str) -> None:
    polled = Polled()
    polled.stream("100", 1, 0)
    (alarm,) = polled.poll("50", 1)
    assert "suspect last price 50" in alarm
    said = polled.poll("50.1", 2) if confirms == "poll" else polled.stream("50.1", 2, 2)
    assert said == ["exit stop_loss 2 @ 50 left 0", "closed stop_loss -100"]


def test_a_poll_confirms_a_suspect_of_the_stream() -> None:
    polled = Polled()
    polled.stream("100", 1, 0)
    polled.stream("50", 2, 1)
    assert polled.poll("50.1", 2)[0] == "exit stop_loss 2 @ 50 left 0"


@pytest.mark.parametrize("first", ["poll", "stream"])
def test_the_same_observation_asked_for_again_confirms_nothing(first: str) -> None:
    polled = Polled()
    polled.stream("100", 1, 0)
    alarm = polled.poll("50", 1) if first == "poll" else polled.stream("50", 2, 1)
    assert "suspect" in alarm[0]
    assert polled.poll("50", 1) == []
    assert polled.market.suspect is not None
    # The next one says otherwise: it was damage.
    assert polled.poll("100.1", 2) == []
    assert polled.market.suspects_dropped == 1
    assert polled.market.suspect is None


def test_a_book_drives_each_side_by_its_own_price() -> None:
    polled = Polled("book", opens=False)
    polled.story.expect(2, 100)
    polled.story.expect(2, 100, side="SHORT")
    polled.poll("99.9", 0, ask="100.1")
    assert polled.poll("98.9", 1, ask="100.9") == [
        "exit stop_loss 2 @ 98.9 left 0",
        "closed stop_loss -2.2",
    ]
    assert polled.poll("100", 2, ask="101") == [
        "exit stop_loss 2 @ 101 left 0",
        "closed stop_loss -2",
    ]


def test_nobody_looks_at_another_source() -> None:
    polled = Polled("mark")
    polled.stream("100", 0, 0)
    for source in ("last", "book"):
        assert polled.engine.on_polled(source, SYMBOL, "50", MS + 9, START_NS, ask="50") == []
    assert polled.market.ticks == 1


def test_a_poll_from_nowhere_in_time_is_refused() -> None:
    polled = Polled()
    polled.stream("100", 1, 0)
    with pytest.raises(DecodeError, match="more than a day ahead"):
        polled.engine.on_polled("last", SYMBOL, "98", MS + 86_400_001, START_NS + SECOND_NS)
    assert polled.market.ticks == 1


def test_what_is_due_comes_before_a_polled_price() -> None:
    story = Story(STOP_1 + "[time_stop]\nseconds = 60\n")
    story.expect(2, 100)
    story.tick(100)
    t_ns = START_NS + 60 * SECOND_NS
    said = story.engine.on_polled("last", SYMBOL, "98", t_ns // NS, t_ns)
    assert lines(said) == ["exit time_stop 2 @ 100 left 0", "closed time_stop 0"]
