"""The journal as the live process uses it: put and forget on the loop, load at the start, flush at the end.

Nothing here waits for the disk but `open`, `load`, `flush` and `close`, and nothing but `open` and `load`
raises. While the disk fails the process goes on from memory: the newest state of every position is kept, told
as degraded, and written as soon as the disk is back.
"""

import os
import sqlite3
from collections.abc import Callable, Hashable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reactor.audit import (
    Audit,
    AuditEvent,
    Decided,
    Degraded,
    OrderAnswered,
    OrderSent,
    PositionGone,
    PositionSeen,
    ProtectionChanged,
)
from reactor.clock import Clock
from reactor.core.decisions import Closed, Reason, Side
from reactor.core.epoch_state import EpochState
from reactor.errors import JournalError
from reactor.shell.journal import rows
from reactor.shell.journal.backlog import QUEUE_MAX, Backlog
from reactor.shell.journal.database import OpenedFile, open_file
from reactor.shell.journal.retention import Retention
from reactor.shell.journal.rows import Row
from reactor.shell.journal.samples import Samples
from reactor.shell.journal.state import META_PREFIX, JournalState, load
from reactor.shell.journal.writer import Writer

Later = Callable[[Callable[[], None]], Any]
"""Runs a call on the loop, from any thread: `loop.call_soon_threadsafe`."""


