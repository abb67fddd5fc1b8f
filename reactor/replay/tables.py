"""Decisions and levels as tables for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from reactor.core.exact import add, divide, multiply, subtract, text
from reactor.core.levels import Axis, Levels, break_even_condition
from reactor.core.plan import Plan
from reactor.core.sizing import RuleVerdict
from reactor.replay.lines import Line

STOP_ROWS_AFTER_MAX = 3
"""Stop moves in a row that are shown; a trailing stop moves thousands of times."""

ROWS_MAX = 2000
"""Rows of the table. `--json` has every line."""

COLUMNS_MAX = 10_000
WIDTH_OFF_TERMINAL_MIN = 140
"""How wide a table is that goes into a file or a pipe; wider where its cells need it."""

NARROW_BELOW = 120
"""A terminal with fewer columns gets two texts in one cell, and folds cells; nothing is cut off."""


class Row(NamedTuple):
    """One row of the table. What stands out is an end or an exit."""

    time: str
    tick: str
    symbol: str
    side: str
    what: str
    stands_out: bool
    price: str = ""
    quantity: str = ""
    remaining: str = ""
    stop: str = ""


class ReplayTable:
    """Collects a replay's lines and prints them as a table with a summary."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._summary: Line = {}
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
        key = (line["symbol"], line.get("side"))
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
        console: Console = _Output()
        if self._rows:
            is_narrow = console.is_terminal and console.width < NARROW_BELOW
            table = (_narrow_table if is_narrow else _wide_table)(self._rows)
            console = console_for(table)
            console.print(table)
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
            if between:
                row = row._replace(what=f"{row.what}, {between} moves between")
            self._add(row)

    def _add(self, row: Row) -> None:
        if len(self._rows) >= ROWS_MAX:
            self._left_out += 1
        else:
            self._rows.append(row)


def _wide_table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("time (UTC)", "tick", "symbol", "side", "what"):
        table.add_column(name, justify="right" if name == "tick" else "left", overflow="fold")
    for name in ("price", "quantity", "remaining", "stop"):
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        # Texts, so that brackets in a symbol are brackets and no mark-up.
        start = (row.time, row.tick, row.symbol, row.side)
        end = (row.price, row.quantity, row.remaining, row.stop)
        table.add_row(*map(Text, start), _what(row), *map(Text, end))
    return table


def _narrow_table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name, width in (("time (UTC)", 12), ("tick", 8), ("position", 8), ("what", 18)):
        justify: Literal["left", "right"] = "right" if name == "tick" else "left"
        table.add_column(name, justify=justify, overflow="fold", max_width=width)
    for name, width in (("price", 10), ("closed, left", 8), ("stop", 12)):
        table.add_column(name, justify="right", overflow="fold", max_width=width)
    for row in rows:
        amounts = row.quantity
        if row.remaining and row.remaining != row.quantity:
            amounts = f"{row.quantity}, {row.remaining}"
        position = f"{row.symbol} {row.side}"
        start = (row.time, row.tick, position)
        table.add_row(*map(Text, start), _what(row), *map(Text, (row.price, amounts, row.stop)))
    return table


def _what(row: Row) -> Text:
    return Text(row.what, style="bold" if row.stands_out else "")


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
    kind = line["type"]
    row = Row(
        time=clock(t_ns),
        tick=str(line.get("tick", "")),
        symbol=str(line["symbol"]),
        side=str(line.get("side", "")),
        what="",
        stands_out=kind in {"exit", "closed"},
        price=str(line.get("price", "")),
        quantity=str(line.get("quantity", "")),
        remaining=str(line.get("remaining", "")),
        stop=str(line.get("stop", "")),
    )
    if kind == "opened":
        targets = line["targets"]
        assert isinstance(targets, list)
        ladder = ", ".join(f"{price or 'with ATR'} ({close})" for price, close in targets)
        what = f"opened, {line['plan']}, ATR {line['atr'] or 'not yet'}"
        what += f", targets {ladder}" if ladder else ""
        return row._replace(what=what, price=str(line["entry"]), remaining=row.quantity)
    if kind == "stop":
        return row._replace(what=f"stop: {line['kind']}")
    if kind == "exit":
        reasons = line["reasons"]
        assert isinstance(reasons, list)
        return row._replace(what=f"exit: {', '.join(reasons)}")
    if kind == "policy":
        return row._replace(what=f"policy: {line['action']} {line['plan']} ({line['why']})")
    if kind == "regime":
        what = f"regime: {line['regime']}, volatility {line['volatility']}"
        return row._replace(what=what)
    return row._replace(what=f"closed: {_result(line)}")


