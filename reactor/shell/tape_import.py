"""Turns recordings of other programs into tapes.

The tape's `created` is the time of its first message, so that importing the same files twice gives
the same bytes.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Final

import msgspec

from reactor.errors import RecordingError, TapeError
from reactor.shell.importers.binance_csv import read_binance_csv
from reactor.shell.importers.cryptofeed import read_cryptofeed
from reactor.shell.importers.hftbacktest import read_hftbacktest
from reactor.shell.importers.source import Account, Importer, ImportOptions, RawMessage
from reactor.shell.importers.ticks_csv import read_ticks_csv
from reactor.shell.importers.user_jsonl import read_user_jsonl
from reactor.shell.tape_format import TAPE_SUFFIXES
from reactor.shell.tape_writer import TapeWriter

IMPORTERS: Final[Mapping[str, Importer]] = {
    "hftbacktest": read_hftbacktest,
    "cryptofeed": read_cryptofeed,
    "binance-csv": read_binance_csv,
    "user-jsonl": read_user_jsonl,
    "ticks-csv": read_ticks_csv,
}

_PROGRESS_EVERY = 20_000  # messages; a few times a second


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did.

    Attributes:
        out: the tape.
        messages: how many messages it holds.
        channels: how many by channel.
        first_ns: the first message's receive time.
        last_ns: the last one's.
        order: how several files were put together.
        backwards: how many messages have an earlier time than the one before.
        dropped: lines that were lost, by reason.
        examples: where each reason occurred first.
        skipped: lines that hold no message by nature, by kind.
        notes: what was assumed or deduced.
    """

    out: str
    messages: int
    channels: dict[str, int]
    first_ns: int
    last_ns: int
    order: str
    backwards: int
    dropped: dict[str, int]
    examples: dict[str, str]
    skipped: dict[str, int]
    notes: list[str]


def import_recordings(
    source: str,
    files: list[Path],
    out: Path,
    *,
    options: ImportOptions,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> ImportReport:
    """Write one tape out of one or more recordings.

    Several files are merged by receive time where each is in order, else taken one after another.
    The tape appears under its name when it is complete; a failure leaves nothing behind.

    Args:
        source: a key of `IMPORTERS`.
        files: the recordings.
        out: the tape to write.
        options: what the user said about the files.
        overwrite: replace an existing tape.
        progress: told the number of messages now and then.

    Raises:
        RecordingError: a file cannot be read, or no message is in any.
        TapeError: the tape cannot be written.
    """
    _refuse_output(out, files, overwrite=overwrite)
    account = Account()
    importer = IMPORTERS[source]
    streams = [importer(path, options, account) for path in files]
    order = "one file"
    messages: Iterator[RawMessage]
    if len(files) > 1 and all(_in_order(importer(path, options, Account())) for path in files):
        order = "merged by receive time"
        messages = heapq.merge(*streams, key=itemgetter(0))
    else:
        if len(files) > 1:
            order = "one after another as given, because not every file is in order of time"
        messages = chain.from_iterable(streams)

    first = next(messages, None)
    if first is None:
        raise RecordingError(_why_nothing(files, account))
    partial = out.with_name(f".partial-{out.name}")
    with suppress(FileNotFoundError):
        partial.unlink()
    try:
        writer = TapeWriter(
            partial,
            created_ns=first.t_recv_ns,
            environment="imported",
            extra={"source": {"format": source, "files": [path.name for path in files]}},
        )
        with writer:
            tally = _write_all(writer, chain((first,), messages), account, progress)
        _finish(writer, out)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
    return ImportReport(
        out=str(out),
        messages=writer.lines,
        channels=dict(sorted(tally.channels.items())),
        first_ns=first.t_recv_ns,
        last_ns=tally.last_ns,
        order=order,
        backwards=tally.backwards,
        dropped=dict(account.dropped),
        examples=account.examples,
        skipped=dict(account.skipped),
        notes=account.notes,
    )


def _finish(writer: TapeWriter, out: Path) -> None:
    if writer.stopped != "closed":
        raise TapeError(f"{out}: {writer.stopped}")
    try:
        writer.path.replace(out)
    except OSError as error:
        raise TapeError(f"{out}: cannot be written: {error.strerror or error}") from None


class _Tally:
    def __init__(self) -> None:
        self.channels: Counter[str] = Counter()
        self.last_ns = 0
        self.backwards = 0


def _write_all(
    writer: TapeWriter,
    messages: Iterator[RawMessage],
    account: Account,
    progress: Callable[[int], None],
) -> _Tally:
    tally = _Tally()
    last_ns = 0
    for t_recv_ns, channel, message in messages:
        if writer.write(t_recv_ns, channel, message):
            tally.channels[channel] += 1
        elif writer.stopped is not None:
            break
        else:
            account.dropped["longer than a tape's line may be"] += 1
        tally.backwards += t_recv_ns < last_ns
        last_ns = t_recv_ns
        if writer.lines % _PROGRESS_EVERY == 0:
            progress(writer.lines)
    tally.last_ns = last_ns
    return tally


def _in_order(messages: Iterator[RawMessage]) -> bool:
    last_ns = 0
    for t_recv_ns, _, _ in messages:
        if t_recv_ns < last_ns:
            return False
        last_ns = t_recv_ns
    return True


def _refuse_output(out: Path, files: list[Path], *, overwrite: bool) -> None:
    if not out.name.lower().endswith(TAPE_SUFFIXES):
        raise TapeError(f"{out}: a tape's name ends in one of {', '.join(TAPE_SUFFIXES)}")
    if out.is_dir() or (out.exists() and not overwrite):
        raise TapeError(f"{out}: exists already: choose another name or say --force")
    if not out.parent.is_dir():
        raise TapeError(f"{out}: there is no directory {out.parent}")
    if out.resolve() in {path.resolve() for path in files}:
        raise TapeError(f"{out}: is one of the files to import: choose another name")


def _why_nothing(files: list[Path], account: Account) -> str:
    names = ", ".join(str(path) for path in files[:3]) + (" …" if len(files) > 3 else "")
    reasons = "; ".join(f"{count} × {reason}" for reason, count in account.dropped.most_common(3))
    return (
        f"{names}: no message found" + (f" ({reasons})" if reasons else "") + ": is --from right?"
    )
