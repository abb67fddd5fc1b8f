"""The live table of `run` and `demo`: the picture, a few times a second on a terminal, else now and then as lines.

Made and written in a thread: a terminal that is stopped (Ctrl-S) or slow stops the table and nothing else.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from rich.console import Console
from rich.live import Live

from reactor.watch.tables import plain_lines, screen
from reactor.watch.view import Status

REDRAW_S: Final = 0.5
"""Twice a second: a drawing takes some 10 ms of the interpreter, and ticks wait for parts of it."""

PLAIN_S: Final = 60.0


class Terminal:
    """Shows the status.

    Args:
        look: the status now.
        console: where to; whether it is a terminal decides between a table and lines.
        redraw_s: between two drawings on a terminal, at least 0.25.
        plain_s: between two groups of lines elsewhere.
    """

    def __init__(
        self,
        look: Callable[[], Status],
        *,
        console: Console,
        redraw_s: float = REDRAW_S,
        plain_s: float = PLAIN_S,
    ) -> None:
        self._look = look
        self._console = console
        self._redraw_s = max(0.25, redraw_s)
        self._plain_s = plain_s

    async def run(self) -> None:
        """Shows until cancelled; a terminal that goes away ends it quietly."""
        try:
            if self._console.is_terminal:
                await self._run_table()
            else:
                await self._run_lines()
        except (OSError, ValueError):
            return

    def say(self, line: str) -> None:
        """Writes a line above the table: for logs that go to the same terminal. From any thread."""
        self._console.print(line.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)

    async def _run_table(self) -> None:
        live = Live(
            console=self._console,
            auto_refresh=False,
            transient=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        await asyncio.to_thread(live.start)
        try:
            while True:
                # Looked here, where the picture stands still; drawn elsewhere.
                await asyncio.to_thread(self._draw, live, self._look())
                await asyncio.sleep(self._redraw_s)
        finally:
            live.stop()

    def _draw(self, live: Live, status: Status) -> None:
        width, height = self._console.size
        rows_left = max(2, height - len(status.positions) - 10)
        live.update(screen(status, width=width, decisions_max=min(8, rows_left)), refresh=True)

    async def _run_lines(self) -> None:
        while True:
            lines = plain_lines(self._look())
            await asyncio.to_thread(self._write, lines)
            await asyncio.sleep(self._plain_s)

    def _write(self, lines: list[str]) -> None:
        self._console.file.write("\n".join(lines) + "\n")
        self._console.file.flush()
