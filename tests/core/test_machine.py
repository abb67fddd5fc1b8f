"""The price rules, one story each; every number can be checked by hand."""

from decimal import Decimal

import msgspec
import pytest

from core.story import Story
from reactor.core.ladder import Filters
from reactor.core.orders import Fills
from reactor.plans import load_plan

D = Decimal
STOP_1 = "[stop]\npct = 0.01\n"


# The bug that must not come back --------------------------------------------------------------------


@pytest.mark.parametrize("fills", [Fills.AT_TRIGGER, Fills.REPORTED])
def test_a_new_position_after_a_stop_is_guarded_down_to_any_price(fills: Fills) -> None:
    """The predecessor kept its state by symbol and side: after a stop had closed the last position,
    the next one inherited "nothing remains", and at 60 there was still no order."""
    story = Story("max_tick_jump_pct = 0.5\n" + STOP_1, fills=fills)
    assert story.position(1, 100) == ["opened LONG 1 @ 100 stop 99"]
    assert story.tick(100) == []
    assert story.tick("98.9")[0] == "exit stop_loss 1 @ 98.9 left 0"
    if fills is Fills.REPORTED:
        assert story.position(0, 0) == ["closed external ?"]
    assert story.tick(100) == []
    assert story.position(1, 100) == ["opened LONG 1 @ 100 stop 99"]
    assert story.tick(60)[0] == "exit stop_loss 1 @ 60 left 0"
    assert story.last_exit().epoch == 2


@pytest.mark.parametrize("fills", [Fills.AT_TRIGGER, Fills.REPORTED])
def test_and_so_it_is_by_the_loss_guard(fills: Fills) -> None:
    # The stop stands at 50; 80 % of the margin of 20 is 16 a unit: the guard stands at 84.
    tables = "max_tick_jump_pct = 0.5\n[stop]\npct = 0.5\n[guards]\nmax_loss_margin_pct = 0.8\n"
    story = Story(tables, fills=fills)
    assert story.position(1, 100, margin="20") == ["opened LONG 1 @ 100 stop 50"]
    assert story.tick(100, "84.1") == []
    assert story.tick(84)[0] == "exit loss_guard 1 @ 84 left 0"
    story.position(0, 0)
    story.tick(100)
    assert story.position(1, 100, margin="20") == ["opened LONG 1 @ 100 stop 50"]
    assert story.tick(60)[0] == "exit loss_guard 1 @ 60 left 0"


def test_the_same_with_the_usual_jump_limit_needs_the_second_tick_at_60() -> None:
    story = Story(STOP_1)
    story.position(1, 100)
    story.tick(100, "98.9")
    story.tick(100)
    story.position(1, 100)
    assert story.tick(60) == [
        "alarm suspect last price 60: too far from the last; waits for the next one"
    ]
    assert story.tick(60) == ["exit stop_loss 1 @ 60 left 0", "closed stop_loss -40"]


# Stop -----------------------------------------------------------------------------------------------


def test_a_stop_is_compared_inclusively() -> None:
    story = Story(STOP_1)
    story.expect(2, 100)
    assert story.tick("99.01") == ["opened LONG 2 @ 100 stop 99"]
    assert story.tick(99) == ["exit stop_loss 2 @ 99 left 0", "closed stop_loss -2"]
    assert story.last_closed().r_multiple == -1
    assert story.last_exit().stop == 99


def test_a_shorts_stop_stands_above() -> None:
    story = Story(STOP_1)
    story.expect(2, 100, side="SHORT")
    assert story.tick("100.99") == ["opened SHORT 2 @ 100 stop 101"]
    assert story.tick(101) == ["exit stop_loss 2 @ 101 left 0", "closed stop_loss -2"]


def test_three_tenths_of_a_percent_below_a_hundred_thousand() -> None:
    story = Story("[stop]\npct = 0.003\n")
    story.expect(1, 100_000)
    assert story.tick(100_000) == ["opened LONG 1 @ 100000 stop 99700"]
    assert story.tick("99700.00000001") == []
    assert story.tick(99_700)[0] == "exit stop_loss 1 @ 99700 left 0"


