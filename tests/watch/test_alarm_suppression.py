"""When people are told: once, seldom again, and in the end the truth."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reactor.audit import AlarmRaised
from reactor.watch.suppression import Suppression

S = 10**9
RAISED = AlarmRaised(kind="naked", text="no stop")
OVER = AlarmRaised(kind="naked", text="has one", resolved=True)


def test_a_repeat_is_told_after_the_interval_with_how_many_there_were() -> None:
    suppression = Suppression(repeat_s=300)
    told = [suppression.take("k", RAISED, now_ns=t * S) for t in (1000, 1001, 1002, 1300, 1600)]
    assert [message and message.repeated for message in told] == [0, None, None, 2, 0]
    assert suppression.suppressed == 2


def test_the_end_is_told_at_once_and_once() -> None:
    suppression = Suppression(repeat_s=300)
    assert suppression.take("k", OVER, now_ns=1 * S) is None
    suppression.take("k", RAISED, now_ns=2 * S)
    ended = suppression.take("k", OVER, now_ns=3 * S)
    assert ended is not None
    assert ended.alarm.resolved
    assert suppression.take("k", OVER, now_ns=4 * S) is None


def test_what_comes_back_soon_is_told_when_it_may_be() -> None:
    suppression = Suppression(repeat_s=300)
    suppression.take("k", RAISED, now_ns=1000 * S)
    suppression.take("k", OVER, now_ns=1001 * S)
    assert suppression.take("k", RAISED, now_ns=1002 * S) is None
    assert suppression.due(now_ns=1299 * S) == []
    (message,) = suppression.due(now_ns=1300 * S)
    assert not message.alarm.resolved
    assert suppression.due(now_ns=1301 * S) == []


def test_what_came_back_and_went_unheard_needs_no_end() -> None:
    suppression = Suppression(repeat_s=300)
    suppression.take("k", RAISED, now_ns=1000 * S)
    suppression.take("k", OVER, now_ns=1001 * S)
    suppression.take("k", RAISED, now_ns=1002 * S)
    assert suppression.take("k", OVER, now_ns=1003 * S) is None
    assert suppression.due(now_ns=1300 * S) == []


def test_alarms_are_remembered_to_a_bound_and_those_over_go_first() -> None:
    suppression = Suppression(repeat_s=300, keys_max=2)
    suppression.take("a", RAISED, now_ns=1 * S)
    suppression.take("b", RAISED, now_ns=1 * S)
    suppression.take("b", OVER, now_ns=2 * S)
    suppression.take("c", RAISED, now_ns=3 * S)
    assert suppression.take("a", RAISED, now_ns=4 * S) is None
    assert suppression.take("b", RAISED, now_ns=5 * S) is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=40))
def test_what_was_last_heard_is_in_the_end_the_truth(story: list[tuple[bool, int]]) -> None:
    suppression = Suppression(repeat_s=300)
    heard = raised = False
    raises_heard = []
    t = 1000
    for raised, wait_s in story:
        t += wait_s
        message = suppression.take("k", RAISED if raised else OVER, now_ns=t * S)
        for told in (message, *suppression.due(now_ns=t * S)):
            if told is not None:
                heard = not told.alarm.resolved
                raises_heard += [t] if heard else []
    for told in suppression.due(now_ns=(t + 300) * S):
        heard = not told.alarm.resolved
    assert heard == raised
    assert all(later - earlier >= 300 for earlier, later in pairwise(raises_heard))
