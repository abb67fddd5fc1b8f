"""A sweep on the terminal: the best combinations in training with their test beside it, and what to think of it."""

from math import isinf

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reactor.sweep import findings
from reactor.sweep.judging import Row
from reactor.sweep.measures import Measures
from reactor.sweep.study import Study

WIDE = 1000
"""Columns of a table that goes into a pipe: nothing is folded."""


def print_study(found: Study, *, top: int) -> None:
    """Prints a sweep.

    Args:
        found: the sweep.
        top: how many combinations are shown; 0 for all.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for line in (*findings.tried(found), *_split(found), *findings.left_out(found)):
        console.print(Text(line))
    for line in findings.refusals(found):
        console.print(Text(line, style="dim"))
    console.print(_table(found, top))
    ranked = len(found.grid.tried)
    if 0 < top < ranked:
        console.print(
            Text(f"{ranked - top} more combinations; --top 0 shows them, --csv FILE keeps all")
        )
    if found.folds:
        console.print(_folds(found))
    for line in findings.beliefs(found):
        console.print(Text(line, style="bold yellow" if line.startswith("WARNING") else ""))


def _split(found: Study) -> list[str]:
    if found.split.test is None:
        return ["All entries train; nothing tests."]
    times = found.entered_ns
    train = int(found.split.train.entered(times).sum())
    test = int(found.split.test.entered(times).sum())
    return [
        (
            f"Train: {train} entries before {findings.instant(found.split.train.over_by_ns)} UTC."
            f" Test: {test} entries from {findings.instant(found.split.test.from_ns)} UTC."
        )
    ]


_PART = ("n", "mean R", "± 2 se", "gross", "median", "win", "PF", "max DD")


def _table(found: Study, top: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rank", justify="right")
    for one in found.grid.parameters:
        table.add_column(one.key, justify="right", overflow="fold")
    parts: list[tuple[str, tuple[str, ...]]] = [("train", _PART)]
    if found.split.test is not None:
        parts.append(("test", ("rank", *_PART)))
    for part, names in parts:
        for name in names:
            table.add_column(f"{part}\n{name}", justify="right")
    base = found.base_row
    shown = [row for row in found.rows if not row.combination.is_extra][: top or None]
    for row in shown if base in shown else [*shown, base]:
        table.add_row(*_cells(found, row), style="bold" if row.train_rank == 1 else "")
    return table


def _cells(found: Study, row: Row) -> list[Text]:
    name = str(row.train_rank or "-")
    if row.number == found.grid.base:
        name = "base" if row.combination.is_extra else f"{name} base"
    cells = [name, *row.combination.values, *_part(row.train)]
    if found.split.test is not None:
        cells += [str(row.test_rank or "-"), *_part(row.test)]
    return [Text(cell) for cell in cells]


def _part(one: Measures) -> list[str]:
    def shown(value: float | None, form: str) -> str:
        if value is None:
            return "-"
        return "inf" if isinf(value) else format(value, form)

    return [
        str(one.trades),
        shown(one.mean_r, "+.3f"),
        shown(one.error_r, ".3f"),
        shown(one.gross_r, "+.3f"),
        shown(one.median_r, "+.3f"),
        shown(one.win_rate, ".0%"),
        shown(one.profit_factor, ".2f"),
        shown(one.max_drawdown_r, ".1f"),
    ]


def _folds(found: Study) -> Table:
    table = Table(
        title="walking forward", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for name in (
        "train until (UTC)",
        "best",
        "train n",
        "mean R",
        "test n",
        "mean R",
        "rank corr.",
    ):
        table.add_column(name, justify="left" if name == "best" else "right")
    for fold in found.folds:
        best = "-"
        if fold.best is not None:
            values = found.grid.combinations[fold.best].values
            names = [one.key for one in found.grid.parameters]
            best = " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
        correlation = "-" if fold.correlation is None else f"{fold.correlation:+.2f}"
        table.add_row(
            Text(findings.instant(fold.split.train.over_by_ns)),
            Text(best),
            str(fold.train.trades),
            findings.number(fold.train.mean_r),
            str(fold.test.trades),
            findings.number(fold.test.mean_r),
            correlation,
        )
    return table
