"""Lines that wait are written whole, in their order, and no more of them wait than may."""

import asyncio
from typing import Any

from reactor.shell.later_writer import LINES_MAX, WAITS_S, LaterWriter


class Lines:
    def __init__(self) -> None:
        self.lines: list[Any] = []

    def write(self, *line: Any) -> None:
        self.lines.append(line)


async def test_lines_keep_their_order_and_wait_until_drained() -> None:
    written = Lines()
    later = LaterWriter(written, asyncio.get_running_loop())
    later.write(1, "market", b"a")
    later.write(2, "order", b"b", "out")
    assert written.lines == []
    later.drain()
    assert written.lines == [(1, "market", b"a", "in"), (2, "order", b"b", "out")]
    later.drain()
    assert len(written.lines) == 2


async def test_no_more_wait_than_may() -> None:
    written = Lines()
    later = LaterWriter(written, asyncio.get_running_loop())
    for number in range(LINES_MAX + 5):
        later.write(number, "market", b"x")
    assert len(written.lines) == LINES_MAX
    later.drain()
    assert [line[0] for line in written.lines] == list(range(LINES_MAX + 5))


async def test_nobody_has_to_drain_them() -> None:
    written = Lines()
    later = LaterWriter(written, asyncio.get_running_loop())
    for number in range(2):
        later.write(number, "market", b"x")
        async with asyncio.timeout(30):
            while len(written.lines) <= number:  # noqa: ASYNC110 - nothing tells of a line
                await asyncio.sleep(WAITS_S)
    assert [line[0] for line in written.lines] == [0, 1]
