"""Letting go of what is old: small steps between commits, and nothing of an epoch that is open."""

import sqlite3

DAY_NS = 86_400_000_000_000
EVERY_NS = 3_600_000_000_000
ROWS_PER_STEP = 500
PAGES_PER_STEP = 200

SAMPLE_DAYS = 30
"""How long the minutes' nearest approaches are kept at most: they are most of the file, and soon forgotten."""

_OF_AN_OPEN_EPOCH = (
    "EXISTS (SELECT 1 FROM epochs WHERE ended_ns IS NULL AND epochs.symbol = {table}.symbol"
    " AND epochs.side = {table}.side AND epochs.opened_ns <= {table}.{time})"
)

_TABLES = (
    ("decisions", "row", "t_ns"),
    ("orders", "row", "t_ns"),
    ("outcomes", "row", "t_ns"),
    ("happenings", "row", "t_ns"),
    ("samples", "", "minute_ns"),
)


def _statement(table: str, row: str, time: str) -> str:
    """Deletes some rows of a table that are older than a time and of no open epoch."""
    kept = _OF_AN_OPEN_EPOCH.format(table=table, time=time)
    key = row or "symbol, side, minute_ns"
    return (
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table}"  # noqa: S608 - our own names
        f" WHERE {time} < ? AND NOT {kept} ORDER BY {time} LIMIT {ROWS_PER_STEP})"
    )


_ENDED_EPOCHS = f"""
    DELETE FROM epochs WHERE (symbol, side, epoch) IN (SELECT symbol, side, epoch FROM epochs
    WHERE ended_ns < ? ORDER BY ended_ns LIMIT {ROWS_PER_STEP})"""  # noqa: S608 - our own number

_STATEMENTS = (*(_statement(*table) for table in _TABLES), _ENDED_EPOCHS)
_SAMPLES = 4


class Retention:
    """Deletes what is older than `keep_days`, once an hour, a few rows at a time."""

    def __init__(self, *, keep_days: int) -> None:
        self._keep_ns = [keep_days * DAY_NS] * len(_STATEMENTS)
        self._keep_ns[_SAMPLES] = min(keep_days, SAMPLE_DAYS) * DAY_NS
        self._next_ns = 0
        self._at = len(_STATEMENTS)

    @property
    def is_busy(self) -> bool:
        """Whether there may be more to delete right now."""
        return self._at < len(_STATEMENTS)

    def step(self, connection: sqlite3.Connection, *, now_ns: int) -> int:
        """Deletes some rows if it is time to; answers how many.

        Raises:
            sqlite3.Error: the disk does not answer; the next step goes on there.
        """
        if not self.is_busy:
            if now_ns < self._next_ns:
                return 0
            self._next_ns = now_ns + EVERY_NS
            self._at = 0
        deleted = connection.execute(
            _STATEMENTS[self._at], (now_ns - self._keep_ns[self._at],)
        ).rowcount
        if deleted < ROWS_PER_STEP:
            self._at += 1
            if not self.is_busy:
                connection.execute(f"PRAGMA incremental_vacuum({PAGES_PER_STEP})").fetchall()
        return deleted
