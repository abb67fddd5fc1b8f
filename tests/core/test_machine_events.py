"""What is not a tick: clock, candles, position reports, operators, orders under way. One story each."""

from decimal import Decimal

import pytest

from core.story import SECOND_NS, START_NS, Story
from reactor.core.decisions import Decision, OrdersCancelled, Reason
from reactor.core.ladder import HARVEST_STEPS_PER_TICK_MAX, Filters
from reactor.core.lifecycle import Event
from reactor.core.orders import Fills

D = Decimal
STOP_1 = "[stop]\npct = 0.01\n"
TWO_RUNGS = "[[targets]]\npct = 0.01\nclose = 0.5\n[[targets]]\npct = 0.02\nclose = 0.5\n"


# The clock ------------------------------------------------------------------------------------------

TIME_STOP = STOP_1 + "[time_stop]\nseconds = 60\n" + TWO_RUNGS


def test_the_time_stop_fires_by_the_clock_at_the_last_ticks_price() -> None:
    story = Story(TIME_STOP)
    story.expect(2, 100)
    story.tick(100, "100.5")
    assert story.at(59.999).clock() == []
    assert story.at(75).clock() == ["exit time_stop 2 @ 100.5 left 0", "closed time_stop 1"]
    # Both carry the due time, not the time at which somebody looked, and the last tick's number.
    assert story.last_exit().t_ns == story.last_closed().t_ns == START_NS + 60 * SECOND_NS
    assert story.last_exit().tick == 2


def test_a_time_stop_due_exactly_at_a_ticks_time_comes_before_that_tick() -> None:
    story = Story(TIME_STOP)
    story.expect(2, 100)
    story.tick(100)
    # The tick would have taken the first rung, and rungs would have stopped the clock.
    assert story.at(60).tick(101) == ["exit time_stop 2 @ 100 left 0", "closed time_stop 0"]


def test_a_time_stop_comes_before_any_other_line_of_its_time() -> None:
    story = Story(TIME_STOP)
    story.position(2, 100)
    story.tick(100)
    assert story.at(60).position(3, 101) == [
        "exit time_stop 2 @ 100 left 0",
        "closed time_stop 0",
        # What is reported now is another life: a new epoch.
        "opened LONG 3 @ 101 stop 99.99 102.01:0.5 103.02:0.5",
    ]


@pytest.mark.parametrize(
    ("more", "price"), [("", 101), ("[harvest]\ntrigger_pct = 0.005\nfraction = 0.1\n", "100.5")]
)
def test_a_rung_or_a_harvest_stops_the_clock(more: str, price: str) -> None:
    story = Story(TIME_STOP + more)
    story.expect(2, 100)
    story.tick(100, price)
    assert story.at(3600).clock() == []
    assert story.engine.due_ns > story.now_ns


def test_before_any_tick_the_entry_is_the_price() -> None:
    story = Story(TIME_STOP)
    story.position(2, 100)
    assert story.at(60).clock() == ["exit time_stop 2 @ 100 left 0", "closed time_stop 0"]
    assert story.last_exit().tick == 0


# The ATR and its candles ------------------------------------------------------------------------------

ATR_PLAN = (
    '[atr]\nperiod = 2\nmethod = "sma"\n[stop]\natr = 2\n'
    "[[targets]]\nr = 1\nclose = 0.5\n[[targets]]\natr = 4\nclose = 0.5\n"
)
# True ranges 2 and 2, so the ATR is 2.
CALM = ((100.0, 101.0, 99.0, 100.0), (100.0, 101.0, 99.0, 100.0), (100.0, 101.0, 99.0, 100.0))


def test_history_before_the_opening_gives_the_first_stop_its_atr() -> None:
    story = Story(ATR_PLAN)
    story.history(*CALM)
    story.expect(2, 100)
    assert story.tick(100) == ["opened LONG 2 @ 100 stop 96 104:0.5 108:0.5"]


