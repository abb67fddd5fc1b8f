"""What a position makes of prices that nobody saw: one story each, and the laws that hold for all of them."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.story import SECOND_NS, START_NS, SYMBOL, Story, lines
from reactor.core.decisions import Exit, Side
from reactor.core.gap import Span, Window, standing_of, trade_span, walk
from reactor.core.ladder import Filters
from reactor.core.orders import Fills

D = Decimal
START_MS = START_NS // 1_000_000
WIDE = '[stop]\npct = 0.10\n[trailing]\nactivate = "in_profit"\npct = 0.01\n'
RUNGS = "[[targets]]\npct = 0.05\nclose = 0.5\n[[targets]]\npct = 0.08\nclose = 0.5\n"


class Blind(Story):
    """A story with a gap in it."""

    def at(self, seconds: float) -> "Blind":
        super().at(seconds)
        return self

    def blind(self) -> None:
        """Prices stop coming now."""
        self.from_ms = self.now_ns // 1_000_000
        self.engine.on_blind(SYMBOL, self.plan.trigger)

    def gap(self, *spans: Span, approximate: bool = False, ahead_ms: int = 0) -> list[str]:
        """What was read of the gap, which ended now."""
        window = Window(
            from_ms=self.from_ms,
            to_ms=self.now_ns // 1_000_000,
            ahead_ms=ahead_ms,
            approximate=approximate,
        )
        return self.hear(
            self.engine.on_gap(SYMBOL, self.plan.trigger, spans, window, t_ns=self.now_ns)
        )


def trades(first_s: float, *prices: str | int) -> list[Span]:
    """Trades a tenth of a second apart, from so many seconds after the story's start."""
    first_ms = START_MS + round(first_s * 1000)
    return [trade_span(first_ms + 100 * i, D(price)) for i, price in enumerate(prices)]


def minute(first_s: float, low: str | int, high: str | int, close: str | int) -> Span:
    """A candle of one minute."""
    open_ms = START_MS + round(first_s * 1000)
    return Span(open_ms, open_ms + 59_999, D(low), D(high), D(close))


def opened(
    tables: str = WIDE, *, side: Side = "LONG", trigger: str = "last", **more: object
) -> Blind:
    """A position of 2 @ 100, seen at 100 and then not seen any more."""
    story = Blind(tables, trigger=trigger, **more)  # type: ignore[arg-type]
    story.expect(2, 100, side=side)
    story.tick(100)
    story.at(10).blind()
    return story


# Peaks --------------------------------------------------------------------------------------------


def test_a_missed_peak_moves_the_stop_of_a_long() -> None:
    story = opened()
    story.at(30).tick("109.5")
    assert story.gap(*trades(15, 103, 110, 109)) == ["stop trailing_stop 108.9"]


def test_a_missed_peak_moves_the_stop_of_a_short() -> None:
    story = opened(side="SHORT")
    story.at(30).tick("90.5")
    assert story.gap(*trades(15, 97, 90, "90.5")) == ["stop trailing_stop 90.9"]


def test_the_gap_itself_activates_trailing() -> None:
    story = opened()
    assert story.at(30).tick("99.9") == []
    # 101 was in profit; its stop, 99.99, is not below the price, so it waits.
    assert story.gap(*trades(15, 101, "100.5")) == ["held stop 99.99"]
    assert story.tick("99.95") == []
    assert story.tick("100.01") == ["stop trailing_stop 99.99"]


def test_a_stop_at_the_price_is_held_back_and_never_closes() -> None:
    story = opened()
    story.at(30).tick("108.9")
    said = story.gap(*trades(15, 110, "109.5"))
    assert said == ["held stop 108.9"]
    assert story.tick("108.5") == []
    assert story.tick("108.91") == ["stop trailing_stop 108.9"]


def test_where_nothing_fresh_came_the_last_recorded_price_is_the_current_one() -> None:
    story = opened()
    story.at(30)
    # The last price seen, 100, is beyond the stop that the peak asks for; the last one on record is not.
    said = story.gap(*trades(15, "100.8", "99.7"))
    assert said[0] == "held stop 99.792"
    assert story.stop() == "stop_loss 90"


def test_a_position_that_never_saw_a_price_goes_by_the_record() -> None:
    story = Blind(WIDE)
    story.position(2, 100)
    story.at(10).blind()
    story.at(30)
    assert story.gap(*trades(15, 110, "109.5")) == ["stop trailing_stop 108.9"]


def test_a_peak_never_fires_in_its_own_candle() -> None:
    story = opened(trigger="mark")
    story.at(200).tick(109)
    # From 100.1 to 110, or the other way round: nobody knows, so nothing was crossed.
    assert story.gap(minute(20, "100.1", 110, "109.5")) == ["stop trailing_stop 108.9"]


