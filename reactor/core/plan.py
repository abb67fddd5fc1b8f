"""Plans: the data that says how a position is to be exited, and everything that is refused.

A plan is TOML (`docs/plans.md` describes every key). `plan_from_toml` turns its text into a frozen `Plan`
or raises a `PlanError` that names the file, the key and the range. Numbers are exact decimals: 0.003 in
the file is three thousandths here, not the nearest double.
"""

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

import msgspec

from reactor.core.exact import ZERO, add
from reactor.errors import PlanError

Trigger = Literal["mark", "last", "book"]
Smoothing = Literal["wilder", "sma"]
Interval = Literal["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]

INTEGER_MAX = 2**63 - 1
"""TOML's own bound of whole numbers."""

MINUTE_MS = 60_000
INTERVAL_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a plan file: immutable, and an unknown key in it is an error."""


class AtrPlan(_Table, frozen=True, kw_only=True):
    """`[atr]`: which average true range the plan's distances are measured in."""

    period: int = 14
    interval: Interval = "5m"
    method: Smoothing = "wilder"


class StopPlan(_Table, frozen=True, kw_only=True):
    """`[stop]`: the initial stop's distance, exactly one of ATR multiple or fraction of the entry."""

    atr: Decimal | None = None
    pct: Decimal | None = None
    fallback_pct: Decimal = Decimal("0.01")


class Target(_Table, frozen=True, kw_only=True):
    """`[[targets]]`: one rung. Its distance is exactly one of atr, pct or r; `close` its fraction."""

    atr: Decimal | None = None
    pct: Decimal | None = None
    r: Decimal | None = None
    close: Decimal


class BreakEvenPlan(_Table, frozen=True, kw_only=True):
    """`[break_even]`: when the stop goes to the entry, and how far beyond it."""

    at_r: Decimal | None = None
    at_pct: Decimal | None = None
    offset_pct: Decimal | None = None
    offset: Literal["costs"] | None = None


class TrailingPlan(_Table, frozen=True, kw_only=True):
    """`[trailing]`: when the stop starts to follow the best price, and at which distance."""

    activate: Literal["in_profit", "at_r", "after_rung"]
    value: Decimal | None = None
    pct: Decimal | None = None
    atr: Decimal | None = None


class HarvestPlan(_Table, frozen=True, kw_only=True):
    """`[harvest]`: a small partial close at every multiple of `trigger_pct` of profit."""

    trigger_pct: Decimal
    fraction: Decimal


class RatchetPlan(_Table, frozen=True, kw_only=True):
    """`[ratchet]`: after rung k+1 the stop is at least the price of rung k."""

    after_rungs: bool = True


class TimeStopPlan(_Table, frozen=True, kw_only=True):
    """`[time_stop]`: close everything when nothing was taken within `seconds` of the opening."""

    seconds: Decimal


class HighVolatilityPlan(_Table, frozen=True, kw_only=True):
    """`[high_volatility]`: what changes while ATR/price is at or above `threshold`."""

    threshold: Decimal = Decimal("0.02")
    stop_atr: Decimal = Decimal("1.5")
    target_scale: Decimal = Decimal("0.75")


class GuardsPlan(_Table, frozen=True, kw_only=True):
    """`[guards]`: levels outside the ratchet, measured from the liquidation price and the margin."""

    liquidation_buffer_pct: Decimal | None = None
    max_loss_margin_pct: Decimal | None = None


class HardStopPlan(_Table, frozen=True, kw_only=True):
    """`[hard_stop]`: the exchange-side stop that protects when this process cannot."""

    buffer_pct: Decimal = Decimal("0.005")
    step_pct: Decimal = Decimal("0.001")


class LadderRule(_Table, frozen=True, kw_only=True):
    """`[[ladder.rule]]`: scales the targets, and may replace their fractions, when a fact holds."""

    input: Literal["leverage", "notional", "volatility", "volume_24h", "regime", "profit_pct"]
    op: Literal[">=", "<=", ">", "<", "==", "in"]
    value: Any
    scale: Decimal = Decimal(1)
    close: tuple[Decimal, ...] | None = None

    def __post_init__(self) -> None:
        # Tapes write decimals as text. What a text here means only the input beside it can say.
        if self.input != "regime" and isinstance(self.value, str):
            try:
                number = Decimal(self.value)
            except InvalidOperation:
                return
            msgspec.structs.force_setattr(self, "value", number)


class LadderPlan(_Table, frozen=True, kw_only=True):
    """`[ladder]`: sizes the rungs to the position when its epoch opens."""

    clamp_pct: tuple[Decimal, Decimal] | None = None
    rule: tuple[LadderRule, ...] = ()


class Plan(_Table, frozen=True, kw_only=True):
    """How a position is to be exited. Absent tables mean the feature is off."""

    name: str
    trigger: Trigger = "mark"
    confirm_ticks: int | None = None
    max_tick_jump_pct: Decimal = Decimal("0.20")
    atr: AtrPlan = AtrPlan()
    stop: StopPlan
    targets: tuple[Target, ...] = ()
    break_even: BreakEvenPlan | None = None
    trailing: TrailingPlan | None = None
    harvest: HarvestPlan | None = None
    ratchet: RatchetPlan | None = None
    time_stop: TimeStopPlan | None = None
    high_volatility: HighVolatilityPlan | None = None
    guards: GuardsPlan | None = None
    hard_stop: HardStopPlan | None = None
    ladder: LadderPlan | None = None

    @property
    def stop_confirm_ticks(self) -> int:
        """How many ticks in a row must be through the stop: book quotes flicker, trades do not."""
        if self.confirm_ticks is not None:
            return self.confirm_ticks
        return 2 if self.trigger == "book" else 1

    @property
    def ratchets(self) -> bool:
        """Whether taken rungs pull the stop along."""
        return self.ratchet is not None and self.ratchet.after_rungs

    @property
    def trails_by_atr(self) -> bool:
        """Whether the trailing distance follows the ATR."""
        return self.trailing is not None and self.trailing.atr is not None

    @property
    def needs_atr(self) -> bool:
        """Whether any level of the plan is measured in ATR."""
        return (
            self.stop.atr is not None
            or any(target.atr is not None for target in self.targets)
            or self.trails_by_atr
            or self.high_volatility is not None
        )


def plan_from_toml(toml: str, *, source: str) -> Plan:
    """Reads a plan file.

    Args:
        toml: the file's text.
        source: the file's name, for messages.

    Returns:
        The validated plan.

    Raises:
        PlanError: it is no TOML, has an unknown key or a wrong type, a value out of its range, or
            contradicts itself. The message names the source and the key.
    """
    try:
        tables = tomllib.loads(toml, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PlanError(f"{source}: not a TOML file: {str(error) or 'nested too deeply'}") from None
    except (ValueError, InvalidOperation):
        raise PlanError(f"{source}: a number in it is out of all bounds; shorten it") from None
    plan = plan_from_tables(tables, source=source)
    for key in _quoted_numbers(tables):
        raise PlanError(f"{source}: {key}: expected a number, got a text; take the quotes away")
    return plan


_TEXT_PATHS = {
    "name",
    "trigger",
    "atr.interval",
    "atr.method",
    "trailing.activate",
    "break_even.offset",
    "ladder.rule.input",
    "ladder.rule.op",
}


def _quoted_numbers(value: Any, path: str = "") -> Iterator[str]:
    """Keys whose number stands in quotes. Tapes write decimals as text, plan files do not."""
    if isinstance(value, dict):
        for name, item in value.items():
            # Only here the key beside it says whether a word or a number is meant.
            if not (name == "value" and value.get("input") == "regime"):
                yield from _quoted_numbers(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from _quoted_numbers(item, path)
    elif isinstance(value, str) and path not in _TEXT_PATHS:
        yield path


def plan_from_tables(tables: Any, *, source: str) -> Plan:
    """Validates a plan that is already parsed: TOML tables, or the JSON object in a tape's header.

    Raises:
        PlanError: as `plan_from_toml`.
    """
    if isinstance(tables, dict) and "name" not in tables:
        tables = {"name": _name_of(source), **tables}
    if isinstance(tables, dict) and "stop" not in tables:
        raise PlanError(f"{source}: there is no [stop]; add one with atr = 1.5 or pct = 0.01")
    try:
        plan = msgspec.convert(_exact_numbers(tables), Plan)
    except msgspec.ValidationError as error:
        raise PlanError(f"{source}: {_in_words(str(error))}") from None
    except RecursionError:
        raise PlanError(f"{source}: not a plan: nested too deeply") from None
    for complaint in _complaints(plan):
        raise PlanError(f"{source}: {complaint}")
    return plan


def _name_of(source: str) -> str:
    """The name of a plan that has none: its file's, as far as a name may be written so."""
    stem = source.rpartition("/")[2].removesuffix(".toml")
    return stem if _NAME.fullmatch(stem) else "unnamed"


def plan_tables(plan: Plan) -> dict[str, Any]:
    """A plan as plain tables with numbers as text: how it is written into tapes and journals."""
    tables: dict[str, Any] = _without_nulls(msgspec.to_builtins(plan))
    return tables


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value


def _exact_numbers(value: Any) -> Any:
    """Whole numbers stay whole numbers; floats (from JSON) become the decimal of their text."""
    if isinstance(value, dict):
        return {key: _exact_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_exact_numbers(item) for item in value]
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        # No key takes such a number, and Python refuses to print the longest ones in a message.
        return Decimal("Infinity").copy_sign(Decimal(1 if value > 0 else -1))
    return Decimal(repr(value)) if isinstance(value, float) else value


_CHOICES: dict[str, tuple[str, ...]] = {
    "trigger": get_args(Trigger),
    "interval": get_args(Interval),
    "method": get_args(Smoothing),
    "activate": ("in_profit", "at_r", "after_rung"),
    "offset": ("costs",),
    "input": ("leverage", "notional", "volatility", "volume_24h", "regime", "profit_pct"),
    "op": (">=", "<=", ">", "<", "==", "in"),
}
_AT = re.compile(r"(?P<what>.*) - at `\$\.?(?P<key>[^`]*)`", re.DOTALL)
_TYPES = {
    "decimal | null": "a number",
    "decimal": "a number",
    "int | null": "a whole number",
    "int": "a whole number",
    "str": "a text",
    "object | null": "a table",
    "object": "a table",
    "array | null": "a list",
    "array": "a list",
    "bool": "true or false",
}


def _in_words(message: str) -> str:
    """A msgspec message with its key first: `stop.atr: expected a number, got …`."""
    match = _AT.fullmatch(message)
    what = match["what"] if match else message
    key = match["key"] if match else ""
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL)
    if unknown:
        where = f"[{key}]" if key else "the plan"
        return f"unknown key {unknown[1]!r} in {where}; see docs/plans.md for the keys there are"
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        where = f"[{key}]" if key else "the plan"
        return f"{where} needs the key {missing[1]!r}"
    if what.startswith("Invalid enum value"):
        last = key.rpartition(".")[2]
        what = f"{what[19:]} is not one of {', '.join(_CHOICES.get(last, ()))}"
    for name, word in _TYPES.items():
        what = what.replace(f"`{name}`", word)
    return f"{key or 'plan'}: {what[:1].lower()}{what[1:]}"


# key, lowest, whether the lowest itself is allowed, highest, whether the highest itself is allowed
_RANGES: tuple[tuple[str, str, bool, str, bool], ...] = (
    ("max_tick_jump_pct", "0", False, "1", True),
    ("stop.atr", "0", False, "100", True),
    ("stop.pct", "0", False, "1", False),
    ("stop.fallback_pct", "0", False, "1", False),
    ("targets.atr", "0", False, "1000", True),
    ("targets.pct", "0", False, "100", True),
    ("targets.r", "0", False, "1000", True),
    ("targets.close", "0", False, "1", True),
    ("break_even.at_r", "0", False, "1000", True),
    ("break_even.at_pct", "0", False, "100", True),
    ("break_even.offset_pct", "0", True, "1", False),
    ("trailing.pct", "0", False, "1", False),
    ("trailing.atr", "0", False, "100", True),
    ("harvest.trigger_pct", "0", False, "100", True),
    ("harvest.fraction", "0", False, "1", True),
    ("time_stop.seconds", "0", False, "31536000", True),
    ("high_volatility.threshold", "0", False, "1", True),
    ("high_volatility.stop_atr", "0", False, "100", True),
    ("high_volatility.target_scale", "0", False, "1", True),
    ("guards.liquidation_buffer_pct", "0", True, "1", False),
    ("guards.max_loss_margin_pct", "0", False, "100", True),
    ("hard_stop.buffer_pct", "0", False, "1", False),
    ("hard_stop.step_pct", "0", True, "1", False),
    ("ladder.rule.scale", "0", False, "100", True),
)
ALTERNATIVES: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("stop", ("atr", "pct"), True),
    ("targets", ("atr", "pct", "r"), True),
    ("break_even", ("at_r", "at_pct"), False),
    ("break_even", ("offset_pct", "offset"), False),
    ("trailing", ("pct", "atr"), True),
)
_NAME = re.compile(r"\w(?:[\w .-]{0,62}[\w.-])?")


def _tables(plan: Plan, path: str) -> Iterator[tuple[str, Any]]:
    """The tables at a dotted path with how a reader would name them; arrays give one each."""
    found: list[tuple[str, Any]] = [("", plan)]
    for part in path.split(".") if path else ():
        step: list[tuple[str, Any]] = []
        for label, table in found:
            inner = getattr(table, part)
            here = f"{label}.{part}" if label else part
            if isinstance(inner, tuple):
                step += [(f"{here}[{index}]", item) for index, item in enumerate(inner)]
            elif inner is not None:
                step.append((here, inner))
        found = step
    yield from found


def _complaints(plan: Plan) -> Iterator[str]:
    """Everything wrong with a plan of the right shape, the first one first."""
    if not _NAME.fullmatch(plan.name):
        yield f"name = {plan.name!r} must be 1 to 64 letters, digits, spaces, dots, dashes or underscores"
    if plan.confirm_ticks is not None and not 1 <= plan.confirm_ticks <= 100:
        yield f"confirm_ticks = {plan.confirm_ticks} is out of range: 1 to 100"
    if not 1 <= plan.atr.period <= 1000:
        yield f"atr.period = {plan.atr.period} is out of range: 1 to 1000"
    for path, low, low_allowed, high, high_allowed in _RANGES:
        parent, _, key = path.rpartition(".")
        for label, table in _tables(plan, parent):
            value = getattr(table, key)
            if value is not None and not _within(value, low, low_allowed, high, high_allowed):
                name = f"{label}.{key}" if label else key
                lowest = f"{'at least' if low_allowed else 'more than'} {low}"
                highest = f"{'at most' if high_allowed else 'less than'} {high}"
                yield f"{name} = {value} is out of range: {lowest}, {highest}"
    for parent, keys, needed in ALTERNATIVES:
        for label, table in _tables(plan, parent):
            given = [key for key in keys if getattr(table, key) is not None]
            if len(given) > 1:
                yield f"{label} has {' and '.join(given)}; give one of them"
            if needed and not given:
                yield f"{label} has none of {', '.join(keys)}; give exactly one"
    yield from _contradictions(plan)


def _within(value: Decimal, low: str, low_in: bool, high: str, high_in: bool) -> bool:
    if not value.is_finite():
        return False
    above = value >= Decimal(low) if low_in else value > Decimal(low)
    return above and (value <= Decimal(high) if high_in else value < Decimal(high))


def _contradictions(plan: Plan) -> Iterator[str]:
    total = ZERO
    for target in plan.targets:
        total = add(total, target.close)
    if total > 1:
        yield f"targets close {total} of the position in all; their fractions must sum to 1 or less"
    trailing = plan.trailing
    value = None if trailing is None else trailing.value
    if value is not None and not value.is_finite():
        yield f"trailing.value = {value} is out of range: more than 0"
    if trailing is not None and trailing.activate != "in_profit":
        if value is None:
            yield f"trailing.activate = {trailing.activate!r} needs trailing.value"
        elif value <= 0:
            yield f"trailing.value = {value} is out of range: more than 0"
        elif trailing.activate == "after_rung" and (
            value > len(plan.targets) or value != int(value)
        ):
            yield (
                f"trailing.value = {value}: after_rung needs the number of a rung,"
                f" and this plan has {len(plan.targets)}"
            )
    if plan.ladder is not None:
        yield from _ladder_contradictions(plan.ladder, rungs=len(plan.targets))


def _ladder_contradictions(ladder: LadderPlan, *, rungs: int) -> Iterator[str]:
    if ladder.clamp_pct is not None:
        low, high = ladder.clamp_pct
        if not (low.is_finite() and high.is_finite() and 0 <= low <= high and high > 0):
            yield f"ladder.clamp_pct = [{low}, {high}] must be two rising fractions from 0, the second above 0"
    for index, rule in enumerate(ladder.rule):
        name = f"ladder.rule[{index}]"
        words = rule.input == "regime"
        if not (_is_words(rule.value) if words else _is_number(rule.value)):
            yield f"{name}.value = {rule.value!r} does not fit the input {rule.input!r}"
        if words != (rule.op in {"==", "in"}):
            yield f"{name}.op = {rule.op!r} does not fit the input {rule.input!r}"
        if rule.close is not None:
            total = ZERO
            for fraction in rule.close:
                total = (
                    add(total, fraction) if fraction.is_finite() and fraction > 0 else Decimal(2)
                )
            if len(rule.close) != rungs or total > 1:
                yield f"{name}.close needs {rungs} fractions above 0 that sum to 1 or less"


def _is_words(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(word, str) for word in value)
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return Decimal(value).is_finite()