def test_without_an_atr_the_fallback_protects_until_it_is_ready() -> None:
    story = Story(ATR_PLAN + "[break_even]\nat_r = 1\n")
    story.expect(2, 100)
    # 1 %: R is 1 until the ATR is there; the rung in ATR waits.
    assert story.tick(100) == ["opened LONG 2 @ 100 stop 99 101:0.5 ?:0.5"]
    # Ready: R = 4. The stop would be 96, which is looser: it stays. The rungs move to 104 and 108.
    assert story.history(*CALM) == []
    assert story.stop() == "stop_loss 99"
    assert story.tick(101) == []
    assert story.tick(104) == ["exit take_profit 1 @ 104 left 1", "stop break_even 100.1"]
    assert story.tick(108)[0] == "exit take_profit 1 @ 108 left 0"


def test_an_atr_that_becomes_ready_tightens_a_wider_fallback() -> None:
    story = Story(ATR_PLAN.replace("atr = 2\n", "atr = 2\nfallback_pct = 0.1\n"))
    story.expect(2, 100)
    assert story.tick(100)[0].startswith("opened LONG 2 @ 100 stop 90 110:0.5")
    assert story.history(*CALM) == ["stop stop_loss 96"]


def test_a_stop_that_would_land_on_the_price_is_held_back_until_the_price_is_beyond_it() -> None:
    story = Story(ATR_PLAN.replace("atr = 2\n", "atr = 2\nfallback_pct = 0.1\n"))
    story.expect(2, 100)
    story.tick(100, 96)
    # The ATR is ready and wants 96; the price stands there: nothing is closed by a recomputation.
    assert story.history(*CALM) == ["held stop 96"]
    assert story.tick("95.5", 96) == []
    assert story.tick("96.01") == ["stop stop_loss 96"]
    assert story.tick(96)[0] == "exit stop_loss 2 @ 96 left 0"


@pytest.mark.parametrize(
    ("price", "said"),
    [(99, ["stop stop_loss 96"]), (96, ["held stop 96"]), (95, ["held stop 96"])],
)
def test_the_tick_that_makes_the_atr_ready_is_never_the_one_that_it_closes_on(
    price: int, said: list[str]
) -> None:
    story = Story(ATR_PLAN.replace("atr = 2\n", "atr = 2\nfallback_pct = 0.1\n"))
    story.expect(2, 100)
    story.tick(100)
    for minutes in (5, 10):
        assert story.at(60 * minutes).tick(102, 100) == []
    # Its candle closes the second true range of 2: the stop is wanted at 100 − 2 · 2.
    assert story.at(900).tick(price) == said


def test_a_held_back_stop_moves_while_paused_and_protects() -> None:
    story = Story(ATR_PLAN.replace("atr = 2\n", "atr = 2\nfallback_pct = 0.1\n"))
    story.expect(2, 100)
    story.tick(100, 95)
    story.history(*CALM)
    story.engine.pause("BTCUSDT", "LONG", paused=True)
    assert story.tick(97) == ["stop stop_loss 96"]


def test_a_target_that_would_land_behind_the_price_is_held_back_until_the_price_is_before_it() -> (
    None
):
    story = Story(ATR_PLAN.replace("atr = 2\n", "atr = 2\nfallback_pct = 0.1\n"))
    story.expect(2, 100)
    # Targets: 110 (one R of the fallback), and the one in ATR waits.
    story.tick(100, 105)
    # R is 4 now: 104 lies behind the price, and a recomputation takes no profit either.
    assert story.history(*CALM) == ["stop stop_loss 96", "held target 104"]
    assert story.tick("104.5", 104) == []
    assert story.tick("103.9") == []
    assert story.tick(104) == ["exit take_profit 1 @ 104 left 1"]


def test_a_rung_held_back_keeps_its_old_place_among_the_rungs() -> None:
    story = Story(
        '[atr]\nperiod = 2\nmethod = "sma"\n[stop]\natr = 2\nfallback_pct = 0.1\n'
        "[[targets]]\npct = 0.05\nclose = 0.5\n[[targets]]\nr = 1\nclose = 0.5\n"
    )
    story.expect(4, 100)
    story.tick(100, "104.5")
    # 104 is wanted for the farther rung; until it is let in, that rung stays the farther one at 110.
    assert story.history(*CALM) == ["stop stop_loss 96", "held target 104"]
    assert story.tick(105) == ["exit take_profit 2 @ 105 left 2"]