def test_a_position_that_opens_through_its_stop_is_closed_by_its_first_tick() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    assert story.tick(97) == [
        "opened LONG 1 @ 100 stop 99",
        "exit stop_loss 1 @ 97 left 0",
        "closed stop_loss -3",
    ]


def test_confirm_ticks_ask_for_ticks_in_a_row() -> None:
    story = Story("confirm_ticks = 3\n" + STOP_1)
    story.expect(1, 100)
    story.tick(100)
    assert story.tick(99, 98) == []
    assert story.tick("99.1") == []
    assert story.tick(99, 97) == []
    assert story.tick(98) == ["exit stop_loss 1 @ 98 left 0", "closed stop_loss -2"]


def test_the_book_asks_for_two_and_each_side_for_its_own_price() -> None:
    story = Story(STOP_1, trigger="book")
    story.expect(1, 100)
    story.expect(1, 100, side="SHORT")
    story.book("99.9", "100.1")
    # The ask is through the SHORT's stop at 101, the bid is not through the LONG's at 99.
    assert story.book("99.8", "101") == []
    assert story.book("99.8", "101.5") == [
        "exit stop_loss 1 @ 101.5 left 0",
        "closed stop_loss -1.5",
    ]
    assert story.book("99", "101.5") == []
    assert story.book("98.5", "101.5") == [
        "exit stop_loss 1 @ 98.5 left 0",
        "closed stop_loss -1.5",
    ]


def test_stops_round_away_from_the_price_and_targets_away_from_the_entry() -> None:
    story = Story(load_trend(), atr="100.8571", filters=Filters(tick=D("0.1")))
    story.expect("0.182", "88126.16")
    assert story.tick("88126.2") == [
        "opened LONG 0.182 @ 88126.16 stop 87974.8 88428.8:0.5 88580.1:0.5"
    ]


def load_trend() -> str:
    return (
        "[stop]\natr = 1.5\n[[targets]]\nr = 2\nclose = 0.5\n[[targets]]\natr = 4.5\nclose = 0.5\n"
    )


# Guards ---------------------------------------------------------------------------------------------

GUARDS = "[stop]\npct = 0.5\n[guards]\nliquidation_buffer_pct = 0.01\nmax_loss_margin_pct = 0.8\n"


def test_the_liquidation_guard_stands_a_buffer_before_liquidation() -> None:
    story = Story(GUARDS)
    story.expect(1, 100, liquidation_price="90")
    # 90 + 1 % of the entry.
    assert story.tick(100, "91.01") == ["opened LONG 1 @ 100 stop 50"]
    assert story.tick(91) == ["exit liquidation_guard 1 @ 91 left 0", "closed liquidation_guard -9"]


def test_the_liquidation_guard_of_a_short_stands_below_it() -> None:
    story = Story(GUARDS)
    story.expect(1, 100, side="SHORT", liquidation_price="110")
    assert story.tick(100, "108.99") == ["opened SHORT 1 @ 100 stop 150"]
    assert story.tick(109)[0] == "exit liquidation_guard 1 @ 109 left 0"


@pytest.mark.parametrize("liquidation_price", ["0", "100", "103", "-5"])
def test_a_liquidation_price_that_cannot_be_is_ignored(liquidation_price: str) -> None:
    story = Story(GUARDS)
    story.expect(1, 100, liquidation_price=liquidation_price)
    assert story.tick(100, 90, 80) == ["opened LONG 1 @ 100 stop 50"]


def test_the_loss_guard_counts_the_margin_of_each_unit() -> None:
    story = Story(GUARDS)
    # 80 % of 10 a unit.
    story.expect(4, 100, margin="40")
    assert story.tick(100, "92.1") == ["opened LONG 4 @ 100 stop 50"]
    assert story.tick(92) == ["exit loss_guard 4 @ 92 left 0", "closed loss_guard -32"]


