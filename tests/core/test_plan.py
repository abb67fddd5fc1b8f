"""Plan files: what is read, what is refused, and in which words."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.plan_schema import schema_keys
from reactor.core.plan import (
    INTERVAL_MS,
    AtrPlan,
    BreakEvenPlan,
    HardStopPlan,
    HarvestPlan,
    HighVolatilityPlan,
    LadderRule,
    Plan,
    RatchetPlan,
    StopPlan,
    Target,
    TimeStopPlan,
    TrailingPlan,
    plan_from_tables,
    plan_from_toml,
    plan_tables,
)
from reactor.errors import PlanError
from reactor.plans import DEFAULT_PLAN, load_plan, shipped_plan_names

NAME = 'name = "mine"\n'
STOP = "[stop]\natr = 1.5\n"
BASE = NAME + STOP
TWO_RUNGS = "[[targets]]\nr = 1\nclose = 0.5\n[[targets]]\nr = 2\nclose = 0.5\n"

EXAMPLE_OF_THE_CONTRACT = """
name    = "example"
trigger = "last"
confirm_ticks = 1
max_tick_jump_pct = 0.20

[atr]
period = 14
interval = "5m"
method = "wilder"

[stop]
atr = 1.5
fallback_pct = 0.01

[[targets]]
r = 2.0
close = 0.5
[[targets]]
atr = 4.5
close = 0.5

[break_even]
at_r = 1.0
offset_pct = 0.001

[trailing]
activate = "in_profit"
value = 1
pct = 0.003

[harvest]
trigger_pct = 0.004
fraction = 0.2

[ratchet]
after_rungs = true

[time_stop]
seconds = 7200

[high_volatility]
threshold = 0.02
stop_atr = 1.5
target_scale = 0.75

[guards]
liquidation_buffer_pct = 0.01
max_loss_margin_pct = 0.8

[hard_stop]
buffer_pct = 0.005
step_pct = 0.001