def test_the_atr_of_the_opening_stays_and_later_ones_only_trail() -> None:
    trail = '[trailing]\nactivate = "in_profit"\natr = 1\n'
    story = Story(ATR_PLAN + trail)
    story.history(*CALM)
    story.expect(2, 100)
    # Peak 101, 2 behind it.
    assert story.tick(100, 101)[1:] == ["stop trailing_stop 99"]
    # Five minutes later the candle closes: 101 − 100 = 1, so the ATR is (2 + 1)/2; and 102 − 1.5.
    assert story.at(300).tick(102) == ["stop trailing_stop 100.5"]
    assert story.machine().r == 4
    assert story.machine().level_atr == 2
    assert story.machine().atr == D("1.5")


def test_between_candle_closes_the_trailing_distance_never_changes() -> None:
    story = Story(ATR_PLAN + '[trailing]\nactivate = "in_profit"\natr = 1\n')
    story.history(*CALM)
    story.expect(2, 100)
    assert story.tick(100, 103)[1:] == ["stop trailing_stop 101"]
    # The forming candle is 6 high by now; the ATR still is 2.
    assert story.tick("103.5") == ["stop trailing_stop 101.5"]


def test_a_flat_market_has_no_atr() -> None:
    story = Story(ATR_PLAN)
    story.history(*[(100.0, 100.0, 100.0, 100.0)] * 3)
    story.expect(2, 100)
    assert story.tick(100) == ["opened LONG 2 @ 100 stop 99 101:0.5 ?:0.5"]


def test_missed_ticks_are_mended_by_the_history_of_their_time() -> None:
    story = Story(ATR_PLAN)
    story.at(30).tick(100)
    story.at(60).tick(101)
    story.engine.on_interruption()
    story.at(7 * 60).tick(101)
    story.at(10 * 60).tick(101)
    story.history((100.0, 101.0, 100.0, 101.0), (101.0, 150.0, 101.0, 101.0))
    market = story.engine.market("last", "BTCUSDT")
    assert market is not None
    assert market.series[300_000].closed[-1].high == 150.0


# Volatility governor ---------------------------------------------------------------------------------

GOVERNOR = (
    "[stop]\natr = 1\n[high_volatility]\nthreshold = 0.02\nstop_atr = 1.5\ntarget_scale = 0.5\n"
    "[[targets]]\npct = 0.1\nclose = 0.5\n[[targets]]\npct = 0.2\nclose = 0.5\n"
)


def test_high_volatility_at_the_opening_widens_the_first_stop() -> None:
    story = Story(GOVERNOR, atr="2")
    story.expect(1, 100)
    assert story.tick(100) == ["opened LONG 1 @ 100 stop 97 110:0.5 120:0.5"]


def test_entering_high_volatility_later_brings_targets_nearer_once_and_moves_no_stop() -> None:
    story = Story(GOVERNOR, atr="2")
    story.expect(1, 104)
    # 2/104 is below 2 %.
    assert story.tick(104) == ["opened LONG 1 @ 104 stop 102 114.4:0.5 124.8:0.5"]
    # Decided at candle closes: the candle closed at 104 is calm, the one at 102.5 still is.
    story.at(300).tick("102.5")
    story.at(600).tick("102.5")
    assert not story.machine().high_volatility
    # The ATR is fixed here, so volatility is a matter of the price alone: no stop at 99.
    story.set_stop(90)
    story.tick(100)
    # The candle closes at 100: 2 %. Half of 10.4 and of 20.8.
    story.at(900).tick("100.5")
    assert story.machine().high_volatility
    assert [story.machine().price(r.x) for r in story.machine().ladder.rungs if r.x] == [
        D("109.2"),
        D("114.4"),
    ]
    assert story.stop() == "manual 90"
    # Left at less than 1.8 % (price above 111.1…), which restores nothing.
    story.at(1200).tick("108")
    story.at(1500).tick("108")
    assert story.machine().high_volatility
    story.at(1501).tick("109", "112")
    assert story.at(1800).tick("112") == []
    assert not story.machine().high_volatility
    # Entered again: nothing shrinks a second time.
    story.at(1801).tick("100")
    story.at(2100).tick("100")
    assert story.machine().high_volatility
    assert story.tick("114.4")[0] == "exit take_profit 0.5 @ 114.4 left 0"


