"""Which ticks count, and for whom: sources, ids, suspects, sides and symbols."""

from decimal import Decimal

import pytest

from core.story import START_NS, SYMBOL, Story, line, lines, plan
from reactor.core.decisions import Exit
from reactor.core.engine import Engine
from reactor.core.events import PositionReport
from reactor.core.market import ID_STEP_MAX, Market, book_quote, price_quote
from reactor.core.orders import Fills
from reactor.core.plan import Plan
from reactor.core.ticks import NEVER_NS
from reactor.errors import DecodeError

D = Decimal
STOP_1 = "[stop]\npct = 0.01\n"
MS = START_NS // 1_000_000


def engine_of(plans: dict[tuple[str, str], Plan]) -> Engine:
    return Engine(plan_for=lambda symbol, side: plans[symbol, side], fills=Fills.AT_TRIGGER)


def report(symbol: str, side: str, quantity: str, entry: str, t_ns: int) -> PositionReport:
    return PositionReport(
        symbol=symbol,
        side="LONG" if side == "LONG" else "SHORT",
        quantity=D(quantity),
        entry=D(entry),
        t_event_ms=MS,
        t_ns=t_ns,
    )


# Duplicates and late ones ----------------------------------------------------------------------------


def test_a_duplicate_or_older_trade_does_not_count() -> None:
    story = Story("confirm_ticks = 2\n" + STOP_1)
    story.expect(1, 100)
    story.tick(100, "98.5")
    market = story.engine.market("last", SYMBOL)
    assert market is not None
    assert market.ticks == 2
    for trade_id in (2, 1):
        assert story.engine.on_last(SYMBOL, "98", trade_id, MS, START_NS) == []
    assert (market.ticks, market.duplicates) == (2, 2)
    assert story.tick("98.4")[0] == "exit stop_loss 1 @ 98.4 left 0"


def test_a_mark_price_is_known_by_its_time() -> None:
    story = Story("confirm_ticks = 2\n" + STOP_1, trigger="mark")
    story.expect(1, 100)
    for price, t_event_ms in (("100", MS), ("98", MS + 1000), ("98", MS + 1000), ("97", MS)):
        story.hear(story.engine.on_mark(SYMBOL, price, t_event_ms, START_NS))
    assert story.machine().tick == 2
    said = story.hear(story.engine.on_mark(SYMBOL, "97.5", MS + 2000, START_NS))
    assert said[0] == "exit stop_loss 1 @ 97.5 left 0"


def test_a_quiet_tick_counts_and_says_nothing() -> None:
    for trigger in ("last", "mark"):
        story = Story(STOP_1, trigger=trigger)
        story.expect(1, 100)
        story.tick(100)
        assert story.tick("100.1", "99.9", "100.2") == []
        market = story.engine.market("last" if trigger == "last" else "mark", SYMBOL)
        assert market is not None
        assert market.ticks == 4
        quote = market.quote()
        assert quote is not None
        assert quote.long == D("100.2")


def test_exchange_times_may_go_back_within_a_source() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.at(10).tick(100)
    story.at(5)
    assert story.tick("98.9")[0] == "exit stop_loss 1 @ 98.9 left 0"


# Trades and aggregate trades --------------------------------------------------------------------------


def test_raw_trades_count_until_the_first_aggregate_trade_comes() -> None:
    story = Story("confirm_ticks = 9\n" + STOP_1)
    story.expect(1, 100)
    engine = story.engine
    engine.on_trade(SYMBOL, "100", 7_000, MS, START_NS)
    engine.on_trade(SYMBOL, "100.1", 7_001, MS, START_NS)
    engine.on_trade(SYMBOL, "100.1", 7_001, MS, START_NS)
    market = engine.market("last", SYMBOL)
    assert market is not None
    assert (market.ticks, market.duplicates) == (2, 1)
    # Aggregate ids are a count of their own: a lower one is no duplicate of a raw trade.
    engine.on_last(SYMBOL, "100.2", 12, MS, START_NS)
    assert market.ticks == 3
    for trade_id in (7_002, 7_003):
        engine.on_trade(SYMBOL, "50", trade_id, MS, START_NS)
    assert market.ticks == 3
    engine.on_last(SYMBOL, "100.3", 13, MS, START_NS)
    assert market.ticks == 4


