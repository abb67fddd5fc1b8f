"""Writing tapes: exact, bounded, readable after a kill, and never in the way."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.shell.line_batches import LINE_BYTES_MAX
from reactor.shell.tape import CHANNELS, Channel, Direction, TapeError, TapeWriter, open_tape

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
T0 = 1_700_000_000_000_000_000
FRAME = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT",'
    b'"b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313}}'
)


def writer_to(path: Path, *, bytes_max: int | None = None, flush_bytes: int = 4096) -> TapeWriter:
    return TapeWriter(
        path,
        created_ns=T0,
        environment="simulated",
        bytes_max=bytes_max,
        flush_bytes=flush_bytes,
    )


def read_back(path: Path) -> list[tuple[int, str, str, bytes]]:
    tape = open_tape(path)
    lines: list[tuple[int, str, str, bytes]] = [
        (line.t, line.c, line.d, bytes(line.m)) for _, line in tape.messages()
    ]
    assert tape.damage == []
    return lines


class TestExactness:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_messages_come_back_byte_for_byte(self, tmp_path: Path, suffix: str) -> None:
        frames = [FRAME, b'{"k": {"a":1,  "b":2.500}, "z":1e5}', '{"s":"币安人生USDT"}'.encode()]
        path = tmp_path / f"tape{suffix}"

        with writer_to(path) as writer:
            for number in range(1000):
                assert writer.write(T0 + number, "public", frames[number % 3])

        assert read_back(path) == [
            (T0 + number, "public", "in", frames[number % 3]) for number in range(1000)
        ]
        assert writer.lines == 1000
        assert writer.file_bytes == path.stat().st_size

    @pytest.mark.parametrize("channel", CHANNELS)
    @pytest.mark.parametrize("direction", ["in", "out"])
    def test_channel_and_direction(
        self, tmp_path: Path, channel: Channel, direction: Direction
    ) -> None:
        path = tmp_path / "tape.jsonl"

        with writer_to(path) as writer:
            writer.write(T0, channel, b"{}", direction)

        assert read_back(path) == [(T0, channel, direction, b"{}")]

    def test_the_header(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.jsonl"

        TapeWriter(
            path,
            created_ns=1_723_161_255_030_314_667,
            environment="demo",
            extra={"config": {"mode": "live"}, "plans": {"p": "x"}, "journal": None},
        ).close()

        assert json.loads(path.read_bytes()) == {
            "tape": 1,
            "created": "2024-08-08T23:54:15.030314667Z",
            "environment": "demo",
            "config": {"mode": "live"},
            "plans": {"p": "x"},
            "journal": None,
        }

    @pytest.mark.parametrize("channel", ["market", "private"])
    @pytest.mark.parametrize(
        ("message", "kept"),
        [
            (b'{"a":\n  1}\r\n', b'{"a":   1}'),
            (b'{"cut":"of', rb'"{\"cut\":\"of"'),
            (b"pong", b'"pong"'),
            (b"", b'""'),
            (b'1,"c":"control"', rb'"1,\"c\":\"control\""'),
            (b'{}}\n{"t":1,"c":"market","m":{}', rb'"{}}\n{\"t\":1,\"c\":\"market\",\"m\":{}"'),
            (b"\xff\x00 binary", rb'"\\xff\u0000 binary"'),
            (b'{"a":"\xff', rb'"{\"a\":\"\\xff"'),
            (b'{"a":"\xff","b":1}', '{"a":"\ufffd","b":1}'.encode()),
            (b"[" * 5000, b'"' + b"[" * 5000 + b'"'),
        ],
    )
    def test_what_is_not_one_line_of_json_cannot_break_the_tape(
        self, tmp_path: Path, channel: Channel, message: bytes, kept: bytes
    ) -> None:
        path = tmp_path / "tape.jsonl"

        with writer_to(path) as writer:
            for step, raw in enumerate((FRAME, message, FRAME)):
                writer.write(T0 + step, channel, raw)

        lines = read_back(path)
        assert [line[0] for line in lines] == [T0, T0 + 1, T0 + 2]
        assert lines[1][3] == kept

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        messages=st.lists(
            st.one_of(
                st.binary(max_size=50),
                st.recursive(
                    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda inner: (
                        st.lists(inner, max_size=3)
                        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
                    ),
                    max_leaves=6,
                ).map(
                    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
                ),
            ),
            max_size=6,
        ),
        channel=st.sampled_from(CHANNELS),
    )
    def test_every_message_is_one_readable_line(
        self, tmp_path: Path, messages: list[bytes], channel: Channel
    ) -> None:
        path = tmp_path / "tape.jsonl"
        path.unlink(missing_ok=True)

        with writer_to(path) as writer:
            for number, message in enumerate(messages):
                assert writer.write(T0 + number, channel, message)

        lines = read_back(path)
        assert [line[0] - T0 for line in lines] == list(range(len(messages)))
        for message, (_, _, _, kept) in zip(messages, lines, strict=True):
            assert _same_or_text(message, kept)


def _same_or_text(message: bytes, kept: bytes) -> bool:
    try:
        wanted = json.loads(message.decode(errors="replace"))
    except ValueError:
        return isinstance(json.loads(kept), str)
    return bool(json.loads(kept) == wanted)


class TestBounds:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    @pytest.mark.parametrize("bytes_max", [10_000, 12_345, 100_000])
    @pytest.mark.parametrize("compressible", [True, False])
    def test_the_size_is_never_exceeded(
        self, tmp_path: Path, suffix: str, bytes_max: int, compressible: bool
    ) -> None:
        path = tmp_path / f"tape{suffix}"
        writer = writer_to(path, bytes_max=bytes_max)

        taken = 0
        for number in range(1_000_000):
            frame = FRAME if compressible else b'{"x":"%b"}' % os.urandom(90).hex().encode()
            if not writer.write(T0 + number, "public", frame):
                break
            taken += 1

        assert writer.full
        assert writer.stopped is not None
        assert writer.stopped.startswith("full")
        assert writer.lines == taken
        assert bytes_max // 3 < path.stat().st_size <= bytes_max
        assert len(read_back(path)) == taken
        assert not writer.write(T0, "public", FRAME)
        assert writer.dropped == 2
        writer.close()
        assert writer.full

    def test_a_message_longer_than_a_line_is_dropped(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.jsonl.zst"
        with writer_to(path) as writer:
            assert not writer.write(T0, "rest", b'"%b"' % (b"x" * LINE_BYTES_MAX))
            assert writer.write(T0 + 1, "rest", b'"%b"' % (b"x" * (LINE_BYTES_MAX - 200)))

        assert writer.dropped == 1
        assert [line[0] for line in read_back(path)] == [T0 + 1]

    def test_a_full_disk_stops_the_recording_and_nothing_else(self, tmp_path: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("no /dev/full here")
        writer = writer_to(tmp_path / "tape.jsonl")
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, writer._file.fileno())
        os.close(full)

        for number in range(2000):
            writer.write(T0 + number, "public", FRAME)

        assert writer.stopped is not None
        assert os.strerror(errno.ENOSPC) in writer.stopped
        assert not writer.full
        assert writer.dropped > 0
        writer.flush()
        writer.close()

    def test_a_header_that_does_not_fit(self, tmp_path: Path) -> None:
        with pytest.raises(TapeError, match="header"):
            writer_to(tmp_path / "tape.jsonl", bytes_max=1000)
        assert not (tmp_path / "tape.jsonl").exists()


class TestAfterAKill:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_flushed_lines_are_readable_though_the_file_was_never_ended(
        self, tmp_path: Path, suffix: str
    ) -> None:
        path = tmp_path / f"tape{suffix}"
        writer = writer_to(path)
        for number in range(10):
            writer.write(T0 + number, "public", FRAME)
        writer.flush()
        writer.write(T0 + 10, "public", FRAME)
        killed = tmp_path / f"killed{suffix}"
        killed.write_bytes(path.read_bytes())
        writer.close()

        tape = open_tape(killed)

        assert len(list(tape.lines())) == 10
        assert tape.damage_count == (0 if suffix == ".jsonl" else 1)

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_block_is_written_when_enough_has_gathered(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"tape{suffix}"
        writer = writer_to(path, flush_bytes=4096)
        lines_at_most_lost = 4096 // len(FRAME)
        for number in range(500):
            writer.write(T0 + number, "public", FRAME)
            if number % 50 == 0:
                assert len(list(open_tape(path).lines())) >= number - lines_at_most_lost
        writer.close()

    def test_a_second_of_messages_is_lost_at_most(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.jsonl.zst"
        writer = writer_to(path)
        for second in range(10):
            writer.write(T0 + second * 1_000_000_000 + 1, "public", FRAME)

        assert len(list(open_tape(path).lines())) >= 9
        writer.close()


class TestRefusals:
    def test_other_suffixes(self, tmp_path: Path) -> None:
        with pytest.raises(TapeError, match=r"ends in one of \.jsonl, \.jsonl\.gz, \.jsonl\.zst"):
            writer_to(tmp_path / "tape.json")

    def test_an_existing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "tape.jsonl"
        path.write_text("precious")
        with pytest.raises(TapeError, match="exists already"):
            writer_to(path)
        assert path.read_text() == "precious"

    def test_a_missing_directory(self, tmp_path: Path) -> None:
        with pytest.raises(TapeError, match="cannot be written: No such file"):
            writer_to(tmp_path / "nowhere" / "tape.jsonl")

    def test_a_short_secret_would_eat_data(self, tmp_path: Path) -> None:
        with (
            writer_to(tmp_path / "tape.jsonl") as writer,
            pytest.raises(ValueError, match="6 bytes"),
        ):
            writer.add_secret(b"BTC")


def test_a_message_and_what_it_caused_reach_the_disk_together(tmp_path: Path) -> None:
    """A process that is killed after its order left has no tape that decides an order and sends none."""
    path = tmp_path / "killed.jsonl"
    writer = writer_to(path)
    second = 1_000_000_000
    for number in range(5):
        t_ns = 1_795_000_000 * second + number * second
        writer.write(t_ns, "market", b'{"tick":%d}' % number)
        # Killed here, the tick is not on the tape either.
        on_disk = path.read_bytes()
        assert on_disk.count(b'{"tick"') == on_disk.count(b'{"order"') == number
        writer.write(t_ns, "order", b'{"order":%d}' % number, "out")
    writer.close()
    assert len(read_back(path)) == 10