# Added, reduced, flipped, closed by others -------------------------------------------------------------


def test_an_add_starts_the_levels_from_the_new_entry_and_loosens_nothing() -> None:
    story = Story(STOP_1 + TWO_RUNGS)
    story.position(2, 100)
    story.tick(100)
    assert story.tick(101) == ["exit take_profit 1 @ 101 left 1"]
    # Cheaper: the stop would go to 98.01 and stays; rungs 99.99 (taken) and 100.98, of 3 now.
    assert story.position(3, 99) == ["held target 100.98"]
    assert story.stop() == "stop_loss 99"
    assert story.machine().r == D("0.99")
    assert story.tick("100.9") == []
    # The taken rung stays taken; the last of a whole ladder takes all.
    assert story.tick("100.98")[0] == "exit take_profit 3 @ 100.98 left 0"


def test_an_add_above_tightens() -> None:
    story = Story(STOP_1 + TWO_RUNGS)
    story.position(2, 100)
    story.tick(101)
    assert story.position(3, 102) == ["stop stop_loss 100.98"]
    assert story.tick("100.98")[0] == "exit stop_loss 3 @ 100.98 left 0"


def test_an_add_whose_stop_would_be_through_the_price_holds_it_back() -> None:
    story = Story(STOP_1)
    story.position(1, 100)
    story.tick(100)
    assert story.position(2, 102) == ["held stop 100.98"]
    assert story.stop() == "stop_loss 99"
    assert story.tick("100.99") == ["stop stop_loss 100.98"]


def test_a_break_even_stop_below_the_new_entry_is_an_ordinary_stop() -> None:
    story = Story(STOP_1 + "[break_even]\nat_r = 1\n")
    story.position(1, 100)
    story.tick(100)
    assert story.tick(101) == ["stop break_even 100.1"]
    assert story.position(2, "100.5") == ["stop stop_loss 100.1"]
    assert story.tick(100)[0] == "exit stop_loss 2 @ 100 left 0"


def test_the_harvest_count_restarts_behind_the_price_of_the_new_entry() -> None:
    story = Story(STOP_1 + "[harvest]\ntrigger_pct = 0.01\nfraction = 0.5\n")
    story.position(16, 100)
    story.tick(100)
    assert story.tick("102.5")[0] == "exit harvest 12 @ 102.5 left 4"
    # 8 more at an average of 101: 102.5 has 1.48 % of profit, one step behind it; two is 103.02.
    story.position(12, 101)
    assert story.machine().ladder.harvests_taken == 1
    # Break-even was due before, and is now that of the new entry.
    assert story.tick("103.01") == ["stop break_even 101.101"]
    assert story.tick("103.02") == ["exit harvest 6 @ 103.02 left 6"]
    # And one at a loss has none behind it.
    story.position(20, 110)
    assert story.machine().ladder.harvests_taken == 0


def test_a_reduction_by_somebody_else_leaves_less_to_close() -> None:
    story = Story(STOP_1 + TWO_RUNGS)
    story.position(4, 100)
    story.tick(100)
    assert story.position(1, 100) == []
    # Half of the initial 4 is 2, and 1 is left.
    assert story.tick(101) == ["exit take_profit 1 @ 101 left 0", "closed take_profit ?"]


def test_a_position_closed_by_somebody_else_ends_the_epoch_with_its_cause() -> None:
    story = Story(STOP_1)
    story.position(1, 100)
    story.tick(100)
    assert story.position(0, 0, cause=Reason.LIQUIDATION) == ["closed liquidation ?"]
    assert isinstance(story.said[-2], OrdersCancelled)
    assert story.tick(50, 50) == [
        "alarm suspect last price 50: too far from the last; waits for the next one"
    ]
    assert story.position(0, 0) == []