def test_raw_trades_alone_fire_a_stop() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.hear(story.engine.on_trade(SYMBOL, "100", 1, MS, START_NS))
    assert story.engine.on_trade(SYMBOL, "99.5", 2, MS, START_NS) == ()
    said = story.hear(story.engine.on_trade(SYMBOL, "99", 3, MS, START_NS))
    assert said[0] == "exit stop_loss 1 @ 99 left 0"


# Suspects ---------------------------------------------------------------------------------------------


def test_a_suspect_that_nothing_confirms_counts_nowhere() -> None:
    story = Story(STOP_1 + '[trailing]\nactivate = "in_profit"\npct = 0.01\n')
    story.expect(1, 100)
    story.tick(100)
    assert story.tick(130) == [
        "alarm suspect last price 130: too far from the last; waits for the next one"
    ]
    # 100.5 is not within 20 % of 130, and is of 100: 130 never was, and no peak remembers it.
    assert story.tick("100.5") == ["stop trailing_stop 99.495"]
    assert story.machine().tick == 2
    market = story.engine.market("last", SYMBOL)
    assert market is not None
    assert market.suspects_dropped == 1
    assert story.tick("99.5") == []


def test_a_confirmed_suspect_counts_with_the_one_that_confirms_it() -> None:
    story = Story(
        STOP_1 + "[[targets]]\npct = 0.3\nclose = 0.5\n[[targets]]\npct = 0.4\nclose = 0.5\n"
    )
    story.expect(2, 100)
    story.tick(100)
    story.tick(130)
    # Both count, one after the other, each with its own price.
    assert story.tick(140) == [
        "exit take_profit 1 @ 130 left 1",
        "exit take_profit 1 @ 140 left 0",
        "closed take_profit 70",
    ]
    assert story.last_exit().tick == 3


def test_two_suspects_in_a_row_that_disagree_are_both_doubted() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.tick(100)
    assert story.tick(150)[0].startswith("alarm suspect last price 150")
    assert story.tick(60)[0].startswith("alarm suspect last price 60")
    assert story.tick("99.5") == []
    assert story.machine().tick == 2


def test_the_jump_limit_itself_is_not_too_far() -> None:
    story = Story("max_tick_jump_pct = 0.1\n[stop]\npct = 0.5\n")
    story.expect(1, 100)
    story.tick(100)
    assert story.tick(110, 99) == []
    assert story.tick("108.91")[0].startswith("alarm suspect")


def test_both_sides_of_a_book_are_looked_at_for_a_jump() -> None:
    story = Story(STOP_1, trigger="book")
    story.expect(1, 100)
    story.book("99.9", "100.1")
    assert story.book("99.9", "140")[0].startswith("alarm suspect book price 99.9")
    assert story.book("99.9", "100.2") == []


def test_the_first_aggregate_trade_forgets_a_suspect_raw_trade() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.hear(story.engine.on_trade(SYMBOL, "100", 1, MS, START_NS))
    said = story.hear(story.engine.on_trade(SYMBOL, "60", 2, MS, START_NS))
    assert said[0].startswith("alarm suspect")
    assert story.engine.on_last(SYMBOL, "61", 1, MS, START_NS) != []
    assert story.machine().tick == 1


