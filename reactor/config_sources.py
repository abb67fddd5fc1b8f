"""Where a live process's configuration comes from: `reactor.toml`, then environment variables, then options.

A key of the file is a variable of the same name: `mode` is `REACTOR_MODE`, `include` of `[manage]` is
`REACTOR_MANAGE_INCLUDE`. Lists are written with commas. The environment wins over the file, options win over both.
Keys and secrets are no configuration: they come from the environment alone, and a file that has them is refused.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from reactor.config import Config, config_from_tables, with_policy_files
from reactor.errors import ConfigError

PREFIX: Final = "REACTOR_"
DEFAULT_FILE: Final = "reactor.toml"

OTHER_VARIABLES: Final = frozenset(
    {
        "REACTOR_COMPILED",
        "REACTOR_CONFIG",
        "REACTOR_HTTP_TOKEN",
        "REACTOR_HTTP_TOKEN_FILE",
        "REACTOR_HTTP_URL",
        "REACTOR_NEW_EXAMPLES",
    }
)
"""Variables of ours that are no keys of the file."""

SECRET_WORDS: Final = ("api_key", "api_secret", "apikey", "secret", "token")


def read_config(
    file: Path | None, variables: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of a live process.

    Args:
        file: `--config`; None takes `REACTOR_CONFIG`, then `reactor.toml` where it is there, then none.
        variables: the environment.
        options: top-level keys that the command line gave.

    Raises:
        ConfigError: a file, a variable or an option is refused; the message names it.
    """
    path = file or (Path(variables["REACTOR_CONFIG"]) if variables.get("REACTOR_CONFIG") else None)
    if path is None and Path(DEFAULT_FILE).is_file():
        path = Path(DEFAULT_FILE)
    tables: dict[str, Any] = {} if path is None else _toml(path)
    _refuse_secrets(tables, path)
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
            _put(tables, name, variables[name])
    tables.update({key: value for key, value in (options or {}).items() if value is not None})
    config = config_from_tables(tables, source="configuration" if path is None else str(path))
    return with_policy_files(config, folder=Path() if path is None else path.parent)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def _refuse_secrets(tables: Mapping[str, Any], path: Path | None) -> None:
    for key, value in tables.items():
        if any(word == key.lower() for word in SECRET_WORDS):
            raise ConfigError(
                f"{path}: {key} has no place in a file; set BINANCE_API_KEY and BINANCE_API_SECRET (or …_FILE)"
            )
        if isinstance(value, dict):
            _refuse_secrets(value, path)


def _put(tables: dict[str, Any], name: str, text: str) -> None:
    """Puts a variable's value where its key is."""
    words = name.removeprefix(PREFIX).lower()
    kinds = get_type_hints(Config)
    if words in kinds and not _is_table(kinds[words]):
        tables[words] = _value(text, kinds[words])
        return
    for table, kind in kinds.items():
        if _is_table(kind) and words.startswith(f"{table}_"):
            key = words.removeprefix(f"{table}_")
            fields = get_type_hints(kind, include_extras=False)
            if key in fields:
                inner = tables.setdefault(table, {})
                if isinstance(inner, dict):
                    inner[key] = _value(text, fields[key])
                return
    raise ConfigError(
        f"{name}: there is no such key; see docs/configuration.md for those there are"
    )


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _value(text: str, kind: Any) -> Any:
    """A variable's text as what the key takes; what does not fit is refused with the rest."""
    if get_origin(kind) is tuple:
        return [word.strip() for word in text.split(",") if word.strip()]
    kinds = {kind, *get_args(kind)}
    if bool in kinds:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    if int in kinds:
        return int(text) if text.lstrip("-").isdigit() else text
    if float in kinds or Decimal in kinds:
        try:
            return float(text) if float in kinds else Decimal(text)
        except (ValueError, ArithmeticError):
            return text
    return text
