"""Where log lines go: a bounded queue and a thread that writes them, so that a stuck pipe stops nothing."""

import json
import queue
import threading
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import quote

LINES_MAX: Final = 10_000
"""A few megabytes. What has no room is counted, and said once there is room again."""

SECRET_CHARS_MIN: Final = 6
"""Shorter ones would mask half of every line."""

MASK: Final = "***"


class LogLines:
    """Takes lines and writes them in a thread of its own.

    Args:
        write: writes one line, with its newline; may block and may raise.

    Attributes:
        dropped: lines that had no room. `faults`: how often writing failed.
    """

    def __init__(self, write: Callable[[str], object], *, lines_max: int = LINES_MAX) -> None:
        self._write = write
        self._queue: queue.Queue[str | None] = queue.Queue(maxsize=lines_max)
        self._unsaid = 0
        self.dropped = 0
        self.faults = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Takes a line; never waits, never raises."""
        try:
            if self._unsaid:
                self._queue.put_nowait(f'{{"event":"log_lines_dropped","count":{self._unsaid}}}')
                self._unsaid = 0
            self._queue.put_nowait(line)
        except queue.Full:
            self._unsaid += 1
            self.dropped += 1

    def close(self, *, timeout_s: float) -> bool:
        """Writes what is there, for so long at most; tells whether it was written."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            line = self._queue.get()
            if line is None:
                return
            try:
                self._write(line + "\n")
            except (OSError, ValueError):
                # Nobody reads any more. Whoever asks sees the count.
                self.faults += 1


class Masks:
    """Replaces secrets wherever they stand in a line, however they are written there.

    Args:
        secrets: keys, secrets, tokens; lines of a PEM file one by one.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            for part in {secret, *secret.splitlines()}:
                if len(part) >= SECRET_CHARS_MIN:
                    forms |= {part, json.dumps(part)[1:-1], quote(part, safe="")}
                    forms.add(json.dumps(part, ensure_ascii=False)[1:-1])
        # The longest first: a part must not leave the rest of a whole standing.
        self._forms = sorted(forms, key=len, reverse=True)

    def mask(self, line: str) -> str:
        """The line without secrets."""
        for form in self._forms:
            if form in line:
                line = line.replace(form, MASK)
        return line
