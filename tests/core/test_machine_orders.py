"""Exit orders under way, as the price rules meet them: fills are reported, not simulated."""

from core.story import Story
from reactor.core.decisions import OrdersCancelled, Reason
from reactor.core.lifecycle import Event
from reactor.core.orders import RETRY_FULL_NS, UNKNOWN_FULL_NS, UNKNOWN_PARTIAL_NS, Fills

STOP_1 = "[stop]\npct = 0.01\n"
TWO_RUNGS = "[[targets]]\npct = 0.01\nclose = 0.5\n[[targets]]\npct = 0.02\nclose = 0.5\n"


def reported(tables: str = STOP_1 + TWO_RUNGS) -> Story:
    story = Story(tables, fills=Fills.REPORTED)
    story.position(4, 100)
    story.tick(100)
    return story


def test_a_second_rung_waits_until_the_first_ones_order_is_known() -> None:
    story = reported()
    assert story.tick(101) == ["exit take_profit 2 @ 101 left 2"]
    first = story.last_exit()
    assert story.tick(102, 103) == []
    story.news(Event.ACCEPTED, of=first)
    story.position(2, 100)
    story.news(Event.FILLED, of=first, filled=2)
    assert story.tick(102) == ["exit take_profit 2 @ 102 left 0"]


def test_the_stop_overtakes_a_rung_that_is_under_way() -> None:
    story = reported()
    story.tick(101)
    assert story.tick(99) == ["exit stop_loss 4 @ 99 left 0"]
    assert story.tick(100, 102, 98) == []


def test_what_a_partial_fill_left_is_retried_beyond_the_level() -> None:
    story = reported()
    story.tick(101)
    first = story.last_exit()
    story.position(3, 100)
    assert story.news(Event.LAPSED, of=first, filled=1) == []
    # A new decision with a number of its own, of what is left: no rung fires twice.
    assert story.tick("101.2") == ["exit take_profit 1 @ 101.2 left 2"]
    assert story.last_exit().number == first.number + 1


def test_what_a_partial_fill_left_is_dropped_behind_the_level() -> None:
    story = reported()
    story.tick(101)
    story.position(3, 100)
    story.news(Event.LAPSED, of=story.last_exit(), filled=1)
    assert story.tick("100.9", "101.5") == []
    assert story.tick(102) == ["exit take_profit 3 @ 102 left 0"]


def test_a_refused_rung_stays_taken() -> None:
    story = reported()
    story.tick(101)
    assert story.news(Event.REJECTED, of=story.last_exit())[0].startswith("alarm order")
    assert story.tick("101.5") == []


def test_an_unknown_rung_blocks_rungs_and_not_the_stop() -> None:
    story = reported()
    story.tick(101)
    assert story.news(Event.UNKNOWN, of=story.last_exit()) == ["asked"]
    assert story.tick(103) == []
    assert story.tick(99) == ["exit stop_loss 4 @ 99 left 0"]


def test_an_unknown_rung_is_given_up_by_the_clock() -> None:
    story = reported()
    story.tick(101)
    story.news(Event.UNKNOWN, of=story.last_exit())
    story.now_ns += UNKNOWN_PARTIAL_NS
    # The clock comes first, then the tick: half of what is open by the exchange's report.
    said = story.tick(102)
    assert said[0].endswith("outcome still unknown; taking the position as it is")
    assert said[1:] == ["exit take_profit 4 @ 102 left 0"]


def test_an_unknown_close_is_sent_again_by_the_clock() -> None:
    story = reported()
    story.tick(99)
    assert story.news(Event.UNKNOWN, of=story.last_exit()) == ["asked"]
    story.now_ns += UNKNOWN_FULL_NS
    assert story.clock() == ["exit stop_loss 4 @ 99 left 0"]
    assert story.last_exit().attempt == 1


def test_a_refused_close_is_pursued_though_the_price_came_back() -> None:
    story = reported()
    story.tick(99)
    assert story.news(Event.REJECTED, of=story.last_exit()) == []
    assert story.tick(105) == []
    story.now_ns += RETRY_FULL_NS
    assert story.clock() == ["exit stop_loss 4 @ 99 left 0"]


def test_a_snapshot_that_shows_it_open_after_a_whole_fill_closes_the_rest() -> None:
    story = reported()
    story.tick(99)
    story.news(Event.FILLED, of=story.last_exit(), filled=4)
    assert story.position(1, 100, snapshot=True) == ["exit stop_loss 1 @ 99 left 0"]
    assert story.position(0, 0) == ["closed external ?"]


def test_an_epoch_may_end_before_its_name_is_known() -> None:
    story = reported()
    machine, out = story.engine.release("BTCUSDT", "LONG", t_ns=story.now_ns)
    assert machine is not None
    assert [type(decision) for decision in out] == [OrdersCancelled]
    assert story.tick(90) == []
    assert story.position(1, 90) == ["opened LONG 1 @ 90 stop 89.1 90.9:0.5 91.8:0.5"]
    closed = machine.orders.closed(Reason.HARD_STOP, t_ns=story.now_ns, tick=machine.tick)
    assert (closed.epoch, closed.reason) == (1, Reason.HARD_STOP)
    assert story.engine.release("BTCUSDT", "SHORT", t_ns=story.now_ns) == (None, [])


def test_news_for_a_position_that_is_not_open_is_nobodys() -> None:
    story = reported()
    story.tick(99)
    story.position(0, 0)
    assert story.news(Event.FILLED, of=story.last_exit(), filled=4) == []
