"""One symbol's prices of one recording, as columns; and what else the recording told its engine between them.

A track is what a replay of the recording would feed the engine with, decoded once: every sweep plays it many
times. Its columns can lie in one file that all processes map, so that they are in memory once.
"""

import mmap
import tempfile
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, Self

import msgspec

from reactor.core.decisions import Side
from reactor.core.market import Source
from reactor.replay.tick_file import TickFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["last", "trade", "mixed", "mark", "book"]
"""Which of the engine's methods takes the ticks; `mixed` has raw trades and aggregated ones."""

COLUMN_ALIGNMENT = 64


class Happening(NamedTuple):
    """Something that is no tick: it stands before the tick of this row.

    Attributes:
        row: the tick that follows; the number of ticks where none does.
        call: the engine's method, or `filters` and `fact`, which only an opening asks for.
        args, keywords: what it is called with.
    """

    row: int
    call: str
    args: tuple[Any, ...]
    keywords: dict[str, Any]


class Track(msgspec.Struct, kw_only=True):
    """One symbol's prices of one recording.

    Attributes:
        name: the file's. `symbol`: whose prices.
        source: the price source. `kind`: how the engine takes its ticks.
        ticks: the columns; of a book the bids.
        asks: of a book. `is_trade`: which ticks of a mixed one are raw trades.
        texts: prices as they were written, where doubles do not keep them (of a book: `bid ask`); else None.
        happenings: what else came, in order.
        end_ns: the recording's last receive time: timers fire until then.
        sides: which positions may be entered on it; candles are taken apart for each side.
        is_approximate: whether the ticks are made up from candles.
    """

    name: str
    symbol: str
    source: Source
    kind: Kind
    ticks: TickFile
    asks: "NDArray[np.float64] | None" = None
    is_trade: "NDArray[np.bool_] | None" = None
    texts: "NDArray[np.bytes_] | None" = None
    happenings: tuple[Happening, ...] = ()
    end_ns: int
    sides: tuple[Side, ...] = ("LONG", "SHORT")
    is_approximate: bool = False

    def __len__(self) -> int:
        return len(self.ticks.prices)


class _Stored(NamedTuple):
    """Where a column lies in the columns' file."""

    offset: int
    length: int
    dtype: str


class StoredTracks(NamedTuple):
    """Tracks without their columns: what another process is told, beside the columns' file."""

    tracks: tuple[dict[str, Any], ...]
    size: int


_TICK_COLUMNS = ("t_ns", "prices", "t_event_ms", "ids")
_OTHER_COLUMNS = ("asks", "is_trade", "texts")


class ColumnsFile:
    """The columns of all tracks in one file without a name: it is gone with the last process that has it."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its own exit
        self.stored = StoredTracks(tuple(map(self._store, tracks)), self.file.tell())
        self.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _store(self, track: Track) -> dict[str, Any]:
        fields = {name: getattr(track, name) for name in track.__struct_fields__}
        fields["ticks"] = track.ticks._replace(
            **{name: self._put(getattr(track.ticks, name)) for name in _TICK_COLUMNS}
        )
        return fields | {name: self._put(fields[name]) for name in _OTHER_COLUMNS}

    def _put(self, column: "NDArray[Any] | None") -> Any:
        if column is None:
            return None
        self.file.write(b"\0" * (-self.file.tell() % COLUMN_ALIGNMENT))
        stored = _Stored(self.file.tell(), len(column), column.dtype.str)
        self.file.write(column.tobytes())
        return stored


def mapped_tracks(stored: StoredTracks, descriptor: int) -> list[Track]:
    """The tracks again, in a process that has the columns' file open."""
    import numpy as np  # noqa: PLC0415 - only where columns are read

    memory = mmap.mmap(descriptor, max(stored.size, 1), prot=mmap.PROT_READ)

    def column(place: _Stored | None) -> Any:
        if place is None:
            return None
        return np.frombuffer(memory, np.dtype(place.dtype), place.length, place.offset)

    tracks = []
    for fields in stored.tracks:
        ticks = fields["ticks"]
        ticks = ticks._replace(**{name: column(getattr(ticks, name)) for name in _TICK_COLUMNS})
        others = {name: column(fields[name]) for name in _OTHER_COLUMNS}
        tracks.append(Track(**(fields | others | {"ticks": ticks})))
    return tracks
