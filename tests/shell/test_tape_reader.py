"""Reading tapes: whole ones, cut ones, damaged ones, and files that are none."""

import gzip
import json
import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reactor.shell.line_batches import LINE_BYTES_MAX
from reactor.shell.tape import (
    DAMAGE_KEPT_MAX,
    Tape,
    TapeError,
    TapeLineDamaged,
    decode_line,
    open_tape,
)

HEADER = b'{"tape":1,"created":"2026-11-20T00:00:00Z","environment":"simulated"}'
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")


def plain(content: bytes) -> bytes:
    return content


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": plain,
    ".jsonl.gz": gzip.compress,
    ".jsonl.zst": zstd.compress,
}


def message_line(number: int) -> bytes:
    frame = {"e": "aggTrade", "a": number, "p": f"{100 + number}.5", "s": "BTCUSDT"}
    return json.dumps(
        {"t": 1_700_000_000_000_000_000 + number, "c": "market", "m": frame},
        separators=(",", ":"),
    ).encode()


def tape_bytes(count: int) -> bytes:
    return b"\n".join([HEADER, *(message_line(number) for number in range(count))]) + b"\n"


def written(directory: Path, content: bytes, suffix: str = ".jsonl") -> Path:
    path = directory / f"tape{suffix}"
    path.write_bytes(content)
    return path


def all_lines(tape: Tape) -> list[tuple[int, bytes]]:
    return list(tape.lines())


class TestLinesThatAreNotUtf8:
    BAD = b'{"t":1,"c":"market","m":{"e":"aggTrade","s":"BTCUSDT","p":"1","x":"\xff"}}'
    ACCENTED = '{"t":1,"c":"market","m":{"e":"aggTrade","s":"é"}}'.encode()

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_they_are_damage_even_where_nobody_reads_the_field(
        self, tmp_path: Path, suffix: str
    ) -> None:
        """A decoder that passes over an unknown field does not look into it."""
        good = message_line(1)
        lines = [HEADER, good, self.BAD, self.ACCENTED, good, self.BAD, good]
        path = written(tmp_path, PACK[suffix](b"\n".join(lines) + b"\n"), suffix)

        tape = open_tape(path)

        assert all_lines(tape) == [(2, good), (4, self.ACCENTED), (5, good), (7, good)]
        assert [(one.line, one.reason) for one in tape.damage] == [
            (3, "not UTF-8"),
            (6, "not UTF-8"),
        ]


