"""Proof of protection: what counts as proven, what is missing, and for how long."""

from decimal import Decimal
from typing import Any

import pytest

from reactor.core.hard_stop_values import SECOND_NS, HardStopView
from reactor.core.protection import Guarded, ProofOfProtection, ProtectionState

T0 = 1_795_000_000 * SECOND_NS
STANDING = HardStopView(state="standing", trigger=Decimal("99.5"), quantity=Decimal("0.5"))


def guarded(**changes: Any) -> Guarded:
    fields: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": "LONG",
        "epoch": 1,
        "quantity": Decimal("0.5"),
        "mark_age_ms": 400,
        "evaluator": "live",
        "hard_stop": STANDING,
        "trigger": Decimal("99.5"),
    }
    return Guarded(**(fields | changes))


def stop(**changes: Any) -> HardStopView:
    fields: dict[str, Any] = {
        "state": "standing",
        "trigger": Decimal("99.5"),
        "quantity": Decimal("0.5"),
    }
    return HardStopView(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "protected", ""),
        ({"mark_age_ms": 3000}, "protected", ""),
        ({"mark_age_ms": 3001}, "blind", "older than 3000 ms"),
        ({"mark_age_ms": None}, "blind", "no mark price"),
        ({"evaluator": "missing"}, "blind", "no machine"),
        ({"evaluator": "faulted"}, "blind", "broken invariant"),
        ({"hard_stop": None}, "naked", "switched off"),
        ({"hard_stop": HardStopView(state="placing")}, "naked", "placing"),
        ({"hard_stop": HardStopView(state="failed", reason="-4045")}, "naked", "-4045"),
        ({"hard_stop": stop(state="triggering")}, "naked", "triggered"),
        ({"hard_stop": stop(state="replacing")}, "protected", ""),
        ({"hard_stop": stop(quantity=Decimal("0.4"))}, "naked", "closes 0.4 of 0.5"),
        ({"hard_stop": stop(quantity=Decimal("0.6"))}, "protected", ""),
        ({"hard_stop": stop(trigger=Decimal("99.6"))}, "protected", ""),
        ({"hard_stop": stop(surplus_since_ns=T0 - 10 * SECOND_NS)}, "protected", ""),
        ({"hard_stop": stop(surplus_since_ns=T0 - 11 * SECOND_NS)}, "surplus", "too many"),
        ({"hard_stop": None, "mark_age_ms": None}, "unprotected", "no mark price"),
        ({"hard_stop": None, "sends": False}, "watched", ""),
        ({"hard_stop": None, "sends": False, "mark_age_ms": None}, "blind", "no mark price"),
    ],
)
def test_what_is_missing_has_a_name(changes: dict[str, Any], state: str, words: str) -> None:
    (found,) = ProofOfProtection().look([guarded(**changes)], T0)
    assert found.state == state
    assert words in " ".join(found.reasons)
    assert bool(found.reasons) is (state not in {"protected", "watched"})


@pytest.mark.parametrize(
    ("side", "far", "near"), [("LONG", "99.4", "99.6"), ("SHORT", "99.6", "99.4")]
)
def test_a_hard_stop_may_be_behind_a_stop_that_moves_for_as_long_as_it_takes_to_follow(
    side: str, far: str, near: str
) -> None:
    proof = ProofOfProtection()
    behind = guarded(side=side, hard_stop=stop(trigger=Decimal(far)))
    follows = guarded(side=side, hard_stop=stop(trigger=Decimal(near)))
    story = [behind, behind, follows, behind, behind, behind, behind, follows]
    found = [proof.look([one], T0 + n * SECOND_NS)[0] for n, one in enumerate(story)]
    states = [one.state.value for one in found]
    assert states == [*["protected"] * 5, "naked", "naked", "protected"]
    assert "beyond 99.5" in found[5].reasons[0]
    assert found[-1].naked_seconds_total == 2


def test_seconds_are_counted_by_stretch_and_in_all() -> None:
    proof = ProofOfProtection()
    naked, blind = guarded(hard_stop=None), guarded(mark_age_ms=None)
    for second, position in enumerate([naked, naked, naked, guarded(), naked, naked, blind]):
        (found,) = proof.look([position], T0 + second * SECOND_NS)
    assert (found.naked_seconds, found.naked_seconds_total) == (0, 5)
    assert (found.blind_seconds, found.blind_seconds_total) == (0, 0)
    (found,) = proof.look([blind], T0 + 8 * SECOND_NS)
    assert (found.blind_seconds, found.blind_seconds_total) == (2, 2)


def test_a_new_epoch_counts_anew() -> None:
    proof = ProofOfProtection()
    for second in range(10):
        proof.look([guarded(hard_stop=None)], T0 + second * SECOND_NS)
    (found,) = proof.look([guarded(epoch=2, hard_stop=None)], T0 + 10 * SECOND_NS)
    assert found.naked_seconds_total == 0


def test_the_alarm_comes_at_the_crossing_and_is_repeated() -> None:
    proof = ProofOfProtection(grace_s=2, repeat_s=60)
    alarms = []
    for second in range(130):
        (found,) = proof.look([guarded(hard_stop=None)], T0 + second * SECOND_NS)
        if found.is_alarm:
            alarms.append(second)
    assert alarms == [2, 62, 122]
    proof.look([guarded()], T0 + 130 * SECOND_NS)
    proof.look([guarded(hard_stop=None)], T0 + 131 * SECOND_NS)
    (found,) = proof.look([guarded(hard_stop=None)], T0 + 133 * SECOND_NS)
    assert found.is_alarm


def test_only_changes_are_told_as_changes() -> None:
    proof = ProofOfProtection()
    positions = [guarded(), guarded(), guarded(hard_stop=None), guarded(hard_stop=None)]
    told = [proof.look([p], T0 + n * SECOND_NS)[0].is_changed for n, p in enumerate(positions)]
    assert told == [True, False, True, False]


def test_health_needs_proof() -> None:
    proof = ProofOfProtection(stale_s=15)
    assert not proof.is_healthy(T0)  # nothing was looked at
    proof.look(None, T0)
    assert not proof.is_healthy(T0)  # it is not known which positions there are
    proof.look([], T0)
    assert proof.is_healthy(T0)  # known, and none
    assert not proof.is_healthy(T0 + 16 * SECOND_NS)  # nobody looks any more
    proof.look([guarded(hard_stop=None)], T0)
    assert proof.is_healthy(T0)  # within the grace of a new epoch
    proof.look([guarded(hard_stop=None)], T0 + 2 * SECOND_NS)
    assert not proof.is_healthy(T0 + 2 * SECOND_NS)
    proof.look([guarded()], T0 + 3 * SECOND_NS)
    assert proof.is_healthy(T0 + 3 * SECOND_NS)
    proof.look([guarded(mark_age_ms=None)], T0 + 4 * SECOND_NS)
    proof.look([guarded(mark_age_ms=None)], T0 + 7 * SECOND_NS)
    assert not proof.is_healthy(T0 + 7 * SECOND_NS)


def test_surplus_alarms_and_is_healthy() -> None:
    proof = ProofOfProtection()
    surplus = guarded(hard_stop=stop(surplus_since_ns=T0 - 60 * SECOND_NS))
    (found,) = proof.look([surplus], T0)
    assert found.state is ProtectionState.SURPLUS
    assert found.is_alarm
    assert proof.is_healthy(T0)
