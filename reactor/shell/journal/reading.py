"""Reading a journal that may be in use: what `explain` and `why` look things up with."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from reactor.errors import BadInputError, ConfigError
from reactor.shell.journal.schema import APPLICATION_ID, MIGRATIONS

SECOND_NS = 1_000_000_000

Record = dict[str, Any]
"""A row by its column names; columns that hold JSON are decoded."""

_JSON_COLUMNS = frozenset({"body", "levels", "seen", "params", "state"})

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_SPAN_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Reader:
    """A journal's rows, read only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, *values: Any) -> list[Record]:
        """The rows of a query."""
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [
            {
                name: msgspec.json.decode(value) if name in _JSON_COLUMNS and value else value
                for name, value in zip(names, row, strict=True)
            }
            for row in cursor
        ]

    def row(self, sql: str, *values: Any) -> Record | None:
        """The first row of a query; None without one."""
        return next(iter(self.rows(sql, *values)), None)


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Opens a journal to read, whether or not its process runs.

    Raises:
        ConfigError: there is none, it is no journal, or it cannot be read; one line.
    """
    if not path.is_file():
        raise ConfigError(f"there is no journal at {path}; name it with --journal")
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise ConfigError(f"{path} is no journal of reactor; name one with --journal")
        if version > len(MIGRATIONS):
            raise ConfigError(
                f"{path} was written by a later version of reactor; read it with that"
            )
        yield Reader(connection)
    except sqlite3.Error as error:
        raise ConfigError(f"cannot read the journal {path}: {error}") from None
    finally:
        connection.close()


def when(text: str, *, now_ns: int, option: str) -> int:
    """A point in time as people write it, in nanoseconds since the Unix epoch.

    Args:
        text: `2026-11-21T03:00`, with a zone or else in UTC; `03:00[:05]`, the last one that was; `30m`, that
            long before now (s, m, h, d); or whole seconds, milliseconds or nanoseconds since the Unix epoch.
        now_ns: the present time.
        option: which option it was given to, for the message.

    Raises:
        BadInputError: it is none of these.
    """
    span = _SPAN.fullmatch(text)
    if span:
        return now_ns - round(float(span[1]) * _SPAN_S[span[2]] * SECOND_NS)
    if text.isdecimal() and len(text) in {10, 13, 19}:
        return int(text + "0" * (19 - len(text)))
    now = datetime.fromtimestamp(now_ns / SECOND_NS, UTC)
    try:
        if re.fullmatch(r"\d\d?:\d\d(:\d\d(\.\d+)?)?", text):
            at = datetime.fromisoformat(f"{now.date()}T{text.zfill(5)}").replace(tzinfo=UTC)
            at = at if at <= now else at - timedelta(days=1)
        else:
            at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"{option} {text}: no time; write 2026-11-21T03:00, 03:00 (UTC), or 30m for half an hour ago"
        ) from None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1_000_000) * 1000


def clock_text(t_ns: int | None) -> str:
    """A time for people: UTC, to the millisecond."""
    if not t_ns:
        return "-"
    seconds, rest = divmod(t_ns, SECOND_NS)
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"


def span_text(ns: int) -> str:
    """A length of time for people, in the unit that suits it."""
    for unit, size in (("s", SECOND_NS), ("ms", 1_000_000)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1000:.3g} µs"
