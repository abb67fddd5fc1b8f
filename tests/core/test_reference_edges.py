"""Edges that random walks hit too seldom, worked out by hand and said by the engine and the reference alike."""

from decimal import Decimal
from typing import Any

import pytest
from reference.brief import brief
from reference.compare import differences
from reference.played import Played
from reference.program import START_MS, Event, Open, Position, Tick, new_naive, play
from reference.scenarios import scenario_of
from reference.sides import Side

from reactor.core.plan import plan_from_toml

GOVERNED = """
[atr]
interval = "1m"
[stop]
atr = 20
[high_volatility]
threshold = 0.01
stop_atr = 15
target_scale = 0.5
[[targets]]
pct = 0.1
close = 0.5
"""


def at_ns(second: int) -> int:
    return (START_MS + 1000 * second) * 1_000_000


def tick(second: int, price: str) -> Tick:
    return Tick(at_ns(second), START_MS + 1000 * second, second, price)


def opening(side: Side) -> Open:
    return Open(side, Decimal(1), Decimal(100), None, None)


EDGES: dict[str, tuple[str, dict[str, Any], list[Event], list[str]]] = {
    "the governor is entered at exactly its threshold and shrinks the rungs": (
        GOVERNED,
        {"fixed_atr": Decimal("0.9")},
        [opening("LONG"), tick(0, "100"), tick(59, "90"), tick(60, "90"), tick(61, "105")],
        ["opened stop 82", "exit take_profit 0.5"],
    ),
    "a hair below the threshold nothing shrinks": (
        GOVERNED,
        {"fixed_atr": Decimal("0.9")},
        [opening("LONG"), tick(0, "100"), tick(59, "90.1"), tick(60, "90"), tick(61, "105")],
        ["opened stop 82"],
    ),
    "the governor is not left at exactly nine tenths": (
        GOVERNED,
        {"fixed_atr": Decimal("0.9")},
        [
            opening("LONG"),
            tick(0, "100"),
            tick(59, "90"),
            tick(60, "90"),
            tick(119, "100"),
            tick(120, "100"),
            Position("LONG", Decimal(2), Decimal(100), at_ns(121)),
        ],
        ["opened stop 82", "stop_loss 86.5"],
    ),
    "the governor is left below nine tenths, and its stop multiple with it": (
        GOVERNED,
        {"fixed_atr": Decimal("0.9")},
        [
            opening("LONG"),
            tick(0, "100"),
            tick(59, "90"),
            tick(60, "90"),
            tick(119, "100.1"),
            tick(120, "100"),
            Position("LONG", Decimal(2), Decimal(100), at_ns(121)),
        ],
        ["opened stop 82"],
    ),
    "it shrinks once, and leaving restores nothing": (
        GOVERNED,
        {"fixed_atr": Decimal("0.9")},
        [
            opening("LONG"),
            tick(0, "100"),
            tick(59, "90"),
            tick(60, "90"),
            tick(119, "101"),
            tick(120, "90"),
            tick(180, "90"),
            tick(181, "102.49"),
            tick(182, "104.99"),
            tick(183, "105"),
        ],
        ["opened stop 82", "exit take_profit 0.5"],
    ),
    "the loss guard closes at exactly its share of the margin": (
        "[stop]\npct = 0.1\n[guards]\nmax_loss_margin_pct = 0.5",
        {},
        [
            Open("SHORT", Decimal(2), Decimal(100), None, Decimal(20)),
            tick(0, "100"),
            tick(1, "104.99"),
            tick(2, "105"),
        ],
        ["opened stop 110", "exit loss_guard 2", "closed loss_guard -10"],
    ),
    "the best stop held back is the one that comes": (
        "[stop]\npct = 0.1",
        {},
        [
            opening("LONG"),
            tick(0, "91"),
            Position("LONG", Decimal(2), Decimal(102), at_ns(1)),
            Position("LONG", Decimal(3), Decimal("101.5"), at_ns(2)),
            tick(3, "91.5"),
            tick(4, "91.8"),
            tick(5, "91.9"),
            tick(6, "91.8"),
        ],
        ["opened stop 90", "stop_loss 91.8", "exit stop_loss 3", "closed stop_loss -29.1"],
    ),
    "a stop is pursued until flat though somebody adds and the price comes back": (
        "[stop]\npct = 0.01",
        {"fills": "next"},
        [
            opening("LONG"),
            tick(0, "100"),
            tick(1, "99"),
            Position("LONG", Decimal(3), Decimal(100), at_ns(2)),
            tick(3, "101"),
            tick(4, "102"),
        ],
        ["opened stop 99", "exit stop_loss 1", "exit stop_loss 2", "closed stop_loss 5"],
    ),
    "a nearer rung that is taken later is still the nearer one to the ratchet": (
        (
            '[stop]\npct = 0.1\n[ratchet]\n[atr]\nperiod = 1\ninterval = "1m"\n'
            "[[targets]]\natr = 1\nclose = 0.2\n[[targets]]\npct = 0.02\nclose = 0.2"
        ),
        {},
        [
            opening("LONG"),
            tick(0, "100.5"),
            tick(60, "100.5"),
            tick(61, "102"),
            # A range of 1.5: the waiting rung is at 101.5, through the price, held back, let in at 101.
            tick(120, "101"),
            tick(121, "101.8"),
        ],
        [
            "opened stop 90",
            "exit take_profit 0.2",
            "break_even 100.1",
            "exit take_profit 0.2",
            "trailing_stop 101.5",
        ],
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_worked_out_by_hand(name: str) -> None:
    toml, options, events, said = EDGES[name]
    plan = plan_from_toml(f'name = "edge"\ntrigger = "last"\n{toml}', source=name)
    scenario = scenario_of(b"", b"", b"\0")._replace(plan=plan, **options)
    naive, played = new_naive(scenario), Played(scenario)
    lines = []
    for event in events:
        expected = play(naive, event)
        assert differences(expected, played.lines(event)) is None
        lines += expected
    assert brief(lines) == said
