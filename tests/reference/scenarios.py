"""Random plans, markets and position events for the comparison of the engine with the reference.

Everything is drawn as bytes, because that draws and shrinks a hundred times faster than structures do:
one string of them throws the dice for plan and market, another is a little program of events
(`program.py`). All zeros are the simplest plan and ticks that do not move.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar

from hypothesis import strategies as st

from reactor.core.plan import (
    AtrPlan,
    BreakEvenPlan,
    GuardsPlan,
    HarvestPlan,
    HighVolatilityPlan,
    Interval,
    LadderPlan,
    LadderRule,
    Plan,
    RatchetPlan,
    Smoothing,
    StopPlan,
    Target,
    TimeStopPlan,
    TrailingPlan,
    Trigger,
)

T = TypeVar("T")


class Scenario(NamedTuple):
    plan: Plan
    tick: Decimal | None
    step: Decimal | None
    min_quantity: Decimal
    fixed_atr: Decimal | None
    fills: Literal["trigger", "next"]
    base: Decimal  # the price everything starts around
    grain: Decimal  # the market's own price step
    swing: Decimal  # the largest ordinary move, as a fraction of the price
    drift: Decimal  # added to every ordinary move, as a fraction of the swing
    pace_ms: int  # between ticks, ordinarily
    history: bytes
    program: bytes
    inputs: dict[str, Any]  # what is known for ladder sizing, beside what the position tells


class Dice:
    """Choices out of bytes; when they run out, everything is the first option."""

    def __init__(self, throws: bytes) -> None:
        self._throws = iter(throws)

    def of(self, options: Sequence[T]) -> T:
        return options[next(self._throws, 0) % len(options)]

    def number(self, *texts: str) -> Decimal:
        return Decimal(self.of(texts))

    def chance(self) -> bool:
        return self.of((False, True))


def _stop(dice: Dice) -> StopPlan:
    if dice.chance():
        return StopPlan(
            atr=dice.number("2", "0.5", "1.1", "1.5", "3.3", "10", "80"),
            fallback_pct=dice.number("0.01", "0.003", "0.02"),
        )
    return StopPlan(
        pct=dice.number("0.1", "0.001", "0.003", "0.005", "0.01", "0.02", "0.05", "0.0123")
    )


def _targets(dice: Dice) -> tuple[Target, ...]:
    """Up to five rungs in any order, that close all or less; several may lie at one price."""
    count = dice.of((0, 1, 2, 3, 4, 5))
    spare = 1000
    targets = []
    for later in reversed(range(count)):
        weight = dice.of((250, 1, 50, 100, 200, 333, 500, 1000))
        close = min(weight, spare - later)
        if later == 0 and dice.chance():
            close = spare
        spare -= close
        fraction = Decimal(close) / 1000
        match dice.of(("pct", "r", "atr")):
            case "pct":
                distance = dice.number(
                    "0.01", "0.001", "0.002", "0.004", "0.005", "0.008", "0.015", "0.025", "1.5"
                )
                targets.append(Target(pct=distance, close=fraction))
            case "r":
                distance = dice.number("1", "0.25", "0.5", "0.8", "1.5", "2", "4.5")
                targets.append(Target(r=distance, close=fraction))
            case _:
                distance = dice.number("1", "0.25", "0.5", "1.5", "2.5", "4.5")
                targets.append(Target(atr=distance, close=fraction))
    return tuple(targets)


def _break_even(dice: Dice) -> BreakEvenPlan | None:
    match dice.of(("none", "at_r", "at_pct", "neither")):
        case "none":
            return None
        case "at_r":
            return BreakEvenPlan(at_r=dice.number("1", "0.3", "0.5", "2"))
        case "at_pct":
            return BreakEvenPlan(
                at_pct=dice.number("0.01", "0.001", "0.003"),
                offset_pct=dice.number("0.002", "0", "0.0005", "0.01"),
            )
        case _:
            return BreakEvenPlan(
                offset_pct=dice.of((None, Decimal(0), Decimal("0.0007"), Decimal("0.003")))
            )


def _trailing(dice: Dice, *, rungs: int) -> TrailingPlan | None:
    if dice.chance():
        return None
    activate: Literal["in_profit", "at_r", "after_rung"] = dice.of(
        ("in_profit", "at_r", "after_rung") if rungs else ("in_profit", "at_r")
    )
    value = None
    if activate == "at_r":
        value = dice.number("1", "0.3", "0.5", "2")
    elif activate == "after_rung":
        value = Decimal(dice.of(range(1, rungs + 1)))
    if dice.chance():
        return TrailingPlan(
            activate=activate, value=value, atr=dice.number("1.2", "0.3", "0.6", "3")
        )
    return TrailingPlan(
        activate=activate, value=value, pct=dice.number("0.003", "0.001", "0.01", "0.02")
    )


def _harvest(dice: Dice) -> HarvestPlan | None:
    if dice.chance():
        return None
    return HarvestPlan(
        trigger_pct=dice.number("0.01", "0.002", "0.004", "0.0033", "0.03"),
        fraction=dice.number("0.2", "0.001", "0.1", "0.5", "0.9", "1"),
    )


def _governor(dice: Dice) -> HighVolatilityPlan:
    return HighVolatilityPlan(
        threshold=dice.number("0.01", "0.002", "0.005", "0.02"),
        stop_atr=dice.number("1.5", "0.7", "3"),
        target_scale=dice.number("0.75", "0.3", "1"),
    )


def _guards(dice: Dice) -> GuardsPlan:
    return GuardsPlan(
        liquidation_buffer_pct=dice.of((None, Decimal(0), Decimal("0.005"), Decimal("0.01"))),
        max_loss_margin_pct=dice.of((None, Decimal("0.05"), Decimal("0.2"), Decimal("0.8"))),
    )


def _plan(dice: Dice) -> Plan:
    """A valid plan of any shape."""
    trigger: Trigger = dice.of(("last", "mark", "book"))
    interval: Interval = dice.of(("1m", "5m"))
    method: Smoothing = dice.of(("sma", "wilder"))
    targets = _targets(dice)
    return Plan(
        name="random",
        trigger=trigger,
        confirm_ticks=dice.of((None, 1, 2, 3)),
        max_tick_jump_pct=dice.number("0.2", "0.2", "0.02", "1"),
        atr=AtrPlan(period=dice.of((1, 2, 3, 5, 14)), interval=interval, method=method),
        stop=_stop(dice),
        targets=targets,
        break_even=_break_even(dice),
        trailing=_trailing(dice, rungs=len(targets)),
        harvest=_harvest(dice),
        ratchet=dice.of((None, RatchetPlan(after_rungs=True), RatchetPlan(after_rungs=False))),
        time_stop=(
            TimeStopPlan(seconds=dice.number("300", "1", "15", "60.5", "7200"))
            if dice.chance()
            else None
        ),
        high_volatility=_governor(dice) if dice.chance() else None,
        guards=_guards(dice) if dice.chance() else None,
        ladder=_ladder(dice, rungs=len(targets)) if dice.chance() else None,
    )


def _ladder(dice: Dice, *, rungs: int) -> LadderPlan:
    """Rules about everything, most of whose inputs some scenarios do not know."""
    clamp = dice.of(
        (None, (Decimal("0.005"), Decimal("0.10")), (Decimal("0.002"), Decimal("0.01")))
    )
    return LadderPlan(
        clamp_pct=clamp, rule=tuple(_rule(dice, rungs) for _ in range(dice.of((1, 2, 3, 4))))
    )


def _rule(dice: Dice, rungs: int) -> LadderRule:
    number: Literal[">=", "<=", ">", "<"] = dice.of((">=", "<", "<=", ">"))
    scale = dice.number("0.7", "1", "1.3", "0.8", "1.5")
    close = None
    if rungs and dice.chance():
        part = dice.number("1", "0.5") / rungs
        close = (part.quantize(Decimal("0.001"), rounding="ROUND_DOWN"),) * rungs
    match dice.of(("notional", "leverage", "profit_pct", "volatility", "volume_24h", "regime")):
        case "notional":
            value = dice.number("2000", "100", "500")
            return LadderRule(input="notional", op=number, value=value, scale=scale, close=close)
        case "leverage":
            value = dice.number("15", "5", "10")
            return LadderRule(input="leverage", op=number, value=value, scale=scale, close=close)
        case "profit_pct":
            value = dice.number("0", "0.001", "-0.001", "0.05")
            return LadderRule(input="profit_pct", op=number, value=value, scale=scale, close=close)
        case "volatility":
            value = dice.number("0.015", "0.002", "0.005")
            return LadderRule(input="volatility", op=number, value=value, scale=scale, close=close)
        case "volume_24h":
            value = dice.number("100000", "1")
            return LadderRule(input="volume_24h", op=number, value=value, scale=scale, close=close)
        case _:
            words = dice.of((["BULL", "BEAR"], ["CHOP"]))
            return LadderRule(input="regime", op="in", value=words, scale=scale, close=close)


def _inputs(dice: Dice) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if dice.chance():
        known["leverage"] = dice.number("20", "5", "10")
    if dice.chance():
        known["volume_24h"] = dice.number("99999", "100000")
    if dice.chance():
        known["regime"] = dice.of(("BULL", "CHOP", "NORMAL"))
    if dice.chance():
        known["notional"] = dice.number("2000", "1")
    return known


def _governed_plan(dice: Dice) -> Plan:
    """A plan whose positions live long enough for candles to close and the governor to decide."""
    trigger: Trigger = dice.of(("last", "mark", "book"))
    method: Smoothing = dice.of(("sma", "wilder"))
    return Plan(
        name="governed",
        trigger=trigger,
        atr=AtrPlan(period=dice.of((1, 2, 3)), interval="1m", method=method),
        stop=StopPlan(atr=dice.number("3.3", "1.1", "10"), fallback_pct=Decimal("0.02")),
        targets=_targets(dice),
        harvest=_harvest(dice),
        break_even=_break_even(dice),
        high_volatility=_governor(dice),
    )


_FILTERS = (
    (None, None, Decimal(0)),
    (Decimal("0.1"), Decimal("0.001"), Decimal(0)),
    (Decimal("0.1"), Decimal("0.001"), Decimal("0.002")),
    (Decimal("0.01"), Decimal("0.1"), Decimal("0.5")),
    (Decimal("0.25"), Decimal(1), Decimal(1)),
    (Decimal(1), None, Decimal("0.3")),
)
_FIXED_ATRS = (None, None, None, None, "0", "0.1", "0.45", "0.9", "1", "1.3333333333333333", "40")


def scenario_of(throws: bytes, history: bytes, program: bytes) -> Scenario:
    dice = Dice(throws)
    tick, step, min_quantity = dice.of(_FILTERS)
    fills: Literal["trigger", "next"] = dice.of(("trigger", "next"))
    fixed_atr: Any = dice.of(_FIXED_ATRS)
    return Scenario(
        tick=tick,
        step=step,
        min_quantity=min_quantity,
        fixed_atr=None if fixed_atr is None else Decimal(fixed_atr),
        fills=fills,
        base=dice.number("100", "100", "98.7", "1234.5"),
        grain=dice.number("0.1", "0.01", "0.5", "0.00001"),
        swing=dice.number("0.002", "0.0005", "0.006", "0.02"),
        drift=dice.number("0", "0", "0.3", "-0.3", "0.1", "-0.1"),
        pace_ms=dice.of((1_000, 100, 7_000, 20_000, 20_000, 60_000)),
        plan=_governed_plan(dice) if dice.of((0, 0, 1)) else _plan(dice),
        history=history,
        program=program,
        inputs=_inputs(dice),
    )


def scenarios(length: int = 160) -> st.SearchStrategy[Scenario]:
    return st.builds(
        scenario_of,
        st.binary(min_size=90, max_size=90),
        st.binary(max_size=40),
        st.binary(min_size=40, max_size=length),
    )