# What is no price -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "price", ["0", "-1", "NaN", "Infinity", "", "abc", "1e999", "1e13", "1e-13"]
)
@pytest.mark.parametrize("trigger", ["last", "mark", "book"])
def test_what_is_no_positive_finite_price_changes_nothing(trigger: str, price: str) -> None:
    story = Story(STOP_1, trigger=trigger)
    story.expect(1, 100)
    engine = story.engine

    def send(text: str, number: int) -> None:
        if trigger == "book":
            story.hear(engine.on_book(SYMBOL, text, "100.1", number, MS, START_NS))
        elif trigger == "mark":
            story.hear(engine.on_mark(SYMBOL, text, MS + number, START_NS))
        else:
            story.hear(engine.on_last(SYMBOL, text, number, MS, START_NS))

    send("100", 1)
    for number in (2, 3):
        with pytest.raises(DecodeError):
            send(price, number)
    assert story.machine().tick == 1
    send("98", 3)
    send("98", 4)
    assert story.last_exit().price == 98


@pytest.mark.parametrize("t_event_ms", [-1, 5_000_000_000_000])
def test_a_time_that_cannot_be_closes_no_candles(t_event_ms: int) -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.tick(100)
    with pytest.raises(DecodeError):
        story.engine.on_last(SYMBOL, "90", 99, t_event_ms, START_NS)
    assert story.tick("98.9")[0] == "exit stop_loss 1 @ 98.9 left 0"


# Sources, sides and symbols -----------------------------------------------------------------------------


def test_a_machine_sees_its_own_source_only() -> None:
    story = Story(STOP_1, trigger="mark")
    story.expect(1, 100)
    story.tick(100)
    assert story.engine.on_last(SYMBOL, "50", 1, MS, START_NS) == []
    assert story.engine.on_trade(SYMBOL, "50", 2, MS, START_NS) == []
    assert story.engine.on_book(SYMBOL, "50", "51", 3, MS, START_NS) == []
    assert story.engine.market("last", SYMBOL) is None
    assert story.tick("98.9")[0] == "exit stop_loss 1 @ 98.9 left 0"


def test_a_hedged_pair_lives_side_by_side() -> None:
    story = Story(STOP_1 + "[[targets]]\npct = 0.01\nclose = 1\n")
    story.expect(1, 100, side="SHORT")
    story.expect(2, 100)
    assert story.tick(100) == [
        "opened SHORT 1 @ 100 stop 101 99:1",
        "opened LONG 2 @ 100 stop 99 101:1",
    ]
    # 101 is the LONG's target and the SHORT's stop.
    assert story.tick(101) == [
        "exit take_profit 2 @ 101 left 0",
        "closed take_profit 2",
        "exit stop_loss 1 @ 101 left 0",
        "closed stop_loss -1",
    ]
    assert story.engine.positions == {}


def test_two_sides_may_follow_two_sources() -> None:
    plans = {
        (SYMBOL, "LONG"): plan(STOP_1, trigger="last"),
        (SYMBOL, "SHORT"): plan("max_tick_jump_pct = 0.05\n" + STOP_1, trigger="mark"),
    }
    engine = engine_of(plans)
    engine.on_position(report(SYMBOL, "LONG", "1", "100", START_NS))
    engine.on_position(report(SYMBOL, "SHORT", "1", "100", START_NS))
    engine.on_last(SYMBOL, "100", 1, MS, START_NS)
    engine.on_mark(SYMBOL, "100", MS, START_NS)
    assert engine.on_mark(SYMBOL, "98", MS + 1, START_NS) == ()
    assert lines(engine.on_last(SYMBOL, "98", 2, MS, START_NS))[0].startswith("exit stop_loss")
    assert set(engine.positions) == {(SYMBOL, "SHORT")}


def test_where_two_plans_share_a_source_the_tighter_limit_asks() -> None:
    plans = {
        (SYMBOL, "LONG"): plan("max_tick_jump_pct = 0.5\n" + STOP_1),
        (SYMBOL, "SHORT"): plan("max_tick_jump_pct = 0.05\n" + STOP_1),
    }
    engine = engine_of(plans)
    engine.on_position(report(SYMBOL, "LONG", "1", "100", START_NS))
    engine.on_last(SYMBOL, "100", 1, MS, START_NS)
    (said,) = engine.on_last(SYMBOL, "94", 2, MS, START_NS)
    assert line(said).startswith("alarm suspect")


