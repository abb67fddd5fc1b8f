"""What every importer shares: its options, its account of what it dropped, and reading lines.

An importer is a function `(path, options, account) -> Iterator[RawMessage]`. It never makes data up
without a note, and never leaves data out without counting it.
"""

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

from reactor.errors import RecordingError
from reactor.shell.compressed import (
    CHUNK_BYTES,
    StreamDamaged,
    decompressed_chunks,
    suffix_mismatch,
)
from reactor.shell.line_batches import line_batches
from reactor.shell.tape_format import Channel, skip_json

_INT64_MAX = (1 << 63) - 1
_NOTES_KEPT_MAX = 50  # one a file and kind; more files than that are named in the count only


class RawMessage(NamedTuple):
    """One message on its way onto a tape.

    Attributes:
        t_recv_ns: receive time, nanoseconds since the Unix epoch.
        channel: the tape channel.
        message: the JSON bytes.
    """

    t_recv_ns: int
    channel: Channel
    message: bytes


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may say about the files; None and empty mean: find out from the file.

    Attributes:
        symbol: the symbol of files that do not name it.
        kind: which of Binance's public files it is, such as `markPriceKlines`.
        interval: the candles' interval, such as `5m`.
        session: the one session to take from a user-jsonl file.
        streams: what to make of a table of ticks: `last`, `book`, `mark`.
    """

    symbol: str | None = None
    kind: str | None = None
    interval: str | None = None
    session: str | None = None
    streams: tuple[str, ...] = ()


class Account:
    """What an import dropped, skipped and had to assume.

    Attributes:
        dropped: how many lines were lost, by reason.
        skipped: how many lines hold no message by nature (headers), by kind.
        examples: where each reason occurred first, as `file:line`.
        notes: what was assumed or deduced, one sentence each.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.notes: list[str] = []

    def drop(self, reason: str, path: Path, line: int) -> None:
        """Count a lost line."""
        self.dropped[reason] += 1
        if reason not in self.examples:
            self.examples[reason] = f"{path.name}:{line}"

    def note(self, sentence: str) -> None:
        """Keep a sentence for the user, once."""
        if sentence not in self.notes and len(self.notes) < _NOTES_KEPT_MAX:
            self.notes.append(sentence)


Importer = Callable[[Path, ImportOptions, Account], Iterator[RawMessage]]


def numbered_lines(path: Path, account: Account) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a text file, unpacked by its suffix, with their numbers from 1.

    Raises:
        RecordingError: the file is missing, unreadable, or not packed as its suffix says.
    """
    _refuse_unreadable(path)
    yield from _numbered(decompressed_chunks(path), path, account)


def numbered_member_lines(
    archive: zipfile.ZipFile, member: str, path: Path, account: Account
) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of one file inside a zip archive."""
    yield from _numbered(_member_chunks(archive, member), path, account)


def _numbered(
    chunks: Iterator[bytes], path: Path, account: Account
) -> Generator[tuple[int, bytes]]:
    def report(line: int, reason: str) -> None:
        account.drop(reason, path, line)

    batches = line_batches(chunks, report=report, tail_is_complete=lambda _: True)
    first = True
    with closing(batches):
        for number, lines in batches:
            if first:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
                first = False
            yield from enumerate(lines, number)


def _member_chunks(archive: zipfile.ZipFile, member: str) -> Iterator[bytes]:
    try:
        with archive.open(member) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise StreamDamaged("the zip data is damaged from here on") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or packed in a rare way
        raise RecordingError(f"{archive.filename}: {member} cannot be unpacked: {error}") from None


def _refuse_unreadable(path: Path) -> None:
    if path.is_dir():
        raise RecordingError(f"{path}: a directory: name the files in it")
    try:
        with path.open("rb") as file:
            first_bytes = file.read(4)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be opened: {error.strerror or error}") from None
    if not first_bytes:
        raise RecordingError(f"{path}: the file is empty")
    if why := suffix_mismatch(path, first_bytes):
        raise RecordingError(f"{path}: {why}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        RecordingError: it is missing or no zip archive.
    """
    _refuse_unreadable(path)
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise RecordingError(f"{path}: not a readable zip archive: {error}") from None


def whole_int64(digits: bytes | str) -> int | None:
    """Read a non-negative whole number that fits a tape's time, or None."""
    if not digits.isdigit() or len(digits) > 19:
        return None
    number = int(digits)
    return number if number <= _INT64_MAX else None


def is_json_frame(frame: bytes) -> bool:
    """Tell whether bytes are a whole JSON object or array, as every Binance message is."""
    if not frame.startswith((b"{", b"[")):
        return False
    try:
        skip_json(frame)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
