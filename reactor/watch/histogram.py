"""How long something took, counted in integer buckets: four to an octave, so at most 25 % wide.

A record is a shift, an add and an increment of a list. Bounds at powers of two are bucket bounds too, so
what Prometheus is given (`le`) is exact, not interpolated.
"""

from typing import Final

_SUB_BITS: Final = 2
_SUB: Final = 1 << _SUB_BITS
_OCTAVES_MAX: Final = 40
_BUCKETS: Final = (_OCTAVES_MAX - _SUB_BITS + 1) * _SUB
_DURATION_MAX_NS: Final = 1 << _OCTAVES_MAX

LE_OCTAVES: Final = range(10, 35)
"""Bounds that are exported: 2¹⁰ ns (about a microsecond) to 2³⁴ ns (about 17 s)."""


class Histogram:
    """Counts durations in nanoseconds.

    Attributes:
        count: how many were recorded. `sum_ns`: their sum.
    """

    __slots__ = ("_buckets", "count", "sum_ns")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.sum_ns = 0

    def record(self, duration_ns: int) -> None:
        """Counts a duration, held to 1 ns (two clocks, compared) and to 18 minutes."""
        if duration_ns > _DURATION_MAX_NS:
            duration_ns = _DURATION_MAX_NS
        elif duration_ns < 1:
            duration_ns = 1
        # One less than the duration: a bucket then holds (lower, upper], as Prometheus's `le` means it.
        value = duration_ns - 1
        shift = (value | _SUB).bit_length() - _SUB_BITS - 1
        self._buckets[(shift << _SUB_BITS) + (value >> shift)] += 1
        self.count += 1
        self.sum_ns += duration_ns

    def cumulative(self) -> list[tuple[int, int]]:
        """For each exported bound in nanoseconds, how many durations were at most that long."""
        total = 0
        below = 0
        counted = []
        for octave in LE_OCTAVES:
            end = _index(1 << octave)
            total += sum(self._buckets[below:end])
            below = end
            counted.append((1 << octave, total))
        return counted

    def add(self, other: "Histogram") -> None:
        """Counts everything that another one counted."""
        pairs = zip(self._buckets, other._buckets, strict=True)  # noqa: SLF001 - its own kind
        self._buckets = [ours + theirs for ours, theirs in pairs]
        self.count += other.count
        self.sum_ns += other.sum_ns

    def quantile_ns(self, share: float) -> int | None:
        """The duration that `share` (0 to 1) of all are at most as long as: its bucket's upper bound."""
        if not self.count:
            return None
        wanted = max(1, -int(-share * self.count // 1))
        seen = 0
        for index, number in enumerate(self._buckets):
            seen += number
            if seen >= wanted:
                return _upper_ns(index)
        return _upper_ns(_BUCKETS - 1)


def _index(value: int) -> int:
    shift = (value | _SUB).bit_length() - _SUB_BITS - 1
    return (shift << _SUB_BITS) + (value >> shift)


def _upper_ns(index: int) -> int:
    """The longest duration of a bucket."""
    shift = max(0, (index >> _SUB_BITS) - 1)
    return (index - (shift << _SUB_BITS) + 1) << shift
