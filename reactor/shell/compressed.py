"""Bytes of a file that may be compressed, told by its suffix: `.gz`, `.zst`, anything else plain.

Written for recordings whose process was killed: a cut or damaged file gives every byte that can
still be had, then one `StreamDamaged`. Several gzip members or zstd frames in one file are one
stream. Memory stays flat, whatever a small file unpacks to.
"""

import sys
import zlib
from collections.abc import Callable, Iterator
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Stays in the processor's cache together with the lines made of it: 256 KiB read plain tapes a
#: half slower.
CHUNK_BYTES = 1 << 16

_GZIP_WBITS = 31  # zlib's way of saying "with a gzip header"
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_LEVEL = 3  # 165 MB/s at 5.8 times smaller on market frames; higher levels gain little
_GZIP_LEVEL = 6
_DAMAGE = (zlib.error, zstd.ZstdError)


class StreamDamaged(Exception):  # noqa: N818 - a named state of a stream that its one reader catches
    """The stream ends here although its format says that more should follow."""


class Compression(Enum):
    """How a file's bytes are packed."""

    PLAIN = ""
    GZIP = ".gz"
    ZSTD = ".zst"


def compression_of(path: Path) -> Compression:
    """Tell the compression from the file's suffix, in any case."""
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return Compression.GZIP
    if suffix == ".zst":
        return Compression.ZSTD
    return Compression.PLAIN


def suffix_mismatch(path: Path, first_bytes: bytes) -> str | None:
    """Say in a phrase why a file's first bytes contradict its suffix, or None where they agree."""
    compression = compression_of(path)
    if first_bytes.startswith(_GZIP_MAGIC):
        actual = Compression.GZIP
    elif first_bytes.startswith(_ZSTD_MAGIC):
        actual = Compression.ZSTD
    else:
        actual = Compression.PLAIN
    if actual is compression:
        return None
    if compression is Compression.PLAIN:
        return f"its content is compressed: give its name the suffix {actual.value}"
    if len(first_bytes) < len(_ZSTD_MAGIC):
        return None  # cut within the magic number: damage, not a wrong name
    if compression is Compression.ZSTD and b"\x50" <= first_bytes[:1] <= b"\x5f":
        return None  # a skippable zstd frame may come first
    return f"its content is not what the suffix {compression.value} says"


def decompressed_chunks(
    path: Path, *, opened: Callable[[BinaryIO], None] | None = None
) -> Iterator[bytes]:
    """Yield a file's content, unpacked, in chunks of at most `CHUNK_BYTES`.

    Args:
        path: the file; its suffix tells the compression.
        opened: told the open file, whose position is how much was read from disk.

    Raises:
        OSError: the file cannot be opened.
        StreamDamaged: after everything that could be read: the file is cut, or not what its suffix
            says, or the disk gave up.
    """
    compression = compression_of(path)
    with path.open("rb", buffering=0) as file:
        if opened is not None:
            opened(file)
        if compression is Compression.GZIP:
            yield from _unpacked_chunks(file, _GzipMember, "gzip")
        elif compression is Compression.ZSTD:
            yield from _unpacked_chunks(file, zstd.ZstdDecompressor, "zstd")
        else:
            while chunk := _read(file):
                yield chunk


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(CHUNK_BYTES)
    except OSError as error:
        raise StreamDamaged(f"cannot be read any further: {error.strerror or error}") from error


class _Member(Protocol):
    """Unpacks one gzip member or zstd frame; the interface is that of `ZstdDecompressor`."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    """zlib's decompressor with the interface of zstd's: it keeps the input that it has not used."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=_GZIP_WBITS)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


def _unpacked_chunks(
    file: BinaryIO, new_member: Callable[[], _Member], name: str
) -> Iterator[bytes]:
    packed = b""
    while packed or (packed := _read(file)):
        if name == "gzip":
            packed = packed.lstrip(b"\0")  # padding after a member is legal
            if not packed:
                continue
        member = new_member()
        member_start = fed_from = file.tell() - len(packed)
        delivered = 0
        while not member.eof:
            if member.needs_input and not packed:
                packed = _read(file)
                if not packed:
                    yield member.decompress(b"", CHUNK_BYTES)
                    raise StreamDamaged(f"the {name} file is cut here")
            if packed:
                fed_from = file.tell() - len(packed)
            try:
                chunk = member.decompress(packed, CHUNK_BYTES)
            except _DAMAGE as error:
                file.seek(member_start)
                yield from _salvaged(file, new_member(), fed_from, delivered)
                raise StreamDamaged(f"the {name} data is damaged from here on") from error
            packed = b""
            delivered += len(chunk)
            if chunk:
                yield chunk
        packed = member.unused_data


def _salvaged(file: BinaryIO, member: _Member, fed_from: int, delivered: int) -> Iterator[bytes]:
    """Unpack a damaged member once more and yield what the failing call took with it.

    A decompressor that meets damage gives nothing of that call's output. So the input that it
    failed on is fed again byte by byte; everything before goes by at full speed, unseen.

    Args:
        file: standing at the member's first byte.
        member: a fresh decompressor.
        fed_from: where in the file the input of the failing call began.
        delivered: how many bytes the failed attempt had yielded.
    """
    pieces = iter(lambda: file.read(min(CHUNK_BYTES, fed_from - file.tell())), b"")
    bytes_one_by_one = (file.read(1) for _ in range(CHUNK_BYTES))
    try:
        for packed in chain(pieces, bytes_one_by_one):
            more = True
            while more:
                chunk = member.decompress(packed, CHUNK_BYTES)
                packed = b""  # noqa: PLW2901 - the decompressor keeps what it has not used
                more = not member.needs_input and not member.eof
                if len(chunk) > delivered:
                    yield chunk[delivered:]
                delivered = max(0, delivered - len(chunk))
    except _DAMAGE:
        return


class Packer(Protocol):
    """Packs blocks so that each can be read back even if nothing follows it."""

    def block(self, plain: bytes) -> bytes:
        """Pack one block, completely."""

    def end(self) -> bytes:
        """Give the bytes that end the file properly."""


class _PlainPacker:
    def block(self, plain: bytes) -> bytes:
        return plain

    def end(self) -> bytes:
        return b""


class _GzipPacker:
    def __init__(self) -> None:
        self._member = zlib.compressobj(_GZIP_LEVEL, wbits=_GZIP_WBITS)

    def block(self, plain: bytes) -> bytes:
        return self._member.compress(plain) + self._member.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._member.flush()


class _ZstdPacker:
    def __init__(self) -> None:
        self._frame = zstd.ZstdCompressor(level=_ZSTD_LEVEL)

    def block(self, plain: bytes) -> bytes:
        return self._frame.compress(plain, self._frame.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._frame.flush(self._frame.FLUSH_FRAME)


def packer_for(path: Path) -> Packer:
    """Return a fresh packer for the compression that the file's suffix names."""
    compression = compression_of(path)
    if compression is Compression.GZIP:
        return _GzipPacker()
    if compression is Compression.ZSTD:
        return _ZstdPacker()
    return _PlainPacker()
