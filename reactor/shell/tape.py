"""Tapes: recordings of every message as it crossed the wire, read and written.

The one place to import from; the parts are `tape_format` (what a line is), `tape_reader`,
`tape_writer` and `redact` (what is never written down).
"""

from reactor.errors import TapeError, TapeLineDamaged
from reactor.shell.tape_format import (
    CHANNELS,
    TAPE_SUFFIXES,
    Channel,
    Damage,
    Direction,
    TapeHeader,
    TapeLine,
    decode_line,
)
from reactor.shell.tape_reader import DAMAGE_KEPT_MAX, Tape, open_tape
from reactor.shell.tape_writer import FLUSH_BYTES, FLUSH_INTERVAL_NS, TapeWriter

__all__ = [
    "CHANNELS",
    "DAMAGE_KEPT_MAX",
    "FLUSH_BYTES",
    "FLUSH_INTERVAL_NS",
    "TAPE_SUFFIXES",
    "Channel",
    "Damage",
    "Direction",
    "Tape",
    "TapeError",
    "TapeHeader",
    "TapeLine",
    "TapeLineDamaged",
    "TapeWriter",
    "decode_line",
    "open_tape",
]
