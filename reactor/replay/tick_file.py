"""Files of plain ticks: columns of time and price, as .csv (plain, .gz, .zst) or .npz."""

import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from reactor.errors import TapeError
from reactor.limits import TIME_MS_MAX
from reactor.shell.compressed import StreamDamaged, decompressed_chunks, suffix_mismatch
from reactor.shell.line_batches import line_batches
from reactor.shell.tape_format import Damage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".csv", ".csv.gz", ".csv.zst", ".npz")

TIME_COLUMNS = tuple(
    name + unit
    for name in ("t", "ts", "time", "timestamp", "transact_time")
    for unit in ("", "_ns", "_us", "_ms", "_s")
)
PRICE_COLUMNS = ("price", "p", "last", "close")

UNSTAMPED_STEP_NS = 1_000_000
"""The time between two ticks of a file that has no times: 1 ms from 0."""

EXACT_DIGITS_MAX = 15
"""Decimal digits that a double always keeps; a text with more may not be the double's shortest one."""

DAMAGE_KEPT_MAX = 100
"""Damaged rows that are kept with their reasons; the rest is only counted."""

T_NS_MAX = TIME_MS_MAX * 1_000_000
NO_TIME_NS = -1
"""Stands for a time that is none; such a tick is reported and skipped by the walk."""

_UNITS_NS = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000, "_s": 1_000_000_000}


class TickFile(NamedTuple):
    """Plain ticks.

    Attributes:
        t_ns: times in nanoseconds since the Unix epoch.
        prices: one price per time, as doubles whose shortest text is the price.
        exact: whether every price in the file was such a text.
        texts: the prices as they were written, where doubles do not keep them; else None.
        has_times: whether the file states times; without, ticks are `UNSTAMPED_STEP_NS` apart.
        damage: rows that could not be read, the first ones with their reasons. `damage_count`: all.
        t_event_ms, ids: exchange times and ids, of ticks that have their own (a tape's); else an exchange
            time is the time in whole milliseconds, and an id the row's number from 1.
    """

    t_ns: "NDArray[np.int64]"
    prices: "NDArray[np.float64]"
    exact: bool
    texts: list[str] | None = None
    has_times: bool = True
    damage: tuple[Damage, ...] = ()
    damage_count: int = 0
    t_event_ms: "NDArray[np.int64] | None" = None
    ids: "NDArray[np.int64] | None" = None


