"""The simulator's clocks: the only place in this package that reads one.

A real clock for people and clients; a virtual one that only the test moves, under which a day passes
as fast as the machine can compute it and the same seed gives the same bytes.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol


class Clock(Protocol):
    """What the server asks for the time."""

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        ...

    async def sleep_until(self, due_ms: int) -> None:
        """Return once the clock shows ``due_ms`` or later."""
        ...


class RealClock:
    """Wall-clock time that never runs backwards: wall time once, monotonic time from then on."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Return milliseconds since the Unix epoch."""
        return (self._offset_ns + time.monotonic_ns()) // 1_000_000

    async def sleep_until(self, due_ms: int) -> None:
        """Sleep until the clock shows ``due_ms``."""
        left_ms = due_ms - self.now_ms()
        if left_ms > 0:
            await asyncio.sleep(left_ms / 1000)


class VirtualClock:
    """Time that stands still until somebody moves it."""

    def __init__(self, start_ms: int) -> None:
        self._now_ms = start_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        """Return the time that the test has set, ms since the Unix epoch."""
        return self._now_ms

    def move_to(self, now_ms: int) -> None:
        """Move time forward and wake those who waited for it; never backwards."""
        self._now_ms = max(self._now_ms, now_ms)
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            _, _, sleeper = heapq.heappop(self._sleepers)
            if not sleeper.done():
                sleeper.set_result(None)

    async def sleep_until(self, due_ms: int) -> None:
        """Wait until somebody has moved the clock to ``due_ms``."""
        if due_ms <= self._now_ms:
            return
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (due_ms, next(self._order), sleeper))
        await sleeper
