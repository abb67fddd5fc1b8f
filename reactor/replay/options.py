"""What `reactor replay` is asked for, parsed from its arguments."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from reactor.core.decisions import Side
from reactor.core.exact import ZERO, divide, multiply
from reactor.core.orders import Fills
from reactor.core.plan import Plan, Trigger
from reactor.core.sizing import Inputs, inputs_from_text
from reactor.errors import ConfigError
from reactor.limits import (
    AMOUNT_ABS_MAX,
    PRICE_MAX,
    PRICE_MIN,
    PRICE_TEXT_LENGTH_MAX,
    TIME_MS_MAX,
)

EngineChoice = Literal["auto", "walk", "columns"]

LADDER_INPUTS = ("leverage", "notional", "volatility", "volume_24h", "regime", "profit_pct")
RISK_INPUTS = ("margin", "liquidation_price")


class AskedPosition(msgspec.Struct, frozen=True):
    """One `--position`: opened at the symbol's first trigger-price tick."""

    symbol: str
    side: Side
    quantity: Decimal
    entry: Decimal


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides what a replay decides."""

    plan: Plan | None = None
    config: Path | None = None
    positions: tuple[AskedPosition, ...] = ()
    atrs: dict[str, Decimal] = {}
    inputs: dict[str, dict[str, str]] = {}
    ticks: dict[str, Decimal] = {}
    steps: dict[str, Decimal] = {}
    min_quantities: dict[str, Decimal] = {}
    trigger: Trigger | None = None
    fills: Fills = Fills.AT_TRIGGER
    speed: float = 0.0
    verify: bool = False
    engine: EngineChoice = "auto"
    symbol: str | None = None
    open_at_ns: int | None = None


_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_POSITION = re.compile(
    r"(?P<symbol>[^:@]+):(?P<side>[A-Za-z]+):(?P<quantity>[^:@]+)@(?P<entry>[^:@]+)"
)


def position(argument: str) -> AskedPosition:
    """Parses `SYMBOL:SIDE:QTY@ENTRY`.

    Raises:
        ConfigError: it is not of this form, or a number is not above 0.
    """
    match = _POSITION.fullmatch(argument.strip())
    mend = "write it as SYMBOL:SIDE:QTY@ENTRY, as in BTCUSDT:LONG:0.182@88126.16"
    if match is None:
        raise ConfigError(f"--position {argument!r} cannot be read; {mend}")
    side = match["side"].upper()
    if side not in {"LONG", "SHORT"}:
        raise ConfigError(f"--position {argument!r}: the side must be LONG or SHORT")
    return AskedPosition(
        match["symbol"].upper(),
        "LONG" if side == "LONG" else "SHORT",
        positive(match["quantity"], f"--position {argument!r}: quantity"),
        price(match["entry"], f"--position {argument!r}: entry"),
    )


def positions(arguments: Iterable[str]) -> tuple[AskedPosition, ...]:
    """Parses repeated `--position` options.

    Raises:
        ConfigError: one cannot be read, or two are of the same symbol and side.
    """
    asked = tuple(position(argument) for argument in arguments)
    seen = set()
    for one in asked:
        if (one.symbol, one.side) in seen:
            raise ConfigError(
                f"--position {one.symbol}:{one.side} is given twice; an account holds one of a side"
            )
        seen.add((one.symbol, one.side))
    return asked


def instant_ns(text: str, what: str) -> int:
    """An instant in nanoseconds since the Unix epoch: those as a whole number, or a date and time (UTC).

    Raises:
        ConfigError: the text is none, or lies outside 1970 to 2100.
    """
    text = text.strip()
    mend = "write nanoseconds since 1970, or a time as in 2024-08-08T23:55:00.250Z"
    try:
        if re.fullmatch("[0-9]{1,20}", text):
            t_ns = int(text)
        else:
            moment = datetime.fromisoformat(text)
            moment = moment.replace(tzinfo=moment.tzinfo or UTC)
            since = moment - datetime(1970, 1, 1, tzinfo=UTC)
            t_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    except (ValueError, OverflowError):
        raise ConfigError(f"{what} {text[:60]!r} is no instant; {mend}") from None
    if not 0 <= t_ns <= TIME_MS_MAX * 1_000_000:
        raise ConfigError(f"{what} {text[:60]!r} lies outside 1970 to 2100; {mend}")
    return t_ns


def by_symbol(
    arguments: Iterable[str], option: str, *, zero_is_none: bool = False
) -> dict[str, Decimal]:
    """Parses repeated `SYMBOL=VALUE` options.

    Args:
        arguments: as they were given.
        option: its name, for messages.
        zero_is_none: whether 0 may be given, and means what leaving the option out means.

    Raises:
        ConfigError: one is not of this form, or its value is not above 0.
    """
    values = {}
    for argument in arguments:
        symbol, equals, value = argument.partition("=")
        if not equals or not symbol.strip():
            raise ConfigError(f"{option} {argument!r} cannot be read; write it as SYMBOL=VALUE")
        what = f"{option} {argument!r}: the value"
        if zero_is_none and number(value, what) == 0:
            values[symbol.strip().upper()] = ZERO
        else:
            values[symbol.strip().upper()] = positive(value, what)
    return values


def ladder_inputs(arguments: Iterable[str]) -> dict[str, dict[str, str]]:
    """Parses repeated `SYMBOL:name=value` options.

    Raises:
        ConfigError: one is not of this form or names an input that there is not.
    """
    values: dict[str, dict[str, str]] = {}
    for argument in arguments:
        symbol, colon, rest = argument.partition(":")
        if not (symbol and colon):
            raise ConfigError(
                f"--input {argument!r} cannot be read; write it as SYMBOL:leverage=20"
            )
        mend = "write it as SYMBOL:leverage=20"
        name, value = _input(rest, argument, LADDER_INPUTS + RISK_INPUTS, mend)
        values.setdefault(symbol.strip().upper(), {})[name] = value
    return values


def level_inputs(arguments: Iterable[str]) -> Inputs:
    """Parses repeated `name=value` options: ladder inputs of the one position that levels are made for.

    Raises:
        ConfigError: one is not of this form or names an input that there is not.
    """
    given = [
        _input(argument, argument, LADDER_INPUTS, "write it as leverage=20")
        for argument in arguments
    ]
    return ladder_facts(dict(given))


def ladder_facts(texts: Mapping[str, str]) -> Inputs:
    """The ladder's inputs among given ones; what feeds the guards is no fact for a rule."""
    return inputs_from_text({name: texts[name] for name in LADDER_INPUTS if name in texts})