def test_the_candle_after_the_peak_does_cross_its_stop() -> None:
    story = opened(trigger="mark")
    story.at(200).tick(109)
    said = story.gap(minute(20, "100.1", 110, "109.5"), minute(80, 105, "109.5", 109))
    assert said[0] == "stop trailing_stop 108.9"
    assert "the stop 108.9 was crossed (worst price 100.1)" in said[1]


@pytest.mark.parametrize(
    ("start_s", "counts"), [(9.9, False), (10, True), (140, True), (140.1, False)]
)
def test_only_candles_wholly_inside_count(start_s: float, *, counts: bool) -> None:
    story = opened(trigger="mark")
    story.at(200).tick(109)
    assert story.stop() == "trailing_stop 107.91"
    said = story.gap(minute(start_s, 100, 110, 109))
    assert said == (["stop trailing_stop 108.9"] if counts else [])


def test_prices_before_the_epoch_opened_do_not_count() -> None:
    story = Blind(WIDE)
    story.tick(100)
    story.at(10).blind()
    story.at(20).position(2, 100)
    story.at(30).tick("100.5")
    assert story.gap(*trades(15, 110), *trades(21, "101.2")) == ["stop trailing_stop 100.188"]


def test_the_exchanges_clock_says_when_the_epoch_opened() -> None:
    story = Blind(WIDE)
    story.tick(100)
    story.at(10).blind()
    story.at(20).position(2, 100)
    story.at(30).tick("100.5")
    # Our clock is 2 s behind: 20 s of ours are 22 s of the exchange's.
    assert story.gap(*trades(21, 110), *trades(23, "101.2"), ahead_ms=2000) == [
        "stop trailing_stop 100.188"
    ]


def test_trailing_that_a_rung_activates_takes_no_peak_from_before() -> None:
    tables = (
        '[stop]\npct = 0.1\n[trailing]\nactivate = "after_rung"\nvalue = 1\npct = 0.01\n' + RUNGS
    )
    story = opened(tables)
    story.at(30).tick(103)
    said = story.gap(*trades(15, 107, 104))
    assert [one for one in said if not one.startswith("alarm")] == []
    assert "targets at 105 were passed (best price 107) and left again" in said[0]
    story.tick(105)
    assert story.machine().trailing.peak == 105


def test_an_add_within_the_gap_makes_nothing_of_prices_before_it() -> None:
    story = opened()
    story.at(20).position(4, 102)
    story.at(30).tick(101)
    assert story.gap(*trades(12, "101.8", 101)) == []
    assert story.machine().trailing.peak is None


@pytest.mark.parametrize("begins_paused", [False, True])
def test_a_position_that_was_paused_keeps_its_peak(*, begins_paused: bool) -> None:
    story = opened(WIDE + RUNGS)
    story.engine.pause(SYMBOL, "LONG", paused=True)
    if begins_paused:
        story.blind()
        story.engine.pause(SYMBOL, "LONG", paused=False)
    story.at(30).tick("99.5" if begins_paused else 103)
    assert story.gap(*trades(15, 109, 103)) == []
    assert story.machine().trailing.peak is None


def test_the_condition_of_break_even_is_remembered_from_a_gap() -> None:
    story = opened("[stop]\npct = 0.02\n[break_even]\nat_r = 1\n")
    story.at(30).tick("100.05")
    assert story.gap(*trades(15, 102, "100.05")) == []
    assert story.tick("100.2") == ["stop break_even 100.1"]


# Crossed stops and targets --------------------------------------------------------------------------


def test_a_stop_that_was_crossed_and_left_again_is_told_once() -> None:
    story = opened("[stop]\npct = 0.02\n")
    story.at(30).tick("99.5")
    (said,) = story.gap(*trades(15, 99, 97, 99))
    assert said == (
        "alarm BTCUSDT LONG: while no last price came for 20.0 s, the stop 98 was crossed (worst price 97);"
        " the price is 99.5 now and the position keeps its stop at 98"
    )
    assert story.gap(*trades(15, 99, 97, 99)) == []
    assert story.stop() == "stop_loss 98"


def test_a_stop_that_the_fresh_price_is_still_through_closes_by_that_tick_alone() -> None:
    story = opened("[stop]\npct = 0.02\n")
    assert story.at(30).tick("97.5")[0] == "exit stop_loss 2 @ 97.5 left 0"
    assert story.gap(*trades(15, 97, "97.4")) == []


def test_an_exit_in_flight_is_left_alone() -> None:
    story = opened(WIDE, fills=Fills.REPORTED)
    story.at(30).tick(89)
    assert story.machine().orders.exiting
    assert story.gap(*trades(15, 110, 89)) == []


