"""The exact walk: a tape's messages one by one through the engine, as live would have taken them."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from reactor.replay.session import Session
from reactor.shell.tape_reader import Tape, open_tape

PAUSE_S_MAX = 3600.0
"""A recording with a hole of days does not make `--speed 1` sleep for days: an hour is shown."""

Progress = Callable[[int, int, int], None]
"""Takes the bytes read from disk, the lines read, and the tape's time in ns."""


def open_tapes(paths: Iterable[Path]) -> list[Tape]:
    """Opens every tape before the first is played, so that a wrong name costs nothing.

    Raises:
        TapeError: one of them is no tape.
    """
    return [open_tape(path) for path in paths]


def walk(
    session: Session, tapes: Iterable[Tape], *, speed: float, progress: Progress | None
) -> None:
    """Plays tapes in the order given.

    Args:
        session: the replay in progress.
        tapes: opened tapes.
        speed: 0 as fast as possible, 1 as it was recorded, N times faster.
        progress: called now and then.
    """
    pace = _Pace(speed) if speed > 0 else None
    lines_read = bytes_before = 0
    for tape in tapes:
        for first, lines in tape.batches():
            if pace is None:
                session.pump.feed(first, lines, session.take)
            else:
                for offset, line in enumerate(lines):
                    before = session.pump.now_ns
                    session.pump.feed(first + offset, [line], session.take)
                    pace.wait(before, session.pump.now_ns)
            lines_read += len(lines)
            if progress is not None:
                progress(bytes_before + 0, lines_read, session.pump.now_ns)
        bytes_before += 0
        for damage in tape.damage:
            session.pump.damaged(damage.line, damage.reason)
        session.pump.skipped += tape.damage_count - len(tape.damage)


class _Pace:
    """Sleeps as long as the recording did."""

    def __init__(self, speed: float) -> None:
        self._speed = speed

    def wait(self, before_ns: int, now_ns: int) -> None:
        if before_ns and now_ns > before_ns:
            time.sleep(min((now_ns - before_ns) / 1e9 / self._speed, PAUSE_S_MAX))
