"""The configuration file (`reactor.toml`): what a session runs with, validated.

plan = "trend_follow"              # the plan of every position that has no other

[symbols.BTCUSDT]
plan = "challenge_100"             # of both sides; `long = ` and `short = ` overrule it
tick = "0.1"                       # filters where the exchange's own are not at hand
step = "0.001"
min_qty = "0.001"
"""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from reactor.core.decisions import Side
from reactor.errors import ConfigError


class SymbolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[symbols.NAME]`: what differs for one symbol."""

    plan: str | None = None
    long: str | None = None
    short: str | None = None
    tick: Decimal | None = None
    step: Decimal | None = None
    min_qty: Decimal | None = None

    def plan_name(self, side: Side) -> str | None:
        """The plan named for a side; None where the file names none."""
        return (self.long if side == "LONG" else self.short) or self.plan


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A configuration file."""

    plan: str | None = None
    symbols: dict[str, SymbolConfig] = {}


def load_config(path: Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigError: it cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from None
    try:
        tables: Any = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None
    return config_from_tables(tables, source=str(path))


def config_from_tables(tables: Any, *, source: str) -> Config:
    """Validates a configuration that is already parsed: a file's, or the one in a tape's header.

    Raises:
        ConfigError: an unknown key or a wrong value; the message names it.
    """
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {error}") from None
    for symbol, values in config.symbols.items():
        for key in ("tick", "step", "min_qty"):
            value = getattr(values, key)
            if value is not None and not (value.is_finite() and value > 0):
                raise ConfigError(f"{source}: symbols.{symbol}.{key} = {value} must be above 0")
    return config
