"""The journal's tables, and how a file of an earlier version becomes one of this.

`PRAGMA user_version` counts the migrations that a file has seen. Each migration is one transaction together
with its count: a file is of one version or of the next, never between. `docs/journal.md` describes the tables.
"""

import sqlite3

from reactor.errors import JournalError

APPLICATION_ID = 0x45585254
"""`PRAGMA application_id` of a journal ("EXRT"): another program's database is not touched."""

_VERSION_1 = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE epochs (
        symbol TEXT NOT NULL, side TEXT NOT NULL, epoch INTEGER NOT NULL,
        opened_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, plan TEXT NOT NULL,
        state TEXT, ended_ns INTEGER, cause TEXT, realized TEXT, r_multiple TEXT,
        PRIMARY KEY (symbol, side, epoch)) WITHOUT ROWID""",
    "CREATE INDEX epochs_ended ON epochs (ended_ns)",
    """CREATE TABLE decisions (
        row INTEGER PRIMARY KEY, id TEXT NOT NULL, t_ns INTEGER NOT NULL, symbol TEXT NOT NULL,
        side TEXT, epoch INTEGER, kind TEXT NOT NULL, body TEXT NOT NULL, levels TEXT, seen TEXT)""",
    "CREATE INDEX decisions_id ON decisions (id)",
    "CREATE INDEX decisions_symbol ON decisions (symbol, t_ns)",
    "CREATE INDEX decisions_time ON decisions (t_ns)",
    """CREATE TABLE orders (
        row INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        order_id TEXT NOT NULL, client_id TEXT NOT NULL, purpose TEXT NOT NULL, over TEXT NOT NULL,
        params TEXT NOT NULL, t_event_ns INTEGER NOT NULL, t_recv_ns INTEGER NOT NULL,
        t_decided_ns INTEGER NOT NULL, t_sent_ns INTEGER NOT NULL)""",
    "CREATE INDEX orders_order ON orders (order_id)",
    "CREATE INDEX orders_time ON orders (t_ns)",
    """CREATE TABLE outcomes (
        row INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        client_id TEXT NOT NULL, outcome TEXT NOT NULL, filled TEXT NOT NULL, average_price TEXT,
        code INTEGER, text TEXT NOT NULL)""",
    "CREATE INDEX outcomes_client ON outcomes (client_id)",
    "CREATE INDEX outcomes_time ON outcomes (t_ns)",
    """CREATE TABLE hard_stops (
        symbol TEXT NOT NULL, side TEXT NOT NULL, t_ns INTEGER NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (symbol, side)) WITHOUT ROWID""",
    """CREATE TABLE trades (
        symbol TEXT PRIMARY KEY, trade_id INTEGER NOT NULL, t_ms INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE happenings (
        row INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, kind TEXT NOT NULL, symbol TEXT NOT NULL,
        side TEXT NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX happenings_symbol ON happenings (symbol, t_ns)",
    "CREATE INDEX happenings_time ON happenings (t_ns)",
    """CREATE TABLE samples (
        symbol TEXT NOT NULL, side TEXT NOT NULL, minute_ns INTEGER NOT NULL, epoch INTEGER NOT NULL,
        body TEXT NOT NULL, PRIMARY KEY (symbol, side, minute_ns)) WITHOUT ROWID""",
    "CREATE INDEX samples_time ON samples (minute_ns)",
    "CREATE VIEW alarms AS SELECT * FROM happenings WHERE kind = 'alarm'",
    "CREATE VIEW commands AS SELECT * FROM happenings WHERE kind = 'command'",
    "CREATE VIEW links AS SELECT * FROM happenings WHERE kind IN ('link', 'source')",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1,)
"""The statements that lead from each version to the next; a new file runs through all of them."""


def migrate(connection: sqlite3.Connection, *, name: str) -> int:
    """Brings a database to the present version.

    Args:
        connection: in autocommit mode.
        name: of the file, for messages.

    Returns:
        The version that it had: 0 for a new file.

    Raises:
        JournalError: it is of a later version, or another program's.
        sqlite3.Error: a statement failed; the file is of the version before it.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise JournalError(
            f"{name} is another program's database; give the journal a path of its own"
            " (journal.path in the configuration)"
        )
    if version > len(MIGRATIONS):
        raise JournalError(
            f"{name} was written by a later version of reactor (journal version {version}, this one"
            f" knows {len(MIGRATIONS)}); run that version, or move the file away"
        )
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    return int(version)
