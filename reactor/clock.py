"""The clock of the live process: the only place outside the simulator and the benchmarks that reads one.

Everything else is handed a `Clock`. A clock that follows an event loop's own time lets the whole process run
under virtual time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the shell asks for the time."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch; never runs backwards."""
        ...


class SystemClock:
    """Wall-clock time, read once and carried on by the monotonic clock: NTP steps cannot reorder a tape."""

    __slots__ = ("offset_ns",)

    def __init__(self) -> None:
        self.offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch; never runs backwards."""
        return self.offset_ns + time.monotonic_ns()


def parts_of(clock: Clock) -> tuple[int, Callable[[], int]]:
    """A clock as an offset and what it is added to, in nanoseconds: on the tick path a call less for each tick."""
    if type(clock) is SystemClock:
        return clock.offset_ns, time.monotonic_ns
    return 0, clock.now_ns


class LoopClock:
    """An event loop's time, from a given instant on: virtual where the loop's time is virtual."""

    __slots__ = ("_loop", "_offset_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop, *, start_ns: int) -> None:
        self._loop = loop
        self._offset_ns = start_ns - round(loop.time() * 1e9)

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch by the loop's clock."""
        return self._offset_ns + round(self._loop.time() * 1e9)
