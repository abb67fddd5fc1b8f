"""The reference itself against rows worked out by hand, so that agreeing with it means something."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from reference.brief import brief
from reference.naive import Naive
from reference.sides import Side

from reactor.core.plan import Plan, plan_from_toml
from reactor.plans import load_plan

START_MS = 1_790_000_000_000 // 300_000 * 300_000


def naive_for(plan: Plan, **more: Any) -> Naive:
    options: dict[str, Any] = {
        "tick": None,
        "step": None,
        "min_quantity": Decimal(0),
        "fixed_atr": None,
        "fills": "trigger",
        "source": plan.trigger,
    }
    return Naive(plan, **(options | more))


def plan_of(toml: str) -> Plan:
    return plan_from_toml(f'name = "t"\ntrigger = "last"\n{toml}', source="test")


class Walk:
    """Ticks a second apart."""

    def __init__(self, naive: Naive) -> None:
        self.naive = naive
        self.count = 0

    def __call__(self, *prices: Any) -> list[dict[str, Any]]:
        lines = []
        for price in prices:
            self.count += 1
            t_ms = START_MS + 1000 * self.count
            text = price if isinstance(price, str | tuple) else str(price)
            lines += self.naive.tick(
                t_ns=t_ms * 1_000_000, t_event_ms=t_ms, tick_id=self.count, price=text
            )
        return lines


@pytest.mark.parametrize(
    ("plan", "entry", "atr", "stop", "last_target", "trail"),
    [
        ("trend_follow", "100000", "2000", "97000", "109000", "2400"),
        ("fast_tp", "100000", "2000", "97000", "105000", None),
        ("defensive_trail", "100000", "2000", "97600", "106000", "1200"),
        ("trend_follow", "98750", "1250", "96875", "104375", "1500"),
        ("defensive_trail", "3500", "150", "3320", "3950", "90"),
        ("fast_tp", "150", "5", "142.5", "162.5", None),
    ],
)
@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_the_worked_rows(
    plan: str, entry: str, atr: str, stop: str, last_target: str, trail: str | None, side: Side
) -> None:
    def mirrored(price: str) -> Fraction:
        if side == "LONG":
            return Fraction(price)
        return 2 * Fraction(entry) - Fraction(price)

    naive = naive_for(load_plan(plan), fixed_atr=Decimal(atr))
    walk = Walk(naive)
    naive.open(side, Decimal(1), Decimal(entry))
    (opened,) = walk(entry)
    assert opened["stop"] == mirrored(stop)
    assert opened["targets"][-1][0] == mirrored(last_target)
    if trail is None:
        return
    first = opened["targets"][0][0]
    lines = walk(str(Decimal(first.numerator) / first.denominator))
    assert lines[0]["reasons"] == ["take_profit"]
    assert abs(lines[-1]["stop"] - first) == Fraction(trail)


def test_the_contracts_opened_line() -> None:
    naive = naive_for(
        load_plan("trend_follow"),
        tick=Decimal("0.1"),
        step=Decimal("0.001"),
        fixed_atr=Decimal("100.8571"),
    )
    naive.open("LONG", Decimal("0.182"), Decimal("88126.16"))
    (opened,) = Walk(naive)("88126.2")
    assert opened["stop"] == Fraction("87974.8")
    assert opened["targets"][0] == [Fraction("88428.8"), Fraction("0.5")]


def test_a_closed_position_leaves_nothing_to_the_next_one() -> None:
    # The fault that left money naked: entry 100, stop 99, closed; opened again; price 60, no order.
    naive = naive_for(plan_of("max_tick_jump_pct = 1\n[stop]\npct = 0.01"))
    walk = Walk(naive)
    naive.open("LONG", Decimal(1), Decimal(100))
    assert brief(walk(100, 99)) == ["opened stop 99", "exit stop_loss 1", "closed stop_loss -1"]
    naive.open("LONG", Decimal(1), Decimal(100))
    assert brief(walk(100, 60)) == ["opened stop 99", "exit stop_loss 1", "closed stop_loss -40"]


CASES: dict[str, tuple[str, list[Any], list[str]]] = {
    "rungs nearest first and the last takes all": (
        "[stop]\npct = 0.05\n[[targets]]\npct = 0.02\nclose = 0.7\n[[targets]]\npct = 0.01\nclose = 0.3",
        [100, 101, "101.99", 102],
        [
            "opened stop 95",
            "exit take_profit 0.3",
            "exit take_profit 0.7",
            "closed take_profit 1.7",
        ],
    ),
    "a pct trail fires at exactly its distance": (
        '[stop]\npct = 0.05\n[trailing]\nactivate = "in_profit"\npct = 0.003',
        [100, 101, "100.698", "100.697"],
        [
            "opened stop 95",
            "trailing_stop 100.697",
            "exit trailing_stop 1",
            "closed trailing_stop 0.697",
        ],
    ),
    "harvests at every multiple, then break-even": (
        "[stop]\npct = 0.05\n[harvest]\ntrigger_pct = 0.01\nfraction = 0.5",
        [100, "100.99", 102, "100.1"],
        [
            "opened stop 95",
            "exit harvest 0.75",
            "break_even 100.1",
            "exit break_even 0.25",
            "closed break_even 1.525",
        ],
    ),
    "break-even waits for a price strictly beyond it": (
        "[stop]\npct = 0.05\n[break_even]\nat_pct = 0.001\noffset_pct = 0.002",
        [100, "100.1", "100.2", "100.3"],
        ["opened stop 95", "break_even 100.2"],
    ),
    "the ratchet leaves the stop one rung behind": (
        (
            "[stop]\npct = 0.05\n[ratchet]\n[[targets]]\npct = 0.01\nclose = 0.2\n"
            "[[targets]]\npct = 0.02\nclose = 0.2"
        ),
        [100, 101, 102, 101],
        [
            "opened stop 95",
            "exit take_profit 0.2",
            "break_even 100.1",
            "exit take_profit 0.2",
            "trailing_stop 101",
            "exit trailing_stop 0.6",
            "closed trailing_stop 1.2",
        ],
    ),
    "one order for all that fires on a tick": (
        (
            "[stop]\npct = 0.05\n[harvest]\ntrigger_pct = 0.01\nfraction = 0.5\n"
            "[[targets]]\npct = 0.01\nclose = 0.5"
        ),
        [100, "101.5"],
        ["opened stop 95", "exit take_profit+harvest 0.75", "break_even 100.1"],
    ),
    "two ticks in a row through the stop": (
        "[stop]\npct = 0.05",
        [100, 95, 96, 94, 93],
        ["opened stop 95", "exit stop_loss 1", "closed stop_loss -7"],
    ),
    "a suspect alone counts nowhere, confirmed it counts": (
        "[stop]\npct = 0.05",
        [100, 60, 100, 70, 69],
        ["opened stop 95", "exit stop_loss 1", "closed stop_loss -30"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_walks_worked_out_by_hand(name: str) -> None:
    toml, prices, said = CASES[name]
    if name.startswith("two ticks"):
        toml = f"confirm_ticks = 2\n{toml}"
    naive = naive_for(plan_of(toml))
    naive.open("LONG", Decimal(1), Decimal(100))
    assert brief(Walk(naive)(*prices)) == said


@pytest.mark.parametrize("name", CASES)
def test_a_short_is_the_mirror(name: str) -> None:
    toml, prices, said = CASES[name]
    if name.startswith("two ticks"):
        toml = f"confirm_ticks = 2\n{toml}"
    naive = naive_for(plan_of(toml))
    naive.open("SHORT", Decimal(1), Decimal(100))
    lines = Walk(naive)(*(200 - Decimal(price) for price in prices))
    mirrored = [
        line | {"stop": 200 - line["stop"]} if line["type"] in {"opened", "stop"} else line
        for line in lines
    ]
    # A trail is a share of its own peak, so its mirror image lies elsewhere.
    if "pct trail" not in name:
        assert brief(mirrored) == said


def test_the_time_stop_fires_by_the_clock_and_a_rung_cancels_it() -> None:
    toml = "[stop]\npct = 0.05\n[time_stop]\nseconds = 10\n[[targets]]\npct = 0.01\nclose = 0.5"
    idle = naive_for(plan_of(toml))
    idle.open("LONG", Decimal(1), Decimal(100))
    Walk(idle)("100")
    t_ns = (START_MS + 11_000) * 1_000_000
    assert idle.clock(t_ns - 1) == []
    lines = idle.clock(t_ns + 5)
    assert brief(lines) == ["exit time_stop 1", "closed time_stop 0"]
    assert lines[0]["t"] == t_ns
    busy = naive_for(plan_of(toml))
    busy.open("LONG", Decimal(1), Decimal(100))
    Walk(busy)("100", "101")
    assert busy.clock(t_ns + 5) == []


def test_levels_round_away_and_quantities_down() -> None:
    naive = naive_for(
        plan_of("[stop]\npct = 0.0123\n[[targets]]\npct = 0.0123\nclose = 0.333"),
        tick=Decimal("0.1"),
        step=Decimal("0.01"),
        min_quantity=Decimal("0.7"),
    )
    naive.open("LONG", Decimal(1), Decimal(100))
    walk = Walk(naive)
    (opened,) = walk(100)
    assert (opened["stop"], opened["targets"][0][0]) == (Fraction("98.7"), Fraction("101.3"))
    # 0.33 would leave 0.67, which is less than may be left.
    assert brief(walk("101.3")) == ["exit take_profit 1", "closed take_profit 1.3"]


def test_an_atr_that_becomes_ready_holds_back_what_it_would_close() -> None:
    plan = plan_of('[stop]\natr = 1\n[atr]\nperiod = 1\ninterval = "5m"\nmethod = "sma"')
    naive = naive_for(plan)
    closed = START_MS - 300_000
    naive.history([(closed - 300_000, 100, 100, 100, 100), (closed, 100, 100, "99.6", "99.8")])
    naive.open("LONG", Decimal(1), Decimal(100))

    def tick(at_ms: int, price: str) -> list[str]:
        return brief(
            naive.tick(t_ns=at_ms * 1_000_000, t_event_ms=at_ms, tick_id=at_ms, price=price)
        )

    assert tick(closed + 1, "99.5") == ["opened stop 99"]
    # The range is 0.5: a stop at 99.5, where the price is. It waits, and comes when the price is beyond.
    assert tick(START_MS + 1, "99.5") == []
    assert tick(START_MS + 2, "99.6") == ["stop_loss 99.5"]
    assert tick(START_MS + 3, "99.5") == ["exit stop_loss 1", "closed stop_loss -0.5"]


def test_fills_at_the_next_tick_come_before_its_evaluation() -> None:
    naive = naive_for(plan_of("[stop]\npct = 0.01"), fills="next")
    naive.open("SHORT", Decimal(2), Decimal(100))
    lines = Walk(naive)(100, 101, 102)
    assert brief(lines) == ["opened stop 101", "exit stop_loss 2", "closed stop_loss -4"]
    assert lines[-1]["r_multiple"] == -2


def test_an_add_restarts_the_harvest_count_without_harvesting() -> None:
    naive = naive_for(plan_of("[stop]\npct = 0.1\n[harvest]\ntrigger_pct = 0.01\nfraction = 0.5"))
    naive.open("LONG", Decimal(1), Decimal(100))
    walk = Walk(naive)
    walk(100)
    assert naive.position("LONG", Decimal(2), Decimal(98), t_ns=(START_MS + 1500) * 10**6) == []
    # 2.04 % of profit: two multiples count as passed; the third is due at 100.94.
    assert brief(walk("100.93")) == []
    assert brief(walk("100.94")) == ["exit harvest 1", "break_even 98.098"]


def test_the_book_shows_each_side_its_own_price() -> None:
    plan = plan_from_toml(
        'name = "t"\ntrigger = "book"\nconfirm_ticks = 1\n[stop]\npct = 0.01', source="t"
    )
    naive = naive_for(plan)
    naive.open("LONG", Decimal(1), Decimal(100))
    naive.open("SHORT", Decimal(1), Decimal(100))
    walk = Walk(naive)
    assert brief(walk(("99.9", "100.1"))) == ["opened stop 99", "opened stop 101"]
    assert brief(walk(("99.1", "101"))) == ["exit stop_loss 1", "closed stop_loss -1"]
    assert list(naive.epochs) == ["LONG"]
    assert brief(walk(("99", "99.2"))) == ["exit stop_loss 1", "closed stop_loss -1"]