def test_the_stop_comes_before_the_guards_and_the_liquidation_before_the_loss() -> None:
    story = Story(GUARDS.replace("0.5", "0.09"))
    story.expect(1, 100, margin="10", liquidation_price="91")
    # Stop 91, liquidation guard 92, loss guard 92.
    story.tick(100)
    assert story.tick(91)[0] == "exit stop_loss 1 @ 91 left 0"
    story.expect(1, 100, margin="10", liquidation_price="91")
    story.tick(100)
    assert story.tick(92)[0] == "exit liquidation_guard 1 @ 92 left 0"


def test_guards_follow_what_the_exchange_reports_and_may_loosen() -> None:
    story = Story(GUARDS)
    story.position(1, 100, liquidation_price="90")
    story.tick(100)
    story.position(1, 100, liquidation_price="80")
    assert story.tick(90) == []
    assert story.tick(81)[0] == "exit liquidation_guard 1 @ 81 left 0"


# Ladder ---------------------------------------------------------------------------------------------

LADDER = (
    STOP_1
    + "[[targets]]\npct = 0.01\nclose = 0.3\n"
    + "[[targets]]\npct = 0.02\nclose = 0.3\n"
    + "[[targets]]\npct = 0.03\nclose = 0.4\n"
)


def test_rungs_take_their_fractions_of_the_initial_quantity() -> None:
    story = Story(LADDER)
    story.expect(10, 100)
    assert story.tick(100) == ["opened LONG 10 @ 100 stop 99 101:0.3 102:0.3 103:0.4"]
    assert story.tick("100.99") == []
    assert story.tick(101) == ["exit take_profit 3 @ 101 left 7"]
    assert story.tick("101.5", 101) == []
    assert story.tick(102) == ["exit take_profit 3 @ 102 left 4"]
    # 3·1 + 3·2 + 4·3 = 21; at risk were 10·1.
    assert story.tick(103) == ["exit take_profit 4 @ 103 left 0", "closed take_profit 21"]
    assert story.last_closed().r_multiple == D("2.1")


def test_a_gap_through_several_rungs_is_one_order() -> None:
    story = Story(LADDER)
    story.expect(10, 100)
    story.tick(100)
    assert story.tick("102.5") == ["exit take_profit 6 @ 102.5 left 4"]
    # And a gap back through the stop takes what is left.
    assert story.tick(90) == ["exit stop_loss 4 @ 90 left 0", "closed stop_loss -25"]


def test_rungs_are_taken_nearest_first_in_whatever_order_they_are_written() -> None:
    story = Story(
        STOP_1 + "[[targets]]\npct = 0.03\nclose = 0.9\n[[targets]]\npct = 0.01\nclose = 0.1\n"
    )
    story.expect(10, 100, side="SHORT")
    assert story.tick(100) == ["opened SHORT 10 @ 100 stop 101 99:0.1 97:0.9"]
    assert story.tick(99) == ["exit take_profit 1 @ 99 left 9"]


def test_fractions_below_one_leave_a_rest_to_the_stop() -> None:
    story = Story(STOP_1 + "[[targets]]\npct = 0.01\nclose = 0.3\n")
    story.expect(10, 100)
    assert story.tick(100, 101, 105)[1:] == ["exit take_profit 3 @ 101 left 7"]
    assert story.tick(99) == ["exit stop_loss 7 @ 99 left 0", "closed stop_loss -4"]


def test_quantities_are_rounded_down_and_the_last_rung_of_a_whole_ladder_takes_all() -> None:
    story = Story(LADDER, filters=Filters(step=D("0.1")))
    story.expect("0.9", 100)
    story.tick(100)
    # 0.3 · 0.9 = 0.27; 0.4 · 0.9 would be 0.36, but it is the last of a whole ladder.
    assert story.tick(101) == ["exit take_profit 0.2 @ 101 left 0.7"]
    assert story.tick(102) == ["exit take_profit 0.2 @ 102 left 0.5"]
    assert story.tick(103)[0] == "exit take_profit 0.5 @ 103 left 0"


