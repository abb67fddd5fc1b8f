"""Opening the journal's file: one process at a time, checked, of the present version, or a fresh one.

A file that SQLite cannot trust is moved aside, never deleted and never written to again: what it still holds
may matter to a person. Who opens it is told, and rebuilds its state from the exchange.
"""

import fcntl
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from reactor.errors import JournalError
from reactor.shell.journal.schema import migrate

BUSY_MS = 1000
"""How long a write waits for another program's write (somebody's `sqlite3` shell) before it counts as failed."""

WAL_LIMIT_BYTES = 16 << 20
"""To what the write-ahead log is cut back after a checkpoint that emptied it."""


class OpenedFile(NamedTuple):
    """A journal's file that may be used.

    Attributes:
        connection: in autocommit mode; usable from any one thread at a time.
        lock: the descriptor whose lock keeps other processes out; None for a journal in memory.
        moved_aside: where a file went that could not be trusted; `why_moved` in a phrase.
    """

    connection: sqlite3.Connection
    lock: int | None
    moved_aside: Path | None = None
    why_moved: str = ""


def open_file(path: Path | None, *, now_ns: int, durable: bool) -> OpenedFile:
    """Opens or creates a journal's file.

    Args:
        path: where it is; None for one in memory.
        now_ns: the present time, for the name of a file that is moved aside.
        durable: whether a commit is on the disk when it returns, power cuts included.

    Raises:
        JournalError: another process has it, it is another program's or of a later version, or the place
            cannot be written to. The message is one line.
    """
    if path is None:
        connection = _connect(":memory:", durable=False)
        migrate(connection, name="the journal in memory")
        return OpenedFile(connection, None)
    lock = _lock(path)
    try:
        try:
            return OpenedFile(_open(path, durable=durable), lock)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise JournalError(f"cannot use the journal {path}: {error}") from None
            why = str(error)
        aside = _move_aside(path, now_ns=now_ns)
        try:
            return OpenedFile(_open(path, durable=durable), lock, aside, why)
        except sqlite3.Error as error:
            raise JournalError(f"cannot make a fresh journal {path}: {error}") from None
    except BaseException:
        os.close(lock)
        raise


def _open(path: Path, *, durable: bool) -> sqlite3.Connection:
    if path.exists() and path.stat().st_size:
        _check(path)
    connection = _connect(str(path), durable=durable)
    try:
        migrate(connection, name=str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def _check(path: Path) -> None:
    """Looks at every page without writing one; raises what a damaged one raises."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        # Pages and their order; `integrity_check` would also compare every index, for twice the time.
        (line,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        connection.close()
    if line != "ok":
        raise sqlite3.DatabaseError(f"malformed: {line}")


def _connect(name: str, *, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
    )
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        connection.execute("PRAGMA trusted_schema = OFF")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself cannot be trusted; a locked one or a full disk says nothing against it."""
    text = str(error)
    return any(word in text for word in ("malformed", "not a database", "corrupt"))


def _move_aside(path: Path, *, now_ns: int) -> Path:
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    try:
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            beside = path.with_name(path.name + suffix)
            if beside.exists():
                beside.rename(aside.with_name(aside.name + suffix))
    except OSError as error:
        raise JournalError(
            f"the journal {path} is damaged and cannot be moved aside: {error.strerror}; move it away"
        ) from None
    return aside


def _lock(path: Path) -> int:
    """Keeps every other process out, and a second journal of this one too, for as long as it is open."""
    beside = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalError(
            f"cannot open the journal {path}: {error.strerror}; its folder must be writable"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise JournalError(
            f"the journal {path} is in use by process {pid}; stop that one, or give this one a"
            " data_dir of its own"
        ) from None
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        # A full disk keeps the pid out of the file, not the lock from holding.
        pass
    return lock