class TestWholeTapes:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_header_and_lines_come_back_numbered(self, tmp_path: Path, suffix: str) -> None:
        path = written(tmp_path, PACK[suffix](tape_bytes(3)), suffix)

        tape = open_tape(path)

        assert tape.header.tape == 1
        assert tape.header.created == "2026-11-20T00:00:00Z"
        assert tape.header.environment == "simulated"
        assert all_lines(tape) == [(number + 2, message_line(number)) for number in range(3)]
        assert tape.damage == []

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_many_chunks_are_joined_without_a_seam(self, tmp_path: Path, suffix: str) -> None:
        path = written(tmp_path, PACK[suffix](tape_bytes(5000)), suffix)

        tape = open_tape(path)

        assert all_lines(tape) == [(number + 2, message_line(number)) for number in range(5000)]
        assert len(list(tape.batches())) > 1

    def test_each_pass_starts_anew(self, tmp_path: Path) -> None:
        path = written(tmp_path, tape_bytes(3) + b"cut")
        tape = open_tape(path)

        first, second = all_lines(tape), all_lines(tape)

        assert first == second
        assert tape.damage_count == 1

    def test_the_header_keeps_what_a_session_depended_on(self, tmp_path: Path) -> None:
        header = {
            "tape": 1,
            "config": {"mode": "dry_run"},
            "plans": {"a": "name = 'a'"},
            "journal": [1, 2],
            "host": "unknown keys are allowed",
        }
        path = written(tmp_path, json.dumps(header).encode())

        tape = open_tape(path)

        assert tape.header.config == {"mode": "dry_run"}
        assert tape.header.plans == {"a": "name = 'a'"}
        assert tape.header.journal == [1, 2]
        assert tape.header.created is None
        assert all_lines(tape) == []

    @pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
    def test_several_members_or_frames_are_one_tape(self, tmp_path: Path, suffix: str) -> None:
        content = tape_bytes(40)
        pieces = [content[start : start + 77] for start in range(0, len(content), 77)]
        path = written(tmp_path, b"".join(PACK[suffix](piece) for piece in pieces), suffix)

        tape = open_tape(path)

        assert len(all_lines(tape)) == 40
        assert tape.damage == []

    def test_zero_padding_after_gzip_is_no_damage(self, tmp_path: Path) -> None:
        path = written(tmp_path, gzip.compress(tape_bytes(2), mtime=0) + bytes(512), ".jsonl.gz")

        tape = open_tape(path)

        assert len(all_lines(tape)) == 2
        assert tape.damage == []

    def test_a_skippable_zstd_frame_may_come_first(self, tmp_path: Path) -> None:
        skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
        path = written(tmp_path, skippable + zstd.compress(tape_bytes(2)), ".jsonl.zst")

        assert len(all_lines(open_tape(path))) == 2

    def test_windows_line_ends_and_byte_order_mark(self, tmp_path: Path) -> None:
        content = b"\xef\xbb\xbf" + tape_bytes(3000).replace(b"\n", b"\r\n")
        path = written(tmp_path, content)

        tape = open_tape(path)

        assert all_lines(tape) == [(number + 2, message_line(number)) for number in range(3000)]

    def test_blank_lines_are_left_out_but_counted(self, tmp_path: Path) -> None:
        content = b"\n".join([HEADER, b"", message_line(0), b"", b"", message_line(1), b"", b""])
        path = written(tmp_path, content)

        tape = open_tape(path)

        assert all_lines(tape) == [(3, message_line(0)), (6, message_line(1))]
        assert tape.damage == []

    def test_blank_lines_before_the_header(self, tmp_path: Path) -> None:
        path = written(tmp_path, b"\r\n\n" + tape_bytes(1))

        assert all_lines(open_tape(path)) == [(4, message_line(0))]

    def test_a_last_line_without_newline_counts_if_it_is_whole(self, tmp_path: Path) -> None:
        path = written(tmp_path, tape_bytes(2).rstrip(b"\n"))

        tape = open_tape(path)

        assert len(all_lines(tape)) == 2
        assert tape.damage == []

    def test_messages_are_decoded_and_damaged_ones_reported(self, tmp_path: Path) -> None:
        content = tape_bytes(1) + b'{"t":"noon","c":"market","m":{}}\n' + message_line(1) + b"\n"
        tape = open_tape(written(tmp_path, content))

        messages = list(tape.messages())

        assert [number for number, _ in messages] == [2, 4]
        assert bytes(messages[0][1].m).startswith(b'{"e":"aggTrade"')
        assert [(damage.line, damage.reason) for damage in tape.damage] == [
            (3, "not a tape's line: `t`: expected `int`, got `str`")
        ]