def guard_facts(
    texts: Mapping[str, str], quantity: Decimal, entry: Decimal
) -> tuple[Decimal | None, Decimal | None]:
    """Margin and liquidation price for the guards, among given inputs of a position."""
    margin = Decimal(texts["margin"]) if "margin" in texts else None
    if margin is None and "leverage" in texts:
        margin = divide(multiply(quantity, entry), Decimal(texts["leverage"]))
    liquidation = texts.get("liquidation_price")
    return margin, None if liquidation is None else Decimal(liquidation)


def _input(given: str, argument: str, known: Sequence[str], mend: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    name, value = name.strip(), value.strip()
    if not (name and equals and value):
        raise ConfigError(f"--input {argument!r} cannot be read; {mend}")
    if name not in known:
        raise ConfigError(f"--input {argument!r}: there is no input {name!r}; {', '.join(known)}")
    what = f"--input {argument!r}: {name}"
    if name in {"leverage", "margin"}:
        positive(value, what)
    elif name == "profit_pct":
        number(value, what)
    elif name != "regime" and number(value, what) < 0:
        raise ConfigError(f"{what} must not be negative")
    return name, value


def number(text: str, what: str) -> Decimal:
    """A finite decimal.

    Raises:
        ConfigError: the text is none.
    """
    text = text.strip()
    # `Decimal` itself would take "NaN", "1_0" and the digits of every script.
    if not _NUMBER.fullmatch(text):
        raise ConfigError(f"{what} {text[:60]!r} is not a number")
    value = Decimal(text)
    if len(text) > PRICE_TEXT_LENGTH_MAX or abs(value) > AMOUNT_ABS_MAX:
        raise ConfigError(f"{what} {text[:60]!r} is no number that a market could have")
    return value


def positive(text: str, what: str) -> Decimal:
    """A finite decimal above 0.

    Raises:
        ConfigError: the text is none.
    """
    value = number(text, what)
    if value <= 0:
        raise ConfigError(f"{what} {text!r} must be above 0")
    if value < PRICE_MIN:
        raise ConfigError(f"{what} {text!r} must be at least {PRICE_MIN}")
    return value


def price(text: str, what: str) -> Decimal:
    """A price that a market could have.

    Raises:
        ConfigError: the text is none.
    """
    value = positive(text, what)
    if value > PRICE_MAX:
        raise ConfigError(f"{what} {text!r} is out of range: {PRICE_MIN} to {PRICE_MAX}")
    return value
