"""The exact walk: a tape's messages one by one through the engine, as live would have taken them."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from reactor.binance.messages import FAULTS
from reactor.replay.session import Session
from reactor.shell.market_lines import T_NS_MAX
from reactor.shell.tape_reader import Tape, open_tape

PAUSE_S_MAX = 3600.0
"""A recording with a hole of days does not make `--speed 1` sleep for days: an hour is shown."""

Progress = Callable[[int, int, int], None]
"""Takes the bytes read from disk, the lines read, and the tape's time in ns."""

Sleep = Callable[[float], None]
"""Waits so many seconds."""

Clock = Callable[[], float]
"""Tells seconds that only rise."""


def open_tapes(paths: Iterable[Path]) -> list[Tape]:
    """Opens every tape before the first is played, so that a wrong name costs nothing.

    Raises:
        TapeError: one of them is no tape.
    """
    return [open_tape(path) for path in paths]


def walk(
    session: Session,
    tapes: Iterable[Tape],
    *,
    speed: float,
    progress: Progress | None,
    pace: "Pace | None" = None,
) -> None:
    """Plays tapes in the order given.

    Args:
        session: the replay in progress.
        tapes: opened tapes.
        speed: 0 as fast as possible, 1 as it was recorded, N times faster.
        progress: called now and then.
        pace: what waits; of this `speed` where none is given.
    """
    tapes = list(tapes)
    pump = session.pump
    if pace is None and speed > 0:
        pace = Pace(speed)
    lines_read = bytes_before = 0
    for tape in tapes:
        if len(tapes) > 1:
            pump.place = f"{tape.path.name} line"
        told = 0
        for first, lines in _split_at_opening(session, tape.batches()):
            # What the reader left out stands before these lines.
            for damage in tape.damage[told:]:
                pump.damaged(damage.line, damage.reason)
            told = len(tape.damage)
            if pace is None:
                pump.feed(first, lines, session.take)
            else:
                for number, line in enumerate(lines, first):
                    pace.wait_until(_time_of(line))
                    pump.feed(number, [line], session.take)
            lines_read += len(lines)
            if progress is not None:
                progress(bytes_before + tape.bytes_read, lines_read, pump.now_ns)
        bytes_before += tape.bytes_read
        for damage in tape.damage[told:]:
            pump.damaged(damage.line, damage.reason)
        pump.skipped += tape.damage_count - len(tape.damage)


def _split_at_opening(
    session: Session, batches: Iterator[tuple[int, list[bytes]]]
) -> Iterator[tuple[int, list[bytes]]]:
    """The batches; the session's positions are waited for from the first line at or after their time on."""
    for first, lines in batches:
        opens_at_ns = session.opens_at_ns
        if opens_at_ns is not None:
            times = map(_time_of, lines)
            found = (
                at for at, t_ns in enumerate(times) if t_ns is not None and t_ns >= opens_at_ns
            )
            at = next(found, None)
            if at is not None:
                if at:
                    yield first, lines[:at]
                session.expect_positions()
                yield first + at, lines[at:]
                continue
        yield first, lines


class Pace:
    """Waits as long as the recording did, before what came then is looked at.

    Args:
        speed: 1 as it was recorded, N times faster; above 0.
        sleep: waits so many seconds.
        clock: seconds that only rise. Waiting is for an instant, so that the time which the work takes
            does not add up.
    """

    def __init__(
        self, speed: float, *, sleep: Sleep = time.sleep, clock: Clock = time.monotonic
    ) -> None:
        self._speed = speed
        self._sleep = sleep
        self._clock = clock
        self._now_ns: int | None = None
        self._due_s = 0.0

    def wait_until(self, t_ns: int | None) -> None:
        """Waits for a receive time; what has none, or an earlier one than before, comes at once."""
        if t_ns is None:
            return
        if self._now_ns is None:
            self._now_ns = t_ns
            self._due_s = self._clock()
        elif t_ns > self._now_ns:
            self._due_s += min((t_ns - self._now_ns) / 1e9 / self._speed, PAUSE_S_MAX)
            self._now_ns = t_ns
            delay_s = self._due_s - self._clock()
            if delay_s > 0:
                self._sleep(delay_s)


class _Timed(msgspec.Struct):
    t: Annotated[int, msgspec.Meta(ge=0, le=T_NS_MAX)]


_decode_time = msgspec.json.Decoder(_Timed).decode


def _time_of(line: bytes) -> int | None:
    try:
        return _decode_time(line).t
    except FAULTS:
        return None
