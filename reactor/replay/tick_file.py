"""Files of plain ticks: columns of time and price, as .csv, .csv.gz or .npz."""

import csv
import gzip
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from reactor.errors import TapeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".csv", ".csv.gz", ".npz")

TIME_COLUMNS = ("t", "t_ns", "t_us", "t_ms", "t_s", "ts", "ts_ms", "time", "time_ms", "timestamp")
PRICE_COLUMNS = ("price", "p", "last", "close")

UNSTAMPED_STEP_NS = 1_000_000
"""The time between two ticks of a file that has no times: 1 ms from 0."""

EXACT_DIGITS_MAX = 15
"""Decimal digits that a double always keeps; a text with more may not be the double's shortest one."""


class TickFile(NamedTuple):
    """Plain ticks.

    Attributes:
        t_ns: times in nanoseconds since the Unix epoch.
        prices: one price per time, as doubles whose shortest text is the price.
        exact: whether every price in the file was such a text.
    """

    t_ns: "NDArray[np.int64]"
    prices: "NDArray[np.float64]"
    exact: bool


def is_tick_file(path: Path) -> bool:
    """Whether a file is one of plain ticks, by its name."""
    return path.name.endswith(SUFFIXES)


def read_tick_file(path: Path) -> TickFile:
    """Reads a file of plain ticks.

    Args:
        path: .npz with arrays `price` and, if there are times, `t`; or .csv(.gz) with a header that names a
            price column (price, p, last, close) and a time column (t, ts_ms, time, timestamp …). Times
            are in the unit that the name says (_ns, _us, _ms, _s), else in the one in which
            the first lies between 2001 and 2100, else in nanoseconds.

    Raises:
        TapeError: it cannot be read, a column is missing, or a row is no tick; one line.
    """
    try:
        ticks = _read_npz(path) if path.suffix == ".npz" else _read_csv(path)
    except ImportError:
        raise TapeError(
            f"{path}: files of plain ticks need numpy: pip install 'exit-reactor[columns]'"
        ) from None
    except (OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error) or "cut short"
        raise TapeError(f"cannot read {path}: {reason}") from None
    if not len(ticks.prices):
        raise TapeError(f"{path}: there is no tick in it")
    return ticks


def _read_npz(path: Path) -> TickFile:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = set(arrays.files)
            price_name = next((name for name in PRICE_COLUMNS if name in names), None)
            time_name = next((name for name in TIME_COLUMNS if name in names), None)
            if price_name is None:
                raise TapeError(
                    f"{path}: no array named `price`; it has {', '.join(sorted(names))}"
                )
            prices = np.ascontiguousarray(arrays[price_name], dtype=np.float64)
            times = None if time_name is None else arrays[time_name]
    except ValueError as error:
        raise TapeError(f"{path}: not an .npz file of numbers ({error})") from None
    if prices.ndim != 1:
        raise TapeError(f"{path}: `price` has {prices.ndim} dimensions, one is needed")
    if times is None or time_name is None:
        t_ns = np.arange(len(prices), dtype=np.int64) * UNSTAMPED_STEP_NS
    elif times.shape != prices.shape or times.dtype.kind not in "iuf":
        raise TapeError(f"{path}: `{time_name}` must hold one number per price")
    else:
        t_ns = _nanoseconds(times, time_name)
    return TickFile(t_ns, prices, exact=True)


def _read_csv(path: Path) -> TickFile:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    times: list[str] = []
    texts: list[str] = []
    with _open(path) as file:
        rows = csv.reader(file)
        header = [name.strip().lower() for name in next(rows, [])]
        price_name = next((name for name in PRICE_COLUMNS if name in header), None)
        time_name = next((name for name in TIME_COLUMNS if name in header), None)
        if price_name is None:
            raise TapeError(f"{path}: no column named `price`; a header line is needed")
        price_place = header.index(price_name)
        time_place = None if time_name is None else header.index(time_name)
        try:
            for row in rows:
                if row:
                    texts.append(row[price_place].strip())
                    if time_place is not None:
                        times.append(row[time_place])
        except (IndexError, csv.Error):
            raise TapeError(f"{path} line {rows.line_num}: the row has no such column") from None
    try:
        prices = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError as error:
        raise TapeError(f"{path}: {error}") from None
    if time_name is None:
        t_ns = np.arange(len(prices), dtype=np.int64) * UNSTAMPED_STEP_NS
    else:
        try:
            whole = all(time.strip().lstrip("-").isdigit() for time in times)
            t_ns = _nanoseconds(
                np.array([int(time) if whole else float(time) for time in times]), time_name
            )
        except (ValueError, OverflowError) as error:
            raise TapeError(f"{path}: column {time_name}: {error}") from None
    longest = max((len(text) for text in texts), default=0)
    exact = longest <= EXACT_DIGITS_MAX or all(
        sum(char.isdigit() for char in text) <= EXACT_DIGITS_MAX for text in texts
    )
    return TickFile(t_ns, prices, exact=exact)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _nanoseconds(times: "NDArray[np.generic]", name: str) -> "NDArray[np.int64]":
    """Times in nanoseconds; the unit is in the name, or told by the size of the first one."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    units = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000, "_s": 1_000_000_000}
    unit = next((size for suffix, size in units.items() if name.endswith(suffix)), None)
    if unit is None:
        # 2001 to 2100 in seconds, milliseconds and microseconds; anything else is in nanoseconds.
        first = float(times[0]) if len(times) else 0.0
        unit = next((size for size in units.values() if 9.78e17 <= first * size < 4.11e18), 1)
    if times.dtype.kind in "iu":
        return np.asarray(times.astype(np.int64) * unit, dtype=np.int64)
    return np.asarray(np.rint(times.astype(np.float64) * unit), dtype=np.int64)
