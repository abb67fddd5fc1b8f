"""Writes a tape: messages exactly as they crossed the wire, credentials taken out, size bounded.

A recording must never disturb what it records: a full disk or a reached size limit stops the
writer with a reason to show, and raises nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import orjson

from reactor.errors import TapeError
from reactor.shell.compressed import packer_for
from reactor.shell.line_batches import LINE_BYTES_MAX
from reactor.shell.redact import MARKET_CHANNELS, may_hold_secret, redact, replace_known
from reactor.shell.tape_format import (
    CHANNELS,
    TAPE_SUFFIXES,
    TAPE_VERSION,
    Channel,
    Direction,
    skip_json,
)

#: What a killed process loses at most: this many bytes of lines, or those of the last second.
#: Smaller blocks compress worse; at 64 KiB it is within a few per cent of one large block.
FLUSH_BYTES = 1 << 16
FLUSH_INTERVAL_NS = 1_000_000_000

_SECRET_BYTES_MIN = 6  # shorter values would occur by chance, and data would be lost
_TAIL_BYTES = 4096  # room for the end of the compressed file and for blocks that do not shrink
_PREFIX_IN: Final = {channel: b',"c":"%b","m":' % channel.encode() for channel in CHANNELS}
_PREFIX_OUT: Final = {
    channel: b',"c":"%b","d":"out","m":' % channel.encode() for channel in CHANNELS
}


class TapeWriter:
    """A tape being written.

    Lines are gathered and written in blocks of `FLUSH_BYTES`, or when a message comes a second
    (by the messages' own time) after the last block; that message itself waits for what it caused.
    Call `flush` from a timer where messages may stop coming. A compressed block is readable even if
    nothing ever follows it.

    Attributes:
        path: the file.
        stopped: None while it records; else why it no longer does, in a phrase.
        full: whether it stopped because the next line would not fit in `bytes_max`.
        lines: how many messages were taken.
        dropped: how many were not: after it stopped, or longer than a line may be.
        file_bytes: how many bytes stand in the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        created_ns: int,
        environment: str,
        extra: Mapping[str, Any] | None = None,
        secrets: frozenset[bytes] = frozenset(),
        bytes_max: int | None = None,
        flush_bytes: int = FLUSH_BYTES,
    ) -> None:
        """Create the file and write the header.

        Args:
            path: `.jsonl`, `.jsonl.gz` or `.jsonl.zst`; must not exist yet.
            created_ns: when the recording begins, nanoseconds since the Unix epoch.
            environment: `mainnet`, `demo`, `simulated`, `imported` …
            extra: more header keys: `config`, `plans`, `journal` or any others.
            secrets: values to take out wherever they stand outside market data (the API key, the
                listen key), at least 6 bytes each; `add_secret` adds more.
            bytes_max: the file's size never exceeds this; None: no bound.
            flush_bytes: how many bytes of lines to gather before they are written.

        Raises:
            TapeError: the suffix is no tape's, the file exists, or cannot be written.
        """
        if not path.name.lower().endswith(TAPE_SUFFIXES):
            raise TapeError(f"{path}: a tape's name ends in one of {', '.join(TAPE_SUFFIXES)}")
        self.path = path
        self.stopped: str | None = None
        self.full = False
        self.lines = 0
        self.dropped = 0
        self.file_bytes = 0
        self._secrets: tuple[bytes, ...] = ()
        for secret in sorted(secrets):
            self.add_secret(secret)
        self._bytes_max = bytes_max
        self._flush_bytes = min(flush_bytes, LINE_BYTES_MAX)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._pending_bytes_max = self._flush_bytes
        self._flush_due_ns = created_ns + FLUSH_INTERVAL_NS
        self._packer = packer_for(path)
        header = self._header_line(created_ns, environment, extra or {})
        room = self._room()
        if len(header) > LINE_BYTES_MAX or (room is not None and len(header) > room):
            raise TapeError(
                f"{path}: the tape's header has {len(header)} bytes, more than may be written"
            )
        try:
            self._file = path.open("xb", buffering=0)
        except FileExistsError:
            raise TapeError(f"{path}: exists already: choose another name or remove it") from None
        except OSError as error:
            raise TapeError(f"{path}: cannot be written: {error.strerror or error}") from None
        self._take(header)
        self.flush()

    def add_secret(self, secret: bytes) -> None:
        """Take this value out from now on, as a new listen key must be before it is used."""
        if len(secret) < _SECRET_BYTES_MIN:
            raise ValueError(f"a secret has at least {_SECRET_BYTES_MIN} bytes")
        if secret not in self._secrets:
            self._secrets += (secret,)

    def write(
        self, t_recv_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> bool:
        r"""Record one message.

        A valid JSON message is kept byte for byte, but for credentials and for line breaks between
        its tokens, which become spaces. One that has other bytes than UTF-8 in its texts keeps its form,
        with U+FFFD for them: a decoder that passed over such a text has decided on the rest, and from the
        tape it has to be decided again. Anything else (a cut frame, plain text, binary) is kept as
        a JSON string, bytes that are not UTF-8 as `\xNN`: it reads back as a line whose frame is
        no object.

        Args:
            t_recv_ns: when it was received or sent, nanoseconds since the Unix epoch.
            channel: which channel it used.
            message: the raw bytes.
            direction: `in` for received, `out` for sent.

        Returns:
            Whether it was taken.
        """
        if t_recv_ns >= self._flush_due_ns:
            # Only what came before: a message and the orders that it caused reach the disk together.
            self._flush_due_ns = t_recv_ns + FLUSH_INTERVAL_NS
            self.flush()
        if self.stopped is not None:
            self.dropped += 1
            return False
        try:
            skip_json(message)
        except (msgspec.DecodeError, RecursionError):
            message = _as_json_string(message)
        if channel not in MARKET_CHANNELS:
            message = self._cleaned(message, channel)
        prefix = _PREFIX_IN[channel] if direction == "in" else _PREFIX_OUT[channel]
        line = b'{"t":%d%b%b}\n' % (t_recv_ns, prefix, message)
        size = self._pending_bytes + len(line)
        if size < self._pending_bytes_max:  # nearly always
            self._pending.append(line)
            self._pending_bytes = size
        elif not self._take(line):
            self.dropped += 1
            return False
        self.lines += 1
        return True

    def flush(self) -> None:
        """Hand everything taken so far to the operating system, readable as it stands."""
        if not self._pending or self._file.closed:
            return
        block = self._cleaned_block()
        taken = len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        room = self._room()
        if room is not None and len(block) > room:  # it grew when it was cleaned
            self.lines -= taken
            self.dropped += taken
            self._stop_full()
            return
        self._write_out(self._packer.block(block))
        room = self._room()
        self._pending_bytes_max = (
            self._flush_bytes if room is None else min(self._flush_bytes, room)
        )

    def close(self) -> None:
        """Write what is left and end the file properly. Further messages are dropped."""
        if self._file.closed:
            return
        self.flush()
        if not self._file.closed:
            self._write_out(self._packer.end())
            self._file.close()
        if self.stopped is None:
            self.stopped = "closed"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _header_line(self, created_ns: int, environment: str, extra: Mapping[str, Any]) -> bytes:
        seconds, nanoseconds = divmod(created_ns, 1_000_000_000)
        created = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        header = orjson.dumps(
            {
                "tape": TAPE_VERSION,
                "created": f"{created}.{nanoseconds:09d}Z",
                "environment": environment,
                **extra,
            }
        )
        return replace_known(redact(header, "control"), self._secrets) + b"\n"

    def _cleaned(self, message: bytes, channel: str) -> bytes:
        if not message.isascii() and not _is_utf8(message):
            message = message.decode(errors="replace").encode()
        if message.find(b"\n") >= 0:
            message = message.replace(b"\n", b" ")
        if may_hold_secret(message, channel):
            message = redact(message, channel)
        if channel not in MARKET_CHANNELS:
            message = replace_known(message, self._secrets)
        return message

    def _cleaned_block(self) -> bytes:
        """Join the pending lines; market lines are checked here, a thousand at a time."""
        block = b"".join(self._pending)
        if (
            block.count(b"\n") != len(self._pending)
            or not (block.isascii() or _is_utf8(block))
            or may_hold_secret(block, "market")
        ):
            block = b"".join(map(self._cleaned_line, self._pending))
        return block

    def _cleaned_line(self, line: bytes) -> bytes:
        head, key, rest = line.partition(b'"m":')
        if head.find(b'"c":"market"') < 0 and head.find(b'"c":"public"') < 0:
            return line
        return b"%b%b%b}\n" % (head, key, self._cleaned(rest[:-2], "market"))

    def _take(self, line: bytes) -> bool:
        size = self._pending_bytes + len(line)
        if size > self._pending_bytes_max:
            self.flush()
            size = len(line)
            if size > LINE_BYTES_MAX:
                return False
            room = self._room()
            if room is not None and size > room:
                self._stop_full()
            if self.stopped is not None:
                return False
        self._pending.append(line)
        self._pending_bytes = size
        if size >= self._pending_bytes_max:
            self.flush()
        return self.stopped is None

    def _room(self) -> int | None:
        """How many bytes of lines surely fit, even if nothing shrinks; None: any number."""
        if self._bytes_max is None:
            return None
        room = self._bytes_max - self.file_bytes - _TAIL_BYTES
        return max(0, room - (room >> 7))

    def _stop_full(self) -> None:
        self.close()
        self.full = True
        self.stopped = f"full: the next line would not fit in {self._bytes_max} bytes"

    def _write_out(self, block: bytes) -> None:
        try:
            rest = memoryview(block)
            while rest:
                written = self._file.write(rest)
                self.file_bytes += written or 0
                rest = rest[written or 0 :]
        except OSError as error:
            self.stopped = f"cannot write {self.path}: {error.strerror or error}"
            self._file.close()


def _as_json_string(message: bytes) -> bytes:
    return orjson.dumps(message.decode("utf-8", "backslashreplace"))


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