[ladder]
clamp_pct = [0.005, 0.10]
[[ladder.rule]]
input = "leverage"
op = ">="
value = 15
scale = 0.7
close = [0.65, 0.35]
[[ladder.rule]]
input = "volatility"
op = "<="
value = 0.015
scale = 0.75
[[ladder.rule]]
input = "regime"
op = "in"
value = ["volatile", "range-bound"]
scale = 0.7
"""


def read(toml: str) -> Plan:
    return plan_from_toml(toml, source="mine.toml")


def refusal(toml: str) -> str:
    with pytest.raises(PlanError) as caught:
        read(toml)
    message = str(caught.value)
    assert message.startswith("mine.toml: ")
    assert "\n" not in message
    return message.removeprefix("mine.toml: ")


# What is read -------------------------------------------------------------------------------------


def test_the_example_of_the_contract_is_read_to_the_last_number() -> None:
    plan = read(EXAMPLE_OF_THE_CONTRACT)
    assert plan.name == "example"
    assert plan.trigger == "last"
    assert plan.stop_confirm_ticks == 1
    assert plan.max_tick_jump_pct == Decimal("0.20")
    assert plan.atr == AtrPlan(period=14, interval="5m", method="wilder")
    assert plan.stop == StopPlan(atr=Decimal("1.5"), fallback_pct=Decimal("0.01"))
    assert plan.targets == (
        Target(r=Decimal("2.0"), close=Decimal("0.5")),
        Target(atr=Decimal("4.5"), close=Decimal("0.5")),
    )
    assert plan.break_even == BreakEvenPlan(at_r=Decimal(1), offset_pct=Decimal("0.001"))
    assert plan.trailing == TrailingPlan(
        activate="in_profit", value=Decimal(1), pct=Decimal("0.003")
    )
    assert plan.harvest == HarvestPlan(trigger_pct=Decimal("0.004"), fraction=Decimal("0.2"))
    assert plan.ratchet == RatchetPlan(after_rungs=True)
    assert plan.ratchets
    assert plan.time_stop == TimeStopPlan(seconds=Decimal(7200))
    assert plan.high_volatility == HighVolatilityPlan()
    assert plan.guards is not None
    assert plan.guards.liquidation_buffer_pct == Decimal("0.01")
    assert plan.guards.max_loss_margin_pct == Decimal("0.8")
    assert plan.hard_stop == HardStopPlan()
    assert plan.ladder is not None
    assert plan.ladder.clamp_pct == (Decimal("0.005"), Decimal("0.10"))
    assert plan.ladder.rule == (
        LadderRule(
            input="leverage",
            op=">=",
            value=15,
            scale=Decimal("0.7"),
            close=(Decimal("0.65"), Decimal("0.35")),
        ),
        LadderRule(input="volatility", op="<=", value=Decimal("0.015"), scale=Decimal("0.75")),
        LadderRule(
            input="regime", op="in", value=["volatile", "range-bound"], scale=Decimal("0.7")
        ),
    )


def test_absent_tables_are_off_and_defaults_are_the_contracts() -> None:
    plan = read(BASE)
    assert plan.trigger == "mark"
    assert plan.max_tick_jump_pct == Decimal("0.20")
    assert plan.atr == AtrPlan(period=14, interval="5m", method="wilder")
    assert plan.stop.fallback_pct == Decimal("0.01")
    assert plan.targets == ()
    off = (
        plan.break_even,
        plan.trailing,
        plan.harvest,
        plan.ratchet,
        plan.time_stop,
        plan.high_volatility,
        plan.guards,
        plan.hard_stop,
        plan.ladder,
    )
    assert set(off) == {None}
    assert not plan.ratchets
    assert not plan.trails_by_atr


def test_numbers_are_the_decimals_that_are_written() -> None:
    plan = read(NAME + "[stop]\npct = 0.003\n")
    assert str(plan.stop.pct) == "0.003"


@pytest.mark.parametrize(
    ("trigger", "confirm_ticks"), [("mark", 1), ("last", 1), ("book", 2)], ids=str
)
def test_book_quotes_ask_for_two_ticks_unless_told_otherwise(
    trigger: str, confirm_ticks: int
) -> None:
    plan = read(f'trigger = "{trigger}"\n' + BASE)
    assert plan.stop_confirm_ticks == confirm_ticks
    plan = read(f'trigger = "{trigger}"\nconfirm_ticks = 3\n' + BASE)
    assert plan.stop_confirm_ticks == 3


@pytest.mark.parametrize(
    ("tables", "needed"),
    [
        ("[stop]\npct = 0.01\n", False),
        ("[stop]\natr = 1\n", True),
        ("[stop]\npct = 0.01\n[[targets]]\natr = 1\nclose = 1\n", True),
        ("[stop]\npct = 0.01\n[[targets]]\nr = 1\nclose = 1\n", False),
        ('[stop]\npct = 0.01\n[trailing]\nactivate = "in_profit"\natr = 1\n', True),
        ('[stop]\npct = 0.01\n[trailing]\nactivate = "in_profit"\npct = 0.1\n', False),
        ("[stop]\npct = 0.01\n[high_volatility]\nthreshold = 0.02\n", True),
    ],
)
def test_a_plan_knows_whether_it_needs_an_atr(tables: str, needed: bool) -> None:
    assert read(NAME + tables).needs_atr is needed


def test_a_ratchet_can_be_switched_off_in_place() -> None:
    assert not read(BASE + "[ratchet]\nafter_rungs = false\n").ratchets
    assert read(BASE + "[ratchet]\n").ratchets


def test_rungs_may_stand_in_any_order() -> None:
    plan = read(BASE + "[[targets]]\nr = 4\nclose = 0.5\n[[targets]]\nr = 1\nclose = 0.5\n")
    assert [target.r for target in plan.targets] == [4, 1]


@pytest.mark.parametrize("interval", INTERVAL_MS)
def test_every_interval_is_a_whole_number_of_minutes(interval: str) -> None:
    assert read(BASE + f'[atr]\ninterval = "{interval}"\n').atr.interval == interval
    unit = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}[interval[-1]]
    assert INTERVAL_MS[interval] == int(interval[:-1]) * unit


# Ranges -------------------------------------------------------------------------------------------

# key, a plan with a gap for its value, values at the range's edges inside, values just outside
RANGES: list[tuple[str, str, list[str], list[str]]] = [
    ("confirm_ticks", "confirm_ticks = {}\n" + BASE, ["1", "100"], ["0", "101", "-1"]),
    (
        "max_tick_jump_pct",
        "max_tick_jump_pct = {}\n" + BASE,
        ["0.0001", "1"],
        ["0", "1.0001", "-0.2"],
    ),
    ("atr.period", BASE + "[atr]\nperiod = {}\n", ["1", "1000"], ["0", "1001", "-14"]),
    ("stop.atr", NAME + "[stop]\natr = {}\n", ["0.0001", "100"], ["0", "100.0001", "-1.5"]),
    ("stop.pct", NAME + "[stop]\npct = {}\n", ["0.0001", "0.9999"], ["0", "1", "-0.01"]),
    (
        "stop.fallback_pct",
        NAME + "[stop]\natr = 1\nfallback_pct = {}\n",
        ["0.0001", "0.9999"],
        ["0", "1", "-0.01"],
    ),
    (
        "targets[0].atr",
        BASE + "[[targets]]\natr = {}\nclose = 1\n",
        ["0.0001", "1000"],
        ["0", "1000.1", "-1"],
    ),
    (
        "targets[0].pct",
        BASE + "[[targets]]\npct = {}\nclose = 1\n",
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "targets[0].r",
        BASE + "[[targets]]\nr = {}\nclose = 1\n",
        ["0.0001", "1000"],
        ["0", "1000.1", "-1"],
    ),
    (
        "targets[0].close",
        BASE + "[[targets]]\nr = 1\nclose = {}\n",
        ["0.0001", "1"],
        ["0", "1.0001", "-0.1"],
    ),
    (
        "break_even.at_r",
        BASE + "[break_even]\nat_r = {}\n",
        ["0.0001", "1000"],
        ["0", "1000.1", "-1"],
    ),
    (
        "break_even.at_pct",
        BASE + "[break_even]\nat_pct = {}\n",
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "break_even.offset_pct",
        BASE + "[break_even]\noffset_pct = {}\n",
        ["0", "0.9999"],
        ["-0.0001", "1"],
    ),
    (
        "trailing.pct",
        BASE + '[trailing]\nactivate = "in_profit"\npct = {}\n',
        ["0.0001", "0.9999"],
        ["0", "1", "-0.003"],
    ),
    (
        "trailing.atr",
        BASE + '[trailing]\nactivate = "in_profit"\natr = {}\n',
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "trailing.value",
        BASE + '[trailing]\nactivate = "at_r"\nvalue = {}\npct = 0.1\n',
        ["0.0001", "1000000"],
        ["0", "-1"],
    ),
    (
        "harvest.trigger_pct",
        BASE + "[harvest]\ntrigger_pct = {}\nfraction = 0.2\n",
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "harvest.fraction",
        BASE + "[harvest]\ntrigger_pct = 0.004\nfraction = {}\n",
        ["0.0001", "1"],
        ["0", "1.0001", "-1"],
    ),
    (
        "time_stop.seconds",
        BASE + "[time_stop]\nseconds = {}\n",
        ["0.001", "31536000"],
        ["0", "31536000.1", "-1"],
    ),
    (
        "high_volatility.threshold",
        BASE + "[high_volatility]\nthreshold = {}\n",
        ["0.0001", "1"],
        ["0", "1.0001", "-1"],
    ),
    (
        "high_volatility.stop_atr",
        BASE + "[high_volatility]\nstop_atr = {}\n",
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "high_volatility.target_scale",
        BASE + "[high_volatility]\ntarget_scale = {}\n",
        ["0.0001", "1"],
        ["0", "1.0001", "-1"],
    ),
    (
        "guards.liquidation_buffer_pct",
        BASE + "[guards]\nliquidation_buffer_pct = {}\n",
        ["0", "0.9999"],
        ["-0.0001", "1"],
    ),
    (
        "guards.max_loss_margin_pct",
        BASE + "[guards]\nmax_loss_margin_pct = {}\n",
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    (
        "hard_stop.buffer_pct",
        BASE + "[hard_stop]\nbuffer_pct = {}\n",
        ["0.0001", "0.9999"],
        ["0", "1", "-1"],
    ),
    (
        "hard_stop.step_pct",
        BASE + "[hard_stop]\nstep_pct = {}\n",
        ["0", "0.9999"],
        ["-0.0001", "1"],
    ),
    (
        "ladder.rule[0].scale",
        BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = 15\nscale = {}\n',
        ["0.0001", "100"],
        ["0", "100.1", "-1"],
    ),
    ("ladder.clamp_pct", BASE + "[ladder]\nclamp_pct = [{}, 0.1]\n", ["0", "0.1"], ["0.11"]),
    ("ladder.clamp_pct", BASE + "[ladder]\nclamp_pct = [0.1, {}]\n", ["0.1", "5"], ["0.09"]),
]
WHOLE_NUMBERS = {"confirm_ticks", "atr.period"}


@pytest.mark.parametrize(
    ("toml", "value"),
    [(toml, value) for _, toml, inside, _ in RANGES for value in inside],
    ids=[f"{key}={value}" for key, _, inside, _ in RANGES for value in inside],
)
def test_the_edges_of_a_range_are_in_it(toml: str, value: str) -> None:
    read(toml.format(value))


@pytest.mark.parametrize(
    ("key", "toml", "value"),
    [(key, toml, value) for key, toml, _, outside in RANGES for value in outside],
    ids=[f"{key}={value}" for key, _, _, outside in RANGES for value in outside],
)
def test_beyond_the_edges_the_key_and_the_value_are_named(key: str, toml: str, value: str) -> None:
    message = refusal(toml.format(value))
    assert message.startswith(key)
    assert value in message


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "+nan"])
@pytest.mark.parametrize(("key", "toml"), [row[:2] for row in RANGES])
def test_what_is_no_finite_number_is_refused_everywhere(key: str, toml: str, value: str) -> None:
    assert refusal(toml.format(value)).startswith(key)


@pytest.mark.parametrize("value", ['"1"', '"0.5"', '"1e-3"', '" 1 "', '"1_0"', '"nan"', '"x"'])
@pytest.mark.parametrize(("key", "toml"), [row[:2] for row in RANGES])
def test_a_number_in_quotes_is_refused_everywhere(key: str, toml: str, value: str) -> None:
    message = refusal(toml.format(value))
    assert message.replace("[0]", "").startswith(key.replace("[0]", ""))


@pytest.mark.parametrize("value", ["true", "[1]", "{ a = 1 }", "2024-01-01"])
@pytest.mark.parametrize(("key", "toml"), [row[:2] for row in RANGES])
def test_another_type_is_refused_everywhere(key: str, toml: str, value: str) -> None:
    message = refusal(toml.replace("{}", value))
    assert message.startswith(key)
    assert "expected a" in message


@pytest.mark.parametrize("key", sorted(WHOLE_NUMBERS))
def test_a_whole_number_is_not_written_with_a_point(key: str) -> None:
    toml = next(toml for name, toml, _, _ in RANGES if name == key)
    assert refusal(toml.format("2.0")) == f"{key}: expected a whole number, got a number"


def test_no_number_of_the_schema_is_left_without_a_range() -> None:
    tested = {key.replace("[0]", "") for key, *_ in RANGES}
    numbers = {key.name for key in schema_keys() if key.kinds & {"decimal", "int"}}
    # The fractions of a rule are tested with the contradictions.
    assert numbers - tested == {"ladder.rule.close"}


# Unknown keys and missing ones --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("colour = 1\n" + BASE, "unknown key 'colour' in the plan"),
        (BASE + "[trail]\npct = 1\n", "unknown key 'trail' in the plan"),
        (BASE + "[atr]\nlength = 14\n", "unknown key 'length' in [atr]"),
        (NAME + "[stop]\natrr = 1.5\n", "unknown key 'atrr' in [stop]"),
        (
            BASE + "[[targets]]\nr = 1\nclose = 0.5\n[[targets]]\nr = 1\nclose = 0.5\nat = 1\n",
            "unknown key 'at' in [targets[1]]",
        ),
        (BASE + "[break_even]\nat = 1\n", "unknown key 'at' in [break_even]"),
        (
            BASE + '[trailing]\nactivate = "in_profit"\npct = 0.1\nstep = 1\n',
            "unknown key 'step' in [trailing]",
        ),
        (
            BASE + "[harvest]\ntrigger_pct = 1\nfraction = 0.1\nmax = 1\n",
            "unknown key 'max' in [harvest]",
        ),
        (BASE + "[ratchet]\nrungs = true\n", "unknown key 'rungs' in [ratchet]"),
        (BASE + "[time_stop]\nseconds = 1\nminutes = 1\n", "unknown key 'minutes' in [time_stop]"),
        (BASE + "[high_volatility]\nlimit = 1\n", "unknown key 'limit' in [high_volatility]"),
        (BASE + "[guards]\nmargin = 1\n", "unknown key 'margin' in [guards]"),
        (BASE + "[hard_stop]\npct = 1\n", "unknown key 'pct' in [hard_stop]"),
        (BASE + "[ladder]\nrules = []\n", "unknown key 'rules' in [ladder]"),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = 1\nfactor = 2\n',
            "unknown key 'factor' in [ladder.rule[0]]",
        ),
        ('"two\\nlines" = 1\n' + BASE, "unknown key 'two\\nlines' in the plan"),
    ],
)
def test_an_unknown_key_is_named_with_its_table(toml: str, message: str) -> None:
    assert refusal(toml) == f"{message}; see docs/plans.md for the keys there are"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (BASE + "[[targets]]\nr = 1\n", "[targets[0]] needs the key 'close'"),
        (BASE + "[trailing]\npct = 0.1\n", "[trailing] needs the key 'activate'"),
        (BASE + "[harvest]\nfraction = 0.1\n", "[harvest] needs the key 'trigger_pct'"),
        (BASE + "[harvest]\ntrigger_pct = 0.1\n", "[harvest] needs the key 'fraction'"),
        (BASE + "[time_stop]\n", "[time_stop] needs the key 'seconds'"),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\n',
            "[ladder.rule[0]] needs the key 'value'",
        ),
        (NAME, "there is no [stop]; add one with atr = 1.5 or pct = 0.01"),
    ],
)
def test_a_missing_key_is_named(toml: str, message: str) -> None:
    assert refusal(toml) == message


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            'trigger = "ask"\n' + BASE,
            "trigger: 'ask' is not one of mark, last, book",
        ),
        (
            BASE + '[atr]\nmethod = "ema"\n',
            "atr.method: 'ema' is not one of wilder, sma",
        ),
        (
            BASE + '[atr]\ninterval = "7m"\n',
            "atr.interval: '7m' is not one of 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d",
        ),
        (
            BASE + '[trailing]\nactivate = "always"\npct = 0.1\n',
            "trailing.activate: 'always' is not one of in_profit, at_r, after_rung",
        ),
        (
            BASE + '[break_even]\noffset = "fees"\n',
            "break_even.offset: 'fees' is not one of costs",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "lev"\nop = ">="\nvalue = 1\n',
            (
                "ladder.rule[0].input: 'lev' is not one of"
                " leverage, notional, volatility, volume_24h, regime, profit_pct"
            ),
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = "=>"\nvalue = 1\n',
            "ladder.rule[0].op: '=>' is not one of >=, <=, >, <, ==, in",
        ),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(toml: str, message: str) -> None:
    assert refusal(toml) == message


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("name = 3\n" + STOP, "name: expected a text, got a whole number"),
        ("name = 1.5\n" + STOP, "name: expected a text, got a number"),
        ("trigger = 1\n" + BASE, "trigger: expected a text, got a whole number"),
        ("stop = 3\n" + NAME, "stop: expected a table, got a whole number"),
        (BASE + "[targets]\nr = 1\n", "targets: expected a list, got a table"),
        (
            BASE + "[ratchet]\nafter_rungs = 1\n",
            "ratchet.after_rungs: expected true or false, got a whole number",
        ),
        (
            BASE + "[ladder]\nclamp_pct = [0.1]\n",
            "ladder.clamp_pct: expected a list of length 2, got 1",
        ),
    ],
)
def test_a_wrong_type_is_named_in_the_readers_words(toml: str, message: str) -> None:
    assert refusal(toml) == message


@pytest.mark.parametrize("name", ["", "-x", " x", "x ", "a/b", "..", "[b]", "x" * 65, "a\\nb"])
def test_a_name_is_fit_for_files_and_tables(name: str) -> None:
    assert refusal(f'name = "{name}"\n' + STOP).startswith("name = ")


@pytest.mark.parametrize(
    "name", ["a", "trend_follow", "v1.2-beta", "x" * 64, "2x", "my plan", "größer"]
)
def test_ordinary_names_are_taken(name: str) -> None:
    assert read(f'name = "{name}"\n' + STOP).name == name


# Contradictions: the contract's list, and nothing else --------------------------------------------


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            BASE + "[[targets]]\nr = 1\nclose = 0.5\n[[targets]]\nr = 2\nclose = 0.500001\n",
            "targets close 1.000001 of the position in all; their fractions must sum to 1 or less",
        ),
        (NAME + "[stop]\natr = 1\npct = 0.1\n", "stop has atr and pct; give one of them"),
        (NAME + "[stop]\n", "stop has none of atr, pct; give exactly one"),
        (
            BASE
            + "[[targets]]\nr = 1\nclose = 0.1\n[[targets]]\natr = 1\npct = 0.1\nclose = 0.1\n",
            "targets[1] has atr and pct; give one of them",
        ),
        (
            BASE + "[[targets]]\natr = 1\npct = 0.1\nr = 1\nclose = 0.1\n",
            "targets[0] has atr and pct and r; give one of them",
        ),
        (
            BASE + "[[targets]]\nclose = 0.1\n",
            "targets[0] has none of atr, pct, r; give exactly one",
        ),
        (
            BASE + "[break_even]\nat_r = 1\nat_pct = 0.1\n",
            "break_even has at_r and at_pct; give one of them",
        ),
        (
            BASE + '[break_even]\nat_r = 1\noffset_pct = 0.1\noffset = "costs"\n',
            "break_even has offset_pct and offset; give one of them",
        ),
        (
            BASE + '[trailing]\nactivate = "in_profit"\npct = 0.1\natr = 1\n',
            "trailing has pct and atr; give one of them",
        ),
        (
            BASE + '[trailing]\nactivate = "in_profit"\n',
            "trailing has none of pct, atr; give exactly one",
        ),
        (
            BASE + '[trailing]\nactivate = "at_r"\npct = 0.1\n',
            "trailing.activate = 'at_r' needs trailing.value",
        ),
        (
            BASE + '[trailing]\nactivate = "after_rung"\npct = 0.1\n',
            "trailing.activate = 'after_rung' needs trailing.value",
        ),
        (
            BASE + TWO_RUNGS + '[trailing]\nactivate = "after_rung"\nvalue = 3\npct = 0.1\n',
            "trailing.value = 3: after_rung needs the number of a rung, and this plan has 2",
        ),
        (
            BASE + TWO_RUNGS + '[trailing]\nactivate = "after_rung"\nvalue = 1.5\npct = 0.1\n',
            "trailing.value = 1.5: after_rung needs the number of a rung, and this plan has 2",
        ),
        (
            BASE
            + TWO_RUNGS
            + '[trailing]\nactivate = "after_rung"\nvalue = 1e99999999\npct = 0.1\n',
            (
                "trailing.value = 1E+99999999: after_rung needs the number of a rung,"
                " and this plan has 2"
            ),
        ),
        (
            BASE + "[ladder]\nclamp_pct = [0.1, 0.05]\n",
            "ladder.clamp_pct = [0.1, 0.05] must be two rising fractions from 0, the second above 0",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "regime"\nop = "=="\nvalue = 3\n',
            "ladder.rule[0].value = 3 does not fit the input 'regime'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "regime"\nop = "in"\nvalue = ["a", 3]\n',
            "ladder.rule[0].value = ['a', 3] does not fit the input 'regime'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = true\n',
            "ladder.rule[0].value = True does not fit the input 'leverage'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = inf\n',
            "ladder.rule[0].value = Decimal('Infinity') does not fit the input 'leverage'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = "much"\n',
            "ladder.rule[0].value = 'much' does not fit the input 'leverage'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = "15"\n',
            "ladder.rule.value: expected a number, got a text; take the quotes away",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "leverage"\nop = "in"\nvalue = 3\n',
            "ladder.rule[0].op = 'in' does not fit the input 'leverage'",
        ),
        (
            BASE + '[[ladder.rule]]\ninput = "regime"\nop = ">="\nvalue = "BULL"\n',
            "ladder.rule[0].op = '>=' does not fit the input 'regime'",
        ),
        *(
            (
                BASE
                + TWO_RUNGS
                + '[[ladder.rule]]\ninput = "leverage"\nop = ">="\nvalue = 1\n'
                + f"close = {close}\n",
                "ladder.rule[0].close needs 2 fractions above 0 that sum to 1 or less",
            )
            for close in ("[0.5]", "[0.3, 0.3, 0.3]", "[0.5, 0.51]", "[0, 0.5]", "[nan, 0.5]")
        ),
    ],
)
def test_a_contradiction_is_refused(toml: str, message: str) -> None:
    assert refusal(toml) == message


@pytest.mark.parametrize(
    "toml",
    [
        BASE + TWO_RUNGS,
        BASE + "[[targets]]\nr = 1\nclose = 0.2\n",
        BASE + "[break_even]\n",
        BASE + '[break_even]\noffset = "costs"\n',
        BASE + "[guards]\n",
        BASE + "[high_volatility]\n",
        BASE + "[hard_stop]\n",
        BASE + "[ladder]\n",
        BASE + '[trailing]\nactivate = "in_profit"\nvalue = 0\npct = 0.1\n',
        BASE + TWO_RUNGS + '[trailing]\nactivate = "after_rung"\nvalue = 2\npct = 0.1\n',
        BASE + TWO_RUNGS + '[trailing]\nactivate = "after_rung"\nvalue = 2.0\npct = 0.1\n',
        BASE + '[[ladder.rule]]\ninput = "regime"\nop = "=="\nvalue = "BULL"\n',
        # Two rungs at one price, a stop wider than the entry's ATR distance: odd, not contradictory.
        BASE + "[[targets]]\nr = 1\nclose = 0.2\n[[targets]]\nr = 1\nclose = 0.2\n",
    ],
)
def test_nothing_else_is_refused(toml: str) -> None:
    read(toml)


# What is no plan at all ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("name =", "not a TOML file: "),
        ("name = 'a'\nname = 'b'\n" + STOP, "not a TOML file: "),
        ("\x00", "not a TOML file: "),
        ("a = " + "[" * 2000 + "]" * 2000, "not a TOML file: "),
        (NAME + "[stop]\natr = " + "9" * 5000, "a number in it is out of all bounds"),
        (NAME + "[stop]\natr = 1e9999999999999999999", "a number in it is out of all bounds"),
        (
            "confirm_ticks = 0x" + "f" * 5000 + "\n" + BASE,
            "confirm_ticks: expected a whole number, got a number",
        ),
        (NAME + "[stop]\natr = -0x" + "f" * 5000, "not a TOML file: "),
        ("confirm_ticks = -9223372036854775809\n" + BASE, "confirm_ticks: expected a whole number"),
    ],
    ids=range(9),
)
def test_what_cannot_be_read_is_one_line(toml: str, message: str) -> None:
    assert refusal(toml).startswith(message)


@pytest.mark.parametrize("tables", [None, [], "x", 3, {"stop": {1: 2}, "name": "x"}, {}])
def test_a_header_without_a_plan_is_refused(tables: Any) -> None:
    with pytest.raises(PlanError):
        plan_from_tables(tables, source="a tape")


def test_a_header_nested_without_end_is_refused() -> None:
    nested: list[Any] = []
    for _ in range(20_000):
        nested = [nested]
    with pytest.raises(PlanError, match="nested too deeply"):
        plan_from_tables({"name": "x", "stop": nested}, source="a tape")


# To tapes and back --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*shipped_plan_names(), "the contract's example"])
def test_a_plan_survives_a_tape(name: str) -> None:
    plan = read(EXAMPLE_OF_THE_CONTRACT) if "example" in name else load_plan(name)
    wire = msgspec.json.encode(plan_tables(plan))
    assert plan_from_tables(msgspec.json.decode(wire), source="a tape") == plan


def test_a_tape_writes_no_nulls_and_decimals_as_text() -> None:
    tables = plan_tables(read(BASE + "[[targets]]\nr = 2.0\nclose = 0.5\n"))
    assert tables["stop"] == {"atr": "1.5", "fallback_pct": "0.01"}
    assert tables["targets"] == [{"r": "2.0", "close": "0.5"}]
    assert "trailing" not in tables


def test_doubles_of_a_tape_are_the_decimals_that_they_were_written_as() -> None:
    plan = plan_from_tables({"name": "x", "stop": {"pct": 0.003}}, source="a tape")
    assert plan.stop.pct == Decimal("0.003")


# The shipped plans --------------------------------------------------------------------------------


def test_four_plans_are_shipped() -> None:
    names = ["challenge_100", "defensive_trail", "fast_tp", "trend_follow"]
    assert shipped_plan_names() == names
    assert [load_plan(name).name for name in names] == names
    assert DEFAULT_PLAN in names


def D(value: str) -> Decimal:  # noqa: N802 - a table reads better with one letter
    return Decimal(value)


def test_challenge_100_is_the_specifications() -> None:
    plan = load_plan("challenge_100")
    assert plan.atr == AtrPlan(period=14, interval="5m", method="sma")
    assert plan.stop == StopPlan(atr=D("1.1"))
    assert [(target.pct, target.close) for target in plan.targets] == [
        (D("0.015"), D("0.3")),
        (D("0.025"), D("0.3")),
        (D("0.04"), D("0.4")),
    ]
    assert plan.break_even == BreakEvenPlan(offset_pct=D("0.001"))
    assert plan.trailing == TrailingPlan(activate="in_profit", pct=D("0.003"))
    assert plan.harvest == HarvestPlan(trigger_pct=D("0.004"), fraction=D("0.2"))
    assert plan.time_stop == TimeStopPlan(seconds=D("7200"))
    assert plan.high_volatility == HighVolatilityPlan(
        threshold=D("0.02"), stop_atr=D("1.5"), target_scale=D("0.75")
    )


def test_trend_follow_is_the_specifications() -> None:
    plan = load_plan("trend_follow")
    assert plan.stop == StopPlan(atr=D("1.5"))
    assert plan.targets == (Target(r=D("2"), close=D("0.5")), Target(atr=D("4.5"), close=D("0.5")))
    assert plan.break_even == BreakEvenPlan(at_r=D("1"))
    assert plan.trailing == TrailingPlan(activate="after_rung", value=D("1"), atr=D("1.2"))


def test_fast_tp_is_the_specifications() -> None:
    plan = load_plan("fast_tp")
    assert plan.stop == StopPlan(atr=D("1.5"))
    assert plan.targets == (Target(atr=D("2.5"), close=D("1")),)
    assert plan.break_even == BreakEvenPlan(at_r=D("1"))
    assert plan.trailing is None


def test_defensive_trail_is_the_specifications() -> None:
    plan = load_plan("defensive_trail")
    assert plan.stop == StopPlan(atr=D("1.2"))
    assert plan.targets == (Target(r=D("2"), close=D("0.5")), Target(atr=D("3"), close=D("0.5")))
    assert plan.break_even == BreakEvenPlan(at_r=D("1"))
    assert plan.trailing == TrailingPlan(activate="after_rung", value=D("1"), atr=D("0.6"))


@pytest.mark.parametrize("name", ["trend_follow", "fast_tp", "defensive_trail"])
def test_the_others_have_no_harvest_no_clock_and_wilders_atr(name: str) -> None:
    plan = load_plan(name)
    assert plan.harvest is None
    assert plan.time_stop is None
    assert plan.high_volatility is None
    assert plan.atr == AtrPlan(period=14, interval="5m", method="wilder")


@pytest.mark.parametrize("name", shipped_plan_names())
def test_every_shipped_plan_triggers_on_mark_and_has_the_default_hard_stop(name: str) -> None:
    plan = load_plan(name)
    assert plan.trigger == "mark"
    assert plan.hard_stop == HardStopPlan(buffer_pct=D("0.005"), step_pct=D("0.001"))
    assert plan.stop.fallback_pct == D("0.01")


def test_a_plan_file_is_taken_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(BASE, encoding="utf-8")
    assert load_plan(str(file)).name == "mine"


def test_a_plan_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(PlanError, match=r"no plan 'trend'; shipped: challenge_100, .*\.toml file"):
        load_plan("trend")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"cannot read the plan file .*/none\.toml: No such file"):
        load_plan(str(tmp_path / "none.toml"))
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'name = "\xe4"')
    with pytest.raises(PlanError, match="not UTF-8 text"):
        load_plan(str(latin))


def test_the_message_names_the_file_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(NAME + "[stop]\natrr = 1\n", encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        load_plan(str(file))
    assert str(caught.value).startswith(f"{file}: unknown key 'atrr' in [stop]")


# Whatever is in a file ----------------------------------------------------------------------------

KEYS = sorted(
    {part for key in schema_keys() for part in key.name.split(".")} | {"", "colour", "a.b", "x`y"}
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(),
    st.decimals(),
    st.text(max_size=8),
    st.sampled_from(
        ["1", "0.5", "mark", "5m", "wilder", "in_profit", "at_r", "after_rung", "costs", "regime"]
    ),
    st.sampled_from([Decimal("sNaN"), Decimal("1e999999"), Decimal("-0"), Decimal("0.5"), 1]),
)
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=8,
)


EXAMPLE_AS_JSON = msgspec.json.encode(plan_tables(read(EXAMPLE_OF_THE_CONTRACT)))


@st.composite
def almost_plans(draw: st.DrawFn) -> dict[str, Any]:
    """The example of the contract with some of its places changed."""
    tables: dict[str, Any] = msgspec.json.decode(EXAMPLE_AS_JSON)
    for _ in range(draw(st.integers(1, 4))):
        place: Any = tables
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.booleans()) or isinstance(place, list):
                place[key] = draw(trees)
            else:
                del place[key]
            break
    return tables


@given(st.one_of(st.dictionaries(st.sampled_from(KEYS), trees), almost_plans()))
@settings(max_examples=100, deadline=None)
def test_no_tables_raise_anything_but_a_plan_error_in_one_line(tables: dict[str, Any]) -> None:
    message = ""
    try:
        plan = plan_from_tables(tables, source="a tape")
    except PlanError as error:
        message = str(error)
    if message:
        assert message.startswith("a tape: ")
        assert "\n" not in message
    else:
        assert plan_from_tables(plan_tables(plan), source="a tape") == plan


@given(st.text(max_size=200))
@settings(deadline=None)
def test_no_text_raises_anything_but_a_plan_error(toml: str) -> None:
    with pytest.raises(PlanError):
        read(toml)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("plans/mine.toml", "mine"),
        ("mine.toml", "mine"),
        ("a plan?.toml", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_a_plan_without_a_name_has_its_files(source: str, name: str) -> None:
    assert plan_from_toml(STOP, source=source).name == name
