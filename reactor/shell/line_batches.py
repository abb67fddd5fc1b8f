"""Chunks of bytes become lists of lines, as fast as Python can, with bounded memory.

Lines are handed out in batches because one `bytes.split` for a thousand lines costs a tenth of a
thousand calls. What cannot be a line (too long, cut) is reported with its number and left out.
"""

from collections.abc import Callable, Generator, Iterator

from reactor.shell.compressed import StreamDamaged

#: The largest genuine message is a full exchangeInfo body, about 1 MiB; a journal in a header may
#: be a few. Longer lines are damage and are never held in memory.
LINE_BYTES_MAX = 16 << 20


def line_batches(
    chunks: Iterator[bytes],
    *,
    report: Callable[[int, str], None],
    tail_is_complete: Callable[[bytes], bool],
    utf8: bool = False,
) -> Generator[tuple[int, list[bytes]]]:
    r"""Split chunks into batches of lines, without their newlines (`\n` or `\r\n`).

    Empty lines are left out, but counted in the numbering.

    Args:
        chunks: the stream; it may end in `StreamDamaged`.
        report: told the line number and the reason for every line that cannot be had, and once
            where a damaged stream ends.
        tail_is_complete: asked about a last line that has no newline; if it says no, the line is
            reported instead of handed out.
        utf8: whether lines that are not UTF-8 are reported and left out. Decoders that pass over a
            field would not notice.

    Yields:
        The number of the batch's first line (the file's first is 1) and its lines in a row.
    """
    number = 1
    carry: list[bytes] = []
    carry_bytes = 0
    too_long = False
    damage: str | None = None
    chunks = iter(chunks)
    while True:
        try:
            chunk = next(chunks, None)
        except StreamDamaged as error:
            damage = str(error)
            break
        if chunk is None:
            break
        end = chunk.rfind(b"\n")
        if end < 0:
            if not too_long:
                carry.append(chunk)
                carry_bytes += len(chunk)
                too_long = carry_bytes > LINE_BYTES_MAX
            if too_long:
                carry.clear()
            continue
        start = 0
        if carry or too_long:
            first_end = chunk.find(b"\n")
            if too_long or carry_bytes + first_end > LINE_BYTES_MAX:
                report(number, f"longer than {LINE_BYTES_MAX >> 20} MiB")
                number += 1
                carry.clear()
                too_long = False
                start = first_end + 1
        if start <= end:
            carry.append(chunk[start:end])
            block = b"".join(carry)
            lines = _split(block)
            # Nearly every block is plain ASCII; to look at it whole costs next to nothing.
            if utf8 and not block.isascii():
                yield from _runs_in_utf8(number, lines, report)
            elif b"" in lines:
                yield from _runs_without_blanks(number, lines)
            else:
                yield number, lines
            number += len(lines)
        carry = [chunk[end + 1 :]] if end + 1 < len(chunk) else []
        carry_bytes = len(chunk) - end - 1
    tail = b"".join(carry).rstrip(b"\r")
    if too_long:
        report(number, damage or f"longer than {LINE_BYTES_MAX >> 20} MiB")
        return
    if tail and tail_is_complete(tail):
        if utf8:
            yield from _runs_in_utf8(number, [tail], report)
        else:
            yield number, [tail]
        number += 1
        tail = b""
    if damage is not None:
        report(number, damage)
    elif tail:
        report(number, "cut: the file ends within this line")


def _split(block: bytes) -> list[bytes]:
    if block.find(b"\r") >= 0:
        block = block.replace(b"\r\n", b"\n").removesuffix(b"\r")
    return block.split(b"\n")


def _runs_in_utf8(
    number: int, lines: list[bytes], report: Callable[[int, str], None]
) -> Iterator[tuple[int, list[bytes]]]:
    start = 0
    for index, line in enumerate(lines):
        if line.isascii() or _is_utf8(line):
            continue
        yield from _runs_without_blanks(number + start, lines[start:index])
        report(number + index, "not UTF-8")
        start = index + 1
    yield from _runs_without_blanks(number + start, lines[start:])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _runs_without_blanks(number: int, lines: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    run: list[bytes] = []
    for index, line in enumerate(lines):
        if line:
            run.append(line)
        elif run:
            yield number + index - len(run), run
            run = []
    if run:
        yield number + len(lines) - len(run), run
