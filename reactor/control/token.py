"""The control API's token: who has it may steer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reactor.errors import ConfigError

VARIABLE: Final = "REACTOR_HTTP_TOKEN"
CHARS_MIN: Final = 16
"""Short ones can be guessed; `openssl rand -hex 32` makes one of 64."""


def read_token(environ: Mapping[str, str], *, token_file: str | None = None) -> str | None:
    """The token from a file that an option names, or REACTOR_HTTP_TOKEN, or the file in REACTOR_HTTP_TOKEN_FILE.

    Raises:
        ConfigError: both variables are set, the file cannot be read, or the token is too short or not ASCII.
    """
    value = environ.get(VARIABLE) or None
    named = environ.get(f"{VARIABLE}_FILE") or None
    if token_file is None and value is not None and named is not None:
        raise ConfigError(f"both {VARIABLE} and {VARIABLE}_FILE are set: unset one of them")
    path = token_file or named
    if path is not None and (token_file is not None or value is None):
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ConfigError(f"cannot read the token file {path}: {reason}") from None
    if value is None:
        return None
    if len(value) < CHARS_MIN or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"{VARIABLE} must have at least {CHARS_MIN} ASCII characters and no blanks: "
            "make one with `openssl rand -hex 32`"
        )
    return value
