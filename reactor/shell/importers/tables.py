"""CSV tables: plain, gzipped, zstd-packed or zipped, with or without a header row.

Also how cells become what a frame holds: exact decimal text, times in nanoseconds, symbols from
file names.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import orjson

from reactor.errors import RecordingError
from reactor.shell.importers.source import (
    Account,
    ImportOptions,
    numbered_lines,
    numbered_member_lines,
    open_zip,
)

#: Symbols end in what they are quoted in; anything else in a file's name is not taken for one.
_SYMBOL = re.compile(
    r"([^\W_]+?(?:USDT|USDC|BUSD|FDUSD|BTC|USD))(_PERP|_\d{6})?(?=[-_.])", re.IGNORECASE
)
_PLAIN_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_DIGITS_MAX = 40  # longer than any price or quantity; an exponent could ask for gigabytes of zeros
_ID_DIGITS_MAX = 18  # what fits 64 bits for certain
_CELL_CHARS_MAX = 1 << 16


class Table(NamedTuple):
    """One CSV file, or one member of a zip archive.

    Attributes:
        path: the file that the user named.
        name: the table's own name: the member's inside an archive.
        columns: the header row's names in lower case; empty where there is none.
        rows: (line number, cells).
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, list[str]]]

    def column(self, names: Iterable[str]) -> int | None:
        """The index of the first of these columns that the table has."""
        for name in names:
            if name in self.columns:
                return self.columns.index(name)
        return None


def tables(path: Path, account: Account) -> Iterator[Table]:
    """Yield the tables in a file: one, or every `.csv` of a `.zip`, to be read one after another.

    Raises:
        RecordingError: the file cannot be read, or the archive has no table.
    """
    if path.suffix.lower() != ".zip":
        yield from _table(path, path.name, numbered_lines(path, account), account)
        return
    with open_zip(path) as archive:
        members = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if not members:
            raise RecordingError(f"{path}: there is no .csv file in it")
        for member in members:
            lines = numbered_member_lines(archive, member, path, account)
            yield from _table(path, member, lines, account)


def _table(
    path: Path, name: str, lines: Iterator[tuple[int, bytes]], account: Account
) -> Iterator[Table]:
    """The one table that these lines are, or none if there are no lines."""
    rows = _rows(path, lines, account)
    first = next(rows, None)
    if first is None:
        account.note(f"{path.name}: {name} is empty")
    elif first[1][0][:1].isdigit():
        yield Table(path, name, (), _again(first, rows))
    else:
        account.skipped["header lines"] += 1
        yield Table(path, name, tuple(cell.strip().lower() for cell in first[1]), rows)


def _again(
    first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _rows(
    path: Path, lines: Iterator[tuple[int, bytes]], account: Account
) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        if len(line) > _CELL_CHARS_MAX:
            account.drop("a line far too long for a table", path, number)
            continue
        text = line.decode("utf-8", "replace")
        cells = text.split(",") if '"' not in text else next(csv.reader([text]), [""])
        yield number, cells


def symbol_of(table: Table, options: ImportOptions) -> str:
    """The symbol that a table is about: the option, or the beginning of the file's name.

    Raises:
        RecordingError: neither says one.
    """
    if options.symbol is not None:
        return options.symbol
    for name in (table.name.rpartition("/")[2], table.path.name):
        if found := _SYMBOL.match(name):
            return found.group(0).upper()
    raise RecordingError(
        f"{table.path}: the file's name does not begin with a symbol: say --symbol BTCUSDT"
    )


def decimal_text(cell: str) -> str | None:
    """The cell's number as plain digits, exactly; None for anything that is not a number ≥ 0."""
    if _PLAIN_DECIMAL.fullmatch(cell):
        return cell
    cell = cell.strip()
    if not cell or len(cell) > _DIGITS_MAX:
        return None
    try:
        number = Decimal(cell)
    except InvalidOperation:
        return None
    if not number.is_finite() or number.is_signed() or abs(number.adjusted()) > _DIGITS_MAX:
        return None
    return format(number, "f")


def price_text(cell: str) -> str | None:
    """Like `decimal_text`, and above zero."""
    text = decimal_text(cell)
    return text if text is not None and text.strip("0.") else None


def json_text(text: str) -> str:
    """The text as a JSON string, quotes included."""
    return orjson.dumps(text).decode()


def whole_number(cell: str) -> int | None:
    """An id or a count: a whole number ≥ 0 of at most 18 digits, `7.0` included; else None."""
    if not cell.isdigit():
        cell = cell.strip().removesuffix(".0")
    if len(cell) > _ID_DIGITS_MAX or not (cell.isdigit() and cell.isascii()):
        return None
    return int(cell)


def time_ns(cell: str, *, unit_ns: int | None = None) -> int | None:
    """A time as nanoseconds since the Unix epoch, exactly.

    Args:
        cell: a decimal number, or an ISO 8601 date and time (UTC unless it says otherwise).
        unit_ns: the number's unit; None: told from its size, which is unambiguous from 1973 on.

    Returns:
        None if it is no time.
    """
    text = decimal_text(cell)
    if text is None:
        return _iso_ns(cell.strip())
    if unit_ns is None:
        digits = len(text) if text.isdigit() else len(text.partition(".")[0])
        unit_ns = 10**9 if digits <= 11 else 10**6 if digits <= 14 else 10**3 if digits <= 17 else 1
    t_ns = int(text) * unit_ns if text.isdigit() else int(Decimal(text) * unit_ns)
    return t_ns if t_ns < 1 << 63 else None


def _iso_ns(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = (since_epoch.days * 86_400 + since_epoch.seconds) * 10**6
    t_ns = (microseconds + since_epoch.microseconds) * 1000
    return t_ns if t_ns >= 0 else None
