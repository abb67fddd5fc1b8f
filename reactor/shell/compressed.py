"""Bytes of a file that may be compressed, told by its suffix: `.gz`, `.zst`, anything else plain.

Written for recordings whose process was killed: a cut or damaged file gives every byte that can
still be had, then one `StreamDamaged`. Several gzip members or zstd frames in one file are one
stream. Memory stays flat, whatever a small file unpacks to.
"""

import sys
import zlib
from collections.abc import Iterator
from enum import Enum
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


def decompressed_chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's content, unpacked, in chunks of at most `CHUNK_BYTES`.

    Raises:
        OSError: the file cannot be opened.
        StreamDamaged: after everything that could be read: the file is cut, or not what its suffix
            says, or the disk gave up.
    """
    unpack = {
        Compression.PLAIN: _plain_chunks,
        Compression.GZIP: _gzip_chunks,
        Compression.ZSTD: _zstd_chunks,
    }[compression_of(path)]
    with path.open("rb", buffering=0) as file:
        yield from unpack(file)


def _read(file: BinaryIO) -> bytes:
    try:
        return file.read(CHUNK_BYTES)
    except OSError as error:
        raise StreamDamaged(f"cannot be read any further: {error.strerror or error}") from error


def _plain_chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := _read(file):
        yield chunk


def _gzip_chunks(file: BinaryIO) -> Iterator[bytes]:
    packed = b""
    member = None
    while packed or (packed := _read(file)):
        if member is None:
            packed = packed.lstrip(b"\0")  # padding after a member is legal
            if not packed:
                continue
            member = zlib.decompressobj(wbits=_GZIP_WBITS)
        try:
            chunk = member.decompress(packed, CHUNK_BYTES)
        except zlib.error as error:
            raise StreamDamaged("the gzip data is damaged from here on") from error
        if chunk:
            yield chunk
        if member.eof:
            packed, member = member.unused_data, None
        else:
            packed = member.unconsumed_tail
    if member is not None:
        if rest := member.flush():
            yield rest
        raise StreamDamaged("the gzip file is cut here")


def _zstd_chunks(file: BinaryIO) -> Iterator[bytes]:
    packed = b""
    frame = None
    while True:
        if not packed and (frame is None or frame.needs_input):
            packed = _read(file)
            if not packed:
                break
        if frame is None:
            frame = zstd.ZstdDecompressor()
        try:
            chunk = frame.decompress(packed, CHUNK_BYTES)
        except zstd.ZstdError as error:
            raise StreamDamaged("the zstd data is damaged from here on") from error
        packed = b""  # the decompressor keeps what it has not used yet
        if chunk:
            yield chunk
        if frame.eof:
            packed, frame = frame.unused_data, None
    if frame is not None:
        raise StreamDamaged("the zstd file is cut here")


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