def test_a_flip_is_an_end_and_a_beginning() -> None:
    story = Story(STOP_1)
    story.position(1, 100)
    story.tick(100)
    assert story.position(0, 0, cause=Reason.FLIP) == ["closed flip ?"]
    assert story.position(2, 100, side="SHORT") == ["opened SHORT 2 @ 100 stop 101"]
    assert story.tick(99) == []
    assert story.tick(101)[0] == "exit stop_loss 2 @ 101 left 0"


def test_the_same_instant_may_end_one_life_and_begin_the_next() -> None:
    """Stopped, reported flat and opened again within one nanosecond: nothing old reaches the new."""
    story = Story(STOP_1 + TWO_RUNGS, fills=Fills.REPORTED)
    story.position(2, 100)
    story.tick(100)
    story.tick(101)
    rung = story.last_exit()
    assert story.tick(99) == ["exit stop_loss 2 @ 99 left 0"]
    stop = story.last_exit()
    assert story.position(0, 0) == ["closed external ?"]
    assert story.position(2, 99) == ["opened LONG 2 @ 99 stop 98.01 99.99:0.5 100.98:0.5"]
    for late in (Event.REJECTED, Event.UNKNOWN, Event.LAPSED, Event.FILLED):
        assert story.news(late, of=rung) == []
        assert story.news(late, of=stop) == []
    assert not story.machine().orders.exiting
    assert story.tick("99.99") == ["exit take_profit 1 @ 99.99 left 1"]
    assert story.last_exit().order_id not in {rung.order_id, stop.order_id}
    assert story.tick("98.01") == ["exit stop_loss 2 @ 98.01 left 0"]


def test_a_position_opened_again_within_the_tick_after_a_simulated_close() -> None:
    story = Story(STOP_1)
    story.position(1, 100)
    story.tick(100, 99)
    assert story.position(1, 99) == ["opened LONG 1 @ 99 stop 98.01"]
    assert story.tick("98.01") == ["exit stop_loss 1 @ 98.01 left 0", "closed stop_loss -0.99"]
    assert story.last_closed().epoch == 2


def test_an_add_measures_its_levels_in_the_present_atr() -> None:
    story = Story(ATR_PLAN)
    story.history(*CALM)
    story.position(2, 100)
    story.tick(100)
    assert story.stop() == "stop_loss 96"
    # The candle closes with a true range of 1: the ATR is 1.5 from here on.
    story.tick(101)
    story.at(300).tick(101)
    assert story.position(3, 100) == ["stop stop_loss 97"]
    assert story.machine().r == 3


def test_an_add_leaves_a_rung_alone_that_the_price_is_at_and_an_order_keeps_waiting() -> None:
    story = Story(STOP_1 + TWO_RUNGS, fills=Fills.REPORTED)
    story.position(4, 100)
    story.tick(100, 101, 102)  # rung 1 is under way; rung 2 is reached and waits for it
    first = story.last_exit()
    assert story.position(5, 100) == []
    story.news(Event.FILLED, of=first, filled=2)
    assert story.tick(102) == ["exit take_profit 5 @ 102 left 0"]


def test_an_atr_that_a_plan_has_no_use_for_changes_nothing() -> None:
    story = Story(STOP_1 + TWO_RUNGS)
    story.position(2, 100)
    story.tick(100)
    out: list[Decision] = []
    story.machine().on_candle(
        atr=D(3), close=D(100), tick_follows=False, t_ns=story.now_ns, out=out
    )
    assert out == []
    assert story.stop() == "stop_loss 99"
    assert story.machine().level_atr == 3


def test_a_history_that_changes_nothing_says_nothing_and_a_flat_one_takes_the_atr_away() -> None:
    trail = '[trailing]\nactivate = "in_profit"\natr = 1\n'
    story = Story(ATR_PLAN + trail)
    story.history(*CALM)
    story.expect(2, 100)
    story.tick(100)
    assert story.history(*CALM) == []
    assert story.machine().atr == 2
    # Two flat candles: no ATR, so trailing waits; the epoch's own levels stay.
    for minutes in (5, 10, 15):
        story.at(60 * minutes).tick(100)
    assert story.machine().atr is None
    assert story.machine().level_atr == 2
    assert story.tick(102) == []
    assert story.stop() == "stop_loss 96"