def test_targets_that_were_passed_are_told_and_not_taken() -> None:
    story = opened("[stop]\npct = 0.1\n[harvest]\ntrigger_pct = 0.03\nfraction = 0.1\n" + RUNGS)
    story.at(30).tick(102)
    (said,) = story.gap(*trades(15, 107, 102))
    assert "targets at 103, 105, 106 were passed (best price 107) and left again" in said
    assert story.tick(103)[0] == "exit harvest 0.2 @ 103 left 1.8"


def test_targets_that_the_fresh_price_reaches_too_are_taken_by_it() -> None:
    story = opened("[stop]\npct = 0.1\n" + RUNGS)
    assert story.at(30).tick("105.5") == ["exit take_profit 1 @ 105.5 left 1"]
    assert story.gap(*trades(15, 107, "105.5")) == []


def test_a_stop_wants_its_ticks_in_a_row() -> None:
    story = opened("confirm_ticks = 2\n[stop]\npct = 0.02\n")
    story.at(30).tick("99.5")
    assert story.gap(*trades(15, 97, 99, 97, 99)) == []
    story.blind()
    story.at(60).tick(99)
    assert "the stop 98 was crossed" in story.gap(*trades(40, 97, 97, 99))[0]


def test_a_book_is_told_and_moves_no_peak() -> None:
    story = Blind(WIDE + RUNGS, trigger="book")
    story.expect(2, 100)
    story.book("100", "100.1")
    story.at(10).blind()
    story.at(30).book("101", "101.1")
    crossed, missed = story.gap(*trades(15, 106, 89, 89, 101))
    assert "the stop 90 was crossed" in crossed
    assert crossed.endswith("(approximate: trades, not the book)")
    assert "targets at 105 were passed" in missed
    assert story.stop() == "trailing_stop 99.99"
    assert story.machine().trailing.peak == 101


def test_whole_minutes_instead_of_trades_are_called_approximate() -> None:
    story = opened("[stop]\npct = 0.02\n")
    story.at(100).tick("99.5")
    (said,) = story.gap(minute(30, 97, 100, 99), approximate=True)
    assert said.endswith("(approximate: whole minutes)")


def test_stops_are_rounded_as_ever() -> None:
    story = opened(filters=Filters(tick=D("0.5")))
    story.at(30).tick(109)
    assert story.gap(*trades(15, "109.9", 109)) == ["stop trailing_stop 108.5"]


def test_a_looser_stop_set_by_hand_is_taken_over_beyond_where_it_stood() -> None:
    story = opened()
    story.tick(110)
    story.set_stop(95)
    story.at(40).blind()
    story.at(60).tick(109)
    assert story.gap(*trades(45, "109.9", 109)) == []
    assert story.stop() == "manual 95"
    story.blind()
    story.at(90).tick(111)
    assert story.gap(*trades(65, 112, 111)) == ["stop trailing_stop 110.88"]


def test_without_a_beginning_or_a_price_there_is_nothing_to_say() -> None:
    story = Blind(WIDE)
    story.expect(2, 100)
    story.tick(100)
    story.from_ms = START_MS
    assert story.at(30).gap(*trades(1, 110)) == []
    story.blind()
    assert story.at(60).gap() == []
    assert story.engine.on_gap("ETHUSDT", "mark", [], Window(from_ms=0, to_ms=1), t_ns=1) == []


def test_another_epoch_has_nothing_to_do_with_the_gap_of_the_last_one() -> None:
    story = opened()
    story.at(20).position(0, 0)
    story.at(21).position(1, 100)
    story.at(30).tick("100.5")
    assert story.gap(*trades(15, 110), *trades(25, "101.2")) == ["stop trailing_stop 100.188"]


# Suspects -------------------------------------------------------------------------------------------


def test_after_a_gap_the_rest_price_of_that_instant_confirms_a_far_price() -> None:
    story = opened()
    (said,) = story.at(30).tick(75)
    assert "suspect" in said
    t_ms = story.now_ns // 1_000_000 + 500
    out = story.engine.on_polled("last", SYMBOL, "75.1", t_ms, story.now_ns + SECOND_NS)
    assert lines(out)[0] == "exit stop_loss 2 @ 75 left 0"


def test_after_a_gap_the_rest_price_of_that_instant_drops_a_wrong_price() -> None:
    story = opened()
    story.at(30).tick(75)
    t_ms = story.now_ns // 1_000_000
    assert story.engine.on_polled("last", SYMBOL, "75", t_ms, story.now_ns) == []
    t_ms += 500
    assert story.engine.on_polled("last", SYMBOL, "99.9", t_ms, story.now_ns + SECOND_NS) == []
    assert story.machine().current_price == D("99.9")
    market = story.engine.market("last", SYMBOL)
    assert market is not None
    assert market.suspects_dropped == 1


