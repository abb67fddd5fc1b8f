"""Records a live session as tapes: rotated, bounded in size, age and by the disk's free space.

Exits never notice: a full disk or a reached bound stops the recording, says so once, and raises nothing. The
tapes of one session are replayed together, in the order of their names: the first holds the start.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from reactor.audit import AlarmRaised, Audit, RecordingChanged
from reactor.config import RecordConfig
from reactor.config_complaints import size_bytes
from reactor.errors import ConfigError, TapeError
from reactor.shell.tape_format import Channel, Direction
from reactor.shell.tape_writer import TapeWriter

CHECK_EVERY_NS: Final = 10_000_000_000
"""How often free disk and the age of old tapes are looked at."""


_TAPE: Final = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9]{4,}\.jsonl\.zst")
"""How tapes are named here: what else is in the folder is somebody's own, and never removed."""


class Recorder:
    """Writes the tapes of one session.

    Attributes:
        stopped: why nothing is recorded any more; None while it is.
        paths: the tapes of this session, oldest first.
    """

    def __init__(
        self,
        config: RecordConfig,
        *,
        folder: Path,
        audit: Audit,
        environment: str,
        header: Callable[[], Mapping[str, Any]],
        secrets: frozenset[bytes],
        now_ns: int,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        """Begins the first tape.

        Args:
            config: the bounds.
            folder: where the tapes go; made where it is missing.
            audit: where beginnings and ends are told.
            environment: of the header.
            header: gives what else a tape's header holds, when one is begun.
            secrets: values to take out wherever they stand.
            now_ns: the time, for names and ages.
            free_bytes: how much disk is free.

        Raises:
            ConfigError: a bound is no size, or the folder cannot be made.
        """
        self._max_bytes = size_bytes(config.max_size, key="record.max_size")
        self._rotate_bytes = min(
            size_bytes(config.rotate_size, key="record.rotate_size"), self._max_bytes
        )
        self._min_free_bytes = size_bytes(config.min_free_disk, key="record.min_free_disk")
        self._max_age_ns = int(config.max_age_days * 86_400e9)
        self._folder = folder
        self._audit = audit
        self._environment = environment
        self._header = header
        self._secrets = set(secrets)
        self._free_bytes = free_bytes
        self._tape: TapeWriter | None = None
        self._check_due_ns = now_ns + CHECK_EVERY_NS
        self.stopped: str | None = None
        self.paths: list[Path] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"record.dir = {str(folder)!r}: {error.strerror or error}") from None
        self._session = datetime.fromtimestamp(now_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%S")
        self._begin(now_ns)

    def add_secret(self, secret: bytes) -> None:
        """Takes a value out of everything from now on; too short ones are not looked for."""
        try:
            if self._tape is not None:
                self._tape.add_secret(secret)
            self._secrets.add(secret)
        except ValueError:
            return

    def write(
        self, t_ns: int, channel: Channel, message: bytes, direction: Direction = "in"
    ) -> None:
        """Records one message; never raises."""
        tape = self._tape
        if tape is None:
            return
        if t_ns >= self._check_due_ns:
            self._check(t_ns)
            tape = self._tape
        if tape is None or tape.write(t_ns, channel, message, direction):
            return
        if tape.full:
            self._rotate(t_ns)
            if self._tape is not None and not self._tape.write(t_ns, channel, message, direction):
                self._tell_lost(channel, len(message), t_ns)
        else:
            self._stop(tape.stopped or "cannot be written", t_ns)

    def flush(self) -> None:
        """Hands everything taken so far to the operating system."""
        if self._tape is not None:
            self._tape.flush()

    def close(self, now_ns: int) -> None:
        """Ends the tape properly."""
        if self._tape is not None:
            tape, self._tape = self._tape, None
            tape.close()
            self._audit.publish(RecordingChanged(path=str(tape.path), state="closed"), t_ns=now_ns)

    # Files ------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        self._make_room(now_ns)
        if self.stopped is not None:
            return
        path = self._folder / f"{self._session}-{len(self.paths):04d}.jsonl.zst"
        try:
            self._tape = TapeWriter(
                path,
                created_ns=now_ns,
                environment=self._environment,
                extra={**self._header(), "part": len(self.paths)},
                secrets=frozenset(self._secrets),
                bytes_max=self._rotate_bytes,
            )
        except TapeError as error:
            self._stop(str(error), now_ns)
            return
        self.paths.append(path)
        self._audit.publish(RecordingChanged(path=str(path), state="begun"), t_ns=now_ns)

    def _rotate(self, now_ns: int) -> None:
        self.close(now_ns)
        self._begin(now_ns)

    def _check(self, now_ns: int) -> None:
        self._check_due_ns = now_ns + CHECK_EVERY_NS
        if self._free() < self._min_free_bytes:
            self._make_room(now_ns)

    def _make_room(self, now_ns: int) -> None:
        """Removes the oldest tapes that age, size or free disk ask for; stops where that is not enough."""
        current = self._tape.path if self._tape is not None else None
        old = sorted(
            (
                path
                for path in self._folder.glob("*.jsonl.zst")
                if path != current and _TAPE.fullmatch(path.name)
            ),
            key=lambda path: path.name,
        )
        sizes = {path: _file_bytes(path) for path in old}
        total = sum(sizes.values()) + self._rotate_bytes
        for path in old:
            expired = now_ns - _modified_ns(path) > self._max_age_ns
            if not expired and total <= self._max_bytes and self._free() >= self._min_free_bytes:
                continue
            try:
                path.unlink()
            except OSError:
                continue
            total -= sizes[path]
            self._audit.publish(
                RecordingChanged(path=str(path), state="removed", reason="bounds"), t_ns=now_ns
            )
        if self._free() < self._min_free_bytes:
            self._stop(
                f"{self._folder}: less than record.min_free_disk is free; recording ends until a restart",
                now_ns,
            )

    def _free(self) -> int:
        try:
            return self._free_bytes(self._folder)
        except OSError:
            return 0

    def _tell_lost(self, channel: Channel, bytes_: int, now_ns: int) -> None:
        """A message that no tape can hold: a replay of this session will not be exact, and that is said."""
        text = (
            f"a message of {bytes_} bytes ({channel}) is larger than record.rotate_size allows and is not on the"
            " tape; a replay may differ from here on"
        )
        self._audit.publish(
            AlarmRaised(kind="recording_lost", text=text, key="tape_lost"), t_ns=now_ns
        )

    def _stop(self, reason: str, now_ns: int) -> None:
        self.stopped = reason
        if self._tape is not None:
            tape, self._tape = self._tape, None
            tape.close()
        self._audit.publish(
            RecordingChanged(path=str(self._folder), state="stopped", reason=reason), t_ns=now_ns
        )
        self._audit.publish(
            AlarmRaised(kind="recording_stopped", text=f"recording stopped: {reason}", key="tape"),
            t_ns=now_ns,
        )


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
