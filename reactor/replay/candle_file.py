"""Candle files for `reactor atr`: `open_time,open,high,low,close` with a header, plain or .gz."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from reactor.core.candles import Candle
from reactor.errors import CandleFileError
from reactor.limits import PRICE_MAX, PRICE_MIN

OPEN_TIME_COLUMNS = ("open_time", "open_time_ms")
PRICE_COLUMNS = ("open", "high", "low", "close")


def read_candles(path: Path) -> Iterator[tuple[str, Candle]]:
    """Reads a candle file row by row.

    Args:
        path: a CSV file with a header that names `open_time` (or `open_time_ms`), `open`, `high`, `low`
            and `close`, in any order, with any other columns beside them; `.gz` is unpacked.

    Yields:
        The opening time as it is written, and the candle.

    Raises:
        CandleFileError: the file cannot be read, a column is missing, or a row is bad; one line that
            names the row.
    """
    try:
        with _open(path) as file:
            yield from _rows(file, path)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or "not a text file"
        raise CandleFileError(f"cannot read {path}: {reason}") from None


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(file: IO[str], path: Path) -> Iterator[tuple[str, Candle]]:
    rows = csv.reader(file)
    try:
        header = next(rows, None)
        if not header:
            raise CandleFileError(f"{path}: the file is empty; a header line is needed")
        names = [name.strip().lower() for name in header]
        time_column = next((name for name in OPEN_TIME_COLUMNS if name in names), None)
        missing = [name for name in PRICE_COLUMNS if name not in names]
        if time_column is None or missing:
            absent = ", ".join([] if time_column else ["open_time"]) or ", ".join(missing)
            raise CandleFileError(
                f"{path}: the header has no column {absent}; needed are open_time, open, high, low, close"
            )
        places = [names.index(name) for name in (time_column, *PRICE_COLUMNS)]
        before: Candle | None = None
        for row in rows:
            if not row:
                continue
            where = f"{path} line {rows.line_num}"
            text, candle = _candle(row, places, where)
            if before is not None and candle.open_time_ms <= before.open_time_ms:
                raise CandleFileError(f"{where}: open time {text} is not after the row before it")
            before = candle
            yield text, candle
    except csv.Error as error:
        raise CandleFileError(f"{path} line {rows.line_num}: {error}") from None


def _candle(row: list[str], places: list[int], where: str) -> tuple[str, Candle]:
    if len(row) <= max(places):
        raise CandleFileError(
            f"{where}: the row has {len(row)} columns, {max(places) + 1} are needed"
        )
    text, *prices = (row[place].strip() for place in places)
    values = [_price(price, where) for price in prices]
    opened, high, low, close = values
    if not low <= min(opened, close) <= max(opened, close) <= high:
        raise CandleFileError(f"{where}: open or close lies outside low to high")
    return text, Candle(_time(text, where), opened, high, low, close)


def _time(text: str, where: str) -> int:
    try:
        value = int(text.replace("_", "?"))
    except ValueError:
        raise CandleFileError(
            f"{where}: open time {text[:60]!r} is not a whole number of milliseconds"
        ) from None
    if value < 0:
        raise CandleFileError(f"{where}: open time {text} is negative")
    return value


def _price(text: str, where: str) -> float:
    try:
        # Python would take 1_000 for a thousand.
        value = float(text.replace("_", "?"))
    except ValueError:
        raise CandleFileError(f"{where}: price {text[:60]!r} is not a number") from None
    if not float(PRICE_MIN) <= value <= float(PRICE_MAX):
        raise CandleFileError(
            f"{where}: price {text!r} is out of range: {PRICE_MIN} to {PRICE_MAX}"
        )
    return value
