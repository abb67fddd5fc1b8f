"""The recorder: rotated, bounded, and never in the way."""

from pathlib import Path

import pytest

from reactor.audit import AlarmRaised, Audit, AuditEvent, RecordingChanged
from reactor.config import RecordConfig
from reactor.config_complaints import size_bytes
from reactor.errors import ConfigError
from reactor.shell.recorder import CHECK_EVERY_NS, Recorder
from reactor.shell.tape_format import TapeLine, decode_line
from reactor.shell.tape_reader import open_tape

START_NS = 1_795_000_000_000_000_000
FRAME = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","p":"%d"}}'


def lines_of(path: Path) -> list[TapeLine]:
    return [decode_line(raw) for _, raw in open_tape(path).lines()]


class Room:
    """A recorder and what it told."""

    def __init__(self, folder: Path, *, free: int = 10**12, **config: object) -> None:
        self.free = free
        self.headers = 0
        self.events: list[AuditEvent] = []
        audit = Audit()
        audit.watch(self.events.append)
        self.recorder = Recorder(
            RecordConfig(enabled=True, **config),  # type: ignore[arg-type] # by name
            folder=folder,
            audit=audit,
            environment="simulated",
            header=self.header,
            secrets=frozenset({b"my-secret-key"}),
            now_ns=START_NS,
            free_bytes=lambda _: self.free,
        )

    def header(self) -> dict[str, object]:
        self.headers += 1
        return {"instance": "me", "number": self.headers}

    @property
    def states(self) -> list[str]:
        return [e.what.state for e in self.events if isinstance(e.what, RecordingChanged)]

    @property
    def alarms(self) -> list[str]:
        return [e.what.text for e in self.events if isinstance(e.what, AlarmRaised)]


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("500MB", 500 * 10**6), ("10GB", 10**10), ("1.5 kb", 1500), ("123", 123), ("2T", 2 * 10**12)],
)
def test_sizes_as_people_write_them(text: str, bytes_: int) -> None:
    assert size_bytes(text, key="x") == bytes_


@pytest.mark.parametrize("text", ["", "lots", "-1GB", "0", "5XB", "1e9"])
def test_a_size_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"record\.max_size"):
        size_bytes(text, key="record.max_size")


def test_what_is_written_can_be_read_and_holds_no_secret(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.recorder.add_secret(b"listen-key-of-the-account")
    room.recorder.write(START_NS + 1, "market", FRAME % 1)
    room.recorder.write(START_NS + 2, "private", b'{"k":"listen-key-of-the-account"}')
    room.recorder.write(START_NS + 3, "order", b'{"params":{"apiKey":"my-secret-key"}}', "out")
    room.recorder.close(START_NS + 4)
    (path,) = room.recorder.paths
    assert open_tape(path).header.instance == "me"
    lines = lines_of(path)
    assert [line.c for line in lines] == ["market", "private", "order"]
    assert b"listen-key-of" not in path.read_bytes()
    assert all(b"my-secret" not in bytes(line.m) for line in lines)
    assert room.states == ["begun", "closed"]


def test_a_full_tape_is_followed_by_the_next(tmp_path: Path) -> None:
    room = Room(tmp_path, rotate_size="100KB")
    for number in range(20_000):
        room.recorder.write(START_NS + number, "market", FRAME % (number * 7919))
    room.recorder.close(START_NS + 30_000)
    assert len(room.recorder.paths) > 1
    assert room.headers == len(room.recorder.paths)
    assert all(path.stat().st_size <= 100_000 for path in room.recorder.paths)
    assert sum(len(lines_of(path)) for path in room.recorder.paths) == 20_000
    assert [path.name[-14:-10] for path in room.recorder.paths[:2]] == ["0000", "0001"]


def test_the_oldest_tapes_go_when_there_are_too_many(tmp_path: Path) -> None:
    old = tmp_path / "20200101T000000-0000.jsonl.zst"
    old.write_bytes(b"x" * 90_000)
    room = Room(tmp_path, rotate_size="50KB", max_size="100KB", max_age_days=100_000.0)
    assert not old.exists()
    assert "removed" in room.states
    room.recorder.close(START_NS)


def test_little_free_disk_stops_it_once_and_says_so(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.recorder.write(START_NS + 1, "market", FRAME % 1)
    room.free = 10
    for step in range(3):
        room.recorder.write(START_NS + (step + 1) * CHECK_EVERY_NS, "market", FRAME % 2)
    assert room.recorder.stopped is not None
    assert len(room.alarms) == 1
    assert "min_free_disk" in room.alarms[0]
    room.recorder.flush()
    room.recorder.close(START_NS)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"record\.dir"):
        Room(tmp_path / "file" / "tapes")


def test_a_message_that_no_tape_can_hold_is_said_to_be_lost(tmp_path: Path) -> None:
    room = Room(tmp_path, rotate_size="20KB")
    room.recorder.write(START_NS + 1, "rest", b'{"body":"%b"}' % (b"x1" * 30_000))
    room.recorder.write(START_NS + 2, "market", FRAME % 1)
    room.recorder.close(START_NS + 3)
    assert [text for text in room.alarms if "larger than record.rotate_size" in text]