def _result(line: Line) -> str:
    if line["realized"] is None:
        return f"{line['reason']}, result not known"
    multiple = line["r_multiple"]
    ratio = "" if multiple is None else f" ({Decimal(str(multiple)):+.2f} R)"
    return f"{line['reason']}, {line['realized']} before fees{ratio}"


class LevelsTable:
    """A plan's levels for one position as a table."""

    def __init__(self, found: Levels, plan: Plan) -> None:
        """Shows levels, and what of the plan says when they come in force."""
        self._levels = found
        self._plan = plan

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
        for name in ("level", "price", "from entry", "in R", "in ATR", "closes"):
            table.add_column(name, justify="left" if name == "level" else "right")
        rows = [("stop", found.stop, "all")]
        if found.break_even is not None:
            rows.append(("break-even stop", found.break_even, ""))
        for number, (price, close) in enumerate(found.targets, 1):
            if price is None:
                table.add_row(f"target {number}", "with ATR", "", "", "", f"{text(close)}")
            else:
                rows.append((f"target {number}", price, text(close)))
        for name, price, closes in rows:
            table.add_row(name, text(price), *_distances(found, price), closes)
        console = console_for(table)
        console.print(table)
        trail = "none" if found.trail is None else text(found.trail)
        ratio = "none" if found.reward_risk is None else f"{found.reward_risk:.2f}"
        console.print(
            f"R {text(found.r)}, trailing distance {trail}{_sizes(found)}, reward:risk {ratio}",
            highlight=False,
        )
        for line in _conditions(self._plan, found):
            console.print(line, highlight=False)
        if found.rules:
            rules = _rules_table(found.rules)
            console_for(rules).print(rules)


def _rules_table(verdicts: Sequence[RuleVerdict]) -> Table:
    """What became of the ladder's rules."""
    table = Table(title="ladder rules", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("rule", "effect", "applied", "why"):
        table.add_column(name)
    for one in verdicts:
        cells = (one.rule, one.effect, "yes" if one.applied else "no", one.why)
        table.add_row(*map(Text, cells), style="bold" if one.applied else "")
    return table


def _distances(found: Levels, price: Decimal) -> tuple[str, str, str]:
    gain = subtract(price, found.entry)
    if found.side == "SHORT":
        gain = gain.copy_negate()
    percent = multiply(divide(gain, found.entry), Decimal(100))
    in_atr = "" if found.atr is None else f"{divide(gain, found.atr):+.2f}"
    return f"{percent:+.3f} %", f"{divide(gain, found.r):+.2f}", in_atr


def _sizes(found: Levels) -> str:
    """The trailing distance in per cent of the entry and in ATR."""
    if found.trail is None:
        return ""
    percent = multiply(divide(found.trail, found.entry), Decimal(100))
    in_atr = "" if found.atr is None else f", {divide(found.trail, found.atr):.2f} ATR"
    return f" ({percent:.3f} %{in_atr})"


def _conditions(plan: Plan, found: Levels) -> Iterator[str]:
    """When break-even and trailing begin, in words."""
    axis = Axis(found.side)
    table, trailing = plan.break_even, plan.trailing
    begins = []
    distance = break_even_condition(plan, entry=found.entry, r=found.r)
    if distance is not None and table is not None:
        price = text(axis.price(add(axis.x(found.entry), distance)))
        unit = f"+{text(table.at_r)} R" if table.at_r is not None else _percent(table.at_pct)
        begins.append(f"the price is at {price} ({unit})")
    if plan.harvest is not None:
        begins.append(f"the first harvest is taken ({_percent(plan.harvest.trigger_pct)})")
    if plan.ratchets:
        begins.append("target 1 is taken")
    if begins:
        yield f"break-even once {', or '.join(begins)}"
    if trailing is not None:
        value = "" if trailing.value is None else text(trailing.value)
        yield (
            "trailing once "
            + {
                "in_profit": "the price is beyond the entry",
                "at_r": f"the profit is {value} R",
                "after_rung": f"target {value} is taken",
            }[trailing.activate]
        )


def _percent(share: Decimal | None) -> str:
    return "" if share is None else f"+{text(multiply(share, Decimal(100)))} %"
