"""Wanted and confirmed streams: the messages that make them equal, within the exchange's limits."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from reactor.shell.feeds.subscriptions import (
    ACKNOWLEDGED_WITHIN_NS,
    MESSAGES_PER_SECOND_MAX,
    NAMES_PER_MESSAGE_MAX,
    Subscriptions,
    is_answer,
)

S = 1_000_000_000


def read(frames: list[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(frame) for frame in frames]


def test_a_subscription_is_asked_for_once_and_counts_when_acknowledged() -> None:
    streams = Subscriptions(["a", "b"])
    (frame,) = read(streams.due(0))
    assert frame == {"method": "SUBSCRIBE", "params": ["a", "b"], "id": 1}
    assert streams.due(1) == []
    assert [streams.is_settled] == [False]
    assert streams.answer({"result": None, "id": 1}) == ""
    assert streams.is_settled
    assert streams.confirmed == {"a", "b"}
    assert streams.answer({"result": None, "id": 1}) == ""  # told twice is no harm
    assert streams.wait_ns(5) is None


def test_what_is_no_longer_wanted_is_ended_after_what_is_new_has_begun() -> None:
    streams = Subscriptions(["a"])
    streams.due(0)
    streams.want(["b"])  # before the first was even acknowledged
    assert read(streams.due(1)) == [{"method": "SUBSCRIBE", "params": ["b"], "id": 2}]
    streams.answer({"result": None, "id": 1})
    assert read(streams.due(2)) == [{"method": "UNSUBSCRIBE", "params": ["a"], "id": 3}]
    streams.want(["a", "b"])  # wanted again while it is being ended
    assert streams.due(3) == []
    streams.answer({"result": None, "id": 2})
    streams.answer({"result": None, "id": 3})
    assert read(streams.due(4)) == [{"method": "SUBSCRIBE", "params": ["a"], "id": 4}]


def test_an_unacknowledged_request_is_overdue_after_its_time_and_not_before() -> None:
    streams = Subscriptions(["a"])
    assert not streams.is_overdue(10 * S)
    streams.due(10 * S)
    assert streams.wait_ns(11 * S) == ACKNOWLEDGED_WITHIN_NS - S
    assert not streams.is_overdue(10 * S + ACKNOWLEDGED_WITHIN_NS - 1)
    assert streams.is_overdue(10 * S + ACKNOWLEDGED_WITHIN_NS)
    streams.answer({"result": None, "id": 1})
    assert not streams.is_overdue(100 * S)


def test_a_refusal_is_kept_and_not_repeated_until_the_name_was_given_up() -> None:
    streams = Subscriptions(["a"])
    streams.due(0)
    assert streams.answer({"error": {"code": 2, "msg": "no"}, "id": 1}) == "no"
    assert streams.refused == {"a": "no"}
    assert streams.is_settled
    streams.want(["a", "b"])
    assert read(streams.due(1))[0]["params"] == ["b"]
    streams.want(["b"])
    streams.want(["a", "b"])
    assert read(streams.due(2))[0]["params"] == ["a"]
    assert streams.answer({"code": 2, "msg": "still no", "id": 3}) == "still no"


def test_a_refused_ending_is_not_tried_for_ever() -> None:
    streams = Subscriptions(["a"])
    streams.due(0)
    streams.answer({"result": None, "id": 1})
    streams.want([])
    streams.due(1)
    streams.answer({"error": {"code": 2, "msg": "no"}, "id": 2})
    assert streams.is_settled


def test_a_probe_finds_what_the_exchange_does_not_carry() -> None:
    streams = Subscriptions(["a", "b"])
    streams.due(0)
    streams.answer({"result": None, "id": 1})
    assert orjson.loads(streams.probe(1)) == {"method": "LIST_SUBSCRIPTIONS", "id": 2}
    assert orjson.loads(streams.probe(2))["id"] == 3
    assert streams.answer({"result": ["a", "b"], "id": 2}) == ""  # too late to say anything
    assert streams.answer({"result": ["b"], "id": 3}) == "probe"
    assert read(streams.due(4)) == [{"method": "SUBSCRIBE", "params": ["a"], "id": 4}]


def test_answers_are_told_from_data() -> None:
    assert is_answer({"result": None, "id": 1})
    assert is_answer({"error": {"code": 3, "msg": "Invalid JSON"}})
    assert is_answer({"code": 2, "msg": "no", "id": 1})
    others: list[Any] = [{"stream": "a", "data": {}}, {"e": "aggTrade", "result": 1}, [], None, 7]
    for other in [*others, {}]:
        assert not is_answer(other)


NAMES = st.lists(st.sampled_from([f"s{n}@aggTrade" for n in range(1024)]), unique=True)


@given(
    st.lists(st.tuples(NAMES, st.integers(0, 400), st.booleans()), max_size=30),
    st.integers(0, 2000),
)
def test_whatever_is_wanted_when_the_limits_hold_and_in_the_end_it_is_so(
    wishes: list[tuple[list[str], int, bool]], step_ms: int
) -> None:
    streams = Subscriptions()
    carried: set[str] = set()
    sent_ns: list[int] = []
    unanswered: list[dict[str, Any]] = []
    now_ns = 0

    def turn(*, is_answered: bool) -> None:
        for frame in read(streams.due(now_ns)):
            assert len(frame["params"]) <= NAMES_PER_MESSAGE_MAX
            assert frame["id"] > len(sent_ns)
            sent_ns.append(now_ns)
            unanswered.append(frame)
        while is_answered and unanswered:
            frame = unanswered.pop(0)
            if frame["method"] == "SUBSCRIBE":
                carried.update(frame["params"])
            else:
                carried.difference_update(frame["params"])
            streams.answer({"result": None, "id": frame["id"]})

    for names, wait_ms, is_answered in wishes:
        streams.want(names)
        now_ns += wait_ms * 1_000_000
        turn(is_answered=is_answered)
    for _ in range(60):
        now_ns += (step_ms + 50) * 1_000_000
        turn(is_answered=True)
    if step_ms >= 500:
        assert streams.is_settled
        assert carried == set(streams.wanted) == streams.confirmed
    for index, start_ns in enumerate(sent_ns):
        in_second = [at for at in sent_ns[index:] if at < start_ns + S]
        assert len(in_second) <= MESSAGES_PER_SECOND_MAX
