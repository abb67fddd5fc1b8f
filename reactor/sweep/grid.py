"""Which combinations of plan values are tried: the whole grid of what `--set` names, or draws from it.

    stop.atr=1.0,1.5,2.0          values; also words (`atr.method=sma,wilder`), `true`, `false`, and `off`
    trailing.pct=0.002:0.006:0.001  from, to (both included), step
    targets.1.r=1:4               any value between, where combinations are drawn
    plan=trend_follow,fast_tp     the plan that the other values are put into

A value replaces its alternatives (a stop in `pct` the one in `atr`), where those are not swept themselves.
What makes no valid plan is refused as a plan file would be: counted, with the reason.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from math import log10, prod
from typing import Any, NamedTuple

import msgspec
import orjson

from reactor.core.exact import add, text
from reactor.core.plan import ALTERNATIVES, Plan, plan_from_tables, plan_tables
from reactor.errors import ConfigError, PlanError
from reactor.plans import load_plan
from reactor.replay.options import number

COMBINATIONS_MAX = 20_000
"""More than anybody can tell apart from luck, and than a table can be read."""

RANGE_VALUES_MAX = 1000
DRAWN_DIGITS = 4
"""Significant digits of a value drawn from between two others: what one would type."""

DRAWS_PER_COMBINATION_MAX = 50
"""How often a combination that is known or refused is drawn again before that is said."""

OFF = "off"
KEPT = "on"
"""A table or key that is left as the base plan has it, beside `off`."""

FIXED_KEYS = {
    "trigger": "prices of different sources are not the same entries; sweep each with --trigger",
    "name": "a plan's name decides nothing",
    "hard_stop": "hard stops rest at the exchange, which a recording does not have",
    "ladder": "ladder rules are a list; give plans that differ in them with --set plan=A.toml,B.toml",
}

_WORD = re.compile(r"[A-Za-z0-9]*[A-Za-z_][A-Za-z0-9_]*")
_EXPONENT = re.compile(r"[0-9]+[eE][0-9]+")
_KEY = re.compile(r"[a-z][a-z_]*(?:\.[1-9][0-9]?)?(?:\.[a-z][a-z_]*)?")

Value = Decimal | str | bool


class Parameter(NamedTuple):
    """One `--set`.

    Attributes:
        key: the plan's key (`stop.atr`, `targets.1.r`), or `plan`.
        values: what is tried, in the order given; empty where values are drawn from between two.
        between: the two, else None.
    """

    key: str
    values: tuple[Value, ...]
    between: tuple[Decimal, Decimal] | None = None


class Combination(NamedTuple):
    """One plan that is tried.

    Attributes:
        values: what was set, as texts, one for each parameter; of the base plan what it has there.
        plan: the plan that came of it.
        is_extra: whether it is the base plan beside those that are tried: shown, and not ranked.
    """

    values: tuple[str, ...]
    plan: Plan
    is_extra: bool = False


class Grid(NamedTuple):
    """What is tried.

    Attributes:
        parameters: as they were given.
        combinations: the valid ones, in the order of the grid or of the draws; the base plan last, where
            it is none of them.
        base: the number of the base plan among them.
        refused: how many made no valid plan, by reason.
        same: how many made a plan that another one had made.
        asked: how many there are, or were drawn.
    """

    parameters: tuple[Parameter, ...]
    combinations: tuple[Combination, ...]
    base: int
    refused: Counter[str]
    same: int
    asked: int

    @property
    def tried(self) -> tuple[Combination, ...]:
        """The combinations without the base plan."""
        return tuple(one for one in self.combinations if not one.is_extra)


# Arguments ----------------------------------------------------------------------------------------


def parameter(argument: str) -> Parameter:
    """Parses one `--set`.

    Raises:
        ConfigError: it cannot be read; one line.
    """
    key, equals, listed = (part.strip() for part in argument.partition("="))
    where = f"--set {argument!r}"
    if not (equals and key and listed):
        raise ConfigError(f"{where} cannot be read; write KEY=1,2,3 or KEY=FROM:TO:STEP")
    if key != "plan":
        if not _KEY.fullmatch(key):
            raise ConfigError(
                f"{where}: {key!r} is no key of a plan; write stop.atr or targets.1.r"
            )
        for fixed, why in FIXED_KEYS.items():
            if key == fixed or key.startswith(f"{fixed}."):
                raise ConfigError(f"{where}: {fixed} cannot be swept: {why}")
    elif ":" not in listed:
        names = tuple(name.strip() for name in listed.split(","))
        return Parameter(key, _distinct(names, where))
    if ":" not in listed:
        return Parameter(
            key, _distinct(tuple(_value(one, where) for one in listed.split(",")), where)
        )
    ends = [number(part, f"{where}: the bound") for part in listed.split(":")]
    if len(ends) not in {2, 3} or ends[0] >= ends[1]:
        raise ConfigError(f"{where}: a range is FROM:TO:STEP, rising, as in 0.002:0.006:0.001")
    if len(ends) == 2:
        return Parameter(key, (), (ends[0], ends[1]))
    low, high, step = ends
    return Parameter(key, _steps(low, high, step, where))


def parameters(arguments: Sequence[str]) -> tuple[Parameter, ...]:
    """Parses repeated `--set` options.

    Raises:
        ConfigError: one cannot be read, or two set the same key.
    """
    found = tuple(map(parameter, arguments))
    if not found:
        raise ConfigError("nothing to sweep; name a plan value, as in --set stop.atr=1.0,1.5,2.0")
    for key, times in Counter(one.key for one in found).items():
        if times > 1:
            raise ConfigError(f"--set {key} is given twice; put its values into one")
    return found


def _steps(low: Decimal, high: Decimal, step: Decimal, where: str) -> tuple[Value, ...]:
    if step <= 0:
        raise ConfigError(f"{where}: the step must be above 0")
    if (high - low) / step > RANGE_VALUES_MAX:
        raise ConfigError(f"{where}: more than {RANGE_VALUES_MAX} values; take a larger step")
    values: list[Value] = []
    at = low
    while at <= high:
        values.append(at)
        at = add(at, step)
    return tuple(values)


def _value(written: str, where: str) -> Value:
    written = written.strip()
    if written in {"true", "false"}:
        return written == "true"
    if _WORD.fullmatch(written) and not _EXPONENT.fullmatch(written):
        return written
    return number(written, f"{where}: the value")


def _distinct(values: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if "" in values:
        raise ConfigError(f"{where}: a value is missing between two commas")
    return tuple(dict.fromkeys(values))


def written(value: Value) -> str:
    """A value as it would be given."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else text(value)


