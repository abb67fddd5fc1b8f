"""Words from outside, as an operator says them: one line of the tape each, and what a session warms up for them."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from reactor.config import config_from_tables
from reactor.control.steering import SayPolicy
from reactor.core.policy import ExternalPolicy
from reactor.core.steering import SIDES
from reactor.plans import load_plan
from reactor.shell.guard_steering import GuardSteering
from reactor.shell.plan_choice import PlanChoice
from reactor.shell.recorded import PolicyLine
from reactor.shell.steering_needs import needs_beside
from reactor.shell.symbol_facts import SymbolFacts


class Listener:
    """What a guard would take."""

    def __init__(self) -> None:
        self.told: list[PolicyLine] = []

    def policy(self, line: PolicyLine) -> str:
        self.told.append(line)
        return "there is no exit mode 'moon'" if line.mode == "moon" else ""

    def ms_from_now(self, seconds: float | None) -> int | None:
        return None if seconds is None else 1_000_000 + round(seconds * 1000)


@pytest.mark.parametrize(
    ("wish", "external", "said"),
    [
        (
            SayPolicy(symbol="btcusdt", side="LONG", mode="fast_tp", note="news", for_s=60),
            ExternalPolicy(
                symbol="BTCUSDT",
                side="LONG",
                mode="fast_tp",
                note="news",
                expires_ns=1_060_000 * 1_000_000,
            ),
            "policy of BTCUSDT, LONG: fast_tp for 60 s",
        ),
        (
            SayPolicy(symbol="*", regime="CHOP"),
            ExternalPolicy(symbol="*", regime="CHOP"),
            "policy of every symbol, BOTH: CHOP until it is taken back",
        ),
        (
            SayPolicy(symbol="ETHUSDT", mode="moon"),
            ExternalPolicy(symbol="ETHUSDT", mode="moon"),
            "policy of ETHUSDT, BOTH: moon until it is taken back; but there is no exit mode 'moon'",
        ),
        (
            SayPolicy(symbol="BTCUSDT"),
            ExternalPolicy(symbol="BTCUSDT"),
            "policy of BTCUSDT, BOTH: taken back",
        ),
    ],
)
def test_a_wish_becomes_one_line(wish: SayPolicy, external: ExternalPolicy, said: str) -> None:
    listener: Any = Listener()
    answer = asyncio.run(GuardSteering(lambda: listener).policy(wish))
    assert answer == said
    (line,) = listener.told
    assert line.policy() == external


def needs(
    tables: dict[str, Any], plan: str = "trend_follow"
) -> set[tuple[str, str, int, str, int]]:
    steering = PlanChoice(config_from_tables(tables, source="reactor.toml")).steering()
    found = needs_beside(steering, "BTCUSDT", {side: load_plan(plan) for side in SIDES})
    return {(one.source, one.interval, one.period, one.method, one.rows) for one in found}


def test_a_plan_that_asks_for_nothing_more_needs_nothing_more() -> None:
    assert needs({}) == set()


def test_a_policy_needs_its_plans_candles_and_those_of_the_regime() -> None:
    found = needs({"policy": {}})
    assert ("mark", "4h", 14, "wilder", 571) in found
    assert ("mark", "5m", 14, "wilder", 0) in found
    # challenge_100 may be asked for from outside.
    assert ("mark", "15m", 14, "sma", 0) in found


def test_ladder_rules_need_theirs_without_a_policy() -> None:
    assert needs({}, "challenge_100") == {
        ("mark", "15m", 14, "sma", 0),
        ("mark", "4h", 14, "wilder", 571),
    }


def test_what_says_nothing_of_a_symbol_teaches_nothing() -> None:
    known: dict[str, dict[str, Decimal | str]] = {}
    facts = SymbolFacts(known)
    facts.learn(())
    facts.learn(object())
    assert known == {}