# Laws -----------------------------------------------------------------------------------------------

STEPS = st.lists(st.integers(-30, 30), min_size=1, max_size=40)
SIDES = st.sampled_from(["LONG", "SHORT"])


def prices_of(steps: Sequence[int], start: Decimal) -> list[Decimal]:
    """A walk in tenths of a unit that stays within 20 % of 100."""
    prices = []
    for step in steps:
        start = min(max(start + D(step) / 10, D(85)), D(115))
        prices.append(start)
    return prices


class Walked:
    """The same prices, seen tick by tick, and with a gap that is audited."""

    def __init__(self, side: Side, before: list[int], within: list[int], after: int) -> None:
        seen = prices_of(before, D(100))
        missed = prices_of(within, seen[-1])
        (fresh,) = prices_of([after], missed[-1])
        self.side: Side = side
        self.missed = missed
        self.whole, self.torn = (Blind(WIDE, fills=Fills.REPORTED) for _ in range(2))
        for story in (self.whole, self.torn):
            story.expect(2, 100, side=side)
            story.tick(*map(str, seen))
        self.torn.at(10).blind()
        self.whole.at(20).tick(*map(str, missed))
        for story in (self.whole, self.torn):
            story.at(40).tick(str(fresh))
        self.stop_before = self.torn.machine(side).stop.x
        self.exits_before = self.exits()

    def exits(self) -> int:
        return sum(isinstance(decision, Exit) for decision in self.torn.said)

    def trades(self) -> list[Span]:
        return [trade_span(START_MS + 20_000 + i, price) for i, price in enumerate(self.missed)]

    def check(self, spans: list[Span]) -> None:
        """Audits, and holds what always holds."""
        said = self.torn.gap(*spans)
        machine = self.torn.machine(self.side)
        assert self.exits() == self.exits_before, "an audit never closes"
        assert machine.stop.x >= self.stop_before, "an audit never loosens"
        assert machine.x is not None
        if not machine.orders.exiting:
            assert machine.stop.x < machine.x, "no surprise"
        self.was_crossed = any("was crossed" in line for line in said)
        # The fresh price itself has reached the stop that the missed ones make: no surprise, it waits.
        self.waits = any(line.startswith("held stop") for line in said)


@given(side=SIDES, before=STEPS, within=STEPS, after=st.integers(-5, 5))
def test_trades_give_back_exactly_what_ticks_would_have_given(
    side: Side, before: list[int], within: list[int], after: int
) -> None:
    walked = Walked(side, before, within, after)
    whole, torn = walked.whole.machine(side), walked.torn.machine(side)
    was_exiting = torn.orders.exiting
    walked.check(walked.trades())
    if was_exiting:
        return
    if whole.orders.exiting:
        assert walked.was_crossed or walked.waits, "what ticks would have closed is told"
        return
    assert not walked.was_crossed
    assert torn.trailing.peak == whole.trailing.peak
    assert torn.stop.state() == whole.stop.state()
    assert torn.arm() == whole.arm()


@given(side=SIDES, before=STEPS, within=STEPS, after=st.integers(-5, 5), size=st.integers(1, 9))
def test_candles_never_give_more_than_ticks_would_have_given(
    side: Side, before: list[int], within: list[int], after: int, size: int
) -> None:
    walked = Walked(side, before, within, after)
    whole, torn = walked.whole.machine(side), walked.torn.machine(side)
    was_exiting = torn.orders.exiting
    groups = [walked.missed[i : i + size] for i in range(0, len(walked.missed), size)]
    candles = [
        Span(START_MS + 15_000 + 100 * i, START_MS + 15_099 + 100 * i, min(g), max(g), g[-1])
        for i, g in enumerate(groups)
    ]
    walked.check(candles)
    if was_exiting or whole.orders.exiting:
        return
    assert not walked.was_crossed, "what ticks would not have closed is not called crossed"
    peaks = (torn.trailing.peak, whole.trailing.peak)
    assert peaks[0] is None or (peaks[1] is not None and peaks[0] <= peaks[1])
    assert torn.stop.x <= whole.stop.x


@given(side=SIDES, before=STEPS, within=STEPS)
def test_a_walk_leaves_the_machine_alone(side: Side, before: list[int], within: list[int]) -> None:
    story = Blind(WIDE, fills=Fills.REPORTED)
    story.expect(2, 100, side=side)
    story.tick(*map(str, prices_of(before, D(100))))
    machine = story.machine(side)
    standing = standing_of(machine)
    spans = [trade_span(i, price) for i, price in enumerate(prices_of(within, D(100)))]
    found = walk(standing, spans)
    assert standing_of(machine) == standing
    assert found is not None
    assert found.spans == len(spans)
    assert found.worst <= found.newest <= found.best
    assert walk(standing, []) is None
