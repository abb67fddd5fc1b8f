"""Reads a tape from front to back, in flat memory, whatever state the file is in.

Only a file that is no tape raises. Damage inside one is collected and skipped: a recording is
worth most when it was cut off.
"""

import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from reactor.errors import TapeError, TapeLineDamaged
from reactor.shell.compressed import decompressed_chunks, suffix_mismatch
from reactor.shell.line_batches import line_batches
from reactor.shell.tape_format import (
    Damage,
    TapeHeader,
    TapeLine,
    decode_header,
    decode_line,
    is_whole_json,
)

#: How many damaged places are kept with their reasons; the rest is only counted. More than a
#: person reads, and small beside a tape whose every line is damaged.
DAMAGE_KEPT_MAX = 100


class Tape:
    """One tape file whose header has been read. Made by `open_tape`.

    Each call of `batches` or `lines` reads the file anew from its first message; one pass at a
    time, because `damage` belongs to the latest pass.

    Attributes:
        path: the file.
        header: its first line.
        damage: the first `DAMAGE_KEPT_MAX` damaged places that the latest pass met.
        damage_count: how many there were in all.
    """

    def __init__(self, path: Path, header: TapeHeader) -> None:
        self.path = path
        self.header = header
        self.damage: list[Damage] = []
        self.damage_count = 0
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self._bytes_read = 0

    @property
    def bytes_read(self) -> int:
        """How much of the file, as it lies on disk, the latest pass has read: what progress is made of."""
        if self._file is not None and not self._file.closed:
            # Damage makes the reader step back once; what was read stays read.
            self._bytes_read = max(self._bytes_read, self._file.tell())
        return self._bytes_read

    def report_damage(self, line: int, reason: str) -> None:
        """Add a damaged place; also for readers of lines that find one undecodable."""
        self.damage_count += 1
        if len(self.damage) < DAMAGE_KEPT_MAX:
            self.damage.append(Damage(line, reason))

    def batches(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (number of the first line, raw lines without newlines), the header left out.

        The fastest way to read: a thousand lines or so at a time, none of them empty, numbered
        consecutively within a batch.

        Raises:
            TapeError: the file is gone or has stopped being a tape since it was opened.
        """
        self.damage = []
        self.damage_count = 0
        self._bytes_read = 0
        with closing(_batches_with_header(self.path, self)) as batches:
            for first_line, lines in batches:
                if len(lines) > 1:
                    yield first_line + 1, lines[1:]
                break
            yield from batches
        self._bytes_read = self._size_bytes

    def opened(self, file: BinaryIO) -> None:
        """Told by the reader which file its position is asked of."""
        self._file = file
        self._size_bytes = os.fstat(file.fileno()).st_size

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield (line number, raw line without its newline), the header left out."""
        for first_line, lines in self.batches():
            yield from enumerate(lines, first_line)

    def messages(self) -> Iterator[tuple[int, TapeLine]]:
        """Yield (line number, decoded line); damaged lines are reported and skipped."""
        for first_line, lines in self.batches():
            for number, raw in enumerate(lines, first_line):
                try:
                    line = decode_line(raw)
                except TapeLineDamaged as error:
                    self.report_damage(number, str(error))
                    continue
                yield number, line


def open_tape(path: Path) -> Tape:
    """Open a tape and read its header.

    Args:
        path: a `.jsonl`, `.jsonl.gz` or `.jsonl.zst` file; the suffix tells the compression.

    Raises:
        TapeError: there is no such file, or it is not a tape. One line, naming the file.
    """
    _refuse_what_is_no_tape_file(path)
    tape = Tape(path, TapeHeader(tape=1))
    with closing(_batches_with_header(path, tape)) as batches:
        for _, lines in batches:
            if tape.damage:
                break  # something unreadable stands before the first line
            header = decode_header(lines[0], name=str(path))
            return Tape(path, header)
    why = tape.damage[0].reason if tape.damage else "there is nothing in it"
    raise TapeError(f"{path}: not a tape: no complete first line ({why})")


def _refuse_what_is_no_tape_file(path: Path) -> None:
    if path.is_dir():
        raise TapeError(f"{path}: a directory, not a tape: name the files in it")
    if path.exists() and not path.is_file():
        raise TapeError(f"{path}: not a regular file: save the stream to a file first")
    try:
        with path.open("rb") as file:
            first_bytes = file.read(4)
    except FileNotFoundError:
        raise TapeError(f"{path}: no such file") from None
    except OSError as error:
        raise TapeError(f"{path}: cannot be opened: {error.strerror or error}") from None
    if not first_bytes:
        raise TapeError(f"{path}: not a tape: the file is empty")
    if why := suffix_mismatch(path, first_bytes):
        raise TapeError(f"{path}: not a tape: {why}")


def _batches_with_header(path: Path, tape: Tape) -> Generator[tuple[int, list[bytes]]]:
    try:
        yield from line_batches(
            decompressed_chunks(path, opened=tape.opened),
            report=tape.report_damage,
            tail_is_complete=is_whole_json,
            utf8=True,
        )
    except OSError as error:
        raise TapeError(f"{path}: cannot be read: {error.strerror or error}") from None