class TestCutTapes:
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_every_complete_line_before_any_cut_is_read(self, tmp_path: Path, suffix: str) -> None:
        whole = _packed_in_blocks(suffix, count=4)
        for length in range(1, len(whole)):
            path = written(tmp_path, whole[:length], suffix)
            readable = _independently_unpacked(suffix, whole[:length])
            complete = readable.split(b"\n")[:-1]
            unfinished = readable.split(b"\n")[-1]
            if unfinished and _is_json(unfinished):
                complete.append(unfinished)
                unfinished = b""
            if not complete:
                with pytest.raises(TapeError):
                    open_tape(path)
                continue

            tape = open_tape(path)

            assert [raw for _, raw in tape.lines()] == complete[1:], length
            expected = 1 if suffix != ".jsonl" or unfinished else 0
            assert tape.damage_count == expected, length
            if expected:
                assert tape.damage[0].line == len(complete) + 1

    @pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
    def test_a_broken_checksum_costs_no_line(self, tmp_path: Path, suffix: str) -> None:
        whole = bytearray(_with_checksum(suffix, tape_bytes(2000)))
        whole[-8 if suffix == ".jsonl.gz" else -2] ^= 0xFF
        tape = open_tape(written(tmp_path, bytes(whole), suffix))

        assert all_lines(tape) == [(number + 2, message_line(number)) for number in range(2000)]
        assert [damage.line for damage in tape.damage] == [2002]
        assert "damaged" in tape.damage[0].reason

    @pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_damage_inside_keeps_what_came_before(
        self, tmp_path: Path, suffix: str, share: float
    ) -> None:
        whole = bytearray(_packed_in_blocks(suffix, count=3000))
        place = int(len(whole) * share)
        whole[place : place + 20] = b"\xff" * 20
        before = _independently_unpacked(suffix, bytes(whole[:place])).split(b"\n")[1:-1]
        tape = open_tape(written(tmp_path, bytes(whole), suffix))

        lines = [raw for _, raw in tape.lines()]

        assert len(before) > 500
        assert lines[: len(before)] == before
        assert tape.damage_count >= 1

    def test_zeros_at_the_end_of_a_plain_file(self, tmp_path: Path) -> None:
        tape = open_tape(written(tmp_path, tape_bytes(2) + bytes(4096)))

        assert len(all_lines(tape)) == 2
        assert [(damage.line, damage.reason) for damage in tape.damage] == [
            (4, "cut: the file ends within this line")
        ]

    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_a_line_of_20_mb_is_skipped(self, tmp_path: Path, suffix: str) -> None:
        huge = b'{"t":1,"c":"market","m":"' + b"x" * (20 << 20) + b'"}'
        content = tape_bytes(1) + huge + b"\n" + message_line(1) + b"\n"
        tape = open_tape(written(tmp_path, PACK[suffix](content), suffix))

        assert all_lines(tape) == [(2, message_line(0)), (4, message_line(1))]
        assert [(damage.line, damage.reason) for damage in tape.damage] == [
            (3, "longer than 16 MiB")
        ]

    def test_an_endless_last_line_is_skipped(self, tmp_path: Path) -> None:
        tape = open_tape(written(tmp_path, tape_bytes(1) + b"x" * (LINE_BYTES_MAX + 1)))

        assert len(all_lines(tape)) == 1
        assert tape.damage_count == 1

    def test_a_line_at_the_limit_is_read(self, tmp_path: Path) -> None:
        frame = b'{"t":1,"c":"market","m":"%b"}'
        largest = frame % (b"x" * (LINE_BYTES_MAX - len(frame) + 2))
        assert len(largest) == LINE_BYTES_MAX
        tape = open_tape(written(tmp_path, HEADER + b"\n" + largest + b"\n" + largest + b"x\n"))

        assert all_lines(tape) == [(2, largest)]
        assert tape.damage[0].line == 3

    def test_damage_is_kept_up_to_a_bound_and_counted_beyond(self, tmp_path: Path) -> None:
        tape = open_tape(written(tmp_path, HEADER + b"\n" + b"broken\n" * 1000))

        assert list(tape.messages()) == []
        assert tape.damage_count == 1000
        assert len(tape.damage) == DAMAGE_KEPT_MAX


def _packed_in_blocks(suffix: str, count: int) -> bytes:
    """A tape as a recorder leaves it: flushed after every line."""
    lines = [line + b"\n" for line in tape_bytes(count).splitlines()]
    if suffix == ".jsonl.gz":
        member = zlib.compressobj(wbits=31)
        blocks = [member.compress(line) + member.flush(zlib.Z_SYNC_FLUSH) for line in lines]
        return b"".join([*blocks, member.flush()])
    if suffix == ".jsonl.zst":
        frame = zstd.ZstdCompressor()
        blocks = [frame.compress(line, frame.FLUSH_BLOCK) for line in lines]
        return b"".join([*blocks, frame.flush()])
    return b"".join(lines)


def _with_checksum(suffix: str, content: bytes) -> bytes:
    if suffix == ".jsonl.zst":
        return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})
    return gzip.compress(content, mtime=0)