def is_tick_file(path: Path) -> bool:
    """Whether a file is one of plain ticks, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def read_tick_file(path: Path) -> TickFile:
    """Reads a file of plain ticks.

    Args:
        path: .npz with arrays `price` and, if there are times, `t`; or .csv (.gz, .zst) with a header that
            names a price column (price, p, last, close) and a time column (t, ts_ms, time, timestamp …).
            Times are in the unit that the name says (_ns, _us, _ms, _s), else in the one in which
            the first lies between 2001 and 2100, else in nanoseconds.

    Returns:
        The ticks. Rows of a CSV file that cannot be read are left out and listed.

    Raises:
        TapeError: the file cannot be read, a column is missing, or no row is a tick; one line.
    """
    try:
        ticks = _read_npz(path) if path.suffix.lower() == ".npz" else _read_csv(path)
    except ImportError:
        raise TapeError(
            f"{path}: files of plain ticks need numpy: pip install 'exit-reactor[columns]'"
        ) from None
    except OSError as error:
        raise TapeError(f"cannot read {path}: {error.strerror or error}") from None
    if not len(ticks.prices):
        why = f": line {ticks.damage[0].line}: {ticks.damage[0].reason}" if ticks.damage else ""
        raise TapeError(f"{path}: there is no tick in it{why}")
    return ticks


# Arrays -------------------------------------------------------------------------------------------


def _read_npz(path: Path) -> TickFile:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    try:
        with path.open("rb") as file:
            # What is no zip archive must not reach numpy, which would look for a pickle in it.
            if file.read(2) != b"PK":
                raise TapeError(
                    f"{path}: not an .npz file; numpy.savez(file, t=…, price=…) makes one"
                )
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                names = list(arrays.files)
                price_name = next((name for name in PRICE_COLUMNS if name in names), None)
                time_name = next((name for name in TIME_COLUMNS if name in names), None)
                if price_name is None:
                    has = ", ".join(sorted(names)) or "none"
                    raise TapeError(f"{path}: no array named `price` among its arrays ({has})")
                # A member that is no array comes as its bytes.
                prices = np.asarray(arrays[price_name])
                times = None if time_name is None else np.asarray(arrays[time_name])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise TapeError(f"{path}: a damaged .npz file ({error})") from None
    except (ValueError, TypeError, KeyError) as error:
        raise TapeError(f"{path}: not an .npz file of numbers ({error})") from None
    if prices.ndim != 1 or prices.dtype.kind not in "iuf":
        shape = "x".join(map(str, prices.shape)) or "a single value"
        raise TapeError(f"{path}: `{price_name}` must be one row of numbers, not {shape}")
    if prices.dtype.kind == "f" and prices.dtype.itemsize < 8:
        # 61734.2 in single precision is 61734.19921875 in double; its shortest text is what was meant.
        prices = prices.astype(np.str_)
    columns = np.ascontiguousarray(prices, dtype=np.float64)
    if times is None or time_name is None:
        return TickFile(_unstamped(len(columns)), columns, exact=True, has_times=False)
    if times.shape != columns.shape or times.dtype.kind not in "iuf":
        raise TapeError(f"{path}: `{time_name}` must hold one number per price")
    return TickFile(_nanoseconds(times, time_name), columns, exact=True)


def _unstamped(count: int) -> "NDArray[np.int64]":
    import numpy as np  # noqa: PLC0415 - only where columns are read

    return np.arange(count, dtype=np.int64) * UNSTAMPED_STEP_NS


def _nanoseconds(times: "NDArray[np.generic]", name: str) -> "NDArray[np.int64]":
    """Times in nanoseconds; `NO_TIME_NS` for what lies outside 1970 to 2100."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    unit = _unit_ns(name, next((float(time) for time in times[:1]), 0.0))
    with np.errstate(invalid="ignore"):
        usable = (times >= 0) & (times <= T_NS_MAX // unit)  # type: ignore[operator]
    known = np.where(usable, times, 0)
    if times.dtype.kind == "f":
        scaled = np.rint(known.astype(np.float64) * unit).astype(np.int64)
    else:
        scaled = known.astype(np.int64) * unit
    return np.where(usable, scaled, NO_TIME_NS)


def _unit_ns(name: str, first: float) -> int:
    """How many nanoseconds a time's unit has: by the column's name, else by the size of the first one."""
    for suffix, size in _UNITS_NS.items():
        if name.endswith(suffix):
            return size
    # 2001 to 2100 in seconds, milliseconds and microseconds; anything else is in nanoseconds.
    return next((size for size in _UNITS_NS.values() if 9.78e17 <= first * size < 4.11e18), 1)


# Text ---------------------------------------------------------------------------------------------


class _Rows:
    """The readable rows of a CSV file: prices as written, times in the file's unit; and the damage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.texts: list[str] = []
        self.prices: list[float] = []
        self.times: list[str] = []
        self.time_name: str | None = None
        self.damage: list[Damage] = []
        self.damage_count = 0

    def read(self) -> None:
        """Reads the file.

        Raises:
            TapeError: it is empty, or its header names no price.
        """
        lines = self._lines()
        with closing(lines):
            _, header = next(lines, (0, ""))
            names = [_field(name).lower() for name in header.removeprefix("\ufeff").split(",")]
            price_name = next((name for name in PRICE_COLUMNS if name in names), None)
            if price_name is None:
                why = f" ({self.damage[0].reason})" if self.damage else ""
                raise TapeError(
                    f"{self.path}: no column named `price`; a header line is needed{why}"
                )
            self.time_name = next((name for name in TIME_COLUMNS if name in names), None)
            price_place = names.index(price_name)
            time_place = price_place if self.time_name is None else names.index(self.time_name)
            for number, line in lines:
                fields = line.split(",")
                try:
                    text, time = _field(fields[price_place]), _field(fields[time_place])
                    price = _number(text)
                    if self.time_name is not None:
                        _number(time)
                except (IndexError, ValueError):
                    self.report(number, f"no tick: {line[:60]!r}")
                    continue
                self.texts.append(text)
                self.prices.append(price)
                self.times.append(time)

    def report(self, line: int, reason: str) -> None:
        """Counts a row that cannot be read."""
        self.damage_count += 1
        if len(self.damage) < DAMAGE_KEPT_MAX:
            self.damage.append(Damage(line, reason))

    def _lines(self) -> Generator[tuple[int, str]]:
        whole = True

        def chunks() -> Iterator[bytes]:
            nonlocal whole
            try:
                yield from decompressed_chunks(self.path)
            except StreamDamaged:
                whole = False
                raise

        # A cut archive's last row may end within a number; a text file's last row needs no newline.
        batches = line_batches(chunks(), report=self.report, tail_is_complete=lambda _: whole)
        with closing(batches):
            for first, lines in batches:
                for number, line in enumerate(lines, first):
                    yield number, line.decode("utf-8", "replace")


def _read_csv(path: Path) -> TickFile:
    import numpy as np  # noqa: PLC0415 - only where columns are read

    with path.open("rb") as file:
        first_bytes = file.read(4)
    if not first_bytes:
        raise TapeError(f"{path}: the file is empty")
    if why := suffix_mismatch(path, first_bytes):
        raise TapeError(f"{path}: {why}")
    rows = _Rows(path)
    rows.read()
    exact = all(
        len(text) <= EXACT_DIGITS_MAX or sum(map(str.isdigit, text)) <= EXACT_DIGITS_MAX
        for text in rows.texts
    )
    prices = np.array(rows.prices, dtype=np.float64)
    if rows.time_name is None:
        t_ns = _unstamped(len(prices))
    else:
        unit = _unit_ns(rows.time_name, next((float(time) for time in rows.times[:1]), 0.0))
        t_ns = np.array([_exact_ns(time, unit) for time in rows.times], dtype=np.int64)
    return TickFile(
        t_ns,
        prices,
        exact=exact,
        texts=None if exact else rows.texts,
        has_times=rows.time_name is not None,
        damage=tuple(rows.damage),
        damage_count=rows.damage_count,
    )


def _field(text: str) -> str:
    return text.strip().strip('"')


def _number(text: str) -> float:
    """A number as exchanges write them; Python's own would take `1_0` too.

    Raises:
        ValueError: it is none.
    """
    if "_" in text:
        raise ValueError
    return float(text)


def _exact_ns(time: str, unit_ns: int) -> int:
    """A time's text in nanoseconds; `NO_TIME_NS` outside 1970 to 2100."""
    try:
        value = Decimal(time)
        t_ns = int(value * unit_ns) if 0 <= value <= T_NS_MAX else NO_TIME_NS
    except ArithmeticError:
        return NO_TIME_NS
    return t_ns if t_ns <= T_NS_MAX else NO_TIME_NS