def test_a_rest_below_the_minimum_joins_the_order() -> None:
    story = Story(LADDER, filters=Filters(step=D(1), min_quantity=D(5)))
    story.expect(7, 100)
    story.tick(100)
    # 2.1 → 2, which leaves 5; then 2 of 5 would leave 3.
    assert story.tick(101) == ["exit take_profit 2 @ 101 left 5"]
    assert story.tick(102)[0] == "exit take_profit 5 @ 102 left 0"


def test_a_rung_that_rounds_to_nothing_counts_as_taken_and_says_nothing() -> None:
    ratchet = "[ratchet]\n[time_stop]\nseconds = 60\n"
    story = Story(LADDER + ratchet, filters=Filters(step=D(1)))
    story.expect(3, 100)
    story.tick(100)
    # 0.9 → 0: no exit; but break-even is due by the ratchet's first rung, and the clock is off.
    assert story.tick(101) == ["stop break_even 100.1"]
    # Rung 2 rounds to nothing too; the stop goes to rung 1.
    assert story.tick(102) == ["stop trailing_stop 101"]
    assert story.at(61).tick(102) == []
    assert story.tick(103)[0] == "exit take_profit 3 @ 103 left 0"


# Harvest, and the whole of challenge_100 --------------------------------------------------------------


def test_the_harvest_ladder_of_challenge_100() -> None:
    # Not sized: test_sizing looks at its ladder rules.
    plan = msgspec.structs.replace(load_plan("challenge_100"), ladder=None)
    story = Story(plan, atr="500", filters=Filters(tick=D("0.1"), step=D("0.001")))
    story.expect(1, 100_000)
    # 1.1 · 500 = 550.
    assert story.tick(100_000) == [
        "opened LONG 1 @ 100000 stop 99450 101500:0.3 102500:0.3 104000:0.4"
    ]
    # In profit: the peak is 100200 and 0.3 % below it is 99899.4.
    assert story.tick(100_200) == ["stop trailing_stop 99899.4"]
    # The first harvest, 20 % of 1, makes break-even due: 100100 is better than 100098.8.
    assert story.tick(100_400) == [
        "exit harvest 0.2 @ 100400 left 0.8",
        "stop break_even 100100",
    ]
    # 20 % of 0.8; 100800 · 0.997 = 100497.6.
    assert story.tick(100_800) == [
        "exit harvest 0.16 @ 100800 left 0.64",
        "stop trailing_stop 100497.6",
    ]
    # Rung 1 takes 0.3 of the first quantity, harvest 3 (at 101200) 20 % of the 0.34 then left: 0.068.
    assert story.tick(101_500) == [
        "exit take_profit+harvest 0.368 @ 101500 left 0.272",
        "stop trailing_stop 101195.5",
    ]
    # Rung 2 wants 0.3 and gets the 0.272 that are left; nothing fires once nothing remains.
    # 0.2·400 + 0.16·800 + 0.368·1500 + 0.272·2500 = 1440.
    assert story.tick(102_500) == [
        "exit take_profit 0.272 @ 102500 left 0",
        "closed take_profit 1440",
    ]
    assert round(story.last_closed().r_multiple or D(0), 4) == D("2.6182")  # 1440 / 550


def test_harvests_that_a_gap_passes_are_all_taken_each_of_what_then_remains() -> None:
    story = Story(STOP_1 + "[harvest]\ntrigger_pct = 0.01\nfraction = 0.5\n")
    story.expect(16, 100)
    story.tick(100)
    # Three steps: 8, 4 and 2. The first is the condition for break-even.
    assert story.tick("103.9") == ["exit harvest 14 @ 103.9 left 2", "stop break_even 100.1"]
    assert story.tick("103.5", "103.9") == []
    assert story.tick(104) == ["exit harvest 1 @ 104 left 1"]


def test_a_short_harvests_downwards() -> None:
    story = Story(STOP_1 + "[harvest]\ntrigger_pct = 0.01\nfraction = 0.5\n")
    story.expect(16, 100, side="SHORT")
    story.tick(100)
    assert story.tick(99) == ["exit harvest 8 @ 99 left 8", "stop break_even 99.9"]


# Break-even -----------------------------------------------------------------------------------------