class Journal:
    """One process's journal.

    Attributes:
        path: its file; None in memory.
        moved_aside: where a file went that could not be trusted: the state must come from the exchange.
            `why_moved`: what was wrong with it.
        degraded: whether it is not being written as it should; `reason` why.
    """

    def __init__(
        self,
        opened: OpenedFile,
        *,
        path: Path | None,
        clock: Clock,
        keep_days: int,
        inline: bool,
        queue_max: int,
    ) -> None:
        self.path = path
        self.moved_aside = opened.moved_aside
        self.why_moved = opened.why_moved
        self.degraded = False
        self.reason = ""
        self._connection = opened.connection
        self._lock = opened.lock
        self._clock = clock
        self._inline = inline
        self._turns = 0
        self._closed = False
        self._backlog = Backlog(limit=queue_max)
        self._writer = Writer(
            self._connection,
            self._backlog,
            clock=clock,
            retention=Retention(keep_days=keep_days),
            tell=self._health,
        )
        self._samples = Samples()
        self._known: dict[tuple[str, Side], EpochState] = {}
        self._seen: dict[tuple[str, Side], PositionSeen] = {}
        self._protection: dict[tuple[str, Side], str] = {}
        self._trades: dict[str, int] = {}
        self._audit: Audit | None = None
        self._later: Later | None = None
        self._state: JournalState | None = None

    @classmethod
    def open(
        cls,
        path: Path | None,
        *,
        clock: Clock,
        keep_days: int = 90,
        inline: bool = False,
        durable: bool = True,
        queue_max: int = QUEUE_MAX,
    ) -> "Journal":
        """Opens or creates a journal, and reads what the process before left.

        Args:
            path: its file; its folder is made. None keeps it in memory.
            clock: whose time is written.
            keep_days: how long what is over is kept.
            inline: writes at once, in the caller's thread: for virtual time, where threads have no place.
            durable: whether a commit outlives a power cut; off where the disk is only pretended.
            queue_max: rows that may wait for the disk.

        Raises:
            JournalError: another process has it, it is of a later version or another program's, or its place
                cannot be written to. A damaged file is no error: see `moved_aside`.
        """
        opened = open_file(path, now_ns=clock.now_ns(), durable=durable)
        journal = cls(
            opened,
            path=path,
            clock=clock,
            keep_days=keep_days,
            inline=inline,
            queue_max=queue_max,
        )
        try:
            journal._state = load(opened.connection)
        except sqlite3.Error as error:
            journal.abandon()
            raise JournalError(f"cannot read the journal {path}: {error}; move it away") from None
        if not inline:
            journal._writer.start()
        # From here on a process that just vanishes is told from one that ended in order.
        journal._keep("clean", rows.meta("clean", "0"))
        return journal

    def load(self) -> JournalState:
        """What the process before left, as it was when the journal was opened."""
        assert self._state is not None
        return self._state

    # On the loop ------------------------------------------------------------------------------

    def subscribe(self, audit: Audit, *, later: Later) -> None:
        """Watches an audit stream, and tells it when the journal is degraded and when it is well again.

        Args:
            audit: the stream.
            later: `loop.call_soon_threadsafe`: what the writer's thread finds is told on the loop.
        """
        self._audit = audit
        self._later = later
        audit.watch(self.watch)

    def turn(self) -> "Turn":
        """`with journal.turn():` what is put inside is written together, or not at all.

        It is for calls that do not wait: the writer stands still meanwhile, and a flush inside would wait for it.
        """
        return Turn(self)

    def watch(self, event: AuditEvent) -> None:
        """Takes an event of the audit stream."""
        what, t_ns = event.what, event.t_ns
        if isinstance(what, PositionSeen):
            self._look(what, t_ns)
        elif isinstance(what, Decided):
            self._decided(what, t_ns)
        elif isinstance(what, OrderSent):
            self.put(rows.order(what, t_ns=t_ns))
        elif isinstance(what, OrderAnswered):
            self.put(rows.outcome(what, t_ns=t_ns))
        elif isinstance(what, PositionGone):
            self._gone(what.symbol, what.side)
        elif isinstance(what, ProtectionChanged):
            # It comes with its clock every few seconds; what is kept is each change.
            key = (what.symbol, what.side)
            if self._protection.get(key) != what.state:
                self._protection[key] = what.state
                self.put(rows.happening(what, t_ns=t_ns))
        else:
            self.put(rows.happening(what, t_ns=t_ns))

    def put_epoch(self, state: EpochState) -> None:
        """Takes an epoch as it stands now: after each turn that changed it."""
        self._known[state.key] = state
        key = ("epoch", state.symbol, state.side, state.epoch)
        self._keep(key, rows.epoch(state, t_ns=self._clock.now_ns()))

    def end_epoch(self, state: EpochState) -> None:
        """Takes that an open epoch is nobody's any more: no later process takes it up. Why is not known here."""
        t_ns = self._clock.now_ns()
        closed = Closed(
            t_ns=t_ns,
            tick=state.rules.tick,
            symbol=state.symbol,
            side=state.side,
            epoch=state.epoch,
            reason=Reason.EXTERNAL,
            realized=None,
            r_multiple=None,
        )
        self._known.pop(state.key, None)
        end = ("end", state.symbol, state.side, state.epoch)
        self._keep(end, rows.epoch_end(closed, t_ns=t_ns))

    def put_hard_stop(self, symbol: str, side: Side, state: Any) -> None:
        """Takes how a position's exchange-side stop stands: a msgspec struct or what JSON has; None: gone."""
        row = rows.hard_stop(symbol, side, state, t_ns=self._clock.now_ns())
        self._keep(("hard_stop", symbol, side), row)

    def put_trade(self, symbol: str, trade_id: int, t_ms: int) -> None:
        """Takes a trade of the account: a restart asks for what came after the newest."""
        if trade_id <= self._trades.get(symbol, -1):
            return
        self._trades[symbol] = trade_id
        self._keep(("trade", symbol), rows.trade(symbol, trade_id, t_ms))

    def put_epochs(self, number: int) -> None:
        """Takes the highest epoch number given so far, where it is higher than any epoch that was put."""
        self._keep("epochs", rows.meta("epochs", str(number)))

    def put_note(self, key: str, value: str | None) -> None:
        """Keeps a named text for the next process; None takes it away."""
        self._keep(("note", key), rows.meta(META_PREFIX + key, value))

    def put_extreme(
        self, symbol: str, side: Side, price: Decimal, *, t_ns: int, source: str, age_ms: int | None
    ) -> None:
        """Adds a trigger price that came between two looks at the position: `why` tells of it."""
        self._samples.observe(symbol, side, price, t_ns=t_ns, source=source, age_ms=age_ms)

    def put(self, row: Row) -> None:
        """Takes a row that is written once. Never waits, never raises; when too many wait, the oldest go."""
        if self._backlog.add(row):
            self._overflow()
        self._after_put()

    def _keep(self, key: Hashable, row: Row) -> None:
        self._backlog.keep(key, row)
        self._after_put()

    def _after_put(self) -> None:
        if self._closed:
            return
        if not self._inline:
            self._writer.wake()
        elif not self._turns:
            self._write_now()

    def _write_now(self) -> None:
        if self._writer.write():
            self._writer.keep_house()

    def _look(self, seen: PositionSeen, t_ns: int) -> None:
        key = (seen.symbol, seen.side)
        self._seen[key] = seen
        if not seen.managed:
            return
        for start_ns, sample in self._samples.look(seen, t_ns=t_ns):
            self._keep(
                ("sample", *key, start_ns),
                rows.sample(seen.symbol, seen.side, start_ns, sample.epoch, sample),
            )

    def _decided(self, what: Decided, t_ns: int) -> None:
        decision = what.decision
        key = None if decision.side is None else (decision.symbol, decision.side)
        before = None if key is None else self._known.get(key)
        if before is not None and before.epoch != decision.epoch:
            before = None
        seen = None if key is None else self._seen.get(key)
        self.put(rows.decision(what, before=before, seen=seen))
        if isinstance(decision, Closed):
            end = ("end", decision.symbol, decision.side, decision.epoch)
            self._keep(end, rows.epoch_end(decision, t_ns=t_ns))
            if before is not None:
                del self._known[before.key]

    def _gone(self, symbol: str, side: Side) -> None:
        self._seen.pop((symbol, side), None)
        self._protection.pop((symbol, side), None)
        for start_ns, sample in self._samples.end(symbol, side):
            row = rows.sample(symbol, side, start_ns, sample.epoch, sample)
            self._keep(("sample", symbol, side, start_ns), row)

    # Health -----------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Rows that are not on the disk yet."""
        return len(self._backlog)

    @property
    def dropped(self) -> int:
        """Rows that gave way because too many waited; never an epoch's state."""
        return self._backlog.dropped

    @property
    def written(self) -> int:
        """Rows written so far."""
        return self._writer.written

    @property
    def commits(self) -> int:
        """Commits so far."""
        return self._writer.commits

    @property
    def faults(self) -> int:
        """Rows that could not be written because of what they are: our bug. `last_fault` says which."""
        return self._writer.faults

    @property
    def last_fault(self) -> str:
        """The last such row's fault."""
        return self._writer.last_fault

    def _overflow(self) -> None:
        self._writer.overflowed = True
        if not self.degraded:
            self._health(degraded=True, reason="the disk does not keep up: old rows give way")

    def _health(self, *, degraded: bool, reason: str) -> None:
        """Takes a change of health, in whichever thread it was found."""
        self.degraded, self.reason = degraded, reason
        audit, later = self._audit, self._later
        if audit is None or later is None:
            return
        what = Degraded(part="journal", degraded=degraded, reason=reason)

        def tell() -> None:
            audit.publish(what, t_ns=self._clock.now_ns())

        # A loop that is closed has nobody left to tell.
        with suppress(RuntimeError):
            later(tell)

    # The end ----------------------------------------------------------------------------------

    def flush(self, timeout_s: float) -> bool:
        """Waits until everything put so far is on the disk, in seconds; answers whether it is."""
        if self._closed:
            return not len(self._backlog)
        if self._inline or not self._writer.runs:
            return self._writer.write()
        return self._writer.wait_until(self._backlog.put, timeout_s=timeout_s)

    def hurry(self) -> None:
        """Has what was put so far written at once, and does not wait for it."""
        if self._inline or not self._writer.runs:
            self._writer.write()
        else:
            self._writer.hurry()

    def is_written(self, number: int) -> bool:
        """Whether what had been put when `put_count` was this is on the disk."""
        return self._writer.committed >= number

    @property
    def put_count(self) -> int:
        """How many rows were put so far."""
        return self._backlog.put

    def close(self, *, timeout_s: float = 3.0) -> bool:
        """Writes what waits, says that the process ended in order, and lets go of the file.

        Returns:
            Whether everything is on the disk.
        """
        if self._closed:
            return True
        for symbol, side, start_ns, sample in self._samples.end_all():
            row = rows.sample(symbol, side, start_ns, sample.epoch, sample)
            self._backlog.keep(("sample", symbol, side, start_ns), row)
        self._backlog.keep("clean", rows.meta("clean", "1"))
        written = self.flush(timeout_s)
        if written:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._let_go(timeout_s)
        return written

    def abandon(self) -> None:
        """Lets go of the file and writes nothing any more: how a process that is killed leaves it."""
        self._let_go(1.0)

    def _let_go(self, timeout_s: float) -> None:
        if self._closed:
            return
        self._closed = True
        if self._writer.stop(timeout_s=timeout_s):
            # Otherwise the thread hangs in the disk; the process is about to end, and its lock with it.
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class Turn:
    """What is put within one turn of the loop: written together."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> Self:
        journal = self._journal
        journal._backlog.__enter__()  # noqa: SLF001 - a turn is part of the journal
        journal._turns += 1  # noqa: SLF001
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        journal = self._journal
        journal._turns -= 1  # noqa: SLF001
        journal._backlog.__exit__(kind, error, trace)  # noqa: SLF001
        if not journal._turns:  # noqa: SLF001
            journal._after_put()  # noqa: SLF001
