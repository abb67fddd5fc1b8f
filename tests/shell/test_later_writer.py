"""Lines that wait are written whole, in their order, and no more of them wait than may."""

from typing import Any

from reactor.shell.later_writer import LINES_MAX, LaterWriter


class Lines:
    def __init__(self) -> None:
        self.lines: list[Any] = []

    def write(self, *line: Any) -> None:
        self.lines.append(line)


def test_lines_keep_their_order_and_wait_until_drained() -> None:
    written = Lines()
    later = LaterWriter(written)
    later.write(1, "market", b"a")
    later.write(2, "order", b"b", "out")
    assert written.lines == []
    later.drain()
    assert written.lines == [(1, "market", b"a", "in"), (2, "order", b"b", "out")]
    later.drain()
    assert len(written.lines) == 2


def test_no_more_wait_than_may() -> None:
    written = Lines()
    later = LaterWriter(written)
    for number in range(LINES_MAX + 5):
        later.write(number, "market", b"x")
    assert len(written.lines) == LINES_MAX
    later.drain()
    assert [line[0] for line in written.lines] == list(range(LINES_MAX + 5))
