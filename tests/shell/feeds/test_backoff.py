"""Waiting before the next attempt, and judging silence."""

import random

from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import ConnectFailed, RestFailed
from reactor.shell.feeds.backoff import Backoff
from reactor.shell.feeds.mute import MuteWatch
from reactor.shell.feeds.supervisor import http_status
from reactor.shell.transport.address import status_text


@given(st.integers(), st.integers(1, 2000))
def test_the_first_is_at_once_and_none_exceeds_its_bound(seed: int, attempts: int) -> None:
    backoff = Backoff(random.Random(seed), first_s=0.1, ceiling_s=5.0)
    assert backoff.next_s() == 0
    for attempt in range(attempts):
        assert 0 <= backoff.next_s() <= min(5.0, 0.1 * 2.0 ** min(attempt, 100))


def test_the_jitter_is_full() -> None:
    backoff = Backoff(random.Random(1), ceiling_s=5.0)
    waits_s = [backoff.next_s() for _ in range(2000)][20:]
    assert min(waits_s) < 0.05
    assert max(waits_s) > 4.95
    assert 2.3 < sum(waits_s) / len(waits_s) < 2.7


def test_only_a_healthy_life_starts_afresh() -> None:
    backoff = Backoff(random.Random(1), healthy_after_s=10)
    for _ in range(9):
        backoff.next_s()
    backoff.ended(9.99)
    assert backoff.failures == 9
    backoff.ended(10)
    assert backoff.next_s() == 0


def test_another_bound_for_one_failure_changes_no_other() -> None:
    backoff = Backoff(random.Random(1), ceiling_s=5.0)
    waits_s = [backoff.next_s(ceiling_s=0.8) for _ in range(500)]
    assert max(waits_s) <= 0.8
    assert max(backoff.next_s() for _ in range(500)) > 4


def test_a_refused_handshake_is_told_from_a_network_that_is_away() -> None:
    assert http_status(ConnectFailed(f"cannot connect to h:1: {status_text(418)}")) == 418
    assert http_status(ConnectFailed(f"cannot connect to h:1: {status_text(799)}")) == 799
    assert http_status(ConnectFailed("cannot connect to h:404: Connection refused")) == 0
    assert http_status(RestFailed("h:1: HTTP 418 x")) == 0


def watch() -> MuteWatch:
    return MuteWatch(quiet_ns=50, answer_ns=20, now_ns=0)


def test_data_keeps_everything_quiet() -> None:
    mute = watch()
    assert [mute.look(now, delivered=now) for now in range(10, 500, 10)] == ["heard"] * 49


def test_silence_is_asked_about_and_no_answer_is_death() -> None:
    mute = watch()
    assert mute.look(49, delivered=0) == "quiet"
    assert mute.look(50, delivered=0) == "probe"
    assert mute.look(69, delivered=0) == "quiet"
    assert mute.look(70, delivered=0) == "dead"


def test_an_answer_without_data_is_mute_after_a_second_period() -> None:
    mute = watch()
    mute.answered(10)  # to nothing that was asked
    mute.look(50, delivered=0)
    mute.answered(55)
    assert mute.look(104, delivered=0) == "quiet"
    assert mute.look(105, delivered=0) == "mute"
    assert mute.look(106, delivered=0) == "quiet"  # said once a round
    assert mute.look(155, delivered=0) == "probe"


def test_data_ends_suspicion_at_every_stage() -> None:
    mute = watch()
    mute.look(50, delivered=0)
    assert mute.look(60, delivered=1) == "heard"
    assert mute.look(109, delivered=1) == "quiet"
    assert mute.look(110, delivered=1) == "probe"
    mute.answered(115)
    assert mute.look(120, delivered=2) == "heard"
    mute.rest(200)
    assert mute.look(249, delivered=2) == "quiet"
