"""The journal's one writer: groups what was put into commits, in a thread of its own or at once.

A commit takes everything that waits, so a slow disk means larger commits, not a longer queue. Checkpoints and
retention run in the same thread, between commits: the loop never waits for the disk. When a commit fails,
what it held goes back to the backlog, and is tried again until the disk is back.
"""

import sqlite3
import threading
from collections.abc import Callable
from typing import Protocol

from reactor.clock import Clock
from reactor.shell.journal.backlog import Backlog, Batch
from reactor.shell.journal.retention import Retention
from reactor.shell.journal.rows import Row

COMMIT_EVERY_S = 0.02
"""The shortest time between two commits of a running thread: what comes within it is one commit. A burst of
trailing stops is then fifty commits a second, not a thousand."""

RETRY_S = (0.1, 0.5, 2.0, 5.0)
"""The pauses after a failed commit; the last one for as long as it takes."""

CHECKPOINT_PAGES = 1000
"""Pages in the write-ahead log from which on they are moved into the database: 4 MB."""

IDLE_S = 5.0
"""How long the thread sleeps at most when nothing is put."""


class Tell(Protocol):
    """Takes a change of health."""

    def __call__(self, *, degraded: bool, reason: str) -> None:
        """Takes whether the journal is degraded, and why."""
        ...


class Writer:
    """Writes the backlog to one connection.

    Attributes:
        committed: the number of the last put that is on the disk, as `Backlog.put` counts.
        written: rows written so far. `commits`: in how many commits.
        faults: rows that could not be made into values (our bug); `last_fault`: the last one's text.
        overflowed: whether rows gave way since the last commit.
        failure: why the last commit failed; empty while all is well.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        backlog: Backlog,
        *,
        clock: Clock,
        retention: Retention,
        tell: Tell,
    ) -> None:
        self._connection = connection
        self._backlog = backlog
        self._clock = clock
        self._retention = retention
        self._tell = tell
        self._wake = threading.Event()
        self._rest = threading.Event()
        self._stop = threading.Event()
        self.overflowed = False
        self._flushed = threading.Condition()
        self._failures = 0
        self._pages = 0
        self.committed = 0
        self.written = 0
        self.commits = 0
        self.faults = 0
        self.last_fault = ""
        self.failure = ""
        self._thread: threading.Thread | None = None

    # From the loop ----------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to write in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        """Whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def wake(self) -> None:
        """Says that there is something to write."""
        if not self._wake.is_set():
            self._wake.set()

    def wait_until(self, number: int, *, timeout_s: float) -> bool:
        """Waits until this put is on the disk; answers whether it is."""
        self.hurry()
        with self._flushed:
            return self._flushed.wait_for(lambda: self.committed >= number, timeout_s)

    def stop(self, *, timeout_s: float) -> bool:
        """Ends the thread after what it is at; answers whether it ended in time."""
        self._stop.set()
        self.hurry()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def hurry(self) -> None:
        """Cuts the pauses between commits and after failures short."""
        self._rest.set()
        self._wake.set()

    # In the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(IDLE_S)
            self._wake.clear()
            if self._stop.is_set():
                return
            self.write()
            pause = COMMIT_EVERY_S
            if self.failure:
                pause = RETRY_S[min(self._failures, len(RETRY_S)) - 1]
                self._wake.set()
            else:
                self.keep_house()
                if self._retention.is_busy:
                    self._wake.set()
            self._rest.wait(pause)
            self._rest.clear()

    def write(self) -> bool:
        """Commits everything that waits; answers whether it is on the disk."""
        batch = self._backlog.take()
        if not batch.rows and not batch.newest:
            self._done(batch)
            return True
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is: nothing is lost, and a person is told
            self._failed(batch, error)
            return False
        self._done(batch)
        return True

    def _commit(self, batch: Batch) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for row in (*batch.rows, *batch.newest.values()):
                self._write_row(execute, row)
            execute(
                "INSERT OR REPLACE INTO meta (key, value) VALUES ('written_ns', ?)",
                (str(self._clock.now_ns()),),
            )
            execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise
        self.commits += 1
        self.written += len(batch.rows) + len(batch.newest)
        # A row touches a leaf or two; what matters is the order of magnitude.
        self._pages += len(batch.rows) + len(batch.newest) + 1

    def _write_row(self, execute: Callable[..., object], row: Row) -> None:
        try:
            values = row.encode(*row.arguments)
        except Exception as error:  # noqa: BLE001 - one row that cannot be told must not hold back the others
            self.faults += 1
            self.last_fault = f"{type(error).__name__}: {error}"
            return
        try:
            execute(row.sql, values)
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
            # It is the row, not the disk: tried again it would fail again.
            self.faults += 1
            self.last_fault = f"{type(error).__name__}: {error}"

    def _done(self, batch: Batch) -> None:
        with self._flushed:
            self.committed = batch.number
            self._flushed.notify_all()
        if self.failure or self.overflowed:
            self.failure, self._failures = "", 0
            self.overflowed = False
            self._tell(degraded=False, reason="")

    def _failed(self, batch: Batch, error: Exception) -> None:
        self._failures += 1
        if self._backlog.give_back(batch):
            self.overflowed = True
        reason = f"cannot write: {error}"
        if reason != self.failure:
            self.failure = reason
            self._tell(degraded=True, reason=reason)

    def keep_house(self) -> None:
        """Moves the log into the database when it has grown, and lets go of what is old."""
        try:
            if self._pages >= CHECKPOINT_PAGES:
                self._pages = 0
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._retention.step(self._connection, now_ns=self._clock.now_ns())
        except sqlite3.Error as error:
            # Nothing is lost by it; the next commit tells whether the disk is at fault.
            self.last_fault = f"house-keeping: {error}"
