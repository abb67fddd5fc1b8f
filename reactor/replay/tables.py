"""Decisions and levels as tables for people."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from reactor.core.exact import divide, multiply, subtract, text
from reactor.core.levels import Levels
from reactor.replay.lines import Line

STOP_ROWS_AFTER_MAX = 3
"""Stop moves in a row that are shown; a trailing stop moves thousands of times."""

COLUMNS_MAX = 10_000
WHAT = 4
"""The column that says what happened."""

ROWS_MAX = 2000
"""Rows of the table. `--json` has every line."""


WIDTH_OFF_TERMINAL_MIN = 140
"""How wide a table is that goes into a file or a pipe; wider where its cells need it."""

Row = list[str | Text]


class ReplayTable:
    """Collects a replay's lines and prints them as a table with a summary."""

    def __init__(self) -> None:
        self._table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name, justify in (
            ("time (UTC)", "left"),
            ("tick", "right"),
            ("symbol", "left"),
            ("side", "left"),
            ("what", "left"),
            ("price", "right"),
            ("quantity", "right"),
            ("remaining", "right"),
            ("stop", "right"),
        ):
            self._table.add_column(
                name,
                justify="right" if justify == "right" else "left",
                no_wrap=name != "what",
                overflow="fold",
            )
        self._summary: Line = {}
        self._rows = 0
        self._left_out = 0
        self._moves: Counter[tuple[object, object]] = Counter()
        self._last_move: dict[tuple[object, object], Row] = {}
        self._results: list[tuple[str, str]] = []

    def line(self, line: Line) -> None:
        """Takes one output line."""
        kind = line["type"]
        if kind == "summary":
            self._summary = line
            return
        key = (line["symbol"], line["side"])
        row = _row(line)
        if kind == "stop":
            self._moves[key] += 1
            if self._moves[key] > STOP_ROWS_AFTER_MAX:
                self._last_move[key] = row
                return
        else:
            self._close_moves(key)
        if kind == "closed":
            self._results.append((f"{line['symbol']} {line['side']}", _result(line)))
        self._add(row)

    def print(self) -> None:
        """Prints the table and the summary on standard output."""
        for key in tuple(self._last_move):
            self._close_moves(key)
        console = console_for(self._table)
        if self._rows:
            console.print(self._table)
        if self._left_out:
            console.print(f"… {self._left_out} more rows; --json has every line")
        for name, result in self._results[:ROWS_MAX]:
            console.print(Text(f"{name}: {result}"))
        summary = self._summary
        never = summary["never_ticked"]
        assert isinstance(never, list)
        if never:
            console.print(Text(f"never ticked: {', '.join(never)}"))
        console.print(
            f"{summary['ticks']:,} trigger ticks of {summary['symbols']} symbols,"
            f" {summary['exits']} exits, {summary['skipped']} lines skipped,"
            f" {summary['seconds']:.2f} s ({summary['ticks_per_second']:,} ticks/s)",
            highlight=False,
        )

    def _close_moves(self, key: tuple[object, object]) -> None:
        """Shows the last of many stop moves, and how many there were between."""
        count = self._moves.pop(key, 0)
        row = self._last_move.pop(key, None)
        if row is not None:
            between = count - STOP_ROWS_AFTER_MAX - 1
            row[WHAT] = f"{row[WHAT]}, {between} moves between" if between else row[WHAT]
            self._add(row)

    def _add(self, row: Row) -> None:
        if self._rows >= ROWS_MAX:
            self._left_out += 1
            return
        self._rows += 1
        # Texts, so that brackets in a symbol are brackets and no mark-up.
        self._table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))


class _Output(Console):
    """Standard output. That nobody reads it any more is the command line's business, not rich's."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console_for(table: Table) -> Console:
    """Standard output, wide enough for all of a table where no terminal bounds it."""
    console = _Output()
    if not console.is_terminal:
        unbounded = console.options.update(width=COLUMNS_MAX)
        needed = Measurement.get(console, unbounded, table).maximum
        console.width = max(WIDTH_OFF_TERMINAL_MIN, needed)
    return console


def clock(t_ns: int) -> str:
    """A receive time as people read it, to the millisecond."""
    moment = datetime.fromtimestamp(t_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{t_ns % 1_000_000_000 // 1_000_000:03d}"


def _row(line: Line) -> Row:
    t_ns = line["t"]
    assert isinstance(t_ns, int)
    start: Row = [clock(t_ns), str(line.get("tick", "")), str(line["symbol"]), str(line["side"])]
    match line["type"]:
        case "opened":
            targets = line["targets"]
            assert isinstance(targets, list)
            ladder = ", ".join(f"{price or 'with ATR'} ({close})" for price, close in targets)
            what = f"opened, {line['plan']}, ATR {line['atr'] or 'not yet'}"
            what += f", targets {ladder}" if ladder else ""
            quantity = str(line["quantity"])
            return [*start, what, str(line["entry"]), quantity, quantity, str(line["stop"])]
        case "stop":
            what = f"stop: {line['kind']}"
            return [*start, what, str(line["price"]), "", "", str(line["stop"])]
        case "exit":
            reasons = line["reasons"]
            assert isinstance(reasons, list)
            return [
                *start,
                Text(f"exit: {', '.join(reasons)}", style="bold"),
                str(line["price"]),
                str(line["quantity"]),
                str(line["remaining"]),
                str(line["stop"]),
            ]
    return [*start, Text(f"closed: {_result(line)}", style="bold"), "", "", "", ""]


def _result(line: Line) -> str:
    if line["realized"] is None:
        return f"{line['reason']}, result not known"
    multiple = line["r_multiple"]
    ratio = "" if multiple is None else f" ({Decimal(str(multiple)):+.2f} R)"
    return f"{line['reason']}, {line['realized']} before fees{ratio}"


class LevelsTable:
    """A plan's levels for one position as a table."""

    def __init__(self, found: Levels) -> None:
        self._levels = found

    def print(self) -> None:
        """Prints the table on standard output."""
        found = self._levels
        volatile = ", high volatility" if found.high_volatility else ""
        atr = "none" if found.atr is None else text(found.atr)
        table = Table(
            title=f"{found.plan}, {found.side}, entry {text(found.entry)}, ATR {atr}{volatile}",
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for name in ("level", "price", "from entry", "in R", "closes"):
            table.add_column(name, justify="left" if name == "level" else "right")
        rows = [("stop", found.stop, "all")]
        if found.break_even is not None:
            rows.append(("break-even stop", found.break_even, ""))
        for number, (price, close) in enumerate(found.targets, 1):
            if price is None:
                table.add_row(f"target {number}", "with ATR", "", "", f"{text(close)}")
            else:
                rows.append((f"target {number}", price, text(close)))
        for name, price, closes in rows:
            table.add_row(name, text(price), *_distances(found, price), closes)
        console = console_for(table)
        console.print(table)
        trail = "none" if found.trail is None else text(found.trail)
        ratio = "none" if found.reward_risk is None else f"{found.reward_risk:.2f}"
        console.print(
            f"R {text(found.r)}, trailing distance {trail}, reward:risk {ratio}", highlight=False
        )


def _distances(found: Levels, price: Decimal) -> tuple[str, str]:
    gain = subtract(price, found.entry)
    if found.side == "SHORT":
        gain = gain.copy_negate()
    percent = multiply(divide(gain, found.entry), Decimal(100))
    return f"{percent:+.3f} %", f"{divide(gain, found.r):+.2f}"