def _independently_unpacked(suffix: str, packed: bytes) -> bytes:
    if suffix == ".jsonl.gz":
        return zlib.decompressobj(wbits=31).decompress(packed)
    if suffix == ".jsonl.zst":
        return zstd.ZstdDecompressor().decompress(packed)
    return packed


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except ValueError:
        return False
    return True


class TestFilesThatAreNoTape:
    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "the file is empty"),
            (b"\n\n\n", "no complete first line"),
            (b"hello\n", "first line must be a header"),
            (b"[1]\n", "first line must be a header"),
            (b'{"created":"2026"}\n', "first line must be a header"),
            (b'{"tape":"1"}\n', "first line must be a header"),
            (b'{"tape":true}\n', "first line must be a header"),
            (b'{"tape":2}\n', "version 2 is newer than this program knows (1)"),
            (b'{"tape":0}\n', "version 0 does not exist"),
            (b'{"tape":1,"plans":[]}\n', "`plans`: expected `object | null`, got `array`"),
            (b'{"tape":1', "cut: the file ends within this line"),
            (message_line(0) + b"\n", "the header is missing"),
            (b'1723161255030314667 {"stream":"x"}\n', "--from hftbacktest"),
            (b"wss://fstream.binance.com/stream <-> 1.0\n", "--from cryptofeed"),
            (os.urandom(4096).replace(b"\x1f\x8b", b""), "not a tape"),
            (b"[" * 100_000 + b"\n", "not a tape"),
            (b"\x00" * (LINE_BYTES_MAX + 10) + b"\n" + HEADER + b"\n", "longer than 16 MiB"),
            (gzip.compress(b"x", mtime=0), "give its name the suffix .gz"),
            (zstd.compress(b"x"), "give its name the suffix .zst"),
        ],
    )
    def test_plain(self, tmp_path: Path, content: bytes, says: str) -> None:
        _refused(written(tmp_path, content), says)

    @pytest.mark.parametrize(
        ("suffix", "content", "says"),
        [
            (".jsonl.gz", tape_bytes(1), "not what the suffix .gz says"),
            (".jsonl.zst", tape_bytes(1), "not what the suffix .zst says"),
            (".jsonl.gz", zstd.compress(tape_bytes(1)), "not what the suffix .gz says"),
            (".jsonl.zst", gzip.compress(tape_bytes(1), mtime=0), "not what the suffix .zst says"),
            (".jsonl.gz", gzip.compress(b"", mtime=0), "there is nothing in it"),
            (".jsonl.gz", gzip.compress(tape_bytes(1), mtime=0)[:12], "the gzip file is cut here"),
            (".jsonl.zst", zstd.compress(tape_bytes(1))[:6], "the zstd file is cut here"),
            (".jsonl.gz", b"\x1f\x8b" + b"junk" * 10, "the gzip data is damaged"),
            (".jsonl.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "the zstd data is damaged"),
        ],
    )
    def test_compressed(self, tmp_path: Path, suffix: str, content: bytes, says: str) -> None:
        _refused(written(tmp_path, content, suffix), says)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        _refused(tmp_path / "nowhere.jsonl", "no such file")

    def test_a_directory(self, tmp_path: Path) -> None:
        _refused(tmp_path, "a directory")

    def test_a_pipe(self, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe.jsonl"
        os.mkfifo(pipe)
        _refused(pipe, "not a regular file")

    def test_a_file_that_goes_away(self, tmp_path: Path) -> None:
        tape = open_tape(written(tmp_path, tape_bytes(1)))
        tape.path.unlink()

        with pytest.raises(TapeError, match="cannot be read"):
            all_lines(tape)


def _refused(path: Path, says: str) -> None:
    with pytest.raises(TapeError) as caught:
        open_tape(path)
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 400


class TestLines:
    @pytest.mark.parametrize(
        ("raw", "reason"),
        [
            (b'{"t":1.5,"c":"market","m":{}}', "`t`: expected `int`, got `float`"),
            (b'{"t":true,"c":"market","m":{}}', "`t`: expected `int`, got `bool`"),
            (b'{"t":null,"c":"market","m":{}}', "`t`: expected `int`, got `null`"),
            (b'{"t":-1,"c":"market","m":{}}', "`t`: expected `int` >= 0"),
            (b'{"t":9223372036854775808,"c":"market","m":{}}', "`t`: expected `int` <="),
            (b'{"t":1,"c":"spot","m":{}}', "`c`: invalid enum value 'spot'"),
            (b'{"t":1,"c":1,"m":{}}', "`c`: expected `str`, got `int`"),
            (b'{"t":1,"c":"market"}', "missing required field `m`"),
            (b'{"c":"market","m":1}', "missing required field `t`"),
            (b'{"t":1,"c":"market","m":{},"d":"up"}', "`d`: invalid enum value 'up'"),
            (b"[]", "expected `object`, got `array`"),
            (b"not json", "not JSON"),
            (b'{"t":1,"c":"market","m":{}', "not JSON"),
            (b'{"t":1,"c":"market","m":{}} {}', "not JSON: trailing characters"),
            (b"\xff\xfe", "not JSON"),
            (b'{"t":1,"c":"market","m":' + b"[" * 100_000, "nested too deeply"),
            (HEADER, "a second header"),
        ],
    )
    def test_damaged(self, raw: bytes, reason: str) -> None:
        with pytest.raises(TapeLineDamaged) as caught:
            decode_line(raw)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_whole(self) -> None:
        line = decode_line(b' {"m" : {"p": "1.50"} ,"d":"out","c":"order","t":5,"more":[1]} ')

        assert (line.t, line.c, line.d, bytes(line.m)) == (5, "order", "out", b'{"p": "1.50"}')

    def test_direction_defaults_to_in(self) -> None:
        assert decode_line(b'{"t":5,"c":"rest","m":1}').d == "in"


def _read_to_the_end(path: Path) -> None:
    """Anything but a TapeError fails the test."""
    try:
        tape = open_tape(path)
        for number, line in tape.messages():
            assert number > 1
            assert line.t >= 0
    except TapeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - whether it is raised depends on the example
        return
    assert len(tape.damage) == min(tape.damage_count, DAMAGE_KEPT_MAX)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from(SUFFIXES), packed=st.booleans())
def test_any_bytes_are_a_tape_or_a_tape_error(
    tmp_path: Path, content: bytes, suffix: str, packed: bool
) -> None:
    if packed:
        content = PACK[suffix](content)
    _read_to_the_end(written(tmp_path, content, suffix))


LINE_PIECES = st.sampled_from(
    [message_line(0), HEADER, b"\r", b"", b"{", b'{"t":1,"c":"market","m":{}}', b"\xff", b"\x00"]
)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.one_of(LINE_PIECES, st.binary(max_size=30)), max_size=8),
    suffix=st.sampled_from(SUFFIXES),
    cut=st.integers(min_value=0, max_value=20),
    flips=st.lists(st.integers(min_value=0, max_value=10_000), max_size=2),
)
def test_any_bytes_after_a_header_are_lines_or_damage(
    tmp_path: Path, lines: list[bytes], suffix: str, cut: int, flips: list[int]
) -> None:
    content = bytearray(PACK[suffix](HEADER + b"\n" + b"\n".join(lines)))
    for flip in flips:
        content[flip % len(content)] ^= 0x41
    _read_to_the_end(written(tmp_path, bytes(content[: len(content) - cut]), suffix))


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
def test_memory_stays_flat(tmp_path: Path, suffix: str) -> None:
    """200 MB out of a small file, read with less than 30 MB in use."""
    frame = b'{"t":1700000000000000000,"c":"rest","m":{"body":"%b"}}\n' % (b"x" * 4000)
    block = frame * 256
    copies = 200 * 10**6 // len(block)
    path = tmp_path / f"tape{suffix}"
    with path.open("wb") as file:
        file.write(PACK[suffix](HEADER + b"\n"))
        file.write(PACK[suffix](block) * copies)
    tape = open_tape(path)

    tracemalloc.start()
    try:
        count = sum(len(lines) for _, lines in tape.batches())
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert count == copies * 256
    assert peak_bytes < 30 * 10**6
    assert tape.damage == []