# Operators --------------------------------------------------------------------------------------------


def test_only_an_operator_may_loosen_a_stop() -> None:
    story = Story(STOP_1 + "[break_even]\nat_r = 1\n")
    story.expect(1, 100)
    story.tick(100)
    assert story.set_stop("98.5") == ["stop manual 98.5"]
    assert story.tick(99) == []
    # It is a stop like any other: it improves by the rules, and fires under its own name.
    assert story.tick(101) == ["stop break_even 100.1"]
    assert story.set_stop("100.5") == ["stop manual 100.5"]
    assert story.tick("100.5") == ["exit manual 1 @ 100.5 left 0", "closed manual 0.5"]


def test_a_stop_set_by_hand_is_rounded_as_stops_are() -> None:
    story = Story(STOP_1, filters=Filters(tick=D("0.5")))
    story.expect(1, 100, side="SHORT")
    story.tick(100)
    assert story.set_stop("102.1", "SHORT") == ["stop manual 102.5"]


def test_a_close_by_hand_takes_everything_at_the_last_price() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.tick(100, "100.5")
    assert story.close() == ["exit manual 1 @ 100.5 left 0", "closed manual 0.5"]
    assert story.close() == []
    assert story.set_stop(98) == []


def test_paused_stops_and_guards_stay_on_and_profits_wait() -> None:
    story = Story(
        STOP_1
        + TWO_RUNGS
        + '[trailing]\nactivate = "in_profit"\npct = 0.005\n[break_even]\nat_r = 1\n'
    )
    story.expect(2, 100)
    story.tick(100)
    story.engine.pause("BTCUSDT", "LONG", paused=True)
    story.engine.pause("ETHUSDT", "LONG", paused=True)
    assert story.tick("101.5") == []
    assert story.stop() == "stop_loss 99"
    story.engine.pause("BTCUSDT", "LONG", paused=False)
    assert story.tick(101) == ["exit take_profit 1 @ 101 left 1", "stop trailing_stop 100.495"]
    story.engine.pause("BTCUSDT", "LONG", paused=True)
    assert story.tick("100.4")[0] == "exit trailing_stop 1 @ 100.4 left 0"


# What must never happen --------------------------------------------------------------------------------


def test_an_operator_may_loosen_a_stop_and_rules_take_over_beyond_where_it_stood() -> None:
    story = Story(STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.01\n')
    story.expect(1, 100)
    assert story.tick(100, 102)[-1] == "stop trailing_stop 100.98"
    story.engine.set_stop("BTCUSDT", "LONG", D(90), t_ns=story.now_ns)
    # The peak of 102 would put it back to 100.98 at once: that is what the operator overruled.
    assert story.tick(101, 102) == []
    assert story.tick(103) == ["stop trailing_stop 101.97"]


def test_an_absurd_price_takes_a_bounded_number_of_harvest_steps() -> None:
    plan = "max_tick_jump_pct = 1\n[stop]\npct = 0.5\n[harvest]\ntrigger_pct = 0.0001\nfraction = 0.0001\n"
    story = Story(plan)
    story.expect(1, 100)
    story.tick(100, 150)
    assert story.machine().ladder.harvests_taken == HARVEST_STEPS_PER_TICK_MAX
    # The next tick takes the next thousand.
    story.tick(150)
    assert story.machine().ladder.harvests_taken == 2 * HARVEST_STEPS_PER_TICK_MAX


def test_costs_really_paid_move_break_even() -> None:
    plan = STOP_1 + '[break_even]\nat_r = 1\noffset = "costs"\n'
    story = Story(plan)
    story.expect(2, 100)
    story.tick(100)
    # 0.2 paid for 2 is 0.1 a unit, and the exit is expected to cost 0.05 %.
    story.machine().on_cost(D("0.2"))
    assert story.tick(101) == ["stop break_even 100.15"]