def test_break_even_is_applied_on_the_tick_of_its_condition() -> None:
    story = Story(STOP_1 + "[break_even]\nat_r = 1\n")
    story.expect(1, 100)
    assert story.tick(100, "100.99")[1:] == []
    assert story.tick(101) == ["stop break_even 100.1"]
    assert story.tick("100.1") == ["exit break_even 1 @ 100.1 left 0", "closed break_even 0.1"]


def test_break_even_waits_for_a_price_strictly_beyond_it_and_remembers_its_condition() -> None:
    story = Story(STOP_1 + "[break_even]\nat_pct = 0.001\noffset_pct = 0.002\n")
    story.expect(1, 100)
    assert story.tick(100, "100.1", "100.2")[1:] == []
    assert story.tick("99.5", "100.2") == []
    assert story.tick("100.21") == ["stop break_even 100.2"]


def test_the_break_even_of_a_short_stands_below_its_entry() -> None:
    story = Story(STOP_1 + "[break_even]\nat_r = 2\n")
    story.expect(1, 100, side="SHORT")
    assert story.tick(100, "98.01")[1:] == []
    assert story.tick(98) == ["stop break_even 99.9"]


def test_break_even_never_loosens_a_better_stop() -> None:
    trailing = '[trailing]\nactivate = "in_profit"\npct = 0.001\n'
    story = Story(STOP_1 + "[break_even]\nat_r = 1\n" + trailing)
    story.expect(1, 100)
    # 101 · 0.999 = 100.899 is better than 100.1: one line, the final stop.
    assert story.tick(100, 101)[1:] == ["stop trailing_stop 100.899"]


# Ratchet --------------------------------------------------------------------------------------------


def test_the_ratchet_pulls_the_stop_to_the_rung_before_the_last_one_taken() -> None:
    story = Story(LADDER + "[ratchet]\nafter_rungs = true\n")
    story.expect(10, 100)
    story.tick(100)
    assert story.tick(101) == ["exit take_profit 3 @ 101 left 7", "stop break_even 100.1"]
    assert story.tick(102) == ["exit take_profit 3 @ 102 left 4", "stop trailing_stop 101"]
    assert story.tick(101) == ["exit trailing_stop 4 @ 101 left 0", "closed trailing_stop 13"]


def test_a_gap_over_two_rungs_ratchets_at_once() -> None:
    story = Story(LADDER + "[ratchet]\n")
    story.expect(10, 100)
    story.tick(100)
    assert story.tick("102.2") == ["exit take_profit 6 @ 102.2 left 4", "stop trailing_stop 101"]


# Trailing -------------------------------------------------------------------------------------------


