"""What is put and not yet on the disk: bounded, and what a restart needs is never what gives way.

Two kinds of rows. Those that are written once wait in a queue; when it is full, the oldest give way and are
counted. Those of which only the newest counts (an epoch's state, a hard stop's) are kept by their key: there
are as many as there are positions, and none is ever dropped.
"""

from collections import deque
from collections.abc import Hashable
from threading import RLock
from types import TracebackType
from typing import NamedTuple, Self

from reactor.shell.journal.rows import Row

QUEUE_MAX = 20_000
"""Rows that wait while the disk does not answer: hours of ordinary life, minutes of a crash."""


class Batch(NamedTuple):
    """What was taken to be written together."""

    rows: list[Row]
    newest: dict[Hashable, Row]
    number: int


class Backlog:
    """The rows between the loop and the writer.

    Attributes:
        put: how many rows were put so far. `dropped`: how many gave way.
    """

    def __init__(self, *, limit: int = QUEUE_MAX) -> None:
        self._limit = limit
        self._lock = RLock()
        self._rows: deque[Row] = deque()
        self._newest: dict[Hashable, Row] = {}
        self.put = 0
        self.dropped = 0

    def __enter__(self) -> Self:
        """Keeps the writer from taking rows: what is put until the exit is written together."""
        self._lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()

    def __len__(self) -> int:
        return len(self._rows) + len(self._newest)

    def add(self, row: Row) -> bool:
        """Adds a row that is written once; answers whether another had to give way."""
        with self._lock:
            self.put += 1
            self._rows.append(row)
            return self._cut()

    def keep(self, key: Hashable, row: Row) -> None:
        """Adds a row that takes the place of the one before it with this key."""
        with self._lock:
            self.put += 1
            self._newest[key] = row

    def take(self) -> Batch:
        """Takes everything."""
        with self._lock:
            batch = Batch(list(self._rows), self._newest, self.put)
            self._rows.clear()
            self._newest = {}
            return batch

    def give_back(self, batch: Batch) -> bool:
        """Takes back what could not be written; what came meanwhile is newer. Answers as `add`."""
        with self._lock:
            self._rows.extendleft(reversed(batch.rows))
            self._newest = {**batch.newest, **self._newest}
            return self._cut()

    def _cut(self) -> bool:
        over = len(self._rows) - self._limit
        for _ in range(over):
            self._rows.popleft()
            self.dropped += 1
        return over > 0
