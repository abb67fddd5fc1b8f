"""The event loop's pulse: how late it wakes. While it stands still, no tick is decided on."""

import asyncio
from typing import Final

from reactor.clock import Clock
from reactor.watch.histogram import Histogram

EVERY_S: Final = 0.5
"""Often enough to notice a second's stand-still, too seldom to cost anything."""


class Pulse:
    """Measures how late the loop wakes.

    Attributes:
        late_max_ns: the longest since the start. `lateness`: all of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ns = clock.now_ns() + round(EVERY_S * 1e9)
        self.late_max_ns = 0
        self.lateness = Histogram()

    def still_ns(self, now_ns: int) -> int:
        """For how long the next beat has been due."""
        return max(0, now_ns - self._due_ns)

    async def run(self) -> None:
        """Beats until cancelled."""
        while True:
            self._due_ns = self._clock.now_ns() + round(EVERY_S * 1e9)
            await asyncio.sleep(EVERY_S)
            late_ns = self.still_ns(self._clock.now_ns())
            self.late_max_ns = max(self.late_max_ns, late_ns)
            self.lateness.record(late_ns)