def test_trailing_in_profit_begins_strictly_beyond_the_entry() -> None:
    story = Story(STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.005\n')
    story.expect(1, 100)
    assert story.tick(100)[1:] == []
    # 100.01 · 0.995 = 99.50995
    assert story.tick("100.01") == ["stop trailing_stop 99.50995"]
    # Once active it stays so; the peak stays too.
    assert story.tick("99.9", "100.01") == []
    assert story.tick(102) == ["stop trailing_stop 101.49"]
    assert story.tick("101.5") == []
    assert story.tick("101.49")[0] == "exit trailing_stop 1 @ 101.49 left 0"


def test_trailing_at_r_begins_inclusively_and_its_peak_with_that_tick() -> None:
    story = Story(
        "[stop]\npct = 0.02\n" + '[trailing]\nactivate = "at_r"\nvalue = 1.5\npct = 0.01\n'
    )
    story.expect(1, 100)
    assert story.tick(100, "102.99")[1:] == []
    # 103 · 0.99
    assert story.tick(103) == ["stop trailing_stop 101.97"]


def test_trailing_after_a_rung_by_atr() -> None:
    plan = load_plan("trend_follow")
    story = Story(plan, atr="2")
    story.expect(2, 100)
    # Stop 1.5 · 2 below; rungs at 2 R = 106 and 4.5 ATR = 109; break-even at 1 R = 103.
    assert story.tick(100) == ["opened LONG 2 @ 100 stop 97 106:0.5 109:0.5"]
    assert story.tick(103) == ["stop break_even 100.1"]
    assert story.tick("105.9") == []
    # 106 − 1.2 · 2
    assert story.tick(106) == ["exit take_profit 1 @ 106 left 1", "stop trailing_stop 103.6"]
    assert story.tick(108) == ["stop trailing_stop 105.6"]
    assert story.tick("105.6") == [
        "exit trailing_stop 1 @ 105.6 left 0",
        "closed trailing_stop 11.6",
    ]
    assert round(story.last_closed().r_multiple or D(0), 4) == D("1.9333")  # 11.6 / (2 · 3)


def test_a_short_trails_from_above() -> None:
    story = Story(STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.005\n')
    story.expect(1, 100, side="SHORT")
    # 98 + 0.5 % of 98
    assert story.tick(100, 98)[1:] == ["stop trailing_stop 98.49"]
    assert story.tick("98.48") == []
    assert story.tick("98.49") == [
        "exit trailing_stop 1 @ 98.49 left 0",
        "closed trailing_stop 1.51",
    ]


def test_a_doubted_stop_leaves_the_peak_where_it_was() -> None:
    trailing = '[trailing]\nactivate = "in_profit"\npct = 0.01\n'
    story = Story("confirm_ticks = 2\n" + STOP_1 + trailing)
    story.expect(1, 100)
    # 102 · 0.99 = 100.98
    assert story.tick(100, 102)[1:] == ["stop trailing_stop 100.98"]
    assert story.tick("100.9", "101.5") == []
    assert story.tick("100.9") == []
    assert story.tick("100.8") == [
        "exit trailing_stop 1 @ 100.8 left 0",
        "closed trailing_stop 0.8",
    ]


def test_a_trailing_move_of_less_than_a_tick_is_none() -> None:
    story = Story(
        STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.01\n', filters=Filters(tick=D("0.5"))
    )
    story.expect(1, 100)
    # 101 · 0.99 = 99.99 → 99.5; 101.4 · 0.99 = 100.386 → 100; 101.5 · 0.99 = 100.485 → 100.
    assert story.tick(100, 101)[1:] == ["stop trailing_stop 99.5"]
    assert story.tick("101.4") == ["stop trailing_stop 100"]
    assert story.tick("101.5") == []


def test_one_tick_moves_the_stop_once_and_after_its_exit() -> None:
    """Break-even, ratchet and trailing on one tick: the best of them, in one line."""
    story = Story(
        LADDER
        + "[break_even]\nat_r = 1\n[ratchet]\n"
        + '[trailing]\nactivate = "after_rung"\nvalue = 2\npct = 0.005\n'
    )
    story.expect(10, 100)
    story.tick(100)
    # Rungs 1 and 2; break-even 100.1, ratchet 101, trailing 102.5 · 0.995 = 101.9875.
    assert story.tick("102.5") == [
        "exit take_profit 6 @ 102.5 left 4",
        "stop trailing_stop 101.9875",
    ]


# Fills at the next tick -----------------------------------------------------------------------------


def test_fills_at_the_next_tick_take_its_price_before_it_is_evaluated() -> None:
    story = Story(LADDER, fills=Fills.AT_NEXT_TICK)
    story.expect(10, 100)
    story.tick(100)
    assert story.tick(101) == ["exit take_profit 3 @ 101 left 7"]
    # Filled at 102, and then 102 fires rung 2 of its own.
    assert story.tick(102) == ["exit take_profit 3 @ 102 left 4"]
    # Filled at 98.5; then the stop takes the rest, which is filled at 98.
    assert story.tick("98.5") == ["exit stop_loss 4 @ 98.5 left 0"]
    # 3·2 − 3·1.5 − 4·2
    assert story.tick(98) == ["closed stop_loss -6.5"]


def test_a_price_that_comes_back_does_not_take_a_decided_close_back() -> None:
    story = Story(STOP_1, fills=Fills.AT_NEXT_TICK)
    story.expect(1, 100)
    story.tick(100)
    assert story.tick(99) == ["exit stop_loss 1 @ 99 left 0"]
    assert story.tick(105) == ["closed stop_loss 5"]