# Combinations -------------------------------------------------------------------------------------


def grid(
    base: Plan, given: Sequence[Parameter], *, drawn: int | None = None, seed: int = 1
) -> Grid:
    """The combinations that are tried.

    Args:
        base: the plan that values are put into.
        given: what is set.
        drawn: how many combinations are drawn at random; None for all there are.
        seed: of the draws.

    Raises:
        ConfigError: there are too many, or none makes a valid plan.
        PlanError: a plan that `plan=` names does not exist or is refused.
    """
    maker = _Maker(base, given)
    if drawn is None:
        _refuse_whole_grid(given)
        choices: Iterator[tuple[Value, ...]] = product(*(one.values for one in given))
        for choice in choices:
            maker.make(choice)
    else:
        maker.draw(drawn, random.Random(seed))  # noqa: S311 - repeatable on purpose
    if not maker.found:
        reason = next(iter(maker.refused), "")
        raise ConfigError(f"no combination makes a valid plan; the first: {reason}")
    combinations = list(maker.found.values())
    if _content(base) in maker.found:
        place = list(maker.found).index(_content(base))
    else:
        place = len(combinations)
        values = tuple(_standing(base, one.key) for one in given)
        combinations.append(Combination(values, base, is_extra=True))
    return Grid(tuple(given), tuple(combinations), place, maker.refused, maker.same, maker.asked)


def _refuse_whole_grid(given: Sequence[Parameter]) -> None:
    for one in given:
        if one.between is not None:
            low, high = map(text, one.between)
            raise ConfigError(
                f"--set {one.key}={low}:{high} has no step; give one, or draw values with --random 200"
            )
    size = prod(len(one.values) for one in given)
    if size > COMBINATIONS_MAX:
        raise ConfigError(
            f"the grid has {size} combinations, the limit is {COMBINATIONS_MAX}: take fewer values,"
            " or draw some with --random 200"
        )


