"""hftbacktest's collector: `<receive time in ns> <frame>` lines, usually gzipped, one symbol a file.

Between the frames stand the answers of REST depth requests; they become `rest` lines. A snapshot
says no symbol: it is taken from the file's name (`btcusdt_20240808.gz`) or `--symbol`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from reactor.shell.importers.frames import channel_of, rest_answer
from reactor.shell.importers.source import (
    Account,
    ImportOptions,
    RawMessage,
    is_json_frame,
    numbered_lines,
    whole_int64,
)

_FILE_NAME = re.compile(r"([^\W_]+(?:_perp|_\d{6})?)_\d{8}(?:\.|$)", re.IGNORECASE)


def read_hftbacktest(path: Path, options: ImportOptions, account: Account) -> Iterator[RawMessage]:
    """Read one recording. See the module's text for the format."""
    symbol = options.symbol
    if symbol is None and (named := _FILE_NAME.match(path.name)):
        symbol = named.group(1).upper()
    for number, line in numbered_lines(path, account):
        receive_time, _, frame = line.partition(b" ")
        t_recv_ns = whole_int64(receive_time)
        if t_recv_ns is None:
            account.drop("no receive time at the start of the line", path, number)
        elif not is_json_frame(frame):
            account.drop("the frame is not whole JSON", path, number)
        elif frame.startswith(b'{"lastUpdateId"') or (
            b'"lastUpdateId"' in frame[:200] and b'"e"' not in frame[:200]
        ):
            if symbol is None:
                account.drop("a REST depth snapshot of an unknown symbol", path, number)
                continue
            coin_margined = b'"pair"' in frame[:200]
            url = "/dapi/v1/depth" if coin_margined else "/fapi/v1/depth"
            yield RawMessage(t_recv_ns, "rest", rest_answer(url, {"symbol": symbol}, frame))
        else:
            yield RawMessage(t_recv_ns, channel_of(frame), frame)
