"""Replays in a few words: tick columns and tapes in, output lines and notes out."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest

from reactor.cli import main
from reactor.replay import columns
from reactor.replay.options import ReplayOptions
from reactor.replay.run import replay
from reactor.replay.session import Session
from reactor.replay.tick_file import TickFile

SYMBOL = "BTCUSDT"
START_NS = 1_790_000_000_000_000_000
SHARED = Path(__file__).parents[3] / "shared" / "data"


class Replayed(NamedTuple):
    lines: list[dict[str, Any]]
    summary: dict[str, Any]
    notes: list[str]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]


def recording(*parts: str) -> Path:
    """A file of the shared recordings; the test that asks for it is skipped where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs the recording {'/'.join(parts)} in ../shared/data, which is not there")
    return path


def tick_file(prices: Iterable[float], times_ns: Iterable[int] | None = None) -> TickFile:
    column = np.array(list(prices), dtype=np.float64)
    if times_ns is None:
        times_ns = range(START_NS, START_NS + len(column) * 1_000_000_000, 1_000_000_000)
    return TickFile(np.array(list(times_ns), dtype=np.int64), column, exact=True)


def through_columns(
    options: ReplayOptions, ticks: TickFile, *, way: Literal["walk", "jump"]
) -> Replayed:
    """Ticks through the columnar jump, or one by one."""
    lines: list[dict[str, Any]] = []
    notes: list[str] = []
    session = Session(options, header=None, trigger="last", emit=lines.append, note=notes.append)
    if way == "jump":
        search = columns.Search(ticks)
        assert search.refusal() is None
        columns.jump(session, SYMBOL, search)
    else:
        columns.walk(session, SYMBOL, ticks)
    return Replayed(lines, without_seconds(session.finish(seconds=1.0)), notes)


def through_tape(
    lines: Sequence[str | bytes | dict[str, Any]],
    folder: Path,
    options: ReplayOptions | None = None,
    *,
    header: dict[str, Any] | None = None,
    name: str = "tape.jsonl",
) -> Replayed:
    """A tape of these lines, written down and replayed."""
    path = folder / name
    path.write_bytes(tape_bytes(lines, header=header))
    return through_file(path, options)


def through_file(path: Path, options: ReplayOptions | None = None, *more: Path) -> Replayed:
    out: list[dict[str, Any]] = []
    notes: list[str] = []
    replay(options or ReplayOptions(), [path, *more], emit=out.append, note=notes.append)
    return Replayed(out[:-1], without_seconds(out[-1]), notes)


def tape_bytes(
    lines: Sequence[str | bytes | dict[str, Any]], *, header: dict[str, Any] | None = None
) -> bytes:
    raw = [json.dumps({"tape": 1, **(header or {})}).encode()]
    for line in lines:
        text = json.dumps(line) if isinstance(line, dict) else line
        raw.append(text.encode() if isinstance(text, str) else text)
    return b"\n".join(raw) + b"\n"


def without_seconds(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without what differs from run to run."""
    return {
        key: value for key, value in summary.items() if key not in {"seconds", "ticks_per_second"}
    }


class Ran(NamedTuple):
    """What a command did: its exit code, its standard output and error."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        (summary,) = [line for line in self.lines if line["type"] == "summary"]
        return summary

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["type"] == kind]


def run(capfd: pytest.CaptureFixture[str], *words: str | Path) -> Ran:
    """Runs a command in this process; whatever it does, nothing of Python may show."""
    capfd.readouterr()
    code: Any
    try:
        code = main([str(word) for word in words])
    except SystemExit as stopped:
        code = stopped.code
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    return Ran(code, out, err)


def refused(capfd: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """Runs a command that must refuse its input: exit code 2, one line, nothing else printed."""
    ran = run(capfd, *words)
    assert ran.code == 2, ran
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("reactor")
    assert line.isprintable()
    return line
