"""What a journal gives back to the process that opens it."""

import sqlite3
from typing import NamedTuple, TypeVar

import msgspec

from reactor.core.decisions import Exit, Side
from reactor.core.epoch_state import EpochState, from_json

T = TypeVar("T")

META_PREFIX = "note."


class LastTrade(NamedTuple):
    """The last trade of the account that was known for a symbol."""

    trade_id: int
    t_ms: int


class JournalState(msgspec.Struct, kw_only=True):
    """Everything that the process before left behind.

    Attributes:
        open_epochs: as they last stood.
        unreadable: one line for each open epoch that this version cannot read.
        epochs: the highest epoch number that was ever given.
        hard_stops: the placement state of each position, as JSON; `hard_stop` reads it.
        last_trades: by symbol.
        unsettled: exits of open epochs that were decided after the epoch's state was last written: their orders
            may have left.
        notes: what was put with `put_note`.
        clean: whether the process before ended in order. True for a fresh journal.
        written_ns: when something was last written; None for a fresh journal.
    """

    open_epochs: tuple[EpochState, ...] = ()
    unreadable: tuple[str, ...] = ()
    epochs: int = 0
    hard_stops: dict[tuple[str, Side], bytes] = {}
    last_trades: dict[str, LastTrade] = {}
    unsettled: tuple[Exit, ...] = ()
    notes: dict[str, str] = {}
    clean: bool = True
    written_ns: int | None = None

    def hard_stop(self, symbol: str, side: Side, kind: type[T]) -> T | None:
        """The hard stop's state of a position, as the type that was put.

        Returns:
            None where there is none, or where it cannot be read: the exchange knows then.
        """
        blob = self.hard_stops.get((symbol, side))
        if blob is None:
            return None
        try:
            return msgspec.json.decode(blob, type=kind)
        except msgspec.DecodeError:
            return None


def load(connection: sqlite3.Connection) -> JournalState:
    """Reads what the process before left.

    Raises:
        sqlite3.Error: the file cannot be read.
    """
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    written = meta.get("written_ns")
    open_epochs, unreadable = _open_epochs(connection)
    (epochs,) = connection.execute("SELECT coalesce(max(epoch), 0) FROM epochs").fetchone()
    return JournalState(
        open_epochs=tuple(open_epochs),
        unreadable=tuple(unreadable),
        epochs=max(epochs, int(meta.get("epochs", "0"))),
        hard_stops={
            (symbol, side): state.encode()
            for symbol, side, state in connection.execute(
                "SELECT symbol, side, state FROM hard_stops"
            )
        },
        last_trades={
            symbol: LastTrade(trade_id, t_ms)
            for symbol, trade_id, t_ms in connection.execute(
                "SELECT symbol, trade_id, t_ms FROM trades"
            )
        },
        unsettled=tuple(_unsettled(connection, open_epochs)),
        notes={
            key.removeprefix(META_PREFIX): value
            for key, value in meta.items()
            if key.startswith(META_PREFIX)
        },
        clean=meta.get("clean", "1") == "1",
        written_ns=None if written is None else int(written),
    )


def _open_epochs(connection: sqlite3.Connection) -> tuple[list[EpochState], list[str]]:
    found, unreadable = [], []
    for symbol, side, epoch, state in connection.execute(
        "SELECT symbol, side, epoch, state FROM epochs WHERE ended_ns IS NULL ORDER BY epoch"
    ):
        try:
            found.append(from_json(state))
        except (msgspec.DecodeError, TypeError) as error:
            unreadable.append(f"{symbol} {side} epoch {epoch}: {error}")
    return found, unreadable


def _unsettled(connection: sqlite3.Connection, epochs: list[EpochState]) -> list[Exit]:
    found = []
    for epoch in epochs:
        known = (epoch.orders.number, epoch.orders.attempt)
        for (body,) in connection.execute(
            "SELECT body FROM decisions WHERE symbol = ? AND t_ns >= ? AND side = ? AND epoch = ?"
            " AND kind = 'exit' ORDER BY row",
            (epoch.symbol, epoch.opened_ns, epoch.side, epoch.epoch),
        ):
            exit_ = msgspec.json.decode(body, type=Exit)
            if (exit_.number, exit_.attempt) > known:
                found.append(exit_)
    return found
