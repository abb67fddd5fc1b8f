"""Which positions are tried: on every so many minutes of each recording, or those that were asked for.

An entry is the same for every combination of plan values: its tick, its side, its size, its entry price.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from reactor.core.decisions import Side
from reactor.core.exact import divide, floor_to, from_float, multiply
from reactor.core.ladder import Filters
from reactor.errors import ConfigError
from reactor.replay.options import AskedPosition
from reactor.sweep.course import Course

ENTRIES_MAX = 200_000
"""Positions per combination: beyond it nobody learns anything from more."""

QUANTITY_STEP = Decimal("1e-8")
"""What quantities are rounded to where no lot step is known: as many decimals as any contract has."""


class Entry(NamedTuple):
    """One position that is tried.

    Attributes:
        track: the number of the track. `row`: its first tick there.
        t_ns: that tick's receive time.
        side, quantity, price: what is entered; `price` is the average entry price.
        opens_at_start: whether it is one that was asked for, which opens at its symbol's first tick.
    """

    track: int
    row: int
    t_ns: int
    side: Side
    quantity: Decimal
    price: Decimal
    opens_at_start: bool = False


def every(
    courses: Sequence[Course],
    *,
    every_ns: int,
    sides: Sequence[Side],
    notional: Decimal,
    horizon_ns: int = 0,
    filters: Sequence[Filters],
) -> list[Entry]:
    """Entries at the first tick at or after every multiple of some time, on each side.

    Args:
        courses: the tracks.
        every_ns: the time; its multiples are counted from 1970, so that 1 h is on the hour.
        sides: LONG, SHORT or both.
        notional: of each position, in quote units.
        horizon_ns: how long a position lives at most, 0 for no bound: nothing is entered later than so long
            before a recording's end.
        filters: what a symbol rounds to where its recording does not say, one for each track.

    Returns:
        The entries in the order of time.

    Raises:
        ConfigError: there are too many, or one is smaller than what can be traded.
    """
    found: list[Entry] = []
    for number, course in enumerate(courses):
        last_ns = int(course.track.ticks.t_ns[-1]) - horizon_ns
        for row in _rows(course, every_ns, last_ns=last_ns):
            told = course.known(row).filters or filters[number]
            for side in sides:
                if side in course.track.sides:
                    price = _price(course, row, side)
                    quantity = _quantity(course.track.symbol, notional, price, told)
                    t_ns = int(course.track.ticks.t_ns[row])
                    found.append(Entry(number, row, t_ns, side, quantity, price))
            if len(found) > ENTRIES_MAX:
                raise ConfigError(
                    f"more than {ENTRIES_MAX} entries; enter less often with a longer --every"
                )
    return sorted(found, key=_order)


def asked(courses: Sequence[Course], positions: Sequence[AskedPosition]) -> list[Entry]:
    """The positions that were asked for, each at the first tick of every track of its symbol.

    Raises:
        ConfigError: no track is of its symbol.
    """
    found = []
    for one in positions:
        tracks = [
            (number, course)
            for number, course in enumerate(courses)
            if course.track.symbol == one.symbol and one.side in course.track.sides
        ]
        if not tracks:
            symbols = ", ".join(sorted({course.track.symbol for course in courses}))
            raise ConfigError(f"--position {one.symbol}: no price of it is there; {symbols}")
        for number, course in tracks:
            t_ns = int(course.track.ticks.t_ns[0])
            found.append(Entry(number, 0, t_ns, one.side, one.quantity, one.entry, True))
    return sorted(found, key=_order)


def _order(entry: Entry) -> tuple[int, int, Side]:
    return entry.t_ns, entry.track, entry.side


def _rows(course: Course, every_ns: int, *, last_ns: int) -> Iterator[int]:
    """The first tick at or after each multiple; a tick that is first for several is one entry."""
    t_ns = course.track.ticks.t_ns
    count = len(t_ns)
    due_ns = -(-int(t_ns[0]) // every_ns) * every_ns
    while (row := course.row_at(due_ns)) < count and int(t_ns[row]) <= last_ns:
        yield row
        due_ns = (int(t_ns[row]) // every_ns + 1) * every_ns


def _price(course: Course, row: int, side: Side) -> Decimal:
    """What a market entry would get: a price, or of a book the side that it takes."""
    track = course.track
    if track.texts is not None:
        bid, _, ask = track.texts[row].decode().partition(" ")
        return Decimal(ask if ask and side == "LONG" else bid)
    prices = track.asks if track.asks is not None and side == "LONG" else track.ticks.prices
    return from_float(float(prices[row]))


def _quantity(symbol: str, notional: Decimal, price: Decimal, filters: Filters) -> Decimal:
    quantity = floor_to(divide(notional, price), filters.step or QUANTITY_STEP)
    if quantity <= 0 or quantity < filters.min_quantity:
        least = max(filters.min_quantity, filters.step or QUANTITY_STEP)
        raise ConfigError(
            f"--notional {notional} buys less than {symbol}'s smallest quantity at {price};"
            f" give at least {multiply(least, price).normalize():f}"
        )
    return quantity