def test_symbols_do_not_know_each_other() -> None:
    plans = {
        (symbol, side): plan(STOP_1 + "[time_stop]\nseconds = 60\n")
        for symbol in ("AAA", "BBB")
        for side in ("LONG", "SHORT")
    }
    engine = engine_of(plans)
    engine.on_position(report("AAA", "LONG", "1", "100", START_NS))
    engine.on_position(report("BBB", "LONG", "1", "100", START_NS + 5))
    engine.on_last("AAA", "100", 1, MS, START_NS)
    engine.on_last("BBB", "100", 1, MS, START_NS)
    assert engine.due_ns == START_NS + 60_000_000_000
    # A tick of one symbol tells the time to all of them, in the order of their clocks.
    said = engine.on_last("BBB", "100.1", 2, MS, START_NS + 61_000_000_000)
    exits = [(decision.symbol, line(decision)) for decision in said if isinstance(decision, Exit)]
    assert exits == [
        ("AAA", "exit time_stop 1 @ 100 left 0"),
        ("BBB", "exit time_stop 1 @ 100 left 0"),
    ]
    assert engine.due_ns == NEVER_NS
    assert engine.on_time(START_NS + 10**15) == ()


def test_a_symbol_without_a_position_only_keeps_its_candles() -> None:
    story = Story('[atr]\nperiod = 1\ninterval = "1m"\n[stop]\natr = 1\n')
    for minute, price in enumerate((100, 103, 101)):
        story.at(60 * minute).tick(price)
    story.expect(1, 101)
    # The last closed candle's true range is 3: from the close at 100 to 103.
    assert story.tick(101) == ["opened LONG 1 @ 101 stop 98"]


def test_history_that_nobody_asked_for_is_left_alone() -> None:
    story = Story(STOP_1)
    assert story.history((1.0, 1.0, 1.0, 1.0)) == []
    assert story.engine.on_history("ETHUSDT", "mark", 60_000, [], t_ns=START_NS) == []


def test_a_symbol_that_ticks_before_anything_is_known_of_it() -> None:
    plans = {(SYMBOL, side): plan(STOP_1, trigger="mark") for side in ("LONG", "SHORT")}
    plans |= {("ETHUSDT", side): plan(STOP_1) for side in ("LONG", "SHORT")}
    engine = engine_of(plans)
    assert engine.on_mark(SYMBOL, "100", MS, START_NS) == []
    assert engine.on_mark("ETHUSDT", "100", MS, START_NS) == []
    assert engine.on_trade("ETHUSDT", "50", 1, MS, START_NS) == []
    assert engine.on_book("ETHUSDT", "50", "51", 1, MS, START_NS) == []
    assert [(market.symbol, market.source, market.ticks) for market in engine.markets()] == [
        (SYMBOL, "mark", 1),
        ("ETHUSDT", "last", 1),
    ]
    with pytest.raises(DecodeError):
        engine.on_trade("ETHUSDT", "fifty", 2, MS, START_NS)


def test_a_quiet_book_keeps_both_of_its_prices() -> None:
    story = Story(STOP_1, trigger="book")
    story.expect(1, 100)
    story.expect(1, 100, side="SHORT")
    story.book("99.9", "100.1")
    assert story.book("99.8", "100.2") == []
    assert story.close() == ["exit manual 1 @ 99.8 left 0", "closed manual -0.2"]
    assert story.close("SHORT") == ["exit manual 1 @ 100.2 left 0", "closed manual -0.2"]


