"""`reactor bench replay --memory`: how much memory a replay of a long tape takes, and whether it stays flat."""

import re
import resource
import shutil
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from time import perf_counter

import msgspec
from rich.console import Console

from reactor.bench import frames
from reactor.bench.measure import environment
from reactor.bench.sessions import Played
from reactor.errors import ConfigError
from reactor.replay.walk import walk
from reactor.shell.compressed import packer_for
from reactor.shell.tape_reader import open_tape

PEAK_BYTES_MAX = 200 * 10**6
GROWTH_BYTES_MAX = 16 * 10**6
"""What may come and go between the first tenth of a tape and its end without being called growth."""

SIZE_BYTES_MIN, SIZE_BYTES_MAX = 10**6, 10**12
PACKED_AT_LEAST = 4
"""These lines pack at least so many times smaller; what the disk must have room for."""

BLOCK_LINES = 5000

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", re.IGNORECASE)


class MemoryOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of a long tape took.

    Attributes:
        size_bytes: the tape's size unpacked; `packed_bytes` on disk. `lines`: its messages.
        seconds: how long the replay took, by the wall clock.
        rss_bytes: resident memory at each tenth of the tape; empty where the system does not tell.
        peak_rss_bytes: the process's highest, the making of the tape included.
        decisions: lines that the replay put out.
    """

    size_bytes: int
    packed_bytes: int
    lines: int
    seconds: float
    rss_bytes: list[int]
    peak_rss_bytes: int
    decisions: int

    @property
    def growth_bytes(self) -> int:
        """How much higher resident memory went after the first tenth."""
        return max(self.rss_bytes) - self.rss_bytes[0] if self.rss_bytes else 0

    @property
    def flat(self) -> bool:
        """Whether memory stayed where it was."""
        return self.growth_bytes <= GROWTH_BYTES_MAX and self.peak_rss_bytes <= PEAK_BYTES_MAX

    def as_json(self) -> dict[str, object]:
        """The object that `--json` prints."""
        return {
            "bench": "replay memory",
            **msgspec.to_builtins(self),
            "growth_bytes": self.growth_bytes,
            "growth_bytes_max": GROWTH_BYTES_MAX,
            "peak_rss_bytes_max": PEAK_BYTES_MAX,
            "flat": self.flat,
            "environment": environment(),
        }

    def print(self, console: Console) -> None:
        """Prints it for people."""
        tenths = (
            ", ".join(f"{rss / 1e6:.0f}" for rss in self.rss_bytes) or "not told by this system"
        )
        size, packed = f"{self.size_bytes / 1e9:.2f} GB", f"{self.packed_bytes / 1e6:.0f} MB"
        per_second = f"{self.lines / self.seconds:,.0f} messages/s"
        highest = f"{self.peak_rss_bytes / 1e6:.0f} MB of {PEAK_BYTES_MAX / 1e6:.0f}"
        grown = f"{self.growth_bytes / 1e6:.1f} MB of {GROWTH_BYTES_MAX / 1e6:.0f}"
        for row in (
            f"tape: {size}, {self.lines:,} messages, {packed} on disk",
            f"replay: {self.seconds:.1f} s, {per_second}, {self.decisions:,} decisions",
            f"resident memory at each tenth of the tape, MB: {tenths}",
            f"highest: {highest}; grown by {grown}: {'flat' if self.flat else 'NOT flat'}",
        ):
            console.print(row, highlight=False)


def bench_memory(size_bytes: int) -> MemoryOutcome:
    """Makes a compressed tape of a size and replays it, watching the memory of this process.

    Args:
        size_bytes: unpacked size; the disk needs less than a quarter of it.

    Raises:
        ConfigError: the disk has no room.
    """
    with tempfile.TemporaryDirectory(prefix="reactor-bench-") as folder:
        free = shutil.disk_usage(folder).free
        if free < size_bytes // PACKED_AT_LEAST:
            raise ConfigError(
                f"--size: {folder} has {free / 1e9:.1f} GB free and may need"
                f" {size_bytes / PACKED_AT_LEAST / 1e9:.1f} GB; set TMPDIR to a larger disk"
            )
        path = Path(folder, "bench.jsonl.zst")
        made_bytes, lines = _make_tape(path, size_bytes)
        return _replay(path, made_bytes, lines)


def parse_size(text: str) -> int:
    """Bytes of a size like `5GB`, `500 MB` or `1000000`.

    Raises:
        ConfigError: it is none, or out of range.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ConfigError(f"--size {text!r} cannot be read; write it as 500MB or 5GB")
    size_bytes = int(float(match[1]) * _UNITS[(match[2] or "").upper()])
    if not SIZE_BYTES_MIN <= size_bytes <= SIZE_BYTES_MAX:
        raise ConfigError(f"--size {text!r} is out of range: 1MB to 1TB")
    return size_bytes


def _make_tape(path: Path, size_bytes: int) -> tuple[int, int]:
    """Writes made-up lines, packed; answers with the unpacked size and the number of lines."""
    packer = packer_for(path)
    made_bytes, lines = len(frames.TAPE_HEADER), 0
    source = frames.tape_lines()
    with path.open("wb") as file:
        file.write(packer.block(frames.TAPE_HEADER))
        while made_bytes < size_bytes:
            block = "".join(f"{next(source)}\n" for _ in range(BLOCK_LINES)).encode()
            file.write(packer.block(block))
            made_bytes += len(block)
            lines += BLOCK_LINES
        file.write(packer.end())
    return made_bytes, lines


def _replay(path: Path, made_bytes: int, lines: int) -> MemoryOutcome:
    played = Played(
        symbol="BTCUSDT",
        side="LONG",
        entry=Decimal(60_000),
        atr=Decimal(300),
        tick=Decimal("0.1"),
    )
    rss_bytes: list[int] = []

    def watch(_bytes_read: int, lines_read: int, _now_ns: int) -> None:
        if lines_read * 10 >= lines * (len(rss_bytes) + 1):
            rss = _rss_bytes()
            if rss is not None:
                rss_bytes.append(rss)

    started = perf_counter()
    walk(played.session, [open_tape(path)], speed=0, progress=watch)
    return MemoryOutcome(
        size_bytes=made_bytes,
        packed_bytes=path.stat().st_size,
        lines=lines,
        seconds=perf_counter() - started,
        rss_bytes=rss_bytes,
        peak_rss_bytes=_peak_rss_bytes(),
        decisions=len(played.lines),
    )


def _rss_bytes() -> int | None:
    """Resident memory now; None where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize()


def _peak_rss_bytes() -> int:
    """The highest resident memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kilobytes, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024
