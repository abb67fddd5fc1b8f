"""The journal's file: one process at a time, checked before it is trusted, of the present version."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from journal_story import START_NS, HandClock, a_short_life, state

from reactor.audit import AlarmRaised
from reactor.errors import JournalError
from reactor.shell.journal import rows, schema
from reactor.shell.journal.journal import Journal
from reactor.shell.journal.retention import DAY_NS, ROWS_PER_STEP

ROOT = Path(__file__).parents[3]


def opened(path: Path, *, now_ns: int = START_NS, keep_days: int = 90) -> Journal:
    return Journal.open(path, clock=HandClock(now_ns), inline=True, keep_days=keep_days)


# One at a time ------------------------------------------------------------------------------------


def test_a_second_journal_on_the_file_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    first = opened(path)
    with pytest.raises(JournalError) as caught:
        opened(path)
    message = str(caught.value)
    assert f"in use by process {os.getpid()}" in message
    assert "\n" not in message
    first.close()
    opened(path).close()


def test_another_process_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    first = opened(path)
    code = (
        "import sys; from pathlib import Path\n"
        "from reactor.clock import SystemClock\n"
        "from reactor.errors import JournalError\n"
        "from reactor.shell.journal.journal import Journal\n"
        "try: Journal.open(Path(sys.argv[1]), clock=SystemClock())\n"
        "except JournalError as error: print(error); sys.exit(3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3, done.stderr
    assert f"process {os.getpid()}" in done.stdout
    first.close()


# Trust --------------------------------------------------------------------------------------------


def damage_text(path: Path) -> None:
    path.write_text("this was never a database\n" * 500)


def damage_pages(path: Path) -> None:
    """The header is whole, what it speaks of is not."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def damage_length(path: Path) -> None:
    os.truncate(path, 5000)


@pytest.mark.parametrize("damage", [damage_text, damage_pages, damage_length])
def test_a_damaged_file_is_moved_aside_and_a_fresh_one_begun(
    damage: object, tmp_path: Path
) -> None:
    path = tmp_path / "reactor.db"
    a_short_life(path)
    assert callable(damage)
    damage(path)
    broken = path.read_bytes()
    journal = opened(path)
    assert journal.moved_aside == tmp_path / "reactor.db.corrupt-20260921T141400Z"
    assert journal.moved_aside.read_bytes() == broken
    assert journal.why_moved
    assert journal.load().written_ns is None
    journal.put_epoch(state())
    journal.close()
    again = opened(path)
    assert (again.moved_aside, len(again.load().open_epochs)) == (None, 1)
    again.close()


def test_damaged_files_of_one_second_do_not_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    for _ in range(3):
        damage_text(path)
        opened(path).close()
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 3


def test_a_whole_file_is_not_moved(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    a_short_life(path)
    journal = opened(path)
    assert (journal.moved_aside, journal.why_moved) == (None, "")
    journal.close()


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.commit()
    connection.close()
    with pytest.raises(JournalError, match="another program's database"):
        opened(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM theirs").fetchone() == (0,)
    connection.close()


def test_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot open the journal") as caught:
        opened(tmp_path / "file" / "reactor.db")
    assert "\n" not in str(caught.value)


# Versions -----------------------------------------------------------------------------------------

STEP = ("ALTER TABLE decisions ADD COLUMN note TEXT", "CREATE TABLE later (x)")


def test_an_earlier_file_becomes_one_of_this_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reactor.db"
    a_short_life(path)
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, STEP))
    opened(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    notes = connection.execute("SELECT note FROM decisions").fetchall()
    connection.close()
    assert len(notes) > 3
    monkeypatch.undo()
    with pytest.raises(JournalError, match="later version of reactor"):
        opened(path)


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "reactor.db"
    a_short_life(path)
    wrong = ("CREATE TABLE half (x)", "CREATE TABLE decisions (x)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, wrong))
    with pytest.raises(JournalError, match="cannot use the journal"):
        opened(path)
    monkeypatch.undo()
    journal = opened(path)
    assert journal.moved_aside is None
    tables = journal._connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'half'"
    ).fetchone()
    assert tables == (0,)
    journal.close()


# Retention ----------------------------------------------------------------------------------------


def counted(path: Path) -> dict[str, int]:
    connection = sqlite3.connect(path)
    found = {
        table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("decisions", "orders", "outcomes", "happenings", "samples", "epochs")
    }
    connection.close()
    return found


def test_what_is_old_goes_and_open_epochs_stay(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    guarded = a_short_life(path)
    assert all(counted(path)[table] for table in ("decisions", "orders", "outcomes", "samples"))
    journal = opened(path)
    opening = guarded.said[0]
    old = state("ETHUSDT", epoch=5)
    journal.put_epoch(old)
    moved = rows.Row(
        "INSERT INTO decisions (id, t_ns, symbol, side, epoch, kind, body)"
        " VALUES ('1', ?, 'ETHUSDT', 'LONG', 5, 'opened', '{}')",
        lambda: (opening.t_ns,),
        (),
    )
    journal.put(moved)
    for number in range(ROWS_PER_STEP + 10):
        journal.put(rows.happening(AlarmRaised(kind="k", text=""), t_ns=START_NS + number))
    journal.close()
    journal = opened(path, now_ns=START_NS + 11 * DAY_NS, keep_days=10)
    for _ in range(20):
        assert journal.flush(0)
        journal._writer.keep_house()
    journal.close()
    left = counted(path)
    assert left == {
        "decisions": 1,
        "orders": 0,
        "outcomes": 0,
        "happenings": 0,
        "samples": 0,
        "epochs": 1,
    }


def test_what_is_young_stays(tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    a_short_life(path)
    before = counted(path)
    journal = opened(path, now_ns=START_NS + 9 * DAY_NS, keep_days=10)
    for _ in range(20):
        journal._writer.keep_house()
    journal.close()
    assert counted(path) == before


# Killed -------------------------------------------------------------------------------------------

VICTIM = """
import sys
from pathlib import Path
from reactor.audit import AlarmRaised
from reactor.clock import SystemClock
from reactor.shell.journal import rows
from reactor.shell.journal.journal import Journal
clock = SystemClock()
journal = Journal.open(Path(sys.argv[1]), clock=clock)
number = 0
while True:
    for _ in range(40):
        number += 1
        journal.put(rows.happening(AlarmRaised(kind="k", text=str(number)), t_ns=clock.now_ns()))
        journal.put_trade("BTCUSDT", number, number)
    if number % 80 == 0:
        assert journal.flush(30)
        print(number, flush=True)
"""


@pytest.mark.parametrize("flushes", [1, 2, 5])
def test_kill_9_loses_nothing_that_was_flushed(flushes: int, tmp_path: Path) -> None:
    path = tmp_path / "reactor.db"
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert victim.stdout is not None
    flushed = 0
    for _ in range(flushes):
        flushed = int(victim.stdout.readline())
    victim.send_signal(signal.SIGKILL)
    flushed = max([flushed, *(int(line) for line in victim.stdout.read().split())])
    victim.wait(30)
    victim.stdout.close()

    journal = opened(path)
    left = journal.load()
    assert journal.moved_aside is None
    assert not left.clean
    assert left.last_trades["BTCUSDT"].trade_id >= flushed
    assert journal._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = [
        int(text)
        for (text,) in journal._connection.execute(
            "SELECT body ->> '$.text' FROM happenings ORDER BY row"
        )
    ]
    assert found[:flushed] == list(range(1, flushed + 1))
    assert found == list(range(1, len(found) + 1)), "in order, and no hole"
    journal.close()
