"""What is put is there for the next process, whatever the disk does meanwhile."""

import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from journal_story import SECOND_NS, START_NS, Guarded, HandClock, a_short_life, state

from reactor.audit import AlarmRaised, Audit, AuditEvent, Degraded, LinkChanged, ProtectionChanged
from reactor.core.decisions import Exit
from reactor.shell.journal import rows
from reactor.shell.journal.backlog import Backlog
from reactor.shell.journal.journal import Journal
from reactor.shell.journal.rows import Row
from reactor.shell.journal.state import LastTrade

LONG_S = 20.0  # a bound for a machine that is busy, never reached by one that is not


class Placed(msgspec.Struct, frozen=True):
    """What a keeper of hard stops might remember."""

    client_id: str
    trigger: Decimal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "reactor.db"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal.open(path, clock=HandClock())
    yield journal
    journal.abandon()


def reopened(path: Path, **options: Any) -> Journal:
    return Journal.open(path, clock=HandClock(START_NS + 3600 * SECOND_NS), **options)


def read(path: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


# What a restart needs -----------------------------------------------------------------------------


@pytest.mark.parametrize("inline", [False, True])
def test_everything_that_a_restart_needs_comes_back(path: Path, *, inline: bool) -> None:
    first = Journal.open(path, clock=HandClock(), inline=inline)
    assert first.load().open_epochs == ()
    assert (first.load().clean, first.load().written_ns) == (True, None)
    held, other = state(prices=("100", "101")), state("ETHUSDT", epoch=7, side="SHORT")
    first.put_epoch(state())
    first.put_epoch(held)
    first.put_epoch(other)
    first.put_hard_stop("BTCUSDT", "LONG", Placed("x1", Decimal("98.50")))
    first.put_hard_stop("ETHUSDT", "SHORT", Placed("x2", Decimal(102)))
    first.put_hard_stop("ETHUSDT", "SHORT", None)
    first.put_trade("BTCUSDT", 41, 1000)
    first.put_trade("BTCUSDT", 40, 900)
    first.put_note("virtual", "something")
    first.put_note("gone", "x")
    first.put_note("gone", None)
    first.put_epochs(9)
    assert first.flush(LONG_S)
    first.abandon()

    second = reopened(path, inline=inline)
    left = second.load()
    assert left.open_epochs == (held, other)
    assert left.epochs == 9
    assert left.hard_stop("BTCUSDT", "LONG", Placed) == Placed("x1", Decimal("98.50"))
    assert left.hard_stop("ETHUSDT", "SHORT", Placed) is None
    assert left.hard_stop("BTCUSDT", "LONG", int) is None, "another version's: ask the exchange"
    assert left.last_trades == {"BTCUSDT": LastTrade(41, 1000)}
    assert left.notes == {"virtual": "something"}
    assert (left.clean, left.written_ns) == (False, START_NS)
    assert second.close()
    third = reopened(path)
    assert third.load().clean
    third.abandon()


def test_an_ended_epoch_does_not_come_back(path: Path) -> None:
    guarded = a_short_life(path)
    assert len(guarded.said) >= 4
    left = reopened(path, inline=True)
    assert left.load().open_epochs == ()
    assert left.load().epochs == 1
    left.abandon()
    ((cause, ended, plan),) = read(path, "SELECT cause, ended_ns IS NOT NULL, plan FROM epochs")
    assert (cause, ended, plan) == ("external", 1, "told")


def test_a_late_state_does_not_open_an_ended_epoch_again(path: Path) -> None:
    guarded = a_short_life(path)
    journal = reopened(path, inline=True)
    journal.put_epoch(state())
    journal.abandon()
    assert guarded.journal.waiting == 0
    again = reopened(path, inline=True)
    assert again.load().open_epochs == ()
    again.abandon()


def test_an_exit_that_the_state_does_not_know_is_told(path: Path) -> None:
    """The process was killed between the decision's commit and the state's."""
    clock = HandClock()
    guarded = Guarded(Journal.open(path, clock=clock, inline=True), clock)
    guarded.tick("100")
    guarded.position("2")
    before = guarded.journal._known["BTCUSDT", "LONG"]
    guarded.tick("98.5")
    guarded.journal.put_epoch(before)
    guarded.journal.abandon()
    journal = reopened(path, inline=True)
    (exit_,) = journal.load().unsettled
    assert exit_ == guarded.last_exit()
    assert isinstance(exit_, Exit)
    journal.put_epoch(state_after(guarded))
    journal.abandon()
    settled = reopened(path, inline=True)
    assert settled.load().unsettled == ()
    settled.abandon()


def state_after(guarded: Guarded) -> Any:
    from reactor.core.epoch_state import state_of

    return state_of(guarded.engine.positions["BTCUSDT", "LONG"])


def test_a_state_of_another_shape_is_named_and_hides_no_other(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True)
    journal.put_epoch(state())
    journal.put_epoch(state("ETHUSDT", epoch=2))
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE epochs SET state = '{}' WHERE symbol = 'BTCUSDT'")
    connection.commit()
    connection.close()
    left = reopened(path, inline=True)
    assert [epoch.symbol for epoch in left.load().open_epochs] == ["ETHUSDT"]
    (line,) = left.load().unreadable
    assert line.startswith("BTCUSDT LONG epoch 1: ")
    left.abandon()


def test_what_is_put_within_a_turn_is_written_together(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True)
    commits = journal.commits
    with journal.turn():
        journal.put_epoch(state())
        journal.put(rows.happening(AlarmRaised(kind="k", text="t"), t_ns=1))
        with journal.turn():
            journal.put_trade("BTCUSDT", 1, 1)
        assert journal.commits == commits
    assert journal.commits == commits + 1
    journal.abandon()


def test_the_writer_takes_nothing_while_a_turn_lasts() -> None:
    backlog = Backlog()
    taken: list[int] = []
    began = threading.Event()

    def take() -> None:
        began.set()
        taken.append(len(backlog.take().rows))

    with backlog:
        backlog.add(rows.meta("a", "1"))
        thread = threading.Thread(target=take)
        thread.start()
        began.wait(LONG_S)
        backlog.add(rows.meta("b", "1"))
        assert taken == []
    thread.join(LONG_S)
    assert taken == [2]


def test_what_is_on_the_disk_can_be_asked_without_waiting(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True)
    disk = broken(journal)
    journal.put_epoch(state())
    assert journal.is_written(journal.put_count)
    disk.works = False
    journal.put_epoch(state(prices=("100", "101")))
    assert not journal.is_written(journal.put_count)
    journal.abandon()


def test_after_the_end_putting_is_harmless(journal: Journal) -> None:
    assert journal.close()
    journal.put_epoch(state())
    journal.put(rows.meta("x", "y"))
    assert journal.close()
    assert not journal.flush(0)


# A failing disk -----------------------------------------------------------------------------------


class Broken:
    """A connection whose disk can be taken away."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.works = True
        self.fails_at = "BEGIN"

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    def rollback(self) -> None:
        self.connection.rollback()

    def execute(self, sql: str, *values: Any) -> Any:
        if not self.works and sql.startswith(self.fails_at):
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(sql, *values)


def broken(journal: Journal) -> Broken:
    disk = Broken(journal._connection)
    journal._writer._connection = disk  # type: ignore[assignment]
    return disk


def told(journal: Journal) -> list[Degraded]:
    audit, said = Audit(), []

    def hear(event: AuditEvent) -> None:
        if isinstance(event.what, Degraded):
            said.append(event.what)

    audit.watch(hear)
    journal._audit, journal._later = audit, lambda call: call()
    return said


@pytest.mark.parametrize("fails_at", ["BEGIN", "INSERT INTO epochs", "COMMIT"])
def test_a_failing_disk_is_told_and_what_counts_is_written_when_it_is_back(
    fails_at: str, path: Path
) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True, queue_max=3)
    disk, said = broken(journal), told(journal)
    disk.fails_at = fails_at
    disk.works = False
    journal.put_epoch(state())
    for number in range(10):
        journal.put_epoch(state(prices=("100", *(f"100.{i}" for i in range(1, number + 1)))))
        journal.put(rows.happening(AlarmRaised(kind="k", text=str(number)), t_ns=number))
    assert journal.degraded
    assert "disk I/O error" in journal.reason
    assert (journal.waiting, journal.dropped) == (4, 7)
    assert not journal.flush(0)
    disk.works = True
    newest = state(prices=("100", "100.9"))
    journal.put_epoch(newest)
    assert [(one.part, one.degraded) for one in said][:1] == [("journal", True)]
    assert (said[-1].degraded, said[-1].reason) == (False, "")
    journal.abandon()
    again = reopened(path, inline=True)
    assert again.load().open_epochs == (newest,)
    bodies = [body for (body,) in read(path, "SELECT body FROM alarms ORDER BY row")]
    assert [msgspec.json.decode(body)["text"] for body in bodies] == ["7", "8", "9"]
    again.abandon()


def test_the_thread_tries_again_until_the_disk_is_back(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock())
    assert journal.flush(LONG_S)
    disk = broken(journal)
    failed, well = threading.Event(), threading.Event()
    audit = Audit()

    def hear(event: AuditEvent) -> None:
        if isinstance(event.what, Degraded):
            (failed if event.what.degraded else well).set()

    audit.watch(hear)
    journal.subscribe(audit, later=lambda call: call())
    disk.works = False
    journal.put_epoch(state())
    assert failed.wait(LONG_S)
    disk.works = True
    assert well.wait(LONG_S)
    assert journal.flush(LONG_S)
    journal.abandon()
    again = reopened(path, inline=True)
    assert again.load().open_epochs == (state(),)
    again.abandon()


def test_a_really_full_disk(path: Path) -> None:
    """SQLite itself runs out of room, in the middle of a transaction."""
    journal = Journal.open(path, clock=HandClock(), inline=True)
    journal.put_epoch(state())
    said = told(journal)
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")
    journal.put(rows.happening(AlarmRaised(kind="k", text="x" * 100_000), t_ns=1))
    assert journal.degraded
    assert "full" in journal.reason
    moved = state(prices=("100", "101"))
    journal.put_epoch(moved)
    journal._connection.execute("PRAGMA max_page_count = 1000000")
    assert journal.flush(LONG_S)
    assert [one.degraded for one in said] == [True, False]
    journal.abandon()
    again = reopened(path, inline=True)
    assert again.load().open_epochs == (moved,)
    assert len(read(path, "SELECT * FROM alarms")) == 1
    again.abandon()


def test_a_row_that_cannot_be_told_holds_nothing_back(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True)

    def fails() -> tuple[Any, ...]:
        raise TypeError("no text for this")

    with journal.turn():
        journal.put(Row("INSERT INTO meta VALUES (?, ?)", fails, ()))
        journal.put(rows.meta("k", object()))  # type: ignore[arg-type]
        journal.put_epoch(state())
    assert (journal.faults, journal.degraded) == (2, False)
    assert journal.last_fault
    journal.abandon()
    again = reopened(path, inline=True)
    assert again.load().open_epochs == (state(),)
    again.abandon()


def test_a_full_queue_is_told_and_told_to_be_over(path: Path) -> None:
    journal = Journal.open(path, clock=HandClock(), inline=True, queue_max=2)
    said = told(journal)
    with journal.turn():
        for number in range(5):
            journal.put(rows.happening(AlarmRaised(kind="k", text=str(number)), t_ns=number))
        assert (journal.degraded, journal.dropped) == (True, 3)
        assert "does not keep up" in journal.reason
    assert [one.degraded for one in said] == [True, False]
    journal.abandon()


def test_what_came_meanwhile_is_newer_than_what_is_given_back() -> None:
    backlog = Backlog(limit=3)
    backlog.keep("state", rows.meta("state", "old"))
    backlog.keep("other", rows.meta("other", "old"))
    for name in ("1", "2"):
        backlog.add(rows.meta(name, ""))
    batch = backlog.take()
    assert len(backlog) == 0
    backlog.keep("state", rows.meta("state", "new"))
    backlog.add(rows.meta("3", ""))
    assert not backlog.give_back(batch)
    assert backlog.add(rows.meta("4", "")), "the oldest gives way"
    again = backlog.take()
    assert [row.arguments[0] for row in again.rows] == ["2", "3", "4"]
    assert {key: row.arguments[1] for key, row in again.newest.items()} == {
        "state": "new",
        "other": "old",
    }
    assert (again.number, backlog.dropped) == (7, 1)


# The audit stream ---------------------------------------------------------------------------------


def test_happenings_are_kept_and_credentials_are_not(path: Path) -> None:
    clock = HandClock()
    guarded = Guarded(Journal.open(path, clock=clock, inline=True), clock)
    guarded.tick("100")
    guarded.position("2")
    guarded.tick("98")
    guarded.tell(LinkChanged(stream="market", state="down", reason="1006"))
    guarded.tell(AlarmRaised(kind="naked", text="no hard stop", symbol="BTCUSDT"))
    for seconds in (0.0, 5.0, 10.0):
        guarded.tell(
            ProtectionChanged(
                symbol="BTCUSDT",
                side="LONG",
                state="naked",
                naked_seconds=seconds,
                blind_seconds=0,
            )
        )
    guarded.journal.close()
    kinds = [kind for (kind,) in read(path, "SELECT kind FROM happenings ORDER BY row")]
    assert kinds == ["link", "alarm", "protection"]
    assert [kind for (kind,) in read(path, "SELECT kind FROM links")] == ["link"]
    ((order_id, params),) = read(path, "SELECT order_id, params FROM orders")
    assert order_id == guarded.last_exit().order_id
    assert msgspec.json.decode(params) == {"quantity": "2", "apiKey": "…", "signature": "…"}
    for file in path.parent.iterdir():
        assert b"OURKEY" not in file.read_bytes()
        assert b"OURSIGNATURE" not in file.read_bytes()


def test_minutes_keep_the_nearest_approaches(path: Path) -> None:
    clock = HandClock()
    guarded = Guarded(Journal.open(path, clock=clock, inline=True), clock)
    guarded.tick("100")
    guarded.position("2")
    for price in ("99.5", "99.2", "99.4"):
        guarded.tick(price, after_s=10)
    guarded.journal.put_extreme(
        "BTCUSDT", "LONG", Decimal("99.01"), t_ns=clock.now, source="stream", age_ms=1
    )
    guarded.tick("99.9", after_s=60)
    guarded.journal.close()
    first, second = [
        msgspec.json.decode(body)
        for (body,) in read(path, "SELECT body FROM samples ORDER BY minute_ns")
    ]
    price, level, gap, what, t_ns, source, age_ms = first["stop"]
    assert (price, level, gap, what, source, age_ms) == (
        "99.01",
        "99.00",
        "0.01",
        "stop_loss",
        "stream",
        1,
    )
    assert t_ns == START_NS + 31 * SECOND_NS
    assert (first["low"][0], first["high"][0], first["level"][2]) == ("99.01", "99.5", "2.50")
    assert (second["looks"], second["low"][0]) == (1, "99.9")