def test_each_side_follows_the_candles_of_its_own_interval() -> None:
    trail = 'interval = "{}"\nperiod = 1\n[stop]\natr = 1\n'
    plans = {
        (SYMBOL, "LONG"): plan("[atr]\n" + trail.format("1m")),
        (SYMBOL, "SHORT"): plan("[atr]\n" + trail.format("5m")),
    }
    engine = engine_of(plans)
    for minute, price in enumerate(("100", "103", "101", "101")):
        t_ns = START_NS + minute * 60_000_000_000
        engine.on_last(SYMBOL, price, minute + 1, t_ns // 1_000_000, t_ns)
    engine.on_position(report(SYMBOL, "LONG", "1", "101", t_ns))
    engine.on_position(report(SYMBOL, "SHORT", "1", "101", t_ns))
    engine.on_last(SYMBOL, "100.9", 9, t_ns // 1_000_000 + 60_000, t_ns + 60_000_000_000)
    long, short = engine.positions[SYMBOL, "LONG"], engine.positions[SYMBOL, "SHORT"]
    assert (long.level_atr, long.atr) == (D(2), None)  # the last candle was flat
    assert (short.level_atr, short.atr) == (None, None)  # no five minutes have closed yet


def test_ticks_that_were_passed_over_count_as_the_last_one_tells() -> None:
    story = Story(STOP_1)
    story.expect(1, 100)
    story.tick(100)
    market = story.engine.market("last", SYMBOL)
    assert market is not None
    market.skip(41, "100.3", 90, MS + 7, START_NS + 7)
    assert market.ticks == 42
    quote = market.quote()
    assert quote is not None
    assert (quote.long, quote.t_event_ms) == (D("100.3"), MS + 7)
    assert story.engine.on_last(SYMBOL, "50", 90, MS + 8, START_NS + 8) == []
    assert story.close() == ["exit manual 1 @ 100.3 left 0", "closed manual 0.3"]


@pytest.mark.parametrize("price", ["", "abc", "-1", "0", "NaN", "1e40"])
def test_no_quote_is_made_of_what_is_no_price(price: str) -> None:
    with pytest.raises(DecodeError):
        price_quote(price, MS)
    with pytest.raises(DecodeError):
        book_quote("100", price, MS)


def test_two_positions_of_one_side_in_a_replay_are_guarded_each() -> None:
    story = Story("[stop]\npct = 0.01\n[[targets]]\npct = 0.02\nclose = 1\n")
    story.expect(1, 100)
    story.expect(2, 102)
    assert story.tick("101.5") == [
        "opened LONG 1 @ 100 stop 99 102:1",
        "opened LONG 2 @ 102 stop 100.98 104.04:1",
    ]
    assert story.tick(102) == ["exit take_profit 1 @ 102 left 0", "closed take_profit 2"]
    assert story.tick("100.9") == ["exit stop_loss 2 @ 100.9 left 0", "closed stop_loss -2.2"]
    assert story.engine.positions == {}


@pytest.mark.parametrize("newest", [1, 499_999_999, 500_000_000, 2_900_000_001])
def test_an_id_is_looked_at_before_it_runs_too_far_ahead(newest: int) -> None:
    market = Market(symbol=SYMBOL, source="last", jump_limit=D("0.2"))
    market.aggregated, market.last_id = True, newest
    market.arm()
    step = ID_STEP_MAX["last"]
    assert newest + step // 2 < market.id_end <= newest + step


def test_markets_hold_the_same_numbers_where_they_are_equal() -> None:
    """A quiet tick of one of many symbols finds them in the cache where the symbol before it left them."""
    tables = "[atr]\ninterval = '5m'\n[stop]\natr = 1\n"
    plans = {(symbol, side): plan(tables) for symbol in "AB" for side in ("LONG", "SHORT")}
    engine = engine_of(plans)
    for number, symbol in enumerate("AB", 1):
        for again in range(3):
            t_ns = START_NS + number * 1_000_000_000
            engine.on_last(
                symbol, f"{100 * number}", 7_000_000 * number + again, t_ns // 1_000_000, t_ns
            )
    one, other = engine.market("last", "A"), engine.market("last", "B")
    assert one is not None
    assert other is not None
    assert one.until_ms is other.until_ms
    assert one.since_ms is other.since_ms
    assert one.id_end is other.id_end