class _Maker:
    """Makes plans of choices, each once."""

    def __init__(self, base: Plan, given: Sequence[Parameter]) -> None:
        self._given = given
        self._bases = {"": base}
        self._keys = {one.key for one in given}
        self.found: dict[bytes, Combination] = {}
        self.refused: Counter[str] = Counter()
        self.same = self.asked = 0
        for one in given:
            if one.key == "plan":
                # A name that does not exist is a mistake in the question, not a combination refused.
                self._bases = {
                    str(name): msgspec.structs.replace(load_plan(str(name)), trigger=base.trigger)
                    for name in one.values
                }

    def make(self, choice: Sequence[Value]) -> None:
        """Puts one choice of values into the plan."""
        self.asked += 1
        values = tuple(map(written, choice))
        set_to = dict(zip((one.key for one in self._given), choice, strict=True))
        base = self._bases[str(set_to.pop("plan", ""))]
        tables = plan_tables(base)
        name = " ".join(
            f"{one.key}={value}" for one, value in zip(self._given, values, strict=True)
        )
        try:
            # Tables that are taken out first, so that a value for one of their keys can bring them back.
            for key, value in sorted(set_to.items(), key=lambda item: item[1] != OFF):
                _put(tables, key, value, swept=self._keys)
            plan = plan_from_tables(tables, source=name)
        except PlanError as error:
            self.refused[str(error).removeprefix(f"{name}: ")] += 1
            return
        content = _content(plan)
        if content in self.found:
            self.same += 1
        else:
            self.found[content] = Combination(values, plan)

    def draw(self, count: int, chance: random.Random) -> None:
        """Draws combinations until there are so many, or no new ones come any more."""
        idle = 0
        known: set[tuple[Value, ...]] = set()
        while len(self.found) < count and idle < DRAWS_PER_COMBINATION_MAX:
            choice = tuple(_drawn(one, chance) for one in self._given)
            before = len(self.found)
            if choice not in known:
                known.add(choice)
                self.make(choice)
            idle = 0 if len(self.found) > before else idle + 1


def _drawn(one: Parameter, chance: random.Random) -> Value:
    if one.between is None:
        return one.values[int(chance.random() * len(one.values))]
    low, high = one.between
    value = float(low) + chance.random() * float(high - low)
    digits = DRAWN_DIGITS - 1 - (int(log10(abs(value)) // 1) if value else 0)
    return min(max(Decimal(f"{value:.{max(digits, 0)}f}"), low), high)


def _put(tables: dict[str, Any], key: str, value: Value, *, swept: set[str]) -> None:
    """Sets one key of a plan's tables.

    Raises:
        PlanError: there is no such rung.
    """
    if value == KEPT:
        return
    parts = key.split(".")
    if value == OFF and parts[0] not in tables:
        return
    table: Any = tables
    for depth, part in enumerate(parts[:-1], 1):
        if isinstance(table, list):
            rung = int(part)
            if rung > len(table) + 1:
                raise PlanError(
                    f"{key}: there are {len(table)} rungs; the next one is {len(table) + 1}"
                )
            if rung > len(table):
                table.append({})
            table = table[rung - 1]
        else:
            empty: Any = [] if parts[depth].isdigit() else {}
            table = table.setdefault(part, empty)
    last = parts[-1]
    if isinstance(table, list):
        if value != OFF or not 1 <= int(last) <= len(table):
            raise PlanError(f"{key}: name a key of the rung, as in {key}.r")
        del table[int(last) - 1]
        return
    if value == OFF:
        table.pop(last, None)
        if not table and len(parts) == 2:
            # A table goes with its last key.
            del tables[parts[0]]
        return
    group = ".".join(part for part in parts[:-1] if not part.isdigit())
    for parent, alternatives, _ in ALTERNATIVES:
        if parent == group and last in alternatives:
            for other in alternatives:
                if other != last and ".".join((*parts[:-1], other)) not in swept:
                    table.pop(other, None)
    is_whole = isinstance(value, Decimal) and value == int(value)
    table[last] = int(value) if is_whole else value


def _content(plan: Plan) -> bytes:
    """What a plan decides: two names for the same levels are one combination."""
    tables = plan_tables(plan)
    tables.pop("name", None)
    return orjson.dumps(_numbers_normal(tables), option=orjson.OPT_SORT_KEYS)


def _numbers_normal(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers_normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers_normal(item) for item in value]
    try:
        return text(Decimal(value)) if isinstance(value, str) else value
    except ArithmeticError:
        return value


def _standing(plan: Plan, key: str) -> str:
    """What a plan has at a key, as it would be given."""
    if key == "plan":
        return plan.name
    found: Any = plan_tables(plan)
    for part in key.split("."):
        if isinstance(found, list):
            found = found[int(part) - 1] if 0 < int(part) <= len(found) else None
        elif isinstance(found, dict):
            found = found.get(part)
    if found is None:
        return OFF
    if isinstance(found, bool):
        return written(found)
    return KEPT if isinstance(found, dict | list) else str(_numbers_normal(str(found)))
