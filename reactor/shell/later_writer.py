"""What is recorded is written down between prices, not while the next one waits.

Lines keep their order and their times. They wait a few milliseconds, so that what a crash takes with it is
next to nothing beside what the tape itself gathers before it writes.
"""

import asyncio
from typing import Final, Protocol

from reactor.shell.tape_format import Channel, Direction

LINES_MAX: Final = 2000
"""Waiting at most: then they are written at once."""

WAITS_S: Final = 0.005
"""How long the first of them waits."""


class Writes(Protocol):
    """What records."""

    def write(
        self, t_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> None:
        """Records one message; never raises."""
        ...


class LaterWriter:
    """Takes lines, and hands them on a moment later.

    Args:
        writer: writes them down.
        loop: whose time it is.
    """

    def __init__(self, writer: Writes, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = writer
        self._loop = loop
        self._lines: list[tuple[int, Channel, bytes, Direction]] = []

    def write(
        self, t_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> None:
        """Takes one line."""
        lines = self._lines
        if not lines:
            self._loop.call_later(WAITS_S, self.drain)
        lines.append((t_ns, channel, message, direction))
        if len(lines) >= LINES_MAX:
            self.drain()

    def drain(self) -> None:
        """Hands on everything that was taken, in its order."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        write = self._writer.write
        for line in lines:
            write(*line)
